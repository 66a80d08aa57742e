"""The emulated account's External API v2: inventory by id and by SKU, orders, one or a page.

Theory of operation. A handler returns a JSON value or raises `RestError`. What the real one does
and no schema says is here: a parameter by another name than `ids` is ignored and answered with an
empty map; a variant that does not exist is missing from the answer; one SKU on two variants
refuses a whole batch by SKU; the first quantity written to an untracked variant turns tracking on;
`limit` must be 10 to 50; orders come in ascending order of their last change.

What is not known of it is switched by `Habits`. Routes by which a brand acts on an order are not
served: the people's side does that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stockpush.sim.shops.faire import render
from stockpush.sim.shops.faire.backoffice import Backoffice
from stockpush.sim.shops.faire.state import Order, Variant

ROOT = "/external-api/v2"
LIMIT_MIN, LIMIT_MAX = 10, 50
QUANTITY_MAX = 2**31 - 1
STATES = frozenset(
    {
        "NEW", "PROCESSING", "PRE_TRANSIT", "IN_TRANSIT", "DELIVERED", "CANCELED", "BACKORDERED",
        "PENDING_RETAILER_CONFIRMATION",
    }
)  # fmt: skip

Query = Sequence[tuple[str, str]]
Reading = Callable[[], Callable[[Variant], tuple[int, int]]]


@dataclass(slots=True)
class Habits:
    """What the real API may or may not do. The defaults are what was seen most.

    `filters_beside_cursor`: "refused", "needed" or "ignored". `cursors`: pages carry one; otherwise
    they are only numbered. `unknown_variant_refused`: a write to one is 400 for the whole batch;
    otherwise it is missing from the answer. `basic_instants`: 20261122T100000.000Z.
    """

    filters_beside_cursor: str = "refused"
    cursors: bool = True
    unknown_variant_refused: bool = False
    basic_instants: bool = False
    page_max: int = LIMIT_MAX


class RestError(Exception):
    """An error answer: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Rest:
    """The routes over one back office."""

    def __init__(self, office: Backoffice, habits: Habits, reading: Reading) -> None:
        """`reading` is asked once for each read of variants: what it shows of their numbers."""
        self._office = office
        self._habits = habits
        self._reading = reading

    def answer(self, method: str, path: str, query: Query, content: bytes) -> tuple[int, Any]:
        """Return status and JSON value of one request whose credentials are in order."""
        try:
            return 200, self._route(method, path.removeprefix(ROOT).split("/")[1:], query, content)
        except RestError as error:
            return error.status, {"message": str(error)}

    def _route(self, method: str, parts: list[str], query: Query, content: bytes) -> Any:
        match method, parts:
            case "GET", ["product-inventory", "by-product-variant-ids"]:
                wanted = [value for name, value in query if name == "ids"]
                return self._shown({each: each for each in wanted})
            case "GET", ["product-inventory", "by-skus"]:
                wanted = [value for name, value in query if name == "skus"]
                return self._shown({each: self._by_sku(each) for each in wanted})
            case "PATCH", ["product-inventory", "by-product-variant-ids"]:
                return self._write(content, "product_variant_id", lambda key: key)
            case "PATCH", ["product-inventory", "by-skus"]:
                return self._write(content, "sku", self._by_sku)
            case "GET", ["orders"]:
                return self._orders(query)
            case "GET", ["orders", order_id]:
                try:
                    return self._order(self._office.order(order_id))
                except LookupError:
                    raise RestError(404, f"Order {order_id} not found") from None
            case _, ["orders"] | ["product-inventory", _]:
                raise RestError(405, "Method Not Allowed")
            case _:
                raise RestError(404, "Not found")

    # -- variants ----------------------------------------------------------------------------

    def _by_sku(self, sku: str) -> str:
        """Return the id of the one variant with a SKU, '' for none."""
        found = [row.id for row in self._office.variants.values() if row.sku == sku]
        if len(found) > 1:
            raise RestError(400, f"Skus match multiple product variations: {sku}")
        return found[0] if found else ""

    def _known(self, variant_id: str) -> Variant | None:
        row = self._office.variants.get(variant_id)
        return None if row is None or row.deleted else row

    def _shown(self, wanted: Mapping[str, str]) -> dict[str, Any]:
        """Return the map of what is held, by the names that were asked for."""
        numbers = self._reading()
        found = ((name, self._known(variant_id)) for name, variant_id in wanted.items())
        return {
            "inventories": {
                name: render.variant(row, *numbers(row)) for name, row in found if row is not None
            }
        }

    def _write(self, content: bytes, name: str, key: Callable[[str], str]) -> dict[str, Any]:
        entries = _entries(content, name)
        wanted = {given: key(given) for given, _ in entries}
        unknown = [given for given, found in wanted.items() if self._known(found) is None]
        if unknown and self._habits.unknown_variant_refused:
            raise RestError(400, f"No product variation found for {unknown[0]}")
        for given, quantity in entries:
            row = self._known(wanted[given])
            if row is not None:
                self._office.set_on_hand(row, quantity)
        rows = {given: self._known(found) for given, found in wanted.items()}
        return {
            "inventories": {
                given: render.variant(row, row.on_hand, row.committed)
                for given, row in rows.items()
                if row is not None
            }
        }

    # -- orders ------------------------------------------------------------------------------

    def _order(self, row: Order) -> dict[str, Any]:
        return render.order(row, basic=self._habits.basic_instants)

    def _orders(self, query: Query) -> dict[str, Any]:
        asked = dict(query)
        limit = _whole(asked.pop("limit", str(LIMIT_MAX)), "limit")
        if not LIMIT_MIN <= limit <= LIMIT_MAX:
            raise RestError(400, f"limit must be between {LIMIT_MIN} and {LIMIT_MAX}")
        limit = min(limit, self._habits.page_max)
        filters, after = asked, (0, -1)
        if "cursor" in asked:
            filters, after = self._resumed(asked)
        page = _whole(filters.get("page", "1"), "page")
        rows = self._filtered(filters, after)
        start = 0 if "cursor" in asked else (page - 1) * limit
        shown = rows[start : start + limit]
        answer: dict[str, Any] = {
            "orders": [self._order(self._office.orders[number]) for _, number in shown],
            "page": page,
            "limit": limit,
        }
        if shown and self._habits.cursors and len(rows) > start + limit:
            kept = {name: value for name, value in filters.items() if name != "page"}
            cursor = json.dumps([kept, *shown[-1]], sort_keys=True)
            answer["cursor"] = base64.urlsafe_b64encode(cursor.encode()).decode()
        return answer

    def _resumed(self, asked: Mapping[str, str]) -> tuple[dict[str, str], tuple[int, int]]:
        """Return the filters that go on, and the place after which."""
        beside = {name: value for name, value in asked.items() if name != "cursor"}
        try:
            kept, second, number = json.loads(base64.urlsafe_b64decode(asked["cursor"]))
        except ValueError:
            raise RestError(400, "Invalid cursor") from None
        match self._habits.filters_beside_cursor:
            case "refused" if beside:
                raise RestError(400, "A cursor cannot be combined with filters")
            case "needed" if not beside and kept:
                raise RestError(400, "Filters must match those of the cursor")
        return kept, (second, number)

    def _filtered(
        self, filters: Mapping[str, str], after: tuple[int, int]
    ) -> list[tuple[int, int]]:
        """Return (second of the last change, order number) of what the filters leave, in order."""
        least = _instant(filters.get("updated_at_min"), "updated_at_min")
        created = _instant(filters.get("created_at_min"), "created_at_min")
        excluded = {each for each in filters.get("excluded_states", "").split(",") if each}
        if excluded - STATES:
            raise RestError(400, "excluded_states has an unknown state")
        if filters.get("sort_by", "UPDATED_AT") != "UPDATED_AT":
            raise RestError(400, "only sort_by=UPDATED_AT is emulated")
        parent = filters.get("original_order_id")
        begin = (after[0], after[1] + 1)
        if least is not None:
            begin = max(begin, (int(least.timestamp()), -1))
        rows = []
        for place in self._office.changed.after(begin, now=self._office.now()):
            row = self._office.orders[place[1]]
            if row.state in excluded or (created is not None and row.created < created):
                continue
            if parent is None or (row.parent is not None and row.parent.id == parent):
                rows.append(place)
        return rows


def _entries(content: bytes, name: str) -> list[tuple[str, int]]:
    """Return (variant or SKU, on hand) of a write's body."""
    try:
        given = json.loads(content)["inventories"]
        entries = [(each[name], each["on_hand_quantity"]) for each in given]
    except (ValueError, KeyError, TypeError):
        raise RestError(400, "Malformed request body") from None
    for key, quantity in entries:
        whole = isinstance(quantity, int) and not isinstance(quantity, bool)
        if not (isinstance(key, str) and whole and abs(quantity) <= QUANTITY_MAX):
            raise RestError(400, "Malformed request body")
    return entries


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise RestError(400, f"{name} is not a number")
    return int(text)


def _instant(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise RestError(400, f"{name} is not an ISO 8601 instant") from None
