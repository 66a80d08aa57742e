"""Holds as people and scripts ask for them, and as they are shown; one dataclass per JSON shape.

What was typed or posted becomes lines and an end here, with errors that name the place of a
mistake. "Can I take this order of 500?" is answered from one view: what could be promised of each
line now, and what every listing would show then. The shapes are those of docs/interface.md: keys
may be added, never renamed or removed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from stockpush.engine import given
from stockpush.engine.changes import Change, changes_between
from stockpush.engine.given import shown
from stockpush.engine.instants import end_of, expected_of, read_instant, read_when
from stockpush.errors import NotFound, UsageError
from stockpush.messages import Accepted, Decision, Refused, Replayed
from stockpush.model import HOLD_LINES_MAX, MAIN, Hold, HoldLine, HoldState, Item, shelf_key, sku_of
from stockpush.reservation import atp as netting
from stockpush.reservation import parting
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.holds import HOLD_MAX, merged, name_of, taken
from stockpush.reservation.pushes import target_in
from stockpush.reservation.sharing import as_turned
from stockpush.reservation.view import View
from stockpush.units import format_quantity, parse_quantity
from stockpush.values import replace

_HOLD: Final = re.compile(r"(?:hold-)?([0-9]{1,18})", re.IGNORECASE)
_SPAN: Final = re.compile(r"([0-9]{1,6})\s*([mhdw])", re.IGNORECASE)
_SPANS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_WITH_ZONE: Final = "an instant with a zone, such as 2026-12-24T18:00+01:00"


@dataclass(frozen=True, slots=True)
class HoldLineRow:
    """One line of a hold: `quantity` is a decimal string in the item's unit."""

    sku: str
    unit: str
    quantity: str


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold of `holds --json`: `state` is held, sold, released or expired.

    It expires at `until` if nobody has ended it before; `ended_at` is None while it is held. `note`
    says what it is for, `reason` why it was last changed. Of items that are split, `covered` is
    False while what it holds may still be sold elsewhere, or has been; `on_sale` is who may sell
    it.
    """

    id: str
    state: str
    lines: tuple[HoldLineRow, ...]
    placed_at: datetime
    until: datetime
    ended_at: datetime | None
    note: str
    reason: str
    actor: str
    pool: str = MAIN
    covered: bool = True
    on_sale: tuple[OnSaleRow, ...] = ()


@dataclass(frozen=True, slots=True)
class OnSaleRow:
    """What a listing may still sell, a decimal string in the unit of its item."""

    channel: str
    ref: Mapping[str, Any]
    sku: str
    unit: str
    quantity: str


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """What could be promised of one line beside those before it, decimal strings."""

    sku: str
    unit: str
    asked: str
    available: str


@dataclass(frozen=True, slots=True)
class FallRow:
    """A listing that will show another number: `from` (here `was`) and `to`, in its own units."""

    channel: str
    ref: Mapping[str, Any]
    sku: str
    was: int
    to: int

    def as_json(self) -> dict[str, Any]:
        """Return the shape of `listings` in `hold --json`."""
        return {
            "channel": self.channel,
            "ref": dict(self.ref),
            "sku": self.sku,
            "from": self.was,
            "to": self.to,
        }


# -- showing ---------------------------------------------------------------------------------


def is_parted(catalogue: Catalogue, hold: Hold) -> bool:
    """Answer whether a hold is of items that are split, and has not ended: its row takes a view."""
    shelves = (shelf_key(line.sku, hold.pool) for line in hold.lines)
    return hold.state is HoldState.HELD and any(map(catalogue.is_split, shelves))


def row(catalogue: Catalogue, hold: Hold, view: View | None = None) -> HoldRow:
    """Return a hold's row; `view` is what there is, of which one that `is_parted` has need."""
    uncovered = _uncovered(view, hold) if view is not None and is_parted(catalogue, hold) else []
    on_sale = {
        each.field: each for shelf in uncovered if view for each in parting.on_sale(view, shelf)
    }
    return HoldRow(
        id=name_of(hold.id),
        state=hold.state.value,
        lines=line_rows(catalogue, hold.lines),
        placed_at=hold.placed_at,
        until=hold.until,
        ended_at=hold.ended_at,
        note=hold.note,
        reason=hold.reason,
        actor=hold.actor,
        pool=hold.pool,
        covered=not uncovered,
        on_sale=tuple(
            OnSaleRow(
                key.channel,
                catalogue.listings_on[key][0].ref,
                item.sku,
                item.unit,
                format_quantity(on_sale[key].units, item.scale),
            )
            for key in sorted(on_sale)
            for item in (catalogue.items[sku_of(on_sale[key].shelf)],)
        ),
    )


