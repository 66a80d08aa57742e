"""Whole runs: the real daemon in a world of its own. `make simulate` runs hundreds of them."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.messages import ApplyOrders, OrderSeen
from stockpush.model import MovementKind, ReservationKey
from stockpush.reservation import catalogue, sales
from stockpush.reservation.draft import Draft
from stockpush.reservation.orders import Verdict
from stockpush.sim import run
from stockpush.sim.loop import EPOCH
from stockpush.sim.people import ENOUGH, People
from stockpush.sim.plan import Plan
from stockpush.sim.report import Report
from stockpush.sim.run import simulate
from stockpush.sim.swarm import ELSEWHERE, ROWS, FaultKind
from stockpush.sim.world import World as SimWorld
from tests.reservation.world import World

SHORT = Plan(cut_s=1200.0, silent_s=1800.0)


@cache
def short(seed: int) -> Report:
    """Run a seed: a world is the same every time."""
    return simulate(seed, SHORT)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_invariant_holds(seed: int) -> None:
    """Whatever goes wrong in act one, act two converges and is silent."""
    report = short(seed)
    assert report.violations == []
    assert report.converged_s is not None
    assert report.writes > 0
    assert report.exchanges > 50


def test_every_invariant_holds_where_what_there_is_is_parted_among_two_busy_shops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody takes anything away there, so only of what is nearly gone more is received."""
    left: list[bool] = []
    move = People._move

    async def moved(self: People, dice: random.Random, moves: Any, kind: MovementKind) -> None:
        (sku,) = moves
        left.append(self.truth.atp(sku) < ENOUGH[self.world.things[sku].unit])
        await move(self, dice, moves, kind)

    monkeypatch.setattr(People, "_move", moved)
    report = simulate(3, Plan(split=True, busy=True, span_s=600.0, silent_s=600.0))
    assert report.violations == []
    assert report.shops == 2
    assert report.sales > 80
    assert report.sold_out > report.sales / 10
    assert left
    assert all(left)


@pytest.mark.parametrize("seed", [1, 6])
def test_every_invariant_holds_where_groups_are_read_in_part(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a workshop of thousands has done for every sale, here for every shop."""
    monkeypatch.setattr(catalogue, "LARGE_MIN", 1)
    report = simulate(seed, SHORT)
    assert report.violations == []
    assert report.converged_s is not None
    assert report.writes > 0


def test_a_seed_is_the_same_world_in_another_process() -> None:
    """Neither another process nor other string hashes change a step."""
    program = (
        "from stockpush.sim.plan import Plan; from stockpush.sim.run import simulate;"
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
    whole = short(3)
    kind = next(each for each in FaultKind if f"{each.name.lower()}=" in whole.swarm)
    less = simulate(3, Plan(cut_s=1200.0, silent_s=1800.0, without=frozenset({kind})))
    assert f"{kind.name.lower()}=" not in less.swarm
    assert whole.swarm.split(",")[0] == less.swarm.split(",")[0]


def test_every_row_of_the_table_of_faults_is_counted_or_explained() -> None:
    """A row that nobody counts would never be missed."""
    assert not ROWS.keys() & ELSEWHERE.keys()
    assert {f"F{number}" for number in range(1, 71)} == ROWS.keys() | ELSEWHERE.keys()


Books = tuple[dict[ReservationKey, tuple[int, int, int]], dict[str, tuple[int, int]]]
"""Open, shipped and written off of each line; on hand and reserved of each item."""


@dataclass(frozen=True)
class History:
    """The order facts of a run, in the order in which the daemon applied them."""

    world: SimWorld
    facts: tuple[OrderSeen, ...]

    @cached_property
    def kept(self) -> Books:
        """What they come to in their order."""
        return self.books(self.facts)

    def books(self, facts: Iterable[OrderSeen]) -> Books:
        """Apply facts to a core of its own and return what they come to."""
        core = World(now=EPOCH).stock(**dict.fromkeys(self.world.things, 1000))
        for listed in self.world.listings:
            core.list(listed.channel, listed.listing, listed.sku, pack=listed.pack)
        for channel in self.world.shops:
            core.polls(channel)
        for fact in facts:
            core.do(ApplyOrders(fact.channel, (fact,)))
        counts = {
            key: (row.open, row.shipped, row.written_off)
            for key, row in core.rows.reservations.items()
        }
        # A line that a newer version no longer has leaves a tombstone only where it was known.
        return (
            {key: each for key, each in counts.items() if any(each)},
            {sku: (row.on_hand, row.reserved) for sku, row in core.rows.shelves.items()},
        )


@cache
def history(seed: int) -> History:
    """Run a seed and keep what it told the core of orders."""
    facts: list[OrderSeen] = []
    worlds: list[SimWorld] = []
    apply, draw = sales._apply, run.draw_world

    def applied(draft: Draft, order: OrderSeen) -> Verdict:
        facts.append(order)
        return apply(draft, order)

    def drawn(*args: Any, **more: Any) -> SimWorld:
        worlds.append(draw(*args, **more))
        return worlds[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sales, "_apply", applied)
        patch.setattr(run, "draw_world", drawn)
        simulate(seed, Plan(cut_s=1800.0, silent_s=600.0))
    return History(worlds[0], tuple(facts))


@settings(max_examples=20, deadline=None)
@given(dice=st.randoms(use_true_random=False), twice=st.booleans())
@pytest.mark.parametrize("seed", [10, 12, 26, 35])
def test_the_order_of_application_does_not_matter(
    seed: int, dice: random.Random, twice: bool
) -> None:
    """I6: a run's order facts come to the same books in any order, and each as often as one likes.

    I5 with it: most orders of them apply an older version after a newer one.
    """
    told = history(seed)
    assert len(told.facts) > 20
    shuffled = [*told.facts, *told.facts] if twice else list(told.facts)
    dice.shuffle(shuffled)
    assert told.books(shuffled) == told.kept


def test_a_world_does_not_depend_on_when_garbage_is_collected() -> None:
    """A seed whose daemon is killed eight times is the same in whatever process it runs."""
    plan = Plan(channels=frozenset({"faire"}))
    usual = simulate(3, plan)
    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        assert simulate(3, plan).digest == usual.digest
    finally:
        gc.set_threshold(*before)
