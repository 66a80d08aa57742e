"""Model values to table rows and back: the store's edge.

A row is a tuple in the column order of its table in `schema.py` (without the row id where the
database gives it out). Instants become microseconds since 1970-01-01 UTC, flags 0 or 1, JSON
text; coming back they are aware UTC datetimes, bools and tuples again. Every value survives the
round trip exactly; a test takes each model class through it with no field at its default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from stockpush.errors import StoreDamaged
from stockpush.messages import CommandDone
from stockpush.model import (
    NO_SCRAP,
    BillLine,
    BillOfMaterials,
    ChannelState,
    Coming,
    Credential,
    Delivery,
    DeliveryState,
    Dirty,
    Drift,
    DriftClass,
    Exposure,
    Feed,
    Field,
    FieldKey,
    Health,
    HeardBy,
    Hold,
    HoldLine,
    HoldState,
    Item,
    Kind,
    Listing,
    ListingKey,
    Location,
    Lot,
    LotKey,
    LotRule,
    MovementKind,
    OrderSupply,
    OrderVersion,
    Owed,
    Pin,
    Promise,
    PurchaseUnit,
    Push,
    PushOutcomeKind,
    Reservation,
    ReservationKey,
    ReservationState,
    Rest,
    Scrap,
    Shelf,
    StockMovement,
)
from stockpush.packed import Packed
from stockpush.ports import Request

Row: TypeAlias = Sequence[Any]
V = TypeVar("V")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
SEEN_MAX: Final = 10_000
"""How many fields are kept with their rows, a kilobyte and a half each."""
_NOTHING: Final = "[]"
_RESTS: Final = msgspec.json.Decoder(tuple[Rest, ...])
_PINS: Final = msgspec.json.Decoder(tuple[Pin, ...])
_COMING: Final = msgspec.json.Decoder(tuple[Coming, ...])
_OWED: Final = msgspec.json.Decoder(tuple[Owed, ...])
_OVERRIDES: Final = msgspec.json.Decoder(tuple[BillLine, ...])
_PER_ORDER: Final = msgspec.json.Decoder(tuple[OrderSupply, ...])
_PURCHASE_UNITS: Final = msgspec.json.Decoder(tuple[PurchaseUnit, ...])
_NOT_OURS: Final = (ArithmeticError, LookupError, TypeError, ValueError, msgspec.MsgspecError)


def each(read: Callable[[Row], V], found: Iterable[Row]) -> tuple[V, ...]:
    """Return what rows say; `StoreDamaged` for one that says what no version of ours has written.

    For the read side: in the commit lane such a row is the misfortune of the command that needs it.
    """
    return all_of(lambda: tuple(read(row) for row in found))


def all_of(read: Callable[[], tuple[V, ...]]) -> tuple[V, ...]:
    """Return what rows say that are read together; `StoreDamaged` as `each`."""
    try:
        return read()
    except _NOT_OURS as error:
        raise _damaged(error) from error


def keep(values: Packed[V], found: Iterable[Row]) -> None:
    """Put rows to packed values; `StoreDamaged` as `each`."""
    try:
        values.add(found)
    except _NOT_OURS as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> StoreDamaged:
    return StoreDamaged(
        f"The database is damaged: a row cannot be understood ({type(error).__name__}).",
        next="stockpush check --deep",
    )


def micros(instant: datetime) -> int:
    """Return an aware instant as microseconds since 1970-01-01 UTC, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    """Return the aware UTC instant of `micros`."""
    return _EPOCH + micros * _MICROSECOND


def micros_or_none(instant: datetime | None) -> int | None:
    """Return `micros`, or None for an instant that is not known."""
    return None if instant is None else (instant - _EPOCH) // _MICROSECOND


def instant_or_none(micros: int | None) -> datetime | None:
    """Return `instant`, or None where the column is NULL."""
    return None if micros is None else _EPOCH + micros * _MICROSECOND


