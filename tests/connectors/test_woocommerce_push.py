"""WooCommerce: the push reads, compares, writes and compares again; every outcome is per line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from stockpush.connectors.base import Answer, Moment, PushLine, PushOutcome
from stockpush.connectors.woocommerce import owners
from stockpush.connectors.woocommerce.writing import GAP_MAX_S
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    ListingGone,
    OutcomeUnknown,
    PayloadInvalid,
    PushRejected,
    RateLimited,
)
from stockpush.model import FieldKey, PushOutcomeKind
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.connectors.canned import CannedApi, answer
from tests.connectors.hands import BEGUN
from tests.connectors.woocommerce_world import World, line, listing, make_connector, make_world

APPLIED, UNCHANGED, CONFLICT = (
    PushOutcomeKind.APPLIED,
    PushOutcomeKind.UNCHANGED,
    PushOutcomeKind.CONFLICT,
)
UNKNOWN, UNAVAILABLE = PushOutcomeKind.UNKNOWN, PushOutcomeKind.UNAVAILABLE
READ_AT = BEGUN.replace(microsecond=0)


@pytest.fixture
def world() -> World:
    """Return the shop of woocommerce_world."""
    return make_world()


async def push(world: World, *lines: PushLine) -> tuple[PushOutcome, ...]:
    """Push the lines as one call."""
    return await world.connector.push(world.api, lines, call_id="call")


def writes(world: World) -> list[tuple[str, str, Any]]:
    """Return (method, path below the API's root, body) of every write that was sent."""
    return [
        (sent.method, sent.path.removeprefix("/wp-json/wc/v3"), json.loads(sent.body))
        for sent in world.api.sent
        if sent.method != "GET"
    ]


@dataclass
class Intercepted:
    """A shop of which the door uses nothing but `handle`."""

    handle: Callable[[ShopRequest], ShopAnswer]


def after_the_reading(world: World, happens: Any) -> None:
    """Let something happen here just after the shop has answered a reading."""

    def handled(request: ShopRequest) -> ShopAnswer:
        given = world.shop.handle(request)
        if request.method == "GET":
            happens()
        return given

    world.api.shop = Intercepted(handled)


def between_read_and_write(world: World, happens: Any) -> None:
    """Let something happen in the shop just before the next write is handled."""
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        if request.method != "GET":
            happens()
        return handle(request)

    world.api.shop = Intercepted(handled)


async def test_expected_number_is_replaced(world: World):
    """One field: read, then one plain update; the number is the target."""
    (outcome,) = await push(world, line("30", expected=7, target=4))
    assert (outcome.kind, outcome.actual) == (APPLIED, 4)
    assert world.shop.stock_quantity("30") == 4
    assert writes(world) == [("PUT", "/products/30", {"manage_stock": True, "stock_quantity": 4})]


async def test_outcome_states_the_gap_by_the_shops_clock(world: World):
    """From the answer to the read to the answer to the write."""
    between_read_and_write(world, lambda: world.hands.move(3))
    (outcome,) = await push(world, line("30", expected=7, target=4))
    assert (outcome.gap_from, outcome.gap_until) == (READ_AT, READ_AT + timedelta(seconds=3))


async def test_unexpected_number_is_not_written(world: World):
    """An unseen sale is a conflict that tells the number; nothing is put back on sale."""
    world.shop.checkout([("30", 2)])
    (outcome,) = await push(world, line("30", expected=7, target=6))
    assert (outcome.kind, outcome.actual, outcome.date) == (CONFLICT, 5, READ_AT)
    assert world.shop.stock_quantity("30") == 5
    assert writes(world) == []


async def test_unexpected_number_that_is_the_target_is_still_a_conflict(world: World):
    """A sale of exactly the difference looks like our own write: it must not be taken for it."""
    world.shop.checkout([("30", 2)])
    (outcome,) = await push(world, line("30", expected=7, target=5))
    assert (outcome.kind, outcome.actual) == (CONFLICT, 5)


async def test_equal_number_is_not_written(world: World):
    """Expected and target are what it holds: no write."""
    (outcome,) = await push(world, line("30", expected=7, target=7))
    assert (outcome.kind, outcome.actual) == (UNCHANGED, 7)
    assert writes(world) == []


async def test_one_request_per_route(world: World):
    """Products share a batch, variations of one parent share another; outcomes keep the order."""
    world.shop.add_variation(31, 34, stock=2)
    world.shop.add_product(50, stock=9, type="variable")
    world.shop.add_variation(50, 51, stock=3)
    outcomes = await push(
        world,
        line("50:51", expected=3, target=1),
        line("31:34", expected=2, target=0),
        line("31", expected=12, target=10),
        line("30", expected=8, target=1),  # holds 7
        line("31:33", expected=5, target=4),
        line("50", expected=9, target=8),
    )
    assert [each.kind for each in outcomes] == [
        APPLIED, APPLIED, APPLIED, CONFLICT, APPLIED, APPLIED,
    ]  # fmt: skip
    assert [(method, path) for method, path, _ in writes(world)] == [
        ("POST", "/products/batch"),
        ("POST", "/products/31/variations/batch"),
        ("PUT", "/products/50/variations/51"),
    ]
    assert [world.shop.stock_quantity(key) for key in ("30", "31", "31:33", "31:34")] == [
        7,
        10,
        4,
        0,
    ]


async def test_parent_is_written_for_its_variations(world: World):
    """The field of a parent-managed variation is the parent, and only the parent is written."""
    (outcome,) = await push(world, line("31", expected=12, target=2))
    assert outcome.kind == APPLIED
    assert world.shop.stock_quantity("31:32") == 2


async def test_batch_of_a_hundred_is_one_write(world: World):
    """The manifest's batch is what one request takes."""
    assert world.connector.manifest.batch_max == 100
    for product_id in range(1000, 1100):
        world.shop.add_product(product_id, stock=5)
    lines = [line(str(n), expected=5, target=6) for n in range(1000, 1100)]
    outcomes = await push(world, *lines)
    assert {each.kind for each in outcomes} == {APPLIED}
    assert len(writes(world)) == 1


async def test_batch_item_that_fails_is_its_own_fault(world: World):
    """A product deleted in the gap is gone; the others of the batch are applied."""
    world.shop.add_product(60, stock=1)
    between_read_and_write(world, lambda: world.shop.remove_product("60"))
    gone, fine = await push(
        world, line("60", expected=1, target=0), line("30", expected=7, target=1)
    )
    assert (gone.kind, type(gone.error)) == (PushOutcomeKind.GONE, ListingGone)
    assert (fine.kind, world.shop.stock_quantity("30")) == (APPLIED, 1)


async def test_gone_between_read_and_write(world: World):
    """A PUT to an unknown id is answered with 400, which means gone."""
    between_read_and_write(world, lambda: world.shop.remove_product("30"))
    (outcome,) = await push(world, line("30", expected=7, target=1))
    assert outcome.kind == PushOutcomeKind.GONE


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("99", PushOutcomeKind.GONE),
        ("31:99", PushOutcomeKind.GONE),
        ("31:32", PushOutcomeKind.REJECTED),
        ("40", PushOutcomeKind.REJECTED),
    ],
)
async def test_what_has_no_number_is_not_written(world: World, key: str, kind: PushOutcomeKind):
    """Gone, parent-managed and unmanaged fields need a person; managing is not forced on them."""
    world.shop.add_product(40, stock=None)
    refused, fine = await push(
        world, line(key, expected=1, target=0), line("30", expected=7, target=1)
    )
    assert refused.kind == kind
    assert isinstance(refused.error, ListingGone | PushRejected)
    assert fine.kind == APPLIED
    assert len(writes(world)) == 1


