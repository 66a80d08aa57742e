"""Where stock lies, as people type it: lots, locations, and what is said of a lot that comes in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

import typer

from stockpush.cli.session import one_line
from stockpush.engine.instants import begin_of, end_of, expected_of, read_instant
from stockpush.errors import UsageError
from stockpush.messages import LotTerms
from stockpush.model import Item, LotRule

LotName: TypeAlias = Annotated[
    str | None, typer.Option("--lot", metavar="LOT", help="Of which lot (batch, crate, barrel).")
]
_POOL: Final = typer.Option(
    "--pool", metavar="NAME", help="In which pool of locations, if not in main."
)
PoolName: TypeAlias = Annotated[str, _POOL]
PoolIfAny: TypeAlias = Annotated[str | None, _POOL]
"""For verbs that may name what has its pool already: naming none is another thing than main."""
LocationName: TypeAlias = Annotated[
    str | None,
    typer.Option("--location", metavar="NAME", help="Where it lies, if not at the main place."),
]
Expires: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="DAY", help="The last day on which the lot is sold: 2027-03-01."
    ),
]
AvailableFrom: TypeAlias = Annotated[
    str | None,
    typer.Option("--available-from", metavar="DAY", help="The first day on which the lot is sold."),
]
Cost: TypeAlias = Annotated[
    str | None, typer.Option("--cost", metavar="AMOUNT", help="What was paid for it: 12.50.")
]
Supplier: TypeAlias = Annotated[
    str | None, typer.Option("--supplier", metavar="TEXT", help="Whom it came from.")
]
_COST: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")


def name_of(text: str | None, *, field: str) -> str | None:
    """Return the name of a lot or location as it was typed, None where none was."""
    if text is None:
        return None
    name = one_line(text, field=field)
    if not name:
        raise UsageError(f"{field} is empty.", field=field, expected="a name of your own")
    return name


def terms_of(
    item: Item,
    lot: str | None,
    *,
    expires: str | None,
    available_from: str | None,
    cost: str | None = None,
    supplier: str | None = None,
) -> LotTerms | None:
    """Return what was said of the lot that comes in, None where nothing was.

    Raises `UsageError` for a day of no lot: nobody would look at it.
    """
    for field, given in (("--expires", expires), ("--available-from", available_from)):
        if given is not None and lot is None and item.lots is not LotRule.ALWAYS:
            raise UsageError(
                f"{field} is said of a lot, and no lot is named.",
                field=field,
                found=given,
                expected=f"--lot NAME beside {field}",
                next="the same command with --lot NAME",
            )
    terms = LotTerms(
        expires_at=_instant(expires, field="--expires", after=True),
        available_from=_instant(available_from, field="--available-from", after=False),
        cost=_cost(cost),
        supplier="" if supplier is None else one_line(supplier, field="--supplier"),
    )
    return None if terms == LotTerms() else terms


def last_day(expires_at: datetime) -> str:
    """Return the last day, by local time, on which a lot is sold."""
    return (expires_at - timedelta(microseconds=1)).astimezone().date().isoformat()


def _instant(text: str | None, *, field: str, after: bool) -> datetime | None:
    """Return the local midnight that a day begins with, or (`after`) ends with; or the instant."""
    if text is None:
        return None
    at = read_instant(text, None, day=end_of if after else begin_of)
    if at is None:
        given, expected = text.strip(), expected_of(text)
        raise UsageError(
            f"{field}: found {given!r}, expected {expected}.",
            field=field,
            found=given,
            expected=expected,
        )
    return at.astimezone(UTC)


def _cost(text: str | None) -> str:
    if text is None:
        return ""
    given = text.strip()
    if not _COST.fullmatch(given):
        expected = "an amount such as 12.50, without a currency"
        raise UsageError(
            f"--cost: found {given!r}, expected {expected}.",
            field="--cost",
            found=given,
            expected=expected,
        )
    return given
