"""What the service manager is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stockpush import systemd
from stockpush.engine.supervisor import LOOK_S

UNIT = Path(__file__).parents[1] / "systemd" / "stockpush.service"


def unit() -> dict[str, list[str]]:
    """Return the settings of the unit that are in force, each with its values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_each_state_reaches_the_manager_s_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One datagram for each state."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        for state in (systemd.READY, systemd.ALIVE, systemd.STOPPING):
            systemd.tell(state)
            assert manager.recv(100) == state.encode()


def test_without_a_manager_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by hand, or the manager went away: no error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.tell(systemd.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.tell(systemd.READY)


def test_the_unit_waits_for_ready_and_watches():
    """The manager hears when the daemon is ready, and restarts a work loop that hangs."""
    settings = unit()
    assert settings["Type"] == ["notify"]
    assert float(settings["WatchdogSec"][0]) > 10 * LOOK_S
    assert settings["Restart"] == ["on-failure"]
    assert settings["StartLimitIntervalSec"] == ["0"], "a database may be away for long"


def test_the_unit_lets_the_daemon_reach_shops_and_nothing_of_the_machine():
    """No address is denied; the file system is, but for the state directory."""
    settings = unit()
    assert "IPAddressDeny" not in settings
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["StateDirectory"] == ["stockpush"]


def test_the_unit_shows_how_a_channel_s_secret_is_handed_over():
    """Each commented line would do as it stands, and the form to write in the file is shown."""
    text = UNIT.read_text(encoding="utf-8")
    given = [line for line in text.splitlines() if line.startswith("#LoadCredential=")]
    assert len(given) >= 5
    for line in given:
        name, _, path = line.removeprefix("#LoadCredential=").partition(":")
        assert path == f"/etc/stockpush/credentials/{name}"
    assert '"credential:shopify_token"' in text
