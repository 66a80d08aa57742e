"""The door: `base.Connector` for one configured shop of the maker's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stockpush.connectors.base import (
    Api,
    Finding,
    Hooks,
    Manifest,
    OrderPage,
    PushLine,
    PushOutcome,
    Readings,
    Tokens,
    WebhookRequest,
)
from stockpush.connectors.generic import checkup, orders, products, writing
from stockpush.connectors.generic.polling import OrderReader
from stockpush.connectors.generic.settings import Settings
from stockpush.connectors.generic.wire import is_name
from stockpush.connectors.signatures import verify_standard_webhook
from stockpush.errors import SignatureInvalid
from stockpush.messages import ListingResolved, OrderSeen, Seen
from stockpush.model import FieldKey, Listing


@dataclass(frozen=True, slots=True)
class GenericConnector:
    """Translates between the protocol of docs/channels/generic.md and our facts."""

    channel: str
    manifest: Manifest
    settings: Settings

    def base_url(self) -> str:
        """Return where the shop answers."""
        return self.settings.base_url

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """Return the bearer token."""
        del tokens
        return {"authorization": self.settings.authorization}

    def renewal(self) -> None:
        """Return None: the credentials are what was configured."""

    def together(self, key: str) -> str:
        """Return the key: each field is written by itself."""
        return key

    def ref(self, given: Mapping[str, Any]) -> str:
        """Return the product's name; `CatalogueInvalid` names the field."""
        return products.ref_key(given)

    def verify(self, request: WebhookRequest) -> None:
        """Return if the shop's secret, or the one before it, signed id, instant and body."""
        if request.received_at is None:
            raise SignatureInvalid("It is not known when the delivery came.", field="received_at")
        keys = self.settings.webhook_keys
        verify_standard_webhook(keys, request.headers, request.body, now=request.received_at)

    def is_ping(self, request: WebhookRequest) -> bool:
        """Answer False: every delivery is signed, a ping too."""
        del request
        return False

    def delivery_name(self, request: WebhookRequest) -> str:
        """Return the signed webhook-id: bodies are so small that two events may be alike."""
        return request.headers["webhook-id"]

    def read(self, request: WebhookRequest) -> tuple[str, tuple[Seen, ...]]:
        """Return (topic for people, facts or hints) by the body's type."""
        return orders.read(request.body, channel=self.channel)

    async def resolve(self, api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Return the product of each listing, or what a person must mend."""
        return await products.resolve(api, listings)

    async def observe(self, api: Api, fields: Sequence[FieldKey]) -> Readings:
        """Read the products' numbers in one request."""
        return await products.observe(api, fields)

    async def push(
        self, api: Api, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Check and set each line; see `writing`."""
        key = self.settings.webhook_keys[0]
        return await writing.push(api, batch, call_id=call_id, key=key)

    async def fetch_order(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order; None if the shop no longer has it, or it was never an order's id."""
        if not is_name(order_id):
            return None
        return await self._reader().fetch(api, order_id, fetch=fetch)

    def poll_orders(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor; None: all open ones, then the recent."""
        return self._reader().poll(api, since=since, fetch=fetch)

    async def check(self, api: Api) -> tuple[Finding, ...]:
        """Return whether the shop answers, and knows the token."""
        return await checkup.check(api)

    async def ensure_webhooks(self, api: Api, url: str, *, dry_run: bool = False) -> Hooks:
        """Return what the shop's own program does: it sends them by itself."""
        del api, dry_run
        return checkup.webhooks(url, topics=self.manifest.webhook_topics)

    def _reader(self) -> OrderReader:
        return OrderReader(self.channel, timedelta(seconds=self.manifest.poll_overlap_s))
