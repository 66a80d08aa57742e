"""Several decisions as one set of changes: of whole rows with one key, the last stands.

Rows keep the order in which their keys were first written, so the same decisions always make the
same statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from stockpush.messages import Decision
from stockpush.model import (
    BillOfMaterials,
    ChannelState,
    Delivery,
    Dirty,
    Drift,
    Feed,
    Field,
    FieldKey,
    Hold,
    Item,
    Listing,
    Location,
    Lot,
    LotKey,
    Push,
    Reservation,
    ReservationKey,
    Shelf,
)
from stockpush.values import replace

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a list of decisions writes, each row once. Movements and commands are not in it:
    their rows depend on ids that are taken per decision.
    """

    items: tuple[Item, ...]
    bills: tuple[BillOfMaterials, ...]
    listings: tuple[Listing, ...]
    locations: tuple[Location, ...]
    feeds: tuple[Feed, ...]
    older_bills: tuple[BillOfMaterials, ...]
    """To be written after `forgotten_bills` are deleted."""
    forgotten_bills: frozenset[tuple[str, int]]
    lots: Mapping[LotKey, Lot]
    shelves: Mapping[str, Shelf]
    fields: Mapping[FieldKey, Field]
    reservations: Mapping[ReservationKey, Reservation]
    holds: Mapping[int, Hold]
    dirty: Mapping[FieldKey, Dirty]
    clean: tuple[tuple[FieldKey, int], ...]
    """Deletions by revision, to be run after the outbox rows of `dirty` are written."""
    pushes_settled: tuple[Push, ...]
    pushes_opened: tuple[Push, ...]
    arrived: tuple[Delivery, ...]
    """New inbox rows."""
    kept: tuple[Delivery, ...]
    """Known inbox rows with a new state."""
    deliveries_applied: tuple[tuple[int, datetime], ...]
    drifts_closed: tuple[Drift, ...]
    """Closings of whatever is open of their fields, to be run before `drifts_new` is written."""
    drifts_new: tuple[Drift, ...]
    channels: Mapping[str, ChannelState]


def fold(decisions: Sequence[Decision]) -> Changes:
    """Return the changes of `decisions`, made in order."""
    dirty, clean = _fold_outbox(decisions)
    drifts_closed, drifts_new = _fold_drifts(decisions)
    pushes = [push for decision in decisions for push in decision.pushes]
    deliveries = [delivery for decision in decisions for delivery in decision.deliveries]
    return Changes(
        items=_last({item.sku: item for d in decisions for item in d.items}),
        bills=_last({bill.item: bill for d in decisions for bill in d.bills}),
        listings=_last({each.key: each for d in decisions for each in d.listings}),
        locations=_last({each.name: each for d in decisions for each in d.locations}),
        feeds=_last({each.channel: each for d in decisions for each in d.feeds}),
        older_bills=_last(
            {(bill.item, bill.version): bill for d in decisions for bill in d.older_bills}
        ),
        forgotten_bills=frozenset(each for d in decisions for each in d.forgotten_bills),
        lots={lot.key: lot for d in decisions for lot in d.lots},
        shelves={shelf.key: shelf for d in decisions for shelf in d.shelves},
        fields={field.key: field for d in decisions for field in d.fields},
        reservations={each.key: each for d in decisions for each in d.reservations},
        holds={hold.id: hold for d in decisions for hold in d.holds},
        dirty=dirty,
        clean=clean,
        pushes_settled=_last({push.id: push for push in pushes if push.id is not None}),
        pushes_opened=tuple(push for push in pushes if push.id is None),
        arrived=tuple(each for each in deliveries if each.id is None),
        kept=_last({each.id: each for each in deliveries if each.id is not None}),
        deliveries_applied=_last({i: i for d in decisions for i in d.deliveries_applied}),
        drifts_closed=drifts_closed,
        drifts_new=drifts_new,
        channels={state.name: state for d in decisions for state in d.channels},
    )


def _fold_outbox(
    decisions: Sequence[Decision],
) -> tuple[dict[FieldKey, Dirty], tuple[tuple[FieldKey, int], ...]]:
    """Return outbox rows to write, and deletions to run after that.

    A row written after a deletion replaces whatever was there, so the deletion is dropped. A
    deletion after a row was written still compares revisions, with the row just written.
    """
    dirty: dict[FieldKey, Dirty] = {}
    clean: dict[FieldKey, dict[int, None]] = {}
    for decision in decisions:
        for row in decision.dirty:
            dirty[row.key] = row
            clean.pop(row.key, None)
        for key, revision in decision.clean:
            clean.setdefault(key, {})[revision] = None
    return dirty, tuple(
        (key, revision) for key, revisions in clean.items() for revision in revisions
    )


def _last(values: Mapping[_K, _V]) -> tuple[_V, ...]:
    return tuple(values.values())


def _fold_drifts(
    decisions: Sequence[Decision],
) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
    """Return closings, and new rows to write after them.

    A closing also closes what was opened before it in the same decisions, and nothing after.
    """
    closings: dict[FieldKey, Drift] = {}
    new: list[Drift] = []
    for drift in (drift for decision in decisions for drift in decision.drifts):
        if drift.closed_at is None:
            new.append(drift)
        else:
            new = [_closed(each, drift) for each in new]
            closings.setdefault(drift.field, drift)
    return tuple(closings.values()), tuple(new)


def _closed(drift: Drift, closing: Drift) -> Drift:
    """Return `drift` as `closing` leaves it."""
    if drift.field != closing.field or drift.closed_at is not None:
        return drift
    return replace(
        drift,
        drift_class=closing.drift_class,
        resolution=closing.resolution,
        closed_at=closing.closed_at,
    )
