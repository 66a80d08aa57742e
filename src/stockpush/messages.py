"""What is seen, what is asked and what is decided: the values that pass between the rooms.

Connectors produce *seen* facts; the engine asks the pure core by *commands*, hands it the rows
that the command *needs*, and writes the *decision* back in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from stockpush.model import (
    MAIN,
    BillOfMaterials,
    ChannelState,
    Delivery,
    Dirty,
    Drift,
    Feed,
    Field,
    FieldKey,
    Health,
    HeardBy,
    Hold,
    HoldLine,
    Item,
    Listing,
    ListingKey,
    Location,
    Lot,
    LotKey,
    MovementKind,
    OrderVersion,
    Push,
    PushOutcomeKind,
    Reservation,
    ReservationKey,
    Shelf,
    StockMovement,
)
from stockpush.values import quick

# -- seen: absolute facts from a channel -----------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class OrderLineSeen:
    """One line of an order as the channel states it, in the channel's units, all >= 0.

    `open` is still to be shipped; `shipped` has left (less units returned to the shelf);
    `written_off` was refunded before shipping and not put back; `deducted` is what the channel
    has taken off its own field for this line and not put back (None: it does not tell).
    `order_key` names the listing; `sku` is only shown to people.
    """

    line_id: str
    order_key: str
    ordered: int
    open: int
    shipped: int
    written_off: int
    deducted: int | None
    sku: str = ""


@quick
@dataclass(frozen=True, slots=True)
class OrderSeen:
    """The whole of one order at one version. A line known earlier and absent here is cancelled.

    `placed_at` and `deducted_at` (when the newest deduction happened, as far as the channel
    tells) are by the channel's clock. `state` is the channel's word; `state_known` is False for
    a word that the connector
    does not know: its lines then count as still to be sent.
    """

    channel: str
    order_id: str
    version: OrderVersion
    placed_at: datetime
    deducted_at: datetime
    state: str
    lines: tuple[OrderLineSeen, ...]
    state_known: bool = True


@quick
@dataclass(frozen=True, slots=True)
class OrderHint:
    """Something happened to this order: fetch it."""

    channel: str
    order_id: str


@quick
@dataclass(frozen=True, slots=True)
class QuantityHint:
    """A quantity changed on the channel: a reason to read that field, never an observation.

    `told` is the quantity that the delivery names, if it does. It may be old and so it is not
    taken; but where it is what we expect (the echo of our own write) there is no reason to read.
    """

    channel: str
    field_key: str
    told: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Nothing:
    """The delivery is genuine and of no concern to stock."""

    why: str


Seen: TypeAlias = OrderSeen | OrderHint | QuantityHint | Nothing


@quick
@dataclass(frozen=True, slots=True)
class QuantitySeen:
    """One reading of one field, in the channel's units.

    `expected_sent` is E and `sent_at` our clock when the request went out; `date` is the answer's
    Date header, the channel's clock (None where it has none). `revision_sent` is the field's
    revision at sending. Where the channel keeps what is committed apart (R11), `committed` are the
    units of its open orders, and `open_sent` our own open units of the field at sending.
    """

    field: FieldKey
    quantity: int
    sent_at: datetime
    expected_sent: int | None
    revision_sent: int
    date: datetime | None
    committed: int | None = None
    open_sent: int = 0


@quick
@dataclass(frozen=True, slots=True)
class ListingResolved:
    """What the channel told about a mapped listing: which order key and field it goes by.

    `problem` is set when a person is needed (not tracked, gone, oversells by policy, ...).
    """

    listing: ListingKey
    order_key: str | None
    field_key: str | None
    problem: str | None = None


# -- asked: commands to the core -------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class ReceiveDelivery:
    """Take one verified webhook delivery into the inbox, with the facts it carries.

    `replay`: a person asks for a quarantined delivery to be read again.
    """

    delivery: Delivery
    seen: tuple[Seen, ...]
    replay: bool = False


@quick
@dataclass(frozen=True, slots=True)
class PollCompleted:
    """A poll has read every page: `begun_at` by our clock, `date` by the channel's, `cursor` where
    the next one starts.
    """

    begun_at: datetime
    cursor: str | None
    date: datetime | None


@quick
@dataclass(frozen=True, slots=True)
class ApplyOrders:
    """Apply orders that were fetched or polled.

    `gone` are (order id, fetch number) of orders that the channel no longer has. `settles` are
    (id, received_at) of inbox deliveries that this resolves: one that has come again since stays
    pending. `deliveries` new rows of those whose order could not
    be read, or is to be fetched again. `completes` is set with the last page of a poll.
    """

    channel: str
    orders: tuple[OrderSeen, ...]
    gone: tuple[tuple[str, int], ...] = ()
    settles: tuple[tuple[int, datetime], ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    completes: PollCompleted | None = None


@quick
@dataclass(frozen=True, slots=True)
class Observe:
    """Take readings of fields."""

    seen: tuple[QuantitySeen, ...]


@quick
@dataclass(frozen=True, slots=True)
class FieldsUnreadable:
    """These fields have no number on the channel, each with the problem that a person must mend."""

    problems: tuple[tuple[FieldKey, str], ...]


@quick
@dataclass(frozen=True, slots=True)
class StartChannel:
    """The daemon starts: policies may have changed, and a channel may have gone live.

    `part` are the fields to be looked at, None for all of the channel. Where those are too many for
    one transaction nothing is done, and the answer's fact "too_many" says so.
    """

    channel: str
    part: tuple[FieldKey, ...] | None = None


@quick
@dataclass(frozen=True, slots=True)
class RequestReads:
    """Ask for fields to be read at `due_at` (a quantity webhook, resync, the reconcile period)."""

    fields: tuple[FieldKey, ...]
    due_at: datetime


@quick
@dataclass(frozen=True, slots=True)
class OpenPushes:
    """Compute targets of dirty fields now and open one push row each, all in one call.

    Fields that are clean by now, parked, in flight or not ready are left out of the answer.
    `lower_only`: the channel's orders could not be read as they should be, and nothing is raised.
    A call of many fields may be opened by several commands: `opened` is how many it has already,
    those that are only recorded included.
    `groups` are fields that can only be written together, those of `fields` among them: with one
    of a group all go out that are ours, so no group is ever opened by two commands.
    """

    channel: str
    fields: tuple[FieldKey, ...]
    call_id: str
    lower_only: bool = False
    opened: int = 0
    groups: tuple[tuple[FieldKey, ...], ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class PushSettled:
    """How the push of `field` in call `call_id` ended; one no longer in flight is left alone.

    `actual` is the channel's number where a compare was lost (None: not told).
    `gap_from`..`gap_until` (channel's clock) is when a read-set write may have overwritten a sale.
    `retry_at` is when an unavailable or limited channel is due again.
    """

    call_id: str
    field: FieldKey
    outcome: PushOutcomeKind
    actual: int | None = None
    reason: str = ""
    gap_from: datetime | None = None
    gap_until: datetime | None = None
    retry_at: datetime | None = None
    date: datetime | None = None


@quick
@dataclass(frozen=True, slots=True)
class SettlePushes:
    """Settle the pushes of one call."""

    settled: tuple[PushSettled, ...]


@quick
@dataclass(frozen=True, slots=True)
class NoteHealth:
    """The daemon sees a channel otherwise than before."""

    channel: str
    health: Health
    reason: str


@quick
@dataclass(frozen=True, slots=True)
class NoteHeard:
    """How long the channel's orders took to become known, as measured by now."""

    channel: str
    heard: tuple[HeardBy, ...]


@quick
@dataclass(frozen=True, slots=True)
class NoteGuardLevels:
    """The guard levels of these shelves are so high now, in smallest units, as measured."""

    levels: tuple[tuple[str, int], ...]


@quick
@dataclass(frozen=True, slots=True)
class LotTerms:
    """What is said of a lot that comes in; None and "" where nothing is (`model.Lot`)."""

    expires_at: datetime | None = None
    available_from: datetime | None = None
    cost: str = ""
    supplier: str = ""


@quick
@dataclass(frozen=True, slots=True)
class StockMove:
    """One line of a stock command: `quantity` signed, smallest units.

    `reason` is what is to be kept of this line alone, besides the command's own. Without `location`
    and `lot` what goes out is picked among the item's lots, and what comes in belongs to none, or
    to a new one where all that comes in does; UNLOTTED says that it belongs to none. `terms` are of
    a lot that comes in.
    """

    sku: str
    quantity: int
    kind: MovementKind
    reason: str = ""
    location: str | None = None
    lot: str | None = None
    terms: LotTerms | None = None


@quick
@dataclass(frozen=True, slots=True)
class MoveStock:
    """Move stock by hand. All of it or none. `key` is the idempotency key.

    A line that names neither location nor lot is of what lies in `pool` (None: in MAIN), and a lot
    that is named beside a pool lies there. `place` says where a sale was made.
    """

    moves: tuple[StockMove, ...]
    key: str
    actor: str
    reason: str = ""
    pool: str | None = None
    place: str = ""


@quick
@dataclass(frozen=True, slots=True)
class BuildStock:
    """Build `quantity` smallest units of `sku`, consuming its bill of materials.

    `used` are (component, smallest units) of which another quantity was consumed than the bill
    says; `scrapped` of the units built were lost. `take` are the substitutes that it took, in that
    order, where its bill names what they share (empty: by SKU). `bill` is the version of its bill,
    None for the present one. `location`, `lot` and `terms` say where what was built lies.
    """

    sku: str
    quantity: int
    key: str
    actor: str
    reason: str = ""
    used: tuple[tuple[str, int], ...] = ()
    scrapped: int = 0
    location: str | None = None
    lot: str | None = None
    terms: LotTerms | None = None
    take: tuple[str, ...] = ()
    bill: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class CountStock:
    """State that `counted` smallest units of `sku` are on hand: one adjusting movement.

    All that can be sold from `pool` (None: from MAIN), or with `location` or `lot` what lies there;
    a lot that is named beside a pool lies there.
    """

    sku: str
    counted: int
    key: str
    actor: str
    reason: str = ""
    location: str | None = None
    lot: str | None = None
    pool: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class TransferStock:
    """Move `quantity` (> 0) smallest units of `sku` from one location to another."""

    sku: str
    quantity: int
    origin: str
    destination: str
    key: str
    actor: str
    reason: str = ""
    lot: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class QuarantineLot:
    """Withhold a lot from sale wherever it lies, or release it."""

    sku: str
    lot: str
    quarantined: bool
    actor: str
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True)
class TurnLots:
    """Take account of what the clock has changed of the lots of these items."""

    skus: tuple[str, ...]


