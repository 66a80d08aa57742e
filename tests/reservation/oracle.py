"""Brute force for netting: the definition of ATP, word for word, and small random worlds.

It shares no code with `stockpush.reservation`: recursion instead of passes, a linear search
instead of a bound and a bisection. Only small worlds can be afforded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from hypothesis import strategies as st

from stockpush.model import NO_SCRAP, BillLine, BillOfMaterials, Scrap

SCRAPS = (NO_SCRAP, NO_SCRAP, NO_SCRAP, Scrap(1, 20), Scrap(1, 3), Scrap(1, 1))
"""What bills of random worlds lose."""


@dataclass(frozen=True, slots=True)
class World:
    """A few items: their bills, stock S (signed) and demand D, one entry per item.

    `ceilings` has those with a promise rule: the most that may wait to be built (0: finished only).
    `rests` has what builds of an item have taken of a component beyond what they used, in parts of
    a smallest unit (`model.Rest`). `horizons` has, in seconds, how soon what is promised of an item
    has to be there, and `coming` what of `on_hand` is there only by then.
    """

    bills: tuple[BillOfMaterials, ...]
    on_hand: Mapping[str, int]
    demand: Mapping[str, int]
    ceilings: Mapping[str, int] = field(default_factory=dict)
    rests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    horizons: Mapping[str, int] = field(default_factory=dict)
    coming: Mapping[str, int] = field(default_factory=dict)
    skus: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "skus", tuple(self.on_hand))

    def stocked(self, sku: str, units: int) -> World:
        """Return the world with `units` (signed) more on hand."""
        return replace(self, on_hand={**self.on_hand, sku: self.on_hand[sku] + units})

    def demanded(self, sku: str, units: int) -> World:
        """Return the world with `units` (signed) more demand."""
        return replace(self, demand={**self.demand, sku: self.demand[sku] + units})


def rounded_up(units: int, by: int) -> int:
    """Return the smallest whole number that is no less than units / by."""
    whole, rest = divmod(units, by)
    return whole + (rest > 0)


class Netted:
    """The definitions at one demand; `lowered` lowers the gross requirement of one item."""

    def __init__(self, world: World, lowered: Mapping[str, int] | None = None) -> None:
        bills = {bill.item: bill for bill in world.bills}

        def uses(sku: str) -> list[int]:
            return [
                max(
                    0,
                    rounded_up(
                        built(parent) * line.quantity * sum(line.scrap)
                        - world.rests.get((parent, sku), 0),
                        bill.yield_quantity * line.scrap.of,
                    ),
                )
                for parent, bill in bills.items()
                for line in bill.lines
                if line.component == sku and built(parent)
            ]

        @cache
        def net(sku: str) -> int:
            return max(0, gross(sku) - world.on_hand[sku])

        @cache
        def gross(sku: str) -> int:
            return world.demand[sku] + sum(uses(sku)) - (lowered or {}).get(sku, 0)

        @cache
        def built(sku: str) -> int:
            bill = bills[sku]
            if not bill.batch_only:
                return net(sku)
            return rounded_up(net(sku), bill.yield_quantity) * bill.yield_quantity

        @cache
        def covered(sku: str) -> bool:
            if net(sku) == 0:
                return True
            return sku in bills and all(covered(line.component) for line in bills[sku].lines)

        self.gross = gross
        self.net = net
        self.built = built
        self.covered = covered


class Raised:
    """The definitions under `units` more of `sku`, beside those `before`.

    Whatever is drawn on has some seconds left, of the least that its parents leave it and it has
    itself. With less than its own horizon it has nothing of what comes.
    """

    def __init__(self, world: World, before: Netted, sku: str, units: int) -> None:
        bills = {bill.item: bill for bill in world.bills}

        def uses(parent: str, component: str, built: int) -> int:
            bill = bills[parent]
            return sum(
                max(
                    0,
                    rounded_up(
                        built * line.quantity * sum(line.scrap)
                        - world.rests.get((parent, component), 0),
                        bill.yield_quantity * line.scrap.of,
                    ),
                )
                for line in bill.lines
                if line.component == component and built
            )

        @cache
        def draws(component: str) -> dict[str, int]:
            now = {
                parent: uses(parent, component, built(parent))
                - uses(parent, component, before.built(parent))
                for parent, bill in bills.items()
                if any(line.component == component for line in bill.lines)
            }
            return {parent: more for parent, more in now.items() if more}

        @cache
        def left(item: str) -> float:
            given = [left(parent) - bills[parent].build_time_s for parent in draws(item)]
            return min([world.horizons.get(item, float("inf")), *given])

        @cache
        def net(item: str) -> int:
            drawn = sum(draws(item).values()) + (units if item == sku else 0)
            there = world.on_hand[item]
            if left(item) < world.horizons.get(item, 0):
                there -= world.coming.get(item, 0)
            free = max(0, there - before.gross(item))
            return before.net(item) + max(0, drawn - free)

        @cache
        def built(item: str) -> int:
            bill = bills[item]
            if not bill.batch_only:
                return net(item)
            return rounded_up(net(item), bill.yield_quantity) * bill.yield_quantity

        @cache
        def covered(item: str) -> bool:
            if net(item) == 0:
                return True
            return item in bills and all(covered(line.component) for line in bills[item].lines)

        self.net = net
        self.left = left
        self.covered = covered
        self.late = {
            item
            for item in world.skus
            if net(item) > before.net(item)
            and left(item) >= 0
            and (
                bills[item].build_time_s > left(item)
                if item in bills
                else world.coming.get(item, 0) and left(item) < world.horizons[item]
            )
        }


def raised(world: World, before: Netted, after: Netted | Raised) -> set[str]:
    """Return the items whose net rises, to more than their promise rule lets wait to be built."""
    return {
        sku
        for sku, most in world.ceilings.items()
        if before.net(sku) < after.net(sku) and after.net(sku) > most
    }


def atp(world: World, sku: str) -> int:
    """Return the ATP by counting up, or down, one unit at a time."""
    now = Netted(world)
    if now.covered(sku):
        n = 0
        while True:
            more = Netted(world.demanded(sku, n + 1))
            if not more.covered(sku) or raised(world, now, more):
                return n
            if world.horizons:
                soon = Raised(world, now, sku, n + 1)
                if not soon.covered(sku) or raised(world, now, soon) or soon.late:
                    return n
            n += 1
    m = 1
    while not Netted(world, {sku: m}).covered(sku):
        m += 1
    return -m


def limits(world: World, sku: str, promised: int) -> set[str]:
    """Return the leaves that are short under one unit more than the ATP, on the way from `sku`."""
    netted = Netted(world, {sku: -(promised + 1)})
    lines = {bill.item: bill.lines for bill in world.bills}

    def short(item: str) -> set[str]:
        if netted.covered(item):
            return set()
        if item not in lines:
            return {item}
        return set().union(*(short(line.component) for line in lines[item]))

    now = Netted(world)
    if not world.horizons or not now.covered(sku):
        return short(sku)
    soon = Raised(world, now, sku, promised + 1)
    anew = {item for item in world.skus if item not in lines and soon.net(item) > now.net(item)}
    return short(sku) | {item for item in anew - soon.late if soon.left(item) >= 0}


def rules(world: World, sku: str, promised: int) -> set[str]:
    """Return the items whose promise rule forbids one unit more than the ATP."""
    now = Netted(world)
    if not now.covered(sku):
        return set()
    return raised(world, now, Raised(world, now, sku, promised + 1))


def late(world: World, sku: str, promised: int) -> set[str]:
    """Return the items that one unit more than the ATP would need, and that are not in time."""
    now = Netted(world)
    return Raised(world, now, sku, promised + 1).late if now.covered(sku) else set()


def timed(world: World, random: Random) -> World:
    """Return the world with build times, horizons, and stock that comes by them."""
    horizons = {sku: random.choice((0, 1, 2, 4)) for sku in world.skus if random.random() < 0.4}
    return replace(
        world,
        bills=tuple(
            replace(bill, build_time_s=random.choice((0, 0, 1, 2, 3))) for bill in world.bills
        ),
        horizons=horizons,
        coming={
            sku: random.choice((1, 3, 8))
            for sku in horizons
            if world.on_hand[sku] > 0 and random.random() < 0.5
        },
    )


def random_world(random: Random) -> World:
    """Return a world of 2..7 items; diamonds, batches, rounding, scrap, shortages, negative stock,
    promise rules.
    """
    skus = [f"i{at}" for at in range(random.randint(2, 7))]
    bills = []
    for at, sku in enumerate(skus[:-1]):
        below = skus[at + 1 :]
        if random.random() < 0.7:
            components = random.sample(below, min(len(below), random.randint(1, 3)))
            bills.append(
                BillOfMaterials(
                    sku,
                    random.choice((1, 1, 1, 2, 3, 4)),
                    tuple(
                        BillLine(c, random.choice((1, 1, 2, 3, 5)), random.choice(SCRAPS))
                        for c in components
                    ),
                    batch_only=random.random() < 0.35,
                )
            )
    return World(
        tuple(bills),
        {sku: random.choice((-2, 0, 0, 1, 2, 3, 5, 8, 13)) for sku in skus},
        {sku: random.choice((0, 0, 0, 0, 1, 2, 4)) for sku in skus},
        {bill.item: random.choice((0, 0, 1, 2, 3, 5)) for bill in bills if random.random() < 0.25},
        {
            (bill.item, line.component): random.randrange(-1, bill.yield_quantity * line.scrap.of)
            for bill in bills
            for line in bill.lines
            if random.random() < 0.2
        },
    )


@st.composite
def worlds(draw: st.DrawFn, *, ruled: bool = True) -> World:
    """Draw a world of 2..6 items that shrinks towards few bills, no stock, demand and rules.

    `ruled`: some have a promise rule.
    """
    skus = [f"i{at}" for at in range(draw(st.integers(2, 6)))]
    bills = []
    for at, sku in enumerate(skus[:-1]):
        components = draw(st.lists(st.sampled_from(skus[at + 1 :]), max_size=3, unique=True))
        if components:
            lines = tuple(
                BillLine(component, draw(st.integers(1, 4)), draw(st.sampled_from(SCRAPS)))
                for component in components
            )
            bills.append(
                BillOfMaterials(sku, draw(st.integers(1, 4)), lines, batch_only=draw(st.booleans()))
            )
    return World(
        tuple(bills),
        {sku: draw(st.integers(-3, 12)) for sku in skus},
        {sku: draw(st.integers(0, 5)) for sku in skus},
        {
            bill.item: ceiling
            for bill in (bills if ruled else ())
            if (ceiling := draw(st.sampled_from((None, None, 0, 1, 3)))) is not None
        },
        {
            (bill.item, line.component): draw(
                st.integers(-1, bill.yield_quantity * line.scrap.of - 1)
            )
            for bill in bills
            for line in bill.lines
            if draw(st.booleans())
        },
    )
