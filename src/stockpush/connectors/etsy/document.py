"""The stock document of a listing: the numbers in it, and its way back without a change.

Theory of operation. What is read and what may be written have different shapes. Going back, ids and
marks of deletion are left out, products and offerings that are marked as deleted are skipped, a
price is a plain number with the digits of its currency, and names that are null are left out,
because Etsy takes no null there. Everything else is sent as it was read. Prices are computed as
decimals and encoded as such: a float in between could change what a thing costs.
Source: updateListingInventory in the OpenAPI document; docs/channels/etsy.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from stockpush.connectors.etsy.keys import field_key, plain, value_of
from stockpush.connectors.etsy.wire import Document, Money, Offering, Product
from stockpush.errors import PayloadInvalid

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ECHOED = (
    "price_on_property",
    "quantity_on_property",
    "sku_on_property",
    "readiness_state_on_property",
)


def products_of(document: Document) -> tuple[Product, ...]:
    """Return the products that are not deleted, with their offerings that are not."""
    return tuple(
        msgspec.structs.replace(
            product,
            offerings=tuple(each for each in product.offerings if not each.is_deleted),
        )
        for product in document.products
        if not product.is_deleted
    )


def field_of(listing_id: int, document: Document, product: Product) -> str:
    """Return the key of the field that holds a product's number."""
    varies_by = document.varies_by
    return field_key(
        listing_id,
        (
            (each.property_id, value_of(each.values))
            for each in product.property_values
            if each.property_id in varies_by
        ),
    )


def numbers(listing_id: int, document: Document) -> dict[str, int | None]:
    """Return field key -> the number that it holds, None where it holds several.

    Offerings that buyers do not see count only where the field has no others.
    """
    shown: dict[str, set[int]] = {}
    hidden: dict[str, set[int]] = {}
    for product in products_of(document):
        key = field_of(listing_id, document, product)
        shown.setdefault(key, set())
        for offering in product.offerings:
            (shown if offering.is_enabled else hidden).setdefault(key, set()).add(offering.quantity)
    found = {key: told or hidden.get(key, set()) for key, told in shown.items()}
    return {key: min(told) if len(told) == 1 else None for key, told in found.items()}


def seen(listing_id: int, document: Document) -> frozenset[str]:
    """Return the fields of which buyers see something."""
    return frozenset(
        field_of(listing_id, document, product)
        for product in products_of(document)
        if any(offering.is_enabled for offering in product.offerings)
    )


def skus(listing_id: int, document: Document) -> dict[str, set[str]]:
    """Return SKU (as it is compared) -> the fields of its products; an empty SKU is none."""
    found: dict[str, set[str]] = {}
    for product in products_of(document):
        if sku := plain(product.sku or ""):
            found.setdefault(sku, set()).add(field_of(listing_id, document, product))
    return found


def with_numbers(listing_id: int, document: Document, targets: Mapping[str, int]) -> Document:
    """Return the document with the numbers of these fields, everything else as it was."""

    def changed(product: Product) -> Product:
        target = targets.get(field_of(listing_id, document, product))
        if target is None:
            return product
        offerings = tuple(
            msgspec.structs.replace(each, quantity=target) for each in product.offerings
        )
        return msgspec.structs.replace(product, offerings=offerings)

    return msgspec.structs.replace(document, products=tuple(map(changed, document.products)))


def sells_something(document: Document) -> bool:
    """Answer whether buyers would see a quantity above zero."""
    return any(
        offering.is_enabled and offering.quantity > 0
        for product in products_of(document)
        for offering in product.offerings
    )


def body_of(document: Document) -> bytes:
    """Return the document as it may be written; `PayloadInvalid` for a price that has no digits."""
    body: dict[str, Any] = {"products": [_product(each) for each in products_of(document)]}
    for name in _ECHOED:
        value = getattr(document, name)
        if value is not msgspec.UNSET:
            body[name] = value
    return _ENCODER.encode(body)


def write_params(document: Document) -> tuple[tuple[str, str], ...]:
    """Return the query of a write: without it a listing of three properties is refused with 409."""
    three = any(len(product.property_values) >= 3 for product in products_of(document))
    return (("max_variations_supported", "3"),) if three else ()


def differs(before: Document, after: Document) -> str | None:
    """Return in what two documents differ, other than quantities, ids and order; None: in nothing.

    Named are lists of the document, or "products" where one came, went, or has another price, SKU,
    value, profile or switch.
    """
    for name in _ECHOED:
        if sorted(getattr(before, name) or ()) != sorted(getattr(after, name) or ()):
            return name
    return None if _products(before) == _products(after) else "products"


def price(money: Money) -> Decimal:
    """Return an amount with the digits of its divisor; `PayloadInvalid` where it has none.

    >>> price(Money(amount=2450, divisor=100))
    Decimal('24.50')
    """
    digits = len(str(money.divisor)) - 1
    if money.divisor != 10**digits:
        raise PayloadInvalid(
            "A price has a divisor that is no power of ten.",
            field="price.divisor",
            found=money.divisor,
        )
    with localcontext() as exact:
        exact.prec = 40
        return Decimal(money.amount).scaleb(-digits)


def _product(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "property_values": [
            {
                "property_id": each.property_id,
                "value_ids": each.value_ids,
                "values": each.values,
                "scale_id": each.scale_id,
            }
            | ({} if each.property_name is None else {"property_name": each.property_name})
            for each in product.property_values
        ],
        "offerings": [_offering(each) for each in product.offerings],
    }


def _offering(offering: Offering) -> dict[str, Any]:
    return {
        "price": price(offering.price),
        "quantity": offering.quantity,
        "is_enabled": offering.is_enabled,
        "readiness_state_id": offering.readiness_state_id,
    }


def _products(document: Document) -> list[object]:
    """Return what the products of two documents must have in common, in a fixed order."""
    products = [
        (
            product.sku or "",
            sorted(
                (each.property_id, each.scale_id or 0, each.values)
                for each in product.property_values
            ),
            [
                (price(each.price), each.is_enabled, each.readiness_state_id or 0)
                for each in product.offerings
            ],
        )
        for product in products_of(document)
    ]
    return sorted(products, key=repr)
