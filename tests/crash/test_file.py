"""A file that is broken, cut off, emptied, lost, foreign or newer: refused, never changed."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stockpush.errors import ConfigInvalid, StoreDamaged
from stockpush.store import damage
from tests.cli.terminal import Terminal
from tests.crash.process import Daemon, typed
from tests.crash.test_kill import opened
from tests.whole.harness import Floor, free_port

PAGE = 4096
VARIANTS = 1000
"""Files with flipped bytes in the full run."""
STARTED_EVERY = 40
"""Of how many of them one is given to the daemon too."""
SALES = 30


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and a database that a daemon has worked with."""
    folder = tmp_path_factory.mktemp("book")
    asyncio.run(written(folder))
    return folder


async def written(folder: Path) -> None:
    """Let a daemon work in the folder for a while."""
    async with opened(folder, seed=3, database=None) as market:
        daemon = Daemon(market.floor)
        try:
            await daemon.start()
            await daemon.ready()
            market.daemon_is_up = True
            for _ in range(SALES):
                market.buy()
            await market.settled()
            await daemon.stop()
        finally:
            await daemon.make_sure_it_ended()


@pytest.fixture
def copy(book: Path, tmp_path: Path) -> Floor:
    """A copy of it, in a folder of the test's own."""
    return copied(book, tmp_path / "copy")


def copied(book: Path, folder: Path) -> Floor:
    """Copy the folder, with a configuration that points into the copy."""
    shutil.copytree(book, folder)
    config = folder / "stockpush.toml"
    config.write_text(config.read_text().replace(str(book), str(folder)))
    return Floor(folder, listen_port=free_port())


def database(floor: Floor) -> Path:
    """The file."""
    return floor.folder / "stockpush.db"


def state(floor: Floor) -> dict[str, str]:
    """A hash of the file and of the log that SQLite keeps beside it."""
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(floor.folder.glob("stockpush.db*"))
        # What any reader may make anew: an index of the log, and a log with nothing in it.
        if not each.name.endswith("-shm") and (each.name.endswith(".db") or each.stat().st_size)
    }


def flip(file: Path, *offsets: int, mask: int = 0xFF) -> None:
    """Flip the bits of `mask` in the bytes at these places."""
    content = bytearray(file.read_bytes())
    for offset in offsets:
        content[offset] ^= mask
    file.write_bytes(content)


def cut(file: Path, size: int) -> None:
    """Keep the first `size` bytes."""
    file.write_bytes(file.read_bytes()[:size])


