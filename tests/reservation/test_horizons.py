"""Horizons of listings: what is promised on one that says another than its item, by brute force."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from stockpush.engine import report
from stockpush.messages import (
    Decision,
    ImportCatalogue,
    QuarantineLot,
    Refused,
    TurnLots,
)
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    Coming,
    Exposure,
    Kind,
    ListingKey,
    Location,
    MovementKind,
    OrderSupply,
    Promise,
)
from stockpush.reservation import catalogue, horizons, sold_out
from stockpush.reservation import view as view_module
from stockpush.reservation.atp import Ahead, atp, looking
from stockpush.reservation.exposure import item_terms
from stockpush.reservation.pushes import derivation, shown_in, target_in
from stockpush.reservation.view import View
from stockpush.units import parse_duration
from tests.reservation import oracle
from tests.reservation.oracle import random_world, timed
from tests.reservation.test_atp import netted
from tests.reservation.test_lots import receive, sound
from tests.reservation.world import POLICIES, START, World, line

PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"
DAY = timedelta(days=1)
DAY_S = 86_400
SEEDS = 700
SHOPS = 40


def offers(world: World) -> dict[str, int]:
    """Return what each field should show, by "channel/key"."""
    view = View(world.catalogue, world.rows)
    found = {}
    for key, row in sorted(world.rows.fields.items()):
        net = view.net([view.catalogue.shelf_on(key.channel, row.sku)])
        found["/".join(key)] = target_in(view, net, row, POLICIES[key.channel])
    return found


# -- by brute force --------------------------------------------------------------------------------


def test_what_is_promised_by_another_horizon_is_what_brute_force_finds() -> None:
    """As if it were the item's own, with what comes by then as its stock: in random worlds with
    build times, substitutes, promise rules and older bills. The terms sum to it.
    """
    differs = blocked = more = fewer = 0
    for seed in range(SEEDS):
        random = Random(seed)
        case = timed(random_world(random), random)
        netting = netted(case)
        for sku in case.skus:
            if sku in case.name_of.values():
                continue
            horizon_s, coming = random.choice((None, 0, 1, 2, 4, 9)), random.choice((0, 1, 3, 8))
            ahead = Ahead(horizon_s, 0 if horizon_s is None else coming)
            then = as_if(case, sku, ahead)
            again = netted(then)
            names = (sku, *again.bills.older.get(sku, ()))
            found = looking(
                netting,
                sku,
                ahead,
                on_hand={name: again.on_hand[name] for name in names},
                ceilings={sku: again.ceilings[sku]} if sku in again.ceilings else {},
            )
            promised = oracle.atp(then, sku)
            assert atp(found, sku) == promised, (seed, sku, ahead)
            terms = dict(item_terms(found, sku, held=0, suspense=0))
            assert sum(terms.values()) == promised, (seed, sku, ahead)
            assert terms.get("coming", 0) == ahead.coming
            own = oracle.atp(case, sku)
            differs += promised != own
            more += promised > max(0, own)
            fewer += max(0, promised) < own
            blocked += promised < 0
    assert min(differs, more, fewer, blocked) > SEEDS / 10


def as_if(case: oracle.World, sku: str, ahead: Ahead) -> oracle.World:
    """Return the world in which the item has another horizon, and so much comes by that."""
    said = {item: each for item, each in case.horizons.items() if item != sku}
    comes = {item: each for item, each in case.coming.items() if item != sku}
    now = case.on_hand[sku] - case.coming.get(sku, 0)
    return replace(
        case,
        horizons=said if ahead.horizon_s is None else {**said, sku: ahead.horizon_s},
        coming=comes if ahead.horizon_s is None else {**comes, sku: ahead.coming},
        on_hand={**case.on_hand, sku: now + ahead.coming},
    )


HORIZONS = (0, 2 * DAY_S, 5 * DAY_S, 9 * DAY_S)


def shop(dice: Random) -> World:
    """Return a shop of a few items that share wax, with lots on their way and listings of many
    horizons.
    """
    world = World().stock(wax=dice.randint(0, 30), jar=dice.randint(0, 9))
    world.stock(candle=dice.randint(0, 4), balm=dice.randint(0, 4), crate=dice.randint(2, 9))
    world.item("crate", kind=Kind.SUPPLY)
    for sku, days in (("candle", dice.choice((0, 3, 8))), ("balm", dice.choice((0, 4)))):
        lines = (BillLine("wax", dice.choice((1, 2))), BillLine("jar", 1))
        made = BillOfMaterials(sku, 1, lines, build_time_s=days * DAY_S)
        world.do(ImportCatalogue((), (made,), (), (), f"bill {sku}", "test"))
        promise = dice.choice((Promise.FINISHED, Promise.BUILDABLE, Promise.BUILDABLE))
        world.item(sku, horizon_s=dice.choice((None, *HORIZONS)), promise=promise)
        for at, channel in enumerate(("shopify", "etsy", "woo")):
            said = dice.choice((None, *HORIZONS))
            world.list(channel, f"{sku}{at}", sku, shows=0, horizon_s=said)
        if dice.random() < 0.3:
            world.item(sku, per_order=(OrderSupply("crate", 1, gate=True),))
    world.syncs()
    return world


def something_happens(dice: Random, world: World, number: int) -> None:
    """Do one thing that bears on what comes, or on what is promised."""
    sku = dice.choice(("candle", "balm"))
    match dice.randrange(7):
        case 0 | 1:
            ready = world.now + dice.randint(1, 12) * DAY
            receive(world, sku, dice.randint(1, 6), f"L{number}", available_from=ready)
        case 2:
            units = line(f"{sku}0", dice.randint(1, 3))
            world.hears(world.order("shopify", f"{number}", units))
        case 3:
            world.now += dice.randint(1, 4) * DAY
            due = {lot.key.sku for lot in world.rows.lots.values() if lot.turns_at is not None}
            world.do(TurnLots(tuple(sorted(due))))
        case 4:
            known = [key for key in world.catalogue.listings if key.ref.startswith(sku)]
            listing = world.catalogue.listings[dice.choice(sorted(known))]
            said = replace(listing, horizon_s=dice.choice((None, *HORIZONS)))
            world.do(ImportCatalogue((), (), (said,), (), f"said {number}", "test"))
        case 5:
            world.item(sku, horizon_s=dice.choice((None, *HORIZONS)))
        case 6:
            lots = sorted(key.lot for key in world.rows.lots if key.sku == sku)
            if lots:
                aside = dice.random() < 0.5
                world.do(QuarantineLot(sku, dice.choice(lots), quarantined=aside, actor="test"))


def test_a_listing_is_offered_what_its_item_could_promise_by_its_horizon() -> None:
    """In random shops, whatever is received, sold, imported or turned by the clock: the ATP by each
    horizon is that of the same shop where the item has it, and exactly the fields that show
    something else are dirty. What comes by each is what lies in lots.
    """
    seen: defaultdict[bool, int] = defaultdict(int)
    for seed in range(SHOPS):
        dice = Random(seed)
        world = shop(dice)
        for number in range(12):
            something_happens(dice, world, number)
            sound(world)
            for sku in ("candle", "balm"):
                view = View(world.catalogue, world.rows)
                net = view.net([sku])
                own, by = atp(net, sku), horizons.promised(view, net, sku)
                for horizon_s, promised in by.items():
                    other = World(world.rows, world.catalogue, world.now)
                    other.item(sku, horizon_s=horizon_s)
                    assert promised == other.atp(sku), (seed, number, sku, horizon_s)
                    seen[promised != own] += 1
            assert world.dirty == differently_shown(world), (seed, number)
            if dice.random() < 0.3:
                world.syncs()
    assert min(seen.values()) > 100


def test_arrays_promise_the_same_by_each_horizon() -> None:
    """A large group is netted in arrays, and its listings' horizons are asked of that."""
    asked = 0
    for seed in range(20):
        dice = Random(seed)
        world = shop(dice)
        for number in range(5):
            something_happens(dice, world, number)
        view = View(world.catalogue, world.rows)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(view_module, "ARRAYS_MIN", 1)
            arrays = view.net(["candle", "balm"])
        plain = view.net(["candle", "balm"])
        assert (arrays.known is None, plain.known) == (False, None)
        for sku in ("candle", "balm"):
            by = horizons.promised(view, plain, sku)
            assert horizons.promised(view, arrays, sku) == by
            asked += len(by)
    assert asked > 50


