"""The emulated WooCommerce shop behaves as the measured one, above all where it misbehaves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from typing import Any

import pytest

from stockpush.sim.shops.base import ConnectionDropped, ShopAnswer, ShopRequest, SoldOut
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.shops.woocommerce.outbox import sign
from tests.connectors.woocommerce_world import SECRET, World, make_world, needs_contract

ROOT = "/wp-json/wc/v3"


@pytest.fixture
def world() -> World:
    """Return the shop of woocommerce_world."""
    return make_world()


def ask(
    world: World, method: str, path: str, body: Any = None, *, key: str | None = None, **query: str
) -> tuple[int, Any]:
    """Send one request to the shop; return status and JSON."""
    given = answered(world, method, path, body, key=key, **query)
    return given.status, json.loads(given.body)


def answered(
    world: World, method: str, path: str, body: Any = None, *, key: str | None = None, **query: str
) -> ShopAnswer:
    """Send one request to the shop; return its answer."""
    headers = dict(world.connector.auth_headers()) if key is None else {"authorization": key}
    content = b"" if body is None else json.dumps(body).encode()
    return world.shop.handle(
        ShopRequest(method, ROOT + path, tuple(query.items()), headers, content)
    )


# -- credentials, faults ----------------------------------------------------------------------


def test_wrong_key_is_401(world: World):
    """Only the shop's own key opens it."""
    assert ask(world, "GET", "/products/30", key="Basic Y2s6Y3M=")[0] == 401
    assert ask(world, "GET", "/products/30", key="")[0] == 401


def test_drop_before_and_after_differ_in_what_was_applied(world: World):
    """A connection dropped before changes nothing; dropped after, the write stands."""
    update = {"manage_stock": True, "stock_quantity": 3}
    world.shop.faults.drop_before_next = 1
    with pytest.raises(ConnectionDropped) as before:
        ask(world, "PUT", "/products/30", update)
    assert (before.value.applied, world.shop.quantity("30")) == (False, 7)
    world.shop.faults.drop_after_next = 1
    with pytest.raises(ConnectionDropped) as after:
        ask(world, "PUT", "/products/30", update)
    assert (after.value.applied, world.shop.quantity("30")) == (True, 3)
    assert len(world.shop.faults.writes_seen) == 2


def test_faults_answer_as_hosts_do(world: World):
    """429 and the maintenance page carry Retry-After; server errors are HTML or JSON."""
    world.shop.faults.rate_limit_next = 1
    limited = answered(world, "GET", "/products/30")
    assert (limited.status, limited.headers["retry-after"]) == (429, "2")
    world.shop.faults.server_error_next = 6
    kinds = {answered(world, "GET", "/products/30").status for _ in range(6)}
    assert kinds <= {500, 502, 503}
    assert len(kinds) > 1
    world.shop.maintenance = True
    page = answered(world, "GET", "/products/30")
    assert (page.status, page.headers["retry-after"], page.body[:1]) == (503, "600", b"<")


def test_faults_of_writes_only_spare_reads(world: World):
    """With `only_writes` a read passes and uses no fault up."""
    world.shop.faults.only_writes = True
    world.shop.faults.server_error_next = 1
    assert ask(world, "GET", "/products/30")[0] == 200
    assert answered(world, "PUT", "/products/30", {"stock_quantity": 1}).status >= 500
    assert world.shop.quantity("30") == 7


