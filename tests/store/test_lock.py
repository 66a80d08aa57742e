"""One daemon per SQLite file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stockpush.errors import AlreadyRunning, StoreUnavailable
from stockpush.store import DaemonLock


def test_a_second_daemon_on_one_file_is_refused(tmp_path: Path) -> None:
    """The error names the process that holds the database; another database is free."""
    database = tmp_path / "shop.db"
    with DaemonLock(database):
        with pytest.raises(AlreadyRunning) as refused:
            DaemonLock(database).acquire()
        assert refused.value.found == str(os.getpid())
        assert str(os.getpid()) in refused.value.message
        with DaemonLock(tmp_path / "other.db"):
            pass
    with DaemonLock(database):
        pass


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    """The lock ends with its process, however that ends; its file may stay."""
    database = tmp_path / "shop.db"
    program = (
        "import pathlib, sys, time\n"
        "from stockpush.store import DaemonLock\n"
        "DaemonLock(pathlib.Path(sys.argv[1])).acquire()\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning) as refused:
            DaemonLock(database).acquire()
        assert refused.value.found == str(holder.pid)
        holder.kill()
    with DaemonLock(database):
        assert (tmp_path / "shop.db.lock").read_text() == f"{os.getpid()}\n"


def test_releasing_twice_does_nothing(tmp_path: Path) -> None:
    """A lock that is not held may be released."""
    lock = DaemonLock(tmp_path / "shop.db")
    lock.release()
    lock.acquire()
    lock.release()
    lock.release()
    with DaemonLock(tmp_path / "shop.db"):
        pass


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A lock file that cannot be opened is an accident with the system's words."""
    with pytest.raises(StoreUnavailable, match="No such file"):
        DaemonLock(tmp_path / "missing" / "shop.db").acquire()
