"""The store on PostgreSQL: the conformance suite, and what only a server has."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import replace

import pytest

from stockpush.errors import LockLost, StoreConflict, StoreUnavailable
from stockpush.messages import Decision, Needs, Rows
from stockpush.model import Shelf
from stockpush.store import SqlStore
from stockpush.store.dialects import postgres
from tests.store.conformance import OpenStore, StoreConformance, on_hand, write
from tests.store.conformance_migrations import MigrationsConformance
from tests.store.conformance_reads import ReadsConformance
from tests.store.samples import CHANNEL, EVERYTHING, ITEM, WAX, WICK


@pytest.fixture
def database_url(migrated_postgres_url: str) -> str:
    """The URL of the test's schema."""
    return migrated_postgres_url


class TestPostgres(StoreConformance):
    """Everything that every store does."""


class TestPostgresReads(ReadsConformance):
    """Everything that every read side shows."""


class TestPostgresMigrations(MigrationsConformance):
    """Everything that holds of every schema."""

    @pytest.fixture
    def database_url(self, postgres_url: str) -> str:
        """The URL of a schema that every test migrates by itself."""
        return postgres_url


async def test_transactions_on_different_items_do_not_wait(
    store: SqlStore, open_store: OpenStore
) -> None:
    """Rows are locked and not the database: another item is sold meanwhile."""
    stocked = Decision(items=(ITEM, WAX), shelves=(Shelf("candle-lav", 1), Shelf("beeswax", 1)))
    await write(store, stocked)
    other = await open_store(busy_timeout_s=0.2)
    async with store.transaction() as transaction:
        await transaction.gather(Needs(skus=frozenset({"candle-lav"})))
        async with other.transaction() as second:
            await second.gather(Needs(skus=frozenset({"beeswax"})))
            await second.apply([Decision(shelves=(Shelf("beeswax", 0),))])
    assert await on_hand(store, "beeswax") == 0


async def test_a_stale_channel_state_is_a_conflict(store: SqlStore, open_store: OpenStore) -> None:
    """A channel's state that another wrote after we read it is not overwritten."""
    await write(store, Decision(channels=(CHANNEL,)))
    other = await open_store()

    async def overtaken() -> None:
        async with store.transaction() as transaction:
            await transaction.gather(Needs())
            await write(other, Decision(channels=(replace(CHANNEL, cursor="theirs"),)))
            await transaction.apply([Decision(channels=(replace(CHANNEL, cursor="ours"),))])

    with pytest.raises(StoreConflict):
        await overtaken()
    assert (await store.channel_state("my-shopify")).cursor == "theirs"


async def test_a_deadlock_is_a_conflict_for_one(store: SqlStore, open_store: OpenStore) -> None:
    """Two transactions that lock crosswise by several gathers: one is run again, none hangs."""
    stocked = Decision(items=(ITEM, WAX), shelves=(Shelf("candle-lav", 0), Shelf("beeswax", 0)))
    await write(store, stocked)
    other = await open_store()
    both_hold = asyncio.Barrier(2)

    async def crosswise(mine: SqlStore, first: str, second: str) -> str:
        try:
            async with mine.transaction() as transaction:
                await transaction.gather(Needs(skus=frozenset({first})))
                await both_hold.wait()
                await transaction.gather(Needs(skus=frozenset({second})))
        except StoreConflict:
            return "lost"
        return "won"

    async with asyncio.timeout(10):
        answers = await asyncio.gather(
            crosswise(store, "candle-lav", "beeswax"), crosswise(other, "beeswax", "candle-lav")
        )
    assert sorted(answers) == ["lost", "won"]


