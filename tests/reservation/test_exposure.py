"""Exposure: what a listing may show, and that its derivation sums to it."""

from __future__ import annotations

import doctest
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.reservation import exposure
from stockpush.reservation.atp import atp, buildable, left, net
from stockpush.reservation.bom import Bills
from stockpush.reservation.exposure import item_terms, offer, target, terms
from tests.reservation.oracle import World, random_world, timed, worlds
from tests.reservation.test_atp import netted

policies = st.fixed_dictionaries(
    {"buffer": st.integers(0, 9), "pack": st.integers(1, 7), "cap": st.integers(0, 20)}
)
quantities = st.integers(-40, 40)


def test_the_examples_in_the_docstrings_run() -> None:
    """Every doctest of the module passes."""
    result = doctest.testmod(exposure)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("atp", "buffer", "pack", "cap", "expected"),
    [
        (7, 0, 1, 999, 7),
        (7, 1, 3, 999, 2),
        (6, 0, 6, 999, 1),
        (5, 0, 6, 999, 0),
        (7, 0, 1, 7, 7),
        (7, 0, 1, 6, 6),
        (7, 0, 1, 0, 0),
        (0, 0, 1, 999, 0),
        (1, 1, 1, 999, 0),
        (1, 2, 1, 999, 0),
        (-3, 0, 1, 999, 0),
        (-3, 2, 6, 999, 0),
        (10**15, 0, 1, 10**9, 10**9),
    ],
)
def test_an_offer_is_whole_packs_after_the_buffer_between_none_and_the_cap(
    atp: int, buffer: int, pack: int, cap: int, expected: int
) -> None:
    """The buffer goes off in item units before packs are counted; a part of a pack is not sold."""
    assert offer(atp, buffer=buffer, pack=pack, cap=cap) == expected


def test_a_target_shows_undeducted_units_on_top() -> None:
    """Units sold that the channel has not taken off still stand on its field; never below 0."""
    assert target(4, 0, cap=9) == 4
    assert target(0, 2, cap=9) == 2
    with pytest.raises(AssertionError, match="undeducted"):
        target(4, -1, cap=9)


def test_a_target_is_never_beyond_what_a_field_holds() -> None:
    """Units sold and not yet taken off would lift it over the platform's most, which it refuses:
    the derivation says what is left out.
    """
    assert target(999, 2, cap=999) == 999
    derived = terms((("on_hand", 1200),), buffer=0, pack=1, cap=999, undeducted=2)
    assert sum(units for _, units in derived) == 999
    assert dict(derived)["cap"] == 999 - 1200 - 2


@pytest.mark.parametrize(
    ("on_hand", "undeducted", "shown"),
    [(2000, 0, 999), (2000, 2, 999), (997, 2, 999), (998, 2, 999), (996, 2, 998), (0, 1001, 999)],
)
def test_a_channel_s_largest_number_is_never_passed(
    on_hand: int, undeducted: int, shown: int
) -> None:
    """What stands on the field although it is sold counts too: a larger number would be refused."""
    item = (("on_hand", on_hand),)
    derived = terms(item, buffer=0, pack=1, cap=999, undeducted=undeducted)
    assert sum(quantity for _, quantity in derived) == shown
    assert dict(derived)["undeducted"] == undeducted
    assert dict(derived)["cap"] <= 0


@pytest.mark.parametrize(
    "policy",
    [
        {"buffer": -1, "pack": 1, "cap": 9},
        {"buffer": 0, "pack": 0, "cap": 9},
        {"buffer": 0, "pack": 1, "cap": -1},
    ],
)
def test_an_impossible_policy_stops(policy: dict[str, int]) -> None:
    """A negative buffer or cap and an empty pack are broken invariants, not offers."""
    with pytest.raises(AssertionError, match=r"is (-1|0)$"):
        offer(5, **policy)
    with pytest.raises(AssertionError, match=r"is (-1|0)$"):
        terms((("on_hand", 5),), **policy, undeducted=0)


@settings(max_examples=200, deadline=None)
@given(st.lists(quantities, max_size=6), policies, st.integers(0, 5))
def test_the_terms_sum_to_the_target(
    items: list[int], policy: dict[str, int], undeducted: int
) -> None:
    """Whatever the item's terms, pack, buffer and cap: the sum of the lines is what is shown."""
    item = tuple((f"term_{at}", quantity) for at, quantity in enumerate(items))
    derived = terms(item, **policy, undeducted=undeducted)
    shown = target(offer(sum(items), **policy), undeducted, cap=policy["cap"])
    assert sum(quantity for _, quantity in derived) == shown