@quick
@dataclass(frozen=True, slots=True)
class UndoMovement:
    """Compensate the whole command that wrote movement `movement_id`."""

    movement_id: int
    key: str
    actor: str
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True)
class PlaceHold:
    """Set units of `pool` aside: every line or none. `until` is an instant, or how long from now.

    Lines of one item add up. `key` is the idempotency key. `lower`: where each unit is on one
    listing, those that listings may still sell are taken too, and the listings are lowered for it.
    """

    lines: tuple[HoldLine, ...]
    until: datetime | timedelta
    note: str
    key: str
    actor: str
    reason: str = ""
    pool: str = MAIN
    lower: bool = False


@quick
@dataclass(frozen=True, slots=True)
class RenewHold:
    """Have an open hold end at another instant, or so long from now."""

    hold: int
    until: datetime | timedelta
    key: str
    actor: str
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Give back what an open hold set aside."""

    hold: int
    key: str
    actor: str
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True)
class SellHold:
    """Turn an open hold into a sale made at `place`: all of it leaves, and the hold ends."""

    hold: int
    place: str
    key: str
    actor: str
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True)
class ExpireHolds:
    """End those of these holds that are due; one that is not, or has ended, is left alone."""

    holds: tuple[int, ...]


@quick
@dataclass(frozen=True, slots=True)
class ResolveListings:
    """Record what the channel told about mapped listings; creates their fields."""

    resolved: tuple[ListingResolved, ...]


@quick
@dataclass(frozen=True, slots=True)
class AdoptListings:
    """The owner agrees that these listings' numbers are ours from now on."""

    listings: tuple[ListingKey, ...]


