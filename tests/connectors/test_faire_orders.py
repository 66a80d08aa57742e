"""Faire: the table of states, orders fetched and polled, backorders counted once."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.connectors.faire.orders import FATES, Fate, facts
from stockpush.connectors.faire.polling import LIMIT
from stockpush.connectors.faire.wire import Order
from stockpush.connectors.order_poll import FAULTS_MAX
from stockpush.connectors.payload import decode
from stockpush.errors import AuthFailed, ChannelUnavailable, PayloadInvalid, RateLimited
from stockpush.messages import OrderSeen
from stockpush.sim.shops.base import ShopAnswer, ShopRequest, SoldOut
from stockpush.sim.shops.faire.render import CANARY
from tests.connectors.canned import CannedApi, answer
from tests.connectors.faire_world import (
    ROOT,
    SAMPLES,
    A,
    B,
    World,
    make_connector,
    make_world,
    order,
)
from tests.connectors.hands import BEGUN
from tests.connectors.test_faire_push import Intercepted

READ_AT = BEGUN.replace(microsecond=0)
DATE = datetime(2026, 12, 24, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    """Return the account of faire_world."""
    return make_world()


def seen(value: dict[str, Any], **given: Any) -> OrderSeen:
    """Return the facts of an order's JSON."""
    return facts("f", decode(msgspec.json.encode(value), Order, what="order"), fetch=1, **given)


def counts(value: dict[str, Any], **given: Any) -> list[tuple[int, int]]:
    """Return (open, shipped) of each line."""
    return [(each.open, each.shipped) for each in seen(value, **given).lines]


# -- the table ------------------------------------------------------------------------------------

# (order state, item state) -> (open, shipped) of five pieces
TABLE: list[tuple[str, str | None, tuple[int, int]]] = [
    ("NEW", None, (5, 0)),
    ("NEW", "PROCESSING", (5, 0)),
    ("PENDING_RETAILER_CONFIRMATION", None, (5, 0)),
    ("PENDING_RETAILER_CONFIRMATION", "PENDING_RETAILER_CONFIRMATION", (5, 0)),
    ("PROCESSING", None, (5, 0)),
    ("PROCESSING", "PROCESSING", (5, 0)),
    ("PROCESSING", "CANCELED", (0, 0)),
    ("PROCESSING", "PRE_TRANSIT", (0, 5)),
    ("PRE_TRANSIT", None, (0, 5)),
    ("PRE_TRANSIT", "PROCESSING", (5, 0)),
    ("PRE_TRANSIT", "PRE_TRANSIT", (0, 5)),
    ("IN_TRANSIT", "IN_TRANSIT", (0, 5)),
    ("DELIVERED", "DELIVERED", (0, 5)),
    ("DELIVERED", "RETURNED", (0, 5)),
    ("DELIVERED", "DAMAGED_OR_MISSING", (0, 5)),
    ("CANCELED", "CANCELED", (0, 0)),
    ("CANCELED", None, (0, 0)),
    ("CANCELED", "PROCESSING", (0, 0)),
    ("CANCELED", "BACKORDERED", (0, 0)),
    ("CANCELED", "DELIVERED", (0, 5)),
    ("BACKORDERED", "BACKORDERED", (0, 0)),
    ("ON_A_CAMEL", None, (5, 0)),
    ("PROCESSING", "ON_A_CAMEL", (5, 0)),
    ("ON_A_CAMEL", "DELIVERED", (0, 5)),
]


@pytest.mark.parametrize(("state", "item", "expected"), TABLE)
def test_table_of_states(state: str, item: str | None, expected: tuple[int, int]) -> None:
    """A line's own state decides, the order's where it has none or is cancelled as a whole."""
    value = order({} if item is None else {"state": item}, state=state)
    assert counts(value) == [expected]
    known = state != "ON_A_CAMEL" and item != "ON_A_CAMEL"
    assert seen(value).state_known is known


def test_every_state_of_the_contract_has_a_fate(shared: Any) -> None:
    """No state of an order or an item is unknown, and none is made up."""
    path = shared / "contracts/faire/openapi.excerpt.json"
    schemas = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]
    states = {
        each
        for name in ("ExternalOrderV2.State", "ExternalOrderItemV2.State")
        for each in schemas[name]["enum"]
    }
    assert states == set(FATES)


@pytest.mark.parametrize("state", sorted(FATES))
def test_nothing_is_ever_deducted(state: str) -> None:
    """Faire takes no order off on hand: deducted is 0 in every state, and so is written off."""
    (line,) = seen(order({"state": state}, state=state)).lines
    assert (line.deducted, line.written_off) == (0, 0)


