"""Wall time that never goes back: what every instant of the daemon is read from.

Theory of operation. Instants are compared with each other all over: a reading counts if it was sent
after the last write, a poll if it began after a reading, a push is due at one. A wall clock that is
set back by an hour would freeze all of that for an hour, and one that is taken as it comes and goes
would do what is due twice. So time here follows the machine's wall clock forward, at once and
however far, and never back: while it is ahead of the wall clock it goes a little slower than a
timer does, until the wall clock has caught up. Spans that must be true are measured with
`monotonic`, which is the machine's own.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from stockpush.ports import Clock

SLOWED = 0.9
"""How fast time goes while the wall clock is behind it: an hour's lead is gone after ten."""


class SteadyClock:
    """`ports.Clock` over another one, whose `now` never goes back."""

    def __init__(self, clock: Clock) -> None:
        """Start at the wall time of `clock`."""
        self._clock = clock
        self._at = clock.now()
        self._then = clock.monotonic()

    def now(self) -> datetime:
        """Return the present instant, aware UTC: the wall clock's, or a later one if it was set
        back.
        """
        monotonic = self._clock.monotonic()
        passed = timedelta(seconds=SLOWED * max(0.0, monotonic - self._then))
        self._then = monotonic
        self._at = max(self._clock.now(), self._at + passed)
        return self._at

    def wall(self) -> datetime:
        """Return what the machine's own clock says, set back or not: for instants of others."""
        return self._clock.now()

    def not_before(self, instant: datetime | None) -> None:
        """Go on from `instant` if it is later: the database already knows of it."""
        if instant is not None and instant > self.now():
            self._at = instant

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` (>= 0)."""
        await self._clock.sleep(seconds)
