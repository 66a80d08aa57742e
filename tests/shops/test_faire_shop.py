"""The emulated Faire account behaves as the real one is known to, above all where it is odd."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stockpush.sim.shops.base import (
    ConnectionDropped,
    OrderTruth,
    Shop,
    ShopAnswer,
    ShopRequest,
    SoldOut,
    WebhookOut,
)
from tests.connectors.faire_contract import load
from tests.connectors.faire_world import (
    APPLICATION,
    CONTRACTS,
    ROOT,
    TOKEN,
    A,
    B,
    C,
    World,
    make_world,
    needs_contract,
)
from tests.connectors.hands import BEGUN

BY_ID, BY_SKU = "/product-inventory/by-product-variant-ids", "/product-inventory/by-skus"
DATE = datetime(2026, 12, 24, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    """Return the account of faire_world."""
    return make_world()


def answered(
    world: World,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: list[tuple[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> ShopAnswer:
    """Send one request to the account; return its answer."""
    given = {"user-agent": "tests", "x-faire-access-token": TOKEN}
    content = b"" if body is None else json.dumps(body).encode()
    asked = ShopRequest(method, ROOT + path, tuple(query or ()), headers or given, content)
    return world.shop.handle(asked)


def ask(world: World, method: str, path: str, body: Any = None, **given: Any) -> tuple[int, Any]:
    """Send one request to the account; return status and JSON."""
    answer = answered(world, method, path, body, **given)
    return answer.status, json.loads(answer.body)


def numbers(world: World, variant: str = A) -> tuple[int, int, int]:
    """Return (on hand, committed, available) as the API shows them."""
    _, told = ask(world, "GET", BY_ID, query=[("ids", variant)])
    row = told["inventories"][variant]
    names = ("on_hand_quantity", "committed_quantity", "available_quantity")
    on_hand, committed, available = (row[name]["quantity"] for name in names)
    return on_hand, committed, available


def write(world: World, path: str, *entries: dict[str, Any]) -> tuple[int, Any]:
    """Set on hand."""
    return ask(world, "PATCH", path, {"inventories": list(entries)})


def listed(world: World, *query: tuple[str, str]) -> tuple[int, Any]:
    """List orders."""
    return ask(world, "GET", "/orders", query=list(query))


# -- the edge, credentials, faults ----------------------------------------------------------


def test_the_account_is_a_shop(world: World) -> None:
    """It has all that the simulator asks of one."""
    shop: Shop = world.shop
    assert shop.name == "faire"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-faire-access-token": "fai_another"},
        {"x-faire-access-token": ""},
        {"x-faire-oauth-access-token": APPLICATION[2]},
        {
            "x-faire-app-credentials": base64.b64encode(b"apa_1:wrong").decode(),
            "x-faire-oauth-access-token": APPLICATION[2],
        },
    ],
)
def test_wrong_credentials_are_401(world: World, headers: dict[str, str]) -> None:
    """One wrong part is enough, and the answer is JSON."""
    status, body = ask(world, "GET", "/orders", headers={"user-agent": "tests", **headers})
    assert (status, body) == (401, {"message": "Unauthorized"})


def test_a_revoked_token_is_401(world: World) -> None:
    """Whatever was right before."""
    world.shop.faults.unauthorized = True
    assert ask(world, "GET", "/orders")[0] == 401


@pytest.mark.parametrize("agent", ["", "python-httpx/0.28", "Python/3.11 aiohttp/3.14"])
def test_a_program_without_a_name_of_its_own_gets_cloudflares_page(
    world: World, agent: str
) -> None:
    """403 and HTML, before anything is looked at."""
    headers = {"user-agent": agent, "x-faire-access-token": TOKEN}
    page = answered(world, "GET", "/orders", headers=headers)
    assert (page.status, page.body[:1]) == (403, b"<")


def test_the_bare_host_only_redirects_and_the_body_is_lost(world: World) -> None:
    """A write to faire.com is answered 301 and changes nothing."""
    headers = {"host": "faire.com", "user-agent": "tests", "x-faire-access-token": TOKEN}
    body = {"inventories": [{"product_variant_id": A, "on_hand_quantity": 1}]}
    answer = answered(world, "PATCH", BY_ID, body, headers=headers)
    assert answer.status == 301
    assert answer.headers["location"].startswith("https://www.faire.com/")
    assert world.shop.numbers()[A] == 7


def test_the_first_version_is_gone(world: World) -> None:
    """/api/v1 is a page that was not found."""
    headers = {"user-agent": "tests", "x-faire-access-token": TOKEN}
    page = world.shop.handle(ShopRequest("GET", "/api/v1/orders", (), headers))
    assert (page.status, page.body[:1]) == (404, b"<")


def test_drop_before_and_after_differ_in_what_was_applied(world: World) -> None:
    """A connection dropped before changes nothing; dropped after, the write stands."""
    entry = {"product_variant_id": A, "on_hand_quantity": 3}
    world.shop.faults.drop_before_next = 1
    with pytest.raises(ConnectionDropped):
        write(world, BY_ID, entry)
    assert world.shop.numbers()[A] == 7
    world.shop.faults.drop_after_next = 1
    with pytest.raises(ConnectionDropped):
        write(world, BY_ID, entry)
    assert world.shop.numbers()[A] == 3
    assert len(world.shop.faults.writes_seen) == 2


def test_faults_answer_as_the_platform_does(world: World) -> None:
    """429 without a wait, unless told; server errors as JSON and as pages; pages with 200."""
    world.shop.faults.rate_limit_next = 2
    assert "retry-after" not in answered(world, "GET", "/orders").headers
    world.shop.retry_after_s = 2
    assert answered(world, "GET", "/orders").headers["retry-after"] == "2"
    world.shop.faults.server_error_next = 20
    told = {answered(world, "GET", "/orders").status for _ in range(20)}
    assert told == {500, 502, 503, 520}
    world.shop.faults.html_answer_next = 1
    page = answered(world, "GET", "/orders")
    assert (page.status, page.body[:1]) == (200, b"<")
    world.shop.faults.unreachable = True
    with pytest.raises(ConnectionDropped):
        answered(world, "GET", "/orders")


def test_the_clock_is_in_the_date_header(world: World) -> None:
    """To the second, and it is the account's own."""
    assert answered(world, "GET", "/orders").headers["date"] == "Sun, 22 Nov 2026 10:00:00 GMT"


