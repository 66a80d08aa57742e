"""WooCommerce: the table of counts, orders fetched and polled, fields resolved and observed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.connectors.base import Answer, OrderPage
from stockpush.connectors.woocommerce import owners
from stockpush.connectors.woocommerce.orders import FATES, Counts, Fate, counts
from stockpush.errors import AuthFailed, ChannelUnavailable, PayloadInvalid, RateLimited
from stockpush.messages import OrderHint, OrderSeen
from stockpush.model import FieldKey
from stockpush.sim.shops.base import ShopRequest
from tests.connectors.canned import CannedApi, answer
from tests.connectors.woocommerce_world import World, listing, make_connector, make_world, sample


@pytest.fixture
def world() -> World:
    """Return the shop of woocommerce_world."""
    return make_world()


# -- the table ----------------------------------------------------------------------------------

# (status, ordered, refunded, reduced) -> (open, shipped, written off)
TABLE: list[tuple[str, int, int, int, tuple[int, int, int]]] = [
    ("pending", 5, 0, 0, (5, 0, 0)),
    ("processing", 5, 0, 5, (5, 0, 0)),
    ("processing", 5, 0, 0, (5, 0, 0)),  # the shop has not taken them (yet)
    ("processing", 5, 2, 3, (3, 0, 0)),  # refunded and put back
    ("processing", 5, 2, 5, (3, 0, 2)),  # refunded, not put back
    ("processing", 5, 3, 4, (2, 0, 2)),  # one put back, two not
    ("processing", 3, 0, 5, (3, 0, 0)),  # edited down, the shop kept the rest
    ("processing", 5, 9, 5, (0, 0, 5)),  # more refunded than there is
    ("on-hold", 5, 1, 4, (4, 0, 0)),
    ("completed", 5, 0, 5, (0, 5, 0)),
    ("completed", 5, 2, 5, (0, 5, 0)),  # refunded after shipping, kept by the buyer
    ("completed", 5, 2, 3, (0, 3, 0)),  # returned and put back
    ("completed", 5, 0, 0, (0, 5, 0)),
    ("cancelled", 5, 0, 0, (0, 0, 0)),
    ("cancelled", 5, 2, 0, (0, 0, 0)),
    ("refunded", 5, 5, 5, (0, 0, 5)),
    ("refunded", 5, 5, 0, (0, 0, 0)),
    ("refunded", 5, 5, 2, (0, 0, 2)),
    ("failed", 5, 0, 5, (0, 0, 0)),
    ("trash", 5, 0, 5, (0, 0, 0)),
    ("checkout-draft", 5, 0, 0, (0, 0, 0)),
]


@pytest.mark.parametrize(("status", "ordered", "refunded", "reduced", "expected"), TABLE)
def test_table_of_counts(
    status: str, ordered: int, refunded: int, reduced: int, expected: tuple[int, int, int]
):
    """Status, ordered, refunded and reduced units decide where every unit stands."""
    found = counts(FATES[status], ordered=ordered, refunded=refunded, reduced=reduced)
    assert found == Counts(*expected)


@settings(max_examples=200)
@given(st.sampled_from(Fate), *[st.integers(0, 12)] * 3)
def test_counts_are_never_negative_nor_invented(
    fate: Fate, ordered: int, refunded: int, reduced: int
):
    """No place holds a negative number; open and shipped units were ordered."""
    found = counts(fate, ordered=ordered, refunded=refunded, reduced=reduced)
    assert min(found) >= 0
    assert found.open + found.shipped <= ordered
    assert found.open + found.written_off <= max(ordered, reduced)


# -- the table against the shop -----------------------------------------------------------------

History = Callable[[World], str]


def paid(*steps: Callable[[World, str], None]) -> History:
    """Return a history: five of product 30 are bought, then the steps happen."""

    def history(world: World) -> str:
        order = world.shop.checkout([("30", 5)])
        for step in steps:
            world.hands.move(60)
            step(world, order)
        return order

    return history


def unpaid(*steps: Callable[[World, str], None]) -> History:
    """Return a history that begins with an order that is not paid."""

    def history(world: World) -> str:
        order = world.shop.checkout([("30", 5)], paid=False)
        for step in steps:
            step(world, order)
        return order

    return history


def refund(units: int, *, restock: bool) -> Callable[[World, str], None]:
    """Return the step that refunds units."""
    return lambda world, order: world.shop.refund(order, "30", units, restock=restock)


def edit(units: int) -> Callable[[World, str], None]:
    """Return the step that sets the line's quantity."""
    return lambda world, order: world.shop.edit(order, "30", units)


