"""The stock document of a listing: as Etsy shows it, and replaced as Etsy allows.

Theory of operation. A replace names every product; what it does not name is removed, and every
product gets new ids, whether it changed or not. There is no version, so whatever was there is
overwritten. What Etsy refuses is refused here with 400 before anything changes: keys that only a
read has, money as an object, quantities beyond 999 or all zero, values with parentheses, and parts
that vary by a property that was not named. A third property needs the caller's word that it knows
of third properties, or the answer is 409.
Source: updateListingInventory in Etsy's OpenAPI document; github.com/etsy/open-api issues 134, 159,
168, 214, 395, 501, 567; developers.etsy.com, tutorials/third-variation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from stockpush.sim.shops.etsy.state import Listing, Product, Variation

QUANTITY_MAX = 999
VALUES_MAX = 70
"""Most values of one property."""
ON_PROPERTY = (
    "price_on_property",
    "quantity_on_property",
    "sku_on_property",
    "readiness_state_on_property",
)
_PRODUCT_KEYS = {"sku", "property_values", "offerings"}
_OFFERING_KEYS = {"price", "quantity", "is_enabled", "readiness_state_id"}
_VALUE_KEYS = {"property_id", "value_ids", "values", "scale_id", "property_name"}
DIVISOR = 100
CURRENCY = "EUR"
ALL_ZERO = "One offering must have quantity greater than 0"


class Refused(Exception):
    """An error answer: HTTP status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def money(amount: int) -> dict[str, Any]:
    """Return an amount of the shop's currency as Etsy tells it."""
    return {"amount": amount, "divisor": DIVISOR, "currency_code": CURRENCY}


def property_value(value: Variation) -> dict[str, Any]:
    """Return one value of a product."""
    return {
        "property_id": value.property_id,
        "property_name": value.name,
        "scale_id": value.scale_id,
        "scale_name": None if value.scale_id is None else f"Scale {value.scale_id}",
        "value_ids": [value.value_id],
        "values": [value.value],
    }


def document(
    listing: Listing,
    shown: Callable[[Listing, Product], int],
    *,
    with_deleted: bool = False,
) -> dict[str, Any]:
    """Return the document as it is read; `shown` is what a product's quantity is said to be."""
    products = [_product(each, shown(listing, each), deleted=False) for each in listing.products]
    if with_deleted:
        products += [_product(each, each.quantity, deleted=True) for each in listing.deleted]
    return {"products": products, **{name: list(listing.varies[name]) for name in ON_PROPERTY}}


def _product(product: Product, quantity: int, *, deleted: bool) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "sku": product.sku,
        "is_deleted": deleted,
        "offerings": [
            {
                "offering_id": product.offering_id,
                "quantity": quantity,
                "is_enabled": product.is_enabled,
                "is_deleted": deleted,
                "price": money(product.price),
                "readiness_state_id": product.readiness,
            }
        ],
        "property_values": [property_value(each) for each in product.values],
    }


def replace(listing: Listing, body: Any, *, three: bool, ids: count[int]) -> None:
    """Replace a listing's document by `body`, or raise `Refused` and change nothing.

    `three`: the caller knows of third properties. `ids` gives new ids.
    """
    given = _object(body, "body", {"products", *ON_PROPERTY}, needed={"products"})
    rows = given["products"]
    if not isinstance(rows, list) or not rows:
        raise Refused(400, "products must be a list of at least one product")
    varies = {name: _numbers(given.get(name), name) for name in ON_PROPERTY}
    known = {each.property_id: each.name for old in listing.products for each in old.values}
    products = [_parsed(row, f"products[{index}]", known, ids) for index, row in enumerate(rows)]
    if not three and any(len(product.values) > 2 for product in products):
        raise Refused(409, "This listing has more variations than this client supports")
    if len(products) > 1 and all(not product.values for product in products):
        products = products[:1]  # without values nothing tells them apart: one is left
    _check_values(products)
    _check_varies(products, varies)
    if any(old.readiness for old in listing.products) and not all(p.readiness for p in products):
        raise Refused(400, "A listing with processing profiles needs readiness_state_id")
    if not any(each.is_enabled and each.quantity > 0 for each in products):
        raise Refused(400, ALL_ZERO)
    names = {product.name(listing.listing_id) for product in products}
    listing.deleted += [
        each for each in listing.products if each.name(listing.listing_id) not in names
    ]
    listing.products, listing.varies = products, varies


