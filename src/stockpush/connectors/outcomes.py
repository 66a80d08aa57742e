"""How a line of a push ends where every platform means the same by it.

Theory of operation. A platform without compare-and-set is read before it is written, and the number
that was read decides whether a line may be written at all (conflict protocol, R6). A request that
got no usable answer decides by one question: can the channel have seen it? What it cannot have seen
is due again; what it may have seen is unknown until a reading settles it. What a platform answers
to a write is its own, and each connector's.
"""

from __future__ import annotations

from datetime import datetime

from stockpush.connectors.base import PushLine, PushOutcome
from stockpush.errors import (
    AuthFailed,
    ChannelError,
    ChannelUnavailable,
    ListingGone,
    OutcomeUnknown,
    PushRejected,
    RateLimited,
)
from stockpush.model import PushOutcomeKind


def checked(line: PushLine, actual: int, date: datetime | None) -> PushOutcome | None:
    """Return the outcome of a line that need not or must not be written over `actual`, else None.

    A number other than the one we expect is a conflict, also where it happens to be the target: an
    unseen sale looks the same.
    """
    if actual != line.expected:
        return PushOutcome(PushOutcomeKind.CONFLICT, actual=actual, date=date)
    if actual == line.target:
        return PushOutcome(PushOutcomeKind.UNCHANGED, actual=actual, date=date)
    return None


def gone(message: str, date: datetime | None) -> PushOutcome:
    """Return that the channel no longer has what the line is written to."""
    return PushOutcome(PushOutcomeKind.GONE, error=ListingGone(message), date=date)


def rejected(message: str, date: datetime | None, *, found: object = None) -> PushOutcome:
    """Return that a person must mend something first."""
    error = PushRejected(message, found=found)
    return PushOutcome(PushOutcomeKind.REJECTED, error=error, date=date)


def unanswered(error: ChannelError, *, gap_from: datetime | None = None) -> PushOutcome:
    """Return the outcome of lines whose write got no usable answer.

    `gap_from` is since when a sale may be missing in what the write rests on. An answer that cannot
    be used (a redirect, one too large) came after the write was sent.
    """
    if isinstance(error, ChannelUnavailable | RateLimited | AuthFailed):
        return unsent(error)
    return PushOutcome(PushOutcomeKind.UNKNOWN, error=error, gap_from=gap_from)


def unsent(error: ChannelError) -> PushOutcome:
    """Return the outcome of lines that were certainly not written, because of `error`."""
    match error:
        case RateLimited():
            kind = PushOutcomeKind.RATE_LIMITED
        case AuthFailed():
            kind = PushOutcomeKind.AUTH_FAILED
        case OutcomeUnknown():
            kind = PushOutcomeKind.UNAVAILABLE
            error = ChannelUnavailable("Not sent: the write before it got no usable answer.")
        case _:
            kind = PushOutcomeKind.UNAVAILABLE
    return PushOutcome(kind, error=error)
