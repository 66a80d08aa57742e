"""The channel's HTTP door, against a server that counts what it receives and misbehaves.

The server is real (asyncio on loopback, bytes on sockets), since the question is what the client
does with a connection, not what it was told to do.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from stockpush import __version__
from stockpush.connectors.base import Api, Connector, Manifest, Moment, Notes
from stockpush.engine.answers import (
    RESPONSE_BYTES_MAX,
    RETRY_AFTER_DEFAULT_S,
    RETRY_AFTER_MAX_S,
    RETRY_AFTER_MIN_S,
)
from stockpush.engine.limiter import Limiter
from stockpush.engine.transport import READ_ATTEMPTS_MAX, ChannelApi, Reached, in_process, reach
from stockpush.errors import (
    AuthFailed,
    ChannelError,
    ChannelUnavailable,
    ConfigInvalid,
    OutcomeUnknown,
    PayloadInvalid,
    RateLimited,
    StoreUnavailable,
)

SECRET = "shpat_canary0123456789"
"""A canary: tests look for it where it must not be."""
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


class StepClock:
    """Time that passes only by sleeping, which takes no time."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return an instant that only sleeping moves."""
        return datetime(2026, 11, 22, 10, tzinfo=UTC) + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        """Return the seconds slept so far."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once, and note it."""
        self.slept.append(seconds)
        self.at += seconds


class Dice:
    """Identifiers in order, and dice that always show the middle."""

    def new(self) -> str:
        """Return the one identifier."""
        return "00000000-0000-0000-0000-000000000001"

    def jitter(self) -> float:
        """Return the middle."""
        return 0.5


@dataclass
class PlainConnector:
    """The parts of a connector that the transport looks at."""

    url: str
    manifest: Manifest
    token: str = SECRET
    channel: str = "my-shop"

    def base_url(self) -> str:
        """Return the root of the paths."""
        return self.url

    def auth_headers(self) -> Mapping[str, str]:
        """Return the present credentials."""
        return {"X-Access-Token": self.token}


def manifest(deadline_s: float) -> Manifest:
    """Return a manifest of which only the deadline matters here."""
    return Manifest(
        name="plain",
        title="Plain",
        api_version="1",
        write="compare_and_set",
        batch_max=10,
        read_max=10,
        quantity_max=10**9,
        requests_per_s=10,
        burst=10,
        deadline_s=deadline_s,
        slack_s=1,
        orders_lag_s=60,
        poll_overlap_s=60,
        suspense_min_s=900,
        quiet_s=0,
        webhook_topics=(),
        ref_fields=(),
    )


@dataclass
class Received:
    """One request as the server read it."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answers(status: int = 200, body: bytes = b"{}", **headers: str) -> Reply:
    """Return a reply with these headers (underscores become hyphens) and a body."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    return reply


def sends(raw: bytes) -> Reply:
    """Return a reply of exactly these bytes, after which the connection is closed."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    return reply


async def drops(writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word: the shop has read, and applied, the request."""
    writer.close()


async def resets(writer: asyncio.StreamWriter) -> None:
    """Abort the connection (RST)."""
    writer.transport.abort()


async def drips(writer: asyncio.StreamWriter) -> None:
    """Send one byte at a time for ever: no single read ever waits long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.001)


async def hangs(writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client goes away."""
    await writer.wait_closed()


class CountingServer:
    """Reads whole requests, records each, and replies as its script says; then with 200s."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.script: list[Reply] = []
        self.connections = 0
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk on one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                request = await self._read(reader, number)
                self.received.append(request)
                reply = self.script.pop(0) if self.script else answers()
                await reply(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(connection, method, target, headers, body)

    async def stop(self) -> None:
        """Cancel what still talks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def requests(self) -> list[str]:
        """Return the methods received, in order."""
        return [request.method for request in self.received]


