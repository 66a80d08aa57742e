"""Orders, refunds and levels as webhooks tell them: the REST shape, numbers not global ids."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from stockpush.sim.shops.base import BUYER
from stockpush.sim.shops.shopify.state import Fulfilment, Line, Order, Refund, Refunded, Variant


def order_payload(order: Order) -> dict[str, Any]:
    """Return the body of orders/*."""
    return {
        "id": order.order_id,
        "admin_graphql_api_id": f"gid://shopify/Order/{order.order_id}",
        "name": f"#{order.order_id % 100000}",
        "created_at": zoned(order.created_at),
        "updated_at": zoned(order.updated_at),
        "processed_at": zoned(order.created_at),
        "cancelled_at": order.cancelled_at and zoned(order.cancelled_at),
        "closed_at": order.closed_at and zoned(order.closed_at),
        "cancel_reason": "other" if order.cancelled_at else None,
        "financial_status": "paid",
        "fulfillment_status": _fulfilment_status(order),
        "confirmed": order.confirmed,
        "test": order.test,
        "source_name": "web",
        "location_id": None,
        "email": BUYER["email"],
        "phone": BUYER["phone"],
        "customer": {name: BUYER[name] for name in ("email", "first_name", "last_name", "phone")},
        "shipping_address": {
            "name": f"{BUYER['first_name']} {BUYER['last_name']}",
            "address1": BUYER["address_1"],
            "city": BUYER["city"],
            "zip": BUYER["postcode"],
        },
        "line_items": [_line(order, line) for line in order.lines],
        "refunds": [refund_payload(order, refund) for refund in order.refunds],
        "fulfillments": [_fulfilment(order, each) for each in order.fulfilments],
    }


def refund_payload(order: Order, refund: Refund) -> dict[str, Any]:
    """Return the body of refunds/create, also found inside its order."""
    return {
        "id": refund.refund_id,
        "admin_graphql_api_id": f"gid://shopify/Refund/{refund.refund_id}",
        "order_id": order.order_id,
        "created_at": zoned(refund.created_at),
        "restock": any(units.location is not None for units in refund.units),
        "refund_line_items": [_refunded(order, units) for units in refund.units],
        "transactions": [],
        "order_adjustments": [],
    }


def edit_payload(
    order: Order, edit_id: int, *, additions: list[Any], removals: list[Any], at: datetime
) -> dict[str, Any]:
    """Return the body of orders/edited: which lines changed by how much, and nothing else."""
    return {
        "order_edit": {
            "id": edit_id,
            "order_id": order.order_id,
            "committed_at": zoned(at),
            "line_items": {"additions": additions, "removals": removals},
        }
    }


def level_payload(variant: Variant, location: int, at: datetime) -> dict[str, Any]:
    """Return the body of inventory_levels/update: `available` as it is now, null if untracked."""
    return {
        "inventory_item_id": variant.item_id,
        "location_id": location,
        "available": variant.levels[location].available if variant.tracked else None,
        "updated_at": zoned(at),
        "admin_graphql_api_id": f"gid://shopify/InventoryLevel/{location}"
        f"?inventory_item_id={variant.item_id}",
    }


def zoned(instant: datetime) -> str:
    """Return an instant as Shopify writes it, to the second.

    >>> from datetime import UTC
    >>> zoned(datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC))
    '2026-11-22T10:00:05+00:00'
    """
    return instant.isoformat(timespec="seconds")


def _line(order: Order, line: Line) -> dict[str, Any]:
    return {
        "id": line.line_id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line.line_id}",
        "variant_id": None if line.variant.deleted else line.variant.variant_id,
        "product_exists": not line.variant.deleted,
        "sku": line.variant.sku,
        "quantity": line.quantity,
        "current_quantity": order.current(line),
        "fulfillable_quantity": line.unfulfilled,
        "variant_inventory_management": "shopify" if line.variant.tracked else None,
    }


def _refunded(order: Order, units: Refunded) -> dict[str, Any]:
    return {
        "id": units.refunded_id,
        "line_item_id": units.line.line_id,
        "quantity": units.quantity,
        "restock_type": units.restock_type,
        "location_id": units.location,
        "line_item": _line(order, units.line),
    }


def _fulfilment(order: Order, fulfilment: Fulfilment) -> dict[str, Any]:
    return {
        "id": fulfilment.fulfilment_id,
        "order_id": order.order_id,
        "status": fulfilment.status,
        "line_items": [
            {**_line(order, line), "quantity": quantity} for line, quantity in fulfilment.units
        ],
    }


def _fulfilment_status(order: Order) -> str | None:
    if not order.fulfilments:
        return None
    return "partial" if any(line.unfulfilled for line in order.lines) else "fulfilled"
