"""What goes wrong, when: a swarm carried out upon lines, shops, clocks and the daemon's machine.

Theory of operation. Kinds that strike by chance set switches of the shops and of the lines at the
beginning of act one; spells are tasks that wait for their instant. `clear` ends act one: every
switch is off, the daemon's clock right, every credential good again, and the daemon runs. What was
on its way still arrives; a shop's clock stays as wrong as it is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from stockpush.sim.accounts import WOO_SECRET
from stockpush.sim.contest import NaiveMachine
from stockpush.sim.documents import DocumentEditor
from stockpush.sim.loop import SimClock, VirtualLoop, spawn
from stockpush.sim.machine import Machine
from stockpush.sim.network import SimNetwork
from stockpush.sim.shops.base import Faults
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.swarm import FaultKind, Spell, Swarm
from stockpush.sim.world import World

ZOMBIE_LATE_S = 120.0
"""How late a request may arrive (F27)."""
STEPS_BEFORE_CRASH_MAX = 400
"""How many steps of the daemon may pass before a crash that has come due: any of them may be it."""

_STRUCK: Mapping[str, FaultKind] = {
    "webhook_drop": FaultKind.WEBHOOK_LOST,
    "webhook_duplicate": FaultKind.WEBHOOK_COPIES,
    "webhook_reorder": FaultKind.WEBHOOK_REORDERED,
    "webhook_delay_s": FaultKind.WEBHOOK_LATE,
    "webhook_replay": FaultKind.WEBHOOK_REPLAYED,
    "rate_limit": FaultKind.RATE_LIMIT,
    "server_error": FaultKind.SERVER_ERROR,
    "html_answer": FaultKind.BAD_ANSWER,
    "truncated_answer": FaultKind.BAD_ANSWER,
    "stale_read_s": FaultKind.STALE_READ,
    "orders_lag_s": FaultKind.ORDERS_LATE,
    "lost_before": FaultKind.REQUEST_LOST,
    "lost_after": FaultKind.ANSWER_LOST,
    "late": FaultKind.ZOMBIE,
}
"""What a shop or a line calls a strike -> its kind."""


@dataclass(slots=True)
class Weather:
    """The misfortunes of one run."""

    swarm: Swarm
    loop: VirtualLoop
    network: SimNetwork
    machine: Machine | NaiveMachine
    world: World
    struck: Counter[FaultKind] = field(default_factory=Counter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _editor: DocumentEditor | None = None

    def __post_init__(self) -> None:
        """A shop's clock is wrong from the first: it does not jump when people begin to buy."""
        for channel, ahead_s in self.swarm.skew_s.items():
            self.world.clocks[channel].ahead_s = ahead_s
            self.struck[FaultKind.CLOCK_SKEW] += 1

    def begin(self) -> None:
        """Begin act one."""
        swarm = self.swarm
        if often := swarm.strength(FaultKind.DOCUMENT_EDIT):
            self._editor = DocumentEditor(self.world, often, self.network.dice, self.struck)
            self.network.watchers.append(self._editor)
        for channel, shop in self.world.shops.items():
            faults, line = shop.faults, self.network.lines[channel]
            faults.webhook_drop = swarm.strength(FaultKind.WEBHOOK_LOST)
            if copies := swarm.strength(FaultKind.WEBHOOK_COPIES):
                faults.webhook_duplicate, faults.webhook_copies_max = 0.3, int(copies)
            faults.webhook_reorder = swarm.strength(FaultKind.WEBHOOK_REORDERED)
            faults.webhook_delay_s = swarm.strength(FaultKind.WEBHOOK_LATE)
            faults.webhook_delay_spread = True
            faults.webhook_replay = swarm.strength(FaultKind.WEBHOOK_REPLAYED)
            bad = swarm.strength(FaultKind.BAD_ANSWER)
            faults.html_answer = faults.truncated_answer = bad / 2
            faults.stale_read_s = swarm.strength(FaultKind.STALE_READ)
            faults.orders_lag_s = swarm.strength(FaultKind.ORDERS_LATE)
            line.lost_before = swarm.strength(FaultKind.REQUEST_LOST)
            line.lost_after = swarm.strength(FaultKind.ANSWER_LOST)
            line.late, line.late_s = swarm.strength(FaultKind.ZOMBIE), ZOMBIE_LATE_S
        for spell in swarm.spells:
            self._tasks.append(spawn(self.loop, self._when_due(spell), None))

    async def clear(self) -> None:
        """End act one: nothing goes wrong any more, and the daemon runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._editor is not None:
            self._editor.is_there = False
        for channel, shop in self.world.shops.items():
            faults, line = shop.faults, self.network.lines[channel]
            self._count(faults.struck)
            _calm(faults)
            line.lost_before = line.lost_after = line.late = 0.0
            line.down = False
            if isinstance(shop, EtsyShop):
                shop.loses_next_grant = False
                shop.allowance.renew()
        self._count(self.network.struck)
        self._set_clock(0.0)
        if not self.machine.is_running:
            self.machine.start()
        await self.machine.up()

    def _set_clock(self, ahead_s: float) -> None:
        self.machine.clock.set(ahead_s)

    def _save_hook(self, channel: str) -> None:
        """The merchant creates one more webhook, which WooCommerce says with an unsigned ping."""
        shop = self.world.shops[channel]
        if isinstance(shop, WooShop):
            shop.subscribe("order.updated", self.machine.webhook_url(channel), WOO_SECRET)

    def _count(self, struck: Counter[str]) -> None:
        for name, often in struck.items():
            if (kind := _STRUCK.get(name)) in self.swarm.kinds and kind is not None:
                self.struck[kind] += often
        struck.clear()  # act one may be ended twice: each strike counts once

    async def _when_due(self, spell: Spell) -> None:
        sleep = SimClock(self.loop).sleep
        await sleep(spell.begin_s)
        self.struck[spell.kind] += 1
        self.loop.note(f"{spell.kind.name} {spell.channel}")
        match spell.kind:
            case FaultKind.CRASH:
                await self._crash(spell.lasts_s)
            case FaultKind.SUSPEND:
                await self._suspend(spell.lasts_s)
            case FaultKind.CLOCK_JUMP:
                self._set_clock(self.machine.clock.ahead_s + spell.lasts_s)
            case FaultKind.PING:
                self._save_hook(spell.channel)
            case FaultKind.HOOK_LOST:
                self.world.shops[spell.channel].lose_webhooks()
            case FaultKind.TOKEN_ENDED:
                self._etsy(spell).access.expire()
            case FaultKind.GRANT_LOST:
                shop = self._etsy(spell)
                shop.loses_next_grant = True
                shop.access.expire()
            case _:
                await self._spell(spell)

    def _etsy(self, spell: Spell) -> EtsyShop:
        shop = self.world.shops[spell.channel]
        assert isinstance(shop, EtsyShop)
        return shop

    async def _spell(self, spell: Spell) -> None:
        """Have one fault of a shop or its line for a while."""
        self._switch(spell, self.swarm.strength(spell.kind))
        await SimClock(self.loop).sleep(spell.lasts_s)
        self._switch(spell, 0.0)

    def _switch(self, spell: Spell, strength: float) -> None:
        faults, line = self.world.shops[spell.channel].faults, self.network.lines[spell.channel]
        if spell.kind is FaultKind.RATE_LIMIT:
            faults.rate_limit = strength
        elif spell.kind is FaultKind.SERVER_ERROR:
            faults.server_error = strength
        elif spell.kind is FaultKind.REVOKED:
            faults.unauthorized = strength > 0
        elif spell.kind is FaultKind.QUOTA_SPENT:
            allowance = self._etsy(spell).allowance
            (allowance.use_up if strength > 0 else allowance.renew)()
        else:
            assert spell.kind is FaultKind.UNREACHABLE
            line.down = strength > 0

    async def _crash(self, down_s: float) -> None:
        """Kill the daemon between two of its steps, a few from now, and start it again."""
        killed = asyncio.Event()
        left = self.machine.dice.randrange(1, STEPS_BEFORE_CRASH_MAX)

        def count(_step: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.machine.crash()
                killed.set()

        while self.loop.before_step is not None:
            await SimClock(self.loop).sleep(1.0)
        self.loop.before_step = count
        try:
            await killed.wait()
        finally:
            self.loop.before_step = None
        await SimClock(self.loop).sleep(down_s)
        if not self.machine.is_running:
            self.machine.start()

    async def _suspend(self, lasts_s: float) -> None:
        """Suspend the daemon's machine."""
        owner = self.machine.freeze()
        if owner is None:
            return
        try:
            await SimClock(self.loop).sleep(lasts_s)
        finally:
            self.loop.thaw(owner)


def _calm(faults: Faults) -> None:
    """Switch every fault of a shop off."""
    for each in fields(Faults):
        value = getattr(faults, each.name)
        if isinstance(value, bool | int | float) and each.name != "webhook_copies_max":
            setattr(faults, each.name, type(value)())
