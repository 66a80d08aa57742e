"""The emulated Faire account as a whole: the edge, faults, clock, and what its people can do.

Theory of operation. A request passes the faults, then Cloudflare (a program without a name of its
own gets a 403 page; a call that lost its `www` is redirected), then the credentials, then the pace
of writes, then the routes. There is no sandbox, no webhook and no clock but the Date header.
"""

from __future__ import annotations

import base64
import hmac
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import msgspec

from stockpush.sim.shops.base import (
    ConnectionDropped,
    Faults,
    OrderTruth,
    ShopAnswer,
    ShopRequest,
    WebhookOut,
    answer_through,
    http_date,
)
from stockpush.sim.shops.faire.backoffice import Backoffice
from stockpush.sim.shops.faire.rest import ROOT, Habits, Rest
from stockpush.sim.shops.faire.state import OPEN_STATES, SENT_STATES, Item, Order, Variant

QUICK_WRITES_MAX = 3
"""Writes in a row that are taken without a pause, at first; one more each second."""
_HTML = {"content-type": "text/html; charset=UTF-8"}
_JSON = {"content-type": "application/json"}
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
_SERVER_ERRORS = (
    (500, _JSON, b'{"message":"Internal Server Error"}'),
    (502, _HTML, b"<html><head><title>502 Bad Gateway</title></head></html>"),
    (503, _HTML, b"<!DOCTYPE html><title>Faire is down for maintenance</title>"),
    (520, _HTML, b"<!DOCTYPE html><title>Web server is returning an unknown error</title>"),
)


