"""Holds: units set aside for a while, and what it would mean to set them aside.

`hold` answers "Can I take this order of 500?" first: with --dry-run it only answers. What cannot be
held is refused whole, with what is short and what to buy. A hold that is due has expired for every
command here, also where no daemon has noted it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeAlias

import typer

from stockpush.cli.acting import example
from stockpush.cli.amounts import refuse_options
from stockpush.cli.changes import print_changes, warn_of
from stockpush.cli.options import Config, Json, Write, writing
from stockpush.cli.output import cell, print_json, reference, refuse, say, show, table
from stockpush.cli.places import PoolName
from stockpush.cli.session import actor, find_item, with_parts
from stockpush.engine import holding
from stockpush.engine.given import one_line
from stockpush.engine.holding import Effect, FallRow, HoldLineRow, HoldRow, PromiseRow, read_id
from stockpush.errors import NotFound, UsageError
from stockpush.messages import (
    Accepted,
    Command,
    Outcome,
    PlaceHold,
    Refused,
    ReleaseHold,
    RenewHold,
    Replayed,
)
from stockpush.model import MAIN, Hold, HoldLine, HoldState, shelf_key
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.holds import ON_SALE_TOLD_MAX, merged, name_of, taken
from stockpush.reservation.view import View
from stockpush.units import is_unit

if TYPE_CHECKING:
    from stockpush.compose import Parts

HoldId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="What `hold` printed: hold-12.")
]
For: TypeAlias = Annotated[
    str | None,
    typer.Option("--for", metavar="TIME", help="How long from now: 90m, 2h, 3d, 1w."),
]
Until: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="INSTANT", help="Until when: 2026-12-24T18:00, or a day's end."
    ),
]
HOLDS_DEFAULT: Final = 100
HOLDS_MAX: Final = 500
"""How many holds are listed unless told otherwise, and at most."""
_NAMES: Final = ("--for", "--until")


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a command on a hold. `promises` are told where a hold is to be placed.

    `undo` is the command that takes it back, None where there is none.
    """

    what: str
    outcome: Outcome
    done: Effect
    lines: tuple[HoldLineRow, ...] = ()
    undo: str | None = None
    promises: tuple[PromiseRow, ...] = ()


@writing
def hold(
    write: Write,
    sku: Annotated[str, typer.Argument(metavar="SKU", help="Which item.")],
    quantity: Annotated[
        list[str],
        typer.Argument(
            metavar="QUANTITY [SKU QUANTITY ...]",
            help="How much, and what else belongs to the same hold.",
        ),
    ],
    span: For = None,
    until: Until = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is for.")] = "",
    pool: PoolName = MAIN,
    lower: Annotated[
        bool,
        typer.Option(
            "--lower", help="Of split items: also what listings may still sell; they are lowered."
        ),
    ] = False,
) -> None:
    """Set units aside: all of it or nothing.

    For example: stockpush hold candle-lav 20 soap-lav 5 --for 3d --note "Christmas market"

    With --dry-run it answers whether an order of that size can be taken: what is short, what to
    buy, how many could be promised now, and what other listings would fall to.
    """
    told_note = one_line(note, field="--note")

    async def job(parts: Parts) -> Told:
        view = await parts.view()
        refuse_options([sku, *quantity], write)
        lines = _lines(view.catalogue, [sku, *quantity])
        further = "stockpush hold --help"
        holding.check_pool(pool, view.catalogue, field="--pool")
        shelves = [shelf_key(line.sku, pool) for line in lines]
        end = _read_end(span, until, default=parts.hold_for, further=further)
        command = PlaceHold(
            lines,
            end,
            told_note,
            write.key_or(parts.ids.new),
            actor(),
            write.reason,
            pool=pool,
            lower=lower,
        )
        rows = holding.line_rows(view.catalogue, merged(lines))
        told = await _carry_out(parts, write, view, command, shelves)
        told = replace(
            told,
            what=_listed(rows),
            lines=rows,
            undo=f"stockpush release {told.done.hold.id}" if told.done.hold is not None else None,
        )
        outcome = told.outcome
        if not isinstance(outcome, Refused) or outcome.refusal != "insufficient_atp":
            return told
        could = taken(view, merged(lines), pool)
        return replace(
            told,
            outcome=holding.explained(view, lines, outcome, pool),
            done=replace(told.done, falls=holding.falls(view, could, shelves)),
            promises=holding.promises(view, lines, pool),
        )

    told = with_parts(write.config, job)
    if isinstance(told.outcome, Refused):
        _refuse_hold(told, told.outcome, write)
    ends = "" if told.done.hold is None else f" until {_local(told.done.hold)}"
    _tell(told, write, did=f"Held {told.what}{ends}", could=f"Yes, {told.what} can be held{ends}")


