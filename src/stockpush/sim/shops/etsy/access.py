"""Who may call, and how often: the app's key, OAuth tokens, scopes, and the allowance.

Theory of operation. Every call carries the app's key with its secret and an access token that lasts
an hour. A refresh token is worth one use: its answer has a new one, and from then on the old one is
nothing. The first pair is granted to whoever has the code and the verifier whose hash was shown
when the code was asked for. The allowance is counted per second and over a day, and told in the
headers of every answer; beyond it the answer is 429 with the seconds to wait.
Source: developers.etsy.com, essentials/authentication and essentials/rate-limits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from stockpush.sim.shops.etsy.document import Refused
from stockpush.sim.shops.etsy.render import USER_ID

ACCESS_S = 3600
REFRESH = timedelta(days=90)
SCOPES = frozenset({"listings_r", "listings_w", "transactions_r", "shops_r"})


@dataclass(slots=True)
class _Code:
    redirect_uri: str
    challenge: str
    scopes: frozenset[str]


@dataclass(slots=True)
class Access:
    """Keys and tokens of one app's access to one shop."""

    clock: Callable[[], datetime]
    dice: random.Random
    keystring: str
    shared_secret: str
    refresh_token: str
    scopes: frozenset[str] = SCOPES
    redirects: frozenset[str] = frozenset()
    """The callback addresses that are registered with the app."""
    refreshed: int = 0
    """How many pairs were granted for a refresh token."""
    _issued: datetime | None = None
    _access: dict[str, tuple[datetime, frozenset[str]]] = field(default_factory=dict)
    _codes: dict[str, _Code] = field(default_factory=dict)
    _revoked: bool = False

    def issue(self) -> str:
        """Return a fresh access token, as a person with the right browser could get."""
        token = f"{USER_ID}.{self.dice.getrandbits(128):032x}"
        self._access = {each: told for each, told in self._access.items() if told[0] > self.clock()}
        self._access[token] = (self.clock() + timedelta(seconds=ACCESS_S), self.scopes)
        return token

    def end(self) -> None:
        """Let every access token end, as after an hour."""
        self._access.clear()

    def revoke(self) -> None:
        """The owner takes the app's access back."""
        self._revoked = True
        self._access.clear()

    def expire(self) -> None:
        """Etsy ends every access token early; refresh tokens stay good."""
        self._access.clear()

    def grant(self) -> tuple[str, str]:
        """The owner agrees anew; return an access token and the refresh token beside it."""
        self._revoked = False
        granted = self._grant()
        return granted["access_token"], granted["refresh_token"]

    def authorize(self, redirect_uri: str, challenge: str, scopes: str) -> str:
        """The owner agrees in the browser; return the code that the app is sent."""
        code = f"{self.dice.getrandbits(64):016x}"
        self._codes[code] = _Code(redirect_uri, challenge, frozenset(scopes.split()))
        return code

    def check(self, headers: Mapping[str, str], scope: str | None) -> None:
        """Return if a call may be made, or raise `Refused`; `scope` None: the key alone will do."""
        key = headers.get("x-api-key", "").encode()
        if not hmac.compare_digest(key, f"{self.keystring}:{self.shared_secret}".encode()):
            raise Refused(403, "Invalid API key: should be in the format 'keystring:shared_secret'")
        if scope is None:
            return
        token = headers.get("authorization", "").removeprefix("Bearer ")
        known = self._access.get(token)
        if known is None or known[0] <= self.clock():
            raise Refused(401, "invalid_token")
        if scope not in known[1]:
            raise Refused(403, "insufficient_scope")

    def token(self, content_type: str, body: bytes, *, is_revoked: bool) -> tuple[int, Any]:
        """Answer the token endpoint: (status, JSON)."""
        if is_revoked:
            return 400, {"error": "invalid_grant", "error_description": "access was revoked"}
        if not content_type.startswith("application/x-www-form-urlencoded"):
            return 400, {"error": "invalid_request", "error_description": "a form is expected"}
        form = dict(parse_qsl(body.decode("ascii", errors="replace")))
        if form.get("client_id") != self.keystring:
            return 401, {"error": "invalid_client", "error_description": "client_id is unknown"}
        match form.get("grant_type"):
            case "refresh_token":
                return self._refresh(form.get("refresh_token", ""))
            case "authorization_code":
                return self._exchange(form)
            case _:
                return 400, {"error": "unsupported_grant_type"}

    def _refresh(self, given: str) -> tuple[int, Any]:
        too_old = self._issued is not None and self.clock() - self._issued > REFRESH
        if (
            self._revoked
            or too_old
            or not hmac.compare_digest(given.encode(), self.refresh_token.encode())
        ):
            told = "refresh_token is invalid"
            return 400, {"error": "invalid_grant", "error_description": told}
        self.refreshed += 1
        return 200, self._grant()

    def _exchange(self, form: Mapping[str, str]) -> tuple[int, Any]:
        code = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            code is None
            or code.redirect_uri != form.get("redirect_uri")
            or code.challenge != challenge
        ):
            told = "code is invalid"
            return 400, {"error": "invalid_grant", "error_description": told}
        self._revoked, self.scopes = False, code.scopes
        return 200, self._grant()

    def _grant(self) -> dict[str, Any]:
        self.refresh_token = f"{USER_ID}.{self.dice.getrandbits(192):048x}"
        self._issued = self.clock()
        return {
            "access_token": self.issue(),
            "token_type": "Bearer",
            "expires_in": ACCESS_S,
            "refresh_token": self.refresh_token,
        }


@dataclass(slots=True)
class Allowance:
    """How many calls the app has: by the second, and over a rolling day in buckets."""

    clock: Callable[[], datetime]
    per_second: int
    per_day: int
    bucket_s: int = 3600
    """The day rolls on in steps of so long."""
    _second: deque[datetime] = field(default_factory=deque)
    _buckets: dict[int, int] = field(default_factory=dict)

    def use_up(self) -> None:
        """Somebody else with the app's key has made all the calls that were left of the day."""
        bucket = int(self.clock().timestamp()) // self.bucket_s
        left = self.per_day - sum(self._buckets.values())
        self._buckets[bucket] = self._buckets.get(bucket, 0) + max(0, left)

    def renew(self) -> None:
        """The day begins anew."""
        self._buckets.clear()

    def take(self) -> tuple[dict[str, str], bool]:
        """Return the headers of an answer, and whether the call was still allowed."""
        now = self.clock()
        while self._second and now - self._second[0] >= timedelta(seconds=1):
            self._second.popleft()
        bucket = int(now.timestamp()) // self.bucket_s
        day = 86_400 // self.bucket_s
        self._buckets = {each: told for each, told in self._buckets.items() if each > bucket - day}
        today = sum(self._buckets.values())
        allowed = len(self._second) < self.per_second and today < self.per_day
        if allowed:
            self._second.append(now)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
            today += 1
        headers = {
            "x-limit-per-second": str(self.per_second),
            "x-remaining-this-second": str(max(0, self.per_second - len(self._second))),
            "x-limit-per-day": str(self.per_day),
            "x-remaining-today": str(max(0, self.per_day - today)),
        }
        if not allowed:
            # The second is judged first.
            over = len(self._second) >= self.per_second
            headers["retry-after"] = (
                "1" if over else str(self.bucket_s - int(now.timestamp()) % self.bucket_s)
            )
        return headers, allowed


def encode(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value, separators=(",", ":")).encode()
