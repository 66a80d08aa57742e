"""The door of the private listener: who gets in, and how every answer leaves.

Theory of operation. One middleware stands before every route there is and every path there is
not, so that a route which is added later is closed unless it comes with the token: the default
is no. First the Host header: a page on the internet whose name its owner has pointed at this
machine (DNS rebinding) is the browser's own origin, and its Host is the one thing it cannot
forge. Then the bearer token, compared as bytes in constant time. No answer carries a CORS header,
so no page of another origin can read one.

Errors leave in one shape, that of the command line. A defect of ours is a 500 with an id that
finds the log line, and nothing else of it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stockpush import logs
from stockpush.errors import NotFound, StockPushError, StoreUnavailable, UsageError
from stockpush.ports import Ids

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What a browser or monitor on this machine calls it in the Host header."""
SHOWN_LENGTH_MAX = 100
"""Longest text of a request that an error repeats, in characters."""
RETRY_AFTER_S = 5
"""What clients are told to wait when the database cannot be read."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:]+)(:[0-9]{1,5})?", re.IGNORECASE)
_BEARER = re.compile(r"Bearer +(?P<token>\S+) *", re.IGNORECASE)
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Server": "stockpush",
}


class HostRefused(StockPushError):
    """This listener is not reached under that name."""

    code = "host_refused"


class TokenRefused(StockPushError):
    """The admin token is missing or wrong."""

    code = "token_refused"


class MethodRefused(StockPushError):
    """That cannot be done with what is at that path."""

    code = "method_refused"


class BodyRefused(StockPushError):
    """The body is larger than anything that is asked for here."""

    code = "body_refused"


def door(*, token: str, host: str, ids: Ids) -> Middleware:
    """Return the middleware that lets in who calls us by `host` or loopback and has `token`.

    `host` is that of the listener's address, without port, an IPv6 address without brackets.
    """
    names = {*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host.lower()}
    expected = token.encode()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_host(request, names)
            _check_token(request, expected)
            return await handler(request)
        except HostRefused as error:
            return _refuse(HTTPStatus.MISDIRECTED_REQUEST, error)
        except TokenRefused as error:
            challenge = 'Bearer realm="stockpush"'
            return _refuse(HTTPStatus.UNAUTHORIZED, error, {"WWW-Authenticate": challenge})
        except web.HTTPMethodNotAllowed as error:
            return _method_refused(error)
        except web.HTTPRequestEntityTooLarge:
            return _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, BodyRefused(field="body"))
        except (NotFound, web.HTTPNotFound) as error:
            return _refuse(HTTPStatus.NOT_FOUND, _not_found(request, error))
        except UsageError as error:
            return _refuse(HTTPStatus.BAD_REQUEST, error)
        except StoreUnavailable as error:
            wait = {"Retry-After": str(RETRY_AFTER_S)}
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, error, wait)
        except Exception as error:  # noqa: BLE001  # a defect of ours: nothing of it gets out
            return _broken(error, ids)

    return guarded


async def protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer (`Application.on_response_prepare`)."""
    response.headers.update(_HEADERS)


def answer(
    content: Any,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return `content` (dataclasses, mappings, plain values) as a JSON answer."""
    return web.Response(
        body=msgspec.json.encode(content),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def shown(text: str) -> str:
    """Return text of a request as an error may repeat it: valid, and not too long."""
    return text[:SHOWN_LENGTH_MAX].encode(errors="replace").decode()


def _check_host(request: web.Request, names: Collection[str]) -> None:
    given = request.headers.getall("Host", [])
    found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
    if found is None or found["name"].lower() not in names:
        raise HostRefused(
            field="Host",
            found=shown(", ".join(given)),
            expected=", ".join(sorted(names)),
            next="use that name, or set daemon.admin to the address this machine is reached by",
        )


def _check_token(request: web.Request, expected: bytes) -> None:
    given = request.headers.getall("Authorization", [])
    found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    # As bytes, since the comparison raises on text outside ASCII; header text may hold bytes that
    # are no UTF-8, as surrogates.
    token = found["token"].encode(errors="surrogateescape") if found else b""
    if not hmac.compare_digest(token, expected):
        raise TokenRefused(
            field="Authorization",
            expected="Bearer TOKEN, the token that daemon.admin_token names",
        )


def _refuse(
    status: HTTPStatus, error: StockPushError, headers: Mapping[str, str] | None = None
) -> web.Response:
    return answer({"error": error.as_json()}, status=status, headers=headers)


def _method_refused(error: web.HTTPMethodNotAllowed) -> web.Response:
    allowed = ", ".join(sorted(error.allowed_methods))
    refused = MethodRefused(field="method", found=shown(error.method), expected=allowed)
    return _refuse(HTTPStatus.METHOD_NOT_ALLOWED, refused, {"Allow": allowed})


def _not_found(request: web.Request, error: NotFound | web.HTTPNotFound) -> NotFound:
    if isinstance(error, NotFound):
        return error
    return NotFound(
        "There is nothing at that path.",
        field="path",
        found=shown(request.path),
        expected="a path of /api/v1/openapi.json",
    )


def _broken(error: Exception, ids: Ids) -> web.Response:
    failure = ids.new()
    logs.get(__name__).error("request.failed", id=failure, exc_info=error)
    return _refuse(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        StockPushError(
            f"Something broke on our side; the log has it under {failure}.",
            next="stockpush check",
        ),
    )
