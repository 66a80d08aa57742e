"""Builds that nobody logs: kits, and what leaves before it was finished."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stockpush.messages import (
    Accepted,
    BuildStock,
    ImportCatalogue,
    MoveStock,
    Refused,
    StockMove,
    UndoMovement,
)
from stockpush.model import QUANTITY_MAX, BillLine, BillOfMaterials, MovementKind, Rest
from stockpush.reservation import catalogue
from tests.reservation import oracle
from tests.reservation.oracle import worlds
from tests.reservation.world import World, line


def bill(item: str, yields: int = 1, *, batch: bool = False, **lines: int) -> BillOfMaterials:
    """Return a bill whose builds are posted by what leaves."""
    parts = tuple(BillLine(sku, quantity) for sku, quantity in lines.items())
    return BillOfMaterials(item, yields, parts, batch_only=batch, backflush=True)


def shop(*bills: BillOfMaterials, **on_hand: int) -> World:
    """Return a world with these bills and stocks."""
    world = World().stock(**on_hand)
    world.do(ImportCatalogue((), bills, (), (), "bills", "test"))
    return world


def on_hand(world: World) -> dict[str, int]:
    """Balances by item, where there are any."""
    return {sku: row.on_hand for sku, row in sorted(world.rows.shelves.items()) if row.on_hand}


def rests(world: World) -> dict[str, tuple[Rest, ...]]:
    """What roundings have left, where they have."""
    return {sku: row.rests for sku, row in world.rows.shelves.items() if row.rests}


SET = bill("set", candle=2, box=1)
CANDLE = bill("candle", 10, wax=1500)


@pytest.mark.parametrize(
    ("bills", "stock", "sold", "left"),
    [
        # Nothing is finished: both sets are put together from their parts.
        ((SET,), {"candle": 9, "box": 5}, 2, {"candle": 5, "box": 3}),
        # One is finished: the other is put together.
        ((SET,), {"set": 1, "candle": 9, "box": 5}, 2, {"candle": 7, "box": 4}),
        ((SET,), {"set": 2, "candle": 9, "box": 5}, 2, {"candle": 9, "box": 5}),
        # Two of the four candles are missing. Who makes them says so later: 2 below zero.
        ((SET,), {"candle": 2, "box": 5}, 2, {"candle": -2, "box": 3}),
        # Candles are posted as well: two of them, 300 g of wax.
        ((SET, CANDLE), {"candle": 2, "box": 5, "wax": 900}, 2, {"box": 3, "wax": 600}),
        # In whole batches of ten, of which eight are left.
        (
            (SET, replace(CANDLE, batch_only=True)),
            {"candle": 2, "box": 5, "wax": 2000},
            2,
            {"box": 3, "wax": 500, "candle": 8},
        ),
        # A shop that was below zero before is not made up for by the next sale.
        ((SET,), {"set": -3, "candle": 9, "box": 5}, 1, {"set": -3, "candle": 7, "box": 4}),
        # A bill that is not to be posted leaves it to whoever logs the run.
        (
            (replace(SET, backflush=False),),
            {"candle": 9, "box": 5},
            2,
            {"set": -2, "candle": 9, "box": 5},
        ),
    ],
)
@pytest.mark.parametrize("way", ["order", "stall", "broken"])
def test_what_leaves_below_what_is_finished_is_built(
    bills: tuple[BillOfMaterials, ...],
    stock: dict[str, int],
    sold: int,
    left: dict[str, int],
    way: str,
) -> None:
    """By an order that was sent, by a sale at a stall, or broken: its parts go with it."""
    nothing = dict.fromkeys(("set", "candle", "box", "wax"), 0)
    world = shop(*bills, **(nothing | stock))
    if way == "order":
        world.list("shopify", "s", "set", shows=0)
        world.polls("shopify", world.order("shopify", "1", line("s", sold)))
        before = {sku: world.atp(sku) for sku in nothing}
        world.polls(
            "shopify", world.order("shopify", "1", line("s", sold, shipped=sold), version=2)
        )
        if before["set"] >= 0:
            assert {sku: world.atp(sku) for sku in nothing} == before
    else:
        kind = MovementKind.SALE if way == "stall" else MovementKind.SCRAP
        world.moves("set", -sold, kind)
    assert on_hand(world) == {sku: units for sku, units in left.items() if units}


def test_what_comes_back_is_finished() -> None:
    """A set that is returned is not taken apart: it is there to be sent again."""
    world = shop(SET, set=0, candle=9, box=5).list("shopify", "s", "set", shows=0)
    world.polls("shopify", world.order("shopify", "1", line("s", 2, shipped=2)))
    world.polls("shopify", world.order("shopify", "1", line("s", 2, open=0, shipped=1), version=2))
    assert on_hand(world) == {"set": 1, "candle": 5, "box": 3}
    world.polls("shopify", world.order("shopify", "2", line("s", 1, shipped=1)))
    assert on_hand(world) == {"candle": 5, "box": 3}


def test_an_undo_takes_all_of_it_back() -> None:
    """The sale, the builds that it posted, and what their roundings had left."""
    soap = bill("soap", 12, oil=1000)
    world = shop(bill("set", soap=1, box=1), soap, set=0, soap=0, box=5, oil=3000)
    world.moves("set", -5, MovementKind.SALE)
    assert on_hand(world) == {"oil": 2583}
    assert rests(world) == {"soap": (Rest("oil", 4),)}
    kinds = [row.kind.value for row in world.rows.movements.values()][2:]
    assert kinds == ["sale", "build-in", "build-out", "build-out", "build-in", "build-out"]
    causes = {row.cause for row in world.rows.movements.values()}
    assert causes == {"cmd import ['box', 'oil', 'set', 'soap']", "cmd k"}
    outcome = world.do(UndoMovement(5, "u", "test")).outcome
    assert isinstance(outcome, Accepted)
    assert on_hand(world) == {"box": 5, "oil": 3000}
    assert rests(world) == {}


def test_roundings_are_kept_for_the_next_build_until_the_bill_changes() -> None:
    """Twelve soaps take 1000 g, in however many builds; by another bill they begin anew."""
    soap = replace(bill("soap", 12, oil=1000), backflush=False)
    world = shop(soap, soap=0, oil=5000)
    world.do(BuildStock("soap", 5, "b1", "test"))
    assert on_hand(world) == {"soap": 5, "oil": 4583}
    assert world.atp("soap") == 60
    world.do(BuildStock("soap", 7, "b2", "test"))
    assert (on_hand(world), rests(world)) == ({"soap": 12, "oil": 4000}, {})
    world.do(BuildStock("soap", 5, "b3", "test"))
    world.do(ImportCatalogue((), (replace(soap, batch_only=True),), (), (), "same use", "test"))
    assert rests(world) == {"soap": (Rest("oil", 4),)}
    world.do(ImportCatalogue((), (bill("soap", 10, oil=1000),), (), (), "other", "test"))
    assert rests(world) == {}
    # What was built by the bill before is undone, and says nothing of the present one.
    world.do(UndoMovement(2, "u", "test"))
    assert all(abs(left.ahead) < 2 * 10 for kept in rests(world).values() for left in kept)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_builds_are_undone_in_any_order(order: tuple[int, ...]) -> None:
    """In the end all is as before, roundings too; meanwhile no more is lost than one unit."""
    world = shop(bill("soap", 12, oil=1000), soap=0, oil=5000)
    ids = []
    for number, units in enumerate((1, 1, 5)):
        ids.append(len(world.rows.movements) + 1)
        world.do(BuildStock("soap", units, f"b{number}", "test"))
    assert on_hand(world)["oil"] == 5000 - 584
    for number in order:
        world.do(UndoMovement(ids[number], f"u{number}", "test"))
        soaps = on_hand(world).get("soap", 0)
        assert abs(5000 - on_hand(world)["oil"] - soaps * 1000 / 12) <= 1
    assert (on_hand(world), rests(world)) == ({"oil": 5000}, {})


def test_a_build_posts_the_builds_of_its_parts() -> None:
    """A set that is logged as built takes candles that nobody logged; and cannot be half done."""
    world = shop(replace(SET, backflush=False), CANDLE, set=0, candle=1, box=5, wax=900)
    world.do(BuildStock("set", 2, "b", "test"))
    assert on_hand(world) == {"set": 2, "box": 3, "wax": 450}
    outcome = world.do(BuildStock("set", QUANTITY_MAX, "b2", "test")).outcome
    assert isinstance(outcome, Refused)
    assert on_hand(world) == {"set": 2, "box": 3, "wax": 450}


def test_a_sale_stands_though_no_shelf_could_hold_its_parts() -> None:
    """A sale is a fact: it goes below zero where its build is beyond all bounds."""
    world = shop(bill("set", dust=QUANTITY_MAX), set=0, dust=9)
    world.list("shopify", "s", "set", shows=0)
    world.polls("shopify", world.order("shopify", "1", line("s", 2, shipped=2)))
    assert on_hand(world) == {"set": -2, "dust": 9}


@settings(max_examples=60, deadline=None)
@given(worlds(ruled=False), st.sampled_from((1, catalogue.LARGE_MIN)), st.data())
def test_sending_what_was_reserved_and_covered_changes_no_atp(
    case: oracle.World, large_min: int, data: st.DataObject
) -> None:
    """Of any item, in any world, read whole or in part; and what is sent was made by then."""
    bills = tuple(replace(each, backflush=True) for each in case.bills)
    made = {each.item for each in bills}
    stock = {sku: units if sku in made else units + 60 for sku, units in case.on_hand.items()}
    sold = {sku: units for sku, units in case.demand.items() if units}
    assume(sold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "LARGE_MIN", large_min)
        world = shop(*bills, **stock)
        for sku, units in sold.items():
            world.list("shopify", sku, sku, shows=0)
            world.polls("shopify", world.order("shopify", sku, line(sku, units)))
        sku = data.draw(st.sampled_from(sorted(sold)))
        atps = {each: world.atp(each) for each in case.skus}
        assume(atps[sku] >= 0)
        sent = data.draw(st.integers(1, sold[sku]))
        shipped = line(sku, sold[sku], shipped=sent)
        world.polls("shopify", world.order("shopify", sku, shipped, version=2))
        assert {each: world.atp(each) for each in case.skus} == atps
    if stock[sku] >= 0 and sku in made:
        assert world.rows.shelves[sku].on_hand >= 0


def test_several_lines_of_one_command_are_all_or_nothing() -> None:
    """The parts of a kit that was sold beside a line that cannot be are not taken."""
    world = shop(SET, set=0, candle=9, box=5)
    moves = (
        StockMove("set", -1, MovementKind.SALE),
        StockMove("nope", -1, MovementKind.SALE),
    )
    assert isinstance(world.do(MoveStock(moves, "k", "test")).outcome, Refused)
    assert on_hand(world) == {"candle": 9, "box": 5}
