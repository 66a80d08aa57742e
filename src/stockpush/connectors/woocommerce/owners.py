"""Which field each listing goes by, and what the fields hold now.

Theory of operation. A reference is "30" (a product) or "30:31" (variation 31 of product 30), and
order lines name listings in the same form. The number stands at the *stock owner*: the product,
the variation if it manages stock itself, or the parent if the variation says "parent". Products
are read 100 at a time; variations likewise, per parent, because no route spans several parents.
What makes a number useless to us is a problem for a person, told in words.
Source: REST v3 products and product variations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from stockpush.connectors.base import Api, Moment, Reading, Readings
from stockpush.connectors.woocommerce.orders import order_key
from stockpush.connectors.woocommerce.wire import (
    ID_MAX,
    Product,
    decode_answer,
    identity,
    whole,
)
from stockpush.errors import CatalogueInvalid, PayloadInvalid
from stockpush.messages import ListingResolved
from stockpush.model import FieldKey, Listing

ROOT = "/wp-json/wc/v3"
PER_PAGE = 100
"""Objects per request, the platform's maximum."""

GONE = "WooCommerce no longer has it: map the listing to another product, or remove it."
NOT_MANAGED = "WooCommerce does not track its quantity: turn on “Manage stock” for it."
SELLS_BY_PARENT = (
    "Its stock is now managed by the parent product: run the import again, so that it is mapped "
    "to the parent's number."
)
OVERSELLS = (
    "WooCommerce goes on selling it when it is out of stock: set “Allow backorders” to “Do not "
    "allow”."
)
NO_STOCK_TYPE = "A {kind} product has no stock of its own: map the products it leads to."
NEEDS_VARIATION = "It is a variable product: name the variation_id of one of its variations."
NOT_WHOLE = "WooCommerce holds a quantity for it that is not a whole number."


class Ref(NamedTuple):
    """A product (`variation` 0) or one of its variations."""

    product: int
    variation: int = 0

    @property
    def parent(self) -> int:
        """Return the product whose variations route leads to it, 0 for the products route."""
        return self.product if self.variation else 0

    @property
    def object_id(self) -> int:
        """Return the id of the object itself."""
        return self.variation or self.product

    def __str__(self) -> str:
        """Return "30" or "30:31"."""
        return order_key(self.product, self.variation)


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of one route by id, the channel's clock when they were answered, and when they were
    asked for by ours.
    """

    products: Mapping[int, Product]
    date: datetime | None
    took_s: float = 0.0
    asked: Moment | None = None

    @property
    def sent(self) -> datetime | None:
        """Return when the shop was asked, by its own clock: from then on a sale may be missing."""
        return None if self.date is None else self.date - timedelta(seconds=self.took_s)


def ref_key(given: Mapping[str, Any]) -> str:
    """Return "30" or "30:31" of `product_id` and `variation_id`; `CatalogueInvalid` names which.

    >>> ref_key({"product_id": 30, "variation_id": "31"})
    '30:31'
    """
    for name in given:
        if name not in ("product_id", "variation_id"):
            raise CatalogueInvalid(
                f"A WooCommerce reference has no {name!r}.",
                field=name,
                expected="product_id, variation_id",
            )
    product = _number(given.get("product_id"), "product_id")
    variation = given.get("variation_id")
    return str(Ref(product, 0 if variation in (None, 0) else _number(variation, "variation_id")))


def parse(key: str) -> Ref:
    """Return the reference that `ref_key` wrote."""
    product, _, variation = key.partition(":")
    return Ref(int(product), int(variation or 0))


def owner_key(product: Product) -> str | None:
    """Return the field of a product or variation, None if it manages no stock."""
    parent = identity(product.parent_id, "parent_id") if product.type == "variation" else 0
    match product.manage_stock:
        case True:
            return order_key(parent, product.id) if parent else str(product.id)
        case "parent" if parent:
            return str(parent)
        case _:
            return None


def quantity(product: Product) -> int | None:
    """Return the number of an owner, None where there is none. Signed: a shop may oversell."""
    if product.manage_stock is not True:
        return None
    try:
        return whole(product.stock_quantity, "stock_quantity")
    except PayloadInvalid:
        return None


def unreadable(product: Product | None) -> str | None:
    """Return why an owner's number cannot be read or written, None if it can."""
    if product is None:
        return GONE
    if product.manage_stock == "parent":
        return SELLS_BY_PARENT
    if product.manage_stock is not True:
        return NOT_MANAGED
    return NOT_WHOLE if quantity(product) is None else None


