"""The parts of Faire's objects that matter to stock, decoded strictly; its errors and pages.

Theory of operation. Only named fields are read, and none that tells who bought: addresses, names
and notes are never decoded. Whatever cannot be understood raises `PayloadInvalid` that names the
field.

Before Faire stands Cloudflare, which answers with pages of HTML (403, 5xx, and challenges that may
even carry 200). A page says nothing of an order or a variant: a read of it is an unavailable
channel. A 403 that is no page is the API's own, although its document has no such status: then it
is a right that the token lacks.

The error body's shape is not published. `{"message": ...}` is what other clients expect; anything
else is shown as it came, cut short.

Instants come in both forms of ISO 8601, "2026-11-22T10:00:00.000Z" and "20261122T100000.000Z".
Source: Faire's OpenAPI 3.0.3; live-call notes of 2026-06 (Cloudflare, limits).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from stockpush.connectors.answers import WORDS_MAX, decoded, printable
from stockpush.connectors.base import Answer, Api
from stockpush.connectors.payload import Count, Quantity, Word, decode, utc
from stockpush.errors import ChannelUnavailable, PayloadInvalid

ROOT = "/external-api/v2"

Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,100}\Z")]
"""An order's, an item's or a variant's id: a short prefix and letters, `po_6abcdefghj`."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_INSTANT = re.compile(
    r"[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}T[0-9]{2}(:?)[0-9]{2}\2[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})"
)

T = TypeVar("T")


class Item(msgspec.Struct, frozen=True):
    """One order line. `quantity` counts pieces, not cases; `state` may be absent on a new order."""

    id: Id
    quantity: Count
    variant_id: str | None = None
    sku: str | None = None
    state: Word | None = None
    includes_tester: bool | None = None


class Order(msgspec.Struct, frozen=True):
    """An order, without anything about who ordered."""

    id: Id
    state: Word
    created_at: str
    updated_at: str
    items: tuple[Item, ...]
    original_order_id: str | None = None
    is_fulfilled_by_faire: bool | None = None
    expected_ship_date: str | None = None


class Orders(msgspec.Struct, frozen=True):
    """One page of orders. Each is decoded by itself, so that one odd order hides no other."""

    orders: tuple[msgspec.Raw, ...]
    cursor: str | None = None


class Amount(msgspec.Struct, frozen=True):
    """A quantity as Faire tells it: QUANTITY with a number, or UNTRACKED."""

    type: str
    quantity: Quantity | None = None

    @property
    def number(self) -> int | None:
        """Return the number, None where there is none."""
        return self.quantity if self.type == "QUANTITY" else None


class Variant(msgspec.Struct, frozen=True):
    """What Faire holds of one variant. On hand and available may be negative: oversold."""

    on_hand_quantity: Amount
    committed_quantity: Amount | None = None
    available_quantity: Amount | None = None


class Variants(msgspec.Struct, frozen=True):
    """Variants by id; one that Faire does not know is missing."""

    inventories: dict[str, msgspec.Raw]


class _Fault(msgspec.Struct, frozen=True):
    message: str


async def read(api: Api, path: str, params: Sequence[tuple[str, str]] = ()) -> Answer:
    """Send one GET below the API's root. A page of HTML is `ChannelUnavailable`."""
    answer = await api.send("GET", ROOT + path, write=False, params=params)
    if answer.is_page:
        raise page_error(answer)
    return answer


def page_error(answer: Answer) -> ChannelUnavailable:
    """Return the error of an answer that is a page for people."""
    return ChannelUnavailable(
        f"Faire answered with a page instead of data ({answer.status}).",
        found=answer.status,
        next="stockpush doctor",
    )


def decode_answer(answer: Answer, kind: type[T], what: str) -> T:
    """Return the body of a 200 answer to a read as a `kind`, else raise `PayloadInvalid`."""
    return decoded(answer, kind, what, told=fault(answer))


def is_gone(answer: Answer) -> bool:
    """Answer whether the API itself says that there is no such object."""
    return answer.status == 404 and _is_object(answer.body)


def fault(answer: Answer) -> str:
    """Return an error answer's own words, printable and short: its message, else the raw text."""
    if answer.is_page:
        return f"{answer.status}, a page"
    try:
        words = decode(answer.body, _Fault, what="error").message
    except PayloadInvalid:
        words = answer.body[: 4 * WORDS_MAX].decode("utf-8", errors="replace")
    return printable(words) or str(answer.status)


def is_id(text: str) -> bool:
    """Answer whether a text can be an id, and stand in a path."""
    return _ID.fullmatch(text) is not None


def instant(text: str, field: str) -> datetime:
    """Return an instant as aware UTC. `PayloadInvalid` names `field`.

    >>> instant("20261122T100000.000Z", "updated_at").isoformat()
    '2026-11-22T10:00:00+00:00'
    """
    try:
        # A form that is close but not this one must not be guessed at: it becomes "".
        told = datetime.fromisoformat(text if _INSTANT.fullmatch(text) else "")
    except ValueError:
        raise PayloadInvalid(
            f"{field} is not an instant.", field=field, expected="2026-11-22T10:00:00.000Z"
        ) from None
    return utc(told, what=field)


def written(at: datetime) -> str:
    """Return an instant as Faire writes it, to the second.

    >>> written(datetime(2026, 11, 22, 10, tzinfo=UTC))
    '2026-11-22T10:00:00.000Z'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _is_object(body: bytes) -> bool:
    try:
        decode(body, dict[str, msgspec.Raw], what="answer")
    except PayloadInvalid:
        return False
    return True
