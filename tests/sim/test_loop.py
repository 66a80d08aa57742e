"""The virtual loop: time jumps, the seed orders, and whoever is killed is cut off."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from stockpush.sim import loop as loop_module
from stockpush.sim.loop import EPOCH, Livelock, Owner, SimClock, Standstill, VirtualLoop, spawn
from stockpush.sim.sqlite import Files


def ran(work: Coroutine[Any, Any, Any], *, seed: int = 1) -> tuple[Any, VirtualLoop]:
    """Run `work` on a virtual loop; return its result and the loop."""
    loop = VirtualLoop(random.Random(seed))
    try:
        return loop.run_until_complete(loop.create_task(work)), loop
    finally:
        loop.close()


def current() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def test_a_day_passes_at_once() -> None:
    """Sleeping costs nothing, and both clocks show that the time has passed."""

    async def work() -> tuple[float, float]:
        clock = SimClock(current())
        before = clock.now()
        await clock.sleep(86_400)
        return clock.monotonic(), (clock.now() - before).total_seconds()

    assert ran(work())[0] == (86_400.0, 86_400.0)


def test_a_wall_clock_may_be_wrong() -> None:
    """A clock that is ahead shows it in `now` alone."""

    async def work() -> None:
        clock = SimClock(current(), ahead_s=600)
        assert (clock.now() - EPOCH).total_seconds() == 600
        assert clock.monotonic() == 0

    ran(work())


async def _race() -> str:
    order: list[str] = []

    async def say(letter: str) -> None:
        order.append(letter)
        await SimClock(current()).sleep(0)
        order.append(letter)

    await asyncio.gather(*(say(letter) for letter in "abcd"))
    return "".join(order)


def test_the_seed_orders_what_is_ready() -> None:
    """One seed gives one order and one digest, many seeds give many orders."""
    runs = [ran(_race(), seed=seed) for seed in range(40)]
    again = [ran(_race(), seed=seed) for seed in range(40)]
    assert [(order, loop.digest()) for order, loop in runs] == [
        (order, loop.digest()) for order, loop in again
    ]
    assert len({order for order, _ in runs}) > 20


def test_timeouts_work() -> None:
    """`asyncio.timeout` ends what waits for ever, at its virtual instant."""

    async def work() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return current().time()

    assert ran(work())[0] == 30


def test_nothing_more_to_come_is_an_error() -> None:
    """Waiting for what nobody will do ends with an error, and not in silence."""
    with pytest.raises(Standstill):
        ran(asyncio.Event().wait())


def test_a_livelock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks that follow each other without time passing are found."""
    monkeypatch.setattr(loop_module, "STEPS_AT_ONCE_MAX", 1000)

    async def spin() -> None:
        for _ in range(2000):
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        ran(spin())


def test_threads_and_names_are_refused() -> None:
    """Whatever would leave the simulation fails."""

    async def work() -> None:
        with pytest.raises(AssertionError):
            await asyncio.to_thread(print)
        with pytest.raises(AssertionError):
            await asyncio.open_connection("example.com", 80)

    ran(work())


def test_the_killed_do_nothing_more_and_the_world_goes_on() -> None:
    """After a kill the owner's tasks end, its children too; others never notice."""

    async def work() -> list[str]:
        loop = current()
        clock, owner, done = SimClock(loop), Owner("daemon"), []

        async def child() -> None:
            await clock.sleep(10)
            done.append("child")

        async def daemon() -> None:
            task = asyncio.create_task(child())
            await task
            done.append("daemon")

        async def world() -> None:
            await clock.sleep(20)
            done.append("world")

        spawn(loop, daemon(), owner)
        bystander = spawn(loop, world(), None)
        await clock.sleep(5)
        loop.kill(owner)
        await bystander
        return done

    assert ran(work())[0] == ["world"]


def test_the_frozen_wait_until_they_are_thawed() -> None:
    """A suspended owner's timers fire when it wakes, however late."""

    async def work() -> list[float]:
        loop = current()
        clock, owner, at = SimClock(loop), Owner("daemon"), []

        async def daemon() -> None:
            await clock.sleep(10)
            at.append(loop.time())

        spawn(loop, daemon(), owner)
        await clock.sleep(5)
        loop.freeze(owner)
        await clock.sleep(1000)
        assert at == []
        loop.thaw(owner)
        await clock.sleep(1)
        return at

    assert ran(work())[0] == [1005.0]


def test_every_step_of_an_owner_is_counted() -> None:
    """The hook hears of each callback of the daemon before it runs, and of no other."""

    async def work() -> list[int]:
        loop = current()
        heard: list[int] = []
        loop.before_step = heard.append

        async def daemon() -> None:
            await SimClock(loop).sleep(1)

        await asyncio.wait({spawn(loop, daemon(), Owner("daemon"))})
        return heard

    heard = ran(work())[0]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) >= 2


def test_a_cut_keeps_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    """The next life's file has the committed row; the open transaction is gone, its holder too."""

    async def work() -> None:
        files = Files(tmp_path)
        connection = await files.connect()
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("CREATE TABLE sale (id INTEGER)")
        await connection.execute("INSERT INTO sale VALUES (1)")
        await connection.commit()
        await connection.execute("INSERT INTO sale VALUES (2)")
        files.cut()
        with pytest.raises(ValueError, match="connection"):
            await connection.execute("INSERT INTO sale VALUES (3)")
        with sqlite3.connect(files.path) as after:
            assert after.execute("SELECT id FROM sale").fetchall() == [(1,)]
        after.close()

    ran(work())


def test_hash_randomisation_changes_nothing() -> None:
    """Another process with other string hashes gives the same digest."""
    program = (
        "import asyncio, random, sys; sys.path.insert(0, 'tests/sim');"
        "import test_loop; print(test_loop.ran(test_loop._race())[1].digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hashes, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert digests == {ran(_race())[1].digest() + "\n"}
