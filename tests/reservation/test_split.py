"""What there is is parted among listings, and handed over only when nobody can sell it any more."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.messages import FieldsUnreadable
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    Exposure,
    Field,
    FieldKey,
    MovementKind,
    Push,
    PushOutcomeKind,
)
from stockpush.reservation import atp as netting
from stockpush.reservation import catalogue as catalogues
from stockpush.reservation import split, view
from stockpush.reservation.bom import Bills
from stockpush.reservation.pushes import derivation, target_of
from stockpush.reservation.split import Share
from stockpush.reservation.view import View
from stockpush.values import replace
from tests.reservation import oracle
from tests.reservation.split_model import Model, Oversold, every_state, rule, shared, walk
from tests.reservation.test_atp import netted
from tests.reservation.world import World, line

CANDLE = "candle"
ETSY, FAIRE, SHOP = "etsy", "faire", "shop"


def share(channel: str, shows: int = 0, **more: object) -> Share:
    """The share of a candle's listing that shows so many, with nothing under way."""
    key = FieldKey(channel, "a")
    defaults = {"shelf": CANDLE, "pack": 1, "at_most": shows, "allotted": shows}
    return Share(key=key, shows=shows, **{**defaults, **more})  # type: ignore[arg-type]  # its own fields


def nets(on_hand: Mapping[str, int], bills: Bills, demand: Mapping[str, int]) -> split.Nets:
    """Net so much stock with more demand."""
    return lambda more: netting.net(
        bills, on_hand, {sku: demand.get(sku, 0) + more.get(sku, 0) for sku in on_hand}, on_hand
    )


PARTS = [
    # (what is there, listings, packs that each aims at)
    # one at a time, to whoever has least: the last one goes home, or to the first by name
    (1, [share(ETSY), share(SHOP, is_home=True)], [0, 1]),
    (1, [share(ETSY), share(SHOP)], [1, 0]),
    (5, [share(ETSY), share(SHOP)], [3, 2]),
    # by weight
    (8, [share(ETSY), share(SHOP, weight=3)], [2, 6]),
    (3, [share(ETSY, weight=2), share(FAIRE), share(SHOP, weight=4)], [1, 1, 1]),
    # what a listing shows it keeps, as long as that is there
    (5, [share(ETSY, 5), share(SHOP)], [5, 0]),
    (7, [share(ETSY, 5), share(SHOP)], [5, 2]),
    # when it is not, whoever has most gives up first
    (4, [share(ETSY, 5), share(SHOP, 1)], [3, 1]),
    (0, [share(ETSY, 5), share(SHOP, 1)], [0, 0]),
    # whole packs; what makes none is the others'
    (5, [share(ETSY, pack=12), share(SHOP)], [0, 5]),
    (15, [share(ETSY, pack=12), share(SHOP)], [1, 3]),
    # a listing is raised only if its buffer is left
    (3, [share(ETSY, buffer=2), share(SHOP)], [1, 2]),
    (2, [share(ETSY, buffer=2), share(SHOP)], [0, 2]),
    (3, [share(ETSY, buffer=1), share(SHOP, buffer=1)], [1, 1]),
    # up to its cap, and down to it
    (9, [share(ETSY, cap=2), share(SHOP)], [2, 7]),
    (9, [share(ETSY, 4, cap=2), share(SHOP)], [2, 7]),
    # what is not ours to change now is taken off first
    (5, [share(ETSY, 4, is_fixed=True), share(SHOP)], [4, 1]),
    (3, [share(ETSY, 4, is_fixed=True), share(SHOP, 2)], [4, 0]),
]


PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"
ROWS = re.findall(
    r"\| (\d+) \| ((?:\w+ \d+ \(\d+\)(?:, )?)+)"
    r" \| ([\d, ]+) \| ([\d, ]+) \| (\w+|-) \| ([\d, ]+) \|",
    PAGE.read_text(encoding="utf-8"),
)


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_the_table_of_the_page_is_what_is_aimed_at(row: tuple[str, ...]) -> None:
    """Stock, listings, weights, buffers and home come to what stands in the last column."""
    there, listings, weights, buffers, home, packs = row
    shares = [
        share(name, int(shows), pack=int(pack), weight=int(w), buffer=int(b), is_home=name == home)
        for (name, pack, shows), w, b in zip(
            re.findall(r"(\w+) (\d+) \((\d+)\)", listings),
            weights.split(", "),
            buffers.split(", "),
            strict=True,
        )
    ]
    aims = split.aims(shares, nets({CANDLE: int(there)}, Bills.build([], {CANDLE}), {}))
    assert [str(each) for each in aims.values()] == packs.strip().split(", ")


