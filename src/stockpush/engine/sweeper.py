"""Has holds expire at their instant, so that what they set aside goes back on sale.

Theory of operation. One worker for all holds sleeps until the first of them is due. Whoever changes
a hold wakes it, by a commit of this process (`note`) or one of another (`wake`), so that an earlier
end is not slept through. What is due is ended by the commit lane, as any other command: the fields
that rise are marked in the same transaction. A hold that came to its end while no daemon ran is due
at the start. That it is noted a little late makes no difference to anybody but the channels:
whether a hold can still be sold depends on its instant alone (reservation/holds.py).
"""

from __future__ import annotations

import asyncio
from typing import Final

from stockpush.engine.channel import IDLE_MAX_S, seconds_until, wait_for
from stockpush.engine.commit import CommitLane, in_parts
from stockpush.messages import Decision, ExpireHolds
from stockpush.ports import Clock, Store

DUE_MAX: Final = 500
"""Most holds that are looked up at once; there may be more, which are next."""


class Sweeper:
    """Ends holds that are due, until cancelled."""

    def __init__(self, store: Store, lane: CommitLane, clock: Clock) -> None:
        """Nothing is looked at before `run`."""
        self._store = store
        self._lane = lane
        self._clock = clock
        self._woken = asyncio.Event()

    def note(self, decision: Decision) -> None:
        """Take note of holds that a committed decision has changed."""
        if decision.holds:
            self._woken.set()

    def wake(self) -> None:
        """Have another look: another process may have changed a hold."""
        self._woken.set()

    async def run(self) -> None:
        """End what is due, and sleep until the next hold is, again and again."""
        while True:
            # Before the look: who changes a hold during it wakes us again.
            self._woken.clear()
            due_at = await self._store.next_hold_due()
            now = self._clock.now()
            if due_at is not None and due_at <= now:
                await self._sweep()
                continue
            # What is due is an instant of the wall clock, which may be set forward meanwhile.
            wait_s = IDLE_MAX_S if due_at is None else seconds_until(due_at, now)
            await wait_for(self._woken, seconds=min(wait_s, IDLE_MAX_S))

    async def _sweep(self) -> None:
        """End the holds that are due now."""
        for part in in_parts(await self._store.holds_due(at=self._clock.now(), limit=DUE_MAX)):
            await self._lane.submit(ExpireHolds(part))