@writing
def release(
    write: Write,
    hold_id: HoldId,
) -> None:
    """Give back what a hold set aside.

    For example: stockpush release hold-12
    """
    number = read_id(hold_id, field="ID")

    def command(_: Hold | None, key: str) -> Command:
        return ReleaseHold(number, key, actor(), write.reason)

    told = _on_hold(write, number, command)
    words = f"{name_of(number)}: {told.what}"
    _tell(told, write, did=f"Released {words}", could=f"{words} would be released")


@writing
def renew(
    write: Write,
    hold_id: HoldId,
    span: For = None,
    until: Until = None,
) -> None:
    """Have a hold end at another time.

    For example: stockpush renew hold-12 --for 3d
    """
    number = read_id(hold_id, field="ID")
    further = f"stockpush renew {name_of(number)} --for 3d"
    if span is None and until is None:
        raise UsageError(
            "When the hold is to end is missing.",
            field="--for",
            expected="--for TIME or --until INSTANT",
            next=further,
        )
    end = _read_end(span, until, default=timedelta(), further=further)

    def command(_: Hold | None, key: str) -> Command:
        return RenewHold(number, end, key, actor(), write.reason)

    def undo(before: Hold) -> str:
        return f"stockpush renew {name_of(number)} --until {before.until.isoformat()}"

    told = _on_hold(write, number, command, undo)
    ends = "" if told.done.hold is None else f" until {_local(told.done.hold)}"
    words = f"{name_of(number)}{ends}: {told.what}"
    _tell(told, write, did=f"Held on to {words}", could=f"{words} would be held")


def holds(
    config: Config = None,
    as_json: Json = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that have ended, too, newest first.")
    ] = False,
    limit: Annotated[
        int,
        typer.Option("--limit", metavar="N", min=1, max=HOLDS_MAX, help="How many."),
    ] = HOLDS_DEFAULT,
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", metavar="ID", help="Go on where the last page ended: its `next`."),
    ] = None,
) -> None:
    """List what is set aside, newest first."""
    before = None if cursor is None else read_id(cursor, field="--cursor")
    state = None if everything else HoldState.HELD

    async def read(parts: Parts) -> tuple[tuple[HoldRow, ...], int | None]:
        catalogue = await parts.catalogue()
        page = await parts.holds(limit=limit, before=before, state=state)
        parted = any(holding.is_parted(catalogue, each) for each in page.data)
        view = await parts.view() if parted else None
        return tuple(holding.row(catalogue, each, view) for each in page.data), page.next

    rows, following = with_parts(config, read)
    after = None if following is None else name_of(following)
    if as_json:
        print_json({"data": rows, "next": after})
        return
    _print_holds(rows, everything=everything)
    if after is not None:
        say(f"More: stockpush holds{' --all' if everything else ''} --cursor {after}", "dim")


# -- carrying out ----------------------------------------------------------------------------


def _on_hold(
    write: Write,
    number: int,
    command: Callable[[Hold | None, str], Command],
    undo: Callable[[Hold], str] | None = None,
) -> Told:
    """Carry out a command on a hold that there is; a refusal ends the program."""

    async def job(parts: Parts) -> Told:
        view, before = await parts.view(), await parts.hold(number)
        skus = [] if before is None else [shelf_key(line.sku, before.pool) for line in before.lines]
        told = await _carry_out(
            parts, write, view, command(before, write.key_or(parts.ids.new)), skus
        )
        if before is None:
            return told
        return replace(
            told,
            what=_listed(holding.line_rows(view.catalogue, before.lines)),
            lines=holding.line_rows(view.catalogue, before.lines),
            undo=undo(before) if undo is not None else None,
        )

    told = with_parts(write.config, job)
    if isinstance(told.outcome, Refused):
        if told.outcome.refusal != "not_found":
            _refuse(told.outcome, write)
        raise NotFound(
            f"There is no hold {name_of(number)}.",
            field="ID",
            found=name_of(number),
            next="stockpush holds --all",
        )
    return told


