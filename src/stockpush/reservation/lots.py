"""Lots: which of them are sold, from when to when, and which one goes first.

Theory of operation. A lot's balance is part of the shelf's on hand while the lot *counts*: it lies
at a sellable location, is not quarantined, is available and has not expired. So netting reads the
shelf alone, as ever. `turned` says what the clock has made of a lot, and the next instant at which
that changes; whoever writes a lot writes it turned, and the daemon turns it at that instant. A lot
that waits, and becomes available by its item's horizon, *comes*: it is promised, and not sent yet.
The listings of an item may have other horizons: a lot also says which is the shortest that reaches
it, and the clock turns it at each of them.

What goes out is picked by `pick`: what expires first goes first (FEFO); among lots that do not
expire, what came first (FIFO). What no lot covers comes from what belongs to no lot, which may go
below zero: makers ship before they log the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from stockpush.model import MAIN, UNLOTTED, Coming, Lot
from stockpush.values import replace

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class LotState(StrEnum):
    """Why a lot is sold or is not."""

    SELLABLE = "sellable"
    EXPIRED = "expired"
    QUARANTINED = "quarantined"
    WAITING = "waiting"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Pick:
    """Take `quantity` (> 0, smallest units) of a lot at a location; `lot` None: of no lot."""

    location: str
    lot: str | None
    quantity: int


def state(lot: Lot, at: datetime, *, place_sells: bool) -> LotState:
    """Return where a lot stands at an instant; `place_sells`: its location is a sellable one.

    At `expires_at` itself it has expired, at `available_from` itself it is available.
    """
    if lot.quarantined:
        return LotState.QUARANTINED
    if lot.expires_at is not None and lot.expires_at <= at:
        return LotState.EXPIRED
    if not place_sells:
        return LotState.APART
    if lot.available_from is not None and at < lot.available_from:
        return LotState.WAITING
    return LotState.SELLABLE


def turned(
    lot: Lot,
    at: datetime,
    *,
    place_sells: bool,
    horizon_s: int | None = None,
    listed: Iterable[int] = (),
) -> Lot:
    """Return the lot as it counts at an instant, with the next one at which that changes.

    `horizon_s` is its item's: so long before a lot becomes available it comes. `listed` are those
    that listings of the item say.
    """
    stands = state(lot, at, place_sells=place_sells)
    turns_at, comes, within_s = None, False, None
    if stands is LotState.SELLABLE:
        turns_at = lot.expires_at
    elif stands is LotState.WAITING:
        wait = lot.available_from
        # One that expires before it is available never counts.
        if wait is not None and wait < (lot.expires_at or _NEVER):
            own = () if horizon_s is None else (horizon_s,)
            reached = {each: wait - timedelta(seconds=each) <= at for each in (*own, *listed)}
            comes = horizon_s is not None and reached[horizon_s]
            within_s = min((each for each in listed if reached[each]), default=None)
            still = max((each for each in reached if not reached[each]), default=0)
            turns_at = wait - timedelta(seconds=still)
    return replace(
        lot,
        counts=stands is LotState.SELLABLE,
        turns_at=turns_at,
        comes=comes,
        within_s=within_s,
    )


def coming_by(lot: Lot, listed: Iterable[int]) -> dict[int, int]:
    """Return what of a lot comes by each horizon (`listed`) that listings of its item say."""
    if lot.within_s is None:
        return {}
    return {each: lot.on_hand for each in listed if each >= lot.within_s}


def added(before: Iterable[Coming], more: Mapping[int, int]) -> tuple[Coming, ...]:
    """Return what comes by each horizon with so many units (signed) more, shortest first.

    >>> added((Coming(60, 5), Coming(90, 7)), {60: -5, 90: 1, 10: 2})
    (Coming(horizon_s=10, units=2), Coming(horizon_s=90, units=8))
    """
    units = Counter[int](dict(before))
    units.update(more)
    return tuple(Coming(each, units[each]) for each in sorted(units) if units[each])


def pick(
    lots: Iterable[Lot],
    quantity: int,
    *,
    at: datetime,
    unlotted: int,
    location: str | None = None,
    home: str = MAIN,
) -> tuple[Pick, ...]:
    """Return what to take where for `quantity` (> 0) smallest units, in the order of taking.

    `lots` are all of one item in one pool, `unlotted` what lies at MAIN in no lot (signed), which
    only the pool MAIN has. Only lots that count and have not expired at `at` are taken from, never
    more than they hold: first named lots, by expiry, then age, MAIN before other locations; then
    what has no lot, at MAIN first. What nothing covers is taken from no lot, at the pool's `home`,
    or at `location` where only that is asked of.
    The picks sum to `quantity`; each place comes once.

    >>> from stockpush.model import LotKey
    >>> day = datetime(2026, 11, 1, tzinfo=UTC)
    >>> old = Lot(LotKey("soap", MAIN, "old"), day, 4)
    >>> due = Lot(LotKey("soap", MAIN, "due"), day, 3, expires_at=day.replace(month=12))
    >>> [(each.lot, each.quantity) for each in pick([old, due], 9, at=day, unlotted=1)]
    [('due', 3), ('old', 4), (None, 2)]
    """
    left = quantity
    rest_at = home if location is None else location
    taken: dict[tuple[str, str], int] = {}

    def take(place: str, lot: str, held: int) -> None:
        nonlocal left
        units = min(left, max(0, held))
        if units:
            taken[place, lot] = taken.get((place, lot), 0) + units
            left -= units

    open_lots = [lot for lot in lots if _is_open(lot, at) and location in (None, lot.key.location)]
    for lot in sorted((each for each in open_lots if each.key.lot != UNLOTTED), key=_order):
        take(lot.key.location, lot.key.lot, lot.on_hand)
    if rest_at == MAIN:
        take(MAIN, UNLOTTED, unlotted)
    for lot in sorted((each for each in open_lots if each.key.lot == UNLOTTED), key=_order):
        take(lot.key.location, UNLOTTED, lot.on_hand)
    if left:
        taken[rest_at, UNLOTTED] = taken.get((rest_at, UNLOTTED), 0) + left
    return tuple(Pick(place, lot or None, units) for (place, lot), units in taken.items())


def at_place(rows: Iterable[Lot], location: str, *, at: datetime) -> list[Lot]:
    """Return what somebody who stands at a location takes there, for `pick`: what would be sold
    if anything were sold from there.
    """
    return [
        replace(lot, counts=True)
        for lot in rows
        if lot.key.location == location and state(lot, at, place_sells=True) is LotState.SELLABLE
    ]


def fresh_name(taken: Collection[str], at: datetime) -> str:
    """Return a name for a lot that nobody named: its day, numbered from the second on.

    >>> day = datetime(2026, 11, 26, 9, tzinfo=UTC)
    >>> fresh_name([], day), fresh_name(["2026-11-26"], day)
    ('2026-11-26', '2026-11-26-2')
    """
    day = at.date().isoformat()
    names = (day if number == 1 else f"{day}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _is_open(lot: Lot, at: datetime) -> bool:
    """Answer whether something may be taken: it counts, and the clock says so too."""
    return lot.counts and lot.on_hand > 0 and (lot.expires_at is None or at < lot.expires_at)


def _order(lot: Lot) -> tuple[datetime, datetime, bool, str, str]:
    expires = _NEVER if lot.expires_at is None else lot.expires_at
    return (expires, lot.since, lot.key.location != MAIN, lot.key.location, lot.key.lot)
