"""The emulated shops, served without delay, and the way of a sale through both of them (P5).

Theory of operation. A sale is made in one shop; its webhook is taken out of that shop's outbox and
posted to the daemon; the other shop notes the instant at which it has answered the write that
follows. Sales come one at a time, with a pause, so that no rate limit is what is measured.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from bench import world
from stockpush.sim.candle_shop import SHOPIFY, WOO_SECRET
from stockpush.sim.shops.base import Shop, WebhookOut
from stockpush.sim.shops.server import serve
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop

PUSHED_WITHIN_S: Final = 20.0
"""How long a push may take before the run counts as failed."""
_LOOK_S: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Served:
    """The two shops and where they answer."""

    shopify: ShopifyShop
    woo: WooShop
    shopify_url: str
    woo_url: str


@dataclass(frozen=True, slots=True)
class Job:
    """So many sales on `selling` after `warm_up` others, `pause_s` after each push."""

    selling: str
    url: str
    sales: int
    warm_up: int
    pause_s: float


@dataclass(frozen=True, slots=True)
class Pushed:
    """Medians over the sales, and what the other shop shows that it should not."""

    acknowledged_ms: float
    pushed_ms: float
    sold: int
    faults: list[str]


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    """Serve both shops until the block ends."""
    shopify, woo = world.shopify_shop(), world.woo_shop()
    async with (
        serve(shopify, sleep=world.CLOCK.sleep) as one,
        serve(woo, sleep=world.CLOCK.sleep) as other,
    ):
        yield Served(shopify, woo, one.base_url, other.base_url)


async def sell(shops: Served, job: Job) -> Pushed:
    """Make the sales, one after the other, each of another item."""
    selling: Shop = shops.shopify if job.selling == SHOPIFY else shops.woo
    pushed: Shop = shops.woo if job.selling == SHOPIFY else shops.shopify
    acknowledged, told = list[float](), list[float]()
    faults: list[str] = []
    till = _till(selling)
    async with httpx.AsyncClient(timeout=PUSHED_WITHIN_S) as client:
        for number in range(job.warm_up + job.sales):
            out = till.sell(number)
            writes = _written(pushed)
            begun = time.perf_counter()
            answer = await client.post(job.url, content=out.body, headers=dict(out.headers))
            answered = time.perf_counter()
            if answer.status_code != 200:
                faults.append(f"sale {number} was answered {answer.status_code}")
            try:
                async with asyncio.timeout(PUSHED_WITHIN_S):
                    # The shop is as synchronous as the test that it is made for.
                    while _written(pushed) == writes:  # noqa: ASYNC110  # it sets no event
                        await asyncio.sleep(_LOOK_S)
            except TimeoutError:
                faults.append(f"sale {number} was not pushed within {PUSHED_WITHIN_S} s")
                break
            if number >= job.warm_up:
                acknowledged.append(answered - begun)
                told.append(time.perf_counter() - begun)
            await asyncio.sleep(job.pause_s)
            shows = _shows(pushed, number)
            if shows != world.ON_HAND - 1:
                faults.append(f"item {number} shows {shows} on the other shop")
    return Pushed(
        1000 * statistics.median(acknowledged or [0.0]),
        1000 * statistics.median(told or [0.0]),
        job.warm_up + job.sales,
        faults,
    )


def _written(shop: Shop) -> int:
    """Return how many writes the shop has answered."""
    assert isinstance(shop, ShopifyShop | WooShop)
    return len(shop.faults.writes_seen)


def _shows(shop: Shop, number: int) -> int:
    assert isinstance(shop, ShopifyShop | WooShop)
    listing = world.variant(number) if isinstance(shop, ShopifyShop) else world.product(number)
    return shop.quantity(str(listing))


class _Till:
    """A shop that is nobody's channel: the same sales, for their webhooks.

    The served shop sells too, but its own sender would post its webhook when it next looks.
    """

    def __init__(self, served: ShopifyShop | WooShop) -> None:
        self._served = served
        self._twin = _twin(served)

    def sell(self, number: int) -> WebhookOut:
        """Sell one unit of an item; return the webhook that tells of it."""
        is_shopify = isinstance(self._served, ShopifyShop)
        listing = str(world.variant(number) if is_shopify else world.product(number))
        self._served.checkout([(listing, 1)])
        self._twin.checkout([(listing, 1)])
        due = [out for out in self._twin.webhooks_due() if b"line_items" in out.body]
        assert len(due) == 1, f"one sale makes one delivery, not {len(due)}"
        return due[0]


def _till(shop: Shop) -> _Till:
    assert isinstance(shop, ShopifyShop | WooShop)
    return _Till(shop)


def _twin(shop: ShopifyShop | WooShop) -> ShopifyShop | WooShop:
    nowhere = "http://127.0.0.1:9/"
    if isinstance(shop, ShopifyShop):
        shopify = world.shopify_shop()
        shopify.subscribe(nowhere, topics=("orders/create",))
        return shopify
    woo = world.woo_shop()
    woo.subscribe("order.created", nowhere, WOO_SECRET)
    return woo
