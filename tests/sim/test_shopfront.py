"""A maker's own catalogue as a simulated world: what is kept, what is drawn, what is refused."""

from __future__ import annotations

import random
import tomllib
from dataclasses import replace

import pytest

from stockpush.errors import CatalogueInvalid, UsageError
from stockpush.sim.accounts import ETSY, FAIRE, SHOPIFY, SITE, WOO
from stockpush.sim.loop import EPOCH
from stockpush.sim.plan import Plan
from stockpush.sim.run import simulate
from stockpush.sim.shopfront import LISTED_MAX, Shopfront, candle_front, read_shopfront, shopfront
from stockpush.sim.world import World
from tests.cli.terminal import CATALOGUE


def drawn(front: Shopfront, seed: int = 1) -> World:
    """The world of a seed."""
    return front.world(random.Random(seed), lambda: EPOCH)


def catalogue(listings: str) -> list[tuple[str, bytes]]:
    """The candles and soaps, with these listings."""
    return [("catalog.toml", (CATALOGUE + listings).encode())]


def test_the_candle_shop_is_that_of_the_demo():
    """Every item, bill and listing; the soap's number is its product's."""
    world = drawn(candle_front())
    assert len(world.listings) == 16
    assert set(world.shops) == {SHOPIFY, WOO, ETSY, FAIRE}
    assert sorted(world.bills) == ["balm", "candle-lav", "candle-plain", "gift-box", "soap-lav"]
    (soap,) = (each for each in world.listings if (each.channel, each.sku) == (WOO, "soap-lav"))
    assert (soap.field, soap.listing.partition(":")[0]) == (soap.field, soap.field)
    assert {world.shows(each) for each in world.listings if each.channel != ETSY} == {0}
    assert {world.shows(each) for each in world.listings if each.channel == ETSY} == {1}


def test_what_is_left_is_drawn_and_never_more_than_there_is():
    """By seed, near zero; nobody sells what the maker has not."""
    front = candle_front()
    have = {thing.sku: thing.opening for thing in front.things}
    seen = set()
    for seed in range(40):
        left = {sku: thing.opening for sku, thing in drawn(front, seed).things.items()}
        assert all(left[sku] <= have[sku] for sku in left)
        seen.add(tuple(left.values()))
    assert len(seen) > 30


def test_a_catalogue_that_states_no_stock_still_has_some_to_sell():
    """Otherwise nothing could ever be sold."""
    text = CATALOGUE.replace("on_hand", "name = 'x' #")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("name = 'x'"))
    listings = '\n[[listings]]\nchannel = "a"\nitem = "candle-lav"\nref = { variant_id = 1 }\n'
    front = read_shopfront([("c.toml", (text + listings).encode())])
    assert not any(thing.opening for thing in front.things)
    assert any(thing.opening for seed in range(5) for thing in drawn(front, seed).things.values())


def test_accounts_of_one_kind_are_one_shop_and_variations_of_a_product_share_its_number():
    """As far as the daemon has learned who holds the number; a file does not say."""
    front = read_shopfront(
        catalogue(
            '[[listings]]\nchannel = "a"\nitem = "candle-lav"\nref = { inventory_item_id = 1 }\n'
            '[[listings]]\nchannel = "b"\nitem = "candle-lav"\npack = 6\nref = { variant_id = 1 }\n'
            '[[listings]]\nchannel = "c"\nitem = "soap-lav"\n'
            "ref = { product_id = 5, variation_id = 6 }\n"
        )
    )
    world = drawn(front)
    assert [(each.channel, each.sku, each.pack) for each in world.listings] == [
        (SHOPIFY, "candle-lav", 1),
        (SHOPIFY, "candle-lav", 6),
        (WOO, "soap-lav", 1),
    ]
    assert len({each.field for each in world.listings}) == 3
    soap = next(each for each in candle_front().offered if each.parent)
    shared = Shopfront(front.things, front.bills, (soap, soap))
    assert len({each.field for each in drawn(shared).listings}) == 1


def test_of_a_large_catalogue_each_seed_takes_a_part_with_what_it_is_made_of():
    """So that a run stays short; other seeds take other parts."""
    items = "".join(
        f'[[items]]\nsku = "p{n}"\non_hand = 3\n[[items]]\nsku = "m{n}"\nkind = "material"\n'
        f'[[boms]]\nitem = "p{n}"\nlines = [{{ item = "m{n}", quantity = 1 }}]\n'
        f'[[listings]]\nchannel = "a"\nitem = "p{n}"\nref = {{ variant_id = {n + 1} }}\n'
        for n in range(60)
    )
    front = read_shopfront([("c.toml", items.encode())])
    worlds = [drawn(front, seed) for seed in (1, 2)]
    for world in worlds:
        assert len(world.listings) == len(world.bills) == LISTED_MAX
        assert len(world.things) == 2 * LISTED_MAX
    assert worlds[0].bills.keys() != worlds[1].bills.keys()


