"""The composition root: the only room that knows every other one.

assembly.py   the parts that commands and daemon have in common
running.py    the workers upon them, and the daemon: listeners and workers
accounts.py   one channel's account: `doctor`, `connect`
database.py   the database before it is opened
"""

from stockpush.compose.assembly import (
    Parts,
    check_pools,
    connect,
    parts,
    polled_only,
    ref_key,
    to_examine,
    undecided,
    webhook_topics,
)
from stockpush.compose.running import Crew, Daemon, daemon, working

__all__ = [
    "Crew",
    "Daemon",
    "Parts",
    "check_pools",
    "connect",
    "daemon",
    "parts",
    "polled_only",
    "ref_key",
    "to_examine",
    "undecided",
    "webhook_topics",
    "working",
]
