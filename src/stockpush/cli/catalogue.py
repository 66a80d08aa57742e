"""`import` and `adopt`: both show what they would do first, and do it once somebody has agreed."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stockpush.cli.options import Config, DryRun, Json, Key, Reason, Yes
from stockpush.cli.output import cell, print_json, reference, refuse, say, show, table
from stockpush.cli.session import actor, agreed, find_channel, with_parts
from stockpush.engine import report
from stockpush.engine.given import one_line
from stockpush.errors import CatalogueInvalid, ExitCode, UsageError
from stockpush.importer import CatalogueFile, Change, Known, read_catalogue
from stockpush.importer.tables import FILE_BYTES_MAX
from stockpush.messages import AdoptListings, ImportCatalogue, Outcome, Refused, Replayed
from stockpush.model import ListingKey, Mode
from stockpush.units import format_quantity

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.engine.commit import Done
    from stockpush.settings import ChannelSettings

CHANGES_MAX: Final = 40
"""Most rows of a preview for people; the rest are counted. `--json` has them all."""
_TABLES: Final[Mapping[str, str]] = {
    "items": "items",
    "boms": "bills of materials",
    "listings": "listings",
    "locations": "locations",
}


# -- import ----------------------------------------------------------------------------------


def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="catalog.toml; or items.csv, boms.csv, listings.csv."),
    ],
    config: Config = None,
    as_json: Json = False,
    corrects: Annotated[
        bool,
        typer.Option(
            "--corrects",
            help="A changed bill was a mistake: orders that are open go by the new one, too.",
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Read items, bills, stock and listings.

    A preview of what is new and what changes comes first; it is written once you have agreed.

    What is there already is updated; nothing is removed. Stock counts only for items that have
    never moved; for the others the command to type is shown.
    """
    why = one_line(reason, field="--reason")
    command = f"stockpush import {' '.join(shlex.quote(str(path)) for path in files)}"
    command += " --corrects" if corrects else ""
    contents = [(str(path), _content(path, command)) for path in files]

    async def preview(parts: Parts) -> CatalogueFile:
        try:
            return await _read(parts, contents)
        except CatalogueInvalid as error:
            error.next = f"{command} --dry-run"
            raise

    read = with_parts(config, preview, what="Reading the catalogue ...")
    if not as_json:
        _print_preview(read)
    news = any(change.state != "unchanged" for change in read.changes) or bool(read.opening)

    def asked(parts: Parts) -> ImportCatalogue:
        used = parts.ids.new() if key is None else one_line(key, field="--key")
        return read.command(key=used, actor=actor(), reason=why, corrects=corrects)

    def check(outcome: Outcome) -> None:
        """End the program where the import is refused."""
        again = {
            "bills_changed": f"{command} --dry-run",
            "pool_fed": "edit pool in the configuration, then: stockpush run",
            "pool_held": "stockpush holds",
            "key_reused": "the same command with another --key, or without",
        }
        if isinstance(outcome, Refused):
            refuse(outcome, as_json=as_json, next=again.get(outcome.refusal))

    async def rehearse(parts: Parts) -> Outcome:
        return (await parts.lane.rehearse(asked(parts))).outcome

    if dry_run or not (news or key):
        if news:
            check(with_parts(config, rehearse, what="Reading the catalogue ..."))
        if as_json:
            print_json(_as_json(read, None, dry_run=dry_run))
        else:
            say("Nothing was written: this was a rehearsal." if news else "Nothing to write.")
        return
    if not agreed("Write this?", yes=yes, as_json=as_json, command=f"{command} --yes"):
        say("Nothing was written.")
        raise typer.Exit(ExitCode.FAILED)

    async def write(parts: Parts) -> Done:
        return (await parts.lane.commit([asked(parts)]))[0]

    done = with_parts(config, write, what="Writing the catalogue ...")
    check(done.outcome)
    if as_json:
        print_json(_as_json(read, done, dry_run=False))
    else:
        _print_written(done)


def _content(path: Path, command: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)  # one more, so that the reader sees the excess
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            field="FILE",
            found=str(path),
            expected="a .toml or .csv file that you can read",
            next=f"{command} --dry-run",
        ) from error


async def _read(parts: Parts, contents: Sequence[tuple[str, bytes]]) -> CatalogueFile:
    from stockpush import compose
    from stockpush.store import reads

    channels = parts.settings.channels
    return read_catalogue(
        contents,
        known=Known.of(await parts.store.catalogue(), moved=await reads.moved(parts.store)),
        channels=channels,
        refs=lambda channel, given: compose.ref_key(channels[channel], given),
    )


