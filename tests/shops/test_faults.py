"""The faults that all emulated shops have strike as they say, are counted, and spare the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from stockpush.connectors.shopify import operations
from stockpush.sim.shops.base import (
    REPLAY_WITHIN_S,
    ConnectionDropped,
    ShopAnswer,
    ShopRequest,
    WebhookOut,
)
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.past import Changed, Past
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.shops.woocommerce.outbox import sign
from tests.connectors import etsy_world, shopify_world
from tests.connectors.hands import BEGUN
from tests.connectors.woocommerce_world import SECRET, make_world


@dataclass
class Side:
    """One shop with a clock that only tests move, and one listing that shows 7."""

    shop: Any
    move: Callable[[float], None]
    listing: str
    reads: ShopRequest
    lists: Callable[[], ShopRequest]
    fetches: Callable[[str], ShopRequest]
    writes: Callable[[int, int | None], ShopRequest]
    """(number, what it is compared with; None: nothing)."""
    topic: Callable[[WebhookOut], str]
    ids: tuple[str, ...]
    """The headers that tell one delivery from another."""
    told: str
    """The topic that tells of a new order."""
    on_sale: Callable[[], object] = lambda: None
    """Put the listing on sale again once it has sold out."""

    def read(self) -> int:
        """Ask for the number."""
        body = json.loads(self.shop.handle(self.reads).body)
        if "products" in body:
            return int(body["products"][0]["offerings"][0]["quantity"])
        if "data" not in body:
            return int(body["stock_quantity"])
        return int(body["data"]["nodes"][0]["inventoryLevel"]["quantities"][0]["quantity"])

    def write(self, number: int, compare: int | None = None) -> ShopAnswer:
        """Set the number."""
        answer: ShopAnswer = self.shop.handle(self.writes(number, compare))
        return answer

    def listed(self) -> list[str]:
        """Return the numbers of the orders that changed in the last ten minutes."""
        body = json.loads(self.shop.handle(self.lists()).body)
        if "results" in body:
            return [str(row["receipt_id"]) for row in body["results"]]
        rows = body if isinstance(body, list) else body["data"]["orders"]["nodes"]
        return [str(row["id"]).rpartition("/")[2] for row in rows]

    def knows(self, order: str) -> bool:
        """Answer whether an order is found by its number."""
        body = json.loads(self.shop.handle(self.fetches(order)).body)
        found = body["data"]["order"] if "data" in body else body.get("id", body.get("receipt_id"))
        return found is not None

    def due(self) -> list[WebhookOut]:
        """Take the deliveries that tell of a new order; all are answered 200."""
        out = self.shop.webhooks_due()
        for each in out:
            self.shop.webhook_answered(each, 200)
        return [each for each in out if self.topic(each) == self.told]

    def buy(self, units: int = 1) -> str:
        """Let a shopper buy."""
        return str(self.shop.checkout([(self.listing, units)]))


def _shopify() -> Side:
    w = shopify_world.world()
    listing = w.sell("A", 7)
    item = f"gid://shopify/InventoryItem/{w.shop.variants[int(listing)].item_id}"
    location = f"gid://shopify/Location/{shopify_world.LOCATION}"
    keys = iter(range(100))

    def ask(operation: operations.Operation, variables: dict[str, Any]) -> ShopRequest:
        body = {"operationName": operation.name, "query": operation.document}
        return ShopRequest(
            "POST",
            operations.PATH,
            headers={"x-shopify-access-token": shopify_world.TOKEN},
            body=json.dumps({**body, "variables": variables}).encode(),
        )

    def lists() -> ShopRequest:
        since = (w.hands.now - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"query": f"updated_at:>='{since}'", "first": 50, "after": None, "lines": 5}
        return ask(operations.ORDERS, query)

    def fetches(order: str) -> ShopRequest:
        return ask(operations.ORDER_VERSION, {"id": f"gid://shopify/Order/{order}"})

    def writes(number: int, compare: int | None) -> ShopRequest:
        entry = {"inventoryItemId": item, "locationId": location, "quantity": number}
        given = {"name": "available", "reason": "correction"}
        entries = [{**entry, "changeFromQuantity": compare}]
        variables = {"input": {**given, "quantities": entries}, "key": f"k{next(keys)}"}
        return ask(operations.SET_QUANTITIES, variables)

    return Side(
        shop=w.shop,
        move=w.hands.move,
        listing=listing,
        reads=ask(operations.LEVELS, {"ids": [item], "location": location}),
        lists=lists,
        fetches=fetches,
        writes=writes,
        topic=lambda out: out.headers["x-shopify-topic"],
        ids=("x-shopify-event-id", "x-shopify-webhook-id"),
        told="orders/create",
    )


def _woo() -> Side:
    w = make_world(contracts=False)
    root, headers = "/wp-json/wc/v3", dict(w.connector.auth_headers())

    def lists() -> ShopRequest:
        since = (w.hands.now - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S")
        query = (("modified_after", since), ("dates_are_gmt", "true"), ("orderby", "id"))
        return ShopRequest("GET", f"{root}/orders", (*query, ("order", "asc")), headers)

    def writes(number: int, _: int | None) -> ShopRequest:
        body = json.dumps({"manage_stock": True, "stock_quantity": number}).encode()
        return ShopRequest("PUT", f"{root}/products/30", (), headers, body)

    return Side(
        shop=w.shop,
        move=w.hands.move,
        listing="30",
        reads=ShopRequest("GET", f"{root}/products/30", (), headers),
        lists=lists,
        fetches=lambda order: ShopRequest("GET", f"{root}/orders/{order}", (), headers),
        writes=writes,
        topic=lambda out: out.headers["x-wc-webhook-topic"],
        ids=("x-wc-webhook-delivery-id",),
        told="order.created",
    )


def _etsy() -> Side:
    w = etsy_world.make_world()
    root, token = etsy_world.ROOT, w.shop.access.issue()
    lasting = w.hands.now + timedelta(days=1)
    w.shop.access._access[token] = (lasting, w.shop.access.scopes)
    headers = {"x-api-key": w.connector.settings.api_key, "authorization": f"Bearer {token}"}
    receipts = f"{root}/shops/{etsy_world.SHOP_ID}/receipts"

    def lists() -> ShopRequest:
        since = str(int(w.hands.now.timestamp()) - 600)
        query = (("sort_on", "updated"), ("sort_order", "asc"), ("min_last_modified", since))
        return ShopRequest("GET", receipts, query, headers)

    def writes(number: int, _: int | None) -> ShopRequest:
        offering = {"price": 24.5, "quantity": number, "is_enabled": True, "readiness_state_id": 9}
        body = json.dumps({"products": [{"offerings": [offering]}]}).encode()
        told = {**headers, "content-type": "application/json"}
        return ShopRequest("PUT", f"{root}/listings/1001/inventory", (), told, body)

    w.shop.api.hides_canceled = False
    return Side(
        shop=w.shop,
        move=w.hands.move,
        listing="1001",
        reads=ShopRequest("GET", f"{root}/listings/1001/inventory", (), headers),
        lists=lists,
        fetches=lambda order: ShopRequest("GET", f"{receipts}/{order}", (), headers),
        writes=writes,
        topic=lambda out: str(json.loads(out.body)["event_type"]),
        ids=("webhook-id", "webhook-signature"),
        told="order.paid",
        on_sale=lambda: w.shop.sets_state(1001, "active"),
    )


@pytest.fixture(params=[_shopify, _woo, _etsy], ids=["shopify", "woocommerce", "etsy"])
def side(request: pytest.FixtureRequest) -> Side:
    """Return each shop in turn."""
    made: Side = request.param()
    return made


# -- all off ------------------------------------------------------------------------------------


def test_nothing_strikes_by_itself(side: Side) -> None:
    """With every switch off nothing is counted, and a history is told as it happens."""
    order = side.buy()
    assert (side.read(), side.listed(), len(side.due() + _later(side))) == (6, [order], 1)
    side.write(9)
    assert side.read() == 9
    assert not side.shop.faults.struck


def _later(side: Side) -> list[WebhookOut]:
    side.move(60)
    return side.due()


# -- readings that lag --------------------------------------------------------------------------


def test_a_stale_reading_shows_the_past_and_only_so_far_back(side: Side) -> None:
    """What was read was shown within the last 30 s; what is older, and what was never, is not."""
    side.shop.faults.stale_read_s = 30.0
    side.move(60)
    for _ in range(3):
        side.buy()
        side.move(20)
    # 7 until 60 s ago, 6 until 40 s, 5 until 20 s, 4 since.
    read = {side.read() for _ in range(60)}
    assert read == {5, 4}
    assert side.shop.faults.struck["stale_read_s"] > 0
    side.move(30.5)
    assert {side.read() for _ in range(20)} == {4}
    assert side.shop.quantity(side.listing) == 4


def test_a_stale_reading_may_miss_a_write_that_was_confirmed(side: Side) -> None:
    """The answer to a write is the truth; the reading after it may be older than it."""
    side.shop.faults.stale_read_s = 30.0
    side.move(60)
    answer = side.write(9)
    assert answer.status == 200
    side.move(10)
    read = {side.read() for _ in range(30)}
    assert read == {7, 9}
    assert side.shop.numbers()[side.listing] == 9


def test_a_compare_acts_on_the_truth() -> None:
    """Whatever readings show, a write compared with the true number passes, with a past one not."""
    side = _shopify()
    side.shop.faults.stale_read_s = 3600.0
    side.buy()
    for compare, passes in ((7, False), (6, True)):
        answer = json.loads(side.write(9, compare).body)
        errors = answer["data"]["inventorySetQuantities"]["userErrors"]
        assert (errors == []) is passes


def test_a_page_of_products_shows_one_instant() -> None:
    """Everything that one request reads is as of one instant."""
    side = _woo()
    side.shop.faults.stale_read_s = 30.0
    side.move(60)
    side.shop.checkout([("30", 1), ("31:32", 1)])
    side.move(1)
    root, headers = "/wp-json/wc/v3/products", side.reads.headers
    pairs = set()
    for _ in range(40):
        body = json.loads(side.shop.handle(ShopRequest("GET", root, (), headers)).body)
        pairs.add(tuple(row["stock_quantity"] for row in body if row["id"] in {30, 31}))
    assert pairs == {(12, 7), (11, 6)}


def test_the_past_of_a_number_is_bounded() -> None:
    """What ended longer ago than is kept is forgotten; before all that is known, the oldest is."""
    past = Past()
    assert past.as_of(BEGUN) is None
    for second in range(100):
        past.note(second, at=BEGUN + timedelta(seconds=second), kept_s=10.0)
    assert len(past.known) == 11
    assert past.as_of(BEGUN + timedelta(seconds=95.5)) == 95
    assert past.as_of(BEGUN) == 89


# -- lists that lag -----------------------------------------------------------------------------


def test_a_new_order_is_listed_late_and_found_by_its_number_at_once(side: Side) -> None:
    """Each order is listed within the lag and not before; asking for it knows no lag."""
    side.shop.faults.orders_lag_s = 60.0
    orders = [side.buy() for _ in range(6)]
    assert all(side.knows(order) for order in orders)
    seen = []
    for _ in range(12):
        seen.append(len(side.listed()))
        side.move(5)
    assert seen[0] < 6
    assert seen == sorted(seen)
    assert side.listed() == orders
    assert side.shop.faults.struck["orders_lag_s"] >= 6


def test_an_order_asked_for_by_its_number_in_a_list_is_there_at_once() -> None:
    """WooCommerce's `include` names orders; the lists that lag are those that search."""
    side = _woo()
    side.shop.faults.orders_lag_s = 3600.0
    order = side.buy()
    request = side.fetches("")
    query = (("include", order), ("status", "any"))
    path = request.path.rstrip("/")
    body = side.shop.handle(ShopRequest("GET", path, query, request.headers)).body
    assert [row["id"] for row in json.loads(body)] == [int(order)]
    assert side.listed() == []


