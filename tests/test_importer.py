"""Importing a catalogue: what files may look like, what they become, and every mistake named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.errors import BillCycle, CatalogueInvalid
from stockpush.importer import CatalogueFile, ChangeState, Difference, Known, read_catalogue
from stockpush.importer.mistakes import MISTAKES_MAX
from stockpush.importer.tables import FILE_BYTES_MAX
from stockpush.messages import ImportCatalogue, StockMove
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    Exposure,
    Item,
    Kind,
    Listing,
    ListingKey,
    Location,
    MovementKind,
    OrderSupply,
    Promise,
    PurchaseUnit,
    Scrap,
)

CANDLES = """
[[items]]
sku = "candle-lav"
name = "Lavender candle"
kind = "product"
unit = "piece"
on_hand = 5

[[items]]
sku = "beeswax"
kind = "material"
unit = "kg"
on_hand = 2.5

[[items]]
sku = "wick"
kind = "component"

[[boms]]
item = "candle-lav"
yield = 10
lines = [ { item = "beeswax", quantity = "1500 g" }, { item = "wick", quantity = 10 } ]

[[listings]]
channel = "my-shopify"
item = "candle-lav"
ref = { variant_id = 1001 }

[[listings]]
channel = "my-woo"
item = "candle-lav"
pack = 6
ref = { product_id = 30, variation_id = "31" }
"""

ITEMS_CSV = """sku,name,kind,unit,on_hand
candle-lav,Lavender candle,product,piece,5
beeswax,,material,kg,2.5
wick,,component,,
"""
BOMS_CSV = """item,yield,component,quantity,batch_only
candle-lav,10,beeswax,1500 g,
candle-lav,,wick,10,
"""
LISTINGS_CSV = """channel,item,pack,ref.variant_id,ref.product_id,ref.variation_id
my-shopify,candle-lav,,1001,,
my-woo,candle-lav,6,,30,31
"""

CANDLE = Item("candle-lav", "Lavender candle", Kind.PRODUCT, "piece", 0)
WAX = Item("beeswax", "beeswax", Kind.MATERIAL, "kg", 3)
WICK = Item("wick", "wick", Kind.COMPONENT, "piece", 0)
BILL = BillOfMaterials("candle-lav", 10, (BillLine("beeswax", 1500), BillLine("wick", 10)))
SHOPIFY = ListingKey("my-shopify", "1001")
WOO = ListingKey("my-woo", "30:31")


def refs(channel: str, ref: Mapping[str, Any]) -> str:
    """Return canonical keys as two connectors would."""
    names = ("variant_id",) if channel == "my-shopify" else ("product_id", "variation_id")
    for name in ref:
        if name not in names:
            raise CatalogueInvalid(
                f"{name} is no reference field", field=name, found=ref[name], expected=names[0]
            )
    return ":".join(str(ref[name]) for name in names if name in ref)


def read(*files: tuple[str, str | bytes], known: Known | None = None) -> CatalogueFile:
    """Read files given as text or bytes, with two channels configured."""
    return read_catalogue(
        [(name, body if isinstance(body, bytes) else body.encode()) for name, body in files],
        known=known or Known(),
        channels=["my-shopify", "my-woo"],
        refs=refs,
    )


def mistakes_in(toml: str, known: Known | None = None) -> list[str]:
    """Return the mistakes of a TOML catalogue, one per line, without the heading."""
    with pytest.raises(CatalogueInvalid) as caught:
        read(("c.toml", toml), known=known)
    lines = caught.value.message.split("\n  ")
    return lines if len(lines) == 1 else lines[1:]


# -- what files become --------------------------------------------------------------------------


def test_a_catalogue_in_toml() -> None:
    """The documented file becomes items, bills, listings and opening stock in smallest units."""
    catalogue = read(("catalog.toml", CANDLES))
    assert catalogue.items == (CANDLE, WAX, WICK)
    assert catalogue.bills == (BILL,)
    assert catalogue.listings == (
        Listing(SHOPIFY, "candle-lav", 1, {"variant_id": 1001}),
        Listing(WOO, "candle-lav", 6, {"product_id": 30, "variation_id": "31"}),
    )
    assert catalogue.opening == (
        StockMove("candle-lav", 5, MovementKind.OPENING),
        StockMove("beeswax", 2500, MovementKind.OPENING),
    )
    assert {change.state for change in catalogue.changes} == {ChangeState.NEW}
    assert len(catalogue.changes) == 6
    assert catalogue.ignored == ()


def test_the_same_catalogue_in_csv() -> None:
    """Three CSV tables mean what the TOML file means, in any order of the files."""
    files = [("listings.csv", LISTINGS_CSV), ("boms.csv", BOMS_CSV), ("items.csv", ITEMS_CSV)]
    catalogue, toml = read(*files), read(("catalog.toml", CANDLES))
    assert catalogue.items == toml.items
    assert catalogue.bills == toml.bills
    assert catalogue.opening == toml.opening
    assert [(each.key, each.sku, each.pack) for each in catalogue.listings] == [
        (each.key, each.sku, each.pack) for each in toml.listings
    ]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: "\ufeff" + text.replace(",", ";").replace("\n", "\r\n"),
        lambda text: text + "\n\n,,\n",
        lambda text: text.replace("sku,name", " SKU , Name "),
        lambda text: text.replace("candle-lav,", '"candle-lav" ,').replace('" ,', '",'),
    ],
)
def test_csv_as_spreadsheets_write_it(spelling: Any) -> None:
    """Byte order marks, CRLF, other separators, quotes and empty lines make no difference."""
    catalogue = read(("items.csv", spelling(ITEMS_CSV)))
    assert catalogue.items == (CANDLE, WAX, WICK)


def test_a_csv_with_another_name_is_known_by_its_columns() -> None:
    """A file need not be called items.csv: its header says which table it is."""
    catalogue = read(("My stock.csv", ITEMS_CSV), ("recipes.CSV", BOMS_CSV))
    assert (len(catalogue.items), len(catalogue.bills)) == (3, 1)


def test_defaults() -> None:
    """A SKU alone is a product in pieces; a bill yields one; a listing sells one, also of 1 kg."""
    catalogue = read(
        (
            "c.toml",
            """
            items = [{ sku = " soap " }, { sku = "wax", unit = "kg", kind = "material" }]
            boms = [{ item = "soap", lines = [{ item = "wax", quantity = 0.1 }] }]
            [[listings]]
            channel = "my-woo"
            item = "wax"
            ref = { product_id = 1 }
            """,
        )
    )
    assert catalogue.items[0] == Item("soap", "soap", Kind.PRODUCT, "piece", 0)
    assert catalogue.bills == (BillOfMaterials("soap", 1, (BillLine("wax", 100),)),)
    assert catalogue.listings[0].pack == 1000


def test_lines_of_one_component_add_up() -> None:
    """A component named twice is needed twice; rows of one CSV bill need not stand together."""
    catalogue = read(
        ("items.csv", "sku\na\nb\nc\nd\n"),
        ("boms.csv", "item,component,quantity,batch_only\na,c,1,yes\nb,c,1,\na,d,2,\na,c,3,yes\n"),
    )
    assert catalogue.bills == (
        BillOfMaterials("a", 1, (BillLine("c", 4), BillLine("d", 2)), batch_only=True),
        BillOfMaterials("b", 1, (BillLine("c", 1),)),
    )


def test_the_command() -> None:
    """What was read is handed to the core as one command."""
    catalogue = read(("catalog.toml", CANDLES))
    assert catalogue.command(key="k", actor="me") == ImportCatalogue(
        items=catalogue.items,
        bills=catalogue.bills,
        listings=catalogue.listings,
        opening=catalogue.opening,
        key="k",
        actor="me",
    )


# -- importing again ----------------------------------------------------------------------------


@dataclass
class Rows:
    """Catalogue rows as the store gives them."""

    items: list[Item]
    bills: list[BillOfMaterials]
    listings: list[Listing]
    revision: int = 1
    locations: tuple[Location, ...] = ()


KNOWN = Known.of(
    Rows(
        [CANDLE, WAX, WICK],
        [replace(BILL, lines=BILL.lines[::-1])],
        [
            Listing(
                SHOPIFY, "candle-lav", 1, {"variant_id": "1001"}, order_key="1001", adopted=True
            ),
            Listing(WOO, "candle-lav", 6, {"product_id": 30, "variation_id": 31}),
        ],
    ),
    moved={"candle-lav"},
)


def test_importing_the_same_again_changes_nothing() -> None:
    """Order of lines and a reference written as text or number are no change."""
    catalogue = read(("catalog.toml", CANDLES), known=KNOWN)
    assert {change.state for change in catalogue.changes} == {ChangeState.UNCHANGED}


def test_changes_are_shown_as_people_write_them() -> None:
    """The preview names each field that differs, before and after, with units."""
    changed = (
        CANDLES.replace("1500 g", "1.25 kg")
        .replace("Lavender candle", "Lavender")
        .replace("pack = 6", "pack = 4")
    )
    catalogue = read(("catalog.toml", changed), known=KNOWN)
    differences = {
        change.name: change.differences
        for change in catalogue.changes
        if change.state is ChangeState.CHANGED
    }
    assert differences["candle-lav"] == (Difference("beeswax", "1.5 kg", "1.25 kg"),)
    assert differences["my-woo 30:31"] == (Difference("pack", "6 piece", "4 piece"),)
    names = [change for change in catalogue.changes if change.table == "items"]
    assert names[0].differences == (Difference("name", "Lavender candle", "Lavender"),)


def test_stock_that_has_moved_is_not_opened_again() -> None:
    """`on_hand` of an item with movements is reported with the count command to type instead."""
    catalogue = read(("catalog.toml", CANDLES), known=KNOWN)
    assert catalogue.opening == (StockMove("beeswax", 2500, MovementKind.OPENING),)
    (ignored,) = catalogue.ignored
    assert (ignored.sku, ignored.on_hand) == ("candle-lav", "5")
    assert ignored.command == "stockpush count candle-lav 5"


def test_the_count_command_can_be_typed_for_any_sku() -> None:
    """A SKU with spaces or quotes is quoted for the shell."""
    toml = '[[items]]\nsku = "big $oap"\nunit = "kg"\non_hand = 2.5'
    known = Known(items={"big $oap": Item("big $oap", "x", Kind.PRODUCT, "kg", 3)})
    (ignored,) = read(("c.toml", toml), known=replace(known, moved=frozenset({"big $oap"}))).ignored
    assert ignored.command == "stockpush count 'big $oap' 2.5"


def test_what_a_row_leaves_out_stays() -> None:
    """A file with only a new name keeps kind, unit and scale as they are."""
    known = Known(items={"wax": Item("wax", "Wax", Kind.MATERIAL, "kg", 4)})
    catalogue = read(("c.toml", '[[items]]\nsku = "wax"\nname = "Beeswax"'), known=known)
    assert catalogue.items == (Item("wax", "Beeswax", Kind.MATERIAL, "kg", 4),)


def test_bills_and_listings_may_name_what_is_known_already() -> None:
    """Items need not be repeated in every file."""
    catalogue = read(("boms.csv", BOMS_CSV), ("listings.csv", LISTINGS_CSV), known=KNOWN)
    assert (catalogue.items, len(catalogue.bills), len(catalogue.listings)) == ((), 1, 2)


@pytest.mark.parametrize("change", ['unit = "g"', 'unit = "kg"\nscale = 4'])
def test_a_unit_in_use_does_not_change(change: str) -> None:
    """Stock, bills and listings are counted in smallest units: those cannot change under them."""
    (mistake,) = mistakes_in(f'[[items]]\nsku = "beeswax"\n{change}', KNOWN)
    assert "expected kg with scale 3" in mistake
    unused = Known(items={"beeswax": WAX})
    assert read(("c.toml", f'[[items]]\nsku = "beeswax"\n{change}'), known=unused).items


BOXED = (
    '[[items]]\nsku = "wick"\npurchase_units = { box = 144, case = "10 box" }\non_hand = "2 cases"'
)


def test_what_an_item_is_bought_in() -> None:
    """Told once, they may be typed wherever the files have a quantity of the item."""
    toml = read(
        (
            "c.toml",
            BOXED
            + """
            [[items]]
            sku = "cord"
            unit = "m"
            purchase_units = { spool = "25 m" }
            [[boms]]
            item = "wick"
            lines = [{ item = "cord", quantity = "0.01 spool" }]
            """,
        )
    )
    assert toml.items[0].purchase_units == (PurchaseUnit("box", 144), PurchaseUnit("case", 1440))
    assert toml.opening == (StockMove("wick", 2880, MovementKind.OPENING),)
    assert toml.bills[0].lines == (BillLine("cord", 250),)
    csv = read(
        ("items.csv", "sku,unit,purchase_units\nwick,,Box=144; case=10 boxes\ncord,m,spool=25 m\n")
    )
    assert [item.purchase_units for item in csv.items] == [
        item.purchase_units for item in toml.items
    ]


def test_purchase_units_stay_until_they_are_told_anew() -> None:
    """A row that leaves them out keeps them; `{}`, or `none` in CSV, takes them away."""
    wick = replace(WICK, purchase_units=(PurchaseUnit("box", 144),))
    known = Known(items={"wick": wick})
    assert read(("items.csv", "sku,name\nwick,wick\n"), known=known).items == (wick,)
    for name, text in (
        ("c.toml", '[[items]]\nsku = "wick"\npurchase_units = {}'),
        ("items.csv", "sku,purchase_units\nwick,none\n"),
    ):
        (change,) = read((name, text), known=known).changes
        assert change.differences == (Difference("purchase_units", "box of 144 piece", ""),)


def test_purchase_units_are_told_again_with_another_unit() -> None:
    """They were so many smallest units of the unit before: with another they would be wrong."""
    known = Known(items={"wax": replace(WAX, sku="wax", purchase_units=(PurchaseUnit("sack", 5),))})
    (mistake,) = mistakes_in('[[items]]\nsku = "wax"\nunit = "g"', known)
    assert "found nothing, expected the purchase units again, since they were told in kg" in mistake
    toml = '[[items]]\nsku = "wax"\nunit = "g"\npurchase_units = { sack = "25 kg" }'
    assert read(("c.toml", toml), known=known).items[0].purchase_units == (("sack", 25_000),)


WICKS = """
items = [
    { sku = "wick", kind = "component" },
    { sku = "cotton", kind = "component", substitute_for = "wick", on_hand = 9 },
    { sku = "hemp", kind = "component", substitute_for = "wick" },
]
"""


def test_substitutes_share_a_name() -> None:
    """The name stands in a column of each; left out it stays, `none` takes it away."""
    toml = read(("c.toml", WICKS))
    assert [item.substitute_for for item in toml.items] == [None, "wick", "wick"]
    csv = "sku,kind,substitute_for\nwick,component,\ncotton,component,wick\nhemp,component,wick\n"
    assert read(("items.csv", csv)).items == toml.items
    known = Known(items={item.sku: item for item in toml.items})
    text = "sku,substitute_for\ncotton,\nhemp,none\n"
    after = read(("items.csv", text), known=known)
    assert [item.substitute_for for item in after.items] == ["wick", None]
    assert after.changes[1].differences == (Difference("substitute_for", "wick", ""),)


@pytest.mark.parametrize(
    ("more", "where", "expected"),
    [
        ('[[items]]\nsku = "x"\nsubstitute_for = "wik"', "items[1] (x)", "'wick'"),
        (
            '[[items]]\nsku = "x"\nunit = "g"\nsubstitute_for = "wick"',
            "items[1] (x)",
            "counted in g",
        ),
        ('[[items]]\nsku = "x"\nkind = "mro"\nsubstitute_for = "wick"', "items[1] (x)", "no mro"),
        ('[[items]]\nsku = "wick"\non_hand = 3', "items[1] (wick): on_hand", "cotton or hemp"),
        (
            '[[listings]]\nchannel = "my-shopify"\nitem = "wick"\nref = { variant_id = 1 }',
            "listings[1] (wick): item",
            "cotton or hemp",
        ),
        (
            '[[items]]\nsku = "x"\nsubstitute_for = "mug"',
            "items[1] (x)",
            "of which nothing is stocked",
        ),
    ],
)
def test_a_mistake_in_substitutes(more: str, where: str, expected: str) -> None:
    """The name is an item that has nothing of its own, counted as its substitutes are."""
    items = {item.sku: item for item in read(("c.toml", WICKS)).items}
    items["mug"] = replace(items["wick"], sku="mug")
    known = Known(items=items, moved=frozenset({"mug"}))
    with pytest.raises(CatalogueInvalid) as refused:
        read(("c.toml", more), known=known)
    assert where in str(refused.value)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("item", "components", "message"),
    [
        ("cotton", ["mug"], "has a bill of materials"),
        ("wick", ["mug"], "has a bill of materials"),
        ("mug", ["wick", "hemp"], "names hemp and wick, its name"),
    ],
)
def test_a_bill_that_does_not_go_with_substitutes(
    item: str, components: list[str], message: str
) -> None:
    """What is made is no substitute, and a bill names the one or the other."""
    items = WICKS.replace("items = [", 'items = [{ sku = "mug" },')
    lines = ", ".join(f'{{ item = "{each}", quantity = 1 }}' for each in components)
    with pytest.raises(CatalogueInvalid, match=message):
        read(("c.toml", f'{items}[[boms]]\nitem = "{item}"\nlines = [{lines}]\n'))


def test_what_may_be_promised() -> None:
    """A rule has a word, and a limit in the item's units; left out it stays, `none` ends it."""
    candle = replace(CANDLE, promise=Promise.FINISHED)
    wax = replace(WAX, buildable_max=2500)
    toml = """
        items = [
            { sku = "candle-lav", name = "Lavender candle", promise = "Finished" },
            { sku = "beeswax", kind = "material", unit = "kg", buildable_max = "2500 g" },
        ]
    """
    assert read(("c.toml", toml)).items == (candle, wax)
    csv = "sku,promise,buildable_max\ncandle-lav,buildable,12\nbeeswax,,none\n"
    known = Known(items={"candle-lav": candle, "beeswax": wax})
    items = read(("items.csv", csv), known=known)
    assert items.items == (replace(CANDLE, buildable_max=12), WAX)
    assert items.changes[0].differences == (
        Difference("promise", "finished", "buildable"),
        Difference("buildable_max", "", "12 piece"),
    )
    assert read(("items.csv", "sku\ncandle-lav\nbeeswax\n"), known=known).items == (candle, wax)
    only = read(("items.csv", "sku,promise\nbeeswax,finished\n"), known=known).items
    assert only == (replace(WAX, promise=Promise.FINISHED),)


