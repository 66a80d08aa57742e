"""The public listener, over real HTTP on loopback, with an intake that remembers."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
import structlog
from aiohttp import web

from stockpush.connectors.base import WebhookRequest
from stockpush.engine.intake import Receipt
from stockpush.errors import SignatureInvalid, StoreConflict, StoreUnavailable
from stockpush.web.webhooks import BODY_BYTES_MAX, public_app, public_runner

TOKEN = "0123456789abcdef0123456789abcdef"
HOOK = f"/webhooks/my-shopify/{TOKEN}"


class Counted:
    """Identifiers in order."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        """Return the next identifier."""
        self.count += 1
        return f"id-{self.count}"

    def jitter(self) -> float:
        """Return no jitter."""
        return 0.0


@dataclass
class RememberingIntake:
    """Keeps what it is given; raises or returns what a test wants."""

    received: list[tuple[str, WebhookRequest]] = field(default_factory=list)
    fault: BaseException | None = None
    gate: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    receipt: object = field(default_factory=lambda: Receipt("stored"))

    async def receive(self, channel: str, request: WebhookRequest) -> Receipt:
        """Take one delivery."""
        self.received.append((channel, request))
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return self.receipt  # type: ignore[return-value]  # a planted bug may return no receipt


@dataclass
class Listener:
    """A running public listener."""

    url: str
    host: str
    port: int
    intake: RememberingIntake
    reasons: list[str]
    http: aiohttp.ClientSession

    async def raw(self, *parts: bytes) -> bytes:
        """Send bytes as they are, one part after the other, and return everything answered."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def listening(
    *,
    tokens: Mapping[str, str] | None = None,
    body_timeout_s: float = 10.0,
    headers_timeout_s: float = 5.0,
) -> AsyncIterator[Listener]:
    """Run the listener on a free port of loopback."""
    intake, reasons = RememberingIntake(), list[str]()
    app = public_app(
        intake,
        {"my-shopify": TOKEN} if tokens is None else tokens,
        lambda: reasons,
        ids=Counted(),
        body_timeout_s=body_timeout_s,
    )
    runner = public_runner(app, headers_timeout_s=headers_timeout_s)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as http:
        yield Listener(f"http://{host}:{port}", host, port, intake, reasons, http)
    await runner.cleanup()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """Run the listener with its usual bounds."""
    async with listening() as running:
        yield running


# -- deliveries ---------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b'{"id": 1}', b"\x00\xff\r\n", b"x" * BODY_BYTES_MAX])
async def test_a_delivery_reaches_the_intake_as_it_was_sent(
    listener: Listener, body: bytes
) -> None:
    """The intake gets the channel, lower-case header names and the raw bytes; then comes a 200."""
    async with listener.http.post(
        listener.url + HOOK, data=body, headers={"X-Shopify-Topic": "orders/create"}
    ) as answer:
        assert answer.status == 200
    ((channel, request),) = listener.intake.received
    assert (channel, request.body) == ("my-shopify", body)
    assert request.headers["x-shopify-topic"] == "orders/create"


async def test_a_chunked_delivery_is_read(listener: Listener) -> None:
    """A body without a stated length is read all the same."""
    answer = await listener.raw(
        f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert listener.intake.received[0][1].body == b"{}"


async def test_http_1_0_is_spoken(listener: Listener) -> None:
    """Some shops deliver over HTTP/1.0."""
    answer = await listener.raw(f"POST {HOOK} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    assert answer.split(b"\r\n")[0].endswith(b" 200 OK")


async def test_no_answer_before_the_commit(listener: Listener) -> None:
    """While the intake has not committed, nothing is said: a 2xx is a promise."""
    listener.intake.gate = asyncio.Event()
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    answer = asyncio.ensure_future(reader.readline())
    await listener.intake.arrived.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert not answer.done()
    listener.intake.gate.set()
    assert await answer == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_no_200_without_a_receipt(listener: Listener) -> None:
    """An intake that returns nothing (a bug) cannot make the listener say yes."""
    listener.intake.receipt = None
    async with listener.http.post(listener.url + HOOK, data=b"{}") as answer:
        assert answer.status == 503


async def test_a_sender_that_hangs_up_does_not_undo_the_commit(listener: Listener) -> None:
    """The delivery goes on being taken in when its sender does not wait for the answer."""
    listener.intake.gate = asyncio.Event()
    finished = asyncio.Event()
    receive = listener.intake.receive

    async def watched(channel: str, request: WebhookRequest) -> Receipt:
        receipt = await receive(channel, request)
        finished.set()
        return receipt

    listener.intake.receive = watched  # type: ignore[method-assign]  # to see the end of it
    _reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    await listener.intake.arrived.wait()
    writer.transport.abort()
    for _ in range(50):
        await asyncio.sleep(0)
    listener.intake.gate.set()
    async with asyncio.timeout(5):
        await finished.wait()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (SignatureInvalid(), 401),
        (StoreUnavailable(), 503),
        (StoreConflict(), 503),
        (RuntimeError("canary"), 503),
        (KeyError("canary"), 503),
        (TimeoutError("canary"), 503),
        (web.HTTPFound("/canary"), 503),
    ],
)
async def test_what_the_intake_cannot_take(
    listener: Listener, fault: BaseException, status: int
) -> None:
    """A bad signature is 401; everything on our side is 503, and never a stack trace."""
    listener.intake.fault = fault
    async with listener.http.post(listener.url + HOOK, data=b"{}") as answer:
        text = await answer.text()
        assert answer.status == status
        assert ("Retry-After" in answer.headers) == (status == 503)
    assert "canary" not in text
    assert "Traceback" not in text


