"""An emulated shop of the maker's own, with a clock that only tests move, and its connector."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from dataclasses import dataclass
from typing import Any

from stockpush.connectors import registry
from stockpush.connectors.base import OrderPage, PushLine, PushOutcome, WebhookRequest
from stockpush.connectors.generic import GenericConnector
from stockpush.messages import OrderSeen, Seen
from stockpush.model import FieldKey, Listing, ListingKey
from stockpush.sim.shops.generic import GenericShop
from tests.connectors.hands import BEGUN, Hands
from tests.connectors.inprocess import InProcessApi

KEY = b"not-a-real-secret-of-24b"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "not-a-real-token"
SETTINGS = {
    "base_url": "http://127.0.0.1:8080",
    "access_token": TOKEN,
    "webhook_secret": SECRET,
}
A, B, C = "candle", "soap", "print"
READ_AT = BEGUN.replace(microsecond=0)


@dataclass
class World:
    """The shop, its clock, the connector, and the door between them."""

    hands: Hands
    shop: GenericShop
    connector: GenericConnector
    api: InProcessApi

    def deliveries(self, *, status: int | None = 200) -> list[WebhookRequest]:
        """Take the webhooks that are due, as they would arrive, and answer them."""
        out = self.shop.webhooks_due()
        for each in out:
            self.shop.webhook_answered(each, status)
        return [WebhookRequest(each.headers, each.body, self.hands()) for each in out]

    def read(self, request: WebhookRequest) -> Seen:
        """Verify and read one delivery."""
        self.connector.verify(request)
        _, (seen,) = self.connector.read(request)
        return seen

    async def push(self, *lines: PushLine) -> tuple[PushOutcome, ...]:
        """Push the lines as one call."""
        return await self.connector.push(self.api, lines, call_id="call-1")

    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (path, body) of every write that was sent."""
        return [
            (sent.path, json.loads(sent.body)) for sent in self.api.sent if sent.method == "PUT"
        ]

    async def fetch(self, order_id: str, number: int = 1) -> OrderSeen:
        """Fetch one order that is there."""
        seen = await self.connector.fetch_order(self.api, order_id, fetch=number)
        assert seen is not None
        return seen

    async def poll(self, since: str | None = None) -> list[OrderPage]:
        """Poll to the end."""
        pages = self.connector.poll_orders(self.api, since=since, fetch=1)
        return [page async for page in pages]


def make_world(*, compares: bool = True) -> World:
    """Return a shop with products A (7 left), B (12 left) and C (not tracked)."""
    hands = Hands()
    shop = GenericShop(
        "site",
        clock=hands,
        dice=random.Random(1),
        access_token=TOKEN,
        webhook_key=KEY,
        compares=compares,
    )
    shop.add_product(A, 7)
    shop.add_product(B, 12)
    shop.add_product(C, None)
    shop.subscribe("http://daemon/webhooks/g/token")
    connector = make_connector()
    return World(hands, shop, connector, InProcessApi(shop, connector))


def make_connector(**settings: str) -> GenericConnector:
    """Return a configured connector."""
    connect = registry.load("generic")
    connector = connect("g", registry.manifest("generic"), {**SETTINGS, **settings})
    assert isinstance(connector, GenericConnector)
    return connector


def signed(body: Any, *, key: bytes = KEY, name: str = "msg_1") -> WebhookRequest:
    """Return a delivery that the shop signs at BEGUN."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    instant = str(int(BEGUN.timestamp()))
    over = f"{name}.{instant}.".encode() + content
    digest = base64.b64encode(hmac.new(key, over, hashlib.sha256).digest()).decode()
    headers = {
        "webhook-id": name,
        "webhook-timestamp": instant,
        "webhook-signature": f"v1,{digest}",
    }
    return WebhookRequest(headers, content, BEGUN)


def order(*lines: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Return an order's JSON; each line is given by what differs from 5 of A."""
    return {
        "id": "1001",
        "placed_at": "2026-11-22T09:00:00Z",
        "updated_at": "2026-11-22T09:30:00Z",
        "lines": [
            {"id": str(number), "product": A, "ordered": 5, **line}
            for number, line in enumerate(lines or ({},), start=1)
        ],
        **given,
    }


def line(key: str, *, expected: int, target: int) -> PushLine:
    """Return a push line for a field."""
    return PushLine(FieldKey("g", key), expected=expected, target=target)


def listing(ref: str) -> Listing:
    """Return a mapped listing."""
    return Listing(key=ListingKey("g", ref), sku="any")
