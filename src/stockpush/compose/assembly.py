"""What every command works with: configuration, database, commit lane, connectors."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from stockpush import keys
from stockpush.clock import SystemClock, SystemIds
from stockpush.connectors import registry
from stockpush.connectors.base import Choosing, Connector, Manifest
from stockpush.engine import channel_report
from stockpush.engine.channel import Channel
from stockpush.engine.commit import CommitLane, Done
from stockpush.engine.credentials import Seal, Vault
from stockpush.engine.instants import parse_instant
from stockpush.engine.intake import Intake
from stockpush.engine.limiter import Limiter
from stockpush.engine.steady import SteadyClock
from stockpush.engine.transport import ChannelApi, Network
from stockpush.engine.why import CHANGES_MAX, LINES_MAX, Why, why_now, why_then
from stockpush.errors import CatalogueInvalid, ConfigInvalid
from stockpush.messages import Command, Decision, ExpireHolds, Rows
from stockpush.model import (
    MAIN,
    ChannelPolicy,
    Delivery,
    Health,
    Hold,
    HoldState,
    StockMovement,
    StockPolicy,
)
from stockpush.ports import CatalogueRows, Clock, Ids
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.reservation.holds import as_of, expire, is_due
from stockpush.reservation.lot_verbs import as_of as turned
from stockpush.reservation.view import View
from stockpush.settings import ChannelSettings, Settings, check_channel
from stockpush.store import reads
from stockpush.store.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Parts:
    """What every command works with."""

    settings: Settings
    store: SqlStore
    lane: CommitLane
    clock: SteadyClock
    ids: Ids
    connectors: Mapping[str, Connector]

    @property
    def hold_for(self) -> timedelta:
        """How long a hold lasts that is placed without saying."""
        return timedelta(days=self.settings.stock.hold_days)

    async def carry_out(self, command: Command) -> Done:
        """Carry out a command on what can be promised; what is due is taken account of first."""
        for due in await self.lane.overdue():
            await self.lane.submit(due)
        return await self.lane.submit(command)

    def now(self) -> datetime:
        """Return the instant by this machine's clock."""
        return self.clock.now()

    async def rehearse(self, command: Command) -> Decision:
        """Return what a command would do on what can be promised now, and do nothing."""
        return await self.lane.rehearse(*await self.lane.overdue(), command)

    async def catalogue(self) -> Catalogue:
        """Return the catalogue as it is now."""
        return self._catalogue(await self.store.catalogue())

    def _catalogue(self, rows: CatalogueRows) -> Catalogue:
        return build(
            rows.revision,
            rows.items,
            rows.bills,
            rows.listings,
            self.lane.policies,
            rows.locations,
            rows.feeds,
            rows.older_bills,
            stock=self.lane.stock,
        )

    async def view(self) -> View:
        """Return everything that reports are computed from, at one instant.

        Holds that are due have expired, and lots, also where no daemon has noted it.
        """
        return self._view(*await reads.snapshot(self.store))

    def _view(self, rows: CatalogueRows, gathered: Rows) -> View:
        at = self.clock.now()
        view = turned(View(self._catalogue(rows), gathered), at)
        due = tuple(each.id for each in gathered.holds.values() if is_due(each, at))
        return view.after(expire(view, ExpireHolds(due), at)) if due else view

    async def holds(
        self, *, limit: int, before: int | None = None, state: HoldState | None = None
    ) -> reads.Page[Hold]:
        """Return holds as they are now, newest first, all or those in one state; `before` is a
        page's cursor.
        """
        at, kept = self.clock.now(), state
        if state is HoldState.EXPIRED:
            kept = None  # some may be due, and not noted as expired yet
        page = await reads.holds(self.store, limit=limit, before=before, state=kept)
        found = (as_of(each, at) for each in page.data)
        return reads.Page(tuple(each for each in found if state in (None, each.state)), page.next)

    async def movements(
        self,
        *,
        limit: int,
        before: int | None = None,
        sku: str | None = None,
        since: datetime | None = None,
    ) -> reads.Page[StockMovement]:
        """Return movements, newest first, of every item or of one, all or those since an instant;
        `before` is a page's cursor.
        """
        return await reads.movements(self.store, limit=limit, before=before, sku=sku, since=since)

    def since(self, text: str, *, zone: tzinfo | None, field: str = "--since") -> datetime:
        """Return the instant that movements are asked for since; a date is its beginning.

        `zone` is that of what has none, None for this machine's. Raises `UsageError`, naming
        `field`, for what cannot be read or is to come.
        """
        typed = "stockpush log --since -2h"
        now = self.clock.now()
        return parse_instant(text, now=now, zone=zone, field=field, next=typed, since=True)

    async def undo_of(self, movement_id: int) -> int | None:
        """Return the movement that undoes another one, None where none does."""
        return await reads.undo_of(self.store, movement_id)

    async def hold(self, hold_id: int) -> Hold | None:
        """Return a hold as it is now, None if there is none."""
        found = await reads.hold(self.store, hold_id)
        return None if found is None else as_of(found, self.clock.now())

    async def why(
        self,
        sku: str,
        *,
        at: str | None,
        zone: tzinfo | None,
        field: str = "--at",
        local_at: bool = False,
    ) -> Why | None:
        """Return why an item's numbers are what they are, or were at `at`; None without that item.

        `zone` is that of instants in words and of an `at` without one, None for this machine's;
        with `local_at` an `at` without one is in this machine's all the same. Raises `UsageError`
        for an `at` that cannot be read or is to come, named as `field`.
        """
        asked_at = self.clock.now()
        then = None
        if at is not None:
            typed = f"stockpush why {shlex.quote(sku)} --at -2h"
            at_zone = None if local_at else zone
            then = parse_instant(at, now=asked_at, zone=at_zone, field=field, next=typed)
        catalogue = await self.catalogue()
        if sku not in catalogue.items:
            return None
        if then is None:
            evidence = await reads.evidence(self.store, sku, lines_max=LINES_MAX)
            view = self._view(evidence.catalogue, evidence.kept)
            settings = {
                name: "stock.buffer" if channel.buffer is None else f"channels.{name}.buffer"
                for name, channel in self.settings.channels.items()
            }
            return why_now(view, evidence, sku, at=asked_at, settings=settings, zone=zone)
        bills = catalogue.bills
        made_of = {sku, *bills.descendants(sku)}
        past = await reads.past(
            self.store,
            sku,
            at=then,
            moved=made_of,
            ordered=bills.where_used(made_of),
            changes_max=CHANGES_MAX,
        )
        view = self._view(past.catalogue, past.kept)
        return why_then(view, past, sku, at=then, asked_at=asked_at, zone=zone)

    async def channel_rows(self) -> Sequence[reads.ChannelRow]:
        """Return what the database knows of each configured channel, by name."""
        return await reads.channel_rows(self.store, sorted(self.lane.policies))

    async def deliveries(self, *, limit: int, before: int | None = None) -> reads.Page[Delivery]:
        """Return deliveries without their bodies, newest first; `before` is a page's cursor."""
        return await reads.deliveries(self.store, limit=limit, before=before)

    async def drifts(
        self,
        *,
        limit: int,
        before: int | None = None,
        channel: str | None = None,
        only_open: bool = False,
    ) -> reads.Page[reads.DriftRow]:
        """Return drifts, newest first, on every channel or on one, all or those that are open;
        `before` is a page's cursor.
        """
        return await reads.drifts(
            self.store, limit=limit, before=before, channel=channel, only_open=only_open
        )

    def channel_report(
        self, stored: channel_report.StoredChannel, running: Mapping[str, Channel] | None = None
    ) -> channel_report.ChannelRow:
        """Return a channel's row for people; `running` are the daemon's, in its own process."""
        name = stored.state.name
        channel = (running or {}).get(name)
        return channel_report.channel(
            self.lane.policies[name],
            stored,
            webhook_path=None if self.polled_only(name) else self.webhook_path(name),
            health=Health.OK if channel is None else channel.health,
            reason="" if channel is None else channel.reason,
        )

    def secret_key(self) -> bytes:
        """Return the secret key; `ConfigInvalid` where none is configured."""
        return self.settings.daemon.resolved_secret_key()

    def webhook_path(self, channel: str) -> str | None:
        """Return the path on the public listener that the channel's webhooks go to.

        None where the platform sends none, and without a secret key.
        """
        if self.settings.daemon.secret_key is None:
            return None
        if not webhook_topics(self.settings.channels[channel]):
            return None
        return f"/webhooks/{channel}/{keys.webhook_token(self.secret_key(), channel)}"

    def polled_only(self, channel: str) -> str:
        """Return why no webhooks are to be expected of a channel, '' where they are."""
        return polled_only(self.settings.channels[channel])

    def hook_url(self, channel: str) -> str | None:
        """Return the whole address of the channel's webhooks; None without a `public_url` too."""
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
    """Return the connector of one configured channel, ready to be worked.

    Raises `ConfigInvalid` naming what is wrong, or what must still be chosen.
    """
    connector = to_examine(settings)
    if (missing := undecided(connector)) is not None:
        raise missing
    return connector


