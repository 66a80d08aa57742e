"""The emulated WooCommerce shop as a whole: door, faults, clock, and what its people can do.

Theory of operation. A request passes the faults, then the key check, then the REST routes. Faults
before the routes change nothing; `drop_after` breaks the connection once all is done. The timed
job that cancels unpaid orders runs whenever anybody looks, at the instant they look. Plain HTTP
with Basic credentials is taken here because the emulator is served on loopback; a real shop
refuses it.
"""

from __future__ import annotations

import base64
import hmac
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

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
from stockpush.sim.shops.woocommerce import contract, render
from stockpush.sim.shops.woocommerce.backoffice import Backoffice
from stockpush.sim.shops.woocommerce.oauth import SignedDoor
from stockpush.sim.shops.woocommerce.outbox import Outbox, Webhook
from stockpush.sim.shops.woocommerce.rest import Rest
from stockpush.sim.shops.woocommerce.state import Order, Product

HOLD_STOCK_MIN = 60
"""How long an unpaid order holds its units, the platform's default."""
_HTML = {"content-type": "text/html; charset=UTF-8"}
_MAINTENANCE = (
    503,
    {**_HTML, "retry-after": "600"},
    b"<h1>Briefly unavailable for scheduled maintenance. Check back in a minute.</h1>",
)
_SERVER_ERRORS = (
    (
        500,
        {"content-type": "application/json; charset=UTF-8"},
        b'{"code":"internal_server_error","message":"critical error","data":{"status":500}}',
    ),
    (502, _HTML, b"<html><body><center><h1>502 Bad Gateway</h1></center></body></html>"),
    (503, _HTML, b"<!DOCTYPE html><title>Maintenance</title><h1>Service Unavailable</h1>"),
)


_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


