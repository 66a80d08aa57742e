"""The composition root: the only module that knows every room.

`Parts` are what the command line and the daemon have in common: the configuration, the database,
the commit lane and the connectors. `working` runs the workers upon them, and `daemon` both the
listeners and the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from stockpush import keys, systemd
from stockpush.clock import SystemClock, SystemIds
from stockpush.connectors import registry
from stockpush.connectors.base import Checkup, Connector, Finding, Granting, Hooks, Manifest
from stockpush.engine import channel_report, checkup
from stockpush.engine.channel import Channel
from stockpush.engine.commit import CommitLane
from stockpush.engine.credentials import Seal, Vault
from stockpush.engine.intake import Intake
from stockpush.engine.limiter import Limiter
from stockpush.engine.pusher import Pusher
from stockpush.engine.reconcile import Reconciler
from stockpush.engine.steady import SteadyClock
from stockpush.engine.supervisor import LOOK_S, Supervisor, Workers
from stockpush.engine.transport import ChannelApi, Network, Reached, reach
from stockpush.engine.watchdog import Watchdog
from stockpush.errors import ConfigInvalid, StoreDamaged, UsageError
from stockpush.model import ChannelPolicy, Delivery, Health
from stockpush.ports import Clock, Ids
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.reservation.view import View
from stockpush.settings import Address, ChannelSettings, Settings, check_channel
from stockpush.store import address, damage, migrations, reads
from stockpush.store.address import sqlite_path
from stockpush.store.lock import held
from stockpush.store.sql import BUSY_TIMEOUT_S, SqlStore
from stockpush.web.api import private_app, private_runner
from stockpush.web.listener import listening
from stockpush.web.metrics import Metrics
from stockpush.web.webhooks import public_app, public_runner


@dataclass(frozen=True, slots=True)
class Parts:
    """What every command works with."""

    settings: Settings
    store: SqlStore
    lane: CommitLane
    clock: SteadyClock
    ids: Ids
    connectors: Mapping[str, Connector]

    async def catalogue(self) -> Catalogue:
        """Return the catalogue as it is now."""
        rows = await self.store.catalogue()
        return build(rows.revision, rows.items, rows.bills, rows.listings, self.lane.policies)

    async def view(self) -> View:
        """Return everything that reports are computed from, at one instant."""
        rows, gathered = await reads.snapshot(self.store)
        catalogue = build(rows.revision, rows.items, rows.bills, rows.listings, self.lane.policies)
        return View(catalogue, gathered)

    async def channel_rows(self) -> Sequence[reads.ChannelRow]:
        """Return what the database knows of each configured channel, by name."""
        return await reads.channel_rows(self.store, sorted(self.lane.policies))

    async def deliveries(self, *, limit: int, before: int | None = None) -> reads.Page[Delivery]:
        """Return deliveries without their bodies, newest first; `before` is a page's cursor."""
        return await reads.deliveries(self.store, limit=limit, before=before)

    def channel_report(
        self, stored: channel_report.StoredChannel, running: Mapping[str, Channel] | None = None
    ) -> channel_report.ChannelRow:
        """Return a channel's row for people; `running` are the daemon's, in its own process."""
        name = stored.state.name
        channel = (running or {}).get(name)
        return channel_report.channel(
            self.lane.policies[name],
            stored,
            webhook_path=self.webhook_path(name),
            health=Health.OK if channel is None else channel.health,
            reason="" if channel is None else channel.reason,
        )

    def secret_key(self) -> bytes:
        """Return the secret key; `ConfigInvalid` where none is configured."""
        return self.settings.daemon.resolved_secret_key()

    def webhook_path(self, channel: str) -> str | None:
        """Return the path on the public listener that the channel's webhooks go to."""
        if self.settings.daemon.secret_key is None:
            return None
        return f"/webhooks/{channel}/{keys.webhook_token(self.secret_key(), channel)}"

    def hook_url(self, channel: str) -> str | None:
        """Return the whole address of the channel's webhooks; None without a `public_url`."""
        root, path = self.settings.daemon.public_url, self.webhook_path(channel)
        return None if root is None or path is None else root + path

    def intake(self) -> Intake:
        """Return what takes deliveries in."""
        key = self.secret_key()
        return Intake(
            self.lane,
            self.connectors,
            self.clock,
            seal=lambda body, channel: keys.encrypt(key, body, f"delivery:{channel}"),
            wall=self.clock.wall,
        )

    def vault(self, name: str, connector: Connector) -> Vault | None:
        """Return where the channel's renewed access is; None where its access does not run out."""
        renewal = connector.renewal()
        if renewal is None:
            return None
        key, context = self.secret_key(), f"credential:{name}"
        seal = Seal(
            close=lambda packed: keys.encrypt(key, packed, context),
            open=lambda sealed: keys.decrypt(key, sealed, context),
            digest=lambda packed: keys.fingerprint(key, packed, context),
        )
        return Vault(name, renewal, store=self.store, clock=self.clock, seal=seal)

    def unseal(self, body: bytes, channel: str) -> bytes:
        """Return a kept body as the channel sent it."""
        return keys.decrypt(self.secret_key(), body, f"delivery:{channel}")


