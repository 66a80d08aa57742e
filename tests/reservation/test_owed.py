"""What was sent before it was built: by an older bill it is made from that bill's materials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from stockpush.errors import BillCycle
from stockpush.messages import (
    Accepted,
    BuildStock,
    CountStock,
    ImportCatalogue,
    LotTerms,
    MoveStock,
    QuarantineLot,
    Refused,
    Replayed,
    SellHold,
    StockMove,
    TransferStock,
    TurnLots,
    UndoMovement,
)
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    Item,
    Kind,
    Location,
    LotKey,
    MovementKind,
    Owed,
    Pin,
    Rest,
    Shelf,
)
from stockpush.reservation import ledger
from stockpush.reservation.ledger import Books
from tests.reservation.test_older import atps, held_workshop, workshop
from tests.reservation.test_reach import large_from
from tests.reservation.world import World, line


def pins(world: World) -> tuple[Pin, ...]:
    """What goes by older bills of candles."""
    return world.rows.shelves["candle"].pins


def sound(world: World) -> bool:
    """Whether the ledger says what the shelves say."""
    rows = world.rows
    books = Books(
        tuple(rows.movements.values()),
        tuple(rows.shelves.values()),
        tuple(rows.reservations.values()),
        tuple(rows.commands.values()),
        tuple(rows.holds.values()),
        tuple(rows.lots.values()),
        {place.name: place.pool for place in world.catalogue.locations.values()},
        dict(world.catalogue.feeds),
    )
    found = ledger.check(books)
    assert found == []
    return True


def sends(world: World, units: int = 4) -> World:
    """The order of four candles that were ordered in soy is sent, or the first of them are."""
    world.hears(world.order("shopify", "1", line("ca", 4, shipped=units), version=4 + units))
    return world


def builds(world: World, units: int, bill: int | None = None, **how: object) -> World:
    """A run is logged."""
    command = BuildStock("candle", units, f"build {len(world.log)}", "test", bill=bill, **how)  # type: ignore[arg-type]
    world.do(command)
    return world


def undoes(world: World, movement: int | None = None) -> World:
    """A command is taken back, the last one unless told."""
    number = max(world.rows.movements) if movement is None else movement
    world.do(UndoMovement(number, f"undo {number}", "test"))
    return world


@pytest.mark.parametrize("items", [1, 10**9])
def test_sending_before_the_run_is_logged_changes_no_promise(items: int) -> None:
    """In whole and in part, and however much is read: it is soy that is still to be used."""
    with large_from(items):
        world = workshop()
        world.syncs()
        before = atps(world)
        assert before == (10, 12, 12, 30)
        sends(world, 1)
        assert (atps(world), pins(world)) == (before, (Pin(1, 3, (), 1),))
        sends(world)
        assert (atps(world), pins(world)) == (before, (Pin(1, 0, (), 4),))
        assert world.dirty == set()
        for units, left in ((3, (Pin(1, 0, (), 1),)), (1, ())):
            builds(world, units, bill=1)
            assert (atps(world), pins(world)) == (before, left)
        assert world.dirty == set()
        assert [world.rows.shelves[sku].on_hand for sku in ("candle", "soy", "palm")] == [0, 12, 30]
        assert sound(world)


def test_a_hold_that_is_sold_before_it_is_built_owes_too() -> None:
    """Eight candles were held in soy and sold; what is made of soy is promised no balm."""
    world = held_workshop(held=8)
    before = atps(world)
    world.do(SellHold(1, "market", "sell", "test"))
    assert (atps(world), pins(world)) == (before, (Pin(1, 0, (), 8),))
    builds(world, 8, bill=1)
    assert (atps(world), pins(world)) == (before, ())
    assert sound(world)


def receipt(units: int) -> Callable[[World], object]:
    """Candles come in from elsewhere."""
    return lambda world: world.moves("candle", units, MovementKind.RECEIPT)


def count(units: int) -> Callable[[World], object]:
    """Somebody counts so many candles more than the ledger says."""
    return lambda world: world.do(
        CountStock("candle", world.rows.shelves["candle"].on_hand + units, "count", "test")
    )


@pytest.mark.parametrize(
    "does",
    [
        receipt(3),
        receipt(4),
        receipt(9),
        count(2),
        count(6),
        lambda world: world.moves("candle", 1, MovementKind.ADJUSTMENT),
        lambda world: world.moves("candle", -2, MovementKind.ADJUSTMENT),
        lambda world: world.moves("candle", 2, MovementKind.RETURN),
        lambda world: world.moves("candle", -1, MovementKind.SALE),
        lambda world: world.moves("candle", -1, MovementKind.SCRAP),
        lambda world: builds(world, 2, bill=1),
        lambda world: builds(world, 6, bill=1),
        lambda world: builds(world, 4, bill=1, scrapped=1),
        lambda world: builds(world, 3),
        lambda world: builds(world, 7),
        lambda world: world.hears(world.order("shopify", "2", line("ca", 2))),
        lambda world: world.hears(world.order("shopify", "2", line("ca", 2, shipped=2))),
    ],
)
def test_it_does_not_matter_whether_it_is_sent_before_or_after(
    does: Callable[[World], object],
) -> None:
    """What is promised is the same, and what goes by older bills: so it was before it was sent."""
    after, before = workshop(), workshop()
    does(after)
    promised = atps(after)
    sends(after)
    assert atps(after) == promised
    sends(before)
    does(before)
    assert atps(before) == promised
    for sku in ("candle", "soy", "palm"):
        assert before.rows.shelves[sku] == after.rows.shelves[sku]
    assert sound(before)
    assert sound(after)


@pytest.mark.parametrize(
    ("does", "owed"),
    [
        (receipt(3), 1),
        (receipt(9), 0),
        (count(9), 0),
        (lambda world: world.moves("candle", 2, MovementKind.ADJUSTMENT), 2),
        (lambda world: world.moves("candle", -2, MovementKind.ADJUSTMENT), 4),
        (lambda world: world.moves("candle", -2, MovementKind.SALE), 4),
        (lambda world: builds(world, 3), 1),
        (lambda world: builds(world, 3, bill=1), 1),
        (lambda world: builds(world, 3, bill=1, scrapped=1), 2),
        (lambda world: builds(world, 9, bill=1), 0),
    ],
)
def test_what_is_undone_is_owed_again(does: Callable[[World], object], owed: int) -> None:
    """All is as it was before, also where something else was missing besides."""
    for missing in (0, 2):
        world = sends(workshop())
        if missing:
            world.moves("candle", -missing, MovementKind.SALE, key="besides")
        before, promised = world.rows.shelves, atps(world)
        does(world)
        if not missing:
            assert sum(pin.owed for pin in pins(world)) == owed
        undoes(world)
        assert (world.rows.shelves, atps(world)) == (before, promised)
        assert sound(world)


@pytest.mark.parametrize("lotted", [False, True], ids=["in no lot", "in a lot"])
@pytest.mark.parametrize("bill", [None, 1])
@pytest.mark.parametrize(("sent", "besides"), [(0, 4), (4, 0), (2, 2), (2, 0), (1, 9), (0, 0)])
def test_what_is_lost_of_a_run_never_was(
    sent: int, besides: int, bill: int | None, lotted: bool
) -> None:
    """Four built of which some are lost are as many as were left, whatever is missing; but for the
    materials. All of it is given back by an undo.
    """
    for lost in (1, 3, 4):
        whole, parted = workshop(), workshop()
        for world in (whole, parted):
            sends(world, sent)
            if besides:
                world.moves("candle", -besides, MovementKind.SALE, key="besides")
        before = parted.rows.shelves
        lot = {"lot": "A1"} if lotted else {}
        if lost < 4:
            builds(whole, 4 - lost, bill=bill, **lot)
        builds(parted, 4, bill=bill, scrapped=lost, **lot)
        assert parted.rows.shelves["candle"].on_hand == 4 - lost - sent - besides
        assert pins(parted) == pins(whole)
        assert sound(parted)
        undoes(parted)
        assert parted.rows.shelves == before
        assert sound(parted)


def test_what_is_missing_of_the_present_bill_is_served_first() -> None:
    """Three more were sold at a stall, and are made of palm: what comes in is for those, a run in
    soy is not.
    """
    world = sends(workshop())
    world.moves("candle", -3, MovementKind.SALE)
    assert (atps(world), pins(world)) == ((7, 12, 12, 21), (Pin(1, 0, (), 4),))
    world.moves("candle", 3, MovementKind.RECEIPT, key="r")
    assert (atps(world), pins(world)) == ((10, 12, 12, 30), (Pin(1, 0, (), 4),))
    undoes(world)
    builds(world, 3, bill=1)
    assert (atps(world), pins(world)) == ((7, 12, 12, 21), (Pin(1, 0, (), 1),))
    assert sound(world)


def test_what_was_owed_longest_is_served_first() -> None:
    """Four in soy and two in palm were sent, and the candles are of beeswax now: a run by either is
    its own, and what comes in is for soy, then for palm.
    """
    world = workshop().stock(bees=9)
    world.hears(world.order("shopify", "2", line("ca", 2)))
    world.bill("candle", bees=1)
    promised = (*atps(world), world.atp("bees"))
    world.hears(world.order("shopify", "2", line("ca", 2, shipped=2), version=3))
    sends(world)
    assert (*atps(world), world.atp("bees")) == promised == (9, 12, 12, 24, 9)
    assert pins(world) == (Pin(1, 0, (), 4), Pin(2, 0, (), 2))
    builds(world, 1, bill=2)
    assert pins(world) == (Pin(1, 0, (), 4), Pin(2, 0, (), 1))
    world.moves("candle", 3, MovementKind.RECEIPT)
    assert pins(world) == (Pin(1, 0, (), 1), Pin(2, 0, (), 1))
    world.moves("candle", 1, MovementKind.RECEIPT, key="r")
    assert pins(world) == (Pin(2, 0, (), 1),)
    undoes(world)
    undoes(world, max(world.rows.movements) - 2)
    assert pins(world) == (Pin(1, 0, (), 4), Pin(2, 0, (), 1))
    assert sound(world)


def test_without_the_materials_it_is_short_by_what_is_owed() -> None:
    """There is soy for three of the four that were sent: a fourth unit would have to come in."""
    world = sends(workshop(soy=7))
    assert atps(world) == (-1, 0, -1, 30)
    world.moves("candle", 1, MovementKind.RECEIPT)
    assert atps(world) == (10, 1, 1, 30)


def test_a_bill_is_kept_while_something_is_owed_by_it() -> None:
    """The next import forgets it when the run is logged, or what was missing has come in."""
    for done in (lambda world: builds(world, 4, bill=1), receipt(4)):
        world = sends(workshop())
        world.do(ImportCatalogue((), (), (), (), "nothing", "test"))
        assert [bill.version for bill in world.catalogue.older_bills] == [1]
        done(world)
        world.do(ImportCatalogue((), (), (), (), "forget", "test"))
        assert world.catalogue.older_bills == ()
        assert sound(world)


def test_bills_may_go_in_a_circle_with_an_older_one_when_nothing_is_owed_by_it() -> None:
    """The refusal says what the older bill is kept for; a count ends it."""
    world = World().stock(soap=0, flake=0, oil=5).bill("soap", flake=1)
    world.moves("soap", -1, MovementKind.SALE)
    world.bill("soap", oil=1)
    with pytest.raises(BillCycle, match=r"by bill 1 of soap, .* still to be built go by"):
        world.bill("flake", soap=1)
    world.do(CountStock("soap", 0, "count", "test"))
    world.bill("flake", soap=1)
    assert sound(world)


def test_a_bill_is_not_kept_for_what_the_clock_has_brought_in() -> None:
    """The run that cured may be sold since, and no movement has said so: an import does, and what
    was refused because of the older bill before is taken.
    """
    world = sends(workshop())
    first = world.now + timedelta(days=3)
    builds(world, 3, bill=1, lot="A1", terms=LotTerms(available_from=first))
    builds(world, 1, bill=1, lot="B1", terms=LotTerms(available_from=first + timedelta(days=1)))
    for day, owed in ((0, 1), (1, 0)):
        with pytest.raises(BillCycle, match="still to be built go by"):
            world.bill("soy", candle=1)
        world.now = first + timedelta(days=day)
        world.do(TurnLots(("candle",)))
        assert sum(pin.owed for pin in pins(world)) > owed
        promised = atps(world)
        world.do(ImportCatalogue((), (), (), (), f"nothing {day}", "test"))
        assert sum(pin.owed for pin in pins(world)) == owed
        assert atps(world) == promised
        assert len(world.catalogue.older_bills) == owed
        assert sound(world)
    written = len(world.rows.movements)
    world.bill("soy", candle=1)
    assert len(world.rows.movements) == written


def test_a_sale_of_a_hold_that_is_undone_is_not_owed() -> None:
    """Nor is it where the hold's other units are missing besides."""
    for besides in (0, 3):
        world = held_workshop(held=8)
        if besides:
            world.moves("candle", -besides, MovementKind.SALE)
        world.do(SellHold(1, "market", "sell", "test"))
        assert pins(world) == (Pin(1, 0, (), 8),)
        undoes(world)
        assert (pins(world), world.rows.shelves["candle"].on_hand) == ((), -besides)
        assert atps(world) == (10 - besides, 20, 20, 30 - 3 * besides)
        assert sound(world)


