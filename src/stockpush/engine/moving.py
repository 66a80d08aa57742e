"""The stock verbs as people and scripts ask for them, and what is told of what they did.

What was said of a verb becomes a command here, wherever it was said: typed or posted. A `Manner`
has what the parts of it are called there, so that a mistake is named as it was made. Refusals get
what to do next, and what was done the shape of docs/interface.md: keys may be added, never renamed
or removed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from stockpush.engine.changes import Change, changes_between, comes_otherwise
from stockpush.engine.given import name_of, one_line, shown
from stockpush.engine.instants import begin_of, end_of, expected_of, read_instant, read_when
from stockpush.engine.movements import name_of as movement_name
from stockpush.engine.movements import paid
from stockpush.errors import NotFound, StoreUnavailable, UsageError
from stockpush.messages import (
    Accepted,
    BuildStock,
    Command,
    CountStock,
    Decision,
    LotTerms,
    MoveStock,
    Outcome,
    Refused,
    Replayed,
    SellHold,
    StockMove,
    TransferStock,
    UndoMovement,
)
from stockpush.model import MAIN, Item, LotRule, MovementKind
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.holds import name_of as hold_name
from stockpush.reservation.view import View
from stockpush.units import format_quantity, parse_quantity

if TYPE_CHECKING:
    from stockpush.engine.commit import Done

_COST: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")
WITH_ZONE: Final = "an instant with a zone, such as 2027-03-01T00:00+01:00"
"""What a day is given as where nobody knows whose day it would be."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a verb is asked for: what the parts of `Said` (and `key`, `id`, `sku`) are called there.

    `local`: a day, and an instant without a zone, are by the clock on the wall here; otherwise
    both are refused.
    """

    names: Mapping[str, str]
    local: bool


@dataclass(frozen=True, slots=True)
class Part:
    """How much of an item was said to be used or sold, and what that is called."""

    item: Item
    quantity: object
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said of a verb, None and () where nothing was; items are found already."""

    quantity: object
    lot: str | None = None
    location: str | None = None
    pool: str | None = None
    expires: str | None = None
    available_from: str | None = None
    cost: str | None = None
    supplier: str | None = None
    used: Sequence[Part] = ()
    scrapped: object = None
    take: Sequence[Item] = ()
    bill: int | None = None
    origin: str | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class By:
    """Who asks, why, and under which idempotency key."""

    key: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A verb's command, and what it did once it has done it (`Received 5 kg of beeswax`)."""

    command: Command
    what: str
    undo: str | None = None
    """What takes it back, where that is not an undo of its movements."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where lots and locations were named, for those not named as such."""
    seen: Callable[[Sequence[str]], str] | None = None
    """What to type where a lot was seen of which nothing is known there, but at those places."""


# -- the verbs -------------------------------------------------------------------------------


def receive(said: Said, item: Item, by: By, manner: Manner) -> Asked:
    """Take in what has arrived."""
    units, lot, location = _units(said, item, manner), _lot(said, manner), _location(said, manner)
    terms = terms_of(said, item, lot, manner)
    move = StockMove(
        item.sku,
        units,
        MovementKind.RECEIPT,
        reason=paid(terms),
        location=location,
        lot=lot,
        terms=terms,
    )
    return Asked(_move(move, by), f"Received {amount(units, item)}{of_lot(lot)}")


def build(said: Said, item: Item, by: By, manner: Manner) -> Asked:
    """Record what was made: its materials go out, it comes in."""
    units, lot = _units(said, item, manner), _lot(said, manner)
    lost = 0
    if said.scrapped is not None:
        lost = _read(said.scrapped, item, field=manner.names["scrapped"])
    command = BuildStock(
        item.sku,
        units,
        by.key,
        by.actor,
        by.reason,
        used=_really_used(said.used, manner),
        scrapped=lost,
        location=_location(said, manner),
        lot=lot,
        terms=terms_of(said, item, lot, manner),
        take=tuple(each.sku for each in said.take),
        bill=said.bill,
    )
    less = f", of which {bare(lost, item)} were lost" if lost else ""
    return Asked(command, f"Built {amount(units, item)}{of_lot(lot)}{less}")


