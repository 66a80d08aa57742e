"""The push: read, compare with what we expect, write, compare with what was asked.

Theory of operation. There is no compare-and-set, so every route's fields are read and written
back to back, which keeps the gap small in which a sale can be overwritten; the outcome states
that gap by the shop's clock, for R10. A number other than the one we expect is a conflict and is
*not* written, also when it happens to be the target: an unseen sale looks the same. Products go
by one request, the variations of each parent by one more: a plain update for one field, a batch
for several. A batch is a loop in the shop, not a transaction: each item answers for itself. Where
too much time has passed since the reading (`GAP_MAX_S`; the wait for the rate limit, a machine that
slept) nothing is written, and the lines are due again, which reads anew.

The answer to a write is the object as saved. Only if it shows the target is the write applied; a
shop that dropped the quantity, or another number, is unknown and will be read.

Outcomes are per line. An accident stops the work: lines in the broken write are unknown if it may
have been applied, lines not sent yet are due again, lines settled before keep their outcome. A
call that is repeated reads again, so it never writes over what it does not expect.
Source: REST v3 products, product variations and their batches; conflict protocol, R6 and R10.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from stockpush.connectors.answers import is_done
from stockpush.connectors.base import Answer, Api, Moment, PushLine, PushOutcome
from stockpush.connectors.outcomes import checked, gone, rejected, unanswered, unsent
from stockpush.connectors.payload import decode
from stockpush.connectors.woocommerce.owners import (
    GONE,
    NOT_WHOLE,
    ROOT,
    Page,
    Ref,
    by_route,
    parse,
    quantity,
    read_page,
    unreadable,
)
from stockpush.connectors.woocommerce.wire import Fault, Product, fault_code, is_gone, unexpected
from stockpush.errors import (
    ChannelError,
    OutcomeUnknown,
    PayloadInvalid,
)
from stockpush.model import PushOutcomeKind

GAP_MAX_S = 10.0
"""How long after its reading was sent a write may be sent. Within it a sale is overwritten without
anybody noticing, so it is short; a shop that takes longer to answer a reading is not written to.
"""

Outcomes = dict[Ref, PushOutcome]


class _Item(Product, frozen=True):
    """One item of a batch's answer: the saved object, or its id and an error."""

    error: Fault | None = None


class _Batch(msgspec.Struct, frozen=True):
    update: tuple[_Item, ...]


@dataclass(frozen=True, slots=True)
class _Gap:
    """From sending the read to the answer to the write, by the shop's clock: a sale that falls into
    it may be overwritten.
    """

    begin: datetime | None
    end: datetime | None


async def push(api: Api, batch: Sequence[PushLine]) -> tuple[PushOutcome, ...]:
    """Check and set each line; one outcome per line, in order. Raises no `ChannelError`."""
    lines = {parse(line.field.key): line for line in batch}
    outcomes: Outcomes = {}
    for parent, refs in by_route(lines).items():
        try:
            await _push_route(api, parent, [(ref, lines[ref]) for ref in refs], outcomes)
        except ChannelError as error:
            not_sent = unsent(error)
            outcomes = {ref: outcomes.get(ref, not_sent) for ref in lines}
            break
    return tuple(outcomes[parse(line.field.key)] for line in batch)


async def _push_route(
    api: Api, parent: int, lines: Sequence[tuple[Ref, PushLine]], outcomes: Outcomes
) -> None:
    """Read the lines of one route and write those that may be written, noting each outcome.

    Raises the `ChannelError` that stops the work, once it has noted what it knows.
    """
    try:
        page = await read_page(api, parent, [ref.object_id for ref, _ in lines])
    except PayloadInvalid as error:
        # One parent's odd answer must not keep the other routes from being written.
        outcomes.update((ref, unsent(error)) for ref, _ in lines)
        return
    to_write = []
    for ref, line in lines:
        checked = _check(page, ref, line)
        if checked is None:
            to_write.append((ref, line))
        else:
            outcomes[ref] = checked
    if to_write:
        until = None if page.asked is None else page.asked.plus(GAP_MAX_S)
        await _write(api, parent, to_write, page.sent, until, outcomes)