def test_a_reading_may_lag(world: World) -> None:
    """Both numbers are of one instant, now or before; the truth is not touched."""
    world.shop.faults.stale_read_s = 60.0
    world.hands.move(10)
    world.shop.merchant_sets(A, 7)
    world.hands.move(30)
    world.shop.checkout([(A, 3)])
    world.hands.move(1)
    told = {numbers(world) for _ in range(40)}
    assert told == {(7, 0, 7), (7, 3, 4)}
    assert world.shop.faults.struck["stale_read_s"] > 0
    assert world.shop.quantity(A) == 4


def test_there_are_no_webhooks(world: World) -> None:
    """Nothing is ever due, and nothing can be answered."""
    world.shop.checkout([(A, 1)])
    world.shop.lose_webhooks()
    assert world.shop.webhooks_due() == []
    assert world.shop.next_webhook_at() is None
    with pytest.raises(LookupError):
        world.shop.webhook_answered(WebhookOut(1, "http://x", {}, b""), 200)


# -- numbers ----------------------------------------------------------------------------------


def test_available_is_on_hand_less_committed(world: World) -> None:
    """An order commits, and only commits; what is for sale falls."""
    world.shop.checkout([(A, 3)])
    assert numbers(world) == (7, 3, 4)
    assert (world.shop.numbers()[A], world.shop.quantity(A)) == (7, 4)
    with pytest.raises(SoldOut):
        world.shop.checkout([(A, 5)])


