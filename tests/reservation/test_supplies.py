"""Supplies that go once with each order: claimed, sent, given back, and as a gate of ATP."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stockpush.errors import CatalogueInvalid
from stockpush.messages import (
    ImportCatalogue,
    LotTerms,
    MoveStock,
    Needs,
    OrderLineSeen,
    ReceiveDelivery,
    Refused,
    StartChannel,
    StockMove,
    TurnLots,
)
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    Delivery,
    DeliveryState,
    Exposure,
    FieldKey,
    Item,
    Kind,
    MovementKind,
    OrderSupply,
    shelf_key,
)
from stockpush.reservation import view as views
from stockpush.reservation.atp import stopped_by
from stockpush.reservation.catalogue import build
from stockpush.reservation.decide import needs, widen
from stockpush.reservation.exposure import item_terms
from stockpush.reservation.ledger import Books, check
from stockpush.reservation.view import View
from stockpush.values import replace
from tests.reservation.test_pools import MARKET, with_pool
from tests.reservation.test_pools import shop as pools_shop
from tests.reservation.test_reach import large_from
from tests.reservation.world import POLICIES, START, World, line

BOX = OrderSupply("box", 1)
GATE = OrderSupply("box", 1, gate=True)


def shop(*, box: int = 10, **per_order: tuple[OrderSupply, ...]) -> World:
    """Return a shop of finished candles and soaps on two channels, with boxes and leaflets."""
    world = World().stock(candle=50, soap=50)
    for sku, units in (("box", box), ("leaflet", 100)):
        world.stock(**{sku: units}).item(sku, kind=Kind.SUPPLY)
    for sku, lines in per_order.items():
        world.item(sku, per_order=lines)
    for channel in ("shopify", "woo"):
        world.polls(channel)
        for sku in ("candle", "soap"):
            world.list(channel, f"{channel}-{sku}", sku, shows=50)
    world.syncs()
    return world


def boxes(world: World, supply: str = "box", pool: str = "main") -> tuple[int, int]:
    """Return how many of a supply are on hand, and how many are claimed."""
    shelf = View(world.catalogue, world.rows).shelf(shelf_key(supply, pool))
    return shelf.on_hand, shelf.reserved


def sound(world: World) -> bool:
    """Answer whether the books agree with themselves."""
    books = Books(
        tuple(world.rows.movements.values()),
        tuple(world.rows.shelves.values()),
        tuple(world.rows.reservations.values()),
        tuple(world.rows.commands.values()),
        tuple(world.rows.holds.values()),
        tuple(world.rows.lots.values()),
        {name: place.pool for name, place in world.catalogue.locations.items()},
        dict(world.catalogue.feeds),
        world.catalogue.per_order,
    )
    return check(books) == []


CANDLES, SOAPS = "shopify-candle", "shopify-soap"


def test_a_cancelled_order_gives_its_box_back() -> None:
    """A cancel before sending releases the supply, wholly when the last line that names it goes."""
    world = shop(candle=(BOX,), soap=(BOX,))
    two = [line(CANDLES, 3), line(SOAPS, 1, line_id="2")]
    world.hears(world.order("shopify", "1", *two))
    world.hears(world.order("shopify", "1", two[0], version=2))
    assert boxes(world) == (10, 1)
    world.hears(world.order("shopify", "1", version=3))
    assert boxes(world) == (10, 0)
    assert sound(world)


def test_a_sending_that_is_taken_back_brings_the_box_back() -> None:
    """A channel that takes back its word that something was sent gives back goods and box."""
    world = shop(candle=(BOX,))
    world.hears(world.order("shopify", "1", line(CANDLES, 2, shipped=2)))
    assert boxes(world) == (9, 0)
    world.hears(world.order("shopify", "1", line(CANDLES, 2), version=2))
    assert boxes(world) == (10, 1)
    world.hears(world.order("shopify", "1", line(CANDLES, 2, shipped=2), version=3))
    assert boxes(world) == (9, 0)
    assert sound(world)


def test_of_several_items_the_largest_quantity_counts() -> None:
    """Items of one order that name one supply take the largest quantity, not the sum."""
    world = shop(candle=(OrderSupply("box", 2),), soap=(OrderSupply("box", 3),))
    both = [line(CANDLES, 1), line(SOAPS, 1, line_id="2")]
    world.hears(world.order("shopify", "1", *both))
    assert boxes(world) == (10, 3)
    first = [line(CANDLES, 1, shipped=1), line(SOAPS, 1, line_id="2")]
    world.hears(world.order("shopify", "1", *first, version=2))
    assert boxes(world) == (8, 1)
    assert sound(world)


def test_what_left_before_we_first_looked_takes_no_box() -> None:
    """An order placed before our first poll, partly sent: its box has gone, and none goes now."""
    world = shop(candle=(BOX,), soap=(BOX,))
    before = START - timedelta(days=2)
    lines = [line(CANDLES, 1, shipped=1), line(SOAPS, 1, line_id="2")]
    world.hears(world.order("shopify", "1", *lines, placed=before))
    assert boxes(world) == (10, 0)
    lines[1] = line(SOAPS, 1, line_id="2", shipped=1)
    world.hears(world.order("shopify", "1", *lines, placed=before, version=2))
    assert boxes(world) == (10, 0)
    assert sound(world)


def test_holds_and_sales_at_a_stall_take_none() -> None:
    """Only orders of channels take supplies of orders: a hold sets none aside, nor does a sale."""
    world = shop(candle=(GATE,))
    world.holds(("candle", 2))
    world.moves("candle", -3, MovementKind.SALE)
    assert boxes(world) == (10, 0)


def test_an_order_heard_before_its_listing_was_mapped_claims_then() -> None:
    """Mapping a listing has its waiting orders claim their supplies, beside their other lines."""
    world = shop(candle=(BOX,), soap=(OrderSupply("box", 3),))
    lines = [line(CANDLES, 1), line("new", 1, line_id="2")]
    world.hears(world.order("shopify", "1", *lines))
    world.hears(world.order("shopify", "2", line("new", 1, line_id="2")))
    assert boxes(world) == (10, 1)
    world.list("shopify", "new", "soap", shows=5)
    assert boxes(world) == (10, 6)
    assert sound(world)


def test_a_new_bill_holds_for_open_orders_too() -> None:
    """An import that names a supply, another quantity, or none any more, changes every claim."""
    world = shop()
    world.hears(world.order("shopify", "1", line(CANDLES, 2)))
    world.hears(
        world.order("woo", "2", line("woo-candle", 1, shipped=1), line("woo-soap", 1, line_id="2"))
    )
    for lines, claimed in (
        ((BOX,), 1),
        ((OrderSupply("box", 4),), 4),
        ((OrderSupply("leaflet", 1),), 0),
        ((), 0),
    ):
        world.item("candle", per_order=lines)
        world.item("soap", per_order=lines)
        assert boxes(world)[1] == claimed
        assert sound(world)


def test_a_variant_has_the_supplies_of_its_base() -> None:
    """A variant takes what its base takes, its own lines in place of those: 0 takes one away."""
    base = BillOfMaterials("candle", 1, (BillLine("wax", 1),))
    rose = BillOfMaterials("rose", 1, (BillLine("wax", 1),), base="candle")
    items = [
        Item("candle", "", Kind.PRODUCT, "piece", per_order=(GATE, OrderSupply("leaflet", 2))),
        Item("rose", "", Kind.PRODUCT, "piece", per_order=(OrderSupply("leaflet", 0),)),
        *(Item(sku, "", Kind.SUPPLY, "piece") for sku in ("box", "leaflet", "wax")),
    ]
    catalogue = build(1, items, (base, rose), (), POLICIES)
    assert catalogue.per_order["rose"] == (GATE,)


def test_each_pool_has_claims_and_boxes_of_its_own() -> None:
    """An order claims, and takes, a box of the pool that feeds its channel; a channel that another
    pool feeds from now on takes its claims there, and an order partly sent claims none there.
    """
    world = pools_shop()
    world.stock(candle=9, box=9).item("box", kind=Kind.SUPPLY)
    world.item("candle", per_order=(GATE,))
    world.moves("box", 4, MovementKind.RECEIPT, "r", location="stall")
    world.moves("candle", 7, MovementKind.RECEIPT, "r2", location="stall")
    for channel in ("shopify", "woo"):
        world.polls(channel)
        world.list(channel, f"{channel}-candle", "candle", shows=0)
    world.hears(world.order("shopify", "1", line(CANDLES, 2)))
    world.hears(world.order("woo", "2", line("woo-candle", 2)))
    world.hears(world.order("woo", "3", line("woo-candle", 2, shipped=1)))
    assert (boxes(world), boxes(world, pool=MARKET)) == ((9, 1), (3, 1))
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (7, 2)
    world.catalogue = with_pool("woo", "main", known=world.catalogue)
    world.do(StartChannel("woo"))
    assert (boxes(world), boxes(world, pool=MARKET)) == ((9, 2), (3, 0))
    assert sound(world)


def test_boxes_leave_by_lot() -> None:
    """Supplies in lots leave as anything does: of what lies there the oldest lot first."""
    world = shop(candle=(BOX,))
    for lot in ("b", "a"):
        move = StockMove("box", 1, MovementKind.RECEIPT, lot=lot, terms=LotTerms())
        world.do(MoveStock((move,), lot, "test"))
    for number in range(3):
        world.hears(world.order("shopify", str(number), line(CANDLES, 1, shipped=1)))
    assert {key.lot: lot.on_hand for key, lot in world.rows.lots.items()} == {"a": 0, "b": 0}
    assert boxes(world) == (9, 0)
    assert sound(world)


@pytest.mark.parametrize(
    ("items", "bills", "field", "found"),
    [
        ({"candle": (OrderSupply("wax", 1),)}, {}, "wax.item", "wax (material)"),
        ({"candle": (OrderSupply("bag", 1),)}, {}, "bag.item", "bag (no item)"),
        ({"candle": (BOX,)}, {"box": "wax"}, "box.item", "box"),
        ({"candle": (BOX,)}, {"soap": "box"}, "box.per", "order"),
        ({"candle": (BOX,), "soap": (GATE,)}, {}, "box.gate", "true"),
        ({"candle": (OrderSupply("box", 10**9 + 1),)}, {}, "box.quantity", "1000000001"),
    ],
)
def test_supplies_that_cannot_be_are_refused(
    items: dict[str, tuple[OrderSupply, ...]], bills: dict[str, str], field: str, found: str
) -> None:
    """In the transaction that would write them, naming the line; nothing is changed."""
    world = shop().stock(wax=5)
    world.item("wax", kind=Kind.MATERIAL)
    rows = world.rows
    command = ImportCatalogue(
        tuple(_item(world, sku, lines) for sku, lines in items.items()),
        tuple(BillOfMaterials(sku, 1, (BillLine(part, 1),)) for sku, part in bills.items()),
        (),
        (),
        "k",
        "test",
    )
    with pytest.raises(CatalogueInvalid) as refused:
        world.do(command)
    assert refused.value.field is not None
    assert refused.value.field.endswith(field)
    assert refused.value.found == found
    assert refused.value.expected
    assert world.rows == rows


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"box": {"substitute_for": "leaflet"}, "candle": {"per_order": (BOX,)}}, "box.item"),
        ({"leaflet": {"substitute_for": "box"}, "candle": {"per_order": (BOX,)}}, "box.item"),
        ({"soap": {"substitute_for": "candle"}, "candle": {"per_order": (BOX,)}}, "box.per"),
    ],
)
def test_supplies_and_substitutes_are_different_things(
    given: dict[str, dict[str, Any]], field: str
) -> None:
    """A supply of orders is no substitute and no name of any, nor has a name lines per order;
    whichever of the two is said later.
    """
    for (first, said), (late, more) in permutations(given.items()):
        world = World().stock(candle=0, soap=0, box=0, leaflet=0)
        for sku in ("box", "leaflet"):
            world.item(sku, kind=Kind.SUPPLY)
        world.item(first, **said)
        with pytest.raises(CatalogueInvalid) as refused:
            world.item(late, **more)
        assert str(refused.value.field).endswith(field)


def older(*, sold: int = 2, **uses: int) -> World:
    """Candles were made from `uses` when `sold` were ordered; there are 20 of everything."""
    world = World().stock(candle=0, soy=20, palm=20, box=20).item("box", kind=Kind.SUPPLY)
    world.polls("shopify")
    world.bill("candle", **uses)
    world.list("shopify", CANDLES, "candle", shows=10)
    world.hears(world.order("shopify", "1", line(CANDLES, sold)))
    return world


def rebilled(world: World, *lines: OrderSupply, corrects: bool = False, **uses: int) -> None:
    """Import another recipe of candles, and what their orders take."""
    made_from = tuple(BillLine(sku, units) for sku, units in uses.items())
    bill = BillOfMaterials("candle", 1, made_from)
    items = (_item(world, "candle", lines),)
    key = f"bill {len(world.log)}"
    world.do(ImportCatalogue(items, (bill,), (), (), key, "test", corrects=corrects))


@pytest.mark.parametrize("items", [1, 10**9])
def test_an_older_bill_keeps_its_recipe_and_not_its_supplies(items: int) -> None:
    """What is open stays in soy, and takes as many boxes as the bill of today says."""
    with large_from(items):
        world = older(soy=1)
        world.item("candle", per_order=(GATE,))
        rebilled(world, OrderSupply("box", 3, gate=True), palm=1)
        assert [row.bill for row in world.rows.reservations.values()] == [1]
        assert (world.atp("soy"), world.atp("palm"), *boxes(world)) == (18, 20, 20, 3)
        assert world.atp("candle") == 5  # for 17 boxes, three an order
        world.hears(world.order("shopify", "1", line(CANDLES, 2, shipped=1), version=2))
        assert (world.atp("candle"), *boxes(world)) == (5, 17, 0)
        assert sound(world)


def test_a_supply_is_of_orders_once_no_open_order_takes_it_per_product() -> None:
    """A box that was a line of the product becomes one of the order: with `--corrects` for what is
    open as well, or when that has been sent; otherwise it would count twice.
    """
    world = older(soy=1, box=1)
    with pytest.raises(CatalogueInvalid) as refused:
        rebilled(world, GATE, soy=1)
    assert refused.value.field == "boms.candle.lines.box.per"
    assert "--corrects" in str(refused.value.next)
    assert (world.atp("box"), world.catalogue.per_order) == (18, {})
    rebilled(world, GATE, soy=1, corrects=True)
    assert (world.atp("box"), *boxes(world)) == (19, 20, 1)
    assert sound(world)
    world = older(soy=1, box=1)
    world.hears(world.order("shopify", "1", version=2))
    rebilled(world, GATE, soy=1)
    assert (world.atp("candle"), *boxes(world)) == (20, 20, 0)


# -- gates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stock", "orders", "quantity", "gate", "atp"),
    [
        (10, 0, 1, False, 50),
        (0, 0, 1, False, 50),
        (10, 0, 1, True, 10),
        (10, 3, 1, True, 7),
        (10, 0, 3, True, 3),
        (2, 2, 1, True, 0),
        (1, 3, 1, True, -2),
        (1, 3, 2, True, -3),
        (60, 3, 1, True, 47),
    ],
)
def test_a_gate_lets_no_more_be_promised_than_there_are_supplies_for(
    stock: int, orders: int, quantity: int, gate: bool, atp: int
) -> None:
    """50 candles, each order with one of them: n more may be n orders, so the boxes bound ATP, but
    only with a gate.
    """
    world = shop(box=stock, candle=(OrderSupply("box", quantity, gate=gate),))
    for number in range(orders):
        world.hears(world.order("shopify", str(number), line(CANDLES, 1)))
    assert world.atp("candle") == (atp if gate else 50 - orders)
    view = View(world.catalogue, world.rows)
    terms = item_terms(view.net(["candle"]), "candle", held=0, suspense=0)
    assert sum(units for _, units in terms) == world.atp("candle")


def test_an_ungated_supply_that_is_short_is_what_to_buy() -> None:
    """Without a gate nothing is held back, and the supply itself is short by what orders lack."""
    world = shop(box=1, candle=(BOX,))
    for number in range(3):
        world.hears(world.order("shopify", str(number), line(CANDLES, 1)))
    view = View(world.catalogue, world.rows)
    assert world.atp("box") == -2
    assert view.net(["box"]).shortage == {"box": 2}
    assert world.atp("candle") == 47


def test_a_sale_of_one_item_lowers_the_listings_of_all_that_share_a_gate() -> None:
    """With the boxes as good as gone, an order of a candle lowers what the soaps show."""
    world = shop(box=3, candle=(GATE,), soap=(GATE,))
    world.hears(world.order("shopify", "1", line(CANDLES, 1)))
    assert world.field("shopify", CANDLES).expected == 2
    assert world.syncs() == {
        ("shopify", SOAPS): 2,
        ("woo", "woo-candle"): 2,
        ("woo", "woo-soap"): 2,
    }


def test_a_pack_is_one_order_at_the_least() -> None:
    """Three boxes are enough for three packs of six candles, where nothing smaller is listed."""
    world = shop(box=3)
    world.stock(tin=60).item("tin", per_order=(GATE,))
    world.list("shopify", "six", "tin", pack=6, shows=1)
    assert world.atp("tin") == 18
    world.list("woo", "one", "tin", shows=1)
    assert world.atp("tin") == 3


@pytest.mark.parametrize("items", [1, 10**9])
def test_what_is_in_suspense_may_be_many_orders(items: int) -> None:
    """Two units that a channel seems to have sold untold may want a box each: all listings that
    share the boxes are lowered, however groups are read.
    """
    with large_from(items):
        world = shop(box=10, candle=(GATE,), soap=(GATE,))
        world.reads("shopify", CANDLES, world.field("shopify", CANDLES).expected - 2)
        assert (world.atp("candle"), world.atp("soap")) == (8, 8)
        assert world.syncs()[FieldKey("woo", "woo-soap")] == 8


def test_a_hold_is_bound_by_the_number_that_is_promised() -> None:
    """A hold is placed against ATP, gate and all; the refusal names the supply and what to buy."""
    world = shop(box=2, candle=(GATE,))
    refused = world.holds(("candle", 5)).outcome
    assert isinstance(refused, Refused)
    assert (refused.facts["short"], refused.facts["limited_by"]) == ("3", "box")
    assert refused.facts["to_buy"] == [{"sku": "box", "unit": "piece", "quantity": "3"}]
    world.moves("box", 3, MovementKind.RECEIPT)
    assert not isinstance(world.holds(("candle", 5)).outcome, Refused)


@pytest.mark.parametrize(
    ("now", "coming", "orders", "atp", "there"),
    [
        # (boxes there, and coming by their horizon; orders of one candle) -> ATP, boxes to promise
        (3, 0, 0, 3, 3),
        (3, 8, 0, 3, 11),
        (3, 8, 2, 1, 9),
        (3, 8, 3, 0, 8),
        (3, 8, 7, 0, 4),
        (3, 8, 11, 0, 0),
        (3, 8, 12, -1, -1),
    ],
)
@pytest.mark.parametrize("items", [1, 10**9])
def test_what_comes_is_for_orders_there_are_and_not_for_more(
    items: int, now: int, coming: int, orders: int, atp: int, there: int
) -> None:
    """Boxes that come by their horizon are sent with what is ordered already, so nothing is short;
    a further order would go without one, so none is promised before they are there.
    """
    with large_from(items):
        world = shop(box=now, candle=(GATE,))
        comes(world, coming, days=3)
        for number in range(orders):
            world.hears(world.order("shopify", str(number), line(CANDLES, 1)))
        assert (world.atp("candle"), world.atp("box")) == (atp, there)
        assert world.catalogue.asked == {"box"}, "what a gate bounds is not asked how soon"
        world.syncs()
        assert world.field("shopify", CANDLES).expected == max(0, atp)
        view = View(world.catalogue, world.rows)
        terms = item_terms(view.net(["candle"]), "candle", held=0, suspense=0)
        assert sum(units for _, units in terms) == atp
        world.now += timedelta(days=3)
        world.do(TurnLots(("box",)))
        assert world.atp("candle") == world.atp("box") == there


def comes(world: World, units: int, *, days: int) -> None:
    """Have boxes with a horizon of so many days come on its last day."""
    world.item("box", horizon_s=days * 86_400)
    terms = LotTerms(available_from=world.now + timedelta(days=days))
    moves = (StockMove("box", units, MovementKind.RECEIPT, lot="L1", terms=terms),)
    world.do(MoveStock(moves if units else (), "boxes come", "test"))


@pytest.mark.parametrize("items", [1, 10**9])
def test_units_in_suspense_may_wait_for_boxes_as_orders_do(items: int) -> None:
    """What a channel seems to have sold takes the boxes that are there first, and is not short of
    any while enough come; nothing of these is promised besides.
    """
    with large_from(items):
        world = shop(box=3, candle=(GATE,), soap=(GATE,))
        comes(world, 8, days=3)
        world.reads("shopify", CANDLES, world.field("shopify", CANDLES).expected - 2)
        assert (world.atp("candle"), world.atp("soap")) == (1, 1)
        world.reads("shopify", SOAPS, 0)
        assert (world.atp("candle"), world.atp("soap")) == (0, 0)


def test_a_hold_is_not_placed_on_a_box_to_come() -> None:
    """The refusal names the supply, and what is missing of it now."""
    world = shop(box=2, candle=(GATE,))
    comes(world, 8, days=3)
    refused = world.holds(("candle", 5)).outcome
    assert isinstance(refused, Refused)
    assert (refused.facts["short"], refused.facts["limited_by"]) == ("3", "box")


@pytest.mark.parametrize(
    ("box", "limits"), [(9, ("horizon",)), (4, ("horizon", "box")), (2, ("box",))]
)
def test_what_is_late_and_what_lacks_boxes_stop_the_next_unit_together(
    box: int, limits: tuple[str, ...]
) -> None:
    """Four finished soaps that cannot be made in time, and boxes: whichever is less, or both."""
    world = World().stock(soap=4, oil=900, box=box).bill("soap", oil=100)
    world.item("box", kind=Kind.SUPPLY, horizon_s=86_400)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=42 * 86_400)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("soap", horizon_s=86_400, per_order=(GATE,))
    net = View(world.catalogue, world.rows).net(["soap"])
    assert stopped_by(net, "soap") == limits
    assert world.atp("soap") == min(4, box)


def test_split_parts_no_box_that_is_still_to_come() -> None:
    """Four listings get no more than the boxes that are there, and then those that have come."""
    world = shop(box=5, candle=(GATE,), soap=(GATE,))
    for sku in ("candle", "soap"):
        world.item(sku, exposure=Exposure.SPLIT)
    comes(world, 8, days=3)
    assert parted(world) == 5
    world.now += timedelta(days=3)
    world.do(TurnLots(("box",)))
    assert 5 < parted(world) <= 13


def parted(world: World) -> int:
    """Return what all listings show together once everything was written and read a few times."""
    for _ in range(20):
        world.syncs()
        for channel in ("shopify", "woo"):
            for sku in ("candle", "soap"):
                key = f"{channel}-{sku}"
                world.reads(channel, key, world.field(channel, key).expected)
            world.polls(channel)
    return sum(row.expected or 0 for row in world.rows.fields.values())


def test_split_counts_each_unit_of_each_listing_as_an_order() -> None:
    """Where what there is is parted, four listings of two items get no more than the boxes."""
    world = shop(box=5, candle=(GATE,), soap=(GATE,))
    for sku in ("candle", "soap"):
        world.item(sku, exposure=Exposure.SPLIT)
    assert parted(world) == 5


# -- in large groups, and what it costs --------------------------------------------------------


def test_arrays_have_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large net in arrays is bounded by gates as a small one is, some of it by time as well."""
    world = shop(box=7, candle=(GATE,), soap=(OrderSupply("leaflet", 3, gate=True), GATE))
    comes(world, 8, days=3)
    world.stock(salve=2, oil=900).bill("salve", oil=1)
    slow = replace(world.catalogue.bills.by_item["salve"], build_time_s=60)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("salve", horizon_s=0, per_order=(GATE,))
    world.hears(world.order("shopify", "1", line(CANDLES, 1)))
    plain = {sku: world.atp(sku) for sku in world.catalogue.items}
    monkeypatch.setattr(views, "ARRAYS_MIN", 1)
    assert {sku: world.atp(sku) for sku in world.catalogue.items} == plain
    assert (plain["candle"], plain["soap"], plain["salve"]) == (6, 6, 2)