def differently_shown(world: World) -> set[str]:
    """Return the fields whose expected number is not what they should show."""
    expected = world.expected()
    return {key for key, offer in offers(world).items() if expected[key] != offer}


# -- lots ------------------------------------------------------------------------------------------


def soaps(**items: object) -> World:
    """Four finished soaps; Etsy promises two days, Faire three weeks, the shop as the item does."""
    world = World().stock(soap=4).item("soap", promise=Promise.FINISHED, **items)
    world.list("shopify", "a", "soap", shows=4)
    world.list("etsy", "b", "soap", shows=4, horizon_s=2 * DAY_S)
    world.list("faire", "c", "soap", shows=4, horizon_s=21 * DAY_S)
    return world


@pytest.mark.parametrize(
    ("own_days", "shown"),
    [
        (None, {0: (4, 4, 4), 9: (4, 4, 10), 28: (4, 10, 10), 30: (10, 10, 10)}),
        (5, {0: (4, 4, 4), 9: (4, 4, 10), 25: (10, 4, 10), 28: (10, 10, 10), 30: (10, 10, 10)}),
        (25, {0: (4, 4, 4), 5: (10, 4, 4), 9: (10, 4, 10), 28: (10, 10, 10), 30: (10, 10, 10)}),
    ],
)
def test_a_lot_is_promised_on_each_listing_when_its_horizon_reaches_it(
    own_days: int | None, shown: dict[int, tuple[int, int, int]]
) -> None:
    """Six cure until day 30. By the clock alone each listing rises on a day of its own, and on no
    other: the lot says when it is to be looked at next.
    """
    world = soaps(horizon_s=None if own_days is None else own_days * DAY_S)
    receive(world, "soap", 6, "curing", available_from=START + 30 * DAY)
    (lot,) = world.rows.lots.values()
    days = sorted(shown)
    for day, following in zip(days, [*days[1:], None], strict=True):
        world.now = START + day * DAY
        world.do(TurnLots(("soap",)))
        (lot,) = world.rows.lots.values()
        assert tuple(offers(world).values())[::-1] == (
            shown[day][0],
            shown[day][2],
            shown[day][1],
        )
        assert lot.turns_at == (None if following is None else START + following * DAY)
        sound(world)
        if following is not None:
            world.now = START + following * DAY - timedelta(microseconds=1)
            assert world.do(TurnLots(("soap",))) == Decision()


