"""Serve any emulated shop over HTTP on loopback, and send its webhooks.

Theory of operation. The shop is synchronous and knows no network. A request is turned into a
`ShopRequest`, answered, and turned back; a dropped connection is a transport that is aborted
without a byte, a truncated answer one that is closed before the promised length. One task looks
into the outbox every `LOOK_EVERY_S`, posts each delivery that is due to its URL, and tells the shop
how that ended. The Date header is the shop's own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from stockpush.sim.shops.base import (
    ConnectionDropped,
    Shop,
    ShopAnswer,
    ShopRequest,
    WebhookOut,
)

BODY_MAX = 10 * 2**20
WEBHOOK_TIMEOUT_S = 5.0
"""What platforms give a receiver to answer."""
LOOK_EVERY_S = 0.02
"""How long a delivery may wait for the sender to look again."""
SENDS_MAX = 16
"""Deliveries under way at once, as several workers of a platform would."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServedShop:
    """A shop that answers at `base_url`."""

    shop: Shop
    base_url: str


@asynccontextmanager
async def serve(
    shop: Shop, *, sleep: Sleep, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[ServedShop]:
    """Serve `shop` until the block ends; port 0 takes a free one. `sleep` paces the webhooks."""
    runner = web.AppRunner(_application(shop), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        address = runner.addresses[0]
        async with ClientSession(timeout=ClientTimeout(total=WEBHOOK_TIMEOUT_S)) as session:
            sender = asyncio.create_task(_send_webhooks(shop, session, sleep))
            try:
                yield ServedShop(shop, f"http://{address[0]}:{address[1]}")
            finally:
                sender.cancel()
                await asyncio.wait([sender])
                if not sender.cancelled():
                    sender.result()
    finally:
        await runner.cleanup()


def _application(shop: Shop) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        asked = ShopRequest(
            method=request.method,
            path=request.path,
            query=tuple(request.query.items()),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        try:
            given = shop.handle(asked)
        except ConnectionDropped:
            if request.transport is not None:
                request.transport.abort()
            # Nobody reads this: the connection is gone.
            return web.Response(status=500)
        if "content-length" in given.headers:
            return await _broken_off(request, given)
        return web.Response(status=given.status, headers=dict(given.headers), body=given.body)

    application = web.Application(client_max_size=BODY_MAX)
    application.router.add_route("*", "/{path:.*}", answer)
    return application


async def _broken_off(request: web.Request, given: ShopAnswer) -> web.StreamResponse:
    """Send an answer whose body is shorter than it says, then close the connection."""
    response = web.StreamResponse(status=given.status, headers=dict(given.headers))
    await response.prepare(request)
    await response.write(given.body)
    if request.transport is not None:
        request.transport.close()
    return response


async def _send_webhooks(shop: Shop, session: ClientSession, sleep: Sleep) -> None:
    """Post what is due, for ever; a delivery that is under way does not hold up the others."""
    slots = asyncio.Semaphore(SENDS_MAX)
    async with asyncio.TaskGroup() as sending:
        while True:
            for out in shop.webhooks_due():
                await slots.acquire()
                sending.create_task(_send(shop, session, out, slots))
            await sleep(LOOK_EVERY_S)


async def _send(
    shop: Shop, session: ClientSession, out: WebhookOut, slots: asyncio.Semaphore
) -> None:
    status: int | None = None
    try:
        async with session.post(
            out.url, data=out.body, headers=dict(out.headers), allow_redirects=False
        ) as response:
            status = response.status
    except (ClientError, TimeoutError, OSError):
        status = None
    finally:
        slots.release()
    shop.webhook_answered(out, status)
