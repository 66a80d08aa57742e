"""Older bills: what was ordered by a recipe is made by it, and nothing else is."""

from __future__ import annotations

import doctest
from datetime import timedelta
from itertools import pairwise

import pytest

from stockpush.errors import BillCycle, CatalogueInvalid
from stockpush.messages import (
    Accepted,
    BuildStock,
    Command,
    ExpireHolds,
    ImportCatalogue,
    Refused,
    ReleaseHold,
    RenewHold,
    SellHold,
    UndoMovement,
)
from stockpush.model import (
    BILL_DEPTH_MAX,
    BillLine,
    BillOfMaterials,
    Exposure,
    MovementKind,
    Pin,
    Rest,
    Shelf,
)
from stockpush.reservation import older
from tests.reservation.test_reach import large_from
from tests.reservation.world import World, line


def test_the_examples_in_the_docstrings_run() -> None:
    """Every doctest of the module passes."""
    result = doctest.testmod(older)
    assert result.attempted > 0
    assert result.failed == 0


def workshop(
    *, candles: int = 0, soy: int = 20, palm: int = 30, sold: int = 4, backflush: bool = False
) -> World:
    """Candles took 2 of soy when `sold` were ordered; now they take 3 of palm."""
    world = World().stock(candle=candles, balm=0, soy=soy, palm=palm)
    world.bill("candle", soy=2, backflush=backflush)
    world.bill("balm", soy=1)
    world.list("shopify", "ca", "candle", shows=1).list("shopify", "ba", "balm", shows=1)
    if sold:
        world.hears(world.order("shopify", "1", line("ca", sold)))
    return world.bill("candle", palm=3, backflush=backflush)


def atps(world: World) -> tuple[int, ...]:
    """ATP of candles, balms and both waxes."""
    return tuple(world.atp(sku) for sku in ("candle", "balm", "soy", "palm"))


@pytest.mark.parametrize(
    ("shop", "promised"),
    [
        # The four that were ordered take eight of soy; what comes takes palm: ten.
        ({}, (10, 12, 12, 30)),
        ({"sold": 0}, (10, 20, 20, 30)),
        # What is finished goes to the first who ordered.
        ({"candles": 3}, (10, 18, 18, 30)),
        ({"candles": 6}, (12, 20, 20, 30)),
        # There is soy for three of the four: one is short, and no more can be promised.
        ({"soy": 7}, (-1, 0, -1, 30)),
        ({"soy": 0}, (-4, 0, -8, 30)),
        ({"palm": 0}, (0, 12, 12, 0)),
    ],
)
def test_what_can_be_promised(shop: dict[str, int], promised: tuple[int, ...]) -> None:
    """Of candles, of balms (one of soy each), of soy and of palm."""
    assert atps(workshop(**shop)) == promised  # type: ignore[arg-type]


def test_new_orders_go_by_the_present_bill() -> None:
    """And so do holds; what is added to an order goes by the bill that it was made with."""
    world = workshop()
    world.hears(world.order("shopify", "2", line("ca", 3)))
    world.holds(("candle", 1))
    assert atps(world) == (6, 12, 12, 18)
    world.hears(world.order("shopify", "1", line("ca", 5), version=2))
    assert atps(world) == (6, 10, 10, 18)
    assert world.rows.shelves["candle"].pins == (Pin(1, 5),)


def held_workshop(*, held: int = 4, soy: int = 20, backflush: bool = False) -> World:
    """Candles took 2 of soy when some were held; now they take 3 of palm."""
    world = World().stock(candle=0, balm=0, soy=soy, palm=30)
    world.bill("candle", soy=2, backflush=backflush).bill("balm", soy=1)
    world.list("shopify", "ca", "candle", shows=1).list("shopify", "ba", "balm", shows=1)
    assert isinstance(world.holds(("candle", held)).outcome, Accepted)
    return world.bill("candle", palm=3, backflush=backflush)