def test_a_changed_order_is_listed_late_by_its_change(side: Side) -> None:
    """A search from after its creation does not find it until lists know of the change."""
    order = side.buy()
    side.move(1200)
    assert side.listed() == []
    side.shop.faults.orders_lag_s = 60.0
    side.shop.dice.seed(3)
    side.shop.cancel(order)
    assert side.listed() == []
    side.move(60)
    assert side.listed() == [order]


def test_changes_may_be_found_in_the_wrong_order() -> None:
    """The newest change stands, though an older one comes to be known after it."""
    changed, late = Changed(), BEGUN + timedelta(seconds=50)
    second = int(BEGUN.timestamp())
    changed.note(1, BEGUN, visible_at=late)
    changed.note(1, BEGUN + timedelta(seconds=5), visible_at=BEGUN + timedelta(seconds=6))
    assert list(changed.after((0, 0), now=BEGUN + timedelta(seconds=5))) == []
    assert list(changed.after((0, 0), now=BEGUN + timedelta(seconds=6))) == [(second + 5, 1)]
    assert list(changed.after((0, 0), now=late)) == [(second + 5, 1)]
    changed.note(2, BEGUN, visible_at=late)
    changed.drop(2)
    changed.drop(1)
    assert list(changed.after((0, 0), now=late)) == []


