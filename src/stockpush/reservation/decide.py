"""The only door of the core: `needs` says what to gather, `decide` decides, `mark` marks.

Theory of operation. The engine opens a transaction and, for a whole group of commands, gathers
what they need (`needs`, then `widen` once the orders are known), decides them one after the
other, each on the rows as those before it leave them (`view.Unfolding`), and at the end marks the
fields whose target has changed, once for the group. Nothing here waits, reads a clock, throws dice
or touches a disk; the same commands over the same rows always give the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, assert_never

from stockpush.messages import (
    AdoptListings,
    ApplyOrders,
    BuildStock,
    Command,
    CountStock,
    Decision,
    ExpireHolds,
    FieldsUnreadable,
    ImportCatalogue,
    MoveStock,
    Needs,
    NoteGuardLevels,
    NoteHealth,
    NoteHeard,
    Observe,
    OpenPushes,
    OrderSeen,
    PlaceHold,
    QuantityHint,
    QuarantineLot,
    ReceiveDelivery,
    ReleaseHold,
    RenewHold,
    RequestReads,
    ResolveListings,
    Rows,
    SellHold,
    SettlePushes,
    StartChannel,
    TransferStock,
    TurnLots,
    UndoMovement,
)
from stockpush.model import MAIN, FieldKey, pool_of, shelf_key, sku_of
from stockpush.reservation import (
    drift,
    holds,
    lot_verbs,
    mapping,
    pushes,
    sales,
    sharing,
    stock_verbs,
)
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.pushes import mark
from stockpush.reservation.view import View
from stockpush.values import replace

__all__ = ["decide", "mark", "needs", "widen"]


def decide(view: View, command: Command, at: datetime) -> Decision:
    """Return everything that `command` changes, at instant `at`; the view is left as it was.

    A refusal is an outcome of the decision. Raises `CatalogueInvalid` for an import that cannot be.
    """
    match command:
        case ReceiveDelivery():
            return sales.receive(view, command, at)
        case ApplyOrders():
            return sales.apply_orders(view, command, at)
        case Observe():
            return drift.observe(view, command, at)
        case FieldsUnreadable():
            return mapping.park(view, command, at)
        case StartChannel():
            return pushes.start(view, command, at)
        case RequestReads():
            return drift.request_reads(view, command, at)
        case OpenPushes():
            return pushes.open_pushes(view, command, at)
        case SettlePushes():
            return pushes.settle_pushes(view, command, at)
        case NoteHealth():
            return sales.note_health(view, command)
        case NoteHeard():
            return sales.note_heard(view, command)
        case NoteGuardLevels():
            return sharing.note_levels(view, command)
        case MoveStock():
            return stock_verbs.move(view, command, at)
        case BuildStock():
            return stock_verbs.build(view, command, at)
        case CountStock():
            return stock_verbs.count(view, command, at)
        case TransferStock():
            return stock_verbs.transfer(view, command, at)
        case QuarantineLot():
            return lot_verbs.quarantine(view, command, at)
        case TurnLots():
            return lot_verbs.turn(view, command, at)
        case UndoMovement():
            return stock_verbs.undo(view, command, at)
        case PlaceHold():
            return holds.place(view, command, at)
        case RenewHold():
            return holds.renew(view, command, at)
        case ReleaseHold():
            return holds.release(view, command, at)
        case SellHold():
            return holds.sell(view, command, at)
        case ExpireHolds():
            return holds.expire(view, command, at)
        case ResolveListings():
            return mapping.resolve(view, command, at)
        case AdoptListings():
            return mapping.adopt(view, command, at)
        case ImportCatalogue():
            return mapping.import_catalogue(view, command, at)
        case _:
            assert_never(command)


_MOVING: Final = (
    *(ReceiveDelivery, ApplyOrders, MoveStock, BuildStock, CountStock, TransferStock),
    *(QuarantineLot, TurnLots),
)
"""What moves stock, or turns lots, of the items that it names."""


def needs(command: Command, catalogue: Catalogue) -> Needs:
    """Return the rows by which the command is found: orders, deliveries, commands, movements.

    Shelves and fields follow from them and from the catalogue: `widen`. Lots are asked for of items
    that have any, and that move.
    """
    asked = _named(command, catalogue)
    if isinstance(command, _MOVING):
        return replace(asked, lots=_lots_of(asked.skus, catalogue))
    return asked


def _lots_of(moving: Iterable[str], catalogue: Catalogue) -> frozenset[str]:
    """Return the items whose lots bear on what moves: those of these shelves, and what is built as
    they leave.
    """
    if not catalogue.lotted:
        return frozenset()
    found: set[str] = set()
    waiting = [sku_of(shelf) for shelf in moving]
    while waiting:
        sku = waiting.pop()
        if sku in found:
            continue
        found.add(sku)
        for name in (sku, *catalogue.bills.older.get(sku, ())):
            bill = catalogue.bills.made.get(name)
            if bill is not None and bill.backflush:
                waiting += (line.component for line in bill.lines)
        waiting += catalogue.bills.substitutes.get(sku, ())
    return catalogue.lotted & found


def _with_supplies(shelves: Iterable[str], catalogue: Catalogue) -> frozenset[str]:
    """Return shelves that an order sells from, with those of what it takes besides."""
    if not catalogue.per_order:
        return frozenset(shelves)
    found = set(shelves)
    for shelf in tuple(found):
        lines = catalogue.per_order.get(sku_of(shelf), ())
        found.update(shelf_key(line.supply, pool_of(shelf)) for line in lines)
    return frozenset(found)


def _named(command: Command, catalogue: Catalogue) -> Needs:
    """Return the rows that the command names."""
    match command:
        case ReceiveDelivery():
            orders = [seen for seen in command.seen if isinstance(seen, OrderSeen)]
            hints = [seen for seen in command.seen if isinstance(seen, QuantityHint)]
            return Needs(
                digests=frozenset([(command.delivery.channel, command.delivery.digest)]),
                orders=frozenset([(order.channel, order.order_id) for order in orders]),
                skus=_skus_named(orders, catalogue),
                fields=frozenset([FieldKey(seen.channel, seen.field_key) for seen in hints]),
            )
        case ApplyOrders():
            return Needs(
                orders=frozenset((command.channel, order.order_id) for order in command.orders)
                | frozenset((command.channel, order_id) for order_id, _ in command.gone),
                skus=_skus_named(command.orders, catalogue),
            )
        case Observe():
            return replace(
                _of_fields((seen.field for seen in command.seen), catalogue),
                unread=frozenset(seen.field.channel for seen in command.seen),
            )
        case FieldsUnreadable():
            return _of_fields((field for field, _ in command.problems), catalogue)
        case StartChannel():
            if command.part is not None:
                return _of_fields(command.part, catalogue)
            if pushes.starts_in_parts(command.channel, catalogue):
                return Needs()
            started = _of_fields(
                (key for key in catalogue.listings_on if key.channel == command.channel), catalogue
            )
            pool = catalogue.policies[command.channel].pool
            if pool in catalogue.pools and pool != catalogue.fed_by(command.channel):
                both = _everywhere(map(sku_of, started.skus), catalogue)
                started = replace(started, skus=both, open_on=frozenset({command.channel}))
            return replace(started, whole=started.skus)
        case RequestReads():
            return Needs(fields=frozenset(command.fields))
        case OpenPushes():
            together = [key for group in command.groups for key in group]
            return _of_fields([*command.fields, *together], catalogue)
        case SettlePushes():
            return _of_fields((settled.field for settled in command.settled), catalogue)
        case NoteHealth() | NoteHeard():
            return Needs()
        case NoteGuardLevels():
            return Needs(skus=frozenset(shelf for shelf, _ in command.levels))
        case MoveStock():
            return Needs(
                keys=frozenset({command.key}),
                skus=frozenset[str]().union(
                    *(
                        _moved_of(
                            move.sku, move.location, move.lot, command.pool or MAIN, catalogue
                        )
                        for move in command.moves
                    )
                ),
            )
        case BuildStock():
            bills = (command.sku, *catalogue.bills.older.get(command.sku, ()))
            lines = [line for name in bills for line in catalogue.bills.components(name)]
            pool = catalogue.pool_at(command.location or MAIN)
            moved = (command.sku, *(line.component for line in lines))
            return Needs(
                keys=frozenset({command.key}),
                skus=frozenset(shelf_key(sku, pool) for sku in moved),
            )
        case QuarantineLot():
            return Needs(skus=_everywhere([command.sku], catalogue))
        case TurnLots():
            return Needs(skus=_everywhere(command.skus, catalogue))
        case CountStock():
            return Needs(
                keys=frozenset({command.key}),
                skus=frozenset(
                    _moved_of(
                        command.sku, command.location, command.lot, command.pool or MAIN, catalogue
                    )
                ),
            )
        case TransferStock():
            return Needs(
                keys=frozenset({command.key}),
                skus=frozenset(
                    shelf_key(command.sku, catalogue.pool_at(place))
                    for place in (command.origin, command.destination)
                ),
            )
        case UndoMovement():
            return Needs(keys=frozenset({command.key}), movements=frozenset({command.movement_id}))
        case PlaceHold():
            return Needs(
                keys=frozenset({command.key}),
                hold_keys=frozenset({command.key}),
                skus=frozenset(shelf_key(line.sku, command.pool) for line in command.lines),
            )
        case RenewHold() | ReleaseHold() | SellHold():
            return Needs(keys=frozenset({command.key}), holds=frozenset({command.hold}))
        case ExpireHolds():
            return Needs(holds=frozenset(command.holds))
        case ResolveListings():
            return _of_resolved(command, catalogue)
        case AdoptListings():
            return Needs(
                skus=frozenset(
                    catalogue.shelf_on(key.channel, catalogue.listings[key].sku)
                    for key in command.listings
                    if key in catalogue.listings
                )
            )
        case ImportCatalogue():
            named = (
                {listing.sku for listing in command.listings}
                | {move.sku for move in command.opening}
                | {bill.item for bill in command.bills}
                | {line.component for bill in command.bills for line in bill.lines}
                | {
                    line.component
                    for bill in command.bills
                    if (old := catalogue.bills.by_item.get(bill.item)) is not None
                    for line in old.lines
                }
                | {
                    catalogue.listings[listing.key].sku
                    for listing in command.listings
                    if listing.key in catalogue.listings
                }
                | mapping.differently_promised(command, catalogue)
                | {bill.item for bill in catalogue.older_bills}
                | {line.component for bill in catalogue.older_bills for line in bill.lines}
            )
            resupplied = mapping.differently_supplied(command, catalogue)
            named |= resupplied
            # What every open order claims follows from the bills, so all of them are read.
            channels = {key.channel for key in catalogue.listings} if resupplied else ()
            shelves = _everywhere(named, catalogue)
            return Needs(
                skus=shelves,
                whole=shelves,
                moved=frozenset(move.sku for move in command.opening)
                | mapping.names_of_substitutes(command, catalogue),
                lots=mapping.looked_ahead(command, catalogue),
                lots_at=frozenset(
                    place.name
                    for place in command.locations
                    if place.name in catalogue.locations
                    and place != catalogue.locations[place.name]
                ),
                keys=frozenset({command.key}),
                open_on=frozenset(channels),
            )
        case _:
            assert_never(command)


def widen(asked: Needs, rows: Rows, catalogue: Catalogue) -> Needs:
    """Return the shelves and fields that follow from what was asked and found.

    Items come with all that share a material with them, and with every field that shows one of
    those: their targets may change. Of a large group only what bears on the items is read, and
    marking asks for the rest (`reach`).
    """
    sold = {
        catalogue.shelf_on(row.key.channel, row.sku)
        for row in rows.reservations.values()
        if row.sku is not None
    }
    moving = (
        set(_with_supplies(sold, catalogue))
        | {shelf_key(row.sku, catalogue.pool_at(row.location)) for row in rows.movements.values()}
        | {shelf_key(key.sku, catalogue.pool_at(key.location)) for key in rows.lots}
        | {shelf_key(line.sku, row.pool) for row in rows.holds.values() for line in row.lines}
    )
    if asked.lots_at or asked.open_on:
        # What lies or is open there may be another pool's from now on.
        moving |= _everywhere(map(sku_of, moving), catalogue)
    skus = (
        set(asked.skus)
        | moving
        | {
            sku
            for row in rows.reservations.values()
            if row.field is not None and (sku := catalogue.shelf_of(row.field)) is not None
        }
    )
    large = set()
    if not (asked.whole or asked.lots_at):
        # What is parted is parted among all that share a material.
        large = {sku for sku in skus if catalogue.is_large(sku) and not catalogue.is_split(sku)}
    group = catalogue.group(skus - large) | frozenset(skus)
    below: tuple[str, ...] = ()
    if large:
        below = catalogue.netted.cones({*large, *View(catalogue, rows).short()})
    return Needs(
        skus=group.union(catalogue.shelves_among(below)),
        # Of the others stock counts, and not where it lies: they do not move.
        lots=asked.lots | _lots_of(moving, catalogue),
        fields=catalogue.fields_showing(group)
        | asked.fields
        | frozenset(row.field for row in rows.reservations.values() if row.field is not None),
        leaders=frozenset(catalogue.leader(sku) for sku in large),
        orders=_whole_orders(asked, rows, catalogue),
    )


def _whole_orders(asked: Needs, rows: Rows, catalogue: Catalogue) -> frozenset[tuple[str, str]]:
    """Return the orders of which all lines tell what they take once: of some only a few were asked
    for.
    """
    # An import may be the first to name a supply.
    if not (catalogue.per_order and asked.order_keys) and not asked.open_on:
        return frozenset()
    return frozenset((row.key.channel, row.key.order_id) for row in rows.reservations.values())


def _everywhere(skus: Iterable[str], catalogue: Catalogue) -> frozenset[str]:
    """Return the shelves of some items in every pool."""
    return frozenset(shelf for sku in skus for shelf in catalogue.shelves_of(sku))


def _moved_of(
    sku: str, location: str | None, lot: str | None, pool: str, catalogue: Catalogue
) -> Iterable[str]:
    """Return the shelves of an item that moving it may change: of a lot that lies anywhere, all."""
    if location is not None:
        return (shelf_key(sku, catalogue.pool_at(location)),)
    return (shelf_key(sku, pool),) if lot is None else catalogue.shelves_of(sku)


def _skus_named(orders: Iterable[OrderSeen], catalogue: Catalogue) -> frozenset[str]:
    """Return the shelves of what is listed under the names of the orders' lines, and of what goes
    with it.
    """
    listed = [
        catalogue.shelf_on(order.channel, listing.sku)
        for order in orders
        for line in order.lines
        if (listing := catalogue.by_order_key.get((order.channel, line.order_key))) is not None
    ]
    return _with_supplies(listed, catalogue)


def _of_fields(fields: Iterable[FieldKey], catalogue: Catalogue) -> Needs:
    """Return the fields and the items they show."""
    keys = frozenset(fields)
    return Needs(
        fields=keys,
        skus=frozenset(sku for key in keys if (sku := catalogue.shelf_of(key)) is not None),
    )


def _of_resolved(command: ResolveListings, catalogue: Catalogue) -> Needs:
    """Return what resolving reads: the items, the fields told of, and the orders that waited."""
    known = [
        (resolved, catalogue.listings[resolved.listing])
        for resolved in command.resolved
        if resolved.listing in catalogue.listings
    ]
    return Needs(
        skus=_with_supplies(
            (catalogue.shelf_on(listing.key.channel, listing.sku) for _, listing in known),
            catalogue,
        ),
        fields=frozenset(
            FieldKey(resolved.listing.channel, resolved.field_key)
            for resolved, _ in known
            if resolved.field_key is not None
        ),
        order_keys=frozenset(
            (resolved.listing.channel, resolved.order_key)
            for resolved, _ in known
            if resolved.order_key is not None
        ),
    )
