"""Access that runs out: one renews it, it is durable before it is used, and it is never shown.

The platform is a function that rotates its tokens as Etsy does: an old refresh token is worth
nothing from the moment a new one was granted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from stockpush import keys, logs
from stockpush.connectors.base import Answer, Connector, TokenCall, Tokens
from stockpush.engine.channel import Channel
from stockpush.engine.credentials import LEASE, MARGIN, SAVE_TRIES_MAX, Seal, Vault
from stockpush.engine.limiter import Limiter
from stockpush.engine.transport import ChannelApi, in_process
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    OutcomeUnknown,
    RateLimited,
    StoreUnavailable,
)
from stockpush.model import ChannelPolicy, Credential, Health
from stockpush.store.sql import SqlStore
from tests.engine.test_transport import Dice, PlainConnector, StepClock, manifest
from tests.sqlite import put_empty

KEY = b"k" * keys.SECRET_KEY_BYTES
SHOP = "my-etsy"
HOUR = timedelta(hours=1)
PATH = "oauth/token"


@dataclass
class Rotating:
    """`connectors.base.Renewal` of a platform that answers with the next pair in JSON."""

    refresh: str | None = "refresh-0"

    def first(self) -> Tokens:
        """What the configuration says."""
        return Tokens("", refresh=self.refresh)

    def call(self, tokens: Tokens) -> TokenCall:
        """The refresh token in the body."""
        if tokens.refresh is None:
            raise AuthFailed("No access was granted yet")
        return TokenCall(PATH, {"content-type": "text/plain"}, tokens.refresh.encode())

    def granted(self, tokens: Tokens, answer: Answer, *, now: datetime) -> Tokens:
        """The next pair, for an hour; what is refused needs a person."""
        if answer.status != 200:
            raise AuthFailed("The grant is no longer valid")
        access, refresh = json.loads(answer.body)
        return Tokens(access, now + HOUR, refresh)


@dataclass
class Platform:
    """Grants and checks tokens. `log` is what was asked of it, in order."""

    log: list[str] = field(default_factory=list)
    number: int = 0
    valid: set[str] = field(default_factory=set)
    status: int = 200
    dropping: int = 0
    pause: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer the token endpoint, and anything else for whoever shows valid access."""
        if not path.endswith(PATH):
            self.log.append(f"{method} {headers['x-access-token']}")
            return (self.status if headers["x-access-token"] in self.valid else 401), {}, b"{}"
        assert "x-access-token" not in headers, "no other credentials go to the token endpoint"
        self.log.append(f"renew {body.decode()}")
        self.asked.set()
        if self.pause is not None:
            await self.pause.wait()
        if body.decode() != f"refresh-{self.number}":
            return 400, {}, b'{"error": "invalid_grant"}'
        self.number += 1
        self.valid = {f"access-{self.number}"}
        if self.dropping:
            self.dropping -= 1
            raise ConnectionResetError
        return 200, {}, json.dumps([f"access-{self.number}", f"refresh-{self.number}"]).encode()


@dataclass
class TokenConnector(PlainConnector):
    """A connector whose header is the access token that it is given."""

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """The newest access."""
        assert tokens is not None
        return {"X-Access-Token": tokens.access}


