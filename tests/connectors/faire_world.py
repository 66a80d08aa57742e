"""An emulated Faire account with a clock that only tests move, and a connector for it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import OrderPage, PushLine, PushOutcome
from stockpush.connectors.faire import FaireConnector
from stockpush.messages import OrderSeen
from stockpush.model import FieldKey, Listing, ListingKey
from stockpush.sim.shops.faire import FaireShop
from tests.conftest import SHARED
from tests.connectors.faire_contract import Checked, load
from tests.connectors.hands import Hands
from tests.connectors.inprocess import InProcessApi

CONTRACTS = SHARED / "contracts/faire"
needs_contract = pytest.mark.skipif(not CONTRACTS.is_dir(), reason="needs ../shared: the contract")
SAMPLES = Path(__file__).parents[1] / "samples/faire"
TOKEN = "fai_not-a-real-token"
APPLICATION = ("apa_1", "not-a-real-secret", "oaa_not-a-real-token")
SETTINGS = {"access_token": TOKEN, "base_url": "http://127.0.0.1:8080"}
OAUTH = {
    "application_id": APPLICATION[0],
    "application_secret": APPLICATION[1],
    "oauth_token": APPLICATION[2],
    "base_url": "http://127.0.0.1:8080",
}
ROOT = "/external-api/v2"
INVENTORY = f"{ROOT}/product-inventory/by-product-variant-ids"
A, B, C = "po_aaa", "po_bbb", "po_ccc"


@dataclass
class World:
    """The account, its clock, the connector, and the door between them."""

    hands: Hands
    shop: FaireShop
    connector: FaireConnector
    api: InProcessApi

    async def push(self, *lines: PushLine) -> tuple[PushOutcome, ...]:
        """Push the lines as one call."""
        return await self.connector.push(self.api, lines, call_id="call")

    def writes(self) -> list[dict[str, int]]:
        """Return variant -> on hand of every write that was sent."""
        return [
            {
                each["product_variant_id"]: each["on_hand_quantity"]
                for each in json.loads(sent.body)["inventories"]
            }
            for sent in self.api.sent
            if sent.method == "PATCH"
        ]

    async def fetch(self, order_id: str, number: int = 1) -> OrderSeen:
        """Fetch one order that is there."""
        seen = await self.connector.fetch_order(self.api, order_id, fetch=number)
        assert seen is not None
        return seen

    async def line(self, order_id: str) -> tuple[int, int, int, int | None]:
        """Return (ordered, open, shipped, deducted) of an order's first line."""
        (line, *_) = (await self.fetch(order_id)).lines
        return line.ordered, line.open, line.shipped, line.deducted

    async def poll(self, since: str | None = None, number: int = 1) -> list[OrderPage]:
        """Poll to the end."""
        pages = self.connector.poll_orders(self.api, since=since, fetch=number)
        return [page async for page in pages]

    def queries(self, path: str = f"{ROOT}/orders") -> list[list[tuple[str, str]]]:
        """Return the parameters of every read of a path."""
        return [list(sent.query) for sent in self.api.sent if sent.path == path]


def make_world(**shop: Any) -> World:
    """Return an account with variants A (7 on hand), B (12) and C (not tracked).

    Every request and every answer is checked by the contract if it is here.
    """
    hands = Hands()
    faire = FaireShop(
        "faire",
        clock=hands,
        dice=random.Random(1),
        access_token=TOKEN,
        application=APPLICATION,
        **shop,
    )
    faire.add_variant(A, on_hand=7, sku="candle")
    faire.add_variant(B, on_hand=12, sku="soap")
    faire.add_variant(C, on_hand=None, sku="print")
    connector = make_connector()
    checked: Any = Checked(faire, load(CONTRACTS)) if CONTRACTS.is_dir() else faire
    return World(hands, faire, connector, InProcessApi(checked, connector))


def make_connector(**settings: str) -> FaireConnector:
    """Return a configured connector."""
    connect = registry.load("faire")
    connector = connect("f", registry.manifest("faire"), {**SETTINGS, **settings})
    assert isinstance(connector, FaireConnector)
    return connector


def line(key: str, *, expected: int, target: int) -> PushLine:
    """Return a push line for a field."""
    return PushLine(FieldKey("f", key), expected=expected, target=target)


def listing(ref: str) -> Listing:
    """Return a mapped listing."""
    return Listing(key=ListingKey("f", ref), sku="any")


def inventories(**on_hand: int | None) -> dict[str, Any]:
    """Return an answer's map of what is held, nothing committed; None: not tracked."""
    return {
        "inventories": {
            f"po_{name}": {
                "on_hand_quantity": {"type": "UNTRACKED"}
                if number is None
                else {"type": "QUANTITY", "quantity": number},
                "committed_quantity": {"type": "QUANTITY", "quantity": 0},
            }
            for name, number in on_hand.items()
        }
    }


def order(*items: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """Return an order's JSON; each item is given by what differs from 5 of A."""
    return {
        "id": "bo_1",
        "state": "PROCESSING",
        "created_at": "2026-11-22T09:00:00.000Z",
        "updated_at": "2026-11-22T09:30:00.000Z",
        "items": [
            {"id": f"oi_{number}", "variant_id": A, "sku": "candle", "quantity": 5, **item}
            for number, item in enumerate(items or ({},), start=1)
        ],
        **given,
    }
