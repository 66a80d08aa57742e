"""The ledger: balances as a fold of movements, what must hold of them, and planned movements.

Theory of operation. A stock movement is written once and never changed; on hand is the sum of an
item's movements, and the shelf row is only that sum kept at hand. A mistake is undone by movements
that compensate it one by one and name what they undo. What must hold between ledger, shelves,
reservations, holds and commands is written down as `INVARIANTS`: functions of one consistent
reading of the books, each answering with what it found wrong. `stockpush check` runs them all.

Planning functions turn a command into the moves that it makes; they write nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from stockpush.messages import CommandDone, Refused, StockMove
from stockpush.model import (
    MAIN,
    QUANTITY_MAX,
    UNLOTTED,
    BillOfMaterials,
    Coming,
    Hold,
    HoldState,
    Lot,
    LotKey,
    MovementKind,
    Reservation,
    Rest,
    Shelf,
    StockMovement,
    pool_of,
    shelf_key,
    sku_of,
)
from stockpush.reservation.atp import use
from stockpush.reservation.lots import added
from stockpush.reservation.lots import coming_by as lot_comes_by
from stockpush.reservation.per_order import PerOrder, claims

NO_POOLS: Mapping[str, str] = MappingProxyType({})
"""Of a shop where everything is in the pool MAIN."""


def balances(
    movements: Iterable[StockMovement], pools: Mapping[str, str] = NO_POOLS
) -> dict[str, int]:
    """Return on hand per shelf, signed, smallest units: the sum of the movements in its pool.

    `pools` has the locations that belong to another pool than MAIN. An item that never moved has no
    entry. The order of the movements does not matter.
    """
    on_hand: Counter[str] = Counter()
    for movement in movements:
        key = shelf_key(movement.sku, pools.get(movement.location, MAIN))
        on_hand[key] += movement.quantity
    return dict(on_hand)


def lot_balances(movements: Iterable[StockMovement]) -> dict[LotKey, int]:
    """Return on hand of each lot and location, signed; what lies at MAIN in no lot is in none."""
    on_hand: Counter[LotKey] = Counter()
    for movement in movements:
        if movement.lot is not None or movement.location != MAIN:
            key = LotKey(movement.sku, movement.location, movement.lot or UNLOTTED)
            on_hand[key] += movement.quantity
    return dict(on_hand)


def withheld(lots: Iterable[Lot], pools: Mapping[str, str] = NO_POOLS) -> dict[str, int]:
    """Return per shelf what lies in lots of its pool that do not count in its on hand."""
    apart: Counter[str] = Counter()
    for lot in lots:
        if not lot.counts:
            apart[shelf_key(lot.key.sku, pools.get(lot.key.location, MAIN))] += lot.on_hand
    return dict(apart)


def coming(lots: Iterable[Lot], pools: Mapping[str, str] = NO_POOLS) -> dict[str, int]:
    """Return per shelf what lies in lots of its pool that become available by the horizon.

    What counts already is not promised a second time, and what is in quarantine not at all.
    """
    comes: Counter[str] = Counter()
    for lot in lots:
        if lot.comes and not (lot.counts or lot.quarantined):
            comes[shelf_key(lot.key.sku, pools.get(lot.key.location, MAIN))] += lot.on_hand
    return dict(comes)


def coming_by(
    lots: Iterable[Lot],
    listed: Mapping[str, Collection[int]],
    pools: Mapping[str, str] = NO_POOLS,
) -> dict[str, tuple[Coming, ...]]:
    """Return per shelf what lies in lots of its pool that become available by the horizons
    (`listed`) that listings of its item say.
    """
    comes: dict[str, tuple[Coming, ...]] = {}
    for lot in lots:
        if lot.within_s is not None and not (lot.counts or lot.quarantined):
            key = shelf_key(lot.key.sku, pools.get(lot.key.location, MAIN))
            by = lot_comes_by(lot, listed.get(lot.key.sku, ()))
            comes[key] = added(comes.get(key, ()), by)
    return {key: by for key, by in comes.items() if by}


def shelf_name(key: str) -> str:
    """Return a shelf's key as people read it.

    >>> shelf_name("soap"), shelf_name(shelf_key("soap", "market"))
    ('soap', 'soap in market')
    """
    return key if pool_of(key) == MAIN else f"{sku_of(key)} in {pool_of(key)}"


def where(key: str) -> dict[str, str]:
    """Return what an event says of a shelf.

    >>> where("soap"), where(shelf_key("soap", "market"))
    ({'sku': 'soap'}, {'sku': 'soap', 'pool': 'market'})
    """
    pool = pool_of(key)
    return {"sku": sku_of(key)} | ({} if pool == MAIN else {"pool": pool})


def lot_name(key: LotKey) -> str:
    """Return a lot's key as people read it.

    >>> lot_name(LotKey("soap", "main", "A12")), lot_name(LotKey("soap", "fair", ""))
    ('soap A12 at main', 'soap at fair')
    """
    return " ".join(filter(None, (key.sku, key.lot, "at", key.location)))


# -- planning --------------------------------------------------------------------------------


def build_moves(
    bill: BillOfMaterials, quantity: int, rests: Iterable[Rest] = ()
) -> tuple[StockMove, ...] | Refused:
    """Return the moves of building `quantity` smallest units of the bill's item.

    First the build-in of the item, then one build-out per bill line, each component's use rounded
    up once, less what builds before have left of roundings (`rests`): a line that has left enough
    has no move. Refused as `out_of_bounds` unless `quantity` and every use are in 1..QUANTITY_MAX,
    and as `whole_batches_only` where the bill is batch_only and `quantity` no multiple of its
    yield.

    >>> from stockpush.model import BillLine
    >>> bill = BillOfMaterials("soap", 12, (BillLine("oil", 1000),))
    >>> [(move.sku, move.quantity) for move in build_moves(bill, 5)]
    [('soap', 5), ('oil', -417)]
    """
    ahead = dict(rests)
    moves = (
        StockMove(bill.item, quantity, MovementKind.BUILD_IN),
        *(
            StockMove(line.component, -used, MovementKind.BUILD_OUT)
            for line in bill.lines
            if (used := use(bill, line, quantity, ahead.get(line.component, 0)))
        ),
    )
    for move in moves:
        if quantity < 1 or abs(move.quantity) > QUANTITY_MAX:
            return Refused(
                "out_of_bounds",
                f"building {quantity} of {bill.item} would move {move.quantity} of {move.sku}; "
                f"expected quantities from 1 to {QUANTITY_MAX} in the smallest unit",
                {"sku": move.sku, "quantity": move.quantity},
            )
    if bill.batch_only and quantity % bill.yield_quantity:
        return Refused(
            "whole_batches_only",
            f"{bill.item} is made in whole batches only",
            {"sku": bill.item, "quantity": quantity, "batch": bill.yield_quantity},
        )
    return moves


def rests_after(
    bill: BillOfMaterials,
    rests: Iterable[Rest],
    quantity: int,
    taken: Mapping[str, int],
    *,
    stated: Collection[str] = (),
) -> tuple[Rest, ...]:
    """Return what is left of roundings once a build of `quantity` has taken so much of each part.

    Both are negative where a build is undone. One that was made by another bill changes nothing:
    what it took is further from what this bill says than two roundings can bring it. Nor does what
    was taken of a component of which that was `stated`: it was not rounded.

    >>> from stockpush.model import BillLine
    >>> bill = BillOfMaterials("soap", 12, (BillLine("oil", 1000),))
    >>> rests_after(bill, (), 5, {"oil": 417})
    (Rest(component='oil', ahead=4),)
    """
    ahead = dict(rests)
    for line in bill.lines:
        if line.component in stated:
            continue
        lost, of = line.scrap
        unit = bill.yield_quantity * of
        more = taken.get(line.component, 0) * unit - quantity * line.quantity * (of + lost)
        if abs(more) <= 2 * unit:
            ahead[line.component] = ahead.get(line.component, 0) + more
    kept = ((line.component, ahead.get(line.component, 0)) for line in bill.lines)
    return tuple(Rest(component, left) for component, left in kept if left)


def strays(
    bill: BillOfMaterials, quantity: int, taken: Mapping[str, int], *, stated: Collection[str] = ()
) -> Fraction:
    """Return how far (>= 0) what a build of `quantity` took is from what a bill says, in smallest
    units, added up over the components; both are negative where it is undone.

    Nothing is said by a component of which that was `stated`.

    >>> from stockpush.model import BillLine
    >>> bill = BillOfMaterials("soap", 12, (BillLine("oil", 1000),))
    >>> strays(bill, 5, {"oil": 417}), strays(bill, 5, {"tallow": 417})
    (Fraction(1, 3), Fraction(2501, 3))
    """
    planned = {
        line.component: Fraction(
            quantity * line.quantity * sum(line.scrap), bill.yield_quantity * line.scrap.of
        )
        for line in bill.lines
    }
    told = (planned.keys() | taken.keys()).difference(stated)
    nothing = Fraction(0)
    return sum((abs(planned.get(each, nothing) - taken.get(each, 0)) for each in told), nothing)


@dataclass(frozen=True, slots=True)
class Built:
    """A build among movements: of which item how many, at which location, and what it took of each
    component.

    `stated` are the components of which somebody said what was really used.
    """

    sku: str
    quantity: int
    taken: Mapping[str, int]
    stated: frozenset[str]
    location: str


def builds_of(movements: Iterable[StockMovement]) -> Iterator[Built]:
    """Yield each build among a command's movements.

    The movements are in the order of writing: a build-in stands before its build-outs. A use that
    was stated has a reason of its own, which the build-in has not.
    """
    built: StockMovement | None = None
    taken: Counter[str] = Counter()
    stated: set[str] = set()
    for movement in movements:
        if movement.kind is MovementKind.BUILD_IN:
            if built is not None:
                yield Built(built.sku, built.quantity, taken, frozenset(stated), built.location)
            built, taken, stated = movement, Counter(), set()
        elif movement.kind is MovementKind.BUILD_OUT and built is not None:
            taken[movement.sku] -= movement.quantity
            if movement.reason != built.reason:
                stated.add(movement.sku)
    if built is not None:
        yield Built(built.sku, built.quantity, taken, frozenset(stated), built.location)


def undo_moves(movements: Sequence[StockMovement]) -> tuple[StockMove, ...]:
    """Return the moves that compensate `movements` exactly: one for each, in the same order.

    A compensation has the kind of what it undoes, so that sums per kind come out right too.
    """
    return tuple(
        StockMove(moved.sku, -moved.quantity, moved.kind, location=moved.location, lot=moved.lot)
        for moved in movements
    )


# -- what must hold --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Books:
    """One consistent reading of everything that the invariants speak about.

    `movements` have their ids. `reservations`, `holds` and `lots` are all of them, whatever their
    state. `pools` has the pool of every location but MAIN, `feeds` that of every channel which is
    fed by another than MAIN. `per_order` has what each order with an item takes once,
    `listed_horizons` the horizons that listings of an item say.
    """

    movements: Sequence[StockMovement]
    shelves: Sequence[Shelf]
    reservations: Sequence[Reservation]
    commands: Sequence[CommandDone]
    holds: Sequence[Hold] = ()
    lots: Sequence[Lot] = ()
    pools: Mapping[str, str] = field(default_factory=dict)
    feeds: Mapping[str, str] = field(default_factory=dict)
    per_order: PerOrder = field(default_factory=dict)
    listed_horizons: Mapping[str, Collection[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that does not hold: of which `subject` (a shelf, `mv-7`, `cmd KEY`), and how."""

    invariant: str
    subject: str
    expected: str
    found: str


