"""The daemon waits until something is due, and notices it in time whatever the clocks do."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stockpush.connectors.base import PushOutcome, Reading, Readings
from stockpush.engine import supervisor
from stockpush.engine.channel import IDLE_MAX_S
from stockpush.engine.reconcile import READ_TRIES_MAX, RECHECK_POLLS
from stockpush.engine.supervisor import PROBE_S, PRUNE_S
from stockpush.errors import ChannelUnavailable, OutcomeUnknown, StoreUnavailable
from stockpush.messages import Decision, RequestReads
from stockpush.model import Delivery, DeliveryState, FieldKey, PushOutcomeKind
from stockpush.ports import KEPT
from stockpush.store import reads
from tests.engine.world import DEADLINE_S, FIELD, POLL_S, SHOP, Floor, floor, ran

HOUR_S = 3600.0
NIGHT_S = 8 * HOUR_S


def test_with_nothing_to_do_next_to_nothing_is_asked(tmp_path: Path) -> None:
    """An hour: two looks a second for commits of others, and a dozen statements a minute."""

    async def work() -> None:
        async with floor(tmp_path, look_s=0.5) as shop:
            shop.statements.clear()
            await shop.passes(HOUR_S)
            looks = shop.statements.pop("PRAGMA")
            assert 7000 < looks < 7400
            assert 60 < shop.statements.total() < 12 * 60, shop.statements

    ran(work())


def test_what_another_process_commits_is_seen_at_the_next_look(tmp_path: Path) -> None:
    """Nobody in this process wakes the workers for it."""

    async def work() -> None:
        async with floor(tmp_path, look_s=2.0) as shop:
            await shop.moves_elsewhere(-4)
            assert await shop.until(lambda: shop.shop.numbers["a"] == 6, within_s=60) < 2.5

    ran(work())


def test_a_reading_that_is_asked_for_is_made_at_once(tmp_path: Path) -> None:
    """The worker sleeps until its next reading is due, which was an hour away a moment ago."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            readings = shop.shop.log.count("observe")
            due_at = shop.lane.clock.now() + timedelta(seconds=3)
            await shop.lane.submit(RequestReads((FIELD,), due_at=due_at))
            waited_s = await shop.until(
                lambda: shop.shop.log.count("observe") > readings, within_s=IDLE_MAX_S
            )
            assert 2.5 < waited_s < 4

    ran(work())


def test_a_hint_that_failed_is_tried_again_when_its_wait_is_over(tmp_path: Path) -> None:
    """A second or two, not the longest wait."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            shop.shop.sell("1", 3)
            failures = [ChannelUnavailable("down"), ChannelUnavailable("down")]

            async def fail(name: str) -> None:
                if name == "fetch" and failures:
                    raise failures.pop()

            shop.shop.before = fail
            await shop.hints("1")
            await shop.until(lambda: shop.shop.log.count("fetch") == 3, within_s=20)

    ran(work())


def test_open_orders_are_asked_for_by_their_ids_after_so_many_polls(tmp_path: Path) -> None:
    """Nothing else wakes the worker that does it."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            shop.shop.sell("1", 3)
            within_s = (RECHECK_POLLS + 1) * POLL_S
            await shop.until(lambda: "fetch" in shop.shop.log, within_s=within_s)
            polled_at = (await shop.store.channel_state(SHOP)).polled_begun_at
            assert (shop.lane.clock.now() - polled_at).total_seconds() < 1

    ran(work())


