"""SQLite through aiosqlite: one writer, a few readers, one file.

Theory of operation. The database is in WAL mode: readers never wait for the writer. All writes of
this process share one connection behind an `asyncio.Lock` and begin with BEGIN IMMEDIATE, so
another process is waited for at the beginning (`busy_timeout`) and never in the middle, where
SQLite would have to refuse. Readers are `query_only` and use a plain BEGIN; on one engine with the
writer every read would take the write lock. `synchronous=FULL`: a commit that returned survives a
power cut. A late checkpoint (8,000 pages) halves the slowest commits, and the daemon's log has that
length from the start: a commit that makes a file longer waits for the file system's own journal as
well. What buyers ordered is nobody
else's business: the file is its owner's alone, and SQLite gives `-wal` and `-shm` the same mode.

Where the disk is full the `-shm` file cannot be made that readers need. The file is then read
without one, by one connection that keeps everybody else away as long as it is open.

Source of the pragmas: https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

import aiosqlite
import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Executable,
    LargeBinary,
    Select,
    Table,
    UnaryExpression,
    and_,
    bindparam,
    case,
    event,
    func,
    literal_column,
    null,
    select,
    tuple_,
)
from sqlalchemy.dialects.sqlite import aiosqlite as compiler
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.operators import custom_op

from stockpush.errors import (
    StockPushError,
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreRuleBroken,
    StoreUnavailable,
    StoreUnsafe,
)
from stockpush.store import damage
from stockpush.store.dialects import PART_ROWS, Key, Query, Write, text_of
from stockpush.store.lock import DaemonLock

T = TypeVar("T")

AsyncCreator: TypeAlias = Callable[[], Awaitable[aiosqlite.Connection]]
"""Opens one more connection to the same database file."""

READERS_MAX: Final = 4
_CHECKPOINT_PAGES: Final = 8000
_LOG_BYTES: Final = _CHECKPOINT_PAGES * 4096
_ROOM_BYTES: Final = 64 * _LOG_BYTES
"""How much room there must be on the disk for the log to have its whole length from the start."""
BLOCKS: Final = (64, 32, 16, 8, 4, 2)
"""How many rows are inserted by one statement, as long as there are so many."""
_VALUES: Final = re.compile(r"(?<= VALUES )\(\?(?:, \?)*\)")
_OWNER_ONLY: Final = 0o600
_QUERY_ONLY: Final = "PRAGMA query_only = ON"
_ALONE: Final = ("PRAGMA locking_mode = EXCLUSIVE", _QUERY_ONLY)
"""What has a connection read the log without a `-shm` file: nobody else may have the file open.
Source: https://www.sqlite.org/wal.html, "Use of WAL Without Shared-Memory".
"""
_FOUND: Final = msgspec.json.Decoder(list[tuple[Any, ...]])
_RACES: Final = (
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
)
# aiosqlite says ValueError for a closed connection; so does a text that is not valid Unicode.
_ACCIDENTS: Final = (sqlite3.Error, ValueError, OverflowError)


def translate(error: Exception) -> StockPushError:
    """Return our error for one of the driver's."""
    match error:
        case _ if damage.is_damage(error):
            return StoreDamaged(
                f"The database file is damaged: {error}.", next="stockpush check --deep"
            )
        case _ if damage.is_full(error):
            return StoreFull()
        case _ if damage.is_unsafe(error):
            return StoreUnsafe(
                f"What was written could not be made safe on the disk: {error}.",
                next="look at the disk, then start again: the file is examined first",
            )
        case sqlite3.IntegrityError() if error.sqlite_errorcode in _RACES:
            return StoreConflict(f"Another writer was first: {error}")
        case sqlite3.IntegrityError() | OverflowError() | UnicodeError():
            return StoreRuleBroken(f"A row would break a rule of the database: {error}")
        case _:
            return StoreUnavailable(f"The database cannot be used right now: {error}")


