"""Whole runs: the real daemon in a world of its own. `make simulate` runs hundreds of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stockpush.sim.run import Plan, simulate
from stockpush.sim.swarm import ELSEWHERE, ROWS, FaultKind

SHORT = Plan(cut_s=1200.0, silent_s=1800.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_invariant_holds(seed: int) -> None:
    """Whatever goes wrong in act one, act two converges and is silent."""
    report = simulate(seed, SHORT)
    assert report.violations == []
    assert report.converged_s is not None
    assert report.writes > 0
    assert report.exchanges > 50


def test_a_seed_is_the_same_world_in_another_process() -> None:
    """Neither another process nor other string hashes change a step."""
    program = (
        "from stockpush.sim.run import Plan, simulate;"
        "print(simulate(4, Plan(cut_s=600.0, silent_s=600.0)).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hashes, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(digests) == 1
    assert digests == {simulate(4, Plan(cut_s=600.0, silent_s=600.0)).digest + "\n"}


def test_another_seed_is_another_world() -> None:
    """The digest stands for what happened."""
    first, second = (simulate(seed, Plan(cut_s=60.0, silent_s=60.0)) for seed in (5, 6))
    assert first.digest != second.digest


def test_leaving_a_fault_out_leaves_the_world_as_it_was() -> None:
    """Each part draws from dice of its own: that is what makes shrinking possible."""
    whole = simulate(3, SHORT)
    kind = next(each for each in FaultKind if f"{each.name.lower()}=" in whole.swarm)
    less = simulate(3, Plan(cut_s=1200.0, silent_s=1800.0, without=frozenset({kind})))
    assert f"{kind.name.lower()}=" not in less.swarm
    assert whole.swarm.split(",")[0] == less.swarm.split(",")[0]


def test_every_row_of_the_table_of_faults_is_counted_or_explained() -> None:
    """A row that nobody counts would never be missed."""
    assert not ROWS.keys() & ELSEWHERE.keys()
    assert {f"F{number}" for number in range(1, 71)} == ROWS.keys() | ELSEWHERE.keys()
