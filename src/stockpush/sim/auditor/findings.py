"""What must not be, and what was seen besides. Plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from stockpush.sim.world import Listed

FOUND_MAX = 50
"""Most violations that are kept: one bug need not fill the memory."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: which invariant, of what, how, and when (virtual seconds)."""

    invariant: str
    subject: str
    text: str
    at: float

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text} (at {self.at:.3f} s)"


@dataclass(slots=True)
class Findings:
    """What has been found so far; `now` tells the virtual seconds."""

    now: Callable[[], float]
    violations: list[Violation] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    """Writes above their bound, by what excuses them."""
    seen: Counter[str] = field(default_factory=Counter)
    """What `swarm.ROWS` counts as seen by the audit."""

    def of(self, invariant: str, listed: Listed, text: str) -> None:
        """Note a violation of a field's."""
        self.add(invariant, told(listed), text)

    def add(self, invariant: str, subject: str, text: str) -> None:
        """Note a violation."""
        if len(self.violations) < FOUND_MAX:
            self.violations.append(Violation(invariant, subject, text, self.now()))


def told(listed: Listed) -> str:
    """Return a field's name for people."""
    return f"{listed.sku} on {listed.channel}/{listed.field}"