def balance_is_fold(books: Books) -> list[Violation]:
    """On hand of every shelf, and of the lots that do not count in it, sums up the movements."""
    folded = balances(books.movements, books.pools)
    kept = Counter({shelf.key: shelf.on_hand for shelf in books.shelves})
    kept.update(withheld(books.lots, books.pools))
    return [
        Violation(
            "balance_is_fold", shelf_name(sku), str(folded.get(sku, 0)), str(kept.get(sku, 0))
        )
        for sku in sorted(folded.keys() | kept.keys())
        if folded.get(sku, 0) != kept.get(sku, 0)
    ]


def coming_is_of_lots(books: Books) -> list[Violation]:
    """What every shelf has coming lies in lots of its pool that say so."""
    summed = coming(books.lots, books.pools)
    kept = {shelf.key: shelf.coming for shelf in books.shelves}
    return [
        Violation(
            "coming_is_of_lots", shelf_name(key), str(summed.get(key, 0)), str(kept.get(key, 0))
        )
        for key in sorted(summed.keys() | kept.keys())
        if summed.get(key, 0) != kept.get(key, 0)
    ]


def coming_by_is_of_lots(books: Books) -> list[Violation]:
    """What every shelf has coming by the horizons of listings lies in lots that say so."""
    summed = coming_by(books.lots, books.listed_horizons, books.pools)
    kept = {shelf.key: shelf.coming_by for shelf in books.shelves}
    return [
        Violation(
            "coming_by_is_of_lots",
            shelf_name(key),
            told_coming(summed.get(key, ())),
            told_coming(kept.get(key, ())),
        )
        for key in sorted(summed.keys() | kept.keys())
        if summed.get(key, ()) != kept.get(key, ())
    ]


