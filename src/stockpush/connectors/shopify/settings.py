"""What one Shopify channel is configured with, checked once at start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stockpush.connectors.configured import refuse_unknown, required, root_url
from stockpush.connectors.shopify.access import Client
from stockpush.connectors.shopify.ids import number_of
from stockpush.connectors.signatures import require_secret
from stockpush.errors import ConfigInvalid

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_KNOWN = frozenset(
    {
        "shop",
        "location",
        "access_token",
        "client_id",
        "client_secret",
        "refresh_token",
        "webhook_secret",
        "webhook_secret_previous",
        "activate",
        "base_url",
    }
)
_KINDS = "access_token; or client_id and client_secret; or those with refresh_token"


@dataclass(frozen=True, slots=True)
class Settings:
    """`shop` is a lower-case host name, `location` a number (None: not chosen yet),
    `webhook_secrets` one to three keys.

    `activate`: what is not stocked at the location may be stocked there from here. Either
    `access_token` is there, for good, or a `client` that is granted tokens.
    """

    shop: str
    location: int | None
    base_url: str
    access_token: str | None = field(repr=False)
    client: Client | None = field(repr=False)
    webhook_secrets: tuple[bytes, ...] = field(repr=False)
    activate: bool = False


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the checked settings; `ConfigInvalid` names the field, what was expected and found.

    Secrets arrive resolved and are never repeated in an error.
    """
    refuse_unknown(given, _KNOWN, platform="Shopify")
    shop = required(given, "shop").lower()
    if _HOST.fullmatch(shop) is None:
        raise ConfigInvalid(
            "The setting `shop` is not a host name.",
            field="shop",
            found=given["shop"],
            expected="my-shop.myshopify.com",
        )
    location = None
    if "location" in given and (location := number_of("Location", given["location"])) is None:
        raise ConfigInvalid(
            "The setting `location` is not a Shopify location.",
            field="location",
            found=given["location"],
            expected="gid://shopify/Location/1, or 1",
        )
    token, client = _access(given)
    return Settings(
        shop=shop,
        location=location,
        base_url=_base_url(given.get("base_url", "").strip() or f"https://{shop}"),
        access_token=token,
        client=client,
        webhook_secrets=_secrets(given, client),
        activate=_agreed(given),
    )


def _agreed(given: Mapping[str, str]) -> bool:
    value = given.get("activate", "false")
    if value not in ("true", "false"):
        raise ConfigInvalid(
            "The setting `activate` is neither true nor false.",
            field="activate",
            found=value,
            expected="true or false",
        )
    return value == "true"


def _access(given: Mapping[str, str]) -> tuple[str | None, Client | None]:
    """Return the token, or the app that is granted tokens: exactly one kind is configured."""
    of_an_app = [name for name in ("client_id", "client_secret", "refresh_token") if name in given]
    if "access_token" in given:
        token = _printable(given, "access_token")
        if of_an_app:
            raise ConfigInvalid(
                "Two kinds of access are configured: a token for good, and an app that is granted "
                "tokens.",
                field=of_an_app[0],
                expected=f"one kind: {_KINDS}",
                next=f"remove access_token, or {', '.join(of_an_app)}",
            )
        return token, None
    if not of_an_app:
        raise ConfigInvalid(
            "No access to the shop is configured.",
            field="access_token",
            expected=_KINDS,
            next="set access_token, or client_id and client_secret, in the configuration",
        )
    refresh = _printable(given, "refresh_token") if "refresh_token" in given else None
    return None, Client(_printable(given, "client_id"), _printable(given, "client_secret"), refresh)


def _printable(given: Mapping[str, str], name: str) -> str:
    value = required(given, name)
    if not (value.isascii() and value.isprintable()):
        raise ConfigInvalid(
            f"The setting `{name}` has characters that cannot stand in a header.",
            field=name,
            expected="printable ASCII",
        )
    return value


def _secrets(given: Mapping[str, str], client: Client | None) -> tuple[bytes, ...]:
    """Return the keys that webhooks may be signed with.

    An app's webhooks are signed with its client secret; `webhook_secret` is then needed only for
    webhooks that were made in the shop's admin, which have a key of their own.
    """
    names = [name for name in ("webhook_secret", "webhook_secret_previous") if name in given]
    keys = {name: given[name].strip().encode() for name in names}
    if client is not None:
        keys["client_secret"] = client.secret.encode()
    elif "webhook_secret" not in given:
        required(given, "webhook_secret")
    for name, key in keys.items():
        require_secret(key, field=name)
    return tuple(dict.fromkeys(keys.values()))


def _base_url(value: str) -> str:
    """Return the root without a trailing slash."""
    root_url(value, expected="https://host, or http://127.0.0.1:port")
    return value.rstrip("/")
