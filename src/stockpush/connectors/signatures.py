"""Strict verifiers of webhook signatures, on bytes and in constant time.

Theory of operation. A signature covers the raw body, so verification happens before anything is
parsed. The header must be exactly what the signer writes: the canonical base64 of the digest,
padding included. Anything looser (missing padding, other alphabets, spaces, a second spelling of
the same digest) is refused, because every accepted second spelling is a way round checks that
compare text. Digests are compared as bytes: `hmac.compare_digest` raises on non-ASCII text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from stockpush.errors import ConfigInvalid, SignatureInvalid

SECRET_BYTES_MAX = 1024
"""Longest secret accepted; longer is a file pasted into the wrong setting."""

_SHA256_BASE64 = re.compile(r"[A-Za-z0-9+/]{43}=")


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
