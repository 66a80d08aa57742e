"""A disk under the daemon that notes every write and sync, fails when told to, and loses power.

Theory of operation. `disk.c`, preloaded into the daemon, sits between SQLite and the system. It
writes down what happens to the database and its `-wal`, in order, and fails with an error from the
n-th write or sync on. A power cut is not acted out but computed, at as many points of those notes
as one likes: what had been synced by then is there, and of the rest each write is there, not there,
or there by the sector, as the dice say. That is more than most disks do, and what SQLite's
`synchronous=FULL` has to outlive. Names are lost and kept like writes, until the folder is synced.
"""

from __future__ import annotations

import mmap
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""
FILES = ("", "stockpush.db", "stockpush.db-wal")
_ORDERS = struct.Struct("=4i")
_NOTE = struct.Struct("=cBxxIQ")


class Note(NamedTuple):
    """What happened to a file; `end` is where the log goes on."""

    end: int
    what: bytes
    file: str
    at: int
    data: bytes


class Disk:
    """The disk of one daemon."""

    def __init__(self, library: Path, folder: Path) -> None:
        """Keep notes and orders in a new `folder`."""
        folder.mkdir()
        self.log = folder / "log"
        self.log.touch()
        orders = folder / "orders"
        orders.write_bytes(bytes(_ORDERS.size))
        with orders.open("r+b") as file:
            self._orders = mmap.mmap(file.fileno(), _ORDERS.size)
        self.environment = {"LD_PRELOAD": str(library), "TEST_DISK": str(folder)}

    def fails(self, *, write: int = 0, writes: int = 0, sync: int = 0, syncs: int = 0) -> None:
        """From now on fail with the errors `write` and `sync`, after so many that succeed."""
        # The counts first: an error counts as soon as it is there.
        self._orders[:] = _ORDERS.pack(0, writes, 0, syncs)
        self._orders[:] = _ORDERS.pack(write, writes, sync, syncs)

    def heals(self) -> None:
        """Succeed again."""
        self.fails()

    def size(self) -> int:
        """How much has been noted: a point to cut the power at."""
        return self.log.stat().st_size

    def notes(self) -> Iterator[Note]:
        """What has been noted so far."""
        noted = self.log.read_bytes()
        begin = 0
        while begin < len(noted):
            what, file, length, at = _NOTE.unpack_from(noted, begin)
            begin += _NOTE.size
            yield Note(begin + length, what, FILES[file], at, noted[begin : begin + length])
            begin += length


@dataclass
class Content:
    """A file: what is on the disk for certain, and what may be."""

    sure: bytearray = field(default_factory=bytearray)
    maybe: list[Note] = field(default_factory=list)

    def after(self, dice: random.Random) -> bytes:
        """What the file may hold when the power is back."""
        content = bytearray(self.sure)
        for note in self.maybe:
            kept = dice.choice(("all", "all", "none", "torn"))
            if kept == "all":
                carry_out(content, note)
            elif kept == "torn" and note.what == b"W":
                for begin in range(0, len(note.data), SECTOR):
                    if dice.random() < 0.5:
                        part = note.data[begin : begin + SECTOR]
                        carry_out(content, note._replace(at=note.at + begin, data=part))
        return bytes(content)

    def synced(self) -> None:
        """Everything is there for certain."""
        for note in self.maybe:
            carry_out(self.sure, note)
        self.maybe.clear()


def carry_out(content: bytearray, note: Note) -> None:
    """Write or cut; what lies between the end and a later write is zero."""
    end = note.at + len(note.data)
    content.extend(bytes(max(0, end - len(content))))
    if note.what == b"T":
        del content[note.at :]
    else:
        content[note.at : end] = note.data


class Platter:
    """What is on the disk, note after note."""

    def __init__(self, files: dict[str, bytes]) -> None:
        """Begin with files that are there for certain."""
        self._names: dict[str, list[Content | None]] = {
            name: [Content(bytearray(files[name])) if name in files else None] for name in FILES[1:]
        }
        """By name, what it may stand for; the last one is what the daemon sees."""

    def take(self, note: Note) -> None:
        """Go on by one note."""
        if note.what == b"D":
            self._names = {name: [each[-1]] for name, each in self._names.items()}
        elif note.what == b"C":
            self._names[note.file].append(Content())
        elif note.what == b"U":
            self._names[note.file].append(None)
        elif note.what != b"E":
            seen = self._names[note.file][-1]
            if note.what == b"S":
                seen.synced()
            else:
                seen.maybe.append(note)

    def after_power_cut(self, folder: Path, dice: random.Random) -> None:
        """Put into `folder` what may be there when the power is back."""
        for each in folder.glob("stockpush.db*"):
            if each.suffix != ".lock":
                each.unlink()
        for name, may_be in self._names.items():
            content = dice.choice(may_be)
            if content is not None:
                (folder / name).write_bytes(content.after(dice))


def compiled(folder: Path) -> Path:
    """Return the library, made in `folder` with the machine's C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "there is no C compiler; type: sudo apt-get install gcc libc6-dev"
    library, source = folder / "disk.so", Path(__file__).with_name("disk.c")
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command = [compiler, *options, "-o", str(library), str(source), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library
