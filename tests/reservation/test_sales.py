"""What a sale, its edits, cancels and refunds do to demand, the shelf and the channel's field."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.messages import OrderHint, ReceiveDelivery, Replayed
from stockpush.model import (
    Delivery,
    DeliveryState,
    MovementKind,
    PushOutcomeKind,
    ReservationState,
)
from tests.reservation.world import World, line


def shop() -> World:
    """Ten candles, on one Shopify and one WooCommerce listing, both showing 10."""
    world = World().stock(candle=10)
    world.list("shopify", "a", "candle", shows=10).list("woo", "b", "candle", shows=10)
    assert world.dirty == set()
    return world


def test_a_sale_lowers_every_other_listing_and_writes_nothing_where_it_was_sold() -> None:
    """The channel that sold has taken the units off itself: E and target move alike there."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3)))
    assert world.atp("candle") == 7
    assert world.expected() == {"shopify/a": 7, "woo/b": 10}
    assert world.dirty == {"woo/b"}
    assert world.syncs() == {("woo", "b"): 7}
    assert world.dirty == set()


def test_a_sale_that_the_channel_has_not_deducted_is_shown_on_top() -> None:
    """A pending WooCommerce order is demand, and stays on the channel's own number until paid."""
    world = shop()
    world.hears(world.order("woo", "1", line("b", 3, deducted=0)))
    assert world.atp("candle") == 7
    assert world.dirty == {"shopify/a"}
    world.hears(world.order("woo", "1", line("b", 3), version=2))
    assert world.expected()["woo/b"] == 7
    assert world.dirty == {"shopify/a"}


def test_a_pack_sells_that_many_items() -> None:
    """One pack of six on one channel is six candles on the other."""
    world = shop().list("shopify", "six", "candle", pack=6, shows=1)
    world.hears(world.order("shopify", "1", line("six", 1)))
    assert world.atp("candle") == 4
    assert world.expected()["shopify/six"] == 0
    assert world.syncs() == {("shopify", "a"): 4, ("woo", "b"): 4}


HISTORY = {
    "create 3": (1, line("a", 3)),
    "edit to 5": (2, line("a", 5)),
    "edit to 4": (3, line("a", 5, open=4, deducted=4)),
    "refund 1, restocked": (4, line("a", 5, open=3, deducted=3)),
    "refund 1, not restocked": (5, line("a", 5, open=2, written_off=1, deducted=3)),
    "ship 2": (6, line("a", 5, open=0, shipped=2, written_off=1, deducted=3)),
}


@pytest.mark.parametrize("seed", range(0, 720, 7))
def test_an_order_s_events_end_the_same_in_any_order(seed: int) -> None:
    """Reordered, duplicated, cancel before create, edits up and down: the newest version stands.

    Up to the moves in between, which cancel out in sum.
    """
    order = list(permutations(HISTORY))[seed]
    world = shop()
    for name in order:
        version, seen = HISTORY[name]
        world.hears(world.order("shopify", "1", seen, version=version, placed=world.now))
        world.hears(world.order("shopify", "1", seen, version=version, placed=world.now))
    shelf = world.rows.shelves["candle"]
    assert (shelf.on_hand, shelf.reserved) == (7, 0)
    assert world.expected()["shopify/a"] == 7
    assert world.syncs() == {("woo", "b"): 7}
    assert len(world.rows.reservations) == 1