def test_the_page_has_a_table() -> None:
    """All of its rows are read above."""
    assert len(ROWS) == 7


@pytest.mark.parametrize(("there", "shares", "packs"), PARTS)
def test_what_is_there_is_parted_in_packs_by_weight(
    there: int, shares: list[Share], packs: list[int]
) -> None:
    """So many candles among these listings come to these packs."""
    aims = split.aims(shares, nets({CANDLE: there}, Bills.build([], {CANDLE}), {}))
    assert list(aims.values()) == packs


def one_at_a_time(shares: list[Share], nets: split.Nets) -> dict[FieldKey, int]:
    """The aims by their definition: a pack at a time, to whoever has least for its weight."""
    fixed = {each.key: each.shows for each in shares if each.is_fixed}

    def net(counts: Mapping[FieldKey, int]) -> netting.Netting:
        units: dict[str, int] = {}
        for each in shares:
            units[each.shelf] = units.get(each.shelf, 0) + counts[each.key] * each.pack
        return nets(units)

    def fill(low: dict[FieldKey, int], high: dict[FieldKey, int]) -> dict[FieldKey, int]:
        counts = dict(low) | fixed
        while True:
            able = [
                each
                for each in shares
                if not each.is_fixed
                and counts[each.key] < high[each.key]
                and netting.atp(net(counts), each.shelf) >= each.pack + each.buffer
            ]
            if not able:
                return counts
            first = min(
                able,
                key=lambda each: (
                    counts[each.key] * each.pack / each.weight,
                    not each.is_home,
                    each.key,
                ),
            )
            counts[first.key] += 1

    start = {each.key: min(each.shows, each.cap) for each in shares} | fixed
    before, there = net(dict.fromkeys(start, 0) | fixed), net(start)
    kept = all(
        each.is_fixed
        or not start[each.key]
        or (
            each.shelf not in there.blocked
            and not netting.lacks_supplies(there, each.shelf)
            and netting.atp(there, each.shelf) >= each.buffer
        )
        for each in shares
    ) and all(there.net[sku] <= max(most, before.net[sku]) for sku, most in there.ceilings.items())
    more: dict[str, int] = {}
    for each in shares:
        if not each.is_fixed and start[each.key]:
            more[each.shelf] = more.get(each.shelf, 0) + start[each.key] * each.pack
    kept = kept and (not before.times.horizons or netting.covers(before, more))
    if not kept:
        start = fill(dict.fromkeys(start, 0), start)
    return fill(start, {each.key: each.cap for each in shares})


@st.composite
def parted(
    draw: st.DrawFn,
) -> tuple[oracle.World, list[Share], int, dict[str, tuple[netting.Gate, ...]]]:
    """A random shop, listings of its items, and how many crates there are for orders of some."""
    world = draw(oracle.worlds(older=True))
    stocked = [sku for sku in world.skus if sku not in world.name_of.values()]
    shares = []
    for place in range(draw(st.integers(1, 4))):
        shows = draw(st.integers(0, 6))
        shares.append(
            share(
                f"{place}",
                shows,
                shelf=draw(st.sampled_from(stocked)),
                pack=draw(st.sampled_from((1, 1, 2, 3))),
                weight=draw(st.sampled_from((1, 1, 2, 4))),
                is_home=draw(st.booleans()),
                buffer=draw(st.sampled_from((0, 0, 0, 1, 3))),
                cap=draw(st.sampled_from((0, 4, 20, 20))),
                is_fixed=draw(st.sampled_from((False, False, False, True))),
            )
        )
    gates = {
        sku: (netting.Gate("crate", draw(st.integers(1, 2)), draw(st.integers(1, 2))),)
        for sku in draw(st.sets(st.sampled_from(stocked), max_size=2))
    }
    return world, shares, draw(st.integers(-1, 12)), gates


