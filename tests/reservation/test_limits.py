"""What a listing never shows: the last units of its item, and more than its cap."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from stockpush.engine import report
from stockpush.messages import ImportCatalogue
from stockpush.model import (
    Exposure,
    FieldKey,
    ListingKey,
    MovementKind,
    PushOutcomeKind,
    StockPolicy,
)
from stockpush.reservation import pushes
from stockpush.reservation.limits import limits_of
from stockpush.reservation.view import View
from tests.reservation.test_reach import candles, large_from, reading
from tests.reservation.world import POLICIES, World, line

PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"


def tables() -> list[list[tuple[str, ...]]]:
    """Return the rows of the tables of the page's section, their headings left out."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Buffers and caps\n")[2]
    section = section.partition("\n## ")[0]
    found = re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)
    return [
        [
            tuple(cell.strip() for cell in row.strip("| ").split("|"))
            for row in rows.splitlines()[2:]
        ]
        for rows in found
    ]


def number(cell: str) -> int | None:
    """Return the number of a cell, None for a dash."""
    return None if cell == "-" else int(cell)


def relist(world: World, channel: str, ref: str, **columns: int | None) -> None:
    """Import a listing again with other columns, and read its number, which an import asks for."""
    known = world.catalogue.listings[ListingKey(channel, ref)]
    key = f"relist {len(world.log)}"
    world.do(ImportCatalogue((), (), (replace(known, **columns),), (), key, "test"))
    expected = world.field(channel, ref).expected
    assert expected is not None
    world.reads(channel, ref, expected)


def shows(world: World) -> list[int | None]:
    """What the fields show, by channel and key."""
    return list(world.expected().values())


@pytest.mark.parametrize("row", tables()[0])
def test_the_first_table_of_the_page_is_what_is_shown(row: tuple[str, ...]) -> None:
    """What there is, packs, buffers and caps come to what stands in the last column."""
    left, pack, buffer, channels, cap, of_all, holds, shown = map(number, row)
    assert left is not None
    assert pack is not None
    assert holds is not None
    policy = replace(POLICIES["shopify"], buffer=Decimal(channels or 0), cap=holds)
    world = World()
    world.catalogue = replace(
        world.catalogue, policies={**POLICIES, "shopify": policy}, stock=StockPolicy(cap=of_all)
    )
    world.stock(candle=left)
    world.list("shopify", "s", "candle", shows=0, pack=pack, cap=cap, buffer=buffer)
    world.syncs()
    assert shows(world) == [shown]


@pytest.mark.parametrize("row", tables()[1])
def test_the_second_table_of_the_page_is_what_is_shown(row: tuple[str, ...]) -> None:
    """Exposure, caps and what is shown already come to what stands in the last column."""
    exposure, listed, shown = row
    world = World().stock(candle=9).item("candle", exposure=Exposure(exposure), guard_min=9)
    for at, each in enumerate(re.findall(r"(\w+) ([-\d]+)(?: \((\d+)\))?", listed)):
        channel, cap, already = each
        world.list(channel, str(at), "candle", shows=int(already or 0), cap=number(cap))
    for _ in range(4):
        world.syncs()
    assert shows(world) == [int(each) for each in shown.split(", ")]


def test_the_page_has_tables() -> None:
    """All of their rows are read above."""
    assert [len(rows) for rows in tables()] == [11, 5]


def test_a_buffer_is_in_the_unit_of_the_item_and_a_cap_in_packs() -> None:
    """Half a kilogram kept back of an item counted in grams of a kilogram, in packs of 250 g."""
    world = World().stock(wax=0)
    world.item("wax", unit="kg", scale=3)
    world.moves("wax", 3_000, MovementKind.RECEIPT)
    world.list("shopify", "s", "wax", shows=0, pack=250, buffer=500, cap=9)
    world.syncs()
    assert shows(world) == [9]
    relist(world, "shopify", "s", cap=99)
    world.syncs()
    assert shows(world) == [10]


def test_a_sale_elsewhere_marks_no_listing_that_goes_on_showing_its_cap() -> None:
    """Of two listings of the item only the one whose number changes is written, until the other
    one would show less as well.
    """
    world = World().stock(candle=9)
    world.list("shopify", "s", "candle", shows=0, cap=3)
    world.list("woo", "w", "candle", shows=0).list("etsy", "e", "candle", shows=0)
    world.syncs()
    assert world.expected() == {"etsy/e": 9, "shopify/s": 3, "woo/w": 9}
    world.hears(world.order("etsy", "1", line("e", 6)))
    assert world.dirty == {"woo/w"}
    world.hears(world.order("etsy", "2", line("e", 1)))
    assert world.dirty == {"shopify/s", "woo/w"}


def test_of_a_large_group_a_capped_listing_is_not_even_read() -> None:
    """The wax is less, but other candles go on showing their cap: no such field is read."""
    with large_from(10):
        world = candles(finished=0, wax=2_000)
        for at in range(50):
            if at != 20:
                relist(world, "shopify", f"c{at}", cap=5)
        world.syncs()
        sale = world.order("shopify", "1", line("c7", 1))
        _, fields = reading(world, lambda: world.hears(sale))
        assert fields == {"shopify/c7", "shopify/c20"}
        assert world.dirty == {"shopify/c7", "shopify/c20"}