@needs_contract
@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/products", {"per_page": "101"}, None),
        ("GET", "/orders", {"orderby": "shoe size"}, None),
        ("GET", "/orders", {"status": "shipped"}, None),
        ("GET", "/orders", {"modified_after": "yesterday"}, None),
        ("GET", "/orders", {"updated_after": "2026-11-22T10:00:00"}, None),
        ("PUT", "/products/30", {}, {"stock_quantity": "many"}),
        ("PUT", "/products/30", {}, {"stock_quantity": 1.5}),
        ("PUT", "/products/30", {}, {"stock": 1}),
        ("PUT", "/products/30", {}, {"manage_stock": "maybe"}),
        ("PUT", "/products/30", {}, {"backorders": "perhaps"}),
        ("POST", "/products/batch", {}, {"update": [{"id": 30, "stock": 1}]}),
        ("POST", "/products/batch", {}, {"change": []}),
    ],
)
def test_contract_refuses(world: World, method: str, path: str, query: Any, body: Any):
    """What the real shop's own index does not allow is 400, and changes nothing."""
    status, error = ask(world, method, path, body, **query)
    assert (status, error["code"]) == (400, "rest_invalid_param")
    assert world.shop.quantity("30") == 7


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/products/99", 404, "woocommerce_rest_product_invalid_id"),
        ("PUT", "/products/99", 400, "woocommerce_rest_product_invalid_id"),
        ("PUT", "/products/31/variations/99", 400, "woocommerce_rest_product_variation_invalid_id"),
        ("PUT", "/products/30/variations/33", 400, "woocommerce_rest_product_variation_invalid_id"),
        ("GET", "/orders/99", 404, "woocommerce_rest_shop_order_invalid_id"),
    ],
)
def test_unknown_id_is_404_to_a_read_and_400_to_a_write(
    world: World, method: str, path: str, status: int, code: str
):
    """Measured: a PUT to an unknown id is 400, not 404."""
    found, error = ask(world, method, path, {} if method == "PUT" else None)
    assert (found, error["code"]) == (status, code)


# -- stock writes -----------------------------------------------------------------------------


def test_quantity_without_manage_stock_is_dropped_with_200(world: World):
    """Measured: a stock PUT to a product that does not manage stock changes nothing."""
    world.shop.stop_managing("30")
    status, saved = ask(world, "PUT", "/products/30", {"stock_quantity": 9})
    assert (status, saved["stock_quantity"], saved["manage_stock"]) == (200, None, False)


def test_any_put_clears_an_unmanaged_variation(world: World):
    """A variation that stopped managing loses its number at the next write, whatever it says."""
    world.shop.stop_managing("31:33")
    world.shop.merchant_sets("31", 12)
    ask(world, "PUT", "/products/31/variations/33", {"backorders": "yes"})
    _, back = ask(world, "PUT", "/products/31/variations/33", {"manage_stock": True})
    assert (back["stock_quantity"], back["backorders"]) == (0, "no")


def test_parent_managed_variation_shows_and_keeps_the_parents_number(world: World):
    """It answers "parent", and a quantity sent to it does not reach the parent."""
    status, saved = ask(world, "PUT", "/products/31/variations/32", {"stock_quantity": 1})
    assert (status, saved["manage_stock"], saved["stock_quantity"]) == (200, "parent", 12)
    assert world.shop.quantity("31:32") == 12


def test_null_quantity_sets_zero(world: World):
    """Measured: `stock_quantity: null` is 0, not "unchanged"."""
    status, saved = ask(world, "PUT", "/products/30", {"stock_quantity": None})
    assert (status, saved["stock_quantity"]) == (200, 0)


def test_put_overwrites_a_sale(world: World):
    """There is no compare-and-set: a PUT that knows nothing of a sale undoes it."""
    world.shop.checkout([("30", 2)])
    ask(world, "PUT", "/products/30", {"manage_stock": True, "stock_quantity": 7})
    assert world.shop.quantity("30") == 7


def test_batch_is_a_loop_with_errors_beside_successes(world: World):
    """One bad item neither stops nor undoes the others; the whole is 200."""
    items = [{"id": 30, "manage_stock": True, "stock_quantity": 4}, {"id": 99}]
    status, answer = ask(world, "POST", "/products/batch", {"update": items})
    assert status == 200
    assert answer["update"][0]["stock_quantity"] == 4
    assert answer["update"][1]["error"]["data"] == {"status": 400}
    assert world.shop.quantity("30") == 4


def test_batch_above_100_is_413_and_applies_nothing(world: World):
    """The limit counts all items together."""
    items = [{"id": 30, "manage_stock": True, "stock_quantity": 1}] * 101
    status, error = ask(world, "POST", "/products/batch", {"update": items})
    assert (status, error["code"]) == (413, "woocommerce_rest_request_entity_too_large")
    assert world.shop.quantity("30") == 7
    assert ask(world, "POST", "/products/batch", {"update": items[:100]})[0] == 200


def test_variations_are_listed_by_parent_only(world: World):
    """The product list holds no variations, unless it filters by SKU."""
    _, products = ask(world, "GET", "/products", include="30,33", per_page="100")
    assert [each["id"] for each in products] == [30]
    _, by_sku = ask(world, "GET", "/products", sku="candle,soap-l", order="asc")
    assert [(each["id"], each["parent_id"]) for each in by_sku] == [(30, 0), (33, 31)]


