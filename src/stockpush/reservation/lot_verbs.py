"""What is done to lots: where a line of a command goes, quarantine, and what the clock does.

A line that names neither location nor lot goes where `lots.pick` says, or, coming in, to no lot
(to a new one where the item's rule says so). One that names a place goes there or is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from stockpush.messages import (
    Accepted,
    Decision,
    LotTerms,
    QuarantineLot,
    Refused,
    StockMove,
    TransferStock,
    TurnLots,
)
from stockpush.model import (
    MAIN,
    UNLOTTED,
    Item,
    Lot,
    LotKey,
    LotRule,
    MovementKind,
    Shelf,
    StockMovement,
)
from stockpush.reservation import lots
from stockpush.reservation.draft import Draft
from stockpush.reservation.view import View
from stockpush.units import format_quantity
from stockpush.values import replace

_MAKES_LOTS: Final = (MovementKind.RECEIPT, MovementKind.BUILD_IN)
"""What brings something new: it may be a lot that nobody knew before."""


def turn(view: View, command: TurnLots, at: datetime) -> Decision:
    """Take account of what the clock has changed: expired lots leave the shelf, others come."""
    draft = Draft(view, at)
    for sku in command.skus:
        draft.turn_lots(sku)
    return draft.decision()


def as_of(view: View, at: datetime) -> View:
    """Return the view with the clock taken account of, as the daemon is about to write it down."""
    rows = view.rows.lots.values()
    due = {lot.key.sku for lot in rows if lot.turns_at is not None and lot.turns_at <= at}
    return view.after(turn(view, TurnLots(tuple(sorted(due))), at)) if due else view


def quarantine(view: View, command: QuarantineLot, at: datetime) -> Decision:
    """Withhold a lot from sale wherever it lies, or release it."""
    draft = Draft(view, at)
    named = _rows_of(draft, command.sku, command.lot)
    if not named:
        return Decision(outcome=_no_lot(draft, command.sku, command.lot))
    changed = [lot for lot in named if lot.quarantined != command.quarantined]
    for lot in changed:
        verb = "quarantined" if command.quarantined else "released"
        note = ": ".join(filter(None, (f"{verb} by {command.actor}", command.reason)))
        draft.put_lot(replace(lot, quarantined=command.quarantined, note=note))
    return replace(draft.decision(), outcome=Accepted(facts={"changed": len(changed)}))


def transfer_moves(draft: Draft, command: TransferStock) -> tuple[StockMove, ...] | Refused:
    """Return the moves of a transfer: out of each lot that is picked, and into the same lot there.

    Refused as `put` says, and as `same_place`.
    """
    sku, asked = command.sku, command.quantity
    item = draft.view.catalogue.items.get(sku)
    if item is None:
        return Refused("not_found", f"there is no item {sku!r}")
    for location in (command.origin, command.destination):
        if (refused := _unknown(draft, location)) is not None:
            return refused
    if command.origin == command.destination:
        return Refused("same_place", f"{command.origin} is where it lies already")
    draft.turn_lots(sku)
    if command.lot is not None:
        row = place_of(draft, sku, command.lot, command.origin)
        if isinstance(row, Refused):
            return row
        if row.on_hand < asked:
            return _short(item, row.on_hand, asked, f"lot {command.lot} at {command.origin}")
        picks: tuple[lots.Pick, ...] = (lots.Pick(command.origin, command.lot, asked),)
    else:
        held = held_at(draft, sku, command.origin)
        if held < asked:
            return _short(item, held, asked, command.origin)
        picks = draft.picks(sku, asked, command.origin)
    return tuple(
        StockMove(sku, quantity, MovementKind.TRANSFER, location=location, lot=each.lot)
        for each in picks
        for location, quantity in (
            (command.origin, -each.quantity),
            (command.destination, each.quantity),
        )
    )


def pool_of_line(draft: Draft, line: StockMove, pool: str) -> str:
    """Return the pool of what a line moves: of the place that it names, else `pool`."""
    catalogue = draft.view.catalogue
    if line.location is not None:
        return catalogue.pool_at(line.location)
    if len(catalogue.pools) > 1 and line.lot and line.kind not in _MAKES_LOTS:
        found = place_of(draft, line.sku, line.lot, None)
        return pool if isinstance(found, Refused) else catalogue.pool_at(found.key.location)
    return pool


def put(
    draft: Draft,
    line: StockMove,
    movement: StockMovement,
    *,
    pool: str = MAIN,
    bill: int | None = None,
    since: Shelf | None = None,
) -> Refused | None:
    """Write one line of a command where it says, or where its item's lots in the pool say.

    `movement` is the line's, at no place yet, and goes by version `bill` of its item's bill. One
    that names its lot may be reckoned `since` an earlier shelf (`Draft.move`).
    Refused as `not_found` for a location or lot that is not there, as `not_there` where a place
    that was named holds less, as `lot_differs` where a lot would get another expiry, as
    `several_places` where a lot lies at more than one.
    """
    draft.turn_lots(line.sku)
    item = draft.view.catalogue.items[line.sku]
    named = line.lot
    if line.kind in _MAKES_LOTS and named is None:
        named = lot_to_be(draft, line.sku) or None
    if named is None and line.location is None:
        if line.quantity < 0:
            draft.take(movement, pool=pool, bill=bill)
        else:
            draft.come(movement, pool=pool, bill=bill)
        return None
    location = line.location or draft.view.catalogue.home(pool)
    if (refused := _unknown(draft, location)) is not None:
        return refused
    if named == UNLOTTED:
        draft.move(replace(movement, location=location), bill=bill, since=since)
        return None
    if line.quantity > 0 and named is not None and line.kind in _MAKES_LOTS:
        refused = _begin(draft, LotKey(line.sku, location, named), line.terms, item)
        if refused is not None:
            return refused
    elif named is not None:
        found = place_of(draft, line.sku, named, line.location)
        if isinstance(found, Refused):
            return found
        location = found.key.location
        if line.quantity < 0 and found.on_hand < -line.quantity and line.kind is not _COUNT:
            return _short(item, found.on_hand, -line.quantity, f"lot {named} at {location}")
    elif line.quantity < 0 and line.kind is not _COUNT:
        there = held_at(draft, line.sku, location)
        if location != MAIN and there < -line.quantity:
            return _short(item, there, -line.quantity, location)
        draft.take(movement, location=location, bill=bill)
        return None
    draft.move(replace(movement, location=location, lot=named), bill=bill, since=since)
    return None


_COUNT: Final = MovementKind.COUNT


def lot_to_be(draft: Draft, sku: str) -> str:
    """Return the lot that what comes in belongs to if nobody says: UNLOTTED, or a new one."""
    item = draft.view.catalogue.items.get(sku)
    if item is None or item.lots is not LotRule.ALWAYS:
        return UNLOTTED
    return lots.fresh_name({lot.key.lot for lot in draft.lots_of(sku)}, draft.at)


def held_at(draft: Draft, sku: str, location: str) -> int:
    """Return what may be taken at a location, in lots and in none; the lots have been turned."""
    rows = lots.at_place(draft.lots_of(sku), location, at=draft.at)
    unlotted = max(0, draft.unlotted(sku)) if location == MAIN else 0
    return unlotted + sum(max(0, lot.on_hand) for lot in rows)


def _unknown(draft: Draft, location: str) -> Refused | None:
    """Return the refusal of a location that is not in the catalogue."""
    if location == MAIN or location in draft.view.catalogue.locations:
        return None
    known = sorted({MAIN, *draft.view.catalogue.locations})
    return Refused(
        "not_found",
        f"there is no location {location!r}; there are {', '.join(known)}",
        {"location": location, "expected": known},
    )


def unknown_pool(view: View, pool: str) -> Refused | None:
    """Return the refusal of a pool that nothing is sold from."""
    if pool in view.catalogue.pools:
        return None
    known = list(view.catalogue.pools)
    return Refused(
        "not_found",
        f"there is no pool {pool!r}; there are {', '.join(known)}",
        {"pool": pool, "expected": known},
    )


def in_another_pool(draft: Draft, sku: str, lot: str | None, pool: str | None) -> Refused | None:
    """Return the refusal of a lot that was named beside a `pool`, and lies in another one."""
    if not lot or pool is None:
        return None
    found = place_of(draft, sku, lot, None)
    if isinstance(found, Refused):
        return None  # It is refused for that.
    location = found.key.location
    if (of := draft.view.catalogue.pool_at(location)) == pool:
        return None
    return Refused(
        "not_found",
        f"lot {lot} of {sku} does not lie in the pool {pool}, but in {of}, at {location}",
        {"sku": sku, "pool": pool, "expected": [of]},
    )


def place_of(draft: Draft, sku: str, name: str, location: str | None) -> Lot | Refused:
    """Return the row of a lot that was named: at `location`, or wherever it lies if at one place.

    One that has been emptied everywhere is where it last was.
    """
    rows = _rows_of(draft, sku, name)
    if location is not None:
        rows = [lot for lot in rows if lot.key.location == location]
    if not rows:
        elsewhere = [lot.key.location for lot in _rows_of(draft, sku, name) if lot.on_hand]
        return _no_lot(draft, sku, name, location, elsewhere)
    filled = [lot for lot in rows if lot.on_hand]
    if len(filled) > 1:
        places = [lot.key.location for lot in filled]
        return Refused(
            "several_places",
            f"lot {name} of {sku} lies at {' and '.join(places)}",
            {"sku": sku, "lot": name, "expected": places},
        )
    return (filled or rows)[0]


def _begin(draft: Draft, key: LotKey, terms: LotTerms | None, item: Item) -> Refused | None:
    """Have a lot ready that something comes into, by what is known and said of it."""
    others = _rows_of(draft, key.sku, key.lot)
    said = terms or LotTerms()
    for given in (draft.at, said.available_from):
        if given is not None and said.expires_at is not None and said.expires_at <= given:
            when = "has passed" if given == draft.at else "comes before it is available"
            return Refused(
                "never_sellable",
                f"lot {key.lot} of {item.sku} could never be sold: its last day {when}",
                {"sku": item.sku, "lot": key.lot, "expires_at": said.expires_at.isoformat()},
            )
    filled = [lot for lot in others if lot.on_hand]
    expires, available = said.expires_at, said.available_from
    if filled:
        known = filled[0]
        for what, given, kept in (
            ("last", expires, known.expires_at),
            ("first", available, known.available_from),
        ):
            if given is not None and given != kept:
                return Refused(
                    "lot_differs",
                    f"lot {key.lot} of {item.sku} is known with another {what} day, and a lot has "
                    "one",
                    {
                        "sku": item.sku,
                        "lot": key.lot,
                        "found": given.isoformat(),
                        "expected": None if kept is None else kept.isoformat(),
                    },
                )
        expires, available = known.expires_at, known.available_from
    # A name that was used up begins anew, wherever it lay.
    for lot in {row.key: row for row in (*others, draft.lot(key))}.values():
        draft.put_lot(
            replace(
                lot,
                since=lot.since if filled else draft.at,
                expires_at=expires,
                available_from=available,
                quarantined=lot.quarantined and bool(filled),
                cost=said.cost or (lot.cost if filled else ""),
                supplier=said.supplier or (lot.supplier if filled else ""),
            )
        )
    return None


def _rows_of(draft: Draft, sku: str, name: str) -> list[Lot]:
    """Return the rows of one lot, at every location, by location."""
    return [lot for lot in draft.lots_of(sku) if lot.key.lot == name != UNLOTTED]


def _no_lot(
    draft: Draft,
    sku: str,
    name: str,
    location: str | None = None,
    elsewhere: Sequence[str] = (),
) -> Refused:
    """Return the refusal of a lot that is not there, or not at `location` but `elsewhere`."""
    known = _names(draft.lots_of(sku))
    if elsewhere:
        return Refused(
            "not_found",
            f"lot {name} of {sku} does not lie at {location}, but at {' and '.join(elsewhere)}",
            {"sku": sku, "lot": name, "lies_at": list(elsewhere)},
        )
    where = "" if location is None else f" at {location}"
    listed = f"; there are {', '.join(known)}" if known else ""
    return Refused(
        "not_found",
        f"there is no lot {name!r} of {sku}{where}{listed}",
        {"sku": sku, "lot": name, "expected": known},
    )


def _names(rows: Iterable[Lot]) -> list[str]:
    return sorted({lot.key.lot for lot in rows if lot.key.lot != UNLOTTED})


def _short(item: Item, held: int, asked: int, where: str) -> Refused:
    held, short = max(0, held), asked - max(0, held)
    shown = {
        "on_hand": format_quantity(held, item.scale),
        "short": format_quantity(short, item.scale),
    }
    return Refused(
        "not_there",
        f"there are {shown['on_hand']} {item.unit} of {item.sku} in {where}, "
        f"{shown['short']} too few",
        {"sku": item.sku, **shown},
    )
