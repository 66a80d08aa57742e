"""The naive sync is an honest tool: right while nothing races, and wrong as such tools are."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from stockpush.sim import naive as naive_module
from stockpush.sim import naive_api
from stockpush.sim.accounts import (
    ACCESS_TOKEN,
    CHANNELS,
    ETSY,
    FAIRE,
    SHOPIFY,
    SHOPIFY_SECRET,
    SITE,
    WOO,
    WOO_SECRET,
    EtsyTerms,
)
from stockpush.sim.contest import account
from stockpush.sim.drawing import draw_world
from stockpush.sim.loop import Owner, SimClock, SimIds, VirtualLoop, spawn
from stockpush.sim.naive import Naive, ShopifyAccount
from stockpush.sim.network import SimNetwork
from stockpush.sim.shopfront import Offered, Shopfront
from stockpush.sim.shops.base import ShopAnswer, ShopRequest, SoldOut, WebhookOut
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.shops.woocommerce.outbox import sign
from stockpush.sim.truth import Truth
from stockpush.sim.world import Listed, Thing, World
from tests.connectors.shopify_world import SCHEMA, needs_schema

LISTENS = "https://naive.example.com/hook"


@dataclass
class Floor:
    """Two shops, the naive sync and the network between, in virtual time."""

    loop: VirtualLoop
    clock: SimClock
    world: World
    network: SimNetwork
    naive: Naive
    truth: Truth
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def start(self) -> None:
        """Have webhooks delivered and the sync work."""
        for name in self.world.shops:
            self.tasks.append(spawn(self.loop, self.network.send_webhooks(name), None))
        self.tasks.append(spawn(self.loop, self.naive.run(), None))

    async def stop(self) -> None:
        """End everything; what broke by itself is raised."""
        for task in self.tasks:
            if task.done():
                task.result()
        # Deliveries and requests on their way end with them.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def acted(self, channel: str, order: str) -> None:
        """Note that somebody did something at a shop."""
        self.truth.refresh(channel, order)
        self.network.acted(channel)

    def buy(self, listed: Listed, units: int = 1, **how: Any) -> str | None:
        """Let a shopper buy; None where the shop has not so many left."""
        try:
            order = self.world.shops[listed.channel].checkout([(listed.listing, units)], **how)
        except SoldOut:
            return None
        self.acted(listed.channel, order)
        return order

    def wrong(self) -> list[tuple[str, int, int]]:
        """Return (listing, shown, what should be shown) wherever the two differ."""
        return [
            (f"{each.channel} {each.listing} {each.sku}", self.world.shows(each), target)
            for each in self.world.listings
            if self.world.shows(each) != (target := self.truth.target(each))
        ]


def floor(loop: VirtualLoop, world: World, *, compares: bool = True) -> Floor:
    """Lay everything out around a world."""
    clock = SimClock(loop)

    async def receive(channel: str, out: WebhookOut) -> int:
        return await made.naive.webhook(channel, out)

    network = SimNetwork(loop, random.Random(1), world.shops, receive)
    owner = Owner("naive")
    transports = {name: network.transport(name, owner) for name in world.shops}

    async def send(channel: str, request: ShopRequest) -> ShopAnswer:
        url = httpx.URL("https://shop.example.com", path=request.path, params=request.query)
        asked = httpx.Request(request.method, url, headers=request.headers, content=request.body)
        try:
            answer = await transports[channel].handle_async_request(asked)
        except httpx.TransportError as error:
            raise ConnectionError from error
        return ShopAnswer(answer.status_code, dict(answer.headers), await answer.aread())

    shopify = ShopifyAccount(ACCESS_TOKEN, SHOPIFY_SECRET, compares=compares)
    naive = Naive(
        clock=clock,
        ids=SimIds(random.Random(2)),
        send=send,
        accounts={name: shopify if name == SHOPIFY else account(name) for name in world.shops},
        listings=world.listings,
        opening={sku: thing.opening for sku, thing in world.things.items()},
        bills=world.bills,
        buffers=world.buffers,
        poll_s=world.poll_s,
    )
    world.subscribe(dict.fromkeys(world.shops, LISTENS))
    made = Floor(loop, clock, world, network, naive, Truth(world, loop.time))
    return made


def run(work: Callable[[Floor], Awaitable[None]], world: Any, *, compares: bool = True) -> Floor:
    """Run `work` on a floor around the world that `world(clock)` makes, until it ends."""
    loop = VirtualLoop(random.Random(3))
    made = floor(loop, world(SimClock(loop).now), compares=compares)

    async def whole() -> None:
        made.start()
        await work(made)
        await made.stop()

    try:
        loop.run_until_complete(loop.create_task(whole()))
    finally:
        loop.close()
    return made


def drawn(seed: int) -> Callable[[Any], World]:
    """Return what draws the world of a seed."""
    return lambda clock: draw_world(random.Random(seed), clock)


def three_candles(clock: Any) -> World:
    """Return a world with three candles, on sale in both shops, without buffers."""
    for seed in range(1000):
        world = draw_world(random.Random(seed), clock)
        sides = {each.channel: each for each in world.listings if each.pack == 1}
        skus = {each.sku for each in world.listings}
        if len(world.listings) == len(sides) == 2 and len(skus) == 1 and not world.bills:
            (sku,) = skus
            things = {**world.things, sku: replace(world.things[sku], opening=3)}
            return replace(
                world,
                things=things,
                buffers=dict.fromkeys(world.shops, 0),
                poll_s=dict.fromkeys(world.shops, 60),
            )
    raise AssertionError("no such world")


def _sides(made: Floor) -> tuple[Listed, Listed]:
    by_channel = {each.channel: each for each in made.world.listings}
    return by_channel[SHOPIFY], by_channel[WOO]


# -- while nothing races --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("compares", [True, False], ids=["compared", "blind"])
def test_on_a_quiet_day_every_shop_shows_what_can_be_sold(seed: int, compares: bool) -> None:
    """Sales, cancels, refunds, unpaid orders and shipments, each told before the next happens:
    bills, packs, twins and buffers come out as the truth has them.
    """

    async def work(made: Floor) -> None:
        await made.clock.sleep(60)
        assert made.wrong() == []
        dice = random.Random(seed)
        orders: list[tuple[Listed, str]] = []
        for _ in range(25):
            _somebody_acts(made, dice, orders)
            await made.clock.sleep(30)
            assert made.wrong() == []
        assert made.naive.is_idle

    run(work, drawn(seed), compares=compares)


@pytest.mark.parametrize("channel", [ETSY, FAIRE, SITE])
@pytest.mark.parametrize("seed", range(5))
def test_on_a_quiet_day_the_other_platforms_show_it_too(seed: int, channel: str) -> None:
    """Beside WooCommerce: documents of several variations, what is sold out and comes back, unpaid
    receipts, cases, backorders and whatever Faire does that is not known.
    """

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        assert made.wrong() == []
        dice = random.Random(seed)
        orders: list[tuple[Listed, str]] = []
        for _ in range(25):
            _somebody_acts(made, dice, orders)
            await made.clock.sleep(660)  # Faire, and refunds on Etsy, are heard of by polls alone
            made.truth.refresh_unpaid()  # some have lapsed meanwhile
            assert made.wrong() == []
        assert made.naive.is_idle

    run(work, wide(seed, {channel, WOO}))


def wide(seed: int, channels: Collection[str] = CHANNELS) -> Callable[[Any], World]:
    """Return what draws the world of a seed on these channels."""
    return lambda clock: draw_world(random.Random(seed), clock, channels=channels)


def _somebody_acts(made: Floor, dice: random.Random, orders: list[tuple[Listed, str]]) -> None:
    roll = dice.random()
    if roll < 0.5 or not orders:
        listed = dice.choice(made.world.listings)
        payable = listed.channel in {WOO, ETSY}
        unpaid = {"paid": False} if payable and dice.random() < 0.3 else {}
        if (order := made.buy(listed, dice.choice((1, 1, 2)), **unpaid)) is not None:
            orders.append((listed, order))
        return
    listed, order = orders.pop(dice.randrange(len(orders)))
    shop = made.world.shops[listed.channel]
    line = next(each for each in shop.lines() if each.order_id == order)
    if isinstance(shop, EtsyShop) and line.status == "payment processing":
        shop.cancel(order, restock=False)
    elif isinstance(shop, FaireShop) and roll < 0.7:
        shop.accept(order)
        made.acted(listed.channel, shop.backorder(order, listed.listing, 1, until=None))
    elif roll < 0.6:
        shop.ship(order)
    elif roll < 0.75:
        shop.cancel(order, restock=True)
    elif roll < 0.9:
        if line.open:
            shop.refund(order, listed.listing, 1, restock=dice.random() < 0.5)
    elif isinstance(shop, WooShop):
        dice.choice((shop.pay, shop.fail, shop.trash, shop.delete))(order)
    elif isinstance(shop, ShopifyShop):
        dice.choice((shop.ship, shop.delete_order))(order)
    else:
        shop.ship(order)
    made.acted(listed.channel, order)


def test_polls_find_what_webhooks_did_not_tell() -> None:
    """All webhooks lost: after the next poll the shops agree."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        for shop in made.world.shops.values():
            shop.faults.webhook_drop = 1.0
        shopify, woo = _sides(made)
        made.buy(shopify)
        await made.clock.sleep(5)
        assert made.wrong() != []
        await made.clock.sleep(65)
        assert made.wrong() == []
        order = made.buy(woo, 2)
        await made.clock.sleep(70)
        made.world.shops[WOO].refund(str(order), woo.listing, 1, restock=True)
        made.acted(WOO, order)
        await made.clock.sleep(70)
        assert made.wrong() == []

    run(work, three_candles)