def count(said: Said, item: Item, by: By, manner: Manner, catalogue: Catalogue) -> Asked:
    """State what somebody counted."""
    units, lot = _units(said, item, manner, zero=True), _lot(said, manner)
    _check_place(said, manner, catalogue)
    command = CountStock(
        item.sku,
        units,
        by.key,
        by.actor,
        by.reason,
        location=_location(said, manner),
        lot=lot,
        pool=said.pool,
    )

    def seen(places: Sequence[str]) -> str:
        words = [item.sku, bare(units, item).replace(" ", "")]
        there = command.location or catalogue.home(command.pool or MAIN)
        if places:
            words += ["--from", places[0], "--to", there]
        elif there != MAIN:
            words += ["--location", there]
        verb, why = ("transfer", "moved") if places else ("receive", "came in")
        typed = shlex.join([verb, *words, "--lot", lot or ""])
        return f"stockpush {typed}  (if it {why})"

    what = f"Counted {amount(units, item)}{of_lot(lot)}"
    return Asked(command, what, seen=seen if lot and units else None)


def adjust(said: Said, item: Item, by: By, manner: Manner, catalogue: Catalogue) -> Asked:
    """Add or, with a sign, take away."""
    units, lot = _units(said, item, manner, signed=True), _lot(said, manner)
    _check_place(said, manner, catalogue)
    place = _location(said, manner)
    move = StockMove(item.sku, units, MovementKind.ADJUSTMENT, location=place, lot=lot)
    what = f"Adjusted {item.sku}{of_lot(lot)} by {'+' if units > 0 else ''}{bare(units, item)}"
    return Asked(_move(move, by, said.pool), what)


def scrap(said: Said, item: Item, by: By, manner: Manner) -> Asked:
    """Take off what is spoilt, broken or lost."""
    units, lot = _units(said, item, manner), _lot(said, manner)
    place = _location(said, manner)
    move = StockMove(item.sku, -units, MovementKind.SCRAP, location=place, lot=lot)
    return Asked(_move(move, by), f"Scrapped {amount(units, item)}{of_lot(lot)}")


def take_back(said: Said, item: Item, by: By, manner: Manner) -> Asked:
    """Put back what a buyer sent back."""
    units, lot = _units(said, item, manner), _lot(said, manner)
    place = _location(said, manner)
    move = StockMove(item.sku, units, MovementKind.RETURN, location=place, lot=lot)
    return Asked(_move(move, by), f"Took back {amount(units, item)}{of_lot(lot)}")


def sell(lines: Sequence[Part], by: By, place: str, pool: str | None = None) -> Asked:
    """Record a sale made elsewhere: all of its lines in one command."""
    sold = [(_read(each.quantity, each.item, field=each.field, zero=False), each) for each in lines]
    moves = (StockMove(each.item.sku, -units, MovementKind.SALE) for units, each in sold)
    why = ": ".join(filter(None, (f"sold at {place}", by.reason)))
    command = MoveStock(tuple(moves), by.key, by.actor, why, pool, place=place)
    told = ", ".join(amount(units, each.item) for units, each in sold)
    return Asked(command, f"Sold {told} at {place}")


def sell_hold(hold_id: int, by: By, place: str) -> Asked:
    """Turn all of a hold into a sale made elsewhere."""
    command = SellHold(hold_id, place, by.key, by.actor, by.reason)
    return Asked(command, f"Sold {hold_name(hold_id)} at {place}")


def transfer(said: Said, item: Item, by: By, manner: Manner) -> Asked:
    """Record that stock lies somewhere else now."""
    units, lot = _units(said, item, manner), _lot(said, manner)
    names = manner.names
    command = TransferStock(
        item.sku,
        units,
        name_of(said.origin, field=names["origin"]) or MAIN,
        name_of(said.destination, field=names["destination"]) or MAIN,
        by.key,
        by.actor,
        by.reason,
        lot=lot,
    )
    where = f"from {command.origin} to {command.destination}"
    fields = {command.destination: names["destination"], command.origin: names["origin"]}
    return Asked(command, f"Moved {amount(units, item)}{of_lot(lot)} {where}", fields=fields)


def undo(movement_id: int, by: By) -> Asked:
    """Take a whole command back."""
    command = UndoMovement(movement_id, by.key, by.actor, by.reason)
    return Asked(command, f"Undid {movement_name(movement_id)}")


# -- reading what was said -------------------------------------------------------------------


