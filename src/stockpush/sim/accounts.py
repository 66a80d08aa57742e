"""The accounts on the shops of a simulated world: keys, configuration, references, webhooks.

Theory of operation. Everything that the daemon is to know of a shop is said here in the words of
its configuration and of its owner's catalogue, one function for each platform behind each question.
The secrets are of shops that exist only in this process, and nobody may ever log them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import assert_never
from urllib.parse import parse_qsl

from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop

SHOPIFY = "shopify"
WOO = "woo"
ETSY = "etsy"
FAIRE = "faire"
SITE = "site"
CHANNELS = (SHOPIFY, WOO, ETSY, FAIRE, SITE)
"""One account on each platform."""
OUTLET = "outlet"
"""A second shop on Shopify, where what there is is parted."""
CONNECTORS = {
    SHOPIFY: "shopify",
    OUTLET: "shopify",
    WOO: "woocommerce",
    ETSY: "etsy",
    FAIRE: "faire",
    SITE: "generic",
}
DOMAIN = "maker.myshopify.com"
WOO_ROOT = "https://woo.example.com"
SITE_ROOT = "https://site.example.com"
ACCESS_TOKEN = "sim-access-token"  # noqa: S105  # of a shop that exists only in this process
SHOPIFY_SECRET = "sim-shopify-secret"  # noqa: S105  # see above
OUTLET_DOMAIN = "outlet.myshopify.com"
OUTLET_TOKEN = "sim-outlet-token"  # noqa: S105  # see above
OUTLET_SECRET = "sim-outlet-secret"  # noqa: S105  # see above
CONSUMER_KEY = "ck_sim"
CONSUMER_SECRET = "cs_sim"  # noqa: S105  # see above
WOO_SECRET = "simWooSecret"  # noqa: S105  # see above
WOO_TOPICS = ("order.created", "order.updated", "order.deleted", "product.updated")
ETSY_SHOP = 4711
ETSY_KEYSTRING = "sim-keystring"
ETSY_SHARED_SECRET = "sim-shared-secret"  # noqa: S105  # see above
ETSY_REFRESH_TOKEN = "4711.sim-refresh-token"  # noqa: S105  # see above
ETSY_SECRET = "whsec_c2ltLWV0c3ktd2ViaG9vay1zZWNyZXQ="  # noqa: S105  # see above
ETSY_PROPERTY, ETSY_PROPERTY_NAME = 200, "Kind"
"""What the listings of a simulated Etsy shop vary by."""
FAIRE_TOKEN = "sim-faire-token"  # noqa: S105  # see above
SITE_TOKEN = "sim-site-token"  # noqa: S105  # see above
SITE_KEY = b"sim-site-key-of-24-bytes"
SITE_SECRET = "whsec_c2ltLXNpdGUta2V5LW9mLTI0LWJ5dGVz"  # noqa: S105  # see above
SECRETS = frozenset(
    {
        ACCESS_TOKEN,
        CONSUMER_KEY,
        CONSUMER_SECRET,
        SHOPIFY_SECRET,
        OUTLET_TOKEN,
        OUTLET_SECRET,
        WOO_SECRET,
        ETSY_KEYSTRING,
        ETSY_SHARED_SECRET,
        ETSY_REFRESH_TOKEN,
        ETSY_SECRET,
        FAIRE_TOKEN,
        SITE_TOKEN,
        SITE_SECRET,
    }
)
CAP = 10**9
"""The most that most platforms show."""
CAPS = {ETSY: 999}
"""The most that a platform shows, where it is less."""

AnyShop = ShopifyShop | WooShop | EtsyShop | FaireShop | GenericShop


@dataclass(frozen=True, slots=True)
class EtsyTerms:
    """What the owner of the Etsy shop has: webhooks (commercial access), and whether the daemon may
    pay for the renewal of what was sold out.
    """

    webhooks: bool = True
    renews: bool = True


@dataclass(frozen=True, slots=True)
class ShopifyKeys:
    """What opens a shop on Shopify."""

    domain: str
    access_token: str
    webhook_secret: str


SHOPIFY_KEYS: Mapping[str, ShopifyKeys] = MappingProxyType(
    {
        SHOPIFY: ShopifyKeys(DOMAIN, ACCESS_TOKEN, SHOPIFY_SECRET),
        OUTLET: ShopifyKeys(OUTLET_DOMAIN, OUTLET_TOKEN, OUTLET_SECRET),
    }
)
"""The shops on Shopify, by channel."""


def shopify(
    name: str, clock: Callable[[], datetime], own: random.Random, *, edits_are_recorded: bool = True
) -> ShopifyShop:
    """Open the empty Shopify shop of a channel, whose dice are `own`."""
    keys = SHOPIFY_KEYS[name]
    return ShopifyShop(
        name,
        clock=clock,
        dice=own,
        access_token=keys.access_token,
        webhook_secret=keys.webhook_secret,
        domain=keys.domain,
        edits_are_recorded=edits_are_recorded,
    )


def etsy(clock: Callable[[], datetime], dice: random.Random) -> EtsyShop:
    """Open an empty Etsy shop."""
    shop = EtsyShop(
        ETSY,
        clock=clock,
        dice=random.Random(dice.random()),  # noqa: S311  # drawn from the seed
        shop_id=ETSY_SHOP,
        keystring=ETSY_KEYSTRING,
        shared_secret=ETSY_SHARED_SECRET,
        refresh_token=ETSY_REFRESH_TOKEN,
    )
    shop.allowance.bucket_s = 600  # what is told to wait is less than a run lasts
    return shop


def faire(clock: Callable[[], datetime], dice: random.Random) -> FaireShop:
    """Open an empty Faire account; what is not known of the platform is drawn."""
    shop = FaireShop(
        FAIRE,
        clock=clock,
        dice=random.Random(dice.random()),  # noqa: S311  # drawn from the seed
        access_token=FAIRE_TOKEN,
        shipping_takes_on_hand=dice.random() < 0.5,
        parents_keep_backorders=dice.random() < 0.5,
        backorders_stay_committed=dice.random() < 0.5,
    )
    shop.splits_backorders = dice.random() < 0.8
    habits = shop.habits
    habits.filters_beside_cursor = dice.choice(("refused", "needed", "ignored"))
    habits.unknown_variant_refused = dice.random() < 0.5
    habits.basic_instants = dice.random() < 0.5
    habits.cursors = dice.random() < 0.8
    if habits.cursors:
        habits.page_max = dice.choice((2, 5, 50))
    shop.retry_after_s = dice.choice((None, 2))
    return shop


def site(clock: Callable[[], datetime], dice: random.Random) -> GenericShop:
    """Open an empty shop of the maker's own, which compares or does not."""
    shop = GenericShop(
        SITE,
        clock=clock,
        dice=random.Random(dice.random()),  # noqa: S311  # drawn from the seed
        access_token=SITE_TOKEN,
        webhook_key=SITE_KEY,
        compares=dice.random() < 0.5,
    )
    shop.page_max = dice.choice((2, 5, 100))
    return shop


