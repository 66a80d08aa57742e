"""A good signature is accepted, and nothing that differs from it by one bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from stockpush.connectors.base import WebhookRequest
from stockpush.errors import ConfigInvalid, PayloadInvalid, SignatureInvalid
from tests.contract.kit import NAMES, VECTORS, find_kit, kit, with_webhooks
from tests.contract.stage import configured, deliveries, offered
from tests.hostile.judging import run

SIGNING = [name for name in NAMES if with_webhooks(name)]
SILENT = [name for name in NAMES if not with_webhooks(name)]


def signed(name: str) -> tuple[Any, WebhookRequest]:
    """Return a stage, and the shortest delivery that its shop makes of a sale."""
    found = kit(name)
    stage = found.open()
    (sold,) = run(offered(found, stage))
    deliveries(stage)
    stage.shop.checkout([(sold.name, 1)])
    return stage, min(deliveries(stage), key=lambda each: len(each.body))


def refused(stage: Any, request: WebhookRequest) -> None:
    """Fail unless the delivery is refused."""
    with pytest.raises(SignatureInvalid):
        stage.connector.verify(request)


def flipped(text: bytes, bit: int) -> bytes:
    """Return text with one bit changed."""
    spoiled = bytearray(text)
    spoiled[bit // 8] ^= 1 << bit % 8
    return bytes(spoiled)


@pytest.mark.parametrize("name", SIGNING)
def test_what_the_shop_signs_is_accepted_and_understood(name: str) -> None:
    """A sale is told by a signed delivery that is no ping."""
    stage, request = signed(name)
    stage.connector.verify(request)
    assert not stage.connector.is_ping(request)
    _, seen = stage.connector.read(request)
    assert seen


@pytest.mark.parametrize("name", SIGNING)
def test_every_flipped_bit_of_the_body_is_refused(name: str) -> None:
    """And so is a body cut short, longer, doubled, or gone."""
    stage, request = signed(name)
    for bit in range(len(request.body) * 8):
        refused(stage, replace(request, body=flipped(request.body, bit)))
    for body in (request.body[:-1], request.body + b" ", request.body * 2, b""):
        refused(stage, replace(request, body=body))


@pytest.mark.parametrize("name", SIGNING)
def test_every_flipped_bit_of_what_signs_it_is_refused(name: str) -> None:
    """In each header that takes part, and without any one of them."""
    stage, request = signed(name)
    headers = kit(name).signed
    assert headers, "a platform with webhooks signs them"
    for header in headers:
        good = request.headers[header].encode("latin-1")
        for bit in range(len(good) * 8):
            other = {**request.headers, header: flipped(good, bit).decode("latin-1")}
            refused(stage, replace(request, headers=other))
        others = {key: value for key, value in request.headers.items() if key != header}
        refused(stage, replace(request, headers=others))


def cases() -> list[Any]:
    """Return every vector of every platform that has some."""
    out = []
    for name in SIGNING:
        found = find_kit(name)
        if found is None or found.vectors is None:
            continue
        told = json.loads((VECTORS / f"{found.vectors}.json").read_text(encoding="utf-8"))
        out += [pytest.param(name, case, id=f"{name}: {case['name']}") for case in told["cases"]]
    return out


@pytest.mark.parametrize(("name", "case"), cases())
def test_every_vector_is_judged_as_it_says(name: str, case: Mapping[str, Any]) -> None:
    """Published and derived ones: accepted, refused, or no secret at all."""
    found = kit(name)
    assert found.vector is not None
    given = found.vector(case)
    if given is None:
        ping = WebhookRequest({"content-type": case["content_type"]}, case["body"].encode())
        assert configured(name, found).is_ping(ping)
        return
    changes, request = given
    match case["expect"]:
        case "accept" | "accept_signature_no_second_effect":
            configured(name, found, **changes).verify(request)
        case "accept_signature_reject_payload":
            configured(name, found, **changes).verify(request)
            with pytest.raises(PayloadInvalid):
                configured(name, found).read(request)
        case "reject":
            with pytest.raises(SignatureInvalid):
                configured(name, found, **changes).verify(request)
        case "config_error":
            # A channel may do without webhooks; then nothing is believed.
            with pytest.raises((ConfigInvalid, SignatureInvalid)):
                configured(name, found, **changes).verify(request)
        case other:
            pytest.fail(f"unknown expectation {other}")


def test_every_file_of_vectors_is_judged() -> None:
    """None lies about that no connector is held against."""
    held = {found.vectors for found in map(find_kit, NAMES) if found is not None}
    assert {path.stem for path in VECTORS.glob("*.json")} == held - {None}


def test_every_list_of_cases_is_judged_or_exempt() -> None:
    """A file may hold more than one: each has a judge, or a reason that says why not."""
    unjudged = {
        f"{path.stem}: {key}"
        for path in VECTORS.glob("*.json")
        for key, told in json.loads(path.read_text(encoding="utf-8")).items()
        if isinstance(told, list | dict) and told and key != "cases" and not _exempt(path.stem, key)
    }
    assert unjudged == set()


def _exempt(file: str, key: str) -> bool:
    """Answer whether a kit that is held against a file says why not against this part of it."""
    kits = [found for found in map(find_kit, NAMES) if found is not None and found.vectors == file]
    return any(len(found.vectors_exempt.get(key, "")) > 20 for found in kits)


def test_the_vectors_are_those_that_lie_outside(shared: Any) -> None:
    """The copies in this repository are the published ones, byte for byte, and all of them."""
    outside = {path.name: path.read_bytes() for path in (shared / "vectors").glob("*.json")}
    assert outside == {path.name: path.read_bytes() for path in VECTORS.glob("*.json")}


@pytest.mark.parametrize("name", SILENT)
def test_a_platform_without_webhooks_believes_nothing(name: str) -> None:
    """Whatever comes is not from it: refused, no ping, and never read."""
    connector = configured(name, kit(name))
    for headers in ({}, {"webhook-signature": "v1,x"}):
        request = WebhookRequest(headers, b"{}")
        with pytest.raises(SignatureInvalid):
            connector.verify(request)
        assert not connector.is_ping(request)
        with pytest.raises(PayloadInvalid):
            connector.read(request)


def test_some_sign_and_some_are_silent() -> None:
    """Both sorts are in this suite: neither half of it is empty."""
    assert SIGNING
    assert SILENT
