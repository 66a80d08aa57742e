"""Starts the daemon's workers in order, keeps them running, and drains them on stop.

Theory of operation. One task group holds everything. A worker that loses the database waits and
goes on; one that fails in any other way is logged and started again, so that one channel's oddity
does not end the others. A broken invariant ends the daemon, and so does the loss of the lock that
keeps other daemons away, or a disk that does not confirm a sync: the next start examines the file
first. On stop nothing new is begun, a push under way may finish, the commit lane empties, and only
then are the tasks cancelled; what could not finish is open in the database and is treated as
unknown by the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from stockpush import logs
from stockpush.engine.channel import Channel
from stockpush.engine.commit import CommitLane
from stockpush.engine.full_read import FullReader
from stockpush.engine.guard_keeper import GuardKeeper
from stockpush.engine.lot_clock import LotClock
from stockpush.engine.pusher import Pusher
from stockpush.engine.reconcile import Reconciler
from stockpush.engine.sweeper import Sweeper
from stockpush.engine.watchdog import Watchdog
from stockpush.errors import LockLost, StoreUnavailable, StoreUnsafe
from stockpush.messages import Decision, Event, NoteHealth, RequestReads
from stockpush.model import LOOK_AT, DeliveryState, FieldKey
from stockpush.ports import KEPT, Clock, Request, Store

DRAIN_S = 8.0
"""How long pushes under way may take to finish on stop (the whole stop is bounded by 10 s)."""
LOOK_S = 0.5
"""How often commits of other processes are looked for, unless told otherwise."""
WORKER_WAIT_S = 5.0
"""How long a worker that broke waits before it is started again."""
PRUNE_S = 3600.0
"""How often older ones are looked for, first so long after the start."""
PRUNE_ROWS = 500
"""Most rows of each kind that are deleted at one look: a few milliseconds in which sales wait."""
PROBE_S = 5.0
"""How often it is tried whether a database that was in trouble is well again."""
STORE_WAIT_S = 1.0
"""How long a worker waits after it lost the database."""


@dataclass(slots=True)
class Workers:
    """The workers of one channel."""

    channel: Channel
    pusher: Pusher
    reconciler: Reconciler
    watchdog: Watchdog | None = None
    full: FullReader | None = None


@dataclass(slots=True)
class Supervisor:
    """The running daemon, without its listeners. `beat` says that the work loop is alive.

    `look_s` is how often commits of other processes are looked for.
    """

    store: Store
    lane: CommitLane
    clock: Clock
    workers: Sequence[Workers]
    beat: Callable[[], None]
    look_s: float = LOOK_S
    ready: bool = False
    _pushing: list[asyncio.Task[None]] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _sweeper: Sweeper = field(init=False)
    _lots: LotClock = field(init=False)
    _prune_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Prune later: a start has other worries."""
        self._prune_at = self.clock.monotonic() + PRUNE_S
        self._sweeper = Sweeper(self.store, self.lane, self.clock)
        self._lots = LotClock(self.store, self.lane, self.clock)

    def reasons_not_ready(self) -> list[str]:
        """Return why the daemon is not ready, empty if it is."""
        reasons = [] if self.ready else ["the workers are not running"]
        if self.lane.trouble is not None:
            reasons.append(f"the database cannot be used: {self.lane.trouble}")
        reasons += [f"worker {task.get_name()} has stopped" for task in self._tasks if task.done()]
        return reasons

    async def run(self, stop: asyncio.Event) -> None:
        """Run every worker until `stop` is set, then drain."""
        by_name = {each.channel.name: each for each in self.workers}
        self.lane.listen(partial(_wake, by_name, {}))
        self.lane.listen(self._sweeper.note)
        self.lane.listen(self._lots.note)
        async with asyncio.TaskGroup() as group:
            lane = group.create_task(self.lane.run(), name="commit lane")
            self._start(group, "requests", self._watch)
            self._start(group, "holds", self._sweeper.run)
            self._start(group, "lots", self._lots.run)
            keeper = GuardKeeper(self.store, self.lane, self.clock)
            self._start(group, "guard levels", keeper.run)
            for each in self.workers:
                name = each.channel.name
                self._start(group, f"{name} health", partial(self._tell_health, each.channel))
                self._start(group, f"{name} polls", each.reconciler.run_polls)
                self._start(group, f"{name} reads", each.reconciler.run_reads)
                if each.watchdog is not None:
                    self.lane.listen(each.watchdog.note)
                    self._start(group, f"{name} watch", each.watchdog.run)
                if each.full is not None:
                    self._start(group, f"{name} whole", each.full.run)
                self._pushing.append(self._start(group, f"{name} pushes", each.pusher.run))
            self._tasks.append(lane)
            self.ready = True
            logs.emit(Event("daemon.started", {"channels": len(self.workers)}))
            await stop.wait()
            self.ready = False
            await self._drain()
            for task in self._tasks:
                task.cancel()
        logs.emit(Event("daemon.stopped", {}))

    def _start(
        self, group: asyncio.TaskGroup, name: str, work: Callable[[], Awaitable[None]]
    ) -> asyncio.Task[None]:
        """Start one worker that survives a lost database."""
        task = group.create_task(self._surviving(work), name=name)
        self._tasks.append(task)
        return task

    async def _surviving(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except StoreUnsafe:
                raise
            except StoreUnavailable as error:
                logs.emit(Event("store.unavailable", {"reason": error.message}))
                await self.clock.sleep(STORE_WAIT_S)
            except (AssertionError, LockLost):
                raise
            except Exception as error:  # noqa: BLE001  # one channel's oddity must not end the others
                logs.get(__name__).error("worker.failed", exc_info=error)
                await self.clock.sleep(WORKER_WAIT_S)

    async def _drain(self) -> None:
        """Begin no new push and let those under way finish."""
        for each in self.workers:
            each.pusher.stop()
            each.reconciler.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(*(each.pusher.idle() for each in self.workers))
        await self.lane.idle()

    async def _watch(self) -> None:
        """See what other processes have committed, and carry out what they asked for.

        A database that was in trouble is tried, so that it is known to be well before a sale comes,
        and what is old and done with is deleted, a little at each look.
        """
        seen: int | None = None
        probe_at = self.clock.monotonic()
        while True:
            changes = await self.store.changes()
            if changes != seen:
                seen = changes
                self._sweeper.wake()
                self._lots.wake.set()
                for request in await self.store.asked():
                    await self._carry_out(request)
                for each in self.workers:
                    each.channel.resolve_wanted = True
                    each.channel.push_wake.set()
                    each.channel.read_wake.set()
            if self.lane.trouble is not None and self.clock.monotonic() >= probe_at:
                await self.lane.probe()
                probe_at = self.clock.monotonic() + PROBE_S
            if self.clock.monotonic() >= self._prune_at:
                await self._prune()
            self.beat()
            await self.clock.sleep(self.look_s)

    async def _prune(self) -> None:
        """Delete some of what is old and done with; the rest at the next look."""
        now = self.clock.monotonic()
        self._prune_at = now + PRUNE_S  # if it fails, too: nothing hurries
        if await self.store.prune(kept_since=self.clock.now() - KEPT, limit=PRUNE_ROWS):
            self._prune_at = now

    async def _tell_health(self, channel: Channel) -> None:
        """Record the channel's health at the start and whenever it changes."""
        while True:
            await self.lane.submit(NoteHealth(channel.name, channel.health, channel.reason))
            await channel.health_changed.wait()
            channel.health_changed.clear()

    async def _carry_out(self, request: Request) -> None:
        """Carry out one request of the command line: `resync` of a channel, an item, or all."""
        channel = request.arguments.get("channel")
        sku = request.arguments.get("sku")
        for each in self.workers:
            if channel is None or each.channel.name == channel:
                await resync(self.store, self.lane, self.clock, each, sku=sku)
        await self.store.answered(request.id, at=self.clock.now())


async def resync(
    store: Store, lane: CommitLane, clock: Clock, workers: Workers, *, sku: str | None
) -> None:
    """Ask for a channel's listings, orders and quantities to be read again, all or of one item.

    What a person was to look at there counts as looked at.
    """
    catalogue = await store.catalogue()
    name = workers.channel.name
    fields = tuple(
        sorted(
            {
                FieldKey(name, listing.field_key)
                for listing in catalogue.listings
                if listing.key.channel == name
                and listing.field_key is not None
                and sku in (None, listing.sku)
            }
        )
    )
    for noted in await store.noted(name):
        key = FieldKey(name, noted.removeprefix(LOOK_AT))
        if noted.startswith(LOOK_AT) and (sku is None or key in fields):
            await store.note(name, noted, None)
    if sku is None:
        workers.reconciler.want_all()
    await lane.submit(RequestReads(fields, due_at=clock.now()))
    workers.channel.poll_wake.set()
    workers.channel.read_wake.set()


def _wake(
    workers: dict[str, Workers], polled: dict[str, datetime | None], decision: Decision
) -> None:
    """Wake the workers that a committed decision concerns.

    `polled` is when each channel's last complete poll began, as far as decisions have told.
    """
    dirty = {row.key.channel for row in decision.dirty}
    for name in sorted(dirty | {row.field.channel for row in decision.pushes}):
        if name in workers:
            workers[name].channel.push_wake.set()
    for row in decision.fields:
        if row.read_due_at is not None and row.key.channel in workers:
            workers[row.key.channel].reconciler.wake_at(row.read_due_at)
    pending = {row.channel for row in decision.deliveries if row.state is DeliveryState.PENDING}
    for name in sorted(pending):
        if name in workers:
            workers[name].channel.read_wake.set()
    for name in sorted(decision.poll_now):
        if name in workers:
            workers[name].channel.poll_wake.set()
    for state in decision.channels:
        # Every sale changes it; only a poll may let a field be pushed for the first time.
        if state.name in workers and state.polled_begun_at != polled.get(state.name):
            polled[state.name] = state.polled_begun_at
            workers[state.name].channel.push_wake.set()
    for key in sorted(decision.resolve_now):
        if key.channel in workers:
            workers[key.channel].reconciler.want([key])
    if decision.listings:
        for each in workers.values():
            each.channel.resolve_wanted = True
            each.channel.read_wake.set()