def test_writing_on_hand_double_deducts_nothing_by_itself(world: World) -> None:
    """What is for sale after a write is what was written less what is committed."""
    world.shop.checkout([(A, 3)])
    status, told = write(world, BY_ID, {"product_variant_id": A, "on_hand_quantity": 5})
    assert status == 200
    assert told["inventories"][A]["available_quantity"] == {"type": "QUANTITY", "quantity": 2}


def test_available_may_be_negative(world: World) -> None:
    """Oversold: less on hand than is committed."""
    world.shop.checkout([(A, 3)])
    world.shop.merchant_sets(A, 1)
    assert numbers(world) == (1, 3, -2)


@pytest.mark.parametrize(("takes", "after"), [(True, (4, 0, 4)), (False, (7, 0, 7))])
def test_shipping_ends_the_commitment(takes: bool, after: tuple[int, int, int]) -> None:
    """Whether on hand falls by itself is not known; both are emulated."""
    world = make_world(shipping_takes_on_hand=takes)
    placed = world.shop.checkout([(A, 3)])
    world.shop.ship(placed)
    assert numbers(world) == after


def test_an_untracked_variant_sells_freely_until_the_first_write(world: World) -> None:
    """Then its stock gate is on for good."""
    world.shop.checkout([(C, 500)])
    _, told = ask(world, "GET", BY_ID, query=[("ids", C)])
    assert told["inventories"][C]["on_hand_quantity"] == {"type": "UNTRACKED"}
    assert C not in world.shop.numbers()
    write(world, BY_ID, {"product_variant_id": C, "on_hand_quantity": 0})
    assert world.shop.numbers()[C] == 0
    with pytest.raises(SoldOut):
        world.shop.checkout([(C, 1)])


def test_a_product_that_sells_when_out_of_stock_is_not_stopped_by_zero(world: World) -> None:
    """`allow_sales_when_out_of_stock` decides whether 0 stops sales."""
    world.shop.add_variant("po_ddd", on_hand=0, sells_out_of_stock=True)
    world.shop.checkout([("po_ddd", 2)])
    assert world.shop.quantity("po_ddd") == -2


@pytest.mark.parametrize("name", ["variant_ids", "product_variant_ids", "id", "skus"])
def test_a_wrong_parameter_is_200_and_an_empty_map(world: World, name: str) -> None:
    """It is ignored, and so nothing was asked for."""
    assert ask(world, "GET", BY_ID, query=[(name, A)]) == (200, {"inventories": {}})


def test_unknown_variants_are_missing_from_the_map(world: World) -> None:
    """Of a read, and of a write, unless the habit is to refuse it."""
    query = [("ids", A), ("ids", "po_x")]
    assert list(ask(world, "GET", BY_ID, query=query)[1]["inventories"]) == [A]
    entries = [
        {"product_variant_id": A, "on_hand_quantity": 1},
        {"product_variant_id": "po_x", "on_hand_quantity": 1},
    ]
    assert list(write(world, BY_ID, *entries)[1]["inventories"]) == [A]
    world.shop.habits.unknown_variant_refused = True
    entries[0]["on_hand_quantity"] = 2
    assert write(world, BY_ID, *entries)[0] == 400
    assert world.shop.numbers()[A] == 1


