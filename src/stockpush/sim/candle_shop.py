"""A candle shop on four emulated channels: what the demo runs and what tests of the whole use.

One maker sells lavender and plain candles, soap and balm, which all share one block of beeswax,
and gift boxes made of a candle and two soaps. On Shopify the lavender candle is listed twice and
also in packs of six; on WooCommerce the soap is a variation whose stock is its parent's. On Etsy
things are sold singly, on Faire by the case: twelve candles, ten balms.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from stockpush.sim.shops.base import Shop, SoldOut
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop

SHOPIFY = "demo-shopify"
WOO = "demo-woo"
ETSY = "demo-etsy"
FAIRE = "demo-faire"
CHANNELS = (SHOPIFY, WOO, ETSY, FAIRE)
ACCESS_TOKEN = "demo-access-token"  # noqa: S105  # of a shop that exists only in this process
SHOPIFY_SECRET = "demo-shopify-secret"  # noqa: S105  # see above
CONSUMER_KEY = "ck_demo"
CONSUMER_SECRET = "cs_demo"  # noqa: S105  # see above
WOO_SECRET = "demoWooSecret"  # noqa: S105  # see above
ETSY_SHOP = 4711
ETSY_KEYSTRING = "demo-keystring"
ETSY_SHARED_SECRET = "demo-shared-secret"  # noqa: S105  # see above
ETSY_REFRESH_TOKEN = "4711.demo-refresh-token"  # noqa: S105  # see above
ETSY_SECRET = "whsec_ZGVtby1ldHN5LXdlYmhvb2stc2VjcmV0"  # noqa: S105  # see above
FAIRE_TOKEN = "demo-faire-token"  # noqa: S105  # see above
DOMAIN = "demo.myshopify.com"
WOO_TOPICS = ("order.created", "order.updated", "order.deleted", "product.updated")

CATALOGUE = """\
# The candle shop of `stockpush demo`.
[[items]]
sku = "candle-lav"
name = "Lavender candle"
kind = "product"
unit = "piece"
on_hand = 24
[[items]]
sku = "candle-plain"
name = "Plain candle"
kind = "product"
unit = "piece"
on_hand = 10
[[items]]
sku = "soap-lav"
name = "Lavender soap"
kind = "product"
unit = "piece"
on_hand = 12
[[items]]
sku = "balm"
name = "Lip balm"
kind = "product"
unit = "piece"
on_hand = 20
[[items]]
sku = "gift-box"
name = "Gift box"
kind = "product"
unit = "piece"
on_hand = 3
[[items]]
sku = "beeswax"
name = "Beeswax"
kind = "material"
unit = "g"
on_hand = "9000 g"
[[items]]
sku = "wick"
name = "Cotton wick"
kind = "material"
unit = "piece"
on_hand = 80
[[items]]
sku = "lavender-oil"
name = "Lavender oil"
kind = "material"
unit = "ml"
on_hand = "400 ml"
[[items]]
sku = "box"
name = "Cardboard box"
kind = "material"
unit = "piece"
on_hand = 15