def test_who_has_none_asks_for_no_row_more() -> None:
    """An order of a maker without supplies of orders needs what it needed: its item alone."""
    for per_order, shelves in (((), {"candle"}), ((BOX,), {"candle", "box"})):
        world = shop(candle=per_order)
        order = world.order("shopify", "1", line(CANDLES, 1))
        delivery = Delivery("shopify", "x", "order", world.now, DeliveryState.APPLIED, body=b"x")
        asked = needs(ReceiveDelivery(delivery, (order,)), world.catalogue)
        followed = widen(asked, world._gather(asked), world.catalogue)
        assert followed.skus == shelves
        assert (followed.orders, followed.leaders) == (frozenset(), frozenset())
        assert asked.open_on == Needs().open_on


# -- against an oracle -------------------------------------------------------------------------


@dataclass
class Parcel:
    """An order as a maker sees it: its lines, and which of them have ever been out of the house."""

    channel: str
    lines: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """By line: the item, units still to be sent, units sent and not back."""
    out: set[str] = field(default_factory=set)


@dataclass
class Oracle:
    """Every order by brute force: boxes on hand, and claimed, without a look at the program.

    `coming` are lots of boxes, each with the day from which it is there; their horizon is a day.
    """

    stock: dict[str, int]
    bills: dict[str, tuple[OrderSupply, ...]]
    coming: list[tuple[datetime, int]] = field(default_factory=list)
    parcels: dict[str, Parcel] = field(default_factory=dict)

    def used(self, parcel: Parcel, supply: str) -> int:
        """Return how many of a supply have gone with an order, by today's bills."""
        return max(
            (
                each.quantity
                for name in parcel.out
                for each in self.bills.get(parcel.lines[name][0], ())
                if each.supply == supply
            ),
            default=0,
        )

    def claimed(self, supply: str) -> int:
        """Return how many of a supply open orders are still to take."""
        total = 0
        for parcel in self.parcels.values():
            wanted = [
                each.quantity
                for sku, still, _ in parcel.lines.values()
                for each in self.bills.get(sku, ())
                if still and each.supply == supply
            ]
            total += max(0, max(wanted, default=0) - self.used(parcel, supply))
        return total

    def passes(self, now: datetime) -> None:
        """Have the lots that are available by then be there."""
        self.stock["box"] += sum(units for day, units in self.coming if day <= now)
        self.coming = [lot for lot in self.coming if lot[0] > now]

    def soon(self, now: datetime) -> int:
        """Return the boxes that are not there yet, and will be by their horizon."""
        return sum(units for day, units in self.coming if day <= now + timedelta(days=1))

    def atp(self, sku: str, on_hand: int, demand: int, now: datetime) -> int:
        """Return the most of a finished item that can be promised, one unit an order.

        One order more has its boxes there now; those there are already may wait for them.
        """
        gates = [each for each in self.bills.get(sku, ()) if each.gate]
        left = {each.supply: self.stock[each.supply] - self.claimed(each.supply) for each in gates}
        soon = {"box": self.soon(now)}

        def fits(units: int) -> bool:
            return demand + units <= on_hand and all(
                left[each.supply] + (soon.get(each.supply, 0) if units <= 0 else 0)
                >= units * each.quantity
                for each in gates
            )

        n = 0
        if fits(0):
            while fits(n + 1):
                n += 1
        else:
            while not fits(n):
                n -= 1
        return n


