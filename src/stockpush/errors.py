"""Every error Stock Push raises, in one tree; a class's docstring is its default message.

Refusals of a command are values (`messages.Refused`), not errors. A broken invariant is an
`assert`. What stands here is an accident or a mistake, sorted by whose it is and what the
framework does about it (docs/architecture.md, "Errors: whose fault, and what now").
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the command line's exit status means (docs/interface.md)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CREDENTIALS = 3
    NOT_FOUND = 4
    REFUSED = 5


class StockPushError(Exception):
    """Something went wrong."""

    code = "failed"
    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        found: Any = None,
        expected: str | None = None,
        next: str | None = None,
    ) -> None:
        """Say what happened (`message`), where (`field`), and the `next` command to type."""
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.field = field
        self.found = found
        self.expected = expected
        self.next = next
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        """Return the stable shape `{code, message, field, found, expected, next}`."""
        return {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "found": self.found,
            "expected": self.expected,
            "next": self.next,
        }


# -- the user's side -------------------------------------------------------------------------


class UsageError(StockPushError):
    """That command, value or file cannot be used as it stands."""

    code = "usage"
    exit_code = ExitCode.USAGE


class ConfigInvalid(UsageError):
    """The configuration has a mistake."""

    code = "config_invalid"


class QuantityInvalid(UsageError):
    """That is not a quantity."""

    code = "quantity_invalid"


class UnitMismatch(QuantityInvalid):
    """Those units measure different things."""

    code = "unit_mismatch"


class CatalogueInvalid(UsageError):
    """The catalogue has a mistake."""

    code = "catalogue_invalid"


class BillCycle(CatalogueInvalid):
    """A bill of materials contains itself."""

    code = "bill_cycle"


class NotFound(StockPushError):
    """There is no such thing."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


# -- the database's side ---------------------------------------------------------------------


class StoreUnavailable(StockPushError):
    """The database cannot be used right now."""

    code = "store_unavailable"


class StoreDamaged(StoreUnavailable):
    """The database file is damaged."""

    code = "store_damaged"


class StoreFull(StoreUnavailable):
    """The disk that the database lies on is full: nothing was written."""

    code = "store_full"

    def __init__(self) -> None:
        """Say so, and what to do."""
        super().__init__(next="df -h  (make room on that disk, then the same again)")


class StoreUnsafe(StoreUnavailable):
    """The disk did not confirm what was written; it may be lost."""

    code = "store_unsafe"


class StoreConflict(StoreUnavailable):
    """Another writer changed the same rows; the transaction may be run again."""

    code = "store_conflict"


class StoreRuleBroken(StockPushError):
    """A row would break a rule of the database; nothing was written."""

    code = "store_rule_broken"


class SchemaOlder(StockPushError):
    """The database was written by an older Stock Push."""

    code = "schema_older"


class SchemaNewer(StockPushError):
    """The database was written by a newer Stock Push."""

    code = "schema_newer"


class AlreadyRunning(StockPushError):
    """Another Stock Push daemon is using this database."""

    code = "already_running"


class LockLost(StockPushError):
    """The daemon's lock on the database was lost with its connection."""

    code = "lock_lost"


# -- the channel's side: a connector names the fault, the framework owns the reaction ----------


class ChannelError(StockPushError):
    """The channel answered with a fault."""

    code = "channel_error"


class ChannelUnavailable(ChannelError):
    """The channel cannot be reached, or failed before it did anything."""

    code = "channel_unavailable"


class OutcomeUnknown(ChannelError):
    """The connection broke after a write was sent: it may have been applied.

    `answered`: the shop itself did answer, with a fault of its own, so that nothing of the request
    is still on its way; otherwise it may be applied as late as its deadline.
    """

    code = "outcome_unknown"

    def __init__(self, message: str | None = None, *, answered: bool = False, **where: Any) -> None:
        """Say what is known of the write."""
        super().__init__(message, **where)
        self.answered = answered


class RateLimited(ChannelError):
    """The channel told us to wait."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, retry_after_s: float, **where: Any) -> None:
        """Wait `retry_after_s` seconds (> 0) before the next call to this channel."""
        super().__init__(message, **where)
        self.retry_after_s = retry_after_s


class AuthFailed(ChannelError):
    """The channel refused our credentials."""

    code = "auth_failed"
    exit_code = ExitCode.CREDENTIALS


class ListingGone(ChannelError):
    """The channel no longer has that listing."""

    code = "listing_gone"


class PushRejected(ChannelError):
    """The channel refused the quantity for a reason that a person must mend."""

    code = "push_rejected"


class SignatureInvalid(ChannelError):
    """The delivery was not signed by the channel."""

    code = "signature_invalid"


class PayloadInvalid(ChannelError):
    """The channel sent something that cannot be understood."""

    code = "payload_invalid"
