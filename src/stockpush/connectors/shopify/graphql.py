"""Send one GraphQL document, mind its price, and name what went wrong.

Theory of operation. GraphQL answers 200 to almost everything, so faults are read from the body.
An answer without `data` is a request error: nothing was executed (GraphQL specification, 7.1).
One with `data` and errors failed while executing; for a write that means nobody knows how far it
came. Every answer tells the state of the cost bucket: when it runs low the limiter is asked to
wait for it to refill, so that a throttled answer is the exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from stockpush.connectors.answers import is_done, printable
from stockpush.connectors.base import Answer, Api
from stockpush.connectors.payload import decode
from stockpush.connectors.shopify.operations import PATH, Operation
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
    PushRejected,
    RateLimited,
)

RESERVE_POINTS = 300.0
"""Points kept in the bucket: the dearest document asks for fewer."""
THROTTLE_WAIT_S = 1.0
"""Wait when a throttled answer does not tell how long."""
THROTTLE_WAIT_MAX_S = 60.0

_DENIED = frozenset({"ACCESS_DENIED", "SHOP_INACTIVE"})

T = TypeVar("T")


class _Throttle(msgspec.Struct, rename="camel"):
    maximum_available: float
    currently_available: float
    restore_rate: float


class _Cost(msgspec.Struct, rename="camel"):
    requested_query_cost: float | None = None
    throttle_status: _Throttle | None = None


class _Extensions(msgspec.Struct):
    cost: _Cost | None = None


class _ErrorExtensions(msgspec.Struct):
    code: str | None = None


class _Error(msgspec.Struct):
    message: str = ""
    extensions: _ErrorExtensions | None = None

    def code(self) -> str:
        return (self.extensions.code if self.extensions else None) or ""


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[_Error] = []
    extensions: _Extensions | None = None

    def has_data(self) -> bool:
        return bytes(self.data) != b"null"


async def call(
    api: Api, operation: Operation, variables: Mapping[str, Any], kind: type[T]
) -> tuple[T, Answer]:
    """Send `operation` and return (its data as a `kind`, the answer).

    Raises what `Api.send` raises, and: `RateLimited` (throttled, with the wait), `AuthFailed`
    (the token lacks a scope), `ChannelUnavailable` (a status other than 2xx, or the shop failed
    inside), `PayloadInvalid` (an answer that cannot be understood). For a write:
    `PushRejected` where nothing was executed, `OutcomeUnknown` where something may have been.
    """
    answer = await api.send(
        "POST",
        PATH,
        write=operation.writes,
        headers={"content-type": "application/json", "accept": "application/json"},
        body=msgspec.json.encode(
            {
                "operationName": operation.name,
                "query": operation.document,
                "variables": variables,
            }
        ),
        cost=operation.cost,
    )
    if not is_done(answer):
        raise ChannelUnavailable(
            f"Shopify answered {operation.name} with status {answer.status}.",
            found=answer.status,
            expected="200",
        )
    try:
        return _data(api, operation, answer, kind), answer
    except PayloadInvalid as error:
        if operation.writes:
            raise OutcomeUnknown(error.message, answered=True, field=error.field) from error
        raise


def _data(api: Api, operation: Operation, answer: Answer, kind: type[T]) -> T:
    envelope = decode(answer.body, _Envelope, what=f"answer to {operation.name}")
    cost = envelope.extensions.cost if envelope.extensions else None
    if envelope.errors:
        _raise(api, operation, envelope, cost)
    _mind(api, cost)
    if not envelope.has_data():
        raise PayloadInvalid(f"The answer to {operation.name} has no data.", field="$.data")
    return decode(envelope.data, kind, what=f"answer to {operation.name}")


def _raise(api: Api, operation: Operation, envelope: _Envelope, cost: _Cost | None) -> None:
    """Name the fault of an answer that carries errors."""
    codes = {error.code() for error in envelope.errors}
    reason = printable(envelope.errors[0].message)
    if "THROTTLED" in codes:
        wait_s = _throttled_wait_s(cost)
        api.pause(wait_s)
        raise RateLimited(f"Shopify throttled {operation.name}.", retry_after_s=wait_s)
    if codes & _DENIED:
        raise AuthFailed(f"Shopify refused {operation.name}: {reason}")
    executed = envelope.has_data() or "INTERNAL_SERVER_ERROR" in codes
    if operation.writes:
        fault = OutcomeUnknown if executed else PushRejected
        raise fault(f"Shopify failed {operation.name}: {reason}")
    if "INTERNAL_SERVER_ERROR" in codes:
        raise ChannelUnavailable(f"Shopify failed {operation.name}: {reason}")
    raise PayloadInvalid(f"Shopify refused {operation.name}: {reason}", field="$.errors")


def _throttled_wait_s(cost: _Cost | None) -> float:
    """Return how long the bucket needs until it covers the price that was asked."""
    status = cost.throttle_status if cost else None
    if cost is None or status is None or status.restore_rate <= 0:
        return THROTTLE_WAIT_S
    missing = (cost.requested_query_cost or RESERVE_POINTS) - status.currently_available
    return min(THROTTLE_WAIT_MAX_S, max(missing / status.restore_rate, 0.1))


def _mind(api: Api, cost: _Cost | None) -> None:
    """Ask the limiter to wait while the bucket is below the reserve."""
    status = cost.throttle_status if cost else None
    if status is None or status.restore_rate <= 0:
        return
    missing = min(RESERVE_POINTS, status.maximum_available / 2) - status.currently_available
    if missing > 0:
        api.pause(min(THROTTLE_WAIT_MAX_S, missing / status.restore_rate))
