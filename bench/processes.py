"""Starting, asking and ending the processes of a bench."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no stubs

from bench import shops, world

T = TypeVar("T")

READY_WITHIN_S: Final = 60.0
SETTLED_WITHIN_S: Final = 60.0
STOPPED_WITHIN_S: Final = 60.0
_CALM_S: Final = 1.0
_CALM_CPU_S: Final = 0.021
"""A process is calm that takes no more than two ticks of its processor's time in so long."""
_LOOK_S: Final = 0.002
_MB: Final = 10**6
_ENVIRONMENT: Final = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
}


class WrongRun(Exception):
    """A run did not do what it was timed for: no figure may come of it."""


def carry_out(role: str, job: Any, result: type[T]) -> T:
    """Carry out one job in a process of its own; return its result."""
    done = subprocess.run(  # noqa: S603  # our own module
        [*_worker(role), msgspec.json.encode(job).decode()],
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise WrongRun(f"the process {role} ended with {done.returncode}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=result)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Resident:
    """What a process keeps in memory."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def now_mb(self) -> float:
        """Return the megabytes that it has."""
        return float(self._process.memory_info().rss) / _MB

    def most_mb(self) -> float:
        """Return the most megabytes that it ever had.

        Source: proc_pid_status(5), VmHWM.
        """
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / _MB


@contextmanager
def daemon(address: world.Address) -> Iterator[float]:
    """Run `stockpush run`; yield the seconds from its start until it was ready."""
    command = [sys.executable, "-m", "stockpush", "run", "--config", str(address.config)]
    with _running(command, address) as process:
        yield _ready(process, address)


@contextmanager
def watched_daemon(address: world.Address) -> Iterator[Resident]:
    """Run `stockpush run`; yield what it keeps in memory once it is ready."""
    command = [sys.executable, "-m", "stockpush", "run", "--config", str(address.config)]
    with _running(command, address) as running:
        _ready(running, address)
        yield Resident(psutil.Process(running[0].pid))


@contextmanager
def settled_daemon(address: world.Address) -> Iterator[None]:
    """Run `stockpush run`; yield once it has done what it does after each start.

    It then looks every listing up and reads every channel's orders, which is not what a sale costs.
    """
    command = [sys.executable, "-m", "stockpush", "run", "--config", str(address.config)]
    with _running(command, address) as running:
        _ready(running, address)
        _settle(psutil.Process(running[0].pid))
        yield


def _settle(process: psutil.Process) -> None:
    """Return once the process has been calm for a while."""
    until = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < until:
        before = process.cpu_times()
        time.sleep(_CALM_S)
        after = process.cpu_times()
        if after.user + after.system - before.user - before.system <= _CALM_CPU_S:
            return
    raise WrongRun(f"the daemon was still busy {SETTLED_WITHIN_S} s after its start")


@contextmanager
def floor(address: world.Address) -> Iterator[float]:
    """Run the handler without a database; yield as `daemon` does."""
    job = msgspec.json.encode({"folder": str(address.folder)}).decode()
    with _running([*_worker("floor"), job], address) as process:
        yield _ready(process, address)


class Shops:
    """The process of the emulated shops."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        urls = msgspec.json.decode(self._line(), type=dict[str, str])
        self.shopify_url, self.woo_url = urls["shopify_url"], urls["woo_url"]

    def sell(self, job: shops.Job) -> shops.Pushed:
        """Make sales in the shops; return how they were told of and pushed."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._line(), type=shops.Pushed)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WrongRun("the emulated shops ended")
        return line


@contextmanager
def served_shops() -> Iterator[Shops]:
    """Run the emulated shops."""
    process = subprocess.Popen(  # noqa: S603  # our own module
        [*_worker("shops"), "{}"],
        env=_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Shops(process)
    finally:
        process.kill()
        process.communicate()


def _worker(role: str) -> list[str]:
    return [sys.executable, "-m", "bench.worker", role]


@contextmanager
def _running(
    command: list[str], address: world.Address
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a server and stop it; one that does not end by itself when asked is an error."""
    log = address.folder / "server.log"
    with log.open("wb") as lines:
        begun = time.monotonic()
        process = subprocess.Popen(  # noqa: S603  # our own module
            command, env=_ENVIRONMENT, stdout=lines, stderr=lines
        )
        try:
            yield process, begun
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise WrongRun(f"the server did not stop: {_last_words(log)}") from None


def _ready(running: tuple[subprocess.Popen[bytes], float], address: world.Address) -> float:
    """Return the seconds from the server's start until /readyz answered 200."""
    process, begun = running
    while time.monotonic() - begun < READY_WITHIN_S:
        if _answers(address.port):
            return time.monotonic() - begun
        if process.poll() is not None:
            break
        time.sleep(_LOOK_S)
    raise WrongRun(f"the server was never ready: {_last_words(address.folder / 'server.log')}")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as line:
            line.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            return line.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-600:]
