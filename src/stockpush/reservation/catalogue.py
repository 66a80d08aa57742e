"""The catalogue: one immutable value of items, bills, listings and channel policies.

It is built from the stored rows at one revision and kept in memory; a transaction that finds
another revision in the database builds it anew. Balances are never part of it.

*Pools.* Each location belongs to a pool, and each channel is fed by one. An item has a shelf in
every pool, and a bill is one for each pool: from the components that lie there. So what is netted
are shelves, and the bills say which shelf is made from which (`netted`); no two pools share any, so
each is a shop of its own. The key of a shelf in the pool MAIN is the SKU, and with no other pool
`netted` are the bills themselves.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from stockpush.model import (
    MAIN,
    UNSAID,
    BillOfMaterials,
    ChannelPolicy,
    Exposure,
    Feed,
    FieldKey,
    Item,
    Listing,
    ListingKey,
    Location,
    LotRule,
    Mode,
    OrderSupply,
    Promise,
    StockPolicy,
    pool_of,
    shelf_key,
    sku_of,
)
from stockpush.packed import Packed, PackedMap, Places, hashed
from stockpush.reservation.atp import Gate
from stockpush.reservation.bom import Bills, Gates
from stockpush.reservation.per_order import effective
from stockpush.values import replace

if TYPE_CHECKING:
    from stockpush.reservation.atp_arrays import Layout
    from stockpush.reservation.plainly import Plainly

V = TypeVar("V")

LARGE_MIN = 100
"""From so many items on, a group that shares materials is read in part (docs/architecture.md): that
asks the database twice, which reading a smaller group whole does not cost."""
LAYOUTS_MAX = 4
"""Most sets of groups that are kept laid out at once."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that changes only when a person changes it, indexed for the core.

    `by_order_key` finds the listing that an order line names; `fields_of` the fields that show
    a shelf (each once, in key order); `listings_on` the listings that share a field. `ceilings` has
    the shelves of items that are made and have a promise rule: the most that may wait to be built.
    `horizons` has the shelves of items with one, in seconds, and `asked` are those and what is made
    from them (`atp.Times`). `listed_horizons` has the items of which listings say one, by SKU: each
    once, shortest first.
    `lotted` are the items of which any stock is kept by lot or place, `locations` the places
    besides MAIN. `feeds` has the channels that a pool was said to feed, and `pools` every pool that
    something is sold from, MAIN first. `netted` are the bills by shelf. `split` are the leaders of
    groups of shelves in which what can be promised is parted. `older_bills` are those that open
    reservations were made with, in no order.
    """

    revision: int
    items: Mapping[str, Item]
    bills: Bills
    listings: Mapping[ListingKey, Listing]
    policies: Mapping[str, ChannelPolicy]
    by_order_key: Mapping[tuple[str, str], Listing]
    fields_of: Mapping[str, tuple[FieldKey, ...]]
    listings_on: Mapping[FieldKey, tuple[Listing, ...]]
    locations: Mapping[str, Location]
    lotted: frozenset[str]
    ceilings: Mapping[str, int]
    netted: Bills
    older_bills: tuple[BillOfMaterials, ...] = ()
    pools: tuple[str, ...] = (MAIN,)
    feeds: Mapping[str, str] = field(default_factory=dict)
    stock: StockPolicy = UNSAID
    split: frozenset[str] = frozenset()
    per_order: Mapping[str, tuple[OrderSupply, ...]] = field(default_factory=dict)
    """What each order with an item takes once, by SKU, where it takes anything."""
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=dict)
    """The gates of shelves that have any."""
    horizons: Mapping[str, int] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    listed_horizons: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    layouts: dict[frozenset[str], Layout] = field(default_factory=dict, compare=False, repr=False)
    """What has been laid out in arrays so far: a memory of what follows from the rest."""
    plain: dict[str, Plainly | None] = field(
        default_factory=dict, compare=False, repr=False, init=False
    )
    """What has been found so far of how shelves are shown (`plainly.of`), a memory as well."""

    def sells_from(self, location: str) -> bool:
        """Answer whether what lies at the location can be sold."""
        if location == MAIN:
            return True
        place = self.locations.get(location)
        return place is not None and place.sellable

    def pool_at(self, location: str) -> str:
        """Return the pool that a location belongs to."""
        place = self.locations.get(location)
        return MAIN if place is None else place.pool

    def home(self, pool: str) -> str:
        """Return the location of a pool where what is said to lie nowhere in it lies."""
        if pool == MAIN:
            return MAIN
        names = (name for name, place in self.locations.items() if place.pool == pool)
        return min(names, key=lambda name: (not self.sells_from(name), name), default=MAIN)

    def fed_by(self, channel: str) -> str:
        """Return the pool that feeds a channel."""
        return self.feeds.get(channel, MAIN)

    def shelves_of(self, sku: str) -> tuple[str, ...]:
        """Return the keys of an item's shelves, one in every pool."""
        return tuple(shelf_key(sku, pool) for pool in self.pools)

    def knows(self, shelf: str) -> bool:
        """Answer whether there is a shelf: its item is in the catalogue, and its pool sells."""
        if shelf in self.items:
            return True
        return sku_of(shelf) in self.items and pool_of(shelf) in self.pools

    def shelves_among(self, names: Iterable[str]) -> Iterable[str]:
        """Return those of netted names that are shelves: what an older bill goes by is none."""
        return filter(self.knows, names) if self.netted.older else names

    def exposure(self, sku: str) -> Exposure:
        """Return how the item's listings share what can be promised of it."""
        return self.items[sku].exposure or self.stock.exposure

    def is_split(self, shelf: str) -> bool:
        """Answer whether what can be promised of a shelf is parted among the listings of its pool:
        its item, or another that shares a material with it, is split.
        """
        return bool(self.split) and self.leader(shelf) in self.split

    def home_channel(self, shelf: str) -> str | None:
        """Return the channel that gets the last of a shelf, None where it is all the same.

        That is so too where the home channel of the item is fed by another pool.
        """
        home = self.items[sku_of(shelf)].home_channel or self.stock.home_channel
        return home if home is not None and self.fed_by(home) == pool_of(shelf) else None

    def guard_min(self, sku: str) -> int:
        """Return the least guard level of the item, in its smallest units, rounded up."""
        item = self.items[sku]
        if item.guard_min is not None:
            return item.guard_min
        return smallest_units(self.stock.guard_min, item.scale)

    def layout(self, group: frozenset[str]) -> Layout:
        """Return whole groups of items laid out in arrays, made when first asked for."""
        # NumPy takes a while to be read in, and most makers have nothing for it to do.
        from stockpush.reservation.atp_arrays import Layout  # noqa: PLC0415

        if group not in self.layouts:
            while len(self.layouts) >= LAYOUTS_MAX:
                self.layouts.pop(next(iter(self.layouts)))
            self.layouts[group] = Layout.build(self.netted, group)
        return self.layouts[group]

    def is_large(self, sku: str) -> bool:
        """Answer whether so many items share materials with this one that only a part is read."""
        return len(self.netted.group_order(sku)) >= LARGE_MIN

    def leader(self, sku: str) -> str:
        """Return the item whose shelf stands for the item's whole group."""
        return self.netted.group_order(sku)[0]

    def group(self, skus: Iterable[str]) -> frozenset[str]:
        """Return the shelves that share a material, directly or not, with any of `skus`."""
        found: set[str] = set()
        for sku in skus:
            if sku not in found and self.knows(sku):
                found |= self.netted.group(sku)
        return frozenset(self.shelves_among(found))

    def fields_showing(self, skus: Iterable[str]) -> frozenset[FieldKey]:
        """Return the fields that show any of the shelves `skus`."""
        return frozenset(key for sku in skus for key in self.fields_of.get(sku, ()))

    def sku_of(self, field: FieldKey) -> str | None:
        """Return the item that a field shows, None for a field that no listing maps to."""
        listings = self.listings_on.get(field)
        return listings[0].sku if listings else None

    def shelf_of(self, field: FieldKey) -> str | None:
        """Return the shelf that a field shows, None for a field that no listing maps to."""
        sku = self.sku_of(field)
        return None if sku is None else self.shelf_on(field.channel, sku)

    def is_written(self, field: FieldKey) -> bool:
        """Answer whether a mapped field is written to: its channel is live, and its listings are
        ours and none is parked.
        """
        policy, listings = self.policies.get(field.channel), self.listings_on[field]
        return (
            policy is not None
            and policy.mode is Mode.LIVE
            and any(each.adopted for each in listings)
            and all(each.parked_reason is None for each in listings)
        )

    def shelf_on(self, channel: str, sku: str) -> str:
        """Return the shelf from which a channel sells an item."""
        return shelf_key(sku, self.feeds[channel]) if channel in self.feeds else sku


