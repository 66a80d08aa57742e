"""The maker's own shop: the protocol of docs/channels/generic.md; it may compare, or not."""

from __future__ import annotations

from stockpush.sim.auditor.languages import Asked, Number, Seen, Told, decoded, order_told
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.shops.generic import GenericShop


class Site:
    """Its fields are products."""

    deadline_s = 20.0
    remembers = False

    def __init__(self, shop: GenericShop) -> None:
        """`shop` tells whether it compares."""
        self.compares = shop.compares
        self.hides_restocks = False

    def written(self, exchange: Exchange) -> Asked | None:
        """Return what a PUT of a product's quantity sets."""
        request = exchange.request
        if request.method == "GET":
            return None
        root, _, product = request.path.rpartition("/")
        if request.method != "PUT" or root != "/quantities":
            return Asked(odd=(f"{request.method} {request.path} was sent",))
        body = decoded(request.body)
        return Asked((Number(product, body["quantity"], body["expected"]),))

    def read(self, exchange: Exchange) -> Seen:
        """Return what a GET reads."""
        request = exchange.request
        if request.method != "GET":
            return Seen()
        if request.path == "/quantities":
            usable = exchange.answer is not None and "quantities" in decoded(exchange.answer.body)
            names = frozenset(value for name, value in request.query if name == "product")
            return Seen(names) if usable else Seen()
        if request.path == "/orders":
            return Seen(is_poll=True, is_later_page="cursor" in dict(request.query))
        return Seen()

    def read_name(self, field: str) -> str:
        """Return the product."""
        return field

    def told(self, out: WebhookOut) -> Told:
        """Return what a delivery says: a whole order, or a number."""
        body = decoded(out.body)
        if body.get("type") == "quantity.changed":
            return Told(echo=True)
        order = body.get("order", {})
        return order_told(order, order.get("lines", ()))
