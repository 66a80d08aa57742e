"""What one command has changed so far: the core's only mutable thing, gone when it has decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from stockpush.messages import Decision, Event, Heard
from stockpush.model import (
    MAIN,
    UNLOTTED,
    ChannelState,
    Delivery,
    Drift,
    DriftClass,
    Field,
    FieldKey,
    Hold,
    Item,
    ListingKey,
    Lot,
    LotKey,
    LotRule,
    Owed,
    Reservation,
    ReservationKey,
    Rest,
    Shelf,
    StockMovement,
    shelf_key,
    sku_of,
)
from stockpush.reservation import lots, older
from stockpush.reservation.view import View
from stockpush.values import replace

_NONE: Mapping[int, int] = MappingProxyType({})
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
        self.lots: dict[LotKey, Lot] = {}
        self.items: dict[str, Item] = {}
        self.listed_horizons: dict[str, tuple[int, ...]] = {}
        self.touched: set[str] = set()
        self.touched_fields: set[FieldKey] = set()

    def shelf(self, sku: str) -> Shelf:
        """Return the shelf of a key as changed so far."""
        return self.shelves.get(sku) or self.view.shelf(sku)

    def field(self, key: FieldKey) -> Field | None:
        """Return the field as changed so far."""
        return self.fields.get(key) or self.view.field(key)

    def move(
        self,
        movement: StockMovement,
        *,
        bill: int | None = None,
        back: Sequence[Owed] = (),
        since: Shelf | None = None,
    ) -> None:
        """Write one movement and its balance, at the very place and lot that it names.

        `bill` is the version of its item's bill that it goes by, where anybody knows. `back` is
        what undone movements had changed of what is owed. `since` is the shelf before the movement
        that this one takes back some of: what is owed is reckoned for both at once.
        """
        pool = self.view.catalogue.pool_at(movement.location)
        before = since or self.shelf(shelf_key(movement.sku, pool))
        if movement.lot is not None or movement.location != MAIN:
            lot = self.lot(LotKey(movement.sku, movement.location, movement.lot or UNLOTTED))
            self.put_lot(replace(lot, on_hand=lot.on_hand + movement.quantity))
        else:
            self._shelve(movement.sku, movement.quantity)  # in MAIN, where the key is the SKU
        by = bill if bill is not None and self.keeps(movement.sku, bill) else None
        if before.pins or by is not None or back:
            movement = replace(movement, owed=self._owe(before, by, back))
        self.movements.append(movement)

    def _owe(self, before: Shelf, by: int | None, back: Sequence[Owed]) -> tuple[Owed, ...]:
        """Reckon what is owed by older bills of a shelf that was moved; return what changes.

        `by` is the older bill that what moved goes by.
        """
        after = self.shelf(before.key)
        back = [each for each in back if self.keeps(before.sku, each.version)]
        owed = older.reckoned(before, after.on_hand, by=by, back=back)
        shelf, changed = older.with_owed(after, owed, lambda version: self.rests_by(after, version))
        if changed:
            self.shelves[shelf.key] = shelf
        return changed

    def keeps(self, sku: str, version: int) -> bool:
        """Answer whether a version of the item's bill is one of the older ones that are kept."""
        bills = self.view.catalogue.bills
        return any(bills.made[name].version == version for name in bills.older.get(sku, ()))

    def rests_by(self, shelf: Shelf, version: int) -> tuple[Rest, ...]:
        """Return what builds by an older bill have left of roundings on a shelf."""
        # What leaves last has no pin any more.
        pins = (*shelf.pins, *self.view.shelf(shelf.key).pins)
        return next((pin.rests for pin in pins if pin.version == version), ())

    def come(self, movement: StockMovement, *, pool: str, bill: int | None = None) -> None:
        """Write a movement, at no place yet, where things lie in a pool if nobody says where.

        `bill` as of `move`.
        """
        home = self.view.catalogue.home(pool)
        self.move(movement if home == MAIN else replace(movement, location=home), bill=bill)

    def take(
        self,
        movement: StockMovement,
        *,
        location: str | None = None,
        pool: str = MAIN,
        bill: int | None = None,
    ) -> None:
        """Write what goes out (`quantity` < 0) where it is picked: a movement for each place.

        `location`: only what lies there is taken, whether it is sold from there or not; without
        one, what lies in the `pool`. `bill` as of `move`.
        """
        if movement.sku not in self.view.catalogue.lotted:
            self.come(movement, pool=pool, bill=bill)
            return
        self.turn_lots(movement.sku)
        for each in self.picks(movement.sku, -movement.quantity, location, pool=pool):
            self.move(
                replace(movement, quantity=-each.quantity, location=each.location, lot=each.lot),
                bill=bill,
            )

    def picks(
        self, sku: str, quantity: int, location: str | None, *, pool: str = MAIN
    ) -> tuple[lots.Pick, ...]:
        """Return what to take where for `quantity` of an item, at `location` or wherever it lies
        in the `pool`.

        The item's lots have been turned.
        """
        catalogue = self.view.catalogue
        found = self.lots_of(sku)
        if location is not None:
            found = lots.at_place(found, location, at=self.at)
        else:
            found = [lot for lot in found if catalogue.pool_at(lot.key.location) == pool]
        return lots.pick(
            found,
            quantity,
            at=self.at,
            unlotted=self.unlotted(sku),
            location=location,
            home=catalogue.home(pool),
        )

    def unlotted(self, sku: str) -> int:
        """Return what lies at MAIN of an item in no lot (signed)."""
        pool_at = self.view.catalogue.pool_at
        counted = (
            lot.on_hand
            for lot in self.lots_of(sku)
            if lot.counts and pool_at(lot.key.location) == MAIN
        )
        return self.shelf(sku).on_hand - sum(counted)

    # -- lots ----------------------------------------------------------------------------------

    def lot(self, key: LotKey) -> Lot:
        """Return the lot as changed so far.

        One that is not there yet is empty, and what it is at another location, or begins now.
        """
        known = self.lots.get(key) or self.view.rows.lots.get(key)
        if known is not None:
            return known
        others = (lot for lot in self.lots_of(key.sku) if lot.key.lot == key.lot != UNLOTTED)
        like = next(others, None)
        return self._turned(
            Lot(key, self.at) if like is None else replace(like, key=key, on_hand=0)
        )

    def lots_of(self, sku: str) -> list[Lot]:
        """Return every lot of the item as changed so far, by key; the item's were gathered."""
        rows = {key: lot for key, lot in self.view.rows.lots.items() if key.sku == sku}
        rows |= {key: lot for key, lot in self.lots.items() if key.sku == sku}
        return [rows[key] for key in sorted(rows)]

    def put_lot(self, lot: Lot, *, was_in: str | None = None) -> None:
        """Record a lot's new value, turned, and what that makes of the shelf.

        `was_in` is the pool that its location belonged to, where it belongs to another one now.
        """
        key, pool = lot.key, self.view.catalogue.pool_at(lot.key.location)
        before = self.lots.get(key) or self.view.rows.lots.get(key)
        listed = self._listed_horizons(key.sku)
        was, came = (0, 0) if before is None else _counted(before)
        came_by = {} if before is None else lots.coming_by(before, listed)
        after = self._turned(lot)
        self.lots[key] = after
        counts, comes = _counted(after)
        by = lots.coming_by(after, listed)
        if was_in not in (None, pool):
            self._shelve(
                shelf_key(key.sku, was_in), -was, coming=-came, by=_difference({}, came_by)
            )
            was, came, came_by = 0, 0, {}
        if (counts, comes, by) != (was, came, came_by):
            more = _difference(by, came_by)
            self._shelve(shelf_key(key.sku, pool), counts - was, coming=comes - came, by=more)
        item = self.items.get(key.sku) or self.view.catalogue.items.get(key.sku)
        if item is not None and item.lots is LotRule.NEVER:
            # From now on whoever moves this item asks for its lots.
            self.items[key.sku] = replace(item, lots=LotRule.SOME)

    def relist(self, listed: Mapping[str, tuple[int, ...]]) -> None:
        """Let listings of some items, by SKU, say these horizons from now on.

        Nothing comes by them before all the lots of the items are put again.
        """
        self.listed_horizons.update(listed)
        for key, shelf in self.view.rows.shelves.items():
            if shelf.sku in listed and shelf.coming_by:
                self.shelves[key] = replace(self.shelf(key), coming_by=())
                self.touched.add(key)
        for lot in self.view.rows.lots.values():
            if lot.key.sku in listed:
                self.lots[lot.key] = replace(lot, within_s=None)

    def _listed_horizons(self, sku: str) -> tuple[int, ...]:
        """Return the horizons that listings of an item say."""
        known = self.listed_horizons.get(sku)
        return self.view.catalogue.listed_horizons.get(sku, ()) if known is None else known

    def _shelve(
        self, key: str, units: int, *, coming: int = 0, by: Mapping[int, int] = _NONE
    ) -> None:
        """Change what is on hand of a shelf by `units`, and what comes to it, also `by` the
        horizons of listings (all signed).
        """
        shelf = self.shelf(key)
        self.shelves[key] = replace(
            shelf,
            on_hand=shelf.on_hand + units,
            coming=shelf.coming + coming,
            coming_by=lots.added(shelf.coming_by, by) if by else shelf.coming_by,
        )
        self.touched.add(key)

    def turn_lots(self, sku: str) -> None:
        """Take account of what the clock has changed of the item's lots."""
        for lot in self.lots_of(sku):
            if lot.turns_at is not None and lot.turns_at <= self.at:
                self.put_lot(lot)
                after = self.lots[lot.key]
                stands = lots.state(after, self.at, place_sells=True).value
                is_coming = after.comes or after.within_s is not None
                told = "coming" if is_coming else stands
                fields = {"sku": sku, "location": lot.key.location, "state": told}
                self.events.append(Event("lot.turned", fields))

    def _turned(self, lot: Lot) -> Lot:
        sells = self.view.catalogue.sells_from(lot.key.location)
        item = self.items.get(lot.key.sku) or self.view.catalogue.items.get(lot.key.sku)
        return lots.turned(
            lot,
            self.at,
            place_sells=sells,
            horizon_s=None if item is None else item.horizon_s,
            listed=self._listed_horizons(lot.key.sku),
        )

    # -- what is claimed, and fields -----------------------------------------------------------

    def reserve(self, shelf: str, units: int, bill: int, *, moved: bool = False) -> int:
        """Change the open reservation units of a shelf by `units` (signed, smallest units), which
        go by version `bill` of its item's bill; return the version that they go by now.

        `moved`: they were open in another pool, and go by the same version in this one.
        """
        present, row = self.present_bill(sku_of(shelf)), self.shelf(shelf)
        by_an_older = None if bill == present else older.reserve(row, units, bill, anew=moved)
        if units:
            self.shelves[shelf] = by_an_older or replace(row, reserved=row.reserved + units)
            self.touched.add(shelf)
        return present if by_an_older is None else bill

    def claim(self, supply: str, units: int) -> None:
        """Change what orders are still to take once of a supply's shelf by `units` (signed)."""
        self.reserve(supply, units, self.present_bill(sku_of(supply)))

    def present_bill(self, sku: str) -> int:
        """Return the version of the item's bill, 1 without one."""
        bill = self.view.catalogue.bills.by_item.get(sku)
        return 1 if bill is None else bill.version

    def hold(self, key: str, units: int, bill: int) -> None:
        """Change a shelf's units in open holds by `units` (signed, smallest units), which go by
        version `bill` of its item's bill.
        """
        shelf = self.shelf(key)
        by_an_older = None
        if bill != self.present_bill(sku_of(key)):
            by_an_older = older.hold(shelf, units, bill)
        self.shelves[key] = by_an_older or replace(shelf, held=shelf.held + units)
        self.touched.add(key)

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
        self.touched.add(self.view.catalogue.shelf_on(field.key.channel, field.sku))
        self.touched_fields.add(field.key)

    def _to_be_read(self, field: Field) -> Field:
        """Return the field with its next reading set: no number is trusted for ever (R9)."""
        policy = self.view.catalogue.policies.get(field.key.channel)
        if policy is None or field.expected is None or field.parked_reason is not None:
            return field
        if field.read_due_at is not None:
            return field
        wait = timedelta(seconds=policy.reconcile_s)
        if field.hold or field.surplus or field.unsure:
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
            lots=tuple(self.lots.values()),
            items=tuple(self.items.values()),
            shelves=tuple(self.shelves.values()),
            fields=tuple(self.fields.values()),
            reservations=tuple(self.reservations.values()),
            holds=tuple(self.holds.values()),
            events=tuple(self.events),
            drifts=tuple(self.drifts),
            touched_skus=frozenset(self.touched),
            touched_fields=frozenset(self.touched_fields),
        )


def _difference(after: Mapping[int, int], before: Mapping[int, int]) -> Mapping[int, int]:
    """Return by how much each horizon has more after than before."""
    if not after and not before:
        return _NONE
    return {each: after.get(each, 0) - before.get(each, 0) for each in after.keys() | before.keys()}


def _counted(lot: Lot) -> tuple[int, int]:
    """Return what of a lot is in the shelf's on hand, and in what comes to it."""
    return lot.on_hand * lot.counts, lot.on_hand * lot.comes