@quick
@dataclass(frozen=True, slots=True)
class ImportCatalogue:
    """Upsert items, bills and listings, and open stock where an item has no movement yet.

    `corrects`: a bill that is another recipe than before was a mistake, so that open reservations
    go by it too.
    """

    items: tuple[Item, ...]
    bills: tuple[BillOfMaterials, ...]
    listings: tuple[Listing, ...]
    opening: tuple[StockMove, ...]
    key: str
    actor: str
    reason: str = ""
    locations: tuple[Location, ...] = ()
    corrects: bool = False


Command: TypeAlias = (
    ReceiveDelivery
    | ApplyOrders
    | Observe
    | FieldsUnreadable
    | StartChannel
    | RequestReads
    | OpenPushes
    | SettlePushes
    | NoteHealth
    | NoteHeard
    | NoteGuardLevels
    | MoveStock
    | BuildStock
    | CountStock
    | TransferStock
    | QuarantineLot
    | TurnLots
    | UndoMovement
    | PlaceHold
    | RenewHold
    | ReleaseHold
    | SellHold
    | ExpireHolds
    | ResolveListings
    | AdoptListings
    | ImportCatalogue
)

# -- gathered: the rows a command needs -------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class Needs:
    """Which rows a command reads, by key. A key without a row is simply absent from `Rows`."""

    skus: frozenset[str] = frozenset()
    """Keys of shelves; those of the same items in other pools may come with them."""
    fields: frozenset[FieldKey] = frozenset()
    orders: frozenset[tuple[str, str]] = frozenset()
    """(channel, order id): every reservation of that order."""
    order_keys: frozenset[tuple[str, str]] = frozenset()
    """(channel, order key): every reservation that names it and is open or not yet mapped."""
    digests: frozenset[tuple[str, str]] = frozenset()
    """(channel, body digest) of deliveries."""
    movements: frozenset[int] = frozenset()
    """Movement ids; the whole command that each belongs to is gathered."""
    keys: frozenset[str] = frozenset()
    """Idempotency keys of commands."""
    moved: frozenset[str] = frozenset()
    """SKUs of which it matters whether they have any movement."""
    unread: frozenset[str] = frozenset()
    """Channels of which it matters whether a delivery is still to be read."""
    leaders: frozenset[str] = frozenset()
    """An item of each large group of which only a part is read. Its shelf is locked, so that no
    other transaction nets the group meanwhile; with any of them come every shelf with more reserved
    and held than is there and every field with a suspense hold."""
    whole: frozenset[str] = frozenset()
    """SKUs whose groups are read whole; with any of them no group is read in part."""
    lots: frozenset[str] = frozenset()
    """SKUs of which every lot is read."""
    lots_at: frozenset[str] = frozenset()
    """Locations of which every lot is read."""
    holds: frozenset[int] = frozenset()
    """Ids of holds."""
    open_on: frozenset[str] = frozenset()
    """Channels of which every open reservation is read."""
    hold_keys: frozenset[str] = frozenset()
    """Idempotency keys to place a hold with: the hold that was, and the id that the next gets."""

    @classmethod
    def union(cls, several: Sequence[Needs]) -> Needs:
        """Return what all of them need together."""
        if len(several) == 1:
            return several[0]
        return cls(
            **{
                name: frozenset().union(
                    *(said for each in several if (said := getattr(each, name)))
                )
                for name in cls.__slots__
            }
        )


