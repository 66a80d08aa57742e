"""An event loop on which time is a number and the order of events is drawn from a seed.

Theory of operation. Nothing waits: when no callback is ready, the clock jumps to the next timer.
When several are ready, the dice choose one, so that every interleaving that a real machine might
show can come up, and the same seed gives the same one again. There are no threads and no sockets.
Every choice goes into a digest: two runs with one digest did the same things in the same order.

Callbacks belong to whoever started them (`Owner`, carried by their context and so by everything
they start). An owner can be frozen, as by a machine that is suspended, or killed: then its tasks
are cancelled in a world in which it can no longer reach anything, which is all that anybody
outside can tell of a `kill -9`.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import heapq
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

STEPS_AT_ONCE_MAX = 200_000
"""Most callbacks in a row without time moving on: more is a livelock."""
TASKS_SWEPT = 64
"""How many of an owner's tasks are remembered before those that ended are forgotten."""
EPOCH = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
"""When the virtual world begins."""

T = TypeVar("T")


class Livelock(Exception):
    """Callbacks follow each other for ever and time does not move on."""


class Standstill(Exception):
    """Nothing is ready, nothing is planned, and somebody still waits."""


@dataclass(eq=False, slots=True)
class Owner:
    """Whose callbacks they are: the daemon between one start and its end."""

    name: str
    frozen: bool = False
    dead: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)


_owner: ContextVar[Owner | None] = ContextVar("owner", default=None)


class _NoNetwork(selectors.SelectSelector):
    """The selector of a loop that has nothing to select."""

    def select(self, timeout: float | None = None) -> list[Any]:
        """There is never anything."""
        raise AssertionError(f"the virtual loop selects nothing (timeout {timeout})")


class VirtualLoop(asyncio.SelectorEventLoop):
    """`dice` order the callbacks; `before_step` is told the number of each one of the daemon's."""

    _ready: deque[Any]
    _scheduled: list[Any]

    def __init__(self, dice: random.Random) -> None:
        """Begin at time 0."""
        super().__init__(_NoNetwork())
        self._dice = dice
        self._now = 0.0
        self._digest = hashlib.blake2b(digest_size=16)
        self._parked: list[Any] = []
        self._at_once = 0
        self.steps = 0
        self.steps_of_daemon = 0
        self.before_step: Callable[[int], None] | None = None
        self.set_task_factory(_owned)

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._now

    def note(self, text: str) -> None:
        """Take a text into the digest."""
        self._digest.update(text.encode())

    def digest(self) -> str:
        """Return what stands for everything that has happened."""
        return self._digest.hexdigest()

    def freeze(self, owner: Owner) -> None:
        """Run none of the owner's callbacks until `thaw`."""
        owner.frozen = True

    def thaw(self, owner: Owner) -> None:
        """Let the owner go on; what became due meanwhile is ready now."""
        owner.frozen = False
        for handle in self._parked:
            self._ready.append(handle)
        self._parked.clear()

    def kill(self, owner: Owner) -> None:
        """Cancel everything of the owner. The caller has cut it off from the world before."""
        owner.dead = True
        if owner.frozen:
            self.thaw(owner)
        for task in owner.tasks:
            if not task.done():
                task.cancel()
        owner.tasks.clear()

    def _run_once(self) -> None:
        """Run one callback; `BaseEventLoop.run_forever` calls this until it is stopped."""
        scheduled, ready = self._scheduled, self._ready
        if not ready:
            self._drop_cancelled()
            if not scheduled:
                raise Standstill("nothing is planned any more")
            self._now = max(self._now, scheduled[0]._when)
            self._at_once = 0
        while scheduled and (scheduled[0]._cancelled or scheduled[0]._when <= self._now):
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                ready.append(handle)
        if not ready:
            return
        place = self._dice.randrange(len(ready)) if len(ready) > 1 else 0
        handle = ready[place]
        del ready[place]
        if handle._cancelled:
            return
        owner = handle._context.get(_owner)
        if owner is not None:
            if owner.frozen:
                self._parked.append(handle)
                return
            if not owner.dead:
                self.steps_of_daemon += 1
                if self.before_step is not None:
                    self.before_step(self.steps_of_daemon)
        self.steps += 1
        self._at_once += 1
        if self._at_once > STEPS_AT_ONCE_MAX:
            raise Livelock(f"{STEPS_AT_ONCE_MAX} callbacks at {self._now:.3f} s: {handle!r}")
        self._digest.update(b"%d/%d" % (place, len(ready)))
        handle._run()

    def _drop_cancelled(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]  # it never returns
        """There are no threads here."""
        raise AssertionError("a thread was wanted in the simulator")

    async def getaddrinfo(self, *_: Any, **__: Any) -> NoReturn:
        """There is no network here."""
        raise AssertionError("a host name was looked up in the simulator")


@contextmanager
def owned_by(owner: Owner | None) -> Iterator[Context]:
    """Give a context whose tasks belong to `owner` (None: to the world)."""
    context = contextvars.copy_context()
    context.run(_owner.set, owner)
    yield context


def _owned(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None
) -> asyncio.Task[Any]:
    """Make a task and enter it with its owner."""
    owner = _owner.get() if context is None else context.get(_owner)
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context)
    if owner is not None:
        if len(owner.tasks) >= TASKS_SWEPT:
            owner.tasks[:] = [each for each in owner.tasks if not each.done()]
        owner.tasks.append(task)
        if owner.dead:
            task.cancel()
    return task


def spawn(
    loop: VirtualLoop, work: Coroutine[Any, Any, T], owner: Owner | None, *, name: str = ""
) -> asyncio.Task[T]:
    """Start a task that belongs to `owner` (None: to the world), whoever asks for it."""
    with owned_by(owner) as context:
        return loop.create_task(work, name=name or None, context=context)


@dataclass(slots=True)
class SimClock:
    """`ports.Clock` of a virtual loop. `ahead_s`: how far the wall clock is from the truth;
    `ahead_min_s`, `ahead_max_s`: how far it ever was.
    """

    loop: VirtualLoop
    ahead_s: float = 0.0
    ahead_min_s: float = 0.0
    ahead_max_s: float = 0.0

    def set(self, ahead_s: float) -> None:
        """Set the wall clock."""
        self.ahead_s = ahead_s
        self.ahead_min_s = min(self.ahead_min_s, ahead_s)
        self.ahead_max_s = max(self.ahead_max_s, ahead_s)

    def now(self) -> datetime:
        """Return the instant that this clock shows, aware UTC."""
        return EPOCH + timedelta(seconds=self.loop.time() + self.ahead_s)

    def monotonic(self) -> float:
        """Return seconds since the start."""
        return self.loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` (>= 0) of virtual time."""
        woken = self.loop.create_future()
        handle = self.loop.call_later(max(0.0, seconds), _wake, woken)
        try:
            await woken
        finally:
            handle.cancel()


@dataclass(slots=True)
class SimIds:
    """`ports.Ids` from a seed."""

    dice: random.Random

    def new(self) -> str:
        """Return the next identifier, in the form of a UUID."""
        bits = f"{self.dice.getrandbits(128):032x}"
        return "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))

    def jitter(self) -> float:
        """Return a uniform number in [0, 1)."""
        return self.dice.random()


class Turn:
    """Awaited once, it lets the others go first."""

    def __await__(self) -> Generator[None, None, None]:
        """Give the loop one turn."""
        yield


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
