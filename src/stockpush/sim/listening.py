"""Whoever reads the daemon's log: no secret may be in it, and no defect of ours (I12)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stockpush import logs
from stockpush.sim.accounts import CONSUMER_KEY, CONSUMER_SECRET, SECRETS
from stockpush.sim.machine import SECRET_KEY
from stockpush.sim.shops.base import BUYER
from stockpush.sim.shops.etsy import render as etsy
from stockpush.sim.shops.faire import render as faire
from stockpush.sim.world import ADMIN_TOKEN

DEFECTS = frozenset({"worker.failed", "delivery.failed", "line.withheld"})
"""Log lines that tell of a defect of ours, whatever the world did. Libraries complain of what a
kill leaves lying about in this process, where nobody cleans up after the dead.
"""
CANARIES = (
    frozenset({*BUYER.values(), ADMIN_TOKEN, SECRET_KEY})
    | SECRETS
    | {etsy.BUYER, etsy.BUYER_EMAIL, faire.CANARY}
    | {b64encode(f"{CONSUMER_KEY}:{CONSUMER_SECRET}".encode()).decode()}
)
"""What is in every order, every request and the configuration, and may be in no log line (I12)."""


@dataclass(slots=True)
class Listener:
    """`secrets` are those of one run, besides `CANARIES`; `violate` is told what must not be."""

    secrets: Iterable[str]
    violate: Callable[[str], None]
    lines: int = 0
    _canaries: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Know what to look for."""
        self._canaries = CANARIES | frozenset(self.secrets)

    def __call__(self, line: logs.Line) -> None:
        """Look at a line of the log as it would be written."""
        self.lines += 1
        if line["event"] in DEFECTS:
            self.violate(f"{line['event']}: {line.get('error')} at {line.get('trace')}")
        for name, value in line.items():
            # As it stands in the line, with whatever is in it.
            if any(canary in str(value) for canary in self._canaries):
                self.violate(f"I12 {line['event']} tells {name}: {value}")
