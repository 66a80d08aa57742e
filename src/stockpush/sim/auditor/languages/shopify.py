"""Shopify: GraphQL over POST; a write compares, and says with what."""

from __future__ import annotations

import re

from stockpush.sim.auditor.languages import Asked, Number, Seen, Told, decoded, order_told
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut

_GID = re.compile(r"[0-9]+$")


class Shopify:
    """Shopify's language. Its fields are inventory items."""

    deadline_s = 20.0
    compares = True
    remembers = True
    hides_restocks = True  # of edits

    def written(self, exchange: Exchange) -> Asked | None:
        """Return what a mutation sets."""
        body = decoded(exchange.request.body)
        if "mutation" not in str(body.get("query", "")).partition("{")[0]:
            return None
        if "webhookSubscription" in body["query"]:
            return Asked(hook=True)
        given = body.get("variables", {}).get("input", {})
        name = given.get("name")
        return Asked(
            tuple(
                Number(
                    number_of(entry["inventoryItemId"]),
                    int(entry["quantity"]),
                    entry.get("changeFromQuantity"),
                )
                for entry in given.get("quantities", ())
            ),
            () if name == "available" else (f"{name!r} was written",),
        )

    def read(self, exchange: Exchange) -> Seen:
        """Return what a query reads."""
        body = exchange.request.body
        if b'"Orders"' in body:
            after = decoded(body).get("variables", {}).get("after")
            return Seen(is_poll=True, is_later_page=after is not None)
        if b'"Levels"' in body:
            ids = decoded(body).get("variables", {}).get("ids", ())
            usable = exchange.answer is not None and decoded(exchange.answer.body).get("data")
            return Seen(looks=frozenset(map(number_of, ids)) if usable else frozenset())
        return Seen()

    def read_name(self, field: str) -> str:
        """Return the item."""
        return field

    def told(self, out: WebhookOut) -> Told:
        """Return what a delivery says: a whole order only where it is new."""
        topic = out.headers.get("x-shopify-topic", "")
        if topic == "inventory_levels/update":
            return Told(echo=True)
        body = decoded(out.body)
        if topic != "orders/create" or body.get("refunds"):
            return Told()  # only a reason to fetch the order
        return order_told(body, body.get("line_items", ()))


def number_of(gid: str) -> str:
    """Return the number at the end of a Shopify id."""
    found = _GID.search(gid)
    return found[0] if found else gid
