"""A machine whose clock was set back while the daemon was stopped."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from stockpush.messages import ApplyOrders, Command, MoveStock, PollCompleted, StockMove
from stockpush.model import MovementKind
from stockpush.sim.candle_shop import SHOPIFY
from tests.whole.harness import CLOCK, Floor

AHEAD = CLOCK.now() + timedelta(hours=1)
MOVE = MoveStock((StockMove("candle", -1, MovementKind.ADJUSTMENT),), "an hour ahead", "test")


@pytest.mark.parametrize(
    ("last", "left"),
    [
        pytest.param(ApplyOrders(SHOPIFY, (), completes=PollCompleted(AHEAD, None, AHEAD)), 7),
        pytest.param(MOVE, 6),
    ],
    ids=["poll", "movement"],
)
async def test_a_start_on_a_clock_that_was_set_back_is_held_up_by_nothing(
    tmp_path: Path, last: Command, left: int
) -> None:
    """What was done last is an hour ahead, whatever it was: time goes on from there, first readings
    count, and first pushes go out at once.
    """
    floor = Floor(tmp_path)
    floor.item("candle", 7)
    floor.on_shopify("candle", 10)
    async with floor.open():
        async with floor.unstarted() as parts:
            parts.clock.not_before(AHEAD)
            await parts.lane.commit([last])
        async with floor.unstarted() as parts:
            assert parts.clock.now() >= AHEAD
        async with floor.running():
            await floor.until_shows(left)
            assert floor.parts.clock.now() > AHEAD
