"""The emulated shop's routes: lists with their gaps, documents, states.

Theory of operation. A handler returns a JSON value or raises `Refused`, which becomes Etsy's error
object. Queries are judged as strictly as the OpenAPI document states them, since an argument that
the real one would refuse is a mistake of the sender that a test must see.

What no schema says is here: a batch with one unknown number is 404 as a whole; a list by
`min_last_modified` leaves out what was cancelled or refunded unless `was_canceled` asks for it;
without `sort_on` and `sort_order` the newest come first; a page begins at an offset into whatever
the list is at that moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from stockpush.sim.shops.etsy import render
from stockpush.sim.shops.etsy.document import Refused, document, replace
from stockpush.sim.shops.etsy.office import Office
from stockpush.sim.shops.etsy.state import STATES, Listing, Product, Receipt

ROOT = "/v3/application"
BATCH_MAX = 100
LIMIT_DEFAULT = 25
LIMIT_MAX = 100
EPOCH_MIN = 946_684_800
_BOOLEANS = ("was_paid", "was_shipped", "was_delivered", "was_canceled")
_BOUNDS = ("min_created", "max_created", "min_last_modified", "max_last_modified")
_ORDERS = ("asc", "ascending", "up", "desc", "descending", "down")
_NUMBER = re.compile(r"[0-9]{1,18}")

_DOCUMENT = re.compile(re.escape(ROOT) + r"/listings/([0-9]{1,18})/inventory")

Shown = Callable[[Listing, Product], int]
"""What a product's quantity is said to be."""


class Api:
    """The routes over one office."""

    def __init__(self, office: Office, shop_id: int, reading: Callable[[], Shown]) -> None:
        """`reading` is asked once for each read of quantities: what it shows of them."""
        self._office = office
        self._shop_id = shop_id
        self._reading = reading
        self.hides_canceled = True
        """Lists of what was modified leave out what was cancelled or refunded."""
        self.canceled_is_404 = False
        """A cancelled receipt is not found by its number, as it was until 2022."""
        self.shows_deleted = False
        """Documents show removed products, marked, without being asked."""

    def answer(
        self, method: str, path: str, query: Mapping[str, str], kind: str, body: bytes
    ) -> Any:
        """Return the JSON that answers a request whose credentials are in order; or `Refused`."""
        parts = path.removeprefix(f"{ROOT}/").split("/")
        match [method, *parts]:
            case ["GET", "listings", "batch", "inventory"]:
                return self._batch(query)
            case ["GET", "listings", number, "inventory"]:
                return self._document(_id(number), query)
            case ["PUT", "listings", number, "inventory"]:
                return self._replace(_id(number), query, kind, body)
            case ["GET", "listings", number]:
                return self._listing(self._known(_id(number)), self._reading())
            case ["GET", "shops", shop]:
                self._check_shop(shop)
                return self._shop()
            case ["GET", "openapi-ping"]:
                return {"application_id": 1}
            case ["GET", "users", "me"]:
                return {"user_id": render.USER_ID, "shop_id": self._shop_id}
            case ["GET", "users", user, "shops"] if user == str(render.USER_ID):
                return self._shop()
            case ["GET", "shops", shop, "listings"]:
                self._check_shop(shop)
                return self._listings(query)
            case ["PATCH", "shops", shop, "listings", number]:
                self._check_shop(shop)
                return self._update(_id(number), kind, body)
            case ["GET", "shops", shop, "receipts"]:
                self._check_shop(shop)
                return self._receipts(query)
            case ["GET", "shops", shop, "receipts", number]:
                self._check_shop(shop)
                return self._receipt(_id(number))
            case _:
                raise Refused(404, "Resource not found")

    # -- listings ----------------------------------------------------------------------------

    def _batch(self, query: Mapping[str, str]) -> Any:
        ids = [_id(each) for each in query.get("listing_ids", "").split(",")]
        if len(ids) > BATCH_MAX:
            raise Refused(400, f"listing_ids: at most {BATCH_MAX}")
        shown = self._reading()
        rows = [self._known(each) for each in ids]
        results = [
            {
                **self._listing(row, shown),
                "inventory": document(row, shown, with_deleted=self.shows_deleted),
            }
            for row in rows
        ]
        return {"count": len(results), "results": results}

    def _document(self, number: int, query: Mapping[str, str]) -> Any:
        _known_only(query, ("includes", "show_deleted"))
        row, shown = self._known(number), self._reading()
        deleted = self.shows_deleted or query.get("show_deleted") == "true"
        told = document(row, shown, with_deleted=deleted)
        if query.get("includes") == "Listing":
            told["listing"] = self._listing(row, shown)
        elif "includes" in query:
            raise Refused(400, "includes: not one of Listing")
        return told

    def _replace(self, number: int, query: Mapping[str, str], kind: str, body: bytes) -> Any:
        _known_only(query, ("max_variations_supported",))
        row = self._known(number)
        if query.get("max_variations_supported", "2") not in ("2", "3"):
            raise Refused(400, "max_variations_supported: not one of 2, 3")
        if kind.partition(";")[0] != "application/json":
            raise Refused(400, "Missing input parameter: [products]")
        try:
            given = json.loads(body)
        except ValueError:
            raise Refused(400, "Invalid JSON") from None
        three = query.get("max_variations_supported") == "3"
        replace(row, given, three=three, ids=self._office.ids)
        self._office.saved(row)
        return document(row, _held)

    def _update(self, number: int, kind: str, body: bytes) -> Any:
        row = self._known(number)
        if kind.partition(";")[0] != "application/x-www-form-urlencoded":
            raise Refused(400, "A form is expected")
        form = dict(parse_qsl(body.decode("ascii", errors="replace"), strict_parsing=bool(body)))
        if form.keys() != {"state"}:
            raise Refused(400, "Only the state can be changed here")
        state = form["state"]
        if state not in ("active", "inactive"):
            raise Refused(400, "state: not one of active, inactive")
        if row.state == "draft":
            raise Refused(400, "A draft needs an image before it can be published")
        if state != row.state:
            self._office.set_state(row, state)
        return self._listing(row, _held)

    def _listings(self, query: Mapping[str, str]) -> Any:
        _known_only(query, ("state", "limit", "offset", "sort_on", "sort_order"))
        state = query.get("state", "active")
        if state not in STATES:
            raise Refused(400, "state: not one of the states")
        rows = [row for row in self._office.listings.values() if row.state == state]
        shown = self._reading()
        page = _slice(rows, query)
        return {"count": len(rows), "results": [self._listing(row, shown) for row in page]}

    def _listing(self, row: Listing, shown: Shown) -> dict[str, Any]:
        total = sum(shown(row, each) for each in row.products if each.is_enabled)
        return render.listing(row, self._shop_id, total)

    def _known(self, number: int) -> Listing:
        row = self._office.listings.get(number)
        if row is None:
            raise Refused(404, f"Could not find a listing with listing_id {number}")
        return row

    # -- shop and receipts -------------------------------------------------------------------

    def _check_shop(self, shop: str) -> None:
        if _id(shop) != self._shop_id:
            raise Refused(403, "User does not own the shop")

    def _shop(self) -> Any:
        office = self._office
        return render.shop(self._shop_id, is_vacation=office.is_on_vacation, created=office.now())

    def _receipt(self, number: int) -> Any:
        row = self._office.receipts.get(number)
        if row is None or (self.canceled_is_404 and row.has_ended):
            raise Refused(404, "Could not find a receipt")
        return render.receipt(row)

    def _receipts(self, query: Mapping[str, str]) -> Any:
        _known_only(
            query, (*_BOUNDS, *_BOOLEANS, "limit", "offset", "sort_on", "sort_order", "legacy")
        )
        by, order = query.get("sort_on", "created"), query.get("sort_order", "desc")
        if by not in ("created", "updated", "receipt_id") or order not in _ORDERS:
            raise Refused(400, "sort_on or sort_order: not one of its words")
        bounds = {name: _epoch(query[name], name) for name in _BOUNDS if name in query}
        wanted = {name: _boolean(query[name], name) for name in _BOOLEANS if name in query}
        start = bounds.get("min_last_modified", 0)
        known = self._office.changed.after((start, 0), now=self._office.exactly())
        rows = [
            self._office.receipts[number]
            for second, number in known
            if second <= bounds.get("max_last_modified", second)
        ]
        rows = [row for row in rows if self._is_listed(row, bounds, wanted)]
        rows.sort(key=_sorts[by], reverse=order.startswith("d"))
        return {
            "count": len(rows),
            "results": [render.receipt(row) for row in _slice(rows, query)],
        }

    def _is_listed(
        self, row: Receipt, bounds: Mapping[str, int], wanted: Mapping[str, bool]
    ) -> bool:
        created = render.epoch(row.created)
        if not bounds.get("min_created", 0) <= created <= bounds.get("max_created", created):
            return False
        told = {
            "was_paid": row.paid is not None,
            "was_shipped": row.shipped is not None,
            "was_delivered": False,
            "was_canceled": row.has_ended,
        }
        if any(told[name] != value for name, value in wanted.items()):
            return False
        asked = "min_last_modified" not in bounds or "was_canceled" in wanted
        return asked or not (self.hides_canceled and row.has_ended)


