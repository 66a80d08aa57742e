"""Substitutes: what bills take under one name, and which of them a build takes."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from types import MappingProxyType

import pytest

from stockpush.errors import CatalogueInvalid
from stockpush.messages import (
    Accepted,
    BuildStock,
    Decision,
    LotTerms,
    MoveStock,
    Refused,
    StockMove,
    UndoMovement,
)
from stockpush.model import MovementKind, Shelf
from stockpush.reservation import substitutes
from tests.reservation.world import World, line

NOTHING: Mapping[str, int] = MappingProxyType({})


def test_the_examples_in_the_docstrings_run() -> None:
    """Every doctest of the module passes."""
    result = doctest.testmod(substitutes)
    assert result.attempted > 0
    assert result.failed == 0


def workshop(cotton: int, hemp: int, sold: Mapping[str, int] = NOTHING) -> World:
    """Candles of one wick, cotton or hemp; a lamp takes two of cotton. Wax is never short."""
    world = World().stock(candle=0, lamp=0, cotton=cotton, hemp=hemp, wax=999)
    world.alike("wick", "cotton", "hemp")
    world.bill("candle", wick=1, wax=1)
    world.bill("lamp", cotton=2, wax=1)
    for sku in ("candle", "lamp", "cotton", "hemp"):
        world.list("shopify", sku[0] + sku[1], sku, shows=1)
    for number, (sku, units) in enumerate(sold.items()):
        world.hears(world.order("shopify", str(number), line(sku[0] + sku[1], units)))
    return world


def on_hand(world: World, *skus: str) -> tuple[int, ...]:
    """What lies on some shelves."""
    return tuple(world.rows.shelves.get(sku, Shelf(sku)).on_hand for sku in skus)


NAMES = ("candle", "lamp", "cotton", "hemp", "wick")


@pytest.mark.parametrize(
    ("there", "sold", "promised"),
    [
        # cotton, hemp                    candle lamp cotton hemp wick
        ((10, 5), {}, (15, 5, 10, 5, 15)),
        # Four candles take any four wicks: nobody has to say yet of which.
        ((10, 5), {"candle": 4}, (11, 5, 10, 5, 11)),
        # Eight take more than there is of hemp, so no more than seven of cotton are free.
        ((10, 5), {"candle": 8}, (7, 3, 7, 5, 7)),
        # Three lamps take six of cotton; the other four and the hemp are left for candles.
        ((10, 5), {"lamp": 3}, (9, 2, 4, 5, 9)),
        # What is sold as it is comes first; candles take what that leaves.
        ((10, 5), {"hemp": 4}, (11, 5, 10, 1, 11)),
        # More hemp is sold than there is: that is short, and cotton cannot stand in for it.
        ((10, 5), {"hemp": 7}, (10, 5, 10, -2, 10)),
        # Sixteen candles for fifteen wicks: one is short, and nothing that takes a wick is free.
        ((10, 5), {"candle": 16}, (-1, 0, -1, -1, -1)),
        ((10, 5), {"candle": 6, "lamp": 5}, (-1, -1, -1, -1, -1)),
        # Nothing of the one: the other serves.
        ((0, 5), {"candle": 2}, (3, 0, 0, 3, 3)),
        ((-2, 5), {}, (5, 0, -2, 5, 5)),
    ],
)
def test_what_can_be_promised(
    there: tuple[int, int], sold: dict[str, int], promised: tuple[int, ...]
) -> None:
    """Of candles, lamps, each kind of wick, and any wick. A candle takes any, a lamp two of cotton.

    Each kind serves first what needs that very kind; bills that take any share what is left.
    """
    world = workshop(*there, sold)
    assert tuple(world.atp(sku) for sku in NAMES) == promised


@pytest.mark.parametrize(
    ("there", "sold", "build", "left"),
    [
        # By SKU where nobody says: cotton before hemp.
        ((10, 5), {}, {}, (4, 5)),
        # But what cotton is sold itself, or is needed for lamps, is left alone.
        ((10, 5), {"cotton": 7}, {}, (7, 2)),
        ((10, 5), {"lamp": 4}, {}, (8, 1)),
        # Where there is no other way it is taken all the same, then what nobody has.
        ((10, 1), {"cotton": 7}, {}, (5, 0)),
        ((2, 1), {}, {}, (-3, 0)),
        # Somebody says which.
        ((10, 9), {}, {"take": ("hemp",)}, (10, 3)),
        ((10, 5), {}, {"take": ("hemp",)}, (10, -1)),
        ((10, 5), {}, {"take": ("hemp", "cotton")}, (9, 0)),
        ((10, 5), {}, {"used": (("cotton", 3), ("hemp", 4))}, (7, 1)),
        ((10, 5), {}, {"used": (("wick", 7),)}, (3, 5)),
    ],
)
def test_which_is_taken(
    there: tuple[int, int], sold: dict[str, int], build: dict[str, object], left: tuple[int, int]
) -> None:
    """Six candles are built; this is what is left of cotton and hemp."""
    world = workshop(*there, sold)
    decision = world.do(BuildStock("candle", 6, "b", "test", **build))  # type: ignore[arg-type]
    assert on_hand(world, "cotton", "hemp", "candle", "wick") == (*left, 6, 0)
    assert sum(row.quantity for row in decision.movements if row.sku in {"cotton", "hemp"}) == sum(
        left
    ) - sum(there)


@pytest.mark.parametrize("seed", range(30))
def test_building_what_is_sold_leaves_nobody_short(seed: int) -> None:
    """A build takes what nobody else needs: what takes any is promised as before, and of the one
    that it took no more is gone than it took.
    """
    dice = Random(seed)
    sold = {sku: dice.randint(1, 4) for sku in ("candle", "lamp", "cotton", "hemp")}
    world = workshop(dice.randint(12, 15), dice.randint(8, 9), sold)
    before = tuple(world.atp(sku) for sku in NAMES)
    assert min(before) >= 0
    for number in range(sold["candle"]):
        world.do(BuildStock("candle", 1, f"b{number}", "test"))
    world.do(BuildStock("lamp", sold["lamp"], "l", "test"))
    after = tuple(world.atp(sku) for sku in NAMES)
    assert min(after) >= 0
    assert (after[0], after[-1]) == (before[0], before[-1])
    taken = sold["candle"]
    assert all(was - taken <= now <= was for was, now in zip(before, after, strict=True))


def test_a_kit_takes_them_as_it_leaves() -> None:
    """What is put together when it is sent takes any as well, and the ledger says which."""
    world = World().stock(kit=0, cotton=1, hemp=5).alike("wick", "cotton", "hemp")
    world.bill("kit", wick=3, backflush=True)
    decision = world.moves("kit", -1, MovementKind.SALE)
    assert [(row.sku, row.quantity) for row in decision.movements] == [
        ("kit", -1),
        ("kit", 1),
        ("cotton", -1),
        ("hemp", -2),
    ]


def test_nothing_is_taken_of_what_is_still_to_come() -> None:
    """Five of cotton come within its horizon: they are promised, and a build takes hemp instead."""
    world = workshop(2, 3)
    world.item("cotton", horizon_s=86_400)
    ready = LotTerms(available_from=world.now + timedelta(hours=20))
    comes = StockMove("cotton", 5, MovementKind.RECEIPT, lot="batch", terms=ready)
    world.do(MoveStock((comes,), "comes", "test"))
    assert (world.atp("cotton"), world.atp("candle")) == (7, 10)
    world.do(BuildStock("candle", 4, "b", "test"))
    assert on_hand(world, "cotton", "hemp") == (0, 1)
    assert (world.atp("cotton"), world.atp("wick")) == (5, 6)


def test_roundings_are_kept_whichever_was_taken() -> None:
    """Three candles take a wick, in however many builds; an undo gives back what it took."""
    world = World().stock(candle=0, cotton=1, hemp=5).alike("wick", "cotton", "hemp")
    world.bill("candle", 3, wick=1)
    for number in range(4):
        world.do(BuildStock("candle", 1, f"b{number}", "test"))
    assert on_hand(world, "cotton", "hemp") == (0, 4)
    (first, *_, last) = [row for row in world.rows.movements.values() if row.sku == "candle"][-4:]
    for row in (last, first):
        world.do(UndoMovement(row.id or 0, f"u{row.id}", "test"))
    assert on_hand(world, "cotton", "hemp") == (1, 5)
    world.do(BuildStock("candle", 1, "again", "test"))
    assert sum(on_hand(world, "cotton", "hemp")) == 5


def test_what_was_used_of_substitutes_stands_against_the_plan_of_their_name() -> None:
    """The bill takes any of them, so there is no plan of the one or the other."""
    world = workshop(10, 5, {})
    used = (("cotton", 3), ("hemp", 4))
    decision = world.do(BuildStock("candle", 6, "b", "test", used=used))
    assert isinstance(decision.outcome, Accepted)
    told = [(row.sku, row.planned, row.used) for row in decision.outcome.facts["used"]]
    assert told == [("wick", "6", "7")]
    assert [row.reason for row in decision.movements if row.sku in {"cotton", "hemp"}] == [
        "planned 6 piece of wick, used 3 piece",
        "planned 6 piece of wick, used 4 piece",
    ]


def refused(decision: Decision) -> tuple[str, str]:
    """What a command was refused as, and in which words."""
    assert isinstance(decision.outcome, Refused)
    return decision.outcome.refusal, decision.outcome.message


def test_nothing_is_stocked_of_the_name_itself() -> None:
    """It is not received, counted, sold or held: its substitutes are."""
    world = workshop(10, 5)
    told = ("has_substitutes", "nothing is stocked of wick itself: it stands for cotton or hemp")
    assert refused(world.moves("wick", 5, MovementKind.RECEIPT)) == told
    assert refused(world.holds(("wick", 1))) == told
    with pytest.raises(CatalogueInvalid, match="name of substitutes and has listings"):
        world.list("shopify", "wi", "wick")
    with pytest.raises(CatalogueInvalid, match="name of substitutes and has stock"):
        World().stock(string=1, cotton=1).alike("string", "cotton")


def test_what_is_no_substitute_is_not_taken() -> None:
    """The refusal names those there are; so does one that tells a use twice."""
    world = workshop(10, 5)
    decision = world.do(BuildStock("candle", 6, "b", "test", take=("wax",)))
    assert refused(decision) == (
        "not_a_substitute",
        "wax is no substitute for anything that candle is made from; there are cotton, hemp",
    )
    decision = world.do(BuildStock("candle", 6, "b", "t", used=(("hemp", 1), ("wick", 6))))
    assert refused(decision)[0] == "used_twice"
    decision = world.do(BuildStock("lamp", 6, "b", "t", used=(("hemp", 1),)))
    assert refused(decision)[0] == "not_on_bill"


def test_an_item_that_comes_to_the_substitutes_raises_what_can_be_made() -> None:
    """Every listing that it changes is written; when it goes again, back."""
    world = workshop(1, 1).stock(paper=9)
    world.syncs()
    world.alike("wick", "paper")
    assert world.atp("candle") == 11
    assert world.dirty == {"shopify/ca"}


def test_what_has_expired_stands_in_for_nothing() -> None:
    """A build takes hemp, though the clock's turn of the cotton was not noted yet."""
    world = workshop(cotton=0, hemp=5)
    world.do(
        MoveStock(
            (
                StockMove(
                    "cotton",
                    5,
                    MovementKind.RECEIPT,
                    lot="old",
                    terms=LotTerms(expires_at=world.now + timedelta(days=1)),
                ),
            ),
            "receive",
            "test",
        )
    )
    assert world.atp("candle") == 10
    world.now += timedelta(days=2)
    world.do(BuildStock("candle", 3, "build", "test"))
    assert on_hand(world, "candle", "cotton", "hemp") == (3, 0, 2)
    assert world.atp("candle") == 5