def unread(number: int) -> dict[str, Any]:
    """Return the JSON of a hold that was changed and cannot be read now."""
    named = name_of(number)
    return {
        "id": named,
        "message": "It is done, and what it came to cannot be read right now.",
        "next": f"stockpush holds, or GET /api/v1/holds/{named}",
    }


def _uncovered(view: View, hold: Hold) -> list[str]:
    """Return the shelves of a hold that are split, and not covered with all that may be sold."""
    shelves = [shelf_key(line.sku, hold.pool) for line in hold.lines]
    parted = [shelf for shelf in shelves if view.catalogue.is_split(shelf)]
    return [shelf for shelf in parted if netting.atp(parting.spare(view, shelf), shelf) < 0]


def line_rows(catalogue: Catalogue, lines: Iterable[HoldLine]) -> tuple[HoldLineRow, ...]:
    """Return the rows of lines; an item is never removed, so each has one."""
    items = [(catalogue.items[line.sku], line.quantity) for line in lines]
    return tuple(
        HoldLineRow(item.sku, item.unit, format_quantity(quantity, item.scale))
        for item, quantity in items
    )


def promises(view: View, lines: Iterable[HoldLine], pool: str = MAIN) -> tuple[PromiseRow, ...]:
    """Return what could be promised of each line in a pool now, lines of one item added up.

    Each is looked at beside those before it, as much of them as could be promised.
    """
    rows = []
    for line in merged(lines):
        item = view.catalogue.items[line.sku]
        shelf = shelf_key(line.sku, pool)
        available = max(0, netting.atp(view.net([shelf]), shelf))
        asked, could = (format_quantity(each, item.scale) for each in (line.quantity, available))
        rows.append(PromiseRow(item.sku, item.unit, asked, could))
        view = taken(view, [HoldLine(line.sku, min(line.quantity, available))], pool)
    return tuple(rows)


