"""A batch of any size is answered line by line, and only what is expected is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import PushLine
from stockpush.errors import OutcomeUnknown
from stockpush.model import PushOutcomeKind as Kind
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.contract.kit import NAMES, kit
from tests.contract.stage import HAS, Between, Offered, observe, offered, push, truth, unchecked

WRITTEN = {Kind.APPLIED, Kind.UNCHANGED}
SIZES = ("none", "one", "many", "most")


def size(name: str, how_many: str) -> int:
    """Return a batch's size by its word."""
    return {"none": 0, "one": 1, "many": 7, "most": registry.manifest(name).batch_max}[how_many]


async def staged(name: str, count: int) -> tuple[Any, list[Offered]]:
    """Return a stage with so many things on sale; its requests until now are forgotten."""
    found = kit(name)
    stage = found.open()
    given: list[Offered] = []
    step = registry.manifest(name).read_max
    for first in range(0, count, step):
        given += await offered(found, stage, min(step, count - first), first=first)
    stage.api.sent.clear()
    return stage, given


def writes(name: str, stage: Any) -> list[Any]:
    """Return the requests that were to change something."""
    return [each for each in stage.api.sent if kit(name).is_write(each)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how_many", SIZES)
async def test_a_batch_of_any_size_is_answered_line_by_line(name: str, how_many: str) -> None:
    """None asks for nothing; one, many and the most of the manifest are applied, each."""
    stage, given = await staged(name, size(name, how_many))
    outcomes = await push(stage, given, target=3)
    assert [each.kind for each in outcomes] == [Kind.APPLIED] * len(given)
    assert truth(stage, given) == [3] * len(given)
    assert given or stage.api.sent == []


@pytest.mark.parametrize("name", NAMES)
async def test_outcomes_are_in_the_order_of_the_batch(name: str) -> None:
    """Lines that go out, that have moved and that are as they should be, whatever their order."""
    stage, given = await staged(name, 6)
    for each in given[::3]:
        stage.shop.merchant_sets(each.name, 9)
    for batch in (given, given[::-1]):
        moved = [each in given[::3] for each in batch]
        expected = truth(stage, batch)
        lines = [
            PushLine(each.field, HAS if has_moved else number, 4)
            for each, has_moved, number in zip(batch, moved, expected, strict=True)
        ]
        outcomes = await stage.connector.push(stage.api, lines, call_id="c")
        assert len(outcomes) == len(lines)
        for has_moved, number, told in zip(moved, expected, outcomes, strict=True):
            if has_moved:
                assert (told.kind, told.actual) in {(Kind.CONFLICT, 9), (Kind.CONFLICT, None)}
            else:
                assert told.kind in ({Kind.APPLIED} if number == HAS else WRITTEN)


@pytest.mark.parametrize("name", NAMES)
async def test_a_number_that_moved_is_a_conflict_and_stays(name: str) -> None:
    """Whether the platform compares, or we do: what we did not expect is not overwritten."""
    stage, given = await staged(name, 1)
    stage.shop.merchant_sets(given[0].name, 2)
    (told,) = await push(stage, given, target=4)
    assert told.kind is Kind.CONFLICT
    assert told.actual in {2, None}
    assert truth(stage, given) == [2]


@pytest.mark.parametrize("name", NAMES)
async def test_a_compare_is_the_platforms_or_the_gap_is_told(name: str) -> None:
    """Where nothing on the platform refuses a stale number, the outcome says from when until when
    it may have been overwritten; where something does, there is no such gap.
    """
    stage, given = await staged(name, 1)
    (told,) = await push(stage, given, target=3)
    manifest = registry.manifest(name)
    if manifest.write == "compare_and_set":
        assert (told.gap_from, told.gap_until) == (None, None)
        assert len(stage.api.sent) == 1
    elif not (manifest.committed_apart or compared(stage)):
        assert told.gap_from is not None
        assert told.gap_until is not None
        assert told.gap_from <= told.gap_until


def compared(stage: Any) -> bool:
    """Answer whether this one shop compares, although its platform need not."""
    return bool(getattr(stage.shop, "compares", False))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_an_unknown_write_is_learnt_and_not_made_twice(name: str, fault: str) -> None:
    """The same call again tells what became of it; nothing is written over what stands."""
    stage, given = await staged(name, 1)
    stage.shop.faults.only_writes = True
    setattr(stage.shop.faults, f"{fault}_next", 1)
    (first,) = await push(stage, given, target=3)
    assert first.kind is Kind.UNKNOWN
    applied = fault == "drop_after"
    assert truth(stage, given) == [3 if applied else HAS]
    (again,) = await push(stage, given, target=3)
    assert truth(stage, given) == [3]
    if again.kind is Kind.CONFLICT:
        assert applied
        assert again.actual == 3
    else:
        assert again.kind in WRITTEN


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("empty", [False, True])
async def test_any_2xx_was_taken(name: str, status: int, empty: bool) -> None:
    """What it says is believed; where it says nothing, or nothing is known of such an answer, the
    outcome is unknown and is read. It is never one that was certainly not written.
    """
    stage, given = await staged(name, 1)
    found, shop = kit(name), unchecked(stage)

    def handle(request: ShopRequest) -> ShopAnswer:
        answer: ShopAnswer = shop.handle(request)
        if not found.is_write(request) or answer.status != 200:
            return answer
        return ShopAnswer(status, answer.headers, b"" if empty or status == 204 else answer.body)

    stage.api.shop = Between(shop, handle)
    (told,) = await push(stage, given, target=3)
    assert truth(stage, given) == [3]
    assert told.kind in {Kind.APPLIED, Kind.UNKNOWN}
    if told.kind is Kind.UNKNOWN:
        assert isinstance(told.error, OutcomeUnknown)
        assert told.error.answered


@pytest.mark.parametrize("name", NAMES)
async def test_reading_changes_nothing(name: str) -> None:
    """A channel in shadow mode resolves, observes, polls and fetches, and no request is a write."""
    stage, given = await staged(name, 3)
    readings = await observe(stage, given)
    assert [(each.field, each.quantity) for each in readings] == [
        (each.field, HAS) for each in given
    ]
    order = stage.shop.checkout([(given[0].name, 1)])
    async for _ in stage.connector.poll_orders(stage.api, since=None, fetch=1):
        pass
    await stage.connector.fetch_order(stage.api, order, fetch=2)
    assert stage.api.sent
    assert writes(name, stage) == []


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_and_the_most_are_read(name: str) -> None:
    """A reading of none asks for nothing; the largest has one answer for each field."""
    stage, given = await staged(name, registry.manifest(name).read_max)
    assert await observe(stage, []) == ()
    assert await stage.connector.resolve(stage.api, []) == ()
    assert stage.api.sent == []
    backwards: Sequence[Offered] = given[::-1]
    readings = await observe(stage, backwards)
    assert [each.field for each in readings] == [each.field for each in backwards]
    assert {each.quantity for each in readings} == {HAS}
