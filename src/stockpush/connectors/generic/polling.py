"""Orders by HTTP: one, or every one that changed since the cursor.

Theory of operation. A listing goes page by page along the shop's own cursor, which is a place in
the order of last changes, so that nothing shifts. Our cursor is the newest change seen, by the
shop's clock, never ahead of its Date header and never our "now"; the overlap is taken off when it
is used. A first poll reads all open orders, whatever their age, then what changed recently.
Source: docs/channels/generic.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from stockpush.connectors.base import Api, OrderPage, Unreadable
from stockpush.connectors.generic.orders import facts
from stockpush.connectors.generic.wire import (
    Name,
    Order,
    Orders,
    decode_answer,
    is_gone,
    read,
    written,
)
from stockpush.connectors.order_poll import (
    PAGES_MAX,
    Listed,
    Params,
    Progress,
    circular,
    cursor_of,
    endless,
    instant_of,
    set_aside,
)
from stockpush.connectors.payload import decode
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderSeen

LIMIT = 100
"""Orders of one page."""


class _Identified(msgspec.Struct):
    id: Name


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the orders of one channel; `overlap` is taken off every cursor."""

    channel: str
    overlap: timedelta

    async def fetch(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order; None if the shop says that it does not exist."""
        answer = await read(api, f"/orders/{order_id}")
        if is_gone(answer):
            return None
        return facts(self.channel, decode_answer(answer, Order, "order"), fetch=fetch)

    async def poll(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor (None: open ones, then the recent)."""
        progress = Progress()
        if since is None:
            async for listed in _pages(api, (("state", "open"),)):
                yield self._page(listed, progress, fetch)
            start = progress.recent()
        else:
            progress.note(instant_of(since))
            start = instant_of(since) - self.overlap
        changed: Params = () if start is None else (("changed_since", written(start)),)
        async for listed in _pages(api, changed):
            page = self._page(listed, progress, fetch)
            cursor = cursor_of(progress.reached())
            yield replace(page, last=True, cursor=cursor) if listed.last else page

    def _page(self, listed: Listed, progress: Progress, fetch: int) -> OrderPage:
        """Return one page's facts; an order that cannot be read does not hide the others."""
        progress.answered(listed.date)
        orders: list[OrderSeen] = []
        unreadable: list[Unreadable] = []
        for raw in listed.orders:
            try:
                seen = facts(self.channel, decode(raw, Order, what="order"), fetch=fetch)
            except PayloadInvalid as error:
                set_aside(unreadable, error, order=_id(raw), raw=raw, kind=Order)
            else:
                progress.note(seen.version.updated_at)
                orders.append(seen)
        return OrderPage(tuple(orders), listed.date, last=False, unreadable=tuple(unreadable))


async def _pages(api: Api, filters: Params) -> AsyncIterator[Listed]:
    """Read a listing of orders to its end."""
    asked: Params = filters
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        answer = await read(api, "/orders", (*asked, ("limit", str(LIMIT))))
        page = decode_answer(answer, Orders, "list of orders")
        following = page.next or ""
        if following in seen:
            raise circular("next")
        seen.add(following or "-")
        yield Listed(page.orders, answer.date, last=not following)
        if not following:
            return
        asked = (("cursor", following),)
    raise endless("next")


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return decode(raw, _Identified, what="order").id
    except PayloadInvalid:
        return ""