def newer(file: Path) -> None:
    """Mark it as a later version's."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def log_lost(file: Path) -> None:
    """Leave what is there of a file, all of whose content was in its `-wal`, once that is gone."""
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("header", lambda file: flip(file, 0, 3, 7), "file is not a database"),
    ("page size", lambda file: flip(file, 16), "file is not a database"),
    ("schema", lambda file: flip(file, *range(100, 120)), "malformed"),
    ("pages", lambda file: flip(file, *range(PAGE, 5 * PAGE, 7)), "in database main"),
    ("half", lambda file: cut(file, file.stat().st_size // 2), "malformed"),
    ("a page and a bit", lambda file: cut(file, PAGE + 10), "malformed"),
    ("nothing", lambda file: cut(file, 0), "gone or empty"),
    ("lost", lambda file: file.unlink(), "gone or empty"),
    ("log lost", log_lost, "there is nothing in it"),
    ("text", lambda file: file.write_text("my stock list\n" * 1000), "file is not a database"),
    ("newer", newer, "a newer Stock Push"),
]
SAMPLE = ("header", "pages", "nothing", "newer")
"""What the ordinary suite tries."""


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        pytest.param(how, says, id=name, marks=[] if name in SAMPLE else [pytest.mark.crash])
        for name, how, says in BROKEN
    ],
)
async def test_a_broken_file_is_refused_and_left_as_it_is(
    copy: Floor, break_it: Callable[[Path], object], says: str
) -> None:
    """The daemon ends with 1, says what is wrong and what to type; the file is not touched."""
    break_it(database(copy))
    before = state(copy)
    said = await typed(copy, "run")
    assert (said.code, said.out) == (1, ""), said
    assert says in said.err
    assert ("cp YOUR-COPY" in said.err) or ("pipx upgrade" in said.err)
    assert state(copy) == before


async def test_an_emptied_file_beside_a_log_with_sales_is_refused(copy: Floor) -> None:
    """SQLite alone would throw that log away."""
    log = database(copy).with_name("stockpush.db-wal")
    log.write_bytes(b"sales" * 1000)
    cut(database(copy), 0)
    before = state(copy)
    said = await typed(copy, "stock")
    assert said.code == 1, said
    assert "stockpush.db-wal beside it is not" in said.err
    assert state(copy) == before


async def test_the_commands_of_the_message_bring_a_copy_back(copy: Floor, book: Path) -> None:
    """They can be pasted: what is broken goes aside, the copy takes its place."""
    flip(database(copy), *range(PAGE, 5 * PAGE, 7))
    said = await typed(copy, "run")
    (hint,) = (line for line in said.err.splitlines() if "YOUR-COPY" in line)
    command = hint[hint.index("mkdir") :].partition(" && stockpush")[0]
    shell = await asyncio.create_subprocess_shell(
        command.replace("YOUR-COPY", str(book / "stockpush.db")), cwd=copy.folder
    )
    assert await shell.wait() == 0
    assert (await typed(copy, "check", "--deep")).code == 0
    assert (copy.folder / "stockpush.db-damaged.d" / "stockpush.db").exists()


def test_check_names_a_broken_file(copy: Floor) -> None:
    """`check` looks before it opens, and ends with 1."""
    flip(database(copy), *range(PAGE, 5 * PAGE, 7))
    before = state(copy)
    result = Terminal(copy.folder)("check", "--config", str(copy.folder / "stockpush.toml"))
    assert result.code == 1
    assert "in database main" in result.err
    assert state(copy) == before


def test_deep_check_finds_an_index_that_lost_a_row(
    copy: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages alone are whole then; only the comparison of an index with its table shows it, which
    the start leaves out for large files.
    """
    monkeypatch.setattr(damage, "WHOLE_BYTES_MAX", 0)
    with closing(sqlite3.connect(database(copy))) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'ix_movement_cause'"
        ).fetchone()
        update = "UPDATE sqlite_schema SET sql = ? WHERE name = 'ix_movement_cause'"
        connection.execute(update, (f"{sql} WHERE id < 0",))
        connection.commit()
    with closing(sqlite3.connect(database(copy))) as connection:
        connection.execute("REINDEX ix_movement_cause")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(update, (sql,))
        connection.commit()
    damage.refuse_damaged(database(copy))
    with pytest.raises(StoreDamaged, match="missing from index ix_movement_cause"):
        damage.refuse_damaged(database(copy), deep=True)


def test_an_empty_file_that_no_daemon_knows_is_a_new_database(tmp_path: Path) -> None:
    """As is one that is not there."""
    damage.refuse_damaged(tmp_path / "none.db")
    (tmp_path / "empty.db").touch()
    damage.refuse_damaged(tmp_path / "empty.db")


@pytest.mark.parametrize(
    ("kind", "refused"), [("nfs4", True), ("cifs", True), ("ext4", False), ("tmpfs", False)]
)
def test_a_network_drive_is_refused(kind: str, refused: bool) -> None:
    """The innermost mount counts, blanks in its name included."""
    mounts = f"/dev/sda1 / ext4 rw 0 0\nshop:/stock /srv/my\\040stock {kind} rw 0 0\n"
    path = Path("/srv/my stock/stockpush.db")
    if refused:
        with pytest.raises(ConfigInvalid, match=kind):
            damage.refuse_network_drive(path, mounts=mounts)
    else:
        damage.refuse_network_drive(path, mounts=mounts)
    damage.refuse_network_drive(Path("/srv/my stocks/stockpush.db"), mounts=mounts)