def test_a_backorder_is_reserved_only_with_a_date() -> None:
    """A date is a promise; without one the units are nobody's yet."""
    backordered = order({"state": "BACKORDERED"}, state="BACKORDERED")
    assert counts(backordered) == [(0, 0)]
    assert counts({**backordered, "expected_ship_date": "2026-12-24"}) == [(5, 0)]


def test_what_a_child_carries_is_taken_off_once() -> None:
    """Two lines of one variant wait, a child carries three of them: seven wait on."""
    waits = {"state": "BACKORDERED"}
    value = order(waits, waits, {"variant_id": B, **waits}, expected_ship_date="2026-12-24")
    assert counts(value, children={A: 3}) == [(2, 0), (5, 0), (5, 0)]


def test_a_tester_is_one_more_piece() -> None:
    """It has a price of its own, so it is taken for a piece beside the quantity."""
    (line,) = seen(order({"includes_tester": True})).lines
    assert (line.ordered, line.open) == (6, 6)


def test_an_order_that_faire_fulfils_has_no_lines_of_ours() -> None:
    """It is sent from Faire's stock; one that becomes so lets go of what was reserved."""
    assert seen(order(is_fulfilled_by_faire=True)).lines == ()
    assert counts(order(is_fulfilled_by_faire=False)) == [(5, 0)]


def test_lines_go_by_the_variant_and_not_by_the_sku_of_the_day() -> None:
    """The SKU on a line is that of the day it was ordered; only without an id is it used."""
    lines = seen(order({}, {"variant_id": None}, {"variant_id": "", "sku": None})).lines
    assert [line.order_key for line in lines] == [A, "sku/candle", "sku/"]
    assert lines[0].sku == "candle"
    (odd,) = seen(order({"variant_id": None, "sku": "a\0b\x1b[1m"})).lines
    assert odd.order_key == "sku/ab[1m", "nothing that a database or a terminal stumbles over"


def test_a_cancellation_that_was_only_asked_for_reserves_on() -> None:
    """The retailer wishes, the merchant decides."""
    assert counts(order(has_pending_retailer_cancellation_request=True)) == [(5, 0)]


def test_versions_and_instants_are_faires_own() -> None:
    """The last change is the version, in either form of ISO 8601."""
    value = order(updated_at="20261122T093000.000Z", created_at="20261120T080000.000Z")
    told = seen(value)
    assert told.version == (datetime(2026, 11, 22, 9, 30, tzinfo=UTC), 1)
    assert told.placed_at == told.deducted_at == datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "bo/1"},
        {"id": None},
        {"state": None},
        {"state": "x" * 200},
        {"updated_at": "yesterday"},
        {"created_at": None},
        {"items": None},
        {"items": [{"id": "oi_1", "quantity": 1.5}]},
        {"items": [{"id": "oi_1", "quantity": True}]},
        {"items": [{"id": "oi_1", "quantity": -1}]},
        {"items": [{"id": "oi_1", "quantity": 10**9 + 1}]},
        {"items": [{"id": "oi_1", "quantity": 10**9, "includes_tester": True}]},
        {"items": [{"id": "oi_1", "quantity": 1}, {"id": "oi_1", "quantity": 2}]},
    ],
)
def test_an_order_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    """Wrong types, sizes and ids: `PayloadInvalid` that names the field."""
    with pytest.raises(PayloadInvalid) as caught:
        seen({**order(), **changes})
    assert caught.value.field


@settings(max_examples=200)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"quantity": st.integers(0, 9), "state": st.sampled_from([*FATES, None, "NEWER"])},
            optional={"includes_tester": st.booleans()},
        ),
        max_size=5,
    ),
    st.sampled_from([*FATES, "NEWER"]),
    st.integers(0, 20),
    st.booleans(),
)
def test_units_are_never_invented(
    items: list[dict[str, Any]], state: str, carried: int, promised: bool
) -> None:
    """Every piece is in one place at most, and a child's pieces are not in the parent too."""
    value = {**order(*items, state=state), "items": order(*items)["items"] if items else []}
    if promised:
        value["expected_ship_date"] = "2026-12-24"
    alone, with_child = seen(value), seen(value, children={A: carried})
    for line in (*alone.lines, *with_child.lines):
        assert min(line.open, line.shipped) >= 0
        assert line.open + line.shipped <= line.ordered
    fewer = sum(line.open for line in alone.lines) - sum(line.open for line in with_child.lines)
    assert 0 <= fewer <= carried


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("order_new", [("po_7kqx2m9a4t", 24, 24, 0), ("po_3hzp8w5rfn", 6, 6, 0)]),
        ("order_partly_sent", [("po_7kqx2m9a4t", 24, 0, 24), ("po_3hzp8w5rfn", 6, 0, 0)]),
        ("order_backorder_child", [("po_3hzp8w5rfn", 6, 6, 0)]),
    ],
)
def test_samples(name: str, lines: list[tuple[str, int, int, int]]) -> None:
    """Orders in the shape of the published schema: (variant, ordered, open, shipped)."""
    body = (SAMPLES / f"{name}.json").read_bytes()
    told = facts("f", decode(body, Order, what="order"), fetch=1)
    found = [(each.order_key, each.ordered, each.open, each.shipped) for each in told.lines]
    assert found == lines


