"""An item and how much of it, as people type and say it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, TypeAlias

import typer

from stockpush.cli.options import Write
from stockpush.errors import UsageError
from stockpush.model import Item
from stockpush.units import format_quantity, parse_quantity

Sku: TypeAlias = Annotated[str, typer.Argument(metavar="SKU", help="Which item.")]
Quantity: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="QUANTITY",
        help="How much: in the item's own unit, or with another (5kg, '2.5 l', 2 boxes).",
    ),
]


def units_of(
    words: Sequence[str], item: Item, write: Write, *, signed: bool = False, zero: bool = False
) -> int:
    """Return the quantity that was typed, in smallest units; a unit may stand apart (`5 kg`)."""
    refuse_options(words, write)
    return parse_quantity(
        " ".join(words),
        unit=item.unit,
        scale=item.scale,
        field="quantity",
        signed=signed,
        zero=zero,
        purchase_units=item.purchase_units,
    )


def refuse_options(words: Sequence[str], write: Write) -> None:
    """Raise `UsageError` for an option among quantities: what begins with - may be a number."""
    for word in words:
        if word.startswith("--"):
            if word in write.options:
                raise UsageError(f"{word} must stand before the lone --.", field=word)
            near = get_close_matches(word, write.options, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"There is no option {word}.{hint}", field=word, found=word)


def amount(units: int, item: Item) -> str:
    """Return a quantity with its unit and item, as people say it.

    >>> from stockpush.model import Kind
    >>> amount(40, Item("candle", "", Kind.PRODUCT, "piece"))
    '40 candle'
    >>> amount(5000, Item("beeswax", "", Kind.MATERIAL, "kg", scale=3))
    '5 kg of beeswax'
    """
    amount = bare(units, item)
    return f"{amount} {item.sku}" if item.unit == "piece" else f"{amount} of {item.sku}"


def of_lot(lot: str | None) -> str:
    """Return which lot it is of, as people say it."""
    return "" if lot is None else f" (lot {lot})"


def bare(units: int, item: Item) -> str:
    """Return a quantity without its item: a number, with its unit unless it counts pieces."""
    number = format_quantity(units, item.scale)
    return number if item.unit == "piece" else f"{number} {item.unit}"