def test_a_complaint_that_is_no_text_itself_is_damage(copy: Floor) -> None:
    """SQLite names the column that it does not find, broken bytes and all, and the driver fails to
    decode what it says.
    """
    with closing(sqlite3.connect(database(copy))) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (pool', 'CHECK (p' ||"
            " CAST(x'90' AS TEXT) || 'ol') WHERE name = 'feed'"
        )
        connection.commit()
    result, said = outcome(copy, "--deep")
    assert result == "refused", said


# -- flipped bytes -------------------------------------------------------------------------------


def outcome(floor: Floor, *options: str) -> tuple[str, str]:
    """What `check` makes of a file: sound, differs or refused; never anything else."""
    before = state(floor)
    config = str(floor.folder / "stockpush.toml")
    result = Terminal(floor.folder)("check", *options, "--config", config)
    said = result.out + result.err
    assert "Traceback" not in said, said
    assert "defect in Stock Push" not in said, said
    if result.code == 0:
        return "sound", ""
    assert result.code == 1, result
    if "things do not hold" in said:
        return "differs", said
    assert "cannot be used" in said or "newer" in said, said
    assert "cp YOUR-COPY" in said or "pipx upgrade" in said, said
    assert state(floor) == before, said
    return "refused", said


def flipped(book: Path, folder: Path, *, seed: int) -> Floor:
    """A copy with one to eight flipped bytes, often in a header, where they do most."""
    dice = random.Random(seed)
    floor = copied(book, folder)
    size = database(floor).stat().st_size
    places = []
    for _ in range(dice.choice((1, 1, 2, 8))):
        page = dice.randrange(size // PAGE) * PAGE
        within = dice.choice(
            (dice.randrange(PAGE), dice.randrange(120), PAGE - dice.randint(1, 300))
        )
        places.append(page + within)
    flip(database(floor), *places, mask=dice.choice((0xFF, 1 << dice.randrange(8))))
    return floor


def test_flipped_bytes_are_refused_or_harmless(book: Path, tmp_path: Path) -> None:
    """A sample; whatever it is, it is said in plain words."""
    for seed in range(12):
        outcome(flipped(book, tmp_path / str(seed), seed=seed), "--deep")


@pytest.mark.crash
async def test_a_thousand_files_with_flipped_bytes(book: Path, tmp_path: Path) -> None:
    """Refused, found by `check`, or sound; and the daemon itself never ends with a stack trace."""
    found = {"sound": 0, "differs": 0, "refused": 0}
    for seed in range(VARIANTS):
        floor = flipped(book, tmp_path / str(seed), seed=seed)
        result, _said = await asyncio.to_thread(outcome, floor, "--deep")
        found[result] += 1
        if seed % STARTED_EVERY == 0:
            await starts_or_refuses(floor, result)
        shutil.rmtree(floor.folder)
    sys.stdout.write(f"{VARIANTS} files with flipped bytes: {found}\n")
    # Otherwise the flips hit nothing, or everything.
    assert found["sound"] > 0
    assert found["refused"] > 0


async def starts_or_refuses(floor: Floor, result: str) -> None:
    """Start the daemon on the file: it gets ready and stops with 0, or ends with 1 and says why.

    A row that it has no need of at its start it does not read (docs/operations.md).
    """
    daemon = Daemon(floor)
    config = floor.folder / "stockpush.toml"
    text = config.read_text()
    listen = text.index('listen = "')
    end = text.index("\n", listen)
    config.write_text(f'{text[:listen]}listen = "127.0.0.1:{floor.listen_port}"{text[end:]}')
    try:
        await daemon.start()
        # What another process does sets no event here.
        while (  # noqa: ASYNC110
            await daemon.readiness()
        )[0] == 0 and daemon.process.returncode is None:
            await asyncio.sleep(0.05)
        if daemon.process.returncode is None:
            await daemon.stop()
            if result == "refused":
                found, said = await asyncio.to_thread(outcome, floor)
                assert found != "refused", said
        else:
            assert daemon.process.returncode == 1
        words = daemon.last_words()
        assert "Traceback" not in words, words
        assert "defect in Stock Push" not in words, words
    finally:
        await daemon.make_sure_it_ended()
