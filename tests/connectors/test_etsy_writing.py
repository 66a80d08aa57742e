"""Etsy: the push reads the whole document, compares, replaces it, and compares again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from stockpush.connectors.base import Notes, Tokens
from stockpush.connectors.etsy import outcomes, reading, writing
from stockpush.connectors.etsy.document import OTHER_NUMBERS
from stockpush.connectors.etsy.reading import GONE, INACTIVE, NO_SUCH_FIELD, STATES
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    ListingGone,
    OutcomeUnknown,
    PushRejected,
    RateLimited,
)
from stockpush.model import FieldKey
from stockpush.model import PushOutcomeKind as Kind
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.connectors.etsy_world import (
    LAVENDER,
    MINT,
    ROSE,
    SCENT,
    SHOP_ID,
    EtsyDoor,
    Intercepted,
    World,
    line,
    make_world,
    scent,
    size,
    wick,
)
from tests.connectors.hands import BEGUN
from tests.connectors.inprocess import InProcessApi

READ_AT = BEGUN.replace(microsecond=0)
OFF = "off-sale:1001"
PATCH_1001 = ("PATCH", f"/shops/{SHOP_ID}/listings/1001")
ERROR = b'{"error":"Something of the document"}'


@pytest.fixture
def world() -> World:
    """Return the shop of etsy_world."""
    return make_world()


def quantities(body: Mapping[str, Any]) -> list[int]:
    """Return the quantities of a written document, in its order."""
    return [each["offerings"][0]["quantity"] for each in body["products"]]


# -- one listing, on sale ------------------------------------------------------------------------


async def test_expected_number_is_replaced(world: World):
    """Read with its listing, then one PUT of the whole document; the number is the target."""
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, outcome.actual, outcome.error) == (Kind.APPLIED, 4, None)
    assert world.shop.quantity("1001") == 4
    assert [(each.method, dict(each.query)) for each in world.api.sent] == [
        ("GET", {"includes": "Listing"}),
        ("PUT", {}),
    ]


async def test_all_lines_of_a_listing_go_in_one_put(world: World):
    """Mapped numbers from the lines, the unmapped one as it was read; outcomes keep the order."""
    outcomes_ = await world.push(
        line(MINT, expected=3, target=9),
        line("1001", expected=7, target=7),
        line(LAVENDER, expected=5, target=0),
    )
    assert [each.kind for each in outcomes_] == [Kind.APPLIED, Kind.UNCHANGED, Kind.APPLIED]
    ((method, path, body),) = world.writes()
    assert (method, path, quantities(body)) == ("PUT", "/listings/1002/inventory", [0, 9, 2])
    assert {world.connector.together(key) for key in (MINT, LAVENDER, ROSE)} == {"1002"}


async def test_a_listing_whose_quantity_does_not_vary_has_one_field(world: World):
    """Both sizes are written with the one number."""
    (outcome,) = await world.push(line("1003", expected=12, target=5))
    assert outcome.kind is Kind.APPLIED
    assert quantities(world.writes()[0][2]) == [5, 5]


async def test_an_equal_number_is_not_written(world: World):
    """Nothing changes: nothing is sent but the read, and nothing can be overwritten."""
    (outcome,) = await world.push(line("1001", expected=7, target=7))
    assert (outcome.kind, outcome.actual) == (Kind.UNCHANGED, 7)
    assert world.writes() == []


async def test_outcome_states_the_gap_by_the_shops_clock(world: World):
    """From when the read was sent to when the write was answered (R10)."""
    world.before("PUT", lambda: world.hands.move(3))
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.gap_from, outcome.gap_until) == (READ_AT, READ_AT + timedelta(seconds=3))
    assert outcome.date == READ_AT + timedelta(seconds=3)


@pytest.mark.parametrize("units", [2, -2])
async def test_an_unexpected_number_is_a_conflict_of_the_whole_listing(world: World, units: int):
    """F30: lower (an unseen sale) or higher, nothing of that listing is written."""
    world.shop.merchant_sets(MINT, 3 - units)
    told = await world.push(
        line(LAVENDER, expected=5, target=1),
        line(MINT, expected=3, target=1),
        line(ROSE, expected=2, target=2),
        line("1001", expected=7, target=1),
    )
    assert [(each.kind, each.actual) for each in told] == [
        (Kind.CONFLICT, 5),
        (Kind.CONFLICT, 3 - units),
        (Kind.UNCHANGED, 2),
        (Kind.APPLIED, 1),
    ]
    assert [path for _, path, _ in world.writes()] == ["/listings/1001/inventory"]


async def test_an_unexpected_number_that_is_the_target_is_still_a_conflict(world: World):
    """A sale of exactly the difference looks like our own write: it must not be taken for it."""
    world.shop.checkout([("1001", 2)])
    (outcome,) = await world.push(line("1001", expected=7, target=5))
    assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, 5)


async def test_a_sale_in_the_gap_is_overwritten_and_its_instant_is_inside(world: World):
    """F30, what remains: the outcome's gap lets the core find it by the payment's instant."""
    world.hands.move(1)
    world.before("PUT", lambda: world.shop.checkout([("1001", 1)]))
    (outcome,) = await world.push(line("1001", expected=7, target=6))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 6)
    (seen,) = (await world.polled()).values()
    assert outcome.gap_from <= seen.deducted_at <= outcome.gap_until


async def test_more_than_999_is_never_sent(world: World):
    """The manifest caps what is shown at 999, which is the most that Etsy takes."""
    most = world.connector.manifest.quantity_max
    assert most == 999
    (told,) = await world.push(line(LAVENDER, expected=5, target=most))
    assert (told.kind, quantities(world.writes()[0][2])) == (Kind.APPLIED, [999, 3, 2])
    (told,) = await world.push(line(LAVENDER, expected=most, target=most + 1))
    assert told.kind is Kind.REJECTED  # by Etsy


async def test_a_third_variation_is_said_to_be_known(world: World):
    """A listing of three properties is written with max_variations_supported=3."""
    values = [[scent("Mint"), size("Small"), wick(each)] for each in ("Wood", "Cotton")]
    world.shop.add_variations(1004, [(each, 3, "X") for each in values], varies_by=())
    (outcome,) = await world.push(line("1004", expected=3, target=2))
    assert outcome.kind is Kind.APPLIED
    assert dict(world.api.sent[-1].query) == {"max_variations_supported": "3"}


async def test_deleted_products_are_skipped(world: World):
    """What Etsy shows as deleted does not come back to life."""
    row = world.shop.listing(1002)
    row.deleted.append(row.products.pop())
    world.shop.api.shows_deleted = True
    (outcome,) = await world.push(line(MINT, expected=3, target=1))
    assert outcome.kind is Kind.APPLIED
    assert quantities(world.writes()[0][2]) == [5, 1]


async def test_new_ids_after_a_write_do_not_matter(world: World):
    """Fields are named by values: a second push finds the products under their new ids."""
    await world.push(line(MINT, expected=3, target=2))
    (outcome,) = await world.push(line(MINT, expected=2, target=1))
    assert outcome.kind is Kind.APPLIED
    assert world.shop.quantity(MINT) == 1


# -- F31, F50: what else may happen between ------------------------------------------------------


async def test_something_else_that_differs_afterwards_is_told(world: World):
    """F31: quantities stand, and the outcome's reason says where to look."""
    handle = world.shop.handle

    def edited(request: Any) -> Any:
        answer = handle(request)
        if request.method == "PUT":
            told = json.loads(answer.body)
            told["products"][0]["offerings"][0]["price"]["amount"] += 100
            return type(answer)(200, answer.headers, json.dumps(told).encode())
        return answer

    world.api.shop.handle = edited  # type: ignore[method-assign]
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, outcome.actual) == (Kind.APPLIED, 4)
    assert "(products)" in outcome.error.message


