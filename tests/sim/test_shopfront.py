"""A maker's own catalogue as a simulated world: what is kept, what is drawn, what is refused."""

from __future__ import annotations

import random
import tomllib

import pytest

from stockpush.errors import CatalogueInvalid, UsageError
from stockpush.sim.accounts import SHOPIFY, WOO
from stockpush.sim.loop import EPOCH
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
    assert len(world.listings) == 11
    assert sorted(world.bills) == ["balm", "candle-lav", "candle-plain", "gift-box", "soap-lav"]
    (soap,) = (each for each in world.listings if (each.channel, each.sku) == (WOO, "soap-lav"))
    assert (soap.field, soap.listing.partition(":")[0]) == (soap.field, soap.field)
    assert {world.shows(each) for each in world.listings} == {0}


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
    shared = Shopfront(front.things, front.bills, candle_front().offered[-1:] * 2)
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


def test_a_reference_of_no_known_shop_is_refused():
    """With the field and what was expected."""
    with pytest.raises(CatalogueInvalid, match="expected variant_id or inventory_item_id"):
        read_shopfront(
            catalogue('[[listings]]\nchannel = "a"\nitem = "wick"\nref = { listing_id = 1 }\n')
        )


def test_channels_that_cannot_be_simulated_are_left_out():
    """Nothing is left here, which is told."""
    with pytest.raises(UsageError) as error:
        shopfront((), (), (), {}, {"a": "telepathy"})
    assert error.value.found == "no listings"
