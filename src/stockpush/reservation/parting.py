"""Which listings part what there is, and what each of them may sell: `split` over the rows.

Theory of operation. One item that is `split` makes all that share a material with it split as well,
for what another listing shows could be made of the same wax. Of such a group everything is read
whole, also of a large one. Groups are of shelves, so what lies in a pool is parted among the
listings that the pool feeds, and each pool is parted by itself.

Listings take part that are ours: live and adopted. One that a person must mend first, or that has
not been read since it became ours, keeps what it shows. While a number of the group is not known,
or the orders behind it have not been read, nothing is raised: something may have been sold that
nobody has counted. Any other listing shows what nobody has been allotted, and is allotted nothing.

Where the listings of a shelf have different horizons, what is there by the shortest is parted: that
is in time for whoever buys it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from stockpush.model import ChannelPolicy, Field, FieldKey, Mode
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons, split
from stockpush.reservation.expectation import orders_read_since, standing_on
from stockpush.reservation.limits import Limits, limits_of
from stockpush.reservation.split import Share
from stockpush.reservation.view import View


class Parted(NamedTuple):
    """What the listings of a group may sell from now on, each in its own units.

    `spare` nets the demand that is known with all that is allotted. `is_known` is False while
    nothing may be raised.
    """

    offers: Mapping[FieldKey, int]
    spare: netting.Netting
    is_known: bool


class OnSale(NamedTuple):
    """Units (> 0, smallest units of its shelf) that a listing may sell whatever is under way."""

    field: FieldKey
    shelf: str
    units: int


def offered(view: View, key: FieldKey, *, shelf: str, pack: int, limits: Limits) -> int:
    """Return what a mapped field of a shelf that is split should sell from now on, its units."""
    parted = _parted(view, shelf)
    if key in parted.offers:
        return parted.offers[key]
    spare = max(0, netting.atp(parted.spare, shelf) - limits.buffer)
    return min(limits.most, spare // pack)


def may_raise(view: View, field: Field) -> bool:
    """Answer whether the numbers that a field's is parted with are all known, and what was sold.

    Where nothing is parted there is nothing to know.
    """
    shelf = view.catalogue.shelf_on(field.key.channel, field.sku)
    return not view.catalogue.is_split(shelf) or _parted(view, shelf).is_known


def spare(view: View, shelf: str) -> netting.Netting:
    """Net the group of a shelf that is split as if all were sold that its listings may sell."""
    key = ("spare", view.catalogue.leader(shelf))
    known = view.memory.get(key)
    if not isinstance(known, netting.Netting):
        group = view.catalogue.group([shelf])
        shares, _ = _ours(view, group)
        known = view.memory[key] = _spare(view, group, shares)
    return known


def on_sale(view: View, shelf: str) -> tuple[OnSale, ...]:
    """Return what listings may sell that takes of what a shelf that is split is made of, by key."""
    netted = view.catalogue.netted
    taken = set(netted.cones([shelf]))
    shares, _ = _ours(view, view.catalogue.group([shelf]))
    return tuple(
        OnSale(share.key, share.shelf, share.allotted * share.pack)
        for share in shares
        if share.allotted and not taken.isdisjoint(netted.cones([share.shelf]))
    )


def _parted(view: View, shelf: str) -> Parted:
    """Return how the shelf's group is parted, found once for a view."""
    leader = view.catalogue.leader(shelf)
    key = ("parted", leader)
    known = view.memory.get(key)
    if not isinstance(known, Parted):
        known = view.memory[key] = _part(view, view.catalogue.group([leader]))
    return known


def _part(view: View, shelves: Collection[str]) -> Parted:
    """Part what there is among the listings of a group's shelves."""
    group = view.catalogue.group(shelves)
    shares, is_known = _ours(view, group)
    ahead = horizons.shortest(view, group)
    aims = split.aims(shares, lambda units: view.net_more(group, units, ahead))
    spare = _spare(view, group, shares)
    return Parted(
        {
            share.key: split.wanted(share, aims[share.key], split.reach(share, spare))
            for share in shares
            if not share.is_fixed
        },
        spare,
        is_known,
    )


def _ours(view: View, group: Collection[str]) -> tuple[list[Share], bool]:
    """Return the shares of a group's listings that are ours, by key, and whether all are known."""
    shares: list[Share] = []
    is_known = True
    for key in sorted(view.catalogue.fields_showing(group)):
        field, policy = view.field(key), view.catalogue.policies.get(key.channel)
        if field is None or policy is None or view.catalogue.sku_of(key) != field.sku:
            continue
        if not field.adopted or policy.mode is not Mode.LIVE:
            continue
        shares.append(_share(view, field, policy))
        polled = view.channel(key.channel).polled_begun_at
        if field.parked_reason is None and not orders_read_since(field, polled, policy):
            is_known = False
    return shares, is_known


def _spare(view: View, group: frozenset[str], shares: Iterable[Share]) -> netting.Netting:
    """Net the demand that is known with all that is allotted."""
    allotted = split.allotted(shares)
    return view.net_more(
        group,
        {shelf: allotted.get(shelf, 0) - view.suspense(shelf) for shelf in group},
        horizons.shortest(view, group),
    )


def _share(view: View, field: Field, policy: ChannelPolicy) -> Share:
    """Return the share of a field that is ours."""
    catalogue = view.catalogue
    shelf = catalogue.shelf_on(field.key.channel, field.sku)
    listings = catalogue.listings_on[field.key]
    limits = limits_of(catalogue, listings, field.sku, policy)
    return split.share_of(
        field,
        shelf,
        view.rows.in_flight.get(field.key),
        stands=standing_on(field, policy),
        policy=policy,
        weight=max(listing.weight for listing in listings),
        is_home=field.key.channel == catalogue.home_channel(shelf),
        buffer=limits.buffer,
        cap=limits.most,
        is_fixed=field.parked_reason is not None
        or field.expected is None
        or field.first_observed_at is None,
    )
