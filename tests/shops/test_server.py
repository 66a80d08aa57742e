"""An emulated shop over real HTTP on loopback: requests in, webhooks out."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from aiohttp import web

from stockpush.connectors.shopify import operations
from stockpush.sim.shops.server import serve
from tests.connectors.shopify_world import TOKEN, World, world

HEADERS = {"x-shopify-access-token": TOKEN}


def question(w: World, listing: str) -> bytes:
    """Return a write that would succeed."""
    line = w.line(listing, expected=5, target=9)
    entry = {
        "inventoryItemId": f"gid://shopify/InventoryItem/{line.field.key}",
        "locationId": f"gid://shopify/Location/{w.connector.settings.location}",
        "quantity": 9,
        "changeFromQuantity": 5,
    }
    given = {"name": "available", "reason": "correction", "quantities": [entry]}
    return msgspec.json.encode(
        {
            "operationName": "SetQuantities",
            "query": operations.SET_QUANTITIES.document,
            "variables": {"input": given, "key": "k"},
        }
    )


async def until(holds) -> None:
    """Let the other tasks run until `holds()`; five seconds are a failure."""
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def receiver(statuses):
    """Receive webhooks, answering with each status in turn (then 200); yield (url, queue)."""
    got: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        await got.put((headers, await request.read()))
        status = statuses.pop(0) if statuses else 200
        return web.Response(status=status, headers={"location": "/elsewhere"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/hook", got
    finally:
        await runner.cleanup()


async def test_a_request_travels_and_the_date_is_the_shops_own() -> None:
    """Method, path, headers and body reach the shop; its answer and its clock come back."""
    w = world()
    a = w.sell("A", 5)
    async with serve(w.shop, sleep=asyncio.sleep) as served, aiohttp.ClientSession() as client:
        url = served.base_url + operations.PATH
        async with client.post(url, data=question(w, a), headers=HEADERS) as answer:
            assert answer.status == 200
            assert answer.headers["Date"] == "Sun, 22 Nov 2026 10:00:00 GMT"
            body = await answer.json()
    assert body["data"]["inventorySetQuantities"]["userErrors"] == []
    assert w.shop.quantity(a) == 9


@pytest.mark.parametrize(("fault", "left"), [("drop_before_next", 5), ("drop_after_next", 9)])
async def test_a_dropped_connection_gets_no_answer(fault: str, left: int) -> None:
    """The connection is reset without a byte, before or after the shop did what was asked."""
    w = world()
    a = w.sell("A", 5)
    setattr(w.shop.faults, fault, 1)
    async with serve(w.shop, sleep=asyncio.sleep) as served, aiohttp.ClientSession() as client:
        url = served.base_url + operations.PATH
        with pytest.raises(aiohttp.ClientError):
            await client.post(url, data=question(w, a), headers=HEADERS)
    assert w.shop.quantity(a) == left
    assert len(w.shop.faults.writes_seen) == 1


async def test_a_truncated_answer_breaks_off_on_the_way() -> None:
    """The client is promised more than it gets; the shop has done what was asked."""
    w = world()
    a = w.sell("A", 5)
    w.shop.faults.truncated_answer_next = 1
    async with serve(w.shop, sleep=asyncio.sleep) as served, aiohttp.ClientSession() as client:
        url = served.base_url + operations.PATH
        async with client.post(url, data=question(w, a), headers=HEADERS) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
    assert w.shop.quantity(a) == 9


async def test_webhooks_are_posted_and_their_end_is_told() -> None:
    """Deliveries arrive signed, byte for byte; a redirect and a 5xx are failures to retry."""
    w = world()
    a = w.sell("A", 5)
    w.shop.outbox.subscriptions.clear()
    async with receiver([302, 500]) as (url, got), serve(w.shop, sleep=asyncio.sleep):
        w.shop.subscribe(url, topics=("orders/create",))
        w.shop.checkout([(a, 1)])
        bodies = []
        for attempt in range(3):
            headers, body = await asyncio.wait_for(got.get(), 5)
            bodies.append(body)
            assert headers["x-shopify-topic"] == "orders/create"
            if attempt < 2:
                await until(lambda: w.shop.next_webhook_at() is not None)
            w.hands.now = w.shop.next_webhook_at() or w.hands.now
        await until(lambda: not w.shop.outbox.sent)
        assert len(set(bodies)) == 1
        assert w.shop.outbox.subscriptions[0].failures == 0
        assert got.empty()


async def test_a_receiver_that_is_down_is_a_failure() -> None:
    """Nobody listens: the attempt failed and is due again."""
    w = world()
    a = w.sell("A", 5)
    w.shop.outbox.subscriptions.clear()
    w.shop.subscribe("http://127.0.0.1:1/hook", topics=("orders/create",))
    async with serve(w.shop, sleep=asyncio.sleep):
        w.shop.checkout([(a, 1)])
        await until(lambda: w.shop.outbox.subscriptions[0].failures > 0)
    assert w.shop.next_webhook_at() is not None


async def test_the_server_ends_with_its_block() -> None:
    """After the block nothing listens and no task is left."""
    w = world()
    before = asyncio.all_tasks()
    async with serve(w.shop, sleep=asyncio.sleep) as served:
        assert served.shop is w.shop
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(served.base_url)
    assert asyncio.all_tasks() == before
