"""A webhook's bytes into facts or hints: pure, decided by the shape of the signed body.

Theory of operation. The topic header is not signed, so it decides nothing; it is shown to people.
A whole order is a fact. Everything that only points at one (an edit, a refund, a fulfilment, an
order without the fields we count by, a bare id as a deletion sends it) is a hint to fetch it. A
stock level is a hint to read the field: it tells the level when the body was built, not when the
change happened (0 -> 10 -> 0 arrives as 0, 0).
Source: Shopify webhook bodies of API version 2026-10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from stockpush.connectors.base import WebhookRequest
from stockpush.connectors.payload import Count, Instant, Number, Quantity, decode, utc
from stockpush.connectors.shopify.orders import (
    FulfilmentRead,
    LineRead,
    OrderRead,
    RefundRead,
    order_seen,
    progress_of,
    restock_of,
)
from stockpush.connectors.signatures import verify_hmac_sha256_base64
from stockpush.errors import PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint, QuantityHint, Seen

_TOPIC = re.compile(r"[a-z_]{1,40}/[a-z_]{1,40}")
_COUNTED_BY = frozenset({"id", "created_at", "updated_at", "line_items", "refunds", "fulfillments"})
"""Fields that an order body must have to be a fact; with fewer it is a hint."""


class _RefundLine(msgspec.Struct):
    line_item_id: Number
    quantity: Count
    restock_type: str
    location_id: Number | None = None


class _Refund(msgspec.Struct):
    refund_line_items: list[_RefundLine]


class _FulfilmentLine(msgspec.Struct):
    id: Number
    quantity: Count


class _Fulfilment(msgspec.Struct):
    line_items: list[_FulfilmentLine]
    status: str | None = None


class _Line(msgspec.Struct):
    id: Number
    quantity: Count
    variant_id: Number | None = None
    sku: str | None = None
    current_quantity: Count | None = None
    fulfillable_quantity: Count | None = None


class _Order(msgspec.Struct):
    id: Number
    created_at: Instant
    updated_at: Instant
    line_items: list[_Line]
    refunds: list[_Refund]
    fulfillments: list[_Fulfilment]
    cancelled_at: Instant | None = None
    closed_at: Instant | None = None
    confirmed: bool = True


class _OfOrder(msgspec.Struct):
    order_id: Number | None


class _Edited(msgspec.Struct):
    order_edit: _OfOrder


class _Level(msgspec.Struct):
    inventory_item_id: Number
    location_id: Number
    available: Quantity | None = None


class _Identified(msgspec.Struct):
    id: Number


def verify(request: WebhookRequest, *, secrets: tuple[bytes, ...], shop: str) -> None:
    """Return if one of `secrets` signed the body, for `shop`; else raise `SignatureInvalid`.

    Every secret is tried whichever fits, so that the time taken tells nothing. The shop header
    is not signed, but a delivery that names another shop is not for this channel.
    """
    header = request.headers.get("x-shopify-hmac-sha256")
    fits = [_fits(secret, request.body, header) for secret in secrets]
    if not any(fits):
        raise SignatureInvalid("No webhook secret of this channel signed the delivery.")
    named = request.headers.get("x-shopify-shop-domain")
    if named is not None and named.strip().lower() != shop:
        raise SignatureInvalid(
            "The delivery names another shop.", field="x-shopify-shop-domain", expected=shop
        )


def read(request: WebhookRequest, *, channel: str, location: int) -> tuple[str, tuple[Seen, ...]]:
    """Return (topic for people, what the body says); `PayloadInvalid` if it says nothing known."""
    keys = decode(request.body, dict[str, msgspec.Raw], what="delivery")
    shape, seen = _read(request.body, keys, channel=channel, location=location)
    topic = request.headers.get("x-shopify-topic", "")
    return (topic if _TOPIC.fullmatch(topic) else shape), (seen,)


def _read(
    body: bytes, keys: Mapping[str, msgspec.Raw], *, channel: str, location: int
) -> tuple[str, Seen]:
    if "order_edit" in keys:
        edited = decode(body, _Edited, what="order edit").order_edit.order_id
        return "order_edit", _hint(edited, channel)
    if "order_id" in keys:
        return "of_order", _hint(decode(body, _OfOrder, what="delivery").order_id, channel)
    if "inventory_item_id" in keys and "location_id" in keys:
        return "inventory_level", _level(body, channel=channel, location=location)
    if "line_items" in keys and _is_order(keys):
        return "order", _order(body, keys, channel=channel, location=location)
    if set(keys) == {"id"}:
        # A deletion tells nothing but an id. Asking for an order that never was costs one read.
        return "deletion", _hint(decode(body, _Identified, what="deletion").id, channel)
    if "id" in keys or "admin_graphql_api_id" in keys:
        return "other", Nothing("It is about something that does not hold stock.")
    raise PayloadInvalid(
        "The delivery is neither an order, an edit, a refund nor a stock level.",
        field="$",
        found=", ".join(sorted(keys)[:12]) or "an empty object",
    )


def _hint(order: int | None, channel: str) -> Seen:
    if order is None:
        return Nothing("It belongs to no order yet.")
    return OrderHint(channel, str(order))


def _level(body: bytes, *, channel: str, location: int) -> Seen:
    level = decode(body, _Level, what="stock level")
    if level.location_id != location:
        return Nothing("It is about another location.")
    return QuantityHint(channel, str(level.inventory_item_id), level.available)


def _is_order(keys: Mapping[str, msgspec.Raw]) -> bool:
    """Tell an order from a draft or a checkout, which have lines too."""
    named = keys.get("admin_graphql_api_id")
    if named is None:
        return True
    return decode(named, str, what="admin_graphql_api_id").startswith("gid://shopify/Order/")


def _order(body: bytes, keys: Mapping[str, msgspec.Raw], *, channel: str, location: int) -> Seen:
    if not _COUNTED_BY.issubset(keys):
        return OrderHint(channel, str(decode(body, _Identified, what="order").id))
    order = decode(body, _Order, what="order")
    lines = []
    for line in order.line_items:
        if line.current_quantity is None or line.fulfillable_quantity is None:
            return OrderHint(channel, str(order.id))
        lines.append(
            LineRead(
                line=line.id,
                variant=line.variant_id,
                sku=line.sku or "",
                quantity=line.quantity,
                current=line.current_quantity,
                unfulfilled=line.fulfillable_quantity,
            )
        )
    whole = OrderRead(
        order=order.id,
        created_at=_utc(order.created_at),
        updated_at=_utc(order.updated_at),
        cancelled=order.cancelled_at is not None,
        closed=order.closed_at is not None,
        confirmed=order.confirmed,
        lines=tuple(lines),
        refunds=tuple(
            RefundRead(
                line.line_item_id, line.quantity, restock_of(line.restock_type), line.location_id
            )
            for refund in order.refunds
            for line in refund.refund_line_items
        ),
        fulfilments=tuple(
            FulfilmentRead(line.id, line.quantity, progress_of(fulfilment.status))
            for fulfilment in order.fulfillments
            for line in fulfilment.line_items
        ),
    )
    return order_seen(whole, channel=channel, location=location, fetch=0)


def _utc(instant: datetime) -> datetime:
    return utc(instant, what="order")


def _fits(secret: bytes, body: bytes, header: str | None) -> bool:
    try:
        verify_hmac_sha256_base64(secret, body, header)
    except SignatureInvalid:
        return False
    return True