def status(word: str) -> Callable[[World, str], None]:
    """Return the step that sets the order's status."""
    return lambda world, order: world.shop.set_status(order, word)


# history -> (open, shipped, written off, deducted)
HISTORIES: dict[str, tuple[History, tuple[int, int, int, int]]] = {
    "pending holds, deducts nothing": (unpaid(), (5, 0, 0, 0)),
    "paid": (paid(), (5, 0, 0, 5)),
    "on hold": (unpaid(status("on-hold")), (5, 0, 0, 5)),
    "shipped": (paid(status("completed")), (0, 5, 0, 5)),
    "cancelled": (paid(status("cancelled")), (0, 0, 0, 0)),
    "failed keeps what it took": (paid(status("failed")), (0, 0, 0, 5)),
    "trashed keeps what it took": (paid(status("trash")), (0, 0, 0, 5)),
    "shipped, then thrown away": (paid(status("completed"), status("trash")), (0, 5, 0, 5)),
    "shipped, cancelled, then thrown away": (
        paid(status("completed"), status("cancelled"), status("trash")),
        (0, 0, 0, 0),
    ),
    "back to pending restores": (paid(status("pending")), (5, 0, 0, 0)),
    "refund with restock": (paid(refund(2, restock=True)), (3, 0, 0, 3)),
    "refund without restock": (paid(refund(2, restock=False)), (3, 0, 2, 5)),
    "one of each": (paid(refund(2, restock=True), refund(1, restock=False)), (2, 0, 1, 3)),
    "shipped, returned": (paid(status("completed"), refund(2, restock=True)), (0, 3, 0, 3)),
    "shipped, refunded": (paid(status("completed"), refund(2, restock=False)), (0, 5, 0, 5)),
    "all refunded": (paid(refund(5, restock=False)), (0, 0, 5, 5)),
    "all returned": (paid(refund(5, restock=True)), (0, 0, 0, 0)),
    "edited up": (paid(edit(7)), (7, 0, 0, 7)),
    "edited down": (paid(edit(1)), (1, 0, 0, 1)),
    "refunded, then cancelled": (paid(refund(2, restock=False), status("cancelled")), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_counts_follow_the_shop(world: World, name: str):
    """After each history the fetched facts are these, and deducted is what the number lost."""
    history, expected = HISTORIES[name]
    order = history(world)
    assert await world.fetched_line(order) == expected
    assert world.shop.stock_quantity("30") == 7 - expected[3]


@pytest.mark.parametrize("name", HISTORIES)
async def test_webhook_and_fetch_say_the_same(world: World, name: str):
    """The facts of a webhook body equal those of a fetch, but for the fetch number."""
    order = HISTORIES[name][0](world)
    world.hands.move(2)
    seen = [
        world.read(each) for each in world.deliveries() if f'"id":{order},'.encode() in each.body
    ]
    assert seen
    fetched = await world.fetch(order)
    assert fetched is not None
    for each in seen:
        if isinstance(each, OrderHint):
            assert each.order_id == order
            continue
        assert isinstance(each, OrderSeen)
        assert each.version.fetch == 0
        assert each.version.updated_at == fetched.version.updated_at
        assert (each.lines, each.state, each.placed_at, each.deducted_at) == (
            fetched.lines,
            fetched.state,
            fetched.placed_at,
            fetched.deducted_at,
        )


async def test_unpaid_order_times_out(world: World):
    """Its hold ends after an hour: cancelled, nothing deducted, nothing open."""
    order = world.shop.checkout([("30", 5)], paid=False)
    world.hands.move(3601)
    assert await world.fetched_line(order) == (0, 0, 0, 0)


# -- fetch --------------------------------------------------------------------------------------


async def test_fetch_numbers_the_version(world: World):
    """The version is the order's own modification and the number of the fetch."""
    order = world.shop.checkout([("30", 1)])
    seen = await world.fetch(order, 7)
    assert seen is not None
    assert seen.version == (world.hands().replace(microsecond=0), 7)


async def test_refunds_are_read_for_a_fetch():
    """A stored order and its refunds: two refunded, one of them put back."""
    api = CannedApi([answer(sample("order_with_refund")), answer(sample("refunds_of_728"))])
    seen = await make_connector().fetch_order(api, "728", fetch=1)
    assert seen is not None
    line = seen.lines[0]
    assert (line.open, line.shipped, line.written_off, line.deducted) == (3, 0, 1, 4)
    assert [path for _, path, _ in api.sent] == [
        "/wp-json/wc/v3/orders/728",
        "/wp-json/wc/v3/orders/728/refunds",
    ]


async def test_refund_newer_than_the_order_is_left_out():
    """A refund that came between the two reads belongs to the order's next version."""
    refunds = json.loads(sample("refunds_of_728"))
    newer = {**refunds[0], "id": 999}
    body = json.dumps([newer, *refunds]).encode()
    api = CannedApi([answer(sample("order_with_refund")), answer(body)])
    seen = await make_connector().fetch_order(api, "728", fetch=1)
    assert seen is not None
    assert seen.lines[0].open == 3


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"quantity": -1, "meta_data": []}, "refunds[id=731]._refunded_item_id"),
        ({"quantity": -0.5, "meta_data": []}, "refunds[id=731].quantity"),
    ],
)
async def test_refund_that_names_no_line_is_refused(line: dict[str, Any], field: str):
    """Units that were refunded of nobody knows what must not be dropped silently."""
    body = json.dumps([{"id": 731, "line_items": [line]}]).encode()
    api = CannedApi([answer(sample("order_with_refund")), answer(body)])
    with pytest.raises(PayloadInvalid) as error:
        await make_connector().fetch_order(api, "728", fetch=1)
    assert error.value.field == field


