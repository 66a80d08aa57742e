"""A machine whose clock was set back while the daemon was stopped."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from stockpush.messages import ApplyOrders, PollCompleted
from stockpush.sim.candle_shop import SHOPIFY
from tests.whole.harness import CLOCK, Floor


async def test_a_start_on_a_clock_that_was_set_back_is_held_up_by_nothing(tmp_path: Path) -> None:
    """The last poll is an hour ahead: first readings count, and first pushes go out at once."""
    floor = Floor(tmp_path)
    floor.item("candle", 7)
    floor.on_shopify("candle", 10)
    async with floor.open():
        later = CLOCK.now() + timedelta(hours=1)
        async with floor.unstarted() as parts:
            poll = PollCompleted(later, None, CLOCK.now())
            await parts.lane.commit([ApplyOrders(SHOPIFY, (), completes=poll)])
        async with floor.running():
            await floor.until_shows(7)
            assert floor.parts.clock.now() > later