def test_a_build_that_is_undone_after_its_bill_was_forgotten_owes_by_the_present_one() -> None:
    """What that took nobody knows any more."""
    world = builds(sends(workshop()), 4, bill=1)
    world.do(ImportCatalogue((), (), (), (), "forget", "test"))
    undoes(world)
    assert pins(world) == ()
    assert atps(world) == (6, 20, 20, 18)
    assert sound(world)


def test_what_was_not_sent_after_all_is_open_again() -> None:
    """The channel takes it back: nothing is owed, and it goes by its bill as before."""
    world = workshop()
    world.moves("candle", -3, MovementKind.SALE)
    promised = atps(world)
    sends(world)
    world.hears(world.order("shopify", "1", line("ca", 4, shipped=1), version=10))
    assert (atps(world), pins(world)) == (promised, (Pin(1, 3, (), 1),))
    world.hears(world.order("shopify", "1", line("ca", 4), version=11))
    assert (atps(world), pins(world)) == (promised, (Pin(1, 4),))
    assert sound(world)


def test_what_is_cancelled_after_some_was_sent_is_not_owed() -> None:
    """What is open is released, what has left has left; what came back serves what is missing."""
    world = sends(workshop(), 3)
    world.hears(world.order("shopify", "1", line("ca", 4, open=0, shipped=3), version=10))
    assert (atps(world), pins(world)) == ((10, 14, 14, 30), (Pin(1, 0, (), 3),))
    world.hears(world.order("shopify", "1", line("ca", 4, open=0, shipped=1), version=11))
    assert (atps(world), pins(world)) == ((10, 18, 18, 30), (Pin(1, 0, (), 1),))
    assert sound(world)


