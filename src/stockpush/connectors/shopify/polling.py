"""All orders that changed, page by page.

Theory of operation. A page asks for little: heads, the first lines, and whether there are refunds
or fulfilments at all; an order that has them, or more lines, is fetched by itself. An order that
cannot be read is set aside with what of its body a reader needs; the rest of the page goes on.

The cursor of a poll is the newest updatedAt seen, never ahead of the first answer's Date header and
never our "now": pages do not come in the order of changes, so what changes behind a page that was
read is left to the next poll. A first poll reads all open orders, then everything that changed
since shortly before it began, so that what was closed meanwhile is seen too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from stockpush.connectors.base import Api, OrderPage, Unreadable
from stockpush.connectors.order_poll import instant_of, set_aside
from stockpush.connectors.payload import decode
from stockpush.connectors.shopify import operations
from stockpush.connectors.shopify.fetching import (
    PAGES_MAX,
    fetch_order,
    neutral,
    next_cursor,
    number,
)
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import number_of
from stockpush.connectors.shopify.orders import OrderRead, order_seen
from stockpush.connectors.shopify.shapes import IdShape, OrdersAnswer, Slight
from stockpush.errors import ChannelUnavailable, PayloadInvalid
from stockpush.messages import OrderSeen

PAGE_ORDERS = 25
PAGE_LINES = 10
"""Orders per page of a poll, and lines of each that are asked for along with it."""


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the orders of one channel, counted for one location."""

    channel: str
    location: int
    poll_overlap: timedelta

    async def fetch(self, api: Api, order: int, *, fetch: int) -> OrderSeen | None:
        """Read one order whole; None if it is gone."""
        read = await fetch_order(api, order)
        return None if read is None else self._seen(read, fetch)

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
            start = instant_of(since) - self.poll_overlap
        newest = None if since is None else instant_of(since)
        if start is None:
            # The channel tells no time: without its clock there is nothing to go on from.
            yield OrderPage((), None, last=True)
            return
        query = f"updated_at:>='{start.strftime('%Y-%m-%dT%H:%M:%SZ')}'"
        first = date = None
        async for page, seen in self._pages(api, query, fetch):
            newest = max(filter(None, (newest, seen)), default=None)
            first, date = first or page.date, page.date
            yield page
        # An order that changed since, or is dated ahead of the shop's own clock, must not hide what
        # comes before it.
        cursor = min(filter(None, (newest or start, first)))
        yield OrderPage((), date, last=True, cursor=cursor.isoformat())

    async def _pages(
        self, api: Api, query: str, fetch: int
    ) -> AsyncIterator[tuple[OrderPage, datetime | None]]:
        """Yield (page, newest updatedAt on it) of one search, each `last=False`."""
        after: str | None = None
        for _ in range(PAGES_MAX):
            variables = {"query": query, "first": PAGE_ORDERS, "after": after, "lines": PAGE_LINES}
            data, answer = await call(api, operations.ORDERS, variables, OrdersAnswer)
            orders: list[OrderSeen] = []
            unreadable: list[Unreadable] = []
            for node in data.orders.nodes:
                try:
                    seen = await self._of_page(api, node, fetch)
                except (PayloadInvalid, ChannelUnavailable) as error:
                    set_aside(unreadable, error, order=_id_of(node), raw=node, kind=Slight)
                else:
                    orders += [] if seen is None else [seen]
            newest = max((seen.version.updated_at for seen in orders), default=None)
            page = OrderPage(tuple(orders), answer.date, last=False, unreadable=tuple(unreadable))
            yield page, newest
            after = next_cursor(data.orders.page_info, after)
            if after is None:
                return
        raise PayloadInvalid("Shopify pages its orders without end.", field="orders")

    async def _of_page(self, api: Api, node: msgspec.Raw, fetch: int) -> OrderSeen | None:
        """Read one order of a page, by itself if the page does not tell it whole."""
        slight = decode(node, Slight, what="order")
        if slight.refunds or slight.fulfillments or slight.line_items.page_info.has_next_page:
            return await self.fetch(api, number("Order", slight.id), fetch=fetch)
        return self._seen(neutral(slight, slight.line_items.nodes, (), ()), fetch)

    def _seen(self, read: OrderRead, fetch: int) -> OrderSeen:
        return order_seen(read, channel=self.channel, location=self.location, fetch=fetch)


def _id_of(node: msgspec.Raw) -> str:
    """Return the number of an order that cannot be read, '' if not even that can be."""
    try:
        return str(number_of("Order", decode(node, IdShape, what="order").id) or "")
    except PayloadInvalid:
        return ""
