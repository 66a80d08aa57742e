"""What one Faire channel is configured with, checked once at start.

There are two kinds of credentials: a brand's own token, and an application's id and secret with
the token that the brand granted to it. Exactly one kind is configured.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from stockpush.connectors.configured import not_a_root, refuse_unknown, root_url
from stockpush.connectors.faire.wire import ROOT
from stockpush.errors import ConfigInvalid

DEFAULT_ROOT = "https://www.faire.com"
_BARE = "faire.com"
_WWW = "www.faire.com"
"""The bare host answers 301, and the body of a write is lost on the way."""
_OAUTH = ("application_id", "application_secret", "oauth_token")
_KNOWN = frozenset({"access_token", "base_url", *_OAUTH})


@dataclass(frozen=True, slots=True)
class Settings:
    """`base_url` is the root without the API's path, `headers` authenticate every call."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the checked settings; `ConfigInvalid` names the field, what was expected and found.

    Secrets arrive resolved and are never repeated in an error.
    """
    refuse_unknown(given, _KNOWN, platform="Faire")
    return Settings(
        base_url=_base_url(given.get("base_url", "").strip() or DEFAULT_ROOT),
        headers=_headers(given),
    )


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers of the one kind of credentials that is configured."""
    oauth = [name for name in _OAUTH if given.get(name, "").strip()]
    if given.get("access_token", "").strip():
        if oauth:
            raise ConfigInvalid(
                "Both kinds of Faire credentials are set: take one of them out.",
                field=oauth[0],
                expected=f"access_token alone, or {', '.join(_OAUTH)} without it",
            )
        return {"x-faire-access-token": _credential(given, "access_token")}
    if not oauth:
        raise ConfigInvalid(
            "The setting `access_token` is missing.",
            field="access_token",
            expected=f"the brand's token, or {', '.join(_OAUTH)}",
        )
    identity, secret, token = (_credential(given, name) for name in _OAUTH)
    return {
        "x-faire-app-credentials": base64.b64encode(f"{identity}:{secret}".encode()).decode(),
        "x-faire-oauth-access-token": token,
    }


def _credential(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise ConfigInvalid(
            f"The setting `{name}` is missing: an application needs all three.",
            field=name,
            expected=", ".join(_OAUTH),
        )
    if not (value.isascii() and value.isprintable()) or (name == "application_id" and ":" in value):
        raise ConfigInvalid(
            f"The setting `{name}` has characters that a Faire credential never has.",
            field=name,
            expected="printable ASCII, as Faire showed it",
        )
    return value


def _base_url(value: str) -> str:
    """Return the root without the API's path; `www` is added."""
    expected = f"{DEFAULT_ROOT}, or http://127.0.0.1:port"
    parts = root_url(value, expected=expected)
    path = parts.path.rstrip("/").removesuffix(ROOT)
    if "/api/" in f"{path}/" or "external-api" in path:
        raise not_a_root(expected, beware=": v1 is gone since December 2025")
    host = parts.hostname or ""
    name = _WWW if host == _BARE else host
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}{f':{parts.port}' if parts.port is not None else ''}{path}"
