"""WooCommerce: settings, references, signatures, and what a delivery's bytes say.

Which trap of the platform is met by which test: test_woocommerce_traps.py.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st

from stockpush.connectors.base import WebhookRequest
from stockpush.errors import CatalogueInvalid, ConfigInvalid, PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint, OrderLineSeen, OrderSeen, QuantityHint
from stockpush.model import OrderVersion
from stockpush.sim.shops.woocommerce.outbox import sign
from tests.connectors.woocommerce_world import SECRET, SETTINGS, make_connector, make_world, sample

CONNECTOR = make_connector()
ORDER: dict[str, Any] = json.loads(sample("order_processing"))


def read(body: Any, **headers: str) -> Any:
    """Read a body (bytes, or a value to encode) without its signature."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    _, (seen,) = CONNECTOR.read(WebhookRequest(headers, content))
    return seen


def with_line(**changes: Any) -> dict[str, Any]:
    """Return the sample order with its first line changed and no other."""
    return {**ORDER, "line_items": [{**ORDER["line_items"][0], **changes}]}


# -- settings and references --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_url": ""}, "base_url"),
        ({"base_url": "shop.example"}, "base_url"),
        ({"base_url": "ftp://shop.example"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://[bad"}, "base_url"),
        ({"base_url": "https://user@shop.example"}, "base_url"),
        ({"base_url": "https://shop.example/?a=1"}, "base_url"),
        ({"base_url": "https://shop.example/wp-json/wc/v3/"}, "base_url"),
        ({"consumer_key": " "}, "consumer_key"),
        ({"consumer_key": "ck:1"}, "consumer_key"),
        ({"consumer_secret": "cs_\n1"}, "consumer_secret"),
        ({"webhook_secret": ""}, "webhook_secret"),
        ({"webhook_secret_previous": ""}, "webhook_secret_previous"),
        ({"consumer_kay": "x"}, "consumer_kay"),
        ({"auth": "digest"}, "auth"),
        ({"auth": "oauth1", "base_url": "https://shop.example"}, "auth"),
        ({"auth": "oauth1", "base_url": "http://shop.example"}, "base_url"),
    ],
)
def test_bad_setting_is_named(changes: dict[str, str], field: str):
    """Each mistake names its setting, and no error repeats a secret."""
    with pytest.raises(ConfigInvalid) as error:
        make_connector(**changes)
    assert error.value.field == field
    assert "not-a-real" not in str(error.value.as_json())


@pytest.mark.parametrize("url", ["http://shop.example", "http://192.168.0.2", "http://10.0.0.1"])
def test_credentials_need_tls(url: str):
    """Plain HTTP to another machine is refused with the reason; loopback is allowed."""
    with pytest.raises(ConfigInvalid, match="TLS is required"):
        make_connector(base_url=url)
    for local in ("http://localhost:8080", "http://127.0.0.1", "http://[::1]:80/shop/"):
        assert make_connector(base_url=local).base_url() == local.rstrip("/")


def test_settings_are_not_shown():
    """Neither credentials nor webhook secrets appear in a representation."""
    shown = repr(CONNECTOR)
    assert "Basic" not in shown
    assert SECRET not in shown
    assert SETTINGS["consumer_secret"] not in shown


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"product_id": 30}, "30"),
        ({"product_id": "30", "variation_id": 31}, "30:31"),
        ({"product_id": 30, "variation_id": 0}, "30"),
        ({"product_id": 30, "variation_id": None}, "30"),
    ],
)
def test_reference_has_one_key(given: dict[str, Any], key: str):
    """Number or text, with or without a variation: one canonical key."""
    assert CONNECTOR.ref(given) == key


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "product_id"),
        ({"variation_id": 31}, "product_id"),
        ({"product_id": 0}, "product_id"),
        ({"product_id": True}, "product_id"),
        ({"product_id": 1.5}, "product_id"),
        ({"product_id": "1:2"}, "product_id"),
        ({"product_id": "²"}, "product_id"),
        ({"product_id": 2**63}, "product_id"),
        ({"product_id": 1, "variation_id": -1}, "variation_id"),
        ({"product_id": 1, "sku": "A"}, "sku"),
    ],
)
def test_bad_reference_is_named(given: dict[str, Any], field: str):
    """What is not a pair of ids is refused, naming the field."""
    with pytest.raises(CatalogueInvalid) as error:
        CONNECTOR.ref(given)
    assert error.value.field == field


