"""One seed from its first draw to its report: a world, its misfortunes, two acts and the audit.

Theory of operation. Everything is drawn from the seed, each part from dice of its own, so that
leaving one kind of fault out does not change what the others do. In act one people buy and things
go wrong; whatever happens, the safety invariants must hold. In act two nothing goes wrong any more:
within a bounded time every shop must show exactly what can be sold, and then nothing may be
written for a day. The auditor watches from outside throughout.
"""

from __future__ import annotations

import asyncio
import gc
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import CoroutineType
from typing import Any, cast

from stockpush import logs
from stockpush.sim.accounts import ETSY
from stockpush.sim.auditor import CALM_S, SUNNY_S, Auditor
from stockpush.sim.claims import Wall
from stockpush.sim.clerk import Clerk
from stockpush.sim.contest import NaiveMachine
from stockpush.sim.drawing import NARROW, PLAIN, draw_channels, draw_world
from stockpush.sim.keeper import Keeper
from stockpush.sim.listening import Listener
from stockpush.sim.loop import Livelock, SimClock, Standstill, VirtualLoop, spawn
from stockpush.sim.machine import HOST, SECRET_KEY, Machine, empty_database
from stockpush.sim.network import SimNetwork
from stockpush.sim.people import BUSY, People
from stockpush.sim.plan import Plan
from stockpush.sim.report import Report
from stockpush.sim.shops.base import SoldOut
from stockpush.sim.storekeeper import Storekeeper
from stockpush.sim.storeroom import LIKELY, Storeroom
from stockpush.sim.swarm import COUNTED, FaultKind, Swarm
from stockpush.sim.truth import Truth
from stockpush.sim.weather import Weather

ADOPTED_S = 2 * 3600.0
"""How long the first pushes may take."""
LOOK_S = 30.0
"""How often it is looked whether everything agrees."""
CONVERGE_S = 6 * 3600.0
"""How long act two may take to converge."""
SILENT_S = ((0.8, 4 * 3600.0), (0.2, 24 * 3600.0))
"""How long nothing may be written after that: (how likely, how long). A day shows more and costs
as much as the rest of the run.
"""
LET_GO_S = 2.5 * 3600.0
"""What is found at the silence's beginning is let go in this time: by two polls, an hour apart."""
AUDIT_S = 900.0
"""How often the database is audited during act one."""
HARMLESS = frozenset(
    {
        FaultKind.WEBHOOK_COPIES,
        FaultKind.SAME_SECOND,
        FaultKind.PING,
        FaultKind.CRASH,
        FaultKind.RATE_LIMIT,
    }
)
"""Kinds of faults that keep no number wrong for longer than they last (`Auditor.check_calm`)."""
TAKING = frozenset({"housekeeper", "typist"})
"""Who takes away, or types, what is parted."""
HISTORY_SENT = 0.5
"""How many orders from before the daemon's time have been sent."""
HISTORY_S = 300.0
"""How long before the daemon's first start its history ended."""
STARTING_S = 10.0
"""How long people buy while it starts, without that it is told."""
SLOW_POLL_S = 3600
SLOW_RECONCILE_S = 4 * 3600
"""How often a shop is read during the silence: what would be wrong shows at any pace."""
SLOW_LOOK_S = 3600.0
"""How often commits of others are looked for during the silence: nobody else makes any."""


def simulate(seed: int, plan: Plan | None = None) -> Report:
    """Run one seed and return its report; nothing is raised for what the seed shows."""
    plan = plan or Plan()
    database = empty_database()
    with (
        tempfile.TemporaryDirectory(prefix="stockpush-sim-", dir=_fast_disk()) as folder,
        _no_collector(),
    ):
        return _Run(seed, plan, Path(folder), database).report()


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the collector of garbage out of a world: what it finalises of a killed daemon would act
    at an instant that depends on what the process did before, and no seed would be the same twice.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def dice(seed: int, part: str) -> random.Random:
    """Return the dice of one part of a run."""
    return random.Random(f"{seed} {part}")  # noqa: S311  # a simulation must be repeatable


class _Enough(Exception):
    """There is a violation, and the plan wants no more."""


