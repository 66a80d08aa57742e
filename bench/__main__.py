"""`make bench`: measure, print the table, and write bench/results.md if it may be written.

`--quick` makes one small run of each measure and never writes; so does naming measures (`P1 P4`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import report
from bench.measures import MEASURES, QUICK, Ground, Measure, Pair, Sizes
from bench.postgres import Server
from bench.processes import WrongRun


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 1 when a run did not do what it was timed for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small run each, never written")
    parser.add_argument("--runs", type=int, default=None, help="runs of each (default 5)")
    parser.add_argument("measures", nargs="*", metavar="P", help="only these, never written")
    asked = parser.parse_args(arguments)
    names = [each.key for each in MEASURES]
    if unknown := [each for each in asked.measures if each not in names]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [each for each in MEASURES if not asked.measures or _is_among(each, asked.measures)]
    runs = asked.runs or (1 if asked.quick else report.RUNS)
    with tempfile.TemporaryDirectory(prefix="stockpush-bench-") as folder:
        server = Server(Path(folder))
        try:
            ground = Ground(Path(folder), QUICK if asked.quick else Sizes(), server)
            rows = _measure(ground, chosen, runs)
            print(report.table(rows))
            if (reason := report.why_not_written(rows, quick=asked.quick)) is not None:
                print(f"Not written: {reason}.")
            else:
                report.write(rows, report.machine(server.version()))
                print(f"Written to {report.RESULTS}.")
        except WrongRun as wrong:
            print(f"No results: {wrong}.", file=sys.stderr)
            return 1
        finally:
            server.close()
    return 0


def _is_among(measure: Measure, asked: Sequence[str]) -> bool:
    """Answer whether a measure is asked for, by its key or with its other sizes (P7: P7-5 too)."""
    return measure.key in asked or measure.key.partition("-")[0] in asked


def _measure(ground: Ground, chosen: Sequence[Measure], runs: int) -> list[report.Row]:
    """Make the runs: every measure once, then every measure again."""
    pairs: dict[str, list[Pair]] = {each.key: [] for each in chosen}
    for number in range(runs):
        for each in chosen:
            pair = each.run(ground)
            pairs[each.key].append(pair)
            said = f"floor {pair.floor:,.2f}, ours {pair.ours:,.2f} {each.unit}"
            print(f"run {number + 1} of {runs}, {each.key}: {said}", file=sys.stderr)
    return [report.Row(each, pairs[each.key]) for each in chosen]


if __name__ == "__main__":
    raise SystemExit(main())