class FaireShop:
    """One brand's account (`sim.shops.base.Shop`). A listing is a variant's id."""

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime],
        dice: random.Random,
        access_token: str,
        application: tuple[str, str, str] | None = None,
        shipping_takes_on_hand: bool = True,
        parents_keep_backorders: bool = True,
        backorders_stay_committed: bool = True,
    ) -> None:
        """Open an empty account.

        `clock` returns aware UTC. `application` is an OAuth application's id, secret and granted
        token, which open it too. For the other switches see `backoffice`, and `habits` for what
        the API itself may do otherwise.
        """
        self.name = name
        self.clock = clock
        self.dice = dice
        self.faults = Faults()
        self.habits = Habits()
        self.retry_after_s: int | None = None
        """What a 429 tells the caller to wait; None: nothing, as far as is known."""
        self.shipping_takes_on_hand = shipping_takes_on_hand
        self.splits_backorders = True
        """Whether what comes later is an order of its own."""
        self.gives_quantities = True
        """Whether the token has the right to quantities."""
        self._access_token = access_token.encode()
        self._application = application
        self._office = Backoffice(
            self._clock_now,
            shipping_takes_on_hand=shipping_takes_on_hand,
            parents_keep_backorders=parents_keep_backorders,
            backorders_stay_committed=backorders_stay_committed,
            stale_read_s=lambda: self.faults.stale_read_s,
            list_lag_s=self._list_lag_s,
        )
        self._rest = Rest(self._office, self.habits, self._reading)
        self.quick_writes_max = QUICK_WRITES_MAX
        self._pace = float(QUICK_WRITES_MAX)
        self._paced_at = clock()

    # -- setting up --------------------------------------------------------------------------

    def add_variant(
        self,
        variant_id: str,
        *,
        on_hand: int | None,
        sku: str = "",
        product_id: str = "p_1",
        sells_out_of_stock: bool = False,
    ) -> None:
        """Add a variant; `on_hand` None: it is not tracked and sells freely."""
        row = Variant(variant_id, product_id, sku, on_hand or 0, on_hand is not None)
        row.sells_out_of_stock = sells_out_of_stock
        self._office.variants[variant_id] = row
        self._office.note(row)

    def remove_variant(self, listing: str) -> None:
        """The merchant deletes a variant."""
        self._office.variants[listing].deleted = True

    def rename_sku(self, listing: str, sku: str) -> None:
        """The merchant gives a variant another SKU; orders keep the one they had."""
        self._office.variants[listing].sku = sku

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
            act=lambda: self._answer(request, write=write),
            refuse=self._refuse,
        )

    def webhooks_due(self) -> list[WebhookOut]:
        """Return nothing: Faire has no webhooks."""
        return []

    def webhook_answered(self, out: WebhookOut, status: int | None) -> None:
        """Refuse: none was ever sent."""
        raise LookupError(f"Faire sent no delivery {out.id} ({status})")

    def next_webhook_at(self) -> None:
        """Return None: nothing is ever due."""

    def lose_webhooks(self) -> None:
        """Do nothing: there are none to lose."""

    # -- the people's side -------------------------------------------------------------------

    def checkout(
        self, lines: list[tuple[str, int]], *, tester: bool = False, by_faire: bool = False
    ) -> str:
        """A retailer orders pieces, with a tester of each if wished. Raises `SoldOut`."""
        return self._office.checkout(lines, tester=tester, by_faire=by_faire).id

    def accept(self, order_id: str, *, expected: datetime | None = None) -> None:
        """The merchant accepts a new order, with the date on which it will be sent, if known."""
        order = self._order(order_id)
        order.expected = expected
        self._office.accept(order)

    def confirm(self, order_id: str) -> None:
        """The retailer confirms what the merchant changed."""
        self._office.accept(self._order(order_id))

    def wish_cancellation(self, order_id: str) -> None:
        """The retailer asks for the order to be cancelled, which the merchant still has to do."""
        order = self._order(order_id)
        order.wants_cancellation = True
        self._office.touch(order)

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """The merchant, or the retailer, cancels what has not shipped; ValueError if it has.

        The platform knows no restocking: what was committed is for sale again either way.
        """
        del restock
        self._office.cancel(self._order(order_id))

    def refund(self, order_id: str, listing: str, quantity: int, *, restock: bool) -> None:
        """The merchant takes units out of a line before it is sent; afterwards a whole line comes
        back (RETURNED), and less than that is only money. ValueError for more than there is.
        """
        del restock  # see `cancel`
        order = self._order(order_id)
        item = self._item(order, listing)
        if not 0 < quantity <= item.quantity:
            raise ValueError(f"order {order_id} has not {quantity} of {listing}")
        if order.state_of(item) in SENT_STATES:
            if quantity == item.quantity:
                self._office.give_back(order, item)
            else:
                self._office.touch(order)
        else:
            self._office.shorten(order, item, item.quantity - quantity)

    def edit(self, order_id: str, listing: str, quantity: int) -> None:
        """The merchant sets the quantity of a line that is not sent; more has to be confirmed.

        ValueError once the order is on its way, where the platform has no such act.
        """
        order = self._order(order_id)
        if order.state not in OPEN_STATES:
            raise ValueError(f"order {order_id} is {order.state}")
        known = next((each for each in order.open_items() if each.variant.id == listing), None)
        if known is not None and quantity <= known.quantity:
            self._office.shorten(order, known, quantity)
        elif quantity > 0:
            self._office.extend(order, self._office.variants[listing], quantity)

    def line_quantity(self, order_id: str, listing: str) -> int:
        """Return how many pieces the line has that a backorder would be taken from."""
        return self._item(self._order(order_id), listing).quantity

    def backorder(
        self,
        order_id: str,
        listing: str,
        quantity: int,
        *,
        until: datetime | None,
        child: bool = True,
    ) -> str:
        """The merchant declares units of a line backordered; return the order that carries them."""
        order = self._order(order_id)
        item = self._item(order, listing)
        return self._office.backorder(order, item, quantity, until=until, child=child).id

    def resume(self, order_id: str) -> None:
        """What was backordered is there: the order goes on."""
        self._office.resume(self._order(order_id))

    def ship(self, order_id: str) -> None:
        """The merchant ships everything that is open; a new order is accepted first."""
        self._office.ship(self._order(order_id))

    def deliver(self, order_id: str) -> None:
        """The carrier delivers what was shipped."""
        states = frozenset({"PRE_TRANSIT", "IN_TRANSIT"})
        self._office.enter(self._order(order_id), "DELIVERED", from_states=states)

    def set_state(self, order_id: str, state: str) -> None:
        """Faire introduces a state that nobody knows yet, for an order and its open lines."""
        self._office.enter(self._order(order_id), state, from_states=OPEN_STATES)

    def merchant_sets(self, listing: str, quantity: int) -> None:
        """The merchant types a quantity into the portal: an unconditional overwrite of on hand."""
        self._office.set_on_hand(self._office.variants[listing], quantity)

    def quantity(self, listing: str) -> int:
        """Return what is for sale: on hand less what open orders have committed."""
        return self._office.variants[listing].available

    def state(self, order_id: str) -> str:
        """Return the order's state."""
        return self._order(order_id).state

    def committed(self, listing: str) -> int:
        """Return the pieces that open orders have committed."""
        return self._office.variants[listing].committed

    def numbers(self) -> dict[str, int]:
        """Return listing -> on hand, the number that is written; what is not tracked has none."""
        return {
            row.id: row.on_hand
            for row in self._office.variants.values()
            if row.tracked and not row.deleted
        }

    def lines(self) -> Iterator[OrderTruth]:
        """Yield every line of every order of the brand's own stock, oldest order first.

        What a child order carries is open there, not in the line that it came from.
        """
        for order in self._office.orders.values():
            for item in [] if order.by_faire else order.items:
                state = order.state_of(item)
                yield OrderTruth(
                    order_id=order.id,
                    line_id=item.id,
                    listing=item.variant.id,
                    ordered=item.pieces,
                    open=0 if item.moved or state in SENT_STATES | {"CANCELED"} else item.pieces,
                    deducted=item.taken,
                    shipped=item.pieces if state in SENT_STATES else 0,
                    status=order.state,
                    placed_at=order.created,
                )

    # -- inside ------------------------------------------------------------------------------

    def _clock_now(self) -> datetime:
        """Ask the shop's clock each time: a test may replace it."""
        return self.clock()

    def _order(self, order_id: str) -> Order:
        return self._office.order(order_id)

    def _item(self, order: Order, listing: str) -> Item:
        for item in order.items:
            if item.variant.id == listing and order.state_of(item) != "CANCELED" and not item.moved:
                return item
        raise LookupError(f"order {order.id} has no line of {listing}")

    def _reading(self) -> Callable[[Variant], tuple[int, int]]:
        """Return what one request shows of the numbers: as of one instant, now or before."""
        faults = self.faults
        if faults.stale_read_s <= 0:
            return _numbers
        at = self.clock() - timedelta(seconds=self.dice.uniform(0, faults.stale_read_s))

        def shown(row: Variant) -> tuple[int, int]:
            on_hand, committed = row.past_on_hand.as_of(at), row.past_committed.as_of(at)
            if on_hand is None or committed is None or (on_hand, committed) == _numbers(row):
                return _numbers(row)
            faults.struck["stale_read_s"] += 1
            return on_hand, committed

        return shown

    def _list_lag_s(self) -> float:
        if self.faults.orders_lag_s <= 0:
            return 0.0
        self.faults.struck["orders_lag_s"] += 1
        return self.dice.uniform(0, self.faults.orders_lag_s)

    def _answer(self, request: ShopRequest, *, write: bool) -> ShopAnswer:
        if request.headers.get("host") == "faire.com":
            return self._dated(301, {"location": f"https://www.faire.com{request.path}"}, b"")
        agent = request.headers.get("user-agent", "")
        if not agent or agent.startswith(("python-", "Python/")):
            return self._dated(403, _HTML, _PAGE)
        if not request.path.startswith(ROOT + "/"):
            return self._dated(404, _HTML, b"<!DOCTYPE html><title>Page not found</title>")
        if self.faults.is_on("unauthorized") or not self._is_known(request):
            return self._dated(401, _JSON, b'{"message":"Unauthorized"}')
        if not self.gives_quantities and "/product-inventory/" in request.path:
            return self._dated(403, _JSON, b'{"message":"Missing scope"}')
        if write and not self._is_paced():
            return self._refuse("rate_limit")
        status, value = self._rest.answer(request.method, request.path, request.query, request.body)
        return self._dated(status, _JSON, msgspec.json.encode(value))

    def _is_known(self, request: ShopRequest) -> bool:
        """Answer whether the credentials, of either kind, are this account's."""
        given = request.headers.get("x-faire-access-token")
        if given is not None:
            return hmac.compare_digest(given.encode(), self._access_token)
        if self._application is None:
            return False
        identity, secret, token = self._application
        expected = base64.b64encode(f"{identity}:{secret}".encode())
        application = request.headers.get("x-faire-app-credentials", "").encode()
        granted = request.headers.get("x-faire-oauth-access-token", "").encode()
        return hmac.compare_digest(application, expected) and hmac.compare_digest(
            granted, token.encode()
        )

    def _is_paced(self) -> bool:
        """Answer whether a write may come now: a few at once, then one each second."""
        now = self.clock()
        passed_s = max(0.0, (now - self._paced_at).total_seconds())
        self._pace = min(float(self.quick_writes_max), self._pace + passed_s)
        self._paced_at = now
        if self._pace < 1:
            return False
        self._pace -= 1
        return True

    def _refuse(self, fault: str) -> ShopAnswer:
        match fault:
            case "rate_limit":
                headers = dict(_JSON)
                if self.retry_after_s is not None:
                    headers["retry-after"] = str(self.retry_after_s)
                return self._dated(429, headers, b'{"message":"Too Many Requests"}')
            case "server_error":
                return self._dated(*self.dice.choice(_SERVER_ERRORS))
            case _:
                return self._dated(200, _HTML, _PAGE)

    def _dated(self, status: int, headers: dict[str, str], body: bytes) -> ShopAnswer:
        return ShopAnswer(status, {"date": http_date(self._office.now()), **headers}, body)


def _numbers(row: Variant) -> tuple[int, int]:
    return row.on_hand, row.committed
