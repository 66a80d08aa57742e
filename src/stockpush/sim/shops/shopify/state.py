"""What an emulated Shopify shop knows: variants, levels and orders, all mutable.

Instants are aware UTC, floored to the second as Shopify tells them, so that ties happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from stockpush.sim.shops.past import Past

FIRST_ID = 2**53 + 1001
"""Ids begin where a double no longer tells neighbours apart."""


@dataclass(slots=True)
class Ids:
    """Numbers of one shop, never used twice."""

    counter: count[int] = field(default_factory=lambda: count(FIRST_ID))

    def new(self) -> int:
        """Return a fresh number."""
        return next(self.counter)


@dataclass(slots=True)
class Level:
    """One inventory item at one location. `available` may be negative, `committed` is not."""

    available: int = 0
    committed: int = 0
    active: bool = True
    past: Past = field(default_factory=Past)
    """Of `available`, for readings that lag."""


@dataclass(slots=True)
class Variant:
    """A sellable variant and its inventory item. `levels` is by location number."""

    variant_id: int
    item_id: int
    sku: str
    levels: dict[int, Level]
    policy: str = "DENY"
    tracked: bool = True
    bundle: bool = False
    deleted: bool = False


@dataclass(slots=True)
class Line:
    """One line of an order.

    `quantity` counts every unit ever ordered, `removed` those taken off by an edit without a
    refund, `unfulfilled` those that neither left, nor were cancelled, refunded or removed.
    """

    line_id: int
    variant: Variant
    quantity: int
    unfulfilled: int
    removed: int = 0


@dataclass(slots=True)
class Refunded:
    """Units of one line in a refund; `location` only where they were put back."""

    refunded_id: int
    line: Line
    quantity: int
    restock_type: str
    location: int | None


@dataclass(slots=True)
class Refund:
    """One refund."""

    refund_id: int
    created_at: datetime
    units: list[Refunded]


@dataclass(slots=True)
class Fulfilment:
    """One shipment: `units` are (line, quantity)."""

    fulfilment_id: int
    status: str
    units: list[tuple[Line, int]]


@dataclass(slots=True)
class Order:
    """One order. `location` is where its units are committed."""

    order_id: int
    location: int
    created_at: datetime
    updated_at: datetime
    lines: list[Line]
    confirmed: bool = True
    test: bool = False
    edited: bool = False
    cancelled_at: datetime | None = None
    closed_at: datetime | None = None
    refunds: list[Refund] = field(default_factory=list)
    fulfilments: list[Fulfilment] = field(default_factory=list)

    def refunded(self, line: Line) -> int:
        """Return how many units of `line` have been refunded, put back or not."""
        return sum(
            units.quantity
            for refund in self.refunds
            for units in refund.units
            if units.line is line
        )

    def restocked(self, line: Line) -> int:
        """Return how many refunded units of `line` were put back on sale."""
        return sum(
            units.quantity
            for refund in self.refunds
            for units in refund.units
            if units.line is line and units.location is not None
        )

    def returned(self, line: Line) -> int:
        """Return how many units of `line` were put back on sale after they had left."""
        return sum(
            units.quantity
            for refund in self.refunds
            for units in refund.units
            if units.line is line and units.restock_type == "return"
        )

    def sent(self, line: Line) -> int:
        """Return how many units of `line` have left."""
        return sum(
            quantity
            for fulfilment in self.fulfilments
            for of, quantity in fulfilment.units
            if of is line
        )

    @property
    def status(self) -> str:
        """Return where the order stands: cancelled, closed or open."""
        if self.cancelled_at is not None:
            return "cancelled"
        return "open" if self.closed_at is None else "closed"

    def current(self, line: Line) -> int:
        """Return the units of `line` less refunded and removed ones."""
        return line.quantity - line.removed - self.refunded(line)
