"""How long a difference is believed (R4), and how often a number is looked at (R9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stockpush.messages import ApplyOrders, OrderHint, ReceiveDelivery, Replayed
from stockpush.model import (
    Delivery,
    DeliveryState,
    DriftClass,
    FieldKey,
    MovementKind,
)
from tests.reservation.test_sales import shop
from tests.reservation.world import World, line

SHOPIFY = FieldKey("shopify", "a")
WOO = FieldKey("woo", "b")


def lagging(**policy: object) -> World:
    """A shop with ten candles on two channels; orders appear there up to a minute late."""
    world = shop()
    policies = {
        name: replace(each, orders_lag_s=60.0, **policy)
        for name, each in world.catalogue.policies.items()
    }
    world.catalogue = replace(world.catalogue, policies=policies)
    world.now += timedelta(minutes=2)
    for channel in ("shopify", "woo"):
        world.polls(channel)
    world.now += timedelta(seconds=5)
    return world


def at_once_let_go(world: World, shows: int) -> None:
    """Two late polls and an agreeing reading: whatever is unexplained is let go of now."""
    for _ in range(2):
        world.now += timedelta(minutes=10)
        world.polls("shopify")
        world.reads("shopify", "a", shows)


def closings(world: World) -> list[tuple[DriftClass, str]]:
    """What became of each drift that was closed."""
    return [
        (drift.drift_class, drift.resolution)
        for decision in world.log
        for drift in decision.drifts
        if drift.closed_at is not None
    ]


# -- R4 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("polls_after_s", "read_after_s", "goes", "why"),
    [
        ((61, 120), 901, True, "two polls past the lag, a quarter of an hour, two readings"),
        ((59, 120), 901, False, "the first poll may have begun before the order was listed"),
        ((61,), 901, False, "one poll is not two"),
        ((), 901, False, "while polls fail nothing expires"),
        ((61, 120), 899, False, "a quarter of an hour is not over"),
        ((20, 40, 61, 120), 901, True, "earlier polls neither count nor hinder"),
        ((61, 120, 180), 901, True, "it is the last two that count"),
    ],
)
@pytest.mark.parametrize("shows", [6, 14])
def test_r4_a_difference_is_let_go_after_two_late_polls_its_time_and_two_readings(
    polls_after_s: tuple[int, ...], read_after_s: int, goes: bool, why: str, shows: int
) -> None:
    """Too few, too high: each condition alone keeps the hold, or the surplus."""
    world = lagging()
    begun = world.now
    world.reads("shopify", "a", shows)
    for seconds in polls_after_s:
        world.now = begun + timedelta(seconds=seconds)
        world.polls("shopify")
    world.now = begun + timedelta(seconds=read_after_s)
    world.reads("shopify", "a", shows)
    field = world.field("shopify", "a")
    assert (field.hold + field.surplus == 0) == goes, why


def test_r4_a_reading_that_says_nothing_does_not_agree() -> None:
    """The second agreeing reading was blurred by a sale while it was under way."""
    world = lagging()
    world.reads("shopify", "a", 6)
    for _ in range(2):
        world.now += timedelta(minutes=10)
        world.polls("shopify")
    before, sent_at = world.field("shopify", "a"), world.now
    world.hears(world.order("shopify", "1", line("a", 1)))
    world.reads("shopify", "a", 6, before=before, sent_at=sent_at)
    assert world.field("shopify", "a").hold == 4
    world.now += timedelta(seconds=2)
    world.reads("shopify", "a", 5)
    assert world.field("shopify", "a").hold == 0


def test_r4_one_more_unit_missing_begins_the_time_anew() -> None:
    """The youngest difference decides: its order may be the one still on its way."""
    world = lagging()
    world.reads("shopify", "a", 8)
    for _ in range(2):
        world.now += timedelta(minutes=7)
        world.polls("shopify")
    world.reads("shopify", "a", 7)
    world.now += timedelta(minutes=2)
    world.reads("shopify", "a", 7)
    assert world.field("shopify", "a").hold == 3


def test_r4_what_was_sold_and_put_back_unseen_is_no_edit() -> None:
    """Hold and surplus cancel: nobody is told of an edit, and nothing is remembered."""
    world = lagging()
    world.reads("shopify", "a", 8)
    world.now += timedelta(minutes=1)
    world.reads("shopify", "a", 10)
    field = world.field("shopify", "a")
    assert (field.hold, field.surplus) == (2, 2)
    assert world.atp("candle") == 8, "until then it may be two sales and an edit"
    at_once_let_go(world, 10)
    field = world.field("shopify", "a")
    assert (field.hold, field.surplus, field.let_go) == (0, 0, 0)
    assert closings(world) == [(DriftClass.UNSEEN_SALE, "sold and put back")]
    assert world.atp("candle") == 10


def test_r4_only_what_is_left_after_cancelling_is_an_edit() -> None:
    """Five fewer and two more: three were taken off by hand, and may still be an old order's."""
    world = lagging()
    world.reads("shopify", "a", 5)
    world.now += timedelta(minutes=1)
    world.reads("shopify", "a", 7)
    at_once_let_go(world, 7)
    assert world.field("shopify", "a").let_go == 3
    assert closings(world) == [(DriftClass.MANUAL_EDIT, "restored")]