def test_lots_between_two_horizons_are_promised_only_by_the_longer() -> None:
    """Two lots, one within two days and one within three weeks; none is promised too early, and an
    import of another horizon counts them anew.
    """
    world = soaps()
    receive(world, "soap", 1, "soon", available_from=START + 1 * DAY)
    receive(world, "soap", 6, "later", available_from=START + 20 * DAY)
    assert world.rows.shelves["soap"].coming_by == (Coming(2 * DAY_S, 1), Coming(21 * DAY_S, 7))
    assert offers(world) == {"shopify/a": 4, "etsy/b": 5, "faire/c": 11}
    known = world.catalogue.listings[ListingKey("etsy", "b")]
    said = replace(known, horizon_s=20 * DAY_S)
    world.do(ImportCatalogue((), (), (said,), (), "said", "test"))
    assert world.rows.shelves["soap"].coming_by == (Coming(20 * DAY_S, 7), Coming(21 * DAY_S, 7))
    assert (offers(world)["etsy/b"], "etsy/b" in world.dirty) == (11, True)
    world.do(ImportCatalogue((), (), (replace(known, horizon_s=None),), (), "unsaid", "test"))
    assert world.rows.shelves["soap"].coming_by == (Coming(21 * DAY_S, 7),)
    assert offers(world)["etsy/b"] == 4
    sound(world)


def test_what_comes_is_counted_in_the_pool_where_it_lies() -> None:
    """It moves with its lot, and with its location."""
    world = soaps()
    market = (Location("market", pool="market"), Location("fair", pool="market"))
    world.do(ImportCatalogue((), (), (), (), "market", "test", locations=market))
    receive(world, "soap", 6, "later", at="fair", available_from=START + 20 * DAY)
    assert world.rows.shelves["soap"].coming_by == ()
    there = (Coming(21 * DAY_S, 6),)
    assert world.rows.shelves["soap\x1fmarket"].coming_by == there
    here = (replace(market[1], pool="main"),)
    world.do(ImportCatalogue((), (), (), (), "here", "test", locations=here))
    assert world.rows.shelves["soap"].coming_by == there
    assert world.rows.shelves["soap\x1fmarket"].coming_by == ()
    assert offers(world)["faire/c"] == 10
    sound_in_pools = {shelf.key: shelf.coming_by for shelf in world.rows.shelves.values()}
    assert sound_in_pools == {"soap": there, "soap\x1fmarket": ()}