def test_copies_and_old_tellings_change_nothing() -> None:
    """Ten copies of a sale are one sale; the telling of a sale after its cancel stays without
    effect; a body with a wrong signature is refused, one that cannot be read too.
    """

    async def work(made: Floor) -> None:
        shopify, woo = _sides(made)
        await made.clock.sleep(60)
        for listed in (shopify, woo):
            shop = made.world.shops[listed.channel]
            order = made.buy(listed)
            await made.clock.sleep(0.0)
            assert order is not None
            await made.clock.sleep(2)
            told = kept[listed.channel]
            for _ in range(10):
                assert await made.naive.webhook(listed.channel, told) == 200
            assert made.naive.free(listed.sku) == 2
            shop.cancel(order, restock=True)
            made.acted(listed.channel, order)
            await made.clock.sleep(30)
            assert made.naive.free(listed.sku) == 3
            assert await made.naive.webhook(listed.channel, told) == 200
            assert made.naive.free(listed.sku) == 3
            forged = replace(told, body=told.body.replace(b"1", b"2"))
            assert await made.naive.webhook(listed.channel, forged) == 401
        made.naive.move({shopify.sku: 4})
        assert made.naive.free(shopify.sku) == 7

    kept: dict[str, WebhookOut] = {}
    loop = VirtualLoop(random.Random(3))
    made = floor(loop, three_candles(SimClock(loop).now))
    taken = made.network.receive

    async def receive(channel: str, out: WebhookOut) -> int | None:
        topic = out.headers.get("x-shopify-topic") or out.headers.get("x-wc-webhook-topic")
        if topic in {"orders/create", "order.updated", "order.created"}:
            kept.setdefault(channel, out)
        return await taken(channel, out)

    made.network.receive = receive

    async def whole() -> None:
        made.start()
        await work(made)
        await made.stop()

    loop.run_until_complete(loop.create_task(whole()))
    loop.close()


