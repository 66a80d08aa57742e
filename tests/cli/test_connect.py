"""`connect` and `doctor` against real shops on loopback."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from stockpush import compose
from stockpush.compose import accounts
from stockpush.connectors.base import Answer, Connector, TokenCall, Tokens
from stockpush.engine.transport import in_process
from stockpush.errors import AuthFailed, UsageError
from stockpush.settings import Settings
from stockpush.sim.candle_shop import DOMAIN, SHOPIFY, SHOPIFY_SECRET, WOO
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.server import serve
from stockpush.sim.shops.shopify import Access, ShopifyShop
from tests.cli.terminal import typed_here
from tests.connectors.generic_world import KEY, SECRET
from tests.crash.process import Daemon, typed
from tests.whole.harness import CLOCK, Floor, free_port


def furnished(folder: Path, **how: Any) -> Floor:
    """One candle on both shops."""
    floor = Floor(folder, listen_port=free_port(), **how)
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    return floor


def configured(floor: Floor, *, public: str | None = None) -> None:
    """Tell the daemon under which address the shops reach it."""
    path = floor.folder / "stockpush.toml"
    root = public or f"http://127.0.0.1:{floor.listen_port}"
    text = path.read_text().replace("[daemon]\n", f'[daemon]\npublic_url = "{root}"\n', 1)
    path.write_text(text)


async def page(floor: Floor, code: int) -> dict[tuple[str | None, str], dict[str, Any]]:
    """The lines of `doctor` by channel and what, the last of each; it must end with this code."""
    said = await typed_here(floor, "doctor", "--json")
    lines = json.loads(said.out)["data"]
    assert said.code == code, [line for line in lines if not line["ok"]]
    return {(line["channel"], line["what"]): line for line in lines}


async def test_after_connect_and_run_the_doctor_finds_all_well(tmp_path: Path) -> None:
    """Two commands make the webhooks and start the daemon; then nothing is left to mend."""
    floor = furnished(tmp_path)
    async with floor.open():
        configured(floor)
        for name in (SHOPIFY, WOO):
            planned = await typed_here(floor, "connect", name, "--dry-run", "--json")
            assert json.loads(planned.out)["webhooks"]["made"]
        assert floor.shopify.outbox.subscriptions == []
        for name in (SHOPIFY, WOO):
            said = await typed_here(floor, "connect", name)
            assert said.code == 0, said
            assert "Webhooks made: " in said.out
        again = json.loads((await typed_here(floor, "connect", WOO, "--json")).out)
        assert again["webhooks"]["made"] == []
        assert len(again["webhooks"]["kept"]) == 5
        daemon = Daemon(floor)
        try:
            await daemon.start()
            await daemon.ready()
            found = await page(floor, 0)
            assert all(line["ok"] for line in found.values())
            assert found[(None, "public address")]
            assert found[(None, "webhook path")]
            assert found[(SHOPIFY, "scopes")]["told"] == "all that are needed"
            assert found[(SHOPIFY, "clock")]
            assert found[(WOO, "listings")]["told"] == "1 found on the channel"
            await daemon.stop()
        finally:
            await daemon.make_sure_it_ended()


async def test_everything_that_can_be_wrong_has_its_fix(tmp_path: Path) -> None:
    """Listings that Shopify will not let us count, hooks that are off, nobody at the address."""
    floor = furnished(tmp_path)
    for sku, how in (("loose", {"tracked": False}), ("endless", {"policy": "CONTINUE"})):
        floor.item(sku, 1)
        variant = floor.shopify.add_variant(sku, 1, **how).variant_id
        floor._list(SHOPIFY, sku, f"{{ variant_id = {variant} }}", 1)
    async with floor.open():
        configured(floor)
        await typed_here(floor, "connect", WOO)
        floor.woo.lose_webhooks()
        found = await page(floor, 1)
        wrong = {key: line for key, line in found.items() if not line["ok"]}
        assert all(line["mend"] for line in wrong.values())
        assert {what for channel, what in wrong if channel is None} == {"public address"}
        assert "switched off by the shop" in wrong[(WOO, "webhooks")]["told"]
        assert wrong[(WOO, "webhooks")]["mend"] == f"stockpush connect {WOO}"
        assert "missing" in wrong[(SHOPIFY, "webhooks")]["told"]
        told = " ".join(line["told"] for (_, what), line in wrong.items() if "listing" in what)
        assert "Track quantity" in told
        assert "Continue selling" in told
        shown = await typed_here(floor, "doctor")
        assert "✖ public address" in shown.out
        assert "Fix: stockpush run" in shown.out


async def test_only_credentials_wrong_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    """3, as the table of exit codes says; the channel's other lines are not looked at."""
    floor = furnished(tmp_path)
    async with floor.open():
        floor.shopify.door.access_token = "revoked"  # of a shop of this process
        found = await page(floor, 3)
        assert not found[(SHOPIFY, "access")]["ok"]
        assert (SHOPIFY, "listings") not in found
        said = await typed_here(floor, "connect", SHOPIFY, "--json")
        assert said.code == 3
        assert json.loads(said.out)["webhooks"] is None