def test_listings_on_one_number_show_what_all_their_horizons_let() -> None:
    """One that asks nothing is promised no lot before its first day, the other nothing slow."""
    world = World().stock(soap=4, oil=90).bill("soap", oil=1)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=42 * DAY_S)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    receive(world, "soap", 6, "later", available_from=START + 20 * DAY)
    world.list("shopify", "a", "soap", shows=4, field="one")
    assert offers(world) == {"shopify/one": 94}
    world.list("shopify", "b", "soap", field="one", horizon_s=21 * DAY_S)
    assert offers(world) == {"shopify/one": 10}
    world.list("shopify", "c", "soap", field="one", horizon_s=90 * DAY_S)
    assert offers(world) == {"shopify/one": 10}
    sound(world)


# -- the page --------------------------------------------------------------------------------------


def tables() -> list[list[tuple[str, ...]]]:
    """Return the rows of the tables of the page's section, their headings left out."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## How soon, listing by listing\n")[2]
    found = re.findall(r"(?:^\|.*\n)+", section.partition("\n## ")[0], flags=re.MULTILINE)
    return [
        [tuple(cell.strip() for cell in row.strip("| ").split("|")) for row in rows.splitlines()]
        for rows in found
    ]


@pytest.mark.parametrize("row", tables()[0][2:])
def test_the_table_of_the_page(row: tuple[str, ...]) -> None:
    """Soap that cures, and oil for more: what each listing shows on a day, with so many sold."""
    day, sold, *shown = map(int, row)
    world = World().stock(soap=12, oil=50).bill("soap", oil=1)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=42 * DAY_S)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("soap", horizon_s=3 * DAY_S)
    said = [parse_duration(each, field="row") for each in tables()[0][0][3:]]
    for channel, horizon_s in zip(("shopify", "etsy", "faire", "woo"), (None, *said), strict=True):
        world.list(channel, channel, "soap", shows=0, horizon_s=horizon_s)
    receive(world, "soap", 40, "cures", available_from=START + 20 * DAY)
    if sold:
        world.hears(world.order("faire", "1", line("faire", sold, deducted=sold)))
    world.now = START + day * DAY
    world.do(TurnLots(("soap",)))
    found = offers_alone(world)
    assert [found[each] for each in ("shopify", "etsy", "faire", "woo")] == shown


def offers_alone(world: World) -> dict[str, int]:
    """Return what each field should sell from now on, by channel."""
    view = View(world.catalogue, world.rows)
    return {
        key.channel: shown_in(view, view.net([row.sku]), row, POLICIES[key.channel]).offer
        for key, row in sorted(world.rows.fields.items())
    }


@pytest.mark.parametrize("row", tables()[1][2:])
def test_the_table_of_the_page_about_sharing(row: tuple[str, ...]) -> None:
    """Candles that are there in two days, and more that can be made in three weeks."""
    policy, there, shown = row
    soon, late = map(int, there.split(", "))
    exposure, _, _ = policy.partition(",")
    world = made_to_order(soon, late - soon, exposure=Exposure(exposure), guard_min=4)
    settle(world)
    found = offers_alone(world)
    assert [found[each] for each in ("etsy", "shopify", "faire")] == [
        int(each) for each in shown.split(", ")
    ]


# -- what is shared out ----------------------------------------------------------------------------


def made_to_order(finished: int = 3, wax: int = 60, **items: object) -> World:
    """Three candles; sixty more can be made, which takes ten days: only Faire promises those."""
    world = World().stock(candle=finished, wax=wax).bill("candle", wax=1)
    slow = replace(world.catalogue.bills.by_item["candle"], build_time_s=10 * DAY_S)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("candle", horizon_s=2 * DAY_S, **items)
    world.list("shopify", "a", "candle", shows=3)
    world.list("etsy", "b", "candle", shows=3)
    world.list("faire", "c", "candle", shows=3, horizon_s=21 * DAY_S)
    return world


def settle(world: World) -> None:
    """Write, and read again, until every number is where it should be."""
    for _ in range(9):
        world.syncs()
        for channel, key in (("shopify", "a"), ("etsy", "b"), ("faire", "c")):
            world.reads(channel, key, world.field(channel, key).expected or 0)
            world.polls(channel)


def test_a_listing_with_plenty_by_its_horizon_shares_nothing() -> None:
    """Guarded are those of which little is there by theirs; with less wax all three share."""
    world = made_to_order(guard_min=4)
    assert world.rows.shelves["candle"].guarded
    assert offers(world) == {"shopify/a": 1, "etsy/b": 2, "faire/c": 63}
    world.moves("wax", -59, MovementKind.ADJUSTMENT)
    few = offers(world)
    assert few["shopify/a"] + few["etsy/b"] <= 3
    assert sum(few.values()) == 4


def test_an_item_is_guarded_by_the_least_that_a_listing_is_offered() -> None:
    """Its own horizon is the longest here, and by that there is plenty."""
    world = made_to_order(guard_min=4)
    for channel, ref in (("shopify", "a"), ("etsy", "b")):
        hasty = replace(world.catalogue.listings[ListingKey(channel, ref)], horizon_s=2 * DAY_S)
        world.do(ImportCatalogue((), (), (hasty,), (), f"hasty {ref}", "test"))
    world.item("candle", horizon_s=21 * DAY_S)
    assert world.atp("candle") == 63
    assert offers_alone(world) == {"shopify": 1, "etsy": 2, "faire": 63}
    world.moves("candle", 9, MovementKind.ADJUSTMENT)
    assert offers_alone(world) == {"shopify": 12, "etsy": 12, "faire": 72}


@pytest.mark.parametrize("seed", range(50))
def test_what_listings_share_is_there_by_the_horizon_of_each(seed: int) -> None:
    """Guarded, bounded by `exposure_max` or split: those with a horizon or a shorter one show
    together no more than there is by it, and with a limit so much more.
    """
    dice = Random(seed)
    world = shop(dice)
    policy = dice.choice((Exposure.GUARD, Exposure.GUARD, Exposure.SPLIT, Exposure.MIRROR))
    limit = dice.choice((0, 2)) if policy is Exposure.MIRROR or dice.random() < 0.5 else None
    level = 999 if limit is None else dice.choice((2, 4, 999))
    for sku in ("candle", "balm"):
        world.item(sku, exposure=policy, guard_min=level, exposure_max=limit)
        for at, channel in enumerate(("shopify", "etsy", "woo")):
            known = world.catalogue.listings[ListingKey(channel, f"{sku}{at}")]
            heavy = replace(known, weight=dice.choice((1, 1, 9)))
            world.do(ImportCatalogue((), (), (heavy,), (), f"weigh {sku} {at}", "test"))
    for number in range(6):
        something_happens(dice, world, number)
        world.syncs()
        view = View(world.catalogue, world.rows)
        for sku in ("candle", "balm"):
            net = view.net([sku])
            by = horizons.promised(view, net, sku)
            fields = [world.rows.fields[key] for key in view.catalogue.fields_of[sku]]
            shown = {
                row.key: shown_in(view, net, row, POLICIES[row.key.channel]).offer for row in fields
            }
            there = {
                key: horizons.atp_on(view.catalogue, key, atp=atp(net, sku), by=by) for key in shown
            }
            for most in there.values():
                together = sum(units for key, units in shown.items() if there[key] <= most)
                assert together <= max(0, most) + (limit or 0), (number, sku, shown, there)
            for row in fields:
                terms = derivation(view, net, row, POLICIES[row.key.channel])
                wanted = target_in(view, net, row, POLICIES[row.key.channel])
                assert sum(units for _, units in terms) == wanted


def test_what_is_split_is_there_by_the_shortest_horizon() -> None:
    """Two listings that promise two days part what is there, and Faire gets of that alone."""
    world = made_to_order(exposure=Exposure.SPLIT)
    settle(world)
    assert sum(row.expected or 0 for row in world.rows.fields.values()) == 3


def test_what_could_be_sold_too_much_is_told_by_the_horizon_of_each_listing() -> None:
    """Three are there for shop and Etsy, so three are too many; Faire's 63 are there by its own.

    All sold, 69 are wanted of 63: six are too many.
    """
    world = made_to_order(exposure=Exposure.MIRROR)
    world.reads("faire", "c", 3)
    world.syncs()
    assert world.expected() == {"shopify/a": 3, "etsy/b": 3, "faire/c": 63}

    def too_much() -> int:
        view = View(world.catalogue, world.rows)
        return sold_out.too_much(view, sold_out.net(view, ["candle"]), "candle")

    assert too_much() == 6
    world.moves("wax", 6, MovementKind.ADJUSTMENT)
    assert too_much() == 3


def test_a_limit_of_exposure_holds_by_each_horizon() -> None:
    """Shop and Etsy show one too many of three, although all together show less than is there by
    Faire's.
    """
    world = made_to_order(exposure=Exposure.MIRROR, exposure_max=1)
    known = world.catalogue.listings[ListingKey("faire", "c")]
    world.do(ImportCatalogue((), (), (replace(known, cap=10),), (), "cap", "test"))
    found = offers_alone(world)
    assert (found["shopify"] + found["etsy"], found["faire"]) == (4, 10)


def test_a_limit_of_exposure_holds_while_the_item_is_guarded() -> None:
    """Then all share, for what the guarded ones show is also there for the one with plenty."""
    world = made_to_order(guard_min=4, exposure_max=0)
    heavy = replace(world.catalogue.listings[ListingKey("faire", "c")], weight=1000)
    world.do(ImportCatalogue((), (), (heavy,), (), "heavy", "test"))
    assert world.rows.shelves["candle"].guarded
    assert sum(offers_alone(world).values()) == 63


def test_what_is_split_is_given_away_only_when_the_lower_number_was_taken() -> None:
    """By the item's own horizon there would be plenty for both; by theirs there are three."""
    world = World().stock(candle=3, wax=60).bill("candle", wax=1)
    slow = replace(world.catalogue.bills.by_item["candle"], build_time_s=10 * DAY_S)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("candle", horizon_s=21 * DAY_S, exposure=Exposure.SPLIT)
    world.list("shopify", "a", "candle", shows=3, horizon_s=2 * DAY_S)
    world.list("woo", "b", "candle", shows=0, horizon_s=2 * DAY_S)
    for channel, ref in (("shopify", "a"), ("woo", "b")):
        world.reads(channel, ref, world.field(channel, ref).expected)
        world.polls(channel)
    capped = replace(world.catalogue.listings[ListingKey("shopify", "a")], cap=1)
    world.do(ImportCatalogue((), (), (capped,), (), "capped", "test"))
    world.reads("shopify", "a", 3)
    world.polls("shopify")
    (lowering,) = world.pushes("shopify")
    assert (lowering.target, offers_alone(world)["woo"]) == (1, 0)
    world.settles(lowering)
    assert offers_alone(world)["woo"] == 2


