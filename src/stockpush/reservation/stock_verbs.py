"""The stock verbs: receive, build, count, adjust, scrap, take back, sell, transfer, and undo.

Every one takes an idempotency key: the same key with the same content is `Replayed`, with other
content `Refused`. Nothing is ever changed or deleted; undo writes what compensates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from stockpush.messages import (
    Accepted,
    BuildStock,
    CommandDone,
    CountStock,
    Decision,
    LotTerms,
    MoveStock,
    Refused,
    StockMove,
    TransferStock,
    UndoMovement,
)
from stockpush.model import (
    MAIN,
    QUANTITY_MAX,
    BillOfMaterials,
    Item,
    MovementKind,
    Owed,
    Shelf,
    StockMovement,
    shelf_key,
    sku_of,
)
from stockpush.reservation import backflush, keyed, substitutes
from stockpush.reservation.draft import Draft
from stockpush.reservation.ledger import build_moves, undo_moves, withheld
from stockpush.reservation.lot_verbs import (
    in_another_pool,
    lot_to_be,
    place_of,
    pool_of_line,
    put,
    transfer_moves,
    unknown_pool,
)
from stockpush.reservation.production import as_it_went
from stockpush.reservation.view import View
from stockpush.units import format_quantity
from stockpush.values import replace


def move(view: View, command: MoveStock, at: datetime) -> Decision:
    """Move stock by hand: all of it or none."""
    pool = command.pool or MAIN
    sold_at = ("at", command.place) if command.place else ()
    content = keyed.digest("move", *map(_stated, command.moves), *_pool(pool), *sold_at)
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=before)
    if (refused := unknown_pool(view, pool)) is not None:
        return Decision(outcome=refused)
    for line in command.moves:
        if (
            refused := in_another_pool(Draft(view, at), line.sku, line.lot, command.pool)
        ) is not None:
            return Decision(outcome=refused)
    return _carry_out(view, command, command.moves, content, at, pool=pool)


def build(view: View, command: BuildStock, at: datetime) -> Decision:
    """Build from the item's bill: finished in, components out, as it really went."""
    at_place = _place(command.location, command.lot, command.terms)
    content = keyed.digest("build", (command.sku, command.quantity), *_told_of(command), *at_place)
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=before)
    bill = view.catalogue.bills.by_item.get(command.sku)
    if bill is None:
        return Decision(
            outcome=Refused(
                "no_bill", f"{command.sku} has no bill of materials, so it cannot be built"
            )
        )
    if command.bill is not None:
        found = backflush.bill_of(Draft(view, at), command.sku, command.bill)
        if found is None or found.version != command.bill:
            return Decision(outcome=_no_such_bill(view, bill, command.bill))
        bill = found
    pool = MAIN if command.location is None else view.catalogue.pool_at(command.location)
    rests = backflush.rests_of(Draft(view, at), bill, pool)
    planned = build_moves(bill, command.quantity, rests)
    if isinstance(planned, Refused):
        return Decision(outcome=_with_batch(planned, bill, view.catalogue.items))
    went = as_it_went(
        planned,
        components=[line.component for line in bill.lines],
        used=command.used,
        scrapped=command.scrapped,
        items=view.catalogue.items,
        substitutes=view.catalogue.bills.substitutes,
    )
    if isinstance(went, Refused):
        return Decision(outcome=went)
    lot = command.lot or lot_to_be(Draft(view, at), command.sku)
    placed = (
        replace(move, location=command.location, lot=lot, terms=command.terms)
        if move.sku == command.sku
        else move
        for move in went.moves
    )
    if (refused := _not_a_substitute(view, bill, command)) is not None:
        return Decision(outcome=refused)
    plan = backflush.Plan(bill, planned, stated=went.stated, first=command.take, pool=pool)
    decision = _carry_out(view, command, placed, content, at, builds=plan, pool=pool)
    if isinstance(decision.outcome, Accepted):
        return replace(decision, outcome=Accepted(facts={"used": went.used}))
    return decision


def _told_of(command: BuildStock) -> tuple[object, ...]:
    """Return what identifies how a build went, nothing for one that went as planned."""
    told: tuple[object, ...] = ()
    if command.used or command.scrapped:
        told = (command.used, command.scrapped)
    if command.bill is not None:
        told = (*told, ("bill", command.bill))
    return (*told, ("take", command.take)) if command.take else told


def _with_batch(refused: Refused, bill: BillOfMaterials, items: Mapping[str, Item]) -> Refused:
    """Return a refusal of a build with how much one batch is, where it is made in batches."""
    item = items.get(bill.item)
    if refused.refusal != "whole_batches_only" or item is None:
        return refused
    batch = f"{format_quantity(bill.yield_quantity, item.scale)} {item.unit}"
    return replace(refused, message=f"{refused.message}, of {batch} each")


