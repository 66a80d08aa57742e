"""An emulated Shopify shop with a clock that only tests move, and a connector configured for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import PushLine, WebhookRequest
from stockpush.connectors.shopify import ShopifyConnector
from stockpush.messages import OrderSeen, Seen
from stockpush.model import FieldKey
from stockpush.sim.shops.shopify import ShopifyShop
from tests.connectors.hands import Hands
from tests.connectors.inprocess import InProcessApi

SCHEMA = Path(__file__).parents[2].parent / "shared/contracts/shopify/admin_schema_2026-10.json.gz"
needs_schema = pytest.mark.skipif(
    not SCHEMA.exists(), reason="needs ../shared: the Admin GraphQL schema"
)
SECRET = "hush"
TOKEN = "shpat_not-a-real-token"
HOST = "demo.myshopify.com"
LOCATION = 9007199254740993


@dataclass
class World:
    """The shop, its clock, the connector, and the door between them."""

    hands: Hands
    shop: ShopifyShop
    connector: ShopifyConnector
    api: InProcessApi
    urls: list[str] = field(default_factory=list)

    def sell(self, sku: str, available: int, **how: Any) -> str:
        """Put a variant on sale; return its listing."""
        return str(self.shop.add_variant(sku, available, **how).variant_id)

    def line(self, listing: str, *, expected: int, target: int) -> PushLine:
        """Return a push line for a listing's field."""
        item = self.shop.variants[int(listing)].item_id
        return PushLine(FieldKey("s", str(item)), expected=expected, target=target)

    def field(self, listing: str) -> FieldKey:
        """Return a listing's field."""
        return FieldKey("s", str(self.shop.variants[int(listing)].item_id))

    def deliveries(self, topic: str | None = None) -> list[WebhookRequest]:
        """Take the webhooks that are due, as they would arrive."""
        out = self.shop.webhooks_due()
        for each in out:
            self.shop.webhook_answered(each, 200)
        return [
            WebhookRequest(each.headers, each.body)
            for each in out
            if topic in {None, each.headers["x-shopify-topic"]}
        ]

    def read(self, request: WebhookRequest) -> Seen:
        """Verify and read one delivery."""
        self.connector.verify(request)
        _, (seen,) = self.connector.read(request)
        return seen

    async def fetched(self, order_id: str) -> OrderSeen:
        """Fetch an order that must be there."""
        seen = await self.connector.fetch_order(self.api, order_id, fetch=1)
        assert seen is not None
        return seen


def settings(**other: str) -> dict[str, str]:
    """Return valid settings of one channel, with some replaced."""
    return {
        "shop": HOST,
        "location": f"gid://shopify/Location/{LOCATION}",
        "access_token": TOKEN,
        "webhook_secret": SECRET,
        **other,
    }


def connector(**other: str) -> ShopifyConnector:
    """Return a connector configured as the emulated shop is."""
    connect = registry.load("shopify")
    made = connect("s", registry.manifest("shopify"), settings(**other))
    assert isinstance(made, ShopifyConnector)
    return made


def world(*, checked: bool = False, **how: Any) -> World:
    """Return a shop that sends every topic, and its connector. `checked`: against the schema."""
    hands = Hands()
    shop = ShopifyShop(
        "demo",
        clock=hands,
        dice=random.Random(7),
        access_token=TOKEN,
        webhook_secret=SECRET,
        domain=HOST,
        location=LOCATION,
        schema_path=SCHEMA if checked else None,
        **how,
    )
    shop.subscribe("http://127.0.0.1/webhooks/s/token")
    made = connector()
    return World(hands, shop, made, InProcessApi(shop, made))
