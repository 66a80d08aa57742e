"""Pools of locations: an item has a shelf in each, and a channel sells from the pool that feeds it.

The examples use a workshop (the pool main) that sells on the channel `shopify`, and a market with
a stall and a back room of which the channel `woo` sells.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from random import Random
from typing import Any

import pytest

from stockpush.messages import (
    Accepted,
    BuildStock,
    CountStock,
    ExpireHolds,
    ImportCatalogue,
    NoteGuardLevels,
    ReleaseHold,
    SellHold,
    StartChannel,
    TransferStock,
    UndoMovement,
)
from stockpush.model import (
    MAIN,
    BillLine,
    BillOfMaterials,
    Exposure,
    Item,
    Kind,
    Location,
    MovementKind,
    OrderSupply,
    Pin,
    Rest,
    Shelf,
    shelf_key,
)
from stockpush.reservation import catalogue, view
from stockpush.reservation.atp import atp as netted_atp
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.reservation.exposure import item_terms
from stockpush.reservation.ledger import Books, check
from stockpush.reservation.parting import may_raise
from stockpush.reservation.view import View
from tests.reservation import oracle
from tests.reservation.test_reach import large_from
from tests.reservation.world import POLICIES, World, line

MARKET = "market"
PLACES = (
    Location("stall", pool=MARKET),
    Location("back room", pool=MARKET),
    Location("seconds", sellable=False),
)
SEEDS = 24
"""Random shops, each with some forty deeds; about ten seconds."""
DEEDS = 40
SKUS = ("oil", "wax", "wick", "cotton", "hemp", "base", "candle", "balm", "soap", "set")
LISTED = (*SKUS[5:], "hemp")


def shop(*, woo_in: str = MARKET, places: tuple[Location, ...] = PLACES) -> World:
    """Return a shop with these locations, whose channel `woo` is fed by a pool."""
    world = World(catalogue=with_pool("woo", woo_in))
    if places:
        world.do(ImportCatalogue((), (), (), (), "places", "test", locations=places))
    for channel in POLICIES:
        world.do(StartChannel(channel))
    return world


def with_pool(channel: str, pool: str, known: Catalogue | None = None) -> Catalogue:
    """Return the catalogue with a configuration in which a pool is to feed a channel."""
    policies = {**POLICIES, channel: replace(POLICIES[channel], pool=pool)}
    if known is None:
        return build(0, (), (), (), policies)
    return replace(known, policies=policies)


def candles() -> World:
    """Return a shop with candles of wax, 100 g each: 5 and 1000 g at home, 2 and 300 g at market.

    Listed on both channels, and read, synced.
    """
    world = shop()
    world.stock(candle=5, wax=1000).bill("candle", wax=100)
    world.moves("candle", 2, MovementKind.RECEIPT, "r1", location="stall")
    world.moves("wax", 300, MovementKind.RECEIPT, "r2", location="back room")
    world.list("shopify", "s1", "candle", shows=0)
    world.list("woo", "w1", "candle", shows=0)
    world.syncs()
    return world


def on_hand(world: World) -> dict[str, int]:
    """Return what is on hand of every shelf, by SKU and pool."""
    return {f"{row.sku} {row.pool}": row.on_hand for row in world.rows.shelves.values()}


def books(world: World) -> Books:
    """Return the books as `stockpush check --deep` reads them."""
    rows = world.rows
    return Books(
        movements=tuple(rows.movements.values()),
        shelves=tuple(rows.shelves.values()),
        reservations=tuple(rows.reservations.values()),
        commands=tuple(rows.commands.values()),
        holds=tuple(rows.holds.values()),
        lots=tuple(rows.lots.values()),
        pools={name: place.pool for name, place in world.catalogue.locations.items()},
        feeds=world.catalogue.feeds,
        per_order=world.catalogue.per_order,
    )


# -- examples ----------------------------------------------------------------------------------


def test_each_channel_shows_what_its_own_pool_can_promise() -> None:
    """15 at home (5 and wax for 10), 5 at the market (2 and wax for 3): neither counts for both."""
    world = candles()
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (15, 5)
    assert world.expected() == {"shopify/s1": 15, "woo/w1": 5}


def guarded() -> World:
    """Return a shop whose market sells on `woo` and on `etsy`, and shares three or fewer candles.

    Three are at home, for `shopify` alone, and four at the stall.
    """
    world = shop()
    world.catalogue = with_pool("etsy", MARKET, known=world.catalogue)
    world.do(StartChannel("etsy"))
    world.stock(candle=3).item("candle", guard_min=3, home_channel="woo")
    world.moves("candle", 4, MovementKind.RECEIPT, "r1", location="stall")
    for channel in ("shopify", "etsy", "woo"):
        world.list(channel, channel[0], "candle", shows=0)
    world.syncs()
    return world


def guards(world: World) -> dict[str, bool]:
    """Return whether the candle is guarded, by pool."""
    return {row.pool: row.guarded for row in world.rows.shelves.values()}


def test_each_pool_is_split_by_itself() -> None:
    """Wax for three at home is parted among the listings of home, candles and balms, for five at
    the market among those of the market, where the home channel comes first; and a listing of home
    that was not read yet holds up home alone.
    """
    world = shop()
    world.catalogue = with_pool("shopify", MARKET, known=world.catalogue)
    world.do(StartChannel("shopify"))
    world.stock(candle=0, balm=0, wax=3).bill("candle", wax=1).bill("balm", wax=1)
    world.item("balm", exposure=Exposure.SPLIT).item("candle", home_channel="woo")
    world.moves("wax", 5, MovementKind.RECEIPT, "r1", location="stall")
    listed = (("etsy", "balm"), ("faire", "candle"), ("shopify", "balm"), ("woo", "candle"))
    for channel, sku in listed:
        world.list(channel, channel[0], sku, shows=0)
    world.syncs()
    shown = {"etsy/e": 2, "faire/f": 1, "shopify/s": 2, "woo/w": 3}
    assert world.expected() == shown
    world.hears(world.order("shopify", "1", line("s", 1)))
    assert world.dirty == set()
    world.list("etsy", "e2", "candle")
    world.moves("wax", 9, MovementKind.RECEIPT, "r2")
    world.moves("wax", 2, MovementKind.RECEIPT, "r3", location="stall")
    seen = View(world.catalogue, world.rows)
    assert {key.channel: may_raise(seen, row) for key, row in seen.rows.fields.items()} == {
        "etsy": False,
        "faire": False,
        "shopify": True,
        "woo": True,
    }
    assert world.syncs() == {("shopify", "s"): 3}


@pytest.mark.parametrize("large_min", [1, 10**9])
def test_a_channel_that_changes_pools_leaves_its_part_behind(large_min: int) -> None:
    """What it shows is set aside of the new pool's from then on, and what was of the old one's is
    free for whom that feeds.
    """
    with large_from(large_min):
        world = shop(woo_in=MAIN)
        world.stock(candle=4).item("candle", exposure=Exposure.SPLIT)
        world.moves("candle", 3, MovementKind.RECEIPT, "r1", location="stall")
        world.list("shopify", "s", "candle", shows=0).list("woo", "w", "candle", shows=0)
        assert world.syncs() == {("shopify", "s"): 2, ("woo", "w"): 2}
        world.catalogue = with_pool("woo", MARKET, known=world.catalogue)
        world.do(StartChannel("woo"))
        assert world.syncs() == {("shopify", "s"): 4}
        world.hears(world.order("woo", "1", line("w", 2)))
        assert world.syncs() == {("woo", "w"): 1}


def test_what_is_left_is_shared_within_a_pool() -> None:
    """The only listing at home shows all three, though guarded; of the four at the market each of
    its two channels shows all, until one is sold: then they share three, the last one at woo.
    """
    world = guarded()
    assert guards(world) == {MAIN: True, MARKET: False}
    assert world.expected() == {"shopify/s": 3, "etsy/e": 4, "woo/w": 4}
    world.moves("candle", -1, MovementKind.SALE, "s1", location="stall")
    assert guards(world) == {MAIN: True, MARKET: True}
    world.syncs()
    assert world.expected() == {"shopify/s": 3, "etsy/e": 1, "woo/w": 2}


def test_a_guard_level_is_of_one_pool() -> None:
    """Nine at each: the level that was measured at the market has its two channels share, and the
    level of a pool that nothing is sold from is left out.
    """
    world = guarded()
    world.item("candle", guard_min=0)
    world.moves("candle", 6, MovementKind.RECEIPT, "r2")
    world.moves("candle", 5, MovementKind.RECEIPT, "r3", location="stall")
    world.syncs()
    assert world.expected() == {"shopify/s": 9, "etsy/e": 9, "woo/w": 9}
    world.do(NoteGuardLevels(((shelf_key("candle", MARKET), 9), (shelf_key("candle", "fair"), 9))))
    world.syncs()
    assert guards(world) == {MAIN: False, MARKET: True}
    assert world.expected() == {"shopify/s": 9, "etsy/e": 4, "woo/w": 5}
    assert world.rows.shelves[shelf_key("candle", MARKET)].guard_level == 9
    assert world.rows.shelves["candle"].guard_level == 0


def test_a_channel_that_changes_pools_shares_with_those_of_the_other() -> None:
    """Woo goes over to the workshop: with shopify it has the three there, and Etsy shows the whole
    of the market.
    """
    world = guarded()
    world.moves("candle", -1, MovementKind.SALE, "s1", location="stall")
    world.syncs()
    world.catalogue = with_pool("woo", MAIN, known=world.catalogue)
    world.do(StartChannel("woo"))
    world.syncs()
    assert world.expected() == {"shopify/s": 1, "etsy/e": 3, "woo/w": 2}


def test_a_limit_holds_in_each_pool() -> None:
    """None may be sold twice: each channel of the market has half of the four; home has three."""
    world = guarded()
    world.item("candle", guard_min=0, exposure_max=0)
    world.syncs()
    assert world.expected() == {"shopify/s": 3, "etsy/e": 2, "woo/w": 2}


def test_a_sale_is_demand_in_the_pool_of_its_channel() -> None:
    """The other channel's number stays, whatever is sold."""
    world = candles()
    world.hears(world.order("woo", "1", line("w1", 4)))
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (15, 1)
    assert world.dirty == set()  # the shop took it off itself
    assert world.rows.shelves[shelf_key("candle", MARKET)].reserved == 4
    assert world.rows.shelves["candle"].reserved == 0


