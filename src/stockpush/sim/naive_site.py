"""How the naive sync talks to a shop of the maker's own: the protocol of docs/channels/generic.md.

Theory of operation. A number is read and then set, with the one just read as the expected one, so
that a shop which compares refuses it where somebody has bought in between. Orders come whole by
webhook and by poll, in absolute numbers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

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

_LIMIT = 100


@dataclass(slots=True)
class NaiveSite:
    """A shop of one's own. `field` is a product; `key` signs both ways."""

    send: Send
    access_token: str
    key: bytes

    async def orders(self, since: datetime, take: Take) -> datetime:
        """Hand over every order that changed, page by page."""
        query: tuple[tuple[str, str], ...] = (("changed_since", since.isoformat()),)
        begun = None
        while True:
            answer = await self._call("GET", "/orders", (*query, ("limit", str(_LIMIT))))
            begun, told = begun or answered_at(answer), decoded(answer)
            for row in told["orders"]:
                take(_sold(row))
            if "next" not in told:
                return begun
            query = (("cursor", told["next"]),)

    async def order(self, order_id: str) -> SoldOrder | None:
        """Return one order."""
        try:
            return _sold(decoded(await self._call("GET", f"/orders/{order_id}")))
        except Gone:
            return None

    async def set_number(self, field: str, wanted: Callable[[], Wanted], *, key: str) -> bool:
        """Read the number, then set it; the protocol knows no key."""
        del key
        told = decoded(await self._call("GET", "/quantities", (("product", field),)))["quantities"]
        if field not in told:
            raise Gone
        number = wanted().number
        if told[field] == number:
            return False
        body = json.dumps({"quantity": number, "expected": told[field]}).encode()
        decoded(await self._call("PUT", f"/quantities/{field}", (), body))
        return True

    def is_genuine(self, out: WebhookOut) -> bool:
        """Answer whether the signature is the shop's."""
        name, instant = (out.headers.get(f"webhook-{each}", "") for each in ("id", "timestamp"))
        expected = self._signature(f"{name}.{instant}.".encode() + out.body)
        return hmac.compare_digest(expected, out.headers.get("webhook-signature", "").encode())

    def heard(self, out: WebhookOut) -> SoldOrder | ToFetch | None:
        """Read the order of a delivery; the others tell of numbers."""
        body = json.loads(out.body)
        return _sold(body["order"]) if body["type"] == "order.changed" else None

    async def _call(
        self, method: str, path: str, query: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> ShopAnswer:
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.access_token}",
        }
        if body:
            signed = self._signature(f"{method} {path}\n".encode() + body)
            headers["stockpush-signature"] = signed.decode()
        return await self.send(ShopRequest(method, path, query, headers, body))

    def _signature(self, content: bytes) -> bytes:
        return b"v1," + base64.b64encode(hmac.new(self.key, content, hashlib.sha256).digest())


def _sold(row: Json) -> SoldOrder:
    lines = tuple(_line(line) for line in row["lines"])
    return SoldOrder(row["id"], datetime.fromisoformat(row["updated_at"]), lines)


def _line(line: Json) -> SoldLine:
    """Return one line: what was cancelled and still stands deducted was not put back on sale."""
    shipped, deducted = line["shipped"], line["deducted"]
    waits = line["ordered"] - line["cancelled"] - shipped
    lost = min(line["cancelled"], max(0, deducted - waits - shipped))
    undeducted = max(0, waits - max(0, deducted - shipped - lost))
    return SoldLine(line["id"], line["product"], waits + shipped + lost, undeducted)
