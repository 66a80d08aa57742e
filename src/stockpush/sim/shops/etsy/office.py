"""The emulated shop's own business: stock, checkout, the life of a receipt.

Theory of operation. A receipt takes its units off the number when it is paid. The checkout refuses
what the number does not have, what is not on sale, and everything while the shop is on vacation. A
listing that sells its last unit is sold out, by itself; putting units back does not put it on sale
again, renewing it does, for a fee. A cancellation puts units back if the merchant says so. A refund
names no units: one of less than everything is money only.

A partial refund leaves the instant of the last change as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from stockpush.sim.shops.base import SoldOut
from stockpush.sim.shops.etsy.state import Line, Listing, Product, Receipt
from stockpush.sim.shops.past import Changed, Past

Announce = Callable[[str, int], None]
"""Called with (event, receipt) after something happened that a webhook may be told of."""


class Office:
    """Listings and receipts of one shop, and what its people do with them."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        announce: Announce,
        *,
        stale_read_s: Callable[[], float],
        list_lag_s: Callable[[], float],
    ) -> None:
        """`stale_read_s`: how far back readings may go; `list_lag_s`: how much later lists know of
        the change that has just happened (drawn anew each time).
        """
        self._clock = clock
        self._announce = announce
        self._stale_read_s = stale_read_s
        self._list_lag_s = list_lag_s
        self._receipt_ids = count(3_000_000_001)
        self._transaction_ids = count(4_000_000_001)
        self.ids = count(5_000_000_001)
        """Ids of products, offerings and values."""
        self.listings: dict[int, Listing] = {}
        self.receipts: dict[int, Receipt] = {}
        self.changed = Changed()
        """What lists know of receipts."""
        self.is_on_vacation = False

    def now(self) -> datetime:
        """Return the shop's clock in whole seconds, as Etsy tells instants."""
        return self._clock().replace(microsecond=0)

    def exactly(self) -> datetime:
        """Return the shop's clock."""
        return self._clock()

    # -- goods -------------------------------------------------------------------------------

    def product(self, name: str) -> tuple[Listing, Product]:
        """Return the listing and the product of a name, or LookupError."""
        listing = self.listings[int(name.partition(":")[0])]
        for product in listing.products:
            if product.name(listing.listing_id) == name:
                return listing, product
        raise LookupError(f"no listing {name}")

    def sellable(self, name: str) -> int:
        """Return what the checkout would sell of a product."""
        listing, product = self.product(name)
        on_sale = listing.state == "active" and product.is_enabled and not self.is_on_vacation
        return product.quantity if on_sale else 0

    def set_quantity(self, listing: Listing, product: Product, quantity: int) -> None:
        """Set the number that a product shares with others."""
        for each in listing.sharing(product):
            each.quantity = quantity
        self.saved(listing)

    def saved(self, listing: Listing) -> None:
        """Note that a listing was saved, with its numbers of now for readings that lag."""
        listing.updated = self.now()
        at, kept_s = self._clock(), self._stale_read_s()
        for product in listing.products:
            past = listing.past.setdefault(product.name(listing.listing_id), Past())
            past.note(product.quantity, at=at, kept_s=kept_s)

    def set_state(self, listing: Listing, state: str) -> None:
        """Make a listing active or inactive; what was sold out or expired is renewed for a fee.

        Renewing a sold-out listing sets its quantity to 1.
        """
        if state == "active" and listing.state in ("sold_out", "expired"):
            listing.fees += 1
            if listing.state == "sold_out":
                for each in listing.products:
                    each.quantity = 0
                for each in listing.sharing(listing.products[0]):
                    each.quantity = 1
        listing.state = state
        self.saved(listing)

    # -- receipts ----------------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]], *, paid: bool) -> Receipt:
        """Place an order, or raise `SoldOut` for a line that the shop would not sell."""
        wanted: dict[tuple[int, object], int] = {}
        for name, quantity in lines:
            listing, product = self.product(name)
            key = (listing.listing_id, product.key(listing.quantity_on))
            wanted[key] = wanted.get(key, 0) + quantity
            if self.sellable(name) < wanted[key]:
                raise SoldOut(f"{self.sellable(name)} left, {wanted[key]} wanted")
        now = self.now()
        receipt = Receipt(
            receipt_id=next(self._receipt_ids),
            status="payment processing",
            created=now,
            updated=now,
            lines=[self._line(name, quantity) for name, quantity in lines],
        )
        self.receipts[receipt.receipt_id] = receipt
        if paid:
            self.pay(receipt)
        else:
            self.touch(receipt)
        return receipt

    def pay(self, receipt: Receipt) -> None:
        """Take the payment: the units leave the number, at most down to zero."""
        receipt.paid, receipt.status = self.now(), "paid"
        for line in receipt.lines:
            listing = self.listings.get(line.listing_id)
            if listing is None:
                continue
            product = self._of_line(listing, line)
            if product is None:
                continue
            line.deducted = min(line.quantity, product.quantity)
            self.set_quantity(listing, product, product.quantity - line.deducted)
            if listing.state == "active" and not listing.sells():
                listing.state = "sold_out"
        self.touch(receipt)
        self._announce("order.paid", receipt.receipt_id)

    def cancel(self, receipt: Receipt, *, restock: bool) -> None:
        """Cancel a receipt, putting its units back or not."""
        receipt.status = "canceled"
        self._end(receipt, restock=restock)
        self._announce("order.canceled", receipt.receipt_id)

    def refund(self, receipt: Receipt, amount: int, *, restock: bool) -> None:
        """Give money back: all of it ends the receipt, less changes no unit and no instant."""
        receipt.refunds.append((amount, self.now()))
        if sum(each for each, _ in receipt.refunds) < receipt.total:
            receipt.status = "partially refunded"
            return
        receipt.status = "fully refunded"
        self._end(receipt, restock=restock)

    def ship(self, receipt: Receipt) -> None:
        """Send everything."""
        receipt.shipped, receipt.status = self.now(), "completed"
        self.touch(receipt)
        self._announce("order.shipped", receipt.receipt_id)

    def touch(self, receipt: Receipt) -> None:
        """Note a change that lists will tell of."""
        receipt.updated = self.now()
        lag_s = self._list_lag_s()
        visible_at = self._clock() + timedelta(seconds=lag_s) if lag_s > 0 else receipt.updated
        self.changed.note(receipt.receipt_id, receipt.updated, visible_at=visible_at)

    # -- inside ------------------------------------------------------------------------------

    def _end(self, receipt: Receipt, *, restock: bool) -> None:
        for line in receipt.lines if restock else ():
            listing = self.listings.get(line.listing_id)
            product = None if listing is None else self._of_line(listing, line)
            if listing is not None and product is not None and line.deducted:
                self.set_quantity(listing, product, product.quantity + line.deducted)
                line.deducted = 0
        self.touch(receipt)

    def _line(self, name: str, quantity: int) -> Line:
        listing, product = self.product(name)
        return Line(
            transaction_id=next(self._transaction_ids),
            listing_id=listing.listing_id,
            product_id=product.product_id,
            name=name,
            sku=product.sku,
            values=product.values,
            quantity=quantity,
            price=product.price,
        )

    @staticmethod
    def _of_line(listing: Listing, line: Line) -> Product | None:
        """Return the product that a line bought, by its values: ids change with every save."""
        names = (each for each in listing.products if each.name(listing.listing_id) == line.name)
        return next(names, None)