@settings(max_examples=200, deadline=None)
@given(st.lists(quantities, min_size=1, max_size=6), policies)
def test_each_line_is_whole_packs_of_its_own_quantity(
    items: list[int], policy: dict[str, int]
) -> None:
    """A line never claims more packs than its quantity holds, and only remainders are pooled."""
    item = tuple((f"term_{at}", quantity) for at, quantity in enumerate(items))
    pack = policy["pack"]
    derived = dict(terms(item, **policy, undeducted=0))
    for name, quantity in (*item, ("buffer", -policy["buffer"])):
        assert derived[name] * quantity >= 0
        assert 0 <= abs(quantity) - abs(derived[name]) * pack < pack
    pooled = (
        sum(items)
        - policy["buffer"]
        - pack * sum(derived[name] for name in (*(name for name, _ in item), "buffer"))
    )
    assert derived["part_of_a_pack"] == pooled // pack
    if pack == 1:
        assert derived["part_of_a_pack"] == 0


def test_the_lines_of_a_listing_in_their_order() -> None:
    """A pack of 6 with a buffer and one undeducted order, line by line; nothing sold short."""
    item = (("on_hand", 20), ("reserved", -7), ("suspense", -6), ("buildable", 30))
    assert terms(item, buffer=2, pack=6, cap=4, undeducted=1) == (
        ("on_hand", 3),
        ("reserved", -1),
        ("suspense", -1),
        ("buildable", 5),
        ("buffer", 0),
        ("part_of_a_pack", -1),
        ("oversold", 0),
        ("cap", -2),
        ("undeducted", 1),
    )


def test_an_oversold_item_shows_none_and_says_by_how_much() -> None:
    """Below zero the line `oversold` lifts the sum to what is shown."""
    derived = dict(terms((("on_hand", 0), ("reserved", -3)), buffer=0, pack=1, cap=9, undeducted=0))
    assert derived["oversold"] == 3
    assert sum(derived.values()) == 0


@settings(max_examples=150, deadline=None)
@given(worlds(), st.data())
def test_the_item_terms_sum_to_the_atp_and_keep_their_signs(
    world: World, data: st.DataObject
) -> None:
    """On hand, demand, use by other builds, and what can be built for it and beyond: the ATP."""
    bills = Bills.build(world.bills, set(world.skus), world.name_of)
    netting = net(bills, world.on_hand, world.demand, world.skus)
    for sku in world.skus:
        suspense = data.draw(st.integers(0, world.demand[sku]))
        held = data.draw(st.integers(0, world.demand[sku] - suspense))
        derived = dict(item_terms(netting, sku, held=held, suspense=suspense))
        assert sum(derived.values()) == atp(netting, sku)
        assert derived["on_hand"] == world.on_hand[sku]
        assert derived["reserved"] == held + suspense - world.demand[sku]
        assert (derived["held"], derived["suspense"]) == (-held, -suspense)
        name = sku in world.name_of.values()
        used = netting.gross[sku] + (derived["substitutes"] if name else 0)
        assert derived["used_in_builds"] == world.demand[sku] - used <= 0
        if name or sku in world.name_of:
            assert (derived["substitutes"] >= 0) if name else (derived["substitutes"] <= 0)
        else:
            assert "substitutes" not in derived
        assert 0 <= derived["to_build"] <= max(netting.net[sku], -derived["used_in_builds"])
        assert derived["buildable"] == buildable(netting, sku)
        if not bills.components(sku):
            assert derived["to_build"] == derived["buildable"] == 0


def test_what_comes_is_a_term_of_its_own_and_the_terms_keep_their_signs() -> None:
    """With build times, horizons, substitutes and older bills in one world: the sum is the ATP."""
    kept_back = 0
    for seed in range(1_000):
        random = Random(seed)
        world = timed(random_world(random), random)
        netting = netted(world)
        for sku in world.skus:
            derived = dict(item_terms(netting, sku, held=0, suspense=0))
            assert sum(derived.values()) == atp(netting, sku), (seed, sku)
            coming = world.coming.get(sku, 0)
            assert derived["on_hand"] == world.on_hand[sku] - coming
            assert derived.get("coming", 0) == coming
            assert derived["used_in_builds"] <= 0 <= derived["to_build"]
            assert derived["buildable"] == buildable(netting, sku)
            if sku in world.name_of.values():
                there = sum(left(netting, each) for each in netting.bills.substitutes[sku])
                assert 0 <= derived["substitutes"] <= there
                kept_back += derived["substitutes"] < there
    assert kept_back > 0, "what comes too late for a name is not among what it has"


def test_suspense_beyond_the_demand_stops() -> None:
    """Suspense is part of the demand that was netted; more of it means rows that do not belong."""
    netting = net(Bills.build([], {"mug"}), {"mug": 5}, {"mug": 2}, {"mug"})
    with pytest.raises(AssertionError, match="suspense 3"):
        item_terms(netting, "mug", held=0, suspense=3)
    with pytest.raises(AssertionError, match="suspense 2"):
        item_terms(netting, "mug", held=1, suspense=2)
