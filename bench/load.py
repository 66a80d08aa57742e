"""The load generator: signed sales over HTTP, from a process of its own.

Theory of operation. Every request is made and signed before the clock starts, and the client is a
bare protocol that knows just enough HTTP, so that the generator takes little of a core. Without a
rate each connection sends its next sale when the last one was answered: that finds the throughput.
With a rate the instants at which sales are sent are fixed beforehand, whatever becomes of the
earlier ones, and a latency counts from the instant at which the sale was to be sent, also where no
connection was free then: a server that stalls cannot hide it (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import orders

SUCCESS = b"HTTP/1.1 200 "


@dataclass(frozen=True, slots=True)
class Job:
    """So many sales of the first `spread` items, after `warm_up` others that are not timed.

    `rate` is in sales a second; None: as fast as they are answered.
    """

    port: int
    path: str
    sales: int
    spread: int
    connections: int
    warm_up: int
    rate: float | None = None
    first: int = 0
    """The number of the first of them: no two sales of a world have the same."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How the sales were answered; times of the timed ones alone, the warm-up counts as well."""

    sent: int
    acknowledged: int
    seconds: float
    p50_ms: float
    p99_ms: float


async def run(job: Job) -> Answered:
    """Send the sales and return how they were answered."""
    made = deque(_requests(job))
    warm = [made.popleft() for _ in range(job.warm_up)]
    lines = [await _connect(job.port) for _ in range(job.connections)]
    try:
        first = await _closed(lines, warm)
        begun = time.perf_counter()
        timed = await (
            _closed(lines, made) if job.rate is None else _open(lines, list(made), job.rate)
        )
        seconds = time.perf_counter() - begun
    finally:
        for line in lines:
            line.close()
    latencies = sorted(each.seconds for each in timed)
    return Answered(
        sent=len(first) + len(timed),
        acknowledged=sum(each.acknowledged for each in (*first, *timed)),
        seconds=seconds,
        p50_ms=1000 * statistics.median(latencies),
        p99_ms=1000 * latencies[max(0, -(-len(latencies) * 99 // 100) - 1)],
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    acknowledged: bool
    seconds: float


class _Line(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answered: Callable[[bool], None] | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes, answered: Callable[[bool], None]) -> None:
        """Send a request; `answered` is called with whether it was acknowledged."""
        assert self._transport is not None
        self._answered, self._read = answered, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read on, to the end of the answer."""
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or b"0"):
            self._tell(acknowledged=head.startswith(SUCCESS))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # of the protocol
        """Count what was not answered as refused."""
        self._tell(acknowledged=False)

    def close(self) -> None:
        """End it."""
        self._answered = None
        if self._transport is not None:
            self._transport.abort()

    def _tell(self, *, acknowledged: bool) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(acknowledged)


async def _connect(port: int) -> _Line:
    _transport, line = await asyncio.get_running_loop().create_connection(_Line, "127.0.0.1", port)
    return line


async def _closed(
    lines: Sequence[_Line], requests: Sequence[bytes] | deque[bytes]
) -> list[_Answer]:
    """Send each request when a connection is free for it."""
    waiting = iter(requests)
    answers: list[_Answer] = []

    async def work(line: _Line) -> None:
        loop = asyncio.get_running_loop()
        for request in waiting:
            done: asyncio.Future[bool] = loop.create_future()
            begun = time.perf_counter()
            line.ask(request, done.set_result)
            acknowledged = await done
            answers.append(_Answer(acknowledged, time.perf_counter() - begun))
            if not acknowledged:
                return  # the connection may be gone; the count of answers tells

    await asyncio.gather(*(work(line) for line in lines))
    return answers


async def _open(lines: Sequence[_Line], requests: Sequence[bytes], rate: float) -> list[_Answer]:
    """Send each request at its instant, or as soon after it as a connection is free."""
    free, late = deque(lines), deque[tuple[bytes, float]]()
    answers: list[_Answer] = []
    all_answered = asyncio.Event()

    def send(line: _Line, request: bytes, due: float) -> None:
        def answered(acknowledged: bool) -> None:  # noqa: FBT001  # a callback of one argument
            answers.append(_Answer(acknowledged, time.perf_counter() - due))
            if late:
                send(line, *late.popleft())
            else:
                free.append(line)
            if len(answers) == len(requests):
                all_answered.set()

        line.ask(request, answered)

    begun = time.perf_counter()
    for number, request in enumerate(requests):
        due = begun + number / rate
        if (wait_s := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        if free:
            send(free.popleft(), request, due)
        else:
            late.append((request, due))
    await all_answered.wait()
    return answers


def _requests(job: Job) -> Iterator[bytes]:
    """Yield whole requests, head and body."""
    for made in orders.webhooks(job.warm_up + job.sales, spread=job.spread, first=job.first):
        headers = "".join(f"{name}: {value}\r\n" for name, value in made.headers.items())
        head = (
            f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\n{headers}"
            f"content-length: {len(made.body)}\r\n\r\n"
        )
        yield head.encode() + made.body
