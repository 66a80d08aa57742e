"""Orders, variants and levels as GraphQL tells them: global ids, connections with cursors.

Each function returns a plain tree with every field that the known documents select. Where the
schema is given, contract.py executes the document over the tree, which leaves only what was
selected and fails on what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from stockpush.sim.shops.shopify.state import Level, Line, Order, Refunded, Variant

Shown = Callable[[Level], int]
"""What a reading shows of a level."""
T = TypeVar("T")


class BadCursor(Exception):
    """The cursor is not one that this shop gave out."""


def gid(kind: str, number: int) -> str:
    """Return a global id."""
    return f"gid://shopify/{kind}/{number}"


def connection(
    all_nodes: Sequence[T], tell: Callable[[T], Any], *, first: int, after: str | None = None
) -> dict[str, Any]:
    """Return the page of `first` nodes that follows the cursor `after`."""
    start = 0 if after is None else _place(after)
    end = start + first
    return {
        "nodes": [tell(node) for node in all_nodes[start:end]],
        "pageInfo": {
            "hasNextPage": end < len(all_nodes),
            "endCursor": f"c{min(end, len(all_nodes))}" if all_nodes[start:end] else None,
        },
    }


def order_answer(
    order: Order, *, lines: int, parts: int, units: int, after: str | None = None
) -> dict[str, Any]:
    """Return an order: `lines` after a cursor, `parts` refunds and fulfilments of `units` lines."""
    return {
        "id": gid("Order", order.order_id),
        "createdAt": _instant(order.created_at),
        "updatedAt": _instant(order.updated_at),
        "cancelledAt": order.cancelled_at and _instant(order.cancelled_at),
        "closedAt": order.closed_at and _instant(order.closed_at),
        "confirmed": order.confirmed,
        "lineItems": connection(
            order.lines, lambda line: _line(order, line), first=lines, after=after
        ),
        "refunds": [
            refund_answer(order, refund.refund_id, first=units) for refund in order.refunds[:parts]
        ],
        "fulfillments": [
            fulfilment_answer(order, each.fulfilment_id, first=units)
            for each in order.fulfilments[:parts]
        ],
    }


def refund_answer(
    order: Order, refund_id: int, *, first: int, after: str | None = None
) -> dict[str, Any]:
    """Return one refund of `order` with a page of its lines."""
    refund = next(each for each in order.refunds if each.refund_id == refund_id)
    return {
        "id": gid("Refund", refund.refund_id),
        "refundLineItems": connection(
            refund.units, lambda units: _refunded(order, units), first=first, after=after
        ),
    }


def fulfilment_answer(
    order: Order, fulfilment_id: int, *, first: int, after: str | None = None
) -> dict[str, Any]:
    """Return one fulfilment of `order` with a page of its lines."""
    fulfilment = next(each for each in order.fulfilments if each.fulfilment_id == fulfilment_id)
    return {
        "id": gid("Fulfillment", fulfilment.fulfilment_id),
        "status": fulfilment.status.upper(),
        "fulfillmentLineItems": connection(
            fulfilment.units,
            lambda unit: {"quantity": unit[1], "lineItem": _line(order, unit[0])},
            first=first,
            after=after,
        ),
    }


def variant_answer(variant: Variant, location: int, shown: Shown) -> dict[str, Any]:
    """Return a variant with its inventory item at `location`."""
    return {
        "__typename": "ProductVariant",
        "id": gid("ProductVariant", variant.variant_id),
        "inventoryPolicy": variant.policy,
        "requiresComponents": variant.bundle,
        "inventoryItem": _item(variant, location, shown),
    }


def item_answer(
    variants: Sequence[Variant], location: int, shown: Shown, *, deep: bool
) -> dict[str, Any]:
    """Return the inventory item that `variants` (one or more) share; `deep`: with these."""
    item = _item(variants[0], location, shown)
    if not deep:
        return item
    return {
        **item,
        "variants": connection(
            variants, lambda variant: variant_answer(variant, location, shown), first=2
        ),
    }


def _item(variant: Variant, location: int, shown: Shown) -> dict[str, Any]:
    level = variant.levels.get(location)
    return {
        "__typename": "InventoryItem",
        "id": gid("InventoryItem", variant.item_id),
        "tracked": variant.tracked,
        "inventoryLevel": None
        if level is None or not level.active
        else {
            "isActive": level.active,
            "quantities": [{"name": "available", "quantity": shown(level)}],
        },
    }


def _line(order: Order, line: Line) -> dict[str, Any]:
    return {
        "id": gid("LineItem", line.line_id),
        "quantity": line.quantity,
        "currentQuantity": order.current(line),
        "unfulfilledQuantity": line.unfulfilled,
        "sku": line.variant.sku,
        "variant": None
        if line.variant.deleted
        else {"id": gid("ProductVariant", line.variant.variant_id)},
    }


def _refunded(order: Order, units: Refunded) -> dict[str, Any]:
    return {
        "quantity": units.quantity,
        "restockType": units.restock_type.upper(),
        "location": None if units.location is None else {"id": gid("Location", units.location)},
        "lineItem": _line(order, units.line),
    }


def _instant(instant: datetime) -> str:
    return f"{instant.isoformat()[:19]}Z"


def _place(cursor: str) -> int:
    if not (cursor[:1] == "c" and cursor[1:].isdecimal()):
        raise BadCursor(cursor)
    return int(cursor[1:])