@pytest.fixture
async def server() -> AsyncIterator[CountingServer]:
    """Run a counting server on loopback."""
    counting = CountingServer()
    listener = await asyncio.start_server(counting.serve, "127.0.0.1", 0)
    counting.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield counting
    listener.close()
    await counting.stop()


@asynccontextmanager
async def door(
    url: str,
    *,
    deadline_s: float = 10.0,
    clock: StepClock | None = None,
    token: str = SECRET,
    network: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[ChannelApi]:
    """Open a channel's door on `url`."""
    clock = clock or StepClock()
    connector = cast("Connector", PlainConnector(url, manifest(deadline_s), token))
    async with ChannelApi(
        connector,
        clock=clock,
        ids=Dice(),
        limiter=Limiter(clock, rate=10, burst=10),
        transport=network,
    ) as api:
        yield api


def protocol_holds(api: ChannelApi) -> Api:
    """Type-check that the door is what connectors are given."""
    return api


# -- a write is sent exactly once ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("accident", [drops, resets], ids=["closes", "resets"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
async def test_a_write_is_sent_exactly_once(
    server: CountingServer, method: str, accident: Reply, reused: bool
) -> None:
    """The shop applies a write and the connection breaks: it was received once, outcome unknown.

    On a connection kept alive from an earlier call some clients take the break for a stale
    connection and repeat the request, which here would be a second write.
    """
    async with door(server.url) as api:
        if reused:
            await api.send("GET", "/ping", write=False)
        server.script = [accident]
        with pytest.raises(OutcomeUnknown):
            await api.send(method, "/stock/1", write=True, body=b'{"quantity":7}')
        writes = [request for request in server.received if request.method == method]
        assert [write.body for write in writes] == [b'{"quantity":7}']
        assert writes[0].connection == 1
        assert len(server.received) == (2 if reused else 1)


@pytest.mark.parametrize(
    "reply",
    [
        answers(500),
        answers(502, b"<html>Bad gateway</html>"),
        answers(503),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        sends(b"nonsense\r\n\r\n"),
        sends(b"HTTP/1.1 200 OK\r\n"),
        answers(200, b"not gzip", Content_Encoding="gzip"),
        answers(200, gzip.compress(b"{}" * 100)[:-9], Content_Encoding="gzip"),
        answers(200, b"?", Content_Encoding="br"),
    ],
)
async def test_a_write_without_a_usable_answer_is_unknown(
    server: CountingServer, reply: Reply
) -> None:
    """5xx, a broken answer and an unreadable one all leave open whether the write was applied."""
    async with door(server.url) as api:
        server.script = [reply]
        with pytest.raises(OutcomeUnknown):
            await api.send("PUT", "/stock/1", write=True, body=b"{}")
    assert server.requests == ["PUT"]


async def test_a_write_past_the_deadline_is_unknown(server: CountingServer) -> None:
    """The shop took the write and says nothing: received once, outcome unknown."""
    async with door(server.url, deadline_s=0.1) as api:
        server.script = [hangs]
        with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.1 s"):
            await api.send("PUT", "/stock/1", write=True, body=b"{}")
    assert server.requests == ["PUT"]


async def test_a_refused_connection_sent_nothing() -> None:
    """Nobody listens: even a write is certain not to have happened, and is not tried again."""
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    clock = StepClock()
    async with door(f"http://127.0.0.1:{port}", clock=clock) as api:
        with pytest.raises(ChannelUnavailable):
            await api.send("PUT", "/stock/1", write=True, body=b"{}")
    assert clock.slept == []


# -- reads are repeated -------------------------------------------------------------------------


@pytest.mark.parametrize("accident", [drops, resets, answers(500), answers(503)])
async def test_a_read_rides_over_a_hiccup(server: CountingServer, accident: Reply) -> None:
    """A read whose connection or server fails is sent again after a growing, jittered pause."""
    clock = StepClock()
    server.script = [accident, accident, answers(200, b"fine")]
    async with door(server.url, clock=clock) as api:
        answer = await api.send("GET", "/stock/1", write=False)
    assert answer.body == b"fine"
    assert server.requests == ["GET", "GET", "GET"]
    assert clock.slept == [0.25, 0.5]


async def test_a_read_is_given_up(server: CountingServer) -> None:
    """After the last attempt the channel counts as unavailable; the outbox retries, not we."""
    server.script = [answers(500)] * 10
    async with door(server.url) as api:
        with pytest.raises(ChannelUnavailable, match="500"):
            await api.send("GET", "/stock/1", write=False)
    assert len(server.received) == READ_ATTEMPTS_MAX


async def test_a_read_dripped_past_the_deadline_ends(server: CountingServer) -> None:
    """The deadline holds for the whole call: an answer that keeps trickling does not extend it."""
    server.script = [drips] * 10
    async with door(server.url, deadline_s=0.15) as api:
        with pytest.raises(ChannelUnavailable, match="no answer within"):
            await api.send("GET", "/stock/1", write=False)
    assert server.requests == ["GET"]


# -- what the channel says ----------------------------------------------------------------------


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        (answers(429, Retry_After="7"), 7.0),
        (answers(429, Retry_After="2.0"), 2.0),
        (answers(503, Retry_After="30"), 30.0),
        (answers(429, Retry_After="Sun, 22 Nov 2026 10:01:30 GMT", Date=DATE), 90.0),
        (
            answers(
                429,
                Retry_After="Sun, 22 Nov 2026 23:00:10 GMT",
                Date="Sun, 22 Nov 2026 23:00:00 GMT",
            ),
            10.0,
        ),
        (answers(503, Retry_After="Sun, 22 Nov 2026 10:01:00 GMT"), 60.0),
        (answers(429, Retry_After="Sun, 22 Nov 2020 10:00:00 GMT", Date=DATE), RETRY_AFTER_MIN_S),
        (answers(429, Retry_After="0"), RETRY_AFTER_MIN_S),
        (answers(429, Retry_After="999999999"), RETRY_AFTER_MAX_S),
        (answers(429, Retry_After="soon"), RETRY_AFTER_DEFAULT_S),
        (answers(429, Retry_After="-5"), RETRY_AFTER_DEFAULT_S),
        (answers(429), RETRY_AFTER_DEFAULT_S),
    ],
)
async def test_told_to_wait(
    server: CountingServer, reply: Reply, wait_s: float, write: bool
) -> None:
    """429, and 503 with Retry-After, say how long to wait: in seconds or as a date, bounded.

    A date counts from the answer's own Date, so that a clock an hour off does no harm. Nothing
    is sent again, and the limiter holds the channel's next call.
    """
    clock = StepClock()
    server.script = [reply]
    async with door(server.url, clock=clock) as api:
        with pytest.raises(RateLimited) as caught:
            await api.send("PUT" if write else "GET", "/stock/1", write=write)
        assert caught.value.retry_after_s == wait_s
        assert len(server.received) == 1
        if wait_s < 10:
            await api.send("GET", "/stock/1", write=False)
            assert clock.at >= wait_s


