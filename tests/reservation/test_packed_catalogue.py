"""A large catalogue, which is packed, answers what the same one answers in plain dicts."""

from array import array
from itertools import pairwise
from random import Random

import pytest

from stockpush.errors import BillCycle, CatalogueInvalid
from stockpush.model import (
    BILL_DEPTH_MAX,
    BillLine,
    BillOfMaterials,
    Exposure,
    Feed,
    Item,
    Kind,
    Listing,
    ListingKey,
    Location,
    LotRule,
    OrderSupply,
    Promise,
    Scrap,
)
from stockpush.packed import BLOCK, FOUND_KEPT, OPEN_KEPT, Packed, PackedMap, Places, hashed
from stockpush.reservation.bom import Bills
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.store import rows
from stockpush.values import replace

ROSE = Item("rose", "Rose oil", Kind.MATERIAL, "g")


def packed_items(items: list[Item]) -> Packed[Item]:
    """Return items as the store packs them: by SKU."""
    return Packed(rows.read_item, map(rows.item_row, sorted(items, key=lambda each: each.sku)))


def packed_bills(bills: list[BillOfMaterials]) -> Packed[BillOfMaterials]:
    """Return bills as the store packs them: by item."""
    ordered = sorted(bills, key=lambda each: each.item)
    return Packed(
        rows.read_whole_bill,
        (rows.whole_bill_row(rows.bill_row(each), rows.bill_line_rows(each)) for each in ordered),
    )


def packed_listings(listings: list[Listing]) -> Packed[Listing]:
    """Return listings as the store packs them: by key."""
    ordered = sorted(listings, key=lambda each: each.key)
    return Packed(rows.read_listing, map(rows.listing_row, ordered))


def shop(dice: Random) -> tuple[list[Item], list[BillOfMaterials], list[Listing]]:
    """Return items in several groups, bills of several levels, and listings that share fields."""
    items = [
        Item(
            f"sku-{dice.randrange(10**6)}-{number}",
            "Ä name",
            Kind.PRODUCT,
            "piece",
            promise=dice.choice(tuple(Promise)),
            buildable_max=dice.choice((None, 5)),
            lots=dice.choice(tuple(LotRule)),
            exposure=dice.choice((None, None, None, Exposure.SPLIT)),
            horizon_s=dice.choice((None, None, None, 0, 86_400)),
        )
        for number in range(90)
    ]
    bills = []
    for at, item in enumerate(items[20:], 20):
        if dice.random() < 0.6:
            near = items[max(0, at - 30) : at]
            used = dice.sample(near, dice.randint(1, 4))
            lines = tuple(
                BillLine(each.sku, dice.randint(1, 9), dice.choice((Scrap(0, 1), Scrap(1, 20))))
                for each in used
            )
            takes_s = 0 if at % 2 == 0 else dice.choice((0, 7 * 86_400))
            bills.append(
                BillOfMaterials(
                    item.sku,
                    dice.choice((1, 10)),
                    lines,
                    kit=at % 2 == 0,
                    build_time_s=takes_s,
                )
            )
    if dice.random() < 0.7:
        items, bills = with_substitutes(dice, items, bills)
    listings = [
        Listing(
            ListingKey(dice.choice(("shop", "woo", "faire")), f"ref/{number}"),
            dice.choice(items).sku,
            ref={"id": number},
            order_key=dice.choice((None, str(dice.randrange(60)))),
            field_key=dice.choice((None, str(dice.randrange(60)))),
            weight=dice.randint(1, 9),
            cap=dice.choice((None, 0, 5)),
            buffer=dice.choice((None, 0, 2)),
            horizon_s=dice.choice((None, None, 0, 86_400)),
        )
        for number in range(100)
    ]
    return items, bills, listings


def with_substitutes(
    dice: Random, items: list[Item], bills: list[BillOfMaterials]
) -> tuple[list[Item], list[BillOfMaterials]]:
    """Return them with names of substitutes; some bills take what a name stands for."""
    names = [Item(f"any-{number}", "any", Kind.MATERIAL, "piece") for number in range(3)]
    bought = {each.sku for each in items[:20]}
    named = {line.component for bill in bills for line in bill.lines}
    shared = [
        replace(item, substitute_for=dice.choice(names).sku)
        if item.sku in bought and dice.random() < 0.6
        else item
        for item in items
    ]
    name_of = {item.sku: item.substitute_for for item in shared if item.substitute_for}
    taken = [
        replace(bill, lines=(*bill.lines, BillLine(name.sku, dice.randint(1, 9))))
        for bill, name in ((bill, dice.choice(names)) for bill in bills)
        if not any(name_of.get(line.component) == name.sku for line in bill.lines)
        and dice.random() < 0.5
    ]
    assert named & name_of.keys()
    assert taken
    return [*shared, *names], list({each.item: each for each in (*bills, *taken)}.values())


