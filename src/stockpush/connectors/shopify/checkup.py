"""How a Shopify account stands, and its webhook subscriptions: listed, made, repaired.

Theory of operation. Scopes are asked of the installation itself, so that one that is missing is
named before a call fails. Only subscriptions of this app are told; after eight failed deliveries
in a row Shopify deletes one, so what is missing is made anew. A subscription that sends less than
the whole body (filtered, some fields only, another format) is no use to us and is replaced.
Source: Admin GraphQL 2026-10; shopify.dev on webhook retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from stockpush.connectors.answers import printable
from stockpush.connectors.base import Api, Finding, Hooks, same_hook
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid
from stockpush.connectors.shopify.operations import (
    API_VERSION,
    CHECKUP,
    HOOKS,
    SUBSCRIBE,
    UNSUBSCRIBE,
)
from stockpush.errors import PayloadInvalid, PushRejected

SCOPES = (
    "read_inventory",
    "write_inventory",
    "read_products",
    "read_orders",
    "read_locations",
)
"""What every call of ours needs."""
OLD_ORDERS = "read_all_orders"
HOOKS_MAX = 1000
"""Most subscriptions that are looked at."""
_PAGE = 100


class _Scope(msgspec.Struct):
    handle: str


class _Installation(msgspec.Struct, rename="camel"):
    access_scopes: list[_Scope]


class _Shop(msgspec.Struct, rename="camel"):
    myshopify_domain: str


class _Location(msgspec.Struct, rename="camel"):
    id: str
    name: str
    is_active: bool
    fulfills_online_orders: bool = True


class _Locations(msgspec.Struct):
    nodes: list[_Location]


class _Version(msgspec.Struct):
    handle: str
    supported: bool


class _Standing(msgspec.Struct, rename="camel"):
    current_app_installation: _Installation
    shop: _Shop
    location: _Location | None
    locations: _Locations
    public_api_versions: list[_Version]


class _Hook(msgspec.Struct, rename="camel"):
    id: str
    topic: str
    uri: str
    format: str
    filter: str | None = None
    include_fields: list[str] = []


class _PageInfo(msgspec.Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _HookPage(msgspec.Struct, rename="camel"):
    nodes: list[_Hook]
    page_info: _PageInfo


class _Subscriptions(msgspec.Struct, rename="camel"):
    webhook_subscriptions: _HookPage


class _UserError(msgspec.Struct):
    message: str


class _Done(msgspec.Struct, rename="camel"):
    user_errors: list[_UserError]


class _Created(msgspec.Struct, rename="camel"):
    webhook_subscription_create: _Done


class _Deleted(msgspec.Struct, rename="camel"):
    webhook_subscription_delete: _Done


async def check(api: Api, *, shop: str, location: int | None) -> tuple[Finding, ...]:
    """Return how access, scopes and the location stand; `location` None: it must be chosen."""
    # Asked without an id, Shopify tells its primary location, which nobody has chosen.
    wanted = None if location is None else gid("Location", location)
    standing, _ = await call(api, CHECKUP, {"location": wanted}, _Standing)
    domain = standing.shop.myshopify_domain.lower()
    return (
        Finding("access", ok=True, told=f"Shopify knows this app on {domain}"),
        _version(standing.public_api_versions),
        _shop(domain, shop),
        *_scopes({each.handle for each in standing.current_app_installation.access_scopes}),
        _unchosen(standing) if location is None else _location(standing),
    )


def _version(offered: Sequence[_Version]) -> Finding:
    """Return whether Shopify still supports the version that is asked here, a year after it came.

    It answers a version that it has retired with the oldest one that it still has.
    """
    supported = [each.handle for each in offered if each.supported]
    return Finding(
        "API version",
        ok=API_VERSION in supported,
        told=f"{API_VERSION}, which is supported"
        if API_VERSION in supported
        else f"{API_VERSION} is not supported any more, only {', '.join(supported)}",
        mend="update Stock Push",
    )


def _shop(domain: str, shop: str) -> Finding:
    return Finding(
        "shop",
        ok=domain == shop,
        told=f"the app is installed on {domain}",
        mend=f'set shop = "{domain}", or use credentials of {shop}',
    )


def _scopes(granted: set[str]) -> tuple[Finding, ...]:
    # What may write may read as well, and Shopify tells only the wider one.
    readable = granted | {each.replace("write_", "read_") for each in granted}
    missing = [each for each in SCOPES if each not in readable]
    scopes = Finding(
        "scopes",
        ok=not missing,
        told=f"missing: {', '.join(missing)}" if missing else "all that are needed",
        mend=f"grant the app {', '.join(missing)} and install it again",
        access=True,
    )
    old = OLD_ORDERS in granted
    told = "orders of any age" if old else f"orders of 60 days, for {OLD_ORDERS} is not granted"
    return scopes, Finding("old orders", ok=True, told=told)


def _location(standing: _Standing) -> Finding:
    """Return how the configured location stands, and what else Shopify sells from."""
    found = standing.location
    if found is None or not found.is_active:
        return Finding(
            "location",
            ok=False,
            told="it is not active" if found is not None else "there is no such location",
            mend=_choice(standing),
        )
    if not found.fulfills_online_orders:
        return Finding(
            "location",
            ok=False,
            told=f"nothing is sold online from {found.name}",
            mend="Shopify, Settings, Locations: have it fulfill online orders, or choose another",
        )
    others = [
        each.name
        for each in standing.locations.nodes
        if each.id != found.id and each.is_active and each.fulfills_online_orders
    ]
    too = f"; what is stocked at {', '.join(others)} is sold online too: keep our items at 0 there"
    return Finding("location", ok=True, told=found.name + (too if others else ""))


def _unchosen(standing: _Standing) -> Finding:
    """Return that a location must be chosen, and which ones there are."""
    there = len(standing.locations.nodes)
    told = "none is chosen" + ("; the shop has one" if there == 1 else f"; the shop has {there}")
    return Finding("location", ok=False, told=told, mend=_choice(standing))


def _choice(standing: _Standing) -> str:
    """Return the lines of the configuration of which one is to be set."""
    lines = [f'location = "{each.id}" ({each.name})' for each in standing.locations.nodes]
    return "set " + (" or ".join(lines) or "a location that is active")


@dataclass(slots=True)
class _Work:
    """What is wanted, and what becomes of what is there."""

    api: Api
    url: str
    dry_run: bool
    kept: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    async def remove(self, hook: _Hook) -> None:
        """Delete one subscription."""
        self.removed.append(hook.topic)
        if not self.dry_run:
            done, _ = await call(self.api, UNSUBSCRIBE, {"id": hook.id}, _Deleted)
            _refuse(done.webhook_subscription_delete, hook.topic)

    async def make(self, topic: str) -> None:
        """Create one subscription."""
        self.made.append(topic)
        if not self.dry_run:
            wanted = {"topic": topic, "hook": {"uri": self.url, "format": "JSON"}}
            done, _ = await call(self.api, SUBSCRIBE, wanted, _Created)
            _refuse(done.webhook_subscription_create, topic)


async def ensure_webhooks(api: Api, url: str, *, topics: Sequence[str], dry_run: bool) -> Hooks:
    """Have each topic sent to `url` once; see `base.Checkup`."""
    work = _Work(api, url, dry_run)
    right: set[str] = set()
    stale: list[_Hook] = []
    for hook in await _hooks(api):
        whole = hook.format == "JSON" and not hook.filter and not hook.include_fields
        if hook.uri == url and whole and hook.topic in topics and hook.topic not in right:
            right.add(hook.topic)
            work.kept.append(hook.topic)
        elif same_hook(hook.uri, url):
            stale.append(hook)
    for hook in stale:  # first, for a second one of a topic and address is refused
        if hook.uri == url:
            await work.remove(hook)
    for topic in topics:
        if topic not in right:
            await work.make(topic)
    for hook in stale:
        if hook.uri != url:
            await work.remove(hook)
    return Hooks(tuple(work.kept), tuple(work.made), (), tuple(work.removed))


async def _hooks(api: Api) -> list[_Hook]:
    """Return every subscription of this app."""
    found: list[_Hook] = []
    after: str | None = None
    while True:
        page, _ = await call(api, HOOKS, {"first": _PAGE, "after": after}, _Subscriptions)
        found += page.webhook_subscriptions.nodes
        info = page.webhook_subscriptions.page_info
        if not info.has_next_page:
            return found
        if info.end_cursor in (None, after) or len(found) > HOOKS_MAX:
            raise PayloadInvalid(
                "Shopify pages the webhook subscriptions without end.", field="pageInfo.endCursor"
            )
        after = info.end_cursor


def _refuse(done: _Done, topic: str) -> None:
    if done.user_errors:
        raise PushRejected(
            f"Shopify refused the webhook {topic}: {printable(done.user_errors[0].message)}",
            field=topic,
            next="stockpush doctor",
        )