def connect(settings: ChannelSettings) -> Connector:
    """Return the connector of one configured channel; `ConfigInvalid` names what is wrong."""
    manifest = registry.manifest(settings.connector)
    given = check_channel(settings, manifest.settings, requests_per_s_max=manifest.requests_per_s)
    return registry.load(settings.connector)(settings.name, manifest, given)


def webhook_topics(settings: ChannelSettings) -> tuple[str, ...]:
    """Return the topics that the channel's webhooks are to be subscribed to, by its own names."""
    return tuple(registry.manifest(settings.connector).webhook_topics)


def ref_key(settings: ChannelSettings, given: Mapping[str, Any]) -> str:
    """Return the canonical key of a listing's reference; `CatalogueInvalid` names its field.

    It needs none of the channel's secrets, which the daemon alone may be able to read.
    """
    return registry.ref_key(settings.connector)(given)


@asynccontextmanager
async def door(
    parts: Parts, name: str, connector: Connector, *, transport: Network | None = None
) -> AsyncIterator[ChannelApi]:
    """Open a channel's door outside of the daemon, for a look or a grant."""
    async with _api(parts, name, connector, transport) as api:
        yield api


async def examine_access(connector: Connector, api: ChannelApi) -> list[Finding]:
    """Return how a channel's account stands, as far as its connector can tell."""
    return await checkup.access(connector, api)


async def ensure_webhooks(
    connector: Connector, api: ChannelApi, url: str, *, dry_run: bool
) -> Hooks | None:
    """Have a channel's webhooks come to `url`; None where its connector cannot see to that."""
    if not isinstance(connector, Checkup):
        return None
    return await connector.ensure_webhooks(api, url, dry_run=dry_run)


async def grant(
    parts: Parts,
    name: str,
    connector: Connector,
    api: ChannelApi,
    *,
    redirect: str | None,
    ask: Callable[[str], str],
) -> bool:
    """Have a person grant access in a browser and keep it; False where there is no such way.

    `ask` shows the address to open and returns the one where the browser ended; `redirect` is what
    is registered with the platform, `public_url`/connected if that is left out.
    """
    vault = parts.vault(name, connector)
    if not isinstance(connector, Granting) or vault is None:
        return False
    root = parts.settings.daemon.public_url
    back = redirect or (None if root is None else f"{root}/connected")
    if back is None:
        raise UsageError(
            "The platform sends the browser to an address that is registered with it.",
            field="--redirect",
            expected="that address, letter for letter; or public_url under [daemon]",
            next=f"stockpush connect {name} --redirect URL",
        )
    state, verifier = keys.new_code_verifier(), keys.new_code_verifier()
    ended = ask(connector.authorize_url(back, state=state, verifier=verifier))
    call = connector.exchange(ended, back, state=state, verifier=verifier)
    answer = await api.post(call)
    await vault.keep(connector.first_tokens(answer, now=parts.clock.now()))
    return True


