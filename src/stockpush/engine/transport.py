"""One channel's HTTP door: the only module that knows the HTTP client.

Theory of operation. A call waits for the channel's rate limit, is sent, and its whole answer is
read, all within one deadline. What went wrong is mapped here, once, for every connector
(`connectors.base.Api` lists it), by two questions: could the shop have seen the request, and did
the request ask it to change something?

A *write* is sent exactly once. Nothing here repeats it, and neither does the client below: plain
httpx never resends what it began to send, also not when a kept-alive connection turns out to be
dead (tests/engine/test_transport.py counts what a server receives). A write without a usable
answer is `OutcomeUnknown`, and the caller settles it by reading.
A *read* may be repeated, so it is, a few times with growing, jittered pauses, while the deadline
lasts. The durable retry is the outbox; this one only rides over a hiccup.

Access that runs out is asked of the vault (`credentials.py`) at each call, and renewed once where
the channel refuses it.

Secrets. Credentials are added to every call here and go to the host of the channel's base URL
only: paths are relative, redirects are not followed, cookies are not kept, the environment's
proxies and .netrc are not read. Error texts carry the method and the path, never the query, a
header or the client's own words, which may quote one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Protocol, Self, TypeAlias
from urllib.parse import unquote

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from stockpush.connectors.base import Answer, Api, Connector, Moment, TokenCall, Tokens
from stockpush.engine.answers import (
    ACCEPT_ENCODING,
    RETRY_AFTER_MIN_S,
    AnswerUnusable,
    http_date,
    read_body,
    retry_after_s,
)
from stockpush.engine.credentials import CALL_MAX_S, Vault
from stockpush.engine.limiter import Limiter
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
from stockpush.ports import Clock, Ids

READ_ATTEMPTS_MAX = 4
"""How often a read is sent before it is given up."""
READ_BACKOFF_S = 0.25
"""Pause before the second attempt of a read; doubles each time, times 0.5 to 1.5."""
GATEWAY_FAULTS = frozenset({502, 504, *range(520, 528)})
"""Answers of something before the shop, behind which a write may still be on its way."""
CONNECTIONS_MAX = 4
"""Most connections to one channel."""
USER_AGENT = "stockpush"
REACH_S = 10.0
"""How long our own address may take to answer, in each step."""
UNAUTHORIZED = 401
"""The status of a request whose access was refused; 403 is one that access does not allow."""

Network: TypeAlias = httpx.AsyncBaseTransport
"""What carries the calls: the network, or a shop in this process (`in_process`)."""
Handler: TypeAlias = Callable[
    [str, str, Sequence[tuple[str, str]], Mapping[str, str], bytes],
    Awaitable[tuple[int, Mapping[str, str], bytes]],
]
"""A shop in this process: (method, path, query, lower-case headers, body) -> (status, headers,
body). It raises `ConnectionRefusedError` before it has seen the request, or any other
`ConnectionError` to break the connection afterwards."""

_Sent: TypeAlias = tuple[str, str, Sequence[tuple[str, str]], Mapping[str, str], bytes | None]
"""What is sent, but for credentials: method, path, query, headers, body."""

_PATH = re.compile(r"/?(?:[A-Za-z0-9._~%!$&'()*+,;=:@-]+/)*[A-Za-z0-9._~%!$&'()*+,;=:@-]*")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|\[?[0-9A-Fa-f:.]+\]?")
_HEADER_TEXT = re.compile(r"[\x20-\x7e]*")


class Notebook(Protocol):
    """Where a channel's notes are, beyond this process."""

    async def noted(self) -> Mapping[str, str]:
        """Return every note by its key."""
        ...

    async def note(self, key: str, text: str | None) -> None:
        """Keep a note, or forget it (None); durable when this returns."""
        ...


@dataclass(slots=True)
class _Slate:
    """Notes that go with the process."""

    kept: dict[str, str] = field(default_factory=dict)

    async def noted(self) -> Mapping[str, str]:
        return dict(self.kept)

    async def note(self, key: str, text: str | None) -> None:
        if text is None:
            self.kept.pop(key, None)
        else:
            self.kept[key] = text


