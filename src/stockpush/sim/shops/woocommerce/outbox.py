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
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

from stockpush.sim.shops.base import Faults, WebhookOut

FAILURES_MAX = 6
"""Failures in a row that a webhook survives."""
REORDER_MAX_S = 30.0
"""Longest extra delay of a delivery that is reordered."""
_SITE = "https://woo.example/"
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


@dataclass(frozen=True, slots=True)
class _Queued:
    due: datetime
    number: int
    webhook_id: int
    object_id: int | None
    """None: the creation ping."""


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
        self._out: dict[int, _Queued] = {}
        self._numbers = count(1)
        self.webhooks: dict[int, Webhook] = {}

    def subscribe(self, topic: str, url: str, secret: str) -> Webhook:
        """Create an active webhook and queue its ping."""
        webhook = Webhook(len(self.webhooks) + 1, topic, url, secret)
        self.webhooks[webhook.id] = webhook
        self._queue.append(_Queued(self._clock(), next(self._numbers), webhook.id, None))
        return webhook

    def trigger(self, topic: str, object_id: int) -> None:
        """Queue a delivery for every active webhook of the topic that has none waiting for it."""
        for webhook in self.webhooks.values():
            if webhook.topic != topic or webhook.status != "active":
                continue
            if any(
                queued.webhook_id == webhook.id and queued.object_id == object_id
                for queued in self._queue
            ):
                continue
            if self._faults().trigger_lost_while_running and any(
                running.webhook_id == webhook.id and running.object_id == object_id
                for running in self._out.values()
            ):
                continue
            self._queue.append(_Queued(self._due(), next(self._numbers), webhook.id, object_id))

    def take_due(self) -> list[WebhookOut]:
        """Take out what is due, earliest first, as the attempts to make now."""
        now = self._clock()
        due = sorted(
            (queued for queued in self._queue if queued.due <= now),
            key=lambda queued: (queued.due, queued.number),
        )
        self._queue = [queued for queued in self._queue if queued.due > now]
        attempts: list[WebhookOut] = []
        for queued in due:
            webhook = self.webhooks[queued.webhook_id]
            if webhook.status != "active" or self._strikes(self._faults().webhook_drop):
                continue
            out = self._attempt(webhook, queued)
            attempts.append(out)
            if self._strikes(self._faults().webhook_duplicate):
                attempts.append(replace(out, id=self._register(queued)))
        return attempts

    def answered(self, out: WebhookOut, status: int | None) -> None:
        """Count how an attempt ended; nothing is ever sent again."""
        queued = self._out.pop(out.id)
        webhook = self.webhooks[queued.webhook_id]
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
        return min((queued.due for queued in self._queue), default=None)

    def _due(self) -> datetime:
        faults = self._faults()
        extra_s = faults.webhook_delay_s
        if self._strikes(faults.webhook_reorder):
            extra_s += self._dice.uniform(0, REORDER_MAX_S)
        return self._clock() + self._delay + timedelta(seconds=extra_s)

    def _register(self, queued: _Queued) -> int:
        number = next(self._numbers)
        self._out[number] = queued
        return number

    def _attempt(self, webhook: Webhook, queued: _Queued) -> WebhookOut:
        common = {
            "user-agent": "WooCommerce/11.0.1 Hookshot (WordPress/7.1)",
            "connection": "close",
        }
        if queued.object_id is None:
            return WebhookOut(
                id=self._register(queued),
                url=webhook.url,
                headers={**common, "content-type": "application/x-www-form-urlencoded"},
                body=b"webhook_id=%d" % webhook.id,
            )
        body = self._body(webhook.topic, queued.object_id)
        resource, _, event = webhook.topic.partition(".")
        headers = {
            **common,
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

    def _strikes(self, probability: float) -> bool:
        return probability > 0 and self._dice.random() < probability


def sign(secret: str, body: bytes) -> str:
    """Return the signature header: the secret loses its HTML entities before it becomes the key."""
    for entity, character in _DECODED.items():  # &amp; last: each entity is decoded once
        secret = secret.replace(entity, character)
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
