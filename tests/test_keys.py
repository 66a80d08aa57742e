"""Webhook tokens and encryption at rest."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest

from stockpush import keys
from stockpush.errors import ConfigInvalid

KEY = bytes(range(32))


def test_a_token_is_the_first_128_bits_of_the_documented_hmac():
    """Any program that has the key can compute the path: HMAC-SHA256 over `webhook:{channel}`."""
    whole = hmac.new(KEY, b"webhook:my-shop", hashlib.sha256).digest()
    token = keys.webhook_token(KEY, "my-shop")
    assert base64.urlsafe_b64decode(token + "==") == whole[:16]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", token)
    assert keys.webhook_token(KEY, "other") != token
    assert keys.webhook_token(bytes(32), "my-shop") != token


def test_what_was_encrypted_is_decrypted():
    """Round trip, the empty text included; the text does not show and no two results are equal."""
    for plaintext in (b"", b"token", bytes(10_000)):
        sealed = keys.encrypt(KEY, plaintext, "channel/my-shop/refresh_token")
        assert keys.decrypt(KEY, sealed, "channel/my-shop/refresh_token") == plaintext
        assert len(sealed) == len(plaintext) + 29
        assert keys.encrypt(KEY, plaintext, "channel/my-shop/refresh_token") != sealed
    assert b"token" not in keys.encrypt(KEY, b"token", "x")


def test_a_changed_moved_or_foreign_ciphertext_does_not_open():
    """Every changed byte, another row, another key and a cut are refused."""
    sealed = keys.encrypt(KEY, b"token", "row 1")
    changed = [
        sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))
    ]
    cut = [sealed[:length] for length in range(len(sealed))]
    for wrong in (*changed, *cut):
        with pytest.raises(ConfigInvalid, match="cannot be opened"):
            keys.decrypt(KEY, wrong, "row 1")
    with pytest.raises(ConfigInvalid):
        keys.decrypt(KEY, sealed, "row 2")
    with pytest.raises(ConfigInvalid):
        keys.decrypt(bytes(32), sealed, "row 1")


def test_a_new_key_can_be_read_and_is_new():
    """`init` writes what `run` reads; tokens are long and URL-safe."""
    first, second = keys.new_secret_key(), keys.new_secret_key()
    assert first != second
    assert len(keys.read_secret_key(first)) == keys.SECRET_KEY_BYTES
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", keys.new_admin_token())
    assert keys.new_admin_token() != keys.new_admin_token()


def test_padding_and_the_line_break_are_optional():
    """A key file may end in a line break, and its padding may have got lost."""
    text = base64.urlsafe_b64encode(KEY).decode()
    for form in (text, text.rstrip("="), f"{text}\n"):
        assert keys.read_secret_key(form) == KEY


@pytest.mark.parametrize(
    "text", ["", "canary", "A" * 42, "A" * 44, "+" * 43, "é" * 43, f"{'A' * 43}\n{'A' * 43}"]
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str):
    """Another length or alphabet is an error that does not show the text."""
    with pytest.raises(ConfigInvalid, match="is not a secret key") as caught:
        keys.read_secret_key(text)
    assert "canary" not in str(caught.value.as_json())