@dataclass
class World:
    """One channel of one business; each process that works on it has its own vault and door."""

    store: Any
    clock: StepClock
    platform: Platform

    def vault(self, renewal: Rotating | None = None, store: Any = None) -> Vault:
        """The vault of one more process."""
        context = f"credential:{SHOP}"
        seal = Seal(
            partial(keys.encrypt, KEY, context=context),
            partial(keys.decrypt, KEY, context=context),
            partial(keys.fingerprint, KEY, context=context),
        )
        return Vault(
            SHOP,
            renewal or Rotating(),
            store=store or self.store,
            clock=self.clock,
            seal=seal,
        )

    @asynccontextmanager
    async def door(self, vault: Vault | None = None) -> AsyncIterator[ChannelApi]:
        """The door of one more process."""
        connector = TokenConnector("https://shop.example", manifest(20), channel=SHOP)
        api = ChannelApi(
            cast("Connector", connector),
            clock=self.clock,
            ids=Dice(),
            limiter=Limiter(self.clock, rate=1000, burst=1000),
            vault=vault or self.vault(),
            transport=in_process(self.platform.handle),
        )
        async with api:
            yield api


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A business with a database and a channel that grants refresh-0."""
    put_empty(tmp_path / "shop.db")
    store = await SqlStore.open(f"sqlite:///{tmp_path / 'shop.db'}")
    yield World(store, StepClock(), Platform())
    await store.close()


async def get(api: ChannelApi) -> Answer:
    """Read something."""
    return await api.send("GET", "orders", write=False)


async def test_the_first_call_renews_and_the_next_ones_do_not(world: World) -> None:
    """What the configuration says is renewed once, and used until it is about to run out."""
    async with world.door() as api:
        await get(api)
        await get(api)
        assert world.platform.log == ["renew refresh-0", "GET access-1", "GET access-1"]
        world.clock.at += (HOUR - MARGIN).total_seconds() - 1
        await get(api)
        world.clock.at += 1
        await get(api)
    assert world.platform.log[3:] == ["GET access-1", "renew refresh-1", "GET access-2"]


async def test_what_was_renewed_wins_over_the_configuration(world: World) -> None:
    """Another start takes what the database has, and does not use the configured token again."""
    async with world.door() as api:
        await get(api)
    async with world.door() as again:
        await get(again)
    assert world.platform.log == ["renew refresh-0", "GET access-1", "GET access-1"]


async def test_a_changed_configuration_wins_once(world: World) -> None:
    """A person who writes another token into the configuration means it; then the row wins."""
    async with world.door() as api:
        await get(api)
    world.platform.number, world.platform.log = 70, []
    changed = Rotating("refresh-70")
    async with world.door(world.vault(changed)) as api:
        await get(api)
    async with world.door(world.vault(changed)) as api:
        await get(api)
    assert world.platform.log == ["renew refresh-70", "GET access-71", "GET access-71"]


async def test_a_process_with_the_former_configuration_takes_what_the_new_one_got(
    world: World,
) -> None:
    """`connect` has read the changed file, the running daemon has not: they do not take turns."""
    daemon = world.vault()
    async with world.door(daemon) as old:
        await get(old)
        world.platform.number, world.platform.valid = 70, set()
        async with world.door(world.vault(Rotating("refresh-70"))) as new:
            await get(new)
        world.platform.log.clear()
        await get(old)
        world.clock.at += HOUR.total_seconds()
        await get(old)
        async with world.door(world.vault(Rotating("refresh-70"))) as new:
            await get(new)
    assert world.platform.log == [
        "GET access-1",
        "GET access-71",
        "renew refresh-71",
        "GET access-72",
        "GET access-72",
    ]


async def test_a_configuration_that_says_nothing_leaves_the_row(world: World) -> None:
    """A token that was taken out of the configuration does not take away what was granted."""
    async with world.door() as api:
        await get(api)
    async with world.door(world.vault(Rotating(None))) as api:
        await get(api)
    assert world.platform.log[-1] == "GET access-1"


async def test_many_tasks_renew_once(world: World) -> None:
    """Fifty calls at once ask for new access once (F38)."""
    async with world.door() as api:
        await asyncio.gather(*(get(api) for _ in range(50)))
    assert world.platform.log.count("renew refresh-0") == 1
    assert world.platform.log.count("GET access-1") == 50


async def test_two_processes_renew_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two processes one renews, the other waits for it and takes what it saved (F38)."""
    pause, done = asyncio.Event(), asyncio.Event()
    world.platform.pause = pause
    sleep = world.clock.sleep

    async def look_again(seconds: float) -> None:
        await sleep(seconds)
        if len(world.clock.slept) == 3:  # the other one has looked, and looked again
            pause.set()
            await done.wait()  # no time passes while the first one is answered

    async def ask(api: ChannelApi) -> None:
        await get(api)
        done.set()

    monkeypatch.setattr(world.clock, "sleep", look_again)
    async with world.door() as one, world.door() as two:
        await asyncio.gather(ask(one), ask(two))
    assert world.platform.log == ["renew refresh-0", "GET access-1", "GET access-1"]


async def test_access_that_is_refused_is_renewed_once(world: World) -> None:
    """A 401 before its time renews and sends the request again, a write too: it did nothing."""
    async with world.door() as api:
        await get(api)
        world.platform.valid = set()
        await api.send("PUT", "stock", write=True, body=b"{}")
        assert world.platform.log[2:] == ["PUT access-1", "renew refresh-1", "PUT access-2"]