def test_how_listings_share_what_is_left() -> None:
    """Exposure, guard level, home channel and limit are an item's own; left out they stay."""
    candle = replace(
        CANDLE,
        exposure=Exposure.MIRROR,
        guard_min=3,
        home_channel="my-woo",
        exposure_max=0,
    )
    toml = """
        [[items]]
        sku = "candle-lav"
        name = "Lavender candle"
        exposure = "Mirror"
        guard_min = 3
        home_channel = "my-woo"
        exposure_max = 0
        [[listings]]
        channel = "my-woo"
        item = "candle-lav"
        weight = 3
        ref = { product_id = 7 }
    """
    first = read(("c.toml", toml))
    assert first.items == (candle,)
    assert [listing.weight for listing in first.listings] == [3]
    known = Known(
        items={"candle-lav": candle},
        listings={listing.key: listing for listing in first.listings},
    )
    again = read(
        ("items.csv", "sku\ncandle-lav\n"),
        ("listings.csv", "channel,item,ref.product_id\nmy-woo,candle-lav,7\n"),
        known=known,
    )
    assert (again.items, again.listings[0].weight) == ((candle,), 3)
    csv = "sku,exposure,guard_min,home_channel,exposure_max\ncandle-lav,none,none,none,none\n"
    assert read(("items.csv", csv), known=known).items == (CANDLE,)


