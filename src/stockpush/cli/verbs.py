"""The stock verbs: receive, build, count, adjust, scrap, return, sell, undo.

Each acts at once, prints what it changed (its own item, and every other whose ATP moved because
they share a material) and how to undo it. Nothing is deleted: undo writes what compensates.
"""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from stockpush.cli.acting import act, act_in, carry_out
from stockpush.cli.amounts import Quantity, Sku, joined
from stockpush.cli.options import Write, writing
from stockpush.cli.places import (
    TYPED,
    AvailableFrom,
    Cost,
    Expires,
    LocationName,
    LotName,
    PoolIfAny,
    Supplier,
)
from stockpush.cli.session import actor, find_item
from stockpush.engine import movements, moving
from stockpush.engine.given import one_line
from stockpush.engine.holding import read_id
from stockpush.engine.moving import Asked, By, Part, Said
from stockpush.errors import UsageError
from stockpush.model import Item
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.holds import name_of as hold_name


@writing
def receive(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    expires: Expires = None,
    available_from: AvailableFrom = None,
    cost: Cost = None,
    supplier: Supplier = None,
) -> None:
    """Take in what has arrived.

    For example: stockpush receive beeswax 5kg

    As a lot: stockpush receive beeswax 5kg --lot A12 --expires 2027-03-01 --cost 62.50
    """

    def asked(item: Item, key: str) -> Asked:
        said = Said(
            quantity=joined(quantity, write),
            lot=lot,
            location=location,
            expires=expires,
            available_from=available_from,
            cost=cost,
            supplier=supplier,
        )
        return moving.receive(said, item, _by(key, write), TYPED)

    act("receive", write, sku, asked)


@writing
def build(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    used: Annotated[
        list[str] | None,
        typer.Option(
            "--used",
            metavar="SKU=QUANTITY",
            help="What was really consumed of a component, instead of what its bill says.",
        ),
    ] = None,
    scrapped: Annotated[
        str | None,
        typer.Option(
            "--scrapped", metavar="QUANTITY", help="How many of those built were lost in it."
        ),
    ] = None,
    take: Annotated[
        list[str] | None,
        typer.Option(
            "--take",
            metavar="SKU",
            help="Which substitute was taken, where the bill takes any. Otherwise by SKU.",
        ),
    ] = None,
    bill: Annotated[
        int | None,
        typer.Option(
            "--bill",
            metavar="NUMBER",
            help="By which older bill, for orders made with it. Otherwise the present one.",
        ),
    ] = None,
    lot: LotName = None,
    location: LocationName = None,
    expires: Expires = None,
    available_from: AvailableFrom = None,
) -> None:
    """Record what was made.

    Its materials go out, it comes in. For example: stockpush build candle-lav 40

    As it really went: stockpush build candle-lav 40 --used beeswax=6200g --scrapped 2
    """

    def asked(catalogue: Catalogue, item: Item, key: str) -> Asked:
        said = Said(
            quantity=joined(quantity, write),
            lot=lot,
            location=location,
            expires=expires,
            available_from=available_from,
            used=[_part(each, catalogue) for each in used or ()],
            scrapped=scrapped,
            take=[find_item(catalogue, each) for each in take or ()],
            bill=bill,
        )
        return moving.build(said, item, _by(key, write), TYPED)

    act_in("build", write, sku, asked)


@writing
def count(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    pool: PoolIfAny = None,
) -> None:
    """State what somebody counted.

    All that lies there, what is reserved included; one movement makes the ledger agree.

    Of an item with lots: all that can be sold, or with --lot or --location what lies there.
    """

    def asked(catalogue: Catalogue, item: Item, key: str) -> Asked:
        said = Said(quantity=joined(quantity, write), lot=lot, location=location, pool=pool)
        return moving.count(said, item, _by(key, write), TYPED, catalogue)

    act_in("count", write, sku, asked)


@writing
def adjust(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    pool: PoolIfAny = None,
) -> None:
    """Add or, with a sign, take away.

    For example: stockpush adjust wick -3 --reason broken

    Of an item with lots: with --lot or --location of what lies there.
    """

    def asked(catalogue: Catalogue, item: Item, key: str) -> Asked:
        said = Said(quantity=joined(quantity, write), lot=lot, location=location, pool=pool)
        return moving.adjust(said, item, _by(key, write), TYPED, catalogue)

    act_in("adjust", write, sku, asked)