def build(
    revision: int,
    items: Iterable[Item],
    bills: Iterable[BillOfMaterials],
    listings: Iterable[Listing],
    policies: Mapping[str, ChannelPolicy],
    locations: Iterable[Location] = (),
    feeds: Iterable[Feed] = (),
    older_bills: Iterable[BillOfMaterials] = (),
    *,
    stock: StockPolicy = UNSAID,
    known: Catalogue | None = None,
) -> Catalogue:
    """Index the stored rows. Raises `CatalogueInvalid` (and `BillCycle`) for impossible bills.

    `known` is an earlier one: where the bills are still the same they are not compiled again.
    """
    by_sku = _by_sku(items)
    every = items if isinstance(items, Packed) else by_sku.values()
    places = {place.name: place for place in locations}
    fed = dict(feeds)
    pools = _pools(places.values())
    given, older = bills if isinstance(bills, Packed) else tuple(bills), tuple(older_bills)
    name_of = (
        known.bills.name_of
        if known is not None and _are_same_items(by_sku, known.items)
        else {item.sku: item.substitute_for for item in every if item.substitute_for is not None}
    )
    per_order = (
        effective(by_sku, {bill.item: bill for bill in given})
        if any(item.per_order for item in every)
        else {}
    )
    gates = _gates(per_order)
    compiled, netted, layouts = _compiled(given, by_sku, name_of, pools, older, known, gates)
    found = _packed(listings, fed) if isinstance(listings, Packed) else _found(listings, fed)
    least: dict[str, int] = {}
    for listing in found.by_key.values() if netted.gates else ():
        shelf = shelf_key(listing.sku, fed.get(listing.key.channel, MAIN))
        least[shelf] = min(listing.pack, least.get(shelf, listing.pack))
    horizons = {
        shelf_key(item.sku, pool): item.horizon_s
        for item in every
        if item.horizon_s is not None
        for pool in pools
    }
    return Catalogue(
        revision=revision,
        items=by_sku,
        bills=compiled,
        listings=found.by_key,
        policies=dict(policies),
        by_order_key=found.by_order_key,
        fields_of=found.fields_of,
        listings_on=found.listings_on,
        ceilings={
            shelf: ceiling
            for item in every
            if (ceiling := _ceiling(item)) is not None
            for shelf in (shelf_key(item.sku, pool) for pool in pools)
            if shelf in netted.by_item
        },
        per_order=per_order,
        gates={
            shelf: tuple(
                Gate(
                    shelf_key(line.supply, pool_of(shelf)),
                    line.quantity,
                    least.get(shelf, 10 ** by_sku[sku_of(shelf)].scale),
                )
                for line in per_order[sku_of(shelf)]
                if line.gate
            )
            for shelf in netted.gates
        },
        stock=stock,
        horizons=horizons,
        asked=netted.made_from(horizons),
        listed_horizons=found.horizons,
        split=frozenset(
            netted.group_order(shelf_key(item.sku, pool))[0]
            for item in every
            if (item.exposure or stock.exposure) is Exposure.SPLIT
            for pool in pools
        ),
        layouts=layouts,
        locations=places,
        netted=netted,
        older_bills=older,
        pools=pools,
        feeds=fed,
        lotted=frozenset(item.sku for item in every if item.lots is not LotRule.NEVER),
    )


