"""A shop of one's own: the protocol of docs/channels/generic.md, both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import Answer, Moment
from stockpush.connectors.generic import products
from stockpush.errors import (
    AuthFailed,
    CatalogueInvalid,
    ChannelUnavailable,
    ConfigInvalid,
    OutcomeUnknown,
    PayloadInvalid,
    RateLimited,
    SignatureInvalid,
)
from stockpush.messages import Nothing, OrderHint, OrderSeen, QuantityHint
from stockpush.model import FieldKey
from stockpush.model import PushOutcomeKind as Kind
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.connectors.canned import CannedApi, answer
from tests.connectors.generic_world import (
    KEY,
    READ_AT,
    SECRET,
    SETTINGS,
    A,
    B,
    C,
    World,
    line,
    listing,
    make_connector,
    make_world,
    order,
    signed,
)
from tests.connectors.hands import BEGUN
from tests.connectors.test_faire_push import Intercepted

PAGE = (Path(__file__).parents[2] / "docs/channels/generic.md").read_text(encoding="utf-8")
HTML = b"<html>Please log in</html>"


@pytest.fixture
def world() -> World:
    """Return the shop of generic_world."""
    return make_world()


# -- settings, references -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_url": ""}, "base_url"),
        ({"base_url": "http://shop.example"}, "base_url"),
        ({"base_url": "shop.example"}, "base_url"),
        ({"base_url": "https://me@shop.example"}, "base_url"),
        ({"base_url": "https://shop.example?x=1"}, "base_url"),
        ({"base_url": "https://[::1"}, "base_url"),
        ({"access_token": ""}, "access_token"),
        ({"access_token": "two words"}, "access_token"),
        ({"access_token": "schlüssel"}, "access_token"),
        ({"webhook_secret": ""}, "webhook_secret"),
        ({"webhook_secret": "whsec_%%%"}, "webhook_secret"),
        ({"webhook_secret": "whsec_c2hvcnQ="}, "webhook_secret"),
        ({"webhook_secret_previous": "whsec_"}, "webhook_secret_previous"),
        ({"shop": "mine"}, "shop"),
    ],
)
def test_a_bad_setting_is_named(changes: dict[str, str], field: str) -> None:
    """What is missing, unknown or impossible is said by name, never with a secret."""
    with pytest.raises(ConfigInvalid) as caught:
        make_connector(**changes)
    assert caught.value.field == field
    assert "schlüssel" not in str(caught.value.as_json())


def test_settings_are_not_shown() -> None:
    """A connector that is printed shows no credential."""
    shown = repr(make_connector())
    assert SETTINGS["access_token"] not in shown
    assert KEY.decode() not in shown
    assert SECRET not in shown


def test_a_reference_is_the_shops_own_name() -> None:
    """One that can stand in an address as it is."""
    connector = make_connector()
    assert connector.ref({"product": "candle-lav_2.x~"}) == "candle-lav_2.x~"
    assert connector.together("candle") == "candle"
    assert connector.renewal() is None
    for given_, field in (
        ({}, "product"),
        ({"product": "a/b"}, "product"),
        ({"product": ".."}, "product"),
        ({"product": "a b"}, "product"),
        ({"product": 7}, "product"),
        ({"product": "a" * 101}, "product"),
        ({"product": "a", "sku": "a"}, "sku"),
    ):
        with pytest.raises(CatalogueInvalid) as caught:
            connector.ref(given_)
        assert caught.value.field == field


# -- the page -------------------------------------------------------------------------------------


def examples() -> list[Any]:
    """Return every JSON example of the protocol's page."""
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


