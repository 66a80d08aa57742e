"""SQLite on the simulator's own thread: the store's connections, executed where they are called.

Theory of operation. aiosqlite sends each call to a thread and waits. Here the call is made at
once, after giving the others one turn: between two statements anything may happen, as in life, and
nothing runs at the same time. Everything above, the store included, is what production runs. What
a process that is killed leaves behind is what is in its files at that instant: `Files.cut` copies
them, with the write-ahead log, and closes the connections under whoever still holds them.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from stockpush.sim.loop import Turn

T = TypeVar("T")


class InlineConnection(aiosqlite.Connection):
    """`aiosqlite.Connection` without its thread. `ended` is called at the end of a transaction."""

    ended: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._connection is not None

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await Turn()
        if self._connection is None:
            raise ValueError("Connection closed")
        was_open = self._connection.in_transaction
        result = fn(*args, **kwargs)
        if was_open and self.ended is not None and not self._connection.in_transaction:
            self.ended()
        return result

    async def _connect(self) -> InlineConnection:
        if self._connection is None:
            self._connection = self._connector()
        return self

    def __await__(self) -> Generator[Any, None, InlineConnection]:
        """Open it."""
        return self._connect().__await__()

    async def close(self) -> None:
        """Close it; a second time is nothing."""
        self.stop()

    def stop(self) -> None:
        """Close it at once: an open transaction is undone."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


@dataclass(slots=True)
class Files:
    """The database of one machine: a file per life, since each life begins on a copy."""

    folder: Path
    life: int = 0
    ended: Callable[[], None] | None = None
    """Called at the end of each transaction, by whomever."""
    _open: list[InlineConnection] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Where the database is now."""
        return self.folder / f"life-{self.life}.db"

    async def connect(self) -> aiosqlite.Connection:
        """Open one more connection to the present file (`store.sql.SqlStore.open`)."""
        path = self.path
        connection = InlineConnection(
            lambda: sqlite3.connect(path, check_same_thread=False), iter_chunk_size=64
        )
        connection.ended = self.ended
        self._open = [each for each in self._open if each.is_open]
        self._open.append(connection)
        return await connection

    def cut(self) -> None:
        """Kill the process: what is on disk goes on as the next life's file."""
        old = self.path
        self.life += 1
        for suffix in ("", "-wal"):
            here = old.with_name(old.name + suffix)
            if here.exists():
                shutil.copyfile(here, self.path.with_name(self.path.name + suffix))
        for connection in self._open:
            connection.stop()
        self._open.clear()
        for each in old.parent.glob(f"{old.name}*"):
            each.unlink(missing_ok=True)