# -- signatures ---------------------------------------------------------------------------------


def test_published_vectors(shared):
    """Every vector verifies with the secret as shown, fails with any bit changed; pings are."""
    cases = json.loads((shared / "vectors/woocommerce.json").read_text())["cases"]
    assert cases
    for case in cases:
        body = case["body"].encode()
        if case["header"] is None:
            request = WebhookRequest({"content-type": case["content_type"]}, body)
            assert CONNECTOR.is_ping(request), case["name"]
            continue
        connector = make_connector(webhook_secret=case["secret_as_shown"])
        signed = WebhookRequest({"x-wc-webhook-signature": case["header"]}, body)
        connector.verify(signed)
        assert not connector.is_ping(signed)
        for bad in (
            WebhookRequest(signed.headers, body + b" "),
            WebhookRequest({}, body),
            WebhookRequest({"x-wc-webhook-signature": case["header"][:-1]}, body),
        ):
            with pytest.raises(SignatureInvalid):
                connector.verify(bad)


def test_previous_secret_still_verifies():
    """During a rotation both secrets are taken, and no third."""
    connector = make_connector(webhook_secret="new", webhook_secret_previous="old")
    for secret in ("new", "old"):
        connector.verify(WebhookRequest({"x-wc-webhook-signature": sign(secret, b"{}")}, b"{}"))
    with pytest.raises(SignatureInvalid):
        connector.verify(WebhookRequest({"x-wc-webhook-signature": sign("older", b"{}")}, b"{}"))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-wc-webhook-signature": "x"}, b"webhook_id=42"),
        ({"x-wc-webhook-topic": "order.created"}, b"webhook_id=42"),
        ({}, b"webhook_id="),
        ({}, b"webhook_id=42&x=1"),
        ({}, b"webhook_id=42\n"),
        ({}, b'{"webhook_id":42}'),
        ({}, b""),
    ],
)
def test_ping_is_narrow(headers: dict[str, str], body: bytes):
    """Nothing but the bare form field, without any X-WC header, passes unsigned."""
    assert not CONNECTOR.is_ping(WebhookRequest(headers, body))


# -- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("order_with_refund", OrderHint("w", "728")),
        ("order_deleted", OrderHint("w", "727")),
        ("product_simple", QuantityHint("w", "93", 7)),
        ("product_variation", QuantityHint("w", "22:23", -1)),
        ("product_parent_managed", QuantityHint("w", "22", 12)),
        ("custom_action", Nothing("a custom action of the shop")),
        (
            "order_processing",
            OrderSeen(
                channel="w",
                order_id="727",
                version=OrderVersion(datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC), 0),
                placed_at=datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC),
                deducted_at=datetime(2026, 11, 22, 10, 0, 4, tzinfo=UTC),
                state="processing",
                lines=(
                    OrderLineSeen("315", "93", 2, 2, 0, 0, 2, "CANDLE-LAV"),
                    OrderLineSeen("316", "22:23", 1, 1, 0, 0, 1, ""),
                ),
            ),
        ),
    ],
)
def test_samples(name: str, seen: Any):
    """Each stored body says exactly this."""
    assert read(sample(name)) == seen


def test_fields_that_nobody_knows_yet_change_nothing():
    """Whatever a plugin adds to an order or a product, at any depth, it is read as before."""

    def added(value: Any) -> Any:
        if isinstance(value, dict):
            return {**{key: added(each) for key, each in value.items()}, "_plugin": {"a": [1]}}
        return [added(each) for each in value] if isinstance(value, list) else value

    for name in ("order_processing", "product_simple", "product_variation"):
        body = sample(name)
        assert read(json.dumps(added(json.loads(body))).encode()) == read(body)


