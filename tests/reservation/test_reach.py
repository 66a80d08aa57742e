"""A large group is read in part: the same numbers come of it as if it had been read whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from stockpush.messages import (
    AdoptListings,
    BuildStock,
    Decision,
    ExpireHolds,
    ImportCatalogue,
    ListingResolved,
    LotTerms,
    MoveStock,
    Needs,
    NoteGuardLevels,
    Observe,
    QuantitySeen,
    ReleaseHold,
    ResolveListings,
    Rows,
    SellHold,
    StockMove,
    TurnLots,
)
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    ChannelPolicy,
    Item,
    Kind,
    Listing,
    ListingKey,
    MovementKind,
    OrderSupply,
)
from stockpush.reservation import catalogue
from stockpush.reservation.decide import widen
from stockpush.reservation.pushes import mark
from stockpush.reservation.view import View
from tests.reservation.world import World, line

SEEDS = 20
"""Random shops, each with some forty deeds; about five seconds."""
DEEDS = 40
DAY_S = 86_400
MATERIALS = ("oil", "wax", "wick", "cotton", "hemp")
PRODUCTS = ("balm", "candle", "salve", "soap")
LOTTED = ("base", "candle", "soap", "cotton", "hemp", "crate")
SENT_IN_CRATES = ("candle", "soap", "hemp")


@contextmanager
def large_from(items: int) -> Iterator[None]:
    """Have groups of so many items and more read in part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "LARGE_MIN", items)
        yield


def workshop(dice: Random) -> World:
    """Return a shop whose products share materials, one of them through a part of its own.

    `oil` is scarce, `wax` is more than any cap shows, and every product is on two channels. In half
    of the shops no more is sold of some items, a substitute among them, than there are crates to
    send them in. Some of it takes time to make, or is still to come, the crates too, and some
    listings promise it sooner or later than others.
    """
    world = World().stock(
        oil=dice.randint(0, 12), wax=900, wick=dice.randint(0, 40), base=dice.randint(0, 2)
    )
    world.stock(**{sku: dice.randint(0, 3) for sku in PRODUCTS})
    world.stock(crate=dice.randint(0, 9), slip=9)
    world.item("crate", kind=Kind.SUPPLY).item("slip", kind=Kind.SUPPLY)
    world.bill("base", wax=2, oil=1)
    world.stock(cotton=dice.randint(0, 9), hemp=dice.randint(0, 9)).alike("cord", "cotton", "hemp")
    world.bill("candle", wax=3, wick=1, cord=2)
    world.bill("balm", 10, batch=True, wax=12, oil=2)
    world.bill("salve", base=1, wax=1, cotton=1)
    world.bill("soap", 4, oil=3)
    for sku in SENT_IN_CRATES if dice.random() < 0.5 else ():
        world.item(sku, per_order=supplies(dice))
    for at, sku in enumerate((*PRODUCTS, "wick", "hemp")):
        world.list("shopify", f"s{at}", sku, shows=1, pack=dice.choice((1, 1, 3)))
        limits = {"cap": dice.choice((None, None, 2)), "buffer": dice.choice((None, 1))}
        limits["horizon_s"] = dice.choice((None, None, 2, 2 * DAY_S))
        world.list("woo", f"w{at}", sku, shows=1, weight=dice.choice((1, 3)), **limits)
    world.item("candle", guard_min=dice.randint(0, 3), home_channel="woo")
    world.item("salve", exposure_max=dice.randint(0, 2))
    for sku in ("base", "candle", "salve", "soap"):
        slow = replace(world.catalogue.bills.by_item[sku], build_time_s=dice.choice((0, 2, DAY_S)))
        world.do(ImportCatalogue((), (slow,), (), (), f"slow {sku}", "test"))
        world.item(sku, horizon_s=dice.choice((None, None, 3, DAY_S)))
    for sku in ("cotton", "hemp", "cord", "crate"):
        world.item(sku, horizon_s=dice.choice((None, 2, DAY_S)))
    world.syncs()
    return world


