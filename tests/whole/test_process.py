"""The daemon as a process: started, seen ready, stopped by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.whole.harness import Floor, free_port

WAIT_S = 20.0


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """A floor with one item on both shops."""
    floor = Floor(tmp_path)
    floor.item("candle", 10)
    floor.on_shopify("candle", 3)
    floor.on_woo("candle", 4)
    return floor


async def start(floor: Floor, *, port: int) -> asyncio.subprocess.Process:
    """Start `stockpush run` on the floor's configuration."""
    config = floor.folder / "stockpush.toml"
    text = config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
    (floor.folder / "process.toml").write_text(text)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stockpush",
        "run",
        "--config",
        str(floor.folder / "process.toml"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


async def ready(port: int) -> dict[str, object]:
    """Return what /readyz says once it answers 200."""

    def ask() -> bytes:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return answer.read()

    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return json.loads(await asyncio.to_thread(ask))
            except OSError:
                await asyncio.sleep(0.05)


async def test_the_process_gets_ready_pushes_and_ends_on_sigterm_with_0(floor: Floor) -> None:
    """Both shops show the central count; the signal ends it well within ten seconds."""
    async with floor.open():
        port = free_port()
        process = await start(floor, port=port)
        try:
            assert (await ready(port))["ready"] is True
            await floor.until_shows(10, 10)
        finally:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, log = await process.communicate()
        assert process.returncode == 0, log.decode()
        events = [json.loads(line)["event"] for line in log.decode().splitlines()]
        assert events[-1] == "daemon.stopped"


async def test_a_second_daemon_on_the_same_file_is_refused(floor: Floor) -> None:
    """It says which process has the database, and the first one goes on."""
    async with floor.open():
        port = free_port()
        first = await start(floor, port=port)
        try:
            await ready(port)
            second = await start(floor, port=free_port())
            async with asyncio.timeout(WAIT_S):
                _, log = await second.communicate()
            assert second.returncode == 1
            assert str(first.pid) in log.decode()
            assert "Traceback" not in log.decode()
            assert (await ready(port))["ready"] is True
        finally:
            first.send_signal(signal.SIGTERM)
            await first.communicate()


async def test_sighup_reads_the_configuration_again(floor: Floor) -> None:
    """A channel that was in shadow mode goes live without a restart by hand."""
    async with floor.open(mode="shadow"):
        port = free_port()
        process = await start(floor, port=port)
        try:
            await ready(port)
            config = floor.folder / "process.toml"
            config.write_text(config.read_text().replace('mode = "shadow"', 'mode = "live"'))
            assert floor.writes() == 0
            process.send_signal(signal.SIGHUP)
            await floor.until_shows(10, 10)
        finally:
            process.send_signal(signal.SIGTERM)
            await process.communicate()
        assert process.returncode == 0
