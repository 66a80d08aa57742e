"""Older bills: what open reservations and holds were made with is what they are made from.

Theory of operation. A bill that becomes another recipe is a new version of it. Reservations that
are open then keep the version that they were made with, and so does whatever is added to them; so
do holds, until they end, and their sale goes by it. What comes later is made by the present bill.
The item's shelf knows how many units go by each older bill (`model.Pin`), the catalogue keeps the
bills themselves, and netting takes each for an item of its own (`bom`). A version that no open
reservation and no hold needs any more has no pin: a reservation of it that is opened again goes by
the present bill, and the next import forgets the bill. The shelf of each pool has pins of its own:
what is open on a channel takes them along to the pool that feeds it from then on.

Finished units serve the oldest bill first. What an order or hold of an older bill sends below zero
is *owed* by that bill: made before anybody logged it, from its materials. So is what is missing
when a bill is replaced. It stays that bill's until a build by it is logged, or whatever else lifts
the shelf: what is owed is never more than what is missing below zero. What is missing besides is
the present bill's, and served first; then what is owed longest. What is lost of a run never was. So
it makes no difference whether something is sent before or after it was built, counted or received.

Each movement keeps what it has changed of that (`model.Owed`), so that the ledger says what is
owed, and an undo gives back just that. What the clock changes of lots moves nothing: until the next
movement or import a shelf may keep more than what is missing, and netting counts no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from stockpush.model import BillOfMaterials, Owed, Pin, Rest, Shelf
from stockpush.reservation.bom import Bills
from stockpush.values import replace

K = TypeVar("K")
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Part:
    """What one bill of an item has to serve: an item's, or an older bill's name, in netting.

    What is owed by an older bill is `on_hand` below zero.
    """

    name: str
    on_hand: int
    demand: int


def parts(
    bills: Bills,
    sku: str,
    *,
    on_hand: int,
    demand: int,
    pinned: Mapping[str, int],
    owed: Mapping[str, int] = NOTHING,
) -> Iterator[Part]:
    """Yield how stock and demand of an item with older bills are shared among them, oldest first,
    and last the item's own part. `pinned` is the demand (>= 0) by the name of each older bill, and
    `owed` what was sent by it before it was built.

    >>> from stockpush.model import BillLine
    >>> from stockpush.reservation.bom import older_name
    >>> old, new = (BillOfMaterials("candle", 1, (BillLine(wax, 1),)) for wax in ("soy", "palm"))
    >>> bills = Bills.build([replace(new, version=2)], {"candle", "soy", "palm"}, older=[old])
    >>> [(each.on_hand, each.demand) for each in parts(
    ...     bills, "candle", on_hand=7, demand=9, pinned={older_name(old): 5})]
    [(5, 5), (2, 4)]
    >>> [(each.on_hand, each.demand) for each in parts(
    ...     bills, "candle", on_hand=-7, demand=3, pinned={}, owed={older_name(old): 4})]
    [(-4, 0), (-3, 3)]
    """
    names = bills.older[sku]
    still = still_owed([(name, owed.get(name, 0)) for name in names], -on_hand)
    there, open_units = on_hand + sum(still.values()), demand
    for name in names:
        units = pinned.get(name, 0)
        served = min(max(0, there), units)
        there -= served
        open_units -= units
        yield Part(name, served - still[name], units)
    yield Part(sku, there, open_units)


def still_owed(owed: Iterable[tuple[K, int]], missing: int) -> dict[K, int]:
    """Return what is owed by each bill, oldest first, of which so much is missing below zero: what
    has come in since was for the oldest.

    >>> still_owed([("soy", 4), ("palm", 2)], 3), still_owed([("soy", 4)], -1)
    ({'soy': 1, 'palm': 2}, {'soy': 0})
    """
    found: dict[K, int] = {}
    left = max(0, missing)
    for bill, units in reversed([*owed]):
        found[bill] = min(units, left)
        left -= found[bill]
    return dict(reversed(found.items()))


def missing_of(shares: Iterable[Part]) -> int:
    """Return how many units the finished ones leave to be made by these bills."""
    return sum(max(0, part.demand - part.on_hand) for part in shares)


def pinned(bills: Bills, shelf: Shelf) -> dict[str, Pin]:
    """Return a shelf's pins by the names of its older bills; `bills` are those by shelf."""
    names = {bills.made[name].version: name for name in bills.older.get(shelf.key, ())}
    return {names[pin.version]: pin for pin in shelf.pins if pin.version in names}


def owing(shelf: Shelf) -> dict[int, int]:
    """Return what is still owed by each older bill of a shelf, by version, oldest first."""
    return still_owed([(pin.version, pin.owed) for pin in shelf.pins], -shelf.on_hand_soon)