def test_a_sku_that_needs_escaping_gets_a_plain_name_of_its_own():
    """The world is told to the daemon as a file; two SKUs never become one."""
    names = ("it's", 'a"b', "a\\b", "wax-é")
    items = "".join(f"[[items]]\nsku = '''{name}'''\non_hand = 1\n" for name in names)
    listings = "".join(
        f"[[listings]]\nchannel = 'a'\nitem = '''{name}'''\nref = {{ variant_id = {n} }}\n"
        for n, name in enumerate(names, 1)
    )
    world = drawn(read_shopfront([("c.toml", (items + listings).encode())]))
    assert list(world.things) == ["it's", "a_b", "a_b~2", "wax-_"]
    assert len(tomllib.loads(world.catalogue())["items"]) == 4


EVERYWHERE = """
[[listings]]
channel = "e"
item = "candle-lav"
ref = { listing_id = 5, property_values = "Scent=Lavender" }
[[listings]]
channel = "e"
item = "soap-lav"
ref = { listing_id = 5, product_sku = "SOAP" }
[[listings]]
channel = "e"
item = "soap-lav"
pack = 2
ref = { listing_id = 6 }
[[listings]]
channel = "other-e"
item = "soap-lav"
ref = { listing_id = 5 }
[[listings]]
channel = "f"
item = "candle-lav"
pack = 12
ref = { variant_id = "po_7kqx2m9a4t" }
[[listings]]
channel = "g"
item = "candle-lav"
ref = { product = "lavender-candle" }
"""


def test_every_platform_is_known_by_its_references():
    """Etsy, Faire by the case and one's own shop; a Faire variant is not taken for Shopify's."""
    world = drawn(read_shopfront(catalogue(EVERYWHERE)))
    assert [(each.channel, each.sku, each.pack) for each in world.listings] == [
        (ETSY, "candle-lav", 1),
        (ETSY, "soap-lav", 1),
        (ETSY, "soap-lav", 2),
        (ETSY, "soap-lav", 1),
        (FAIRE, "candle-lav", 12),
        (SITE, "candle-lav", 1),
    ]
    assert len({each.field for each in world.listings}) == 6
    assert list(world.things)[:1] == ["candle-lav"]
    tomllib.loads(world.catalogue())


def test_listings_of_one_etsy_document_are_variations_of_one_listing():
    """They are written together; the document of another account is another one. Each document is
    on sale, so that one of something is shown.
    """
    world = drawn(read_shopfront(catalogue(EVERYWHERE)))
    etsy = [each for each in world.listings if each.channel == ETSY]
    documents = [each.listing.partition(":")[0] for each in etsy]
    assert documents[0] == documents[1]
    assert len(set(documents)) == 3
    assert [":" in each.listing for each in etsy] == [True, True, False, False]
    assert [world.shows(each) for each in etsy] == [1, 0, 1, 1]


def test_an_etsy_listing_whose_quantity_varies_by_nothing_has_one_number():
    """A reference that names the listing alone says so, as does what the daemon was told. Of
    another item or pack it would be parked, and is left out.
    """
    alone = EVERYWHERE.replace(', product_sku = "SOAP"', "").replace("soap-lav", "candle-lav")
    front = read_shopfront(catalogue(alone.replace("pack = 2\n", "")))
    first, second, *_ = drawn(front).listings
    assert first.listing != second.listing
    assert first.field == second.field == first.listing.partition(":")[0]
    other = read_shopfront(catalogue(EVERYWHERE.replace(', product_sku = "SOAP"', "")))
    assert [each.sku for each in other.offered if each.shop == ETSY][:2] == [
        "candle-lav",
        "soap-lav",
    ]
    assert len(other.offered) == len(front.offered) - 1


def test_worlds_of_shopify_and_woocommerce_alone_stay_what_they_were():
    """The other shops draw from the seed only where they are."""
    front = candle_front()
    two = replace(front, offered=tuple(e for e in front.offered if e.shop in (SHOPIFY, WOO)))
    world = drawn(two)
    assert set(world.shops) == {SHOPIFY, WOO}
    assert (world.hot.channel, world.hot.sku) == (WOO, "balm")
    assert [thing.opening for thing in world.things.values()] == [1, 3, 1, 8, 3, 7500, 50, 60, 0]


def test_one_number_for_several_variations_on_etsy_is_kept_right():
    """The daemon's run holds: what it writes to one is written to all of them, once."""
    alone = EVERYWHERE.replace(', product_sku = "SOAP"', "").replace("soap-lav", "candle-lav")
    front = read_shopfront(catalogue(alone.replace("pack = 2\n", "")))
    report = simulate(3, Plan(shopfront=front, cut_s=300.0, silent_s=60.0, faults={}))
    assert (report.violations, report.sales > 0) == ([], True)


def test_a_reference_of_no_known_shop_is_refused():
    """With the field and what was expected; one with a slip in it is told what the slip is."""
    for ref, says in (
        ("{ asin = 1 }", "expected variant_id or inventory_item_id; product_id"),
        ("{ listing_id = 'x' }", "a whole number above 0"),
    ):
        with pytest.raises(CatalogueInvalid, match=says):
            read_shopfront(catalogue(f'[[listings]]\nchannel = "a"\nitem = "wick"\nref = {ref}\n'))


def test_channels_that_cannot_be_simulated_are_left_out():
    """Nothing is left here, which is told."""
    with pytest.raises(UsageError) as error:
        shopfront((), (), (), {}, {"a": "telepathy"})
    assert error.value.found == "no listings"
