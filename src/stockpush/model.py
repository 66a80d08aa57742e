"""The nouns of Stock Push: frozen, slotted values without behaviour beyond their own fields.

Quantities are `int`. A quantity of an *item* is in the item's smallest unit (10**-scale of its
unit); a quantity of a *listing* or *field* is in the channel's units, `pack` item units each.
Instants are aware UTC. Words: docs/glossary.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from stockpush.values import quick

QUANTITY_MAX = 10**15
"""Largest item quantity, in smallest units (both signs)."""
WIRE_QUANTITY_MAX = 10**9
"""Largest quantity a channel may send or be sent (both signs)."""
WEIGHT_MAX = 1000
"""Largest weight of a listing among those of its item; the smallest is 1."""
BILL_DEPTH_MAX = 16
"""Deepest chain of bills of materials, and of variants of one another."""
SCRAP_OF_MAX = 10**6
"""Finest scrap of a bill's line: so many parts make the whole."""
HOLD_LINES_MAX = 100
"""Most lines that one hold is asked for with; those of one item are added up afterwards."""
MAIN = "main"
"""The location of whatever is said to lie nowhere else. It needs no entry and is always sellable.
The pool that it belongs to, and whatever is said to belong to no other, has the same name.
"""
POOL_MARK = "\x1f"
"""What stands between SKU and pool in a shelf's key; no SKU or name can have it in it."""
DURATION_MAX_S = 3650 * 86_400
"""Longest time that a build may take, or that a promise may look ahead; in seconds."""
UNLOTTED = ""
"""The name under which what belongs to no lot stands in the key of a `Lot`."""


class Kind(StrEnum):
    """What an item is to its maker."""

    PRODUCT = "product"
    COMPONENT = "component"
    MATERIAL = "material"
    SUPPLY = "supply"
    MRO = "mro"


class LotRule(StrEnum):
    """Which stock of an item is kept by lot or place: none, what somebody says, or all that comes.

    Only of an item that has any are there rows of `Lot`: a sale of any other asks for none.
    """

    NEVER = "never"
    SOME = "some"
    ALWAYS = "always"


class Promise(StrEnum):
    """What of an item may be promised that nobody has ordered yet (its *promise rule*)."""

    FINISHED = "finished"
    BUILDABLE = "buildable"


class Exposure(StrEnum):
    """How the listings of an item share what can be promised of it (its *exposure*)."""

    MIRROR = "mirror"
    GUARD = "guard"
    SPLIT = "split"


class PurchaseUnit(NamedTuple):
    """What an item is bought in: one `name` ("box") is `size` (>= 1) of its smallest units."""

    name: str
    size: int


class OrderSupply(NamedTuple):
    """What each order with an item takes once of `supply`, however many of the item are in it.

    `quantity` (smallest units) is >= 1, or 0 where a variant takes away what its base names.
    `gate`: no more of the item is promised than there is of the supply for further orders.
    """

    supply: str
    quantity: int
    gate: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Item:
    """Anything stocked. `sku` is its identity; quantities count 10**-`scale` of `unit`.

    `purchase_units` are units of this item alone, in which its quantities may be typed as well.
    `promise` is its promise rule, of which `buildable_max` (>= 0, None: no limit) is the most that
    may wait to be built, where it is `buildable`.
    `exposure`, `guard_min` (>= 0) and `home_channel` are None where `StockPolicy` decides.
    `exposure_max` (>= 0, None: no limit) is the most that may be sold beyond what there is if all
    its listings sold out at once. `substitute_for` is the item under whose name bills may take this
    one, or another of its substitutes; nothing is stocked of that item itself. `per_order` are the
    lines of its bill that are of each order, each of another supply;
    `reservation.per_order.effective` adds those of its base.
    `horizon_s` (0 to DURATION_MAX_S) is how soon what is promised of it has to be there, None where
    nobody asks: what takes longer to make is not promised, and what becomes available by then is.
    """

    sku: str
    name: str
    kind: Kind
    unit: str
    scale: int = 0
    purchase_units: tuple[PurchaseUnit, ...] = ()
    promise: Promise = Promise.BUILDABLE
    buildable_max: int | None = None
    lots: LotRule = LotRule.NEVER
    exposure: Exposure | None = None
    guard_min: int | None = None
    home_channel: str | None = None
    exposure_max: int | None = None
    substitute_for: str | None = None
    per_order: tuple[OrderSupply, ...] = ()
    horizon_s: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Location:
    """A place where stock lies, besides MAIN; unless it is `sellable` nothing is sold from it.

    `pool` is the one that it belongs to: what lies there is promised on the channels of that pool.
    """

    name: str
    sellable: bool = True
    pool: str = MAIN