def test_a_deleted_order_is_listed_no_more(side: Side) -> None:
    """Gone is gone, lag or not. (Etsy deletes no receipt.)"""
    if isinstance(side.shop, EtsyShop):
        return
    side.shop.faults.orders_lag_s = 60.0
    orders = [side.buy(), side.buy()]
    side.move(60)
    (side.shop.delete_order if hasattr(side.shop, "delete_order") else side.shop.delete)(orders[0])
    assert side.listed() == orders[1:]


# -- deliveries ---------------------------------------------------------------------------------


def test_copies_are_drawn_up_to_the_most(side: Side) -> None:
    """A doubled delivery comes 2 to 5 times, each with the same body; each strike counts once."""
    side.shop.faults.webhook_duplicate, side.shop.faults.webhook_copies_max = 1.0, 5
    counts = set()
    for _ in range(30):
        if side.shop.quantity(side.listing):
            side.buy()
        else:
            side.on_sale()
            side.write(7)
        side.move(1)
        if out := side.due():
            counts.add(len(out))
            assert len({each.body for each in out}) == 1
            assert len({each.id for each in out}) == len(out)
    assert counts == {2, 3, 4, 5}
    assert side.shop.faults.struck["webhook_duplicate"] > 20


def test_delays_are_spread(side: Side) -> None:
    """Each delivery draws its own delay: some come early, none after the longest."""
    side.shop.faults.webhook_delay_s, side.shop.faults.webhook_delay_spread = 100.0, True
    for _ in range(7):
        side.buy()
    came = []
    for _ in range(11):
        came.append(len(side.due()))
        side.move(10)
    assert sum(came) == 7
    assert sum(1 for each in came if each) > 2
    assert side.shop.faults.struck["webhook_delay_s"] >= 7