def test_what_is_split_counts_no_lot_that_a_listing_is_not_promised() -> None:
    """One asks nothing, and is promised no lot before its first day; the other three weeks."""
    world = World().stock(soap=4).item("soap", exposure=Exposure.SPLIT)
    receive(world, "soap", 6, "later", available_from=START + 20 * DAY)
    world.list("shopify", "a", "soap", shows=0)
    world.list("faire", "c", "soap", shows=0, horizon_s=21 * DAY_S)
    assert sum(offers_alone(world).values()) == 4


def test_what_others_sell_from_a_lot_counts_by_their_items_horizon() -> None:
    """Ten soaps that Faire shows come in a lot: were they sold out, their orders would want oil by
    the soap's own horizon, as orders do, and the balm would have none.
    """
    world = World().stock(soap=0, balm=0, oil=5).bill("soap", oil=1).bill("balm", oil=1)
    world.item("soap", promise=Promise.FINISHED)
    receive(world, "soap", 10, "later", available_from=START + 20 * DAY)
    world.list("faire", "c", "soap", shows=10, horizon_s=21 * DAY_S)
    world.list("shopify", "b", "balm", shows=5)
    view = View(world.catalogue, world.rows)
    worst = sold_out.net(view, ["balm"])
    assert [sold_out.too_much(view, worst, sku) for sku in ("balm", "soap")] == [5, 0]
    world.hears(world.order("faire", "1", line("c", 10)))
    assert world.atp("balm") == 0