def _facts(parcel: Parcel) -> list[OrderLineSeen]:
    channel = parcel.channel
    return [
        line(
            f"{channel}-{sku}", still + sent, line_id=name, open=still, shipped=sent, deducted=None
        )
        for name, (sku, still, sent) in sorted(parcel.lines.items())
    ]


@pytest.mark.parametrize("items", [1, 10**9])
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_orders_by_brute_force(items: int, first: int) -> None:
    """Orders, edits, parcels, returns, sendings taken back, cancels, new bills and boxes that come:
    claims, stock and ATP are those of an oracle that looks at every order anew, however groups are
    read.
    """
    waited = 0
    for seed in range(first, first + 20):
        dice = Random(seed)
        with large_from(items):
            world = shop(box=dice.randint(0, 12))
            world.item("box", horizon_s=86_400)
            oracle = Oracle({"box": boxes(world)[0], "leaflet": 100}, {})
            for number in range(25):
                _deed(dice, world, oracle, number)
                for supply in ("box", "leaflet"):
                    expected = (oracle.stock[supply], oracle.claimed(supply))
                    assert boxes(world, supply) == expected, f"seed {seed}, deed {number}"
                for sku in ("candle", "soap"):
                    view = View(world.catalogue, world.rows)
                    on_hand, demand = view.shelf(sku).on_hand, view.demand(sku)
                    wanted = oracle.atp(sku, on_hand, demand, world.now)
                    assert world.atp(sku) == wanted, f"seed {seed}, deed {number}, {sku}"
                    waited += bool(oracle.bills.get(sku)) and oracle.soon(world.now) > 0
            assert sound(world), f"seed {seed}"
    assert waited > 20