def told_coming(by: Iterable[Coming]) -> str:
    """Return what comes by each horizon as text.

    >>> told_coming((Coming(60, 5), Coming(90, 8))), told_coming(())
    ('5 within 60 s, 8 within 90 s', '0')
    """
    return ", ".join(f"{units} within {horizon_s} s" for horizon_s, units in by) or "0"


def lot_is_fold(books: Books) -> list[Violation]:
    """On hand of every lot at every location is the sum of the movements that name both."""
    folded = lot_balances(books.movements)
    kept = {lot.key: lot.on_hand for lot in books.lots}
    return [
        Violation("lot_is_fold", lot_name(key), str(folded.get(key, 0)), str(kept.get(key, 0)))
        for key in sorted(folded.keys() | kept.keys())
        if folded.get(key, 0) != kept.get(key, 0)
    ]


def quarantined_is_withheld(books: Books) -> list[Violation]:
    """No quarantined lot counts in what can be sold."""
    return [
        Violation("quarantined_is_withheld", lot_name(lot.key), "withheld", "counts")
        for lot in sorted(books.lots, key=lambda lot: lot.key)
        if lot.quarantined and lot.counts
    ]


def reserved_is_open_demand(books: Books) -> list[Violation]:
    """Reserved of every shelf is the sum of its item's open reservations, in item units, on the
    channels that its pool feeds, and of what open orders there are still to take of it once.
    """
    open_units = Counter(claims(books.per_order, books.reservations, books.feeds))
    for line in books.reservations:
        if line.sku is not None:
            key = shelf_key(line.sku, books.feeds.get(line.key.channel, MAIN))
            open_units[key] += line.open * line.pack
    kept = {shelf.key: shelf.reserved for shelf in books.shelves}
    return [
        Violation(
            "reserved_is_open_demand", shelf_name(sku), str(open_units[sku]), str(kept.get(sku, 0))
        )
        for sku in sorted(open_units.keys() | kept.keys())
        if open_units[sku] != kept.get(sku, 0)
    ]