async def test_refund_of_money_only_moves_nothing():
    """An amount without units has a quantity of 0 or no line at all."""
    body = json.dumps([{"id": 731, "line_items": [{"quantity": 0, "meta_data": []}]}]).encode()
    api = CannedApi([answer(sample("order_with_refund")), answer(body)])
    seen = await make_connector().fetch_order(api, "728", fetch=1)
    assert seen is not None
    assert seen.lines[0].open == 5


async def test_more_than_a_page_of_refunds_is_read():
    """Refunds go by pages too."""
    order = json.loads(sample("order_with_refund"))
    order["line_items"][0]["quantity"] = 150
    order["line_items"][0]["meta_data"] = [{"key": "_reduced_stock", "value": "150"}]
    order["refunds"] = [{"id": 1000 + n} for n in range(120)]
    meta = [{"key": "_refunded_item_id", "value": "320"}]
    rows = [
        {"id": 1000 + n, "line_items": [{"quantity": -1, "meta_data": meta}]} for n in range(120)
    ]
    api = CannedApi(
        [
            answer(json.dumps(order).encode()),
            answer(json.dumps(rows[:100]).encode(), x_wp_totalpages="2"),
            answer(json.dumps(rows[100:]).encode(), x_wp_totalpages="2"),
        ]
    )
    seen = await make_connector().fetch_order(api, "728", fetch=1)
    assert seen is not None
    assert (seen.lines[0].open, seen.lines[0].written_off) == (30, 120)


async def test_deleted_order_is_none(world: World):
    """What the shop itself says does not exist is None; so is an id that never was one."""
    order = world.shop.checkout([("30", 1)])
    world.shop.delete(order)
    assert await world.fetch(order) is None
    assert await world.fetch("gid://x") is None


