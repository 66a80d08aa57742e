"""R11: a channel that takes no order off its number, and tells what its orders have committed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stockpush.messages import Event
from stockpush.model import MovementKind, PushOutcomeKind
from tests.reservation.world import World, line

KEY = "po_1"


def world(*, on_hand: int = 10) -> World:
    """One candle on Faire and on Shopify, at rest, nothing ordered."""
    made = World().stock(candle=on_hand)
    made.list("faire", KEY, "candle", shows=None)
    made.reads("faire", KEY, on_hand, committed=0)
    made.polls("faire")
    made.list("shopify", "1", "candle", shows=on_hand)
    assert made.dirty == set()
    return made


def ordered(made: World, units: int, *, order: str = "bo_1", version: int = 1, **how: int) -> None:
    """A poll finds an order of so many; Faire has deducted nothing, ever."""
    known = made.order(
        "faire", order, line(KEY, units, deducted=0, **how), version=version, fetch=version
    )
    made.polls("faire", known)


def events(made: World, name: str) -> list[Event]:
    """The log lines of that name."""
    return [event for decision in made.log for event in decision.events if event.name == name]


@pytest.mark.parametrize(
    ("open_units", "committed", "hold"),
    [
        (0, 0, 0),
        (0, 3, 3),
        (3, 3, 0),
        (3, 5, 2),
        (3, 1, 0),
        (3, 0, 0),
    ],
)
def test_the_hold_is_what_is_committed_beyond_our_own_open_units(
    open_units: int, committed: int, hold: int
) -> None:
    """It is max(0, committed - open), and demand like any other."""
    made = world()
    if open_units:
        ordered(made, open_units)
    made.reads("faire", KEY, 10, committed=committed)
    assert made.field("faire", KEY).hold == hold
    assert made.field("faire", KEY).surplus == 0
    assert made.atp("candle") == 10 - open_units - hold


def test_the_hold_is_worked_out_anew_and_never_added_up() -> None:
    """Reading the same thing ten times is reading it once."""
    made = world()
    for committed, hold in ((3, 3), (3, 3), (5, 5), (2, 2), (2, 2), (0, 0), (4, 4)):
        made.reads("faire", KEY, 10, committed=committed)
        assert made.field("faire", KEY).hold == hold
        assert made.atp("candle") == 10 - hold


@pytest.mark.parametrize("first", ["reading", "order"])
def test_an_order_counts_once_whichever_comes_first(first: str) -> None:
    """Found committed and heard of, or heard of and found committed: seven are left."""
    made = world()
    placed = made.now
    made.now += timedelta(seconds=30)
    order = made.order("faire", "bo_1", line(KEY, 3, deducted=0), fetch=1, placed=placed)
    if first == "reading":
        assert made.reads("faire", KEY, 10, committed=3).poll_now == {"faire"}
        made.polls("faire", order)
        assert made.field("faire", KEY).hold == 0, "it surely was in the reading"
    else:
        made.polls("faire", order)
        made.reads("faire", KEY, 10, committed=3)
    assert made.atp("candle") == 7
    assert made.syncs() == {("shopify", "1"): 7}, "Faire's own sale needs no write there"
    assert made.field("faire", KEY).expected == 10


def test_another_order_than_the_one_that_is_held_eats_nothing() -> None:
    """One that was placed after the reading was not in it: both count until the next reading."""
    made = world()
    made.reads("faire", KEY, 10, committed=3)
    made.now += timedelta(seconds=30)
    ordered(made, 2)
    assert (made.field("faire", KEY).hold, made.atp("candle")) == (3, 5)
    due = made.field("faire", KEY).read_due_at
    assert due is not None
    assert due <= made.now
    made.reads("faire", KEY, 10, committed=5)
    assert (made.field("faire", KEY).hold, made.atp("candle")) == (3, 5)
    made.reads("faire", KEY, 10, committed=2)
    assert (made.field("faire", KEY).hold, made.atp("candle")) == (0, 8)


def test_an_order_that_left_while_the_reading_was_under_way_is_not_held() -> None:
    """Its units were ours when the request went out, and committed when it was answered."""
    made = world()
    ordered(made, 3)
    made.reads("faire", KEY, 10, committed=3)
    before = made.field("faire", KEY)
    ordered(made, 3, version=2, shipped=3)
    made.reads("faire", KEY, 10, committed=3, before=before)
    row = made.field("faire", KEY)
    assert row.hold == 0
    assert row.read_due_at is not None
    assert row.read_due_at <= made.now + timedelta(seconds=2), "and it is looked at again"


@pytest.mark.parametrize(("shows", "because"), [(7, "a shipment"), (14, "an edit"), (2, "an edit")])
def test_another_number_is_noted_and_set_again(shows: int, because: str) -> None:
    """E := L, no hold, no surplus, no drift, nothing to let go: the owner hears of it, no more."""
    made = world()
    drifts = [each for decision in made.log for each in decision.drifts]
    made.reads("faire", KEY, shows, committed=0)
    row = made.field("faire", KEY)
    assert (row.expected, row.hold, row.surplus, row.let_go) == (shows, 0, 0, 0), because
    assert made.atp("candle") == 10
    assert [each for decision in made.log for each in decision.drifts] == drifts
    (told,) = events(made, "number.changed")
    assert (told.fields["expected"], told.fields["observed"]) == (10, shows)
    (push,) = made.pushes("faire")
    assert (push.expected, push.target) == (shows, 10)


def test_a_hold_waits_for_no_poll_and_no_quarter_of_an_hour() -> None:
    """R4 has nothing to say: it stands as long as it is committed, and goes with it."""
    made = world()
    made.reads("faire", KEY, 10, committed=2)
    for _ in range(6):
        made.now += timedelta(hours=1)
        made.polls("faire")
        made.reads("faire", KEY, 10, committed=2)
    assert made.field("faire", KEY).hold == 2
    made.reads("faire", KEY, 10, committed=0)
    assert made.field("faire", KEY).hold == 0
    assert made.field("faire", KEY).let_go == 0


@pytest.mark.parametrize(
    ("open_units", "committed", "target"), [(0, 0, 10), (3, 3, 10), (3, 5, 8), (0, 2, 8)]
)
def test_the_target_is_what_may_be_offered_and_our_own_open_units(
    open_units: int, committed: int, target: int
) -> None:
    """Faire takes off what is committed by itself, so our own orders stand on the number."""
    made = world()
    if open_units:
        ordered(made, open_units)
    made.reads("faire", KEY, 4, committed=committed)
    (push,) = made.pushes("faire")
    assert push.target == target
    assert sum(units for _, units in push.terms) == target


def test_a_shipment_needs_no_write_where_the_number_falls_with_it() -> None:
    """Three leave: on hand, committed and our count all fall by three."""
    made = world()
    ordered(made, 3)
    made.reads("faire", KEY, 10, committed=3)
    made.syncs()
    ordered(made, 3, version=2, shipped=3)
    made.reads("faire", KEY, 7, committed=0)
    assert made.atp("candle") == 7
    assert "faire/po_1" not in made.dirty


def test_a_lost_compare_is_set_again_from_what_was_found() -> None:
    """The write found four where ten were expected: nobody is suspected, and the pair is read."""
    made = world()
    made.moves("candle", 2, MovementKind.ADJUSTMENT)
    (push,) = made.pushes("faire")
    made.settles(push, PushOutcomeKind.CONFLICT, actual=4)
    row = made.field("faire", KEY)
    assert (row.expected, row.hold, row.surplus, row.lost_compares) == (4, 0, 0, 0)
    assert row.read_due_at is not None
    (again,) = made.pushes("faire", call="again")
    assert (again.expected, again.target) == (4, 12)


@pytest.mark.parametrize(("actual", "noted"), [(12, 0), (10, 0), (9, 1)])
def test_a_write_without_an_answer_is_settled_by_the_number(actual: int, noted: int) -> None:
    """Applied, not applied, or somebody else's: none of them is a sale."""
    made = world()
    made.moves("candle", 2, MovementKind.ADJUSTMENT)
    (push,) = made.pushes("faire")
    made.settles(push, PushOutcomeKind.UNKNOWN)
    made.settles(replace(push), PushOutcomeKind.CONFLICT, actual=actual)
    row = made.field("faire", KEY)
    assert (row.expected, row.hold, row.surplus, row.doubt) == (actual, 0, 0, 0)
    assert len(events(made, "number.changed")) == noted
    assert ("faire/po_1" in made.dirty) is (actual != 12)


