"""Faire: an emulated account behind Faire's own OpenAPI document. There are no webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stockpush.connectors.base import Connector
from stockpush.connectors.faire.orders import facts
from stockpush.connectors.faire.wire import Order
from stockpush.connectors.payload import decode
from tests.connectors import faire_world
from tests.connectors.canned import PathedApi
from tests.contract.kit import Kit
from tests.contract.readers import numbers, poll
from tests.hostile import judging

API = "/external-api/v2"


def sell(shop: Any, number: int, quantity: int) -> tuple[Mapping[str, Any], str]:
    """Put a variant on sale."""
    variant = f"po_{1000 + number}"
    shop.add_variant(variant, on_hand=quantity, sku=f"sku-{number}")
    return {"variant_id": variant}, variant


def order(connector: Connector, body: bytes) -> object:
    """Read an order by itself: its family, of which a poll asks too, is not among the samples."""
    seen = facts(connector.channel, decode(body, Order, what="order"), fetch=1)
    judging.check(seen)
    assert seen.lines
    return seen


def orders(connector: Connector, body: bytes) -> object:
    """Read a page of orders, after which there is none."""
    seen = poll(connector, PathedApi(paths={"/orders": [body, b'{"orders": []}']}))
    told = [each["id"] for each in json.loads(body)["orders"]]
    assert [each.order_id for each in seen] == told
    return seen


def inventories(connector: Connector, body: bytes) -> object:
    """Read what the account holds of each variant."""
    keys = list(json.loads(body)["inventories"])
    return numbers(connector, PathedApi(paths={"/by-product-variant-ids": [body]}), keys)


KIT = Kit(
    settings=faire_world.SETTINGS,
    slip=({"base_url": "http://www.faire.com"}, "base_url"),
    open=faire_world.make_world,
    sell=sell,
    requests=frozenset(
        {
            f"GET {API}/orders",
            f"GET {API}/orders/{{}}",
            f"GET {API}/product-inventory/by-product-variant-ids",
            f"PATCH {API}/product-inventory/by-product-variant-ids",
        }
    ),
    contract="contracts/faire/openapi.excerpt.json",
    samples={"order_*": order, "orders_page": orders, "inventories": inventories},
)
