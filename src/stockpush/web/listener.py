"""Listening: an application at an address, and the bounds of its connections.

Theory of operation. Anybody may open a connection and then say nothing, or a byte a second. Time
bounds end each such connection (headers, body, an answer that is not taken), and `Connections`
bounds how many there are. A full house does not turn the next caller away, since the next caller
may be a shop: it drops the connection that has kept us waiting longest. A sender that says what
it wants is done within milliseconds and so never is that one, however many others drip.

We wait for a connection from when it opens, and anew from each request whose headers are complete.
While its delivery is with us (`at_work`: it is being verified and committed) nobody waits for it,
and it is never dropped. Only if all are at work is a new one turned away.

Bytes of bodies are counted in two heaps. Of unfinished ones the oldest makes room, as above. A
finished one waits for our database, which is no fault of its sender's, so it does not count among
those; once too many wait, the next is told to come back.

One address may have `CONNECTIONS_PER_PEER_MAX`, by the same rule. Loopback may have them all:
there the peer is a reverse proxy or a tunnel, and every sender of the world has its address.

What is no HTTP, or could be read in two ways, is answered by its status alone: the server's own
answers repeat what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, cast

from aiohttp import web

from stockpush import logs
from stockpush.engine.sampling import Sampled
from stockpush.errors import ConfigInvalid, StoreUnavailable
from stockpush.messages import Event

CONNECTIONS_MAX = 512
"""Most connections of one listener."""
CONNECTIONS_PER_PEER_MAX = 32
"""Most connections of one IPv4 address, or one IPv6 network of 64 bits, that is not loopback."""
BODIES_BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of unfinished bodies that are held at one time."""
STORING_BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of finished bodies that wait to be stored at one time."""
TAKE_TIMEOUT_S = 10.0
"""How long a client may leave an answer lying before it is dropped."""
BACKLOG = 1024
"""How many connections the operating system may keep for us until we take them."""


class Connections:
    """The connections of one listener, and which of them goes when there are too many."""

    def __init__(
        self,
        *,
        connections_max: int = CONNECTIONS_MAX,
        per_peer_max: int = CONNECTIONS_PER_PEER_MAX,
        bodies_bytes_max: int = BODIES_BYTES_MAX,
        storing_bytes_max: int = STORING_BYTES_MAX,
        take_timeout_s: float = TAKE_TIMEOUT_S,
    ) -> None:
        self.take_timeout_s = take_timeout_s
        self._connections_max = connections_max
        self._per_peer_max = per_peer_max
        self._bodies_bytes_max = bodies_bytes_max
        self._storing_bytes_max = storing_bytes_max
        self.held = 0
        """Bytes of unfinished bodies in memory."""
        self.storing = 0
        """Bytes of finished bodies that wait to be stored."""
        self._there: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        """Those that keep us waiting, longest first."""
        self._of_peer: dict[str, int] = {}
        self._unreadable = Sampled()

    def __len__(self) -> int:
        return len(self._there)

    def admit(self, connection: Connection) -> None:
        """Take a new connection in; one that has kept us waiting longest may go for it."""
        peer = connection.peer
        if peer is not None and self._of_peer.get(peer, 0) >= self._per_peer_max:
            self._make_room(connection, [each for each in self._waiting if each.peer == peer])
        elif len(self._there) >= self._connections_max:
            self._make_room(connection, self._waiting)
        if connection.dropped:
            return
        self._there.add(connection)
        self._waiting[connection] = None
        if peer is not None:
            self._of_peer[peer] = self._of_peer.get(peer, 0) + 1

    def leave(self, connection: Connection) -> None:
        """Forget a connection; one that has left, or was never in, is ignored."""
        if connection not in self._there:
            return
        self._there.discard(connection)
        self._waiting.pop(connection, None)
        self._let_go(connection)
        if connection.peer is not None:
            left = self._of_peer.pop(connection.peer) - 1
            if left:
                self._of_peer[connection.peer] = left

    def waits(self, connection: Connection) -> None:
        """Note that from now on we wait for this connection."""
        self._waiting.pop(connection, None)
        if connection in self._there:
            self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """Note that this connection waits for us, and that its body is finished.

        Raises `StoreUnavailable` if too much waits to be stored already.
        """
        if connection not in self._there:
            return
        if self.storing + connection.held > self._storing_bytes_max:
            raise StoreUnavailable("Too much waits to be stored.")
        self._waiting.pop(connection, None)
        self.held -= connection.held
        self.storing += connection.held
        connection.held, connection.storing = 0, connection.held

    def hold(self, connection: Connection, count: int) -> None:
        """Note that `count` more bytes of a body are held; the slowest of too many go."""
        if connection not in self._there:
            return
        connection.held += count
        self.held += count
        while self.held > self._bodies_bytes_max:
            slowest = next((each for each in self._waiting if each.held), None)
            if slowest is None:
                return
            self._drop(slowest)

    def release(self, connection: Connection) -> None:
        """Note that the connection's body is not held any more."""
        self._let_go(connection)

    def unreadable(self, now: float) -> None:
        """Count a request that is no HTTP at `now` (monotonic seconds)."""
        if count := self._unreadable.count(now):
            logs.emit(Event("request.refused", {"count": count}))

    def _make_room(self, newcomer: Connection, waiting: Iterable[Connection]) -> None:
        slowest = next(iter(waiting), None)
        self._drop(newcomer if slowest is None else slowest)

    def _drop(self, connection: Connection) -> None:
        self.leave(connection)
        connection.drop()

    def _let_go(self, connection: Connection) -> None:
        self.held -= connection.held
        self.storing -= connection.storing
        connection.held = connection.storing = 0