def test_r4_a_surplus_is_written_back_at_once_and_let_go_later_without_a_write() -> None:
    """Somebody typed 14: it is lowered now; what was let go of changes nothing on the shelf."""
    world = lagging()
    world.reads("shopify", "a", 14)
    assert world.syncs() == {SHOPIFY: 10}
    at_once_let_go(world, 10)
    assert world.field("shopify", "a").surplus == 0
    assert world.dirty == set()
    assert world.atp("candle") == 10


def test_r4_a_restock_later_than_its_surplus_keeps_units_back_for_a_while_and_no_longer() -> None:
    """Its rise was lowered and let go; now it counts as one that the shop should show, and does
    not: that looks like a sale until R4 has seen to it.
    """
    world = lagging()
    sold = world.order("shopify", "1", line("a", 3))
    world.hears(sold)
    world.syncs()
    world.now += timedelta(seconds=5)
    restocked_at = world.now
    world.now += timedelta(seconds=5)
    world.reads("shopify", "a", 10)
    assert world.syncs() == {SHOPIFY: 7}
    at_once_let_go(world, 7)
    back = world.order("shopify", "1", line("a", 3, open=0, deducted=0), version=500)
    world.hears(replace(back, version=back.version._replace(updated_at=restocked_at)))
    assert world.field("shopify", "a").expected == 10
    world.syncs()
    world.now += timedelta(seconds=5)
    world.reads("shopify", "a", 7)
    assert world.atp("candle") == 7, "kept back, not oversold"
    at_once_let_go(world, 7)
    assert world.syncs()[SHOPIFY] == 10


@pytest.mark.parametrize(
    ("days", "surplus"),
    [(59, 0), (61, 2)],
)
def test_r4_what_was_let_go_is_forgotten_after_sixty_days(days: int, surplus: int) -> None:
    """Its late order lowers the shop again. After that it is a sale like any other, which the last
    reading must have shown: behind two that were put back, as far as anybody remembers.
    """
    world = lagging()
    sold_at = world.now
    world.now += timedelta(seconds=5)
    world.reads("shopify", "a", 8)
    at_once_let_go(world, 8)
    assert world.syncs() == {SHOPIFY: 10}
    world.now += timedelta(days=days)
    world.hears(world.order("shopify", "1", line("a", 2), placed=sold_at, deducted_at=sold_at))
    assert world.field("shopify", "a").surplus == surplus
    assert world.syncs() == {SHOPIFY: 8, WOO: 8}


def test_r4_what_is_let_go_later_does_not_keep_the_older_alive() -> None:
    """Two let go of in autumn, one in winter: it is the one that an order may still explain."""
    world = lagging()
    world.reads("shopify", "a", 8)
    at_once_let_go(world, 8)
    world.syncs()
    world.now += timedelta(days=61)
    world.reads("shopify", "a", 9)
    at_once_let_go(world, 9)
    assert world.field("shopify", "a").let_go == 1