def test_a_sku_on_two_variants_refuses_the_whole_batch(world: World) -> None:
    """By SKU; by variant id it does not matter."""
    world.shop.rename_sku(B, "candle")
    world.shop.add_variant("po_ddd", on_hand=1, sku="wick")
    entries = [{"sku": "wick", "on_hand_quantity": 9}, {"sku": "candle", "on_hand_quantity": 9}]
    status, told = write(world, BY_SKU, *entries)
    assert (status, told["message"][:39]) == (400, "Skus match multiple product variations:")
    assert world.shop.numbers() == {A: 7, B: 12, "po_ddd": 1}
    by_id = [{"product_variant_id": each, "on_hand_quantity": 9} for each in (A, B)]
    assert write(world, BY_ID, *by_id)[0] == 200
    assert write(world, BY_SKU, entries[0])[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"inventories": [{}]},
        {"inventories": [{"product_variant_id": A}]},
        {"inventories": [{"product_variant_id": A, "on_hand_quantity": "4"}]},
        {"inventories": [{"product_variant_id": A, "on_hand_quantity": True}]},
        {"inventories": [{"product_variant_id": A, "on_hand_quantity": 2**40}]},
    ],
)
def test_a_malformed_write_is_400(world: World, body: Any) -> None:
    """And changes nothing."""
    assert ask(world, "PATCH", BY_ID, body)[0] == 400
    assert world.shop.numbers()[A] == 7


def test_the_fourth_quick_write_is_429(world: World) -> None:
    """Three at once, then one a second."""
    entry = {"product_variant_id": A, "on_hand_quantity": 3}
    assert [write(world, BY_ID, entry)[0] for _ in range(4)] == [200, 200, 200, 429]
    world.hands.move(0.5)
    assert write(world, BY_ID, entry)[0] == 429
    world.hands.move(0.5)
    assert write(world, BY_ID, entry)[0] == 200


def test_what_the_merchant_removed_is_not_shown(world: World) -> None:
    """Neither in the map nor among the numbers, and it cannot be bought."""
    world.shop.remove_variant(A)
    assert A not in world.shop.numbers()
    with pytest.raises(SoldOut):
        world.shop.checkout([(A, 1)])


# -- orders as they are listed ----------------------------------------------------------------


@pytest.mark.parametrize("limit", ["9", "51", "0", "-1", "ten", "1e1"])
def test_a_limit_outside_of_10_to_50_is_400(world: World, limit: str) -> None:
    """As seen live."""
    assert listed(world, ("limit", limit))[0] == 400


@pytest.mark.parametrize(
    "query",
    [
        ("updated_at_min", "yesterday"),
        ("excluded_states", "SHIPPED"),
        ("cursor", "guess"),
        ("page", "0"),
    ],
)
def test_an_impossible_filter_is_400(world: World, query: tuple[str, str]) -> None:
    """Each by itself."""
    assert listed(world, query)[0] == 400


def test_pages_ascend_by_the_last_change(world: World) -> None:
    """An order that changes moves to the end."""
    first, second = world.shop.checkout([(A, 1)]), world.shop.checkout([(A, 1)])
    world.hands.move(1)
    world.shop.accept(first)
    _, told = listed(world)
    assert [each["id"] for each in told["orders"]] == [second, first]
    assert "cursor" not in told


def placed(world: World, orders: int) -> list[str]:
    """Place orders of one piece, all in one second."""
    world.shop.merchant_sets(A, 1000)
    return [world.shop.checkout([(A, 1)]) for _ in range(orders)]


def test_a_cursor_goes_alone(world: World) -> None:
    """It carries its filters; others beside it are refused. Equal instants lose nobody."""
    ids = placed(world, 25)
    world.shop.cancel(ids[4])
    query = [("limit", "10"), ("excluded_states", "CANCELED")]
    found: list[str] = []
    for _ in range(3):
        status, told = listed(world, *query)
        assert status == 200
        found += [each["id"] for each in told["orders"]]
        query = [("limit", "10"), ("cursor", told.get("cursor", ""))]
    assert sorted(found) == sorted(set(ids) - {ids[4]})
    cursor = listed(world, ("limit", "10"))[1]["cursor"]
    assert listed(world, ("cursor", cursor), ("excluded_states", "CANCELED"))[0] == 400


def test_a_cursor_may_need_its_filters(world: World) -> None:
    """The other habit that was seen."""
    placed(world, 15)
    world.shop.habits.filters_beside_cursor = "needed"
    query = [("limit", "10"), ("sort_by", "UPDATED_AT")]
    cursor = listed(world, *query)[1]["cursor"]
    assert listed(world, ("limit", "10"), ("cursor", cursor))[0] == 400
    assert len(listed(world, *query, ("cursor", cursor))[1]["orders"]) == 5


