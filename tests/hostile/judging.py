"""What must hold for any bytes that a channel, or somebody in its name, can send.

One judge for the property tests and for the fuzzer. The parsers are the real connectors'; their
`Api` answers every request with the same bytes. A parser may say `PayloadInvalid` (of an answer
also the other faults of a channel), or what it returns is within bounds and can be stored.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from stockpush.connectors import registry
from stockpush.connectors.base import Answer, Connector, OrderPage, WebhookRequest
from stockpush.errors import ChannelError, PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint, OrderLineSeen, OrderSeen, QuantityHint, Seen
from stockpush.model import Reservation, ReservationKey
from stockpush.reservation.orders import state_of
from stockpush.store import rows

SAMPLES = Path(__file__).parents[1] / "samples"
NUMBER_MAX = 10**9
ID_LENGTH_MAX = 100
WORD_LENGTH_MAX = 100
ORDER_KEY_LENGTH_MAX = 500
"""Well below what an index of the database takes."""
ORDER_KEY = re.compile(r"([0-9]+(:[0-9]+|:[A-Za-z0-9_.~%=&+-]+)?)?")
"""A number, two, or Etsy's number with values; elsewhere as an id."""
NUMBERED = frozenset({"s", "w", "e"})
"""Channels of platforms on which everything has a number."""
BY_SKU = "sku/"
"""A line that names no listing, elsewhere."""
NAME = re.compile(r"[A-Za-z0-9_.~-]+")
"""An id on the others, which can stand in a path as it is."""
REQUESTS_MAX = 60
"""Most requests that one hostile answer may cause."""
SECRET = "s" * 32
REFUNDS = (SAMPLES / "woocommerce" / "refunds_of_728.json").read_bytes()
T = TypeVar("T")


def connectors() -> tuple[Connector, Connector, Connector, Connector, Connector]:
    """Every connector, as their channels configure them."""
    shopify = registry.load("shopify")(
        "s",
        registry.manifest("shopify"),
        {
            "shop": "a.myshopify.com",
            "location": "655441491",
            "access_token": "t",
            "webhook_secret": SECRET,
        },
    )
    woo = registry.load("woocommerce")(
        "w",
        registry.manifest("woocommerce"),
        {
            "base_url": "http://127.0.0.1:1",
            "consumer_key": "ck_0",
            "consumer_secret": "cs_0",
            "webhook_secret": SECRET,
        },
    )
    etsy = registry.load("etsy")(
        "e",
        registry.manifest("etsy"),
        {
            "shop_id": "77",
            "keystring": "k",
            "shared_secret": "s",
            "refresh_token": "r",
            "webhook_secret": "whsec_" + base64.b64encode(SECRET.encode()).decode(),
        },
    )
    faire = registry.load("faire")("f", registry.manifest("faire"), {"access_token": "t"})
    generic = registry.load("generic")(
        "g",
        registry.manifest("generic"),
        {
            "base_url": "http://127.0.0.1:1",
            "access_token": "t",
            "webhook_secret": "whsec_" + base64.b64encode(SECRET.encode()).decode(),
        },
    )
    return shopify, woo, etsy, faire, generic


SHOPIFY, WOO, ETSY, FAIRE, GENERIC = connectors()


# -- what is judged ------------------------------------------------------------------------------


def delivery(connector: Connector, body: bytes) -> tuple[Seen, ...] | None:
    """Judge a delivery's body; return what it says, None if it was refused."""
    try:
        topic, seen = connector.read(WebhookRequest({}, body))
    except PayloadInvalid as error:
        _check_refusal(error)
        return None
    check_word(topic)
    assert seen, "a delivery that was understood says something, if only that it says nothing"
    for each in seen:
        check(each)
    return seen


def order(connector: Connector, body: bytes, *, refunds: bytes | None = None) -> OrderSeen | None:
    """Judge an answer that should be one order; None if it was refused, or there is none.

    `refunds` answers what asks for them, where that is a request of its own.
    """
    api = Echo(body, refunds=REFUNDS if refunds is None else refunds)
    try:
        seen = run(connector.fetch_order(api, "820982911946154508", fetch=1))
    except ChannelError as error:
        _check_refusal(error)
        return None
    if seen is not None:
        check(seen)
    return seen


def poll(connector: Connector, body: bytes) -> list[OrderPage] | None:
    """Judge an answer that should be a page of orders, and that its cursor can be used again."""
    try:
        pages = _polled(connector, body, None)
        if pages and pages[-1].cursor is not None:
            _polled(connector, body, pages[-1].cursor)
    except ChannelError as error:
        _check_refusal(error)
        return None
    for page in pages:
        for seen in page.orders:
            check(seen)
        for order_id, reason, raw, digest in page.unreadable:
            assert order_id == "" or is_id(connector.channel, order_id)
            check_text(reason)
            assert isinstance(raw, bytes)
            assert len(digest) == 64
    return pages


