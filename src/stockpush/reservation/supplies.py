"""What an order takes once, written: claimed as long as it is open, and gone when it is sent.

What that is follows from the order's lines and the bills of what is sold (`per_order`).
"""

from __future__ import annotations

from collections.abc import Collection

from stockpush.model import MovementKind, Reservation, StockMovement
from stockpush.reservation import backflush
from stockpush.reservation.draft import Draft
from stockpush.reservation.per_order import PerOrder, claimed, most


def reclaim(
    draft: Draft, channel: str, before: Collection[Reservation], after: Collection[Reservation]
) -> None:
    """Have an order claim what its lines name now, and no longer what they named."""
    catalogue = draft.view.catalogue
    was, now = claimed(catalogue.per_order, before), claimed(catalogue.per_order, after)
    for supply in sorted(was.keys() | now.keys()):
        shelf = catalogue.shelf_on(channel, supply)
        draft.claim(shelf, now.get(supply, 0) - was.get(supply, 0))


def send(
    draft: Draft,
    before: Collection[Reservation],
    after: Collection[Reservation],
    moved: Collection[str],
) -> None:
    """Take the supplies that leave with an order, and take back those that have not left after all.

    `before` and `after` are all lines of one order; those whose id is in `moved` were sent now, or
    their sending was taken back now. What the others say is no news.
    """
    catalogue = draft.view.catalogue
    known = {row.key: row for row in before}
    old = [known.get(row.key) if row.key.line_id in moved else row for row in after]
    was = most(catalogue.per_order, (row for row in old if row is not None and row.sent))
    now = most(catalogue.per_order, (row for row in after if row.sent))
    for supply in sorted(was.keys() | now.keys()):
        units = now.get(supply, 0) - was.get(supply, 0)
        if units:
            first = min(row.key for row in after if row.key.line_id in moved)
            backflush.write(
                draft,
                StockMovement(
                    at=draft.at,
                    sku=supply,
                    quantity=-units,
                    kind=MovementKind.SALE if units > 0 else MovementKind.RETURN,
                    cause="order " + "/".join(first),
                    actor=first.channel,
                    reason="once for the order",
                ),
                pool=catalogue.fed_by(first.channel),
            )


def reckoned_anew(draft: Draft, after: PerOrder) -> None:
    """Have every order that was read claim what the bills say from now on (`after`)."""
    catalogue = draft.view.catalogue
    for (channel, _), lines in draft.view.orders.items():
        was, now = claimed(catalogue.per_order, lines), claimed(after, lines)
        for supply in sorted(was.keys() | now.keys()):
            shelf = catalogue.shelf_on(channel, supply)
            draft.claim(shelf, now.get(supply, 0) - was.get(supply, 0))