def json_text(value: Any) -> str:
    """Return `value` as JSON text."""
    return msgspec.json.encode(value).decode()


# -- the catalogue ---------------------------------------------------------------------------


def item_row(item: Item) -> Row:
    """Return the row of `item`."""
    return (
        item.sku,
        item.name,
        item.kind.value,
        item.unit,
        item.scale,
        json_text(item.purchase_units),
        item.promise.value,
        item.buildable_max,
        item.lots.value,
        None if item.exposure is None else item.exposure.value,
        item.guard_min,
        item.home_channel,
        item.exposure_max,
        item.substitute_for,
        json_text(item.per_order) if item.per_order else _NOTHING,
        item.horizon_s,
    )


def read_item(row: Row) -> Item:
    """Return the item of a row of `item`."""
    sku, name, kind, unit, scale, bought, promise, buildable_max, lots, *rest = row
    exposure, guard_min, home_channel, exposure_max, substitute_for, per_order, horizon_s = rest
    return Item(
        sku,
        name,
        Kind(kind),
        unit,
        scale,
        _PURCHASE_UNITS.decode(bought),
        Promise(promise),
        buildable_max,
        LotRule(lots),
        None if exposure is None else Exposure(exposure),
        guard_min,
        home_channel,
        exposure_max,
        substitute_for,
        () if per_order == _NOTHING else _PER_ORDER.decode(per_order),
        horizon_s,
    )


def location_row(location: Location) -> Row:
    """Return the row of `location`."""
    return (location.name, int(location.sellable), location.pool)


def read_location(row: Row) -> Location:
    """Return the location of a row of `location`."""
    name, sellable, pool = row
    return Location(name, bool(sellable), pool)


def read_feed(row: Row) -> Feed:
    """Return the feed of a row of `feed`."""
    channel, pool = row
    return Feed(channel, pool)


def bill_row(bill: BillOfMaterials) -> Row:
    """Return the row of `bill`, its lines not included."""
    return (
        bill.item,
        bill.yield_quantity,
        int(bill.batch_only),
        int(bill.kit),
        int(bill.backflush),
        bill.base,
        json_text(bill.overrides),
        bill.version,
        bill.build_time_s,
    )


def bill_line_rows(bill: BillOfMaterials) -> list[Row]:
    """Return the rows of `bill_line`; `position` keeps the order of the lines."""
    return [
        (bill.item, position, line.component, line.quantity, *line.scrap)
        for position, line in enumerate(bill.lines)
    ]


def whole_bill_row(bill: Row, lines: Iterable[Row]) -> Row:
    """Return a row of `bill` with its rows of `bill_line`, for `read_whole_bill`."""
    return (*bill, [tuple(line)[2:] for line in lines])


def read_whole_bill(row: Row) -> BillOfMaterials:
    """Return the bill of a `whole_bill_row`."""
    (item, yield_quantity, batch_only, kit, backflush, base, overrides, *rest) = row
    version, build_time_s, lines = rest
    return BillOfMaterials(
        item,
        yield_quantity,
        tuple(
            [
                # Names are found and compared more quickly where equal ones are the same object.
                BillLine(intern(component), quantity, Scrap(lost, of) if lost else NO_SCRAP)
                for component, quantity, lost, of in lines
            ]
        ),
        bool(batch_only),
        bool(kit),
        bool(backflush),
        base,
        () if overrides == _NOTHING else _OVERRIDES.decode(overrides),
        version,
        build_time_s,
    )