async def test_trashed_order_is_found_by_id(world: World):
    """The trash hides it from polls; its id still leads to it, with nothing open."""
    order = world.shop.checkout([("30", 2)])
    world.shop.trash(order)
    assert [
        seen async for page in poll(world, "2026-11-22T10:00:00Z") for seen in page.orders
    ] == []
    assert await world.fetched_line(order) == (0, 0, 0, 2)


@pytest.mark.parametrize(
    "body", [b"<html>404</html>", b'{"code":"rest_no_route","message":"","data":{}}', b""]
)
async def test_404_of_a_site_without_rest_is_no_verdict(body: bytes):
    """A 404 that the platform did not give for this id must not cancel an order."""
    with pytest.raises(ChannelUnavailable, match="permalinks"):
        await make_connector().fetch_order(CannedApi([answer(body, 404)]), "727", fetch=1)


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"[]", b'{"id":1}', b"{"])
async def test_html_is_no_order(body: bytes):
    """A 200 that is not an order, a front page for example, is PayloadInvalid."""
    with pytest.raises(PayloadInvalid):
        await make_connector().fetch_order(CannedApi([answer(body)]), "727", fetch=1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("rate_limit_next", RateLimited), ("server_error_next", ChannelUnavailable)],
)
async def test_faults_of_a_read_pass_through(world: World, fault: str, error: type[Exception]):
    """What the door raises is not caught on the way."""
    order = world.shop.checkout([("30", 1)])
    setattr(world.shop.faults, fault, 1)
    with pytest.raises(error):
        await world.fetch(order)


async def test_wrong_key_is_auth_failed(world: World):
    """A key that the shop does not know is named as such."""
    world.api.connector = make_connector(consumer_secret="cs_other")
    with pytest.raises(AuthFailed):
        await world.fetch("1001")


# -- poll ---------------------------------------------------------------------------------------


async def poll(world: World, since: str | None, fetch: int = 1) -> Any:
    """Poll, page by page."""
    async for page in world.connector.poll_orders(world.api, since=since, fetch=fetch):
        yield page


async def polled(world: World, since: str | None) -> tuple[set[str], OrderPage]:
    """Return the ids of every order polled, and the last page."""
    pages = [page async for page in poll(world, since)]
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(page.cursor is None for page in pages[:-1])
    return {order.order_id for page in pages for order in page.orders}, pages[-1]


def asked(world: World) -> list[dict[str, str]]:
    """Return the queries of every order listing that was asked for."""
    return [dict(sent.query) for sent in world.api.sent if sent.path.endswith("/orders")]


async def test_first_poll_reads_open_orders_of_any_age_then_recent_ones(world: World):
    """An open order of last month counts; a closed one of last month does not."""
    old_open = world.shop.checkout([("30", 1)])
    old_closed = world.shop.checkout([("30", 1)])
    world.shop.ship(old_closed)
    world.hands.move(30 * 86400)
    recent = world.shop.checkout([("31:33", 1)])
    world.shop.ship(recent)
    ids, last = await polled(world, None)
    assert ids == {old_open, recent}
    assert last.cursor == "2026-12-22T10:00:00Z"


async def test_poll_asks_in_gmt(world: World):
    """The shop's zone is two hours ahead: only GMT filters find what is between."""
    _, first = await polled(world, None)
    world.hands.move(1200)
    order = world.shop.checkout([("30", 1)])
    ids, last = await polled(world, first.cursor)
    assert ids == {order}
    assert last.cursor == "2026-11-22T10:20:00Z"
    assert asked(world)[-1]["dates_are_gmt"] == "true"


async def test_overlap_finds_an_order_that_shows_up_late(world: World):
    """An order whose modification lies before the cursor, but inside the overlap, is found."""
    order = world.shop.checkout([("30", 1)])
    ids, _ = await polled(world, "2026-11-22T10:09:00Z")
    assert ids == {order}
    assert asked(world)[-1]["modified_after"] == "2026-11-22T09:59:00"


