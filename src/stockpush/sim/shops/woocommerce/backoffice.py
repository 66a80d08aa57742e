"""The emulated shop's own business: stock, checkout, the life of an order.

Theory of operation. Woo does not take a sale off the number when it is placed but when its order
enters processing, on-hold or completed; then every line is taken once and remembers how much
(`_reduced_stock`). A pending order only *holds* its units, invisibly, until the hold runs out and
a timed job cancels the order. Cancelled (and back to pending) puts back exactly what was taken;
failed, refunded and trash put back nothing; a refund puts back its units if the merchant asks.

The checkout refuses what it cannot serve, counting holds. Nothing else does: a payment that comes
late, an edit of an order and the merchant may all drive the number below zero, as in the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count

from stockpush.sim.shops.base import SoldOut
from stockpush.sim.shops.past import Changed
from stockpush.sim.shops.woocommerce.state import (
    REDUCED_STATUSES,
    RESTORED_STATUSES,
    Order,
    OrderLine,
    Product,
    Refund,
)

Announce = Callable[[str, int], None]
"""Called with (topic, object id) after something changed that a webhook may be subscribed to."""


class Backoffice:
    """Products and orders of one shop, and what its people do with them."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        announce: Announce,
        *,
        hold_stock_min: int | None,
        stale_read_s: Callable[[], float] = lambda: 0.0,
        list_lag_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`hold_stock_min` is how long an unpaid order may live (None: for ever).

        `stale_read_s`: how far back readings may go; `list_lag_s`: how much later lists know of the
        change that has just happened (drawn anew each time).
        """
        self._clock = clock
        self._announce = announce
        self._hold_stock_min = hold_stock_min
        self._stale_read_s = stale_read_s
        self._list_lag_s = list_lag_s
        self._order_ids = count(1001)
        self._item_ids = count(1)
        self._refund_ids = count(900_001)
        self.products: dict[int, Product] = {}
        self.orders: dict[int, Order] = {}
        self.changed = Changed()
        """What lists know of orders."""
        self._pending: dict[int, Order] = {}
        """Every order whose status is pending, and maybe others that were once."""
        self.manages_stock = True
        """The shop's own option; False: products keep their numbers and nothing looks at them."""

    def now(self) -> datetime:
        """Return the shop's clock in the second resolution in which the shop stores instants."""
        return self._clock().replace(microsecond=0)

    def exactly(self) -> datetime:
        """Return the shop's clock."""
        return self._clock()

    # -- goods -------------------------------------------------------------------------------

    def product(self, listing: str) -> Product:
        """Return the row of "product" or "product:variation", or LookupError."""
        product_id, _, variation_id = listing.partition(":")
        row = self.products[int(variation_id or product_id)]
        if row.parent_id != (int(product_id) if variation_id else 0):
            raise LookupError(f"no listing {listing}")
        return row

    def owner(self, row: Product) -> Product:
        """Return the row whose number a sale of `row` is taken from."""
        if row.parent_id and not row.manages:
            parent = self.products[row.parent_id]
            return parent if parent.manages else row
        return row

    def managed_by(self, row: Product) -> bool | str:
        """Return what REST calls `manage_stock`: true, false, or "parent"."""
        if not self.manages_stock:
            return False
        if row.manages:
            return True
        return "parent" if self.owner(row) is not row else False

    def sellable(self, owner: Product) -> int:
        """Return what the checkout would still sell of a stock owner: its number less holds."""
        now = self.now()
        return owner.stock - sum(
            line.quantity
            for order, expires in self._holds()
            if expires > now
            for line in order.lines
            if self._owner_of(line) is owner
        )

    def set_stock(self, owner: Product, quantity: int) -> None:
        """Overwrite a number, whatever it was: there is no compare-and-set."""
        owner.stock = quantity
        self.saved(owner)

    def saved(self, row: Product) -> None:
        """Note that a product was saved; every save is announced, also one that changed nothing."""
        row.modified = self.now()
        self.note(row)
        self._announce("product.updated", row.id)

    def note(self, row: Product) -> None:
        """Keep a product's number of now, for readings that lag."""
        row.past.note(row.stock, at=self._clock(), kept_s=self._stale_read_s())

    # -- orders ------------------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]], *, paid: bool) -> Order:
        """Place an order, or raise `SoldOut` for a line that the number less holds cannot serve."""
        wanted: dict[int, int] = {}
        for listing, quantity in lines:
            owner = self.owner(self.product(listing))
            wanted[owner.id] = wanted.get(owner.id, 0) + quantity
        for owner_id, quantity in wanted.items():
            owner = self.products[owner_id]
            limited = self.manages_stock and owner.manages and owner.backorders == "no"
            if limited and self.sellable(owner) < quantity:
                raise SoldOut(f"{self.sellable(owner)} left, {quantity} wanted")
        now = self.now()
        order = Order(
            id=next(self._order_ids),
            status="pending",
            created=now,
            modified=now,
            lines=[self._new_line(listing, quantity) for listing, quantity in lines],
            hold_expires=self._hold_expiry(now),
        )
        self.orders[order.id] = self._pending[order.id] = order
        self._touch(order, "order.created")
        if paid:
            self.pay(order)
        return order

    def pay(self, order: Order) -> None:
        """Take the payment: processing, and the units leave the number (also below zero)."""
        order.paid = self.now()
        self.enter(order, "processing")

    def enter(self, order: Order, status: str) -> None:
        """Change an order's status, moving stock as the new status demands."""
        order.status = status
        if status == "pending":
            self._pending[order.id] = order
        if status in REDUCED_STATUSES and not order.stock_reduced:
            self._reduce(order)
        if status in RESTORED_STATUSES and order.stock_reduced:
            self._restore(order)
        if status == "completed":
            order.completed = self.now()
        if status == "pending":
            order.hold_expires = self._hold_expiry(self.now())
        self._touch(order, "order.deleted" if status == "trash" else "order.updated")

    def cancel_without_restock(self, order: Order) -> None:
        """Cancel in a shop whose owner removed the hook that puts units back."""
        order.status = "cancelled"
        self._touch(order, "order.updated")

    def refund(self, order: Order, listing: str, quantity: int, *, restock: bool) -> None:
        """Refund units of a line; ValueError for more than were bought."""
        line = self.line(order, listing)
        if not 0 < quantity <= line.quantity - order.refunded(line):
            raise ValueError(f"order {order.id} has not {quantity} of {listing} left to refund")
        # Units that were never taken, or are back already, cannot be put back once more.
        restock = restock and (line.reduced or 0) >= quantity
        order.refunds.append(
            Refund(
                id=next(self._refund_ids),
                line_id=line.id,
                product_id=line.product_id,
                variation_id=line.variation_id,
                quantity=quantity,
                restock=restock,
                created=self.now(),
                item_id=next(self._item_ids),
            )
        )
        if restock:
            self._take(line, -quantity)
        if all(order.refunded(line) >= line.quantity for line in order.lines):
            order.status = "refunded"
        self._touch(order, "order.updated")

    def edit(self, order: Order, listing: str, quantity: int) -> None:
        """Set a line's quantity: 0 removes it, an unknown listing adds a line."""
        line = next((line for line in order.lines if line.listing == listing), None)
        if line is None:
            line = self._new_line(listing, 0)
            order.lines.append(line)
        line.quantity = quantity
        if order.status in REDUCED_STATUSES:
            self._take(line, max(0, quantity - order.restocked(line)) - (line.reduced or 0))
        if quantity == 0:
            order.lines.remove(line)
        self._touch(order, "order.updated")

    def add_unreduced(self, order: Order, listing: str, quantity: int) -> None:
        """Add a line for which nothing is taken off the number, whatever the order's status."""
        order.lines.append(self._new_line(listing, quantity))
        self._touch(order, "order.updated")

    def delete(self, order: Order) -> None:
        """Remove an order for good; whatever it took stays taken."""
        del self.orders[order.id]
        self._pending.pop(order.id, None)
        self.changed.drop(order.id)
        self._announce("order.deleted", order.id)

    def cancel_unpaid(self) -> None:
        """Run the timed job that cancels unpaid orders whose hold has run out."""
        if not self._pending:
            return
        now = self.now()
        for order in [order for order, expires in self._holds() if expires <= now]:
            self.enter(order, "cancelled")

    def next_expiry(self) -> datetime | None:
        """Return when the next unpaid order will be cancelled."""
        return min((expires for _, expires in self._holds()), default=None)

    def line(self, order: Order, listing: str) -> OrderLine:
        """Return the order's first line of a listing, or LookupError."""
        for line in order.lines:
            if line.listing == listing:
                return line
        raise LookupError(f"order {order.id} has no line of {listing}")

    # -- inside ------------------------------------------------------------------------------

    def _holds(self) -> Iterator[tuple[Order, datetime]]:
        for order in list(self._pending.values()):
            if order.status != "pending":
                del self._pending[order.id]
            elif order.hold_expires is not None:
                yield order, order.hold_expires

    def _hold_expiry(self, at: datetime) -> datetime | None:
        if self._hold_stock_min is None:
            return None
        return at + timedelta(minutes=self._hold_stock_min)

    def _new_line(self, listing: str, quantity: int) -> OrderLine:
        row = self.product(listing)
        return OrderLine(
            id=next(self._item_ids),
            product_id=row.parent_id or row.id,
            variation_id=row.id if row.parent_id else 0,
            quantity=quantity,
            sku=row.sku,
        )

    def _owner_of(self, line: OrderLine) -> Product | None:
        """Return the stock owner of a line, None where the product has been deleted."""
        row = self.products.get(line.variation_id or line.product_id)
        return None if row is None else self.owner(row)

    def _reduce(self, order: Order) -> None:
        order.stock_reduced = True
        for line in order.lines:
            if line.reduced is None:
                self._take(line, line.quantity)

    def _restore(self, order: Order) -> None:
        order.stock_reduced = False
        for line in order.lines:
            self._take(line, -(line.reduced or 0))

    def _take(self, line: OrderLine, units: int) -> None:
        """Take units off the line's owner (< 0: put back) and keep the line's meta in step."""
        owner = self._owner_of(line)
        if units == 0 or owner is None or not (self.manages_stock and owner.manages):
            return
        line.reduced = ((line.reduced or 0) + units) or None
        self.set_stock(owner, owner.stock - units)

    def _touch(self, order: Order, topic: str) -> None:
        order.modified = self.now()
        lag_s = self._list_lag_s()
        visible_at = self._clock() + timedelta(seconds=lag_s) if lag_s > 0 else order.modified
        self.changed.note(order.id, order.modified, visible_at=visible_at)
        self._announce(topic, order.id)