def read_bills(bills: Sequence[Row], lines: Sequence[Row]) -> tuple[BillOfMaterials, ...]:
    """Return the bills of rows of `bill` and of `bill_line` ordered by item and position."""
    lines_of: dict[str, list[BillLine]] = {}
    for item, _position, component, quantity, *scrap in lines:
        lines_of.setdefault(item, []).append(BillLine(component, quantity, Scrap(*scrap)))
    return tuple(
        BillOfMaterials(
            item,
            yield_quantity,
            tuple(lines_of.get(item, ())),
            bool(batch_only),
            bool(kit),
            bool(backflush),
            base,
            _OVERRIDES.decode(overrides),
            version,
            build_time_s,
        )
        for (
            item,
            yield_quantity,
            batch_only,
            kit,
            backflush,
            base,
            overrides,
            version,
            build_time_s,
        ) in bills
    )


def older_bill_row(bill: BillOfMaterials) -> Row:
    """Return the row of `bill` in `older_bill`: what it is a variant of has been put in.

    How long it took is left out, for nothing more is promised by it.
    """
    return (
        bill.item,
        bill.version,
        bill.yield_quantity,
        int(bill.batch_only),
        int(bill.kit),
        int(bill.backflush),
        json_text(bill.lines),
    )


def read_older_bill(row: Row) -> BillOfMaterials:
    """Return the bill of a row of `older_bill`."""
    item, version, yield_quantity, batch_only, kit, backflush, lines = row
    return BillOfMaterials(
        item,
        yield_quantity,
        _OVERRIDES.decode(lines),
        bool(batch_only),
        bool(kit),
        bool(backflush),
        version=version,
    )


def listing_row(listing: Listing) -> Row:
    """Return the row of `listing`."""
    return (
        listing.key.channel,
        listing.key.ref,
        listing.sku,
        listing.pack,
        json_text(dict(listing.ref)),
        listing.order_key,
        listing.field_key,
        int(listing.adopted),
        listing.parked_reason,
        listing.weight,
        listing.cap,
        listing.buffer,
        listing.horizon_s,
    )


def read_listing(row: Row) -> Listing:
    """Return the listing of a row of `listing`."""
    channel, ref_key, sku, pack, ref, order_key, field_key, adopted, *rest = row
    parked_reason, weight, cap, buffer, horizon_s = rest
    return Listing(
        key=ListingKey(channel, ref_key),
        sku=sku,
        pack=pack,
        ref=msgspec.json.decode(ref),
        order_key=order_key,
        field_key=field_key,
        adopted=bool(adopted),
        parked_reason=parked_reason,
        weight=weight,
        cap=cap,
        buffer=buffer,
        horizon_s=horizon_s,
    )


# -- stock -----------------------------------------------------------------------------------


def shelf_row(shelf: Shelf) -> Row:
    """Return the row of `shelf`."""
    rests = json_text(shelf.rests) if shelf.rests else _NOTHING
    guard = (shelf.guard_level, int(shelf.guarded))
    pins = json_text(shelf.pins) if shelf.pins else _NOTHING
    counted = (shelf.on_hand, shelf.reserved, rests, shelf.held)
    coming_by = json_text(shelf.coming_by) if shelf.coming_by else _NOTHING
    return (shelf.sku, *counted, *guard, shelf.pool, pins, shelf.coming, coming_by)


def read_shelf(row: Row) -> Shelf:
    """Return the shelf of a row of `shelf`."""
    sku, on_hand, reserved, rests, held, guard_level, guarded, pool, pinned, *comes = row
    coming, by = comes
    left = () if rests == _NOTHING else _RESTS.decode(rests)
    pins = () if pinned == _NOTHING else _PINS.decode(pinned)
    guard = (guard_level, bool(guarded))
    coming_by = () if by == _NOTHING else _COMING.decode(by)
    return Shelf(sku, on_hand, reserved, held, left, *guard, pool, pins, coming, coming_by)


def lot_row(lot: Lot) -> Row:
    """Return the row of `lot`."""
    return (
        *lot.key,
        micros(lot.since),
        lot.on_hand,
        micros_or_none(lot.expires_at),
        micros_or_none(lot.available_from),
        int(lot.quarantined),
        int(lot.counts),
        micros_or_none(lot.turns_at),
        lot.cost,
        lot.supplier,
        lot.note,
        int(lot.comes),
        lot.within_s,
    )


