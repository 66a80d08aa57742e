"""Turn an Etsy receipt into absolute facts about its lines.

Theory of operation. A receipt has one line (transaction) for each listing bought, each with a
quantity q that never changes; what happens to it is said of the receipt as a whole. Etsy takes q
off its number when the buyer has paid. Whether it puts q back when a receipt is cancelled or
refunded is told nowhere, so from then on the deduction is unknown (None) and the field is read.

| fate   | statuses                                 | open | shipped      | deducted          |
|--------|------------------------------------------|------|--------------|-------------------|
| STANDS | open, payment processing, paid,          | q    | 0            | q if paid, else 0 |
|        | partially refunded, unknown              |      |              |                   |
| SENT   | completed, and any of those once shipped | 0    | q            | q                 |
| ENDED  | canceled, fully refunded                 | 0    | q if shipped | None              |

Nothing is ever written off: a refund names no line, only an amount, so a partial refund may be
money only, and what was refunded as a whole before it was shipped has not left the shelf. Words are
compared in lower case; one that is not in the table still stands and is marked as unknown. A
digital line takes nothing from a shelf and is left out.

A line is named by the field that it was taken off (reading.Shape). Where Etsy no longer has the
listing, and it had variations, nobody can say which field that was: the name is left empty, and a
line that is known already keeps its own.

Instants. `placed_at` is the creation. `deducted_at` is the payment, or the last change where there
was none. Nothing of who bought is read.
Source: ShopReceipt and ShopReceiptTransaction in the OpenAPI document; docs/channels/etsy.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from stockpush.connectors.etsy.reading import Shape, values_key
from stockpush.connectors.etsy.wire import Receipt, Transaction, instant
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderLineSeen, OrderSeen
from stockpush.model import OrderVersion

Shapes = Mapping[int, Shape | None]


class Fate(StrEnum):
    """What becomes of a receipt that was not shipped."""

    STANDS = "stands"
    SENT = "sent"
    ENDED = "ended"


FATES: Mapping[str, Fate] = {
    "open": Fate.STANDS,
    "payment processing": Fate.STANDS,
    "paid": Fate.STANDS,
    "partially refunded": Fate.STANDS,
    "completed": Fate.SENT,
    "canceled": Fate.ENDED,
    "fully refunded": Fate.ENDED,
}


class Counts(NamedTuple):
    """Where the units of one line are, and what Etsy has taken off for it (None: unknown)."""

    open: int
    shipped: int
    deducted: int | None


def counts(fate: Fate, *, quantity: int, is_paid: bool, is_shipped: bool) -> Counts:
    """Return where a line's units are (the module's table).

    >>> counts(Fate.STANDS, quantity=2, is_paid=False, is_shipped=False)
    Counts(open=2, shipped=0, deducted=0)
    """
    if fate is Fate.ENDED:
        return Counts(0, quantity if is_shipped else 0, None)
    if fate is Fate.SENT or is_shipped:
        return Counts(0, quantity, quantity)
    return Counts(quantity, 0, quantity if is_paid else 0)


def facts(channel: str, receipt: Receipt, shapes: Shapes, *, fetch: int) -> OrderSeen:
    """Return what a receipt says; `fetch` numbers the version.

    `shapes` are those of the listings in it (None: Etsy does not have the listing). Raises
    `PayloadInvalid` naming the field.
    """
    state = receipt.status.strip().lower()
    fate = FATES.get(state, Fate.STANDS)
    updated = instant(receipt.updated, "updated_timestamp")
    lines = tuple(
        _line(receipt, each, fate, shapes) for each in receipt.transactions if not each.is_digital
    )
    if len({line.line_id for line in lines}) < len(lines):
        raise PayloadInvalid(
            "Two lines of a receipt have one id.", field="transactions.transaction_id"
        )
    return OrderSeen(
        channel=channel,
        order_id=str(receipt.receipt_id),
        version=OrderVersion(updated, fetch),
        placed_at=instant(receipt.created, "created_timestamp"),
        deducted_at=_deducted_at(receipt, fate, updated),
        state=state,
        lines=lines,
        state_known=state in FATES,
    )


def is_told(line: Transaction, shapes: Shapes) -> bool:
    """Answer whether it is known by which field a line goes, or that nobody can say."""
    if line.is_digital or not line.listing_id:
        return True
    if line.listing_id not in shapes:
        return False
    shape = shapes[line.listing_id]
    return shape is None or shape.field_of(line.listing_id, line) is not None


def order_key(line: Transaction, shapes: Shapes) -> str:
    """Return the field that a line was taken off, '' where nobody can say."""
    if not line.listing_id:
        return ""
    shape = shapes.get(line.listing_id)
    if shape is not None:
        known = shape.field_of(line.listing_id, line)
        return known or values_key(line.listing_id, line, shape.varies_by)
    return "" if line.product_data else str(line.listing_id)


def _line(receipt: Receipt, line: Transaction, fate: Fate, shapes: Shapes) -> OrderLineSeen:
    place = counts(
        fate, quantity=line.quantity, is_paid=receipt.is_paid, is_shipped=receipt.is_shipped
    )
    return OrderLineSeen(
        line_id=str(line.transaction_id),
        order_key=order_key(line, shapes),
        ordered=line.quantity,
        open=place.open,
        shipped=place.shipped,
        written_off=0,
        deducted=place.deducted,
        sku=line.sku or "",
    )


def _deducted_at(receipt: Receipt, fate: Fate, updated: datetime) -> datetime:
    """Return when Etsy took the units off, as far as the receipt tells."""
    paid = [each.paid_timestamp for each in receipt.transactions if each.paid_timestamp]
    if fate is Fate.ENDED or not paid:
        return updated
    return min(instant(max(paid), "paid_timestamp"), updated)
