"""Shopify webhooks in: who signed them, and what the body says.

Which trap of the platform is met by which test: test_shopify_traps.py.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors.base import WebhookRequest
from stockpush.errors import PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint, OrderSeen, QuantityHint
from tests.connectors.shopify_world import HOST, connector, world
from tests.connectors.test_signatures import sign

SAMPLES = Path(__file__).parents[1] / "samples/shopify"
ORDER = "820982911946154508"
CREATE = "orders/create"
OURS = connector(location="655441491", webhook_secret="hush", webhook_secret_previous="before")


def sample(name: str) -> bytes:
    """Return a sample body."""
    return (SAMPLES / f"{name}.json").read_bytes()


def read(body: bytes, topic: str | None = None):
    """Read a body as it would arrive."""
    headers = {} if topic is None else {"x-shopify-topic": topic}
    return OURS.read(WebhookRequest(headers, body))


EXPECTED = {
    "orders_create": OrderSeen,
    "orders_custom_line": OrderSeen,
    "orders_cancelled_restocked": OrderSeen,
    "orders_shipped_then_returned": OrderSeen,
    "orders_partial_fields": OrderHint("s", ORDER),
    "orders_delete": OrderHint("s", ORDER),
    "orders_edited": OrderHint("s", ORDER),
    "refunds_create": OrderHint("s", ORDER),
    "fulfillments_create": OrderHint("s", ORDER),
    "inventory_levels_update": QuantityHint("s", "49148385", 7),
    "inventory_levels_update_untracked": QuantityHint("s", "49148385"),
    "inventory_levels_update_elsewhere": Nothing,
    "products_update": Nothing,
    "inventory_items_update": Nothing,
    "draft_orders_create": Nothing,
    "bulk_operations_finish": Nothing,
}


def test_every_sample_is_expected() -> None:
    """No sample lies about unread, and none is missing."""
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_samples(name: str) -> None:
    """Each sample is read as what its shape says."""
    _, (seen,) = read(sample(name))
    expected = EXPECTED[name]
    assert isinstance(seen, expected) if isinstance(expected, type) else seen == expected


def test_an_order_body_is_counted() -> None:
    """The sample of a new order, to the last number; instants in UTC; no buyer's data."""
    topic, (seen,) = read(sample("orders_create"))
    assert topic == "order"
    assert isinstance(seen, OrderSeen)
    assert seen.version == (datetime(2026, 11, 22, 10, 0, 1, tzinfo=UTC), 0)
    assert seen.placed_at == seen.deducted_at == datetime(2026, 11, 22, 10, tzinfo=UTC)
    (line,) = seen.lines
    assert (line.line_id, line.order_key) == ("866550311766439020", "808950810")
    assert (line.ordered, line.open, line.shipped, line.written_off, line.deducted) == (
        3, 3, 0, 0, 3,
    )  # fmt: skip
    assert "anary" not in repr(seen)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("orders_cancelled_restocked", (0, 0, 0, 0)),
        ("orders_shipped_then_returned", (0, 2, 0, 2)),
    ],
)
def test_refunds_inside_an_order_are_counted(name: str, numbers) -> None:
    """Open, shipped, written off, deducted of the samples with refunds."""
    _, (seen,) = read(sample(name))
    assert isinstance(seen, OrderSeen)
    (line,) = seen.lines
    assert (line.open, line.shipped, line.written_off, line.deducted) == numbers


def test_fields_that_nobody_knows_yet_change_nothing() -> None:
    """Whatever Shopify adds to an order, at any depth, it is read as before."""

    def added(value: object) -> object:
        if isinstance(value, dict):
            return {**{key: added(each) for key, each in value.items()}, "new_field": {"a": [1]}}
        return [added(each) for each in value] if isinstance(value, list) else value

    for name in ("orders_create", "orders_shipped_then_returned", "inventory_levels_update"):
        body = sample(name)
        assert read(json.dumps(added(json.loads(body))).encode())[1] == read(body)[1]


@pytest.mark.parametrize(
    "topic", ["products/update", "orders/create", "nonsense", "<script>", "", None]
)
def test_the_topic_header_decides_nothing(topic: str | None) -> None:
    """Whatever the unsigned topic says, the body is read the same; odd topics are not shown."""
    shown, seen = read(sample("orders_edited"), topic)
    assert seen == (OrderHint("s", ORDER),)
    assert shown == (topic if topic in {"products/update", "orders/create"} else "order_edit")


