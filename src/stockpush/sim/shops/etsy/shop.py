"""The emulated Etsy shop as a whole: door, faults, clock, and what its people can do.

Theory of operation. A request passes the faults, then the allowance, then the keys, then the
routes; the token endpoint needs no keys. Faults before the routes change nothing; `drop_after`
breaks the connection once all is done.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

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
from stockpush.sim.shops.etsy import consent
from stockpush.sim.shops.etsy.access import Access, Allowance, encode
from stockpush.sim.shops.etsy.api import ROOT, Api, Shown
from stockpush.sim.shops.etsy.document import ON_PROPERTY, Refused
from stockpush.sim.shops.etsy.office import Office
from stockpush.sim.shops.etsy.outbox import Endpoint, Outbox
from stockpush.sim.shops.etsy.state import Listing, Product, Receipt, Variation

TOKEN_PATH = "/v3/public/oauth/token"  # noqa: S105  (an address)
EVENTS = ("order.paid", "order.canceled", "order.shipped", "order.delivered")
_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html; charset=utf-8"}
_PAGE = b"<!DOCTYPE html><html><head><title>Etsy</title></head></html>"
_SERVER_ERRORS = (
    (500, _JSON, b'{"error":"Server Error"}'),
    (502, _HTML, b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
    (503, _HTML, b"<html><body><h1>Service Unavailable</h1></body></html>"),
    (504, _JSON, b'{"error":"Gateway Timeout"}'),
)
PRICE = 2450
"""What a thing costs, in the smallest units, where nobody says otherwise."""


class EtsyShop:
    """One shop (`sim.shops.base.Shop`). A listing is "1001", or "1001:200=blue" with every value
    that its product has.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime],
        dice: random.Random,
        shop_id: int,
        keystring: str,
        shared_secret: str,
        refresh_token: str,
        per_second: int = 150,
        per_day: int = 100_000,
    ) -> None:
        """Open an empty shop. `clock` returns aware UTC; `per_second` and `per_day` are the app's
        allowance.
        """
        self.name = name
        self.clock = clock
        self.dice = dice
        self.shop_id = shop_id
        self.faults = Faults()
        self.retry_after_s = 2
        """What a 429 that is drawn tells the caller to wait."""
        self.access = Access(self._clock_now, dice, keystring, shared_secret, refresh_token)
        self.allowance = Allowance(self._clock_now, per_second, per_day)
        self.loses_next_grant = False
        """The answer to the next renewal of access is lost; it is granted all the same."""
        self._outbox = Outbox(self._clock_now, dice, lambda: self.faults)
        self._office = Office(
            self._clock_now,
            lambda event, receipt_id: self._outbox.tell(event, shop_id, receipt_id),
            stale_read_s=lambda: self.faults.stale_read_s,
            list_lag_s=self._list_lag_s,
        )
        self.api = Api(self._office, shop_id, self._reading)
        """The routes, with the switches of what Etsy may do either way."""

    # -- setting up --------------------------------------------------------------------------

    def add_listing(
        self,
        listing_id: int,
        *,
        quantity: int,
        sku: str = "",
        price: int = PRICE,
        state: str = "active",
    ) -> str:
        """Add a listing without variations; return its name."""
        return self.add_variations(
            listing_id, [((), quantity, sku)], varies_by=(), price=price, state=state
        )[0]

    def add_variations(
        self,
        listing_id: int,
        products: Sequence[tuple[Sequence[Variation], int, str]],
        *,
        varies_by: Sequence[int],
        price: int = PRICE,
        state: str = "active",
    ) -> list[str]:
        """Add a listing of products (values, quantity, SKU) whose quantity, and SKU, varies by
        these properties; return their names.
        """
        ids = self._office.ids
        everything = tuple(
            sorted({each.property_id for values, _, _ in products for each in values})
        )
        varies: dict[str, tuple[int, ...]] = dict.fromkeys(ON_PROPERTY, ())
        varies |= {"quantity_on_property": tuple(varies_by), "sku_on_property": everything}
        rows = [
            Product(next(ids), next(ids), sku, tuple(values), price, quantity)
            for values, quantity, sku in products
        ]
        now = self._office.now()
        listing = Listing(listing_id, f"Listing {listing_id}", state, rows, now, now, varies)
        self._office.listings[listing_id] = listing
        self._office.saved(listing)
        return [row.name(listing_id) for row in rows]

    def subscribe(
        self, url: str, secret: str, *, events: Sequence[str] = EVENTS, labels: bool = True
    ) -> Endpoint:
        """Add an endpoint in the webhook portal; `labels` False: signatures come bare."""
        endpoint = Endpoint(url, secret, frozenset(events), labels=labels)
        self._outbox.endpoints.append(endpoint)
        return endpoint

    def listing(self, listing_id: int) -> Listing:
        """Return a listing's row: a test may look at it, and change what an owner could."""
        return self._office.listings[listing_id]

    # -- the daemon's side -------------------------------------------------------------------

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer one API request; raises `ConnectionDropped` where a fault says so."""
        if self.faults.is_on("unreachable"):
            raise ConnectionDropped(applied=False)
        write = request.method != "GET" and request.path not in (TOKEN_PATH, consent.PATH)
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
        return self._outbox.take_due()

    def webhook_answered(self, out: WebhookOut, status: int | None) -> None:
        """Record how an attempt ended; up to eight are made."""
        self._outbox.answered(out, status)

    def next_webhook_at(self) -> datetime | None:
        """Return when the next delivery attempt is due."""
        return self._outbox.next_at()

    def lose_webhooks(self) -> None:
        """The portal disables every endpoint."""
        self._outbox.lose()

    # -- the people's side -------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]], *, paid: bool = True) -> str:
        """A shopper buys; `paid=False` leaves the payment in processing. Raises `SoldOut`."""
        return str(self._office.checkout(lines, paid=paid).receipt_id)

    def pay(self, order_id: str) -> None:
        """The payment comes in."""
        self._office.pay(self._receipt(order_id))

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """The merchant cancels, putting the units back on sale or not."""
        self._office.cancel(self._receipt(order_id), restock=restock)

    def refund(self, order_id: str, listing: str, quantity: int, *, restock: bool) -> None:
        """The merchant gives the price of units back. Etsy knows no units in a refund: one of less
        than everything is money only, whatever `restock` says, and the goods are still to be sent.
        """
        receipt = self._receipt(order_id)
        line = next((each for each in receipt.lines if each.name == listing), None)
        if line is None or not 0 < quantity <= line.quantity:
            raise ValueError(f"receipt {order_id} has not {quantity} of {listing}")
        self._office.refund(receipt, line.price * quantity, restock=restock)

    def edit(self, order_id: str, listing: str, quantity: int) -> None:
        """Etsy has no way to change what was bought."""
        raise NotImplementedError("Etsy's receipts cannot be edited")

    def ship(self, order_id: str) -> None:
        """The merchant ships everything: the receipt is completed."""
        self._office.ship(self._receipt(order_id))

    def merchant_sets(self, listing: str, quantity: int) -> None:
        """The merchant types a number into Etsy's own form.

        The form takes no listing with every quantity zero, nor more than 999: then nothing changes.
        """
        row, product = self._office.product(listing)
        others = [each for each in row.products if each not in row.sharing(product)]
        left = quantity > 0 or any(each.is_enabled and each.quantity > 0 for each in others)
        if left and 0 <= quantity <= 999:
            self._office.set_quantity(row, product, quantity)

    def sets_price(self, listing: str, amount: int) -> None:
        """The merchant changes the price of every product of a listing."""
        row, _ = self._office.product(listing)
        self.sets_price_of(row.listing_id, amount)

    def sets_price_of(self, listing_id: int, amount: int) -> None:
        """The same of a listing by its number."""
        row = self._office.listings[listing_id]
        for each in row.products:
            each.price = amount
        self._office.saved(row)

    def is_off_sale(self, listing: str) -> bool:
        """Answer whether nobody can buy a product, however many there are."""
        row, _ = self._office.product(listing)
        return row.state != "active"

    def has_listing(self, listing_id: int) -> bool:
        """Answer whether there is such a listing."""
        return listing_id in self._office.listings

    def sets_state(self, listing_id: int, state: str) -> None:
        """The owner (or time) puts a listing on sale, takes it off, or lets it expire."""
        row = self._office.listings[listing_id]
        if state in ("active", "inactive"):
            self._office.set_state(row, state)
        else:
            row.state = state
            self._office.saved(row)

    def removes(self, listing_id: int) -> None:
        """The owner deletes a listing."""
        del self._office.listings[listing_id]

    def grant(self) -> tuple[str, str]:
        """The owner grants access anew; return an access and a refresh token."""
        return self.access.grant()

    def goes_on_vacation(self, *, away: bool) -> None:
        """The owner switches the shop's vacation mode."""
        self._office.is_on_vacation = away

    def quantity(self, listing: str) -> int:
        """Return what the checkout would sell of a product."""
        return self._office.sellable(listing)

    def fees(self) -> int:
        """Return how many listing fees were paid."""
        return sum(row.fees for row in self._office.listings.values())

    def numbers(self) -> dict[str, int]:
        """Return listing -> its number: 0 where it is off sale or sold out, left out where it has
        ended or was never published.
        """
        return {
            product.name(row.listing_id): product.quantity if row.state == "active" else 0
            for row in self._office.listings.values()
            if row.state in ("active", "inactive", "sold_out")
            for product in row.products
        }

    def lines(self) -> Iterator[OrderTruth]:
        """Yield every line of every receipt."""
        for row in self._office.receipts.values():
            for line in row.lines:
                shipped = line.quantity if row.shipped is not None else 0
                yield OrderTruth(
                    order_id=str(row.receipt_id),
                    line_id=str(line.transaction_id),
                    listing=line.name,
                    ordered=line.quantity,
                    open=0 if row.has_ended or shipped else line.quantity,
                    deducted=line.deducted,
                    shipped=shipped,
                    status=row.status,
                    placed_at=row.created,
                )

    # -- inside ------------------------------------------------------------------------------

    def _clock_now(self) -> datetime:
        """Ask the shop's clock each time: a test may replace it."""
        return self.clock()

    def _receipt(self, order_id: str) -> Receipt:
        return self._office.receipts[int(order_id)]

    def _answer(self, request: ShopRequest) -> ShopAnswer:
        if request.path == TOKEN_PATH and request.method == "POST":
            status, told = self.access.token(
                request.headers.get("content-type", ""),
                request.body,
                is_revoked=self.faults.is_on("unauthorized"),
            )
            if self.loses_next_grant and status == 200:
                self.loses_next_grant = False
                raise ConnectionDropped(applied=True)
            return self._told(status, told)
        if request.path == consent.PATH:
            return consent.answer(request, self.access)
        limits, allowed = self.allowance.take()
        if not allowed:
            return self._told(429, {"error": "Exceeded the allowance of calls"}, limits)
        if self.faults.is_on("unauthorized"):
            return self._told(401, {"error": "invalid_token"}, limits)
        try:
            self.access.check(request.headers, _scope(request.method, request.path))
            told = self.api.answer(
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("content-type", ""),
                request.body,
            )
        except Refused as refused:
            return self._told(refused.status, {"error": str(refused)}, limits)
        return self._told(200, told, limits)

    def _refuse(self, fault: str) -> ShopAnswer:
        match fault:
            case "rate_limit":
                wait = {"retry-after": str(self.retry_after_s)}
                return self._told(429, {"error": "Exceeded the allowance of calls"}, wait)
            case "server_error":
                status, headers, body = self.dice.choice(_SERVER_ERRORS)
                return self._dated(status, headers, body)
            case _:
                return self._dated(200, _HTML, _PAGE)

    def _told(self, status: int, value: Any, headers: dict[str, str] | None = None) -> ShopAnswer:
        name = f"{self._office.now().timestamp():.0f}-{status}"
        told = {**_JSON, "x-etsy-request-uuid": name, **(headers or {})}
        return self._dated(status, told, encode(value))

    def _dated(self, status: int, headers: dict[str, str], body: bytes) -> ShopAnswer:
        return ShopAnswer(status, {"date": http_date(self._office.now()), **headers}, body)

    def _reading(self) -> Shown:
        """Return what one request shows of the numbers: as of one instant, now or before."""
        faults = self.faults
        if faults.stale_read_s <= 0:
            return lambda _, product: product.quantity
        at = self.clock() - timedelta(seconds=self.dice.uniform(0, faults.stale_read_s))

        def shown(row: Listing, product: Product) -> int:
            past = row.past.get(product.name(row.listing_id))
            number = None if past is None else past.as_of(at)
            if number is None or number == product.quantity:
                return product.quantity
            faults.struck["stale_read_s"] += 1
            return number

        return shown

    def _list_lag_s(self) -> float:
        if self.faults.orders_lag_s <= 0:
            return 0.0
        self.faults.struck["orders_lag_s"] += 1
        return self.dice.uniform(0, self.faults.orders_lag_s)


def _scope(method: str, path: str) -> str | None:
    """Return the scope that a route needs, None where the app's key alone will do.

    Source: each operation's `security` in Etsy's OpenAPI document.
    """
    inner = path.removeprefix(ROOT)
    if inner == "/users/me":
        return "shops_r"
    if "/receipts" in inner:
        return "transactions_r"
    if method != "GET":
        return "listings_w"
    if inner.endswith(("/inventory", "/listings")):
        return "listings_r"
    return None
