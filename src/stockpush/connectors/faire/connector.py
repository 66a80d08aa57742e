"""The door: `base.Connector` for one configured Faire channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

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
from stockpush.connectors.faire import checkup, variants, writing
from stockpush.connectors.faire.polling import OrderReader
from stockpush.connectors.faire.settings import Settings
from stockpush.connectors.faire.wire import is_id
from stockpush.connectors.order_poll import Told
from stockpush.errors import PayloadInvalid, SignatureInvalid
from stockpush.messages import ListingResolved, OrderSeen
from stockpush.model import FieldKey, Listing


@dataclass(frozen=True, slots=True)
class FaireConnector:
    """Translates between one brand's Faire account and our facts; holds no state of stock."""

    channel: str
    manifest: Manifest
    settings: Settings
    told: Told = field(default_factory=Told, repr=False, compare=False)

    def base_url(self) -> str:
        """Return the root of the site, or the one configured instead."""
        return self.settings.base_url

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """Return the brand's token, or the application's credentials with the granted one."""
        del tokens
        return self.settings.headers

    def renewal(self) -> None:
        """Return None: neither kind of token expires."""

    def together(self, key: str) -> str:
        """Return the key: each field is written by itself."""
        return key

    def ref(self, given: Mapping[str, Any]) -> str:
        """Return the variant's id; `CatalogueInvalid` names the field."""
        return variants.ref_key(given)

    def verify(self, request: WebhookRequest) -> NoReturn:
        """Refuse: Faire sends nothing, so whatever came is somebody else's."""
        del request
        raise SignatureInvalid("Faire has no webhooks: this is not from Faire.")

    def is_ping(self, request: WebhookRequest) -> bool:
        """Answer False: Faire sends nothing."""
        del request  # whatever it is, it is no ping
        return False

    def read(self, request: WebhookRequest) -> NoReturn:
        """Refuse: there is no delivery of Faire's to understand."""
        del request
        raise PayloadInvalid("Faire has no webhooks: there is nothing to read.")

    async def resolve(self, api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Return the variant of each listing, or what a person must mend."""
        return await variants.resolve(api, listings)

    async def observe(self, api: Api, fields: Sequence[FieldKey]) -> Readings:
        """Read on hand and committed of up to `read_max` variants in one request."""
        return await variants.observe(api, fields)

    async def push(
        self, api: Api, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Check and set each line; see `writing`. The platform has no use for `call_id`."""
        del call_id
        return await writing.push(api, batch)

    async def fetch_order(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order; None if Faire no longer has it, or it was never an order's id."""
        if not is_id(order_id):
            return None
        return await self._reader().fetch(api, order_id, fetch=fetch)

    def poll_orders(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor; None: all open ones, then the recent."""
        return self._reader().poll(api, since=since, fetch=fetch)

    async def check(self, api: Api) -> tuple[Finding, ...]:
        """Return whether the token reads orders."""
        return await checkup.check(api)

    async def ensure_webhooks(self, api: Api, url: str, *, dry_run: bool = False) -> Hooks:
        """Return that there are none."""
        del api, url, dry_run
        return checkup.webhooks()

    def _reader(self) -> OrderReader:
        overlap = timedelta(seconds=self.manifest.poll_overlap_s)
        return OrderReader(self.channel, overlap, self.told)
