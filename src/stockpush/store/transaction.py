"""One write transaction: gather rows, locked; write decisions, one call to the driver per table.

Theory of operation. `gather` takes locks in one order (the catalogue's revision, shelves, fields,
reservations, the rest; each by key) and remembers which rows it found. A lock cannot hold a row
that is not there, and two transactions may both find it absent: so a row that was not found is
inserted, never upserted, and the later of the two fails (`StoreConflict`) and runs again. A whole
row that nobody gathered meets the same fate instead of overwriting what it has not seen.

`apply` folds the decisions first (`folding.py`), then writes table by table, parents before
children, and skips a table with nothing to do.

The states of all channels are read by every transaction and written by few, so they are not
locked: a row carries a version, and a write that does not find the version it read is a
`StoreConflict`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stockpush.errors import StoreConflict
from stockpush.messages import Decision, Needs, Rows
from stockpush.model import (
    BillOfMaterials,
    ChannelState,
    Item,
    Listing,
    Reservation,
    ReservationKey,
)
from stockpush.store import rows
from stockpush.store.dialects import Session
from stockpush.store.folding import Changes, fold
from stockpush.store.rows import Row
from stockpush.store.statements import Statements, TableStatements

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class StoredCatalogue:
    """The catalogue as stored: `ports.CatalogueRows`, each list in key order."""

    revision: int
    items: tuple[Item, ...]
    bills: tuple[BillOfMaterials, ...]
    listings: tuple[Listing, ...]


async def read_catalogue(session: Session, statements: Statements) -> StoredCatalogue:
    """Return the catalogue; the caller sees to it that nobody changes it meanwhile."""
    revision = await session.fetch(statements.catalogue_revision)
    items = await session.fetch(statements.item.every)
    bills = await session.fetch(statements.bill.every)
    lines = await session.fetch(statements.bill_lines)
    listings = await session.fetch(statements.listing.every)
    return StoredCatalogue(
        revision=int(revision[0][0]),
        items=tuple(rows.read_item(row) for row in items),
        bills=rows.read_bills(bills, lines),
        listings=tuple(rows.read_listing(row) for row in listings),
    )


class SqlTransaction:
    """`ports.Transaction` on one session, which its store has begun and will end."""

    def __init__(self, session: Session, statements: Statements) -> None:
        """Work in the transaction that is open on `session`."""
        self._session = session
        self._statements = statements
        self._found: dict[TableStatements, set[Any]] = {}
        self._channel_versions: dict[str, int] = {}
        self._channel_states: dict[str, ChannelState] | None = None
        self.wrote = False
        """Whether anything was written, so that others should be told."""

    async def catalogue_revision(self) -> int:
        """Return the catalogue's revision, which nobody changes before this transaction ends."""
        found = await self._session.fetch(self._statements.share_catalogue_revision)
        return int(found[0][0])

    async def catalogue(self) -> StoredCatalogue:
        """Return the whole catalogue, which nobody changes before this transaction ends."""
        await self.catalogue_revision()
        return await read_catalogue(self._session, self._statements)

    # -- gathering ---------------------------------------------------------------------------

    async def gather(self, needs: Needs) -> Rows:
        """Return the rows asked for, locked until the end; absent keys are left out."""
        s = self._statements
        shelves = await self._lock(s.shelf, needs.skus, rows.read_shelf, lambda row: row.sku)
        fields = await self._lock(s.field, needs.fields, rows.read_field, lambda row: row.key)
        reservations = await self._reservations(needs)
        dirty = await self._lock(s.dirty, needs.fields, rows.read_dirty, lambda row: row.key)
        in_flight = await self._read(s.pushes_in_flight, needs.fields, rows.read_push)
        deliveries = await self._read(s.deliveries_of_digests, needs.digests, rows.read_delivery)
        commands = await self._lock(s.command, needs.keys, rows.read_command, lambda row: row.key)
        movements = await self._read(s.movements_of_commands, needs.movements, rows.read_movement)
        by_id = {movement.id: movement for movement in movements if movement.id is not None}
        return Rows(
            shelves=shelves,
            fields=fields,
            reservations=reservations,
            dirty=dirty,
            in_flight={push.field: push for push in in_flight},
            # Oldest first, so that of one body the newest delivery stands.
            deliveries={(delivery.channel, delivery.digest): delivery for delivery in deliveries},
            commands=commands,
            movements=by_id,
            undone=frozenset(await self._read(s.undone, by_id.keys(), _first)),
            moved=frozenset(await self._read(s.moved, needs.moved, _first)),
            unread=frozenset(await self._read(s.unread, needs.unread, _first)),
            channels=await self._channels(),
        )

    async def _read(self, sql: str, keys: Collection[Any], read: Callable[[Row], V]) -> list[V]:
        """Return the rows of `keys`; no keys, no query."""
        if not keys:
            return []
        arguments = self._statements.dialect.keys(sorted(keys))
        return [read(row) for row in await self._session.fetch(sql, arguments)]

    async def _lock(
        self,
        table: TableStatements,
        keys: Collection[K],
        read: Callable[[Row], V],
        key_of: Callable[[V], K],
    ) -> dict[K, V]:
        """Return the rows of primary keys, locked, and remember which there are."""
        found = {key_of(row): row for row in await self._read(table.lock, keys, read)}
        self._found.setdefault(table, set()).update(found)
        return found

    async def _reservations(self, needs: Needs) -> dict[ReservationKey, Reservation]:
        s, read = self._statements, rows.read_reservation
        found = await self._read(s.reservations_of_orders, needs.orders, read)
        found += await self._read(s.reservations_of_order_keys, needs.order_keys, read)
        by_key = {reservation.key: reservation for reservation in found}
        self._found.setdefault(s.reservation, set()).update(by_key)
        return by_key

    async def _channels(self) -> dict[str, ChannelState]:
        """Return every channel's state as it was when first asked for: a write must find that."""
        if self._channel_states is None:
            found = await self._session.fetch(self._statements.channel.every)
            for name, version, *_rest in found:
                self._channel_versions.setdefault(name, version)
            self._channel_states = {row[0]: rows.read_channel(row) for row in found}
        return self._channel_states

    # -- applying ----------------------------------------------------------------------------

    async def apply(self, decisions: Sequence[Decision]) -> list[tuple[int, ...]]:
        """Write the decisions, in order; return the ids of the movements each one wrote."""
        changes = fold(decisions)
        movement_ids = await self._take_movement_ids(decisions)
        s = self._statements
        await self._write_catalogue(changes)
        await self._put(s.shelf, changes.shelves, rows.shelf_row)
        await self._put(s.field, changes.fields, rows.field_row)
        await self._put(s.reservation, changes.reservations, rows.reservation_row)
        await self._run(
            s.movement.insert,
            [
                rows.movement_row(movement, movement_id)
                for decision, ids in zip(decisions, movement_ids, strict=True)
                for movement, movement_id in zip(decision.movements, ids, strict=True)
            ],
        )
        # Upserts first: a row that a decision wrote may be cleaned by a later one.
        await self._put(s.dirty, changes.dirty, rows.dirty_row)
        await self._run(s.delete_clean, [(*key, revision) for key, revision in changes.clean])
        await self._write_pushes(changes)
        await self._write_deliveries(changes)
        await self._write_drifts(changes)
        await self._write_channels(changes.channels)
        commands = {
            done.key: rows.command_row(done, ids)
            for decision, ids in zip(decisions, movement_ids, strict=True)
            for done in decision.commands
        }
        await self._put(s.command, commands, lambda row: row)
        return movement_ids

    async def _run(self, sql: str, written: Sequence[Row]) -> None:
        if written:
            self.wrote = True
            await self._session.run_many(sql, written)

    async def _put(
        self, table: TableStatements, values: Mapping[Any, V], row_of: Callable[[V], Row]
    ) -> None:
        """Write whole rows by key; a row not found before must not be there now either."""
        found = self._found.setdefault(table, set())
        absent = [row_of(value) for key, value in values.items() if key not in found]
        present = [row_of(value) for key, value in values.items() if key in found]
        await self._run(table.insert, absent)
        await self._run(table.upsert, present)
        found.update(values)

    async def _take_movement_ids(self, decisions: Sequence[Decision]) -> list[tuple[int, ...]]:
        count = sum(len(decision.movements) for decision in decisions)
        if count == 0:
            return [() for _ in decisions]
        taken = await self._session.fetch(self._statements.dialect.next_movement_ids, (count,))
        ids = iter(sorted(_first(row) for row in taken))
        return [tuple(next(ids) for _ in decision.movements) for decision in decisions]

    async def _write_catalogue(self, changes: Changes) -> None:
        s = self._statements
        if not (changes.items or changes.bills or changes.listings):
            return
        # The revision first: of two transactions that share it, one then loses before it writes.
        await self._run(s.bump_catalogue_revision, [()])
        await self._run(s.item.upsert, [rows.item_row(item) for item in changes.items])
        await self._run(s.bill.upsert, [rows.bill_row(bill) for bill in changes.bills])
        await self._run(s.delete_bill_lines, [(bill.item,) for bill in changes.bills])
        lines = [line for bill in changes.bills for line in rows.bill_line_rows(bill)]
        await self._run(s.bill_line.insert, lines)
        await self._run(s.listing.upsert, [rows.listing_row(each) for each in changes.listings])

    async def _write_pushes(self, changes: Changes) -> None:
        s = self._statements
        settled = [
            (rows.micros_or_none(push.settled_at), push.outcome and push.outcome.value, push.id)
            for push in changes.pushes_settled
        ]
        # Settled before opened: a field has one push in flight.
        if settled:
            self.wrote = True
            if await self._session.count_many(s.settle_push, settled) != len(settled):
                raise StoreConflict("Another writer settled the push first.")
        await self._run(s.push.append, [rows.push_row(push) for push in changes.pushes_opened])

    async def _write_deliveries(self, changes: Changes) -> None:
        s = self._statements
        await self._run(s.delivery.append, [rows.delivery_row(new) for new in changes.arrived])
        await self._run(
            s.update_delivery,
            [
                (
                    rows.micros(known.received_at),
                    known.state.value,
                    known.reason,
                    known.order_id,
                    known.body,
                    known.id,
                )
                for known in changes.kept
            ],
        )
        await self._run(
            s.apply_delivery,
            [(number, rows.micros(at)) for number, at in changes.deliveries_applied],
        )

    async def _write_drifts(self, changes: Changes) -> None:
        s = self._statements
        closings = [
            (
                drift.drift_class.value,
                drift.resolution,
                rows.micros_or_none(drift.closed_at),
                *drift.field,
            )
            for drift in changes.drifts_closed
        ]
        await self._run(s.close_drifts, closings)
        await self._run(s.drift.append, [rows.drift_row(drift) for drift in changes.drifts_new])

    async def _write_channels(self, states: Mapping[str, ChannelState]) -> None:
        s, versions = self._statements, self._channel_versions
        changed = [
            (*rows.channel_row(state, versions[name] + 1)[1:], name, versions[name])
            for name, state in states.items()
            if name in versions
        ]
        new = [rows.channel_row(state, 1) for name, state in states.items() if name not in versions]
        if changed:
            self.wrote = True
            if await self._session.count_many(s.update_channel, changed) != len(changed):
                raise StoreConflict("Another writer changed the channel's state first.")
        await self._run(s.channel.insert, new)
        versions.update({name: versions.get(name, 0) + 1 for name in states})
        self._channel_states = None


def _first(row: Row) -> Any:
    return row[0]
