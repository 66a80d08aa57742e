"""Webhook subscriptions and their delivery attempts.

Theory of operation. A delivery's body is built once, when the thing happens, and is what every
retry carries. An attempt that is not answered 2xx is made again, `ATTEMPTS_MAX` in all over four
hours; after as many failures in a row the subscription itself is deleted. Faults (a lost, doubled,
late or overtaken delivery) are drawn from the shop's dice.
Source: shopify.dev changelog on the webhook retry mechanism (8 tries, 4 h, original body).
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from stockpush.sim.shops.base import REPLAY_WITHIN_S, Faults, WebhookOut

ATTEMPTS_MAX = 8
RETRY_GAPS_S = (113, 227, 454, 907, 1814, 3628, 7257)
"""Waits between the attempts: each about twice the one before, four hours in all."""


@dataclass(slots=True)
class Subscription:
    """One topic to one URL. `failures` counts attempts in a row that were not answered 2xx.

    `fields` (all without any), `filter` and `format` are what somebody asked for: they are told,
    and bodies are whole all the same.
    """

    topic: str
    url: str
    failures: int = 0
    number: int = 0
    fields: tuple[str, ...] = ()
    filter: str | None = None
    format: str = "JSON"


@dataclass(slots=True, order=True)
class _Queued:
    due_at: datetime
    number: int
    subscription: Subscription | None = field(compare=False)
    """None: somebody replays what he has seen, and the shop knows nothing of it."""
    out: WebhookOut = field(compare=False)


@dataclass(slots=True)
class Outbox:
    """What the shop wants to tell. `domain` and `api_version` go into the headers."""

    domain: str
    api_version: str
    secret: bytes
    dice: random.Random
    faults: Faults
    subscriptions: list[Subscription] = field(default_factory=list)
    queued: list[_Queued] = field(default_factory=list)
    """A heap."""
    sent: dict[int, Subscription | None] = field(default_factory=dict)
    """Subscription of each delivery that is out and not answered yet, by delivery id."""
    count: int = 0
    subscribed: int = 0
    """How many subscriptions were ever made."""

    def subscribe(self, topic: str, url: str) -> Subscription:
        """Make a subscription."""
        self.subscribed += 1
        made = Subscription(topic, url, number=self.subscribed)
        self.subscriptions.append(made)
        return made

    def unsubscribe(self, number: int) -> bool:
        """Delete a subscription, with what it has not delivered; answer whether there was one."""
        found = [each for each in self.subscriptions if each.number == number]
        for each in found:
            self._delete(each)
        return bool(found)

    def tell(self, topic: str, payload: Mapping[str, object], *, at: datetime) -> None:
        """Queue one delivery of `payload` for every subscription to `topic`."""
        body = msgspec.json.encode(payload)
        event = self._uuid()
        for subscription in self.subscriptions:
            if subscription.topic != topic or self._strikes("webhook_drop"):
                continue
            headers = self._headers(topic, body, event, at)
            for _ in range(self.faults.copies(self.dice)):
                due_at = at + timedelta(seconds=self.faults.delay_s(self.dice))
                self._queue(due_at, subscription, subscription.url, headers, body)
            if self._strikes("webhook_replay"):
                replayed = self._headers(topic, body, self._uuid(), at)
                due_at = at + timedelta(seconds=self.dice.uniform(1, REPLAY_WITHIN_S))
                self._queue(due_at, None, subscription.url, replayed, body)

    def due(self, at: datetime) -> list[WebhookOut]:
        """Take out the attempts that are due, oldest first unless dice reorder them."""
        now: list[_Queued] = []
        while self.queued and self.queued[0].due_at <= at:
            now.append(heapq.heappop(self.queued))
        for place in range(1, len(now)):
            if self._strikes("webhook_reorder"):
                now[place - 1], now[place] = now[place], now[place - 1]
        for each in now:
            self.sent[each.out.id] = each.subscription
        return [each.out for each in now]

    def answered(self, out: WebhookOut, status: int | None, *, at: datetime) -> None:
        """Record how an attempt ended: done, to be made again, or the subscription deleted."""
        subscription = self.sent.pop(out.id)
        if subscription is None:
            return
        if status is not None and 200 <= status < 300:
            subscription.failures = 0
            return
        subscription.failures += 1
        if subscription.failures >= ATTEMPTS_MAX:
            self._delete(subscription)
        elif out.attempt < ATTEMPTS_MAX:
            again = WebhookOut(out.id, out.url, out.headers, out.body, attempt=out.attempt + 1)
            due_at = at + timedelta(seconds=RETRY_GAPS_S[out.attempt - 1])
            heapq.heappush(self.queued, _Queued(due_at, self._next(), subscription, again))

    def next_at(self) -> datetime | None:
        """Return when the next attempt is due."""
        return self.queued[0].due_at if self.queued else None

    def lose(self) -> None:
        """Delete every subscription, with what it has not delivered."""
        for subscription in self.subscriptions:
            self._delete(subscription)

    def _queue(
        self,
        due_at: datetime,
        subscription: Subscription | None,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        number = self._next()
        out = WebhookOut(number, url, headers, body)
        heapq.heappush(self.queued, _Queued(due_at, number, subscription, out))

    def _delete(self, subscription: Subscription) -> None:
        self.subscriptions = [each for each in self.subscriptions if each is not subscription]
        self.queued = [each for each in self.queued if each.subscription is not subscription]
        heapq.heapify(self.queued)

    def _headers(self, topic: str, body: bytes, event: str, at: datetime) -> dict[str, str]:
        digest = hmac.new(self.secret, body, hashlib.sha256).digest()
        return {
            "content-type": "application/json",
            "x-shopify-topic": topic,
            "x-shopify-hmac-sha256": base64.b64encode(digest).decode("ascii"),
            "x-shopify-shop-domain": self.domain,
            "x-shopify-api-version": self.api_version,
            "x-shopify-webhook-id": self._uuid(),
            "x-shopify-event-id": event,
            "x-shopify-triggered-at": at.isoformat().replace("+00:00", "Z"),
        }

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _strikes(self, name: str) -> bool:
        return self.faults.strikes(name, self.dice)
