"""Turn a Faire order into absolute facts about its lines.

Theory of operation. A line's own state decides, and the order's where the line has none (a new
order's may not) or where the order is cancelled as a whole:

| fate        | states                                         | open           | shipped |
|-------------|------------------------------------------------|----------------|---------|
| OPEN        | NEW, PENDING_RETAILER_CONFIRMATION, PROCESSING | q              | 0       |
| BACKORDERED | BACKORDERED                                    | q, if promised | 0       |
| SHIPPED     | PRE_TRANSIT, IN_TRANSIT, DELIVERED, RETURNED,  | 0              | q       |
|             | DAMAGED_OR_MISSING                             |                |         |
| RELEASED    | CANCELED                                       | 0              | 0       |

An unknown state is still open, and the order is flagged. Units that came back (RETURNED) are on
nobody's shelf before a person says so.

q counts pieces, not cases. A tester is taken for one more piece: Faire sells it at a price of its
own (`tester_price`), and whether `quantity` includes it is not verified; counted too much it
costs one unit on offer, counted too little it oversells.

Backorders. A backorder may become a child order that names its parent (`original_order_id`), while
the parent keeps a line in state BACKORDERED; whether it does is not verified. Units are counted
where they will be sent from: what the children of an order carry is taken off its BACKORDERED
lines, so either way they count once. A backorder without a date (`expected_ship_date`) is not
promised; should Faire keep it committed, the reading of `committed` holds it.

An order that Faire fulfils is not from our stock: it has no lines for us. Faire takes no order off
`on_hand`, so `deducted` is 0 for every line.
Source: Faire's OpenAPI 3.0.3 (ExternalOrderV2, ExternalOrderItemV2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from stockpush.connectors.faire.wire import Item, Order, instant, is_id
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderLineSeen, OrderSeen
from stockpush.model import WIRE_QUANTITY_MAX, OrderVersion

CLOSED_STATES = ("PRE_TRANSIT", "IN_TRANSIT", "DELIVERED", "CANCELED")
"""States of orders that have nothing left to send."""


class Fate(StrEnum):
    """Where the units of a line stand."""

    OPEN = "open"
    BACKORDERED = "backordered"
    SHIPPED = "shipped"
    RELEASED = "released"


FATES: Mapping[str, Fate] = {
    "NEW": Fate.OPEN,
    "PENDING_RETAILER_CONFIRMATION": Fate.OPEN,
    "PROCESSING": Fate.OPEN,
    "BACKORDERED": Fate.BACKORDERED,
    "PRE_TRANSIT": Fate.SHIPPED,
    "IN_TRANSIT": Fate.SHIPPED,
    "DELIVERED": Fate.SHIPPED,
    "RETURNED": Fate.SHIPPED,
    "DAMAGED_OR_MISSING": Fate.SHIPPED,
    "CANCELED": Fate.RELEASED,
}


def facts(
    channel: str, order: Order, *, fetch: int, children: Mapping[str, int] | None = None
) -> OrderSeen:
    """Return what an order says; `fetch` numbers the version.

    `children` are the units that the order's backorder children carry, by order key. Raises
    `PayloadInvalid` naming the line and field.
    """
    updated = instant(order.updated_at, "updated_at")
    placed = instant(order.created_at, "created_at")
    ours = () if order.is_fulfilled_by_faire else order.items
    if len({item.id for item in ours}) < len(ours):
        raise PayloadInvalid("Two lines of an order have one id.", field="items.id")
    elsewhere = Counter(children or {})
    promised = bool(order.expected_ship_date)
    return OrderSeen(
        channel=channel,
        order_id=order.id,
        version=OrderVersion(updated, fetch),
        placed_at=placed,
        deducted_at=placed,
        state=order.state,
        lines=tuple(_line(order, item, elsewhere, promised=promised) for item in ours),
        state_known=order.state in FATES
        and all(item.state is None or item.state in FATES for item in order.items),
    )


def has_backorder(order: Order) -> bool:
    """Answer whether some line of ours waits to be made, here or in a child."""
    return not order.is_fulfilled_by_faire and any(
        fate(order, item) is Fate.BACKORDERED for item in order.items
    )


def units_carried(orders: Iterable[Order]) -> Counter[str]:
    """Return the units of some orders by order key, whatever has become of them."""
    carried: Counter[str] = Counter()
    for order in orders:
        for item in order.items:
            carried[order_key(item)] += units(item)
    return carried


def fate(order: Order, item: Item) -> Fate:
    """Return where an item's units stand, by its own state or by its order's."""
    known = FATES.get(item.state or order.state, Fate.OPEN)
    if order.state == "CANCELED" and known is not Fate.SHIPPED:
        return Fate.RELEASED
    return known


def units(item: Item) -> int:
    """Return the pieces of a line, its tester included; `PayloadInvalid` beyond what can be."""
    pieces = item.quantity + (1 if item.includes_tester else 0)
    if pieces > WIRE_QUANTITY_MAX:
        raise PayloadInvalid("A line has more pieces than can be.", field="items.quantity")
    return pieces


def order_key(item: Item) -> str:
    """Return the name of what was sold: the variant's id.

    A line without one goes by its SKU, which is that of the day it was ordered and may be another's
    today: it fits no listing, and is shown to people.
    """
    if item.variant_id and is_id(item.variant_id):
        return item.variant_id
    return f"sku/{''.join(filter(str.isprintable, item.sku or ''))[:100]}"


def _line(order: Order, item: Item, elsewhere: Counter[str], *, promised: bool) -> OrderLineSeen:
    """Return one line; what a child carries of it is taken off `elsewhere`."""
    key, pieces, where = order_key(item), units(item), fate(order, item)
    still_open = pieces if where is Fate.OPEN else 0
    if where is Fate.BACKORDERED:
        moved = min(pieces, elsewhere[key])
        elsewhere[key] -= moved
        still_open = pieces - moved if promised else 0
    return OrderLineSeen(
        line_id=item.id,
        order_key=key,
        ordered=pieces,
        open=still_open,
        shipped=pieces if where is Fate.SHIPPED else 0,
        written_off=0,
        deducted=0,
        sku=item.sku or "",
    )