def older_bills(
    dice: Random, items: list[Item], bills: list[BillOfMaterials]
) -> list[BillOfMaterials]:
    """Return bills that some of them replaced: of other components, which are bought."""
    bought = [each.sku for each in items[:20]]
    return [
        BillOfMaterials(
            bill.item,
            dice.choice((1, 10)),
            tuple(BillLine(sku, dice.randint(1, 9)) for sku in dice.sample(bought, 2)),
            version=version,
        )
        for bill in bills
        if dice.random() < 0.2
        for version in dice.choice(((1,), (2, 10)))
    ]


def with_gates(dice: Random, items: list[Item], *, gate: bool) -> list[Item]:
    """Return items, and supplies that orders of some of them take."""
    supplies = [Item(f"box-{number}", "box", Kind.SUPPLY, "piece") for number in range(3)]
    return supplies + [
        replace(
            item, per_order=(OrderSupply(dice.choice(supplies).sku, dice.randint(1, 3), gate=gate),)
        )
        if dice.random() < 0.3
        else item
        for item in items
    ]


@pytest.mark.parametrize("seed", range(24))
def test_a_packed_catalogue_answers_as_a_plain_one(seed: int):
    """Every map, every group and cone, with one pool and with two, with substitutes, older bills
    and supplies of orders, as gates or not, and without.
    """
    dice = Random(seed)
    items, bills, listings = shop(dice)
    if seed % 5 > 2:
        items = with_gates(dice, items, gate=seed % 5 == 3)
    older = older_bills(dice, items, bills) if seed % 4 else []
    places = [Location("hall", pool="market")] if seed % 3 == 0 else []
    feeds = [Feed("woo", "market")] if places else []
    plain = build(7, items, bills, listings, {}, places, feeds, older)
    packed = build(
        7,
        packed_items(items),
        packed_bills(bills),
        packed_listings(listings),
        {},
        places,
        feeds,
        older,
    )
    assert isinstance(packed.bills.by_item, PackedMap) == (seed % 5 != 3)
    assert (packed.horizons, packed.asked) == (plain.horizons, plain.asked)
    assert packed.listed_horizons == plain.listed_horizons
    assert packed.horizons.keys() < packed.asked
    assert (packed.per_order, packed.gates) == (plain.per_order, plain.gates)
    assert bool(packed.gates) == (seed % 5 == 3)
    for name in (
        "items",
        "listings",
        "by_order_key",
        "fields_of",
        "listings_on",
        "ceilings",
    ):
        one, other = getattr(plain, name), getattr(packed, name)
        assert dict(other) == dict(one), name
        assert len(other) == len(one), name
        assert other.get(("no", "such")) is None
        assert "none such" not in other
    assert (packed.split, packed.lotted, packed.pools) == (plain.split, plain.lotted, plain.pools)
    for one, other in ((plain.bills, packed.bills), (plain.netted, packed.netted)):
        _same_bills(one, other, plain)


def _same_bills(one: Bills, other: Bills, catalogue: Catalogue) -> None:
    skus = [shelf for sku in catalogue.items for shelf in catalogue.shelves_of(sku)]
    assert dict(other.by_item) == dict(one.by_item)
    assert dict(other.made) == dict(one.made)
    assert (other.gates, other.gated) == (one.gates, one.gated)
    assert (other.older, other.substitutes) == (one.older, one.substitutes)
    assert other.name_of == one.name_of
    skus += one.made.keys() - one.by_item.keys()
    for sku in (*skus, "none such", ""):
        assert other.components(sku) == one.components(sku)
        assert other.parents(sku) == one.parents(sku)
        assert other.descendants(sku) == one.descendants(sku)
        assert other.group_order(sku) == one.group_order(sku)
        assert other.reachable_twice(sku) == one.reachable_twice(sku)
        assert other.where_used([sku]) == one.where_used([sku])
    for begin in range(0, len(skus), 10):
        assert other.cones(skus[begin : begin + 10]) == one.cones(skus[begin : begin + 10])


def test_the_same_packed_bills_are_not_compiled_again():
    """A catalogue that is read again, with another listing, keeps its bills and what follows."""
    items, bills, listings = shop(Random(1))
    first = build(1, packed_items(items), packed_bills(bills), packed_listings(listings), {})
    again = build(
        2,
        packed_items(items),
        packed_bills(bills),
        packed_listings(listings[:-1]),
        {},
        known=first,
    )
    assert again.bills is first.bills
    fewer = build(3, packed_items(items), packed_bills(bills[:-1]), (), {}, known=again)
    assert fewer.bills is not first.bills
    assert bills[-1].item not in fewer.bills.by_item


