"""One soap on two shops, for tests of the truth and the auditor; no daemon."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from stockpush.sim.accounts import (
    ACCESS_TOKEN,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    SHOPIFY,
    SHOPIFY_SECRET,
    WOO,
    AnyShop,
)
from stockpush.sim.loop import EPOCH
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.truth import Truth
from stockpush.sim.world import Listed, ShopClock, Thing, World


@dataclass(slots=True)
class Small:
    """`at` is the virtual instant, moved by hand."""

    world: World
    truth: Truth
    on_shopify: Listed
    on_woo: Listed
    at: float = 0.0

    @classmethod
    def open(cls, *, stock: int, buffer: int = 0) -> Small:
        """Open both shops with `stock` soaps in all, every listing showing 0."""
        held: list[Small] = []
        clock = ShopClock(lambda: EPOCH + timedelta(seconds=held[0].at if held else 0.0))
        shopify = ShopifyShop(
            SHOPIFY,
            clock=clock,
            dice=random.Random(1),
            access_token=ACCESS_TOKEN,
            webhook_secret=SHOPIFY_SECRET,
        )
        woo = WooShop(
            WOO,
            clock=clock,
            dice=random.Random(2),
            consumer_key=CONSUMER_KEY,
            consumer_secret=CONSUMER_SECRET,
        )
        variant = shopify.add_variant("soap", 0)
        woo.add_product(10, stock=0, sku="soap")
        on_shopify = Listed(SHOPIFY, str(variant.variant_id), "soap", 1, str(variant.item_id))
        on_woo = Listed(WOO, "10", "soap", 1, "10")
        shops: dict[str, AnyShop] = {SHOPIFY: shopify, WOO: woo}
        world = World(
            things={"soap": Thing("soap", "product", "piece", stock)},
            bills={},
            listings=(on_shopify, on_woo),
            unmapped=(),
            shops=shops,
            buffers=dict.fromkeys(shops, buffer),
            poll_s=dict.fromkeys(shops, 60),
            reconcile_s=dict.fromkeys(shops, 600),
            hot=on_shopify,
            clocks={SHOPIFY: clock, WOO: clock},
        )
        small = cls(world, Truth(world, lambda: held[0].at), on_shopify, on_woo)
        held.append(small)
        return small

    @property
    def shopify(self) -> AnyShop:
        """Return the Shopify shop."""
        return self.world.shops[SHOPIFY]

    @property
    def woo(self) -> AnyShop:
        """Return the WooCommerce shop."""
        return self.world.shops[WOO]