async def test_access_that_is_refused_again_is_no_storm(world: World) -> None:
    """Where new access is refused as well, the call fails after one renewal (F40)."""
    async with world.door() as api:
        await get(api)
        before = len(world.platform.log)
        world.platform.valid, world.platform.status = set(), 401
        with pytest.raises(AuthFailed):
            await get(api)
    assert world.platform.log[before:] == ["GET access-1", "renew refresh-1", "GET access-2"]


async def test_a_scope_that_is_missing_renews_nothing(world: World) -> None:
    """403 means that access does not allow it: new access would not either."""
    async with world.door() as api:
        world.platform.status = 403
        with pytest.raises(AuthFailed):
            await get(api)
    assert world.platform.log == ["renew refresh-0", "GET access-1"]


async def test_a_dead_grant_is_asked_for_once_and_needs_a_person(world: World) -> None:
    """The next command is named, the endpoint is left in peace, and `connect` mends it (F39)."""
    world.platform.number = 9
    vault = world.vault()
    async with world.door(vault) as api:
        for _ in range(3):
            with pytest.raises(AuthFailed) as failed:
                await get(api)
            assert failed.value.next == f"stockpush connect {SHOP}"
        assert world.platform.log == ["renew refresh-0"]
        channel = Channel(SHOP, cast("Connector", None), api, api, ChannelPolicy(SHOP, "etsy"), 60)
        channel.failed(failed.value)
        assert channel.health is Health.NEEDS_LOGIN
        assert channel.reason.endswith(f"Next: stockpush connect {SHOP}")
        # Another process connects; this one sees the new row by itself.
        await world.vault().keep(Tokens("", refresh="refresh-9"))
        await get(api)
    assert world.platform.log[1:] == ["renew refresh-9", "GET access-10"]


async def test_without_any_grant_a_person_is_asked(world: World) -> None:
    """Nothing in the configuration and nothing in the database: connect first."""
    async with world.door(world.vault(Rotating(None))) as api:
        with pytest.raises(AuthFailed) as failed:
            await get(api)
    assert failed.value.next == f"stockpush connect {SHOP}"
    assert world.platform.log == []


async def test_an_answer_that_was_lost_is_a_dead_grant(world: World) -> None:
    """The platform rotated and the answer never came: the next try is refused, then a person."""
    world.platform.dropping = 1
    async with world.door() as api:
        with pytest.raises(ChannelUnavailable):
            await get(api)
        with pytest.raises(AuthFailed) as failed:
            await get(api)
    assert failed.value.next == f"stockpush connect {SHOP}"
    assert world.platform.log == ["renew refresh-0", "renew refresh-0"]


class FullDisk:
    """A database that stores no access for a while."""

    def __init__(self, store: SqlStore, failures: int) -> None:
        self.store, self.failures, self.tried = store, failures, 0

    async def credential(self, channel: str) -> Credential | None:
        """Reading works."""
        return await self.store.credential(channel)

    async def keep_credential(self, credential: Credential) -> bool:
        """The lease is taken; what follows fails."""
        self.tried += 1
        if 2 <= self.tried < 2 + self.failures:
            raise StoreUnavailable
        return await self.store.keep_credential(credential)


async def test_access_that_cannot_be_saved_is_not_used(world: World) -> None:
    """It is kept in memory and saved by a later call, before anything is sent with it (F39)."""
    full = FullDisk(world.store, SAVE_TRIES_MAX)
    async with world.door(world.vault(store=full)) as api:
        with pytest.raises(ChannelUnavailable, match="cannot be saved"):
            await get(api)
        assert world.platform.log == ["renew refresh-0"]
        await get(api)
    assert world.platform.log == ["renew refresh-0", "GET access-1"]


async def test_a_caller_that_gives_up_does_not_lose_the_answer(world: World) -> None:
    """A stop cancels the call and not the renewal, which ends before the door is closed."""
    world.platform.pause = asyncio.Event()
    async with world.door() as api:
        call = asyncio.create_task(get(api))
        await world.platform.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        world.platform.pause.set()
    async with world.door() as again:
        await get(again)
    assert world.platform.log == ["renew refresh-0", "GET access-1"]


async def test_a_lease_that_nobody_gives_back_lapses(world: World) -> None:
    """A process that died while it renewed is waited for as long as its lease, and no longer."""
    asked = asyncio.Event()

    async def never(_: TokenCall) -> Answer:
        asked.set()
        return await asyncio.Event().wait()

    dead = world.vault()
    dying = asyncio.create_task(dead.tokens(never))
    await asked.wait()
    dying.cancel()
    async with world.door() as api:
        await get(api)
    assert world.platform.log == ["renew refresh-0", "GET access-1"]
    assert sum(world.clock.slept) == pytest.approx(LEASE.total_seconds(), abs=1)


