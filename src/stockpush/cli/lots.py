"""What lies where, of which lot, and until when it is sold: lots, transfer, quarantine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stockpush.cli.acting import act, carry_out
from stockpush.cli.amounts import Quantity, Sku, joined
from stockpush.cli.options import Config, Json, Write, stating, writing
from stockpush.cli.output import balance, cell, print_json, say, show, table
from stockpush.cli.places import TYPED, LotName, last_day
from stockpush.cli.session import actor, find_item, with_parts
from stockpush.engine import lot_report, moving
from stockpush.engine.given import name_of
from stockpush.engine.lot_report import LotRow
from stockpush.engine.moving import Asked, By, Said
from stockpush.messages import QuarantineLot
from stockpush.model import MAIN, Item
from stockpush.reservation.catalogue import Catalogue

if TYPE_CHECKING:
    from stockpush.compose import Parts

_STATES = {
    "sellable": "green",
    "expired": "bold red",
    "quarantined": "bold red",
    "waiting": "yellow",
    "apart": "dim",
}
"""How a lot's state looks."""


def lots(
    sku: Annotated[str | None, typer.Argument(metavar="SKU", help="One item alone.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show lots, where they lie, and until when they are sold.

    In the order in which they go out: what expires first, then what came first.
    """

    async def read(parts: Parts) -> tuple[LotRow, ...]:
        view = await parts.view()
        named = None if sku is None else find_item(view.catalogue, sku).sku
        return tuple(lot_report.rows(view, named, parts.now()))

    rows = with_parts(config, read, what="Reading the lots ...")
    if as_json:
        print_json({"data": rows})
    elif rows:
        _print(rows)
    else:
        say("Nothing is kept by lot or location yet.")
        say("Next: stockpush receive SKU QUANTITY --lot NAME")


@writing
def transfer(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    origin: Annotated[str, typer.Option("--from", metavar="NAME", help="Where it lay.")],
    destination: Annotated[str, typer.Option("--to", metavar="NAME", help="Where it lies now.")],
    lot: LotName = None,
) -> None:
    """Record that stock lies somewhere else now.

    For example: stockpush transfer soap-lav 20 --from main --to market
    """

    def asked(item: Item, key: str) -> Asked:
        typed = joined(quantity, write)
        said = Said(quantity=typed, lot=lot, origin=origin, destination=destination)
        return moving.transfer(said, item, By(key, actor(), write.reason), TYPED)

    act("transfer", write, sku, asked)


@stating
def quarantine(
    write: Write,
    sku: Sku,
    lot: Annotated[str, typer.Argument(metavar="LOT", help="Which lot.")],
    release: Annotated[bool, typer.Option("--release", help="It can be sold again.")] = False,
) -> None:
    """Withhold a lot from sale until it is released.

    Wherever it lies. For example: stockpush quarantine soap-lav A12 --reason "soft bars"
    """

    def asked(catalogue: Catalogue, _key: str) -> Asked:
        item = find_item(catalogue, sku)
        named = name_of(lot, field="LOT") or ""
        command = QuarantineLot(
            item.sku, named, quarantined=not release, actor=actor(), reason=write.reason
        )
        back = "" if release else " --release"
        undo = f"stockpush quarantine {shlex.quote(item.sku)} {shlex.quote(named)}{back}"
        what = "Released" if release else "In quarantine:"
        return Asked(command, f"{what} lot {named} of {item.sku}", undo, {named: "LOT"})

    carry_out(write, asked)


# -- showing ---------------------------------------------------------------------------------


def _print(rows: Sequence[LotRow]) -> None:
    pooled = any(row.pool != MAIN for row in rows)
    where = ("SKU", "lot", "location", *(["pool"] if pooled else []))
    shown = table(*where, ">on hand", "", "=state", "sold until", "supplier", "")
    for row in rows:
        until = None if row.expires_at is None else last_day(row.expires_at)
        note = "soon" if row.soon else row.note
        shown.add_row(
            cell(row.sku),
            cell(row.lot or "-", "" if row.lot else "dim"),
            cell(row.location, "dim" if row.location == MAIN else ""),
            *([cell(row.pool, "dim" if row.pool == MAIN else "")] if pooled else []),
            balance(row.on_hand),
            cell(row.unit, "dim"),
            cell(row.state, _STATES[row.state]),
            cell(until, "bold yellow" if row.soon else ""),
            cell(row.supplier, "dim"),
            cell(note, "bold yellow" if row.soon else "dim"),
        )
    show(shown)