def read_lot(row: Row) -> Lot:
    """Return the lot of a row of `lot`."""
    (sku, location, lot, since, on_hand, expires_at, available_from, *rest) = row
    (quarantined, counts, turns_at, cost, supplier, note, comes, within_s) = rest
    return Lot(
        key=LotKey(sku, location, lot),
        since=instant(since),
        on_hand=on_hand,
        expires_at=instant_or_none(expires_at),
        available_from=instant_or_none(available_from),
        quarantined=bool(quarantined),
        counts=bool(counts),
        turns_at=instant_or_none(turns_at),
        cost=cost,
        supplier=supplier,
        note=note,
        comes=bool(comes),
        within_s=within_s,
    )


def movement_row(movement: StockMovement, movement_id: int) -> Row:
    """Return the row of `movement`, which gets the id `movement_id`."""
    return (
        movement_id,
        micros(movement.at),
        movement.sku,
        movement.quantity,
        movement.kind.value,
        movement.cause,
        movement.actor,
        movement.location,
        movement.reason,
        movement.undoes,
        movement.lot,
        json_text(movement.owed) if movement.owed else None,
    )


def read_movement(row: Row) -> StockMovement:
    """Return the movement of a row of `movement`."""
    movement_id, at, sku, quantity, kind, cause, actor, location, reason, undoes, lot, owed = row
    return StockMovement(
        at=instant(at),
        sku=sku,
        quantity=quantity,
        kind=MovementKind(kind),
        cause=cause,
        actor=actor,
        location=location,
        reason=reason,
        undoes=undoes,
        id=movement_id,
        lot=lot,
        owed=() if owed is None else _OWED.decode(owed),
    )


def reservation_row(reservation: Reservation) -> Row:
    """Return the row of `reservation`. Its field, if any, is on its own channel."""
    field = reservation.field
    assert field is None or field.channel == reservation.key.channel
    return (
        reservation.key.channel,
        reservation.key.order_id,
        reservation.key.line_id,
        micros(reservation.version.updated_at),
        reservation.version.fetch,
        reservation.order_key,
        micros(reservation.placed_at),
        reservation.ordered,
        reservation.open,
        reservation.shipped,
        reservation.written_off,
        reservation.deducted,
        reservation.state.value,
        reservation.order_state,
        reservation.baseline_shipped,
        reservation.baseline_written_off,
        reservation.sku,
        reservation.pack,
        None if field is None else field.key,
        reservation.bill,
        int(reservation.sent),
    )


def read_reservation(row: Row) -> Reservation:
    """Return the reservation of a row of `reservation`."""
    (channel, order_id, line_id, updated_at, fetch, order_key, placed_at, *rest) = row
    (ordered, open_units, shipped, written_off, deducted, state, order_state, *rest) = rest
    (baseline_shipped, baseline_written_off, sku, pack, field_key, bill, sent) = rest
    return Reservation(
        key=ReservationKey(channel, order_id, line_id),
        version=OrderVersion(instant(updated_at), fetch),
        order_key=order_key,
        placed_at=instant(placed_at),
        ordered=ordered,
        open=open_units,
        shipped=shipped,
        written_off=written_off,
        deducted=deducted,
        state=ReservationState(state),
        order_state=order_state,
        baseline_shipped=baseline_shipped,
        baseline_written_off=baseline_written_off,
        sku=sku,
        pack=pack,
        field=None if field_key is None else FieldKey(channel, field_key),
        bill=bill,
        sent=bool(sent),
    )


def hold_row(hold: Hold) -> Row:
    """Return the row of `hold`, its lines not included."""
    return (
        hold.id,
        hold.key,
        micros(hold.placed_at),
        micros(hold.until),
        hold.state.value,
        hold.actor,
        hold.note,
        hold.reason,
        micros_or_none(hold.ended_at),
        hold.pool,
    )


