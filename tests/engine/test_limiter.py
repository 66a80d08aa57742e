"""The rate limit: the bucket as a value, and who goes first."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.engine.limiter import URGENT_RUN_MAX, Bucket, Limiter, pause, take


class HandClock:
    """A clock that stands still until a test moves it on; sleepers wake in order of time."""

    def __init__(self) -> None:
        self.at = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """Return the instant that stands."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        """Return the seconds moved on so far."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has moved time on far enough."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.at + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time on, stopping at each sleeper's instant, and let everybody run."""
        until = self.at + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, future = heapq.heappop(self._sleepers)
            self.at = max(self.at, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self.at = until
        await settle()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def bucket(tokens: float, *, rate: float = 1.0, burst: float = 5.0, at: float = 0.0) -> Bucket:
    """Return a bucket with convenient defaults."""
    return Bucket(tokens=tokens, rate=rate, burst=burst, at=at)


@pytest.mark.parametrize(
    ("before", "cost", "now", "tokens", "wait_s"),
    [
        (bucket(5), 1, 0.0, 4, 0.0),
        (bucket(0), 1, 0.0, 0, 1.0),
        (bucket(0, rate=2), 1, 0.0, 0, 0.5),
        (bucket(0), 1, 0.25, 0.25, 0.75),
        (bucket(0), 1, 1.0, 0, 0.0),
        (bucket(4), 1, 100.0, 4, 0.0),
        (bucket(5), 8, 0.0, -3, 0.0),
        (bucket(4), 8, 0.0, 4, 1.0),
        (bucket(-3), 1, 0.0, -3, 4.0),
        (bucket(5, at=10.0), 1, 4.0, 5, 6.0),
        (bucket(0, at=10.0), 1, 4.0, 0, 7.0),
        (bucket(0), 0, 0.0, 0, 0.0),
    ],
)
def test_take(before: Bucket, cost: float, now: float, tokens: float, wait_s: float) -> None:
    """A call takes its cost or is told exactly how long to wait, and then takes nothing."""
    after, waited_s = take(before, cost, now)
    assert after.tokens == pytest.approx(tokens)
    assert waited_s == pytest.approx(wait_s)


def test_a_pause_empties_the_bucket_until_then() -> None:
    """After a pause calls go at the refill rate: there is no burst of what had been saved."""
    paused = pause(bucket(5), 10.0, 0.0)
    assert take(paused, 1, 0.0)[1] == pytest.approx(11.0)
    assert take(paused, 1, 10.0)[1] == pytest.approx(1.0)
    assert take(paused, 1, 11.0)[1] == 0.0


def test_the_longer_pause_stays() -> None:
    """A second, shorter "wait" does not shorten the first; none at all changes nothing."""
    paused = pause(pause(bucket(5), 10.0, 0.0), 1.0, 0.0)
    assert paused.at == 10.0
    assert pause(bucket(5), 0.0, 0.0) == bucket(5)


@given(
    rate=st.floats(min_value=0.1, max_value=100),
    burst=st.floats(min_value=1, max_value=1000),
    calls=st.lists(
        st.tuples(st.floats(min_value=0, max_value=10), st.floats(min_value=0.01, max_value=1.0)),
        max_size=60,
    ),
)
@settings(max_examples=200)
def test_never_more_than_the_allowance(
    rate: float, burst: float, calls: list[tuple[float, float]]
) -> None:
    """Whatever the pattern, at most burst + rate * time is let through, and waits are exact."""
    now, let_through = 0.0, 0.0
    state = bucket(burst, rate=rate, burst=burst)
    for gap_s, cost in calls:
        now += gap_s
        state, wait_s = take(state, cost, now)
        if wait_s > 0:
            now += wait_s
            state, wait_s = take(state, cost, now)
        assert wait_s == 0.0
        let_through += cost
        assert let_through <= burst + rate * now + 1e-6


class Line:
    """Callers at one limiter; `went` is the order in which they were let through, and when."""

    def __init__(self, *, rate: float = 1.0, burst: float = 1.0) -> None:
        self.clock = HandClock()
        self.limiter = Limiter(self.clock, rate=rate, burst=burst)
        self.went: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, name: str, *, urgent: bool = False, cost: float = 1.0) -> None:
        """Join the line, and go through at once if that is possible."""

        async def go() -> None:
            await self.limiter.acquire(cost, urgent=urgent)
            self.went.append((name, self.clock.at))

        self.tasks[name] = asyncio.create_task(go())
        await settle()

    @property
    def order(self) -> str:
        """Return the names of those who went, in order."""
        return "".join(name for name, _ in self.went)


async def test_in_order_of_arrival() -> None:
    """Equals go first come, first served, one per refill."""
    line = Line()
    for name in "abcd":
        await line.arrive(name)
    await line.clock.advance(10)
    assert line.went == [("a", 0.0), ("b", 1.0), ("c", 2.0), ("d", 3.0)]


async def test_a_cheap_call_does_not_overtake_a_costly_one() -> None:
    """A small call that could go now still waits its turn: the large one would starve."""
    line = Line(burst=3.0)
    await line.arrive("a", cost=2.0)
    await line.arrive("b", cost=3.0)
    await line.arrive("c", cost=0.5)
    await line.clock.advance(10)
    assert line.order == "abc"


async def test_urgent_goes_first() -> None:
    """A push that lowers a quantity overtakes the polls that wait, also the one next in line."""
    line = Line()
    for name in "abc":
        await line.arrive(name)
    await line.clock.advance(0.5)
    await line.arrive("U", urgent=True)
    await line.arrive("V", urgent=True)
    await line.clock.advance(10)
    assert line.order == "aUVbc"
    assert line.went[1] == ("U", 1.0)


async def test_urgent_does_not_starve_the_rest() -> None:
    """After a run of urgent calls one ordinary call goes."""
    line = Line()
    await line.arrive("a")
    await line.arrive("b")
    for name in "PQRSTU":
        await line.arrive(name, urgent=True)
    await line.clock.advance(20)
    assert line.order == "aPQRSbTU"
    assert URGENT_RUN_MAX == 4


async def test_a_cancelled_caller_gives_up_its_place_and_takes_nothing() -> None:
    """Who stops waiting, at the head or behind it, delays nobody."""
    line = Line()
    for name in "abcd":
        await line.arrive(name)
    line.tasks["b"].cancel()
    line.tasks["c"].cancel()
    await line.clock.advance(1)
    assert line.went == [("a", 0.0), ("d", 1.0)]


async def test_a_pause_reaches_those_who_already_wait() -> None:
    """Being told to wait holds the queue, not only later callers."""
    line = Line()
    await line.arrive("a")
    await line.arrive("b")
    await line.clock.advance(0.5)
    line.limiter.pause(60.0)
    await line.clock.advance(60)
    assert line.order == "a"
    assert line.limiter.wait_s() == pytest.approx(1.0)
    await line.clock.advance(5)
    assert line.order == "ab"
