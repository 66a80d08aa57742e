"""From dirty fields to the channel: open, send once, settle.

One pusher per channel, one call at a time. The target is computed and the push row committed in
one transaction before the call; the answer is settled in another after it. A write whose outcome
is unknown stays in flight until, after its deadline, the same call repeated (where the channel
compares) or a reading (where it does not) has taught what became of it: until then that field gets
no new write.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stockpush.connectors.base import PushLine, PushOutcome, Reading
from stockpush.engine.channel import IDLE_MAX_S, Channel, seconds_until, wait_for
from stockpush.engine.commit import PART_MAX, CommitLane, in_parts
from stockpush.engine.reconcile import READ_TRIES_MAX
from stockpush.errors import (
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PushRejected,
    RateLimited,
)
from stockpush.messages import Accepted, OpenPushes, PushSettled, RequestReads, SettlePushes
from stockpush.model import LOOK_AT, Dirty, FieldKey, Health, Mode, Push, PushOutcomeKind
from stockpush.ports import Clock, Ids, Store
from stockpush.reservation.pushes import is_doubted

NOT_READY_S = 0.5
NOT_READY_MAX_S = 5.0
"""Shortest and longest wait when every due field still needs its orders read: others may become due
meanwhile.
"""
SUSPENDED_S = 180.0
"""So long between two looks at the clock, while there is something to do at least every minute, and
the machine must have slept."""
READS_FIRST_S = 60.0
"""How long a push waits, after that, for a field that does not get read."""
TOO_LATE = "not sent: the machine slept before it could be"
"""The reason of a push whose request was not sent any more."""


class Pusher:
    """Pushes one channel's dirty fields until cancelled."""

    def __init__(
        self,
        channel: Channel,
        lane: CommitLane,
        store: Store,
        clock: Clock,
        ids: Ids,
        poll: Callable[[], Awaitable[bool]],
    ) -> None:
        """`poll` reads the channel's orders now, before a write that nothing compares, and answers
        whether it could.
        """
        self._channel = channel
        self._lane = lane
        self._store = store
        self._clock = clock
        self._ids = ids
        self._poll = poll
        self._poll_at = clock.monotonic()
        self._learn_at: dict[str, float] = {}
        self._sent: dict[str, float] = {}
        self._looked: tuple[datetime, float] | None = None
        self._suspended: tuple[datetime, float] | None = None
        self._asked: dict[FieldKey, float] = {}
        self._tries: Counter[str] = Counter()
        self._odd: Counter[FieldKey] = Counter()
        """How many readings in a row told no number of a field whose write had no answer."""
        self._may_be_open = True
        """Whether a push of the channel may be open: nobody else opens any, so a look tells."""
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()

    def stop(self) -> None:
        """Begin no new call; `idle` then returns once the one under way is settled."""
        self._stopping.set()
        self._channel.push_wake.set()

    async def idle(self) -> None:
        """Return when the pusher has stopped."""
        await self._idle.wait()

    async def run(self) -> None:
        """Push whatever becomes dirty, until stopped; then wait to be cancelled."""
        await self._distrust_open()
        while not self._stopping.is_set():
            self._notice_suspend()
            await self._learn_unknown()
            pushed = 0 if self._stopping.is_set() else await self.push_once()
            if not pushed and not self._stopping.is_set():
                await wait_for(self._channel.push_wake, seconds=await self._idle_s())
        self._idle.set()
        await asyncio.Event().wait()  # stopped: the supervisor cancels us

    async def push_once(self) -> int:
        """Push the fields that are due now, in one call; return how many were sent."""
        channel = self._channel
        if channel.health is Health.NEEDS_LOGIN:
            return 0
        limit = channel.connector.manifest.batch_max
        due = await self._store.dirty(channel.name, at=self._clock.now(), limit=limit)
        if not due:
            return 0
        due, groups = await self._together(due, limit)
        self._notice_suspend()
        keys = tuple(dirty.key for dirty in due)
        written = dict.fromkeys(keys) | dict.fromkeys(key for group in groups for key in group)
        if await self._reads_first(tuple(written)):
            return 0
        heard = await self._heard_first(keys, lowers=any(dirty.decrease for dirty in due))
        call_id = self._ids.new()
        pushes, poll_from = await self._open(keys, groups, call_id, lower_only=not heard)
        if not pushes:
            await self._wait_for_orders(poll_from)
            return 0
        await self._send(pushes, call_id, {dirty.key: dirty.attempts for dirty in due})
        return len(pushes)

    async def _open(
        self,
        keys: Sequence[FieldKey],
        groups: Sequence[tuple[FieldKey, ...]],
        call_id: str,
        *,
        lower_only: bool,
    ) -> tuple[Sequence[Push], datetime | None]:
        """Open the pushes of a call; return them, and from when a poll would let more be opened."""
        self._may_be_open = True
        pushes: list[Push] = []
        opened = 0
        poll_from: list[datetime] = []
        for part in _parts(keys, groups):
            done = await self._lane.submit(
                OpenPushes(
                    self._channel.name,
                    part.due,
                    call_id,
                    lower_only=lower_only,
                    opened=opened,
                    groups=part.groups,
                )
            )
            assert isinstance(done.outcome, Accepted)
            pushes += done.outcome.facts["pushes"]
            opened += done.outcome.facts["opened"]
            if done.outcome.facts["poll_from"] is not None:
                poll_from.append(done.outcome.facts["poll_from"])
        return pushes, min(poll_from, default=None)

    async def _together(
        self, due: Sequence[Dirty], limit: int
    ) -> tuple[Sequence[Dirty], tuple[tuple[FieldKey, ...], ...]]:
        """Return what is due and goes into one call, and the groups that it is written in, whole.

        A group that does not fit beside those before it waits for the next call; one that is larger
        than a call goes alone.
        """
        together = self._channel.connector.together
        names = {dirty.key: together(dirty.key.key) for dirty in due}
        if all(name == key.key for key, name in names.items()):
            return due, ()  # each is written by itself
        groups: defaultdict[str, list[FieldKey]] = defaultdict(list)
        for key in await self._store.field_keys(self._channel.name):
            groups[together(key.key)].append(key)
        taken: dict[str, tuple[FieldKey, ...]] = {}
        fields = 0
        for name in dict.fromkeys(names.values()):
            if taken and fields + len(groups[name]) > limit:
                break
            taken[name] = tuple(groups[name])
            fields += len(groups[name])
        return [dirty for dirty in due if names[dirty.key] in taken], tuple(taken.values())

    def _notice_suspend(self) -> None:
        """Notice that the machine slept: more time has passed than anything here takes.

        The monotonic clock may have stood still meanwhile, so either clock tells. A wall clock that
        was set forward looks the same, which costs a reading.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if self._looked is not None:
            at, then = self._looked
            if max((now - at).total_seconds(), monotonic - then) > SUSPENDED_S:
                self._distrust(now)
        self._looked = (now, monotonic)

    def _distrust(self, now: datetime) -> None:
        """Believe no number that was read before `now`: have orders and fields read first."""
        self._suspended = (now, self._clock.monotonic())
        self._asked.clear()
        self._channel.poll_wake.set()

    async def _reads_first(self, keys: Sequence[FieldKey]) -> bool:
        """After a suspend have the fields read that are to be written; answer whether to wait.

        A field that cannot be read is waited for only so long: the compare protects it anyway.
        """
        if self._suspended is None:
            return False
        since, then = self._suspended
        if self._clock.monotonic() - then > self._channel.policy.reconcile_s:
            self._suspended = None  # every field has been read since
            return False
        old = [
            row.key
            for row in await self._store.fields(keys)
            if row.observed_at is None or row.observed_at < since
        ]
        monotonic = self._clock.monotonic()
        new = tuple(key for key in old if key not in self._asked)
        self._asked.update(dict.fromkeys(new, monotonic))
        if new:
            await self._lane.submit(RequestReads(new, due_at=self._clock.now()))
        if all(monotonic - self._asked[key] > READS_FIRST_S for key in old):
            return False
        await wait_for(self._channel.push_wake, seconds=NOT_READY_S)
        return True

    async def _heard_first(self, keys: Sequence[FieldKey], *, lowers: bool) -> bool:
        """Where nothing compares for us, hear of the channel's sales as late as we can; answer
        whether these fields may be raised.

        A poll that fails is not made again before its backoff is over, and none is made while every
        field waits for a reading to be raised. Meanwhile fields are lowered: that waits for
        nothing. What `lowers` hears first all the same, for its number is written too: a sale that
        our last write has put back would be put back by this one again (R10).
        """
        channel = self._channel
        if channel.policy.compare_and_set:
            return True
        if self._clock.monotonic() < self._poll_at:
            return False
        now = self._clock.now()
        if not lowers and all(is_doubted(row, now) for row in await self._store.fields(keys)):
            return False
        heard = await self._poll()
        if not heard:
            wait_s = channel.backoff_s(channel.failures, self._ids)
            self._poll_at = self._clock.monotonic() + wait_s
        return heard

    async def _wait_for_orders(self, poll_from: datetime | None) -> None:
        """Fields wait for their first push until orders were polled from `poll_from` on."""
        channel = self._channel
        if poll_from is None:
            return
        wait_s = seconds_until(poll_from, self._clock.now())
        if wait_s == 0:
            # The poll that is made, or already tried again by itself, wakes us at its end.
            wait_s = NOT_READY_MAX_S
            if channel.health is Health.OK:
                channel.poll_wake.set()
        seconds = min(NOT_READY_MAX_S, max(NOT_READY_S, wait_s))
        await wait_for(channel.push_wake, seconds=seconds)

    async def _send(
        self, pushes: Sequence[Push], call_id: str, attempts: Mapping[FieldKey, int]
    ) -> None:
        """Send one call and settle what it taught.

        A call that would go out later than it may take is not sent: the machine slept in between,
        and its numbers are as old as that.
        """
        now = self._clock.now()
        if seconds_until(now, pushes[0].sent_at) > self._channel.connector.manifest.deadline_s:
            self._distrust(now)
            unsent = PushOutcome(PushOutcomeKind.UNAVAILABLE, error=ChannelUnavailable(TOO_LATE))
            await self._settle(pushes, [unsent] * len(pushes), attempts)
            return
        batch = [PushLine(push.field, push.expected, push.target) for push in pushes]
        # If we are stopped here the push stays open, and the next start treats it as unknown.
        lowers = any(line.target < line.expected for line in batch)
        api = self._channel.urgent if lowers else self._channel.api
        self._sent[call_id] = self._clock.monotonic()
        outcomes = await self._channel.connector.push(api, batch, call_id=call_id)
        assert len(outcomes) == len(batch), "a connector answers one to one"
        self._note_health(outcomes)
        self._note_unknown(call_id, outcomes)
        await self._settle(pushes, outcomes, attempts)

    async def _settle(
        self,
        pushes: Sequence[Push],
        outcomes: Sequence[PushOutcome],
        attempts: Mapping[FieldKey, int],
    ) -> None:
        """Settle every push of a call by its outcome.

        What a person should look at besides is kept where people look.
        Where a call may be repeated with its own key all of it is settled at once: what a crash
        left of it would be another call under the same key.
        """
        for push, outcome in zip(pushes, outcomes, strict=True):
            if outcome.kind is PushOutcomeKind.APPLIED and outcome.error is not None:
                key, text = f"{LOOK_AT}{push.field.key}", outcome.error.message
                await self._store.note(self._channel.name, key, text)
        settled = [
            self._settled(push, outcome, attempts.get(push.field, 0))
            for push, outcome in zip(pushes, outcomes, strict=True)
        ]
        keyed = self._channel.policy.compare_and_set
        for part in [tuple(settled)] if keyed else in_parts(settled):
            await self._lane.submit(SettlePushes(part))

    def _settled(self, push: Push, outcome: PushOutcome, attempts: int = 0) -> PushSettled:
        """Return what the core is told of one outcome; a failure waits longer each time."""
        now = self._clock.now()
        error = outcome.error
        wait_s = (
            error.retry_after_s
            if isinstance(error, RateLimited)
            else self._channel.backoff_s(attempts, self._ids)
        )
        return PushSettled(
            call_id=push.call_id,
            field=push.field,
            outcome=outcome.kind,
            actual=outcome.actual,
            reason="" if error is None else error.message,
            gap_from=outcome.gap_from,
            gap_until=outcome.gap_until,
            retry_at=now + timedelta(seconds=wait_s),
            date=outcome.date,
        )

    def _note_health(self, outcomes: Sequence[PushOutcome]) -> None:
        """Take the call's outcomes as news of the channel's health."""
        faults = {
            PushOutcomeKind.UNAVAILABLE,
            PushOutcomeKind.RATE_LIMITED,
            PushOutcomeKind.AUTH_FAILED,
        }
        failed = [each.error for each in outcomes if each.kind in faults and each.error]
        unknown = [each.error for each in outcomes if each.kind is PushOutcomeKind.UNKNOWN]
        if failed:
            self._channel.failed(failed[0])
        elif len(unknown) < len(outcomes):
            self._channel.succeeded()
        elif unknown[0] is not None:
            self._channel.failed(unknown[0])

    def _note_unknown(self, call_id: str, outcomes: Sequence[PushOutcome]) -> None:
        """Note when an unknown outcome may be learned: once the old request can no longer land.

        Where the shop itself answered with a fault nothing is on its way any more; otherwise the
        request, the repeated one too, has until its deadline.
        """
        unknown = [each for each in outcomes if each.kind is PushOutcomeKind.UNKNOWN]
        if not unknown:
            self._learn_at.pop(call_id, None)
            self._tries.pop(call_id, None)
            return
        answered = all(
            isinstance(each.error, OutcomeUnknown) and each.error.answered for each in unknown
        )
        self._tries[call_id] += 1
        wait_s = self._channel.backoff_s(self._tries[call_id], self._ids)
        if not answered:
            wait_s = max(wait_s, self._channel.connector.manifest.deadline_s)
        self._learn_at[call_id] = self._clock.monotonic() + wait_s

    def _learn_wait_s(self, push: Push) -> float:
        """Return the seconds until the outcome of an open push may be learned, 0 if it may be now.

        What another life of the daemon sent it may have repeated up to its end, which nobody wrote
        down: then a whole deadline passes from our first look.
        """
        monotonic = self._clock.monotonic()
        self._sent.setdefault(push.call_id, monotonic)
        deadline_s = self._channel.connector.manifest.deadline_s
        learn_at = self._learn_at.get(push.call_id, self._sent[push.call_id] + deadline_s)
        return max(0.0, learn_at - monotonic)

    async def _open_pushes(self) -> Sequence[Push]:
        """Return the channel's open pushes; the database is not asked where there can be none."""
        if not self._may_be_open:
            return ()
        found = await self._store.open_pushes(self._channel.name)
        self._may_be_open = bool(found)
        return found

    async def _distrust_open(self) -> None:
        """Treat every push that was in flight when the last daemon ended as unknown (R6)."""
        open_pushes = await self._store.open_pushes(self._channel.name)
        unsettled = [push for push in open_pushes if push.outcome is None]
        if unsettled:
            await self._lane.submit(
                SettlePushes(
                    tuple(
                        PushSettled(push.call_id, push.field, PushOutcomeKind.UNKNOWN)
                        for push in unsettled
                    )
                )
            )

    async def _learn_unknown(self) -> None:
        """Repeat each call whose outcome is unknown, once its old request can no longer land."""
        calls: defaultdict[str, list[Push]] = defaultdict(list)
        open_pushes = await self._open_pushes()
        if self._channel.policy.mode is Mode.SHADOW:
            await self._drop(open_pushes)
            return
        for push in open_pushes:
            calls[push.call_id].append(push)
        self._sent = {call_id: at for call_id, at in self._sent.items() if call_id in calls}
        for call_id, pushes in calls.items():
            if (
                self._learn_wait_s(pushes[0]) == 0
                and self._channel.health is not Health.NEEDS_LOGIN
            ):
                await self._relearn(call_id, pushes)

    async def _drop(self, pushes: Sequence[Push]) -> None:
        """A channel that went into shadow is written to no more: its next reading settles all."""
        if pushes:
            settled = [
                PushSettled(push.call_id, push.field, PushOutcomeKind.UNAVAILABLE)
                for push in pushes
            ]
            await self._lane.submit(SettlePushes(tuple(settled)))

    async def _relearn(self, call_id: str, pushes: Sequence[Push]) -> None:
        """Learn what became of one call. What cannot be learned stays unknown."""
        if self._channel.policy.compare_and_set:
            outcomes = await self._repeat(call_id, pushes)
        else:
            outcomes = await self._read_outcomes(pushes)
        self._note_health(outcomes)
        self._note_unknown(call_id, outcomes)
        told = (PushOutcomeKind.APPLIED, PushOutcomeKind.UNCHANGED, PushOutcomeKind.CONFLICT)
        parked = (PushOutcomeKind.REJECTED, PushOutcomeKind.GONE)
        learned = tuple(
            self._settled(push, outcome)
            for push, outcome in zip(pushes, outcomes, strict=True)
            if outcome.kind in told or outcome.kind in parked
        )
        if learned:
            await self._lane.submit(SettlePushes(learned))
        if len(learned) < len(pushes) and call_id not in self._learn_at:
            # It could not even be asked: the next try waits like any other failure.
            wait_s = self._channel.backoff_s(self._channel.failures, self._ids)
            self._learn_at[call_id] = self._clock.monotonic() + wait_s

    async def _repeat(self, call_id: str, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        """Repeat a call with its own key and variables: where numbers are compared, that tells."""
        batch = [PushLine(push.field, push.expected, push.target) for push in pushes]
        return await self._channel.connector.push(self._channel.api, batch, call_id=call_id)

    async def _read_outcomes(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        """Read what the fields hold: where nothing compares, a call is not repeated.

        Its numbers are old by now, and a sale of what it raised looks as if it had never arrived.
        """
        await self._heard_first([push.field for push in pushes], lowers=False)
        try:
            answer = await self._channel.connector.observe(
                self._channel.api, [push.field for push in pushes]
            )
        except ChannelError as error:
            return [PushOutcome(PushOutcomeKind.UNAVAILABLE, error=error)] * len(pushes)
        return [self._read_outcome(each, answer.date) for each in answer.readings]

    def _read_outcome(self, reading: Reading, date: datetime | None) -> PushOutcome:
        """Return what one reading tells of a write without an answer.

        One odd answer is no evidence: a field is asked for a few times before a person is.
        """
        if reading.quantity is not None:
            del self._odd[reading.field]
            return PushOutcome(PushOutcomeKind.CONFLICT, actual=reading.quantity, date=date)
        self._odd[reading.field] += 1
        if self._odd[reading.field] < READ_TRIES_MAX:
            # The shop has answered: nothing of the write is on its way any more.
            error = OutcomeUnknown(reading.problem, answered=True)
            return PushOutcome(PushOutcomeKind.UNKNOWN, error=error)
        del self._odd[reading.field]
        return PushOutcome(PushOutcomeKind.REJECTED, error=PushRejected(reading.problem))

    async def _idle_s(self) -> float:
        """Return how long nothing can be due: until the next outbox row or unknown outcome."""
        if self._channel.health is Health.NEEDS_LOGIN:
            return IDLE_MAX_S  # nothing is sent; whoever gets through wakes us
        now = self._clock.now()
        due = await self._store.next_due(self._channel.name)
        waits = [IDLE_MAX_S]
        if due is not None:
            waits.append(max(0.01, seconds_until(due, now)))
        waits += [max(0.05, self._learn_wait_s(push)) for push in await self._open_pushes()]
        return min(waits)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one command opens: fields that are due, and the groups that these are written in."""

    due: tuple[FieldKey, ...]
    groups: tuple[tuple[FieldKey, ...], ...] = ()


def _parts(keys: Sequence[FieldKey], groups: Sequence[tuple[FieldKey, ...]]) -> Iterator[_Part]:
    """Yield a call's fields in parts of about `PART_MAX`, in order; no group is torn."""
    if not groups:
        yield from map(_Part, in_parts(keys))
        return
    due = frozenset(keys)
    taken: list[tuple[FieldKey, ...]] = []
    for group in groups:
        if taken and sum(map(len, taken)) + len(group) > PART_MAX:
            yield _Part(tuple(key for one in taken for key in one if key in due), tuple(taken))
            taken = []
        taken.append(group)
    yield _Part(tuple(key for one in taken for key in one if key in due), tuple(taken))
