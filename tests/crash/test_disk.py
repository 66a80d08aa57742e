"""The disk fails under the daemon: power cuts, no room at the n-th write, a sync that fails."""

from __future__ import annotations

import asyncio
import errno
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import ClientError

from stockpush.store import damage
from tests.cli.terminal import Terminal
from tests.crash.disk import Disk, Platter, compiled
from tests.crash.market import Market
from tests.crash.process import Daemon, typed
from tests.crash.test_kill import opened
from tests.crash.test_store import running

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="what stands before the disk is Linux's"),
]

CUTS = 400
"""Power cuts in one day of the daemon."""
CHECKED_EVERY = 20
"""Of how many power cuts one is examined with `check --deep` too, which holds it to the ledger."""
LIVES = 5
"""How often the daemon runs that day; it is killed and stopped by turns."""
LIFE_S = 1.5
FULL_AFTER = range(24)
"""After how many more writes the disk is full: a commit of one sale makes some twenty."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands before the disk, compiled."""
    return compiled(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def disk(library: Path, tmp_path: Path) -> Disk:
    """A disk that works."""
    return Disk(library, tmp_path / "disk")


async def test_power_cuts_lose_nothing_that_was_acknowledged(tmp_path: Path, disk: Disk) -> None:
    """Whatever was written and not synced is lost or torn; the file is whole, with every 200."""
    folder = tmp_path / "day"
    folder.mkdir()
    dice = random.Random(8)
    async with opened(folder, seed=8, database=None) as market:
        begins = {"stockpush.db": (folder / "stockpush.db").read_bytes()}
        assert not (folder / "stockpush.db-wal").exists()
        acknowledged_at = await lived(
            market, Daemon(market.floor, environment=disk.environment), disk
        )
    digests = list(market.acknowledged)
    assert len(digests) == len(acknowledged_at)
    notes = list(disk.notes())
    # Half of them at once after an acknowledgement, when nothing more than its sync has happened.
    points = dice.choices(acknowledged_at, k=CUTS // 2)
    points += dice.choices([note.end for note in notes], k=CUTS // 2)
    platter, done, kept = Platter(begins), 0, 0
    for number, point in enumerate(sorted(points)):
        while done < len(notes) and notes[done].end <= point:
            platter.take(notes[done])
            done += 1
        platter.after_power_cut(folder, dice)
        file = folder / "stockpush.db"
        await asyncio.to_thread(damage.refuse_damaged, file, deep=True)
        with closing(sqlite3.connect(file)) as connection:
            found = {digest for (digest,) in connection.execute("SELECT digest FROM delivery")}
        due = {digest for digest, at in zip(digests, acknowledged_at, strict=True) if at <= point}
        assert due <= found, f"{len(due - found)} of {len(due)} lost at {point}"
        kept += len(due)
        if number % CHECKED_EVERY == 0:
            config = str(folder / "stockpush.toml")
            said = await asyncio.to_thread(Terminal(folder), "check", "--deep", "--config", config)
            assert said.code == 0, said
    what = {each: sum(note.what == each for note in notes) for each in (b"W", b"S", b"D", b"U")}
    assert all(what.values()), what
    sys.stdout.write(
        f"{CUTS} power cuts in {len(notes)} writes and syncs {what}, {len(digests)} deliveries "
        f"acknowledged: {kept} times one had to be there, and was\n"
    )


async def lived(market: Market, daemon: Daemon, disk: Disk) -> list[int]:
    """Let the daemon live some lives under load; return where each acknowledgement came."""
    acknowledged_at: list[int] = []

    def note() -> None:
        while len(acknowledged_at) < len(market.acknowledged):
            acknowledged_at.append(disk.size())

    market.on_acknowledgement = note
    shoppers = asyncio.create_task(market.shop(every_s=0.02))
    try:
        for number in range(LIVES):
            await daemon.start()
            await daemon.ready()
            market.daemon_is_up = True
            await asyncio.sleep(LIFE_S)
            market.daemon_is_up = False
            if number % 2:
                daemon.kill()
                await daemon.ended()
            else:
                await daemon.stop()
    finally:
        shoppers.cancel()
        await daemon.make_sure_it_ended()
    return acknowledged_at


async def test_a_disk_that_is_full_at_any_write(tmp_path: Path, disk: Disk) -> None:
    """Whichever write of a commit is the first that fails: 503, and on by itself afterwards."""
    folder = tmp_path / "day"
    folder.mkdir()
    async with running(folder, environment=disk.environment) as day:
        for writes in FULL_AFTER:
            disk.fails(write=errno.ENOSPC, writes=writes)
            while (await day.sells())[0].status == 200:
                pass
            await day.refuses()
            disk.heals()
            await day.until_ready()
            assert {each.status for each in await day.sells()} == {200}


@pytest.mark.parametrize("syncs", [0, 1, 5])
async def test_a_sync_that_fails_ends_the_daemon(tmp_path: Path, disk: Disk, syncs: int) -> None:
    """What the system holds in memory may be gone then, and a second sync would not say so.

    Nothing is acknowledged, the daemon ends with 1, and the next one examines the file.
    """
    folder = tmp_path / "day"
    folder.mkdir()
    async with running(folder, environment=disk.environment) as day:
        disk.fails(sync=errno.EIO, syncs=syncs)
        while day.daemon.process.returncode is None:
            try:
                answers = await day.sells()
            except ClientError:
                break
            if answers[0].status != 200:
                break
        assert await day.daemon.ended() == 1
        assert "could not be made safe" in day.daemon.last_words()
        day.market.daemon_is_up = False
        failed = [note.what for note in disk.notes()].index(b"E")
        disk.heals()
        assert failed
        assert (await typed(day.market.floor, "check", "--deep")).code == 0
        await day.daemon.start()
        await day.daemon.ready()
        day.market.daemon_is_up = True
