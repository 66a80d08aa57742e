"""Bytes that are no HTTP, HTTP that can be read in two ways, and HTTP that nobody signed.

Every answer is a plain refusal that repeats nothing, and no table has a row more afterwards.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import pytest

from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.web.webhooks import BODY_BYTES_MAX
from tests.hostile.world import CANARY, SIGNATURE, Fort, encoded, signature, woo_order

pytestmark = pytest.mark.asyncio(loop_scope="module")

POST = "POST HOOK HTTP/1.1\nHost: x\n"
TWO = "Content-Length: 2\nConnection: close\n\n{}"
CHUNKED = "Transfer-Encoding: chunked\nConnection: close\n\n"
TWICE = "Content-Encoding: identity\nContent-Encoding: br\n"
BOMB = gzip.compress(b"0" * 10_000_000)

BROKEN: Sequence[tuple[str, str, int]] = (
    # -- framing that a proxy and we could read differently
    ("length and chunked", POST + "Content-Length: 2\n" + CHUNKED + "0\n\n", 400),
    ("chunked and length", POST + CHUNKED.strip("\n") + "\nContent-Length: 2\n\n0\n\n", 400),
    ("chunked twice", POST + "Transfer-Encoding: chunked\n" + CHUNKED + "0\n\n", 400),
    ("chunked not last", POST + "Transfer-Encoding: chunked, identity\n\n0\n\n", 400),
    ("packed and chunked", POST + "Transfer-Encoding: gzip, chunked\n\n0\n\n", 415),
    ("another coding", POST + "Transfer-Encoding: xchunked\n\n0\n\n", 400),
    ("space before the colon", POST + "Transfer-Encoding : chunked\n\n0\n\n", 400),
    ("chunked in HTTP/1.0", "POST HOOK HTTP/1.0\nHost: x\n" + CHUNKED + "0\n\n", 400),
    ("two lengths", POST + "Content-Length: 3\n" + TWO, 400),
    ("one length twice", POST + "Content-Length: 2\n" + TWO, 400),
    ("a list of lengths", POST + "Content-Length: 2, 2\n\n{}", 400),
    ("length +2", POST + "Content-Length: +2\n\n{}", 400),
    ("length -2", POST + "Content-Length: -2\n\n{}", 400),
    ("length 0x2", POST + "Content-Length: 0x2\n\n{}", 400),
    ("length 1_0", POST + "Content-Length: 1_0\n\n{}", 400),
    ("length of 2**64", POST + "Content-Length: 18446744073709551618\n\n{}", 400),
    ("length in other digits", POST + "Content-Length: \xb2\n\n{}", 400),
    ("length shorter than the body", POST + "Content-Length: 2\n\n{}c4n4ry c4n4ry\n\n", 400),
    ("folded header", POST + "X-A: b\n c4n4ry\n" + TWO, 400),
    ("lone carriage returns", POST.replace("\n", "\r") + TWO, 400),
    ("lone line feeds", (POST + TWO).replace("\n", "\v"), 400),
    # -- chunks
    ("chunk size zz", POST + CHUNKED + "zz\n{}\n", 400),
    ("chunk size -1", POST + CHUNKED + "-1\n{}\n", 400),
    ("chunk size 0x2", POST + CHUNKED + "0x2\n{}\n0\n\n", 400),
    ("chunk size 2**64", POST + CHUNKED + "10000000000000002\n{}\n0\n\n", 400),
    ("chunk longer than said", POST + CHUNKED + "1\n{}\n0\n\n", 400),
    ("chunk extension", POST + CHUNKED + "2;c4n4ry=b\n{}\n0\n\n", 401),
    ("signature in a trailer", POST + CHUNKED + "2\n{}\n0\nX-Shopify-Hmac-Sha256: c4n4ry\n\n", 401),
    ("100,000 chunks of a byte", POST + CHUNKED + "1\na\n" * 100_000 + "0\n\n", 401),
    ("10,000 trailers", POST + CHUNKED + "2\n{}\n0\n" + "X: c4n4ry\n" * 10_000 + "\n", 400),
    # -- request lines and headers
    ("no HTTP", "c4n4ry nonsense\n\n", 400),
    ("HTTP/2 preface", "PRI * HTTP/2.0\n\nSM\n\n", 400),
    ("HTTP/9.9", "POST HOOK HTTP/9.9\nHost: x\n" + TWO, 400),
    ("TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + "\0" * 100, 400),
    ("a method of ours", "C4N4RY HOOK HTTP/1.1\nHost: x\n" + TWO, 400),
    ("TRACE", "TRACE HOOK HTTP/1.1\nHost: x\nX: c4n4ry\nConnection: close\n\n", 405),
    ("CONNECT", "CONNECT c4n4ry.example:443 HTTP/1.1\nHost: x\nConnection: close\n\n", 404),
    ("OPTIONS *", "OPTIONS * HTTP/1.1\nHost: x\nConnection: close\n\n", 404),
    ("no Host", "POST HOOK HTTP/1.1\n" + TWO, 400),
    ("two Hosts", POST + "Host: c4n4ry\n" + TWO, 400),
    ("NUL in a header", POST + "X: a\0b\n" + TWO, 400),
    ("a header without a name", POST + ": c4n4ry\n" + TWO, 400),
    ("a header without a colon", POST + "c4n4ry\n" + TWO, 400),
    ("bytes in a header's name", POST + "X-\xff: c4n4ry\n" + TWO, 400),
    ("bytes in the signature", POST + "X-Shopify-Hmac-Sha256: \xff\xe9\n" + TWO, 401),
    ("bytes in the shop", POST + "X-Shopify-Shop-Domain: \xff\xe9\n" + TWO, 401),
    ("a header of a megabyte", POST + "X: " + "a" * 1_000_000 + "\n" + TWO, 400),
    ("10,000 headers", POST + "X: c4n4ry\n" * 10_000 + TWO, 400),
    ("another expectation", POST + "Expect: c4n4ry\n" + TWO, 417),
    ("another protocol", POST + "Upgrade: c4n4ry\n" + TWO, 401),
    # -- paths
    ("bytes in the token", "POST /webhooks/demo-shopify/\xff\xfe HTTP/1.1\nHost: x\n" + TWO, 400),
    ("half a character", "POST /webhooks/demo-shopify/%ff%ed%a0 HTTP/1.1\nHost: x\n" + TWO, 404),
    ("a surrogate as channel", "POST /webhooks/%ed%a0%80/%ff HTTP/1.1\nHost: x\n" + TWO, 404),
    ("no URL", "POST http://[c4n4ry HTTP/1.1\nHost: x\n" + TWO, 400),
    ("no port", "POST http://x:99999999/c4n4ry HTTP/1.1\nHost: x\n" + TWO, 400),
    ("up and out", "POST /webhooks/../../c4n4ry HTTP/1.1\nHost: x\n" + TWO, 404),
    ("a path of 9,000", "POST /" + "c4n4ry" * 1_500 + " HTTP/1.1\nHost: x\n" + TWO, 400),
    ("a path with a space", "POST / c4n4ry HTTP/1.1\nHost: x\n" + TWO, 400),
    # -- bodies
    ("packed", POST + "Content-Encoding: gzip\n" + TWO, 415),
    ("packed in a second header", POST + TWICE + TWO, 415),
    ("one byte too long, as said", POST + f"Content-Length: {BODY_BYTES_MAX + 1}\n\n", 413),
    ("unsigned", POST + "X: c4n4ry\n" + TWO, 401),
    ("signed with nothing", POST + "X-Shopify-Hmac-Sha256:\n" + TWO, 401),
    ("no body at all", POST + "Connection: close\n\n", 401),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "status"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN]
)
async def test_what_is_refused_leaves_nothing_and_repeats_nothing(
    attacked: Fort, text: str, status: int
) -> None:
    """The answer is the one status that fits, closes nothing open, and is a phrase of the RFC."""
    before = await attacked.rows()
    reply = await attacked.send(attacked.wire(text))
    assert reply.status == status
    assert CANARY.encode() not in reply.raw.lower()
    assert len(reply.body) < 40
    assert await attacked.rows() == before


async def test_a_packed_bomb_is_refused_packed(attacked: Fort) -> None:
    """Ten megabytes in ten kilobytes: nobody unpacks them."""
    head = f"Content-Encoding: gzip\nContent-Length: {len(BOMB)}\n\n"
    reply = await attacked.send(attacked.wire(POST + head) + BOMB)
    assert reply.status == 415


async def test_one_byte_too_many_is_counted_in_chunks(attacked: Fort) -> None:
    """A signed body of exactly the most is taken; one byte more is refused, whatever it says."""
    before = await attacked.rows()
    padding = b" " * (BODY_BYTES_MAX - 2)
    assert (await attacked.post(WOO, b"{" + padding + b"}")).status == 200
    assert (await attacked.rows())["delivery"] == before["delivery"] + 1
    body = b"{" + padding + b" }"
    assert (await attacked.post(WOO, body)).status == 413
    sign = f"{SIGNATURE[SHOPIFY]}: {signature(SHOPIFY, body)}\n"
    wire = attacked.wire(POST + sign + CHUNKED)
    reply = await attacked.send(wire, f"{len(body):x}\r\n".encode() + body, b"\r\n0\r\n\r\n")
    assert reply.status == 413
    assert (await attacked.rows())["delivery"] == before["delivery"] + 1


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
async def test_a_cut_body_is_not_the_one_that_was_signed(attacked: Fort, cut: int) -> None:
    """A length shorter than the body, with the whole body's signature: 401, nothing stored."""
    body = encoded(woo_order())
    before = await attacked.rows()
    signed = {SIGNATURE[WOO]: signature(WOO, body)}
    reply = await attacked.post(WOO, body[:cut], signed, sign=False)
    assert reply.status == 401
    assert await attacked.rows() == before


async def test_a_sender_that_hangs_up_in_the_body_is_forgotten(attacked: Fort) -> None:
    """A length longer than the body and then the end: nothing is stored, and nothing stays."""
    before = await attacked.rows()
    body = encoded(woo_order())
    sign = f"{SIGNATURE[WOO]}: {signature(WOO, body)}\n"
    wire = attacked.wire(POST + sign + f"Content-Length: {len(body) + 1}\n\n", WOO) + body
    _, writer = await attacked.connect()
    writer.write(wire)
    await writer.drain()
    writer.write_eof()
    writer.close()
    await attacked.until_alone()
    assert await attacked.rows() == before


async def test_a_second_request_behind_the_first_is_its_own(attacked: Fort) -> None:
    """What follows a body is judged by itself: a smuggled delivery needs a signature as well."""
    before = await attacked.rows()
    smuggled = attacked.wire(POST + TWO, WOO)
    reply = await attacked.send(attacked.wire(POST + "Content-Length: 2\n\n{}") + smuggled)
    assert reply.raw.count(b"HTTP/1.1 401 Unauthorized") == 2
    assert await attacked.rows() == before