def supplies(dice: Random) -> tuple[OrderSupply, ...]:
    """Return what orders of an item take once: crates, which are a gate, and slips, or either."""
    crates = OrderSupply("crate", dice.randint(1, 2), gate=True)
    slips = OrderSupply("slip", dice.randint(1, 3))
    return dice.choice(((crates,), (crates, slips), (slips,)))


def deed(dice: Random, world: World, number: int) -> None:
    """Do one thing that happens in a shop."""
    at = dice.randrange(len(PRODUCTS) + 2)
    match dice.randrange(15):
        case 0 | 1 | 2:
            channel = dice.choice(("shopify", "woo"))
            units = line(f"{channel[0]}{at}", dice.randint(1, 4))
            world.hears(world.order(channel, str(number), units))
        case 3:
            known = sorted({key[:2] for key in world.rows.reservations})
            if known:
                channel, order_id = dice.choice(known)
                gone = world.order(channel, order_id, version=100 + number)
                world.hears(gone)
        case 4:
            sku = dice.choice((*MATERIALS, *PRODUCTS, "crate"))
            world.moves(sku, dice.randint(-3, 9), MovementKind.ADJUSTMENT, f"move {number}")
        case 5:
            sku = dice.choice((*PRODUCTS, "base"))
            world.do(BuildStock(sku, dice.choice((1, 4, 10)), f"build {number}", "test"))
        case 6:
            field = world.field("shopify", f"s{at}")
            if field.expected is not None:
                world.reads("shopify", f"s{at}", max(0, field.expected - dice.choice((0, 0, 1, 2))))
        case 7:
            world.syncs()
        case 8:
            skus = dice.sample((*MATERIALS, *PRODUCTS), dice.choice((1, 1, 2)))
            days = dice.choice((0.5, 30))
            world.holds(*((sku, dice.randint(1, 3)) for sku in skus), days=days, key=f"h{number}")
        case 10:
            taken = {"wax": dice.randint(1, 4), dice.choice(("wick", "oil", "hemp")): 1}
            world.bill(dice.choice(("candle", "salve")), dice.choice((1, 2, number + 3)), **taken)
        case 9:
            hold = dice.randint(1, max(1, len(world.rows.holds)))
            world.do(
                dice.choice(
                    (
                        ReleaseHold(hold, f"release {number}", "test"),
                        SellHold(hold, "market", f"sell {number}", "test"),
                        ExpireHolds((hold,)),
                    )
                )
            )
            world.now += timedelta(hours=dice.choice((0, 0, 20)))
        case 11:
            skus = dice.sample(PRODUCTS, 2)
            world.do(NoteGuardLevels(tuple((sku, dice.choice((0, 2, 5))) for sku in skus)))
        case 12:
            known = sorted(key for key, row in world.rows.reservations.items() if row.open)
            if known:
                row = world.rows.reservations[dice.choice(known)]
                sent = dice.randint(1, row.open) + row.shipped
                gone = line(row.order_key, row.ordered, shipped=sent)
                world.hears(world.order(*row.key[:2], gone, version=100 + number))
        case 13:
            if world.catalogue.per_order:
                world.item(dice.choice(SENT_IN_CRATES), per_order=supplies(dice))
        case 14:
            sku, days = dice.choice(LOTTED), dice.choice((1, 2))
            ready = LotTerms(available_from=world.now + timedelta(days=days))
            lot = f"lot {number}"
            if sku not in PRODUCTS:
                comes = StockMove(sku, 4, MovementKind.RECEIPT, lot=lot, terms=ready)
                world.do(MoveStock((comes,), f"comes {number}", "test"))
            else:
                world.do(BuildStock(sku, 4, f"cure {number}", "test", lot=lot, terms=ready))
            world.now += timedelta(hours=dice.choice((0, 10, 20)))
            world.do(TurnLots(LOTTED))


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_what_is_decided_does_not_depend_on_how_much_was_read(first: int) -> None:
    """Sales, sendings, cancels, builds, other bills and supplies of orders, holds, guard levels,
    corrections, readings, lots that come, and pushes: after each, every row is the same, and so are
    the events, whether groups are read whole or in part.
    """
    for seed in range(first, first + 10):
        worlds = []
        for items in (1, 10**9):
            with large_from(items):
                dice = Random(seed)
                world = workshop(dice)
                story = []
                for number in range(DEEDS):
                    said = len(world.log)
                    deed(dice, world, number)
                    rows = world.rows
                    story.append(
                        (
                            *(rows.shelves, rows.fields, rows.dirty, rows.in_flight, rows.holds),
                            *(rows.reservations, _events(world.log[said:])),
                        )
                    )
                worlds.append(story)
        for number, (part, whole) in enumerate(zip(*worlds, strict=True)):
            assert part == whole, f"seed {seed}, deed {number}"


