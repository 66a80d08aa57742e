"""PostgreSQL through asyncpg: row locks, one schema per business.

Theory of operation. A write transaction is READ COMMITTED and locks the rows it gathers (FOR
UPDATE, in key order), waiting no longer than `lock_timeout`.

Each commit that wrote announces itself with NOTIFY, in the same message as COMMIT; the payload
names the schema and the store that committed, so that `changes` counts only the others' commits.
The listening connection asks one round trip before it answers: notifications precede the answer.
Commits missed while it was not connected count as one.

The daemon's lock is an advisory one and ends with its connection, which the server may end, or the
network, without a word. So a daemon listens on that very connection: each look proves that the lock
is still there, and when it is not the daemon must end (`LockLost`), since another one may have
begun. Nobody takes the lock anew for it: what the other one did meanwhile it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import Any, Final, cast
from zlib import crc32

import asyncpg  # type: ignore[import-untyped]  # ships no py.typed marker
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Executable,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import asyncpg as compiler
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from stockpush.errors import (
    AlreadyRunning,
    LockLost,
    StockPushError,
    StoreConflict,
    StoreRuleBroken,
    StoreUnavailable,
)
from stockpush.store.dialects import PART_ROWS, Key, Query, Write, text_of

CONNECTIONS_MAX: Final = 10
_COMMAND_TIMEOUT_S: Final = 60.0
_CONNECT_TIMEOUT_S: Final = 10.0
LOOK_TIMEOUT_S: Final = 5.0
"""How long a look for others' commits may take before its connection counts as lost: less than the
server takes to give the lock of a machine that is gone to another one.
"""
_CHANNEL: Final = "stockpush"
_ACCIDENTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


def translate(error: BaseException) -> StockPushError:
    """Return our error for one of the driver's."""
    match error:
        case (
            asyncpg.SerializationError()
            | asyncpg.DeadlockDetectedError()
            | asyncpg.UniqueViolationError()
        ):
            return StoreConflict(f"Another writer was first: {error}")
        case asyncpg.IntegrityConstraintViolationError() | asyncpg.DataError():
            return StoreRuleBroken(f"A row would break a rule of the database: {error}")
        case _:
            what = str(error) or type(error).__name__
            return StoreUnavailable(f"The database cannot be used right now: {what}")


