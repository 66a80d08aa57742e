"""Whoever sets stock aside by hand: for a market stall, a quote, a wholesale order.

Theory of operation. A clerk places holds of the daemon's own, renews them, releases them, sells
them, or lets them lapse, through the daemon's commands, one after the other, each repeated with its
key until it is answered. Several clerks compete for the same stock. A refusal is an answer like
another one; what may be refused, and when, the clerk knows. Some commands are typed twice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from stockpush.messages import (
    Command,
    Outcome,
    PlaceHold,
    Refused,
    ReleaseHold,
    RenewHold,
    Replayed,
    SellHold,
)
from stockpush.model import HoldLine
from stockpush.sim.claims import Claim, Claims, Wall
from stockpush.sim.people import People, between
from stockpush.sim.swarm import FaultKind
from stockpush.sim.world import parted

TWICE: Final = 0.15
"""How often a command that was carried out is typed again."""
AGES: Final = 0.25
"""How often something is set aside for longer than the world lasts."""
AGES_DAYS: Final = (4, 300)
SPAN_S: Final = (15.0, 900.0)
"""How long otherwise: from, to."""
JUMP: Final = timedelta(hours=3)
"""How far a clock may be set back at the most, by all its jumps."""
PLACED: Final = frozenset({"insufficient_atp", "still_on_sale", "until_past"})
"""Why a hold may not be placed."""
ENDED: Final = frozenset({"not_held", "until_past"})
"""Why one may not be renewed, released or sold, once it may be due."""


class Window(Protocol):
    """Where one asks the daemon, and is answered."""

    async def ask(self, command: Command, *, apart: bool = False) -> Outcome:
        """Carry out a command; return what was answered once it is durable."""
        ...


@dataclass(slots=True)
class Clerk:
    """One clerk; `rate` is how many deeds a second there are on average."""

    name: str
    people: People
    window: Window
    wall: Wall
    dice: random.Random
    rate: float
    own: list[Claim] = field(default_factory=list)
    _keys: int = 0

    async def works(self) -> None:
        """Do one thing after the other until everybody goes home."""
        while await self.people.wait(self.dice, self.rate):
            self.own = [claim for claim in self.own if claim.is_held]
            if not self.own or self.dice.random() < 0.45:
                await self._place()
            else:
                await self._change(self.dice.choice(self.own))

    @property
    def _claims(self) -> Claims:
        return self.people.truth.claims

    async def _place(self) -> None:
        wished = self._wished()
        units: dict[str, int] = {}
        for sku, quantity in wished:
            units[sku] = units.get(sku, 0) + quantity
        lines = tuple(HoldLine(parted(sku)[0], quantity) for sku, quantity in wished)
        (pool,) = {parted(sku)[1] for sku in units}
        until, lapses = self._until()
        key = self._key()
        claim = self._claims.place(key, units, lapses)
        command = PlaceHold(lines, until, "", key, self.name, pool=pool)
        outcome = await self._ask(command, f"sets aside {units} until {until}")
        if isinstance(outcome, Refused):
            self._claims.refused(claim)
            self.people.deeds["hold_refused"] += 1
            if outcome.refusal not in PLACED:
                self._odd(claim, outcome)
            return
        claim.number = outcome.facts["hold"]
        self._claims.done(claim, self._known(until, lapses))
        self.own.append(claim)
        await self._again(command, claim)

    async def _change(self, claim: Claim) -> None:
        roll, key, lapses = self.dice.random(), self._key(), claim.lapses
        known = lapses
        if roll < 0.3:
            until, new = self._until()
            self._claims.ask(claim, "renew", new)
            command: Command = RenewHold(claim.number, until, key, self.name)
            outcome = await self._ask(command, f"renews {claim.key} until {until}")
            known = self._known(until, new)
        elif roll < 0.65 and self._may_leave(claim.units):
            self._claims.ask(claim, "sell")
            command = SellHold(claim.number, "the market", key, self.name)
            outcome = await self._ask(command, f"sells {claim.key}")
        else:
            self._claims.ask(claim, "release")
            command = ReleaseHold(claim.number, key, self.name)
            outcome = await self._ask(command, f"releases {claim.key}")
        if isinstance(outcome, Refused):
            may_lapse = claim.may_lapse(self.wall)
            self._claims.refused(claim, lapses)
            if outcome.refusal == "not_held" and may_lapse:
                self.people.deeds["hold_was_due"] += 1
            elif outcome.refusal != "until_past":
                self._odd(claim, outcome)
            return
        self._claims.done(claim, known)
        await self._again(command, claim)

    async def _again(self, command: Command, claim: Claim) -> None:
        """Type it once more, now and then: the same is answered, and nothing happens."""
        if self.dice.random() >= TWICE:
            return
        outcome = await self._ask(command, "types it again")
        if not isinstance(outcome, Replayed):
            self._odd(claim, outcome)

    async def _ask(self, command: Command, text: str) -> Outcome:
        people = self.people
        apart = self.dice.random() < people.swarm.strength(FaultKind.OTHER_CONNECTION)
        people.struck[FaultKind.OTHER_CONNECTION] += apart
        people.trace.append(f"{people.now():.3f} {self.name}: {text}")
        outcome = await self.window.ask(command, apart=apart)
        told = outcome.refusal if isinstance(outcome, Refused) else type(outcome).__name__.lower()
        people.trace.append(f"{people.now():.3f} {self.name}: {told}")
        return outcome

    def _odd(self, claim: Claim, outcome: Outcome) -> None:
        self.people.auditor.violate("I2", claim.key, f"was answered {outcome}")

    # -- what is wished ------------------------------------------------------------------------

    def _wished(self) -> list[tuple[str, int]]:
        """Return one (item, units) or two of one pool, mostly of what there is, sometimes more."""
        dice, truth = self.dice, self.people.truth
        names = [thing.sku for thing in self.people.world.goods]
        pool = parted(dice.choice(names))[1]
        names = [name for name in names if parted(name)[1] == pool]
        wished = []
        for _ in range(dice.choice((1, 1, 1, 2, 2))):
            sku = dice.choice(names)
            if truth.atp(sku) < 1:  # one more try: most things are sold out most of the time
                sku = dice.choice(names)
            left = truth.atp(sku)
            units = dice.choice((left, left, left + 1, dice.randint(1, max(1, left))))
            wished.append((sku, max(1, units)))
        return wished

    def _may_leave(self, units: Mapping[str, int]) -> bool:
        """Answer whether all of it is sold anyway: of the rest somebody may be counting it."""
        sold = {each.sku for each in self.people.world.listings}
        return sold.issuperset(units)

    def _until(self) -> tuple[datetime | timedelta, tuple[datetime, datetime]]:
        """Return until when something is set aside, and between when that lies, as far as is known
        before it is answered.
        """
        dice = self.dice
        span = timedelta(seconds=between(dice, *SPAN_S))
        if dice.random() < AGES:
            span = timedelta(days=dice.randint(*AGES_DAYS))
        if dice.random() < 0.5:
            # The clock may be set back before it is carried out.
            first = self.wall.true() + span - JUMP
            return span, (first, datetime.max.replace(tzinfo=UTC))
        until = self.wall.clock.now() + span
        return until, (until, until)

    def _known(
        self, until: datetime | timedelta, asked: tuple[datetime, datetime]
    ) -> tuple[datetime, datetime]:
        """Return between when it lies now that it is answered; `asked` is what was known before."""
        if isinstance(until, datetime):
            return asked
        behind = timedelta(seconds=self.wall.clock.ahead_min_s)
        return asked[0] + JUMP + behind, self.wall.latest() + until

    def _key(self) -> str:
        self._keys += 1
        return f"{self.name} {self._keys}"