def test_packed_bills_are_compiled_again_for_an_older_bill_and_for_a_substitute():
    """What netting asks of bills follows from both, though every bill is still the same."""
    items, bills, _ = shop(Random(0))
    first = build(1, packed_items(items), packed_bills(bills), (), {})
    older = older_bills(Random(1), items, bills)
    pinned = build(2, packed_items(items), packed_bills(bills), (), {}, (), (), older, known=first)
    assert pinned.bills.older.keys() == {bill.item for bill in older}
    same = build(3, packed_items(items), packed_bills(bills), (), {}, (), (), older, known=pinned)
    assert same.bills is pinned.bills
    more = [*items, Item("any", "any", Kind.MATERIAL, "piece"), replace(ROSE, substitute_for="any")]
    shared = build(4, packed_items(more), packed_bills(bills), (), {}, known=first)
    assert shared.bills.substitutes["any"] == ("rose",)
    assert shared.bills.parents("any") == ("rose",)


def test_a_packed_bill_is_read_as_it_was_written():
    """With its version, too, by which open orders know it."""
    bill = BillOfMaterials("candle", 10, (BillLine("wax", 1500, Scrap(1, 20)),), version=3)
    assert list(packed_bills([bill])) == [bill]


def test_impossible_packed_bills_are_refused_as_plain_ones_are():
    """A circle, a chain that is too long, a bill without lines, substitutes: in the same words."""
    names = [f"n{number:02}" for number in range(BILL_DEPTH_MAX + 2)]
    chain = [BillOfMaterials(made, 1, (BillLine(of, 1),)) for made, of in pairwise(names)]
    circle = [*chain[:3], BillOfMaterials(names[3], 1, (BillLine(names[0], 1),))]
    empty = [BillOfMaterials(names[0], 1, ())]
    both = [BillOfMaterials(names[0], 1, (BillLine(names[1], 1), BillLine(names[2], 1)))]
    for bills, name_of, error in (
        (chain, {}, CatalogueInvalid),
        (circle, {}, BillCycle),
        (empty, {}, CatalogueInvalid),
        (both, {names[1]: names[2]}, CatalogueInvalid),
        (both, {names[0]: names[3]}, CatalogueInvalid),
        (both, {names[1]: "none"}, CatalogueInvalid),
    ):
        with pytest.raises(error) as plain:
            Bills.build(bills, set(names), name_of)
        with pytest.raises(error) as packed:
            Bills.build(packed_bills(bills), set(names), name_of)
        assert str(packed.value) == str(plain.value)


def test_keys_with_one_hash_are_told_apart():
    """Two keys may have the same hash (-1 and -2 have): each finds its own values."""
    values = Packed(lambda row: row[0], [(-1,), (-2,), (-1,), (5,)])
    places = Places(array("I", map(hashed, values)))
    found = PackedMap(values, places, lambda each: each, len)
    assert dict(found) == {-1: 2, -2: 1, 5: 1}
    assert 7 not in found


def test_what_was_found_is_not_read_again():
    """Of an entry that was found lately no row is looked at, however many were between, and another
    map over the same values looks at none either; twice as many are not kept, and whoever was
    forgotten is found again.
    """
    read = []

    def reading(row: list[int]) -> int:
        read.append(row[0])
        return row[0]

    count = 2 * FOUND_KEPT + 2
    values = Packed(reading, ((at,) for at in range(count)))
    places = Places(array("I", map(hashed, values)))
    found = PackedMap(values, places, lambda each: each, tuple, single=True)
    other = PackedMap(values, places, lambda each: each, len)
    read.clear()
    for _ in range(3):
        assert all(found[at] == (at,) for at in range(FOUND_KEPT))
        assert all(other[at] == 1 for at in range(FOUND_KEPT))
        assert count not in found
    assert read == list(range(FOUND_KEPT))
    assert (found[FOUND_KEPT], found[0], found[FOUND_KEPT]) == ((FOUND_KEPT,), (0,), (FOUND_KEPT,))
    assert read[FOUND_KEPT:] == [FOUND_KEPT]
    assert all(found[at] == (at,) for at in range(FOUND_KEPT, count))
    assert (found[1], read[-1]) == ((1,), 1)


def test_packed_values_are_read_in_any_order():
    """More blocks than stay open, and a last one that is not full."""
    count = BLOCK * (OPEN_KEPT + 3) + 5
    values = Packed(lambda row: (row[0], row[1]), ((at, f"text {at}") for at in range(count)))
    assert len(values) == count
    assert list(values) == [(at, f"text {at}") for at in range(count)]
    for at in (count - 1, 0, -1, *range(0, count, BLOCK), 3):
        assert values[at] == (range(count)[at], f"text {range(count)[at]}")
    assert values[count - 7 :] == tuple(values)[-7:]
    with pytest.raises(IndexError):
        values[count]
