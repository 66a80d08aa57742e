"""What the naive sync needs of a shop, and how it talks to a Shopify and to a WooCommerce shop.

Written apart from the connectors, as a tool of its own would be, over the same public APIs. An
order comes out as what it has taken of each listing: the units bought less those that the shop
put back on sale, which is what a careful tool takes off its count. The other platforms have modules
of their own: `naive_etsy`, `naive_faire`, `naive_site`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from stockpush.sim.shops.base import ShopAnswer, ShopRequest, WebhookOut

Send = Callable[[ShopRequest], Awaitable[ShopAnswer]]
"""Carries one request to the shop of one channel; raises OSError or TimeoutError."""
Json = Mapping[str, Any]
RETRY_S = 2.0
"""How long to wait where a shop that refuses does not say."""
PARTS_MAX = 20
"""Lines and refunds of an order, and units in each, that are read: the tool pages no further."""


class Refused(Exception):
    """The shop did not do it, or did not say: try again after `wait_s`."""

    def __init__(self, wait_s: float = RETRY_S) -> None:
        super().__init__("refused")
        self.wait_s = wait_s


class Gone(Exception):
    """The shop has no such thing, or will never take this: trying again is useless."""


@dataclass(frozen=True, slots=True)
class SoldLine:
    """What one line has taken of a listing, and how much of that still stands on its number."""

    line_id: str
    listing: str
    taken: int
    undeducted: int = 0


@dataclass(frozen=True, slots=True)
class SoldOrder:
    """One order as told by its shop. `updated_at` decides which of two tellings is newer."""

    order_id: str
    updated_at: datetime
    lines: tuple[SoldLine, ...]


@dataclass(frozen=True, slots=True)
class ToFetch:
    """A webhook that only says that an order changed."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a field is to show: what is offered, and what was sold and still stands on it."""

    offer: int
    standing: int

    @property
    def number(self) -> int:
        """Return both together."""
        return self.offer + self.standing


Take = Callable[[SoldOrder], None]


class ShopApi(Protocol):
    """One shop, as the naive sync needs it. `Refused` and `Gone` may come out of every call."""

    async def orders(self, since: datetime, take: Take) -> datetime:
        """Hand over every order that changed at `since` or later, by the shop's own clock; return
        what that clock showed when the reading began.
        """
        ...

    async def order(self, order_id: str) -> SoldOrder | None:
        """Return one order, None if it is gone."""
        ...

    async def set_number(self, field: str, wanted: Callable[[], Wanted], *, key: str) -> bool:
        """Have `field` show the number; False if it was seen to do so already."""
        ...

    def is_genuine(self, out: WebhookOut) -> bool:
        """Answer whether a delivery is signed by this shop, or is one that nobody signs."""
        ...

    def heard(self, out: WebhookOut) -> SoldOrder | ToFetch | None:
        """Read a genuine delivery; None if it says nothing about orders."""
        ...


# -- Shopify ------------------------------------------------------------------------------------

