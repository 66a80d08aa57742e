"""A sale on one channel shows on the other: the daemon's main job, end to end.

Real HTTP on loopback, real signatures, a real database; only the shops are emulated.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from stockpush import logs
from stockpush.connectors.base import Api, PushLine
from stockpush.connectors.shopify.connector import ShopifyConnector
from stockpush.model import MovementKind, ReservationState
from stockpush.sim.candle_shop import SHOPIFY, WOO
from tests.whole.harness import CLOCK, POLL_S, Floor, OnTheWay, free_port


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """An empty floor."""
    return Floor(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, floor: Floor) -> Floor:
    """An empty floor on each of the two databases."""
    if request.param == "postgres":
        floor.database = request.getfixturevalue("postgres_url")
    return floor


async def test_ten_in_stock_three_sold_every_other_listing_shows_seven(either: Floor) -> None:
    """Three sold on Shopify: its own number fell by itself, the others are told."""
    floor = either
    floor.item("candle", 10)
    lavender = floor.on_shopify("candle", 10)
    floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    async with floor.open(), floor.running():
        await floor.quiet()
        assert floor.writes() == 0, "everything showed the right number already"
        floor.shopify.checkout([(lavender, 3)])
        await floor.until_shows(7, 7, 7)
        await floor.quiet()
        assert len(floor.shopify.faults.writes_seen) == 1, "one call, to the other listing alone"
        assert len(floor.woo.faults.writes_seen) == 1


async def test_three_sold_on_woocommerce_show_on_shopify(floor: Floor) -> None:
    """The same the other way round."""
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    soap = floor.on_woo("candle", 10)
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.woo.checkout([(soap, 3)])
        await floor.until_shows(7, 7)
        await floor.quiet()
        assert floor.woo.faults.writes_seen == []


async def test_wax_for_forty_candles_appears_everywhere_in_one_fan_out(floor: Floor) -> None:
    """Nothing is finished: four kilos arrive, and forty candles can be promised on every listing,
    by one call to Shopify for its two and one to WooCommerce.
    """
    floor.item("candle", 0)
    floor.item("wax", 0, unit="g")
    floor.bill("candle", 1, wax=100)
    floor.on_shopify("candle", 0)
    floor.on_shopify("candle", 0)
    floor.on_woo("candle", 0)
    async with floor.open(), floor.running():
        await floor.quiet()
        assert floor.writes() == 0
        await floor.moves("wax", 4000, MovementKind.RECEIPT)
        await floor.until_shows(40, 40, 40)
        await floor.quiet()
        assert len(floor.shopify.faults.writes_seen) == 1
        assert len(floor.woo.faults.writes_seen) == 1


async def test_a_build_of_forty_appears_everywhere_in_one_fan_out(floor: Floor) -> None:
    """The maker built forty before logging the wax: they are there, whatever the books say."""
    floor.item("candle", 0)
    floor.item("wax", 0, unit="g")
    floor.bill("candle", 1, wax=100)
    floor.on_shopify("candle", 0)
    floor.on_shopify("candle", 0)
    floor.on_woo("candle", 0)
    async with floor.open(), floor.running():
        await floor.quiet()
        await floor.builds("candle", 40)
        await floor.until_shows(40, 40, 40)
        await floor.quiet()
        assert len(floor.shopify.faults.writes_seen) == 1
        assert len(floor.woo.faults.writes_seen) == 1
        # The receipt that follows pays the wax back and makes no candle: nothing is pushed.
        await floor.moves("wax", 4000, MovementKind.RECEIPT)
        await floor.quiet()
        assert tuple(floor.shows().values()) == (40, 40, 40)
        assert floor.writes() == 2


async def test_a_sale_of_a_candle_lowers_the_soap_that_shares_its_beeswax(floor: Floor) -> None:
    """No finished candle is left: exactly its wax is gone, and no other listing is written."""
    floor.item("candle", 0)
    floor.item("soap", 0)
    floor.item("mug", 5)
    floor.item("wax", 1000, unit="g")
    floor.bill("candle", 1, wax=100)
    floor.bill("soap", 1, wax=50)
    candle = floor.on_shopify("candle", 10)
    floor.on_shopify("mug", 5)
    floor.on_woo("soap", 20)
    floor.on_woo("mug", 5, product_id=11)
    async with floor.open(), floor.running():
        await floor.quiet()
        assert floor.writes() == 0
        floor.shopify.checkout([(candle, 3)])
        await floor.until_shows(7, 5, 14, 5)
        await floor.quiet()
        assert floor.shopify.faults.writes_seen == []
        assert len(floor.woo.faults.writes_seen) == 1


async def test_with_finished_candles_left_a_sale_writes_to_no_soap(floor: Floor) -> None:
    """The candle comes off the shelf; its wax was used when it was made."""
    floor.item("candle", 5)
    floor.item("soap", 0)
    floor.item("wax", 1000, unit="g")
    floor.bill("candle", 1, wax=100)
    floor.bill("soap", 1, wax=50)
    candle = floor.on_shopify("candle", 15)
    floor.on_woo("soap", 20)
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.shopify.checkout([(candle, 3)])
        await floor.until_shows(12, 20)
        await floor.quiet()
        assert floor.writes() == 0


async def test_all_webhooks_dropped_and_the_poll_repairs_it(floor: Floor) -> None:
    """Nothing is ever delivered; a poll finds both sales."""
    floor.item("candle", 10)
    lavender = floor.on_shopify("candle", 10)
    simple = floor.on_woo("candle", 10)
    floor.shopify.faults.webhook_drop = floor.woo.faults.webhook_drop = 1.0
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.quiet()
        floor.shopify.checkout([(lavender, 3)])
        floor.woo.checkout([(simple, 1)])
        await floor.until_shows(6, 6)


async def test_duplicated_and_reordered_deliveries_count_once(floor: Floor) -> None:
    """Every delivery comes several times, in any order."""
    floor.item("candle", 50)
    lavender = floor.on_shopify("candle", 50)
    simple = floor.on_woo("candle", 50)
    floor.shopify.faults.webhook_duplicate = floor.woo.faults.webhook_duplicate = 0.6
    floor.shopify.faults.webhook_reorder = 1.0
    async with floor.open(), floor.running():
        await floor.quiet()
        for _ in range(4):
            floor.shopify.checkout([(lavender, 2)])
            floor.woo.checkout([(simple, 1)])
        await floor.until_shows(38, 38)
        await floor.quiet()
        assert await floor.atp("candle") == 38


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_cancel_that_overtakes_its_order_leaves_a_tombstone(
    floor: Floor, channel: str
) -> None:
    """What told of the order is still on its way when the cancel is in: it stays cancelled."""
    floor.item("candle", 10)
    listings = {SHOPIFY: floor.on_shopify("candle", 10), WOO: floor.on_woo("candle", 10)}
    shop = floor.shop(channel)
    async with floor.open(), floor.running():
        await floor.quiet()
        late = OnTheWay(shop)
        order = shop.checkout([(listings[channel], 4)])
        await floor.until(lambda: late.kept != [], "the shop has sent what tells of the order")
        late.keeping = False
        shop.clock = lambda: CLOCK.now() + timedelta(seconds=2)
        shop.cancel(order, restock=True)
        await floor.until(lambda: shop.next_webhook_at() is None, "the cancel was sent")
        await floor.quiet()
        (tombstone,) = await floor.reservations(channel, order)
        assert tombstone.state is ReservationState.RELEASED
        assert (tombstone.open, await floor.atp("candle")) == (0, 10)
        bodies = {each.body for each in late.kept}
        late.let_in()
        await floor.until(lambda: bodies <= late.delivered, "and now the order itself")
        await floor.quiet()
        assert await floor.reservations(channel, order) == [tombstone]
        assert await floor.atp("candle") == 10
        assert tuple(floor.shows().values()) == (10, 10)
        assert floor.writes() == 0


async def test_edits_and_refunds(floor: Floor) -> None:
    """The order's newest version stands, whatever arrives first."""
    floor.item("candle", 20)
    lavender = floor.on_shopify("candle", 20)
    simple = floor.on_woo("candle", 20)
    floor.shopify.faults.webhook_reorder = 1.0
    async with floor.open(), floor.running():
        await floor.quiet()
        edited = floor.shopify.checkout([(lavender, 2)])
        floor.shopify.edit(edited, lavender, 5)
        await floor.until_shows(15, 15)
        floor.shopify.refund(edited, lavender, 1, restock=True)
        await floor.until_shows(16, 16)
        floor.shopify.refund(edited, lavender, 1, restock=False)
        await floor.quiet()
        assert tuple(floor.shows().values()) == (16, 16)
        bought = floor.woo.checkout([(simple, 3)])
        await floor.until_shows(13, 13)
        floor.woo.refund(bought, simple, 1, restock=True)
        await floor.until_shows(14, 14)
        floor.woo.refund(bought, simple, 1, restock=False)
        floor.woo.ship(bought)
        await floor.quiet()
        assert tuple(floor.shows().values()) == (14, 14)


