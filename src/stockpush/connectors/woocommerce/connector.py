"""The door: `base.Connector` for one configured WooCommerce channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from stockpush.connectors.order_poll import Told
from stockpush.connectors.woocommerce import checkup, oauth, owners, webhooks, writing
from stockpush.connectors.woocommerce.polling import OrderReader
from stockpush.connectors.woocommerce.settings import Settings
from stockpush.messages import ListingResolved, OrderSeen, Seen
from stockpush.model import FieldKey, Listing


@dataclass(frozen=True, slots=True)
class WooCommerceConnector:
    """Translates between one WooCommerce shop and our facts; holds no state of stock."""

    channel: str
    manifest: Manifest
    settings: Settings
    told: Told = field(default_factory=Told, repr=False, compare=False)

    def base_url(self) -> str:
        """Return the root of the site."""
        return self.settings.base_url

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """Return the API key as Basic credentials, none where calls are signed."""
        del tokens
        basic = self.settings.authorization
        return {} if basic is None else {"authorization": basic}

    def signed(
        self,
        method: str,
        url: str,
        params: Sequence[tuple[str, str]],
        *,
        at: datetime,
        nonce: Callable[[], str],
    ) -> Sequence[tuple[str, str]]:
        """Return `params` as they are, or signed where that is configured."""
        if self.settings.oauth is None:
            return params
        key, secret = self.settings.oauth
        return oauth.signed(method, url, params, key=key, secret=secret, at=at, nonce=nonce())

    def renewal(self) -> None:
        """Return None: the credentials are what was configured."""

    def together(self, key: str) -> str:
        """Return the key: each field is written by itself."""
        return key

    def ref(self, given: Mapping[str, Any]) -> str:
        """Return "30" or "30:31" (product:variation); `CatalogueInvalid` names the field."""
        return owners.ref_key(given)

    def verify(self, request: WebhookRequest) -> None:
        """Return if the webhook's secret, or the one before it, signed the raw body."""
        webhooks.verify(request, secrets=self.settings.webhook_secrets)

    def is_ping(self, request: WebhookRequest) -> bool:
        """Answer whether this is the unsigned ping of a new webhook."""
        return webhooks.is_ping(request)

    def read(self, request: WebhookRequest) -> tuple[str, tuple[Seen, ...]]:
        """Return (topic for people, facts or hints) by the shape of the body."""
        return webhooks.read(request, channel=self.channel)

    async def resolve(self, api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Return the stock owner of each listing, or what a person must mend."""
        return await owners.resolve(api, listings)

    async def observe(self, api: Api, fields: Sequence[FieldKey]) -> Readings:
        """Read the stock owners' numbers: products in one request, variations per parent."""
        return await owners.observe(api, fields)

    async def push(
        self, api: Api, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Check and set each line; see `writing`. The platform has no use for `call_id`."""
        del call_id
        return await writing.push(api, batch)

    async def fetch_order(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order with its refunds; None if the shop no longer has it."""
        if not (order_id.isascii() and order_id.isdecimal()):
            return None  # it never was an order's id here
        return await self._reader().fetch(api, order_id, fetch=fetch)

    def poll_orders(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor; None: all open ones, then the recent."""
        return self._reader().poll(api, since=since, fetch=fetch)

    async def check(self, api: Api) -> tuple[Finding, ...]:
        """Return how access and the shop's stock settings stand."""
        return await checkup.check(api)

    async def ensure_webhooks(self, api: Api, url: str, *, dry_run: bool = False) -> Hooks:
        """Have every topic sent to `url`; what the shop switched off is switched on again."""
        return await checkup.ensure_webhooks(
            api,
            url,
            topics=self.manifest.webhook_topics,
            secret=self.settings.webhook_secret,
            digest=self.settings.webhook_digest,
            dry_run=dry_run,
        )

    def _reader(self) -> OrderReader:
        overlap = timedelta(seconds=self.manifest.poll_overlap_s)
        return OrderReader(self.channel, overlap, self.told)
