"""What a daemon would have left in the database: read listings, deliveries, requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from stockpush import compose, keys
from stockpush.clock import SystemClock
from stockpush.messages import (
    Command,
    ListingResolved,
    Observe,
    QuantitySeen,
    ReceiveDelivery,
    ResolveListings,
)
from stockpush.model import Delivery, DeliveryState, FieldKey, ListingKey
from stockpush.settings import Settings
from tests.cli.terminal import CATALOGUE, Terminal

V = TypeVar("V")
SAMPLES = Path(__file__).parents[1] / "samples" / "shopify"
NOW = SystemClock().now()
CHANNELS = """
[channels.my-shopify]
connector = "shopify"
mode = "live"
shop = "my-shop.myshopify.com"
location = "1"
access_token = "env:NOT_SET_HERE"
webhook_secret = "shh"
base_url = "http://127.0.0.1:9"
[channels.my-woo]
connector = "woocommerce"
base_url = "https://shop.example.com"
consumer_key = "env:NOT_SET_HERE"
consumer_secret = "env:NOT_SET_HERE"
webhook_secret = "env:NOT_SET_HERE"
"""
LISTINGS = """
[[listings]]
channel = "my-shopify"
item = "candle-lav"
ref = { variant_id = 808950810 }
[[listings]]
channel = "my-shopify"
item = "soap-lav"
pack = 6
ref = { variant_id = 2 }
[[listings]]
channel = "my-woo"
item = "soap-lav"
ref = { product_id = 30 }
"""


def with_parts(shop: Terminal, job: Callable[[compose.Parts], Awaitable[V]]) -> V:
    """Do something behind the command line's back."""

    async def opened() -> V:
        settings = Settings.load(shop.folder / "stockpush.toml", {})
        async with compose.parts(settings, connectors={}) as parts:
            return await job(parts)

    return asyncio.run(opened())


def commit(shop: Terminal, *commands: Command) -> None:
    """Let the daemon's part happen."""

    async def job(parts: compose.Parts) -> None:
        for command in commands:
            await parts.lane.commit([command])

    with_parts(shop, job)


def asked(shop: Terminal) -> Sequence[tuple[str, object]]:
    """What the command line has asked of the daemon."""

    async def job(parts: compose.Parts) -> Sequence[tuple[str, object]]:
        return [(each.kind, dict(each.arguments)) for each in await parts.store.asked()]

    return with_parts(shop, job)


def resolved(channel: str, ref: str, order_key: str, shows: int) -> tuple[Command, ...]:
    """What the daemon learns of one listing: its field, and the number it shows."""
    field = FieldKey(channel, f"field/{order_key}")
    return (
        ResolveListings((ListingResolved(ListingKey(channel, ref), order_key, field.key),)),
        Observe((QuantitySeen(field, shows, NOW, None, 0, NOW),)),
    )


def delivered(shop: Terminal, body: bytes, digest: str, state: DeliveryState, at_s: int) -> None:
    """Put one delivery into the inbox."""
    key = keys.read_secret_key((shop.folder / "stockpush.key").read_text())
    quarantined = state is DeliveryState.QUARANTINED
    row = Delivery(
        channel="my-shopify",
        digest=digest,
        topic="orders/create",
        received_at=NOW + timedelta(seconds=at_s),
        state=state,
        reason="\x1b[31mnot understood" if quarantined else "",
        body=keys.encrypt(key, body, "delivery:my-shopify") if quarantined else None,
    )
    commit(shop, ReceiveDelivery(row, ()))


def open_sellers(terminal: Terminal) -> None:
    """Candles and soaps on a live and a shadow channel; the daemon has read two of three."""
    terminal.done("init")
    config = terminal.folder / "stockpush.toml"
    config.write_text(config.read_text() + CHANNELS)
    terminal.write("catalog.toml", CATALOGUE + LISTINGS)
    terminal.done("import", "catalog.toml", "--yes")
    commit(
        terminal,
        *resolved("my-shopify", "variant/808950810", "808950810", 4),
        *resolved("my-woo", "30", "30", 102),
    )


def fill_inbox(terminal: Terminal) -> None:
    """Two quarantined deliveries, one of them readable by now, and an applied one."""
    order = (SAMPLES / "orders_create.json").read_bytes()
    delivered(terminal, b"{}", "d1", DeliveryState.QUARANTINED, 1)
    delivered(terminal, order, "d2", DeliveryState.QUARANTINED, 2)
    delivered(terminal, b"", "d3", DeliveryState.APPLIED, 3)
    config = terminal.folder / "stockpush.toml"
    config.write_text(config.read_text().replace('"env:NOT_SET_HERE"', '"token"', 1))
