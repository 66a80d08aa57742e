"""Whoever keeps lots and carries things to the market and back.

Lots are received with their dates, put in quarantine and released.

Theory of operation. The storekeeper and the maker never work at once (`People.hands`), so that what
they do has an order. A lot may expire or come while people act, long after, or never.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from stockpush.messages import (
    Command,
    LotTerms,
    MoveStock,
    Outcome,
    QuarantineLot,
    Refused,
    StockMove,
    TransferStock,
)
from stockpush.model import MovementKind
from stockpush.sim.claims import Wall
from stockpush.sim.clerk import AGES_DAYS, Window
from stockpush.sim.lots import Lot, Lots, comes
from stockpush.sim.people import People, between
from stockpush.sim.storeroom import Storeroom
from stockpush.sim.swarm import FaultKind
from stockpush.sim.world import LOCATIONS, MAIN, MARKET, parted, shelf

SPAN_S: Final = (15.0, 900.0)
"""How far away a date is, where it lies within the world."""
LOTS_MAX: Final = 40
"""Most lots of a world: more show nothing new."""


@dataclass(slots=True)
class Storekeeper:
    """What there is to be done is what the `room` has."""

    people: People
    window: Window
    wall: Wall
    dice: random.Random
    room: Storeroom
    _keys: int = 0

    async def works(self) -> None:
        """Do one thing after the other until everybody goes home."""
        room = self.room
        while await self.people.wait(self.dice, room.keeper):
            async with self.people.hands:
                lots = list(self._lots)
                if room.market and (not room.has_lots or self.dice.random() < 0.5):
                    await self._carry()
                elif len(lots) < LOTS_MAX and (not lots or self.dice.random() < 0.5):
                    await self._receive()
                else:
                    await self._quarantine(self.dice.choice(lots))

    @property
    def _lots(self) -> Lots:
        return self.people.truth.lots

    async def _receive(self) -> None:
        people, dice = self.people, self.dice
        thing = dice.choice(people.world.goods)
        sku, pool = parted(thing.sku)
        units = dice.choice((50, 100, 500)) if thing.unit == "g" else dice.randint(1, 6)
        available_from = self._date(0.3, self.wall.clock.now())
        expires_at = self._date(0.75, available_from or self.wall.clock.now())
        self._keys += 1
        name = f"lot-{self._keys}"
        horizon_s = self.room.horizon_s
        horizon = None if horizon_s is None else timedelta(seconds=horizon_s)
        comes_at = comes(available_from, horizon)
        lot = Lot(sku, name, {thing.sku: units}, comes_at, available_from, expires_at)
        state = people.truth.begin({thing.sku: units})
        self._lots.receive(lot)
        terms = LotTerms(expires_at=expires_at, available_from=available_from)
        location = None if pool == MAIN else LOCATIONS[pool]
        move = StockMove(sku, units, MovementKind.RECEIPT, location=location, lot=name, terms=terms)
        text = f"receives {units} {thing.sku} as {name} from {available_from} to {expires_at}"
        command = MoveStock((move,), f"storekeeper {self._keys}", "storekeeper")
        outcome = await self._ask(command, text)
        if isinstance(outcome, Refused):
            self._lots.refused(lot)
            people.truth.durable(people.truth.begin({thing.sku: -units}))
            people.truth.durable(state)
            if expires_at is None or self.wall.latest() < expires_at:
                self._odd(text, outcome)
            return
        people.truth.durable(state)
        self._lots.done(lot, quarantined=False)
        people.deeds["lot_received"] += 1

    async def _quarantine(self, lot: Lot) -> None:
        quarantined = not lot.is_quarantined
        self._lots.ask(lot)
        command = QuarantineLot(lot.sku, lot.name, quarantined=quarantined, actor="storekeeper")
        verb = "quarantines" if quarantined else "releases"
        outcome = await self._ask(command, f"{verb} {lot.name}")
        if isinstance(outcome, Refused):
            self._odd(lot.name, outcome)
        self._lots.done(lot, quarantined=quarantined)
        self.people.deeds["lot_quarantined" if quarantined else "lot_released"] += 1

    async def _carry(self) -> None:
        """Carry some of something to the market, or back from there."""
        people, dice = self.people, self.dice
        on_hand = people.truth.on_hand()
        there = [name for name in sorted(people.world.things) if on_hand[name] > 0]
        if not there:
            return
        origin = dice.choice(there)
        sku, pool = parted(origin)
        other = MARKET if pool == MAIN else MAIN
        units = dice.randint(1, on_hand[origin])
        state = people.truth.begin({origin: -units, shelf(sku, other): units})
        self._keys += 1
        command = TransferStock(
            sku,
            units,
            LOCATIONS[pool],
            LOCATIONS[other],
            f"storekeeper {self._keys}",
            "storekeeper",
        )
        outcome = await self._ask(command, f"carries {units} {sku} from {pool} to {other}")
        if isinstance(outcome, Refused):
            # What was sent may be unheard of, and then less lies there in no lot than it seems.
            back = people.truth.begin({origin: units, shelf(sku, other): -units})
            people.truth.durable(back)
            if outcome.refusal != "not_there":
                self._odd(origin, outcome)
        people.truth.durable(state)
        people.deeds["transfer_refused" if isinstance(outcome, Refused) else "transferred"] += 1

    def _date(self, likely: float, after: datetime) -> datetime | None:
        """Return a date: within the world mostly, or after its end, or None."""
        dice = self.dice
        roll = dice.random()
        if roll >= likely:
            return None
        if roll < likely / 4:
            return after + timedelta(days=dice.randint(*AGES_DAYS))
        return after + timedelta(seconds=between(dice, *SPAN_S))

    async def _ask(self, command: Command, text: str) -> Outcome:
        people = self.people
        apart = self.dice.random() < people.swarm.strength(FaultKind.OTHER_CONNECTION)
        people.struck[FaultKind.OTHER_CONNECTION] += apart
        people.trace.append(f"{people.now():.3f} storekeeper: {text}")
        outcome = await self.window.ask(command, apart=apart)
        told = outcome.refusal if isinstance(outcome, Refused) else "done"
        people.trace.append(f"{people.now():.3f} storekeeper: {told}")
        return outcome

    def _odd(self, what: str, outcome: Outcome) -> None:
        self.people.auditor.violate("I1", what, f"was answered {outcome}")