class WooShop:
    """One shop (`sim.shops.base.Shop`). A listing is "product" or "product:variation"."""

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime],
        dice: random.Random,
        consumer_key: str,
        consumer_secret: str,
        contracts: Path | None = None,
        webhook_delay_s: float = 1.0,
        hold_stock_min: int | None = HOLD_STOCK_MIN,
    ) -> None:
        """Open an empty shop.

        `clock` returns aware UTC. `contracts` is the folder of the machine-readable contract;
        with it every request is checked. `webhook_delay_s` is how long the queue takes.
        `hold_stock_min`: unpaid orders are cancelled after it (None: never).
        """
        self.name = name
        self.clock = clock
        self.dice = dice
        self.faults = Faults()
        self.maintenance = False
        """While True every request gets the platform's own 503 page with Retry-After."""
        self.retry_after_s = 2
        """What a 429 tells the caller to wait."""
        self.may_write = True
        """False: the key has the permission *Read* alone."""
        self.plain_http = False
        """While True the site thinks that it is not asked over TLS: Basic is refused there."""
        self._door = SignedDoor(consumer_key, consumer_secret, self._now)
        self._authorization = b"Basic " + base64.b64encode(
            f"{consumer_key}:{consumer_secret}".encode()
        )
        self._outbox = Outbox(
            self._clock_now,
            dice,
            lambda: self.faults,
            lambda topic, object_id: render.encode(self._rest.object(topic, object_id)),
            delay_s=webhook_delay_s,
        )
        self._office = Backoffice(
            self._clock_now,
            self._outbox.trigger,
            hold_stock_min=hold_stock_min,
            stale_read_s=lambda: self.faults.stale_read_s,
            list_lag_s=self._list_lag_s,
        )
        checker = None if contracts is None else contract.load(contracts)
        self._rest = Rest(self._office, self._outbox, checker, self._reading, self._shuffle)

    # -- setting up --------------------------------------------------------------------------

    def add_product(
        self,
        product_id: int,
        *,
        stock: int | None,
        type: str = "simple",
        sku: str = "",
        backorders: str = "no",
    ) -> None:
        """Add a product; `stock` None: it does not manage stock. `type`: simple, variable, ..."""
        self._add(
            Product(
                product_id,
                type,
                stock or 0,
                stock is not None,
                backorders,
                sku,
                self._now(),
                self._now(),
            )
        )

    def add_variation(
        self,
        product_id: int,
        variation_id: int,
        *,
        stock: int | None,
        sku: str = "",
        backorders: str = "no",
    ) -> None:
        """Add a variation; `stock` None: served by the parent's number if the parent manages."""
        self._add(
            Product(
                variation_id,
                "variation",
                stock or 0,
                stock is not None,
                backorders,
                sku,
                self._now(),
                self._now(),
                parent_id=product_id,
            )
        )

    def remove_product(self, listing: str) -> None:
        """Delete a product or variation for good."""
        del self._office.products[self._office.product(listing).id]

    def stop_managing(self, listing: str) -> None:
        """The merchant switches stock management off for a product or variation."""
        row = self._office.product(listing)
        row.manages = False
        self._office.saved(row)

    def switch_stock_off(self) -> None:
        """The owner switches stock management off for the whole shop: no number counts any more."""
        self._office.manages_stock = False

    def subscribe(self, topic: str, url: str, secret: str) -> Webhook:
        """Create a webhook, as the merchant would in the admin; its ping is queued."""
        return self._outbox.subscribe(topic, url, secret)

    # -- the daemon's side -------------------------------------------------------------------

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer one API request; raises `ConnectionDropped` where a fault says so."""
        if self.faults.is_on("unreachable"):
            raise ConnectionDropped(applied=False)
        self._office.cancel_unpaid()
        write = request.method != "GET"
        if write:
            self.faults.writes_seen.append(f"{request.method} {request.path}")
        if self.maintenance:
            return self._dated(*_MAINTENANCE)
        return answer_through(
            self.faults,
            self.dice,
            write=write,
            act=lambda: self._answer(request),
            refuse=self._refuse,
        )

    def _refuse(self, fault: str) -> ShopAnswer:
        match fault:
            case "rate_limit":
                headers = {**_HTML, "retry-after": str(self.retry_after_s)}
                return self._dated(429, headers, b"<h1>Too Many Requests</h1>")
            case "server_error":
                return self._dated(*self.dice.choice(_SERVER_ERRORS))
            case _:
                return self._dated(200, _HTML, _PAGE)

    def webhooks(self) -> list[Webhook]:
        """Return every webhook that there is, disabled ones too."""
        return list(self._outbox.webhooks.values())

    def lose_webhooks(self) -> None:
        """The platform disables every webhook, as after too many failures."""
        self._outbox.lose()

    def webhooks_due(self) -> list[WebhookOut]:
        """Take the delivery attempts that are due now out of the outbox, in the shop's order."""
        self._office.cancel_unpaid()
        return self._outbox.take_due()

    def webhook_answered(self, out: WebhookOut, status: int | None) -> None:
        """Record how an attempt ended. No attempt is ever repeated; the seventh failure in a row
        disables the webhook.
        """
        self._outbox.answered(out, status)

    def next_webhook_at(self) -> datetime | None:
        """Return when the outbox, or the job that cancels unpaid orders, has something to do."""
        due = [self._outbox.next_at(), self._office.next_expiry()]
        return min((at for at in due if at is not None), default=None)

    # -- the people's side -------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]], *, paid: bool = True) -> str:
        """A shopper buys; `paid=False` leaves the order pending. Raises `SoldOut`."""
        self._office.cancel_unpaid()
        return str(self._office.checkout(lines, paid=paid).id)

    def pay(self, order_id: str) -> None:
        """The payment of a pending or failed order comes in."""
        self._office.pay(self._order(order_id))

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """Cancel. The platform always puts the units back; `restock=False` is a shop whose owner
        removed that hook.
        """
        if restock:
            self._office.enter(self._order(order_id), "cancelled")
        else:
            self._office.cancel_without_restock(self._order(order_id))

    def fail(self, order_id: str) -> None:
        """The payment fails: nothing is put back."""
        self._office.enter(self._order(order_id), "failed")

    def trash(self, order_id: str) -> None:
        """The merchant moves the order to the trash: nothing is put back."""
        self._office.enter(self._order(order_id), "trash")

    def delete(self, order_id: str) -> None:
        """The merchant deletes the order for good: nothing is put back."""
        self._office.delete(self._order(order_id))

    def set_status(self, order_id: str, status: str) -> None:
        """The merchant, or a plugin with a word of its own, sets a status."""
        self._office.enter(self._order(order_id), status)

    def refund(self, order_id: str, listing: str, quantity: int, *, restock: bool) -> None:
        """The merchant refunds units of a line, putting them back on sale or not."""
        self._office.refund(self._order(order_id), listing, quantity, restock=restock)

    def edit(self, order_id: str, listing: str, quantity: int) -> None:
        """The merchant sets the quantity of a line (0 removes it); the number follows."""
        self._office.edit(self._order(order_id), listing, quantity)

    def add_item_by_rest(self, order_id: str, listing: str, quantity: int) -> None:
        """Another program adds a line to an order by REST: the number is not reduced for it.

        Source: https://github.com/woocommerce/woocommerce/issues/51024.
        """
        self._office.add_unreduced(self._order(order_id), listing, quantity)

    def open_editor(self, listing: str) -> Callable[[], None]:
        """The merchant opens a product's form; what is returned saves it with the number it shows.

        A sale in between is erased. Source: https://github.com/woocommerce/woocommerce/issues/16780.
        """
        shown = self.stock_quantity(listing)
        return lambda: self.merchant_sets(listing, shown)

    def ship(self, order_id: str) -> None:
        """The merchant ships everything: the order is completed."""
        self._office.enter(self._order(order_id), "completed")

    def merchant_sets(self, listing: str, quantity: int) -> None:
        """The merchant types a number into the admin: an unconditional overwrite."""
        self._office.set_stock(self._office.owner(self._office.product(listing)), quantity)

    def quantity(self, listing: str) -> int:
        """Return what the checkout would still sell: the number less what unpaid orders hold."""
        return self._office.sellable(self._managing(listing))

    def stock_quantity(self, listing: str) -> int:
        """Return the number itself, as REST shows it."""
        return self._managing(listing).stock

    def numbers(self) -> dict[str, int]:
        """Return listing -> `stock_quantity` of the row that manages it.

        A variable product is no listing: its variations are.
        """
        office = self._office
        owners = (
            (row, office.owner(row))
            for row in office.products.values()
            if office.manages_stock and row.type != "variable"
        )
        return {row.listing: owner.stock for row, owner in owners if owner.manages}

    def lines(self) -> Iterator[OrderTruth]:
        """Yield every line of every order; a deleted order, and a removed line, is gone."""
        for order in self._office.orders.values():
            for line in order.lines:
                still_open, shipped = order.standing(line)
                yield OrderTruth(
                    order_id=str(order.id),
                    line_id=str(line.id),
                    listing=line.listing,
                    ordered=line.quantity,
                    open=still_open,
                    deducted=line.reduced or 0,
                    shipped=shipped,
                    status=order.status,
                    placed_at=order.created,
                )

    # -- inside ------------------------------------------------------------------------------

    def _clock_now(self) -> datetime:
        """Ask the shop's clock each time: a test may replace it."""
        return self.clock()

    def _now(self) -> datetime:
        return self._office.now()

    def _add(self, row: Product) -> None:
        self._office.products[row.id] = row
        self._office.note(row)

    def _reading(self) -> Callable[[Product], int]:
        """Return what one request shows of the numbers: as of one instant, now or before."""
        faults = self.faults
        if faults.stale_read_s <= 0:
            return _stock
        at = self.clock() - timedelta(seconds=self.dice.uniform(0, faults.stale_read_s))

        def shown(row: Product) -> int:
            number = row.past.as_of(at)
            if number is None or number == row.stock:
                return row.stock
            faults.struck["stale_read_s"] += 1
            return number

        return shown

    def _list_lag_s(self) -> float:
        if self.faults.orders_lag_s <= 0:
            return 0.0
        self.faults.struck["orders_lag_s"] += 1
        return self.dice.uniform(0, self.faults.orders_lag_s)

    def _shuffle(self) -> random.Random | None:
        return self.dice if self.faults.is_on("shuffled_pages") else None

    def _order(self, order_id: str) -> Order:
        return self._office.orders[int(order_id)]

    def _managing(self, listing: str) -> Product:
        owner = self._office.owner(self._office.product(listing))
        if not owner.manages:
            raise LookupError(f"{listing} does not manage stock")
        return owner

    def _answer(self, request: ShopRequest) -> ShopAnswer:
        given = request.headers.get("authorization", "").encode()
        if self.plain_http:
            known = self._door.knows(request)
        else:
            known = hmac.compare_digest(given, self._authorization)
        allowed = self.may_write or request.method == "GET"
        if self.faults.is_on("unauthorized") or not known or not allowed:
            body = (
                b'{"code":"woocommerce_rest_cannot_view","message":"Sorry, you cannot list '
                b'resources.","data":{"status":401}}'
            )
            return self._dated(401, {"content-type": "application/json; charset=UTF-8"}, body)
        answer = self._rest.answer(request.method, request.path, dict(request.query), request.body)
        headers = {"content-type": "application/json; charset=UTF-8", **answer.headers}
        return self._dated(answer.status, headers, render.encode(answer.value))

    def _dated(self, status: int, headers: dict[str, str], body: bytes) -> ShopAnswer:
        date = http_date(self._now())
        return ShopAnswer(status, {"date": date, **headers}, body)


def _stock(row: Product) -> int:
    return row.stock
