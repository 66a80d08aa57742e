"""Brute force for netting: the definition of ATP, word for word, and small random worlds.

It shares no code with `stockpush.reservation`: recursion instead of passes, a linear search
instead of a bound and a bisection. Only small worlds can be afforded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from stockpush.model import NO_SCRAP, BillLine, BillOfMaterials, Scrap

T = TypeVar("T")
SCRAPS = (NO_SCRAP, NO_SCRAP, NO_SCRAP, Scrap(1, 20), Scrap(1, 3), Scrap(1, 1))
"""What bills of random worlds lose."""


@dataclass(frozen=True, slots=True)
class World:
    """A few items: their bills, stock S (signed) and demand D, one entry per item.

    `ceilings` has those with a promise rule: the most that may wait to be built (0: finished only).
    `rests` has what builds of an item have taken of a component beyond what they used, in parts of
    a smallest unit (`model.Rest`). `name_of` has the name of each substitute, an item of which
    nothing is on hand. `older` has bills that some of the demand was made with, each with how much
    of it, oldest first; `owed` what was sent below zero by one, by item and version, which counts
    as far as it is missing. `horizons` has, in seconds, how soon what is promised of an item has to
    be there, and `coming` what of `on_hand` is there only by then. `now` is what the definitions
    say.
    """

    bills: tuple[BillOfMaterials, ...]
    on_hand: Mapping[str, int]
    demand: Mapping[str, int]
    ceilings: Mapping[str, int] = field(default_factory=dict)
    rests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    horizons: Mapping[str, int] = field(default_factory=dict)
    coming: Mapping[str, int] = field(default_factory=dict)
    skus: tuple[str, ...] = field(default=())
    name_of: Mapping[str, str] = field(default_factory=dict)
    older: Mapping[str, tuple[tuple[BillOfMaterials, int], ...]] = field(default_factory=dict)
    owed: Mapping[tuple[str, int], int] = field(default_factory=dict)
    now: Netted = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "skus", tuple(self.on_hand))
        object.__setattr__(self, "now", Netted(self))

    def stocked(self, sku: str, units: int) -> World:
        """Return the world with `units` (signed) more on hand."""
        return replace(self, on_hand={**self.on_hand, sku: self.on_hand[sku] + units})

    def demanded(self, sku: str, units: int) -> World:
        """Return the world with `units` (signed) more demand."""
        return replace(self, demand={**self.demand, sku: self.demand[sku] + units})


def remembered(work: Callable[..., T]) -> Callable[..., T]:
    """Return `work`, done once for each thing that it is asked of: `functools.cache`, which takes
    longer to set up than most of what is asked here.
    """
    known: dict[tuple[object, ...], T] = {}

    def ask(*of: object) -> T:
        try:
            return known[of]
        except KeyError:
            found = known[of] = work(*of)
            return found

    return ask


def rounded_up(units: int, by: int) -> int:
    """Return the smallest whole number that is no less than units / by."""
    whole, rest = divmod(units, by)
    return whole + (rest > 0)


class Netted:
    """The definitions at one demand; `lowered` lowers the gross requirement of one item."""

    def __init__(self, world: World, lowered: Mapping[str, int] | None = None) -> None:
        bills = {bill.item: bill for bill in world.bills}
        all_bills = [*world.bills, *(bill for each in world.older.values() for bill, _ in each)]

        def used(sku: str) -> int:
            return sum(
                max(
                    0,
                    rounded_up(
                        built_by(bill) * line.quantity * sum(line.scrap)
                        - (world.rests.get((bill.item, sku), 0) if is_present(bill) else 0),
                        bill.yield_quantity * line.scrap.of,
                    ),
                )
                for bill in all_bills
                for line in bill.lines
                if line.component == sku and built_by(bill)
            )

        def is_present(bill: BillOfMaterials) -> bool:
            return bills[bill.item] is bill

        @remembered
        def net_by(sku: str, version: int) -> int:
            """What of an item is missing that goes by one of its bills."""
            there = world.on_hand[sku] + (lowered or {}).get(sku, 0)
            others = world.older.get(sku, ())
            # What came in since was for the present bill first, then for the oldest.
            owed, missing = {}, max(0, -there)
            for bill, _ in others[::-1]:
                owed[bill.version] = min(world.owed.get((sku, bill.version), 0), missing)
                missing -= owed[bill.version]
            there += sum(owed.values())
            for bill, units in others:
                served = min(units, max(0, there))
                if bill.version == version:
                    return units - served + owed[version]
                there -= served
            asked = world.demand[sku] + used(sku) - sum(units for _, units in others)
            return max(0, asked - there)

        def built_by(bill: BillOfMaterials) -> int:
            missing = net_by(bill.item, bill.version)
            if not bill.batch_only:
                return missing
            return rounded_up(missing, bill.yield_quantity) * bill.yield_quantity

        def covered_by(bill: BillOfMaterials) -> bool:
            missing = net_by(bill.item, bill.version)
            return not missing or all(covered(line.component) for line in bill.lines)

        def left(sku: str) -> int:
            return max(0, world.on_hand[sku] - gross(sku))

        @remembered
        def gross(sku: str) -> int:
            return world.demand[sku] + used(sku) - (lowered or {}).get(sku, 0)

        @remembered
        def net(sku: str) -> int:
            if sku in bills:
                every = (bills[sku], *(bill for bill, _ in world.older.get(sku, ())))
                return sum(net_by(sku, bill.version) for bill in every)
            substitutes = [each for each, name in world.name_of.items() if name == sku]
            there = world.on_hand[sku] + sum(map(left, substitutes))
            return max(0, gross(sku) - there)

        @remembered
        def built(sku: str) -> int:
            every = (bills[sku], *(bill for bill, _ in world.older.get(sku, ())))
            return sum(built_by(bill) for bill in every)

        @remembered
        def covered(sku: str) -> bool:
            if sku in world.name_of and not covered(world.name_of[sku]):
                return False
            if sku not in bills:
                return net(sku) == 0
            return all(
                covered_by(bill)
                for bill in (bills[sku], *(bill for bill, _ in world.older.get(sku, ())))
            )

        self.gross = gross
        self.net = net
        self.net_by = net_by
        self.built = built
        self.built_by = built_by
        self.covered = covered
        self.covered_by = covered_by


class Raised:
    """The definitions under `units` more of `sku`, beside those `before`.

    Whatever is drawn on has some seconds left, of the least that its parents leave it and it has
    itself. With less than its own horizon it has nothing of what comes; of what substitutes have
    left for their name, each has nothing of what comes later than the name is needed.
    """

    def __init__(self, world: World, before: Netted, sku: str, units: int) -> None:
        bills = {bill.item: bill for bill in world.bills}
        members = {
            name: [each for each, of in world.name_of.items() if of == name]
            for name in world.name_of.values()
        }

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

        @remembered
        def draws(component: str) -> dict[str, int]:
            now = {
                parent: uses(parent, component, built(parent))
                - uses(parent, component, before.built_by(bill))
                for parent, bill in bills.items()
                if any(line.component == component for line in bill.lines)
            }
            return {parent: more for parent, more in now.items() if more}

        @remembered
        def left(item: str) -> float:
            given = [left(parent) - bills[parent].build_time_s for parent in draws(item)]
            if item in members and not drawn(item):
                return float("inf")
            return min([world.horizons.get(item, float("inf")), *given])

        def drawn(item: str) -> int:
            return sum(draws(item).values()) + (units if item == sku else 0)

        def there(item: str, seconds: float) -> int:
            late = seconds < world.horizons.get(item, 0)
            return world.on_hand[item] - (world.coming.get(item, 0) if late else 0)

        @remembered
        def net(item: str) -> int:
            if item in members:
                time, asked = left(item), before.gross(item) + drawn(item)
                return max(
                    0,
                    asked
                    - sum(
                        max(0, there(each, time) - before.gross(each) - drawn(each))
                        for each in members[item]
                    ),
                )
            free = max(0, there(item, left(item)) - before.gross(item))
            return before.net(item) + max(0, drawn(item) - free)

        @remembered
        def built(item: str) -> int:
            bill = bills[item]
            missing = before.net_by(item, bill.version) + net(item) - before.net(item)
            if not bill.batch_only:
                return missing
            return rounded_up(missing, bill.yield_quantity) * bill.yield_quantity

        @remembered
        def covered(item: str) -> bool:
            if item in world.name_of and not covered(world.name_of[item]):
                return False
            if net(item) == 0:
                return True
            return item in bills and all(covered(line.component) for line in bills[item].lines)

        def late_for(item: str) -> set[str]:
            if net(item) <= before.net(item) or left(item) < 0:
                return set()
            if item in bills:
                return {item} if bills[item].build_time_s > left(item) else set()
            return {
                each
                for each in members.get(item, (item,))
                if world.coming.get(each, 0) and left(item) < world.horizons[each]
            }

        self.net = net
        self.left = left
        self.covered = covered
        self.late_for = late_for
        self.late = set[str]().union(*map(late_for, world.skus))


def raised(world: World, before: Netted, after: Netted | Raised) -> set[str]:
    """Return the items whose net rises, to more than their promise rule lets wait to be built."""
    return {
        sku
        for sku, most in world.ceilings.items()
        if before.net(sku) < after.net(sku) and after.net(sku) > most
    }


def atp(world: World, sku: str) -> int:
    """Return the ATP by counting up, or down, one unit at a time."""
    now = world.now
    if now.covered(sku):
        n = 0
        while True:
            more = world.demanded(sku, n + 1).now
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


def orders(left: int, quantity: int) -> int:
    """Return for how many orders more a supply is there; for how many too few, below 0."""
    count = 0
    while left >= quantity:
        count, left = count + 1, left - quantity
    while left < 0:
        count, left = count - 1, left + quantity
    return count


def limits(world: World, sku: str, promised: int) -> set[str]:
    """Return the leaves that are short under one unit more than the ATP, on the way from `sku`."""
    more = promised + 1
    netted = world.demanded(sku, more).now if more > 0 else Netted(world, {sku: max(0, -more)})
    made: dict[str, list[BillOfMaterials]] = {bill.item: [bill] for bill in world.bills}
    for item, others in world.older.items():
        made[item] += (bill for bill, _ in others)

    def short(item: str) -> set[str]:
        if netted.covered(item):
            return set()
        if item not in made:
            itself = {item} if netted.net(item) else set()
            return itself | (short(world.name_of[item]) if item in world.name_of else set())
        lines = [line for bill in made[item] if not netted.covered_by(bill) for line in bill.lines]
        return set().union(*(short(line.component) for line in lines))

    now = world.now
    if not world.horizons or not now.covered(sku):
        return short(sku)
    soon = Raised(world, now, sku, promised + 1)
    anew = {item for item in world.skus if item not in made and soon.net(item) > now.net(item)}
    return short(sku) | {item for item in anew if soon.left(item) >= 0 and not soon.late_for(item)}


def rules(world: World, sku: str, promised: int) -> set[str]:
    """Return the items whose promise rule forbids one unit more than the ATP."""
    now = world.now
    if not now.covered(sku):
        return set()
    return raised(world, now, Raised(world, now, sku, promised + 1))


def late(world: World, sku: str, promised: int) -> set[str]:
    """Return the items that one unit more than the ATP would need, and that are not in time."""
    now = world.now
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
    promise rules, substitutes.
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
    name_of = _with_a_name(bills, skus, random) if random.random() < 0.5 else {}
    world = World(
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
    world = with_substitutes(world, name_of)
    return _with_an_older_bill(world, random) if bills and random.random() < 0.4 else world


def _with_an_older_bill(world: World, random: Random) -> World:
    """Return the world with one or two older bills of one item, which some of its orders go by."""
    present = random.choice(world.bills)
    below = world.skus[world.skus.index(present.item) + 1 :]
    older = []
    for version in range(1, random.randint(2, 3)):
        components = random.sample(below, min(len(below), random.randint(1, 2)))
        lines = tuple(
            BillLine(each, random.choice((1, 2, 3)), random.choice(SCRAPS)) for each in components
        )
        bill = BillOfMaterials(
            present.item,
            random.choice((1, 1, 2, 3)),
            lines,
            batch_only=random.random() < 0.2,
            version=version,
        )
        older.append((bill, random.randint(1, 4)))
    world = with_older(world, present.item, older)
    if random.random() < 0.5:
        return world
    # Some were sent before they were built, and some of them may be there by now.
    owed = {(present.item, bill.version): random.randint(0, 3) for bill, _ in older}
    return replace(world.stocked(present.item, -sum(owed.values())), owed=owed)


def with_older(world: World, sku: str, older: Sequence[tuple[BillOfMaterials, int]]) -> World:
    """Return the world with older bills of an item, and the units that were ordered by each."""
    bills = tuple(
        replace(bill, version=len(older) + 1) if bill.item == sku else bill for bill in world.bills
    )
    more = sum(units for _, units in older)
    return replace(world.demanded(sku, more), bills=bills, older={sku: tuple(older)})


def _with_a_name(
    bills: list[BillOfMaterials], skus: list[str], random: Random
) -> Mapping[str, str]:
    """Return up to three leaves as substitutes for another one, if no bill names both."""
    leaves = [sku for sku in skus if sku not in {bill.item for bill in bills}]
    name = random.choice(leaves)
    beside = {
        line.component
        for bill in bills
        for line in bill.lines
        if name in {each.component for each in bill.lines}
    }
    others = [sku for sku in leaves if sku != name and sku not in beside]
    return dict.fromkeys(random.sample(others, min(len(others), random.randint(1, 3))), name)


def with_substitutes(world: World, name_of: Mapping[str, str]) -> World:
    """Return the world with these substitutes; of their names nothing is there or asked for."""
    nothing = dict.fromkeys(name_of.values(), 0)
    return replace(
        world,
        on_hand={**world.on_hand, **nothing},
        demand={**world.demand, **nothing},
        name_of=name_of,
    )


@st.composite
def worlds(draw: st.DrawFn, *, ruled: bool = True, older: bool = False) -> World:
    """Draw a world of 2..6 items that shrinks towards few bills, no stock, demand and rules.

    `ruled`: some have a promise rule; some of the leaves may be substitutes for another one.
    `older`: some of the demand may go by an older bill.
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
    leaves = [sku for sku in skus if sku not in {bill.item for bill in bills}]
    name_of = {}
    if len(leaves) > 1 and draw(st.booleans()):
        name, *others = leaves
        together = [{line.component for line in bill.lines} for bill in bills]
        name_of = {sku: name for sku in others if not any({sku, name} <= each for each in together)}
    world = World(
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
    world = with_substitutes(world, name_of)
    if not (older and bills and draw(st.booleans())):
        return world
    present = draw(st.sampled_from(bills))
    below = skus[skus.index(present.item) + 1 :]
    components = draw(st.lists(st.sampled_from(below), min_size=1, max_size=2, unique=True))
    lines = tuple(BillLine(each, draw(st.integers(1, 3))) for each in components)
    old = BillOfMaterials(
        present.item, draw(st.integers(1, 3)), lines, batch_only=draw(st.booleans())
    )
    owed = draw(st.integers(0, 4))
    world = with_older(world, present.item, [(old, draw(st.integers(1, 4)))])
    world = world.stocked(present.item, -owed)
    return replace(world, owed={(present.item, old.version): owed})