_LINES = "nodes { id quantity currentQuantity variant { id } }"
_ORDERS = f"""query Orders($query: String!, $first: Int!, $after: String, $lines: Int!) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{ id updatedAt lineItems(first: $lines) {{ {_LINES} }} refunds(first: 1) {{ id }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""
_ORDER = f"""query Order($id: ID!, $lines: Int!, $parts: Int!, $units: Int!) {{
  order(id: $id) {{
    id updatedAt lineItems(first: $lines) {{ {_LINES} }}
    refunds(first: $parts) {{
      id refundLineItems(first: $units) {{ nodes {{ quantity restockType lineItem {{ id }} }} }}
    }}
  }}
}}"""
_LEVELS = """query Levels($ids: [ID!]!, $location: ID!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id inventoryLevel(locationId: $location) {
        quantities(names: ["available"]) { name quantity }
      }
    }
  }
}"""
_SET = """mutation SetQuantities($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    userErrors { code field message }
  }
}"""
_PUT_BACK = frozenset({"cancel", "return"})
_STALE = "CHANGE_FROM_QUANTITY_STALE"


@dataclass(slots=True)
class NaiveShopify:
    """A Shopify shop. `field` is the number of an inventory item, as text.

    A number is read and then set. With `compares` the set is made only if the number is still the
    one just read; without, whatever it is by then.
    """

    send: Send
    access_token: str
    webhook_secret: str
    location: int = 1
    compares: bool = True
    path: str = "/admin/api/2026-10/graphql.json"

    async def orders(self, since: datetime, take: Take) -> datetime:
        """Hand over every order that changed; one with refunds is read by itself."""
        after: str | None = None
        begun: datetime | None = None
        while True:
            query = f"updated_at:>='{since:%Y-%m-%dT%H:%M:%SZ}'"
            variables = {"query": query, "first": 50, "after": after, "lines": PARTS_MAX}
            told, date = await self._asked("Orders", _ORDERS, variables)
            page, begun = told["orders"], begun or date
            for node in page["nodes"]:
                whole = await self.order(_tail(node["id"])) if node["refunds"] else _shopify(node)
                if whole is not None:
                    take(whole)
            if not page["pageInfo"]["hasNextPage"]:
                return begun
            after = page["pageInfo"]["endCursor"]

    async def order(self, order_id: str) -> SoldOrder | None:
        """Return one order with its refunds."""
        parts = {"lines": PARTS_MAX, "parts": PARTS_MAX, "units": PARTS_MAX}
        variables = {"id": f"gid://shopify/Order/{order_id}", **parts}
        node = (await self._ask("Order", _ORDER, variables))["order"]
        return None if node is None else _shopify(node)

    async def set_number(self, field: str, wanted: Callable[[], Wanted], *, key: str) -> bool:
        """Read the number, then set it."""
        item, location = self._gid("InventoryItem", field), self._gid("Location", self.location)
        found = await self._ask("Levels", _LEVELS, {"ids": [item], "location": location})
        if found["nodes"][0] is None:
            raise Gone
        level = found["nodes"][0]["inventoryLevel"]
        shown = None if level is None else level["quantities"][0]["quantity"]
        number = wanted().number
        if shown == number:
            return False
        entry = {"inventoryItemId": item, "locationId": location, "quantity": number}
        entry["changeFromQuantity"] = shown if self.compares else None
        given = {"name": "available", "reason": "correction", "quantities": [entry]}
        told = await self._ask("SetQuantities", _SET, {"input": given, "key": key})
        errors = told["inventorySetQuantities"]["userErrors"]
        if any(error["code"] == _STALE for error in errors):
            raise Refused(0.0)
        if errors:
            raise Gone
        return True

    def is_genuine(self, out: WebhookOut) -> bool:
        """Answer whether the signature is the shop's."""
        given = out.headers.get("x-shopify-hmac-sha256", "")
        return _is_signed(out.body, given, self.webhook_secret)

    def heard(self, out: WebhookOut) -> SoldOrder | ToFetch | None:
        """Read the order of a webhook; one of refunds or edits names its order."""
        topic, body = out.headers.get("x-shopify-topic", ""), json.loads(out.body)
        if topic in {"orders/create", "orders/updated", "orders/cancelled"}:
            return _shopify_webhook(body)
        if topic == "orders/delete":
            return ToFetch(str(body["id"]))
        if topic == "orders/edited":
            return ToFetch(str(body["order_edit"]["order_id"]))
        return ToFetch(str(body["order_id"])) if topic == "refunds/create" else None

    async def _ask(self, name: str, document: str, variables: Json) -> Any:
        return (await self._asked(name, document, variables))[0]

    async def _asked(self, name: str, document: str, variables: Json) -> tuple[Any, datetime]:
        body = {"operationName": name, "query": document, "variables": variables}
        headers = {
            "content-type": "application/json",
            "x-shopify-access-token": self.access_token,
        }
        request = ShopRequest("POST", self.path, (), headers, json.dumps(body).encode())
        answer = await self.send(request)
        told = decoded(answer)
        if "data" not in told:
            raise Refused
        return told["data"], answered_at(answer)

    @staticmethod
    def _gid(kind: str, number: int | str) -> str:
        return f"gid://shopify/{kind}/{number}"


