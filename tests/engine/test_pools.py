"""Pools of locations in the commit lane: on a real SQLite file and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stockpush import logs
from stockpush.engine.commit import CommitLane
from stockpush.messages import (
    Accepted,
    AdoptListings,
    ImportCatalogue,
    ListingResolved,
    ResolveListings,
    StartChannel,
    StockMove,
    TransferStock,
)
from stockpush.model import (
    MAIN,
    BillLine,
    BillOfMaterials,
    Item,
    Kind,
    Listing,
    Location,
    MovementKind,
)
from stockpush.ports import CatalogueRows
from stockpush.store import reads
from stockpush.store.dialects.sqlite import SqliteSession
from stockpush.store.sql import SqlStore
from tests.engine.test_commit import KEY, POLICIES, Ticking, sale, sqlite_url

PLACES = (Location("stall", pool="market"),)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return request.getfixturevalue("migrated_postgres_url")


@asynccontextmanager
async def serving(url: str, *, pool: str, places: Sequence[Location]) -> AsyncIterator[CommitLane]:
    """A lane whose channel a pool is to feed, with a hundred candles and their wax at main."""
    store = await SqlStore.open(url)
    lane = CommitLane(store, Ticking(), {"shop": replace(POLICIES["shop"], pool=pool)})
    running = asyncio.create_task(lane.run())
    try:
        items = tuple(Item(sku, sku, Kind.PRODUCT, "piece") for sku in ("candle", "wax"))
        bill = BillOfMaterials("candle", 1, (BillLine("wax", 2),))
        opening = tuple(StockMove(each.sku, 100, MovementKind.OPENING) for each in items)
        listing = Listing(KEY, "candle", ref={"id": "a"})
        catalogue = ImportCatalogue(
            items, (bill,), (listing,), opening, "i", "test", locations=tuple(places)
        )
        for command in (
            catalogue,
            ResolveListings((ListingResolved(KEY, "a", "a"),)),
            AdoptListings((KEY,)),
        ):
            assert isinstance((await lane.submit(command)).outcome, Accepted)
        yield lane
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await store.close()


async def reserved(lane: CommitLane) -> dict[str, int]:
    """The units reserved of candles, by pool."""
    _, rows = await reads.snapshot(lane.store)
    return {row.pool: row.reserved for row in rows.shelves.values() if row.sku == "candle"}


async def test_a_channel_takes_its_orders_to_another_pool_in_one_transaction(url: str) -> None:
    """From its next start on; whoever else reads the database counts it for that pool then."""
    async with serving(url, pool="market", places=PLACES) as lane:
        await lane.submit(sale(1, 3))
        assert await reserved(lane) == {MAIN: 3}
        before = lane.counters.commits
        await lane.submit(StartChannel("shop"))
        assert lane.counters.commits == before + 1
        assert await reserved(lane) == {MAIN: 0, "market": 3}
        rows: CatalogueRows = await lane.store.catalogue()
        assert dict(rows.feeds) == {"shop": "market"}
        await lane.submit(sale(2, 4))
        await lane.submit(TransferStock("candle", 5, MAIN, "stall", "t", "test"))
        _, kept = await reads.snapshot(lane.store)
        assert {row.key: (row.on_hand, row.reserved) for row in kept.shelves.values()} == {
            "candle": (95, 0),
            "candle\x1fmarket": (5, 7),
            "wax": (100, 0),
        }
        audit = await reads.audit(lane.store)
        assert audit.open == {"candle\x1fmarket": 7}


async def test_what_is_short_is_told_with_its_pool(tmp_path: Path) -> None:
    """The log says in which pool more was sold than there is; of main it says nothing."""
    told: list[logs.Line] = []
    url = f"sqlite:///{tmp_path}/lane.db"
    async with serving(url, pool="market", places=PLACES) as lane:
        await lane.submit(StartChannel("shop"))
        logs.configure(json=True, lines=told.append)
        await lane.submit(sale(1, 3))
    logs.configure(json=False, level="warning")
    (line,) = (each for each in told if "short" in each)
    assert (line["event"], line["sku"], line["short"]) == ("shortage.found", "candle", 3)
    assert line["pool"] == "market"


async def test_a_channel_goes_on_from_a_pool_that_nothing_is_sold_from(url: str) -> None:
    """The core leaves it where it is: whoever starts the daemon has refused that."""
    async with serving(url, pool="markt", places=PLACES) as lane:
        await lane.submit(StartChannel("shop"))
        await lane.submit(sale(1, 3))
        assert await reserved(lane) == {MAIN: 3}


async def test_a_maker_with_one_pool_pays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start and a sale ask and write as much as with several pools, row by row; and what only
    those have is not even asked for where there is no other location.
    """
    counted = []
    for number, places in enumerate(((), PLACES)):
        url = f"sqlite:///{tmp_path}/{number}.db"
        async with serving(url, pool=MAIN, places=places) as lane:
            await lane.submit(StartChannel("shop"))
            await lane.submit(sale(0))
            with monkeypatch.context() as patch:
                counts = counting(patch)
                await lane.submit(sale(1, 3))
                await lane.submit(StartChannel("shop"))
            counted.append(counts)
            _, rows = await reads.snapshot(lane.store)
            assert rows.shelves.keys() == {"candle", "wax"}
    assert counted[0] == counted[1]
    assert counted[0]["begin"] == counted[0]["commit"] == 2
    store = await SqlStore.open(f"sqlite:///{tmp_path}/0.db")
    with monkeypatch.context() as patch:
        counts = counting(patch)
        await store.catalogue()
    await store.close()
    assert counts["questions"] > 0
    assert counts["feed"] == 0


def counting(patch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of SQLite: transactions, questions, rows to write, and by name `feed`."""
    counts: Counter[str] = Counter()
    begin, commit, fetch = SqliteSession.begin_write, SqliteSession.commit, SqliteSession.fetch

    async def begun(session: SqliteSession, queries: Sequence[Any] = ()) -> Any:
        counts["begin"] += 1
        counts["questions"] += len(queries)
        return await begin(session, queries)

    async def committed(session: SqliteSession, writes: Sequence[Any] = (), **more: Any) -> Any:
        counts["commit"] += 1
        counts["rows"] += sum(len(each.rows) for each in writes)
        return await commit(session, writes, **more)

    async def fetched(session: SqliteSession, sql: str, arguments: Sequence[Any] = ()) -> Any:
        counts["questions"] += 1
        counts["feed"] += "FROM feed" in sql
        return await fetch(session, sql, arguments)

    patch.setattr(SqliteSession, "begin_write", begun)
    patch.setattr(SqliteSession, "commit", committed)
    patch.setattr(SqliteSession, "fetch", fetched)
    return counts
