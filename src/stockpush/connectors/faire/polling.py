"""Orders by REST: one, or every one that changed since the cursor.

Theory of operation. Pages come in ascending order of the last change, 50 at a time. The page's
cursor is followed by itself, because filters beside it were seen to be refused; another client
sends both, so where the cursor alone is refused, the filters are sent along. A page without a
cursor, or an empty one, is the last; but a *full* page without one is followed by another, because
one client saw no cursors at all, and a poll that ends too early loses sales. Such pages are counted
from the front, and an order that changes meanwhile moves to the end and everything behind it one
place up, past the next number. So the next page begins at the newest change of the one before, less
one second, and numbers are used only where a whole page has one instant. Orders that a page shows
beyond what was asked for do no harm: facts are absolute.

The poll's own cursor is the newest change seen, by Faire's clock, never ahead of its Date header
and never our "now"; the overlap is taken off when it is used. A first poll reads all open orders,
whatever their age, then what changed recently, so that an order that closed meanwhile is seen too.

Backorders. An order with a BACKORDERED line is read together with its children, and a child that a
poll brings has its parent read anew: the parent's own last change may lie before the child's birth.
A backorder of a backorder is taken to name the order that it split from.

Source: Faire's OpenAPI 3.0.3 (GET /orders); live-call notes of 2026-06 (limit 10 to 50).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from stockpush.connectors.base import Answer, Api, OrderPage
from stockpush.connectors.faire.orders import CLOSED_STATES, facts, has_backorder, units_carried
from stockpush.connectors.faire.wire import (
    Id,
    Order,
    Orders,
    decode_answer,
    instant,
    is_gone,
    is_id,
    read,
    written,
)
from stockpush.connectors.order_poll import (
    PAGES_MAX,
    Listed,
    Params,
    Progress,
    Unreadable,
    endless,
    instant_of,
    set_aside,
)
from stockpush.connectors.payload import decode
from stockpush.errors import ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderSeen

LIMIT = 50
"""Orders of one page, the platform's maximum."""
STEP = timedelta(seconds=1)
"""How far behind the newest change of a page the next one begins: instants are whole seconds."""


class _Identified(msgspec.Struct):
    id: Id


class _Dated(msgspec.Struct):
    updated_at: str


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the orders of one channel; `overlap` is taken off every cursor."""

    channel: str
    overlap: timedelta

    async def fetch(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order, with its children if it has a backorder; None if Faire has it no more."""
        answer = await read(api, f"/orders/{order_id}")
        if is_gone(answer):
            return None
        return await self._complete(api, decode_answer(answer, Order, "order"), fetch)

    async def poll(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor (None: open ones, then the recent)."""
        progress, parents = Progress(), set[str]()
        if since is None:
            async for listed in _pages(api, (("excluded_states", ",".join(CLOSED_STATES)),)):
                yield await self._page(api, listed, progress, parents, fetch)
            start = progress.recent()
        else:
            progress.note(instant_of(since))
            start = instant_of(since) - self.overlap
        async for listed in _pages(api, (), since=start):
            page = await self._page(api, listed, progress, parents, fetch)
            reached = progress.reached()
            cursor = None if reached is None else written(reached)
            yield replace(page, last=True, cursor=cursor) if listed.last else page

    async def _page(
        self, api: Api, listed: Listed, progress: Progress, parents: set[str], fetch: int
    ) -> OrderPage:
        """Return one page's facts; an order that cannot be read does not hide the others.

        `parents` are those that this poll has read already.
        """
        progress.answered(listed.date)
        orders: list[OrderSeen] = []
        unreadable: list[Unreadable] = []
        for raw in listed.orders:
            try:
                order = decode(raw, Order, what="order")
                progress.note(instant(order.updated_at, "updated_at"))
                orders.append(await self._complete(api, order, fetch))
            except (PayloadInvalid, ChannelUnavailable) as error:
                set_aside(unreadable, error, order=_id(raw), raw=raw, kind=Order)
                continue
            parent = order.original_order_id
            if not parent or parent in parents or not is_id(parent):
                continue
            try:
                seen = await self.fetch(api, parent, fetch=fetch)
            except (PayloadInvalid, ChannelUnavailable) as error:
                named = msgspec.Raw(msgspec.json.encode({"id": parent}))
                set_aside(unreadable, error, order=parent, raw=named, kind=Order)
                continue
            parents.add(parent)
            orders += [] if seen is None else [seen]
        return OrderPage(tuple(orders), listed.date, last=False, unreadable=tuple(unreadable))

    async def _complete(self, api: Api, order: Order, fetch: int) -> OrderSeen:
        if not has_backorder(order):
            return facts(self.channel, order, fetch=fetch)
        children = units_carried(
            [
                decode(raw, Order, what="backorder")
                async for listed in _pages(api, (("original_order_id", order.id),))
                for raw in listed.orders
            ]
        )
        return facts(self.channel, order, fetch=fetch, children=children)


async def _pages(
    api: Api, filters: Params, *, since: datetime | None = None
) -> AsyncIterator[Listed]:
    """Read a listing of orders to its end; `since` bounds their last change from below."""
    beside: Params = ()
    cursor, numbered, shown = "", 1, frozenset[bytes]()
    for _ in range(PAGES_MAX):
        asked = (*filters, *_from(since), ("sort_by", "UPDATED_AT"))
        if cursor:
            answer = await _list(api, (("cursor", cursor), *beside))
            if answer.status == 400 and not beside:
                beside = asked
                continue
        else:
            answer = await _list(api, asked + ((("page", str(numbered)),) if numbered > 1 else ()))
        page = decode_answer(answer, Orders, "list of orders")
        fresh = tuple(raw for raw in page.orders if bytes(raw) not in shown)
        # Nothing new: a cursor, or a number, that leads nowhere. Behind the first number of a
        # place there may be more.
        dead = not fresh and (bool(cursor) or numbered > 1 or not page.orders)
        following = "" if dead else page.cursor or ""
        by_place = not cursor and not dead and len(page.orders) >= LIMIT
        yield Listed(fresh, answer.date, last=not (following or by_place))
        if not (following or by_place):
            return
        shown = frozenset(bytes(raw) for raw in page.orders)
        cursor = following
        if not cursor:
            since, numbered = _next_place(page.orders, since, numbered)
    raise endless("cursor")


def _next_place(
    orders: Sequence[msgspec.Raw], since: datetime | None, numbered: int
) -> tuple[datetime | None, int]:
    """Return the lower bound and the number of the page behind this one: a newer bound if the page
    reaches beyond it, else the next number.
    """
    changes = [at for at in map(_changed, orders) if at is not None]
    place = max(changes).replace(microsecond=0) - STEP if changes else None
    if place is None or (since is not None and place <= since):
        return since, numbered + 1
    return place, 1


def _changed(raw: msgspec.Raw) -> datetime | None:
    """Return when an order last changed, None where that cannot be read."""
    try:
        return instant(decode(raw, _Dated, what="order").updated_at, "updated_at")
    except PayloadInvalid:
        return None


def _from(since: datetime | None) -> Params:
    return () if since is None else (("updated_at_min", written(since)),)


async def _list(api: Api, params: Params) -> Answer:
    return await read(api, "/orders", (("limit", str(LIMIT)), *params))


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return decode(raw, _Identified, what="order").id
    except PayloadInvalid:
        return ""
