"""What the service manager is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stockpush import systemd


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