# -- the table against the account ---------------------------------------------------------------

Step = Callable[[World, str], object]

# steps after five of A were ordered -> (ordered, open, shipped, deducted) of the first line
HISTORIES: dict[str, tuple[list[Step], tuple[int, int, int, int]]] = {
    "new": ([], (5, 5, 0, 0)),
    "accepted": ([lambda w, o: w.shop.accept(o)], (5, 5, 0, 0)),
    "cancellation wished": ([lambda w, o: w.shop.wish_cancellation(o)], (5, 5, 0, 0)),
    "cancelled": ([lambda w, o: w.shop.cancel(o)], (5, 0, 0, 0)),
    "accepted, then cancelled": (
        [lambda w, o: w.shop.accept(o), lambda w, o: w.shop.cancel(o)],
        (5, 0, 0, 0),
    ),
    "shortened": ([lambda w, o: w.shop.edit(o, A, 3)], (3, 3, 0, 0)),
    "a line removed": ([lambda w, o: w.shop.edit(o, A, 0)], (5, 0, 0, 0)),
    "raised, to be confirmed": ([lambda w, o: w.shop.edit(o, A, 6)], (6, 6, 0, 0)),
    "raised and confirmed": (
        [lambda w, o: w.shop.edit(o, A, 6), lambda w, o: w.shop.confirm(o)],
        (6, 6, 0, 0),
    ),
    "refunded before sending": (
        [lambda w, o: w.shop.refund(o, A, 2, restock=True)],
        (3, 3, 0, 0),
    ),
    "shipped": ([lambda w, o: w.shop.ship(o)], (5, 0, 5, 0)),
    "delivered": ([lambda w, o: w.shop.ship(o), lambda w, o: w.shop.deliver(o)], (5, 0, 5, 0)),
    "delivered, returned": (
        [
            lambda w, o: w.shop.ship(o),
            lambda w, o: w.shop.deliver(o),
            lambda w, o: w.shop.refund(o, A, 5, restock=True),
        ],
        (5, 0, 5, 0),
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_histories(world: World, name: str) -> None:
    """What the account did to an order is what is read of it, and what the account itself says."""
    steps, expected = HISTORIES[name]
    placed = world.shop.checkout([(A, 5)])
    for step in steps:
        world.hands.move(60)
        step(world, placed)
    assert await world.line(placed) == expected
    (truth,) = world.shop.lines()
    assert (truth.ordered, truth.open, truth.shipped) == expected[:3]


async def test_a_state_that_nobody_knows_is_still_open(world: World) -> None:
    """Not in the contract, so past its check: reserved, flagged, and committed by the account."""
    placed = world.shop.checkout([(A, 5)])
    world.shop.set_state(placed, "ON_A_CAMEL")
    world.api.shop = world.shop
    told = await world.fetch(placed)
    assert (told.state, told.state_known, told.lines[0].open) == ("ON_A_CAMEL", False, 5)
    assert world.shop.committed(A) == 5


async def test_a_new_orders_items_have_no_state_of_their_own(world: World) -> None:
    """The account shows none, and the order's own counts."""
    placed = world.shop.checkout([(A, 5)])
    told = await world.fetch(placed)
    assert (told.state, told.lines[0].open) == ("NEW", 5)


# -- backorders -----------------------------------------------------------------------------------


async def total_open(world: World) -> int:
    """Return the open pieces of A over every order, as a first poll tells them."""
    newest: dict[str, OrderSeen] = {}
    for page in await world.poll():
        newest |= {each.order_id: each for each in page.orders}
    lines = [line for each in newest.values() for line in each.lines if line.order_key == A]
    return sum(line.open for line in lines)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("units", [2, 5])
@pytest.mark.parametrize("child", [True, False])
@pytest.mark.parametrize("dated", [True, False])
async def test_parent_and_child_are_counted_once(
    keeps: bool, units: int, child: bool, dated: bool
) -> None:
    """Whether the parent keeps a BACKORDERED line or not, has a date of its own or not, and
    whether a child exists yet.
    """
    world = make_world(parents_keep_backorders=keeps)
    placed = world.shop.checkout([(A, 5)])
    world.shop.accept(placed, expected=DATE if dated else None)
    world.hands.move(60)
    carrier = world.shop.backorder(placed, A, units, until=DATE, child=child)
    assert (carrier != placed) is child
    assert await total_open(world) == 5
    assert sum(line.open for line in world.shop.lines()) == 5
    world.hands.move(60)
    world.shop.resume(carrier)
    assert await total_open(world) == 5
    world.hands.move(60)
    world.shop.cancel(carrier)
    assert await total_open(world) == (5 - units if child else 0)


async def test_a_child_that_a_poll_brings_has_its_parent_read_anew(world: World) -> None:
    """The parent's last change may be older than the child: it is fetched, once in a poll."""
    placed = world.shop.checkout([(A, 5)])
    world.shop.checkout([(B, 1)])
    world.hands.move(3600)
    carrier = world.shop.backorder(placed, A, 5, until=DATE)
    world.hands.move(3600)
    world.shop.resume(carrier)  # only the child is in reach of the next poll
    (page,) = await world.poll(BEGUN.replace(hour=12).isoformat(), number=7)
    assert [each.order_id for each in page.orders] == [carrier, placed]
    parent = page.orders[1]
    assert parent.version.fetch == 7
    assert [line.open for line in parent.lines] == [0]
    assert world.queries(f"{ROOT}/orders/{placed}") == [[]]


async def test_a_parent_that_cannot_be_read_is_set_aside_by_its_own_id() -> None:
    """The child's facts stand; the parent is named, to be fetched by itself."""
    child = order({"state": "PROCESSING"}, id="bo_2", original_order_id="bo_1")
    api = CannedApi([answer({"orders": [child]}), answer({"message": "?"}, 400)])
    pages = make_connector().poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
    (page,) = [each async for each in pages]
    assert [each.order_id for each in page.orders] == ["bo_2"]
    assert [(each[0], each[2]) for each in page.unreadable] == [("bo_1", b'{"id":"bo_1"}')]


def act(world: World, kind: str, pick: int, units: int) -> None:
    """Let the account's people do one thing, if the platform lets them."""
    orders = sorted({line.order_id for line in world.shop.lines()})
    with suppress(ValueError, LookupError, SoldOut):
        if not orders or (kind == "checkout" and len(orders) < 5):
            world.shop.checkout([(A, units), (B, 1)][: 1 + pick % 2], tester=pick % 5 == 0)
            return
        order_id = orders[pick % len(orders)]
        match kind:
            case "edit":
                world.shop.edit(order_id, A, units - 1)
            case "refund":
                world.shop.refund(order_id, A, units, restock=True)
            case "backorder":
                world.shop.backorder(order_id, A, units, until=DATE, child=pick % 3 > 0)
            case "resume" if world.shop.state(order_id) == "BACKORDERED":
                world.shop.resume(order_id)
            case "deliver" if world.shop.state(order_id) == "PRE_TRANSIT":
                world.shop.deliver(order_id)
            case "accept" if world.shop.state(order_id) == "NEW":
                world.shop.accept(order_id, expected=DATE)
            case "cancel":
                world.shop.cancel(order_id)
            case "ship" if world.shop.state(order_id) in {"NEW", "PROCESSING"}:
                world.shop.ship(order_id)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "checkout",
                    "accept",
                    "edit",
                    "refund",
                    "backorder",
                    "resume",
                    "cancel",
                    "ship",
                    "deliver",
                ]
            ),
            st.integers(0, 9),
            st.integers(1, 4),
        ),
        min_size=3,
        max_size=25,
    ),
    st.booleans(),
)
async def test_any_history_is_read_as_the_account_has_it(
    history: list[tuple[str, int, int]], keeps: bool
) -> None:  # fmt: skip
    """Whatever the people do: open and shipped pieces of each variant, over all orders, are the
    account's own, and what is open is what it has committed.
    """
    world = make_world(parents_keep_backorders=keeps)
    world.shop.merchant_sets(A, 1000)
    for kind, pick, units in history:
        world.hands.move(30)
        act(world, kind, pick, units)
    newest: dict[str, OrderSeen] = {}
    for page in await world.poll():
        assert page.unreadable == ()
        newest |= {each.order_id: each for each in page.orders}
    for variant in (A, B):
        told = [
            line for each in newest.values() for line in each.lines if line.order_key == variant
        ]
        truth = [line for line in world.shop.lines() if line.listing == variant]
        assert sum(line.open for line in told) == sum(line.open for line in truth)
        assert sum(line.shipped for line in told) == sum(line.shipped for line in truth)
        assert sum(line.open for line in told) == world.shop.committed(variant)