def reckoned(
    before: Shelf, on_hand: int, *, by: int | None = None, back: Iterable[Owed] = ()
) -> dict[int, int]:
    """Return what is owed by each older bill of a shelf once a movement has made it `on_hand`.

    `by`: what moved is of that older bill, None for none. `back` is what undone movements had
    changed.
    """
    found = still_owed([(pin.version, pin.owed) for pin in before.pins], -before.on_hand)
    if by is not None and on_hand < before.on_hand:
        missed = max(0, -on_hand) - max(0, -before.on_hand)
        found[by] = found.get(by, 0) + missed
    elif by is not None:
        found[by] = max(0, found.get(by, 0) - (on_hand - before.on_hand))
    for each in back:
        found[each.version] = found.get(each.version, 0) - each.units
    found = {version: max(0, units) for version, units in found.items()}
    return still_owed(sorted(found.items()), -on_hand)


def with_owed(
    shelf: Shelf, owed: Mapping[int, int], rests: Callable[[int], tuple[Rest, ...]]
) -> tuple[Shelf, tuple[Owed, ...]]:
    """Return the shelf with what is owed by its older bills (>= 0), and what that changes.

    `rests` returns what roundings have left by one that the shelf has no pin of.
    """
    pins = {pin.version: pin for pin in shelf.pins}
    changed = []
    for version, units in owed.items():
        known = pins.get(version) or Pin(version, 0, rests(version))
        if units != known.owed:
            changed.append(Owed(version, units - known.owed, shelf.pool))
            pins[version] = known._replace(owed=units)
    return (_with_pins(shelf, pins), tuple(changed)) if changed else (shelf, ())


def _with_pins(shelf: Shelf, pins: Mapping[int, Pin]) -> Shelf:
    """Return the shelf with those of its pins that something goes by, oldest first."""
    kept = (pins[each] for each in sorted(pins) if pins[each].units > 0 or pins[each].owed > 0)
    return replace(shelf, pins=tuple(kept))


def reserve(shelf: Shelf, units: int, version: int, *, anew: bool = False) -> Shelf | None:
    """Return the shelf with so many open units (signed) more by an older bill; None if it is not
    kept any more there, or never was: then they go by the present one, but for `anew`.
    """
    pinned = _pinned_more(shelf, units, version, anew=anew)
    return None if pinned is None else replace(pinned, reserved=pinned.reserved + units)


def hold(shelf: Shelf, units: int, version: int) -> Shelf | None:
    """Return the shelf with so many held units (signed) more by an older bill; None if it is not
    kept there.
    """
    pinned = _pinned_more(shelf, units, version)
    return None if pinned is None else replace(pinned, held=pinned.held + units)


def _pinned_more(shelf: Shelf, units: int, version: int, *, anew: bool = False) -> Shelf | None:
    """Return the shelf with so many units (signed) more in its pin of an older bill; None if it has
    none, but for `anew`.
    """
    pins = {pin.version: pin for pin in shelf.pins}
    if version not in pins and not anew:
        return None
    known = pins.get(version, Pin(version, 0))
    pins[version] = known._replace(units=known.units + units)
    return _with_pins(shelf, pins)


def replaced(old: BillOfMaterials, new: BillOfMaterials) -> bool:
    """Answer whether a bill becomes another recipe; whether it is a kit makes none."""
    return _recipe(old) != _recipe(new)


def _recipe(bill: BillOfMaterials) -> tuple[object, ...]:
    return bill.batch_only, _use(bill)


def _use(bill: BillOfMaterials) -> tuple[object, ...]:
    lines = sorted((line.component, line.quantity, *line.scrap) for line in bill.lines)
    return bill.yield_quantity, lines


def pin(shelf: Shelf, old: BillOfMaterials, new: BillOfMaterials) -> Shelf:
    """Return the shelf of an item whose bill is replaced: what is claimed by it stays with it, and
    what was sent before it was built.

    What roundings have left by it says nothing of one that takes something else.
    """
    after = replace(shelf, rests=shelf.rests if _use(old) == _use(new) else ())
    units = max(0, shelf.reserved + shelf.held - sum(each.units for each in shelf.pins))
    owed = max(0, -shelf.on_hand - sum(each.owed for each in shelf.pins))
    if not units and not owed:
        return after
    return replace(after, pins=(*shelf.pins, Pin(old.version, units, shelf.rests, owed)))


def with_rests(shelf: Shelf, version: int, rests: tuple[Rest, ...]) -> Shelf:
    """Return the shelf with what builds by an older bill have left of roundings."""
    changed = tuple(
        each._replace(rests=rests) if each.version == version else each for each in shelf.pins
    )
    return replace(shelf, pins=changed)


def kept(
    older: Iterable[BillOfMaterials], shelves_of: Callable[[str], Iterable[Shelf]]
) -> frozenset[tuple[str, int]]:
    """Return (item, version) of the older bills that open reservations and holds need, or that
    something is owed by, in any pool.

    `shelves_of` returns an item's shelves.
    """
    return frozenset(
        (bill.item, bill.version)
        for bill in older
        for shelf in shelves_of(bill.item)
        if any(each.version == bill.version for each in shelf.pins)
    )
