"""How far a change reaches in a large group: whose ATP, and which listings' offers, it changes.

Theory of operation. A group of items that share materials may be a whole workshop, and a sale must
not read all of it. What bears on an item is what it is made from, and what else takes of that:
items of which more is demanded than is there, for the others have nothing built. So a transaction
reads the items it is about, what they are made from, and every item that is short with what *that*
is made from (`decide.widen`), and nets those alone (`View.net`).

Afterwards the netting before and the netting after are compared. Where gross, net, built or being
covered differ an item has changed, besides those whose stock or demand was written. The ATP of an
item can only differ if it is made from a changed one, at any depth: its *where-used*. A candle
that is sold from the shelf changes itself alone. One that has to be made takes wax, and reaches
every item with wax in it; but only listings whose *offer* differs, after buffer, pack and cap, are
looked at and perhaps marked.
"""

from __future__ import annotations

from collections.abc import Iterable

from stockpush.model import FieldKey
from stockpush.reservation import atp as netting
from stockpush.reservation.atp import Netting
from stockpush.reservation.exposure import offer
from stockpush.reservation.pushes import buffer_of
from stockpush.reservation.view import View


def items(before: View, after: View, touched: Iterable[str]) -> frozenset[str]:
    """Return the items whose ATP may have changed with the stock or demand of `touched`."""
    concerned = sorted(sku for sku in touched if sku in after.catalogue.items)
    was, now = before.net(concerned), after.net(concerned)
    changed = {
        sku
        for sku in was.gross.keys() | now.gross.keys()
        if _standing(before, was, sku) != _standing(after, now, sku)
    }
    reached = after.catalogue.bills.where_used(changed.union(concerned))
    return reached & after.catalogue.items.keys()


def shelves(before: View, after: View, skus: Iterable[str]) -> frozenset[str]:
    """Return the items whose shelves are still to be read to net `skus` before and after."""
    assert after.rows.partial is not None
    there = {sku for sku in skus if sku in after.catalogue.items}
    wanted = after.catalogue.bills.cones({*there, *before.short(), *after.short()})
    return (frozenset(wanted) & after.catalogue.items.keys()) - after.rows.partial


def fields(before: View, after: View, reached: Iterable[str]) -> frozenset[FieldKey]:
    """Return the fields whose offer differs, of the items reached; their shelves have been read."""
    skus = sorted(reached)
    was = netting.atp_all(before.net(skus), skus)
    now = netting.atp_all(after.net(skus), skus)
    return frozenset(
        key
        for sku in skus
        if was[sku] != now[sku]
        for key in after.catalogue.fields_of.get(sku, ())
        if _offer(after, key, sku, was[sku]) != _offer(after, key, sku, now[sku])
    )


def _standing(view: View, net: Netting, sku: str) -> tuple[int, int, int, bool]:
    """Return gross, net, built and whether it is blocked; of an item not netted, which is none."""
    if sku not in net.gross:
        return view.part_demand(sku), 0, 0, False
    return net.gross[sku], net.net[sku], net.built[sku], sku in net.blocked


def _offer(view: View, key: FieldKey, sku: str, atp: int) -> int | None:
    """Return what a field would be offered; None where its channel is not configured."""
    policy = view.catalogue.policies.get(key.channel)
    if policy is None:
        return None
    pack = view.catalogue.listings_on[key][0].pack
    return offer(atp, buffer=buffer_of(view, sku, policy), pack=pack, cap=policy.cap)