def hold_line_rows(hold: Hold) -> list[Row]:
    """Return the rows of `hold_line`; `position` keeps the order of the lines."""
    return [
        (hold.id, position, line.sku, line.quantity, line.bill)
        for position, line in enumerate(hold.lines)
    ]


def read_holds(holds: Iterable[Row], lines: Iterable[Row]) -> tuple[Hold, ...]:
    """Return the holds of rows of `hold` and of `hold_line`, the lines in any order."""
    lines_of: dict[int, list[HoldLine]] = {}
    for number, _position, sku, quantity, bill in sorted(lines, key=tuple):
        lines_of.setdefault(number, []).append(HoldLine(sku, quantity, bill))
    return tuple(
        Hold(
            id=number,
            key=key,
            lines=tuple(lines_of.get(number, ())),
            placed_at=instant(placed_at),
            until=instant(until),
            state=HoldState(state),
            actor=actor,
            note=note,
            reason=reason,
            ended_at=instant_or_none(ended_at),
            pool=pool,
        )
        for number, key, placed_at, until, state, actor, note, reason, ended_at, pool in holds
    )


# -- fields and what is sent to them -----------------------------------------------------------


def field_row(field: Field) -> Row:
    """Return the row of `field`."""
    return (
        field.key.channel,
        field.key.key,
        field.sku,
        field.pack,
        field.expected,
        field.hold,
        field.surplus,
        field.uneaten,
        field.undeducted,
        field.revision,
        field.observed,
        micros_or_none(field.observed_at),
        micros_or_none(field.observed_date),
        micros_or_none(field.first_observed_at),
        micros_or_none(field.first_observed_date),
        micros_or_none(field.suspense_since),
        field.suspense_reads,
        field.overwritten,
        field.doubt,
        field.let_go,
        micros_or_none(field.let_go_date),
        micros_or_none(field.written_at),
        micros_or_none(field.pushed_at),
        micros_or_none(field.gap_from),
        micros_or_none(field.gap_until),
        micros_or_none(field.read_due_at),
        field.lost_compares,
        field.sold_since_push,
        field.shadowed,
        int(field.adopted),
        field.parked_reason,
        field.uneaten_surplus,
        micros_or_none(field.surplus_date),
        field.overwritten_sold,
        field.unsure,
        micros_or_none(field.unsure_since),
        field.risen,
    )


def read_field(row: Row) -> Field:
    """Return the field of a row of `field`."""
    (channel, key, sku, pack, expected, hold, surplus, uneaten, undeducted, revision, *rest) = row
    (observed, observed_at, observed_date, first_observed_at, first_observed_date, *rest) = rest
    (suspense_since, suspense_reads, overwritten, doubt, let_go, let_go_date, *rest) = rest
    (written_at, pushed_at, *rest) = rest
    (gap_from, gap_until, read_due_at, lost_compares, sold_since_push, *rest) = rest
    (shadowed, adopted, parked_reason, uneaten_surplus, surplus_date, *rest) = rest
    (overwritten_sold, unsure, unsure_since, risen) = rest
    return Field(
        key=FieldKey(channel, key),
        sku=sku,
        pack=pack,
        expected=expected,
        hold=hold,
        surplus=surplus,
        uneaten=uneaten,
        undeducted=undeducted,
        revision=revision,
        observed=observed,
        observed_at=instant_or_none(observed_at),
        observed_date=instant_or_none(observed_date),
        first_observed_at=instant_or_none(first_observed_at),
        first_observed_date=instant_or_none(first_observed_date),
        suspense_since=instant_or_none(suspense_since),
        suspense_reads=suspense_reads,
        overwritten=overwritten,
        doubt=doubt,
        let_go=let_go,
        let_go_date=instant_or_none(let_go_date),
        written_at=instant_or_none(written_at),
        pushed_at=instant_or_none(pushed_at),
        gap_from=instant_or_none(gap_from),
        gap_until=instant_or_none(gap_until),
        read_due_at=instant_or_none(read_due_at),
        lost_compares=lost_compares,
        sold_since_push=sold_since_push,
        shadowed=shadowed,
        adopted=bool(adopted),
        parked_reason=parked_reason,
        uneaten_surplus=uneaten_surplus,
        surplus_date=instant_or_none(surplus_date),
        overwritten_sold=overwritten_sold,
        unsure=unsure,
        unsure_since=instant_or_none(unsure_since),
        risen=risen,
    )


