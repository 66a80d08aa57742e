"""Etsy: whole documents over REST; a write compares nothing and replaces everything.

Theory of operation. What a buyer sees is 0 wherever a listing is not on sale, so the number that
somebody writes is what becomes visible: by a document of an active listing, or by the state that
puts a listing on sale or takes it off. The hidden document of one that is off sale is nobody's
number, also where it comes so late that the listing is on sale again. A renewal is Etsy's own
doing: it sets one unit.

Everything else in a document must go back as it was read (I11, F31): the body is held against what
the shop had when the daemon last read it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from stockpush.sim.auditor.languages import Asked, Number, Seen, Told, decoded
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.etsy.api import document_asked
from stockpush.sim.shops.etsy.document import DIVISOR
from stockpush.sim.shops.etsy.state import Listing, Variation, name_of

GAP_S = 10.0
"""How old what was read may be when it is written back to a listing on sale."""
HIDDEN_S = 600.0
"""The same of a listing that is not: nothing of it is sold meanwhile."""

_Rest = frozenset[tuple[object, ...]]
"""Everything of a document but its quantities."""


class Etsy:
    """Etsy's language. Its fields are listings, with what their quantity varies by."""

    deadline_s = 20.0
    compares = False
    remembers = False
    hides_restocks = True

    def __init__(self, shop: EtsyShop) -> None:
        """`shop` tells which listings are on sale, and what was read."""
        self._shop = shop
        self._read: dict[int, list[tuple[float, _Rest, dict[str, int]]]] = defaultdict(list)
        self._off_sale: dict[int, list[tuple[float, bool]]] = defaultdict(list)
        self._fees: dict[int, int] = {}

    def written(self, exchange: Exchange) -> Asked | None:
        """Return what a PUT of a document or a PATCH of a state makes buyers see."""
        request = exchange.request
        listing_id = document_asked(request.path)
        if request.method == "GET":
            if listing_id is not None and self._shop.has_listing(listing_id):
                assert exchange.handled_at is not None
                row = self._shop.listing(listing_id)
                names = _fields_of(row)
                held = {names[each.name(listing_id)]: each.quantity for each in row.products}
                self._read[listing_id].append((exchange.handled_at, _rest_of(row), held))
            return None
        if request.path.endswith("/oauth/token"):
            return Asked(renews_access=True)
        if request.method == "PUT" and listing_id is not None:
            return self._replaced(exchange, listing_id)
        if request.method == "PATCH" and "/listings/" in request.path:
            return self._switched(exchange, int(request.path.rpartition("/")[2]))
        return Asked(odd=(f"{request.method} {request.path} was sent",))

    def _replaced(self, exchange: Exchange, listing_id: int) -> Asked:
        if not self._shop.has_listing(listing_id):
            return Asked()
        row, body = self._shop.listing(listing_id), decoded(exchange.request.body)
        within_s = GAP_S if row.state == "active" else HIDDEN_S
        rest = _rest_of_body(body)
        known = [
            (read, held)
            for at, read, held in self._read[listing_id]
            if 0 <= exchange.sent_at - at <= within_s
        ]
        whole = any(read == rest for read, _ in known)
        odd = () if whole else (f"listing {listing_id} was written other than it was read",)
        if row.state != "active":
            return Asked(odd=odd)
        if self._was_hidden(listing_id, exchange):
            names = _fields_of(row)
            changed = tuple(
                {names.get(each.listing, each.listing): None for each in exchange.changes}
            )
            return Asked(by_platform=changed, seen="hidden_late")
        varies_by = body.get("quantity_on_property", ())
        numbers = {
            name: Number(
                name,
                number := offering["quantity"],
                as_read=any(held.get(name) == number for _, held in known),
            )
            for product in body.get("products", ())
            for offering in product["offerings"][:1]
            for name in (_field_of(listing_id, _values(product), varies_by),)
        }
        return Asked(tuple(numbers.values()), odd, whole=True)

    def _was_hidden(self, listing_id: int, exchange: Exchange) -> bool:
        """Answer whether a document that comes after its deadline was sent to be hidden."""
        assert exchange.handled_at is not None
        before = [is_off for at, is_off in self._off_sale[listing_id] if at <= exchange.sent_at]
        late = exchange.handled_at - exchange.sent_at > self.deadline_s
        return late and before[-1:] == [True]

    def _switched(self, exchange: Exchange, listing_id: int) -> Asked:
        if not self._shop.has_listing(listing_id):
            return Asked()
        row = self._shop.listing(listing_id)
        renewed = row.fees > self._fees.get(listing_id, 0)
        self._fees[listing_id] = row.fees
        names = _fields_of(row)
        became = {names.get(each.listing, each.listing): each.after for each in exchange.changes}
        changed = tuple(Number(name, number) for name, number in became.items())
        wanted = exchange.request.body.decode("ascii")
        if wanted not in {"state=active", "state=inactive"}:
            return Asked(odd=(f"{wanted} was sent",))
        if renewed:
            return Asked(by_platform=tuple(each.field for each in changed), seen="renewed")
        done = row.state == wanted.removeprefix("state=")
        if done and exchange.handled_at is not None:
            self._off_sale[listing_id].append((exchange.handled_at, row.state != "active"))
        name = "put_on_sale" if row.state == "active" else "took_off_sale"
        return Asked(changed, seen=name if done and changed else "", whole=True)

    def read(self, exchange: Exchange) -> Seen:
        """Return what a GET reads: a document to be written, or a page of receipts."""
        request = exchange.request
        listing_id = document_asked(request.path)
        if request.method != "GET":
            return Seen()
        if listing_id is not None:
            return Seen(frozenset({str(listing_id)}))
        if request.path.endswith("/batch/inventory"):
            return Seen(looks=frozenset(dict(request.query)["listing_ids"].split(",")))
        if request.path.endswith("/receipts"):
            return Seen(is_poll=True, is_later_page=dict(request.query).get("offset", "0") != "0")
        return Seen()

    def read_name(self, field: str) -> str:
        """Return the listing."""
        return field.partition(":")[0]

    def told(self, out: WebhookOut) -> Told:
        """Return nothing: a delivery is only a reason to fetch the receipt."""
        del out
        return Told()