def test_topic_is_for_people_only():
    """The body decides; a topic header that is no topic is not repeated."""
    request = WebhookRequest({"x-wc-webhook-topic": "product.updated"}, sample("order_deleted"))
    assert CONNECTOR.read(request) == ("product.updated", (OrderHint("w", "727"),))
    odd = WebhookRequest({"x-wc-webhook-topic": "<b>\x1b[1m"}, sample("order_deleted"))
    assert CONNECTOR.read(odd)[0] == "unknown"


def test_order_with_refunds_is_only_a_hint():
    """A refund shows as an id without quantities, so the order is fetched; so without the key."""
    refunded = {**ORDER, "refunds": [{"id": 9, "reason": "", "total": "-1.00"}]}
    assert read(refunded) == OrderHint("w", "727")
    without = {key: value for key, value in ORDER.items() if key != "refunds"}
    assert read(without) == OrderHint("w", "727")


def test_deleted_order_is_a_hint():
    """A trashed order's delivery is its id, and becomes a fetch."""
    world = make_world()
    order = world.shop.checkout([("30", 1)])
    world.shop.trash(order)
    world.hands.move(2)
    (delivery,) = world.deliveries("order.deleted")
    assert world.read(delivery) == OrderHint("w", order)


@pytest.mark.parametrize("status", ["checkout-draft", "auto-draft"])
def test_draft_is_nothing(status: str):
    """A cart that became a draft is no order, even with refunds that are not told."""
    assert isinstance(read({**ORDER, "status": status}), Nothing)


def test_unknown_status_is_marked():
    """A plugin's own status is still demand, and marked for a person."""
    seen = read({**ORDER, "status": "wc-in-the-oven"})
    assert (seen.state_known, seen.lines[0].open) == (False, 2)


def test_error_object_is_named_as_such():
    """A webhook whose owner lost the right to read sends an error: quarantined, with the reason."""
    with pytest.raises(PayloadInvalid, match="owner may have lost"):
        read(sample("error_object"))


def test_object_deleted_before_its_delivery_is_nothing():
    """The shop then sends "no such id" instead of the object; the deletion is told separately."""
    world = make_world()
    order = world.shop.checkout([("30", 1)])
    world.shop.delete(order)
    world.hands.move(2)
    (created,) = world.deliveries("order.created")
    assert isinstance(world.read(created), Nothing)


def test_site_time_is_ignored():
    """Only GMT instants count; the site's own, in any form, change nothing."""
    changed = {**ORDER, "date_modified": "rubbish", "date_created": 5, "date_paid": None}
    assert read(changed) == read(ORDER)


@pytest.mark.parametrize("quantity", [0.5, "0.5", -1, "1e3", True, None, 10**9 + 1, "", [], "٣"])
def test_fractional_quantity_names_the_line(quantity: Any):
    """What is not a whole number from 0 to 10**9 is refused, naming the line and field."""
    with pytest.raises(PayloadInvalid) as error:
        read(with_line(quantity=quantity))
    assert error.value.field == "line_items[id=315].quantity"


@pytest.mark.parametrize("quantity", [2, 2.0, "2", "2.000000"])
def test_whole_quantity_in_any_form(quantity: Any):
    """Plugins loosen the type; a whole number is taken in any of its forms."""
    assert read(with_line(quantity=quantity)).lines[0].ordered == 2


@pytest.mark.parametrize(
    ("meta", "deducted"),
    [
        ([{"key": "_reduced_stock", "value": "2"}], 2),
        ([{"key": "_reduced_stock", "value": 2}], 2),
        ([{"key": "_reduced_stock", "value": 2.0}], 2),
        ([{"key": "_reduced_stock", "value": "2.00"}], 2),
        ([{"key": "_reduced_stock", "value": ""}], 0),
        ([{"key": "_reduced_stock", "value": None}], 0),
        ([{"key": "_reduced_stock", "value": "1"}, {"key": "_reduced_stock", "value": "9"}], 1),
        ([{"key": "other", "value": {"deep": []}}], 0),
        ([], 0),
    ],
)
def test_reduced_stock_in_every_form(meta: list[Any], deducted: int):
    """The shop's own count of what it took is text, number or absent; the first one counts."""
    assert read(with_line(meta_data=meta)).lines[0].deducted == deducted


