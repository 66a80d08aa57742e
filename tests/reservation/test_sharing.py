"""What is left of an item is shared out among its listings, and when."""

from __future__ import annotations

import doctest
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stockpush.messages import (
    Accepted,
    AdoptListings,
    ListingResolved,
    NoteGuardLevels,
    ResolveListings,
    StartChannel,
)
from stockpush.model import (
    Exposure,
    FieldKey,
    ListingKey,
    MovementKind,
    PushOutcomeKind,
    StockPolicy,
)
from stockpush.reservation import catalogue, sharing
from stockpush.reservation.atp import atp
from stockpush.reservation.pushes import derivation, target_of
from stockpush.reservation.sharing import Sharer, share
from stockpush.reservation.view import View
from stockpush.sim.shares import Taker, shares
from tests.reservation.test_reach import large_from
from tests.reservation.world import World, line


def test_the_examples_of_the_module_hold() -> None:
    """The docstrings say what the code does."""
    result = doctest.testmod(sharing)
    assert result.attempted > 0
    assert result.failed == 0


ETSY, FAIRE, SHOP, WOO = "etsy", "faire", "shop", "woo"

SHARES = [
    # (left, listings as (channel, pack, weight, buffer), home, packs that each shows)
    # the last one goes home; without a home to the first of equals
    (1, [(ETSY, 1, 1, 0), (SHOP, 1, 1, 0)], SHOP, [0, 1]),
    (1, [(ETSY, 1, 1, 0), (SHOP, 1, 1, 0)], None, [1, 0]),
    (1, [(ETSY, 1, 9, 0), (SHOP, 1, 1, 0)], SHOP, [0, 1]),
    (0, [(ETSY, 1, 1, 0), (SHOP, 1, 1, 0)], SHOP, [0, 0]),
    # by weight, whole units
    (4, [(ETSY, 1, 1, 0), (FAIRE, 1, 1, 0), (SHOP, 1, 1, 0), (WOO, 1, 1, 0)], SHOP, [1, 1, 1, 1]),
    (3, [(ETSY, 1, 1, 0), (FAIRE, 1, 1, 0), (SHOP, 1, 1, 0), (WOO, 1, 1, 0)], SHOP, [1, 1, 1, 0]),
    (8, [(ETSY, 1, 1, 0), (SHOP, 1, 3, 0)], None, [2, 6]),
    (5, [(ETSY, 1, 1, 0), (SHOP, 1, 3, 0)], None, [1, 4]),
    # a dozen does not fit in five: the others have them all
    (5, [(ETSY, 12, 1, 0), (SHOP, 1, 1, 0)], None, [0, 5]),
    (13, [(ETSY, 12, 1, 0), (SHOP, 1, 1, 0)], None, [0, 13]),
    (24, [(ETSY, 12, 1, 0), (SHOP, 1, 1, 0)], None, [1, 12]),
    (30, [(ETSY, 12, 1, 0), (SHOP, 1, 1, 0)], None, [1, 18]),
    # dozens alone: what makes no dozen is left, as it would be by itself
    (30, [(ETSY, 12, 1, 0), (FAIRE, 12, 1, 0)], FAIRE, [1, 1]),
    # what a buffer keeps back is not told to its channel, and is the others'
    (3, [(ETSY, 1, 1, 2), (SHOP, 1, 1, 0)], None, [1, 2]),
    (2, [(ETSY, 1, 1, 2), (SHOP, 1, 1, 0)], None, [0, 2]),
    (3, [(ETSY, 1, 1, 1), (FAIRE, 1, 1, 1), (SHOP, 1, 1, 1)], None, [1, 1, 0]),
    (4, [(ETSY, 1, 1, 3), (FAIRE, 1, 1, 3), (SHOP, 1, 1, 0)], SHOP, [1, 0, 3]),
]


