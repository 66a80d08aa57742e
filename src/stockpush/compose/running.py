"""The workers, and the daemon: listeners and workers upon one set of parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from stockpush import keys, systemd
from stockpush.compose.assembly import Parts, check_pools, door_of
from stockpush.connectors.base import Connector, ReadsWhole
from stockpush.engine.channel import Channel
from stockpush.engine.full_read import FullReader
from stockpush.engine.intake import Intake
from stockpush.engine.pusher import Pusher
from stockpush.engine.reconcile import Reconciler
from stockpush.engine.supervisor import LOOK_S, Supervisor, Workers
from stockpush.engine.transport import ChannelApi, Network
from stockpush.engine.watchdog import Watchdog
from stockpush.settings import Address
from stockpush.web.api import private_app, private_runner
from stockpush.web.listener import listening
from stockpush.web.metrics import Metrics
from stockpush.web.webhooks import public_app, public_runner


@dataclass(slots=True)
class Crew:
    """The workers of every channel, and the channels that they share, by name."""

    supervisor: Supervisor
    channels: Mapping[str, Channel]


@asynccontextmanager
async def _crew(
    parts: Parts,
    transports: Mapping[str, Network] | None,
    *,
    look_s: float,
    watched: bool = False,
) -> AsyncIterator[Crew]:
    """Take the daemon's lock and put the workers together; none of them runs yet.

    `watched`: they stay, so that what tells them of sales is worth watching.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(parts.store.only_daemon())
        await check_pools(parts)
        # The daemon before this one may have ended after the database was opened here.
        parts.clock.not_before(await parts.store.newest_instant())
        workers = []
        for name, connector in parts.connectors.items():
            api = await stack.enter_async_context(
                door_of(parts, name, connector, (transports or {}).get(name))
            )
            workers.append(_workers(parts, name, connector, api, watched=watched))
        supervisor = Supervisor(
            parts.store,
            parts.lane,
            parts.clock,
            workers,
            beat=lambda: systemd.tell(systemd.ALIVE),
            look_s=look_s,
        )
        yield Crew(supervisor, {each.channel.name: each.channel for each in workers})


@asynccontextmanager
async def _running(crew: Crew, stop: asyncio.Event) -> AsyncIterator[None]:
    """Run the workers until the block ends or `stop` is set, then drain them."""
    running = asyncio.create_task(crew.supervisor.run(stop))
    # Whoever waits for `stop` must hear of it when the workers end by themselves.
    running.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def working(
    parts: Parts,
    *,
    stop: asyncio.Event,
    transports: Mapping[str, Network] | None = None,
    look_s: float = LOOK_S,
    watched: bool = False,
) -> AsyncIterator[Crew]:
    """Run the workers without listeners until the block ends; `stop` is set if they end first.

    `look_s` is how often commits of other processes are looked for; `watched` as in `daemon`: what
    tells of sales is looked after.

    Raises `AlreadyRunning` when a daemon has this SQLite file.
    """
    crewed = _crew(parts, transports, look_s=look_s, watched=watched)
    async with crewed as crew, _running(crew, stop):
        yield crew


@dataclass(slots=True)
class Daemon:
    """The running daemon: `public` and `admin` are where its listeners really listen."""

    parts: Parts
    supervisor: Supervisor
    intake: Intake
    channels: Mapping[str, Channel]
    public: Address
    admin: Address


@asynccontextmanager
async def daemon(
    parts: Parts,
    *,
    stop: asyncio.Event,
    transports: Mapping[str, Network] | None = None,
    look_s: float = LOOK_S,
) -> AsyncIterator[Daemon]:
    """Run the daemon until the block ends or `stop` is set: listeners first, then the workers.

    Raises `AlreadyRunning` when another daemon has this SQLite file, `ConfigInvalid` when an
    address cannot be listened on.
    """
    settings = parts.settings.daemon
    async with AsyncExitStack() as stack:
        crew = await stack.enter_async_context(
            _crew(parts, transports, look_s=look_s, watched=True)
        )
        supervisor, channels = crew.supervisor, crew.channels
        intake = parts.intake()
        tokens = {name: keys.webhook_token(parts.secret_key(), name) for name in parts.connectors}
        public = await stack.enter_async_context(
            listening(
                public_runner(
                    public_app(intake, tokens, supervisor.reasons_not_ready, ids=parts.ids)
                ),
                *settings.listen,
                field="daemon.listen",
            )
        )
        metrics = Metrics(parts.clock, parts.lane.counters, intake.counts, channels)
        parts.lane.listen(metrics.note)
        admin = await stack.enter_async_context(
            listening(
                private_runner(
                    private_app(
                        parts,
                        metrics,
                        partial(parts.channel_report, running=channels),
                        carry_out=parts.carry_out,
                        hold_for=parts.hold_for,
                        token=settings.resolved_admin_token(),
                        host=settings.admin.host,
                        ids=parts.ids,
                    )
                ),
                *settings.admin,
                field="daemon.admin",
            )
        )
        await stack.enter_async_context(_running(crew, stop))
        systemd.tell(systemd.READY)
        try:
            yield Daemon(parts, supervisor, intake, channels, Address(*public), Address(*admin))
        finally:
            systemd.tell(systemd.STOPPING)


def _workers(
    parts: Parts, name: str, connector: Connector, api: ChannelApi, *, watched: bool
) -> Workers:
    """Return the workers of one channel."""
    channel = Channel(
        name,
        connector,
        api,
        api.urgent,
        parts.lane.policies[name],
        parts.settings.channels[name].poll_s,
    )
    key = parts.secret_key()
    reconciler = Reconciler(
        channel,
        parts.lane,
        parts.store,
        parts.clock,
        parts.ids,
        seal=lambda body, where: keys.encrypt(key, body, f"delivery:{where}"),
    )
    pusher = Pusher(channel, parts.lane, parts.store, parts.clock, parts.ids, reconciler.poll)
    hook_url = None if parts.polled_only(name) else parts.hook_url(name)
    watchdog = Watchdog(channel, parts.lane, parts.clock, hook_url=hook_url)
    full = FullReader(channel, parts.lane, parts.store, parts.clock, reconciler, download=api.lines)
    return Workers(
        channel,
        pusher,
        reconciler,
        watchdog if watched else None,
        full if watched and isinstance(connector, ReadsWhole) else None,
    )