def section(name: str, terms: EtsyTerms) -> str:
    """Return the lines of a channel's configuration that are its platform's own."""
    match name:
        case "shopify" | "outlet":
            keys = SHOPIFY_KEYS[name]
            return (
                f'shop = "{keys.domain}"\nlocation = "1"\n'
                f'access_token = "{keys.access_token}"\n'
                f'webhook_secret = "{keys.webhook_secret}"\n'
            )
        case "woo":
            return (
                f'base_url = "{WOO_ROOT}"\nconsumer_key = "{CONSUMER_KEY}"\n'
                f'consumer_secret = "{CONSUMER_SECRET}"\nwebhook_secret = "{WOO_SECRET}"\n'
            )
        case "etsy":
            secret = f'webhook_secret = "{ETSY_SECRET}"\n' if terms.webhooks else ""
            return (
                f'shop_id = {ETSY_SHOP}\nkeystring = "{ETSY_KEYSTRING}"\n'
                f'shared_secret = "{ETSY_SHARED_SECRET}"\n'
                f'refresh_token = "{ETSY_REFRESH_TOKEN}"\n{secret}'
                f"renew = {str(terms.renews).lower()}\n"
            )
        case "faire":
            return f'access_token = "{FAIRE_TOKEN}"\n'
        case "site":
            return (
                f'base_url = "{SITE_ROOT}"\naccess_token = "{SITE_TOKEN}"\n'
                f'webhook_secret = "{SITE_SECRET}"\n'
            )
        case _:
            raise LookupError(name)


def reference(name: str, listing: str) -> str:
    """Return a listing's reference as its owner would write it."""
    match name:
        case "shopify" | "outlet":
            return f"{{ variant_id = {listing} }}"
        case "woo":
            product, _, variation = listing.partition(":")
            more = f", variation_id = {variation}" if variation else ""
            return f"{{ product_id = {product}{more} }}"
        case "etsy":
            number, _, values = listing.partition(":")
            told = "; ".join(f"{ETSY_PROPERTY_NAME}={value}" for _, value in parse_qsl(values))
            more = f', property_values = "{told}"' if told else ""
            return f"{{ listing_id = {number}{more} }}"
        case "faire":
            return f'{{ variant_id = "{listing}" }}'
        case "site":
            return f'{{ product = "{listing}" }}'
        case _:
            raise LookupError(name)


def subscribe(shop: AnyShop, url: str, terms: EtsyTerms) -> None:
    """Have a shop's webhooks sent to `url`, where it has any."""
    match shop:
        case ShopifyShop() | GenericShop():
            shop.subscribe(url)
        case WooShop():
            for topic in WOO_TOPICS:
                shop.subscribe(topic, url, WOO_SECRET)
        case EtsyShop():
            if terms.webhooks:
                shop.subscribe(url, ETSY_SECRET)
        case FaireShop():
            pass
        case _:
            assert_never(shop)


def is_subscribed(shop: AnyShop) -> bool:
    """Answer whether a shop tells of its orders, as far as a program could see to that."""
    match shop:
        case ShopifyShop():
            return bool(shop.outbox.subscriptions)
        case WooShop():
            active = {each.topic for each in shop.webhooks() if each.status == "active"}
            return active.issuperset(WOO_TOPICS)
        case _:
            return True