@pytest.mark.parametrize(
    "fault", ["rate_limit", "server_error", "html_answer", "truncated_answer", "drop_after"]
)
def test_a_push_that_fails_is_repeated(fault: str) -> None:
    """Whatever the shop does instead of answering: once it answers again, it shows the number."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(60)
        shopify, _ = _sides(made)
        for shop in made.world.shops.values():
            setattr(shop.faults, fault, 1.0)
        made.buy(shopify)
        await made.clock.sleep(300)
        for shop in made.world.shops.values():
            setattr(shop.faults, fault, 0.0)
        await made.clock.sleep(120)
        assert made.wrong() == []
        assert made.naive.is_idle

    run(work, three_candles)


def test_it_goes_on_after_a_restart() -> None:
    """Cancelled in the middle of its work and run again, it forgets nothing."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(60)
        for _ in range(3):
            made.buy(made.world.listings[0])
            await made.clock.sleep(0.3)
            running = made.tasks.pop()
            running.cancel()
            await asyncio.wait({running})
            await made.clock.sleep(30)
            made.tasks.append(spawn(made.loop, made.naive.run(), None))
        await made.clock.sleep(120)
        assert made.wrong() == []

    run(work, three_candles)


def test_a_restart_in_the_middle_of_a_reading_reads_again() -> None:
    """A deleted order is found by no poll: what its webhook asked to be read is not forgotten."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        shopify, _ = _sides(made)
        order = made.buy(shopify)
        await made.clock.sleep(30)
        made.network.lines[SHOPIFY].travel_s = (2.0, 2.0)
        shop = made.world.shops[SHOPIFY]
        assert isinstance(shop, ShopifyShop)
        assert order is not None
        shop.delete_order(order)
        made.acted(SHOPIFY, order)
        await made.clock.sleep(3)
        assert not made.naive.is_idle
        running = made.tasks.pop()
        running.cancel()
        await asyncio.wait({running})
        made.tasks.append(spawn(made.loop, made.naive.run(), None))
        await made.clock.sleep(60)
        assert made.naive.free(shopify.sku) == 3
        assert made.wrong() == []

    run(work, three_candles)


def test_orders_that_are_listed_late_are_found_by_the_overlap() -> None:
    """Each poll goes back ten minutes before the one that came to its end."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        for listed in _sides(made):
            faults = made.world.shops[listed.channel].faults
            faults.webhook_drop, faults.orders_lag_s = 1.0, 400.0
            made.buy(listed)
        await made.clock.sleep(480)
        assert made.wrong() == []

    run(work, three_candles)


