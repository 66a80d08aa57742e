"""How the channels stand: their rows and those of the inbox, one dataclass per JSON shape.

What the database knows and what the running daemon sees come together here. The database's side
is described by protocols, which the store's own values fit. The shapes are those of
docs/interface.md: keys may be added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, tzinfo
from typing import Any, Protocol

from stockpush.engine.why import Why
from stockpush.messages import Command, Decision
from stockpush.model import (
    ChannelPolicy,
    ChannelState,
    Delivery,
    Drift,
    Health,
    Hold,
    HoldState,
    StockMovement,
)
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.view import View


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Seconds: half of the newest were not slower than `p50`, 95 of 100 not slower than `p95`."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class HeardRow:
    """Seconds until a channel's newest orders were known, by what told of them first."""

    webhook: LatencyRow | None
    poll: LatencyRow | None


@dataclass(frozen=True, slots=True)
class LookAtRow:
    """What a person should look at in the listing of a field, though its number was written."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel of `channels --json`: `latency_s` is None before its first applied push.

    `backlog` counts the fields that wait to be pushed, `parked` the listings that a person must
    mend first. `heard_s` is how long orders took from being placed to being known: by webhook and
    by poll, None where none came that way yet. `look_at` stands until the channel or the item is
    read again by `resync`.
    """

    name: str
    connector: str
    mode: str
    webhook_path: str | None
    state: str
    state_reason: str | None
    last_order_at: datetime | None
    backlog: int
    listings: int
    parked: int
    latency_s: LatencyRow | None
    heard_s: HeardRow
    look_at: tuple[LookAtRow, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One delivery of `deliveries --json`, newest first."""

    id: int
    channel: str
    topic: str
    received_at: datetime
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One difference between what was expected on a field and what it held, in listing units.

    `what` is called `class` in JSON: what it turned out to be. `closed_at` is None while it is
    open, `ref` (of the first listing) and `sku` where no listing shows the field any more.
    """

    id: int
    channel: str
    field: str
    ref: Mapping[str, Any] | None
    sku: str | None
    expected: int
    observed: int
    what: str
    resolution: str | None
    opened_at: datetime
    closed_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return the shape of `GET /api/v1/drifts`."""
        named = {"what": "class"}
        return {named.get(each.name, each.name): getattr(self, each.name) for each in fields(self)}


class Latency(Protocol):
    """Seconds from sending to settlement, as the database has them."""

    @property
    def p50(self) -> float:
        """Return the median."""
        ...

    @property
    def p95(self) -> float:
        """Return what 95 of 100 pushes did not exceed."""
        ...


class StoredChannel(Protocol):
    """What the database knows of one channel."""

    @property
    def state(self) -> ChannelState:
        """Return its durable state."""
        ...

    @property
    def listings(self) -> int:
        """Return how many listings are mapped."""
        ...

    @property
    def parked(self) -> int:
        """Return how many of them a person must mend before they are pushed."""
        ...

    @property
    def backlog(self) -> int:
        """Return how many fields wait to be pushed."""
        ...

    @property
    def drifts(self) -> int:
        """Return how many differences are open."""
        ...

    @property
    def latency_s(self) -> Latency | None:
        """Return how long pushes take, None before the first applied one."""
        ...

    @property
    def look_at(self) -> Mapping[str, str]:
        """Return what a person should look at, by field key."""
        ...


class DeliveryPage(Protocol):
    """Some deliveries, newest first; `next` is the cursor of the following page or None."""

    @property
    def data(self) -> Sequence[Delivery]:
        """Return the deliveries of this page."""
        ...

    @property
    def next(self) -> int | None:
        """Return where the following page starts, None at the end."""
        ...


class StoredDrift(Protocol):
    """A drift as the database knows it."""

    @property
    def drift(self) -> Drift:
        """Return the drift."""
        ...

    @property
    def refs(self) -> Sequence[Mapping[str, Any]]:
        """Return the references of the listings that show its field."""
        ...


class DriftPage(Protocol):
    """Some drifts, newest first; `next` is the cursor of the following page or None."""

    @property
    def data(self) -> Sequence[StoredDrift]:
        """Return the drifts of this page."""
        ...

    @property
    def next(self) -> int | None:
        """Return where the following page starts, None at the end."""
        ...


class HoldPage(Protocol):
    """Some holds, newest first; `next` is the cursor of the following page or None."""

    @property
    def data(self) -> Sequence[Hold]:
        """Return the holds of this page."""
        ...

    @property
    def next(self) -> int | None:
        """Return where the following page starts, None at the end."""
        ...


class MovementPage(Protocol):
    """Some movements, newest first; `next` is the cursor of the following page or None."""

    @property
    def data(self) -> Sequence[StockMovement]:
        """Return the movements of this page."""
        ...

    @property
    def next(self) -> int | None:
        """Return where the following page starts, None at the end."""
        ...


class Reads(Protocol):
    """What reports are made of, each call at the instant of the call."""

    async def view(self) -> View:
        """Return every shelf, field, outbox row, open push and channel state."""
        ...

    async def why(self, sku: str, *, at: str | None, zone: tzinfo | None, field: str) -> Why | None:
        """Return why an item's numbers are what they are, or were at `at`; None without that item.

        Raises `UsageError` for an `at`, named as `field`, that cannot be read or is to come.
        """
        ...

    async def channel_rows(self) -> Sequence[StoredChannel]:
        """Return what the database knows of each configured channel, by name."""
        ...

    async def deliveries(self, *, limit: int, before: int | None = None) -> DeliveryPage:
        """Return at most `limit` deliveries older than the cursor `before`."""
        ...

    async def drifts(
        self, *, limit: int, before: int | None = None, channel: str | None, only_open: bool
    ) -> DriftPage:
        """Return at most `limit` drifts older than the cursor `before`, of one channel or of all,
        those that are open or all.
        """
        ...

    async def catalogue(self) -> Catalogue:
        """Return the catalogue."""
        ...

    async def holds(
        self, *, limit: int, before: int | None = None, state: HoldState | None = None
    ) -> HoldPage:
        """Return at most `limit` holds older than the cursor `before`, of one state or of all."""
        ...

    async def hold(self, hold_id: int) -> Hold | None:
        """Return one hold, None if there is none."""
        ...

    async def movements(
        self,
        *,
        limit: int,
        before: int | None = None,
        sku: str | None = None,
        since: datetime | None = None,
    ) -> MovementPage:
        """Return at most `limit` movements older than the cursor `before`, of one item or of all,
        those written at `since` and later.
        """
        ...

    def now(self) -> datetime:
        """Return the instant by this machine's clock."""
        ...

    async def undo_of(self, movement_id: int) -> int | None:
        """Return the movement that undoes another one, None where none does."""
        ...

    async def rehearse(self, command: Command) -> Decision:
        """Return what a command would do now, and do nothing."""
        ...

    def since(self, text: str, *, zone: tzinfo | None, field: str) -> datetime:
        """Return the instant that something is asked for since: `UsageError`, naming `field`, for
        what cannot be read or is to come.
        """
        ...


def channel(
    policy: ChannelPolicy,
    stored: StoredChannel,
    *,
    webhook_path: str | None,
    health: Health | None = None,
    reason: str = "",
) -> ChannelRow:
    """Return one channel's row.

    `health` and `reason` are what the asker sees; without them it is what the daemon recorded.
    """
    if health is None:
        health, reason = stored.state.health, stored.state.health_reason
    latency = stored.latency_s
    ways = {each.way: LatencyRow(each.p50, each.p95) for each in stored.state.heard}
    return ChannelRow(
        name=policy.name,
        connector=policy.connector,
        mode=policy.mode.value,
        webhook_path=webhook_path,
        state=health.value,
        state_reason=reason or None,
        last_order_at=stored.state.last_order_at,
        backlog=stored.backlog,
        listings=stored.listings,
        parked=stored.parked,
        latency_s=None if latency is None else LatencyRow(latency.p50, latency.p95),
        heard_s=HeardRow(ways.get("webhook"), ways.get("poll")),
        look_at=tuple(LookAtRow(key, text) for key, text in sorted(stored.look_at.items())),
    )


def delivery(row: Delivery) -> DeliveryRow:
    """Return one delivery's row; it has been stored, so it has an id."""
    assert row.id is not None
    return DeliveryRow(
        id=row.id,
        channel=row.channel,
        topic=row.topic,
        received_at=row.received_at,
        state=row.state.value,
        reason=row.reason or None,
    )


def drift(stored: StoredDrift, catalogue: Catalogue) -> DriftRow:
    """Return one drift's row; it has been stored, so it has an id."""
    row = stored.drift
    assert row.id is not None
    return DriftRow(
        id=row.id,
        channel=row.field.channel,
        field=row.field.key,
        ref=stored.refs[0] if stored.refs else None,
        sku=catalogue.sku_of(row.field),
        expected=row.expected,
        observed=row.observed,
        what=row.drift_class.value,
        resolution=row.resolution or None,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )
