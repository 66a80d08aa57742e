"""The stock verbs: receive, build, count, adjust, sell elsewhere, and undo.

Every one takes an idempotency key: the same key with the same content is `Replayed`, with other
content `Refused`. Nothing is ever changed or deleted; undo writes what compensates.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from stockpush.messages import (
    Accepted,
    BuildStock,
    CommandDone,
    CountStock,
    Decision,
    MoveStock,
    Refused,
    StockMove,
    UndoMovement,
)
from stockpush.model import QUANTITY_MAX, BillOfMaterials, MovementKind, StockMovement
from stockpush.reservation import backflush, keyed
from stockpush.reservation.draft import Draft
from stockpush.reservation.ledger import undo_moves
from stockpush.reservation.view import View
from stockpush.values import replace


def move(view: View, command: MoveStock, at: datetime) -> Decision:
    """Move stock by hand: all of it or none."""
    content = keyed.digest("move", *((m.sku, m.quantity, m.kind) for m in command.moves))
    return _carry_out(view, command, command.moves, content, at)


def build(view: View, command: BuildStock, at: datetime) -> Decision:
    """Build from the item's bill: finished in, components out."""
    bill = view.catalogue.bills.by_item.get(command.sku)
    if bill is None:
        return Decision(
            outcome=Refused(
                "no_bill", f"{command.sku} has no bill of materials, so it cannot be built"
            )
        )
    content = keyed.digest("build", (command.sku, command.quantity))
    moves = (StockMove(command.sku, command.quantity, MovementKind.BUILD_IN),)
    return _carry_out(view, command, moves, content, at, builds=bill)


def count(view: View, command: CountStock, at: datetime) -> Decision:
    """Make the shelf's balance what was counted, by one movement (of 0 where they agree)."""
    content = keyed.digest("count", (command.sku, command.counted))
    difference = command.counted - view.shelf(command.sku).on_hand
    moves = (StockMove(command.sku, difference, MovementKind.COUNT),)
    return _carry_out(view, command, moves, content, at)


def undo(view: View, command: UndoMovement, at: datetime) -> Decision:
    """Compensate the whole command that wrote a movement."""
    content = keyed.digest("undo", (command.movement_id,))
    if command.key in view.rows.commands:
        return _carry_out(view, command, (), content, at)
    named = view.rows.movements.get(command.movement_id)
    if named is None:
        return Decision(
            outcome=Refused("not_found", f"there is no movement mv-{command.movement_id}")
        )
    written = tuple(row for row in view.rows.movements.values() if row.cause == named.cause)
    done = {row.id for row in written} & view.rows.undone
    if done:
        return Decision(
            outcome=Refused("already_undone", f"mv-{command.movement_id} has been undone before")
        )
    if named.undoes is not None or not named.cause.startswith("cmd "):
        return Decision(
            outcome=Refused(
                "not_undoable",
                f"mv-{command.movement_id} was written by {named.cause!r}; only the stock verbs "
                "can be undone. Use `stockpush adjust` to correct the balance",
            )
        )
    return _carry_out(view, command, undo_moves(written), content, at, undoes=written)


def _carry_out(
    view: View,
    command: MoveStock | BuildStock | CountStock | UndoMovement,
    moves: Iterable[StockMove],
    digest: str,
    at: datetime,
    *,
    undoes: tuple[StockMovement, ...] = (),
    builds: BillOfMaterials | None = None,
) -> Decision:
    """Write the moves of one command under its idempotency key.

    `builds`: its move is the build-in of a build by that bill.
    """
    if (before := keyed.answered(view, command.key, digest)) is not None:
        return Decision(outcome=before)
    draft = Draft(view, at)
    lines = tuple(moves)
    undone = [row.id for row in undoes] if undoes else [None] * len(lines)
    for line, undone_id in zip(lines, undone, strict=True):
        if line.sku not in view.catalogue.items:
            return Decision(outcome=Refused("not_found", f"there is no item {line.sku!r}"))
        movement = StockMovement(
            at=at,
            sku=line.sku,
            quantity=line.quantity,
            kind=line.kind,
            cause=f"cmd {command.key}",
            actor=command.actor,
            reason=command.reason,
            undoes=undone_id,
        )
        if undone_id is not None:
            draft.move(movement)
        elif builds is None:
            backflush.write(draft, movement)
        elif (refused := backflush.build(draft, builds, line.quantity, movement)) is not None:
            return Decision(outcome=refused)
    backflush.take_back_rests(draft, undoes)
    for shelf in draft.shelves.values():
        if abs(shelf.on_hand) > QUANTITY_MAX:
            return Decision(
                outcome=Refused("out_of_bounds", f"{shelf.sku} would pass the largest quantity")
            )
    return replace(
        draft.decision(),
        outcome=Accepted(),
        commands=(CommandDone(key=command.key, digest=digest, at=at),),
    )
