"""SIGTERM while a push is under way, a second daemon, and a crash of the first migration."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from stockpush.sim.candle_shop import SHOPIFY, WOO
from tests.crash.process import READY_WITHIN_S, Daemon, spawn, typed
from tests.crash.test_kill import opened
from tests.whole.harness import Floor, free_port

SHARES = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
"""When `migrate` is killed, in shares of the time that it takes; importing is most of it."""
HOLD_UP_S = 3.0
"""How long the slow shop takes over a write."""


class SlowShop:
    """A proxy before a shop that is slow to answer writes: before it asks the shop, or after."""

    def __init__(self, shop_port: int, *, slow_after: bool) -> None:
        """Pass everything on to the shop at `shop_port`."""
        self._shop_port = shop_port
        self._slow_after = slow_after
        self._server: asyncio.Server | None = None
        self.is_slow = False
        self.writes = asyncio.Event()
        """Set when a write has come in while the shop is slow."""
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.close()

    async def _pass_on(self, ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await ours.readuntil(b"\r\n\r\n"):
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                body = await ours.readexactly(length)
                slow = self.is_slow and (head.startswith(b"PUT") or b"inventorySet" in body)
                if slow:
                    self.writes.set()
                if slow and not self._slow_after:
                    await asyncio.sleep(HOLD_UP_S)
                reader, writer = await asyncio.open_connection("127.0.0.1", self._shop_port)
                once = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                writer.write(once + body)
                answer = await reader.read()
                writer.close()
                if slow and self._slow_after:
                    await asyncio.sleep(HOLD_UP_S)
                back.write(answer)
                await back.drain()
                break
        back.close()


@pytest.mark.crash
@pytest.mark.parametrize("slow_after", [False, True], ids=["before", "after"])
async def test_sigterm_in_the_middle_of_a_push(tmp_path: Path, slow_after: bool) -> None:
    """It ends with 0 in time; whatever became of the push, the next start shows the right number.

    The shop is slow before it has the write, or after.
    """
    dice = random.Random(5)
    async with opened(tmp_path, seed=5, database=None) as market:
        floor = market.floor
        config = tmp_path / "stockpush.toml"
        text = config.read_text()
        (shop_port,) = {
            int(line.rpartition(":")[2].strip('"'))
            for line in text[text.index(f"[channels.{WOO}]") :].splitlines()
            if line.startswith("base_url")
        }
        daemon = Daemon(floor)
        async with SlowShop(shop_port, slow_after=slow_after) as slow:
            config.write_text(text.replace(f":{shop_port}", f":{slow.port}"))
            try:
                await daemon.start()
                await daemon.ready()
                market.daemon_is_up = True
                await market.settled()
                slow.is_slow = True
                market.buy(SHOPIFY)
                async with asyncio.timeout(READY_WITHIN_S):
                    await slow.writes.wait()
                await asyncio.sleep(dice.uniform(0, HOLD_UP_S / 2))
                await daemon.stop()
                slow.is_slow = False
                await daemon.start()
                await daemon.ready()
                market.buy(SHOPIFY)
                await market.settled()
                await daemon.stop()
            finally:
                await daemon.make_sure_it_ended()
        assert (await typed(floor, "check", "--deep")).code == 0


@pytest.mark.parametrize("stops", [4, pytest.param(60, marks=pytest.mark.crash)])
async def test_sigterm_at_any_instant_under_load(tmp_path: Path, stops: int) -> None:
    """From before it listens until long after: it ends with 0, or of the signal before it began."""
    dice = random.Random(6)
    took_s: list[float] = []
    async with opened(tmp_path, seed=6, database=None) as market:
        daemon = Daemon(market.floor)
        shoppers = asyncio.create_task(market.shop(every_s=0.05))
        try:
            for number in range(stops):
                await daemon.start()
                early = number % 4 == 3
                if not early:
                    await daemon.ready()
                    market.daemon_is_up = True
                await asyncio.sleep(dice.uniform(0, 1.2 if early else 0.5))
                market.daemon_is_up = False
                took_s.append(await daemon.stop(early=early))
            assert await market.lost() == []
        finally:
            shoppers.cancel()
            await daemon.make_sure_it_ended()
    sys.stdout.write(f"{stops} times SIGTERM: the slowest end took {max(took_s):.2f} s\n")
    assert (await typed(market.floor, "check", "--deep")).code == 0


@pytest.mark.parametrize(
    "postgres", [pytest.param(False, marks=pytest.mark.crash), True], ids=["sqlite", "postgres"]
)
async def test_a_second_daemon_is_refused_and_the_first_goes_on(
    tmp_path: Path, postgres_url: str, postgres: bool
) -> None:
    """It ends with 1 and says who has the database; sales go on being taken."""
    async with opened(tmp_path, seed=7, database=postgres_url if postgres else None) as market:
        floor = market.floor
        daemon = Daemon(floor)
        try:
            await daemon.start()
            await daemon.ready()
            market.daemon_is_up = True
            second = await typed(floor, "run")
            assert second.code == 1
            assert "Another Stock Push daemon" in second.err
            assert postgres or str(daemon.process.pid) in second.err
            before = market.acknowledgements
            market.buy()
            await floor.until(lambda: market.acknowledgements > before, "the first one's answer")
            assert (await daemon.readiness())[0] == 200
            await daemon.stop()
        finally:
            await daemon.make_sure_it_ended()


@pytest.mark.parametrize(
    ("postgres", "shares"),
    [
        pytest.param(False, (0.9,), id="once"),
        pytest.param(False, SHARES, id="sqlite", marks=pytest.mark.crash),
        pytest.param(True, SHARES, id="postgres", marks=pytest.mark.crash),
    ],
)
async def test_kill_9_during_the_first_migration(
    tmp_path: Path, postgres_url: str, postgres: bool, shares: tuple[float, ...]
) -> None:
    """Wherever it was killed, the next command finds a whole schema or makes one."""
    floor = Floor(tmp_path, database=postgres_url if postgres else None, listen_port=free_port())
    floor._configure("http://127.0.0.1:1", "http://127.0.0.1:1", 3600, "shadow")
    begun = asyncio.get_running_loop().time()
    process = await spawn(floor, "migrate")
    await process.communicate()
    whole_s = asyncio.get_running_loop().time() - begun
    await emptied(floor)
    # The migration is what comes last before the end.
    for share in shares:
        process = await spawn(floor, "migrate")
        await asyncio.sleep(whole_s * share)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        said = await typed(floor, "check", "--deep")
        assert said.code == 0, (share, said)
        await emptied(floor)


async def emptied(floor: Floor) -> None:
    """Begin anew."""
    if floor.database is None:
        for each in floor.folder.glob("stockpush.db*"):
            each.unlink()
        return
    import asyncpg

    address, _, schema = floor.database.partition("&schema=")
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    finally:
        await connection.close()
