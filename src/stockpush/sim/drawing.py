"""A world drawn from dice: what is made, on which shops it is sold, and how much there is of it.

Theory of operation. Which channels there are is drawn first, by dice of its own, so that the worlds
of Shopify and WooCommerce alone, which are half of all, stay what they were when other platforms
joined. In a wide world an item may be on sale anywhere, often one pool of it as singles on Etsy, in
packs on Shopify and by the case on Faire.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stockpush.sim import accounts
from stockpush.sim.accounts import (
    CHANNELS,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    ETSY,
    ETSY_PROPERTY,
    ETSY_PROPERTY_NAME,
    FAIRE,
    OUTLET,
    SHOPIFY,
    SITE,
    WOO,
    AnyShop,
    EtsyTerms,
)
from stockpush.sim.shops.etsy import EtsyShop, Variation
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.world import UNMAPPED, Bill, Listed, Shared, ShopClock, Thing, World

SIZES = ((0.5, 1, 2), (0.3, 3, 5), (0.15, 6, 12), (0.05, 13, 20))
"""How many products a world has: (how likely, from, to)."""
NARROW = frozenset({SHOPIFY, WOO})
"""The channels of half of all worlds."""
PLAIN = NARROW | {OUTLET}
"""Channels on which a listing is one item, whose shop tells of everything at once."""
WIDE = 0.45
"""How many worlds have others."""
HOW_MANY = (0.25, 0.4, 0.2, 0.1, 0.05)
"""How many channels such a world has: 1, 2, ... so often."""
WIDE_PRODUCTS_MAX = 6
"""Most products of such a world: what many show, few do."""
MIRRORS = 0.5
"""How many worlds show all there is everywhere; in the others listings share what is left."""
SAID_OF, LIMITED = 0.5, 0.3
"""Of how many items their owner has said how, and of these how many are limited."""
LEAST_LEVELS = (0, 1, 2, 3, 5, 8)
LIMITS = (0, 1, 3)
"""The guard minima and limits that are drawn."""
TWINS, SPLIT_TWINS = 0.2, 0.8
"""How often an item is on Shopify twice, and where what there is is parted."""
OUTLETS = 0.6
"""How often there are two shops on Shopify where what there is is parted."""
CASES = {ETSY: (1,), SITE: (1,), WOO: (1,), SHOPIFY: (2, 6), FAIRE: (4, 12)}
"""How one pool is packed on each channel."""


def draw_channels(dice: random.Random) -> frozenset[str]:
    """Draw which channels a world may have; `NARROW` mostly."""
    if dice.random() >= WIDE:
        return NARROW
    (count,) = dice.choices(range(1, len(CHANNELS) + 1), HOW_MANY)
    while (channels := frozenset(dice.sample(CHANNELS, count))) <= NARROW:
        pass
    return channels


def draw_world(
    dice: random.Random,
    clock: Callable[[], datetime],
    *,
    channels: Collection[str] = NARROW,
    shopify_only: bool = False,
    is_split: bool = False,
) -> World:
    """Draw a world whose shops' clocks follow `clock`, which tells the true time.

    `NARROW` channels are both, or Shopify alone; of others all are there. `is_split` worlds have
    Shopify alone, one shop or two, and more listings of one item.
    """
    if is_split:
        there = [SHOPIFY, OUTLET] if dice.random() < OUTLETS else [SHOPIFY]
        drawing = _Drawing(dice, clock, there, twins=SPLIT_TWINS)
        return replace(drawing.world(), is_split=True, guards=False, shared={})
    if set(channels) == NARROW and (shopify_only or dice.random() < 0.15):
        channels = {SHOPIFY}
    return _Drawing(dice, clock, [each for each in CHANNELS if each in channels]).world()


@dataclass(slots=True)
class _Drawing:
    """A world that is being drawn."""

    dice: random.Random
    clock: Callable[[], datetime]
    channels: list[str]
    things: dict[str, Thing] = field(default_factory=dict)
    bills: dict[str, Bill] = field(default_factory=dict)
    listings: list[Listed] = field(default_factory=list)
    clocks: dict[str, ShopClock] = field(default_factory=dict)
    products: int = 0
    twins: float = TWINS
    """How often an item is listed once more on Shopify."""

    def world(self) -> World:
        """Draw everything, shops last."""
        dice = self.dice
        self.products = self._size()
        if not self.is_narrow:
            self.products = min(self.products, WIDE_PRODUCTS_MAX)
        shared = [self._material(number) for number in range(dice.randint(0, 3))]
        made: list[str] = []
        for number in range(self.products):
            made.append(self._product(f"item-{number}", shared, made))
        shops = {name: self._open(name) for name in self.channels}
        terms = EtsyTerms()
        if self.is_narrow:
            for sku in made:
                self._list(sku, shops)
        else:
            terms = EtsyTerms(webhooks=dice.random() < 0.7, renews=dice.random() < 0.7)
            self._list_widely(made, shops)
        unmapped = self._unmapped(shops)
        sold = {listed.sku for listed in self.listings}
        hot = dice.choice([each for each in self.listings if each.sku in sold])
        buffer = 1 if dice.random() < 0.15 else 0
        return self._shared(
            World(
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
                etsy=terms,
            )
        )

    def _shared(self, world: World) -> World:
        """Have the listings of half of all worlds share what is left; drawn last of all."""
        dice = self.dice
        if dice.random() < MIRRORS:
            return replace(world, guards=False)
        homes = (None, *world.shops)
        return replace(
            world,
            shared={
                sku: Shared(
                    dice.choice(LEAST_LEVELS),
                    dice.choice(homes),
                    dice.choice(LIMITS) if dice.random() < LIMITED else None,
                )
                for sku in dict.fromkeys(each.sku for each in world.listings)
                if dice.random() < SAID_OF
            },
            weights={
                each: dice.choice((2, 3, 5)) for each in world.listings if dice.random() < 0.2
            },
        )

    @property
    def is_narrow(self) -> bool:
        """Whether there are no other channels than Shopify and WooCommerce."""
        return PLAIN.issuperset(self.channels)

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

    def _open(self, name: str) -> AnyShop:
        """Open a shop, with nothing on sale yet."""
        match name:
            case "shopify" | "outlet":
                return self._shopify(name)
            case "woo":
                return self._woo()
            case "etsy":
                return accounts.etsy(self._clock_of(ETSY), self.dice)
            case "faire":
                return accounts.faire(self._clock_of(FAIRE), self.dice)
            case _:
                return accounts.site(self._clock_of(SITE), self.dice)

    def _shopify(self, name: str) -> ShopifyShop:
        return accounts.shopify(
            name,
            self._clock_of(name),
            random.Random(self.dice.random()),  # noqa: S311  # drawn from the seed
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

    # -- wide worlds -------------------------------------------------------------------------

    def _list_widely(self, skus: list[str], shops: Mapping[str, AnyShop]) -> None:
        """Put items on sale: on most of the channels each, in some worlds packed for each."""
        dice, packed = self.dice, self.dice.random() < 0.4
        on_etsy: list[tuple[str, int]] = []
        for sku in skus:
            there = [name for name in shops if dice.random() < 0.75] or [dice.choice(list(shops))]
            for name in there:
                pack = dice.choice(CASES[name]) if packed else 1
                if not packed and dice.random() < 0.1:
                    pack = dice.choice((2, 3, 6))
                if name == ETSY:
                    on_etsy.append((sku, pack))
                else:
                    self._on(shops[name], sku, pack)
        while on_etsy:
            count = dice.choice((1, 1, 2, 3))
            together, on_etsy = on_etsy[:count], on_etsy[count:]
            self._on_etsy(shops[ETSY], together)

    def _on(self, shop: AnyShop, sku: str, pack: int) -> None:
        """Put an item on sale on a shop other than Etsy."""
        shown = self.dice.randint(0, 5)
        match shop:
            case ShopifyShop():
                self._on_shopify(shop, sku, pack)
            case WooShop():
                self._on_woo(shop, sku, pack)
            case FaireShop():
                variant = f"po_{len(self.listings):010d}"
                shop.add_variant(variant, on_hand=shown, sku=sku)
                self.listings.append(Listed(FAIRE, variant, sku, pack, variant))
            case GenericShop():
                product = f"{sku}.{len(self.listings)}"
                shop.add_product(product, shown)
                self.listings.append(Listed(SITE, product, sku, pack, product))
            case EtsyShop():
                raise AssertionError("its listings hold several items")

    def _on_etsy(self, shop: AnyShop, skus: list[tuple[str, int]]) -> None:
        """Put items on sale as one listing, each a variation where there are several.

        It is on sale, so that one of something is shown at least.
        """
        assert isinstance(shop, EtsyShop)
        listing_id, dice = 1001 + len(self.listings), self.dice
        if len(skus) == 1 and dice.random() < 0.6:
            names = [shop.add_listing(listing_id, quantity=dice.randint(1, 5), sku=skus[0][0])]
        else:
            products = [
                (
                    (Variation(ETSY_PROPERTY, ETSY_PROPERTY_NAME, sku, 9000 + place),),
                    dice.randint(0 if place else 1, 5),
                    sku,
                )
                for place, (sku, _) in enumerate(skus)
            ]
            names = shop.add_variations(listing_id, products, varies_by=(ETSY_PROPERTY,))
        for name, (sku, pack) in zip(names, skus, strict=True):
            self.listings.append(Listed(ETSY, name, sku, pack, name))

    # -- narrow worlds -----------------------------------------------------------------------

    def _list(self, sku: str, shops: Mapping[str, AnyShop]) -> None:
        """Put an item on sale: on both shops mostly, sometimes twice, sometimes in packs."""
        dice = self.dice
        on_shopify, on_woo = (True, dice.random() < 0.8) if dice.random() < 0.8 else (False, True)
        if WOO not in shops:
            on_shopify, on_woo = True, False
        if SHOPIFY not in shops:
            on_shopify, on_woo = False, True
        pack = dice.choice((2, 3, 6)) if dice.random() < 0.1 else 1
        if on_shopify:
            self._on_shopify(shops[SHOPIFY], sku, pack)
            if dice.random() < self.twins:
                self._on_shopify(shops[SHOPIFY], sku, dice.choice((1, 1, 2, 6)))
        if on_woo:
            self._on_woo(shops[WOO], sku, pack)
        if OUTLET in shops and dice.random() < SPLIT_TWINS:
            self._on_shopify(shops[OUTLET], sku, dice.choice((1, 1, 2, 6)))

    def _on_shopify(self, shop: AnyShop, sku: str, pack: int) -> None:
        assert isinstance(shop, ShopifyShop)
        variant = shop.add_variant(sku, self.dice.randint(0, 5))
        listed = Listed(shop.name, str(variant.variant_id), sku, pack, str(variant.item_id))
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
            yield Listed(name, *self._put_unmapped(shop))

    @staticmethod
    def _put_unmapped(shop: AnyShop) -> tuple[str, str, int, str]:
        """Put it on sale; return listing, SKU, pack and field."""
        match shop:
            case WooShop():
                shop.add_product(9, stock=5, sku=UNMAPPED)
                listing = field_ = "9"
            case ShopifyShop():
                variant = shop.add_variant(UNMAPPED, 5)
                listing, field_ = str(variant.variant_id), str(variant.item_id)
            case EtsyShop():
                listing = field_ = shop.add_listing(9, quantity=5, sku=UNMAPPED)
            case FaireShop():
                listing = field_ = "po_unmapped"
                shop.add_variant(listing, on_hand=5, sku=UNMAPPED)
            case GenericShop():
                listing = field_ = UNMAPPED
                shop.add_product(listing, 5)
        return listing, UNMAPPED, 1, field_
