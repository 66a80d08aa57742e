"""A build as it went: the plan, what was really used, what was lost."""

from __future__ import annotations

import pytest

from stockpush.messages import Accepted, BuildStock, Refused, Replayed, UndoMovement
from stockpush.model import MovementKind, Rest
from tests.reservation.world import World


def kitchen() -> World:
    """Wax and wicks for candles: five candles take 500 of wax and 5 wicks."""
    world = World().stock(candle=0, wax=1000, wick=20)
    return world.bill("candle", 5, wax=500, wick=5)


@pytest.mark.parametrize(
    ("built", "used", "scrapped", "candle", "wax", "wick"),
    [
        (5, (), 0, 5, 500, 15),
        (5, (("wax", 530),), 0, 5, 470, 15),
        (5, (("wax", 480),), 0, 5, 520, 15),
        (5, (("wax", 0),), 0, 5, 1000, 15),
        (5, (("wax", 530), ("wick", 7)), 0, 5, 470, 13),
        (5, (), 2, 3, 500, 15),
        (5, (("wax", 530),), 5, 0, 470, 15),
        (5, (("wax", 1200),), 0, 5, -200, 15),
    ],
)
def test_what_was_used_and_lost_moves_and_is_undone_whole(
    built: int, used: tuple[tuple[str, int], ...], scrapped: int, candle: int, wax: int, wick: int
) -> None:
    """A component goes out as stated, or else by its bill; lost units are built and scrapped."""
    world = kitchen()
    world.do(BuildStock("candle", built, "b", "test", used=used, scrapped=scrapped))
    on_hand = {sku: shelf.on_hand for sku, shelf in world.rows.shelves.items()}
    assert on_hand == {"candle": candle, "wax": wax, "wick": wick}
    first = next(row.id for row in world.rows.movements.values() if row.cause == "cmd b")
    assert first is not None
    world.do(UndoMovement(first, "u", "test"))
    on_hand = {sku: shelf.on_hand for sku, shelf in world.rows.shelves.items()}
    assert on_hand == {"candle": 0, "wax": 1000, "wick": 20}


def test_the_plan_stays_in_the_record() -> None:
    """Each movement that is not as planned says what was; lost units say where they went."""
    world = kitchen()
    command = BuildStock("candle", 5, "b", "test", "monday", used=(("wax", 530),), scrapped=1)
    world.do(command)
    written = [
        (row.sku, row.quantity, row.kind, row.reason)
        for row in world.rows.movements.values()
        if row.cause == "cmd b"
    ]
    assert written == [
        ("candle", 5, MovementKind.BUILD_IN, "monday"),
        ("wax", -530, MovementKind.BUILD_OUT, "monday; planned 500 piece, used 530 piece"),
        ("wick", -5, MovementKind.BUILD_OUT, "monday"),
        ("candle", -1, MovementKind.SCRAP, "monday; lost in the build"),
    ]


def test_a_key_is_of_one_build_as_it_went() -> None:
    """The same key with other losses is another command."""
    world = kitchen()
    command = BuildStock("candle", 5, "b", "test", used=(("wax", 530),))
    world.do(command)
    assert isinstance(world.do(command).outcome, Replayed)
    other = world.do(BuildStock("candle", 5, "b", "test", used=(("wax", 540),))).outcome
    assert isinstance(other, Refused)
    assert other.refusal == "key_reused"
    planned = world.do(BuildStock("candle", 5, "b", "test")).outcome
    assert isinstance(planned, Refused)


@pytest.mark.parametrize(
    ("used", "scrapped", "refusal"),
    [
        ((("oil", 5),), 0, "not_on_bill"),
        ((("wax", -1),), 0, "out_of_bounds"),
        ((("wax", 10**15 + 1),), 0, "out_of_bounds"),
        ((), 6, "more_lost_than_built"),
        ((), -1, "more_lost_than_built"),
    ],
)
def test_what_cannot_have_happened_is_refused(
    used: tuple[tuple[str, int], ...], scrapped: int, refusal: str
) -> None:
    """Nothing moves, not even the components that were right."""
    world = kitchen()
    command = BuildStock("candle", 5, "b", "test", used=used, scrapped=scrapped)
    outcome = world.do(command).outcome
    assert isinstance(outcome, Refused)
    assert outcome.refusal == refusal
    assert world.rows.shelves["wax"].on_hand == 1000


def rests(world: World) -> tuple[Rest, ...]:
    """What roundings of candles have left."""
    return world.rows.shelves["candle"].rests


def test_what_was_stated_leaves_nothing_of_roundings() -> None:
    """It was weighed and not rounded up: the next build takes no less for it, undone or not."""
    world = World().stock(candle=0, wax=1000, wick=20).bill("candle", 12, wax=500, wick=12)
    world.do(BuildStock("candle", 1, "b1", "test"))
    left = rests(world)
    assert left == (Rest("wax", 4),)
    first = len(world.rows.movements) + 1
    world.do(BuildStock("candle", 1, "b2", "test", used=(("wax", 43), ("wick", 2))))
    assert rests(world) == left
    world.do(UndoMovement(first, "u", "test"))
    assert rests(world) == left


def test_what_was_used_of_a_line_that_was_taken_ahead_is_recorded() -> None:
    """Roundings have left enough of it, so that the plan is 0; it is on the bill all the same."""
    world = World().stock(candle=0, wax=1000).bill("candle", 12, wax=5)
    world.do(BuildStock("candle", 1, "b1", "test"))
    outcome = world.do(BuildStock("candle", 1, "b2", "test", used=(("wax", 1),))).outcome
    assert isinstance(outcome, Accepted)
    (used,) = outcome.facts["used"]
    assert (used.planned, used.used) == ("0", "1")
    assert world.rows.shelves["wax"].on_hand == 998
    world.do(BuildStock("candle", 1, "b3", "test"))
    assert world.rows.shelves["wax"].on_hand == 998