async def test_cursor_never_moves_by_our_clock_or_past_the_shops(world: World):
    """A quiet poll keeps its cursor; a cursor ahead of the shop's clock comes back to it."""
    world.hands.move(7200)
    _, quiet = await polled(world, "2026-11-22T10:05:00Z")
    assert quiet.cursor == "2026-11-22T10:05:00Z"
    _, ahead = await polled(world, "2027-01-01T00:00:00Z")
    assert ahead.cursor == "2026-11-22T12:00:00Z"


async def test_cursor_of_an_empty_shop_is_its_own_clock(world: World):
    """With no order to go by, the Date header is."""
    _, last = await polled(world, None)
    assert last.cursor == "2026-11-22T10:00:00Z"
    assert last.date == datetime.fromisoformat("2026-11-22T10:00:00Z")


async def test_every_page_is_read(world: World):
    """More than two pages, one hundred at a time, each order once."""
    world.shop.merchant_sets("30", 1000)
    orders = {world.shop.checkout([("30", 1)]) for _ in range(230)}
    pages = [page async for page in poll(world, "2026-11-22T10:00:00Z")]
    assert [len(page.orders) for page in pages] == [100, 100, 30]
    assert {order.order_id for page in pages for order in page.orders} == orders
    assert {query["per_page"] for query in asked(world)} == {"100"}
    assert {(query["orderby"], query["order"]) for query in asked(world)} == {("id", "asc")}


@pytest.mark.parametrize("closed", [1, 150])
async def test_shifting_pages_lose_no_order(world: World, closed: int):
    """Orders that leave the list while it is read move others up; those are read all the same."""
    world.shop.merchant_sets("30", 1000)
    orders = [world.shop.checkout([("30", 1)]) for _ in range(350)]
    world.hands.move(2 * 86400)  # so that only the listing of open orders can find them
    seen: set[str] = set()
    after_page = 2 if closed > 1 else 1
    pages = 0
    async for page in poll(world, None):
        seen |= {order.order_id for order in page.orders}
        pages += 1
        if pages == after_page:
            for order in orders[:closed]:
                world.shop.cancel(order)
    open_phase = [query for query in asked(world) if query["status"] != "any"]
    numbers = [int(query["page"]) for query in open_phase]
    assert numbers != sorted(set(numbers))  # a page was read once more
    assert seen >= set(orders[closed:])


async def test_poll_reads_refunds(world: World):
    """A polled order with refunds has the same facts as a fetched one."""
    order = world.shop.checkout([("30", 5)])
    world.shop.refund(order, "30", 2, restock=False)
    pages = [page async for page in poll(world, "2026-11-22T10:00:00Z")]
    assert pages[0].orders == (await world.fetch(order),)


async def test_unreadable_and_unknown_orders_do_not_stop_a_poll():
    """What cannot be read is set aside without its buyer; an unknown state is said to be so."""
    good = json.loads(sample("order_processing"))
    billing = {"first_name": "Canary"}
    bad = {**good, "id": 1, "line_items": "none", "billing": billing, "customer_note": "Canary"}
    odd = {**good, "id": 2, "status": "in-the-oven"}
    draft = {**good, "id": 3, "status": "checkout-draft"}
    body = json.dumps([bad, odd, draft, "text", good]).encode()
    api = CannedApi([answer(body, x_wp_total="5", x_wp_totalpages="1")])
    connector = make_connector()
    (page,) = [
        page async for page in connector.poll_orders(api, since="2026-11-22T10:00:00Z", fetch=1)
    ]
    assert [(order.order_id, order.state_known) for order in page.orders] == [
        ("2", False),
        ("727", True),
    ]
    (first, _, kept, _), (second, _, nothing, _) = page.unreadable
    assert (first, json.loads(kept)["status"]) == ("1", "processing")
    assert (second, nothing) == ("", b"")
    assert b"Canary" not in kept