def candles_of_coming_wax(horizon_s: int | None, exposure: Exposure) -> World:
    """Wax for ten candles, and more in two weeks; it is listed, too, and may say a horizon."""
    world = World().stock(wax=10, candle=0).bill("candle", wax=1)
    for sku in ("wax", "candle"):
        world.item(sku, exposure=exposure)
    receive(world, "wax", 100, "later", available_from=START + 14 * DAY)
    world.list("faire", "w", "wax", shows=0, cap=0, horizon_s=horizon_s)
    for channel in ("shopify", "etsy", "woo"):
        world.list(channel, "c", "candle", shows=0)
    return world


def test_what_is_made_of_a_listed_item_is_split_by_that_items_own_horizon() -> None:
    """Ten candles are parted, although a listing of their wax looks far enough ahead for more, and
    no hold takes what is on sale.
    """
    for horizon_s in (None, 21 * DAY_S):
        world = candles_of_coming_wax(horizon_s, Exposure.SPLIT)
        for _ in range(9):
            world.syncs()
        assert sum(world.expected().values()) == 10
        assert isinstance(world.holds(("candle", 5), key="hold").outcome, Refused)


def test_a_listing_of_what_an_item_is_made_of_hides_no_oversell() -> None:
    """Twenty candles are shown of ten: ten too many, whatever a listing of their wax says."""
    for horizon_s in (None, 21 * DAY_S):
        world = candles_of_coming_wax(horizon_s, Exposure.MIRROR)
        for channel in ("shopify", "etsy"):
            world.reads(channel, "c", 10)
        world.reads("woo", "c", 0)
        view = View(world.catalogue, world.rows)
        assert sold_out.too_much(view, sold_out.net(view, ["candle"]), "candle") == 10


