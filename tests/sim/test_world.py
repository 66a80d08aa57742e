"""What the worlds of seeds are like, and that the daemon's own readers take them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from stockpush.connectors import registry
from stockpush.importer import Known, read_catalogue
from stockpush.settings import Settings
from stockpush.sim.accounts import CHANNELS, CONNECTORS, ETSY, FAIRE, OUTLET, SHOPIFY, SITE, WOO
from stockpush.sim.drawing import NARROW, draw_channels, draw_world
from stockpush.sim.loop import EPOCH
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.world import World, changed_bill

SECRET_KEY = "c3RvY2stcHVzaC1zaW11bGF0aW9uLXNlY3JldC1rZXk"


def drawn(seed: int) -> World:
    """Return one world of Shopify and WooCommerce."""
    return draw_world(random.Random(seed), lambda: EPOCH)


def wide(seed: int, channels: Collection[str] = CHANNELS) -> World:
    """Return one world of these channels."""
    return draw_world(random.Random(seed), lambda: EPOCH, channels=channels)


def parted(seed: int) -> World:
    """Return one world in which what there is is parted."""
    return draw_world(random.Random(seed), lambda: EPOCH, is_split=True)


def test_one_seed_gives_one_world() -> None:
    """The same seed draws the same catalogue and numbers."""
    first, again = drawn(3), drawn(3)
    assert first.catalogue() == again.catalogue()
    assert [first.shows(each) for each in first.listings] == [
        again.shows(each) for each in again.listings
    ]
    assert first.catalogue() != drawn(4).catalogue()


def test_small_worlds_are_common_and_every_shape_comes_up() -> None:
    """Half of the worlds have few items; kits, batches, packs, twins and shared rows all occur."""
    shapes: Counter[str] = Counter()
    for seed in range(200):
        world = drawn(seed)
        assert 1 <= len(world.things) <= 30
        shapes["small"] += len(world.things) <= 5
        shapes["one channel"] += world.own_channel_only
        shapes["batch"] += any(bill.batch_only for bill in world.bills.values())
        shapes["two levels"] += any(
            part in world.bills for bill in world.bills.values() for part, _ in bill.lines
        )
        shapes["pack"] += any(listed.pack > 1 for listed in world.listings)
        twins = Counter((listed.channel, listed.sku) for listed in world.listings)
        shapes["twin"] += max(twins.values()) > 1
        shapes["shared row"] += len(list(world.fields())) < len(world.listings)
        shapes["variation"] += any(":" in listed.field for listed in world.listings)
        shapes["unmapped"] += bool(world.unmapped)
    assert shapes["small"] > 80
    assert all(10 <= count < 200 for count in shapes.values()), shapes


def test_half_of_the_worlds_have_the_first_two_channels_and_each_other_one_comes_up() -> None:
    """What was found on Shopify and WooCommerce alone must go on being found there."""
    channels = [draw_channels(random.Random(seed)) for seed in range(400)]
    assert 180 <= sum(each == NARROW for each in channels) <= 260
    others = [each for each in channels if each != NARROW]
    assert all(not each <= NARROW for each in others)
    assert all(sum(name in each for each in others) > 50 for name in CHANNELS)
    assert Counter(map(len, others)).keys() == {1, 2, 3, 4, 5}


def test_one_pool_is_sold_in_singles_packs_and_cases_and_several_items_in_one_document() -> None:
    """Wide worlds have what only they can have."""
    shapes: Counter[str] = Counter()
    for seed in range(100):
        world = wide(seed)
        packs = {(each.sku, each.channel): each.pack for each in world.listings}
        shapes["pool"] += any(
            packs.get((sku, ETSY)) == 1
            and packs.get((sku, SHOPIFY), 1) > 1
            and packs.get((sku, FAIRE), 1) > 1
            for sku in world.things
        )
        on_etsy = Counter(
            each.listing.partition(":")[0] for each in world.listings if each.channel == ETSY
        )
        shapes["document"] += max(on_etsy.values(), default=0) > 1
        shapes["no webhooks"] += not world.etsy.webhooks
        shapes["no fee"] += not world.etsy.renews
        site = world.shops[SITE]
        assert isinstance(site, GenericShop)
        shapes["compares"] += site.compares
    assert all(10 <= count < 100 for count in shapes.values()), shapes


@pytest.mark.parametrize("seed", range(30))
def test_the_daemons_own_readers_take_the_world(seed: int, tmp_path: Path) -> None:
    """The catalogue says what the values say, and the configuration is sound."""
    world = drawn(seed) if seed < 12 else wide(seed) if seed < 24 else parted(seed)
    path = tmp_path / "stockpush.toml"
    path.write_text(world.configuration(f"{tmp_path}/a.db", secret_key=SECRET_KEY))
    settings = Settings.load(path, {})
    assert set(settings.channels) == set(world.shops)
    read = read_catalogue(
        [("catalogue.toml", world.catalogue().encode())],
        known=Known(),
        channels=settings.channels,
        refs=lambda channel, ref: registry.ref_key(CONNECTORS[channel])(ref),
    )
    assert {item.sku for item in read.items} == set(world.things)
    assert {move.sku: move.quantity for move in read.opening} == {
        thing.sku: thing.opening for thing in world.things.values() if thing.opening
    }
    assert {
        bill.item: {line.component: line.quantity for line in bill.lines} for bill in read.bills
    } == {bill.item: dict(bill.lines) for bill in world.bills.values()}
    assert {
        (each.key.channel, each.key.ref.removeprefix("variant/"), each.sku, each.pack)
        for each in read.listings
    } == {
        (each.channel, each.listing.replace("200=", "kind="), each.sku, each.pack)
        for each in world.listings
    }


def test_what_there_is_is_parted_in_one_shop_on_shopify_or_two() -> None:
    """Where there are two, one item at least is on sale in both of them, mostly."""
    shapes: Counter[str] = Counter()
    for seed in range(60):
        world = parted(seed)
        assert set(world.shops) in ({SHOPIFY}, {SHOPIFY, OUTLET})
        shapes["two"] += OUTLET in world.shops
        shapes["both"] += any(
            {each.channel for each in world.listings if each.sku == sku} == {SHOPIFY, OUTLET}
            for sku in world.things
        )
    assert 25 <= shapes["both"] <= shapes["two"] <= 50, shapes


def test_the_shops_clocks_can_be_skewed() -> None:
    """Each shop's clock is the true one, ahead by its skew."""
    world = drawn(3)
    world.clocks[SHOPIFY].ahead_s = -90.0
    assert world.shops[SHOPIFY].clock() == EPOCH - timedelta(seconds=90)
    assert world.shops[WOO].clock() == EPOCH


def test_a_changed_bill_differs_in_one_use_and_never_uses_nothing() -> None:
    """A bill is changed in at most one component, which is still used."""
    dice = random.Random(0)
    world = next(each for seed in range(50) if (each := drawn(seed)).bills)
    bill = next(iter(world.bills.values()))
    for _ in range(20):
        changed = changed_bill(dice, bill)
        assert [sku for sku, _ in changed.lines] == [sku for sku, _ in bill.lines]
        assert sum(a != b for a, b in zip(bill.lines, changed.lines, strict=True)) <= 1
        assert all(units >= 1 for _, units in changed.lines)