def test_what_is_held_keeps_its_bill() -> None:
    """Eight candles are held in soy: it is not promised as balms, and all palm is for new ones."""
    world = held_workshop(held=8)
    assert atps(world) == (10, 4, 4, 30)
    assert world.rows.shelves["candle"].pins == (Pin(1, 8),)
    world.do(ImportCatalogue((), (), (), (), "nothing", "test"))
    assert [bill.version for bill in world.catalogue.older_bills] == [1]
    world.do(RenewHold(1, world.now + timedelta(days=3), "renew", "test"))
    assert atps(world) == (10, 4, 4, 30)


def test_the_soy_of_what_is_held_is_not_missed_in_the_palm() -> None:
    """Without palm the held candles are as covered as before."""
    world = held_workshop(held=8)
    world.moves("palm", -30, MovementKind.SCRAP)
    assert atps(world) == (0, 4, 4, 0)


@pytest.mark.parametrize(
    "ends",
    [
        ReleaseHold(1, "end", "test"),
        ExpireHolds((1,)),
    ],
    ids=["released", "expired"],
)
def test_a_hold_that_ends_frees_its_bill(ends: Command) -> None:
    """The soy is there for balms again, and the next import forgets the bill."""
    world = held_workshop()
    assert atps(world) == (10, 12, 12, 30)
    world.now += timedelta(days=30)
    world.do(ends)
    assert atps(world) == (10, 20, 20, 30)
    assert (world.rows.shelves["candle"].pins, world.rows.shelves["candle"].held) == ((), 0)
    world.do(ImportCatalogue((), (), (), (), "forget", "test"))
    assert world.catalogue.older_bills == ()


def test_a_hold_that_is_sold_goes_by_its_bill() -> None:
    """What leaves unfinished is built of soy; where nobody builds it, it is below zero."""
    world = held_workshop(backflush=True)
    world.do(SellHold(1, "market", "sell", "test"))
    assert [world.rows.shelves[sku].on_hand for sku in ("candle", "soy", "palm")] == [0, 12, 30]
    assert atps(world) == (10, 12, 12, 30)
    assert world.rows.shelves["candle"].pins == ()
    world = held_workshop()
    world.do(BuildStock("candle", 4, "build", "test", bill=1))
    assert atps(world) == (10, 12, 12, 30)
    world.do(SellHold(1, "market", "sell", "test"))
    assert atps(world) == (10, 12, 12, 30)


def test_orders_and_holds_of_one_bill_are_pinned_together() -> None:
    """Each that ends takes its own units off the pin; a hold that is placed now goes by palm."""
    world = World().stock(candle=0, balm=0, soy=20, palm=30).bill("candle", soy=2)
    world.list("shopify", "ca", "candle", shows=1)
    world.hears(world.order("shopify", "1", line("ca", 3)))
    world.holds(("candle", 2))
    world.bill("candle", palm=3)
    world.holds(("candle", 1))
    assert world.rows.shelves["candle"].pins == (Pin(1, 5),)
    assert [world.rows.holds[each].lines[0].bill for each in (1, 2)] == [1, 2]
    world.do(ReleaseHold(2, "second", "test"))
    assert world.rows.shelves["candle"].pins == (Pin(1, 5),)
    world.hears(world.order("shopify", "1", line("ca", 1), version=2))
    assert world.rows.shelves["candle"].pins == (Pin(1, 3),)
    world.do(ReleaseHold(1, "first", "test"))
    assert world.rows.shelves["candle"].pins == (Pin(1, 1),)


def test_a_bill_that_was_a_mistake_is_corrected_for_holds_too() -> None:
    """What is held goes by the corrected bill, and ends as ever."""
    world = World().stock(candle=0, soy=20, palm=30).bill("candle", soy=2)
    world.holds(("candle", 4))
    bill = BillOfMaterials("candle", 1, (BillLine("palm", 3),))
    world.do(ImportCatalogue((), (bill,), (), (), "right", "test", corrects=True))
    assert (world.atp("candle"), world.atp("soy")) == (6, 20)
    world.do(ReleaseHold(1, "end", "test"))
    assert (world.atp("candle"), world.rows.shelves["candle"].pins) == (10, ())


