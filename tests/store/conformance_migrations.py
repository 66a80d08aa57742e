"""What holds of the schema on every database: run by test_sqlite.py and test_postgres.py."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text

from stockpush.errors import SchemaNewer, SchemaOlder, StoreConflict
from stockpush.messages import Decision, Needs
from stockpush.model import (
    MAIN,
    HoldLine,
    Listing,
    ListingKey,
    Location,
    MovementKind,
    Rest,
    Shelf,
)
from stockpush.store import SqlStore, address, migrations, reads
from stockpush.store.dialects import Database
from stockpush.store.migrations import head, migrate, require_current
from stockpush.store.schema import META_AT_FIRST, metadata


def reflected(connection: Connection) -> dict[str, Any]:
    """Return everything that the database says of its tables, CHECK constraints included."""
    found = inspect(connection)
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"])
                for column in found.get_columns(table)
            ],
            "primary key": found.get_pk_constraint(table),
            "checks": sorted(
                (check["name"], check["sqltext"]) for check in found.get_check_constraints(table)
            ),
            "foreign keys": sorted(
                (key["name"], key["constrained_columns"], key["referred_table"])
                for key in found.get_foreign_keys(table)
            ),
            "unique": sorted(
                (key["name"], key["column_names"]) for key in found.get_unique_constraints(table)
            ),
            "indexes": sorted(
                (index["name"], index["column_names"], index["unique"])
                for index in found.get_indexes(table)
            ),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


class MigrationsConformance:
    """The suite of the schema. A subclass makes an `empty` database beside the migrated one."""

    @pytest.fixture
    async def database(self, database_url: str) -> Any:
        """The test's database, without a schema."""
        database = address.database(database_url, busy_timeout_s=5)
        yield database
        await database.close()

    async def test_the_migrated_schema_is_the_declared_one(self, database: Database) -> None:
        """Tables, columns, keys, indexes and CHECKs: by history or by metadata, it is the same."""
        await migrate(database)
        async with database.engine.connect() as connection:
            migrated = await connection.run_sync(reflected)
            difference = await connection.run_sync(
                lambda c: compare_metadata(MigrationContext.configure(c), metadata)
            )
        assert difference == []
        async with database.engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
            await connection.run_sync(metadata.create_all)
            declared = await connection.run_sync(reflected)
        assert migrated == declared
        checks = sum(len(table["checks"]) for table in migrated.values())
        assert checks == sum(
            1
            for table in metadata.tables.values()
            for rule in table.constraints
            if isinstance(rule, CheckConstraint)
        )

    async def test_a_new_database_starts_with_its_counters(self, database: Database) -> None:
        """The rows of `meta` are those that the program expects."""
        await migrate(database)
        async with database.engine.connect() as connection:
            found = await connection.execute(text("SELECT name, value FROM meta"))
            assert {row.name: row.value for row in found} == META_AT_FIRST

    async def test_migrating_again_changes_nothing(
        self, store: SqlStore, database: Database
    ) -> None:
        """A current database is left alone, and may be opened without migrating."""
        await store.reserve_fetch_numbers(5)
        await migrate(database)
        await require_current(database)
        assert await store.reserve_fetch_numbers(1) == 6

    async def test_a_newer_schema_is_refused(self, store: SqlStore, database_url: str) -> None:
        """A database of a newer program is not touched; the error says what to type."""
        async with store.transaction() as transaction:
            await transaction.catalogue_revision()  # it begins with the first question
            await transaction._session.fetch("UPDATE alembic_version SET version_num = '9999'")
        for wanted in (True, False):
            with pytest.raises(SchemaNewer) as refused:
                await SqlStore.open(database_url, migrate=wanted)
            assert (refused.value.found, refused.value.expected) == ("9999", head())
            assert refused.value.next == "pipx upgrade stockpush"

    async def test_an_unmigrated_database_is_refused_where_asked(self, database_url: str) -> None:
        """Without leave to migrate, an old schema is an error with the command to type."""
        with pytest.raises(SchemaOlder) as refused:
            await SqlStore.open(database_url, migrate=False)
        assert refused.value.next == "stockpush migrate"

    async def test_stock_of_before_pools_is_in_the_pool_main(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Shelves, locations and holds: all that they say, and that they are in that pool; another
        shelf of the item may come, and no second one there.
        """
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "HEAD", "0014")
            await migrate(database)
        item = "'soap', 'Soap', 'product', 'piece', 0, '[]', 'buildable', NULL, 'some'"
        exposure = "NULL, NULL, NULL, NULL"
        rests = '[["oil",4]]'
        written = [
            f"INSERT INTO item VALUES ({item}, {exposure})",
            f"INSERT INTO shelf VALUES ('soap', 7, 5, '{rests}', 3, 2, 1)",
            "INSERT INTO location VALUES ('stall', 0)",
            "INSERT INTO hold VALUES (4, 'k', 1, 9, 'held', 'anna', '', '', NULL)",
        ]
        async with database.engine.begin() as connection:
            for each in written:
                await connection.exec_driver_sql(each)
        assert await migrate(database) == "0014"
        store = await SqlStore.open(database_url)
        try:
            catalogue, kept = await reads.snapshot(store)
            kept_all = Shelf("soap", 7, 5, 3, (Rest("oil", 4),), 2, guarded=True, pool=MAIN)
            assert kept.shelves == {"soap": kept_all}
            assert catalogue.locations == (Location("stall", sellable=False, pool=MAIN),)
            assert catalogue.feeds == ()
            assert kept.holds[4].pool == MAIN
            for pool in ("market", MAIN):
                other = Decision(shelves=(Shelf("soap", 1, pool=pool),))
                with pytest.raises(StoreConflict) if pool == MAIN else nullcontext():
                    async with store.transaction() as transaction:
                        await transaction.apply([other])
        finally:
            await store.close()

    async def test_what_was_held_before_keeps_the_present_bill(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A hold of before went by its item's present bill; of an item without one, by the first
        that it gets.
        """
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "HEAD", "0019")
            await migrate(database)
        item = "'product', 'piece', 0, '[]', 'buildable', 'some', '[]'"
        columns = "sku, name, kind, unit, scale, purchase_units, promise, lots, per_order"
        written = [
            *(f"INSERT INTO item ({columns}) VALUES ('{sku}', 'x', {item})" for sku in ("a", "b")),
            (
                "INSERT INTO bill (item, yield_quantity, batch_only, kit, backflush, overrides,"
                " build_time_s, version) VALUES ('a', 1, 0, 0, 0, '[]', 0, 3)"
            ),
            (
                "INSERT INTO hold (id, key, placed_at, until, state, actor, note, reason, pool)"
                " VALUES (4, 'k', 1, 9, 'held', 'anna', '', '', 'main')"
            ),
            (
                "INSERT INTO hold_line (hold_id, position, sku, quantity)"
                " VALUES (4, 0, 'a', 5), (4, 1, 'b', 6)"
            ),
        ]
        async with database.engine.begin() as connection:
            for each in written:
                await connection.exec_driver_sql(each)
        assert await migrate(database) == "0019"
        store = await SqlStore.open(database_url)
        try:
            _, kept = await reads.snapshot(store)
            assert kept.holds[4].lines == (HoldLine("a", 5, 3), HoldLine("b", 6, 1))
        finally:
            await store.close()

    async def test_a_listing_of_before_caps_says_nothing_of_its_own(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It keeps what it says, and is bounded by its channel and the settings as before."""
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "HEAD", "0019")
            await migrate(database)
        item = "'soap', 'Soap', 'product', 'piece', 0, '[]', 'buildable', NULL, 'never'"
        exposure = "NULL, NULL, NULL, NULL, NULL, '[]', NULL"
        ours = "'woo', 'product/7', 'soap', 6, '{}', '7', 'f7', 1, NULL, 3"
        async with database.engine.begin() as connection:
            await connection.exec_driver_sql(f"INSERT INTO item VALUES ({item}, {exposure})")
            await connection.exec_driver_sql(f"INSERT INTO listing VALUES ({ours})")
        assert await migrate(database) == "0019"
        store = await SqlStore.open(database_url)
        try:
            key = ListingKey("woo", "product/7")
            kept = Listing(key, "soap", 6, order_key="7", field_key="f7", adopted=True, weight=3)
            assert (await store.catalogue()).listings == (kept,)
            said = replace(kept, cap=0, buffer=12)
            async with store.transaction() as transaction:
                await transaction.apply([Decision(listings=(said,))])
            assert (await store.catalogue()).listings == (said,)
        finally:
            await store.close()

    async def test_nothing_comes_for_listings_of_before_they_had_horizons(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lot that comes by its item's horizon goes on to; the listing has that one, too."""
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "HEAD", "0021")
            await migrate(database)
        item = "'soap', 'Soap', 'product', 'piece', 0, '[]', 'buildable', NULL, 'some'"
        exposure = "NULL, NULL, NULL, NULL, NULL, '[]', 86400"
        listing = "'woo', 'product/7', 'soap', 6, '{}', '7', 'f7', 1, NULL, 3, NULL, NULL"
        shelf = "'soap', 4, 0, '[]', 0, 0, 0, 'main', '[]', 6"
        lot = "'soap', 'main', 'A', 0, 6, NULL, 86400000000, 0, 0, 86400000000, '', '', '', 1"
        async with database.engine.begin() as connection:
            await connection.exec_driver_sql(f"INSERT INTO item VALUES ({item}, {exposure})")
            await connection.exec_driver_sql(f"INSERT INTO listing VALUES ({listing})")
            await connection.exec_driver_sql(f"INSERT INTO shelf VALUES ({shelf})")
            await connection.exec_driver_sql(f"INSERT INTO lot VALUES ({lot})")
        assert await migrate(database) == "0021"
        store = await SqlStore.open(database_url)
        try:
            (kept,) = (await store.catalogue()).listings
            assert kept.horizon_s is None
            asked = Needs(skus=frozenset({"soap"}), lots=frozenset({"soap"}))
            async with store.transaction() as transaction:
                found = await transaction.gather(asked)
                assert found.shelves == {"soap": Shelf("soap", 4, coming=6)}
                (curing,) = found.lots.values()
                assert (curing.comes, curing.within_s) == (True, None)
                said = replace(kept, horizon_s=0)
                await transaction.apply([Decision(listings=(said,))])
            assert (await store.catalogue()).listings == (said,)
        finally:
            await store.close()

    async def test_a_ledger_of_before_lots_is_kept_movement_by_movement(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every id, undo and reason stays; items have no lots; the next movement gets the next id,
        and may be a transfer.
        """
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "HEAD", "0006")
            await migrate(database)
        written = [
            (3, 5, "soap", 7, "receipt", "cmd a", "anna", "main", "spring", None),
            (4, 6, "soap", -7, "receipt", "cmd b", "anna", "main", "", 3),
            (9, 7, "soap", -2, "sale", "order shop/1/1", "shop", "main", "", None),
        ]
        columns = "id, at, sku, quantity, kind, cause, actor, location, reason, undoes"
        async with database.engine.begin() as connection:
            await connection.execute(
                text("INSERT INTO item VALUES ('soap', 'Soap', 'product', 'piece', 0)")
            )
            for row in written:
                values = ", ".join("NULL" if each is None else repr(each) for each in row)
                await connection.execute(
                    text(f"INSERT INTO movement ({columns}) VALUES ({values})")
                )
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT setval('movement_id_seq', 9)"))
        assert await migrate(database) == "0006"
        store = await SqlStore.open(database_url)
        try:
            page = await reads.movements(store, limit=10)
            assert [
                (row.id, row.quantity, row.kind.value, row.reason, row.undoes, row.lot)
                for row in reversed(page.data)
            ] == [
                (3, 7, "receipt", "spring", None, None),
                (4, -7, "receipt", "", 3, None),
                (9, -2, "sale", "", None, None),
            ]
            assert [item.lots.value for item in (await store.catalogue()).items] == ["never"]
            moved = replace(page.data[0], kind=MovementKind.TRANSFER, lot="A", id=None, undoes=9)
            async with store.transaction() as transaction:
                assert await transaction.apply([Decision(movements=(moved,))]) == [(10,)]
            with pytest.raises(StoreConflict):
                async with store.transaction() as transaction:
                    await transaction.apply([Decision(movements=(moved,))])
        finally:
            await store.close()

    async def test_two_processes_may_start_at_once(self, database_url: str) -> None:
        """Both find an empty database; one migrates, the other waits and finds it done."""
        program = (
            "import asyncio, sys\n"
            "from stockpush.store import SqlStore\n"
            "async def main():\n"
            "    store = await SqlStore.open(sys.argv[1])\n"
            "    print(await store.reserve_fetch_numbers(1))\n"
            "    await store.close()\n"
            "asyncio.run(main())\n"
        )
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, database_url, stdout=asyncio.subprocess.PIPE
            )
            for _ in range(3)
        ]
        answers = [(await process.communicate())[0].strip() for process in processes]
        assert sorted(answers) == [b"1", b"2", b"3"]
