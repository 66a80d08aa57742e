"""SQLite files for tests: migrated once a process, and copied in a hundredth of the time."""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from stockpush.store import SqlStore


def put_empty(path: Path) -> None:
    """Write a database that is up to date and empty, as whoever opens it first would make it."""
    path.write_bytes(_empty())
    path.chmod(0o600)


@cache
def _empty() -> bytes:
    with (
        tempfile.TemporaryDirectory(prefix="stockpush-sqlite-") as folder,
        ThreadPoolExecutor(1) as apart,  # the caller may have a loop of its own
    ):
        path = Path(folder) / "empty.db"

        async def make() -> None:
            await (await SqlStore.open(f"sqlite:///{path}")).close()

        apart.submit(asyncio.run, make()).result()
        return path.read_bytes()
