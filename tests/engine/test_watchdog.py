"""Whether a channel still tells us: subscriptions mended, silence noticed, orders timed (F12)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stockpush import logs
from stockpush.connectors.base import Finding, Hooks
from stockpush.engine.watchdog import (
    HOOKS_EVERY_S,
    LOOK_S,
    UNTOLD_MAX,
    Watchdog,
    measured,
)
from stockpush.errors import AuthFailed
from stockpush.messages import OrderLineSeen, OrderSeen, ReceiveDelivery
from stockpush.model import Delivery, DeliveryState, HeardBy, Mode, OrderVersion
from stockpush.sim.loop import Owner, spawn
from tests.engine.world import POLL_S, SHOP, Floor, floor, ran

URL = "https://stock.example/webhooks/shop/TOKEN"


@dataclass
class Platform:
    """What became of the subscriptions, as the shop's `ensure_webhooks` tells it."""

    hooks: Hooks = field(default_factory=lambda: Hooks(kept=("orders",)))
    error: AuthFailed | None = None
    asked: list[float] = field(default_factory=list)
    only_looks: bool = False
    """Whether every question must be one that changes nothing: then nothing is mended by it."""


@dataclass
class Watched:
    """A floor with a watchdog on its channel."""

    floor: Floor
    platform: Platform
    watchdog: Watchdog
    lines: list[logs.Line]

    def events(self, name: str) -> list[logs.Line]:
        """The log lines of that name."""
        return [line for line in self.lines if line["event"] == name]

    async def told(self, order_id: str, *, after_s: float = 0.5) -> None:
        """A delivery tells of an order that was placed so long before."""
        order = self._placed(order_id, after_s)
        delivery = Delivery(SHOP, order_id, "order", order.placed_at, DeliveryState.APPLIED)
        await self.floor.lane.submit(ReceiveDelivery(delivery, (order,)))

    def untold(self, order_id: str) -> None:
        """An order of which nobody tells: a poll finds it."""
        self.floor.shop.orders[order_id] = self._placed(order_id, 0)

    def _placed(self, order_id: str, after_s: float) -> OrderSeen:
        at = self.floor.clock.now() - timedelta(seconds=after_s)
        line = OrderLineSeen("1", "a", 0, 0, 0, 0, 0)
        return OrderSeen(SHOP, order_id, OrderVersion(at, 0), at, at, "open", (line,))


@asynccontextmanager
async def watched(
    folder: Path, *, hook_url: str | None = URL, mode: Mode = Mode.LIVE
) -> AsyncIterator[Watched]:
    """A floor whose channel is watched."""
    async with floor(folder) as made:
        platform = Platform(only_looks=mode is Mode.SHADOW)

        async def check(_api: Any) -> tuple[Finding, ...]:
            return ()

        async def ensure_webhooks(_api: Any, url: str, *, dry_run: bool = False) -> Hooks:
            assert (url, dry_run) == (URL, platform.only_looks)
            platform.asked.append(made.clock.monotonic())
            if platform.error is not None:
                raise platform.error
            told = platform.hooks
            if not dry_run:
                platform.hooks = Hooks(kept=("orders",))
            return told

        made.shop.check = check  # type: ignore[attr-defined]
        made.shop.ensure_webhooks = ensure_webhooks  # type: ignore[attr-defined]
        made.shop.manifest = replace(made.shop.manifest, webhook_topics=("orders",))
        channel = made.workers.channel
        channel.policy = replace(channel.policy, mode=mode)
        watchdog = Watchdog(channel, made.lane, made.lane.clock, hook_url=hook_url)
        made.lane.listen(watchdog.note)
        lines: list[logs.Line] = []
        logs.configure(json=True, lines=lines.append)
        running = spawn(made.loop, watchdog.run(), Owner("watchdog"))
        try:
            yield Watched(made, platform, watchdog, lines)
        finally:
            running.cancel()


def watching(
    work: Callable[[Watched], Awaitable[None]],
    folder: Path,
    *,
    hook_url: str | None = URL,
    mode: Mode = Mode.LIVE,
) -> None:
    """Run one test of a watched floor on virtual time."""

    async def run() -> None:
        async with watched(folder, hook_url=hook_url, mode=mode) as made:
            await work(made)

    ran(run())


