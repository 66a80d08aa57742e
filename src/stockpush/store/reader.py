"""Queries of the read side: optional conditions, whole tables, rows of fields; one snapshot.

The statements are compiled when they are run: they serve people, and their conditions vary.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Column, Select, Table, bindparam, func, literal_column, select

from stockpush.model import FieldKey, Push
from stockpush.store import rows, schema
from stockpush.store.dialects import Dialect, Session
from stockpush.store.rows import Row
from stockpush.store.sql import SqlStore
from stockpush.store.statements import Statements
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
        below: tuple[Column[int], int] | None = None,
        limit: int | None = None,
    ) -> Sequence[Row]:
        """Return the rows where columns equal values; a value of None puts no condition."""
        arguments: list[Any] = []
        for position, (column, value) in enumerate(equal.items()):
            if value is not None:
                query = query.where(column == bindparam(f"equal_{position}"))
                arguments.append(value)
        if below is not None:
            query = query.where(below[0] < bindparam("below"))
            arguments.append(below[1])
        if limit is not None:
            query = query.limit(bindparam("limit")).offset(literal_column("0"))
            arguments.append(limit)
        return await self._session.fetch(self._dialect.compile(query), arguments)

    async def all(
        self, table: Table, read: Callable[[Row], V], *, sku: str | None = None
    ) -> tuple[V, ...]:
        """Return the rows of a table in key order, or only those of one item."""
        condition = {} if sku is None else {table.c.sku: sku}
        found = await self.filtered(select(table).order_by(*table.primary_key), condition)
        return tuple(read(row) for row in found)

    async def of_fields(
        self, table: Table, read: Callable[[Row], V], keys: Sequence[FieldKey] | None
    ) -> tuple[V, ...]:
        """Return the rows of a table that belong to some fields (None: to any)."""
        if keys is None:
            return await self.all(table, read)
        if not keys:
            return ()
        query = (
            select(table)
            .where(self._dialect.member([table.c.channel, table.c.field_key], "keys"))
            .order_by(*table.primary_key)
        )
        found = await self._session.fetch(self._dialect.compile(query), self._dialect.keys(keys))
        return tuple(read(row) for row in found)

    async def catalogue(self) -> StoredCatalogue:
        """Return the whole catalogue."""
        return await read_catalogue(self._session, Statements(self._dialect))

    async def open_pushes(self) -> tuple[Push, ...]:
        """Return every push that is not settled, at most one for each field."""
        push = schema.push
        query = select(push).where(push.c.settled_at.is_(None)).order_by(push.c.id)
        return tuple(rows.read_push(row) for row in await self.filtered(query, {}))

    async def last_pushes(self, keys: Sequence[FieldKey] | None) -> tuple[Push, ...]:
        """Return the newest push of each of some fields (None: of each field)."""
        if keys is not None and not keys:
            return ()
        field, latest = schema.field, schema.push.alias("latest")
        push = schema.push
        newest = (
            select(func.max(push.c.id))
            .where(push.c.channel == field.c.channel)
            .where(push.c.field_key == field.c.key)
            .correlate(field)
            .scalar_subquery()
        )
        query = select(latest).select_from(field.join(latest, latest.c.id == newest))
        arguments: tuple[Any, ...] = ()
        if keys is not None:
            query = query.where(self._dialect.member([field.c.channel, field.c.key], "keys"))
            arguments = self._dialect.keys(keys)
        found = await self._session.fetch(self._dialect.compile(query), arguments)
        return tuple(rows.read_push(row) for row in found)
