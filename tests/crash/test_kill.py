"""kill -9 of the daemon, at the n-th acknowledgement and at any other instant, under load.

One daemon database per run and many kills of it: what the tenth crash breaks may show after the
eleventh. `make crash` runs the full numbers, the suite a sample.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.crash.market import Market, Shown
from tests.crash.process import Daemon, percentile, typed
from tests.whole.harness import Floor, free_port

READY_S_MAX = 2.0
"""From start to ready, p99, on a machine that has a processor for it (docs/operations.md)."""
SALES_EVERY_S = 0.05
AT_MOST_AFTER_READY_S = 0.6
"""The latest of the random instants."""
KILLS = 225
"""In full, on SQLite. Every tenth comes before the daemon is ready: 200 starts are timed."""
ACKNOWLEDGEMENTS_MAX = 30
"""The largest n of the n-th acknowledgement."""


@asynccontextmanager
async def opened(folder: Path, *, seed: int, database: str | None) -> AsyncIterator[Market]:
    """A furnished market whose shops are served; the daemon does not run yet."""
    floor = Floor(folder, database=database, listen_port=free_port())
    market = Market(floor, random.Random(seed))
    market.furnish()
    async with floor.open(poll_s=2):
        market.subscribe()
        yield market


async def survives(market: Market, *, kills: int, shown: Shown = "at most") -> Daemon:
    """Kill the daemon so many times under load and see that nothing is lost or counted twice.

    Unless `shown` is "anything", wait until neither shop shows more than what is left, too.
    """
    daemon = Daemon(market.floor)
    shoppers = asyncio.create_task(market.shop(every_s=SALES_EVERY_S))
    begun = time.monotonic()
    try:
        for number in range(kills):
            await daemon.start()
            if number % 10 == 9:
                # Before it is ready, too: while it opens the database, or has just begun to work.
                await asyncio.sleep(market.dice.uniform(0.2, 1.2))
            else:
                await daemon.ready()
                assert await market.lost() == []
                market.daemon_is_up = True
                if number % 2 == 0:
                    await nth_acknowledgement(market, daemon)
                else:
                    await asyncio.sleep(market.dice.uniform(0, AT_MOST_AFTER_READY_S))
            daemon.kill()
            market.daemon_is_up = False
            await daemon.ended()
            if number % 20 == 19:
                tell(daemon, market, number + 1, kills, time.monotonic() - begun)
        shoppers.cancel()
        await daemon.start()
        await daemon.ready()
        market.daemon_is_up = True
        await market.settled(shown=shown)
        assert await market.lost() == []
        await tell_the_end(daemon, market, kills)
        await daemon.stop()
    finally:
        shoppers.cancel()
        await daemon.make_sure_it_ended()
    checked = await typed(market.floor, "check", "--deep")
    assert checked.code == 0, checked
    return daemon


async def nth_acknowledgement(market: Market, daemon: Daemon) -> None:
    """Kill the daemon at once when it has said yes for the n-th time from now."""
    at = market.acknowledgements + market.dice.randint(1, ACKNOWLEDGEMENTS_MAX)
    killed = asyncio.Event()

    def count() -> None:
        if market.acknowledgements >= at and not killed.is_set():
            daemon.kill()
            market.daemon_is_up = False
            killed.set()

    market.on_acknowledgement = count
    try:
        async with asyncio.timeout(30):
            await killed.wait()
    finally:
        market.on_acknowledgement = lambda: None


def tell(daemon: Daemon, market: Market, number: int, kills: int, took_s: float) -> None:
    """One line of progress; it shows with `-s`, as `make crash` has it."""
    sys.stdout.write(
        f"{number} of {kills} kills in {took_s:.0f} s; {len(market.orders)} sales, "
        f"{market.acknowledgements} acknowledged, {market.refusals} unanswered; start to ready p50 "
        f"{percentile(daemon.starts_s, 0.5):.2f} s, p99 {percentile(daemon.starts_s, 0.99):.2f} s\n"
    )
    sys.stdout.flush()


async def tell_the_end(daemon: Daemon, market: Market, kills: int) -> None:
    """What it came to, counted anew from the database and from what the shops sold."""
    sold = market.sold()
    reserved = dict(await market.rows("SELECT sku, reserved FROM shelf"))
    twice = sum(max(0, reserved[sku] - units) for sku, units in sold.items())
    starts, alone = daemon.starts_s, daemon.alone_s
    sys.stdout.write(
        f"{kills} kills, {len(market.orders)} sales of {sum(sold.values())} units, "
        f"{market.acknowledgements} deliveries acknowledged: {len(await market.lost())} lost, "
        f"{twice} units counted twice; {len(starts)} starts to ready p50 "
        f"{percentile(starts, 0.5):.2f} s, p99 {percentile(starts, 0.99):.2f} s, max "
        f"{max(starts):.2f} s; without waiting for a processor {percentile(alone, 0.5):.2f}, "
        f"{percentile(alone, 0.99):.2f}, {max(alone):.2f} s\n"
    )
    sys.stdout.flush()


async def test_what_was_acknowledged_outlives_kill_9_on_sqlite(tmp_path: Path) -> None:
    """Every sale is in the books once, the acknowledged ones from the moment of the 200."""
    async with opened(tmp_path, seed=1, database=None) as market:
        await survives(market, kills=6, shown="anything")
        assert market.acknowledgements > 0


async def test_what_was_acknowledged_outlives_kill_9_on_postgres(
    tmp_path: Path, postgres_url: str
) -> None:
    """The same on PostgreSQL, which must also notice that the dead daemon's lock is free."""
    async with opened(tmp_path, seed=2, database=postgres_url) as market:
        await survives(market, kills=3, shown="anything")
        assert market.acknowledgements > 0


@pytest.mark.crash
async def test_two_hundred_kills_on_sqlite(tmp_path: Path) -> None:
    """The full number, and ready again within two seconds."""
    async with opened(tmp_path, seed=int(time.time()), database=None) as market:
        daemon = await survives(market, kills=KILLS)
        assert len(daemon.starts_s) >= 200
        assert percentile(daemon.alone_s, 0.99) <= READY_S_MAX


@pytest.mark.crash
async def test_fifty_kills_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    """The full number, and ready again within two seconds."""
    async with opened(tmp_path, seed=int(time.time()), database=postgres_url) as market:
        daemon = await survives(market, kills=50)
        assert percentile(daemon.alone_s, 0.99) <= READY_S_MAX