def test_a_reading_older_than_our_write_says_nothing() -> None:
    """R2's rule of what a reading may tell holds for a pair as well."""
    made = world()
    before = made.now
    made.moves("candle", 2, MovementKind.ADJUSTMENT)
    (push,) = made.pushes("faire")
    made.now += timedelta(seconds=1)
    made.settles(push)
    made.reads("faire", KEY, 10, committed=5, sent_at=before)
    row = made.field("faire", KEY)
    assert (row.expected, row.hold) == (12, 0)


def test_the_first_reading_holds_what_no_poll_has_told_of_yet() -> None:
    """A new listing's open orders are demand at once; the poll that follows explains them."""
    made = World().stock(candle=10)
    made.list("faire", KEY, "candle", shows=None)
    decision = made.reads("faire", KEY, 10, committed=4)
    assert decision.poll_now == {"faire"}
    assert made.atp("candle") == 6
    made.polls("faire")
    assert made.field("faire", KEY).hold == 4


def test_a_hold_is_shown_as_an_open_difference_until_it_is_explained() -> None:
    """People see what is committed and unknown; it closes with the hold."""
    made = world()
    made.reads("faire", KEY, 10, committed=4)
    opened = [each for each in made.log[-2].drifts if each.closed_at is None]
    assert [(each.expected, each.observed) for each in opened] == [(10, 6)]
    made.reads("faire", KEY, 10, committed=0)
    assert [each.closed_at is not None for each in made.log[-2].drifts] == [True]
