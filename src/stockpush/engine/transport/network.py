"""What carries the calls: the network, with certificates verified, or a shop in this process."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import httpx

from stockpush import __version__

CONNECTIONS_MAX = 4
"""Most connections to one channel."""
USER_AGENT = f"stockpush/{__version__}"
"""Who we are: some edges answer a program without a name with a page (Faire)."""
REACH_S = 10.0
"""How long our own address may take to answer, in each step."""

Network: TypeAlias = httpx.AsyncBaseTransport
"""What carries the calls: the network, or a shop in this process (`in_process`)."""
Handler: TypeAlias = Callable[
    [str, str, Sequence[tuple[str, str]], Mapping[str, str], bytes],
    Awaitable[tuple[int, Mapping[str, str], bytes]],
]
"""A shop in this process: (method, path, query, lower-case headers, body) -> (status, headers,
body). It raises `ConnectionRefusedError` before it has seen the request, or any other
`ConnectionError` to break the connection afterwards."""


def in_process(handler: Handler) -> Network:
    """Return a transport for `ChannelApi` that calls `handler` instead of the network."""
    return _InProcess(handler)


def network() -> httpx.AsyncHTTPTransport:
    """Return HTTP/1.1 over TCP: certificates and host names verified, TLS 1.2 or later."""
    tls = httpx.create_ssl_context(trust_env=False)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    limits = httpx.Limits(
        max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
    )
    return httpx.AsyncHTTPTransport(
        verify=tls, trust_env=False, http2=False, limits=limits, retries=0
    )


class _InProcess(httpx.AsyncBaseTransport):
    """The client's network replaced by a function call."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand the request to the shop and its answer to the client."""
        try:
            status, headers, content = await self._handler(
                request.method,
                request.url.path,
                request.url.params.multi_items(),
                {name.lower(): value for name, value in request.headers.items()},
                await request.aread(),
            )
        except ConnectionRefusedError:
            raise httpx.ConnectError("refused", request=request) from None
        except ConnectionError:
            raise httpx.ReadError("dropped", request=request) from None
        # A stream, as from the network: the answer is read, and counted, by the caller.
        return httpx.Response(status, headers=dict(headers), stream=httpx.ByteStream(content))


@dataclass(frozen=True, slots=True)
class Reached:
    """What an address of ours answered from outside: `status` is None where nobody did."""

    status: int | None
    location: str = ""


async def reach(url: str, *, transport: Network | None = None) -> Reached:
    """Ask an address of the owner's own how it answers: one GET, no credentials, no redirect."""
    client = httpx.AsyncClient(
        transport=network() if transport is None else transport,
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": USER_AGENT},
        timeout=httpx.Timeout(REACH_S),
    )
    async with client:
        try:
            async with client.stream("GET", url) as response:
                return Reached(response.status_code, response.headers.get("location", ""))
        except (httpx.HTTPError, httpx.InvalidURL):
            return Reached(None)
