"""The commit lane: groups, receipts, culprits. On a real SQLite file and on PostgreSQL."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockpush import logs
from stockpush.engine import commit
from stockpush.engine.commit import CommitLane
from stockpush.errors import StockPushError, StoreConflict, StoreUnavailable, StoreUnsafe
from stockpush.messages import (
    Accepted,
    AdoptListings,
    Decision,
    ImportCatalogue,
    ListingResolved,
    MoveStock,
    OrderLineSeen,
    OrderSeen,
    ReceiveDelivery,
    Refused,
    ResolveListings,
    StockMove,
)
from stockpush.model import (
    ChannelPolicy,
    Delivery,
    DeliveryState,
    Item,
    Kind,
    Listing,
    ListingKey,
    Mode,
    MovementKind,
    OrderVersion,
)
from stockpush.reservation.catalogue import Catalogue
from stockpush.store.sql import SqlStore
from stockpush.store.transaction import SqlTransaction
from tests.sqlite import put_empty

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
POLICIES = {"shop": ChannelPolicy("shop", "shopify", Mode.LIVE, compare_and_set=True)}
KEY = ListingKey("shop", "a")


class Ticking:
    """A clock that moves on by a millisecond whenever it is asked."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """A little later than before."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self.at - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Let others run."""
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[CommitLane]:
    """A lane that runs on a database with a hundred candles on one listing."""
    store = await SqlStore.open(url)
    lane = CommitLane(store, Ticking(), POLICIES)
    running = asyncio.create_task(lane.run())
    try:
        candles = Item("candle", "Candle", Kind.PRODUCT, "piece")
        opening = StockMove("candle", 100, MovementKind.OPENING)
        listing = Listing(KEY, "candle", ref={"id": "a"})
        await lane.submit(ImportCatalogue((candles,), (), (listing,), (opening,), "i", "test"))
        await lane.submit(ResolveListings((ListingResolved(KEY, "a", "a"),)))
        await lane.submit(AdoptListings((KEY,)))
        yield lane
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, AssertionError, StoreUnsafe):
            await running
        await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return request.getfixturevalue("migrated_postgres_url")


def sqlite_url(folder: Path) -> str:
    """A fresh database that is a file."""
    put_empty(folder / "lane.db")
    return f"sqlite:///{folder}/lane.db"


def sale(number: int, units: int = 1, *, version: int = 1) -> ReceiveDelivery:
    """A delivery of order `number`."""
    order = OrderSeen(
        "shop",
        f"o{number}",
        OrderVersion(START + timedelta(seconds=version), 0),
        START,
        START,
        "open",
        (OrderLineSeen("1", "a", units, units, 0, 0, units),),
    )
    delivery = Delivery("shop", f"d{number} {version}", "order", START, DeliveryState.APPLIED)
    return ReceiveDelivery(delivery, (order,))


async def reserved(lane: CommitLane) -> int:
    """The candles that are reserved."""
    from stockpush.store import reads

    _, rows = await reads.snapshot(lane.store)
    return rows.shelves["candle"].reserved


async def test_sixty_four_queued_deliveries_take_at_most_three_commits(url: str) -> None:
    """Whatever has queued when a commit returns shares the next one; each sale counts."""
    async with serving(url) as lane:
        before = lane.counters.commits
        done = await asyncio.gather(*(lane.submit(sale(number)) for number in range(64)))
        assert all(isinstance(each.outcome, Accepted) for each in done)
        assert lane.counters.commits - before <= 3
        assert await reserved(lane) == 64


async def test_copies_of_one_delivery_in_one_group_count_once(url: str) -> None:
    """Duplicates are found inside the group too."""
    async with serving(url) as lane:
        await asyncio.gather(*(lane.submit(sale(1, 5)) for _ in range(20)))
        assert await reserved(lane) == 5


async def test_later_commands_of_a_group_see_what_earlier_ones_decided(url: str) -> None:
    """An edit behind its order, both in one transaction: the newest stands."""
    async with serving(url) as lane:
        await asyncio.gather(
            lane.submit(sale(1, 5)),
            lane.submit(sale(1, 2, version=2)),
            lane.submit(sale(2, 3)),
        )
        assert await reserved(lane) == 5