def terms_of(said: Said, item: Item, lot: str | None, manner: Manner) -> LotTerms | None:
    """Return what was said of the lot that comes in, None where nothing was.

    Raises `UsageError` for a day of no lot: nobody would look at it.
    """
    names = manner.names
    for name, given in (("expires", said.expires), ("available_from", said.available_from)):
        if given is not None and lot is None and item.lots is not LotRule.ALWAYS:
            raise UsageError(
                f"{names[name]} is said of a lot, and no lot is named.",
                field=names[name],
                found=shown(given),
                expected=f"{names['lot']} NAME beside {names[name]}",
                next=f"the same command with {names['lot']} NAME",
            )
    terms = LotTerms(
        expires_at=_instant(said.expires, "expires", manner, after=True),
        available_from=_instant(said.available_from, "available_from", manner, after=False),
        cost=_cost(said.cost, field=names["cost"]),
        supplier=one_line(said.supplier or "", field=names["supplier"]),
    )
    return None if terms == LotTerms() else terms


def _instant(text: str | None, name: str, manner: Manner, *, after: bool) -> datetime | None:
    """Return the local midnight that a day begins with, or (`after`) ends with; or the instant."""
    if text is None:
        return None
    at = read_instant(text, None, day=end_of if after else begin_of)
    if not manner.local:
        when = read_when(text)
        at = when if isinstance(when, datetime) and when.tzinfo is not None else None
    if at is not None:
        # The first and the last day of all may be none in UTC.
        with suppress(OverflowError):
            return at.astimezone(UTC)
    given, called = shown(text.strip()), manner.names[name]
    expected = expected_of(text) if manner.local else WITH_ZONE
    raise UsageError(
        f"{called}: found {given!r}, expected {expected}.",
        field=called,
        found=given,
        expected=expected,
    )


def _cost(text: str | None, *, field: str) -> str:
    if text is None:
        return ""
    given = shown(text.strip())
    if not _COST.fullmatch(given):
        expected = "an amount such as 12.50, without a currency"
        raise UsageError(
            f"{field}: found {given!r}, expected {expected}.",
            field=field,
            found=given,
            expected=expected,
        )
    return given


def _units(
    said: Said, item: Item, manner: Manner, *, signed: bool = False, zero: bool = False
) -> int:
    """Return the quantity in smallest units."""
    called = manner.names["quantity"]
    return _read(said.quantity, item, field=called, signed=signed, zero=zero)


def _read(
    quantity: object, item: Item, *, field: str, signed: bool = False, zero: bool = True
) -> int:
    return parse_quantity(
        quantity,
        unit=item.unit,
        scale=item.scale,
        field=field,
        signed=signed,
        zero=zero,
        purchase_units=item.purchase_units,
    )


def _really_used(parts: Sequence[Part], manner: Manner) -> tuple[tuple[str, int], ...]:
    """Return what was said to be used of each component, in smallest units."""
    used: dict[str, int] = {}
    called = manner.names["used"]
    for each in parts:
        if each.item.sku in used:
            raise UsageError(
                f"{called} names {each.item.sku} twice.",
                field=called,
                found=each.item.sku,
                expected="each component once",
            )
        used[each.item.sku] = _read(each.quantity, each.item, field=each.field)
    return tuple(sorted(used.items()))


def _lot(said: Said, manner: Manner) -> str | None:
    return name_of(said.lot, field=manner.names["lot"])


def _location(said: Said, manner: Manner) -> str | None:
    return name_of(said.location, field=manner.names["location"])


def _check_place(said: Said, manner: Manner, catalogue: Catalogue) -> None:
    """Refuse a location beside a pool that it does not belong to; an unknown one is not ours."""
    location, names = _location(said, manner), manner.names
    if location is None or said.pool is None:
        return
    if location != MAIN and location not in catalogue.locations:
        return
    if (of := catalogue.pool_at(location)) != said.pool:
        raise UsageError(
            f"{location} is in the pool {of}.",
            field=names["pool"],
            found=shown(said.pool),
            expected=f"{of}, or {names['location']} alone",
            next="stockpush lots  (what lies where)",
        )


def _move(move: StockMove, by: By, pool: str | None = None) -> MoveStock:
    return MoveStock((move,), by.key, by.actor, by.reason, pool)


# -- words -----------------------------------------------------------------------------------


def amount(units: int, item: Item) -> str:
    """Return a quantity with its unit and item, as people say it.

    >>> from stockpush.model import Kind
    >>> amount(40, Item("candle", "", Kind.PRODUCT, "piece"))
    '40 candle'
    >>> amount(5000, Item("beeswax", "", Kind.MATERIAL, "kg", scale=3))
    '5 kg of beeswax'
    """
    said = bare(units, item)
    return f"{said} {item.sku}" if item.unit == "piece" else f"{said} of {item.sku}"


def of_lot(lot: str | None) -> str:
    """Return which lot it is of, as people say it."""
    return "" if lot is None else f" (lot {lot})"


