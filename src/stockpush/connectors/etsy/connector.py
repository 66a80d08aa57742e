"""The door: `base.Connector` for one configured Etsy channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stockpush.connectors.base import (
    Answer,
    Api,
    Finding,
    Hooks,
    Manifest,
    OrderPage,
    PushLine,
    PushOutcome,
    Readings,
    TokenCall,
    Tokens,
    WebhookRequest,
)
from stockpush.connectors.etsy import checkup, granting, keys, reading, webhooks
from stockpush.connectors.etsy.polling import OrderReader
from stockpush.connectors.etsy.reading import Memory
from stockpush.connectors.etsy.renewing import EtsyRenewal, granted
from stockpush.connectors.etsy.settings import Settings
from stockpush.connectors.etsy.writing import Writer
from stockpush.errors import ConfigInvalid
from stockpush.messages import ListingResolved, OrderSeen, Seen
from stockpush.model import FieldKey, Listing


@dataclass(frozen=True, slots=True)
class EtsyConnector:
    """Translates between one Etsy shop and our facts; holds no state of stock."""

    channel: str
    manifest: Manifest
    settings: Settings
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)

    def base_url(self) -> str:
        """Return the host root, which serves the token endpoint too."""
        return self.settings.base_url

    def undecided(self) -> ConfigInvalid | None:
        """Return that the shop's number must be set, with the command that tells it."""
        if self.settings.shop_id is not None:
            return None
        where = f"channels.{self.channel}.shop_id"
        return ConfigInvalid(
            f"{where} is missing: the number of the shop.",
            field=where,
            expected="a whole number above 0",
            next=f"stockpush connect {self.channel}",
        )

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """Return the app's key and, once granted, the shop's access token."""
        headers = {"x-api-key": self.settings.api_key}
        if tokens is not None and tokens.access:
            headers["authorization"] = f"Bearer {tokens.access}"
        return headers

    def renewal(self) -> EtsyRenewal:
        """Return how the hour's access token is renewed."""
        return EtsyRenewal(self.channel, self.settings.keystring, self.settings.refresh_token)

    def together(self, key: str) -> str:
        """Return the listing of a field: its numbers go out in one document."""
        return str(keys.listing_of(key))

    def ref(self, given: Mapping[str, Any]) -> str:
        """Return "1001", "1001:size=l" or "1001#sku"; `CatalogueInvalid` names the field."""
        return keys.ref_key(given)

    def verify(self, request: WebhookRequest) -> None:
        """Return if one of the webhook's secrets signed the delivery, about when it came."""
        webhooks.verify(request, keys=self.settings.webhook_keys)

    def is_ping(self, request: WebhookRequest) -> bool:
        """Answer False: the portal's test message is signed like any other."""
        del request
        return False

    def delivery_name(self, request: WebhookRequest) -> str:
        """Return the signed webhook-id: bodies are so small that two events may be alike."""
        return request.headers["webhook-id"]

    def read(self, request: WebhookRequest) -> tuple[str, tuple[Seen, ...]]:
        """Return (topic for people, one hint)."""
        return webhooks.read(request, channel=self.channel, shop_id=self.settings.shop)

    async def resolve(self, api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Return the field of each listing, or what a person must mend."""
        return await reading.resolve(api, self.memory, listings, shop_id=self.settings.shop)

    async def observe(self, api: Api, fields: Sequence[FieldKey]) -> Readings:
        """Read what the fields hold, a hundred listings in one request."""
        return await reading.observe(api, self.memory, fields, shop_id=self.settings.shop)

    async def push(
        self, api: Api, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Check and set each line; see `writing`. The platform has no use for `call_id`."""
        del call_id
        return await Writer(self.settings, self.memory).push(api, batch)

    async def fetch_order(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one receipt; None if Etsy said twice that it does not have it."""
        if not (order_id.isascii() and order_id.isdecimal() and len(order_id) < 19):
            return None  # it never was a receipt's number
        return await self._reader().fetch(api, order_id, fetch=fetch)

    def poll_orders(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every receipt changed since the cursor; None: all open ones, then the recent."""
        return self._reader().poll(api, since=since, fetch=fetch)

    async def check(self, api: Api) -> tuple[Finding, ...]:
        """Return how the app's key, the shop and the rights stand."""
        return await checkup.check(api, channel=self.channel, settings=self.settings)

    async def ensure_webhooks(self, api: Api, url: str, *, dry_run: bool = False) -> Hooks:
        """Return what a person does: Etsy lets no program make or see webhooks."""
        del api, dry_run
        return checkup.webhooks(self.settings, url, topics=self.manifest.webhook_topics)

    def authorize_url(self, redirect_uri: str, *, state: str, verifier: str) -> str:
        """Return the address of Etsy's page, with what is asked for."""
        page, app = self.settings.authorize_url, self.settings.keystring
        return granting.authorize_url(page, app, redirect_uri, state=state, verifier=verifier)

    def exchange(
        self, redirected: str, redirect_uri: str, *, state: str, verifier: str
    ) -> TokenCall:
        """Return the call that trades the code in the address where the browser ended."""
        again = f"stockpush connect {self.channel}"
        code = granting.code_from(redirected, state=state, again=again)
        app = self.settings.keystring
        return granting.exchange(app, redirect_uri, code=code, verifier=verifier)

    def first_tokens(self, answer: Answer, *, now: datetime) -> Tokens:
        """Return the first pair."""
        return granted(answer, now=now, channel=self.channel)

    def _reader(self) -> OrderReader:
        overlap = timedelta(seconds=self.manifest.poll_overlap_s)
        return OrderReader(self.channel, self.settings.shop, overlap, self.memory)
