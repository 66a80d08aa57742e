"""Queries of the read side: optional conditions, whole tables, rows of fields; one snapshot.

The statements are compiled when they are run: they serve people, and their conditions vary.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Column, Select, Table, bindparam, literal_column, select

from stockpush.model import FieldKey, Push
from stockpush.store import rows, schema
from stockpush.store.dialects import Dialect, Session
from stockpush.store.rows import Row
from stockpush.store.sql import SqlStore
from stockpush.store.statements import statements_of
from stockpush.store.transaction import StoredCatalogue, read_catalogue

V = TypeVar("V")


@asynccontextmanager
async def reading(store: SqlStore) -> AsyncIterator[Reader]:
    """Lend a reader, all of whose reads show the same instant."""
    async with store.reading() as session:
        yield Reader(store.dialect, session)


class Reader:
    """Runs queries on one session."""

    def __init__(self, dialect: Dialect, session: Session) -> None:
        """Read on `session`."""
        self._dialect = dialect
        self._session = session

    async def filtered(
        self,
        query: Select[Any],
        equal: Mapping[Column[Any], Any],
        *,
        among: tuple[Column[Any], Collection[str]] | None = None,
        below: tuple[Column[int], int] | None = None,
        above: tuple[Column[int], int] | None = None,
        limit: int | None = None,
    ) -> Sequence[Row]:
        """Return the rows where columns equal values; a value of None puts no condition.

        `among` are a column and the values, at least one, that it may have.
        """
        arguments: list[Any] = []
        if among is not None:
            query = query.where(self._dialect.member([among[0]], "among"))
            arguments += self._dialect.keys(sorted(among[1]))
        for position, (column, value) in enumerate(equal.items()):
            if value is not None:
                query = query.where(column == bindparam(f"equal_{position}"))
                arguments.append(value)
        if below is not None:
            query = query.where(below[0] < bindparam("below"))
            arguments.append(below[1])
        if above is not None:
            query = query.where(above[0] > bindparam("above"))
            arguments.append(above[1])
        if limit is not None:
            query = query.limit(bindparam("limit")).offset(literal_column("0"))
            arguments.append(limit)
        return await self._session.fetch(self._dialect.compile(query), arguments)

    async def all(self, table: Table, read: Callable[[Row], V]) -> tuple[V, ...]:
        """Return the rows of a table in key order."""
        found = await self.filtered(select(table).order_by(*table.primary_key), {})
        return rows.each(read, found)

    async def of_fields(
        self, table: Table, read: Callable[[Row], V], keys: Sequence[FieldKey]
    ) -> tuple[V, ...]:
        """Return the rows of a table that belong to some fields."""
        if not keys:
            return ()
        query = (
            select(table)
            .where(self._dialect.member([table.c.channel, table.c.field_key], "keys"))
            .order_by(*table.primary_key)
        )
        found = await self._session.fetch(self._dialect.compile(query), self._dialect.keys(keys))
        return rows.each(read, found)

    async def of_ids(self, column: Column[Any], ids: Sequence[int]) -> Sequence[Row]:
        """Return the rows of a column's table among whose ids in it are some."""
        if not ids:
            return ()
        query = select(column.table).where(self._dialect.member([column], "keys"))
        return await self._session.fetch(self._dialect.compile(query), self._dialect.keys(ids))

    async def catalogue(self) -> StoredCatalogue:
        """Return the whole catalogue."""
        return await read_catalogue(self._session, statements_of(self._dialect))

    async def open_pushes(self) -> tuple[Push, ...]:
        """Return every push that is not settled, at most one for each field."""
        push = schema.push
        query = select(push).where(push.c.settled_at.is_(None)).order_by(push.c.id)
        return rows.each(rows.read_push, await self.filtered(query, {}))
