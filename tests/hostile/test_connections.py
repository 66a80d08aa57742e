"""Many connections that say nothing, or a byte now and then, and senders in a hurry among them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from stockpush.clock import SystemClock
from stockpush.connectors.base import WebhookRequest
from stockpush.engine.intake import Receipt
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.web import listener
from stockpush.web.listener import Connections, listening
from stockpush.web.webhooks import public_app, public_runner
from tests.hostile.world import SIGNATURE, Fort, encoded, fort, signature, woo_order

CLOCK = SystemClock()
TOKEN = "0" * 31 + "1"
HOOK = f"/webhooks/s/{TOKEN}"
HEAD = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\n".encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT_S = 4.0


@dataclass
class Slow:
    """An intake that waits until it is let go."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    inside: int = 0

    async def receive(self, channel: str, request: WebhookRequest) -> Receipt:
        """Take one delivery, in time."""
        self.inside += 1
        await self.gate.wait()
        return Receipt("stored")


@dataclass
class Client:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, text: bytes) -> None:
        """Send."""
        self.writer.write(text)

    async def is_answered(self, status: bytes = b"200") -> bool:
        """Answer whether what was asked is answered, and so; False if the line is dead."""
        try:
            async with asyncio.timeout(WAIT_S):
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                await self.reader.readexactly(int(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        return head.split(b" ")[1] == status

    async def is_ended(self) -> None:
        """Return once the other side has ended the connection without a word."""
        async with asyncio.timeout(WAIT_S):
            try:
                assert await self.reader.read() == b""
            except ConnectionError:
                return


class Counted(Connections):
    """Connections that tell how many there have been."""

    admitted = 0

    def admit(self, connection: listener.Connection) -> None:
        """Count."""
        super().admit(connection)
        self.admitted += 1


@dataclass
class House:
    """A public listener with small bounds."""

    port: int
    connections: Counted
    intake: Slow
    clients: list[Client] = field(default_factory=list)

    async def client(self, said: bytes = b"") -> Client:
        """Connect, and return once the listener knows of it (or has ended another for it)."""
        line = socket.socket()
        line.setblocking(False)
        line.bind(("127.0.0.1", 0))
        return await self.from_line(line, said)

    async def from_line(self, line: socket.socket, said: bytes) -> Client:
        """Connect from a bound socket."""
        before = self.connections.admitted
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self.port))
        client = Client(*await asyncio.open_connection(sock=line))
        self.clients.append(client)
        await until(lambda: self.connections.admitted > before)
        client.say(said)
        return client

    async def until_inside(self, count: int) -> None:
        """Return once so many deliveries are with the intake."""
        await until(lambda: self.intake.inside >= count)


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await CLOCK.sleep(0.005)


@asynccontextmanager
async def house(
    *, headers_timeout_s: float = WAIT_S, body_timeout_s: float = WAIT_S, **bounds: float
) -> AsyncIterator[House]:
    """Run a listener with some of its bounds, and of those of `Connections`, replaced."""
    intake, connections = Slow(), Counted(**bounds)
    app = public_app(intake, {"s": TOKEN}, lambda: (), ids=None, body_timeout_s=body_timeout_s)
    runner = public_runner(app, connections=connections, headers_timeout_s=headers_timeout_s)
    async with listening(runner, "127.0.0.1", 0, field="daemon.listen") as (_, port):
        running = House(port, connections, intake)
        try:
            yield running
        finally:
            intake.gate.set()
            for client in running.clients:
                client.writer.transport.abort()
            await until(lambda: len(connections) == 0)


# -- who goes when the house is full -------------------------------------------------------------


async def test_the_one_that_keeps_us_waiting_longest_goes() -> None:
    """A full house takes one more caller in, and drops the oldest that has not said its wish."""
    async with house(connections_max=3) as full:
        slow = await full.client(b"POST ")
        quick = await full.client(HEALTH)
        assert await quick.is_answered()
        other = await full.client(HEAD)
        late = await full.client(HEALTH)
        assert await late.is_answered()
        await slow.is_ended()
        assert len(full.connections) == 3
        quick.say(HEALTH)
        assert await quick.is_answered(), "it was answered after the slow one came: it stays"
        other.say(b"Content-Length: 0\r\n\r\n")
        await full.until_inside(1)


