"""Instants of the past as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from stockpush.engine.instants import parse_instant
from stockpush.errors import UsageError

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1), "CET")


def read(text: str, zone: timezone = UTC) -> datetime:
    """What a text means at NOW."""
    return parse_instant(text, now=NOW, zone=zone, field="--at", next="stockpush why x --at -2h")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-11-22T10:00", "2026-11-22T10:00:00+00:00"),
        ("2026-11-22 10:00:30", "2026-11-22T10:00:30+00:00"),
        ("2026-11-22T10:00:00.250000", "2026-11-22T10:00:00.250000+00:00"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00+00:00"),
        ("2026-11-22T10:00:00+01:00", "2026-11-22T09:00:00+00:00"),
        (" 2026-11-21 ", "2026-11-21T23:59:59.999999+00:00"),
        ("2026-11-22", "2026-11-22T12:30:00+00:00"),
        ("-2h", "2026-11-22T10:30:00+00:00"),
        ("2h", "2026-11-22T10:30:00+00:00"),
        ("2 H ago", "2026-11-22T10:30:00+00:00"),
        ("-90m", "2026-11-22T11:00:00+00:00"),
        ("90min", "2026-11-22T11:00:00+00:00"),
        ("-3d", "2026-11-19T12:30:00+00:00"),
        ("-1w", "2026-11-15T12:30:00+00:00"),
        ("-15s", "2026-11-22T12:29:45+00:00"),
        ("-0s", "2026-11-22T12:30:00+00:00"),
    ],
)
def test_what_people_write(text: str, means: str) -> None:
    """An instant with or without zone, a date is its end but for today, or how long ago."""
    assert read(text).isoformat() == means


def test_without_a_zone_it_is_that_of_who_asks() -> None:
    """Ten in the morning is ten there; so is the end of a day, and which day is today."""
    assert read("2026-11-22T10:00", BERLIN) == datetime(2026, 11, 22, 9, tzinfo=UTC)
    ended = datetime(2026, 11, 21, 22, 59, 59, 999999, tzinfo=UTC)
    assert read("2026-11-21", BERLIN) == ended
    far = timezone(timedelta(hours=14))
    assert parse_instant("2026-11-23", now=NOW, zone=far, field="at", next="") == NOW


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "yesterday", "10:00", "20261122", "2026-11-22T", "2026-11-31", "2026-13-01",
        "2026-11-22T25:00", "2h30m", "--2h", "2 hours", "1e3s", "-99999999w", "0001-01-01",
        "0001-01-01T00:00+14:00", "1969-12-31T23:59Z", "2026-11-22T10:00:00 01:00", "9" * 65, "٣h",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    """The error names the option, what was found and what is expected, and what to type."""
    with pytest.raises(UsageError, match="no instant that can be read") as refused:
        read(text)
    assert refused.value.field == "--at"
    assert refused.value.expected is not None
    assert "-2h" in refused.value.expected
    assert refused.value.next == "stockpush why x --at -2h"


@pytest.mark.parametrize(
    ("text", "hour"), [("2026-11-22", 0), ("-2h", 10), ("2026-11-22T09:30", 9), ("2026-11-21", 0)]
)
def test_since_a_date_is_since_its_beginning(text: str, hour: int) -> None:
    """Otherwise nothing of that day would be told; a slip says so."""
    at = parse_instant(text, now=NOW, zone=UTC, field="--since", next="x", since=True)
    assert at.hour == hour
    with pytest.raises(UsageError) as refused:
        parse_instant("soon", now=NOW, zone=UTC, field="--since", next="x", since=True)
    assert "(its beginning)" in (refused.value.expected or "")


@pytest.mark.parametrize("text", ["2026-11-22T12:30:01", "2026-11-23", "2026-11-22T12:30:00-01:00"])
def test_what_has_not_been_yet_is_refused(text: str) -> None:
    """The error says until when something is known."""
    with pytest.raises(UsageError, match="in the future") as refused:
        read(text)
    assert refused.value.expected == "an instant up to now, 2026-11-22T12:30:00+00:00"
