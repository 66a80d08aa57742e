"""A large workshop's database, written in one piece.

Theory of operation. `world.furnish` gives the program its commands, as a maker would: each of them
is held in memory several times over, which takes 25 minutes and 9 GB for 10^6 listings. Here the
same rows are made one at a time by the store's own functions and go straight into the tables that
the store has made, in one transaction. A test holds that both ways write the same rows, instants
and the digest of the import aside.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Table

from bench import world
from bench.world import ON_HAND, Address
from stockpush import compose
from stockpush.connectors.base import Connector
from stockpush.messages import CommandDone
from stockpush.model import (
    ChannelState,
    Dirty,
    Field,
    FieldKey,
    MovementKind,
    Shelf,
    StockMovement,
)
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.store import rows, schema
from stockpush.store.rows import Row
from stockpush.values import replace

_REVISION: Final = 3
"""Of the catalogue, and of a field: imported, adopted, resolved."""
_READ_AGAIN: Final = timedelta(hours=1)
CHANNELS: Final = (SHOPIFY, WOO)


def furnish(address: Address, *, items: int, materials: int) -> None:
    """Make the database that `world.furnish` makes, with materials, in a new file."""
    connectors = asyncio.run(_begun(address))
    with closing(sqlite3.connect(address.file, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = OFF")
        file.execute("PRAGMA synchronous = OFF")
        file.execute("PRAGMA cache_size = -262144")
        file.execute("BEGIN")
        for table, found in _rows(items, materials, connectors):
            _insert(file, table, found)
        file.execute(
            "UPDATE meta SET value = ? WHERE name = ?", (_REVISION, schema.CATALOGUE_REVISION)
        )
        file.execute("COMMIT")
        file.execute("PRAGMA journal_mode = WAL")


def _insert(file: sqlite3.Connection, table: Table, found: Iterable[Row]) -> None:
    names = [column.name for column in table.columns]
    marks = ", ".join("?" * len(names))
    file.executemany(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608  # our own words
        found,
    )


async def _begun(address: Address) -> Mapping[str, Connector]:
    """Have the store make its tables; return the channels' connectors."""
    async with compose.parts(address.configure()) as parts:
        return parts.connectors


def _rows(
    count: int, materials: int, connectors: Mapping[str, Connector]
) -> Iterator[tuple[Table, Iterable[Row]]]:
    """Yield each table with its rows, parents before children."""
    now = world.CLOCK.now()
    numbers = range(count)
    used = [world.material(n) for n in range(materials)]
    made = [world.sku(n) for n in numbers]
    stocked = [*made, *used]
    yield schema.item, map(rows.item_row, map(world.product_item, made))
    yield schema.item, map(rows.item_row, map(world.material_item, used))
    yield schema.bill, (rows.bill_row(world.bill(n, used)) for n in numbers)
    yield (
        schema.bill_line,
        (line for n in numbers for line in rows.bill_line_rows(world.bill(n, used))),
    )
    yield (
        schema.listing,
        (
            rows.listing_row(
                replace(
                    each,
                    order_key=str(next(iter(each.ref.values()))),
                    field_key=world.field_key(each.key.channel, n),
                    adopted=True,
                )
            )
            for n in numbers
            for each in world.listings(connectors, n)
        ),
    )
    yield schema.shelf, (rows.shelf_row(Shelf(sku, ON_HAND)) for sku in stocked)
    yield schema.movement, map(_moved(now), enumerate(stocked, 1))
    done = CommandDone("opening", "written by a bench", now)
    yield schema.command, [rows.command_row(done, list(range(1, len(stocked) + 1)))]
    keys = [
        (FieldKey(name, world.field_key(name, n)), made[n]) for n in numbers for name in CHANNELS
    ]
    yield schema.field, (rows.field_row(_field(key, sku, now)) for key, sku in keys)
    yield (
        schema.dirty,
        (
            rows.dirty_row(Dirty(key, _REVISION, now, decrease=False, because="more to promise"))
            for key, _ in keys
        ),
    )
    yield schema.channel, [rows.channel_row(_channel(name, now), 1) for name in CHANNELS]


def _moved(now: datetime) -> Callable[[tuple[int, str]], Row]:
    """Return what makes the row of an item's opening movement, of its id and its SKU."""
    first = StockMovement(
        now,
        "",
        ON_HAND,
        MovementKind.OPENING,
        "cmd opening",
        "bench",
        reason="opening stock",
    )
    return lambda each: rows.movement_row(replace(first, sku=each[1]), each[0])


def _field(key: FieldKey, sku: str, now: datetime) -> Field:
    """Return a field that was read once and agreed with."""
    return Field(
        key,
        sku,
        1,
        expected=ON_HAND,
        revision=_REVISION,
        observed=ON_HAND,
        observed_at=now,
        observed_date=now,
        first_observed_at=now,
        first_observed_date=now,
        read_due_at=now + _READ_AGAIN,
        adopted=True,
    )


def _channel(name: str, now: datetime) -> ChannelState:
    """Return a channel whose orders were polled once."""
    return ChannelState(name, started_date=now, polled_begun_at=now)