async def test_webhooks_that_may_not_be_made_are_a_line_among_the_others(tmp_path: Path) -> None:
    """How access stands is told all the same, and a daemon is asked to read everything: without
    webhooks it hears of nothing sooner.
    """
    floor = furnished(tmp_path)
    refused = {"webhookSubscription": None, "userErrors": [{"field": None, "message": "No."}]}
    floor.shopify.door.handlers = {
        **floor.shopify.door.handlers,
        "Subscribe": lambda _: {"webhookSubscriptionCreate": refused},
    }
    async with floor.open():
        configured(floor)
        said = await typed_here(floor, "connect", SHOPIFY, "--json")
        told = json.loads(said.out)
        lines = {line["what"]: line for line in told["data"]}
        assert said.code == 1
        assert lines["scopes"]["ok"]
        assert "No." in lines["webhooks"]["told"]
        assert lines["webhooks"]["mend"]
        assert told["webhooks"] is None
        assert told["id"].startswith("rq-")
        planned = await typed_here(floor, "connect", SHOPIFY)
        assert "✔ scopes" in planned.out
        assert "✖ webhooks" in planned.out


async def test_refused_credentials_are_found_where_nothing_is_mapped(tmp_path: Path) -> None:
    """Faire and a website of one's own: 3 from both commands, and no check mark for anybody."""
    clock, dice = CLOCK.now, random.Random(1)
    shops = (
        FaireShop("faire", clock=clock, dice=dice, access_token="another"),
        GenericShop("site", clock=clock, dice=dice, access_token="another", webhook_key=KEY),
    )
    floor = furnished(tmp_path)
    async with AsyncExitStack() as stack:
        faire, site = [
            (await stack.enter_async_context(serve(each, sleep=CLOCK.sleep))).base_url
            for each in shops
        ]
        await stack.enter_async_context(floor.open())
        with (tmp_path / "stockpush.toml").open("a") as file:
            file.write(
                f'[channels.faire]\nconnector = "faire"\nbase_url = "{faire}"\n'
                f'access_token = "wrong"\n[channels.site]\nconnector = "generic"\n'
                f'base_url = "{site}"\naccess_token = "wrong"\nwebhook_secret = "{SECRET}"\n'
            )
        found = await page(floor, 3)
        for name in ("faire", "site"):
            assert not found[(name, "access")]["ok"]
            said = await typed_here(floor, "connect", name)
            assert (said.code, "✔" in said.out) == (3, False), said


@pytest.mark.parametrize(
    ("answer", "told", "mend"),
    [
        (
            b"HTTP/1.1 301 M\r\nlocation: https://www.b.example/\r\n",
            "redirects (301)",
            "public_url",
        ),
        (b"HTTP/1.1 404 N\r\n", "404", "proxy"),
        (b"HTTP/1.1 502 B\r\n", "answers 502", "proxy's log"),
    ],
)
async def test_an_address_that_loses_deliveries_is_found(
    tmp_path: Path, answer: bytes, told: str, mend: str
) -> None:
    """F11: no sender follows a redirect, so a public address that redirects is wrong."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + b"content-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    floor = furnished(tmp_path)
    async with server, floor.open():
        port = server.sockets[0].getsockname()[1]
        configured(floor, public=f"http://127.0.0.1:{port}")
        line = (await page(floor, 1))[(None, "public address")]
    assert told in line["told"]
    assert mend in line["mend"]


async def test_a_mistake_in_the_configuration_ends_the_page(tmp_path: Path) -> None:
    """2, with the setting and what to type; one channel's mistake leaves the others alone."""
    floor = furnished(tmp_path)
    async with floor.open():
        path = floor.folder / "stockpush.toml"
        text = path.read_text()
        path.write_text(text.replace("[daemon]", "[deamon]", 1))
        assert not (await page(floor, 2))[(None, "configuration")]["ok"]
        path.write_text(text.replace("access_token", "acces_token", 1))
        found = await page(floor, 1)
        assert "access_token" in found[(SHOPIFY, "configuration")]["told"]
        assert found[(WOO, "access")]["ok"]


