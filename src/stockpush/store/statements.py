"""Every statement of the write path and of the daemon's queries, compiled once per dialect.

Each is written in SQLAlchemy Core and kept as text with positional parameters. A statement that
writes whole rows takes them in the column order of its table (`rows.py`); the others name their
parameters' order here. Text is compiled at first use, so a short-lived process pays only for what
it runs.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    Select,
    Table,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from stockpush.model import DeliveryState, HoldState, PushOutcomeKind
from stockpush.store import schema
from stockpush.store.dialects import Dialect

_NOT_THE_ID = slice(1, None)
_NEWEST = 100
"""How many of the newest rows are looked at for the newest instant: what is settled or comes again
has an older id."""


def _literal(value: str | int) -> ColumnElement[Any]:
    """Return a constant of ours as part of the text, so that the query has no parameter for it."""
    return literal_column(repr(value))


# Without it the SQLite compiler adds an OFFSET with a parameter of its own.
_NO_OFFSET = _literal(0)


class TableStatements:
    """The statements of one table: by key, whole rows."""

    def __init__(self, dialect: Dialect, table: Table) -> None:
        """Prepare for `table`; nothing is compiled yet."""
        self._dialect = dialect
        self._table = table

    @cached_property
    def insert(self) -> str:
        """Insert a whole row, its key included."""
        return self._dialect.compile(insert(self._table))

    @cached_property
    def append(self) -> str:
        """Insert a row to which the database gives an id; parameters: every other column."""
        columns = [column.name for column in self._table.c][_NOT_THE_ID]
        return self._dialect.compile(
            insert(self._table).values({name: bindparam(name) for name in columns}).inline()
        )

    @cached_property
    def upsert(self) -> str:
        """Insert a whole row, or replace the row of the same key."""
        return self._dialect.upsert(self._table)

    @cached_property
    def lock(self) -> str:
        """Read the rows of some primary keys, locked, in key order (`Dialect.found`)."""
        return self.lock_by(*self._table.primary_key)

    @cached_property
    def every(self) -> str:
        """Read the whole table in key order."""
        return self._dialect.compile(select(self._table).order_by(*self._table.primary_key))

    def lock_by(self, *columns: Column[Any], where: Any = None) -> str:
        """Return: read the rows among whose `columns` are some keys, locked (`Dialect.found`)."""
        return self._dialect.found(self._table, columns, where)


@cache
def statements_of(dialect: Dialect) -> Statements:
    """Return all of them for a dialect, the same for every database that a process opens."""
    return Statements(dialect)


class Statements:
    """All of them, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        """Prepare for `dialect`; nothing is compiled yet."""
        self.dialect = dialect
        self.item = TableStatements(dialect, schema.item)
        self.bill = TableStatements(dialect, schema.bill)
        self.older_bill = TableStatements(dialect, schema.older_bill)
        self.bill_line = TableStatements(dialect, schema.bill_line)
        self.listing = TableStatements(dialect, schema.listing)
        self.location = TableStatements(dialect, schema.location)
        self.feed = TableStatements(dialect, schema.feed)
        self.shelf = TableStatements(dialect, schema.shelf)
        self.lot = TableStatements(dialect, schema.lot)
        self.movement = TableStatements(dialect, schema.movement)
        self.reservation = TableStatements(dialect, schema.reservation)
        self.hold = TableStatements(dialect, schema.hold)
        self.hold_line = TableStatements(dialect, schema.hold_line)
        self.field = TableStatements(dialect, schema.field)
        self.dirty = TableStatements(dialect, schema.dirty)
        self.push = TableStatements(dialect, schema.push)
        self.delivery = TableStatements(dialect, schema.delivery)
        self.drift = TableStatements(dialect, schema.drift)
        self.channel = TableStatements(dialect, schema.channel)
        self.note = TableStatements(dialect, schema.note)
        self.credential = TableStatements(dialect, schema.credential)
        self.command = TableStatements(dialect, schema.command)
        self.request = TableStatements(dialect, schema.request)

    def _compile(self, statement: Any) -> str:
        return self.dialect.compile(statement)

    # -- gathering ---------------------------------------------------------------------------

    @cached_property
    def catalogue_revision(self) -> str:
        """Read the catalogue's revision."""
        return self._compile(self._revision())

    @cached_property
    def share_catalogue_revision(self) -> str:
        """Read the catalogue's revision and keep others from changing it meanwhile; for
        `Session.fetch_each`.
        """
        return self.dialect.together(self._revision().with_for_update(read=True))

    @staticmethod
    def _revision() -> Select[Any]:
        name = schema.meta.c.name
        return select(schema.meta.c.value).where(name == _literal(schema.CATALOGUE_REVISION))

    @cached_property
    def bill_lines(self) -> str:
        """Read every line of every bill, in the order of its bill."""
        line = schema.bill_line
        return self._compile(select(line).order_by(line.c.item, line.c.position))

    @cached_property
    def shelves_short(self) -> str:
        """Lock the shelves with more reserved and held than is there."""
        shelf = schema.shelf
        return self.dialect.together(
            select(shelf).where(schema.SHORT).order_by(*shelf.primary_key).with_for_update()
        )

    @cached_property
    def fields_holding(self) -> str:
        """Lock the fields with a hold."""
        field = schema.field
        return self.dialect.together(
            select(field).where(schema.HOLDING).order_by(*field.primary_key).with_for_update()
        )

    @cached_property
    def shelves_of_items(self) -> str:
        """Lock the shelves of some SKUs, in every pool."""
        return self.shelf.lock_by(schema.shelf.c.sku)

    @cached_property
    def lots_of_items(self) -> str:
        """Lock the lots of some SKUs."""
        return self.lot.lock_by(schema.lot.c.sku)

    @cached_property
    def lots_at_locations(self) -> str:
        """Lock the lots at some locations."""
        return self.lot.lock_by(schema.lot.c.location)

    @cached_property
    def reservations_of_orders(self) -> str:
        """Lock the reservations of some (channel, order id)."""
        table = schema.reservation
        return self.reservation.lock_by(table.c.channel, table.c.order_id)

    @cached_property
    def reservations_of_order_keys(self) -> str:
        """Lock the open or unmapped reservations of some (channel, order key)."""
        table = schema.reservation
        wanted = (table.c.open > _literal(0)) | table.c.sku.is_(None)
        return self.reservation.lock_by(table.c.channel, table.c.order_key, where=wanted)

    @cached_property
    def reservations_open_on(self) -> str:
        """Lock the open reservations of some channels."""
        table = schema.reservation
        return self.reservation.lock_by(table.c.channel, where=table.c.open > _literal(0))

    @cached_property
    def holds_of_keys(self) -> str:
        """Lock the holds that were placed with some idempotency keys."""
        return self.hold.lock_by(schema.hold.c.key)

    @cached_property
    def lines_of_holds(self) -> str:
        """Lock the lines of some holds, by id."""
        return self.hold_line.lock_by(schema.hold_line.c.hold_id)

    @cached_property
    def lines_of_hold_keys(self) -> str:
        """Read the lines of the holds that were placed with some idempotency keys."""
        hold, line = schema.hold, schema.hold_line
        named = select(hold.c.id).where(self.dialect.member([hold.c.key], "keys"))
        return self.dialect.together(select(line).where(line.c.hold_id.in_(named)))

    @cached_property
    def newest_hold(self) -> str:
        """Read the largest id of a hold, NULL where there is none; for `Session.fetch_each`."""
        return self.dialect.together(select(func.max(schema.hold.c.id).label("id")))

    @cached_property
    def pushes_in_flight(self) -> str:
        """Lock the open pushes of some fields."""
        push = schema.push
        return self.push.lock_by(
            push.c.channel, push.c.field_key, where=push.c.settled_at.is_(None)
        )

    @cached_property
    def deliveries_of_digests(self) -> str:
        """Lock the deliveries of some (channel, digest), oldest first."""
        table = schema.delivery
        return self.delivery.lock_by(table.c.channel, table.c.digest)

    @cached_property
    def channels(self) -> str:
        """Read every channel's state; for `Session.fetch_each`."""
        return self.dialect.together(select(schema.channel).order_by(schema.channel.c.name))

    @cached_property
    def movements_of_commands(self) -> str:
        """Read the movements that share a cause with some movement ids."""
        movement, named = schema.movement, schema.movement.alias("named")
        causes = select(named.c.cause).where(self.dialect.member([named.c.id], "keys"))
        return self.dialect.together(
            select(movement)
            .where(movement.c.cause.in_(causes))
            .order_by(*self.dialect.found_first([movement.c.id]))
        )

    @cached_property
    def undone(self) -> str:
        """Read which of some movement ids a later movement undoes."""
        undoes = schema.movement.c.undoes
        return self.dialect.together(select(undoes).where(self.dialect.member([undoes], "keys")))

    @cached_property
    def moved(self) -> str:
        """Read which of some SKUs have a movement."""
        item, movement = schema.item, schema.movement
        return self.dialect.together(
            select(item.c.sku)
            .where(self.dialect.member([item.c.sku], "keys"))
            .where(exists().where(movement.c.sku == item.c.sku))
        )

    @cached_property
    def unread(self) -> str:
        """Read which of some channels have a delivery in quarantine or to be fetched."""
        delivery = schema.delivery
        waiting = [_literal(DeliveryState.QUARANTINED.value), _literal(DeliveryState.PENDING.value)]
        return self.dialect.together(
            select(delivery.c.channel)
            .distinct()
            .where(self.dialect.member([delivery.c.channel], "keys"))
            .where(delivery.c.state.in_(waiting))
        )

    # -- applying ----------------------------------------------------------------------------

    @cached_property
    def bump_catalogue_revision(self) -> str:
        """Raise the catalogue's revision by one."""
        meta = schema.meta
        return self._compile(
            update(meta)
            .where(meta.c.name == _literal(schema.CATALOGUE_REVISION))
            .values(value=meta.c.value + _literal(1))
        )

    @cached_property
    def delete_bill_lines(self) -> str:
        """Delete the lines of a bill; parameter: its item."""
        line = schema.bill_line
        return self._compile(delete(line).where(line.c.item == bindparam("bill_item")))

    @cached_property
    def delete_older_bill(self) -> str:
        """Delete an older bill; parameters: its item and version."""
        table = schema.older_bill
        return self._compile(
            delete(table)
            .where(table.c.item == bindparam("of_item"))
            .where(table.c.version == bindparam("of_version"))
        )

    @cached_property
    def delete_clean(self) -> str:
        """Delete an outbox row; parameters: channel, field key, and the revision it must have."""
        table = schema.dirty
        return self._compile(
            delete(table)
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.field_key == bindparam("of_field"))
            .where(table.c.revision == bindparam("leased_revision"))
        )

    @cached_property
    def settle_push(self) -> str:
        """Settle a push that is open; parameters: settled_at, outcome, id. Counted."""
        push = schema.push
        return self.dialect.counted(
            update(push)
            .where(push.c.id == bindparam("push_id"))
            .where(push.c.settled_at.is_(None))
            .values(settled_at=bindparam("settled"), outcome=bindparam("how"))
        )

    @cached_property
    def update_delivery(self) -> str:
        """Change a delivery; parameters: received_at, state, reason, order id, body, id."""
        table = schema.delivery
        return self._compile(
            update(table)
            .where(table.c.id == bindparam("delivery_id"))
            .values(
                received_at=bindparam("new_received_at"),
                state=bindparam("new_state"),
                reason=bindparam("new_reason"),
                order_id=bindparam("new_order_id"),
                body=bindparam("new_body"),
            )
        )

    @cached_property
    def apply_delivery(self) -> str:
        """Mark a pending delivery as applied and forget its body; parameters: id, and when it must
        have been received.
        """
        table = schema.delivery
        return self._compile(
            update(table)
            .where(table.c.id == bindparam("delivery_id"))
            .where(table.c.received_at == bindparam("leased_received_at"))
            .where(table.c.state == _literal(DeliveryState.PENDING.value))
            .values(state=_literal(DeliveryState.APPLIED.value), body=null())
        )

    @cached_property
    def close_drifts(self) -> str:
        """Close the open drifts of a field; parameters: class, resolution, closed_at, channel,
        field key.
        """
        table = schema.drift
        return self._compile(
            update(table)
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.field_key == bindparam("of_field"))
            .where(table.c.closed_at.is_(None))
            .values(
                drift_class=bindparam("what"),
                resolution=bindparam("how"),
                closed_at=bindparam("closed"),
            )
        )

    @cached_property
    def update_channel(self) -> str:
        """Replace a channel's state; parameters: every column but the name, then the name and
        the version that it must have. Counted.
        """
        table = schema.channel
        rest = [column.name for column in table.c if not column.primary_key]
        return self.dialect.counted(
            update(table)
            .where(table.c.name == bindparam("of_name"))
            .where(table.c.version == bindparam("of_version"))
            .values({name: bindparam(f"new_{name}") for name in rest})
        )

    # -- the daemon's queries ----------------------------------------------------------------

    @cached_property
    def dirty_due(self) -> str:
        """Read outbox rows that may be sent; parameters: channel, instant, limit."""
        table = schema.dirty
        return self._compile(
            select(table)
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.due_at <= bindparam("at"))
            .where(~self._in_flight())
            .order_by(table.c.decrease.desc(), table.c.due_at, table.c.field_key)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def next_due(self) -> str:
        """Read when the earliest outbox row that may be sent is due; parameter: channel."""
        table = schema.dirty
        return self._compile(
            select(table.c.due_at)
            .where(table.c.channel == bindparam("of_channel"))
            .where(~self._in_flight())
            .order_by(table.c.due_at)
            .limit(_literal(1))
            .offset(_NO_OFFSET)
        )

    @staticmethod
    def _in_flight() -> Any:
        table, push = schema.dirty, schema.push
        return (
            exists()
            .where(push.c.channel == table.c.channel)
            .where(push.c.field_key == table.c.field_key)
            .where(push.c.settled_at.is_(None))
        )

    @cached_property
    def open_pushes(self) -> str:
        """Read the pushes that are not settled; parameter: channel."""
        push = schema.push
        return self._compile(
            select(push)
            .where(push.c.channel == bindparam("of_channel"))
            .where(push.c.settled_at.is_(None))
            .order_by(push.c.call_id, push.c.position)
        )

    @cached_property
    def reads_due(self) -> str:
        """Read the keys of fields whose reading is due; parameters: channel, instant, limit."""
        field = schema.field
        return self._compile(
            select(field.c.channel, field.c.key)
            .where(field.c.channel == bindparam("of_channel"))
            .where(field.c.read_due_at <= bindparam("at"))
            .order_by(field.c.read_due_at, field.c.key)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def next_read_due(self) -> str:
        """Read when the earliest reading of a field is due; parameter: channel."""
        field = schema.field
        return self._compile(
            select(field.c.read_due_at)
            .where(field.c.channel == bindparam("of_channel"))
            .where(field.c.read_due_at.is_not(None))
            .order_by(field.c.read_due_at)
            .limit(_literal(1))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def holds_due(self) -> str:
        """Read ids of holds that are held and due; parameters: instant, limit."""
        hold = schema.hold
        return self._compile(
            select(hold.c.id)
            .where(hold.c.state == _literal(HoldState.HELD.value))
            .where(hold.c.until <= bindparam("at"))
            .order_by(hold.c.until, hold.c.id)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def next_lot_turn(self) -> str:
        """Read when the clock next changes which lots are sold."""
        lot = schema.lot
        return self._compile(
            select(lot.c.turns_at)
            .where(lot.c.turns_at.is_not(None))
            .order_by(lot.c.turns_at)
            .limit(_literal(1))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def lots_due(self) -> str:
        """Read the items of lots that the clock has changed; parameters: instant, limit."""
        lot = schema.lot
        return self._compile(
            select(lot.c.sku)
            .where(lot.c.turns_at <= bindparam("at"))
            .order_by(lot.c.turns_at, lot.c.sku)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def sold(self) -> str:
        """Count what was sold of each item by channel; parameters: since when lately, and at all.

        No index is kept for what is asked for once an hour.
        """
        row = schema.reservation
        # As a float, for no sum of orders may be beyond what the database can count.
        units = cast(row.c.ordered, Double) * row.c.pack
        lately = case((row.c.placed_at >= bindparam("lately"), _literal(1)), else_=_literal(0))
        return self._compile(
            select(row.c.sku, row.c.channel, func.count(), func.sum(units), func.sum(lately))
            .where(row.c.sku.is_not(None))
            .where(row.c.placed_at >= bindparam("since"))
            .group_by(row.c.sku, row.c.channel)
            .order_by(row.c.sku, row.c.channel)
        )

    @cached_property
    def shown(self) -> str:
        """Count the fields of ours that show items sold of late, by channel; parameter: since when.

        No index is kept for that either.
        """
        listing, row = schema.listing, schema.reservation
        sold = select(row.c.sku).where(row.c.placed_at >= bindparam("since"))
        return self._compile(
            select(listing.c.sku, listing.c.channel, func.count(listing.c.field_key.distinct()))
            .where(listing.c.adopted == _literal(1))
            .where(listing.c.parked_reason.is_(None))
            .where(listing.c.field_key.is_not(None))
            .where(listing.c.sku.in_(sold))
            .group_by(listing.c.sku, listing.c.channel)
            .order_by(listing.c.sku, listing.c.channel)
        )

    @cached_property
    def push_spans(self) -> str:
        """Read how long a channel's newest applied pushes took; parameters: channel, limit."""
        push = schema.push
        return self._compile(
            select(push.c.settled_at - push.c.sent_at)
            .where(push.c.channel == bindparam("of_channel"))
            .where(push.c.outcome == _literal(PushOutcomeKind.APPLIED.value))
            .where(push.c.settled_at.is_not(None))
            .order_by(push.c.id.desc())
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def guard_levels(self) -> str:
        """Read the measured guard levels above 0."""
        shelf = schema.shelf
        return self._compile(
            select(shelf.c.sku, shelf.c.pool, shelf.c.guard_level).where(
                shelf.c.guard_level > _literal(0)
            )
        )

    @cached_property
    def next_hold_due(self) -> str:
        """Read when the earliest hold that is held is due."""
        hold = schema.hold
        return self._compile(
            select(hold.c.until)
            .where(hold.c.state == _literal(HoldState.HELD.value))
            .order_by(hold.c.until)
            .limit(_literal(1))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def open_orders(self) -> str:
        """Read ids of orders with open reservations; parameters: channel, after, limit."""
        table = schema.reservation
        return self._compile(
            select(table.c.order_id)
            .distinct()
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.order_id > bindparam("after"))
            .where(table.c.open > literal_column("0"))
            .order_by(table.c.order_id)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def fields_of_keys(self) -> str:
        """Read the fields of some keys, not locked."""
        field = schema.field
        return self._compile(
            select(field)
            .where(self.dialect.member([field.c.channel, field.c.key], "keys"))
            .order_by(*self.dialect.found_first([field.c.channel, field.c.key]))
        )

    @cached_property
    def listings_of(self) -> str:
        """Read listings of a channel in order; parameters: channel, after which reference, how many
        at most.
        """
        listing = schema.listing
        return self._compile(
            select(listing)
            .where(listing.c.channel == bindparam("of_channel"))
            .where(listing.c.ref_key > bindparam("after"))
            .order_by(listing.c.ref_key)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def field_keys(self) -> str:
        """Read the keys of the fields of a channel; parameter: channel."""
        field = schema.field
        return self._compile(
            select(field.c.channel, field.c.key)
            .where(field.c.channel == bindparam("of_channel"))
            .order_by(field.c.key)
        )

    @cached_property
    def fields_after(self) -> str:
        """Read keys of the fields of a channel; parameters: channel, after which key, how many at
        most.
        """
        field = schema.field
        return self._compile(
            select(field.c.channel, field.c.key)
            .where(field.c.channel == bindparam("of_channel"))
            .where(field.c.key > bindparam("after"))
            .order_by(field.c.key)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def channel_state(self) -> str:
        """Read the state of a channel; parameter: its name."""
        table = schema.channel
        return self._compile(select(table).where(table.c.name == bindparam("of_name")))

    @cached_property
    def newest_instants(self) -> str:
        """Read the newest instant by our clock of each kind of row that has one.

        Of what is only ever added the newest rows tell, which their ids find.
        """
        field, channel = schema.field, schema.channel
        instants = [field.c.observed_at, field.c.written_at, field.c.pushed_at]
        instants += [channel.c.polled_begun_at]
        parts = [select(func.max(column)).scalar_subquery() for column in instants]
        push, drift, request = schema.push, schema.drift, schema.request
        hold = schema.hold
        added = [hold.c.placed_at, hold.c.ended_at]
        added += [schema.movement.c.at, schema.delivery.c.received_at]
        added += [push.c.sent_at, push.c.settled_at, drift.c.opened_at, drift.c.closed_at]
        added += [request.c.asked_at, request.c.answered_at]
        for column in added:
            newest = (
                select(column.label("at"))
                .order_by(column.table.c.id.desc())
                .limit(_literal(_NEWEST))
                .offset(_NO_OFFSET)
                .subquery()
            )
            parts.append(select(func.max(newest.c.at)).scalar_subquery())
        return self._compile(select(*parts))

    @cached_property
    def credential_of(self) -> str:
        """Read the stored access of a channel; parameter: its name."""
        table = schema.credential
        return self._compile(select(table).where(table.c.channel == bindparam("of_channel")))

    @cached_property
    def replace_credential(self) -> str:
        """Replace a channel's stored access; parameters: every column but the name, then the name
        and the version that it must have. Counted.
        """
        table = schema.credential
        rest = [column.name for column in table.c if not column.primary_key]
        return self.dialect.counted(
            update(table)
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.version == bindparam("of_version"))
            .values({name: bindparam(f"new_{name}") for name in rest})
        )

    @cached_property
    def notes_of(self) -> str:
        """Read the notes of a channel; parameter: its name."""
        table = schema.note
        return self._compile(
            select(table.c.key, table.c.text)
            .where(table.c.channel == bindparam("of_channel"))
            .order_by(table.c.key)
        )

    @cached_property
    def forget_note(self) -> str:
        """Delete a note; parameters: channel, key."""
        table = schema.note
        return self._compile(
            delete(table)
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.key == bindparam("of_key"))
        )

    @cached_property
    def hints(self) -> str:
        """Read pending deliveries that name an order; parameters: channel, after, limit."""
        return self._hints_in(DeliveryState.PENDING)

    @cached_property
    def given_up(self) -> str:
        """Read quarantined deliveries that name an order; parameters: channel, after, limit."""
        return self._hints_in(DeliveryState.QUARANTINED)

    def _hints_in(self, state: DeliveryState) -> str:
        table = schema.delivery
        return self._compile(
            select(table)
            .where(table.c.channel == bindparam("of_channel"))
            .where(table.c.state == _literal(state.value))
            .where(table.c.id > bindparam("after"))
            .where(table.c.order_id.is_not(None))
            .order_by(table.c.id)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )

    @cached_property
    def prune(self) -> tuple[str, ...]:
        """Delete what is done with and old, of each kind among the oldest; parameters: how many,
        and the instant since when all are kept. Each returns the ids.

        The oldest are found by their ids, since no index is kept for what is looked for once an
        hour.
        """
        delivery, push, drift, request = (
            schema.delivery,
            schema.push,
            schema.drift,
            schema.request,
        )
        applied = delivery.c.state == _literal(DeliveryState.APPLIED.value)
        kinds: list[tuple[Any, ColumnElement[bool]]] = [
            (delivery.c.received_at, applied),
            (push.c.settled_at, push.c.settled_at.is_not(None)),
            (drift.c.closed_at, drift.c.closed_at.is_not(None)),
            (request.c.answered_at, request.c.answered_at.is_not(None)),
        ]
        return tuple(self._prune(instant, is_done) for instant, is_done in kinds)

    def _prune(self, instant: Column[Any], is_done: ColumnElement[bool]) -> str:
        table = instant.table
        oldest = (
            select(table.c.id)
            .where(is_done)
            .order_by(table.c.id)
            .limit(bindparam("limit"))
            .offset(_NO_OFFSET)
        )
        return self._compile(
            delete(table)
            .where(table.c.id.in_(oldest))
            .where(instant < bindparam("kept_since"))
            .returning(table.c.id)
        )

    @cached_property
    def take_fetch_numbers(self) -> str:
        """Take fetch numbers; parameter: how many. Returns the first number after them."""
        meta = schema.meta
        return self._compile(
            update(meta)
            .where(meta.c.name == _literal(schema.NEXT_FETCH))
            .values(value=meta.c.value + bindparam("count"))
            .returning(meta.c.value)
        )

    @cached_property
    def leave_request(self) -> str:
        """Insert a request; parameters: every column but the id. Returns the id."""
        table = schema.request
        columns = [column.name for column in table.c][_NOT_THE_ID]
        return self._compile(
            insert(table).values({name: bindparam(name) for name in columns}).returning(table.c.id)
        )

    @cached_property
    def requests(self) -> str:
        """Read the requests without an answer, oldest first."""
        table = schema.request
        return self._compile(
            select(table).where(table.c.answered_at.is_(None)).order_by(table.c.id)
        )

    @cached_property
    def answer_request(self) -> str:
        """Mark a request as carried out; parameters: instant, id."""
        table = schema.request
        return self._compile(
            update(table)
            .where(table.c.id == bindparam("request_id"))
            .values(answered_at=bindparam("answered"))
        )
