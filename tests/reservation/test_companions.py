"""Fields that are written together: one document for all quantities of a listing (R6, R7, R10)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stockpush.messages import ListingResolved, OpenPushes, ResolveListings
from stockpush.model import Exposure, FieldKey, ListingKey, MovementKind, PushOutcomeKind
from tests.reservation.world import World, line

GROUP = (("red", "blue", "green"),)


def world() -> World:
    """Three colours of a listing on one channel, each an item of its own, at rest."""
    made = World().stock(red=5, blue=5, green=5)
    for colour in ("red", "blue", "green"):
        made.list("woo", colour, colour, shows=5)
    assert made.dirty == set()
    return made


def opened(made: World, **how: object) -> dict[str, tuple[int, int]]:
    """Open what is dirty; E and T of each push by its field's key, in the order of the call."""
    pushes = made.pushes("woo", groups=GROUP, **how)
    assert [push.position for push in pushes] == list(range(len(pushes)))
    return {push.field.key: (push.expected, push.target) for push in pushes}


def test_with_one_field_all_of_its_document_go_out() -> None:
    """The others are sent with what they show: compared, and the gap of the write is theirs."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    assert opened(made) == {"red": (5, 3), "blue": (5, 5), "green": (5, 5)}


def test_without_groups_nothing_else_goes_out() -> None:
    """Where each field is written by itself, a push is a push of that field."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    assert [push.field.key for push in made.pushes("woo")] == ["red"]


