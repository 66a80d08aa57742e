"""An emulated WooCommerce shop with a clock that only tests move, and a connector for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import PushLine, WebhookRequest
from stockpush.connectors.woocommerce import WooCommerceConnector
from stockpush.messages import OrderSeen, Seen
from stockpush.model import FieldKey, Listing, ListingKey
from stockpush.sim.shops.woocommerce import WooShop
from tests.conftest import SHARED
from tests.connectors.hands import Hands
from tests.connectors.inprocess import InProcessApi

CONTRACTS = SHARED / "contracts/woocommerce"
needs_contract = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason="needs ../shared: the REST contract"
)
SAMPLES = Path(__file__).parents[1] / "samples/woocommerce"
SECRET = "hush"
SETTINGS = {
    "base_url": "http://127.0.0.1:8080",
    "consumer_key": "ck_not-a-real-key",
    "consumer_secret": "cs_not-a-real-secret",
    "webhook_secret": SECRET,
}


@dataclass
class World:
    """The shop, its clock, the connector, and the door between them."""

    hands: Hands
    shop: WooShop
    connector: WooCommerceConnector
    api: InProcessApi
    fetched: list[int] = field(default_factory=list)

    def deliveries(self, topic: str | None = None, *, status: int = 200) -> list[WebhookRequest]:
        """Take the webhooks that are due, as they would arrive; pings are left out."""
        out = self.shop.webhooks_due()
        for each in out:
            self.shop.webhook_answered(each, status)
        return [
            WebhookRequest(each.headers, each.body)
            for each in out
            if "x-wc-webhook-topic" in each.headers
            and topic in {None, each.headers["x-wc-webhook-topic"]}
        ]

    def read(self, request: WebhookRequest) -> Seen:
        """Verify and read one delivery."""
        self.connector.verify(request)
        _, (seen,) = self.connector.read(request)
        return seen

    async def fetch(self, order_id: str, number: int = 1) -> OrderSeen | None:
        """Fetch one order."""
        return await self.connector.fetch_order(self.api, order_id, fetch=number)

    async def fetched_line(self, order_id: str) -> tuple[int, int, int, int | None]:
        """Return (open, shipped, written off, deducted) of an order's first line."""
        seen = await self.fetch(order_id)
        assert seen is not None
        line = seen.lines[0]
        return line.open, line.shipped, line.written_off, line.deducted


def make_world(*, contracts: bool = True, **shop: Any) -> World:
    """Return a shop with products 30 (7 left), 31 (variable, 12 left, parent-managed variation 32
    and own-stock variation 33 with 5), subscribed to every topic; checked by the contract if it
    is here.
    """
    hands = Hands()
    woo = WooShop(
        "woo",
        clock=hands,
        dice=random.Random(1),
        consumer_key=SETTINGS["consumer_key"],
        consumer_secret=SETTINGS["consumer_secret"],
        contracts=CONTRACTS if contracts and CONTRACTS.is_dir() else None,
        **shop,
    )
    woo.add_product(30, stock=7, sku="candle")
    woo.add_product(31, stock=12, type="variable", sku="soap")
    woo.add_variation(31, 32, stock=None, sku="soap-s")
    woo.add_variation(31, 33, stock=5, sku="soap-l")
    connector = make_connector()
    world = World(hands, woo, connector, InProcessApi(woo, connector))
    for topic in connector.manifest.webhook_topics:
        woo.subscribe(topic, "http://daemon/webhooks/w/token", SECRET)
    world.deliveries()  # the pings
    return world


def make_connector(**settings: str) -> WooCommerceConnector:
    """Return a configured connector."""
    connect = registry.load("woocommerce")
    connector = connect("w", registry.manifest("woocommerce"), {**SETTINGS, **settings})
    assert isinstance(connector, WooCommerceConnector)
    return connector


def line(key: str, *, expected: int, target: int) -> PushLine:
    """Return a push line for a field."""
    return PushLine(FieldKey("w", key), expected=expected, target=target)


def listing(ref: str) -> Listing:
    """Return a mapped listing."""
    return Listing(key=ListingKey("w", ref), sku="any")


def sample(name: str) -> bytes:
    """Return a stored body."""
    return (SAMPLES / f"{name}.json").read_bytes()
