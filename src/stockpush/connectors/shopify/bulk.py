"""The whole shop at once: one bulk query, of which Shopify writes a file.

Theory of operation. A bulk operation runs at Shopify for seconds or hours, takes nothing from the
rate limit, and ends in a file of one variant a line, whose address is good for seven days. Five may
run at once for an app and shop. One that failed may leave the part that it got to. What it read
is minutes old when it is read here, so nothing is decided by it: it says what is worth asking about
(`engine.full_read`).
Source: Admin GraphQL 2026-10, bulkOperationRunQuery; shopify.dev on bulk operation queries and on
faster bulk operations.
"""

from __future__ import annotations

import msgspec

from stockpush.connectors.answers import printable
from stockpush.connectors.base import Api, FullReading, Reading
from stockpush.connectors.payload import decode
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid, number_of
from stockpush.connectors.shopify.levels import VariantAtLocation, number_at_location
from stockpush.connectors.shopify.operations import BULK_CANCEL, BULK_RUN, BULK_STATUS, everything
from stockpush.errors import PayloadInvalid, PushRejected, RateLimited
from stockpush.model import FieldKey

FULL_WAIT_S = 600.0
"""Wait where as many bulk operations run already as may."""

_UNDER_WAY = frozenset({"CREATED", "RUNNING", "CANCELING"})
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELED", "EXPIRED"})
_BUSY = frozenset({"LIMIT_REACHED", "OPERATION_IN_PROGRESS"})


class _Operation(msgspec.Struct, rename="camel"):
    id: str
    status: str
    error_code: str | None = None
    url: str | None = None
    partial_data_url: str | None = None


class _UserError(msgspec.Struct):
    message: str = ""
    code: str | None = None


class _Begun(msgspec.Struct, rename="camel"):
    user_errors: list[_UserError]
    bulk_operation: _Operation | None = None


class _Run(msgspec.Struct, rename="camel"):
    bulk_operation_run_query: _Begun


class _Status(msgspec.Struct, rename="camel"):
    bulk_operation: _Operation | None


class _Ended(msgspec.Struct, rename="camel"):
    user_errors: list[_UserError]


class _Cancel(msgspec.Struct, rename="camel"):
    bulk_operation_cancel: _Ended


async def begin(api: Api, *, location: int) -> str:
    """Have every variant and its number at `location` written down; return the operation's id.

    Raises `RateLimited` where too many run already, `PushRejected` for a query that is refused.
    """
    query = {"query": everything(gid("Location", location))}
    data, _ = await call(api, BULK_RUN, query, _Run)
    begun = data.bulk_operation_run_query
    if begun.bulk_operation is not None and not begun.user_errors:
        return begun.bulk_operation.id
    codes = {each.code for each in begun.user_errors}
    reason = printable(begun.user_errors[0].message) if begun.user_errors else "nothing was begun"
    if codes & _BUSY:
        raise RateLimited(
            f"Shopify runs no more bulk operations: {reason}", retry_after_s=FULL_WAIT_S
        )
    raise PushRejected(f"Shopify refused the bulk query: {reason}")


async def progress(api: Api, operation: str) -> FullReading:
    """Return how far the operation is. Raises `PayloadInvalid` for a state that is not known."""
    data, _ = await call(api, BULK_STATUS, {"id": operation}, _Status)
    found = data.bulk_operation
    if found is None:
        raise PayloadInvalid("Shopify no longer knows the bulk operation.", field="bulkOperation")
    if found.status in _UNDER_WAY:
        return FullReading(done=False)
    if found.status not in _ENDED:
        raise PayloadInvalid(
            "Shopify names a state of a bulk operation that is not known.",
            field="bulkOperation.status",
            found=found.status[:40],
            expected=", ".join(sorted(_UNDER_WAY | _ENDED)),
        )
    if found.status == "COMPLETED":
        return FullReading(done=True, url=found.url)
    reason = f"{found.status.lower()} {found.error_code or ''}".strip()
    return FullReading(done=True, url=found.partial_data_url, whole=False, reason=reason)


async def cancel(api: Api, operation: str) -> None:
    """End an operation that nobody waits for any more; one that has ended is left alone."""
    await call(api, BULK_CANCEL, {"id": operation}, _Cancel)


def record(line: bytes, *, channel: str) -> Reading:
    """Return what one line of the file says of one field. Raises `PayloadInvalid`."""
    variant = decode(line, VariantAtLocation, what="line of the bulk file")
    key = number_of("InventoryItem", variant.inventory_item.id)
    if key is None:
        raise PayloadInvalid("A line of the bulk file names no item.", field="inventoryItem.id")
    return number_at_location(FieldKey(channel, str(key)), variant)
