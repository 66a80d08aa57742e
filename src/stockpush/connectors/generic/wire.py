"""The protocol's objects, decoded strictly; unknown fields are ignored.

Whatever cannot be understood raises `PayloadInvalid` that names the field.
Source: docs/channels/generic.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from stockpush.connectors.answers import decoded, printable
from stockpush.connectors.base import Answer, Api
from stockpush.connectors.payload import Count, Instant, Quantity, Word, decode
from stockpush.errors import ChannelUnavailable, PayloadInvalid

NAME = r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,99}"
"""The name of an order, a line or a product: what stands in a path as it is."""

Name = Annotated[str, msgspec.Meta(pattern=rf"\A{NAME}\Z")]

_NAME = re.compile(NAME)

T = TypeVar("T")


class Line(msgspec.Struct, frozen=True):
    """One order line, absolute: `ordered` units, of which so many are cancelled and shipped.

    `deducted` is what the shop has taken off its number for the line and not put back: absent, all
    that is not cancelled; null, it does not know.
    """

    id: Name
    product: Name
    ordered: Count
    cancelled: Count = 0
    shipped: Count = 0
    deducted: Count | msgspec.UnsetType | None = msgspec.UNSET
    sku: str = ""


class Order(msgspec.Struct, frozen=True):
    """A whole order at its last change."""

    id: Name
    placed_at: Instant
    updated_at: Instant
    lines: tuple[Line, ...]
    deducted_at: Instant | None = None
    state: Word = "open"


class Orders(msgspec.Struct, frozen=True):
    """One page of orders, and where the next one is found."""

    orders: tuple[msgspec.Raw, ...]
    next: str | None = None


class Quantities(msgspec.Struct, frozen=True):
    """Numbers by product; null: the shop does not track it. A product it lacks is missing."""

    quantities: dict[str, Quantity | None]


class Saved(msgspec.Struct, frozen=True):
    """The answer to a write: the number as saved, and whether the expected one was compared."""

    quantity: Quantity
    compared: bool = False


class Stale(msgspec.Struct, frozen=True):
    """The answer to a write whose expected number was wrong."""

    actual: Quantity


class _Fault(msgspec.Struct, frozen=True):
    message: str


async def read(api: Api, path: str, params: Sequence[tuple[str, str]] = ()) -> Answer:
    """Send one GET. A page of HTML is `ChannelUnavailable`: something else answers there."""
    answer = await api.send("GET", path, write=False, params=params)
    if answer.is_page:
        raise ChannelUnavailable(
            f"The shop answered with a page instead of JSON ({answer.status}).",
            field="base_url",
            found=answer.status,
            next="stockpush doctor",
        )
    return answer


def decode_answer(answer: Answer, kind: type[T], what: str) -> T:
    """Return the body of a 200 answer to a read as a `kind`, else raise `PayloadInvalid`."""
    return decoded(answer, kind, what, told=fault(answer))


def is_gone(answer: Answer) -> bool:
    """Answer whether the shop's own program says that there is no such thing.

    A 404 without an object is somebody else's: nothing may be concluded from it.
    """
    return answer.status == 404 and answer.body.lstrip()[:1] == b"{"


def fault(answer: Answer) -> str:
    """Return an error answer's message, printable and short, else its status."""
    try:
        words = decode(answer.body, _Fault, what="error").message
    except PayloadInvalid:
        words = ""
    return printable(words) or str(answer.status)


def is_name(text: str) -> bool:
    """Answer whether a text can be the name of an order or a product."""
    return _NAME.fullmatch(text) is not None


def written(at: datetime) -> str:
    """Return an instant as the protocol writes it.

    >>> written(datetime(2026, 11, 22, 10, tzinfo=UTC))
    '2026-11-22T10:00:00Z'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
