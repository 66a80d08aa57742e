"""Bills of materials: what is refused, and what the compiled value answers."""

from __future__ import annotations

import doctest
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.errors import BillCycle, CatalogueInvalid
from stockpush.model import (
    BILL_DEPTH_MAX,
    QUANTITY_MAX,
    SCRAP_OF_MAX,
    BillLine,
    BillOfMaterials,
    Scrap,
)
from stockpush.reservation import bom
from stockpush.reservation.bom import Bills, merge_lines, resolve
from tests.reservation.oracle import World, worlds


def bill(item: str, *components: str | tuple[str, int], yields: int = 1) -> BillOfMaterials:
    """Return a bill; a component without a quantity is needed once."""
    lines = tuple(BillLine(*(c if isinstance(c, tuple) else (c, 1))) for c in components)
    return BillOfMaterials(item, yields, lines)


def compiled(*bills: BillOfMaterials, extra: tuple[str, ...] = ()) -> Bills:
    """Compile bills whose items are all known."""
    named = {b.item for b in bills} | {line.component for b in bills for line in b.lines}
    return Bills.build(bills, named | set(extra))


def chain(depth: int) -> list[BillOfMaterials]:
    """Return `depth` bills, each made from the item of the next."""
    return [bill(f"i{at:02}", f"i{at + 1:02}") for at in range(depth)]


def test_the_examples_in_the_docstrings_run() -> None:
    """Every doctest of the module passes."""
    result = doctest.testmod(bom)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("bills", "field", "found", "said"),
    [
        (
            [bill("soap", "wax", "fat")],
            "boms.soap.lines.fat",
            "fat",
            "the bill of soap names component fat, which is not an item",
        ),
        ([bill("balm", "wax")], "boms.balm.item", "balm", "balm, which is not an item"),
        ([bill("soap", "wax"), bill("soap", "oil")], "boms.soap", None, "two bills"),
        ([bill("soap")], "boms.soap.lines", 0, "has no lines"),
        ([bill("soap", "wax", yields=0)], "boms.soap.yield", 0, "yield of the bill of soap is 0"),
        ([bill("soap", "wax", yields=-2)], "boms.soap.yield", -2, "yield of the bill of soap"),
        ([bill("soap", "wax", yields=QUANTITY_MAX + 1)], "boms.soap.yield", 10**15 + 1, "yield"),
        ([bill("soap", ("wax", 0))], "boms.soap.lines.wax.quantity", 0, "wax in the bill of soap"),
        ([bill("soap", ("wax", -1), ("wax", 3))], "boms.soap.lines.wax.quantity", -1, "is -1"),
        (
            [bill("soap", ("wax", QUANTITY_MAX + 1))],
            "boms.soap.lines.wax.quantity",
            QUANTITY_MAX + 1,
            "wax in the bill of soap",
        ),
        (
            [bill("soap", ("wax", QUANTITY_MAX), ("wax", 1))],
            "boms.soap.lines.wax.quantity",
            QUANTITY_MAX + 1,
            "wax in the bill of soap",
        ),
    ],
)
def test_a_bill_that_cannot_be_is_refused(
    bills: list[BillOfMaterials], field: str, found: object, said: str
) -> None:
    """The error names the bill, the component, what was found and what is expected."""
    with pytest.raises(CatalogueInvalid) as caught:
        Bills.build(bills, {"soap", "wax", "oil"})
    assert caught.value.field == field
    assert caught.value.found == found
    assert caught.value.expected
    assert said in caught.value.message


def test_the_largest_yield_and_quantity_are_taken() -> None:
    """The bounds themselves are allowed."""
    most = bill("soap", ("wax", QUANTITY_MAX), yields=QUANTITY_MAX)
    assert compiled(most).by_item["soap"] == most


@pytest.mark.parametrize(
    ("bills", "printed"),
    [
        ([bill("a", "a")], "a -> a"),
        ([bill("a", "b"), bill("b", "a")], "a -> b -> a"),
        ([bill("a", "c"), bill("c", "b"), bill("b", "c")], "b -> c -> b"),
        (
            [bill("z", "c"), bill("c", "a", "x"), bill("a", "b"), bill("b", "c")],
            "a -> b -> c -> a",
        ),
    ],
)
def test_a_cycle_is_refused_and_printed(bills: list[BillOfMaterials], printed: str) -> None:
    """The cycle runs from item to component and back, from its smallest SKU, in any input order."""
    for ordered in (bills, bills[::-1]):
        with pytest.raises(BillCycle) as caught:
            compiled(*ordered)
        assert caught.value.found == printed
        assert caught.value.message.endswith(printed)


