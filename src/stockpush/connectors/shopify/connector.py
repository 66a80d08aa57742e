"""The door: `base.Connector` for one configured Shopify channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stockpush.connectors.base import (
    Api,
    Finding,
    FullReading,
    Hooks,
    Manifest,
    OrderPage,
    PushLine,
    PushOutcome,
    Reading,
    Readings,
    Tokens,
    WebhookRequest,
)
from stockpush.connectors.shopify import bulk, checkup, levels, stocking, webhooks, writing
from stockpush.connectors.shopify.access import Client
from stockpush.connectors.shopify.ids import number_of
from stockpush.connectors.shopify.polling import OrderReader
from stockpush.connectors.shopify.settings import Settings
from stockpush.errors import AuthFailed, ConfigInvalid
from stockpush.messages import ListingResolved, OrderSeen, Seen
from stockpush.model import FieldKey, Listing


@dataclass(frozen=True, slots=True)
class ShopifyConnector:
    """Translates between one Shopify shop and our facts; holds no state of stock."""

    channel: str
    manifest: Manifest
    settings: Settings

    def base_url(self) -> str:
        """Return the shop's root, or the one configured instead."""
        return self.settings.base_url

    @property
    def location(self) -> int:
        """Return the location whose stock is ours; see `undecided`."""
        assert self.settings.location is not None, "worked only once everything is chosen"
        return self.settings.location

    def undecided(self) -> ConfigInvalid | None:
        """Return that the location must be chosen, with the command that lists the shop's."""
        if self.settings.location is not None:
            return None
        where = f"channels.{self.channel}.location"
        return ConfigInvalid(
            f"{where} is missing: the location whose stock is ours.",
            field=where,
            expected="gid://shopify/Location/1, or 1",
            next=f"stockpush connect {self.channel}   (lists the shop's locations)",
        )

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """Return the header of the configured access token, or of the newest granted one."""
        token = self.settings.access_token or (tokens and tokens.access)
        if not token:
            raise AuthFailed("No access to the shop was granted yet")
        return {"x-shopify-access-token": token}

    def renewal(self) -> Client | None:
        """Return how the app is granted tokens; None where its token is for good."""
        return self.settings.client

    def together(self, key: str) -> str:
        """Return the key: each field is written by itself."""
        return key

    def ref(self, given: Mapping[str, Any]) -> str:
        """Return `variant/N` or `item/N`; `CatalogueInvalid` names the field."""
        return levels.ref_key(given)

    def verify(self, request: WebhookRequest) -> None:
        """Return if the app's secret, or the one before it, signed the body for this shop."""
        webhooks.verify(request, secrets=self.settings.webhook_secrets, shop=self.settings.shop)

    def is_ping(self, request: WebhookRequest) -> bool:
        """Answer False: Shopify sends nothing unsigned."""
        del request  # whatever it is, it is no ping
        return False

    def read(self, request: WebhookRequest) -> tuple[str, tuple[Seen, ...]]:
        """Return (topic for people, facts or hints) by the shape of the body."""
        return webhooks.read(request, channel=self.channel, location=self.location)

    async def resolve(self, api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Return the variant and the inventory item of each listing, or what a person must mend."""
        return await levels.resolve(api, listings, location=self.location)

    async def put_on_stock(
        self, api: Api, resolved: Sequence[ListingResolved], *, call_id: str
    ) -> tuple[ListingResolved, ...]:
        """Stock at our location what is not stocked there, if `activate` says so."""
        if not self.settings.activate:
            return tuple(resolved)
        return await stocking.put_on_stock(api, resolved, call_id=call_id, location=self.location)

    async def observe(self, api: Api, fields: Sequence[FieldKey]) -> Readings:
        """Read `available` of up to `read_max` inventory items in one request."""
        return await levels.observe(api, fields, location=self.location)

    async def begin_full(self, api: Api) -> str:
        """Have Shopify write down every variant with its number at our location."""
        return await bulk.begin(api, location=self.location)

    async def full(self, api: Api, name: str) -> FullReading:
        """Return how far that bulk operation is."""
        return await bulk.progress(api, name)

    async def end_full(self, api: Api, name: str) -> None:
        """Cancel it."""
        await bulk.cancel(api, name)

    def full_record(self, line: bytes) -> Reading:
        """Return what one line of its file says of one inventory item."""
        return bulk.record(line, channel=self.channel)

    async def push(
        self, api: Api, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Compare and set each line; see `writing`."""
        return await writing.push(api, batch, call_id=call_id, location=self.location)

    async def fetch_order(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order whole; None if Shopify no longer has it, or it was never an order id."""
        number = number_of("Order", order_id)
        if number is None:
            return None
        return await self._reader().fetch(api, number, fetch=fetch)

    def poll_orders(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor; None: all open ones, then the recent."""
        return self._reader().poll(api, since=since, fetch=fetch)

    async def check(self, api: Api) -> tuple[Finding, ...]:
        """Return how access, scopes and the location stand."""
        return await checkup.check(api, shop=self.settings.shop, location=self.settings.location)

    async def ensure_webhooks(self, api: Api, url: str, *, dry_run: bool = False) -> Hooks:
        """Have every topic sent to `url`; what Shopify deleted is made anew."""
        topics = self.manifest.webhook_topics
        return await checkup.ensure_webhooks(api, url, topics=topics, dry_run=dry_run)

    def _reader(self) -> OrderReader:
        return OrderReader(
            channel=self.channel,
            location=self.location,
            poll_overlap=timedelta(seconds=self.manifest.poll_overlap_s),
        )