def test_a_listing_says_its_cap_in_packs_and_its_buffer_in_the_unit_of_its_item() -> None:
    """Both are an own column of each listing, in TOML and in CSV; an empty cell leaves them as they
    are, and none takes them away.
    """
    toml = """
        [[items]]
        sku = "wax"
        unit = "kg"
        [[listings]]
        channel = "my-woo"
        item = "wax"
        pack = "250 g"
        cap = 10
        buffer = "500 g"
        ref = { product_id = 7 }
    """
    first = read(("c.toml", toml))
    (listing,) = first.listings
    assert (listing.pack, listing.cap, listing.buffer) == (250, 10, 500)
    known = Known(items={item.sku: item for item in first.items}, listings={listing.key: listing})
    head = "channel,item,pack,cap,buffer,ref.product_id\n"

    def again(row: str) -> tuple[int | None, int | None, list[tuple[str, str, str]]]:
        found = read(("listings.csv", f"{head}my-woo,wax,0.25,{row},7\n"), known=known)
        (changed,) = found.changes
        differences = [(each.field, each.before, each.after) for each in changed.differences]
        return found.listings[0].cap, found.listings[0].buffer, differences

    assert again(",") == (10, 500, [])
    assert again("0,0") == (0, 0, [("cap", "10", "0"), ("buffer", "0.5 kg", "0 kg")])
    assert again("none,None") == (None, None, [("cap", "10", ""), ("buffer", "0.5 kg", "")])
    assert again("1000000000,2.5")[:2] == (10**9, 2_500)


def test_a_listing_says_how_soon_what_is_promised_on_it_has_to_be_there() -> None:
    """In TOML and in CSV; an empty cell leaves it as it is, and none gives it its item's again."""
    listed = "[[listings]]\nchannel = 'my-woo'\nitem = 'a'\nref = { product_id = 7 }\n"
    first = read(("c.toml", f"{ITEM}{listed}horizon = '3 weeks'"))
    (listing,) = first.listings
    assert listing.horizon_s == 21 * 86_400
    known = Known(items={item.sku: item for item in first.items}, listings={listing.key: listing})

    def again(cell: str) -> tuple[int | None, list[tuple[str, str, str]]]:
        rows = f"channel,item,horizon,ref.product_id\nmy-woo,a,{cell},7\n"
        found = read(("listings.csv", rows), known=known)
        (changed,) = found.changes
        differences = [(each.field, each.before, each.after) for each in changed.differences]
        return found.listings[0].horizon_s, differences

    assert again("") == (21 * 86_400, [])
    assert again("2 days") == (2 * 86_400, [("horizon", "21 days", "2 days")])
    assert again("0") == (0, [("horizon", "21 days", "0 days")])
    assert again("None") == (None, [("horizon", "21 days", "")])


def test_a_buffer_of_a_listing_that_becomes_another_items_is_told_again() -> None:
    """It was told in the other item's unit."""
    other = "[[items]]\nsku = 'oil'\nunit = 'ml'\n[[items]]\nsku = 'a'\n"
    listed = "[[listings]]\nchannel = 'my-woo'\nitem = '{}'\nref = {{ product_id = 1 }}\n"
    first = read(("c.toml", other + listed.format("a") + "buffer = 3\ncap = 4"))
    known = Known(
        items={item.sku: item for item in first.items},
        listings={each.key: each for each in first.listings},
    )
    with pytest.raises(CatalogueInvalid) as caught:
        read(("c.toml", listed.format("oil")), known=known)
    assert "c.toml listings[1] (oil): buffer" in str(caught.value.message)
    assert "buffer again, since it was told in piece (or none)" in str(caught.value.message)
    moved = read(("c.toml", listed.format("oil") + "buffer = 'none'"), known=known)
    assert (moved.listings[0].cap, moved.listings[0].buffer) == (4, None)


