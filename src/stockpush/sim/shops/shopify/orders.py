"""What shoppers and the merchant do to orders, and what that does to the levels.

Theory of operation. An order moves units from `available` to `committed`; shipping takes them off
`committed`. Cancelling or refunding unfulfilled units takes them off `committed` and, if they are
put back, adds them to `available`; refunding fulfilled units touches `available` only. Units are
taken from the unfulfilled ones first. Each act returns nothing; the shop tells the world.
Source: shopify.dev on inventory states; restock types of refunds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from stockpush.sim.shops.base import SoldOut
from stockpush.sim.shops.past import Changed
from stockpush.sim.shops.shopify.state import (
    Fulfilment,
    Ids,
    Level,
    Line,
    Order,
    Refund,
    Refunded,
    Variant,
)


@dataclass(slots=True)
class Book:
    """Every order of the shop, by number, each at `location`."""

    ids: Ids
    location: int
    orders: dict[int, Order] = field(default_factory=dict)
    changed: Changed = field(default_factory=Changed)
    """What lists know; the shop notes there what it does to an order."""
    by_refund: dict[int, Order] = field(default_factory=dict)
    by_fulfilment: dict[int, Order] = field(default_factory=dict)

    def place(self, wanted: list[tuple[Variant, int]], *, at: datetime) -> Order:
        """Sell `wanted`, a line each; `SoldOut` if a variant that must not go below zero would."""
        asked: dict[int, int] = {}
        for variant, quantity in wanted:
            assert quantity > 0, "a shopper wants at least one"
            asked[variant.item_id] = asked.get(variant.item_id, 0) + quantity
            short = variant.levels[self.location].available < asked[variant.item_id]
            if variant.tracked and variant.policy == "DENY" and short:
                raise SoldOut(variant.sku)
        lines = [Line(self.ids.new(), variant, quantity, quantity) for variant, quantity in wanted]
        order = Order(self.ids.new(), self.location, at, at, lines)
        for line in lines:
            self._commit(line, line.quantity)
        self.orders[order.order_id] = order
        return order

    def cancel(self, order: Order, *, restock: bool, at: datetime) -> Refund | None:
        """Cancel every unfulfilled unit; the refund that records it, None if there was none."""
        units = [
            self._refund_unfulfilled(order, line, line.unfulfilled, restock=restock)
            for line in order.lines
            if line.unfulfilled
        ]
        order.cancelled_at = at
        order.closed_at = at
        return self._record(order, units, at) if units else None

    def refund(
        self, order: Order, line: Line, quantity: int, *, restock: bool, at: datetime
    ) -> Refund:
        """Refund `quantity` units of `line`, unfulfilled ones first."""
        assert 0 < quantity <= order.current(line), "only what is still there can be refunded"
        first = min(quantity, line.unfulfilled)
        units = []
        if first:
            units.append(self._refund_unfulfilled(order, line, first, restock=restock))
        if quantity > first:
            units.append(self._refund_fulfilled(order, line, quantity - first, restock=restock))
        return self._record(order, units, at)

    def edit(
        self, order: Order, line: Line, quantity: int, *, recorded: bool, at: datetime
    ) -> None:
        """Set what is currently ordered of `line`; fulfilled units cannot be removed.

        What is removed goes back on sale: `recorded` as a refund, or only by a lower number.
        """
        change = quantity - order.current(line)
        order.edited = True
        if change > 0:
            line.quantity += change
            line.unfulfilled += change
            self._commit(line, change)
            return
        removed = min(-change, line.unfulfilled)
        if removed and recorded:
            units = [self._refund_unfulfilled(order, line, removed, restock=True)]
            self._record(order, units, at)
        elif removed:
            line.removed += removed
            line.unfulfilled -= removed
            self._release(line, removed, restock=True)

    def ship(self, order: Order, units: list[tuple[Line, int]], *, at: datetime) -> None:
        """Fulfil `units`; the order closes when nothing is left to do."""
        for line, quantity in units:
            assert 0 < quantity <= line.unfulfilled, "only what is unfulfilled can be shipped"
            line.unfulfilled -= quantity
            self._level(line).committed -= quantity
        fulfilment = Fulfilment(self.ids.new(), "success", units)
        order.fulfilments.append(fulfilment)
        self.by_fulfilment[fulfilment.fulfilment_id] = order
        if not any(line.unfulfilled for line in order.lines):
            order.closed_at = at

    def line_of(self, order: Order, variant: Variant) -> Line | None:
        """Return the first line of `order` for `variant` that still has units."""
        lines = [line for line in order.lines if line.variant is variant]
        return next((line for line in lines if order.current(line)), lines[0] if lines else None)

    def _commit(self, line: Line, quantity: int) -> None:
        level = self._level(line)
        level.available -= quantity
        level.committed += quantity

    def _release(self, line: Line, quantity: int, *, restock: bool) -> None:
        level = self._level(line)
        level.committed -= quantity
        level.available += quantity if restock else 0

    def _refund_unfulfilled(
        self, order: Order, line: Line, quantity: int, *, restock: bool
    ) -> Refunded:
        line.unfulfilled -= quantity
        self._release(line, quantity, restock=restock)
        return self._refunded(order, line, quantity, "cancel" if restock else "no_restock")

    def _refund_fulfilled(
        self, order: Order, line: Line, quantity: int, *, restock: bool
    ) -> Refunded:
        self._level(line).available += quantity if restock else 0
        return self._refunded(order, line, quantity, "return" if restock else "no_restock")

    def _refunded(self, order: Order, line: Line, quantity: int, restock_type: str) -> Refunded:
        location = None if restock_type == "no_restock" else order.location
        return Refunded(self.ids.new(), line, quantity, restock_type, location)

    def _record(self, order: Order, units: list[Refunded], at: datetime) -> Refund:
        refund = Refund(self.ids.new(), at, units)
        order.refunds.append(refund)
        self.by_refund[refund.refund_id] = order
        return refund

    def _level(self, line: Line) -> Level:
        return line.variant.levels[self.location]