def test_a_line_whose_listing_was_deleted_on_the_channel_keeps_its_units() -> None:
    """The order no longer names a listing; what was sold is still to be sent."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3)))
    world.hears(world.order("shopify", "1", line("", 3), version=2))
    assert world.atp("candle") == 7
    world.hears(world.order("shopify", "1", line("", 3, open=0, deducted=0), version=3))
    assert world.atp("candle") == 10


def test_an_old_order_edited_up_today_lowers_what_its_channel_is_expected_to_hold() -> None:
    """It was placed before we began, and the units were taken just now."""
    world = World().stock(candle=10).list("shopify", "a", "candle", shows=10)
    old = world.now - timedelta(days=3)
    first = world.order("shopify", "1", line("a", 1), placed=old, deducted_at=old, fetch=1)
    world.polls("shopify", first)
    assert (world.expected()["shopify/a"], world.atp("candle")) == (10, 9)
    world.syncs()
    edited = line("a", 3)
    world.hears(world.order("shopify", "1", edited, version=90, placed=old, deducted_at=old))
    assert (world.expected()["shopify/a"], world.atp("candle")) == (7, 7)
    assert world.dirty == set()


def test_a_duplicate_delivery_changes_nothing() -> None:
    """The same body again is `Replayed`, before and after."""
    world = shop()
    order = world.order("shopify", "1", line("a", 3))
    world.hears(order)
    again = world.hears(order)
    assert isinstance(again.outcome, Replayed)
    assert world.atp("candle") == 7


def test_a_cancel_that_comes_before_its_create_wins() -> None:
    """The cancelled line stays as a tombstone whose version refuses the late create."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3, open=0, deducted=0), version=9))
    world.hears(world.order("shopify", "1", line("a", 3), version=1))
    assert world.atp("candle") == 10
    assert world.dirty == set()
    (row,) = world.rows.reservations.values()
    assert row.state is ReservationState.RELEASED


def test_a_line_unknown_to_a_newer_version_is_not_brought_back_by_an_older_one() -> None:
    """An old body that still has a line which the newer order lacks does not reserve it."""
    world = shop()
    kept = line("a", 1, line_id="1")
    world.hears(world.order("shopify", "1", kept, version=5))
    world.hears(world.order("shopify", "1", kept, line("a", 3, line_id="2"), version=2))
    assert world.atp("candle") == 9


def test_a_line_that_a_newer_version_lacks_is_cancelled_and_its_field_read() -> None:
    """Nobody said whether the channel put the units back, so its number is asked for."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 1), line("a", 3, line_id="2")))
    world.hears(world.order("shopify", "1", line("a", 1), version=2))
    assert world.atp("candle") == 9
    assert world.field("shopify", "a").read_due_at is not None


def test_equal_versions_with_other_content_are_fetched_and_the_fetch_wins() -> None:
    """Two states within the same second: neither is believed until the order has been read."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3), version=1))
    world.hears(world.order("shopify", "1", line("a", 5), version=1))
    assert world.atp("candle") == 7
    pending = [row for row in world.rows.deliveries.values() if row.order_id]
    assert [row.state for row in pending] == [DeliveryState.PENDING]
    world.polls("shopify", world.order("shopify", "1", line("a", 5), version=1, fetch=4))
    assert world.atp("candle") == 5


def test_last_month_s_order_edited_today_takes_nothing() -> None:
    """Units already shipped when a line of an old order is first seen are its baseline."""
    world = shop()
    old = world.now - timedelta(days=30)
    world.hears(
        world.order("shopify", "1", line("a", 3, shipped=3), placed=old, deducted_at=world.now)
    )
    assert world.atp("candle") == 10
    assert world.rows.shelves["candle"].on_hand == 10
    assert world.dirty == set()


def test_an_order_shipped_before_we_heard_of_it_does_take_its_units() -> None:
    """Placed after we began: every webhook was lost, and the poll finds it already shipped."""
    world = shop()
    world.polls("shopify", world.order("shopify", "1", line("a", 3, shipped=3)))
    assert world.rows.shelves["candle"].on_hand == 7
    assert world.expected()["shopify/a"] == 7
    assert world.syncs() == {("woo", "b"): 7}


def test_shipping_what_was_reserved_changes_no_atp_and_writes_nothing() -> None:
    """Reserved units leave the shelf; nobody else could have had them."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3)))
    world.syncs()
    world.hears(world.order("shopify", "1", line("a", 3, shipped=3), version=2))
    assert world.atp("candle") == 7
    assert world.rows.shelves["candle"].on_hand == 7
    assert world.dirty == set()


def test_a_return_put_back_on_the_shelf_comes_back_everywhere() -> None:
    """Restocked after shipping: on hand, ATP and the channel's own number rise by it."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3, shipped=3)))
    world.syncs()
    returned = line("a", 3, open=0, shipped=2, deducted=2)
    world.hears(world.order("shopify", "1", returned, version=2))
    assert world.atp("candle") == 8
    assert world.expected()["shopify/a"] == 8
    assert world.syncs() == {("woo", "b"): 8}