async def test_a_wait_longer_than_the_deadline_is_refused_at_once(server: CountingServer) -> None:
    """While the channel is held for long, a call fails at once with the wait and sends nothing."""
    async with door(server.url) as api:
        api.pause(60.0)
        with pytest.raises(RateLimited) as caught:
            await api.send("PUT", "/stock/1", write=True)
        assert caught.value.retry_after_s == pytest.approx(60.1)
    assert server.received == []


async def test_a_deadline_spent_in_the_queue_sends_nothing(server: CountingServer) -> None:
    """A call that never gets its turn within the deadline is `RateLimited`, also when a write."""

    class StoppedClock(StepClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.get_running_loop().create_future()

    async with door(server.url, clock=StoppedClock(), deadline_s=0.2) as api:
        api.pause(0.05)
        with pytest.raises(RateLimited):
            await api.send("PUT", "/stock/1", write=True)
    assert server.received == []


@pytest.mark.parametrize("by", ["monotonic", "wall"])
async def test_what_would_be_sent_too_late_is_not_sent(server: CountingServer, by: str) -> None:
    """A write that rests on a reading names the last moment at which it is still worth something.

    By either clock, and looked at after the wait for the rate limit. It was certainly not sent.
    """
    clock = StepClock()
    async with door(server.url, clock=clock) as api:
        server.script = [answers(200), answers(200)]
        sent = (await api.send("GET", "/stock/1", write=False)).sent
        assert sent == Moment(clock.now(), clock.monotonic())
        until = sent.plus(2.0)
        await api.send("PUT", "/stock/1", write=True, until=until)
        late = replace(sent.plus(3600.0), **{by: getattr(until, by)})
        api.pause(2.5)
        with pytest.raises(ChannelUnavailable):
            await api.send("PUT", "/stock/1", write=True, until=late)
    assert [request.method for request in server.received] == ["GET", "PUT"]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("write", [False, True])
async def test_refused_credentials(server: CountingServer, status: int, write: bool) -> None:
    """401 and 403 are about the credentials, and are not tried again."""
    server.script = [answers(status)]
    async with door(server.url) as api:
        with pytest.raises(AuthFailed):
            await api.send("PUT" if write else "GET", "/stock/1", write=write)
    assert len(server.received) == 1


@pytest.mark.parametrize(("write", "error"), [(False, ChannelUnavailable), (True, OutcomeUnknown)])
async def test_a_page_in_the_place_of_an_answer_is_not_about_credentials(
    server: CountingServer, write: bool, error: type[Exception]
) -> None:
    """A firewall before the shop answers 403 with a page: no new token would help.

    Some of them look at answers too, so that a write may have been applied: it is looked up.
    """
    server.script = [answers(403, b"\n<!DOCTYPE html><title>Attention</title>")] * 4
    async with door(server.url) as api:
        with pytest.raises(error, match="page") as caught:
            await api.send("PUT" if write else "GET", "/stock/1", write=write)
    assert getattr(caught.value, "answered", True)
    assert len(server.received) == (1 if write else READ_ATTEMPTS_MAX)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_never_followed(server: CountingServer, status: int) -> None:
    """A redirect is an error: the credentials must not travel to wherever it leads."""
    other = CountingServer()
    listener = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.script = [answers(status, b"", Location=f"http://127.0.0.1:{port}/?token={SECRET}")]
    async with door(server.url) as api:
        with pytest.raises(PayloadInvalid, match="redirect") as caught:
            await api.send("GET", "/stock/1", write=False)
    listener.close()
    assert SECRET not in str(caught.value.as_json())
    assert (len(server.received), len(other.received)) == (1, 0)


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 409, 410, 413, 422])
async def test_other_answers_reach_the_connector(server: CountingServer, status: int) -> None:
    """What the shop says about its data is for the connector to understand."""
    body = b"" if status == 204 else b'{"code":"x"}'
    server.script = [answers(status, body, Date=DATE, X_WP_Total="3")]
    async with door(server.url) as api:
        answer = await api.send("GET", "/stock/1", write=False)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["x-wp-total"] == "3"
    assert answer.date == datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 22 Nov 2026 10:00:00", "0", "9" * 60])
