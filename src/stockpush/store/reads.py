"""The read side: what the command line, the API and the dashboard show, as frozen values.

Each function reads one snapshot: a table that is printed is of one instant. Quantities of items
are in smallest units, those of fields in the channel's units, instants aware UTC; turning them
into the JSON of docs/interface.md, and computing ATP and offers, is for callers. Lists that grow
without bound come in pages, newest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, Select, Table, case, func, literal_column, null, select, tuple_
from sqlalchemy.sql import ColumnElement

from stockpush.messages import CommandDone, Rows
from stockpush.model import (
    LOOK_AT,
    MAIN,
    UNLOTTED,
    ChannelState,
    Delivery,
    DeliveryState,
    Drift,
    Field,
    FieldKey,
    Hold,
    HoldState,
    Lot,
    LotKey,
    Push,
    PushOutcomeKind,
    Reservation,
    Shelf,
    StockMovement,
    shelf_key,
)
from stockpush.store import rows, schema
from stockpush.store.reader import Reader, reading
from stockpush.store.rows import Row
from stockpush.store.sql import SqlStore
from stockpush.store.transaction import StoredCatalogue

K = TypeVar("K")
V = TypeVar("V")

PAGE_MAX: Final = 500
"""Most rows in one page."""
LATENCY_PUSHES: Final = 200
"""How many of a channel's newest settled pushes its latency is measured over."""


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """Some rows, newest first; `next` is the cursor of the following page, None at the end."""

    data: tuple[V, ...]
    next: int | None