def bare(units: int, item: Item) -> str:
    """Return a quantity without its item: a number, with its unit unless it counts pieces."""
    number = format_quantity(units, item.scale)
    return number if item.unit == "piece" else f"{number} {item.unit}"


# -- carrying out ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a verb, and the words for it.

    `undone_by` is, of a command that was done before, what has taken it back since. `comes`: what
    comes by the horizon of some listing is another amount now.
    """

    asked: Asked
    outcome: Outcome
    movement_ids: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    agreed: bool = False
    undone_by: int | None = None
    comes: bool = False


class Desk(Protocol):
    """Where a verb is carried out."""

    async def view(self) -> View:
        """Return what there is, at the instant of the call."""
        ...

    async def rehearse(self, command: Command) -> Decision:
        """Return what a command would do now, and do nothing."""
        ...

    async def undo_of(self, movement_id: int) -> int | None:
        """Return the movement that undoes another one, None where none does."""
        ...


async def carry_out(
    desk: Desk,
    before: View,
    asked: Asked,
    commit: Callable[[Command], Awaitable[Done]],
    *,
    dry_run: bool,
) -> Told:
    """Carry a verb out by `commit`, or with `dry_run` only decide it.

    `before` is what there was.
    """
    if dry_run:
        decision = await desk.rehearse(asked.command)
        if isinstance(decision.outcome, Replayed):
            return await _done_before(desk, asked, decision.outcome)
        after = before.after(decision)
        changes = changes_between(before, after)
        return Told(asked, decision.outcome, changes=changes, comes=comes_otherwise(before, after))
    done = await commit(asked.command)
    if isinstance(done.outcome, Replayed):
        return await _done_before(desk, asked, done.outcome)
    if isinstance(done.outcome, Refused):
        return Told(asked, done.outcome)
    try:
        after = await desk.view()
    except StoreUnavailable:
        # It is written: whoever was told that it is not would do it once more.
        return Told(asked, done.outcome, done.movement_ids)
    changes = changes_between(before, after)
    # What lies where nothing is sold is in no balance that is told, but it was counted.
    agreed = isinstance(asked.command, CountStock) and before.rows.lots == after.rows.lots
    comes = comes_otherwise(before, after)
    return Told(asked, done.outcome, done.movement_ids, changes, agreed, comes=comes)


async def _done_before(desk: Desk, asked: Asked, outcome: Replayed) -> Told:
    """Return what became of a command that was done before, and may have been undone since."""
    ids = outcome.movement_ids
    undone_by = await desk.undo_of(ids[0]) if ids else None
    return Told(asked, outcome, ids, undone_by=undone_by)


# -- telling ---------------------------------------------------------------------------------


def document(told: Told, *, dry_run: bool) -> dict[str, Any]:
    """Return the JSON of a stock verb that was not refused; of a build with what it used."""
    ids = [movement_name(each) for each in told.movement_ids]
    told_of: dict[str, Any] = {
        "id": ids[0] if ids else None,
        "undo": undo_command(told, dry_run=dry_run),
        "dry_run": dry_run,
        "replayed": isinstance(told.outcome, Replayed),
        "undone_by": None if told.undone_by is None else movement_name(told.undone_by),
        "movements": ids,
        "changed": [change.as_json() for change in told.changes],
    }
    if isinstance(told.asked.command, BuildStock):
        told_of["used"] = told.outcome.facts.get("used") if is_new(told) else None
    return told_of


def is_new(told: Told) -> bool:
    """Answer whether it was done, or would be: not before, and not refused."""
    return isinstance(told.outcome, Accepted)


def undo_command(told: Told, *, dry_run: bool) -> str | None:
    """Return the command that takes it back, None where there is nothing to take back."""
    if isinstance(told.asked.command, UndoMovement) or told.undone_by is not None:
        return None
    if told.movement_ids:
        return f"stockpush undo {movement_name(told.movement_ids[0])}"
    if dry_run or not is_new(told) or told.outcome.facts.get("changed") == 0:
        return None
    return told.asked.undo


def not_found(
    refused: Refused, asked: Asked, manner: Manner, *, field: str, where: str
) -> NotFound:
    """Return the error for a movement, hold, lot, location or pool that is not there.

    A movement or hold was named as `field`, and `where` is the command that shows what there is.
    """
    facts, message = refused.facts, refused.message
    at, found, next_command = field, None, where
    if "lot" in facts:
        found = facts["lot"]
        at = asked.fields.get(found, manner.names["lot"])
        next_command = f"stockpush lots {shlex.quote(facts['sku'])}"
        if asked.seen is not None:
            next_command = asked.seen(facts.get("lies_at", ()))
    elif "location" in facts:
        found = facts["location"]
        at = asked.fields.get(found, manner.names["location"])
        next_command = "stockpush import catalog.toml  (with [[locations]] for it)"
    elif "pool" in facts:
        at, found = manner.names["pool"], facts["pool"]
        next_command = "stockpush import catalog.toml  (with [[locations]] of that pool)"
        if "sku" in facts:
            next_command = f"stockpush lots {shlex.quote(facts['sku'])}"
    expected = " or ".join(facts.get("expected", ())) or None
    return NotFound(
        f"{message[0].upper()}{message[1:]}.",
        field=at,
        found=found,
        expected=expected,
        next=next_command,
    )


def next_after(refused: Refused, manner: Manner) -> str | None:
    """Return what to do after a refusal, None where there is nothing."""
    match refused.refusal:
        case "already_undone" | "is_an_undo":
            return again(refused.facts)
        case "not_undoable":
            sku = shlex.quote(refused.facts["sku"])
            return f"stockpush adjust {sku} QUANTITY  (to correct the balance, with a sign)"
        case _:
            told = _NEXT.get(refused.refusal)
            return None if told is None else told.format_map(manner.names)


def again(facts: Mapping[str, str]) -> str:
    """Return the command that does again what was undone.

    >>> told = {"sku": "wax", "unit": "kg", "quantity": "5", "location": "main", "pool": "main"}
    >>> again(told | {"kind": "receipt", "lot": "A12"})
    'stockpush receive wax 5kg --lot A12  (to do it again)'
    """
    sku, signed = shlex.quote(facts["sku"]), facts["quantity"]
    unit = "" if facts["unit"] == "piece" else facts["unit"]
    verb = _AGAIN.get(facts["kind"])
    pool = "" if facts["pool"] == MAIN else f" --pool {shlex.quote(facts['pool'])}"
    if verb is None:
        return f"stockpush adjust {sku} {signed}{unit}{pool}  (to do it again)"
    if verb == "transfer":
        return f"stockpush lots {sku}  (then the same transfer again)"
    place = f" --at PLACE{pool}" if verb == "sell" else ""
    if verb != "sell" and facts["location"] != MAIN:
        place = f" --location {shlex.quote(facts['location'])}"
    lot = f" --lot {shlex.quote(facts['lot'])}" if facts["lot"] and verb != "sell" else ""
    what = f"{verb} {sku} {signed.lstrip('-')}{unit}{lot}{place}"
    # A run is recorded by what it took, not by how it was told.
    told = ", with --bill, --used and --scrapped as it had them" if verb == "build" else ""
    return f"stockpush {what}  (to do it again{told})"


_AGAIN: Final[Mapping[str, str]] = {
    MovementKind.RECEIPT: "receive",
    MovementKind.BUILD_IN: "build",
    MovementKind.SCRAP: "scrap",
    MovementKind.RETURN: "return",
    MovementKind.SALE: "sell",
    MovementKind.TRANSFER: "transfer",
}
"""The verb that makes a movement of each kind; of others an adjustment does."""
_NEXT: Final[Mapping[str, str]] = {
    "no_bill": "stockpush import catalog.toml  (with a bill of materials for it)",
    "out_of_bounds": "the same command with a smaller quantity",
    "whole_batches_only": "the same command with a multiple of the batch",
    "key_reused": "the same command with another {key}, or without",
    "nothing_to_undo": "stockpush stock  (what is still to be built, and what to type when it is)",
    "not_held": "stockpush holds --all",
    "no_such_bill": "the same command with another {bill}, or without",
    "has_substitutes": "the same command with one of its substitutes",
    "not_a_substitute": "the same command with another {take}, or without",
    "used_twice": "the same command with {used} for the one or the others",
    "not_on_bill": "the same command with {used} for a component of the bill",
    "more_lost_than_built": "the same command with a smaller {scrapped}",
    "lot_differs": "stockpush lots  (then the same command with another {lot}, or without the day)",
    "lots_there": "stockpush lots  (then the same command with {lot} for each)",
    "never_sellable": "the same command with a later {expires}",
    "not_there": "stockpush lots  (what lies where; count what you see there)",
    "same_place": "the same command with another {destination}",
    "several_places": "the same command with {location} for one of them",
}
"""What to do after a refusal, where there is something; in braces what a part is called there."""
