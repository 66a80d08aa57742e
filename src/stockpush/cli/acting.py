"""Carrying out a stock verb: find its item, write or only decide, tell what became of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stockpush.cli.changes import Change, changes_between, print_changes, warn_of
from stockpush.cli.options import Write
from stockpush.cli.output import cell, print_json, refuse, say, show, table
from stockpush.cli.session import find_item, with_parts
from stockpush.errors import NotFound, UsageError
from stockpush.messages import Accepted, Command, CountStock, Outcome, Refused, Replayed
from stockpush.model import MAIN, Item, MovementKind
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.production import Used

if TYPE_CHECKING:
    from stockpush.compose import Parts


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a verb, and the words for it."""

    what: str
    outcome: Outcome
    movement_ids: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    undo: str | None = None
    agreed: bool = False
    undone_by: int | None = None
    """Of a command that was done before: what has taken it back since."""
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A verb's command, and what it did once it has done it (`Received 5 kg of beeswax`)."""

    command: Command
    what: str
    undo: str | None = None
    """What takes it back, where that is not an undo of its movements."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where lots and locations were named, for those not named by --lot and --location."""
    seen: Callable[[Sequence[str]], str] | None = None
    """What to type where a lot was seen of which nothing is known there, but at those places."""


def act(verb: str, write: Write, sku: str, asked: Callable[[Item, str], Asked]) -> None:
    """Carry out a verb on the item that was named; a quantity that is none gets an example."""
    act_in(verb, write, sku, lambda _, item, key: asked(item, key))


def act_in(
    verb: str,
    write: Write,
    sku: str,
    asked: Callable[[Catalogue, Item, str], Asked],
    *,
    facts: Sequence[str] = (),
) -> None:
    """Do as `act` for a verb that names other items too; `facts` of the outcome are told."""

    def on_item(catalogue: Catalogue, key: str) -> Asked:
        item = find_item(catalogue, sku)
        try:
            return asked(catalogue, item, key)
        except UsageError as error:
            error.next = error.next or example(verb, item)
            raise

    carry_out(write, on_item, facts=facts)


def example(verb: str, item: Item) -> str:
    """Return a command that would do.

    >>> from stockpush.model import Kind
    >>> example("sell", Item("beeswax", "", Kind.MATERIAL, "kg", scale=3))
    'stockpush sell beeswax 5kg --at market'
    """
    quantity = "5" if item.unit == "piece" else shlex.quote(f"5{item.unit}")
    place = {"sell": " --at market", "transfer": " --from main --to market"}.get(verb, "")
    return f"stockpush {verb} {shlex.quote(item.sku)} {quantity}{place}"


def carry_out(
    write: Write,
    asked: Callable[[Catalogue, str], Asked],
    *,
    undoes: bool = False,
    facts: Sequence[str] = (),
    id_field: str = "ID",
    where: str = "stockpush stock",
) -> None:
    """Carry a verb out, or with --dry-run only decide it, and tell what came of it.

    Of a movement or hold that was not found `id_field` is where it was named, and `where` the
    command that shows what there is.
    """

    async def job(parts: Parts) -> Told:
        before = await parts.view()
        wanted = asked(before.catalogue, write.key_or(parts.ids.new))
        if write.dry_run:
            # What is due counts in what there was before, so the verb is decided after it too.
            decision = await parts.lane.rehearse(*await parts.lane.overdue(), wanted.command)
            if isinstance(decision.outcome, Replayed):
                return await _done_before(parts, wanted, decision.outcome)
            changes = changes_between(before, before.after(decision))
            return Told(wanted.what, decision.outcome, changes=changes, asked=wanted)
        (done,) = await parts.lane.commit([wanted.command])
        if isinstance(done.outcome, Replayed):
            return await _done_before(parts, wanted, done.outcome)
        after = await parts.view()
        changes = changes_between(before, after)
        # What lies where nothing is sold is in no balance that is told, but it was counted.
        agreed = isinstance(wanted.command, CountStock) and before.rows.lots == after.rows.lots
        return Told(
            wanted.what,
            done.outcome,
            done.movement_ids,
            changes,
            undo=wanted.undo if _has_changed(done.outcome) else None,
            agreed=agreed,
            asked=wanted,
        )

    told = with_parts(write.config, job)
    match told.outcome:
        case Refused("not_found", message, told_of):
            raise _not_found(message, told_of, told.asked, id_field, where)
        case Refused() as refused:
            refuse(refused, as_json=write.as_json, next=_next(refused))
        case Accepted() | Replayed():
            _tell(told, write, undoes=undoes, facts=facts)


async def _done_before(parts: Parts, wanted: Asked, outcome: Replayed) -> Told:
    """Return what became of a command that was done before, and may have been undone since."""
    ids = outcome.movement_ids
    undone_by = await parts.undo_of(ids[0]) if ids else None
    return Told(wanted.what, outcome, ids, undone_by=undone_by)