async def _carry_out(
    parts: Parts, write: Write, view: View, command: Command, skus: Sequence[str]
) -> Told:
    """Carry a command out, or with --dry-run only decide it; `view` is what there was before.

    Holds and lots that are due are noted first: where no daemon runs nobody has.
    """
    first = await parts.lane.overdue()
    if write.dry_run:
        decision = await parts.lane.rehearse(*first, command)
        return Told("", decision.outcome, holding.foreseen(view, decision, skus))
    (*_, done) = await parts.lane.commit([*first, command])
    after, outcome, changed = view, done.outcome, None
    if isinstance(outcome, Accepted):
        after = await parts.view()
    if isinstance(outcome, Accepted | Replayed) and "hold" in outcome.facts:
        changed = await parts.hold(outcome.facts["hold"])
    return Told("", outcome, holding.effect(view, after, changed, skus))


# -- telling ---------------------------------------------------------------------------------


def _tell(told: Told, write: Write, *, did: str, could: str) -> None:
    """Print what was done, or with --dry-run could be."""
    replayed = isinstance(told.outcome, Replayed)
    named = None if told.done.hold is None or write.dry_run else told.done.hold.id
    undo = None if write.dry_run or replayed else told.undo
    if write.as_json:
        print_json(
            holding.document(
                told.done,
                told.lines,
                named=named,
                undo=undo,
                dry_run=write.dry_run,
                replayed=replayed,
            )
        )
        return
    if replayed:
        say(f"Done before under this key{f', as {named}' if named else ''}; nothing was changed.")
        return
    say(f"{could}: not done, only shown." if write.dry_run else _with_id(did, named), "bold")
    if told.done.changes:
        say()
        print_changes(told.done.changes)
    _print_falls(told.done.falls, "Listings that follow:")
    held = told.done.hold
    if held is not None and not held.covered:
        say()
        say(f"Not safe yet: {_uncovered(held)}. When it is, stockpush holds says so.", "yellow")
    if undo:
        say()
        say(f"Undo: {undo}")
    warn_of(told.done.changes)


def _with_id(did: str, named: str | None) -> str:
    return did if named is None or named in did else f"{did}, as {named}"


def _refuse_hold(told: Told, refused: Refused, write: Write) -> NoReturn:
    """Say why a hold cannot be placed, and what would make it possible; ends the program."""
    if refused.refusal == "not_found":
        raise NotFound(
            f"{refused.message[0].upper()}{refused.message[1:]}.",
            field="SKU",
            next="stockpush stock",
        )
    if refused.refusal == "insufficient_atp" and not write.as_json:
        _print_promises(told.promises)
        _print_to_buy(refused.facts["to_buy"])
        _print_falls(told.done.falls, "If it were taken all the same, listings would fall:")
        say()
    _refuse(refused, write)


def _refuse(refused: Refused, write: Write) -> NoReturn:
    further = holding.next_after(refused, key="--key", until="--until", lower="--lower")
    refuse(refused, as_json=write.as_json, next=further)


