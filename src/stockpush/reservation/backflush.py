"""Builds: what is made goes onto the shelf, what it takes off it, also for what left unfinished.

Theory of operation. Makers ship before they log the run, so on hand may be negative; netting then
counts the missing units as still to be built, by the bill that they were ordered by, and every ATP
is right. A kit is never logged: it is
put together when it is sent. So where a bill says `backflush` whatever leaves below what is
finished is built in the same transaction, in whole batches where it must be, and so are its
components of which that takes more than there is finished. Either way no ATP changes by what was
promised and covered; netting and builds share the roundings (`atp.use`).

Each build writes its build-in, then its build-outs, then the builds of its components: so an undo
knows which build took what (`ledger.builds_of`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from stockpush.messages import Refused, StockMove
from stockpush.model import (
    MAIN,
    BillOfMaterials,
    MovementKind,
    Rest,
    StockMovement,
    shelf_key,
)
from stockpush.reservation import older
from stockpush.reservation.draft import Draft
from stockpush.reservation.ledger import Built, build_moves, builds_of, rests_after, strays
from stockpush.reservation.substitutes import choose
from stockpush.values import replace

LEAVING = frozenset({MovementKind.SALE, MovementKind.SCRAP})
"""Kinds of movement that take finished units away, where they take."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A movement, at no place yet, and by how much it has lowered what can be sold of its item in
    a pool.
    """

    movement: StockMovement
    units: int
    pool: str = MAIN


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build in a pool takes by its bill: `moves` are those of `ledger.build_moves`.

    Of the components in `stated` something else was taken, or was said to be, which leaves nothing
    of roundings. `first` are the substitutes that are taken, where somebody says so.
    """

    bill: BillOfMaterials
    moves: tuple[StockMove, ...]
    stated: frozenset[str] = frozenset()
    first: tuple[str, ...] = ()
    pool: str = MAIN


def write(
    draft: Draft, movement: StockMovement, *, pool: str = MAIN, version: int | None = None
) -> None:
    """Write a movement in a pool; what leaves below what is finished is built where the bill says
    so.

    `version` is that of the item's bill by which it was ordered, None for the present one. What
    goes out is picked among the item's lots; what comes in belongs to none.
    """
    if movement.quantity < 0:
        make_up(draft, _take(draft, movement, pool, version), version=version)
    else:
        draft.come(movement, pool=pool, bill=version)


def make_up(draft: Draft, taken: Taken, *, version: int | None = None) -> None:
    """Build what has left below what is finished, if the item's bill says so."""
    if taken.movement.kind in LEAVING and taken.movement.quantity < 0:
        _make_up(draft, taken, version=version)


def finish(
    draft: Draft, plan: Plan, written: Iterable[Taken], named: Iterable[StockMovement]
) -> None:
    """Keep what a build has left of roundings, and build what it took of its components.

    `named` are its movements of what substitutes share: they are written here, of those.
    """
    made, *parts = plan.moves
    used = {move.sku: -move.quantity for move in parts}
    _keep_rests(draft, plan.bill, made.quantity, used, stated=plan.stated, pool=plan.pool)
    for movement in named:
        for sku in draft.view.catalogue.bills.substitutes[movement.sku]:
            draft.turn_lots(sku)  # of what expired none is taken
        view = draft.view.after(draft.decision())
        name = shelf_key(movement.sku, plan.pool)
        chosen = choose(view, name, -movement.quantity, plan.first)
        for sku, units in chosen.items():
            _take(draft, replace(movement, sku=sku, quantity=-units), plan.pool)
    for taken in written:
        if taken.movement.kind is MovementKind.BUILD_OUT:
            _make_up(draft, taken)


def sellable(draft: Draft, sku: str, *, pool: str = MAIN) -> int:
    """Return what can be sold of an item in a pool, the clock taken account of (signed)."""
    draft.turn_lots(sku)
    return draft.shelf(shelf_key(sku, pool)).on_hand