@pytest.mark.parametrize(
    ("after", "atp", "why"),
    [
        (line("a", 3, open=2, deducted=2), 8, "refunded and restocked: the unit comes back"),
        (line("a", 3, open=2, written_off=1), 7, "refunded, not restocked: it does not"),
        (line("a", 3, open=0, deducted=0), 10, "cancelled and restocked"),
        (line("a", 3, open=0, written_off=3), 7, "refunded whole, nothing restocked"),
        (line("a", 3, shipped=3), 7, "refunded after shipping without a return: no change"),
    ],
)
def test_a_refund_is_not_a_return(after: object, atp: int, why: str) -> None:
    """Stock comes back only when the channel says restocked."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3)))
    world.syncs()
    world.hears(world.order("shopify", "1", after, version=2))
    assert world.atp("candle") == atp, why
    world.syncs()
    assert world.expected() == {"shopify/a": atp, "woo/b": atp}


def test_a_sale_beyond_stock_stands_and_is_a_shortage() -> None:
    """A sale already made is a fact: ATP turns negative, every listing shows 0."""
    world = shop()
    world.hears(world.order("woo", "1", line("b", 4)))
    world.hears(world.order("shopify", "2", line("a", 8)))
    assert world.atp("candle") == -2
    assert world.syncs() == {("shopify", "a"): 0, ("woo", "b"): 0}
    events = [event for decision in world.log for event in decision.events]
    assert [event.fields for event in events if event.name == "shortage.found"] == [
        {"sku": "candle", "short": 2}
    ]


def test_an_order_line_nobody_mapped_waits_and_counts_once_mapped() -> None:
    """No guess is made; the demand is applied retroactively when a listing names it."""
    world = shop()
    world.hears(world.order("shopify", "1", line("new", 2)))
    assert world.atp("candle") == 10
    events = {event.name for decision in world.log for event in decision.events}
    assert "line.unmapped" in events
    world.list("shopify", "new", "candle", shows=8)
    assert world.atp("candle") == 8
    assert world.syncs() == {("shopify", "a"): 8, ("woo", "b"): 8}


def test_an_order_in_a_state_we_do_not_know_counts_as_still_to_be_sent() -> None:
    """A plugin's own word is not taken for `paid`, nor is its stock put back: people are told."""
    world = shop()
    word = "packed" + "x" * 1000
    world.hears(world.order("woo", "1", line("b", 3), state=word, known=False))
    (row,) = world.rows.deliveries.values()
    assert row.state is DeliveryState.APPLIED
    assert "packed" in row.reason
    assert len(row.reason) < 200
    assert world.atp("candle") == 7
    events = [event.name for decision in world.log for event in decision.events]
    assert "order.flagged" in events


def test_an_order_that_is_gone_releases_its_units() -> None:
    """The channel answers 404 for it: the demand goes, the field is read."""
    from stockpush.messages import ApplyOrders

    world = shop()
    world.hears(world.order("woo", "1", line("b", 3)))
    world.do(ApplyOrders("woo", (), gone=(("1", 7),)))
    assert world.atp("candle") == 10
    assert world.field("woo", "b").read_due_at is not None


def test_a_processed_hint_that_comes_again_is_fetched_again() -> None:
    """A thin hint has no version: the same body is a new reason to look."""
    world = shop()
    delivery = Delivery("shopify", "d", "edit", world.now, DeliveryState.APPLIED)
    hint = ReceiveDelivery(delivery, (OrderHint("shopify", "1"),))
    world.do(hint)
    assert isinstance(world.do(hint).outcome, Replayed), "not yet processed: a duplicate"
    from stockpush.messages import ApplyOrders

    row = next(iter(world.rows.deliveries.values()))
    order = world.order("shopify", "1", line("a", 3), fetch=1)
    world.do(ApplyOrders("shopify", (order,), settles=((row.id, row.received_at),)))
    world.do(hint)
    row = next(iter(world.rows.deliveries.values()))
    assert row.state is DeliveryState.PENDING


def test_a_quantity_delivery_is_a_reason_to_read_unless_it_says_what_we_expect() -> None:
    """The echo of our own write asks for nothing; another number is read, and never believed."""
    from stockpush.messages import QuantityHint

    world = shop()
    due = world.field("shopify", "a").read_due_at
    for told, reads_now in ((10, False), (4, True), (None, True)):
        delivery = Delivery("shopify", f"d{told}", "level", world.now, DeliveryState.APPLIED)
        world.do(ReceiveDelivery(delivery, (QuantityHint("shopify", "a", told),)))
        field = world.field("shopify", "a")
        assert (field.expected, field.read_due_at != due) == (10, reads_now)