async def test_whoever_waits_for_a_large_group_holds_nothing_of_it(
    store: SqlStore, open_store: OpenStore
) -> None:
    """The leader is locked before the items that are named, whatever their names are: the other one
    goes on to any of these, and what it adds meanwhile is seen.
    """
    await write(store, Decision(items=(ITEM, WAX, WICK), shelves=(Shelf(WICK.sku), Shelf(WAX.sku))))
    assert WAX.sku < WICK.sku
    wanted = Needs(skus=frozenset({WAX.sku, ITEM.sku}), leaders=frozenset({WICK.sku}))
    other = await open_store()

    async def waits() -> Rows:
        async with other.transaction() as transaction:
            return await transaction.gather(wanted)

    async with asyncio.timeout(10):
        async with store.transaction() as transaction:
            await transaction.gather(Needs(leaders=frozenset({WICK.sku})))
            waiting = asyncio.create_task(waits())
            await _until_somebody_waits(store)
            await transaction.gather(Needs(skus=frozenset({WAX.sku, ITEM.sku})))
            await transaction.apply([Decision(shelves=(Shelf(ITEM.sku, 3),))])
        found = await waiting
    assert found.shelves[ITEM.sku] == Shelf(ITEM.sku, 3)


async def _until_somebody_waits(store: SqlStore) -> None:
    """Return once a connection to this database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with store.reading() as session:
        while not (await session.fetch(waiting))[0][0]:
            await session.fetch("SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)")


async def test_a_lost_connection_is_unavailable_and_then_replaced(
    store: SqlStore, open_store: OpenStore
) -> None:
    """The transaction that loses its connection fails as a whole; the next one gets a new one."""
    other = await open_store()
    await write(store, Decision(items=(ITEM,)))

    async def lose_the_connection() -> None:
        async with store.transaction() as transaction:
            await transaction.apply([Decision(items=(WAX,))])
            pid = (await transaction._session.fetch("SELECT pg_backend_pid()"))[0][0]
            async with other.reading() as session:
                await session.fetch("SELECT pg_terminate_backend($1)", (pid,))
            await transaction.catalogue_revision()

    with pytest.raises(StoreUnavailable):
        await lose_the_connection()
    assert (await store.catalogue()).items == (ITEM,)
    await write(store, Decision(items=(WAX,)))


async def test_changes_outlives_its_connection(store: SqlStore, open_store: OpenStore) -> None:
    """Commits missed while the listening connection was gone are noticed when it is back."""
    other = await open_store()
    before = await store.changes()
    pid = store._database._watch._driver.get_server_pid()  # type: ignore[attr-defined]
    async with other.reading() as session:
        await session.fetch("SELECT pg_terminate_backend($1)", (pid,))
    await write(other, Decision(items=(ITEM,)))
    numbers = []
    for _ in range(2):
        try:
            numbers.append(await store.changes())
        except StoreUnavailable:
            continue
    assert numbers
    assert before not in numbers


@pytest.mark.parametrize("silently", [False, True], ids=["ended", "silent"])
async def test_a_daemon_notices_that_its_lock_was_lost(
    store: SqlStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, silently: bool
) -> None:
    """Whether the server ends the connection or does not answer on it any more; another daemon may
    have begun since, so that nothing but ending is safe.
    """
    monkeypatch.setattr(postgres, "LOOK_TIMEOUT_S", 0.5)
    other = await open_store()
    async with store.only_daemon():
        before = await store.changes()
        await write(other, Decision(items=(ITEM,)))
        assert await store.changes() == before + 1
        pid = store._database._watch._driver.get_server_pid()  # type: ignore[attr-defined]
        if silently:
            os.kill(pid, signal.SIGSTOP)
        else:
            async with other.reading() as session:
                await session.fetch("SELECT pg_terminate_backend($1)", (pid,))
        try:
            with pytest.raises(LockLost):
                await store.changes()
        finally:
            if silently:
                os.kill(pid, signal.SIGCONT)
    # A store that is no daemon's listens anew, as before.
    with suppress(StoreUnavailable):
        await store.changes()
    assert isinstance(await store.changes(), int)


async def test_a_schema_is_a_business_of_its_own(
    store: SqlStore, open_store: OpenStore, database_url: str
) -> None:
    """Another schema of the same database shares no row and no announcement."""
    neighbour = await open_store(f"{database_url}_b")
    before = await store.changes()
    await write(neighbour, EVERYTHING)
    assert (await store.catalogue()).items == ()
    assert await store.changes() == before
    assert await store.reserve_fetch_numbers(3) == 1
    assert await neighbour.reserve_fetch_numbers(3) == 1
