"""One configured channel while the daemon runs: its connector, its door, and how it is doing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from stockpush import logs
from stockpush.connectors.base import Api, Connector
from stockpush.errors import AuthFailed, ChannelError, RateLimited
from stockpush.messages import Event
from stockpush.model import ChannelPolicy, Health
from stockpush.ports import Ids, Store

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 300.0
"""Waits after failures double from the first to the largest, with jitter."""
IDLE_MAX_S = 60.0
"""Longest wait of a worker that nobody wakes. What is due is an instant of the wall clock, which
may be set forward while the worker waits: it then oversleeps by no more than this.
"""
FETCH_BLOCK = 1000
"""How many fetch numbers are taken from the database at once."""


@dataclass(slots=True)
class Channel:
    """The parts that the workers of one channel share.

    `urgent` is the same door as `api`, served first at the rate limit: for decreases (R7).
    `push_wake`, `poll_wake` and `read_wake` are set when there may be something to do at once;
    `health_changed` when people should be told; `resolve_wanted` when there may be a listing that
    the channel has not told us about.
    """

    name: str
    connector: Connector
    api: Api
    urgent: Api
    policy: ChannelPolicy
    poll_s: float
    health: Health = Health.OK
    reason: str = ""
    failures: int = 0
    resolve_wanted: bool = True
    health_changed: asyncio.Event = field(default_factory=asyncio.Event)
    push_wake: asyncio.Event = field(default_factory=asyncio.Event)
    poll_wake: asyncio.Event = field(default_factory=asyncio.Event)
    read_wake: asyncio.Event = field(default_factory=asyncio.Event)

    def failed(self, error: ChannelError) -> None:
        """Note a failed call: one log line when the channel goes down, none while it stays so."""
        health = {AuthFailed: Health.NEEDS_LOGIN, RateLimited: Health.PAUSED}.get(
            type(error), Health.UNREACHABLE
        )
        self.failures += 1
        if health is not self.health:
            logs.emit(
                Event(
                    "channel.stopped" if health is Health.NEEDS_LOGIN else "channel.down",
                    {"channel": self.name, "state": health.value, "reason": error.message},
                )
            )
            self.health_changed.set()
        self.health, self.reason = health, error.message

    def succeeded(self) -> None:
        """Note a call that was answered: one log line when the channel comes back."""
        if self.health is not Health.OK:
            logs.emit(Event("channel.up", {"channel": self.name}))
            self.push_wake.set()
            self.health_changed.set()
        self.health, self.reason, self.failures = Health.OK, "", 0

    def backoff_s(self, failures: int, ids: Ids) -> float:
        """Return how long to wait after the n-th failure in a row: doubling, jittered, bounded."""
        longest = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 16))
        return longest * (0.5 + ids.jitter() / 2)


class FetchNumbers:
    """Numbers for fetches of orders: given out when sent, never twice, across restarts."""

    def __init__(self, store: Store) -> None:
        """Take the first block at the first need."""
        self._store = store
        self._next = 0
        self._end = 0
        self._lock = asyncio.Lock()

    async def take(self) -> int:
        """Return the next number."""
        async with self._lock:
            if self._next == self._end:
                self._next = await self._store.reserve_fetch_numbers(FETCH_BLOCK)
                self._end = self._next + FETCH_BLOCK
            self._next += 1
            return self._next - 1


async def wait_for(event: asyncio.Event, *, seconds: float) -> bool:
    """Wait for the event, at most `seconds`; clear it and answer whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


def seconds_until(instant: datetime, now: datetime) -> float:
    """Return the seconds from `now` to `instant`, 0 if it is past."""
    return max(0.0, (instant - now).total_seconds())
