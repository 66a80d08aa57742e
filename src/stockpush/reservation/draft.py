"""What one command has changed so far: the core's only mutable thing, gone when it has decided."""

from __future__ import annotations

from datetime import datetime, timedelta

from stockpush.messages import Decision, Event, Heard
from stockpush.model import (
    ChannelState,
    Delivery,
    Drift,
    DriftClass,
    Field,
    FieldKey,
    Hold,
    ListingKey,
    Reservation,
    ReservationKey,
    Shelf,
    StockMovement,
)
from stockpush.reservation.view import View
from stockpush.values import replace

SUSPENSE_READ_EVERY = timedelta(seconds=60)
"""How often a field with a hold or surplus is read again, until something explains it."""


class Draft:
    """What one command has changed so far, row by row, over an unchanged view."""

    def __init__(self, view: View, at: datetime) -> None:
        """Start with nothing changed, at instant `at`."""
        self.view = view
        self.at = at
        self.shelves: dict[str, Shelf] = {}
        self.fields: dict[FieldKey, Field] = {}
        self.reservations: dict[ReservationKey, Reservation] = {}
        self.holds: dict[int, Hold] = {}
        self.movements: list[StockMovement] = []
        self.events: list[Event] = []
        self.drifts: list[Drift] = []
        self.touched: set[str] = set()
        self.touched_fields: set[FieldKey] = set()

    def shelf(self, sku: str) -> Shelf:
        """Return the item's shelf as changed so far."""
        return self.shelves.get(sku) or self.view.shelf(sku)

    def field(self, key: FieldKey) -> Field | None:
        """Return the field as changed so far."""
        return self.fields.get(key) or self.view.field(key)

    def move(self, movement: StockMovement) -> None:
        """Write one movement and its balance."""
        shelf = self.shelf(movement.sku)
        self.shelves[movement.sku] = replace(shelf, on_hand=shelf.on_hand + movement.quantity)
        self.movements.append(movement)
        self.touched.add(movement.sku)

    def reserve(self, sku: str, units: int) -> None:
        """Change the item's open reservation units by `units` (signed, smallest units)."""
        if units:
            shelf = self.shelf(sku)
            self.shelves[sku] = replace(shelf, reserved=shelf.reserved + units)
            self.touched.add(sku)

    def hold(self, sku: str, units: int) -> None:
        """Change the item's units in open holds by `units` (signed, smallest units)."""
        shelf = self.shelf(sku)
        self.shelves[sku] = replace(shelf, held=shelf.held + units)
        self.touched.add(sku)

    def change(self, field: Field) -> None:
        """Record a field's new value; its drift is closed with its last suspended unit."""
        before = self.field(field.key)
        self._put(field)
        suspended = before is not None and (before.hold or before.surplus)
        if before is not None and suspended and not (field.hold or field.surplus):
            self.close_drift(before, DriftClass.UNSEEN_SALE, "orders explain it")

    def let_go(self, before: Field, after: Field, drift_class: DriftClass, resolution: str) -> None:
        """Record that a field's hold and surplus were let go, and why."""
        self._put(after)
        if (before.hold or before.surplus) and not (after.hold or after.surplus):
            self.close_drift(before, drift_class, resolution)

    def _put(self, field: Field) -> None:
        self.fields[field.key] = self._to_be_read(field)
        self.touched.add(field.sku)
        self.touched_fields.add(field.key)

    def _to_be_read(self, field: Field) -> Field:
        """Return the field with its next reading set: no number is trusted for ever (R9)."""
        policy = self.view.catalogue.policies.get(field.key.channel)
        if policy is None or field.expected is None or field.parked_reason is not None:
            return field
        if field.read_due_at is not None:
            return field
        wait = timedelta(seconds=policy.reconcile_s)
        if field.hold or field.surplus:
            wait = min(SUSPENSE_READ_EVERY, wait)
        return replace(field, read_due_at=self.at + wait)

    def wish(self, field: Field) -> None:
        """Record that a field is wanted to be read: nothing that its target depends on changed."""
        self.fields[field.key] = field

    def close_drift(self, field: Field, drift_class: DriftClass, resolution: str) -> None:
        """Close the open drift of a field."""
        self.drifts.append(
            Drift(
                field=field.key,
                expected=(field.expected or 0) + field.hold - field.surplus,
                observed=field.expected or 0,
                drift_class=drift_class,
                opened_at=field.suspense_since or self.at,
                resolution=resolution,
                closed_at=self.at,
            )
        )
        self.events.append(
            Event(
                "drift.closed",
                {
                    "channel": field.key.channel,
                    "listing": field.key.key,
                    "sku": field.sku,
                    "resolution": resolution,
                },
            )
        )

    def decision(
        self,
        *,
        deliveries: tuple[Delivery, ...] = (),
        deliveries_applied: tuple[tuple[int, datetime], ...] = (),
        channels: tuple[ChannelState, ...] = (),
        resolve_now: frozenset[ListingKey] = frozenset(),
        heard: tuple[Heard, ...] = (),
    ) -> Decision:
        """Return everything changed so far as one decision, with what only deliveries change."""
        return Decision(
            deliveries=deliveries,
            deliveries_applied=deliveries_applied,
            channels=channels,
            resolve_now=resolve_now,
            heard=heard,
            movements=tuple(self.movements),
            shelves=tuple(self.shelves.values()),
            fields=tuple(self.fields.values()),
            reservations=tuple(self.reservations.values()),
            holds=tuple(self.holds.values()),
            events=tuple(self.events),
            drifts=tuple(self.drifts),
            touched_skus=frozenset(self.touched),
            touched_fields=frozenset(self.touched_fields),
        )
