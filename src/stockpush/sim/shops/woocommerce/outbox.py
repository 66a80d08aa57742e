"""The emulated shop's webhooks: queued, merged, built at delivery time, tried once.

Theory of operation. A change queues (webhook, object) unless that pair is queued already; the
body is built when the queue runs, so it shows the object as it is *then*, and several changes are
one delivery. The delivery id hashes the webhook and the second, so two orders in one second share
one. An attempt that fails is never repeated; it only counts, and the seventh in a row disables the
webhook. Creating a webhook sends a form-encoded, unsigned ping.

With `trigger_lost_while_running` a change during a delivery queues no other one. Source:
https://github.com/woocommerce/woocommerce/issues/26851.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from stockpush.sim.shops.base import REPLAY_WITHIN_S, Faults, WebhookOut

FAILURES_MAX = 6
"""Failures in a row that a webhook survives."""
REORDER_MAX_S = 30.0
"""Longest extra delay of a delivery that is reordered."""
_SITE = "https://woo.example/"
_COMMON = {"user-agent": "WooCommerce/11.0.1 Hookshot (WordPress/7.1)", "connection": "close"}
_DECODED = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#039;": "'", "&amp;": "&"}


@dataclass(slots=True)
class Webhook:
    """A subscription. `ping_status` is what the creation ping was answered with."""

    id: int
    topic: str
    url: str
    secret: str
    status: str = "active"
    failures: int = 0
    ping_status: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class _Queued:
    due: datetime
    number: int
    webhook_id: int = field(compare=False)
    object_id: int | None = field(compare=False)
    """None: the creation ping."""
    replayed: bytes | None = field(default=None, compare=False)
    """The body that somebody replays: the shop itself knows nothing of it."""


class Outbox:
    """The webhooks of one shop and the deliveries that wait."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        dice: random.Random,
        faults: Callable[[], Faults],
        body: Callable[[str, int], bytes],
        *,
        delay_s: float,
    ) -> None:
        """`body(topic, object id)` builds a delivery's body; `delay_s` is the queue's own delay.

        `faults` is asked each time, so that replacing the shop's switches takes effect.
        """
        self._clock = clock
        self._dice = dice
        self._faults = faults
        self._body = body
        self._delay = timedelta(seconds=delay_s)
        self._queue: list[_Queued] = []
        """A heap."""
        self._waiting: set[tuple[int, int | None]] = set()
        """(webhook, object) of what the queue holds, but for replays."""
        self._out: dict[int, _Queued] = {}
        self._numbers = count(1)
        self.webhooks: dict[int, Webhook] = {}

    def subscribe(self, topic: str, url: str, secret: str) -> Webhook:
        """Create an active webhook and queue its ping."""
        webhook = Webhook(max(self.webhooks, default=0) + 1, topic, url, secret)
        self.webhooks[webhook.id] = webhook
        self._push(_Queued(self._clock(), next(self._numbers), webhook.id, None))
        return webhook

    def remove(self, webhook_id: int) -> Webhook:
        """Delete a webhook, with what it has not delivered."""
        self._queue = [each for each in self._queue if each.webhook_id != webhook_id]
        heapq.heapify(self._queue)
        self._waiting = {each for each in self._waiting if each[0] != webhook_id}
        return self.webhooks.pop(webhook_id)

    def trigger(self, topic: str, object_id: int) -> None:
        """Queue a delivery for every active webhook of the topic that has none waiting for it."""
        for webhook in self.webhooks.values():
            if webhook.topic != topic or webhook.status != "active":
                continue
            if (webhook.id, object_id) in self._waiting or self._is_lost(webhook, object_id):
                continue
            self._waiting.add((webhook.id, object_id))
            self._push(_Queued(self._due(), next(self._numbers), webhook.id, object_id))

    def take_due(self) -> list[WebhookOut]:
        """Take out what is due, earliest first, as the attempts to make now."""
        now = self._clock()
        due: list[_Queued] = []
        while self._queue and self._queue[0].due <= now:
            due.append(heapq.heappop(self._queue))
        self._waiting -= {(each.webhook_id, each.object_id) for each in due if not each.replayed}
        return [out for queued in due for out in self._attempts(queued)]

    def lose(self) -> None:
        """Disable every webhook."""
        for webhook in self.webhooks.values():
            webhook.status = "disabled"

    def _attempts(self, queued: _Queued) -> Iterator[WebhookOut]:
        webhook = self.webhooks[queued.webhook_id]
        if queued.replayed is not None:
            yield self._attempt(webhook, queued, queued.replayed)
            return
        if webhook.status != "active" or self._strikes("webhook_drop"):
            return
        if queued.object_id is None:
            yield self._ping(webhook, queued)
            return
        out = self._attempt(webhook, queued, self._body(webhook.topic, queued.object_id))
        yield out
        for _ in range(1, self._faults().copies(self._dice)):
            yield replace(out, id=self._register(queued))
        if self._strikes("webhook_replay"):
            due = self._clock() + timedelta(seconds=self._dice.uniform(1, REPLAY_WITHIN_S))
            self._push(replace(queued, due=due, number=next(self._numbers), replayed=out.body))

    def answered(self, out: WebhookOut, status: int | None) -> None:
        """Count how an attempt ended; nothing is ever sent again."""
        queued = self._out.pop(out.id)
        if queued.replayed is not None:
            return
        webhook = self.webhooks.get(queued.webhook_id)
        if webhook is None:
            return
        if queued.object_id is None:
            webhook.ping_status = status
        elif status is not None and (200 <= status < 300 or status in (301, 302)):
            webhook.failures = 0
        elif webhook.failures >= FAILURES_MAX:
            webhook.status = "disabled"
        else:
            webhook.failures += 1

    def next_at(self) -> datetime | None:
        """Return when the next attempt is due."""
        return self._queue[0].due if self._queue else None

    def _push(self, queued: _Queued) -> None:
        heapq.heappush(self._queue, queued)

    def _is_lost(self, webhook: Webhook, object_id: int) -> bool:
        """Answer whether a change during a delivery about the same object queues none."""
        running = any(
            each.webhook_id == webhook.id and each.object_id == object_id
            for each in self._out.values()
        )
        return running and self._faults().is_on("trigger_lost_while_running")

    def _due(self) -> datetime:
        faults = self._faults()
        extra_s = faults.delay_s(self._dice)
        if self._strikes("webhook_reorder"):
            extra_s += self._dice.uniform(0, REORDER_MAX_S)
        return self._clock() + self._delay + timedelta(seconds=extra_s)

    def _register(self, queued: _Queued) -> int:
        number = next(self._numbers)
        self._out[number] = queued
        return number

    def _ping(self, webhook: Webhook, queued: _Queued) -> WebhookOut:
        headers = {**_COMMON, "content-type": "application/x-www-form-urlencoded"}
        body = b"webhook_id=%d" % webhook.id
        return WebhookOut(self._register(queued), webhook.url, headers, body)

    def _attempt(self, webhook: Webhook, queued: _Queued, body: bytes) -> WebhookOut:
        resource, _, event = webhook.topic.partition(".")
        headers = {
            **_COMMON,
            "content-type": "application/json",
            "x-wc-webhook-source": _SITE,
            "x-wc-webhook-topic": webhook.topic,
            "x-wc-webhook-resource": resource,
            "x-wc-webhook-event": event,
            "x-wc-webhook-signature": sign(webhook.secret, body),
            "x-wc-webhook-id": str(webhook.id),
            "x-wc-webhook-delivery-id": self._delivery_id(webhook),
        }
        return WebhookOut(self._register(queued), webhook.url, headers, body)

    def _delivery_id(self, webhook: Webhook) -> str:
        second = int(self._clock().timestamp())
        return hashlib.sha256(f"{webhook.id}{second}".encode()).hexdigest()[:32]

    def _strikes(self, name: str) -> bool:
        return self._faults().strikes(name, self._dice)


def sign(secret: str, body: bytes) -> str:
    """Return the signature header: the secret loses its HTML entities before it becomes the key."""
    for entity, character in _DECODED.items():  # &amp; last: each entity is decoded once
        secret = secret.replace(entity, character)
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
