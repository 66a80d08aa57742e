"""Holds of our own as whoever placed them knows them: what was asked for, answered, and is due.

Theory of operation. A claim takes its units from the answer that it was placed until its end may
have begun: somebody asks for its release, or the daemon's clock may show that it is due. Sold, its
units have left the shelf, and are gone for good. What was asked and is not answered yet, over
however many crashes, may be so or not: until it is answered nobody is accused by it.

Only the daemon's own clock says when a hold lapses. It follows the machine's, which may jump, and
never goes back; so all that is known is between which two instants it stands (`Wall`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from stockpush.sim.loop import EPOCH, SimClock

MOMENT_S = 1e-4
"""What is closer together happened in one virtual instant: nobody can tell what came first."""
SOON = timedelta(days=2)
"""What is due within it is waited for before the silence; people set nothing aside for as long as
that or a little more.
"""


@dataclass(frozen=True, slots=True)
class Wall:
    """What the daemon's clock may show, by its machine's."""

    clock: SimClock

    def true(self) -> datetime:
        """Return what it would show if it had never been set wrong."""
        return EPOCH + timedelta(seconds=self.clock.loop.time())

    def earliest(self) -> datetime:
        """Return the earliest instant that it may show now."""
        return self.clock.now()

    def latest(self) -> datetime:
        """Return the latest: once set forward, it is not set back."""
        return EPOCH + timedelta(seconds=self.clock.loop.time() + self.clock.ahead_max_s)


@dataclass(slots=True, eq=False)
class Claim:
    """One hold. `units` is by item, in smallest units; `lapses` between which two instants of the
    daemon's clock it ends by itself; `number` is the daemon's for it.

    `held_at` is since when it surely takes its units, `freed_at` since when it may not any more.
    `asking` is what its owner has asked for and was not answered yet; `is_over` that its units are
    surely nobody's, `is_sold` that they have left.
    """

    key: str
    units: Mapping[str, int]
    lapses: tuple[datetime, datetime]
    number: int = 0
    asking: str = "place"
    held_at: float = inf
    freed_at: float = inf
    is_over: bool = False
    is_sold: bool = False

    def takes(self, since: float) -> bool:
        """Answer whether it surely took its units at `since`."""
        return self.held_at + MOMENT_S < since < self.freed_at

    def may_lapse(self, wall: Wall) -> bool:
        """Answer whether it may be due."""
        return wall.latest() >= self.lapses[0]

    @property
    def is_held(self) -> bool:
        """Whether it was placed, and has not ended as far as its owner knows."""
        return self.held_at < inf and not (self.is_over or self.is_sold)


@dataclass(slots=True)
class Claims:
    """`now` tells the virtual seconds; `wall` is None where nobody sets anything aside."""

    now: Callable[[], float]
    wall: Wall | None = None
    by_key: dict[str, Claim] = field(default_factory=dict)
    changed_at: float = -inf
    """When anything of them changed last."""

    # -- what their owners do ------------------------------------------------------------------

    def place(self, key: str, units: Mapping[str, int], lapses: tuple[datetime, datetime]) -> Claim:
        """Somebody asks for units to be set aside."""
        claim = self.by_key[key] = Claim(key, dict(units), lapses)
        self.changed_at = self.now()
        return claim

    def ask(self, claim: Claim, what: str, lapses: tuple[datetime, datetime] | None = None) -> None:
        """The owner asks for a claim's release, its sale, or another end between `lapses`."""
        claim.asking = what
        if lapses is not None:
            claim.lapses = (min(claim.lapses[0], lapses[0]), max(claim.lapses[1], lapses[1]))
        if what == "release":
            claim.freed_at = min(claim.freed_at, self.now())
        self.changed_at = self.now()

    def done(self, claim: Claim, lapses: tuple[datetime, datetime] | None = None) -> None:
        """What the owner asked for has been done."""
        now = self.now()
        match claim.asking:
            case "release":
                claim.is_over = True
            case asked:
                claim.is_over, claim.is_sold = False, asked == "sell"
                if claim.held_at == inf or claim.freed_at < inf:
                    # It may have been due meanwhile, and was not.
                    claim.held_at, claim.freed_at = now, inf
                if lapses is not None:
                    claim.lapses = lapses
        claim.asking = ""
        self.changed_at = now

    def refused(self, claim: Claim, lapses: tuple[datetime, datetime] | None = None) -> None:
        """What the owner asked for was refused; `lapses` is when it ends, as before."""
        if claim.asking == "place":
            claim.is_over = True
        if lapses is not None:
            claim.lapses = lapses
        claim.asking = ""
        self.changed_at = self.now()

    # -- what is true --------------------------------------------------------------------------

    def turn(self) -> None:
        """Take account of the clock: what may be due may be free, what must be is."""
        if self.wall is None:
            return
        for claim in self.by_key.values():
            if not claim.is_held:
                continue
            if claim.freed_at == inf and claim.may_lapse(self.wall):
                claim.freed_at = self.changed_at = self.now()
            if not claim.asking and self.wall.earliest() >= claim.lapses[1]:
                claim.is_over = True

    def taken(self, since: float | None = None) -> Counter[str]:
        """Return what claims surely take, sold ones included; at `since`, where that is given."""
        self.turn()
        at = self.now() if since is None else since
        units: Counter[str] = Counter()
        for claim in self.by_key.values():
            now_taken = since is None and claim.held_at <= at and claim.freed_at == inf
            if now_taken or claim.takes(at):
                units.update(claim.units)
        return units

    def held(self) -> Counter[str]:
        """Return what is set aside as far as the owners know."""
        self.turn()
        return self._sum(lambda claim: claim.is_held)

    def sold(self) -> Counter[str]:
        """Return what has left the shelf."""
        return self._sum(lambda claim: claim.is_sold)

    def _sum(self, counts: Callable[[Claim], bool]) -> Counter[str]:
        units: Counter[str] = Counter()
        for claim in self.by_key.values():
            if counts(claim):
                units.update(claim.units)
        return units

    def unsettled(self) -> Iterator[str]:
        """Yield those that are asked for something, or end by themselves soon."""
        self.turn()
        for claim in self.by_key.values():
            if claim.asking:
                yield f"{claim.key}: {claim.asking} is not answered"
            elif (
                claim.is_held
                and self.wall is not None
                and claim.lapses[0] - self.wall.latest() < SOON
            ):
                yield f"{claim.key} is due soon"
