"""Whoever keeps lots: receives them with their dates, puts them in quarantine and releases them.

Theory of operation. The storekeeper and the maker never work at once (`People.hands`), so that what
they do has an order. A lot may expire or come while people act, long after, or never.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from stockpush.messages import Command, LotTerms, MoveStock, QuarantineLot, Refused, StockMove
from stockpush.model import MovementKind
from stockpush.sim.claims import Wall
from stockpush.sim.clerk import AGES_DAYS, Window
from stockpush.sim.lots import Lot, Lots, comes
from stockpush.sim.people import People, between
from stockpush.sim.swarm import FaultKind

SPAN_S: Final = (15.0, 900.0)
"""How far away a date is, where it lies within the world."""
LOTS_MAX: Final = 40
"""Most lots of a world: more show nothing new."""


@dataclass(slots=True)
class Storekeeper:
    """`rate` is how many deeds a second there are on average; `horizon_s` is every item's."""

    people: People
    window: Window
    wall: Wall
    dice: random.Random
    rate: float
    horizon_s: int | None
    _keys: int = 0

    async def works(self) -> None:
        """Do one thing after the other until everybody goes home."""
        while await self.people.wait(self.dice, self.rate):
            async with self.people.hands:
                lots = list(self._lots)
                if len(lots) < LOTS_MAX and (not lots or self.dice.random() < 0.5):
                    await self._receive()
                else:
                    await self._quarantine(self.dice.choice(lots))

    @property
    def _lots(self) -> Lots:
        return self.people.truth.lots

    async def _receive(self) -> None:
        people, dice = self.people, self.dice
        thing = people.world.things[dice.choice(sorted(people.world.things))]
        units = dice.choice((50, 100, 500)) if thing.unit == "g" else dice.randint(1, 6)
        available_from = self._date(0.3, self.wall.clock.now())
        expires_at = self._date(0.75, available_from or self.wall.clock.now())
        self._keys += 1
        name = f"lot-{self._keys}"
        horizon = None if self.horizon_s is None else timedelta(seconds=self.horizon_s)
        comes_at = comes(available_from, horizon)
        lot = Lot(thing.sku, name, units, comes_at, available_from, expires_at)
        state = people.truth.begin({thing.sku: units})
        self._lots.receive(lot)
        terms = LotTerms(expires_at=expires_at, available_from=available_from)
        move = StockMove(thing.sku, units, MovementKind.RECEIPT, lot=name, terms=terms)
        text = f"receives {units} {thing.sku} as {name} from {available_from} to {expires_at}"
        await self._ask(MoveStock((move,), f"storekeeper {self._keys}", "storekeeper"), lot, text)
        people.truth.durable(state)
        self._lots.done(lot, quarantined=False)
        people.deeds["lot_received"] += 1

    async def _quarantine(self, lot: Lot) -> None:
        quarantined = not lot.is_quarantined
        self._lots.ask(lot)
        command = QuarantineLot(lot.sku, lot.name, quarantined=quarantined, actor="storekeeper")
        verb = "quarantines" if quarantined else "releases"
        await self._ask(command, lot, f"{verb} {lot.name}")
        self._lots.done(lot, quarantined=quarantined)
        self.people.deeds["lot_quarantined" if quarantined else "lot_released"] += 1

    def _date(self, likely: float, after: datetime) -> datetime | None:
        """Return a date: within the world mostly, or after its end, or None."""
        dice = self.dice
        roll = dice.random()
        if roll >= likely:
            return None
        if roll < likely / 4:
            return after + timedelta(days=dice.randint(*AGES_DAYS))
        return after + timedelta(seconds=between(dice, *SPAN_S))

    async def _ask(self, command: Command, lot: Lot, text: str) -> None:
        people = self.people
        apart = self.dice.random() < people.swarm.strength(FaultKind.OTHER_CONNECTION)
        people.struck[FaultKind.OTHER_CONNECTION] += apart
        people.trace.append(f"{people.now():.3f} storekeeper: {text}")
        outcome = await self.window.ask(command, apart=apart)
        if isinstance(outcome, Refused):
            people.auditor.violate("I1", lot.name, f"was answered {outcome}")
        people.trace.append(f"{people.now():.3f} storekeeper: done")
