"""The table of a bench, and when it may be written down."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measures import MEASURES, Measure, Pair

RUNS: Final = 5
"""How many interleaved runs a figure that is written down is the median of."""
RESULTS: Final = Path(__file__).parent / "results.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure's runs, floor and ours in turn."""

    measure: Measure
    pairs: Sequence[Pair]

    @property
    def floors(self) -> list[float]:
        """Return the floor's figures."""
        return [pair.floor for pair in self.pairs]

    @property
    def ours(self) -> list[float]:
        """Return our figures."""
        return [pair.ours for pair in self.pairs]

    @property
    def ratio(self) -> float:
        """Return our median as a multiple of the floor's."""
        return statistics.median(self.ours) / statistics.median(self.floors)

    @property
    def reached(self) -> bool:
        """Answer whether the target is reached."""
        figure = statistics.median(self.ours) if self.measure.absolute else self.ratio
        target = self.measure.target
        return figure >= target if self.measure.more_is_better else figure <= target


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table: medians, with least and most in brackets."""
    lines = [
        "| # | figure | floor | ours | floor's | ratio | target | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        measure = row.measure
        sign = "≥" if measure.more_is_better else "≤"
        of = f" {measure.unit}" if measure.absolute else ""
        lines.append(
            f"| {measure.key} | {measure.what} | {measure.floor} "
            f"| {_spread(row.ours)} {measure.unit} | {_spread(row.floors)} {measure.unit} "
            f"| {row.ratio:.2f} | {sign} {measure.target:g}{of} "
            f"| {'yes' if row.reached else 'no'} |"
        )
    return "\n".join(lines)


def why_not_written(rows: Sequence[Row], *, quick: bool) -> str | None:
    """Return why these rows are no results; None if they are.

    That every run did what it was timed for is not asked here: one that did not ends the bench.
    """
    if quick:
        return "a quick run is no measurement"
    missing = [each.key for each in MEASURES if each.key not in {row.measure.key for row in rows}]
    if missing:
        return f"{', '.join(missing)} were not measured"
    short = [row.measure.key for row in rows if len(row.pairs) != RUNS]
    if short:
        return f"{', '.join(short)} do not have {RUNS} runs"
    return None


def write(rows: Sequence[Row], machine: Mapping[str, str], *, to: Path = RESULTS) -> None:
    """Write results that `why_not_written` has nothing against."""
    assert why_not_written(rows, quick=False) is None
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    to.write_text(
        "# Results of `make bench`\n\n"
        f"Medians of {RUNS} runs, floor and ours in turn; least and most in brackets. What is\n"
        "measured and how: [docs/performance.md](../docs/performance.md).\n\n"
        f"Machine: {about}.\n\n{table(rows)}\n"
    )


def machine(postgres_version: str) -> dict[str, str]:
    """Return what the figures were measured on, without its name."""
    return {
        "cores": str(os.cpu_count()),
        "processor": platform.machine(),
        "system": platform.system(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": postgres_version,
    }


def _spread(figures: Sequence[float]) -> str:
    middle = statistics.median(figures)
    return f"{_number(middle)} ({_number(min(figures))} to {_number(max(figures))})"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"
