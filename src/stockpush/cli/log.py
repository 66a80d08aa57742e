"""`log`: the ledger as it was written, what moved when, why, and who did it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stockpush.cli.options import Config, Json
from stockpush.cli.output import balance, cell, note, print_json, say, show, table
from stockpush.cli.session import find_item, with_parts
from stockpush.engine import movements
from stockpush.engine.movements import LedgerRow
from stockpush.model import MAIN

if TYPE_CHECKING:
    from stockpush.compose import Parts

LIMIT_DEFAULT: Final = 50
"""Rows in a page unless asked otherwise."""
LIMIT_MAX: Final = 500
"""Most rows in a page."""


def log(
    sku: Annotated[str | None, typer.Argument(metavar="SKU", help="One item alone.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="T",
            help="Only what was written since: -2h, 2026-11-22 (its beginning), 2026-11-22T10:00.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=LIMIT_MAX, help="Most rows to show.")
    ] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", metavar="ID", help="Go on where the last page ended: its `next`."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what moved, when, why, and who did it.

    Every movement of the ledger, newest first. For example: stockpush log beeswax --since -7d
    """
    before = None
    if cursor is not None:
        before = movements.read_id(cursor, field="--cursor", next="stockpush log")

    async def read(parts: Parts) -> tuple[str | None, tuple[LedgerRow, ...], int | None]:
        begin = None if since is None else parts.since(since, zone=None)
        named = None if sku is None else find_item(await parts.catalogue(), sku).sku
        page = await parts.movements(limit=limit, before=before, sku=named, since=begin)
        catalogue = await parts.catalogue()  # with what is new in the page
        rows = tuple(movements.row(catalogue, each) for each in page.data)
        return named, rows, page.next

    named, rows, following = with_parts(config, read, what="Reading the ledger ...")
    after = None if following is None else movements.name_of(following)
    if as_json:
        print_json({"data": rows, "next": after})
        return
    if not rows:
        say("Nothing has moved." if since is None else "Nothing has moved since.")
        return
    _print(rows)
    if after is not None:
        words = [*([] if named is None else [named]), "--cursor", after]
        words += [] if since is None else [f"--since={since}"]
        note(f"More: stockpush log {shlex.join(words)}")


def _print(rows: Sequence[LedgerRow]) -> None:
    lotted = any(row.lot is not None for row in rows)
    placed = any(row.location != MAIN for row in rows)
    lot, location = (["lot"] if lotted else []), (["location"] if placed else [])
    shown = table("=id", "=at", "=kind", "SKU", ">quantity", "", *lot, *location, "=by", "reason")
    for row in rows:
        shown.add_row(
            cell(row.id),
            cell(row.at, "dim"),
            cell(row.kind),
            cell(row.sku),
            balance(row.quantity),
            cell(row.unit, "dim"),
            *([cell(row.lot)] if lotted else []),
            *([cell(row.location, "dim" if row.location == MAIN else "")] if placed else []),
            cell(row.actor, "dim"),
            cell(_because(row), "dim"),
        )
    show(shown)


def _because(row: LedgerRow) -> str:
    """Return why it moved: the reason, what it takes back, and of no command what brought it."""
    said = [row.reason]
    if row.undoes is not None:
        said.append(f"undoes {row.undoes}")
    if not row.cause.startswith("cmd "):
        said.append(row.cause)
    return "; ".join(filter(None, said))