def test_a_version_that_nobody_needs_is_forgotten() -> None:
    """With its last order its pin goes; one that is opened again goes by the present bill."""
    world = workshop()
    world.hears(world.order("shopify", "1", version=2))
    assert world.rows.shelves["candle"].pins == ()
    assert atps(world) == (10, 20, 20, 30)
    world.hears(world.order("shopify", "1", line("ca", 4), version=3))
    assert atps(world) == (6, 20, 20, 18)
    assert len(world.catalogue.older_bills) == 1
    world.stock(mug=1)
    assert world.catalogue.older_bills == ()


def test_with_a_forgotten_bill_goes_what_it_was_split_with() -> None:
    """Only the older bill joined the candles to what is split: they are marked when it goes."""
    world = workshop().list("woo", "cb", "candle", shows=1)
    world.item("balm", exposure=Exposure.SPLIT)
    world.syncs()
    world.hears(world.order("shopify", "1", version=2))
    world.syncs()
    assert [world.field(*key).expected for key in (("shopify", "ca"), ("woo", "cb"))] == [5, 4]
    world.stock(mug=1)
    assert world.catalogue.older_bills == ()
    assert world.dirty == {"shopify/ca", "woo/cb"}


def test_each_of_several_bills_is_kept_for_its_orders() -> None:
    """A third recipe, and orders by each of the three."""
    world = workshop().stock(bees=9)
    world.hears(world.order("shopify", "2", line("ca", 2)))
    world.bill("candle", bees=1)
    world.hears(world.order("shopify", "3", line("ca", 1)))
    assert world.rows.shelves["candle"].pins == (Pin(1, 4), Pin(2, 2))
    assert (*atps(world), world.atp("bees")) == (8, 12, 12, 24, 8)
    assert [row.bill for row in world.rows.reservations.values()] == [1, 2, 3]


def test_the_same_recipe_again_is_no_new_bill() -> None:
    """An import that says nothing new pins nothing, nor does one that makes it a kit."""
    world = World().stock(candle=0, soy=20).bill("candle", soy=2)
    world.list("shopify", "ca", "candle", shows=1)
    world.hears(world.order("shopify", "1", line("ca", 4)))
    world.bill("candle", soy=2).bill("candle", soy=2, backflush=True)
    assert world.rows.shelves["candle"].pins == ()
    assert world.catalogue.bills.by_item["candle"].version == 1


def test_a_bill_that_was_a_mistake_is_corrected_for_open_orders_too() -> None:
    """The soy was a slip, and the orders before it are no other candles."""
    world = World().stock(candle=0, balm=0, soy=20, palm=30).bill("candle", soy=2)
    world.list("shopify", "ca", "candle", shows=1)
    world.hears(world.order("shopify", "1", line("ca", 4)))
    right = BillOfMaterials("candle", 1, (BillLine("palm", 3),))
    world.do(ImportCatalogue((), (right,), (), (), "right", "test", corrects=True))
    assert world.rows.shelves["candle"].pins == ()
    assert atps(world) == (6, 0, 20, 18)


@pytest.mark.parametrize("items", [1, 10**9])
def test_building_and_sending_what_was_ordered_changes_no_promise(items: int) -> None:
    """By the bill that it was ordered by, in whole and in part, and however much is read."""
    with large_from(items):
        world = workshop()
        world.syncs()
        before = atps(world)
        for number, units in enumerate((1, 3)):
            world.do(BuildStock("candle", units, f"b{number}", "test", bill=1))
            assert atps(world) == before
        assert world.rows.shelves["soy"].on_hand == 12
        world.hears(world.order("shopify", "1", line("ca", 4, shipped=4), version=2))
        assert atps(world) == before
        assert world.rows.shelves["candle"].pins == ()


