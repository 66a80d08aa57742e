"""The emulated shop's webhooks: thin, signed in the Standard-Webhooks form, tried eight times.

Theory of operation. A delivery says what happened to which receipt and nothing more. Its body and
its id are made once and are those of every attempt; the instant is that of the attempt, and so is
the signature. An attempt that is not answered 2xx is made again after 5 s, 5 min, 30 min, 2 h, 5 h,
10 h and 10 h; then it is given up. An endpoint that was disabled gets nothing.
Source: developers.etsy.com, essentials/webhooks.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from stockpush.sim.shops.base import REPLAY_WITHIN_S, Faults, WebhookOut
from stockpush.sim.shops.etsy.access import encode

RETRY_GAPS_S = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Waits between the attempts."""
REORDER_MAX_S = 30.0
"""Longest extra delay of a delivery that is reordered."""
HOST = "https://api.etsy.com"


@dataclass(slots=True)
class Endpoint:
    """Where deliveries go. `labels`: signatures carry `v1,`, as the scheme says and receivers
    report; Etsy's page shows them bare.
    """

    url: str
    secret: str
    events: frozenset[str]
    is_enabled: bool = True
    labels: bool = True


@dataclass(frozen=True, slots=True, order=True)
class _Queued:
    due: datetime
    number: int
    endpoint: Endpoint = field(compare=False)
    name: str = field(compare=False)
    """The delivery's id."""
    body: bytes = field(compare=False)
    attempt: int = field(default=1, compare=False)
    is_replay: bool = field(default=False, compare=False)


class Outbox:
    """The endpoints of one app and the deliveries that wait."""

    def __init__(
        self, clock: Callable[[], datetime], dice: random.Random, faults: Callable[[], Faults]
    ) -> None:
        """`faults` is asked each time, so that replacing the shop's switches takes effect."""
        self._clock = clock
        self._dice = dice
        self._faults = faults
        self._queue: list[_Queued] = []
        """A heap."""
        self._out: dict[int, _Queued] = {}
        self._numbers = count(1)
        self.endpoints: list[Endpoint] = []

    def tell(self, event: str, shop_id: int, receipt_id: int) -> None:
        """Queue a delivery of an event for every endpoint that asked for it."""
        body = encode(
            {
                "event_type": event,
                "resource_url": f"{HOST}/v3/application/shops/{shop_id}/receipts/{receipt_id}",
                "shop_id": shop_id,
            }
        )
        for endpoint in self.endpoints:
            if event not in endpoint.events or not endpoint.is_enabled:
                continue
            if self._strikes("webhook_drop"):
                continue
            name = self._name()
            for _ in range(self._faults().copies(self._dice)):
                self._push(_Queued(self._due(), next(self._numbers), endpoint, name, body))
            if self._strikes("webhook_replay"):
                due = self._clock() + timedelta(seconds=self._dice.uniform(1, REPLAY_WITHIN_S))
                number = next(self._numbers)
                self._push(_Queued(due, number, endpoint, self._name(), body, is_replay=True))

    def take_due(self) -> list[WebhookOut]:
        """Take out what is due, earliest first, as the attempts to make now."""
        now = self._clock()
        due: list[_Queued] = []
        while self._queue and self._queue[0].due <= now:
            due.append(heapq.heappop(self._queue))
        return [self._attempt(each) for each in due if each.endpoint.is_enabled]

    def answered(self, out: WebhookOut, status: int | None) -> None:
        """Record how an attempt ended, which may schedule the next one."""
        queued = self._out.pop(out.id)
        done = status is not None and 200 <= status < 300
        if done or queued.is_replay or queued.attempt > len(RETRY_GAPS_S):
            return
        due = self._clock() + timedelta(seconds=RETRY_GAPS_S[queued.attempt - 1])
        self._push(
            _Queued(
                due,
                next(self._numbers),
                queued.endpoint,
                queued.name,
                queued.body,
                attempt=queued.attempt + 1,
            )
        )

    def next_at(self) -> datetime | None:
        """Return when the next attempt is due."""
        return self._queue[0].due if self._queue else None

    def lose(self) -> None:
        """Disable every endpoint."""
        for endpoint in self.endpoints:
            endpoint.is_enabled = False

    def _attempt(self, queued: _Queued) -> WebhookOut:
        number = next(self._numbers)
        self._out[number] = queued
        instant = str(int(self._clock().timestamp()))
        signature = sign(queued.endpoint.secret, queued.name, instant, queued.body)
        headers = {
            "content-type": "application/json",
            "user-agent": "Etsy-Webhooks/1.0",
            "webhook-id": queued.name,
            "webhook-timestamp": instant,
            "webhook-signature": f"v1,{signature}" if queued.endpoint.labels else signature,
        }
        return WebhookOut(number, queued.endpoint.url, headers, queued.body, queued.attempt)

    def _push(self, queued: _Queued) -> None:
        heapq.heappush(self._queue, queued)

    def _due(self) -> datetime:
        extra_s = self._faults().delay_s(self._dice)
        if self._strikes("webhook_reorder"):
            extra_s += self._dice.uniform(0, REORDER_MAX_S)
        return self._clock() + timedelta(seconds=extra_s)

    def _name(self) -> str:
        return f"msg_{self._dice.getrandbits(128):032x}"

    def _strikes(self, name: str) -> bool:
        return self._faults().strikes(name, self._dice)


def sign(secret: str, name: str, instant: str, body: bytes) -> str:
    """Return the base64 signature of a delivery."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{name}.{instant}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode("ascii")
