"""R11: a channel that takes no order off its number, and tells what its orders have committed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stockpush.messages import Event
from stockpush.model import MovementKind, PushOutcomeKind
from tests.reservation.world import START, World, line

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
    ("open_units", "committed", "hold", "surplus"),
    [
        (0, 0, 0, 0),
        (0, 3, 3, 0),
        (3, 3, 0, 0),
        (3, 5, 2, 0),
        (3, 1, 0, 2),
        (3, 0, 0, 3),
    ],
)
def test_the_hold_is_what_is_committed_beyond_our_own_open_units(
    open_units: int, committed: int, hold: int, surplus: int
) -> None:
    """It is max(0, committed - open), and demand like any other; what is missing is a surplus."""
    made = world()
    if open_units:
        ordered(made, open_units)
    made.reads("faire", KEY, 10, committed=committed)
    assert made.field("faire", KEY).hold == hold
    assert made.field("faire", KEY).surplus == surplus
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
    ("open_units", "committed", "target"),
    [(0, 0, 10), (3, 3, 10), (3, 5, 8), (0, 2, 8), (3, 1, 8), (3, 0, 7)],
)
def test_the_target_is_what_may_be_offered_and_our_own_open_units(
    open_units: int, committed: int, target: int
) -> None:
    """Faire takes off what is committed by itself, so as much of our own orders stands on the
    number; an order that it does not keep apart would be on sale there.
    """
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


# -- what is open and not committed ------------------------------------------------------------


def on_sale(made: World, committed: int) -> int:
    """What Faire sells once everything due is written: the number less what it keeps apart."""
    made.syncs()
    shown = made.field("faire", KEY).expected
    assert shown is not None
    return shown - committed


def backordered(made: World) -> None:
    """Three of four are open for later, and Faire has ceased to keep them apart."""
    ordered(made, 4)
    made.reads("faire", KEY, 10, committed=4)
    made.now += timedelta(seconds=30)
    ordered(made, 4, version=60)
    made.reads("faire", KEY, 10, committed=1)


def test_what_is_sold_and_not_kept_apart_is_not_on_sale() -> None:
    """Ten are there, four are sold and one is committed: six are on sale, not nine."""
    made = world()
    backordered(made)
    assert on_sale(made, 1) == 6
    assert made.atp("candle") == 6
    assert made.syncs() == {}, "and it stays so"


def test_a_tester_that_is_not_committed_is_not_on_sale() -> None:
    """We count thirteen pieces and Faire twelve: the thirteenth is taken off the number."""
    made = world(on_hand=30)
    ordered(made, 13)
    for _ in range(3):
        made.reads("faire", KEY, made.field("faire", KEY).expected or 0, committed=12)
        assert on_sale(made, 12) == 17
        made.now += timedelta(minutes=1)
        made.polls("faire")


def test_an_order_that_we_hear_of_has_the_field_read_and_not_raised_before() -> None:
    """Whether its units are kept apart no order tells: until a reading does, nothing is raised."""
    made = world()
    ordered(made, 3)
    made.moves("candle", 5, MovementKind.ADJUSTMENT)
    row = made.field("faire", KEY)
    assert row.read_due_at is not None
    assert row.read_due_at <= made.now
    assert made.pushes("faire") == ()
    made.reads("faire", KEY, 10, committed=1)
    (push,) = made.pushes("faire")
    assert (push.expected, push.target) == (10, 13)


def test_an_order_that_says_nothing_new_has_nothing_read() -> None:
    """Polls overlap and see most orders again: an idle channel costs no readings."""
    made = world()
    ordered(made, 3)
    made.reads("faire", KEY, 10, committed=3)
    due = made.field("faire", KEY).read_due_at
    ordered(made, 3)
    assert made.field("faire", KEY).read_due_at == due


def test_a_drift_stands_as_long_as_something_is_missing() -> None:
    """It is opened with what is for sale and should be, read every minute, and closes by itself."""
    made = world()
    backordered(made)
    (opened,) = [each for each in made.log[-2].drifts if each.closed_at is None]
    assert (opened.expected, opened.observed) == (6, 9)
    (told,) = events(made, "drift.opened")
    assert (told.fields["expected"], told.fields["observed"]) == (6, 9)
    count = len(made.log)
    for _ in range(5):
        made.now += timedelta(minutes=1)
        made.polls("faire")
        made.reads("faire", KEY, 10, committed=1)
        row = made.field("faire", KEY)
        assert (row.surplus, row.let_go) == (3, 0), "R4 lets nothing go"
        assert row.read_due_at is not None
        assert row.read_due_at <= made.now + timedelta(minutes=1)
    assert not [drift for each in made.log[count:] for drift in each.drifts]
    ordered(made, 4, version=90, shipped=4)
    made.reads("faire", KEY, 10, committed=0)
    closed = [drift.closed_at for each in made.log[count:] for drift in each.drifts]
    assert len(closed) == 1
    assert closed != [None]
    assert made.field("faire", KEY).surplus == 0


def test_what_is_committed_again_is_held_until_a_poll_knows_of_no_sale() -> None:
    """One unit more than a minute ago is a sale or a backorder that goes on. Raised at once by a
    unit, the number would put that sale back on sale; the poll that knows of none tells.
    """
    made = world()
    backordered(made)
    made.syncs()
    assert made.reads("faire", KEY, 7, committed=2).poll_now == {"faire"}
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus) == (1, 3)
    assert made.atp("candle") == 5
    assert row.read_due_at is not None
    assert row.read_due_at <= made.now + timedelta(seconds=2), "as soon as a poll may have told"
    assert on_sale(made, 2) == 4, "a sale like it is taken off"
    made.now += timedelta(seconds=5)
    made.polls("faire")
    made.reads("faire", KEY, 6, committed=2)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus) == (0, 2)
    assert (made.atp("candle"), on_sale(made, 2)) == (6, 6)


def test_a_sale_behind_a_backorder_is_never_put_back_on_sale() -> None:
    """The sale that is found committed is heard of late: no number between was one too high."""
    made = world()
    backordered(made)
    made.syncs()
    placed = made.now
    made.now += timedelta(seconds=30)
    made.reads("faire", KEY, 7, committed=2)
    assert on_sale(made, 2) <= 5
    order = made.order("faire", "bo_2", line(KEY, 1, deducted=0), fetch=9, placed=placed)
    made.now += timedelta(seconds=5)
    made.polls("faire", order)
    assert on_sale(made, 2) <= 5
    made.reads("faire", KEY, made.field("faire", KEY).expected or 0, committed=2)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus, row.undeducted) == (0, 3, 5)
    assert (made.atp("candle"), on_sale(made, 2)) == (5, 5)


@pytest.mark.parametrize(("later_s", "hold"), [(0, 1), (30, 0)])
def test_an_order_that_the_reading_may_have_had_begins_the_time_anew(
    later_s: int, hold: int
) -> None:
    """A poll that was begun before it was heard explains nothing of what is held after: that may
    be another one. An order that was placed after the reading is not in the hold, and a busy shop
    is not held for ever.
    """
    made = world()
    backordered(made)
    made.reads("faire", KEY, 10, committed=2)
    made.now += timedelta(seconds=later_s)
    order = made.order("faire", "bo_2", line(KEY, 1, deducted=0), fetch=9)
    made.now += timedelta(seconds=5)
    made.polls("faire", order)
    made.reads("faire", KEY, 10, committed=3)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus) == (hold, 2 + hold)


@pytest.mark.parametrize("committed", [2, 3])
def test_what_may_have_ended_before_the_reading_is_let_go_by_the_next(committed: int) -> None:
    """Cancelled in the second of the reading: was it missing there? What is found now tells."""
    made = world()
    ordered(made, 3, order="bo_2")
    ordered(made, 1, version=2)
    made.reads("faire", KEY, 10, committed=4)
    made.now += timedelta(seconds=30)
    second = int((made.now - START).total_seconds())
    made.reads("faire", KEY, 10, committed=3)
    assert made.field("faire", KEY).surplus == 1
    ordered(made, 1, version=second, open=0)
    made.reads("faire", KEY, 10, committed=committed)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus) == (0, 3 - committed)


def test_what_was_sent_unheard_is_missing_and_heard_of_is_missing_no_more() -> None:
    """The reading comes before the poll: as many are taken off at once, and once."""
    made = world()
    ordered(made, 2, order="bo_2")
    ordered(made, 3, version=2)
    made.reads("faire", KEY, 10, committed=5)
    made.now += timedelta(seconds=10)
    made.reads("faire", KEY, 10, committed=2)
    assert on_sale(made, 2) == 5
    ordered(made, 3, version=5, shipped=3)
    row = made.field("faire", KEY)
    assert (row.surplus, row.undeducted) == (0, 2)
    assert made.dirty == set(), "the number is right as it is"
    made.reads("faire", KEY, 7, committed=2)
    assert (made.atp("candle"), on_sale(made, 2)) == (5, 5)


def test_an_order_that_comes_while_the_reading_is_under_way_is_not_missing() -> None:
    """Whether it was committed then is not known; the field is read again at once."""
    made = world()
    before = made.field("faire", KEY)
    ordered(made, 3)
    made.reads("faire", KEY, 10, committed=0, before=before)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus) == (0, 0)
    assert row.read_due_at is not None
    assert row.read_due_at <= made.now, "and not raised before"


@pytest.mark.parametrize("told", [None, 1])
def test_a_number_without_what_is_committed_tells_nothing_of_it(told: int | None) -> None:
    """A lost compare tells the number alone: what is missing stays as it was read."""
    made = world()
    backordered(made)
    made.reads("faire", KEY, 8, committed=told)
    assert made.field("faire", KEY).surplus == 3
    assert on_sale(made, 1) == 6


def test_the_first_reading_takes_off_what_is_open_and_not_committed() -> None:
    """A listing whose open backorders are known before it is first read is pushed without them."""
    made = World().stock(candle=10)
    made.list("faire", KEY, "candle", shows=None)
    ordered(made, 4)
    made.reads("faire", KEY, 10, committed=1)
    made.polls("faire")
    assert made.field("faire", KEY).surplus == 3
    assert on_sale(made, 1) == 6


def backorder_becomes_an_order(made: World) -> None:
    """Two units of an order go on as a child's of their own, which Faire does not keep. Parent and
    child are told after the reading that missed them.
    """
    ordered(made, 2)
    made.reads("faire", KEY, 10, committed=2)
    made.now += timedelta(seconds=30)
    second = int((made.now - START).total_seconds())
    child = made.order("faire", "bo_2", line(KEY, 2, deducted=0), fetch=3)
    made.now += timedelta(seconds=30)
    made.reads("faire", KEY, 10, committed=0)
    assert on_sale(made, 0) == 8
    parent = made.order("faire", "bo_1", line(KEY, 2, deducted=0, open=0), version=second, fetch=3)
    made.polls("faire", parent, child)


def test_a_backorder_that_becomes_an_order_of_its_own_stays_missing() -> None:
    """Nothing of it is on sale between the reading and the poll, or after."""
    made = world()
    backorder_becomes_an_order(made)
    row = made.field("faire", KEY)
    assert (row.undeducted, row.surplus) == (2, 2)
    assert made.dirty == set()
    drifts = [drift.closed_at is None for each in made.log for drift in each.drifts]
    assert drifts[-1], "one is open"
    made.reads("faire", KEY, 8, committed=0)
    assert (made.field("faire", KEY).surplus, on_sale(made, 0)) == (2, 8)


def test_a_sale_behind_a_backorder_that_became_an_order_is_never_put_back_on_sale() -> None:
    """The child is missing in the reading before it; one unit that is committed by the next one is
    another sale, of which no poll has told yet. No number is raised by it.
    """
    made = world()
    backorder_becomes_an_order(made)
    made.now += timedelta(seconds=30)
    made.reads("faire", KEY, 8, committed=1)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus) == (1, 2)
    assert on_sale(made, 1) <= 7, "8 less the sale"


def sent_and_sold(made: World, *, in_the_second: bool = False) -> None:
    """Beside three units of a backorder that are long missing, an order of two is sent and one
    unit is sold between two readings; a poll tells that it was sent, and nothing of the sale.
    """
    backordered(made)
    ordered(made, 2, order="bo_2")
    made.reads("faire", KEY, 10, committed=3)
    made.now += timedelta(seconds=5)
    made.polls("faire")
    made.reads("faire", KEY, 10, committed=3)
    assert (made.field("faire", KEY).surplus, made.atp("candle")) == (3, 4)
    made.now += timedelta(seconds=30)
    second = int((made.now - START).total_seconds())
    made.now += timedelta(seconds=0 if in_the_second else 10)
    made.reads("faire", KEY, 8, committed=2)
    assert made.field("faire", KEY).surplus == 4, "two are missing, and one is there for it"
    ordered(made, 2, order="bo_2", version=second, shipped=2)


@pytest.mark.parametrize("in_the_second", [False, True])
def test_a_sale_behind_what_was_sent_is_never_put_back_on_sale(in_the_second: bool) -> None:
    """Of the two units that were sent the readings missed one: for the other one a sale is
    committed, and no number is raised by it. The poll that tells of it explains what is held.
    """
    made = world()
    sent_and_sold(made, in_the_second=in_the_second)
    placed = made.now - timedelta(seconds=5)
    made.reads("faire", KEY, 8, committed=2)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus, row.undeducted) == (1, 3, 4)
    assert on_sale(made, 2) <= 3, "four less the sale"
    sale = made.order("faire", "bo_3", line(KEY, 1, deducted=0), fetch=9, placed=placed)
    made.now += timedelta(seconds=30)
    made.polls("faire", sale)
    made.reads("faire", KEY, made.field("faire", KEY).expected or 0, committed=2)
    made.now += timedelta(seconds=5)
    made.polls("faire")
    made.reads("faire", KEY, made.field("faire", KEY).expected or 0, committed=2)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus, row.undeducted) == (0, 3, 5)
    assert (made.atp("candle"), on_sale(made, 2)) == (3, 3)


def test_what_was_sent_before_it_was_missed_is_given_back_by_the_next_poll() -> None:
    """An order that no reading has kept is sent: that it was among what is missing is known when a
    poll has told of no sale, a minute later, and nothing is hidden any more.
    """
    made = world()
    backordered(made)
    made.now += timedelta(seconds=5)
    made.polls("faire")
    made.reads("faire", KEY, 10, committed=1)
    made.now += timedelta(seconds=30)
    second = int((made.now - START).total_seconds())
    made.now += timedelta(seconds=10)
    made.reads("faire", KEY, 10, committed=1)
    ordered(made, 4, version=second, open=1, shipped=3)
    assert made.field("faire", KEY).surplus == 3
    made.reads("faire", KEY, 10, committed=1)
    made.now += timedelta(seconds=30)
    made.polls("faire")
    made.reads("faire", KEY, made.field("faire", KEY).expected or 0, committed=1)
    row = made.field("faire", KEY)
    assert (row.hold, row.surplus, row.undeducted) == (0, 0, 1)
    assert (made.atp("candle"), on_sale(made, 1)) == (6, 6)