def _print_preview(read: CatalogueFile) -> None:
    counted = Counter((change.table.value, change.state.value) for change in read.changes)
    summary = table("", ">new", ">changed", ">unchanged")
    for name, words in _TABLES.items():
        numbers = [counted[(name, state)] for state in ("new", "changed", "unchanged")]
        if any(numbers):
            summary.add_row(cell(words), *(cell(number) for number in numbers))
    show(summary)
    say()
    changes = [change for change in read.changes if change.state != "unchanged"]
    if changes:
        _print_changes(changes)
    if read.opening:
        say(f"Opening stock is taken for {len(read.opening)} of the items.")
    for ignored in read.ignored:
        say(f"{ignored.sku} has moved already, so its on_hand of {ignored.on_hand} is not taken.")
        say(f"  If it was counted now: {ignored.command}")


def _print_changes(changes: Sequence[Change]) -> None:
    listed = table("", "", "what", "")
    for change in changes[:CHANGES_MAX]:
        differences = "\n".join(
            f"{each.field}: {each.before or 'nothing'} → {each.after or 'nothing'}"
            for each in change.differences
        )
        new = change.state == "new"
        listed.add_row(
            cell(change.state.value, "green" if new else "yellow"),
            cell(_ONE[change.table.value], "dim"),
            cell(change.name),
            cell(differences),
        )
    listed.show_header = False
    show(listed)
    if len(changes) > CHANGES_MAX:
        say(f"... and {len(changes) - CHANGES_MAX} more", "dim")
    say()


_ONE: Final[Mapping[str, str]] = {
    "items": "item",
    "boms": "bill",
    "listings": "listing",
    "locations": "location",
}


def _as_json(read: CatalogueFile, done: Done | None, *, dry_run: bool) -> dict[str, Any]:
    items = {item.sku: item for item in read.items}
    replayed = done is not None and isinstance(done.outcome, Replayed)
    return {
        **_id_of(done),
        "dry_run": dry_run,
        "replayed": replayed,
        "changes": [
            {
                "table": change.table.value,
                "name": change.name,
                "state": change.state.value,
                "differences": change.differences,
            }
            for change in read.changes
        ],
        "opening": [
            {"sku": move.sku, "on_hand": format_quantity(move.quantity, items[move.sku].scale)}
            for move in read.opening
        ],
        "ignored": read.ignored,
    }


def _id_of(done: Done | None) -> dict[str, str | None]:
    """Return the id and the undo of the opening stock, null where none was opened."""
    if done is None or done.outcome.facts.get("opened") == 0:
        return {"id": None, "undo": None}
    ids = done.outcome.movement_ids if isinstance(done.outcome, Replayed) else done.movement_ids
    first = f"mv-{ids[0]}" if ids else None
    return {"id": first, "undo": first and f"stockpush undo {first}"}


def _print_written(done: Done) -> None:
    if isinstance(done.outcome, Replayed):
        say("Done before under this key; nothing was written now.")
    else:
        say("Written.", "bold")
    undo = _id_of(done)["undo"]
    if undo:
        say(f"Undo the opening stock: {undo}")
    say("Next: stockpush stock")


# -- adopt -----------------------------------------------------------------------------------


_TO_READ: Final = "stockpush run  (it reads what they show)"


@dataclass(frozen=True, slots=True)
class Side:
    """One listing that is not adopted, side by side: what it shows and what we would show.

    `shows` and `offer` are in listing units, None while its channel has not been read.
    """

    key: ListingKey
    sku: str
    ref: Mapping[str, Any]
    shows: int | None
    offer: int | None
    mode: str

    def as_json(self) -> dict[str, Any]:
        """Return the shape of `adopt --json`."""
        return {
            "channel": self.key.channel,
            "ref": dict(self.ref),
            "sku": self.sku,
            "shows": self.shows,
            "offer": self.offer,
            "mode": self.mode,
        }