async def test_a_number_of_an_unmapped_variation_that_differs_afterwards_is_told(world: World):
    """It was sent as it was read: another one in the answer is for a person to look at."""
    handle = world.shop.handle

    def edited(request: Any) -> Any:
        answer = handle(request)
        if request.method == "PUT":
            told = json.loads(answer.body)
            told["products"][2]["offerings"][0]["quantity"] += 5  # the third one is not mapped
            return type(answer)(200, answer.headers, json.dumps(told).encode())
        return answer

    world.api.shop.handle = edited  # type: ignore[method-assign]
    outcomes_ = await world.push(
        line(MINT, expected=3, target=9), line(LAVENDER, expected=5, target=4)
    )
    assert [each.kind for each in outcomes_] == [Kind.APPLIED, Kind.APPLIED]
    assert all(OTHER_NUMBERS in each.error.message for each in outcomes_)


async def test_a_price_that_cannot_be_read_afterwards_makes_no_write_undone(world: World):
    """What was taken was taken: the quantities tell, and the rest is said."""
    handle = world.shop.handle

    def odd(request: Any) -> Any:
        answer = handle(request)
        if request.method == "PUT":
            told = json.loads(answer.body)
            told["products"][0]["offerings"][0]["price"]["divisor"] = 3
            return type(answer)(200, answer.headers, json.dumps(told).encode())
        return answer

    world.api.shop.handle = odd  # type: ignore[method-assign]
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, outcome.actual) == (Kind.APPLIED, 4)
    assert outcome.error.message


async def test_a_listing_that_was_read_too_long_ago_is_not_written(world: World):
    """F50: the machine slept between the read and the write."""
    object.__setattr__(world.connector, "memory", Sleepy(world))
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.UNAVAILABLE, 7)
    assert world.writes() == []


async def test_a_door_without_a_clock_and_a_notebook_will_do(world: World):
    """A door that tells no time, and keeps nothing, still lets a listing be written."""
    bare = InProcessApi(world.shop, TokenedConnector(world))  # type: ignore[arg-type]
    assert not isinstance(bare, Notes)
    (outcome,) = await world.connector.push(
        bare, [line("1001", expected=7, target=4)], call_id="call"
    )
    assert outcome.kind is Kind.APPLIED


