"""The hunt for the planted bugs: where each is looked for, and how many seeds it takes.

Theory of operation. Seeds are brittle: any change of the daemon makes another story of each. So no
seed is held here, but a *focus* for each bug: the world, the faults and the people among which it
shows within a few seeds. Seeds are tried from the first on until one turns red with the bug. Then
the same seed must be green without it, or else it tells nothing and the hunt goes on. Only what the
auditor finds counts; a bug that ends the daemon with an exception would be found by anybody.

`python -m tests.sim.hunt` hunts every bug, on every core, and prints the table of docs/proof.md.
"""

from __future__ import annotations

import multiprocessing
import random
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from stockpush.sim.accounts import ETSY, FAIRE, OUTLET, SHOPIFY, WOO, EtsyTerms
from stockpush.sim.drawing import draw_world
from stockpush.sim.many import cores
from stockpush.sim.people import Pace
from stockpush.sim.plan import Plan
from stockpush.sim.report import Report
from stockpush.sim.run import simulate
from stockpush.sim.shopfront import Offered, Shopfront
from stockpush.sim.storeroom import Storeroom
from stockpush.sim.swarm import FaultKind as Kind
from stockpush.sim.world import Bill, Shared, Thing, World
from tests.sim.planted import BUGS

SEEDS_MAX = 40
"""How many seeds are tried at most, from 1 on."""
CANDLE = "candle"
_AUDITED = re.compile(r"[IF]\d+ ")
"""What the auditor's findings begin with; what ends the daemon begins otherwise."""


@dataclass(frozen=True, slots=True)
class Corner(Shopfront):
    """A shopfront with as much of everything as one of `stock` says, drawn for each item; orders
    are polled, fields are read and what is left is shared out as it says, too.
    """

    stock: tuple[int, ...] = (6, 12, 20)
    poll_s: int = 60
    reconcile_s: int = 3600
    shared: Shared | None = None
    is_split: bool = False

    def world(self, dice: random.Random, clock: Callable[[], datetime]) -> World:
        """Draw a world of it."""
        world = Shopfront.world(self, dice, clock)
        things = {
            sku: replace(thing, opening=dice.choice(self.stock))
            for sku, thing in world.things.items()
        }
        return replace(
            world,
            things=things,
            shared={} if self.shared is None else dict.fromkeys(things, self.shared),
            poll_s=dict.fromkeys(world.shops, self.poll_s),
            reconcile_s=dict.fromkeys(world.shops, self.reconcile_s),
            guards=not self.is_split,
            is_split=self.is_split,
        )


def corner(*shops: tuple[str, int], **settings: object) -> Corner:
    """Return a corner in which one candle is on sale, once for each (shop, pack)."""
    candle = Thing(CANDLE, "product", "piece", 0)
    offered = tuple(Offered(shop, CANDLE, pack) for shop, pack in shops)
    return Corner((candle,), (), offered, **settings)  # type: ignore[arg-type]  # its own fields


@dataclass(frozen=True, slots=True)
class Stall(Shopfront):
    """Drawn worlds of exactly these channels, without bills, with as much of everything as one of
    `stock` says; orders are polled every `poll_s`, and Etsy may tell of them, too.
    """

    channels: frozenset[str] = frozenset()
    stock: tuple[int, ...] = (6, 12, 20)
    poll_s: int = 10
    reconcile_s: int = 3600
    webhooks: bool = False

    def world(self, dice: random.Random, clock: Callable[[], datetime]) -> World:
        """Draw a world of it."""
        world = draw_world(dice, clock, channels=self.channels)
        things = {
            sku: replace(thing, opening=dice.choice(self.stock))
            for sku, thing in world.things.items()
        }
        return replace(
            world,
            things=things,
            bills={},
            buffers=dict.fromkeys(world.shops, 0),
            poll_s=dict.fromkeys(world.shops, self.poll_s),
            reconcile_s=dict.fromkeys(world.shops, self.reconcile_s),
            etsy=EtsyTerms(webhooks=self.webhooks, renews=True),
        )


def stall(*channels: str, **settings: object) -> Stall:
    """Return a stall on these channels."""
    return Stall((), (), (), frozenset(channels), **settings)  # type: ignore[arg-type]  # its own fields


