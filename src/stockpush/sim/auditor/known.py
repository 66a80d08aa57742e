"""What the daemon must know: sales that it was told of, or that stand in its books."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from stockpush.sim.auditor.languages import Told, signed_name
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.truth import NEVER, LineKey


@dataclass(slots=True)
class Known:
    """`now` tells the virtual seconds."""

    now: Callable[[], float]
    at: dict[LineKey, float] = field(default_factory=dict)
    """Since when the daemon must know of an order line."""
    ended: set[LineKey] = field(default_factory=set)
    """Lines of which an acknowledged webhook told that nobody will pay for them."""
    digests: set[tuple[str, str]] = field(default_factory=set)
    """(channel, digest) of acknowledged deliveries that were not looked for yet (I3)."""

    def __contains__(self, key: LineKey) -> bool:
        """Answer whether the daemon must know of an order line."""
        return key in self.at

    def before(self, key: LineKey, instant: float) -> bool:
        """Answer whether the daemon must have known of an order line before an instant."""
        return self.at.get(key, NEVER) < instant

    def add(self, key: LineKey, at: float | None = None) -> None:
        """The daemon knows of an order line, as of now if nothing is said."""
        self.at.setdefault(key, self.now() if at is None else at)

    def acknowledged(self, channel: str, out: WebhookOut, told: Told) -> None:
        """The daemon has answered a delivery with a 2xx."""
        self.digests.add((channel, hashlib.sha256(signed_name(out) + out.body).hexdigest()))
        for line in told.lines:
            key = (channel, told.order, line)
            self.add(key)
            if told.released:
                self.ended.add(key)