def falls(before: View, after: View, skus: Iterable[str]) -> tuple[FallRow, ...]:
    """Return the listings whose number differs between two views, by channel and listing.

    `skus` are the shelves that something was done to; all that share a material with them are
    looked at. A listing whose number was not read yet, or that waits for a person, is left out; of
    several on one number each is told of.
    """
    group = before.catalogue.group(skus)
    after = as_turned(after, group)
    nets = before.net(group), after.net(group)
    rows = []
    for key in sorted(before.catalogue.fields_showing(group)):
        field, policy = before.field(key), before.catalogue.policies.get(key.channel)
        if field is None or policy is None or field.expected is None or field.parked_reason:
            continue
        was, to = (
            target_in(view, net, field, policy)
            for view, net in zip((before, after), nets, strict=True)
        )
        if was != to:
            rows += [
                FallRow(key.channel, listing.ref, listing.sku, was, to)
                for listing in before.catalogue.listings_on[key]
            ]
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a command on a hold does, or would: the hold afterwards (None where it changes none),
    what changes with it, and the listings that follow.
    """

    hold: HoldRow | None
    changes: tuple[Change, ...]
    falls: tuple[FallRow, ...]


def effect(before: View, after: View, hold: Hold | None, shelves: Sequence[str]) -> Effect:
    """Return what a command does that was carried out between two views; `shelves` are those that
    the hold is of.
    """
    return Effect(
        None if hold is None else row(before.catalogue, hold, after),
        changes_between(before, after),
        falls(before, after, shelves),
    )


def foreseen(before: View, decision: Decision, shelves: Sequence[str]) -> Effect:
    """Return what a command would do of which only the decision was made."""
    accepted = isinstance(decision.outcome, Accepted)
    changed = decision.holds[-1] if decision.holds else None
    return effect(before, before.after(decision) if accepted else before, changed, shelves)


def document(
    done: Effect,
    lines: Sequence[HoldLineRow],
    *,
    named: str | None = None,
    undo: str | None = None,
    dry_run: bool,
    replayed: bool,
) -> dict[str, Any]:
    """Return the JSON of a command on a hold: its id is `named` where there is one."""
    hold = done.hold
    return {
        "id": named,
        "undo": undo,
        "dry_run": dry_run,
        "replayed": replayed,
        "state": None if hold is None else hold.state,
        "until": None if hold is None else hold.until,
        "note": None if hold is None else hold.note,
        "lines": lines,
        "changed": [change.as_json() for change in done.changes],
        "listings": [each.as_json() for each in done.falls],
        "covered": None if hold is None else hold.covered,
        "on_sale": () if hold is None else hold.on_sale,
    }


def possible(
    before: View, decision: Decision, lines: Sequence[HoldLine], pool: str
) -> dict[str, Any]:
    """Return the JSON of a hold that could be placed, as the decision says."""
    asked = merged(lines)
    return document(
        foreseen(before, decision, [shelf_key(line.sku, pool) for line in asked]),
        line_rows(before.catalogue, asked),
        dry_run=True,
        replayed=isinstance(decision.outcome, Replayed),
    )


def explained(view: View, lines: Sequence[HoldLine], refused: Refused, pool: str = MAIN) -> Refused:
    """Return why a hold cannot be placed with what could be promised of each line instead, and what
    listings would fall to if it were taken all the same.
    """
    could = taken(view, merged(lines), pool)
    fallen = falls(view, could, [shelf_key(line.sku, pool) for line in lines])
    told = {"lines": promises(view, lines, pool), "listings": [each.as_json() for each in fallen]}
    return replace(refused, facts={**refused.facts, **told})


def next_after(refused: Refused, *, key: str, until: str, lower: str) -> str | None:
    """Return what to do after a refusal on a hold, None where there is nothing.

    `key`, `until` and `lower` are what the three are called where it was asked for.
    """
    match refused.refusal:
        case "insufficient_atp":
            return _next_of_short(refused.facts)
        case "still_on_sale":
            return f"the same with {lower}, to have the listings lowered for it"
        case "key_reused":
            return f"the same with another {key}, or without"
        case "out_of_bounds":
            return "the same with a smaller quantity, or fewer lines"
        case "has_substitutes":
            return "the same with one of its substitutes"
        case "not_held":
            return "stockpush holds --all"
        case "until_past":
            return f"the same with a later {until}"
        case "until_too_late":
            return f"the same with an earlier {until}"
        case _:
            return None


def _next_of_short(facts: Mapping[str, Any]) -> str:
    """Return the command for what is bought first, or, where buying will not do, the one that shows
    why: a promise rule, or what takes too long, stands against it.
    """
    if facts["limited_by"] not in (each["sku"] for each in facts["to_buy"]):
        return f"stockpush why {shlex.quote(facts['sku'])}"
    first = facts["to_buy"][0]
    unit = "" if first["unit"] == "piece" else first["unit"]
    sku = first.get("any_of", [first["sku"]])[0]
    bought = f"{shlex.quote(sku)} {first['quantity']}{unit}"
    location = facts.get("location", MAIN)
    place = "" if location == MAIN else f" --location {shlex.quote(location)}"
    return f"stockpush receive {bought}{place}  (when it has arrived)"


# -- reading ---------------------------------------------------------------------------------


def read_id(text: str, *, field: str) -> int:
    """Return the number of a hold from its id as it is typed.

    >>> read_id("hold-12", field="ID"), read_id("12", field="ID")
    (12, 12)
    """
    found = _HOLD.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{shown(text)!r} is not the id of a hold.",
            field=field,
            found=shown(text),
            expected="an id that was told when the hold was placed, such as hold-12",
            next="stockpush holds --all",
        )
    return int(found[1])


def read_quantity(quantity: object, item: Item, *, field: str) -> int:
    """Return a quantity of an item in its smallest units, > 0. Raises `QuantityInvalid` that
    names `field`.
    """
    return parse_quantity(
        quantity,
        unit=item.unit,
        scale=item.scale,
        field=field,
        zero=False,
        purchase_units=item.purchase_units,
    )


def read_end(
    span: str | None,
    until: str | None,
    *,
    default: timedelta,
    names: tuple[str, str],
    local: bool,
) -> datetime | timedelta:
    """Return when a hold is to end: a span from now (`3d`, `2h`, `90m`, `1w`) or an instant.

    At most one of the two may be given; with neither it is `default`. `names` are what the two are
    called where they were given. `local`: an instant without a zone is by the clock on the wall
    here, and a date its end; otherwise both are refused. Whether it is to come, the core says.

    >>> read_end("90m", None, default=timedelta(7), names=("--for", "--until"), local=True)
    datetime.timedelta(seconds=5400)
    """
    if span is not None and until is not None:
        raise UsageError(
            f"{names[0]} and {names[1]} both say when it ends.",
            field=names[1],
            expected=f"one of {names[0]} and {names[1]}, or neither",
        )
    if span is not None:
        return _read_span(span, field=names[0])
    return default if until is None else _read_instant(until, field=names[1], local=local)


def _read_span(text: str, *, field: str) -> timedelta:
    found = _SPAN.fullmatch(text.strip())
    span = None if found is None else int(found[1]) * _SPANS[found[2].lower()]
    if span is None or not timedelta(0) < span <= HOLD_MAX:
        raise UsageError(
            f"{field} is no time that a hold can last.",
            field=field,
            found=shown(text),
            expected=f"minutes, hours, days or weeks, such as 90m, 2h, 3d or 1w, "
            f"{HOLD_MAX.days}d at most",
        )
    return span


def _read_instant(text: str, *, field: str, local: bool) -> datetime:
    until = read_instant(text, None, day=end_of)
    if not local:
        when = read_when(text)
        until = when if isinstance(when, datetime) and when.tzinfo is not None else None
    if until is None:
        raise UsageError(
            f"{field} does not say when it ends.",
            field=field,
            found=shown(text),
            expected=f"{expected_of(text)} (a day is its end)" if local else _WITH_ZONE,
        )
    return until


def check_pool(pool: str, catalogue: Catalogue, *, field: str) -> None:
    """Raise `NotFound` for a pool that nothing is sold from."""
    if pool not in catalogue.pools:
        raise NotFound(
            f"There is no pool {shown(pool)!r} that anything is sold from.",
            field=field,
            found=shown(pool),
            expected=" or ".join(catalogue.pools),
            next="stockpush import catalog.toml  (with [[locations]] of that pool)",
        )


# -- what a script posts -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posted:
    """A hold as it was posted: lines, when it ends, the pool it is of, and whether listings are to
    be lowered for it.

    `dry_run`: it is only asked whether it can be placed.
    """

    lines: tuple[HoldLine, ...]
    until: datetime | timedelta
    note: str
    reason: str
    pool: str = MAIN
    lower: bool = False
    dry_run: bool = False


def read_posted(content: Any, catalogue: Catalogue, *, default: timedelta) -> Posted:
    """Return the hold that a body asks for; `content` is its JSON.

    `{"lines": [{"sku", "quantity"}], "for" or "until", "pool", "lower", "note", "reason",
    "dry_run"}`, all but the lines optional. Raises `UsageError` and `NotFound` that name the field,
    such as `lines[1].sku`.
    """
    known = ("lines", "for", "until", "pool", "lower", "note", "reason", "dry_run")
    body = given.table(content, "body", known)
    lines = body.get("lines")
    if not isinstance(lines, list) or not lines:
        raise given.wrong("lines", lines, 'a list such as [{"sku": "candle", "quantity": "5"}]')
    if len(lines) > HOLD_LINES_MAX:
        raise given.wrong("lines", f"{len(lines)} lines", f"{HOLD_LINES_MAX} lines at most")
    return Posted(
        lines=tuple(
            _posted_line(each, catalogue, f"lines[{number}]") for number, each in enumerate(lines)
        ),
        until=read_posted_end(body, default=default),
        note=given.line(body, "note"),
        reason=given.line(body, "reason"),
        pool=_posted_pool(body, catalogue),
        lower=given.flag(body, "lower"),
        dry_run=given.flag(body, "dry_run"),
    )


def _posted_pool(body: Mapping[str, Any], catalogue: Catalogue) -> str:
    """Return the pool that a body names, MAIN where it names none."""
    named = given.text(body, "pool")
    pool = MAIN if named is None else named
    check_pool(pool, catalogue, field="pool")
    return pool


def read_renewal(content: Any) -> tuple[datetime | timedelta, str]:
    """Return the new end, and the reason, that a body asks for; `content` is its JSON."""
    body = given.table(content, "body", ("for", "until", "reason"))
    if "for" not in body and "until" not in body:
        raise given.wrong("for", None, "one of for and until")
    return read_posted_end(body, default=timedelta(0)), given.line(body, "reason")


def read_posted_end(body: Mapping[str, Any], *, default: timedelta) -> datetime | timedelta:
    """Return when the hold of a body ends."""
    return read_end(
        given.text(body, "for"),
        given.text(body, "until"),
        default=default,
        names=("for", "until"),
        local=False,
    )


def _posted_line(content: Any, catalogue: Catalogue, where: str) -> HoldLine:
    line = given.table(content, where, ("sku", "quantity"))
    item = given.item(line.get("sku"), catalogue, field=f"{where}.sku")
    if line.get("quantity") is None:
        raise given.wrong(f"{where}.quantity", None, "a quantity, such as 5 or '2.5 kg'")
    return HoldLine(item.sku, read_quantity(line["quantity"], item, field=f"{where}.quantity"))