def test_kits_and_what_is_built_as_it_leaves() -> None:
    """A kit is always built as it leaves; another bill only if it says so, and its variants."""
    items = "".join(f'[[items]]\nsku = "{sku}"\n' for sku in ("box", "set", "pack", "rose", "wax"))
    toml = (
        items
        + """
        [[boms]]
        item = "set"
        kit = true
        lines = [{ item = "box", quantity = 1 }]
        [[boms]]
        item = "pack"
        backflush = true
        batch_only = true
        lines = [{ item = "box", quantity = 3 }]
        [[boms]]
        item = "box"
        lines = [{ item = "wax", quantity = 3 }]
        [[boms]]
        item = "rose"
        base = "set"
        """
    )
    bills = {bill.item: (bill.kit, bill.backflush) for bill in read(("c.toml", toml)).bills}
    assert bills == {
        "set": (True, True),
        "pack": (False, True),
        "box": (False, False),
        "rose": (True, True),
    }
    csv = (
        "item,base,kit,backflush,batch_only,component,quantity\nset,,yes,,,box,1\n"
        "pack,,,true,1,box,3\nbox,,,,,wax,3\nrose,set,,,,,\n"
    )
    tables = read(("items.csv", "sku\nbox\nset\npack\nrose\nwax\n"), ("boms.csv", csv))
    assert {bill.item: (bill.kit, bill.backflush) for bill in tables.bills} == bills


def test_a_limit_is_told_again_with_another_unit() -> None:
    """It was so many smallest units of the unit before: with another it would be wrong."""
    known = Known(items={"wax": replace(WAX, sku="wax", buildable_max=5)})
    (mistake,) = mistakes_in('[[items]]\nsku = "wax"\nunit = "g"', known)
    assert "expected buildable_max again, since it was told in kg (or none)" in mistake


VARIANTS = """
items = [
    { sku = "base" }, { sku = "rose" }, { sku = "gift" },
    { sku = "wax", unit = "g" }, { sku = "wick" }, { sku = "label" }, { sku = "rose-oil" },
    { sku = "set" },
]
[[boms]]
item = "rose"
base = "base"
lines = [{ item = "label", quantity = 0 }, { item = "rose-oil", quantity = 3, scrap = "1/30" }]
[[boms]]
item = "base"
yield = 10
lines = [{ item = "wax", quantity = 1500, scrap = "5%" }, { item = "wick", quantity = 10 },
         { item = "label", quantity = 10 }]
[[boms]]
item = "gift"
base = "rose"
"""
OIL = BillLine("rose-oil", 3, Scrap(1, 30))


def test_variants_share_a_bill() -> None:
    """A variant is its base with its own lines put in; the order of the bills does not matter."""
    bills = {bill.item: bill for bill in read(("c.toml", VARIANTS)).bills}
    assert bills["rose"] == BillOfMaterials(
        "rose",
        10,
        (BillLine("wax", 1500, Scrap(1, 20)), BillLine("wick", 10), OIL),
        base="base",
        overrides=(BillLine("label", 0), OIL),
    )
    assert bills["gift"].lines == bills["rose"].lines


def test_variants_in_csv() -> None:
    """A row that names only the base of a bill is no line of it; scrap has a column."""
    csv = (
        "item,base,yield,component,quantity,scrap\nbase,,10,wax,1500,5%\nbase,,,wick,10,\n"
        "base,,,label,10,\nrose,base,,label,0,\nrose,,,rose-oil,3,1/30\ngift,rose,,,,\n"
    )
    items = ("c.toml", VARIANTS[: VARIANTS.index("[[boms]]")])
    toml = read(("c.toml", VARIANTS)).bills
    assert {b.item: b for b in read(items, ("boms.csv", csv)).bills} == {b.item: b for b in toml}


def test_variants_follow_a_base_that_is_imported_again() -> None:
    """Known variants that a new base changes are among what is written, and are shown."""
    before = read(("c.toml", VARIANTS))
    known = Known(
        items={item.sku: item for item in before.items},
        bills={bill.item: bill for bill in before.bills},
    )
    toml = '[[boms]]\nitem = "base"\nyield = 8\nlines = [{ item = "wax", quantity = 1200 }]'
    after = read(("c.toml", toml), known=known)
    assert {bill.item: bill.lines for bill in after.bills} == {
        "base": (BillLine("wax", 1200),),
        "rose": (BillLine("wax", 1200), OIL),
        "gift": (BillLine("wax", 1200), OIL),
    }
    assert {change.name: change.state for change in after.changes} == dict.fromkeys(
        ("base", "rose", "gift"), ChangeState.CHANGED
    )
    assert Difference("wax", "1500 g and 5% lost", "1200 g") in after.changes[0].differences
    own = '[[boms]]\nitem = "rose"\nlines = [{ item = "wax", quantity = 9 }]'
    rose, gift = read(("c.toml", own), known=known).bills
    assert (rose.base, rose.overrides, gift.lines) == (None, (), (BillLine("wax", 9),))


BASED = (
    VARIANTS
    + """
[[boms]]
item = "set"
"""
)


@pytest.mark.parametrize(
    ("more", "where", "expected"),
    [
        ('base = "bass"', "boms[4] (set): base", "did you mean 'base'?"),
        ('base = "wax"', "boms[4] (set): base", "an item with a bill of materials"),
        ("base = 1", "boms[4] (set): base", "in quotes"),
        (
            'base = "base"\nyield = 10',
            "boms[4] (set): yield",
            "found 10, expected nothing: a variant has it of its base (base)",
        ),
        ('base = "base"\nbatch_only = true', "boms[4] (set): batch_only", "expected nothing"),
        ('base = "base"\nkit = true', "boms[4] (set): kit", "expected nothing"),
        (
            'kit = true\nbatch_only = true\nlines = [{ item = "wax", quantity = 1 }]',
            "boms[4] (set): batch_only",
            "nothing: a kit is put together when it is sent",
        ),
        (
            'kit = true\nbackflush = false\nlines = [{ item = "wax", quantity = 1 }]',
            "boms[4] (set): backflush",
            "found false, expected nothing, or true",
        ),
        (
            'kit = true\nbuild_time = "1h"\nlines = [{ item = "wax", quantity = 1 }]',
            "boms[4] (set): build_time",
            "found '1h', expected nothing: a kit takes no time to make",
        ),
        (
            'base = "gift"\nbuild_time = "1h"',
            "boms[4] (set): build_time",
            "nothing: a variant has it of its base (gift)",
        ),
        (
            'build_time = "6 moons"\nlines = [{ item = "wax", quantity = 1 }]',
            "boms[4] (set): build_time",
            "found '6 moons', expected a duration from 0 to 3650 days, such as '6 weeks'",
        ),
        (
            'kit = "maybe"\nlines = [{ item = "wax", quantity = 1 }]',
            "boms[4] (set): kit",
            "true or false",
        ),
        (
            'base = "gift"\nlines = [{ item = "lable", quantity = 0 }]',
            "boms[4] (set) lines[1] (lable): item",
            "did you mean 'label'?",
        ),
        (
            'base = "gift"\nlines = [{ item = "label", quantity = 0 }]',
            "boms[4] (set): lines",
            "found 'label', expected a component of the bill of gift, to take it away",
        ),
        (
            'base = "gift"\nlines = [{ item = "wax", quantity = 1, scrap = 5 }]',
            "boms[4] (set) lines[1] (wax): scrap",
            "found '5', expected a share from 0 to 1",
        ),
        (
            'lines = [{ item = "wax", quantity = 1, scrap = "5%" }, { item = "wax", quantity = 1}]',
            "boms[4] (set) lines[2] (wax): scrap",
            "found nothing, expected 5%, as on its line before",
        ),
        (
            'lines = [{ item = "wax", quantity = 0 }]',
            "boms[4] (set) lines[1] (wax): quantity",
            "more than 0 g",
        ),
    ],
)
def test_a_mistake_in_a_variant(more: str, where: str, expected: str) -> None:
    """It is named with its place, what is there and what should be."""
    (mistake,) = mistakes_in(BASED + more)
    assert mistake.startswith(f"c.toml {where}: found ")
    assert expected in mistake


