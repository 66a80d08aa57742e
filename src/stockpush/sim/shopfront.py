"""What a maker really sells, to be simulated: a catalogue, put on sale on emulated shops.

Theory of operation. Items, bills of materials and listings are the maker's own; the shops are
emulated ones of the same kind, one for each connector, however many accounts there are. Trouble
begins where stock runs out, so each seed draws how much is left, never more than the maker has;
of a large catalogue each seed draws a part, with everything that its products are made of.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from stockpush.errors import CatalogueInvalid, UsageError
from stockpush.importer import Known, read_catalogue
from stockpush.model import BillOfMaterials, Item, Listing
from stockpush.reservation.atp import use
from stockpush.sim import candle_shop
from stockpush.sim.accounts import (
    ACCESS_TOKEN,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    DOMAIN,
    SHOPIFY,
    SHOPIFY_SECRET,
    WOO,
    AnyShop,
)
from stockpush.sim.loop import EPOCH
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.world import Bill, Listed, ShopClock, Thing, World

LISTED_MAX = 20
"""Most items on sale in one run; of a larger catalogue, each seed draws some."""
UNITS_LEFT = (0, 1, 1, 2, 3, 3, 5, 8, 12, 30)
"""How many units of something on sale are left."""
BATCHES_LEFT = (0, 1, 2, 5, 12)
"""For how many of the largest lines of a bill a material is left."""
KINDS = {"shopify": SHOPIFY, "woocommerce": WOO}
"""Connector -> the emulated shop of its kind."""
PIECES = frozenset({"piece", "pair", "dozen"})
"""Units of what is counted; everything else is weighed or measured, in many smallest units."""
_ODD = re.compile(r"[^ -!#-\[\]-~]")
"""What would have to be escaped in a catalogue file."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One listing: `shop` is SHOPIFY or WOO; `is_variation` has a product above it, and `parent`
    names that product where the number is the product's, shared by all that name it.
    """

    shop: str
    sku: str
    pack: int = 1
    is_variation: bool = False
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Shopfront:
    """A catalogue to be simulated. Stock is in smallest units, and may be 0 throughout."""

    things: tuple[Thing, ...]
    bills: tuple[Bill, ...]
    offered: tuple[Offered, ...]

    def world(self, dice: random.Random, clock: Callable[[], datetime]) -> World:
        """Draw a world of it whose shops' clocks follow `clock`."""
        return _Opening(self, dice, clock).world()


@dataclass(slots=True)
class _Opening:
    """A world that is being set up."""

    front: Shopfront
    dice: random.Random
    clock: Callable[[], datetime]
    shops: dict[str, AnyShop] = field(default_factory=dict)
    clocks: dict[str, ShopClock] = field(default_factory=dict)
    parents: dict[str, int] = field(default_factory=dict)

    def world(self) -> World:
        dice, front = self.dice, self.front
        sold = sorted({each.sku for each in front.offered})
        if len(sold) > LISTED_MAX:
            sold = dice.sample(sold, LISTED_MAX)
        offered = [each for each in front.offered if each.sku in set(sold)]
        needed = _with_components(sold, {bill.item: bill for bill in front.bills})
        bills = {bill.item: bill for bill in front.bills if bill.item in needed}
        self._open({each.shop for each in offered})
        listings = [self._list(place, each) for place, each in enumerate(offered)]
        has_stock = any(thing.opening for thing in front.things)
        things = {
            thing.sku: self._left(thing, bills.values(), is_sold=thing.sku in sold, free=has_stock)
            for thing in front.things
            if thing.sku in needed
        }
        return World(
            things=things,
            bills=bills,
            listings=tuple(listings),
            unmapped=(),
            shops=self.shops,
            buffers=dict.fromkeys(self.shops, 0),
            poll_s={name: dice.choice((20, 60, 60, 300)) for name in self.shops},
            reconcile_s={name: dice.choice((120, 600, 1800)) for name in self.shops},
            hot=dice.choice(listings),
            clocks=self.clocks,
        )

    def _left(self, thing: Thing, bills: Iterable[Bill], *, is_sold: bool, free: bool) -> Thing:
        """Return the thing with what is left of it; `free`: no more than there is."""
        uses = [units for bill in bills for part, units in bill.lines if part == thing.sku]
        if is_sold or not uses:
            left = self.dice.choice(UNITS_LEFT)
        else:
            left = max(uses) * self.dice.choice(BATCHES_LEFT)
        most = thing.opening if free else left
        return Thing(thing.sku, thing.kind, thing.unit, min(left, most))

    # -- shops ---------------------------------------------------------------------------------

    def _open(self, names: set[str]) -> None:
        for name in (SHOPIFY, WOO):
            own = random.Random(self.dice.random())  # noqa: S311  # drawn from the seed
            if name not in names:
                continue
            clock = self.clocks[name] = ShopClock(self.clock)
            self.shops[name] = (
                ShopifyShop(
                    name,
                    clock=clock,
                    dice=own,
                    access_token=ACCESS_TOKEN,
                    webhook_secret=SHOPIFY_SECRET,
                    domain=DOMAIN,
                )
                if name == SHOPIFY
                else WooShop(
                    name,
                    clock=clock,
                    dice=own,
                    consumer_key=CONSUMER_KEY,
                    consumer_secret=CONSUMER_SECRET,
                )
            )

    def _list(self, place: int, offered: Offered) -> Listed:
        """Put one listing on sale, showing nothing yet."""
        shop, sku = self.shops[offered.shop], offered.sku
        if isinstance(shop, ShopifyShop):
            variant = shop.add_variant(sku, 0)
            listing, field_ = str(variant.variant_id), str(variant.item_id)
            return Listed(SHOPIFY, listing, sku, offered.pack, field_)
        assert isinstance(shop, WooShop)
        product_id = 1000 + 1000 * place
        if not offered.is_variation:
            shop.add_product(product_id, stock=0, sku=sku)
            return Listed(WOO, str(product_id), sku, offered.pack, str(product_id))
        if not offered.parent:
            shop.add_product(product_id, stock=None, type="variable")
            shop.add_variation(product_id, product_id + 1, stock=0, sku=sku)
            name = f"{product_id}:{product_id + 1}"
            return Listed(WOO, name, sku, offered.pack, name)
        if offered.parent not in self.parents:
            self.parents[offered.parent] = product_id
            shop.add_product(product_id, stock=0, type="variable")
        parent = self.parents[offered.parent]
        variation = parent + 1 + place
        shop.add_variation(parent, variation, stock=None, sku=sku)
        return Listed(WOO, f"{parent}:{variation}", sku, offered.pack, str(parent))