def _deed(dice: Random, world: World, oracle: Oracle, number: int) -> None:
    """Do one thing to the shop and to the oracle."""
    if number and dice.random() < 0.2:
        days, units = dice.choice((0.5, 1, 2)), dice.randint(1, 4)
        day = world.now + timedelta(days=days)
        comes = StockMove(
            "box", units, MovementKind.RECEIPT, lot=f"{number}", terms=LotTerms(available_from=day)
        )
        world.do(MoveStock((comes,), f"boxes {number}", "test"))
        oracle.coming.append((day, units))
        world.now += timedelta(hours=dice.choice((0, 6, 30)))
        world.do(TurnLots(("box",)))
        oracle.passes(world.now)
        return
    if number == 0 or dice.random() < 0.12:
        gated = dice.random() < 0.7
        for sku in ("candle", "soap"):
            lines = tuple(
                OrderSupply(supply, dice.randint(1, 3), gate=supply == "box" and gated)
                for supply in ("box", "leaflet")
                if dice.random() < 0.7
            )
            oracle.bills[sku] = lines
        items = tuple(_item(world, sku, oracle.bills[sku]) for sku in ("candle", "soap"))
        world.do(ImportCatalogue(items, (), (), (), f"bills {number}", "test"))
        return
    if number < 4 or dice.random() < 0.3 or not oracle.parcels:
        parcel = Parcel(dice.choice(("shopify", "woo")))
        for name in ("1", "2")[: dice.randint(1, 2)]:
            parcel.lines[name] = (dice.choice(("candle", "soap")), dice.randint(1, 3), 0)
        oracle.parcels[str(number)] = parcel
        order_id = str(number)
        before = dict.fromkeys(oracle.stock, 0)
    else:
        order_id = dice.choice(sorted(oracle.parcels))
        parcel = oracle.parcels[order_id]
        before = {supply: oracle.used(parcel, supply) for supply in oracle.stock}
    for name in sorted(parcel.lines):
        sku, still, sent = parcel.lines[name]
        match dice.randrange(6):
            case 0 | 1 if still:
                units = dice.randint(1, still)
                parcel.lines[name] = (sku, still - units, sent + units)
                parcel.out.add(name)
            case 2 if sent:
                parcel.lines[name] = (sku, still, sent - 1)  # it comes back
            case 3 if sent:
                parcel.lines[name] = (sku, still + sent, 0)  # it was not sent after all
                parcel.out.discard(name)
            case 4:
                parcel.lines[name] = (sku, 0, sent)
            case _:
                pass
    for supply in oracle.stock:
        oracle.stock[supply] -= oracle.used(parcel, supply) - before[supply]
    world.hears(
        world.order(parcel.channel, order_id, *_facts(parcel), version=10 + number),
        digest=f"deed {number}",
    )


