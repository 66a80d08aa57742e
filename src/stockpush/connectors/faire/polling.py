"""Orders by REST: one, or every one that changed since the cursor.

Theory of operation. Orders are asked for by ascending last change, 50 a page. A page's cursor is
followed by itself, because filters beside it were seen to be refused; another client sends both, so
where the cursor alone is refused, the filters are sent along. An empty page is the last, and so is
one without a cursor that is not full or that a cursor led to. But where *no* page had a cursor a
full one is followed by another, because one client saw none at all, and a poll that ends too early
loses sales.

Without cursors a page has only a place, and an order that changes meanwhile moves to the end and
everything behind it one place up. So the next page begins at the newest change of the one before,
less one second; it has a number only where a whole page has one instant. Where a page is not
ascending, the whole listing is counted (`order_poll`). A cursor, or a number, that leads to nothing
but what was shown already is no end: there may be more, so the poll is not complete. Orders that a
page shows beyond what was asked for do no harm: facts are absolute.

The poll's own cursor is the newest change seen, by Faire's clock, never ahead of the first answer's
Date header and never our "now"; the overlap is taken off when it is used. A first poll reads all
open orders, whatever their age, then what changed recently, so that an order that closed meanwhile
is seen too.

Backorders. An order with a BACKORDERED line is read together with its children, and a child that a
poll brings has its parent read anew: the parent's own last change may lie before the child's birth.
A backorder of a backorder is taken to name the order that it split from. Each of these costs a
request; where Faire says wait meanwhile, the polls after it go on where it stood, as WooCommerce's
do: what was told is not read again until its body changes or a poll was complete.

Source: Faire's OpenAPI 3.0.3 (GET /orders); live-call notes of 2026-06 (limit 10 to 50).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

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
    PageRead,
    Params,
    Progress,
    Told,
    circular,
    counted,
    endless,
    instant_of,
    is_ascending,
    set_aside,
    told,
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
    told: Told = field(default_factory=Told)

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
                async for page in self._tell(api, listed, progress, parents, fetch, last=False):
                    yield page
            start = progress.recent()
        else:
            progress.note(instant_of(since))
            start = instant_of(since) - self.overlap
        async for listed in _pages(api, (), since=start):
            async for page in self._tell(api, listed, progress, parents, fetch, last=listed.last):
                yield page
        self.told.bodies.clear()

    def _tell(
        self,
        api: Api,
        listed: Listed,
        progress: Progress,
        parents: set[str],
        fetch: int,
        *,
        last: bool,
    ) -> AsyncIterator[OrderPage]:
        async def read(page: PageRead) -> None:
            for raw in listed.orders:
                await self._read(api, raw, progress, parents, fetch, page)

        return told(read, listed, progress, self.told, last=last)

    async def _read(
        self,
        api: Api,
        raw: msgspec.Raw,
        progress: Progress,
        parents: set[str],
        fetch: int,
        page: PageRead,
    ) -> None:
        """Read one order of a page into `page`; one that cannot be read does not hide the others.

        `parents` are those that this poll has read already.
        """
        digest = sha256(raw).digest()
        try:
            order = decode(raw, Order, what="order")
            progress.note(instant(order.updated_at, "updated_at"))
            if digest in self.told.bodies:
                return
            page.orders.append(await self._complete(api, order, fetch))
        except (PayloadInvalid, ChannelUnavailable) as error:
            set_aside(page.unreadable, error, order=_id(raw), raw=raw, kind=Order)
            return
        parent = order.original_order_id
        if parent and parent not in parents and is_id(parent):
            try:
                seen = await self.fetch(api, parent, fetch=fetch)
            except (PayloadInvalid, ChannelUnavailable) as error:
                named = msgspec.Raw(msgspec.json.encode({"id": parent}))
                set_aside(page.unreadable, error, order=parent, raw=named, kind=Order)
                return
            parents.add(parent)
            page.orders += [] if seen is None else [seen]
        if parent or has_backorder(order):
            page.bodies.append(digest)

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
    """Read a listing of orders to its end; `since` bounds their last change from below.

    An order that is shown twice as it is, is passed on once.
    """
    shown: set[bytes] = set()

    def fresh(orders: Sequence[msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
        new = {digest: raw for raw in orders if (digest := sha256(raw).digest()) not in shown}
        shown.update(new)
        return tuple(new.values())

    cursor, place = "", _Place(since)
    beside: Params = ()
    for _ in range(PAGES_MAX):
        by_cursor = (("cursor", cursor), *beside)
        answer = await _list(api, by_cursor if cursor else place.params(filters))
        if answer.status == 400 and cursor and not beside:
            beside = replace(place, number=1).params(filters)
            continue
        page = decode_answer(answer, Orders, "list of orders")
        new, following = fresh(page.orders), page.cursor if page.orders else ""
        goes_on = bool(following) or (not cursor and len(page.orders) >= LIMIT)
        if goes_on and not new and (cursor or place.number > 1):
            raise circular("cursor" if cursor else "page")
        by_place = not cursor and not following
        changes = [at for at in map(_changed, page.orders) if at is not None] if by_place else []
        ordered = place.holds(changes) or not (goes_on or place.number > 1)
        yield Listed(new, answer.date, last=ordered and not goes_on)
        if not ordered:
            break
        if not goes_on:
            return
        cursor = following or ""
        if by_place:
            place = place.behind(changes)
    else:
        raise endless("cursor")

    async def page_at(number: int) -> tuple[tuple[msgspec.Raw, ...], datetime | None]:
        answer = await _list(api, replace(place, number=number + 1).params(filters))
        return decode_answer(answer, Orders, "list of orders").orders, answer.date

    async for listed in counted(page_at, full=LIMIT, field="sort_by"):
        yield replace(listed, orders=fresh(listed.orders))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins that no cursor leads to: a lower bound of the last change, and a number
    from there on. `before` is the last change of the page in front of it with the same bound.
    """

    since: datetime | None
    number: int = 1
    before: datetime | None = None

    def params(self, filters: Params) -> Params:
        """Return the query of the page."""
        bound = () if self.since is None else (("updated_at_min", written(self.since)),)
        numbered = (("page", str(self.number)),) if self.number > 1 else ()
        return (*filters, *bound, ("sort_by", "UPDATED_AT"), *numbered)

    def holds(self, changes: Sequence[datetime]) -> bool:
        """Answer whether the page's changes are ascending: only then they tell where to go on."""
        before = () if self.before is None else (self.before,)
        return is_ascending([at.timestamp() for at in (*before, *changes)])

    def behind(self, changes: Sequence[datetime]) -> _Place:
        """Return the place behind this page, whose changes are ascending: a newer bound if they
        reach beyond it, else the next number.
        """
        last = changes[-1] if changes else self.before
        bound = last.replace(microsecond=0) - STEP if changes and last else None
        if bound is None or (self.since is not None and bound <= self.since):
            return replace(self, number=self.number + 1, before=last)
        return _Place(bound)


def _changed(raw: msgspec.Raw) -> datetime | None:
    """Return when an order last changed, None where that cannot be read."""
    try:
        return instant(decode(raw, _Dated, what="order").updated_at, "updated_at")
    except PayloadInvalid:
        return None


async def _list(api: Api, params: Params) -> Answer:
    return await read(api, "/orders", (("limit", str(LIMIT)), *params))


def _id(raw: msgspec.Raw) -> str:
    """Return the id of an order that cannot be read, '' where not even that can."""
    try:
        return decode(raw, _Identified, what="order").id
    except PayloadInvalid:
        return ""
