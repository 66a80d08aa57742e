"""Measures guard levels: at how few units of an item its listings should share what is left.

Theory of operation. Between a sale on one channel and the lower number on another lies a window:
until the sale is known, and until the number is written. What sells elsewhere inside it is sold
twice. So the guard level is the smallest number of units with

    P(units sold elsewhere inside the window > level) <= EPSILON

with sales as a Poisson process at the item's measured rate (of the last four weeks, or of the last
day if that was busier), in order lines of its average size. Both halves of the window are measured
too: how long orders take to be known (`HeardBy`, by what told of them), and how long pushes take,
each so that 95 of 100 are quicker. "Elsewhere" are the other channels, and the same one where it
has several numbers for the item; the level is that of the worst-placed listing. All that is within
a pool: no sale on a channel that another pool feeds takes of what these listings show.

What sells once a day and is known within a minute has level 0: the last one may be everywhere. So
has what nothing was measured of: a new shop shows what it always did. The owner's minimum holds
besides (`reservation/sharing.py`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from stockpush.engine.commit import CommitLane, in_parts
from stockpush.messages import NoteGuardLevels
from stockpush.model import MAIN, QUANTITY_MAX, HeardBy, Mode, shelf_key
from stockpush.ports import Clock, Sold, Store

EPSILON: Final = 0.001
"""How probable it may be that more is sold elsewhere than the level."""
FIRST_S: Final = 120.0
"""How long after the start it is measured first: a start has other worries."""
EVERY_S: Final = 3600.0
"""How often it is measured."""
PERIOD: Final = timedelta(days=28)
LATELY: Final = timedelta(days=1)
"""Over how long sales are counted, and which of them count as of late."""
PUSHES_MAX: Final = 200
"""Over how many of a channel's newest pushes their time is measured."""
ITEMS_AT_ONCE: Final = 100
"""After how many items others have their turn."""
MEAN_MAX: Final = 500.0
"""Up to which mean probabilities are added up; beyond it the distribution is a normal one."""
DEVIATIONS: Final = 3.0902
"""How many standard deviations above its mean a normal one exceeds with probability EPSILON."""


@dataclass(frozen=True, slots=True)
class Windows:
    """In seconds, by channel: until its sales are known, and until a number of it is written."""

    heard: Mapping[str, float]
    pushed: Mapping[str, float]


@dataclass(slots=True)
class GuardKeeper:
    """The worker that measures guard levels."""

    store: Store
    lane: CommitLane
    clock: Clock

    async def run(self) -> None:
        """Measure again and again."""
        await self.clock.sleep(FIRST_S)
        while True:
            await self.measure()
            await self.clock.sleep(EVERY_S)

    async def measure(self) -> None:
        """Note the levels that differ from those known."""
        now = self.clock.now()
        live = sorted(
            name for name, policy in self.lane.policies.items() if policy.mode is Mode.LIVE
        )
        feeds = await self.store.feeds()
        sold: dict[str, list[Sold]] = {}
        for each in await self.store.sold(since=now - PERIOD, lately=now - LATELY):
            shelf = shelf_key(each.sku, feeds.get(each.channel, MAIN))
            sold.setdefault(shelf, []).append(each)
        shown: dict[str, dict[str, int]] = {}
        for sku, channel, fields in await self.store.shown(since=now - PERIOD):
            if channel in live:
                shelf = shelf_key(sku, feeds.get(channel, MAIN))
                shown.setdefault(shelf, {})[channel] = fields
        windows = await self._windows(live)
        known = await self.store.guard_levels()
        levels: list[tuple[str, int]] = []
        for number, shelf in enumerate(sorted(sold.keys() | known.keys())):
            if number % ITEMS_AT_ONCE == ITEMS_AT_ONCE - 1:
                await self.clock.sleep(0.0)
            now_level = level(sold.get(shelf, ()), shown.get(shelf, {}), windows)
            if now_level != known.get(shelf, 0):
                levels.append((shelf, now_level))
        for part in in_parts(levels):
            await self.lane.submit(NoteGuardLevels(part))

    async def _windows(self, live: Collection[str]) -> Windows:
        heard, pushed = {}, {}
        for name in live:
            ways = (await self.store.channel_state(name)).heard
            if ways:
                heard[name] = heard_within(ways)
            seconds = await self.store.push_seconds(name, limit=PUSHES_MAX)
            pushed[name] = _most(seconds)
        return Windows(heard, pushed)


def heard_within(ways: Sequence[HeardBy]) -> float:
    """Return within how many seconds a channel's sales are known: the ways as often as they told.

    >>> heard_within([HeardBy("webhook", 1.0, 2.0, 98), HeardBy("poll", 40.0, 60.0, 2)])
    3.16
    """
    return sum(each.p95 * each.orders for each in ways) / sum(each.orders for each in ways)


def level(sold: Sequence[Sold], shown: Mapping[str, int], windows: Windows) -> int:
    """Return an item's guard level in a pool, in its smallest units.

    `sold` and `shown` are of the channels that the pool feeds; `shown` has how many fields each of
    them has for it. Sales of a channel of which nothing is
    known of how late they are heard say nothing.
    """
    lines, units = sum(each.lines for each in sold), sum(each.units for each in sold)
    if not lines or sum(shown.values()) <= 1:
        return 0
    rates = {
        each.channel: max(
            each.lines / PERIOD.total_seconds(), each.lines_lately / LATELY.total_seconds()
        )
        for each in sold
        if each.channel in windows.heard
    }
    worst = max(
        sum(
            rate * (windows.heard[seller] + windows.pushed.get(channel, 0.0))
            for seller, rate in sorted(rates.items())
            if seller != channel or fields > 1
        )
        for channel, fields in shown.items()
    )
    return min(QUANTITY_MAX, tail(worst) * math.ceil(units / lines))


def tail(mean: float) -> int:
    """Return the smallest k with P(N > k) <= EPSILON, where N is Poisson with this mean (>= 0).

    >>> [tail(mean) for mean in (0.0, 0.001, 0.002, 0.05, 1.0, 10.0)]
    [0, 0, 1, 2, 5, 21]
    """
    if mean > MEAN_MAX:
        return math.ceil(mean + DEVIATIONS * math.sqrt(mean))
    probability = within = math.exp(-mean)
    k = 0
    while 1.0 - within > EPSILON:
        k += 1
        probability *= mean / k
        within += probability
    return k


def _most(seconds: Sequence[float]) -> float:
    """Return what 95 of 100 do not exceed; 0 of none."""
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * 95 // 100) - 1] if ordered else 0.0