@pytest.mark.parametrize("value", ["0.5", -1, "many", [1], True])
def test_unreadable_reduced_stock_names_the_line(value: Any):
    """A count that is none is refused rather than taken for 0."""
    with pytest.raises(PayloadInvalid) as error:
        read(with_line(meta_data=[{"key": "_reduced_stock", "value": value}]))
    assert error.value.field == "line_items[id=315].meta_data._reduced_stock"


def test_two_lines_of_one_listing_are_two_lines():
    """Lines are known by their own id, whatever they sell; one id twice is refused."""
    first = ORDER["line_items"][0]
    seen = read({**ORDER, "line_items": [first, {**first, "id": 999}]})
    assert [(each.line_id, each.order_key) for each in seen.lines] == [("315", "93"), ("999", "93")]
    with pytest.raises(PayloadInvalid):
        read({**ORDER, "line_items": [first, first]})


def test_line_of_a_deleted_product_is_kept():
    """A product that is gone has the id 0 or none: demand that nobody can map, not an error."""
    assert read(with_line(product_id=0, variation_id=None)).lines[0].order_key == "0"


@pytest.mark.parametrize(
    "instant", ["", "2026-11-22", "2026-11-22 10:00:00", "2026-13-01T00:00:00", "22.11.2026"]
)
def test_unreadable_instant_is_named(instant: str):
    """Anything but the platform's form is refused by name."""
    with pytest.raises(PayloadInvalid) as error:
        read({**ORDER, "date_modified_gmt": instant})
    assert error.value.field == "date_modified_gmt"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "10:00:04"),  # the payment took the units
        ({"status": "on-hold", "date_paid_gmt": None}, "10:00:05"),
        ({"status": "cancelled"}, "10:00:05"),  # putting them back came later
        ({"date_paid_gmt": "2026-11-22T11:00:00"}, "10:00:05"),  # never after the last change
    ],
)
def test_deduction_instant(changes: dict[str, Any], expected: str):
    """The payment dates a deduction, unless something else may have moved stock since."""
    assert read({**ORDER, **changes}).deducted_at.strftime("%H:%M:%S") == expected


def test_unmanaged_product_is_nothing():
    """A product that manages no stock gives no reason to read."""
    product = json.loads(sample("product_simple"))
    assert isinstance(read({**product, "manage_stock": False}), Nothing)


def test_body_is_the_order_as_it_is_when_delivered():
    """order.created may already show a later state; version and counts are of that state."""
    world = make_world()
    world.shop.checkout([("30", 2)])
    world.hands.move(60)
    order = world.shop.checkout([("30", 1)])
    world.shop.edit(order, "30", 3)
    world.hands.move(2)
    seen = [world.read(each) for each in world.deliveries("order.created")]
    last = next(each for each in seen if isinstance(each, OrderSeen) and each.order_id == order)
    assert (last.lines[0].ordered, last.lines[0].deducted) == (3, 3)


def test_two_orders_in_one_second_are_both_read():
    """One delivery id, two bodies, two orders."""
    world = make_world()
    orders = {world.shop.checkout([("30", 1)]), world.shop.checkout([("30", 1)])}
    world.hands.move(2)
    deliveries = world.deliveries("order.created")
    assert len({each.headers["x-wc-webhook-delivery-id"] for each in deliveries}) == 1
    seen = [world.read(each) for each in deliveries]
    assert {each.order_id for each in seen if isinstance(each, OrderSeen)} == orders


def test_own_write_echoes_as_a_quantity_hint():
    """The echo of our PUT is a reason to read, never a number."""
    world = make_world()
    world.shop.merchant_sets("31:32", 9)
    world.shop.merchant_sets("31:33", 9)
    world.hands.move(2)
    seen = [world.read(each) for each in world.deliveries("product.updated")]
    assert seen == [QuantityHint("w", "31", 9), QuantityHint("w", "31:33", 9)]


# -- anything else ------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
