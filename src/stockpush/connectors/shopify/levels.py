"""Which field each listing goes by, and what the fields hold now.

Theory of operation. A listing is a variant; its number stands at the variant's inventory item, at
our location. What makes that number useless to us (not tracked, sells below zero, a bundle, not
stocked here, gone) is a problem for a person, told in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from stockpush.connectors.base import Api, Reading, Readings
from stockpush.connectors.payload import Quantity
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid, number_of
from stockpush.connectors.shopify.operations import LEVELS, LISTINGS
from stockpush.errors import CatalogueInvalid, PayloadInvalid
from stockpush.messages import ListingResolved
from stockpush.model import FieldKey, Listing

RESOLVE_MAX = 50
"""Listings per request: each costs several points."""

GONE = "Shopify no longer has it: map the listing to another variant, or remove it."
NOT_TRACKED = "Shopify does not track its quantity: turn on “Track quantity” for the variant."
NOT_STOCKED = (
    "It is not stocked at the configured location: stock it there in Shopify, or let it be stocked "
    "from here with activate = true under the channel."
)
CONTINUES = (
    "Shopify goes on selling it when it is out of stock: turn off “Continue selling when out of "
    "stock” for the variant."
)
BUNDLE = "It is a bundle, whose quantity Shopify computes itself: map its components instead."
SHARED = "Its inventory item serves several variants: name the variant_id of one listing each."
NO_VARIANT = "Its inventory item belongs to no variant."
OTHER_ITEM = "Its variant_id and its inventory_item_id do not belong together."
NO_LOCATION = "The configured location does not exist or is not active: correct `location`."

T = TypeVar("T")


class _Stocked(msgspec.Struct, rename="camel"):
    is_active: bool


class _Item(msgspec.Struct, rename="camel"):
    id: str
    tracked: bool
    inventory_level: _Stocked | None = None


class _Variant(msgspec.Struct, rename="camel"):
    id: str
    inventory_policy: str
    requires_components: bool
    inventory_item: _Item


class _Variants(msgspec.Struct):
    nodes: list[_Variant]


class _Node(msgspec.Struct, rename="camel"):
    """A variant, an inventory item, or something else of which only the type is known."""

    typename: str = msgspec.field(name="__typename")
    id: str = ""
    inventory_policy: str = ""
    requires_components: bool = False
    inventory_item: _Item | None = None
    variants: _Variants | None = None

    def told(self) -> list[_Variant]:
        """Return the variants that this node is or serves."""
        if self.inventory_item is not None:
            return [
                _Variant(
                    self.id, self.inventory_policy, self.requires_components, self.inventory_item
                )
            ]
        return self.variants.nodes if self.variants is not None else []


class _Listings(msgspec.Struct):
    location: _Stocked | None
    nodes: list[_Node | None]


class _Quantity(msgspec.Struct):
    name: str
    quantity: Quantity


class _Level(msgspec.Struct, rename="camel"):
    is_active: bool
    quantities: list[_Quantity]


class _ItemAtLocation(msgspec.Struct, rename="camel"):
    id: str
    tracked: bool
    inventory_level: _Level | None = None


class VariantAtLocation(msgspec.Struct, rename="camel"):
    """A variant with its number, as a bulk query tells it."""

    inventory_policy: str
    requires_components: bool
    inventory_item: _ItemAtLocation


class _LevelOfItem(msgspec.Struct, rename="camel"):
    tracked: bool | None = None
    inventory_level: _Level | None = None


class _Levels(msgspec.Struct):
    nodes: list[_LevelOfItem | None]


def ref_key(given: Mapping[str, Any]) -> str:
    """Return the canonical key of a reference: `variant/N`, or `item/N` where no variant is named.

    Raises `CatalogueInvalid` naming the field.

    >>> ref_key({"variant_id": "gid://shopify/ProductVariant/7"})
    'variant/7'
    """
    for name in given:
        if name not in {"variant_id", "inventory_item_id"}:
            raise CatalogueInvalid(
                f"A Shopify listing reference has no field {name!r}.",
                field=name,
                expected="variant_id or inventory_item_id",
            )
    variant, item = _ref(given)
    if variant is not None:
        return f"variant/{variant}"
    if item is not None:
        return f"item/{item}"
    raise CatalogueInvalid(
        "A Shopify listing reference names nothing.",
        field="variant_id",
        expected="variant_id or inventory_item_id",
    )


def _ref(given: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return (variant, inventory item) as named by a reference."""
    return (
        _ref_number(given, "variant_id", "ProductVariant"),
        _ref_number(given, "inventory_item_id", "InventoryItem"),
    )