def test_a_hint_that_comes_again_while_its_order_is_fetched_is_fetched_again(
    tmp_path: Path,
) -> None:
    """The fetch was sent before the edit that the second delivery tells of."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            shop.shop.sell("1", 2)

            async def edit(name: str) -> None:
                if name == "fetch" and shop.shop.log.count("fetch") == 1:
                    await shop.passes(1)
                    shop.shop.sell("1", 5)
                    await shop.hints("1")

            shop.shop.before = edit
            await shop.hints("1")
            await shop.until(lambda: shop.shop.log.count("fetch") == 2, within_s=20)
            await shop.passes(5)
            assert (await shop.row()).expected == 5
            assert shop.shop.log.count("fetch") == 2

    ran(work())


def test_a_database_that_is_well_again_is_ready_before_anything_is_sold(tmp_path: Path) -> None:
    """Nobody commits anything here for minutes; a probe finds out, and is not made otherwise."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            async with shop.store._database.writing() as session:
                await session.fetch("PRAGMA busy_timeout = 0")
            with closing(sqlite3.connect(shop.files.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable):
                    await shop.moves(-1)
                for _ in range(3):
                    await shop.passes(PROBE_S)
                    (reason,) = shop.supervisor.reasons_not_ready()
                    assert "the database cannot be used" in reason
                other.execute("ROLLBACK")
            commits = shop.lane.counters.commits
            await shop.until(lambda: not shop.supervisor.reasons_not_ready(), 2 * PROBE_S)
            assert shop.lane.counters.commits == commits
            shop.statements.clear()
            await shop.passes(3 * PROBE_S)
            assert shop.statements["BEGIN"] == 0

    ran(work())


def test_what_is_old_and_done_with_is_deleted_little_by_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the hour, some at each look; what is younger or still waits stays."""
    monkeypatch.setattr(supervisor, "PRUNE_ROWS", 2)

    async def work() -> None:
        async with floor(tmp_path, look_s=0.5) as shop:
            now = shop.lane.clock.now()
            old, young = now - KEPT - timedelta(hours=1), now - KEPT + timedelta(hours=3)
            applied = Delivery(SHOP, "d", "edit", old, DeliveryState.APPLIED)
            rows = [replace(applied, digest=f"old {number}") for number in range(5)]
            rows.append(replace(applied, digest="young", received_at=young))
            rows.append(replace(applied, digest="waits", state=DeliveryState.QUARANTINED))
            async with shop.store.transaction() as transaction:
                await transaction.apply([Decision(deliveries=tuple(rows))])
            await shop.passes(PRUNE_S - 500)
            assert len((await reads.deliveries(shop.store, limit=9)).data) == 7
            await shop.passes(600)
            left = (await reads.deliveries(shop.store, limit=9)).data
            assert {each.digest for each in left} == {"young", "waits"}
            shop.statements.clear()
            await shop.passes(PRUNE_S)
            assert shop.statements["DELETE"] == 4, "one look that found nothing"

    ran(work())


# -- clocks that jump ------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S, -365 * 24 * HOUR_S, 365 * 24 * HOUR_S])
def test_a_clock_that_is_set_holds_up_neither_pushes_nor_readings(
    tmp_path: Path, jump_s: float
) -> None:
    """F49: a change goes out at once, a failed push after its backoff, and an unseen sale is found
    within the usual hour, however far the clock was set, and back.
    """

    async def work() -> None:
        async with floor(tmp_path) as shop:
            numbers, failing = shop.shop.numbers, [True]

            def fail() -> PushOutcome | None:
                error = ChannelUnavailable("down")
                return PushOutcome(PushOutcomeKind.UNAVAILABLE, error=error) if failing else None

            shop.clock.ahead_s += jump_s
            await shop.moves(-2)
            await shop.until(lambda: numbers["a"] == 8, within_s=70)
            shop.shop.answer_push = fail
            await shop.moves(-1)
            await shop.passes(5)
            shop.clock.ahead_s -= jump_s
            failing.clear()
            await shop.until(lambda: numbers["a"] == 7, within_s=70)
            shop.clock.ahead_s += jump_s
            numbers["a"] -= 1
            readings = shop.shop.log.count("observe")
            await shop.until(lambda: shop.shop.log.count("observe") > readings, 1.2 * HOUR_S)
            await shop.passes(1)
            row = await shop.row()
            assert (row.expected, row.hold) == (6, 1)

    ran(work())


def test_a_clock_set_forward_lets_what_is_due_wait_no_longer_than_the_longest_wait(
    tmp_path: Path,
) -> None:
    """The worker sleeps by the timer, and what is due is by the wall clock."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            readings = shop.shop.log.count("observe")
            shop.clock.ahead_s += 2 * HOUR_S
            waited_s = await shop.until(
                lambda: shop.shop.log.count("observe") > readings, within_s=HOUR_S
            )
            assert waited_s <= IDLE_MAX_S + 1

    ran(work())


def test_a_clock_set_forward_repeats_no_unanswered_write_before_its_deadline(
    tmp_path: Path,
) -> None:
    """R6: until then the old request may still land, whatever the wall clock says."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            unknown = [OutcomeUnknown("no answer")]
            shop.shop.answer_push = lambda: (
                PushOutcome(PushOutcomeKind.UNKNOWN, error=unknown.pop()) if unknown else None
            )
            await shop.moves(-3)
            await shop.until(lambda: "push" in shop.shop.log, within_s=5)
            shop.clock.ahead_s += HOUR_S
            shop.workers.channel.push_wake.set()
            pushes = shop.shop.log.count("push")
            waited_s = await shop.until(
                lambda: shop.shop.log.count("push") > pushes, within_s=HOUR_S
            )
            assert DEADLINE_S - 1 < waited_s < DEADLINE_S + 10

    ran(work())


@pytest.mark.parametrize(("odd", "parked"), [(READ_TRIES_MAX - 1, False), (READ_TRIES_MAX, True)])
def test_an_odd_reading_of_an_unanswered_write_is_no_evidence(
    tmp_path: Path, odd: int, parked: bool
) -> None:
    """R6: a field whose reading tells no number is asked again before a person is asked for."""

    async def work() -> None:
        async with floor(tmp_path, write="check_then_set") as shop:
            unknown, left = [OutcomeUnknown("no answer")], odd
            shop.shop.answer_push = lambda: (
                PushOutcome(PushOutcomeKind.UNKNOWN, error=unknown.pop()) if unknown else None
            )
            observe = shop.shop.observe

            async def observed(api: Any, fields: Sequence[FieldKey]) -> Readings:
                nonlocal left
                readings = await observe(api, fields)
                if not left or "push" not in shop.shop.log:
                    return readings
                left -= 1
                return Readings(tuple(Reading(key, None, "odd") for key in fields), readings.date)

            shop.shop.observe = observed  # type: ignore[method-assign]
            await shop.moves(-3)
            await shop.passes(900)
            assert left == 0
            assert ((await shop.row()).parked_reason is not None) is parked
            assert parked or shop.shop.numbers["a"] == 7

    ran(work())


# -- a machine that sleeps -------------------------------------------------------------------------


async def sleeps(shop: Floor, *, stands_still: bool) -> None:
    """The machine sleeps through a night in which the shop sells four, and nobody tells us."""
    shop.loop.freeze(shop.owner)
    if stands_still:
        await shop.passes(1)
        shop.clock.ahead_s += NIGHT_S
    else:
        await shop.passes(NIGHT_S)
    shop.shop.sell("night", 4)
    shop.shop.log.clear()
    shop.loop.thaw(shop.owner)


@pytest.mark.parametrize("stands_still", [True, False])
@pytest.mark.parametrize("write", ["compare_and_set", "check_then_set"])
def test_a_machine_that_slept_before_it_sent_reads_before_it_pushes(
    tmp_path: Path, write: str, stands_still: bool
) -> None:
    """F50: the push row was committed, the request had not gone out; eight hours later it does not
    go out any more. The monotonic clock may have stood still meanwhile.
    """

    async def work() -> None:
        async with floor(tmp_path, write=write) as shop:
            slept: list[bool] = []

            def sleep(decision: object) -> None:
                if decision.pushes and not slept:
                    slept.append(True)
                    shop.loop.freeze(shop.owner)

            shop.lane.listen(sleep)
            await shop.moves(-3)
            await shop.until(lambda: bool(slept), within_s=5)
            await sleeps(shop, stands_still=stands_still)
            await shop.until(lambda: "push" in shop.shop.log, within_s=120)
            assert shop.shop.log.index("observe") < shop.shop.log.index("push")
            assert shop.shop.log.index("poll") < shop.shop.log.index("push")
            await shop.passes(60)
            assert shop.shop.numbers["a"] == 3
            row = await shop.row()
            assert (row.expected, row.hold, row.surplus) == (3, 0, 0)

    ran(work())


@pytest.mark.parametrize("stands_still", [True, False])
def test_a_machine_that_slept_reads_before_whatever_it_pushes_next(
    tmp_path: Path, stands_still: bool
) -> None:
    """F50: nothing was to be sent when it fell asleep; what is changed after is compared anew."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            await sleeps(shop, stands_still=stands_still)
            await shop.moves(-3)
            await shop.until(lambda: shop.shop.numbers["a"] == 3, within_s=120)
            assert shop.shop.log.index("observe") < shop.shop.log.index("push")
            assert shop.shop.log.count("push") == 1

    ran(work())


def test_a_field_that_cannot_be_read_after_a_sleep_is_pushed_all_the_same(tmp_path: Path) -> None:
    """The wait for a reading is bounded: the compare protects what is written."""

    async def work() -> None:
        async with floor(tmp_path) as shop:

            async def fail(name: str) -> None:
                if name == "observe":
                    raise ChannelUnavailable("down")

            shop.shop.before = fail
            shop.clock.ahead_s += NIGHT_S
            shop.shop.log.clear()
            await shop.moves(-3)
            await shop.until(lambda: shop.shop.numbers["a"] == 7, within_s=120)
            assert "poll" in shop.shop.log

    ran(work())


def test_what_is_lowered_hears_of_sales_first_though_a_reading_is_due(tmp_path: Path) -> None:
    """R10: where nothing compares, a sale that our last write put back must not be put back again
    by a lowering that knows nothing of it.
    """

    async def work() -> None:
        async with floor(tmp_path, write="check_then_set") as shop:

            async def fail(name: str) -> None:
                if name == "observe":
                    raise ChannelUnavailable("down")

            shop.shop.before = fail
            await shop.lane.submit(RequestReads((FIELD,), due_at=shop.clock.now()))
            shop.shop.log.clear()
            await shop.moves(-3)
            await shop.until(lambda: "push" in shop.shop.log, within_s=60)
            assert shop.shop.log.index("poll") < shop.shop.log.index("push")

    ran(work())
