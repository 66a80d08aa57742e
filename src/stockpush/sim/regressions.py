"""Seeds that once showed a defect. They run before all others, for ever.

Each entry of regressions.toml has the seed, what it `showed`, the `date`, and what of its plan is
not usual: `without`, `away`, `cut_s`, `span_s`, `shopify_only`, `busy`, `channels`. A seed means
one world and one story only as long as what is drawn stays the same; after a change of the drawing,
it is still one more seed. None of them has a storeroom but those that say `storeroom`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from stockpush.sim.plan import Plan
from stockpush.sim.swarm import FaultKind


@dataclass(frozen=True, slots=True)
class Regression:
    """One entry."""

    seed: int
    plan: Plan
    showed: str
    date: date


def regressions() -> tuple[Regression, ...]:
    """Return every entry, in the order of the file."""
    text = files("stockpush.sim").joinpath("regressions.toml").read_text(encoding="utf-8")
    return tuple(_regression(row) for row in tomllib.loads(text).get("regression", ()))


def _regression(row: dict[str, Any]) -> Regression:
    rest = dict(row)
    seed, showed, day = rest.pop("seed"), rest.pop("showed"), rest.pop("date")
    without = frozenset(FaultKind[name.upper()] for name in rest.pop("without", ()))
    away = frozenset(rest.pop("away", ()))
    plan = Plan(
        without=without,
        away=away,
        cut_s=rest.pop("cut_s", None),
        span_s=rest.pop("span_s", None),
        shopify_only=rest.pop("shopify_only", False),
        busy=rest.pop("busy", False),
        storeroom=rest.pop("storeroom", False),
        channels=frozenset(rest.pop("channels")) if "channels" in rest else None,
    )
    assert not rest, f"regressions.toml: seed {seed} has {', '.join(rest)}"
    return Regression(seed, plan, showed, day)