def test_what_is_sent_is_taken_from_the_pool_of_its_channel() -> None:
    """What lies there goes first, and what does not exist is missing at its first location."""
    world = candles()
    world.hears(world.order("woo", "1", line("w1", 5)))
    world.hears(world.order("woo", "1", line("w1", 5, open=0, shipped=5), version=2))
    assert on_hand(world)["candle market"] == -3
    assert on_hand(world)["candle main"] == 5
    assert world.atp("candle", MARKET) == 0
    sold = [row for row in world.rows.movements.values() if row.kind is MovementKind.SALE]
    assert [(row.location, row.quantity) for row in sold] == [("stall", -2), ("back room", -3)]
    assert check(books(world)) == []


def test_what_was_never_there_is_missing_at_the_first_location() -> None:
    """An item that only lies at home is sold at the market: it falls below zero there."""
    world = shop()
    world.stock(mug=9).list("woo", "w2", "mug", shows=0)
    world.hears(world.order("woo", "1", line("w2", 1, open=0, shipped=1), version=2))
    assert on_hand(world) == {"mug main": 9, "mug market": -1}
    assert check(books(world)) == []


def test_a_location_that_is_not_sold_from_is_not_where_stock_goes_missing() -> None:
    """Of the locations of a pool the first by name that is sold from stands for it."""
    world = shop(places=(Location("attic", sellable=False, pool=MARKET), *PLACES))
    assert world.catalogue.home(MARKET) == "back room"