class _Listed(NamedTuple):
    """The listings, and the maps that find them."""

    by_key: Mapping[ListingKey, Listing]
    by_order_key: Mapping[tuple[str, str], Listing]
    fields_of: Mapping[str, tuple[FieldKey, ...]]
    listings_on: Mapping[FieldKey, tuple[Listing, ...]]
    horizons: Mapping[str, tuple[int, ...]]


def listed_horizons(listings: Iterable[Listing]) -> dict[str, tuple[int, ...]]:
    """Return the horizons that listings say, by the SKU of their item, shortest first."""
    return _sorted((row.sku, row.horizon_s) for row in listings if row.horizon_s is not None)


def _sorted(said: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """Return what is said of each SKU, each once, in order."""
    found: dict[str, list[int]] = {}
    for sku, horizon_s in sorted(set(said)):
        found.setdefault(sku, []).append(horizon_s)
    return {sku: tuple(each) for sku, each in found.items()}


def _found(listings: Iterable[Listing], fed: Mapping[str, str]) -> _Listed:
    """Return the maps that find the listings."""
    by_key = {listing.key: listing for listing in listings}
    by_order_key: dict[tuple[str, str], Listing] = {}
    fields_of: defaultdict[str, set[FieldKey]] = defaultdict(set)
    listings_on: defaultdict[FieldKey, list[Listing]] = defaultdict(list)
    for key in sorted(by_key):
        listing = by_key[key]
        if (named := _order_key(listing)) is not None:
            by_order_key[named] = listing
        if (field := _field_key(listing)) is not None:
            fields_of[shelf_key(listing.sku, fed.get(key.channel, MAIN))].add(field)
            listings_on[field].append(listing)
    return _Listed(
        by_key,
        by_order_key,
        {sku: tuple(sorted(fields)) for sku, fields in fields_of.items()},
        {field: tuple(found) for field, found in listings_on.items()},
        listed_horizons(by_key.values()),
    )


def _packed(listings: Packed[Listing], fed: Mapping[str, str]) -> _Listed:
    """Return the maps that find packed listings, which are in the order of their keys."""

    def shelf_of(listing: Listing) -> str | None:
        if listing.field_key is None:
            return None
        return shelf_key(listing.sku, fed.get(listing.key.channel, MAIN))

    keys: tuple[Callable[[Listing], object], ...] = (
        lambda each: each.key,
        _order_key,
        shelf_of,
        _field_key,
    )
    hashes = tuple(array("I") for _ in keys)
    said = set[tuple[str, int]]()
    for listing in listings:
        if listing.horizon_s is not None:
            said.add((listing.sku, listing.horizon_s))
        for found, key in zip(hashes, keys, strict=True):
            found.append(hashed(key(listing)))
    by_key, by_order, by_shelf, by_field = map(Places, hashes)
    return _Listed(
        PackedMap(listings, by_key, lambda each: each.key, _last, single=True),
        PackedMap(listings, by_order, _order_key, _last),
        PackedMap(listings, by_shelf, shelf_of, _fields),
        PackedMap(listings, by_field, _field_key, tuple),
        _sorted(said),
    )


def _by_sku(items: Iterable[Item]) -> Mapping[str, Item]:
    if not isinstance(items, Packed):
        return {item.sku: item for item in items}
    places = Places(array("I", (hashed(item.sku) for item in items)))
    return PackedMap(items, places, lambda each: each.sku, _last, single=True)


def _order_key(listing: Listing) -> tuple[str, str] | None:
    """Return how order lines name the listing, None while that is not known."""
    return None if listing.order_key is None else (listing.key.channel, listing.order_key)


def _field_key(listing: Listing) -> FieldKey | None:
    """Return the field that the listing is on, None while that is not known."""
    return None if listing.field_key is None else FieldKey(listing.key.channel, listing.field_key)


def _fields(listings: Sequence[Listing]) -> tuple[FieldKey, ...]:
    """Return the fields of some listings, each once, in order."""
    return tuple(sorted({key for each in listings if (key := _field_key(each)) is not None}))


def _last(found: Sequence[V]) -> V:
    return found[-1]


def _gates(per_order: Mapping[str, tuple[OrderSupply, ...]]) -> Gates:
    """Return the supplies that bound what is promised of each item."""
    gates = {
        sku: tuple(line.supply for line in lines if line.gate) for sku, lines in per_order.items()
    }
    return {sku: supplies for sku, supplies in gates.items() if supplies}


def _pools(locations: Iterable[Location]) -> tuple[str, ...]:
    """Return the pools that something is sold from, MAIN first, then by name."""
    return (MAIN, *sorted({place.pool for place in locations if place.sellable} - {MAIN}))


def _compiled(
    given: Sequence[BillOfMaterials],
    items: Mapping[str, Item],
    name_of: Mapping[str, str],
    pools: tuple[str, ...],
    older: tuple[BillOfMaterials, ...],
    known: Catalogue | None,
    gates: Gates,
) -> tuple[Bills, Bills, dict[frozenset[str], Layout]]:
    """Return the compiled bills, those by shelf, and what has been laid out of them: the known ones
    if they fit.
    """
    if (
        known is not None
        and known.pools == pools
        and known.bills.gates == gates
        and _are_same(given, known.bills.by_item)
        and (_are_same_items(items, known.items) or all(sku in items for sku in known.items))
        and known.bills.name_of == name_of
        and set(known.older_bills) == set(older)
    ):
        return known.bills, known.netted, known.layouts
    compiled = Bills.build(given, items.keys(), name_of, older, gates)
    if len(pools) == 1:
        return compiled, compiled, {}
    netted = Bills.build(
        [_in_pool(bill, pool) for pool in pools for bill in given],
        {shelf_key(sku, pool) for pool in pools for sku in items},
        {
            shelf_key(sku, pool): shelf_key(name, pool)
            for pool in pools
            for sku, name in name_of.items()
        },
        [_in_pool(bill, pool) for pool in pools for bill in older],
        {
            shelf_key(sku, pool): tuple(shelf_key(supply, pool) for supply in supplies)
            for pool in pools
            for sku, supplies in gates.items()
        },
    )
    return compiled, netted, {}


def _are_same(given: Sequence[BillOfMaterials], known: Mapping[str, BillOfMaterials]) -> bool:
    """Answer whether these are the known bills."""
    if isinstance(given, Packed) and isinstance(known, PackedMap):
        return known.is_of(given)
    return len(given) == len(known) and all(known.get(bill.item) == bill for bill in given)


def _are_same_items(items: Mapping[str, Item], known: Mapping[str, Item]) -> bool:
    """Answer, of packed items, whether these are the known ones; it takes no look at each."""
    return isinstance(items, PackedMap) and isinstance(known, PackedMap) and items.is_like(known)


def _in_pool(bill: BillOfMaterials, pool: str) -> BillOfMaterials:
    """Return a bill by which the shelf of its item in a pool is made from others there."""
    if pool == MAIN:
        return bill
    return replace(
        bill,
        item=shelf_key(bill.item, pool),
        lines=tuple(
            replace(line, component=shelf_key(line.component, pool)) for line in bill.lines
        ),
    )


@lru_cache(maxsize=256)
def smallest_units(quantity: Decimal, scale: int) -> int:
    """Return a quantity of an item in its smallest units, rounded up."""
    return int(quantity.scaleb(scale).to_integral_value(ROUND_CEILING))


def _ceiling(item: Item) -> int | None:
    """Return how many of the item may wait to be built by its promise rule, None for any number."""
    return 0 if item.promise is Promise.FINISHED else item.buildable_max