async def test_poll_without_total_headers_goes_on_while_pages_are_full():
    """A host that strips headers still has its list read to the end."""
    good = json.loads(sample("order_processing"))
    rows = [{**good, "id": n + 1} for n in range(120)]
    api = CannedApi(
        [answer(json.dumps(rows[:100]).encode()), answer(json.dumps(rows[100:]).encode())]
    )
    pages = [
        page
        async for page in make_connector().poll_orders(api, since="2026-11-22T10:00:00Z", fetch=1)
    ]
    assert [len(page.orders) for page in pages] == [100, 20]


async def test_failing_page_fails_the_poll(world: World):
    """A poll that breaks never ends as complete."""
    world.shop.faults.server_error_next = 1
    with pytest.raises(ChannelUnavailable):
        await polled(world, "2026-11-22T10:00:00Z")


@dataclass
class SaysWait:
    """The door of a shop that answers 429 once it was asked for `left` orders' refunds."""

    world: World
    left: int
    asked: list[str] = field(default_factory=list)

    async def send(self, method: str, path: str, **given: Any) -> Answer:
        """Hand the request on, or say wait."""
        if path.endswith("/refunds"):
            if not self.left:
                raise RateLimited(retry_after_s=60)
            self.left -= 1
            self.asked.append(path.split("/")[-2])
        return await self.world.api.send(method, path, **given)

    def pause(self, seconds: float) -> None:
        """Take no notice."""


def refunded_orders(world: World, count: int) -> list[str]:
    """Place orders and refund a unit of each."""
    placed = [world.shop.checkout([("31:32", 2)]) for _ in range(count)]
    for each in placed:
        world.shop.refund(each, "31:32", 1, restock=True)
    return placed


async def told_before(door: SaysWait, since: str | None) -> tuple[list[str], OrderPage | None]:
    """Poll until the shop says wait; return the orders told, and the last page (None: it did)."""
    told: list[str] = []
    last: OrderPage | None = None
    with suppress(RateLimited):
        async for page in door.world.connector.poll_orders(door, since=since, fetch=1):
            told += [order.order_id for order in page.orders]
            last = page if page.last else None
            assert page.last == (page.cursor is not None)
    return told, last


@pytest.mark.parametrize("since", [None, "2026-11-22T10:00:00Z"])
async def test_a_poll_that_must_wait_goes_on_where_it_stood(world: World, since: str | None):
    """A shop that says wait while refunds are read: what was read is told, nothing is told as
    complete, and each further poll reads on from there until every order was told.
    """
    placed = refunded_orders(world, 5)
    told, asked_for = [], []
    for expected in (2, 2, 1):
        door = SaysWait(world, left=2)
        found, last = await told_before(door, since)
        assert len(found) == expected
        assert (last is None) == (expected == 2)
        told += found
        asked_for += door.asked
    assert sorted(told) == sorted(placed)
    assert sorted(asked_for) == sorted(placed)
    # The poll was complete, so the next one looks at everything in its overlap again.
    again = SaysWait(world, left=99)
    await told_before(again, "2026-11-22T10:00:00Z")
    assert sorted(again.asked) == sorted(placed)


async def test_an_order_that_changed_meanwhile_is_told_again(world: World):
    """Also within the second in which it was told: its body is another one."""
    first, second = refunded_orders(world, 2)
    since = "2026-11-22T10:00:00Z"
    assert (await told_before(SaysWait(world, left=1), since))[0] == [first]
    world.shop.refund(first, "31:32", 1, restock=True)
    assert (await told_before(SaysWait(world, left=99), since))[0] == [first, second]


async def test_what_nobody_took_counts_as_not_told(world: World):
    """Whoever polls failed to keep a page: its orders are read again."""
    placed = refunded_orders(world, 2)
    pages = world.connector.poll_orders(SaysWait(world, left=1), since=None, fetch=1)
    async for page in pages:
        assert [order.order_id for order in page.orders] == placed[:1]
        break
    await pages.aclose()
    door = SaysWait(world, left=99)
    await told_before(door, "2026-11-22T10:00:00Z")
    assert door.asked == placed


