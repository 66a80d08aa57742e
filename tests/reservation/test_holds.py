"""Holds of our own: what can be held, what a hold does to ATP, and how it ends."""

from __future__ import annotations

import doctest
import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.messages import (
    Accepted,
    Decision,
    ExpireHolds,
    ImportCatalogue,
    Refused,
    ReleaseHold,
    RenewHold,
    Replayed,
    Rows,
    SellHold,
)
from stockpush.model import (
    HOLD_LINES_MAX,
    QUANTITY_MAX,
    Hold,
    HoldLine,
    HoldState,
    Item,
    Kind,
    MovementKind,
    Promise,
    PurchaseUnit,
    Shelf,
)
from stockpush.reservation import holds
from stockpush.reservation.atp import atp
from stockpush.reservation.catalogue import build
from stockpush.reservation.holds import HOLD_MAX, TRANSITIONS, shortfall, taken
from stockpush.reservation.view import View
from tests.reservation import oracle
from tests.reservation.world import START, World

HELD, SOLD, RELEASED, EXPIRED = HoldState


def workshop() -> World:
    """Wax for ten candles of 100 g or forty balms of 25 g, and two candles that are finished.

    Ten tins for balms; candles need none.
    """
    world = World().stock(candle=2, balm=0, wax=1000, tin=10)
    return world.bill("candle", wax=100).bill("balm", wax=25, tin=1)


def atps(world: World) -> dict[str, int]:
    """ATP of every item."""
    return {sku: world.atp(sku) for sku in sorted(world.catalogue.items)}


def refused(decision: Decision) -> dict[str, object]:
    """What a refusal says, for machines."""
    assert isinstance(decision.outcome, Refused), decision.outcome
    assert (decision.holds, decision.shelves, decision.commands) == ((), (), ())
    return {"refused": decision.outcome.refusal, **decision.outcome.facts}


def test_the_examples_in_the_docstrings_run() -> None:
    """Every doctest of the module passes."""
    result = doctest.testmod(holds)
    assert result.attempted > 0
    assert result.failed == 0


# -- what can be held ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([("candle", 2)], {"balm": 10, "candle": 10, "tin": 10, "wax": 1000}),
        ([("candle", 5)], {"balm": 10, "candle": 7, "tin": 10, "wax": 700}),
        ([("candle", 12)], {"balm": 0, "candle": 0, "tin": 10, "wax": 0}),
        ([("candle", 10), ("balm", 8)], {"balm": 0, "candle": 0, "tin": 2, "wax": 0}),
        ([("balm", 10)], {"balm": 0, "candle": 9, "tin": 0, "wax": 750}),
        ([("balm", 4), ("balm", 6)], {"balm": 0, "candle": 9, "tin": 0, "wax": 750}),
        ([("wax", 1000)], {"balm": 0, "candle": 2, "tin": 10, "wax": 0}),
    ],
    ids=str,
)
def test_what_is_held_can_be_promised_to_nobody_else(
    lines: list[tuple[str, int]], left: dict[str, int]
) -> None:
    """Finished units first, then what the materials can make, which others share."""
    world = workshop()
    assert isinstance(world.holds(*lines).outcome, Accepted)
    assert atps(world) == left


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([("candle", 13)], ("candle", "13", "12", "1", "wax", {"wax": "100"})),
        ([("candle", 500)], ("candle", "500", "12", "488", "wax", {"wax": "48800"})),
        ([("balm", 11)], ("balm", "11", "10", "1", "tin", {"tin": "1"})),
        ([("wax", 1001)], ("wax", "1001", "1000", "1", "wax", {"wax": "1"})),
        # Twelve candles and ten balms are there, but not the wax for both: 1000 + 250 g.
        ([("candle", 12), ("balm", 10)], ("balm", "10", "0", "10", "wax", {"wax": "250"})),
        ([("balm", 10), ("candle", 12)], ("candle", "12", "9", "3", "wax", {"wax": "250"})),
        ([("balm", 6), ("balm", 6)], ("balm", "12", "10", "2", "tin", {"tin": "2"})),
        # Both materials are short: the tins stop the eleventh balm, the wax would stop the 41st.
        ([("balm", 41)], ("balm", "41", "10", "31", "tin", {"tin": "31", "wax": "25"})),
    ],
    ids=str,
)
def test_all_is_held_or_nothing(
    lines: list[tuple[str, int]], says: tuple[str, str, str, str, str, dict[str, str]]
) -> None:
    """The refusal names the first line that does not fit, by how much, because of what, and what to
    buy for all of it.
    """
    world = workshop()
    before = atps(world)
    told = refused(world.holds(*lines))
    sku, asked, available, short, limited_by, to_buy = says
    bought = {row["sku"]: row["quantity"] for row in told.pop("to_buy")}
    assert told == {
        "refused": "insufficient_atp",
        "sku": sku,
        "unit": "piece",
        "asked": asked,
        "available": available,
        "short": short,
        "limited_by": limited_by,
    }
    assert bought == to_buy
    assert atps(world) == before
    for each, quantity in to_buy.items():
        world.moves(each, int(quantity), MovementKind.RECEIPT, key=each)
    assert isinstance(world.holds(*lines).outcome, Accepted), "bought, it can be held"