@dataclass(slots=True)
class _Call:
    """One call on its way: `sent` turns True when the client was handed the request."""

    method: str
    path: str
    write: bool
    sent: bool = False

    def broken(self, what: str, *, answered: bool = False) -> ChannelError:
        """Return the error of a call that the channel may have seen and did not answer well."""
        if self.write:
            return OutcomeUnknown(
                f"{self}: {what}; the write may have been applied",
                answered=answered,
                next="stockpush resync --dry-run",
            )
        return self.unavailable(what)

    def unavailable(self, what: str) -> ChannelUnavailable:
        """Return the error of a call that changed nothing and may be tried later."""
        return ChannelUnavailable(f"{self}: {what}", next="stockpush channels")

    def __str__(self) -> str:
        """Return the method and the path, which hold no secret."""
        return f"{self.method} {self.path}"


class ChannelApi:
    """`connectors.base.Api` over HTTP for one channel.

    Use it as an async context manager, or call `aclose`. `urgent` is the same door with
    precedence at the rate limit.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        clock: Clock,
        ids: Ids,
        limiter: Limiter,
        vault: Vault | None = None,
        notebook: Notebook | None = None,
        transport: Network | None = None,
    ) -> None:
        """Bind to the connector's base URL; nothing is sent yet.

        `vault` holds access that runs out; without one the credentials are what was configured.
        `notebook` keeps what the connector notes beyond this process; without one it is forgotten
        with it. `transport` replaces the network (see `in_process`). Raises `ConfigInvalid` for a
        base URL that is not https (or http to this machine) or that carries credentials or a query.
        """
        self._connector = connector
        self._clock = clock
        self._ids = ids
        self._limiter = limiter
        self._vault = vault
        self._notebook: Notebook = _Slate() if notebook is None else notebook
        self.skew: timedelta | None = None
        """The channel's clock minus ours, at the last answer that had a date."""
        self._base = _base_url(connector)
        self._deadline_s = connector.manifest.deadline_s
        # Connecting, and waiting for a connection, must end before the deadline does: only then
        # is it certain that nothing was sent.
        before_sending_s = self._deadline_s / 3
        self._client = httpx.AsyncClient(
            transport=_network() if transport is None else transport,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(None, connect=before_sending_s, pool=before_sending_s),
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Calls under way fail, but access that is granted is saved."""
        if self._vault is not None:
            await self._vault.idle()
        await self._client.aclose()

    @property
    def urgent(self) -> Api:
        """Return the same door for calls that go first: pushes that lower a quantity."""
        return _Urgent(self)

    def pause(self, seconds: float) -> None:
        """Hold every call of this channel for `seconds` (>= 0)."""
        self._limiter.pause(seconds)

    async def noted(self) -> Mapping[str, str]:
        """Return every note of the channel by its key."""
        try:
            return await self._notebook.noted()
        except StoreUnavailable as error:
            raise ChannelUnavailable("What was noted cannot be read") from error

    async def note(self, key: str, text: str | None) -> None:
        """Keep `text` under `key`, or forget it (None); durable when this returns.

        Raises `ChannelUnavailable` where it cannot be: what was to be done is then not done.
        """
        try:
            await self._notebook.note(key, text)
        except StoreUnavailable as error:
            raise ChannelUnavailable("What must be noted first cannot be stored") from error

    async def send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        cost: float = 1.0,
        until: Moment | None = None,
        urgent: bool = False,
    ) -> Answer:
        """Send one request (see `connectors.base.Api.send`).

        Access that is about to run out is renewed first. The deadline holds from then until the
        whole answer was read, the wait for the rate limit included. A wait that is already longer
        than the deadline is `RateLimited` at once, and nothing is sent: what was to be written
        would be stale by then. A request whose access is refused (401) was not carried out, and is
        sent once more with renewed access.
        """
        tokens = None if self._vault is None else await self._vault.tokens(self.post)
        sent: _Sent = (method, path, params, headers or {}, body)
        try:
            return await self._send(
                sent, tokens, write=write, cost=cost, until=until, urgent=urgent
            )
        except AuthFailed as error:
            if self._vault is None or error.found != UNAUTHORIZED:
                raise
            # The channel has looked at nothing but our access, so nothing was done yet.
            renewed = await self._vault.tokens(self.post, refused=tokens)
            return await self._send(
                sent, renewed, write=write, cost=cost, until=until, urgent=urgent
            )

    async def _send(
        self,
        sent: _Sent,
        tokens: Tokens | None,
        *,
        write: bool,
        cost: float,
        until: Moment | None,
        urgent: bool,
    ) -> Answer:
        """Send one request with this access, within the deadline."""
        method, path, params, headers, body = sent
        call = _Call(method, path, write)
        request = self._request(call, params, headers, body, tokens)
        wait_s = self._limiter.wait_s(cost)
        if wait_s > self._deadline_s:
            raise _limited(call, wait_s)
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                if write:
                    return await self._attempt(call, request, cost, until, urgent=urgent)
                retrying = AsyncRetrying(
                    retry=retry_if_exception_type(ChannelUnavailable),
                    stop=stop_after_attempt(READ_ATTEMPTS_MAX),
                    wait=self._backoff_s,
                    sleep=self._clock.sleep,
                    reraise=True,
                )
                return await retrying(self._attempt, call, request, cost, until, urgent=urgent)
        except TimeoutError:
            if not deadline.expired():
                raise
            if not call.sent:
                raise _limited(call, self._limiter.wait_s(cost)) from None
            raise call.broken(f"no answer within {self._deadline_s:g} s") from None

    def _request(
        self,
        call: _Call,
        params: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes | None,
        tokens: Tokens | None,
    ) -> httpx.Request:
        connector = self._connector
        auth = connector.auth_headers() if tokens is None else connector.auth_headers(tokens)
        for name, value in auth.items():
            if _HEADER_TEXT.fullmatch(value) is None:
                raise AuthFailed(
                    f"The credentials of channel {self._connector.channel} hold a character that "
                    f"cannot be sent in the {name} header",
                    field=name,
                    expected="printable ASCII without line breaks",
                    next="stockpush channels",
                )
        return self._client.build_request(
            call.method,
            _url(self._base, call.path),
            params=list(params) or None,
            headers={name.lower(): value for name, value in (*headers.items(), *auth.items())},
            content=body,
        )

    async def _attempt(
        self,
        call: _Call,
        request: httpx.Request,
        cost: float,
        until: Moment | None,
        *,
        urgent: bool,
    ) -> Answer:
        await self._limiter.acquire(cost, urgent=urgent)
        sent = self._moment()
        if until is not None and until.is_before(sent):
            raise call.unavailable("not sent: too long after the reading that it rests on")
        answer = await self._exchange(call, request, sent)
        self._check(call, answer)
        return answer

    def _moment(self) -> Moment:
        """Return now, by both clocks."""
        return Moment(self._clock.now(), self._clock.monotonic())

    async def post(self, token: TokenCall) -> Answer:
        """Send one call to the token endpoint: no credentials of ours, and no second attempt.

        What it refuses is an answer, which the connector reads.
        """
        call = _Call("POST", token.path, write=False)
        request = self._client.build_request(
            "POST", _url(self._base, token.path), headers=dict(token.headers), content=token.body
        )
        try:
            async with asyncio.timeout(CALL_MAX_S):
                answer = await self._exchange(call, request, self._moment())
        except TimeoutError:
            raise call.broken(f"no answer within {CALL_MAX_S:g} s") from None
        if not 400 <= answer.status < 500 or answer.status == 429:
            self._check(call, answer)
        return answer

    async def _exchange(self, call: _Call, request: httpx.Request, sent: Moment) -> Answer:
        """Hand the request to the client and return the whole answer, whatever it says."""
        call.sent = True
        try:
            response = await self._client.send(request, stream=True)
            try:
                content = await _read(call, response)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise call.unavailable("the channel cannot be reached") from None
        except httpx.TransportError as error:
            # Only the kind of accident is named: the client's text may quote a header.
            raise call.broken(f"the connection broke ({type(error).__name__})") from None
        answer = Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
            date=http_date(response.headers.get("date")),
            took_s=max(0.0, self._clock.monotonic() - sent.monotonic),
            sent=sent,
        )
        if answer.date is not None:
            # The date is cut to whole seconds, and was taken about when the answer began.
            told = answer.date + timedelta(seconds=0.5 + answer.took_s / 2)
            self.skew = told - self._clock.now()
        return answer

    def _check(self, call: _Call, answer: Answer) -> None:
        """Return if the connector should see this answer, else raise what it means."""
        match answer.status:
            case 429:
                raise self._told_to_wait(call, answer)
            case 503 if "retry-after" in answer.headers:
                raise self._told_to_wait(call, answer)
            case status if status >= 500:
                raise call.broken(
                    f"the channel answered {status}", answered=status not in GATEWAY_FAULTS
                )
            case 401 | 403 as status:
                raise AuthFailed(
                    f"{call}: the channel refused our credentials ({status})",
                    found=status,
                    next="stockpush channels",
                )
            case status if 300 <= status < 400:
                raise PayloadInvalid(
                    f"{call}: the channel answered with a redirect ({status}), which is never "
                    "followed; base_url should name the address that it leads to",
                    field="base_url",
                    found=status,
                    expected="an answer",
                    next="stockpush channels",
                )

    def _told_to_wait(self, call: _Call, answer: Answer) -> RateLimited:
        wait_s = retry_after_s(answer.headers, date=answer.date, now=self._clock.now())
        self._limiter.pause(wait_s)
        return _limited(call, wait_s)

    def _backoff_s(self, state: RetryCallState) -> float:
        doubled: int = 2 ** (state.attempt_number - 1)
        return READ_BACKOFF_S * doubled * (0.5 + self._ids.jitter())


@dataclass(frozen=True, slots=True)
class _Urgent:
    """A channel's door whose calls go before others at the rate limit."""

    api: ChannelApi

    async def send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        cost: float = 1.0,
        until: Moment | None = None,
    ) -> Answer:
        """Send one request before those that wait (see `connectors.base.Api.send`)."""
        return await self.api.send(
            method,
            path,
            write=write,
            params=params,
            headers=headers,
            body=body,
            cost=cost,
            until=until,
            urgent=True,
        )

    async def noted(self) -> Mapping[str, str]:
        """Return every note of the channel by its key."""
        return await self.api.noted()

    async def note(self, key: str, text: str | None) -> None:
        """Keep `text` under `key`, or forget it (None); durable when this returns."""
        await self.api.note(key, text)

    def pause(self, seconds: float) -> None:
        """Hold every call of this channel for `seconds` (>= 0)."""
        self.api.pause(seconds)


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
        transport=_network() if transport is None else transport,
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


