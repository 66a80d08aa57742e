"""Real bodies are read; whatever else comes is understood or `PayloadInvalid`, and no more."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.connectors.base import WebhookRequest
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid
from stockpush.model import PushOutcomeKind as Kind
from tests.contract.kit import NAMES, SAMPLES, kit, with_webhooks
from tests.contract.readers import delivery
from tests.contract.stage import (
    Offered,
    deliveries,
    observe,
    offered,
    poll,
    push,
    spoilt,
    truth,
)
from tests.hostile import judging
from tests.hostile.judging import LITERALS, mutated, run

TOLD = [name for name in NAMES if with_webhooks(name)]
WRONG = (None, True, False, 0, -1, 1.5, "", "x", "9" * 400, [], {}, [[]], 2**63, 1e308)
"""Values of another type than whatever stands there."""
SPOILS: Mapping[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda body: body[: len(body) // 2],
    "but its end": lambda body: body.rstrip()[:-1],
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "text": lambda _: b'"x"',
    "a number": lambda _: b"7",
    "no UTF-8": lambda body: b"\xff" + body,
    "a page": lambda _: b"<!DOCTYPE html><title>Maintenance</title>",
    "deep": lambda _: b"[" * 100_000,
}
"""What may come instead of an answer's body."""


def samples() -> list[Any]:
    """Return every sample there is, with its connector."""
    return [
        pytest.param(name, path, id=f"{name}-{path.stem}")
        for name in NAMES
        for path in sorted((SAMPLES / name).glob("*.json"))
    ]


@pytest.mark.parametrize(("name", "path"), samples())
def test_every_sample_is_read(name: str, path: Path) -> None:
    """As what it is; none lies about unread, nor says TODO."""
    found = kit(name)
    body = path.read_bytes()
    assert b"TODO" not in body
    (reader,) = {read for pattern, read in found.samples.items() if fnmatch(path.stem, pattern)}
    reader(found.open().connector, body)


@pytest.mark.parametrize("name", NAMES)
def test_there_are_samples_of_every_sort(name: str) -> None:
    """Each pattern of the kit has one: an empty folder would be a suite of nothing."""
    stems = [path.stem for path in (SAMPLES / name).glob("*.json")]
    for pattern in kit(name).samples:
        assert [stem for stem in stems if fnmatch(stem, pattern)], pattern


# -- deliveries -----------------------------------------------------------------------------------


@cache
def bodies(name: str) -> tuple[bytes, ...]:
    """Return deliveries of a platform: its samples, and what its emulated shop sends."""
    found = kit(name)
    sampled = [
        path.read_bytes()
        for path in sorted((SAMPLES / name).glob("*.json"))
        if any(
            fnmatch(path.stem, each) and read is delivery for each, read in found.samples.items()
        )
    ]
    stage = found.open()
    (sold,) = run(offered(found, stage))
    stage.shop.checkout([(sold.name, 1)])
    return (*sampled, *(each.body for each in deliveries(stage)))


@cache
def reader(name: str) -> Any:
    """Return a connector as the kit's stage has it."""
    return kit(name).open().connector


def refused(name: str, body: bytes) -> None:
    """Fail unless a delivery's body is `PayloadInvalid`."""
    with pytest.raises(PayloadInvalid):
        reader(name).read(WebhookRequest({}, body))


