"""What one Shopify channel is configured with, checked once at start."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from stockpush.connectors.shopify.ids import number_of
from stockpush.connectors.signatures import require_secret
from stockpush.errors import ConfigInvalid

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_KNOWN = frozenset(
    {"shop", "location", "access_token", "webhook_secret", "webhook_secret_previous", "base_url"}
)


@dataclass(frozen=True, slots=True)
class Settings:
    """`shop` is a lower-case host name, `location` a number, `webhook_secrets` one or two keys."""

    shop: str
    location: int
    base_url: str
    access_token: str = field(repr=False)
    webhook_secrets: tuple[bytes, ...] = field(repr=False)


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the checked settings; `ConfigInvalid` names the field, what was expected and found.

    Secrets arrive resolved and are never repeated in an error.
    """
    for name in given:
        if name not in _KNOWN:
            raise ConfigInvalid(
                f"The Shopify connector has no setting {name!r}.",
                field=name,
                expected=", ".join(sorted(_KNOWN)),
            )
    shop = _required(given, "shop").lower()
    if _HOST.fullmatch(shop) is None:
        raise ConfigInvalid(
            "The setting `shop` is not a host name.",
            field="shop",
            found=given["shop"],
            expected="my-shop.myshopify.com",
        )
    location = number_of("Location", _required(given, "location"))
    if location is None:
        raise ConfigInvalid(
            "The setting `location` is not a Shopify location.",
            field="location",
            found=given["location"],
            expected="gid://shopify/Location/1, or 1",
        )
    return Settings(
        shop=shop,
        location=location,
        base_url=_base_url(given.get("base_url") or f"https://{shop}"),
        access_token=_token(_required(given, "access_token")),
        webhook_secrets=_secrets(given),
    )


def _required(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise ConfigInvalid(f"The setting `{name}` is missing.", field=name, expected="a value")
    return value


def _token(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ConfigInvalid(
            "The access token has characters that cannot stand in a header.",
            field="access_token",
            expected="printable ASCII",
        )
    return value


def _secrets(given: Mapping[str, str]) -> tuple[bytes, ...]:
    current = _required(given, "webhook_secret").encode()
    require_secret(current)
    if "webhook_secret_previous" not in given:
        return (current,)
    previous = given["webhook_secret_previous"].strip().encode()
    require_secret(previous, field="webhook_secret_previous")
    return (current, previous)


def _base_url(value: str) -> str:
    """Return the root without a trailing slash: https, or http to loopback only."""
    parts = urlsplit(value)
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if not (secure and parts.hostname and bare):
        raise ConfigInvalid(
            "The setting `base_url` is not a root that a token may be sent to: TLS is required, "
            "except to loopback.",
            field="base_url",
            expected="https://host, or http://127.0.0.1:port",
        )
    return value.rstrip("/")


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