def _ref_number(given: Mapping[str, Any], name: str, kind: str) -> int | None:
    if name not in given:
        return None
    number = number_of(kind, given[name])
    if number is None:
        raise CatalogueInvalid(
            f"The field {name} is not a Shopify id.",
            field=name,
            found=given[name],
            expected=f"{gid(kind, 'N')}, or the number N",
        )
    return number


async def resolve(
    api: Api, listings: Sequence[Listing], *, location: int
) -> tuple[ListingResolved, ...]:
    """Return each listing's order key (variant) and field key (inventory item), or the problem."""
    resolved: list[ListingResolved] = []
    for start in range(0, len(listings), RESOLVE_MAX):
        resolved += await _resolve(api, listings[start : start + RESOLVE_MAX], location)
    return tuple(resolved)


async def _resolve(api: Api, listings: Sequence[Listing], location: int) -> list[ListingResolved]:
    asked = [_ref(listing.ref) for listing in listings]
    ids = [
        gid("ProductVariant", variant) if variant is not None else gid("InventoryItem", item or 0)
        for variant, item in asked
    ]
    variables = {"ids": ids, "location": gid("Location", location)}
    data, _ = await call(api, LISTINGS, variables, _Listings)
    if data.location is None or not data.location.is_active:
        return [ListingResolved(listing.key, None, None, NO_LOCATION) for listing in listings]
    nodes = _one_each(data.nodes, len(ids))
    return [
        _resolved(listing, node, item)
        for listing, node, (_, item) in zip(listings, nodes, asked, strict=True)
    ]


def _resolved(listing: Listing, node: _Node | None, item: int | None) -> ListingResolved:
    if node is None:
        return ListingResolved(listing.key, None, None, GONE)
    told = node.told()
    if len(told) != 1:
        return ListingResolved(listing.key, None, None, SHARED if told else NO_VARIANT)
    variant = told[0]
    order_key = number_of("ProductVariant", variant.id)
    field_key = number_of("InventoryItem", variant.inventory_item.id)
    if order_key is None or field_key is None:
        return ListingResolved(listing.key, None, None, GONE)
    return ListingResolved(
        listing.key, str(order_key), str(field_key), _problem(variant, field_key, item)
    )


def _problem(variant: _Variant, field_key: int, item: int | None) -> str | None:
    if item is not None and item != field_key:
        return OTHER_ITEM
    return _unwritable(variant)


def _unwritable(variant: _Variant | VariantAtLocation) -> str | None:
    """Return what makes a variant's number at our location useless, None if nothing does."""
    level = variant.inventory_item.inventory_level
    if variant.requires_components:
        return BUNDLE
    if not variant.inventory_item.tracked:
        return NOT_TRACKED
    if variant.inventory_policy != "DENY":
        return CONTINUES
    if level is None or not level.is_active:
        return NOT_STOCKED
    return None


def number_at_location(field: FieldKey, variant: VariantAtLocation) -> Reading:
    """Return the number that a variant's field holds, or the problem that a person must mend."""
    problem, level = _unwritable(variant), variant.inventory_item.inventory_level
    if problem is not None or level is None:
        return Reading(field, None, problem)
    return _available(field, level)


async def observe(api: Api, fields: Sequence[FieldKey], *, location: int) -> Readings:
    """Read `available` of each field at our location: one request, one reading per field."""
    if not fields:
        return Readings((), None)
    ids = [gid("InventoryItem", field.key) for field in fields]
    variables = {"ids": ids, "location": gid("Location", location)}
    data, answer = await call(api, LEVELS, variables, _Levels)
    nodes = _one_each(data.nodes, len(ids))
    readings = tuple(_reading(field, node) for field, node in zip(fields, nodes, strict=True))
    return Readings(readings, answer.date)


def _one_each(nodes: list[T], asked: int) -> list[T]:
    """Return `nodes` if there is one for each id that was asked for, in order."""
    if len(nodes) != asked:
        raise PayloadInvalid(
            "Shopify answered another number of nodes than was asked for.",
            field="$.nodes",
            found=len(nodes),
            expected=str(asked),
        )
    return nodes


def _reading(field: FieldKey, node: _LevelOfItem | None) -> Reading:
    if node is None or node.tracked is None:
        return Reading(field, None, GONE)
    if not node.tracked:
        return Reading(field, None, NOT_TRACKED)
    level = node.inventory_level
    if level is None or not level.is_active:
        return Reading(field, None, NOT_STOCKED)
    return _available(field, level)


def _available(field: FieldKey, level: _Level) -> Reading:
    for quantity in level.quantities:
        if quantity.name == "available":
            return Reading(field, quantity.quantity)
    return Reading(field, None, NOT_STOCKED)
