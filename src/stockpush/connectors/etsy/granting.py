"""The first grant: OAuth 2 with PKCE, as pure functions for `stockpush connect`.

Theory of operation. A person opens `authorize_url` in a browser and agrees; Etsy sends the browser
to `redirect_uri` with a code and the `state` that we gave it; the code and the verifier, of which
only a hash has travelled so far, are traded for the first pair of tokens. `state` must come back as
it was sent, or the code is somebody else's.

>>> verifier = code_verifier(bytes(32))
>>> url = authorize_url("key", "https://stock.example/etsy", state="s", verifier=verifier)
>>> exchange("key", "https://stock.example/etsy", code="c", verifier=verifier).path
'/v3/public/oauth/token'

Source: developers.etsy.com, essentials/authentication; RFC 7636 (its appendix B is a test).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from stockpush.connectors.base import Answer, TokenCall, Tokens
from stockpush.connectors.etsy.renewing import granted, token_call
from stockpush.errors import AuthFailed, UsageError

AUTHORIZE_URL = "https://www.etsy.com/oauth/connect"
SCOPES = ("listings_r", "listings_w", "transactions_r", "shops_r")
"""What is asked for: read and write listings, read receipts, read the shop."""
RANDOM_BYTES = 32
"""How much randomness a verifier, and a state, is made of."""


def code_verifier(random_bytes: bytes) -> str:
    """Return the verifier made of `RANDOM_BYTES` random bytes: 43 characters."""
    assert len(random_bytes) == RANDOM_BYTES, "a verifier that can be guessed protects nothing"
    return _base64url(random_bytes)


def code_challenge(verifier: str) -> str:
    """Return what may be shown of a verifier: base64url of its SHA-256."""
    return _base64url(hashlib.sha256(verifier.encode("ascii")).digest())


def authorize_url(
    keystring: str,
    redirect_uri: str,
    *,
    state: str,
    verifier: str,
    scopes: Sequence[str] = SCOPES,
) -> str:
    """Return the address at which a person grants access; `redirect_uri` is registered with the
    app, letter for letter, and https.
    """
    return f"{AUTHORIZE_URL}?" + urlencode(
        {
            "response_type": "code",
            "client_id": keystring,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": state,
            "code_challenge": code_challenge(verifier),
            "code_challenge_method": "S256",
        }
    )


def code_from(redirected: str, *, state: str) -> str:
    """Return the code in the address to which Etsy sent the browser.

    Raises `AuthFailed` where access was refused or the address answers another question than ours,
    `UsageError` where it is no such address.
    """
    query = parse_qs(urlsplit(redirected.strip()).query)
    if error := query.get("error"):
        raise AuthFailed(f"Etsy did not grant access ({error[0][:100]}).", next="stockpush connect")
    (code,), (told,) = query.get("code", [""])[:1], query.get("state", [""])[:1]
    if not code:
        raise UsageError(
            "That address holds no code.", expected="the whole address that the browser ended at"
        )
    if not hmac.compare_digest(told.encode(), state.encode()):
        raise AuthFailed(
            "The code belongs to another request than ours: begin again.",
            field="state",
            next="stockpush connect",
        )
    return code


def exchange(keystring: str, redirect_uri: str, *, code: str, verifier: str) -> TokenCall:
    """Return the call that trades a code for the first tokens; `first_tokens` reads it."""
    return token_call(
        {
            "grant_type": "authorization_code",
            "client_id": keystring,
            "redirect_uri": redirect_uri,
            "code": code,
            "code_verifier": verifier,
        }
    )


def user_of(tokens: Tokens) -> int:
    """Return the number of the user who granted access: what stands before the token's first dot.

    `GET /v3/application/users/{user_id}/shops` then tells the shop's number.
    """
    user, dot, _ = tokens.access.partition(".")
    if dot and user.isascii() and user.isdecimal() and len(user) < 19:
        return int(user)
    raise AuthFailed("The access token does not begin with its user's number.", field="access")


def first_tokens(answer: Answer, *, now: datetime) -> Tokens:
    """Return the tokens in the answer to `exchange`; see `renewing.granted` for what it raises."""
    return granted(answer, now=now)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