def test_a_cap_that_is_told_or_taken_away_holds_at_once() -> None:
    """An import changes the numbers of the listing, and of those that share with it."""
    world = World().stock(candle=9).item("candle", guard_min=9)
    world.list("shopify", "s", "candle", shows=0).list("woo", "w", "candle", shows=0)
    world.syncs()
    assert shows(world) == [5, 4]
    relist(world, "woo", "w", cap=1)
    world.syncs()
    assert shows(world) == [8, 1]
    relist(world, "woo", "w", cap=None, buffer=9)
    world.syncs()
    assert shows(world) == [9, 0]
    relist(world, "woo", "w", cap=None, buffer=None)
    world.syncs()
    assert shows(world) == [5, 4]


def test_what_a_cap_takes_is_given_to_others_only_when_the_lower_number_was_taken() -> None:
    """With split a listing keeps what it may have sold until its channel has the cap."""
    world = World().stock(candle=10).item("candle", exposure=Exposure.SPLIT)
    world.list("shopify", "s", "candle", shows=0).list("etsy", "e", "candle", shows=0)
    for _ in range(3):
        world.syncs()
    assert shows(world) == [5, 5]
    relist(world, "shopify", "s", cap=2)
    assert world.dirty == {"shopify/s"}
    (lower,) = world.pushes("shopify")
    assert (lower.target, world.dirty) == (2, {"shopify/s"})
    assert world.pushes("etsy") == ()
    world.settles(lower, PushOutcomeKind.UNAVAILABLE)
    assert world.pushes("etsy", call="other") == ()
    (lower,) = world.pushes("shopify", call="again")
    world.settles(lower)
    assert world.dirty == set()  # etsy compares nothing, so it gets the three when it has sold out
    world.hears(world.order("etsy", "1", line("e", 5)))
    world.syncs()
    assert shows(world) == [3, 2]
    # However much comes, it is allotted no more.
    world.moves("candle", 90, MovementKind.RECEIPT)
    world.syncs()
    assert world.field("shopify", "s").expected == 2


def test_what_is_parted_leaves_a_listing_s_own_buffer_to_the_others() -> None:
    """A listing is raised only if its buffer is left, also one that is not written to."""
    world = World().stock(candle=3).item("candle", exposure=Exposure.SPLIT)
    world.list("etsy", "e", "candle", shows=0, buffer=2)
    world.list("shopify", "s", "candle", shows=0)
    world.list("shadow", "a", "candle", shows=0, cap=1).list("shadow", "b", "candle", buffer=4)
    for _ in range(3):
        world.syncs()
    assert (world.field("etsy", "e").expected, world.field("shopify", "s").expected) == (1, 2)
    world.moves("candle", 10, MovementKind.RECEIPT)
    offers = {
        (row.channel, row.ref["id"]): row.offer
        for row in report.stock(View(world.catalogue, world.rows))[0].listings
    }
    assert (offers["shadow", "a"], offers["shadow", "b"]) == (1, 6)


def test_two_listings_with_one_number_keep_to_the_larger_buffer_and_the_smaller_cap() -> None:
    """One of them says nothing, so that its channel speaks for it."""
    world = World()
    policy = replace(POLICIES["shopify"], buffer=Decimal(3))
    world.catalogue = replace(world.catalogue, policies={**POLICIES, "shopify": policy})
    world.stock(candle=20)
    world.list("shopify", "a", "candle", field="both", buffer=1, cap=9)
    world.list("shopify", "b", "candle", field="both", shows=0, cap=18)
    listings = world.catalogue.listings_on[FieldKey("shopify", "both")]
    assert limits_of(world.catalogue, listings, "candle", policy) == (3, 9, 9)
    world.syncs()
    assert shows(world) == [9]


def test_sold_units_that_stand_on_the_number_are_set_on_top_of_the_cap() -> None:
    """Ten are on sale; two more stand there for whoever bought them, and none beyond the channel's
    own most.
    """
    world = World().stock(candle=50).list("woo", "w", "candle", shows=0, cap=10)
    world.syncs()
    world.hears(world.order("woo", "1", line("w", 2, deducted=0)))
    assert world.syncs() == {("woo", "w"): 12}
    (cap, undeducted) = terms_of(world, "woo", "w")[-3], terms_of(world, "woo", "w")[-1]
    assert (cap, undeducted) == (("listing_cap", -38), ("undeducted", 2))


def terms_of(world: World, channel: str, key: str) -> tuple[tuple[str, int], ...]:
    """Return the derivation of a field's number."""
    view, field = View(world.catalogue, world.rows), world.field(channel, key)
    policy = view.catalogue.policies[channel]
    return pushes.derivation(view, view.net([field.sku]), field, policy)


def test_a_capped_listing_of_which_there_is_plenty_is_not_read_more_often() -> None:
    """Five or fewer on a number are read every ten minutes, unless a cap alone keeps it so low."""
    world = World().stock(candle=6).list("shopify", "s", "candle", shows=0, cap=4)
    world.syncs()
    world.reads("shopify", "s", 4)
    often = world.now + pushes.LOW_READ_EVERY
    due = world.field("shopify", "s").read_due_at
    assert due is not None
    assert due > often
    world.moves("candle", -1, MovementKind.ADJUSTMENT)
    due = world.field("shopify", "s").read_due_at
    assert due is not None
    assert due <= world.now + pushes.LOW_READ_EVERY


def test_the_worst_case_counts_no_more_than_caps_let_be_shown() -> None:
    """Ten there, and five may be sold too much: with a cap of 5 on one listing nothing is cut."""
    world = World().stock(candle=10).item("candle", exposure_max=5)
    world.list("shopify", "s", "candle", shows=0).list("woo", "w", "candle", shows=0)
    world.syncs()
    assert sum(each or 0 for each in shows(world)) == 15
    relist(world, "woo", "w", cap=5)
    world.syncs()
    assert shows(world) == [10, 5]
