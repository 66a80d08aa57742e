"""What a maker really sells, to be simulated: a catalogue, put on sale on emulated shops.

Theory of operation. Items, bills of materials and listings are the maker's own; the shops are
emulated ones of the same kind, one for each connector, however many accounts there are. Of Etsy,
the listings of one document stay together. Trouble begins where stock runs out, so each seed draws
how much is left, never more than the maker has; of a large catalogue each seed draws a part, with
everything that its products are made of.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from stockpush.connectors import registry
from stockpush.connectors.etsy.keys import parse_ref
from stockpush.errors import CatalogueInvalid, UsageError
from stockpush.importer import Known, read_catalogue
from stockpush.model import BillOfMaterials, Item, Listing
from stockpush.reservation.atp import use
from stockpush.sim import accounts, candle_shop
from stockpush.sim.accounts import (
    CHANNELS,
    CONNECTORS,
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
from stockpush.sim.loop import EPOCH
from stockpush.sim.shops.etsy import EtsyShop, Variation
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.world import Bill, Listed, ShopClock, Thing, World

LISTED_MAX = 20
"""Most items on sale in one run; of a larger catalogue, each seed draws some."""
UNITS_LEFT = (0, 1, 1, 2, 3, 3, 5, 8, 12, 30)
"""How many units of something on sale are left."""
BATCHES_LEFT = (0, 1, 2, 5, 12)
"""For how many of the largest lines of a bill a material is left."""
KINDS = {CONNECTORS[channel]: channel for channel in CHANNELS}
"""Connector -> the emulated shop of its kind."""
WEBHOOKS = 0.7
"""How many Etsy shops have webhooks: they need commercial access."""
PIECES = frozenset({"piece", "pair", "dozen"})
"""Units of what is counted; everything else is weighed or measured, in many smallest units."""
_ODD = re.compile(r"[^ -!#-\[\]-~]")
"""What would have to be escaped in a catalogue file."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One listing: `shop` is a channel of `accounts.CONNECTORS`; `is_variation` has a product above
    it, and `parent` names that product where the number is the product's, shared by all that name
    it. `document` names what is written as a whole on Etsy: its listing, with all variations of it.
    """

    shop: str
    sku: str
    pack: int = 1
    is_variation: bool = False
    parent: str = ""
    document: str = ""


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
    offered: list[Offered] = field(default_factory=list)
    parents: dict[str, int] = field(default_factory=dict)
    documents: dict[str, Iterator[str]] = field(default_factory=dict)
    """Of each Etsy document, the names of what is in it and not handed out yet."""
    terms: EtsyTerms = field(default_factory=EtsyTerms)

    def world(self) -> World:
        dice, front = self.dice, self.front
        sold = sorted({each.sku for each in front.offered})
        if len(sold) > LISTED_MAX:
            sold = dice.sample(sold, LISTED_MAX)
        self.offered = [each for each in front.offered if each.sku in set(sold)]
        needed = _with_components(sold, {bill.item: bill for bill in front.bills})
        bills = {bill.item: bill for bill in front.bills if bill.item in needed}
        self._open({each.shop for each in self.offered})
        listings = [self._list(place, each) for place, each in enumerate(self.offered)]
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
            etsy=self.terms,
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
            self.shops[name] = (
                accounts.shopify(name, self._clock_of(name), own)
                if name == SHOPIFY
                else WooShop(
                    name,
                    clock=self._clock_of(name),
                    dice=own,
                    consumer_key=CONSUMER_KEY,
                    consumer_secret=CONSUMER_SECRET,
                )
            )
        # The others draw only where they are, so that the worlds of these two stay what they were.
        for name, open_shop in _OTHERS.items():
            if name in names:
                self.shops[name] = open_shop(self._clock_of(name), self.dice)
        if ETSY in names:
            self.terms = EtsyTerms(webhooks=self.dice.random() < WEBHOOKS)

    def _clock_of(self, name: str) -> ShopClock:
        clock = self.clocks[name] = ShopClock(self.clock)
        return clock

    def _list(self, place: int, offered: Offered) -> Listed:
        """Put one listing on sale, showing nothing yet: on Etsy the least that can be on sale."""
        shop, sku, name = self.shops[offered.shop], offered.sku, str(place)
        match shop:
            case ShopifyShop():
                variant = shop.add_variant(sku, 0)
                listing, field_ = str(variant.variant_id), str(variant.item_id)
                return Listed(shop.name, listing, sku, offered.pack, field_)
            case WooShop():
                return self._on_woo(shop, 1000 + 1000 * place, place, offered)
            case EtsyShop():
                return self._on_etsy(shop, 1001 + place, offered)
            case FaireShop():
                name = f"po_{place:010d}"
                shop.add_variant(name, on_hand=0, sku=sku)
            case GenericShop():
                name = f"product-{place}"
                shop.add_product(name, 0)
        return Listed(offered.shop, name, sku, offered.pack, name)

    def _on_etsy(self, shop: EtsyShop, listing_id: int, offered: Offered) -> Listed:
        """Put one listing on sale, and with the first of a document all the others."""
        if offered.document not in self.documents:
            together = [each for each in self.offered if each.document == offered.document]
            self.documents[offered.document] = iter(_document(shop, listing_id, together))
        name = next(self.documents[offered.document])
        field_ = name.partition(":")[0] if offered.parent else name
        return Listed(ETSY, name, offered.sku, offered.pack, field_)

    def _on_woo(self, shop: WooShop, product_id: int, place: int, offered: Offered) -> Listed:
        """Put one listing on sale, by itself or below a product."""
        sku = offered.sku
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


_OTHERS: Mapping[str, Callable[[ShopClock, random.Random], AnyShop]] = {
    OUTLET: lambda clock, dice: accounts.shopify(
        OUTLET,
        clock,
        random.Random(dice.random()),  # noqa: S311  # drawn from the seed
    ),
    ETSY: accounts.etsy,
    FAIRE: accounts.faire,
    SITE: accounts.site,
}


def _document(shop: EtsyShop, listing_id: int, together: Sequence[Offered]) -> list[str]:
    """Add an Etsy listing; return its name, or those of its variations, in their order."""
    first = together[0]
    if len(together) == 1 and not first.is_variation:
        return [shop.add_listing(listing_id, quantity=1, sku=first.sku)]
    products = [
        (
            (Variation(ETSY_PROPERTY, ETSY_PROPERTY_NAME, f"no {number}", 9000 + number),),
            1 if number == 1 or first.parent else 0,
            each.sku,
        )
        for number, each in enumerate(together, 1)
    ]
    return shop.add_variations(
        listing_id, products, varies_by=() if first.parent else (ETSY_PROPERTY,)
    )


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
    left out; so are those that share a number with another one of another item or pack, for which
    the daemon asks a person. Raises `UsageError` where nothing is left.
    """
    names = _names(item.sku for item in items)
    listings = list(listings)
    known = [each for each in listings if connectors.get(each.key.channel) in KINDS]
    alone = _alone(each for each in known if connectors[each.key.channel] == "etsy")
    offered = _agreeing(
        Offered(
            KINDS[connector],
            names[each.sku],
            each.pack,
            is_variation=_is_variation(connector, each),
            parent=_parent(connector, each, alone),
            document=_document_of(each) if connector == "etsy" else "",
        )
        for each in known
        for connector in (connectors[each.key.channel],)
    )
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
        offered,
    )


