"""The doors of the core: what time, ids, and the database look like from inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from stockpush.messages import Decision, Needs, Rows
from stockpush.model import (
    BillOfMaterials,
    ChannelState,
    Credential,
    Delivery,
    Dirty,
    Feed,
    Field,
    FieldKey,
    Item,
    Listing,
    Location,
    Push,
)

KEPT = timedelta(days=90)
"""How long applied deliveries, settled pushes and closed drifts are kept: longer than any channel
sends a delivery again, and than a hold that was let go is remembered (60 days, R4).
"""


class Clock(Protocol):
    """Time. `now` is wall time (labels, replay windows); `monotonic` is for timers."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` (>= 0)."""
        ...


class Ids(Protocol):
    """Identifiers and dice."""

    def new(self) -> str:
        """Return a fresh unguessable identifier (a UUID in text form)."""
        ...

    def jitter(self) -> float:
        """Return a uniform number in [0, 1)."""
        ...


class CatalogueRows(Protocol):
    """The catalogue as stored, at one revision."""

    @property
    def revision(self) -> int:
        """Return the revision; it rises with every change of the catalogue."""
        ...

    @property
    def items(self) -> Sequence[Item]:
        """Return every item, by SKU."""
        ...

    @property
    def bills(self) -> Sequence[BillOfMaterials]:
        """Return every bill of materials, by item."""
        ...

    @property
    def listings(self) -> Sequence[Listing]:
        """Return every listing, by key."""
        ...

    @property
    def locations(self) -> Sequence[Location]:
        """Return every location besides MAIN, by name."""
        ...

    @property
    def feeds(self) -> Sequence[Feed]:
        """Return which pool feeds each channel that has been said one, by channel."""
        ...

    @property
    def older_bills(self) -> Sequence[BillOfMaterials]:
        """Return the replaced bills that open reservations were made with, by item and version."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """Something a person asked the daemon to do, left in the database by the command line."""

    id: int
    kind: str
    arguments: Mapping[str, Any]
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Sold:
    """What one channel has sold of an item: order lines, and smallest units of the item, since some
    instant; `lines_lately` since a later one.
    """

    sku: str
    channel: str
    lines: int
    units: float
    lines_lately: int


class Transaction(Protocol):
    """One write transaction: everything or nothing."""

    async def catalogue_revision(self) -> int:
        """Return the catalogue's revision (0 for an empty database)."""
        ...

    async def catalogue(self) -> CatalogueRows:
        """Return the whole catalogue, read inside this transaction."""
        ...

    async def gather(self, needs: Needs) -> Rows:
        """Return the rows asked for, locked until the end of the transaction.

        Locks are taken in one order (leaders, shelves, lots, fields, reservations, the rest; each
        by key), so that two transactions that gather once cannot deadlock. What is asked for later
        may; one of the two is then ended (`StoreConflict`).
        """
        ...

    async def apply(self, decisions: Sequence[Decision]) -> list[tuple[int, ...]]:
        """Write the decisions, in order; return the ids of the movements each one wrote, but for
        notes of what is owed.

        Later whole rows replace earlier ones of the same key; one statement per table. They are
        written before anything else is read, at the latest with the commit.
        """
        ...


