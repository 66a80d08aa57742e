"""What the core looks at while it decides: the catalogue and the gathered rows, never mutated.

Wherever stock or demand is asked for, `sku` is the key of a shelf (`model.shelf_key`): an item's in
the pool MAIN is its SKU.

`after(decision)` gives the view that the next command of the same transaction decides on, and
`Unfolding` the views of many commands, one after the other.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar, cast

from stockpush.messages import Decision, Rows
from stockpush.model import (
    BillOfMaterials,
    ChannelState,
    DeliveryState,
    Feed,
    Field,
    FieldKey,
    Reservation,
    Rest,
    Shelf,
    pool_of,
    shelf_key,
    sku_of,
)
from stockpush.reservation import atp as netting
from stockpush.reservation import older
from stockpush.reservation.bom import item_of
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.catalogue import build as build_catalogue
from stockpush.values import replace

K = TypeVar("K")
V = TypeVar("V")
_Order: TypeAlias = tuple[str, str]
"""Channel and order id."""
ARRAYS_MIN = 1_000
"""From so many items on they are netted in arrays: below that it is not quicker."""
_SUSPENDED: Final = "suspended"
_UNREAD = frozenset({DeliveryState.PENDING, DeliveryState.QUARANTINED})
"""States of a delivery whose order is not known yet."""


@dataclass(frozen=True, slots=True)
class View:
    """Rows of one transaction over one catalogue."""

    catalogue: Catalogue
    rows: Rows
    _lines: Mapping[_Order, tuple[Reservation, ...]] | None = None
    """The reservations by order; None: to be found when the view is made."""
    memory: dict[object, object] = attribute(default_factory=dict, compare=False, repr=False)
    """What has been found so far of what follows from the rest."""

    def __post_init__(self) -> None:
        if self._lines is None:
            object.__setattr__(self, "_lines", _by_order({}, self.rows.reservations.values()))

    @property
    def orders(self) -> Mapping[_Order, tuple[Reservation, ...]]:
        """Return the reservations by channel and order id."""
        assert self._lines is not None
        return self._lines

    def lines(self, channel: str, order_id: str) -> tuple[Reservation, ...]:
        """Return the order's reservations; they are found without a look at any other order's."""
        return self.orders.get((channel, order_id), ())

    def shelf(self, sku: str) -> Shelf:
        """Return the shelf; of an item never stocked there it is an empty one."""
        return self.rows.shelves.get(sku) or Shelf(sku_of(sku), pool=pool_of(sku))

    def field(self, key: FieldKey) -> Field | None:
        """Return the field's row, None while it has none."""
        return self.rows.fields.get(key)

    def channel(self, name: str) -> ChannelState:
        """Return the channel's durable state; a channel never polled has an empty one."""
        return self.rows.channels.get(name) or ChannelState(name)

    def has_unread(self, channel: str) -> bool:
        """Answer whether an order of the channel may be among what has not been read yet."""
        return channel in self.rows.unread

    def suspense(self, sku: str) -> int:
        """Return the units of the item (smallest units) that channels seem to have sold untold."""
        return self._suspended().get(sku, 0)

    def _suspended(self) -> Mapping[str, int]:
        """Return the units in suspense by shelf, where there are any; found once."""
        known = self.memory.get(_SUSPENDED)
        if known is None:
            found = Counter[str]()
            catalogue = self.catalogue
            for key, row in self.rows.fields.items():
                listings = catalogue.listings_on.get(key, ()) if row.hold else ()
                for shelf in {catalogue.shelf_on(key.channel, each.sku) for each in listings}:
                    found[shelf] += row.hold * row.pack
            known = self.memory[_SUSPENDED] = found
        return cast("Mapping[str, int]", known)

    def demand(self, sku: str) -> int:
        """Return D of the item, smallest units: open reservations, holds and suspense holds."""
        shelf = self.shelf(sku)
        return shelf.reserved + shelf.held + self.suspense(sku)

    def short(self) -> tuple[str, ...]:
        """Return the items, by SKU, of which more is demanded than is there, of those read."""
        read = {*self.rows.shelves, *self._suspended()}
        return tuple(sorted(sku for sku in read if self.demand(sku) > self.shelf(sku).on_hand))

    def net(self, skus: Iterable[str]) -> netting.Netting:
        """Net `skus` at their present stock and demand, with all that bears on them.

        That is their whole groups, or, where only a part of those was read, what they are made from
        and whatever else takes of it.
        """
        if self.rows.partial is not None:
            return self._net_part([sku for sku in skus if self.catalogue.knows(sku)])
        return self.net_more(self.catalogue.group(skus), {})

    def net_more(
        self,
        group: frozenset[str],
        more: Mapping[str, int],
        ahead: Mapping[str, netting.Ahead] = MappingProxyType({}),
    ) -> netting.Netting:
        """Net a whole group that was read whole, with `more` units of demand (signed) of some; of
        those in `ahead` as if they had these horizons.
        """
        on_hand, demand, ceilings, rests = self._standing(group, more, ahead)
        if len(group) >= ARRAYS_MIN:
            layout = self.catalogue.layout(group)
            at_once = layout.net(on_hand, demand, ceilings=ceilings, rests=rests)
            if at_once is not None:
                return self._gated(self._timed(at_once, ahead), more)
        netted = netting.net(
            self.catalogue.netted, on_hand, demand, group, ceilings=ceilings, rests=rests
        )
        return self._gated(self._timed(netted, ahead), more)

    def ahead(self, sku: str, horizon_s: int | None) -> netting.Ahead:
        """Return how far ahead one looks on a shelf by a horizon that one of its item's listings
        has.
        """
        if horizon_s is None:
            return netting.Ahead(None, 0)
        shelf = self.shelf(sku)
        is_own = horizon_s == self.catalogue.horizons.get(sku)
        return netting.Ahead(
            horizon_s, max(0, shelf.coming) if is_own else shelf.comes_by(horizon_s)
        )

    def looking(self, net: netting.Netting, sku: str, horizon_s: int | None) -> netting.Netting:
        """Net a shelf again as if its item had another horizon, one that a listing of it has.

        `net` is a netting of it, perhaps with more demand than there is.
        """
        ahead = self.ahead(sku, horizon_s)
        on_hand, _, ceilings, _ = self._standing((sku,), ahead={sku: ahead})
        return netting.looking(
            net,
            sku,
            ahead,
            on_hand=on_hand,
            ceilings={sku: ceilings[sku]} if sku in ceilings else {},
        )

    def _gated(self, net: netting.Netting, more: Mapping[str, int]) -> netting.Netting:
        """Return a netting with what bounds it besides, at `more` units of demand (signed).

        Units that nobody has told the orders of may come as many orders as they can. Further orders
        take a supply when they are sent, so that nothing of what is still to come is for them.
        """
        gates = self.catalogue.gates
        if not gates:
            return net
        room = {
            supply: net.on_hand[supply] - net.demand[supply]
            for supply in self.catalogue.netted.gated
            if supply in net.on_hand
        }
        sold = Counter[str]()
        for field in self.rows.fields.values():
            shelf = self.catalogue.shelf_of(field.key) if field.hold else None
            if shelf is not None:
                sold[shelf] += field.hold * field.pack
        further = Counter[str]()
        for shelf in (more.keys() | sold.keys()) & gates.keys():
            units = max(0, sold[shelf] + more.get(shelf, 0))
            for gate in gates[shelf]:
                if gate.supply in room:
                    there = gate.taken_for(min(units, sold[shelf]))
                    room[gate.supply] -= there
                    further[gate.supply] += gate.taken_for(units) - there
        coming = net.times.coming
        for supply, soon in room.items():
            # What is sold already may wait for what comes, and has what is there first.
            now = max(soon - coming.get(supply, 0), min(0, soon))
            room[supply] = now - further[supply]
        return dataclasses.replace(net, gates=gates, room=room)

    def _timed(
        self,
        net: netting.Netting,
        ahead: Mapping[str, netting.Ahead] = MappingProxyType({}),
    ) -> netting.Netting:
        """Return the netting with what horizons ask of it, where any do."""
        catalogue, shelves = self.catalogue, self.rows.shelves
        if not (catalogue.horizons or ahead):
            return net
        coming = {
            sku: shelf.coming
            for sku in net.gross
            if (shelf := shelves.get(sku)) is not None and shelf.coming > 0
        }
        horizons, asked = catalogue.horizons, catalogue.asked
        if ahead:
            said = {sku: each.horizon_s for sku, each in ahead.items()}
            horizons = {sku: each for sku, each in horizons.items() if sku not in said}
            horizons |= {sku: each for sku, each in said.items() if each is not None}
            asked |= catalogue.netted.made_from(said)
            coming |= {sku: each.coming for sku, each in ahead.items()}
        return netting.asking(net, netting.Times(horizons, asked, coming))

    def _net_part(self, skus: Iterable[str]) -> netting.Netting:
        """Net what `skus`, and the items that are short, are made from."""
        return self.net_order(self.catalogue.netted.cones({*skus, *self.short()}))

    def net_order(
        self,
        part: tuple[str, ...],
        made: Mapping[str, BillOfMaterials] | None = None,
    ) -> netting.Netting:
        """Net a part of a large group: items in low-level order (`Bills.cones`), with what they are
        made from, and all that are short with that. `made` has all their bills, if they are known.
        """
        assert self.rows.partial is not None
        shelves = tuple(self.catalogue.shelves_among(part))
        unread = [sku for sku in shelves if sku not in self.rows.partial]
        assert not unread, f"shelves were not gathered for {unread[:5]}"
        on_hand, demand, ceilings, rests = self._standing(shelves)
        netted = netting.net_part(
            self.catalogue.netted, on_hand, demand, part, ceilings=ceilings, rests=rests, made=made
        )
        return self._gated(self._timed(netted), {})

    def _standing(
        self,
        shelves: Collection[str],
        more: Mapping[str, int] = MappingProxyType({}),
        ahead: Mapping[str, netting.Ahead] = MappingProxyType({}),
    ) -> tuple[
        Mapping[str, int], Mapping[str, int], Mapping[str, int], Mapping[str, Mapping[str, int]]
    ]:
        """Return stock, demand, promise rules and rests of some shelves as netting takes them.

        That of an item with older bills is shared among them. `more` is demand (signed) besides
        what there is; what is sold from now on goes by the present bill. Of those in `ahead` there
        is what is there by these horizons.
        """
        read, suspended = self.rows.shelves, self._suspended()
        on_hand, demand = dict.fromkeys(shelves, 0), dict.fromkeys(shelves, 0)
        for sku in shelves:
            if (row := read.get(sku)) is not None:
                on_hand[sku] = row.on_hand_soon
                demand[sku] = row.reserved + row.held
        for added in (suspended, more):
            for sku in added.keys() & demand.keys():
                demand[sku] += added[sku]
        for sku in ahead.keys() & on_hand.keys():
            on_hand[sku] = self.shelf(sku).on_hand + ahead[sku].coming
        ceilings, rests = self.catalogue.ceilings, self._rests(shelves)
        bills = self.catalogue.netted
        for sku in bills.older.keys() & on_hand.keys() if bills.older else ():
            pins = older.pinned(bills, self.shelf(sku))
            *others, own = older.parts(
                bills,
                sku,
                on_hand=on_hand[sku],
                demand=demand[sku],
                pinned={name: pin.units for name, pin in pins.items()},
                owed={name: pin.owed for name, pin in pins.items()},
            )
            for part in (*others, own):
                on_hand[part.name], demand[part.name] = part.on_hand, part.demand
            pool = pool_of(sku)
            rests |= {name: _by_shelf(pin.rests, pool) for name, pin in pins.items() if pin.rests}
            if sku in ceilings:
                most = max(0, ceilings[sku] - older.missing_of(others))
                ceilings = {**ceilings, sku: most}
        return on_hand, demand, ceilings, rests

    def part_demand(self, name: str) -> int:
        """Return what of `demand` goes by a shelf's present bill, or by an older one's name."""
        bills, sku = self.catalogue.netted, item_of(name)
        if sku not in bills.older:
            return self.demand(name)
        pins = older.pinned(bills, self.shelf(sku))
        if name != sku:
            return pins[name].units if name in pins else 0
        return self.demand(sku) - sum(pin.units for pin in pins.values())

    def _rests(self, skus: Iterable[str]) -> dict[str, dict[str, int]]:
        """Return what builds have left of roundings, by item and component, where they have."""
        return {
            sku: _by_shelf(shelf.rests, shelf.pool)
            for sku in skus
            if (shelf := self.rows.shelves.get(sku)) is not None and shelf.rests
        }

    def joined(self, more: Rows) -> View:
        """Return the view with rows that were read later; those that it has stay as they are."""
        rows = self.rows
        return View(
            self.catalogue,
            replace(
                rows,
                shelves={**more.shelves, **rows.shelves},
                fields={**more.fields, **rows.fields},
                dirty={**more.dirty, **rows.dirty},
                in_flight={**more.in_flight, **rows.in_flight},
                partial=None
                if rows.partial is None
                else rows.partial | (more.partial or frozenset()),
            ),
            self._lines,
        )

    def after(self, decision: Decision) -> View:
        """Return the view as it stands once `decision` is written."""
        unfolding = Unfolding(self)
        unfolding.take(decision)
        return unfolding.view


