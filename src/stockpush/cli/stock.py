"""`stock` and `plan`: what there is, what can be promised, and what would be pushed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stockpush.cli.options import Config, Json
from stockpush.cli.output import (
    balance,
    cell,
    print_json,
    reference,
    say,
    say_reasons,
    show,
    table,
)
from stockpush.cli.session import find_item, with_parts
from stockpush.engine import report
from stockpush.engine.report import OlderBillRow, ParkedRow, PlanRow, StockRow
from stockpush.engine.wording import more_items
from stockpush.model import MAIN, shelf_key
from stockpush.reservation.ledger import shelf_name
from stockpush.reservation.view import View

if TYPE_CHECKING:
    from stockpush.compose import Parts

EXPOSED_MAX = 10
"""Of how many items the exposure is told."""
_STATES = {
    "in_sync": "green",
    "dirty": "yellow",
    "pushing": "yellow",
    "unknown": "yellow",
    "parked": "bold red",
    "mapped": "dim",
    "shadow": "dim",
}
"""How a listing's state looks."""


def stock(
    sku: Annotated[str | None, typer.Argument(metavar="SKU", help="One item alone.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show stock, what can be promised, and offers.

    On hand, reserved, held, buildable, and available-to-promise (ATP); then each listing.

    ATP is what is finished plus what the materials can still make, less what is claimed.
    """

    async def read(parts: Parts) -> tuple[StockRow, ...]:
        view = await parts.view()
        skus = None if sku is None else [find_item(view.catalogue, sku).sku]
        return report.stock(view, skus)

    rows = with_parts(config, read, what="Computing what can be promised ...")
    if as_json:
        print_json({"data": rows})
    elif rows:
        _print_items(rows)
        _print_listings(rows)
    else:
        say("There are no items yet.")
        say("Next: stockpush import catalog.toml")


def _print_items(rows: Sequence[StockRow]) -> None:
    pooled = any(row.pool != MAIN for row in rows)
    amounts = (">on hand", ">reserved", ">held", ">suspense", ">buildable", ">ATP")
    shown = table("SKU", *(["pool"] if pooled else []), *amounts, "", "limited by")
    for row in rows:
        shown.add_row(
            cell(row.sku),
            *([cell(row.pool)] if pooled else []),
            balance(row.on_hand),
            cell(row.reserved),
            cell(row.held),
            cell(row.suspense),
            cell(row.buildable),
            balance(row.atp) if row.atp.startswith("-") else cell(row.atp, "bold"),
            cell(row.unit, "dim"),
            cell(", ".join(row.limited_by), "dim"),
        )
    show(shown)
    exposed = [
        f"{row.exposure} {row.unit} of {shelf_name(shelf_key(row.sku, row.pool))}"
        for row in rows
        if row.exposure != "0"
    ]
    if exposed:
        left = len(exposed) - EXPOSED_MAX
        told = ", ".join(exposed[:EXPOSED_MAX]) + (f" and {more_items(left)}" if left > 0 else "")
        say()
        say(f"Exposure, if every listing sold out at once: {told}", "dim")
    late = [row for row in rows if row.late is not None]
    if late:
        say()
        for row in late:
            say(f"{shelf_name(shelf_key(row.sku, row.pool))}: {row.late}", "dim")
    apart = [row for row in rows if row.withheld != "0"]
    if apart:
        say()
        listed = ", ".join(
            f"{row.withheld} {row.unit} of {row.sku}"
            + (f" ({row.coming} of it promised)" if row.coming != "0" else "")
            for row in apart
        )
        say(f"Besides, and not sold now: {listed} (stockpush lots)", "dim")
    pinned = [
        f"{each.reserved} {row.unit} of {shelf_name(shelf_key(row.sku, row.pool))}"
        f" by its bill {each.bill} (now {row.bill})"
        for row in rows
        for each in row.older_bills
        if each.reserved != "0"
    ]
    if pinned:
        say()
        say(f"Ordered or held, and made as it was then: {', '.join(pinned)}", "dim")
    owed = [(row, each) for row in rows for each in row.older_bills if each.owed != "0"]
    if owed:
        say()
    for row, each in owed:
        say(f"Sent and not built yet: {_owed(row, each)}", "dim")


def _owed(row: StockRow, by: OlderBillRow) -> str:
    """Return what is still to be made by an older bill, and what to type when it is."""
    amount = f"{by.owed} {row.unit} of {shelf_name(shelf_key(row.sku, row.pool))}"
    text = f"{amount} by its bill {by.bill} (now {row.bill})"
    if row.pool != MAIN:
        return text
    unit = "" if row.unit == "piece" else row.unit
    typed = shlex.join(["build", row.sku, f"{by.owed}{unit}", "--bill", str(by.bill)])
    return f"{text}: stockpush {typed}  (when it is built)"


def _print_listings(rows: Sequence[StockRow]) -> None:
    if not any(row.listings for row in rows):
        return
    shown = table("listing", "channel", "reference", ">pack", ">offer", ">shows", "=state")
    for row in rows:
        for listing in row.listings:
            shown.add_row(
                cell(row.sku),
                cell(listing.channel),
                cell(reference(listing.ref), "dim"),
                cell(listing.pack),
                cell(listing.offer, "bold"),
                cell(listing.expected),
                cell(listing.state.replace("_", " "), _STATES[listing.state]),
            )
    say()
    show(shown)
    say_reasons(
        (
            f"{row.sku} on {listing.channel}" if listing.state == "parked" else listing.channel,
            listing.reason,
        )
        for row in rows
        for listing in row.listings
    )


def plan(config: Config = None, as_json: Json = False) -> None:
    """Show what would be written now, and why.

    And what is not written until a person has mended it.
    """

    async def read(parts: Parts) -> View:
        return await parts.view()

    view = with_parts(config, read, what="Computing what would be pushed ...")
    if as_json:
        print_json(report.plan_document(view))
        return
    rows, first = report.plan(view), _to_be_ready(view)
    if rows:
        print_plan(rows)
    elif first is not None:
        say("Nothing would be written: no listing is ready to be.")
        say(f"Next: {first}")
    else:
        say("Nothing would be written: every listing that is ready shows what it should.")
    _print_parked(report.parked(view))


def _to_be_ready(view: View) -> str | None:
    """Return what to type for a first listing to be ready, None where one is, or is to be mended.

    A listing is read first, then adopted.
    """
    listings = [each for each in view.catalogue.listings.values() if each.parked_reason is None]
    if report.ready(view) or (view.catalogue.listings and not listings):
        return None
    if not listings:
        return "stockpush import catalog.toml  (with [[listings]])"
    states = {report.observed(view, each) for each in listings if not each.adopted}
    return "stockpush adopt" if states - {None} else "stockpush run  (it reads what they show)"


def _print_parked(rows: Sequence[ParkedRow]) -> None:
    """Print what is left out of the plan, each reason once."""
    if rows:
        say()
        say("Not written until it is mended:", "bold")
        say_reasons((f"{row.sku} on {row.channel}", row.reason) for row in rows)


def print_plan(rows: Sequence[PlanRow]) -> None:
    """Print the plan for people."""
    pooled = any(row.pool != MAIN for row in rows)
    pool = ["pool"] if pooled else []
    shown = table("channel", "reference", "SKU", *pool, ">shows", ">to", "because")
    for row in rows:
        shown.add_row(
            cell(row.channel),
            cell(reference(row.ref), "dim"),
            cell(row.sku),
            *([cell(row.pool)] if pooled else []),
            cell(row.was),
            cell(row.to, "bold"),
            cell(row.because, "dim"),
        )
    show(shown)