def test_subscriptions_are_looked_at_at_once_and_then_within_fifteen_minutes(
    tmp_path: Path,
) -> None:
    """A day of them, each within a quarter of an hour of the one before; nothing is said."""

    async def work(made: Watched) -> None:
        await made.floor.passes(6 * 3600)
        asked = made.platform.asked
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert len(asked) > 6 * 4
        assert max(gaps) <= HOOKS_EVERY_S + LOOK_S < 900
        assert made.events("webhooks.mended") == []

    watching(work, tmp_path)


@pytest.mark.parametrize("hooks", [Hooks(made=("orders",)), Hooks(revived=("orders",))])
def test_what_was_lost_is_mended_said_once_and_polled(tmp_path: Path, hooks: Hooks) -> None:
    """The poll begins at once, from the cursor as it was, and not at its next turn."""

    async def work(made: Watched) -> None:
        await made.floor.passes(POLL_S + 5)
        made.platform.hooks = hooks
        asked, polls = len(made.platform.asked), made.floor.shop.log.count("poll")
        await made.floor.until(lambda: len(made.platform.asked) > asked, 900)
        await made.floor.passes(1)
        assert made.floor.shop.log.count("poll") > polls
        assert len(made.events("webhooks.mended")) == 1
        await made.floor.passes(3 * 3600)
        assert len(made.events("webhooks.mended")) == 1

    watching(work, tmp_path)


@pytest.mark.parametrize("hooks", [Hooks(made=("orders",)), Hooks(revived=("orders",))])
def test_in_shadow_it_is_said_once_what_would_be_mended(tmp_path: Path, hooks: Hooks) -> None:
    """Nothing is made or switched on: what is missing is told once, and again after it was well."""

    async def work(made: Watched) -> None:
        await made.floor.passes(POLL_S + 5)
        made.platform.hooks = hooks
        await made.floor.passes(3 * 3600)
        (line,) = made.events("webhooks.missing")
        assert "orders" in str(line["reason"])
        assert made.events("webhooks.mended") == []
        made.platform.hooks = Hooks(kept=("orders",))
        await made.floor.passes(3600)
        made.platform.hooks = hooks
        await made.floor.passes(3600)
        assert len(made.events("webhooks.missing")) == 2

    watching(work, tmp_path, mode=Mode.SHADOW)


def test_orders_that_only_polls_find_have_the_subscriptions_looked_at(tmp_path: Path) -> None:
    """Three in a row that no delivery told of, and nobody waits for the ten minutes."""

    async def work(made: Watched) -> None:
        await made.floor.passes(120)
        asked = len(made.platform.asked)
        begun = made.floor.clock.monotonic()
        made.platform.hooks = Hooks(made=("orders",))
        for number in range(UNTOLD_MAX):
            made.untold(f"p{number}")
        made.floor.workers.channel.poll_wake.set()
        await made.floor.until(lambda: len(made.platform.asked) > asked, 120)
        assert made.floor.clock.monotonic() - begun <= LOOK_S

    watching(work, tmp_path)


def test_webhooks_that_do_not_come_although_they_are_subscribed_are_said_once(
    tmp_path: Path,
) -> None:
    """The maker's tunnel is down: the shop has every subscription, and only polls find orders. The
    subscriptions are then asked for at their usual pace; once one has come, it may be said again.
    """

    async def work(made: Watched) -> None:
        await made.floor.passes(120)
        for number in range(12):
            made.untold(f"p{number}")
            await made.floor.passes(POLL_S)
        assert len(made.events("webhooks.unheard")) == 1
        asked = len(made.platform.asked)
        await made.floor.passes(3600)
        assert len(made.platform.asked) - asked <= 3600 / HOOKS_EVERY_S + 1
        await made.told("back")
        for number in range(12, 18):
            made.untold(f"p{number}")
            await made.floor.passes(POLL_S)
        assert len(made.events("webhooks.unheard")) == 2

    watching(work, tmp_path)