def _parsed(row: Any, where: str, known: Mapping[int, str], ids: count[int]) -> Product:
    given = _object(row, where, _PRODUCT_KEYS, needed={"offerings"})
    sku = given.get("sku")
    if not (sku is None or isinstance(sku, str)):
        raise Refused(400, f"{where}.sku must be a string")
    offerings = given["offerings"]
    if not isinstance(offerings, list) or len(offerings) != 1:
        raise Refused(400, f"{where}.offerings must be a list of one offering")
    offer = _object(offerings[0], f"{where}.offerings[0]", _OFFERING_KEYS, needed=_OFFERING_KEYS)
    values = given.get("property_values") or []
    if not isinstance(values, list):
        raise Refused(400, f"{where}.property_values must be a list")
    return Product(
        product_id=next(ids),
        offering_id=next(ids),
        sku=sku or "",
        values=tuple(_value(each, f"{where}.property_values", known, ids) for each in values),
        price=_price(offer["price"], where),
        quantity=_quantity(offer["quantity"], where),
        is_enabled=_boolean(offer["is_enabled"], where),
        readiness=_readiness(offer["readiness_state_id"], where),
    )


def _value(row: Any, where: str, known: Mapping[int, str], ids: count[int]) -> Variation:
    given = _object(row, where, _VALUE_KEYS, needed={"property_id", "value_ids", "values"})
    values, value_ids, name = given["values"], given["value_ids"], given.get("property_name", "")
    if not _is_whole(given["property_id"]) or not isinstance(name, str):
        raise Refused(400, f"{where} has a wrong property")
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
        raise Refused(400, f"{where}.values must be a list of one string")
    if not isinstance(value_ids, list) or not all(map(_is_whole, value_ids)):
        raise Refused(400, f"{where}.value_ids must be a list of integers")
    if "(" in values[0] or ")" in values[0]:
        raise Refused(400, "Property values cannot contain parentheses")
    scale = given.get("scale_id")
    if not (scale is None or _is_whole(scale)):
        raise Refused(400, f"{where}.scale_id must be an integer")
    number = given["property_id"]
    return Variation(
        property_id=number,
        name=name or known.get(number, f"Property {number}"),
        value=values[0],
        value_id=value_ids[0] if value_ids else next(ids),
        scale_id=scale,
    )


def _object(value: Any, where: str, known: set[str], *, needed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(400, f"{where} must be an object")
    for key in sorted(needed - value.keys()):
        raise Refused(400, f"Missing input parameter: [{key}] in {where}")
    for key in sorted(value.keys() - known):
        raise Refused(400, f"{where} must not have {key}")
    return value


def _price(value: Any, where: str) -> int:
    """Return a price in the smallest units: a plain number with no more digits than those."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(400, f"{where}: price must be a number")
    amount = round(value * DIVISOR)
    if abs(amount / DIVISOR - value) > 1e-9 or not 20 <= amount <= 5_000_000:
        raise Refused(400, f"{where}: price is not one that can be asked")
    return amount


def _quantity(value: Any, where: str) -> int:
    if not (value == 0 and isinstance(value, int)) and not _is_whole(value):
        raise Refused(400, f"{where}: quantity must be an integer")
    if value > QUANTITY_MAX:
        raise Refused(400, f"{where}: quantity cannot be greater than {QUANTITY_MAX}")
    return int(value)


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(400, f"{where}: is_enabled must be a boolean")
    return value


def _readiness(value: Any, where: str) -> int | None:
    if value is None or _is_whole(value):
        return value  # type: ignore[no-any-return]
    raise Refused(400, f"{where}: readiness_state_id must be an integer or null")


def _numbers(value: Any, name: str) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(map(_is_whole, value)):
        raise Refused(400, f"{name} must be a list of integers")
    return tuple(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_values(products: list[Product]) -> None:
    """Refuse products that nothing tells apart, and more values than a property may have."""
    told = [
        tuple(sorted((each.property_id, each.value) for each in row.values)) for row in products
    ]
    if len(set(told)) < len(told):
        raise Refused(400, "Two products have the same property values")
    if len({tuple(key for key, _ in row) for row in told}) > 1:
        raise Refused(400, "All products must have the same properties")
    for number in {key for row in told for key, _ in row}:
        if len({value for row in told for key, value in row if key == number}) > VALUES_MAX:
            raise Refused(400, f"A property may have at most {VALUES_MAX} values")


def _check_varies(products: list[Product], varies: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse parts that differ where they were said not to vary."""
    parts: Mapping[str, Callable[[Product], Any]] = {
        "price_on_property": lambda product: product.price,
        "quantity_on_property": lambda product: product.quantity,
        "sku_on_property": lambda product: product.sku,
        "readiness_state_on_property": lambda product: product.readiness,
    }
    for name, part in parts.items():
        found: dict[object, object] = {}
        for product in products:
            if found.setdefault(product.key(varies[name]), part(product)) != part(product):
                raise Refused(400, f"{name} does not agree with what the products say")