def test_a_replay_reads_the_same() -> None:
    """A fresh event id over the same body changes nothing in what is read."""
    body = sample("orders_create")
    once = OURS.read(WebhookRequest({"x-shopify-event-id": "a"}, body))
    assert OURS.read(WebhookRequest({"x-shopify-event-id": "b"}, body)) == once


# -- who signed it ------------------------------------------------------------------------------


def delivery(secret: bytes, body: bytes = b'{"id":1}', **headers: str) -> WebhookRequest:
    """Sign a delivery."""
    return WebhookRequest({"x-shopify-hmac-sha256": sign(secret, body), **headers}, body)


@pytest.mark.parametrize("secret", [b"hush", b"before"])
def test_after_a_rotation_both_secrets_pass(secret: bytes) -> None:
    """The present secret and the one before it sign; a third does not."""
    OURS.verify(delivery(secret))
    with pytest.raises(SignatureInvalid):
        OURS.verify(delivery(b"third"))
    with pytest.raises(SignatureInvalid):
        connector().verify(delivery(b"before"))


def test_the_published_vector_passes() -> None:
    """The digest given in the notes on Shopify's signature is accepted, byte for byte."""
    body = (
        b'{"id":820982911946154508,"line_items":'
        b'[{"id":866550311766439020,"variant_id":808950810,"quantity":1}]}'
    )
    header = "hPKyF4rhghEfRvhqN1oOaa7esCLNwXz6L/zolizjnVo="
    OURS.verify(WebhookRequest({"x-shopify-hmac-sha256": header}, body))


def test_a_delivery_without_a_signature_is_refused() -> None:
    """No header is no signature; and Shopify has no unsigned ping."""
    with pytest.raises(SignatureInvalid):
        OURS.verify(WebhookRequest({}, b'{"id":1}'))
    assert not OURS.is_ping(WebhookRequest({}, b"webhook_id=1"))


@pytest.mark.parametrize(
    ("domain", "passes"),
    [(HOST, True), (HOST.upper(), True), ("other.myshopify.com", False), ("", False)],
)
def test_a_delivery_for_another_shop_is_refused(domain: str, *, passes: bool) -> None:
    """A well-signed body that names another shop is not for this channel."""
    request = delivery(b"hush", **{"x-shopify-shop-domain": domain})
    if passes:
        OURS.verify(request)
        return
    with pytest.raises(SignatureInvalid) as caught:
        OURS.verify(request)
    assert caught.value.expected == HOST


# -- bodies that are wrong ------------------------------------------------------------------------

ODD = [None, True, -1, 0, 1.5, 2**63, "1", "", [], {}, [None], {"id": None}]


def outcome(body: bytes) -> str:
    """Read a body; say what came of it. Anything but PayloadInvalid escapes."""
    try:
        read(body)
    except PayloadInvalid:
        return "invalid"
    return "read"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"{",
        b"{}",
        b'{"foo":1}',
        b'{"id":NaN}',
        b'{"id":Infinity}',
        b'{"id":' + b"9" * 5000 + b"}",
        b'{"id":1.0e400}',
        b'{"id":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"webhook_id=42",
        b'{"order_edit":{}}',
        b'{"order_edit":{"order_id":"1"}}',
        b'{"order_id":1.5}',
        b'{"inventory_item_id":1,"location_id":null}',
        b'{"line_items":[],"refunds":[],"fulfillments":[]}',
    ],
)
def test_a_body_that_says_nothing_known_is_invalid(body: bytes) -> None:
    """Not JSON, not an object, of unknown shape, without the id that matters: PayloadInvalid."""
    assert outcome(body) == "invalid"


@given(data=st.data(), odd=st.sampled_from(ODD))
def test_no_body_raises_anything_else(data, odd) -> None:
    """Any value of an order replaced by any other, or removed: read, or PayloadInvalid."""
    order = json.loads(sample("orders_cancelled_restocked"))
    spot = copy.deepcopy(order)
    node, path = spot, []
    while isinstance(node, dict | list) and node:
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        key = data.draw(st.sampled_from(list(keys)))
        path.append((node, key))
        node = node[key]
        if data.draw(st.booleans()):
            break
    holder, key = path[-1]
    if data.draw(st.booleans()):
        holder[key] = odd
    else:
        del holder[key]
    outcome(json.dumps(spot).encode())


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("line_items", 0, "quantity"), "3", "line_items[0].quantity"),
        (("line_items", 0, "quantity"), True, "line_items[0].quantity"),
        (("line_items", 0, "quantity"), 0.5, "line_items[0].quantity"),
        (("line_items", 0, "quantity"), 10**9 + 1, "line_items[0].quantity"),
        (("line_items", 0, "current_quantity"), -1, "line_items[0].current_quantity"),
        (("id",), 8.2e17, "id"),
        (("updated_at",), "2026-11-22T05:00:00", "updated_at"),
        (("updated_at",), "yesterday", "updated_at"),
        (("confirmed",), "yes", "confirmed"),
    ],
)
def test_a_wrong_value_is_named(path, value, field: str) -> None:
    """The error says at which path the body is wrong."""
    order = json.loads(sample("orders_create"))
    holder = order
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(PayloadInvalid) as caught:
        read(json.dumps(order).encode())
    assert caught.value.field == f"$.{field}"


