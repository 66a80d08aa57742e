"""What the worlds of seeds are like, and that the daemon's own readers take them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from stockpush.connectors import registry
from stockpush.importer import Known, read_catalogue
from stockpush.settings import Settings
from stockpush.sim.accounts import CONNECTORS, SHOPIFY, WOO
from stockpush.sim.loop import EPOCH
from stockpush.sim.world import World, changed_bill

SECRET_KEY = "c3RvY2stcHVzaC1zaW11bGF0aW9uLXNlY3JldC1rZXk"


def drawn(seed: int) -> World:
    """Return one world."""
    return World.draw(random.Random(seed), lambda: EPOCH)


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


@pytest.mark.parametrize("seed", range(12))
def test_the_daemons_own_readers_take_the_world(seed: int, tmp_path: Path) -> None:
    """The catalogue says what the values say, and the configuration is sound."""
    world = drawn(seed)
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
    } == {(each.channel, each.listing, each.sku, each.pack) for each in world.listings}


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
