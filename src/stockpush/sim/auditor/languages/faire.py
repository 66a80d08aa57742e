"""Faire: REST; only what is on hand is written, and nothing is compared."""

from __future__ import annotations

from stockpush.sim.auditor.languages import Asked, Number, Seen, Told, decoded
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut

_INVENTORY = "/product-inventory/by-product-variant-ids"


class Faire:
    """Faire's language. Its fields are variants, their numbers what is on hand."""

    deadline_s = 30.0
    compares = False
    remembers = False
    hides_restocks = False

    def written(self, exchange: Exchange) -> Asked | None:
        """Return what a PATCH of variants sets."""
        request = exchange.request
        if request.method == "GET":
            return None
        if request.method != "PATCH" or not request.path.endswith(_INVENTORY):
            return Asked(odd=(f"{request.method} {request.path} was sent",))
        entries = decoded(request.body).get("inventories", ())
        odd = tuple(
            f"{sorted(others)} were written"
            for each in entries
            if (others := set(each) - {"product_variant_id", "on_hand_quantity"})
        )
        numbers = (Number(each["product_variant_id"], each["on_hand_quantity"]) for each in entries)
        return Asked(tuple(numbers), odd)

    def read(self, exchange: Exchange) -> Seen:
        """Return what a GET reads."""
        request = exchange.request
        if request.method != "GET":
            return Seen()
        if request.path.endswith(_INVENTORY):
            variants = frozenset(value for name, value in request.query if name == "ids")
            return Seen(variants, is_pair=True)
        if request.path.endswith("/orders"):
            query = dict(request.query)
            return Seen(is_poll=True, is_later_page="cursor" in query or "page" in query)
        return Seen()

    def read_name(self, field: str) -> str:
        """Return the variant."""
        return field

    def told(self, out: WebhookOut) -> Told:
        """Refuse: Faire has no webhooks."""
        raise LookupError(out.id)
