"""An emulated shop of the maker's own: the protocol of docs/channels/generic.md, and no more.

Theory of operation. A checkout takes its units off the number at once; a cancellation or a refund
puts them back if the merchant says so; `lines` tell all of it in absolute numbers. Every change is
told by a signed delivery of the order as it is then, or of the number; one that is not answered
with a 2xx is sent again, some times, and then given up. `compares` says whether a write checks the
expected number. It is also the shortest complete example of the shop's side of the protocol.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from stockpush.sim.shops.base import (
    REPLAY_WITHIN_S,
    ConnectionDropped,
    Faults,
    OrderTruth,
    ShopAnswer,
    ShopRequest,
    SoldOut,
    WebhookOut,
    answer_through,
    http_date,
)
from stockpush.sim.shops.past import Changed, Past

RETRIES_S = (5.0, 300.0, 1800.0, 7200.0)
"""When a delivery that failed is sent again, each counted from the one before."""
REORDER_MAX_S = 30.0
"""Longest extra delay of a delivery that is reordered."""
LIMIT_MAX = 100
QUANTITY_MAX = 10**9
_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}
_SERVER_ERRORS = (
    (500, _JSON, b'{"message":"Internal Server Error"}'),
    (502, _HTML, b"<html><title>502 Bad Gateway</title></html>"),
    (503, _HTML, b"<html><title>Maintenance</title></html>"),
)


@dataclass(slots=True)
class _Product:
    name: str
    number: int
    tracked: bool = True
    past: Past = field(default_factory=Past)


@dataclass(slots=True)
class _Line:
    id: str
    product: str
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    deducted: int = 0

    @property
    def open(self) -> int:
        return self.ordered - self.cancelled - self.shipped


@dataclass(slots=True)
class _Order:
    number: int
    placed: datetime
    updated: datetime
    lines: list[_Line]

    @property
    def state(self) -> str:
        if any(line.open for line in self.lines):
            return "open"
        return "shipped" if any(line.shipped for line in self.lines) else "cancelled"


@dataclass(frozen=True, slots=True, order=True)
class _Queued:
    due: datetime
    number: int
    name: str = field(compare=False)
    """The delivery's id, the same for each of its attempts."""
    body: bytes = field(compare=False)
    attempt: int = field(compare=False, default=1)


