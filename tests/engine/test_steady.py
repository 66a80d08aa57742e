"""Wall time that never goes back: in steps, over a restart, and until the wall clock caught up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stockpush.engine.steady import SLOWED, SteadyClock

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


class TwoClocks:
    """A wall clock and a timer, each moved by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.timer = 100.0

    def now(self) -> datetime:
        """What the wall clock shows."""
        return self.wall

    def monotonic(self) -> float:
        """What the timer shows."""
        return self.timer

    async def sleep(self, seconds: float) -> None:
        """Both go on."""
        self.passes(seconds)

    def passes(self, seconds: float) -> None:
        """Time passes on both."""
        self.wall += timedelta(seconds=seconds)
        self.timer += seconds


@pytest.fixture
def clocks() -> TwoClocks:
    """Clocks that agree."""
    return TwoClocks()


async def test_it_is_the_wall_clock_as_long_as_that_goes_forward(clocks: TwoClocks) -> None:
    """In small steps, and in one of an hour while the timer stood still."""
    steady = SteadyClock(clocks)
    for _ in range(3):
        await steady.sleep(0.1)
        assert steady.now() == clocks.wall
    clocks.wall += timedelta(hours=1)
    assert steady.now() == clocks.wall
    assert steady.monotonic() == clocks.timer


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(hours=1), timedelta(days=366)])
def test_set_back_it_goes_on_from_where_it_was(clocks: TwoClocks, back: timedelta) -> None:
    """Never backwards, and nearly as fast as the timer."""
    steady = SteadyClock(clocks)
    clocks.wall -= back
    before = steady.now()
    assert before == START
    clocks.passes(1)
    assert timedelta(seconds=SLOWED) <= steady.now() - before <= timedelta(seconds=1)


def test_set_back_by_an_hour_it_agrees_again_after_ten(clocks: TwoClocks) -> None:
    """Labels become true again by themselves."""
    steady = SteadyClock(clocks)
    clocks.wall -= timedelta(hours=1)
    last = steady.now()
    for minute in range(11 * 60):
        clocks.passes(60)
        assert steady.now() > last
        last = steady.now()
        assert (last == clocks.wall) == (minute >= 10 * 60 - 1), minute


def test_it_begins_where_the_last_daemon_was(clocks: TwoClocks) -> None:
    """A clock that was set back while no daemon ran; an older or unknown instant is nothing."""
    steady = SteadyClock(clocks)
    for known in (None, START - timedelta(days=1)):
        steady.not_before(known)
        assert steady.now() == START
    steady.not_before(START + timedelta(hours=1))
    assert steady.now() == START + timedelta(hours=1)