async def test_an_unreadable_date_is_none(server: CountingServer, date: str) -> None:
    """A missing, broken or zoneless Date is no date, never a guess."""
    server.script = [answers(200, Date=date)]
    async with door(server.url) as api:
        answer = await api.send("GET", "/", write=False)
    assert answer.date is None


# -- limits -------------------------------------------------------------------------------------


def chunked(size: int) -> bytes:
    """Return a chunked answer of `size` bytes, which does not say its size beforehand."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + f"{size:x}\r\n".encode() + b"." * size + b"\r\n0\r\n\r\n"


def packed(size: int) -> Reply:
    """Return a small gzip answer that unpacks to `size` bytes."""
    return answers(200, gzip.compress(b"." * size), Content_Encoding="gzip")


@pytest.mark.parametrize("size", [RESPONSE_BYTES_MAX, RESPONSE_BYTES_MAX + 1])
@pytest.mark.parametrize(
    "reply",
    [lambda size: answers(200, b"." * size), lambda size: sends(chunked(size)), packed],
    ids=["length", "chunked", "gzip"],
)
async def test_the_answer_has_a_limit(
    server: CountingServer, reply: Callable[[int], Reply], size: int
) -> None:
    """An answer at the limit is read; one byte more is refused, however it is sent or packed."""
    server.script = [reply(size)]
    async with door(server.url, deadline_s=60) as api:
        if size <= RESPONSE_BYTES_MAX:
            assert len((await api.send("GET", "/", write=False)).body) == size
            return
        with pytest.raises(PayloadInvalid, match="larger than"):
            await api.send("GET", "/", write=False)
    assert server.requests == ["GET"]


async def test_a_small_bomb_does_not_fill_memory(server: CountingServer) -> None:
    """Unpacking stops at the limit: it never holds what the whole answer would become."""
    server.script = [packed(100 * 1024 * 1024)]
    async with door(server.url, deadline_s=60) as api:
        tracemalloc.start()
        try:
            with pytest.raises(PayloadInvalid, match="larger than"):
                await api.send("GET", "/", write=False)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 5 * RESPONSE_BYTES_MAX


# -- where credentials go -----------------------------------------------------------------------


async def test_the_request_as_sent(server: CountingServer) -> None:
    """Path and query go below the base URL; headers and fresh credentials go with every call."""
    async with door(f"{server.url}/shop/") as api:
        await api.send(
            "POST",
            "/wp-json/a%20b/1",
            write=True,
            params=[("page", "2"), ("include", "1"), ("include", "é&=")],
            headers={"Content-Type": "application/json", "x-access-token": "forged"},
            body=b"[]",
        )
    (request,) = server.received
    assert request.target == "/shop/wp-json/a%20b/1?page=2&include=1&include=%C3%A9%26%3D"
    assert request.body == b"[]"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-access-token"] == SECRET
    assert request.headers["user-agent"] == f"stockpush/{__version__}"


async def test_rotated_credentials_are_used_at_once(server: CountingServer) -> None:
    """The connector is asked for its credentials at every call."""
    connector = PlainConnector(server.url, manifest(10))
    clock = StepClock()
    async with ChannelApi(
        cast("Connector", connector),
        clock=clock,
        ids=Dice(),
        limiter=Limiter(clock, rate=10, burst=10),
    ) as api:
        await api.send("GET", "/", write=False)
        connector.token = "rotated"
        await api.send("GET", "/", write=False)
    assert [r.headers["x-access-token"] for r in server.received] == [SECRET, "rotated"]


@pytest.mark.parametrize(
    "path",
    [
        "http://evil.test/",
        "https://evil.test/stock",
        "//evil.test/stock",
        "///evil.test",
        "\\\\evil.test\\x",
        "/a//evil.test",
        "/../admin",
        "/a/../../admin",
        "/a/%2e%2e/%2E%2e/admin",
        "/a%2F..%2f..%2fadmin",
        "/a/..%5cadmin",
        "/a?token=1",
        "/a#b",
        "/a b",
        "/a\r\nHost: evil.test",
        "/\x00",
        "/é",
        "@evil.test",
        ":80@evil.test/",
    ],
)
async def test_a_path_cannot_leave_the_base_url(server: CountingServer, path: str) -> None:
    """A path out of an answer (a "next page") goes to our host below the base path, or nowhere."""
    async with door(f"{server.url}/shop") as api:
        try:
            await api.send("GET", path, write=False)
        except PayloadInvalid:
            assert server.received == []
            return
    (request,) = server.received
    assert request.target.startswith("/shop/")
    assert ".." not in request.target


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com",
        "http://10.0.0.1",
        "https://user:pw@shop.example.com",
        "https://shop.example.com/?a=1",
        "https://shop.example.com/#a",
        "ftp://shop.example.com",
        "shop.example.com",
        "https://",
        "",
        "https://[",
    ],
)
def test_base_urls_that_would_leak(url: str) -> None:
    """Credentials go over TLS, or stay on this machine: anything else is refused, by name."""
    connector = cast("Connector", PlainConnector(url, manifest(10)))
    clock = StepClock()
    with pytest.raises(ConfigInvalid) as caught:
        ChannelApi(connector, clock=clock, ids=Dice(), limiter=Limiter(clock, rate=1, burst=1))
    assert caught.value.field == "channels.my-shop.base_url"
    assert "pw" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["https://shop.example.com/x", "http://localhost:1", "http://[::1]"]
)
async def test_base_urls_that_are_fine(url: str) -> None:
    """HTTPS anywhere, plain HTTP to this machine."""
    async with door(url) as api:
        assert protocol_holds(api) is api


async def test_no_secret_in_any_error(server: CountingServer) -> None:
    """Neither a credential nor a query ever stands in an error, or in what it was caused by."""
    replies: Sequence[Reply] = [
        drops,
        resets,
        answers(500, SECRET.encode()),
        answers(429),
        answers(401, SECRET.encode()),
        answers(302, Location=f"https://evil.test/{SECRET}"),
        answers(200, SECRET.encode(), Content_Encoding=SECRET),
        sends(f"HTTP/1.1 {SECRET}\r\n\r\n".encode()),
    ]
    for write in (True, False):
        for reply in replies:
            async with door(server.url) as api:
                server.script = [reply] * READ_ATTEMPTS_MAX
                with pytest.raises(ChannelError) as caught:
                    await api.send("PUT", "/stock", write=write, params=[("key", SECRET)])
                server.script = []
                assert SECRET not in str(caught.value.as_json())
                assert caught.value.__cause__ is None
                assert "PUT /stock" in caught.value.message


@pytest.mark.parametrize("token", ["abc\r\nX-Evil: 1", "ключ", "a\x00b", "tab\there"])
async def test_a_credential_that_cannot_be_sent(server: CountingServer, token: str) -> None:
    """A pasted line break or a foreign letter is a credential problem, named without its value."""
    async with door(server.url, token=token) as api:
        with pytest.raises(AuthFailed) as caught:
            await api.send("GET", "/", write=False)
    assert token not in caught.value.message
    assert server.received == []


async def test_cookies_are_not_kept(server: CountingServer) -> None:
    """A channel cannot give us a cookie: calls stay independent of each other."""
    async with door(server.url) as api:
        server.script = [answers(200, Set_Cookie="session=1; Path=/")]
        await api.send("GET", "/", write=False)
        await api.send("GET", "/", write=False)
    assert "cookie" not in server.received[1].headers


async def test_the_environment_is_not_asked(
    server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment gets neither our calls nor our credentials."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with door(server.url) as api:
        await api.send("GET", "/", write=False)
    assert server.requests == ["GET"]


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    """TLS is verified: a server with an unknown certificate gets no request and no credentials.

    The server offers no certificate at all here (anonymous TLS 1.2), which no verification can
    pass, and accepts any client.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    counting = CountingServer()
    listener = await asyncio.start_server(counting.serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    async with door(f"https://127.0.0.1:{port}") as api:
        with pytest.raises(ChannelUnavailable):
            await api.send("PUT", "/", write=True)
    listener.close()
    assert counting.received == []


# -- urgency and the in-process network ---------------------------------------------------------


async def test_the_urgent_door_is_the_same_door() -> None:
    """`urgent` sends through the same limiter, base URL and client, before those that wait."""
    order: list[str] = []

    async def shop(
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]:
        order.append(path)
        return 200, {}, b""

    class YieldingClock(StepClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            await asyncio.sleep(0)

    clock = YieldingClock()
    async with door("https://shop.test/v1", network=in_process(shop), clock=clock) as api:
        api.urgent.pause(1.0)
        await asyncio.gather(
            api.send("GET", "first", write=False),
            api.send("GET", "second", write=False),
            api.urgent.send("PUT", "lower", write=True),
        )
    assert order == ["/v1/lower", "/v1/first", "/v1/second"]


async def test_a_shop_in_this_process() -> None:
    """The simulator's shop is called with the whole request, through the same mapping."""
    seen: list[tuple[Any, ...]] = []

    async def shop(
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]:
        seen.append((method, path, list(query), headers["x-access-token"], body))
        return 201, {"Date": DATE, "X-Thing": "1"}, b"made"

    async with door("https://shop.test/v1", network=in_process(shop)) as api:
        answer = await api.send("POST", "/x", write=True, params=[("a", "1")], body=b"{}")
    assert seen == [("POST", "/v1/x", [("a", "1")], SECRET, b"{}")]
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (201, b"made", "1")
    assert answer.date is not None


@pytest.mark.parametrize(
    ("accident", "error"),
    [(ConnectionResetError, OutcomeUnknown), (ConnectionRefusedError, ChannelUnavailable)],
)
async def test_a_shop_in_this_process_can_break_the_connection(
    accident: type[ConnectionError], error: type[ChannelError]
) -> None:
    """A reset after the request is unknown for a write; a refusal before it is not."""
    calls = 0

    async def shop(*_request: object) -> tuple[int, Mapping[str, str], bytes]:
        nonlocal calls
        calls += 1
        raise accident

    async with door("https://shop.test", network=in_process(shop)) as api:
        with pytest.raises(error):
            await api.send("PUT", "/x", write=True)
    assert calls == 1


async def test_what_is_noted_is_kept_or_the_write_does_not_happen() -> None:
    """A door is its channel's notebook, also the urgent one; what cannot be noted is said."""

    class Full:
        async def noted(self) -> Mapping[str, str]:
            raise StoreUnavailable

        async def note(self, key: str, text: str | None) -> None:
            raise StoreUnavailable

    async with door("http://127.0.0.1:1") as api:
        urgent = cast("ChannelApi", api.urgent)
        for each in (api, urgent):
            assert isinstance(each, Notes)
        await urgent.note("off/1", "by us")
        await api.note("off/2", "by us")
        await api.note("off/2", None)
        await api.note("off/3", None)
        assert await api.noted() == await urgent.noted() == {"off/1": "by us"}
        api._notebook = Full()
        with pytest.raises(ChannelUnavailable):
            await urgent.note("off/4", "by us")
        with pytest.raises(ChannelUnavailable):
            await api.noted()


@pytest.mark.parametrize(("seconds", "skew"), [(0, 0.5), (90, -89.5), (-600, 600.5)])
async def test_how_far_the_channel_s_clock_is_from_ours(
    server: CountingServer, seconds: float, skew: float
) -> None:
    """Told by the Date of each answer; before the first one nothing is known."""
    clock = StepClock()
    clock.at = seconds
    server.script.append(answers(Date=DATE))
    async with door(server.url, clock=clock) as api:
        assert api.skew is None
        await api.send("GET", "/", write=False)
        assert api.skew == timedelta(seconds=skew)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answers(200), Reached(200)),
        (
            answers(301, Location="https://www.shop.example/"),
            Reached(301, "https://www.shop.example/"),
        ),
        (drops, Reached(None)),
    ],
    ids=["answers", "redirects", "drops"],
)
async def test_our_own_address_is_asked_once(
    server: CountingServer, reply: Reply, expected: Reached
) -> None:
    """Nothing of ours goes along, and no redirect is followed."""
    server.script.append(reply)
    assert await reach(f"{server.url}/healthz") == expected
    (request,) = server.received
    assert not {"authorization", "cookie", "x-access-token"} & request.headers.keys()
    assert await reach("http://127.0.0.1:1/healthz") == Reached(None)
