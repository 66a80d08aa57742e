"""Lots that expire, or become available, while nobody does anything.

Theory of operation. Each lot says when the clock next changes whether it is sold. One worker waits
for the earliest of these instants and then has the items turned, which marks the listings that show
another number now; whatever was due while no daemon ran is due at once. Whoever commits a lot wakes
the worker, and so does a commit of another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from stockpush import logs
from stockpush.engine.channel import IDLE_MAX_S, seconds_until, wait_for
from stockpush.engine.commit import DUE_MAX, PART_MAX, CommitLane
from stockpush.errors import StoreUnavailable
from stockpush.messages import Decision, TurnLots
from stockpush.ports import Clock, Store

WAIT_MIN_S: Final = 0.001
"""Shortest wait: an instant that is due now must not be asked for again in the same one."""
WAIT_MAX_S: Final = 86_400.0
"""Longest wait, where no lot ever changes by the clock: whoever writes one that does wakes us."""


@dataclass(slots=True)
class LotClock:
    """The worker that turns lots when their instant comes."""

    store: Store
    lane: CommitLane
    clock: Clock
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Turn whatever is due, whenever it becomes due."""
        while True:
            await wait_for(self.wake, seconds=await self.turn())

    async def turn(self) -> float:
        """Turn the lots that are due, some at a time; return how long none can be.

        Items that stay due have rows that no version of ours wrote (`check` names them): they are
        passed over, so that however many there are the others are turned, and tried again later.
        """
        stuck: set[str] = set()
        while True:
            due = await self.store.next_lot_turn()
            if due is None:
                return WAIT_MAX_S
            at = self.clock.now()
            wait_s = seconds_until(due, at)
            if wait_s > 0:
                return max(WAIT_MIN_S, min(IDLE_MAX_S, wait_s))
            found = await self.store.lots_due(at=at, limit=DUE_MAX if stuck else PART_MAX)
            skus = [sku for sku in found if sku not in stuck][:PART_MAX]
            if not skus:
                return IDLE_MAX_S
            stuck |= await self._submit(skus)
            still = await self.store.lots_due(at=at, limit=DUE_MAX)
            stuck |= set(skus).intersection(still)

    async def _submit(self, skus: Sequence[str]) -> set[str]:
        """Have items turned, singly if it fails for all of them; return those for which it does."""
        try:
            await self.lane.submit(TurnLots(tuple(skus)))
        except StoreUnavailable:
            raise  # that is nobody's in particular
        except Exception as error:  # noqa: BLE001  # whatever it is, it is one item's
            if len(skus) > 1:
                return set().union(*[await self._submit([sku]) for sku in skus])
            logs.get(__name__).error("worker.failed", exc_info=error)
            return set(skus)
        return set()

    def note(self, decision: Decision) -> None:
        """Look again: a lot has changed, and with it perhaps the earliest instant."""
        if decision.lots:
            self.wake.set()
