"""The schema's history, and bringing a database up to date from inside the program.

Theory of operation. Alembic keeps the history (`versions/`) and the mark in the database
(`alembic_version`); there is no alembic.ini and no command to install. A migration runs in one
transaction, behind the database's own lock (SQLite: the write lock; PostgreSQL: an advisory lock),
and looks at the mark again behind it, so that any number of processes may start at once. There is
no way down: `restore` brings back a copy made before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from stockpush.errors import SchemaNewer, SchemaOlder, StoreUnavailable
from stockpush.store.dialects import Database

_HERE: Final = Path(__file__).parent
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('stockpush.migrate'))"


async def migrate(database: Database) -> str | None:
    """Bring the schema up to date; create it, and PostgreSQL's schema, where there is none.

    Return the revision that it had before, None for an empty database. Raises `SchemaNewer` when
    a newer Stock Push has written the database, and `StoreUnavailable`. One at a time in a
    process: Alembic keeps its state in module globals.
    """
    return await _run(database, _upgrade)


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
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
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
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    connection.commit()
    return before


def _revision(connection: Connection) -> str | None:
    """Return the database's revision, None for an empty one; refuse one that is not ours."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None:
        try:
            _scripts().get_revision(found)
        except CommandError as error:
            raise SchemaNewer(
                found=found, expected=head(), next="pipx upgrade stockpush"
            ) from error
    return found


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
    found = _scripts().get_current_head()
    assert found is not None
    return found


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    return config