@writing
def scrap(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
) -> None:
    """Take off what is spoilt, broken or lost.

    For example: stockpush scrap soap-lav 3 --reason cracked
    """

    def asked(item: Item, key: str) -> Asked:
        said = Said(quantity=joined(quantity, write), lot=lot, location=location)
        return moving.scrap(said, item, _by(key, write), TYPED)

    act("scrap", write, sku, asked)


@writing
def take_back(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
) -> None:
    """Put back what a buyer sent back.

    A refund alone puts nothing back on the shelf. For example: stockpush return soap-lav 1
    """

    def asked(item: Item, key: str) -> Asked:
        said = Said(quantity=joined(quantity, write), lot=lot, location=location)
        return moving.take_back(said, item, _by(key, write), TYPED)

    act("return", write, sku, asked)


@writing
def sell(
    write: Write,
    at: Annotated[str, typer.Option("--at", metavar="PLACE", help="Where: market, shop, ...")],
    sku: Annotated[str | None, typer.Argument(metavar="SKU", help="Which item.")] = None,
    quantity: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUANTITY", help="How much: in the item's own unit, or another."),
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option("--hold", metavar="ID", help="All of a hold, instead of SKU and QUANTITY."),
    ] = None,
    pool: PoolIfAny = None,
) -> None:
    """Record a sale made elsewhere.

    For example: stockpush sell soap-lav 3 --at market

    What was held is sold whole: stockpush sell --hold hold-12 --at market
    """
    place = one_line(at, field="--at")
    if not place:
        raise UsageError(
            "--at names no place.",
            field="--at",
            expected="where it was sold",
            next="stockpush sell soap-lav 3 --at market",
        )
    if hold is not None:
        if sku is not None:
            raise UsageError(
                "--hold sells all that the hold has, so no item is named beside it.",
                field="SKU",
                found=sku,
                expected="--hold alone, or an item and a quantity",
                next=f"stockpush sell --hold {shlex.quote(hold)} --at {shlex.quote(place)}",
            )
        if pool is not None:
            raise UsageError(
                "--hold sells from the pool that the hold is of.",
                field="--pool",
                found=pool,
                expected="--hold alone",
                next=f"stockpush sell --hold {shlex.quote(hold)} --at {shlex.quote(place)}",
            )
        _sell_hold(hold, place, write)
        return
    if sku is None or not quantity:
        raise UsageError(
            "What was sold is missing.",
            field="SKU" if sku is None else "QUANTITY",
            expected="an item and a quantity, or --hold",
            next="stockpush sell --help",
        )
    typed = quantity

    def asked(item: Item, key: str) -> Asked:
        line = Part(item, joined(typed, write), TYPED.names["quantity"])
        return moving.sell([line], _by(key, write), place, pool)

    act("sell", write, sku, asked)


def _sell_hold(hold: str, place: str, write: Write) -> None:
    """Turn a hold into a sale made at `place`."""
    number = read_id(hold, field="--hold")

    def asked(_: Catalogue, key: str) -> Asked:
        return moving.sell_hold(number, _by(key, write), place)

    carry_out(write, asked, id_field="--hold", where="stockpush holds --all")


@writing
def undo(
    write: Write,
    movement: Annotated[
        str, typer.Argument(metavar="ID", help="What the command printed: mv-1042.")
    ],
) -> None:
    """Take a whole command back.

    By the id that it printed: stockpush undo mv-1042. Nothing is deleted; what compensates it is
    written.
    """
    number = movements.read_id(movement, field="ID", next=_instead(movement))

    def asked(_: Catalogue, key: str) -> Asked:
        return moving.undo(number, _by(key, write))

    carry_out(write, asked)


# -- reading arguments -----------------------------------------------------------------------


def _by(key: str, write: Write) -> By:
    return By(key, actor(), write.reason)


def _part(text: str, catalogue: Catalogue) -> Part:
    """Return what `--used` says of a component."""
    sku, equals, quantity = text.rpartition("=")
    if not equals or not sku.strip():
        raise UsageError(
            f"--used {text!r} does not say how much of what.",
            field="--used",
            found=text,
            expected="SKU=QUANTITY, such as beeswax=6200g",
        )
    item = find_item(catalogue, sku)
    return Part(item, quantity, f"--used {item.sku}")


def _instead(text: str) -> str:
    """Return what to type instead of an undo of what is no movement.

    >>> _instead("hold-12"), _instead("soap")
    ('stockpush release hold-12', 'stockpush undo --help')
    """
    try:
        return f"stockpush release {hold_name(read_id(text, field='ID'))}"
    except UsageError:
        return "stockpush undo --help"
