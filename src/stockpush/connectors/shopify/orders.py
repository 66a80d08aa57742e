"""The neutral form of a Shopify order, and the counting of its lines.

Theory of operation. For one line Shopify tells `quantity` (ever ordered, removed and refunded
units included), `current` (without refunded and removed units), `unfulfilled`, the units in
fulfilments, and refunded units each with a restock type: CANCEL (was not fulfilled, put back on
sale), RETURN (was fulfilled, put back), NO_RESTOCK (either, not put back) and LEGACY_RESTOCK
(old: put back, either). Units removed by an edit without a refund are what is missing between
`quantity` and `current`: nobody tells whether they were put back, so they stay deducted until
the field is read. Every unit is in exactly one place:

    quantity = open + fulfilled + cancelled + removed + written off

`unfulfilled` alone cannot give `open`: the vendor's own formula for it, quantity less the larger
of refunded and fulfilled, overshoots where a line is both. The sum above bounds it.
An order that is not `confirmed` has no stock reserved at the channel: nothing is deducted.

`deducted_at` is the order's creation: neither shape tells when an edit took more units. The
choice only decides whether a hold is eaten or the expected value is lowered; their sum, and so
what we promise, is the same (conflict protocol, R3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderLineSeen, OrderSeen
from stockpush.model import WIRE_QUANTITY_MAX, OrderVersion


class Restock(StrEnum):
    """What became of a refunded unit; both shapes' words, in lower case."""

    CANCEL = "cancel"
    RETURN = "return"
    NO_RESTOCK = "no_restock"
    LEGACY_RESTOCK = "legacy_restock"


class Progress(StrEnum):
    """How far a fulfilment is: its units have left, are on their way out, or stay."""

    LEFT = "left"
    UNDERWAY = "underway"
    VOID = "void"


_PROGRESS = {
    "success": Progress.LEFT,
    "open": Progress.UNDERWAY,
    "pending": Progress.UNDERWAY,
    "cancelled": Progress.VOID,
    "error": Progress.VOID,
    "failure": Progress.VOID,
}


@dataclass(frozen=True, slots=True)
class LineRead:
    """One line as told. `variant` is None for a custom line or a deleted variant."""

    line: int
    variant: int | None
    sku: str
    quantity: int
    current: int
    unfulfilled: int


@dataclass(frozen=True, slots=True)
class RefundRead:
    """Refunded units of one line. `location` is where they were put back, None if untold."""

    line: int
    quantity: int
    restock: Restock
    location: int | None


@dataclass(frozen=True, slots=True)
class FulfilmentRead:
    """Units of one line in one fulfilment."""

    line: int
    quantity: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class OrderRead:
    """One order as told by either shape. Instants are UTC."""

    order: int
    created_at: datetime
    updated_at: datetime
    cancelled: bool
    closed: bool
    confirmed: bool
    lines: tuple[LineRead, ...]
    refunds: tuple[RefundRead, ...]
    fulfilments: tuple[FulfilmentRead, ...]


def restock_of(word: str) -> Restock:
    """Return the restock type of either shape; an unknown word is `PayloadInvalid`, not a guess."""
    try:
        return Restock(word.lower())
    except ValueError as error:
        raise PayloadInvalid(
            f"Shopify names a restock type that is not known: {word!r}.",
            field="restock_type",
            found=word,
            expected=", ".join(Restock),
        ) from error


def progress_of(word: str | None) -> Progress:
    """Return how far a fulfilment of this status is; one without a status is underway.

    An unknown word is `PayloadInvalid`, not a guess.
    """
    progress = Progress.UNDERWAY if word is None else _PROGRESS.get(word.lower())
    if progress is None:
        raise PayloadInvalid(
            f"Shopify names a fulfilment status that is not known: {word!r}.",
            field="status",
            found=word,
            expected=", ".join(_PROGRESS),
        )
    return progress


def order_seen(read: OrderRead, *, channel: str, location: int, fetch: int) -> OrderSeen:
    """Return the facts of an order for our `location`, at version (updated_at, `fetch`).

    Raises `PayloadInvalid` where two lines have one id, or units add up to more than can be.
    """
    if len({line.line for line in read.lines}) < len(read.lines):
        raise PayloadInvalid("Two lines of an order have one id.", field="line_items.id")
    return OrderSeen(
        channel=channel,
        order_id=str(read.order),
        version=OrderVersion(read.updated_at, fetch),
        placed_at=read.created_at,
        deducted_at=read.created_at,
        state="cancelled" if read.cancelled else "closed" if read.closed else "open",
        lines=tuple(count(line, read, location=location) for line in read.lines),
    )


def count(line: LineRead, order: OrderRead, *, location: int) -> OrderLineSeen:
    """Count one line of `order`: what is open, shipped, written off and deducted, all >= 0."""
    left, underway = _fulfilled(line.line, order.fulfilments)
    refunds = [refund for refund in order.refunds if refund.line == line.line]
    everywhere = _split(refunds, left=left)
    here = _split(
        [refund for refund in refunds if _is_here(refund, location)],
        left=left,
    )
    refunded = sum(refund.quantity for refund in refunds)
    removed = max(0, line.quantity - line.current - refunded)
    gone = left + everywhere[Restock.CANCEL] + removed
    still_open = min(line.current, line.unfulfilled + underway, line.quantity - gone)
    open_units = 0 if order.cancelled else max(0, still_open)
    written_off = min(everywhere[Restock.NO_RESTOCK], max(0, line.quantity - open_units - gone))
    restocked = here[Restock.CANCEL] + here[Restock.RETURN]
    return OrderLineSeen(
        line_id=str(line.line),
        order_key="" if line.variant is None else str(line.variant),
        ordered=line.quantity,
        open=open_units,
        shipped=max(0, left - here[Restock.RETURN]),
        written_off=written_off,
        deducted=max(0, line.quantity - restocked) if order.confirmed else 0,
        sku=line.sku,
    )


def _fulfilled(line: int, fulfilments: Iterable[FulfilmentRead]) -> tuple[int, int]:
    """Return (units that have left, units underway) of a line."""
    units: Counter[Progress] = Counter()
    for each in fulfilments:
        if each.line == line:
            units[each.progress] += each.quantity
    if units.total() > WIRE_QUANTITY_MAX:
        raise PayloadInvalid(
            "More units of a line are in fulfilments than can be.",
            field="fulfillments",
            found=units.total(),
            expected=f"at most {WIRE_QUANTITY_MAX}",
        )
    return units[Progress.LEFT], units[Progress.UNDERWAY]


def _is_here(refund: RefundRead, location: int) -> bool:
    """Answer whether units were put back at our location.

    Old restocks tell no location; the shops that have them had one.
    """
    untold = refund.restock is Restock.LEGACY_RESTOCK and refund.location is None
    return untold or refund.location == location


def _split(refunds: Iterable[RefundRead], *, left: int) -> Counter[Restock]:
    """Add refunded units up as CANCEL, RETURN or NO_RESTOCK.

    What left can be returned; what is put back beyond that was never sent and is a cancel.
    """
    units: Counter[Restock] = Counter()
    for each in refunds:
        units[each.restock] += each.quantity
    back = units[Restock.RETURN] + units[Restock.LEGACY_RESTOCK]
    returned = min(back, left)
    return Counter(
        {
            Restock.CANCEL: units[Restock.CANCEL] + back - returned,
            Restock.RETURN: returned,
            Restock.NO_RESTOCK: units[Restock.NO_RESTOCK],
        }
    )