def test_pages_may_only_be_numbered(world: World) -> None:
    """Without cursors the number leads on, up to an empty page."""
    ids = placed(world, 15)
    world.shop.habits.cursors = False
    pages = [listed(world, ("limit", "10"), ("page", str(n)))[1] for n in (1, 2, 3)]
    assert ["cursor" in page for page in pages] == [False] * 3
    assert [[each["id"] for each in page["orders"]] for page in pages] == [ids[:10], ids[10:], []]


def test_filters_of_a_list(world: World) -> None:
    """Since when changed or created, without which states, children of which order."""
    old = world.shop.checkout([(A, 3)])
    world.hands.move(3600)
    carrier = world.shop.backorder(old, A, 2, until=DATE)

    def ids(*query: tuple[str, str]) -> list[str]:
        return [each["id"] for each in listed(world, *query)[1]["orders"]]

    assert ids(("updated_at_min", "2026-11-22T11:00:00.000Z")) == [old, carrier]
    assert ids(("updated_at_min", "2026-11-22T11:00:01.000Z")) == []
    assert ids(("created_at_min", "2026-11-22T11:00:00.000Z")) == [carrier]
    assert ids(("excluded_states", "BACKORDERED,CANCELED")) == [old]
    assert ids(("original_order_id", old)) == [carrier]
    assert ids(("original_order_id", carrier)) == []


def test_lists_may_lag_and_the_order_itself_does_not(world: World) -> None:
    """Each change draws how much later lists know of it."""
    world.shop.faults.orders_lag_s = 60.0
    order = world.shop.checkout([(A, 1)])
    assert listed(world)[1]["orders"] == []
    assert ask(world, "GET", f"/orders/{order}")[0] == 200
    world.hands.move(60)
    assert [each["id"] for each in listed(world)[1]["orders"]] == [order]


def test_instants_come_in_the_form_that_is_switched(world: World) -> None:
    """Both forms of ISO 8601 have been seen."""
    order = world.shop.checkout([(A, 1)])
    assert ask(world, "GET", f"/orders/{order}")[1]["created_at"] == "2026-11-22T10:00:00.000Z"
    world.shop.habits.basic_instants = True
    assert ask(world, "GET", f"/orders/{order}")[1]["created_at"] == "20261122T100000.000Z"


def test_unknown_orders_and_routes(world: World) -> None:
    """404 and 405 are JSON."""
    assert ask(world, "GET", "/orders/bo_1")[0] == 404
    assert ask(world, "GET", "/orders/1001")[0] == 404
    assert ask(world, "GET", "/nothing")[0] == 404
    assert ask(world, "DELETE", "/orders")[0] == 405


# -- the life of an order -----------------------------------------------------------------------


def told(world: World) -> list[tuple[str, int, int, int, int, str]]:
    """Return (listing, ordered, open, deducted, shipped, status) of every line."""
    return [
        (each.listing, each.ordered, each.open, each.deducted, each.shipped, each.status)
        for each in world.shop.lines()
    ]


def test_a_line_as_a_whole(world: World) -> None:
    """Ids, listing and instant are the account's own."""
    order = world.shop.checkout([(A, 2)])
    begun = BEGUN.replace(microsecond=0)
    assert list(world.shop.lines()) == [OrderTruth(order, "oi_1", A, 2, 2, 0, 0, "NEW", begun)]