async def test_a_delivery_that_waits_for_us_is_never_dropped() -> None:
    """While it is being committed it is we who are slow; new callers find the door shut."""
    async with house(connections_max=2) as full:
        first = await full.client(HEAD + b"Content-Length: 2\r\n\r\n{}")
        second = await full.client(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await full.until_inside(2)
        third = await full.client(HEALTH)
        await third.is_ended()
        full.intake.gate.set()
        assert await first.is_answered()
        assert await second.is_answered()
        fourth = await full.client(HEALTH)
        assert await fourth.is_answered()


async def test_a_body_that_drips_goes_before_one_that_comes() -> None:
    """Unfinished bodies have a bound in common; the oldest of them makes room."""
    async with house(bodies_bytes_max=100_000) as full:
        slow = await full.client(HEAD + b"Content-Length: 90000\r\n\r\n" + b"x" * 60_000)
        await until(lambda: full.connections.held >= 60_000)
        quick = await full.client(HEAD + b"Content-Length: 50000\r\n\r\n" + b"x" * 50_000)
        await full.until_inside(1)
        await slow.is_ended()
        full.intake.gate.set()
        assert await quick.is_answered()
        assert full.connections.held == 0


async def test_finished_bodies_that_wait_for_us_drop_nobody() -> None:
    """The database is slow, which is no sender's fault: a body that comes is taken all the same."""
    async with house(bodies_bytes_max=100_000) as full:
        large = HEAD + b"Content-Length: 60000\r\n\r\n"
        waiting = [await full.client(large + b"x" * 60_000) for _ in range(2)]
        await full.until_inside(2)
        coming = await full.client(large + b"x" * 30_000)
        await until(lambda: full.connections.held == 30_000)
        coming.say(b"x" * 30_000)
        await full.until_inside(3)
        assert (full.connections.held, full.connections.storing) == (0, 180_000)
        full.intake.gate.set()
        for client in (*waiting, coming):
            assert await client.is_answered()
        assert full.connections.storing == 0


async def test_more_than_may_wait_to_be_stored_is_told_to_come_back() -> None:
    """503, by a line that stays open; those that wait already are stored."""
    async with house(storing_bytes_max=100_000) as full:
        large = HEAD + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000
        first = await full.client(large)
        await full.until_inside(1)
        second = await full.client(large)
        assert await second.is_answered(b"503")
        assert (full.connections.held, full.connections.storing) == (0, 60_000)
        full.intake.gate.set()
        assert await first.is_answered()
        second.say(large)
        assert await second.is_answered()
        assert full.connections.storing == 0


async def test_one_address_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of an address costs that address its own slowest connection, nobody else's."""
    monkeypatch.setattr(listener, "peer_of", lambda name: peers[name[1]])
    peers: dict[int, str | None] = {}

    async def caller(full: House, peer: str | None, said: bytes) -> Client:
        line = socket.socket()
        line.setblocking(False)
        line.bind(("127.0.0.1", 0))
        peers[line.getsockname()[1]] = peer
        return await full.from_line(line, said)

    async with house(per_peer_max=2) as full:
        neighbour = await caller(full, "203.0.113.1", b"POST ")
        tunnel = [await caller(full, None, b"POST ") for _ in range(4)]
        mine = [await caller(full, "203.0.113.9", b"POST ") for _ in range(2)]
        await until(lambda: len(full.connections) == 7)
        third = await caller(full, "203.0.113.9", HEALTH)
        assert await third.is_answered()
        await mine[0].is_ended()
        assert len(full.connections) == 7
        for stays in (neighbour, *tunnel, mine[1]):
            stays.say(HEALTH.removeprefix(b"GET ").replace(b"/healthz", b"/nowhere"))
            assert await stays.is_answered(b"404")


# -- bounds of time ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status"),
    [(b"POST ", b""), (HEALTH + b"GET ", b"200"), (HEAD + b"Content-Length: 999\r\n\r\n", b"408")],
    ids=["headers", "headers of a second request", "body"],
)
async def test_a_drip_buys_no_time(said: bytes, status: bytes) -> None:
    """A byte now and then does not move the bound: it counts from the beginning."""
    async with house(headers_timeout_s=0.3, body_timeout_s=0.3) as full:
        client = await full.client(said)
        stop = asyncio.Event()
        dripping = asyncio.create_task(drip([client.writer], stop, pause_s=0.02))
        try:
            if status:
                assert await client.is_answered(status)
            await client.is_ended()
        finally:
            stop.set()
            await dripping
        await until(lambda: len(full.connections) == 0)