def test_a_transfer_moves_between_pools() -> None:
    """Both numbers change, and both channels are written."""
    world = candles()
    world.do(TransferStock("candle", 2, "stall", MAIN, "t", "test"))
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (17, 3)
    assert world.dirty == {"shopify/s1", "woo/w1"}
    assert check(books(world)) == []


def test_what_lies_in_another_pool_is_not_missing_at_home() -> None:
    """All five that lie at home can be taken there, whatever lies at the market."""
    world = candles()
    decision = world.do(TransferStock("candle", 5, MAIN, "stall", "t", "test"))
    assert isinstance(decision.outcome, Accepted)
    assert (on_hand(world)["candle main"], on_hand(world)["candle market"]) == (0, 7)


def test_a_transfer_within_a_pool_changes_nothing() -> None:
    """From the stall to the back room: what can be sold is as before."""
    world = candles()
    decision = world.do(TransferStock("candle", 2, "stall", "back room", "t", "test"))
    assert isinstance(decision.outcome, Accepted)
    assert (world.atp("candle", MARKET), world.dirty) == (5, set())


def test_a_hold_is_refused_by_what_its_pool_has() -> None:
    """Six candles cannot be held at the market, though there are fifteen at home."""
    world = candles()
    refused = world.holds(("candle", 6), pool=MARKET).outcome
    assert refused.message == (
        "6 candle were asked for and 5 can be promised in the pool market, 1 fewer; wax limits it"
    )
    assert refused.facts["to_buy"] == [{"sku": "wax", "unit": "piece", "quantity": "100"}]
    assert isinstance(world.holds(("candle", 5), pool=MARKET).outcome, Accepted)
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (15, 0)
    world.do(SellHold(1, "the fair", "s", "test"))
    assert on_hand(world)["candle market"] == -3
    assert world.atp("candle", MARKET) == 0
    assert check(books(world)) == []


def test_stock_verbs_name_a_pool_or_a_place() -> None:
    """A sale at the stall, a count of all that is at the market, a build in the back room."""
    world = candles()
    world.moves("candle", -1, MovementKind.SALE, "s1", pool=MARKET)
    assert on_hand(world)["candle market"] == 1
    world.do(CountStock("candle", 3, "c1", "test", pool=MARKET))
    assert on_hand(world)["candle market"] == 3
    world.do(BuildStock("candle", 2, "b1", "test", location="back room"))
    assert on_hand(world) == {
        "candle main": 5,
        "candle market": 5,
        "wax main": 1000,
        "wax market": 100,
    }
    [built, *_] = world.rows.commands["b1"].movement_ids
    world.do(UndoMovement(built, "u1", "test"))
    assert on_hand(world)["wax market"] == 300
    assert check(books(world)) == []


