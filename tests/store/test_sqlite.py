"""The store on SQLite: the conformance suite, and what only a file has."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from stockpush.errors import (
    StoreDamaged,
    StoreFull,
    StoreRuleBroken,
    StoreUnavailable,
    StoreUnsafe,
)
from stockpush.messages import Decision, Needs
from stockpush.model import Shelf
from stockpush.store import SqlStore, reads
from stockpush.store.dialects.sqlite import BLOCKS, SqliteDialect, SqliteSession, translate
from stockpush.store.statements import Statements
from tests.sqlite import put_empty
from tests.store.conformance import ALL, OpenStore, StoreConformance, gathered, write
from tests.store.conformance_migrations import MigrationsConformance
from tests.store.conformance_reads import ReadsConformance
from tests.store.samples import EVERYTHING, ITEM


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    """The file of the test's database, up to date and empty."""
    path = tmp_path / "shop.db"
    put_empty(path)
    return path


@pytest.fixture
def database_url(database_path: Path) -> str:
    """The URL of the test's database."""
    return f"sqlite:///{database_path}"


class TestSqlite(StoreConformance):
    """Everything that every store does."""


class TestSqliteReads(ReadsConformance):
    """Everything that every read side shows."""


class TestSqliteMigrations(MigrationsConformance):
    """Everything that holds of every schema."""

    @pytest.fixture
    def database_path(self, tmp_path: Path) -> Path:
        """A file that every test makes and migrates by itself."""
        return tmp_path / "shop.db"


async def test_the_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Whatever the umask: what buyers ordered is nobody else's business."""
    path = tmp_path / "shop.db"
    before = os.umask(0o022)
    try:
        store = await SqlStore.open(f"sqlite:///{path}")
        await write(store, EVERYTHING)
        names = ("shop.db", "shop.db-wal", "shop.db-shm")
        modes = {oct(stat.S_IMODE(os.stat(tmp_path / name).st_mode)) for name in names}  # noqa: PTH116  # inside a coroutine
        await store.close()
    finally:
        os.umask(before)
    assert modes == {"0o600"}


async def test_a_commit_survives_a_power_cut(store: SqlStore) -> None:
    """The write connection runs in WAL mode and syncs every commit; readers cannot write."""
    async with store.transaction() as transaction:
        session = transaction._session
        pragmas = {
            name: (await session.fetch(f"PRAGMA {name}"))[0][0]
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "busy_timeout",
                "wal_autocheckpoint",
            )
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "wal_autocheckpoint": 8000,
    }
    async with store.reading() as session:
        with pytest.raises(StoreUnavailable):
            await session.fetch("DELETE FROM item")


async def test_readers_do_not_wait_for_the_writer(store: SqlStore) -> None:
    """While a transaction is open, reads go on and show what was committed before it."""
    await write(store, Decision(items=(ITEM,), shelves=(Shelf("candle-lav", 1),)))
    async with store.transaction() as transaction:
        await transaction.gather(ALL)
        await transaction.apply([Decision(items=(ITEM,))])
        async with asyncio.timeout(2):
            assert (await store.catalogue()).revision == 1


