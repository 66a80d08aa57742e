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

A poll may be broken off, most often because the shop says wait while refunds are being read, one
request for each order that has any. What was read until then is told; and an order that cost a
request and still has the very same body is not read again by the polls after it, until one was
complete. So each of them gets further than the one before it.
Source: REST v3 orders and order refunds; `dates_are_gmt` or the site's own zone applies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from math import ceil

import msgspec

from stockpush.connectors.answers import count_in
from stockpush.connectors.base import Api, OrderPage
from stockpush.connectors.order_poll import (
    PAGES_MAX,
    Listed,
    PageRead,
    Params,
    Progress,
    Told,
    endless,
    instant_of,
    set_aside,
    told,
)
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


class _Identified(msgspec.Struct):
    id: Number


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the orders of one channel; `overlap` is taken off every cursor."""

    channel: str
    overlap: timedelta
    told: Told = field(default_factory=Told)

    async def fetch(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order with its refunds; None if the shop says that it does not exist."""
        answer = await api.send("GET", f"{ROOT}/orders/{order_id}", write=False)
        if is_gone(answer):
            return None
        order = decode_answer(answer, Order, "order")
        return await self._complete(api, order, fetch)

    async def poll(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor (None: open ones, then the recent)."""
        progress = Progress()
        if since is None:
            async for listed in _pages(api, (("status", ",".join(OPEN_STATUSES)),)):
                async for page in self._tell(api, listed, progress, fetch, last=False):
                    yield page
            start = progress.recent()
        else:
            progress.note(instant_of(since))
            start = instant_of(since) - self.overlap
        changed: Params = (("status", "any"), ("dates_are_gmt", "true"))
        if start is not None:
            changed += (("modified_after", start.strftime("%Y-%m-%dT%H:%M:%S")),)
        async for listed in _pages(api, changed):
            async for page in self._tell(api, listed, progress, fetch, last=listed.last):
                yield page
        self.told.bodies.clear()

    def _tell(
        self, api: Api, listed: Listed, progress: Progress, fetch: int, *, last: bool
    ) -> AsyncIterator[OrderPage]:
        async def read(page: PageRead) -> None:
            await self._read(api, listed, progress, fetch, page)

        return told(read, listed, progress, self.told, last=last)

    async def _read(
        self, api: Api, listed: Listed, progress: Progress, fetch: int, page: PageRead
    ) -> None:
        """Read one page's orders into `page`; one that cannot be read does not hide the others."""
        for raw in listed.orders:
            digest = sha256(raw).digest()
            try:
                order = decode(raw, Order, what="order")
                progress.note(instant(order.date_modified_gmt, "date_modified_gmt"))
                if order.status in DRAFT_STATUSES or digest in self.told.bodies:
                    continue
                seen = await self._complete(api, order, fetch)
            except (PayloadInvalid, ChannelUnavailable) as error:
                set_aside(page.unreadable, error, order=_id(raw), raw=raw, kind=Order)
            else:
                page.orders.append(seen)
                if _has_refunds(order):
                    page.bodies.append(digest)

    async def _complete(self, api: Api, order: Order, fetch: int) -> OrderSeen:
        refunds = await _refunds(api, order.id) if _has_refunds(order) else ()
        if order.refunds is None:
            # A shop that does not list refunds with the order: all it has are the order's.
            order = msgspec.structs.replace(order, refunds=tuple(refunds))
        return facts(self.channel, order, refunds, fetch=fetch)


def _has_refunds(order: Order) -> bool:
    """Answer whether an order may have refunds, which are read by themselves."""
    return order.refunds is None or bool(order.refunds)


async def _pages(api: Api, filters: Params) -> AsyncIterator[Listed]:
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
        total = count_in(answer.headers, "x-wp-total")
        pages = count_in(answer.headers, "x-wp-totalpages")
        gone = total_before - total if page > 1 and total is not None else 0
        more = gone > 0 or (len(orders) >= PER_PAGE if pages is None else page < pages)
        yield Listed(orders, answer.date, last=not more)
        if not more:
            return
        page = max(1, page - ceil(gone / PER_PAGE)) if gone > 0 else page + 1
        total_before = total or 0
    raise endless("page")


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
        pages = count_in(answer.headers, "x-wp-totalpages")
        if page >= (pages or 0) and (pages is not None or len(refunds) < page * PER_PAGE):
            break
    return refunds


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return str(decode(raw, _Identified, what="order").id)
    except PayloadInvalid:
        return ""
