"""The push: read, compare with what we expect, write, compare with what was asked.

Theory of operation. There is no compare-and-set, so the batch's variants are read first and those
that hold another `on_hand` than expected are conflicts and *not* written. The rest goes out in one
PATCH, by variant id: by SKU, two variants that share one would refuse the whole batch.

The answer, whichever 2xx it has, is the map of what was saved. A line is applied if it is there
with its target; one that is missing, or holds something else, is unknown and will be read. (Whether
Faire leaves an unknown variant out or answers 400 is not verified: both are met.) A refusal, 400 or
404 by the API itself, names no line, so the batch is taken apart by halves until the culprit stands
alone.

Outcomes are per line. An accident stops the work: lines in the broken write are unknown if it may
have been applied, lines not sent yet are due again, lines settled before keep their outcome. A
call that is repeated reads again, so it never writes over what it does not expect; the number is
absolute, so writing it twice is writing it once.

Two writes are at least a second apart, because Faire answers 429 to the third or fourth in a row:
a write costs the whole burst of the manifest's rate.
Source: Faire's OpenAPI 3.0.3 (UpdateOnHandInventoryRequestV2); live-call notes of 2026-06 and 08;
conflict protocol, R6 and R11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stockpush.connectors.answers import is_done
from stockpush.connectors.base import Answer, Api, Moment, PushLine, PushOutcome
from stockpush.connectors.faire.variants import GONE, NO_NUMBER, PATH, Held, Page, held, read_page
from stockpush.connectors.faire.wire import ROOT, Variants, fault, page_error
from stockpush.connectors.outcomes import checked, gone, rejected, unanswered, unsent
from stockpush.connectors.payload import decode
from stockpush.errors import (
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
)
from stockpush.model import PushOutcomeKind

WRITE_COST = 2.0
"""What a write takes of the manifest's 2 a second: as much as its burst holds."""
CALLS_MAX = 16
"""Most writes for one batch; what is unsettled then is due again. 8 find one culprit in 100."""
GAP_MAX_S = 30.0
"""How long after the reading was sent a write may be sent, the machine's sleep included. All
calls of a batch fit into it.
"""
REFUSALS = frozenset({400, 404, 409, 422})
"""Statuses by which the API itself says that some line cannot be written."""
SHARED_SKU = (
    "Faire says that several variants have one SKU: give each its own in Faire, then resync."
)


@dataclass(slots=True)
class _Work:
    """What is left to do for one batch: `groups` of variants still to be sent."""

    lines: Mapping[str, PushLine]
    until: Moment | None = None
    groups: list[list[str]] = field(default_factory=list)
    outcomes: dict[str, PushOutcome] = field(default_factory=dict)

    def settle(self, ids: Sequence[str], outcome: PushOutcome) -> None:
        self.outcomes.update((each, outcome) for each in ids)

    def abandon(self, error: ChannelError) -> None:
        """Settle the lines that are not sent any more, because of `error`."""
        for group in self.groups:
            self.settle(group, unsent(error))
        self.groups.clear()


async def push(api: Api, batch: Sequence[PushLine]) -> tuple[PushOutcome, ...]:
    """Check and set each line; one outcome per line, in order. Raises no `ChannelError`."""
    work = _Work({line.field.key: line for line in batch})
    try:
        page = await read_page(api, list(work.lines))
    except ChannelError as error:
        return (unsent(error),) * len(batch)
    work.until = None if page.asked is None else page.asked.plus(GAP_MAX_S)
    to_write = []
    for key, line in work.lines.items():
        checked = _check(page, key, line)
        if checked is None:
            to_write.append(key)
        else:
            work.outcomes[key] = checked
    work.groups = [to_write] if to_write else []
    for _ in range(CALLS_MAX):
        if not work.groups:
            break
        await _write(api, work, work.groups.pop())
    work.abandon(ChannelUnavailable("Faire refused the batch too often."))
    return tuple(work.outcomes[line.field.key] for line in batch)


def _check(page: Page, key: str, line: PushLine) -> PushOutcome | None:
    """Return a line's outcome if it need not or must not be written, else None."""
    found = page.held[key]
    if found.problem == GONE:
        return gone(GONE, page.date)
    if found.on_hand is None:
        return rejected(found.problem or NO_NUMBER, page.date)
    return checked(line, found.on_hand, page.date)


async def _write(api: Api, work: _Work, group: list[str]) -> None:
    """Send one write and note what became of its lines, or put them back to be sent apart."""
    try:
        answer = await api.send(
            "PATCH",
            ROOT + PATH,
            write=True,
            headers={"content-type": "application/json"},
            body=_body(work, group),
            cost=WRITE_COST,
            until=work.until,
        )
        error = _accident(answer)
    except ChannelError as caught:
        error = caught
    if error is not None:
        work.settle(group, unanswered(error))
        work.abandon(error)
    elif is_done(answer):
        saved = _saved(answer)
        for key in group:
            work.outcomes[key] = _settled(saved.get(key), work.lines[key], answer)
    elif len(group) > 1:
        middle = len(group) // 2
        work.groups += [group[middle:], group[:middle]]
    else:
        work.settle(group, _refusal(answer))


def _body(work: _Work, group: Sequence[str]) -> bytes:
    entries = [
        {"product_variant_id": key, "on_hand_quantity": work.lines[key].target} for key in group
    ]
    return json.dumps({"inventories": entries}, separators=(",", ":")).encode("ascii")


def _accident(answer: Answer) -> ChannelError | None:
    """Return the error of an answer that says nothing of the lines, None if it does."""
    if answer.status == 408:
        return OutcomeUnknown("Faire gave the write up half-way (408).", found=408)
    if is_done(answer):
        if answer.is_page:
            return OutcomeUnknown("Faire answered the write with a page.", answered=True)
        return None
    if answer.is_page:
        return page_error(answer)
    if answer.status in REFUSALS:
        return None
    return ChannelUnavailable(
        f"Faire answered the write with {answer.status}: {fault(answer)}", found=answer.status
    )


def _saved(answer: Answer) -> dict[str, Held]:
    """Return what was saved by id; none where the answer cannot be read."""
    try:
        found = decode(answer.body, Variants, what="saved map").inventories
    except PayloadInvalid:
        return {}
    return {key: held(raw) for key, raw in found.items()}


def _settled(saved: Held | None, line: PushLine, answer: Answer) -> PushOutcome:
    """Return the outcome of a line whose write was taken (2xx)."""
    if saved is not None and saved.on_hand == line.target:
        return PushOutcome(PushOutcomeKind.APPLIED, actual=saved.on_hand, date=answer.date)
    words = (
        "Faire's answer to the write does not name the variant."
        if saved is None
        else "Faire answered with another quantity than it was sent."
    )
    return PushOutcome(
        PushOutcomeKind.UNKNOWN,
        actual=None if saved is None else saved.on_hand,
        error=OutcomeUnknown(words, answered=True),
        date=answer.date,
    )


def _refusal(answer: Answer) -> PushOutcome:
    """Return the outcome of a line that the API refuses by itself."""
    words = fault(answer)
    reason = SHARED_SKU if "multiple product variation" in words.lower() else None
    return rejected(reason or f"Faire refused the quantity: {words}", answer.date, found=words)
