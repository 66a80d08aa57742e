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
from collections.abc import Set as AbstractSet
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from stockpush.connectors.etsy.keys import field_key, plain, value_of
from stockpush.connectors.etsy.wire import Document, Money, Offering, Product, PropertyValue
from stockpush.errors import PayloadInvalid

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ECHOED = (
    "price_on_property",
    "quantity_on_property",
    "sku_on_property",
    "readiness_state_on_property",
)

OTHER_NUMBERS = "quantities of other variations"
"""What `differs` names where a number is another one that was sent back as it was read."""


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


def differs(
    listing_id: int, sent: Document, saved: Document, *, ours: AbstractSet[str]
) -> str | None:
    """Return in what a saved document differs from the one that was sent; None: in nothing.

    New ids of products and another order are no difference, nor are the numbers of the fields in
    `ours`, of which each line tells by itself, nor what Etsy fills in where nothing was sent.
    Named are lists of the document, "products" where one came, went, or has another price, SKU,
    value, profile or switch, or `OTHER_NUMBERS`.
    """
    for name in _ECHOED:
        if sorted(getattr(sent, name) or ()) != sorted(getattr(saved, name) or ()):
            return name
    before, after = _by_values(sent), _by_values(saved)
    if len(products_of(sent)) != len(products_of(saved)) or before.keys() != after.keys():
        return "products"
    if not all(_is_as_sent(each, after[name]) for name, each in before.items()):
        return "products"
    others = [name for name, each in before.items() if field_of(listing_id, sent, each) not in ours]
    if all(_quantities(before[name]) == _quantities(after[name]) for name in others):
        return None
    return OTHER_NUMBERS


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


def _by_values(document: Document) -> dict[object, Product]:
    """Return the products by what tells them apart: their ids change with every write."""
    return {
        tuple(sorted((each.property_id, each.values) for each in product.property_values)): product
        for product in products_of(document)
    }


def _is_as_sent(sent: Product, saved: Product) -> bool:
    """Answer whether a product of the same values is the same but for quantities."""
    values = {each.property_id: each for each in saved.property_values}
    return (
        (sent.sku or "") == (saved.sku or "")
        and all(_is_value_as_sent(each, values[each.property_id]) for each in sent.property_values)
        and [_terms(each) for each in sent.offerings] == [_terms(each) for each in saved.offerings]
    )


def _is_value_as_sent(sent: PropertyValue, saved: PropertyValue) -> bool:
    return (
        sent.scale_id == saved.scale_id
        and (not sent.value_ids or sorted(sent.value_ids) == sorted(saved.value_ids))
        and (sent.property_name is None or sent.property_name == saved.property_name)
    )


def _terms(offering: Offering) -> tuple[Decimal, bool, int | None]:
    """Return everything of an offering but its quantity."""
    return price(offering.price), offering.is_enabled, offering.readiness_state_id


def _quantities(product: Product) -> list[int]:
    return [each.quantity for each in product.offerings]