def test_a_base_is_counted_as_its_variants_are() -> None:
    """A yield in grams says nothing of an item counted in pieces."""
    toml = VARIANTS.replace('{ sku = "gift" }', '{ sku = "gift", unit = "g" }')
    (mistake,) = mistakes_in(toml)
    assert "found 'rose, counted in piece with scale 0', expected a base counted in g" in mistake


def test_bills_based_on_one_another_are_refused() -> None:
    """The circle is printed, from variant to base."""
    toml = (
        VARIANTS
        + '[[boms]]\nitem = "wick"\nbase = "label"\n[[boms]]\nitem = "label"\nbase = "wick"'
    )
    with pytest.raises(BillCycle, match="label -> wick -> label"):
        read(("c.toml", toml))


def test_a_variant_may_take_everything_away_but_one() -> None:
    """A bill without any component makes nothing."""
    lines = ", ".join(f'{{ item = "{sku}", quantity = 0 }}' for sku in ("wax", "wick", "rose-oil"))
    (mistake,) = mistakes_in(BASED + f'base = "rose"\nlines = [{lines}]')
    assert "expected at least one component that is left" in mistake


# -- supplies of orders -------------------------------------------------------------------------

PARCELS = """
items = [
    { sku = "candle" }, { sku = "mug" }, { sku = "wax", kind = "material", unit = "g" },
    { sku = "box", kind = "supply" }, { sku = "tissue", kind = "supply", unit = "g" },
]
[[boms]]
item = "candle"
lines = [
    { item = "wax", quantity = 150 }, { item = "box", quantity = 1, per = "order", gate = true },
    { item = "tissue", quantity = "20 g", per = "order" },
]
[[boms]]
item = "mug"
lines = [{ item = "box", quantity = 2, per = "order", gate = true }]
"""
PARCELS_CSV = """item,component,quantity,per,gate
candle,wax,150,,
candle,box,1,order,true
candle,tissue,20 g,order,
mug,box,2,order,yes
"""
CANDLE_PARCEL = (OrderSupply("box", 1, gate=True), OrderSupply("tissue", 20))


def parcels_known(**bills: str) -> Known:
    """Return what is known once the parcels are imported, with further bills (made from one)."""
    file = read(("c.toml", PARCELS))
    more = {sku: BillOfMaterials(sku, 1, (BillLine(part, 1),)) for sku, part in bills.items()}
    return Known(
        items={item.sku: item for item in file.items},
        bills={bill.item: bill for bill in file.bills} | more,
    )


def test_lines_per_order_are_the_items_own() -> None:
    """They are no components: an item with no other line has no bill of materials. CSV has two
    columns more.
    """
    file = read(("c.toml", PARCELS))
    per_order = {item.sku: item.per_order for item in file.items if item.per_order}
    assert per_order == {"candle": CANDLE_PARCEL, "mug": (OrderSupply("box", 2, gate=True),)}
    assert file.bills == (BillOfMaterials("candle", 1, (BillLine("wax", 150),)),)
    items = "sku,kind,unit\ncandle,,\nmug,,\nwax,material,g\nbox,supply,\ntissue,supply,g\n"
    csv = read(("items.csv", items), ("boms.csv", PARCELS_CSV))
    assert (set(csv.items), csv.bills) == (set(file.items), file.bills)
    assert file.command(key="k", actor="a").items == file.items


def test_a_bill_that_is_imported_again_tells_all_its_lines_per_order() -> None:
    """An item's row alone keeps them; its bill replaces them, and the preview says so."""
    known = parcels_known()
    (item,) = read(("c.toml", 'items = [{ sku = "candle", name = "C" }]'), known=known).items
    assert item.per_order == CANDLE_PARCEL
    bill = '[[boms]]\nitem = "candle"\nlines = [{ item = "wax", quantity = 150 }'
    box = ', { item = "box", quantity = 1, per = "order", gate = true }]'
    file = read(("c.toml", bill + box), known=known)
    assert [each.per_order for each in file.items] == [CANDLE_PARCEL[:1]]
    (change,) = file.changes
    assert (change.name, change.state) == ("candle", ChangeState.CHANGED)
    assert change.differences == (Difference("tissue per order", "20 g", ""),)
    again = read(("c.toml", PARCELS), known=known)
    assert {each.state for each in again.changes} == {ChangeState.UNCHANGED}


@pytest.mark.parametrize(
    ("lines", "where", "found", "expected"),
    [
        ('{ item = "box", quantity = 1, gate = true }', "gate", "true", 'per = "order"'),
        ('{ item = "box", quantity = 1, per = "day" }', "per", "'day'", "order, or nothing"),
        ('{ item = "box", quantity = 1, per = 1 }', "per", "1", "order, or nothing"),
        ('{ item = "wax", quantity = 1, per = "order" }', "item", "material", 'kind = "supply"'),
        ('{ item = "box", quantity = 0, per = "order" }', "quantity", "0", "more than 0"),
        ('{ item = "box", per = "order" }', "quantity", "nothing", "a quantity in piece"),
        (
            '{ item = "box", quantity = 1, per = "order", scrap = "5%" }',
            "scrap",
            "5%",
            "taken as it is",
        ),
        (
            '{ item = "box", quantity = 1, per = "order", gate = "perhaps" }',
            "gate",
            "perhaps",
            "true or false",
        ),
        (
            (
                '{ item = "box", quantity = 1, per = "order" }, '
                '{ item = "box", quantity = 2, per = "order" }'
            ),
            "item",
            "box",
            "one line per order of each supply",
        ),
        ('{ item = "box", quantity = 1 }', "per", "order", "not both"),
        (
            '{ item = "box", quantity = 1, per = "order" }',
            "gate",
            "false",
            "gate = true, as in the bill of candle",
        ),
        (
            '{ item = "tissue", quantity = 2000000000, per = "order" }',
            "quantity",
            "2000000000",
            "at most 1000000000",
        ),
    ],
)
def test_a_mistake_in_a_line_per_order(lines: str, where: str, found: str, expected: str) -> None:
    """It is named with its row and field, what was found and what was expected."""
    toml = f'[[items]]\nsku = "soap"\n[[boms]]\nitem = "soap"\nlines = [{lines}]'
    said = mistakes_in(toml, parcels_known())
    assert len(said) == 1, said
    place, _, rest = said[0].partition(": found ")
    assert place.startswith("c.toml boms[1] (soap)")
    assert place.endswith(where)
    assert found in rest.partition(", expected ")[0]
    assert expected in rest.partition(", expected ")[2]


