"""What every poll of orders keeps while it walks a platform's pages.

Theory of operation. Each platform pages in its own way, and its connector follows that. What they
have in common is here: a page as it came, how far a poll has got by the channel's clock, and what
becomes of an order that cannot be read. The cursor is the newest change seen, never ahead of the
first answer's Date header and never our "now": a change ahead of it (a clock set back) must not
skip what comes before it.

A listing that can only be walked by place is walked by instants: each page begins at the newest one
of the page before. That holds as long as pages are ascending. Behind a page that is not, older
orders may come; then the listing is counted from its front, and as whatever changes meanwhile moves
others past a page that was read, it counts as read once two readings in a row were alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

import msgspec

from stockpush.connectors.base import OrderPage, Unreadable
from stockpush.connectors.payload import only_read
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderSeen

RECENT = timedelta(days=1)
"""How far a first poll looks back for orders that are no longer open."""
FAULTS_MAX = 3
"""Orders of one page that may fail by themselves before the channel counts as down."""
PAGES_MAX = 2000
"""Most requests of one listing."""
READINGS_MAX = 4
"""Most readings of a listing that is out of order; more of them that differ are a fault."""
TOLD_MAX = 20_000
"""Most orders that are remembered as told by polls that were broken off."""

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of orders as it came: raw bodies, the channel's clock, whether it is the last."""

    orders: tuple[msgspec.Raw, ...]
    date: datetime | None
    last: bool


@dataclass(slots=True)
class Told:
    """Which orders that cost a request of their own polls told before they were broken off, by
    digests of bodies.
    """

    bodies: set[bytes] = field(default_factory=set)

    def keep(self, bodies: Iterable[bytes]) -> None:
        """Remember bodies that somebody has taken; beyond `TOLD_MAX` none, which costs requests."""
        if len(self.bodies) < TOLD_MAX:
            self.bodies.update(bodies)


@dataclass(slots=True)
class PageRead:
    """What was read of one page, in its order. `bodies`: of the orders that cost a request."""

    orders: list[OrderSeen] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


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


async def told(
    read: Callable[[PageRead], Awaitable[None]],
    listed: Listed,
    progress: Progress,
    known: Told,
    *,
    last: bool,
) -> AsyncIterator[OrderPage]:
    """Yield one page's facts, also those before an accident, which is raised after them.

    `read` fills in what it can. Whoever asks for more has taken what there was, and only then it
    counts as told.
    """
    progress.answered(listed.date)
    page, accident = PageRead(), None
    try:
        await read(page)
    except ChannelError as error:
        accident = error
    if accident is None or page.orders or page.unreadable:
        completes = last and accident is None
        yield OrderPage(
            tuple(page.orders),
            listed.date,
            last=completes,
            cursor=cursor_of(progress.reached()) if completes else None,
            unreadable=tuple(page.unreadable),
        )
        known.keep(page.bodies)
    if accident is not None:
        raise accident


async def counted(
    page_at: Callable[[int], Awaitable[tuple[tuple[msgspec.Raw, ...], datetime | None]]],
    *,
    full: int,
    field: str,
) -> AsyncIterator[Listed]:
    """Read a listing that is out of order from its front, until two readings in a row are alike.

    `page_at(n)` reads the n-th page, from 0 on; one with fewer than `full` orders is the last.
    Raises `PayloadInvalid`, which names `field`, where the readings never agree.
    """
    before = None
    for _ in range(READINGS_MAX):
        reading, page_before = sha256(), None
        for number in range(PAGES_MAX):
            orders, date = await page_at(number)
            page = sha256(b"".join(sha256(raw).digest() for raw in orders)).digest()
            reading.update(page)
            more = len(orders) >= full
            if more and page == page_before:
                raise circular(field)
            page_before = page
            alike = not more and reading.digest() == before
            yield Listed(orders, date, last=alike)
            if not more:
                break
        else:
            raise endless(field)
        if alike:
            return
        before = reading.digest()
    raise PayloadInvalid(
        "The list of orders is out of order and never twice the same.",
        field=field,
        expected="pages in ascending order",
    )


def is_ascending(instants: Sequence[float]) -> bool:
    """Answer whether no instant of a page (epoch seconds) lies before the one in front of it.

    >>> is_ascending([1, 1, 2]), is_ascending([2, 1])
    (True, False)
    """
    return all(one <= other for one, other in pairwise(instants))


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
    digest = sha256(raw).hexdigest()
    unreadable.append(Unreadable(order, error.message, only_read(raw, kind), digest))


def endless(field: str) -> PayloadInvalid:
    """Return the error of a listing that has more pages than one can have."""
    return PayloadInvalid(
        "The list of orders does not end.", field=field, found=PAGES_MAX, expected="fewer pages"
    )


def circular(field: str) -> PayloadInvalid:
    """Return the error of a listing whose next page is one that it has shown: there may be more."""
    return PayloadInvalid(
        "The list of orders goes in a circle.", field=field, expected="orders that are new"
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
