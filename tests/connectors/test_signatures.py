"""Signature verification: the published vectors, and what must never be accepted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors.signatures import (
    SECRET_BYTES_MAX,
    require_secret,
    verify_hmac_sha256_base64,
)
from stockpush.errors import ConfigInvalid, SignatureInvalid


def sign(secret: bytes, body: bytes) -> str:
    """Sign as the platforms do."""
    return base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode("ascii")


@pytest.mark.parametrize("file", ["shopify", "woocommerce"])
def test_every_vector_is_judged_as_it_says(shared: Path, file: str) -> None:
    """Each case of the platform's vectors is accepted, refused or a configuration error."""
    judged = 0
    for case in json.loads((shared / "vectors" / f"{file}.json").read_text())["cases"]:
        secret = case.get("hmac_key", case.get("secret"))
        if secret is None:
            continue  # the unsigned creation ping: the WooCommerce tests have it
        args = (secret.encode(), case["body"].encode(), case["header"])
        match case["expect"]:
            case "accept" | "accept_signature_no_second_effect":
                verify_hmac_sha256_base64(*args)
            case "reject":
                with pytest.raises(SignatureInvalid):
                    verify_hmac_sha256_base64(*args)
            case "config_error":
                with pytest.raises(ConfigInvalid):
                    verify_hmac_sha256_base64(*args)
            case other:
                pytest.fail(f"{case['name']}: unknown expectation {other}")
        judged += 1
    assert judged >= 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: None,
        lambda good: "",
        lambda good: good.rstrip("="),
        lambda good: good + "=",
        lambda good: f" {good}",
        lambda good: good + "\n",
        lambda good: f"sha256={good}",
        lambda good: good.replace("=", "\N{FULLWIDTH EQUALS SIGN}"),
        lambda good: base64.b64decode(good).hex(),
        lambda good: "A" * 43 + "=",
        lambda good: "\u00e9" + good[1:],
    ],
)
def test_any_other_spelling_is_refused(spoil) -> None:
    """Only the exact text that the signer writes passes; nothing else raises another error."""
    good = sign(b"k", b"{}")
    verify_hmac_sha256_base64(b"k", b"{}", good)
    with pytest.raises(SignatureInvalid):
        verify_hmac_sha256_base64(b"k", b"{}", spoil(good))


def test_the_spare_bits_of_base64_are_no_second_spelling() -> None:
    """The same digest written with other spare bits in its last digit is refused."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    good = sign(b"k", b"{}")
    other = good[:42] + digits[digits.index(good[42]) ^ 1] + "="
    assert base64.b64decode(other) == base64.b64decode(good)
    with pytest.raises(SignatureInvalid):
        verify_hmac_sha256_base64(b"k", b"{}", other)


@pytest.mark.parametrize("secret", [b"", b"k" * (SECRET_BYTES_MAX + 1)])
def test_an_empty_or_overlong_secret_is_a_configuration_error(secret: bytes) -> None:
    """A secret that cannot be meant is never a reason to skip the check."""
    with pytest.raises(ConfigInvalid) as caught:
        require_secret(secret, field="webhook_secret_previous")
    assert caught.value.field == "webhook_secret_previous"
    require_secret(b"k" * SECRET_BYTES_MAX)


@given(secret=st.binary(min_size=1, max_size=64), body=st.binary(), flip=st.integers(0, 2**16))
def test_one_changed_bit_of_the_body_is_noticed(secret: bytes, body: bytes, flip: int) -> None:
    """The signed body passes; the body with any one bit changed does not."""
    header = sign(secret, body)
    verify_hmac_sha256_base64(secret, body, header)
    spoiled = bytearray(body or b"\0")
    spoiled[flip // 8 % len(spoiled)] ^= 1 << flip % 8
    with pytest.raises(SignatureInvalid):
        verify_hmac_sha256_base64(secret, bytes(spoiled), header)


@given(header=st.text(max_size=80))
def test_no_header_raises_anything_else(header: str) -> None:
    """Whatever text stands in the header, the answer is SignatureInvalid."""
    with pytest.raises(SignatureInvalid):
        verify_hmac_sha256_base64(b"k", b"{}", header)
