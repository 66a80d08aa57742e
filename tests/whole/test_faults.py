"""What goes wrong in a maker's week, and what the shops show afterwards.

Real HTTP on loopback, real signatures, a real database; only the shops are emulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from stockpush import logs
from stockpush.messages import Event
from stockpush.model import Health, MovementKind
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.whole.harness import CLOCK, POLL_S, Floor, free_port

OTHER = {SHOPIFY: WOO, WOO: SHOPIFY}


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """A floor with ten candles on both shops, which show them."""
    floor = Floor(tmp_path)
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    floor.woo.retry_after_s = 1
    return floor


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Every event that is logged, in order."""
    logged: list[Event] = []
    monkeypatch.setattr(logs, "emit", logged.append)
    return logged


def listing(floor: Floor, channel: str) -> str:
    """The shop's own name of the first listing on a channel."""
    return next(name for where, name in floor.watched if where == channel)


def shown(floor: Floor, channel: str) -> int:
    """What the first listing on a channel shows."""
    return floor.shows()[f"{channel} {listing(floor, channel)}"]


def field_key(floor: Floor, channel: str) -> str:
    """The field of the first listing on a channel."""
    name = listing(floor, channel)
    return str(floor.shopify.variants[int(name)].item_id) if channel == SHOPIFY else name


def outages(events: list[Event], channel: str) -> list[str]:
    """The lines about a channel's health, in order."""
    return [
        event.name
        for event in events
        if event.name in {"channel.down", "channel.stopped", "channel.up"}
        and event.fields["channel"] == channel
    ]


async def attempts(floor: Floor, channel: str) -> list[int]:
    """How often each field that waits to be pushed has been tried in vain."""
    async with asyncio.timeout(5):
        while True:
            later = CLOCK.now() + timedelta(hours=1)
            rows = await floor.parts.store.dirty(channel, at=later, limit=100)
            if rows:
                return [row.attempts for row in rows]
            await CLOCK.sleep(0.01)


# -- a shop that cannot or will not answer -------------------------------------------------------


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_shop_that_says_wait_is_waited_for(
    floor: Floor, events: list[Event], channel: str
) -> None:
    """429 twice: no failed attempt, one line down and one up, then the number is there."""
    floor.shopify.door.throttled_status = 429
    async with floor.open(), floor.running():
        await floor.quiet()
        faults = floor.shop(channel).faults
        faults.rate_limit_next = 2
        floor.shop(OTHER[channel]).checkout([(listing(floor, OTHER[channel]), 3)])
        await floor.until(lambda: faults.rate_limit_next == 1, "the shop was asked")
        assert await attempts(floor, channel) == [0]
        await floor.until_shows(7, 7)
        await floor.until(lambda: floor.daemon.channels[channel].health is Health.OK)
        assert outages(events, channel) == ["channel.down", "channel.up"]
        assert outages(events, OTHER[channel]) == []


@pytest.mark.parametrize(
    ("channel", "fault"),
    [(SHOPIFY, "server_error_next"), (SHOPIFY, "drop_after_next"), (WOO, "server_error_next")],
)
async def test_writes_that_fail_for_a_while_take_effect_once(
    floor: Floor, channel: str, fault: str
) -> None:
    """5xx before anything was done, or a broken line after it: the number is right in the end."""
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.learns_within(0.1)
        faults = floor.shop(channel).faults
        faults.only_writes = True
        setattr(faults, fault, 2)
        await floor.moves("candle", -3, MovementKind.ADJUSTMENT)
        # An outage does not keep shoppers away: one buys where the write was lost.
        await floor.until(lambda: getattr(faults, fault) < 2, "the shop was written to")
        floor.shop(channel).checkout([(listing(floor, channel), 1)])
        await floor.until_shows(6, 6)
        await floor.quiet()
        assert tuple(floor.shows().values()) == (6, 6)
        assert await floor.atp("candle") == 6
        for each in (SHOPIFY, WOO):
            row = await floor.field(each, field_key(floor, each))
            assert (row.expected, row.hold, row.surplus) == (6, 0, 0)


