"""Exposure as a figure: how much would be sold too much if every listing sold out at once.

Theory of operation. Each listing can still sell what it shows, whatever the others do, and what it
sells may be made of what the others sell: ten candles and ten balms that are shown of ten units of
wax are ten too many, though neither alone is. So everything that is shown in a group is put on
together, as demand besides the demand that is known, and the group is netted once. A unit in
suspense is still on sale or has been sold, never both: it counts with what is shown.

Of an item, what is sold too much is what its listings show beyond what could be promised of it
were all the others sold out. So promise rules, horizons and supplies of orders bound it as they
bound the ATP. Where its listings have different horizons that is asked of each: of what is there by
it, and what is shown by it or a shorter one; what the others have sold counts by their items'
horizons, as orders do. As negative ATPs are, the figures of items that share
a material are not additive: in the example it is ten candles or ten balms, and not both.
"""

from __future__ import annotations

from collections.abc import Iterable

from stockpush.model import FieldKey, sku_of
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons
from stockpush.reservation.atp import Netting
from stockpush.reservation.expectation import standing_on
from stockpush.reservation.view import View


def shown(view: View, shelf: str) -> int:
    """Return what the listings that show a shelf can still sell, smallest units, >= 0.

    A write under way counts if it raises the number; open units that the channel keeps for their
    buyers do not.
    """
    return sum(_shown_on(view, key) for key in view.catalogue.fields_of.get(shelf, ()))


def _shown_on(view: View, key: FieldKey) -> int:
    """Return what a field can still sell, smallest units, >= 0."""
    row, policy = view.field(key), view.catalogue.policies.get(key.channel)
    if row is None:
        return 0
    number = row.expected or 0
    flying = view.rows.in_flight.get(key)
    if flying is not None:
        number = max(number, flying.target)
    standing = 0 if policy is None else standing_on(row, policy)
    return row.pack * max(0, number + row.hold - standing)


def net(view: View, shelves: Iterable[str]) -> Netting:
    """Net the groups of `shelves`, which were read whole, as they are once all has sold out."""
    group = view.catalogue.group(shelves)
    return view.net_more(
        group, {shelf: shown(view, shelf) - view.suspense(shelf) for shelf in group}
    )


def too_much(view: View, sold_out: Netting, shelf: str) -> int:
    """Return how many units of a shelf (smallest, >= 0) would be sold beyond what there is.

    `sold_out` is the `net` of its group.
    """
    units = shown(view, shelf)
    if not units:
        return 0
    without = netting.without(sold_out, shelf, units)
    by = horizons.promised(view, without, shelf)
    if not by:
        left = netting.atp(without, shelf)
        return units - min(units, max(0, left))
    # Of what is there by a horizon those with a shorter one sell, too.
    catalogue = view.catalogue
    on_sale = [
        (horizons.atp_on(catalogue, key, atp=0, by=by), _shown_on(view, key))
        for key in catalogue.fields_of[shelf]
        if catalogue.sku_of(key) == sku_of(shelf)
    ]
    return max(
        max(0, sum(units for there, units in on_sale if there <= left) - max(0, left))
        for left, _ in on_sale
    )
