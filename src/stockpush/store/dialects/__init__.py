"""Every difference between SQLite and PostgreSQL, in one place.

Theory of operation. The rest of the store writes its statements once, in SQLAlchemy Core, has a
`Dialect` compile them once to text, and runs that text through a `Session`, which is the driver's
own connection (aiosqlite, asyncpg) with its errors turned into ours. SQLAlchemy's engine opens
and pools the connections and takes no part in a statement: that is several times faster than
executing Core through its async layer, one statement at a time.

What differs: how a set of keys is passed (`member`, `keys`), how several queries are put together
(`together`, `found`), how a write transaction excludes others (`Database.writing`: one connection
and BEGIN IMMEDIATE, or row locks), how the rows changed are counted, how movement ids are had, how
a foreign commit is noticed (`changes`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from sqlalchemy import ClauseElement, Column, ColumnElement, Executable, Select, Table
from sqlalchemy import Dialect as SqlAlchemyDialect
from sqlalchemy.ext.asyncio import AsyncEngine

Key: TypeAlias = str | int | tuple[str, ...]
"""A key of one column, or of several."""
Query: TypeAlias = tuple[str, Sequence[Any]]
"""A statement that reads, and its parameters."""


PART_ROWS: Final = 5_000
"""How many rows of a large table are in memory at one time."""


class Write(NamedTuple):
    """A statement to be run once per row.

    With `otherwise` it is a `Dialect.counted` one, and each row of it must change one of the
    table's: if not, another writer was first, and `otherwise` says with what.
    """

    sql: str
    rows: Sequence[Sequence[Any]]
    otherwise: str | None = None


def text_of(statement: Executable, compiler: SqlAlchemyDialect) -> str:
    """Return `statement` as text; all its parameters are positions that the caller fills."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=compiler)
    # A constant that became a parameter would shift the positions of the others.
    assert all(value is None for value in compiled.params.values()), str(compiled)
    return str(compiled)


class Session(Protocol):
    """One connection inside, or about to begin, a transaction. Raises only errors of ours."""

    async def begin_write(self, queries: Sequence[Query] = ()) -> list[Sequence[Sequence[Any]]]:
        """Begin a transaction that may write, and then do as `fetch_each`, in the same call."""
        ...

    async def begin_read(self) -> None:
        """Begin a transaction whose reads all show one instant."""
        ...

    async def commit(self, writes: Sequence[Write] = (), *, wrote: bool) -> None:
        """Do as `write`, and commit, in the same call; `wrote` tells others to look."""
        ...

    async def rollback(self) -> None:
        """Undo whatever is open. Does not fail: a connection that cannot is given up."""
        ...

    async def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement and return its rows."""
        ...

    def fetch_parts(self, sql: str) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """Run one statement without parameters; yield its rows, `PART_ROWS` at a time.

        Until the last are there nothing else may be asked.
        """
        ...

    async def fetch_each(self, queries: Sequence[Query]) -> list[Sequence[Sequence[Any]]]:
        """Return the rows of each of several queries, `Dialect.together` or `found` ones all.

        They are run in order, in one call to the driver where it has such a call.
        """
        ...

    async def write(self, writes: Sequence[Write]) -> None:
        """Run several writes in order, in one call to the driver where it has such a call.

        Raises `StoreConflict` as each write says.
        """
        ...


class Dialect(Protocol):
    """How statements are put for one kind of database."""

    def __hash__(self) -> int:
        """Return a hash: what was compiled for a dialect is kept by it."""
        ...

    def compile(self, statement: Executable) -> str:
        """Return the statement as text with positional parameters, in the order of the text."""
        ...

    def member(self, columns: Sequence[Column[Any]], name: str) -> ColumnElement[bool]:
        """Return "these columns are among the keys"; takes the parameters that `keys` makes."""
        ...

    def keys(self, keys: Iterable[Key]) -> tuple[Any, ...]:
        """Return the parameters for one `member`; `keys` must not be empty."""
        ...

    def together(self, query: Select[Any]) -> str:
        """Return a query for `Session.fetch_each`."""
        ...

    def found(
        self,
        table: Table,
        columns: Sequence[Column[Any]],
        where: ColumnElement[bool] | None = None,
    ) -> str:
        """Return a query for `Session.fetch_each`: the rows of `table` among whose `columns` are
        the keys, locked. They come by these columns and then, as far as an index tells, by their
        primary key. A column of bytes may come as text in hexadecimal.
        """
        ...

    def found_first(self, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
        """Return what to order by, of rows that are found by their keys and then put in order."""
        ...

    def upsert(self, table: Table) -> str:
        """Return: insert a whole row, or replace the row of the same primary key."""
        ...

    def counted(self, statement: Any) -> str:
        """Return an UPDATE or DELETE as text for `Session.write`."""
        ...

    @property
    def next_movement_ids(self) -> str:
        """The query that takes as many movement ids as its parameter says, ascending."""
        ...


class Database(Protocol):
    """The connections to one database."""

    @property
    def dialect(self) -> Dialect:
        """How statements are put for it."""
        ...

    @property
    def engine(self) -> AsyncEngine:
        """The engine whose connections may write (for migrations)."""
        ...

    def writing(self) -> AbstractAsyncContextManager[Session]:
        """Lend a connection for one write transaction, which the borrower begins and ends."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Session]:
        """Lend a connection for reads."""
        ...

    def only_daemon(self) -> AbstractAsyncContextManager[None]:
        """Be the one daemon on this database until the block ends; `AlreadyRunning` if not."""
        ...

    async def make_room(self) -> None:
        """Do what is better done once, by the one daemon, before it begins to work."""
        ...

    async def changes(self) -> int:
        """Return a number that differs after a connection that is not ours has committed.

        Raises `LockLost` if `only_daemon` does not hold any more what it took.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
