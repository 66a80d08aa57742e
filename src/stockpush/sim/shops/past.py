"""What a shop showed a while ago: the past of one number, and orders as its lists know them.

Platforms answer readings from copies and indexes that lag behind what they sell from. A number
keeps its past only as far as a reading may lag. Lists find an order by the change that the index
knows, while the order itself is told as it is now.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(slots=True)
class Past:
    """What one number was, and since when; oldest first."""

    known: deque[tuple[datetime, int]] = field(default_factory=deque)

    def note(self, number: int, *, at: datetime, kept_s: float) -> None:
        """Note what the number is from now on; what ended more than `kept_s` ago is forgotten."""
        known, end = self.known, at - timedelta(seconds=kept_s)
        known.append((at, number))
        while len(known) > 1 and known[1][0] <= end:
            known.popleft()

    def as_of(self, at: datetime) -> int | None:
        """Return what the number was at an instant, the oldest known before that; None: unknown."""
        for since, number in reversed(self.known):
            if since <= at:
                return number
        return self.known[0][1] if self.known else None


@dataclass(slots=True)
class Changed:
    """The orders that lists know of, by (second of the change, order number)."""

    found: list[tuple[int, int]] = field(default_factory=list)
    """Sorted; one entry for each order."""
    _second: dict[int, int] = field(default_factory=dict)
    _late: list[tuple[datetime, int, int]] = field(default_factory=list)
    """Changes that lists do not know yet, (from when they will, order, second): a heap."""

    def note(self, order_id: int, at: datetime, *, visible_at: datetime) -> None:
        """Note a change at `at`, which lists know of from `visible_at` on."""
        if visible_at <= at:
            self._enter(order_id, int(at.timestamp()))
        else:
            heapq.heappush(self._late, (visible_at, order_id, int(at.timestamp())))

    def drop(self, order_id: int) -> None:
        """Forget an order that is gone for good."""
        self._leave(order_id)
        self._late = [each for each in self._late if each[1] != order_id]
        heapq.heapify(self._late)

    def after(self, place: tuple[int, int], *, now: datetime) -> Iterator[tuple[int, int]]:
        """Yield (second, order number) of what lists know at `now`, from `place` on, in order."""
        while self._late and self._late[0][0] <= now:
            _, order_id, second = heapq.heappop(self._late)
            # Two changes may be found in the wrong order; the newer one stands.
            if second >= self._second.get(order_id, second):
                self._enter(order_id, second)
        yield from self.found[bisect_left(self.found, place) :]

    def _enter(self, order_id: int, second: int) -> None:
        self._leave(order_id)
        self._second[order_id] = second
        insort(self.found, (second, order_id))

    def _leave(self, order_id: int) -> None:
        second = self._second.pop(order_id, None)
        if second is not None:
            del self.found[bisect_left(self.found, (second, order_id))]