def test_an_order_from_new_to_delivered(world: World) -> None:
    """States of the order and its lines; on hand falls when it is sent."""
    order = world.shop.checkout([(A, 2)])
    _, shown = ask(world, "GET", f"/orders/{order}")
    assert (shown["state"], "state" in shown["items"][0]) == ("NEW", False)
    world.shop.accept(order)
    assert told(world) == [(A, 2, 2, 0, 0, "PROCESSING")]
    world.shop.ship(order)
    assert told(world) == [(A, 2, 0, 2, 2, "PRE_TRANSIT")]
    world.shop.deliver(order)
    assert told(world) == [(A, 2, 0, 2, 2, "DELIVERED")]
    _, shown = ask(world, "GET", f"/orders/{order}")
    assert [shown["state"], shown["items"][0]["state"]] == ["DELIVERED", "DELIVERED"]
    with pytest.raises(ValueError, match="DELIVERED"):
        world.shop.cancel(order)
    with pytest.raises(ValueError, match="DELIVERED"):
        world.shop.edit(order, A, 1)


def test_a_cancellation_ends_the_commitment(world: World) -> None:
    """The retailer's wish is shown first; the platform knows no restocking."""
    order = world.shop.checkout([(A, 2)])
    world.shop.wish_cancellation(order)
    flag = "has_pending_retailer_cancellation_request"
    assert ask(world, "GET", f"/orders/{order}")[1][flag] is True
    assert world.shop.committed(A) == 2
    world.shop.cancel(order, restock=False)
    assert ask(world, "GET", f"/orders/{order}")[1][flag] is False
    assert told(world) == [(A, 2, 0, 0, 0, "CANCELED")]
    assert numbers(world) == (7, 0, 7)


def test_an_edit_up_waits_for_the_retailer(world: World) -> None:
    """Down is done at once; all lines cancelled are an order cancelled."""
    order = world.shop.checkout([(A, 4)])
    world.shop.edit(order, A, 3)
    assert told(world) == [(A, 3, 3, 0, 0, "NEW")]
    world.shop.edit(order, A, 5)
    world.shop.edit(order, B, 1)
    assert [row[-1] for row in told(world)] == ["PENDING_RETAILER_CONFIRMATION"] * 2
    assert (world.shop.committed(A), world.shop.committed(B)) == (5, 1)
    world.shop.confirm(order)
    world.shop.edit(order, A, 0)
    assert told(world) == [(A, 5, 0, 0, 0, "PROCESSING"), (B, 1, 1, 0, 0, "PROCESSING")]
    world.shop.edit(order, B, 0)
    assert {row[-1] for row in told(world)} == {"CANCELED"}
    assert (world.shop.committed(A), world.shop.committed(B)) == (0, 0)


def test_refunds_before_and_after_sending(world: World) -> None:
    """Before, the line gets shorter; after, a whole line comes back and no number moves."""
    order = world.shop.checkout([(A, 4)])
    world.shop.refund(order, A, 1, restock=True)
    assert told(world) == [(A, 3, 3, 0, 0, "NEW")]
    world.shop.ship(order)
    before = numbers(world)
    world.shop.refund(order, A, 1, restock=True)
    world.shop.refund(order, A, 3, restock=True)
    assert ask(world, "GET", f"/orders/{order}")[1]["items"][0]["state"] == "RETURNED"
    assert told(world) == [(A, 3, 0, 3, 3, "PRE_TRANSIT")]
    assert numbers(world) == before
    with pytest.raises(ValueError, match="has not"):
        world.shop.refund(order, A, 9, restock=True)


def test_a_tester_is_one_more_piece(world: World) -> None:
    """It is committed and sent along."""
    order = world.shop.checkout([(A, 2)], tester=True)
    assert world.shop.committed(A) == 3
    item = ask(world, "GET", f"/orders/{order}")[1]["items"][0]
    assert (item["quantity"], item["includes_tester"]) == (2, True)
    world.shop.ship(order)
    assert told(world) == [(A, 3, 0, 3, 3, "PRE_TRANSIT")]