async def test_the_pages_examples_are_understood() -> None:
    """Numbers, and a page of orders, as docs/channels/generic.md shows them."""
    quantities, write, listed = examples()
    connector = make_connector()
    keys = [FieldKey("g", name) for name in ("candle-lav", "print", "unknown")]
    readings = await connector.observe(CannedApi([answer(quantities)]), keys)
    assert [(each.quantity, each.problem) for each in readings.readings] == [
        (7, None),
        (None, products.NOT_TRACKED),
        (None, products.GONE),
    ]
    assert set(write) == {"expected", "quantity", "call"}
    api = CannedApi([answer(listed), answer({"orders": []})])
    pages = [each async for each in connector.poll_orders(api, since="2026-11-22T10:00Z", fetch=1)]
    (told,) = pages[0].orders
    assert [(each.order_key, each.ordered, each.open, each.deducted) for each in told.lines] == [
        ("candle-lav", 3, 2, 2)
    ]
    assert api.sent[1][2] == [("cursor", listed["next"]), ("limit", "100")]


def test_the_page_names_every_setting_and_type() -> None:
    """What is configured and what is sent stands on the page."""
    manifest = registry.manifest("generic")
    for name in (*manifest.settings, *manifest.webhook_topics, *manifest.ref_fields):
        assert name in PAGE


# -- deliveries -----------------------------------------------------------------------------------


def test_a_delivery_is_an_order_as_it_is(world: World) -> None:
    """Signed by the shop, verified, and a fact at once."""
    placed = world.shop.checkout([(A, 3)])
    (delivery,) = world.deliveries()
    seen = world.read(delivery)
    assert isinstance(seen, OrderSeen)
    assert (seen.order_id, seen.version) == (placed, (READ_AT, 0))
    (told,) = seen.lines
    assert (told.order_key, told.open, told.deducted) == (A, 3, 3)


def test_our_own_write_comes_back_as_a_reason_to_read(world: World) -> None:
    """With the number that we wrote, so that nothing need be read."""
    world.shop.merchant_sets(A, 5)
    (delivery,) = world.deliveries()
    assert world.read(delivery) == QuantityHint("g", A, 5)


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ({"type": "order.changed", "order_id": "1001"}, OrderHint("g", "1001")),
        ({"type": "quantity.changed", "product": A}, QuantityHint("g", A, None)),
        ({"type": "ping"}, Nothing("a type that does not concern stock")),
        (
            {"type": "customer.created", "order": {"x": 1}},
            Nothing("a type that does not concern stock"),
        ),
    ],
)
def test_what_is_only_a_hint(body: dict[str, Any], seen: Any) -> None:
    """An order's id, a product's name; another type is of no effect."""
    assert make_connector().read(signed(body)) == (body["type"], (seen,))


def test_a_delivery_is_refused_unless_it_is_signed_now(world: World) -> None:
    """No signature, another key, another body or id, an old instant, or nobody knows when."""
    request = signed({"type": "ping"})
    connector = world.connector
    connector.verify(request)
    assert not connector.is_ping(request)
    old = request.headers | {"webhook-timestamp": str(int(BEGUN.timestamp()) - 1000)}
    for wrong in (
        replace(request, headers={}),
        replace(request, body=b'{"type":"pong"}'),
        replace(request, headers=old),
        replace(request, headers=request.headers | {"webhook-id": "msg_2"}),
        replace(request, received_at=BEGUN + timedelta(hours=1)),
        replace(request, received_at=None),
        signed({"type": "ping"}, key=b"another-key-of-24-bytes!"),
    ):
        with pytest.raises(SignatureInvalid):
            connector.verify(wrong)


def test_the_previous_secret_still_verifies() -> None:
    """During a rotation either fits; the newer signs what we write."""
    old = "whsec_" + "b2xkLW5vdC1hLXJlYWwtc2VjcmV0"
    connector = make_connector(webhook_secret_previous=old)
    connector.verify(signed({"type": "ping"}))
    connector.verify(signed({"type": "ping"}, key=b"old-not-a-real-secret"))
    assert connector.settings.webhook_keys[0] == KEY


