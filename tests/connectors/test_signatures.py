"""Signature verification: the published vectors, and what must never be accepted."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors.signatures import (
    SECRET_BYTES_MAX,
    require_secret,
    standard_webhook_key,
    verify_hmac_sha256_base64,
    verify_standard_webhook,
)
from stockpush.errors import ConfigInvalid, SignatureInvalid


def sign(secret: bytes, body: bytes) -> str:
    """Sign as the platforms do."""
    return base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode("ascii")


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


# -- Standard Webhooks ---------------------------------------------------------------------------

KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def headers(body: bytes = b"{}", *, key: bytes = KEY, **changed: str) -> dict[str, str]:
    """Return the headers of a delivery as the scheme's own libraries sign it, some changed."""
    told = {"id": "msg_1", "timestamp": str(int(NOW.timestamp()))} | changed
    content = f"{told['id']}.{told['timestamp']}.".encode() + body
    told = {"signature": "v1," + sign(key, content)} | told
    return {f"webhook-{name}": value for name, value in told.items()}


def test_a_bare_signature_is_accepted() -> None:
    """Etsy's page shows the base64 without its label."""
    told = headers()
    told["webhook-signature"] = told["webhook-signature"].removeprefix("v1,")
    verify_standard_webhook([KEY], told, b"{}", now=NOW)


@pytest.mark.parametrize("keys", [[KEY, b"new"], [b"new", KEY]])
def test_two_secrets_live_during_a_rotation(keys: list[bytes]) -> None:
    """Either of the two may have signed."""
    verify_standard_webhook(keys, headers(), b"{}", now=NOW)
    with pytest.raises(SignatureInvalid):
        verify_standard_webhook([b"new", b"newer"], headers(), b"{}", now=NOW)


@pytest.mark.parametrize(
    ("late_s", "taken"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_the_signed_instant_may_be_five_minutes_off(late_s: int, taken: bool) -> None:
    """A delivery that is replayed later, or signed by a clock ahead, is refused."""
    at = NOW + timedelta(seconds=late_s)
    if taken:
        verify_standard_webhook([KEY], headers(), b"{}", now=at)
    else:
        with pytest.raises(SignatureInvalid):
            verify_standard_webhook([KEY], headers(), b"{}", now=at)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": ""},
        {"id": "a" * 257},
        {"id": "a.b"},
        {"id": "a b"},
        {"id": "ä"},
        {"timestamp": "179534160"},
        {"timestamp": "01795341600"},
        {"timestamp": "1795341600\n"},
        {"timestamp": "+179534160"},
    ],
)
def test_ids_and_instants_have_one_spelling(changed: dict[str, str]) -> None:
    """Even rightly signed, an id or an instant of another form is refused."""
    with pytest.raises(SignatureInvalid):
        verify_standard_webhook([KEY], headers(**changed), b"{}", now=NOW)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good.rstrip("="),
        lambda good: good + "=",
        lambda good: good + "\n",
        lambda good: good.replace("v1,", "v2,"),
        lambda good: good.replace("v1,", "v1a,"),
        lambda good: good.replace("v1,", "V1,"),
        lambda good: "v1," + good,
        lambda good: f"{good},{good}",
        lambda good: " ".join(["v1,x"] * 16 + [good]),
        lambda good: "",
    ],
)
def test_a_signature_in_another_spelling_is_refused(spoil: Callable[[str], str]) -> None:
    """Other labels, missing padding, doubled headers, and more values than any sender has."""
    told = headers()
    told["webhook-signature"] = spoil(told["webhook-signature"])
    with pytest.raises(SignatureInvalid):
        verify_standard_webhook([KEY], told, b"{}", now=NOW)


@given(body=st.binary(), flip=st.integers(0, 2**16))
def test_one_changed_bit_of_a_signed_delivery_is_noticed(body: bytes, flip: int) -> None:
    """Body, id and instant are all signed."""
    told = headers(body)
    verify_standard_webhook([KEY], told, body, now=NOW)
    spoiled = bytearray(body or b"\0")
    spoiled[flip // 8 % len(spoiled)] ^= 1 << flip % 8
    with pytest.raises(SignatureInvalid):
        verify_standard_webhook([KEY], told, bytes(spoiled), now=NOW)
    for name in ("webhook-id", "webhook-timestamp"):
        changed = {**told, name: told[name][:-1] + ("2" if told[name][-1] == "1" else "1")}
        with pytest.raises(SignatureInvalid):
            verify_standard_webhook([KEY], changed, body, now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "whsec_ä", "whsec_abc"])
def test_a_secret_that_is_no_key_is_a_configuration_error(secret: str) -> None:
    """The field is named, the secret is not repeated."""
    with pytest.raises(ConfigInvalid) as caught:
        standard_webhook_key(secret, field="webhook_secret_previous")
    assert caught.value.field == "webhook_secret_previous"
    assert "base64 " not in str(caught.value.found)


def test_an_empty_key_is_never_a_reason_to_skip() -> None:
    """A key without content would sign anything."""
    with pytest.raises(ConfigInvalid):
        verify_standard_webhook([b""], headers(), b"{}", now=NOW)
