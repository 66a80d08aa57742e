"""`connectors.base.Api` over HTTP: rate limit, deadline, retries of reads, credentials."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from stockpush.connectors.base import (
    Answer,
    Api,
    Connector,
    Moment,
    Signing,
    TokenCall,
    Tokens,
)
from stockpush.engine.credentials import Vault
from stockpush.engine.limiter import Limiter
from stockpush.engine.transport.call import Call, check, limited
from stockpush.engine.transport.network import Network
from stockpush.engine.transport.tokens import granted, is_refusal
from stockpush.engine.transport.wire import Wire
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    RateLimited,
    StoreUnavailable,
)
from stockpush.ports import Clock, Ids

READ_ATTEMPTS_MAX = 4
"""How often a read is sent before it is given up."""
READ_BACKOFF_S = 0.25
"""Pause before the second attempt of a read; doubles each time, times 0.5 to 1.5."""
UNAUTHORIZED = 401
"""The status of a request whose access was refused; 403 is one that access does not allow."""

_Sent: TypeAlias = tuple[str, str, Sequence[tuple[str, str]], Mapping[str, str], bytes | None]
"""What is sent, but for credentials: method, path, query, headers, body."""

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
        self._signing = connector if isinstance(connector, Signing) else None
        self._clock = clock
        self._ids = ids
        self._limiter = limiter
        self._vault = vault
        self._notebook: Notebook = _Slate() if notebook is None else notebook
        self._wire = Wire(connector, clock, transport)
        self._deadline_s = connector.manifest.deadline_s

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
        await self._wire.aclose()

    @property
    def skew(self) -> timedelta | None:
        """Return the channel's clock minus ours, at the last answer that had a date."""
        return self._wire.skew

    @property
    def urgent(self) -> Api:
        """Return the same door for calls that go first: pushes that lower a quantity."""
        return _Urgent(self)

    def pause(self, seconds: float) -> None:
        """Hold every call of this channel for `seconds` (>= 0)."""
        self._limiter.pause(seconds)

    def lines(self, url: str) -> AsyncGenerator[bytes]:
        """Yield the lines of a file that the channel named, without credentials; `Wire.lines`."""
        return self._wire.lines(url)

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
        call = Call(method, path, write)
        request = self._request(call, params, headers, body, tokens)
        wait_s = self._limiter.wait_s(cost)
        if wait_s > self._deadline_s:
            raise limited(call, wait_s)
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
                raise limited(call, self._limiter.wait_s(cost)) from None
            raise call.broken(f"no answer within {self._deadline_s:g} s") from None

    def _request(
        self,
        call: Call,
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
        return self._wire.build(
            call,
            params=params,
            headers={name.lower(): value for name, value in (*headers.items(), *auth.items())},
            body=body,
        )

    async def _attempt(
        self,
        call: Call,
        request: httpx.Request,
        cost: float,
        until: Moment | None,
        *,
        urgent: bool,
    ) -> Answer:
        await self._limiter.acquire(cost, urgent=urgent)
        sent = self._wire.moment()
        if until is not None and until.is_before(sent):
            raise call.unavailable("not sent: too long after the reading that it rests on")
        answer = await self._wire.exchange(call, self._signed(request), sent)
        self._accept(call, answer)
        return answer

    def _signed(self, request: httpx.Request) -> httpx.Request:
        """Return the request as it goes out this time: a signature is good for one attempt."""
        if self._signing is None:
            return request
        url, params = request.url.copy_with(query=None), request.url.params.multi_items()
        signed = self._signing.signed(
            request.method, str(url), params, at=self._clock.now(), nonce=self._ids.new
        )
        if signed is params:
            return request
        return httpx.Request(
            request.method,
            url.copy_with(params=list(signed)),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )

    async def post(self, token: TokenCall) -> Answer:
        """Send one call to the token endpoint; a refusal of it is an answer too."""
        call, answer = await granted(self._wire, token)
        if not is_refusal(answer):
            self._accept(call, answer)
        return answer

    def _accept(self, call: Call, answer: Answer) -> None:
        """Return if the connector should see this answer; "wait" holds every later call too."""
        try:
            check(call, answer, now=self._clock.now())
        except RateLimited as told:
            self._limiter.pause(told.retry_after_s)
            raise

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
