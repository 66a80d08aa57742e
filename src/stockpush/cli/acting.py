"""Carrying out a stock verb: find its item, write or only decide, tell what became of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stockpush.cli.changes import print_changes, warn_of
from stockpush.cli.options import Write
from stockpush.cli.output import cell, print_json, refuse, say, show, table
from stockpush.cli.places import TYPED
from stockpush.cli.session import find_item, with_parts
from stockpush.engine import moving
from stockpush.engine.moving import Asked, Told
from stockpush.errors import UsageError
from stockpush.messages import Accepted, Command, Refused, Replayed
from stockpush.model import Item
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.production import Used

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.engine.commit import Done


def act(verb: str, write: Write, sku: str, asked: Callable[[Item, str], Asked]) -> None:
    """Carry out a verb on the item that was named; a quantity that is none gets an example."""
    act_in(verb, write, sku, lambda _, item, key: asked(item, key))


def act_in(
    verb: str, write: Write, sku: str, asked: Callable[[Catalogue, Item, str], Asked]
) -> None:
    """Do as `act` for a verb that names other items too."""

    def on_item(catalogue: Catalogue, key: str) -> Asked:
        item = find_item(catalogue, sku)
        try:
            return asked(catalogue, item, key)
        except UsageError as error:
            error.next = error.next or example(verb, item)
            raise

    carry_out(write, on_item)


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

        async def commit(command: Command) -> Done:
            (done,) = await parts.lane.commit([command])
            return done

        return await moving.carry_out(parts, before, wanted, commit, dry_run=write.dry_run)

    told = with_parts(write.config, job)
    match told.outcome:
        case Refused("not_found") as refused:
            raise moving.not_found(refused, told.asked, TYPED, field=id_field, where=where)
        case Refused() as refused:
            refuse(refused, as_json=write.as_json, next=moving.next_after(refused, TYPED))
        case Accepted() | Replayed():
            _tell(told, write)


# -- telling ---------------------------------------------------------------------------------


def _tell(told: Told, write: Write) -> None:
    document = moving.document(told, dry_run=write.dry_run)
    if write.as_json:
        print_json(document)
        return
    first, undo, undone = document["id"], document["undo"], document["undone_by"]
    if document["replayed"]:
        since = "" if undone is None else f", and undone since by {undone}"
        say(f"Done before under this key, as {first}{since}; nothing was changed now.")
        if undone is not None:
            say("Next: the same command with another --key  (to do it again)")
    elif write.dry_run:
        say(f"{told.asked.what}: not done, only shown.", "bold")
    else:
        say(told.asked.what, "bold")
    if told.changes:
        say()
        print_changes(told.changes)
    elif not document["replayed"]:
        say(_unchanged(told))
    _print_used(document.get("used") or ())
    if undo:
        say()
        say(f"Undo: {undo}")
    warn_of(told.changes)


def _unchanged(told: Told) -> str:
    """Return what is said where neither stock nor what can be promised of an item has changed."""
    if told.agreed:
        return "The ledger said so already."
    if told.comes:
        return "What can be sold is as before, but on listings with a horizon of their own."
    return "What can be sold is as before."


def _print_used(used: Sequence[Used]) -> None:
    """Print what a build consumed against its plan, where that was stated."""
    if not used:
        return
    say()
    shown = table("used", ">planned", ">really", "")
    for row in used:
        shown.add_row(cell(row.sku), cell(row.planned), cell(row.used), cell(row.unit, "dim"))
    show(shown)