class _Run:
    """The parts of one run, put together."""

    def __init__(self, seed: int, plan: Plan, folder: Path, database: bytes) -> None:
        self.seed = seed
        self.plan = plan
        self.result = Report(seed)
        self.loop = VirtualLoop(dice(seed, "order"))
        self.clock = SimClock(self.loop)
        self.world = (
            draw_world(
                dice(seed, "world"),
                self.clock.now,
                channels=self._channels(),
                shopify_only=plan.shopify_only,
                is_split=plan.split,
            )
            if plan.shopfront is None
            else plan.shopfront.world(dice(seed, "world"), self.clock.now)
        )
        self.storeroom = self._storeroom()
        if self.storeroom is not None:
            self.world = self.storeroom.changes(self.world)
        swarm = Swarm.draw(
            dice(seed, "swarm"),
            tuple(self.world.shops),
            strengths=plan.faults,
            span_s=plan.span_s,
        )
        for kind in sorted(plan.without, key=lambda each: each.name):
            swarm = swarm.without(kind)
        if plan.spell_s is not None:
            spells = tuple(replace(each, lasts_s=plan.spell_s) for each in swarm.spells)
            swarm = replace(swarm, spells=spells)
        self.swarm = swarm
        self.is_watched = not plan.naive and (
            FaultKind.HOOK_LOST in swarm.kinds or not PLAIN.issuperset(self.world.shops)
        )
        self.truth = Truth(self.world, self.loop.time)
        self.network = SimNetwork(self.loop, dice(seed, "network"), self.world.shops, self._receive)
        if plan.travel_s is not None:
            for line in self.network.lines.values():
                line.travel_s = plan.travel_s
        self.slow = False
        self.machine = (
            NaiveMachine(self.loop, dice(seed, "machine"), self.network, self.world)
            if plan.naive
            else Machine(
                self.loop,
                folder,
                dice(seed, "machine"),
                self.network,
                self._configuration,
                self.world.catalogue(),
                database,
                is_watched=self.is_watched,
            )
        )
        self.auditor = Auditor(
            self.world,
            self.truth,
            self.loop.time,
            self._database(),
            stale_read_s=swarm.strength(FaultKind.STALE_READ),
            is_watched=self.is_watched,
        )
        self.network.watchers.append(self.auditor)
        if isinstance(self.machine, Machine):
            self.machine.files.ended = self.auditor.committed
        self.weather = Weather(swarm, self.loop, self.network, self.machine, self.world)
        self.people: People | None = None
        self.keeper = (
            Keeper(
                self.world,
                self.truth,
                self.auditor,
                self.machine,
                self.clock,
                dice(seed, "keeper"),
                self.network.acted,
                swarm,
            )
            if ETSY in self.world.shops
            else None
        )
        if self.storeroom is not None:
            self.truth.claims.wall = self.truth.lots.wall = Wall(self.machine.clock)
        self.traded_s = 0.0
        paths = [self.machine.webhook_url(name).rpartition("/")[2] for name in self.world.shops]
        self.listener = Listener(paths, self._violate)
        self.lives = 0

    def report(self) -> Report:
        """Run both acts and say what they came to."""
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._unhandled)
        logs.configure(json=True, level="debug", lines=self.listener)
        try:
            self.loop.run_until_complete(spawn(self.loop, self._acts(), None))
        except _Enough:
            pass
        except (Livelock, Standstill) as error:
            self._violate(f"I16 {type(error).__name__}: {error}")
        finally:
            self._end()
            logs.configure(json=False, level="warning")
        return self._result()

    async def _acts(self) -> None:
        for name in self.world.shops:
            spawn(self.loop, self.network.send_webhooks(name), None)
        if self.keeper is not None:
            spawn(self.loop, self.keeper.watch(), None)
        await self._begin()
        if not await self._agreed(ADOPTED_S):
            self.auditor.check_rest()
            return
        self.auditor.begin()
        self.lives = self.machine.lives
        await self._act_one()
        begun = self.loop.time()
        if await self._agreed(CONVERGE_S):
            self.result.converged_s = self.loop.time() - begun
            await self._silence()
        self.result.wrong = self._wrong()
        self.auditor.check_rest()
        self.auditor.check_books()

    async def _begin(self) -> None:
        """Start the daemon. Where the plan has a history its shops have orders that no webhook
        tells of: of the old ones some were sent, and left the shelf before its stock was counted;
        as many are made while it starts, and lists may not have them yet.
        """
        if not self.plan.history:
            self._subscribe()
            self.machine.start()
            await self.machine.up()
            return
        own = dice(self.seed, "history")
        for listed in self.world.fields():
            self.world.shops[listed.channel].merchant_sets(listed.listing, self.plan.history)
        for _ in range(self.plan.history):
            self._take_order(own, sent=own.random() < HISTORY_SENT)
        self.truth.count_opening()
        await self.clock.sleep(HISTORY_S)
        for shop in self.world.shops.values():
            shop.faults.orders_lag_s = self.swarm.strength(FaultKind.ORDERS_LATE)
        self.machine.start()
        for _ in range(self.plan.history):
            self._take_order(own, sent=False)
            await self.clock.sleep(own.uniform(0, 2 * STARTING_S / self.plan.history))
        await self.machine.up()
        self._subscribe()

    def _subscribe(self) -> None:
        self.world.subscribe({name: self.machine.webhook_url(name) for name in self.world.shops})

    def _take_order(self, dice: random.Random, *, sent: bool) -> None:
        """Somebody buys something, if there is any, and perhaps it is sent at once."""
        listed = dice.choice(self.world.listings)
        shop = self.world.shops[listed.channel]
        try:
            order_id = shop.checkout([(listed.listing, 1)])
        except SoldOut:
            return
        if sent:
            shop.ship(order_id)
        self.truth.refresh(listed.channel, order_id)

    async def _act_one(self) -> None:
        until = self.loop.time() + self.swarm.span_s
        self.people = People(
            self.world,
            self.truth,
            self.auditor,
            self.swarm,
            dice(self.seed, "people"),
            self.clock,
            self.loop.time,
            self.machine,
            self.network.acted,
            until,
            pace=BUSY if self.plan.busy else self.plan.pace,
        )
        self.weather.begin()
        crowd = [spawn(self.loop, each, None) for each in self._who(self.people)]
        crowd += [spawn(self.loop, each.works(), None) for each in self._clerks(self.people)]
        crowd += [spawn(self.loop, each.works(), None) for each in self._storekeeper(self.people)]
        ends = until if self.plan.cut_s is None else min(until, self.loop.time() + self.plan.cut_s)
        audit_s = LOOK_S if self.plan.early else AUDIT_S
        while self.loop.time() < ends:
            await self.clock.sleep(min(audit_s, ends - self.loop.time()))
            self._look()
        self.people.until = ends
        self.traded_s = ends - until + self.swarm.span_s
        # Who is in the middle of something finishes it: what they did has happened.
        await self.weather.clear()
        for task in crowd:
            await task

    def _who(self, people: People) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield everybody but who stays at home."""
        for each in people.everybody():
            coroutine = cast("CoroutineType[Any, Any, None]", each)
            name = coroutine.cr_code.co_name.strip("_")
            if name in self.plan.away or (self.world.is_split and name in TAKING):
                each.close()
            else:
                yield each

    def _storeroom(self) -> Storeroom | None:
        """Return what else is done with stock, None where nothing is."""
        own, wished = dice(self.seed, "storeroom"), self.plan.storeroom
        is_drawn = own.random() < LIKELY and self.plan.shopfront is None
        if self.plan.naive or not (is_drawn if wished is None else wished):
            return None
        if isinstance(wished, Storeroom):
            return wished
        return Storeroom.draw(own, list(self.world.shops), is_split=self.world.is_split)

    def _clerks(self, people: People) -> Iterator[Clerk]:
        """Yield those who set stock aside."""
        if self.storeroom is None or "clerk" in self.plan.away:
            return
        assert isinstance(self.machine, Machine)
        wall = Wall(self.machine.clock)
        for number, rate in enumerate(self.storeroom.clerks, 1):
            own = dice(self.seed, f"clerk {number}")
            yield Clerk(f"clerk {number}", people, self.machine, wall, own, rate)

    def _storekeeper(self, people: People) -> Iterator[Storekeeper]:
        """Yield whoever keeps lots and carries things to the market, if anybody does."""
        room = self.storeroom
        if room is None or not room.keeper or "storekeeper" in self.plan.away:
            return
        assert isinstance(self.machine, Machine)
        wall, own = Wall(self.machine.clock), dice(self.seed, "storekeeper")
        yield Storekeeper(people, self.machine, wall, own, room)

    def _look(self) -> None:
        """Audit the books. A hunt also looks at the numbers, in worlds that hinder nobody for long;
        drawn worlds do not, for a doubt of the daemon's may keep a number too low for minutes.
        """
        if not self.machine.is_up or self.machine.lives != self.lives:
            self.lives = self.machine.lives
            self.auditor.restarted()
        self.auditor.check_books()
        # Where it is parted, a unit in doubt is kept for minutes.
        hurried = self.world.is_split or (self.plan.pace is not None and self.plan.pace.hurried)
        if self.plan.early and self.swarm.kinds <= HARMLESS and not hurried:
            sunny = not self.swarm.kinds and self.plan.travel_s is None
            self.auditor.check_calm(SUNNY_S if sunny else CALM_S)
        self._look_early()

    def _look_early(self) -> None:
        """Raise `_Enough` where one violation is all that is wanted."""
        if self.plan.early and self.auditor.violations:
            raise _Enough

    async def _agreed(self, within_s: float) -> bool:
        """Wait until everything agrees with the truth; answer whether it did in time."""
        until = self.loop.time() + within_s
        while self.loop.time() < until:
            await self.clock.sleep(LOOK_S)
            if self.machine.defects:
                return False
            self._look_early()
            if self.people is not None and self.result.right_s is None and not self._wrong():
                self.result.right_s = within_s - (until - self.loop.time())
            if self.network.straying:
                continue
            if self.machine.is_up and not self.auditor.disagreements():
                return True
        return False

    def _wrong(self) -> int:
        """Return how many numbers a shop shows that are not what can be sold."""
        return sum(
            not self.truth.is_right(each)
            for each in self.world.fields()
            if not self.auditor.is_delisted(each)
        )

    async def _silence(self) -> None:
        """I15: from now on nothing is written, but where what is left is shared anew."""
        if isinstance(self.machine, Machine):
            self.slow, self.machine.look_s, self.machine.is_watched = True, SLOW_LOOK_S, False
            await self.machine.reload()
        writes = self.auditor.unasked_writes
        await self.clock.sleep(self._silent_s())
        self.result.quiet_writes = self.auditor.unasked_writes - writes
        if self.result.quiet_writes and not self.plan.naive:
            self._violate(f"I15 {self.result.quiet_writes} writes after everything agreed")

    def _database(self) -> Callable[[], Path] | None:
        """Return what tells the auditor where the daemon's books are."""
        machine = self.machine
        return (lambda: machine.files.path) if isinstance(machine, Machine) else None

    def _channels(self) -> frozenset[str]:
        """Return which channels there may be."""
        if self.plan.channels is not None:
            return self.plan.channels
        if self.plan.shopify_only:
            return NARROW
        return draw_channels(dice(self.seed, "channels"))

    def _silent_s(self) -> float:
        if self.plan.silent_s is not None:
            return self.plan.silent_s
        likely, spans = zip(*SILENT_S, strict=True)
        drawn: float = dice(self.seed, "silence").choices(spans, likely)[0]
        if PLAIN.issuperset(self.world.shops):
            return drawn
        # Many shops cost as much in less time, and a day of silence is had elsewhere.
        shorter = min(drawn, SILENT_S[0][1]) * min(1.0, len(NARROW) / len(self.world.shops))
        return max(LET_GO_S, shorter)

    # -- wiring --------------------------------------------------------------------------------

    async def _receive(self, channel: str, out: object) -> int | None:
        return await self.machine.receive(channel, out)  # type: ignore[arg-type]

    def _configuration(self, database: str) -> str:
        text = self.world.configuration(
            database, secret_key=SECRET_KEY, public_url=HOST if self.is_watched else None
        )
        if self.slow:
            text = re.sub(r"(?m)^poll_s = .*$", f"poll_s = {SLOW_POLL_S}", text)
            text = re.sub(r"(?m)^reconcile_s = .*$", f"reconcile_s = {SLOW_RECONCILE_S}", text)
        return text

    def _unhandled(self, _loop: object, context: dict[str, object]) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self._violate(f"an exception was lost: {type(error).__name__}: {error}")

    # -- the end -------------------------------------------------------------------------------

    def _end(self) -> None:
        self.result.steps = self.loop.steps
        self.result.virtual_s = self.loop.time()
        self.result.digest = self.loop.digest()
        self.loop.set_exception_handler(lambda *_: None)
        self.auditor.close()
        self.machine.crash()
        for _ in range(3):
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left, timeout=10.0))
        asyncio.set_event_loop(None)
        self.loop.close()

    def _violate(self, text: str) -> None:
        self.result.violations.append(text)

    def _result(self) -> Report:
        result, auditor, people = self.result, self.auditor, self.people
        result.swarm = str(self.swarm)
        result.kinds = tuple(kind.name.lower() for kind in FaultKind if kind in self.swarm.kinds)
        result.crashes = self.weather.struck[FaultKind.CRASH]
        result.shops, result.traded_s = len(self.world.shops), self.traded_s
        if not self.plan.naive:
            # What the naive sync does wrong is a result, not a violation.
            result.violations += [str(each) for each in auditor.violations]
        result.violations += self.machine.defects
        if not (self.listener.lines or self.plan.naive):
            result.violations.append("I12 nothing was logged, so that nothing was looked at")
        result.too_high = sum(each.invariant == "F30" for each in auditor.violations)
        result.sales, result.units = auditor.sales, auditor.units
        result.oversold = auditor.oversold
        result.writes, result.exchanges = auditor.writes, self.network.exchanges
        result.lives = self.machine.lives
        result.moments = auditor.excused
        result.faults.update({kind.name.lower(): n for kind, n in self.weather.struck.items()})
        if people is not None:
            result.sold_out, result.hidden = people.sold_out, people.hidden
            result.trace = people.trace if self.plan.traced else []
            result.faults.update({kind.name.lower(): n for kind, n in people.struck.items()})
        counted = {
            "fault": result.faults,
            "deed": (Counter() if people is None else people.deeds)
            + (Counter() if self.keeper is None else self.keeper.deeds),
            "audit": auditor.seen,
        }
        for row, how in COUNTED.items():
            source, _, name = how.partition(" ")
            result.rows[row] += counted[source].get(name, 0)
        return result


def _fast_disk() -> str | None:
    """Return a folder in memory where there is one: fsync is not what is looked at here."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # see above