@pytest.mark.parametrize(("compares", "shown"), [(True, 1), (False, 4)])
def test_a_sale_between_reading_and_setting(compares: bool, shown: int) -> None:
    """The compare protects against this one race, and only while the two requests last."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        shopify, _ = _sides(made)
        made.network.lines[SHOPIFY].travel_s = (2.0, 2.0)
        made.naive.move({shopify.sku: 1})
        await made.clock.sleep(5)
        assert made.buy(shopify, 2) is not None
        await made.clock.sleep(1.5)
        assert made.world.shows(shopify) == shown
        await made.clock.sleep(120)
        assert made.world.shows(shopify) == 2

    run(work, three_candles, compares=compares)


def test_bills_and_receipts_are_netted_anew() -> None:
    """What comes in is offered; a bill that is set is what the next offers are made of."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(60)
        shopify, woo = _sides(made)
        made.naive.move({shopify.sku: 2})
        await made.clock.sleep(30)
        assert made.world.shows(shopify) == made.world.shows(woo) == 5
        bill = naive_module.Bill(shopify.sku, 1, (("wax", 10),))
        made.naive.move({"wax": 25})
        made.naive.set_bills({shopify.sku: bill})
        await made.clock.sleep(30)
        assert made.world.shows(shopify) == made.world.shows(woo) == 7

    run(work, three_candles)


# -- as soon as something races -------------------------------------------------------------------


@pytest.mark.parametrize("compares", [True, False], ids=["compared", "blind"])
def test_a_sold_unit_is_put_back_on_sale(compares: bool) -> None:
    """Three candles. Two are sold on Shopify and its webhook is late, one on WooCommerce: the
    count is two, Shopify shows one, so it is set to two, for the candles that it has sold. The
    compare with a number just read does not help. Both are sold again.
    """

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        shopify, woo = _sides(made)
        made.world.shops[SHOPIFY].faults.webhook_delay_s = 30.0
        assert made.buy(shopify, 2) is not None
        assert made.world.shows(shopify) == 1
        assert made.buy(woo, 1) is not None
        await made.clock.sleep(6)
        assert made.naive.free(shopify.sku) == 2
        assert made.world.shows(shopify) == 2
        assert made.truth.target(shopify) == 0
        assert made.buy(shopify, 2) is not None
        await made.clock.sleep(120)
        assert made.naive.free(shopify.sku) == -2
        assert made.wrong() == []

    run(work, three_candles, compares=compares)


def test_the_hourly_push_relists_what_has_just_been_sold() -> None:
    """A sale whose webhook is lost and that no poll has found yet meets the full push."""

    async def work(made: Floor) -> None:
        shopify, woo = _sides(made)
        await made.clock.sleep(90)
        made.world.shops[WOO].faults.webhook_drop = 1.0
        # Polls come every minute, a travel time late each; the push of the hour does not wait.
        await made.clock.sleep(naive_module.FULL_PUSH_S - 90.5)
        assert made.buy(woo, 3) is not None
        assert made.world.shows(woo) == 0
        await made.clock.sleep(1.5)
        assert made.world.shows(woo) == 3
        assert made.truth.target(woo) == 0
        assert shopify.sku == woo.sku

    def rarely_polled(clock: Any) -> World:
        world = three_candles(clock)
        return replace(world, poll_s=dict.fromkeys(world.shops, 3000))

    run(work, rarely_polled)


@pytest.mark.parametrize("channel", [ETSY, SITE])
def test_a_sold_unit_is_put_back_on_sale_elsewhere_too(channel: str) -> None:
    """Three are there. Two are sold on Etsy, or on a shop of one's own, whose webhook is late, and
    one on WooCommerce: the count is two, and two is what is set.
    """

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        there, woo = made.world.listings
        made.world.shops[channel].faults.webhook_delay_s = 30.0
        assert made.buy(there, 2) is not None
        assert made.buy(woo, 1) is not None
        await made.clock.sleep(8)
        assert made.world.shows(there) == 2
        assert made.truth.target(there) == 0
        await made.clock.sleep(120)
        assert made.wrong() == []

    run(work, three_on(channel))


