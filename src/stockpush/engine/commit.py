"""The commit lane: gather, decide, apply, in groups; the only writer of stock.

Theory of operation. Every command waits in one queue. While a transaction commits, more arrive;
whatever has queued when it returns shares the next transaction and its one fsync. No timer is
involved, so an idle lane adds no latency. Inside, the group's rows are gathered at once, the pure
core decides the commands one after the other over an immutable view, and all decisions are
applied together. If the group fails it is rolled back and its commands run singly, so that only
the culprit fails. A command is answered after the commit that made it durable: the `Done` it
gets is the receipt that lets a webhook be acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from stockpush import logs
from stockpush.errors import StockPushError, StoreConflict, StoreUnavailable, StoreUnsafe
from stockpush.messages import (
    Command,
    Decision,
    ExpireHolds,
    Needs,
    Outcome,
    Rows,
    TurnLots,
)
from stockpush.model import UNSAID, ChannelPolicy, StockPolicy
from stockpush.ports import Clock, Store, Transaction
from stockpush.reservation import reach
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.reservation.decide import decide, mark, needs, widen
from stockpush.reservation.pushes import Reached
from stockpush.reservation.view import Unfolding, View, changes_catalogue
from stockpush.values import replace

V = TypeVar("V")

GROUP_MAX = 256
"""Most commands in one transaction."""
WAITING_MAX = 8192
"""Most commands that wait: while the database does not answer, their senders go away and come again
and again.
"""
PART_MAX = 16
"""Most fields in one command of a worker. Sales wait for the group before theirs, and a field takes
about as long as a sale: a hundred at once would hold them up for ten milliseconds.
"""
DUE_MAX = 10_000
"""Most holds, and most lots, that are noted as due before one command."""
TRIES_MAX = 8
"""Most runs of one group that keeps losing races against another process."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command's outcome, durable: it exists only after the commit."""

    outcome: Outcome
    movement_ids: tuple[int, ...] = ()


@dataclass(slots=True)
class Counters:
    """What the lane has done since it started, for metrics and counting tests."""

    commits: int = 0
    commands: int = 0
    rollbacks: int = 0


_Group: TypeAlias = tuple[list[Done], list[Decision]]
"""What a group's commands are answered, and everything that was decided, marking last."""


@dataclass(slots=True)
class _Job:
    command: Command
    done: asyncio.Future[Done]


