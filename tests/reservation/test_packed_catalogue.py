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
    Promise,
    Scrap,
)
from stockpush.packed import BLOCK, OPEN_MAX, Packed, PackedMap, Places, hashed
from stockpush.reservation.bom import Bills
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.store import rows


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
        )
        for number in range(90)
    ]
    bills = []
    for at, item in enumerate(items[20:], 20):
        if dice.random() < 0.6:
            near = items[max(0, at - 15) : at]
            used = dice.sample(near, dice.randint(1, 4))
            lines = tuple(
                BillLine(each.sku, dice.randint(1, 9), dice.choice((Scrap(0, 1), Scrap(1, 20))))
                for each in used
            )
            bills.append(BillOfMaterials(item.sku, dice.choice((1, 10)), lines, kit=at % 2 == 0))
    listings = [
        Listing(
            ListingKey(dice.choice(("shop", "woo", "faire")), f"ref/{number}"),
            dice.choice(items).sku,
            ref={"id": number},
            order_key=dice.choice((None, str(dice.randrange(60)))),
            field_key=dice.choice((None, str(dice.randrange(60)))),
            weight=dice.randint(1, 9),
        )
        for number in range(100)
    ]
    return items, bills, listings


@pytest.mark.parametrize("seed", range(12))
def test_a_packed_catalogue_answers_as_a_plain_one(seed: int):
    """Every map, every group and cone, with one pool and with two."""
    items, bills, listings = shop(Random(seed))
    places = [Location("hall", pool="market")] if seed % 3 == 0 else []
    feeds = [Feed("woo", "market")] if places else []
    plain = build(7, items, bills, listings, {}, places, feeds)
    packed = build(
        7, packed_items(items), packed_bills(bills), packed_listings(listings), {}, places, feeds
    )
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


def test_impossible_packed_bills_are_refused_as_plain_ones_are():
    """A circle, a chain that is too long, and a bill without lines: with the same words."""
    names = [f"n{number:02}" for number in range(BILL_DEPTH_MAX + 2)]
    chain = [BillOfMaterials(made, 1, (BillLine(of, 1),)) for made, of in pairwise(names)]
    circle = [*chain[:3], BillOfMaterials(names[3], 1, (BillLine(names[0], 1),))]
    empty = [BillOfMaterials(names[0], 1, ())]
    for bills, error in ((chain, CatalogueInvalid), (circle, BillCycle), (empty, CatalogueInvalid)):
        with pytest.raises(error) as plain:
            Bills.build(bills, set(names))
        with pytest.raises(error) as packed:
            Bills.build(packed_bills(bills), set(names))
        assert str(packed.value) == str(plain.value)


def test_keys_with_one_hash_are_told_apart():
    """Two keys may have the same hash (-1 and -2 have): each finds its own values."""
    values = Packed(lambda row: row[0], [(-1,), (-2,), (-1,), (5,)])
    places = Places(array("I", map(hashed, values)))
    found = PackedMap(values, places, lambda each: each, len)
    assert dict(found) == {-1: 2, -2: 1, 5: 1}
    assert 7 not in found


def test_packed_values_are_read_in_any_order():
    """More blocks than stay open, and a last one that is not full."""
    count = BLOCK * (OPEN_MAX + 3) + 5
    values = Packed(lambda row: (row[0], row[1]), ((at, f"text {at}") for at in range(count)))
    assert len(values) == count
    assert list(values) == [(at, f"text {at}") for at in range(count)]
    for at in (count - 1, 0, -1, *range(0, count, BLOCK), 3):
        assert values[at] == (range(count)[at], f"text {range(count)[at]}")
    assert values[count - 7 :] == tuple(values)[-7:]
    with pytest.raises(IndexError):
        values[count]