_sorts: Mapping[str, Callable[[Receipt], tuple[int, int]]] = {
    "created": lambda row: (render.epoch(row.created), row.receipt_id),
    "updated": lambda row: (render.epoch(row.updated), row.receipt_id),
    "receipt_id": lambda row: (row.receipt_id, 0),
}


def document_asked(path: str) -> int | None:
    """Return the listing whose document an address is, None if it is another address."""
    found = _DOCUMENT.fullmatch(path)
    return None if found is None else int(found[1])


def _held(_: Listing, product: Product) -> int:
    return product.quantity


def _id(text: str) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) == 0:
        raise Refused(400, "Expected int value for an id")
    return int(text)


def _known_only(query: Mapping[str, str], names: tuple[str, ...]) -> None:
    for name in query:
        if name not in names:
            raise Refused(400, f"Unknown parameter {name}")


def _epoch(text: str, name: str) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) < EPOCH_MIN:
        raise Refused(400, f"{name}: must be {EPOCH_MIN} or more")
    return int(text)


def _boolean(text: str, name: str) -> bool:
    if text not in ("true", "false"):
        raise Refused(400, f"{name}: not a boolean")
    return text == "true"


def _slice(rows: list[Any], query: Mapping[str, str]) -> list[Any]:
    limit, offset = query.get("limit", str(LIMIT_DEFAULT)), query.get("offset", "0")
    if _NUMBER.fullmatch(limit) is None or not 1 <= int(limit) <= LIMIT_MAX:
        raise Refused(400, f"limit: 1 to {LIMIT_MAX}")
    if _NUMBER.fullmatch(offset) is None:
        raise Refused(400, "offset: 0 or more")
    return rows[int(offset) : int(offset) + int(limit)]