async def examine_channel(
    parts: Parts, name: str, *, transport: Network | None = None
) -> list[Finding]:
    """Return how one configured channel stands; wrong settings of it are a finding too."""
    try:
        connector = connect(parts.settings.channels[name])
        hook_url = parts.hook_url(name) if connector.manifest.webhook_topics else None
        opened = _api(parts, name, connector, transport)
    except ConfigInvalid as error:
        mend = error.next or f"expected: {error.expected}"
        return [Finding("configuration", ok=False, told=error.message, mend=mend)]
    catalogue = await parts.store.catalogue()
    listings = [row for row in catalogue.listings if row.key.channel == name]
    async with opened as api:
        return await checkup.examine(connector, api, listings=listings, hook_url=hook_url)


async def examine_address(parts: Parts, *, transport: Network | None = None) -> list[Finding]:
    """Return how the address answers under which shops reach this machine (F11).

    No sender follows a redirect: a delivery that is answered with one is lost.
    """
    root = parts.settings.daemon.public_url
    if root is None:
        return []
    hooks = [url for name in parts.settings.channels if (url := parts.hook_url(name)) is not None]
    found = []
    for what, url, right in (
        ("public address", f"{root}/healthz", 200),
        *(("webhook path", url, 405) for url in hooks[:1]),
    ):
        reached = await reach(url, transport=transport)
        found.append(_address(what, root, reached, right))
        if not found[-1].ok:
            break
    return found


def _address(what: str, root: str, reached: Reached, right: int) -> Finding:
    """Return what an answer of our own address means; `right` is the status that ours gives."""
    status = reached.status
    if status == right:
        return Finding(what, ok=True, told=f"{root} leads to a daemon of ours")
    if status is None:
        told, mend = f"nobody answers at {root}", "stockpush run, behind your proxy or tunnel"
    elif 300 <= status < 400:
        told = f"{root} redirects ({status}) to {reached.location or 'somewhere'}"
        mend = "set public_url to the address that it leads to: no shop follows a redirect"
    elif status == 404:
        told = f"{root} does not know the path (404)"
        mend = "let the proxy pass /webhooks/ and /healthz; all daemons have one secret_key"
    else:
        told, mend = f"{root} answers {status}", "look at the proxy's log"
    return Finding(what, ok=False, told=told, mend=mend)


async def migrate(settings: Settings, *, dry_run: bool = False) -> tuple[str | None, str]:
    """Bring the database to this version's schema; return its revision before (None: new) and now.

    With `dry_run` only look: a database that is not there is not made.
    """
    file = sqlite_path(settings.daemon.database)
    if dry_run and file is not None and not file.exists():
        return None, migrations.head()
    database = address.database(settings.daemon.database, busy_timeout_s=BUSY_TIMEOUT_S)
    try:
        work = migrations.revision if dry_run else migrations.migrate
        return await work(database), migrations.head()
    finally:
        await database.close()


async def examine(settings: Settings, *, deep: bool = False) -> None:
    """Refuse a database file that is damaged, or lies where locks do not hold, before it is opened.

    `deep` compares every index and reference too. PostgreSQL looks after its files itself. Raises
    `StoreDamaged` and `ConfigInvalid`.
    """
    file = sqlite_path(settings.daemon.database)
    if file is not None:
        damage.refuse_network_drive(file)
        await asyncio.to_thread(damage.refuse_damaged, file, deep=deep)


def with_recovery(settings: Settings, error: StoreDamaged) -> StoreDamaged:
    """Return what `check` found at the very end, with the commands that put a copy back."""
    file = sqlite_path(settings.daemon.database)
    return error if file is None else damage.damaged(file.absolute(), error.message.rstrip("."))


