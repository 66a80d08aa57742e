"""Lots as whoever keeps them knows them: when they expire and come, and which were quarantined.

Theory of operation. Which lots count is worked out here, from what was asked for and from what the
daemon's clock may show. How much lies in each is read off the daemon's books: what leaves is of the
lot that it picks, and the same unit cannot be told from another one. That its books add up, and
that they add up to what was commanded, is checked elsewhere (`auditor.books`, `auditor.rest`).

Units of a lot stand in `Truth.stock` like all others, and what lies in lots that do not count is
taken off it. Where it is not certain whether one counts, it does, in each bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from stockpush.sim.claims import MOMENT_S, SOON, Wall
from stockpush.sim.world import at

LotRow = tuple[str, str, str, int, bool]
"""Item, lot, location, units of it there, and whether they count or come: of the daemon's books."""


@dataclass(slots=True, eq=False)
class Lot:
    """One lot; it can be promised from `comes_at` on and is there from `there_at` on, until it
    expires, as far as these are set. `left` is what lies in it, by what the world calls the item in
    each pool.

    `asking` is that something was asked for and is not answered yet, and
    `out_since` from when on it surely does not count, and the books say so.
    """

    sku: str
    name: str
    left: dict[str, int]
    comes_at: datetime | None = None
    there_at: datetime | None = None
    expires_at: datetime | None = None
    asking: bool = True
    is_quarantined: bool = False
    out_since: float = inf

    def may_count(self, wall: Wall) -> bool:
        """Answer whether it may be promised now."""
        return self._may(wall, self.comes_at)

    def may_be_there(self, wall: Wall) -> bool:
        """Answer whether it may be sent now."""
        return self._may(wall, self.there_at)

    def _may(self, wall: Wall, begins_at: datetime | None) -> bool:
        if self.is_quarantined and not self.asking:
            return False
        if self.expires_at is not None and wall.earliest() >= self.expires_at:
            return False
        return begins_at is None or wall.latest() >= begins_at

    def turns(self) -> Iterator[datetime]:
        """Yield when the clock changes what it counts for."""
        instants = (self.comes_at, self.there_at, self.expires_at)
        yield from (each for each in instants if each is not None)


@dataclass(slots=True)
class Lots:
    """`now` tells the virtual seconds; `wall` is None where nobody keeps lots."""

    now: Callable[[], float]
    wall: Wall | None = None
    changed_at: float = -inf
    """When anything of them changed last."""
    _lots: dict[tuple[str, str], Lot] = field(default_factory=dict)
    _counted: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Lot]:
        """Yield every lot."""
        yield from self._lots.values()

    @property
    def skus(self) -> set[str]:
        """Return the items that have lots, in whatever pool."""
        return {lot.sku for lot in self}

    # -- what their keeper does ----------------------------------------------------------------

    def receive(self, lot: Lot) -> None:
        """The keeper begins to receive a new lot."""
        self._lots[lot.sku, lot.name] = lot
        if self.wall is not None and not lot.may_count(self.wall):
            lot.out_since = -inf
        self.changed_at = self.now()

    def refused(self, lot: Lot) -> None:
        """What was to be received was not taken."""
        del self._lots[lot.sku, lot.name]
        self.changed_at = self.now()

    def ask(self, lot: Lot) -> None:
        """The keeper begins to put it in quarantine, or to release it."""
        lot.asking = True
        self.changed_at = self.now()

    def done(self, lot: Lot, *, quarantined: bool) -> None:
        """What was asked for has been done."""
        lot.asking, lot.is_quarantined = False, quarantined
        if quarantined:
            lot.out_since = min(lot.out_since, self.now())
        self.changed_at = self.now()

    # -- what the books say --------------------------------------------------------------------

    def noted(self, rows: Iterable[LotRow]) -> None:
        """A transaction of the daemon has ended, and this is in its books."""
        counting: set[Lot] = set()
        left: dict[Lot, dict[str, int]] = {}
        for sku, name, location, units, counts in rows:
            if (lot := self._lots.get((sku, name))) is None:
                continue
            left.setdefault(lot, {})[at(sku, location)] = units
            if counts:
                counting.add(lot)
        for lot, units_of in left.items():
            lot.left = units_of
            if self.wall is not None and lot not in counting and not lot.may_count(self.wall):
                lot.out_since = min(lot.out_since, self.now())
        self.turn()

    # -- what is true --------------------------------------------------------------------------

    def turn(self) -> None:
        """Take account of the clock."""
        if self.wall is None:
            return
        for key, lot in self._lots.items():
            counts = lot.may_count(self.wall)
            if counts:
                lot.out_since = inf
            if self._counted.get(key) != counts:
                self._counted[key] = counts
                self.changed_at = self.now()

    def withheld(self, since: float | None = None) -> Counter[str]:
        """Return what lies in lots that do not count: surely at `since`, where that is given."""
        self.turn()
        units: Counter[str] = Counter()
        if self.wall is None:
            return units
        for lot in self:
            if (
                lot.out_since + MOMENT_S < since
                if since is not None
                else not lot.may_count(self.wall)
            ):
                units.update(lot.left)
        return units

    def absent(self) -> Counter[str]:
        """Return what lies in lots of which nothing can be sent."""
        units: Counter[str] = Counter()
        if self.wall is not None:
            for lot in self:
                if not lot.may_be_there(self.wall):
                    units.update(lot.left)
        return units

    def unsettled(self) -> Iterator[str]:
        """Yield those that are asked for something, or turn soon."""
        if self.wall is None:
            return
        for lot in self:
            if lot.asking:
                yield f"lot {lot.name}: what is asked for is not answered"
            elif any(
                self.wall.earliest() < each < self.wall.latest() + SOON for each in lot.turns()
            ):
                yield f"lot {lot.name} turns soon"


def comes(available_from: datetime | None, horizon: timedelta | None) -> datetime | None:
    """Return when a lot comes: so long before it is available as its item's horizon says."""
    if available_from is None or horizon is None:
        return available_from
    return available_from - horizon
