"""Turn a WooCommerce order, with its refunds, into absolute facts about its lines.

Theory of operation. Three numbers of a line decide everything: q units ordered, r of them
refunded, and m, the line's `_reduced_stock` meta: what the shop has taken off its number for this
line and not put back (absent = 0). m is the channel's deduction in *every* status; the status
only decides where the other units stand (`FATES`). How many refunded units went back on sale is
told nowhere; it shows in m: restocked = min(max(q - m, 0), r).

| fate     | statuses                                  | open  | shipped       | written off   |
|----------|-------------------------------------------|-------|---------------|---------------|
| OPEN     | pending, processing, on-hold, unknown     | q - r | 0             | r - restocked |
| SHIPPED  | completed                                 | 0     | q - restocked | 0             |
| FILED    | trash if it had been completed            | 0     | m             | 0             |
| LOST     | refunded                                  | 0     | 0             | m             |
| RELEASED | cancelled, failed, trash, drafts          | 0     | 0             | 0             |

Why these: cancelling puts all of m back by itself, and failed and trash do not but nothing left
either, so both release the units. A refunded order may have shipped or not, which nobody tells:
what is not back on sale is gone either way. Throwing a completed order away is housekeeping and
brings nothing back, but it may have been cancelled in between, which put m back. A plugin's own
status is still demand; it is marked as unknown.

Instants. `placed_at` is the creation. `deducted_at` is the payment where nothing but the payment
can have moved stock (an order with demand and no refund), because later notes, labels and
completions also move the modification date; otherwise, and while there is no payment, it is the
modification. An edit of a paid order is thereby dated too early, which a reading mends.
Source: the platform's stock functions (when stock is reduced and restored), REST v3 orders and
order refunds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from stockpush.connectors.woocommerce.wire import (
    LineItem,
    Meta,
    Order,
    Refund,
    identity,
    instant,
    whole,
)
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderLineSeen, OrderSeen
from stockpush.model import OrderVersion

DRAFT_STATUSES = frozenset({"checkout-draft", "auto-draft"})
"""Statuses of a cart that is no order yet."""
OPEN_STATUSES = ("pending", "processing", "on-hold")
"""Statuses whose orders still have units to ship."""


class Fate(StrEnum):
    """Where the units of an order stand that were not put back on sale."""

    OPEN = "open"
    SHIPPED = "shipped"
    FILED = "filed"
    LOST = "lost"
    RELEASED = "released"


FATES: Mapping[str, Fate] = {
    "pending": Fate.OPEN,
    "processing": Fate.OPEN,
    "on-hold": Fate.OPEN,
    "completed": Fate.SHIPPED,
    "refunded": Fate.LOST,
    "cancelled": Fate.RELEASED,
    "failed": Fate.RELEASED,
    "trash": Fate.RELEASED,
    "checkout-draft": Fate.RELEASED,
    "auto-draft": Fate.RELEASED,
}


class Counts(NamedTuple):
    """Where the units of one line are, all >= 0."""

    open: int
    shipped: int
    written_off: int


def counts(fate: Fate, *, ordered: int, refunded: int, reduced: int) -> Counts:
    """Return where a line's units are (the module's table), all arguments >= 0.

    >>> counts(Fate.OPEN, ordered=5, refunded=2, reduced=5)  # refunded without restocking
    Counts(open=3, shipped=0, written_off=2)
    """
    refunded = min(refunded, ordered)
    restocked = min(max(ordered - reduced, 0), refunded)
    match fate:
        case Fate.OPEN:
            return Counts(ordered - refunded, 0, refunded - restocked)
        case Fate.SHIPPED:
            return Counts(0, ordered - restocked, 0)
        case Fate.FILED:
            return Counts(0, min(reduced, ordered), 0)
        case Fate.LOST:
            return Counts(0, 0, reduced)
        case Fate.RELEASED:
            return Counts(0, 0, 0)


def facts(channel: str, order: Order, refunds: Iterable[Refund], *, fetch: int) -> OrderSeen:
    """Return what an order says. `refunds` are the details of those it lists (others are newer
    than the order and ignored); `fetch` numbers the version, 0 for a webhook body.

    Raises `PayloadInvalid` naming the line and field.
    """
    listed = {refund.id for refund in order.refunds or ()}
    refunded = _refunded(refund for refund in refunds if refund.id in listed)
    fate = _fate(order)
    modified = instant(order.date_modified_gmt, "date_modified_gmt")
    lines = tuple(_line(item, fate, refunded.get(item.id, 0)) for item in order.line_items)
    if len({line.line_id for line in lines}) < len(lines):
        raise PayloadInvalid("Two lines of an order have one id.", field="line_items.id")
    return OrderSeen(
        channel=channel,
        order_id=str(order.id),
        version=OrderVersion(modified, fetch),
        placed_at=instant(order.date_created_gmt, "date_created_gmt"),
        deducted_at=_deducted_at(order, fate, modified),
        state=order.status,
        lines=lines,
        state_known=order.status in FATES,
    )


def order_key(product_id: int, variation_id: int) -> str:
    """Return the name of what was sold: "30", or "30:31" for variation 31 of product 30."""
    return f"{product_id}:{variation_id}" if variation_id else str(product_id)


def _fate(order: Order) -> Fate:
    if order.status == "trash" and order.date_completed_gmt:
        return Fate.FILED
    return FATES.get(order.status, Fate.OPEN)


def _deducted_at(order: Order, fate: Fate, modified: datetime) -> datetime:
    """Return when the newest deduction happened, as far as the order tells."""
    stood = fate in (Fate.OPEN, Fate.SHIPPED, Fate.FILED)
    if order.refunds or not stood or not order.date_paid_gmt:
        return modified
    return min(instant(order.date_paid_gmt, "date_paid_gmt"), modified)


def _line(item: LineItem, fate: Fate, refunded: int) -> OrderLineSeen:
    where = f"line_items[id={item.id}]"
    ordered = _not_negative(whole(item.quantity, f"{where}.quantity"), f"{where}.quantity")
    reduced = _reduced(item.meta_data, where)
    place = counts(fate, ordered=ordered, refunded=refunded, reduced=reduced)
    return OrderLineSeen(
        line_id=str(item.id),
        order_key=order_key(
            identity(item.product_id, f"{where}.product_id"),
            identity(item.variation_id, f"{where}.variation_id"),
        ),
        ordered=ordered,
        open=place.open,
        shipped=place.shipped,
        written_off=place.written_off,
        deducted=reduced,
        sku=item.sku if isinstance(item.sku, str) else "",
    )


def _reduced(meta_data: Iterable[Meta], where: str) -> int:
    """Return the line's `_reduced_stock`: what the shop has taken and not put back."""
    value = _meta(meta_data, "_reduced_stock")
    if value is None or value == "":
        return 0
    field = f"{where}.meta_data._reduced_stock"
    return _not_negative(whole(value, field), field)


def _refunded(refunds: Iterable[Refund]) -> dict[int, int]:
    """Return the refunded units by order line id; a refund's quantities are negative."""
    total: dict[int, int] = {}
    for refund in refunds:
        where = f"refunds[id={refund.id}]"
        for line in refund.line_items:
            units = abs(whole(line.quantity, f"{where}.quantity"))
            if units == 0:
                continue  # money only
            field = f"{where}._refunded_item_id"
            line_id = identity(_meta(line.meta_data, "_refunded_item_id"), field)
            if line_id == 0:
                raise PayloadInvalid(
                    f"Refund {refund.id} does not name the order line it refunds.", field=field
                )
            total[line_id] = total.get(line_id, 0) + units
    return total


def _meta(meta_data: Iterable[Meta], key: str) -> object:
    """Return the first value of `key`, as the platform reads its own meta; None if absent."""
    return next((meta.value for meta in meta_data if meta.key == key), None)


def _not_negative(number: int, field: str) -> int:
    if number < 0:
        raise PayloadInvalid(f"{field} is negative.", field=field, found=number, expected=">= 0")
    return number
