"""Substitutes: which of several items a build takes, where its bill names what they share.

Theory of operation. A bill may name an item of which nothing is stocked: the name that substitutes
share. What a build takes under it is taken of them, and the ledger says which. Unless somebody says
so, each gives by SKU what its own demand leaves, so that no promise changes; then what is on hand
of it; and what nobody has, the first one owes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stockpush.messages import Refused
from stockpush.model import sku_of
from stockpush.reservation import atp as netting
from stockpush.reservation.bom import Bills
from stockpush.reservation.view import View


def spread(
    units: int, among: Sequence[str], *, left: Mapping[str, int], on_hand: Mapping[str, int]
) -> dict[str, int]:
    """Return how many of `units` (>= 0) are taken of each item of `among` (one at least), in order.

    First what is `left` (>= 0) of each, then what is `on_hand` (signed) of it beyond that, and the
    rest of the first. Those of which none is taken are left out.

    >>> there = {"cotton": 4, "hemp": 5}
    >>> spread(3, ["cotton", "hemp"], left={"cotton": 2, "hemp": 1}, on_hand=there)
    {'cotton': 2, 'hemp': 1}
    >>> spread(12, ["cotton", "hemp"], left={"cotton": 2, "hemp": 1}, on_hand=there)
    {'cotton': 7, 'hemp': 5}
    """
    taken = dict.fromkeys(among, 0)
    for there in (left, on_hand):
        for sku in among:
            more = min(units, max(0, there[sku] - taken[sku]))
            taken[sku] += more
            units -= more
    taken[among[0]] += units
    return {sku: taken[sku] for sku in among if taken[sku]}


def choose(view: View, name: str, units: int, first: Sequence[str] = ()) -> dict[str, int]:
    """Return what a build takes of each substitute, by SKU, for `units` of the name that they share
    in the pool of the shelf `name`.

    `view` has already what the build takes besides, and what it makes. `first`: only of these.
    """
    members = view.catalogue.netted.substitutes[name]
    by_sku = {sku_of(shelf): shelf for shelf in members}
    among = [sku for sku in first if sku in by_sku] or list(by_sku)
    net = view.net([name])
    return spread(
        units,
        among,
        left={sku: netting.left_now(net, by_sku[sku]) for sku in among},
        on_hand={sku: view.shelf(by_sku[sku]).on_hand for sku in among},
    )


def refused(bills: Bills, sku: str) -> Refused | None:
    """Return why nothing can be done to the stock of an item: it is the name of substitutes."""
    members = bills.substitutes.get(sku)
    if members is None:
        return None
    return Refused(
        "has_substitutes",
        f"nothing is stocked of {sku} itself: it stands for {' or '.join(members)}",
        {"sku": sku, "expected": list(members)},
    )
