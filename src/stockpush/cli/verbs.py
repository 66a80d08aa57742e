"""The stock verbs: receive, build, count, adjust, scrap, return, sell, undo.

Each acts at once, prints what it changed (its own item, and every other whose ATP moved because
they share a material) and how to undo it. Nothing is deleted: undo writes what compensates.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from stockpush.cli.acting import Asked, act, act_in, carry_out
from stockpush.cli.amounts import Quantity, Sku, amount, bare, of_lot, units_of
from stockpush.cli.options import Write, writing
from stockpush.cli.places import (
    AvailableFrom,
    Cost,
    Expires,
    LocationName,
    LotName,
    PoolIfAny,
    PoolName,
    Supplier,
    name_of,
    terms_of,
)
from stockpush.cli.session import actor, find_item, one_line
from stockpush.engine import movements
from stockpush.engine.holding import read_id
from stockpush.errors import UsageError
from stockpush.messages import (
    BuildStock,
    CountStock,
    MoveStock,
    SellHold,
    StockMove,
    UndoMovement,
)
from stockpush.model import MAIN, Item, MovementKind
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.holds import name_of as hold_name
from stockpush.units import parse_quantity


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
        units = units_of(quantity, item, write)
        named = name_of(lot, field="--lot")
        terms = terms_of(
            item,
            named,
            expires=expires,
            available_from=available_from,
            cost=cost,
            supplier=supplier,
        )
        move = StockMove(
            item.sku,
            units,
            MovementKind.RECEIPT,
            reason=movements.paid(terms),
            location=name_of(location, field="--location"),
            lot=named,
            terms=terms,
        )
        return Asked(_move(move, key, write), f"Received {amount(units, item)}{of_lot(named)}")

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
        units = units_of(quantity, item, write)
        lost = _lost(scrapped, item)
        named = name_of(lot, field="--lot")
        command = BuildStock(
            item.sku,
            units,
            key,
            actor(),
            write.reason,
            used=_really_used(used or [], catalogue),
            scrapped=lost,
            location=name_of(location, field="--location"),
            lot=named,
            terms=terms_of(item, named, expires=expires, available_from=available_from),
            take=tuple(find_item(catalogue, each).sku for each in take or ()),
            bill=bill,
        )
        less = f", of which {bare(lost, item)} were lost" if lost else ""
        return Asked(command, f"Built {amount(units, item)}{of_lot(named)}{less}")

    act_in("build", write, sku, asked, facts=("used",))


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
        units = units_of(quantity, item, write, zero=True)
        named = name_of(lot, field="--lot")
        _check_place(location, pool, catalogue)
        command = CountStock(
            item.sku,
            units,
            key,
            actor(),
            write.reason,
            location=name_of(location, field="--location"),
            lot=named,
            pool=MAIN if pool is None else pool,
        )

        def seen(places: Sequence[str]) -> str:
            words = [item.sku, bare(units, item).replace(" ", "")]
            there = command.location or catalogue.home(command.pool)
            if places:
                words += ["--from", places[0], "--to", there]
            elif there != MAIN:
                words += ["--location", there]
            verb, why = ("transfer", "moved") if places else ("receive", "came in")
            typed = shlex.join([verb, *words, "--lot", named or ""])
            return f"stockpush {typed}  (if it {why})"

        what = f"Counted {amount(units, item)}{of_lot(named)}"
        return Asked(command, what, seen=seen if named and units else None)

    act_in("count", write, sku, asked)


@writing
def adjust(
    write: Write,
    sku: Sku,
    quantity: Quantity,
    pool: PoolName = MAIN,
) -> None:
    """Add or, with a sign, take away.

    For example: stockpush adjust wick -3 --reason broken
    """

    def asked(item: Item, key: str) -> Asked:
        units = units_of(quantity, item, write, signed=True)
        move = StockMove(item.sku, units, MovementKind.ADJUSTMENT)
        sign = "+" if units > 0 else ""
        done = f"Adjusted {item.sku} by {sign}{bare(units, item)}"
        return Asked(_move(move, key, write, pool), done)

    act("adjust", write, sku, asked)


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
        units = units_of(quantity, item, write)
        named = name_of(lot, field="--lot")
        move = StockMove(
            item.sku,
            -units,
            MovementKind.SCRAP,
            location=name_of(location, field="--location"),
            lot=named,
        )
        return Asked(_move(move, key, write), f"Scrapped {amount(units, item)}{of_lot(named)}")

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
        units = units_of(quantity, item, write)
        named = name_of(lot, field="--lot")
        move = StockMove(
            item.sku,
            units,
            MovementKind.RETURN,
            location=name_of(location, field="--location"),
            lot=named,
        )
        return Asked(_move(move, key, write), f"Took back {amount(units, item)}{of_lot(named)}")

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
    why = ": ".join(each for each in (f"sold at {place}", write.reason) if each)
    sold = replace(write, reason=why)

    def asked(item: Item, key: str) -> Asked:
        units = units_of(typed, item, write)
        move = StockMove(item.sku, -units, MovementKind.SALE)
        return Asked(_move(move, key, sold, pool), f"Sold {amount(units, item)} at {place}")

    act("sell", sold, sku, asked)


def _sell_hold(hold: str, place: str, write: Write) -> None:
    """Turn a hold into a sale made at `place`."""
    number = read_id(hold, field="--hold")

    def asked(_: Catalogue, key: str) -> Asked:
        command = SellHold(number, place, key, actor(), write.reason)
        return Asked(command, f"Sold {hold_name(number)} at {place}")

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
        command = UndoMovement(number, key, actor(), write.reason)
        return Asked(command, f"Undid mv-{number}")

    carry_out(write, asked, undoes=True)


# -- reading arguments -----------------------------------------------------------------------


def _move(move: StockMove, key: str, write: Write, pool: str | None = None) -> MoveStock:
    return MoveStock((move,), key, actor(), write.reason, MAIN if pool is None else pool)


def _check_place(location: str | None, pool: str | None, catalogue: Catalogue) -> None:
    """Refuse a location beside a pool that it does not belong to; an unknown one is not ours."""
    if location is None or pool is None:
        return
    if location != MAIN and location not in catalogue.locations:
        return
    if (of := catalogue.pool_at(location)) != pool:
        raise UsageError(
            f"{location} is in the pool {of}.",
            field="--pool",
            found=pool,
            expected=f"{of}, or --location alone",
            next="stockpush lots  (what lies where)",
        )


def _lost(text: str | None, item: Item) -> int:
    """Return how many of a build were lost, smallest units."""
    if text is None:
        return 0
    return _parsed(text, item, field="--scrapped")


def _really_used(given: Sequence[str], catalogue: Catalogue) -> tuple[tuple[str, int], ...]:
    """Return what `--used` says of each component, in smallest units."""
    used: dict[str, int] = {}
    for text in given:
        sku, equals, quantity = text.rpartition("=")
        if not equals or not sku.strip():
            raise UsageError(
                f"--used {text!r} does not say how much of what.",
                field="--used",
                found=text,
                expected="SKU=QUANTITY, such as beeswax=6200g",
            )
        item = find_item(catalogue, sku)
        if item.sku in used:
            raise UsageError(
                f"--used names {item.sku} twice.",
                field="--used",
                found=text,
                expected="each component once",
            )
        used[item.sku] = _parsed(quantity, item, field=f"--used {item.sku}")
    return tuple(sorted(used.items()))


def _parsed(text: str, item: Item, *, field: str) -> int:
    return parse_quantity(
        text,
        unit=item.unit,
        scale=item.scale,
        field=field,
        purchase_units=item.purchase_units,
    )


def _instead(text: str) -> str:
    """Return what to type instead of an undo of what is no movement.

    >>> _instead("hold-12"), _instead("soap")
    ('stockpush release hold-12', 'stockpush undo --help')
    """
    try:
        return f"stockpush release {hold_name(read_id(text, field='ID'))}"
    except UsageError:
        return "stockpush undo --help"
