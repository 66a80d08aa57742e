"""The commit lane without HTTP (P2, P6), and the floor below it.

Theory of operation. Ours: sales whose bodies have been read are handed to the lane by so many
senders that wait for their answer each. The floor: the standard library's sqlite3 writes the very
rows that the lane wrote for those sales, recorded beforehand, in transactions of the same groups,
on the same schema and with the same pragmas; it reads and decides nothing. Both are processes of
their own and start from a copy of the same database.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench import orders, world
from stockpush import compose
from stockpush.cli.run import collect_seldom, take_short_turns
from stockpush.engine.commit import CommitLane
from stockpush.messages import ReceiveDelivery
from stockpush.sim.candle_shop import SHOPIFY
from stockpush.store.dialects import Database, Session, Write
from stockpush.store.sql import SqlStore

Group: TypeAlias = list[tuple[str, list[tuple[Any, ...]]]]
"""One transaction: statements, each with its rows."""

_CHECKPOINT_PAGES: Final = 8000
"""As the store has it (store/dialects/sqlite.py)."""


@dataclass(frozen=True, slots=True)
class Job:
    """So many sales of the first `spread` items in turn, `senders` of them waiting at one time."""

    folder: str
    sales: int
    spread: int
    senders: int
    trace: str | None = None
    """Where to write down what was written, or from where to take it."""
    warm_up: int = 0
    """So many sales more, one after the other, before the clock starts: the catalogue is read."""


@dataclass(frozen=True, slots=True)
class Took:
    """What a job took. `cpu_s` is of the whole process, its threads included."""

    seconds: float
    cpu_s: float
    groups: int


async def sell(job: Job) -> Took:
    """Carry out the job with the commit lane; record what it writes if it is to be traced."""
    address = world.Address(Path(job.folder))
    async with compose.parts(address.settings()) as parts:
        commands = list(_commands(parts, job))
        take_short_turns()
        collect_seldom()  # as the daemon does; what is made beforehand is none of the lane's
        lane, groups = parts.lane, list[Group]()
        if job.trace is not None:
            store = SqlStore(_Recording(parts.store._database, groups))  # noqa: SLF001  # it has no other door
            lane = CommitLane(store, parts.clock, lane.policies, lane.stock)
        serving = asyncio.create_task(lane.run())
        waiting = iter(commands)
        for command in itertools.islice(waiting, job.warm_up):
            await lane.submit(command)

        async def send() -> None:
            for command in waiting:
                await lane.submit(command)

        before = lane.counters.commits
        begun, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(send() for _ in range(job.senders)))
        took = Took(
            time.perf_counter() - begun,
            time.process_time() - cpu,
            lane.counters.commits - before,
        )
        serving.cancel()
        await asyncio.wait([serving])
    if job.trace is not None:
        await asyncio.to_thread(Path(job.trace).write_bytes, pickle.dumps(groups))
    return took


def replay(job: Job) -> Took:
    """Write what was recorded with the standard library alone, in the same groups."""
    assert job.trace is not None
    groups: list[Group] = pickle.loads(Path(job.trace).read_bytes())  # noqa: S301  # our own file
    address = world.Address(Path(job.folder))
    with closing(sqlite3.connect(address.file, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute("PRAGMA foreign_keys = ON")
        file.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        begun, cpu = time.perf_counter(), time.process_time()
        for group in groups:
            file.execute("BEGIN IMMEDIATE")
            for sql, rows in group:
                file.executemany(sql, rows)
            file.execute("COMMIT")
        return Took(time.perf_counter() - begun, time.process_time() - cpu, len(groups))


def _commands(parts: compose.Parts, job: Job) -> Iterator[ReceiveDelivery]:
    """Yield the sales as the intake hands them to the lane."""
    intake, connector = parts.intake(), parts.connectors[SHOPIFY]
    for request in orders.webhooks(job.sales + job.warm_up, spread=job.spread):
        yield intake._command(SHOPIFY, connector, request)  # noqa: SLF001  # what `receive` hands on


class _Recording:
    """A database that writes down what is written."""

    def __init__(self, database: Database, groups: list[Group]) -> None:
        self._database = database
        self._groups = groups
        self.dialect = database.dialect

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Session]:
        """Lend the write connection, listened to."""
        async with self._database.writing() as session:
            self._groups.append([])
            yield _Listened(session, self._groups[-1])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class _Listened:
    """A session that writes down what is written."""

    def __init__(self, session: Session, group: Group) -> None:
        self._session = session
        self._group = group

    async def commit(self, writes: Sequence[Write] = (), *, wrote: bool) -> None:
        """Write and commit, and write down."""
        self._group.extend((each.sql, [tuple(row) for row in each.rows]) for each in writes)
        await self._session.commit(writes, wrote=wrote)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
