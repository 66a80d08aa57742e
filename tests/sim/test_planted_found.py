"""The simulator finds the planted bugs: each of these seeds turns red with its bug and not without.

A seed that stops finding its bug is no defect of the daemon: what is drawn has changed, and
another seed is to be looked for. The other bugs of `planted.py` have no seed here yet.
"""

from __future__ import annotations

import pytest

from stockpush.sim.run import Plan, simulate
from tests.sim.planted import BUGS

PLAN = Plan(silent_s=600.0)

FOUND = {
    "counted_per_line": 4,
    "cursor_is_now": 4,
    "delivery_id": 1,
    "echo_believed": 2,
    "echo_written": 23,
    "hash_breaks_ties": 15,
    "no_hold": 6,
    "pack_forgotten": 14,
    "rounded_up": 6,
    "surplus_sold": 9,
}
"""Bug -> the first of the seeds from 1 on that shows it."""

pytestmark = pytest.mark.hunt


@pytest.mark.parametrize("seed", sorted(set(FOUND.values())))
def test_the_seed_is_green_without_a_bug(seed: int) -> None:
    """What it finds is the bug and nothing else."""
    assert simulate(seed, PLAN).violations == []


@pytest.mark.parametrize("name", sorted(FOUND))
def test_the_bug_is_found(name: str) -> None:
    """The auditor is not blind to it."""
    with BUGS[name].plant():
        assert simulate(FOUND[name], PLAN).violations != []