def test_bills_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    """BILL_DEPTH_MAX bills above one another are compiled; one more is refused, and printed."""
    deepest = compiled(*chain(BILL_DEPTH_MAX))
    assert len(deepest.descendants("i00")) == BILL_DEPTH_MAX
    with pytest.raises(CatalogueInvalid, match=r"i00 -> i01 -> .* -> i17") as caught:
        compiled(*chain(BILL_DEPTH_MAX + 1))
    assert caught.value.found == BILL_DEPTH_MAX + 1


def test_two_lines_of_one_component_add_up() -> None:
    """Lines are merged in order of first mention, and the compiled bill has the merged ones."""
    lines = (BillLine("wax", 5), BillLine("wick", 1), BillLine("wax", 2))
    merged = (BillLine("wax", 7), BillLine("wick", 1))
    assert merge_lines(lines) == merged
    assert merge_lines(()) == ()
    assert compiled(BillOfMaterials("candle", 1, lines)).components("candle") == merged


# -- variants ----------------------------------------------------------------------------------


def variant(item: str, base: str, **changes: int) -> BillOfMaterials:
    """Return a variant of a base's bill; a quantity of 0 takes a component away."""
    lines = tuple(BillLine(component, quantity) for component, quantity in changes.items())
    return BillOfMaterials(item, 1, (), base=base, overrides=lines)


def resolved(*bills: BillOfMaterials) -> dict[str, dict[str, int]]:
    """Return the components of every bill as its base makes it."""
    return {
        sku: {line.component: line.quantity for line in each.lines}
        for sku, each in resolve({each.item: each for each in bills}).items()
    }


def test_a_variant_is_its_base_with_its_own_lines() -> None:
    """Overrides replace, add and take away; a variant of a variant has what both say."""
    base = bill("candle", ("wax", 1500), ("wick", 10), ("label", 10), yields=10)
    found = resolved(
        variant("gift", "rose", box=10),
        variant("rose", "candle", label=0, rose_oil=30, wick=20),
        base,
    )
    assert found["rose"] == {"wax": 1500, "wick": 20, "rose_oil": 30}
    assert found["gift"] == found["rose"] | {"box": 10}
    assert list(found["gift"]) == ["wax", "wick", "rose_oil", "box"]
    batch = replace(base, batch_only=True)
    rose = resolve({"candle": batch, "rose": variant("rose", "candle", label=0)})["rose"]
    assert (rose.yield_quantity, rose.batch_only, rose.base) == (10, True, "candle")


def test_variants_follow_when_their_base_changes() -> None:
    """What was worked out before plays no part: a variant is worked out anew from its overrides."""
    before = resolve({"candle": bill("candle", "wax", "wick"), "rose": variant("rose", "candle")})
    after = resolve(before | {"candle": bill("candle", "soy")})
    assert [line.component for line in before["rose"].lines] == ["wax", "wick"]
    assert [line.component for line in after["rose"].lines] == ["soy"]


def test_bases_that_cannot_be() -> None:
    """A circle is printed from the variant to its base; a base must have a bill."""
    with pytest.raises(BillCycle) as caught:
        resolved(variant("a", "b"), variant("b", "c"), variant("c", "a"))
    assert caught.value.message.endswith("based on one another: a -> b -> c -> a")
    with pytest.raises(BillCycle, match="a -> a"):
        resolved(variant("a", "a"))
    with pytest.raises(CatalogueInvalid, match="based on that of candle, which has none"):
        resolved(variant("rose", "candle"))
    longest = [bill("v0", "wax"), *(variant(f"v{n + 1}", f"v{n}") for n in range(BILL_DEPTH_MAX))]
    assert len(resolved(*longest)) == BILL_DEPTH_MAX + 1
    with pytest.raises(CatalogueInvalid) as depth:
        resolved(*longest, variant("last", f"v{BILL_DEPTH_MAX}"))
    assert depth.value.found == BILL_DEPTH_MAX + 1