PRODUCT = {"id": 30, "type": "simple", "manage_stock": True, "stock_quantity": 7}


def canned(*answers: Answer | Exception) -> CannedApi:
    """Return a door that first shows product 30 with 7."""
    return CannedApi([answer(json.dumps([PRODUCT]).encode()), *answers])


async def pushed(api: CannedApi) -> PushOutcome:
    """Push 7 to 4 through a prepared door."""
    (outcome,) = await make_connector().push(api, [line("30", expected=7, target=4)], call_id="c")
    assert api.answers == []
    return outcome


@pytest.mark.parametrize(
    ("saved", "actual"),
    [
        ({**PRODUCT, "stock_quantity": 3}, 3),  # a sale came right after
        ({**PRODUCT, "stock_quantity": 7}, 7),  # dropped
        ({**PRODUCT, "manage_stock": False, "stock_quantity": None}, None),
        ({**PRODUCT, "id": 31, "stock_quantity": 4}, None),  # about something else
    ],
)
async def test_dropped_quantity_is_unknown(saved: dict[str, Any], actual: int | None):
    """A 200 that does not show the target proves nothing: it will be read."""
    outcome = await pushed(canned(answer(json.dumps(saved).encode())))
    assert (outcome.kind, outcome.actual) == (UNKNOWN, actual)
    assert outcome.gap_until == READ_AT