def test_a_replay_has_the_old_body_and_new_ids(side: Side) -> None:
    """It is signed rightly, comes within the hour, and its failure means nothing to the shop."""
    side.shop.faults.webhook_replay = 1.0
    order = side.buy()
    side.move(1)
    (first,) = side.due()
    side.shop.cancel(order)
    side.shop.faults.webhook_replay = 0.0
    side.move(REPLAY_WITHIN_S)
    out = side.shop.webhooks_due()
    again = [each for each in out if side.topic(each) == side.told]
    assert [each.body for each in again] == [first.body]
    assert all(again[0].headers[name] != first.headers[name] for name in side.ids)
    if isinstance(side.shop, WooShop):
        assert again[0].headers["x-wc-webhook-signature"] == sign(SECRET, first.body)
    for each in out:
        side.shop.webhook_answered(each, 200 if each not in again else None)
    assert side.shop.faults.struck["webhook_replay"] > 0
    # No retry, and no failure of the webhook.
    side.move(7200)
    assert side.due() == []
    if isinstance(side.shop, WooShop):
        assert not any(each.failures for each in side.shop._outbox.webhooks.values())
    elif isinstance(side.shop, ShopifyShop):
        assert not any(each.failures for each in side.shop.outbox.subscriptions)


def test_lost_webhooks_tell_nothing_more(side: Side) -> None:
    """The platform gave them up: neither what waits nor what happens then is told."""
    side.buy()
    side.shop.lose_webhooks()
    side.buy()
    side.move(600)
    assert side.shop.webhooks_due() == []