def test_what_was_ordered_on_faire_unheard_is_not_sold_again() -> None:
    """Its number is set by the orders that are known, which is in the tool's favour."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        there, woo = made.world.listings
        assert made.buy(there, 2) is not None
        assert made.buy(woo, 1) is not None
        await made.clock.sleep(8)
        assert made.world.shops[FAIRE].quantity(there.listing) == 0
        await made.clock.sleep(120)
        assert made.wrong() == []

    run(work, three_on(FAIRE))


def test_an_etsy_listing_is_taken_off_sale_and_put_back_here_alone() -> None:
    """With nothing left it is off sale; what comes in puts it back. One that its owner took off
    sale stays so.
    """

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        there, woo = made.world.listings
        shop = made.world.shops[ETSY]
        assert isinstance(shop, EtsyShop)
        number = int(there.listing)
        made.buy(woo, 3)
        await made.clock.sleep(30)
        assert shop.listing(number).state == "inactive"
        made.naive.move({there.sku: 2})
        await made.clock.sleep(30)
        assert (shop.listing(number).state, made.world.shows(there)) == ("active", 2)
        shop.sets_state(number, "inactive")
        made.naive.move({there.sku: 1})
        await made.clock.sleep(30)
        assert shop.listing(number).state == "inactive"

    run(work, three_on(ETSY))


def test_access_to_etsy_that_was_lost_waits_for_its_owner() -> None:
    """The answer with the new tokens gets lost: nothing can be read until access is granted."""

    async def work(made: Floor) -> None:
        await made.clock.sleep(90)
        there, woo = made.world.listings
        shop = made.world.shops[ETSY]
        assert isinstance(shop, EtsyShop)
        shop.loses_next_grant = True
        shop.access.expire()
        made.buy(woo)
        await made.clock.sleep(120)
        assert made.naive.needs_login() == [ETSY]
        assert made.world.shows(there) == 3
        made.naive.grant(ETSY, *shop.grant())
        await made.clock.sleep(90)
        assert (made.naive.needs_login(), made.world.shows(there)) == ([], 2)

    run(work, three_on(ETSY))


def three_on(channel: str) -> Callable[[Any], World]:
    """Return what makes a world with three candles, on sale on a channel and on WooCommerce."""
    front = Shopfront(
        (Thing("candle", "product", "piece", 3),),
        (),
        (Offered(channel, "candle", document="e 1"), Offered(WOO, "candle")),
    )

    def world(clock: Any) -> World:
        made = front.world(random.Random(1), clock)
        return replace(
            made,
            things={"candle": Thing("candle", "product", "piece", 3)},
            poll_s=dict.fromkeys(made.shops, 60),
            etsy=EtsyTerms(),
        )

    return world


# -- the shapes -----------------------------------------------------------------------------------


DOCUMENTS = (naive_api._ORDERS, naive_api._ORDER, naive_api._LEVELS, naive_api._SET)


@needs_schema
@pytest.mark.parametrize("document", DOCUMENTS)
def test_its_documents_are_valid(document: str) -> None:
    """What it sends to Shopify is what the schema allows."""
    from stockpush.sim.shops.shopify.contract import checked  # needs graphql-core

    checked(SCHEMA, document)


def test_pings_and_other_topics_are_answered() -> None:
    """A ping that nobody signs, and what is not about orders, is 200 and does nothing."""

    async def work(made: Floor) -> None:
        ping = WebhookOut(1, LISTENS, {"content-type": "x"}, b"webhook_id=1")
        assert await made.naive.webhook(WOO, ping) == 200
        body = json.dumps({"id": 30}).encode()
        product = WebhookOut(
            2,
            LISTENS,
            {
                "x-wc-webhook-topic": "product.updated",
                "x-wc-webhook-signature": _signed(body),
            },
            body,
        )
        assert await made.naive.webhook(WOO, product) == 200
        broken = replace(
            product,
            body=b"{",
            headers={
                "x-wc-webhook-topic": "order.updated",
                "x-wc-webhook-signature": _signed(b"{"),
            },
        )
        assert await made.naive.webhook(WOO, broken) == 400

    made = run(work, three_candles)
    assert isinstance(made.world.shops[SHOPIFY], ShopifyShop)


def _signed(body: bytes) -> str:
    return sign(WOO_SECRET, body)
