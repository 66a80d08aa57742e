"""Reading an answer with bounds: its body, its date, and how long it tells us to wait."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RESPONSE_BYTES_MAX = 10 * 1024 * 1024
"""Largest answer read, before and after decompression."""
RETRY_AFTER_DEFAULT_S = 5.0
"""How long to wait when the channel says "wait" without saying how long."""
RETRY_AFTER_MIN_S = 1.0
"""Shortest wait a channel can impose: 0 would be a loop."""
RETRY_AFTER_MAX_S = 3600.0
"""Longest wait a channel can impose at once."""
ACCEPT_ENCODING = "gzip"
"""What we ask for: what `read_body` can unpack within bounds."""

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class AnswerUnusable(ValueError):
    """An answer that cannot be read; the text says what was found, and quotes nothing."""


async def read_body(chunks: AsyncIterator[bytes], *, encoding: str) -> bytes:
    """Return the whole body from the bytes on the wire, at most RESPONSE_BYTES_MAX.

    `encoding` is the Content-Encoding header (empty: none). Unpacking stops at the bound: a
    client that unpacks for us would unpack a whole chunk, however large it becomes, before
    anything could be counted. Raises `AnswerUnusable`.
    """
    match encoding.strip().lower():
        case "" | "identity":
            unpack = None
        case "gzip" | "x-gzip":
            unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        case _:
            raise AnswerUnusable("an answer in an encoding that we did not ask for")
    content = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if unpack is None:
            content += chunk
        else:
            try:
                content += unpack.decompress(chunk, RESPONSE_BYTES_MAX - len(content) + 1)
            except zlib.error:
                raise AnswerUnusable("an answer that is not the gzip it says it is") from None
        if max(received, len(content)) > RESPONSE_BYTES_MAX:
            raise AnswerUnusable(f"an answer larger than {RESPONSE_BYTES_MAX} bytes")
    if unpack is not None and received and (not unpack.eof or unpack.unused_data):
        raise AnswerUnusable("an answer whose gzip is cut off or goes on after its end")
    return bytes(content)


def http_date(text: str | None) -> datetime | None:
    """Return a Date header as aware UTC, None where there is none that can be read.

    >>> http_date("Sun, 22 Nov 2026 10:00:00 GMT")
    datetime.datetime(2026, 11, 22, 10, 0, tzinfo=datetime.timezone.utc)
    """
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return None if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after_s(headers: Mapping[str, str], *, date: datetime | None, now: datetime) -> float:
    """Return the wait that Retry-After asks for, within bounds. Source: RFC 9110, 10.2.3.

    Fractions of a second are not in the RFC and are sent all the same ("2.0"). An instant is
    taken relative to the answer's own `date`, since both are by the channel's clock; `now` (ours)
    stands in where there is none.
    """
    given = headers.get("retry-after", "").strip()
    until = http_date(given)
    if _SECONDS.fullmatch(given):
        wait_s = float(given)
    elif until is not None:
        wait_s = (until - (date or now)).total_seconds()
    else:
        wait_s = RETRY_AFTER_DEFAULT_S
    return min(max(wait_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