def test_an_undone_build_takes_back_the_roundings_of_its_own_bill() -> None:
    """Candles took 98.5 of wax and take 100: a run by the older bill that is undone leaves all as
    it was, however often.
    """
    world = World().stock(candle=0, wax=1000).bill("candle", 10, wax=985)
    world.list("shopify", "ca", "candle", shows=1)
    world.hears(world.order("shopify", "1", line("ca", 5)))
    world.bill("candle", 10, wax=1000)
    world.do(BuildStock("candle", 1, "b", "test"))
    before = world.rows.shelves
    for number in range(3):
        world.do(BuildStock("candle", 1, f"b{number}", "test", bill=1))
        assert world.rows.shelves["candle"].pins == (Pin(1, 5, (Rest("wax", 5),)),)
        world.do(UndoMovement(max(world.rows.movements), f"u{number}", "test"))
        assert world.rows.shelves == before


def test_what_leaves_unfinished_is_built_by_the_bill_of_its_order() -> None:
    """Where nobody logs a run the ledger takes what was planned for that very order."""
    world = workshop(backflush=True)
    before = atps(world)
    world.hears(world.order("shopify", "1", line("ca", 4, shipped=4), version=2))
    assert (world.rows.shelves["soy"].on_hand, world.rows.shelves["palm"].on_hand) == (12, 30)
    assert atps(world) == before


def test_a_bill_that_no_open_order_needs_cannot_be_built_by() -> None:
    """The refusal names those there are."""
    outcome = workshop(sold=0).do(BuildStock("candle", 1, "b", "test", bill=1)).outcome
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.facts["expected"]) == ("no_such_bill", [2])


def test_listings_fall_with_what_an_older_bill_takes() -> None:
    """An edit of the old order takes soy, and the balm that shares it is written. So is the candle:
    the shop took two off, but of the present kind there are as many as before.
    """
    for items in (1, 10**9):
        with large_from(items):
            world = workshop()
            world.syncs()
            world.hears(world.order("shopify", "1", line("ca", 6), version=2))
            assert world.dirty == {"shopify/ba", "shopify/ca"}
            assert atps(world) == (10, 8, 8, 30)


def test_bills_that_would_go_in_a_circle_with_an_older_one_are_refused() -> None:
    """While an order is open that the soap is made from flakes for, flakes are not made of soap."""
    world = World().stock(soap=0, flake=0, oil=5).bill("soap", flake=1)
    world.list("shopify", "so", "soap", shows=1)
    world.hears(world.order("shopify", "1", line("so", 1)))
    world.bill("soap", oil=1)
    with pytest.raises(BillCycle, match="flake -> soap -> flake; by bill 1 of soap") as refused:
        world.bill("flake", soap=1)
    assert (
        refused.value.next
        == "stockpush import FILE  (once those are sent and built, or have ended)"
    )
    world.hears(world.order("shopify", "1", version=2))
    world.bill("flake", soap=1)
    assert world.rows.shelves.get("soap", Shelf("soap")).pins == ()


def test_a_chain_of_bills_may_be_as_long_with_an_older_one() -> None:
    """That an item is tied to its older bill makes nothing deeper. What its older bill takes counts
    while an order needs it, and whoever is refused for that is told so.
    """
    chain = [f"i{at:02}" for at in range(BILL_DEPTH_MAX + 1)]
    world = World().stock(**dict.fromkeys((*chain, "other", "more"), 0))
    for item, component in pairwise(chain):
        world.bill(item, **{component: 1})
    world.list("shopify", "i", "i00", shows=1)
    world.hears(world.order("shopify", "1", line("i", 1)))
    world.bill("i00", other=1)
    assert world.rows.shelves["i00"].pins == (Pin(1, 1),)
    with pytest.raises(
        CatalogueInvalid, match=r"17 deep: i00 -> i01 -> .*; by bill 1 of i00"
    ) as no:
        world.bill(chain[-1], more=1)
    assert (no.value.field, no.value.next) == (
        "boms.i00",
        "stockpush import FILE  (once those are sent and built, or have ended)",
    )
    world.hears(world.order("shopify", "1", version=2))
    with pytest.raises(CatalogueInvalid, match="17 deep: more -> i00 -> i01") as no:
        world.bill("more", i00=1).bill("i00", i01=2)
    assert no.value.next is None