def test_a_document_with_nothing_to_write_is_not_written() -> None:
    """A field that is clean by now takes nobody with it."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT, key="a")
    queued = dict(made.rows.dirty)
    made.moves("red", 2, MovementKind.ADJUSTMENT, key="b")
    made.rows = replace(made.rows, dirty=queued)
    assert opened(made) == {}
    assert made.dirty == set()


def test_what_waits_for_company_is_written_with_the_others() -> None:
    """A raise that is not due yet goes out in the document that has to be written anyway."""
    made = world()
    made.moves("blue", 4, MovementKind.ADJUSTMENT)
    made.moves("red", -1, MovementKind.ADJUSTMENT, key="other")
    waiting = made.rows.dirty[FieldKey("woo", "blue")]
    due = {key: row for key, row in made.rows.dirty.items() if row.decrease}
    made.rows = replace(made.rows, dirty=due)
    queued = made.pushes("woo", groups=GROUP)
    made.rows = replace(made.rows, dirty={**made.rows.dirty, waiting.key: waiting})
    assert {push.field.key: push.target for push in queued}["blue"] == 9


@pytest.mark.parametrize("reason", ["parked", "not adopted", "never read"])
def test_what_is_not_ours_is_left_out(reason: str) -> None:
    """A field that we may not write is written as it was read, and nothing is learnt of it."""
    made = World().stock(red=5, blue=5)
    made.list("woo", "red", "red", shows=5)
    made.list("woo", "blue", "blue", shows=None, adopt=reason != "not adopted")
    if reason != "never read":
        made.reads("woo", "blue", 5)
    made.polls("woo")
    if reason == "parked":
        key = FieldKey("woo", "blue")
        row = replace(made.rows.fields[key], parked_reason="gone")
        made.rows = replace(made.rows, fields={**made.rows.fields, key: row})
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    assert [push.field.key for push in made.pushes("woo", groups=(("red", "blue"),))] == ["red"]


def resumed(*, read: int | None) -> World:
    """The document of red and blue, whose blue listing was parked when it showed 5 and came back;
    `read` is its first reading since, None if there is none yet. Its orders are not read.
    """
    made = world()
    key = ListingKey("woo", "blue")
    made.do(ResolveListings((ListingResolved(key, "blue", "blue", "gone"),)))
    made.do(ResolveListings((ListingResolved(key, "blue", "blue"),)))
    if read is not None:
        made.reads("woo", "blue", read)
    return made


@pytest.mark.parametrize("read", [5, None])
def test_a_field_that_came_back_is_compared_and_not_raised_before_its_orders_are_read(
    read: int | None,
) -> None:
    """It is ours, and its number goes out with the document: as what it shows, or as less."""
    made = resumed(read=read)
    made.moves("blue", 4, MovementKind.ADJUSTMENT)
    made.moves("red", -2, MovementKind.ADJUSTMENT, key="other")
    assert opened(made) == {"red": (5, 3), "blue": (5, 5), "green": (5, 5)}
    lowered = resumed(read=read)
    lowered.moves("blue", -1, MovementKind.ADJUSTMENT)
    lowered.moves("red", -2, MovementKind.ADJUSTMENT, key="other")
    assert opened(lowered) == {"red": (5, 3), "blue": (5, 4), "green": (5, 5)}


def test_a_field_that_came_back_takes_no_document_with_it() -> None:
    """Before its orders are read nothing is written for its sake (the first reading)."""
    made = resumed(read=5)
    made.moves("blue", -1, MovementKind.ADJUSTMENT)
    assert opened(made) == {}
    made.polls("woo")
    assert opened(made) == {"blue": (5, 4), "red": (5, 5), "green": (5, 5)}


@pytest.mark.parametrize("read", [5, None])
def test_r10_a_sale_inside_the_gap_is_found_of_a_field_that_came_back(read: int | None) -> None:
    """We wrote five over a sale of the blue one, whose orders were not read yet: its order has the
    field read, and it is lowered. Seed 130090886.
    """
    made = resumed(read=read)
    before = made.field("woo", "blue")
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    pushes = made.pushes("woo", groups=GROUP)
    gap_from = made.now
    made.now += timedelta(seconds=1)
    for push in pushes:
        made.settles(push, gap_from=gap_from, gap_until=made.now)
    if read is None:
        made.reads("woo", "blue", 5, before=before, sent_at=gap_from)
        assert made.field("woo", "blue").first_observed_at is None, "it was read before the write"
    due = made.field("woo", "blue").read_due_at
    assert due is not None
    assert due <= made.now + timedelta(seconds=2)
    made.now += timedelta(seconds=3)
    made.reads("woo", "blue", 5)
    made.now += timedelta(seconds=30)
    sold_at = gap_from + timedelta(milliseconds=300)
    made.polls("woo", made.order("woo", "1", line("blue", 1), version=700, placed=sold_at))
    assert {push.field.key: push.target for push in made.pushes("woo", call="b")} == {"blue": 4}


def test_a_number_that_was_changed_while_it_was_parked_is_no_sale() -> None:
    """What the lost compare told is its first reading, and no orders were read since."""
    made = resumed(read=None)
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    red, blue, green = made.pushes("woo", groups=GROUP)
    made.now += timedelta(seconds=1)
    made.polls("woo")
    made.settles(blue, PushOutcomeKind.CONFLICT, actual=2)
    for push in (red, green):
        made.settles(push, PushOutcomeKind.CONFLICT, actual=5)
    field = made.field("woo", "blue")
    assert (field.expected, field.hold) == (2, 0)
    assert opened(made, call="b") == {"red": (5, 3), "blue": (2, 2), "green": (5, 5)}


def test_a_write_without_an_answer_before_the_first_reading_has_the_field_read() -> None:
    """What was expected is older than what parked it, so that nothing is held for a difference."""
    made = resumed(read=None)
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    _, blue, _ = made.pushes("woo", groups=GROUP)
    made.settles(blue, PushOutcomeKind.UNKNOWN)
    made.now += timedelta(seconds=30)
    sent_at = made.now - timedelta(seconds=1)
    made.settles(blue, PushOutcomeKind.CONFLICT, actual=2)
    field = made.field("woo", "blue")
    assert (field.hold, field.first_observed_at) == (0, None)
    assert field.read_due_at is not None
    assert field.read_due_at <= made.now
    made.reads("woo", "blue", 2, sent_at=sent_at)
    assert made.field("woo", "blue").first_observed_at is None, "it was read before that was known"
    made.reads("woo", "blue", 2)
    assert (made.field("woo", "blue").expected, made.field("woo", "blue").hold) == (2, 0)


def test_a_doubted_field_is_not_raised_along_the_way() -> None:
    """R7 holds for a field that is only taken along: it is sent with E."""
    made = world()
    row = made.field("woo", "blue")
    doubted = replace(row, uneaten=1)
    made.rows = replace(made.rows, fields={**made.rows.fields, row.key: doubted})
    made.moves("blue", 4, MovementKind.ADJUSTMENT)
    made.moves("red", -1, MovementKind.ADJUSTMENT, key="other")
    assert opened(made)["blue"] == (5, 5)
    assert "woo/blue" in made.dirty


def test_a_field_below_nothing_is_never_sent_as_such() -> None:
    """Orders lowered what we expect of blue below what it can be, and it may not be raised: 0.

    Seed 6014 sent -1 to Etsy.
    """
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    blue = FieldKey("woo", "blue")
    below = replace(made.rows.fields[blue], expected=-1, uneaten=1)
    made.rows = replace(made.rows, fields={**made.rows.fields, blue: below})
    assert opened(made)["blue"] == (-1, 0)


def test_while_one_is_in_flight_the_document_is_not_written() -> None:
    """R6: a write without an answer may still land, and it would put all numbers back."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    (red,) = made.pushes("woo")
    made.settles(red, PushOutcomeKind.UNKNOWN)
    made.moves("blue", -1, MovementKind.ADJUSTMENT, key="other")
    before = made.now
    assert made.pushes("woo", call="second", groups=GROUP) == ()
    assert made.rows.dirty[FieldKey("woo", "blue")].due_at >= before + timedelta(seconds=2)
    made.settles(red)
    made.now += timedelta(seconds=3)
    assert opened(made, call="third") == {"blue": (5, 4), "green": (5, 5), "red": (3, 3)}