def _check(page: Page, ref: Ref, line: PushLine) -> PushOutcome | None:
    """Return a line's outcome if it need not or must not be written, else None."""
    product = page.products.get(ref.object_id)
    if product is None:
        return gone(GONE, page.date)
    actual = quantity(product)
    if actual is None:
        return rejected(unreadable(product) or NOT_WHOLE, page.date)
    return checked(line, actual, page.date)


async def _write(
    api: Api,
    parent: int,
    lines: Sequence[tuple[Ref, PushLine]],
    read_at: datetime | None,
    until: Moment | None,
    outcomes: Outcomes,
) -> None:
    """Send the one write of a route and note what became of its lines.

    Raises what stops the work: nobody should write to a shop that has just failed.
    """
    method, path, body = _request(parent, lines)
    try:
        answer = await api.send(
            method,
            path,
            write=True,
            headers={"content-type": "application/json"},
            body=json.dumps(body, separators=(",", ":")).encode("ascii"),
            until=until,
        )
        if answer.status in (404, 408) and not is_gone(answer):
            raise _no_answer(answer)
    except ChannelError as error:
        outcome = unanswered(error, gap_from=read_at)
        outcomes.update((ref, outcome) for ref, _ in lines)
        raise
    gap = _Gap(read_at, answer.date)
    if is_done(answer):
        saved = _saved(answer, single=len(lines) == 1)
        outcomes.update((ref, _settled(saved.get(ref.object_id), line, gap)) for ref, line in lines)
    else:
        refused = _refusal(fault_code(answer.body) or f"status {answer.status}", answer.date)
        outcomes.update((ref, refused) for ref, _ in lines)


def _request(parent: int, lines: Sequence[tuple[Ref, PushLine]]) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and body of the write: an update for one line, a batch for several.

    `manage_stock` goes along, because a quantity without it may be dropped with a 200.
    """
    path = f"{ROOT}/products/{parent}/variations" if parent else f"{ROOT}/products"
    items = [
        (ref.object_id, {"manage_stock": True, "stock_quantity": line.target})
        for ref, line in lines
    ]
    if len(items) == 1:
        object_id, fields = items[0]
        return "PUT", f"{path}/{object_id}", fields
    update = [{"id": object_id, **fields} for object_id, fields in items]
    return "POST", f"{path}/batch", {"update": update}


def _no_answer(answer: Answer) -> ChannelError:
    """Return the error of a write whose 404 or 408 did not come from the platform itself."""
    if answer.status == 408:
        return OutcomeUnknown("The shop's server gave the write up half-way (408).", found=408)
    return unexpected(answer, "write")


def _saved(answer: Answer, *, single: bool) -> dict[int, _Item]:
    """Return the saved objects by id; none where the answer cannot be read."""
    try:
        if single:
            items: tuple[_Item, ...] = (decode(answer.body, _Item, what="saved product"),)
        else:
            items = decode(answer.body, _Batch, what="saved batch").update
    except PayloadInvalid:
        return {}
    return {item.id: item for item in items}


def _settled(saved: _Item | None, line: PushLine, gap: _Gap) -> PushOutcome:
    """Return the outcome of a line whose write was taken (2xx)."""
    if saved is None:
        return _unknown("The shop's answer to the write cannot be read.", None, gap)
    if saved.error is not None:
        return _refusal(saved.error.code, gap.end)
    actual = quantity(saved)
    if actual != line.target:
        return _unknown("The shop answered with another quantity than it was sent.", actual, gap)
    return PushOutcome(
        PushOutcomeKind.APPLIED,
        actual=actual,
        gap_from=gap.begin,
        gap_until=gap.end,
        date=gap.end,
    )


def _refusal(code: str, date: datetime | None) -> PushOutcome:
    if code.endswith("_invalid_id"):
        return gone(GONE, date)
    return rejected(f"WooCommerce refused the quantity ({code}).", date, found=code)


def _unknown(message: str, actual: int | None, gap: _Gap) -> PushOutcome:
    return PushOutcome(
        PushOutcomeKind.UNKNOWN,
        actual=actual,
        error=OutcomeUnknown(message, answered=True),
        gap_from=gap.begin,
        gap_until=gap.end,
        date=gap.end,
    )