async def test_a_defect_is_logged_under_the_id_in_the_answer(listener: Listener) -> None:
    """The id in the answer finds the log line, which has the place and not the error's text."""
    listener.intake.fault = RuntimeError("canary")
    with structlog.testing.capture_logs() as lines:
        async with listener.http.post(listener.url + HOOK, data=b"secret body") as answer:
            text = await answer.text()
    (line,) = lines
    assert (line["event"], line["channel"], line["log_level"]) == (
        "delivery.failed",
        "my-shopify",
        "error",
    )
    assert line["id"] in text
    assert line["exc_info"] is listener.intake.fault


# -- who may deliver ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/my-shopify/" + "f" * 32,
        "/webhooks/my-shopify/" + TOKEN[:-1],
        "/webhooks/my-shopify/" + TOKEN + "0",
        "/webhooks/my-shopify/" + TOKEN.upper(),
        "/webhooks/my-shopify/%D0%BA%D0%BB%D1%8E%D1%87",
        "/webhooks/my-shopify/%00",
        "/webhooks/other/" + TOKEN,
        "/webhooks/other/" + "0" * 32,
        "/webhooks/my-shopify/",
        "/webhooks/my-shopify",
        "/webhooks//" + TOKEN,
        HOOK + "/",
        HOOK + "/x",
        "/webhooks",
        "/",
    ],
)
async def test_wrong_token_and_unknown_channel_look_the_same(listener: Listener, path: str) -> None:
    """Who does not know the path learns nothing, not even which channels there are."""
    expected = await listener.raw(
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    )
    got = await listener.raw(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        "Content-Length: 2\r\n\r\n{}".encode()
    )
    assert got.split(b"\r\n")[0] == b"HTTP/1.1 404 Not Found"
    without_date = [
        [line for line in answer.split(b"\r\n") if not line.startswith(b"Date:")]
        for answer in (got, expected)
    ]
    assert without_date[0] == without_date[1]
    assert listener.intake.received == []


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        HOOK,
        HOOK + "/",
        HOOK + "//",
        HOOK + "/.",
        HOOK + "?",
        HOOK + "?a=b",
        HOOK + "#",
        HOOK + ";a",
        "/" + HOOK,
        HOOK.replace("/webhooks", "//webhooks"),
        HOOK.replace("/my-shopify/", "//my-shopify//"),
        HOOK.replace("/my-shopify/", "/./my-shopify/"),
        HOOK.replace("/my-shopify/", "/x/../my-shopify/"),
        HOOK.replace("/my-shopify/", "%2Fmy-shopify%2f"),
        HOOK.replace("my-shopify", "my%2Dshopify"),
        HOOK.replace("webhooks", "%77ebhooks"),
        HOOK.replace("webhooks", "WebHooks"),
        HOOK.replace("/my-shopify/", "\\my-shopify\\"),
        HOOK.upper(),
        HOOK + "%2F",
        HOOK + "%00",
        HOOK + "%20",
        "/webhooks",
        "/webhooks/",
        "/webhooks/my-shopify",
        "/webhooks/my-shopify/",
        "/healthz/",
        "//healthz",
        "//other.example/webhooks",
    ],
)
async def test_no_variant_of_a_path_is_answered_with_a_redirect(
    listener: Listener, method: str, path: str
) -> None:
    """Senders do not follow redirects: a delivery is taken, refused or unknown, never sent on."""
    answer = await listener.raw(
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        "Content-Length: 2\r\n\r\n{}".encode()
    )
    status = int(answer.split(b" ", 2)[1])
    assert status in {200, 400, 404, 405}, answer
    assert b"\r\nlocation:" not in answer.lower()
    assert (status == 200) == bool(listener.intake.received), "200 is for what was taken"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", [HOOK, "/webhooks/other/x"])
