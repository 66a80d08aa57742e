"""The public listener: deliveries of the channels, and health.

Theory of operation. Every channel has a path that cannot be guessed. A wrong token and an unknown
channel are answered alike, after the same work, before anything of the body is read. Then come
the cheap refusals (encoding, size), the body within a bound of bytes and of time, and the intake,
which verifies the signature over the raw bytes. A 200 is made in one place, out of the receipt
that the intake gives after its commit: without a receipt there is no way to say yes (a delivery
answered before it is durable is a sale that can be lost).

What is not signed is 401, or 429 from an endpoint where that happens all the time. The limit
counts what failed, after it failed, so that no number of forged deliveries can have a signed one
refused. It could not save work either: whoever gets this far knows the path, the body is bounded,
and checking a megabyte takes a millisecond, which is less than reading it took. What it saves is
the log, and it slows senders down that only have the wrong secret.

Whatever goes wrong on our side is a 503: the sender comes back, where a 4xx would make some
channels give up. No answer here repeats anything of a request, and nothing redirects. The access
log of the server is off, since paths hold tokens.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from aiohttp import HttpVersion11, web

from stockpush import logs
from stockpush.connectors.base import WebhookRequest
from stockpush.engine.intake import Receipt
from stockpush.engine.limiter import Bucket, take
from stockpush.errors import SignatureInvalid, StoreUnavailable
from stockpush.ports import Ids
from stockpush.web.listener import Connection, Connections, Runner, connection_of

BODY_BYTES_MAX = 1024 * 1024
"""Largest delivery."""
BODY_TIMEOUT_S = 10.0
"""How long a sender may take over the body."""
HEADERS_TIMEOUT_S = 5.0
"""How long a sender may take over the request line and headers, and idle between requests."""
STORE_TIMEOUT_S = 4.0
"""How long a delivery may wait for its commit: platforms give up after five seconds."""
SHUTDOWN_S = 1.0
"""How long requests under way may take once the daemon stops; their senders come back."""
LINGER_S = 2.0
"""How long an unwanted body is read on, so that the sender sees our answer before the end."""
RETRY_AFTER_S = 5
"""What senders are told to wait when we cannot store."""
REFUSALS_BURST = 30
"""How many unsigned deliveries of a channel in a row are answered 401, before 429."""
REFUSALS_PER_S = 0.5
"""How many more a second."""
FLOOD_RETRY_AFTER_S = 60
"""What senders of unsigned deliveries are told to wait once they are too many."""

_NO_TOKEN = "0" * 32
"""What an unknown channel's token is compared with, for the time that takes."""


class Intake(Protocol):
    """What takes deliveries in."""

    async def receive(self, channel: str, request: WebhookRequest) -> Receipt:
        """Return after the commit that made the delivery durable, or found it known.

        Raises `SignatureInvalid` if the channel did not sign it, `StoreUnavailable` if it cannot
        be stored now.
        """
        ...


def public_app(
    intake: Intake,
    tokens: Mapping[str, str],
    ready: Callable[[], Sequence[str]],
    *,
    ids: Ids,
    body_timeout_s: float = BODY_TIMEOUT_S,
) -> web.Application:
    """Return the public application.

    `tokens` has the unguessable path part of each channel; it is looked at for every delivery, so
    a reload may change it. `ready` returns the reasons why the daemon is not (empty: it is). Run
    it with `public_runner`, which bounds what an application cannot.
    """
    hooks = _Hooks(intake, tokens, ids, body_timeout_s)

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        reasons = list(ready())
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=status)

    app = web.Application()
    app.router.add_post("/webhooks/{channel}/{token}", hooks.deliver)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


def public_runner(
    app: web.Application,
    *,
    headers_timeout_s: float = HEADERS_TIMEOUT_S,
    connections: Connections | None = None,
) -> web.AppRunner:
    """Return the runner of the public application: slow headers end, bodies stay as sent."""
    return Runner(
        app,
        connections=connections,
        access_log=None,
        # The server starts this timer when a connection opens, not only between requests.
        keepalive_timeout=headers_timeout_s,
        # The daemon's whole stop takes at most ten seconds.
        shutdown_timeout=SHUTDOWN_S,
        lingering_time=LINGER_S,
        # A signature covers the bytes on the wire, and an encoded body is refused anyway.
        auto_decompress=False,
    )


