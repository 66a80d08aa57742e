"""Which field each listing goes by, and what the fields hold now.

Theory of operation. The shop's own name of a product is the reference, the order key and the field
at once. A product that the shop does not name in its answer is gone; null is one whose stock it
does not track.
Source: docs/channels/generic.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stockpush.connectors.base import Api, Moment, Reading, Readings
from stockpush.connectors.generic.wire import Quantities, decode_answer, is_name, read
from stockpush.connectors.references import only, resolved
from stockpush.errors import CatalogueInvalid
from stockpush.messages import ListingResolved
from stockpush.model import FieldKey, Listing

PATH = "/quantities"
GAP_MAX_S = 10.0
"""How long after its reading was sent a write may be sent that the shop compares with nothing."""

GONE = "The shop does not know this product: map the listing to another one, or remove it."
NOT_TRACKED = "The shop does not track the quantity of this product."


@dataclass(frozen=True, slots=True)
class Page:
    """Numbers by product, and the shop's clock when it told them."""

    numbers: Mapping[str, int | None]
    date: datetime | None
    took_s: float = 0.0
    asked: Moment | None = None

    @property
    def sent(self) -> datetime | None:
        """Return when the shop was asked, by its own clock: from then on a sale may be missing."""
        return None if self.date is None else self.date - timedelta(seconds=self.took_s)

    @property
    def until(self) -> Moment | None:
        """Return the last moment at which a write that nobody compares may rest on this."""
        return None if self.asked is None else self.asked.plus(GAP_MAX_S)

    def problem(self, product: str) -> str | None:
        """Return why a product has no number, None if it has one."""
        if product not in self.numbers:
            return GONE
        return NOT_TRACKED if self.numbers[product] is None else None


def ref_key(given: Mapping[str, Any]) -> str:
    """Return the product's name; `CatalogueInvalid` names the field.

    >>> ref_key({"product": "candle-lav"})
    'candle-lav'
    """
    product = only(given, "product", reference="A reference of your own shop")
    if isinstance(product, str) and is_name(product):
        return product
    raise CatalogueInvalid(
        "product is not a name that can stand in an address.",
        field="product",
        found=product,
        expected="1 to 100 letters, digits, '.', '_', '~' or '-'",
    )


async def read_page(api: Api, products: Sequence[str]) -> Page:
    """Read some products in one request; none without one."""
    if not products:
        return Page({}, None)
    answer = await read(api, PATH, [("product", each) for each in products])
    numbers = decode_answer(answer, Quantities, "map of quantities").quantities
    return Page(numbers, answer.date, answer.took_s, answer.sent)


async def observe(api: Api, fields: Sequence[FieldKey]) -> Readings:
    """Read what the fields hold."""
    page = await read_page(api, [field.key for field in fields])
    return Readings(
        tuple(
            Reading(field, page.numbers.get(field.key), page.problem(field.key)) for field in fields
        ),
        page.date,
    )


async def resolve(api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
    """Return each listing's order key and field, or what a person must mend."""
    page = await read_page(api, [listing.key.ref for listing in listings])
    return resolved(listings, page.problem)
