"""Etsy: a delivery is believed if it was signed about now, and is a reason to fetch a receipt."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stockpush.connectors.base import WebhookRequest
from stockpush.errors import PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint
from tests.connectors.etsy_world import SECRET, SHOP_ID, World, make_connector, make_world, sample
from tests.connectors.hands import BEGUN

OTHER = "whsec_" + "YWJj" * 8
RECEIPT = f"https://api.etsy.com/v3/application/shops/{SHOP_ID}/receipts/3000000001"


@pytest.fixture
def world() -> World:
    """Return the shop of etsy_world."""
    return make_world()


def event(**changes: Any) -> WebhookRequest:
    """Return a delivery (unsigned) of a body, some of it changed; None leaves a key out."""
    told = {"event_type": "order.paid", "resource_url": RECEIPT, "shop_id": SHOP_ID} | changes
    body = {name: value for name, value in told.items() if value is not None}
    return WebhookRequest({}, json.dumps(body).encode(), BEGUN)


def read(request: WebhookRequest) -> tuple[str, Any]:
    """Read one delivery; return (topic, what it means)."""
    topic, (seen,) = make_connector().read(request)
    return topic, seen


def test_a_delivery_of_the_shop_is_a_hint(world: World):
    """Signed by the shop, verified, and pointing at the receipt."""
    order = world.shop.checkout([("1001", 1)])
    (request,) = world.deliveries()
    assert world.read(request) == OrderHint("e", order)


def test_a_bare_signature_is_believed_too():
    """Etsy's page shows it without a label; receivers report one."""
    world = make_world()
    world.shop.subscribe("http://daemon/x", SECRET, labels=False)
    world.shop.checkout([("1001", 1)])
    for request in world.deliveries():
        world.connector.verify(request)


def test_every_attempt_is_signed_for_its_own_instant(world: World):
    """The last one, 27 hours later, is believed; the first one's headers are not, then."""
    world.shop.checkout([("1001", 1)])
    (first,) = world.deliveries(status=503)
    world.hands.move(5)
    (second,) = world.deliveries(status=503)
    world.hands.move(300)
    (third,) = world.deliveries()
    for each in (first, second, third):
        world.connector.verify(each)
    with pytest.raises(SignatureInvalid):
        world.connector.verify(replace(first, received_at=third.received_at))


def test_attempts_of_one_event_have_one_name(world: World):
    """What is sent again is known by its signed name; another event has another one."""
    world.shop.checkout([("1001", 1)])
    (first,) = world.deliveries(status=500)
    world.hands.move(5)
    (second,) = world.deliveries()
    assert world.connector.delivery_name(first) == world.connector.delivery_name(second)
    world.shop.checkout([("1001", 1)])
    (other,) = world.deliveries()
    assert world.connector.delivery_name(other) != world.connector.delivery_name(first)


@pytest.mark.parametrize(("late_s", "good"), [(300, True), (301, False), (-301, False)])
def test_a_delivery_is_believed_for_five_minutes(world: World, late_s: int, good: bool):
    """F6: replayed later, or from a clock ahead, it is refused."""
    world.shop.checkout([("1001", 1)])
    (request,) = world.deliveries()
    request = replace(request, received_at=BEGUN + timedelta(seconds=late_s))
    if good:
        world.connector.verify(request)
    else:
        with pytest.raises(SignatureInvalid):
            world.connector.verify(request)


def test_two_secrets_live_while_one_follows_the_other(world: World):
    """The new one, and the one before it."""
    world.shop.checkout([("1001", 1)])
    (request,) = world.deliveries()
    make_connector(webhook_secret=OTHER, webhook_secret_previous=SECRET).verify(request)
    make_connector(webhook_secret=SECRET, webhook_secret_previous=OTHER).verify(request)
    with pytest.raises(SignatureInvalid):
        make_connector(webhook_secret=OTHER).verify(request)


