"""How the naive sync talks to a Faire account: orders by polls alone, and what is on hand.

Theory of operation. Faire takes no order off what is on hand: it keeps the units aside as committed
and sells the rest. So what is on hand is set to what may be sold and what open orders wait for. How
many of them Faire keeps is read first and, in the tool's favour, the lower of the two counts: who
has ordered unheard is then never sold to somebody else by a push.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stockpush.sim.naive_api import (
    Gone,
    Json,
    Send,
    SoldLine,
    SoldOrder,
    Take,
    ToFetch,
    Wanted,
    answered_at,
    decoded,
)
from stockpush.sim.shops.base import ShopAnswer, ShopRequest, WebhookOut

_ROOT = "/external-api/v2"
_VARIANTS = "/product-inventory/by-product-variant-ids"
_LIMIT = 50
_SENT = frozenset({"PRE_TRANSIT", "IN_TRANSIT", "DELIVERED", "RETURNED", "DAMAGED_OR_MISSING"})

Query = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class NaiveFaire:
    """A Faire account. `field` is a variant's id; what is on hand is set without comparing."""

    send: Send
    access_token: str

    async def orders(self, since: datetime, take: Take) -> datetime:
        """Hand over every order that changed, page by page."""
        filters: Query = (
            ("updated_at_min", f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"),
            ("sort_by", "UPDATED_AT"),
        )
        answer = await self._call("GET", "/orders", (*filters, ("limit", str(_LIMIT))))
        begun, number = answered_at(answer), 1
        while True:
            told = decoded(answer)
            for row in told["orders"]:
                take(await self._whole(row))
            if "cursor" not in told and len(told["orders"]) < told["limit"]:
                return begun
            number += 1
            answer = await self._next(filters, told.get("cursor"), number)

    async def _next(self, filters: Query, cursor: str | None, number: int) -> ShopAnswer:
        """Return the next page: by its cursor where there is one, with the filters if it must."""
        limit = ("limit", str(_LIMIT))
        if cursor is None:
            return await self._call("GET", "/orders", (*filters, limit, ("page", str(number))))
        answer = await self._call("GET", "/orders", (limit, ("cursor", cursor)))
        if answer.status != 400:
            return answer
        return await self._call("GET", "/orders", (*filters, limit, ("cursor", cursor)))

    async def order(self, order_id: str) -> SoldOrder | None:
        """Return one order."""
        try:
            return await self._whole(decoded(await self._call("GET", f"/orders/{order_id}")))
        except Gone:
            return None

    async def set_number(self, field: str, wanted: Callable[[], Wanted], *, key: str) -> bool:
        """Read what is there and what is committed, then set what is on hand."""
        del key
        told = decoded(await self._call("GET", _VARIANTS, (("ids", field),)))["inventories"]
        if field not in told:
            raise Gone
        number = wanted()
        kept = min(number.standing, told[field]["committed_quantity"]["quantity"])
        if told[field]["on_hand_quantity"].get("quantity") == number.offer + kept:
            return False
        entry = {"product_variant_id": field, "on_hand_quantity": number.offer + kept}
        body = json.dumps({"inventories": [entry]}).encode()
        decoded(await self._call("PATCH", _VARIANTS, (), body))
        return True

    def is_genuine(self, out: WebhookOut) -> bool:
        """Answer False: Faire has no webhooks."""
        del out
        return False

    def heard(self, out: WebhookOut) -> SoldOrder | ToFetch | None:
        """Return None: Faire has no webhooks."""
        del out
        return None

    async def _whole(self, row: Json) -> SoldOrder:
        """Return an order; what waits for later in orders of its own is counted there."""
        carried: Counter[str] = Counter()
        if any(_state(row, item) == "BACKORDERED" for item in row["items"]):
            query = (("original_order_id", row["id"]), ("limit", str(_LIMIT)))
            for child in decoded(await self._call("GET", "/orders", query))["orders"]:
                for item in child["items"]:
                    carried[item["variant_id"]] += _pieces(item)
        return _sold(row, carried)

    async def _call(
        self, method: str, path: str, query: Query = (), body: bytes = b""
    ) -> ShopAnswer:
        headers = {
            "content-type": "application/json",
            "user-agent": "naive/1.0",
            "x-faire-access-token": self.access_token,
        }
        return await self.send(ShopRequest(method, _ROOT + path, query, headers, body))


def _sold(row: Json, carried: Mapping[str, int]) -> SoldOrder:
    """Return an order: nothing of what was cancelled, or that Faire sends from its own stock."""
    left, lines = Counter(carried), []
    for item in () if row["is_fulfilled_by_faire"] else row["items"]:
        state, pieces = _state(row, item), _pieces(item)
        if state == "CANCELED":
            pieces = 0
        elif state == "BACKORDERED":
            moved = min(pieces, left[item["variant_id"]])
            left[item["variant_id"]] -= moved
            pieces -= moved
        standing = 0 if state in _SENT else pieces
        lines.append(SoldLine(item["id"], item["variant_id"], pieces, standing))
    return SoldOrder(row["id"], datetime.fromisoformat(row["updated_at"]), tuple(lines))


def _state(row: Json, item: Json) -> str:
    """Return where a line stands, by its own state or the order's."""
    state: str = item.get("state") or row["state"]
    return state


def _pieces(item: Json) -> int:
    pieces: int = item["quantity"] + item["includes_tester"]
    return pieces