async def test_a_pack_of_six_and_a_variation_whose_stock_is_its_parents(floor: Floor) -> None:
    """One item as a single, in sixes, and as a variation that shows its parent's number."""
    floor.item("soap", 20)
    floor.on_shopify("soap", 20)
    six = floor.on_shopify("soap", 3, pack=6)
    variation = floor.on_woo_variation("soap", 20, parent=30, variation=31)
    async with floor.open(), floor.running():
        await floor.quiet()
        assert floor.writes() == 0
        floor.shopify.checkout([(six, 1)])
        await floor.until_shows(14, 2, 14)
        floor.woo.checkout([(variation, 3)])
        await floor.until_shows(11, 1, 11)


async def unseen_sale(floor: Floor) -> None:
    """One unit is sold on Shopify untold; then a receipt makes us push there."""
    floor.item("candle", 10)
    lavender = floor.on_shopify("candle", 10)
    floor.shopify.faults.webhook_drop = 1.0
    async with floor.open(), floor.running():
        await floor.quiet()
        before = floor.writes()
        floor.shopify.checkout([(lavender, 4)])
        await floor.moves("candle", 1, MovementKind.RECEIPT)
        highest = 0

        def repaired() -> bool:
            nonlocal highest
            highest = max(highest, *floor.shows().values())
            return floor.writes() >= before + 2

        await floor.until(repaired, "the lost compare leads to a second write")
        assert highest <= 7, f"sold stock was put back: the shop showed {highest}"
        await floor.until_shows(7)