def test_a_variation_that_starts_to_manage_its_own_stock_is_resolved_again() -> None:
    """The delivery names a number that no listing is known to go by."""
    from stockpush.messages import QuantityHint
    from stockpush.model import ListingKey

    world = World().stock(candle=10).list("woo", "30:31", "candle", field="30", shows=10)
    delivery = Delivery("woo", "d", "product", world.now, DeliveryState.APPLIED)
    hint = ReceiveDelivery(delivery, (QuantityHint("woo", "30:31", 99),))
    assert world.do(hint).resolve_now == {ListingKey("woo", "30:31")}


def test_no_delivery_that_was_applied_keeps_its_body() -> None:
    """A body names a buyer: it is kept only while it cannot be applied."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3)))
    assert [row.body for row in world.rows.deliveries.values()] == [None]


def test_two_listings_of_one_item_on_one_channel_follow_each_other() -> None:
    """A sale through one lowers the other, on the same channel."""
    world = shop().list("shopify", "gift", "candle", shows=10)
    world.hears(world.order("shopify", "1", line("a", 4)))
    assert world.syncs() == {("shopify", "gift"): 6, ("woo", "b"): 6}


def test_with_no_finished_candle_a_sale_lowers_what_shares_its_wax() -> None:
    """Made-to-order candles take wax from the soap, exactly; finished ones take none."""
    world = World().stock(candle=2, soap=0, wax=1000)
    world.bill("candle", wax=100).bill("soap", 3, wax=100)
    world.list("shopify", "c", "candle", shows=12).list("woo", "s", "soap", shows=30)
    assert world.dirty == set()
    world.hears(world.order("shopify", "1", line("c", 2)))
    assert world.dirty == set(), "two finished candles were sold: nobody else needs to know"
    world.hears(world.order("shopify", "2", line("c", 1)))
    assert world.atp("soap") == 27
    assert world.syncs() == {("woo", "s"): 27}


counts = st.integers(0, 4)


@st.composite
def order_lines(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """(open, shipped, written off, restocked) of one line."""
    return draw(counts), draw(counts), draw(counts), draw(counts)


@given(st.lists(order_lines(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_end_depends_on_the_newest_version_alone(
    history: list[tuple[int, int, int, int]], dice: object
) -> None:
    """Any history of one line, delivered in any order with copies, ends as its newest version."""
    facts = []
    for version, (still, shipped, written_off, restocked) in enumerate(history):
        ordered = still + shipped + written_off + restocked
        seen = line(
            "a",
            ordered,
            open=still,
            shipped=shipped,
            written_off=written_off,
            deducted=ordered - restocked,
        )
        facts += [(version, seen), (version, seen)]
    newest = facts[-1][1]
    dice.shuffle(facts)
    world = shop()
    for version, seen in facts:
        world.hears(world.order("shopify", "1", seen, version=version), digest=f"{version}")
    shelf = world.rows.shelves["candle"]
    assert shelf.reserved == newest.open
    assert shelf.on_hand == 10 - newest.shipped - newest.written_off
    field = world.field("shopify", "a")
    assert field.expected + field.hold - field.surplus == 10 - newest.deducted
    assert world.atp("candle") == 10 - newest.open - newest.shipped - newest.written_off


def test_stock_that_moves_appears_everywhere_in_one_fan_out() -> None:
    """A receipt of 40 marks each listing once."""
    world = shop()
    world.moves("candle", 40, MovementKind.RECEIPT)
    assert world.syncs() == {("shopify", "a"): 50, ("woo", "b"): 50}


def test_a_push_that_settles_after_another_sale_stays_dirty_for_it() -> None:
    """E moves by the difference, never to the target: a sale in flight is not forgotten."""
    world = shop()
    world.hears(world.order("shopify", "1", line("a", 3)))
    (push,) = world.pushes("woo")
    world.hears(world.order("woo", "2", line("b", 1)))
    world.settles(push, PushOutcomeKind.APPLIED)
    assert world.expected() == {"shopify/a": 7, "woo/b": 6}
    assert world.dirty == {"shopify/a"}