def pinned_is_open_demand(books: Books) -> list[Violation]:
    """What every shelf has pinned to an older bill is the sum of the open reservations by it, on
    the channels that its pool feeds, and of the open holds of its pool.
    """
    open_units: Counter[tuple[str, int]] = Counter()
    for line in books.reservations:
        if line.sku is not None and line.open:
            key = shelf_key(line.sku, books.feeds.get(line.key.channel, MAIN))
            open_units[key, line.bill] += line.open * line.pack
    for hold in books.holds:
        if hold.state is HoldState.HELD:
            for held in hold.lines:
                open_units[shelf_key(held.sku, hold.pool), held.bill] += held.quantity
    return [
        Violation(
            "pinned_is_open_demand",
            f"{shelf_name(shelf.key)} by bill {pin.version}",
            str(open_units[shelf.key, pin.version]),
            str(pin.units),
        )
        for shelf in sorted(books.shelves, key=lambda shelf: shelf.key)
        for pin in shelf.pins
        if open_units[shelf.key, pin.version] != pin.units
    ]


def owed(movements: Iterable[StockMovement]) -> dict[tuple[str, int], int]:
    """Return what is owed of each shelf by each older bill, as movements have changed it."""
    units: Counter[tuple[str, int]] = Counter()
    for movement in movements:
        for each in movement.owed:
            units[shelf_key(movement.sku, each.pool), each.version] += each.units
    return {key: total for key, total in units.items() if total}


def owed_is_fold(books: Books) -> list[Violation]:
    """What every shelf owes by an older bill is what its movements say."""
    folded = owed(books.movements)
    kept = {
        (shelf.key, pin.version): pin.owed
        for shelf in books.shelves
        for pin in shelf.pins
        if pin.owed
    }
    return [
        Violation(
            "owed_is_fold",
            f"{shelf_name(key)} by bill {version}",
            str(folded.get((key, version), 0)),
            str(kept.get((key, version), 0)),
        )
        for key, version in sorted(folded.keys() | kept.keys())
        if folded.get((key, version), 0) != kept.get((key, version), 0)
    ]