@pytest.mark.parametrize(
    ("where", "word"),
    [("restock_type", "teleported"), ("status", "teleported")],
)
def test_an_unknown_state_is_quarantined(where: str, word: str) -> None:
    """An unknown restock type or fulfilment status is PayloadInvalid, never a guess."""
    order = json.loads(sample("orders_shipped_then_returned"))
    holder = (
        order["fulfillments"][0]
        if where == "status"
        else order["refunds"][0]["refund_line_items"][0]
    )
    holder[where] = word
    with pytest.raises(PayloadInvalid, match=word):
        read(json.dumps(order).encode())


def test_an_instant_at_the_edge_of_the_calendar_is_invalid() -> None:
    """An instant whose UTC does not exist is PayloadInvalid, not a crash."""
    order = json.loads(sample("orders_create"))
    order["created_at"] = "0001-01-01T00:00:00+05:00"
    with pytest.raises(PayloadInvalid, match="calendar"):
        read(json.dumps(order).encode())


async def test_our_own_push_comes_back_as_a_hint_only() -> None:
    """The echo of our own write says only that the field may be read."""
    w = world()
    a = w.sell("A", 5)
    await w.connector.push(w.api, [w.line(a, expected=5, target=9)], call_id="c1")
    (echo,) = w.deliveries()
    assert w.read(echo) == QuantityHint("s", w.field(a).key, 9)
    level = json.loads(echo.body)
    other = replace(echo, body=json.dumps({**level, "location_id": 4}).encode())
    assert isinstance(w.connector.read(other)[1][0], Nothing)


def test_a_day_late_it_says_what_it_said() -> None:
    """26 hours late a body still passes, and carries the version it was made with: an older one."""
    w = world()
    a = w.sell("A", 9)
    w.shop.faults.webhook_delay_s = 26 * 3600
    begun = w.hands().replace(microsecond=0)
    order = w.shop.checkout([(a, 3)])
    w.hands.move(60)
    w.shop.faults.webhook_delay_s = 0
    w.shop.edit(order, a, 1)
    (update,) = w.deliveries("orders/updated")
    newer = w.read(update)
    w.hands.move(26 * 3600)
    (late,) = w.deliveries("orders/create")
    older = w.read(late)
    assert (older.order_id, older.lines[0].open) == (order, 3)
    assert older.version.updated_at == begun
    assert newer.version.updated_at == begun + timedelta(seconds=60)
    assert older.version < newer.version


@pytest.mark.parametrize("topic", ["orders/updated", "orders/paid"])
def test_the_first_to_arrive_tells_the_whole_order(topic: str) -> None:
    """An update or a payment may overtake the creation: its body is all that is needed, and the
    creation that follows says nothing newer.
    """
    w = world()
    a = w.sell("A", 9)
    order = w.shop.checkout([(a, 3)])
    w.hands.move(1)
    w.shop.edit(order, a, 4)
    (create,) = (each for each in w.deliveries() if each.headers["x-shopify-topic"] == CREATE)
    w.hands.move(1)
    w.shop.edit(order, a, 5)
    (update,) = w.deliveries("orders/updated")
    first = w.read(replace(update, headers={**update.headers, "x-shopify-topic": topic}))
    assert isinstance(first, OrderSeen)
    assert (first.order_id, [line.open for line in first.lines]) == (order, [5])
    then = w.read(create)
    assert [line.open for line in then.lines] == [3]
    assert then.version < first.version


def test_two_subscriptions_send_one_body_twice() -> None:
    """Two subscriptions to one topic: two deliveries with ids of their own, and one body, which is
    what tells a duplicate.
    """
    w = world()
    w.shop.subscribe("http://127.0.0.1/webhooks/s/token", topics=(CREATE,))
    w.shop.checkout([(w.sell("A", 9), 3)])
    one, two = w.deliveries(CREATE)
    assert one.headers["x-shopify-webhook-id"] != two.headers["x-shopify-webhook-id"]
    assert one.body == two.body
    assert w.read(one) == w.read(two)