class _Refusal(Exception):
    """The answer to a delivery that is not taken in."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class _Hooks:
    """The handler of deliveries."""

    def __init__(
        self, intake: Intake, tokens: Mapping[str, str], ids: Ids, body_timeout_s: float
    ) -> None:
        self._intake = intake
        self._tokens = tokens
        self._ids = ids
        self._body_timeout_s = body_timeout_s
        self._refusals: dict[str, Bucket] = {}

    async def deliver(self, request: web.Request) -> web.Response:
        """Answer one delivery."""
        channel, token = request.match_info["channel"], request.match_info["token"]
        if not self._is_hook(channel, token):
            raise web.HTTPNotFound
        connection = connection_of(request)
        try:
            body = await self._body(request, connection)
            with connection.at_work():
                # What is still carried out after that is known when the sender comes back.
                async with asyncio.timeout(STORE_TIMEOUT_S):
                    receipt = await self._intake.receive(channel, _delivery(request, body))
            return _acknowledge(receipt)
        except _Refusal as refusal:
            return _refuse(refusal.status)
        except SignatureInvalid:
            return self._unsigned(channel)
        except (StoreUnavailable, TimeoutError):
            return _come_back(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception as error:  # noqa: BLE001 - whatever breaks here, the sender must retry
            failure = self._ids.new()
            logs.get(__name__).error("delivery.failed", id=failure, channel=channel, exc_info=error)
            return _come_back(HTTPStatus.SERVICE_UNAVAILABLE, failure)

    def _is_hook(self, channel: str, token: str) -> bool:
        expected = self._tokens.get(channel, _NO_TOKEN)
        # As bytes: the comparison raises on text outside ASCII. A path may hold bytes that are no
        # UTF-8, as surrogates.
        equal = hmac.compare_digest(token.encode(errors="surrogateescape"), expected.encode())
        return equal and channel in self._tokens

    def _unsigned(self, channel: str) -> web.Response:
        """Return the answer to a delivery that was not signed: 401, in a flood of them 429."""
        now = asyncio.get_running_loop().time()
        full = Bucket(tokens=REFUSALS_BURST, rate=REFUSALS_PER_S, burst=REFUSALS_BURST, at=now)
        bucket, wait_s = take(self._refusals.get(channel, full), 1.0, now)
        self._refusals[channel] = bucket
        if wait_s == 0.0:
            return _refuse(HTTPStatus.UNAUTHORIZED)
        return _come_back(HTTPStatus.TOO_MANY_REQUESTS, after_s=FLOOD_RETRY_AFTER_S)

    async def _body(self, request: web.Request, connection: Connection) -> bytes:
        """Return the raw body, or raise the refusal of one that is too large, slow or encoded."""
        _check_coding(request)
        if (request.content_length or 0) > BODY_BYTES_MAX:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        content = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in request.content.iter_any():
                    content += chunk
                    connection.hold(len(chunk))
                    if len(content) > BODY_BYTES_MAX:
                        raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except TimeoutError:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT) from None
        except (web.RequestPayloadError, ConnectionError):
            raise _Refusal(HTTPStatus.BAD_REQUEST) from None
        return bytes(content)


def _check_coding(request: web.Request) -> None:
    """Raise the refusal of a body that is packed, or whose framing its HTTP does not have."""
    encodings = {each.strip().lower() for each in request.headers.getall("Content-Encoding", ())}
    transfer = request.headers.get("Transfer-Encoding", "chunked").strip().lower()
    if not encodings <= {"identity"} or transfer != "chunked":
        raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if "Transfer-Encoding" in request.headers and request.version < HttpVersion11:
        # A proxy in between may not have seen where such a body ends.
        raise _Refusal(HTTPStatus.BAD_REQUEST)


def _acknowledge(receipt: Receipt) -> web.Response:
    """Return the only 200 of the hook paths, in exchange for a receipt."""
    if not isinstance(receipt, Receipt):
        raise TypeError("a delivery was to be acknowledged without a receipt")
    return web.Response(text="received\n")


def _refuse(status: HTTPStatus) -> web.Response:
    response = web.Response(status=status, text=f"{status.phrase}\n")
    if status is not HTTPStatus.UNAUTHORIZED:
        # The body was not read to its end: there may be no next request on this connection.
        response.force_close()
    return response


def _come_back(
    status: HTTPStatus, failure: str = "", *, after_s: int = RETRY_AFTER_S
) -> web.Response:
    """Return a refusal for now; the log tells of it under the id `failure`."""
    return web.Response(
        status=status,
        text=f"{status.phrase} {failure}".rstrip() + "\n",
        headers={"Retry-After": str(after_s)},
    )


def _delivery(request: web.Request, body: bytes) -> WebhookRequest:
    """Return the request as connectors read it.

    A header that comes twice is joined, so that a second signature makes the first one wrong.
    """
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return WebhookRequest(headers, body)