def test_what_is_built_as_it_leaves_owes_nothing() -> None:
    """The build of the older bill is posted with it, and the ledger adds up; what is missing
    besides is the present bill's.
    """
    for lost, promised in ((0, (10, 12, 12, 30)), (3, (7, 12, 12, 21))):
        world = workshop(backflush=True)
        if lost:
            world.moves("candle", -lost, MovementKind.ADJUSTMENT)
        sends(world)
        assert (atps(world), pins(world)) == (promised, ())
        assert sound(world)


def test_what_was_sent_before_its_bill_was_replaced_is_owed_by_it() -> None:
    """Four candles in soy were sold at a stall, and are logged after the recipe was changed."""
    world = World().stock(candle=0, balm=0, soy=20, palm=30).bill("candle", soy=2)
    world.bill("balm", soy=1)
    world.moves("candle", -4, MovementKind.SALE)
    assert world.atp("balm") == 12
    world.bill("candle", palm=3)
    assert (atps(world), pins(world)) == ((10, 12, 12, 30), (Pin(1, 0, (), 4),))
    assert max(world.rows.movements.values(), key=lambda row: row.id or 0).owed == (Owed(1, 4),)
    assert sound(world)
    builds(world, 4, bill=1)
    assert (atps(world), pins(world)) == ((10, 12, 12, 30), ())
    assert sound(world)


