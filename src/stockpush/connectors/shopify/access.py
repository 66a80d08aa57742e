"""How access to one Shopify shop is had: a token for good, for a day, or for an hour.

Theory of operation. Three kinds of app, and exactly one of them is configured. An app that was made
in the shop's admin before 2026 has a token that does not expire. An app of one's own organisation
asks for a token of 24 hours with its client id and secret, as often as it likes. An app with
expiring tokens has an hour and a refresh token, which rotates at each use; the one before stays
usable until the new one has been used, so an answer that was lost is asked for again.
Source: shopify.dev on the client credentials grant, on expiring offline access tokens, and on the
resilience of refreshes (2026-08-28); Shopify/shopify-app-js, client-credentials.ts and
refresh-token.ts.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from stockpush.connectors.base import Answer, TokenCall, Tokens
from stockpush.connectors.payload import decode
from stockpush.errors import AuthFailed, ChannelError, ChannelUnavailable, PayloadInvalid

PATH = "admin/oauth/access_token"
LIFE_MAX_S = 10 * 365 * 86_400
"""Longest life of a token that is believed; the platform's are an hour and a day."""
_CODE = re.compile(r"[a-z_]{1,60}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int | None = None
    refresh_token: str | None = None


class _Refused(msgspec.Struct):
    error: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """An app: its id and secret, and the refresh token to begin with where it has expiring ones."""

    id: str
    secret: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)

    def first(self) -> Tokens:
        """Return the configured refresh token, or no token at all."""
        return Tokens("", refresh=self.refresh)

    def call(self, tokens: Tokens) -> TokenCall:
        """Return the call for a new token: by the refresh token if the app has one."""
        asked = {"client_id": self.id, "client_secret": self.secret}
        if self.refresh is None:
            asked["grant_type"] = "client_credentials"
        else:
            asked["grant_type"] = "refresh_token"
            asked["refresh_token"] = tokens.refresh or self.refresh
        headers = {"content-type": "application/json", "accept": "application/json"}
        return TokenCall(PATH, headers, msgspec.json.encode(asked))

    def granted(self, tokens: Tokens, answer: Answer, *, now: datetime) -> Tokens:
        """Return the tokens of an answer; see `base.Renewal.granted`."""
        if answer.status != 200:
            raise _refusal(answer)
        given = decode(answer.body, _Granted, what="answer to the token call")
        for token in (given.access_token, given.refresh_token):
            if token is not None and _TOKEN.fullmatch(token) is None:
                raise PayloadInvalid("Shopify granted something that is no token.", field="$")
        life_s = given.expires_in
        if life_s is not None and not 0 < life_s <= LIFE_MAX_S:
            raise PayloadInvalid("Shopify granted a token for no time.", field="$.expires_in")
        return Tokens(
            access=given.access_token,
            expires_at=None if life_s is None else now + timedelta(seconds=life_s),
            refresh=given.refresh_token or tokens.refresh,
        )


def _refusal(answer: Answer) -> ChannelError:
    """Return what an answer other than 200 means; only a word of the protocol is repeated."""
    code = ""
    if 400 <= answer.status < 500:
        with suppress(PayloadInvalid):  # a page of something before the shop says nothing of us
            code = decode(answer.body, _Refused, what="refusal").error
        if _CODE.fullmatch(code):
            return AuthFailed(f"Shopify grants no access to this app: {code}", found=code)
    return ChannelUnavailable(f"Shopify answered the token call with {answer.status}.")