def _no_such_bill(view: View, bill: BillOfMaterials, version: int) -> Refused:
    bills = view.catalogue.bills
    known = [*(bills.made[name].version for name in bills.older.get(bill.item, ())), bill.version]
    return Refused(
        "no_such_bill",
        f"{bill.item} has no bill of materials {version} that anything open or still to be built "
        f"goes by; the present one is {bill.version}",
        {"sku": bill.item, "expected": known},
    )


def _not_a_substitute(view: View, bill: BillOfMaterials, command: BuildStock) -> Refused | None:
    """Return the refusal of what is to be taken and is no substitute for anything on the bill."""
    named = view.catalogue.bills.substitutes
    members = {sku for line in bill.lines for sku in named.get(line.component, ())}
    wrong = next((sku for sku in command.take if sku not in members), None)
    if wrong is None:
        return None
    listed = f"; there are {', '.join(sorted(members))}" if members else ""
    return Refused(
        "not_a_substitute",
        f"{wrong} is no substitute for anything that {bill.item} is made from{listed}",
        {"sku": wrong, "expected": sorted(members)},
    )


def count(view: View, command: CountStock, at: datetime) -> Decision:
    """Make a balance what was counted, by one movement (of 0 where they agree).

    Where units are missing of an item with lots, they are missing in those that go out first.
    """
    place, pool = _place(command.location, command.lot, None), command.pool or MAIN
    content = keyed.digest("count", (command.sku, command.counted), *place, *_pool(pool))
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=before)
    draft = Draft(view, at)
    if (refused := unknown_pool(view, pool)) is not None:
        return Decision(outcome=refused)
    if (refused := in_another_pool(draft, command.sku, command.lot, command.pool)) is not None:
        return Decision(outcome=refused)
    found = _known_balance(draft, command, pool)
    if isinstance(found, Refused):
        return Decision(outcome=found)
    move = StockMove(
        command.sku,
        command.counted - found,
        MovementKind.COUNT,
        location=command.location,
        lot=command.lot,
    )
    return _carry_out(view, command, (move,), content, at, pool=pool)


def _known_balance(draft: Draft, command: CountStock, pool: str) -> int | Refused:
    """Return what the ledger says of what was counted, the clock taken account of."""
    sku = command.sku
    if sku not in draft.view.catalogue.items:
        return Refused("not_found", f"there is no item {sku!r}")
    draft.turn_lots(sku)
    if command.lot is not None:
        row = place_of(draft, sku, command.lot, command.location)
        return row if isinstance(row, Refused) else row.on_hand
    if command.location is None:
        return draft.shelf(shelf_key(sku, pool)).on_hand
    there = [lot for lot in draft.lots_of(sku) if lot.key.location == command.location]
    named = [lot.key.lot for lot in there if lot.on_hand and lot.key.lot]
    if named:
        return Refused(
            "lots_there",
            f"at {command.location} lie the lots {', '.join(named)} of {sku}: each is counted",
            {"sku": sku, "expected": named},
        )
    if command.location == MAIN:
        return draft.unlotted(sku)
    return sum(lot.on_hand for lot in there)


def transfer(view: View, command: TransferStock, at: datetime) -> Decision:
    """Move stock between two locations; each lot stays what it is."""
    content = keyed.digest(
        "transfer",
        *(command.sku, command.quantity, command.origin, command.destination, command.lot),
    )
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=before)
    if (refused := substitutes.refused(view.catalogue.bills, command.sku)) is not None:
        return Decision(outcome=refused)
    moves = transfer_moves(Draft(view, at), command)
    if isinstance(moves, Refused):
        return Decision(outcome=moves)
    return _carry_out(view, command, moves, content, at, exactly=True)


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
    name, first = f"mv-{command.movement_id}", min(written, key=lambda row: row.id or 0)
    if done:
        told = _of_first(view, first, 1)
        return Decision(outcome=Refused("already_undone", f"{name} has been undone before", told))
    if named.undoes is not None:
        text = f"{name} is itself the undo of mv-{named.undoes}, and an undo is not undone"
        return Decision(outcome=Refused("is_an_undo", text, _of_first(view, first, -1)))
    if not named.cause.startswith("cmd "):
        text = f"{name} was written by {named.cause!r}, and only the stock verbs can be undone"
        return Decision(outcome=Refused("not_undoable", text, {"sku": named.sku}))
    if all(row.is_note for row in written):
        text = f"{name} moved nothing, it only says what is owed: {named.reason}"
        return Decision(outcome=Refused("nothing_to_undo", text, {"sku": named.sku}))
    moves = undo_moves(written)
    return _carry_out(view, command, moves, content, at, undoes=written, exactly=True)


def _of_first(view: View, first: StockMovement, sign: int) -> dict[str, str]:
    """Return what the first movement of a command did, or of what it undoes, to do it again."""
    item, quantity = view.catalogue.items[first.sku], sign * first.quantity
    return {
        "kind": first.kind.value,
        "sku": item.sku,
        "unit": item.unit,
        "quantity": format_quantity(quantity, item.scale),
        "location": first.location,
        "pool": view.catalogue.pool_at(first.location),
        "lot": first.lot or "",
    }