async def test_the_read_pays_for_both_requests(world: World, monkeypatch: pytest.MonkeyPatch):
    """The write does not wait for the rate limit a second time."""
    costs = []
    send = type(world.api).send

    async def counted(self: Any, method: str, path: str, **rest: Any) -> Any:
        costs.append((method, rest["cost"]))
        return await send(self, method, path, **rest)

    monkeypatch.setattr(type(world.api), "send", counted)
    await world.push(line("1001", expected=7, target=4))
    assert costs == [("GET", 2.0), ("PUT", writing.PAID_BEFORE)]


# -- the last unit -------------------------------------------------------------------------------


async def test_the_last_unit_takes_the_listing_off_sale(world: World):
    """F32: Etsy refuses a document of zeros, so it is made inactive; the note is made before."""
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, outcome.actual) == (Kind.APPLIED, 0)
    assert world.writes()[0] == (*PATCH_1001, "state=inactive")
    assert (world.shop.listing(1001).state, world.shop.quantity("1001")) == ("inactive", 0)
    assert world.api.notes == {OFF: "taken off sale by us"}
    assert world.api.told == [(1, OFF)]  # after the read, before anything was written
    (reading,) = await observed(world, "1001")
    assert (reading.quantity, reading.problem) == (0, None)


async def test_one_unit_is_left_in_the_hidden_document(world: World):
    """Whoever puts it on sale by hand oversells one at most, not the seven it had."""
    await world.push(line("1001", expected=7, target=0))
    world.shop.sets_state(1001, "active")
    assert world.shop.quantity("1001") == 1


async def test_a_hidden_unit_that_cannot_be_lowered_is_left(world: World):
    """The listing is off sale all the same."""
    world.instead("PUT", 400, ERROR)
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, world.shop.listing(1001).state) == (Kind.APPLIED, "inactive")


async def test_a_hidden_unit_without_an_answer_leaves_the_push_unknown(world: World):
    """It may still arrive where the listing is on sale again: first it must be too late for it."""
    world.before("PUT", lambda: setattr(world.shop.faults, "drop_before_next", 1))
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, world.shop.listing(1001).state) == (Kind.UNKNOWN, "inactive")


async def test_zero_beside_something_on_sale_is_written(world: World):
    """One scent at zero is fine while another sells, also one that is not mapped."""
    told = await world.push(line(MINT, expected=3, target=0), line(LAVENDER, expected=5, target=0))
    assert [each.kind for each in told] == [Kind.APPLIED, Kind.APPLIED]
    assert world.shop.listing(1002).state == "active"
    assert quantities(world.writes()[0][2]) == [0, 0, 2]


async def test_it_is_put_on_sale_again_when_stock_returns(world: World):
    """Numbers first, while it is hidden, then the state; without a fee, and the note is gone ten
    minutes later.
    """
    await world.push(line("1001", expected=7, target=0))
    del world.api.sent[:]
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, outcome.actual) == (Kind.APPLIED, 3)
    assert [each[0] for each in world.writes()] == ["PUT", "PATCH"]
    assert (world.shop.quantity("1001"), world.shop.fees()) == (3, 0)
    world.hands.move(600)
    await observed(world, "1001")
    assert world.api.notes == {}


async def test_an_earlier_request_that_takes_it_off_late_is_still_ours(world: World):
    """F32: it was sent before the listing was put on sale again, and arrives a minute after."""
    await world.push(line("1001", expected=7, target=0))
    await world.push(line("1001", expected=0, target=3))
    world.hands.move(60)
    world.shop.sets_state(1001, "inactive")
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)


async def test_what_is_hidden_counts_as_zero_when_it_comes_back(world: World):
    """A number that a hidden document kept is nobody's: only what is promised goes on sale."""
    await world.push(
        line(LAVENDER, expected=5, target=0),
        line(MINT, expected=3, target=0),
        line(ROSE, expected=2, target=0),
    )
    assert world.shop.listing(1002).state == "inactive"
    told = await world.push(line(MINT, expected=0, target=2))
    assert told[0].kind is Kind.APPLIED
    numbers = world.shop.numbers()
    assert [numbers[each] for each in (LAVENDER, MINT, ROSE)] == [0, 2, 0]


async def test_a_hidden_listing_stays_hidden_while_there_is_nothing(world: World):
    """Expected 0, target 0: no request but the read."""
    await world.push(line("1001", expected=7, target=0))
    del world.api.sent[:]
    (outcome,) = await world.push(line("1001", expected=0, target=0))
    assert (outcome.kind, world.writes()) == (Kind.UNCHANGED, [])


async def test_ask_leaves_the_listing_and_opens_a_repair():
    """sold_out = "ask": nothing is written, the reason says what to do."""
    world = make_world(sold_out="ask")
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, outcome.error.message) == (Kind.REJECTED, writing.SOLD_OUT_ASK)
    assert (world.writes(), world.api.notes, world.shop.quantity("1001")) == ([], {}, 7)


