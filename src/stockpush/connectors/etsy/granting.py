"""The first grant: OAuth 2 with PKCE, as pure functions for `stockpush connect`.

Theory of operation. A person opens `authorize_url` in a browser and agrees; Etsy sends the browser
to `redirect_uri` with a code and the `state` that we gave it; the code and the verifier, of which
only a hash has travelled so far, are traded for the first pair of tokens. `state` must come back as
it was sent, or the code is somebody else's.

>>> url = authorize_url(PAGE, "key", "https://stock.example/connected", state="s", verifier="v")
>>> url.partition("?")[0]
'https://www.etsy.com/oauth/connect'
>>> exchange("key", "https://stock.example/connected", code="c", verifier="v").path
'/v3/public/oauth/token'

Source: developers.etsy.com, essentials/authentication; RFC 7636 (its appendix B is a test).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

from stockpush.connectors.base import TokenCall
from stockpush.connectors.etsy.renewing import token_call
from stockpush.errors import AuthFailed, UsageError

PAGE = "https://www.etsy.com/oauth/connect"
"""Where a person agrees."""
SCOPES = ("listings_r", "listings_w", "transactions_r", "shops_r")
"""What is asked for: read and write listings, read receipts, read the shop."""
ADDRESS_MAX = 4096
"""Longest address that is taken apart."""


def code_challenge(verifier: str) -> str:
    """Return what may be shown of a verifier: base64url of its SHA-256."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def authorize_url(
    page: str,
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
    return f"{page}?" + urlencode(
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


def code_from(redirected: str, *, state: str, again: str) -> str:
    """Return the code in the address to which Etsy sent the browser; `again` is what to type to
    begin anew.

    Raises `AuthFailed` where access was refused or the address answers another question than ours,
    `UsageError` where it is no such address.
    """
    query = _query(redirected)
    if error := query.get("error"):
        raise AuthFailed(f"Etsy did not grant access ({error[0][:100]}).", next=again)
    (code,), (told,) = query.get("code", [""])[:1], query.get("state", [""])[:1]
    if not code:
        raise UsageError(
            "That address holds no code.",
            expected="the whole address that the browser ended at",
            next=again,
        )
    if not hmac.compare_digest(told.encode(), state.encode()):
        raise AuthFailed(
            "The code belongs to another request than ours: begin again.",
            field="state",
            next=again,
        )
    return code


def exchange(keystring: str, redirect_uri: str, *, code: str, verifier: str) -> TokenCall:
    """Return the call that trades a code for the first tokens; `renewing.granted` reads it."""
    return token_call(
        {
            "grant_type": "authorization_code",
            "client_id": keystring,
            "redirect_uri": redirect_uri,
            "code": code,
            "code_verifier": verifier,
        }
    )


def _query(address: str) -> dict[str, list[str]]:
    """Return the query of what a person pasted; nothing where it is no address."""
    if len(address) > ADDRESS_MAX or not address.isascii():
        return {}
    try:
        return parse_qs(urlsplit(address.strip()).query)
    except ValueError:
        return {}
