"""How the emulated site takes a key over plain HTTP: a signature in the query, good once.

Written after the platform's own class and not after the connector's, so that they can disagree.
Source: the platform's class WC_REST_Authentication.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from stockpush.sim.shops.base import ShopRequest

WINDOW_S = 15 * 60
"""How far a request's instant may be from the site's clock."""
_NEEDED = frozenset(
    {
        "oauth_consumer_key",
        "oauth_timestamp",
        "oauth_nonce",
        "oauth_signature",
        "oauth_signature_method",
    }
)


@dataclass(slots=True)
class SignedDoor:
    """Checks one key. `site` is the address that the site knows itself by."""

    key: str
    secret: str
    clock: Callable[[], datetime]
    site: str = "http://127.0.0.1:8080"
    nonces: set[str] = field(default_factory=set)

    def knows(self, request: ShopRequest) -> bool:
        """Answer whether the request was signed with the key, now, and for the first time."""
        given = dict(request.query)
        if not given.keys() >= _NEEDED or given["oauth_consumer_key"] != self.key:
            return False
        signature = given.pop("oauth_signature")
        if not hmac.compare_digest(signature, self._signature(request, given)):
            return False
        late_s = abs(self.clock().timestamp() - int(given["oauth_timestamp"]))
        if late_s > WINDOW_S or given["oauth_nonce"] in self.nonces:
            return False
        self.nonces.add(given["oauth_nonce"])
        return True

    def _signature(self, request: ShopRequest, given: dict[str, str]) -> str:
        pairs = [f"{_twice(name)}%3D{_twice(given[name])}" for name in sorted(given)]
        address = _raw(self.site + request.path)
        told = f"{request.method}&{address}&{'%26'.join(pairs)}"
        kind = given["oauth_signature_method"].removeprefix("HMAC-").lower()
        if kind not in ("sha1", "sha256"):
            return ""
        digest = hmac.new(f"{self.secret}&".encode(), told.encode(), kind).digest()
        return base64.b64encode(digest).decode()


def _raw(text: str) -> str:
    return quote(text, safe="-._~")


def _twice(text: str) -> str:
    return _raw(text).replace("%", "%25")
