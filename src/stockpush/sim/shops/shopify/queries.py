"""The operations that the emulated shop answers, by name: variables in, data out.

They are the documents that Stock Push sends; each answer holds at least what they select.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from math import ceil
from typing import Any

from stockpush.sim.shops.shopify.answers import (
    BadCursor,
    Shown,
    connection,
    fulfilment_answer,
    gid,
    item_answer,
    order_answer,
    refund_answer,
    variant_answer,
)
from stockpush.sim.shops.shopify.bulk import Bulk, Operation
from stockpush.sim.shops.shopify.inventory import (
    ENTRIES_MAX,
    Inventory,
    RequestError,
    UserErrors,
)
from stockpush.sim.shops.shopify.orders import Book
from stockpush.sim.shops.shopify.outbox import Outbox, Subscription
from stockpush.sim.shops.shopify.state import Level, Order, Variant

FIRST_MAX = 250
"""Largest page."""
SCOPES = ("read_products", "write_inventory", "read_orders", "read_locations", "read_all_orders")
"""What an app is granted; what may write may read as well."""

_SINCE = re.compile(r"updated_at:>='(?P<instant>[^']+)'")
_GID = re.compile(r"gid://shopify/(?P<kind>\w+)/(?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class Queries:
    """Reads the shop's state; `set_quantities` and `activate` are its mutations of stock.

    `reading` is asked once for each request that reads levels: what it shows of them.
    """

    book: Book
    inventory: Inventory
    variants: Mapping[int, Variant]
    set_quantities: Callable[[dict[str, Any], str], UserErrors]
    activate: Callable[[dict[str, Any]], tuple[UserErrors, Level | None]]
    reading: Callable[[], Shown]
    clock: Callable[[], datetime]
    outbox: Outbox
    bulk: Bulk
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    """What the app was granted."""
    versions: set[str] = field(default_factory=lambda: {"2026-04", "2026-07", "2026-10"})
    """Versions of the API that are supported."""

    def by_name(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        """Return the handler of each operation."""
        return {
            "Levels": self._levels,
            "Listings": self._listings,
            "SetQuantities": self._set_quantities,
            "Activate": self._activate,
            "BulkRun": self._bulk_run,
            "BulkStatus": self._bulk_status,
            "BulkCancel": self._bulk_cancel,
            "Orders": self._orders,
            "Order": self._order,
            "OrderLines": self._order_lines,
            "OrderParts": self._order_parts,
            "RefundLines": self._refund_lines,
            "FulfilmentLines": self._fulfilment_lines,
            "OrderVersion": self._order_version,
            "Checkup": self._checkup,
            "Hooks": self._hooks,
            "Subscribe": self._subscribe,
            "Unsubscribe": self._unsubscribe,
        }

    def _checkup(self, given: dict[str, Any]) -> dict[str, Any]:
        places = [
            {
                "id": gid("Location", each),
                "name": f"Shelf {each}",
                "isActive": True,
                "fulfillsOnlineOrders": each not in self.inventory.offline,
            }
            for each in self.inventory.locations
        ]
        # Asked without an id, the platform tells its primary location.
        asked = given["location"]
        wanted = places[0]["id"] if asked is None else asked
        scopes = [{"handle": each} for each in self.scopes]
        return {
            "currentAppInstallation": {"accessScopes": scopes},
            "shop": {"myshopifyDomain": self.outbox.domain},
            "location": next((each for each in places if each["id"] == wanted), None),
            "locations": {"nodes": places},
            "publicApiVersions": [
                {"handle": each, "supported": each in self.versions}
                for each in sorted({*self.versions, "unstable"})
            ],
        }

    def _hooks(self, given: dict[str, Any]) -> dict[str, Any]:
        rows = sorted(self.outbox.subscriptions, key=lambda each: each.number)
        tell = connection(rows, _hook_answer, first=_page(given["first"]), after=given.get("after"))
        return {"webhookSubscriptions": tell}

    def _subscribe(self, given: dict[str, Any]) -> dict[str, Any]:
        resource, _, event = given["topic"].lower().rpartition("_")
        topic, url = f"{resource}/{event}", given["hook"]["uri"]
        if any((each.topic, each.url) == (topic, url) for each in self.outbox.subscriptions):
            taken = {"field": ["webhookSubscription"], "message": "Address has already been taken"}
            return {
                "webhookSubscriptionCreate": {"webhookSubscription": None, "userErrors": [taken]}
            }
        hook = {"id": gid("WebhookSubscription", self.outbox.subscribe(topic, url).number)}
        return {"webhookSubscriptionCreate": {"webhookSubscription": hook, "userErrors": []}}

    def _unsubscribe(self, given: dict[str, Any]) -> dict[str, Any]:
        there = self.outbox.unsubscribe(_number("WebhookSubscription", given["id"]) or 0)
        gone = [{"field": ["id"], "message": "Webhook subscription does not exist"}]
        return {
            "webhookSubscriptionDelete": {
                "deletedWebhookSubscriptionId": given["id"] if there else None,
                "userErrors": [] if there else gone,
            }
        }

    def _levels(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"nodes": self._nodes(given, deep=False)}

    def _listings(self, given: dict[str, Any]) -> dict[str, Any]:
        location = _number("Location", given["location"])
        known = location in self.inventory.locations
        return {
            "location": {"id": given["location"], "isActive": True} if known else None,
            "nodes": self._nodes(given, deep=True),
        }

    def _nodes(self, given: dict[str, Any], *, deep: bool) -> list[dict[str, Any] | None]:
        if len(given["ids"]) > ENTRIES_MAX:
            raise RequestError(f"An array argument takes at most {ENTRIES_MAX} entries.")
        location = _number("Location", given["location"]) or 0
        shown = self.reading()
        return [self._node(key, location, shown, deep=deep) for key in given["ids"]]

    def _node(self, key: str, location: int, shown: Shown, *, deep: bool) -> dict[str, Any] | None:
        variant = self.variants.get(_number("ProductVariant", key) or 0)
        if variant is not None:
            return None if variant.deleted else variant_answer(variant, location, shown)
        sharing = self.inventory.items.get(_number("InventoryItem", key) or 0, [])
        living = [variant for variant in sharing if not variant.deleted]
        return item_answer(living, location, shown, deep=deep) if living else None

    def _set_quantities(self, given: dict[str, Any]) -> dict[str, Any]:
        errors = self.set_quantities(given["input"], given["key"])
        group = None if errors else {"id": gid("InventoryAdjustmentGroup", 1)}
        return {"inventorySetQuantities": {"inventoryAdjustmentGroup": group, "userErrors": errors}}

    def _activate(self, given: dict[str, Any]) -> dict[str, Any]:
        errors, level = self.activate(given)
        told = None if level is None else {"isActive": level.active}
        return {"inventoryActivate": {"inventoryLevel": told, "userErrors": errors}}

    def _bulk_run(self, given: dict[str, Any]) -> dict[str, Any]:
        errors, made = self.bulk.run(given["query"])
        told = None if made is None else self.bulk.answer(made)
        return {"bulkOperationRunQuery": {"bulkOperation": told, "userErrors": errors}}

    def _bulk_status(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self._bulk(given)
        return {"bulkOperation": None if found is None else self.bulk.answer(found)}

    def _bulk_cancel(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self._bulk(given)
        errors = []
        if found is None or self.bulk.status(found) != "RUNNING":
            errors = [{"field": ["id"], "message": "It cannot be canceled when it is not running."}]
        else:
            found.canceled = True
        return {"bulkOperationCancel": {"userErrors": errors}}

    def _bulk(self, given: dict[str, Any]) -> Operation | None:
        return self.bulk.operations.get(_number("BulkOperation", given["id"]) or 0)

    def _orders(self, given: dict[str, Any]) -> dict[str, Any]:
        since, wanted = _search(given["query"])
        # The cursor is the place in the order of sorting, not a count: an order that is updated
        # while a client pages moves to the end and hides no other.
        after = _place(given.get("after"))
        start = max((since, 0), (after[0], after[1] + 1))
        orders = self.book.orders
        known = self.book.changed.after(start, now=self.clock())
        size = _page(given["first"])
        left = list(islice((each for each in known if wanted(orders[each[1]])), size + 1))
        page = left[:size]
        return {
            "orders": {
                "nodes": [
                    order_answer(orders[number], lines=given["lines"], parts=1, units=0)
                    for _, number in page
                ],
                "pageInfo": {
                    "hasNextPage": len(left) > len(page),
                    "endCursor": "{}.{}".format(*page[-1]) if page else None,
                },
            }
        }

    def _order(self, given: dict[str, Any]) -> dict[str, Any]:
        order = self._found(given)
        if order is None:
            return {"order": None}
        return {
            "order": order_answer(
                order, lines=given["lines"], parts=given["parts"], units=given["units"]
            )
        }

    def _order_lines(self, given: dict[str, Any]) -> dict[str, Any]:
        order = self._found(given)
        if order is None:
            return {"order": None}
        first, after = _page(given["first"]), given.get("after")
        return {"order": order_answer(order, lines=first, parts=0, units=0, after=after)}

    def _order_parts(self, given: dict[str, Any]) -> dict[str, Any]:
        order = self._found(given)
        if order is None:
            return {"order": None}
        return {"order": order_answer(order, lines=1, parts=_page(given["first"]), units=1)}

    def _refund_lines(self, given: dict[str, Any]) -> dict[str, Any]:
        number, first = _number("Refund", given["id"]) or 0, _page(given["first"])
        order = self.book.by_refund.get(number)
        if order is None or order.order_id not in self.book.orders:
            return {"refund": None}
        return {"refund": refund_answer(order, number, first=first, after=given.get("after"))}

    def _fulfilment_lines(self, given: dict[str, Any]) -> dict[str, Any]:
        number, first = _number("Fulfillment", given["id"]) or 0, _page(given["first"])
        order = self.book.by_fulfilment.get(number)
        if order is None or order.order_id not in self.book.orders:
            return {"fulfillment": None}
        told = fulfilment_answer(order, number, first=first, after=given.get("after"))
        return {"fulfillment": told}

    def _order_version(self, given: dict[str, Any]) -> dict[str, Any]:
        order = self._found(given)
        if order is None:
            return {"order": None}
        return {"order": order_answer(order, lines=1, parts=0, units=0)}

    def _found(self, given: dict[str, Any]) -> Order | None:
        return self.book.orders.get(_number("Order", given["id"]) or 0)


def _hook_answer(hook: Subscription) -> dict[str, Any]:
    return {
        "id": gid("WebhookSubscription", hook.number),
        "topic": hook.topic.replace("/", "_").upper(),
        "uri": hook.url,
        "format": hook.format,
        "filter": hook.filter,
        "includeFields": list(hook.fields),
    }


def _search(query: str) -> tuple[int, Callable[[Order], bool]]:
    """Return (the second from which changes are wanted, the test) of the searches emulated."""
    if query == "status:open":
        return 0, lambda order: order.closed_at is None and order.cancelled_at is None
    found = _SINCE.fullmatch(query)
    if found is None:
        raise RequestError(f"This shop does not emulate the search {query!r}.")
    since = datetime.fromisoformat(found["instant"]).astimezone(UTC)
    return ceil(since.timestamp()), lambda _: True


def _place(cursor: str | None) -> tuple[int, int]:
    """Return the place that a cursor names; None is before everything."""
    if cursor is None:
        return 0, 0
    second, dot, number = cursor.partition(".")
    if not (dot and second.isdecimal() and number.isdecimal()):
        raise BadCursor(cursor)
    return int(second), int(number)


def _page(first: int) -> int:
    if not 1 <= first <= FIRST_MAX:
        raise RequestError(f"first must be between 1 and {FIRST_MAX}.")
    return first


def _number(kind: str, key: str) -> int | None:
    found = _GID.fullmatch(key)
    return int(found["number"]) if found is not None and found["kind"] == kind else None