@pytest.mark.parametrize(
    "body",
    [
        {"type": "order.changed"},
        {"type": "quantity.changed"},
        {"type": "order.changed", "order_id": "a/b"},
        {"type": "order.changed", "order": None},
        {"type": "order.changed", "order": order({"cancelled": 3, "shipped": 3})},
        {"type": "order.changed", "order": order({}, {"id": "1"})},
        {"type": "order.changed", "order": order({"ordered": 1.5})},
        {"type": "order.changed", "order": order({"ordered": 10**10})},
        {"type": "order.changed", "order": order({"deducted": -1})},
        {"type": "order.changed", "order": order(updated_at="2026-11-22T09:30:00")},
        {"type": "order.changed", "order": order(updated_at="0001-01-01T00:00:00Z")},
    ],
)
def test_a_delivery_that_cannot_be_is_refused(body: dict[str, Any]) -> None:
    """Names, types, sums and instants that cannot be."""
    with pytest.raises(PayloadInvalid):
        make_connector().read(signed(body))


# -- orders ---------------------------------------------------------------------------------------

# line -> (open, shipped, written off, deducted)
LINES: list[tuple[dict[str, Any], tuple[int, int, int, int | None]]] = [
    ({}, (5, 0, 0, 5)),
    ({"cancelled": 2}, (3, 0, 0, 3)),
    ({"shipped": 2}, (3, 2, 0, 5)),
    ({"cancelled": 1, "shipped": 4}, (0, 4, 0, 4)),
    ({"cancelled": 5}, (0, 0, 0, 0)),
    ({"cancelled": 2, "deducted": 5}, (3, 0, 2, 5)),
    ({"deducted": 0}, (5, 0, 0, 0)),
    ({"deducted": None, "cancelled": 2}, (3, 0, 0, None)),
    ({"deducted": 9}, (5, 0, 0, 9)),
]


@pytest.mark.parametrize(("given_", "expected"), LINES)
def test_lines_are_absolute(given_: dict[str, Any], expected: tuple[int, ...]) -> None:
    """Ordered less cancelled less shipped is open; what is cancelled and still deducted is lost."""
    _, (seen,) = make_connector().read(signed({"type": "order.changed", "order": order(given_)}))
    assert isinstance(seen, OrderSeen)
    (told,) = seen.lines
    assert (told.open, told.shipped, told.written_off, told.deducted) == expected


def test_when_the_number_was_lowered_may_be_told() -> None:
    """Otherwise it is when the order was placed."""
    for given_, hour in ({}, 9), ({"deducted_at": "2026-11-22T09:30:00+01:00"}, 8):
        body = {"type": "order.changed", "order": order(**given_)}
        _, (seen,) = make_connector().read(signed(body))
        assert isinstance(seen, OrderSeen)
        assert seen.deducted_at.hour == hour


Step = Callable[[World, str], object]

