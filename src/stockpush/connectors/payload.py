"""Decode what a channel sent into typed values, or say which field is wrong.

Theory of operation. Every body is decoded by msgspec straight into Structs. Whatever can go wrong
(not UTF-8, not JSON, cut off, nested without end, another type than documented, a number too
large) becomes one `PayloadInvalid` that names the path, so that a delivery is quarantined and
never crashes a worker. Identifiers are integers beyond 2**53 and never pass through floats.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

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