async def test_a_lowering_on_woocommerce_that_got_no_answer_is_taken_for_a_sale(
    floor: Floor,
) -> None:
    """R6: without a compare our own three fewer look like three sold; until that is let go of,
    nobody is promised them.
    """
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.learns_within(0.1)
        floor.woo.faults.only_writes = True
        floor.woo.faults.drop_after_next = 1
        await floor.moves("candle", -3, MovementKind.ADJUSTMENT)
        await floor.until_shows(4, 4)
        row = await floor.field(WOO, field_key(floor, WOO))
        assert row.hold == 3


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_revoked_credentials_stop_the_pushes_and_not_the_sales(
    floor: Floor, events: list[Event], channel: str
) -> None:
    """401: nothing more is written there, its webhooks still count; a new grant sets it going."""
    other = OTHER[channel]
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.quiet()
        floor.shop(channel).faults.unauthorized = True
        floor.shop(other).checkout([(listing(floor, other), 3)])
        live = floor.daemon.channels[channel]
        await floor.until(lambda: live.health is Health.NEEDS_LOGIN, "the channel has stopped")
        floor.shop(channel).checkout([(listing(floor, channel), 2)])
        await floor.until(lambda: shown(floor, other) == 5, "its sale shows elsewhere")
        assert shown(floor, channel) == 8, "ten less its own two: nothing was written"
        refused = len(floor.shop(channel).faults.writes_seen)
        stored = (await floor.parts.view()).rows.channels[channel]
        assert stored.health is Health.NEEDS_LOGIN
        assert stored.health_reason
        await floor.moves("candle", -1, MovementKind.ADJUSTMENT)
        await floor.until(lambda: shown(floor, other) == 4)
        assert len(floor.shop(channel).faults.writes_seen) == refused, "not one more try"
        floor.shop(channel).faults.unauthorized = False
        await floor.until_shows(4, 4)
        assert outages(events, channel) == ["channel.stopped", "channel.up"]


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_listing_deleted_on_the_shop_is_parked_and_the_others_go_on(
    floor: Floor, channel: str
) -> None:
    """It is gone: a person is told why, and no other listing of the channel waits for that."""
    gone = listing(floor, channel)
    if channel == SHOPIFY:
        floor.on_shopify("candle", 10)
    else:
        floor.on_woo("candle", 10, product_id=11)
    async with floor.open(), floor.running():
        await floor.quiet()
        if channel == SHOPIFY:
            floor.shopify.remove_variant(gone)
        else:
            floor.woo.remove_product(gone)
        floor.watched.remove((channel, gone))
        await floor.moves("candle", -3, MovementKind.ADJUSTMENT)
        await floor.until_shows(7, 7)

        await floor.quiet()
        rows = (await floor.parts.store.catalogue()).listings
        reasons = {row.key.ref: row.parked_reason for row in rows if row.parked_reason}
        assert len(reasons) == 1, reasons
        written = floor.writes()
        await floor.moves("candle", -1, MovementKind.ADJUSTMENT)
        await floor.until_shows(6, 6)
        assert floor.writes() == written + 2, "the parked one is left alone"


async def test_the_creation_ping_is_answered_exactly_200(floor: Floor) -> None:
    """WooCommerce takes any other answer to its unsigned ping, a 204 too, for a failure."""
    async with floor.open(), floor.running():
        await floor.until(lambda: all(hook.ping_status is not None for hook in floor.pings))
        assert [hook.ping_status for hook in floor.pings] == [200] * 4


# -- shops that count in their own way -----------------------------------------------------------


async def test_an_unpaid_order_is_kept_back_elsewhere_and_not_taken_twice_here(
    floor: Floor,
) -> None:
    """Woo holds its units invisibly: its number stays until the payment, the other one falls."""
    async with floor.open(), floor.running():
        await floor.quiet()
        order = floor.woo.checkout([(listing(floor, WOO), 3)], paid=False)
        await floor.until_shows(7, 10)
        assert floor.woo.quantity(listing(floor, WOO)) == 7, "the shop sells no more than is there"
        floor.woo.pay(order)
        await floor.until_shows(7, 7)
        await floor.quiet()
        assert floor.woo.faults.writes_seen == []


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
async def test_an_unpaid_order_that_ends_gives_its_units_back(floor: Floor, ending: str) -> None:
    """Cancelled by the merchant or by the shop's own clock: everybody may sell them again."""
    async with floor.open(), floor.running():
        await floor.quiet()
        order = floor.woo.checkout([(listing(floor, WOO), 3)], paid=False)
        await floor.until_shows(7, 10)
        if ending == "cancelled":
            floor.woo.cancel(order)
        else:
            floor.woo.clock = lambda: CLOCK.now() + timedelta(minutes=61)
        await floor.until_shows(10, 10)
        assert floor.woo.faults.writes_seen == []


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_number_raised_by_hand_is_written_back_and_nobody_else_hears_of_it(
    floor: Floor, channel: str
) -> None:
    """R5: what a merchant types into a shop is no stock."""
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.shop(channel).merchant_sets(listing(floor, channel), 15)
        await floor.until(lambda: floor.shop(channel).faults.writes_seen != [], "written back")
        await floor.until_shows(10, 10)
        await floor.quiet()
        assert floor.shop(OTHER[channel]).faults.writes_seen == []
        assert await floor.atp("candle") == 10


@pytest.mark.parametrize("seen", [True, False])
async def test_a_sale_erased_by_an_admins_form_is_taken_off_again(
    floor: Floor, *, seen: bool
) -> None:
    """The form was opened before the sale and saved after it (WooCommerce #16780)."""
    simple = listing(floor, WOO)
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.quiet()
        save = floor.woo.open_editor(simple)
        floor.woo.faults.webhook_drop = 0.0 if seen else 1.0
        floor.woo.checkout([(simple, 3)])
        if seen:
            await floor.until_shows(7, 7)
        save()
        assert floor.woo.stock_quantity(simple) == 10
        # Unseen, the poll finds the sale and has the number read, which shows the erasure.
        await floor.until(lambda: floor.woo.faults.writes_seen != [], "the number is mended")
        await floor.until_shows(7, 7)


