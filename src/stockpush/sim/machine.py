"""The machine that the real daemon runs on, in virtual time: its files, its lives, its operator.

Theory of operation. What runs is what `stockpush run` runs, but for the listeners: the composition
root with the real store, engine, connectors and core. A life begins with `start` and ends with
`stop` (SIGTERM), `crash` (kill -9) or by the daemon's own doing; the next one goes on from the
files. Webhooks come in through the real intake; the operator's commands go through the commit
lane of the daemon or, as from the command line, through a second connection to the same database.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from stockpush import compose, keys, logs
from stockpush.connectors.base import Tokens, WebhookRequest
from stockpush.engine.commit import CommitLane
from stockpush.engine.intake import Intake
from stockpush.errors import SignatureInvalid, StockPushError, StoreConflict, StoreUnavailable
from stockpush.importer import Known, read_catalogue
from stockpush.messages import AdoptListings, Command, Outcome
from stockpush.model import Health
from stockpush.settings import Settings
from stockpush.sim.auditor import WATCHED
from stockpush.sim.loop import Owner, SimClock, SimIds, VirtualLoop, spawn
from stockpush.sim.network import SimNetwork
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.sqlite import Files
from stockpush.store.sql import SqlStore

LOOK_S = 20.0
"""How often the daemon looks for commits of other processes (production: twice a second)."""
AGAIN_S = 5.0
"""How long the operator waits before a command is typed again."""
STOP_S = 60.0
"""How long a graceful stop may take; more is a defect."""
LOOK_FOR_END_S = 0.5
"""How often it is looked whether a daemon that was told to stop has ended."""
GRANTED_S = 3600.0
"""How long access that somebody grants lasts."""
HOST = "https://stock.example.com"
"""Where the shops believe the daemon to be."""
SECRET_KEY = "c3RvY2stcHVzaC1zaW11bGF0aW9uLXNlY3JldC1rZXk"  # noqa: S105  # of no real shop


@dataclass(slots=True)
class _Life:
    """The daemon between one start and its end."""

    owner: Owner
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    parts: compose.Parts | None = None
    intake: Intake | None = None
    crew: compose.Crew | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Machine:
    """`configuration` returns the text of the configuration for a database file."""

    loop: VirtualLoop
    folder: Path
    dice: random.Random
    network: SimNetwork
    configuration: Callable[[str], str]
    catalogue: str
    database: bytes
    """The file to begin with (`empty_database`)."""
    clock: SimClock = field(init=False)
    files: Files = field(init=False)
    ids: SimIds = field(init=False)
    defects: list[str] = field(default_factory=list)
    """What ended or broke the daemon without being killed: always a violation."""
    lives: int = 0
    look_s: float = LOOK_S
    is_watched: bool = True
    """Whether its webhooks are looked after."""
    _life: _Life | None = None
    _up: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Lay out the files; nothing runs yet."""
        self.clock = SimClock(self.loop)
        self.files = Files(self.folder)
        self.ids = SimIds(self.dice)
        self.files.path.write_bytes(self.database)

    # -- lives ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the daemon; it is up after a while."""
        assert self._life is None
        self.lives += 1
        life = _Life(Owner(f"life {self.lives}"))
        self._life = life
        spawn(self.loop, self._run(life), life.owner, name=life.owner.name)

    async def up(self) -> None:
        """Return when the daemon is up."""
        await self._up.wait()

    @property
    def is_up(self) -> bool:
        """Whether the daemon is up."""
        return self._up.is_set()

    @property
    def is_running(self) -> bool:
        """Whether there is a daemon, starting or stopping ones too."""
        return self._life is not None

    def crash(self) -> None:
        """Kill the daemon: `kill -9` between two steps, wherever it is."""
        life = self._life
        if life is None:
            return
        self._life = None
        self._up.clear()
        self.files.cut()
        self.loop.kill(life.owner)
        self.loop.note(f"crash {self.lives}")

    async def stop(self) -> None:
        """Stop the daemon as SIGTERM does, and wait for its end."""
        life = self._life
        if life is None:
            return
        self._up.clear()
        life.stop.set()
        left_s = STOP_S
        while not life.ended.is_set() and left_s > 0:
            await self.clock.sleep(LOOK_FOR_END_S)
            left_s -= 0 if life.owner.frozen else LOOK_FOR_END_S
        if not life.ended.is_set():
            self.defects.append(f"the daemon did not stop within {STOP_S:g} s")
            self.crash()
        # It may have been killed meanwhile, and another life have begun.
        if self._life is life:
            self._life = None

    def freeze(self) -> Owner | None:
        """Suspend the machine; give what `VirtualLoop.thaw` takes."""
        if self._life is None:
            return None
        self.loop.freeze(self._life.owner)
        return self._life.owner

    async def _run(self, life: _Life) -> None:
        """Be the daemon."""
        try:
            settings = self._settings()
            async with compose.parts(
                settings, clock=self.clock, ids=self.ids, open_store=self._open
            ) as parts:
                if self.lives == 1:
                    await stock_up(parts, self.catalogue)
                transports = {
                    name: self.network.transport(name, life.owner) for name in parts.connectors
                }
                async with compose.working(
                    parts,
                    stop=life.stop,
                    transports=transports,
                    look_s=self.look_s,
                    watched=self.is_watched,
                ) as crew:
                    life.parts, life.intake, life.crew = parts, parts.intake(), crew
                    if not life.owner.dead:
                        self._up.set()
                    await life.stop.wait()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            if not life.owner.dead:
                self.defects.append(f"the daemon ended: {_told(error)}")
                self._up.clear()
        finally:
            life.ended.set()

    def _settings(self) -> Settings:
        path = self.folder / "stockpush.toml"
        path.write_text(self.configuration(str(self.files.path)))
        return Settings.load(path, {})

    async def _open(self, url: str) -> SqlStore:
        return await SqlStore.open(url, async_creator=self.files.connect, migrate=False)

    # -- webhooks ------------------------------------------------------------------------------

    def webhook_url(self, channel: str) -> str:
        """Return where the shop sends its webhooks."""
        token = keys.webhook_token(keys.read_secret_key(SECRET_KEY), channel)
        return f"{HOST}/webhooks/{channel}/{token}"

    async def receive(self, channel: str, out: WebhookOut) -> int | None:
        """Answer one delivery as the public listener does; None when nobody is there."""
        life = self._life
        if life is None or life.intake is None or not self.is_up:
            return None
        if urlsplit(out.url) != urlsplit(self.webhook_url(channel)):
            return 404
        taking = spawn(self.loop, self._take(life.intake, channel, out), life.owner)
        await asyncio.wait({taking})
        if taking.cancelled() or life.owner.dead:
            return None
        return taking.result()

    async def _take(self, intake: Intake, channel: str, out: WebhookOut) -> int:
        try:
            await intake.receive(channel, WebhookRequest(dict(out.headers), out.body))
        except SignatureInvalid:
            return 401
        except StoreUnavailable:
            return 503
        except Exception as error:  # noqa: BLE001  # the listener answers 503 and logs a defect
            self.defects.append(f"a delivery met a defect: {_told(error)}")
            return 503
        return 200

    # -- the operator --------------------------------------------------------------------------

    async def act(self, command: Command, *, apart: bool = False) -> None:
        """Carry out a command; return when it is durable, over any number of crashes.

        `apart`: from another process, through a connection of its own.
        """
        await self.ask(command, apart=apart)

    async def ask(self, command: Command, *, apart: bool = False) -> Outcome:
        """Do as `act` does, and return what was answered."""
        while True:
            await self.up()
            life = self._life
            if life is None or life.parts is None:
                continue
            work = self._apart(life, command) if apart else self._submit(life, command)
            trying = spawn(self.loop, work, life.owner)
            await asyncio.wait({trying})
            outcome = None if trying.cancelled() or life.owner.dead else trying.result()
            if outcome is not None:
                return outcome
            await self.clock.sleep(AGAIN_S)

    async def _submit(self, life: _Life, command: Command) -> Outcome | None:
        assert life.parts is not None
        try:
            done = await life.parts.lane.submit(command)
        except StockPushError as error:
            if not isinstance(error, StoreUnavailable | StoreConflict) and not life.owner.dead:
                self.defects.append(f"a command failed: {_told(error)}")
            return None
        return done.outcome

    async def _apart(self, life: _Life, command: Command) -> Outcome | None:
        assert life.parts is not None
        parts = life.parts
        try:
            store = await self._open(parts.settings.daemon.database)
            try:
                lane = CommitLane(store, self.clock, parts.lane.policies, parts.lane.stock)
                (done,) = await lane.commit([command])
            finally:
                await store.close()
        except (StoreUnavailable, StoreConflict):
            return None
        return done.outcome

    def needs_login(self) -> list[str]:
        """Return the channels that say that somebody must grant access anew."""
        life = self._life
        if life is None or life.crew is None or not self.is_up:
            return []
        channels = life.crew.channels.items()
        return [name for name, each in channels if each.health is Health.NEEDS_LOGIN]

    async def grant(self, channel: str, access: str, refresh: str) -> None:
        """Keep what somebody has just granted, as `stockpush connect` does beside the daemon."""
        life = self._life
        if life is None or life.parts is None:
            return
        working = spawn(self.loop, self._keep(life.parts, channel, access, refresh), life.owner)
        await asyncio.wait({working})

    async def _keep(self, parts: compose.Parts, channel: str, access: str, refresh: str) -> None:
        vault = parts.vault(channel, parts.connectors[channel])
        assert vault is not None
        expires = self.clock.now() + timedelta(seconds=GRANTED_S)
        # Whoever types it sees that it failed, and types it again.
        with suppress(StoreUnavailable, StoreConflict):
            await vault.keep(Tokens(access, expires, refresh))

    async def imports(self, catalogue: str, *, key: str) -> None:
        """Import a catalogue file, as `stockpush import` does."""
        await self.up()
        while (life := self._life) is None or life.parts is None:
            await self.up()
        await self.act(_import_of(life.parts, catalogue, key=key), apart=True)

    async def reload(self, configuration: Callable[[str], str] | None = None) -> None:
        """Restart gracefully with another configuration."""
        if configuration is not None:
            self.configuration = configuration
        await self.stop()
        if self._life is None:
            self.start()
        await self.up()


