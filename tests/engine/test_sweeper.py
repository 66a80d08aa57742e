"""A hold expires at its instant, and the shop shows what it set aside again: the whole daemon."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stockpush.engine import sweeper
from stockpush.engine.channel import IDLE_MAX_S
from stockpush.messages import Command, PlaceHold, ReleaseHold, RenewHold, SellHold
from stockpush.model import HoldLine, HoldState
from stockpush.store import reads
from tests.engine.world import Floor, floor, ran

HOUR_S = 3600.0
SOON_S = 3.0
"""Within which a number is written: the next look for commits of others included."""


def hold(units: int, seconds: float, key: str = "h") -> PlaceHold:
    """Set candles aside for so long."""
    return PlaceHold((HoldLine("candle", units),), timedelta(seconds=seconds), "", key, "test")


async def shows(shop: Floor, number: int, *, within_s: float = SOON_S) -> float:
    """Return after how many seconds the shop shows a number."""
    return await shop.until(lambda: shop.shop.numbers["a"] == number, within_s=within_s)


async def states(shop: Floor) -> list[HoldState]:
    """The state of each hold, in order."""
    page = await reads.holds(shop.store, limit=500)
    return [each.state for each in page.data[::-1]]


def test_a_hold_lowers_the_shop_and_its_end_raises_it(tmp_path: Path) -> None:
    """Ten candles, four set aside for an hour: six until then, ten after, to the second."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            await shop.lane.submit(hold(4, HOUR_S))
            waited_s = await shows(shop, 6)
            assert await states(shop) == [HoldState.HELD]
            raised_s = waited_s + await shows(shop, 10, within_s=HOUR_S + SOON_S)
            assert HOUR_S <= raised_s < HOUR_S + SOON_S
            assert await states(shop) == [HoldState.EXPIRED]

    ran(work())


def test_an_earlier_end_wakes_the_worker(tmp_path: Path) -> None:
    """It slept until the first hold's end; the second ends sooner, and the first is shortened."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            await shop.lane.submit(hold(4, HOUR_S))
            await shop.passes(10)
            await shop.lane.submit(hold(3, 20, "sooner"))
            await shows(shop, 3)
            waited_s = await shows(shop, 6, within_s=IDLE_MAX_S)
            assert 15 < waited_s < 20 + SOON_S
            await shop.lane.submit(RenewHold(1, timedelta(seconds=5), "r", "test"))
            assert await shows(shop, 10, within_s=IDLE_MAX_S) < 5 + SOON_S

    ran(work())


def test_a_hold_that_another_process_placed_expires_in_time(tmp_path: Path) -> None:
    """Nobody of this process changed it: it is noticed at the next look."""

    async def work() -> None:
        async with floor(tmp_path, look_s=1.0) as shop:
            await shop.elsewhere(hold(4, 10))
            waited_s = await shows(shop, 6)
            assert waited_s + await shows(shop, 10, within_s=IDLE_MAX_S) < 10 + SOON_S

    ran(work())


@pytest.mark.parametrize(
    "end",
    [ReleaseHold(1, "r", "test"), SellHold(1, "market", "s", "test")],
    ids=lambda command: type(command).__name__,
)
def test_a_hold_that_has_ended_does_not_expire(tmp_path: Path, end: Command) -> None:
    """Released it is back at once; sold it is gone; nothing happens at its instant."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            await shop.lane.submit(hold(4, HOUR_S))
            await shows(shop, 6)
            await shop.lane.submit(end)
            left = 10 if isinstance(end, ReleaseHold) else 6
            await shows(shop, left)
            (before,) = await states(shop)
            await shop.passes(2 * HOUR_S)
            assert (shop.shop.numbers["a"], await states(shop)) == (left, [before])

    ran(work())


def test_what_came_to_its_end_while_nothing_ran_expires_at_the_start(tmp_path: Path) -> None:
    """The shop is never lowered for it."""

    async def work() -> None:
        async with floor(tmp_path, first=hold(4, HOUR_S), away_s=2 * HOUR_S) as shop:
            assert await states(shop) == [HoldState.EXPIRED]
            ended_at = (await reads.holds(shop.store, limit=1)).data[0].ended_at
            begun_at = shop.lane.clock.now() - timedelta(seconds=400)
            assert abs((ended_at - begun_at).total_seconds()) < SOON_S
            assert "push" not in shop.shop.log

    ran(work())


def test_more_than_one_look_finds_is_ended_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten that end at once, four to a look."""
    monkeypatch.setattr(sweeper, "DUE_MAX", 4)

    async def work() -> None:
        async with floor(tmp_path) as shop:
            until = shop.lane.clock.now() + timedelta(seconds=HOUR_S)
            for number in range(10):
                placed = replace(hold(1, HOUR_S, f"h{number}"), until=until)
                await shop.lane.submit(placed)
            await shows(shop, 0)
            await shows(shop, 10, within_s=HOUR_S + SOON_S)

    ran(work())


def test_a_suspended_machine_expires_what_is_due_when_it_goes_on(tmp_path: Path) -> None:
    """A laptop that was closed over the end of a hold."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            await shop.lane.submit(hold(4, HOUR_S))
            await shows(shop, 6)
            shop.loop.freeze(shop.owner)
            await shop.passes(3 * HOUR_S)
            assert shop.shop.numbers["a"] == 6
            shop.loop.thaw(shop.owner)
            await shows(shop, 10, within_s=2 * IDLE_MAX_S)

    ran(work())
