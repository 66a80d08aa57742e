"""Access tokens that last an hour, and refresh tokens that are worth something once.

Theory of operation. Etsy gives a new refresh token with every access token and forgets the old
one at once. So a granted pair is durable before it is used, and only one at a time may ask: both
are the engine's (base.Renewal). A refresh token that Etsy does not know any more (90 days, revoked,
used elsewhere) can only be replaced by a person who grants access anew.
Source: developers.etsy.com, essentials/authentication; docs/channels/etsy.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from stockpush.connectors.base import Answer, TokenCall, Tokens
from stockpush.connectors.etsy.wire import fault
from stockpush.connectors.payload import decode
from stockpush.errors import AuthFailed, ChannelUnavailable, PayloadInvalid

TOKEN_PATH = "/v3/public/oauth/token"  # noqa: S105  (an address)
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class _Granted(msgspec.Struct, frozen=True):
    access_token: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,4096}\Z")]
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=10**8)]
    refresh_token: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,4096}\Z")] | None = None


@dataclass(frozen=True, slots=True)
class EtsyRenewal:
    """How one app's access to one shop is renewed (`base.Renewal`)."""

    channel: str
    keystring: str = field(repr=False)
    refresh_token: str | None = field(repr=False)

    def first(self) -> Tokens:
        """Return the configured refresh token, if any, with which nothing can be called yet."""
        return Tokens(access="", refresh=self.refresh_token)

    def call(self, tokens: Tokens) -> TokenCall:
        """Return the call that trades the refresh token for a new pair.

        Raises `AuthFailed` where there is none: nobody has granted access yet.
        """
        if tokens.refresh is None:
            raise AuthFailed(
                "Nobody has granted access to the Etsy shop yet.",
                field="refresh_token",
                next=f"stockpush connect {self.channel}",
            )
        return token_call(
            {
                "grant_type": "refresh_token",
                "client_id": self.keystring,
                "refresh_token": tokens.refresh,
            }
        )

    def granted(self, tokens: Tokens, answer: Answer, *, now: datetime) -> Tokens:
        """Return the new pair; see `base.Renewal.granted` for what it raises."""
        return granted(answer, now=now, channel=self.channel, before=tokens)


def token_call(form: dict[str, str]) -> TokenCall:
    """Return a call of the token endpoint with this form."""
    return TokenCall(TOKEN_PATH, _FORM, urlencode(form).encode("ascii"))


def granted(answer: Answer, *, now: datetime, channel: str, before: Tokens | None = None) -> Tokens:
    """Return the tokens in an answer of the token endpoint, `now` by our clock.

    Where it names no refresh token that of `before` stays.
    """
    if answer.status == 200:
        told = decode(answer.body, _Granted, what="token answer")
        return Tokens(
            access=told.access_token,
            expires_at=now + timedelta(seconds=told.expires_in),
            refresh=told.refresh_token or (None if before is None else before.refresh),
        )
    own = fault(answer)
    # A refusal without Etsy's own words is a firewall's page: it says nothing of our credentials.
    paged = answer.status in (400, 401, 403) and own is None
    if answer.status == 429 or answer.status >= 500 or paged:
        raise ChannelUnavailable(
            f"Etsy's token endpoint answered {answer.status}.",
            found=answer.status,
            next="stockpush doctor",
        )
    if answer.status in (400, 401, 403):
        raise AuthFailed(
            f"Etsy grants no access: {own}.",
            field="refresh_token",
            found=answer.status,
            next=f"stockpush connect {channel}",
        )
    raise PayloadInvalid(
        f"Etsy's token endpoint answered {answer.status}.",
        field="token",
        found=answer.status,
        expected="200",
    )