def sharers(units: int, rows: list[tuple[str, int, int, int]]) -> tuple[Sharer, ...]:
    """Return what shares so many units, each showing alone what it may."""
    return tuple(
        Sharer(FieldKey(name, "a"), pack, weight, max(0, units - buffer) // pack, buffer)
        for name, pack, weight, buffer in rows
    )


@pytest.mark.parametrize(("units", "rows", "home", "packs"), SHARES)
def test_whole_packs_by_weight_and_the_last_one_at_home(
    units: int, rows: list[tuple[str, int, int, int]], home: str | None, packs: list[int]
) -> None:
    """So many units among these listings come to these packs."""
    assert list(share(units, sharers(units, rows), home).values()) == packs


PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"
ROWS = re.findall(
    r"\| (\d+) \| ((?:\w+ \d+(?:, )?)+) \| ([\d, ]+) \| ([\d, ]+) \| (\w+|-) \| ([\d, ]+) \|",
    PAGE.read_text(encoding="utf-8"),
)


def numbers(text: str) -> list[int]:
    """Return the numbers of a cell."""
    return [int(each) for each in text.split(",")]


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_the_table_of_the_page_is_what_is_shown(row: tuple[str, ...]) -> None:
    """Left, listings, weights, buffers and home come to what stands in the last column."""
    left, listings, weights, buffers, home, shown = row
    named = [each.rsplit(" ", 1) for each in listings.split(", ")]
    rows = [
        (name, int(pack), weight, buffer)
        for (name, pack), weight, buffer in zip(
            named, numbers(weights), numbers(buffers), strict=True
        )
    ]
    packs = share(int(left), sharers(int(left), rows), None if home == "-" else home)
    assert list(packs.values()) == numbers(shown)


def test_the_page_has_a_table() -> None:
    """All of its rows are read above."""
    assert len(ROWS) == 9


@st.composite
def shops(draw: st.DrawFn) -> tuple[int, tuple[Sharer, ...], str | None]:
    """Draw units that are left, listings, and a home."""
    units = draw(st.integers(0, 60))
    rows = [
        (
            name,
            draw(st.integers(1, 13)),
            draw(st.integers(1, 9)),
            draw(st.sampled_from((0, 0, 1, 5))),
        )
        for name in draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=5))
    ]
    found = tuple(
        each._replace(most=min(each.most, draw(st.integers(0, 40))))
        for each in sharers(units, sorted(rows))
    )
    return units, found, draw(st.sampled_from((None, *"abcde")))


@given(shops())
def test_nothing_is_promised_twice_and_nothing_is_locked_away(
    shop: tuple[int, tuple[Sharer, ...], str | None],
) -> None:
    """No more is shown than there is, also of what buffers leave; none could show one more."""
    units, found, home = shop
    packs = share(units, found, home)

    def is_there(packs: dict[FieldKey, int]) -> bool:
        return all(
            sum(packs[each.field] * each.pack for each in found if each.buffer >= buffer)
            <= max(0, units - buffer)
            for buffer in (0, *(each.buffer for each in found))
        )

    assert is_there(packs)
    assert all(0 <= packs[each.field] <= each.most for each in found)
    for each in found:
        more = packs | {each.field: packs[each.field] + 1}
        assert more[each.field] > each.most or not is_there(more)


@given(shops())
def test_the_truth_of_the_simulator_says_the_same(
    shop: tuple[int, tuple[Sharer, ...], str | None],
) -> None:
    """Written anew from the page, pack by pack, it comes to the same shares."""
    units, found, home = shop
    assume(found)
    takers = [Taker(each.field, *each[1:5]) for each in found]
    assert shares(units, takers, home) == share(units, found, home)


@given(shops())
def test_many_packs_at_once_are_the_same_as_one_by_one(
    shop: tuple[int, tuple[Sharer, ...], str | None],
) -> None:
    """The quick way gives what going pack by pack gives."""
    quick = share(*shop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "_many_at_once", lambda _sharers, packs, *_: packs)
        assert share(*shop) == quick