# -- channels --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from sending a push to its settlement, over the channel's newest applied ones."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """What the database knows of a channel.

    `backlog` counts outbox rows, `pending` and `quarantined` inbox rows, `drifts` open ones;
    `adopted` and `parked` are among `listings`. `latency_s` is None before the first applied push.
    `look_at` is what a person should look at, by field key.
    """

    state: ChannelState
    listings: int = 0
    adopted: int = 0
    parked: int = 0
    backlog: int = 0
    in_flight: int = 0
    pending: int = 0
    quarantined: int = 0
    drifts: int = 0
    latency_s: Latency | None = None
    look_at: Mapping[str, str] = field(default_factory=dict)


async def channel_rows(store: SqlStore, names: Sequence[str]) -> tuple[ChannelRow, ...]:
    """Return one row per name, in that order; one that is not known yet has only zeros."""
    async with reading(store) as reader:
        return tuple([await _channel_row(reader, name) for name in names])


async def _channel_row(reader: Reader, name: str) -> ChannelRow:
    listing, push, delivery = schema.listing, schema.push, schema.delivery
    states = await reader.filtered(select(schema.channel), {schema.channel.c.name: name})

    async def count(table: Table, *where: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(table).where(*where)
        return int((await reader.filtered(query, {table.c.channel: name}))[0][0])

    def in_state(state: DeliveryState) -> ColumnElement[bool]:
        return delivery.c.state == literal_column(f"'{state.value}'")

    return ChannelRow(
        state=rows.read_channel(states[0]) if states else ChannelState(name),
        listings=await count(listing),
        adopted=await count(listing, listing.c.adopted == literal_column("1")),
        parked=await count(listing, listing.c.parked_reason.is_not(None)),
        backlog=await count(schema.dirty),
        in_flight=await count(push, push.c.settled_at.is_(None)),
        pending=await count(delivery, in_state(DeliveryState.PENDING)),
        quarantined=await count(delivery, in_state(DeliveryState.QUARANTINED)),
        drifts=await count(schema.drift, schema.drift.c.closed_at.is_(None)),
        latency_s=await _latency(reader, name),
        look_at=await _look_at(reader, name),
    )


async def _look_at(reader: Reader, channel: str) -> Mapping[str, str]:
    note = schema.note
    query = select(note.c.key, note.c.text).order_by(note.c.key)
    noted = await reader.filtered(query, {note.c.channel: channel})
    return {key.removeprefix(LOOK_AT): text for key, text in noted if key.startswith(LOOK_AT)}


async def _latency(reader: Reader, channel: str) -> Latency | None:
    push = schema.push
    applied: ColumnElement[str] = literal_column(f"'{PushOutcomeKind.APPLIED.value}'")
    query = (
        select(push.c.settled_at - push.c.sent_at)
        .where(push.c.outcome == applied)
        .where(push.c.settled_at.is_not(None))
        .order_by(push.c.id.desc())
    )
    found = await reader.filtered(query, {push.c.channel: channel}, limit=LATENCY_PUSHES)
    seconds = sorted(row[0] / 1_000_000 for row in found)
    if not seconds:
        return None
    return Latency(p50=_nearest_rank(seconds, 50), p95=_nearest_rank(seconds, 95))


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` of `ordered` do not exceed.

    >>> _nearest_rank([1.0, 2.0, 3.0, 4.0], 50)
    2.0
    """
    return ordered[-(-len(ordered) * percent // 100) - 1]


# -- lists in pages --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DriftRow:
    """A drift with the references of the listings that show its field, as the owner wrote them."""

    drift: Drift
    refs: tuple[Mapping[str, Any], ...]


async def deliveries(
    store: SqlStore,
    *,
    limit: int,
    before: int | None = None,
    channel: str | None = None,
    state: DeliveryState | None = None,
) -> Page[Delivery]:
    """Return deliveries without their bodies; `before` is the cursor of the page before."""
    table = schema.delivery
    # A body can be a megabyte; `delivery` reads one.
    query = select(*[null() if column.name == "body" else column for column in table.c])
    wanted = {table.c.channel: channel, table.c.state: None if state is None else state.value}
    async with reading(store) as reader:
        return await _page(reader, query, table, rows.read_delivery, wanted, limit, before)


async def delivery(store: SqlStore, delivery_id: int) -> Delivery | None:
    """Return one delivery with its body, as far as it is kept; None if there is none."""
    async with reading(store) as reader:
        found = await reader.filtered(select(schema.delivery), {schema.delivery.c.id: delivery_id})
    return rows.read_delivery(found[0]) if found else None


async def movements(
    store: SqlStore,
    *,
    limit: int,
    before: int | None = None,
    sku: str | None = None,
    since: datetime | None = None,
) -> Page[StockMovement]:
    """Return movements, of every item or of one, all or those written at `since` and later."""
    table = schema.movement
    wanted = {table.c.sku: sku}
    above = None if since is None else (table.c.at, rows.micros(since) - 1)
    async with reading(store) as reader:
        return await _page(
            reader, select(table), table, rows.read_movement, wanted, limit, before, above
        )


async def pushes(
    store: SqlStore,
    *,
    limit: int,
    before: int | None = None,
    channel: str | None = None,
    field_key: str | None = None,
) -> Page[Push]:
    """Return what was sent, on every channel, on one, or to one field of it."""
    table = schema.push
    wanted = {table.c.channel: channel, table.c.field_key: field_key}
    async with reading(store) as reader:
        return await _page(reader, select(table), table, rows.read_push, wanted, limit, before)


async def drifts(
    store: SqlStore,
    *,
    limit: int,
    before: int | None = None,
    channel: str | None = None,
    only_open: bool = False,
) -> Page[DriftRow]:
    """Return drifts, all or only those that are not closed, each with its listings."""
    table, listing = schema.drift, schema.listing
    query = select(table)
    if only_open:
        query = query.where(table.c.closed_at.is_(None))
    wanted = {table.c.channel: channel}
    async with reading(store) as reader:
        page = await _page(reader, query, table, rows.read_drift, wanted, limit, before)
        keys = sorted({drift.field for drift in page.data})
        found = await reader.of_fields(listing, rows.read_listing, keys)
    refs: defaultdict[FieldKey, list[Mapping[str, Any]]] = defaultdict(list)
    for each in found:
        refs[FieldKey(each.key.channel, each.field_key or "")].append(each.ref)
    return Page(tuple(DriftRow(drift, tuple(refs[drift.field])) for drift in page.data), page.next)


async def holds(
    store: SqlStore, *, limit: int, before: int | None = None, state: HoldState | None = None
) -> Page[Hold]:
    """Return holds, all or those in one state; `before` is the cursor of the page before."""
    table = schema.hold
    wanted = {table.c.state: None if state is None else state.value}
    async with reading(store) as reader:
        page = await _page(reader, select(table), table, tuple, wanted, limit, before)
        return Page(await _with_lines(reader, page.data), page.next)


async def hold(store: SqlStore, hold_id: int) -> Hold | None:
    """Return one hold, None if there is none."""
    table = schema.hold
    async with reading(store) as reader:
        found = await _with_lines(
            reader, await reader.filtered(select(table), {table.c.id: hold_id})
        )
    return found[0] if found else None


async def undo_of(store: SqlStore, movement_id: int) -> int | None:
    """Return the movement that undoes another one, None where none does."""
    table = schema.movement
    async with reading(store) as reader:
        found = await reader.filtered(select(table.c.id), {table.c.undoes: movement_id})
    return found[0][0] if found else None


async def _with_lines(reader: Reader, found: Sequence[Row]) -> tuple[Hold, ...]:
    """Return the holds of rows of `hold`."""
    lines = await reader.of_ids(schema.hold_line.c.hold_id, [row[0] for row in found])
    return rows.all_of(lambda: rows.read_holds(found, lines))


async def _page(
    reader: Reader,
    query: Select[Any],
    table: Table,
    read: Callable[[Row], V],
    wanted: Mapping[Column[Any], Any],
    limit: int,
    before: int | None,
    above: tuple[Column[int], int] | None = None,
) -> Page[V]:
    """Return at most `limit` (1 .. PAGE_MAX) rows below the row id `before`, and of which a column
    is larger than a value where that is given (`above`).
    """
    size = max(1, min(limit, PAGE_MAX))
    found = await reader.filtered(
        query.order_by(table.c.id.desc()),
        wanted,
        limit=size + 1,
        below=None if before is None else (table.c.id, before),
        above=above,
    )
    kept = found[:size]
    more = len(found) > size
    return Page(rows.each(read, kept), kept[-1][0] if more else None)


# -- everything that reports are computed from ------------------------------------------------


async def snapshot(store: SqlStore) -> tuple[StoredCatalogue, Rows]:
    """Return the catalogue and every shelf, field, outbox row, open push, channel state and hold
    that is held, of one instant: what the core computes ATP, offers and the plan from.
    """
    async with reading(store) as reader:
        return await _snapshot(reader)


async def _snapshot(reader: Reader) -> tuple[StoredCatalogue, Rows]:
    catalogue = await reader.catalogue()
    shelves = await reader.all(schema.shelf, rows.read_shelf)
    lots = await reader.all(schema.lot, rows.read_lot)
    fields = await reader.all(schema.field, rows.read_field)
    dirty = await reader.all(schema.dirty, rows.read_dirty)
    channels = await reader.all(schema.channel, rows.read_channel)
    pushes = await reader.open_pushes()
    held = await _open_holds(reader)
    return catalogue, Rows(
        shelves={row.key: row for row in shelves},
        fields={row.key: row for row in fields},
        dirty={row.key: row for row in dirty},
        in_flight={row.field: row for row in pushes},
        channels={row.name: row for row in channels},
        holds={row.id: row for row in held},
        lots={row.key: row for row in lots},
    )


async def _open_holds(reader: Reader) -> tuple[Hold, ...]:
    table = schema.hold
    query = select(table).order_by(table.c.id)
    found = await reader.filtered(query, {table.c.state: HoldState.HELD.value})
    return await _with_lines(reader, found)


async def moved(store: SqlStore) -> frozenset[str]:
    """Return the SKUs of the items that have any movement."""
    async with reading(store) as reader:
        return frozenset(
            sku for (sku,) in await reader.filtered(select(schema.movement.c.sku).distinct(), {})
        )


# -- what `why` needs ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenUnits:
    """An item's open units on one channel, in its smallest units, and of how many orders."""

    channel: str
    orders: int
    units: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the numbers of one item are made of, of one instant.

    `kept` are the rows of `snapshot`. `last` is the item's newest movement, `open` has every
    channel with open units of it, and `lines` its newest open order lines, newest first.
    """

    catalogue: StoredCatalogue
    kept: Rows
    last: StockMovement | None
    open: tuple[OpenUnits, ...]
    lines: tuple[Reservation, ...]


async def evidence(store: SqlStore, sku: str, *, lines_max: int) -> Evidence:
    """Return what explains the present numbers of an item, with at most `lines_max` lines."""
    movement, reservation = schema.movement, schema.reservation
    is_open: ColumnElement[bool] = reservation.c.open > literal_column("0")
    of_orders = func.count(reservation.c.order_id.distinct())
    opened = (
        select(reservation.c.channel, of_orders, func.sum(reservation.c.open * reservation.c.pack))
        .where(is_open)
        .group_by(reservation.c.channel)
        .order_by(reservation.c.channel)
    )
    newest = (
        select(reservation)
        .where(is_open)
        .order_by(reservation.c.placed_at.desc(), *reservation.primary_key)
    )
    last = select(movement).order_by(movement.c.id.desc())
    async with reading(store) as reader:
        catalogue, kept = await _snapshot(reader)
        moved = await reader.filtered(last, {movement.c.sku: sku}, limit=1)
        by_channel = await reader.filtered(opened, {reservation.c.sku: sku})
        lines = await reader.filtered(newest, {reservation.c.sku: sku}, limit=lines_max)
    return Evidence(
        catalogue,
        kept,
        last=rows.read_movement(moved[0]) if moved else None,
        open=tuple(OpenUnits(name, int(orders), int(units)) for name, orders, units in by_channel),
        lines=rows.each(rows.read_reservation, lines),
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since an instant, oldest first; `more_...` count what is left out.

    Of an order line only its newest version is kept: `orders` are those whose newest version is
    of a later instant, by the channel's clock.
    """

    movements: tuple[StockMovement, ...]
    more_movements: int
    orders: tuple[Reservation, ...]
    more_orders: int


@dataclass(frozen=True, slots=True)
class PastField:
    """A field's newest push at or before an instant, and what has changed since that push.

    `oldest_at` is when the oldest push that is kept was sent. Without a push `since` is None.
    """

    push: Push | None
    oldest_at: datetime | None
    since: Changes | None


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an item's numbers at an earlier instant, read at one instant.

    `on_hand` is the sum of its movements up to then, `lots` that of those of it that name a lot or
    a location besides MAIN, `last` the newest of them; `fields` has every field that now shows the
    item.
    """

    catalogue: StoredCatalogue
    kept: Rows
    on_hand: int
    lots: Mapping[LotKey, int]
    last: StockMovement | None
    fields: Mapping[FieldKey, PastField]


async def past(
    store: SqlStore,
    sku: str,
    *,
    at: datetime,
    moved: Collection[str],
    ordered: Collection[str],
    changes_max: int,
) -> Past:
    """Return what is known of an item's numbers at `at`.

    The changes since are movements of the items `moved` and orders of the items `ordered`, at
    most `changes_max` of each, neither of which may be empty.
    """
    movement, until = schema.movement, rows.micros(at) + 1
    place = (movement.c.location, movement.c.lot)
    totals = select(*place, func.sum(movement.c.quantity)).group_by(*place)
    newest = select(movement).order_by(movement.c.id.desc())
    of_item, by_then = {movement.c.sku: sku}, (movement.c.at, until)
    since: dict[datetime, Changes] = {}
    fields: dict[FieldKey, PastField] = {}
    async with reading(store) as reader:
        catalogue, kept = await _snapshot(reader)
        summed = await reader.filtered(totals, of_item, below=by_then)
        last = await reader.filtered(newest, of_item, below=by_then, limit=1)
        for key in sorted(
            {
                FieldKey(each.key.channel, each.field_key)
                for each in catalogue.listings
                if each.sku == sku and each.field_key is not None
            }
        ):
            push, oldest_at = await _push_by(reader, key, until)
            if push is not None and push.sent_at not in since:
                since[push.sent_at] = Changes(
                    *await _changes(
                        reader, movement, rows.read_movement, "at", push.sent_at, moved, changes_max
                    ),
                    *await _changes(
                        reader,
                        schema.reservation,
                        rows.read_reservation,
                        "updated_at",
                        push.sent_at,
                        ordered,
                        changes_max,
                    ),
                )
            changes = None if push is None else since[push.sent_at]
            fields[key] = PastField(push, oldest_at, changes)
    return Past(
        catalogue,
        kept,
        on_hand=sum(int(total) for *_, total in summed),
        lots={
            LotKey(sku, location, lot or UNLOTTED): int(total)
            for location, lot, total in summed
            if lot is not None or location != MAIN
        },
        last=rows.read_movement(last[0]) if last else None,
        fields=fields,
    )


async def _push_by(
    reader: Reader, key: FieldKey, until: int
) -> tuple[Push | None, datetime | None]:
    """Return a field's newest push sent before `until`, and when its oldest kept one was sent."""
    push = schema.push
    of_field = {push.c.channel: key.channel, push.c.field_key: key.key}
    newest, oldest = select(push).order_by(push.c.id.desc()), select(push.c.sent_at)
    found = await reader.filtered(newest, of_field, below=(push.c.sent_at, until), limit=1)
    first = await reader.filtered(oldest.order_by(push.c.id), of_field, limit=1)
    return (
        rows.read_push(found[0]) if found else None,
        rows.instant(first[0][0]) if first else None,
    )


async def _changes(
    reader: Reader,
    table: Table,
    read: Callable[[Row], V],
    instant: str,
    since: datetime,
    skus: Collection[str],
    limit: int,
) -> tuple[tuple[V, ...], int]:
    """Return the oldest rows of some items after an instant, and how many more there are."""
    column = table.c[instant]
    after = (column, rows.micros(since))
    oldest = select(table).order_by(column, *table.primary_key)
    found = await reader.filtered(oldest, {}, among=(table.c.sku, skus), above=after, limit=limit)
    if len(found) < limit:
        return rows.each(read, found), 0
    count = select(func.count()).select_from(table)
    counted = await reader.filtered(count, {}, among=(table.c.sku, skus), above=after)
    return rows.each(read, found), int(counted[0][0]) - len(found)


# -- what `check` needs ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Audit:
    """Balances as kept and as recomputed, of one instant; `check` compares them.

    By shelf, in smallest units: `shelves` as kept, `moved` the sum of the movements in its pool,
    `open` the sum of open x pack on the pool's channels, `held` that of the lines of open holds,
    `open_by_bill` both by (shelf, version of the bill), and so `owed`, what the movements have
    changed of what is owed by older bills. By lot: `lots` as kept, `lots_moved` the
    sum of the movements that name it and its location. By field, in the channel's units: `fields`
    as kept, `undeducted` the sum over the field's reservations of what
    `reservation.orders.undeducted` says of each. A key without rows is absent.
    """

    shelves: Mapping[str, Shelf]
    moved: Mapping[str, int]
    open: Mapping[str, int]
    held: Mapping[str, int]
    fields: Mapping[FieldKey, Field]
    undeducted: Mapping[FieldKey, int]
    lots: Mapping[LotKey, Lot] = field(default_factory=dict)
    lots_moved: Mapping[LotKey, int] = field(default_factory=dict)
    in_open_orders: tuple[Reservation, ...] = ()
    """All lines of every open order, where any item names supplies of orders."""
    open_by_bill: Mapping[tuple[str, int], int] = field(default_factory=dict)
    owed: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BookRows:
    """Every movement, shelf, reservation, command, hold and lot, of one instant.

    For `check --deep`.
    """

    movements: tuple[StockMovement, ...]
    shelves: tuple[Shelf, ...]
    reservations: tuple[Reservation, ...]
    commands: tuple[CommandDone, ...]
    holds: tuple[Hold, ...]
    lots: tuple[Lot, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckRows:
    """Everything that `check` compares, of one instant; `books` only where they were asked for.

    `movements`, `reservations` and `holds` count the rows that were summed up.
    """

    catalogue: StoredCatalogue
    kept: Rows
    audit: Audit
    movements: int
    reservations: int
    holds: int
    books: BookRows | None


async def check_rows(store: SqlStore, *, deep: bool) -> CheckRows:
    """Return what is kept and what the database sums up below it; `deep`: the whole ledger too."""
    async with reading(store) as reader:
        catalogue, kept = await _snapshot(reader)
        return CheckRows(
            catalogue,
            kept,
            await _audit(reader, catalogue),
            movements=await _count(reader, schema.movement),
            reservations=await _count(reader, schema.reservation),
            holds=await _count(reader, schema.hold),
            books=await _books(reader) if deep else None,
        )


async def audit(store: SqlStore) -> Audit:
    """Return what is kept next to what the rows below it add up to, summed by the database."""
    async with reading(store) as reader:
        return await _audit(reader, await reader.catalogue())


async def books(store: SqlStore) -> BookRows:
    """Return the whole ledger with what was derived from it, each by key."""
    async with reading(store) as reader:
        return await _books(reader)


async def _audit(reader: Reader, catalogue: StoredCatalogue) -> Audit:
    movement, reservation = schema.movement, schema.reservation
    at = (movement.c.sku, movement.c.location)
    moved = select(*at, func.sum(movement.c.quantity)).group_by(*at)
    on = (reservation.c.sku, reservation.c.channel, reservation.c.bill)
    opened = (
        select(*on, func.sum(reservation.c.open * reservation.c.pack))
        .where(reservation.c.sku.is_not(None))
        .group_by(*on)
    )
    line, kept = schema.hold_line, schema.hold
    among = (line.c.sku, kept.c.pool, line.c.bill)
    held = (
        select(*among, func.sum(line.c.quantity))
        .select_from(line.join(kept, kept.c.id == line.c.hold_id))
        .where(kept.c.state == literal_column(f"'{HoldState.HELD.value}'"))
        .group_by(*among)
    )
    pools = {place.name: place.pool for place in catalogue.locations}
    feeds = dict(catalogue.feeds)
    # What was deducted covers first the units that have left, then the open ones.
    nothing: ColumnElement[int] = literal_column("0")
    spare = reservation.c.deducted - reservation.c.shipped - reservation.c.written_off
    missing = reservation.c.open - case((spare > nothing, spare), else_=nothing)
    undeducted = (
        select(reservation.c.channel, reservation.c.field_key, func.sum(missing))
        .where(reservation.c.field_key.is_not(None))
        .where(missing > nothing)
        .group_by(reservation.c.channel, reservation.c.field_key)
    )
    named = movement.c.lot.is_not(None) | (movement.c.location != literal_column(f"'{MAIN}'"))
    place = (movement.c.sku, movement.c.location, movement.c.lot)
    by_lot = select(*place, func.sum(movement.c.quantity)).where(named).group_by(*place)
    is_open: ColumnElement[bool] = reservation.c.open > nothing
    open_orders = select(reservation.c.channel, reservation.c.order_id).where(is_open)
    of_open = select(reservation).where(
        tuple_(reservation.c.channel, reservation.c.order_id).in_(open_orders)
    )
    owing = select(movement).where(movement.c.owed.is_not(None))
    named_once = any(item.per_order for item in catalogue.items)
    shelves = await reader.all(schema.shelf, rows.read_shelf)
    lots = await reader.all(schema.lot, rows.read_lot)
    fields = await reader.all(schema.field, rows.read_field)
    claimed = [
        (shelf_key(sku, feeds.get(channel, MAIN)), bill, total)
        for sku, channel, bill, total in await reader.filtered(opened, {})
    ]
    set_aside = [
        (shelf_key(sku, pool), bill, total)
        for sku, pool, bill, total in await reader.filtered(held, {})
    ]
    return Audit(
        shelves={shelf.key: shelf for shelf in shelves},
        moved=_summed(
            (shelf_key(sku, pools.get(location, MAIN)), total)
            for sku, location, total in await reader.filtered(moved, {})
        ),
        open=_summed((shelf, total) for shelf, _, total in claimed),
        open_by_bill=_summed(
            ((shelf, bill), total) for shelf, bill, total in (*claimed, *set_aside)
        ),
        owed=_summed(
            ((shelf_key(row.sku, each.pool), each.version), each.units)
            for row in rows.each(rows.read_movement, await reader.filtered(owing, {}))
            for each in row.owed
        ),
        held=_summed((shelf, total) for shelf, _, total in set_aside),
        fields={field.key: field for field in fields},
        undeducted={
            FieldKey(channel, key): int(total)
            for channel, key, total in await reader.filtered(undeducted, {})
        },
        lots={lot.key: lot for lot in lots},
        lots_moved={
            LotKey(sku, location, lot or UNLOTTED): int(total)
            for sku, location, lot, total in await reader.filtered(by_lot, {})
        },
        in_open_orders=(
            rows.each(rows.read_reservation, await reader.filtered(of_open, {}))
            if named_once
            else ()
        ),
    )


def _summed(parts: Iterable[tuple[K, Any]]) -> dict[K, int]:
    """Return the sum of the parts of each key."""
    totals: defaultdict[K, int] = defaultdict(int)
    for key, total in parts:
        totals[key] += int(total)
    return dict(totals)


async def _count(reader: Reader, table: Table) -> int:
    return int((await reader.filtered(select(func.count()).select_from(table), {}))[0][0])


async def _books(reader: Reader) -> BookRows:
    return BookRows(
        movements=await reader.all(schema.movement, rows.read_movement),
        shelves=await reader.all(schema.shelf, rows.read_shelf),
        reservations=await reader.all(schema.reservation, rows.read_reservation),
        commands=await reader.all(schema.command, rows.read_command),
        holds=await _with_lines(
            reader, await reader.filtered(select(schema.hold).order_by(schema.hold.c.id), {})
        ),
        lots=await reader.all(schema.lot, rows.read_lot),
    )