# -- the life of an order ---------------------------------------------------------------------


def reduced(world: World, order_id: str) -> list[str | None]:
    """Return the `_reduced_stock` meta of each line of an order."""
    _, order = ask(world, "GET", f"/orders/{order_id}")
    return [
        next((m["value"] for m in line["meta_data"] if m["key"] == "_reduced_stock"), None)
        for line in order["line_items"]
    ]


def test_pending_order_holds_without_deducting(world: World):
    """The number stays, the checkout counts the hold, no meta is written."""
    order = world.shop.checkout([("30", 3)], paid=False)
    assert (world.shop.stock_quantity("30"), world.shop.quantity("30")) == (7, 4)
    assert reduced(world, order) == [None]
    with pytest.raises(SoldOut):
        world.shop.checkout([("30", 5)])


def test_payment_deducts_once_and_writes_the_meta(world: World):
    """Entering processing takes the units; completed does not take them again."""
    order = world.shop.checkout([("30", 3)], paid=False)
    world.shop.pay(order)
    world.shop.ship(order)
    assert (world.shop.stock_quantity("30"), reduced(world, order)) == (4, ["3"])


def test_unpaid_order_is_cancelled_when_its_hold_runs_out(world: World):
    """After an hour the timed job cancels it; the units are on sale again."""
    order = world.shop.checkout([("30", 3)], paid=False)
    world.hands.move(3599)
    assert world.shop.quantity("30") == 4
    assert world.shop.next_webhook_at() is not None
    world.hands.move(2)
    assert ask(world, "GET", f"/orders/{order}")[1]["status"] == "cancelled"
    assert world.shop.quantity("30") == 7


@pytest.mark.parametrize(
    ("what", "stock", "meta"),
    [
        ("cancel", 7, None),
        ("pending", 7, None),
        ("fail", 4, "3"),
        ("trash", 4, "3"),
        ("refunded", 4, "3"),
    ],
)
def test_what_puts_stock_back(world: World, what: str, stock: int, meta: str | None):
    """Cancelled and pending restore and delete the meta; failed, refunded and trash do not."""
    order = world.shop.checkout([("30", 3)])
    if what in {"pending", "refunded"}:
        world.shop.set_status(order, what)
    else:
        getattr(world.shop, what)(order)
    assert (world.shop.stock_quantity("30"), reduced(world, order)) == (stock, [meta])


def test_refund_with_restock_raises_the_number_and_lowers_the_meta(world: World):
    """The refund object has a negative quantity and names its line."""
    order = world.shop.checkout([("30", 3)])
    world.shop.refund(order, "30", 2, restock=True)
    assert (world.shop.quantity("30"), reduced(world, order)) == (6, ["1"])
    _, (refund,) = ask(world, "GET", f"/orders/{order}/refunds")
    _, full = ask(world, "GET", f"/orders/{order}")
    item = refund["line_items"][0]
    assert item["quantity"] == -2
    assert item["meta_data"][0]["key"] == "_refunded_item_id"
    assert item["meta_data"][0]["value"] == str(full["line_items"][0]["id"])
    assert "line_items" not in full["refunds"][0]


def test_refund_without_restock_leaves_number_and_meta(world: World):
    """A refund is about money; refunding the rest makes the order refunded."""
    order = world.shop.checkout([("30", 3)])
    world.shop.refund(order, "30", 2, restock=False)
    assert (world.shop.quantity("30"), reduced(world, order)) == (4, ["3"])
    with pytest.raises(ValueError, match="left to refund"):
        world.shop.refund(order, "30", 2, restock=False)
    world.shop.refund(order, "30", 1, restock=False)
    assert ask(world, "GET", f"/orders/{order}")[1]["status"] == "refunded"


@pytest.mark.parametrize(("quantity", "stock", "meta"), [(5, 2, ["5"]), (1, 6, ["1"]), (0, 7, [])])
def test_edit_moves_the_number(world: World, quantity: int, stock: int, meta: list[str]):
    """Up takes more, down and out put back."""
    order = world.shop.checkout([("30", 3)])
    world.shop.edit(order, "30", quantity)
    assert (world.shop.quantity("30"), reduced(world, order)) == (stock, meta)