def _is_variation(connector: str, listing: Listing) -> bool:
    """Answer whether a listing is one of several variations, as far as its reference says."""
    if connector == "etsy":
        ref = parse_ref(listing.key.ref)
        return bool(ref.values or ref.sku)
    return connector == "woocommerce" and "variation_id" in listing.ref


def _parent(connector: str, listing: Listing, alone: frozenset[str]) -> str:
    """Return what holds the number of several listings, this one among them, or "": the product of
    a WooCommerce variation, as far as the shop has told, or an Etsy listing whose quantity varies
    by nothing, since it was told or a reference names it `alone`.
    """
    if connector == "etsy":
        document = _document_of(listing)
        told = listing.field_key == str(parse_ref(listing.key.ref).listing_id)
        shared = document in alone or (told and _is_variation(connector, listing))
        return document if shared else ""
    product = str(listing.ref.get("product_id"))
    holds = _is_variation(connector, listing) and listing.field_key == product
    return f"{listing.key.channel} {product}" if holds else ""


def _document_of(listing: Listing) -> str:
    """Return the name of an Etsy listing's document."""
    return f"{listing.key.channel} {parse_ref(listing.key.ref).listing_id}"


def _alone(listings: Iterable[Listing]) -> frozenset[str]:
    """Return the documents that one reference names without a variation, and others with one."""
    said: dict[str, set[bool]] = {}
    for each in listings:
        said.setdefault(_document_of(each), set()).add(_is_variation("etsy", each))
    return frozenset(document for document, ways in said.items() if len(ways) > 1)


def _agreeing(offered: Iterable[Offered]) -> tuple[Offered, ...]:
    """Return them without those that share a number with one of another item or pack before."""
    first: dict[str, tuple[str, int]] = {}
    return tuple(
        each
        for each in offered
        if not each.parent
        or first.setdefault(f"{each.shop} {each.parent}", (each.sku, each.pack))
        == (each.sku, each.pack)
    )


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
        if channel not in kinds:
            kinds[channel] = _connector_of(given)
        return registry.ref_key(kinds[channel])(given)

    read = read_catalogue(files, known=Known(), channels=_Any(), refs=ref)
    opening = {move.sku: move.quantity for move in read.opening}
    return shopfront(read.items, read.bills, read.listings, opening, kinds)


def _connector_of(given: Mapping[str, object]) -> str:
    """Return the connector whose reference this is; `CatalogueInvalid` where it is nobody's."""
    fields = {name: registry.manifest(name).ref_fields for name in KINDS}
    for name in KINDS:
        with suppress(CatalogueInvalid):
            registry.ref_key(name)(given)
            return name
    for name, known in fields.items():
        if given and set(given) <= set(known):
            return name  # it says what is wrong with it
    raise CatalogueInvalid(
        "That reference names no listing of a shop that can be simulated.",
        field="ref",
        found=", ".join(given),
        expected="; ".join(" or ".join(known) for known in fields.values()),
    )


class _Any(frozenset[str]):
    """Every channel there might be: a file says which one it means."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


@cache
def candle_front() -> Shopfront:
    """Return the candle shop of the demo, whose soap is a variation with its parent's number."""
    shop = candle_shop.CandleShop.open(lambda: EPOCH, random.Random(0))  # noqa: S311  # only read
    kinds = {
        candle_shop.SHOPIFY: "shopify",
        candle_shop.WOO: "woocommerce",
        candle_shop.ETSY: "etsy",
        candle_shop.FAIRE: "faire",
    }
    front = read_shopfront([("candle-shop.toml", shop.catalogue(kinds).encode())], kinds)
    offered = [replace(each, parent=each.sku * each.is_variation) for each in front.offered]
    return replace(front, offered=tuple(offered))
