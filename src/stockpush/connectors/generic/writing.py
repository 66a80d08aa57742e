"""The push: read, compare with what we expect, write one by one, compare with what was asked.

Theory of operation. The batch's products are read in one request; one that holds another number
than expected is a conflict and is not written. Each of the others is one PUT that carries the
expected number too. A shop that compares answers 409 with the number it has, and says `compared` in
its answer otherwise: then nothing can have been overwritten. In a shop that does not, whoever buys
between the reading and the write is: once an answer has said so, each further product is read again
right before its own write, and the outcome states that gap, for R10. An answer that says nothing of
it (a refusal, one that cannot be read) leaves what was known; 204, which has no body, says no.

Every write is signed over its method, path and body, whatever stands between us and the shop. An
accident stops the work: the line in the broken write is unknown if it may have been applied, lines
not sent yet are due again. A call that is repeated reads again.
Source: docs/channels/generic.md; conflict protocol, R6 and R10.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

from stockpush.connectors.answers import is_done
from stockpush.connectors.base import Answer, Api, Moment, PushLine, PushOutcome
from stockpush.connectors.generic.products import GONE, NOT_TRACKED, PATH, Page, read_page
from stockpush.connectors.generic.wire import Saved, Stale, fault, is_gone
from stockpush.connectors.outcomes import checked, gone, rejected, unanswered, unsent
from stockpush.connectors.payload import decode
from stockpush.errors import (
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
)
from stockpush.model import PushOutcomeKind

SIGNATURE = "stockpush-signature"
NO_CONTENT = 204


async def push(
    api: Api, batch: Sequence[PushLine], *, call_id: str, key: bytes
) -> tuple[PushOutcome, ...]:
    """Check and set each line; one outcome per line, in order. Raises no `ChannelError`."""
    try:
        first = await read_page(api, [line.field.key for line in batch])
    except ChannelError as error:
        return (unsent(error),) * len(batch)
    outcomes: list[PushOutcome] = []
    stopped: ChannelError | None = None
    compares: bool | None = None  # nobody knows before the first answer
    for line in batch:
        page = first
        if compares is False and stopped is None:
            try:
                page = await read_page(api, [line.field.key])
            except ChannelError as error:
                stopped = error
        outcome = _check(page, line)
        if outcome is None and stopped is not None:
            outcome = unsent(stopped)
        if outcome is None:
            try:
                until = None if compares else page.until
                answer = await _send(api, line, call_id=call_id, key=key, until=until)
            except ChannelError as error:
                stopped = error
                outcome = unanswered(error, gap_from=page.sent)
            else:
                outcome, compared = _settled(answer, line, page)
                compares = compares if compared is None else compared
        outcomes.append(outcome)
    return tuple(outcomes)


def sign(key: bytes, method: str, path: str, body: bytes) -> str:
    """Return the signature of a write: `v1,` and base64 of HMAC-SHA256 over what is sent.

    >>> sign(b"k", "PUT", "/quantities/a", b"{}")
    'v1,xKdL1Gart+EW0uk5Asxg+91LmCA8btdzeFOwZpDEknE='
    """
    content = f"{method} {path}\n".encode("ascii") + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _check(page: Page, line: PushLine) -> PushOutcome | None:
    """Return a line's outcome if it need not or must not be written, else None."""
    key = line.field.key
    if key not in page.numbers:
        return gone(GONE, page.date)
    actual = page.numbers[key]
    if actual is None:
        return rejected(NOT_TRACKED, page.date)
    return checked(line, actual, page.date)


async def _send(
    api: Api, line: PushLine, *, call_id: str, key: bytes, until: Moment | None
) -> Answer:
    """Send one write. Raises what stops the work: an answer that is not the shop's own, too."""
    path = f"{PATH}/{line.field.key}"
    fields = {"expected": line.expected, "quantity": line.target, "call": call_id}
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")
    answer = await api.send(
        "PUT",
        path,
        write=True,
        headers={"content-type": "application/json", SIGNATURE: sign(key, "PUT", path, body)},
        body=body,
        until=until,
    )
    if answer.status == 408:
        raise OutcomeUnknown("The shop gave the write up half-way (408).", found=408)
    own = is_done(answer) or answer.status in {400, 409, 422} or is_gone(answer)
    if is_done(answer) and answer.is_page:
        raise OutcomeUnknown("The shop answered the write with a page.", answered=True)
    if not own or answer.is_page:
        raise ChannelUnavailable(
            f"The shop answered the write with {answer.status}: {fault(answer)}",
            found=answer.status,
        )
    return answer


def _settled(answer: Answer, line: PushLine, page: Page) -> tuple[PushOutcome, bool | None]:
    """Return the outcome of a line that the shop itself answered, and whether it compared (None:
    that does not say).
    """
    if is_done(answer):
        return _taken(answer, line, page)
    match answer.status:
        case 409:
            lost = PushOutcome(PushOutcomeKind.CONFLICT, actual=_actual(answer), date=answer.date)
            return lost, True
        case 404:
            return gone(GONE, answer.date), None
        case _:
            refused = f"The shop refused the quantity: {fault(answer)}"
            return rejected(refused, answer.date), None


def _taken(answer: Answer, line: PushLine, page: Page) -> tuple[PushOutcome, bool | None]:
    """Return the outcome of a line whose write was taken (2xx), and whether the shop compared."""
    try:
        saved = _saved(answer, line)
    except PayloadInvalid as error:
        unread = PushOutcome(
            PushOutcomeKind.UNKNOWN,
            error=OutcomeUnknown(error.message, answered=True),
            gap_from=page.sent,
            gap_until=answer.date,
            date=answer.date,
        )
        return unread, None
    same = saved.quantity == line.target
    other = OutcomeUnknown("The shop answered with another quantity.", answered=True)
    outcome = PushOutcome(
        PushOutcomeKind.APPLIED if same else PushOutcomeKind.UNKNOWN,
        saved.quantity,
        error=None if same else other,
        gap_from=None if saved.compared else page.sent,
        gap_until=None if saved.compared else answer.date,
        date=answer.date,
    )
    return outcome, saved.compared


def _saved(answer: Answer, line: PushLine) -> Saved:
    """Return what was saved. No content is what was sent, with nothing said of comparing."""
    if answer.status == NO_CONTENT and not answer.body:
        return Saved(line.target)
    return decode(answer.body, Saved, what="saved quantity")


def _actual(answer: Answer) -> int | None:
    """Return the number that the shop has instead, None if it does not say."""
    try:
        return decode(answer.body, Stale, what="conflict").actual
    except PayloadInvalid:
        return None