@pytest.mark.parametrize("exposure", [Exposure.SPLIT, Exposure.GUARD])
def test_a_listing_that_is_not_ours_binds_no_other(exposure: Exposure) -> None:
    """Faire looks three weeks ahead; an Etsy listing that promises today shares nothing with it
    until it is adopted.
    """
    world = World().stock(soap=4)
    world.item("soap", exposure=exposure, guard_min=5, horizon_s=21 * DAY_S)
    receive(world, "soap", 60, "later", available_from=START + 20 * DAY)
    world.list("faire", "s", "soap", shows=0)
    assert offers(world)["faire/s"] == 64
    world.list("etsy", "x", "soap", adopt=False, horizon_s=0)
    assert offers(world)["faire/s"] == 64
    assert not world.rows.shelves["soap"].guarded


@pytest.mark.parametrize("large_from", [1, 10**9])
def test_a_field_of_two_items_stops_nobody(
    large_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person has to part them; meanwhile sales of either count, and reports tell of both."""
    monkeypatch.setattr(catalogue, "LARGE_MIN", large_from)
    world = World().stock(wax=10, candle=0, balm=0).bill("candle", wax=1).bill("balm", wax=1)
    world.list("etsy", "b", "balm", shows=10, horizon_s=5 * DAY_S)
    world.list("shopify", "a1", "candle", field="both")
    world.list("shopify", "a2", "balm", field="both")
    world.hears(world.order("etsy", "1", line("b", 3)))
    assert world.atp("candle") == 7
    view = View(world.catalogue, world.rows)
    assert {row.sku for row in report.stock(view)} == {"balm", "candle", "wax"}
    rows, _ = report.listings_page(view, limit=9)
    assert len(rows) == 3


# -- a push says why -------------------------------------------------------------------------------


def test_the_terms_of_a_push_sum_to_it_by_the_horizon_of_its_listing() -> None:
    """What comes by it is a term; what is stored with the push says the same."""
    world = soaps()
    receive(world, "soap", 6, "later", available_from=START + 20 * DAY)
    world.reads("faire", "c", 4)
    (push,) = world.pushes("faire")
    assert push.target == 10
    assert dict(push.terms)["coming"] == 6
    assert sum(units for _, units in push.terms) == push.target
    world.settles(push)
    assert world.dirty == set()
    world.hears(world.order("shopify", "1", line("a", 5)))
    assert offers(world) == {"shopify/a": 0, "etsy/b": 0, "faire/c": 5}
