"""What one WooCommerce channel is configured with, checked once at start."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stockpush.connectors.configured import not_a_root, refuse_unknown, required, root_url
from stockpush.connectors.signatures import require_secret
from stockpush.errors import ConfigInvalid

_KNOWN = frozenset(
    {
        "base_url",
        "consumer_key",
        "consumer_secret",
        "webhook_secret",
        "webhook_secret_previous",
        "auth",
    }
)
# The platform decodes these before it uses a secret as a key (wp_specialchars_decode with
# ENT_QUOTES); the admin page shows and copies the encoded form.
_ENTITY = re.compile(r"&(lt|gt|quot|amp|#0*(?:34|38|39|60|62)|#[xX]0*(?:22|26|27|3[cCeE]));")
_NAMED = {"lt": "<", "gt": ">", "quot": '"', "amp": "&"}


@dataclass(frozen=True, slots=True)
class Settings:
    """`authorization` is the header that authenticates every call; one or two webhook keys.

    `oauth` is the key and secret that sign every call instead, on a site without TLS.

    `webhook_secret` is the first of them as the owner wrote it, for webhooks that we make.
    `webhook_digest` tells it from another one and nothing else of it: without the API key, which is
    kept elsewhere, nobody can try out what it may be.
    """

    base_url: str
    authorization: str | None = field(repr=False)
    oauth: tuple[str, str] | None = field(repr=False)
    webhook_secret: str = field(repr=False)
    webhook_secrets: tuple[bytes, ...] = field(repr=False)
    webhook_digest: str


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the checked settings; `ConfigInvalid` names the field, what was expected and found.

    Secrets arrive resolved and are never repeated in an error.
    """
    refuse_unknown(given, _KNOWN, platform="WooCommerce")
    key, secret = _credential(given, "consumer_key"), _credential(given, "consumer_secret")
    base_url = _base_url(required(given, "base_url"))
    signs = _signs(given, base_url)
    hook_secret = given.get("webhook_secret", "").strip()
    basic = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode("ascii")
    return Settings(
        base_url=base_url,
        authorization=None if signs else basic,
        oauth=(key, secret) if signs else None,
        webhook_secret=hook_secret,
        webhook_secrets=_webhook_secrets(given),
        webhook_digest=hmac.digest(secret.encode(), hook_secret.encode(), "sha256").hex(),
    )


def decode_entities(secret: str) -> str:
    """Return a secret with its HTML entities decoded once, as the platform does before signing.

    >>> decode_entities("a&amp;b&#039;&amp;lt;")
    "a&b'&lt;"
    """
    return _ENTITY.sub(_character, secret)


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    if name in _NAMED:
        return _NAMED[name]
    return chr(int(f"0{name[1:]}", base=16) if name[1] in "xX" else int(name[1:]))


def _credential(given: Mapping[str, str], name: str) -> str:
    value = required(given, name)
    if not (value.isascii() and value.isprintable()) or (name == "consumer_key" and ":" in value):
        raise ConfigInvalid(
            f"The setting `{name}` has characters that an API key never has.",
            field=name,
            expected="printable ASCII, as the shop showed it",
        )
    return value


def _signs(given: Mapping[str, str], base_url: str) -> bool:
    """Answer whether calls are signed (OAuth 1.0a): only where there is no TLS, on this machine."""
    auth = given.get("auth", "basic")
    if auth not in ("basic", "oauth1"):
        raise ConfigInvalid(
            "The setting `auth` is not a way to authenticate.",
            field="auth",
            found=auth,
            expected="basic or oauth1",
        )
    if auth == "oauth1" and base_url.startswith("https:"):
        raise ConfigInvalid(
            "OAuth 1.0a is refused: TLS is required, and with TLS the platform takes the key.",
            field="auth",
            found=auth,
            expected="basic; oauth1 only for http to this machine",
        )
    return auth == "oauth1"


def _webhook_secrets(given: Mapping[str, str]) -> tuple[bytes, ...]:
    names = [name for name in ("webhook_secret", "webhook_secret_previous") if name in given]
    if "webhook_secret" not in names:
        required(given, "webhook_secret")
    keys = []
    for name in names:
        key = decode_entities(given[name].strip()).encode()
        require_secret(key, field=name)
        keys.append(key)
    return tuple(keys)


def _base_url(value: str) -> str:
    """Return the root of the site without a trailing slash.

    Over plain HTTP the platform refuses these credentials.
    """
    expected = "https://shop.example, or http://127.0.0.1:port"
    if root_url(value, expected=expected).path.rstrip("/").endswith("/wp-json/wc/v3"):
        raise not_a_root(expected)
    return value.rstrip("/")