async def test_a_sale_the_daemon_has_not_seen_is_never_put_back(either: Floor) -> None:
    """The compare is lost against what we expected; the units stay sold."""
    floor = either
    await unseen_sale(floor)


async def test_that_test_turns_red_with_a_fresh_read(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare against a number just read, as other tools do, and the sale is put back."""
    push = ShopifyConnector.push

    async def fresh_read_first(
        self: ShopifyConnector, api: Api, batch: list[PushLine], *, call_id: str
    ) -> object:
        answer = await self.observe(api, [line.field for line in batch])
        now = {reading.field: reading.quantity for reading in answer.readings}
        fresh = [PushLine(line.field, now[line.field], line.target) for line in batch]
        return await push(self, api, fresh, call_id=call_id)

    monkeypatch.setattr(ShopifyConnector, "push", fresh_read_first)
    monkeypatch.setattr("tests.whole.harness.WAIT_S", 3.0)
    with pytest.raises(AssertionError, match=r"second write|put back"):
        await unseen_sale(floor)
    assert max(floor.shows().values()) == 11, "eleven shown where seven are left"


async def test_an_echo_of_our_own_write_causes_none(floor: Floor) -> None:
    """Both shops tell us of the numbers we have just set: nothing follows."""
    floor.item("candle", 10)
    floor.on_shopify("candle", 3)
    floor.on_woo("candle", 4)
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.until_shows(10, 10)
        await floor.quiet()
        writes = floor.writes()
        assert writes == 2
        await polls_pass(floor)
        await floor.quiet()
        assert floor.writes() == writes


async def test_after_a_restart_nothing_is_written_when_nothing_changed(either: Floor) -> None:
    """What was pushed is known; the restarted daemon reads and is content."""
    floor = either
    floor.item("candle", 10)
    lavender = floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    async with floor.open():
        async with floor.running():
            await floor.quiet()
            floor.shopify.checkout([(lavender, 3)])
            await floor.until_shows(7, 7)
            await floor.quiet()
            writes = floor.writes()
        floor.webhooks = False
        async with floor.running():
            await floor.until(
                lambda: all(channel.health == "ok" for channel in floor.daemon.channels.values())
            )
            await floor.quiet()
            assert floor.writes() == writes


async def test_a_sale_made_while_the_daemon_was_down_is_found_at_the_start(floor: Floor) -> None:
    """Shopify retries its webhook; WooCommerce does not, and the first poll finds it."""
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    simple = floor.on_woo("candle", 10)
    async with floor.open():
        async with floor.running():
            await floor.quiet()
        floor.webhooks = False
        floor.woo.checkout([(simple, 4)])
        async with floor.running():
            await floor.until_shows(6, 6)


async def test_a_push_whose_answer_was_lost_is_settled_and_written_once(floor: Floor) -> None:
    """Shopify applied it and dropped the connection: the same key and variables learn so."""
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    floor.shopify.faults.only_writes = True
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.learns_within(0.2)
        floor.shopify.faults.drop_after_next = 1
        await floor.moves("candle", -3, MovementKind.ADJUSTMENT)
        await floor.until_shows(7)
        await floor.quiet()
        row = await floor.field(SHOPIFY, str(next(iter(floor.shopify.inventory.items))))
        assert (row.expected, row.hold, row.surplus) == (7, 0, 0)


async def test_a_channel_that_is_down_does_not_hold_up_the_other(floor: Floor) -> None:
    """WooCommerce drops every connection for a while; Shopify follows at once, Woo later."""
    floor.item("candle", 10)
    lavender = floor.on_shopify("candle", 10)
    floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.learns_within(0.2)
        floor.woo.faults.drop_before = 1.0
        floor.shopify.checkout([(lavender, 3)])
        await floor.until(lambda: tuple(floor.shows().values())[:2] == (7, 7))
        floor.woo.faults.drop_before = 0.0
        await floor.until_shows(7, 7, 7)


async def test_shadow_is_silent(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel in shadow mode is read and computed, and never written to: no number, and no
    webhook either, though shops could be told where.
    """
    monkeypatch.setattr("stockpush.engine.watchdog.LOOK_S", 0.05)
    monkeypatch.setattr("stockpush.engine.watchdog.HOOKS_EVERY_S", 0.05)
    lines: list[logs.Line] = []
    logs.configure(json=True, lines=lines.append)
    floor.webhooks, floor.listen_port = False, free_port()
    floor.item("candle", 10)
    lavender = floor.on_shopify("candle", 3)
    floor.on_woo("candle", 4)
    async with floor.open(mode="shadow", poll_s=POLL_S):
        floor.has_public_url()
        async with floor.running():
            await floor.quiet()
            floor.shopify.checkout([(lavender, 1)])
            await floor.until_told(lambda: _atp_is(floor, 9))
            missing = [line["channel"] for line in lines if line["event"] == "webhooks.missing"]
            assert sorted(missing) == [SHOPIFY, WOO]
            assert floor.writes() == 0
            assert tuple(floor.shows().values()) == (2, 4)
            assert floor.shopify.outbox.subscriptions == []
            assert floor.woo._outbox.webhooks == {}


async def _atp_is(floor: Floor, units: int) -> bool:
    return await floor.atp("candle") == units


async def polls_pass(floor: Floor) -> None:
    """Return once every channel has been polled from now on."""
    begun = CLOCK.now()

    async def have_passed() -> bool:
        channels = (await floor.parts.view()).rows.channels
        polled = [channels[name].polled_begun_at for name in floor.parts.connectors]
        return all(at is not None and at > begun for at in polled)

    await floor.until_told(have_passed)


async def test_an_order_thrown_away_unheard_gives_its_units_back(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It vanishes from polls and no webhook tells of it: open orders are read by their ids."""
    monkeypatch.setattr("stockpush.engine.reconcile.RECHECK_POLLS", 1)
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    simple = floor.on_woo("candle", 10)
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.quiet()
        order = floor.woo.checkout([(simple, 3)])
        await floor.until_shows(7, 7)
        floor.woo.faults.webhook_drop = 1.0
        floor.woo.trash(order)
        await floor.until_shows(10, 10)


async def test_a_write_answered_with_a_fault_is_tried_again_soon(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop itself answered 500: nothing is on its way, so nobody waits for the deadline."""
    fault = (500, {"content-type": "text/html"}, b"<h1>critical error</h1>")
    monkeypatch.setattr("stockpush.sim.shops.woocommerce.shop._SERVER_ERRORS", (fault,))
    floor.item("candle", 10)
    floor.on_woo("candle", 10)
    floor.woo.faults.only_writes = True
    async with floor.open(), floor.running():
        await floor.quiet()
        floor.woo.faults.server_error_next = 1
        await floor.moves("candle", -3, MovementKind.ADJUSTMENT)
        await floor.until_shows(7)
