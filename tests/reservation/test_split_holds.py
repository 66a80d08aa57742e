"""Holds of our own where each unit is on one listing only: what a listing may sell is not free."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from stockpush.engine import holding
from stockpush.messages import Accepted, Decision, Refused, ReleaseHold, SellHold
from stockpush.model import Exposure, MovementKind, PushOutcomeKind
from stockpush.reservation import parting
from stockpush.reservation.view import View
from tests.reservation.world import World, line

PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"
SEEDS = 60
"""Random shops of candles and balms."""


def split_shop(there: int = 5, **shows: int) -> World:
    """Candles that are split, on Shopify, where listings show so many."""
    world = World().stock(candle=there).item("candle", exposure=Exposure.SPLIT)
    for ref, quantity in shows.items():
        world.list("shopify", ref, "candle", shows=quantity)
    return world


def refused(decision: Decision) -> Refused:
    """The refusal of a hold that changed nothing."""
    assert isinstance(decision.outcome, Refused), decision.outcome
    assert (decision.holds, decision.shelves, decision.commands) == ((), (), ())
    return decision.outcome


def row(world: World) -> holding.HoldRow:
    """The row of the newest hold."""
    view = View(world.catalogue, world.rows)
    return holding.row(world.catalogue, world.rows.holds[max(world.rows.holds)], view)


def test_what_a_listing_may_still_sell_cannot_be_held() -> None:
    """All five candles are on Shopify: a checkout may take them before the number is lowered."""
    world = split_shop(5, a=5)
    assert world.atp("candle") == 5
    outcome = refused(world.holds(("candle", 5)))
    assert outcome.refusal == "still_on_sale"
    assert outcome.message == (
        "5 candle were asked for and 0 are on no listing; still to be sold are "
        "5 candle at shopify id=a"
    )
    assert outcome.facts == {
        "sku": "candle",
        "unit": "piece",
        "asked": "5",
        "available": "0",
        "short": "5",
        "on_sale": [
            {
                "channel": "shopify",
                "ref": {"id": "a"},
                "sku": "candle",
                "unit": "piece",
                "quantity": "5",
            }
        ],
    }
    assert holding.next_after(outcome, key="--key", until="--until", lower="--lower") == (
        "the same with --lower, to have the listings lowered for it"
    )


def test_a_hold_that_lowers_is_covered_once_the_lower_number_was_taken() -> None:
    """Its units are demand at once; until the write is confirmed they may be sold on Shopify."""
    world = split_shop(5, a=5)
    assert isinstance(world.holds(("candle", 3), lower=True).outcome, Accepted)
    assert world.atp("candle") == 2
    (lowering,) = world.pushes("shopify")
    assert lowering.target == 2
    assert not row(world).covered
    assert [(each.channel, each.quantity) for each in row(world).on_sale] == [("shopify", "5")]
    world.settles(lowering)
    assert row(world).covered
    assert row(world).on_sale == ()
    world.holds(("candle", 2), lower=True)
    world.syncs()
    assert world.expected() == {"shopify/a": 0}
    assert row(world).covered


def test_a_lowering_without_an_answer_frees_nothing() -> None:
    """What was perhaps lowered may still be sold."""
    world = split_shop(5, a=5)
    world.holds(("candle", 3), lower=True)
    (lowering,) = world.pushes("shopify")
    world.settles(lowering, PushOutcomeKind.UNKNOWN)
    assert not row(world).covered


def test_what_was_sold_before_the_lowering_is_told_of_the_hold() -> None:
    """A checkout took four of five while three were held: the hold is not covered."""
    world = split_shop(5, a=5)
    world.holds(("candle", 3), lower=True)
    world.hears(world.order("shopify", "1", line("a", 4)))
    world.syncs()
    assert world.atp("candle") == -2
    assert (row(world).covered, row(world).on_sale) == (False, ())


def test_what_is_on_no_listing_can_be_held_at_once() -> None:
    """Two candles of five are on no listing: those, and not a third."""
    world = split_shop(5, a=3)
    assert refused(world.holds(("candle", 3))).facts["available"] == "2"
    assert isinstance(world.holds(("candle", 2)).outcome, Accepted)
    assert row(world).covered


def test_it_counts_jointly_over_all_that_share_a_material() -> None:
    """Of ten wax seven are on sale as balms: three candles can be held, also in two lines."""
    world = World().stock(candle=0, balm=0, wax=10, mug=4)
    world.bill("candle", wax=1).bill("balm", wax=1).item("balm", exposure=Exposure.SPLIT)
    world.list("shopify", "b", "balm", shows=7).list("woo", "m", "mug", shows=4)
    outcome = refused(world.holds(("candle", 4)))
    assert [(each["channel"], each["quantity"]) for each in outcome.facts["on_sale"]] == [
        ("shopify", "7")
    ]
    assert refused(world.holds(("mug", 4), ("wax", 1), ("candle", 3))).facts["sku"] == "candle"
    assert isinstance(world.holds(("mug", 4), ("wax", 1), ("candle", 2)).outcome, Accepted)


def test_more_than_can_be_promised_is_refused_as_ever() -> None:
    """Lowering makes no more of it."""
    world = split_shop(5, a=5)
    assert refused(world.holds(("candle", 6))).refusal == "insufficient_atp"
    assert refused(world.holds(("candle", 6), lower=True)).refusal == "insufficient_atp"


def test_where_nothing_is_split_what_is_shown_can_be_held() -> None:
    """With the other policies every listing shows the same units anyway."""
    world = World().stock(candle=5).list("shopify", "a", "candle", shows=5)
    assert isinstance(world.holds(("candle", 5)).outcome, Accepted)
    assert row(world).covered


def test_a_sale_elsewhere_is_a_fact() -> None:
    """What was sold at a market was sold, whoever may sell it still; a hold's units too."""
    world = split_shop(5, a=5)
    assert isinstance(world.moves("candle", -2, MovementKind.SALE).outcome, Accepted)
    world.holds(("candle", 3), lower=True)
    sold = world.do(SellHold(1, "market", "sold", "test"))
    assert isinstance(sold.outcome, Accepted)