def test_r10_a_sale_of_a_sibling_inside_the_gap_is_found() -> None:
    """We wrote five over a sale of the blue one: its order has the field read, and lowered."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    pushes = made.pushes("woo", groups=GROUP)
    gap_from = made.now
    sold_at = gap_from + timedelta(milliseconds=300)
    made.now += timedelta(seconds=1)
    for push in pushes:
        made.settles(push, gap_from=gap_from, gap_until=made.now)
    made.now += timedelta(seconds=600)
    made.hears(made.order("woo", "1", line("blue", 1), version=700, placed=sold_at))
    blue = made.field("woo", "blue")
    assert blue.expected == 4
    assert blue.read_due_at is not None
    assert blue.read_due_at <= made.now + timedelta(seconds=2)
    made.reads("woo", "blue", 5)
    assert "woo/blue" in made.dirty
    assert {push.field.key: push.target for push in made.pushes("woo", call="b")}["blue"] == 4


def test_r10_a_sibling_is_read_again_after_the_write() -> None:
    """Its number is looked at two seconds later, as that of the field that was to be written."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    for push in made.pushes("woo", groups=GROUP):
        made.settles(push, gap_from=made.now, gap_until=made.now)
    for colour in ("red", "blue", "green"):
        due = made.field("woo", colour).read_due_at
        assert due is not None
        assert due <= made.now + timedelta(seconds=2)


def test_a_compare_that_a_sibling_lost_is_not_lost_by_the_others() -> None:
    """The document was not written; who holds what we expect learns nothing from that."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    red, blue, green = made.pushes("woo", groups=GROUP)
    assert (red.field.key, blue.field.key) == ("red", "blue")
    made.settles(blue, PushOutcomeKind.CONFLICT, actual=3)
    for push in (red, green):
        made.settles(push, PushOutcomeKind.CONFLICT, actual=5)
    assert made.field("woo", "blue").hold == 2
    assert made.field("woo", "blue").lost_compares == 1
    assert (made.field("woo", "red").lost_compares, made.field("woo", "red").hold) == (0, 0)
    assert made.dirty == {"woo/red"}


def test_a_sibling_whose_push_failed_is_not_due_by_itself() -> None:
    """Nothing of it was to be written, so nothing of it is left to be."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    for push in made.pushes("woo", groups=GROUP):
        made.settles(push, PushOutcomeKind.UNAVAILABLE, retry_at=made.now + timedelta(seconds=9))
    assert made.dirty == {"woo/red"}


def test_a_write_that_was_none_leaves_the_gap_of_the_one_before() -> None:
    """A document that held everything already was not written: the last gap still counts."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    gap = made.now
    for push in made.pushes("woo", groups=GROUP):
        made.settles(push, gap_from=gap, gap_until=gap)
    made.moves("red", -1, MovementKind.ADJUSTMENT, key="other")
    for push in made.pushes("woo", call="second", groups=GROUP):
        made.settles(push, PushOutcomeKind.UNCHANGED, actual=push.target)
    assert made.field("woo", "blue").gap_until == gap


def test_terms_of_what_is_taken_along_sum_to_what_was_sent() -> None:
    """Every push keeps the derivation of its number, this one too."""
    made = world()
    made.moves("red", -2, MovementKind.ADJUSTMENT)
    for push in made.pushes("woo", groups=GROUP):
        assert sum(units for _, units in push.terms) == push.target


def test_siblings_that_are_raised_along_the_way_part_what_there_is() -> None:
    """One candle is free, for a lowering elsewhere may fail: of three siblings that would each take
    it, and are written because a fourth is, one does.
    """
    made = World().stock(red=0, blue=0, green=0, wax=0, tin=5)
    for colour in ("red", "blue", "green"):
        made.bill(colour, wax=1)
    made.item("red", exposure=Exposure.SPLIT).list("shopify", "x", "red", shows=0)
    made.moves("wax", 10, MovementKind.RECEIPT, "all on shopify")
    made.syncs()
    for sku, shows in (("red", 0), ("blue", 0), ("green", 0), ("tin", 5)):
        made.list("woo", sku, sku, shows=shows)
    made.moves("wax", -6, MovementKind.ADJUSTMENT, "lost")
    assert [(push.expected, push.target) for push in made.pushes("shopify")] == [(10, 4)]
    made.moves("wax", 7, MovementKind.ADJUSTMENT, "found again")
    made.moves("tin", -1, MovementKind.ADJUSTMENT, "tin")
    together = tuple(FieldKey("woo", sku) for sku in ("red", "blue", "green", "tin"))
    opened = made.do(OpenPushes("woo", (FieldKey("woo", "tin"),), "call", groups=(together,)))
    written = {push.field.key: push.target for push in opened.outcome.facts["pushes"]}
    assert written == {"tin": 4, "red": 1, "blue": 0, "green": 0}