def test_nothing_is_believed_that_cannot_be_checked(world: World):
    """Without a secret, without a clock, without a signature; and there is no unsigned ping."""
    world.shop.checkout([("1001", 1)])
    (request,) = world.deliveries()
    with pytest.raises(SignatureInvalid):
        make_connector(webhook_secret="").verify(request)
    with pytest.raises(SignatureInvalid):
        world.connector.verify(replace(request, received_at=None))
    with pytest.raises(SignatureInvalid):
        world.connector.verify(WebhookRequest({}, request.body, request.received_at))
    assert not world.connector.is_ping(WebhookRequest({}, b"", BEGUN))


@pytest.mark.parametrize("name", ["webhook_paid", "webhook_canceled", "webhook_shop_as_text"])
def test_every_sample_parses(name: str):
    """The bodies that receivers report: the shop's number as a number or as text, either host."""
    topic, seen = read(WebhookRequest({}, sample(name), BEGUN))
    assert topic.startswith("order.")
    assert seen == OrderHint("e", "3000000001")


@pytest.mark.parametrize(
    "changes",
    [
        {"shop_id": str(SHOP_ID)},
        {"resource_url": RECEIPT.replace("api.etsy.com", "openapi.etsy.com")},
        {"resource_url": RECEIPT + "/"},
        {"event_type": "order.delivered"},
        {"event_type": "order.something_new"},
        {"extra": {"buyer": "Canary Buyer"}},
    ],
)
def test_whatever_happened_a_receipt_is_fetched(changes: dict[str, Any]):
    """F68: unknown fields and events of a receipt are a reason to look."""
    assert read(event(**changes))[1] == OrderHint("e", "3000000001")


def test_the_host_of_the_address_is_never_called():
    """S13, S15: only numbers are taken out of it; the token goes to our own base URL."""
    _, seen = read(event(resource_url=RECEIPT.replace("api.etsy.com", "evil.example")))
    assert seen == OrderHint("e", "3000000001")
    assert "evil" not in repr(seen)


def test_another_shop_of_the_same_app_has_no_effect():
    """F8: it is genuine, and of no concern to this channel."""
    other = RECEIPT.replace(f"/{SHOP_ID}/", "/78/")
    assert isinstance(read(event(shop_id=78, resource_url=other))[1], Nothing)


def test_an_event_that_is_not_of_a_receipt_has_no_effect():
    """Etsy may come to tell of listings."""
    url = "https://api.etsy.com/v3/application/listings/1001"
    topic, seen = read(event(event_type="listing.updated", resource_url=url))
    assert (topic, isinstance(seen, Nothing)) == ("listing.updated", True)
    assert read(event(event_type="Some Thing", resource_url=url))[0] == "unknown"


@pytest.mark.parametrize(
    "request_",
    [
        event(shop_id=78),
        event(shop_id="shop"),
        event(shop_id="7" * 19),
        event(shop_id="7" * 5000),
        event(shop_id=10**18),
        event(shop_id=-1),
        event(shop_id="\u0667\u0667"),
        event(shop_id=None),
        event(shop_id=True),
        event(event_type=None),
        event(event_type=7),
        event(resource_url=None),
        event(resource_url="https://api.etsy.com/v3/application/shops/77/receipts/"),
        event(resource_url="https://api.etsy.com/v3/application/shops/77/receipts/1/../2"),
        event(resource_url="https://api.etsy.com@evil/v3/application/shops/77/receipts/1"),
        event(resource_url="javascript:alert(1)"),
        WebhookRequest({}, b"", BEGUN),
        WebhookRequest({}, b"[]", BEGUN),
        WebhookRequest({}, b"{", BEGUN),
        WebhookRequest({}, b"\xff\xfe", BEGUN),
        WebhookRequest({}, b"9" * 5000, BEGUN),
        WebhookRequest({}, b"Infinity", BEGUN),
        WebhookRequest({}, b"[" * 100_000, BEGUN),
    ],
)
def test_any_other_shape_is_unreadable(request_: WebhookRequest):
    """Truncated, empty, wrong-typed or contradicting itself: PayloadInvalid and nothing else."""
    with pytest.raises(PayloadInvalid):
        read(request_)