class SqliteSession:
    """`dialects.Session` on one aiosqlite connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: aiosqlite.Connection) -> None:
        """Take over `connection`; nothing else may use it meanwhile."""
        self._connection = connection

    async def begin_write(self, queries: Sequence[Query] = ()) -> list[Sequence[Sequence[Any]]]:
        """Take the file's write lock, waiting as long as `busy_timeout` says; then read."""

        def begun(file: sqlite3.Connection) -> Sequence[str]:
            file.execute("BEGIN IMMEDIATE")
            return _texts(file, queries)

        return _rows(await self._on_its_thread(begun))

    async def begin_read(self) -> None:
        """Begin; the first read fixes the instant that all show."""
        await self.fetch("BEGIN")

    async def commit(self, writes: Sequence[Write] = (), *, wrote: bool) -> None:
        """Write and commit. `PRAGMA data_version` shows it to others without our help."""
        del wrote

        def committed(file: sqlite3.Connection) -> None:
            for each in writes:
                _run(file, each)
            file.commit()

        await self._on_its_thread(committed)

    async def rollback(self) -> None:
        """Undo what is open, if anything is: SQLite may have done so after a full disk."""
        # The error that led here is the one to be reported; a closed connection has rolled back.
        with suppress(*_ACCIDENTS):
            await self._connection.rollback()

    async def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement and return its rows."""
        try:
            return cast(
                "Sequence[Sequence[Any]]",
                await self._connection.execute_fetchall(sql, arguments),
            )
        except _ACCIDENTS as error:
            raise translate(error) from error

    async def fetch_parts(self, sql: str) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """Run one statement; yield its rows in parts."""

        def begun(file: sqlite3.Connection) -> tuple[sqlite3.Cursor, list[Any]]:
            cursor = file.execute(sql)
            return cursor, cursor.fetchmany(PART_ROWS)

        cursor, part = await self._on_its_thread(begun)
        while part:
            yield part
            if len(part) < PART_ROWS:
                return
            part = await self._on_its_thread(lambda _: cursor.fetchmany(PART_ROWS))

    async def fetch_each(self, queries: Sequence[Query]) -> list[Sequence[Sequence[Any]]]:
        """Run the queries as one statement on the driver's thread."""
        return _rows(await self._on_its_thread(lambda file: _texts(file, queries)))

    async def write(self, writes: Sequence[Write]) -> None:
        """Run the writes one after the other on the driver's thread, inserts many rows at a time.

        The way to that thread and back costs more than most of the statements do.
        """

        def written(file: sqlite3.Connection) -> None:
            for each in writes:
                _run(file, each)

        await self._on_its_thread(written)

    async def lengthen_log(self, path: Path) -> None:
        """Give the write-ahead log its whole length, if there is room: it is then overwritten.

        A transaction that is larger than the cache is written to the log before it ends, and one
        that is rolled back leaves it as long as it was.
        """

        def lengthened(file: sqlite3.Connection) -> None:
            if shutil.disk_usage(path.parent).free < _ROOM_BYTES:
                return
            # It is a comfort: whatever goes wrong here will be said when it matters. A sync that
            # fails loses nothing: all there is in the log was rolled back.
            with suppress(sqlite3.Error, OSError):
                try:
                    file.execute("BEGIN IMMEDIATE")
                    file.execute("CREATE TABLE filler (bytes)")
                    for _ in range(8):
                        file.execute("INSERT INTO filler VALUES (zeroblob(?))", (_LOG_BYTES // 8,))
                finally:
                    file.rollback()
                log = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
                try:
                    os.fsync(log)
                finally:
                    os.close(log)

        await self._on_its_thread(lengthened)

    async def _on_its_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out some work on the connection that the driver holds."""
        driver = self._connection
        try:
            # Every public method of the driver is one statement; this is what they are made of.
            done: T = await driver._execute(  # type: ignore[no-untyped-call]  # noqa: SLF001
                lambda: work(driver._conn)  # noqa: SLF001
            )
        except _ACCIDENTS as error:
            raise translate(error) from error
        return done


def _texts(file: sqlite3.Connection, queries: Sequence[Query]) -> Sequence[str]:
    """Run queries as one statement; return what each of them found as one JSON array of arrays.

    Each step of a statement lets the event loop's thread go on, and then waits for it: here it is
    one step, and not one for each row.
    """
    if not queries:
        return ()
    arguments = [each for _, arguments in queries for each in arguments]
    found = file.execute(_as_one(tuple(sql for sql, _ in queries)), arguments).fetchone()
    return cast("Sequence[str]", found)


def _rows(texts: Sequence[str]) -> list[Sequence[Sequence[Any]]]:
    return [_FOUND.decode(each) for each in texts]


@cache
def _as_one(queries: tuple[str, ...]) -> str:
    """Return the statement whose one row has the answer of each query."""
    return "SELECT " + ", ".join(f"({each})" for each in queries)


def _run(file: sqlite3.Connection, write: Write) -> None:
    """Run a write once per row.

    Each step of a statement lets the event loop's thread go on, and then waits for it. So whole
    blocks of rows are inserted by one statement, and what is left over row by row.
    """
    sql, rows, otherwise = write
    if otherwise is not None:
        if file.executemany(sql, rows).rowcount != len(rows):
            raise StoreConflict(otherwise)
        return
    done = 0
    values = _VALUES.search(sql)
    for block in BLOCKS if values is not None else ():
        for begin in range(done, len(rows) - block + 1, block):
            parameters = [each for row in rows[begin : begin + block] for each in row]
            file.execute(_of_block(sql, block), parameters)
            done = begin + block
    if done < len(rows):
        file.executemany(sql, rows[done:])


@cache
def _of_block(sql: str, block: int) -> str:
    """Return the statement that inserts so many rows instead of one."""
    return _VALUES.sub(lambda one: ", ".join([one[0]] * block), sql)


class SqliteDialect:
    """`dialects.Dialect` for SQLite 3.35 or later."""

    next_movement_ids = (
        "WITH RECURSIVE next (id, last) AS ("
        "SELECT coalesce(max(id), 0) + 1, coalesce(max(id), 0) + ? FROM movement "
        "UNION ALL SELECT id + 1, last FROM next WHERE id < last) "
        "SELECT id FROM next"
    )

    @cached_property
    def _compiler(self) -> compiler.dialect:
        return compiler.dialect()

    def compile(self, statement: Executable) -> str:
        """Return the statement as text with `?` parameters."""
        return text_of(statement, self._compiler)

    def member(self, columns: Sequence[Column[Any]], name: str) -> ColumnElement[bool]:
        """Return "among the elements of one JSON array", each a value or an array of values."""
        each = func.json_each(bindparam(name)).table_valued("value")
        if len(columns) == 1:
            return columns[0].in_(select(each.c.value))
        parts = [_element(each.c.value, position) for position in range(len(columns))]
        return tuple_(*columns).in_(select(*parts))

    def keys(self, keys: Iterable[Key]) -> tuple[Any, ...]:
        """Return the keys as one JSON array. Raises `StoreRuleBroken` for what cannot be a key."""
        found = list(keys)
        try:
            text = msgspec.json.encode(found).decode()
        except UnicodeError as error:
            raise translate(error) from error
        if "\\u0000" in text and any("\0" in part for key in found for part in _texts_of(key)):
            # json_each ends a text there, and would find the row of what stands before it.
            raise StoreRuleBroken("A key has the character U+0000 in it.")
        return (text,)

    def together(self, query: Select[Any]) -> str:
        """Return the query with its rows as one JSON array of arrays."""
        rows = query.subquery()
        return self.compile(select(_as_json(rows.c)).select_from(rows))

    def found(
        self,
        table: Table,
        columns: Sequence[Column[Any]],
        where: ColumnElement[bool] | None = None,
    ) -> str:
        """Return a query that goes through the keys and looks up each of them.

        CROSS JOIN has the planner keep to that: without statistics it may take it for cheaper to
        look through the whole table. So nothing needs to be sorted either.
        Source: https://www.sqlite.org/optoverview.html, "Manual Control Of Query Plans".
        """
        each = func.json_each(bindparam("keys")).table_valued("value")
        keys = (
            [each.c.value]
            if len(columns) == 1
            else [_element(each.c.value, position) for position in range(len(columns))]
        )
        same = and_(*(column == key for column, key in zip(columns, keys, strict=True)))
        query = select(_as_json(table.c)).select_from(each.join(table, same))
        text = self.compile(query if where is None else query.where(where))
        return text.replace(" JOIN ", " CROSS JOIN ", 1)

    def found_first(self, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
        """Return the columns, each as an expression that no index can be read in the order of.

        Without statistics the planner takes it for cheaper to look through a whole table in the
        right order than to look up some keys and sort what they find.
        Source: https://www.sqlite.org/optoverview.html, "Disqualifying WHERE Clause Terms".
        """
        return [UnaryExpression(column, operator=custom_op("+")) for column in columns]

    def upsert(self, table: Table) -> str:
        """Return INSERT .. ON CONFLICT .. DO UPDATE of every other column."""
        statement = insert(table)
        rest = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
        return self.compile(
            statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)
        )

    def counted(self, statement: Any) -> str:
        """Return the statement as it is."""
        return self.compile(statement)


DIALECT: Final = SqliteDialect()
"""The one there is: it knows nothing of a database."""


def _texts_of(key: Key) -> Iterable[str]:
    """Return the texts that a key is made of."""
    parts = key if isinstance(key, tuple) else (key,)
    return (part for part in parts if isinstance(part, str))


def _element(array: ColumnElement[Any], position: int) -> ColumnElement[Any]:
    return func.json_extract(array, literal_column(f"'$[{position}]'"))


def _as_json(columns: Iterable[ColumnElement[Any]]) -> ColumnElement[Any]:
    """Return all rows as one JSON array of arrays; JSON has no bytes, so these are hexadecimal."""
    return func.json_group_array(
        func.json_array(
            *(
                case((column.is_(None), null()), else_=func.hex(column))
                if isinstance(column.type, LargeBinary)
                else column
                for column in columns
            )
        )
    )


class SqliteDatabase:
    """`dialects.Database` on one SQLite file."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float,
        async_creator: AsyncCreator | None,
        only_read: bool = False,
    ) -> None:
        """Name the file; nothing is opened before the first use.

        `only_read`: the disk is full, and it is read without a `-shm` file.
        """
        self.dialect = DIALECT
        self._path = path
        # A simulator's connections have files of their own, a new one for each of many lives.
        self._lengthens_log = async_creator is None
        self._lock = asyncio.Lock()
        self._only_read = only_read
        self._unsafe: StoreUnsafe | None = None
        """Set once a sync has failed: a later one may succeed without what that did not write."""
        self._writer: tuple[AsyncConnection, SqliteSession] | None = None
        busy = f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}"
        self.engine = _engine(
            path,
            async_creator,
            connections_max=1,
            pragmas=(busy, *_ALONE)
            if only_read
            else (
                busy,
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            ),
        )
        readers_max = 1 if only_read else READERS_MAX
        self._readers = (
            self.engine
            if only_read
            else _engine(
                path, async_creator, connections_max=readers_max, pragmas=(busy, _QUERY_ONLY)
            )
        )
        self._seats = asyncio.Semaphore(readers_max)
        self._free: list[tuple[AsyncConnection, SqliteSession]] = []

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[SqliteSession]:
        """Lend the one write connection; never again after a failed sync (`StoreUnsafe`)."""
        async with self._lock:
            self._refuse_full()
            if self._unsafe is not None:
                raise StoreUnsafe(self._unsafe.message, next=self._unsafe.next)
            try:
                yield await self._write_session()
            except StoreUnsafe as error:
                self._unsafe = error
                raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqliteSession]:
        """Lend a reader. Those that came back whole are kept: the pool's way costs a read again."""
        async with self._seats:
            kept = self._free.pop() if self._free else None
            connection = await _connected(self._readers) if kept is None else kept[0]
            try:
                session = await _session(connection) if kept is None else kept[1]
                yield session
            except BaseException:
                await connection.close()
                raise
            self._free.append((connection, session))

    @asynccontextmanager
    async def only_daemon(self) -> AsyncIterator[None]:
        """Hold the lock on the file beside the database."""
        self._refuse_full()
        with DaemonLock(self._path):
            yield

    async def make_room(self) -> None:
        """Give the write-ahead log its whole length while nobody reads."""
        if self._lengthens_log:
            async with self._lock:
                session = await self._write_session()
                await session.lengthen_log(self._path)

    async def changes(self) -> int:
        """Return `data_version` of the write connection: it moves with every commit but its own."""
        async with self._lock:
            session = await self._write_session()
            rows = await session.fetch("PRAGMA data_version")
        return int(rows[0][0])

    async def close(self) -> None:
        """Close every connection."""
        if self._writer is not None:
            connection, _session = self._writer
            self._writer = None
            await connection.close()
        while self._free:
            connection, _session = self._free.pop()
            await connection.close()
        await self.engine.dispose()
        await self._readers.dispose()

    def _refuse_full(self) -> None:
        """Raise `StoreFull` where the file can only be read."""
        if self._only_read:
            raise StoreFull

    async def _write_session(self) -> SqliteSession:
        if self._writer is None:
            connection = await _connected(self.engine)
            self._writer = (connection, await _session(connection))
        return self._writer[1]


