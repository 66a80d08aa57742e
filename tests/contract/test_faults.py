"""Every error answer that is known of a platform has its class, to a read and to a write."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from stockpush import errors
from stockpush.errors import ChannelError, ChannelUnavailable, OutcomeUnknown
from stockpush.model import PushOutcomeKind as Kind
from stockpush.sim.shops.base import ConnectionDropped, ShopAnswer
from tests.contract.kit import ERRORS, NAMES, SAMPLES, kit
from tests.contract.stage import HAS, answered, observe, offered, poll, push, truth
from tests.hostile.judging import run

SURE = {Kind.UNAVAILABLE, Kind.RATE_LIMITED, Kind.AUTH_FAILED, Kind.REJECTED, Kind.GONE}
"""Outcomes that say that nothing was written."""


def sampled(name: str) -> list[Mapping[str, Any]]:
    """Return a platform's sampled error answers."""
    told = tomllib.loads((SAMPLES / name / ERRORS).read_text(encoding="utf-8"))
    rows: list[Mapping[str, Any]] = told["answer"]
    return rows


def cases(act: str) -> list[Any]:
    """Return every sampled answer that has a class for an act (read, write)."""
    return [
        pytest.param(name, row, id=f"{name}: {row['status']} {row['told']}")
        for name in NAMES
        if (SAMPLES / name / ERRORS).is_file()
        for row in sampled(name)
        if act in row
    ]


def answer(row: Mapping[str, Any]) -> ShopAnswer:
    """Return the answer as the shop gives it."""
    return ShopAnswer(row["status"], row.get("headers", {}), row["body"].encode())


@pytest.mark.parametrize("name", NAMES)
def test_the_common_faults_are_sampled(name: str) -> None:
    """At least: refused credentials, told to wait, not there, an accident, and a page."""
    rows = sampled(name)
    assert {401, 429, 404, 500, 200} <= {row["status"] for row in rows}
    assert {"AuthFailed", "RateLimited", "ChannelUnavailable", "PayloadInvalid"} <= {
        row.get("read") for row in rows
    }
    assert {"auth_failed", "rate_limited", "unavailable", "unknown"} <= {
        row.get("write") for row in rows
    }


@pytest.mark.parametrize(("name", "row"), cases("read"))
def test_a_read_names_the_fault(name: str, row: Mapping[str, Any]) -> None:
    """A poll raises it, so that it is never taken for a complete one."""
    stage = kit(name).open()
    answered(stage, answer(row))
    with pytest.raises(ChannelError) as caught:
        run(poll(stage))
    assert type(caught.value) is getattr(errors, row["read"])
    if row["read"] == "RateLimited":
        assert caught.value.retry_after_s > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [200, 403, 404, 410])
def test_nobody_else_s_page_lets_go_of_an_order(name: str, status: int) -> None:
    """Whatever a page for people says, an order that is there is not taken for cancelled."""
    found = kit(name)
    stage = found.open()
    (sold,) = run(offered(found, stage))
    order = stage.shop.checkout([(sold.name, 1)])
    answered(stage, ShopAnswer(status, {"content-type": "text/html"}, b"<html>404</html>"))
    for _ in range(2):
        with pytest.raises(ChannelError):
            run(stage.connector.fetch_order(stage.api, order, fetch=1))


@pytest.mark.parametrize(("name", "row"), cases("write"))
def test_a_write_names_the_fault(name: str, row: Mapping[str, Any]) -> None:
    """Nothing is raised; the write is sent once, and what may have been applied is unknown."""
    found = kit(name)
    stage = found.open()
    given = run(offered(found, stage))
    struck = answered(stage, answer(row), to=found.is_write)
    (told,) = run(push(stage, given, target=3))
    assert told.kind is Kind(row["write"])
    assert len(struck) == 1 or told.kind in SURE
    assert truth(stage, given) == [HAS]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("applied", [False, True])
def test_a_connection_that_breaks_is_told_from_an_answer(name: str, applied: bool) -> None:
    """A read is unavailable; a write may have been applied."""
    found = kit(name)
    stage = found.open()
    given = run(offered(found, stage))
    dropped = ConnectionDropped(applied=applied)
    answered(stage, dropped, to=found.is_write)
    (told,) = run(push(stage, given, target=3))
    assert told.kind is Kind.UNKNOWN
    assert isinstance(told.error, OutcomeUnknown)
    answered(stage, dropped)
    with pytest.raises(ChannelUnavailable):
        run(observe(stage, given))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("applied", [False, True])
def test_a_fault_is_every_lines_own(name: str, applied: bool) -> None:
    """One outcome for each line, whatever struck the call that it went out with."""
    found = kit(name)
    stage = found.open()
    given = run(offered(found, stage, 3))
    answered(stage, ConnectionDropped(applied=applied), to=found.is_write)
    outcomes = run(push(stage, given, target=3))
    assert len(outcomes) == 3
    assert {each.kind for each in outcomes} <= {Kind.UNKNOWN, Kind.UNAVAILABLE}
    assert outcomes[0].kind is Kind.UNKNOWN or outcomes[-1].kind is Kind.UNKNOWN
