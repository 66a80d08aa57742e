"""The emulated account's own business: the life of a retailer's order, and what it commits.

Theory of operation. An order is NEW until the brand accepts it (PROCESSING), and PRE_TRANSIT,
IN_TRANSIT, DELIVERED afterwards. Its lines have states of their own; those of a new order have none
yet. Whatever is open is committed. Sending it ends the commitment and, if `shipping_takes_on_hand`,
lowers `on_hand` by the same pieces; which of the two the real one does is not known.

A backorder splits a line. Usually a child order carries the pieces from then on, while the parent
keeps a line in state BACKORDERED (`parents_keep_backorders`) or only its smaller quantity.

The platform has no word for goods that are cancelled or refunded and not put back: commitment ends
either way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from stockpush.sim.shops.base import SoldOut
from stockpush.sim.shops.faire.state import (
    CANCELLABLE_STATES,
    OPEN_STATES,
    SENT_STATES,
    Item,
    Order,
    Variant,
)
from stockpush.sim.shops.past import Changed


class Backoffice:
    """Variants and orders of one brand, and what its people do with them."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        shipping_takes_on_hand: bool,
        parents_keep_backorders: bool,
        backorders_stay_committed: bool,
        stale_read_s: Callable[[], float],
        list_lag_s: Callable[[], float],
    ) -> None:
        """`stale_read_s`: how far back readings may go; `list_lag_s`: how much later lists know of
        the change that has just happened (drawn anew each time).
        """
        self._clock = clock
        self._shipping_takes_on_hand = shipping_takes_on_hand
        self._parents_keep_backorders = parents_keep_backorders
        self._backorders_stay_committed = backorders_stay_committed
        self._stale_read_s = stale_read_s
        self._list_lag_s = list_lag_s
        self._numbers = count(1001)
        self._item_ids = count(1)
        self.variants: dict[str, Variant] = {}
        self.orders: dict[int, Order] = {}
        self.changed = Changed()
        """What lists know of orders."""

    def now(self) -> datetime:
        """Return the clock in the second resolution in which instants are kept."""
        return self._clock().replace(microsecond=0)

    def order(self, order_id: str) -> Order:
        """Return an order by its id, or LookupError."""
        number = order_id.removeprefix("bo_")
        if not number.isdecimal() or int(number) not in self.orders:
            raise LookupError(f"no order {order_id}")
        return self.orders[int(number)]

    # -- numbers -----------------------------------------------------------------------------

    def set_on_hand(self, variant: Variant, quantity: int) -> None:
        """Overwrite a number, whatever it was; from then on the variant is tracked."""
        variant.on_hand, variant.tracked = quantity, True
        self.note(variant)

    def note(self, variant: Variant) -> None:
        """Keep a variant's numbers of now, for readings that lag."""
        at, kept_s = self._clock(), self._stale_read_s()
        variant.past_on_hand.note(variant.on_hand, at=at, kept_s=kept_s)
        variant.past_committed.note(variant.committed, at=at, kept_s=kept_s)

    # -- orders ------------------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]], *, tester: bool, by_faire: bool) -> Order:
        """Place an order, or raise `SoldOut` for a variant that is tracked and has too few."""
        wanted: dict[str, int] = {}
        for listing, quantity in lines:
            wanted[listing] = wanted.get(listing, 0) + quantity + (1 if tester else 0)
        for listing, pieces in wanted.items():
            variant = self.variants[listing]
            limited = variant.tracked and not variant.sells_out_of_stock and not by_faire
            if variant.deleted or (limited and variant.available < pieces):
                raise SoldOut(f"{variant.available} left, {pieces} wanted")
        items = [self._item(self.variants[name], units, tester=tester) for name, units in lines]
        return self._place(items, "NEW", by_faire=by_faire)

    def enter(self, order: Order, state: str, *, from_states: frozenset[str]) -> None:
        """Move an order, and those of its lines that are in `from_states`, to a state."""
        moving = [item for item in order.items if order.state_of(item) in from_states]
        order.state = state
        for item in moving:
            item.state = state
            self._settle(order, item)
        self.touch(order)

    def accept(self, order: Order) -> None:
        """Accept a new or confirmed order."""
        self.enter(order, "PROCESSING", from_states=OPEN_STATES)

    def cancel(self, order: Order) -> None:
        """Cancel what has not been sent. ValueError where the platform refuses."""
        if order.state not in CANCELLABLE_STATES:
            raise ValueError(f"order {order.id} is {order.state}")
        order.wants_cancellation = False
        self.enter(order, "CANCELED", from_states=CANCELLABLE_STATES)

    def shorten(self, order: Order, item: Item, quantity: int) -> None:
        """Leave `quantity` of a line that has not been sent; 0 cancels it."""
        if quantity > 0:
            item.quantity = quantity
        else:
            item.state = "CANCELED"
        self._settle(order, item)
        if not any(order.state_of(each) != "CANCELED" for each in order.items):
            order.state = "CANCELED"
        self.touch(order)

    def extend(self, order: Order, variant: Variant, quantity: int) -> None:
        """Set a line's quantity to more, or add one: the retailer has to confirm it."""
        item = next((each for each in order.open_items() if each.variant is variant), None)
        if item is None:
            item = self._item(variant, quantity)
            order.items.append(item)
        item.quantity = quantity
        self.enter(order, "PENDING_RETAILER_CONFIRMATION", from_states=OPEN_STATES)
        item.state = order.state
        self._settle(order, item)

    def backorder(
        self, order: Order, item: Item, quantity: int, *, until: datetime | None, child: bool
    ) -> Order:
        """Declare that `quantity` pieces of a line come later; return the order that carries them.

        Without a `child` the order's own line waits.
        """
        if not 0 < quantity <= item.quantity:
            raise ValueError(f"order {order.id} has not {quantity} of {item.variant.id}")
        self.accept(order)
        whole = quantity == item.quantity
        waiting = item if whole else self._item(item.variant, quantity)
        if not whole:
            item.quantity -= quantity
            self._settle(order, item)
        if not child:
            order.expected = until
            self._wait(order, waiting, moved=False)
            carrier = order
        else:
            carrier = self._place(
                [self._item(item.variant, quantity)], "BACKORDERED", parent=order, expected=until
            )
            if self._parents_keep_backorders:
                self._wait(order, waiting, moved=True)
            elif whole:
                item.state = "CANCELED"
                self._settle(order, item)
        if all(order.state_of(each) == "BACKORDERED" for each in order.items):
            order.state = "BACKORDERED"
        self.touch(order)
        return carrier

    def resume(self, order: Order) -> None:
        """What was waited for is there: the order goes on."""
        self.enter(order, "PROCESSING", from_states=frozenset({"BACKORDERED"}))

    def ship(self, order: Order) -> None:
        """Send everything that is open; backordered lines wait on."""
        if order.state == "NEW":
            self.accept(order)
        if not order.open_items():
            return
        self.enter(order, "PRE_TRANSIT", from_states=OPEN_STATES)

    def give_back(self, order: Order, item: Item) -> None:
        """A retailer sends a whole line back: its state says so, and no number moves."""
        item.state = "RETURNED"
        self.touch(order)

    def touch(self, order: Order) -> None:
        """Note that an order was changed now, and have lists find it by that, late or at once."""
        order.updated = self.now()
        lag_s = self._list_lag_s()
        visible_at = self._clock() + timedelta(seconds=lag_s) if lag_s > 0 else order.updated
        self.changed.note(order.number, order.updated, visible_at=visible_at)

    # -- inside ------------------------------------------------------------------------------

    def _item(self, variant: Variant, quantity: int, *, tester: bool = False) -> Item:
        return Item(
            f"oi_{next(self._item_ids)}", variant, variant.sku, quantity, self.now(), tester
        )

    def _place(
        self,
        items: list[Item],
        state: str,
        *,
        parent: Order | None = None,
        expected: datetime | None = None,
        by_faire: bool = False,
    ) -> Order:
        now = self.now()
        order = Order(next(self._numbers), state, now, now, items, parent, by_faire, expected)
        self.orders[order.number] = order
        for item in items:
            # A new order's lines have no state of their own yet.
            item.state = None if state == "NEW" else state
            self._settle(order, item)
        self.touch(order)
        return order

    def _wait(self, order: Order, item: Item, *, moved: bool) -> None:
        if item not in order.items:
            order.items.append(item)
        item.state, item.moved = "BACKORDERED", moved
        self._settle(order, item)

    def _settle(self, order: Order, item: Item) -> None:
        """Bring a line's parts of its variant's numbers in step with where it stands."""
        if order.by_faire:
            return
        state, variant = order.state_of(item), item.variant
        waits = state == "BACKORDERED" and self._backorders_stay_committed and not item.moved
        # A state that nobody knows yet is still to be sent.
        ended = state in SENT_STATES or state in {"CANCELED", "BACKORDERED"}
        committed = item.pieces if waits or not ended else 0
        variant.committed += committed - item.committed
        item.committed = committed
        if state in SENT_STATES and self._shipping_takes_on_hand and not item.taken:
            item.taken = item.pieces
            variant.on_hand -= item.taken
        self.note(variant)
