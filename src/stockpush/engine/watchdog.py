"""Whether a channel still tells us of its sales, and how long it takes to (F12).

Theory of operation. Platforms drop webhooks without a word: Shopify deletes a subscription after
eight failures in a row, WooCommerce switches it off after seven, and from then on sales are only
found by polling. So the subscriptions are looked at every `HOOKS_EVERY_S`, and at once when
something is odd: the newest orders were all found by a poll that no delivery had told of, or none
came at all for so long that the channel's own rate of orders makes it improbable. What is missing
is made anew, the gap is polled (the cursor is where it was, so that nothing is left out), and it is
said once. In shadow nothing is made: it is said once what would be. Where every subscription is
right and still nothing comes (a tunnel that is down is the commonest reason, and nothing that we
could mend), that is said once as well.

Every order that becomes known is timed, from when the channel says it was placed. The clocks are
two, so a few seconds are within what they differ by; an order that was placed before this process
began tells how long it was away, and is not counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from stockpush import logs
from stockpush.connectors.base import Checkup
from stockpush.engine.channel import Channel, wait_for
from stockpush.engine.checkup import told_of
from stockpush.engine.commit import CommitLane
from stockpush.errors import ChannelError
from stockpush.messages import Decision, Event, Heard, NoteHeard
from stockpush.model import Health, HeardBy, Mode
from stockpush.ports import Clock

LOOK_S: Final = 60.0
"""How often it is looked whether something is odd, and what was measured is recorded."""
HOOKS_EVERY_S: Final = 600.0
"""How often the subscriptions are looked at where nothing is odd: less than fifteen minutes."""
HOOKS_SOONEST_S: Final = 60.0
"""Shortest time between two looks at the subscriptions."""
SAMPLES_MAX: Final = 200
"""Over how many of the newest orders of each way it is measured."""
UNTOLD_MAX: Final = 3
"""So many orders in a row that a poll found first, and webhooks are doubted."""
RATE_FROM: Final = timedelta(hours=1)
"""How long orders are counted before a rate is made of them."""
RATE_WINDOW: Final = timedelta(hours=24)
"""Over how long orders are counted."""
SILENCE: Final = 7.0
"""How many orders must have been missed on average: by chance none comes once in 1,100 times."""


class Watchdog:
    """Watches one channel until cancelled."""

    def __init__(
        self, channel: Channel, lane: CommitLane, clock: Clock, *, hook_url: str | None
    ) -> None:
        """`hook_url` is where the channel's webhooks go; None: none are to be expected."""
        self._channel = channel
        self._lane = lane
        self._clock = clock
        self._hook_url = hook_url
        self._begun_at = clock.now()
        self._wake = asyncio.Event()
        self._samples: Mapping[bool, deque[float]] = {
            True: deque(maxlen=SAMPLES_MAX),
            False: deque(maxlen=SAMPLES_MAX),
        }
        self._orders: deque[datetime] = deque()
        """When orders became known, of the last `RATE_WINDOW`."""
        self._untold = 0
        self._last_at = self._begun_at
        self._looked_at: float | None = None
        self._silent = False
        self._unheard = False
        """Whether it has been said that nothing comes although every subscription is right."""
        self._unchecked = False
        self._missing = ""
        """What was last said to be missing, in shadow; '' while nothing is."""
        self._recorded: tuple[HeardBy, ...] = ()

    def note(self, decision: Decision) -> None:
        """Take note of the orders that have become known by a committed decision."""
        for each in decision.heard:
            if each.channel == self._channel.name:
                self._heard(each)

    def _heard(self, order: Heard) -> None:
        now = self._clock.now()
        if order.placed_at < self._begun_at:
            return
        self._samples[order.told].append(max(0.0, (now - order.placed_at).total_seconds()))
        self._orders.append(now)
        self._last_at = now
        self._silent = False
        self._untold = 0 if order.told else self._untold + 1
        self._unheard = self._unheard and not order.told
        if self._is_doubted():
            self._wake.set()

    def _is_doubted(self) -> bool:
        """Answer whether webhooks should have come and did not, and nobody was told yet."""
        return self._untold >= UNTOLD_MAX and not self._unheard and self._can_ask()

    def _can_ask(self) -> bool:
        """Answer whether the channel's subscriptions can be asked for."""
        connector = self._channel.connector
        return (
            self._hook_url is not None
            and bool(connector.manifest.webhook_topics)
            and isinstance(connector, Checkup)
        )

    async def run(self) -> None:
        """Look at the subscriptions, again and again, and record what was measured."""
        while True:
            await self.look()
            await self._record()
            await wait_for(self._wake, seconds=LOOK_S)

    async def look(self) -> None:
        """Look at the subscriptions if it is time to, or something is odd."""
        silent = self.is_silent()
        if silent and not self._silent:
            wait_s = (self._clock.now() - self._last_at).total_seconds()
            logs.emit(Event("channel.silent", {"channel": self._channel.name, "wait_s": wait_s}))
            self._channel.poll_wake.set()
        odd = (silent and not self._silent) or self._is_doubted()
        self._silent = silent
        monotonic = self._clock.monotonic()
        if self._looked_at is not None:
            since_s = monotonic - self._looked_at
            if since_s < (HOOKS_SOONEST_S if odd else HOOKS_EVERY_S):
                return
        self._looked_at = monotonic
        await self._mend_hooks()

    def is_silent(self) -> bool:
        """Answer whether orders have stayed away for longer than the channel's rate explains."""
        now = self._clock.now()
        while self._orders and now - self._orders[0] > RATE_WINDOW:
            self._orders.popleft()
        watched = min(now - self._begun_at, RATE_WINDOW)
        if watched < RATE_FROM or len(self._orders) < SILENCE:
            return False
        # The silence itself is no part of the time that the rate is made of.
        silence = now - self._last_at
        sold = max(watched - silence, timedelta(seconds=1))
        return len(self._orders) * (silence / sold) > SILENCE

    async def _mend_hooks(self) -> None:
        """Have the subscriptions be what they should; poll what was missed, and say so.

        In shadow they are only looked at: whoever wants them made types `stockpush connect`.
        """
        connector, url = self._channel.connector, self._hook_url
        if not self._can_ask() or self._channel.health is Health.NEEDS_LOGIN:
            return
        assert url is not None
        assert isinstance(connector, Checkup)
        name = self._channel.name
        shadow = self._channel.policy.mode is Mode.SHADOW
        try:
            hooks = await connector.ensure_webhooks(self._channel.api, url, dry_run=shadow)
        except ChannelError as error:
            # Rights may be lacking for webhooks alone; how the channel is doing, polls tell.
            if not self._unchecked:
                logs.emit(Event("webhooks.unchecked", {"channel": name, "reason": error.message}))
            self._unchecked = True
            return
        self._unchecked = False
        told = told_of(hooks)
        known, self._missing = self._missing, told if shadow else ""
        if told and told != known:
            what = "webhooks.missing" if shadow else "webhooks.mended"
            logs.emit(Event(what, {"channel": name, "reason": told}))
        if hooks.lost:
            self._untold = 0
            if told != known:
                self._channel.poll_wake.set()
        elif self._is_doubted():
            self._unheard = True
            logs.emit(Event("webhooks.unheard", {"channel": name, "orders": self._untold}))

    async def _record(self) -> None:
        """Record what was measured, for people who ask from outside; nothing new, no write."""
        heard = measured(self._samples)
        if heard and heard != self._recorded:
            self._recorded = heard
            await self._lane.submit(NoteHeard(self._channel.name, heard))


def measured(samples: Mapping[bool, Iterable[float]]) -> tuple[HeardBy, ...]:
    """Return p50 and p95 of each way that has samples, in seconds.

    >>> measured({True: [0.5, 1.0, 9.0], False: []})
    (HeardBy(way='webhook', p50=1.0, p95=9.0, orders=3),)
    """
    found = []
    for told, way in ((True, "webhook"), (False, "poll")):
        ordered = sorted(samples[told])
        if ordered:
            p50, p95 = (ordered[-(-len(ordered) * each // 100) - 1] for each in (50, 95))
            found.append(HeardBy(way, round(p50, 3), round(p95, 3), len(ordered)))
    return tuple(found)