def test_an_order_that_faire_fulfils_takes_nothing(world: World) -> None:
    """Not from on hand, not committed, and no line of the brand's."""
    order = world.shop.checkout([(A, 500)], by_faire=True)
    world.shop.ship(order)
    assert numbers(world) == (7, 0, 7)
    assert told(world) == []
    assert ask(world, "GET", f"/orders/{order}")[1]["is_fulfilled_by_faire"] is True


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("units", [2, 5])
def test_a_backorder_moves_units_to_a_child(keeps: bool, units: int) -> None:
    """They are committed once, open once, and sent from the child."""
    world = make_world(parents_keep_backorders=keeps)
    order = world.shop.checkout([(A, 5)])
    carrier = world.shop.backorder(order, A, units, until=DATE)
    child = ask(world, "GET", f"/orders/{carrier}")[1]
    assert (child["state"], child["original_order_id"]) == ("BACKORDERED", order)
    assert child["expected_ship_date"] == "2026-12-24T00:00:00.000Z"
    assert world.shop.committed(A) == 5
    assert sum(row[2] for row in told(world)) == 5
    states = [item["state"] for item in ask(world, "GET", f"/orders/{order}")[1]["items"]]
    assert ("BACKORDERED" in states) is keeps
    world.shop.ship(order)
    assert world.shop.committed(A) == units
    world.shop.resume(carrier)
    world.shop.ship(carrier)
    assert world.shop.committed(A) == 0
    assert world.shop.numbers()[A] == 2


def test_a_backorder_may_wait_in_its_own_order(world: World) -> None:
    """No child: the line itself is BACKORDERED, the rest is sent."""
    order = world.shop.checkout([(A, 5)])
    assert world.shop.backorder(order, A, 2, until=DATE, child=False) == order
    world.shop.ship(order)
    states = {item["state"] for item in ask(world, "GET", f"/orders/{order}")[1]["items"]}
    assert states == {"PRE_TRANSIT", "BACKORDERED"}
    assert sum(row[2] for row in told(world)) == 2


def test_backorders_may_not_be_committed() -> None:
    """How Faire counts them is not known; both are emulated."""
    world = make_world(backorders_stay_committed=False)
    order = world.shop.checkout([(A, 5)])
    world.shop.backorder(order, A, 2, until=None)
    assert world.shop.committed(A) == 3


# -- the contract -------------------------------------------------------------------------------

SCENES: dict[str, Callable[[World], object]] = {
    "new": lambda w: w.shop.checkout([(A, 2), (B, 1)], tester=True),
    "by Faire": lambda w: w.shop.checkout([(A, 2)], by_faire=True),
    "backordered": lambda w: w.shop.backorder(w.shop.checkout([(A, 3)]), A, 1, until=DATE),
    "cancelled": lambda w: w.shop.cancel(w.shop.checkout([(A, 2)])),
    "sent": lambda w: w.shop.ship(w.shop.checkout([(A, 2)])),
    "many": lambda w: placed(w, 60),
}


@needs_contract
@pytest.mark.parametrize("name", SCENES)
def test_answers_are_as_the_contract_has_them(world: World, name: str) -> None:
    """Orders in every form, maps of variants, answers to writes: no field that is not listed."""
    contract = load(CONTRACTS)
    SCENES[name](world)
    headers = {
        "user-agent": "tests",
        "x-faire-access-token": TOKEN,
        "content-type": "application/json",
    }
    since = (BEGUN - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = {"inventories": [{"product_variant_id": A, "on_hand_quantity": 3}]}
    requests = [
        ShopRequest("GET", f"{ROOT}/orders", (("limit", "10"), ("updated_at_min", since)), headers),
        ShopRequest("GET", ROOT + BY_ID, (("ids", A), ("ids", C), ("ids", "po_x")), headers),
        ShopRequest("GET", ROOT + BY_SKU, (("skus", "candle"),), headers),
        ShopRequest("PATCH", ROOT + BY_ID, (), headers, json.dumps(body).encode()),
        *[
            ShopRequest("GET", f"{ROOT}/orders/{line.order_id}", (), headers)
            for line in world.shop.lines()
        ],
    ]
    for request in requests:
        contract.check_request(request)
        answer = world.shop.handle(request)
        assert answer.status == 200
        contract.check_answer(request, answer)