class Feed(NamedTuple):
    """Which pool a channel is fed by; a channel that none is known of is fed by MAIN."""

    channel: str
    pool: str


class LotKey(NamedTuple):
    """What lies at one location of one lot of an item; `lot` is UNLOTTED for what has none."""

    sku: str
    location: str
    lot: str


@quick
@dataclass(frozen=True, slots=True)
class Lot:
    """The balance of one lot at one location, or of what has no lot at a location besides MAIN.

    `on_hand` is signed, smallest units. `since` is when it was received or made: the oldest goes
    first. From `expires_at` on it is not sold any more, before `available_from` not yet (work in
    progress, curing). `quarantined`: not before a person releases it. `counts`: it is part of the
    shelf's on hand; `comes`: of what the shelf has coming, since it becomes available by the item's
    horizon. `within_s` is the shortest horizon of the item's listings by which it does so, None
    where by none. `turns_at` is the next instant at which the clock alone changes any of this.
    `cost` (decimal text), `supplier` and `note` are for people.
    """

    key: LotKey
    since: datetime
    on_hand: int = 0
    expires_at: datetime | None = None
    available_from: datetime | None = None
    quarantined: bool = False
    counts: bool = True
    turns_at: datetime | None = None
    cost: str = ""
    supplier: str = ""
    note: str = ""
    comes: bool = False
    within_s: int | None = None


class Scrap(NamedTuple):
    """What is lost on top of a quantity used, in lowest terms: `lost` for every `of`.

    5 % is 1 for every 20: 1500 g with that scrap take 1575 g. 0 <= lost <= of <= SCRAP_OF_MAX.
    """

    lost: int
    of: int


NO_SCRAP = Scrap(0, 1)


@quick
@dataclass(frozen=True, slots=True)
class BillLine:
    """One component of a bill: `quantity` smallest units of `component` for the whole yield.

    `scrap` of it are lost on top.
    """

    component: str
    quantity: int
    scrap: Scrap = NO_SCRAP


@quick
@dataclass(frozen=True, slots=True)
class BillOfMaterials:
    """What `yield_quantity` (smallest units of `item`, > 0) is made from.

    `batch_only`: production happens in whole multiples of the yield. `kit`: it takes no time to
    make, a bundle or a pack of several. `backflush` (always of a kit): what leaves before it was
    finished is built in the same transaction. `build_time_s` (0 to DURATION_MAX_S, 0 of a kit) is
    how long it takes from its components to the finished item, however many.
    Two lines of one component have already been added up; no line names `item` itself.
    `version` (>= 1) rises whenever it becomes another recipe.
    A *variant* shares the bill of the item `base`: its `overrides` replace that bill's lines of the
    same component, or add to them, and a quantity of 0 takes one away. Everything else here is what
    comes of it (`reservation.bom.resolve`).
    """

    item: str
    yield_quantity: int
    lines: tuple[BillLine, ...]
    batch_only: bool = False
    kit: bool = False
    backflush: bool = False
    base: str | None = None
    overrides: tuple[BillLine, ...] = ()
    version: int = 1
    build_time_s: int = 0


class FieldKey(NamedTuple):
    """What holds one number on a channel: `channel` is our name, `key` the connector's."""

    channel: str
    key: str


class ListingKey(NamedTuple):
    """A listing's identity: `channel` is our name, `ref` the connector's canonical reference."""

    channel: str
    ref: str


class ReservationKey(NamedTuple):
    """One order line of one channel."""

    channel: str
    order_id: str
    line_id: str


class Health(StrEnum):
    """How a channel is doing."""

    OK = "ok"
    PAUSED = "paused"
    NEEDS_LOGIN = "needs_login"
    UNREACHABLE = "unreachable"


class Mode(StrEnum):
    """Whether a channel is written to."""

    SHADOW = "shadow"
    LIVE = "live"