@dataclass(slots=True)
class CommitLane:
    """One lane per process; `run` must be running for `submit` to be answered."""

    store: Store
    clock: Clock
    policies: Mapping[str, ChannelPolicy]
    stock: StockPolicy = UNSAID
    counters: Counters = field(default_factory=Counters)
    trouble: str | None = None
    """Why the database could last not be written to; None once it could be again."""
    _waiting: deque[_Job] = field(default_factory=deque)
    _taken: Sequence[_Job] = ()
    """The group that is being carried out."""
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _listeners: list[Callable[[Decision], None]] = field(default_factory=list)
    _catalogue: Catalogue | None = None
    _former: Catalogue | None = None
    """The catalogue before a change of ours, until it is read again: its bills are mostly the same.
    """
    _ended: bool = False
    _served: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self, listener: Callable[[Decision], None]) -> None:
        """Call `listener` with every decision after its commit, in order. It must not raise."""
        self._listeners.append(listener)

    async def submit(self, command: Command) -> Done:
        """Carry out one command with whatever else is waiting; return after the commit.

        Raises what the store raised (`StoreUnavailable`, also if too much waits) or the core found
        wrong with the command.
        """
        if self._ended:
            raise StoreUnavailable("The commit lane has ended.")
        if len(self._waiting) >= WAITING_MAX:
            self._forget_the_gone()
        job = _Job(command, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        return await job.done

    async def run(self) -> None:
        """Serve the queue until cancelled; a broken invariant or a failed sync ends it."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    self._taken = self._take()
                    await self._serve(self._taken)
                    self._taken = ()
                self._served.set()
        finally:
            self._ended = True
            for job in (*self._taken, *self._waiting):
                _answer(job, StoreUnavailable("The commit lane has ended."))

    async def idle(self) -> None:
        """Return when nothing waits and nothing is being carried out."""
        while self._waiting or self._taken:
            self._served.clear()
            await self._served.wait()

    async def commit(self, commands: Sequence[Command]) -> list[Done]:
        """Carry out commands in one transaction of their own, without the queue (command line)."""
        done, decisions = await self._transact(commands)
        self._tell(decisions)
        return done

    async def overdue(self) -> list[Command]:
        """Return what takes account of holds and lots that are due and that nobody has noted.

        It is to be carried out before what depends on how much can be promised: no daemon may run,
        and one that does may be a moment late.
        """
        at = self.clock.now()
        ended = await self.store.holds_due(at=at, limit=DUE_MAX)
        turned = await self.store.lots_due(at=at, limit=DUE_MAX)
        return [*map(ExpireHolds, in_parts(ended)), *map(TurnLots, in_parts(turned))]

    async def probe(self) -> None:
        """Find out whether a database that was in trouble is well: nobody may sell for hours.

        Something is written, since a full disk can still be read and locked. A fetch number that is
        never used costs nothing.
        """
        try:
            await self.store.reserve_fetch_numbers(1)
        except StoreUnavailable as error:
            self.trouble = error.message
        else:
            self.trouble = None

    async def rehearse(self, *commands: Command) -> Decision:
        """Return what the last of some commands would change now, and change nothing (`--dry-run`).

        Those before it (none, usually) are carried out first, on paper.
        """
        async with self.store.transaction() as transaction:
            catalogue, rows = await self._gathered(transaction, commands)
            at = self.clock.now()
            unfolding = Unfolding(View(catalogue, rows))
            for command in commands[:-1]:
                unfolding.take(decide(unfolding.view, command, at))
            return decide(unfolding.view, commands[-1], at)

    def _forget_the_gone(self) -> None:
        """Take the commands out of the queue whose senders wait no more; refuse if all still do."""
        self._waiting = deque(job for job in self._waiting if not job.done.done())
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable("Too much waits for the database.")

    def _take(self) -> list[_Job]:
        """Take what has queued, as far as one group may grow."""
        taken: list[_Job] = []
        while self._waiting and len(taken) < GROUP_MAX:
            job = self._waiting.popleft()
            if not job.done.done():  # its sender may have gone away
                taken.append(job)
        return taken

    async def _serve(self, jobs: Sequence[_Job]) -> None:
        """Carry out a group; if it fails, carry its commands out singly."""
        if not jobs:
            return
        try:
            answers, decisions = await self._transact([job.command for job in jobs])
        except AssertionError as broken:
            for job in jobs:
                _answer(job, StockPushError(f"broken invariant: {broken}"))
            raise
        except Exception as error:  # whatever it is, it is that one command's
            # But a database that cannot be had is nobody's: each would wait for it once more.
            away = isinstance(error, StoreUnavailable) and not isinstance(error, StoreConflict)
            if away or len(jobs) == 1:
                for job in jobs:
                    _answer(job, error)
                if isinstance(error, StoreUnsafe):
                    raise  # a later sync would succeed without what this one did not write
                return
            for job in jobs:
                await self._serve([job])
            return
        # From here on it is durable: whatever happens now must not have it carried out again.
        self._tell(decisions)
        for job, answer in zip(jobs, answers, strict=True):
            _answer(job, answer)

    async def _transact(self, commands: Sequence[Command]) -> _Group:
        """Run one group's transaction, again while it loses races."""
        for _ in range(TRIES_MAX - 1):
            try:
                return await self._noted(commands)
            except StoreConflict:
                self.counters.rollbacks += 1
        return await self._noted(commands)

    async def _noted(self, commands: Sequence[Command]) -> _Group:
        """Run the transaction once and note whether the database could be had."""
        try:
            group = await self._once(commands)
        except StoreUnavailable as error:
            self.trouble = error.message
            raise
        self.trouble = None
        return group

    async def _once(self, commands: Sequence[Command]) -> _Group:
        """Gather, decide and apply one group in one transaction."""
        async with self.store.transaction() as transaction:
            catalogue, rows = await self._gathered(transaction, commands)
            # Only now: waiting for another writer takes time, and instants must not go back.
            at = self.clock.now()
            first = View(catalogue, rows)
            unfolding = Unfolding(first)
            decisions: list[Decision] = []
            for command in commands:
                decision = decide(unfolding.view, command, at)
                decisions.append(decision)
                unfolding.take(decision)
            view, reached = await _reached(transaction, first, unfolding.view, decisions)
            marking = mark(view, decisions, at, reached)
            ids = await transaction.apply([*decisions, marking])
        self.counters.commits += 1
        self.counters.commands += len(commands)
        if any(map(changes_catalogue, decisions)):
            self._former, self._catalogue = self._catalogue or self._former, None
        done = [
            Done(each.outcome, movement_ids)
            for each, movement_ids in zip(decisions, ids, strict=False)
        ]
        return done, [*decisions, marking]

    async def _gathered(
        self, transaction: Transaction, commands: Sequence[Command]
    ) -> tuple[Catalogue, Rows]:
        """Return the catalogue, and what a group needs, found with the catalogue last seen.

        Only if that has moved is it gathered again: so the first question that the database is
        asked is the group's own.
        """
        known = self._catalogue  # which the lane may put away while a rehearsal waits
        if known is not None:
            rows = await _gather(transaction, commands, known)
            if await transaction.catalogue_revision() == known.revision:
                return known, rows
        catalogue = await self._current(transaction)
        return catalogue, await _gather(transaction, commands, catalogue)

    async def _current(self, transaction: Transaction) -> Catalogue:
        """Return the catalogue at the transaction's revision, read again only if it moved."""
        revision = await transaction.catalogue_revision()
        if self._catalogue is None or self._catalogue.revision != revision:
            rows = await transaction.catalogue()
            self._catalogue = build(
                rows.revision,
                rows.items,
                rows.bills,
                rows.listings,
                self.policies,
                rows.locations,
                rows.feeds,
                rows.older_bills,
                stock=self.stock,
                known=self._catalogue or self._former,
            )
            self._former = None  # a large one takes a hundred megabytes
        return self._catalogue

    def _tell(self, decisions: Sequence[Decision]) -> None:
        """Log committed decisions' events and wake whoever waits for their effects."""
        logs.emit_all([event for each in decisions for event in each.events])
        for each in decisions:
            for listener in self._listeners:
                listener(each)


async def _gather(
    transaction: Transaction, commands: Iterable[Command], catalogue: Catalogue
) -> Rows:
    """Gather what a whole group needs: what it names, and what follows from that.

    Orders that are new name all that follows. Only one that is known may bring other items with it,
    which are asked for then.
    """
    asked = Needs.union([needs(command, catalogue) for command in commands])
    had = widen(asked, Rows(), catalogue)
    rows = await transaction.gather(
        replace(asked, skus=had.skus, fields=had.fields, leaders=had.leaders, lots=had.lots)
    )
    while rows.reservations or rows.movements or rows.holds or rows.lots or had.leaders:
        followed = widen(asked, rows, catalogue)
        more = Needs(
            skus=followed.skus - had.skus,
            # What holds came without its outbox rows.
            fields=followed.fields.union(rows.fields) - had.fields,
            leaders=followed.leaders - had.leaders,
            lots=followed.lots - had.lots,
            orders=followed.orders - had.orders,
        )
        if not (more.skus or more.fields or more.leaders or more.lots or more.orders):
            break
        others = await transaction.gather(more)
        rows = replace(
            rows,
            shelves={**rows.shelves, **others.shelves},
            fields={**rows.fields, **others.fields},
            dirty={**rows.dirty, **others.dirty},
            in_flight={**rows.in_flight, **others.in_flight},
            lots={**rows.lots, **others.lots},
            reservations={**rows.reservations, **others.reservations},
        )
        had = Needs.union([had, more])
    return replace(rows, partial=had.skus.union(rows.shelves)) if had.leaders else rows


async def _reached(
    transaction: Transaction, before: View, after: View, decisions: Sequence[Decision]
) -> tuple[View, Reached | None]:
    """Where groups were read in part, gather what else has changed with the group's decisions.

    Return the view with that, and what is reached; None where all was read before.
    """
    if after.rows.partial is None:
        return after, None
    touched = frozenset[str]().union(*(each.touched_skus for each in decisions))
    known = filter(after.catalogue.knows, touched)
    part = reach.part(before, after, known)
    before, after = await _with_shelves(transaction, before, after, part)
    items = reach.items(before, after, touched)
    part = reach.part(before, after, items)
    before, after = await _with_shelves(transaction, before, after, part)
    reached = reach.reached(before, after, items, part)
    if reached.shelves:
        after = after.after(Decision(shelves=reached.shelves))
    unread = (reached.fields | after.catalogue.fields_showing(touched)) - after.rows.fields.keys()
    if unread:
        after = after.joined(await transaction.gather(Needs(fields=unread)))
    return after, reached


async def _with_shelves(
    transaction: Transaction, before: View, after: View, part: tuple[str, ...]
) -> tuple[View, View]:
    """Return both views with the shelves of what is netted."""
    unread = reach.shelves(after, part)
    if not unread:
        return before, after
    rows = replace(await transaction.gather(Needs(skus=unread)), partial=unread)
    return before.joined(rows), after.joined(rows)


def in_parts(values: Sequence[V]) -> Iterator[tuple[V, ...]]:
    """Yield the values in order, `PART_MAX` at a time, for commands that are submitted in turn."""
    for begin in range(0, len(values), PART_MAX):
        yield tuple(values[begin : begin + PART_MAX])


def _answer(job: _Job, answer: Done | Exception) -> None:
    """Answer a job whose sender may have gone away."""
    if job.done.done():
        return
    if isinstance(answer, Done):
        job.done.set_result(answer)
    else:
        job.done.set_exception(answer)
