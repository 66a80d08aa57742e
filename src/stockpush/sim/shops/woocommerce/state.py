"""What an emulated WooCommerce shop remembers: products, orders, refunds.

Theory of operation. A *product* row is a simple product, a variable parent or a variation; the
one that holds the number a sale is taken from is the *stock owner* (a variation that does not
manage its own stock is served by its parent, if that one does). An order line carries `reduced`,
the shop's `_reduced_stock` meta: what the shop has taken off the owner's number for this line and
not put back. Instants are aware UTC in whole seconds, as the shop stores them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from stockpush.sim.shops.past import Past

REDUCED_STATUSES = frozenset({"processing", "on-hold", "completed"})
"""Statuses in which the shop has taken an order's units off its number."""
RESTORED_STATUSES = frozenset({"cancelled", "pending"})
"""Statuses whose entry puts back what was taken off; failed, refunded and trash do not."""
RELEASED_STATUSES = frozenset(
    {"cancelled", "failed", "refunded", "trash", "checkout-draft", "auto-draft"}
)
"""Statuses in which nothing is to be sent any more, and did not leave either."""
HIDDEN_STATUSES = frozenset({"trash", "checkout-draft", "auto-draft"})
"""Statuses that `status=any` leaves out."""


@dataclass(slots=True)
class Product:
    """A product or a variation (`parent_id` > 0). `stock` means something only if `manages`."""

    id: int
    type: str
    stock: int
    manages: bool
    backorders: str
    sku: str
    modified: datetime
    created: datetime
    parent_id: int = 0
    past: Past = field(default_factory=Past)
    """Of `stock`, for readings that lag."""

    @property
    def listing(self) -> str:
        """Return the listing's name: "product" or "product:variation"."""
        return f"{self.parent_id}:{self.id}" if self.parent_id else f"{self.id}"


@dataclass(slots=True)
class OrderLine:
    """One line; `reduced` is None while the `_reduced_stock` meta is absent."""

    id: int
    product_id: int
    variation_id: int
    quantity: int
    sku: str
    reduced: int | None = None

    @property
    def listing(self) -> str:
        """Return the listing's name: "product" or "product:variation"."""
        return (
            f"{self.product_id}:{self.variation_id}" if self.variation_id else f"{self.product_id}"
        )


@dataclass(slots=True)
class Refund:
    """A refund of `quantity` units (> 0) of one line."""

    id: int
    line_id: int
    product_id: int
    variation_id: int
    quantity: int
    restock: bool
    created: datetime
    item_id: int


@dataclass(slots=True)
class Order:
    """One order. `hold_expires` is when its unpaid hold on stock ends (pending orders).

    `stock_reduced` is the order's own flag, so that units are not taken twice.
    """

    id: int
    status: str
    created: datetime
    modified: datetime
    lines: list[OrderLine]
    paid: datetime | None = None
    completed: datetime | None = None
    hold_expires: datetime | None = None
    stock_reduced: bool = False
    refunds: list[Refund] = field(default_factory=list)

    def refunded(self, line: OrderLine) -> int:
        """Return the refunded units of a line, >= 0."""
        return sum(refund.quantity for refund in self.refunds if refund.line_id == line.id)

    def standing(self, line: OrderLine) -> tuple[int, int]:
        """Return (units of a line that are still to be sent, units that left and are not back).

        The status decides: a status that the shop itself does not know is still demand. What an
        order had sent stays sent when it is refunded or thrown away, but for what came back by a
        cancellation in between.
        """
        if self.status == "completed":
            return 0, line.quantity - self.restocked(line)
        if self.status in {"refunded", "trash"} and self.completed is not None:
            return 0, line.reduced or 0
        if self.status in RELEASED_STATUSES:
            return 0, 0
        return max(0, line.quantity - self.refunded(line)), 0

    def restocked(self, line: OrderLine) -> int:
        """Return the refunded units of a line that were put back on sale, >= 0."""
        return sum(
            refund.quantity
            for refund in self.refunds
            if refund.line_id == line.id and refund.restock
        )
