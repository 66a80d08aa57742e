"""The push to Shopify: compare-and-set in one call, and what becomes of each line.

Which trap of the platform is met by which test: test_shopify_traps.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors.base import Answer
from stockpush.connectors.shopify.writing import CALLS_MAX
from stockpush.errors import (
    AuthFailed,
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
    PushRejected,
    RateLimited,
)
from stockpush.model import PushOutcomeKind as Kind
from tests.connectors.inprocess import InProcessApi
from tests.connectors.shopify_world import LOCATION, World, needs_schema, world

CHECKED = [False, pytest.param(True, marks=needs_schema)]


def kinds(outcomes) -> list[Kind]:
    """Return the outcome of each line."""
    return [outcome.kind for outcome in outcomes]


def asked(w: World) -> list[dict]:
    """Return the variables of every write that reached the shop."""
    bodies = [json.loads(request.body) for request in w.api.sent]
    return [body["variables"] for body in bodies if body["operationName"] == "SetQuantities"]


def answer_with(w: World, *answers) -> None:
    """Let the shop answer the next writes with these user errors, then as it would."""
    left = list(answers)
    handle = w.shop.door.handlers["SetQuantities"]

    def canned(variables):
        if not left:
            return handle(variables)
        errors = left.pop(0)
        return {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": errors}}

    w.shop.door.handlers = {**w.shop.door.handlers, "SetQuantities": canned}


@dataclass
class Interrupted:
    """A door at which the calls with these numbers (from 1) end in an error."""

    api: InProcessApi
    errors: dict[int, ChannelError]
    calls: int = 0

    async def send(self, *args, **kwargs) -> Answer:
        """Hand on, or raise."""
        self.calls += 1
        if self.calls in self.errors:
            raise self.errors[self.calls]
        return await self.api.send(*args, **kwargs)

    def pause(self, seconds: float) -> None:
        """Hand on."""
        self.api.pause(seconds)


def user_error(code: str | None, *path: str) -> dict:
    """Return one user error."""
    return {"code": code, "field": list(path) or None, "message": code or "?"}


@pytest.mark.parametrize("checked", CHECKED)
async def test_every_entry_carries_its_expected_value(checked: bool) -> None:
    """One call sets every line, each compared with what we believe, at our location."""
    w = world(checked=checked)
    a, b = w.sell("A", 5), w.sell("B", 0)
    batch = [w.line(a, expected=5, target=9), w.line(b, expected=0, target=3)]
    outcomes = await w.connector.push(w.api, batch, call_id="call-1")
    assert kinds(outcomes) == [Kind.APPLIED, Kind.APPLIED]
    assert outcomes[0].date == w.hands().replace(microsecond=0)
    assert (w.shop.quantity(a), w.shop.quantity(b)) == (9, 3)
    (variables,) = asked(w)
    assert variables["input"]["name"] == "available"
    assert variables["input"]["reason"] == "correction"
    assert variables["input"]["referenceDocumentUri"] == "gid://stock-push/Push/call-1"
    assert variables["input"]["quantities"] == [
        {
            "inventoryItemId": f"gid://shopify/InventoryItem/{line.field.key}",
            "locationId": f"gid://shopify/Location/{LOCATION}",
            "quantity": line.target,
            "changeFromQuantity": line.expected,
        }
        for line in batch
    ]


async def test_the_key_of_a_call_is_its_call_id() -> None:
    """The idempotency key of a whole batch is the call id itself."""
    w = world()
    await w.connector.push(w.api, [w.line(w.sell("A", 5), expected=5, target=9)], call_id="call-1")
    assert asked(w)[0]["key"] == "call-1"


async def test_an_unseen_sale_is_never_put_back() -> None:
    """A unit sold that we do not know of makes the compare fail, and its number is told."""
    w = world()
    a = w.sell("A", 5)
    w.shop.checkout([(a, 1)])
    (outcome,) = await w.connector.push(w.api, [w.line(a, expected=5, target=5)], call_id="c")
    assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, 4)
    assert w.shop.quantity(a) == 4


@pytest.mark.parametrize("checked", CHECKED)
async def test_a_stale_entry_is_dropped_and_the_rest_sent(checked: bool) -> None:
    """The entries named stale are conflicts with their number; the rest is applied by a second
    call under a new key; one reading tells all numbers.
    """
    w = world(checked=checked)
    listings = [w.sell(f"S{i}", 10) for i in range(6)]
    w.shop.checkout([(listings[1], 3), (listings[4], 1)])
    batch = [w.line(listing, expected=10, target=20) for listing in listings]
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    stale = {1: 7, 4: 9}
    for position, outcome in enumerate(outcomes):
        if position in stale:
            assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, stale[position])
        else:
            assert (outcome.kind, w.shop.quantity(listings[position])) == (Kind.APPLIED, 20)
    first, second = asked(w)
    assert first["key"] == "c" != second["key"]
    assert w.shop.door.asked == ["SetQuantities", "SetQuantities", "Levels"]


async def test_a_conflict_stands_when_its_number_cannot_be_read() -> None:
    """If the reading after a lost compare fails, the conflict stands without a number."""
    w = world()
    api = Interrupted(w.api, {2: ChannelUnavailable()})
    batch = [w.line(w.sell("A", 4), expected=5, target=5)]
    (outcome,) = await w.connector.push(api, batch, call_id="c")
    assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, None)


async def test_an_unnamed_refusal_is_halved_down() -> None:
    """A stale answer that names no entry is narrowed down until each line has its outcome."""
    w = world()
    listings = [w.sell(f"S{i}", 10) for i in range(8)]
    w.shop.checkout([(listings[5], 1)])
    handle = w.shop.door.handlers["SetQuantities"]

    def unnamed(variables):
        data = handle(variables)
        for error in data["inventorySetQuantities"]["userErrors"]:
            error["field"] = None
        return data

    w.shop.door.handlers = {**w.shop.door.handlers, "SetQuantities": unnamed}
    batch = [w.line(listing, expected=10, target=20) for listing in listings]
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    assert [outcome.kind is Kind.CONFLICT for outcome in outcomes] == [
        position == 5 for position in range(8)
    ]
    assert outcomes[5].actual == 9
    assert sum(w.shop.quantity(listing) == 20 for listing in listings) == 7
    keys = [variables["key"] for variables in asked(w)]
    assert len(set(keys)) == len(keys) <= 8


@pytest.mark.parametrize("checked", CHECKED)
async def test_a_lost_answer_is_learnt_by_repeating(checked: bool) -> None:
    """The answer is lost after the shop applied it: unknown; the same call again says applied,
    and is not applied twice, even after a sale in between.
    """
    w = world(checked=checked)
    a = w.sell("A", 5)
    batch = [w.line(a, expected=5, target=9)]
    w.shop.faults.drop_after_next = 1
    (outcome,) = await w.connector.push(w.api, batch, call_id="c")
    assert outcome.kind is Kind.UNKNOWN
    assert isinstance(outcome.error, OutcomeUnknown)
    w.shop.checkout([(a, 2)])
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.APPLIED]
    assert w.shop.quantity(a) == 7
    first, second = asked(w)
    assert first == second


async def test_a_call_that_never_arrived_is_applied_by_repeating() -> None:
    """The connection breaks before anything was done: unknown too; repeating applies it."""
    w = world()
    a = w.sell("A", 5)
    batch = [w.line(a, expected=5, target=9)]
    w.shop.faults.drop_before_next = 1
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.UNKNOWN]
    assert w.shop.quantity(a) == 5
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.APPLIED]
    assert w.shop.quantity(a) == 9


@pytest.mark.parametrize("whole", [True, False])
async def test_the_rest_of_a_batch_is_learnt_by_repeating(whole: bool) -> None:
    """A batch was taken apart and the answer for the rest was lost: repeating the batch, or only
    its unknown lines, meets the same keys and finds that they were applied.
    """
    w = world()
    listings = [w.sell(f"S{i}", 10) for i in range(3)]
    w.shop.checkout([(listings[0], 1)])
    batch = [w.line(listing, expected=10, target=20) for listing in listings]
    handle = w.shop.door.handlers["SetQuantities"]

    def then_drop(variables):
        if len(variables["input"]["quantities"]) == 2:
            w.shop.faults.drop_after_next = 1
        return handle(variables)

    before = dict(w.shop.door.handlers)
    w.shop.door.handlers = {**before, "SetQuantities": then_drop}
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    assert kinds(outcomes) == [Kind.CONFLICT, Kind.UNKNOWN, Kind.UNKNOWN]
    w.shop.door.handlers = before
    again = batch if whole else batch[1:]
    if whole:
        # Shopify remembers that the whole batch failed, and asks for a new key.
        outcomes = await w.connector.push(w.api, again, call_id="c")
        assert outcomes[0].kind is Kind.CONFLICT
        assert {outcome.actual for outcome in outcomes[1:]} == {20}
    else:
        outcomes = await w.connector.push(w.api, again, call_id="c")
        assert kinds(outcomes) == [Kind.APPLIED, Kind.APPLIED]
    assert [w.shop.quantity(listing) for listing in listings] == [9, 20, 20]


async def test_an_ignored_key_is_made_good_by_the_compare() -> None:
    """A platform that forgets its keys executes the repeated call: the compare refuses it, the
    number is told, and the units sold in between stay sold.
    """
    w = world()
    w.shop.inventory.remembers_keys = False
    a = w.sell("A", 5)
    batch = [w.line(a, expected=5, target=9)]
    w.shop.faults.drop_after_next = 1
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.UNKNOWN]
    w.shop.checkout([(a, 2)])
    (outcome,) = await w.connector.push(w.api, batch, call_id="c")
    assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, 7)
    assert w.shop.quantity(a) == 7


async def test_a_replays_answer_is_not_taken_for_a_reading() -> None:
    """A replayed call is answered from the state of now, which may have moved: it says that the
    write was applied, and no number.
    """
    w = world()
    a = w.sell("A", 5)
    batch = [w.line(a, expected=5, target=9)]
    w.shop.faults.drop_after_next = 1
    await w.connector.push(w.api, batch, call_id="c")
    w.shop.checkout([(a, 2)])
    handle = w.shop.door.handlers["SetQuantities"]

    def from_current_state(variables):
        answer = handle(variables)
        group = {"changes": [{"name": "available", "quantityAfterChange": w.shop.quantity(a)}]}
        answer["inventorySetQuantities"]["inventoryAdjustmentGroup"] = group
        return answer

    w.shop.door.handlers = {**w.shop.door.handlers, "SetQuantities": from_current_state}
    (outcome,) = await w.connector.push(w.api, batch, call_id="c")
    assert (outcome.kind, outcome.actual) == (Kind.APPLIED, None)


@pytest.mark.parametrize("checked", CHECKED)
async def test_a_pair_that_is_not_stocked_is_set(checked: bool) -> None:
    """Since 2026-10 a set makes the level: nothing was there, so nothing is what we expect."""
    w = world(checked=checked)
    a = w.sell("A", 0, stocked=False)
    outcomes = await w.connector.push(w.api, [w.line(a, expected=0, target=4)], call_id="c")
    assert kinds(outcomes) == [Kind.APPLIED]
    assert w.shop.quantity(a) == 4


async def test_a_pair_that_is_not_stocked_may_be_refused() -> None:
    """An earlier version refuses it: that line is parked for a person, the others are set."""
    w = world()
    w.shop.inventory.refuses_unstocked = True
    a, b = w.sell("A", 0, stocked=False), w.sell("B", 1)
    batch = [w.line(a, expected=0, target=4), w.line(b, expected=1, target=4)]
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    assert outcomes[0].kind in {Kind.GONE, Kind.REJECTED}
    assert "ITEM_NOT_STOCKED_AT_LOCATION" in outcomes[0].error.message
    assert outcomes[1].kind is Kind.APPLIED
    assert w.shop.quantity(b) == 4


async def test_a_key_used_for_other_lines_gets_a_successor() -> None:
    """A key that belongs to other entries is followed by one made from what is asked."""
    w = world()
    a, b = w.sell("A", 5), w.sell("B", 5)
    await w.connector.push(w.api, [w.line(a, expected=5, target=9)], call_id="c")
    batch = [w.line(b, expected=5, target=6)]
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.APPLIED]
    assert w.shop.quantity(b) == 6


async def test_a_failed_key_gets_a_successor() -> None:
    """After a refusal was mended, the same call id is answered under its next key."""
    w = world()
    a = w.sell("A", 4)
    batch = [w.line(a, expected=5, target=9)]
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.CONFLICT]
    w.shop.merchant_sets(a, 5)
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.APPLIED]
    keys = [variables["key"] for variables in asked(w)]
    assert keys[0] == keys[1] == "c" != keys[2]


async def test_keys_are_the_same_in_another_process() -> None:
    """Successors are made from the call id and the question alone, so a restart finds them."""
    seen = []
    for _ in range(2):
        w = world()
        a, b = w.sell("A", 4), w.sell("B", 5)
        batch = [w.line(a, expected=5, target=9), w.line(b, expected=5, target=9)]
        await w.connector.push(w.api, batch, call_id="c")
        seen.append([variables["key"] for variables in asked(w)])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


async def test_a_call_still_running_is_unknown() -> None:
    """The first call under this key has not ended: unknown, to be repeated under the same key."""
    w = world()
    a = w.sell("A", 5)
    batch = [w.line(a, expected=5, target=9)]
    w.shop.inventory.running.add("c")
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.UNKNOWN]
    w.shop.inventory.running.clear()
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.APPLIED]
    assert {variables["key"] for variables in asked(w)} == {"c"}


@pytest.mark.parametrize("checked", CHECKED)
async def test_a_permanent_refusal_is_the_lines_own(checked: bool) -> None:
    """A bundle is rejected, a deleted item gone, and the good line applied all the same."""
    w = world(checked=checked)
    good, bundle, deleted = w.sell("G", 1), w.sell("B", 1, bundle=True), w.sell("D", 1)
    w.shop.variants[int(deleted)].deleted = True
    batch = [w.line(listing, expected=1, target=2) for listing in (bundle, good, deleted)]
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    assert kinds(outcomes) == [Kind.REJECTED, Kind.APPLIED, Kind.GONE]
    assert "NON_MUTABLE_INVENTORY_ITEM" in str(outcomes[0].error)
    assert w.shop.quantity(good) == 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (user_error("BRAND_NEW_CODE", "input", "quantities", "0", "quantity"), Kind.REJECTED),
        (user_error("BRAND_NEW_CODE"), Kind.REJECTED),
        (user_error(None), Kind.REJECTED),
        (user_error("INVALID_REASON", "input", "reason"), Kind.REJECTED),
        (user_error("INVALID_LOCATION", "input", "quantities", "0", "locationId"), Kind.REJECTED),
        (user_error("ITEM_NOT_STOCKED_AT_LOCATION", "input", "quantities", "0"), Kind.REJECTED),
        (user_error("INVALID_QUANTITY_TOO_HIGH", "input", "quantities", "0"), Kind.REJECTED),
        (user_error("INVALID_INVENTORY_ITEM", "input", "quantities", "0"), Kind.GONE),
        (user_error("COMPARE_QUANTITY_STALE", "input", "quantities", "0"), Kind.CONFLICT),
        (user_error("CHANGE_FROM_QUANTITY_STALE"), Kind.CONFLICT),
        (user_error("CHANGE_FROM_QUANTITY_STALE", "input", "quantities", "77"), Kind.CONFLICT),
        (user_error("CHANGE_FROM_QUANTITY_STALE", "input", "quantities", "x"), Kind.CONFLICT),
    ],
)
async def test_an_unknown_code_needs_a_person(error: dict, expected: Kind) -> None:
    """Each code, known or new, named or not, ends in one outcome for the line."""
    w = world()
    answer_with(w, [error])
    outcomes = await w.connector.push(
        w.api, [w.line(w.sell("A", 5), expected=5, target=9)], call_id="c"
    )
    assert kinds(outcomes) == [expected]
    assert len(asked(w)) == 1


async def test_a_refusal_of_the_call_is_not_halved() -> None:
    """A mistake in the call itself rejects every line at once."""
    w = world()
    answer_with(w, [user_error("INVALID_REASON", "input", "reason")])
    batch = [w.line(w.sell(f"S{i}", 5), expected=5, target=9) for i in range(5)]
    assert set(kinds(await w.connector.push(w.api, batch, call_id="c"))) == {Kind.REJECTED}
    assert len(asked(w)) == 1


async def test_a_shop_that_refuses_without_end_is_given_up() -> None:
    """After `CALLS_MAX` calls the lines are due again later; nothing loops for ever."""
    w = world()
    answer_with(w, *[[user_error("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")]] * (CALLS_MAX + 5))
    w.shop.door.bucket.held = w.shop.door.bucket.maximum = 1e6
    outcomes = await w.connector.push(
        w.api, [w.line(w.sell("A", 5), expected=5, target=9)], call_id="c"
    )
    assert kinds(outcomes) == [Kind.UNAVAILABLE]
    assert len(asked(w)) == CALLS_MAX
    assert len({variables["key"] for variables in asked(w)}) == CALLS_MAX


@pytest.mark.parametrize("status", [200, 429])
async def test_throttled_is_waited_for(status: int) -> None:
    """THROTTLED at 200 or 429 is RATE_LIMITED with the wait; nothing was applied."""
    w = world()
    a = w.sell("A", 5)
    w.shop.door.throttled_status = status
    w.shop.door.bucket.held = 0
    (outcome,) = await w.connector.push(w.api, [w.line(a, expected=5, target=9)], call_id="c")
    assert outcome.kind is Kind.RATE_LIMITED
    assert isinstance(outcome.error, RateLimited)
    # Ten points are missing at a hundred a second; a 429 says "1.0" itself.
    assert outcome.error.retry_after_s == (0.1 if status == 200 else 1.0)
    assert w.shop.quantity(a) == 5


@pytest.mark.parametrize(
    ("error", "first", "rest"),
    [
        (OutcomeUnknown(), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (ChannelUnavailable(), Kind.UNAVAILABLE, Kind.UNAVAILABLE),
        (PushRejected(), Kind.UNAVAILABLE, Kind.UNAVAILABLE),
        (PayloadInvalid("a redirect"), Kind.UNKNOWN, Kind.UNAVAILABLE),
        (RateLimited(retry_after_s=2.0), Kind.RATE_LIMITED, Kind.RATE_LIMITED),
        (AuthFailed(), Kind.AUTH_FAILED, Kind.AUTH_FAILED),
    ],
)
async def test_an_accident_is_of_its_own_call_only(error, first: Kind, rest: Kind) -> None:
    """Lines settled before keep their outcome, those in the broken call get its fault, and those
    never sent are due again.
    """
    w = world()
    stale = [user_error("CHANGE_FROM_QUANTITY_STALE")]  # names no entry: the batch is halved
    wrong = [user_error("INVALID_LOCATION", "input", "quantities", "0", "locationId")]
    answer_with(w, stale, wrong)
    batch = [w.line(w.sell(f"S{i}", 10), expected=10, target=20) for i in range(4)]
    outcomes = await w.connector.push(Interrupted(w.api, {3: error}), batch, call_id="c")
    assert kinds(outcomes) == [Kind.REJECTED, first, rest, rest]


@pytest.mark.parametrize("fault", ["drop_after_next", "drop_before_next", "server_error_next"])
async def test_a_write_that_got_no_usable_answer_is_unknown(fault: str) -> None:
    """A reset before or after, or a 5xx: nobody knows whether it was applied; sent exactly once."""
    w = world()
    setattr(w.shop.faults, fault, 1)
    batch = [w.line(w.sell("A", 5), expected=5, target=9)]
    assert kinds(await w.connector.push(w.api, batch, call_id="c")) == [Kind.UNKNOWN]
    assert w.shop.faults.writes_seen == ["SetQuantities c"]


async def test_refused_credentials_stop_the_whole_batch() -> None:
    """401 is AUTH_FAILED for every line."""
    w = world()
    w.shop.door.access_token = "revoked"
    batch = [w.line(w.sell(f"S{i}", 5), expected=5, target=9) for i in range(2)]
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    assert kinds(outcomes) == [Kind.AUTH_FAILED] * 2
    assert isinstance(outcomes[0].error, AuthFailed)


async def test_a_full_batch_of_250_is_one_call() -> None:
    """The manifest's largest batch fits into one call; one more is refused by the shop."""
    w = world()
    listings = [w.sell(f"S{i}", 5) for i in range(w.connector.manifest.batch_max + 1)]
    batch = [w.line(listing, expected=5, target=6) for listing in listings]
    assert set(kinds(await w.connector.push(w.api, batch[:-1], call_id="c"))) == {Kind.APPLIED}
    assert len(asked(w)) == 1
    assert set(kinds(await w.connector.push(w.api, batch, call_id="d"))) == {Kind.UNAVAILABLE}