async def read_page(api: Api, parent: int, ids: Sequence[int]) -> Page:
    """Read up to PER_PAGE products (`parent` 0), or variations of `parent`, in one request."""
    path = f"{ROOT}/products/{parent}/variations" if parent else f"{ROOT}/products"
    answer = await api.send(
        "GET",
        path,
        write=False,
        params=(
            ("include", ",".join(map(str, ids))),
            ("per_page", str(PER_PAGE)),
            ("orderby", "id"),
            ("order", "asc"),
        ),
    )
    products = decode_answer(answer, tuple[Product, ...], "list of products")
    by_id = {product.id: product for product in products}
    return Page(by_id, answer.date, answer.took_s, answer.sent)


def by_route(refs: Iterable[Ref]) -> dict[int, list[Ref]]:
    """Return the references by parent (0: products), in order, each once."""
    routes: dict[int, list[Ref]] = {}
    for ref in sorted(set(refs)):
        routes.setdefault(ref.parent, []).append(ref)
    return routes


async def observe(api: Api, fields: Sequence[FieldKey]) -> Readings:
    """Read what the fields hold; `date` is the earliest of the answers' clocks."""
    found, dates = await _read(api, [parse(field.key) for field in fields])
    readings = []
    for field in fields:
        product = found.get(parse(field.key))
        problem = unreadable(product)
        held = None if product is None or problem else quantity(product)
        readings.append(Reading(field, held, problem))
    return Readings(tuple(readings), min(dates, default=None))


async def resolve(api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
    """Return each listing's order key and field, or what a person must mend."""
    found, _ = await _read(api, [parse(listing.key.ref) for listing in listings])
    return tuple(_resolved(listing, found.get(parse(listing.key.ref))) for listing in listings)


async def _read(api: Api, refs: Sequence[Ref]) -> tuple[dict[Ref, Product], list[datetime]]:
    found: dict[Ref, Product] = {}
    dates = []
    for parent, route in by_route(refs).items():
        rest = iter(route)
        while chunk := list(islice(rest, PER_PAGE)):
            page = await read_page(api, parent, [ref.object_id for ref in chunk])
            found.update(
                (ref, page.products[ref.object_id])
                for ref in chunk
                if ref.object_id in page.products
            )
            if page.date is not None:
                dates.append(page.date)
    return found, dates


def _resolved(listing: Listing, product: Product | None) -> ListingResolved:
    ref = parse(listing.key.ref)
    # Orders name the listing by its reference whatever becomes of its number: demand counts.
    return ListingResolved(
        listing=listing.key,
        order_key=str(ref),
        field_key=None if product is None else _field(ref, product),
        problem=_problem(ref, product),
    )


def _field(ref: Ref, product: Product) -> str | None:
    match product.manage_stock:
        case True:
            return str(ref)
        case "parent" if ref.variation:
            return str(ref.product)
        case _:
            return None


def _problem(ref: Ref, product: Product | None) -> str | None:
    if product is None:
        return GONE
    if product.type in ("grouped", "external"):
        return NO_STOCK_TYPE.format(kind=product.type)
    if product.type == "variable" and not ref.variation:
        return NEEDS_VARIATION
    if _field(ref, product) is None:
        return NOT_MANAGED
    return None if product.backorders == "no" else OVERSELLS


def _number(value: Any, field: str) -> int:
    """Return an id that a person wrote; `CatalogueInvalid` names the field."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    plain = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 20
    if plain and 0 < int(text) <= ID_MAX:
        return int(text)
    raise CatalogueInvalid(
        f"{field} is not the number of a WooCommerce product.",
        field=field,
        found=value,
        expected="a whole number above 0",
    )
