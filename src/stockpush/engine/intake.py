"""From a delivery to durable facts: verify, read, commit, and only then a receipt."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from stockpush import logs
from stockpush.connectors.base import Connector, NamedDeliveries, WebhookRequest
from stockpush.engine.commit import CommitLane
from stockpush.engine.sampling import Sampled
from stockpush.errors import NotFound, PayloadInvalid, SignatureInvalid
from stockpush.messages import ApplyOrders, Event, ReceiveDelivery, Replayed, Seen
from stockpush.model import Delivery, DeliveryState
from stockpush.ports import Clock
from stockpush.values import replace


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a delivery is durable, or known, or has no effect: what a 200 rests on."""

    note: str


@dataclass(slots=True)
class Counts:
    """Deliveries since the start, by what became of them."""

    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    refused: int = 0


class Intake:
    """Takes deliveries of every channel into the inbox through the commit lane."""

    def __init__(
        self,
        lane: CommitLane,
        connectors: Mapping[str, Connector],
        clock: Clock,
        seal: Callable[[bytes, str], bytes],
        wall: Callable[[], datetime] | None = None,
    ) -> None:
        """`seal(body, channel)` encrypts a body that must be kept because it cannot be read.

        `wall` is the machine's own clock, which signed instants are held against; `clock` may be
        ahead of it.
        """
        self._wall = clock.now if wall is None else wall
        self._lane = lane
        self._connectors = connectors
        self._named = {
            name: each for name, each in connectors.items() if isinstance(each, NamedDeliveries)
        }
        self._clock = clock
        self._seal = seal
        self.counts: dict[str, Counts] = {name: Counts() for name in connectors}
        self._refused = {name: Sampled() for name in connectors}

    async def receive(self, channel: str, request: WebhookRequest) -> Receipt:
        """Take one delivery. Returns only after the commit that made it durable.

        Raises `SignatureInvalid` (nothing is stored) and `StoreUnavailable` (the sender retries).
        """
        connector = self._connectors[channel]
        if connector.is_ping(request):
            return Receipt("ping")
        counts = self.counts[channel]
        # What signs an instant is believed only about when it came.
        request = WebhookRequest(request.headers, request.body, self._wall())
        try:
            connector.verify(request)
        except SignatureInvalid:
            counts.refused += 1
            if count := self._refused[channel].count(self._clock.monotonic()):
                logs.emit(Event("delivery.refused", {"channel": channel, "count": count}))
            raise
        command = self._command(channel, connector, request)
        done = await self._lane.submit(command)
        if isinstance(done.outcome, Replayed):
            counts.duplicate += 1
            return Receipt("known")
        if command.delivery.state is DeliveryState.QUARANTINED:
            counts.quarantined += 1
        else:
            counts.accepted += 1
        return Receipt("stored")

    def _command(
        self, channel: str, connector: Connector, request: WebhookRequest
    ) -> ReceiveDelivery:
        """Read a verified body; one that cannot be read is quarantined and kept for a replay."""
        seen: tuple[Seen, ...] = ()
        state, reason = DeliveryState.APPLIED, ""
        topic = "unreadable"
        try:
            topic, seen = connector.read(request)
        except PayloadInvalid as error:
            state, reason = DeliveryState.QUARANTINED, error.message
        return ReceiveDelivery(
            Delivery(
                channel=channel,
                digest=self._digest(channel, request),
                topic=topic,
                received_at=self._clock.now(),
                state=state,
                reason=reason,
                # Sealing costs more than all the rest of a sale: only what is kept is sealed.
                body=self._seal(request.body, channel)
                if state is DeliveryState.QUARANTINED
                else None,
            ),
            seen,
        )

    def _digest(self, channel: str, request: WebhookRequest) -> str:
        """Return what tells a delivery from another: its body, and its name where that is signed.

        A delivery that is repeated has both again.
        """
        named = self._named.get(channel)
        name = b"" if named is None else named.delivery_name(request).encode() + b"\n"
        return hashlib.sha256(name + request.body).hexdigest()

    async def replay(self, delivery: Delivery, body: bytes) -> None:
        """Read a quarantined body again and apply it.

        Raises `PayloadInvalid` if it still cannot be read, `NotFound` for a channel that is not
        configured.
        """
        connector = self._connectors.get(delivery.channel)
        if connector is None:
            raise NotFound(
                f"channel {delivery.channel!r} is not configured",
                field="channel",
                found=delivery.channel,
                next="stockpush channels",
            )
        topic, seen = connector.read(WebhookRequest({}, body))
        again = replace(delivery, topic=topic, state=DeliveryState.APPLIED, reason="")
        await self._lane.commit([ReceiveDelivery(again, seen, replay=True)])


async def fetch_again(lane: CommitLane, delivery: Delivery) -> None:
    """Have the daemon fetch the order that a quarantined delivery points at."""
    pending = replace(delivery, state=DeliveryState.PENDING, reason="to be fetched")
    await lane.commit([ApplyOrders(delivery.channel, (), deliveries=(pending,))])
