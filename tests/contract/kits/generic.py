"""A shop of the maker's own: the protocol is ours, and its page is its contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.connectors import generic_world
from tests.contract import standard_webhooks
from tests.contract.kit import Kit
from tests.contract.readers import delivery


def sell(shop: Any, number: int, quantity: int) -> tuple[Mapping[str, Any], str]:
    """Put a product on sale."""
    name = f"candle-{number}"
    shop.add_product(name, quantity)
    return {"product": name}, name


KIT = Kit(
    settings=generic_world.SETTINGS,
    slip=({"base_url": "http://shop.example"}, "base_url"),
    open=generic_world.make_world,
    sell=sell,
    requests=frozenset({"GET /orders", "GET /orders/{}", "GET /quantities", "PUT /quantities/{}"}),
    contract=None,
    samples={"*_changed": delivery},
    signed=standard_webhooks.SIGNED,
    vectors=standard_webhooks.VECTORS,
    vector=standard_webhooks.vector,
    versioned=False,
)
