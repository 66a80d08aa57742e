"""The catalogue: one immutable value of items, bills, listings and channel policies.

It is built from the stored rows at one revision and kept in memory; a transaction that finds
another revision in the database builds it anew. Balances are never part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stockpush.model import (
    MAIN,
    BillOfMaterials,
    ChannelPolicy,
    FieldKey,
    Item,
    Listing,
    ListingKey,
    Location,
    LotRule,
    Promise,
)
from stockpush.reservation.bom import Bills

if TYPE_CHECKING:
    from stockpush.reservation.atp_arrays import Layout

LARGE_MIN = 100
"""From so many items on, a group that shares materials is read in part (docs/architecture.md): that
asks the database twice, which reading a smaller group whole does not cost."""
LAYOUTS_MAX = 4
"""Most sets of groups that are kept laid out at once."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that changes only when a person changes it, indexed for the core.

    `by_order_key` finds the listing that an order line names; `fields_of` the fields that show
    an item (each once, in key order); `listings_on` the listings that share a field. `ceilings` has
    the items that are made and have a promise rule: the most that may wait to be built. `lotted`
    are the items of which any stock is kept by lot or place, `locations` the places besides MAIN.
    `older_bills` are those that open reservations were made with, in no order.
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
    older_bills: tuple[BillOfMaterials, ...] = ()
    layouts: dict[frozenset[str], Layout] = field(default_factory=dict, compare=False, repr=False)
    """What has been laid out in arrays so far: a memory of what follows from the rest."""

    def sells_from(self, location: str) -> bool:
        """Answer whether what lies at the location can be sold."""
        if location == MAIN:
            return True
        place = self.locations.get(location)
        return place is not None and place.sellable

    def layout(self, group: frozenset[str]) -> Layout:
        """Return whole groups of items laid out in arrays, made when first asked for."""
        # NumPy takes a while to be read in, and most makers have nothing for it to do.
        from stockpush.reservation.atp_arrays import Layout  # noqa: PLC0415

        if group not in self.layouts:
            while len(self.layouts) >= LAYOUTS_MAX:
                self.layouts.pop(next(iter(self.layouts)))
            self.layouts[group] = Layout.build(self.bills, group)
        return self.layouts[group]

    def is_large(self, sku: str) -> bool:
        """Answer whether so many items share materials with this one that only a part is read."""
        return len(self.bills.group_order(sku)) >= LARGE_MIN

    def leader(self, sku: str) -> str:
        """Return the item whose shelf stands for the item's whole group."""
        return self.bills.group_order(sku)[0]

    def group(self, skus: Iterable[str]) -> frozenset[str]:
        """Return the items that share a material, directly or not, with any of `skus`."""
        found: set[str] = set()
        for sku in skus:
            if sku in self.items and sku not in found:
                found |= self.bills.group(sku)
        if self.bills.older:
            found &= self.items.keys()
        return frozenset(found)

    def fields_showing(self, skus: Iterable[str]) -> frozenset[FieldKey]:
        """Return the fields that show any of `skus`."""
        return frozenset(key for sku in skus for key in self.fields_of.get(sku, ()))

    def sku_of(self, field: FieldKey) -> str | None:
        """Return the item that a field shows, None for a field that no listing maps to."""
        listings = self.listings_on.get(field)
        return listings[0].sku if listings else None


def build(
    revision: int,
    items: Iterable[Item],
    bills: Iterable[BillOfMaterials],
    listings: Iterable[Listing],
    policies: Mapping[str, ChannelPolicy],
    locations: Iterable[Location] = (),
    older_bills: Iterable[BillOfMaterials] = (),
    *,
    known: Catalogue | None = None,
) -> Catalogue:
    """Index the stored rows. Raises `CatalogueInvalid` (and `BillCycle`) for impossible bills.

    `known` is an earlier one: where the bills are still the same they are not compiled again.
    """
    by_sku = {item.sku: item for item in items}
    older = tuple(older_bills)
    compiled, layouts = _compiled(bills, by_sku, older, known)
    by_key = {listing.key: listing for listing in listings}
    by_order_key: dict[tuple[str, str], Listing] = {}
    fields_of: defaultdict[str, set[FieldKey]] = defaultdict(set)
    listings_on: defaultdict[FieldKey, list[Listing]] = defaultdict(list)
    for key in sorted(by_key):
        listing = by_key[key]
        if listing.order_key is not None:
            by_order_key[(key.channel, listing.order_key)] = listing
        if listing.field_key is not None:
            field = FieldKey(key.channel, listing.field_key)
            fields_of[listing.sku].add(field)
            listings_on[field].append(listing)
    return Catalogue(
        revision=revision,
        items=by_sku,
        bills=compiled,
        listings=by_key,
        policies=dict(policies),
        by_order_key=by_order_key,
        fields_of={sku: tuple(sorted(fields)) for sku, fields in fields_of.items()},
        listings_on={field: tuple(found) for field, found in listings_on.items()},
        ceilings={
            sku: ceiling
            for sku in compiled.by_item
            if (ceiling := _ceiling(by_sku[sku])) is not None
        },
        layouts=layouts,
        older_bills=older,
        locations={place.name: place for place in locations},
        lotted=frozenset(item.sku for item in by_sku.values() if item.lots is not LotRule.NEVER),
    )


def _compiled(
    bills: Iterable[BillOfMaterials],
    items: Mapping[str, Item],
    older: tuple[BillOfMaterials, ...],
    known: Catalogue | None,
) -> tuple[Bills, dict[frozenset[str], Layout]]:
    """Return the compiled bills and what has been laid out of them, the known ones if they fit."""
    given = tuple(bills)
    name_of = {
        sku: item.substitute_for for sku, item in items.items() if item.substitute_for is not None
    }
    if (
        known is not None
        and len(given) == len(known.bills.by_item)
        and all(known.bills.by_item.get(bill.item) == bill for bill in given)
        and all(sku in items for sku in known.items)
        and known.bills.name_of == name_of
        and set(known.older_bills) == set(older)
    ):
        return known.bills, known.layouts
    return Bills.build(given, items.keys(), name_of, older), {}


def _ceiling(item: Item) -> int | None:
    """Return how many of the item may wait to be built by its promise rule, None for any number."""
    return 0 if item.promise is Promise.FINISHED else item.buildable_max