def held_is_open_holds(books: Books) -> list[Violation]:
    """Held of every shelf is the sum of its item's lines in open holds of its pool."""
    units: Counter[str] = Counter()
    for hold in books.holds:
        if hold.state is HoldState.HELD:
            for line in hold.lines:
                units[shelf_key(line.sku, hold.pool)] += line.quantity
    kept = {shelf.key: shelf.held for shelf in books.shelves}
    return [
        Violation("held_is_open_holds", shelf_name(sku), str(units[sku]), str(kept.get(sku, 0)))
        for sku in sorted(units.keys() | kept.keys())
        if units[sku] != kept.get(sku, 0)
    ]


def reserved_is_never_negative(books: Books) -> list[Violation]:
    """No shelf has fewer than 0 units reserved, no order line fewer than 0 open."""
    shelves = [(shelf_name(shelf.key), shelf.reserved) for shelf in books.shelves]
    lines = [("/".join(line.key), line.open) for line in books.reservations]
    return [
        Violation("reserved_is_never_negative", subject, ">= 0", str(units))
        for subject, units in sorted(shelves + lines)
        if units < 0
    ]


def commands_have_their_movements(books: Books) -> list[Violation]:
    """Every movement that a command wrote is there, and no other command claims it."""
    name = "commands_have_their_movements"
    written = {movement.id for movement in books.movements}
    claims = Counter(claimed for command in books.commands for claimed in command.movement_ids)
    found = []
    for command in sorted(books.commands, key=lambda done: done.key):
        for claimed in command.movement_ids:
            if claimed not in written:
                found.append(Violation(name, f"cmd {command.key}", f"mv-{claimed}", "missing"))
            elif claims[claimed] > 1:
                found.append(
                    Violation(name, f"cmd {command.key}", f"mv-{claimed}", "claimed twice")
                )
    return found


def undo_compensates_exactly(books: Books) -> list[Violation]:
    """An undo is the only one, exactly opposite to its original, and of its command as a whole."""
    name = "undo_compensates_exactly"
    by_id = {movement.id: movement for movement in books.movements}
    undoing: defaultdict[int, list[StockMovement]] = defaultdict(list)
    for movement in books.movements:
        if movement.undoes is not None:
            undoing[movement.undoes].append(movement)
    found = []
    for undone, compensations in sorted(undoing.items()):
        original = by_id.get(undone)
        expected = "a movement" if original is None else _compensation(original)
        stated = ", ".join(_stated(movement) for movement in compensations)
        if stated != expected:
            found.append(Violation(name, f"mv-{undone}", expected, stated))
    for command in sorted(books.commands, key=lambda done: done.key):
        left = [wrote for wrote in command.movement_ids if wrote not in undoing]
        if left and len(left) < len(command.movement_ids):
            expected = "all of its movements undone, or none"
            kept = "not undone: " + ", ".join(f"mv-{wrote}" for wrote in left)
            found.append(Violation(name, f"cmd {command.key}", expected, kept))
    return found


def _stated(movement: StockMovement) -> str:
    return f"{movement.quantity} {movement.sku} at {_place(movement)}"


def _compensation(original: StockMovement) -> str:
    return f"{-original.quantity} {original.sku} at {_place(original)}"


def _place(movement: StockMovement) -> str:
    return " ".join(filter(None, (movement.location, movement.lot)))


INVARIANTS: Final[tuple[Callable[[Books], list[Violation]], ...]] = (
    balance_is_fold,
    coming_is_of_lots,
    coming_by_is_of_lots,
    lot_is_fold,
    quarantined_is_withheld,
    reserved_is_open_demand,
    pinned_is_open_demand,
    owed_is_fold,
    held_is_open_holds,
    reserved_is_never_negative,
    commands_have_their_movements,
    undo_compensates_exactly,
)
"""Everything that must hold of the books; each function's docstring states it."""


def check(books: Books) -> list[Violation]:
    """Return every violation of every invariant, in the order of `INVARIANTS`; empty is sound."""
    return [violation for invariant in INVARIANTS for violation in invariant(books)]