def in_process(handler: Handler) -> Network:
    """Return a transport for `ChannelApi` that calls `handler` instead of the network."""
    return _InProcess(handler)


def _network() -> httpx.AsyncHTTPTransport:
    """Return HTTP/1.1 over TCP: certificates and host names verified, TLS 1.2 or later."""
    tls = httpx.create_ssl_context(trust_env=False)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    limits = httpx.Limits(
        max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
    )
    return httpx.AsyncHTTPTransport(
        verify=tls, trust_env=False, http2=False, limits=limits, retries=0
    )


def _base_url(connector: Connector) -> httpx.URL:
    where = f"channels.{connector.channel}.base_url"
    expected = "https://HOST[/PATH], or http:// to this machine only"
    try:
        url = httpx.URL(connector.base_url())
    except httpx.InvalidURL:
        raise ConfigInvalid(
            f"{where}: that is not a URL; expected {expected}", field=where, expected=expected
        ) from None
    secure = url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host))
    named = _HOST.fullmatch(url.raw_host.decode("ascii")) is not None
    if not secure or not named or url.userinfo or url.query or url.fragment:
        found = f"{url.scheme}://{url.host}"
        raise ConfigInvalid(
            f"{where}: found {found}, expected {expected}, without user, query or fragment",
            field=where,
            found=found,
            expected=expected,
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(base: httpx.URL, path: str) -> httpx.URL:
    """Return `path` below `base`. Raises `PayloadInvalid` for anything that leads elsewhere.

    A path may come out of an answer (a link to the next page), so it is not trusted.
    """
    if _PATH.fullmatch(path) is None or any(part in {".", ".."} for part in _parts(path)):
        raise PayloadInvalid(
            "A call was to leave the channel's base URL, and was not made",
            field="path",
            expected="a path relative to base_url, without query or fragment",
        )
    root = base.raw_path.decode("ascii").rstrip("/")
    return base.copy_with(path=f"{root}/{path.lstrip('/')}")


def _parts(path: str) -> list[str]:
    """Return the segments as the lenient half of the world's servers would see them."""
    return unquote(path).replace("\\", "/").split("/")


async def _read(call: _Call, response: httpx.Response) -> bytes:
    """Return the body. One that cannot be read leaves a write's outcome unknown."""
    try:
        return await read_body(
            response.aiter_raw(), encoding=response.headers.get("content-encoding", "")
        )
    except AnswerUnusable as unusable:
        found = str(unusable)
        if call.write:
            raise call.broken(f"the channel gave {found}") from None
        raise PayloadInvalid(
            f"{call}: the channel gave {found}", field="answer", found=found
        ) from None


def _limited(call: _Call, wait_s: float) -> RateLimited:
    wait_s = max(wait_s, RETRY_AFTER_MIN_S)
    return RateLimited(
        f"{call}: the channel's rate limit is reached; next call in {wait_s:.1f} s",
        retry_after_s=wait_s,
    )