def take_back_rests(draft: Draft, undone: Iterable[StockMovement]) -> None:
    """Take back what the builds among undone movements had left of roundings.

    The ledger does not say by which bill they were made: of those that are kept, by the one that
    says most nearly what they took.
    """
    catalogue = draft.view.catalogue
    bills = catalogue.bills
    for build in builds_of(sorted(undone, key=lambda row: row.id or 0)):
        made = (build.sku, *bills.older.get(build.sku, ()))
        known = [bills.made[name] for name in made if name in bills.made]
        if known:
            each = [(bill, *_as_named(bill, build, bills.name_of)) for bill in known]
            bill, used, stated = min(
                each, key=lambda one: strays(one[0], -build.quantity, one[1], stated=one[2])
            )
            pool = catalogue.pool_at(build.location)
            _keep_rests(draft, bill, -build.quantity, used, stated=stated, pool=pool)


def _as_named(
    bill: BillOfMaterials, build: Built, name_of: Mapping[str, str]
) -> tuple[Mapping[str, int], frozenset[str]]:
    """Return what an undone build gives back (<= 0) of each component as a bill names it, and the
    components of which it was stated.
    """
    on_bill = {line.component for line in bill.lines}
    called = {part: part if part in on_bill else name_of.get(part, part) for part in build.taken}
    used: Counter[str] = Counter()
    for part, units in build.taken.items():
        used[called[part]] -= units
    return used, frozenset(called[part] for part in build.stated)


def _take(draft: Draft, movement: StockMovement, pool: str, version: int | None = None) -> Taken:
    """Take what goes out where it is picked."""
    there = sellable(draft, movement.sku, pool=pool)
    draft.take(movement, pool=pool, bill=version)
    left = draft.shelf(shelf_key(movement.sku, pool)).on_hand
    return Taken(movement, there - left, pool)


def bill_of(draft: Draft, sku: str, version: int | None) -> BillOfMaterials | None:
    """Return a version of the item's bill, the present one where that is not kept."""
    bills = draft.view.catalogue.bills
    known = (bills.made[name] for name in bills.older.get(sku, ()))
    return next((bill for bill in known if bill.version == version), bills.by_item.get(sku))


def rests_of(draft: Draft, bill: BillOfMaterials, pool: str) -> tuple[Rest, ...]:
    """Return what builds in a pool by a version of an item's bill have left of roundings."""
    shelf = draft.shelf(shelf_key(bill.item, pool))
    if bill.version == draft.present_bill(bill.item):
        return shelf.rests
    return draft.rests_by(shelf, bill.version)


def _make_up(draft: Draft, taken: Taken, *, version: int | None = None) -> None:
    """Build what a movement has taken below zero, if the item's bill says so."""
    sku = taken.movement.sku
    bill = bill_of(draft, sku, version)
    if bill is None or not bill.backflush:
        return
    shelf = draft.shelf(shelf_key(sku, taken.pool))
    missing = min(taken.units, -shelf.on_hand)
    if missing <= 0:
        return
    batch = bill.yield_quantity if bill.batch_only else 1
    moves = build_moves(bill, -(-missing // batch) * batch, rests_of(draft, bill, taken.pool))
    if isinstance(moves, Refused):
        return  # A sale is never refused: what no shelf could hold the parts of stays below zero.
    made, *parts = (_line(move, taken.movement) for move in moves)
    draft.come(made, pool=taken.pool, bill=bill.version)
    named = draft.view.catalogue.bills.substitutes
    written = [_take(draft, part, taken.pool) for part in parts if part.sku not in named]
    plan = Plan(bill, moves, pool=taken.pool)
    finish(draft, plan, written, [part for part in parts if part.sku in named])


def _line(move: StockMove, like: StockMovement) -> StockMovement:
    """Return the movement of one line of a build."""
    return replace(like, sku=move.sku, quantity=move.quantity, kind=move.kind)


def _keep_rests(
    draft: Draft,
    bill: BillOfMaterials,
    quantity: int,
    taken: Mapping[str, int],
    *,
    stated: Collection[str],
    pool: str,
) -> None:
    """Keep what a build has left of roundings with the shelf of its item."""
    shelf, before = draft.shelf(shelf_key(bill.item, pool)), rests_of(draft, bill, pool)
    rests = rests_after(bill, before, quantity, taken, stated=stated)
    if rests == before:
        return
    if bill.version == draft.present_bill(bill.item):
        draft.shelves[shelf.key] = replace(shelf, rests=rests)
    else:
        draft.shelves[shelf.key] = older.with_rests(shelf, bill.version, rests)
