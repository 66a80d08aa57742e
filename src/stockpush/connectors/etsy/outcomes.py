"""How the lines of a push end, by what became of the requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from stockpush.connectors.base import Answer, PushLine, PushOutcome
from stockpush.connectors.etsy.reading import CLOSED
from stockpush.connectors.etsy.wire import fault
from stockpush.connectors.outcomes import rejected
from stockpush.errors import (
    ChannelError,
    OutcomeUnknown,
    PayloadInvalid,
    PushRejected,
)
from stockpush.model import PushOutcomeKind as Kind

Outcomes = dict[str, PushOutcome]
"""By field key."""

PARENTHESES = " Etsy takes no parentheses in the values of variations: rename them there."


class Broken(Exception):
    """The listing's work stops here: `outcomes` are those of the lines that were being written.

    `stops`: the work on every other one does, too.
    """

    def __init__(self, outcomes: Outcomes, error: ChannelError, *, stops: bool = True) -> None:
        super().__init__(error.message)
        self.outcomes = outcomes
        self.error = error
        self.stops = stops


@dataclass(frozen=True, slots=True)
class Gap:
    """From when a sale may be missing in what was read, to when the write was answered: by Etsy's
    clock, None where it told none.
    """

    begin: datetime | None
    end: datetime | None = None

    @classmethod
    def since(cls, read: Answer) -> Gap:
        """Return the gap that begins when a read was sent."""
        return cls(None if read.date is None else read.date - timedelta(seconds=read.took_s))

    def until(self, written: Answer) -> Gap:
        """Return the gap that ends with the answer to a write."""
        return Gap(self.begin, written.date)


def of(lines: Iterable[PushLine], outcome: PushOutcome) -> Outcomes:
    """Return one outcome for all of the lines."""
    return {line.field.key: outcome for line in lines}


def applied(line: PushLine, gap: Gap, *, remark: str | None = None) -> PushOutcome:
    """Return that a line was written; `remark` is what else a person should look at."""
    return PushOutcome(
        Kind.APPLIED,
        actual=line.target,
        error=None if remark is None else PushRejected(remark),
        gap_from=gap.begin,
        gap_until=gap.end,
        date=gap.end,
    )


@contextmanager
def half_way(lines: Sequence[PushLine], gap: Gap) -> Iterator[None]:
    """Let whatever goes wrong inside leave the lines unknown: a write before it has been taken.

    What became of that one a reading will tell.
    """
    try:
        yield
    except Broken as broken:
        left = {
            key: each if each.kind is Kind.UNKNOWN else _half_done(broken.error, gap)
            for key, each in broken.outcomes.items()
        }
        raise Broken(left, broken.error, stops=broken.stops) from broken
    except ChannelError as error:
        # One listing's odd answer must not keep the others from being written.
        stops = not isinstance(error, PayloadInvalid)
        raise Broken(of(lines, _half_done(error, gap)), error, stops=stops) from error


def _half_done(error: ChannelError, gap: Gap) -> PushOutcome:
    """Return that a listing's first write was taken, and the next one not sent."""
    message = f"Etsy took the first of two writes, and not the second: {error.message}"
    return unknown(message, None, gap)


def beside(done: Mapping[str, PushOutcome], written: Mapping[str, PushOutcome]) -> Outcomes:
    """Return the outcomes of a document's other lines, those that held their target already.

    They were written along with it, so the gap of that write is theirs too, and what it left
    unknown is unknown of them (R10). Where nothing was written, or nothing told, they stay as
    they are.
    """
    sent = [each for each in written.values() if each.kind in (Kind.APPLIED, Kind.UNKNOWN)]
    if not sent:
        return dict(done)
    (first, *_) = sent
    told = {
        key: replace(
            each, gap_from=first.gap_from, gap_until=first.gap_until, date=first.date or each.date
        )
        for key, each in done.items()
        if each.kind is Kind.UNCHANGED
    }
    if first.kind is Kind.UNKNOWN and first.gap_until is None:
        told = {
            key: replace(each, kind=Kind.UNKNOWN, actual=None, error=first.error)
            for key, each in told.items()
        }
    return {**done, **told}


def closed(outcomes: Outcomes) -> Outcomes:
    """Return the outcomes of a listing that the access may not write, though it writes others."""
    refused = rejected(CLOSED, None, found=403)
    return {
        key: refused if each.kind is Kind.AUTH_FAILED else each for key, each in outcomes.items()
    }


def unknown(message: str, actual: int | None, gap: Gap) -> PushOutcome:
    """Return that Etsy answered a write, and not with what it was sent."""
    return PushOutcome(
        Kind.UNKNOWN,
        actual=actual,
        error=OutcomeUnknown(message, answered=True),
        gap_from=gap.begin,
        gap_until=gap.end,
        date=gap.end,
    )


def unchanged(number: int, date: datetime | None) -> PushOutcome:
    """Return that a line holds its target already."""
    return PushOutcome(Kind.UNCHANGED, actual=number, date=date)


def conflict(number: int, date: datetime | None) -> PushOutcome:
    """Return that a line, or another one of its listing, holds another number than expected."""
    return PushOutcome(Kind.CONFLICT, actual=number, date=date)


def refused(answer: Answer, *, what: str, hint: str = "") -> PushOutcome:
    """Return what Etsy's refusal of a write means for its lines."""
    told = fault(answer) or f"status {answer.status}"
    return rejected(f"Etsy refused {what}: {told}.{hint}", answer.date, found=answer.status)
