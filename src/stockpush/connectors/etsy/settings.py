"""What one Etsy channel is configured with, checked once at start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stockpush.connectors.configured import not_a_root, refuse_unknown, required, root_url
from stockpush.connectors.etsy.granting import PAGE
from stockpush.connectors.signatures import standard_webhook_key
from stockpush.errors import ConfigInvalid

BASE_URL = "https://openapi.etsy.com"
SOLD_OUT = ("deactivate", "ask")
_KNOWN = frozenset(
    {
        "shop_id",
        "keystring",
        "shared_secret",
        "refresh_token",
        "webhook_secret",
        "webhook_secret_previous",
        "sold_out",
        "renew",
        "authorize_url",
        "base_url",
    }
)
_CREDENTIAL = re.compile(r"[\x21-\x39\x3b-\x7e]{1,1024}")  # printable ASCII without a colon
_PAGE = re.compile(r"(https://[a-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:[0-9]{1,5})?/[^\s?#]*")
_SWITCH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """`shop_id` is None only before `connect` has told it. `refresh_token` is None where one was
    only ever put into the database. `webhook_keys` are none, one or two. `deactivates`: a listing
    whose last unit is promised is taken off sale. `renews`: one that Etsy marked sold out may be
    put on sale again, for a fee. `authorize_url` is the page where access is granted.
    """

    shop_id: int | None
    base_url: str
    authorize_url: str
    deactivates: bool
    renews: bool
    keystring: str = field(repr=False)
    shared_secret: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    webhook_keys: tuple[bytes, ...] = field(repr=False)

    @property
    def shop(self) -> int:
        """Return the shop's number; `ConfigInvalid` where it is not configured."""
        if self.shop_id is None:
            raise ConfigInvalid("The setting `shop_id` is missing.", field="shop_id")
        return self.shop_id

    @property
    def api_key(self) -> str:
        """Return the `x-api-key` of every call."""
        return f"{self.keystring}:{self.shared_secret}"


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the checked settings; `ConfigInvalid` names the field, what was expected and found.

    Secrets arrive resolved and are never repeated in an error.
    """
    refuse_unknown(given, _KNOWN, platform="Etsy")
    return Settings(
        shop_id=_shop_id(given["shop_id"].strip()) if "shop_id" in given else None,
        base_url=_base_url(given.get("base_url", "").strip() or BASE_URL),
        authorize_url=_page(given.get("authorize_url", "").strip() or PAGE),
        deactivates=_one_of(given, "sold_out", SOLD_OUT) == "deactivate",
        renews=_SWITCH[_one_of(given, "renew", ("false", "true"))],
        keystring=_credential(given, "keystring"),
        shared_secret=_credential(given, "shared_secret"),
        refresh_token=_credential(given, "refresh_token") if "refresh_token" in given else None,
        webhook_keys=_webhook_keys(given),
    )


def _shop_id(value: str) -> int:
    if value.isascii() and value.isdecimal() and len(value) < 19 and int(value) > 0:
        return int(value)
    raise ConfigInvalid(
        "The setting `shop_id` is not the number of an Etsy shop.",
        field="shop_id",
        found=value,
        expected="a whole number above 0; not the shop's name",
    )


def _one_of(given: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    """Return a word of a setting, the first of `words` where it is left out."""
    value = given.get(name, words[0]).strip().lower()
    if value in words:
        return value
    raise ConfigInvalid(
        f"The setting `{name}` is not one of its words.",
        field=name,
        found=given[name],
        expected=" or ".join(words),
    )


def _credential(given: Mapping[str, str], name: str) -> str:
    value = required(given, name)
    if _CREDENTIAL.fullmatch(value) is None:
        raise ConfigInvalid(
            f"The setting `{name}` has characters that Etsy's credentials never have.",
            field=name,
            expected="printable ASCII without spaces or colons; keystring and shared_secret apart",
        )
    return value


def _webhook_keys(given: Mapping[str, str]) -> tuple[bytes, ...]:
    names = [name for name in ("webhook_secret", "webhook_secret_previous") if name in given]
    if names == ["webhook_secret_previous"]:
        required(given, "webhook_secret")
    return tuple(standard_webhook_key(given[name], field=name) for name in names)


def _page(value: str) -> str:
    """Return the page where a person grants access: https, or http to this machine only."""
    if _PAGE.fullmatch(value) is None:
        raise ConfigInvalid(
            "The setting `authorize_url` is not the address of a page.",
            field="authorize_url",
            found=value,
            expected=PAGE,
        )
    return value


def _base_url(value: str) -> str:
    """Return the host root without a trailing slash."""
    expected = "https://host, or http://127.0.0.1:port, without /v3"
    if root_url(value, expected=expected).path.rstrip("/").endswith(("/v3", "/v3/application")):
        raise not_a_root(expected)
    return value.rstrip("/")
