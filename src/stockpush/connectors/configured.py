"""What every channel's settings are held against, before its own rules.

Raises `ConfigInvalid` that names the setting, never a secret's text.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit

from stockpush.errors import ConfigInvalid


def refuse_unknown(given: Mapping[str, str], known: Iterable[str], *, platform: str) -> None:
    """Return if every setting is a known one: a name with a slip of the pen sets nothing."""
    for name in given:
        if name not in known:
            raise ConfigInvalid(
                f"The {platform} connector has no setting {name!r}.",
                field=name,
                expected=", ".join(sorted(known)),
            )


def required(given: Mapping[str, str], name: str) -> str:
    """Return a setting's text without white space around it; it must be there."""
    value = given.get(name, "").strip()
    if not value:
        raise ConfigInvalid(f"The setting `{name}` is missing.", field=name, expected="a value")
    return value


def root_url(value: str, *, expected: str) -> SplitResult:
    """Return the parts of `base_url`: https, or http to this machine only; a host and a path.

    Credentials go to whatever it names, so they travel neither readable nor beside others.

    >>> root_url("https://shop.example/sub", expected="https://HOST").path
    '/sub'
    """
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
        bare = not (parts.query or parts.fragment or parts.username or parts.password)
    except ValueError:
        raise ConfigInvalid(
            "The setting `base_url` is not a URL.", field="base_url", expected=expected
        ) from None
    if not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise ConfigInvalid(
            "The setting `base_url` is not https: TLS is required, except to this machine.",
            field="base_url",
            found=f"{parts.scheme}://{host or ''}",
            expected=expected,
        )
    if not (host and bare):
        raise not_a_root(expected)
    return parts


def not_a_root(expected: str, *, beware: str = "") -> ConfigInvalid:
    """Return the error of a `base_url` that names something below, or beside, the root."""
    return ConfigInvalid(
        "The setting `base_url` is the root alone, without user, query or the API's own path"
        f"{beware}.",
        field="base_url",
        expected=expected,
    )


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
