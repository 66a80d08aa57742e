"""Write the emulated account's variants and orders as the External API v2 shows them.

What is not set is left out, as the schema has no nulls. The address and the names are there, as in
the real answers, so that a reader who keeps them is found out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stockpush.sim.shops.faire.state import Item, Order, Variant

CANARY = "Retailer Canary"
"""Stands in every order where a buyer is named; it must not come out anywhere."""


def instant(at: datetime, *, basic: bool) -> str:
    """Return an instant in one of the two forms of ISO 8601 that Faire has been seen to write."""
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.000Z" if basic else "%Y-%m-%dT%H:%M:%S.000Z")


def variant(row: Variant, on_hand: int, committed: int) -> dict[str, Any]:
    """Return what is held of a variant, as of the numbers given."""
    if not row.tracked:
        untracked = {"type": "UNTRACKED"}
        return {
            "on_hand_quantity": untracked,
            "committed_quantity": _quantity(committed),
            "available_quantity": untracked,
        }
    return {
        "on_hand_quantity": _quantity(on_hand),
        "committed_quantity": _quantity(committed),
        "available_quantity": _quantity(on_hand - committed),
    }


def order(row: Order, *, basic: bool) -> dict[str, Any]:
    """Return an order."""
    shown: dict[str, Any] = {
        "id": row.id,
        "display_id": row.id.removeprefix("bo_"),
        "created_at": instant(row.created, basic=basic),
        "updated_at": instant(row.updated, basic=basic),
        "state": row.state,
        "items": [_item(row, item, basic=basic) for item in row.items],
        "address": {"name": CANARY, "address1": f"1 {CANARY} Street", "country": "Germany"},
        "retailer_id": "r_canary",
        "source": "MARKETPLACE",
        "notes": f"Dear {CANARY}",
        "is_fulfilled_by_faire": row.by_faire,
        "has_pending_retailer_cancellation_request": row.wants_cancellation,
    }
    if row.parent is not None:
        shown["original_order_id"] = row.parent.id
    if row.expected is not None:
        shown["expected_ship_date"] = instant(row.expected, basic=basic)
    return shown


def _item(row: Order, item: Item, *, basic: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": item.id,
        "created_at": instant(item.created, basic=basic),
        "updated_at": instant(row.updated, basic=basic),
        "order_id": row.id,
        "product_id": item.variant.product_id,
        "variant_id": item.variant.id,
        "quantity": item.quantity,
        "sku": item.sku,
        "product_name": f"Product {item.variant.product_id}",
        "variant_name": f"Variant {item.variant.id}",
        "includes_tester": item.tester,
        "price": {"amount_minor": 950, "currency": "EUR"},
    }
    if item.state is not None:
        shown["state"] = item.state
    return shown


def _quantity(number: int) -> dict[str, Any]:
    return {"type": "QUANTITY", "quantity": number}
