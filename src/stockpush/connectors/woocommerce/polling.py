"""Orders by REST: one, or every one that changed since the cursor.

Theory of operation. An order with refunds is read twice, because the order lists refunds without
quantities. Only refunds that the order itself lists are counted, so an order and its refunds fit
together even if a refund was added in between; that refund changed the order, and the next poll
brings it.

The poll. Pages go by ascending id and the filter is "modified after": new and edited orders only
ever append or stay. Where the set shrinks all the same (an open order is closed, one is trashed),
later orders move up, so as many pages as they may have moved are read once more. (A set that loses
and gains equally between two pages hides it; what slips through is found when it changes next.)

The cursor is the newest modification seen, by the shop's own clock, never ahead of its Date
header and never our "now"; the overlap is taken off when it is used. A first poll reads all open
orders, whatever their age, then what changed recently, so that an order that closed meanwhile is
seen too.
Source: REST v3 orders and order refunds; `dates_are_gmt` or the site's own zone applies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import msgspec

from stockpush.connectors.base import Answer, Api, OrderPage
from stockpush.connectors.payload import Number, decode
from stockpush.connectors.woocommerce.orders import DRAFT_STATUSES, OPEN_STATUSES, facts
from stockpush.connectors.woocommerce.owners import PER_PAGE, ROOT
from stockpush.connectors.woocommerce.wire import (
    Order,
    Refund,
    decode_answer,
    instant,
    is_gone,
)
from stockpush.errors import ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderSeen

RECENT = timedelta(days=1)
"""How far a first poll looks back for orders that are no longer open."""
FAULTS_MAX = 3
"""Orders of one page that may fail by themselves before the shop counts as down."""
PAGES_MAX = 2000
"""Most requests of one listing, shifted pages included."""

Params = tuple[tuple[str, str], ...]
Unreadable = tuple[str, str, bytes]


class _Identified(msgspec.Struct):
    id: Number


@dataclass(frozen=True, slots=True)
class _Listed:
    """One page of orders as it came: raw bodies, the shop's clock, whether it is the last."""

    orders: tuple[msgspec.Raw, ...]
    date: datetime | None
    last: bool


@dataclass(slots=True)
class _Progress:
    """What a poll has learnt of the shop's clock: the first answer's Date, the newest change."""

    date: datetime | None = None
    newest: datetime | None = None

    def note(self, modified: datetime) -> None:
        """Take one order's modification into account."""
        self.newest = modified if self.newest is None else max(self.newest, modified)

    def cursor(self) -> str | None:
        """Return where the next poll starts, None where nothing is known of the shop's clock.

        A modification ahead of the Date header (a shop's clock set back) must not skip orders.
        """
        known = [at for at in (self.newest, self.date) if at is not None]
        return min(known).strftime("%Y-%m-%dT%H:%M:%SZ") if known else None


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the orders of one channel; `overlap` is taken off every cursor."""

    channel: str
    overlap: timedelta

    async def fetch(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order with its refunds; None if the shop says that it does not exist."""
        answer = await api.send("GET", f"{ROOT}/orders/{order_id}", write=False)
        if is_gone(answer):
            return None
        order = decode_answer(answer, Order, "order")
        return await self._complete(api, order, fetch)

    async def poll(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor (None: open ones, then the recent)."""
        progress = _Progress()
        if since is None:
            async for listed in _pages(api, (("status", ",".join(OPEN_STATUSES)),)):
                yield await self._page(api, listed, progress, fetch, last=False)
            now = progress.date or progress.newest
            start = None if now is None else now - RECENT
        else:
            progress.note(_instant(since))
            start = _instant(since) - self.overlap
        changed: Params = (("status", "any"), ("dates_are_gmt", "true"))
        if start is not None:
            changed += (("modified_after", start.strftime("%Y-%m-%dT%H:%M:%S")),)
        async for listed in _pages(api, changed):
            yield await self._page(api, listed, progress, fetch, last=listed.last)

    async def _page(
        self, api: Api, listed: _Listed, progress: _Progress, fetch: int, *, last: bool
    ) -> OrderPage:
        """Return one page's facts; an order that cannot be read does not hide the others."""
        if progress.date is None:
            progress.date = listed.date
        orders: list[OrderSeen] = []
        unreadable: list[Unreadable] = []
        for raw in listed.orders:
            try:
                order = decode(raw, Order, what="order")
                progress.note(instant(order.date_modified_gmt, "date_modified_gmt"))
                if order.status in DRAFT_STATUSES:
                    continue
                seen = await self._complete(api, order, fetch)
            except PayloadInvalid as error:
                unreadable.append((_id(raw), error.message, bytes(raw)))
            except ChannelUnavailable as error:
                # One order that the shop cannot show does not hide the others; a shop that is
                # down shows none.
                if len(unreadable) >= FAULTS_MAX:
                    raise
                unreadable.append((_id(raw), error.message, bytes(raw)))
            else:
                orders.append(seen)
        return OrderPage(
            orders=tuple(orders),
            date=listed.date,
            last=last,
            cursor=progress.cursor() if last else None,
            unreadable=tuple(unreadable),
        )

    async def _complete(self, api: Api, order: Order, fetch: int) -> OrderSeen:
        refunds = await _refunds(api, order.id) if order.refunds or order.refunds is None else ()
        if order.refunds is None:
            # A shop that does not list refunds with the order: all it has are the order's.
            order = msgspec.structs.replace(order, refunds=tuple(refunds))
        return facts(self.channel, order, refunds, fetch=fetch)


async def _pages(api: Api, filters: Params) -> AsyncIterator[_Listed]:
    """Read a listing of orders to its end."""
    page, total_before = 1, 0
    for _ in range(PAGES_MAX):
        answer = await api.send(
            "GET",
            f"{ROOT}/orders",
            write=False,
            params=(
                *filters,
                ("orderby", "id"),
                ("order", "asc"),
                ("per_page", str(PER_PAGE)),
                ("page", str(page)),
            ),
        )
        orders = decode_answer(answer, tuple[msgspec.Raw, ...], "list of orders")
        total = _header(answer, "x-wp-total")
        pages = _header(answer, "x-wp-totalpages")
        gone = total_before - total if page > 1 and total is not None else 0
        more = gone > 0 or (len(orders) >= PER_PAGE if pages is None else page < pages)
        yield _Listed(orders, answer.date, last=not more)
        if not more:
            return
        page = max(1, page - ceil(gone / PER_PAGE)) if gone > 0 else page + 1
        total_before = total or 0
    raise PayloadInvalid(
        "The list of orders does not end.", field="page", found=PAGES_MAX, expected="fewer pages"
    )


async def _refunds(api: Api, order_id: int) -> Sequence[Refund]:
    """Read every refund of an order."""
    refunds: list[Refund] = []
    for page in range(1, PAGES_MAX):
        answer = await api.send(
            "GET",
            f"{ROOT}/orders/{order_id}/refunds",
            write=False,
            params=(("per_page", str(PER_PAGE)), ("page", str(page))),
        )
        refunds += decode_answer(answer, tuple[Refund, ...], "list of refunds")
        pages = _header(answer, "x-wp-totalpages")
        if page >= (pages or 0) and (pages is not None or len(refunds) < page * PER_PAGE):
            break
    return refunds


def _header(answer: Answer, name: str) -> int | None:
    value = answer.headers.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None


def _instant(cursor: str) -> datetime:
    return datetime.fromisoformat(cursor).astimezone(UTC)


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return str(decode(raw, _Identified, what="order").id)
    except PayloadInvalid:
        return ""