async def test_only_post(listener: Listener, method: str, path: str) -> None:
    """Other methods are 405 on every hook path, whether or not there is such a hook."""
    async with listener.http.request(method, listener.url + path) as answer:
        assert answer.status == 405
    assert listener.intake.received == []


# -- limits -------------------------------------------------------------------------------------


async def test_a_stated_length_past_the_limit_is_refused_unread(listener: Listener) -> None:
    """A body that says it is too large is refused before a byte of it arrives."""
    size = BODY_BYTES_MAX + 1
    answer = await listener.raw(
        f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert listener.intake.received == []


async def test_a_body_is_counted_as_it_comes(listener: Listener) -> None:
    """A chunked body cannot hide its size: one byte past the limit is refused."""
    chunk = b"x" * (BODY_BYTES_MAX + 1)
    answer = await listener.raw(
        f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
        f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n0\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert listener.intake.received == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "x", "gzip, identity"])
async def test_an_encoded_body_is_refused(listener: Listener, encoding: str) -> None:
    """No platform encodes its deliveries; what does could be small here and huge unpacked."""
    async with listener.http.post(
        listener.url + HOOK,
        data=gzip.compress(b"{}"),
        headers={"Content-Encoding": encoding},
        skip_auto_headers=("Content-Type",),
    ) as answer:
        assert answer.status == 415
    assert listener.intake.received == []


async def test_a_slow_body_ends() -> None:
    """A sender that stops in the middle of a body is let go after the bound, with a 408."""
    async with listening(body_timeout_s=0.1) as listener:
        answer = await listener.raw(
            f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert listener.intake.received == []


@pytest.mark.parametrize("sent", [b"", b"POST ", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_slow_headers_end(sent: bytes) -> None:
    """A connection that never finishes its headers is closed after the bound."""
    async with listening(headers_timeout_s=0.1) as listener:
        assert await listener.raw(sent) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"canary nonsense\r\n\r\n",
        b"POST /canary HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n",
        (
            b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"POST /x HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_broken_http_is_400(
    listener: Listener, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not HTTP, or could be read two ways, is refused and reaches nobody."""
    caplog.set_level(logging.CRITICAL, logger="aiohttp.server")
    answer = await listener.raw(request_bytes)
    assert answer.split(b" ")[1] == b"400"
    assert listener.intake.received == []


async def test_a_broken_chunk_is_400(listener: Listener) -> None:
    """A body whose framing breaks is not taken in."""
    answer = await listener.raw(
        f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
        b"zz\r\n{}\r\n",
    )
    assert answer.split(b" ")[1] == b"400"
    assert listener.intake.received == []


async def test_a_header_sent_twice_is_joined(listener: Listener) -> None:
    """A second signature does not replace the first one, or hide behind it: both are seen."""
    await listener.raw(
        f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nX-Sig: a\r\nX-Sig: b\r\nConnection: close\r\n"
        "Content-Length: 0\r\n\r\n".encode()
    )
    assert listener.intake.received[0][1].headers["x-sig"] == "a, b"


async def test_paths_are_not_logged(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    """The path holds the token, so the server keeps no access log."""
    caplog.set_level(logging.DEBUG)
    async with listener.http.post(listener.url + HOOK, data=b"{}") as answer:
        assert answer.status == 200
    assert TOKEN not in caplog.text


# -- health -------------------------------------------------------------------------------------


async def test_health(listener: Listener) -> None:
    """`healthz` says that the process lives; `readyz` that it can work, or why it cannot."""
    async with listener.http.get(listener.url + "/healthz") as answer:
        assert answer.status == 200
    async with listener.http.get(listener.url + "/readyz") as answer:
        assert (answer.status, json.loads(await answer.text())["reasons"]) == (200, [])
    listener.reasons.append("the database cannot be reached")
    async with listener.http.get(listener.url + "/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {
            "ready": False,
            "reasons": ["the database cannot be reached"],
        }
    async with listener.http.get(listener.url + "/healthz") as answer:
        assert answer.status == 200


async def test_a_channel_added_by_a_reload_is_served_at_once() -> None:
    """Tokens are looked up at every delivery."""
    tokens = {"my-shopify": TOKEN}
    async with listening(tokens=tokens) as listener:
        tokens["my-woo"] = "e" * 32
        url = f"{listener.url}/webhooks/my-woo/{'e' * 32}"
        async with listener.http.post(url, data=b"{}") as answer:
            assert answer.status == 200