def test_late_payment_may_drive_the_number_below_zero(world: World):
    """A hold that ran out is sold to others; the payment is taken all the same."""
    order = world.shop.checkout([("30", 5)], paid=False)
    world.hands.move(3601)
    world.shop.checkout([("30", 7)])
    world.shop.pay(order)
    assert world.shop.stock_quantity("30") == -5


def test_sale_of_a_parent_managed_variation_lowers_the_parent(world: World):
    """Two variations of one owner share one number; a variation of its own does not."""
    world.shop.checkout([("31:32", 4), ("31:33", 1)])
    assert (world.shop.stock_quantity("31"), world.shop.stock_quantity("31:33")) == (8, 4)


# -- listing orders ---------------------------------------------------------------------------


def test_orders_page_in_id_order_with_totals(world: World):
    """X-WP-Total, X-WP-TotalPages and Link describe the pages; a page past the end is empty."""
    orders = [world.shop.checkout([("30", 1)]) for _ in range(5)]
    answer = answered(
        world, "GET", "/orders", orderby="id", order="asc", per_page="2", page="2", status="any"
    )
    assert [str(each["id"]) for each in json.loads(answer.body)] == orders[2:4]
    assert answer.headers["x-wp-total"] == "5"
    assert answer.headers["x-wp-totalpages"] == "3"
    assert 'rel="next"' in answer.headers["link"]
    assert ask(world, "GET", "/orders", per_page="2", page="9")[1] == []


def test_any_hides_the_trash(world: World):
    """A trashed order vanishes from `any` and can still be asked for."""
    order = world.shop.checkout([("30", 1)])
    world.shop.trash(order)
    assert ask(world, "GET", "/orders", status="any")[1] == []
    assert len(ask(world, "GET", "/orders", status="trash")[1]) == 1
    assert len(ask(world, "GET", "/orders", status="trash", include=order)[1]) == 1


def test_modified_after_is_site_time_without_dates_are_gmt(world: World):
    """The site is two hours ahead: the same text means an earlier instant."""
    world.shop.checkout([("30", 1)])
    after = "2026-11-22T10:00:30"
    gmt = {"dates_are_gmt": "true"}
    assert ask(world, "GET", "/orders", modified_after=after, **gmt)[1] == []
    assert len(ask(world, "GET", "/orders", modified_after=after)[1]) == 1


# -- webhooks ---------------------------------------------------------------------------------


def due(world: World) -> list[Any]:
    """Take what is due two seconds later, unanswered."""
    world.hands.move(2)
    return world.shop.webhooks_due()


def test_creating_a_webhook_pings_unsigned(world: World):
    """The ping is a form with the webhook's number and carries no X-WC header."""
    status, created = ask(
        world,
        "POST",
        "/webhooks",
        {"topic": "order.created", "delivery_url": "http://d/", "secret": SECRET},
    )
    (ping,) = due(world)
    assert status == 201
    assert ping.body == b"webhook_id=%d" % created["id"]
    assert not any(name.startswith("x-wc-") for name in ping.headers)


def test_body_is_built_at_delivery_and_bursts_are_one_delivery(world: World):
    """Three changes before the queue runs are one order.updated, with the last state."""
    order = world.shop.checkout([("30", 1)])
    world.shop.ship(order)
    world.shop.edit(order, "30", 2)
    updated = [o for o in due(world) if o.headers.get("x-wc-webhook-topic") == "order.updated"]
    assert len(updated) == 1
    body = json.loads(updated[0].body)
    assert (body["status"], body["line_items"][0]["quantity"]) == ("completed", 2)


def test_two_orders_in_one_second_share_a_delivery_id(world: World):
    """The delivery id hashes the webhook and the second, nothing of the order."""
    world.shop.checkout([("30", 1)])
    world.shop.checkout([("30", 1)])
    created = [o for o in due(world) if o.headers.get("x-wc-webhook-topic") == "order.created"]
    assert len(created) == 2
    assert len({o.headers["x-wc-webhook-delivery-id"] for o in created}) == 1
    assert len({o.body for o in created}) == 2


