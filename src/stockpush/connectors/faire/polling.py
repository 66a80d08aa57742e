"""Orders by REST: one, or every one that changed since the cursor.

Theory of operation. Pages come in ascending order of the last change, 50 at a time. The page's
cursor is followed by itself, because filters beside it were seen to be refused; another client
sends both, so where the cursor alone is refused, the filters are sent along. A page without a
cursor, or an empty one, is the last; but a *full* page without one is followed by the next number,
because one client saw no cursors at all, and a poll that ends too early loses sales. Orders that a
page shows beyond what was asked for do no harm: facts are absolute.

The poll's own cursor is the newest change seen, by Faire's clock, never ahead of its Date header
and never our "now"; the overlap is taken off when it is used. A first poll reads all open orders,
whatever their age, then what changed recently, so that an order that closed meanwhile is seen too.

Backorders. An order with a BACKORDERED line is read together with its children, and a child that a
poll brings has its parent read anew: the parent's own last change may lie before the child's birth.
A backorder of a backorder is taken to name the order that it split from.

What cannot be read is set aside without what tells who ordered.
Source: Faire's OpenAPI 3.0.3 (GET /orders); live-call notes of 2026-06 (limit 10 to 50).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

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

_KEPT = frozenset(
    {
        "id", "state", "created_at", "updated_at", "items", "original_order_id",
        "is_fulfilled_by_faire", "expected_ship_date",
    }
)  # fmt: skip
"""What is kept of an order that cannot be read."""


class _Identified(msgspec.Struct):
    id: Id


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
        changed = () if start is None else (("updated_at_min", written(start)),)
        async for listed in _pages(api, changed):
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
                set_aside(unreadable, error, order=_id(raw), body=_without_buyer(raw))
                continue
            parent = order.original_order_id
            if not parent or parent in parents or not is_id(parent):
                continue
            try:
                seen = await self.fetch(api, parent, fetch=fetch)
            except (PayloadInvalid, ChannelUnavailable) as error:
                body = msgspec.json.encode({"id": parent})
                set_aside(unreadable, error, order=parent, body=body)
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


async def _pages(api: Api, filters: Params) -> AsyncIterator[Listed]:
    """Read a listing of orders to its end."""
    asked: Params = (*filters, ("sort_by", "UPDATED_AT"))
    beside: Params = ()
    cursor, numbered, shown = "", 1, frozenset[bytes]()
    for _ in range(PAGES_MAX):
        if cursor:
            answer = await _list(api, (("cursor", cursor), *beside))
            if answer.status == 400 and not beside:
                beside = asked
                continue
        else:
            answer = await _list(api, asked + ((("page", str(numbered)),) if numbered > 1 else ()))
        page = decode_answer(answer, Orders, "list of orders")
        following = page.cursor or ""
        orders = frozenset(bytes(raw) for raw in page.orders)
        if orders <= shown:
            # Empty, or the same once more: a cursor or a number that leads nowhere.
            following, full = "", False
        else:
            full = len(page.orders) >= LIMIT
        last = not (following or (full and not cursor))
        yield Listed(page.orders if orders - shown else (), answer.date, last=last)
        if last:
            return
        cursor, numbered, shown = following, numbered + 1, orders
    raise endless("cursor")


async def _list(api: Api, params: Params) -> Answer:
    return await read(api, "/orders", (("limit", str(LIMIT)), *params))


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return decode(raw, _Identified, what="order").id
    except PayloadInvalid:
        return ""


def _without_buyer(raw: msgspec.Raw) -> bytes:
    """Return an order's JSON with nothing but what is needed to read it again."""
    try:
        whole = decode(raw, dict[str, Any], what="order")
    except PayloadInvalid:
        return b""
    return msgspec.json.encode({key: value for key, value in whole.items() if key in _KEPT})