@pytest.mark.parametrize("command", ["move", "count", "hold"])
def test_a_pool_that_is_not_there_is_refused(command: str) -> None:
    """With the pools that there are."""
    world = candles()
    match command:
        case "move":
            outcome = world.moves("candle", -1, MovementKind.SALE, pool="fair").outcome
        case "count":
            outcome = world.do(CountStock("candle", 1, "c", "test", pool="fair")).outcome
        case _:
            outcome = world.holds(("candle", 1), pool="fair").outcome
    assert outcome.refusal == "not_found"
    assert outcome.facts == {"pool": "fair", "expected": ["main", "market"]}


def test_a_kit_is_put_together_from_what_lies_in_the_pool() -> None:
    """A set that is sent at the market takes the candles there."""
    world = candles()
    kit = BillOfMaterials("set", 1, (BillLine("candle", 2),), kit=True, backflush=True)
    world.stock(set=0)
    world.do(ImportCatalogue((), (kit,), (), (), "kit", "test"))
    world.list("woo", "w3", "set", shows=0)
    world.hears(world.order("woo", "1", line("w3", 1, open=0, shipped=1), version=2))
    assert on_hand(world)["candle market"] == 0
    assert on_hand(world)["candle main"] == 5
    assert on_hand(world)["set market"] == 0
    assert check(books(world)) == []


def test_a_channel_that_is_given_another_pool_takes_its_orders_along() -> None:
    """At its next start: what is open, and in suspense, claims stock of the new pool, and each
    listing of either pool is looked at anew.
    """
    world = candles()
    world.hears(world.order("woo", "1", line("w1", 1)))
    world.reads("woo", "w1", 2)  # two more are gone that nobody has told of
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (15, 2)
    world.catalogue = with_pool("woo", MAIN, world.catalogue)
    assert world.atp("candle") == 15  # as long as the channel has not been started so
    world.do(StartChannel("woo"))
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (12, 5)
    assert world.dirty == {"shopify/s1", "woo/w1"}
    assert check(books(world)) == []
    before = world.rows
    world.do(StartChannel("woo"))
    assert world.rows.shelves == before.shelves


def test_a_location_that_is_given_to_another_pool_takes_its_stock_along() -> None:
    """By an import: what lies there is promised on the other pool's channels."""
    world = candles()
    moved = Location("back room", pool=MAIN)
    world.do(ImportCatalogue((), (), (), (), "moved", "test", locations=(moved,)))
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (18, 2)
    assert world.dirty == {"shopify/s1", "woo/w1"}
    assert check(books(world)) == []


def test_a_pool_that_feeds_a_channel_keeps_a_location() -> None:
    """An import that would leave it none is refused: nothing could be promised there."""
    world = candles()
    gone = tuple(Location(name, pool=MAIN) for name in ("stall", "back room"))
    refused = world.do(ImportCatalogue((), (), (), (), "gone", "test", locations=gone)).outcome
    assert refused.refusal == "pool_fed"
    assert refused.facts == {"pool": MARKET, "channel": "woo", "expected": ["main"]}
    unsold = tuple(Location(name, sellable=False, pool=MARKET) for name in ("stall", "back room"))
    refused = world.do(ImportCatalogue((), (), (), (), "unsold", "test", locations=unsold)).outcome
    assert refused.refusal == "pool_fed"


def test_a_pool_in_which_something_is_held_keeps_a_location() -> None:
    """Four of five are held at the market, which an import would end: the shop may not sell them
    as well, so the hold is ended first.
    """
    world = shop(woo_in=MAIN)
    world.stock(soap=0).list("shopify", "s", "soap", shows=0)
    world.moves("soap", 5, MovementKind.RECEIPT, "r1", location="stall")
    world.holds(("soap", 4), pool=MARKET)
    gone = tuple(Location(name, pool=MAIN) for name in ("stall", "back room"))
    refused = world.do(ImportCatalogue((), (), (), (), "gone", "test", locations=gone)).outcome
    assert (refused.refusal, refused.facts["pool"]) == ("pool_held", MARKET)
    assert world.syncs() == {}
    world.do(ReleaseHold(1, "release", "test"))
    world.do(ImportCatalogue((), (), (), (), "again", "test", locations=gone))
    assert world.syncs() == {("shopify", "s"): 5}


@pytest.mark.parametrize("large_min", [1, 10**9])
def test_a_location_may_be_given_to_a_pool_that_is_new(large_min: int) -> None:
    """Also where many items share the material that lies there: nobody knew that pool before."""
    with large_from(large_min):
        world = candles()
        place = Location("back room", pool="fair")
        world.do(ImportCatalogue((), (), (), (), "moved", "test", locations=(place,)))
        assert (world.atp("candle", MARKET), world.atp("candle", "fair")) == (2, 3)
        assert world.dirty == {"woo/w1"}


def test_with_one_pool_there_is_nothing_more() -> None:
    """Bills are compiled once, a shelf's key is the SKU, and no command asks for more."""
    world = World().stock(candle=5, wax=9).bill("candle", wax=1).list("shopify", "s", "candle")
    assert world.catalogue.netted is world.catalogue.bills
    assert world.catalogue.pools == (MAIN,)
    assert world.rows.shelves.keys() == {"candle", "wax"}
    assert world.catalogue.shelves_of("candle") == ("candle",)