@pytest.mark.parametrize("body", [b"<html>Thank you</html>", b"", b"{", b"[]", b'{"id":30'])
async def test_answer_that_cannot_be_read_is_unknown(body: bytes):
    """The write was sent; HTML instead of JSON does not undo it, whichever 2xx brings it."""
    for status in (200, 201, 204):
        assert (await pushed(canned(answer(body, status)))).kind == UNKNOWN


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"code":"woocommerce_rest_product_invalid_id","message":""}', "gone"),
        (400, b'{"code":"rest_invalid_param","message":""}', "rejected"),
        (413, b"<html>too large</html>", "rejected"),
        (404, b"<html>not here</html>", "unavailable"),
        (404, b'{"code":"rest_no_route","message":""}', "unavailable"),
        (408, b"", "unknown"),
    ],
)
async def test_refused_write(status: int, body: bytes, kind: str):
    """A refusal by the platform is about the line; a 404 of the site is about the site."""
    outcome = await pushed(canned(answer(body, status)))
    assert outcome.kind == PushOutcomeKind(kind)
    assert outcome.error is not None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutcomeUnknown(), UNKNOWN),
        (PayloadInvalid("a redirect"), UNKNOWN),
        (ChannelUnavailable(), UNAVAILABLE),
        (RateLimited(retry_after_s=2), PushOutcomeKind.RATE_LIMITED),
        (AuthFailed(), PushOutcomeKind.AUTH_FAILED),
    ],
)
async def test_error_of_a_write_names_its_outcome(error: Exception, kind: PushOutcomeKind):
    """Only what may have reached the shop is unknown."""
    outcome = await pushed(canned(error))
    assert (outcome.kind, outcome.error) == (kind, error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PayloadInvalid("html"), UNAVAILABLE),
        (ChannelUnavailable(), UNAVAILABLE),
        (RateLimited(retry_after_s=2), PushOutcomeKind.RATE_LIMITED),
        (AuthFailed(), PushOutcomeKind.AUTH_FAILED),
    ],
)
async def test_error_of_the_read_writes_nothing(error: Exception, kind: PushOutcomeKind):
    """Without a number to compare nothing is written, and nothing is unknown."""
    outcome = await pushed(CannedApi([error]))
    assert (outcome.kind, outcome.error) == (kind, error)


@pytest.mark.parametrize("applied", [True, False])
async def test_broken_write_is_unknown_and_the_rest_is_not_sent(world: World, applied: bool):
    """Settled lines keep their outcome, the broken write is unknown, later routes are due again."""
    world.shop.add_product(61, stock=1)
    world.shop.faults.only_writes = True
    setattr(world.shop.faults, "drop_after_next" if applied else "drop_before_next", 1)
    conflict, broken, unsent = await push(
        world,
        line("61", expected=9, target=0),
        line("30", expected=7, target=4),
        line("31:33", expected=5, target=4),
    )
    assert (conflict.kind, conflict.actual) == (CONFLICT, 1)
    assert (broken.kind, broken.gap_from, broken.gap_until) == (UNKNOWN, READ_AT, None)
    assert (unsent.kind, type(unsent.error)) == (UNAVAILABLE, ChannelUnavailable)
    assert world.shop.stock_quantity("30") == (4 if applied else 7)
    assert world.shop.faults.writes_seen == ["PUT /wp-json/wc/v3/products/30"]


async def test_call_repeated_after_an_unknown_outcome_is_safe(world: World):
    """If it was applied the number is told and not written; if not, it is written now."""
    world.shop.faults.only_writes = True
    world.shop.faults.drop_after_next = 1
    wanted = line("30", expected=7, target=4)
    assert (await push(world, wanted))[0].kind == UNKNOWN
    (again,) = await push(world, wanted)
    assert (again.kind, again.actual) == (CONFLICT, 4)
    world.shop.faults.drop_before_next = 1
    wanted = line("31", expected=12, target=11)
    assert (await push(world, wanted))[0].kind == UNKNOWN
    assert (await push(world, wanted))[0].kind == APPLIED
    assert len(world.shop.faults.writes_seen) == 3


async def test_odd_answer_of_one_parent_does_not_stop_the_others():
    """A parent whose variations cannot be read is due again; the next parent is written."""
    variation = {"id": 9, "manage_stock": True, "stock_quantity": 2}
    api = CannedApi(
        [
            answer(b"<html>"),
            answer(json.dumps([variation]).encode()),
            answer(json.dumps({**variation, "stock_quantity": 1}).encode()),
        ]
    )
    odd, fine = await make_connector().push(
        api, [line("5:6", expected=1, target=0), line("8:9", expected=2, target=1)], call_id="c"
    )
    assert (odd.kind, fine.kind) == (UNAVAILABLE, APPLIED)