@quick
@dataclass(frozen=True, slots=True)
class Listing:
    """A channel's sellable thing, mapped to one item: `pack` (>= 1) smallest units each.

    `ref` is the reference as the owner wrote it. `order_key` is how order lines name the
    listing and `field_key` which field holds its number; the connector tells both, some only
    after reading the channel (None until then). `adopted`: the owner agreed that its number is
    ours. `parked_reason`: set when a person is needed before it can be pushed again. `weight` (1 to
    WEIGHT_MAX) is its part beside the other listings of the item, where they share what is left.
    `cap` (0 to WIRE_QUANTITY_MAX, in listing units) is the most that it ever offers, and `buffer`
    (>= 0, in the item's smallest units) what it is never told of; None: what `StockPolicy` and
    `ChannelPolicy` say. `horizon_s` (0 to DURATION_MAX_S) is how soon what is promised on it has to
    be there; None: what its item says.
    """

    key: ListingKey
    sku: str
    pack: int = 1
    ref: Mapping[str, Any] = field(default_factory=dict)
    order_key: str | None = None
    field_key: str | None = None
    adopted: bool = False
    parked_reason: str | None = None
    weight: int = 1
    cap: int | None = None
    buffer: int | None = None
    horizon_s: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class StockPolicy:
    """What holds of every item and listing that does not say otherwise itself (`[stock]`).

    `guard_min` (>= 0) is in the item's unit, `cap` (0 to WIRE_QUANTITY_MAX, None: no limit) in each
    listing's.
    """

    exposure: Exposure = Exposure.GUARD
    guard_min: Decimal = Decimal(0)
    home_channel: str | None = None
    cap: int | None = None


UNSAID = StockPolicy()
"""What holds where the owner has said nothing."""


@quick
@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """What the owner and the connector's manifest say about one channel.

    `buffer` (>= 0) is in the item's unit, of a listing that has none of its own; `cap` is the
    largest number that the channel holds, in listing units. `slack_s` is the slack of
    the date test (R3). `compare_and_set`: the channel can refuse a write whose expected value
    is stale. `quiet_s`: how long an increase may wait for company (R7).
    `suspense_min_s` and `orders_lag_s` are R4's; `reconcile_s` is how old a reading may get.
    `committed_apart`: the channel never takes an order off the number, but tells beside it how many
    units its open orders have committed (R11). `holds_unpaid`: its checkout keeps what an order has
    not taken off the number yet for that order, and sells it to nobody else. `pool` is the one that
    is to feed it, and does from the channel's next start on (`Feed`).
    """

    name: str
    connector: str
    mode: Mode = Mode.SHADOW
    buffer: Decimal = Decimal(0)
    cap: int = WIRE_QUANTITY_MAX
    slack_s: float = 1.0
    compare_and_set: bool = False
    quiet_s: float = 0.0
    suspense_min_s: float = 900.0
    orders_lag_s: float = 60.0
    reconcile_s: float = 3600.0
    committed_apart: bool = False
    holds_unpaid: bool = True
    pool: str = MAIN


class Rest(NamedTuple):
    """What builds have taken of a component beyond what they used, since each take is rounded up.

    `ahead` counts parts of its smallest unit, as many to the unit as the line's yield times its
    scrap's `of` (`reservation.atp.use`). It is below one unit; negative only after an undo.
    """

    component: str
    ahead: int


class Pin(NamedTuple):
    """Units (smallest units) that go by an older bill of the item in one pool: `units` (>= 0) are
    reserved or held, `owed` (>= 0) were sent before they were built and are still to be.

    `rests` are what builds by that bill have left of roundings there. Of what is owed no more
    counts than is missing below zero now (`reservation.older.still_owed`).
    """

    version: int
    units: int
    rests: tuple[Rest, ...] = ()
    owed: int = 0


class Owed(NamedTuple):
    """By how much (signed, smallest units) a movement has changed what is `Pin.owed` by an older
    bill of its item in a pool.
    """

    version: int
    units: int
    pool: str = MAIN


def shelf_key(sku: str, pool: str = MAIN) -> str:
    r"""Return the key of an item's shelf in a pool: in MAIN it is the SKU.

    >>> shelf_key("soap"), shelf_key("soap", "market")
    ('soap', 'soap\x1fmarket')
    """
    return sku if pool == MAIN else f"{sku}{POOL_MARK}{pool}"


def sku_of(shelf: str) -> str:
    """Return the item of a shelf's key.

    >>> sku_of("soap"), sku_of(shelf_key("soap", "market"))
    ('soap', 'soap')
    """
    return shelf.partition(POOL_MARK)[0]


def pool_of(shelf: str) -> str:
    """Return the pool of a shelf's key.

    >>> pool_of("soap"), pool_of(shelf_key("soap", "market"))
    ('main', 'market')
    """
    return shelf.partition(POOL_MARK)[2] or MAIN


