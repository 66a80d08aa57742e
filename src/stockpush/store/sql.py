"""The store on SQLite and PostgreSQL: `ports.Store`, and sessions for the read side.

Theory of operation. One class serves both databases; `dialects/` knows what differs. A write
transaction borrows the write session, hands out a `SqlTransaction`, which begins with the first
thing asked of it, and commits when the block ends without an exception; whatever else ends it, a
cancellation included, rolls back. The daemon's queries borrow a reader. No row is kept between
transactions; only what a row says is not worked out again where it reads the same (`rows.Seen`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Self, TypeVar

from stockpush.errors import StockPushError, StoreConflict, StoreFull
from stockpush.model import (
    ChannelState,
    Credential,
    Delivery,
    Dirty,
    Field,
    FieldKey,
    Listing,
    Push,
    shelf_key,
)
from stockpush.ports import Request, Sold
from stockpush.store import address, migrations, rows
from stockpush.store.dialects import Database, Dialect, Session, Write
from stockpush.store.dialects.sqlite import AsyncCreator
from stockpush.store.rows import Row
from stockpush.store.statements import statements_of
from stockpush.store.transaction import SqlTransaction, StoredCatalogue, read_catalogue

BUSY_TIMEOUT_S: Final = 5.0
"""How long a writer waits for another before `StoreUnavailable`."""

V = TypeVar("V")


class SqlStore:
    """`ports.Store` on one database. Made by `open`; ended by `close`."""

    def __init__(self, database: Database) -> None:
        """Serve `database`, whose schema is current."""
        self._database = database
        self._statements = statements_of(database.dialect)
        self._seen = rows.Seen()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        async_creator: AsyncCreator | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        migrate: bool = True,
    ) -> Self:
        """Return the store at `url` (`address.py`), its schema brought up to date.

        `async_creator` opens aiosqlite connections in the caller's own way (a simulator's run on
        its own thread); each call must open one more connection to the same file.
        With `migrate=False` an old schema is an error (`SchemaOlder`); a newer one always
        is (`SchemaNewer`). Raises `UsageError` for a URL that is none and `StoreUnavailable`.
        An SQLite file on a full disk can still be read; what writes is `StoreFull` then.
        """
        database = address.database(url, busy_timeout_s=busy_timeout_s, async_creator=async_creator)
        try:
            if migrate:
                await migrations.migrate(database)
            else:
                await migrations.require_current(database)
        except StoreFull:
            await database.close()
            if async_creator is not None:
                raise
            return cls(await _only_read(url, busy_timeout_s=busy_timeout_s))
        except BaseException:
            await database.close()
            raise
        return cls(database)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Open a write transaction; see `ports.Store.transaction`."""
        async with self._database.writing() as session:
            try:
                transaction = SqlTransaction(session, self._statements, self._seen)
                yield transaction
                await transaction.commit()
            except BaseException:
                await session.rollback()
                raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """Lend a session on which every read shows the same instant."""
        async with self._database.reading() as session:
            try:
                await session.begin_read()
                yield session
            finally:
                await session.rollback()

    @property
    def dialect(self) -> Dialect:
        """How statements are put for this database (for `reads.py`)."""
        return self._database.dialect

    async def catalogue(self) -> StoredCatalogue:
        """Return the whole catalogue at one revision."""
        async with self.reading() as session:
            return await read_catalogue(session, self._statements)

    # -- the daemon's queries ----------------------------------------------------------------

    async def dirty(self, channel: str, *, at: datetime, limit: int) -> Sequence[Dirty]:
        """Return outbox rows that may be sent at `at`, decreases first."""
        arguments = (channel, rows.micros(at), limit)
        return await self._query(self._statements.dirty_due, arguments, rows.read_dirty)

    async def next_due(self, channel: str) -> datetime | None:
        """Return when the earliest outbox row that may be sent is due."""
        found = await self._query(self._statements.next_due, (channel,), _first)
        return rows.instant(found[0]) if found else None

    async def open_pushes(self, channel: str) -> Sequence[Push]:
        """Return the pushes of the channel that are not settled."""
        return await self._query(self._statements.open_pushes, (channel,), rows.read_push)

    async def reads_due(self, channel: str, *, at: datetime, limit: int) -> Sequence[FieldKey]:
        """Return fields whose reading is due at `at`, longest due first."""
        arguments = (channel, rows.micros(at), limit)
        return await self._query(self._statements.reads_due, arguments, lambda row: FieldKey(*row))

    async def next_read_due(self, channel: str) -> datetime | None:
        """Return when the earliest reading of the channel is due, None if none ever is."""
        found = await self._query(self._statements.next_read_due, (channel,), _first)
        return rows.instant(found[0]) if found else None

    async def next_lot_turn(self) -> datetime | None:
        """Return when the clock next changes which lots are sold, None if it never does."""
        found = await self._query(self._statements.next_lot_turn, (), _first)
        return rows.instant(found[0]) if found else None

    async def lots_due(self, *, at: datetime, limit: int) -> Sequence[str]:
        """Return the items of up to `limit` lots that the clock has changed, longest ago first."""
        arguments = (rows.micros(at), limit)
        due = await self._query(self._statements.lots_due, arguments, _first)
        return list(dict.fromkeys(due))

    async def sold(self, *, since: datetime, lately: datetime) -> Sequence[Sold]:
        """Return what each channel has sold of each item, by SKU and channel."""
        arguments = (rows.micros(lately), rows.micros(since))
        return await self._query(self._statements.sold, arguments, lambda row: Sold(*row))

    async def shown(self, *, since: datetime) -> Sequence[tuple[str, str, int]]:
        """Return where each item that was sold since is shown, by SKU and channel."""
        return await self._query(self._statements.shown, (rows.micros(since),), _three)

    async def push_seconds(self, channel: str, *, limit: int) -> Sequence[float]:
        """Return how long the newest applied pushes took."""
        spans = await self._query(self._statements.push_spans, (channel, limit), _first)
        return [micros / 1_000_000 for micros in spans]

    async def guard_levels(self) -> Mapping[str, int]:
        """Return the measured guard levels above 0, by the shelf's key."""
        found = await self._query(self._statements.guard_levels, (), _three)
        return {shelf_key(sku, pool): level for sku, pool, level in found}

    async def feeds(self) -> Mapping[str, str]:
        """Return which pool feeds each channel that has been said one."""
        return dict(await self._query(self._statements.feed.every, (), rows.read_feed))

    async def open_orders(self, channel: str, *, after: str, limit: int) -> Sequence[str]:
        """Return ids of the channel's orders with open reservations, by id, beyond `after`."""
        return await self._query(self._statements.open_orders, (channel, after, limit), _first)

    async def holds_due(self, *, at: datetime, limit: int) -> Sequence[int]:
        """Return ids of holds that are held and due at `at`, longest due first."""
        arguments = (rows.micros(at), limit)
        return await self._query(self._statements.holds_due, arguments, _first)

    async def next_hold_due(self) -> datetime | None:
        """Return when the earliest hold that is held is due, None if there is none."""
        found = await self._query(self._statements.next_hold_due, (), _first)
        return rows.instant(found[0]) if found else None

    async def fields(self, keys: Sequence[FieldKey]) -> Sequence[Field]:
        """Return the rows that there are of `keys`, in key order, not locked."""
        if not keys:
            return []
        arguments = self._database.dialect.keys(keys)
        return await self._query(self._statements.fields_of_keys, arguments, rows.read_field)

    async def listings(self, channel: str, *, after: str, limit: int) -> Sequence[Listing]:
        """Return listings of the channel beyond the reference `after`, in their order."""
        arguments = (channel, after, limit)
        return await self._query(self._statements.listings_of, arguments, rows.read_listing)

    async def field_keys(self, channel: str) -> Sequence[FieldKey]:
        """Return the keys of the channel's fields, in order."""
        read = self._statements.field_keys
        return await self._query(read, (channel,), lambda row: FieldKey(*row))

    async def fields_after(self, channel: str, key: str, *, limit: int) -> Sequence[FieldKey]:
        """Return keys of the channel's fields beyond `key`, in order."""
        read = self._statements.fields_after
        return await self._query(read, (channel, key, limit), lambda row: FieldKey(*row))

    async def channel_state(self, channel: str) -> ChannelState:
        """Return the channel's durable state; an empty one for a channel never polled."""
        found = await self._query(self._statements.channel_state, (channel,), rows.read_channel)
        return found[0] if found else ChannelState(channel)

    async def newest_instant(self) -> datetime | None:
        """Return the newest instant of our clock that any row has, None for an empty database.

        Instants at which something is due are not among them, nor those of the channels' clocks.
        """
        found = await self._query(self._statements.newest_instants, (), tuple)
        (newest,) = rows.each(_newest, found)
        return newest

    async def hints(self, channel: str, *, limit: int, after: int = 0) -> Sequence[Delivery]:
        """Return pending deliveries that point at an order, by id, beyond `after`."""
        arguments = (channel, after, limit)
        return await self._query(self._statements.hints, arguments, rows.read_delivery)

    async def given_up(self, channel: str, *, limit: int, after: int = 0) -> Sequence[Delivery]:
        """Return quarantined deliveries that point at an order, by id, beyond `after`."""
        arguments = (channel, after, limit)
        return await self._query(self._statements.given_up, arguments, rows.read_delivery)

    async def credential(self, channel: str) -> Credential | None:
        """Return the channel's stored access, None where none is."""
        found = await self._query(self._statements.credential_of, (channel,), rows.read_credential)
        return found[0] if found else None

    async def asked(self) -> Sequence[Request]:
        """Return the requests without an answer, oldest first."""
        return await self._query(self._statements.requests, (), rows.read_request)

    async def _query(self, sql: str, arguments: Sequence[Any], read: Callable[[Row], V]) -> list[V]:
        """Return the rows of one statement, which needs no transaction to show one instant."""
        async with self._database.reading() as session:
            return [read(row) for row in await session.fetch(sql, arguments)]

    # -- small writes of its own -------------------------------------------------------------

    async def reserve_fetch_numbers(self, count: int) -> int:
        """Return the first of `count` (>= 1) fetch numbers that were never given out, durably."""
        assert count >= 1
        return int(await self._write_one(self._statements.take_fetch_numbers, (count,))) - count

    async def ask(self, kind: str, arguments: Mapping[str, Any], *, at: datetime) -> int:
        """Leave a request for the daemon; return its id."""
        row = rows.request_row(kind, arguments, at)
        return int(await self._write_one(self._statements.leave_request, row))

    async def answered(self, request_id: int, *, at: datetime) -> None:
        """Mark a request as carried out."""
        await self._write_one(self._statements.answer_request, (rows.micros(at), request_id))

    async def prune(self, *, kept_since: datetime, limit: int) -> int:
        """Delete applied deliveries, settled pushes, closed drifts and answered requests that are
        from before `kept_since`, at most `limit` of each and the oldest first; return how many.

        What still waits for something is kept however old it is, and so are movements, orders and
        commands: balances are the sums of them, and a command's key is what its movements are named
        by (docs/decisions.md).
        """
        async with self._database.writing() as session:
            try:
                await session.begin_write()
                arguments = (limit, rows.micros(kept_since))
                gone = [await session.fetch(sql, arguments) for sql in self._statements.prune]
                count = sum(len(each) for each in gone)
                await session.commit(wrote=count > 0)
            except BaseException:
                await session.rollback()
                raise
        return count

    async def noted(self, channel: str) -> Mapping[str, str]:
        """Return the notes of a channel by key."""
        found = await self._query(self._statements.notes_of, (channel,), tuple)
        return dict(found)

    async def note(self, channel: str, key: str, text: str | None) -> None:
        """Keep a note of a channel, or forget it (None)."""
        if text is None:
            await self._write_one(self._statements.forget_note, (channel, key))
        else:
            await self._write_one(self._statements.note.upsert, (channel, key, text))

    async def keep_credential(self, credential: Credential) -> bool:
        """Store a channel's access if its version is the next one; answer whether it was stored."""
        row = rows.credential_row(credential)
        if credential.version == 1:
            write = Write(self._statements.credential.insert, [row])
        else:
            replaced = (*row[1:], credential.channel, credential.version - 1)
            sql = self._statements.replace_credential
            write = Write(sql, [replaced], otherwise="another version of a channel's access")
        async with self._database.writing() as session:
            try:
                await session.begin_write()
                await session.write([write])
                await session.commit(wrote=True)
            except StoreConflict:
                await session.rollback()
                return False
            except BaseException:
                await session.rollback()
                raise
        return True

    async def _write_one(self, sql: str, arguments: Sequence[Any]) -> Any:
        """Run one statement in a transaction of its own; return what it returned, if anything."""
        async with self._database.writing() as session:
            try:
                await session.begin_write()
                found = await session.fetch(sql, arguments)
                await session.commit(wrote=True)
            except BaseException:
                await session.rollback()
                raise
        return found[0][0] if found else None

    # -- the rest ----------------------------------------------------------------------------

    @asynccontextmanager
    async def only_daemon(self) -> AsyncIterator[None]:
        """Be the one daemon on this database until the block ends.

        Raises `AlreadyRunning` when another one is, and `SchemaNewer` when a newer Stock Push has
        migrated the database since it was opened: from now on none can.
        """
        async with self._database.only_daemon():
            found = await self._query(migrations.MARKED, (), _first)
            if found != [migrations.HEAD]:
                raise migrations.newer(", ".join(map(str, found)) or "without a revision")
            await self._database.make_room()
            yield

    async def changes(self) -> int:
        """Return a number that differs after another store or process has committed.

        Commits of this store do not count: who made them knows of them. Raises `LockLost` if this
        store is no longer the one daemon's: only ending is safe then.
        """
        return await self._database.changes()

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()


async def _only_read(url: str, *, busy_timeout_s: float) -> Database:
    """Return the database on a full disk, to be read alone; raise `StoreFull` if it cannot be."""
    database = address.database(url, busy_timeout_s=busy_timeout_s, only_read=True)
    try:
        await migrations.require_current(database)
    except StockPushError as error:
        await database.close()
        raise StoreFull from error
    except BaseException:
        await database.close()
        raise
    return database


def _first(row: Row) -> Any:
    return row[0]


def _three(row: Row) -> tuple[str, str, int]:
    return row[0], row[1], row[2]


def _newest(row: Row) -> datetime | None:
    """Return the newest of a row's instants, None if it has none."""
    known = [micros for micros in row if micros is not None]
    return rows.instant(max(known)) if known else None
