"""Faire: the push reads, compares, writes and compares again; every outcome is per line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stockpush.connectors.base import Answer, Moment
from stockpush.connectors.faire import variants
from stockpush.connectors.faire.writing import CALLS_MAX, GAP_MAX_S, SHARED_SKU, WRITE_COST
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    ListingGone,
    OutcomeUnknown,
    PayloadInvalid,
    PushRejected,
    RateLimited,
)
from stockpush.model import PushOutcomeKind as Kind
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.connectors.canned import CannedApi, answer
from tests.connectors.faire_world import (
    A,
    B,
    C,
    World,
    inventories,
    line,
    make_connector,
    make_world,
)
from tests.connectors.hands import BEGUN

PAGE = b"<html><title>502</title></html>"
READ_AT = BEGUN.replace(microsecond=0)


@pytest.fixture
def world() -> World:
    """Return the account of faire_world."""
    return make_world()


@dataclass
class Intercepted:
    """A shop of which the door uses nothing but `handle`."""

    handle: Callable[[ShopRequest], ShopAnswer]


def instead_of_writing(world: World, happens: Callable[[ShopRequest], ShopAnswer]) -> None:
    """Let something else answer the writes."""
    handle = world.api.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        return handle(request) if request.method == "GET" else happens(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]


async def test_expected_number_is_replaced(world: World) -> None:
    """One request for all: read, then one write by variant id; on hand is the target."""
    outcomes = await world.push(line(A, expected=7, target=4), line(B, expected=12, target=20))
    assert [(each.kind, each.actual) for each in outcomes] == [
        (Kind.APPLIED, 4),
        (Kind.APPLIED, 20),
    ]
    assert world.shop.numbers() == {A: 4, B: 20}
    assert world.writes() == [{A: 4, B: 20}]
    assert world.api.sent[-1].headers["content-type"] == "application/json"


async def test_the_target_is_written_as_it_is_whatever_is_committed(world: World) -> None:
    """The target holds our own open reservations already; Faire's committed is not added.

    An order that has landed and is not polled yet would otherwise be handed out again.
    """
    world.shop.checkout([(A, 2)])
    world.shop.checkout([(A, 1)])  # nobody has polled this one
    (outcome,) = await world.push(line(A, expected=7, target=5))  # offer 3, our open orders 2
    assert outcome.kind is Kind.APPLIED
    assert world.shop.numbers()[A] == 5
    assert world.shop.quantity(A) == 2


async def test_no_gap_is_stated(world: World) -> None:
    """No order moves on hand, so the write can overwrite none (R10 is not for Faire)."""
    (outcome,) = await world.push(line(A, expected=7, target=4))
    assert (outcome.gap_from, outcome.gap_until, outcome.date) == (None, None, READ_AT)


async def test_unexpected_number_is_not_written(world: World) -> None:
    """Somebody moved on hand: a conflict that tells the number, also if it is the target."""
    world.shop.merchant_sets(A, 5)
    for target in (6, 5):
        (outcome,) = await world.push(line(A, expected=7, target=target))
        assert (outcome.kind, outcome.actual, outcome.date) == (Kind.CONFLICT, 5, READ_AT)
    assert world.writes() == []


async def test_nothing_is_written_but_what_is_asked_for_and_there(world: World) -> None:
    """A variant that is none of ours keeps its number, and one that Faire does not show is asked
    for nothing: neither is ever set to 0.
    """
    before = world.shop.numbers()
    await world.push(line(A, expected=before[A], target=4), line("po_gone", expected=1, target=0))
    (sent,) = [each for each in world.api.sent if each.method == "PATCH"]
    assert json.loads(sent.body) == {
        "inventories": [{"product_variant_id": A, "on_hand_quantity": 4}]
    }
    assert world.shop.numbers() == before | {A: 4}


async def test_equal_number_is_not_written(world: World) -> None:
    """Expected and target are what it holds: no write."""
    (outcome,) = await world.push(line(A, expected=7, target=7))
    assert (outcome.kind, outcome.actual) == (Kind.UNCHANGED, 7)
    assert world.writes() == []


async def test_each_line_has_its_own_outcome(world: World) -> None:
    """Conflict, gone, not tracked and applied in one call, in the order of the batch."""
    world.shop.merchant_sets(B, 1)
    outcomes = await world.push(
        line(B, expected=12, target=3),
        line("po_gone", expected=1, target=2),
        line(C, expected=1, target=2),
        line(A, expected=7, target=2),
    )
    kinds = [each.kind for each in outcomes]
    assert kinds == [Kind.CONFLICT, Kind.GONE, Kind.REJECTED, Kind.APPLIED]
    assert isinstance(outcomes[1].error, ListingGone)
    assert isinstance(outcomes[2].error, PushRejected)
    assert outcomes[2].error.message == variants.UNTRACKED
    assert world.writes() == [{A: 2}]


async def test_an_untracked_variant_is_never_written(world: World) -> None:
    """The first quantity would turn its stock gate on for good."""
    await world.push(line(C, expected=0, target=0))
    assert world.writes() == []
    assert C not in world.shop.numbers()


async def test_a_write_costs_the_whole_burst() -> None:
    """Reads cost one, writes what keeps two of them a second apart."""
    api = CannedApi([answer(inventories(aaa=7)), answer(inventories(aaa=4))])
    await make_connector().push(api, [line(A, expected=7, target=4)], call_id="c")
    assert api.costs == [1.0, WRITE_COST]


async def test_the_fourth_quick_write_is_429(world: World) -> None:
    """Without the pace the account answers 429, and the line is due again."""
    outcomes = [(await world.push(line(A, expected=7 - n, target=6 - n)))[0] for n in range(4)]
    assert [each.kind for each in outcomes] == [Kind.APPLIED] * 3 + [Kind.RATE_LIMITED]
    world.hands.move(1)
    (outcome,) = await world.push(line(A, expected=4, target=3))
    assert outcome.kind is Kind.APPLIED


async def test_a_hundred_go_in_one_write(world: World) -> None:
    """A whole batch is one read and one write."""
    ids = [f"po_{number}" for number in range(100)]
    for each in ids:
        world.shop.add_variant(each, on_hand=3)
    outcomes = await world.push(*[line(each, expected=3, target=2) for each in ids])
    assert {each.kind for each in outcomes} == {Kind.APPLIED}
    assert len(outcomes) == 100
    assert [len(each) for each in world.writes()] == [100]


# -- answers that are not what was asked for ---------------------------------------------------


def written(keys: str, *, number: int = 4) -> dict[str, Any]:
    """Return an answer that names some variants, each with a number."""
    return inventories(**dict.fromkeys(keys.split(), number))


async def pushed(*answers: Answer | Exception) -> list[Any]:
    """Push A and B to 4 against prepared answers to the read and what follows; return outcomes."""
    api = CannedApi([answer(inventories(aaa=7, bbb=7)), *answers])
    lines = [line(A, expected=7, target=4), line(B, expected=7, target=4)]
    return list(await make_connector().push(api, lines, call_id="c"))


async def test_a_key_missing_from_the_answer_is_unknown() -> None:
    """The answer's keys are compared with the request: what it does not name will be read."""
    first, second = await pushed(answer(written("aaa")))
    assert (first.kind, second.kind) == (Kind.APPLIED, Kind.UNKNOWN)
    assert isinstance(second.error, OutcomeUnknown)
    assert second.error.answered