@given(
    held=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=7),
    named=st.booleans(),
)
async def test_no_line_is_written_past_its_expected_value(held, named) -> None:
    """Whatever fields hold, a line is applied exactly where it holds what we expect, and a
    conflict names what it holds: nothing else changes.
    """
    w = world()
    listings = [w.sell(f"S{i}", true, bundle=bundle) for i, (true, _, bundle) in enumerate(held)]
    handle = w.shop.door.handlers["SetQuantities"]

    def unnamed(variables):
        data = handle(variables)
        for error in data["inventorySetQuantities"]["userErrors"]:
            error["field"] = ["input", "quantities"]
        return data

    if not named:
        w.shop.door.handlers = {**w.shop.door.handlers, "SetQuantities": unnamed}
    batch = [
        w.line(listing, expected=expected, target=9)
        for listing, (_, expected, _) in zip(listings, held, strict=True)
    ]
    if not batch:
        return
    outcomes = await w.connector.push(w.api, batch, call_id="c")
    for listing, (true, expected, bundle), outcome in zip(listings, held, outcomes, strict=True):
        if bundle:
            assert outcome.kind is Kind.REJECTED
        elif true == expected:
            assert outcome.kind is Kind.APPLIED
        else:
            assert (outcome.kind, outcome.actual) == (Kind.CONFLICT, true)
        assert w.shop.quantity(listing) == (9 if outcome.kind is Kind.APPLIED else true)