def adopt(
    channel: Annotated[
        str | None,
        typer.Argument(metavar="CHANNEL", help="One channel alone, whatever its mode."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
) -> None:
    """Agree that the numbers are ours from now on.

    First what each listing shows and what it would show stand side by side. One that has not been
    read yet is not adopted.

    Without a channel it takes every live one. Nothing is written to a shop here: the daemon reads
    each number and the open orders again, and only then pushes.
    """
    why = one_line(reason, field="--reason")

    async def look(parts: Parts) -> tuple[Side, ...]:
        return await _sides(parts, channel)

    sides = with_parts(config, look, what="Comparing ...")
    wanted = tuple(side for side in sides if channel is not None or side.mode == Mode.LIVE)
    chosen = tuple(side for side in wanted if side.shows is not None)
    if not as_json:
        _print_sides(sides)
        _say_unread(wanted)
    if wanted and not chosen and not dry_run:
        refused = Refused("not_read", "none of these listings has been read yet")
        refuse(refused, as_json=as_json, next=_TO_READ)
    if not chosen or dry_run:
        if as_json:
            print_json(_adopted_json(sides, 0, None, dry_run=dry_run))
        elif sides:
            _say_what_remains(sides, wanted, chosen)
        return
    typed = " ".join(["stockpush adopt", *([] if channel is None else [channel]), "--yes"])
    question = f"Adopt {len(chosen)} listings, so that our numbers become theirs?"
    if not agreed(question, yes=yes, as_json=as_json, command=typed):
        say("Nothing was adopted.")
        raise typer.Exit(ExitCode.FAILED)

    async def write(parts: Parts) -> int:
        # The record of who asked for what, and why; a daemon that sees it before it is answered
        # reads the channels again, which is what adopting asks of it anyway.
        named = [list(side.key) for side in chosen]
        arguments = {"listings": named, "actor": actor(), **({"reason": why} if why else {})}
        number = await parts.store.ask("adopt", arguments, at=parts.clock.now())
        await parts.lane.commit([AdoptListings(tuple(side.key for side in chosen))])
        await parts.store.answered(number, at=parts.clock.now())
        return number

    number = with_parts(config, write, what="Adopting ...")
    if as_json:
        print_json(_adopted_json(sides, len(chosen), number, dry_run=False))
        return
    say(f"Adopted {len(chosen)} listings.", "bold")
    if any(side.mode != Mode.LIVE for side in chosen):
        say('Their channel is in shadow mode: set mode = "live" when it may be written to.')
    say("The daemon reads their numbers and open orders again before it writes: stockpush run")


async def _sides(parts: Parts, channel: str | None) -> tuple[Side, ...]:
    """Return the listings that are not adopted, of one configured channel or of all."""
    channels: Mapping[str, ChannelSettings] = parts.settings.channels
    names = set(channels) if channel is None else {find_channel(channels, channel)}
    view = await parts.view()
    # A report has an item's listings in the order of their keys.
    rows = {(row.sku, row.pool): iter(row.listings) for row in report.stock(view)}
    sides = []
    for key, listing in sorted(view.catalogue.listings.items()):
        row = next(rows[listing.sku, view.catalogue.fed_by(key.channel)])
        if key.channel in names and not listing.adopted:
            mode = channels[key.channel].mode.value
            sides.append(Side(key, listing.sku, listing.ref, row.observed, row.offer, mode))
    return tuple(sides)


def _print_sides(sides: Sequence[Side]) -> None:
    if not sides:
        say("Every mapped listing is adopted already.")
        return
    shown = table("channel", "mode", "reference", "SKU", ">shows", ">ours", ">difference")
    for side in sides:
        difference = None
        if side.shows is not None and side.offer is not None:
            difference = f"{side.offer - side.shows:+d}" if side.offer != side.shows else "0"
        shown.add_row(
            cell(side.key.channel),
            cell(side.mode, "dim"),
            cell(reference(side.ref), "dim"),
            cell(side.sku),
            cell("not read", "dim") if side.shows is None else cell(side.shows),
            cell(side.offer, "bold"),
            cell(difference),
        )
    show(shown)
    say()


def _say_unread(wanted: Sequence[Side]) -> None:
    """Say which listings are left out: what they show would be written over unseen."""
    unread = [f"{side.sku} on {side.key.channel}" for side in wanted if side.shows is None]
    if unread and len(unread) < len(wanted):
        say(f"Not read yet, and so not adopted: {', '.join(unread)}. Next: {_TO_READ}")


def _say_what_remains(
    sides: Sequence[Side], wanted: Sequence[Side], chosen: Sequence[Side]
) -> None:
    if chosen:
        say("Nothing was adopted: this was a rehearsal.")
        return
    if wanted:
        say("Nothing was adopted: none of these listings has been read yet.")
        say(f"Next: {_TO_READ}")
        return
    first = sides[0].key.channel
    say("Nothing was adopted: none of these channels is live.")
    say(f'Next: stockpush adopt {first}   (or set mode = "live" for it first)')


def _adopted_json(
    sides: Sequence[Side], adopted: int, number: int | None, *, dry_run: bool
) -> dict[str, Any]:
    return {
        "id": None if number is None else f"rq-{number}",
        "undo": None,
        "dry_run": dry_run,
        "adopted": adopted,
        "data": [side.as_json() for side in sides],
    }
