"""The ledger as people read it: movements, newest first, one dataclass per JSON shape.

The shapes are those of docs/interface.md: keys may be added, never renamed or removed. What was
paid for a receipt, and whom it came from, stand in its movement's reason, where `paid` puts them
and `paid_in` finds them again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from stockpush.engine.given import shown
from stockpush.errors import UsageError
from stockpush.messages import LotTerms
from stockpush.model import MovementKind, StockMovement
from stockpush.reservation.catalogue import Catalogue
from stockpush.units import format_quantity

_MOVEMENT: Final = re.compile(r"(?:mv-)?([0-9]{1,18})", re.IGNORECASE)
_COST: Final = r"cost (?P<cost>[0-9]+(?:\.[0-9]+)?)"
_PAID: Final = (
    re.compile(rf"(?:.*?; )??{_COST}(?:; from (?P<supplier>.+))?"),
    re.compile(r"(?:.*?; )??from (?P<supplier>.+)"),
)
"""How a receipt's reason ends that has a cost, or else a supplier alone."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One movement of `log --json`: `quantity` is signed, a decimal string in the item's unit.

    `lot` is None for what belongs to none. `cause` is what brought it about, which movements of one
    command share. `cost` and `supplier` are those of a receipt, None where nothing was said.
    `undoes` is the movement that it takes back, None for most.
    """

    id: str
    at: datetime
    kind: str
    sku: str
    quantity: str
    unit: str
    lot: str | None
    location: str
    reason: str
    actor: str
    cause: str
    cost: str | None
    supplier: str | None
    undoes: str | None


def row(catalogue: Catalogue, movement: StockMovement) -> LedgerRow:
    """Return a movement's row; an item is never removed, so each has one."""
    item = catalogue.items[movement.sku]
    cost, supplier = paid_in(movement)
    return LedgerRow(
        id=name_of(movement.id),
        at=movement.at,
        kind=movement.kind.value,
        sku=item.sku,
        quantity=format_quantity(movement.quantity, item.scale),
        unit=item.unit,
        lot=movement.lot or None,
        location=movement.location,
        reason=movement.reason,
        actor=movement.actor,
        cause=movement.cause,
        cost=cost,
        supplier=supplier,
        undoes=None if movement.undoes is None else name_of(movement.undoes),
    )


def paid(terms: LotTerms | None) -> str:
    """Return what the record keeps of a receipt itself: its cost, and whom it came from.

    >>> paid(LotTerms(cost="12.50", supplier="Imkerei Moser"))
    'cost 12.50; from Imkerei Moser'
    """
    if terms is None:
        return ""
    said = (("cost ", terms.cost), ("from ", terms.supplier))
    return "; ".join(label + text for label, text in said if text)


def paid_in(movement: StockMovement) -> tuple[str | None, str | None]:
    """Return the cost and the supplier of a receipt, each None where nothing was said of it.

    What `paid` says stands after what the command's own reason was.
    """
    came_in = movement.kind is MovementKind.RECEIPT and movement.undoes is None
    if came_in:
        for pattern in _PAID:
            if (found := pattern.fullmatch(movement.reason)) is not None:
                said = found.groupdict()
                return said.get("cost"), said["supplier"]
    return None, None


def name_of(movement_id: int | None) -> str:
    """Return a movement's id as it is typed."""
    return f"mv-{movement_id}"


def read_id(text: str, *, field: str, next: str) -> int:
    """Return the number of a movement from its id as it is typed; `next` is told after a slip.

    >>> read_id("mv-12", field="ID", next=""), read_id("12", field="ID", next="")
    (12, 12)
    """
    found = _MOVEMENT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{shown(text)!r} is not the id of a movement.",
            field=field,
            found=shown(text),
            expected="an id that a command has printed, such as mv-1042",
            next=next,
        )
    return int(found[1])
