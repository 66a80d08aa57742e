"""Deliveries by who has the path, or even the secret: forged, replayed, swapped, and absurd.

On both databases, since what one of them stores the other may not (a NUL, a number too large).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from stockpush.cli.check import violations
from stockpush.sim.candle_shop import DOMAIN, SHOPIFY, WOO
from stockpush.store import reads
from tests.hostile.judging import HOSTILE
from tests.hostile.world import (
    CANARY,
    SIGNATURE,
    Fort,
    encoded,
    fort,
    shopify_order,
    signature,
    woo_order,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORDER: dict[str, Callable[..., dict[str, Any]]] = {SHOPIFY: shopify_order, WOO: woo_order}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fort]:
    """A daemon on either database."""
    database = None
    if request.param == "postgresql":
        database = f"{request.getfixturevalue('postgres_server')}&schema=hostile"
    async with fort(tmp_path_factory.mktemp("fort"), database=database) as running:
        yield running


async def newest(attacked: Fort) -> tuple[str, str]:
    """(state, reason) of the newest delivery."""
    (row,) = (await reads.deliveries(attacked.floor.parts.store, limit=1)).data
    return row.state.value, row.reason


def other(channel: str) -> str:
    """The other channel."""
    return WOO if channel == SHOPIFY else SHOPIFY


# -- forged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_forged_delivery_is_401_and_leaves_nothing(attacked: Fort, channel: str) -> None:
    """No signature, a wrong one, that of another body or of the other channel's secret."""
    body = encoded(ORDER[channel]())
    before = await attacked.rows()
    for forged in (
        None,
        "",
        signature(channel, body + b" "),
        signature(other(channel), body),
        signature(channel, body) + ", " + signature(channel, body),
        signature(channel, body).rstrip("="),
        signature(channel, body).swapcase(),
    ):
        headers = {} if forged is None else {SIGNATURE[channel]: forged}
        reply = await attacked.post(channel, body, headers, sign=False)
        assert reply.status == 401
        assert CANARY.encode() not in reply.raw
    twice = "\r\n".join([signature(channel, body), f"{SIGNATURE[channel]}: forged"])
    reply = await attacked.post(channel, body, {SIGNATURE[channel]: twice}, sign=False)
    assert reply.status == 401, "a good signature does not hide a second one"
    assert await attacked.rows() == before


async def test_only_a_ping_that_can_do_nothing_passes_unsigned(attacked: Fort) -> None:
    """The platform's form-encoded ping is 200 and stored nowhere; anything more is forged."""
    before = await attacked.rows()
    assert (await attacked.post(WOO, b"webhook_id=7", sign=False)).status == 200
    for body in (b"webhook_id=7&id=1", b"webhook_id=", b"webhook_id=7\n", b"", b'{"id":1}'):
        assert (await attacked.post(WOO, body, sign=False)).status == 401
    topic = {"X-WC-Webhook-Topic": "order.updated"}
    assert (await attacked.post(WOO, b"webhook_id=7", topic, sign=False)).status == 401
    assert (await attacked.post(SHOPIFY, b"webhook_id=7", sign=False)).status == 401
    assert await attacked.rows() == before


# -- replayed and swapped ------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_replay_under_new_names_counts_once(attacked: Fort, channel: str) -> None:
    """The same body with fresh event ids, times and topics: 200 each time, and one effect."""
    order = ORDER[channel](2)
    body = encoded(order)
    before = await attacked.rows()
    for number in range(5):
        headers = {
            "X-Shopify-Event-Id": f"{CANARY}-{number}",
            "X-Shopify-Webhook-Id": f"{CANARY}-{number}",
            "X-Shopify-Triggered-At": f"2026-11-2{number}T10:00:00Z",
            "X-Shopify-Topic": f"orders/{CANARY}{number}",
            "X-WC-Webhook-Delivery-ID": f"{CANARY}-{number}",
            "X-WC-Webhook-Topic": "order.deleted",
        }
        assert (await attacked.post(channel, body, headers)).status == 200
    after = await attacked.rows()
    assert after["delivery"] == before["delivery"] + 1
    assert await attacked.order(channel, str(order["id"])) == [(str(order["id"]), 2)]


