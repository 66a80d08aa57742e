"""A failing seed made small: fewer kinds of faults, a shorter act one, fewer people.

Theory of operation. Each step is one more run of the same seed with a little less, kept if the same
invariant still fails. Leaving something out does not change what the others draw, so what is left
still happens as it did; but what happens later may differ all the same, and a step may then fail
for a reason of its own: what comes out is a small failing plan, not a proof of the cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from stockpush.sim.plan import PEOPLE, Plan
from stockpush.sim.report import Report
from stockpush.sim.run import simulate
from stockpush.sim.swarm import FaultKind

HALVINGS = 6
"""How often act one is halved, or half of what was taken away is given back."""
CUT_MIN_S = 1.0
"""Below this, a shorter act one shows nothing more."""
_INVARIANT = re.compile(r"[A-Z]\d+|[a-z]+\.[a-z_]+")

Simulate = Callable[[int, Plan], Report]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest plan found under which `invariant` fails, and its report; `tried` runs."""

    plan: Plan
    report: Report
    invariant: str
    tried: int


def invariant_of(violation: str) -> str:
    """Return what a violation breaks: an invariant, a row of the fault table, a log event, or else
    its first word.

    >>> invariant_of("F30 item-8 on shopify: push 115 wrote 28"), invariant_of("worker.failed: x")
    ('F30', 'worker.failed')
    """
    found = _INVARIANT.match(violation)
    return found[0] if found else violation.split(maxsplit=1)[0]


def shrink(
    seed: int,
    plan: Plan,
    *,
    run: Simulate = simulate,
    tell: Callable[[str], None] = lambda _: None,
) -> Shrunk | None:
    """Return the smallest plan found under which the seed fails as it does under `plan`, None if
    it does not fail. `tell` is told of each try.
    """
    first = run(seed, plan)
    if first.held:
        return None
    invariant = invariant_of(first.violations[0])
    work = _Shrinking(seed, plan, first, invariant, run, tell)
    for name in first.kinds:
        kind = FaultKind[name.upper()]
        work.tries(f"without {name}", without=frozenset(work.plan.without) | {kind})
    for name in PEOPLE:
        work.tries(f"without the {name}", away=frozenset(work.plan.away) | {name})
    work.shorten()
    return Shrunk(work.plan, work.report, invariant, work.tried)


@dataclass(slots=True)
class _Shrinking:
    """The smallest failing plan so far, with its report."""

    seed: int
    plan: Plan
    report: Report
    invariant: str
    run: Simulate
    tell: Callable[[str], None]
    tried: int = 1

    def tries(self, what: str, **changes: object) -> bool:
        """Take a smaller plan if the invariant fails under it, too; answer whether it does."""
        plan = replace(self.plan, **changes)  # type: ignore[arg-type]  # each is a field's value
        report = self.run(self.seed, plan)
        self.tried += 1
        fails = self.invariant in {invariant_of(each) for each in report.violations}
        self.tell(f"{what}: {'still fails' if fails else 'is needed'}")
        if fails:
            self.plan, self.report = plan, report
        return fails

    def shorten(self) -> None:
        """Halve act one towards the shortest that fails."""
        passes, fails = 0.0, self.report.traded_s
        for _ in range(HALVINGS):
            middle = (passes + fails) / 2
            if fails - passes < CUT_MIN_S:
                return
            cut_s = round(middle, 1)
            if self.tries(f"cut after {cut_s:g} s", cut_s=cut_s):
                fails = cut_s
            else:
                passes = cut_s