def test_what_an_import_says_is_owed_is_no_movement_to_undo() -> None:
    """It is refused, and a repeated import names none; beside stock that is opened it goes with
    that.
    """
    for opened in (0, 5):
        world = World().stock(candle=0, soy=20, palm=30).bill("candle", soy=2)
        world.moves("candle", -4, MovementKind.SALE)
        opening = (StockMove("balm", opened, MovementKind.OPENING),)
        items = (Item("balm", "", Kind.PRODUCT, "piece"),)
        bill = BillOfMaterials("candle", 1, (BillLine("palm", 3),))
        command = ImportCatalogue(items, (bill,), (), opening, "i", "test")
        world.do(command)
        before = world.rows
        [note] = [row for row in before.movements.values() if row.is_note]
        again = world.do(command).outcome
        assert isinstance(again, Replayed)
        assert note.id not in again.movement_ids
        assert len(again.movement_ids) == bool(opened)
        undone = world.do(UndoMovement(note.id or 0, "u", "test")).outcome
        if opened:
            assert isinstance(undone, Accepted)
            assert world.rows.shelves["balm"].on_hand == 0
        else:
            assert isinstance(undone, Refused)
            assert undone.refusal == "nothing_to_undo"
            assert world.rows == before
        assert pins(world) == (Pin(1, 0, (), 4),)
        assert sound(world)


