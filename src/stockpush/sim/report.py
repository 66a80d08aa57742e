"""What a simulated run, or many, came to. Plain values, fit for other processes and for JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """One seed. Everything in it is the same each time the seed is run."""

    seed: int
    swarm: str = ""
    """The faults of this seed, in one line."""
    kinds: tuple[str, ...] = ()
    """The kinds of faults of this seed."""
    shops: int = 0
    traded_s: float = 0.0
    """How long people bought and things went wrong, virtual seconds."""
    sales: int = 0
    sold_out: int = 0
    """Shoppers whom a shop turned away."""
    hidden: int = 0
    """Of those, who wanted one thing of which there was enough."""
    units: int = 0
    """Units of items that were sold."""
    oversold: Counter[str] = field(default_factory=Counter)
    """Units sold that could not be supplied, by cause."""
    faults: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault really struck."""
    rows: Counter[str] = field(default_factory=Counter)
    """How often each row of the fault table came up."""
    moments: Counter[str] = field(default_factory=Counter)
    """How often the protocol's own rare moments came up: a lost compare, a hold, ..."""
    violations: list[str] = field(default_factory=list)
    converged_s: float | None = None
    """Virtual seconds from the end of the faults until everything agreed, books and unpaid orders
    too."""
    right_s: float | None = None
    """The same until every shop showed the right numbers for the first time."""
    crashes: int = 0
    too_high: int = 0
    """Numbers written that were higher than what was left by all that had to be known, at most as
    many as the auditor keeps."""
    wrong: int = 0
    """Numbers that the shops showed wrongly when the time to converge had run out."""
    quiet_writes: int = 0
    """Requests to write during the silence after everything agreed."""
    writes: int = 0
    exchanges: int = 0
    lives: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    digest: str = ""
    trace: list[str] = field(default_factory=list)
    """What people did, one line each, where the plan asked for it."""

    @property
    def held(self) -> bool:
        """Whether every invariant held."""
        return not self.violations


@dataclass(slots=True)
class Total:
    """Many seeds."""

    seeds: int = 0
    shops: int = 0
    traded_s: float = 0.0
    virtual_s: float = 0.0
    sales: int = 0
    sold_out: int = 0
    hidden: int = 0
    units: int = 0
    writes: int = 0
    exchanges: int = 0
    lives: int = 0
    too_high: int = 0
    wrong: int = 0
    quiet_writes: int = 0
    oversold: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    converged_s: list[float] = field(default_factory=list)
    right_s: list[float] = field(default_factory=list)
    crashes: int = 0
    failed: list[Report] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Take one seed in."""
        self.seeds += 1
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(report, name))
        self.oversold.update(report.oversold)
        self.faults.update(report.faults)
        self.rows.update(report.rows)
        self.moments.update(report.moments)
        if report.converged_s is not None:
            self.converged_s.append(report.converged_s)
        if report.right_s is not None:
            self.right_s.append(report.right_s)
        if not report.held:
            self.failed.append(report)

    def never(self, rows: Iterable[str]) -> list[str]:
        """Return those of `rows` that never came up."""
        return [row for row in rows if not self.rows[row]]


def within(spans_s: Iterable[float], share: float) -> float | None:
    """Return the span that `share` (0..1) of the spans do not exceed, None if there are none.

    >>> within([30.0, 60.0, 90.0, 300.0], 0.5), within([30.0, 60.0], 1.0), within([], 0.5)
    (60.0, 60.0, None)
    """
    ordered = sorted(spans_s)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


_SUMS = (
    "shops",
    "traded_s",
    "virtual_s",
    "sales",
    "sold_out",
    "hidden",
    "units",
    "writes",
    "exchanges",
    "lives",
    "too_high",
    "wrong",
    "quiet_writes",
    "crashes",
)
