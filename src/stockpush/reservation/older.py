"""Older bills: what open reservations and holds were made with is what they are made from.

Theory of operation. A bill that becomes another recipe is a new version of it. Reservations that
are open then keep the version that they were made with, and so does whatever is added to them; so
do holds, until they end, and their sale goes by it. What comes later is made by the present bill.
The item's shelf knows how many units go by each older bill (`model.Pin`), the catalogue keeps the
bills themselves, and netting takes each for an item of its own (`bom`). A version that no open
reservation and no hold needs any more has no pin: a reservation of it that is opened again goes by
the present bill, and the next import forgets the bill. The shelf of each pool has pins of its own:
what is open on a channel takes them along to the pool that feeds it from then on.

Finished units serve the oldest bill first. What is missing below zero is the present bill's: those
units left before they were built, and nobody knows by which one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from stockpush.model import BillOfMaterials, Pin, Rest, Shelf
from stockpush.reservation.bom import Bills
from stockpush.values import replace


@dataclass(frozen=True, slots=True)
class Part:
    """What one bill of an item has to serve: an item's, or an older bill's name, in netting."""

    name: str
    on_hand: int
    demand: int


def parts(
    bills: Bills, sku: str, *, on_hand: int, demand: int, pinned: Mapping[str, int]
) -> Iterator[Part]:
    """Yield how stock and demand of an item with older bills are shared among them, oldest first,
    and last the item's own part. `pinned` is the demand (>= 0) by the name of each older bill.

    >>> from stockpush.model import BillLine
    >>> from stockpush.reservation.bom import older_name
    >>> old, new = (BillOfMaterials("candle", 1, (BillLine(wax, 1),)) for wax in ("soy", "palm"))
    >>> bills = Bills.build([replace(new, version=2)], {"candle", "soy", "palm"}, older=[old])
    >>> [(each.on_hand, each.demand) for each in parts(
    ...     bills, "candle", on_hand=7, demand=9, pinned={older_name(old): 5})]
    [(5, 5), (2, 4)]
    """
    there, open_units = on_hand, demand
    for name in bills.older[sku]:
        units = pinned.get(name, 0)
        served = min(max(0, there), units)
        there -= served
        open_units -= units
        yield Part(name, served, units)
    yield Part(sku, there, open_units)


def missing_of(shares: Iterable[Part]) -> int:
    """Return how many units the finished ones leave to be made by these bills."""
    return sum(max(0, part.demand - part.on_hand) for part in shares)


def pinned(bills: Bills, shelf: Shelf) -> dict[str, Pin]:
    """Return a shelf's pins by the names of its older bills; `bills` are those by shelf."""
    names = {bills.made[name].version: name for name in bills.older.get(shelf.key, ())}
    return {names[pin.version]: pin for pin in shelf.pins if pin.version in names}


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
    kept = tuple(pins[each] for each in sorted(pins) if pins[each].units > 0)
    return replace(shelf, pins=kept)


def replaced(old: BillOfMaterials, new: BillOfMaterials) -> bool:
    """Answer whether a bill becomes another recipe; whether it is a kit makes none."""
    return _recipe(old) != _recipe(new)


def _recipe(bill: BillOfMaterials) -> tuple[object, ...]:
    return bill.batch_only, _use(bill)


def _use(bill: BillOfMaterials) -> tuple[object, ...]:
    lines = sorted((line.component, line.quantity, *line.scrap) for line in bill.lines)
    return bill.yield_quantity, lines


def pin(shelf: Shelf, old: BillOfMaterials, new: BillOfMaterials) -> Shelf:
    """Return the shelf of an item whose bill is replaced: what is claimed by it stays with it.

    What roundings have left by it says nothing of one that takes something else.
    """
    after = replace(shelf, rests=shelf.rests if _use(old) == _use(new) else ())
    units = shelf.reserved + shelf.held - sum(each.units for each in shelf.pins)
    if units <= 0:
        return after
    return replace(after, pins=(*shelf.pins, Pin(old.version, units, shelf.rests)))


def with_rests(shelf: Shelf, version: int, rests: tuple[Rest, ...]) -> Shelf:
    """Return the shelf with what builds by an older bill have left of roundings."""
    changed = tuple(
        each._replace(rests=rests) if each.version == version else each for each in shelf.pins
    )
    return replace(shelf, pins=changed)


def kept(
    older: Iterable[BillOfMaterials], shelves_of: Callable[[str], Iterable[Shelf]]
) -> frozenset[tuple[str, int]]:
    """Return (item, version) of the older bills that open reservations and holds need, in any pool.

    `shelves_of` returns an item's shelves.
    """
    return frozenset(
        (bill.item, bill.version)
        for bill in older
        for shelf in shelves_of(bill.item)
        if any(each.version == bill.version for each in shelf.pins)
    )