class Seen:
    """Fields as they were last read or written, each with its row.

    A row of 32 columns that reads the same as before is the same value: comparing it takes a tenth
    of the time that making the value takes.
    """

    def __init__(self, *, seen_max: int = SEEN_MAX) -> None:
        """Begin with none; of more than `seen_max` all are forgotten."""
        self._seen_max = seen_max
        self._of: dict[tuple[str, str], tuple[Row, Field]] = {}

    def field(self, row: Row) -> Field:
        """Return the field of a row of `field`."""
        known = self._of.get((row[0], row[1]))
        if known is not None and known[0] == row:
            return known[1]
        return self._note(row, read_field(row))

    def row(self, field: Field) -> Row:
        """Return the row of `field`."""
        row = field_row(field)
        self._note(row, field)
        return row

    def _note(self, row: Row, field: Field) -> Field:
        if len(self._of) >= self._seen_max:
            self._of.clear()
        self._of[field.key] = (row, field)
        return field


def dirty_row(dirty: Dirty) -> Row:
    """Return the row of `dirty`."""
    return (
        dirty.key.channel,
        dirty.key.key,
        dirty.revision,
        micros(dirty.due_at),
        int(dirty.decrease),
        dirty.attempts,
        dirty.because,
    )


def read_dirty(row: Row) -> Dirty:
    """Return the outbox row of a row of `dirty`."""
    channel, key, revision, due_at, decrease, attempts, because = row
    return Dirty(
        key=FieldKey(channel, key),
        revision=revision,
        due_at=instant(due_at),
        decrease=bool(decrease),
        attempts=attempts,
        because=because,
    )


def push_row(push: Push) -> Row:
    """Return the row of a new push, without its id."""
    return (
        push.call_id,
        push.position,
        push.field.channel,
        push.field.key,
        push.expected,
        push.target,
        push.revision,
        micros(push.sent_at),
        json_text(push.terms),
        micros_or_none(push.settled_at),
        None if push.outcome is None else push.outcome.value,
    )


def read_push(row: Row) -> Push:
    """Return the push of a row of `push`."""
    (push_id, call_id, position, channel, field_key, expected, target, revision, *rest) = row
    (sent_at, terms, settled_at, outcome) = rest
    return Push(
        call_id=call_id,
        position=position,
        field=FieldKey(channel, field_key),
        expected=expected,
        target=target,
        revision=revision,
        sent_at=instant(sent_at),
        terms=msgspec.json.decode(terms, type=tuple[tuple[str, int], ...]),
        settled_at=instant_or_none(settled_at),
        outcome=None if outcome is None else PushOutcomeKind(outcome),
        id=push_id,
    )


# -- what came in ------------------------------------------------------------------------------


def delivery_row(delivery: Delivery) -> Row:
    """Return the row of a new delivery, without its id."""
    return (
        delivery.channel,
        delivery.digest,
        delivery.topic,
        micros(delivery.received_at),
        delivery.state.value,
        delivery.reason,
        delivery.order_id,
        delivery.body,
    )