def test_orders_without_lines_are_no_sign_of_anything(tmp_path: Path) -> None:
    """A download sold again and again in each overlapping poll: it is kept nowhere, and is neither
    timed nor counted.
    """

    async def work(made: Watched) -> None:
        await made.floor.passes(120)
        made.untold("download")
        order = made.floor.shop.orders["download"]
        made.floor.shop.orders["download"] = replace(order, lines=())
        before = (await made.floor.store.channel_state(SHOP)).last_order_at
        await made.floor.passes(8 * POLL_S)
        assert made.events("webhooks.unheard") == []
        state = await made.floor.store.channel_state(SHOP)
        assert (state.heard, state.last_order_at) == ((), before)

    watching(work, tmp_path)


def test_a_silence_that_the_rate_does_not_explain_is_said_once(tmp_path: Path) -> None:
    """Six orders an hour, then none: within two hours people are told, and again after the next."""

    async def work(made: Watched) -> None:
        for number in range(24):
            await made.told(f"a{number}")
            await made.floor.passes(600)
        assert made.events("channel.silent") == []
        await made.floor.passes(2 * 3600)
        assert len(made.events("channel.silent")) == 1
        await made.floor.passes(6 * 3600)
        assert len(made.events("channel.silent")) == 1
        await made.told("late")
        assert not made.watchdog.is_silent()

    watching(work, tmp_path)


def test_a_quiet_shop_is_no_silent_one(tmp_path: Path) -> None:
    """One order a day says nothing about the next hours; nor do the first ones of a new channel."""

    async def work(made: Watched) -> None:
        for day in range(2):
            await made.told(f"a{day}")
            await made.floor.passes(86_400)
        for number in range(20):
            await made.told(f"b{number}")
        assert made.events("channel.silent") == []

    watching(work, tmp_path)


def test_what_cannot_be_looked_at_is_said_once_and_harms_nobody(tmp_path: Path) -> None:
    """A key without the right to webhooks: the channel goes on, and polls tell of its health."""

    async def work(made: Watched) -> None:
        made.platform.error = AuthFailed("This key may not list webhooks")
        await made.floor.passes(3 * 3600)
        assert len(made.events("webhooks.unchecked")) == 1
        assert made.floor.workers.channel.reason == ""
        made.platform.error = None
        await made.floor.passes(3600)
        made.platform.error = AuthFailed("This key may not list webhooks")
        await made.floor.passes(3600)
        assert len(made.events("webhooks.unchecked")) == 2

    watching(work, tmp_path)


def test_without_an_address_nothing_is_subscribed(tmp_path: Path) -> None:
    """Polling alone is enough, and what it takes is measured all the same."""

    async def work(made: Watched) -> None:
        made.untold("p")
        await made.floor.passes(2 * POLL_S)
        assert made.platform.asked == []
        state = await made.floor.store.channel_state(SHOP)
        assert [(each.way, each.orders) for each in state.heard] == [("poll", 1)]
        assert 0 < state.heard[0].p50 <= POLL_S

    watching(work, tmp_path, hook_url=None)


def test_each_order_is_timed_once_by_what_told_of_it_first(tmp_path: Path) -> None:
    """Changes of a known order count no more, and neither does one from before this process."""

    async def work(made: Watched) -> None:
        await made.floor.passes(30)
        for number, seconds in enumerate((0.5, 2.0, 8.0)):
            await made.told(f"a{number}", after_s=seconds)
        await made.told("a0", after_s=0.1)
        await made.told("old", after_s=7 * 86_400)
        await made.floor.passes(LOOK_S + 1)
        state = await made.floor.store.channel_state(SHOP)
        assert state.heard == (HeardBy("webhook", 2.0, 8.0, 3),)

    watching(work, tmp_path)


def test_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    """An idle day costs no write for what was measured."""

    async def work(made: Watched) -> None:
        await made.told("a")
        await made.floor.passes(2 * LOOK_S)
        before = made.floor.statements["UPDATE"]
        await made.floor.passes(3 * 3600)
        polls = 3 * 3600 / POLL_S
        assert made.floor.statements["UPDATE"] - before <= 3 * polls

    watching(work, tmp_path)


def test_the_ranks_are_the_nearest_ones() -> None:
    """95 of 100 are not slower than p95."""
    heard = measured({True: [float(each) for each in range(1, 101)], False: []})
    assert heard == (HeardBy("webhook", 50.0, 95.0, 100),)
