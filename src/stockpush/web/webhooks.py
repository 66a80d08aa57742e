"""The public listener: deliveries of the channels, and health.

Theory of operation. Every channel has a path that cannot be guessed. A wrong token and an unknown
channel are answered alike, after the same work, before anything of the body is read. Then come
the cheap refusals (encoding, size), the body within a bound of bytes and of time, and the intake,
which verifies the signature over the raw bytes. A 200 is made in one place, out of the receipt
that the intake gives after its commit: without a receipt there is no way to say yes (a delivery
answered before it is durable is a sale that can be lost).

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

from aiohttp import web

from stockpush import logs
from stockpush.connectors.base import WebhookRequest
from stockpush.engine.intake import Receipt
from stockpush.errors import SignatureInvalid, StoreUnavailable
from stockpush.ports import Ids

BODY_BYTES_MAX = 1024 * 1024
"""Largest delivery."""
BODY_TIMEOUT_S = 10.0
"""How long a sender may take over the body."""
HEADERS_TIMEOUT_S = 5.0
"""How long a sender may take over the request line and headers, and idle between requests."""
SHUTDOWN_S = 1.0
"""How long requests under way may take once the daemon stops; their senders come back."""
LINGER_S = 2.0
"""How long an unwanted body is read on, so that the sender sees our answer before the end."""
RETRY_AFTER_S = 5
"""What senders are told to wait when we cannot store."""

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
    app: web.Application, *, headers_timeout_s: float = HEADERS_TIMEOUT_S
) -> web.AppRunner:
    """Return the runner of the public application: slow headers end, bodies stay as sent."""
    return web.AppRunner(
        app,
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

    async def deliver(self, request: web.Request) -> web.Response:
        """Answer one delivery."""
        channel, token = request.match_info["channel"], request.match_info["token"]
        if not self._is_hook(channel, token):
            raise web.HTTPNotFound
        try:
            body = await self._body(request)
            receipt = await self._intake.receive(channel, _delivery(request, body))
            return _acknowledge(receipt)
        except _Refusal as refusal:
            return _refuse(refusal.status)
        except SignatureInvalid:
            return _refuse(HTTPStatus.UNAUTHORIZED)
        except StoreUnavailable:
            return _come_back()
        except Exception as error:  # noqa: BLE001 - whatever breaks here, the sender must retry
            failure = self._ids.new()
            logs.get(__name__).error("delivery.failed", id=failure, channel=channel, exc_info=error)
            return _come_back(failure)

    def _is_hook(self, channel: str, token: str) -> bool:
        expected = self._tokens.get(channel, _NO_TOKEN)
        # As bytes: the comparison raises on text outside ASCII.
        equal = hmac.compare_digest(token.encode(), expected.encode())
        return equal and channel in self._tokens

    async def _body(self, request: web.Request) -> bytes:
        """Return the raw body, or raise the refusal of one that is too large, slow or encoded."""
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if (request.content_length or 0) > BODY_BYTES_MAX:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        content = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in request.content.iter_any():
                    content += chunk
                    if len(content) > BODY_BYTES_MAX:
                        raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except TimeoutError:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT) from None
        except (web.RequestPayloadError, ConnectionError):
            raise _Refusal(HTTPStatus.BAD_REQUEST) from None
        return bytes(content)


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


def _come_back(failure: str = "") -> web.Response:
    """Return a 503; `failure` is the id under which the log tells what happened."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(
        status=status,
        text=f"{status.phrase} {failure}".rstrip() + "\n",
        headers={"Retry-After": str(RETRY_AFTER_S)},
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
