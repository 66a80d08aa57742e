"""What systemd is told: ready, alive, stopping. Nothing happens where no socket is given.

Source: sd_notify(3). The watchdog is fed by the supervisor's work loop and not by a timer, so
that a loop that hangs is restarted.
"""

from __future__ import annotations

import os
import socket

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"


def tell(state: str) -> None:
    """Send one state to the service manager, if there is one; a manager that went away is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.connect(address)
            channel.send(state.encode())
        except OSError:
            return
