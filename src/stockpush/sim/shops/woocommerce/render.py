"""Write the emulated shop's products, orders and refunds as REST v3 objects.

Only fields that exist in the real answers, with their real types: ids are integers, money and
meta values are text, `*_gmt` instants carry no zone, and the fields beside them are in the site's
own zone (two hours ahead here, so that a reader who takes the wrong one is found out).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stockpush.sim.shops.base import BUYER
from stockpush.sim.shops.woocommerce.backoffice import Backoffice
from stockpush.sim.shops.woocommerce.state import Order, OrderLine, Product, Refund

SITE_OFFSET = timedelta(hours=2)
"""How far the site's own zone is ahead of GMT."""


def encode(value: Any) -> bytes:
    """Return JSON as PHP writes it: slashes and everything beyond ASCII escaped."""
    text = msgspec.json.encode(value)
    if not text.isascii():
        text = json.dumps(value, separators=(",", ":")).encode("ascii")
    return text.replace(b"/", b"\\/")


def _stock(row: Product) -> int:
    return row.stock


def product(
    office: Backoffice, row: Product, shown: Callable[[Product], int] = _stock
) -> dict[str, Any]:
    """Return a product or variation. A parent-managed variation shows its parent's number.

    `shown` is the number of the row that manages: as it is, or as it was.
    """
    owner = office.owner(row)
    kind = "variation" if row.parent_id else row.type
    stock = shown(owner) if owner.manages else None
    return {
        "id": row.id,
        "name": f"Product {row.id}",
        "type": kind,
        "status": "publish",
        "sku": row.sku,
        "parent_id": row.parent_id,
        "manage_stock": office.managed_by(row),
        "stock_quantity": stock,
        "stock_status": "instock" if stock is None or stock > 0 else "outofstock",
        "backorders": owner.backorders,
        "variations": sorted(
            other.id for other in office.products.values() if other.parent_id == row.id
        )
        if row.type == "variable"
        else [],
        **_dates("date_modified", row.modified),
    }


def order(row: Order) -> dict[str, Any]:
    """Return an order. Of its refunds only ids, reasons and totals are told here."""
    return {
        "id": row.id,
        "parent_id": 0,
        "number": str(row.id),
        "created_via": "checkout",
        "version": "11.0.1",
        "status": row.status,
        "currency": "EUR",
        **_dates("date_created", row.created),
        **_dates("date_modified", row.modified),
        **_dates("date_paid", row.paid),
        **_dates("date_completed", row.completed),
        "total": "0.00",
        "billing": dict(BUYER),
        "shipping": {
            name: value for name, value in BUYER.items() if name not in {"email", "phone"}
        },
        "line_items": [_line(line) for line in row.lines],
        "refunds": [
            {"id": refund.id, "reason": "", "total": "-1.00"} for refund in reversed(row.refunds)
        ],
        "needs_payment": row.status in {"pending", "failed"},
        "is_editable": row.status in {"pending", "on-hold"},
    }


def refund(row: Refund) -> dict[str, Any]:
    """Return a refund: negative quantities, the line named in a meta value."""
    return {
        "id": row.id,
        **_dates("date_created", row.created),
        "amount": "1.00",
        "reason": "",
        "refunded_by": 1,
        "line_items": [
            {
                "id": row.item_id,
                "name": f"Product {row.product_id}",
                "product_id": row.product_id,
                "variation_id": row.variation_id,
                "quantity": -row.quantity,
                "meta_data": [
                    {"id": row.item_id, "key": "_refunded_item_id", "value": str(row.line_id)}
                ],
            }
        ],
    }


def _line(line: OrderLine) -> dict[str, Any]:
    meta = []
    if line.reduced is not None:
        meta.append(
            {
                "id": line.id,
                "key": "_reduced_stock",
                "value": str(line.reduced),
                "display_key": "_reduced_stock",
                "display_value": str(line.reduced),
            }
        )
    return {
        "id": line.id,
        "name": f"Product {line.product_id}",
        "product_id": line.product_id,
        "variation_id": line.variation_id,
        "quantity": line.quantity,
        "sku": line.sku or None,
        "meta_data": meta,
        "parent_name": None,
    }


def _dates(name: str, at: datetime | None) -> dict[str, str | None]:
    if at is None:
        return {name: None, f"{name}_gmt": None}
    return {
        name: (at + SITE_OFFSET).isoformat()[:19],
        f"{name}_gmt": at.isoformat()[:19],
    }
