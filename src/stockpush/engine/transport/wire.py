"""One channel's connections: a request is built below base_url, its whole answer read."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import unquote

import httpx

from stockpush.connectors.base import Answer, Connector, Moment
from stockpush.engine.answers import (
    ACCEPT_ENCODING,
    AnswerUnusable,
    http_date,
    read_body,
)
from stockpush.engine.transport.call import Call
from stockpush.engine.transport.download import SILENCE_MAX_S, lines_of
from stockpush.engine.transport.network import USER_AGENT, Network, network
from stockpush.errors import (
    ChannelUnavailable,
    ConfigInvalid,
    PayloadInvalid,
)
from stockpush.ports import Clock

_PATH = re.compile(r"/?(?:[A-Za-z0-9._~%!$&'()*+,;=:@-]+/)*[A-Za-z0-9._~%!$&'()*+,;=:@-]*")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|\[?[0-9A-Fa-f:.]+\]?")


class Wire:
    """The client of one channel, bound to its base URL. It adds no credentials and checks nothing.

    `skew` is the channel's clock minus ours, at the last answer that had a date.
    """

    def __init__(self, connector: Connector, clock: Clock, transport: Network | None) -> None:
        """Bind to the connector's base URL; nothing is sent yet. Raises `ConfigInvalid` for one
        that is not https (or http to this machine) or that carries credentials or a query.
        """
        self._clock = clock
        self._base = _base_url(connector)
        self.skew: timedelta | None = None
        # Connecting, and waiting for a connection, must end before the deadline does: only then
        # is it certain that nothing was sent.
        before_sending_s = connector.manifest.deadline_s / 3
        self._client = httpx.AsyncClient(
            transport=network() if transport is None else transport,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(None, connect=before_sending_s, pool=before_sending_s),
        )

    async def aclose(self) -> None:
        """Close the connections. Calls under way fail."""
        await self._client.aclose()

    def build(
        self,
        call: Call,
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> httpx.Request:
        """Return the request of a call, below the base URL."""
        return self._client.build_request(
            call.method,
            _url(self._base, call.path),
            params=list(params) or None,
            headers=dict(headers),
            content=body,
        )

    def moment(self) -> Moment:
        """Return now, by both clocks."""
        return Moment(self._clock.now(), self._clock.monotonic())

    async def exchange(self, call: Call, request: httpx.Request, sent: Moment) -> Answer:
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

    async def lines(self, url: str) -> AsyncGenerator[bytes]:
        """Yield the lines of a file that the channel named, from whatever host it lies on.

        Nothing of ours goes along: no credentials and no cookies, and no redirect is followed. The
        address is signed and as good as a secret, so no error repeats it. Raises
        `ChannelUnavailable` where the file is not there (any more) or breaks off, `PayloadInvalid`
        for an address that is not to be asked, and a file that cannot be.
        """
        request = self._client.build_request(
            "GET",
            _file_url(url, self._base),
            headers={"accept-encoding": "identity"},
            timeout=httpx.Timeout(SILENCE_MAX_S),
        )
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code != HTTPStatus.OK:
                    # An address that has run out is 403 or 404, and a new one may be had.
                    raise ChannelUnavailable(f"The file cannot be had ({response.status_code})")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise AnswerUnusable("a file in an encoding that we did not ask for")
                async for line in lines_of(response.aiter_raw()):
                    yield line
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise ChannelUnavailable(f"The file broke off ({type(error).__name__})") from None
        except AnswerUnusable as unusable:
            raise PayloadInvalid(f"The channel gave {unusable}", found=str(unusable)) from None


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


def _file_url(given: str, base: httpx.URL) -> httpx.URL:
    """Return an address that may be asked: https, or http where the channel itself is so."""
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL:
        raise PayloadInvalid("The address of a file is no URL") from None
    local = url.scheme == base.scheme == "http" and _is_loopback(url.host)
    if not (url.scheme == "https" or local) or url.userinfo or not url.host:
        raise PayloadInvalid("The address of a file is not one to ask", expected="https://HOST/...")
    return url


def _parts(path: str) -> list[str]:
    """Return the segments as the lenient half of the world's servers would see them."""
    return unquote(path).replace("\\", "/").split("/")


async def _read(call: Call, response: httpx.Response) -> bytes:
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
