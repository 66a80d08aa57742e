"""Signed orders/create webhooks of about 3 KB, as Shopify sends them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from bench import world
from stockpush.connectors.base import WebhookRequest
from stockpush.sim.candle_shop import DOMAIN, SHOPIFY_SECRET

_FIRST_ORDER: Final = 5_000_000_000_000
_ADDRESS: Final = {
    "first_name": "Ada",
    "last_name": "Example",
    "address1": "1 Example Street",
    "address2": None,
    "city": "Springfield",
    "province": "Somewhere",
    "province_code": "SW",
    "country": "Nowhere",
    "country_code": "XX",
    "zip": "00000",
    "phone": "+10000000000",
    "company": None,
    "name": "Ada Example",
    "latitude": 0.0,
    "longitude": 0.0,
}


def webhooks(count: int, *, spread: int, first: int = 0) -> Iterator[WebhookRequest]:
    """Yield `count` sales of one unit each, in turn of the first `spread` items of the world."""
    now = world.CLOCK.now()
    for number in range(first, first + count):
        body = json.dumps(_order(number, number % spread, now)).encode()
        digest = hmac.new(SHOPIFY_SECRET.encode(), body, hashlib.sha256).digest()
        yield WebhookRequest(
            {
                "content-type": "application/json",
                "x-shopify-topic": "orders/create",
                "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
                "x-shopify-shop-domain": DOMAIN,
                "x-shopify-api-version": "2026-10",
                "x-shopify-webhook-id": f"b54557e4-bdd9-4b37-8a5f-{number:012}",
            },
            body,
        )


def _order(number: int, item: int, now: datetime) -> dict[str, Any]:
    order = _FIRST_ORDER + number
    instant = now.isoformat(timespec="seconds")
    return {
        "id": order,
        "admin_graphql_api_id": f"gid://shopify/Order/{order}",
        "name": f"#{number}",
        "confirmed": True,
        "created_at": instant,
        "updated_at": instant,
        "processed_at": instant,
        "cancelled_at": None,
        "closed_at": None,
        "cancel_reason": None,
        "currency": "EUR",
        "email": "ada@example.com",
        "financial_status": "paid",
        "fulfillment_status": None,
        "test": False,
        "source_name": "web",
        "note": None,
        "tags": "",
        "token": f"{number:032x}",
        "total_price": "12.00",
        "subtotal_price": "10.00",
        "total_tax": "2.00",
        "total_price_set": _money("12.00"),
        "subtotal_price_set": _money("10.00"),
        "total_tax_set": _money("2.00"),
        "billing_address": _ADDRESS,
        "shipping_address": _ADDRESS,
        "customer": {"id": 7, "email": "ada@example.com", "default_address": _ADDRESS},
        "line_items": [
            {
                "id": order * 10,
                "admin_graphql_api_id": f"gid://shopify/LineItem/{order * 10}",
                "variant_id": world.variant(item),
                "product_id": world.product(item),
                "product_exists": True,
                "sku": world.sku(item),
                "title": f"Item {item}",
                "quantity": 1,
                "current_quantity": 1,
                "fulfillable_quantity": 1,
                "price": "10.00",
                "price_set": _money("10.00"),
                "variant_inventory_management": "shopify",
                "properties": [],
                "tax_lines": [{"price": "2.00", "rate": 0.2, "title": "VAT"}],
            }
        ],
        "shipping_lines": [{"id": order * 10 + 1, "title": "Post", "price": "2.00"}],
        "refunds": [],
        "fulfillments": [],
    }


def _money(amount: str) -> dict[str, Any]:
    one = {"amount": amount, "currency_code": "EUR"}
    return {"shop_money": one, "presentment_money": one}