class Coming(NamedTuple):
    """Units (signed, smallest units, not 0) in lots that become available by a horizon."""

    horizon_s: int
    units: int


@quick
@dataclass(frozen=True, slots=True)
class Shelf:
    """An item's stock in one pool that can be sold: `on_hand` signed, reserved units included.

    Of an item with lots or locations it is what lies in those that count (`Lot.counts`) and in
    none. `reserved` (>= 0) is the sum of open reservation units, of a supply also of what open
    orders are still to take once (`reservation.per_order`); `held` that of the open holds' lines
    (>= 0); what is in suspense is in neither. `rests` are what the item's builds by its
    present bill have left of roundings, those of 0 left out, in the order of the bill's lines.
    `guard_level` (>= 0) is the item's guard level as last measured, `guarded` whether its listings
    share what is left because of it, or of the owner's minimum. `pins` are the part of `reserved`
    and `held` that goes by older bills, oldest first, and what is owed by them. `coming` (signed)
    lies in lots that become available by the item's horizon (`Lot.comes`), and `coming_by` has the
    same for each horizon that a listing of the item says (`Lot.within_s`), shortest first.
    """

    sku: str
    on_hand: int = 0
    reserved: int = 0
    held: int = 0
    rests: tuple[Rest, ...] = ()
    guard_level: int = 0
    guarded: bool = False
    pool: str = MAIN
    pins: tuple[Pin, ...] = ()
    coming: int = 0
    coming_by: tuple[Coming, ...] = ()

    @property
    def on_hand_soon(self) -> int:
        """Return what there is by the item's horizon.

        What a lot owes counts from its first day on, as without a horizon.
        """
        return self.on_hand + max(0, self.coming)

    def comes_by(self, horizon_s: int) -> int:
        """Return what comes (>= 0) by a horizon that a listing of the item says."""
        return max(0, dict(self.coming_by).get(horizon_s, 0))

    @property
    def key(self) -> str:
        """Return the shelf's key."""
        return shelf_key(self.sku, self.pool)


class MovementKind(StrEnum):
    """Why stock moved."""

    OPENING = "opening"
    RECEIPT = "receipt"
    BUILD_IN = "build-in"
    BUILD_OUT = "build-out"
    SALE = "sale"
    RETURN = "return"
    ADJUSTMENT = "adjustment"
    COUNT = "count"
    SCRAP = "scrap"
    TRANSFER = "transfer"


@quick
@dataclass(frozen=True, slots=True)
class StockMovement:
    """One signed line of the append-only ledger.

    `cause` names what brought it about (`order my-shopify/1001/1`, `cmd KEY`, `undo mv-7`);
    movements of one command share it. `id` is None until the store has written it. `undoes` is
    the id that it compensates. `lot` is None for what belongs to no lot. `owed` is what it has
    changed of what is still to be made by older bills, by version.
    """

    at: datetime
    sku: str
    quantity: int
    kind: MovementKind
    cause: str
    actor: str
    location: str = MAIN
    reason: str = ""
    undoes: int | None = None
    id: int | None = None
    lot: str | None = None
    owed: tuple[Owed, ...] = ()

    @property
    def is_note(self) -> bool:
        """Whether it only says what has become owed: it has moved nothing, nor counted."""
        return not self.quantity and bool(self.owed) and self.kind is MovementKind.ADJUSTMENT


class HoldState(StrEnum):
    """Where a hold stands; the table of transitions is in reservation/holds.py."""

    HELD = "held"
    SOLD = "sold"
    RELEASED = "released"
    EXPIRED = "expired"


@quick
@dataclass(frozen=True, slots=True)
class HoldLine:
    """Units of one item that a hold claims: `quantity` (>= 1) in its smallest unit.

    `bill` (>= 1) is the version of the item's bill that it was placed with, and goes by; of what is
    still to be placed it says nothing.
    """

    sku: str
    quantity: int
    # A key stands for what was asked for as it is written, in which no bill is.
    bill: int = field(default=1, repr=False)


@quick
@dataclass(frozen=True, slots=True)
class Hold:
    """Units that a person set aside: all of its lines or none, until somebody ends it.

    `id` is typeable (`hold-12`), `key` the idempotency key that it was placed with. No two lines
    name one item. It expires at `until` if nobody has ended it before; `ended_at` is None while it
    is held. `note` says what it is for, `reason` why it was last changed. `pool` is where its
    units are set aside.
    """

    id: int
    key: str
    lines: tuple[HoldLine, ...]
    placed_at: datetime
    until: datetime
    state: HoldState
    actor: str
    note: str = ""
    reason: str = ""
    ended_at: datetime | None = None
    pool: str = MAIN