@settings(deadline=None, max_examples=300)
@given(parted())
def test_many_packs_at_once_are_as_many_as_one_at_a_time(
    case: tuple[oracle.World, list[Share], int, dict[str, tuple[netting.Gate, ...]]],
) -> None:
    """Aims are found by levels; by their definition they are the same, in any shop, also with
    substitutes, older bills and supplies of orders.
    """
    world, shares, crates, gates = case

    def net(more: Mapping[str, int]) -> netting.Netting:
        demand = {sku: units + more.get(sku, 0) for sku, units in world.demand.items()}
        taken = (-(-more.get(sku, 0) // g.units) * g.quantity for sku, (g,) in gates.items())
        return dataclasses.replace(
            netted(dataclasses.replace(world, demand=demand)),
            gates=gates,
            room={"crate": crates - sum(taken)},
        )

    assert split.aims(shares, net) == one_at_a_time(shares, net)


@settings(deadline=None, max_examples=300)
@given(parted(), st.integers(0, 10**6))
def test_what_is_parted_is_there_by_the_horizons(
    case: tuple[oracle.World, list[Share]], seed: int
) -> None:
    """The same where builds take time and items are asked how soon; nothing is aimed at beyond
    what could be promised of each item by itself.
    """
    world, shares = oracle.timed(case[0], random.Random(seed)), case[1]

    def net(more: Mapping[str, int]) -> netting.Netting:
        demand = {sku: units + more.get(sku, 0) for sku, units in world.demand.items()}
        return netted(dataclasses.replace(world, demand=demand))

    aims = split.aims(shares, net)
    assert aims == one_at_a_time(shares, net)
    fixed = net(split._units((each, each.shows) for each in shares if each.is_fixed))
    for each in shares:
        if not each.is_fixed:
            assert aims[each.key] * each.pack <= max(0, netting.atp(fixed, each.shelf))


def test_who_can_wait_for_what_comes_is_given_many_packs_at_once() -> None:
    """A set needs its soap at once and takes what is there, soap itself waits for a lot: of a
    million each the parts are found in a few nettings, and not in one for each pack.
    """
    made = Bills.build([BillOfMaterials("set", 1, (BillLine("soap", 1),))], {"set", "soap"})
    there, comes = 10**6, 10**6
    times = netting.Times({"soap": 3, "set": 1}, frozenset({"soap", "set"}), {"soap": comes})
    counted = 0

    def net(more: Mapping[str, int]) -> netting.Netting:
        nonlocal counted
        counted += 1
        assert counted < 150
        on_hand = {"set": 0, "soap": there + comes}
        demand = {sku: more.get(sku, 0) for sku in on_hand}
        return netting.asking(netting.net(made, on_hand, demand, on_hand), times)

    soap, of_set = FieldKey("shop", "soap"), FieldKey("shop", "set")
    shares = [Share(soap, "soap", 1, 0, 0, 0), Share(of_set, "set", 1, 0, 0, 0)]
    assert split.aims(shares, net) == {soap: 1_500_000, of_set: 500_000}


REACH = [
    # (what is left with every allotment counted, listing, how far it may be raised)
    (2, share(SHOP, 3), 5),
    (0, share(SHOP, 3), 3),
    (-1, share(SHOP, 3), 3),
    (5, share(SHOP, 1, pack=2), 3),
    (2, share(SHOP, 3, buffer=1), 4),
    # what a lowering under way has not given up yet it may have back
    (0, share(SHOP, 1, at_most=3), 3),
    # without a compare what it shows may be sold once more
    (2, share(ETSY, 0, compares=False), 2),
    (2, share(ETSY, 1, compares=False), 2),
    (2, share(ETSY, 3, compares=False), 3),
]


@pytest.mark.parametrize(("left", "listing", "far"), REACH)
def test_a_number_is_raised_as_far_as_all_stays_covered(
    left: int, listing: Share, far: int
) -> None:
    """With so much left a listing may be raised so far."""
    net = nets({CANDLE: left}, Bills.build([], {CANDLE}), {})({})
    assert split.reach(listing, net) == far


# -- every interleaving ------------------------------------------------------------------------

ONE = Bills.build([], {CANDLE})
JOINT = shared(("balm", CANDLE), 1, ((CANDLE, 1), ("balm", 1)))


def model(there: int, **more: object) -> Model:
    """Two listings of one candle."""
    return Model(((CANDLE, 1),) * 2, {CANDLE: there}, ONE, **more)  # type: ignore[arg-type]  # its own fields


def test_nothing_is_oversold_whatever_comes_first() -> None:
    """Of one unit on two listings no second is sold in any order of sales, cancels, deliveries,
    readings, writes and the owner's changes; nor of one wax for two items.
    """
    assert every_state(model(1, sales_max=2), 10**6) > 10_000
    assert every_state(Model(*JOINT, sales_max=2), 10**6) > 10_000
    assert every_state(model(1, sales_max=3, closes=False), 10**6) > 10_000


def walked(many: int, **more: object) -> int:
    """Go many ways through worlds of a few units; return how many were sold."""
    sold = 0
    for seed in range(many):
        dice = random.Random(seed)
        there = dice.choice((1, 2, 3))
        if seed % 2:
            listings = ((CANDLE, 1),) * dice.choice((2, 3))
            world = Model(listings, {CANDLE: there}, ONE, sales_max=8, **more)  # type: ignore[arg-type]  # its own fields
        else:
            packs = ((CANDLE, 1), ("balm", 1), ("balm", 2))
            world = Model(*shared(("balm", CANDLE), there, packs), sales_max=8, **more)  # type: ignore[arg-type]  # its own fields
        sold += walk(world, dice, 150)
    return sold


def test_nothing_is_oversold_on_long_ways() -> None:
    """Nor of more units, on more listings, in packs, with more sales, as far as dice lead."""
    assert walked(150) > 1000


def lowered_at_once(row: Field, flying: Push | None) -> Share:
    """A lowering counts when it is sent."""
    found = rule(row, flying)
    given_up = 0 if flying is None else max(0, flying.expected - flying.target)
    return replace(found, allotted=max(0, found.allotted - given_up))


def put_back_ignored(row: Field, flying: Push | None) -> Share:
    """What a cancelled order may have put back is given to others."""
    return rule(replace(row, unsure=0), flying)


def hold_ignored(row: Field, flying: Push | None) -> Share:
    """What seems to be sold counts nowhere."""
    return rule(replace(row, hold=0), flying)


SHORTCUTS: Mapping[str, Callable[[], Model]] = {
    "raised before the lowering is confirmed": lambda: model(1, waits=False),
    "a lowering counts when it is sent": lambda: model(1, rule=lowered_at_once),
    "hold ignored": lambda: model(1, rule=hold_ignored, holds_count=False),
    "split per item": lambda: Model(*JOINT, jointly=False),
    "what was put back is given away": lambda: model(1, rule=put_back_ignored, closes=False),
}


@pytest.mark.parametrize("name", SHORTCUTS)
def test_each_shortcut_oversells(name: str) -> None:
    """The model is not blind: without any one part of the rule something is oversold."""
    with pytest.raises(Oversold):
        every_state(SHORTCUTS[name](), 10**6)


# -- in the rows -----------------------------------------------------------------------------


def split_shop(there: int = 4, **shows: int) -> World:
    """Candles that are split, on two listings that compare."""
    world = World().stock(candle=there).item(CANDLE, exposure=Exposure.SPLIT)
    for ref, quantity in (shows or {"a": 0, "b": 0}).items():
        world.list("shopify", ref, CANDLE, shows=quantity)
    return world


def test_what_is_shown_comes_to_what_is_there() -> None:
    """Four candles on two listings are two each, and a sale of one changes no other number."""
    world = split_shop(4)
    assert sorted(world.syncs().values()) == [2, 2]
    world.hears(world.order("shopify", "1", line("a", 1)))
    assert world.expected() == {"shopify/a": 1, "shopify/b": 2}
    assert world.dirty == set()


def test_a_raise_waits_until_the_lowering_is_confirmed() -> None:
    """What one listing gives up another gets once the channel has taken the lower number."""
    world = split_shop(2, a=3, b=0)
    (lowering,) = world.pushes("shopify", call="1")
    assert (lowering.field.key, lowering.target) == ("a", 2)
    world.moves(CANDLE, 1, MovementKind.RECEIPT)
    assert "shopify/b" not in world.dirty, "it would be raised before the other is lowered"
    world.settles(lowering)
    assert world.syncs() == {FieldKey("shopify", "b"): 1}


def test_a_raise_under_way_counts_for_the_next() -> None:
    """Two raises of one call are not of the same unit."""
    world = split_shop(1)
    pushes = world.pushes("shopify", call="1")
    assert [push.target for push in pushes] == [1]
    world.settles(pushes[0], PushOutcomeKind.UNKNOWN)
    assert world.pushes("shopify", call="2") == (), "it may have arrived"


def test_items_that_share_a_material_are_split_together() -> None:
    """One that is split makes the others so: three of the wax are no three of each."""
    world = World().stock(candle=0, balm=0, wax=30).bill("candle", 1, wax=10)
    world.bill("balm", 1, wax=10).item("balm", exposure=Exposure.SPLIT)
    world.list("shopify", "c", CANDLE, shows=0).list("shopify", "b", "balm", shows=0)
    assert sorted(world.syncs().values()) == [1, 2]


def test_a_cancel_that_does_not_tell_gives_nothing_away() -> None:
    """Until two readings and a poll between them have told, a unit that was perhaps put back stays
    the listing's own.
    """
    world = split_shop(2, a=1, b=1)
    world.hears(world.order("shopify", "1", line("a", 1)))
    cancelled = world.order("shopify", "1", line("a", 1, open=0), version=2)
    world.hears(cancelled)
    assert world.field("shopify", "a").unsure == 1
    assert world.syncs() == {}
    world.reads("shopify", "a", 0)
    assert world.syncs() == {}, "it may have been sold again, unheard"
    world.polls("shopify")
    world.reads("shopify", "a", 0)
    assert world.field("shopify", "a").unsure == 0
    assert world.syncs() == {FieldKey("shopify", "a"): 1}


def test_what_was_held_of_a_parked_listing_stays_its_own() -> None:
    """The order of a sale that a reading showed comes between, and then nobody reads the number any
    more: what is still held may be on sale there, and no other listing is raised by it.
    """
    world = split_shop(2, a=2, b=0)
    world.reads("shopify", "a", 1)
    world.hears(world.order("shopify", "1", line("a", 1)))
    before = world.field("shopify", "a")
    assert (before.expected, before.hold) == (0, 1), "one is left there"
    world.do(FieldsUnreadable(((FieldKey("shopify", "a"), "it cannot be read"),)))
    assert world.field("shopify", "a").hold == 0
    assert world.syncs() == {}


def test_nothing_is_raised_while_another_number_is_not_known() -> None:
    """A listing that was not read since it became ours may have sold anything."""
    world = split_shop(4)
    world.list("shopify", "c", CANDLE)
    assert world.syncs() == {}
    world.reads("shopify", "c", 0)
    world.polls("shopify")
    assert sum(world.syncs().values()) == 4


def test_a_channel_that_compares_nothing_is_raised_by_what_is_free_twice() -> None:
    """What it shows may be sold under the write, and then what is written: both must be there."""
    world = World().stock(candle=3).item(CANDLE, exposure=Exposure.SPLIT)
    world.list("woo", "w", CANDLE, shows=2)
    assert world.syncs() == {}, "it would have two and be given three of three"
    world.hears(world.order("woo", "1", line("w", 2)))
    assert world.syncs() == {FieldKey("woo", "w"): 1}
    assert world.field("woo", "w").unsure == 0, "it showed nothing that could be sold under it"


@pytest.mark.parametrize("there", [0, 1, 5, 40])
def test_the_terms_sum_to_the_target(there: int) -> None:
    """What is set aside for others is a term of its own."""
    world = split_shop(there, a=0, b=3)
    world.list("shadow", "s", CANDLE, shows=9)
    view_ = View(world.catalogue, world.rows)
    net = view_.net([CANDLE])
    atp = netting.atp(net, CANDLE)
    for field in world.rows.fields.values():
        policy = world.catalogue.policies[field.key.channel]
        terms = derivation(view_, net, field, policy)
        assert "split" in dict(terms)
        assert sum(units for _, units in terms) == target_of(view_, field, atp=atp, policy=policy)


def test_a_channel_in_shadow_shows_no_more_than_there_is() -> None:
    """Two of six are ordered and not paid, and stand on the number; then five are gone untold, the
    two perhaps among them. Those count once in what is allotted, and twice in what can be promised.
    """
    world = split_shop(6, a=0)
    world.list("shadow", "s", CANDLE, adopt=False)
    world.reads("shadow", "s", 3)
    world.hears(world.order("shopify", "1", line("a", 2, deducted=0)))
    world.syncs()
    world.reads("shopify", "a", 1)
    world.moves(CANDLE, 10, MovementKind.RECEIPT)
    assert (world.field("shopify", "a").hold, world.atp(CANDLE)) == (5, 9)
    world.pushes("shadow")
    assert world.field("shadow", "s").shadowed == 9


@pytest.mark.parametrize(("large", "arrays"), [(100, 1000), (2, 1000), (2, 2)])
def test_a_large_group_is_read_whole(
    large: int, arrays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From however many items on, what is parted is parted among all of them, in arrays too."""
    monkeypatch.setattr(catalogues, "LARGE_MIN", large)
    monkeypatch.setattr(view, "ARRAYS_MIN", arrays)
    world = World().stock(candle=0, balm=0, soap=0, wax=40)
    for sku in (CANDLE, "balm", "soap"):
        world.bill(sku, 1, wax=10).item(sku, exposure=Exposure.SPLIT)
        world.list("shopify", sku, sku, shows=0)
    assert sorted(world.syncs().values()) == [1, 1, 2]
    world.hears(world.order("shopify", "1", line("balm", 1)))
    assert world.dirty == set()
    world.moves("wax", 20, MovementKind.RECEIPT)
    world.syncs()
    assert sum(row.expected or 0 for row in world.rows.fields.values()) == 5
