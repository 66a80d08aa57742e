"""Instants as people write them: `2026-11-22 10:00`, a date, and of the past `-2h`.

Without a zone an instant is in the asker's. A date is its end, so that the whole day is looked at,
or has its lot sold, or its units held; asked about the past, today's is now.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, NoReturn

from stockpush.errors import UsageError

TEXT_LENGTH_MAX: Final = 64
"""Longest text that is read as an instant."""
EXPECTED: Final = (
    "an instant such as 2026-11-22T10:00 or 2026-11-22T10:00:00+01:00, "
    "a date such as 2026-11-22 (its end), or how long ago, such as -2h, -90m or -3d"
)
EXPECTED_SINCE: Final = EXPECTED.replace("(its end)", "(its beginning)")
"""What `parse_instant` takes where a date is its beginning."""
YEAR_MIN: Final = 1970
"""Earliest year of an instant: nothing was sold with this program before it."""
DAY_OR_INSTANT: Final = "a day such as 2027-03-01, or an instant such as 2027-03-01T18:00+01:00"
"""What `read_when` takes, where a day is as good as an instant."""
_BEFORE_THE_END: Final = f"a day before {date.max}, with which the calendar ends"
_AGO = re.compile(r"-?\s*(?P<count>[0-9]{1,9})\s*(?P<unit>s|min|m|h|d|w)(\s+ago)?", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].+")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_instant(
    text: str,
    *,
    now: datetime,
    zone: tzinfo | None,
    field: str,
    next: str,
    since: bool = False,
) -> datetime:
    """Return the instant that `text` names, at most `now`.

    `zone` is that of instants without one, None for this machine's. `since`: a date is its
    beginning. Raises `UsageError`, naming `field` and the command to type `next`, for anything else
    and for what has not been yet.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> parse_instant("-2h", now=noon, zone=UTC, field="--at", next="").hour
    10
    """
    given = text.strip()
    try:
        at = _read(given, now, zone, since=since) if len(given) <= TEXT_LENGTH_MAX else None
        at = None if at is None else at.astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.year < YEAR_MIN:
        expected = EXPECTED_SINCE if since else EXPECTED
        _refuse(f"{field} is no instant that can be read.", text, expected, field, next)
    if at > now:
        until = now.astimezone(zone).isoformat(timespec="seconds")
        _refuse(
            f"{field} is in the future, and nothing is known of it.",
            text,
            f"an instant up to now, {until}",
            field,
            next,
        )
    return at


def read_when(text: str) -> datetime | date | None:
    """Return the instant, with a zone or without, or the date that was written; None for no such.

    >>> read_when("2026-11-22"), read_when("2026-11-22 10:00"), read_when("20261122")
    (datetime.date(2026, 11, 22), datetime.datetime(2026, 11, 22, 10, 0), None)
    """
    given = text.strip()
    if len(given) > TEXT_LENGTH_MAX:
        return None
    try:
        if _DATE.fullmatch(given):
            return date.fromisoformat(given)
        return datetime.fromisoformat(given) if _DAY_AND_TIME.fullmatch(given) else None
    except ValueError:
        return None


def read_instant(
    text: str, zone: tzinfo | None, *, day: Callable[[date, tzinfo | None], datetime]
) -> datetime | None:
    """Return the instant that was written, of a date what `day` makes of it; None for no such.

    `zone` is that of what has none, None for this machine's.
    """
    when = read_when(text)
    try:
        if isinstance(when, datetime):
            return _placed(when, zone)
        return None if when is None else day(when, zone)
    except (ValueError, OverflowError):  # at the ends of the calendar
        return None


def expected_of(text: str) -> str:
    """Return what was expected instead of a text that is no day or instant to come.

    >>> expected_of("9999-12-31")
    'a day before 9999-12-31, with which the calendar ends'
    """
    when = read_when(text)
    ends = when is not None and when.year == date.max.year
    return _BEFORE_THE_END if ends else DAY_OR_INSTANT


def begin_of(day: date, zone: tzinfo | None) -> datetime:
    """Return the midnight with which a day begins."""
    return _placed(datetime.combine(day, time.min), zone)


def end_of(day: date, zone: tzinfo | None) -> datetime:
    """Return the midnight with which a day ends."""
    return begin_of(day + timedelta(days=1), zone)


def _read(given: str, now: datetime, zone: tzinfo | None, *, since: bool) -> datetime | None:
    if ago := _AGO.fullmatch(given):
        return now - timedelta(seconds=int(ago["count"]) * _SECONDS[ago["unit"].lower()])

    def last_of(day: date, zone: tzinfo | None) -> datetime:
        """Return the last instant of a day; of today, now."""
        if day == now.astimezone(zone).date():
            return now
        return _placed(datetime.combine(day, time.max), zone)

    return read_instant(given, zone, day=begin_of if since else last_of)


def _placed(at: datetime, zone: tzinfo | None) -> datetime:
    """Return the instant in its own zone, or else in `zone`."""
    if at.tzinfo is not None:
        return at
    return at.astimezone() if zone is None else at.replace(tzinfo=zone)


def _refuse(message: str, text: str, expected: str, field: str, next: str) -> NoReturn:
    shown = text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    raise UsageError(message, field=field, found=shown, expected=expected, next=next)
