"""Horizons of listings: what can be promised on one that says another than its item.

Theory of operation. An item has one horizon, or none: how soon what is promised of it has to be
there. A listing may say its own, and is then offered what could be promised if that were its item's
(`atp.looking`): of the item alone, for what it is made from keeps its own. So the items of a
catalogue have one ATP, and one more for each other horizon that is said of them. Where no listing
says any, nothing of this is asked.

Listings that share a number have one: what all their horizons let be promised. Demand that there is
is netted by the item's horizon wherever another item is concerned, and so are holds and what is
told of an item as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from stockpush.model import FieldKey, sku_of
from stockpush.reservation import atp as netting
from stockpush.reservation.atp import Ahead, Netting
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.view import View

Promised: TypeAlias = Mapping[int | None, int]
"""The ATP of a shelf by each horizon that its listings have; empty where none says its own."""
NOTHING_SAID: Promised = MappingProxyType({})


def on_field(catalogue: Catalogue, key: FieldKey) -> frozenset[int | None]:
    """Return the horizons of the listings on a mapped field, in seconds; None: nobody asks."""
    listings = catalogue.listings_on[key]
    sku = listings[0].sku
    own = catalogue.items[sku].horizon_s
    return frozenset(
        own if each.horizon_s is None else each.horizon_s for each in listings if each.sku == sku
    )


def of_shelf(catalogue: Catalogue, shelf: str, *, written: bool = False) -> frozenset[int | None]:
    """Return the horizons of the listings that show a shelf, or only of those where it is
    `written`; none where no listing says its own.
    """
    sku = sku_of(shelf)
    if sku not in catalogue.listed_horizons:
        return frozenset()
    found = frozenset[int | None]().union(
        *(
            on_field(catalogue, key)
            for key in catalogue.fields_of.get(shelf, ())
            if catalogue.sku_of(key) == sku and (not written or catalogue.is_written(key))
        )
    )
    return frozenset() if found <= {catalogue.items[sku].horizon_s} else found


def promised(view: View, net: Netting, shelf: str) -> Promised:
    """Return the ATP of a netted shelf by each horizon of its listings."""
    if not view.catalogue.listed_horizons:
        return NOTHING_SAID
    return {
        each: netting.atp(view.looking(net, shelf, each), shelf)
        for each in of_shelf(view.catalogue, shelf)
    }


def atp_on(catalogue: Catalogue, key: FieldKey, *, atp: int, by: Promised) -> int:
    """Return the ATP by which a mapped field is offered; `atp` is its item's own.

    A field that a person has to part, with listings of several items, may be asked for with `by` of
    either.
    """
    return min((by[each] for each in on_field(catalogue, key) if each in by), default=atp)


def least(catalogue: Catalogue, shelf: str, atp: int, by: Promised) -> int:
    """Return the least ATP by which a shelf is offered where it is written."""
    if not by:
        return atp
    return min(
        (
            atp_on(catalogue, key, atp=atp, by=by)
            for key in catalogue.fields_of.get(shelf, ())
            if catalogue.is_written(key)
        ),
        default=atp,
    )


def looked_at(view: View, net: Netting, shelf: str, key: FieldKey) -> Netting:
    """Return the netting of a shelf by which a mapped field that shows it is offered."""
    if not of_shelf(view.catalogue, shelf):
        return net
    said = sorted(on_field(view.catalogue, key), key=lambda each: (each is None, each))
    nets = (view.looking(net, shelf, each) for each in said)
    return min(nets, key=lambda each: netting.atp(each, shelf))


def shortest(view: View, shelves: Iterable[str]) -> dict[str, Ahead]:
    """Return how far ahead one looks on each shelf by the least horizon of the listings where it is
    written: what is promised by that is in time for all of them. Shelves of which none of these
    says its own are left out.

    Where something is made of it the item's own is among them: nobody is promised that by another.
    """
    found, catalogue = {}, view.catalogue
    for shelf in shelves:
        said = of_shelf(catalogue, shelf, written=True)
        if not said:
            continue
        if catalogue.netted.parents(shelf):
            said |= {catalogue.horizons.get(shelf)}
        first = min(each for each in said if each is not None)
        # Who asks nothing is promised no lot before its first day.
        coming = 0 if None in said else view.ahead(shelf, first).coming
        found[shelf] = Ahead(first, coming)
    return found