def _shopify(node: Json) -> SoldOrder:
    """Return an order of GraphQL; one without refunds may come without them."""
    lost = _lost(
        (_tail(each["lineItem"]["id"]), each["quantity"], each["restockType"].lower())
        for refund in node["refunds"]
        for each in refund["refundLineItems"]["nodes"]
    )
    lines = tuple(
        SoldLine(key, _tail(line["variant"]["id"]), line["currentQuantity"] + lost[key])
        for line in node["lineItems"]["nodes"]
        if line["variant"] is not None
        for key in (_tail(line["id"]),)
    )
    return SoldOrder(_tail(node["id"]), datetime.fromisoformat(node["updatedAt"]), lines)


def _shopify_webhook(body: Json) -> SoldOrder:
    lost = _lost(
        (str(each["line_item_id"]), each["quantity"], each["restock_type"])
        for refund in body["refunds"]
        for each in refund["refund_line_items"]
    )
    lines = tuple(
        SoldLine(key, str(line["variant_id"]), line["current_quantity"] + lost[key])
        for line in body["line_items"]
        if line["variant_id"] is not None
        for key in (str(line["id"]),)
    )
    return SoldOrder(str(body["id"]), datetime.fromisoformat(body["updated_at"]), lines)


def _lost(refunded: Iterable[tuple[str, int, str]]) -> Counter[str]:
    """Return line -> units that were refunded and not put back on sale."""
    lost: Counter[str] = Counter()
    for line, units, restock_type in refunded:
        if restock_type not in _PUT_BACK:
            lost[line] += units
    return lost


# -- WooCommerce --------------------------------------------------------------------------------

_ROOT = "/wp-json/wc/v3"
_PER_PAGE = 100
_NOTHING_LEFT = frozenset({"cancelled", "failed", "checkout-draft", "auto-draft"})


