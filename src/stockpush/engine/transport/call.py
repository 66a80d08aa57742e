"""One call on its way, and what became of it: whose fault, and could the shop have seen it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stockpush.connectors.base import Answer
from stockpush.engine.answers import (
    RETRY_AFTER_MIN_S,
    retry_after_s,
)
from stockpush.errors import (
    AuthFailed,
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
    RateLimited,
)

GATEWAY_FAULTS = frozenset({502, 504, *range(520, 528)})
"""Answers of something before the shop, behind which a write may still be on its way."""


@dataclass(slots=True)
class Call:
    """One call on its way: `sent` turns True when the client was handed the request."""

    method: str
    path: str
    write: bool
    sent: bool = False

    def broken(self, what: str, *, answered: bool = False) -> ChannelError:
        """Return the error of a call that the channel may have seen and did not answer well."""
        if self.write:
            return OutcomeUnknown(
                f"{self}: {what}; the write may have been applied",
                answered=answered,
                next="stockpush resync --dry-run",
            )
        return self.unavailable(what)

    def unavailable(self, what: str) -> ChannelUnavailable:
        """Return the error of a call that changed nothing and may be tried later."""
        return ChannelUnavailable(f"{self}: {what}", next="stockpush channels")

    def __str__(self) -> str:
        """Return the method and the path, which hold no secret."""
        return f"{self.method} {self.path}"


def check(call: Call, answer: Answer, *, now: datetime) -> None:
    """Return if the connector should see this answer, else raise what it means."""
    match answer.status:
        case 429:
            raise limited(call, retry_after_s(answer.headers, date=answer.date, now=now))
        case 503 if "retry-after" in answer.headers:
            raise limited(call, retry_after_s(answer.headers, date=answer.date, now=now))
        case status if status >= 500:
            raise call.broken(
                f"the channel answered {status}", answered=status not in GATEWAY_FAULTS
            )
        case 403 if answer.is_page:
            # A firewall or a login page before the channel: it says nothing of our credentials.
            raise call.broken(
                "something before the channel answered with a page (403)", answered=True
            )
        case 401 | 403 as status:
            raise AuthFailed(
                f"{call}: the channel refused our credentials ({status})",
                found=status,
                next="stockpush channels",
            )
        case status if 300 <= status < 400:
            raise PayloadInvalid(
                f"{call}: the channel answered with a redirect ({status}), which is never "
                "followed; base_url should name the address that it leads to",
                field="base_url",
                found=status,
                expected="an answer",
                next="stockpush channels",
            )


def limited(call: Call, wait_s: float) -> RateLimited:
    """Return the error of a call that the rate limit holds for `wait_s`, and a second at least."""
    wait_s = max(wait_s, RETRY_AFTER_MIN_S)
    return RateLimited(
        f"{call}: the channel's rate limit is reached; next call in {wait_s:.1f} s",
        retry_after_s=wait_s,
    )
