"""What the core looks at while it decides: the catalogue and the gathered rows, never mutated.

`after(decision)` gives the view that the next command of the same transaction decides on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from stockpush.messages import Decision, Rows
from stockpush.model import ChannelState, Dirty, Field, FieldKey, Push, Reservation, Shelf, replace
from stockpush.reservation import atp as netting
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.catalogue import build as build_catalogue

K = TypeVar("K")
V = TypeVar("V")
_Order: TypeAlias = tuple[str, str]
"""Channel and order id."""


@dataclass(frozen=True, slots=True)
class View:
    """Rows of one transaction over one catalogue."""

    catalogue: Catalogue
    rows: Rows
    _lines: Mapping[_Order, tuple[Reservation, ...]] | None = None
    """The reservations by order; None: to be found when the view is made."""

    def __post_init__(self) -> None:
        if self._lines is None:
            object.__setattr__(self, "_lines", _by_order({}, self.rows.reservations.values()))

    def lines(self, channel: str, order_id: str) -> tuple[Reservation, ...]:
        """Return the order's reservations; they are found without a look at any other order's."""
        assert self._lines is not None
        return self._lines.get((channel, order_id), ())

    def shelf(self, sku: str) -> Shelf:
        """Return the item's shelf; an item never stocked has an empty one."""
        return self.rows.shelves.get(sku) or Shelf(sku)

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
        fields = self.rows.fields
        return sum(
            fields[key].hold * fields[key].pack
            for key in self.catalogue.fields_of.get(sku, ())
            if key in fields
        )

    def demand(self, sku: str) -> int:
        """Return D of the item, smallest units: open reservations and suspense holds."""
        return self.shelf(sku).reserved + self.suspense(sku)

    def net(self, skus: Iterable[str]) -> netting.Netting:
        """Net the whole groups of `skus` at their present stock and demand."""
        group = self.catalogue.group(skus)
        return netting.net(
            self.catalogue.bills,
            {sku: self.shelf(sku).on_hand for sku in group},
            {sku: self.demand(sku) for sku in group},
            group,
        )

    def after(self, decision: Decision) -> View:
        """Return the view as it stands once `decision` is written."""
        rows = self.rows
        changed = replace(
            rows,
            shelves=_put(rows.shelves, decision.shelves, lambda row: row.sku),
            fields=_put(rows.fields, decision.fields, lambda row: row.key),
            reservations=_put(rows.reservations, decision.reservations, lambda row: row.key),
            deliveries=_put(
                rows.deliveries, decision.deliveries, lambda row: (row.channel, row.digest)
            ),
            commands=_put(rows.commands, decision.commands, lambda row: row.key),
            channels=_put(rows.channels, decision.channels, lambda row: row.name),
            moved=rows.moved | {row.sku for row in decision.movements},
            undone=rows.undone
            | {row.undoes for row in decision.movements if row.undoes is not None},
            dirty=_outbox(rows, decision),
            in_flight=_in_flight(rows, decision),
        )
        assert self._lines is not None
        lines = _by_order(self._lines, decision.reservations)
        return View(_catalogue(self.catalogue, decision), changed, lines)


def _by_order(
    known: Mapping[_Order, tuple[Reservation, ...]], changed: Iterable[Reservation]
) -> Mapping[_Order, tuple[Reservation, ...]]:
    """Return the orders' reservations with the changed ones in place."""
    lines: dict[_Order, dict[str, Reservation]] = {}
    for row in changed:
        order = (row.key.channel, row.key.order_id)
        if order not in lines:
            lines[order] = {each.key.line_id: each for each in known.get(order, ())}
        lines[order][row.key.line_id] = row
    return {**known, **{order: tuple(rows.values()) for order, rows in lines.items()}}


def _put(known: Mapping[K, V], changed: Sequence[V], key: Callable[[V], K]) -> Mapping[K, V]:
    """Return the rows with the changed ones in place."""
    return {**known, **{key(row): row for row in changed}} if changed else known


def _outbox(rows: Rows, decision: Decision) -> Mapping[FieldKey, Dirty]:
    """Return the outbox after the decision."""
    if not (decision.clean or decision.dirty):
        return rows.dirty
    cleaned = {
        key
        for key, revision in decision.clean
        if key in rows.dirty and rows.dirty[key].revision == revision
    }
    kept = {key: row for key, row in rows.dirty.items() if key not in cleaned}
    return _put(kept, decision.dirty, lambda row: row.key)


def _in_flight(rows: Rows, decision: Decision) -> Mapping[FieldKey, Push]:
    """Return the open pushes after the decision."""
    if not decision.pushes:
        return rows.in_flight
    settled = {push.field for push in decision.pushes if push.settled_at is not None}
    kept = {key: push for key, push in rows.in_flight.items() if key not in settled}
    opened = [push for push in decision.pushes if push.settled_at is None]
    return _put(kept, opened, lambda row: row.field)


def _catalogue(catalogue: Catalogue, decision: Decision) -> Catalogue:
    """Return the catalogue after the decision's upserts."""
    if not (decision.items or decision.bills or decision.listings):
        return catalogue
    return build_catalogue(
        catalogue.revision + 1,
        _put(catalogue.items, decision.items, lambda row: row.sku).values(),
        _put(catalogue.bills.by_item, decision.bills, lambda row: row.item).values(),
        _put(catalogue.listings, decision.listings, lambda row: row.key).values(),
        catalogue.policies,
    )
