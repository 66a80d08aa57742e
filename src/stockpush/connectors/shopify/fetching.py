"""One order by GraphQL, with every nested page followed to its end.

Theory of operation. The first answer brings modest pages of lines, refunds and fulfilments, which
is the whole of nearly every order. Whatever needed a further request is checked at the end against
the order's updatedAt: if it changed while being read, the reading begins again. Nothing is ever
cut off silently.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from stockpush.connectors.base import Api
from stockpush.connectors.payload import utc
from stockpush.connectors.shopify import operations
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid, number_of
from stockpush.connectors.shopify.orders import (
    FulfilmentRead,
    LineRead,
    OrderRead,
    RefundRead,
    progress_of,
    restock_of,
)
from stockpush.connectors.shopify.shapes import (
    Connection,
    Fulfilled,
    FulfilmentAnswer,
    Head,
    LinesAnswer,
    LineShape,
    OrderAnswer,
    OrderShape,
    PageInfo,
    PartsAnswer,
    PartsOfOrder,
    RefundAnswer,
    Refunded,
    VersionAnswer,
)
from stockpush.errors import ChannelUnavailable, PayloadInvalid

ORDER_LINES = 30
ORDER_PARTS = 5
ORDER_UNITS = 10
"""Lines, refunds or fulfilments, and lines of each, in the first reading of one order."""
NESTED_PAGE = 100
PARTS_MAX = 250
"""Most refunds (or fulfilments) an order may have: their list has no cursor."""
PAGES_MAX = 1000
"""Most pages of one search or nested list: a shop that pages without end is a fault."""
READINGS_MAX = 3
"""How often an order is read anew because it changed meanwhile."""

T = TypeVar("T")

More: TypeAlias = Callable[[str | None], Awaitable[Connection[T]]]
"""Read the page of a connection that follows a cursor (None: its first page)."""


class _Changed(Exception):
    """The order changed while its parts were being read."""


async def fetch_order(api: Api, order: int) -> OrderRead | None:
    """Read one order whole; None if it is gone.

    Raises `ChannelUnavailable` where it kept changing while being read.
    """
    for _ in range(READINGS_MAX):
        try:
            return await _read(api, order)
        except _Changed:
            continue
    raise ChannelUnavailable(f"Order {order} kept changing while it was read.")


async def _read(api: Api, order: int) -> OrderRead | None:
    """Read one order with everything nested; `_Changed` if it changed between requests."""
    variables = {
        "id": gid("Order", order),
        "lines": ORDER_LINES,
        "parts": ORDER_PARTS,
        "units": ORDER_UNITS,
    }
    data, _ = await call(api, operations.ORDER, variables, OrderAnswer)
    head = data.order
    if head is None:
        return None
    follower = _Follower(api)
    lines = await follower.lines(head)
    listed = await follower.listed(head)
    refunds = await follower.refunded(head, listed)
    fulfilments = await follower.fulfilled(head, listed)
    if follower.followed:
        version, _ = await call(api, operations.ORDER_VERSION, {"id": head.id}, VersionAnswer)
        if version.order is None or version.order.updated_at != head.updated_at:
            raise _Changed
    return neutral(head, lines, refunds, fulfilments)


@dataclass(slots=True)
class _Follower:
    """Reads what did not fit into the first answer. `followed`: something did not."""

    api: Api
    followed: bool = False

    async def lines(self, head: OrderShape) -> list[LineShape]:
        """Return every line of the order."""

        async def more(after: str | None) -> Connection[LineShape]:
            data = await self._ask(operations.ORDER_LINES, head.id, after, LinesAnswer)
            return _present(data.order).line_items

        return await _all(head.line_items, more)

    async def refunded(self, head: OrderShape, listed: PartsOfOrder | None) -> list[RefundRead]:
        """Return every refunded unit of the order."""
        known = {refund.id: refund.refund_line_items for refund in head.refunds}
        keys = known if listed is None else [refund.id for refund in listed.refunds]
        return [
            _refund(node)
            for key in keys
            for node in await _all(known.get(key), self._more_refunded(key))
        ]

    async def fulfilled(
        self, head: OrderShape, listed: PartsOfOrder | None
    ) -> list[FulfilmentRead]:
        """Return every unit in a fulfilment of the order."""
        known = {part.id: part.fulfillment_line_items for part in head.fulfillments}
        parts = head.fulfillments if listed is None else listed.fulfillments
        return [
            _fulfilment(node, part.status)
            for part in parts
            for node in await _all(known.get(part.id), self._more_fulfilled(part.id))
        ]

    async def listed(self, head: OrderShape) -> PartsOfOrder | None:
        """Return all refunds and fulfilments if the first answer may have left some out."""
        if max(len(head.refunds), len(head.fulfillments)) < ORDER_PARTS:
            return None
        self.followed = True
        data, _ = await call(
            self.api, operations.ORDER_PARTS, {"id": head.id, "first": PARTS_MAX}, PartsAnswer
        )
        listed = _present(data.order)
        if max(len(listed.refunds), len(listed.fulfillments)) >= PARTS_MAX:
            raise PayloadInvalid(
                f"The order has {PARTS_MAX} or more refunds or fulfilments.",
                field="refunds",
                expected=f"fewer than {PARTS_MAX}",
            )
        return listed

    def _more_refunded(self, refund: str) -> More[Refunded]:
        async def more(after: str | None) -> Connection[Refunded]:
            data = await self._ask(operations.REFUND_LINES, refund, after, RefundAnswer)
            return _present(data.refund).refund_line_items

        return more

    def _more_fulfilled(self, part: str) -> More[Fulfilled]:
        async def more(after: str | None) -> Connection[Fulfilled]:
            data = await self._ask(operations.FULFILMENT_LINES, part, after, FulfilmentAnswer)
            return _present(data.fulfillment).fulfillment_line_items

        return more

    async def _ask(
        self, operation: operations.Operation, key: str, after: str | None, kind: type[T]
    ) -> T:
        self.followed = True
        variables = {"id": key, "first": NESTED_PAGE, "after": after}
        data, _ = await call(self.api, operation, variables, kind)
        return data


async def _all(first: Connection[T] | None, more: More[T]) -> list[T]:
    """Return every node of a connection whose first page is `first` (None: not read yet)."""
    page = await more(None) if first is None else first
    nodes = list(page.nodes)
    after = next_cursor(page.page_info, None)
    while after is not None:
        if len(nodes) > NESTED_PAGE * PAGES_MAX:
            raise PayloadInvalid("Shopify pages a part of an order without end.", field="nodes")
        page = await more(after)
        nodes += page.nodes
        after = next_cursor(page.page_info, after)
    return nodes


def _present(found: T | None) -> T:
    """Return what was there a moment ago; if it is gone the order has changed."""
    if found is None:
        raise _Changed
    return found


def next_cursor(page: PageInfo, after: str | None) -> str | None:
    """Return the cursor of the next page, None at the end; it must move on."""
    if not page.has_next_page:
        return None
    if page.end_cursor is None or page.end_cursor == after:
        raise PayloadInvalid(
            "Shopify names a next page without a new cursor.", field="pageInfo.endCursor"
        )
    return page.end_cursor


def neutral(
    head: Head,
    lines: Sequence[LineShape],
    refunds: Sequence[RefundRead],
    fulfilments: Sequence[FulfilmentRead],
) -> OrderRead:
    """Return an order in the form that is counted; `PayloadInvalid` for an id that is none."""
    return OrderRead(
        order=number("Order", head.id),
        created_at=utc(head.created_at, what="order"),
        updated_at=utc(head.updated_at, what="order"),
        cancelled=head.cancelled_at is not None,
        closed=head.closed_at is not None,
        confirmed=head.confirmed,
        lines=tuple(
            LineRead(
                line=number("LineItem", line.id),
                variant=None if line.variant is None else number("ProductVariant", line.variant.id),
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


def _refund(node: Refunded) -> RefundRead:
    return RefundRead(
        line=number("LineItem", node.line_item.id),
        quantity=node.quantity,
        restock=restock_of(node.restock_type),
        location=None if node.location is None else number("Location", node.location.id),
    )


def _fulfilment(node: Fulfilled, status: str) -> FulfilmentRead:
    return FulfilmentRead(
        line=number("LineItem", node.line_item.id),
        quantity=node.quantity or 0,
        progress=progress_of(status),
    )


def number(kind: str, given: str) -> int:
    """Return the number of a global id of `kind`; `PayloadInvalid` if it is not one."""
    number = number_of(kind, given)
    if number is None:
        raise PayloadInvalid(
            f"Shopify names a {kind} by something that is not its id.",
            field="id",
            found=given[:80],
            expected=gid(kind, "N"),
        )
    return number
