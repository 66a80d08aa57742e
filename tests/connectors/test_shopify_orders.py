"""How a Shopify order is counted: one table, and both shapes of an order agreeing.

Which trap of the platform is met by which test: test_shopify_traps.py.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors.shopify.fetching import ORDER_LINES, ORDER_PARTS, ORDER_UNITS
from stockpush.connectors.shopify.orders import (
    FulfilmentRead,
    LineRead,
    OrderRead,
    Progress,
    RefundRead,
    Restock,
    count,
    progress_of,
    restock_of,
)
from stockpush.errors import ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderHint, OrderSeen
from stockpush.sim.shops.shopify.state import Fulfilment, Line
from tests.connectors.shopify_world import SCHEMA, World, needs_schema, world

HERE, THERE = 1, 2
AT = datetime(2026, 11, 22, tzinfo=UTC)
LEFT, UNDERWAY, VOID = Progress.LEFT, Progress.UNDERWAY, Progress.VOID
CANCEL, RETURN, NONE, LEGACY = (
    Restock.CANCEL,
    Restock.RETURN,
    Restock.NO_RESTOCK,
    Restock.LEGACY_RESTOCK,
)

# (quantity, current, unfulfilled), fulfilled, refunded, cancelled
#   -> open, shipped, written off, deducted
TABLE = {
    "new": ((3, 3, 3), [], [], False, (3, 0, 0, 3)),
    "shipped": ((3, 3, 0), [(3, LEFT)], [], False, (0, 3, 0, 3)),
    "partly shipped": ((3, 3, 2), [(1, LEFT)], [], False, (2, 1, 0, 3)),
    "underway is still open": ((3, 3, 1), [(2, UNDERWAY)], [], False, (3, 0, 0, 3)),
    "a failed shipment stays": ((3, 3, 3), [(2, VOID)], [], False, (3, 0, 0, 3)),
    "cancelled and put back": ((3, 0, 0), [], [(3, CANCEL, HERE)], True, (0, 0, 0, 0)),
    "one unit cancelled": ((3, 2, 2), [], [(1, CANCEL, HERE)], False, (2, 0, 0, 2)),
    "cancelled, put back elsewhere": ((3, 2, 2), [], [(1, CANCEL, THERE)], False, (2, 0, 0, 3)),
    "cancelled, not put back: written off": ((3, 0, 0), [], [(3, NONE, None)], True, (0, 0, 3, 3)),
    "cancelled without a refund": ((3, 3, 0), [], [], True, (0, 0, 0, 3)),
    "one written off": ((3, 2, 2), [], [(1, NONE, None)], False, (2, 0, 1, 3)),
    "shipped, then returned": ((3, 2, 0), [(3, LEFT)], [(1, RETURN, HERE)], False, (0, 2, 0, 2)),
    "returned elsewhere": ((3, 2, 0), [(3, LEFT)], [(1, RETURN, THERE)], False, (0, 3, 0, 3)),
    "money back, goods kept": ((3, 2, 0), [(3, LEFT)], [(1, NONE, None)], False, (0, 3, 0, 3)),
    "shipped one, refunded that one": (
        (3, 2, 2), [(1, LEFT)], [(1, NONE, None)], False, (2, 1, 0, 3),
    ),
    "shipped one, wrote off another": (
        (3, 2, 1), [(1, LEFT)], [(1, NONE, None)], False, (1, 1, 1, 3),
    ),
    "return of what never left": ((3, 2, 2), [], [(1, RETURN, HERE)], False, (2, 0, 0, 2)),
    "legacy, nothing had left": ((3, 2, 2), [], [(1, LEGACY, None)], False, (2, 0, 0, 2)),
    "legacy, all had left": ((3, 2, 0), [(3, LEFT)], [(1, LEGACY, None)], False, (0, 2, 0, 2)),
    "legacy, beyond what left": ((3, 1, 1), [(1, LEFT)], [(2, LEGACY, HERE)], False, (1, 0, 0, 1)),
    "legacy elsewhere": ((3, 2, 2), [], [(1, LEGACY, THERE)], False, (2, 0, 0, 3)),
    "removed by an edit, untold where": ((3, 1, 1), [], [], False, (1, 0, 0, 3)),
    "removed and cancelled": ((4, 2, 2), [], [(1, CANCEL, HERE)], False, (2, 0, 0, 3)),
    "vendor's formula: 5 - max(1, 2)": (
        (5, 4, 3), [(2, LEFT)], [(1, CANCEL, HERE)], False, (2, 2, 0, 4),
    ),
    "unfulfilled that ignores cancels": ((3, 2, 3), [], [(1, CANCEL, HERE)], False, (2, 0, 0, 2)),
    "all at once": (
        (9, 3, 2),
        [(3, LEFT), (1, VOID)],
        [(2, CANCEL, HERE), (1, RETURN, HERE), (1, NONE, None)],
        False,
        (2, 2, 0, 6),
    ),
}  # fmt: skip


def order_of(line: LineRead, fulfilled, refunded, *, cancelled=False, confirmed=True) -> OrderRead:
    """Make an order of one line."""
    return OrderRead(
        order=1,
        created_at=AT,
        updated_at=AT,
        cancelled=cancelled,
        closed=False,
        confirmed=confirmed,
        lines=(line,),
        refunds=tuple(RefundRead(line.line, *units) for units in refunded),
        fulfilments=tuple(FulfilmentRead(line.line, *units) for units in fulfilled),
    )


@pytest.mark.parametrize("name", TABLE)
def test_a_line_is_counted(name: str) -> None:
    """Open, shipped, written off and deducted follow the table."""
    (quantity, current, unfulfilled), fulfilled, refunded, cancelled, expected = TABLE[name]
    line = LineRead(7, 8, "A", quantity, current, unfulfilled)
    order = order_of(line, fulfilled, refunded, cancelled=cancelled)
    seen = count(line, order, location=HERE)
    assert (seen.open, seen.shipped, seen.written_off, seen.deducted) == expected
    assert seen.ordered == quantity


def test_an_unconfirmed_order_deducts_nothing() -> None:
    """`confirmed` false: the channel has reserved no stock, though the demand is there."""
    line = LineRead(7, 8, "A", 3, 3, 3)
    seen = count(line, order_of(line, [], [], confirmed=False), location=HERE)
    assert (seen.open, seen.deducted) == (3, 0)


def test_units_of_another_line_do_not_count() -> None:
    """Two lines of one variant are two lines: refunds and shipments belong to their own."""
    first, second = LineRead(7, 8, "A", 3, 3, 3), LineRead(9, 8, "A", 2, 0, 0)
    order = order_of(second, [], [(2, CANCEL, HERE)])
    assert count(first, order, location=HERE).deducted == 3
    assert count(second, order, location=HERE).deducted == 0


SMALL = st.integers(0, 12)


@given(
    numbers=st.tuples(SMALL, SMALL, SMALL),
    fulfilled=st.lists(st.tuples(SMALL, st.sampled_from(Progress)), max_size=3),
    refunded=st.lists(
        st.tuples(SMALL, st.sampled_from(Restock), st.sampled_from([HERE, THERE, None])), max_size=3
    ),
    cancelled=st.booleans(),
)
def test_whatever_is_told_no_count_is_negative_or_beyond_what_was_ordered(
    numbers, fulfilled, refunded, cancelled
) -> None:
    """Even nonsense gives 0 <= open, written off, deducted <= ordered, and shipped >= 0."""
    line = LineRead(7, 8, "A", *numbers)
    seen = count(line, order_of(line, fulfilled, refunded, cancelled=cancelled), location=HERE)
    assert 0 <= seen.open <= seen.ordered
    assert 0 <= seen.written_off <= seen.ordered
    assert seen.deducted is not None
    assert 0 <= seen.deducted <= seen.ordered
    assert seen.shipped >= 0
    assert seen.open == 0 or not cancelled


@pytest.mark.parametrize("word", ["CANCEL", "return", "No_Restock", "LEGACY_RESTOCK"])
def test_both_shapes_words_are_read(word: str) -> None:
    """REST's lower case and GraphQL's upper case name the same restock types."""
    assert restock_of(word) == word.lower()


@pytest.mark.parametrize("read", [restock_of, progress_of])
def test_an_unknown_word_is_not_guessed(read) -> None:
    """A word that is not known quarantines the order instead of being taken for another."""
    with pytest.raises(PayloadInvalid) as caught:
        read("teleported")
    assert caught.value.found == "teleported"


def test_a_fulfilment_without_a_status_has_not_left() -> None:
    """No status means that it is not known to have left."""
    assert progress_of(None) is Progress.UNDERWAY


# -- the same order by webhook and by fetch ----------------------------------------------------


def numbers(seen: OrderSeen):
    """Everything but the fetch number."""
    return (
        seen.order_id,
        seen.version.updated_at,
        seen.placed_at,
        seen.deducted_at,
        seen.state,
        seen.lines,
    )


def told(shop_world: World) -> OrderSeen:
    """Return the newest whole order that the webhooks tell."""
    orders = [
        request
        for request in shop_world.deliveries()
        if request.headers["x-shopify-topic"] in {"orders/create", "orders/updated"}
    ]
    seen = shop_world.read(orders[-1])
    assert isinstance(seen, OrderSeen)
    return seen


ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["refund", "refund_lost", "edit", "ship", "ship_one", "cancel", "cancel_lost"]
        ),
        st.integers(0, 1),
        st.integers(0, 6),
    ),
    max_size=7,
)


@pytest.mark.parametrize("recorded", [True, False])
@given(acts=ACTS)
async def test_webhook_and_graphql_give_equal_facts(recorded: bool, acts) -> None:
    """After any history the body of the webhook and the fetched order count alike, and `deducted`
    is what the channel's own number misses, where the channel tells it.
    """
    w = world(edits_are_recorded=recorded)
    listings = [w.sell("A", 40), w.sell("B", 40)]
    order_id = w.shop.checkout([(listings[0], 4), (listings[1], 2)])
    for act, which, units in acts:
        w.hands.move(3)
        perform(w, order_id, act, listings[which], units)
    by_webhook, by_fetch = told(w), await w.fetched(order_id)
    assert numbers(by_webhook) == numbers(by_fetch)
    pages = [page async for page in w.connector.poll_orders(w.api, since=None, fetch=2)]
    polled = {seen.order_id: seen for page in pages for seen in page.orders}
    assert numbers(polled[order_id]) == numbers(by_fetch)
    for listing in listings:
        key_lines = [line for line in by_fetch.lines if line.order_key == listing]
        missing = 40 - w.shop.quantity(listing)
        deducted = sum(line.deducted or 0 for line in key_lines)
        assert deducted == missing if recorded else deducted >= missing


def perform(w: World, order_id: str, act: str, listing: str, units: int) -> None:
    """Let the merchant do one thing, as far as it is possible."""
    order = w.shop.book.orders[int(order_id)]
    line = w.shop.book.line_of(order, w.shop.variants[int(listing)])
    assert line is not None
    current, cancelled = order.current(line), order.cancelled_at is not None
    match act:
        case "refund" | "refund_lost" if min(units, current):
            w.shop.refund(order_id, listing, min(units, current), restock=act == "refund")
        case "edit" if not cancelled:
            w.shop.edit(order_id, listing, units)
        case "ship" if not cancelled:
            w.shop.ship(order_id)
        case "ship_one" if line.unfulfilled:
            w.shop.ship_units(order_id, [(listing, 1)])
        case "cancel" | "cancel_lost" if not cancelled:
            w.shop.cancel(order_id, restock=act == "cancel")
        case _:
            pass


@needs_schema
async def test_a_rich_history_is_equal_under_the_schema_too() -> None:
    """The same holds where every document and answer is held against the schema."""
    w = world(checked=True)
    a, b = w.sell("A", 40), w.sell("B", 40)
    order_id = w.shop.checkout([(a, 4), (b, 2)])
    w.hands.move(5)
    w.shop.edit(order_id, a, 3)
    w.shop.ship_units(order_id, [(a, 1)])
    w.shop.refund(order_id, b, 1, restock=False)
    w.shop.refund(order_id, a, 2, restock=True)
    w.shop.ship(order_id)
    w.shop.refund(order_id, b, 1, restock=True)
    assert numbers(told(w)) == numbers(await w.fetched(order_id))
    assert SCHEMA.exists()


def test_a_test_order_counts() -> None:
    """A test order is counted like any other: it moved stock."""
    w = world()
    a = w.sell("A", 5)
    order_id = w.shop.checkout([(a, 2)])
    w.shop.book.orders[int(order_id)].test = True
    w.shop.refund(order_id, a, 1, restock=False)
    assert told(w).lines[0].deducted == 2


async def test_ids_beyond_2_53_stay_exact() -> None:
    """Neighbouring ids beyond 2**53 stay two orders, in both shapes."""
    w = world()
    a = w.sell("A", 5)
    first = w.shop.checkout([(a, 1)])
    assert int(first) > 2**53
    (delivery,) = w.deliveries("orders/create")
    seen = w.read(delivery)
    assert isinstance(seen, OrderSeen)
    assert seen.order_id == first == (await w.fetched(first)).order_id
    assert seen.lines[0].order_key == a


async def test_a_line_without_a_variant_is_kept() -> None:
    """A deleted variant leaves a line that names no listing: its units must not look cancelled."""
    w = world()
    a = w.sell("A", 5)
    order_id = w.shop.checkout([(a, 2)])
    w.shop.variants[int(a)].deleted = True
    seen = await w.fetched(order_id)
    assert (seen.lines[0].order_key, seen.lines[0].open) == ("", 2)


async def test_an_order_that_is_gone_is_none() -> None:
    """A deleted order, and an id that never was one, are None and no error."""
    w = world()
    order_id = w.shop.checkout([(w.sell("A", 5), 1)])
    w.shop.delete_order(order_id)
    assert await w.connector.fetch_order(w.api, order_id, fetch=1) is None
    assert await w.connector.fetch_order(w.api, "not-a-number", fetch=1) is None
    *_, deletion = w.deliveries()
    assert w.read(deletion) == OrderHint("s", order_id)


@pytest.mark.parametrize("checked", [False, pytest.param(True, marks=needs_schema)])
async def test_nothing_nested_is_cut_off(checked: bool) -> None:
    """Lines, refunds, units of a refund, fulfilments and their units beyond one page all count."""
    w = world(checked=checked)
    many = [w.sell(f"S{i}", 100) for i in range(ORDER_LINES * 3 + 45)]
    order_id = w.shop.checkout([(listing, 3) for listing in many])
    order = w.shop.book.orders[int(order_id)]
    w.shop.ship_units(order_id, [(listing, 1) for listing in many])
    for listing in many[: ORDER_PARTS * 2]:
        w.shop.refund(order_id, listing, 1, restock=True)
        w.shop.ship_units(order_id, [(listing, 1)])
    w.shop.cancel(order_id, restock=True)
    assert len(order.refunds[-1].units) > 100 > ORDER_UNITS
    seen = await w.fetched(order_id)
    assert len(seen.lines) == len(many)
    assert numbers(seen) == numbers(told(w))
    assert sum(line.deducted or 0 for line in seen.lines) == sum(
        100 - w.shop.quantity(listing) for listing in many
    )


async def test_an_order_that_changes_is_read_again() -> None:
    """If the order changes between the pages of one reading, the reading begins again."""
    w = world()
    many = [w.sell(f"S{i}", 10) for i in range(ORDER_LINES + 5)]
    order_id = w.shop.checkout([(listing, 2) for listing in many])
    changes = [1]
    handle = w.shop.door.handlers["OrderLines"]

    def meddle(variables):
        answer = handle(variables)
        if changes and changes.pop():
            w.hands.move(2)
            w.shop.refund(order_id, many[0], 1, restock=True)
        return answer

    w.shop.door.handlers = {**w.shop.door.handlers, "OrderLines": meddle}
    seen = await w.fetched(order_id)
    assert seen.lines[0].deducted == 1
    assert w.shop.door.asked.count("Order") == 2


async def test_an_order_that_never_rests_is_reported() -> None:
    """An order that changes at every reading is a fault of the moment, not a wrong fact."""
    w = world()
    many = [w.sell(f"S{i}", 10) for i in range(ORDER_LINES + 5)]
    order_id = w.shop.checkout([(listing, 2) for listing in many])
    handle = w.shop.door.handlers["OrderLines"]

    def meddle(variables):
        w.hands.move(2)
        w.shop.book.orders[int(order_id)].updated_at = w.hands()
        return handle(variables)

    w.shop.door.handlers = {**w.shop.door.handlers, "OrderLines": meddle}
    with pytest.raises(ChannelUnavailable, match="kept changing"):
        await w.fetched(order_id)


async def test_a_fulfilment_underway_keeps_its_units_open() -> None:
    """Units handed to a fulfilment service have not left: both shapes keep them as demand."""
    w = world()
    a = w.sell("A", 5)
    order_id = w.shop.checkout([(a, 3)])
    order = w.shop.book.orders[int(order_id)]
    line: Line = order.lines[0]
    line.unfulfilled -= 2
    order.fulfilments.append(Fulfilment(1, "pending", [(line, 2)]))
    w.shop.edit(order_id, a, 3)
    seen = await w.fetched(order_id)
    assert (seen.lines[0].open, seen.lines[0].shipped) == (3, 0)
    assert numbers(told(w)) == numbers(seen)
