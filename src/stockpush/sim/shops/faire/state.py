"""What an emulated Faire account remembers: variants and retailers' orders, all mutable.

Theory of operation. A variant has two numbers: `on_hand`, which the brand writes, and `committed`,
the pieces of its orders that are not sent yet. What is for sale is the difference, so an order
lowers it without touching `on_hand`. A line counts pieces, not cases, and a tester is one more.
Instants are aware UTC in whole seconds, so that ties happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from stockpush.sim.shops.past import Past

OPEN_STATES = frozenset({"NEW", "PENDING_RETAILER_CONFIRMATION", "PROCESSING"})
"""States of pieces that are to be sent from here as soon as they can."""
SENT_STATES = frozenset(
    {"PRE_TRANSIT", "IN_TRANSIT", "DELIVERED", "RETURNED", "DAMAGED_OR_MISSING"}
)
"""States of pieces that have left."""
CANCELLABLE_STATES = OPEN_STATES | {"BACKORDERED"}


@dataclass(slots=True)
class Variant:
    """A sellable variant. `on_hand` means something only if `tracked`; it may be negative."""

    id: str
    product_id: str
    sku: str
    on_hand: int
    tracked: bool = True
    sells_out_of_stock: bool = False
    """The product's `allow_sales_when_out_of_stock`."""
    committed: int = 0
    deleted: bool = False
    past_on_hand: Past = field(default_factory=Past)
    past_committed: Past = field(default_factory=Past)
    """For readings that lag."""

    @property
    def available(self) -> int:
        """Return what is for sale."""
        return self.on_hand - self.committed


@dataclass(slots=True)
class Item:
    """One line. `state` is None while it has none of its own, as on a new order.

    `moved`: a child order carries these pieces now. `committed` and `taken` are its parts of the
    variant's numbers: kept aside, and taken off `on_hand` when they were sent.
    """

    id: str
    variant: Variant
    sku: str
    quantity: int
    created: datetime
    tester: bool = False
    state: str | None = None
    moved: bool = False
    committed: int = 0
    taken: int = 0

    @property
    def pieces(self) -> int:
        """Return the units, the tester included."""
        return self.quantity + (1 if self.tester else 0)


@dataclass(slots=True)
class Order:
    """One order; a backorder names its `parent`. `by_faire`: sent from Faire's own stock."""

    number: int
    state: str
    created: datetime
    updated: datetime
    items: list[Item]
    parent: Order | None = None
    by_faire: bool = False
    expected: datetime | None = None
    wants_cancellation: bool = False

    @property
    def id(self) -> str:
        """Return the order's id."""
        return f"bo_{self.number}"

    def state_of(self, item: Item) -> str:
        """Return where a line stands, by its own state or the order's."""
        return item.state or self.state

    def open_items(self) -> list[Item]:
        """Return the lines that are to be sent from here, backordered ones left out."""
        return [item for item in self.items if self.state_of(item) in OPEN_STATES]