async def test_another_number_in_the_answer_is_unknown() -> None:
    """Only the target in the answer means that it was applied."""
    first, second = await pushed(answer(inventories(aaa=4, bbb=9)))
    assert (first.kind, second.kind, second.actual) == (Kind.APPLIED, Kind.UNKNOWN, 9)


@pytest.mark.parametrize("body", [b"", PAGE, b'{"inventories":{"po_aaa":', b"[]", b'{"ok":true}'])
async def test_an_answer_that_cannot_be_read_is_unknown(body: bytes) -> None:
    """A page, half an answer or none, with any 2xx: it was taken, and nobody knows with what."""
    for status in (200, 201, 202, 204):
        outcomes = await pushed(answer(body, status))
        assert [each.kind for each in outcomes] == [Kind.UNKNOWN, Kind.UNKNOWN]
        assert all(each.error.answered for each in outcomes)


async def test_any_2xx_that_names_what_was_saved_is_believed() -> None:
    """The map counts, not which 2xx brings it."""
    outcomes = await pushed(answer(inventories(aaa=4, bbb=4), 201))
    assert [each.kind for each in outcomes] == [Kind.APPLIED, Kind.APPLIED]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutcomeUnknown(), Kind.UNKNOWN),
        (ChannelUnavailable(), Kind.UNAVAILABLE),
        (RateLimited(retry_after_s=5), Kind.RATE_LIMITED),
        (AuthFailed(found=401), Kind.AUTH_FAILED),
        (AuthFailed(found=403), Kind.AUTH_FAILED),
        (PayloadInvalid("redirected to www, and the body was lost"), Kind.UNKNOWN),
        (answer(PAGE, 404), Kind.UNAVAILABLE),
        (answer(PAGE, 400), Kind.UNAVAILABLE),
        (answer({"message": "Method Not Allowed"}, 405), Kind.UNAVAILABLE),
        (answer(b"", 408), Kind.UNKNOWN),
    ],
)
async def test_a_write_that_fails_is_named(error: Any, kind: Kind) -> None:
    """What may have been applied is unknown; what cannot have been is due again."""
    assert [each.kind for each in await pushed(error)] == [kind, kind]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ChannelUnavailable(), Kind.UNAVAILABLE),
        (RateLimited(retry_after_s=5), Kind.RATE_LIMITED),
        (AuthFailed(found=401), Kind.AUTH_FAILED),
        (AuthFailed(found=403), Kind.AUTH_FAILED),
        (answer(PAGE), Kind.UNAVAILABLE),
        (answer({"message": "no"}, 400), Kind.UNAVAILABLE),
    ],
)
async def test_nothing_is_written_where_nothing_can_be_read(error: Any, kind: Kind) -> None:
    """A failed read leaves every line unwritten."""
    api = CannedApi([error])
    lines = [line(A, expected=7, target=4), line(B, expected=7, target=4)]
    outcomes = await make_connector().push(api, lines, call_id="c")
    assert [each.kind for each in outcomes] == [kind, kind]
    assert len(api.sent) == 1