HISTORIES: dict[str, tuple[list[Step], tuple[int, int, int, int]]] = {
    "placed": ([], (5, 0, 0, 5)),
    "cancelled": ([lambda w, o: w.shop.cancel(o)], (0, 0, 0, 0)),
    "cancelled, not put back": ([lambda w, o: w.shop.cancel(o, restock=False)], (0, 0, 5, 5)),
    "refunded": ([lambda w, o: w.shop.refund(o, A, 2, restock=True)], (3, 0, 0, 3)),
    "edited up": ([lambda w, o: w.shop.edit(o, A, 6)], (6, 0, 0, 6)),
    "edited down": ([lambda w, o: w.shop.edit(o, A, 1)], (1, 0, 0, 1)),
    "shipped": ([lambda w, o: w.shop.ship(o)], (0, 5, 0, 5)),
    "shipped, refunded": (
        [lambda w, o: w.shop.ship(o), lambda w, o: w.shop.refund(o, A, 2, restock=True)],
        (0, 5, 0, 5),
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_histories(world: World, name: str) -> None:
    """Fetched or delivered, the order says the same, and it is what the shop itself says."""
    steps, expected = HISTORIES[name]
    placed = world.shop.checkout([(A, 5)])
    for step in steps:
        world.hands.move(60)
        step(world, placed)
    fetched = await world.fetch(placed)
    delivered = [world.read(each) for each in world.deliveries()][-1]
    assert isinstance(delivered, OrderSeen)
    assert delivered.lines == fetched.lines
    (told,) = fetched.lines
    assert (told.open, told.shipped, told.written_off, told.deducted) == expected
    (truth,) = world.shop.lines()
    assert (truth.open, truth.shipped, truth.deducted) == (expected[0], expected[1], expected[3])
    assert world.shop.numbers()[A] == 7 - truth.deducted


async def test_a_first_poll_reads_open_orders_and_then_the_recent(world: World) -> None:
    """Whatever the age of the open ones; the cursor is the newest change."""
    old = world.shop.checkout([(A, 1)])
    closed = world.shop.checkout([(A, 1)])
    world.shop.ship(closed)
    world.hands.move(40 * 86400)
    recent = world.shop.checkout([(B, 1)])
    world.shop.cancel(recent)
    pages = await world.poll()
    assert [[each.order_id for each in page.orders] for page in pages] == [[old], [recent]]
    assert [page.last for page in pages] == [False, True]
    assert pages[-1].cursor == "2027-01-01T10:00:00Z"
    world.hands.move(3600)
    (again,) = await world.poll(pages[-1].cursor)
    assert [each.order_id for each in again.orders] == [recent]
    assert again.cursor == pages[-1].cursor
    assert dict(world.api.sent[-1].query)["changed_since"] == "2027-01-01T09:50:00Z"


@pytest.mark.parametrize("orders", [0, 1, 99, 100, 101, 250])
async def test_every_page_is_read(world: World, orders: int) -> None:
    """Along the shop's cursor, all of them at one instant."""
    world.shop.merchant_sets(A, 1000)
    placed = [world.shop.checkout([(A, 1)]) for _ in range(orders)]
    pages = await world.poll("2026-11-22T10:00:00Z")
    assert [each.order_id for page in pages for each in page.orders] == placed
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]


async def test_an_order_that_cannot_be_read_hides_no_other() -> None:
    """Its id is named, to be fetched by itself."""
    listed = {"orders": [order(), {**order({"ordered": "many"}, id="7"), "to": "Eve"}, ["Eve"]]}
    pages = make_connector().poll_orders(
        CannedApi([answer(listed)]), since="2026-11-22T09:00:00Z", fetch=1
    )
    (page,) = [each async for each in pages]
    assert [each.order_id for each in page.orders] == ["1001"]
    assert [each[0] for each in page.unreadable] == ["7", ""]
    assert b'"ordered":"many"' in page.unreadable[0][2]
    assert b"Eve" not in b"".join(each[2] for each in page.unreadable)


@pytest.mark.parametrize(
    ("answers", "since", "error"),
    [
        ([answer(HTML)], None, ChannelUnavailable),
        ([answer({"message": "?"}, 400)], None, PayloadInvalid),
        ([answer({"orders": [], "next": "a"})] * 3, None, PayloadInvalid),
        ([], "page 7", PayloadInvalid),
        ([AuthFailed(found=401)], None, AuthFailed),
    ],
)
async def test_a_poll_that_fails_is_named(
    answers: list[Any], since: str | None, error: type[Exception]
) -> None:
    """Pages of HTML, refusals, circles, cursors that are not ours."""
    with pytest.raises(error):
        [
            page
            async for page in make_connector().poll_orders(CannedApi(answers), since=since, fetch=1)
        ]


async def test_only_the_shop_itself_says_that_an_order_is_gone(world: World) -> None:
    """Its 404 is an object; a page's 404 lets go of nothing."""
    assert await world.connector.fetch_order(world.api, "9", fetch=1) is None
    assert await world.connector.fetch_order(world.api, "../x", fetch=1) is None
    for body in (HTML, b""):
        with pytest.raises((ChannelUnavailable, PayloadInvalid)):
            await world.connector.fetch_order(CannedApi([answer(body, 404)]), "9", fetch=1)


# -- numbers --------------------------------------------------------------------------------------


async def test_listings_go_by_their_products(world: World) -> None:
    """Order key and field are the product; what is gone or not tracked has no field."""
    asked = [listing(A), listing("gone"), listing(C)]
    resolved = await world.connector.resolve(world.api, asked)
    assert [(each.order_key, each.field_key, each.problem) for each in resolved] == [
        (A, A, None),
        ("gone", None, products.GONE),
        (C, None, products.NOT_TRACKED),
    ]


@pytest.mark.parametrize("compares", [True, False])
async def test_expected_number_is_replaced(compares: bool) -> None:
    """One PUT each, with what is expected; a shop that does not compare leaves a gap."""
    world = make_world(compares=compares)
    outcomes = await world.push(line(A, expected=7, target=4), line(B, expected=12, target=20))
    assert [(each.kind, each.actual) for each in outcomes] == [
        (Kind.APPLIED, 4),
        (Kind.APPLIED, 20),
    ]
    assert world.shop.numbers() == {A: 4, B: 20}
    assert world.writes() == [
        (f"/quantities/{A}", {"expected": 7, "quantity": 4, "call": "call-1"}),
        (f"/quantities/{B}", {"expected": 12, "quantity": 20, "call": "call-1"}),
    ]
    gap = None if compares else READ_AT
    assert {(each.gap_from, each.gap_until) for each in outcomes} == {(gap, gap)}


async def test_each_line_has_its_own_outcome(world: World) -> None:
    """Conflict, gone, not tracked, unchanged and applied, in the order of the batch."""
    world.shop.checkout([(B, 2)])
    outcomes = await world.push(
        line(B, expected=12, target=3),
        line("gone", expected=1, target=2),
        line(C, expected=1, target=2),
        line(A, expected=7, target=7),
    )
    kinds = [each.kind for each in outcomes]
    assert kinds == [Kind.CONFLICT, Kind.GONE, Kind.REJECTED, Kind.UNCHANGED]
    assert outcomes[0].actual == 10
    assert world.writes() == []


@pytest.mark.parametrize(("compares", "left"), [(True, 5), (False, 4)])
async def test_a_sale_between_reading_and_writing(compares: bool, left: int) -> None:
    """A shop that compares answers 409 with its number; the other one is overwritten."""
    world = make_world(compares=compares)
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        if request.method == "PUT":
            world.shop.checkout([(A, 2)])
        return handle(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    (outcome,) = await world.push(line(A, expected=7, target=4))
    assert world.shop.numbers()[A] == left
    if compares:
        assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, 5)
    else:
        assert (outcome.kind, outcome.gap_from) == (Kind.APPLIED, READ_AT)


async def test_a_shop_that_does_not_compare_is_read_before_each_write() -> None:
    """From the first answer that shows it on; the gaps stay those of one line."""
    world = make_world(compares=False)
    world.shop.add_product("wick", 30)
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        world.hands.move(1)
        if request.method == "PUT" and request.path.endswith(A):
            world.shop.checkout([(B, 1)])
        return handle(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    lines = [line(A, expected=7, target=4), line(B, expected=12, target=3)]
    first, second, third = await world.push(*lines, line("wick", expected=30, target=29))
    assert (first.kind, third.kind) == (Kind.APPLIED, Kind.APPLIED)
    assert (second.kind, second.actual) == (Kind.CONFLICT, 11)
    for each in (first, third):
        assert each.gap_until - each.gap_from == timedelta(seconds=1)
    reads = [sent.query for sent in world.api.sent if sent.method == "GET"]
    assert [len(query) for query in reads] == [3, 1, 1]


async def test_a_shop_without_a_clock_does_not_look_like_one_that_compares() -> None:
    """Whether it compares is what it says, not what is known of the time."""
    world = make_world(compares=False)
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        if request.method == "PUT" and request.path.endswith(A):
            world.shop.checkout([(B, 1)])
        given = handle(request)
        dateless = {name: value for name, value in given.headers.items() if name != "date"}
        return ShopAnswer(given.status, dateless, given.body)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    lines = [line(A, expected=7, target=4), line(B, expected=12, target=3)]
    first, second = await world.push(*lines)
    assert (first.kind, second.kind, second.actual) == (Kind.APPLIED, Kind.CONFLICT, 11)
    assert world.shop.numbers()[B] == 11


async def test_a_refusal_says_nothing_of_comparing() -> None:
    """What was known of it stays: the next write is not sent long after the reading either."""
    world = make_world(compares=False)
    begun = Moment(READ_AT, 5.0)
    world.api.moment = begun
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        if request.method != "PUT":
            return handle(request)
        world.api.moment = begun.plus(products.GAP_MAX_S + 0.1)
        return ShopAnswer(422, {}, b'{"message":"sold by weight"}')

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    lines = [line(A, expected=7, target=4), line(B, expected=12, target=3)]
    first, second = await world.push(*lines)
    assert (first.kind, second.kind) == (Kind.REJECTED, Kind.UNAVAILABLE)
    assert len(world.writes()) == 1


async def written(*answers: Answer | Exception) -> list[Any]:
    """Push A and B to 4 against prepared answers to the writes; return outcomes."""
    read = answer({"quantities": {A: 7, B: 7}})
    lines = [line(A, expected=7, target=4), line(B, expected=7, target=4)]
    return list(await make_connector().push(CannedApi([read, *answers]), lines, call_id="c"))


@pytest.mark.parametrize(
    ("given_", "first", "second"),
    [
        (answer({"quantity": 9, "compared": True}), Kind.UNKNOWN, Kind.APPLIED),
        # It does not say that it compared: the next one is read first, and no reading is there.
        (answer({"quantity": 4}), Kind.APPLIED, Kind.UNAVAILABLE),
        # Nor does it here, but the shop took what it was sent: a PUT may end so.
        (answer(b"", 204), Kind.APPLIED, Kind.UNAVAILABLE),
        (answer({"quantity": 4, "compared": True}, 201), Kind.APPLIED, Kind.APPLIED),
        (answer(b"", 200), Kind.UNKNOWN, Kind.APPLIED),
        (answer(b"", 202), Kind.UNKNOWN, Kind.APPLIED),
        (answer(HTML, 202), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (answer({"quantity": "4"}), Kind.UNKNOWN, Kind.APPLIED),
        (answer({"actual": 6}, 409), Kind.CONFLICT, Kind.APPLIED),
        (answer(b"", 409), Kind.CONFLICT, Kind.APPLIED),
        (answer({"message": "no"}, 404), Kind.GONE, Kind.APPLIED),
        (answer({"message": "sold by weight"}, 422), Kind.REJECTED, Kind.APPLIED),
        (answer({"message": "?"}, 400), Kind.REJECTED, Kind.APPLIED),
        (answer(HTML), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (answer(HTML, 404), Kind.UNAVAILABLE, Kind.UNAVAILABLE),
        (answer(b"", 405), Kind.UNAVAILABLE, Kind.UNAVAILABLE),
        (answer(b"", 408), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (OutcomeUnknown(), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (PayloadInvalid("a redirect"), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (ChannelUnavailable(), Kind.UNAVAILABLE, Kind.UNAVAILABLE),
        (RateLimited(retry_after_s=2), Kind.RATE_LIMITED, Kind.RATE_LIMITED),
        (AuthFailed(found=401), Kind.AUTH_FAILED, Kind.AUTH_FAILED),
    ],
)
async def test_answers_to_a_write(given_: Any, first: Kind, second: Kind) -> None:
    """What the shop itself says is of its line; an accident stops the work."""
    outcomes = await written(given_, answer({"quantity": 4, "compared": True}))
    assert [each.kind for each in outcomes] == [first, second]


async def test_nothing_is_written_where_nothing_can_be_read() -> None:
    """A failed read leaves every line unwritten."""
    for error, kind in (
        (ChannelUnavailable(), Kind.UNAVAILABLE),
        (RateLimited(retry_after_s=2), Kind.RATE_LIMITED),
        (answer({"quantity": {}}), Kind.UNAVAILABLE),
    ):
        api = CannedApi([error])
        (outcome,) = await make_connector().push(api, [line(A, expected=7, target=4)], call_id="c")
        assert outcome.kind is kind
        assert len(api.sent) == 1


# -- the shop -------------------------------------------------------------------------------------


async def test_the_shop_takes_no_write_that_is_not_signed(world: World) -> None:
    """The token alone does not do; another path or body has another signature."""
    await world.push(line(A, expected=7, target=6))
    (sent,) = [each for each in world.api.sent if each.method == "PUT"]
    for spoilt in (
        replace(sent, body=sent.body.replace(b'"quantity":6', b'"quantity":9')),
        replace(sent, path=f"/quantities/{B}"),
        replace(sent, headers={**sent.headers, "stockpush-signature": ""}),
        replace(sent, headers={**sent.headers, "authorization": "Bearer x"}),
    ):
        assert world.shop.handle(spoilt).status == 401
    assert world.shop.numbers() == {A: 6, B: 12}


def test_a_delivery_that_fails_is_sent_again_with_its_id(world: World) -> None:
    """Later and later, signed anew, and given up in the end."""
    world.shop.checkout([(A, 1)])
    names = set()
    for wait_s in (5, 300, 1800, 7200, None):
        (delivery,) = world.deliveries(status=500)
        world.connector.verify(delivery)
        names.add(delivery.headers["webhook-id"])
        assert world.deliveries() == []
        if wait_s is not None:
            world.hands.move(wait_s)
    assert len(names) == 1
    assert world.shop.next_webhook_at() is None


def test_deliveries_have_faults(world: World) -> None:
    """Lost, doubled, replayed later under another id, and late; polls know all the same."""
    faults = world.shop.faults
    faults.webhook_drop = 1.0
    world.shop.checkout([(A, 1)])
    assert world.deliveries() == []
    faults.webhook_drop, faults.webhook_duplicate, faults.webhook_replay = 0.0, 1.0, 1.0
    world.shop.checkout([(A, 1)])
    twice = world.deliveries()
    assert len(twice) == 2
    assert twice[0].headers["webhook-id"] == twice[1].headers["webhook-id"]
    faults.webhook_duplicate = faults.webhook_replay = 0.0
    world.hands.move(3600)
    (replayed,) = world.deliveries()
    assert replayed.body == twice[0].body
    assert replayed.headers["webhook-id"] != twice[0].headers["webhook-id"]
    faults.webhook_delay_s = 60.0
    world.shop.checkout([(A, 1)])
    assert world.deliveries() == []
    assert world.shop.next_webhook_at() == world.hands() + timedelta(seconds=60)
    world.shop.lose_webhooks()
    world.hands.move(60)
    assert world.deliveries() == []


async def test_a_shop_that_compares_nothing_is_not_written_long_after_its_reading() -> None:
    """F50: the machine slept in between; the first write tells whether the shop compares."""
    world = make_world(compares=False)
    begun = Moment(READ_AT, 5.0)
    world.api.moment = begun
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        world.api.moment = begun.plus(products.GAP_MAX_S + 0.1)
        return handle(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    (outcome,) = await world.push(line(A, expected=7, target=4))
    assert (outcome.kind, world.shop.numbers()[A]) == (Kind.UNAVAILABLE, 7)
    assert world.writes() == []