# -- two pools are two shops -------------------------------------------------------------------


def stocked(world: World, dice: Random, *, pool: str, place: str | None) -> None:
    """Give the shop what lies in one pool."""
    for sku in (*SKUS, "crate"):
        units = dice.choice((0, 1, 3, 9)) if sku != "wax" else dice.choice((20, 400))
        if units:
            world.moves(sku, units, MovementKind.RECEIPT, f"open {sku} {pool}", location=place)


def made_of() -> tuple[BillOfMaterials, ...]:
    """Return bills with a shared material, substitutes, a batch, a part of its own and a kit."""
    return (
        BillOfMaterials("base", 1, (BillLine("wax", 2), BillLine("oil", 1))),
        BillOfMaterials(
            "candle", 1, (BillLine("wax", 3), BillLine("wick", 1), BillLine("cord", 2))
        ),
        BillOfMaterials("balm", 10, (BillLine("wax", 12), BillLine("oil", 2)), batch_only=True),
        BillOfMaterials("soap", 4, (BillLine("oil", 3), BillLine("base", 1)), backflush=True),
        BillOfMaterials("set", 1, (BillLine("candle", 2),), kit=True, backflush=True),
    )


def opened(
    world: World, channels: tuple[str, ...], exposure: Exposure, *, in_crates: bool
) -> World:
    """Give the shop its items, bills and listings; `in_crates`: orders of some items take one."""
    world.stock(**dict.fromkeys((*SKUS, "crate"), 0)).item("candle", exposure=exposure)
    world.alike("cord", "cotton", "hemp").item("crate", kind=Kind.SUPPLY)
    for sku, units in (("candle", 2), ("soap", 1), ("hemp", 1)) if in_crates else ():
        world.item(sku, per_order=(OrderSupply("crate", units, gate=True),))
    world.do(ImportCatalogue((), made_of(), (), (), "bills", "test"))
    for channel in channels:
        for at, sku in enumerate(LISTED):
            world.list(channel, f"{channel[0]}{at}", sku, shows=1, pack=1 + at % 2)
    return world


def undated(row: Any) -> Any:
    """Return a row without its instants: the shops were not opened in the same second."""
    dated = {
        each.name: None for each in fields(row) if isinstance(getattr(row, each.name), datetime)
    }
    return replace(row, **dated)


