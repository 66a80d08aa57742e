"""How guard levels are measured: the arithmetic, and the worker on a store that says one thing."""

from __future__ import annotations

import doctest
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.engine import guard_keeper
from stockpush.engine.guard_keeper import EPSILON, GuardKeeper, Windows, level, tail
from stockpush.messages import NoteGuardLevels
from stockpush.model import ChannelPolicy, ChannelState, HeardBy, Mode, shelf_key
from stockpush.ports import Sold

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BOTH = {"shop": 1, "etsy": 1}


def test_the_examples_of_the_module_hold() -> None:
    """The docstrings say what the code does."""
    assert doctest.testmod(guard_keeper).failed == 0


@given(st.floats(0, 400))
def test_the_tail_is_the_smallest_that_is_improbable_enough(mean: float) -> None:
    """Summed up anew: beyond the level lies at most EPSILON, beyond the one below it more."""
    found = tail(mean)

    def beyond(k: int) -> float:
        logs = (
            n * math.log(mean) - mean - math.lgamma(n + 1) if mean else (0.0 if n == 0 else -1e9)
            for n in range(k + 1)
        )
        return 1.0 - math.fsum(map(math.exp, logs))

    assert beyond(found) <= EPSILON + 1e-9
    assert found == 0 or beyond(found - 1) > EPSILON - 1e-9


def test_the_tail_goes_on_where_sums_end() -> None:
    """Just beyond the last sum it is what it was just before, but for a few."""
    assert abs(tail(500.0) - tail(500.1)) <= 3


LEVELS = [
    # what is sold as (channel, lines in four weeks, of these in the last day), how each is known
    # (s), how long its pushes take (s), units a line, the level
    ("once a day, known in a minute", {"shop": (28, 1)}, {"shop": 60}, {}, 1, 0),
    ("ten a day, known in a minute", {"shop": (280, 10)}, {"shop": 60}, {}, 1, 1),
    ("a busy day counts more than four quiet weeks", {"shop": (30, 29)}, {"shop": 60}, {}, 1, 1),
    ("a thousand a day", {"shop": (28000, 1000)}, {"shop": 60}, {}, 1, 4),
    ("the same in dozens", {"shop": (28000, 1000)}, {"shop": 60}, {}, 12, 48),
    ("by webhook it is soon known", {"shop": (280, 10)}, {"shop": 2}, {}, 1, 0),
    ("but a slow channel is lowered late", {"shop": (280, 10)}, {"shop": 2}, {"etsy": 60}, 1, 1),
    ("its own pushes do not matter", {"shop": (280, 10)}, {"shop": 2}, {"shop": 60}, 1, 0),
    ("not known how late it is heard", {"shop": (28000, 1000)}, {}, {}, 1, 0),
    ("nothing was sold", {}, {"shop": 60}, {}, 1, 0),
]


@pytest.mark.parametrize(("why", "sold", "heard", "pushed", "units", "expected"), LEVELS)
def test_what_sells_elsewhere_before_a_number_follows(
    why: str,
    sold: dict[str, tuple[int, int]],
    heard: dict[str, float],
    pushed: dict[str, float],
    units: int,
    expected: int,
) -> None:
    """A candle on a shop and on Etsy has this level."""
    rows = [Sold("candle", name, n, n * units, lately) for name, (n, lately) in sold.items()]
    assert level(rows, BOTH, Windows(heard, pushed)) == expected, why


def test_one_number_alone_cannot_be_sold_twice() -> None:
    """One listing needs no guard; two on one channel are elsewhere to each other."""
    rows = [Sold("candle", "shop", 28000, 28000, 1000)]
    windows = Windows({"shop": 60}, {})
    assert level(rows, {"shop": 1}, windows) == 0
    assert level(rows, {"shop": 2}, windows) == 4