def _carry_out(
    view: View,
    command: MoveStock | BuildStock | CountStock | TransferStock | UndoMovement,
    moves: Iterable[StockMove],
    digest: str,
    at: datetime,
    *,
    undoes: tuple[StockMovement, ...] = (),
    exactly: bool = False,
    builds: backflush.Plan | None = None,
    pool: str = MAIN,
) -> Decision:
    """Write the moves of one command under its idempotency key.

    `exactly`: each goes to the very place that it names, and none is picked or refused. `builds` is
    the plan of a build, whose moves these are. `pool` is that of moves that name no place.
    """
    if (before := keyed.answered(view, command.key, digest)) is not None:
        return Decision(outcome=before)
    draft = Draft(view, at)
    written: list[backflush.Taken] = []
    named: list[StockMovement] = []
    lines = tuple(moves)
    undone = [row.id for row in undoes] if undoes else [None] * len(lines)
    back = _given_back(view, undoes)
    built_from: Shelf | None = None
    for number, (line, undone_id) in enumerate(zip(lines, undone, strict=True)):
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
        told = replace(movement, reason="; ".join(filter(None, (command.reason, line.reason))))
        if (refused := substitutes.refused(view.catalogue.bills, line.sku)) is not None:
            if builds is None:
                return Decision(outcome=refused)
            named.append(told)
            continue
        if exactly:
            placed = replace(told, location=line.location or MAIN, lot=line.lot)
            draft.move(placed, back=back.get(number, ()))
            continue
        where = pool_of_line(draft, line, pool)
        draft.turn_lots(line.sku)
        there = draft.shelf(shelf_key(line.sku, where))
        bill = builds.bill.version if builds and builds.bill.item == line.sku else None
        if line.kind is MovementKind.BUILD_IN:
            built_from = there
        # What was lost of a run never was: it owes nothing, and serves nothing that is owed.
        since = built_from if bill is not None else None
        refused = put(draft, line, told, pool=where, bill=bill, since=since)
        if refused is not None:
            return Decision(outcome=refused)
        left = draft.shelf(shelf_key(line.sku, where)).on_hand
        written.append(backflush.Taken(movement, there.on_hand - left, where))
        if builds is None:
            backflush.make_up(draft, written[-1])
    if builds is not None:
        backflush.finish(draft, builds, written, named)
    backflush.take_back_rests(draft, undoes)
    for sku, quantity in _balances(draft):
        if abs(quantity) > QUANTITY_MAX:
            item = view.catalogue.items[sku]
            most = f"{format_quantity(QUANTITY_MAX, item.scale)} {item.unit}"
            text = f"{sku} would pass the largest quantity, {most}"
            return Decision(outcome=Refused("out_of_bounds", text, {"sku": sku}))
    return replace(
        draft.decision(),
        outcome=Accepted(),
        commands=(CommandDone(key=command.key, digest=digest, at=at),),
    )


def _given_back(view: View, undone: Iterable[StockMovement]) -> dict[int, list[Owed]]:
    """Return what undone movements had changed of what is owed, with the last one of each shelf:
    only then there is missing what was before.
    """
    last, owed = dict[str, int](), defaultdict[str, list[Owed]](list)
    for number, row in enumerate(undone):
        pool = view.catalogue.pool_at(row.location)
        key = shelf_key(row.sku, pool)
        last[key] = number
        if row.quantity:
            owed[key] += (each for each in row.owed if each.pool == pool)
    return {last[key]: each for key, each in owed.items() if each}


def _balances(draft: Draft) -> Iterator[tuple[str, int]]:
    """Yield each item that a command moved with what it moved, what there is of it now, and what
    there would be on a shelf once all of its lots there could be sold: the clock refuses nothing.
    """
    shelves, lots = draft.shelves.values(), draft.lots.values()
    yield from ((shelf.sku, shelf.on_hand) for shelf in shelves)
    yield from ((lot.key.sku, lot.on_hand) for lot in lots)
    yield from ((row.sku, row.quantity) for row in draft.movements)
    moved = {shelf.sku for shelf in shelves} | {lot.key.sku for lot in lots}
    apart = (lot for sku in moved for lot in draft.lots_of(sku) if lot.on_hand > 0)
    pools = {name: place.pool for name, place in draft.view.catalogue.locations.items()}
    for key, units in withheld(apart, pools).items():
        yield sku_of(key), draft.shelf(key).on_hand + units


def _stated(move: StockMove) -> tuple[object, ...]:
    """Return what identifies one line of a command."""
    return (move.sku, move.quantity, move.kind, *_place(move.location, move.lot, move.terms))


def _pool(pool: str) -> tuple[object, ...]:
    """Return what identifies the pool of a command, nothing for the one that most are of."""
    return () if pool == MAIN else ("in", pool)


def _place(location: str | None, lot: str | None, terms: LotTerms | None) -> tuple[object, ...]:
    """Return what identifies a place that was named, nothing where none was."""
    return () if (location, lot, terms) == (None, None, None) else (location, lot, terms)
