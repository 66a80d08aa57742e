"""Which database URLs are understood."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from stockpush.errors import UsageError
from stockpush.store import address
from stockpush.store.dialects.postgres import PostgresDatabase
from stockpush.store.dialects.sqlite import SqliteDatabase


def test_a_path_is_relative_or_absolute() -> None:
    """Three slashes lead to a file of the working folder, four to an absolute path."""
    assert address.sqlite_path("sqlite:///shop.db") == Path("shop.db")
    assert address.sqlite_path("sqlite:////var/lib/shop.db") == Path("/var/lib/shop.db")
    assert address.sqlite_path("postgresql://anna@db/shop") is None
    assert isinstance(address.database("sqlite:///shop.db", busy_timeout_s=1), SqliteDatabase)


@pytest.mark.parametrize(
    ("url", "schema", "query"),
    [
        ("postgresql://anna@db/shop", "public", {}),
        ("postgresql://anna@db/shop?schema=shop1", "shop1", {}),
        ("postgresql:///shop?schema=s&host=/run/pg", "s", {"host": "/run/pg"}),
        ("postgresql://anna@db/shop?sslmode=require", "public", {"ssl": "require"}),
    ],
)
async def test_a_schema_becomes_the_search_path(
    url: str, schema: str, query: dict[str, str]
) -> None:
    """`schema` is ours; what the driver understands is passed on under its own name."""
    database = address.database(url, busy_timeout_s=1)
    assert isinstance(database, PostgresDatabase)
    assert database.schema == schema
    assert database.engine.url.drivername == "postgresql+asyncpg"
    assert dict(database.engine.url.query) == query
    await database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "cannot be understood"),
        ("shop.db", "cannot be understood"),
        ("mysql://anna@db/shop", "not supported"),
        ("postgresql+asyncpg://anna@db/shop", "not supported"),
        ("sqlite+aiosqlite:///shop.db", "not supported"),
        ("sqlite://", "is a file"),
        ("sqlite:///", "is a file"),
        ("sqlite:///:memory:", "is a file"),
        ("sqlite:///shop.db?mode=ro", "takes no options"),
        ("postgresql://anna:secret@db/shop?schema=Shop-1", "lower-case letters"),
        ("postgresql://anna:secret@db/shop?schema=a'; DROP TABLE x", "lower-case letters"),
        (f"postgresql://anna:secret@db/shop?schema={'s' * 64}", "63 at most"),
        ("postgresql://anna:secret@db/shop?shcema=s", "unknown option: shcema"),
    ],
)
def test_what_is_no_database_url_is_said_without_its_password(url: str, message: str) -> None:
    """The error names the field, what was found and the two forms; never a password."""
    with pytest.raises(UsageError, match=message) as refused:
        address.database(url, busy_timeout_s=1)
    shown = str(refused.value.as_json())
    assert "secret" not in shown
    assert refused.value.field == "database"
    assert "postgresql://USER@HOST/DATABASE" in (refused.value.expected or "")


def test_only_sqlite_takes_connections_of_the_callers_own() -> None:
    """A simulator cannot replace PostgreSQL's connections."""

    async def creator() -> None:
        """Open nothing."""

    with pytest.raises(UsageError, match="connection factory"):
        address.database("postgresql://anna@db/s", busy_timeout_s=1, async_creator=creator)


def test_the_examples_run() -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(address).failed == 0