@dataclass
class Fake:
    """A store, a lane and a clock."""

    sales: Sequence[Sold]
    known: dict[str, int] = field(default_factory=dict)
    heard: Mapping[str, tuple[HeardBy, ...]] = field(default_factory=dict)
    noted: list[tuple[tuple[str, int], ...]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    fed: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, Mode] = field(
        default_factory=lambda: {"shop": Mode.LIVE, "etsy": Mode.LIVE, "woo": Mode.SHADOW}
    )

    @property
    def policies(self) -> Mapping[str, ChannelPolicy]:
        """The channels."""
        return {name: ChannelPolicy(name, "shopify", mode) for name, mode in self.modes.items()}

    def now(self) -> datetime:
        """Noon."""
        return NOON

    async def sleep(self, seconds: float) -> None:
        """Note how long, and do not wait."""
        self.slept.append(seconds)

    async def sold(self, *, since: datetime, lately: datetime) -> Sequence[Sold]:
        """The sales."""
        assert since < lately < NOON
        return self.sales

    async def shown(self, *, since: datetime) -> Sequence[tuple[str, str, int]]:
        """Every item that was sold is on every channel."""
        skus = sorted({each.sku for each in self.sales})
        return [(sku, name, 1) for sku in skus for name in self.modes]

    async def channel_state(self, channel: str) -> ChannelState:
        """How its orders were heard of."""
        return ChannelState(channel, heard=self.heard.get(channel, ()))

    async def push_seconds(self, channel: str, *, limit: int) -> Sequence[float]:
        """No push was made yet."""
        return []

    async def guard_levels(self) -> Mapping[str, int]:
        """The levels noted last."""
        return self.known

    async def feeds(self) -> Mapping[str, str]:
        """Which pool feeds which channel."""
        return self.fed

    async def submit(self, command: NoteGuardLevels) -> None:
        """Note them."""
        self.noted.append(command.levels)
        self.known |= dict(command.levels)


def keeper(fake: Any) -> GuardKeeper:
    """The worker on the fake."""
    return GuardKeeper(fake, fake, fake)


POLLED = {"shop": (HeardBy("poll", 30.0, 60.0, 9),)}


async def test_only_levels_that_differ_are_noted_some_at_a_time() -> None:
    """Sales do not wait behind hundreds of items at once, and what stays is not written again."""
    fake = Fake([Sold(f"item {n:02}", "shop", 28000, 28000, 1000) for n in range(40)], heard=POLLED)
    await keeper(fake).measure()
    assert [len(part) for part in fake.noted] == [16, 16, 8]
    assert set(fake.known.values()) == {4}
    await keeper(fake).measure()
    assert len(fake.noted) == 3


async def test_others_have_their_turn_meanwhile() -> None:
    """Thousands of items are not reckoned in one go."""
    fake = Fake([Sold(f"item {n}", "shop", 1, 1, 0) for n in range(250)], heard=POLLED)
    await keeper(fake).measure()
    assert fake.slept == [0.0, 0.0]


async def test_what_does_not_sell_any_more_has_no_level() -> None:
    """Four weeks after the last sale nothing is measured of it."""
    fake = Fake([], {"candle": 5})
    await keeper(fake).measure()
    assert fake.noted == [(("candle", 0),)]


async def test_a_channel_in_shadow_shows_nothing_of_ours() -> None:
    """Where only one channel is written to, nothing can be sold twice by a late number."""
    sales = [Sold("candle", "shop", 28000, 28000, 1000)]
    modes = {"shop": Mode.LIVE, "woo": Mode.SHADOW}
    fake = Fake(sales, heard=POLLED, modes=modes)
    await keeper(fake).measure()
    assert fake.noted == []


LIVE = {"etsy": Mode.LIVE, "shop": Mode.LIVE, "woo": Mode.LIVE}
BUSY = {name: (HeardBy("poll", 30.0, 60.0, 9),) for name in LIVE}


async def test_each_pool_has_a_level_of_what_sells_in_it() -> None:
    """Etsy sells a lot, in the market with woo: the shop, alone in its pool, shares with nobody."""
    sales = [Sold("candle", "etsy", 28000, 28000, 1000), Sold("candle", "shop", 28000, 28000, 1000)]
    fed = {"etsy": "market", "woo": "market"}
    market = shelf_key("candle", "market")
    fake = Fake(sales, {"candle": 5}, heard=BUSY, modes=LIVE, fed=fed)
    await keeper(fake).measure()
    assert fake.noted == [(("candle", 0), (market, 4))]
    fake.fed = {}
    await keeper(fake).measure()
    assert fake.noted[1:] == [(("candle", 6), (market, 0))]


async def test_nothing_is_measured_right_after_the_start() -> None:
    """A start has other worries."""

    class Ended(Exception):
        pass

    async def sleep(seconds: float) -> None:
        raise Ended(seconds)

    clock = SimpleNamespace(sleep=sleep)
    with pytest.raises(Ended, match=r"120\.0"):
        await GuardKeeper(Fake([]), Fake([]), clock).run()  # type: ignore[arg-type]
