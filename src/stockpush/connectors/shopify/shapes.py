"""What GraphQL answers about orders look like: one Struct per selection of `operations`."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from stockpush.connectors.payload import Count, Instant

T = TypeVar("T")


class PageInfo(msgspec.Struct, rename="camel"):
    """Whether a connection goes on, and from where."""

    has_next_page: bool
    end_cursor: str | None = None


class Connection(msgspec.Struct, Generic[T], rename="camel"):
    """One page of a nested list."""

    nodes: list[T]
    page_info: PageInfo


class IdShape(msgspec.Struct):
    """Something of which only the global id is asked."""

    id: str


class LineShape(msgspec.Struct, rename="camel"):
    """One order line; `variant` is None for a custom line or a deleted variant."""

    id: str
    quantity: Count
    current_quantity: Count
    unfulfilled_quantity: Count
    sku: str | None = None
    variant: IdShape | None = None


class Refunded(msgspec.Struct, rename="camel"):
    """Units of one line in a refund; `location` is where they were put back."""

    quantity: Count
    restock_type: str
    line_item: IdShape
    location: IdShape | None = None


class Fulfilled(msgspec.Struct, rename="camel"):
    """Units of one line in a fulfilment."""

    line_item: IdShape
    quantity: Count | None = None


class Head(msgspec.Struct, rename="camel", kw_only=True):
    """What every reading of an order asks."""

    id: str
    created_at: Instant
    updated_at: Instant
    confirmed: bool
    cancelled_at: Instant | None = None
    closed_at: Instant | None = None


class Slight(Head, rename="camel", kw_only=True):
    """An order as the poll asks it: whether there are refunds or fulfilments, not which."""

    line_items: Connection[LineShape]
    refunds: list[IdShape]
    fulfillments: list[IdShape]


class RefundShape(msgspec.Struct, rename="camel"):
    """One refund with its first units."""

    id: str
    refund_line_items: Connection[Refunded]


class FulfilmentShape(msgspec.Struct, rename="camel"):
    """One fulfilment with its first units."""

    id: str
    status: str
    fulfillment_line_items: Connection[Fulfilled]


class OrderShape(Head, rename="camel", kw_only=True):
    """An order with the first page of everything nested."""

    line_items: Connection[LineShape]
    refunds: list[RefundShape]
    fulfillments: list[FulfilmentShape]


class OrderAnswer(msgspec.Struct):
    """Data of `Order`."""

    order: OrderShape | None


class OrdersAnswer(msgspec.Struct):
    """Data of `Orders`: each order is decoded by itself, so that one cannot spoil the rest."""

    orders: Connection[msgspec.Raw]


class LinesOfOrder(msgspec.Struct, rename="camel"):
    """A further page of lines."""

    line_items: Connection[LineShape]


class LinesAnswer(msgspec.Struct):
    """Data of `OrderLines`."""

    order: LinesOfOrder | None


class StatusShape(msgspec.Struct):
    """A fulfilment without its units."""

    id: str
    status: str


class PartsOfOrder(msgspec.Struct):
    """All refunds and fulfilments of an order, without their units."""

    refunds: list[IdShape]
    fulfillments: list[StatusShape]


class PartsAnswer(msgspec.Struct):
    """Data of `OrderParts`."""

    order: PartsOfOrder | None


class LinesOfRefund(msgspec.Struct, rename="camel"):
    """A page of a refund's units."""

    refund_line_items: Connection[Refunded]


class RefundAnswer(msgspec.Struct):
    """Data of `RefundLines`."""

    refund: LinesOfRefund | None


class LinesOfFulfilment(msgspec.Struct, rename="camel"):
    """A page of a fulfilment's units."""

    fulfillment_line_items: Connection[Fulfilled]


class FulfilmentAnswer(msgspec.Struct):
    """Data of `FulfilmentLines`."""

    fulfillment: LinesOfFulfilment | None


class VersionShape(msgspec.Struct, rename="camel"):
    """When an order changed last."""

    updated_at: Instant


class VersionAnswer(msgspec.Struct):
    """Data of `OrderVersion`."""

    order: VersionShape | None