def _events(decisions: Iterable[Decision]) -> list[tuple[str, str]]:
    return sorted(
        (event.name, str(dict(event.fields))) for each in decisions for event in each.events
    )


LEVELS = (("material", 100), ("part", 400), ("product", 500))
"""How many items a workshop has on each level, that is large by itself, and laid out in arrays."""


def crowd(dice: Random) -> World:
    """Return that workshop, one group; some is made in whole batches, each product on a listing."""
    levels = [[f"{name}{at}" for at in range(many)] for name, many in LEVELS]
    items = [Item(sku, sku, Kind.PRODUCT, "piece") for level in levels for sku in level]
    bills = [
        BillOfMaterials(
            sku,
            made := dice.choice((1, 1, 5)),
            tuple(BillLine(each, dice.randint(1, 4)) for each in dice.sample(below, 3)),
            batch_only=made > 1 and dice.random() < 0.5,
        )
        for below, level in pairwise(levels)
        for sku in level
    ]
    listings = [
        Listing(ListingKey("shopify", sku), sku, dice.choice((1, 1, 3)), {"id": sku})
        for sku in levels[-1]
    ]
    opening = [
        StockMove(sku, dice.randint(0, most), MovementKind.OPENING)
        for level, most in zip(levels, (400, 3, 1), strict=True)
        for sku in level
    ]
    world = World()
    world.do(
        ImportCatalogue(
            tuple(items), tuple(bills), tuple(listings), tuple(opening), "import", "test"
        )
    )
    keys = tuple(each.key for each in listings)
    world.do(ResolveListings(tuple(ListingResolved(key, key.ref, key.ref) for key in keys)))
    world.do(AdoptListings(keys))
    rows = [world.field(*key) for key in keys]
    now = world.now
    seen = (QuantitySeen(row.key, 0, now, None, row.revision, now) for row in rows)
    world.do(Observe(tuple(seen)))
    world.polls("shopify")
    world.syncs()
    return world


def happens(dice: Random, world: World, number: int) -> None:
    """Do one thing that happens in a workshop."""
    material, part, product = (f"{name}{dice.randrange(many)}" for name, many in LEVELS)
    match number % 6:
        case 0 | 1:
            sale = line(product, dice.randint(1, 3))
            world.hears(world.order("shopify", str(number), sale))
        case 2:
            world.moves(material, dice.choice((-20, 60)), MovementKind.ADJUSTMENT, f"m{number}")
        case 3:
            world.holds((product, 2), (part, 1), key=f"h{number}")
        case 4:
            made = world.catalogue.bills.by_item[part].yield_quantity
            world.do(BuildStock(part, made, f"b{number}", "test"))
        case 5:
            shown = world.field("shopify", product).expected or 0
            world.reads("shopify", product, max(0, shown - 1))