def _polled(connector: Connector, body: bytes, since: str | None) -> list[OrderPage]:
    api = Echo(body, refunds=REFUNDS)
    return run(_gathered(connector.poll_orders(api, since=since, fetch=1)))


async def _gathered(pages: AsyncIterator[OrderPage]) -> list[OrderPage]:
    return [page async for page in pages]


# -- what must hold -------------------------------------------------------------------------------


def check(seen: Seen) -> None:
    """Assert that a fact is within bounds and that the store can keep it."""
    match seen:
        case OrderSeen():
            _check_order(seen)
        case OrderHint():
            assert is_id(seen.channel, seen.order_id)
        case QuantityHint():
            check_word(seen.field_key)
            if seen.told is not None:
                check_number(seen.told, least=-NUMBER_MAX)
        case Nothing():
            check_text(seen.why)
        case _:
            raise AssertionError(f"not a fact: {type(seen).__name__}")


def _check_order(seen: OrderSeen) -> None:
    assert is_id(seen.channel, seen.order_id)
    check_word(seen.state)
    for instant in (seen.version.updated_at, seen.placed_at, seen.deducted_at):
        assert instant.tzinfo is UTC
        assert 1970 <= instant.year < 9999, "room for any span to be added or taken off"
        assert rows.instant(rows.micros(instant)) == instant
    assert len({line.line_id for line in seen.lines}) == len(seen.lines), "one row a line"
    for line in seen.lines:
        _check_line(seen.channel, line)
        _check_row(seen, line)


def is_id(channel: str, text: str) -> bool:
    """Answer whether a text is an id as the channel's platform has them."""
    if len(text) > ID_LENGTH_MAX:
        return False
    return text.isdigit() if channel in NUMBERED else NAME.fullmatch(text) is not None


def _check_line(channel: str, line: OrderLineSeen) -> None:
    assert is_id(channel, line.line_id)
    assert len(line.order_key) <= ORDER_KEY_LENGTH_MAX
    if channel in NUMBERED:
        assert ORDER_KEY.fullmatch(line.order_key)
    else:
        assert line.order_key.startswith(BY_SKU) or is_id(channel, line.order_key)
    for count in (line.ordered, line.open, line.shipped, line.written_off):
        check_number(count)
    if line.deducted is not None:
        check_number(line.deducted)


def _check_row(order: OrderSeen, line: OrderLineSeen) -> None:
    """Assert that the line's row comes back from the store's columns as it went in."""
    kept = Reservation(
        key=ReservationKey(order.channel, order.order_id, line.line_id),
        version=order.version,
        order_key=line.order_key,
        placed_at=order.placed_at,
        ordered=line.ordered,
        open=line.open,
        shipped=line.shipped,
        written_off=line.written_off,
        deducted=line.deducted or 0,
        state=state_of(open_units=line.open, shipped=line.shipped, written_off=line.written_off),
        order_state=order.state,
        baseline_shipped=line.shipped,
        baseline_written_off=line.written_off,
    )
    row = rows.reservation_row(kept)
    for value in row:
        if isinstance(value, str):
            check_text(value)
        elif value is not None:
            assert type(value) is int
            assert -(2**63) <= value < 2**63
    assert rows.read_reservation(row) == kept


def check_number(number: object, *, least: int = 0) -> None:
    """Assert a quantity of the wire."""
    assert type(number) is int, "never a float, never a bool"
    assert least <= number <= NUMBER_MAX


def check_text(text: str) -> None:
    """Assert text that both databases take."""
    text.encode()
    assert "\0" not in text


def check_word(text: str) -> None:
    """Assert a short name without control characters."""
    check_text(text)
    assert text.isprintable()
    assert len(text) <= WORD_LENGTH_MAX


def _check_refusal(error: ChannelError) -> None:
    check_text(error.message)


# -- the other side -------------------------------------------------------------------------------


@dataclass
class Echo:
    """An `Api` that answers everything with the same bytes."""

    body: bytes
    refunds: bytes
    asked: int = 0

    async def send(self, _method: str, path: str, **_how: Any) -> Answer:
        """Answer."""
        self.asked += 1
        assert self.asked <= REQUESTS_MAX, "one hostile answer makes us ask without end"
        body = self.refunds if path.endswith("/refunds") else self.body
        return Answer(200, {}, body, datetime(2026, 11, 22, 10, tzinfo=UTC))

    def pause(self, seconds: float) -> None:
        """Take note of nothing."""
        assert 0 <= seconds < 3600


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits, without a loop."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


# -- hostile bodies -------------------------------------------------------------------------------

