"""A webhook's bytes into facts or hints: pure, decided by the shape of the signed body.

Theory of operation. No header but the signature is signed, so the topic decides nothing and is
only shown to people; the delivery id does not identify a delivery either (two orders in one
second share it). The body is the REST object as it was when the queue ran: a whole order is a
fact, unless it has refunds, whose quantities are not in it; `{"id": N}` is something deleted or
trashed, to be fetched; a product is a reason to read its field. The ping that a new webhook sends
is form-encoded and unsigned.
Source: the platform's webhook class (deliver, deliver_ping, topic map).
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

import msgspec

from stockpush.connectors.base import WebhookRequest
from stockpush.connectors.payload import Number, decode
from stockpush.connectors.signatures import verify_hmac_sha256_base64
from stockpush.connectors.woocommerce.orders import DRAFT_STATUSES, facts
from stockpush.connectors.woocommerce.owners import owner_key
from stockpush.connectors.woocommerce.wire import Order, Product, fault_code, whole
from stockpush.errors import PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint, QuantityHint, Seen

_TOPIC = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,80}")
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")


class _Identified(msgspec.Struct):
    id: Number


def verify(request: WebhookRequest, *, secrets: tuple[bytes, ...]) -> None:
    """Return if one of the secrets signed the raw body, else raise `SignatureInvalid`."""
    header = request.headers.get("x-wc-webhook-signature")
    for secret in secrets[:-1]:
        try:
            return verify_hmac_sha256_base64(secret, request.body, header)
        except SignatureInvalid:
            continue
    return verify_hmac_sha256_base64(secrets[-1], request.body, header)


def is_ping(request: WebhookRequest) -> bool:
    """Answer whether this is the unsigned ping of a new webhook: exactly 200, no effect.

    Only a body that can do nothing else is taken for one; anything signed is not.
    """
    signed = any(name.startswith("x-wc-webhook-") for name in request.headers)
    return not signed and _PING.fullmatch(request.body) is not None


def read(request: WebhookRequest, *, channel: str) -> tuple[str, tuple[Seen, ...]]:
    """Return (topic for people, facts or hints). Raises `PayloadInvalid` for any other shape."""
    keys = decode(request.body, dict[str, msgspec.Raw], what="webhook").keys()
    return _topic(request), (_seen(request.body, keys, channel),)


def _seen(body: bytes, keys: AbstractSet[str], channel: str) -> Seen:
    if {"id", "status", "line_items"} <= keys:
        return _order(body, channel)
    if {"id", "manage_stock"} <= keys:
        return _product(body, channel)
    if keys == {"id"}:
        return OrderHint(channel, str(decode(body, _Identified, what="deletion").id))
    if "action" in keys and "id" not in keys:
        return Nothing("a custom action of the shop")
    if {"code", "message"} <= keys:
        if (fault_code(body) or "").endswith("_invalid_id"):
            # A later delivery tells of the deletion; this one was built too late to show more.
            return Nothing("an object that was deleted before the shop described it")
        raise PayloadInvalid(
            "The shop sent an error instead of an object: the webhook's owner may have lost the "
            "right to read orders.",
            field="code",
            next="stockpush channels",
        )
    raise PayloadInvalid(
        "The webhook is neither an order nor a product.",
        field="$",
        expected="an object with id, status and line_items, or id and manage_stock",
        found=", ".join(sorted(keys)[:12])[:200] or "an empty object",
    )


def _order(body: bytes, channel: str) -> Seen:
    order = decode(body, Order, what="order")
    if order.status in DRAFT_STATUSES:
        return Nothing("a cart that is no order yet")
    if order.refunds is None or order.refunds:
        return OrderHint(channel, str(order.id))
    return facts(channel, order, (), fetch=0)


def _product(body: bytes, channel: str) -> Seen:
    product = decode(body, Product, what="product")
    key = owner_key(product)
    if key is None:
        return Nothing("a product that does not manage stock")
    return QuantityHint(channel, key, _told(product))


def _told(product: Product) -> int | None:
    """Return the number that a product names, None where it names none that can be."""
    try:
        return whole(product.stock_quantity, "stock_quantity")
    except PayloadInvalid:
        return None


def _topic(request: WebhookRequest) -> str:
    given = request.headers.get("x-wc-webhook-topic", "")
    return given if _TOPIC.fullmatch(given) else "unknown"
