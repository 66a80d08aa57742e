"""The clock of every emulated shop in these tests: only they move it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGUN = datetime(2026, 11, 22, 10, 0, 0, 400_000, tzinfo=UTC)
"""When every test begins: not on a whole second, as a Date header is."""


@dataclass
class Hands:
    """A clock that stands still until it is moved."""

    now: datetime = BEGUN

    def __call__(self) -> datetime:
        """Return the instant it stands at."""
        return self.now

    def move(self, seconds: float) -> None:
        """Move forward."""
        self.now += timedelta(seconds=seconds)