async def test_fifty_copies_at_once_count_once(attacked: Fort) -> None:
    """Copies that race each other are all answered 200, and one is counted."""
    order = shopify_order(3)
    before = await attacked.rows()
    replies = await asyncio.gather(*[attacked.post(SHOPIFY, encoded(order)) for _ in range(50)])
    assert {reply.status for reply in replies} == {200}
    assert (await attacked.rows())["delivery"] == before["delivery"] + 1
    assert await attacked.order(SHOPIFY, str(order["id"])) == [(str(order["id"]), 3)]


async def test_a_delivery_of_another_shop_or_for_another_channel_is_401(attacked: Fort) -> None:
    """A genuine body is worth nothing at another door, or in another shop's name."""
    before = await attacked.rows()
    for channel in (SHOPIFY, WOO):
        body = encoded(ORDER[channel]())
        headers = {name: signature(channel, body) for name in SIGNATURE.values()}
        assert (await attacked.post(other(channel), body, headers, sign=False)).status == 401
    body = encoded(shopify_order())
    for named in ("other.myshopify.com", f"{DOMAIN}.evil.example", f"{DOMAIN}, {DOMAIN}", ""):
        reply = await attacked.post(SHOPIFY, body, {"X-Shopify-Shop-Domain": named})
        assert reply.status == 401, named
    assert await attacked.rows() == before
    assert (await attacked.post(SHOPIFY, body, {"X-Shopify-Shop-Domain": DOMAIN})).status == 200


@pytest.mark.parametrize("topic", ["refunds/create", "app/uninstalled", "x" * 5000, "\xff", ""])
async def test_the_topic_decides_nothing(attacked: Fort, topic: str) -> None:
    """A topic is not signed: an order is an order under any name."""
    order = shopify_order()
    body = encoded(order)
    assert (await attacked.post(SHOPIFY, body, {"X-Shopify-Topic": topic})).status == 200
    assert await attacked.order(SHOPIFY, str(order["id"])) == [(str(order["id"]), 1)]


async def test_two_orders_under_one_delivery_id_are_two(attacked: Fort) -> None:
    """The platform gives two sales of one second the same delivery id: both count."""
    for _ in range(2):
        order = woo_order()
        headers = {"X-WC-Webhook-Delivery-ID": "same"}
        assert (await attacked.post(WOO, encoded(order), headers)).status == 200
        assert await attacked.order(WOO, str(order["id"])) == [(str(order["id"]), 1)]


# -- signed, and absurd --------------------------------------------------------------------------

ABSURD: Sequence[bytes] = (
    b"", b"null", b"0", b'"a"', b"[]", b"{}", b"[{}]", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
    b"{" * 100_000, b"[" * 100_000, b'{"id":' * 100_000, b'{"id":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"id":NaN}', b'{"id":Infinity}', b'{"id":-Infinity}', b'{"id":1e400}', b'{"id":1e308}',
    b'{"id":9223372036854775808}', b'{"id":' + b"9" * 5000 + b"}", b'{"id":1.0}', b'{"id":true}',
    b'{"id":"1"}', b'{"id":-1}', b'{"id":0}', b'{"id":1,"id":2}', b'{"id":1}garbage', b'{"id":1,}',
    b'{"\\ud800":1}', b'{"id":"\\ud800"}', b'{"\x00":1}', b'{"\\u0000":1,"order_id":"\\u0000"}',
    b'{"order_id":9223372036854775808}', b'{"order_id":[]}', b'{"order_edit":null}',
    b'{"order_edit":{"order_id":1e308}}', b'{"code":"a","message":"b"}',
    b'{"inventory_item_id":1,"location_id":1,"available":1e308}',
    b'{"inventory_item_id":1,"location_id":1,"available":2147483648}',
    b'{"id":1,"manage_stock":true,"stock_quantity":1e308}', b'{"action":{}}', b"webhook_id=7 ",
    b'{"id":1,"manage_stock":"\\u0000"}', json.dumps({str(n): n for n in range(50_000)}).encode(),
)  # fmt: skip
SPOILT: dict[str, Sequence[str]] = {
    SHOPIFY: ("created_at", "updated_at", "confirmed", "line_items", "refunds", "fulfillments",
              "id", "cancelled_at", "closed_at", "admin_graphql_api_id"),
    WOO: ("status", "date_created_gmt", "date_modified_gmt", "date_paid_gmt", "line_items",
          "refunds", "id", "date_completed_gmt"),
}  # fmt: skip
SPOILT_LINE: dict[str, Sequence[str]] = {
    SHOPIFY: ("id", "variant_id", "sku", "quantity", "current_quantity", "fulfillable_quantity"),
    WOO: ("id", "product_id", "variation_id", "quantity", "sku", "meta_data"),
}