class PostgresSession:
    """`dialects.Session` on one asyncpg connection."""

    __slots__ = ("_announcement", "_connection")

    def __init__(self, connection: asyncpg.Connection, announcement: str) -> None:
        """Take over `connection`; `announcement` is the payload of its NOTIFY."""
        self._connection = connection
        self._announcement = announcement

    async def begin_write(self, queries: Sequence[Query] = ()) -> list[Sequence[Sequence[Any]]]:
        """Begin; rows are locked as they are read."""
        await self._execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        return await self.fetch_each(queries)

    async def begin_read(self) -> None:
        """Begin a snapshot that cannot write."""
        await self._execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    async def commit(self, writes: Sequence[Write] = (), *, wrote: bool) -> None:
        """Commit, and announce it if there is anything to see."""
        await self.write(writes)
        notice = f"NOTIFY {_CHANNEL}, '{self._announcement}'; " if wrote else ""
        await self._execute(f"{notice}COMMIT")

    async def rollback(self) -> None:
        """Undo what is open, or give the connection up: the server then does."""
        try:
            await self._connection.execute("ROLLBACK")
        except _ACCIDENTS:
            self._connection.terminate()
        except BaseException:
            self._connection.terminate()
            raise

    async def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement and return its rows."""
        try:
            return cast("Sequence[Sequence[Any]]", await self._connection.fetch(sql, *arguments))
        except _ACCIDENTS as error:
            raise translate(error) from error

    async def fetch_parts(self, sql: str) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """Run one statement; yield its rows in parts."""
        # A name of its own: the driver remembers which columns come of which text.
        name = f"part_{crc32(sql.encode())}"
        await self._execute(f"DECLARE {name} CURSOR FOR {sql}")
        while part := await self.fetch(f"FETCH {PART_ROWS} FROM {name}"):
            yield part
            if len(part) < PART_ROWS:
                break
        await self._execute(f"CLOSE {name}")

    async def fetch_each(self, queries: Sequence[Query]) -> list[Sequence[Sequence[Any]]]:
        """Run one statement after the other: the driver has one under way at a time."""
        return [await self.fetch(sql, arguments) for sql, arguments in queries]

    async def write(self, writes: Sequence[Write]) -> None:
        """Run each write once per row, its rows pipelined; executemany counts nothing."""
        try:
            for sql, rows, otherwise in writes:
                if otherwise is None:
                    await self._connection.executemany(sql, rows)
                elif len(await self._connection.fetchmany(sql, rows)) != len(rows):
                    raise StoreConflict(otherwise)
        except _ACCIDENTS as error:
            raise translate(error) from error

    async def _execute(self, sql: str) -> None:
        try:
            await self._connection.execute(sql)
        except _ACCIDENTS as error:
            raise translate(error) from error


class PostgresDialect:
    """`dialects.Dialect` for PostgreSQL 14 or later."""

    next_movement_ids = (
        "SELECT nextval(pg_get_serial_sequence('movement', 'id')) FROM generate_series(1, $1)"
    )

    @cached_property
    def _compiler(self) -> compiler.dialect:
        return compiler.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap

    def compile(self, statement: Executable) -> str:
        """Return the statement as text with `$1` parameters."""
        return text_of(statement, self._compiler)

    def member(self, columns: Sequence[Column[Any]], name: str) -> ColumnElement[bool]:
        """Return "among the elements of one array", or of parallel arrays, one per column."""
        arrays = [
            bindparam(f"{name}_{position}", type_=ARRAY(_plain(column)))
            for position, column in enumerate(columns)
        ]
        if len(columns) == 1:
            return columns[0] == any_(arrays[0])
        each = func.unnest(*arrays).table_valued(*(c.name for c in columns)).render_derived()
        return tuple_(*columns).in_(select(*each.c))

    def keys(self, keys: Iterable[Key]) -> tuple[Any, ...]:
        """Return the keys as one list per column."""
        listed = list(keys)
        if isinstance(listed[0], tuple):
            return tuple(list(column) for column in zip(*cast("Any", listed), strict=True))
        return (listed,)

    def together(self, query: Select[Any]) -> str:
        """Return the query as it is."""
        return self.compile(query)

    def found(
        self,
        table: Table,
        columns: Sequence[Column[Any]],
        where: ColumnElement[bool] | None = None,
    ) -> str:
        """Return a query that locks what it finds, in key order."""
        query = select(table).where(self.member(columns, "keys"))
        if where is not None:
            query = query.where(where)
        return self.compile(query.order_by(*table.primary_key).with_for_update(of=table))

    def found_first(self, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
        """Return the columns: the planner knows how many rows there are."""
        return list(columns)

    def upsert(self, table: Table) -> str:
        """Return INSERT .. ON CONFLICT .. DO UPDATE of every other column."""
        statement = insert(table)
        rest = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
        return self.compile(
            statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)
        )

    def counted(self, statement: Any) -> str:
        """Return the statement with RETURNING: one row of the answer for each row changed."""
        return self.compile(statement.returning(literal_column("1")))


DIALECT: Final = PostgresDialect()
"""The one there is: it knows nothing of a database."""


def _plain(column: Column[Any]) -> BigInteger | Text:
    return BigInteger() if isinstance(column.type, BigInteger) else Text()


class PostgresDatabase:
    """`dialects.Database` on one schema of a PostgreSQL database."""

    def __init__(self, url: URL, *, schema: str, busy_timeout_s: float) -> None:
        """Name the database; nothing is opened before the first use.

        `schema` has been checked to be a plain lower-case name. `busy_timeout_s` bounds the wait
        for a lock and for a connection of the pool.
        """
        self.dialect = DIALECT
        self.schema = schema
        self._origin: str | None = None
        self._naming = asyncio.Lock()
        self._watch = _Watch(schema)
        self._is_daemon = False
        settings = {
            "application_name": "stockpush",
            "search_path": schema,
            "lock_timeout": f"{round(busy_timeout_s * 1000)}ms",
            # The server must soon notice that a daemon's machine is gone: it holds a lock.
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
        }
        self.engine = create_async_engine(
            url,
            pool_size=CONNECTIONS_MAX + 1,  # one listens, and holds the daemon's lock
            max_overflow=0,
            pool_timeout=busy_timeout_s,
            pool_reset_on_return=None,  # whoever borrows a connection ends its own transaction
            connect_args={
                "server_settings": settings,
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _COMMAND_TIMEOUT_S,
            },
        )

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[PostgresSession]:
        """Lend a connection of the pool."""
        connection, driver = await self._connected()
        try:
            yield PostgresSession(driver, f"{self.schema} {await self._own_origin(driver)}")
        finally:
            await _give_back(connection, driver)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresSession]:
        """Lend a connection of the pool."""
        connection, driver = await self._connected()
        try:
            yield PostgresSession(driver, self.schema)
        finally:
            await _give_back(connection, driver)

    @asynccontextmanager
    async def only_daemon(self) -> AsyncIterator[None]:
        """Hold an advisory lock on the schema's name, which ends with its connection."""
        connection, driver = await self._connected()
        try:
            session = PostgresSession(driver, self.schema)
            asked = "SELECT pg_try_advisory_lock(hashtext('stockpush daemon'), hashtext($1))"
            if not (await session.fetch(asked, (self.schema,)))[0][0]:
                raise AlreadyRunning(
                    f"Another Stock Push daemon uses the schema {self.schema}.",
                    found=self.schema,
                    next="stop the other daemon, or give this one a schema of its own",
                )
            await self._watch.start(connection, driver, await self._own_origin(driver))
            self._is_daemon = True
            yield
        finally:
            if self._is_daemon:
                self._is_daemon = False
                # The server may take a while to notice that the connection has ended.
                with suppress(*_ACCIDENTS):
                    await driver.execute("SELECT pg_advisory_unlock_all()", timeout=LOOK_TIMEOUT_S)
            # Not back to the pool, where the lock would live on.
            await self._watch.stop()
            if not connection.closed:
                await connection.invalidate()
                await connection.close()

    async def make_room(self) -> None:
        """Do nothing: the server looks after its files."""

    async def changes(self) -> int:
        """Return how many commits of others have been announced, plus reconnections."""
        if self._is_daemon:
            try:
                return await self._watch.count()
            except StoreUnavailable as error:
                self._is_daemon = False
                raise LockLost(
                    "The connection that held the daemon's lock on the database was lost: another "
                    "daemon may have begun.",
                    next="stockpush run",
                ) from error
        if not self._watch.listening:
            connection, driver = await self._connected()
            await self._watch.start(connection, driver, await self._own_origin(driver))
        return await self._watch.count()

    async def close(self) -> None:
        """Close every connection."""
        await self._watch.stop()
        await self.engine.dispose()

    async def _connected(self) -> tuple[AsyncConnection, asyncpg.Connection]:
        """Return a live connection; one that died in the pool is replaced."""
        try:
            connection = await self.engine.connect()
            driver = (await connection.get_raw_connection()).driver_connection
            if cast("asyncpg.Connection", driver).is_closed():
                await connection.invalidate()
                driver = (await connection.get_raw_connection()).driver_connection
        except (SQLAlchemyError, *_ACCIDENTS) as error:
            cause = getattr(error, "orig", None) or error
            raise translate(cause) from error
        return connection, driver

    async def _own_origin(self, driver: asyncpg.Connection) -> str:
        """Return the name by which this store's commits are told from others': a fresh UUID."""
        async with self._naming:
            if self._origin is None:
                rows = await PostgresSession(driver, "").fetch("SELECT gen_random_uuid()::text")
                self._origin = str(rows[0][0])
        return self._origin