class OrderVersion(NamedTuple):
    """How new a fact about an order is: the channel's own updated_at, then our fetch number.

    A webhook body has fetch number 0; fetches are numbered when sent, across restarts.
    """

    updated_at: datetime
    fetch: int


class ReservationState(StrEnum):
    """Where a reservation stands; the table of transitions is reservation/lifecycle.py."""

    COMMITTED = "committed"
    SHIPPED = "shipped"
    RELEASED = "released"


@quick
@dataclass(frozen=True, slots=True)
class Reservation:
    """The newest that is known of one order line, in the channel's (listing) units.

    `open` is demand: ordered, neither shipped, cancelled nor written off. `shipped` is what left
    for good (less returns put back on the shelf), `written_off` what was refunded without being
    put back. `deducted` is what the channel has taken off its field for this line and not put
    back. `baseline_shipped`, `baseline_written_off` moved before we first looked and move no
    stock of ours. `sku` and `field` are None while no listing is mapped to `order_key`.
    `order_state` is the channel's own word for the order. `bill` is the version of its item's bill
    of materials that it was made with, or the present one where that is not kept any more. `sent`:
    some of it has left, here or before we first looked, whatever came back since; not if the
    channel took the sending back.
    """

    key: ReservationKey
    version: OrderVersion
    order_key: str
    placed_at: datetime
    ordered: int
    open: int
    shipped: int
    written_off: int
    deducted: int
    state: ReservationState
    order_state: str = ""
    baseline_shipped: int = 0
    baseline_written_off: int = 0
    sku: str | None = None
    pack: int = 1
    field: FieldKey | None = None
    bill: int = 1
    sent: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Field:
    """What we believe of one number on a channel (conflict-protocol.md, State).

    `expected` (E), `hold`, `surplus`, `uneaten`, `uneaten_surplus` and `undeducted` are in the
    channel's units and, but for `expected`, >= 0; `expected` is None until first read.
    `revision` never restarts and rises with every change of `expected` or of the target.
    `observed`/`observed_at` is the last reading, `observed_date` the channel's own clock at it;
    `first_observed_at`/`first_observed_date` the reading that gave the first expected value.
    `written_at` is when the last write was settled, `gap_from`/`gap_until` the span by the
    channel's clock in which that write may have overwritten a sale (R10, read-set channels).
    `read_due_at`: a reading is wanted at this instant or later. `lost_compares` counts lost
    compares in a row and `sold_since_push` units deducted since the last push was opened (R7).
    `suspense_since` is when the present hold or surplus was first read, `suspense_reads` how many
    readings in a row have agreed with it (R4), `overwritten` units put back that our last write
    may have overwritten (R10). `doubt` is how much of the hold may be no sale: a write of our own
    without an answer explains it as well (R6), or a fact that was counted twice (R3). `let_go` are
    units of a hold that was let go and `let_go_date` the channel's clock at its reading: an order
    as old as that eats them, up to 60 days late (R4).
    Where open orders are kept apart from the number (R11), `surplus` are our own open units that
    the channel does not keep, and `risen` those of them that readings have found since a poll last
    told of all orders: what ended unheard is among them, and no other is given back for it.
    `surplus_date` is the channel's clock at the reading that first showed the present surplus.
    `overwritten_sold` are units taken off since the last reading of which our last write may have
    put the number back (R10).
    `unsure` are units that may be on sale there besides what is expected, until a reading has told:
    an order that ended may have put them back, or a write that compares nothing sold them twice.
    `unsure_since` is the reading since which only a poll is missing to tell.
    `first_observed_at` is None while the channel is in shadow. `shadowed` is the last target
    recorded there.
    """

    key: FieldKey
    sku: str
    pack: int
    expected: int | None = None
    hold: int = 0
    surplus: int = 0
    uneaten: int = 0
    undeducted: int = 0
    revision: int = 0
    observed: int | None = None
    observed_at: datetime | None = None
    observed_date: datetime | None = None
    first_observed_at: datetime | None = None
    first_observed_date: datetime | None = None
    suspense_since: datetime | None = None
    suspense_reads: int = 0
    overwritten: int = 0
    doubt: int = 0
    let_go: int = 0
    let_go_date: datetime | None = None
    written_at: datetime | None = None
    pushed_at: datetime | None = None
    gap_from: datetime | None = None
    gap_until: datetime | None = None
    read_due_at: datetime | None = None
    lost_compares: int = 0
    sold_since_push: int = 0
    shadowed: int | None = None
    adopted: bool = False
    parked_reason: str | None = None
    uneaten_surplus: int = 0
    surplus_date: datetime | None = None
    overwritten_sold: int = 0
    unsure: int = 0
    unsure_since: datetime | None = None
    risen: int = 0