def _by_shelf(rests: Iterable[Rest], pool: str) -> dict[str, int]:
    """Return what builds in a pool have left of roundings, by the shelf of each component."""
    return {shelf_key(rest.component, pool): rest.ahead for rest in rests}


class Unfolding:
    """The view as it stands after each of several decisions.

    It has copies of its own of the rows, which it brings up to date where they are: copying a
    whole group's rows for each of its commands would cost as much as deciding them. So a view that
    was handed out is stale after the next `take`.
    """

    def __init__(self, view: View) -> None:
        """Begin with what `view` shows, which stays as it is."""
        rows = view.rows
        self._shelves = dict(rows.shelves)
        self._fields = dict(rows.fields)
        self._reservations = dict(rows.reservations)
        self._dirty = dict(rows.dirty)
        self._in_flight = dict(rows.in_flight)
        self._deliveries = dict(rows.deliveries)
        self._commands = dict(rows.commands)
        self._channels = dict(rows.channels)
        self._holds = dict(rows.holds)
        self._lots = dict(rows.lots)
        self._lines = dict(view.orders)
        self.view = View(
            view.catalogue,
            replace(
                rows,
                shelves=self._shelves,
                fields=self._fields,
                reservations=self._reservations,
                dirty=self._dirty,
                in_flight=self._in_flight,
                deliveries=self._deliveries,
                commands=self._commands,
                channels=self._channels,
                holds=self._holds,
                lots=self._lots,
            ),
            self._lines,
        )

    def take(self, decision: Decision) -> None:
        """Go on to the rows as they stand once `decision` is written."""
        self.view.memory.clear()
        for shelf in decision.shelves:
            self._shelves[shelf.key] = shelf
        for field in decision.fields:
            self._fields[field.key] = field
        for delivery in decision.deliveries:
            self._deliveries[delivery.channel, delivery.digest] = delivery
        for state in decision.channels:
            self._channels[state.name] = state
        for done in decision.commands:
            self._commands[done.key] = done
        for lot in decision.lots:
            self._lots[lot.key] = lot
        if decision.reservations:
            self._reservations.update((row.key, row) for row in decision.reservations)
            self._lines.update(_by_order(self._lines, decision.reservations))
        if decision.dirty or decision.clean or decision.pushes:
            self._take_outbox(decision)
        view = self.view
        unread = {row.channel for row in decision.deliveries if row.state in _UNREAD}
        if not unread <= view.rows.unread:
            rows = replace(view.rows, unread=view.rows.unread | unread)
            view = View(view.catalogue, rows, self._lines)
        if decision.movements:
            rows = replace(
                view.rows,
                moved=view.rows.moved | {row.sku for row in decision.movements},
                undone=view.rows.undone
                | {row.undoes for row in decision.movements if row.undoes is not None},
            )
            view = View(view.catalogue, rows, self._lines)
        if decision.holds:
            self._holds.update((row.id, row) for row in decision.holds)
            following = max(view.rows.next_hold, *(row.id + 1 for row in decision.holds))
            rows = replace(view.rows, next_hold=following)
            view = View(view.catalogue, rows, self._lines)
        if changes_catalogue(decision):
            view = View(_catalogue(view.catalogue, decision), view.rows, self._lines)
        self.view = view

    def _take_outbox(self, decision: Decision) -> None:
        """Go on to the outbox and the open pushes as they are then."""
        for key, revision in decision.clean:
            if key in self._dirty and self._dirty[key].revision == revision:
                del self._dirty[key]
        self._dirty.update((row.key, row) for row in decision.dirty)
        for push in decision.pushes:
            if push.settled_at is not None:
                self._in_flight.pop(push.field, None)
        self._in_flight.update(
            (push.field, push) for push in decision.pushes if push.settled_at is None
        )


