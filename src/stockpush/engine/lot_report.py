"""What lies where, of which lot, and until when it is sold; one dataclass per JSON shape.

The shapes are those of docs/interface.md: keys may be added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from stockpush.model import MAIN, UNLOTTED, Lot
from stockpush.reservation.lots import LotState, state
from stockpush.reservation.view import View
from stockpush.units import format_quantity

SOON: Final = timedelta(days=30)
"""How long before its end a lot is said to expire soon."""


_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LotRow:
    """One row of `lots --json`: `lot` is None for what belongs to none, the rest then too.

    `soon`: it is sold now, and not for long.
    """

    sku: str
    lot: str | None
    location: str
    on_hand: str
    unit: str
    state: str
    since: datetime | None = None
    available_from: datetime | None = None
    expires_at: datetime | None = None
    soon: bool = False
    cost: str | None = None
    supplier: str | None = None
    note: str | None = None
    pool: str = MAIN


def rows(view: View, sku: str | None, at: datetime) -> Iterator[LotRow]:
    """Yield the rows of an item, or of all that are kept by lot or location, by SKU."""
    lots: dict[str, list[Lot]] = {}
    for key, lot in view.rows.lots.items():
        lots.setdefault(key.sku, []).append(lot)
    for each in sorted(view.catalogue.lotted) if sku is None else [sku]:
        yield from _of_item(view, each, lots.get(each, []), at)


def _of_item(view: View, sku: str, found: Sequence[Lot], at: datetime) -> Iterable[LotRow]:
    """Return an item's rows: its lots that are not empty, then what belongs to none."""
    item = view.catalogue.items[sku]
    for lot in sorted(found, key=lambda lot: (lot.expires_at or _NEVER, lot.since, lot.key)):
        if lot.on_hand:
            yield _row(view, lot, at)
    pool_at = view.catalogue.pool_at
    counted = (lot.on_hand for lot in found if lot.counts and pool_at(lot.key.location) == MAIN)
    unlotted = view.shelf(sku).on_hand - sum(counted)
    if unlotted or not found:
        on_hand = format_quantity(unlotted, item.scale)
        yield LotRow(sku, None, MAIN, on_hand, item.unit, LotState.SELLABLE.value)


def _row(view: View, lot: Lot, at: datetime) -> LotRow:
    item = view.catalogue.items[lot.key.sku]
    stands = state(lot, at, place_sells=view.catalogue.sells_from(lot.key.location))
    ends = lot.expires_at
    return LotRow(
        sku=item.sku,
        lot=None if lot.key.lot == UNLOTTED else lot.key.lot,
        location=lot.key.location,
        on_hand=format_quantity(lot.on_hand, item.scale),
        unit=item.unit,
        state=stands.value,
        since=lot.since,
        available_from=lot.available_from,
        expires_at=ends,
        soon=stands is LotState.SELLABLE and ends is not None and ends <= at + SOON,
        cost=lot.cost or None,
        supplier=lot.supplier or None,
        note=lot.note or None,
        pool=view.catalogue.pool_at(lot.key.location),
    )