async def test_an_app_is_granted_its_first_token(tmp_path: Path) -> None:
    """Client credentials: `connect` asks for a token, which the next command uses."""
    access = Access("app", "app-secret", CLOCK.now, random.Random(5))
    shop = ShopifyShop(
        SHOPIFY,
        clock=CLOCK.now,
        dice=random.Random(1),
        access_token=None,
        webhook_secret=SHOPIFY_SECRET,
        domain=DOMAIN,
        access=access,
    )
    floor = furnished(tmp_path, shopify=shop)
    async with floor.open():
        path = floor.folder / "stockpush.toml"
        lines = [
            'client_id = "app"\nclient_secret = "app-secret"'
            if line.startswith("access_token")
            else line
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")
        said = await typed_here(floor, "connect", SHOPIFY)
        assert (said.code, access.granted) == (0, 1), said
        assert (await typed_here(floor, "doctor")).code == 0
        assert access.granted == 1


# -- a person in a browser -----------------------------------------------------------------------


@dataclass
class Browser:
    """A platform whose owner agrees in a browser, and its connector."""

    channel: str = "my-woo"
    refresh: str | None = None
    asked: list[str] = field(default_factory=list)

    def base_url(self) -> str:
        """Any root."""
        return "https://platform.example"

    def renewal(self) -> Browser:
        """This one: `base.Renewal`."""
        return self

    def first(self) -> Tokens:
        """Nothing is configured."""
        return Tokens("")

    def authorize_url(self, redirect_uri: str, *, state: str, verifier: str) -> str:
        """Where to agree; the verifier itself never stands in it."""
        return f"https://platform.example/agree?back={redirect_uri}&state={state}"

    def exchange(
        self, redirected: str, redirect_uri: str, *, state: str, verifier: str
    ) -> TokenCall:
        """The code and the verifier."""
        if not redirected.endswith(f"&state={state}"):
            raise AuthFailed("The code belongs to another request than ours.")
        return TokenCall("token", {}, f"{redirect_uri} {verifier}".encode())

    def first_tokens(self, answer: Answer, *, now: datetime) -> Tokens:
        """A pair."""
        return Tokens(answer.body.decode(), now + timedelta(hours=1), "refresh-1")


@asynccontextmanager
async def parts_of(folder: Path) -> AsyncIterator[compose.Parts]:
    """A business with one configured channel and a public address."""
    floor = furnished(folder)
    async with floor.open():
        configured(floor, public="https://stock.example")
        settings = Settings.load(folder / "stockpush.toml", {})
        async with compose.parts(settings, connectors={}) as parts:
            yield parts


async def test_a_person_grants_access_in_a_browser(tmp_path: Path) -> None:
    """The address is shown, the one where the browser ends is traded, and the pair is kept."""
    browser = Browser()
    shown: list[str] = []

    def agree(address: str) -> str:
        shown.append(address)
        return "https://stock.example/connected?code=c&" + address.rpartition("&")[2]

    async def endpoint(*asked: Any) -> tuple[int, Mapping[str, str], bytes]:
        browser.asked.append(asked[-1].decode())
        return 200, {}, b"access-1"

    async with parts_of(tmp_path) as parts:
        connector = cast("Connector", browser)
        connect = compose.connect(parts.settings.channels[WOO])
        browser.manifest = connect.manifest  # type: ignore[attr-defined]
        async with accounts.door(parts, WOO, connector, transport=in_process(endpoint)) as api:
            assert await accounts.grant(parts, WOO, connector, api, redirect=None, ask=agree)
            (asked,) = browser.asked
            back, verifier = asked.split()
            assert back == "https://stock.example/connected"
            assert len(verifier) == 43
            assert verifier not in shown[0]
            kept = await parts.store.credential(WOO)
            assert kept is not None
            assert b"access-1" not in kept.sealed
            with pytest.raises(AuthFailed):
                await accounts.grant(
                    parts, WOO, connector, api, redirect="https://x.example/", ask=lambda _: "no"
                )


async def test_without_an_address_to_come_back_to_nothing_is_asked(tmp_path: Path) -> None:
    """The option to type is named."""
    floor = furnished(tmp_path)
    async with floor.open(), floor.unstarted() as parts:
        browser = Browser()
        browser.manifest = parts.connectors[WOO].manifest  # type: ignore[attr-defined]
        connector = cast("Connector", browser)
        async with accounts.door(parts, WOO, connector) as api:
            with pytest.raises(UsageError) as caught:
                await accounts.grant(parts, WOO, connector, api, redirect=None, ask=str)
        assert caught.value.next == f"stockpush connect {WOO} --redirect URL"
        plain = parts.connectors[SHOPIFY]
        async with accounts.door(parts, SHOPIFY, plain) as api:
            assert not await accounts.grant(parts, SHOPIFY, plain, api, redirect=None, ask=str)


async def test_a_location_is_chosen_before_anything_is_worked(tmp_path: Path) -> None:
    """`run` refuses and names the command; `connect` lists what there is and makes no webhooks.
    With the line that it shows in the configuration, it does its work.
    """
    floor = furnished(tmp_path)
    floor.shopify.inventory.locations = (floor.shopify.location, 77)
    async with floor.open():
        configured(floor)
        path = floor.folder / "stockpush.toml"
        whole = path.read_text()
        lines = [each for each in whole.splitlines() if not each.startswith("location")]
        path.write_text("\n".join(lines))
        refused = await typed(floor, "run")
        assert refused.code == 2
        assert f"Next: stockpush connect {SHOPIFY}" in refused.err
        said = await typed_here(floor, "connect", SHOPIFY)
        assert said.code == 1
        assert "none is chosen; the shop has 2" in said.out
        assert 'set location = "gid://shopify/Location/' in said.out
        assert floor.shopify.outbox.subscriptions == []
        found = await page(floor, 1)
        assert [what for channel, what in found if channel == SHOPIFY] == [
            "access",
            "API version",
            "shop",
            "scopes",
            "old orders",
            "location",
        ]
        path.write_text(whole)
        assert (await typed_here(floor, "connect", SHOPIFY)).code == 0
        assert floor.shopify.outbox.subscriptions
