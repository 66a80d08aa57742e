"""The ledger: the fold, planned moves, and each invariant seen to fail."""

from __future__ import annotations

import doctest
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.messages import CommandDone, Refused, StockMove
from stockpush.model import (
    QUANTITY_MAX,
    BillLine,
    BillOfMaterials,
    Hold,
    HoldLine,
    HoldState,
    Lot,
    LotKey,
    MovementKind,
    OrderVersion,
    Owed,
    Pin,
    Reservation,
    ReservationKey,
    ReservationState,
    Shelf,
    StockMovement,
)
from stockpush.reservation import ledger
from stockpush.reservation.ledger import (
    INVARIANTS,
    Books,
    balances,
    build_moves,
    check,
    undo_moves,
)

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

moves = st.lists(
    st.builds(
        StockMove,
        sku=st.sampled_from("abc"),
        quantity=st.integers(-QUANTITY_MAX, QUANTITY_MAX),
        kind=st.sampled_from(MovementKind),
    ),
    max_size=8,
)


def movement(
    number: int,
    sku: str,
    quantity: int,
    *,
    cause: str = "cmd k1",
    undoes: int | None = None,
) -> StockMovement:
    """Return a written movement."""
    return StockMovement(
        at=AT,
        sku=sku,
        quantity=quantity,
        kind=MovementKind.RECEIPT,
        cause=cause,
        actor="maker",
        undoes=undoes,
        id=number,
    )


def written(planned: list[StockMove]) -> list[StockMovement]:
    """Return the movements that the store would write for planned moves."""
    return [
        replace(movement(at, move.sku, move.quantity), kind=move.kind)
        for at, move in enumerate(planned, start=1)
    ]


def line(line_id: str, sku: str | None, *, units: int, pack: int = 1) -> Reservation:
    """Return a committed order line with `units` open listing units."""
    return Reservation(
        key=ReservationKey("shop", "1001", line_id),
        version=OrderVersion(AT, 0),
        order_key="v1",
        placed_at=AT,
        ordered=units,
        open=units,
        shipped=0,
        written_off=0,
        deducted=units,
        state=ReservationState.COMMITTED,
        sku=sku,
        pack=pack,
    )


def done(key: str, *ids: int) -> CommandDone:
    """Return a command that was carried out."""
    return CommandDone(key=key, digest="d", at=AT, movement_ids=ids)


def hold(number: int, state: HoldState, **lines: int) -> Hold:
    """Return a hold of these units."""
    rows = tuple(HoldLine(sku, units) for sku, units in lines.items())
    ended_at = None if state is HoldState.HELD else AT
    return Hold(number, f"h{number}", rows, AT, AT, state, "maker", ended_at=ended_at)


SOUND = Books(
    movements=(
        movement(1, "wax", 500),
        movement(2, "wick", 9),
        movement(3, "wax", -20, cause="order shop/1001/1"),
        movement(4, "wick", 5, cause="cmd k2"),
        movement(5, "wick", -5, cause="cmd k3", undoes=4),
    ),
    shelves=(Shelf("wax", 480, 12, 50), Shelf("wick", 9, 1, 3), Shelf("tin", 0, 0)),
    reservations=(
        line("1", "wax", units=2, pack=6),
        line("2", "wick", units=1),
        line("3", None, units=4),
    ),
    commands=(done("k1", 1, 2), done("k2", 4), done("k3", 5), done("k0")),
    holds=(
        hold(1, HoldState.HELD, wax=20, wick=3),
        hold(2, HoldState.HELD, wax=30),
        hold(3, HoldState.RELEASED, wax=400),
        hold(4, HoldState.SOLD, wick=5),
        hold(5, HoldState.EXPIRED, tin=1),
    ),
)


def test_the_examples_in_the_docstrings_run() -> None:
    """Every doctest of the module passes."""
    result = doctest.testmod(ledger)
    assert result.attempted > 0
    assert result.failed == 0


# -- the fold ----------------------------------------------------------------------------------


