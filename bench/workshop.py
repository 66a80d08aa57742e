"""A large workshop, netted whole: in plain Python (the floor) and in arrays (P10).

A tenth of the items are materials, three tenths parts of six materials each, the rest products of
one part and five materials. A tenth of the products use a material directly that their part is made
from as well, so that their bound may be too high and has to be tried; a fifth are made in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from time import perf_counter

from bench.processes import WrongRun
from stockpush.model import BillLine, BillOfMaterials
from stockpush.reservation import atp as netting
from stockpush.reservation.atp_arrays import Layout
from stockpush.reservation.bom import Bills

COMPONENTS = 6


@dataclass(frozen=True, slots=True)
class Workshop:
    """Bills, stock and demand of one large group of items."""

    bills: Bills
    on_hand: Mapping[str, int]
    demand: Mapping[str, int]


def workshop(items: int, *, seed: int = 1) -> Workshop:
    """Return a workshop of so many items (>= 100), always the same."""
    dice = Random(seed)  # noqa: S311  # a bench, no secret
    materials = [f"m{at}" for at in range(items // 10)]
    parts = [f"s{at}" for at in range(items * 3 // 10)]
    products = [f"p{at}" for at in range(items - len(materials) - len(parts))]
    used = {part: dice.sample(materials, COMPONENTS) for part in parts}
    bills = [_bill(dice, part, "", used[part]) for part in parts]
    for product in products:
        part = dice.choice(parts)
        others = [each for each in dice.sample(materials, 12) if each not in used[part]]
        others = others[: COMPONENTS - 1]
        if dice.random() < 0.1:
            others[0] = dice.choice(used[part])
        bills.append(_bill(dice, product, part, others))
    return Workshop(
        Bills.build(bills, {*materials, *parts, *products}),
        {sku: dice.randint(0, 10**6) for sku in materials}
        | {sku: dice.randint(0, 5) for sku in (*parts, *products)},
        dict.fromkeys((*materials, *parts), 0)
        | {sku: dice.choice((0, 0, 0, 1, 3)) for sku in products},
    )


def _bill(dice: Random, sku: str, part: str, materials: list[str]) -> BillOfMaterials:
    lines = [BillLine(part, 1)] if part else []
    lines += [BillLine(each, dice.randint(1, 300)) for each in materials]
    return BillOfMaterials(
        sku, dice.choice((1, 10, 12)), tuple(lines), batch_only=dice.random() < 0.2
    )


def netted(items: int) -> tuple[float, float]:
    """Return the milliseconds of every item's ATP from stock and demand, plainly and in arrays.

    Raises `WrongRun` if one number differs.
    """
    shop = workshop(items)
    layout = Layout.build(shop.bills, shop.on_hand.keys())
    plain_ms, plainly = _timed(
        lambda: netting.net(shop.bills, shop.on_hand, shop.demand, shop.on_hand), shop
    )
    arrays_ms, at_once = _timed(lambda: layout.net(shop.on_hand, shop.demand), shop)
    wrong = [sku for sku in plainly if plainly[sku] != at_once[sku]]
    if wrong:
        raise WrongRun(f"the ATP of {len(wrong)} items differs, {wrong[0]} among them")
    return plain_ms, arrays_ms


def _timed(
    net: Callable[[], netting.Netting | None], shop: Workshop
) -> tuple[float, Mapping[str, int]]:
    begun = perf_counter()
    found = net()
    if found is None:
        raise WrongRun("the arrays stood back")
    atps = netting.atp_all(found, shop.on_hand)
    return (perf_counter() - begun) * 1000, atps