@quick
@dataclass(frozen=True, slots=True)
class Dirty:
    """One field whose target differs from what it shows: no quantity, so it cannot go stale."""

    key: FieldKey
    revision: int
    due_at: datetime
    decrease: bool
    attempts: int = 0
    because: str = ""


class PushOutcomeKind(StrEnum):
    """How a push of one field ended."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate_limited"
    AUTH_FAILED = "auth_failed"
    REJECTED = "rejected"
    GONE = "gone"
    SHADOW = "shadow"


@quick
@dataclass(frozen=True, slots=True)
class Push:
    """What was sent for one field, committed before the call.

    `call_id` names the call and is its idempotency key, `position` the field's place in it.
    `expected` is E when sent, `target` what was sent, `terms` the derivation that sums to it.
    Open (in flight) while `settled_at` is None.
    """

    call_id: str
    position: int
    field: FieldKey
    expected: int
    target: int
    revision: int
    sent_at: datetime
    terms: tuple[tuple[str, int], ...] = ()
    settled_at: datetime | None = None
    outcome: PushOutcomeKind | None = None
    id: int | None = None


class DeliveryState(StrEnum):
    """Where a delivery of the inbox stands."""

    PENDING = "pending"
    APPLIED = "applied"
    QUARANTINED = "quarantined"


@quick
@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook delivery that was accepted.

    `digest` is SHA-256 over the body (hex): signed content, unlike any header. `order_id` is
    what a hint points at. `body` is kept, encrypted, only while it cannot be applied.
    """

    channel: str
    digest: str
    topic: str
    received_at: datetime
    state: DeliveryState
    reason: str = ""
    order_id: str | None = None
    body: bytes | None = None
    id: int | None = None


class DriftClass(StrEnum):
    """What a difference between expected and observed turned out to be."""

    UNSEEN_SALE = "unseen_sale"
    UNSEEN_RISE = "unseen_rise"
    LOST_PUSH = "lost_push"
    MANUAL_EDIT = "manual_edit"


@quick
@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between what we expected on a field and what was observed."""

    field: FieldKey
    expected: int
    observed: int
    drift_class: DriftClass
    opened_at: datetime
    resolution: str = ""
    closed_at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A channel's renewed access as it is stored: its tokens `sealed`, and who may renew them.

    `version` (>= 1) rises with every write, and a write names the version that it replaces.
    `origin` are digests of what the configuration has begun with, newest first and a blank between
    them, so that a changed one is noticed. Whoever has taken the lease alone may renew until
    `leased_until`.
    """

    channel: str
    version: int
    sealed: bytes = field(repr=False)
    origin: str
    leased_until: datetime | None = None


@quick
@dataclass(frozen=True, slots=True)
class HeardBy:
    """How long a channel's newest orders took from being placed to being known, in seconds.

    `way` is "webhook" or "poll": what told of them first. `orders` (>= 1) is how many there were.
    """

    way: str
    p50: float
    p95: float
    orders: int


LOOK_AT = "look-at:"
"""How the key of a channel's note begins that says what a person should look at in a field's
listing, though its number was written; the field's key follows. It stands until `resync`."""


@quick
@dataclass(frozen=True, slots=True)
class ChannelState:
    """What is durably known of a channel as a whole.

    `started_date` is the channel's own clock at our first poll: units that had shipped in orders
    placed before it are history. `cursor` is the order poll's position. `polled_begun_at` is
    when (our clock) the last complete poll began; `polls_complete` counts them.
    `health` is how the daemon last saw it, `health_reason` says why where it is not OK. `heard` has
    each way by which orders have become known since the daemon began.
    """

    name: str
    started_date: datetime | None = None
    cursor: str | None = None
    polled_begun_at: datetime | None = None
    previous_poll_begun_at: datetime | None = None
    last_order_at: datetime | None = None
    health: Health = Health.OK
    health_reason: str = ""
    heard: tuple[HeardBy, ...] = ()
