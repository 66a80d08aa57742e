"""How the naive sync talks to an Etsy shop: receipts, whole documents, a listing on and off sale.

Theory of operation. Etsy takes no single quantity, so a push reads the listing's document, puts the
one number into it and sends everything back with what was just read. Nothing compares. A listing of
which nothing would be left is taken off sale, for Etsy refuses it, and put back when there is
something again: those alone that were taken off here. What Etsy's own shoppers sold out is renewed
at once; that the fee is always paid is in the tool's favour.

Receipts are polled twice, for a list of changes leaves out what was cancelled. Webhooks say only
that a receipt changed. Access is renewed when it ends; if the answer with the new tokens is lost
nothing can be read or written until somebody grants it anew.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from stockpush.sim.naive_api import (
    Gone,
    Json,
    Refused,
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

_ROOT = "/v3/application"
_TOKEN = "/v3/public/oauth/token"  # noqa: S105  # an address
_LIMIT = 100
_LOCKED_S = 30.0
"""How long to wait where somebody must grant access anew."""
_VARIES = (
    "price_on_property",
    "quantity_on_property",
    "sku_on_property",
    "readiness_state_on_property",
)
_ENDED = frozenset({"canceled", "fully refunded"})
_FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class NaiveEtsy:
    """An Etsy shop. `field` is "listing", or "listing:" with what its quantity varies by."""

    send: Send
    shop_id: int
    keystring: str
    shared_secret: str
    refresh_token: str
    webhook_secret: str
    needs_login: bool = False
    """Whether the access that there was is good for nothing any more."""
    _access: str = ""
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A refresh token is good once: one renewal at a time."""
    _off_sale: set[str] = field(default_factory=set)
    """Listings that were taken off sale here."""

    async def orders(self, since: datetime, take: Take) -> datetime:
        """Hand over every receipt that changed, then those of them that were cancelled."""
        begun = await self._receipts(since, take, ())
        await self._receipts(since, take, (("was_canceled", "true"),))
        return begun

    async def _receipts(
        self, since: datetime, take: Take, which: tuple[tuple[str, str], ...]
    ) -> datetime:
        offset, begun = 0, None
        while True:
            query = (
                ("min_last_modified", str(int(since.timestamp()))),
                ("sort_on", "updated"),
                ("sort_order", "asc"),
                ("limit", str(_LIMIT)),
                ("offset", str(offset)),
                *which,
            )
            answer = await self._call("GET", f"/shops/{self.shop_id}/receipts", query)
            begun = begun or answered_at(answer)
            rows = decoded(answer)["results"]
            for row in rows:
                take(_sold(row))
            if len(rows) < _LIMIT:
                return begun
            offset += _LIMIT

    async def order(self, order_id: str) -> SoldOrder | None:
        """Return one receipt."""
        try:
            return _sold(
                decoded(await self._call("GET", f"/shops/{self.shop_id}/receipts/{order_id}"))
            )
        except Gone:
            return None

    async def set_number(self, field: str, wanted: Callable[[], Wanted], *, key: str) -> bool:
        """Read the listing, and send it back with the number; the platform knows no key."""
        del key
        listing = field.partition(":")[0]
        path = f"/listings/{listing}/inventory"
        told = decoded(await self._call("GET", path, (("includes", "Listing"),)))
        number, state = wanted().number, told["listing"]["state"]
        numbers = [_number(each) for each in told["products"]]
        if state != "active":
            numbers = [0] * len(numbers)  # what was hidden with it is not for sale
        mine = [_field(listing, told, each) == field for each in told["products"]]
        if not any(mine):
            raise Gone
        after = [number if its else held for its, held in zip(mine, numbers, strict=True)]
        if after == numbers:
            return False
        if not any(after):
            self._off_sale.add(listing)
            await self._switch(listing, "inactive")
            return True
        if state == "sold_out":
            await self._switch(listing, "active")
        elif state != "active" and not (state == "inactive" and listing in self._off_sale):
            raise Gone  # it is its owner's to put on sale
        body = json.dumps(_written(told, after)).encode()
        decoded(await self._call("PUT", path, (), body, "application/json"))
        if state == "inactive":
            await self._switch(listing, "active")
        self._off_sale.discard(listing)
        return True

    async def _switch(self, listing: str, state: str) -> None:
        path = f"/shops/{self.shop_id}/listings/{listing}"
        decoded(await self._call("PATCH", path, (), f"state={state}".encode(), _FORM))

    def is_genuine(self, out: WebhookOut) -> bool:
        """Answer whether the signature is that of the endpoint."""
        name, instant = (out.headers.get(f"webhook-{each}", "") for each in ("id", "timestamp"))
        key = base64.b64decode(self.webhook_secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{name}.{instant}.".encode() + out.body, hashlib.sha256).digest()
        given = out.headers.get("webhook-signature", "").removeprefix("v1,")
        return hmac.compare_digest(base64.b64encode(digest), given.encode())

    def heard(self, out: WebhookOut) -> SoldOrder | ToFetch | None:
        """Read which receipt a delivery is about."""
        body = json.loads(out.body)
        if not body["event_type"].startswith("order."):
            return None
        return ToFetch(str(int(body["resource_url"].rpartition("/")[2])))

    # -- access ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a life: whoever was renewing access in the last one is gone."""
        self._renewing = asyncio.Lock()

    def granted(self, access: str, refresh: str) -> None:
        """Go on with tokens that somebody has just granted."""
        self._access, self.refresh_token, self.needs_login = access, refresh, False

    async def _call(
        self,
        method: str,
        path: str,
        query: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> ShopAnswer:
        """Return an answer to a call with good access, which is renewed once where it ended."""
        for _ in range(2):
            async with self._renewing:
                if not self._access:
                    await self._renew_access()
            access = self._access
            headers = {
                "x-api-key": f"{self.keystring}:{self.shared_secret}",
                "authorization": f"Bearer {access}",
                "content-type": content_type,
            }
            answer = await self.send(ShopRequest(method, _ROOT + path, query, headers, body))
            if answer.status != 401:
                return answer
            if self._access == access:
                self._access = ""
        raise Refused

    async def _renew_access(self) -> None:
        if self.needs_login:
            raise Refused(_LOCKED_S)
        form = {
            "grant_type": "refresh_token",
            "client_id": self.keystring,
            "refresh_token": self.refresh_token,
        }
        request = ShopRequest("POST", _TOKEN, (), {"content-type": _FORM}, urlencode(form).encode())
        try:
            told = decoded(await self.send(request))
        except Gone:
            self.needs_login = True
            raise Refused(_LOCKED_S) from None
        self._access, self.refresh_token = told["access_token"], told["refresh_token"]


def _sold(row: Json) -> SoldOrder:
    """Return a receipt: nothing of one that ended before it was sent, else what was bought.

    A refund names no units: one of less than everything is money only.
    """
    gone = row["status"] in _ENDED and not row["is_shipped"]
    lines = tuple(
        SoldLine(
            str(line["transaction_id"]),
            _name(
                str(line["listing_id"]),
                ((each["property_id"], each["formatted_value"]) for each in line["variations"]),
            ),
            0 if gone else line["quantity"],
        )
        for line in row["transactions"]
    )
    return SoldOrder(
        str(row["receipt_id"]), datetime.fromtimestamp(row["updated_timestamp"], UTC), lines
    )


def _name(listing: str, values: Iterable[tuple[int, str]]) -> str:
    """Return a product's name: "1001", or "1001:200=blue" with the values that it has."""
    told = urlencode([(str(number), text.casefold()) for number, text in sorted(values)])
    return f"{listing}:{told}" if told else listing


def _field(listing: str, document: Json, product: Json) -> str:
    """Return what holds a product's number."""
    return _name(
        listing,
        (
            (each["property_id"], each["values"][0])
            for each in product["property_values"]
            if each["property_id"] in document["quantity_on_property"]
        ),
    )


def _number(product: Json) -> int:
    number: int = product["offerings"][0]["quantity"]
    return number


def _written(document: Json, numbers: Sequence[int]) -> dict[str, Any]:
    """Return a document as it may be sent, with other numbers and all the rest as it was read."""
    products = [
        {
            "sku": product["sku"],
            "property_values": [
                {name: value for name, value in each.items() if name != "scale_name"}
                for each in product["property_values"]
            ],
            "offerings": [
                {
                    "price": offering["price"]["amount"] / offering["price"]["divisor"],
                    "quantity": number,
                    "is_enabled": offering["is_enabled"],
                    "readiness_state_id": offering["readiness_state_id"],
                }
                for offering in product["offerings"]
            ],
        }
        for product, number in zip(document["products"], numbers, strict=True)
    ]
    return {"products": products, **{name: document[name] for name in _VARIES}}
