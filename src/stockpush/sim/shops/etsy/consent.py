"""The page where a shop's owner grants an app access, and where it sends the browser then.

Theory of operation. The app's address brings the browser to a page that says what is asked for.
Only what is registered with the app, letter for letter, is ever sent anybody: an unknown app or
address ends in an error page. Agreeing sends the browser back with a code and the `state` as it
came, refusing with an error.
Source: developers.etsy.com, essentials/authentication.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from stockpush.sim.shops.etsy.access import Access

PATH = "/oauth/connect"
_HTML = {"content-type": "text/html; charset=utf-8"}
_NEEDED = ("scope", "state", "code_challenge")


def answer(request: ShopRequest, access: Access) -> ShopAnswer:
    """Return the page, or where the browser goes after its form was sent."""
    asked = dict(request.query)
    mistake = _mistake(asked, access)
    if mistake is not None:
        return _page(400, f"<p>{html.escape(mistake)}</p>")
    if request.method != "POST":
        wanted = html.escape(asked["scope"])
        return _page(
            200,
            f"<p>An application would like to: {wanted}</p><form method='post'>"
            "<button name='decision' value='allow'>Grant access</button>"
            "<button name='decision' value='deny'>Deny</button></form>",
        )
    form = dict(parse_qsl(request.body.decode("ascii", errors="replace")))
    back = asked["redirect_uri"]
    if form.get("decision") == "allow":
        told = {"code": access.authorize(back, asked["code_challenge"], asked["scope"])}
    else:
        told = {"error": "access_denied", "error_description": "The user denied the request"}
    query = urlencode({**told, "state": asked["state"]})
    return ShopAnswer(302, {**_HTML, "location": f"{back}?{query}"}, b"")


def _mistake(asked: Mapping[str, str], access: Access) -> str | None:
    """Return what is wrong with the app's request, None if nothing is."""
    if asked.get("client_id") != access.keystring:
        return "The application that is requesting authorization is not recognized."
    if asked.get("redirect_uri") not in access.redirects:
        return "The redirect URI is not permitted for this application."
    if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
        return "The request is not one for a code with PKCE."
    if any(not asked.get(name) for name in _NEEDED):
        return f"The request lacks one of {', '.join(_NEEDED)}."
    return None


def _page(status: int, inner: str) -> ShopAnswer:
    return ShopAnswer(status, _HTML, f"<!DOCTYPE html><html><body>{inner}</body></html>".encode())
