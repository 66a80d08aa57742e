"""How one Etsy account stands: the app's key, whose shop the access is to, and its rights.

Theory of operation. The access names its shop by itself, so that the configured number is compared
and never believed; where none is configured yet it is told. A right is tried by reading the least
that needs it, since the access does not say which it has; the right to write cannot be tried
without writing. A 403 that everything is answered with is the app's key, which no grant mends, and
a route that asks for nothing but the key tells the two apart.

Webhooks are made by a person, in the portal, and only where Etsy has given the app commercial
access. No call tells whether they are there.
Source: getMe, getShop, ping, getListingsByShop, getShopReceipts; developers.etsy.com, webhooks.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stockpush.connectors.base import Api, Finding, Hooks
from stockpush.connectors.etsy.settings import Settings
from stockpush.connectors.etsy.wire import ask, decode_answer
from stockpush.connectors.payload import Number
from stockpush.errors import AuthFailed

FORBIDDEN = 403
PORTAL = "etsy.com/developers, Manage your apps, Go to Webhook portal"
KEY = "copy keystring and shared_secret again from etsy.com/developers, Manage your apps"
RIGHTS = (("listings_r", "listings"), ("transactions_r", "receipts"))
"""Each right that can be tried, and the list below a shop that needs it."""


class _Self(msgspec.Struct, frozen=True):
    user_id: Number
    shop_id: Number | None = None


class _Shop(msgspec.Struct, frozen=True):
    shop_id: Number
    shop_name: str = ""


async def check(api: Api, *, channel: str, settings: Settings) -> tuple[Finding, ...]:
    """Return how the app's key, the shop and the rights stand."""
    try:
        answer = await ask(api, "GET", "/users/me")
    except AuthFailed as error:
        if error.found != FORBIDDEN or await _key_is_known(api):
            raise
        return (Finding("access", ok=False, told=_WRONG_KEY, mend=KEY, access=True),)
    mine = decode_answer(answer, _Self, "account")
    if mine.shop_id is None:
        told = "whoever granted access has no shop"
        mend = f"sign in to Etsy as the shop's owner, then: stockpush connect {channel}"
        return (Finding("access", ok=False, told=told, mend=mend, access=True, grant=True),)
    return (
        Finding("access", ok=True, told="Etsy knows the app, and who granted it access"),
        await _shop(api, channel, settings, mine.shop_id),
        await _rights(api, channel, mine.shop_id),
    )


def webhooks(settings: Settings, url: str, *, topics: Sequence[str]) -> Hooks:
    """Return what a person does in the portal: nothing there can be made or seen from here."""
    endpoint = f"endpoint {url}, events {', '.join(topics)}"
    if settings.webhook_keys:
        told = f"not seen from here; made and mended by hand alone, in {PORTAL}: {endpoint}"
    else:
        told = (
            "none, since no webhook_secret is configured: sales are found by polling, which is "
            f"enough. An app with commercial access can have them: {PORTAL}, Add Endpoint: "
            f"{endpoint}; its signing secret is webhook_secret"
        )
    return Hooks(advice=told)


_WRONG_KEY = "Etsy does not know this keystring with this shared_secret"


async def _key_is_known(api: Api) -> bool:
    """Answer whether the app's key is good, by the route that asks for nothing else."""
    try:
        await ask(api, "GET", "/openapi-ping")
    except AuthFailed:
        return False
    return True


async def _shop(api: Api, channel: str, settings: Settings, shop_id: int) -> Finding:
    """Return whether the access is to the shop that is configured."""
    shop = decode_answer(await ask(api, "GET", f"/shops/{shop_id}"), _Shop, "shop")
    told = f"{shop.shop_name or 'the shop'} has the number {shop_id}"
    mend = f"set shop_id = {shop_id} under [channels.{channel}] in the configuration"
    if settings.shop_id is None:
        return Finding("shop", ok=False, told=f"{told}, which is not configured yet", mend=mend)
    if settings.shop_id != shop_id:
        told = f"access is to another shop than {settings.shop_id}: {told}"
        mend = f"{mend}; or sign in as the other shop's owner, and: stockpush connect {channel}"
        return Finding("shop", ok=False, told=told, mend=mend)
    return Finding("shop", ok=True, told=told)


async def _rights(api: Api, channel: str, shop_id: int) -> Finding:
    """Return which rights are missing, of those that reading can tell."""
    missing = []
    for scope, listed in RIGHTS:
        try:
            answer = await ask(api, "GET", f"/shops/{shop_id}/{listed}", params=(("limit", "1"),))
        except AuthFailed as error:
            if error.found != FORBIDDEN:
                raise
            missing.append(scope)
        else:
            decode_answer(answer, dict[str, msgspec.Raw], f"list of {listed}")
    if missing:
        return Finding(
            "scopes",
            ok=False,
            told=f"missing: {', '.join(missing)}",
            mend=f"grant access again: stockpush connect {channel}",
            access=True,
            grant=True,
        )
    told = "shop, listings and receipts can be read; the right to write shows at the first push"
    return Finding("scopes", ok=True, told=told)