def test_a_great_many_units_are_shared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million labels and a listing in packs of five thousand take some thousand steps."""
    rows = [(ETSY, 5000, 3, 0), (FAIRE, 1, 1, 7), (SHOP, 1, 900, 0), (WOO, 250, 1, 0)]
    steps = []
    monkeypatch.setattr(
        sharing, "max", lambda *those, **how: steps.append(1) or max(*those, **how), raising=False
    )
    packs = share(10**6 + 3, sharers(10**6 + 3, rows), WOO)
    shown = {row[0]: row[1] * count for row, count in zip(rows, packs.values(), strict=True)}
    assert sum(shown.values()) == 10**6 + 3
    assert shown[SHOP] > 900_000
    assert len(steps) < 20_000


# -- in a shop -------------------------------------------------------------------------------


def shop(*, candles: int, **columns: object) -> World:
    """Return a shop with candles on three channels, which show what there is."""
    world = World().stock(candle=candles)
    if columns:
        world.item("candle", **columns)
    for channel in ("shopify", "woo", "etsy"):
        world.list(channel, channel[0], "candle", shows=0)
    world.syncs()
    return world


def shows(world: World) -> list[int | None]:
    """What etsy, shopify and woo show."""
    return list(world.expected().values())


def sells(world: World, channel: str, number: int, units: int = 1) -> None:
    """A sale that the channel takes off its number, and what follows from it."""
    world.hears(world.order(channel, str(number), line(channel[0], units)))
    world.syncs()


def test_without_a_level_every_listing_shows_the_whole() -> None:
    """A new shop has sold nothing and its owner has asked for nothing: it is a mirror."""
    world = shop(candles=2)
    assert shows(world) == [2, 2, 2]
    sells(world, "shopify", 1)
    assert shows(world) == [1, 1, 1]
    assert not world.rows.shelves["candle"].guarded


def test_at_the_level_what_is_left_is_shared_and_the_last_one_is_at_home() -> None:
    """Above it all show all; from there on each unit is on one channel."""
    world = shop(candles=5, guard_min=4, home_channel="woo")
    assert shows(world) == [5, 5, 5]
    sells(world, "shopify", 1)
    assert shows(world) == [1, 1, 2]
    sells(world, "shopify", 2)
    assert shows(world) == [1, 1, 1]
    sells(world, "etsy", 3)
    assert shows(world) == [1, 0, 1]
    sells(world, "etsy", 4)
    assert shows(world) == [0, 0, 1]
    sells(world, "woo", 5)
    assert shows(world) == [0, 0, 0]


def test_a_cancel_does_not_turn_every_listing_back() -> None:
    """It enters at the level, and leaves beyond it and a quarter of it."""
    world = shop(candles=5, guard_min=4)
    sells(world, "shopify", 1)
    assert shows(world) == [2, 1, 1]
    world.moves("candle", 1, MovementKind.ADJUSTMENT, "5 again")
    world.syncs()
    assert shows(world) == [2, 2, 1]
    world.moves("candle", 1, MovementKind.ADJUSTMENT, "6")
    world.syncs()
    assert shows(world) == [6, 6, 6]
    world.moves("candle", -1, MovementKind.ADJUSTMENT, "5 from above")
    world.syncs()
    assert shows(world) == [5, 5, 5]


def test_a_level_that_was_measured_counts_if_it_is_above_the_owners() -> None:
    """Levels come and go with what sells; below the owner's minimum none counts."""
    world = shop(candles=3, guard_min=1)
    world.do(NoteGuardLevels((("candle", 3), ("no-such-item", 3))))
    world.syncs()
    assert shows(world) == [1, 1, 1]
    world.do(NoteGuardLevels((("candle", 0),)))
    world.syncs()
    assert shows(world) == [3, 3, 3]
    assert world.rows.shelves["candle"].guard_level == 0
    assert world.do(NoteGuardLevels((("candle", 0),))).touched_skus == frozenset()


def test_another_policy_holds_at_once() -> None:
    """A change of an item's columns changes its listings in one fan-out, and back."""
    world = shop(candles=3, guard_min=3)
    assert shows(world) == [1, 1, 1]
    world.item("candle", exposure=Exposure.MIRROR)
    world.syncs()
    assert shows(world) == [3, 3, 3]
    world.item("candle", exposure=None, home_channel="woo", guard_min=None)
    world.syncs()
    assert shows(world) == [3, 3, 3]
    world.catalogue = replace(
        world.catalogue, stock=StockPolicy(guard_min=Decimal(2), home_channel="shopify")
    )
    world.moves("candle", -1, MovementKind.ADJUSTMENT)
    world.syncs()
    assert shows(world) == [1, 0, 1]  # its own home before that of all items


def test_listings_that_are_not_written_to_take_no_share() -> None:
    """What is not adopted, parked or in shadow would lock units away; once it is, all follow."""
    world = shop(candles=4, guard_min=4)
    assert shows(world) == [2, 1, 1]
    world.list("woo", "second", "candle", shows=0, adopt=False)
    world.list("shadow", "s", "candle", shows=0)
    world.syncs()
    assert (world.field("etsy", "e").expected, world.field("woo", "w").expected) == (2, 1)
    assert world.field("shadow", "s").shadowed == 1  # what it would get if it joined them
    world.do(AdoptListings((ListingKey("woo", "second"),)))
    world.reads("woo", "second", 0)
    world.polls("woo")
    world.syncs()
    kept = {name: shown for name, shown in world.expected().items() if name != "shadow/s"}
    assert kept == {"etsy/e": 1, "shopify/s": 1, "woo/second": 1, "woo/w": 1}


def test_a_listing_that_is_parked_gives_its_share_to_the_others() -> None:
    """A number that the channel refuses is nobody's to wait for."""
    world = shop(candles=4, guard_min=4)
    world.moves("candle", -1, MovementKind.ADJUSTMENT, "3")
    (push,) = world.pushes("etsy")
    world.settles(push, PushOutcomeKind.REJECTED, reason="no such listing")
    world.syncs()
    assert (world.field("shopify", "s").expected, world.field("woo", "w").expected) == (2, 1)


