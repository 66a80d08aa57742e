"""Etsy: an emulated shop behind Etsy's own OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stockpush.connectors.base import PushLine
from stockpush.errors import AuthFailed
from stockpush.model import FieldKey
from tests.connectors import etsy_world
from tests.contract import standard_webhooks
from tests.contract.kit import Kit
from tests.contract.readers import delivery, nothing_to_read
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
    samples={"webhook_*": delivery, "inventory_*": nothing_to_read},
    more=more,
    signed=standard_webhooks.SIGNED,
    vectors=standard_webhooks.VECTORS,
    vector=standard_webhooks.vector,
)