[[boms]]
item = "candle-lav"
yield = 10
lines = [
  { item = "beeswax", quantity = "1500 g" },
  { item = "wick", quantity = 10 },
  { item = "lavender-oil", quantity = "40 ml" },
]
[[boms]]
item = "candle-plain"
yield = 10
lines = [{ item = "beeswax", quantity = "1500 g" }, { item = "wick", quantity = 10 }]
[[boms]]
item = "soap-lav"
yield = 12
lines = [{ item = "beeswax", quantity = "300 g" }, { item = "lavender-oil", quantity = "60 ml" }]
[[boms]]
item = "balm"
yield = 20
lines = [{ item = "beeswax", quantity = "200 g" }]
[[boms]]
item = "gift-box"
yield = 1
lines = [
  { item = "candle-lav", quantity = 1 },
  { item = "soap-lav", quantity = 2 },
  { item = "box", quantity = 1 },
]
"""


@dataclass(frozen=True, slots=True)
class Sold:
    """One listing of the candle shop: `listing` is the shop's own name of it."""

    channel: str
    listing: str
    sku: str
    pack: int = 1


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that a shop took: `units` of the item, packs counted out."""

    channel: str
    order_id: str
    sku: str
    units: int


@dataclass(slots=True)
class CandleShop:
    """The four shops with their products on sale, and who buys there.

    `open_orders` and `shipped` (units by SKU) are the truth, noted at the till: the daemon's books
    must come to the same, without ever having been told but by webhooks and polls.
    """

    shopify: ShopifyShop
    woo: WooShop
    etsy: EtsyShop
    faire: FaireShop
    listings: tuple[Sold, ...]
    open_orders: list[OpenOrder] = field(default_factory=list)
    shipped: Counter[str] = field(default_factory=Counter)
    sales: int = 0
    sold_out: int = 0

    @classmethod
    def open(cls, clock: Callable[[], datetime], dice: random.Random) -> CandleShop:
        """Set the shops up, every listing showing 0 until the daemon has pushed.

        On Etsy it is 1: a listing that nothing is left of cannot be on sale there.
        """
        shopify = ShopifyShop(
            SHOPIFY,
            clock=clock,
            dice=dice,
            access_token=ACCESS_TOKEN,
            webhook_secret=SHOPIFY_SECRET,
            domain=DOMAIN,
        )
        woo = WooShop(
            WOO,
            clock=clock,
            dice=dice,
            consumer_key=CONSUMER_KEY,
            consumer_secret=CONSUMER_SECRET,
            webhook_delay_s=0.3,
        )
        sold = []
        for sku, pack in (
            ("candle-lav", 1),
            ("candle-lav", 1),
            ("candle-lav", 6),
            ("candle-plain", 1),
            ("soap-lav", 1),
            ("balm", 1),
            ("gift-box", 1),
        ):
            variant = shopify.add_variant(sku, 0)
            sold.append(Sold(SHOPIFY, str(variant.variant_id), sku, pack))
        for product_id, sku in ((10, "candle-lav"), (11, "candle-plain"), (13, "balm")):
            woo.add_product(product_id, stock=0, sku=sku)
            sold.append(Sold(WOO, str(product_id), sku))
        woo.add_product(12, stock=0, type="variable", sku="SOAP")
        woo.add_variation(12, 121, stock=None, sku="soap-lav")
        sold.append(Sold(WOO, "12:121", "soap-lav"))
        etsy, faire = etsy_shop(clock, dice), faire_account(clock, dice)
        for listing_id, sku in ((1001, "candle-lav"), (1002, "soap-lav"), (1003, "balm")):
            sold.append(Sold(ETSY, etsy.add_listing(listing_id, quantity=1, sku=sku), sku))
        for variant_id, sku, pack in (("po_candles", "candle-lav", 12), ("po_balms", "balm", 10)):
            faire.add_variant(variant_id, on_hand=0, sku=f"{sku}-case")
            sold.append(Sold(FAIRE, variant_id, sku, pack))
        return cls(shopify, woo, etsy, faire, tuple(sold))

    def catalogue(self, channels: Collection[str] = CHANNELS) -> str:
        """Return the catalogue file, with the listings on these channels."""
        parts = [CATALOGUE]
        parts += [
            f'[[listings]]\nchannel = "{sold.channel}"\nitem = "{sold.sku}"\n'
            f"pack = {sold.pack}\nref = {_ref(sold)}\n"
            for sold in self.listings
            if sold.channel in channels
        ]
        return "\n".join(parts)

    def subscribe(self, shopify_url: str, woo_url: str, etsy_url: str) -> None:
        """Register the shops' webhooks; Faire has none."""
        self.shopify.subscribe(shopify_url)
        for topic in WOO_TOPICS:
            self.woo.subscribe(topic, woo_url, WOO_SECRET)
        self.etsy.subscribe(etsy_url, ETSY_SECRET)

    @property
    def shops(self) -> dict[str, Shop]:
        """Every shop, by its channel."""
        return {SHOPIFY: self.shopify, WOO: self.woo, ETSY: self.etsy, FAIRE: self.faire}

    def shop(self, channel: str) -> Shop:
        """Return the shop of a channel."""
        return self.shops[channel]

    def shows(self, sold: Sold) -> int:
        """Return the number that the listing's field holds on its shop: the truth.

        On Faire that is what is on hand, open orders included.
        """
        if sold.channel == WOO:
            return self.woo.stock_quantity(sold.listing)
        if sold.channel == FAIRE:
            return self.faire.numbers()[sold.listing]
        return self.shop(sold.channel).quantity(sold.listing)

    def somebody_acts(self, dice: random.Random) -> str:
        """Let one thing happen, as it would in a shop, and say what it was."""
        roll = dice.random()
        if roll < 0.75 or not self.open_orders:
            return self._buys(dice)
        order = self.open_orders.pop(dice.randrange(len(self.open_orders)))
        shop = self.shop(order.channel)
        if roll < 0.9:
            shop.ship(order.order_id)
            self.shipped[order.sku] += order.units
            return f"{order.channel}: {order.units} x {order.sku} shipped"
        shop.cancel(order.order_id, restock=True)
        return f"{order.channel}: {order.units} x {order.sku} cancelled and restocked"

    def open_units(self) -> Counter[str]:
        """Return the units of each item that shoppers have bought and not been sent."""
        units: Counter[str] = Counter()
        for order in self.open_orders:
            units[order.sku] += order.units
        return units

    def _buys(self, dice: random.Random) -> str:
        """A shopper buys one or two of something."""
        return self.sell(dice.choice(self.listings), dice.choice((1, 1, 1, 2)))

    def sell(self, sold: Sold, units: int) -> str:
        """A shopper buys `units` of one listing, if its shop lets them; say what happened."""
        pack = f" in packs of {sold.pack}" if sold.pack > 1 else ""
        try:
            order = self.shop(sold.channel).checkout([(sold.listing, units)])
        except SoldOut:
            self.sold_out += 1
            return f"{sold.channel}: {units} x {sold.sku}{pack} wanted, sold out"
        self.sales += 1
        self.open_orders.append(OpenOrder(sold.channel, order, sold.sku, units * sold.pack))
        return f"{sold.channel}: {units} x {sold.sku}{pack} sold"