def undecided(connector: Connector) -> ConfigInvalid | None:
    """Return what must be chosen before the channel can be worked, None where nothing is."""
    return connector.undecided() if isinstance(connector, Choosing) else None


def to_examine(settings: ChannelSettings) -> Connector:
    """Return the connector of one configured channel, of which something may be `undecided`.

    Raises `ConfigInvalid` naming what is wrong.
    """
    manifest = registry.manifest(settings.connector)
    given = check_channel(settings, manifest.settings, requests_per_s_max=manifest.requests_per_s)
    try:
        return registry.load(settings.connector)(settings.name, manifest, given)
    except ConfigInvalid as error:
        # A connector knows its own keys; which channel's they are is known here.
        if error.field is not None and not error.field.startswith("channels."):
            error.field = f"channels.{settings.name}.{error.field}"
        raise


def webhook_topics(settings: ChannelSettings) -> tuple[str, ...]:
    """Return the topics that the channel's webhooks are to be subscribed to, by its own names."""
    return tuple(registry.manifest(settings.connector).webhook_topics)


def polled_only(settings: ChannelSettings) -> str:
    """Return why a channel's orders come by polling alone, '' where webhooks are to be expected."""
    manifest = registry.manifest(settings.connector)
    if not manifest.webhook_topics:
        return "the platform has no webhooks"
    if manifest.webhooks_need and manifest.webhooks_need not in settings.extra:
        where = f"stockpush connect {settings.name} says how to have webhooks"
        return f"no {manifest.webhooks_need} is configured; {where}"
    return ""