class Connection(web.RequestHandler):
    """One connection: the server's own protocol, bounded."""

    __slots__ = ("_all", "_line", "_overdue", "dropped", "held", "peer", "storing")

    def __init__(self, server: web.Server, connections: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._all = connections
        self._line: asyncio.Transport | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self.dropped = False
        self.held = 0
        """Bytes of its unfinished body that are in memory."""
        self.storing = 0
        """Bytes of its finished body, while that waits to be stored."""
        self.peer: str | None = None
        """What its number of connections is bounded by; None: not bounded."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there is no room."""
        self._line = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport.get_extra_info("peername"))
        super().connection_made(transport)
        self._all.admit(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._all.leave(self)
        self._is_taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not take what it asked for."""
        super().pause_writing()
        self._overdue = self._loop.call_later(self._all.take_timeout_s, self.drop)

    def resume_writing(self) -> None:
        """Note that the client goes on taking it."""
        self._is_taken()
        super().resume_writing()

    def drop(self) -> None:
        """End the connection now, whatever is under way."""
        self.dropped = True
        assert self._line is not None
        self._line.abort()

    def waits(self) -> None:
        """Note that from now on we wait for the client."""
        self._all.waits(self)

    def hold(self, count: int) -> None:
        """Note that `count` more bytes of the request's body are in memory."""
        self._all.hold(self, count)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep the connection while the request is with us and nobody waits for the client.

        Raises `StoreUnavailable` if too much is with us already.
        """
        self._all.works(self)
        try:
            yield
        finally:
            self._all.waits(self)

    def release(self) -> None:
        """Note that the request's body is not in memory any more."""
        self._all.release(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it repeats what was sent
    ) -> web.StreamResponse:
        """Answer what no handler has answered: what is no HTTP, or a defect of ours."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._all.unreadable(self._loop.time())
        else:
            self.log_exception("Error handling request", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer was sent and no other can follow it")
        refused = _plain(HTTPStatus(status))
        refused.force_close()
        return refused

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a defect of ours; a body whose framing breaks while it is thrown away is none."""
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            self._all.unreadable(self._loop.time())
        else:
            super().log_exception(*args, **kw)

    def _is_taken(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class Runner(web.AppRunner):
    """Runs an application on bounded connections."""

    __slots__ = ("connections",)

    def __init__(
        self, app: web.Application, *, connections: Connections | None = None, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self.connections = Connections() if connections is None else connections

    async def _make_server(self) -> web.Server:
        # The one method that a runner of one's own has to have.
        return _Server(await super()._make_server(), self.connections, self._kwargs)


class _Server(web.Server):
    """Makes the protocol of each connection."""

    def __init__(
        self, server: web.Server, connections: Connections, options: dict[str, Any]
    ) -> None:
        super().__init__(self._attend, request_factory=server.request_factory, **options)
        self._handle = server.request_handler
        self._all = connections

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, self._all, loop=self._loop, **self._kwargs)

    async def _attend(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        connection.waits()
        try:
            return await self._handle(request)
        except web.HTTPException as refusal:
            return _plain(HTTPStatus(refusal.status), refusal.headers.get("Allow"))
        finally:
            connection.release()


def connection_of(request: web.BaseRequest) -> Connection:
    """Return the connection that a request came by."""
    connection = request.protocol
    assert isinstance(connection, Connection)
    return connection


def peer_of(name: Any) -> str | None:
    """Return what connections are counted by for a peer's socket name; None for loopback.

    >>> peer_of(("203.0.113.9", 50000)), peer_of(("::ffff:203.0.113.9", 50000, 0, 0))
    ('203.0.113.9', '203.0.113.9')
    >>> peer_of(("2001:db8:1:2:3:4:5:6", 50000, 0, 0)), peer_of(("127.0.0.2", 50000))
    ('2001:db8:1:2::/64', None)
    """
    if not isinstance(name, tuple):
        return None
    address = ip_address(name[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return str(address)


@asynccontextmanager
async def listening(
    runner: web.AppRunner, host: str, port: int, *, field: str
) -> AsyncIterator[tuple[str, int]]:
    """Serve at host and port (0: any free one); yield where it really listens.

    Raises `ConfigInvalid` naming the setting `field` when the address cannot be had.
    """
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        except OSError as error:
            raise ConfigInvalid(
                f"Cannot listen on {host}:{port}: {error.strerror}.",
                field=field,
                found=f"{host}:{port}",
                expected="a free port on an address of this machine",
                next="stop what listens there, or change the address in the configuration",
            ) from error
        address = runner.addresses[0]
        yield address[0], address[1]
    finally:
        await runner.cleanup()


def _plain(status: HTTPStatus, allowed: str | None = None) -> web.Response:
    headers = None if allowed is None else {"Allow": allowed}
    return web.Response(status=status, text=f"{status.phrase}\n", headers=headers)