# -- resolve and observe ------------------------------------------------------------------------


async def test_resolve_finds_the_stock_owner(world: World):
    """A product, a variation with its own number, and one that sells by its parent's."""
    asked_for = [listing("30"), listing("31:32"), listing("31:33")]
    found = await world.connector.resolve(world.api, asked_for)
    assert [(each.order_key, each.field_key, each.problem) for each in found] == [
        ("30", "30", None),
        ("31:32", "31", None),
        ("31:33", "31:33", None),
    ]
    assert len(world.api.sent) == 2


async def test_resolve_names_what_a_person_must_mend(world: World):
    """Everything that makes a number useless is told in words; orders still find the listing."""
    world.shop.add_product(40, stock=None)
    world.shop.add_product(41, stock=None, type="grouped")
    world.shop.add_product(42, stock=None, type="external")
    world.shop.add_product(43, stock=3, backorders="notify")
    world.shop.add_product(44, stock=None, type="variable")
    world.shop.add_variation(44, 45, stock=None)
    expected = {
        "40": owners.NOT_MANAGED,
        "41": owners.NO_STOCK_TYPE.format(kind="grouped"),
        "42": owners.NO_STOCK_TYPE.format(kind="external"),
        "43": owners.OVERSELLS,
        "31": owners.NEEDS_VARIATION,
        "44:45": owners.NOT_MANAGED,
        "99": owners.GONE,
        "30:33": owners.GONE,
    }
    found = await world.connector.resolve(world.api, [listing(ref) for ref in expected])
    assert {each.listing.ref: each.problem for each in found} == expected
    assert all(each.order_key == each.listing.ref for each in found)


async def test_resolve_reads_more_than_a_page(world: World):
    """Listings go a hundred to a request."""
    for product_id in range(1000, 1150):
        world.shop.add_product(product_id, stock=1)
    asked_for = [listing(str(product_id)) for product_id in range(1000, 1150)]
    found = await world.connector.resolve(world.api, asked_for)
    assert [each.field_key for each in found] == [str(n) for n in range(1000, 1150)]
    assert len(world.api.sent) == 2


async def test_observe_reads_owners_in_one_request_per_route(world: World):
    """Products in one request, the variations of a parent in one more; signed numbers."""
    order = world.shop.checkout([("30", 5)], paid=False)
    world.hands.move(3601)
    world.shop.checkout([("30", 7)])
    world.shop.pay(order)
    fields = [FieldKey("w", key) for key in ("31:33", "30", "31")]
    found = await world.connector.observe(world.api, fields)
    assert [(each.field, each.quantity, each.problem) for each in found.readings] == [
        (fields[0], 5, None),
        (fields[1], -5, None),
        (fields[2], 12, None),
    ]
    assert found.date == world.hands().replace(microsecond=0)
    assert len(world.api.sent) == 2


async def test_observe_tells_why_a_field_has_no_number(world: World):
    """Switched off, gone, or moved to the parent since it was resolved."""
    world.shop.stop_managing("30")
    world.shop.stop_managing("31:33")
    fields = [FieldKey("w", key) for key in ("30", "31:33", "99", "31:99")]
    found = await world.connector.observe(world.api, fields)
    assert [(each.quantity, each.problem) for each in found.readings] == [
        (None, owners.NOT_MANAGED),
        (None, owners.SELLS_BY_PARENT),
        (None, owners.GONE),
        (None, owners.GONE),
    ]


@pytest.mark.parametrize("quantity", [0.5, "many", None, 10**10])
async def test_odd_number_does_not_hide_the_others(quantity: Any):
    """A quantity that is no whole number is that product's problem alone."""
    rows = [
        {"id": 1, "manage_stock": True, "stock_quantity": quantity},
        {"id": 2, "manage_stock": True, "stock_quantity": "4"},
    ]
    api = CannedApi([answer(json.dumps(rows).encode())])
    found = await make_connector().observe(api, [FieldKey("w", "1"), FieldKey("w", "2")])
    assert [(each.quantity, each.problem) for each in found.readings] == [
        (None, owners.NOT_WHOLE),
        (4, None),
    ]