async def test_a_listing_that_its_owner_took_off_sale_is_left_alone(world: World):
    """F22: no number, no state; and it is parked with words for its owner."""
    world.shop.sets_state(1001, "inactive")
    (outcome,) = await world.push(line("1001", expected=7, target=3))
    assert (outcome.kind, outcome.error.message) == (Kind.REJECTED, INACTIVE)
    assert world.writes() == []


async def test_what_its_owner_put_on_sale_is_theirs_from_then_on(world: World):
    """We took it off, they put it on and, ten minutes later, off again: we do not put it on."""
    await world.push(line("1001", expected=7, target=0))
    world.shop.sets_state(1001, "active")
    world.shop.merchant_sets("1001", 4)
    (outcome,) = await world.push(line("1001", expected=4, target=3))
    assert (outcome.kind, list(world.api.notes)) == (Kind.APPLIED, [OFF])
    world.hands.move(600)
    await observed(world, "1001")
    assert world.api.notes == {}
    world.shop.sets_state(1001, "inactive")
    (outcome,) = await world.push(line("1001", expected=3, target=2))
    assert outcome.kind is Kind.REJECTED


async def test_what_takes_it_off_late_is_still_ours(world: World):
    """F32: the request got no answer and arrives after the listing was seen on sale."""
    world.before("PATCH", lambda: setattr(world.shop.faults, "drop_before_next", 1))
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    (reading,) = await observed(world, "1001")
    assert (outcome.kind, reading.quantity) == (Kind.UNKNOWN, 7)
    world.hands.move(30)
    await observed(world, "1001")
    world.shop.sets_state(1001, "inactive")
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)


@pytest.mark.parametrize("state", ["draft", "expired"])
async def test_what_has_ended_is_left_alone(world: World, state: str):
    """Also where it was we who had taken it off sale before."""
    await world.push(line("1001", expected=7, target=0))
    world.shop.sets_state(1001, state)
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, outcome.error.message) == (Kind.REJECTED, STATES[state])
    assert world.shop.fees() == 0


async def test_numbers_are_kept_while_the_shop_is_on_vacation(world: World):
    """The switch is the owner's; what opens again shows the right number."""
    world.shop.goes_on_vacation(away=True)
    (outcome,) = await world.push(line("1001", expected=7, target=3))
    world.shop.goes_on_vacation(away=False)
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)


async def test_a_sold_out_listing_is_not_renewed_without_leave(world: World):
    """Renewing costs a fee: it becomes a repair."""
    world.shop.checkout([("1001", 7)])
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, outcome.error.message) == (Kind.REJECTED, writing.NEEDS_RENEWAL)
    assert (world.writes(), world.shop.fees()) == ([], 0)
    (reading,) = await observed(world, "1001")
    assert (reading.quantity, reading.problem) == (0, None)


async def test_with_leave_it_is_renewed_then_written():
    """With renew = true: activated, read anew (Etsy has set it to 1), and written."""
    world = make_world(renew="true")
    world.shop.checkout([("1001", 7)])
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.shop.quantity("1001"), world.shop.fees()) == (Kind.APPLIED, 3, 1)
    assert [each[0] for each in world.writes()] == ["PATCH", "PUT"]


async def test_a_sold_out_listing_with_nothing_to_sell_is_left(world: World):
    """Its number is 0 already."""
    world.shop.checkout([("1001", 7)])
    (outcome,) = await world.push(line("1001", expected=0, target=0))
    assert (outcome.kind, world.writes()) == (Kind.UNCHANGED, [])


async def test_a_refused_state_is_told_and_the_note_taken_back(world: World):
    """Etsy does not let every listing be hidden: then it is for a person."""
    world.instead("PATCH", 400, b'{"error":"quantity cannot be empty"}')
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert outcome.kind is Kind.REJECTED
    assert "quantity cannot be empty" in outcome.error.message
    assert world.api.notes == {}


async def test_a_state_that_cannot_be_set_back_is_for_a_person(world: World):
    """It stays hidden, with the numbers that it should have when a person helps."""
    await world.push(line("1001", expected=7, target=0))
    world.instead("PATCH", 400, b'{"error":"Cannot activate a listing in this state: edit"}')
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert outcome.kind is Kind.REJECTED
    assert (world.shop.quantity("1001"), world.api.notes) == (0, {OFF: "taken off sale by us"})


@pytest.mark.parametrize("body", [b'{"listing_id":1001,"state":"active"}', b"<html>"])
async def test_a_listing_that_stays_on_sale_is_unknown(world: World, body: bytes):
    """An answer that does not say that it is hidden is not believed."""
    world.instead("PATCH", 200, body)
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.error.answered


async def test_a_listing_that_stays_hidden_is_unknown(world: World):
    """So with the way back; asked again, the same call does it."""
    await world.push(line("1001", expected=7, target=0))
    world.instead("PATCH", 200, b'{"listing_id":1001,"state":"edit"}')
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert outcome.kind is Kind.UNKNOWN
    world.api.shop = world.shop
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)