class Twins:
    """One shop with two pools, and beside it two shops of their own, to which the same happens."""

    def __init__(self, seed: int, exposure: Exposure) -> None:
        self.dice = Random(seed)
        crates = seed % 2 == 1
        self.whole = opened(shop(), ("shopify", "woo"), exposure, in_crates=crates)
        self.parts = {
            MAIN: opened(shop(places=(), woo_in=MAIN), ("shopify",), exposure, in_crates=crates),
            MARKET: opened(shop(places=(), woo_in=MAIN), ("woo",), exposure, in_crates=crates),
        }
        self.hold_in: dict[int, tuple[str, int]] = {}
        for pool, part in self.parts.items():
            place = None if pool == MAIN else "stall"
            state = self.dice.getstate()
            stocked(self.whole, self.dice, pool=pool, place=place)
            self.dice.setstate(state)
            stocked(part, self.dice, pool=pool, place=None)
        self.same_time()
        for channel in ("shopify", "woo"):
            pool = MAIN if channel == "shopify" else MARKET
            for world in (self.whole, self.parts[pool]):
                for at in range(len(LISTED)):
                    world.now = self.whole.now
                    world.reads(channel, f"{channel[0]}{at}", 1)
                world.now = self.whole.now
                world.polls(channel)
            self.same_time()

    def same_time(self) -> None:
        """Set the clocks of all shops to one instant."""
        now = max(world.now for world in (self.whole, *self.parts.values()))
        for world in (self.whole, *self.parts.values()):
            world.now = now

    def deed(self, number: int) -> None:
        """Do one thing that happens in a shop, in the one and in its twin."""
        dice, pool = self.dice, self.dice.choice((MAIN, MARKET))
        part = self.parts[pool]
        channel = "shopify" if pool == MAIN else "woo"
        place = None if pool == MAIN else "stall"
        key, at, sku = f"deed {number}", dice.randrange(len(LISTED)), dice.choice(SKUS)
        self.same_time()
        both = (self.whole, part)
        match dice.randrange(13):
            case 0 | 1 | 2:
                sold = line(f"{channel[0]}{at}", dice.randint(1, 4))
                for world in both:
                    world.hears(world.order(channel, str(number), sold))
            case 3 | 4:
                known = sorted({row[:2] for row in part.rows.reservations})
                if not known:
                    return
                _, order = dice.choice(known)
                units = next(
                    row.ordered
                    for row in part.rows.reservations.values()
                    if row.key.order_id == order
                )
                name = next(
                    row.order_key
                    for row in part.rows.reservations.values()
                    if row.key.order_id == order
                )
                shipped = dice.choice((0, units))
                lines = (line(name, units, open=0, shipped=shipped),) if shipped else ()
                for world in both:
                    world.hears(world.order(channel, order, *lines, version=100 + number))
            case 5:
                units = dice.choice((-3, -1, 2, 9))
                for world, where in zip(both, (pool, MAIN), strict=True):
                    world.moves(sku, units, MovementKind.ADJUSTMENT, key, pool=where)
            case 6:
                made, units = dice.choice(("base", "candle", "soap", "set")), dice.choice((1, 4))
                pinned = [pin.version for pin in part.rows.shelves.get(made, Shelf(made)).pins]
                bill = dice.choice((None, *pinned))
                take = dice.choice(((), ("hemp",))) if made == "candle" and bill is None else ()
                for world, where in zip(both, (place, None), strict=True):
                    world.do(
                        BuildStock(made, units, key, "test", location=where, take=take, bill=bill)
                    )
            case 7:
                row = part.field(channel, f"{channel[0]}{at}")
                fewer = dice.choice((0, 0, 1, 2))
                for world in both:
                    world.reads(channel, row.key.key, max(0, (row.expected or 0) - fewer))
            case 8:
                for world in both:
                    self.push(world, channel, key)
            case 9:
                units = dice.randint(1, 3)
                answers = [
                    world.holds((sku, units), ("wick", 1), key=key, pool=where).outcome
                    for world, where in zip(both, (pool, MAIN), strict=True)
                ]
                assert type(answers[0]) is type(answers[1])
                if isinstance(answers[0], Accepted):
                    self.hold_in[answers[0].facts["hold"]] = (pool, answers[1].facts["hold"])
            case 10:
                self.end_hold(dice, key)
            case 11:
                self.other_bill(dice, key)
            case _:
                self.transfer(dice, sku, pool, key)

    @staticmethod
    def push(world: World, channel: str, key: str) -> None:
        """Push everything dirty on a channel at one instant, and have it applied."""
        now = world.now
        pushes = world.pushes(channel, call=key)
        for push in pushes:
            world.settles(push)
        world.now = now

    def end_hold(self, dice: Random, key: str) -> None:
        """End a hold, one way or another."""
        if not self.hold_in:
            return
        number = dice.choice(sorted(self.hold_in))
        pool, twin = self.hold_in[number]
        way = dice.randrange(3)
        for world, hold in ((self.whole, number), (self.parts[pool], twin)):
            world.do(
                (
                    ReleaseHold(hold, key, "test"),
                    SellHold(hold, "fair", key, "test"),
                    ExpireHolds((hold,)),
                )[way]
            )

    def other_bill(self, dice: Random, key: str) -> None:
        """Make something otherwise from now on, in every pool: what is open stays as it was."""
        made, lines = dice.choice(
            (
                ("candle", (BillLine("wax", dice.randint(1, 4)), BillLine("cord", 1))),
                ("soap", (BillLine("oil", dice.randint(1, 4)), BillLine("wax", 1))),
            )
        )
        bill = BillOfMaterials(made, dice.choice((1, 4)), lines, backflush=made == "soap")
        for world in (self.whole, *self.parts.values()):
            world.do(ImportCatalogue((), (bill,), (), (), key, "test"))

    def transfer(self, dice: Random, sku: str, pool: str, key: str) -> None:
        """Move stock to the other pool: in the two shops it leaves one and comes into the other."""
        other = MARKET if pool == MAIN else MAIN
        ways = {MAIN: MAIN, MARKET: "stall"}
        command = TransferStock(sku, dice.randint(1, 3), ways[pool], ways[other], key, "test")
        if isinstance(self.whole.do(command).outcome, Accepted):
            now = self.parts[pool].now
            for each, units in ((pool, -command.quantity), (other, command.quantity)):
                self.parts[each].now = now
                self.parts[each].moves(sku, units, MovementKind.ADJUSTMENT, key)

    def compare(self) -> None:
        """Every row, and every ATP, is the same in the one shop and in the two."""
        for pool, part in self.parts.items():
            channel = "shopify" if pool == MAIN else "woo"
            shelves = {
                row.sku: replace(row, pool=MAIN)
                for row in self.whole.rows.shelves.values()
                if row.pool == pool and row != Shelf(row.sku, pool=pool)
            }
            empty = {key: row for key, row in part.rows.shelves.items() if row != Shelf(key)}
            assert shelves == empty, pool
            every = (*SKUS, "cord", "crate")
            found = {sku: self.whole.atp(sku, pool) for sku in every}
            assert found == {sku: part.atp(sku) for sku in every}, pool
            versions = [
                {key: row.bill for key, row in world.rows.reservations.items() if key[0] == channel}
                for world in (self.whole, part)
            ]
            assert versions[0] == versions[1], pool
            for name in ("fields", "dirty", "in_flight"):
                there = getattr(self.whole.rows, name)
                mine = {key: undated(row) for key, row in there.items() if key.channel == channel}
                theirs = {key: undated(row) for key, row in getattr(part.rows, name).items()}
                assert mine == theirs, (pool, name)
            sent = [
                [
                    (push.field, push.expected, push.target, push.terms)
                    for each in world.log
                    for push in each.pushes
                    if push.field.channel == channel
                ]
                for world in (self.whole, part)
            ]
            assert sent[0] == sent[1], pool
        assert check(books(self.whole)) == []