async def test_sale_inside_the_gap_is_overwritten_and_lies_in_the_gap(world: World):
    """What no check-then-set can prevent is at least visible: the order is dated inside the gap."""
    sold: list[str] = []

    def sale() -> None:
        world.hands.move(1)
        sold.append(world.shop.checkout([("30", 2)]))
        world.hands.move(1)

    between_read_and_write(world, sale)
    (outcome,) = await push(world, line("30", expected=7, target=6))
    assert (outcome.kind, world.shop.stock_quantity("30")) == (APPLIED, 6)
    order = await world.fetch(sold[0])
    assert order is not None
    assert outcome.gap_from is not None
    assert outcome.gap_until is not None
    assert outcome.gap_from <= order.deducted_at <= outcome.gap_until


# -- what is never sent, and a shop that manages no stock -----------------------------------------


async def test_no_write_is_a_difference(world: World):
    """`inventory_delta` would be added twice if its answer were lost: only numbers are set."""
    world.shop.add_variation(31, 34, stock=2)
    await push(world, line("30", expected=7, target=4))
    await push(world, line("31:33", expected=5, target=4))
    await push(world, line("30", expected=4, target=5), line("31", expected=12, target=10))
    await push(world, line("31:33", expected=4, target=3), line("31:34", expected=2, target=1))
    items = [item for _, _, body in writes(world) for item in body.get("update", [body])]
    assert len(items) == 6
    for item in items:
        assert item.keys() - {"id"} == {"manage_stock", "stock_quantity"}


async def test_shop_that_manages_no_stock_is_reported(world: World):
    """With the shop's own option off every number is dead: said in words, and nothing written."""
    world.shop.switch_stock_off()
    (found,) = await world.connector.resolve(world.api, [listing("30")])
    assert (found.field_key, found.problem) == (None, owners.NOT_MANAGED)
    readings = (await world.connector.observe(world.api, [FieldKey("w", "30")])).readings
    assert [(each.quantity, each.problem) for each in readings] == [(None, owners.NOT_MANAGED)]
    (outcome,) = await push(world, line("30", expected=7, target=4))
    assert outcome.kind == PushOutcomeKind.REJECTED
    assert isinstance(outcome.error, PushRejected)
    assert writes(world) == []


async def test_stock_switched_off_in_the_gap(world: World):
    """Only the status was written, and the shop says 200: that is no success."""
    between_read_and_write(world, world.shop.switch_stock_off)
    (outcome,) = await push(world, line("30", expected=7, target=4))
    assert outcome.kind == UNKNOWN
    again = await push(world, line("30", expected=7, target=4))
    assert [each.kind for each in again] == [PushOutcomeKind.REJECTED]


@pytest.mark.parametrize("clock", ["wall", "monotonic"])
async def test_a_write_too_long_after_its_reading_is_not_sent(world: World, clock: str):
    """The machine slept between reading and writing: who bought meanwhile would be overwritten.

    Either clock tells, for the monotonic one may stand still in a machine that sleeps. The line is
    due again, and the next call reads anew.
    """
    world.api.moment = Moment(BEGUN, 5.0)
    later = world.api.moment.plus(GAP_MAX_S + 0.1)

    def sleep() -> None:
        world.api.moment = replace(world.api.moment, **{clock: getattr(later, clock)})

    after_the_reading(world, sleep)
    (outcome,) = await push(world, line("30", expected=7, target=4))
    assert outcome.kind is UNAVAILABLE
    assert writes(world) == []
    assert world.shop.stock_quantity("30") == 7
    world.api.shop = world.shop
    (again,) = await push(world, line("30", expected=7, target=4))
    assert again.kind is APPLIED


async def test_a_write_soon_after_its_reading_is_sent(world: World):
    """A slow answer to the reading keeps nobody from writing."""
    world.api.moment = Moment(BEGUN, 5.0)

    def answer_late() -> None:
        world.api.moment = Moment(BEGUN, 5.0).plus(GAP_MAX_S)

    after_the_reading(world, answer_late)
    (outcome,) = await push(world, line("30", expected=7, target=4))
    assert outcome.kind is APPLIED


async def test_the_gap_of_a_write_begins_when_the_shop_was_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that took four seconds may lack a sale of the second before its Date header."""
    world.shop.add_product(930, stock=10)
    send = type(world.api).send

    async def slowly(*args: Any, **more: Any) -> Answer:
        return replace(await send(*args, **more), took_s=4.0)

    monkeypatch.setattr(type(world.api), "send", slowly)
    (outcome,) = await push(world, PushLine(FieldKey("w", "930"), 10, 7))
    assert outcome.kind is PushOutcomeKind.APPLIED
    assert outcome.gap_until - outcome.gap_from >= timedelta(seconds=4)