def test_a_balance_is_the_sum_of_its_movements() -> None:
    """An item that never moved has none; one that moved back to nothing has 0."""
    assert balances([]) == {}
    assert balances(SOUND.movements) == {"wax": 480, "wick": 9}
    assert balances([movement(1, "wax", 5), movement(2, "wax", -5)]) == {"wax": 0}
    assert balances([movement(1, "wax", 5), movement(2, "wax", -8)]) == {"wax": -3}


@settings(max_examples=100, deadline=None)
@given(moves, st.data())
def test_the_order_of_movements_does_not_matter(
    planned: list[StockMove], data: st.DataObject
) -> None:
    """Any order folds to the same balances, at the largest quantities too."""
    rows = written(planned)
    assert balances(data.draw(st.permutations(rows))) == balances(rows)


# -- planning ----------------------------------------------------------------------------------

SOAP = BillOfMaterials("soap", 12, (BillLine("oil", 1000), BillLine("lye", 12)))


@pytest.mark.parametrize(
    ("quantity", "oil", "lye"), [(12, 1000, 12), (1, 84, 1), (5, 417, 5), (13, 1084, 13)]
)
def test_a_build_takes_each_component_rounded_up_once(quantity: int, oil: int, lye: int) -> None:
    """The item comes in first, then each bill line goes out."""
    assert build_moves(SOAP, quantity) == (
        StockMove("soap", quantity, MovementKind.BUILD_IN),
        StockMove("oil", -oil, MovementKind.BUILD_OUT),
        StockMove("lye", -lye, MovementKind.BUILD_OUT),
    )


def test_a_batch_is_built_whole_or_refused() -> None:
    """Where the bill says batch_only a part of a batch is refused with the size of the batch."""
    batches = replace(SOAP, batch_only=True)
    assert build_moves(batches, 24) == build_moves(SOAP, 24)
    refused = build_moves(batches, 7)
    assert isinstance(refused, Refused)
    assert refused.refusal == "whole_batches_only"
    assert refused.facts == {"sku": "soap", "quantity": 7, "batch": 12}


@pytest.mark.parametrize(
    ("bill", "quantity", "sku"),
    [
        (SOAP, 0, "soap"),
        (SOAP, -12, "soap"),
        (replace(SOAP, batch_only=True), -5, "soap"),
        (SOAP, QUANTITY_MAX + 1, "soap"),
        (SOAP, QUANTITY_MAX, "oil"),
    ],
)
def test_a_build_out_of_bounds_is_refused(bill: BillOfMaterials, quantity: int, sku: str) -> None:
    """Nothing, less than nothing, and more than a movement can hold, of item or component."""
    refused = build_moves(bill, quantity)
    assert isinstance(refused, Refused)
    assert refused.refusal == "out_of_bounds"
    assert refused.facts["sku"] == sku
    assert f"from 1 to {QUANTITY_MAX}" in refused.message


def test_the_largest_build_is_planned() -> None:
    """The bound itself is allowed."""
    one_to_one = BillOfMaterials("kit", 1, (BillLine("part", 1),))
    planned = build_moves(one_to_one, QUANTITY_MAX)
    assert isinstance(planned, tuple)
    assert planned[1].quantity == -QUANTITY_MAX


@settings(max_examples=100, deadline=None)
@given(moves)
def test_an_undo_leaves_every_balance_as_it_was(planned: list[StockMove]) -> None:
    """One compensation for each movement, in its order and of its kind, brings all back to 0."""
    rows = written(planned)
    undone = undo_moves(rows)
    assert [(move.sku, move.kind) for move in undone] == [(row.sku, row.kind) for row in rows]
    assert all(units == 0 for units in balances(rows + written(list(undone))).values())


# -- what must hold ----------------------------------------------------------------------------


def test_sound_books_violate_nothing() -> None:
    """Packs, unmapped lines, an undo, and an item that never moved are all in order."""
    assert check(SOUND) == []
    assert check(Books((), (), (), ())) == []


def _with(**changed: Any) -> Books:
    return replace(SOUND, **changed)


UNDO = SOUND.movements[4]


