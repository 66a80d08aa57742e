"""One daemon per SQLite file: an exclusive lock on a file beside the database.

The operating system gives the lock up when its holder dies, however it dies, so there is nothing
stale to clean away. The file stays; it holds the process id of the daemon for the error message.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from stockpush.errors import AlreadyRunning, StoreUnavailable

_SUFFIX: Final = ".lock"
_PID_BYTES_MAX: Final = 20


def path_of(database: Path) -> Path:
    """Return the lock's file: where it is, a daemon has worked with the SQLite file `database`."""
    return database.with_name(database.name + _SUFFIX)


def held(database: Path) -> bool:
    """Answer whether a daemon has the SQLite file `database`."""
    try:
        descriptor = os.open(path_of(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # no daemon has ever run here, or none that concerns this user
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


class DaemonLock:
    """Held by the daemon for as long as it runs; a context manager."""

    def __init__(self, database: Path) -> None:
        """Name the lock of the SQLite file `database`; nothing is locked yet."""
        self._path = path_of(database)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once; raise `AlreadyRunning`, with the holder's pid, if it is held."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"The lock file cannot be opened: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(descriptor, _PID_BYTES_MAX).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunning(
                f"Another Stock Push daemon (process {pid or 'unknown'}) uses this database.",
                found=pid or None,
                next=f"kill {pid}" if pid else None,
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        """Acquire."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release."""
        self.release()
