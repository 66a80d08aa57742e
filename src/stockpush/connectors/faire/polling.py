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
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from stockpush.connectors.payload import decode
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderSeen

LIMIT = 50
"""Orders of one page, the platform's maximum."""
RECENT = timedelta(days=1)
"""How far a first poll looks back for orders that are no longer open."""
FAULTS_MAX = 3
"""Orders of one page that may fail by themselves before Faire counts as down."""
PAGES_MAX = 2000
"""Most requests of one listing."""

Params = tuple[tuple[str, str], ...]
Unreadable = tuple[str, str, bytes]

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
class _Listed:
    """One page of orders as it came: raw bodies, Faire's clock, whether it is the last."""

    orders: tuple[msgspec.Raw, ...]
    date: datetime | None
    last: bool


@dataclass(slots=True)
class _Progress:
    """What a poll has learnt: the first answer's Date, the newest change, which parents it read."""

    date: datetime | None = None
    newest: datetime | None = None
    parents: set[str] = field(default_factory=set)

    def note(self, changed: datetime) -> None:
        """Take one order's last change into account."""
        self.newest = changed if self.newest is None else max(self.newest, changed)

    def cursor(self) -> str | None:
        """Return where the next poll starts, None where nothing is known of Faire's clock.

        A change ahead of the Date header must not skip what comes before it.
        """
        known = [at for at in (self.newest, self.date) if at is not None]
        return written(min(known)) if known else None


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
        progress = _Progress()
        if since is None:
            async for listed in _pages(api, (("excluded_states", ",".join(CLOSED_STATES)),)):
                yield await self._page(api, listed, progress, fetch, last=False)
            now = progress.date or progress.newest
            start = None if now is None else now - RECENT
        else:
            progress.note(instant(since, "cursor"))
            start = instant(since, "cursor") - self.overlap
        changed = () if start is None else (("updated_at_min", written(start)),)
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
                progress.note(instant(order.updated_at, "updated_at"))
                orders.append(await self._complete(api, order, fetch))
            except (PayloadInvalid, ChannelUnavailable) as error:
                _set_aside(unreadable, error, _id(raw), _without_buyer(raw))
                continue
            parent = order.original_order_id
            if not parent or parent in progress.parents or not is_id(parent):
                continue
            try:
                seen = await self.fetch(api, parent, fetch=fetch)
            except (PayloadInvalid, ChannelUnavailable) as error:
                _set_aside(unreadable, error, parent, msgspec.json.encode({"id": parent}))
                continue
            progress.parents.add(parent)
            orders += [] if seen is None else [seen]
        return OrderPage(
            orders=tuple(orders),
            date=listed.date,
            last=last,
            cursor=progress.cursor() if last else None,
            unreadable=tuple(unreadable),
        )

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


async def _pages(api: Api, filters: Params) -> AsyncIterator[_Listed]:
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
        yield _Listed(page.orders if orders - shown else (), answer.date, last=last)
        if last:
            return
        cursor, numbered, shown = following, numbered + 1, orders
    raise PayloadInvalid(
        "The list of orders does not end.", field="cursor", found=PAGES_MAX, expected="fewer pages"
    )


async def _list(api: Api, params: Params) -> Answer:
    return await read(api, "/orders", (("limit", str(LIMIT)), *params))


def _set_aside(unreadable: list[Unreadable], error: ChannelError, order: str, kept: bytes) -> None:
    """Note an order that cannot be had; it does not hide the others.

    Where Faire is down none is shown: the next one of a page that fails for that is raised.
    """
    if isinstance(error, ChannelUnavailable) and len(unreadable) >= FAULTS_MAX:
        raise error
    unreadable.append((order, error.message, kept))


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
