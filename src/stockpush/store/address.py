"""Where the database is: `sqlite:///path` or `postgresql://user@host/db?schema=shop1`.

Driver names are ours to choose, so a URL that names one is refused. A schema is one business: it
becomes the search path of every connection. A password may stand in the URL or in PGPASSWORD;
`host` and `sslmode` are passed on to the driver.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from stockpush.errors import UsageError
from stockpush.store.dialects import Database
from stockpush.store.dialects.sqlite import AsyncCreator, SqliteDatabase

SCHEMA_DEFAULT: Final = "public"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FORMS: Final = "sqlite:///PATH or postgresql://USER@HOST/DATABASE?schema=NAME"
# Our word for what the driver calls otherwise.
_PASSED_ON: Final = {"host": "host", "sslmode": "ssl"}


def _wrong(url: str, message: str) -> UsageError:
    """Return the error for `url`, whose password is not repeated."""
    found = re.sub(r"//([^:/@]*):[^@]*@", r"//\1:***@", url)
    return UsageError(message, field="database", found=found, expected=_FORMS)


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite URL, None for PostgreSQL.

    Raises `UsageError` for anything else. A database in memory is refused: an acknowledged sale
    would not survive the process.

    >>> sqlite_path("sqlite:///stockpush.db")
    PosixPath('stockpush.db')
    """
    parsed = _parse(url)
    if parsed.drivername != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise _wrong(url, "An SQLite database is a file.")
    if parsed.query:
        raise _wrong(url, "An SQLite database takes no options.")
    return Path(parsed.database)


def database(
    url: str,
    *,
    busy_timeout_s: float,
    async_creator: AsyncCreator | None = None,
    only_read: bool = False,
) -> Database:
    """Return the connections to the database at `url`; nothing is opened yet.

    `busy_timeout_s` (> 0) bounds the wait for another writer. `async_creator` opens SQLite
    connections in the caller's own way. `only_read`: an SQLite file lies on a full
    disk.
    """
    path = sqlite_path(url)
    if path is not None:
        return SqliteDatabase(
            path, busy_timeout_s=busy_timeout_s, async_creator=async_creator, only_read=only_read
        )
    if async_creator is not None:
        raise _wrong(url, "Only an SQLite database takes a connection factory.")
    parsed = _parse(url)
    options = {name: str(value) for name, value in parsed.query.items()}
    schema = options.pop("schema", SCHEMA_DEFAULT)
    if not _SCHEMA.fullmatch(schema):
        raise _wrong(url, "A schema is lower-case letters, digits and '_', 63 at most.")
    if unknown := sorted(options.keys() - _PASSED_ON.keys()):
        raise _wrong(url, f"The database URL has an unknown option: {unknown[0]}.")
    # Its driver is imported only where it is used: a daemon that starts again has shops waiting.
    from stockpush.store.dialects.postgres import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase(
        parsed.set(
            drivername="postgresql+asyncpg",
            query={_PASSED_ON[name]: value for name, value in options.items()},
        ),
        schema=schema,
        busy_timeout_s=busy_timeout_s,
    )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _wrong(url, "The database URL cannot be understood.") from error
    if parsed.drivername not in {"sqlite", "postgresql"}:
        raise _wrong(url, "That kind of database is not supported.")
    return parsed