def wicks() -> World:
    """Return a shop with candles of one wick, of any kind: four of cotton at home, one of cotton
    and two of hemp at the market.
    """
    world = shop().stock(candle=0, cotton=4, hemp=0).alike("wick", "cotton", "hemp")
    world.bill("candle", wick=1)
    for sku, units in (("cotton", 1), ("hemp", 2)):
        world.moves(sku, units, MovementKind.RECEIPT, f"r {sku}", location="stall")
    world.list("shopify", "s1", "candle", shows=0).list("woo", "w1", "candle", shows=0)
    world.syncs()
    return world


def test_substitutes_stand_for_one_another_within_a_pool() -> None:
    """Four candles at home and three at the market; a build there takes what lies there, and by
    SKU what it has, and nothing at home.
    """
    world = wicks()
    assert (world.atp("candle"), world.atp("candle", MARKET)) == (4, 3)
    world.do(BuildStock("candle", 2, "b1", "test", location="stall"))
    world.do(BuildStock("candle", 1, "b2", "test", location="stall", take=("hemp",)))
    assert on_hand(world) == {
        "cotton main": 4,
        "hemp market": 0,
        "cotton market": 0,
        "candle market": 3,
    }
    assert (world.atp("candle"), world.atp("wick", MARKET)) == (4, 0)


def recipes() -> World:
    """Return a shop with candles of soy, of which three were ordered at home and two at the market
    before they were made of palm.
    """
    world = shop().stock(candle=0, soy=10, palm=10).bill("candle", soy=2)
    for sku in ("soy", "palm"):
        world.moves(sku, 10, MovementKind.RECEIPT, f"r {sku}", location="stall")
    world.list("shopify", "s1", "candle", shows=0).list("woo", "w1", "candle", shows=0)
    world.hears(world.order("shopify", "1", line("s1", 3)))
    world.hears(world.order("woo", "1", line("w1", 2)))
    world.bill("candle", palm=1)
    world.syncs()
    return world


def pins(world: World) -> dict[str, tuple[Pin, ...]]:
    """Return what goes by older bills, by pool."""
    return {row.pool: row.pins for row in world.rows.shelves.values() if row.sku == "candle"}


def test_what_was_ordered_by_an_older_bill_is_pinned_in_its_pool() -> None:
    """Three of soy at home and two at the market, and each takes the soy that lies there; the bill
    is kept until no pool needs it.
    """
    world = recipes()
    assert pins(world) == {MAIN: (Pin(1, 3),), MARKET: (Pin(1, 2),)}
    for pool, soy in ((MAIN, 4), (MARKET, 6)):
        assert (world.atp("soy", pool), world.atp("candle", pool)) == (soy, 10)
    world.do(BuildStock("candle", 2, "b1", "test", location="stall", bill=1))
    world.hears(world.order("woo", "1", line("w1", 2, shipped=2), version=2))
    assert pins(world) == {MAIN: (Pin(1, 3),), MARKET: ()}
    world.stock(mug=1)
    assert len(world.catalogue.older_bills) == 1
    world.hears(world.order("shopify", "1", version=2))
    world.stock(vase=1)
    assert world.catalogue.older_bills == ()
    assert check(books(world)) == []


def test_what_an_older_bill_has_left_of_roundings_is_of_one_pool() -> None:
    """Four candles take three of soy: the first that is built takes one, and the others two."""
    world = shop().stock(candle=0, soy=10, palm=10).bill("candle", 4, soy=3)
    world.moves("soy", 10, MovementKind.RECEIPT, "r1", location="stall")
    world.list("woo", "w1", "candle", shows=0)
    world.hears(world.order("woo", "1", line("w1", 4)))
    world.bill("candle", palm=1)
    assert (world.atp("soy"), world.atp("soy", MARKET)) == (10, 7)
    world.do(BuildStock("candle", 1, "b1", "test", location="stall", bill=1))
    assert pins(world) == {MARKET: (Pin(1, 4, (Rest("soy", 1),)),)}
    assert (world.atp("soy"), world.atp("soy", MARKET)) == (10, 7)
    world.do(BuildStock("candle", 3, "b2", "test", location="stall", bill=1))
    assert (on_hand(world)["soy market"], world.atp("soy", MARKET)) == (7, 7)