def test_r4_an_order_younger_than_what_was_let_go_is_a_sale() -> None:
    """The shop has taken it off its own number: nothing is written there."""
    world = lagging()
    world.reads("shopify", "a", 8)
    at_once_let_go(world, 8)
    assert world.syncs() == {SHOPIFY: 10}
    world.now += timedelta(minutes=1)
    world.hears(world.order("shopify", "1", line("a", 2)))
    assert world.field("shopify", "a").let_go == 2
    assert world.syncs() == {WOO: 8}


# -- R9 --------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
SOON = timedelta(minutes=10)


def due_in(world: World, key: FieldKey) -> timedelta:
    """How long until the field is read again, rounded to seconds."""
    left = world.rows.fields[key].read_due_at - world.now
    return timedelta(seconds=round(left.total_seconds()))


def test_r9_a_listing_that_shows_little_is_read_every_ten_minutes() -> None:
    """Five or fewer; with six the hour is soon enough."""
    world = lagging()
    world.reads("shopify", "a", 10)
    world.moves("candle", -4, MovementKind.ADJUSTMENT, key="six")
    assert due_in(world, SHOPIFY) == HOUR
    world.moves("candle", -1, MovementKind.ADJUSTMENT, key="five")
    assert (due_in(world, SHOPIFY), due_in(world, WOO)) == (SOON, SOON)
    world.syncs()
    world.now += timedelta(minutes=1)
    world.reads("shopify", "a", 5)
    assert due_in(world, SHOPIFY) == SOON
    world.moves("candle", 5, MovementKind.RECEIPT, key="ten")
    world.syncs()
    world.now += timedelta(minutes=1)
    world.reads("shopify", "a", 10)
    assert due_in(world, SHOPIFY) == HOUR


def test_r9_little_is_counted_in_the_listing_s_packs() -> None:
    """Thirty-five candles are five boxes of six, and plenty by the piece."""
    world = World().stock(candle=35)
    world.list("shopify", "six", "candle", pack=6, shows=5)
    world.list("shopify", "one", "candle", shows=35)
    assert due_in(world, FieldKey("shopify", "six")) == SOON
    assert due_in(world, FieldKey("shopify", "one")) == HOUR


def test_r9_a_shorter_period_of_the_owner_s_stands() -> None:
    """Whoever wants every field read each five minutes gets no ten."""
    world = lagging(reconcile_s=300.0)
    world.moves("candle", -9, MovementKind.ADJUSTMENT)
    world.reads("shopify", "a", 10)
    assert due_in(world, SHOPIFY) == timedelta(minutes=5)


def test_r9_a_field_that_is_low_already_is_not_written_again_for_each_sale() -> None:
    """Its reading is near enough: a second sale elsewhere leaves its row alone."""
    world = lagging()
    world.moves("candle", -7, MovementKind.ADJUSTMENT)
    world.hears(world.order("shopify", "1", line("a", 1)))
    marking = world.log[-1]
    assert marking.touched_fields == frozenset()
    assert WOO not in {row.key for row in marking.fields}


# -- hints -----------------------------------------------------------------------------------------


def test_a_hint_that_comes_again_outlives_the_fetch_that_was_sent_before_it() -> None:
    """That fetch may have been answered before what the second one tells of."""
    world = shop()
    first = Delivery("shopify", "d", "edit", world.now, DeliveryState.APPLIED)
    world.do(ReceiveDelivery(first, (OrderHint("shopify", "1"),)))
    (waiting,) = world.rows.deliveries.values()
    for at in (world.now, waiting.received_at):  # clocks may stand still between the two
        again = replace(first, received_at=at)
        assert isinstance(
            world.do(ReceiveDelivery(again, (OrderHint("shopify", "1"),))).outcome, Replayed
        )
        order = world.order("shopify", "1", line("a", 3), fetch=1)
        world.do(ApplyOrders("shopify", (order,), settles=((waiting.id, waiting.received_at),)))
        (row,) = world.rows.deliveries.values()
        assert row.state is DeliveryState.PENDING
    world.do(ApplyOrders("shopify", (), settles=((row.id, row.received_at),)))
    (row,) = world.rows.deliveries.values()
    assert row.state is DeliveryState.APPLIED