class Store(Protocol):
    """The database."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a write transaction: commits at the end of the block, rolls back on an exception.

        It begins with the first thing that is asked of it.
        Raises `StoreUnavailable` when the database cannot be had, `StoreConflict` when the
        transaction lost a race and may be run again as a whole.
        """
        ...

    async def catalogue(self) -> CatalogueRows:
        """Return the whole catalogue at one revision, from the read side."""
        ...

    async def dirty(self, channel: str, *, at: datetime, limit: int) -> Sequence[Dirty]:
        """Return up to `limit` outbox rows of the channel due at `at` and with no push in flight:
        decreases first, then by due instant, then key.
        """
        ...

    async def next_due(self, channel: str) -> datetime | None:
        """Return when the earliest outbox row of the channel (no push in flight) is due."""
        ...

    async def open_pushes(self, channel: str) -> Sequence[Push]:
        """Return the pushes of the channel not settled yet, by call id and position."""
        ...

    async def reads_due(self, channel: str, *, at: datetime, limit: int) -> Sequence[FieldKey]:
        """Return fields of the channel whose reading is due at `at`, longest due first."""
        ...

    async def next_read_due(self, channel: str) -> datetime | None:
        """Return when the earliest reading of the channel is due, None if none ever is."""
        ...

    async def holds_due(self, *, at: datetime, limit: int) -> Sequence[int]:
        """Return ids of holds that are held and due at `at`, longest due first."""
        ...

    async def next_hold_due(self) -> datetime | None:
        """Return when the earliest hold that is held is due, None if there is none."""
        ...

    async def fields(self, keys: Sequence[FieldKey]) -> Sequence[Field]:
        """Return the present rows of the fields, in key order, without locking them."""
        ...

    async def listings(self, channel: str, *, after: str, limit: int) -> Sequence[Listing]:
        """Return up to `limit` listings of the channel, by reference, beyond the one `after`."""
        ...

    async def field_keys(self, channel: str) -> Sequence[FieldKey]:
        """Return the keys of the channel's fields, in order, mapped or not."""
        ...

    async def next_lot_turn(self) -> datetime | None:
        """Return when the clock next changes which lots are sold, None if it never does."""
        ...

    async def lots_due(self, *, at: datetime, limit: int) -> Sequence[str]:
        """Return the SKUs of up to `limit` lots that it has changed by `at`, longest ago first."""
        ...

    async def sold(self, *, since: datetime, lately: datetime) -> Sequence[Sold]:
        """Return what each channel has sold of each item since, cancelled lines too, by SKU and
        channel; by when the channel says that orders were placed.
        """
        ...

    async def shown(self, *, since: datetime) -> Sequence[tuple[str, str, int]]:
        """Return (SKU, channel, how many of its fields show the item and are ours) of each item
        that was sold since, by SKU and channel.
        """
        ...

    async def push_seconds(self, channel: str, *, limit: int) -> Sequence[float]:
        """Return how long the newest pushes took that the channel applied, at most `limit`."""
        ...

    async def guard_levels(self) -> Mapping[str, int]:
        """Return the measured guard level of each shelf that has one above 0, by its key."""
        ...

    async def feeds(self) -> Mapping[str, str]:
        """Return which pool feeds each channel that has been said one."""
        ...

    async def open_orders(self, channel: str, *, after: str, limit: int) -> Sequence[str]:
        """Return ids of the channel's orders with open reservations, by id, beyond `after`."""
        ...

    async def fields_after(self, channel: str, key: str, *, limit: int) -> Sequence[FieldKey]:
        """Return up to `limit` keys of the channel's fields, in order, beyond `key`."""
        ...

    async def channel_state(self, channel: str) -> ChannelState:
        """Return the channel's durable state; an empty one for a channel never polled."""
        ...

    async def credential(self, channel: str) -> Credential | None:
        """Return the channel's stored access, None where none is."""
        ...

    async def noted(self, channel: str) -> Mapping[str, str]:
        """Return what was noted of the channel, by key."""
        ...

    async def note(self, channel: str, key: str, text: str | None) -> None:
        """Keep `text` under `key`, or forget it (None), durably."""
        ...

    async def keep_credential(self, credential: Credential) -> bool:
        """Store a channel's access, durably, if the stored version is the one before it (none for
        version 1); answer whether it was. Another writer may have been first.
        """
        ...

    async def hints(self, channel: str, *, limit: int, after: int = 0) -> Sequence[Delivery]:
        """Return pending deliveries of the channel that point at an order, by id, beyond `after`:
        the oldest first.
        """
        ...

    async def given_up(self, channel: str, *, limit: int, after: int = 0) -> Sequence[Delivery]:
        """Return quarantined deliveries of the channel that point at an order, by id, beyond
        `after`: the oldest first.
        """
        ...

    async def reserve_fetch_numbers(self, count: int) -> int:
        """Return the first of `count` fetch numbers that were never given out, durably."""
        ...

    async def ask(self, kind: str, arguments: Mapping[str, Any], *, at: datetime) -> int:
        """Leave a request for the daemon; return its id."""
        ...

    async def asked(self) -> Sequence[Request]:
        """Return the requests that no daemon has carried out yet, oldest first."""
        ...

    async def answered(self, request_id: int, *, at: datetime) -> None:
        """Mark a request as carried out."""
        ...

    async def prune(self, *, kept_since: datetime, limit: int) -> int:
        """Delete what is done with and older than `kept_since`, at most `limit` rows of each kind;
        return how many. Nothing that a balance or a rule is made of is among it.
        """
        ...

    async def changes(self) -> int:
        """Return a number that differs after another connection or process has committed.

        Raises `LockLost` if the lock that kept other daemons away is gone.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
