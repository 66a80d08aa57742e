"""The emulated shop's token endpoint: two grants, lifetimes, and refresh tokens that rotate.

Theory of operation. An access token is good until it runs out, whatever was granted since. Each
refresh grants a new pair; the refresh token before stays usable until the new one has been used,
so that a lost answer can be asked for again. `keeps_previous` False is the stricter rule of other
platforms: an old one is worth nothing at once.
Source: Shopify/shopify-app-js (client-credentials.ts, refresh-token.ts); shopify.dev changelog on
more resilient refreshes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from stockpush.sim.shops.base import ShopAnswer, ShopRequest, http_date

PATH = "/admin/oauth/access_token"
DAY_S = 86_399
HOUR_S = 3600


class _Asked(msgspec.Struct):
    client_id: str = ""
    client_secret: str = ""
    grant_type: str = ""
    refresh_token: str = ""


@dataclass(slots=True)
class Access:
    """One app on the shop. `refresh` is the refresh token that is good now; None: it has none."""

    client_id: str
    client_secret: str = field(repr=False)
    clock: Callable[[], datetime]
    dice: random.Random
    refresh: str | None = None
    keeps_previous: bool = True
    previous: str | None = None
    good_until: dict[str, datetime] = field(default_factory=dict)
    granted: int = 0
    """How many tokens were granted."""
    on_grant: Callable[[], None] = lambda: None
    """Called when a grant has had its effect and is not answered yet."""

    def accepts(self, token: str | None) -> bool:
        """Answer whether the token is one that was granted and has not run out."""
        until = self.good_until.get(token or "")
        return until is not None and self.clock() < until

    def revoke(self) -> None:
        """The merchant takes the app away: nothing that was granted is good any more."""
        self.good_until.clear()
        self.refresh = self.previous = None
        self.client_secret = "revoked"  # noqa: S105  # of a shop that exists only in this process

    def run_out(self) -> None:
        """End every access token now; what renews them stays."""
        self.good_until.clear()

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer the token endpoint."""
        try:
            asked = msgspec.json.decode(request.body, type=_Asked)
        except msgspec.DecodeError:
            return self._answer(400, {"error": "invalid_request"})
        if (asked.client_id, asked.client_secret) != (self.client_id, self.client_secret):
            return self._answer(400, {"error": "invalid_client"})
        match asked.grant_type:
            case "client_credentials" if self.refresh is None:
                return self._grant(DAY_S)
            case "refresh_token" if asked.refresh_token in self._usable():
                if asked.refresh_token == self.refresh:
                    self.previous = self.refresh if self.keeps_previous else None
                self.refresh = f"shprt_{self.dice.getrandbits(64):x}"
                return self._grant(HOUR_S, refresh_token=self.refresh)
            case "refresh_token":
                return self._answer(400, {"error": "invalid_grant"})
            case _:
                return self._answer(400, {"error": "unsupported_grant_type"})

    def _usable(self) -> set[str]:
        return {each for each in (self.refresh, self.previous) if each is not None}

    def _grant(self, life_s: int, **more: str) -> ShopAnswer:
        token = f"shpat_{self.dice.getrandbits(64):x}"
        self.good_until[token] = self.clock() + timedelta(seconds=life_s)
        self.granted += 1
        self.on_grant()
        granted = {"access_token": token, "scope": "read_orders", "expires_in": life_s}
        return self._answer(200, granted | more)

    def _answer(self, status: int, body: dict[str, object]) -> ShopAnswer:
        headers = {"content-type": "application/json", "date": http_date(self.clock())}
        return ShopAnswer(status, headers, msgspec.json.encode(body))
