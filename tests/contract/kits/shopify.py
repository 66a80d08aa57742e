"""Shopify: an emulated shop behind its Admin GraphQL schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stockpush.connectors.base import WebhookRequest
from stockpush.connectors.shopify import operations
from stockpush.connectors.shopify.fetching import ORDER_LINES, ORDER_PARTS
from stockpush.model import Listing, ListingKey
from stockpush.sim.shops.base import ShopRequest
from tests.connectors import shopify_world
from tests.contract.kit import Kit
from tests.contract.readers import delivery

SIGNATURE = "x-shopify-hmac-sha256"


def open_stage() -> Any:
    """Open a shop; its schema holds every request, if it is here."""
    return shopify_world.world(checked=shopify_world.SCHEMA.is_file())


def sell(shop: Any, number: int, quantity: int) -> tuple[Mapping[str, Any], str]:
    """Put a variant on sale."""
    variant = shop.add_variant(f"SKU-{number}", quantity).variant_id
    return {"variant_id": variant}, str(variant)


def kind_of(request: ShopRequest) -> str:
    """Return the operation's name: every request is a POST to one path."""
    return str(json.loads(request.body)["operationName"])


def is_write(request: ShopRequest) -> bool:
    """Answer whether a request is a mutation."""
    return b'"query":"mutation' in request.body


async def more(stage: Any) -> None:
    """An order with more lines, refunds and fulfilments than a page of each holds; an item that is
    not stocked yet; everything at once.
    """
    many = [sell(stage.shop, 100 + each, 100)[1] for each in range(ORDER_LINES * 3 + 45)]
    order = stage.shop.checkout([(each, 3) for each in many])
    stage.shop.ship_units(order, [(each, 1) for each in many])
    for each in many[: ORDER_PARTS * 2]:
        stage.shop.refund(order, each, 1, restock=True)
        stage.shop.ship_units(order, [(each, 1)])
    stage.shop.cancel(order, restock=True)
    await stage.connector.fetch_order(stage.api, order, fetch=2)
    agreeing = shopify_world.connector(activate="true")
    ref = {"variant_id": stage.shop.add_variant("SHELF", 0, stocked=False).variant_id}
    listing = Listing(ListingKey("s", agreeing.ref(ref)), "SHELF", ref=ref)
    await agreeing.put_on_stock(
        stage.api, await agreeing.resolve(stage.api, [listing]), call_id="c"
    )
    name = await agreeing.begin_full(stage.api)
    await agreeing.full(stage.api, name)
    await agreeing.end_full(stage.api, name)


def vector(case: Mapping[str, Any]) -> tuple[Mapping[str, str], WebhookRequest]:
    """Return what one published case configures and delivers."""
    delivered = WebhookRequest({SIGNATURE: case["header"]}, case["body"].encode())
    return {"webhook_secret": case["secret"]}, delivered


KIT = Kit(
    settings=shopify_world.settings(),
    slip=({"location": "here"}, "location"),
    open=open_stage,
    sell=sell,
    requests=frozenset(each.name for each in operations.ALL),
    contract="contracts/shopify/admin_schema_2026-10.json.gz",
    samples={"*": delivery},
    more=more,
    signed=(SIGNATURE,),
    vectors="shopify",
    vector=vector,
    vectors_exempt={
        "oauth_callback": "Nobody grants access to Shopify in a browser here: it is configured, so "
        "that no signed address ever comes back to be believed."
    },
    kind_of=kind_of,
    is_write=is_write,
)