def ref_key(settings: ChannelSettings, given: Mapping[str, Any]) -> str:
    """Return the canonical key of a listing's reference; `CatalogueInvalid` names its field.

    It needs none of the channel's secrets, which the daemon alone may be able to read.
    """
    manifest = registry.manifest(settings.connector)
    for field in given:
        if field not in manifest.ref_fields:
            raise CatalogueInvalid(
                f"A reference on {manifest.title} has no {field!r}.",
                field=field,
                expected=" or ".join(manifest.ref_fields),
            )
    return registry.ref_key(settings.connector)(given)


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
        holds_unpaid=manifest.holds_unpaid,
        pool=channel.pool,
    )


def stock_policy(settings: Settings) -> StockPolicy:
    """Return what the owner says of every item that says nothing of its own."""
    stock = settings.stock
    return StockPolicy(stock.exposure, stock.guard_min, stock.home_channel, stock.cap)


async def check_pools(parts: Parts) -> tuple[str, ...]:
    """Return the pools that feed the channels, MAIN if that is the only one.

    Raises `ConfigInvalid` for a channel that is to be fed by a pool that nothing is sold from.
    """
    wanted = {policy.pool for policy in parts.lane.policies.values()} | {MAIN}
    if wanted == {MAIN}:
        return (MAIN,)
    catalogue = await parts.catalogue()
    for name, policy in sorted(catalogue.policies.items()):
        if policy.pool not in catalogue.pools:
            raise ConfigInvalid(
                f"channels.{name}.pool names a pool that nothing is sold from.",
                field=f"channels.{name}.pool",
                found=policy.pool,
                expected=" or ".join(catalogue.pools),
                next="stockpush import catalog.toml  (with [[locations]] of that pool)",
            )
    return tuple(sorted(wanted))


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
            stock_policy(settings),
        )
        yield Parts(settings, store, lane, steady, ids or SystemIds(), connectors)
    finally:
        await store.close()


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


def door_of(parts: Parts, name: str, connector: Connector, transport: Network | None) -> ChannelApi:
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