def _has_changed(outcome: Outcome) -> bool:
    """Answer whether there is something to take back: not where all was as told before."""
    return not isinstance(outcome, Accepted) or outcome.facts.get("changed") != 0


def _not_found(
    message: str, facts: Mapping[str, Any], asked: Asked | None, id_field: str, where: str
) -> NotFound:
    """Return the error for a movement, hold, lot, location or pool that is not there."""
    at, found, next_command = id_field, None, where
    fields = {} if asked is None else asked.fields
    if "lot" in facts:
        found = facts["lot"]
        at = fields.get(found, "--lot")
        next_command = f"stockpush lots {shlex.quote(facts['sku'])}"
        if asked is not None and asked.seen is not None:
            next_command = asked.seen(facts.get("lies_at", ()))
    elif "location" in facts:
        found = facts["location"]
        at = fields.get(found, "--location")
        next_command = "stockpush import catalog.toml  (with [[locations]] for it)"
    elif "pool" in facts:
        at, found = "--pool", facts["pool"]
        next_command = "stockpush import catalog.toml  (with [[locations]] of that pool)"
    expected = " or ".join(facts.get("expected", ())) or None
    return NotFound(
        f"{message[0].upper()}{message[1:]}.",
        field=at,
        found=found,
        expected=expected,
        next=next_command,
    )


def _next(refused: Refused) -> str | None:
    """Return what to type after a refusal, None where there is nothing."""
    match refused.refusal:
        case "already_undone" | "is_an_undo":
            return again(refused.facts)
        case "not_undoable":
            sku = shlex.quote(refused.facts["sku"])
            return f"stockpush adjust {sku} QUANTITY  (to correct the balance, with a sign)"
        case _:
            return _NEXT.get(refused.refusal)


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
    return f"stockpush {verb} {sku} {signed.lstrip('-')}{unit}{lot}{place}  (to do it again)"


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
    "key_reused": "the same command with another --key, or without",
    "not_held": "stockpush holds --all",
    "no_such_bill": "the same command with another --bill, or without",
    "has_substitutes": "the same command with one of its substitutes",
    "not_a_substitute": "the same command with another --take, or without",
    "used_twice": "the same command with --used for the one or the others",
    "not_on_bill": "the same command with --used for a component of the bill",
    "more_lost_than_built": "the same command with a smaller --scrapped",
    "lot_differs": "stockpush lots  (then the same command with another --lot, or without the day)",
    "lots_there": "stockpush lots  (then the same command with --lot for each)",
    "never_sellable": "the same command with a later --expires",
    "not_there": "stockpush lots  (what lies where; count what you see there)",
    "same_place": "the same command with another --to",
    "several_places": "the same command with --location for one of them",
}
"""What to type after a refusal, where there is something."""


# -- telling ---------------------------------------------------------------------------------


def _tell(told: Told, write: Write, *, undoes: bool, facts: Sequence[str]) -> None:
    first = f"mv-{told.movement_ids[0]}" if told.movement_ids else None
    undo = told.undo
    undone = None if told.undone_by is None else f"mv-{told.undone_by}"
    if first is not None and not undoes and undone is None:
        undo = f"stockpush undo {first}"
    replayed = isinstance(told.outcome, Replayed)
    known = told.outcome.facts if isinstance(told.outcome, Accepted) else {}
    if write.as_json:
        print_json(
            {
                "id": first,
                "undo": undo,
                "dry_run": write.dry_run,
                "replayed": replayed,
                "undone_by": undone,
                "movements": [f"mv-{number}" for number in told.movement_ids],
                "changed": [change.as_json() for change in told.changes],
                **{name: known.get(name) for name in facts},
            }
        )
        return
    if replayed:
        since = "" if undone is None else f", and undone since by {undone}"
        say(f"Done before under this key, as {first}{since}; nothing was changed now.")
        if undone is not None:
            say("Next: the same command with another --key  (to do it again)")
    elif write.dry_run:
        say(f"{told.what}: not done, only shown.", "bold")
    else:
        say(told.what, "bold")
    if told.changes:
        say()
        print_changes(told.changes)
    elif not replayed:
        say("The ledger said so already." if told.agreed else "What can be sold is as before.")
    _print_used(known.get("used", ()))
    if undo:
        say()
        say(f"Undo: {undo}")
    warn_of(told.changes)


def _print_used(used: Sequence[Used]) -> None:
    """Print what a build consumed against its plan, where that was stated."""
    if not used:
        return
    say()
    shown = table("used", ">planned", ">really", "")
    for row in used:
        shown.add_row(cell(row.sku), cell(row.planned), cell(row.used), cell(row.unit, "dim"))
    show(shown)