@quick
@dataclass(frozen=True, slots=True)
class CommandDone:
    """A command that was carried out under an idempotency key.

    `digest` identifies its content, so that a key reused with other content is refused.
    `movement_ids` are the ids of what it wrote, known after writing.
    """

    key: str
    digest: str
    at: datetime
    movement_ids: tuple[int, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that were asked for, as read (and locked) inside the transaction."""

    shelves: Mapping[str, Shelf] = field(default_factory=dict)
    """By `Shelf.key`."""
    fields: Mapping[FieldKey, Field] = field(default_factory=dict)
    reservations: Mapping[ReservationKey, Reservation] = field(default_factory=dict)
    dirty: Mapping[FieldKey, Dirty] = field(default_factory=dict)
    """Outbox rows of the fields gathered."""
    in_flight: Mapping[FieldKey, Push] = field(default_factory=dict)
    """Open pushes of the fields gathered (at most one each)."""
    deliveries: Mapping[tuple[str, str], Delivery] = field(default_factory=dict)
    """By (channel, digest): the newest delivery of that body."""
    commands: Mapping[str, CommandDone] = field(default_factory=dict)
    movements: Mapping[int, StockMovement] = field(default_factory=dict)
    undone: frozenset[int] = frozenset()
    """Movement ids among `movements` that a later movement has compensated."""
    moved: frozenset[str] = frozenset()
    """SKUs among `Needs.moved` that have a movement."""
    unread: frozenset[str] = frozenset()
    """Channels among `Needs.unread` that have a delivery in quarantine or to be fetched."""
    holds: Mapping[int, Hold] = field(default_factory=dict)
    next_hold: int = 1
    """The id of the hold that is placed next, if any is to be."""
    channels: Mapping[str, ChannelState] = field(default_factory=dict)
    """Every channel's durable state (there are few; always gathered)."""
    partial: frozenset[str] | None = None
    """None: of each group all shelves and fields have been read. Else the SKUs whose shelves have;
    of large groups that is a part (docs/architecture.md, "Large groups")."""
    lots: Mapping[LotKey, Lot] = field(default_factory=dict)


# -- decided: what the transaction writes ----------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class Accepted:
    """The command was carried out. `note` is for people; `facts` for machines."""

    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Replayed:
    """The command (or delivery) had been carried out before; nothing changed."""

    movement_ids: tuple[int, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Refused:
    """The command was understood and refused; nothing changed."""

    refusal: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Outcome: TypeAlias = Accepted | Replayed | Refused


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """One log line to write after the commit: `name` is listed in logs.EVENTS."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Heard:
    """An order that was not known before. `told`: a delivery told of it, else a poll found it."""

    channel: str
    placed_at: datetime
    told: bool


@quick
@dataclass(frozen=True, slots=True)
class Decision:
    """Everything one command changes. Rows are whole new values of rows that were gathered
    (and so locked) in this transaction; movements, deliveries and drifts are appended.

    `touched_skus` and `touched_fields` say whose targets may have changed; the lane marks the
    dirty fields once for the whole group (`reservation.decide.mark`).
    """

    outcome: Outcome = field(default_factory=Accepted)
    movements: tuple[StockMovement, ...] = ()
    shelves: tuple[Shelf, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    fields: tuple[Field, ...] = ()
    dirty: tuple[Dirty, ...] = ()
    """Outbox rows to insert or replace."""
    clean: tuple[tuple[FieldKey, int], ...] = ()
    """Outbox rows to delete, each only where its revision still equals the one given."""
    pushes: tuple[Push, ...] = ()
    """Push rows: id None is an insert, otherwise settled_at and outcome are written."""
    deliveries: tuple[Delivery, ...] = ()
    """Inbox rows: id None is an insert, otherwise state, reason, body and `received_at` are
    written."""
    deliveries_applied: tuple[tuple[int, datetime], ...] = ()
    """(id, received_at) of pending inbox rows that are applied now, if they have not come again."""
    drifts: tuple[Drift, ...] = ()
    """Drift rows: an open one (`closed_at` None) is inserted; a closed one closes every open row of
    its field, with its class and resolution."""
    channels: tuple[ChannelState, ...] = ()
    commands: tuple[CommandDone, ...] = ()
    holds: tuple[Hold, ...] = ()
    """New holds, with their lines, or known ones with another state or end."""
    listings: tuple[Listing, ...] = ()
    items: tuple[Item, ...] = ()
    bills: tuple[BillOfMaterials, ...] = ()
    """Catalogue rows to upsert. Any listing, item or bill bumps the catalogue's revision."""
    locations: tuple[Location, ...] = ()
    feeds: tuple[Feed, ...] = ()
    """Catalogue rows to upsert, as well."""
    older_bills: tuple[BillOfMaterials, ...] = ()
    """Bills that were replaced and that open reservations were made with, to upsert by item and
    version."""
    forgotten_bills: frozenset[tuple[str, int]] = frozenset()
    """(item, version) of older bills that no open reservation needs any more, to delete."""
    lots: tuple[Lot, ...] = ()
    events: tuple[Event, ...] = ()
    touched_skus: frozenset[str] = frozenset()
    """Keys of shelves."""
    touched_fields: frozenset[FieldKey] = frozenset()
    poll_now: frozenset[str] = frozenset()
    """Channels whose orders should be polled at once."""
    resolve_now: frozenset[ListingKey] = frozenset()
    """Listings that seem to go by another field than before."""
    heard: tuple[Heard, ...] = ()
