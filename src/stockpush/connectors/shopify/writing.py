"""The push: one compare-and-set call for many fields, taken apart where Shopify refuses it.

Theory of operation. `inventorySetQuantities` is all or nothing. Each line sends
`changeFromQuantity` = what we believe, never a fresh read: a lower number there means a sale that
we have not been told of.
The error of a refused call names entries by their index; those lines get their outcome and the
rest is sent again. A refusal that names no entry is narrowed down by halves.

Keys. The batch as given goes out under the call id itself. Whatever is sent after that goes under
a key made from the call id and exactly what is asked, so that the same question always carries
the same key: a call repeated after an unknown outcome meets Shopify's memory of the first one,
whether it is repeated whole or only for the lines that are still unknown. A key that Shopify says
has failed, or belongs to other entries, is followed by the next one of its row.

Outcomes are per line. An accident stops the work: lines that were in the broken call are unknown
if it may have been applied, lines not sent yet are due again, and lines settled before keep
their outcome.
Source: Shopify Admin GraphQL 2026-10, InventorySetQuantitiesUserErrorCode.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from stockpush.connectors.answers import printable
from stockpush.connectors.base import Api, PushLine, PushOutcome
from stockpush.connectors.outcomes import gone, rejected, unanswered, unsent
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid
from stockpush.connectors.shopify.levels import observe
from stockpush.connectors.shopify.operations import SET_QUANTITIES
from stockpush.errors import (
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PushRejected,
)
from stockpush.model import PushOutcomeKind

CALLS_MAX = 40
"""Most calls for one batch; what is unsettled then is due again."""

_KEYS = uuid.UUID("6f0d3c55-7b7e-5c39-9a51-5d3f6f6c2b1e")
"""Namespace of the keys that are made from a call id."""


class _Verdict(StrEnum):
    """What an error code means for the lines that it names."""

    STALE = "stale"
    GONE = "gone"
    REJECTED = "rejected"
    NEW_KEY = "new_key"
    IN_PROGRESS = "in_progress"


_VERDICTS = {
    "CHANGE_FROM_QUANTITY_STALE": _Verdict.STALE,
    "COMPARE_QUANTITY_STALE": _Verdict.STALE,
    "INVALID_INVENTORY_ITEM": _Verdict.GONE,
    "ITEM_NOT_STOCKED_AT_LOCATION": _Verdict.REJECTED,
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH": _Verdict.NEW_KEY,
    "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED": _Verdict.NEW_KEY,
    "IDEMPOTENCY_CONCURRENT_REQUEST": _Verdict.IN_PROGRESS,
}
"""Every other code, known or new, means that a person must mend something."""


class _UserError(msgspec.Struct):
    message: str = ""
    code: str | None = None
    field: list[str] | None = None

    def verdict(self) -> _Verdict:
        return _VERDICTS.get(self.code or "", _Verdict.REJECTED)

    def entry(self) -> int | None:
        """Return the index of the entry that the error names, None if it names none."""
        path = self.field or []
        after = path[path.index("quantities") + 1 :] if "quantities" in path else []
        return int(after[0]) if after and after[0].isdecimal() and len(after[0]) < 6 else None

    def is_about_entries(self) -> bool:
        """Answer whether some entry is at fault, named or not, rather than the call as a whole."""
        path = self.field or []
        return self.verdict() in {_Verdict.STALE, _Verdict.GONE} or "quantities" in path


class _SetQuantities(msgspec.Struct, rename="camel"):
    user_errors: list[_UserError]


class _Answer(msgspec.Struct, rename="camel"):
    inventory_set_quantities: _SetQuantities | None


@dataclass(slots=True)
class _Work:
    """What is left to do for one batch: `groups` of positions still to be sent."""

    batch: Sequence[PushLine]
    groups: list[list[int]]
    outcomes: dict[int, PushOutcome] = field(default_factory=dict)
    stale: list[int] = field(default_factory=list)
    failed_keys: dict[tuple[int, ...], int] = field(default_factory=dict)

    def settle(self, positions: Sequence[int], outcome: PushOutcome) -> None:
        for position in positions:
            self.outcomes[position] = outcome


async def push(
    api: Api, batch: Sequence[PushLine], *, call_id: str, location: int
) -> tuple[PushOutcome, ...]:
    """Set each field to its target where it holds what we expect; one outcome per line.

    Never raises a `ChannelError`. Repeat with the same `call_id` to learn an unknown outcome.
    """
    work = _Work(batch, [list(range(len(batch)))] if batch else [])
    for _ in range(CALLS_MAX):
        if not work.groups:
            break
        group = work.groups.pop()
        try:
            errors, date = await _send(api, work, group, call_id=call_id, location=location)
        except PushRejected as error:
            # The request was refused as a whole (its cost, its version): no listing is at fault.
            work.groups.append(group)
            _abandon(work, ChannelUnavailable(error.message))
        except ChannelError as error:
            work.settle(group, unanswered(error))
            _abandon(work, error)
        else:
            _judge(work, group, errors, date)
    _abandon(work, ChannelUnavailable("Shopify refused the batch too often."))
    await _read_stale(api, work, location)
    return tuple(work.outcomes[position] for position in range(len(batch)))


async def _send(
    api: Api, work: _Work, group: list[int], *, call_id: str, location: int
) -> tuple[list[_UserError], datetime | None]:
    quantities: list[dict[str, Any]] = [
        {
            "inventoryItemId": gid("InventoryItem", work.batch[position].field.key),
            "locationId": gid("Location", location),
            "quantity": work.batch[position].target,
            "changeFromQuantity": work.batch[position].expected,
        }
        for position in group
    ]
    variables = {
        "input": {
            "name": "available",
            "reason": "correction",
            "referenceDocumentUri": f"gid://stock-push/Push/{call_id}",
            "quantities": quantities,
        },
        "key": _key(work, group, call_id, quantities),
    }
    data, answer = await call(api, SET_QUANTITIES, variables, _Answer)
    if data.inventory_set_quantities is None:
        raise OutcomeUnknown("Shopify answered the write with nothing.", answered=True)
    return data.inventory_set_quantities.user_errors, answer.date


def _key(work: _Work, group: list[int], call_id: str, quantities: list[dict[str, Any]]) -> str:
    """Return the idempotency key of this question: see Keys above."""
    failed = work.failed_keys.get(tuple(group), 0)
    whole = len(group) == len(work.batch)
    if whole and failed == 0:
        return call_id
    row = failed - 1 if whole else failed
    asked = msgspec.json.encode([row, quantities]).decode()
    return str(uuid.uuid5(_KEYS, f"{call_id}/{asked}"))


def _judge(work: _Work, group: list[int], errors: list[_UserError], date: datetime | None) -> None:
    """Give the lines of an answered call their outcomes, or put them back to be sent again."""
    if not errors:
        work.settle(group, PushOutcome(PushOutcomeKind.APPLIED, date=date))
        return
    verdicts = {error.verdict() for error in errors}
    if _Verdict.IN_PROGRESS in verdicts:
        # The first call under this key is still running: only the same key can tell its end.
        running = OutcomeUnknown("Shopify is still working on the same call.", answered=True)
        work.settle(group, PushOutcome(PushOutcomeKind.UNKNOWN, error=running, date=date))
        return
    if _Verdict.NEW_KEY in verdicts:
        work.failed_keys[tuple(group)] = work.failed_keys.get(tuple(group), 0) + 1
        work.groups.append(group)
        return
    named = {
        group[index]: error
        for error in reversed(errors)
        if (index := error.entry()) is not None and index < len(group)
    }
    if named:
        for position, error in named.items():
            _condemn(work, [position], error, date)
        rest = [position for position in group if position not in named]
        work.groups += [rest] if rest else []
    elif len(group) > 1 and errors[0].is_about_entries():
        middle = len(group) // 2
        work.groups += [group[middle:], group[:middle]]
    else:
        _condemn(work, group, errors[0], date)


def _condemn(
    work: _Work, positions: Sequence[int], error: _UserError, date: datetime | None
) -> None:
    reason = f"{error.code or 'no code'}: {printable(error.message)}"
    match error.verdict():
        case _Verdict.STALE:
            work.stale += positions
            work.settle(positions, PushOutcome(PushOutcomeKind.CONFLICT, date=date))
        case _Verdict.GONE:
            work.settle(positions, gone(f"Shopify does not know the item ({reason})", date))
        case _:
            work.settle(positions, rejected(f"Shopify refused the quantity ({reason})", date))


def _abandon(work: _Work, error: ChannelError) -> None:
    """Settle the lines that are not sent any more because an earlier call failed."""
    for group in work.groups:
        work.settle(group, unsent(error))
    work.groups.clear()


async def _read_stale(api: Api, work: _Work, location: int) -> None:
    """Tell with each lost compare what the field holds, if one reading can be had."""
    positions = sorted(work.stale)
    try:
        readings = await observe(
            api, [work.batch[position].field for position in positions], location=location
        )
    except ChannelError:
        # Without a number the engine reads the fields itself; the conflict stands either way.
        return
    for position, reading in zip(positions, readings.readings, strict=True):
        work.outcomes[position] = PushOutcome(
            PushOutcomeKind.CONFLICT, actual=reading.quantity, date=readings.date
        )
