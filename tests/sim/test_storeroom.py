"""What people set aside and keep in lots: as they know it, and as the auditor holds it up."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stockpush.sim.auditor import Auditor
from stockpush.sim.claims import Claim, Claims, Wall
from stockpush.sim.loop import EPOCH, SimClock
from stockpush.sim.lots import Lot, Lots
from stockpush.sim.plan import Plan
from stockpush.sim.regressions import regressions
from stockpush.sim.run import dice, simulate
from stockpush.sim.storeroom import Storeroom
from tests.sim.small_world import Small
from tests.sim.test_auditor import TABLES, WATCHED


@dataclass
class Timed:
    """A virtual instant that is set by hand, and the machine's clock at it."""

    at: float = 0.0

    def __post_init__(self) -> None:
        """Start the machine's clock."""
        loop: Any = SimpleNamespace(time=lambda: self.at)
        self.clock = SimClock(loop)
        self.wall = Wall(self.clock)

    def claims(self) -> Claims:
        """Nothing is set aside yet."""
        return Claims(lambda: self.at, self.wall)

    def lots(self) -> Lots:
        """There are no lots yet."""
        return Lots(lambda: self.at, self.wall)


def until(seconds: float) -> tuple[datetime, datetime]:
    """An end that is known exactly."""
    instant = EPOCH + timedelta(seconds=seconds)
    return instant, instant


def placed(timed: Timed, claims: Claims, *, lasts_s: float = 100.0) -> Claim:
    """Two soaps that are set aside."""
    claim = claims.place("a", {"soap": 2}, until(timed.at + lasts_s))
    claims.done(claim)
    return claim


def test_a_claim_takes_from_its_answer_to_its_end() -> None:
    """Asked for it takes nothing for sure, nor from the instant at which its release is asked."""
    timed = Timed(10)
    claims = timed.claims()
    claim = claims.place("a", {"soap": 2}, until(100))
    assert claims.taken() == {}
    timed.at = 11
    claims.done(claim)
    assert (claims.taken(), claims.held()) == ({"soap": 2}, {"soap": 2})
    timed.at = 20
    claims.ask(claim, "release")
    assert (claims.taken(), claims.held()) == ({}, {"soap": 2})
    assert claims.taken(since=15) == {"soap": 2}
    assert claims.taken(since=11) == {}
    assert list(claims.unsettled()) == ["a: release is not answered"]
    claims.done(claim)
    assert (claims.held(), list(claims.unsettled())) == ({}, [])


def test_a_claim_that_is_refused_was_never_there() -> None:
    """Not then and not later."""
    timed = Timed()
    claims = timed.claims()
    claims.refused(claims.place("a", {"soap": 2}, until(100)))
    timed.at = 50
    assert (claims.taken(), claims.held(), list(claims.unsettled())) == ({}, {}, [])


def test_a_sold_claim_is_gone_from_the_shelf() -> None:
    """It is not held any more, and nobody gets it."""
    timed = Timed()
    claims = timed.claims()
    claim = placed(timed, claims)
    timed.at = 5
    claims.ask(claim, "sell")
    claims.done(claim)
    timed.at = 500
    assert (claims.taken(), claims.sold(), claims.held()) == ({"soap": 2}, {"soap": 2}, {})


@pytest.mark.parametrize(
    ("ahead_s", "was_s", "at", "taken", "held"),
    [
        (0, 0, 99, 2, 2),
        (0, 0, 100, 0, 0),
        (60, 60, 39, 2, 2),
        (60, 60, 40, 0, 0),
        (0, 60, 40, 0, 2),
        (-60, 0, 100, 0, 2),
        (-60, 0, 160, 0, 0),
    ],
)
def test_a_claim_lapses_by_the_daemons_clock(
    ahead_s: float, was_s: float, at: float, taken: int, held: int
) -> None:
    """Set forward it is due earlier; set back it may be due already, and must be only later."""
    timed = Timed()
    claims = timed.claims()
    placed(timed, claims)
    timed.at = 1
    timed.clock.set(was_s)
    timed.clock.set(ahead_s)
    timed.at = at
    assert claims.taken()["soap"] == taken
    assert claims.held()["soap"] == held


def test_a_claim_that_may_have_lapsed_and_is_renewed_takes_again() -> None:
    """What was done with it tells that it was there."""
    timed = Timed()
    claims = timed.claims()
    claim = placed(timed, claims)
    timed.at = 99
    claims.ask(claim, "renew", until(300))
    timed.at = 150
    assert claims.taken() == {}
    assert claims.held() == {"soap": 2}
    claims.done(claim, until(300))
    timed.at = 200
    assert claims.taken() == {"soap": 2}
    assert claims.taken(since=120) == {}
    timed.at = 300
    assert claims.held() == {}


def kept(timed: Timed, **said: Any) -> tuple[Lots, Lot]:
    """Three soaps in a lot, which the books know of."""
    lots = timed.lots()
    lot = Lot("soap", "a", {"soap": 3}, **said)
    lots.receive(lot)
    lots.done(lot, quarantined=False)
    return lots, lot


def test_a_lot_is_withheld_once_it_expired() -> None:
    """By the clock, and for a number that was computed before only where the books had it, too."""
    timed = Timed(1)
    lots, _ = kept(timed, expires_at=EPOCH + timedelta(seconds=50))
    assert list(lots.unsettled()) == ["lot a turns soon"]
    timed.at = 50
    assert lots.withheld() == {"soap": 3}
    lots.noted([("soap", "a", "main", 3, True)])
    timed.at = 60
    assert lots.withheld(since=55) == {}
    lots.noted([("soap", "a", "main", 2, False)])
    assert (lots.withheld(since=55), lots.withheld(since=61)) == ({}, {"soap": 2})
    assert list(lots.unsettled()) == []


