"""What one shop of the maker's own is configured with, checked once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stockpush.connectors.configured import refuse_unknown, required, root_url
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
    refuse_unknown(given, _KNOWN, platform="generic")
    keys = [_key(given, "webhook_secret")]
    if "webhook_secret_previous" in given:
        keys.append(_key(given, "webhook_secret_previous"))
    return Settings(
        base_url=_base_url(required(given, "base_url")),
        authorization=f"Bearer {_token(given)}",
        webhook_keys=tuple(keys),
    )


def _token(given: Mapping[str, str]) -> str:
    value = required(given, "access_token")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigInvalid(
            "The access token has characters that cannot stand in a header.",
            field="access_token",
            expected="printable ASCII without spaces",
        )
    return value


def _key(given: Mapping[str, str], name: str) -> bytes:
    key = standard_webhook_key(required(given, name), field=name)
    if len(key) < KEY_BYTES_MIN:
        raise ConfigInvalid(
            "A webhook secret is too short.",
            field=name,
            expected=f"whsec_ and base64 of {KEY_BYTES_MIN} bytes or more",
            found=f"{len(key)} bytes",
        )
    return key


def _base_url(value: str) -> str:
    """Return the root without a trailing slash."""
    root_url(value, expected="https://shop.example/stockpush, or http://127.0.0.1:port")
    return value.rstrip("/")