def test_a_push_that_ends_after_its_listing_moved_leaves_the_shelf_alone() -> None:
    """Nobody read the shelf for a number that is no listing's any more: it is not taken for empty,
    which would have begun a second one and have every try to settle the push fail.
    """
    world = World().stock(candle=5).item("candle", guard_min=2)
    world.list("woo", "a", "candle", shows=0)
    (push,) = world.pushes("woo")
    world.do(ResolveListings((ListingResolved(ListingKey("woo", "a"), "a", "b"),)))
    before = world.rows.shelves["candle"]
    assert world.settles(push).outcome == Accepted()
    assert world.rows.shelves["candle"] == before
    assert not world.rows.in_flight


@pytest.mark.parametrize("channel", ["woo", "shopify"])
@pytest.mark.parametrize("large_min", [1, 10**9])
def test_a_sale_of_an_item_that_shares_a_number_with_another_one_is_taken(
    channel: str, large_min: int
) -> None:
    """Both listings on that number are parked, and it may be sold elsewhere. The other item's shelf
    is not read for it, whether groups are read whole or in part, and is left alone.
    """
    with large_from(large_min):
        world = World().stock(candle=5, balm=6)
        world.item("candle", guard_min=2).item("balm", guard_min=2)
        world.list("woo", "a", "candle", shows=0).list("woo", "b", "balm", field="a")
        world.list("shopify", "b", "balm", shows=6)
        before = world.rows.shelves["candle"]
        world.hears(world.order(channel, "1", line("b", 1)))
        assert world.rows.shelves["balm"].reserved == 1
        assert world.rows.shelves["candle"] == before


def test_a_start_looks_at_every_item_anew() -> None:
    """The configuration may have changed while no daemon ran."""
    world = shop(candles=3)
    world.catalogue = replace(world.catalogue, stock=StockPolicy(guard_min=Decimal(3)))
    world.do(StartChannel("woo"))
    world.syncs()
    assert shows(world) == [1, 1, 1]
    assert world.rows.shelves["candle"].guarded


def test_a_large_group_that_is_read_in_part_shares_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soap takes wax, and candles come to their level: their packs of three are no fewer for it by
    themselves, but one of two listings has to give its own up.
    """
    monkeypatch.setattr(catalogue, "LARGE_MIN", 1)
    world = World().stock(wax=5, candle=0, soap=0).bill("candle", wax=1).bill("soap", wax=1)
    world.item("candle", guard_min=4, home_channel="woo")
    for channel in ("shopify", "woo"):
        world.list(channel, f"{channel[0]}c", "candle", pack=3, shows=0)
    world.list("shopify", "ss", "soap", shows=0)
    world.syncs()
    assert world.expected() == {"shopify/sc": 1, "shopify/ss": 5, "woo/wc": 1}
    world.hears(world.order("shopify", "1", line("ss", 1)))
    assert world.rows.shelves["candle"].guarded
    world.syncs()
    assert world.expected() == {"shopify/sc": 0, "shopify/ss": 4, "woo/wc": 1}


LIMITS = [
    # (candles, exposure_max, what etsy, shopify and woo show)
    (4, None, [4, 4, 4]),
    (4, 8, [4, 4, 4]),
    (4, 5, [3, 3, 3]),
    (4, 0, [2, 1, 1]),
    (0, 2, [0, 0, 0]),
]


@pytest.mark.parametrize(("candles", "limit", "shown"), LIMITS)
def test_the_worst_case_stays_within_what_the_owner_allows(
    candles: int, limit: int | None, shown: list[int]
) -> None:
    """All listings sold out at once sell at most so many more than there are."""
    world = shop(candles=candles, exposure_max=limit)
    assert shows(world) == shown
    assert limit is None or sum(shown) - candles <= limit


@given(
    st.integers(0, 30),
    st.integers(0, 12),
    st.none() | st.integers(0, 30),
    st.lists(st.integers(1, 7), min_size=3, max_size=3),
)
def test_the_terms_sum_to_what_is_shown(
    candles: int, level: int, limit: int | None, packs: list[int]
) -> None:
    """Whatever is shared out, a number is still the sum of its terms."""
    world = World().stock(candle=candles).item("candle", guard_min=level, exposure_max=limit)
    for channel, pack in zip(("shopify", "woo", "etsy"), packs, strict=True):
        world.list(channel, channel[0], "candle", pack=pack, shows=0)
    view = View(world.catalogue, world.rows)
    net = view.net(["candle"])
    total = 0
    for key, field in view.rows.fields.items():
        policy = view.catalogue.policies[key.channel]
        wanted = target_of(view, field, atp=atp(net, "candle"), policy=policy)
        assert sum(count for _, count in derivation(view, net, field, policy)) == wanted
        total += wanted * field.pack
    if candles <= level:
        assert total <= candles
    if limit is not None:
        assert total <= candles + limit
