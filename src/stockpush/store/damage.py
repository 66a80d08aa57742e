"""Is the SQLite file whole? Looked at before anything can change it.

Theory of operation. Opening a damaged file the usual way may already change it: the last connection
to close writes the `-wal` file back, and beside an empty file SQLite throws a `-wal` away, with
sales in it. So a file is looked at first through a connection that cannot write, and one that is
not whole is refused, with the commands that put a copy in its place. Nothing is ever made anew
where a daemon has worked before: an empty stock would look like a fresh start.

`refuse_unreadable` is what every opening can afford: sizes, header, schema. `refuse_damaged` walks
the whole file. Sizes come from `stat`, not from reading: closing a file that SQLite has open in
this process would drop SQLite's locks on it.
Source: https://www.sqlite.org/howtocorrupt.html, https://www.sqlite.org/lockingv3.html
"""

from __future__ import annotations

import shlex
import sqlite3
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from stockpush.errors import ConfigInvalid, StoreDamaged
from stockpush.store import lock

WHOLE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest file that is examined wholly at each start: a tenth of a second's work."""
QUICK_BYTES_MAX: Final = 256 * 1024 * 1024
"""The largest file whose pages alone are walked at each start: a fifth of a second's work."""
FINDINGS_MAX: Final = 3
"""Most findings that are repeated in the message."""
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_UNSAFE: Final = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)
_OF_A_NETWORK: Final = ("9p", "afs", "ceph", "cifs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs")
_MOUNTS: Final = Path("/proc/self/mounts")
_PRIMARY_CODE: Final = 0xFF
_NO_TEXT: Final = "Could not decode to UTF-8"


def is_damage(error: BaseException | None) -> bool:
    """Answer whether an error of the driver says that the file itself is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY_CODE in _DAMAGE:
        return True
    # Every text was written as UTF-8; the driver has no code for one that is not.
    return isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT)


def is_unsafe(error: BaseException | None) -> bool:
    """Answer whether an error of the driver says that what was written may never reach the disk.

    The system may have dropped it from memory, and another sync would then succeed without it.
    Source: https://lwn.net/Articles/752063/
    """
    return getattr(error, "sqlite_errorcode", None) in _UNSAFE


def is_full(error: BaseException | None) -> bool:
    """Answer whether an error of the driver says that there is no room on the disk.

    The `-shm` file, which every opening in the usual way makes, has an error of its own.
    """
    return getattr(error, "sqlite_errorcode", None) in _FULL


def refuse_unreadable(path: Path) -> None:
    """Raise `StoreDamaged` if the file at `path` is lost, emptied, cut off or no database.

    A file that was never there is none of these.
    """
    file = path.absolute()
    size = _size(file)
    if size == 0:
        if _size(_beside(file, "-wal")):
            raise damaged(file, f"it is empty, but {file.name}-wal beside it is not")
        if lock.path_of(file).exists():
            raise damaged(file, _emptied(file, "it is gone or empty"))
        return
    if _read(file, "PRAGMA schema_version") == [(0,)] and lock.path_of(file).exists():
        # All there was may have been in a `-wal` that is lost.
        raise damaged(file, _emptied(file, "there is nothing in it"))


def refuse_damaged(path: Path, *, deep: bool = False) -> None:
    """Raise `StoreDamaged` if anything in the file at `path` cannot be right; blocks meanwhile.

    Every page is walked, every index compared with its table and every reference with what it
    refers to. Unless `deep`, pages alone above `WHOLE_BYTES_MAX`, and nothing above
    `QUICK_BYTES_MAX`; if `deep`, every value is read, too.
    """
    refuse_unreadable(path)
    file = path.absolute()
    size = _size(file)
    if size == 0 or (size > QUICK_BYTES_MAX and not deep):
        return
    whole = deep or size <= WHOLE_BYTES_MAX
    walk = "PRAGMA integrity_check(9)" if whole else "PRAGMA quick_check(9)"
    findings = [str(row[0]) for row in _read(file, walk) if row[0] != "ok"]
    if whole and not findings:
        broken = _read(file, "PRAGMA foreign_key_check")
        findings = [f"row {row[1]} of {row[0]} refers to a missing {row[2]}" for row in broken]
    if deep and not findings:
        # A text that is no text is found by reading it alone.
        for (table,) in _read(file, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
            _read(file, f'SELECT * FROM "{table}"', keep=False)  # noqa: S608  # its own names
    if findings:
        raise damaged(file, _listed(findings))


def refuse_network_drive(path: Path, *, mounts: str | None = None) -> None:
    """Raise `ConfigInvalid` if `path` lies on a drive that other machines share.

    SQLite's locks do not hold there. `mounts` is the text of /proc/self/mounts; where there is no
    such file, nothing is known and nothing refused.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return
    file = path.resolve()
    folder, kind = Path("/"), ""
    for line in mounts.splitlines():
        _device, at, found, *_rest = line.split()
        # Spaces and the like are written in octal.
        mounted = Path(at.encode("latin-1", "replace").decode("unicode_escape"))
        if file.is_relative_to(mounted) and len(mounted.parts) >= len(folder.parts):
            folder, kind = mounted, found
    if kind in _OF_A_NETWORK:
        raise ConfigInvalid(
            f"The database lies on a network drive ({kind} at {folder}), where SQLite's locks do "
            "not hold: two machines would write at once.",
            field="daemon.database",
            found=str(path),
            expected="a file on a disk of this machine, or a PostgreSQL database",
            next="move the file to a disk of this machine and name it in daemon.database",
        )


def _read(file: Path, sql: str, *, keep: bool = True) -> Sequence[tuple[object, ...]]:
    """Return the rows of one statement that cannot change the file; `StoreDamaged`.

    Empty where it cannot be read in this way for another reason: the usual opening says which. With
    `keep=False` every row is read and none kept.
    """
    try:
        uri = f"file:{quote(str(file))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            found = connection.execute(sql)
            return found.fetchall() if keep else deque(found, maxlen=0)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if is_damage(error):
            raise damaged(file, str(error)) from error
        return ()


def damaged(file: Path, what: str) -> StoreDamaged:
    """Return the error, with the commands that put a copy into the place of `file`."""
    aside = shlex.quote(str(file.with_name(f"{file.name}-damaged.d")))
    name = shlex.quote(str(file))
    return StoreDamaged(
        f"The database file {file} cannot be used: {what}. Nothing was changed.",
        field="daemon.database",
        found=what,
        expected="a database of Stock Push",
        next=f"mkdir {aside}; mv {name}* {aside}/; cp YOUR-COPY {name} && stockpush check --deep",
    )


def _emptied(file: Path, what: str) -> str:
    """Return what is wrong with a file that a daemon has filled, and how to begin anew."""
    beginning = f"rm {shlex.quote(str(lock.path_of(file)))}"
    return f"{what}, but a daemon has worked with it (to begin anew: {beginning})"


def _listed(findings: Sequence[str]) -> str:
    """Return the first findings in one line."""
    shown = "; ".join(" ".join(each.split()) for each in findings[:FINDINGS_MAX])
    return shown + (" ..." if len(findings) > FINDINGS_MAX else "")


def _size(file: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)
