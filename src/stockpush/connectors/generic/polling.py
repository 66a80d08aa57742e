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
from datetime import UTC, datetime, timedelta

import msgspec

from stockpush.connectors.base import Api, OrderPage
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
from stockpush.connectors.payload import decode
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderSeen

LIMIT = 100
"""Orders of one page."""
RECENT = timedelta(days=1)
"""How far a first poll looks back for orders that are no longer open."""
PAGES_MAX = 2000
"""Most requests of one listing."""

Params = tuple[tuple[str, str], ...]


class _Identified(msgspec.Struct):
    id: Name


@dataclass(frozen=True, slots=True)
class _Listed:
    """One page of orders as it came: raw bodies, the shop's clock, whether it is the last."""

    orders: tuple[msgspec.Raw, ...]
    date: datetime | None
    last: bool


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
        begun: datetime | None = None
        newest = None if since is None else _instant(since)
        if newest is None:
            async for listed in _pages(api, (("state", "open"),)):
                begun = begun or listed.date
                yield self._page(listed, fetch)
            start = None if begun is None else begun - RECENT
        else:
            start = newest - self.overlap
        changed: Params = () if start is None else (("changed_since", written(start)),)
        async for listed in _pages(api, changed):
            begun = begun or listed.date
            page = self._page(listed, fetch)
            newest = max(
                (at for at in (newest, *(o.version.updated_at for o in page.orders)) if at),
                default=None,
            )
            if not listed.last:
                yield page
                continue
            # A change ahead of the Date header must not skip what comes before it.
            known = [at for at in (newest, begun) if at is not None]
            cursor = written(min(known)) if known else None
            yield replace(page, last=True, cursor=cursor)

    def _page(self, listed: _Listed, fetch: int) -> OrderPage:
        """Return one page's facts; an order that cannot be read does not hide the others."""
        orders: list[OrderSeen] = []
        unreadable: list[tuple[str, str, bytes]] = []
        for raw in listed.orders:
            try:
                orders.append(facts(self.channel, decode(raw, Order, what="order"), fetch=fetch))
            except PayloadInvalid as error:
                unreadable.append((_id(raw), error.message, bytes(raw)))
        return OrderPage(tuple(orders), listed.date, last=False, unreadable=tuple(unreadable))


async def _pages(api: Api, filters: Params) -> AsyncIterator[_Listed]:
    """Read a listing of orders to its end."""
    asked: Params = filters
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        answer = await read(api, "/orders", (*asked, ("limit", str(LIMIT))))
        page = decode_answer(answer, Orders, "list of orders")
        following = page.next or ""
        if following in seen:
            raise PayloadInvalid("The list of orders goes in a circle.", field="next")
        seen.add(following or "-")
        yield _Listed(page.orders, answer.date, last=not following)
        if not following:
            return
        asked = (("cursor", following),)
    raise PayloadInvalid(
        "The list of orders does not end.", field="next", found=PAGES_MAX, expected="fewer pages"
    )


def _instant(cursor: str) -> datetime:
    try:
        return datetime.fromisoformat(cursor).astimezone(UTC)
    except ValueError:
        raise PayloadInvalid(
            "The cursor of the poll is not an instant.", field="cursor", found=cursor[:80]
        ) from None


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return decode(raw, _Identified, what="order").id
    except PayloadInvalid:
        return ""