def test_failed_delivery_is_never_repeated_and_the_seventh_disables(world: World):
    """Six failures in a row are survived, a success forgets them, the seventh is the end."""

    def sell(status: int | None) -> int:
        world.shop.merchant_sets("30", 7)
        world.shop.checkout([("30", 1)])
        outs = [o for o in due(world) if o.headers["x-wc-webhook-topic"] == "order.created"]
        for out in outs:
            world.shop.webhook_answered(out, status)
        return len(outs)

    assert [sell(500) for _ in range(6)] == [1] * 6
    assert due(world) == []  # nothing comes again by itself
    assert sell(200) == 1
    assert [sell(None) for _ in range(8)] == [1] * 7 + [0]
    _, webhooks = ask(world, "GET", "/webhooks")
    assert {w["status"] for w in webhooks if w["topic"] == "order.created"} == {"disabled"}
    number = next(w["id"] for w in webhooks if w["topic"] == "order.created")
    ask(world, "PUT", f"/webhooks/{number}", {"status": "active"})
    assert sell(200) == 1


@pytest.mark.parametrize(
    ("status", "sent"), [(200, 8), (204, 8), (301, 8), (302, 8), (303, 7), (404, 7), (None, 7)]
)
def test_a_redirect_counts_as_delivered(world: World, status: int | None, sent: int):
    """A 302 is no failure to WordPress, which does not follow it: what it told is lost."""

    def sell() -> int:
        world.shop.merchant_sets("30", 7)
        world.shop.checkout([("30", 1)])
        outs = [o for o in due(world) if o.headers["x-wc-webhook-topic"] == "order.created"]
        for out in outs:
            world.shop.webhook_answered(out, status)
        return len(outs)

    assert sum(sell() for _ in range(8)) == sent


def test_trash_and_deletion_send_the_bare_id(world: World):
    """order.deleted has nothing but the id."""
    order = world.shop.checkout([("30", 1)])
    due(world)
    world.shop.trash(order)
    (deleted,) = [o for o in due(world) if o.headers["x-wc-webhook-topic"] == "order.deleted"]
    assert json.loads(deleted.body) == {"id": int(order)}


def test_own_write_echoes_as_product_updated(world: World):
    """A stock PUT is announced like any other change of the product."""
    ask(world, "PUT", "/products/30", {"manage_stock": True, "stock_quantity": 3})
    (echo,) = due(world)
    assert echo.headers["x-wc-webhook-topic"] == "product.updated"
    assert json.loads(echo.body)["stock_quantity"] == 3


def test_signature_uses_the_entity_decoded_secret():
    """The secret loses its HTML entities before it becomes the key."""
    expected = base64.b64encode(hmac.new(b"a&b'", b"{}", hashlib.sha256).digest()).decode()
    assert sign("a&amp;b&#039;", b"{}") == expected


def test_webhook_faults_drop_duplicate_and_delay():
    """Dropped deliveries never come, duplicates come twice, delays come later."""
    world = make_world()
    world.shop.faults.webhook_drop = 1.0
    world.shop.checkout([("30", 1)])
    assert due(world) == []
    world.shop.faults.webhook_drop = 0.0
    world.shop.faults.webhook_duplicate = 1.0
    world.shop.checkout([("30", 1)])
    bodies = [o.body for o in due(world) if o.headers["x-wc-webhook-topic"] == "order.created"]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    world.shop.faults.webhook_duplicate = 0.0
    world.shop.faults.webhook_delay_s = 100.0
    world.shop.checkout([("30", 1)])
    assert due(world) == []
    world.hands.move(100)
    assert due(world) != []


def test_reordered_deliveries_overtake_each_other():
    """With reordering, a later change may be told first."""
    world = make_world()
    world.shop.dice.seed(4)
    world.shop.faults.webhook_reorder = 0.5
    for _ in range(6):
        world.shop.checkout([("30", 1)])
        world.hands.move(1)
    world.hands.move(60)
    told = [
        json.loads(o.body)["id"]
        for o in world.shop.webhooks_due()
        if o.headers["x-wc-webhook-topic"] == "order.created"
    ]
    assert len(told) == 6
    assert told != sorted(told)


def test_shop_works_without_the_contract():
    """Demo and newcomers have no contract folder; the shop answers all the same."""
    world = make_world(contracts=False)
    assert ask(world, "GET", "/products/30")[1]["stock_quantity"] == 7
    assert ask(world, "GET", "/nothing")[0] == 404
    assert isinstance(world.shop, WooShop)
    assert isinstance(world.shop.dice, random.Random)
