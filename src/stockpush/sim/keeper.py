"""The owner, who mends what only a person can: access that was lost, listings that were sold out.

Theory of operation. Every so often the owner looks at what the daemon says. A channel that needs a
login is granted access anew, as in a browser; it may have needed that since an answer was lost that
held the only good token (F39), or since access was withdrawn for a while (F40). On Etsy the owner
renews what was sold out and can be sold again, where the daemon may not pay the fee itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from stockpush.sim.accounts import ETSY
from stockpush.sim.auditor import Auditor
from stockpush.sim.contest import NaiveMachine
from stockpush.sim.loop import SimClock
from stockpush.sim.machine import Machine
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.swarm import FaultKind, Swarm
from stockpush.sim.truth import Truth
from stockpush.sim.world import Listed, World

LOSES_ACCESS = frozenset(
    {
        FaultKind.GRANT_LOST,
        FaultKind.REVOKED,
        FaultKind.ANSWER_LOST,
        FaultKind.REQUEST_LOST,
        FaultKind.ZOMBIE,
        FaultKind.UNREACHABLE,
        FaultKind.BAD_ANSWER,
        FaultKind.CRASH,
        FaultKind.SUSPEND,
        FaultKind.CLOCK_JUMP,
        FaultKind.SERVER_ERROR,
    }
)
"""Kinds by which the answer that holds the only good token may be lost, or access be withdrawn."""
LOOKS_S = (60.0, 400.0)
"""How long the owner waits between two looks."""


@dataclass(slots=True)
class Keeper:
    """Looks after the Etsy shop of a world for as long as it is run."""

    world: World
    truth: Truth
    auditor: Auditor
    machine: Machine | NaiveMachine
    clock: SimClock
    dice: random.Random
    acted: Callable[[str], None]
    swarm: Swarm
    deeds: Counter[str] = field(default_factory=Counter)

    async def watch(self) -> None:
        """Look, and mend, for ever."""
        shop = self.world.shops[ETSY]
        assert isinstance(shop, EtsyShop)
        while True:
            await self.clock.sleep(self.dice.uniform(*LOOKS_S))
            if ETSY in self.machine.needs_login() and not shop.faults.unauthorized:
                if not self.swarm.kinds & LOSES_ACCESS:
                    self.auditor.violate("F38", ETSY, "access was lost, and nothing took it")
                await self.machine.grant(ETSY, *shop.grant())
                self.deeds["granted"] += 1
            if not self.world.etsy.renews:
                self._renew(shop)

    def _renew(self, shop: EtsyShop) -> None:
        """Renew each listing that was sold out and of which there is something."""
        sold_out: dict[int, list[Listed]] = {}
        for listed in self.world.fields():
            if listed.channel == ETSY and not self.auditor.is_delisted(listed):
                sold_out.setdefault(int(listed.listing.partition(":")[0]), []).append(listed)
        for listing_id, fields in sold_out.items():
            if shop.listing(listing_id).state != "sold_out":
                continue
            if any(self.truth.target(each) > 0 for each in fields):
                shop.sets_state(listing_id, "active")
                for each in fields:
                    self.auditor.merchant_edited(each)
                self.deeds["renewed_by_hand"] += 1
                self.acted(ETSY)