@pytest.mark.parametrize(
    ("toml", "place", "expected"),
    [
        (
            '[[items]]\nsku = "box"\nkind = "material"',
            "c.toml items[1] (box): kind",
            'kind = "supply"',
        ),
        (
            '[[boms]]\nitem = "box"\nlines = [{ item = "wax", quantity = 1 }]',
            "c.toml boms[1] (box): item",
            "a supply without a bill of its own",
        ),
        (
            (
                '[[boms]]\nitem = "candle"\n'
                'lines = [{ item = "box", quantity = 1, per = "order", gate = true }]'
            ),
            "c.toml boms[1] (candle): lines",
            "none is removed",
        ),
        (
            (
                '[[boms]]\nitem = "mug"\nyield = 4\n'
                'lines = [{ item = "box", quantity = 1, per = "order", gate = true }]'
            ),
            "c.toml boms[1] (mug): yield",
            "the bill makes nothing",
        ),
        (
            '[[items]]\nsku = "carton"\nkind = "supply"\nsubstitute_for = "box"',
            "c.toml items[1] (carton): substitute_for",
            "a supply that is no substitute, and no name of any",
        ),
        (
            (
                '[[items]]\nsku = "carton"\n'
                '[[items]]\nsku = "box"\nkind = "supply"\nsubstitute_for = "carton"'
            ),
            "c.toml items[2] (box): substitute_for",
            "a supply that is no substitute, and no name of any",
        ),
        (
            '[[items]]\nsku = "cup"\nsubstitute_for = "mug"',
            "c.toml items[1] (cup): substitute_for",
            "nothing is ordered of mug",
        ),
        (
            '[[items]]\nsku = "tissue"\nunit = "kg"',
            "c.toml items[1] (tissue): unit",
            "g with scale 0",
        ),
    ],
)
def test_what_is_at_odds_with_a_line_per_order(toml: str, place: str, expected: str) -> None:
    """Whichever row is at odds with what is imported already is named."""
    said = mistakes_in(toml, parcels_known())
    assert len(said) == 1, said
    assert said[0].startswith(place + ": found ")
    assert expected in said[0]


# -- mistakes -----------------------------------------------------------------------------------

ITEM = '[[items]]\nsku = "a"\n'
TWO = (
    'items = [{ sku = "a" }, { sku = "b" }, { sku = "saw", kind = "mro" },'
    ' { sku = "oil", unit = "ml" }]\n'
)
LISTED = ITEM + '[[listings]]\nchannel = "my-woo"\nitem = "a"\n'


@pytest.mark.parametrize(
    ("toml", "where", "expected"),
    [
        ('[[items]]\nname = "x"', "c.toml items[1]: sku", "found nothing, expected text"),
        ('[[items]]\nsku = ""', "c.toml items[1]: sku", "found '', expected text"),
        ('[[items]]\nsku = "  "', "c.toml items[1]: sku", "expected text of 1 to 255"),
        (
            "[[items]]\nsku = 1001",
            "c.toml items[1]: sku",
            "found 1001, expected text of 1 to 255 characters on one line, in quotes",
        ),
        ('[[items]]\nsku = "a\\u0007b"', "c.toml items[1]: sku", r"found 'a\x07b'"),
        ('[[items]]\nsku = "a\\u200bb"', "c.toml items[1]: sku", r"found 'a\u200bb'"),
        ('[[items]]\nsku = "' + "x" * 256 + '"', "c.toml items[1]: sku", "1 to 255"),
        (ITEM + ITEM, "c.toml items[2] (a): sku", "c.toml items[1] (a) has it too"),
        (ITEM + '[[items]]\nsku = "A"', "c.toml items[2] (A): sku", "found 'A', expected 'a', or"),
        (ITEM + 'kind = "produkt"', "c.toml items[1] (a): kind", "did you mean 'product'?"),
        (ITEM + "kind = 1", "c.toml items[1] (a): kind", "expected one of product, component"),
        (ITEM + 'unit = "kilo"', "c.toml items[1] (a): unit", "no unit 'kilo'"),
        (ITEM + "scale = 7", "c.toml items[1] (a): scale", "from 0 to 6"),
        (ITEM + "scale = true", "c.toml items[1] (a): scale", "from 0 to 6"),
        (ITEM + "on_hand = 0.5", "c.toml items[1] (a): on_hand", "smallest step, 1 piece"),
        (ITEM + "on_hand = -1", "c.toml items[1] (a): on_hand", "0 or more"),
        (ITEM + "on_hand = nan", "c.toml items[1] (a): on_hand", "finite"),
        (ITEM + "on_hand = true", "c.toml items[1] (a): on_hand", "whole number"),
        (ITEM + 'on_hand = "5 kg"', "c.toml items[1] (a): on_hand", "kg measures mass"),
        (ITEM + "on_hand = 1e3", "c.toml", "the number 1e3 has an exponent"),
        (ITEM + "onhand = 1", "c.toml items[1] (a)", "did you mean 'on_hand'?"),
        (ITEM + "purchase_units = 144", "c.toml items[1] (a): purchase_units", "{ box = 144 }"),
        (ITEM + 'purchase_units = "box"', "c.toml items[1] (a): purchase_units", "box=144"),
        (
            ITEM + "purchase_units = { kg = 1 }",
            "c.toml items[1] (a): purchase_units",
            "kg is a unit already",
        ),
        (
            ITEM + 'purchase_units = { box = "2 kg" }',
            "c.toml items[1] (a): purchase_units.box",
            "kg measures mass, but this item is counted in piece",
        ),
        (
            ITEM + "purchase_units = { box = 0 }",
            "c.toml items[1] (a): purchase_units.box",
            "more than 0 piece",
        ),
        (
            ITEM + "purchase_units = { box = 2, boxes = 3 }",
            "c.toml items[1] (a): purchase_units",
            "could not tell it from 'box'",
        ),
        (
            ITEM + 'purchase_units = { box = 2 }\non_hand = "1 bok"',
            "c.toml items[1] (a): on_hand",
            "did you mean 'box'?",
        ),
        (ITEM + 'promise = "finish"', "c.toml items[1] (a): promise", "did you mean 'finished'?"),
        (ITEM + "promise = true", "c.toml items[1] (a): promise", "one of finished, buildable"),
        (
            ITEM + 'exposure = "gard"',
            "c.toml items[1] (a): exposure",
            "did you mean 'guard'?",
        ),
        (
            ITEM + "exposure = 1",
            "c.toml items[1] (a): exposure",
            "one of mirror, guard, split, none",
        ),
        (ITEM + "guard_min = -1", "c.toml items[1] (a): guard_min", "0 or more"),
        (ITEM + 'exposure_max = "2 kg"', "c.toml items[1] (a): exposure_max", "kg measures mass"),
        (
            ITEM + 'home_channel = "my-shopfy"',
            "c.toml items[1] (a): home_channel",
            "did you mean 'my-shopify'?",
        ),
        *(
            (
                ITEM + "[[listings]]\nchannel = 'my-woo'\nitem = 'a'\nref = { product_id = 1 }\n"
                f"weight = {weight}",
                "c.toml listings[1] (a): weight",
                "a whole number from 1 to 1000",
            )
            for weight in ("0", "1001", "true", "1.5", '"many"')
        ),
        *(
            (
                ITEM + "[[listings]]\nchannel = 'my-woo'\nitem = 'a'\nref = { product_id = 1 }\n"
                f"cap = {cap}",
                "c.toml listings[1] (a): cap",
                "a whole number of packs, 0 to 1000000000, or none",
            )
            for cap in ("-1", "1_000_000_001", "true", "1.5", '"many"', '"10 piece"', "[]")
        ),
        *(
            (
                ITEM + "[[listings]]\nchannel = 'my-woo'\nitem = 'a'\nref = { product_id = 1 }\n"
                f"horizon = {horizon}",
                "c.toml listings[1] (a): horizon",
                "a duration from 0 to 3650 days, such as '6 weeks'",
            )
            for horizon in ('"soon"', "3", '"-1 day"', '"3651 days"', "true", "1.5", "[]")
        ),
        *(
            (
                ITEM + "[[listings]]\nchannel = 'my-woo'\nitem = 'a'\nref = { product_id = 1 }\n"
                f"buffer = {buffer}",
                "c.toml listings[1] (a): buffer",
                expected,
            )
            for buffer, expected in (
                ("-1", "0 or more"),
                ("1_000_000_000_000_001", "at most"),
                ("true", "whole number"),
                ("1.5", "a multiple of the smallest step"),
                ('"2 kg"', "kg measures mass"),
            )
        ),
        (ITEM + "buildable_max = -1", "c.toml items[1] (a): buildable_max", "0 or more"),
        (ITEM + 'buildable_max = "2 kg"', "c.toml items[1] (a): buildable_max", "kg measures mass"),
        (
            ITEM + 'promise = "finished"\nbuildable_max = 3',
            "c.toml items[1] (a): buildable_max",
            "found 3, expected nothing: with promise = finished",
        ),
        ("[[item]]\nsku = 'a'", "c.toml", "did you mean 'items'?"),
        ("[items]\nsku = 'a'", "c.toml items", "[[items]] in double brackets"),
        ("items = [1]", "c.toml items[1]", "expected a table"),
        ("items = [", "c.toml", "expected a catalogue in TOML"),
        ("x = " + "[" * 5000, "c.toml", "nested too deeply"),
        ("x = " + "9" * 5000, "c.toml", "expected a catalogue in TOML"),
        (
            TWO + '[[boms]]\nlines = [{ item = "a", quantity = 1 }]',
            "c.toml boms[1]: item",
            "nothing",
        ),
        (
            TWO + '[[boms]]\nitem = "c"\nlines = [{ item = "a", quantity = 1 }]',
            "c.toml boms[1] (c): item",
            "the SKU of an item",
        ),
        (TWO + '[[boms]]\nitem = "a"', "c.toml boms[1] (a): lines", "at least one component"),
        (TWO + '[[boms]]\nitem = "a"\nlines = []', "c.toml boms[1] (a): lines", "at least one"),
        (TWO + '[[boms]]\nitem = "a"\nlines = 1', "c.toml boms[1] (a): lines", "a list of tables"),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "bb", quantity = 1 }]',
            "c.toml boms[1] (a) lines[1] (bb): item",
            "did you mean 'b'?",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "b" }]',
            "c.toml boms[1] (a) lines[1] (b): quantity",
            "a quantity in piece",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "b", quantity = 0 }]',
            "c.toml boms[1] (a) lines[1] (b): quantity",
            "more than 0 piece",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "oil", quantity = "5 g" }]',
            "c.toml boms[1] (a) lines[1] (oil): quantity",
            "g measures mass, but this item is counted in ml",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "b", quantity = 1, quantty = 1 }]',
            "c.toml boms[1] (a) lines[1] (b)",
            "did you mean 'quantity'?",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "a", quantity = 1 }]',
            "c.toml boms[1] (a) lines[1] (a): item",
            "a component other than",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nlines = [{ item = "saw", quantity = 1 }]',
            "c.toml boms[1] (a) lines[1] (saw): item",
            "mro items are in no bill",
        ),
        (
            TWO + '[[boms]]\nitem = "saw"\nlines = [{ item = "a", quantity = 1 }]',
            "c.toml boms[1] (saw): item",
            "mro items are in no bill",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nyield = 0\nlines = [{ item = "b", quantity = 1 }]',
            "c.toml boms[1] (a): yield",
            "more than 0 piece",
        ),
        (
            TWO + '[[boms]]\nitem = "a"\nbatch_only = 1\nlines = [{ item = "b", quantity = 1 }]',
            "c.toml boms[1] (a): batch_only",
            "true or false",
        ),
        (LISTED, "c.toml listings[1] (a): ref", "found nothing, expected a table"),
        (LISTED + "ref = {}", "c.toml listings[1] (a): ref", "a table of the channel's"),
        (LISTED + "ref = { product_id = 1.5 }", "c.toml listings[1] (a): ref", "a table of the"),
        (LISTED + "ref = { product_id = true }", "c.toml listings[1] (a): ref", "a table of the"),
        (
            LISTED + "ref = { produkt_id = 1 }",
            "c.toml listings[1] (a): produkt_id",
            "expected product_id",
        ),
        (
            LISTED + "pack = 0\nref = { product_id = 1 }",
            "c.toml listings[1] (a): pack",
            "more than 0",
        ),
        (
            LISTED + "pack = -1\nref = { product_id = 1 }",
            "c.toml listings[1] (a): pack",
            "0 or more",
        ),
        (
            LISTED + "pack = 1.5\nref = { product_id = 1 }",
            "c.toml listings[1] (a): pack",
            "smallest step",
        ),
        (
            LISTED.replace("my-woo", "my-wo") + "ref = { product_id = 1 }",
            "c.toml listings[1] (a): channel",
            "did you mean 'my-woo'?",
        ),
        (
            LISTED.replace('item = "a"', 'item = "z"') + "ref = { product_id = 1 }",
            "c.toml listings[1] (z): item",
            "the SKU of an item",
        ),
        (
            LISTED
            + "ref = { product_id = 1 }\n"
            + LISTED.removeprefix(ITEM)
            + 'ref = { product_id = "1" }',
            "c.toml listings[2] (a): ref",
            "c.toml listings[1] (a) has it too",
        ),
    ],
)
def test_a_mistake_in_toml(toml: str, where: str, expected: str) -> None:
    """Each mistake names the file, the row, the field, what was found and what was expected."""
    (mistake,) = mistakes_in(toml)
    assert mistake.startswith(where + ": ")
    assert expected in mistake