async def test_only_the_culprit_of_a_failed_group_fails(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group is rolled back and its commands run singly."""
    from stockpush.engine import commit

    decide = commit.decide

    def poisoned(view: object, command: object, at: datetime) -> Decision:
        if isinstance(command, ReceiveDelivery) and command.delivery.digest.startswith("d3 "):
            raise KeyError("poison")
        return decide(view, command, at)

    monkeypatch.setattr(commit, "decide", poisoned)
    async with serving(url) as lane:
        done = await asyncio.gather(
            *(lane.submit(sale(number)) for number in range(6)), return_exceptions=True
        )
        assert [type(each).__name__ for each in done] == ["Done"] * 3 + ["KeyError"] + ["Done"] * 2
        assert await reserved(lane) == 5


async def test_a_broken_invariant_stops_the_write_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written on top of what cannot be; the sender is told that it failed."""
    from stockpush.engine import commit

    def broken(*_: object) -> Decision:
        raise AssertionError("impossible")

    async with serving(sqlite_url(tmp_path)) as lane:
        monkeypatch.setattr(commit, "decide", broken)
        with pytest.raises(StockPushError, match="broken invariant"):
            await lane.submit(sale(1))


async def test_a_lost_race_is_run_again_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run decides on what it then finds."""
    async with serving(sqlite_url(tmp_path)) as lane:
        transaction, lost = lane.store.transaction, []

        @asynccontextmanager
        async def losing() -> AsyncIterator[object]:
            async with transaction() as begun:
                yield begun
                if not lost:
                    lost.append(True)
                    raise StoreConflict

        monkeypatch.setattr(SqlStore, "transaction", lambda _: losing())
        await lane.submit(sale(1, 4))
        assert lost
        assert lane.counters.rollbacks == 1
        assert await reserved(lane) == 4


async def test_no_answer_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that cannot be had fails the command: there is no receipt, nothing is kept."""
    async with serving(sqlite_url(tmp_path)) as lane:

        @asynccontextmanager
        async def full() -> AsyncIterator[object]:
            raise StoreUnavailable("disk full")
            yield

        with monkeypatch.context() as patched:
            patched.setattr(SqlStore, "transaction", lambda _: full())
            with pytest.raises(StoreUnavailable):
                await lane.submit(sale(1, 4))
        assert await reserved(lane) == 0
        await lane.submit(sale(1, 4))
        assert await reserved(lane) == 4


async def test_a_sync_that_failed_ends_the_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is acknowledged then or later: a second sync would not write what is lost."""
    async with serving(sqlite_url(tmp_path)) as lane:

        @asynccontextmanager
        async def unsafe() -> AsyncIterator[object]:
            raise StoreUnsafe
            yield

        with monkeypatch.context() as patched:
            patched.setattr(SqlStore, "transaction", lambda _: unsafe())
            with pytest.raises(StoreUnsafe):
                await lane.submit(sale(1, 4))
        with pytest.raises(StoreUnavailable, match="ended"):
            await lane.submit(sale(1, 4))


async def test_who_was_under_way_is_answered_when_the_lane_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group's commands are carried out singly and the first one's sync fails: nobody waits on."""
    async with serving(sqlite_url(tmp_path)) as lane:
        groups = 0

        @asynccontextmanager
        async def failing() -> AsyncIterator[object]:
            nonlocal groups
            groups += 1
            raise ValueError if groups == 1 else StoreUnsafe
            yield

        with monkeypatch.context() as patched:
            patched.setattr(SqlStore, "transaction", lambda _: failing())
            answers = await asyncio.gather(
                *(lane.submit(sale(number)) for number in range(3)), return_exceptions=True
            )
        assert [type(each) for each in answers] == [StoreUnsafe, StoreUnavailable, StoreUnavailable]


async def test_what_is_durable_is_not_carried_out_again_because_its_log_line_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's disk is full, or its reader has gone: the sales are committed once, together."""

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    async with serving(sqlite_url(tmp_path)) as lane:
        logs.configure(json=True)
        before = lane.counters.commits
        monkeypatch.setattr(sys, "stderr", Full())
        done = await asyncio.gather(lane.submit(sale(1)), lane.submit(sale(2)))
        assert all(isinstance(each.outcome, Accepted) for each in done)
        assert lane.counters.commits - before <= 2
        assert lane.counters.rollbacks == 0


async def test_a_queue_of_senders_that_gave_up_grows_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database does not answer, whoever comes beyond the bound is refused, unless some of
    those before have gone away: their commands are dropped.
    """
    monkeypatch.setattr(commit, "WAITING_MAX", 4)
    async with serving(sqlite_url(tmp_path)) as lane:
        answers = asyncio.Event()
        transaction = SqlStore.transaction

        @asynccontextmanager
        async def stuck(store: SqlStore) -> AsyncIterator[object]:
            await answers.wait()
            async with transaction(store) as real:
                yield real

        monkeypatch.setattr(SqlStore, "transaction", stuck)
        first = asyncio.create_task(lane.submit(sale(0)))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(lane.submit(sale(number))) for number in range(1, 5)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="Too much waits"):
            await lane.submit(sale(5))
        waiting[0].cancel()
        await asyncio.sleep(0)
        last = asyncio.create_task(lane.submit(sale(6)))
        await asyncio.sleep(0)
        answers.set()
        await asyncio.gather(first, *waiting[1:], last)
        assert await reserved(lane) == 5


async def test_a_refusal_changes_nothing_and_holds_up_nobody(url: str) -> None:
    """It is a value, decided beside its neighbours in the group."""
    nothing = MoveStock((StockMove("nope", 1, MovementKind.RECEIPT),), "k", "test")
    async with serving(url) as lane:
        refused, done = await asyncio.gather(lane.submit(nothing), lane.submit(sale(1)))
        assert isinstance(refused.outcome, Refused)
        assert isinstance(done.outcome, Accepted)


async def test_a_write_command_is_told_the_ids_of_its_movements(url: str) -> None:
    """The ids that `undo` takes; a repeated key gives the same ones."""
    receive = MoveStock((StockMove("candle", 5, MovementKind.RECEIPT),), "k", "test")
    async with serving(url) as lane:
        first = await lane.submit(receive)
        again = await lane.submit(receive)
        assert len(first.movement_ids) == 1
        assert again.outcome.movement_ids == first.movement_ids


async def test_another_process_s_import_is_seen_by_the_next_command(url: str) -> None:
    """The catalogue is read again when its revision has moved."""
    async with serving(url) as lane:
        other = CommitLane(await SqlStore.open(url), Ticking(), POLICIES)
        soap = Item("soap", "Soap", Kind.PRODUCT, "piece")
        await other.commit([ImportCatalogue((soap,), (), (), (), "other", "test")])
        await other.store.close()
        receive = MoveStock((StockMove("soap", 5, MovementKind.RECEIPT),), "k", "test")
        assert isinstance((await lane.submit(receive)).outcome, Accepted)


async def test_a_catalogue_that_was_changed_is_not_kept(url: str) -> None:
    """Once it has been read again there is one in memory, whatever was changed how often."""
    async with serving(url) as lane:
        for number in range(3):
            item = Item("kept-once", f"name {number}", Kind.PRODUCT, "piece")
            await lane.submit(ImportCatalogue((item,), (), (), (), f"name {number}", "test"))
        await lane.submit(sale(1))
        gc.collect()
        catalogues = [each for each in gc.get_objects() if isinstance(each, Catalogue)]
        assert [
            each.items["kept-once"].name for each in catalogues if "kept-once" in each.items
        ] == ["name 2"]


async def test_a_rehearsal_is_decided_while_the_lane_takes_in_another_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue that the lane puts away meanwhile is still the one that it began with."""
    async with serving(sqlite_url(tmp_path)) as lane:
        await lane.submit(sale(1))
        revision = SqlTransaction.catalogue_revision

        async def meanwhile(transaction: SqlTransaction) -> int:
            found = await revision(transaction)
            lane._catalogue = None
            return found

        monkeypatch.setattr(SqlTransaction, "catalogue_revision", meanwhile)
        move = StockMove("candle", 5, MovementKind.RECEIPT)
        decision = await lane.rehearse(MoveStock((move,), "k", "test"))
        assert [row.quantity for row in decision.movements] == [5]