async def test_what_we_took_off_sale_may_be_shown_as_edit(world: World):
    """Etsy was seen to say “edit” of such a listing: it stays ours, at zero, until it is active."""
    world.api.checks = False
    await world.push(line("1001", expected=7, target=0))
    world.shop.listing(1001).state = "edit"
    read = await world.connector.observe(world.api, [FieldKey("e", "1001")])
    assert read.readings[0].quantity == 0
    world.instead("PATCH", 400, b'{"error":"Cannot activate a listing in this state: edit"}')
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.api.notes) == (Kind.REJECTED, {OFF: "taken off sale by us"})
    world.shop.listing(1001).state = "inactive"
    world.api.shop = world.shop
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)


@pytest.mark.parametrize("state", ["draft", "expired"])
async def test_what_ended_while_it_was_off_sale_keeps_its_note(world: World, state: str):
    """A person mends it on Etsy; if it is inactive after that it is still ours."""
    await world.push(line("1001", expected=7, target=0))
    world.shop.listing(1001).state = state
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.api.notes) == (Kind.REJECTED, {OFF: "taken off sale by us"})


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_any_2xx_is_an_answer_to_a_write(world: World, status: int):
    """What it says is believed; where it says nothing, the number is read, and nobody is blamed."""
    body = b"" if status == 204 else None
    answered(world, "PUT", status, body)
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    if status == 204:
        assert (outcome.kind, outcome.error.answered) == (Kind.UNKNOWN, True)
    else:
        assert outcome.kind is Kind.APPLIED
    answered(world, "PATCH", status, body)
    (outcome,) = await world.push(line("1001", expected=4, target=0))
    assert outcome.kind is (Kind.UNKNOWN if status == 204 else Kind.APPLIED)
    assert world.api.notes == {OFF: "taken off sale by us"}


def answered(world: World, method: str, status: int, body: bytes | None) -> None:
    """Let the shop carry out requests of this method and answer with another status."""
    world.api.checks = False

    def handled(request: ShopRequest) -> ShopAnswer:
        given = world.shop.handle(request)
        if request.method != method or given.status != 200:
            return given
        return ShopAnswer(status, given.headers, given.body if body is None else body)

    world.api.shop = Intercepted(world.shop, handled)


@pytest.mark.parametrize(
    "fault", ["drop_before_next", "rate_limit_next", "server_error_next", "garbage"]
)
async def test_a_renewal_that_stops_half_way_is_unknown(fault: str):
    """Etsy sells one unit from then on: whatever went wrong, the number is read and not guessed."""
    world = make_world(renew="true")
    world.shop.checkout([("1001", 7)])
    if fault == "garbage":
        world.instead("GET", 200, b"<html>", at=2)
        world.api.checks = False
    else:
        world.before("GET", lambda: setattr(world.shop.faults, fault, 1), at=2)
    first, other = await world.push(
        line("1001", expected=0, target=3), line(LAVENDER, expected=5, target=4)
    )
    assert (first.kind, first.gap_from) == (Kind.UNKNOWN, READ_AT)
    assert first.error.answered
    assert world.shop.quantity("1001") == 1
    # An odd answer is that listing's alone; nobody should write to a shop that has just failed.
    stopped = {"rate_limit_next": Kind.RATE_LIMITED, "garbage": Kind.APPLIED}
    assert other.kind is stopped.get(fault, Kind.UNAVAILABLE)


async def test_a_way_back_that_stops_half_way_is_unknown(world: World):
    """The numbers are written and the listing is not active yet: a reading tells."""
    await world.push(line("1001", expected=7, target=0))
    world.before("PATCH", lambda: setattr(world.shop.faults, "rate_limit_next", 1))
    first, other = await world.push(
        line("1001", expected=0, target=3), line(LAVENDER, expected=5, target=4)
    )
    assert (first.kind, other.kind) == (Kind.UNKNOWN, Kind.RATE_LIMITED)
    assert world.shop.quantity("1001") == 0


async def test_a_note_that_cannot_be_forgotten_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """It is on sale, and says so; the note goes once the listing has been seen on sale."""
    await world.push(line("1001", expected=7, target=0))
    keep = EtsyDoor.note

    async def note(door: EtsyDoor, key: str, text: str | None) -> None:
        raise ChannelUnavailable("What must be noted first cannot be stored")

    monkeypatch.setattr(EtsyDoor, "note", note)
    (outcome,) = await world.push(line("1001", expected=0, target=3))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)
    world.instead("PATCH", 400, b'{"error":"no"}')
    monkeypatch.setattr(EtsyDoor, "note", keep)
    await world.push(line("1001", expected=3, target=2))
    world.hands.move(600)
    await observed(world, "1001")
    assert world.api.notes == {}


async def test_a_note_survives_what_happened_to_the_request(world: World):
    """The answer was lost: next time the listing is seen for what it is, ours."""
    world.before("PATCH", lambda: setattr(world.shop.faults, "drop_after_next", 1))
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, world.shop.listing(1001).state) == (Kind.UNKNOWN, "inactive")
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, 0)
    assert world.api.notes == {OFF: "taken off sale by us"}


