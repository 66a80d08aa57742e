"""`stockpush run` as a process that is killed, stopped, squeezed and started again.

The daemon's log goes to a file, so that no pipe can hold it up. Readiness is asked for over the
socket by the test's own loop; the time from starting the process to the first 200 is what a
merchant's shop has to wait out.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.cli.terminal import Configured
from tests.whole.harness import Floor

READY_WITHIN_S = 30.0
"""How long a start may take on a machine that is busy with other tests."""
STOP_WITHIN_S = 10.0
"""How long a stop may take (docs/architecture.md)."""
LOOK_S = 0.01
"""How often a condition is looked at."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}


@dataclass
class Daemon:
    """The daemon of a floor; one at a time runs, on the floor's port."""

    floor: Floor
    process: asyncio.subprocess.Process | None = None
    started_at: float = 0.0
    starts_s: list[float] = field(default_factory=list)
    """From start to ready, one number for each start that was waited for."""
    alone_s: list[float] = field(default_factory=list)
    """The same without what it waited for a processor that other processes had."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What its process finds in its environment besides what the test's does."""

    @property
    def log(self) -> Path:
        """Where its log goes, start after start."""
        return self.floor.folder / "daemon.log"

    async def start(self) -> None:
        """Start it; do not wait."""
        assert self.process is None or self.process.returncode is not None
        with self.log.open("ab") as log:
            self.started_at = time.monotonic()
            self.process = await spawn(self.floor, "run", log=log, environment=self.environment)

    async def ready(self) -> float:
        """Return once /readyz answers 200: the seconds since the start. One that ended fails."""
        async with asyncio.timeout(READY_WITHIN_S):
            while (await self.readiness())[0] != 200:
                assert self.process.returncode is None, self.last_words()
                await asyncio.sleep(LOOK_S)
        took = time.monotonic() - self.started_at
        self.starts_s.append(took)
        self.alone_s.append(took - self._waited_s())
        return took

    def _waited_s(self) -> float:
        """How long it was ready to run and nobody let it; 0 where the system does not say.

        Source: https://docs.kernel.org/scheduler/sched-stats.html, /proc/<pid>/schedstat.
        """
        try:
            counted = Path(f"/proc/{self.process.pid}/schedstat").read_text()
        except OSError:
            return 0.0
        return int(counted.split()[1]) / 1e9

    async def readiness(self) -> tuple[int, dict[str, object]]:
        """Return the status and the body of /readyz; (0, {}) where nobody answers."""
        return await fetch(self.floor.listen_port, b"GET /readyz HTTP/1.0\r\n\r\n")

    def kill(self) -> None:
        """End it as a power cut ends a process: now."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Return its exit code, once it has one."""
        async with asyncio.timeout(READY_WITHIN_S):
            return await self.process.wait()

    async def stop(self, *, early: bool = False) -> float:
        """Ask it to stop and see that it ends with 0 in time; return the seconds that took.

        `early`: it may not have begun to listen to signals yet, and end of this one.
        """
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_WITHIN_S):
            code = await self.process.wait()
        assert code == 0 or (early and code == -signal.SIGTERM), self.last_words()
        return time.monotonic() - begun

    async def make_sure_it_ended(self) -> None:
        """Leave no process behind, however the test went."""
        if self.process is not None and self.process.returncode is None:
            self.kill()
            await self.process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def events(self) -> list[str]:
        """The events of its log, start after start."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(each)["event"] for each in lines if each.startswith("{")]


async def spawn(
    floor: Configured,
    *arguments: str,
    log: object = asyncio.subprocess.PIPE,
    stdin: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> asyncio.subprocess.Process:
    """Start one command on the folder's configuration."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stockpush",
        *arguments,
        "--config",
        str(floor.folder / "stockpush.toml"),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE if log is asyncio.subprocess.PIPE else log,
        stderr=log,
        env={**ENVIRONMENT, **environment},
    )


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


async def typed(floor: Floor, *arguments: str) -> Said:
    """Carry out one command as a process of its own."""
    process = await spawn(floor, *arguments)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = Said(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in said.out + said.err, said
    assert "defect" not in said.out + said.err, said
    return said


async def fetch(port: int, request: bytes) -> tuple[int, dict[str, object]]:
    """Send one request to loopback; return the status and the JSON of the answer, if it has any.

    (0, {}) where nobody answers.
    """
    status, _headers, body = await exchange(port, request)
    try:
        return status, json.loads(body)
    except ValueError:
        return status, {}


async def exchange(port: int, request: bytes) -> tuple[int, str, bytes]:
    """Send one request to loopback; return the status, the headers and the body of the answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0, "", b""
    try:
        writer.write(request)
        answer = await reader.read()
    except OSError:
        return 0, "", b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, "", b""
    return int(head.split()[1]), head.decode("latin-1"), body


def percentile(numbers: Sequence[float], share: float) -> float:
    """The smallest number that at least `share` (0..1) of them do not exceed."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)]