def test_a_lot_can_be_promised_before_it_is_there() -> None:
    """By its item's horizon; until then it is withheld from the first."""
    timed = Timed(1)
    there, comes = EPOCH + timedelta(seconds=50), EPOCH + timedelta(seconds=20)
    lots, _ = kept(timed, comes_at=comes, there_at=there)
    assert (lots.withheld(), lots.withheld(since=0), lots.absent()) == (
        {"soap": 3},
        {"soap": 3},
        {"soap": 3},
    )
    timed.at = 20
    assert (lots.withheld(), lots.absent()) == ({}, {"soap": 3})
    timed.at = 50
    assert lots.absent() == {}


def test_a_lot_in_quarantine_is_withheld_until_somebody_asks_for_it() -> None:
    """From the answer on; while something is asked for it may count or not."""
    timed = Timed(1)
    lots, lot = kept(timed)
    lots.ask(lot)
    assert lots.withheld() == {}
    timed.at = 2
    lots.done(lot, quarantined=True)
    assert lots.withheld() == {"soap": 3}
    timed.at = 4
    assert lots.withheld(since=3) == {"soap": 3}
    lots.ask(lot)
    assert (lots.withheld(), lots.withheld(since=3)) == ({}, {})


@pytest.fixture
def books(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Sound books of a daemon that knows of three soaps."""
    connection = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
    connection.executescript(TABLES + WATCHED)
    yield connection
    connection.close()


END = EPOCH + timedelta(seconds=100)
ROW = f"INSERT INTO hold VALUES (1, 'a', 'held', {int(END.timestamp())}000000, 'main')"


@pytest.mark.parametrize(
    ("asked", "changes", "found"),
    [
        ({"soap": 2}, [f"{ROW};INSERT INTO hold_line VALUES (1, 0, 'soap', 2)"], None),
        ({"soap": 2}, [f"{ROW};INSERT INTO hold_line VALUES (1, 0, 'soap', 1)"], "I9"),
        ({"soap": 4}, [f"{ROW};INSERT INTO hold_line VALUES (1, 0, 'soap', 4)"], "I9"),
        ({}, [ROW.replace("'a'", "'b'")], "I2"),
        ({}, [ROW.replace("00000,", "99999999,")], "I2"),
        ({}, [ROW, "UPDATE hold SET state = 'expired'"], "I2"),
        ({}, [ROW, "UPDATE hold SET state = 'released'"], "I2"),
        ({}, [ROW, "UPDATE hold SET state = 'sold'"], "I2"),
    ],
)
def test_what_the_daemon_makes_of_a_hold_is_held_against_what_was_asked(
    tmp_path: Path,
    books: sqlite3.Connection,
    asked: dict[str, int],
    changes: list[str],
    found: str | None,
) -> None:
    """Nothing is set aside, and nothing ends, that nobody asked for; nor more than there is."""
    small = Small.open(stock=3)
    auditor = Auditor(small.world, small.truth, lambda: small.at, lambda: tmp_path / "books.db")
    loop: Any = SimpleNamespace(time=lambda: small.at)
    small.truth.claims.wall = Wall(SimClock(loop))
    auditor.committed()
    small.truth.claims.place("a", asked, (END, END))
    for number, change in enumerate(changes):
        small.at += 1
        books.executescript(change)
        auditor.committed()
        if number == 0 and len(changes) > 1:
            assert auditor.violations == []
            small.truth.claims.done(small.truth.claims.by_key["a"])
    auditor.close()
    assert {each.invariant for each in auditor.violations} == ({found} if found else set())


def test_a_third_of_the_drawn_worlds_has_a_storeroom() -> None:
    """Each with clerks, lots or a market, and with any of these together."""
    rooms = [Storeroom.draw(random.Random(seed), ["woo", "etsy"]) for seed in range(200)]
    assert all(room.clerks or room.keeper for room in rooms)
    kinds = {(bool(room.clerks), room.has_lots, bool(room.market)) for room in rooms}
    assert len(kinds) == 7
    drawn = [dice(seed, "storeroom").random() < 1 / 3 for seed in range(600)]
    assert 150 < sum(drawn) < 250


def test_a_world_without_a_storeroom_is_what_it_was() -> None:
    """It is drawn from dice of its own: where none is drawn, the world is the one without."""
    seed = next(seed for seed in range(5, 99) if dice(seed, "storeroom").random() >= 1 / 3)
    short = {"cut_s": 120.0, "silent_s": 60.0}
    usual, without, with_it = (
        simulate(seed, Plan(storeroom=each, **short)).digest  # type: ignore[arg-type]  # floats
        for each in (None, False, True)
    )
    assert usual == without != with_it


def test_no_regression_gets_a_storeroom_by_itself() -> None:
    """It has one where it says so, and is else the world that it was."""
    rooms = {each.seed: each.plan.storeroom for each in regressions()}
    assert None not in rooms.values()
    assert [seed for seed, room in rooms.items() if room] == [2123]


@pytest.mark.parametrize("seed", [2, 4])
def test_every_invariant_holds_with_a_storeroom(seed: int) -> None:
    """Holds are placed and end, lots come and go, and every number is right in the end."""
    report = simulate(seed, Plan(storeroom=True, span_s=1200.0, silent_s=600.0))
    assert report.violations == []
    assert report.converged_s is not None
    assert any("aside" in what for what in report.rows)