async def test_a_note_of_what_was_not_done_does_not_undo_the_next(world: World):
    """The request was not sent; the next one is, and the listing is ours."""
    world.before("PATCH", lambda: setattr(world.shop.faults, "rate_limit_next", 1))
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, world.shop.listing(1001).state) == (Kind.RATE_LIMITED, "active")
    world.api.shop = world.shop
    (outcome,) = await world.push(line("1001", expected=7, target=0))
    assert (outcome.kind, world.shop.listing(1001).state) == (Kind.APPLIED, "inactive")
    assert world.api.notes == {OFF: "taken off sale by us"}


async def test_without_a_notebook_what_was_noted_lasts_as_long_as_the_process(world: World):
    """Another process takes the listing for its owner's, which leaves it alone."""
    bare = InProcessApi(world.shop, TokenedConnector(world))  # type: ignore[arg-type]
    push = world.connector.push
    (outcome,) = await push(bare, [line("1001", expected=7, target=0)], call_id="call")
    assert outcome.kind is Kind.APPLIED
    other = make_world().connector
    (left,) = await other.push(bare, [line("1001", expected=0, target=3)], call_id="call")
    assert left.kind is Kind.REJECTED
    (outcome,) = await push(bare, [line("1001", expected=0, target=3)], call_id="call")
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 3)


async def test_stock_of_what_buyers_do_not_see_is_for_a_person(world: World):
    """Every variation is switched off: a number there sells nothing."""
    for product in world.shop.listing(1002).products:
        product.is_enabled = False
    (outcome,) = await world.push(line(MINT, expected=3, target=1))
    assert (outcome.kind, outcome.error.message) == (Kind.REJECTED, reading.NOT_SHOWN)
    assert world.writes() == []


async def test_what_buyers_do_not_see_is_in_nobodys_way(world: World):
    """The last visible unit takes the listing off sale; the hidden one is told by itself."""
    _, mint, rose = world.shop.listing(1002).products
    mint.is_enabled, rose.quantity = False, 0
    told = await world.push(line(LAVENDER, expected=5, target=0), line(MINT, expected=3, target=3))
    assert [each.kind for each in told] == [Kind.APPLIED, Kind.REJECTED]
    assert world.shop.listing(1002).state == "inactive"
    assert world.shop.listing(1002).products[0].quantity == 1


# -- what goes wrong -----------------------------------------------------------------------------


async def test_a_listing_that_is_gone_is_told(world: World):
    """404 to the read, or to the write."""
    world.shop.removes(1001)
    told = await world.push(line("1001", expected=7, target=4), line(MINT, expected=3, target=1))
    assert [each.kind for each in told] == [Kind.GONE, Kind.APPLIED]
    assert isinstance(told[0].error, ListingGone)
    assert told[0].error.message == GONE
    world = make_world()
    world.before("PUT", lambda: world.shop.removes(1001))
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.GONE


async def test_a_variation_that_is_gone_is_told_and_the_others_written(world: World):
    """One scent was removed by its owner."""
    world.shop.listing(1002).products.pop()
    told = await world.push(line(ROSE, expected=2, target=1), line(MINT, expected=3, target=1))
    assert [each.kind for each in told] == [Kind.GONE, Kind.APPLIED]
    assert told[0].error.message == NO_SUCH_FIELD


async def test_a_404_that_is_not_etsys_settles_nothing(world: World):
    """A proxy's page in the place of an answer is no evidence."""
    world.instead("GET", 404, b"<h1>Not Found</h1>")
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.UNAVAILABLE
    world = make_world()
    world.instead("PUT", 404, b"<h1>Not Found</h1>")
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.UNAVAILABLE


async def test_a_refused_document_is_for_a_person(world: World):
    """400 is not repeated; Etsy's words and the request's id are told."""
    world.instead("PUT", 400, ERROR, x_etsy_request_uuid="ab-12")
    told = await world.push(line("1001", expected=7, target=4), line(MINT, expected=3, target=1))
    assert [each.kind for each in told] == [Kind.REJECTED, Kind.APPLIED]
    assert isinstance(told[0].error, PushRejected)
    assert told[0].error.message == (
        "Etsy refused the quantities: Something of the document (request ab-12)."
    )


async def test_parentheses_in_a_value_are_named_as_the_likely_reason(world: World):
    """An old listing may hold what the API no longer takes."""
    world.shop.add_variations(1005, [([scent("Mint (new)")], 3, "X")], varies_by=[SCENT])
    (outcome,) = await world.push(line("1005:200=mint+%28new%29", expected=3, target=1))
    assert outcome.kind is Kind.REJECTED
    assert outcome.error.message.endswith(outcomes.PARENTHESES)


async def test_a_409_is_read_and_written_once_more(world: World):
    """The listing changed its kind in between: the second time it is written as it is."""
    values = [[scent("Mint"), size("Small"), wick(each)] for each in ("Wood", "Cotton")]

    def third() -> None:
        world.shop.add_variations(1003, [(each, 12, "X") for each in values], varies_by=())

    world.instead("PUT", 409, ERROR)
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, world.shop.quantity("1001")) == (Kind.APPLIED, 4)
    assert [each.method for each in world.api.sent] == ["GET", "PUT", "GET", "PUT"]
    world = make_world()
    world.before("PUT", third)
    (outcome,) = await world.push(line("1003", expected=12, target=4))
    assert outcome.kind is Kind.APPLIED