_LINE = {
    "id": "gid://shopify/LineItem/1",
    "quantity": 3,
    "currentQuantity": 2,
    "unfulfilledQuantity": 1,
    "sku": "candle",
    "variant": {"id": "gid://shopify/ProductVariant/2"},
}
_END = {"hasNextPage": False, "endCursor": "x"}
_HEAD = {
    "id": "gid://shopify/Order/820982911946154508",
    "createdAt": "2026-11-22T10:00:00Z",
    "updatedAt": "2026-11-22T11:00:00+01:00",
    "confirmed": True,
    "cancelledAt": None,
    "closedAt": None,
    "lineItems": {"nodes": [_LINE], "pageInfo": _END},
    "refunds": [],
    "fulfillments": [],
}
_UNIT = {"lineItem": {"id": "gid://shopify/LineItem/1"}, "quantity": 1}
SHOPIFY_PAGE = {"data": {"orders": {"nodes": [_HEAD, _HEAD], "pageInfo": _END}}}
SHOPIFY_ORDER = {
    "data": {
        "order": _HEAD
        | {
            "refunds": [
                {
                    "id": "gid://shopify/Refund/5",
                    "refundLineItems": {
                        "nodes": [
                            _UNIT
                            | {
                                "restockType": "CANCEL",
                                "location": {"id": "gid://shopify/Location/655441491"},
                            }
                        ],
                        "pageInfo": _END,
                    },
                }
            ],
            "fulfillments": [
                {
                    "id": "gid://shopify/Fulfillment/6",
                    "status": "SUCCESS",
                    "fulfillmentLineItems": {"nodes": [_UNIT], "pageInfo": _END},
                }
            ],
        }
    }
}


def samples(channel: str) -> list[Any]:
    """Every recorded delivery of a channel, decoded."""
    return [json.loads(path.read_bytes()) for path in sorted((SAMPLES / channel).glob("*.json"))]


def _refunded_order() -> Any:
    return json.loads((SAMPLES / "woocommerce" / "order_with_refund.json").read_bytes())