@pytest.mark.parametrize("large_min", [1, 10**9])
def test_what_is_open_keeps_its_bill_in_another_pool(large_min: int) -> None:
    """The channel of the market sells at home from now on: its two of soy are made of the soy that
    lies there, beside the three that were ordered at home.
    """
    with large_from(large_min):
        world = recipes()
        world.catalogue = with_pool("woo", MAIN, known=world.catalogue)
        world.do(StartChannel("woo"))
        assert pins(world) == {MAIN: (Pin(1, 5),), MARKET: ()}
        assert (world.atp("soy"), world.atp("soy", MARKET)) == (0, 10)
        world.hears(world.order("woo", "1", line("w1", 1), version=2))
        assert pins(world)[MAIN] == (Pin(1, 4),)
        assert {row.bill for row in world.rows.reservations.values()} == {1}
        world.catalogue = with_pool("shopify", MARKET, known=world.catalogue)
        world.do(StartChannel("shopify"))
        assert pins(world) == {MAIN: (Pin(1, 1),), MARKET: (Pin(1, 3),)}
        assert check(books(world)) == []


@pytest.mark.parametrize("exposure", [Exposure.GUARD, Exposure.SPLIT])
@pytest.mark.parametrize("large_min", [1, 10**9])
@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_two_pools_are_two_shops_with_transfers(
    first: int, large_min: int, exposure: Exposure
) -> None:
    """Sales, cancels, builds, other bills, holds, readings, pushes and transfers, in half of the
    shops with supplies of orders: every row, ATP and number that is sent is what each pool had come
    to as a shop of its own, read whole or in part, shared or parted.
    """
    with large_from(large_min):
        for seed in range(first, first + 8):
            twins = Twins(seed, exposure)
            for number in range(DEEDS):
                twins.deed(number)
                try:
                    twins.compare()
                except AssertionError as wrong:
                    raise AssertionError(f"seed {seed}, deed {number}: {wrong}") from wrong


@pytest.mark.parametrize(("arrays_min", "in_part"), [(1, False), (10**9, False), (10**9, True)])
def test_each_pool_promises_what_brute_force_says(
    arrays_min: int, in_part: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random bills, substitutes, supplies of orders, stock and demand in two pools, some of it by
    older bills: in each, the definition of ATP, word for word; item by item, in arrays and in part.
    """
    monkeypatch.setattr(view, "ARRAYS_MIN", arrays_min)
    for seed in range(150):
        dice = Random(seed)
        case = oracle.random_world(dice)
        named = set(case.name_of.values())
        crates = {
            sku: dice.randint(1, 3) for sku in case.skus if sku not in named and dice.random() < 0.3
        }
        amounts = {
            pool: {
                sku: (0, 0, 0)
                if sku in named
                else (dice.randint(-2, 12), dice.choice((0, 0, 1, 4)), dice.choice((0, 0, 2)))
                for sku in case.skus
            }
            for pool in (MAIN, MARKET)
        }
        older = [bill for each in case.older.values() for bill, _ in each]
        pins = {
            shelf_key(sku, pool): tuple(
                Pin(bill.version, units)
                for bill in older
                if bill.item == sku and (units := dice.choice((0, 1, 3)))
            )
            for pool in (MAIN, MARKET)
            for sku in case.skus
        }
        items = [
            replace(
                item,
                substitute_for=case.name_of.get(item.sku),
                per_order=(OrderSupply("crate", crates[item.sku], gate=True),)
                if item.sku in crates
                else (),
            )
            for item in World().stock(**dict.fromkeys(case.skus, 0)).catalogue.items.values()
        ]
        items.append(Item("crate", "", Kind.SUPPLY, "piece"))
        built = catalogue.build(0, items, case.bills, (), POLICIES, PLACES, (), older)
        rows = View(built, World().rows).rows
        shelves = {
            key: Shelf(
                sku,
                of[0],
                of[1] + sum(pin.units for pin in pins[key]),
                of[2],
                pool=pool,
                pins=pins[key],
            )
            for pool, all_of in amounts.items()
            for sku, of in all_of.items()
            for key in (shelf_key(sku, pool),)
        }
        there = {pool: (dice.randint(0, 9), dice.choice((0, 2))) for pool in (MAIN, MARKET)}
        for pool, (on_hand_of, claimed) in there.items():
            shelf = Shelf("crate", on_hand_of, claimed, pool=pool)
            shelves[shelf.key] = shelf
        partial = frozenset(shelves) if in_part else None
        net = View(built, replace(rows, shelves=shelves, partial=partial)).net(shelves)
        for pool, all_of in amounts.items():
            alone = oracle.World(
                case.bills,
                {sku: of[0] for sku, of in all_of.items()},
                {sku: shelves[shelf_key(sku, pool)].reserved + of[2] for sku, of in all_of.items()},
                name_of=case.name_of,
                older={
                    sku: tuple(
                        (bill, pin.units)
                        for pin in pins[shelf_key(sku, pool)]
                        for bill in older
                        if (bill.item, bill.version) == (sku, pin.version)
                    )
                    for sku in case.older
                },
            )
            for sku in case.skus:
                found = netted_atp(net, shelf_key(sku, pool))
                expected = oracle.atp(alone, sku)
                while sku in crates and expected * crates[sku] > there[pool][0] - there[pool][1]:
                    expected -= 1
                assert found == expected, (seed, pool, sku)
                terms = item_terms(net, shelf_key(sku, pool), held=0, suspense=0)
                assert sum(units for _, units in terms) == found, (seed, pool, sku)