def _print_to_buy(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    say()
    say("To buy:", "bold")
    for each in rows:
        unit = "" if each["unit"] == "piece" else f" {each['unit']} of"
        any_of = f" ({' or '.join(each['any_of'])})" if "any_of" in each else ""
        bought = each.get("purchase")
        packed = f", in whole {bought['unit']}: {bought['quantity']}" if bought else ""
        say(f"{each['quantity']}{unit} {each['sku']}{any_of}{packed}")


def _print_promises(rows: Sequence[PromiseRow]) -> None:
    shown = table("SKU", ">asked for", ">can be promised", "")
    for row in rows:
        enough = Decimal(row.available) >= Decimal(row.asked)
        shown.add_row(
            cell(row.sku),
            cell(row.asked),
            cell(row.available, "" if enough else "bold red"),
            cell(row.unit, "dim"),
        )
    show(shown)


def _print_falls(rows: Sequence[FallRow], heading: str) -> None:
    if not rows:
        return
    say()
    say(heading)
    shown = table("channel", "reference", "SKU", ">shows", ">to")
    for row in rows:
        shown.add_row(
            cell(row.channel),
            cell(reference(row.ref), "dim"),
            cell(row.sku),
            cell(row.was),
            cell(row.to, "bold"),
        )
    show(shown)


def _print_holds(rows: Sequence[HoldRow], *, everything: bool) -> None:
    if not rows:
        say("There are no holds." if everything else "Nothing is held.")
        return
    pooled = any(row.pool != MAIN for row in rows)
    pool, state = (["pool"] if pooled else []), (["=state"] if everything else [])
    shown = table("id", "what", *pool, "until", *state, "for")
    for row in rows:
        shown.add_row(
            cell(row.id),
            cell(_listed(row.lines)),
            *([cell(row.pool)] if pooled else []),
            cell(row.until),
            *([cell(row.state, "" if row.state == "held" else "dim")] if everything else []),
            cell(row.note, "dim"),
        )
    show(shown)
    for row in rows:
        if not row.covered:
            say(f"{row.id} is not safe yet: {_uncovered(row)}", "yellow")


def _uncovered(row: HoldRow) -> str:
    """Return why what is held is not safe: who may still sell it, or that somebody has."""
    if not row.on_sale:
        return "more was sold than there is (stockpush stock)"
    told = (
        f"{_listed([HoldLineRow(each.sku, each.unit, each.quantity)])} at {each.channel}"
        for each in row.on_sale[:ON_SALE_TOLD_MAX]
    )
    left = len(row.on_sale) - ON_SALE_TOLD_MAX
    more = f" and {left} more listings" if left > 0 else ""
    return f"still on sale: {', '.join(told)}{more}"


def _listed(rows: Sequence[HoldLineRow]) -> str:
    """Return lines as people say them.

    >>> _listed([HoldLineRow("candle", "piece", "5"), HoldLineRow("wax", "kg", "2.5")])
    '5 candle and 2.5 kg of wax'
    """
    said = [
        f"{row.quantity} {row.sku}"
        if row.unit == "piece"
        else f"{row.quantity} {row.unit} of {row.sku}"
        for row in rows
    ]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _local(row: HoldRow) -> str:
    return row.until.astimezone().strftime("%Y-%m-%d %H:%M")


# -- reading arguments -----------------------------------------------------------------------


def _read_end(
    span: str | None, until: str | None, *, default: timedelta, further: str
) -> datetime | timedelta:
    """Return when a hold is to end; a slip gets `further` as what to type."""
    try:
        return holding.read_end(span, until, default=default, names=_NAMES, local=True)
    except UsageError as error:
        error.next = further
        raise


def _lines(catalogue: Catalogue, words: Sequence[str]) -> tuple[HoldLine, ...]:
    """Return the lines that were typed: a SKU and a quantity, again and again.

    A unit may stand apart from its number (`5 kg`), unless an item is called so.
    """
    lines = []
    left = list(words)
    while left:
        item = find_item(catalogue, left.pop(0))
        if not left:
            raise UsageError(
                f"The quantity of {item.sku} is missing.",
                field="QUANTITY",
                expected="a quantity after each SKU",
                next=f"stockpush hold {shlex.join(words)} 5",
            )
        text = left.pop(0)
        apart = left and text[-1:].isdigit() and left[0] not in catalogue.items
        if apart and is_unit(left[0], item.purchase_units):
            text = f"{text} {left.pop(0)}"
        try:
            quantity = holding.read_quantity(text, item, field=f"quantity of {item.sku}")
        except UsageError as error:
            error.next = error.next or example("hold", item)
            raise
        lines.append(HoldLine(item.sku, quantity))
    return tuple(lines)