async def test_a_clock_that_was_set_back_holds_nobody_up(world: World) -> None:
    """A lease that ends later than any can is no lease."""
    await world.vault().keep(Tokens("", refresh="refresh-0"))
    row = await world.store.credential(SHOP)
    far = world.clock.now() + timedelta(days=1)
    await world.store.keep_credential(replace(row, version=row.version + 1, leased_until=far))
    async with world.door() as api:
        await get(api)
    assert world.clock.slept == []


async def test_a_person_who_connects_meanwhile_has_the_last_word(world: World) -> None:
    """A renewal that ends after `connect` saves nothing and uses what was granted by hand."""
    world.platform.pause = asyncio.Event()
    async with world.door() as api:
        call = asyncio.create_task(get(api))
        await world.platform.asked.wait()
        by_hand = Tokens("by-hand", world.clock.now() + HOUR, "refresh-by-hand")
        await world.vault().keep(by_hand)
        world.platform.pause.set()
        with pytest.raises(AuthFailed):
            await call  # the emulated platform does not know it
    assert world.platform.log[:2] == ["renew refresh-0", "GET by-hand"]


@pytest.mark.parametrize(
    ("status", "error"), [(500, ChannelUnavailable), (503, ChannelUnavailable), (429, RateLimited)]
)
async def test_an_endpoint_in_trouble_is_asked_again(
    world: World, status: int, error: type[Exception]
) -> None:
    """Trouble of the platform is no refusal: the lease is given back, the next call asks again."""

    async def troubled(*_: Any) -> tuple[int, Mapping[str, str], bytes]:
        world.platform.log.append("trouble")
        return status, {}, b"<html>"

    vault = world.vault()
    async with world.door(vault) as api:
        wire = api._wire
        real, wire._client = wire._client, _client(troubled)
        with pytest.raises(error):
            await get(api)
        wire._client = real
        await get(api)
    assert world.platform.log == ["trouble", "renew refresh-0", "GET access-1"]


def _client(handler: Any) -> Any:
    import httpx

    return httpx.AsyncClient(transport=in_process(handler))


async def test_a_sealed_pair_opens_in_no_other_row(world: World) -> None:
    """Tokens are nowhere readable in the file, and a row of another channel does not open (S16)."""
    async with world.door() as api:
        await get(api)
    row = await world.store.credential(SHOP)
    assert row is not None
    assert b"access-1" not in row.sealed
    assert "refresh" not in row.origin
    with pytest.raises(Exception, match="another secret key or row"):
        keys.decrypt(KEY, row.sealed, "credential:other")


async def test_another_secret_key_asks_for_a_person(world: World) -> None:
    """What cannot be opened is not used, and it is said why."""
    async with world.door() as api:
        await get(api)
    seal = Seal(
        partial(keys.encrypt, b"x" * 32, context="c"),
        partial(keys.decrypt, b"x" * 32, context="c"),
        partial(keys.fingerprint, KEY, context=f"credential:{SHOP}"),
    )
    other = Vault(SHOP, Rotating(), store=world.store, clock=world.clock, seal=seal)
    async with world.door(other) as api:
        with pytest.raises(AuthFailed, match="another secret key"):
            await get(api)


async def test_no_token_is_in_a_log_line_or_an_error(world: World) -> None:
    """Neither what is renewed nor what fails to be tells a token (I12)."""
    lines: list[logs.Line] = []
    logs.configure(json=True, lines=lines.append)
    world.platform.dropping = 1
    async with world.door() as api:
        for _ in range(2):
            with pytest.raises((ChannelUnavailable, AuthFailed, OutcomeUnknown)) as failed:
                await get(api)
            assert "refresh-" not in f"{failed.value!r} {failed.value.as_json()}"
    await world.vault().keep(Tokens("", refresh=f"refresh-{world.platform.number}"))
    async with world.door() as api:
        await get(api)
    assert [line["event"] for line in lines] == ["access.renewed"]
    shown = repr(
        [lines, Tokens("access-1", refresh="refresh-1"), await world.store.credential(SHOP)]
    )
    assert "access-" not in shown
    assert "refresh-" not in shown