def test_a_bill_that_is_corrected_corrects_what_was_sent_too() -> None:
    """The soy was a slip: what was sent before it was built is made by the corrected bill."""
    world = World().stock(candle=0, balm=0, soy=20, palm=30).bill("candle", soy=2)
    world.moves("candle", -4, MovementKind.SALE)
    right = BillOfMaterials("candle", 1, (BillLine("palm", 3),))
    world.do(ImportCatalogue((), (right,), (), (), "right", "test", corrects=True))
    assert (atps(world), pins(world)) == ((6, 0, 20, 18), ())
    assert sound(world)


def test_the_roundings_of_an_older_bill_stay_with_what_is_owed() -> None:
    """They are there for the run that is logged after the order has gone."""
    world = World().stock(candle=0, wax=1000).bill("candle", 10, wax=985)
    world.list("shopify", "ca", "candle", shows=1)
    world.hears(world.order("shopify", "1", line("ca", 5)))
    world.bill("candle", 10, wax=1000)
    builds(world, 1, bill=1)
    world.hears(world.order("shopify", "1", line("ca", 5, shipped=5), version=2))
    assert pins(world) == (Pin(1, 0, (Rest("wax", 5),), 4),)
    builds(world, 4, bill=1)
    assert (pins(world), world.rows.shelves["wax"].on_hand) == ((), 1000 - 493)


