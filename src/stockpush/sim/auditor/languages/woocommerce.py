"""WooCommerce: REST; a write compares nothing, so a reading goes before it."""

from __future__ import annotations

from typing import Any

from stockpush.sim.auditor.languages import Asked, Number, Seen, Told, decoded, order_told
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.tills import RELEASED

_STOCK_ONLY = {"id", "manage_stock", "stock_quantity"}


class WooCommerce:
    """WooCommerce's language. Its fields are products, and variations as `product:variation`."""

    deadline_s = 30.0
    compares = False
    remembers = False
    hides_restocks = False

    def written(self, exchange: Exchange) -> Asked | None:
        """Return what a PUT or POST of products sets."""
        if exchange.request.method == "GET":
            return None
        path, body = exchange.request.path, decoded(exchange.request.body)
        if "/webhooks" in path:
            return Asked(hook=True)
        parts = path.split("/products/", 1)[-1].split("/")
        if "/products/" not in path:
            return Asked(odd=(f"{path} was written",))
        parent = parts[0] if "variations" in parts else ""
        items: list[dict[str, Any]] = (
            body["update"] if parts[-1] == "batch" else [{"id": parts[-1], **body}]
        )
        odd = tuple(
            f"{sorted(others)} were written"
            for item in items
            if (others := set(item) - _STOCK_ONLY)
        )
        numbers = tuple(
            Number(
                f"{parent}:{item['id']}" if parent else str(item["id"]),
                int(item["stock_quantity"]),
            )
            for item in items
        )
        return Asked(numbers, odd)

    def read(self, exchange: Exchange) -> Seen:
        """Return what a GET reads."""
        request = exchange.request
        if request.method != "GET":
            return Seen()
        query = dict(request.query)
        if "/products" in request.path:
            ids = query.get("include") or request.path.rpartition("/")[2]
            return Seen(frozenset(ids.split(",")))
        if request.path.endswith("/orders"):
            return Seen(is_poll=True, is_later_page=int(query.get("page", "1")) > 1)
        return Seen()

    def read_name(self, field: str) -> str:
        """Return the last number of a field's name: readings name no parent."""
        return field.rpartition(":")[2]

    def told(self, out: WebhookOut) -> Told:
        """Return what a delivery says: the order as it was when it was sent."""
        topic = out.headers.get("x-wc-webhook-topic", "")
        if topic == "product.updated":
            return Told(echo=True)
        body = decoded(out.body)
        if topic not in {"order.created", "order.updated"} or body.get("refunds"):
            return Told()  # only a reason to fetch the order
        released = body.get("status") in RELEASED
        return order_told(body, body.get("line_items", ()), released=released)