async def test_a_dropped_connection_is_settled_by_the_same_call(world: World) -> None:
    """Applied or not: the repeated call reads first, and writes only over what it expects."""
    world.shop.faults.only_writes = True
    world.shop.faults.drop_after_next = 1
    (lost,) = await world.push(line(A, expected=7, target=4))
    assert lost.kind is Kind.UNKNOWN
    (again,) = await world.push(line(A, expected=7, target=4))
    assert (again.kind, again.actual) == (Kind.CONFLICT, 4)
    assert len(world.writes()) == 1


# -- refusals ------------------------------------------------------------------------------------


def duplicates(world: World, *culprits: str) -> Callable[[ShopRequest], ShopAnswer]:
    """Return what refuses a write that names a culprit, as writes by SKU are refused."""

    def handled(request: ShopRequest) -> ShopAnswer:
        if any(each.encode() in request.body for each in culprits):
            body = b'{"message":"Skus match multiple product variations"}'
            return ShopAnswer(400, {}, body)
        world.hands.move(1)
        return world.shop.handle(request)

    return handled


async def test_a_duplicate_sku_refuses_one_line_and_not_the_batch(world: World) -> None:
    """A refusal names no line: the batch is halved until the culprit stands alone."""
    ids = [f"po_{number}" for number in range(8)]
    for each in ids:
        world.shop.add_variant(each, on_hand=3)
    instead_of_writing(world, duplicates(world, "po_5"))
    outcomes = await world.push(*[line(each, expected=3, target=2) for each in ids])
    kinds = {each: outcome.kind for each, outcome in zip(ids, outcomes, strict=True)}
    assert kinds == {**dict.fromkeys(ids, Kind.APPLIED), "po_5": Kind.REJECTED}
    (rejected,) = [each for each in outcomes if each.kind is Kind.REJECTED]
    assert isinstance(rejected.error, PushRejected)
    assert rejected.error.message == SHARED_SKU


async def test_a_batch_that_is_refused_whole_ends(world: World) -> None:
    """If every part is refused the work stops at its bound; the rest is due again."""
    ids = [f"po_{number}" for number in range(100)]
    for each in ids:
        world.shop.add_variant(each, on_hand=3)
    instead_of_writing(world, duplicates(world, "po_"))
    outcomes = await world.push(*[line(each, expected=3, target=2) for each in ids])
    assert len(world.writes()) == CALLS_MAX
    assert {each.kind for each in outcomes} == {Kind.REJECTED, Kind.UNAVAILABLE}


async def test_an_unknown_variant_that_refuses_the_batch_stands_alone(world: World) -> None:
    """Whether Faire leaves it out or answers 400, the other line is written.

    The variant is deleted between the read and the write.
    """
    world.shop.habits.unknown_variant_refused = True
    seen = world.shop.handle

    def deleted(request: ShopRequest) -> ShopAnswer:
        world.shop.remove_variant(B)
        world.hands.move(1)
        return seen(request)

    instead_of_writing(world, deleted)
    outcomes = await world.push(line(A, expected=7, target=4), line(B, expected=12, target=4))
    assert [each.kind for each in outcomes] == [Kind.APPLIED, Kind.REJECTED]


async def test_an_accident_stops_the_work() -> None:
    """Halves that were not sent yet are due again; what was settled keeps its outcome."""
    refused = answer({"message": "Skus match multiple product variations"}, 400)
    first, second = await pushed(refused, answer(written("aaa")), OutcomeUnknown())
    assert (first.kind, second.kind) == (Kind.APPLIED, Kind.UNKNOWN)
    first, second = await pushed(refused, OutcomeUnknown())
    assert (first.kind, second.kind) == (Kind.UNKNOWN, Kind.UNAVAILABLE)


async def test_nothing_is_written_long_after_its_reading(world: World) -> None:
    """F50: the machine slept in between, and what was shipped meanwhile would be on hand again."""
    begun = Moment(READ_AT, 5.0)
    world.api.moment = begun
    handle = world.api.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        world.api.moment = begun.plus(GAP_MAX_S + 0.1)
        return handle(request)

    world.api.shop = Intercepted(handled)  # type: ignore[assignment]
    before = world.shop.numbers()[A]
    (outcome,) = await world.push(line(A, expected=before, target=before + 1))
    assert (outcome.kind, world.shop.numbers()[A]) == (Kind.UNAVAILABLE, before)