def in_lot(*, kept: int = 4, **state: Any) -> dict[str, Any]:
    """Four wicks more, in lot A, whose row is as stated."""
    return {
        "movements": (*SOUND.movements, replace(movement(6, "wick", 4, cause="cmd k4"), lot="A")),
        "shelves": (SOUND.shelves[0], Shelf("wick", 13, 1, 3), SOUND.shelves[2]),
        "lots": (Lot(LotKey("wick", "main", "A"), AT, kept, **state),),
    }


def wicks_come(*, on_hand: int) -> dict[str, Any]:
    """The shelf of wicks has four coming."""
    shelf = Shelf("wick", on_hand, 1, 3, coming=4)
    return {"shelves": (SOUND.shelves[0], shelf, SOUND.shelves[2])}


def test_a_lot_that_is_withheld_is_on_no_shelf() -> None:
    """The ledger's sum is what can be sold and what cannot."""
    assert check(_with(**in_lot())) == []
    apart = in_lot(counts=False, quarantined=True) | {"shelves": SOUND.shelves}
    assert check(_with(**apart)) == []


@pytest.mark.parametrize(
    ("books", "invariant", "subject", "expected", "found"),
    [
        (_with(**in_lot(kept=5)), "lot_is_fold", "wick A at main", "4", "5"),
        (_with(**in_lot(counts=False)), "balance_is_fold", "wick", "13", "17"),
        (
            _with(**in_lot(counts=False, comes=True) | {"shelves": SOUND.shelves}),
            "coming_is_of_lots",
            "wick",
            "4",
            "0",
        ),
        (
            _with(**in_lot(comes=True) | wicks_come(on_hand=13)),
            "coming_is_of_lots",
            "wick",
            "0",
            "4",
        ),
        (
            _with(**in_lot(counts=False, quarantined=True, comes=True) | wicks_come(on_hand=9)),
            "coming_is_of_lots",
            "wick",
            "0",
            "4",
        ),
        (
            _with(**in_lot(quarantined=True)),
            "quarantined_is_withheld",
            "wick A at main",
            "withheld",
            "counts",
        ),
        (
            _with(shelves=(Shelf("wax", 481, 12, 50), *SOUND.shelves[1:])),
            "balance_is_fold",
            "wax",
            "480",
            "481",
        ),
        (
            _with(shelves=(*SOUND.shelves[:2], Shelf("tin", 3, 0))),
            "balance_is_fold",
            "tin",
            "0",
            "3",
        ),
        (
            _with(shelves=(Shelf("wax", 480, 2, 50), *SOUND.shelves[1:])),
            "reserved_is_open_demand",
            "wax",
            "12",
            "2",
        ),
        (
            _with(shelves=(Shelf("wax", 480, 12, 49), *SOUND.shelves[1:])),
            "held_is_open_holds",
            "wax",
            "50",
            "49",
        ),
        (
            _with(
                shelves=(
                    Shelf("wax", 480, 12, 50, pins=(Pin(2, 3),)),
                    *SOUND.shelves[1:],
                )
            ),
            "pinned_is_open_demand",
            "wax by bill 2",
            "0",
            "3",
        ),
        (_with(holds=SOUND.holds[1:]), "held_is_open_holds", "wick", "0", "3"),
        (
            _with(
                movements=(
                    *SOUND.movements[:2],
                    replace(SOUND.movements[2], owed=(Owed(1, 4), Owed(2, 1, "fair"))),
                    *SOUND.movements[3:],
                ),
                shelves=(*SOUND.shelves, Shelf("wax", pool="fair", pins=(Pin(2, 0, (), 1),))),
            ),
            "owed_is_fold",
            "wax by bill 1",
            "4",
            "0",
        ),
        (
            _with(shelves=(*SOUND.shelves[:2], Shelf("tin", pins=(Pin(1, 0, (), 2),)))),
            "owed_is_fold",
            "tin by bill 1",
            "0",
            "2",
        ),
        (
            _with(holds=(*SOUND.holds, hold(6, HoldState.HELD, clip=2))),
            "held_is_open_holds",
            "clip",
            "2",
            "0",
        ),
        (
            _with(reservations=SOUND.reservations[:1]),
            "reserved_is_open_demand",
            "wick",
            "0",
            "1",
        ),
        (
            _with(
                shelves=(*SOUND.shelves[:2], Shelf("tin", 0, -1)),
                reservations=(*SOUND.reservations, line("4", "tin", units=-1)),
            ),
            "reserved_is_never_negative",
            "tin",
            ">= 0",
            "-1",
        ),
        (
            _with(
                reservations=(
                    *SOUND.reservations,
                    line("4", "tin", units=1),
                    line("5", "tin", units=-1),
                )
            ),
            "reserved_is_never_negative",
            "shop/1001/5",
            ">= 0",
            "-1",
        ),
        (
            _with(commands=(*SOUND.commands, done("k4", 99))),
            "commands_have_their_movements",
            "cmd k4",
            "mv-99",
            "missing",
        ),
        (
            _with(commands=(*SOUND.commands, done("k9", 4))),
            "commands_have_their_movements",
            "cmd k9",
            "mv-4",
            "claimed twice",
        ),
        (
            _with(
                movements=(*SOUND.movements[:4], replace(UNDO, quantity=-4)),
                shelves=(SOUND.shelves[0], Shelf("wick", 10, 1, 3)),
            ),
            "undo_compensates_exactly",
            "mv-4",
            "-5 wick at main",
            "-4 wick at main",
        ),
        (
            _with(
                movements=(*SOUND.movements[:4], replace(UNDO, location="attic")),
                lots=(Lot(LotKey("wick", "attic", ""), AT, -5),),
            ),
            "undo_compensates_exactly",
            "mv-4",
            "-5 wick at main",
            "-5 wick at attic",
        ),
        (
            _with(
                movements=(*SOUND.movements, replace(UNDO, id=6)),
                shelves=(SOUND.shelves[0], Shelf("wick", 4, 1, 3)),
            ),
            "undo_compensates_exactly",
            "mv-4",
            "-5 wick at main",
            "-5 wick at main, -5 wick at main",
        ),
        (
            _with(movements=(*SOUND.movements[:4], replace(UNDO, undoes=77))),
            "undo_compensates_exactly",
            "mv-77",
            "a movement",
            "-5 wick at main",
        ),
        (
            _with(
                movements=(*SOUND.movements, movement(6, "wick", -9, cause="cmd k4", undoes=2)),
                shelves=(SOUND.shelves[0], Shelf("wick", 0, 1, 3)),
            ),
            "undo_compensates_exactly",
            "cmd k1",
            "all of its movements undone, or none",
            "not undone: mv-1",
        ),
    ],
    ids=[
        "lot differs",
        "withheld lot still on the shelf",
        "what comes is not on the shelf",
        "what counts comes once more",
        "what is in quarantine comes",
        "quarantined lot still sold",
        "shelf differs",
        "shelf of an item that never moved",
        "packs not counted",
        "a held unit forgotten",
        "order of an older bill lost",
        "hold lost",
        "what is owed forgotten",
        "more owed than was sent",
        "hold of an item without a shelf",
        "order line lost",
        "negative reserved",
        "negative open",
        "movement lost",
        "movement claimed twice",
        "undo of another quantity",
        "undo at another location",
        "undone twice",
        "undo of nothing",
        "undone in part",
    ],
)
def test_each_way_to_be_unsound_is_named(
    books: Books, invariant: str, subject: str, expected: str, found: str
) -> None:
    """The violation says which invariant, of what, what should be and what is."""
    violation = ledger.Violation(invariant, subject, expected, found)
    violations = check(books)
    assert violation in violations
    assert {each.invariant for each in violations} <= {invariant}


def test_every_invariant_has_a_name_and_a_sentence() -> None:
    """`check` can print what it checked."""
    names = [invariant.__name__ for invariant in INVARIANTS]
    assert len(set(names)) == len(names) == 12
    assert all(invariant.__doc__ for invariant in INVARIANTS)
