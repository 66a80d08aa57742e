"""Exposure as a figure: what would be sold too much if every listing sold out at once."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.model import Kind, OrderSupply, Promise
from stockpush.reservation import atp as netting
from stockpush.reservation import sold_out
from stockpush.reservation import view as view_module
from stockpush.reservation.view import View
from tests.reservation import oracle
from tests.reservation.test_atp import netted
from tests.reservation.test_reach import deed, workshop
from tests.reservation.world import World, line

SEEDS = 12
"""Random shops, each with some twenty deeds."""


TIMED_SEEDS = 150
"""Random worlds with build times and horizons."""
PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"


def rows() -> list[tuple[int, ...]]:
    """Return the numbers of the table of the page, by row."""
    _, _, below = PAGE.read_text(encoding="utf-8").partition("| wax | candles shown |")
    lines = below.partition("\n\n")[0].splitlines()[2:]
    return [tuple(map(int, re.findall(r"\d+", each))) for each in lines]


@pytest.mark.parametrize("row", rows(), ids=str)
def test_the_table_of_the_page_is_what_is_exposed(row: tuple[int, ...]) -> None:
    """Wax, what is shown of candles and balms, and how many of each would be too many."""
    wax, candles, balms, *too_many = row
    world = World().stock(candle=0, balm=0, wax=wax).bill("candle", wax=1).bill("balm", wax=1)
    world.list("shopify", "c", "candle", shows=candles).list("woo", "b", "balm", shows=balms)
    assert exposed(world, "candle", "balm") == too_many


def test_the_page_has_a_table() -> None:
    """All of its rows are read above."""
    assert len(rows()) == 4


def exposed(world: World, *skus: str) -> list[int]:
    """Return the exposure of each item, from one netting of all their groups."""
    view = View(world.catalogue, world.rows)
    worst = sold_out.net(view, skus)
    return [sold_out.too_much(view, worst, sku) for sku in skus]


def made_of_wax(wax: int) -> World:
    """Return candles and balms that take one wax each, on one channel each."""
    world = World().stock(candle=0, balm=0, wax=wax).bill("candle", wax=1).bill("balm", wax=1)
    world.list("shopify", "c", "candle", shows=0).list("woo", "b", "balm", shows=0)
    world.syncs()
    return world


def test_what_is_shown_of_one_material_is_exposed_once_for_all_of_it() -> None:
    """Ten wax: ten candles and ten balms are shown, and ten of either would be too many."""
    world = made_of_wax(10)
    assert world.expected() == {"shopify/c": 10, "woo/b": 10}
    assert exposed(world, "candle", "balm", "wax") == [10, 10, 0]


def test_what_is_ordered_is_not_on_sale_any_more() -> None:
    """Four candles are ordered and deducted: six candles and ten balms are shown of six wax."""
    world = made_of_wax(10)
    world.hears(world.order("shopify", "1", line("c", 4)))
    assert exposed(world, "candle", "balm") == [6, 10]
    world.syncs()
    assert exposed(world, "candle", "balm") == [6, 6]


def test_a_unit_in_suspense_is_sold_or_on_sale_and_not_both() -> None:
    """Two of ten candles seem to be sold untold: no unit of them would be sold twice."""
    world = World().stock(candle=10).list("shopify", "c", "candle", shows=10)
    world.reads("shopify", "c", 8)
    assert world.field("shopify", "c").hold == 2
    assert exposed(world, "candle") == [0]


def test_what_is_held_is_not_there_for_what_is_shown() -> None:
    """Three of ten candles are held before any listing has followed."""
    world = made_of_wax(10)
    world.holds(("candle", 3))
    assert exposed(world, "candle", "balm") == [10, 10]


def test_no_more_of_an_item_is_exposed_than_it_shows() -> None:
    """A set takes a candle: of three candles one is shown, and sets, two of them and then six."""
    world = World().stock(candle=3, set=0).bill("set", candle=1)
    world.list("shopify", "c", "candle", shows=1).list("woo", "s", "set", shows=2)
    assert exposed(world, "candle", "set") == [0, 0]
    world.list("etsy", "s", "set", shows=4)
    assert exposed(world, "candle", "set") == [1, 4]


def test_promise_rules_bound_what_there_is() -> None:
    """Candles are promised when finished: what is shown of them and of sets is of three."""
    world = World().stock(candle=3, set=0, wax=50).bill("candle", wax=1).bill("set", candle=1)
    world.item("candle", promise=Promise.FINISHED)
    world.list("shopify", "c", "candle", shows=0).list("woo", "s", "set", shows=0)
    world.syncs()
    assert world.expected() == {"shopify/c": 3, "woo/s": 3}
    assert exposed(world, "candle", "set") == [3, 3]


def test_a_gate_is_shared_by_what_is_shown() -> None:
    """Each order takes one of four boxes: four candles and four soaps are shown."""
    world = World().stock(candle=9, soap=9, box=4).item("box", kind=Kind.SUPPLY)
    for sku in ("candle", "soap"):
        world.item(sku, per_order=(OrderSupply("box", 1, gate=True),))
    world.list("shopify", "c", "candle", shows=0).list("woo", "s", "soap", shows=0)
    world.syncs()
    assert world.expected() == {"shopify/c": 4, "woo/s": 4}
    assert exposed(world, "candle", "soap") == [4, 4]


def assert_equal_to_brute_force(case: oracle.World, shown: dict[str, int]) -> None:
    """Hold what is left beside all others against the oracle's, for each item that can be listed.

    What is left below none is none: more than is shown cannot be too much.
    """
    everything = case
    for sku, units in shown.items():
        everything = everything.demanded(sku, units)
    worst = netted(everything)
    for sku, units in shown.items():
        left = netting.atp(netting.without(worst, sku, units), sku)
        assert max(0, left) == max(0, oracle.atp(everything.demanded(sku, -units), sku)), sku


def listed(case: oracle.World) -> list[str]:
    """Return the items that can be listed: no name of substitutes."""
    return sorted(set(case.skus) - set(case.name_of.values()))


@given(oracle.worlds(older=True), st.data())
def test_it_is_what_a_brute_force_finds(case: oracle.World, data: st.DataObject) -> None:
    """Of an item, what could not be promised of what it shows were all the others sold out."""
    shown = {sku: data.draw(st.integers(0, 6), label=sku) for sku in listed(case)}
    assert_equal_to_brute_force(case, shown)


def test_it_is_what_a_brute_force_finds_with_horizons() -> None:
    """So it is where what is shown has to be there in time."""
    for seed in range(TIMED_SEEDS):
        dice = Random(seed)
        case = oracle.timed(oracle.random_world(dice), dice)
        assert_equal_to_brute_force(case, {sku: dice.randint(0, 6) for sku in listed(case)})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_it_is_that_of_each_item_beside_the_others(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In random shops, with suspense, horizons and supplies of orders, one netting of all that is
    shown says what a netting for each item says; in every other one it is netted in arrays.
    """
    monkeypatch.setattr(view_module, "ARRAYS_MIN", 1 if seed % 2 else 1_000)
    dice = Random(seed)
    world = workshop(dice)
    for number in range(20):
        deed(dice, world, number)
    view = View(world.catalogue, world.rows)
    skus = sorted(world.catalogue.items)
    group = view.catalogue.group(skus)
    units = {sku: sold_out.shown(view, sku) for sku in group}
    found = dict(zip(skus, exposed(world, *skus), strict=True))
    for sku in skus:
        others = {each: (0 if each == sku else units[each]) - view.suspense(each) for each in group}
        left = netting.atp(view.net_more(group, others), sku)
        assert found[sku] == units[sku] - min(units[sku], max(0, left)), sku
