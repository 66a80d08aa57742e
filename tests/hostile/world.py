"""A daemon under attack: raw sockets on one side, every row of its database on the other."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stockpush.compose import running
from stockpush.messages import Needs
from stockpush.sim.candle_shop import SHOPIFY, SHOPIFY_SECRET, WOO, WOO_SECRET
from stockpush.store.schema import metadata
from stockpush.web.listener import Connections
from stockpush.web.webhooks import public_runner
from tests.whole.harness import Floor

CANARY = "c4n4ry"
"""Stands in everything hostile, and must not come back."""
SIGNATURE = {SHOPIFY: "X-Shopify-Hmac-Sha256", WOO: "X-WC-Webhook-Signature"}
SECRET = {SHOPIFY: SHOPIFY_SECRET.encode(), WOO: WOO_SECRET.encode()}
WAIT_S = 15.0
_ids = itertools.count(5000)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, or none (status 0) where the connection was closed without one."""

    status: int
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.head + b"\r\n\r\n" + self.body


@dataclass
class Fort:
    """A running daemon of a business with one listing on each shop."""

    floor: Floor
    host: str
    port: int
    hooks: Mapping[str, str]
    connections: Connections

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection(self.host, self.port)

    async def send(self, *parts: bytes) -> Reply:
        """Send bytes as they are, one part after the other, and read until the end."""
        reader, writer = await self.connect()
        answer = bytearray()
        try:
            async with asyncio.timeout(WAIT_S):
                reading = asyncio.ensure_future(_rest(reader, answer))
                try:
                    for part in parts:
                        writer.write(part)
                        await writer.drain()
                except ConnectionError:
                    pass
                await reading
        finally:
            writer.transport.abort()
        return parse(bytes(answer))

    async def post(
        self,
        channel: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        sign: bool = True,
    ) -> Reply:
        """Deliver a body, signed unless said otherwise."""
        given = {"Content-Type": "application/json"} | dict(headers or {})
        if sign:
            given[SIGNATURE[channel]] = signature(channel, body)
        return await self.send(request(self.hooks[channel], body, given))

    def wire(self, text: str, channel: str = SHOPIFY) -> bytes:
        """Text as bytes on the wire: HOOK is the channel's path, a line feed ends a line.

        A vertical tab stands for a lone line feed.
        """
        lines = text.replace("HOOK", self.hooks[channel]).replace("\n", "\r\n")
        return lines.replace("\v", "\n").encode("latin-1")

    async def until_alone(self) -> None:
        """Return once the daemon has no connection left."""
        await self.floor.until(lambda: not len(self.connections), "connections stay")

    async def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        async with self.floor.parts.store.reading() as session:
            return {
                table.name: (await session.fetch(f"SELECT count(*) FROM {table.name}", ()))[0][0]
                for table in metadata.sorted_tables
            }

    async def knows_its_shops(self) -> bool:
        """Whether both channels were started: a daemon that has not begun is quiet, too."""
        rows = await self.rows()
        return rows["channel"] == rows["field"] == 2

    async def order(self, channel: str, order_id: str) -> list[tuple[str, int]]:
        """(line, open units) of an order's reservations."""
        async with self.floor.parts.store.transaction() as transaction:
            rows = await transaction.gather(Needs(orders=frozenset({(channel, order_id)})))
        return sorted((each.key.line_id, each.open) for each in rows.reservations.values())


@asynccontextmanager
async def fort(folder: Path, *, database: str | None = None) -> AsyncIterator[Fort]:
    """Run a daemon that knows its shops, has nothing left to do and is not told of any sale."""
    floor = Floor(folder, webhooks=False, database=database)
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    connections = Connections()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "public_runner", partial(public_runner, connections=connections))
        async with floor.open(), floor.running():
            public = floor.daemon.public
            hooks = {name: floor.parts.webhook_path(name) for name in (SHOPIFY, WOO)}
            running_fort = Fort(floor, public.host, public.port, hooks, connections)
            await floor.until_told(running_fort.knows_its_shops)
            await floor.quiet()
            yield running_fort


def signature(channel: str, body: bytes) -> str:
    """What the channel would sign the body with."""
    return base64.b64encode(hmac.new(SECRET[channel], body, hashlib.sha256).digest()).decode()


def request(path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST") -> bytes:
    """A request as an honest client writes it, for one answer."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def parse(answer: bytes) -> Reply:
    """The first answer in these bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Reply(status, head, body)


def shopify_order(units: int = 1, **fields: Any) -> dict[str, Any]:
    """A whole order of Shopify, a new one at each call."""
    number = next(_ids)
    return {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "created_at": "2026-11-22T10:00:00Z",
        "updated_at": "2026-11-22T10:00:00Z",
        "cancelled_at": None,
        "confirmed": True,
        "note": CANARY,
        "line_items": [
            {
                "id": number,
                "variant_id": 1,
                "sku": "candle",
                "quantity": units,
                "current_quantity": units,
                "fulfillable_quantity": units,
            }
        ],
        "refunds": [],
        "fulfillments": [],
    } | fields


def woo_order(units: int = 1, **fields: Any) -> dict[str, Any]:
    """A whole order of WooCommerce, a new one at each call."""
    number = next(_ids)
    return {
        "id": number,
        "status": "processing",
        "date_created_gmt": "2026-11-22T10:00:00",
        "date_modified_gmt": "2026-11-22T10:00:00",
        "customer_note": CANARY,
        "line_items": [
            {
                "id": number,
                "product_id": 10,
                "variation_id": 0,
                "quantity": units,
                "sku": "candle",
                "meta_data": [{"key": "_reduced_stock", "value": str(units)}],
            }
        ],
        "refunds": [],
    } | fields


def encoded(value: Any) -> bytes:
    """JSON as PHP and Ruby write it: small, with lone surrogates left as escapes."""
    return json.dumps(value, separators=(",", ":")).encode()


async def _rest(reader: asyncio.StreamReader, answer: bytearray) -> None:
    try:
        while part := await reader.read(65536):
            answer += part
    except ConnectionError:
        pass
