"""Forged deliveries without end: bounded log, bounded memory, and honest senders served."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import psutil
import structlog

from stockpush.clock import SystemClock
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.web.webhooks import BODY_BYTES_MAX, REFUSALS_BURST
from tests.hostile.test_wire import BROKEN, POST
from tests.hostile.world import (
    CANARY,
    SIGNATURE,
    Fort,
    encoded,
    fort,
    parse,
    request,
    signature,
    woo_order,
)
from tests.whole.harness import Floor, free_port
from tests.whole.test_process import ready, start

CLOCK = SystemClock()
REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "1000"))
"""Hostile requests whose memory is measured; before them come as many that are not."""
GROWTH_MAX = 4 * 1024 * 1024
"""Bytes by which the process may grow meanwhile."""
WAIT_S = 20.0


async def test_a_flood_is_429_and_two_lines_and_a_signed_delivery_is_200(tmp_path: Path) -> None:
    """Unsigned deliveries are refused more shortly once they are many; signed ones never are.

    The log has one line for them all, and one for what is no HTTP, each without what was sent.
    """
    async with fort(tmp_path) as attacked:
        before = await attacked.rows()
        with structlog.testing.capture_logs() as lines:
            forged = await flood(attacked, WOO, 4 * REFUSALS_BURST)
            for _ in range(20):
                assert (await attacked.send(b"\x16\x03\x01 c4n4ry\r\n\r\n")).status == 400
            assert await attacked.rows() == before
            honest = await attacked.post(WOO, encoded(woo_order()))
        assert honest.status == 200
        assert forged[:REFUSALS_BURST] == [401] * REFUSALS_BURST
        assert set(forged[2 * REFUSALS_BURST :]) == {429}
        assert (await flood(attacked, SHOPIFY, 1)) == [401], "each channel has its own patience"
        refused = [each for each in lines if each["event"].endswith(".refused")]
        assert sorted(each["event"] for each in refused) == ["delivery.refused", "request.refused"]
        assert CANARY not in str(refused)
        assert attacked.floor.daemon.intake.counts[WOO].refused == 4 * REFUSALS_BURST
        waits = await attacked.post(WOO, b"{}", sign=False)
        assert (waits.status, b"\r\nRetry-After: 60\r\n" in waits.head) == (429, True)


async def flood(attacked: Fort, channel: str, count: int) -> list[int]:
    """Deliver forged bodies; return the answers' statuses."""
    body = encoded(woo_order())
    async with aiohttp.ClientSession() as http:
        statuses = []
        for _ in range(count):
            url = f"http://{attacked.host}:{attacked.port}{attacked.hooks[channel]}"
            headers = {SIGNATURE[channel]: signature(channel, b"another")}
            async with http.post(url, data=body, headers=headers) as answer:
                statuses.append(answer.status)
        return statuses


# -- memory --------------------------------------------------------------------------------------


async def test_memory_is_flat_under_attack(tmp_path: Path) -> None:
    """A daemon's process does not grow with what it refuses: every kind of it, over and over.

    The first round fills what every process fills once (buffers, caches, arenas).
    """
    floor = Floor(tmp_path, webhooks=False)
    floor.item("candle", 10)
    floor.on_woo("candle", 10)
    async with floor.open():
        async with floor.unstarted() as parts:
            hooks = {name: parts.webhook_path(name) for name in (SHOPIFY, WOO)}
        port = free_port()
        process = await start(floor, port=port)
        try:
            await ready(port)
            wires = corpus(hooks)
            memory = psutil.Process(process.pid).memory_info
            await attack(port, wires, REQUESTS)
            settled = memory().rss
            statuses = await attack(port, wires, REQUESTS)
            grown = memory().rss - settled
            assert max(statuses) < 500
            assert (await ready(port))["ready"] is True
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_S):
                _, log = await process.communicate()
            sys.stdout.write(log.decode())
    assert grown <= GROWTH_MAX, f"{grown / 2**20:.1f} MiB after {REQUESTS} requests"
    assert b"Traceback" not in log
    assert log.count(b".refused") <= 4, "a line a minute for each kind and channel"
    sys.stdout.write(f"{REQUESTS} requests: {grown / 2**20:+.2f} MiB of {settled / 2**20:.0f}\n")


def corpus(hooks: dict[str, str]) -> Sequence[bytes]:
    """Requests of every kind that is refused at once, and forged ones of every size."""
    texts = [text for _, text, status in BROKEN if status != 413 and len(text) < 30_000]
    wires = [
        text.replace("HOOK", hooks[SHOPIFY]).replace("\n", "\r\n").replace("\v", "\n")
        for text in texts
    ]
    forged = [
        request(hooks[WOO], b"{" + b" " * size, {SIGNATURE[WOO]: signature(WOO, b"another")})
        for size in (0, 1000, 60_000, BODY_BYTES_MAX - 1)
    ]
    guesses = [
        request(f"/webhooks/{name}-{number}/{number:032x}", b"{}", {f"X-{number}": "y" * 1000})
        for number in range(20)
        for name in ("demo-woo", CANARY)
    ]
    half = f"{POST}Content-Length: 5000\n\n{{".replace("HOOK", hooks[WOO]).replace("\n", "\r\n")
    return [*[wire.encode("latin-1") for wire in wires], *forged, *guesses, half.encode()]


async def attack(port: int, wires: Sequence[bytes], count: int) -> set[int]:
    """Send `count` of the requests in turn, sixteen at a time; return the statuses answered."""
    statuses: set[int] = set()
    left = iter(range(count))

    async def attacker() -> None:
        for number in left:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            wire = wires[number % len(wires)]
            try:
                writer.write(wire)
                await writer.drain()
                if wire is wires[-1]:
                    continue  # half a body, and gone
                async with asyncio.timeout(WAIT_S):
                    statuses.add(parse(await reader.readuntil(b"\r\n\r\n")).status)
            except ConnectionError:
                statuses.add(0)
            finally:
                writer.transport.abort()

    await asyncio.gather(*[attacker() for _ in range(16)])
    return statuses