@pytest.mark.parametrize(
    "lines",
    [
        (BillLine("wax", 1, Scrap(-1, 20)),),
        (BillLine("wax", 1, Scrap(21, 20)),),
        (BillLine("wax", 1, Scrap(0, 0)),),
        (BillLine("wax", 1, Scrap(1, SCRAP_OF_MAX + 1)),),
        (BillLine("wax", 1, Scrap(1, 20)), BillLine("wax", 1)),
    ],
)
def test_a_scrap_that_cannot_be_is_refused(lines: tuple[BillLine, ...]) -> None:
    """A share from nothing to all, of limited fineness, and one for each component."""
    with pytest.raises(CatalogueInvalid, match="scrap of wax in the bill of candle") as caught:
        compiled(BillOfMaterials("candle", 1, lines))
    assert caught.value.field == "boms.candle.lines.wax.scrap"


def test_what_an_item_is_made_from_and_goes_into() -> None:
    """Components, parents, descendants and where-used follow the bills; low-level order is kept."""
    bills = compiled(
        bill("set", "candle", "box"), bill("candle", "wax", "wick"), bill("balm", "wax", "tin")
    )
    assert bills.components("candle") == (BillLine("wax", 1), BillLine("wick", 1))
    assert bills.components("wax") == ()
    assert bills.parents("wax") == ("balm", "candle")
    assert bills.parents("set") == ()
    assert bills.descendants("set") == ("box", "candle", "wax", "wick")
    assert bills.descendants("wax") == ()
    assert bills.where_used(["wick"]) == {"wick", "candle", "set"}
    assert bills.where_used(["tin", "box"]) == {"tin", "balm", "box", "set"}
    assert bills.where_used([]) == frozenset()


def test_a_group_is_what_bills_connect_in_any_direction() -> None:
    """Two products that share only a material are one group; another material is another group."""
    bills = compiled(
        bill("candle", "wax"), bill("balm", "wax"), bill("soap", "oil"), extra=("mug",)
    )
    assert bills.group("candle") == bills.group("wax") == {"candle", "wax", "balm"}
    assert bills.group_order("balm") == ("balm", "candle", "wax")
    assert bills.group("soap") == {"soap", "oil"}
    assert bills.group("mug") == {"mug"}
    assert bills.group_order("mug") == ("mug",)


@pytest.mark.parametrize(
    ("bills", "expected"),
    [
        ([bill("a", "b", "c")], set()),
        ([bill("a", "b", "c"), bill("b", "d"), bill("c", "d")], {"a"}),
        ([bill("a", "b"), bill("b", "c", "d"), bill("c", "d")], {"a", "b"}),
        ([bill("a", "b"), bill("z", "b")], set()),
        ([bill("a", ("b", 1), ("b", 1))], set()),
    ],
    ids=["tree", "diamond", "shortcut below", "shared by two products", "one merged line"],
)
def test_an_item_reached_by_two_paths_is_known(
    bills: list[BillOfMaterials], expected: set[str]
) -> None:
    """Only an item from which some item can be reached by two paths needs a search for its ATP."""
    value = compiled(*bills)
    assert {sku for sku in "abcdz" if value.reachable_twice(sku)} == expected


@settings(max_examples=100, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_compiling_does_not_depend_on_order(world: World, random: Random) -> None:
    """The same bills in another order compile to an equal value."""
    shuffled = list(world.bills)
    random.shuffle(shuffled)
    assert Bills.build(shuffled, set(world.skus)) == Bills.build(world.bills, set(world.skus))


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_parents_stand_before_components_and_groups_part_the_items(world: World) -> None:
    """In a group's order no component stands before its parent, and each item is in one group."""
    bills = Bills.build(world.bills, set(world.skus))
    for sku in world.skus:
        order = bills.group_order(sku)
        assert sku in order
        assert len(set(order)) == len(order)
        assert all(bills.group_order(other) == order for other in order)
        for line in bills.components(sku):
            assert order.index(sku) < order.index(line.component)
        assert bills.descendants(sku) == tuple(
            other for other in order if other != sku and sku in bills.where_used([other])
        )