def test_a_workshop_of_a_thousand_items_decides_as_if_it_were_read_whole() -> None:
    """Sales that have to be made, corrections, holds, builds and readings, where all share what
    they are made of: after each, every row is the same as with everything read and netted.
    """
    stories = []
    for items in (catalogue.LARGE_MIN, 10**9):
        with large_from(items):
            dice = Random(1)
            world, story = crowd(dice), []
            assert world.catalogue.is_large("product0") == (items < 10**9)
            for number in range(24):
                happens(dice, world, number)
                rows = world.rows
                story.append((rows.shelves, rows.fields, rows.dirty, rows.holds))
            stories.append(story)
    for number, (part, whole) in enumerate(zip(*stories, strict=True)):
        assert part == whole, f"deed {number}"


def reading(world: World, deeds: Callable[[], object]) -> tuple[set[str], set[str]]:
    """Return the SKUs whose shelves, and the fields, that were read for what `deeds` does."""
    skus: set[str] = set()
    fields: set[str] = set()
    gather = world._gather

    def noting(asked: Needs) -> Rows:
        found = gather(asked)
        skus.update(found.shelves)
        fields.update("/".join(key) for key in found.fields)
        return found

    world._gather = noting  # type: ignore[method-assign]
    try:
        deeds()
    finally:
        world._gather = gather  # type: ignore[method-assign]
    return skus, fields


def candles(*, finished: int, wax: int) -> World:
    """Return fifty kinds of candle of one wax, a hundred grams each, on one channel."""
    world = World().stock(wax=wax, **{f"candle-{at}": finished for at in range(50)})
    for at in range(50):
        world.bill(f"candle-{at}", wax=100)
        world.list("shopify", f"c{at}", f"candle-{at}", shows=1)
    world.syncs()
    return world


def test_a_candle_from_the_shelf_is_sold_without_a_look_at_the_others() -> None:
    """It changes no other candle, so theirs are not read: neither stock nor listings."""
    with large_from(10):
        world = candles(finished=5, wax=2_000)
        sale = world.order("shopify", "1", line("c7", 2))
        skus, fields = reading(world, lambda: world.hears(sale))
        assert skus == {"candle-7", "wax"}
        assert fields == {"shopify/c7"}
        assert world.dirty == set()  # the shop has taken it off itself


def test_a_candle_that_has_to_be_made_lowers_those_that_share_its_wax() -> None:
    """With nothing on the shelf a sale takes wax, and each listing shows one less."""
    with large_from(10):
        world = candles(finished=0, wax=2_000)
        world.hears(world.order("shopify", "1", line("c7", 1)))
        assert world.dirty == {f"shopify/c{at}" for at in range(50) if at != 7}


def test_what_stays_above_the_cap_is_not_looked_at() -> None:
    """The wax is less, but no listing shows less for it: no other field is read or marked."""
    with large_from(10):
        world = candles(finished=0, wax=10**9)
        policies = world.catalogue.policies
        capped = {name: _capped(policy) for name, policy in policies.items()}
        world.catalogue = catalogue.build(
            world.catalogue.revision,
            world.catalogue.items.values(),
            world.catalogue.bills.by_item.values(),
            world.catalogue.listings.values(),
            capped,
        )
        world.moves("wax", -1, MovementKind.ADJUSTMENT)
        world.syncs()
        sale = world.order("shopify", "1", line("c7", 1))
        _, fields = reading(world, lambda: world.hears(sale))
        assert fields == {"shopify/c7"}
        assert world.dirty == {"shopify/c7"}  # 999 again, of which the shop has taken one


def _capped(policy: ChannelPolicy) -> ChannelPolicy:
    return replace(policy, cap=999)


