"""An order into absolute facts, and a delivery's bytes into facts or hints: both pure.

Theory of operation. Every unit of a line is cancelled, shipped or still to be sent, and the shop
says so by absolute numbers; a cancelled order is one whose lines are cancelled. What is not known
to the shop is left out and never guessed at here. The type in a delivery's body is signed, so it
decides; a type that is not known is of no concern.
Source: docs/channels/generic.md.
"""

from __future__ import annotations

import msgspec

from stockpush.connectors.generic.wire import Line, Name, Order
from stockpush.connectors.payload import Quantity, Word, decode, utc
from stockpush.errors import PayloadInvalid
from stockpush.messages import Nothing, OrderHint, OrderLineSeen, OrderSeen, QuantityHint, Seen
from stockpush.model import OrderVersion


class _Event(msgspec.Struct, frozen=True):
    """A delivery: what it is, and the thing itself or its name."""

    type: Word
    order: msgspec.Raw = msgspec.Raw(b"")
    order_id: Name | None = None
    product: Name | None = None
    quantity: Quantity | None = None


def read(body: bytes, *, channel: str) -> tuple[str, tuple[Seen, ...]]:
    """Return (topic for people, facts or hints). Raises `PayloadInvalid` for any other shape."""
    event = decode(body, _Event, what="webhook")
    return event.type, (_seen(event, channel),)


def facts(channel: str, order: Order, *, fetch: int) -> OrderSeen:
    """Return what an order says; `fetch` numbers the version, 0 for a delivery.

    Raises `PayloadInvalid` naming the line and field.
    """
    if len({line.id for line in order.lines}) < len(order.lines):
        raise PayloadInvalid("Two lines of an order have one id.", field="lines.id")
    placed = utc(order.placed_at, what="order")
    return OrderSeen(
        channel=channel,
        order_id=order.id,
        version=OrderVersion(utc(order.updated_at, what="order"), fetch),
        placed_at=placed,
        deducted_at=placed if order.deducted_at is None else utc(order.deducted_at, what="order"),
        state=order.state,
        lines=tuple(_line(line) for line in order.lines),
    )


def _seen(event: _Event, channel: str) -> Seen:
    match event.type:
        case "order.changed":
            if bytes(event.order):
                return facts(channel, decode(event.order, Order, what="order"), fetch=0)
            return OrderHint(channel, _present(event.order_id, "order_id"))
        case "quantity.changed":
            return QuantityHint(channel, _present(event.product, "product"), event.quantity)
        case _:
            return Nothing("a type that does not concern stock")


def _present(name: str | None, field: str) -> str:
    if name is None:
        raise PayloadInvalid(f"The webhook has no {field}.", field=field, expected="a name")
    return name


def _line(line: Line) -> OrderLineSeen:
    still_open = line.ordered - line.cancelled - line.shipped
    if still_open < 0:
        raise PayloadInvalid(
            f"Line {line.id} has more cancelled and shipped than ordered.",
            field=f"lines[id={line.id}]",
            found=line.cancelled + line.shipped,
            expected=f"at most {line.ordered}",
        )
    deducted = line.deducted
    if isinstance(deducted, msgspec.UnsetType):
        deducted = line.ordered - line.cancelled
    # What is cancelled and was not put back on sale is gone: lost, broken or given away.
    kept = max(0, (deducted or 0) - still_open - line.shipped)
    return OrderLineSeen(
        line_id=line.id,
        order_key=line.product,
        ordered=line.ordered,
        open=still_open,
        shipped=line.shipped,
        written_off=min(kept, line.cancelled),
        deducted=deducted,
        sku=line.sku,
    )
