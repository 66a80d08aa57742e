"""What every poll of orders keeps while it walks a platform's pages.

Theory of operation. Each platform pages in its own way, and its connector follows that. What they
have in common is here: a page as it came, how far a poll has got by the channel's clock, and what
becomes of an order that cannot be read. The cursor is the newest change seen, never ahead of the
first answer's Date header and never our "now": a change ahead of it (a clock set back) must not
skip what comes before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from stockpush.connectors.payload import only_read
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid

RECENT = timedelta(days=1)
"""How far a first poll looks back for orders that are no longer open."""
FAULTS_MAX = 3
"""Orders of one page that may fail by themselves before the channel counts as down."""
PAGES_MAX = 2000
"""Most requests of one listing."""

Params = tuple[tuple[str, str], ...]
Unreadable = tuple[str, str, bytes]
"""See `base.OrderPage`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of orders as it came: raw bodies, the channel's clock, whether it is the last."""

    orders: tuple[msgspec.Raw, ...]
    date: datetime | None
    last: bool


@dataclass(slots=True)
class Progress:
    """What a poll has learnt of the channel's clock: the first Date, the newest change."""

    date: datetime | None = None
    newest: datetime | None = None

    def answered(self, date: datetime | None) -> None:
        """Take an answer's Date into account; the first one counts."""
        self.date = self.date or date

    def note(self, changed: datetime) -> None:
        """Take one order's last change into account."""
        self.newest = changed if self.newest is None else max(self.newest, changed)

    def recent(self) -> datetime | None:
        """Return since when a first poll reads what changed, None where no clock is known."""
        now = self.date or self.newest
        return None if now is None else now - RECENT

    def reached(self) -> datetime | None:
        """Return where the next poll starts, None where nothing is known of the channel's clock."""
        return min((at for at in (self.newest, self.date) if at is not None), default=None)


def set_aside(
    unreadable: list[Unreadable],
    error: ChannelError,
    *,
    order: str,
    raw: msgspec.Raw,
    kind: type[msgspec.Struct],
) -> None:
    """Note an order that cannot be had; it does not hide the others.

    Nothing is kept of it but what a `kind` is read for: never who bought.

    A channel that is down shows none: the next one of a page that fails for that is raised.
    """
    if isinstance(error, ChannelUnavailable) and len(unreadable) >= FAULTS_MAX:
        raise error
    unreadable.append((order, error.message, only_read(raw, kind)))


def endless(field: str) -> PayloadInvalid:
    """Return the error of a listing that has more pages than one can have."""
    return PayloadInvalid(
        "The list of orders does not end.", field=field, found=PAGES_MAX, expected="fewer pages"
    )


def cursor_of(at: datetime | None) -> str | None:
    """Return an instant as a cursor, to the second; None for none.

    >>> cursor_of(datetime(2026, 11, 22, 10, tzinfo=UTC))
    '2026-11-22T10:00:00Z'
    """
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_of(cursor: str) -> datetime:
    """Return a cursor's instant, aware UTC; `PayloadInvalid` for what is none."""
    try:
        instant = datetime.fromisoformat(cursor)
    except ValueError:
        raise PayloadInvalid(
            "The cursor of the poll is not an instant.", field="cursor", found=cursor[:80]
        ) from None
    if instant.tzinfo is None:
        raise PayloadInvalid("The cursor of the poll has no zone.", field="cursor", found=cursor)
    return instant.astimezone(UTC)