def _by_order(
    known: Mapping[_Order, tuple[Reservation, ...]], changed: Iterable[Reservation]
) -> dict[_Order, tuple[Reservation, ...]]:
    """Return the orders of the changed reservations, each with all its reservations."""
    rows = tuple(changed)
    if len(rows) == 1 and (order := (rows[0].key.channel, rows[0].key.order_id)) not in known:
        return {order: rows}  # what most sales are
    lines: dict[_Order, dict[str, Reservation]] = {}
    for row in rows:
        order = (row.key.channel, row.key.order_id)
        if order not in lines:
            lines[order] = {each.key.line_id: each for each in known.get(order, ())}
        lines[order][row.key.line_id] = row
    return {order: tuple(of.values()) for order, of in lines.items()}


def _put(known: Iterable[V], changed: Iterable[V], key: Callable[[V], K]) -> Iterable[V]:
    """Return the rows with the changed ones in place."""
    return {key(row): row for each in (known, changed) for row in each}.values()


def changes_catalogue(decision: Decision) -> bool:
    """Answer whether the decision has rows of the catalogue."""
    return bool(
        decision.items
        or decision.bills
        or decision.listings
        or decision.locations
        or decision.feeds
        or decision.older_bills
        or decision.forgotten_bills
    )


def _catalogue(catalogue: Catalogue, decision: Decision) -> Catalogue:
    """Return the catalogue after the decision's upserts."""
    feeds = (Feed(channel, pool) for channel, pool in catalogue.feeds.items())
    kept = _put(catalogue.older_bills, decision.older_bills, lambda row: (row.item, row.version))
    return build_catalogue(
        catalogue.revision + 1,
        _put(catalogue.items.values(), decision.items, lambda row: row.sku),
        _put(catalogue.bills.by_item.values(), decision.bills, lambda row: row.item),
        _put(catalogue.listings.values(), decision.listings, lambda row: row.key),
        catalogue.policies,
        _put(catalogue.locations.values(), decision.locations, lambda row: row.name),
        (*feeds, *decision.feeds),
        [bill for bill in kept if (bill.item, bill.version) not in decision.forgotten_bills],
        stock=catalogue.stock,
        known=catalogue,
    )