@pytest.mark.parametrize(
    ("name", "text", "where", "expected"),
    [
        ("items.csv", "", "items.csv line 1", "a column sku"),
        ("items.csv", "name\nx", "items.csv line 1", "a column sku"),
        ("items.csv", "sku,sku\na,b", "items.csv line 1", "each column once"),
        ("items.csv", "sku,knd\na,b", "items.csv line 1", "did you mean 'kind'?"),
        ("items.csv", "sku\na,b", "items.csv line 2", "1 cells, as in the header"),
        ("items.csv", "sku,name\n,b", "items.csv line 2: sku", "found nothing"),
        ("items.csv", 'sku,name\na,"b', "items.csv line 2", "a row of CSV"),
        ("items.csv", 'sku,name,kind\na,"b\nc",x', "items.csv line 2 (a): name", "on one line"),
        ("items.csv", "sku,name\n" + "a" * 200_000 + ",b", "items.csv line 2", "a row of CSV"),
        ("items.csv", 'sku,on_hand\n\na,"2,5"', "items.csv line 3 (a): on_hand", "decimal point"),
        (
            "items.csv",
            b"sku,name\na,caf\xe9",
            "items.csv line 2",
            "found 'byte 0xe9', expected text in UTF-8",
        ),
        ("items.csv", "sku\na".encode("utf-16"), "items.csv line 1", "text in UTF-8"),
        ("stock.csv", "a,b\n1,2", "stock.csv line 1", "or name, sellable"),
        ("stock.xlsx", "PK", "stock.xlsx", "a file named .toml or .csv"),
        (
            "boms.csv",
            "item,component,quantity\n,a,1",
            "boms.csv line 2: item",
            "the SKU that the bill makes",
        ),
        (
            "boms.csv",
            "item,component,quantity\nb,,1",
            "boms.csv line 2 (b): component",
            "found nothing",
        ),
        (
            "boms.csv",
            "item,component,quantity\nb,zz,1",
            "boms.csv line 2 (b): component",
            "the SKU of an item",
        ),
        (
            "boms.csv",
            "item,yield,component,quantity\nb,1,a,1\nb,2,c,1",
            "boms.csv line 3 (b): yield",
            "expected 1, as on boms.csv line 2",
        ),
        ("listings.csv", "channel,item,ref.\nmy-woo,a,1", "listings.csv line 1", "ref.*"),
        ("listings.csv", "channel,item\nmy-woo,a", "listings.csv line 2 (a): ref", "found nothing"),
    ],
)
def test_a_mistake_in_csv(name: str, text: str | bytes, where: str, expected: str) -> None:
    """In CSV the line is the one that an editor shows."""
    known = Known(
        items={sku: replace(WICK, sku=sku) for sku in "abc"} if "items" not in name else {}
    )
    with pytest.raises(CatalogueInvalid) as caught:
        read((name, text), known=known)
    first = caught.value.message.removeprefix("The catalogue has 2 mistakes:\n  ").split("\n")[0]
    assert first.startswith(where + ": ")
    assert expected in first