def test_nothing_is_held_of_what_is_short_already() -> None:
    """Three sold of nothing: what is asked for is short by all of it, and not by three more."""
    world = World().stock(candle=0)
    world.moves("candle", -3, MovementKind.SALE)
    told = refused(world.holds(("candle", 2)))
    assert (told["short"], told["limited_by"]) == ("2", "candle")
    assert told["to_buy"] == [{"sku": "candle", "unit": "piece", "quantity": "5"}]


@pytest.mark.parametrize(("asked", "boxes"), [(144, "1"), (145, "2"), (500, "4")])
def test_what_is_to_buy_is_told_in_whole_units_that_it_is_bought_in(asked: int, boxes: str) -> None:
    """Wicks come by the box of 144."""
    world = World().stock(wick=0).item("wick", purchase_units=(PurchaseUnit("box", 144),))
    (row,) = refused(world.holds(("wick", asked)))["to_buy"]
    assert (row["quantity"], row["purchase"]) == (str(asked), {"unit": "box", "quantity": boxes})


def test_a_quantity_is_told_in_the_unit_of_its_item() -> None:
    """Decimals of a kilogram, not grams."""
    world = World()
    wax = Item("wax", "Wax", Kind.MATERIAL, "kg", scale=3)
    world.do(ImportCatalogue((wax,), (), (), (), "i", "test"))
    world.moves("wax", 1500, MovementKind.RECEIPT)
    told = refused(world.holds(("wax", 2000)))
    assert (told["short"], told["available"], told["unit"]) == ("0.5", "1.5", "kg")


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ([], "out_of_bounds"),
        ([("wax", 1)] * (HOLD_LINES_MAX + 1), "out_of_bounds"),
        ([("wax", 0)], "out_of_bounds"),
        ([("wax", 5), ("candle", -1)], "out_of_bounds"),
        ([("wax", QUANTITY_MAX), ("wax", QUANTITY_MAX)], "out_of_bounds"),
        ([("wax", 5), ("glitter", 1)], "not_found"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_stock_could_satisfy_is_refused(lines: list[tuple[str, int]], refusal: str) -> None:
    """Bounds, and items that are none; never an assertion that would stop the daemon."""
    assert refused(workshop().holds(*lines))["refused"] == refusal


def test_the_most_lines_are_taken() -> None:
    """The bound itself is within."""
    assert isinstance(workshop().holds(*[("wax", 1)] * HOLD_LINES_MAX).outcome, Accepted)


def test_a_repeated_key_is_replayed_and_a_reused_one_refused() -> None:
    """Also where the hold was asked for "for a week", which ends later each time it is asked."""
    world = workshop()
    world.holds(("candle", 1), key="k")
    again = world.holds(("candle", 1), key="k").outcome
    assert isinstance(again, Replayed)
    assert again.facts == {"hold": 1}
    assert world.rows.shelves["candle"].held == 1
    assert refused(world.holds(("candle", 2), key="k")) == {"refused": "key_reused"}
    assert refused(world.holds(("candle", 1), key="k", days=8)) == {"refused": "key_reused"}


@pytest.mark.parametrize(
    ("until", "refusal"),
    [
        (timedelta(0), "until_past"),
        (timedelta(days=-3), "until_past"),
        (START, "until_past"),
        (timedelta(microseconds=1), None),
        (HOLD_MAX, None),
        (HOLD_MAX + timedelta(microseconds=1), "until_too_late"),
        (timedelta.max, "until_too_late"),
        (datetime.max.replace(tzinfo=START.tzinfo), "until_too_late"),
    ],
    ids=str,
)
def test_a_hold_ends_in_the_future_and_within_a_year(
    until: datetime | timedelta, refusal: str | None
) -> None:
    """Placing and renewing have the same bounds."""
    world = workshop()
    world.holds(("candle", 1))
    placed = world.holds(("candle", 1), key="p")
    assert isinstance(placed.outcome, Accepted)
    outcome = world.do(RenewHold(2, until, "r", "test")).outcome
    assert (outcome.refusal if isinstance(outcome, Refused) else None) == refusal


# -- how it ends -----------------------------------------------------------------------------


def test_release_gives_everything_back() -> None:
    """Every ATP is what it was, and the record says when and why."""
    world = workshop()
    before = atps(world)
    world.holds(("candle", 5), ("balm", 3))
    world.do(ReleaseHold(1, "r", "test", "they did not want it"))
    assert atps(world) == before
    hold = world.rows.holds[1]
    assert (hold.state, hold.reason) == (RELEASED, "they did not want it")
    assert hold.ended_at is not None
    assert {shelf.held for shelf in world.rows.shelves.values()} == {0}


def test_a_sale_writes_movements_and_changes_no_atp() -> None:
    """What was held leaves, whole; candles that were not made yet are missing on the shelf."""
    world = workshop()
    world.holds(("candle", 5), ("balm", 3))
    held = atps(world)
    decision = world.do(SellHold(1, "market", "s", "test", "for Anna"))
    assert atps(world) == held
    moved = [(row.sku, row.quantity, row.kind, row.cause) for row in decision.movements]
    assert moved == [
        ("candle", -5, MovementKind.SALE, "cmd s"),
        ("balm", -3, MovementKind.SALE, "cmd s"),
    ]
    assert {row.reason for row in decision.movements} == {"sold at market (hold-1): for Anna"}
    assert world.rows.holds[1].state is SOLD
    assert world.rows.shelves["candle"] == Shelf("candle", on_hand=-3)
    assert isinstance(world.do(SellHold(1, "market", "s", "test", "for Anna")).outcome, Replayed)


def test_only_what_is_due_expires() -> None:
    """At its instant and not a moment before; the other one stays, as does one that has ended."""
    world = workshop()
    world.holds(("candle", 1), days=1)
    world.holds(("candle", 2), days=2)
    world.holds(("candle", 4), days=1)
    world.do(ReleaseHold(3, "r", "test"))
    world.now = world.rows.holds[1].until - timedelta(microseconds=1)
    assert world.do(ExpireHolds((1, 2, 3, 99))).holds == ()
    world.now = world.rows.holds[1].until
    world.do(ExpireHolds((1, 2, 3, 99)))
    assert [row.state for row in world.rows.holds.values()] == [EXPIRED, HELD, RELEASED]
    assert world.rows.shelves["candle"].held == 2


@pytest.mark.parametrize("ended", [SOLD, RELEASED, EXPIRED], ids=str)
def test_a_hold_ends_once(ended: HoldState) -> None:
    """Whatever is asked of it afterwards is refused, and says how it ended."""
    world = workshop()
    world.holds(("candle", 1), days=1)
    if ended is EXPIRED:
        world.now += timedelta(days=2)
    end = {
        SOLD: SellHold(1, "market", "e", "test"),
        RELEASED: ReleaseHold(1, "e", "test"),
        EXPIRED: ExpireHolds((1,)),
    }
    assert isinstance(world.do(end[ended]).outcome, Accepted)
    for number, command in enumerate(
        [
            SellHold(1, "market", "", "test"),
            ReleaseHold(1, "", "test"),
            RenewHold(1, timedelta(days=1), "", "test"),
        ]
    ):
        told = refused(world.do(replace(command, key=f"k{number}")))
        assert told == {"refused": "not_held", "hold": "hold-1", "state": ended.value}
    before = world.rows.shelves["candle"]
    world.do(ExpireHolds((1,)))
    assert world.rows.shelves["candle"] == before


def test_what_is_due_is_neither_sold_nor_renewed_though_nobody_noted_it() -> None:
    """Whether it expires does not depend on when somebody looks; giving it back harms nobody."""
    world = workshop()
    world.holds(("candle", 1), days=1)
    world.now += timedelta(days=1)
    sold = refused(world.do(SellHold(1, "market", "s", "test")))
    assert sold == {"refused": "not_held", "hold": "hold-1", "state": "expired"}
    assert refused(world.do(RenewHold(1, timedelta(days=1), "r", "test"))) == sold
    assert isinstance(world.do(ReleaseHold(1, "x", "test")).outcome, Accepted)


def test_a_hold_that_is_not_there_is_not_found() -> None:
    """The message has the id as it is typed."""
    decision = workshop().do(ReleaseHold(12, "r", "test"))
    assert refused(decision) == {"refused": "not_found"}
    assert "hold-12" in decision.outcome.message


def test_the_table_of_its_life_is_complete() -> None:
    """A hold begins held, and each state but that one is an end."""
    assert {start for start, _ in TRANSITIONS} == {None, HELD}
    assert {end for _, end in TRANSITIONS} == set(HoldState)


# -- listings follow -------------------------------------------------------------------------


def test_listings_fall_and_rise_with_a_hold() -> None:
    """All that share the wax, and no others; the terms of what is sent name what is held."""
    world = workshop().list("shopify", "a", "candle", shows=12).list("woo", "b", "balm", shows=10)
    world.list("shopify", "t", "tin", shows=10)
    world.syncs()
    world.holds(("candle", 10))
    assert world.dirty == {"shopify/a", "woo/b"}
    (push,) = world.pushes("shopify")
    assert (push.target, dict(push.terms)["held"]) == (2, -10)
    world.settles(push)
    world.syncs()
    assert world.expected() == {"shopify/a": 2, "shopify/t": 10, "woo/b": 8}
    world.do(SellHold(1, "market", "s", "test"))
    assert world.dirty == set(), "sold is sold: nobody can promise more or less"
    world.holds(("balm", 1), days=1 / 480)
    world.syncs()
    assert world.expected() == {"shopify/a": 1, "shopify/t": 9, "woo/b": 7}
    world.now = world.rows.holds[2].until
    for field in list(world.rows.fields.values()):
        world.reads(*field.key, field.expected)  # nothing is raised that was not read of late
    world.do(ExpireHolds((2,)))
    assert world.dirty == {"shopify/a", "shopify/t", "woo/b"}
    world.syncs()
    assert world.expected() == {"shopify/a": 2, "shopify/t": 10, "woo/b": 8}


def test_what_may_not_be_promised_may_not_be_held() -> None:
    """A promise rule binds our own holds as it binds the channels: nothing more is to buy."""
    world = World().stock(candle=2, wax=50).bill("candle", wax=10)
    (item,) = (each for each in world.catalogue.items.values() if each.sku == "candle")
    ruled = replace(item, promise=Promise.FINISHED)
    world.do(ImportCatalogue((ruled,), (), (), (), "rule", "test"))
    assert isinstance(world.holds(("candle", 2)).outcome, Accepted)
    refused = world.holds(("candle", 1)).outcome
    assert isinstance(refused, Refused)
    assert (refused.refusal, refused.facts["limited_by"]) == ("insufficient_atp", "promise rule")
    assert refused.facts["to_buy"] == []


# -- for all worlds --------------------------------------------------------------------------


def stocked(world: oracle.World) -> World:
    """The same small world, as the core has it."""
    made = World()
    made.catalogue = build(
        1,
        [
            Item(sku, sku, Kind.PRODUCT, "piece", substitute_for=world.name_of.get(sku))
            for sku in world.skus
        ],
        world.bills,
        (),
        {},
    )
    made.rows = Rows(
        shelves={sku: Shelf(sku, world.on_hand[sku], world.demand[sku]) for sku in world.skus}
    )
    return made


def covered(world: oracle.World, lines: tuple[HoldLine, ...]) -> bool:
    """By brute force: is the item of every line covered with all of them demanded at once?"""
    for line in lines:
        world = world.demanded(line.sku, line.quantity)
    netted = oracle.Netted(world)
    return all(netted.covered(line.sku) for line in lines)


def drawn_lines(random: random.Random, skus: tuple[str, ...]) -> tuple[HoldLine, ...]:
    """One to three lines of a few units."""
    return tuple(
        HoldLine(random.choice(skus), random.choice((1, 1, 2, 3, 5)))
        for _ in range(random.randint(1, 3))
    )


def bare(world: oracle.World) -> oracle.World:
    """Return the world without promise rules, older bills and what roundings have left."""
    return replace(world, ceilings={}, rests={}, older={})


def test_a_list_is_refused_exactly_where_brute_force_says_so() -> None:
    """Three thousand small worlds with diamonds, batches, rounding and shortages; lines share
    components and name items twice.
    """
    dice = random.Random(5)
    outcomes = {True: 0, False: 0}
    for _ in range(3000):
        small = bare(oracle.random_world(dice))
        stocked_skus = set(small.skus) - set(small.name_of.values())
        lines = drawn_lines(dice, tuple(sorted(stocked_skus)))
        world = stocked(small)
        outcome = world.holds(*((line.sku, line.quantity) for line in lines)).outcome
        may = covered(small, lines)
        assert isinstance(outcome, Accepted) == may, (small, lines)
        outcomes[may] += 1
        if not may:
            bought = small
            for row in outcome.facts["to_buy"]:
                bought = bought.stocked(row["sku"], int(row["quantity"]))
            assert covered(bought, lines), (small, lines, outcome.facts)
            first = [line for line in holds.merged(lines) if line.sku == outcome.facts["sku"]]
            assert int(outcome.facts["short"]) in range(1, first[0].quantity + 1)
    assert min(outcomes.values()) > 500, outcomes


@settings(max_examples=150, deadline=None)
@given(oracle.worlds().map(bare), st.integers(0, 2**32))
def test_a_hold_takes_its_units_and_covers_what_was_covered(small: oracle.World, seed: int) -> None:
    """The ATP of an item held by itself falls by exactly what is held; whatever was covered still
    is; release and expiry put every ATP back to what it was, and a sale moves none.
    """
    dice = random.Random(seed)
    lines = drawn_lines(dice, small.skus)[: dice.choice((1, 1, 3))]
    given_lines = [(line.sku, line.quantity) for line in lines]
    world = stocked(small)
    before = atps(world)
    if not isinstance(world.holds(*given_lines).outcome, Accepted):
        assert atps(world) == before, "nothing of it was done"
        return
    held = atps(world)
    assert all(held[sku] >= 0 for sku in small.skus if before[sku] >= 0)
    assert all(held[sku] <= before[sku] for sku in small.skus)
    first = world.rows.holds[1].lines
    if len(first) == 1:
        assert held[first[0].sku] == before[first[0].sku] - first[0].quantity
    others = []
    for end in (
        ReleaseHold(1, "e", "test"),
        ExpireHolds((1,)),
        SellHold(1, "market", "e", "test"),
    ):
        other = World(world.rows, world.catalogue, world.now)
        if isinstance(end, ExpireHolds):
            other.now += timedelta(days=7)
        assert isinstance(other.do(end).outcome, Accepted)
        others.append(atps(other))
    released, expired, sold = others
    assert released == expired == before
    assert sold == held


def test_lines_that_are_taken_one_by_one_would_be_taken_together() -> None:
    """What is refused together is refused one after the other, too: the order says only which line
    is named.
    """
    dice = random.Random(6)
    for _ in range(500):
        small = bare(oracle.random_world(dice))
        lines = holds.merged(drawn_lines(dice, small.skus))
        view = View(stocked(small).catalogue, stocked(small).rows)
        one_by_one, fits = view, True
        for line in lines:
            fits = fits and atp(one_by_one.net([line.sku]), line.sku) >= line.quantity
            one_by_one = taken(one_by_one, [line])
        assert (shortfall(view, lines) is None) == fits
        assert (shortfall(view, lines[::-1]) is None) == fits


def test_a_step_that_is_not_in_the_table_is_a_defect() -> None:
    """Nothing in the program takes one; a slip in it stops and is not written."""
    from stockpush.reservation.draft import Draft

    line = HoldLine("wax", 1)
    ended = Hold(1, "k", (line,), START, START, RELEASED, "test")
    view = View(workshop().catalogue, Rows())
    with pytest.raises(KeyError):
        holds._change(Draft(view, START), ended, replace(ended, state=HELD))
