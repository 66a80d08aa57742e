"""Builds: what is made goes onto the shelf, what it takes off it, also for what left unfinished.

Theory of operation. Makers ship before they log the run, so on hand may be negative; netting then
counts the missing units as still to be built, and every ATP is right. A kit is never logged: it is
put together when it is sent. So where a bill says `backflush` whatever leaves below what is
finished is built in the same transaction, in whole batches where it must be, and so are its
components of which that takes more than there is finished. Either way no ATP changes by what was
promised and covered; netting and builds share the roundings (`atp.use`).

Each build writes its build-in, then its build-outs, then the builds of its components: so an undo
knows which build took what (`ledger.builds_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stockpush.messages import Refused, StockMove
from stockpush.model import BillOfMaterials, MovementKind, StockMovement
from stockpush.reservation.draft import Draft
from stockpush.reservation.ledger import build_moves, builds_of, rests_after
from stockpush.values import replace

LEAVING = frozenset({MovementKind.SALE, MovementKind.SCRAP})
"""Kinds of movement that take finished units away, where they take."""


def write(draft: Draft, movement: StockMovement) -> None:
    """Write a movement; what leaves below what is finished is built where the bill says so."""
    draft.move(movement)
    if movement.kind in LEAVING and movement.quantity < 0:
        _make_up(draft, movement)


def build(
    draft: Draft, bill: BillOfMaterials, quantity: int, like: StockMovement
) -> Refused | None:
    """Write a build of `quantity` smallest units by movements `like` that one, or refuse it."""
    moves = build_moves(bill, quantity, draft.shelf(bill.item).rests)
    if isinstance(moves, Refused):
        return moves
    written = [_line(move, like) for move in moves]
    for movement in written:
        draft.move(movement)
    _keep_rests(draft, bill, quantity, {row.sku: -row.quantity for row in written[1:]})
    for movement in written[1:]:
        _make_up(draft, movement)
    return None


def take_back_rests(draft: Draft, undone: Iterable[StockMovement]) -> None:
    """Take back what the builds among undone movements had left of roundings."""
    for sku, quantity, taken in builds_of(sorted(undone, key=lambda row: row.id or 0)):
        bill = draft.view.catalogue.bills.by_item.get(sku)
        if bill is not None:
            _keep_rests(draft, bill, -quantity, {part: -units for part, units in taken.items()})


def _make_up(draft: Draft, taken: StockMovement) -> None:
    """Build what a movement has taken below zero, if the item's bill says so."""
    bill = draft.view.catalogue.bills.by_item.get(taken.sku)
    if bill is None or not bill.backflush:
        return
    missing = min(-taken.quantity, -draft.shelf(taken.sku).on_hand)
    if missing > 0:
        batch = bill.yield_quantity if bill.batch_only else 1
        # A sale is never refused: what no shelf could hold the parts of stays below zero.
        build(draft, bill, -(-missing // batch) * batch, taken)


def _line(move: StockMove, like: StockMovement) -> StockMovement:
    """Return the movement of one line of a build."""
    return replace(like, sku=move.sku, quantity=move.quantity, kind=move.kind)


def _keep_rests(
    draft: Draft, bill: BillOfMaterials, quantity: int, taken: Mapping[str, int]
) -> None:
    """Keep what a build has left of roundings with the shelf of its item."""
    shelf = draft.shelf(bill.item)
    rests = rests_after(bill, shelf.rests, quantity, taken)
    if rests != shelf.rests:
        draft.shelves[bill.item] = replace(shelf, rests=rests)