async def deliver(attacked: Fort, channel: str, bodies: Sequence[bytes]) -> list[str]:
    """Deliver signed bodies over a few connections; return what was not answered 200."""
    wrong = []
    async with aiohttp.ClientSession() as http:
        url = f"http://{attacked.host}:{attacked.port}{attacked.hooks[channel]}"
        for body in bodies:
            headers = {SIGNATURE[channel]: signature(channel, body)}
            async with http.post(url, data=body, headers=headers) as answer:
                if answer.status != 200:
                    wrong.append(f"{answer.status} {body[:200]!r} {await answer.text()}")
    return wrong


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_whatever_is_signed_is_taken_or_quarantined(attacked: Fort, channel: str) -> None:
    """Never a 503 that would have it sent again for ever: a body is understood or put aside."""
    assert await deliver(attacked, channel, ABSURD) == []


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_every_field_may_hold_anything(attacked: Fort, channel: str) -> None:
    """Each field that an order is read from, with hostile values: all of them over the fields."""
    bodies = [
        encoded(ORDER[channel]() | {name: value}) for name in SPOILT[channel] for value in HOSTILE
    ]
    for name in SPOILT_LINE[channel]:
        for value in HOSTILE:
            order = ORDER[channel]()
            order["line_items"][0][name] = value
            bodies.append(encoded(order))
    assert len(HOSTILE) % 5, "a fifth of the bodies is not the same fifth of values each time"
    assert await deliver(attacked, channel, bodies[::5]) == []


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_an_order_of_very_many_lines_is_taken_or_quarantined(
    attacked: Fort, channel: str
) -> None:
    """As many lines as a body can hold: more than one SQL statement takes arguments."""
    order = ORDER[channel]()
    (line,) = order["line_items"]
    line.pop("sku")
    order["line_items"] = [line | {"id": number + 1} for number in range(7000)]
    assert await deliver(attacked, channel, [encoded(order)]) == []


@pytest.mark.parametrize("channel", [SHOPIFY, WOO])
async def test_a_line_twice_is_not_counted_twice(attacked: Fort, channel: str) -> None:
    """Two lines of one id would claim units that no row remembers: put aside instead."""
    order = ORDER[channel](4)
    order["line_items"] *= 2
    assert (await attacked.post(channel, encoded(order))).status == 200
    assert (await newest(attacked))[0] == "quarantined"
    assert await attacked.order(channel, str(order["id"])) == []


async def test_afterwards_a_sale_still_counts(attacked: Fort) -> None:
    """The daemon is ready, its workers live, and its books add up."""
    parts = attacked.floor.parts
    books = await reads.check_rows(parts.store, deep=True)
    assert violations(books, parts.lane.policies) == []
    reply = await attacked.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert reply.status == 200, reply.body
    order = woo_order(2)
    assert (await attacked.post(WOO, encoded(order))).status == 200
    assert await attacked.order(WOO, str(order["id"])) == [(str(order["id"]), 2)]
