"""The emulated Shopify shop: one class, the people's side and the daemon's side."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stockpush.sim.shops.base import (
    ConnectionDropped,
    Faults,
    OrderTruth,
    ShopAnswer,
    ShopRequest,
    WebhookOut,
)
from stockpush.sim.shops.shopify.access import PATH as TOKEN_PATH
from stockpush.sim.shops.shopify.access import Access
from stockpush.sim.shops.shopify.answers import Shown
from stockpush.sim.shops.shopify.api import Bucket, GraphQLDoor
from stockpush.sim.shops.shopify.bulk import PATH as BULK_PATH
from stockpush.sim.shops.shopify.bulk import Bulk
from stockpush.sim.shops.shopify.inventory import Inventory, UserErrors
from stockpush.sim.shops.shopify.orders import Book
from stockpush.sim.shops.shopify.outbox import Outbox
from stockpush.sim.shops.shopify.payloads import (
    edit_payload,
    level_payload,
    order_payload,
    refund_payload,
)
from stockpush.sim.shops.shopify.queries import Queries
from stockpush.sim.shops.shopify.state import Ids, Level, Line, Order, Refund, Variant

API_VERSION = "2026-10"
TOPICS = (
    "orders/create",
    "orders/updated",
    "orders/cancelled",
    "orders/edited",
    "orders/delete",
    "refunds/create",
    "inventory_levels/update",
)


class ShopifyShop:
    """`sim.shops.base.Shop` for Shopify. A `listing` is a variant's number, as text.

    `domain` is the shop's host name, `location` the one location that orders are committed at,
    `other_locations` ones whose levels exist beside it. `schema_path` is the introspection of the
    Admin API to check every request against, None to go without. `edits_are_recorded`: units
    removed by an edit show as a refund with restock type cancel; otherwise only as a lower number.
    `access_token` is good for good, `access` grants tokens that run out.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime],
        dice: random.Random,
        access_token: str | None,
        webhook_secret: str,
        domain: str = "demo.myshopify.com",
        location: int = 1,
        other_locations: tuple[int, ...] = (),
        schema_path: Path | None = None,
        points_max: float = 2000.0,
        points_per_s: float = 100.0,
        edits_are_recorded: bool = True,
        access: Access | None = None,
    ) -> None:
        self.name = name
        self.access = access
        self.clock = clock
        self.dice = dice
        self.faults = Faults()
        self.location = location
        self.edits_are_recorded = edits_are_recorded
        self.ids = Ids()
        self.variants: dict[int, Variant] = {}
        self.book = Book(self.ids, location)
        self.inventory = Inventory({}, (location, *other_locations))
        self.outbox = Outbox(domain, API_VERSION, webhook_secret.encode(), dice, self.faults)
        self.bulk = Bulk(self.variants, self._reading, clock, dice, schema_path)
        self.door = GraphQLDoor(
            path=f"/admin/api/{API_VERSION}/graphql.json",
            access_token=access_token,
            access=access,
            handlers=Queries(
                self.book,
                self.inventory,
                self.variants,
                self._set_quantities,
                self._activate,
                self._reading,
                clock,
                self.outbox,
                self.bulk,
            ).by_name(),
            mutations=frozenset({"SetQuantities", "Activate"}),
            clock=clock,
            dice=dice,
            faults=self.faults,
            bucket=Bucket(points_max, points_per_s, points_max, clock()),
            schema_path=schema_path,
        )

    # -- setting up ---------------------------------------------------------------------------

    def add_variant(
        self,
        sku: str,
        available: int,
        *,
        variant_id: int | None = None,
        item_id: int | None = None,
        policy: str = "DENY",
        tracked: bool = True,
        bundle: bool = False,
        stocked: bool = True,
    ) -> Variant:
        """Put a variant on sale; one that names an existing `item_id` shares its levels."""
        item = item_id or self.ids.new()
        sharing = self.inventory.items.setdefault(item, [])
        levels = sharing[0].levels if sharing else {}
        if stocked and not sharing:
            levels[self.location] = Level(available)
            self._note(levels[self.location])
        variant = Variant(variant_id or self.ids.new(), item, sku, levels, policy, tracked, bundle)
        sharing.append(variant)
        self.variants[variant.variant_id] = variant
        return variant

    def remove_variant(self, listing: str) -> None:
        """The merchant deletes a variant, and with it its inventory item."""
        self._variant(listing).deleted = True

    def subscribe(self, url: str, *, topics: tuple[str, ...] = TOPICS) -> None:
        """Send webhooks of `topics` to `url` from now on."""
        for topic in topics:
            self.outbox.subscribe(topic, url)

    # -- the daemon's side ----------------------------------------------------------------------

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer one API request; raises `ConnectionDropped` where a fault says so."""
        if self.access is not None and request.path == TOKEN_PATH:
            if self.faults.is_on("unreachable"):
                raise ConnectionDropped(applied=False)
            return self.access.handle(request)
        if request.path.startswith(BULK_PATH):
            return self.bulk.handle(request)
        self.bulk.asked_at(request.headers.get("host", self.outbox.domain))
        return self.door.handle(request)

    def webhooks_due(self) -> list[WebhookOut]:
        """Take the delivery attempts that are due now out of the outbox."""
        return self.outbox.due(self.clock())

    def webhook_answered(self, out: WebhookOut, status: int | None) -> None:
        """Record how an attempt ended (None: no answer)."""
        self.outbox.answered(out, status, at=self.clock())

    def next_webhook_at(self) -> datetime | None:
        """Return when the next delivery attempt is due."""
        return self.outbox.next_at()

    def lose_webhooks(self) -> None:
        """The platform deletes every subscription, as after too many failures."""
        self.outbox.lose()

    # -- the people's side ------------------------------------------------------------------------

    def checkout(self, lines: list[tuple[str, int]]) -> str:
        """A shopper buys; return the order's number or raise `SoldOut`."""
        wanted = [(self._variant(listing), quantity) for listing, quantity in lines]
        order = self.book.place(wanted, at=self._now())
        self._changed(order)
        self._tell_order(order, "orders/create")
        self._tell_levels(variant for variant, _ in wanted)
        return str(order.order_id)

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """The merchant cancels what has not shipped."""
        order = self._order(order_id)
        refund = self.book.cancel(order, restock=restock, at=self._now())
        self._touch(order)
        self._tell_order(order, "orders/cancelled", "orders/updated")
        self._tell_refund(order, refund)
        self._tell_levels(line.variant for line in order.lines)

    def refund(self, order_id: str, listing: str, quantity: int, *, restock: bool) -> None:
        """The merchant refunds units of a line, unfulfilled ones first."""
        order = self._order(order_id)
        line = self._line(order, listing)
        refund = self.book.refund(order, line, quantity, restock=restock, at=self._now())
        self._touch(order)
        self._tell_refund(order, refund)
        self._tell_order(order, "orders/updated")
        if restock:
            self._tell_levels([line.variant])

    def edit(self, order_id: str, listing: str, quantity: int) -> None:
        """The merchant sets the quantity of a line, adding the line if there is none."""
        order = self._order(order_id)
        variant = self._variant(listing)
        line = self.book.line_of(order, variant)
        if line is None:
            line = Line(self.ids.new(), variant, 0, 0)
            order.lines.append(line)
        before = order.current(line)
        self.book.edit(order, line, quantity, recorded=self.edits_are_recorded, at=self._now())
        self._touch(order)
        change = {"id": line.line_id, "delta": abs(quantity - before)}
        rises = quantity > before
        body = edit_payload(
            order,
            self.ids.new(),
            additions=[change] if rises else [],
            removals=[] if rises else [change],
            at=self._now(),
        )
        self.outbox.tell("orders/edited", body, at=self._now())
        self._tell_order(order, "orders/updated")
        self._tell_levels([variant])

    def ship(self, order_id: str) -> None:
        """The merchant ships everything that is open."""
        order = self._order(order_id)
        self.ship_units(
            order_id,
            [
                (str(line.variant.variant_id), line.unfulfilled)
                for line in order.lines
                if line.unfulfilled
            ],
        )

    def ship_units(self, order_id: str, units: list[tuple[str, int]]) -> None:
        """The merchant ships some units (listing, quantity), in one fulfilment."""
        if not units:
            return
        order = self._order(order_id)
        lines = [(self._line(order, listing), quantity) for listing, quantity in units]
        self.book.ship(order, lines, at=self._now())
        self._touch(order)
        self._tell_order(order, "orders/updated")

    def delete_order(self, order_id: str) -> None:
        """The merchant deletes an order: only its id is told, stock does not move."""
        order = self.book.orders.pop(int(order_id))
        self.book.changed.drop(order.order_id)
        self.outbox.tell("orders/delete", {"id": order.order_id}, at=self._now())

    def merchant_sets(self, listing: str, quantity: int) -> None:
        """The merchant types a number into the shop's own admin."""
        variant = self._variant(listing)
        variant.levels[self.location].available = quantity
        self._tell_levels([variant])

    def quantity(self, listing: str) -> int:
        """Return what the shop would sell of this listing."""
        return self._variant(listing).levels[self.location].available

    def numbers(self) -> dict[str, int]:
        """Return listing -> `available` at our location."""
        here = self.location
        return {
            str(number): variant.levels[here].available
            for number, variant in self.variants.items()
            if not variant.deleted and variant.tracked and here in variant.levels
        }

    def lines(self) -> Iterator[OrderTruth]:
        """Yield every line of every order; a deleted order is gone."""
        for order in self.book.orders.values():
            for line in order.lines:
                yield OrderTruth(
                    order_id=str(order.order_id),
                    line_id=str(line.line_id),
                    listing=str(line.variant.variant_id),
                    ordered=line.quantity,
                    open=line.unfulfilled,
                    deducted=line.quantity - line.removed - order.restocked(line),
                    shipped=order.sent(line) - order.returned(line),
                    status=order.status,
                    placed_at=order.created_at,
                )

    # -- telling ----------------------------------------------------------------------------------

    def _set_quantities(self, given: dict[str, Any], key: str) -> UserErrors:
        """Carry out the mutation; our own writes come back to us as webhooks too."""
        errors, changed = self.inventory.set_quantities(given, key, at=self._now())
        for variant, location in changed:
            self._tell_level(variant, location)
        return errors

    def _activate(self, given: dict[str, Any]) -> tuple[UserErrors, Level | None]:
        """Stock an item at a location."""
        errors, level, changed = self.inventory.activate(given, at=self._now())
        for variant, location in changed:
            self._tell_level(variant, location)
        return errors, level

    def _reading(self) -> Shown:
        """Return what one request shows of the levels: the state of one instant, now or before."""
        faults = self.faults
        if faults.stale_read_s <= 0:
            return _available
        at = self.clock() - timedelta(seconds=self.dice.uniform(0, faults.stale_read_s))

        def shown(level: Level) -> int:
            number = level.past.as_of(at)
            if number is None or number == level.available:
                return level.available
            faults.struck["stale_read_s"] += 1
            return number

        return shown

    def _note(self, level: Level) -> None:
        level.past.note(level.available, at=self.clock(), kept_s=self.faults.stale_read_s)

    def _tell_level(self, variant: Variant, location: int) -> None:
        self._note(variant.levels[location])
        body = level_payload(variant, location, self._now())
        self.outbox.tell("inventory_levels/update", body, at=self._now())

    def _tell_levels(self, variants: Iterable[Variant]) -> None:
        once = {variant.item_id: variant for variant in variants}
        for variant in once.values():
            self._tell_level(variant, self.location)

    def _tell_order(self, order: Order, *topics: str) -> None:
        for topic in topics:
            self.outbox.tell(topic, order_payload(order), at=self._now())

    def _tell_refund(self, order: Order, refund: Refund | None) -> None:
        if refund is not None:
            self.outbox.tell("refunds/create", refund_payload(order, refund), at=self._now())

    def _touch(self, order: Order) -> None:
        order.updated_at = self._now()
        self._changed(order)

    def _changed(self, order: Order) -> None:
        """Have lists find the order by its change, at once or as late as they lag."""
        at = visible_at = order.updated_at
        if self.faults.orders_lag_s > 0:
            self.faults.struck["orders_lag_s"] += 1
            lag_s = self.dice.uniform(0, self.faults.orders_lag_s)
            visible_at = self.clock() + timedelta(seconds=lag_s)
        self.book.changed.note(order.order_id, at, visible_at=visible_at)

    def _now(self) -> datetime:
        """Return the clock floored to the second, as Shopify stores it."""
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def _variant(self, listing: str) -> Variant:
        return self.variants[int(listing)]

    def _order(self, order_id: str) -> Order:
        return self.book.orders[int(order_id)]

    def _line(self, order: Order, listing: str) -> Line:
        line = self.book.line_of(order, self._variant(listing))
        assert line is not None, f"order {order.order_id} has no line of {listing}"
        return line


def _available(level: Level) -> int:
    return level.available
