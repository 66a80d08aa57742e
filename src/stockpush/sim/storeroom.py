"""What else is done with stock in some worlds, besides buying, making and sending it.

Theory of operation. Drawn from dice of its own, so that a world without it stays what it was when
there was none, and one with it has the same shops, shoppers and misfortunes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Final

from stockpush.sim.people import between
from stockpush.sim.swarm import HOUR
from stockpush.sim.world import MARKET, Listed, World, shelf

LIKELY: Final = 1 / 3
"""How many drawn worlds have one."""
DEEDS_PER_HOUR: Final = (4.0, 90.0)
"""How often one of its people does something: from, to."""
LOTS: Final = 0.5
"""How many of them have lots."""
MARKETS: Final = 0.3
"""How many have a second pool."""
ANY: Final = "any-wax"
"""The name that substitutes share."""
HORIZONS_S: Final = (None, None, 60, 900)


@dataclass(frozen=True, slots=True)
class Storeroom:
    """`clerks` are those who set stock aside: how many deeds a second each does. `keeper` is how
    many a second the storekeeper does, who keeps lots or carries things to the market and back;
    `market` are the channels that it feeds. `horizon_s` is every item's, None for none; `rules` how
    many of one item after the other may wait to be made, None for any number. `alike` is whether
    one bill after the other takes any of two materials in the place of the one that it names.
    """

    clerks: tuple[float, ...] = ()
    keeper: float = 0.0
    has_lots: bool = False
    market: frozenset[str] = frozenset()
    horizon_s: int | None = None
    rules: tuple[int | None, ...] = ()
    alike: tuple[bool, ...] = ()

    @classmethod
    def draw(
        cls, dice: random.Random, channels: Sequence[str], *, is_split: bool = False
    ) -> Storeroom:
        """Draw one for a world with these channels. Where what there is is parted (`is_split`)
        nobody takes anything away, nor does the clock: there are clerks alone.
        """

        def rate() -> float:
            return between(dice, *DEEDS_PER_HOUR) / HOUR

        if is_split:
            return cls(tuple(rate() for _ in range(dice.choice((1, 2)))))
        clerks = tuple(rate() for _ in range(dice.choice((0, 1, 1, 2, 3))))
        has_lots = dice.random() < LOTS
        market: frozenset[str] = frozenset()
        if dice.random() < MARKETS or not (clerks or has_lots):
            market = frozenset(dice.sample(channels, dice.randint(1, max(1, len(channels) - 1))))
        keeper = rate() if has_lots or market else 0.0
        rules = tuple(dice.choice((None, 0, 1, 3)) for _ in range(dice.choice((0, 0, 3))))
        horizon_s = dice.choice(HORIZONS_S) if has_lots else None
        alike = tuple(dice.random() < 0.6 for _ in range(dice.choice((0, 0, 0, 4))))
        return cls(clerks, keeper, has_lots, market, horizon_s, rules, alike)

    def changes(self, world: World) -> World:
        """Return the world with what the storeroom makes of it."""
        rules = {
            sku: most
            for sku, most in zip(cycle(sorted(_may_be_ruled(world))), self.rules, strict=False)
            if most is not None
        }
        world = replace(world, horizon_s=self.horizon_s, rules=rules)
        world = with_substitutes(world, self.alike)
        return with_market(world, self.market) if self.market else world


def _may_be_ruled(world: World) -> set[str]:
    """Return the items that are made, but not for others by the batch: what a batch that is begun
    leaves over can be promised, so that less on the shelf may mean more, and a bound is none.
    """
    for_batches = {sku for bill in world.bills.values() if bill.makes > 1 for sku, _ in bill.lines}
    return world.bills.keys() - for_batches


def with_substitutes(world: World, alike: Sequence[bool]) -> World:
    """Return the world with bills that take any of its first two materials, where `alike` says so
    of one after the other; the same one, where there are none.
    """
    materials = [sku for sku, thing in world.things.items() if thing.kind == "material"][:2]
    if len(materials) < 2 or not any(alike):
        return world
    members, bills = set(materials), {**world.bills}
    for bill, either in zip(world.bills.values(), cycle(alike), strict=False):
        named = [sku for sku, _ in bill.lines if sku in members]
        if either and len(named) == 1:
            lines = tuple((ANY if sku in members else sku, units) for sku, units in bill.lines)
            bills[bill.item] = replace(bill, lines=lines)
    name = replace(world.things[materials[0]], sku=ANY, opening=0)
    things = {**world.things, ANY: name}
    return replace(world, things=things, bills=bills, alike=dict.fromkeys(materials, ANY))


def with_market(world: World, channels: frozenset[str]) -> World:
    """Return the world with a market that feeds these channels, and with nothing there yet."""

    def there(sku: str) -> str:
        return shelf(sku, MARKET)

    def fed(listed: Listed) -> Listed:
        return replace(listed, sku=there(listed.sku)) if listed.channel in channels else listed

    things = {
        there(sku): replace(thing, sku=there(sku), opening=0) for sku, thing in world.things.items()
    }
    bills = {
        there(bill.item): replace(
            bill,
            item=there(bill.item),
            lines=tuple((there(sku), units) for sku, units in bill.lines),
        )
        for bill in world.bills.values()
    }
    return replace(
        world,
        market=channels,
        things={**world.things, **things},
        bills={**world.bills, **bills},
        listings=tuple(fed(each) for each in world.listings),
        hot=fed(world.hot),
        rules={**world.rules} | {there(sku): most for sku, most in world.rules.items()},
        alike={**world.alike}
        | {there(member): there(name) for member, name in world.alike.items()},
        shared={**world.shared} | {there(sku): said for sku, said in world.shared.items()},
        weights={fed(listed): weight for listed, weight in world.weights.items()},
    )