def _item(world: World, sku: str, lines: tuple[OrderSupply, ...]) -> Item:
    known = world.catalogue.items[sku]
    return Item(sku, known.name, known.kind, known.unit, per_order=lines)


# -- the page ----------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"
SAID: dict[str, tuple[str, list[OrderLineSeen]]] = {
    "nothing yet": ("", []),
    "3 candles are ordered": ("1", [line(CANDLES, 3)]),
    "and 1 soap with them": ("1", [line(CANDLES, 3), line(SOAPS, 1, line_id="2")]),
    "1 candle is sent": ("1", [line(CANDLES, 3, shipped=1), line(SOAPS, 1, line_id="2")]),
    "the other 2 candles follow": ("1", [line(CANDLES, 3, shipped=3), line(SOAPS, 1, line_id="2")]),
    "1 candle comes back": (
        "1",
        [line(CANDLES, 3, open=0, shipped=2), line(SOAPS, 1, line_id="2")],
    ),
    "the soap is cancelled": ("1", [line(CANDLES, 3, open=0, shipped=2)]),
    "another order: 1 soap": ("2", [line(SOAPS, 1)]),
    "it is cancelled": ("2", []),
}
"""What each row of the page's table says, in an order and its lines."""


def test_the_table_of_the_page() -> None:
    """Each row of docs/stock-model.md is what comes of the rows up to it."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Supplies of orders\n")[2]
    rows = [
        [cell.strip() for cell in row.strip("| ").split("|")]
        for row in section.partition("\n## ")[0].splitlines()
        if row.startswith("|")
    ][2:]
    assert [row[0] for row in rows] == list(SAID)
    world = shop(candle=(GATE, OrderSupply("leaflet", 1)), soap=(GATE,))
    for version, (what, *numbers) in enumerate(rows, start=1):
        order_id, lines = SAID[what]
        if order_id:
            world.hears(world.order("shopify", order_id, *lines, version=version))
        assert [*boxes(world), world.atp("candle")] == [int(each) for each in numbers], what
