"""`run` and the process itself: real processes, real signals, a real pipe."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

SOURCE = Path(__file__).parents[2] / "src"
WAIT_S = 20


def environment() -> dict[str, str]:
    """What a process of ours sees: any free ports, nothing of the developer's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOCKPUSH_")}
    return kept | {
        "PYTHONPATH": str(SOURCE),
        "STOCKPUSH_DAEMON__LISTEN": "127.0.0.1:0",
        "STOCKPUSH_DAEMON__ADMIN": "127.0.0.1:0",
    }


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stockpush", *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until(daemon: subprocess.Popen[str], text: str) -> list[str]:
    """The lines of stderr up to the one that holds `text`."""
    assert daemon.stderr is not None
    seen = []
    for line in daemon.stderr:
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"{text} never came: {seen}")


@pytest.fixture
def daemon(terminal: Terminal) -> Iterator[subprocess.Popen[str]]:
    """A running daemon without channels."""
    terminal.done("init")
    process = start(terminal.folder, "run")
    try:
        lines_until(process, "daemon.started")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_well(daemon: subprocess.Popen[str], number: signal.Signals):
    """Exit code 0, and the last line says that everything was drained."""
    daemon.send_signal(number)
    out, err = daemon.communicate(timeout=WAIT_S)
    assert (daemon.returncode, out) == (0, "")
    assert "daemon.stopped" in err
    assert "Traceback" not in err


def test_a_second_daemon_refuses_and_commands_go_on(
    daemon: subprocess.Popen[str], terminal: Terminal
):
    """One daemon per database, named by its process id; the command line works beside it."""
    second = start(terminal.folder, "run")
    _, err = second.communicate(timeout=WAIT_S)
    assert second.returncode == 1
    assert f"process {daemon.pid}" in err
    terminal.write("items.csv", "sku,on_hand\nwick,5\n")
    terminal.done("import", "items.csv", "--yes")
    assert terminal.atp() == {"wick": "5"}
    assert terminal.done("resync", "--all", "--yes", "--json").json["daemon_runs"] is True


def test_sighup_reads_the_configuration_again(daemon: subprocess.Popen[str], terminal: Terminal):
    """A mistake leaves the daemon as it runs; a sound configuration starts it anew."""
    config = terminal.folder / "stockpush.toml"
    sound = config.read_text()
    config.write_text(sound.replace("buffer = 0", "buffer = -1"))
    daemon.send_signal(signal.SIGHUP)
    assert "stock.buffer" in lines_until(daemon, "stock.buffer")[-1]
    config.write_text(sound.replace("buffer = 0", "buffer = 1"))
    daemon.send_signal(signal.SIGHUP)
    seen = lines_until(daemon, "daemon.started")
    assert any("daemon.stopped" in line for line in seen)
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=WAIT_S)
    assert daemon.returncode == 0


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda text: "", "daemon.secret_key"),
        (lambda text: text.replace("stockpush.token", "absent.token"), "daemon.admin_token"),
        (lambda text: text + '[channels.x]\nconnector = "shopify"\n', "channels.x.shop"),
        (lambda text: text + '[channels.x]\nconnector = "ebay"\n', "connector"),
    ],
    ids=["no key", "no token", "no settings", "no connector"],
)
def test_mistakes_come_before_anything(terminal: Terminal, spoil, field: str):
    """No listener, no database: exit code 2 and the setting's name."""
    terminal.done("init")
    config = terminal.folder / "stockpush.toml"
    config.write_text(spoil(config.read_text()))
    result = terminal("run")
    assert result.code == 2
    assert field in result.err
    assert not (terminal.folder / "stockpush.db").exists()


def test_an_address_in_use_is_a_clear_error(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    """The setting and the address are named."""
    terminal.done("init")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("STOCKPUSH_DAEMON__LISTEN", address)
        monkeypatch.setenv("STOCKPUSH_DAEMON__ADMIN", "127.0.0.1:0")
        result = terminal("run")
    assert result.code == 2
    assert address in result.err


@pytest.mark.parametrize("arguments", [("stock",), ("stock", "--json")])
def test_a_closed_pipe_is_no_trace(shop: Terminal, arguments: tuple[str, ...]):
    """`stockpush stock | head`: the reader has gone, nothing is said."""
    process = start(shop.folder, *arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=WAIT_S), err) == (1, "")
    process.stderr.close()


def test_a_terminal_that_lacks_a_letter_is_no_reason_to_fail(shop: Terminal):
    """An arrow in ASCII becomes a question mark."""
    process = subprocess.run(
        [sys.executable, "-m", "stockpush", "receive", "wick", "5"],
        cwd=shop.folder,
        env=environment() | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=WAIT_S,
        check=True,
    )
    assert b"30 ? 35" in process.stdout