def test_a_file_has_a_limit() -> None:
    """A file past the limit is refused unread."""
    with pytest.raises(CatalogueInvalid, match=f"at most {FILE_BYTES_MAX} bytes"):
        read(("items.csv", b"x" * (FILE_BYTES_MAX + 1)))


def test_all_mistakes_at_once() -> None:
    """A file with several mistakes is mended in one go; a broken row is not blamed twice."""
    lines = mistakes_in(
        CANDLES.replace('unit = "kg"', 'unit = "kilo"')
        .replace('"component"', '"part"')
        .replace("my-woo", "woo")
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["c.toml items[2] (beeswax)", "unit"],
        ["c.toml items[3] (wick)", "kind"],
        ["c.toml listings[2] (candle-lav)", "channel"],
    ]


def test_very_many_mistakes_are_counted() -> None:
    """Twenty are listed, the others counted; the error's fields are those of the first."""
    count = MISTAKES_MAX + 7
    with pytest.raises(CatalogueInvalid) as caught:
        read(("items.csv", "sku,kind\n" + "".join(f"s{n},x\n" for n in range(count))))
    lines = caught.value.message.split("\n  ")
    assert lines[0] == f"The catalogue has {count} mistakes:"
    assert (len(lines), lines[-1]) == (MISTAKES_MAX + 2, "and 7 more")
    assert caught.value.field == "items.csv line 2 (s0): kind"
    assert caught.value.found == "'x'"
    assert caught.value.expected == "one of product, component, material, supply, mro"
    assert caught.value.next is not None


def test_an_item_clashes_with_a_known_one_by_case() -> None:
    """A SKU that differs from a known one in case only is a typing mistake, not a new item."""
    (mistake,) = mistakes_in('[[items]]\nsku = "Beeswax"', KNOWN)
    assert "found 'Beeswax', expected 'beeswax'" in mistake


def test_an_item_in_a_kept_bill_does_not_become_mro() -> None:
    """Maintenance goods are in no bill, so an item of a bill cannot turn into one."""
    (mistake,) = mistakes_in('[[items]]\nsku = "wick"\nkind = "mro"', KNOWN)
    assert "a bill of materials names this item" in mistake


def test_bills_that_go_round_in_circles() -> None:
    """A cycle is refused with the cycle printed, also where one half of it is known already."""
    known = Known(
        items={"a": replace(WICK, sku="a"), "b": replace(WICK, sku="b")},
        bills={"a": BillOfMaterials("a", 1, (BillLine("b", 1),))},
    )
    with pytest.raises(BillCycle) as caught:
        read(("boms.csv", "item,component,quantity\nb,a,1"), known=known)
    assert "a" in caught.value.message
    assert "b" in caught.value.message


@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@settings(max_examples=150)
def test_any_bytes_are_read_or_refused_cleanly(content: bytes) -> None:
    """Whatever a file holds, it is a catalogue or a `CatalogueInvalid`, never another error."""
    messages = []
    for name in ("x.toml", "items.csv", "boms.csv", "listings.csv"):
        try:
            read((name, content))
        except CatalogueInvalid as error:
            messages.append(error.message)
    assert all(line.isprintable() for message in messages for line in message.split("\n"))


TOML_VALUES = st.sampled_from(
    (
        *('""', '"a"', '"b"', '"kg"', '"my-woo"', '"\\u0000"', "1", "-1", "0", "1.5", "nan"),
        *("true", "1979-05-27", "[]", "[1]", "{}", "{ product_id = 1 }"),
        '[{ item = "b", quantity = 1 }]',
    )
)
TOML_KEYS = st.sampled_from(
    (
        *("sku", "name", "kind", "unit", "scale", "on_hand"),
        *("item", "yield", "batch_only", "lines", "channel", "pack", "ref"),
    )
)
TOML_TABLES = st.tuples(
    st.sampled_from(["items", "boms", "listings"]),
    st.dictionaries(TOML_KEYS, TOML_VALUES, max_size=6),
)


@given(tables=st.lists(TOML_TABLES, max_size=5))
@settings(max_examples=200)
def test_any_table_is_read_or_refused_cleanly(
    tables: list[tuple[str, dict[str, str]]],
) -> None:
    """Any value in any field ends in a sound catalogue or in a `CatalogueInvalid`."""
    text = "".join(
        f"[[{table}]]\n" + "".join(f"{key} = {value}\n" for key, value in cells.items())
        for table, cells in tables
    )
    try:
        catalogue = read(("c.toml", text), known=KNOWN)
    except CatalogueInvalid:
        return
    skus = {item.sku for item in (*catalogue.items, *KNOWN.items.values())}
    assert {listing.sku for listing in catalogue.listings} <= skus
    assert all(listing.pack >= 1 for listing in catalogue.listings)
    assert all(line.quantity >= 1 for bill in catalogue.bills for line in bill.lines)


# -- how long, and how soon ------------------------------------------------------------------------

CURED = """
items = [{ sku = "soap", horizon = "3 days" }, { sku = "mild" }, { sku = "oil", unit = "g" }]
[[boms]]
item = "soap"
build_time = "6 weeks"
lines = [{ item = "oil", quantity = 100 }]
[[boms]]
item = "mild"
base = "soap"
"""


def _after(found: CatalogueFile) -> Known:
    """What is known once a file is imported."""
    return Known(
        items={item.sku: item for item in found.items},
        bills={bill.item: bill for bill in found.bills},
    )


def test_how_long_a_build_takes_and_how_soon_it_has_to_be_there() -> None:
    """Durations are read with their units; a variant takes as long as its base."""
    found = read(("c.toml", CURED))
    assert {bill.item: bill.build_time_s for bill in found.bills} == {
        "soap": 42 * 86_400,
        "mild": 42 * 86_400,
    }
    assert {item.sku: item.horizon_s for item in found.items} == {
        "soap": 3 * 86_400,
        "mild": None,
        "oil": None,
    }
    rows = "item,build_time,component,quantity\nsoap,90 min,oil,100\n"
    both = read(("boms.csv", rows), known=_after(found)).bills
    assert [bill.build_time_s for bill in both] == [5400, 5400]


@pytest.mark.parametrize(
    ("cells", "seconds", "shown"),
    [
        ("", 3 * 86_400, None),
        (', horizon = "none"', None, ("3 days", "")),
        (', horizon = "8 weeks"', 56 * 86_400, ("3 days", "56 days")),
        (", horizon = 0", 0, ("3 days", "0 days")),
    ],
)
def test_a_horizon_stays_until_another_is_said(
    cells: str, seconds: int | None, shown: tuple[str, str] | None
) -> None:
    """Left out it keeps what is there; `none` takes it away, and 0 asks for what is there now."""
    known = _after(read(("c.toml", CURED)))
    found = read(("c.toml", f'items = [{{ sku = "soap"{cells} }}]'), known=known)
    (item,) = found.items
    assert item.horizon_s == seconds
    told = [(each.before, each.after) for change in found.changes for each in change.differences]
    assert told == ([] if shown is None else [shown])


@pytest.mark.parametrize(
    "given", ['"soon"', "3", '"-1 day"', '"3651 days"', '"0.1 s"', "true", "1.5"]
)
def test_a_horizon_that_is_no_duration(given: str) -> None:
    """It is named with its place and what could be written; a bare 3 might be anything."""
    (mistake,) = mistakes_in(f'items = [{{ sku = "soap", horizon = {given} }}]')
    assert mistake.startswith("c.toml items[1] (soap): horizon: found ")
    assert "expected a duration from 0 to 3650 days, such as '6 weeks'" in mistake