async def _give_back(connection: AsyncConnection, driver: asyncpg.Connection) -> None:
    if driver.is_closed():
        await connection.invalidate()
    await connection.close()


class _Watch:
    """The listening connection and the number that `changes` returns."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._own: str | None = None
        self._changes = 0
        self._connection: AsyncConnection | None = None
        self._driver: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()

    @property
    def listening(self) -> bool:
        """Whether the connection is there and alive."""
        return self._driver is not None and not self._driver.is_closed()

    async def start(self, connection: AsyncConnection, driver: Any, own: str) -> None:
        """Listen on `connection`, ignoring commits of the store named `own`."""
        await self.stop()
        self._connection, self._driver, self._own = connection, driver, f"{self._schema} {own}"
        self._changes += 1
        try:
            await driver.add_listener(_CHANNEL, self._heard)
        except _ACCIDENTS as error:
            raise translate(error) from error

    async def count(self) -> int:
        """Return the number, after everything announced so far has been heard."""
        assert self._driver is not None
        async with self._lock:
            try:
                await self._driver.execute("SELECT 1", timeout=LOOK_TIMEOUT_S)
            except _ACCIDENTS as error:
                raise translate(error) from error
        return self._changes

    async def stop(self) -> None:
        """Give the connection up; a pooled one must not go on listening."""
        if self._connection is not None and self._driver is not None:
            self._driver.terminate()
            await self._connection.invalidate()
            await self._connection.close()
        self._connection = self._driver = None

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if payload != self._own and payload.startswith(f"{self._schema} "):
            self._changes += 1
