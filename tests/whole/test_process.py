"""The daemon as a process: started, seen ready, stopped by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import asyncpg
import pytest

from stockpush import keys
from stockpush.store import migrations
from tests.whole.harness import Floor, free_port

WAIT_S = 20.0


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """A floor with one item on both shops."""
    floor = Floor(tmp_path)
    floor.item("candle", 10)
    floor.on_shopify("candle", 3)
    floor.on_woo("candle", 4)
    return floor


async def start(floor: Floor, *, port: int) -> asyncio.subprocess.Process:
    """Start `stockpush run` on the floor's configuration."""
    config = floor.folder / "stockpush.toml"
    text = config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
    (floor.folder / "process.toml").write_text(text)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stockpush",
        "run",
        "--config",
        str(floor.folder / "process.toml"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


async def ready(port: int) -> dict[str, object]:
    """Return what /readyz says once it answers 200."""

    def ask() -> bytes:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return answer.read()

    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return json.loads(await asyncio.to_thread(ask))
            except OSError:
                await asyncio.sleep(0.05)


async def test_the_process_gets_ready_pushes_and_ends_on_sigterm_with_0(floor: Floor) -> None:
    """Both shops show the central count; the signal ends it well within ten seconds."""
    async with floor.open():
        port = free_port()
        process = await start(floor, port=port)
        try:
            assert (await ready(port))["ready"] is True
            await floor.until_shows(10, 10)
        finally:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, log = await process.communicate()
        assert process.returncode == 0, log.decode()
        events = [json.loads(line)["event"] for line in log.decode().splitlines()]
        assert events[-1] == "daemon.stopped"


async def test_a_second_daemon_on_the_same_file_is_refused(floor: Floor) -> None:
    """It says which process has the database, and the first one goes on."""
    async with floor.open():
        port = free_port()
        first = await start(floor, port=port)
        try:
            await ready(port)
            second = await start(floor, port=free_port())
            async with asyncio.timeout(WAIT_S):
                _, log = await second.communicate()
            assert second.returncode == 1
            assert str(first.pid) in log.decode()
            assert "Traceback" not in log.decode()
            assert (await ready(port))["ready"] is True
        finally:
            first.send_signal(signal.SIGTERM)
            await first.communicate()


async def test_sighup_reads_the_configuration_again(floor: Floor) -> None:
    """A channel that was in shadow mode goes live without a restart by hand."""
    async with floor.open(mode="shadow"):
        port = free_port()
        process = await start(floor, port=port)
        try:
            await ready(port)
            config = floor.folder / "process.toml"
            config.write_text(config.read_text().replace('mode = "shadow"', 'mode = "live"'))
            assert floor.writes() == 0
            process.send_signal(signal.SIGHUP)
            await floor.until_shows(10, 10)
        finally:
            process.send_signal(signal.SIGTERM)
            await process.communicate()
        assert process.returncode == 0


# -- one daemon, and the schema that it knows ------------------------------------------------------

NEWER = """
import contextlib, io, json, sys
from pathlib import Path
from stockpush.store import migrations
folder, lines = sys.argv[1:]
ours = migrations._config
def config():
    made = ours()
    versions = str(Path(migrations.__file__).parent / "versions")
    made.set_main_option("path_separator", "newline")
    made.set_main_option("version_locations", (versions + chr(10) + folder).replace("%", "%%"))
    return made
migrations._config, migrations.HEAD = config, "9999"
from stockpush.cli.main import run
answers = []
for typed in json.loads(lines):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run(typed)
    answers.append((code, said.getvalue()))
print(json.dumps(answers))
"""
"""The program as it will be when there is one schema more, in the folder that is given first: it
carries out one command line after the other.
"""

REVISION = """
revision = "9999"
down_revision = "{down}"
def upgrade() -> None:
    pass
"""


@dataclass
class Shelf:
    """A database of the present schema, without a channel, and a configuration for it."""

    folder: Path
    url: str
    port: int = field(default_factory=free_port)

    @property
    def config(self) -> Path:
        """The configuration's file."""
        return self.folder / "stockpush.toml"

    @property
    def newer(self) -> Path:
        """Where the newer program has one migration more."""
        return self.folder / "newer"

    async def made(self) -> None:
        """Write the configuration and what the newer program has more, and make the database."""
        (self.folder / "secret.key").write_text(keys.new_secret_key())
        (self.folder / "admin.token").write_text("t" * 43)
        self.config.write_text(
            f'[daemon]\ndatabase = "{self.url}"\nlisten = "127.0.0.1:{self.port}"\n'
            f'admin = "127.0.0.1:0"\nsecret_key = "file:{self.folder}/secret.key"\n'
            f'admin_token = "file:{self.folder}/admin.token"\n'
        )
        self.newer.mkdir()
        (self.newer / "9999.py").write_text(REVISION.format(down=migrations.HEAD))
        process = await self.spawn("migrate")
        _, log = await process.communicate()
        assert process.returncode == 0, log.decode()

    async def spawn(self, *typed: str) -> asyncio.subprocess.Process:
        """Start a command of the program."""
        return await self._python("-m", "stockpush", *typed, "--config", str(self.config))

    async def types(self, *lines: tuple[str, ...]) -> list[tuple[int, str]]:
        """Carry commands of the newer program out; return their exit codes and what they said."""
        told = json.dumps([(*line, "--config", str(self.config)) for line in lines])
        process = await self._python("-c", NEWER, str(self.newer), told)
        try:
            async with asyncio.timeout(WAIT_S):
                out, log = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert process.returncode == 0, log.decode()
        answers = json.loads(out)
        assert "Traceback" not in str(answers) + log.decode(), answers
        return [(code, said) for code, said in answers]

    @staticmethod
    async def _python(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the kind that the test's parameter names."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/stockpush.db"
    return request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
async def test_nobody_migrates_under_a_daemon_of_the_older_program(
    tmp_path: Path, database: str
) -> None:
    """F67: whatever is typed is refused with what to type, the older daemon goes on, and once it
    has ended the schema is brought up to date.
    """
    shelf = Shelf(tmp_path, database)
    await shelf.made()
    older = await shelf.spawn("run")
    try:
        await ready(shelf.port)
        lines = (("stock",), ("run",), ("migrate",), ("count", "wick", "5"))
        for typed, (code, said) in zip(lines, await shelf.types(*lines), strict=True):
            assert code == 1, (typed, said)
            assert f"has schema {migrations.HEAD} and has to be brought to 9999" in said
            assert "stockpush migrate" in said
        assert (await ready(shelf.port))["ready"] is True
        older.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            await older.communicate()
        assert older.returncode == 0
    finally:
        if older.returncode is None:
            older.kill()
            await older.communicate()
    (code, said), stock = await shelf.types(("migrate",), ("stock",))
    assert (code, f"from {migrations.HEAD} to schema 9999" in said) == (0, True), said
    assert stock[0] == 0, stock


async def test_a_daemon_that_lost_its_lock_ends_and_may_be_started_again(
    tmp_path: Path, postgres_url: str
) -> None:
    """The server ends the connection that holds it; within seconds the daemon is gone, with 1."""
    shelf = Shelf(tmp_path, postgres_url)
    await shelf.made()
    daemon = await shelf.spawn("run")
    again = None
    try:
        await ready(shelf.port)
        address, _, schema = postgres_url.partition("&schema=")
        connection = await asyncpg.connect(address)
        try:
            ended = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND objid::bigint = (hashtext($1)::bigint & 4294967295)",
                schema,
            )
        finally:
            await connection.close()
        assert len(ended) == 1
        async with asyncio.timeout(5):
            _, log = await daemon.communicate()
        assert daemon.returncode == 1
        assert "lock on the database was lost" in log.decode()
        assert "Traceback" not in log.decode()
        again = await shelf.spawn("run")
        assert (await ready(shelf.port))["ready"] is True
    finally:
        for each in (daemon, again):
            if each is not None and each.returncode is None:
                each.kill()
                await each.communicate()
