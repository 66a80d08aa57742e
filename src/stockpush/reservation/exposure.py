"""Exposure: what a listing may show, and the derivation of that number.

Theory of operation. A listing shows the whole ATP of its item, unless what is left is shared out
(`sharing`):

    offer  = clamp(floor((ATP - buffer) / pack), 0, cap)        in listing units
    target = min(what the field can hold, offer + undeducted)

`undeducted` are open units that the channel has not taken off its own number: they still stand on
the field although they are sold, so they are shown on top of the offer. `cap` is the listing's own
(`limits`), or what the field can hold if that is less.

A derivation is a sequence of (name, quantity) pairs. `item_terms` are in the item's smallest
units and sum to its ATP. `terms` are in listing units and sum to the target. Between the two, each
item term is stated in whole packs, its remainder dropped (towards zero), and what the remainders
come to together, rounded down to whole packs, is a term of its own, `part_of_a_pack`. So every
line is a count of packs that a person can check, no line depends on the order of the lines, and
the sum is exact. With a pack of 1 that term is always 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from stockpush.reservation import atp as netting
from stockpush.reservation.atp import Netting

Terms: TypeAlias = tuple[tuple[str, int], ...]
"""A derivation: named quantities of one unit that sum to the number derived."""


def offer(atp: int, *, buffer: int, pack: int, cap: int) -> int:
    """Return the quantity to show on a listing, in listing units, 0 <= offer <= cap.

    `atp` is signed, in the item's smallest unit; a negative ATP (oversold) offers 0. `buffer` >= 0
    is in the item's smallest unit, `pack` >= 1 of which make one listing unit; `cap` >= 0 is in
    listing units. Source: docs/glossary.md, Offer.

    >>> offer(7, buffer=1, pack=3, cap=999)
    2
    """
    _assert_policy(buffer=buffer, pack=pack, cap=cap)
    return min(cap, max(0, (atp - buffer) // pack))


def target(offer: int, undeducted: int, *, cap: int) -> int:
    """Return T, what the field is to show: all in listing units, all >= 0.

    A field holds `cap` at the most, so that sold units which still stand on it are not beyond that.

    >>> target(2, undeducted=1, cap=999), target(999, undeducted=1, cap=999)
    (3, 999)
    """
    assert undeducted >= 0, f"undeducted is {undeducted}"
    return min(cap, offer + undeducted)


def item_terms(net: Netting, sku: str, *, held: int, suspense: int) -> Terms:
    """Return the derivation of the item's ATP, in its smallest units.

    `held` is the part of the item's demand that open holds set aside, `suspense` what channels seem
    to have sold untold (each >= 0, together at most the demand); the rest of it is reserved. The
    terms, in order: `on_hand` (signed); `coming`, only where there is any, what becomes available
    by the item's horizon; `reserved`, `held`, `suspense` (<= 0); `used_in_builds`
    (<= 0), what builds of other items that have been sold still take; `to_build` (>= 0), what can
    be built to make up for demand there already is; `buildable` (>= 0), as in docs/glossary.md; of
    an item with a gate `per_order` (<= 0), what lacks a supply of orders.
    Before `to_build` stands, of an item that is a substitute, `substitutes` (<= 0): what bills
    take of it under the name that it shares; of that name it is what all of them have left (>= 0).

    >>> from stockpush.model import BillLine, BillOfMaterials
    >>> from stockpush.reservation.bom import Bills
    >>> bills = Bills.build([BillOfMaterials("tin", 1, (BillLine("wax", 90),))], {"tin", "wax"})
    >>> net = netting.net(bills, {"tin": 1, "wax": 500}, {"tin": 3, "wax": 0}, {"tin"})
    >>> dict(item_terms(net, "tin", held=1, suspense=1))  # doctest: +NORMALIZE_WHITESPACE
    {'on_hand': 1, 'reserved': -1, 'held': -1, 'suspense': -1, 'used_in_builds': 0, 'to_build': 2,
     'buildable': 3}
    """
    on_hand, demand, gross = (
        sum(of[name] for name in (sku, *net.bills.older.get(sku, ())))
        for of in (net.on_hand, net.demand, net.gross)
    )
    assert held >= 0, f"held is {held}"
    assert 0 <= suspense <= demand - held, f"suspense {suspense} is not part of demand {demand}"
    most, buildable, shared = netting.by_netting(net, sku), netting.buildable(net, sku), 0
    coming = net.times.coming.get(sku, 0)
    if sku in net.bills.name_of:
        shared = most - (on_hand - gross)
    elif sku in net.bills.substitutes:
        left = sum(netting.left(net, each) for each in net.bills.substitutes[sku])
        gross += left
        # Of what they have left some may come too late for the horizon of the name.
        shared = left if sku in net.blocked else most + gross
    is_shared = sku in net.bills.name_of or sku in net.bills.substitutes
    gated = [("per_order", netting.atp(net, sku) - most)] if sku in net.gates else []
    return (
        ("on_hand", on_hand - coming),
        *([("coming", coming)] if coming else []),
        ("reserved", held + suspense - demand),
        ("held", -held),
        ("suspense", -suspense),
        ("used_in_builds", demand - gross),
        *((("substitutes", shared),) if is_shared else ()),
        ("to_build", most - (on_hand - gross) - shared - buildable),
        ("buildable", buildable),
        *gated,
    )


def terms(
    item: Terms,
    *,
    buffer: int,
    pack: int,
    cap: int,
    undeducted: int,
    own_cap: int | None = None,
    share: tuple[str, int] | None = None,
) -> Terms:
    """Return the derivation of the target, in listing units.

    `item` are terms in the item's smallest units that sum to its ATP (`item_terms`); the other
    arguments are as for `offer` and `target`. After the item's terms stand `buffer` (<= 0),
    `part_of_a_pack` (either sign), `oversold` (>= 0: a number below none is shown as none), `cap`
    (<= 0: what the channel's cap hides) and `undeducted` (>= 0). The sum is
    `target(offer(...), undeducted, cap=cap)`. Where the listing has a cap of its own, a term
    `listing_cap` (<= 0: what that hides) stands after `oversold`, and the offer is that of the
    lesser cap. Where something is shared out, `share` names why and how much of it is the listing's
    (at most its offer): a term of that name (<= 0) stands before `cap`, and the sum is `target` of
    the share.

    >>> terms((("on_hand", 9), ("reserved", -2)), buffer=1, pack=3, cap=1, undeducted=1)
    ... # doctest: +NORMALIZE_WHITESPACE
    (('on_hand', 3), ('reserved', 0), ('buffer', 0), ('part_of_a_pack', -1), ('oversold', 0),
     ('cap', -2), ('undeducted', 1))
    >>> dict(terms((("on_hand", 9),), buffer=0, pack=1, cap=999, undeducted=1, own_cap=5))
    ... # doctest: +NORMALIZE_WHITESPACE
    {'on_hand': 9, 'buffer': 0, 'part_of_a_pack': 0, 'oversold': 0, 'listing_cap': -4, 'cap': 0,
     'undeducted': 1}
    """
    _assert_policy(buffer=buffer, pack=pack, cap=cap)
    counted = (*item, ("buffer", -buffer))
    packs = tuple((name, _whole_packs(quantity, pack)) for name, quantity in counted)
    left = _total(counted) // pack
    whole = max(0, left)
    capped = whole if own_cap is None else min(own_cap, whole)
    name, part = share or ("", capped)
    assert 0 <= part <= capped, f"a share of {part} in {capped}"
    return (
        *packs,
        ("part_of_a_pack", left - _total(packs)),
        ("oversold", max(0, -left)),
        *([] if own_cap is None else [("listing_cap", capped - whole)]),
        *([(name, part - capped)] if share else []),
        ("cap", target(min(cap, part), undeducted, cap=cap) - part - undeducted),
        ("undeducted", undeducted),
    )


def _whole_packs(quantity: int, pack: int) -> int:
    """Return how many whole packs a signed quantity is, its remainder dropped."""
    return quantity // pack if quantity >= 0 else -(-quantity // pack)


def _total(terms: Sequence[tuple[str, int]]) -> int:
    return sum(quantity for _, quantity in terms)


def _assert_policy(*, buffer: int, pack: int, cap: int) -> None:
    """Stop on a policy that the catalogue and the settings should have refused."""
    assert buffer >= 0, f"buffer is {buffer}"
    assert pack >= 1, f"pack is {pack}"
    assert cap >= 0, f"cap is {cap}"