def test_a_run_that_cures_serves_what_is_owed_when_it_may_be_sold() -> None:
    """Until its first day it lies apart, and the soy of it is taken twice: as without older bills.
    The clock moves nothing, and the next movement says what has become of it.
    """
    world = sends(workshop())
    first = world.now + timedelta(days=3)
    terms = LotTerms(available_from=first)
    builds(world, 4, bill=1, lot="A1", terms=terms)
    assert pins(world) == (Pin(1, 0, (), 4),)
    world.now = first
    world.do(TurnLots(("candle",)))
    assert world.rows.shelves["candle"].on_hand == 0
    assert atps(world) == (10, 12, 12, 30)
    assert sound(world)
    world.moves("candle", -1, MovementKind.SALE)
    assert (atps(world), pins(world)) == ((9, 12, 12, 27), ())
    assert sound(world)


def test_what_is_still_to_come_serves_what_is_owed() -> None:
    """It is promised by the horizon, and so nothing more is to be made of soy for it."""
    world = sends(workshop())
    world.item("candle", horizon_s=864_000)
    terms = LotTerms(available_from=world.now + timedelta(days=3))
    builds(world, 4, bill=1, lot="A1", terms=terms)
    assert world.rows.shelves["candle"].coming == 4
    assert atps(world) == (10, 12, 12, 30)


def test_what_is_withheld_and_released_changes_only_what_is_missing() -> None:
    """A lot in quarantine serves nothing that is owed; released it does."""
    world = workshop()
    builds(world, 4, bill=1, lot="A1")
    world.do(QuarantineLot("candle", "A1", quarantined=True, actor="test"))
    sends(world)
    assert pins(world) == (Pin(1, 0, (), 4),)
    world.do(QuarantineLot("candle", "A1", quarantined=False, actor="test"))
    assert atps(world) == (10, 12, 12, 30)
    assert sound(world)


def test_what_is_owed_in_one_pool_is_not_in_another() -> None:
    """Candles that are moved there serve what is missing there."""
    world = World().stock(candle=0, balm=0, soy=20, palm=30)
    world.do(ImportCatalogue((), (), (), (), "p", "t", locations=(Location("stall", pool="fair"),)))
    world.bill("candle", soy=2)
    world.moves("soy", 20, MovementKind.RECEIPT, location="stall")
    world.holds(("candle", 4), pool="fair")
    world.bill("candle", palm=3)
    world.do(SellHold(1, "the fair", "sell", "test"))
    shelf = "candle\x1ffair"
    assert world.rows.shelves[shelf].pins == (Pin(1, 0, (), 4),)
    assert world.atp("soy", "fair") == 12
    assert world.atp("soy") == 20
    world.moves("candle", 3, MovementKind.RECEIPT, key="r")
    world.do(TransferStock("candle", 3, "main", "stall", "t", "test"))
    assert world.rows.shelves[shelf].pins == (Pin(1, 0, (), 1),)
    assert world.atp("soy", "fair") == 18
    assert sound(world)
    undoes(world)
    assert world.rows.shelves[shelf].pins == (Pin(1, 0, (), 4),)
    assert LotKey("candle", "stall", "") in world.rows.lots
    assert sound(world)


def test_what_is_owed_goes_along_with_a_location_that_gets_another_pool() -> None:
    """What was sent from there is missing in its new pool, and is made of soy there."""
    world = World().stock(candle=0, balm=0, soy=20, palm=30)

    def places(pool: str) -> None:
        stall = Location("stall", pool=pool)
        world.do(ImportCatalogue((), (), (), (), f"in {pool}", "t", locations=(stall,)))

    places("fair")
    world.bill("candle", soy=2)
    world.moves("soy", 20, MovementKind.RECEIPT, location="stall")
    world.holds(("candle", 4), pool="fair")
    world.bill("candle", palm=3)
    world.do(SellHold(1, "the fair", "sell", "test"))
    places("main")
    assert pins(world) == (Pin(1, 0, (), 4),)
    assert world.rows.shelves["candle\x1ffair"].pins == ()
    assert (world.atp("candle"), world.atp("soy"), world.atp("palm")) == (10, 32, 30)
    assert sound(world)
    builds(world, 4, bill=1)
    assert (pins(world), world.atp("soy")) == ((), 32)
    assert sound(world)