async def test_a_second_409_is_for_a_person(world: World):
    """It is not tried for ever."""
    world.instead("PUT", 409, ERROR, at=None)
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.REJECTED
    assert [each.method for each in world.api.sent] == ["GET", "PUT", "GET", "PUT"]


@pytest.mark.parametrize(
    ("fault", "kind", "error"),
    [
        ("rate_limit_next", Kind.RATE_LIMITED, RateLimited),
        ("server_error_next", Kind.UNAVAILABLE, ChannelUnavailable),
        ("drop_before_next", Kind.UNAVAILABLE, ChannelUnavailable),
    ],
)
async def test_a_read_that_fails_sends_nothing(world: World, fault: str, kind: Kind, error: Any):
    """Every line is due again; the listings after it are not tried."""
    setattr(world.shop.faults, fault, 1)
    told = await world.push(line("1001", expected=7, target=4), line(MINT, expected=3, target=1))
    assert [each.kind for each in told] == [kind, kind]
    assert isinstance(told[0].error, error)
    assert (len(world.api.sent), world.writes()) == (1, [])


@pytest.mark.parametrize(
    ("fault", "kind", "left"),
    [
        ("rate_limit_next", Kind.RATE_LIMITED, Kind.RATE_LIMITED),
        ("server_error_next", Kind.UNKNOWN, Kind.UNAVAILABLE),
        ("drop_before_next", Kind.UNKNOWN, Kind.UNAVAILABLE),
        ("drop_after_next", Kind.UNKNOWN, Kind.UNAVAILABLE),
    ],
)
async def test_a_write_that_fails_stops_the_work(world: World, fault: str, kind: Kind, left: Kind):
    """F24 to F26: what may have been applied is unknown, what came after was not sent."""
    world.shop.faults.only_writes = True
    setattr(world.shop.faults, fault, 1)
    told = await world.push(
        line(MINT, expected=3, target=3),
        line("1001", expected=7, target=4),
        line("1003", expected=12, target=4),
    )
    assert [each.kind for each in told] == [Kind.UNCHANGED, kind, left]
    if kind is Kind.UNKNOWN:
        assert (told[1].gap_from, told[1].gap_until) == (READ_AT, None)


async def test_an_unknown_outcome_is_learnt_by_reading(world: World):
    """The same call again reads first: applied or not, nothing is written over what it finds."""
    world.shop.faults.only_writes, world.shop.faults.drop_after_next = True, 1
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.UNKNOWN
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, 4)
    assert len(world.writes()) == 1


async def test_lost_credentials_stop_everything(world: World):
    """401 is the channel's, not one listing's."""
    world.shop.faults.unauthorized = True
    told = await world.push(line("1001", expected=7, target=4), line(MINT, expected=3, target=1))
    assert {each.kind for each in told} == {Kind.AUTH_FAILED}
    assert isinstance(told[0].error, AuthFailed)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"products":', b'{"products":[]}', b"[]"],
)
async def test_an_answer_to_the_write_that_cannot_be_read_is_unknown(world: World, body: bytes):
    """It was applied or not: a reading will tell."""
    world.instead("PUT", 200, body)
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.UNKNOWN
    assert isinstance(outcome.error, OutcomeUnknown)


async def test_another_quantity_than_sent_is_unknown(world: World):
    """The shop answered with what it made of it."""
    told = json.loads(world.shop.handle(read_request(world)).body)
    world.instead("PUT", 200, json.dumps(told).encode())
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert (outcome.kind, outcome.actual) == (Kind.UNKNOWN, 7)


async def test_one_listings_odd_document_does_not_keep_the_others(world: World):
    """A document that cannot be read, or with 422, is due again by itself."""
    world.instead("GET", 422, b'{"error":"There was a problem"}')
    told = await world.push(line("1001", expected=7, target=4), line(MINT, expected=3, target=1))
    assert [each.kind for each in told] == [Kind.UNAVAILABLE, Kind.APPLIED]


async def test_a_document_without_its_listing_is_completed(world: World):
    """Etsy has taken includes away before: the state is then asked for by itself."""
    told = json.loads(world.shop.handle(read_request(world)).body)
    told.pop("listing", None)
    world.instead("GET", 200, json.dumps(told).encode())
    (outcome,) = await world.push(line("1001", expected=7, target=4))
    assert outcome.kind is Kind.APPLIED
    assert [each.path.rpartition("/")[2] for each in world.api.sent] == [
        "inventory", "1001", "inventory",
    ]  # fmt: skip