# -- polls ----------------------------------------------------------------------------------------


async def test_a_first_poll_reads_open_orders_of_any_age_and_then_the_recent(world: World) -> None:
    """What is closed is excluded by state; then everything of the last day; then the cursor."""
    old = world.shop.checkout([(A, 1)])
    shipped = world.shop.checkout([(A, 1)])
    world.shop.ship(shipped)
    world.hands.move(40 * 86400)
    world.shop.checkout([(A, 1)])
    recent = world.shop.checkout([(A, 1)])
    world.shop.cancel(recent)
    pages = await world.poll()
    assert [[each.order_id for each in page.orders] for page in pages] == [
        [old, "bo_1003"],
        ["bo_1003", recent],
    ]
    assert [page.last for page in pages] == [False, True]
    assert pages[-1].cursor == "2027-01-01T10:00:00Z"
    assert world.queries() == [
        [
            ("limit", "50"),
            ("excluded_states", "PRE_TRANSIT,IN_TRANSIT,DELIVERED,CANCELED"),
            ("sort_by", "UPDATED_AT"),
        ],
        [
            ("limit", "50"),
            ("updated_at_min", "2026-12-31T10:00:00.000Z"),
            ("sort_by", "UPDATED_AT"),
        ],
    ]


async def test_the_next_poll_overlaps(world: World) -> None:
    """Ten minutes are taken off the cursor, which is the newest change seen and never our now."""
    world.shop.checkout([(A, 1)])
    (*_, last) = await world.poll()
    world.hands.move(3600)
    (page,) = await world.poll(last.cursor)
    assert world.queries()[-1][1] == ("updated_at_min", "2026-11-22T09:50:00.000Z")
    assert len(page.orders) == 1
    assert page.cursor == last.cursor


