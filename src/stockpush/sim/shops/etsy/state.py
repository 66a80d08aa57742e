"""What an emulated Etsy shop remembers: listings with their products, and receipts.

Theory of operation. A listing's products are told apart by the values of its variation properties.
Products that have the same values for the properties in `quantity_on` share one number: a sale of
one lowers all of them. A product has one offering here, as it has on Etsy. Instants are aware UTC
in whole seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from stockpush.sim.shops.past import Past

STATES = ("active", "inactive", "sold_out", "draft", "expired")


class Variation(NamedTuple):
    """One value of a product: "Scent: Lavender"."""

    property_id: int
    name: str
    value: str
    value_id: int
    scale_id: int | None = None


@dataclass(slots=True)
class Product:
    """A product and its one offering. `price` is in the smallest units of the shop's currency."""

    product_id: int
    offering_id: int
    sku: str
    values: tuple[Variation, ...]
    price: int
    quantity: int
    is_enabled: bool = True
    readiness: int | None = 9

    def name(self, listing_id: int) -> str:
        """Return the listing's name: "1001", or "1001:200=blue" with every value it has."""
        return name_of(listing_id, self.values)

    def key(self, properties: Sequence[int]) -> tuple[tuple[int, str], ...]:
        """Return what tells it from others that differ in these properties."""
        return tuple(
            sorted(
                (each.property_id, each.value)
                for each in self.values
                if each.property_id in properties
            )
        )


@dataclass(slots=True)
class Listing:
    """A listing. `varies` says by which properties price, quantity, SKU and profile do."""

    listing_id: int
    title: str
    state: str
    products: list[Product]
    created: datetime
    updated: datetime
    varies: dict[str, tuple[int, ...]]
    deleted: list[Product] = field(default_factory=list)
    """Products that a replace left out; shown where a reader asks for them."""
    past: dict[str, Past] = field(default_factory=dict)
    """Of each product's quantity by its name, for readings that lag."""
    fees: int = 0
    """Listing fees paid since it was made."""

    @property
    def quantity_on(self) -> tuple[int, ...]:
        """Return the properties that the quantity varies by."""
        return self.varies["quantity_on_property"]

    def sharing(self, product: Product) -> list[Product]:
        """Return the products that share a product's number, itself among them."""
        key = product.key(self.quantity_on)
        return [each for each in self.products if each.key(self.quantity_on) == key]

    def sells(self) -> bool:
        """Answer whether a buyer would see a quantity above zero."""
        return any(each.is_enabled and each.quantity > 0 for each in self.products)


@dataclass(slots=True)
class Line:
    """One transaction. `deducted` is what was taken off the number for it and not put back."""

    transaction_id: int
    listing_id: int
    product_id: int
    name: str
    sku: str
    values: tuple[Variation, ...]
    quantity: int
    price: int
    deducted: int = 0


@dataclass(slots=True)
class Receipt:
    """An order. `refunded` is how much money went back, in the smallest units."""

    receipt_id: int
    status: str
    created: datetime
    updated: datetime
    lines: list[Line]
    paid: datetime | None = None
    shipped: datetime | None = None
    refunds: list[tuple[int, datetime]] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        """Answer whether nothing of it is to be sent any more, and none of it was."""
        return self.status in ("canceled", "fully refunded")

    @property
    def total(self) -> int:
        """Return what it costs, in the smallest units."""
        return sum(line.price * line.quantity for line in self.lines)


def name_of(listing_id: int, values: Sequence[Variation]) -> str:
    """Return the name of a listing's product with these values.

    >>> name_of(1001, [Variation(200, "Color", "Blue", 5)])
    '1001:200=blue'
    """
    told = sorted((each.property_id, each.value.casefold()) for each in values)
    return (
        f"{listing_id}:{urlencode([(str(key), text) for key, text in told])}"
        if told
        else str(listing_id)
    )