# -- answers ------------------------------------------------------------------------------------


def test_a_page_instead_of_an_answer_may_hide_a_write_or_the_lack_of_one(side: Side) -> None:
    """Status 200, HTML, and the number was set or was not."""
    side.shop.faults.html_answer = 1.0
    ends = set()
    for number in range(20, 40):
        answer = side.write(number)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert "date" in answer.headers
        assert answer.body.startswith(b"<!DOCTYPE html>")
        ends.add(side.shop.quantity(side.listing) == number)
    assert ends == {True, False}
    assert side.shop.faults.struck["html_answer"] == 20


def test_a_truncated_answer_stands_for_a_write_that_was_made(side: Side) -> None:
    """The body breaks off and is no JSON; its content-length is that of the whole."""
    whole = len(side.write(8).body)
    side.shop.faults.truncated_answer_next = 1
    answer = side.write(9)
    assert (answer.status, side.shop.quantity(side.listing)) == (200, 9)
    assert len(answer.body) < int(answer.headers["content-length"]) == pytest.approx(whole, abs=50)
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body)
    assert "content-length" not in side.write(10).headers
    assert side.shop.faults.struck["truncated_answer"] == 1


def test_an_unreachable_shop_sees_nothing(side: Side) -> None:
    """The connection is refused: no write was received, nothing was applied."""
    side.shop.faults.unreachable = True
    with pytest.raises(ConnectionDropped) as caught:
        side.write(9)
    assert caught.value.applied is False
    assert (side.shop.quantity(side.listing), side.shop.faults.writes_seen) == (7, [])
    assert side.shop.faults.struck == {"unreachable": 1}


@pytest.mark.parametrize("fault", ["rate_limit", "server_error"])
def test_strikes_are_counted_by_the_name_of_the_fault(side: Side, fault: str) -> None:
    """Certain ones and drawn ones under one name; a switch each time that it mattered."""
    setattr(side.shop.faults, f"{fault}_next", 2)
    for _ in range(3):
        side.shop.handle(side.reads)
    assert side.shop.faults.struck == {fault: 2}
    setattr(side.shop.faults, fault, 1.0)
    side.shop.handle(side.reads)
    assert side.shop.faults.struck == {fault: 3}
    setattr(side.shop.faults, fault, 0.0)
    side.shop.faults.unauthorized = True
    assert side.shop.handle(side.reads).status == 401
    assert side.shop.faults.struck == {fault: 3, "unauthorized": 1}


@pytest.mark.parametrize("fault", ["webhook_drop", "webhook_reorder"])
def test_strikes_of_deliveries_are_counted(side: Side, fault: str) -> None:
    """Dropped and overtaken deliveries count too."""
    setattr(side.shop.faults, fault, 1.0)
    side.buy()
    side.move(60)
    side.due()
    assert side.shop.faults.struck[fault] > 0


def test_equals_of_a_list_by_date_come_in_any_order() -> None:
    """Sorted by date, the default, equals are shuffled for each page; by number nothing is."""
    side = _woo()
    side.shop.faults.shuffled_pages = True
    orders = [int(side.buy()) for _ in range(4)]
    root, headers = "/wp-json/wc/v3/orders", side.reads.headers

    def listed(**query: str) -> tuple[int, ...]:
        request = ShopRequest("GET", root, tuple(query.items()), headers)
        return tuple(row["id"] for row in json.loads(side.shop.handle(request).body))

    by_date = {listed() for _ in range(20)}
    assert len(by_date) > 1
    assert {tuple(sorted(each)) for each in by_date} == {tuple(orders)}
    assert {listed(orderby="id", order="asc") for _ in range(20)} == {tuple(orders)}
    side.move(1)
    last = int(side.buy())
    assert {listed()[0] for _ in range(20)} == {last}
