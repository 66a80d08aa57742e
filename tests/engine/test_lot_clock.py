"""The worker that turns lots, on a store that says one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stockpush.engine.channel import IDLE_MAX_S
from stockpush.engine.commit import PART_MAX
from stockpush.engine.lot_clock import WAIT_MAX_S, LotClock
from stockpush.errors import StoreUnavailable
from stockpush.messages import Decision, TurnLots
from stockpush.model import Lot, LotKey

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Fake:
    """A store, a lane and a clock; `due` are instants of lots by item, and turning settles them."""

    due: dict[str, datetime]
    settles: bool = True
    damaged: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    at: datetime = NOON
    turned: list[tuple[str, ...]] = field(default_factory=list)

    async def next_lot_turn(self) -> datetime | None:
        """The earliest instant."""
        return min(self.due.values(), default=None)

    async def lots_due(self, *, at: datetime, limit: int) -> Sequence[str]:
        """The items that are due."""
        return sorted(sku for sku, instant in self.due.items() if instant <= at)[:limit]

    async def submit(self, command: TurnLots) -> None:
        """Turn them."""
        if self.unreadable.intersection(command.skus):
            raise ValueError("a row of these says what no version of ours wrote")
        self.turned.append(command.skus)
        if self.settles:
            for sku in set(command.skus) - self.damaged:
                del self.due[sku]

    def now(self) -> datetime:
        """Noon, unless told otherwise."""
        return self.at


def lot_clock(fake: Any) -> LotClock:
    """The worker on the fake."""
    return LotClock(fake, fake, fake)


async def test_without_lots_nobody_is_asked_to_turn_any() -> None:
    """It sleeps until somebody writes a lot."""
    fake = Fake({})
    assert await lot_clock(fake).turn() == WAIT_MAX_S
    assert fake.turned == []


async def test_what_is_due_is_turned_some_at_a_time_and_the_next_is_waited_for() -> None:
    """Sales do not wait behind hundreds of items at once."""
    fake = Fake({f"item {number:02}": NOON for number in range(40)})
    fake.due["later"] = NOON + timedelta(seconds=7)
    assert await lot_clock(fake).turn() == 7.0
    assert [len(skus) for skus in fake.turned] == [16, 16, 8]


async def test_a_row_that_cannot_be_turned_does_not_keep_it_busy() -> None:
    """Damage is for `check` to find; others are turned, and it looks again in a minute."""
    fake = Fake({"soap": NOON}, settles=False)
    assert await lot_clock(fake).turn() == IDLE_MAX_S
    assert fake.turned == [("soap",)]


@pytest.mark.parametrize("how", ["damaged", "unreadable"])
async def test_however_many_rows_are_damaged_the_others_are_turned(how: str) -> None:
    """More damaged items than it turns at once, all due longer ago, do not keep others on sale."""
    broken = frozenset(f"broken {number:02}" for number in range(2 * PART_MAX))
    fake = Fake(dict.fromkeys([*broken, "soap", "wax"], NOON), **{how: broken})
    assert await lot_clock(fake).turn() == IDLE_MAX_S
    assert set(fake.due) == broken
    if how == "unreadable":
        assert fake.turned == [("soap", "wax")]


async def test_a_database_that_is_away_is_no_fault_of_a_lot() -> None:
    """It is waited for as every worker does, and nothing is passed over."""
    fake = Fake({"soap": NOON})
    submit = fake.submit

    async def away(_: TurnLots) -> None:
        raise StoreUnavailable("The disk is full.")

    fake.submit = away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await lot_clock(fake).turn()
    fake.submit = submit  # type: ignore[method-assign]
    assert await lot_clock(fake).turn() == WAIT_MAX_S


async def test_two_lots_of_one_item_due_one_after_the_other_are_both_turned() -> None:
    """The second comes to its instant while the first is turned: nobody waits a minute for it."""
    fake = Fake({"soap": NOON})
    later = [NOON + timedelta(milliseconds=1)]

    async def submit(command: TurnLots) -> None:
        fake.turned.append(command.skus)
        fake.due = {"soap": later.pop()} if later else {}
        fake.at = NOON + timedelta(milliseconds=2)

    fake.submit = submit  # type: ignore[method-assign]
    assert await lot_clock(fake).turn() == WAIT_MAX_S
    assert fake.turned == [("soap",), ("soap",)]


async def test_whoever_writes_a_lot_wakes_it() -> None:
    """And nobody else."""
    worker = lot_clock(Fake({}))
    worker.note(Decision())
    assert not worker.wake.is_set()
    worker.note(Decision(lots=(Lot(LotKey("soap", "main", "A"), NOON),)))
    assert worker.wake.is_set()