def _field_of(listing_id: int, values: Iterable[Variation], varies_by: Collection[int]) -> str:
    """Return the field that holds the number of a product with these values."""
    return name_of(listing_id, [each for each in values if each.property_id in varies_by])


def _fields_of(row: Listing) -> dict[str, str]:
    """Return product -> field of a listing."""
    return {
        each.name(row.listing_id): _field_of(row.listing_id, each.values, row.quantity_on)
        for each in row.products
    }


def _rest_of(row: Listing) -> _Rest:
    """Return everything of a listing but its quantities."""
    return frozenset(
        (
            each.sku,
            each.price,
            each.is_enabled,
            each.readiness,
            frozenset((value.property_id, value.value) for value in each.values),
        )
        for each in row.products
    ) | frozenset((name, *properties) for name, properties in row.varies.items())


def _rest_of_body(body: dict[str, Any]) -> _Rest:
    """Return the same of a document as it is written."""
    return frozenset(
        (
            product.get("sku") or "",
            round(offering["price"] * DIVISOR),
            offering["is_enabled"],
            offering["readiness_state_id"],
            frozenset((each.property_id, each.value) for each in _values(product)),
        )
        for product in body.get("products", ())
        for offering in product["offerings"]
    ) | frozenset(
        (name, *properties) for name, properties in body.items() if name.endswith("_on_property")
    )


def _values(product: dict[str, Any]) -> list[Variation]:
    return [
        Variation(each["property_id"], "", each["values"][0], 0)
        for each in product.get("property_values", ())
    ]