class GenericShop:
    """One shop (`sim.shops.base.Shop`). A listing is a product's name."""

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime],
        dice: random.Random,
        access_token: str,
        webhook_key: bytes,
        compares: bool = True,
    ) -> None:
        """Open an empty shop. `clock` returns aware UTC; `webhook_key` signs both ways."""
        self.name = name
        self.clock = clock
        self.dice = dice
        self.faults = Faults()
        self.compares = compares
        self.page_max = LIMIT_MAX
        """Most orders of a page, whatever `limit` says."""
        self._authorization = f"Bearer {access_token}".encode()
        self._key = webhook_key
        self._url: str | None = None
        self._products: dict[str, _Product] = {}
        self._orders: dict[int, _Order] = {}
        self._changed = Changed()
        self._numbers = count(1001)
        self._line_ids = count(1)
        self._ids = count(1)
        self._queue: list[_Queued] = []
        self._out: dict[int, _Queued] = {}

    # -- setting up --------------------------------------------------------------------------

    def add_product(self, name: str, number: int | None) -> None:
        """Put a product on sale; None: its quantity is not tracked."""
        self._products[name] = _Product(name, number or 0, number is not None)
        self._note(self._products[name])

    def remove_product(self, name: str) -> None:
        """The merchant deletes a product."""
        del self._products[name]

    def subscribe(self, url: str) -> None:
        """Send deliveries to `url` from now on."""
        self._url = url

    # -- the daemon's side -------------------------------------------------------------------

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer one API request; raises `ConnectionDropped` where a fault says so."""
        if self.faults.is_on("unreachable"):
            raise ConnectionDropped(applied=False)
        write = request.method != "GET"
        if write:
            self.faults.writes_seen.append(f"{request.method} {request.path}")
        return answer_through(
            self.faults,
            self.dice,
            write=write,
            act=lambda: self._answer(request),
            refuse=self._refuse,
        )

    def webhooks_due(self) -> list[WebhookOut]:
        """Take the delivery attempts that are due now out of the outbox."""
        due: list[_Queued] = []
        while self._queue and self._queue[0].due <= self.clock():
            due.append(heapq.heappop(self._queue))
        return [out for queued in due for out in self._attempts(queued)]

    def webhook_answered(self, out: WebhookOut, status: int | None) -> None:
        """Record how an attempt ended; a failure is sent again later, until there is no later."""
        queued = self._out.pop(out.id)
        if status is not None and 200 <= status < 300:
            return
        if queued.attempt <= len(RETRIES_S):
            wait = timedelta(seconds=RETRIES_S[queued.attempt - 1])
            self._push(
                replace(
                    queued,
                    due=self.clock() + wait,
                    number=next(self._ids),
                    attempt=queued.attempt + 1,
                )
            )

    def next_webhook_at(self) -> datetime | None:
        """Return when the next delivery attempt is due."""
        return self._queue[0].due if self._queue else None

    def lose_webhooks(self) -> None:
        """The merchant's program forgets where to send deliveries."""
        self._url = None

    # -- the people's side -------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]]) -> str:
        """A shopper buys; return the order id or raise `SoldOut`."""
        wanted: dict[str, int] = {}
        for name, quantity in lines:
            wanted[name] = wanted.get(name, 0) + quantity
        for name, quantity in wanted.items():
            row = self._products[name]
            if row.tracked and row.number < quantity:
                raise SoldOut(f"{row.number} left, {quantity} wanted")
        now = self._now()
        order = _Order(next(self._numbers), now, now, [])
        self._orders[order.number] = order
        for name, quantity in lines:
            line = _Line(str(next(self._line_ids)), name, quantity)
            order.lines.append(line)
            self._take(line, quantity)
        self._touch(order)
        return str(order.number)

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """The merchant cancels what has not shipped, putting it back on sale or not."""
        order = self._order(order_id)
        for line in order.lines:
            self._uncount(line, line.open, restock=restock)
        self._touch(order)

    def refund(self, order_id: str, listing: str, quantity: int, *, restock: bool) -> None:
        """The merchant refunds units that have not shipped, putting them back on sale or not.

        Of what has shipped only the money is given back. ValueError for more than there is.
        """
        order = self._order(order_id)
        line = self._line(order, listing)
        if not 0 < quantity <= line.open + line.shipped:
            raise ValueError(f"order {order_id} has not {quantity} of {listing}")
        self._uncount(line, min(quantity, line.open), restock=restock)
        self._touch(order)

    def edit(self, order_id: str, listing: str, quantity: int) -> None:
        """The merchant sets the quantity of a line (0 removes it); the number follows."""
        order = self._order(order_id)
        line = next((each for each in order.lines if each.product == listing), None)
        if line is None:
            line = _Line(str(next(self._line_ids)), listing, 0)
            order.lines.append(line)
        change = max(quantity, line.shipped) - (line.open + line.shipped)
        line.ordered += max(0, change)
        self._take(line, max(0, change))
        self._uncount(line, max(0, -change), restock=True)
        self._touch(order)

    def ship(self, order_id: str) -> None:
        """The merchant ships everything that is open."""
        order = self._order(order_id)
        for line in order.lines:
            line.shipped += line.open
        self._touch(order)

    def merchant_sets(self, listing: str, quantity: int) -> None:
        """The merchant types a number into the shop's own admin."""
        self._set(self._products[listing], quantity)

    def quantity(self, listing: str) -> int:
        """Return what the shop would sell of this product: the truth, no fault applies."""
        return self._products[listing].number

    def numbers(self) -> dict[str, int]:
        """Return product -> its number; one that is not tracked has none."""
        return {row.name: row.number for row in self._products.values() if row.tracked}

    def lines(self) -> Iterator[OrderTruth]:
        """Yield every line of every order, oldest order first."""
        for order in self._orders.values():
            for line in order.lines:
                yield OrderTruth(
                    order_id=str(order.number),
                    line_id=line.id,
                    listing=line.product,
                    ordered=line.ordered,
                    open=line.open,
                    deducted=line.deducted,
                    shipped=line.shipped,
                    status=order.state,
                    placed_at=order.placed,
                )

    # -- stock and orders ----------------------------------------------------------------------

    def _now(self) -> datetime:
        """Return the clock in the second resolution in which the shop stores instants."""
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def _order(self, order_id: str) -> _Order:
        return self._orders[int(order_id)]

    def _line(self, order: _Order, listing: str) -> _Line:
        for line in order.lines:
            if line.product == listing:
                return line
        raise LookupError(f"order {order.number} has no line of {listing}")

    def _take(self, line: _Line, units: int) -> None:
        """Take units off the line's product (< 0: put back), and remember how many are taken."""
        row = self._products.get(line.product)
        if units and row is not None and row.tracked:
            line.deducted += units
            self._set(row, row.number - units, tell=False)

    def _uncount(self, line: _Line, units: int, *, restock: bool) -> None:
        line.cancelled += units
        if restock:
            self._take(line, -min(units, line.deducted))

    def _set(self, row: _Product, number: int, *, tell: bool = True) -> None:
        row.number, row.tracked = number, True
        self._note(row)
        if tell:
            self._tell({"type": "quantity.changed", "product": row.name, "quantity": number})

    def _note(self, row: _Product) -> None:
        row.past.note(row.number, at=self.clock(), kept_s=self.faults.stale_read_s)

    def _touch(self, order: _Order) -> None:
        """Note that an order changed now, have lists find it by that, and tell it."""
        order.updated = visible_at = self._now()
        if self.faults.orders_lag_s > 0:
            self.faults.struck["orders_lag_s"] += 1
            lag_s = self.dice.uniform(0, self.faults.orders_lag_s)
            visible_at = self.clock() + timedelta(seconds=lag_s)
        self._changed.note(order.number, order.updated, visible_at=visible_at)
        self._tell({"type": "order.changed", "order": _shown(order)})

    # -- deliveries ------------------------------------------------------------------------------

    def _tell(self, event: dict[str, Any]) -> None:
        if self._url is None:
            return
        extra_s = self.faults.delay_s(self.dice)
        if self.faults.strikes("webhook_reorder", self.dice):
            extra_s += self.dice.uniform(0, REORDER_MAX_S)
        number = next(self._ids)
        due = self.clock() + timedelta(seconds=extra_s)
        self._push(_Queued(due, number, f"msg_{number}", msgspec.json.encode(event)))

    def _push(self, queued: _Queued) -> None:
        heapq.heappush(self._queue, queued)

    def _attempts(self, queued: _Queued) -> Iterator[WebhookOut]:
        if self._url is None or self.faults.strikes("webhook_drop", self.dice):
            return
        for _ in range(self.faults.copies(self.dice)):
            yield self._attempt(queued, self._url)
        if self.faults.strikes("webhook_replay", self.dice):
            number = next(self._ids)
            later = timedelta(seconds=self.dice.uniform(1, REPLAY_WITHIN_S))
            again = replace(
                queued, due=self.clock() + later, number=number, name=f"msg_{number}", attempt=99
            )
            self._push(again)

    def _attempt(self, queued: _Queued, url: str) -> WebhookOut:
        """Return one attempt, signed anew: the instant in the signature is that of sending."""
        number = next(self._ids)
        self._out[number] = queued
        instant = str(int(self.clock().timestamp()))
        content = f"{queued.name}.{instant}.".encode() + queued.body
        headers = {
            **_JSON,
            "webhook-id": queued.name,
            "webhook-timestamp": instant,
            "webhook-signature": self._signature(content),
        }
        return WebhookOut(number, url, headers, queued.body, queued.attempt)

    def _signature(self, content: bytes) -> str:
        return (
            "v1," + base64.b64encode(hmac.new(self._key, content, hashlib.sha256).digest()).decode()
        )

    # -- answers -----------------------------------------------------------------------------------

    def _answer(self, request: ShopRequest) -> ShopAnswer:
        given = request.headers.get("authorization", "").encode()
        if self.faults.is_on("unauthorized") or not hmac.compare_digest(given, self._authorization):
            return self._said(401, "Unauthorized")
        match request.method, request.path.split("/")[1:]:
            case "GET", ["quantities"]:
                wanted = [value for name, value in request.query if name == "product"]
                return self._json({"quantities": self._shown_numbers(wanted)})
            case "PUT", ["quantities", product]:
                return self._write(request, product)
            case "GET", ["orders"]:
                return self._listed(dict(request.query))
            case "GET", ["orders", order_id]:
                if not order_id.isdecimal() or int(order_id) not in self._orders:
                    return self._said(404, "no such order")
                return self._json(_shown(self._orders[int(order_id)]))
            case _:
                return self._said(404, "no such address")

    def _shown_numbers(self, wanted: list[str]) -> dict[str, int | None]:
        """Return the numbers of one request: of one instant, now or before."""
        lag_s = self.faults.stale_read_s
        at = self.clock() - timedelta(seconds=self.dice.uniform(0, lag_s) if lag_s > 0 else 0)
        shown: dict[str, int | None] = {}
        for row in [self._products[name] for name in wanted if name in self._products]:
            then = row.past.as_of(at) if lag_s > 0 else row.number
            if then != row.number:
                self.faults.struck["stale_read_s"] += 1
            shown[row.name] = then if row.tracked else None
        return shown

    def _write(self, request: ShopRequest, product: str) -> ShopAnswer:
        content = f"{request.method} {request.path}\n".encode() + request.body
        given = request.headers.get("stockpush-signature", "").encode()
        if not hmac.compare_digest(given, self._signature(content).encode()):
            return self._said(401, "the write is not signed")
        row = self._products.get(product)
        if row is None:
            return self._said(404, "no such product")
        body = json.loads(request.body)
        if not (isinstance(body["quantity"], int) and 0 <= body["quantity"] <= QUANTITY_MAX):
            return self._said(422, "quantity must be 0 or more")
        if self.compares and row.number != body["expected"]:
            return self._json({"actual": row.number}, 409)
        self._set(row, body["quantity"])
        return self._json({"quantity": row.number, "compared": self.compares})

    def _listed(self, query: dict[str, str]) -> ShopAnswer:
        """Return one page of orders by second of the last change and number; cursors are places."""
        limit = min(int(query.get("limit", LIMIT_MAX)), self.page_max)
        place, only_open = (0, -1), query.get("state") == "open"
        if "changed_since" in query:
            since = datetime.fromisoformat(query["changed_since"])
            place = (int(since.timestamp()), -1)
        if "cursor" in query:
            kept, second, number = json.loads(base64.urlsafe_b64decode(query["cursor"]))
            only_open, place = kept, (second, number + 1)
        rows = [
            (second, number)
            for second, number in self._changed.after(place, now=self._now())
            if not only_open or self._orders[number].state == "open"
        ]
        page = rows[:limit]
        answer: dict[str, Any] = {"orders": [_shown(self._orders[number]) for _, number in page]}
        if len(rows) > limit:
            cursor = json.dumps([only_open, *page[-1]])
            answer["next"] = base64.urlsafe_b64encode(cursor.encode()).decode()
        return self._json(answer)

    def _refuse(self, fault: str) -> ShopAnswer:
        match fault:
            case "rate_limit":
                return self._said(429, "Too Many Requests", **{"retry-after": "2"})
            case "server_error":
                return self._dated(*self.dice.choice(_SERVER_ERRORS))
            case _:
                return self._dated(200, _HTML, b"<html><title>Welcome</title></html>")

    def _json(self, value: Any, status: int = 200) -> ShopAnswer:
        return self._dated(status, _JSON, msgspec.json.encode(value))

    def _said(self, status: int, message: str, **headers: str) -> ShopAnswer:
        body = msgspec.json.encode({"message": message})
        return self._dated(status, {**_JSON, **headers}, body)

    def _dated(self, status: int, headers: dict[str, str], body: bytes) -> ShopAnswer:
        return ShopAnswer(status, {"date": http_date(self._now()), **headers}, body)


def _shown(order: _Order) -> dict[str, Any]:
    """Return an order as the protocol has it."""
    return {
        "id": str(order.number),
        "state": order.state,
        "placed_at": order.placed.isoformat(),
        "updated_at": order.updated.isoformat(),
        "lines": [
            {
                "id": line.id,
                "product": line.product,
                "ordered": line.ordered,
                "cancelled": line.cancelled,
                "shipped": line.shipped,
                "deducted": line.deducted,
            }
            for line in order.lines
        ],
    }
