"""The parts of WooCommerce's REST v3 objects that matter to stock, decoded strictly.

Theory of operation. Only named fields are read, unknown ones are ignored, and whatever cannot be
understood raises `PayloadInvalid` that names the field. Plugins loosen types: quantities come as
3, 3.0 and "3", so those forms are taken and anything that is not a whole number is not. Of each
pair of instants only the `*_gmt` one is read, which carries no zone; the other is in the site's
own.
Source: the platform's OPTIONS schemas and its documentation of REST v3.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from stockpush.connectors.base import Answer
from stockpush.connectors.payload import Number, Word, decode, utc
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid
from stockpush.model import WIRE_QUANTITY_MAX

ID_MAX = 2**63 - 1
"""Largest object id (an unsigned 64-bit column, which PHP reads as signed)."""
_WHOLE = re.compile(r"-?[0-9]{1,10}(?:\.0{1,10})?")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|\+00:00)?")

T = TypeVar("T")


class Meta(msgspec.Struct, frozen=True):
    """One entry of `meta_data`."""

    key: str
    value: Any = None


class LineItem(msgspec.Struct, frozen=True):
    """One order line. `variation_id` 0 or null: the product itself was sold."""

    id: Number
    quantity: Any
    product_id: Any = 0
    variation_id: Any = 0
    sku: Any = None
    meta_data: tuple[Meta, ...] = ()


class RefundListed(msgspec.Struct, frozen=True):
    """A refund as an order lists it: without quantities."""

    id: Number


class Order(msgspec.Struct, frozen=True):
    """An order. `refunds` is None where the key is absent."""

    id: Number
    status: Word
    date_created_gmt: str
    date_modified_gmt: str
    line_items: tuple[LineItem, ...]
    date_paid_gmt: str | None = None
    date_completed_gmt: str | None = None
    refunds: tuple[RefundListed, ...] | None = None


class RefundLine(msgspec.Struct, frozen=True):
    """One line of a refund: `quantity` <= 0, the order line named in a meta value."""

    quantity: Any = 0
    meta_data: tuple[Meta, ...] = ()


class Refund(msgspec.Struct, frozen=True):
    """A refund with its lines."""

    id: Number
    line_items: tuple[RefundLine, ...] = ()


class Product(msgspec.Struct, frozen=True):
    """A product or a variation. `manage_stock` is true, false, or "parent" on a variation.

    The loose fields are judged one product at a time, so that one odd product does not hide the
    others of its page.
    """

    id: Number
    type: Any = None
    parent_id: Any = 0
    manage_stock: Any = False
    stock_quantity: Any = None
    backorders: Any = "no"


class Fault(msgspec.Struct, frozen=True):
    """WordPress's error object."""

    code: str


def decode_answer(answer: Answer, kind: type[T], what: str) -> T:
    """Return the body of a 200 answer to a read as a `kind`, else raise what it means."""
    if answer.status == 200:
        return decode(answer.body, kind, what=what)
    raise unexpected(answer, what)


def unexpected(answer: Answer, what: str) -> ChannelError:
    """Return the error that an answer other than 200 stands for.

    A 404 without the platform's own error object means that the REST API itself is not there
    (permalinks switched off, a front page, a proxy): nothing may be concluded about the object.
    """
    code = fault_code(answer.body)
    if answer.status == 404 and code in (None, "rest_no_route"):
        return ChannelUnavailable(
            "The REST API does not answer below base_url; are pretty permalinks switched on?",
            field="base_url",
            found=f"404 {code or _looks_like(answer.body)}",
            expected="/wp-json/wc/v3",
            next="stockpush channels",
        )
    return PayloadInvalid(
        f"The {what} was answered with {answer.status}.",
        field=what,
        found=code or _looks_like(answer.body),
        expected="200",
    )


def is_gone(answer: Answer) -> bool:
    """Answer whether the platform itself says that the object's id does not exist.

    A read says so with 404, a write with 400 (measured), both with a code of its own.
    """
    code = fault_code(answer.body)
    return answer.status in (400, 404) and code is not None and code.endswith("_invalid_id")


def fault_code(body: bytes) -> str | None:
    """Return the `code` of a WordPress error object, None if the body is none."""
    try:
        return decode(body, Fault, what="error").code[:100]
    except PayloadInvalid:
        return None


def whole(value: Any, field: str) -> int:
    """Return a quantity that must be a whole number within +-10**9, in any of its three forms.

    Raises `PayloadInvalid` naming `field`.

    >>> whole("3", "quantity"), whole(3.0, "quantity"), whole(-2, "quantity")
    (3, 3, -2)
    """
    number: int | None = None
    match value:
        case bool():
            pass
        case int():
            number = value
        case float() if value.is_integer():
            number = int(value)
        case str() if _WHOLE.fullmatch(value):
            number = int(value.partition(".")[0])
    if number is None or abs(number) > WIRE_QUANTITY_MAX:
        raise PayloadInvalid(
            f"{field} is not a whole number that can be a quantity.",
            field=field,
            found=str(value)[:40] if isinstance(value, int | float) else type(value).__name__,
            expected=f"a whole number from -{WIRE_QUANTITY_MAX} to {WIRE_QUANTITY_MAX}",
        )
    return number


def identity(value: Any, field: str) -> int:
    """Return an object id, 0 for null or an empty text (none). `PayloadInvalid` names `field`."""
    if value is None or value == "":
        return 0
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= ID_MAX:
        raise PayloadInvalid(
            f"{field} is not an id.", field=field, found=type(value).__name__, expected="an id"
        )
    return number


def instant(text: str, field: str) -> datetime:
    """Return a `*_gmt` instant, which carries no zone, as aware UTC. `PayloadInvalid` names it.

    >>> instant("2026-11-22T10:00:00", "date_modified_gmt").isoformat()
    '2026-11-22T10:00:00+00:00'
    """
    try:
        # A form that is close but not this one must not be guessed at: it becomes "".
        told = datetime.fromisoformat(text if _INSTANT.fullmatch(text) else "")
    except ValueError:
        raise PayloadInvalid(
            f"{field} is not an instant.", field=field, expected="YYYY-MM-DDTHH:MM:SS in GMT"
        ) from None
    return utc(told.replace(tzinfo=UTC), what=field)


def _looks_like(body: bytes) -> str:
    """Return what a body that is not the JSON we expected looks like, without quoting it."""
    if not body:
        return "nothing"
    return "HTML" if body.lstrip()[:1] == b"<" else f"{len(body)} bytes"
