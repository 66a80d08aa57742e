"""`connect` on Etsy as its owner has it: a process, a browser, an app, over real HTTP on loopback.

The browser is this test: it opens the address that the command prints, presses the button on the
shop's page, and what it would have in its address bar then is pasted into the process.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stockpush import compose, keys
from stockpush.settings import Settings
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.server import serve
from tests.crash.process import READY_WITHIN_S, Said, exchange, spawn
from tests.whole.harness import CLOCK

NAME, SHOP_ID = "my-etsy", 77
KEYSTRING, SHARED_SECRET = "key-not-real", "shared-not-real"
BACK = "https://stock.example/connected"


@dataclass
class Business:
    """A folder with a configuration, and the shop that it names."""

    folder: Path
    shop: EtsyShop
    root: str

    def configure(self, *, public: str | None = "https://stock.example", **changes: str) -> None:
        """Write the configuration; a setting of "" is left out."""
        given = {
            "connector": "etsy",
            "base_url": self.root,
            "authorize_url": f"{self.root}/oauth/connect",
            "keystring": KEYSTRING,
            "shared_secret": SHARED_SECRET,
            "shop_id": str(SHOP_ID),
            **changes,
        }
        rows = "\n".join(f'{name} = "{value}"' for name, value in given.items() if value)
        (self.folder / "stockpush.toml").write_text(f"""
