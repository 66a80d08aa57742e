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
every item with wax in it; but only listings whose *offer* differs, after buffer, pack, cap and what
is shared out, are looked at and perhaps marked.
"""

from __future__ import annotations

from collections.abc import Iterable

from stockpush.messages import Decision
from stockpush.model import FieldKey
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons, plainly, sharing
from stockpush.reservation.atp import Netting
from stockpush.reservation.horizons import NOTHING_SAID, Promised
from stockpush.reservation.pushes import Reached
from stockpush.reservation.view import View


def items(before: View, after: View, touched: Iterable[str]) -> frozenset[str]:
    """Return the items whose ATP may have changed with the stock or demand of `touched`."""
    concerned = sorted(
        sku for sku in touched if after.catalogue.knows(sku) and not after.catalogue.is_split(sku)
    )
    was, now = before.net(concerned), after.net(concerned)
    changed = {
        sku
        for sku in was.gross.keys() | now.gross.keys()
        if _standing(before, was, sku) != _standing(after, now, sku)
    }
    changed |= {
        supply
        for supply in was.room.keys() | now.room.keys()
        if was.room.get(supply) != now.room.get(supply)
    }
    changed.update(concerned)
    # Of one substitute there may be as much less as of another more, and what comes be there now.
    netted = after.catalogue.netted
    changed.update([name for sku in changed if (name := netted.name_of.get(sku)) is not None])
    reached = netted.where_used(changed)
    return frozenset(after.catalogue.shelves_among(reached))


def part(before: View, after: View, skus: Iterable[str]) -> tuple[str, ...]:
    """Return what is netted for `skus` before and after, in low-level order: they, and all that is
    short, with what these are made from.
    """
    return after.catalogue.netted.cones({*skus, *before.short(), *after.short()})


def shelves(after: View, order: tuple[str, ...]) -> frozenset[str]:
    """Return those of a `part` whose shelves are still to be read."""
    assert after.rows.partial is not None
    return frozenset(after.catalogue.shelves_among(order)) - after.rows.partial


def reached(before: View, after: View, skus: Iterable[str], order: tuple[str, ...]) -> Reached:
    """Return what differs of the items reached; the shelves of their part have been read."""
    catalogue, wanted = after.catalogue, sorted(skus)
    # Only an import changes it, and with what one reads no group is read in part.
    assert before.catalogue.netted is catalogue.netted, "the bills have changed"
    made = netting.bills_among(catalogue.netted, order)
    nets = before.net_order(order, made), after.net_order(order, made)
    was, now = (netting.atp_all(net, wanted) for net in nets)
    before = View(catalogue, before.rows, before.orders)  # a field may just have come
    listed = wanted if catalogue.listed_horizons else ()
    was_by, now_by = (
        {sku: horizons.promised(view, net, sku) for sku in listed}
        for view, net in zip((before, after), nets, strict=True)
    )
    keys: set[FieldKey] = set()
    looked_at: dict[str, int] = {}
    for sku in wanted:
        if was[sku] == now[sku] and was_by.get(sku) == now_by.get(sku):
            continue
        plain = plainly.of(catalogue, sku)
        if plain is None or not all(
            plain.tells(view.shelf(sku), was[sku], now[sku]) for view in (before, after)
        ):
            looked_at[sku] = now[sku]
        elif differing := plain.differing(was[sku], now[sku]):
            if differing == len(plain.offerings):
                keys.update(
                    key for key in catalogue.fields_of[sku] if key.channel in catalogue.policies
                )
            else:
                looked_at[sku] = now[sku]
    shown = {sku: atp for sku, atp in looked_at.items() if sku in catalogue.fields_of}
    turned = sharing.turned(
        after,
        {
            sku: horizons.least(catalogue, sku, atp, now_by.get(sku, NOTHING_SAID))
            for sku, atp in shown.items()
        },
    )
    if turned:
        after = after.after(Decision(shelves=turned))
    keys.update(
        key
        for sku in shown
        for key in catalogue.fields_of[sku]
        if _offer(before, key, was[sku], was_by.get(sku, NOTHING_SAID))
        != _offer(after, key, now[sku], now_by.get(sku, NOTHING_SAID))
    )
    return Reached(frozenset(keys), turned, now, now_by)


def _standing(view: View, net: Netting, sku: str) -> tuple[int, int, int, bool]:
    """Return gross, net, built and whether it is blocked; of an item not netted, which is none."""
    if sku not in net.gross:
        return view.part_demand(sku), 0, 0, False
    return net.gross[sku], net.net[sku], net.built[sku], sku in net.blocked


def _offer(view: View, key: FieldKey, atp: int, by: Promised = NOTHING_SAID) -> int | None:
    """Return what a field would be offered; None where its channel is not configured."""
    policy = view.catalogue.policies.get(key.channel)
    if policy is None:
        return None
    return sharing.shown(view, key, atp=atp, policy=policy, by=by).offer
