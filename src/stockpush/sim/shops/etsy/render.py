"""Listings and receipts as Etsy tells them: every field of its schema that has a meaning here.

Receipts name a buyer who does not exist, so that a reader who keeps such things is found out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from stockpush.sim.shops.etsy.document import CURRENCY, money, property_value
from stockpush.sim.shops.etsy.state import Line, Listing, Receipt

TERM = timedelta(days=120)
"""How long a listing stays on sale: about four months."""
BUYER = "Canary Buyer"
BUYER_EMAIL = "canary.buyer@example.com"
USER_ID = 12345678
"""The shop's owner, who granted access."""


def epoch(at: datetime) -> int:
    """Return an instant as Etsy tells it."""
    return int(at.timestamp())


def listing(row: Listing, shop_id: int, quantity: int) -> dict[str, Any]:
    """Return a listing without its document; `quantity` is the sum of its offerings."""
    return {
        "listing_id": row.listing_id,
        "user_id": USER_ID,
        "shop_id": shop_id,
        "title": row.title,
        "description": "Made by hand.",
        "state": row.state,
        "creation_timestamp": epoch(row.created),
        "created_timestamp": epoch(row.created),
        "ending_timestamp": epoch(row.created + TERM),
        "original_creation_timestamp": epoch(row.created),
        "last_modified_timestamp": epoch(row.updated),
        "updated_timestamp": epoch(row.updated),
        "state_timestamp": epoch(row.updated),
        "quantity": quantity,
        "url": f"https://www.etsy.com/listing/{row.listing_id}/x",
        "is_private": False,
        "listing_type": "physical",
        "has_variations": any(each.values for each in row.products),
        "should_auto_renew": False,
        "language": "en-US",
        "price": money(min(each.price for each in row.products)),
    }


def shop(shop_id: int, *, is_vacation: bool, created: datetime) -> dict[str, Any]:
    """Return the shop."""
    return {
        "shop_id": shop_id,
        "user_id": USER_ID,
        "shop_name": "EmulatedShop",
        "create_date": epoch(created),
        "created_timestamp": epoch(created),
        "title": None,
        "currency_code": CURRENCY,
        "is_vacation": is_vacation,
        "vacation_message": None,
        "url": "https://www.etsy.com/shop/EmulatedShop",
        "languages": ["en-US"],
    }


def receipt(row: Receipt) -> dict[str, Any]:
    """Return a receipt with its transactions."""
    total = money(row.total)
    return {
        "receipt_id": row.receipt_id,
        "receipt_type": 0,
        "seller_user_id": USER_ID,
        "seller_email": None,
        "buyer_user_id": 87654321,
        "buyer_email": BUYER_EMAIL,
        "name": BUYER,
        "first_line": "1 Canary Street",
        "second_line": None,
        "city": "Canarytown",
        "state": None,
        "zip": "00000",
        "status": row.status,
        "formatted_address": f"{BUYER}\n1 Canary Street\n00000 Canarytown",
        "country_iso": "DE",
        "payment_method": "cc",
        "payment_email": BUYER_EMAIL,
        "message_from_seller": None,
        "message_from_buyer": "Canary message",
        "message_from_payment": None,
        "is_paid": row.paid is not None,
        "is_shipped": row.shipped is not None,
        "create_timestamp": epoch(row.created),
        "created_timestamp": epoch(row.created),
        "update_timestamp": epoch(row.updated),
        "updated_timestamp": epoch(row.updated),
        "is_gift": False,
        "gift_message": "",
        "grandtotal": total,
        "subtotal": total,
        "total_price": total,
        "shipments": []
        if row.shipped is None
        else [
            {
                "receipt_shipping_id": row.receipt_id,
                "shipment_notification_timestamp": epoch(row.shipped),
                "carrier_name": "DHL",
                "tracking_code": "1",
            }
        ],
        "transactions": [_transaction(each, row) for each in row.lines],
        "refunds": [
            {
                "amount": money(amount),
                "created_timestamp": epoch(at),
                "reason": None,
                "note_from_issuer": None,
                "status": None,
            }
            for amount, at in row.refunds
        ],
    }


def _transaction(line: Line, row: Receipt) -> dict[str, Any]:
    return {
        "transaction_id": line.transaction_id,
        "title": f"Listing {line.listing_id}",
        "seller_user_id": USER_ID,
        "buyer_user_id": 87654321,
        "create_timestamp": epoch(row.created),
        "created_timestamp": epoch(row.created),
        "paid_timestamp": None if row.paid is None else epoch(row.paid),
        "shipped_timestamp": None if row.shipped is None else epoch(row.shipped),
        "quantity": line.quantity,
        "receipt_id": row.receipt_id,
        "is_digital": False,
        "file_data": "",
        "listing_id": line.listing_id,
        "transaction_type": "listing",
        "product_id": line.product_id,
        "sku": line.sku or None,
        "price": money(line.price),
        "variations": [
            {
                "property_id": each.property_id,
                "value_id": each.value_id,
                "formatted_name": each.name,
                "formatted_value": each.value,
            }
            for each in line.values
        ],
        "product_data": [property_value(each) for each in line.values],
    }
