"""The real clock and the real dice: the only module that asks the operating system for either.

Theory of operation. Everything else takes a `ports.Clock` and a `ports.Ids`, so that a test or the
simulator can decide what time it is and how the dice fall. Wall time is for labels and replay
windows; whatever measures a span uses `monotonic`, which no time server can set back.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from uuid import uuid4


class SystemClock:
    """Time as the machine tells it (`ports.Clock`)."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC, in microseconds."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some fixed instant; they never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` (>= 0) and let others run meanwhile."""
        await asyncio.sleep(seconds)


class SystemIds:
    """Identifiers that cannot be guessed and jitter that need not be (`ports.Ids`)."""

    def new(self) -> str:
        """Return a fresh random UUID in text form (122 random bits)."""
        return str(uuid4())

    def jitter(self) -> float:
        """Return a uniform number in [0, 1), for spreading retries: not for secrets."""
        return random.random()  # noqa: S311  (spreads retries; guards nothing)