def lives(seed: int, items: int) -> list[tuple[tuple[int, ...], frozenset[str]]]:
    """Orders by three bills, runs, receipts, sales and undos in any order: what is promised after
    each, and what is to be written for it. The books are sound, what is owed is missing, and what
    is undone at once was never done.
    """
    dice, told = Random(seed), []
    with large_from(items):
        world = workshop(soy=60, palm=90).stock(bees=50)
        world.hears(world.order("shopify", "2", line("ca", 3)))
        world.bill("candle", bees=1)
        world.hears(world.order("shopify", "3", line("ca", 5)))
        sent = {"1": 4, "2": 3, "3": 5}
        left = dict.fromkeys(sent, 0)
        for step in range(30):
            world.syncs()
            before, promised = world.rows.shelves, atps(world)
            written = len(world.rows.movements)
            is_order = False
            match dice.choice(("send", "send", "build", "build", "move", "count", "lose")):
                case "send":
                    is_order = True
                    order = dice.choice(sorted(sent))
                    had, left[order] = left[order], dice.randint(0, sent[order])
                    lines = line("ca", sent[order], shipped=left[order])
                    world.hears(world.order("shopify", order, lines, version=20 + step))
                    if left[order] >= had and before["candle"].on_hand <= 0:
                        assert atps(world) == promised
                case "build":
                    bills = [bill.version for bill in world.catalogue.older_bills]
                    lost = dice.choice((0, 0, 1))
                    builds(world, dice.randint(1, 4), dice.choice((None, *bills)), scrapped=lost)
                case "move":
                    kind = dice.choice((MovementKind.RECEIPT, MovementKind.ADJUSTMENT))
                    world.moves("candle", dice.randint(1, 5), kind, key=f"k{step}")
                case "lose":
                    kind = dice.choice((MovementKind.SALE, MovementKind.SCRAP))
                    world.moves("candle", -dice.randint(1, 5), kind, key=f"k{step}")
                case "count":
                    now = before["candle"].on_hand + dice.randint(0, 5)
                    world.do(CountStock("candle", now, f"c{step}", "test"))
            assert sound(world)
            shelf = world.rows.shelves["candle"]
            assert sum(pin.owed for pin in shelf.pins) <= max(0, -shelf.on_hand)
            told.append((atps(world), frozenset(world.dirty)))
            if not is_order and len(world.rows.movements) > written and dice.random() < 0.5:
                undoes(world)
                assert unguarded(world.rows.shelves) == unguarded(before)
                assert atps(world) == promised
                assert sound(world)
    return told


def unguarded(shelves: Mapping[str, Shelf]) -> dict[str, Shelf]:
    """Shelves but for whether what is left of them is shared out: that follows the promises."""
    return {key: replace(row, guard_level=0, guarded=False) for key, row in shelves.items()}


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_the_ledger_says_what_is_owed(seed: int) -> None:
    """And it makes no difference how much is read for it."""
    assert lives(seed, items=1) == lives(seed, items=10**9)


def test_a_movement_of_several_lines_is_given_back_line_by_line() -> None:
    """A command that brings candles twice, and is undone."""
    world = sends(workshop())
    before = world.rows.shelves
    moves = tuple(StockMove("candle", units, MovementKind.RECEIPT) for units in (1, 5))
    world.do(MoveStock(moves, "twice", "test"))
    assert pins(world) == ()
    undoes(world)
    assert world.rows.shelves == before
    assert sound(world)