async def ask_for_ever(line: socket.socket) -> None:
    """Ask until the line breaks."""
    async with asyncio.timeout(WAIT_S):
        while True:
            await asyncio.get_running_loop().sock_sendall(line, HEALTH * 1000)


async def test_an_answer_that_nobody_takes_ends() -> None:
    """A client that asks and asks and never reads is dropped; it may not hold a place for ever."""
    async with house(take_timeout_s=0.2) as full:
        greedy = socket.socket()
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(greedy, ("127.0.0.1", full.port))
        with pytest.raises(ConnectionError):
            await ask_for_ever(greedy)
        greedy.close()
        await until(lambda: len(full.connections) == 0)


# -- five hundred at once ------------------------------------------------------------------------


async def latencies(attacked: Fort, count: int) -> list[float]:
    """Seconds that each of `count` honest deliveries took, one after the other."""
    took = []
    for number in range(count):
        body = encoded(woo_order())
        begun = CLOCK.monotonic()
        reply = await attacked.post(WOO, body)
        took.append(CLOCK.monotonic() - begun)
        assert reply.status == 200, number
    return took


async def drip(
    writers: Sequence[asyncio.StreamWriter], stop: asyncio.Event, *, pause_s: float = 0.25
) -> None:
    """Send a byte on every connection that is still open, again and again."""
    while not stop.is_set():
        for writer in writers:
            if not writer.is_closing():
                writer.write(b"a")
        await CLOCK.sleep(pause_s)


async def test_honest_senders_are_answered_among_600_that_drip(tmp_path: Path) -> None:
    """Half of them drip headers, half the body of a delivery; a tenth says nothing at all.

    There are never more than the bound, the honest are answered at most five times as slowly as
    before (or within 50 ms), and when the drippers stop nothing of them is left.
    """
    async with fort(tmp_path) as attacked:
        await latencies(attacked, 10)
        calm = median(await latencies(attacked, 30))
        body = encoded(woo_order())
        head = attacked.wire(
            f"POST HOOK HTTP/1.1\nHost: x\n{SIGNATURE[SHOPIFY]}: {signature(SHOPIFY, body)}\n"
        )
        openings = (head + b"X-Slow: ", head + b"Content-Length: 1000000\r\n\r\n")
        before = await attacked.rows()
        lines = []
        stop = asyncio.Event()
        dripping = asyncio.create_task(drip(lines, stop))
        try:
            for number in range(600):
                _, writer = await attacked.connect()
                writer.write(b"" if number % 10 == 9 else openings[number % 2])
                lines.append(writer)
            took = await latencies(attacked, 40)
            there = len(attacked.connections)
        finally:
            stop.set()
            await dripping
            for writer in lines:
                writer.transport.abort()
        await attacked.until_alone()
        assert there <= listener.CONNECTIONS_MAX
        assert median(took) <= max(5 * calm, 0.05), (calm, median(took))
        assert sorted(took)[-2] <= 1.0
        print(f"honest deliveries: {calm * 1e3:.1f} ms, among 600: {median(took) * 1e3:.1f} ms")  # noqa: T201
        assert (await attacked.rows())["delivery"] == before["delivery"] + 40
