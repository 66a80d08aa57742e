"""`deliveries`: the inbox of webhooks, one delivery, and trying a quarantined one again."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stockpush.cli.options import Config, DryRun, Json, Yes
from stockpush.cli.output import cell, note, print_json, refuse, say, show, table
from stockpush.cli.session import with_parts
from stockpush.engine import channel_report
from stockpush.engine.intake import fetch_again
from stockpush.errors import NotFound, UsageError
from stockpush.messages import Refused
from stockpush.model import Delivery, DeliveryState

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.store.reads import Page

LIMIT_DEFAULT: Final = 50
"""Rows in a page unless asked otherwise."""
LIMIT_MAX: Final = 500
"""Most rows in a page."""
_ID: Final = re.compile(r"[0-9]{1,18}")
_STATES = {"pending": "yellow", "applied": "green", "quarantined": "bold red"}
"""How a delivery's state looks."""

app = typer.Typer(
    help="Show the inbox of webhooks.",
    add_completion=False,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The delivery's number in the list.")]


@app.callback(invoke_without_command=True)
def deliveries(
    context: typer.Context,
    state: Annotated[
        DeliveryState | None,
        typer.Option(
            "--state", metavar="STATE", help="Only those that are pending, applied or quarantined."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=LIMIT_MAX, help="Most rows to show.")
    ] = LIMIT_DEFAULT,
    cursor: Annotated[
        int | None, typer.Option("--cursor", metavar="ID", min=1, help="`next` of the page before.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the inbox of webhooks."""
    if context.invoked_subcommand is not None:
        if config or as_json or state or cursor:
            command = f"stockpush deliveries {context.invoked_subcommand}"
            raise UsageError(
                f"Options go after {context.invoked_subcommand}.", next=f"{command} --help"
            )
        return

    async def read(parts: Parts) -> Page[Delivery]:
        from stockpush.store import reads

        return await reads.deliveries(parts.store, limit=limit, before=cursor, state=state)

    page = with_parts(config, read, what="Reading the inbox ...")
    if as_json:
        print_json(
            {"data": [channel_report.delivery(each) for each in page.data], "next": page.next}
        )
    elif page.data:
        _print_page(page)
    else:
        say("No delivery has come in yet." if state is None else f"No delivery is {state.value}.")


def _print_page(page: Page[Delivery]) -> None:
    shown = table(">id", "received", "channel", "about", "state", "reason")
    for each in page.data:
        shown.add_row(
            cell(each.id),
            cell(each.received_at),
            cell(each.channel),
            cell(each.topic),
            cell(each.state.value, _STATES[each.state.value]),
            cell(each.reason, "dim"),
        )
    show(shown)
    if page.next is not None:
        note(f"More: stockpush deliveries --cursor {page.next}")


@app.command("show")
def show_one(
    delivery: Id,
    body: Annotated[
        bool,
        typer.Option("--body", help="Its kept body too: it may name a buyer."),
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show one delivery.

    With --body also what the channel sent, as long as that is kept.
    """

    async def read(parts: Parts) -> tuple[Delivery, str | None]:
        found = await _found(parts, delivery)
        if not body or found.body is None:
            return found, None
        return found, parts.unseal(found.body, found.channel).decode(errors="replace")

    found, sent = with_parts(config, read, what="Reading ...")
    if as_json:
        kept = {"order_id": found.order_id, "digest": found.digest, "kept": found.body is not None}
        print_json({**asdict(channel_report.delivery(found)), **kept, "body": sent})
        return
    listed = table("", "")
    listed.show_header = False
    for name, value in (
        ("delivery", found.id),
        ("channel", found.channel),
        ("about", found.topic),
        ("received", found.received_at),
        ("state", found.state.value),
        ("reason", found.reason or None),
        ("order", found.order_id),
        ("digest", found.digest),
    ):
        if value is not None:
            listed.add_row(cell(name, "dim"), cell(value))
    show(listed)
    if sent is not None:
        say()
        say(sent)
    elif found.body is not None:
        note("Its body is kept: add --body to see it.")
    if found.state is DeliveryState.QUARANTINED:
        say()
        say(f"Try it again: stockpush deliveries replay {found.id}")


@app.command()
def replay(
    delivery: Id,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Read a quarantined delivery again.

    After whatever stopped it has been mended.
    """
    del yes  # taken by every writing command; there is nothing to ask here

    async def again(parts: Parts) -> Delivery:
        found = await _found(parts, delivery)
        if found.state is not DeliveryState.QUARANTINED or dry_run:
            return found
        if found.order_id is not None:
            await fetch_again(parts.lane, found)
        elif found.body is not None:
            await _replay(parts, found, found.body)
        return await _found(parts, delivery)

    async def look(parts: Parts) -> Delivery:
        return await _found(parts, delivery)

    before = with_parts(config, look, what="Reading ...")
    if before.state is not DeliveryState.QUARANTINED:
        message = f"delivery {before.id} is {before.state.value}, not quarantined"
        refused = Refused("not_quarantined", message, {"state": before.state.value})
        refuse(refused, as_json=as_json, next="stockpush deliveries --state quarantined")
    after = with_parts(config, again, what="Reading it again ...")
    if as_json:
        print_json(
            {
                "id": after.id,
                "undo": None,
                "dry_run": dry_run,
                "state": after.state.value,
                "reason": after.reason or None,
            }
        )
    elif dry_run:
        say(f"Would read delivery {after.id} of {after.channel} again. Nothing was changed.")
    elif after.state is DeliveryState.APPLIED:
        say(f"Delivery {after.id} has taken effect.")
    elif after.state is DeliveryState.PENDING:
        say(f"The daemon will fetch order {after.order_id} of {after.channel} again.")
    else:
        say(f"Delivery {after.id} is {after.state.value}: {after.reason}")


async def _replay(parts: Parts, found: Delivery, sealed: bytes) -> None:
    """Read the kept body with its channel's connector and commit what it says."""
    from stockpush import compose

    configured = parts.settings.channels.get(found.channel)
    connectors = {} if configured is None else {configured.name: compose.connect(configured)}
    body = parts.unseal(sealed, found.channel)
    await replace(parts, connectors=connectors).intake().replay(found, body)


async def _found(parts: Parts, given: str) -> Delivery:
    """Return the delivery that was named; `NotFound` if there is none."""
    from stockpush.store import reads

    number = given.strip()
    if not _ID.fullmatch(number):
        raise UsageError(
            f"{given!r} is not the id of a delivery.",
            field="ID",
            found=given,
            expected="a number of the list",
            next="stockpush deliveries",
        )
    found = await reads.delivery(parts.store, int(number))
    if found is None:
        raise NotFound(
            f"There is no delivery {number}.", field="ID", found=number, next="stockpush deliveries"
        )
    return found