@dataclass(slots=True)
class NaiveWoo:
    """A WooCommerce shop. `field` is "product" or "product:variation"; it is set without a look."""

    send: Send
    consumer_key: str
    consumer_secret: str
    webhook_secret: str

    async def orders(self, since: datetime, take: Take) -> datetime:
        """Hand over every order that changed, page by page."""
        page, begun = 1, None
        while True:
            # The filter leaves out the very second that it names.
            after = f"{since - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}"
            query = (
                ("status", "any"),
                ("modified_after", after),
                ("dates_are_gmt", "true"),
                ("orderby", "id"),
                ("order", "asc"),
                ("per_page", str(_PER_PAGE)),
                ("page", str(page)),
            )
            rows, date = await self._asked("GET", "/orders", query)
            begun = begun or date
            for row in rows:
                take(await self._whole(row))
            if len(rows) < _PER_PAGE:
                return begun
            page += 1

    async def order(self, order_id: str) -> SoldOrder | None:
        """Return one order with its refunds."""
        try:
            return await self._whole(await self._ask("GET", f"/orders/{order_id}"))
        except Gone:
            return None

    async def set_number(self, field: str, wanted: Callable[[], Wanted], *, key: str) -> bool:
        """Set the number, whatever it is; the platform knows no key and no comparing."""
        del key
        product, _, variation = field.partition(":")
        path = f"/products/{product}" + (f"/variations/{variation}" if variation else "")
        body = {"manage_stock": True, "stock_quantity": wanted().number}
        await self._ask("PUT", path, body=json.dumps(body).encode())
        return True

    def is_genuine(self, out: WebhookOut) -> bool:
        """Answer whether the signature is the shop's; a ping has none and says nothing."""
        if "x-wc-webhook-topic" not in out.headers:
            return True
        given = out.headers.get("x-wc-webhook-signature", "")
        return _is_signed(out.body, given, self.webhook_secret)

    def heard(self, out: WebhookOut) -> SoldOrder | ToFetch | None:
        """Read the order of a webhook; one with refunds must be fetched, and one that is gone."""
        topic = out.headers.get("x-wc-webhook-topic", "")
        if not topic.startswith("order."):
            return None
        body = json.loads(out.body)
        if "status" not in body or body["refunds"]:
            return ToFetch(str(body["id"])) if "id" in body else None
        return _woo(body, ())

    async def _whole(self, row: Json) -> SoldOrder:
        if not row["refunds"]:
            return _woo(row, ())
        query = (("per_page", str(_PER_PAGE)),)
        return _woo(row, await self._ask("GET", f"/orders/{row['id']}/refunds", query))

    async def _ask(
        self, method: str, path: str, query: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> Any:
        return (await self._asked(method, path, query, body))[0]

    async def _asked(
        self, method: str, path: str, query: tuple[tuple[str, str], ...], body: bytes = b""
    ) -> tuple[Any, datetime]:
        pair = f"{self.consumer_key}:{self.consumer_secret}".encode()
        headers = {
            "content-type": "application/json",
            "authorization": f"Basic {base64.b64encode(pair).decode()}",
        }
        answer = await self.send(ShopRequest(method, _ROOT + path, query, headers, body))
        return decoded(answer), answered_at(answer)


def _woo(row: Json, refunds: Sequence[Json]) -> SoldOrder:
    refunded: Counter[str] = Counter()
    for refund in refunds:
        for line in refund["line_items"]:
            refunded[_meta(line, "_refunded_item_id")] += abs(line["quantity"])
    lines = tuple(_woo_line(row, line, refunded[str(line["id"])]) for line in row["line_items"])
    at = datetime.fromisoformat(f"{row['date_modified_gmt']}+00:00")
    return SoldOrder(str(row["id"]), at, lines)


def _woo_line(row: Json, line: Json, refunded: int) -> SoldLine:
    """Return one line: what the shop says that it took and did not put back decides."""
    bought, reduced = line["quantity"], int(_meta(line, "_reduced_stock") or 0)
    put_back = min(max(bought - reduced, 0), refunded)
    status, undeducted = row["status"], 0
    if status in _NOTHING_LEFT or (status == "trash" and not row["date_completed_gmt"]):
        taken = 0
    elif status in {"refunded", "trash"}:
        taken = reduced
    else:
        taken = bought - put_back
        if status != "completed":
            undeducted = max(0, bought - refunded - reduced)
    product, variation = line["product_id"], line["variation_id"]
    listing = f"{product}:{variation}" if variation else str(product)
    return SoldLine(str(line["id"]), listing, taken, undeducted)


def _meta(line: Json, key: str) -> str:
    return next((str(each["value"]) for each in line["meta_data"] if each["key"] == key), "")


# -- all of them --------------------------------------------------------------------------------


def _is_signed(body: bytes, given: str, secret: str) -> bool:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest), given.encode())


def decoded(answer: ShopAnswer) -> Any:
    """Return what a shop answered; `Refused` where it did not, `Gone` where it never will."""
    if answer.status in {400, 404, 410}:
        raise Gone
    if not 200 <= answer.status < 300:
        wait = answer.headers.get("retry-after", "")
        raise Refused(float(wait) if wait.replace(".", "", 1).isdecimal() else RETRY_S)
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise Refused from error


def answered_at(answer: ShopAnswer) -> datetime:
    """Return when a shop answered, by its own clock."""
    return parsedate_to_datetime(answer.headers["date"])


def _tail(gid: str) -> str:
    return gid.rpartition("/")[2]
