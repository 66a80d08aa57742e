"""Orders by GraphQL: one, or all that changed, with every nested page followed to its end.

Theory of operation. A page of the poll asks for little: heads, the first lines, and whether there
are refunds or fulfilments at all; an order that has them, or more lines, is fetched by itself.
Whatever needed a further request is checked at the end against the order's updatedAt: if it
changed while being read, the reading begins again. Nothing is ever cut off silently.

The cursor of a poll is the newest updatedAt seen, by the channel's clock; never our "now". A
first poll reads all open orders, then everything that changed since shortly before it began, so
that what was closed meanwhile is seen too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

import msgspec

from stockpush.connectors.base import Api, OrderPage
from stockpush.connectors.payload import Count, Instant, decode, utc
from stockpush.connectors.shopify import operations
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid, number_of
from stockpush.connectors.shopify.orders import (
    FulfilmentRead,
    LineRead,
    OrderRead,
    RefundRead,
    order_seen,
    progress_of,
    restock_of,
)
from stockpush.errors import ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderSeen

PAGE_ORDERS = 25
PAGE_LINES = 10
"""Orders per page of a poll, and lines of each that are asked for along with it."""
ORDER_LINES = 30
ORDER_PARTS = 5
ORDER_UNITS = 10
"""Lines, refunds or fulfilments, and lines of each, in the first reading of one order."""
NESTED_PAGE = 100
PARTS_MAX = 250
"""Most refunds (or fulfilments) an order may have: their list has no cursor."""
PAGES_MAX = 1000
"""Most pages of one poll query or nested list: a shop that pages without end is a fault."""
READINGS_MAX = 3
"""How often an order is read anew because it changed meanwhile."""

T = TypeVar("T")


class _PageInfo(msgspec.Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _Connection(msgspec.Struct, Generic[T], rename="camel"):
    nodes: list[T]
    page_info: _PageInfo


_More: TypeAlias = Callable[[str | None], Awaitable[_Connection[T]]]
"""Read the page of a connection that follows a cursor (None: its first page)."""


class _Id(msgspec.Struct):
    id: str


class _Line(msgspec.Struct, rename="camel"):
    id: str
    quantity: Count
    current_quantity: Count
    unfulfilled_quantity: Count
    sku: str | None = None
    variant: _Id | None = None


class _Refunded(msgspec.Struct, rename="camel"):
    quantity: Count
    restock_type: str
    line_item: _Id
    location: _Id | None = None


class _Fulfilled(msgspec.Struct, rename="camel"):
    line_item: _Id
    quantity: Count | None = None


class _Head(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    created_at: Instant
    updated_at: Instant
    confirmed: bool
    cancelled_at: Instant | None = None
    closed_at: Instant | None = None


class _Slight(_Head, rename="camel", kw_only=True):
    line_items: _Connection[_Line]
    refunds: list[_Id]
    fulfillments: list[_Id]


class _Refund(msgspec.Struct, rename="camel"):
    id: str
    refund_line_items: _Connection[_Refunded]


class _Fulfilment(msgspec.Struct, rename="camel"):
    id: str
    status: str
    fulfillment_line_items: _Connection[_Fulfilled]


class _Order(_Head, rename="camel", kw_only=True):
    line_items: _Connection[_Line]
    refunds: list[_Refund]
    fulfillments: list[_Fulfilment]


class _OrderAnswer(msgspec.Struct):
    order: _Order | None


class _OrdersAnswer(msgspec.Struct):
    orders: _Connection[msgspec.Raw]


class _LinesOfOrder(msgspec.Struct, rename="camel"):
    line_items: _Connection[_Line]


class _LinesAnswer(msgspec.Struct):
    order: _LinesOfOrder | None


class _Status(msgspec.Struct):
    id: str
    status: str


class _PartsOfOrder(msgspec.Struct):
    refunds: list[_Id]
    fulfillments: list[_Status]


class _PartsAnswer(msgspec.Struct):
    order: _PartsOfOrder | None


class _LinesOfRefund(msgspec.Struct, rename="camel"):
    refund_line_items: _Connection[_Refunded]


class _RefundAnswer(msgspec.Struct):
    refund: _LinesOfRefund | None


class _LinesOfFulfilment(msgspec.Struct, rename="camel"):
    fulfillment_line_items: _Connection[_Fulfilled]


class _FulfilmentAnswer(msgspec.Struct):
    fulfillment: _LinesOfFulfilment | None


class _Version(msgspec.Struct, rename="camel"):
    updated_at: Instant


class _VersionAnswer(msgspec.Struct):
    order: _Version | None


class _Changed(Exception):
    """The order changed while its parts were being read."""


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the orders of one channel, counted for one location."""

    channel: str
    location: int
    poll_overlap: timedelta

    async def fetch(self, api: Api, order: int, *, fetch: int) -> OrderSeen | None:
        """Read one order whole; None if it is gone.

        Raises `ChannelUnavailable` where it kept changing while being read.
        """
        for _ in range(READINGS_MAX):
            try:
                read = await _read(api, order)
            except _Changed:
                continue
            return None if read is None else self._seen(read, fetch)
        raise ChannelUnavailable(f"Order {order} kept changing while it was read.")

    async def poll(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Yield pages of every order changed since the cursor; the last one has the new cursor.

        `since` None reads all open orders first. Raises `PayloadInvalid` for a cursor that is
        not one of ours.
        """
        if since is None:
            begun: datetime | None = None
            async for page, _ in self._pages(api, "status:open", fetch):
                begun = begun or page.date
                yield page
            start = begun - self.poll_overlap if begun else None
        else:
            start = _cursor(since) - self.poll_overlap
        newest = None if since is None else _cursor(since)
        if start is None:
            # The channel tells no time: without its clock there is nothing to go on from.
            yield OrderPage((), None, last=True)
            return
        query = f"updated_at:>='{start.strftime('%Y-%m-%dT%H:%M:%SZ')}'"
        date = None
        async for page, seen in self._pages(api, query, fetch):
            newest = max(filter(None, (newest, seen)), default=None)
            date = page.date
            yield page
        yield OrderPage((), date, last=True, cursor=(newest or start).isoformat())

    async def _pages(
        self, api: Api, query: str, fetch: int
    ) -> AsyncIterator[tuple[OrderPage, datetime | None]]:
        """Yield (page, newest updatedAt on it) of one search, each `last=False`."""
        after: str | None = None
        for _ in range(PAGES_MAX):
            variables = {"query": query, "first": PAGE_ORDERS, "after": after, "lines": PAGE_LINES}
            data, answer = await call(api, operations.ORDERS, variables, _OrdersAnswer)
            orders: list[OrderSeen] = []
            unreadable: list[tuple[str, str, bytes]] = []
            for node in data.orders.nodes:
                try:
                    seen = await self._of_page(api, node, fetch)
                except PayloadInvalid as error:
                    unreadable.append((_id_of(node), error.message, bytes(node)))
                else:
                    orders += [] if seen is None else [seen]
            newest = max((seen.version.updated_at for seen in orders), default=None)
            page = OrderPage(tuple(orders), answer.date, last=False, unreadable=tuple(unreadable))
            yield page, newest
            after = _next(data.orders.page_info, after)
            if after is None:
                return
        raise PayloadInvalid("Shopify pages its orders without end.", field="orders")

    async def _of_page(self, api: Api, node: msgspec.Raw, fetch: int) -> OrderSeen | None:
        """Read one order of a page, by itself if the page does not tell it whole."""
        slight = decode(node, _Slight, what="order")
        if slight.refunds or slight.fulfillments or slight.line_items.page_info.has_next_page:
            return await self.fetch(api, _number("Order", slight.id), fetch=fetch)
        return self._seen(_neutral(slight, slight.line_items.nodes, (), ()), fetch)

    def _seen(self, read: OrderRead, fetch: int) -> OrderSeen:
        return order_seen(read, channel=self.channel, location=self.location, fetch=fetch)


async def _read(api: Api, order: int) -> OrderRead | None:
    """Read one order with everything nested; `_Changed` if it changed between requests."""
    variables = {
        "id": gid("Order", order),
        "lines": ORDER_LINES,
        "parts": ORDER_PARTS,
        "units": ORDER_UNITS,
    }
    data, _ = await call(api, operations.ORDER, variables, _OrderAnswer)
    head = data.order
    if head is None:
        return None
    follower = _Follower(api)
    lines = await follower.lines(head)
    listed = await follower.listed(head)
    refunds = await follower.refunded(head, listed)
    fulfilments = await follower.fulfilled(head, listed)
    if follower.followed:
        version, _ = await call(api, operations.ORDER_VERSION, {"id": head.id}, _VersionAnswer)
        if version.order is None or version.order.updated_at != head.updated_at:
            raise _Changed
    return _neutral(head, lines, refunds, fulfilments)


@dataclass(slots=True)
class _Follower:
    """Reads what did not fit into the first answer. `followed`: something did not."""

    api: Api
    followed: bool = False

    async def lines(self, head: _Order) -> list[_Line]:
        """Return every line of the order."""

        async def more(after: str | None) -> _Connection[_Line]:
            data = await self._ask(operations.ORDER_LINES, head.id, after, _LinesAnswer)
            return _present(data.order).line_items

        return await _all(head.line_items, more)

    async def refunded(self, head: _Order, listed: _PartsOfOrder | None) -> list[RefundRead]:
        """Return every refunded unit of the order."""
        known = {refund.id: refund.refund_line_items for refund in head.refunds}
        keys = known if listed is None else [refund.id for refund in listed.refunds]
        return [
            _refund(node)
            for key in keys
            for node in await _all(known.get(key), self._more_refunded(key))
        ]

    async def fulfilled(self, head: _Order, listed: _PartsOfOrder | None) -> list[FulfilmentRead]:
        """Return every unit in a fulfilment of the order."""
        known = {part.id: part.fulfillment_line_items for part in head.fulfillments}
        parts = head.fulfillments if listed is None else listed.fulfillments
        return [
            _fulfilment(node, part.status)
            for part in parts
            for node in await _all(known.get(part.id), self._more_fulfilled(part.id))
        ]

    async def listed(self, head: _Order) -> _PartsOfOrder | None:
        """Return all refunds and fulfilments if the first answer may have left some out."""
        if max(len(head.refunds), len(head.fulfillments)) < ORDER_PARTS:
            return None
        self.followed = True
        data, _ = await call(
            self.api, operations.ORDER_PARTS, {"id": head.id, "first": PARTS_MAX}, _PartsAnswer
        )
        listed = _present(data.order)
        if max(len(listed.refunds), len(listed.fulfillments)) >= PARTS_MAX:
            raise PayloadInvalid(
                f"The order has {PARTS_MAX} or more refunds or fulfilments.",
                field="refunds",
                expected=f"fewer than {PARTS_MAX}",
            )
        return listed

    def _more_refunded(self, refund: str) -> _More[_Refunded]:
        async def more(after: str | None) -> _Connection[_Refunded]:
            data = await self._ask(operations.REFUND_LINES, refund, after, _RefundAnswer)
            return _present(data.refund).refund_line_items

        return more

    def _more_fulfilled(self, part: str) -> _More[_Fulfilled]:
        async def more(after: str | None) -> _Connection[_Fulfilled]:
            data = await self._ask(operations.FULFILMENT_LINES, part, after, _FulfilmentAnswer)
            return _present(data.fulfillment).fulfillment_line_items

        return more

    async def _ask(
        self, operation: operations.Operation, key: str, after: str | None, kind: type[T]
    ) -> T:
        self.followed = True
        variables = {"id": key, "first": NESTED_PAGE, "after": after}
        data, _ = await call(self.api, operation, variables, kind)
        return data


async def _all(first: _Connection[T] | None, more: _More[T]) -> list[T]:
    """Return every node of a connection whose first page is `first` (None: not read yet)."""
    page = await more(None) if first is None else first
    nodes = list(page.nodes)
    after = _next(page.page_info, None)
    while after is not None:
        if len(nodes) > NESTED_PAGE * PAGES_MAX:
            raise PayloadInvalid("Shopify pages a part of an order without end.", field="nodes")
        page = await more(after)
        nodes += page.nodes
        after = _next(page.page_info, after)
    return nodes


def _present(found: T | None) -> T:
    """Return what was there a moment ago; if it is gone the order has changed."""
    if found is None:
        raise _Changed
    return found


def _next(page: _PageInfo, after: str | None) -> str | None:
    """Return the cursor of the next page, None at the end; it must move on."""
    if not page.has_next_page:
        return None
    if page.end_cursor is None or page.end_cursor == after:
        raise PayloadInvalid(
            "Shopify names a next page without a new cursor.", field="pageInfo.endCursor"
        )
    return page.end_cursor


def _neutral(
    head: _Head,
    lines: Sequence[_Line],
    refunds: Sequence[RefundRead],
    fulfilments: Sequence[FulfilmentRead],
) -> OrderRead:
    return OrderRead(
        order=_number("Order", head.id),
        created_at=utc(head.created_at, what="order"),
        updated_at=utc(head.updated_at, what="order"),
        cancelled=head.cancelled_at is not None,
        closed=head.closed_at is not None,
        confirmed=head.confirmed,
        lines=tuple(
            LineRead(
                line=_number("LineItem", line.id),
                variant=None
                if line.variant is None
                else _number("ProductVariant", line.variant.id),
                sku=line.sku or "",
                quantity=line.quantity,
                current=line.current_quantity,
                unfulfilled=line.unfulfilled_quantity,
            )
            for line in lines
        ),
        refunds=tuple(refunds),
        fulfilments=tuple(fulfilments),
    )


def _refund(node: _Refunded) -> RefundRead:
    return RefundRead(
        line=_number("LineItem", node.line_item.id),
        quantity=node.quantity,
        restock=restock_of(node.restock_type),
        location=None if node.location is None else _number("Location", node.location.id),
    )


def _fulfilment(node: _Fulfilled, status: str) -> FulfilmentRead:
    return FulfilmentRead(
        line=_number("LineItem", node.line_item.id),
        quantity=node.quantity or 0,
        progress=progress_of(status),
    )


def _number(kind: str, given: str) -> int:
    number = number_of(kind, given)
    if number is None:
        raise PayloadInvalid(
            f"Shopify names a {kind} by something that is not its id.",
            field="id",
            found=given[:80],
            expected=gid(kind, "N"),
        )
    return number


def _id_of(node: msgspec.Raw) -> str:
    """Return the number of an order that cannot be read, '' if not even that can be."""
    try:
        return str(number_of("Order", decode(node, _Id, what="order").id) or "")
    except PayloadInvalid:
        return ""


def _cursor(since: str) -> datetime:
    try:
        instant = datetime.fromisoformat(since)
    except ValueError as error:
        raise PayloadInvalid("The cursor is not an instant.", field="since", found=since) from error
    if instant.tzinfo is None:
        raise PayloadInvalid("The cursor has no zone.", field="since", found=since)
    return instant.astimezone(UTC)