def _with_components(skus: Iterable[str], bills: Mapping[str, Bill]) -> set[str]:
    """Return the items and everything that they are made of."""
    found: set[str] = set()
    left = list(skus)
    while left:
        sku = left.pop()
        if sku not in found:
            found.add(sku)
            left += [part for part, _ in bills[sku].lines] if sku in bills else []
    return found


# -- where a shopfront comes from --------------------------------------------------------------


def shopfront(
    items: Iterable[Item],
    bills: Iterable[BillOfMaterials],
    listings: Iterable[Listing],
    opening: Mapping[str, int],
    connectors: Mapping[str, str],
) -> Shopfront:
    """Return the shopfront of a catalogue; `connectors` is channel -> connector.

    Listings of a channel that is not there, or has a connector that no emulated shop speaks, are
    left out. Raises `UsageError` where nothing is left.
    """
    names = _names(item.sku for item in items)
    offered = [
        Offered(
            KINDS[connectors[each.key.channel]],
            names[each.sku],
            each.pack,
            is_variation="variation_id" in each.ref,
            parent=_parent(each),
        )
        for each in listings
        if connectors.get(each.key.channel) in KINDS
    ]
    if not offered:
        raise UsageError(
            "Nothing of that catalogue is on sale on a shop that can be simulated.",
            found=", ".join(sorted({each.key.channel for each in listings})) or "no listings",
            expected=f"listings on channels of {' or '.join(KINDS)}",
            next="stockpush prove",
        )
    return Shopfront(
        tuple(
            Thing(
                names[item.sku],
                str(item.kind),
                "piece" if item.unit in PIECES else "g",
                max(0, opening.get(item.sku, 0)),
            )
            for item in items
        ),
        tuple(
            Bill(
                names[bill.item],
                bill.yield_quantity,
                # What is lost is part of what is used: the world's bills are simpler.
                tuple(
                    (names[line.component], use(bill, line, bill.yield_quantity))
                    for line in bill.lines
                ),
                bill.batch_only,
            )
            for bill in bills
        ),
        tuple(offered),
    )


def _parent(listing: Listing) -> str:
    """Return the product that holds a variation's number, as far as the shop has told, or ""."""
    product = str(listing.ref.get("product_id"))
    holds = "variation_id" in listing.ref and listing.field_key == product
    return f"{listing.key.channel} {product}" if holds else ""


def _names(skus: Iterable[str]) -> dict[str, str]:
    """Return a name for each SKU that needs no escaping: the SKU itself, nearly always."""
    given: dict[str, str] = {}
    used: set[str] = set()
    for sku in skus:
        name = plain = _ODD.sub("_", sku)
        number = 1
        while name in used:
            number += 1
            name = f"{plain}~{number}"
        used.add(name)
        given[sku] = name
    return given


def read_shopfront(
    files: list[tuple[str, bytes]], connectors: Mapping[str, str] | None = None
) -> Shopfront:
    """Return the shopfront of catalogue files (name, content).

    A channel that is not among `connectors` is taken for what its references say. Raises
    `CatalogueInvalid` with every mistake, and `UsageError` as `shopfront` does.
    """
    kinds = dict(connectors or {})

    def ref(channel: str, given: Mapping[str, object]) -> str:
        kinds.setdefault(channel, "woocommerce" if "product_id" in given else "shopify")
        known = {"variant_id", "inventory_item_id", "product_id", "variation_id"}
        if not given or set(given) - known:
            raise CatalogueInvalid(
                "That reference names no Shopify or WooCommerce listing.",
                field="ref",
                found=", ".join(given),
                expected="variant_id or inventory_item_id; product_id, and variation_id",
            )
        return " ".join(f"{name}={value}" for name, value in given.items())

    read = read_catalogue(files, known=Known(), channels=_Any(), refs=ref)
    opening = {move.sku: move.quantity for move in read.opening}
    return shopfront(read.items, read.bills, read.listings, opening, kinds)


class _Any(frozenset[str]):
    """Every channel there might be: a file says which one it means."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


@cache
def candle_front() -> Shopfront:
    """Return the candle shop of the demo, whose soap is a variation with its parent's number."""
    shop = candle_shop.CandleShop.open(lambda: EPOCH, random.Random(0))  # noqa: S311  # only read
    kinds = {candle_shop.SHOPIFY: "shopify", candle_shop.WOO: "woocommerce"}
    front = read_shopfront([("candle-shop.toml", shop.catalogue(kinds).encode())], kinds)
    offered = [replace(each, parent=each.sku * each.is_variation) for each in front.offered]
    return replace(front, offered=tuple(offered))