async def test_a_change_ahead_of_the_date_header_does_not_move_the_cursor_past_it() -> None:
    """A clock that was set back must not hide what comes before the order."""
    ahead = order(updated_at="2026-11-22T23:00:00.000Z")
    api = CannedApi([answer({"orders": [ahead]})])
    pages = make_connector().poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
    (page,) = [each async for each in pages]
    assert page.cursor == "2026-11-22T10:00:00Z"


async def test_a_cursor_that_is_not_ours_is_refused() -> None:
    """Nothing is asked with it."""
    api = CannedApi([])
    with pytest.raises(PayloadInvalid):
        [page async for page in make_connector().poll_orders(api, since="page-7", fetch=1)]


def buy(world: World, orders: int) -> list[str]:
    """Place many orders of one piece, one a second; return their ids."""
    world.shop.merchant_sets(A, 10_000)
    placed = []
    for _ in range(orders):
        world.hands.move(1)
        placed.append(world.shop.checkout([(A, 1)]))
    return placed


@pytest.mark.parametrize("filters", ["refused", "needed", "ignored"])
async def test_every_page_is_read_whatever_a_cursor_wants_beside_it(
    world: World, filters: str
) -> None:
    """The cursor goes alone; where it is refused alone, the filters go along."""
    world.shop.habits.filters_beside_cursor = filters
    placed = buy(world, 120)
    pages = await world.poll(BEGUN.isoformat())
    assert [each.order_id for page in pages for each in page.orders] == placed
    assert [page.last for page in pages] == [False, False, True]
    assert pages[-1].cursor is not None
    beside = [len(query) for query in world.queries() if dict(query).get("cursor")]
    assert beside == ([2, 4, 4] if filters == "needed" else [2, 2])


@pytest.mark.parametrize("orders", [0, 49, 50, 51, 100, 120])
async def test_full_pages_without_a_cursor_are_followed_by_number(
    world: World, orders: int
) -> None:
    """One client saw no cursors at all: a poll that ends after one page would lose sales."""
    world.shop.habits.cursors = False
    placed = buy(world, orders)
    pages = await world.poll(BEGUN.isoformat())
    assert [each.order_id for page in pages for each in page.orders] == placed
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]


