"""How fast a channel may be called: a token bucket as a pure value, and a thin waiter around it.

Theory of operation. The bucket refills by `rate` per second up to `burst`; a call takes its cost
out. A call that costs more than the bucket holds goes when the bucket is full and leaves it in
debt, so that it still pays the whole price. Being told to wait empties the bucket until then:
our own idea of what is left was evidently wrong.

Callers queue in order of arrival. Urgent ones (pushes that lower a quantity: a late one is an
oversell) go before the others, but never more than `URGENT_RUN_MAX` in a row past somebody who
waits: the order polls in the ordinary queue are what tells us of sales.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace

from stockpush.ports import Clock

URGENT_RUN_MAX = 4
"""Most urgent calls in a row while an ordinary one waits."""
_ENOUGH = 1e-9
"""Tokens that may be missing: refilling by floats must not wait for the last bit."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`tokens` are left at instant `at` (monotonic seconds); `rate` > 0 per second, `burst` > 0.

    `tokens` is negative in debt. An `at` in the future is a pause: nothing goes before it.
    """

    tokens: float
    rate: float
    burst: float
    at: float


def take(bucket: Bucket, cost: float, now: float) -> tuple[Bucket, float]:
    """Return the bucket after taking `cost` (>= 0) and 0, or the bucket as it is and the wait.

    The wait (seconds, > 0) is how long until the same call would succeed if no other came first.

    >>> full = Bucket(tokens=2.0, rate=1.0, burst=2.0, at=0.0)
    >>> empty, wait_s = take(full, 2.0, now=0.0)
    >>> take(empty, 1.0, now=0.25)[1]
    0.75
    """
    bucket = _refill(bucket, now)
    paused_s = max(0.0, bucket.at - now)
    missing = min(cost, bucket.burst) - bucket.tokens
    if paused_s == 0.0 and missing <= _ENOUGH:
        return replace(bucket, tokens=bucket.tokens - cost), 0.0
    return bucket, paused_s + max(0.0, missing) / bucket.rate


def pause(bucket: Bucket, seconds: float, now: float) -> Bucket:
    """Return the bucket holding every call for `seconds` (>= 0) from `now`, empty afterwards.

    A longer pause that already runs stays.
    """
    bucket = _refill(bucket, now)
    if seconds <= 0.0:
        return bucket
    return replace(bucket, tokens=min(0.0, bucket.tokens), at=max(bucket.at, now + seconds))


def _refill(bucket: Bucket, now: float) -> Bucket:
    if now <= bucket.at:
        return bucket
    tokens = min(bucket.burst, bucket.tokens + (now - bucket.at) * bucket.rate)
    return replace(bucket, tokens=tokens, at=now)


@dataclass(eq=False, slots=True)
class _Ticket:
    """A caller's place in the queue; `turn` is set when it may be at the head."""

    turn: asyncio.Event = field(default_factory=asyncio.Event)


class Limiter:
    """One channel's rate limit, shared by everything in this process that calls the channel."""

    def __init__(self, clock: Clock, *, rate: float, burst: float) -> None:
        """Start with a full bucket: `rate` (> 0) per second, `burst` (> 0) at once."""
        self._clock = clock
        self._bucket = Bucket(tokens=burst, rate=rate, burst=burst, at=clock.monotonic())
        self._urgent: deque[_Ticket] = deque()
        self._ordinary: deque[_Ticket] = deque()
        self._urgent_run = 0

    async def acquire(self, cost: float = 1.0, *, urgent: bool = False) -> None:
        """Return when a call of `cost` (>= 0) may be sent now; its tokens are taken.

        A caller that is cancelled while it waits takes nothing.
        """
        ticket = _Ticket()
        queue = self._urgent if urgent else self._ordinary
        queue.append(ticket)
        try:
            await self._wait_for(ticket, cost)
            self._urgent_run = self._urgent_run + 1 if urgent and self._ordinary else 0
        finally:
            queue.remove(ticket)
            head = self._head()
            if head is not None:
                head.turn.set()

    def pause(self, seconds: float) -> None:
        """Hold every call that was not let through yet for `seconds` (>= 0)."""
        self._bucket = pause(self._bucket, seconds, self._clock.monotonic())

    def wait_s(self, cost: float = 1.0) -> float:
        """Return how long a call of `cost` would wait now if nobody else were in the queue."""
        return take(self._bucket, cost, self._clock.monotonic())[1]

    async def _wait_for(self, ticket: _Ticket, cost: float) -> None:
        while True:
            if self._head() is not ticket:
                ticket.turn.clear()
                await ticket.turn.wait()
                continue
            self._bucket, wait_s = take(self._bucket, cost, self._clock.monotonic())
            if wait_s == 0.0:
                return
            # Another may become the head, or a pause begin, while this one sleeps: look again.
            await self._clock.sleep(wait_s)

    def _head(self) -> _Ticket | None:
        if self._ordinary and (not self._urgent or self._urgent_run >= URGENT_RUN_MAX):
            return self._ordinary[0]
        return self._urgent[0] if self._urgent else None