def etsy_shop(clock: Callable[[], datetime], dice: random.Random) -> EtsyShop:
    """Return an empty shop on Etsy."""
    return EtsyShop(
        ETSY,
        clock=clock,
        dice=dice,
        shop_id=ETSY_SHOP,
        keystring=ETSY_KEYSTRING,
        shared_secret=ETSY_SHARED_SECRET,
        refresh_token=ETSY_REFRESH_TOKEN,
    )


def faire_account(clock: Callable[[], datetime], dice: random.Random) -> FaireShop:
    """Return an empty account on Faire."""
    return FaireShop(FAIRE, clock=clock, dice=dice, access_token=FAIRE_TOKEN)


def _ref(sold: Sold) -> str:
    """Return how a catalogue file names a listing of ours."""
    if sold.channel == SHOPIFY:
        return f"{{ variant_id = {sold.listing} }}"
    if sold.channel == ETSY:
        return f"{{ listing_id = {sold.listing} }}"
    if sold.channel == FAIRE:
        return f'{{ variant_id = "{sold.listing}" }}'
    product, _, variation = sold.listing.partition(":")
    more = f", variation_id = {variation}" if variation else ""
    return f"{{ product_id = {product}{more} }}"


def configuration(
    folder: str,
    *,
    shopify_url: str,
    woo_url: str,
    etsy_url: str | None = None,
    faire_url: str | None = None,
    poll_s: int = 2,
    mode: str = "live",
    database: str | None = None,
) -> str:
    """Return a configuration for the candle shop, its keys (and SQLite database) in `folder`.

    Etsy and Faire are in it where their address is given.
    """
    database = database or f"sqlite:///{folder}/stockpush.db"
    etsy = f"""
[channels.{ETSY}]
connector = "etsy"
mode = "{mode}"
base_url = "{etsy_url}"
shop_id = {ETSY_SHOP}
keystring = "{ETSY_KEYSTRING}"
shared_secret = "{ETSY_SHARED_SECRET}"
refresh_token = "{ETSY_REFRESH_TOKEN}"
webhook_secret = "{ETSY_SECRET}"
renew = true
poll_s = {poll_s}
orders_lag_s = 0
"""
    faire = f"""
[channels.{FAIRE}]
connector = "faire"
mode = "{mode}"
base_url = "{faire_url}"
access_token = "{FAIRE_TOKEN}"
poll_s = {poll_s}
orders_lag_s = 0
"""
    both = f"""\
[daemon]
database = "{database}"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
secret_key = "file:{folder}/secret.key"
admin_token = "file:{folder}/admin.token"

[channels.{SHOPIFY}]
connector = "shopify"
mode = "{mode}"
shop = "{DOMAIN}"
location = "1"
access_token = "{ACCESS_TOKEN}"
webhook_secret = "{SHOPIFY_SECRET}"
base_url = "{shopify_url}"
poll_s = {poll_s}
orders_lag_s = 0

[channels.{WOO}]
connector = "woocommerce"
mode = "{mode}"
base_url = "{woo_url}"
consumer_key = "{CONSUMER_KEY}"
consumer_secret = "{CONSUMER_SECRET}"
webhook_secret = "{WOO_SECRET}"
poll_s = {poll_s}
orders_lag_s = 0
"""
    return both + (etsy if etsy_url else "") + (faire if faire_url else "")