def test_a_listing_on_a_channel_that_is_not_configured_is_not_looked_at() -> None:
    """Its candle can be promised one less, but nobody writes there: neither is it read."""
    with large_from(10):
        world = candles(finished=0, wax=2_000)
        world.list("woo", "old", "candle-3", shows=1)
        policies = {name: each for name, each in world.catalogue.policies.items() if name != "woo"}
        world.catalogue = replace(world.catalogue, policies=policies)
        sale = world.order("shopify", "1", line("c7", 1))
        _, fields = reading(world, lambda: world.hears(sale))
        assert {"shopify/c3", "shopify/c7"} <= fields
        assert "woo/old" not in fields


def test_an_open_order_for_what_is_short_is_seen_by_those_who_share_its_material() -> None:
    """What somebody else's order still takes is netted, although nobody asked for that item."""
    with large_from(10):
        world = candles(finished=0, wax=2_000)
        world.hears(world.order("shopify", "1", line("c7", 4)))
        world.syncs()
        skus, _ = reading(world, lambda: world.hears(world.order("shopify", "2", line("c9", 1))))
        assert "candle-7" in skus
        assert world.atp("candle-20") == 15


def test_what_is_held_is_seen_by_those_who_share_its_material() -> None:
    """What a hold still takes is netted as an order's would be, also by the next hold."""
    with large_from(10):
        world = candles(finished=1, wax=2_000)
        world.holds(("candle-7", 5))
        world.syncs()
        skus, _ = reading(world, lambda: world.hears(world.order("shopify", "2", line("c9", 2))))
        assert "candle-7" in skus
        assert world.atp("candle-20") == 16
        refused = world.holds(("candle-3", 2), ("candle-4", 17)).outcome
        assert refused.facts["to_buy"][0] == {"sku": "wax", "unit": "piece", "quantity": "200"}


def test_what_comes_of_a_substitute_is_seen_by_those_who_take_its_name_soon() -> None:
    """When it is there, no net changes, and a candle that is to be there at once can be made."""
    with large_from(1):
        world = World().stock(candle=0, cotton=0, hemp=1).alike("cord", "cotton", "hemp")
        world.bill("candle", cord=1).list("shopify", "c", "candle", shows=1)
        world.item("candle", horizon_s=0).item("cotton", horizon_s=DAY_S)
        ready = LotTerms(available_from=world.now + timedelta(hours=20))
        comes = StockMove("cotton", 5, MovementKind.RECEIPT, lot="batch", terms=ready)
        world.do(MoveStock((comes,), "comes", "test"))
        world.syncs()
        assert (world.atp("candle"), world.dirty) == (1, set())
        world.now += timedelta(hours=20)
        world.do(TurnLots(("cotton",)))
        assert (world.atp("candle"), world.dirty) == (6, {"shopify/c"})


def test_an_import_reads_groups_whole() -> None:
    """Bills may tie items together that had nothing to do with each other before."""
    with large_from(1):
        asked = Needs(skus=frozenset({"candle"}), whole=frozenset({"candle"}))
        world = World().stock(candle=1, balm=1, wax=5).bill("candle", wax=1).bill("balm", wax=1)
        wanted = widen(asked, Rows(), world.catalogue)
        assert (wanted.skus, wanted.leaders) == ({"candle", "balm", "wax"}, frozenset())


def test_marking_in_part_needs_to_know_how_far_a_change_reaches() -> None:
    """To leave that out would leave listings unmarked, so it is a broken invariant."""
    with large_from(1):
        world = candles(finished=0, wax=100)
        view = View(world.catalogue, Rows(partial=frozenset({"wax"})))
        decision = world.moves("wax", 1, MovementKind.RECEIPT)
        with pytest.raises(AssertionError, match="how far"):
            mark(view, [decision], world.now)


def test_a_shelf_that_was_not_read_is_not_taken_for_an_empty_one() -> None:
    """Netting stops if something that bears on the answer is not there."""
    with large_from(1):
        world = candles(finished=0, wax=100)
        view = View(world.catalogue, Rows(partial=frozenset({"candle-1"})))
        with pytest.raises(AssertionError, match="not gathered"):
            view.net(["candle-1"])