@pytest.mark.parametrize("name", TOLD)
def test_a_body_that_is_cut_off_is_refused(name: str) -> None:
    """Wherever it ends early, and where there is nothing at all."""
    for body in bodies(name):
        whole = body.strip()
        step = max(1, len(whole) // 500)
        for end in (*range(0, len(whole), step), len(whole) - 1):
            refused(name, whole[:end])


@pytest.mark.parametrize("name", TOLD)
def test_a_body_of_another_shape_is_refused(name: str) -> None:
    """JSON or not: nothing that is no object of the platform's."""
    for spoil in SPOILS.values():
        refused(name, spoil(bodies(name)[0]))
    for literal in LITERALS:
        if not literal.startswith(b'{"id"'):
            refused(name, literal)


@pytest.mark.parametrize("name", TOLD)
def test_a_value_of_another_type_is_understood_or_refused(name: str) -> None:
    """Each value of each delivery, replaced by each other type or left out, one at a time."""
    for body in bodies(name):
        places = list(judging.places(json.loads(body)))
        for number in range(len(places)):
            for wrong in (*WRONG, ...):
                document = json.loads(body)
                holder, key = list(judging.places(document))[number]
                if wrong is ...:
                    del holder[key]
                else:
                    holder[key] = wrong
                judging.delivery(reader(name), json.dumps(document).encode())


@pytest.mark.parametrize("name", NAMES)
@given(body=st.binary(max_size=200))
@settings(max_examples=100)
def test_noise_is_refused(name: str, body: bytes) -> None:
    """Random bytes are no delivery."""
    refused(name, body)


@pytest.mark.parametrize("name", TOLD)
@given(data=st.data())
@settings(max_examples=60)
def test_a_spoilt_delivery_is_understood_or_refused(name: str, data: st.DataObject) -> None:
    """Some of its values replaced, repeated, cut or gone; what is understood is within bounds."""
    seed = json.loads(data.draw(st.sampled_from(bodies(name))))
    body = mutated(seed, lambda count: data.draw(st.integers(0, count - 1)))
    judging.delivery(reader(name), body)


# -- answers --------------------------------------------------------------------------------------

Act = Callable[[Any, list[Offered], str], Awaitable[Any]]

ACTS: Mapping[str, Act] = {
    "resolve": lambda stage, given, _: stage.connector.resolve(
        stage.api, [each.listing for each in given]
    ),
    "observe": lambda stage, given, _: observe(stage, given),
    "poll": lambda stage, _, __: poll(stage),
    "fetch": lambda stage, _, order: stage.connector.fetch_order(stage.api, order, fetch=1),
    "push": lambda stage, given, _: push(stage, given, target=3),
}
"""All that a connector asks a channel for."""


def prepared(name: str) -> tuple[Any, list[Offered], str]:
    """Return a stage with two things on sale, and a third that was sold."""
    found = kit(name)
    stage = found.open()
    *given, sold = run(offered(found, stage, 3))
    order = stage.shop.checkout([(sold.name, 2)])
    return stage, given, order


@cache
def asked(name: str, act: str) -> int:
    """Return how many requests an act is made of while nothing is wrong."""
    stage, given, order = prepared(name)
    before = len(stage.api.sent)
    run(ACTS[act](stage, given, order))
    return len(stage.api.sent) - before


def told(name: str, act: str, spoil: Callable[[bytes], bytes], at: int) -> Any:
    """Have an act done while its `at`-th answer is spoilt; return (stage, given, what came)."""
    stage, given, order = prepared(name)
    requests = spoilt(stage, spoil, at=at)
    try:
        came = run(ACTS[act](stage, given, order))
    except ChannelError as error:
        came = error
    assert len(requests) <= judging.REQUESTS_MAX, "one odd answer makes us ask without end"
    return stage, given, came


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("act", [each for each in ACTS if each != "push"])
def test_an_answer_that_is_none_is_named(name: str, act: str) -> None:
    """What cannot be read whole is `PayloadInvalid`, or the channel is not well; or what it was
    asked for by the way is done without.
    """
    for at in range(asked(name, act)):
        for spoil in SPOILS.values():
            _, _, came = told(name, act, spoil, at)
            if isinstance(came, ChannelError):
                assert type(came) in {PayloadInvalid, ChannelUnavailable}


@pytest.mark.parametrize("name", NAMES)
def test_a_write_whose_answers_are_none_never_lies(name: str) -> None:
    """Each line has its outcome; nothing is called applied that the shop does not have, and what
    the shop may have is never called unsent.
    """
    for at in range(asked(name, "push")):
        for spoil in SPOILS.values():
            stage, given, outcomes = told(name, "push", spoil, at)
            assert len(outcomes) == len(given)
            for number, outcome in zip(truth(stage, given), outcomes, strict=True):
                if outcome.kind in {Kind.APPLIED, Kind.UNCHANGED}:
                    assert number == 3
                elif outcome.kind is not Kind.UNKNOWN:
                    assert number != 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("act", ACTS)
def test_a_spoilt_answer_is_understood_or_refused(name: str, act: str) -> None:
    """Any answer, in which some values are replaced, repeated, cut or gone: a fault of a channel
    comes of it, or facts within bounds; a push always has its outcomes.
    """
    dice = random.Random(f"{name} {act}")
    for _ in range(300):
        at = dice.randrange(asked(name, act))
        _, given, came = told(name, act, lambda body: _mutated(body, dice), at)
        if act == "push":
            assert len(came) == len(given)
        elif not isinstance(came, ChannelError):
            _judge(act, came)


def _mutated(body: bytes, dice: random.Random) -> bytes:
    return mutated(json.loads(body), dice.randrange)


def _judge(act: str, came: Any) -> None:
    """Assert that what was understood is within bounds."""
    match act:
        case "resolve":
            for each in came:
                judging.check_text(each.order_key or "")
                judging.check_text(each.field_key or "")
                judging.check_text(each.problem or "")
        case "observe":
            for each in came:
                if each.quantity is None:
                    judging.check_text(each.problem)
                else:
                    judging.check_number(each.quantity, least=-judging.NUMBER_MAX)
        case "poll":
            for each in (order for page in came for order in page.orders):
                judging.check(each)
        case _:
            if came is not None:
                judging.check(came)