async def test_requests_carry_no_secret_in_the_query(world: World):
    """Credentials go in the header only: queries land in logs."""
    await world.connector.observe(world.api, [FieldKey("w", "30")])
    sent: ShopRequest = world.api.sent[0]
    assert not any("consumer" in name for name, _ in sent.query)
    assert sent.headers["authorization"].startswith("Basic ")


# -- what the shop does behind our back -----------------------------------------------------------


async def test_products_are_never_asked_by_date(world: World):
    """A sale need not change a product's date: products are read by id, all that are asked for."""
    refs = ("30", "31:32", "31:33")
    await world.connector.resolve(world.api, [listing(ref) for ref in refs])
    fields = [FieldKey("w", key) for key in ("30", "31", "31:33")]
    await world.connector.observe(world.api, fields)
    await polled(world, None)
    world.shop.checkout([("30", 2)])
    found = await world.connector.observe(world.api, fields)
    assert [each.quantity for each in found.readings] == [5, 12, 5]
    products = [dict(sent.query) for sent in world.api.sent if "/products" in sent.path]
    assert products
    for query in products:
        assert "include" in query
        assert not {"modified_after", "modified_before", "after", "before"} & query.keys()


async def test_item_added_by_rest_is_open_and_whole(world: World):
    """Another program adds two units to a paid order by REST: they are demand, and the shop has
    taken nothing off its number for them.
    """
    order = world.shop.checkout([("30", 1)])
    world.shop.add_item_by_rest(order, "31:33", 2)
    seen = await world.fetch(order)
    assert seen is not None
    assert [(line.order_key, line.open, line.deducted) for line in seen.lines] == [
        ("30", 1, 1),
        ("31:33", 2, 0),
    ]
    assert world.shop.stock_quantity("31:33") == 5


async def test_change_during_a_delivery_is_polled(world: World):
    """The order is cancelled while its webhook is being delivered: no second one is queued, and
    the next poll tells.
    """
    world.shop.faults.trigger_lost_while_running = True
    _, before = await polled(world, None)
    order = world.shop.checkout([("30", 2)])
    world.hands.move(2)
    running = world.shop.webhooks_due()
    world.shop.cancel(order)
    for each in running:
        world.shop.webhook_answered(each, 200)
    world.hands.move(3600)
    told = [each for each in world.deliveries() if f'"id":{order},'.encode() in each.body]
    assert told == []
    pages = [page async for page in poll(world, before.cursor)]
    (seen,) = (each for page in pages for each in page.orders)
    assert (seen.order_id, seen.lines[0].open, seen.lines[0].deducted) == (order, 0, 0)


async def test_trashed_order_is_reconciled_by_id(world: World):
    """The trash tells a bare id and hides the order from polls; read by that id it has nothing
    open, and what the shop took it keeps.
    """
    order = world.shop.checkout([("30", 2)])
    world.hands.move(2)
    world.deliveries()
    world.shop.trash(order)
    world.hands.move(2)
    (deleted,) = world.deliveries("order.deleted")
    assert json.loads(deleted.body) == {"id": int(order)}
    hint = world.read(deleted)
    assert isinstance(hint, OrderHint)
    assert await world.fetched_line(hint.order_id) == (0, 0, 0, 2)


async def test_erased_decrement_shows_as_a_rise(world: World):
    """A form opened before a sale and saved after it puts the old number back: the order still
    says what was taken, the number does not.
    """
    save = world.shop.open_editor("30")
    order = world.shop.checkout([("30", 2)])
    assert world.shop.stock_quantity("30") == 5
    save()
    found = await world.connector.observe(world.api, [FieldKey("w", "30")])
    assert found.readings[0].quantity == 7
    assert await world.fetched_line(order) == (2, 0, 0, 2)