@pytest.mark.parametrize("since", [None, BEGUN.isoformat()])
@pytest.mark.parametrize("apart_s", [30, 1, 0.04, 0])
@pytest.mark.parametrize("number", [2, 3])
async def test_no_order_is_lost_where_pages_shift(
    world: World, since: str | None, apart_s: float, number: int
) -> None:
    """Without cursors everything behind an order that changes moves up by one, past the next page.

    Orders at an instant each, and many at one: after this poll and the next one all were told.
    """
    world.shop.habits.cursors = False
    world.shop.merchant_sets(A, 10_000)
    placed = []
    for _ in range(130):
        world.hands.move(apart_s)
        placed.append(world.shop.checkout([(A, 1)]))
    handle = world.api.shop.handle
    asked = iter(range(1, 1000))

    def handled(request: ShopRequest) -> ShopAnswer:
        if request.path.endswith("/orders") and next(asked) == number:
            world.hands.move(1)
            world.shop.accept(placed[3])
        return handle(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    pages = await world.poll(since)
    pages += await world.poll(pages[-1].cursor)
    assert {each.order_id for page in pages for each in page.orders} == set(placed)


async def test_a_whole_page_at_one_instant_is_followed_by_number() -> None:
    """Else the same page would come again and again; and a bound that leads back is no end."""
    instant = "2026-11-22T10:00:00.000Z"
    same = [order(id=f"bo_{number}", updated_at=instant) for number in range(120)]
    later = [order(id="bo_later", updated_at="2026-11-22T10:00:09.000Z")]
    api = CannedApi(
        [answer({"orders": same[start : start + 50]}) for start in (0, 0, 50)]
        + [answer({"orders": [*same[100:], *later]})]
    )
    pages = make_connector().poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
    told = [each.order_id async for page in pages for each in page.orders]
    assert told == [each["id"] for each in (*same, *later)]
    bound = ("updated_at_min", "2026-11-22T09:59:59.000Z")
    for number, (_, _, query) in enumerate(api.sent[1:], start=1):
        assert bound in query
        assert (("page", str(number)) in query) is (number > 1)


@pytest.mark.parametrize("orders", [0, 10, 49, 50])
async def test_one_page_is_one_request(world: World, orders: int) -> None:
    """With cursors a page without one is the last, unless it is full."""
    buy(world, orders)
    await world.poll(BEGUN.isoformat())
    assert len(world.queries()) == (2 if orders == LIMIT else 1)


async def test_an_empty_page_ends_the_poll_whatever_its_cursor() -> None:
    """A cursor that is always there leads to an empty page, and no further."""
    full = {"orders": [order(id="bo_1")], "cursor": "x"}
    api = CannedApi([answer(full), answer({"orders": [], "cursor": "y"})])
    pages = make_connector().poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
    assert [page.last async for page in pages] == [False, True]
    assert api.sent[1][2] == [("limit", "50"), ("cursor", "x")]


def page_of(*numbers: int, cursor: str | None = None) -> Any:
    """Return an answer with orders of these numbers, each a second younger than the one before."""
    orders = [
        order(id=f"bo_{number}", updated_at=f"2026-11-22T09:{number // 60:02}:{number % 60:02}Z")
        for number in numbers
    ]
    return answer({"orders": orders} | ({} if cursor is None else {"cursor": cursor}))


async def polled(api: CannedApi) -> tuple[list[str], bool]:
    """Poll until it ends or breaks; return what was told, and whether it is complete."""
    pages = make_connector().poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
    told, last = [], False
    with suppress(PayloadInvalid):
        async for page in pages:
            told += [each.order_id for each in page.orders]
            last = page.last
    return told, last


@pytest.mark.parametrize(
    "pages",
    [
        [page_of(1, cursor="x"), page_of(1, cursor="x")],
        [page_of(1, cursor="x"), page_of(2, cursor="y"), page_of(1, cursor="x")],
        [page_of(1, cursor="x"), page_of(2, cursor="y"), page_of(2, 1, cursor="z")],
        [page_of(*range(LIMIT))] + [page_of(*range(48, 98))] * 3,
        [page_of(*[7] * 50), page_of(*[7] * 50), page_of(*[7] * 50)],
    ],
)
async def test_pages_that_lead_back_are_no_end(pages: list[Any]) -> None:
    """There may be more behind what was shown already: the poll is not complete, and says so."""
    told, last = await polled(CannedApi(pages))
    assert (len(told), last) == (len(set(told)), False)


async def test_a_last_page_that_repeats_itself_is_the_end() -> None:
    """It names no further page."""
    api = CannedApi([page_of(1, cursor="x"), page_of(1)])
    assert await polled(api) == (["bo_1"], True)


FIRST, SECOND = [*range(70, 120)], [*range(20, 70)]
"""The younger fifty orders, and the older fifty behind them."""


@pytest.mark.parametrize("since", ["2026-11-22T09:00:00.000Z", None])
async def test_a_list_out_of_order_loses_no_order(since: str | None) -> None:
    """Without cursors the newest change of a page is no place to go on from where older orders come
    behind it: the pages are counted, until two readings were alike.
    """
    down = FIRST[::-1]
    counted = [page_of(*down), page_of(*SECOND), page_of(1)]
    api = CannedApi([page_of(), page_of(*down)][since is not None :] + counted * 2)
    pages = [page async for page in make_connector().poll_orders(api, since=since, fetch=1)]
    told = [each.order_id for page in pages for each in page.orders]
    assert sorted(told) == sorted(f"bo_{number}" for number in [*FIRST, *SECOND, 1])
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert api.answers == []
    assert [dict(query).get("page") for *_, query in api.sent[-3:]] == [None, "2", "3"]


async def test_a_list_out_of_order_that_shifts_is_read_until_it_stands_still() -> None:
    """An order that slips past a page while it is counted is in the next reading; only one that is
    like the one before it completes the poll.
    """
    down = FIRST[::-1]
    shifted = [page_of(*down), page_of(*SECOND[1:], 2), page_of(1)]
    still = [page_of(*down), page_of(*SECOND), page_of(2, 1)]
    told, last = await polled(CannedApi([page_of(*down), *shifted, *still, *still]))
    assert (len(told), len(set(told)), last) == (102, 102, True)
    told, last = await polled(CannedApi([page_of(*down), *(shifted + still) * 2]))
    assert (len(set(told)), last) == (102, False)


# -- being told to wait ----------------------------------------------------------------------------


def waiting(*numbers: int) -> Any:
    """Return a page of orders of which each has children to ask for."""
    orders = [
        order({"state": "BACKORDERED"}, id=f"bo_{number}", state="BACKORDERED")
        for number in numbers
    ]
    return answer({"orders": orders})


async def test_a_poll_that_must_wait_for_children_keeps_what_it_has() -> None:
    """What was read until then is told, nothing is complete, and the next poll asks only for what
    is not told yet; once one was complete, everything is read anew.
    """
    connector = make_connector()
    child = answer({"orders": []})
    asked: list[list[str]] = []

    async def polls(*answers: Any) -> tuple[list[str], bool]:
        api = CannedApi([*answers])
        pages = connector.poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
        told, last = [], False
        with suppress(RateLimited):
            async for page in pages:
                told += [each.order_id for each in page.orders]
                last = page.last
        queries = (dict(query) for *_, query in api.sent)
        asked.append([each["original_order_id"] for each in queries if "original_order_id" in each])
        return told, last

    wait = RateLimited(retry_after_s=3)
    assert await polls(waiting(1, 2, 3), child, child, wait) == (["bo_1", "bo_2"], False)
    assert await polls(waiting(1, 2, 3), child) == (["bo_3"], True)
    assert await polls(waiting(1, 2), child, child) == (["bo_1", "bo_2"], True)
    assert asked == [["bo_1", "bo_2", "bo_3"], ["bo_3"], ["bo_1", "bo_2"]]


async def test_a_child_whose_parent_must_wait_is_not_told_yet() -> None:
    """Both are read again: the parent's units are known only with it."""
    connector = make_connector()
    child = answer({"orders": [order(id="bo_2", original_order_id="bo_1")]})
    told = []
    for parent in (RateLimited(retry_after_s=3), answer(order(id="bo_1"))):
        pages = connector.poll_orders(
            CannedApi([child, parent]), since="2026-11-22T09:00:00.000Z", fetch=1
        )
        with suppress(RateLimited):
            told += [[each.order_id for each in page.orders] async for page in pages]
    assert told[-1] == ["bo_2", "bo_1"]


async def test_an_order_that_changes_between_two_pages_is_seen_again(world: World) -> None:
    """It moves to the end, behind the cursor: nothing is lost, and it is told twice."""
    placed = buy(world, 60)
    handle = world.api.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        if any(name == "cursor" for name, _ in request.query):
            world.hands.move(1)
            world.shop.accept(placed[3])
        return handle(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    pages = await world.poll(BEGUN.isoformat())
    told = [each.order_id for page in pages for each in page.orders]
    assert set(told) == set(placed)
    assert told[-1] == placed[3]


async def test_an_order_that_cannot_be_read_hides_no_other_and_tells_no_name() -> None:
    """Its id is named, and only what is needed to read it again is kept."""
    odd = {**order({"quantity": "many"}, id="bo_7"), "address": {"name": CANARY}, "notes": CANARY}
    answers = [answer({"orders": [order(id="bo_1"), odd, ["?"], order(id="bo_9")]})]
    pages = make_connector().poll_orders(
        CannedApi([*answers]), since="2026-11-22T09:00:00.000Z", fetch=1
    )
    (page,) = [each async for each in pages]
    assert [each.order_id for each in page.orders] == ["bo_1", "bo_9"]
    assert [each[0] for each in page.unreadable] == ["bo_7", ""]
    assert CANARY.encode() not in b"".join(each[2] for each in page.unreadable)
    assert json.loads(page.unreadable[0][2])["items"][0]["quantity"] == "many"


async def test_nothing_of_a_buyer_is_kept(world: World) -> None:
    """Names, addresses and notes of an order come out nowhere."""
    placed = world.shop.checkout([(A, 1)])
    assert CANARY not in repr(await world.fetch(placed))
    assert CANARY not in repr(await world.poll())
    assert any(CANARY.encode() in world.shop.handle(sent).body for sent in world.api.sent)


async def test_faire_being_down_is_not_many_unreadable_orders() -> None:
    """A few orders whose children cannot be had are set aside; more means that Faire is down."""
    waits = [
        order({"state": "BACKORDERED"}, id=f"bo_{number}", state="BACKORDERED")
        for number in range(FAULTS_MAX + 1)
    ]
    down = [ChannelUnavailable()] * (FAULTS_MAX + 1)
    api = CannedApi([answer({"orders": waits}), *down])
    pages = make_connector().poll_orders(api, since="2026-11-22T09:00:00.000Z", fetch=1)
    with pytest.raises(ChannelUnavailable):
        [page async for page in pages]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(b"<html>"), ChannelUnavailable),
        (answer({"message": "limit must be between 10 and 50"}, 400), PayloadInvalid),
        (answer({"order": []}), PayloadInvalid),
        (AuthFailed(found=401), AuthFailed),
        (RateLimited(retry_after_s=3), RateLimited),
    ],
)
async def test_a_poll_that_fails_is_named(given: Any, error: type[Exception]) -> None:
    """Pages of HTML, refusals and other shapes."""
    pages = make_connector().poll_orders(CannedApi([given]), since=None, fetch=1)
    with pytest.raises(error):
        [page async for page in pages]