BOTH = ((SHOPIFY, 1), (WOO, 1))
ONE = corner(*BOTH)
MANY = corner(*BOTH, stock=(60, 100))
"""So many that nothing is sold out, and everybody goes on buying."""
WATCHED = corner(*BOTH, stock=(60, 100), reconcile_s=10)
"""Fields are read all the time."""
LOOKED_AT = corner(*BOTH, stock=(60, 100), reconcile_s=30)
"""Fields are read often, and a slow reading leaves time to raise them."""
SELDOM_POLLED = corner(*BOTH, poll_s=300, reconcile_s=10)
FOUR = corner(
    *((SHOPIFY, 1), (SHOPIFY, 1), (SHOPIFY, 1), (SHOPIFY, 1)),
    stock=(2, 3, 4),
    poll_s=20,
    reconcile_s=10,
    is_split=True,
)
"""What little there is is parted among listings, which are read all the time."""
TWO_SHOPS = corner(
    *((SHOPIFY, 1), (OUTLET, 1)),
    stock=(1, 2, 3),
    poll_s=20,
    reconcile_s=10,
    is_split=True,
)
"""The same of two shops: one may be raised while a lowering is under way to the other."""
TWO_ITEMS = Corner(
    (
        Thing(CANDLE, "product", "piece", 0),
        Thing("balm", "product", "piece", 0),
        Thing("wax", "material", "g", 0),
    ),
    (Bill(CANDLE, 1, (("wax", 1),)), Bill("balm", 1, (("wax", 1),))),
    (Offered(SHOPIFY, CANDLE), Offered(SHOPIFY, "balm")),
    is_split=True,
)
"""Two items are made of one material, and what there is of it is parted."""
TWO_MADE = replace(TWO_ITEMS, is_split=False)
"""The same, and each listing shows what there is."""
TWO_WAXES = Corner(
    (*TWO_ITEMS.things, Thing("soy", "material", "g", 0), Thing("lamp", "product", "piece", 0)),
    (*TWO_ITEMS.bills, Bill("lamp", 1, (("soy", 1),))),
    (*TWO_ITEMS.offered, Offered(SHOPIFY, "lamp")),
    stock=(1, 2, 4),
)
"""A candle that takes either material, and a balm that needs the one (`Storeroom.alike`)."""
CLERKS = Storeroom(clerks=(0.02, 0.02))
"""Two who set something aside, or end it, every minute or so."""
WITH_LOTS = Storeroom(keeper=0.02, has_lots=True)
WITH_MARKET = Storeroom(clerks=(0.01,), keeper=0.02, market=frozenset({WOO}))
SLOW_S = (0.1, 6.0)
"""Lines so slow that everything overlaps everything else."""
WAVES = Pace(900.0, 60.0, wave_s=(30.0, 200.0))
"""Everybody at once, and then rest enough to see whether the numbers are right."""


def focus(
    faults: Mapping[Kind, float | None] | None = None,
    *,
    shopfront: Shopfront | None = ONE,
    span_s: float = 1200.0,
    **more: object,
) -> Plan:
    """Return a plan with exactly these faults, which ends at its first violation; a `shopfront` of
    None draws worlds of every kind. There is no storeroom but where `more` says so.
    """
    plan = Plan(
        faults=faults or {},
        shopfront=shopfront,
        span_s=span_s,
        silent_s=600.0,
        early=True,
        storeroom=False,
    )
    return replace(plan, **more)  # type: ignore[arg-type]  # each is a field's value


