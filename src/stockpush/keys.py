"""What is derived from the secret key: webhook tokens and the encryption of secrets at rest.

Theory of operation. A business has one secret key of 32 random bytes, the same on every daemon.
Webhook tokens are HMACs under the key itself, as docs/interface.md fixes them. Encryption uses a
subkey derived by HKDF for that purpose alone, so that neither use can weaken the other.
A sealed secret is `version byte || nonce || ciphertext || tag` under AES-256-GCM. Its nonce is
drawn anew each time, and `context` (which row, which column) is authenticated with it: a
ciphertext moved to another row does not open. Nonces come from the operating system; this is the
one place that draws random bytes, since a replayed nonce would break the cipher.

Sources: RFC 5869 (HKDF), NIST SP 800-38D (GCM), RFC 4648 section 5 (base64url).
"""

from __future__ import annotations

import base64
import hmac
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stockpush.errors import ConfigInvalid

SECRET_KEY_BYTES = 32
"""Length of the secret key."""
_SECRET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?")
_TOKEN_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_VERSION = b"\x01"
_ENCRYPTION = b"stockpush encryption at rest, version 1"


def new_secret_key() -> str:
    """Return a fresh secret key as it is kept in a file: base64url of 32 random bytes, one line."""
    return base64.urlsafe_b64encode(os.urandom(SECRET_KEY_BYTES)).decode("ascii")


def new_admin_token() -> str:
    """Return a fresh bearer token for the admin API: 43 URL-safe characters, 256 random bits."""
    token = base64.urlsafe_b64encode(os.urandom(SECRET_KEY_BYTES))
    return token.rstrip(b"=").decode("ascii")


def new_code_verifier() -> str:
    """Return a fresh verifier, or state, of an OAuth grant: 43 URL-safe characters (RFC 7636)."""
    return new_admin_token()


def read_secret_key(text: str, *, field: str = "daemon.secret_key") -> bytes:
    """Return the 32 bytes that the text of a key file stands for; padding may be missing.

    Raises `ConfigInvalid` naming `field` when it is anything else; the text is never repeated.
    """
    line = text.strip()
    if not _SECRET_KEY.fullmatch(line):
        raise ConfigInvalid(
            f"{field} is not a secret key.",
            field=field,
            found=f"{len(line)} characters",
            expected="one line: base64url of 32 bytes (43 characters, padding optional)",
            next="stockpush init",
        )
    return base64.urlsafe_b64decode(line.rstrip("=") + "=")


def webhook_token(secret_key: bytes, channel: str) -> str:
    """Return the unguessable part of the channel's webhook path: 22 URL-safe characters.

    They are the first 128 bits of HMAC-SHA256 over `webhook:{channel}`: the same on every daemon.
    """
    digest = hmac.digest(secret_key, f"webhook:{channel}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:_TOKEN_BYTES]).rstrip(b"=").decode("ascii")


def fingerprint(secret_key: bytes, value: bytes, context: str) -> str:
    """Return a digest by which a value can be recognised and by nothing else: 64 hex digits."""
    return hmac.digest(secret_key, f"{context}:".encode() + value, "sha256").hex()


def encrypt(secret_key: bytes, plaintext: bytes, context: str) -> bytes:
    """Return `plaintext` sealed for `context`, 29 bytes longer; equal inputs give other bytes."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(secret_key).encrypt(nonce, plaintext, context.encode())


def decrypt(secret_key: bytes, sealed: bytes, context: str) -> bytes:
    """Return what `encrypt` sealed for the same `context`.

    Raises `ConfigInvalid` when the key or the context is another one, or the bytes were changed.
    """
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    whole = sealed[:1] == _VERSION and len(ciphertext) >= _TAG_BYTES
    try:
        if whole:
            return _cipher(secret_key).decrypt(nonce, ciphertext, context.encode())
    except InvalidTag:
        pass
    message = "What is stored encrypted cannot be opened: it belongs to another secret key or row."
    raise ConfigInvalid(
        message,
        field="daemon.secret_key",
        expected="the secret key under which this database was written",
        next="put the former key file back",
    )


def _cipher(secret_key: bytes) -> AESGCM:
    """Return the cipher under the subkey for encryption at rest."""
    kdf = HKDF(algorithm=SHA256(), length=SECRET_KEY_BYTES, salt=None, info=_ENCRYPTION)
    return AESGCM(kdf.derive(secret_key))
