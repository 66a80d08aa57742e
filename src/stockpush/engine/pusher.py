"""From dirty fields to the channel: open, send once, settle.

One pusher per channel, one call at a time. The target is computed and the push row committed in
one transaction before the call; the answer is settled in another after it. A write whose outcome
is unknown stays in flight until the same call, repeated after its deadline, has taught what
became of it: until then that field gets no new write.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from stockpush.connectors.base import PushLine, PushOutcome
from stockpush.engine.channel import Channel, seconds_until, wait_for
from stockpush.engine.commit import CommitLane
from stockpush.errors import OutcomeUnknown, RateLimited
from stockpush.messages import Accepted, OpenPushes, PushSettled, SettlePushes
from stockpush.model import FieldKey, Health, Mode, Push, PushOutcomeKind
from stockpush.ports import Clock, Ids, Store

IDLE_S = 5.0
"""Longest wait before the outbox is looked at again without being woken."""
NOT_READY_S = 0.5
"""Wait when every dirty field still needs its orders read."""


class Pusher:
    """Pushes one channel's dirty fields until cancelled."""

    def __init__(
        self,
        channel: Channel,
        lane: CommitLane,
        store: Store,
        clock: Clock,
        ids: Ids,
        poll: Callable[[], Awaitable[None]],
    ) -> None:
        """`poll` reads the channel's orders now: before a write that nothing compares."""
        self._channel = channel
        self._lane = lane
        self._store = store
        self._clock = clock
        self._ids = ids
        self._poll = poll
        self._learn_at: dict[str, datetime] = {}
        self._tries: Counter[str] = Counter()
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
        if not channel.policy.compare_and_set:
            # Nothing compares for us there, so hear of its sales as late as we can.
            await self._poll()
        call_id = self._ids.new()
        done = await self._lane.submit(
            OpenPushes(channel.name, tuple(dirty.key for dirty in due), call_id)
        )
        assert isinstance(done.outcome, Accepted)
        pushes: tuple[Push, ...] = done.outcome.facts["pushes"]
        if not pushes:
            await self._wait_for_orders(done.outcome.facts["poll_from"])
            return 0
        await self._send(pushes, call_id, {dirty.key: dirty.attempts for dirty in due})
        return len(pushes)

    async def _wait_for_orders(self, poll_from: datetime | None) -> None:
        """Fields wait for their first push until orders were polled from `poll_from` on."""
        channel = self._channel
        if poll_from is None:
            return
        wait_s = seconds_until(poll_from, self._clock.now())
        if wait_s == 0 and channel.health is Health.OK:
            channel.poll_wake.set()
        await wait_for(channel.push_wake, seconds=min(IDLE_S, max(NOT_READY_S, wait_s)))

    async def _send(
        self, pushes: Sequence[Push], call_id: str, attempts: Mapping[FieldKey, int]
    ) -> None:
        """Send one call and settle what it taught."""
        batch = [PushLine(push.field, push.expected, push.target) for push in pushes]
        # If we are stopped here the push stays open, and the next start treats it as unknown.
        lowers = any(line.target < line.expected for line in batch)
        api = self._channel.urgent if lowers else self._channel.api
        outcomes = await self._channel.connector.push(api, batch, call_id=call_id)
        assert len(outcomes) == len(batch), "a connector answers one to one"
        self._note_health(outcomes)
        self._note_unknown(call_id, outcomes)
        await self._lane.submit(
            SettlePushes(
                tuple(
                    self._settled(push, outcome, attempts.get(push.field, 0))
                    for push, outcome in zip(pushes, outcomes, strict=True)
                )
            )
        )

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
        self._learn_at[call_id] = self._clock.now() + timedelta(seconds=wait_s)

    def _learnable_at(self, push: Push) -> datetime:
        """Return when the outcome of an open push may be learned."""
        deadline = timedelta(seconds=self._channel.connector.manifest.deadline_s)
        return self._learn_at.get(push.call_id, push.sent_at + deadline)

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
        open_pushes = await self._store.open_pushes(self._channel.name)
        if self._channel.policy.mode is Mode.SHADOW:
            await self._drop(open_pushes)
            return
        for push in open_pushes:
            calls[push.call_id].append(push)
        for call_id, pushes in calls.items():
            wait_s = seconds_until(self._learnable_at(pushes[0]), self._clock.now())
            if wait_s == 0 and self._channel.health is not Health.NEEDS_LOGIN:
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
        """Repeat one call with its own key and variables. What fails again stays unknown."""
        batch = [PushLine(push.field, push.expected, push.target) for push in pushes]
        outcomes = await self._channel.connector.push(self._channel.api, batch, call_id=call_id)
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
            self._learn_at[call_id] = self._clock.now() + timedelta(seconds=wait_s)

    async def _idle_s(self) -> float:
        """Return how long nothing can be due: until the next outbox row or unknown outcome."""
        if self._channel.health is Health.NEEDS_LOGIN:
            return IDLE_S  # nothing is sent; whoever gets through wakes us
        now = self._clock.now()
        due = await self._store.next_due(self._channel.name)
        waits = [IDLE_S] if due is None else [IDLE_S, max(0.01, seconds_until(due, now))]
        waits += [
            max(0.05, seconds_until(self._learnable_at(push), now))
            for push in await self._store.open_pushes(self._channel.name)
        ]
        return min(waits)
