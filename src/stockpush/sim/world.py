"""A maker, drawn from a seed: items, bills of materials, stock, shops and what is on sale there.

Theory of operation. Overselling lives near zero, so most worlds are small and short of stock: a few
products, some made from materials that others need too. Everything that the daemon is to know is
said twice: as a catalogue and a configuration for it, and as plain values for the truth, so that
whoever checks need not read what the daemon reads. Quantities of items are whole (pieces, grams).

The world begins without orders. Nobody should buy before the daemon has read each shop's orders
once, for what has left by then is history to it, however it came to leave.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop

SHOPIFY = "shopify"
WOO = "woo"
CONNECTORS = {SHOPIFY: "shopify", WOO: "woocommerce"}
DOMAIN = "maker.myshopify.com"
WOO_ROOT = "https://woo.example.com"
ACCESS_TOKEN = "sim-access-token"  # noqa: S105  # of a shop that exists only in this process
SHOPIFY_SECRET = "sim-shopify-secret"  # noqa: S105  # see above
CONSUMER_KEY = "ck_sim"
CONSUMER_SECRET = "cs_sim"  # noqa: S105  # see above
WOO_SECRET = "simWooSecret"  # noqa: S105  # see above
ADMIN_TOKEN = "sim-admin-token-sim"  # noqa: S105  # see above
WOO_TOPICS = ("order.created", "order.updated", "order.deleted", "product.updated")
SIZES = ((0.5, 1, 2), (0.3, 3, 5), (0.15, 6, 12), (0.05, 13, 20))
"""How many products a world has: (how likely, from, to)."""
UNMAPPED = "unknown"
"""SKU of what is on sale and not in the catalogue."""
CAP = 10**9
"""The most that either platform shows."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An item; `opening` is its stock at the beginning, in its smallest units."""

    sku: str
    kind: str
    unit: str
    opening: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What `makes` units of `item` are made from: (item, units for all of them)."""

    item: str
    makes: int
    lines: tuple[tuple[str, int], ...]
    batch_only: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing: `listing` is its shop's name of it, `field` the shop's name of what holds its
    number (a Shopify inventory item, the WooCommerce row that manages stock), `pack` how many
    units of the item one unit of it is.
    """

    channel: str
    listing: str
    sku: str
    pack: int
    field: str


@dataclass(slots=True)
class ShopClock:
    """A shop's own clock, `ahead_s` ahead of the true one."""

    true: Callable[[], datetime]
    ahead_s: float = 0.0

    def __call__(self) -> datetime:
        """Return the instant that it shows."""
        return self.true() + timedelta(seconds=self.ahead_s)


AnyShop = ShopifyShop | WooShop