def _woo_orders() -> list[Any]:
    return [
        each for each in samples("woocommerce") if isinstance(each, dict) and "line_items" in each
    ]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: what good input looks like, and the judge."""

    name: str
    seeds: Sequence[Any]
    judge: Callable[[bytes], object]


_SOLD = {
    "transaction_id": 4000000001,
    "quantity": 2,
    "listing_id": 1002,
    "sku": "SOAP-MINT",
    "paid_timestamp": 1795341600,
    "is_digital": False,
    "product_data": [{"property_id": 200, "value_ids": [9002], "values": ["Mint"]}],
}
ETSY_RECEIPT = {
    "receipt_id": 3000000001,
    "status": "Paid",
    "is_paid": True,
    "is_shipped": False,
    "created_timestamp": 1795341600,
    "updated_timestamp": 1795341600,
    "transactions": [_SOLD, _SOLD | {"transaction_id": 4000000002, "product_data": []}],
    # The door answers everything with one body: what the listings are looked up by stands here.
    "results": [
        {
            "listing_id": 1002,
            "state": "active",
            "inventory": {
                "quantity_on_property": [200],
                "products": [
                    {
                        "sku": "SOAP-MINT",
                        "offerings": [
                            {
                                "quantity": 3,
                                "is_enabled": True,
                                "price": {"amount": 690, "divisor": 100},
                            }
                        ],
                        "property_values": [{"property_id": 200, "values": ["Mint"]}],
                    }
                ],
            },
        }
    ],
}
ETSY_PAGE = {"count": 1, "results": [ETSY_RECEIPT, *ETSY_RECEIPT["results"]]}


def _etsy_deliveries() -> list[Any]:
    return [each for each in samples("etsy") if "event_type" in each]


def _fresh_etsy() -> Connector:
    """One that remembers no listing."""
    return connectors()[2]


def _faire_orders() -> list[Any]:
    """Orders without a family: the door, which answers everything alike, would make up another."""
    return [
        each for each in samples("faire") if "items" in each and not each.get("original_order_id")
    ][:1]


GENERIC_ORDER = json.loads((SAMPLES / "generic" / "order_changed.json").read_bytes())["order"]

TARGETS: Sequence[Target] = (
    Target("shopify delivery", samples("shopify"), lambda body: delivery(SHOPIFY, body)),
    Target("woocommerce delivery", samples("woocommerce"), lambda body: delivery(WOO, body)),
    Target("shopify order", [SHOPIFY_ORDER], lambda body: order(SHOPIFY, body)),
    Target("woocommerce order", _woo_orders(), lambda body: order(WOO, body)),
    Target(
        "woocommerce refunds",
        [json.loads(REFUNDS)],
        lambda body: order(WOO, encoded_seed(_refunded_order()), refunds=body),
    ),
    Target("shopify poll", [SHOPIFY_PAGE], lambda body: poll(SHOPIFY, body)),
    Target("woocommerce poll", [_woo_orders()], lambda body: poll(WOO, body)),
    Target("etsy delivery", _etsy_deliveries(), lambda body: delivery(ETSY, body)),
    Target("etsy order", [ETSY_RECEIPT], lambda body: order(_fresh_etsy(), body)),
    Target("etsy poll", [ETSY_PAGE], lambda body: poll(_fresh_etsy(), body)),
    Target("faire order", _faire_orders(), lambda body: order(FAIRE, body)),
    Target("faire poll", [{"orders": _faire_orders()}], lambda body: poll(FAIRE, body)),
    Target("generic delivery", samples("generic"), lambda body: delivery(GENERIC, body)),
    Target("generic order", [GENERIC_ORDER], lambda body: order(GENERIC, body)),
    Target("generic poll", [{"orders": [GENERIC_ORDER]}], lambda body: poll(GENERIC, body)),
)
"""Every parser that reads what comes from outside."""

HOSTILE: Sequence[Any] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 3.0, 10**9, 10**9 + 1, -(10**9), 2**31,
    2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40, "", " ", "0", "1", "-1", "3.0", "1e3",
    "9" * 10, "9" * 19, "9" * 400, "\u0663", "\0", "a\0b", "\n", "\ud800", "\udfff\ud800", "\u202e",
    "x" * 5000, "true", "NaN", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00", "0000-00-00T00:00:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59",
    "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59",
    "2026-02-30T10:00:00", "2026-11-22T24:00:00", "2026-11-22T10:00:60Z", "gid://shopify/Order/0",
    "gid://shopify/Order/9223372036854775808", "gid://shopify/LineItem/2", "completed", "trash",
    "refunded", "cancelled", "checkout-draft", "wc-plugin", "SUCCESS", "CANCEL", "RETURN",
    "NO_RESTOCK", [], {}, [[]], [{}], {"id": 1}, [None], {"": {}},
)  # fmt: skip
"""Values that a field may be replaced with."""
LITERALS: Sequence[bytes] = (
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"9" * 5000, b"0x10", b"01",
    b"1_000", b"+1", b".5", b"'x'", b"undefined", b"\xff", b'"\xed\xa0\x80"', b'"\\ud800x"',
    b'"\\ud800\\u0041"', b'"\\uDC00"', b'"\x00"', b'"\\u0000"', b"[" * 3000, b'{"a":' * 3000,
    b"[" * 80 + b"]" * 80, b'{"id":1,"id":2}', b"/**/1", b"",
)  # fmt: skip
"""JSON, or almost, that an encoder would not write."""


def encoded_seed(seed: Any) -> bytes:
    """Return good input as bytes."""
    return json.dumps(seed, separators=(",", ":")).encode()


_MARK = "\ue000here\ue000"


def mutated(seed: Any, choose: Callable[[int], int]) -> bytes:
    """Return good input with one to four of its values spoilt; `choose(n)` picks from range(n)."""
    document = copy.deepcopy(seed)
    literals: list[bytes] = []
    for _ in range(1 + choose(4)):
        spots = list(places(document))
        if not spots:
            break
        holder, key = spots[choose(len(spots))]
        match choose(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case 2:
                holder[key] = f"{_MARK}{len(literals)}"
                literals.append(LITERALS[choose(len(LITERALS))])
            case 3:
                holder[key] = [copy.deepcopy(holder[key]) for _ in range(1 + choose(3))]
            case _:
                holder[key] = copy.deepcopy(HOSTILE[choose(len(HOSTILE))])
    body = encoded_seed(document)
    for number, literal in enumerate(literals):
        marked = json.dumps(f"{_MARK}{number}").encode()
        body = body.replace(marked, literal)
    match choose(12):
        case 0:
            body = body[: choose(len(body) + 1)]
        case 1:
            place = choose(len(body) + 1)
            body = body[:place] + bytes([choose(256)]) + body[place + 1 :]
    return body


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document, outermost first."""
    keys: Sequence[Any] = ()
    if isinstance(document, dict):
        keys = list(document)
    elif isinstance(document, list):
        keys = range(len(document))
    for key in keys:
        yield document, key
        yield from places(document[key])


def signature(connector: Connector, headers: Mapping[str, str], body: bytes) -> bool:
    """Judge the verifier: whether it accepts, which nothing but our own secret may bring about."""
    given = headers.get(SIGNATURE_HEADER[connector.channel])
    try:
        connector.verify(WebhookRequest(headers, body))
    except SignatureInvalid as error:
        check_text(error.message)
        return False
    assert given == signed(body), "another signature than the one there is was accepted"
    return True


def signed(body: bytes) -> str:
    """What both channels sign a body with."""
    return base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()


SIGNATURE_HEADER = {"s": "x-shopify-hmac-sha256", "w": "x-wc-webhook-signature"}