async def test_another_process_that_writes_is_waited_for_and_then_named_busy(
    open_store: OpenStore, database_path: Path
) -> None:
    """A foreign writer makes every kind of write unavailable within the bound, and no read."""
    store = await open_store(busy_timeout_s=0.05)
    foreign = sqlite3.connect(database_path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    try:
        async with asyncio.timeout(3):
            with pytest.raises(StoreUnavailable, match="locked"):
                await write(store, EVERYTHING)
            with pytest.raises(StoreUnavailable, match="locked"):
                await store.reserve_fetch_numbers(1)
            assert (await store.catalogue()).revision == 0
    finally:
        foreign.execute("ROLLBACK")
        foreign.close()
    await write(store, EVERYTHING)


async def test_a_full_disk_is_unavailable_and_leaves_nothing(
    store: SqlStore, open_store: OpenStore
) -> None:
    """A write that does not fit fails as a whole; afterwards the store works again."""
    async with store.transaction() as transaction:
        session = transaction._session
        pages = (await session.fetch("PRAGMA page_count"))[0][0]
        await session.fetch(f"PRAGMA max_page_count = {pages}")
    items = tuple(
        type(ITEM)(f"sku-{number}", "n" * 1000, ITEM.kind, "piece") for number in range(200)
    )
    with pytest.raises(StoreUnavailable, match="full"):
        await write(store, Decision(items=items))
    assert (await store.catalogue()).items == ()
    await write(await open_store(), Decision(items=items))
    assert len((await store.catalogue()).items) == 200


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """Have no file grow beyond the smallest size from now on: what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("logged", [False, True], ids=["closed", "killed"])
async def test_on_a_full_disk_what_there_is_can_be_read(
    open_store: OpenStore, database_path: Path, full_disk: Callable[[], None], *, logged: bool
) -> None:
    """Also what stands in the log alone after a kill; what writes says that the disk is full."""
    store = await open_store()
    await write(store, Decision(items=(ITEM,)))
    left = {}
    if logged:
        names = (database_path, database_path.with_name("shop.db-wal"))
        left = {name: name.read_bytes() for name in names}
    await store.close()
    for name, content in left.items():
        name.write_bytes(content)
    full_disk()
    full = await SqlStore.open(f"sqlite:///{database_path}")
    assert [item.sku for item in (await full.catalogue()).items] == [ITEM.sku]
    assert (await reads.snapshot(full))[0].revision == 1
    for _ in range(2):
        with pytest.raises(StoreFull) as refused:
            await write(full, EVERYTHING)
        assert refused.value.next == "df -h  (make room on that disk, then the same again)"
    with pytest.raises(StoreFull):
        async with full.only_daemon():
            pass
    await full.close()


async def test_on_a_full_disk_nothing_is_made_anew(
    tmp_path: Path, full_disk: Callable[[], None]
) -> None:
    """A database that is not there yet is refused with the reason, again and again."""
    full_disk()
    for _ in range(2):
        with pytest.raises(StoreFull):
            await SqlStore.open(f"sqlite:///{tmp_path}/shop.db")


class InlineConnection(aiosqlite.Connection):
    """An aiosqlite connection without a thread, as a simulator on one loop needs it."""

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    async def _connect(self) -> InlineConnection:
        self._connection = self._connector()
        return self

    def __await__(self) -> Any:
        return self._connect().__await__()

    def stop(self) -> None:
        """Close nothing more: there is no thread to stop."""
        self._running = False


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnsafe),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, StoreUnsafe),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailable),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StoreFull),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreDamaged),
    ],
)
def test_a_sync_that_failed_is_told_from_a_write_that_did(code: int, kind: type) -> None:
    """A write may be made again, a sync not."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    assert type(translate(error)) is kind


def test_a_key_with_a_null_character_is_refused() -> None:
    """SQLite would end the text there, and find the row of what stands before it."""
    with pytest.raises(StoreRuleBroken, match="U\\+0000"):
        SqliteDialect().keys([("shop", "a\0b")])
    SqliteDialect().keys([("shop", r"a\u0000b")])
    assert SqliteDialect().keys([("shop", "a0b")]) == ('[["shop","a0b"]]',)


async def test_after_a_sync_that_failed_nothing_is_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next sync may be reported as done without what this one did not write: whoever asks for a
    write is refused, whatever became of the first error. Reading goes on.
    """
    store = await SqlStore.open(f"sqlite:///{tmp_path}/stockpush.db")

    async def failing(*_: object, **__: object) -> None:
        raise StoreUnsafe("fsync: EIO")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteSession, "commit", failing)
        with pytest.raises(StoreUnsafe):
            await write(store, EVERYTHING)
    for _ in range(2):
        with pytest.raises(StoreUnsafe, match="EIO"):
            await store.reserve_fetch_numbers(1)
        with pytest.raises(StoreUnsafe, match="EIO"):
            await write(store, EVERYTHING)
    assert await reads.snapshot(store)
    await store.close()


async def test_a_row_of_nobody_s_is_damage_to_whoever_reads(tmp_path: Path) -> None:
    """A byte that changed inside a word; it is not a defect of ours."""
    store = await SqlStore.open(f"sqlite:///{tmp_path}/stockpush.db")
    await write(store, EVERYTHING)
    with closing(sqlite3.connect(tmp_path / "stockpush.db")) as file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        file.execute("UPDATE reservation SET state = 'opem'")
        file.commit()
    with pytest.raises(StoreDamaged, match="a row cannot be understood"):
        await reads.check_rows(store, deep=True)
    await store.close()


async def test_a_simulator_may_bring_its_own_connections(
    open_store: OpenStore, database_path: Path
) -> None:
    """With a connection factory that executes inline, no thread is started and all works."""
    opened = []

    async def connect() -> aiosqlite.Connection:
        connection = InlineConnection(lambda: sqlite3.connect(database_path), 64)
        opened.append(connection)
        return await connection

    store = await open_store(async_creator=connect)
    await write(store, EVERYTHING)
    assert len((await store.catalogue()).items) == 3
    assert (await gathered(store)).shelves
    assert opened
    assert not any(connection._thread.is_alive() for connection in opened)


def test_every_query_of_the_path_of_a_sale_uses_an_index() -> None:
    """No statement of the transaction or of the daemon's queries scans a table that grows."""
    from stockpush.store.schema import metadata

    database = sqlite3.connect(":memory:")
    for statement in _ddl(metadata):
        database.execute(statement)
    statements = Statements(SqliteDialect())
    small = {"channel", "meta"}
    checked = 0
    tables = ("field", "dirty", "command", "push")
    queries = {f"{name}.lock": getattr(statements, name).lock for name in tables} | {
        name: getattr(statements, name)
        for name in (
            "shelves_of_items",
            "reservations_of_orders",
            "reservations_of_order_keys",
            "reservations_open_on",
            "pushes_in_flight",
            "deliveries_of_digests",
            "movements_of_commands",
            "undone",
            "moved",
            "delete_clean",
            "delete_bill_lines",
            "settle_push",
            "update_delivery",
            "apply_delivery",
            "close_drifts",
            "dirty_due",
            "next_due",
            "open_pushes",
            "reads_due",
            "fields_of_keys",
            "hints",
            "requests",
            "answer_request",
        )
    }
    for name, query in queries.items():
        arguments = ("[]",) * query.count("?")
        plan = database.execute(f"EXPLAIN QUERY PLAN {query}", arguments).fetchall()
        for *_ids, step in plan:
            table = step.split()[1] if step.startswith("SCAN") else ""
            assert not table or table in small or table.startswith("anon"), (name, step)
            checked += 1
    assert checked >= len(queries)
    database.close()


@pytest.mark.parametrize(
    ("query", "found_by"),
    [
        ("field.lock", "field USING INDEX sqlite_autoindex_field_1 (channel=? AND key=?)"),
        ("dirty.lock", "(channel=? AND field_key=?)"),
        ("reservations_of_orders", "(channel=? AND order_id=?)"),
        ("reservations_of_order_keys", "(channel=? AND order_key=?)"),
        ("pushes_in_flight", "(channel=? AND field_key=?)"),
        ("deliveries_of_digests", "(channel=? AND digest=?)"),
        ("fields_of_keys", "(channel=? AND key=?)"),
    ],
)
def test_rows_are_found_by_their_whole_keys(query: str, found_by: str) -> None:
    """A sale costs the same however many orders there are: what is looked up by channel and key is
    not looked for among all that the channel has.
    """
    from stockpush.store.schema import metadata

    with closing(sqlite3.connect(":memory:")) as database:
        for statement in _ddl(metadata):
            database.execute(statement)
        sql = attrgetter(query)(Statements(SqliteDialect()))
        plan = database.execute(f"EXPLAIN QUERY PLAN {sql}", ("[]",)).fetchall()
    assert any(found_by in step for *_ids, step in plan), plan


@pytest.mark.parametrize(
    ("query", "index"),
    [("shelves_short", "ix_shelf_short"), ("fields_holding", "ix_field_holding")],
)
def test_the_few_that_are_short_or_hold_back_are_found_by_their_index(
    query: str, index: str
) -> None:
    """A sale in a large group does not look through every shelf and field."""
    from stockpush.store.schema import metadata

    with closing(sqlite3.connect(":memory:")) as database:
        for statement in _ddl(metadata):
            database.execute(statement)
        sql = attrgetter(query)(Statements(SqliteDialect()))
        plan = database.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    assert any(index in step for *_ids, step in plan), plan


@pytest.mark.parametrize("count", [1, *BLOCKS, sum(BLOCKS) + 1, 2 * BLOCKS[0] - 1, 300])
async def test_many_rows_are_written_as_one_by_one(tmp_path: Path, count: int) -> None:
    """However many rows a table gets, in blocks and singly, each is there once, and as it was."""
    shelves = tuple(Shelf(f"sku-{number:03}", number, 0) for number in range(count))
    items = tuple(replace(ITEM, sku=shelf.sku) for shelf in shelves)
    store = await SqlStore.open(f"sqlite:///{tmp_path}/shop.db")
    try:
        await write(store, Decision(items=items, shelves=shelves))
        more = tuple(replace(shelf, reserved=1) for shelf in shelves)
        skus = frozenset(shelf.sku for shelf in shelves)
        async with store.transaction() as transaction:
            await transaction.gather(Needs(skus=skus))
            await transaction.apply([Decision(shelves=more)])
        async with store.transaction() as transaction:
            found = await transaction.gather(Needs(skus=skus))
    finally:
        await store.close()
    assert found.shelves == {shelf.sku: shelf for shelf in more}


def _ddl(metadata: Any) -> list[str]:
    from sqlalchemy.dialects import sqlite
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = sqlite.dialect()
    tables = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    indexes = [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata.sorted_tables
        for index in table.indexes
    ]
    return tables + indexes