@dataclass(slots=True)
class World:
    """What there is. `listings` are those in the catalogue; `unmapped` are on sale besides.

    A clock of `clocks` may be set wrong before anybody acts, and must then stay as wrong as it is:
    what the shops tell of one order is ordered by their clocks.
    """

    things: Mapping[str, Thing]
    bills: Mapping[str, Bill]
    listings: tuple[Listed, ...]
    unmapped: tuple[Listed, ...]
    shops: Mapping[str, AnyShop]
    buffers: Mapping[str, int]
    poll_s: Mapping[str, int]
    reconcile_s: Mapping[str, int]
    hot: Listed
    """What a flash sale is of."""
    clocks: Mapping[str, ShopClock]

    @classmethod
    def draw(
        cls, dice: random.Random, clock: Callable[[], datetime], *, shopify_only: bool = False
    ) -> World:
        """Draw a world whose shops' clocks follow `clock`, which tells the true time."""
        return _Drawing(dice, clock).world(shopify_only=shopify_only or dice.random() < 0.15)

    @property
    def own_channel_only(self) -> bool:
        """Whether there is one channel, so that nobody else can sell what it shows."""
        return len(self.shops) == 1

    def fields(self) -> Iterator[Listed]:
        """Yield one listing for each field."""
        seen: set[tuple[str, str]] = set()
        for listed in self.listings:
            if (key := (listed.channel, listed.field)) not in seen:
                seen.add(key)
                yield listed

    def shows(self, listed: Listed) -> int:
        """Return the number that the listing's field holds."""
        shop = self.shops[listed.channel]
        if isinstance(shop, WooShop):
            return shop.stock_quantity(listed.listing)
        return shop.quantity(listed.listing)

    def subscribe(self, urls: Mapping[str, str]) -> None:
        """Register each shop's webhooks, to the URL of its channel."""
        for name, shop in self.shops.items():
            self.subscribe_shop(name, shop, urls[name])

    @staticmethod
    def subscribe_shop(name: str, shop: AnyShop, url: str) -> None:
        """Register one shop's webhooks."""
        assert name in {SHOPIFY, WOO}
        if isinstance(shop, WooShop):
            for topic in WOO_TOPICS:
                shop.subscribe(topic, url, WOO_SECRET)
        else:
            shop.subscribe(url)

    def catalogue(self, bills: Mapping[str, Bill] | None = None) -> str:
        """Return the catalogue file, with other bills where they are given."""
        parts = [
            f'[[items]]\nsku = "{thing.sku}"\nname = "{thing.sku}"\nkind = "{thing.kind}"\n'
            f'unit = "{thing.unit}"\non_hand = {thing.opening}\n'
            for thing in self.things.values()
        ]
        for bill in (self.bills if bills is None else bills).values():
            lines = ", ".join(
                f'{{ item = "{sku}", quantity = {units} }}' for sku, units in bill.lines
            )
            batch = "batch_only = true\n" if bill.batch_only else ""
            parts.append(
                f'[[boms]]\nitem = "{bill.item}"\nyield = {bill.makes}\n{batch}lines = [{lines}]\n'
            )
        parts += [
            f'[[listings]]\nchannel = "{listed.channel}"\nitem = "{listed.sku}"\n'
            f"pack = {listed.pack}\nref = {_ref(listed)}\n"
            for listed in self.listings
        ]
        return "\n".join(parts)

    def configuration(self, database: str, *, secret_key: str, mode: str = "live") -> str:
        """Return a configuration over a SQLite file at the path `database`."""
        daemon = (
            f'[daemon]\ndatabase = "sqlite:///{database}"\nsecret_key = "{secret_key}"\n'
            f'admin_token = "{ADMIN_TOKEN}"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        )
        parts = [daemon]
        for name in self.shops:
            own = (
                f'connector = "shopify"\nshop = "{DOMAIN}"\nlocation = "1"\n'
                f'access_token = "{ACCESS_TOKEN}"\nwebhook_secret = "{SHOPIFY_SECRET}"\n'
                if name == SHOPIFY
                else f'connector = "woocommerce"\nbase_url = "{WOO_ROOT}"\n'
                f'consumer_key = "{CONSUMER_KEY}"\nconsumer_secret = "{CONSUMER_SECRET}"\n'
                f'webhook_secret = "{WOO_SECRET}"\n'
            )
            parts.append(
                f'[channels.{name}]\n{own}mode = "{mode}"\nbuffer = {self.buffers[name]}\n'
                f"poll_s = {self.poll_s[name]}\nreconcile_s = {self.reconcile_s[name]}\n"
            )
        return "\n".join(parts)


def _ref(listed: Listed) -> str:
    """Return the listing's reference as the owner would write it."""
    if listed.channel == SHOPIFY:
        return f"{{ variant_id = {listed.listing} }}"
    product, _, variation = listed.listing.partition(":")
    more = f", variation_id = {variation}" if variation else ""
    return f"{{ product_id = {product}{more} }}"


@dataclass(slots=True)
class _Drawing:
    """A world that is being drawn."""

    dice: random.Random
    clock: Callable[[], datetime]
    things: dict[str, Thing] = field(default_factory=dict)
    bills: dict[str, Bill] = field(default_factory=dict)
    listings: list[Listed] = field(default_factory=list)
    clocks: dict[str, ShopClock] = field(default_factory=dict)
    products: int = 0

    def world(self, *, shopify_only: bool) -> World:
        """Draw everything, shops last."""
        dice = self.dice
        self.products = self._size()
        shared = [self._material(number) for number in range(dice.randint(0, 3))]
        made: list[str] = []
        for number in range(self.products):
            made.append(self._product(f"item-{number}", shared, made))
        shops: dict[str, AnyShop] = {SHOPIFY: self._shopify()}
        if not shopify_only:
            shops[WOO] = self._woo()
        for sku in made:
            self._list(sku, shops)
        unmapped = self._unmapped(shops)
        sold = {listed.sku for listed in self.listings}
        hot = dice.choice([each for each in self.listings if each.sku in sold])
        buffer = 1 if dice.random() < 0.15 else 0
        return World(
            things=self.things,
            bills=self.bills,
            listings=tuple(self.listings),
            unmapped=tuple(unmapped),
            shops=shops,
            buffers={name: buffer if dice.random() < 0.7 else 0 for name in shops},
            poll_s={name: dice.choice((20, 30, 60, 60, 120, 300)) for name in shops},
            reconcile_s={name: dice.choice((120, 600, 1800, 3600)) for name in shops},
            hot=hot,
            clocks=self.clocks,
        )

    def _size(self) -> int:
        roll = self.dice.random()
        for likely, fewest, most in SIZES:
            roll -= likely
            if roll < 0:
                return self.dice.randint(fewest, most)
        return 1

    def _stock(self) -> int:
        """Return a product's stock: near zero, mostly."""
        return self.dice.choice((0, 1, 1, 2, 3, 3, 5, 8, 12, 30))

    def _material(self, number: int) -> str:
        sku = f"wax-{number}"
        self.things[sku] = Thing(sku, "material", "g", self.dice.choice((0, 50, 200, 500, 2000)))
        return sku

    def _product(self, sku: str, materials: list[str], made: list[str]) -> str:
        dice = self.dice
        self.things[sku] = Thing(sku, "product", "piece", self._stock())
        roll = dice.random()
        if materials and roll < 0.55:
            parts = dice.sample(materials, dice.randint(1, min(2, len(materials))))
            lines = tuple((part, dice.choice((7, 10, 25, 100, 150))) for part in parts)
            makes = dice.choice((1, 1, 1, 4, 10, 12))
            self.bills[sku] = Bill(sku, makes, lines, makes > 1 and dice.random() < 0.3)
        elif made and roll < 0.8:
            # A kit of what is sold by itself, too: two levels where that one is made.
            parts = dice.sample(made, dice.randint(1, min(2, len(made))))
            self.bills[sku] = Bill(sku, 1, tuple((part, dice.choice((1, 1, 2))) for part in parts))
        return sku

    # -- on sale -----------------------------------------------------------------------------

    def _clock_of(self, name: str) -> Callable[[], datetime]:
        self.clocks[name] = ShopClock(self.clock)
        return self.clocks[name]

    def _shopify(self) -> ShopifyShop:
        return ShopifyShop(
            SHOPIFY,
            clock=self._clock_of(SHOPIFY),
            dice=random.Random(self.dice.random()),  # noqa: S311  # drawn from the seed
            access_token=ACCESS_TOKEN,
            webhook_secret=SHOPIFY_SECRET,
            domain=DOMAIN,
            edits_are_recorded=self.dice.random() < 0.7,
        )

    def _woo(self) -> WooShop:
        return WooShop(
            WOO,
            clock=self._clock_of(WOO),
            dice=random.Random(self.dice.random()),  # noqa: S311  # drawn from the seed
            consumer_key=CONSUMER_KEY,
            consumer_secret=CONSUMER_SECRET,
            webhook_delay_s=self.dice.choice((0.3, 1.0, 5.0)),
            hold_stock_min=self.dice.choice((5, 15, 60)),
        )

    def _list(self, sku: str, shops: Mapping[str, AnyShop]) -> None:
        """Put an item on sale: on both shops mostly, sometimes twice, sometimes in packs."""
        dice = self.dice
        on_shopify, on_woo = (True, dice.random() < 0.8) if dice.random() < 0.8 else (False, True)
        if WOO not in shops:
            on_shopify, on_woo = True, False
        pack = dice.choice((2, 3, 6)) if dice.random() < 0.1 else 1
        if on_shopify:
            self._on_shopify(shops[SHOPIFY], sku, pack)
            if dice.random() < 0.2:
                self._on_shopify(shops[SHOPIFY], sku, dice.choice((1, 1, 2, 6)))
        if on_woo:
            self._on_woo(shops[WOO], sku, pack)

    def _on_shopify(self, shop: AnyShop, sku: str, pack: int) -> None:
        assert isinstance(shop, ShopifyShop)
        variant = shop.add_variant(sku, self.dice.randint(0, 5))
        listed = Listed(SHOPIFY, str(variant.variant_id), sku, pack, str(variant.item_id))
        self.listings.append(listed)

    def _on_woo(self, shop: AnyShop, sku: str, pack: int) -> None:
        assert isinstance(shop, WooShop)
        dice, shown = self.dice, self.dice.randint(0, 5)
        product_id = 100 + 10 * len(self.listings)
        roll = dice.random()
        if roll < 0.6:
            shop.add_product(product_id, stock=shown, sku=sku)
            self._listed_on_woo(str(product_id), sku, pack, str(product_id))
        elif roll < 0.8:
            shop.add_product(product_id, stock=None, type="variable")
            shop.add_variation(product_id, product_id + 1, stock=shown, sku=sku)
            name = f"{product_id}:{product_id + 1}"
            self._listed_on_woo(name, sku, pack, name)
        else:
            # The parent holds one number for all its variations: one field, several listings.
            shop.add_product(product_id, stock=shown, type="variable")
            for variation in range(1, dice.randint(2, 3)):
                shop.add_variation(product_id, product_id + variation, stock=None, sku=sku)
                name = f"{product_id}:{product_id + variation}"
                self._listed_on_woo(name, sku, pack, str(product_id))

    def _listed_on_woo(self, listing: str, sku: str, pack: int, field: str) -> None:
        self.listings.append(Listed(WOO, listing, sku, pack, field))

    def _unmapped(self, shops: Mapping[str, AnyShop]) -> Iterator[Listed]:
        """Put something on sale that the catalogue does not know."""
        for name, shop in shops.items():
            if self.dice.random() >= 0.3:
                continue
            if isinstance(shop, WooShop):
                shop.add_product(9, stock=5, sku=UNMAPPED)
                yield Listed(name, "9", UNMAPPED, 1, "9")
            else:
                variant = shop.add_variant(UNMAPPED, 5)
                listing, item = str(variant.variant_id), str(variant.item_id)
                yield Listed(name, listing, UNMAPPED, 1, item)


def changed_bill(dice: random.Random, bill: Bill) -> Bill:
    """Return the bill as its maker changes it: another use of one of its components."""
    place = dice.randrange(len(bill.lines))
    lines = [
        (sku, max(1, units + dice.choice((-1, 1, 2, 5))) if at == place else units)
        for at, (sku, units) in enumerate(bill.lines)
    ]
    return replace(bill, lines=tuple(lines))