async def stock_up(parts: compose.Parts, catalogue: str) -> None:
    """Import a catalogue into an empty database and adopt every listing."""
    await parts.lane.commit([_import_of(parts, catalogue, key="opening")])
    rows = await parts.store.catalogue()
    await parts.lane.commit([AdoptListings(tuple(each.key for each in rows.listings))])


def _import_of(parts: compose.Parts, catalogue: str, *, key: str) -> Command:
    read = read_catalogue(
        [("catalogue.toml", catalogue.encode())],
        known=Known(),
        channels=parts.settings.channels,
        refs=lambda channel, ref: parts.connectors[channel].ref(ref),
    )
    # What the auditor nets is made by the bills of the moment, whatever was ordered before.
    return read.command(key=key, actor="operator", corrects=True)


@cache
def empty_database() -> bytes:
    """Return a migrated, empty database file that notes what the auditor wants to know of it, made
    once per process and on the real clock.

    It must be asked for before a virtual loop runs. Migrating takes longer than many a simulation.
    """
    with tempfile.TemporaryDirectory(prefix="stockpush-sim-") as folder:
        path = Path(folder) / "empty.db"

        async def make() -> None:
            store = await SqlStore.open(f"sqlite:///{path}")
            await store.close()

        asyncio.run(make())
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(WATCHED)
            connection.commit()
        return path.read_bytes()


def _told(error: BaseException) -> str:
    """Return what happened and where, for a report."""
    line = logs.summarise_exception(None, "", {"exc_info": error})
    return f"{line['error']}: {error} ({line['trace']})"
