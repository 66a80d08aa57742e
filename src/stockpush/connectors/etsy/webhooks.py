"""A webhook's bytes into a hint: pure, decided by the signed body.

Theory of operation. A delivery is thin: it says what happened, to what shop, and where the receipt
is to be read. The address is taken apart for its numbers and never called: its host comes from
outside, and the token goes to our own base URL only. Whatever the event is called, a receipt is a
reason to fetch it. An app's endpoint hears of every shop that has granted it access, so another
shop's delivery is genuine and of no concern to this channel.
Source: developers.etsy.com, essentials/webhooks; github.com/etsy/open-api discussions 1509, 1564.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from stockpush.connectors.base import WebhookRequest
from stockpush.connectors.payload import decode
from stockpush.connectors.signatures import verify_standard_webhook
from stockpush.errors import PayloadInvalid, SignatureInvalid
from stockpush.messages import Nothing, OrderHint, Seen

_TOPIC = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,80}")
_RECEIPT = re.compile(
    r"https://[A-Za-z0-9.-]{1,253}/v3/application/shops/([0-9]{1,18})/receipts/([0-9]{1,18})/?"
)


_Whole = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
_Digits = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,18}\Z")]


class _Event(msgspec.Struct, frozen=True):
    event_type: str
    resource_url: str
    shop_id: _Whole | _Digits


def verify(request: WebhookRequest, *, keys: Sequence[bytes]) -> None:
    """Return if one of the keys signed the delivery at about the instant when it came.

    Where no secret is configured, or nobody looked at the clock, nothing can be verified.
    """
    if not keys:
        raise SignatureInvalid(
            "No webhook_secret is configured, so that no delivery can be verified.",
            field="webhook_secret",
        )
    if request.received_at is None:
        raise SignatureInvalid("It is not known when the delivery came.", field="received_at")
    verify_standard_webhook(keys, request.headers, request.body, now=request.received_at)


def read(request: WebhookRequest, *, channel: str, shop_id: int) -> tuple[str, tuple[Seen, ...]]:
    """Return (topic for people, one hint). Raises `PayloadInvalid` for any other shape."""
    event = decode(request.body, _Event, what="webhook")
    topic = event.event_type if _TOPIC.fullmatch(event.event_type) else "unknown"
    return topic, (_seen(event, channel, shop_id),)


def _seen(event: _Event, channel: str, shop_id: int) -> Seen:
    told = int(event.shop_id)
    place = _RECEIPT.fullmatch(event.resource_url)
    if place is not None and int(place[1]) != told:
        raise PayloadInvalid(
            "The webhook is of one shop and its receipt of another.",
            field="resource_url",
            found=place[1],
            expected=str(told),
        )
    if told != shop_id:
        return Nothing("something in another shop of the same app")
    if place is None:
        if event.event_type.startswith("order."):
            raise PayloadInvalid(
                "The webhook does not say which receipt it is of.",
                field="resource_url",
                expected="/v3/application/shops/{shop}/receipts/{receipt}",
            )
        return Nothing("an event that is not of a receipt")
    return OrderHint(channel, str(int(place[2])))
