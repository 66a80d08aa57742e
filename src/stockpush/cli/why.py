"""`why`: how a number comes about, as a sum on paper; now, or when it was sent.

Theory of operation. What is printed are the terms of `engine/why.py` and nothing else: lines of
nothing are left out, and lines may be drawn together, but every number is a term, a sum of terms,
or the total. `--json` has all of them, one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from stockpush.cli.options import Config, Json
from stockpush.cli.output import cell, plain, print_json, reference, say, say_reasons, show, table
from stockpush.cli.session import find_item, with_parts
from stockpush.engine.why import ItemTerm, ListingTerm, ListingWhy, MovementRow, OrderRow, Why
from stockpush.engine.wording import when, wording

if TYPE_CHECKING:
    from stockpush.compose import Parts

_IN_PACKS = frozenset({"buffer", "part_of_a_pack"})
"""Terms that packs are counted after, besides those of the item."""
_ABOVE = "as above"
"""The note of a line that the item's sum has shown."""
_NEWEST = (
    "Of an order only its newest version is kept: what was open of it at that time is not known."
)


class _Line(NamedTuple):
    """One line of a sum."""

    quantity: str
    label: str
    note: str = ""


def why(
    sku: Annotated[str, typer.Argument(metavar="SKU", help="The item.")],
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="T",
            help="When: 2026-11-22T10:00, 2026-11-22 (its end), or how long ago: -2h, -3d.",
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show why a number is what it is.

    What can be promised of an item and what each listing should show, as sums.

    With --at, what each listing was last sent by then, and what has changed since. Without a zone
    it is by this machine's clock.
    """

    async def read(parts: Parts) -> Why:
        item = find_item(await parts.catalogue(), sku)
        found = await parts.why(item.sku, at=at, zone=UTC if as_json else None, local_at=True)
        assert found is not None, "items are never removed"
        return found

    found = with_parts(config, read, what="Working out where the numbers come from ...")
    if as_json:
        print_json(found)
    elif found.past:
        _print_past(found)
    else:
        for each in (found, *found.elsewhere):
            if each is not found:
                say()
            _print_now(each, pooled=bool(found.elsewhere))


def _print_now(found: Why, *, pooled: bool) -> None:
    """Print the sum of the item, and the sum of each listing; `pooled`: of one pool of several."""
    _say_name(found, f"in the pool {found.pool}" if pooled else "")
    total = _Line(found.atp or "", "to promise (ATP)", found.note or "")
    _print_sum(_lines(found.terms), total)
    _print_sums(
        (
            _headed(listing, "in packs of"),
            _listing_lines(found, listing),
            _Line(str(listing.shown), "to show", _stands(listing)),
        )
        for listing in found.listings
        if listing.shown is not None
    )
    _say_unknown(found)
    if not found.listings:
        say()
        say(f"It is not listed on any channel{' of this pool' if pooled else ''}.", "dim")
    elif found.exposure != "0":
        counted = "" if found.unit == "piece" else f" {found.unit}"
        say()
        say(
            f"Exposure {found.exposure}{counted}: sold too much if every listing sold out at once.",
            "dim",
        )


def _listing_lines(found: Why, listing: ListingWhy) -> list[_Line]:
    """Return a listing's lines; those that the item's sum has already shown are one line, unless it
    has a horizon of its own.
    """
    if listing.horizon is not None:
        return _lines(listing.terms)
    shown = {term.name for term in found.terms}
    promised = f"{found.atp} {found.unit} to promise"
    if listing.pack == 1:
        first = _Line(str(_sum_of(listing.terms, shown)), "to promise", _ABOVE)
    else:
        drawn = shown | _IN_PACKS
        buffer = next((term for term in listing.terms if term.name == "buffer"), None)
        less = f", {buffer.note}" if buffer is not None and buffer.source else ""
        packs = f"whole packs of {listing.pack} in {promised}{less}"
        first = _Line(str(_sum_of(listing.terms, drawn)), "in packs", packs)
        shown = drawn
    rest = [term for term in listing.terms if term.name not in shown]
    return [first, *_lines(rest, signed=True)]


def _sum_of(terms: Iterable[ListingTerm], names: Iterable[str]) -> int:
    wanted = frozenset(names)
    return sum(term.quantity for term in terms if term.name in wanted)


def _stands(listing: ListingWhy) -> str:
    """Return how the number stands beside what the channel shows."""
    if listing.expected is None:
        return listing.reason or ""
    same = "that is what it shows" if listing.shown == listing.expected else ""
    text = same or f"it shows {listing.expected}"
    if listing.pushed_at is not None:
        text += f", last written {when(listing.pushed_at, None)}"
    if listing.bound:
        text += f"; up to {listing.bound} could be sold twice, in the moment of a write"
    return f"{text}; {listing.reason}" if listing.reason else text


def _print_past(found: Why) -> None:
    """Print the stored sum of each listing, and what has changed since."""
    _say_name(found, f"at {when(found.at, None)}")
    _print_sum([], _Line(found.on_hand, "on hand then", found.note or ""))
    sent = [each for each in found.listings if each.push is not None]
    _print_sums(
        (
            _headed(each, "in packs, now of"),
            _lines(each.terms),
            _Line(str(each.shown), "sent", _told(each)),
        )
        for each in sent
    )
    _say_unknown(found)
    if not found.listings:
        say()
        say("It is not listed on any channel, so nothing was ever sent.", "dim")
    _print_since(sent)


def _told(listing: ListingWhy) -> str:
    """Return when a number was sent, and what came of it."""
    push = listing.push
    assert push is not None
    return f"{when(push.sent_at, None)}; it held {push.was}, {push.told}"


def _print_since(sent: Sequence[ListingWhy]) -> None:
    """Print what has changed since the first of some pushes, in the order in which it did."""
    known = sorted(
        ((each.push.sent_at, each.since) for each in sent if each.push and each.since),
        key=lambda of: of[0],
    )
    if not known:
        return
    at, since = known[0]
    # What has changed since any of them has changed since the first.
    changes: set[MovementRow | OrderRow] = set()
    for _, each in known:
        changes |= {*each.movements, *each.orders}
    listed = len(since.movements) + len(since.orders)
    more = listed + since.more_movements + since.more_orders - len(changes)
    say()
    if not changes:
        say(f"Since {when(at, None)} nothing has changed.", "dim")
        return
    say(f"Since {when(at, None)}, of the item and what shares its materials:", "bold")
    shown = table("when", "SKU", ">change", "what")
    for change in sorted(changes, key=_in_time):
        shown.add_row(*_change(change))
    show(shown)
    if more:
        say(f"and {more} more", "dim")
    if any(isinstance(change, OrderRow) for change in changes):
        say()
        say(_NEWEST, "dim")


def _in_time(change: MovementRow | OrderRow) -> tuple[datetime, str]:
    if isinstance(change, MovementRow):
        return change.at, f"{int(change.id.removeprefix('mv-')):020}"
    return change.updated_at, change.source


def _change(change: MovementRow | OrderRow) -> tuple[Text, Text, Text, Text]:
    """Return the row of a movement, or of the newest version of an order line."""
    if isinstance(change, MovementRow):
        sign = "" if change.quantity.startswith("-") else "+"
        unit = "" if change.unit == "piece" else f" {change.unit}"
        reason = f": {change.reason}" if change.reason else ""
        return (
            cell(change.at),
            cell(change.sku),
            cell(f"{sign}{change.quantity}{unit}"),
            cell(f"{change.kind}, {change.id}{reason}", "dim"),
        )
    packs = "" if change.pack == 1 else f" packs of {change.pack}"
    told = f"{change.source}: {change.open} of {change.ordered}{packs} open now"
    return cell(change.updated_at), cell(change.sku), cell(None), cell(told, "dim")


# -- sums ------------------------------------------------------------------------------------


def _say_name(found: Why, after: str = "") -> None:
    counted = "" if found.unit == "piece" else f", in {found.unit}"
    say(f"{found.name} ({found.sku}){counted} {after}".rstrip(), "bold")


def _say_unknown(found: Why) -> None:
    """Say which listings have no number to explain, and why."""
    say_reasons(
        (_named(each), each.reason or "not known") for each in found.listings if each.shown is None
    )


def _headed(listing: ListingWhy, packs: str) -> str:
    """Return a listing's name as its sum is headed."""
    named = _named(listing) + (f", {packs} {listing.pack}" if listing.pack != 1 else "")
    return named + ("" if listing.horizon is None else f", promised within {listing.horizon}")


def _named(listing: ListingWhy) -> str:
    return f"{listing.channel} {reference(listing.ref)}"


def _lines(terms: Iterable[ItemTerm | ListingTerm], *, signed: bool = False) -> list[_Line]:
    """Return a line for each term that is not nothing, with its sign but for the first."""
    lines: list[_Line] = []
    for term in terms:
        text = str(term.quantity)
        if text == "0" and term.name != "on_hand":
            continue
        if (signed or lines) and not text.startswith("-"):
            text = f"+{text}"
        lines.append(_Line(text, wording(term.name).label, term.note))
    return lines


def _print_sums(sums: Iterable[tuple[str, list[_Line], _Line]]) -> None:
    """Print the sum of each name; equal ones once, under all their names."""
    names: dict[tuple[tuple[_Line, ...], _Line], list[str]] = {}
    for name, lines, total in sums:
        names.setdefault((tuple(lines), total), []).append(name)
    for (equal, total), those in names.items():
        say()
        for name in those:
            say(name, "bold")
        _print_sum(equal, total)


def _print_sum(lines: Sequence[_Line], total: _Line) -> None:
    """Print lines, a rule and their total; of a line that is all of it only the note, if new."""
    made = Table.grid(padding=(0, 2), pad_edge=True)
    made.add_column(justify="right", no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    if len(lines) == 1 and not total.note:
        total = total._replace(note=f"{lines[0].label}: {lines[0].note}")
    elif len(lines) > 1 or any(line.note != _ABOVE for line in lines):
        for line in lines:
            style = "red" if line.quantity.startswith("-") else ""
            made.add_row(cell(line.quantity, style), plain(line.label), cell(line.note, "dim"))
        width = max(len(line.quantity) for line in (*lines, total))
        made.add_row(Text("-" * width, "dim"), "", "")
    style = "bold red" if total.quantity.startswith("-") else "bold"
    made.add_row(cell(total.quantity, style), Text(plain(total.label), "bold"), cell(total.note))
    show(made)