def _engine(
    path: Path,
    async_creator: AsyncCreator | None,
    *,
    connections_max: int,
    pragmas: Sequence[str],
) -> AsyncEngine:
    """Return an engine whose connections have run `pragmas`."""
    creator = {} if async_creator is None else {"async_creator": async_creator}
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        pool_size=connections_max,
        max_overflow=0,
        pool_reset_on_return=None,  # whoever borrows a connection ends its own transaction
        **creator,
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def probe(_dialect: Any, _record: Any, _arguments: Any, _options: Any) -> None:
        # aiosqlite opens the file on a new thread; if that fails, the thread outlives the error
        # and may find the event loop closed. A file that cannot be opened is found out here.
        damage.refuse_unreadable(path)
        _make(path)
        sqlite3.connect(path).close()

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return engine


def _make(path: Path) -> None:
    """Make a file that is not there, for its owner alone; the driver would go by the umask."""
    # What is in the way, the driver says better.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY))


async def _connected(engine: AsyncEngine) -> AsyncConnection:
    try:
        return await engine.connect()
    except (SQLAlchemyError, *_ACCIDENTS) as error:
        cause = getattr(error, "orig", None) or error
        raise translate(cause) from error


async def _session(connection: AsyncConnection) -> SqliteSession:
    raw = await connection.get_raw_connection()
    return SqliteSession(cast("aiosqlite.Connection", raw.driver_connection))
