"""Netting in arrays gives what plain netting gives, and stands back where it might not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings

from stockpush.messages import Rows
from stockpush.model import (
    NO_SCRAP,
    QUANTITY_MAX,
    SCRAP_OF_MAX,
    BillLine,
    BillOfMaterials,
    Item,
    Kind,
    Scrap,
    Shelf,
)
from stockpush.reservation import atp as plain
from stockpush.reservation import catalogue, view
from stockpush.reservation.atp_arrays import Layout
from stockpush.reservation.bom import Bills
from stockpush.reservation.view import View
from tests.reservation.oracle import World, random_world, timed, worlds
from tests.reservation.test_atp import BOX_OF_A_REST, times_of

SEEDS = 3_000
"""Small random worlds compared; about two seconds."""


def in_both_ways(world: World) -> tuple[plain.Netting, plain.Netting | None]:
    """Net a world plainly and in arrays."""
    bills = Bills.build(world.bills, set(world.skus), world.name_of)
    rests: dict[str, dict[str, int]] = {}
    for (sku, component), ahead in world.rests.items():
        rests.setdefault(sku, {})[component] = ahead
    more = {"ceilings": world.ceilings, "rests": rests}
    return (
        plain.net(bills, world.on_hand, world.demand, world.skus, **more),
        Layout.build(bills, world.skus).net(world.on_hand, world.demand, **more),
    )


def assert_equal(world: World) -> None:
    """Compare every number of every item, and the questions that are asked of a netting."""
    expected, found = in_both_ways(replace(world, name_of={}, older={}))
    assert found is not None
    for name in ("gross", "net", "built", "bound"):
        assert dict(getattr(found, name)) == dict(getattr(expected, name)), name
    assert found.blocked == expected.blocked
    assert found.shortage == expected.shortage
    assert plain.atp_all(found, world.skus) == plain.atp_all(expected, world.skus)
    for sku in world.skus:
        assert plain.buildable(found, sku) == plain.buildable(expected, sku)
        assert plain.limited_by(found, sku) == plain.limited_by(expected, sku)
        assert plain.ruled_by(found, sku) == plain.ruled_by(expected, sku)


def workshop(random: Random, size: int) -> World:
    """Return a world of three levels: a tenth materials, three tenths parts, the rest products.

    A third of the products use a material directly that their part is made from as well, some are
    made in batches, and a twentieth of the materials has run out.
    """
    materials = [f"m{at}" for at in range(size // 10)]
    parts = [f"s{at}" for at in range(size * 3 // 10)]
    products = [f"p{at}" for at in range(size - len(materials) - len(parts))]
    bills = {}
    for sku in parts:
        bills[sku] = _bill(random, sku, random.sample(materials, 6))
    for sku in products:
        part = random.choice(parts)
        used = {line.component for line in bills[part].lines}
        others = [other for other in random.sample(materials, 12) if other not in used][:5]
        if random.random() < 1 / 3:
            others[0] = random.choice(sorted(used))
        bills[sku] = _bill(random, sku, [part, *others])
    scarce = set(materials[: len(materials) // 20])
    return World(
        tuple(bills.values()),
        {sku: _on_hand(random, sku, scarce) for sku in (*materials, *parts, *products)},
        dict.fromkeys((*materials, *parts), 0)
        | {sku: random.choice((0, 0, 0, 1, 9)) for sku in products},
    )


def _on_hand(random: Random, sku: str, scarce: Collection[str]) -> int:
    if sku.startswith("m"):
        return 0 if sku in scarce else random.randint(0, 10**6)
    return random.randint(-1, 5)


def _bill(random: Random, sku: str, components: Sequence[str]) -> BillOfMaterials:
    lines = tuple(
        BillLine(each, random.randint(1, 300) if each.startswith("m") else 1) for each in components
    )
    return BillOfMaterials(sku, random.choice((1, 10, 12)), lines, batch_only=random.random() < 0.2)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_small_worlds_are_netted_alike(world: World) -> None:
    """Diamonds, batches, rounding, shortages and negative stock: the same numbers."""
    assert_equal(world)


def test_seeded_worlds_are_netted_alike() -> None:
    """The same on many worlds more."""
    for seed in range(SEEDS):
        assert_equal(random_world(Random(seed)))


def test_horizons_are_asked_of_arrays_as_of_a_plain_netting() -> None:
    """What takes too long is found the plain way: the same numbers, and the same that is late."""
    lowered = 0
    for seed in range(SEEDS):
        random = Random(seed)
        world = replace(timed(random_world(random), random), name_of={}, older={})
        expected, found = in_both_ways(world)
        assert found is not None
        times = times_of(world, expected.bills)
        free = plain.atp_all(expected, world.skus)
        expected, found = plain.asking(expected, times), plain.asking(found, times)
        promised = plain.atp_all(found, world.skus)
        assert promised == plain.atp_all(expected, world.skus)
        lowered += promised != free
        for sku in world.skus:
            assert plain.late_for(found, sku) == plain.late_for(expected, sku)
    assert lowered > SEEDS / 30


def test_a_rest_of_what_is_short_is_nothing_to_build_from() -> None:
    """Where it is reached by two paths too, which no bound tells."""
    assert_equal(BOX_OF_A_REST)


@pytest.mark.parametrize("seed", range(3))
def test_a_workshop_is_netted_alike(seed: int) -> None:
    """Two thousand items that share their materials, bisected ones and blocked ones among them."""
    world = workshop(Random(seed), 2_000)
    expected, found = in_both_ways(world)
    assert found is not None
    promised = plain.atp_all(expected, world.skus)
    assert plain.atp_all(found, world.skus) == promised
    assert any(units < 0 for units in promised.values())
    free = [sku for sku in world.skus if sku not in expected.blocked]
    assert any(promised[sku] != expected.bound[sku] for sku in free)


def chain(yields: int, quantity: int, on_hand: int, demand: int, scrap: Scrap = NO_SCRAP) -> World:
    """Return one item that is made from another."""
    return World(
        (BillOfMaterials("soap", yields, (BillLine("oil", quantity, scrap),)),),
        {"soap": 0, "oil": on_hand},
        {"soap": demand, "oil": 0},
    )


@pytest.mark.parametrize(
    ("world", "stands_back"),
    [
        pytest.param(chain(1, 1, QUANTITY_MAX, QUANTITY_MAX), False, id="largest, one for one"),
        pytest.param(chain(1, QUANTITY_MAX, 1, 2), False, id="a large quantity, few units"),
        pytest.param(chain(1, QUANTITY_MAX, 1, 10_000), True, id="what is used does not fit"),
        pytest.param(
            chain(QUANTITY_MAX, 1, QUANTITY_MAX, 0), True, id="what could be made neither"
        ),
        pytest.param(
            chain(QUANTITY_MAX, 1, 1, 0, Scrap(1, SCRAP_OF_MAX)), True, id="a large and fine bill"
        ),
    ],
)
def test_numbers_that_may_not_fit_are_left_to_plain_netting(
    world: World, *, stands_back: bool
) -> None:
    """Sixty-four bits are never overrun: the answer is exact, or there is none."""
    expected, found = in_both_ways(world)
    assert (found is None) is stands_back
    if found is not None:
        assert plain.atp_all(found, world.skus) == plain.atp_all(expected, world.skus)


def test_substitutes_are_left_to_plain_netting() -> None:
    """What they have left for their name is no line of a bill: there is no answer in arrays."""
    world = replace(
        chain(1, 1, 0, 0),
        on_hand={"soap": 0, "oil": 0, "olive": 5, "palm": 2},
        demand=dict.fromkeys(("soap", "oil", "olive", "palm"), 0),
        skus=("soap", "oil", "olive", "palm"),
        name_of={"olive": "oil", "palm": "oil"},
    )
    expected, found = in_both_ways(world)
    assert found is None
    assert plain.atp(expected, "soap") == 7


@pytest.mark.parametrize("largest", [1, QUANTITY_MAX])
def test_a_large_group_is_netted_in_arrays_where_it_can(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view takes the quick way for many items, the exact one where that stands back, and both
    promise the same.
    """
    monkeypatch.setattr(view, "ARRAYS_MIN", 10)
    items = [Item(f"i{at:02}", "", Kind.PRODUCT, "piece") for at in range(20)]
    bills = [
        BillOfMaterials(item.sku, largest, (BillLine(items[-1].sku, 1),)) for item in items[:-1]
    ]
    built = catalogue.build(1, items, bills, [], {})
    shelves = {item.sku: Shelf(item.sku, on_hand=QUANTITY_MAX) for item in items}
    net = View(built, Rows(shelves=shelves)).net([items[0].sku])
    assert (net.known is None) is (largest > 1)
    assert plain.atp(net, items[0].sku) == QUANTITY_MAX * (largest + 1)


def test_a_view_of_many_items_asks_how_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Netted in arrays too: what takes too long is not promised, and what comes is."""
    monkeypatch.setattr(view, "ARRAYS_MIN", 10)
    items = [Item(f"i{at:02}", "", Kind.PRODUCT, "piece", horizon_s=at) for at in range(20)]
    bills = [
        BillOfMaterials(item.sku, 1, (BillLine(items[-1].sku, 1),), build_time_s=7)
        for item in items[:-1]
    ]
    shelves = {item.sku: Shelf(item.sku, on_hand=5, coming=2) for item in items}
    net = View(catalogue.build(1, items, bills, [], {}), Rows(shelves=shelves)).net(["i00"])
    assert net.known is not None
    # The last one comes too late for whoever has less than its own 19 seconds left.
    promised = {sku: plain.atp(net, sku) for sku in ("i00", "i06", "i07", "i18", "i19")}
    assert promised == {"i00": 7, "i06": 7, "i07": 12, "i18": 12, "i19": 7}