async def test_the_allowance_is_heeded(world: World):
    """Nothing left of the second, or little of the day: the calls after it wait."""
    world = make_world(per_second=2)
    await world.push(line("1001", expected=7, target=4))
    assert world.api.paused == [1.0]
    world = make_world(per_day=40)
    world.shop.allowance._buckets[int(world.hands.now.timestamp()) // 3600] = 37
    await world.push(line("1001", expected=7, target=4))
    # Between the read and its write for a second at most; after the write the day is spread.
    assert world.api.paused == [1.0, 86_400 / 40]


async def observed(world: World, *keys: str) -> tuple[Any, ...]:
    """Read fields."""
    fields = [FieldKey("e", key) for key in keys]
    return (await world.connector.observe(world.api, fields)).readings


def read_request(world: World) -> Any:
    """Return the request by which a push reads listing 1001."""
    headers = {
        "x-api-key": world.connector.settings.api_key,
        "authorization": f"Bearer {world.shop.access.issue()}",
    }
    query = (("includes", "Listing"),)
    return ShopRequest("GET", "/v3/application/listings/1001/inventory", query, headers)


class TokenedConnector:
    """A connector of which a bare door uses nothing but the headers."""

    def __init__(self, world: World) -> None:
        """Use the shop's token of now, each time."""
        self.world = world

    def auth_headers(self) -> Mapping[str, str]:
        """Return the key and a fresh token."""
        return self.world.connector.auth_headers(Tokens(self.world.shop.access.issue()))


class Sleepy:
    """A memory that learns so slowly that the machine slept meanwhile."""

    def __init__(self, world: World) -> None:
        """Forget nothing."""
        self.world = world
        self.memory = world.connector.memory

    def __getattr__(self, name: str) -> Any:
        """Be the memory in everything else."""
        return getattr(self.memory, name)

    def learn(self, *args: Any) -> None:
        """Sleep."""
        self.memory.learn(*args)
        self.world.hands.move(writing.GAP_MAX_S + 0.1)


# -- what is written along -----------------------------------------------------------------------


async def test_what_holds_its_target_is_written_along(world: World):
    """The document has every number, so the gap of the write is that of the unchanged ones too."""
    world.before("PUT", lambda: world.hands.move(3))
    mint, lavender = await world.push(
        line(MINT, expected=3, target=3), line(LAVENDER, expected=5, target=4)
    )
    assert (mint.kind, mint.actual, lavender.kind) == (Kind.UNCHANGED, 3, Kind.APPLIED)
    for each in (mint, lavender):
        assert (each.gap_from, each.gap_until) == (READ_AT, READ_AT + timedelta(seconds=3))


async def test_what_is_written_along_without_an_answer_is_unknown(world: World):
    """The write may have set it again, over a sale that came in between."""
    world.instead("PUT", 500, b"oops")
    mint, lavender = await world.push(
        line(MINT, expected=3, target=3), line(LAVENDER, expected=5, target=4)
    )
    assert (mint.kind, lavender.kind) == (Kind.UNKNOWN, Kind.UNKNOWN)
    assert mint.gap_from == READ_AT


@pytest.mark.parametrize("status", [400, 429])
async def test_what_is_not_written_stays_unchanged(world: World, status: int):
    """A write that was refused has overwritten nothing: the others have no gap."""
    world.instead("PUT", status, ERROR)
    mint, _ = await world.push(
        line(MINT, expected=3, target=3), line(LAVENDER, expected=5, target=4)
    )
    assert (mint.kind, mint.gap_from) == (Kind.UNCHANGED, None)


# -- one listing is closed to us -----------------------------------------------------------------


async def test_one_closed_listing_stops_no_other(world: World):
    """Etsy refuses one listing (403) but not the shop: a person is told, the rest goes on."""
    world.closes("/listings/1002/")
    closed, open_ = await world.push(
        line(MINT, expected=3, target=2), line("1001", expected=7, target=4)
    )
    assert (closed.kind, open_.kind) == (Kind.REJECTED, Kind.APPLIED)
    assert "another shop" in str(closed.error)


async def test_a_listing_that_may_be_read_only_stops_no_other(world: World):
    """Once it was seen that this access may write, a write that is refused is that listing's."""
    world.closes("/listings/1002/", methods=("PUT",))
    lines = (line(MINT, expected=3, target=3), line(LAVENDER, expected=5, target=4))
    mint, lavender = await world.push(*lines)
    stopped = (Kind.UNCHANGED, Kind.AUTH_FAILED)
    assert (mint.kind, lavender.kind) == stopped, "it may be the right to write at all"
    mint, lavender, candle = await world.push(*lines, line("1001", expected=7, target=4))
    parked = (Kind.UNCHANGED, Kind.REJECTED, Kind.APPLIED)
    assert (mint.kind, lavender.kind, candle.kind) == parked, "another listing was written"
    closed, candle = await world.push(
        line(LAVENDER, expected=5, target=4), line("1001", expected=4, target=3)
    )
    assert (closed.kind, candle.kind) == (Kind.REJECTED, Kind.APPLIED)


async def test_access_that_fails_for_the_shop_too_stops_the_channel(world: World):
    """Then no listing is to blame, and none is parked for it."""
    world.closes("/listings")
    outcomes_ = await world.push(
        line(MINT, expected=3, target=2), line("1001", expected=7, target=4)
    )
    assert {each.kind for each in outcomes_} == {Kind.AUTH_FAILED}