[daemon]
database = "sqlite:///{self.folder}/stockpush.db"
secret_key = "file:{self.folder}/secret.key"
admin_token = "{"t" * 43}"
{f'public_url = "{public}"' if public else ""}
[channels.{NAME}]
{rows}
""")

    async def typed(self, *arguments: str, stdin: bytes = b"") -> Said:
        """Carry out one command with what is typed into it, known beforehand."""
        process = await spawn(self, *arguments, stdin=asyncio.subprocess.PIPE)
        return await ended(process, stdin)

    async def connected(self, *arguments: str, decision: str = "allow") -> tuple[Said, str]:
        """Connect with a browser beside it; return what was said and the address that was shown."""
        process = await spawn(self, "connect", NAME, *arguments, stdin=asyncio.subprocess.PIPE)
        shown: list[str] = []
        async with asyncio.timeout(READY_WITHIN_S):
            while not shown:
                line = (await process.stderr.readline()).decode()
                assert line, (await process.stdout.read()).decode()
                shown += [each for each in line.split() if "/oauth/connect" in each]
        ended_at = await self.browser(shown[0], decision)
        return await ended(process, f"{ended_at}\n".encode()), shown[0]

    async def browser(self, url: str, decision: str) -> str:
        """Open an address, press a button, and return what the address bar then has."""
        parts = urlsplit(url)
        where = f"{parts.path}?{parts.query}"
        status, _, page = await exchange(parts.port, f"GET {where} HTTP/1.0\r\n\r\n".encode())
        assert (status, b"<form" in page) == (200, True), page
        form = f"decision={decision}"
        request = f"POST {where} HTTP/1.0\r\ncontent-length: {len(form)}\r\n\r\n{form}"
        status, head, _ = await exchange(parts.port, request.encode())
        assert status == 302
        (place,) = [
            value.strip()
            for name, _, value in (line.partition(":") for line in head.splitlines())
            if name.lower() == "location"
        ]
        return place

    async def kept(self) -> bytes | None:
        """Return the sealed access as the database has it."""
        settings = Settings.load(self.folder / "stockpush.toml", {})
        async with compose.parts(settings, connectors={}) as parts:
            row = await parts.store.credential(NAME)
            return None if row is None else row.sealed


async def ended(process: asyncio.subprocess.Process, stdin: bytes) -> Said:
    """Return what a process said, once it has ended."""
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = Said(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in said.out + said.err, said
    return said


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Business]:
    """Serve a shop whose app nobody has granted access yet."""
    shop = EtsyShop(
        NAME,
        clock=CLOCK.now,
        dice=random.Random(1),
        shop_id=SHOP_ID,
        keystring=KEYSTRING,
        shared_secret=SHARED_SECRET,
        refresh_token="nobody-has-this-one",
    )
    shop.access.redirects = frozenset({BACK})
    (folder / "secret.key").write_text(keys.new_secret_key())
    (folder / "secret.key").chmod(0o600)
    async with serve(shop, sleep=CLOCK.sleep) as served:
        business = Business(folder, shop, served.base_url)
        business.configure()
        yield business


@pytest.fixture
async def business(tmp_path: Path) -> AsyncIterator[Business]:
    """Return a business with one channel, on a shop that answers."""
    async with opened(tmp_path) as business:
        yield business


async def test_access_is_granted_in_a_browser_and_lasts(business: Business) -> None:
    """Nobody had granted anything; afterwards every command has access, renewed by one pair each.

    The pair that a renewal brings is kept before it is used: the next command uses that one.
    """
    assert (await business.typed("connect", NAME, "--dry-run")).code == 3
    said, shown = await business.connected()
    assert said.code == 0, said
    assert "EmulatedShop has the number 77" in said.out
    assert "Webhooks: none, since no webhook_secret is configured" in said.out
    assert "Polling finds a sale within 60 s in any case" in said.out
    assert "code_challenge_method=S256" in shown
    assert SHARED_SECRET not in shown
    first = await business.kept()
    business.shop.access.end()  # an hour later
    for _ in range(2):
        doctor = json.loads((await business.typed("doctor", "--json")).out)["data"]
        assert {line["what"]: line["ok"] for line in doctor if line["channel"] == NAME} == {
            "clock": True, "access": True, "shop": True, "scopes": True,
            "listings": True, "webhooks": True,
        }  # fmt: skip
    assert business.shop.access.refreshed == 1
    assert await business.kept() != first


async def test_two_commands_at_once_use_one_refresh_token_once(business: Business) -> None:
    """One renews and the others wait for it: the token that was used up is never tried again."""
    await business.connected()
    business.shop.access.end()
    said = await asyncio.gather(*(business.typed("connect", NAME, "--json") for _ in range(3)))
    assert [each.code for each in said] == [0, 0, 0], said
    assert business.shop.access.refreshed == 1


async def test_the_shop_s_number_need_not_be_known(business: Business) -> None:
    """Without it the daemon names `connect`, which tells it; with it all is well."""
    business.configure(shop_id="")
    refused = await business.typed("run")
    assert refused.code == 2
    assert f"Next: stockpush connect {NAME}" in refused.err
    doctor = json.loads((await business.typed("doctor", "--json")).out)["data"]
    assert any(line["mend"] == f"stockpush connect {NAME}" for line in doctor)
    said, _ = await business.connected("--json")
    (shop,) = [line for line in json.loads(said.out)["data"] if line["what"] == "shop"]
    assert (said.code, shop["ok"]) == (1, False)
    assert f"set shop_id = {SHOP_ID} under [channels.{NAME}]" in shop["mend"]
    business.configure()
    again = await business.typed("connect", NAME)
    assert again.code == 0, again
    assert "Open this address" not in again.err


async def test_whoever_says_no_is_told_how_to_begin_again(business: Business) -> None:
    """Nothing is kept, the exit code is that of credentials, and the command names the channel."""
    said, _ = await business.connected(decision="deny")
    assert said.code == 3
    assert f"Next: stockpush connect {NAME}" in said.err
    assert business.shop.access.refreshed == 0


@pytest.mark.parametrize("pasted", [b"", b"https://stock.example/connected\n", b"http://[bad\n"])
async def test_what_is_no_address_with_a_code_is_a_slip(business: Business, pasted: bytes) -> None:
    """Nobody there, the wrong line, no address at all: 2, and no trace of a program."""
    said = await business.typed("connect", NAME, stdin=pasted)
    assert said.code == 2, said
    assert "/oauth/connect?" in said.err
    assert said.out == ""


async def test_a_wrong_key_asks_nobody_for_anything(business: Business) -> None:
    """Granting access anew would not mend it."""
    await business.connected()
    business.configure(shared_secret="of-another-app")
    said = await business.typed("connect", NAME, "--json")
    (access,) = json.loads(said.out)["data"]
    assert (said.code, access["ok"]) == (3, False)
    assert "keystring and shared_secret" in access["mend"]
    assert said.err == ""


async def test_another_address_may_be_registered(business: Business) -> None:
    """`--redirect` names it; without it and without `public_url` it is asked for."""
    business.configure(public=None)
    slip = await business.typed("connect", NAME, "--json")
    assert json.loads(slip.out)["error"]["next"] == f"stockpush connect {NAME} --redirect URL"
    business.shop.access.redirects = frozenset({"https://example.org/cb"})
    said, _ = await business.connected("--redirect", "https://example.org/cb")
    assert said.code == 0, said
    assert "no address is configured for them" in said.out