def test_one_that_was_released_leaves_its_units_to_the_listings() -> None:
    """They are raised again."""
    world = split_shop(5, a=5)
    world.holds(("candle", 3), lower=True)
    world.syncs()
    world.do(ReleaseHold(1, "release", "test"))
    world.syncs()
    assert world.expected() == {"shopify/a": 5}


def test_the_table_of_the_page_comes_out_as_it_stands() -> None:
    """Each row of docs/stock-model.md is what comes of the rows up to it."""
    text = PAGE.read_text(encoding="utf-8").partition("| it happens that | hold says |")[2]
    rows = [
        [cell.strip() for cell in each.strip("|").split("|")]
        for each in text.partition("\n\n")[0].splitlines()[2:]
    ]
    assert len(rows) == 6
    world = split_shop(5, a=5)
    for happens, says, shows, safe in rows:
        if (typed := re.fullmatch(r"`hold candle (\d+)( --lower)?`", happens)) is not None:
            outcome = world.holds(("candle", int(typed[1])), lower=typed[2] is not None).outcome
            kind = outcome.refusal if isinstance(outcome, Refused) else "held"
            assert kind.replace("_", " ") == says, happens
        elif happens.startswith("4 candles"):
            world.moves("candle", 4, MovementKind.RECEIPT)
        else:
            world.syncs()
        assert world.field("shopify", "a").expected == int(shows), happens
        if safe:
            assert row(world).covered == (safe == "yes"), happens


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_checkout_can_take_what_was_held(seed: int) -> None:
    """However much listings sell of what they show, with writes under way: what was held without
    lowering is there.
    """
    dice = Random(seed)
    world = World().stock(candle=dice.randint(0, 3), balm=dice.randint(0, 3), wax=9)
    world.bill("candle", wax=2).bill("balm", wax=1).item("balm", exposure=Exposure.SPLIT)
    for ref, sku in (("c", "candle"), ("b", "balm"), ("d", "candle")):
        world.list("shopify", ref, sku, shows=0, pack=dice.choice((1, 1, 2)))
    held = 0
    for number in range(12):
        match dice.randrange(5):
            case 0:
                done = world.holds((dice.choice(("candle", "balm")), dice.randint(1, 3)))
                held += isinstance(done.outcome, Accepted)
            case 1:
                world.moves("wax", dice.randint(1, 4), MovementKind.RECEIPT, f"r{number}")
            case 2:
                for push in world.pushes("shopify", call=f"p{number}"):
                    world.settles(push)
            case 3:
                world.pushes("shopify", call=f"p{number}")
            case _:
                ref = dice.choice("cbd")
                on_sale = world.field("shopify", ref).expected or 0
                if on_sale:
                    units = dice.randint(1, on_sale)
                    world.hears(world.order("shopify", str(number), line(ref, units)))
        view = View(world.catalogue, world.rows)
        spare = parting.spare(view, "candle")
        assert not spare.blocked, f"{held} held, and more may be sold than there is"
