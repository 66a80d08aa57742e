"""The schema's history, and bringing a database up to date from inside the program.

Theory of operation. Alembic keeps the history (`versions/`) and the mark in the database
(`alembic_version`); there is no alembic.ini and no command to install. A migration runs in one
transaction, behind the database's own lock (SQLite: the write lock; PostgreSQL: an advisory lock),
and looks at the mark again behind it, so that any number of processes may start at once. There is
no way down: a copy made before is put back.

A database that has a schema is migrated only under the daemon's lock: a daemon of the older program
may be at work, and would go on in a schema that it does not know. An empty one has no daemon, and
its lock is not touched: where the lock's file is, a daemon has worked before (`damage.py`).

Alembic is imported only where there is something to migrate: it takes a tenth of a second, and a
daemon that starts again after a crash has shops waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from stockpush.errors import (
    AlreadyRunning,
    SchemaNewer,
    SchemaOlder,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
)
from stockpush.store.damage import is_damage, is_full
from stockpush.store.dialects import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0023"
"""The revision that this program writes: the newest of `versions/`, as a test holds."""
_MARK: Final = "alembic_version"
MARKED: Final = "SELECT version_num FROM alembic_version"
"""The query for the revision of a database that has one."""
_HERE: Final = Path(__file__).parent
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('stockpush.migrate'))"


async def migrate(database: Database) -> str | None:
    """Bring the schema up to date; create it, and PostgreSQL's schema, where there is none.

    Return the revision that it had before, None for an empty database. Raises `SchemaNewer` when
    a newer Stock Push has written the database, `AlreadyRunning` when a daemon works with an older
    schema, and `StoreUnavailable`. One at a time in a process: Alembic keeps its state in module
    globals.
    """
    before = await revision(database)
    if before == HEAD:
        return before
    if before is None:
        return await _run(database, _upgrade)
    try:
        async with database.only_daemon():
            return await _run(database, _upgrade)
    except AlreadyRunning as other:
        # It may be another process that migrates: it is waited for behind the migrations' own lock.
        if await _run(database, _awaited_revision) == HEAD:
            return before
        raise AlreadyRunning(
            f"The database has schema {before} and has to be brought to {HEAD}, which a daemon "
            f"that works with it would not understand. {other.message}",
            found=other.found,
            expected="no daemon while the schema changes",
            next="end the daemon (systemctl stop stockpush), then: stockpush migrate",
        ) from other


async def revision(database: Database) -> str | None:
    """Return the database's revision, None for an empty one; raise as `migrate` does."""
    return await _run(database, _revision)


async def require_current(database: Database) -> None:
    """Return if the schema is up to date; otherwise raise `SchemaOlder` or `SchemaNewer`."""
    if await revision(database) != head():
        raise SchemaOlder(next="stockpush migrate")


async def _run(database: Database, work: Callable[[Connection], str | None]) -> str | None:
    try:
        async with database.engine.connect() as connection:
            return await connection.run_sync(work)
    except (SQLAlchemyError, OSError, TimeoutError, UnicodeDecodeError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        if is_damage(cause):
            raise StoreDamaged(
                f"The database file is damaged: {cause}.", next="stockpush check --deep"
            ) from error
        if is_full(cause):
            raise StoreFull from error
        raise StoreUnavailable(f"The database cannot be opened: {cause}") from error


def _upgrade(connection: Connection) -> str | None:
    before = _revision(connection)
    connection.rollback()
    if before == head():
        return before
    _begin(connection)
    # Another process may have been first while we waited for the lock.
    before = _revision(connection)
    if before != head():
        from alembic import command  # noqa: PLC0415  # see the module's docstring

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
    connection.commit()
    return before


def _awaited_revision(connection: Connection) -> str | None:
    """Return the database's revision once nobody migrates it."""
    _begin(connection)
    found = _revision(connection)
    connection.rollback()
    return found


def _revision(connection: Connection) -> str | None:
    """Return the database's revision, None for an empty one; refuse one that is not ours."""
    if not inspect(connection).has_table(_MARK):
        return None
    marks = connection.execute(text(MARKED)).scalars().all()
    if not marks:
        return None
    found = str(marks[0])
    if found != HEAD and found not in _revisions():
        raise newer(found)
    return found


def newer(found: str) -> SchemaNewer:
    """Return the error for a database of a revision that this program does not know."""
    return SchemaNewer(found=found, expected=HEAD, next="pipx upgrade stockpush")


def _revisions() -> set[str]:
    """Return every revision that this program knows."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # see the module's docstring

    return {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}


def _begin(connection: Connection) -> None:
    """Begin, alone: nobody else migrates before the transaction ends."""
    if connection.dialect.name == "sqlite":
        # The driver would begin only at the first change, and not before DDL.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.execute(text(_LOCK))
    schema = connection.exec_driver_sql("SHOW search_path").scalar_one()
    connection.execute(CreateSchema(schema, if_not_exists=True))


def head() -> str:
    """Return the revision that this program writes."""
    return HEAD


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415  # see the module's docstring

    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    return config