def daemon_runs(settings: Settings) -> bool | None:
    """Answer whether a daemon has the database; None where that cannot be told (PostgreSQL)."""
    file = sqlite_path(settings.daemon.database)
    return None if file is None else held(file)


def policy_of(settings: Settings, channel: ChannelSettings, manifest: Manifest) -> ChannelPolicy:
    """Return what the owner and the platform say about one channel."""
    buffer: Decimal = settings.stock.buffer if channel.buffer is None else channel.buffer
    return ChannelPolicy(
        name=channel.name,
        connector=channel.connector,
        mode=channel.mode,
        buffer=buffer,
        cap=manifest.quantity_max,
        slack_s=manifest.slack_s,
        compare_and_set=manifest.write == "compare_and_set",
        quiet_s=manifest.quiet_s,
        suspense_min_s=manifest.suspense_min_s,
        orders_lag_s=(
            manifest.orders_lag_s if channel.orders_lag_s is None else channel.orders_lag_s
        ),
        reconcile_s=channel.reconcile_s,
        committed_apart=manifest.committed_apart,
    )


@asynccontextmanager
async def parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    connectors: Mapping[str, Connector] | None = None,
    open_store: Callable[[str], Awaitable[SqlStore]] = SqlStore.open,
) -> AsyncIterator[Parts]:
    """Open the database, migrating it if it is new, and put the parts together.

    `connectors` that are not given are made from the configuration, one for each channel;
    `open_store` opens the database at its URL.
    """
    steady = SteadyClock(clock or SystemClock())
    manifests = {
        name: registry.manifest(channel.connector) for name, channel in settings.channels.items()
    }
    if connectors is None:
        connectors = {name: connect(channel) for name, channel in settings.channels.items()}
    store = await open_store(settings.daemon.database)
    try:
        # The clock may have been set back while nothing ran here.
        steady.not_before(await store.newest_instant())
        lane = CommitLane(
            store,
            steady,
            {
                name: policy_of(settings, channel, manifests[name])
                for name, channel in settings.channels.items()
            },
        )
        yield Parts(settings, store, lane, steady, ids or SystemIds(), connectors)
    finally:
        await store.close()


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
        # The daemon before this one may have ended after the database was opened here.
        parts.clock.not_before(await parts.store.newest_instant())
        workers = []
        for name, connector in parts.connectors.items():
            api = await stack.enter_async_context(
                _api(parts, name, connector, (transports or {}).get(name))
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
) -> AsyncIterator[Crew]:
    """Run the workers without listeners until the block ends; `stop` is set if they end first.

    `look_s` is how often commits of other processes are looked for.

    Raises `AlreadyRunning` when a daemon has this SQLite file.
    """
    async with _crew(parts, transports, look_s=look_s) as crew, _running(crew, stop):
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


@dataclass(frozen=True, slots=True)
class _Notebook:
    """A channel's notes in the database."""

    store: SqlStore
    channel: str

    async def noted(self) -> Mapping[str, str]:
        """Return every note by its key."""
        return await self.store.noted(self.channel)

    async def note(self, key: str, text: str | None) -> None:
        """Keep a note, or forget it (None)."""
        await self.store.note(self.channel, key, text)


def _api(parts: Parts, name: str, connector: Connector, transport: Network | None) -> ChannelApi:
    """Return the channel's door, at the rate that platform and owner allow."""
    manifest = connector.manifest
    wanted = parts.settings.channels[name].requests_per_s
    rate = manifest.requests_per_s if wanted is None else wanted
    limiter = Limiter(parts.clock, rate=rate, burst=manifest.burst)
    return ChannelApi(
        connector,
        clock=parts.clock,
        ids=parts.ids,
        limiter=limiter,
        vault=parts.vault(name, connector),
        notebook=_Notebook(parts.store, name),
        transport=transport,
    )


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
    watchdog = Watchdog(channel, parts.lane, parts.clock, hook_url=parts.hook_url(name))
    return Workers(channel, pusher, reconciler, watchdog if watched else None)