# -- sales that nobody told us of ----------------------------------------------------------------


def on_request(floor: Floor, happens: Callable[[ShopRequest], None]) -> list[int]:
    """Call `happens` before WooCommerce answers; return its number after each answer, growing."""
    answer = floor.woo.handle
    numbers: list[int] = []

    def handled(request: ShopRequest) -> ShopAnswer:
        happens(request)
        given = answer(request)
        numbers.append(floor.woo.stock_quantity(listing(floor, WOO)))
        return given

    floor.woo.handle = handled  # type: ignore[method-assign]  # to stand at the shop's door
    return numbers


@pytest.mark.parametrize("when", ["before the orders are read", "after the orders were read"])
async def test_a_sale_on_woocommerce_that_we_have_not_seen_is_never_put_back(
    floor: Floor, when: str
) -> None:
    """Orders are read, then the number, before it is written: either finds the sale."""
    simple = listing(floor, WOO)
    floor.woo.faults.webhook_drop = 1.0
    async with floor.open(), floor.running():
        await floor.quiet()
        pending = [simple]

        def shopper(request: ShopRequest) -> None:
            if "/products" in request.path and pending:
                floor.woo.checkout([(pending.pop(), 4)])

        numbers = on_request(floor, shopper if when.startswith("after") else lambda _: None)
        if when.startswith("before"):
            floor.woo.checkout([(pending.pop(), 4)])
        await floor.moves("candle", 1, MovementKind.RECEIPT)
        await floor.until(lambda: floor.woo.faults.writes_seen != [], "the receipt was pushed")
        await floor.until_shows(7, 7)
        assert pending == []
        after_sale = numbers[numbers.index(6) :]
        assert max(after_sale) == 7, f"sold stock was put back: {numbers}"


async def test_two_subscriptions_to_one_topic_have_one_effect(floor: Floor) -> None:
    """Shopify sends one delivery for each: same body, other ids."""
    async with floor.open(), floor.running():
        floor.shopify.subscribe(floor.shopify.outbox.subscriptions[0].url)
        await floor.quiet()
        order = floor.shopify.checkout([(listing(floor, SHOPIFY), 3)])
        await floor.until_shows(7, 7)
        await floor.quiet()
        assert len(floor.woo.faults.writes_seen) == 1
        assert [row.open for row in await floor.reservations(SHOPIFY, order)] == [3]


# -- restarts and size ---------------------------------------------------------------------------


async def test_restarts_in_the_middle_of_sales_lose_and_double_nothing(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sales just before each end and while nobody listens; Shopify's deliveries come again late,
    WooCommerce's never.
    """
    monkeypatch.setattr("stockpush.sim.shops.shopify.outbox.RETRY_GAPS_S", (0.5,) * 7)
    floor.listen_port = free_port()
    left = 10
    async with floor.open():
        for _ in range(3):
            async with floor.running():
                floor.webhooks = False  # the address stays, so do the subscriptions
                await floor.until_shows(left, left)
                floor.shopify.checkout([(listing(floor, SHOPIFY), 1)])
                floor.woo.checkout([(listing(floor, WOO), 1)])
            floor.shopify.checkout([(listing(floor, SHOPIFY), 1)])
            await floor.until(lambda: _came_in_vain(floor), "deliveries to a closed door")
            left -= 3
        async with floor.running():
            await floor.until_shows(left, left)
            await floor.quiet()
            assert tuple(floor.shows().values()) == (left, left) == (1, 1)
            assert await floor.atp("candle") == 1


def _came_in_vain(floor: Floor) -> bool:
    """Whether a delivery of Shopify has failed and waits to come again."""
    return any(each.out.attempt > 1 for each in floor.shopify.outbox.queued)


@pytest.mark.parametrize("told", ["by a webhook", "by a poll"])
async def test_an_order_of_sixty_lines_takes_every_line(tmp_path: Path, told: str) -> None:
    """All of one order, whichever way it comes: sixty listings of the other shop fall by one."""
    floor = Floor(tmp_path)
    bought = []
    for number in range(60):
        sku = f"candle-{number:02}"
        floor.item(sku, 5)
        bought.append(floor.on_shopify(sku, 5))
        floor.on_woo(sku, 5, product_id=100 + number)
    if told == "by a poll":
        floor.shopify.faults.webhook_drop = 1.0
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.quiet()
        order = floor.shopify.checkout([(variant, 1) for variant in bought])
        await floor.until_shows(*[4] * 120)
        assert len(await floor.reservations(SHOPIFY, order)) == 60
        assert len(floor.woo.faults.writes_seen) <= 2, "batches, not one call for each"
