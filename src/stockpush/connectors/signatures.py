"""Strict verifiers of webhook signatures, on bytes and in constant time.

Theory of operation. A signature covers the raw body, so verification happens before anything is
parsed. The header must be exactly what the signer writes: the canonical base64 of the digest,
padding included. Anything looser (missing padding, other alphabets, spaces, a second spelling of
the same digest) is refused, because every accepted second spelling is a way round checks that
compare text. Digests are compared as bytes: `hmac.compare_digest` raises on non-ASCII text.

Two schemes: HMAC over the body alone (Shopify, WooCommerce), and that of Standard Webhooks, whose
signed content is `id.timestamp.body`, so that a delivery cannot be repeated later or under another
id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from stockpush.errors import ConfigInvalid, SignatureInvalid

SECRET_BYTES_MAX = 1024
"""Longest secret accepted; longer is a file pasted into the wrong setting."""

TOLERANCE_S = 300
"""How far a signed instant may be from ours, both ways (Standard Webhooks: five minutes)."""
SIGNATURES_MAX = 16
"""Most signatures looked at in one header: a sender in rotation has two."""

_SHA256_BASE64 = re.compile(r"[A-Za-z0-9+/]{43}=")
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")  # printable ASCII without a dot
_INSTANT = re.compile(r"[0-9]{10}")


def verify_hmac_sha256_base64(secret: bytes, body: bytes, header: str | None) -> None:
    """Return if `header` is base64(HMAC-SHA256(`secret`, `body`)), 44 characters with padding.

    `header` is the raw header value, None where the delivery has none.
    Raises `ConfigInvalid` for an empty secret (never "skip") and `SignatureInvalid` otherwise.
    Source: the vendors' pages on verifying deliveries (Shopify, WooCommerce); RFC 2104, RFC 4648.

    >>> verify_hmac_sha256_base64(b"k", b"{}", "rdhTsQP7zJNqGU+esV4pxP8Ir25H1dG8pPICGOMeT/8=")
    """
    require_secret(secret)
    if header is None:
        raise SignatureInvalid("The delivery carries no signature.", expected="base64 HMAC-SHA256")
    if _SHA256_BASE64.fullmatch(header) is None:
        raise SignatureInvalid("The signature is not 44 characters of base64 with padding.")
    # Comparing the text, not the decoded digest, also refuses the other spellings that base64's
    # spare bits allow.
    signed = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest())
    if not hmac.compare_digest(signed, header.encode("ascii")):
        raise SignatureInvalid("The signature does not match the body.")


def standard_webhook_key(secret: str, *, field: str = "webhook_secret") -> bytes:
    """Return the key in a Standard-Webhooks secret: base64, after `whsec_` where it has that.

    `ConfigInvalid` names `field` for one that is empty, overlong or not base64.

    >>> standard_webhook_key("whsec_c2VjcmV0")
    b'secret'
    """
    text = secret.strip().removeprefix("whsec_")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigInvalid(
            "A webhook secret is not base64.", field=field, expected="whsec_... as the portal shows"
        ) from None
    require_secret(key, field=field)
    return key


def verify_standard_webhook(
    keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, *, now: datetime
) -> None:
    """Return if one of `keys` signed `webhook-id.webhook-timestamp.body` within `TOLERANCE_S`.

    `headers` have lower-case names; `now` is our clock, aware. The signature header is a list of
    values separated by spaces, each `v1,` and 44 characters of base64, or these 44 alone: Etsy's
    page shows them bare. Other labels are skipped. Every key and value is compared, so that the
    time taken does not tell which fitted.
    Raises `ConfigInvalid` for an empty key and `SignatureInvalid` otherwise.
    Source: standard-webhooks, spec and its libraries' tests; docs/channels/etsy.md.
    """
    keys = tuple(keys)
    for key in keys:
        require_secret(key)
    name, instant = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if _ID.fullmatch(name) is None:
        raise SignatureInvalid("The delivery's id is not one.", expected="1 to 256 characters")
    if _INSTANT.fullmatch(instant) is None:
        raise SignatureInvalid("The delivery's instant is not one.", expected="10 digits")
    if abs(int(instant) - int(now.timestamp())) > TOLERANCE_S:
        raise SignatureInvalid("The delivery was signed at another time: its clock, or a replay.")
    given = headers.get("webhook-signature", "").split(" ")
    if len(given) > SIGNATURES_MAX:
        raise SignatureInvalid("The delivery carries too many signatures.")
    told = [each.removeprefix("v1,").encode(errors="replace") for each in given]
    content = f"{name}.{instant}.".encode("ascii") + body
    fits = False
    for key in keys:
        signed = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
        for each in told:
            fits |= hmac.compare_digest(signed, each)
    if not fits:
        raise SignatureInvalid("No signature matches the delivery.")


def require_secret(secret: bytes, *, field: str = "webhook_secret") -> None:
    """Return if `secret` can sign anything; `ConfigInvalid` names `field` if empty or overlong."""
    if not secret:
        raise ConfigInvalid(
            "A webhook secret must not be empty.",
            field=field,
            expected=f"1 to {SECRET_BYTES_MAX} bytes",
            found="nothing",
        )
    if len(secret) > SECRET_BYTES_MAX:
        raise ConfigInvalid(
            "A webhook secret is too long.",
            field=field,
            expected=f"1 to {SECRET_BYTES_MAX} bytes",
            found=f"{len(secret)} bytes",
        )
