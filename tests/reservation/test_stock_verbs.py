"""The stock verbs: idempotency keys, undo by compensation, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stockpush.errors import BillCycle
from stockpush.messages import (
    Accepted,
    BuildStock,
    CountStock,
    ImportCatalogue,
    MoveStock,
    Refused,
    Replayed,
    StockMove,
    TransferStock,
    UndoMovement,
)
from stockpush.model import (
    QUANTITY_MAX,
    BillLine,
    BillOfMaterials,
    Location,
    MovementKind,
    Promise,
)
from tests.reservation.world import World


def kitchen() -> World:
    """Wax for ten candles, which are made in batches of five."""
    world = World().stock(candle=0, wax=1000)
    return world.bill("candle", 5, wax=500)


def on_hand(world: World) -> dict[str, int]:
    """Balances by item."""
    return {sku: shelf.on_hand for sku, shelf in sorted(world.rows.shelves.items())}


def test_a_repeated_key_is_replayed_and_a_reused_one_refused() -> None:
    """A script that retries receives once; one that mixes up its keys is told."""
    world = kitchen()
    assert isinstance(world.moves("wax", 5, MovementKind.RECEIPT).outcome, Accepted)
    again = world.moves("wax", 5, MovementKind.RECEIPT).outcome
    assert isinstance(again, Replayed)
    assert again.movement_ids == (2,)
    other = world.moves("wax", 6, MovementKind.RECEIPT).outcome
    assert isinstance(other, Refused)
    assert other.refusal == "key_reused"
    assert on_hand(world)["wax"] == 1005


def test_a_key_is_looked_at_before_anything_else() -> None:
    """What was counted once is not refused when it comes again, whatever lies there by now; and a
    key that was used for something else is told as that, not as what else would be wrong.
    """
    world = kitchen()
    place = Location("fair")
    world.do(ImportCatalogue((), (), (), (), "places", "test", locations=(place,)))
    counted = CountStock("wax", 5, "c", "test", location="fair")
    assert isinstance(world.do(counted).outcome, Accepted)
    lot = StockMove("wax", 3, MovementKind.RECEIPT, location="fair", lot="A")
    world.do(MoveStock((lot,), "m", "test"))
    assert isinstance(world.do(counted).outcome, Replayed)
    for other in (
        replace(counted, counted=6),
        CountStock("no such item", 5, "c", "test"),
        BuildStock("wax", 5, "c", "test"),
        TransferStock("wax", 5, "main", "nowhere", "c", "test"),
        UndoMovement(99, "c", "test"),
    ):
        refused = world.do(other).outcome
        assert isinstance(refused, Refused)
        assert refused.refusal == "key_reused", other


def test_a_build_consumes_its_bill_and_is_undone_whole() -> None:
    """Undo names any movement of the command and compensates all of them."""
    world = kitchen()
    world.do(BuildStock("candle", 5, "b1", "test"))
    assert on_hand(world) == {"candle": 5, "wax": 500}
    world.do(UndoMovement(3, "u1", "test"))
    assert on_hand(world) == {"candle": 0, "wax": 1000}
    again = world.do(UndoMovement(2, "u2", "test")).outcome
    assert isinstance(again, Refused)
    assert again.refusal == "already_undone"
    replayed = world.do(UndoMovement(3, "u1", "test")).outcome
    assert isinstance(replayed, Replayed)


def test_what_has_no_bill_cannot_be_built() -> None:
    """The refusal names the item."""
    outcome = kitchen().do(BuildStock("wax", 5, "b1", "test")).outcome
    assert isinstance(outcome, Refused)
    assert "wax" in outcome.message


def test_a_count_adjusts_to_what_was_counted_and_notes_agreement_too() -> None:
    """Counting what is there is a movement of 0: it was counted."""
    world = kitchen()
    world.do(CountStock("wax", 940, "c1", "test"))
    world.do(CountStock("wax", 940, "c2", "test"))
    assert on_hand(world)["wax"] == 940
    counts = [row for row in world.rows.movements.values() if row.kind is MovementKind.COUNT]
    assert [row.quantity for row in counts] == [-60, 0]


def test_a_command_of_several_lines_is_all_or_nothing() -> None:
    """One unknown item refuses the other line too."""
    world = kitchen()
    moves = (
        StockMove("wax", 5, MovementKind.RECEIPT),
        StockMove("nope", 5, MovementKind.RECEIPT),
    )
    outcome = world.do(MoveStock(moves, "k", "test")).outcome
    assert isinstance(outcome, Refused)
    assert on_hand(world)["wax"] == 1000


def test_stock_may_turn_negative_but_not_past_the_largest_quantity() -> None:
    """Makers ship before they log the run; nobody has 10^15 candles."""
    world = kitchen()
    assert isinstance(world.moves("candle", -3, MovementKind.SALE).outcome, Accepted)
    assert on_hand(world)["candle"] == -3
    outcome = world.moves("wax", QUANTITY_MAX, MovementKind.RECEIPT, key="k2").outcome
    assert isinstance(outcome, Refused)
    world.moves("wax", -QUANTITY_MAX, MovementKind.ADJUSTMENT, key="k3")
    # The balance would be within bounds, the one movement that makes it so is not.
    outcome = world.do(CountStock("wax", QUANTITY_MAX, "k4", "test")).outcome
    assert isinstance(outcome, Refused)
    assert outcome.refusal == "out_of_bounds"


def test_only_the_stock_verbs_are_undone() -> None:
    """An order's movement is the channel's to change."""
    from tests.reservation.world import line

    world = kitchen().list("shopify", "a", "candle", shows=0)
    world.polls("shopify", world.order("shopify", "1", line("a", 1, shipped=1)))
    outcome = world.do(UndoMovement(2, "u1", "test")).outcome
    assert isinstance(outcome, Refused)
    assert outcome.refusal == "not_undoable"


def test_an_undo_is_not_undone_but_repeated_by_hand() -> None:
    """Compensating a compensation hides what happened."""
    world = kitchen()
    world.moves("wax", 5, MovementKind.RECEIPT)
    world.do(UndoMovement(2, "u1", "test"))
    outcome = world.do(UndoMovement(3, "u2", "test")).outcome
    assert isinstance(outcome, Refused)


def test_a_bill_that_would_contain_itself_is_refused_in_the_transaction() -> None:
    """The cycle is printed and nothing is written."""
    world = kitchen()
    with pytest.raises(BillCycle, match=r"candle.*wax"):
        world.do(
            ImportCatalogue(
                (), (BillOfMaterials("wax", 1, (BillLine("candle", 1),)),), (), (), "k", "test"
            )
        )
    assert set(world.catalogue.bills.by_item) == {"candle"}


def test_a_variant_follows_the_bill_of_its_transaction() -> None:
    """A file that was read before its base changed is refused: it would bring the old bill back."""
    world = kitchen().stock(rose=0, oil=9)
    world.bill("candle", 5, wax=400)
    stale = BillOfMaterials(
        "rose",
        5,
        (BillLine("wax", 500), BillLine("oil", 1)),
        base="candle",
        overrides=(BillLine("oil", 1),),
    )
    outcome = world.do(ImportCatalogue((), (stale,), (), (), "k", "test")).outcome
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.facts) == ("bills_changed", {"bills": ["rose"]})
    assert set(world.catalogue.bills.by_item) == {"candle"}
    fresh = replace(stale, lines=(BillLine("wax", 400), BillLine("oil", 1)))
    assert isinstance(
        world.do(ImportCatalogue((), (fresh,), (), (), "k", "test")).outcome, Accepted
    )
    # And whoever changes the base must change what shares it in the same transaction.
    other = BillOfMaterials("candle", 5, (BillLine("wax", 300),))
    outcome = world.do(ImportCatalogue((), (other,), (), (), "k2", "test")).outcome
    assert isinstance(outcome, Refused)


def test_bills_that_are_based_on_one_another_are_refused_in_the_transaction() -> None:
    """The circle is printed and nothing is written."""
    world = kitchen()
    circle = (
        BillOfMaterials("candle", 5, (BillLine("wax", 1),), base="wax"),
        BillOfMaterials("wax", 5, (BillLine("wax", 1),), base="candle"),
    )
    with pytest.raises(BillCycle, match="candle -> wax -> candle"):
        world.do(ImportCatalogue((), circle, (), (), "k", "test"))


def test_a_new_promise_rule_changes_what_is_shown() -> None:
    """An import that changes nothing else marks the listings whose number it changes."""
    world = kitchen().list("shopify", "a", "candle", shows=10)
    assert (world.atp("candle"), world.dirty) == (10, set())
    candle = replace(world.catalogue.items["candle"], buildable_max=4)
    world.do(ImportCatalogue((candle,), (), (), (), "k", "test"))
    assert (world.atp("candle"), world.dirty) == (4, {"shopify/a"})
    candle = replace(candle, promise=Promise.FINISHED)
    world.do(ImportCatalogue((candle,), (), (), (), "k2", "test"))
    world.syncs()
    assert (world.atp("candle"), world.expected()) == (0, {"shopify/a": 0})


def test_a_second_import_opens_no_stock_that_has_moved() -> None:
    """What moved is corrected by a count, never by a file."""
    world = kitchen()
    world.do(
        ImportCatalogue((), (), (), (StockMove("wax", 7, MovementKind.OPENING),), "again", "test")
    )
    assert on_hand(world)["wax"] == 1000


def test_a_build_appears_in_what_shares_its_material_and_nowhere_else() -> None:
    """Building what could be built already changes no ATP: nothing is written."""
    world = kitchen().list("shopify", "a", "candle", shows=10)
    assert world.atp("candle") == 10
    world.do(BuildStock("candle", 5, "b1", "test"))
    assert world.atp("candle") == 10
    assert world.dirty == set()