FOCUS: Mapping[str, Plan] = MappingProxyType(
    {
        "acknowledged_early": focus(
            {Kind.CRASH: 30.0}, shopfront=MANY, pace=Pace(600.0, 120.0), spell_s=1.0
        ),
        "delivery_id": focus({Kind.SAME_SECOND: 0.8}),
        "echo_written": focus(),
        "echo_believed": focus(
            {Kind.WEBHOOK_LATE: 100.0, Kind.WEBHOOK_REORDERED: 0.8}, pace=Pace(60.0, 200.0)
        ),
        "stale_version": focus(
            {Kind.WEBHOOK_LATE: 600.0},
            shopfront=corner((SHOPIFY, 1), stock=(20, 40), poll_s=120),
            pace=Pace(150.0, 120.0),
        ),
        "hash_breaks_ties": focus(shopfront=MANY, pace=Pace(200.0, 600.0, hurried=True)),
        "counted_per_line": focus(shopfront=corner((SHOPIFY, 1), *BOTH), pace=Pace(200.0, 300.0)),
        "refund_restocks": focus(pace=Pace(100.0, 300.0)),
        "pack_forgotten": focus(
            shopfront=corner((SHOPIFY, 2), (SHOPIFY, 1), (WOO, 3)), pace=Pace(60.0, 300.0)
        ),
        "baseline_ignored": focus(shopfront=None, history=12),
        "first_push_blind": focus(
            {Kind.ORDERS_LATE: 60.0},
            shopfront=corner((SHOPIFY, 1), stock=(60, 100)),
            history=12,
            travel_s=SLOW_S,
        ),
        "fetches_restart": focus(
            {Kind.CRASH: 8.0, Kind.WEBHOOK_LOST: 1.0}, pace=Pace(150.0, 300.0), spell_s=1.0
        ),
        "cursor_is_now": focus(
            {Kind.WEBHOOK_LOST: 1.0, Kind.ORDERS_LATE: 60.0}, pace=Pace(60.0, 600.0)
        ),
        "expected_is_target": focus(shopfront=MANY, pace=WAVES, travel_s=SLOW_S, span_s=2400.0),
        "signed_counter": focus(
            {Kind.MERCHANT_EDIT: 30.0, Kind.WEBHOOK_LOST: 1.0},
            shopfront=SELDOM_POLLED,
            pace=Pace(60.0, 600.0),
        ),
        "no_hold": focus({Kind.WEBHOOK_LOST: 1.0}, pace=Pace(60.0, 600.0)),
        "hold_let_go": focus(
            {Kind.WEBHOOK_LOST: 1.0, Kind.ORDERS_LATE: 60.0},
            shopfront=SELDOM_POLLED,
            pace=Pace(60.0, 600.0),
        ),
        "surplus_sold": focus({Kind.MERCHANT_EDIT: 8.0}),
        "stale_reading": focus(
            shopfront=LOOKED_AT,
            pace=Pace(300.0, 3.0, wave_s=(30.0, 200.0)),
            travel_s=(0.01, 9.0),
            span_s=2400.0,
        ),
        "blurred_reading": focus(shopfront=WATCHED, pace=WAVES, travel_s=SLOW_S, span_s=2400.0),
        "hold_not_eaten": focus(shopfront=WATCHED, pace=WAVES, travel_s=SLOW_S, span_s=2400.0),
        "undeducted_ignored": focus(shopfront=MANY, pace=WAVES),
        "gap_ignored": focus(shopfront=MANY, pace=WAVES, travel_s=SLOW_S, span_s=2400.0),
        "fresh_read": focus({Kind.WEBHOOK_LOST: 1.0}, pace=Pace(60.0, 200.0)),
        "timeout_failed": focus({Kind.ANSWER_LOST: 0.4}, pace=Pace(60.0, 200.0)),
        "unknown_applied": focus(
            {Kind.REQUEST_LOST: 0.4, Kind.WEBHOOK_LOST: 1.0, Kind.ORDERS_LATE: 60.0},
            shopfront=corner(*BOTH, stock=(60, 100), poll_s=300),
            pace=Pace(150.0, 100.0),
        ),
        "restart_forgets": focus(
            {Kind.CRASH: 20.0}, shopfront=MANY, pace=Pace(200.0, 60.0), spell_s=1.0
        ),
        "zombie_forgotten": focus({Kind.ZOMBIE: 0.3}, shopfront=MANY, pace=Pace(100.0, 60.0)),
        "cleaned_unseen": focus(shopfront=MANY, pace=WAVES, travel_s=SLOW_S, span_s=2400.0),
        "intent_lost": focus(
            {Kind.RATE_LIMIT: 1.0},
            shopfront=MANY,
            pace=Pace(60.0, 300.0, wave_s=(60.0, 900.0)),
            spell_s=150.0,
            span_s=7200.0,
        ),
        "raised_first": focus(shopfront=MANY, pace=WAVES),
        "two_transactions": focus(
            {Kind.CRASH: 20.0}, shopfront=MANY, pace=Pace(400.0, 600.0), spell_s=1.0
        ),
        "rounded_up": focus(shopfront=None),
        "canceled_not_asked": focus(shopfront=stall(ETSY), pace=Pace(100.0, 300.0)),
        "siblings_uncompared": focus(
            {Kind.ORDERS_LATE: 30.0},
            shopfront=stall(ETSY, stock=(60, 100), poll_s=60),
            pace=Pace(400.0, 30.0),
        ),
        "unpaid_for_sale": focus(
            {Kind.ORDERS_LATE: 5.0}, shopfront=stall(ETSY), pace=Pace(300.0, 300.0)
        ),
        "rotation_ignored": focus(
            {Kind.TOKEN_ENDED: 4.0}, shopfront=stall(ETSY), pace=Pace(30.0, 600.0), span_s=2400.0
        ),
        "open_forgotten": focus(shopfront=stall(FAIRE), pace=Pace(60.0, 300.0)),
        "unkept_on_sale": focus(shopfront=stall(FAIRE), pace=Pace(60.0, 300.0)),
        "backorder_twice": focus(shopfront=stall(FAIRE, SHOPIFY), pace=Pace(150.0, 300.0)),
        "shared_alone": focus(shopfront=corner(*BOTH, shared=Shared(least=8)), pace=WAVES),
        "split_raised_early": focus(
            {Kind.WEBHOOK_LATE: 10.0, Kind.REQUEST_LOST: 0.4},
            shopfront=FOUR,
            pace=Pace(900.0, 3000.0),
            span_s=1800.0,
        ),
        "split_lowered_at_once": focus(
            {Kind.WEBHOOK_LATE: 10.0, Kind.REQUEST_LOST: 0.4},
            shopfront=TWO_SHOPS,
            pace=Pace(900.0, 3000.0),
            span_s=1800.0,
        ),
        "split_restock_given_away": focus(
            {Kind.WEBHOOK_LATE: 30.0}, shopfront=FOUR, pace=Pace(900.0, 3000.0)
        ),
        "split_hold_ignored": focus(
            {Kind.WEBHOOK_LOST: 1.0}, shopfront=FOUR, pace=Pace(200.0, 120.0)
        ),
        "split_per_item": focus(shopfront=TWO_ITEMS, pace=Pace(200.0, 120.0)),
        "held_on_sale": focus(
            {Kind.CRASH: 3.0}, shopfront=MANY, pace=Pace(100.0, 300.0), storeroom=CLERKS
        ),
        "lapsed_kept": focus({Kind.CRASH: 3.0}, storeroom=CLERKS),
        "held_line_by_line": focus({Kind.CRASH: 3.0}, shopfront=TWO_MADE, storeroom=CLERKS),
        "expired_counted": focus({Kind.CRASH: 3.0}, storeroom=WITH_LOTS),
        "quarantine_ignored": focus({Kind.CRASH: 3.0}, storeroom=WITH_LOTS),
        "carried_twice": focus({Kind.CRASH: 3.0}, storeroom=WITH_MARKET),
        "held_in_main": focus({Kind.CRASH: 3.0}, storeroom=WITH_MARKET),
        "rule_ignored": focus(
            {Kind.CRASH: 3.0}, shopfront=TWO_MADE, storeroom=Storeroom(rules=(0, 1))
        ),
        "left_twice": focus(
            {Kind.CRASH: 3.0},
            shopfront=TWO_WAXES,
            pace=Pace(100.0, 300.0),
            storeroom=Storeroom(alike=(True, False, False)),
        ),
    }
)
"""Bug -> where it is looked for."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """What a hunt came to: `seed` shows the bug (None: none did) by `violation`; `red` are seeds
    that were red without it, too, and tell nothing.
    """

    name: str
    seed: int | None
    violation: str = ""
    red: tuple[int, ...] = ()

    @property
    def invariant(self) -> str:
        """Return which invariant was broken."""
        return self.violation.partition(" ")[0]


def hunt(name: str) -> Hunt:
    """Look for one bug, in this process."""
    plan = FOCUS[name]
    red = []
    for seed in range(1, SEEDS_MAX + 1):
        with BUGS[name].plant():
            report = simulate(seed, plan)
        if not audited(report):
            continue
        if simulate(seed, plan).held:
            return Hunt(name, seed, report.violations[0], tuple(red))
        red.append(seed)
    return Hunt(name, None, red=tuple(red))


def audited(report: Report) -> bool:
    """Answer whether a run is red by what the auditor found, and by nothing else."""
    return bool(report.violations) and all(map(_AUDITED.match, report.violations))


@contextmanager
def hunting(names: list[str]) -> Iterator[Mapping[str, Future[Hunt]]]:
    """Have the bugs hunted beside each other, on every core."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), mp_context=context, initializer=_deaf) as pool:
        yield {name: pool.submit(hunt, name) for name in names}


def _deaf() -> None:
    """Leave an interrupt to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def table(hunts: list[Hunt]) -> str:
    """Return the hunts as a table in Markdown."""
    rows = ["| the mistake | breaks | shown by | seeds needed |", "|---|---|---|---:|"]
    for each in hunts:
        bug = BUGS[each.name]
        found = f"{each.invariant} | {each.seed}" if each.seed else f"- | not in {SEEDS_MAX}"
        rows.append(f"| {bug.what} | {', '.join(bug.rows)} | {found} |")
    return "\n".join(rows)


def main() -> None:
    """Hunt every bug and print the table."""
    with hunting(list(FOCUS)) as running:
        print(table([each.result() for each in running.values()]))  # noqa: T201  # its purpose


if __name__ == "__main__":
    main()
