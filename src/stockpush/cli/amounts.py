"""An item and how much of it, as people type it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, TypeAlias

import typer

from stockpush.cli.options import Write
from stockpush.errors import UsageError

Sku: TypeAlias = Annotated[str, typer.Argument(metavar="SKU", help="Which item.")]
Quantity: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="QUANTITY",
        help="How much: in the item's own unit, or with another (5kg, '2.5 l', 2 boxes).",
    ),
]


def joined(words: Sequence[str], write: Write) -> str:
    """Return the quantity that was typed: a unit may stand apart (`5 kg`)."""
    refuse_options(words, write)
    return " ".join(words)


def refuse_options(words: Sequence[str], write: Write) -> None:
    """Raise `UsageError` for an option among quantities: what begins with - may be a number."""
    for word in words:
        if word.startswith("--"):
            if word in write.options:
                raise UsageError(f"{word} must stand before the lone --.", field=word)
            near = get_close_matches(word, write.options, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"There is no option {word}.{hint}", field=word, found=word)
