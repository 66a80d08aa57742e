"""OAuth 1.0a, one-legged: how WooCommerce takes an API key over plain HTTP, on this machine only.

Theory of operation. Over plain HTTP the platform refuses Basic credentials. Each request carries a
signature instead: of its method, address and parameters, an instant and a number used once, keyed
with the consumer secret. That keeps the secret off the wire and nothing else: orders with their
buyers' names, and the numbers that we write, travel readable and can be changed on the way. So it
is taken to loopback alone, where a shop under development stands; elsewhere TLS is required. The
address is signed as the site itself knows it: `base_url` is its *Site Address*.
Source: RFC 5849, 3.4; the platform's class WC_REST_Authentication.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

Params = Sequence[tuple[str, str]]


def signed(
    method: str,
    url: str,
    params: Params,
    *,
    key: str,
    secret: str,
    at: datetime,
    nonce: str,
) -> list[tuple[str, str]]:
    """Return `params` with the signature's own; `url` has no query, `nonce` is used once."""
    whole = [
        *params,
        ("oauth_consumer_key", key),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA256"),
        ("oauth_timestamp", str(int(at.timestamp()))),
    ]
    told = base_string(method, url, whole)
    digest = hmac.new(f"{_encoded(secret)}&".encode(), told.encode(), hashlib.sha256).digest()
    return [*whole, ("oauth_signature", base64.b64encode(digest).decode("ascii"))]


def base_string(method: str, url: str, params: Params) -> str:
    """Return what is signed: method, address and the sorted parameters, each encoded once more.

    >>> base_string("get", "http://localhost/p", [("b", "2"), ("a", "1 1")])
    'GET&http%3A%2F%2Flocalhost%2Fp&a%3D1%25201%26b%3D2'
    """
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in params)
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    return "&".join((method.upper(), _encoded(url), _encoded(joined)))


def _encoded(text: str) -> str:
    """Return text percent-encoded as RFC 3986 has it: all but letters, digits and -._~"""
    return quote(text, safe="-._~")
