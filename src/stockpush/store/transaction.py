"""One write transaction: gather rows, locked; write decisions, one statement per table.

Theory of operation. `gather` takes locks in one order (the catalogue's revision, leaders of large
groups, shelves, lots, fields, reservations, the rest; each by key) and remembers which rows it
found. A lock cannot hold a row
that is not there, and two transactions may both find it absent: so a row that was not found is
inserted, never upserted, and the later of the two fails (`StoreConflict`) and runs again. A whole
row that nobody gathered meets the same fate instead of overwriting what it has not seen.

`apply` folds the decisions first (`folding.py`), then writes table by table, parents before
children, and skips a table with nothing to do. A driver with a thread of its own is called as
seldom as can be: the transaction begins with the first thing that is asked for, what is gathered is
asked for together, and what is applied waits for the next question, or for the commit.

The states of all channels are read by every transaction and written by few, so they are not
locked: a row carries a version, and a write that does not find the version it read is a
`StoreConflict`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stockpush.messages import Decision, Needs, Rows
from stockpush.model import (
    BillOfMaterials,
    ChannelState,
    Feed,
    Hold,
    Item,
    Listing,
    Location,
    sku_of,
)
from stockpush.packed import PACKED_MIN, Packed
from stockpush.store import rows
from stockpush.store.dialects import Dialect, Query, Session, Write
from stockpush.store.folding import Changes, fold
from stockpush.store.rows import Row
from stockpush.store.statements import Statements, TableStatements

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class StoredCatalogue:
    """The catalogue as stored: `ports.CatalogueRows`, each list in key order.

    Long lists are `Packed`.
    """

    revision: int
    items: Sequence[Item]
    bills: Sequence[BillOfMaterials]
    listings: Sequence[Listing]
    locations: tuple[Location, ...] = ()
    feeds: tuple[Feed, ...] = ()
    older_bills: tuple[BillOfMaterials, ...] = ()


async def read_catalogue(session: Session, statements: Statements) -> StoredCatalogue:
    """Return the catalogue; the caller sees to it that nobody changes it meanwhile."""
    revision = await session.fetch(statements.catalogue_revision)
    items = await _read(session, statements.item.every, rows.read_item)
    bills = await _read_bills(session, statements)
    listings = await _read(session, statements.listing.every, rows.read_listing)
    locations = await session.fetch(statements.location.every)
    # Whoever has no location besides MAIN has no other pool.
    feeds = await session.fetch(statements.feed.every) if locations else ()
    # Where no bill was ever replaced there is no older one; to look at so many takes longer.
    replaced = isinstance(bills, Packed) or any(bill.version > 1 for bill in bills)
    older_bills = await session.fetch(statements.older_bill.every) if replaced else ()
    return StoredCatalogue(
        revision=int(revision[0][0]),
        items=items,
        bills=bills,
        listings=listings,
        locations=rows.each(rows.read_location, locations),
        feeds=rows.each(rows.read_feed, feeds),
        older_bills=rows.each(rows.read_older_bill, older_bills),
    )


async def _read(session: Session, sql: str, read: Callable[[Row], V]) -> Sequence[V]:
    """Return what the rows of a query say; many of them packed, a part after the other."""
    few: list[Row] = []
    many = Packed(read, ())
    async for part in session.fetch_parts(sql):
        if len(few) + len(part) < PACKED_MIN and not many:
            few += part
        else:
            rows.keep(many, (*few, *part))
            few = []
    return many or rows.each(read, few)


async def _read_bills(session: Session, statements: Statements) -> Sequence[BillOfMaterials]:
    """Return the bills, each with its lines; many of them packed."""
    heads = await _read(session, statements.bill.every, tuple[Any, ...])
    if not isinstance(heads, Packed):
        return rows.read_bills(heads, await session.fetch(statements.bill_lines))
    bills = Packed(rows.read_whole_bill, ())
    left = iter(heads)
    head, lines = next(left, None), list[Row]()
    async for part in session.fetch_parts(statements.bill_lines):
        whole = []
        for line in part:
            while head is not None and head[0] != line[0]:
                whole.append(rows.whole_bill_row(head, lines))
                head, lines = next(left, None), []
            lines.append(line)
        rows.keep(bills, whole)
    while head is not None:
        rows.keep(bills, [rows.whole_bill_row(head, lines)])
        head, lines = next(left, None), []
    return bills


class SqlTransaction:
    """`ports.Transaction` on one session; its store calls `commit`, or rolls the session back."""

    def __init__(self, session: Session, statements: Statements, seen: rows.Seen) -> None:
        """Work on `session`, where no transaction is open."""
        self._session = session
        self._statements = statements
        self._seen = seen
        self._begun = False
        self._revision: int | None = None
        self._waiting: list[Write] = []
        """What is to be written before anything else is read."""
        self._known: dict[TableStatements, set[Any]] = {}
        self._channel_versions: dict[str, int] = {}
        self._channel_states: dict[str, ChannelState] | None = None
        self._wrote = False

    async def catalogue_revision(self) -> int:
        """Return the catalogue's revision, which nobody changes before this transaction ends."""
        if self._revision is None:
            await self._fetch_each([])
        assert self._revision is not None
        return self._revision

    async def catalogue(self) -> StoredCatalogue:
        """Return the whole catalogue, which nobody changes before this transaction ends."""
        await self.catalogue_revision()
        return await read_catalogue(self._session, self._statements)

    async def commit(self) -> None:
        """Write what waits, and commit; nothing if nothing was asked for or applied."""
        if self._waiting:
            await self._begin([])
        if self._begun:
            await self._session.commit(self._waiting, wrote=self._wrote)

    async def _fetch_each(self, queries: Sequence[Query]) -> list[Sequence[Row]]:
        """Run queries, after whatever waits to be written; the first also begin the transaction.

        The catalogue's revision is read, and kept from changing, before anything else.
        """
        await self._catch_up()
        known = self._revision is not None
        asked = queries if known else [(self._statements.share_catalogue_revision, ()), *queries]
        answers = await self._session.fetch_each(asked) if self._begun else await self._begin(asked)
        if not known:
            self._revision = int(answers[0][0][0])
        return answers[len(asked) - len(queries) :]

    async def _catch_up(self) -> None:
        """Write what waits."""
        if self._waiting:
            await self._begin([])
            await self._session.write(self._waiting)
            self._waiting = []

    async def _begin(self, queries: Sequence[Query]) -> list[Sequence[Row]]:
        """Begin, if that has not been done, and run queries."""
        if self._begun:
            return []
        answers = await self._session.begin_write(queries)
        self._begun = True
        return answers

    # -- gathering ---------------------------------------------------------------------------

    async def gather(self, needs: Needs) -> Rows:
        """Return the rows asked for, locked until the end; absent keys are left out."""
        s, asked = self._statements, _Asked(self._statements.dialect)
        leading = frozenset(map(sku_of, needs.leaders))
        # First of all: whoever nets the same group waits here, holding nothing yet.
        leaders = asked.of(s.shelves_of_items, leading, rows.read_shelf)
        skus = frozenset(map(sku_of, needs.skus))
        shelves = asked.of(s.shelves_of_items, skus, rows.read_shelf)
        lots = asked.of(s.lots_of_items, needs.lots, rows.read_lot)
        lots_at = asked.of(s.lots_at_locations, needs.lots_at, rows.read_lot)
        fields = asked.of(s.field.lock, needs.fields, self._seen.field)
        short = asked.all(s.shelves_short) if needs.leaders else tuple
        holding = asked.all(s.fields_holding) if needs.leaders else tuple
        of_orders = asked.of(s.reservations_of_orders, needs.orders, rows.read_reservation)
        of_keys = asked.of(s.reservations_of_order_keys, needs.order_keys, rows.read_reservation)
        open_on = asked.of(s.reservations_open_on, needs.open_on, rows.read_reservation)
        dirty = asked.of(s.dirty.lock, needs.fields, rows.read_dirty)
        in_flight = asked.of(s.pushes_in_flight, needs.fields, rows.read_push)
        deliveries = asked.of(s.deliveries_of_digests, needs.digests, rows.read_delivery)
        commands = asked.of(s.command.lock, needs.keys, rows.read_command)
        movements = asked.of(s.movements_of_commands, needs.movements, rows.read_movement)
        moved = asked.of(s.moved, needs.moved, _first)
        unread = asked.of(s.unread, needs.unread, _first)
        holds = asked.of(s.hold.lock, needs.holds, tuple)
        hold_lines = asked.of(s.lines_of_holds, needs.holds, tuple)
        placed = asked.of(s.holds_of_keys, needs.hold_keys, tuple)
        placed_lines = asked.of(s.lines_of_hold_keys, needs.hold_keys, tuple)
        newest_hold = asked.all(s.newest_hold) if needs.hold_keys else None
        channels = None if self._channel_states is not None else asked.all(s.channels)
        if asked.queries:
            asked.answers = await self._fetch_each(asked.queries)
        if channels is not None:
            self._keep_channels(channels())
        by_id = {each.id: each for each in movements() if each.id is not None}
        return Rows(
            lots=self._found(s.lot, {row.key: row for row in (*lots(), *lots_at())}),
            shelves=self._found(
                s.shelf,
                {
                    row.key: row
                    for row in (*leaders(), *shelves(), *rows.each(rows.read_shelf, short()))
                },
            ),
            fields=self._found(
                s.field,
                {row.key: row for row in (*fields(), *rows.each(self._seen.field, holding()))},
            ),
            reservations=self._found(
                s.reservation, {row.key: row for row in (*of_orders(), *of_keys(), *open_on())}
            ),
            dirty=self._found(s.dirty, {row.key: row for row in dirty()}),
            in_flight={push.field: push for push in in_flight()},
            # Of one body the newest delivery stands.
            deliveries={
                (each.channel, each.digest): each
                for each in sorted(deliveries(), key=lambda each: each.id or 0)
            },
            commands=self._found(s.command, {row.key: row for row in commands()}),
            movements=by_id,
            undone=frozenset(await self._undone(by_id)),
            moved=frozenset(moved()),
            unread=frozenset(unread()),
            holds=self._found(
                s.hold,
                {
                    hold.id: hold
                    for found, lines in ((holds, hold_lines), (placed, placed_lines))
                    for hold in rows.read_holds(found(), lines())
                },
            ),
            next_hold=1 if newest_hold is None else (_first(newest_hold()[0]) or 0) + 1,
            channels=self._channel_states or {},
        )

    def _found(self, table: TableStatements, found: dict[K, V]) -> dict[K, V]:
        """Remember which rows there are of those that were asked for, and locked."""
        self._known.setdefault(table, set()).update(found)
        return found

    async def _undone(self, movement_ids: Collection[int]) -> list[int]:
        """Return which of some movements a later one undoes."""
        if not movement_ids:
            return []
        keys = self._statements.dialect.keys(sorted(movement_ids))
        [found] = await self._fetch_each([(self._statements.undone, keys)])
        return [_first(row) for row in found]

    def _keep_channels(self, found: Sequence[Row]) -> None:
        """Keep every channel's state as it was when first asked for: a write must find that."""
        for name, version, *_rest in found:
            self._channel_versions.setdefault(name, version)
        self._channel_states = {row[0]: rows.read_channel(row) for row in found}

    # -- applying ----------------------------------------------------------------------------

    async def apply(self, decisions: Sequence[Decision]) -> list[tuple[int, ...]]:
        """Write the decisions, in order; return the ids of the movements each one wrote, but for
        notes of what is owed.
        """
        changes = fold(decisions)
        movement_ids = await self._take_movement_ids(decisions)
        s, written = self._statements, _Written()
        self._write_catalogue(written, changes)
        self._put(written, s.shelf, changes.shelves, rows.shelf_row)
        self._put(written, s.lot, changes.lots, rows.lot_row)
        self._put(written, s.field, changes.fields, self._seen.row)
        self._put(written, s.reservation, changes.reservations, rows.reservation_row)
        self._write_holds(written, changes.holds)
        written.run(
            s.movement.insert,
            [
                rows.movement_row(movement, movement_id)
                for decision, ids in zip(decisions, movement_ids, strict=True)
                for movement, movement_id in zip(decision.movements, ids, strict=True)
            ],
        )
        # Upserts first: a row that a decision wrote may be cleaned by a later one.
        self._put(written, s.dirty, changes.dirty, rows.dirty_row)
        written.run(s.delete_clean, [(*key, revision) for key, revision in changes.clean])
        self._write_pushes(written, changes)
        self._write_deliveries(written, changes)
        self._write_drifts(written, changes)
        self._write_channels(written, changes.channels)
        told = list(map(_told, decisions, movement_ids))
        commands = {
            done.key: rows.command_row(done, ids)
            for decision, ids in zip(decisions, told, strict=True)
            for done in decision.commands
        }
        self._put(written, s.command, commands, lambda row: row)
        if written.writes:
            self._wrote = True
            self._waiting += written.writes
        return told

    def _put(
        self,
        written: _Written,
        table: TableStatements,
        values: Mapping[Any, V],
        row_of: Callable[[V], Row],
    ) -> None:
        """Write whole rows by key; a row not found before must not be there now either."""
        if not values:
            return
        found = self._known.setdefault(table, set())
        written.run(
            table.insert, [row_of(value) for key, value in values.items() if key not in found]
        )
        written.run(table.upsert, [row_of(value) for key, value in values.items() if key in found])
        found.update(values)

    async def _take_movement_ids(self, decisions: Sequence[Decision]) -> list[tuple[int, ...]]:
        count = sum(len(decision.movements) for decision in decisions)
        if count == 0:
            return [() for _ in decisions]
        await self._catch_up()
        await self._begin([])
        taken = await self._session.fetch(self._statements.dialect.next_movement_ids, (count,))
        ids = iter(sorted(_first(row) for row in taken))
        return [tuple(next(ids) for _ in decision.movements) for decision in decisions]

    def _write_catalogue(self, written: _Written, changes: Changes) -> None:
        s = self._statements
        bills = changes.bills or changes.older_bills or changes.forgotten_bills
        catalogue = (changes.items, bills, changes.listings, changes.locations)
        if not (any(catalogue) or changes.feeds):
            return
        self._revision = None
        # The revision first: of two transactions that share it, one then loses before it writes.
        written.run(s.bump_catalogue_revision, [()])
        written.run(s.item.upsert, [rows.item_row(item) for item in changes.items])
        written.run(s.location.upsert, [rows.location_row(each) for each in changes.locations])
        written.run(s.feed.upsert, [tuple(each) for each in changes.feeds])
        written.run(s.bill.upsert, [rows.bill_row(bill) for bill in changes.bills])
        written.run(s.delete_bill_lines, [(bill.item,) for bill in changes.bills])
        written.run(s.delete_older_bill, sorted(changes.forgotten_bills))
        written.run(
            s.older_bill.upsert, [rows.older_bill_row(bill) for bill in changes.older_bills]
        )
        lines = [line for bill in changes.bills for line in rows.bill_line_rows(bill)]
        written.run(s.bill_line.insert, lines)
        written.run(s.listing.upsert, [rows.listing_row(each) for each in changes.listings])

    def _write_holds(self, written: _Written, holds: Mapping[int, Hold]) -> None:
        """Write holds; the lines of a hold are written with it and never change."""
        s, known = self._statements, self._known.get(self._statements.hold, set())
        lines = [
            line
            for number, hold in holds.items()
            if number not in known
            for line in rows.hold_line_rows(hold)
        ]
        self._put(written, s.hold, holds, rows.hold_row)
        written.run(s.hold_line.insert, lines)

    def _write_pushes(self, written: _Written, changes: Changes) -> None:
        s = self._statements
        settled = [
            (rows.micros_or_none(push.settled_at), push.outcome and push.outcome.value, push.id)
            for push in changes.pushes_settled
        ]
        # Settled before opened: a field has one push in flight.
        written.run_all(s.settle_push, settled, "Another writer settled the push first.")
        written.run(s.push.append, [rows.push_row(push) for push in changes.pushes_opened])

    def _write_deliveries(self, written: _Written, changes: Changes) -> None:
        s = self._statements
        written.run(s.delivery.append, [rows.delivery_row(new) for new in changes.arrived])
        written.run(
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
        written.run(
            s.apply_delivery,
            [(number, rows.micros(at)) for number, at in changes.deliveries_applied],
        )

    def _write_drifts(self, written: _Written, changes: Changes) -> None:
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
        written.run(s.close_drifts, closings)
        written.run(s.drift.append, [rows.drift_row(drift) for drift in changes.drifts_new])

    def _write_channels(self, written: _Written, states: Mapping[str, ChannelState]) -> None:
        s, versions = self._statements, self._channel_versions
        changed = [
            (*rows.channel_row(state, versions[name] + 1)[1:], name, versions[name])
            for name, state in states.items()
            if name in versions
        ]
        new = [rows.channel_row(state, 1) for name, state in states.items() if name not in versions]
        written.run_all(
            s.update_channel, changed, "Another writer changed the channel's state first."
        )
        written.run(s.channel.insert, new)
        versions.update({name: versions.get(name, 0) + 1 for name in states})
        self._channel_states = None


class _Asked:
    """Queries that are run together, and what each of them is to answer."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.queries: list[Query] = []
        self._keys: dict[int, tuple[Any, ...]] = {}
        """The parameters of each set of keys, by its identity: fields are asked for three times."""
        self.answers: Sequence[Sequence[Row]] = ()

    def of(
        self, sql: str, keys: Collection[Any], read: Callable[[Row], V]
    ) -> Callable[[], list[V]]:
        """Ask for the rows of `keys`; no keys, no query. Returns what gives the values, later."""
        if not keys:
            return list
        number = len(self.queries)
        if id(keys) not in self._keys:
            self._keys[id(keys)] = self._dialect.keys(sorted(keys))
        self.queries.append((sql, self._keys[id(keys)]))
        return lambda: [read(row) for row in self.answers[number]]

    def all(self, sql: str) -> Callable[[], Sequence[Row]]:
        """Ask for what a statement without parameters reads. Returns what gives its rows, later."""
        number = len(self.queries)
        self.queries.append((sql, ()))
        return lambda: self.answers[number]


class _Written:
    """Writes that are run together."""

    def __init__(self) -> None:
        self.writes: list[Write] = []

    def run(self, sql: str, rows: Sequence[Row]) -> None:
        """Run a statement once per row."""
        if rows:
            self.writes.append(Write(sql, rows))

    def run_all(self, sql: str, rows: Sequence[Row], otherwise: str) -> None:
        """Run a counted statement once per row; each must find its row."""
        if rows:
            self.writes.append(Write(sql, rows, otherwise))


def _first(row: Row) -> Any:
    return row[0]


def _told(decision: Decision, movement_ids: Sequence[int]) -> tuple[int, ...]:
    """Return the ids that a decision's movements are told by: an undo of one gives something back.

    A command of nothing but notes has none.
    """
    written = zip(decision.movements, movement_ids, strict=True)
    return tuple(each for movement, each in written if not movement.is_note)