async def test_a_fulfilled_by_faire_order_is_told_without_lines(world: World) -> None:
    """It is polled like any other and takes nothing of ours."""
    placed = world.shop.checkout([(A, 3)], by_faire=True)
    (page, _) = await world.poll()
    assert [(each.order_id, each.lines) for each in page.orders] == [(placed, ())]
    assert world.shop.committed(A) == 0


# -- one order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order_id", ["", "../orders", "bo 1", "bo_1/x", "b" * 101])
async def test_what_was_never_an_id_is_not_asked_for(world: World, order_id: str) -> None:
    """It cannot stand in a path, and it is gone."""
    assert await world.connector.fetch_order(world.api, order_id, fetch=1) is None
    assert world.api.sent == []


async def test_an_order_that_faire_does_not_know_is_gone(world: World) -> None:
    """Only if the API itself says so."""
    assert await world.connector.fetch_order(world.api, "bo_999", fetch=1) is None


@pytest.mark.parametrize("body", [b"<html>Page not found</html>", b"", b"no"])
async def test_a_404_of_somebody_else_says_nothing_of_an_order(body: bytes) -> None:
    """A page or an empty answer of something before the API lets go of no reservation."""
    api = CannedApi([answer(body, 404)])
    with pytest.raises((ChannelUnavailable, PayloadInvalid)):
        await make_connector().fetch_order(api, "bo_1", fetch=1)


async def test_fetches_are_numbered(world: World) -> None:
    """At one last change the higher number wins."""
    placed = world.shop.checkout([(A, 1)])
    assert (await world.fetch(placed, 3)).version == (READ_AT, 3)


def test_fate_is_a_closed_set() -> None:
    """Four places where units can be."""
    assert set(FATES.values()) == set(Fate)


async def test_order_lists_lag_and_single_orders_do_not(world: World) -> None:
    """A new order may be found late; the overlap is longer than that."""
    world.shop.faults.orders_lag_s = 60.0
    placed = world.shop.checkout([(A, 1)])
    (first,) = await world.poll(BEGUN.isoformat())
    assert first.orders == ()
    assert (await world.fetch(placed)).order_id == placed
    world.hands.move(60)
    (second,) = await world.poll((BEGUN + timedelta(seconds=30)).isoformat())
    assert [each.order_id for each in second.orders] == [placed]
