"""Decode what a channel sent into typed values, or say which field is wrong.

Theory of operation. Every body is decoded by msgspec straight into Structs. Whatever can go wrong
(not UTF-8, not JSON, cut off, nested without end, another type than documented, a number too
large) becomes one `PayloadInvalid` that names the path, so that a delivery is quarantined and
never crashes a worker. Identifiers are integers beyond 2**53 and never pass through floats.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect

from stockpush.errors import PayloadInvalid
from stockpush.model import WIRE_QUANTITY_MAX

Number = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
"""A platform's numeric identifier."""
Quantity = Annotated[int, msgspec.Meta(ge=-WIRE_QUANTITY_MAX, le=WIRE_QUANTITY_MAX)]
"""A stock level: may be negative where the channel oversold."""
Count = Annotated[int, msgspec.Meta(ge=0, le=WIRE_QUANTITY_MAX)]
"""Units of an order line."""
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant that carries its zone; `utc` bounds it."""
Word = Annotated[str, msgspec.Meta(pattern=r"\A[\w .:-]{1,100}\Z")]
"""A platform's or a plugin's name for something, short and printable, as we keep it."""
YEAR_MIN = 1970
YEAR_MAX = 9000
"""Years of an instant that can be: spans are added and taken off, and cursors made of them."""

T = TypeVar("T")

_PATH = re.compile(r" - at `(?P<path>[^`]+)`$")


def decode(body: bytes | msgspec.Raw, kind: type[T], *, what: str) -> T:
    """Return `body` (JSON) as a `kind`. `what` names the body for people.

    Raises `PayloadInvalid` with the path in `field`; never anything else for any bytes.
    """
    try:
        return msgspec.json.decode(body, type=kind, strict=True)
    except msgspec.ValidationError as error:
        raise _invalid(what, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PayloadInvalid(f"The {what} is not JSON that can be read: {error}.") from error


def only_read(raw: msgspec.Raw, kind: type[msgspec.Struct]) -> bytes:
    """Return an object's JSON with nothing but what a `kind` is read for, empty for anything else.

    It is kept of an order that cannot be read: enough to read it after a mending, and nothing of
    who bought, which no connector reads.

    >>> class Order(msgspec.Struct):
    ...     id: int
    ...     skus: tuple[str, ...]
    >>> only_read(msgspec.Raw(b'{"id": "one", "name": "Eve", "skus": ["a", {"to": "Eve"}]}'), Order)
    b'{"id":"one","skus":["a",null]}'
    """
    try:
        whole = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return b""
    if not isinstance(whole, dict):
        return b""
    return msgspec.json.encode(_pruned(whole, inspect.type_info(kind)))


def _pruned(value: Any, kind: inspect.Type) -> Any:
    """Return what of a JSON value a type is read for; None for what has no place in it.

    A single value of another type stays where a single one belongs: it is what cannot be read.
    """
    match kind:
        case inspect.UnionType():
            known = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            found = (_pruned(value, each) for each in known)
            return next((each for each in found if each is not None), None)
        case inspect.StructType():
            types = {each.encode_name: each.type for each in kind.fields}
            if not isinstance(value, dict):
                return None
            return {name: _pruned(value[name], types[name]) for name in types if name in value}
        case inspect.VarTupleType() | inspect.ListType():
            if not isinstance(value, list):
                return None
            return [_pruned(each, kind.item_type) for each in value]
        case inspect.AnyType():
            return None if isinstance(value, dict | list | str) else value
        case _:
            return None if isinstance(value, dict | list) else value


def utc(instant: datetime, *, what: str) -> datetime:
    """Return an aware instant in UTC; `PayloadInvalid` outside of `YEAR_MIN` to `YEAR_MAX`."""
    try:
        there = instant.astimezone(UTC)
    except OverflowError as error:
        raise PayloadInvalid(f"The {what} has an instant outside the calendar.") from error
    if not YEAR_MIN <= there.year <= YEAR_MAX:
        raise PayloadInvalid(
            f"The {what} has an instant that cannot be.",
            found=there.isoformat(),
            expected=f"a year from {YEAR_MIN} to {YEAR_MAX}",
        )
    return there


def _invalid(what: str, message: str) -> PayloadInvalid:
    found = _PATH.search(message)
    path = found["path"] if found else "$"
    reason = message[: found.start()] if found else message
    return PayloadInvalid(f"The {what} has a wrong {path}: {reason}.", field=path)
