"""Etsy: an emulated shop behind Etsy's own OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stockpush.connectors.base import Connector, PushLine
from stockpush.connectors.etsy import document
from stockpush.connectors.etsy.wire import Document
from stockpush.connectors.payload import decode
from stockpush.errors import AuthFailed
from stockpush.model import FieldKey
from tests.connectors import etsy_world
from tests.connectors.canned import PathedApi
from tests.contract import standard_webhooks
from tests.contract.kit import Kit
from tests.contract.readers import delivery, numbers, order, poll
from tests.contract.stage import answered_body

API = "/v3/application"


def sell(shop: Any, number: int, quantity: int) -> tuple[Mapping[str, Any], str]:
    """Put a listing on sale."""
    listing = 20_000 + number
    return {"listing_id": listing}, shop.add_listing(listing, quantity=quantity)


async def more(stage: Any) -> None:
    """The last unit of a listing, and its return; a right that is missing; a document that came
    without its listing.
    """
    for expected, target in ((7, 0), (0, 2)):
        wanted = PushLine(FieldKey(stage.connector.channel, "1001"), expected, target)
        await stage.connector.push(stage.api, [wanted], call_id="c")
    wanted = PushLine(FieldKey(stage.connector.channel, "1001"), 2, 1)
    stage.shop.access.scopes -= {"shops_r"}
    with suppress(AuthFailed):
        await stage.connector.check(stage.api)
    with answered_body(stage, b'"listing":', b'"other":'):
        await stage.connector.push(stage.api, [wanted], call_id="c")


def inventory(connector: Connector, body: bytes) -> object:
    """Read a listing's document as a batch read answers with it: every field of it."""
    keys = document.numbers(1001, decode(body, Document, what="inventory"))
    return numbers(connector, PathedApi(paths={"/batch/inventory": [batch(body)]}), list(keys))


def receipt(connector: Connector, body: bytes) -> object:
    """Read a receipt by itself, with the shapes of its listings."""
    number = str(json.loads(body)["receipt_id"])
    return order(connector, PathedApi(paths={f"/receipts/{number}": [body], **SHAPES}), number)


def receipts(connector: Connector, body: bytes) -> object:
    """Read a page of receipts in both lists of a poll: each is told once."""
    seen = poll(connector, PathedApi(paths={"/receipts": [body], **SHAPES}))
    told = [str(each["receipt_id"]) for each in json.loads(body)["results"]]
    assert sorted(each.order_id for each in seen) == sorted(told)
    return seen


def batch(plain: bytes, scents: bytes | None = None) -> bytes:
    """Return what a batch read answers of listing 1001, and of 1002 with scents."""
    listings = {1001: plain} | ({} if scents is None else {1002: scents})
    rows = [
        {
            "listing_id": number,
            "state": "active",
            "shop_id": etsy_world.SHOP_ID,
            "inventory": json.loads(told),
        }
        for number, told in listings.items()
    ]
    return json.dumps({"count": len(rows), "results": rows}).encode()


SHAPES = {
    "/batch/inventory": [
        batch(etsy_world.sample("inventory_plain"), etsy_world.sample("inventory_scents"))
    ]
}
"""The listings that receipts of the samples are of."""

KIT = Kit(
    settings=etsy_world.SETTINGS,
    slip=({"shop_id": "mine"}, "shop_id"),
    open=lambda: etsy_world.make_world(per_second=1000),
    sell=sell,
    requests=frozenset(
        {
            f"GET {API}/openapi-ping",
            f"GET {API}/users/me",
            f"GET {API}/shops/{{}}",
            f"GET {API}/shops/{{}}/listings",
            f"GET {API}/listings/batch/inventory",
            f"GET {API}/listings/{{}}",
            f"GET {API}/listings/{{}}/inventory",
            f"GET {API}/shops/{{}}/receipts",
            f"GET {API}/shops/{{}}/receipts/{{}}",
            f"PATCH {API}/shops/{{}}/listings/{{}}",
            f"PUT {API}/listings/{{}}/inventory",
        }
    ),
    contract="contracts/etsy/openapi.json",
    samples={
        "webhook_*": delivery,
        "inventory_*": inventory,
        "receipt_*": receipt,
        "receipts_page": receipts,
    },
    more=more,
    signed=standard_webhooks.SIGNED,
    vectors=standard_webhooks.VECTORS,
    vector=standard_webhooks.vector,
)