def read_delivery(row: Row) -> Delivery:
    """Return the delivery of a row of `delivery`."""
    delivery_id, channel, digest, topic, received_at, state, reason, order_id, body = row
    return Delivery(
        channel=channel,
        digest=digest,
        topic=topic,
        received_at=instant(received_at),
        state=DeliveryState(state),
        reason=reason,
        order_id=order_id,
        # Together with other queries it comes in hexadecimal (`Dialect.found`).
        body=bytes.fromhex(body) if isinstance(body, str) else body,
        id=delivery_id,
    )


def drift_row(drift: Drift) -> Row:
    """Return the row of a new drift, without its id."""
    return (
        drift.field.channel,
        drift.field.key,
        drift.expected,
        drift.observed,
        drift.drift_class.value,
        micros(drift.opened_at),
        drift.resolution,
        micros_or_none(drift.closed_at),
    )


def read_drift(row: Row) -> Drift:
    """Return the drift of a row of `drift`."""
    (drift_id, channel, field_key, expected, observed, drift_class, opened_at, *rest) = row
    (resolution, closed_at) = rest
    return Drift(
        field=FieldKey(channel, field_key),
        expected=expected,
        observed=observed,
        drift_class=DriftClass(drift_class),
        opened_at=instant(opened_at),
        resolution=resolution,
        closed_at=instant_or_none(closed_at),
        id=drift_id,
    )


def channel_row(state: ChannelState, version: int) -> Row:
    """Return the row of a channel's state at `version` (see `SqlTransaction`)."""
    return (
        state.name,
        version,
        micros_or_none(state.started_date),
        state.cursor,
        micros_or_none(state.polled_begun_at),
        micros_or_none(state.previous_poll_begun_at),
        micros_or_none(state.last_order_at),
        state.health.value,
        state.health_reason,
        json_text([(each.way, each.p50, each.p95, each.orders) for each in state.heard]),
    )


def read_channel(row: Row) -> ChannelState:
    """Return the channel's state of a row of `channel`."""
    name, _version, started, cursor, polled, previous, last_order, health, reason, heard = row
    return ChannelState(
        name=name,
        started_date=instant_or_none(started),
        cursor=cursor,
        polled_begun_at=instant_or_none(polled),
        previous_poll_begun_at=instant_or_none(previous),
        last_order_at=instant_or_none(last_order),
        health=Health(health),
        health_reason=reason,
        heard=tuple(HeardBy(*each) for each in msgspec.json.decode(heard)),
    )


def credential_row(credential: Credential) -> Row:
    """Return the row of a channel's stored access."""
    return (
        credential.channel,
        credential.version,
        credential.sealed,
        credential.origin,
        micros_or_none(credential.leased_until),
    )


def read_credential(row: Row) -> Credential:
    """Return the stored access of a row of `credential`."""
    channel, version, sealed, origin, leased_until = row
    return Credential(channel, version, bytes(sealed), origin, instant_or_none(leased_until))


# -- commands and requests ---------------------------------------------------------------------


def command_row(done: CommandDone, movement_ids: Sequence[int]) -> Row:
    """Return the row of a command that wrote the movements `movement_ids`."""
    return (done.key, done.digest, micros(done.at), json_text(movement_ids))


def read_command(row: Row) -> CommandDone:
    """Return the command of a row of `command`."""
    key, digest, at, movement_ids = row
    return CommandDone(
        key=key,
        digest=digest,
        at=instant(at),
        movement_ids=msgspec.json.decode(movement_ids, type=tuple[int, ...]),
    )


def request_row(kind: str, arguments: Mapping[str, Any], asked_at: datetime) -> Row:
    """Return the row of a new request, without its id and without an answer."""
    return (kind, json_text(dict(arguments)), micros(asked_at), None)


def read_request(row: Row) -> Request:
    """Return the request of a row of `request`."""
    request_id, kind, arguments, asked_at, _answered_at = row
    return Request(
        id=request_id,
        kind=kind,
        arguments=msgspec.json.decode(arguments),
        asked_at=instant(asked_at),
    )
