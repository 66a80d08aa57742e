"""What one shop of the maker's own is configured with, checked once at start."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from stockpush.connectors.signatures import standard_webhook_key
from stockpush.errors import ConfigInvalid

KEY_BYTES_MIN = 16
"""Shortest key that signs: fewer bytes can be guessed."""
_KNOWN = frozenset({"base_url", "access_token", "webhook_secret", "webhook_secret_previous"})


@dataclass(frozen=True, slots=True)
class Settings:
    """`webhook_keys` are one or two; the first signs what we write."""

    base_url: str
    authorization: str = field(repr=False)
    webhook_keys: tuple[bytes, ...] = field(repr=False)


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the checked settings; `ConfigInvalid` names the field, what was expected and found.

    Secrets arrive resolved and are never repeated in an error.
    """
    for name in given:
        if name not in _KNOWN:
            raise ConfigInvalid(
                f"The generic connector has no setting {name!r}.",
                field=name,
                expected=", ".join(sorted(_KNOWN)),
            )
    keys = [_key(given, "webhook_secret")]
    if "webhook_secret_previous" in given:
        keys.append(_key(given, "webhook_secret_previous"))
    return Settings(
        base_url=_base_url(_required(given, "base_url")),
        authorization=f"Bearer {_token(given)}",
        webhook_keys=tuple(keys),
    )


def _required(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise ConfigInvalid(f"The setting `{name}` is missing.", field=name, expected="a value")
    return value


def _token(given: Mapping[str, str]) -> str:
    value = _required(given, "access_token")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigInvalid(
            "The access token has characters that cannot stand in a header.",
            field="access_token",
            expected="printable ASCII without spaces",
        )
    return value


def _key(given: Mapping[str, str], name: str) -> bytes:
    key = standard_webhook_key(_required(given, name), field=name)
    if len(key) < KEY_BYTES_MIN:
        raise ConfigInvalid(
            "A webhook secret is too short.",
            field=name,
            expected=f"whsec_ and base64 of {KEY_BYTES_MIN} bytes or more",
            found=f"{len(key)} bytes",
        )
    return key


def _base_url(value: str) -> str:
    """Return the root without a trailing slash: https, or http to loopback only."""
    expected = "https://shop.example/stockpush, or http://127.0.0.1:port"
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        raise ConfigInvalid(
            "The setting `base_url` is not a URL.", field="base_url", expected=expected
        ) from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if not (secure and host and bare):
        raise ConfigInvalid(
            "The setting `base_url` is not a root that a token may be sent to: TLS is required, "
            "except to this machine, and no user or query.",
            field="base_url",
            found=f"{parts.scheme}://{host or ''}",
            expected=expected,
        )
    return value.rstrip("/")


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
