"""Supplies that go once with each order: a shipping box, a leaflet, however much is in the parcel.

Theory of operation. A bill may name a supply *per order*. Such a line is no part of netting: what
is made takes none of it. An order claims the largest quantity that one of its open lines names,
once, as part of what is reserved of the supply; of the item sold alone, not of what that is made
from. With the first line that is sent the supply leaves, in the same transaction, and later
parcels of the order take only what more theirs names:

    claimed = max(0, the most that an open line names - the most that a line that was sent names)

A line stays *sent* when the goods come back: the box does not. It is not sent any more when the
channel takes the sending back, so that units are open again and none is shipped; then the supply
comes back as well. What had left before we first looked had taken its supply before, and moves
none. All of it follows from the order's own lines, which a sale reads anyway, so that nothing is
counted and no other order is looked at.

A supply of which a line says `gate` bounds the ATP of its items (`atp.Gate`). Only what is bought
can be a supply of orders: one that was made, or built into something, would be netted with what is
sold, and an order would then draw on materials that nobody promised it. For the same reason it is
in no older bill that open reservations go by, and neither a substitute nor the name of some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from stockpush.errors import CatalogueInvalid
from stockpush.model import (
    MAIN,
    WIRE_QUANTITY_MAX,
    BillOfMaterials,
    Item,
    Kind,
    OrderSupply,
    Reservation,
    shelf_key,
)

PerOrder: TypeAlias = Mapping[str, tuple[OrderSupply, ...]]
"""The supplies of each item that has any, by SKU."""


# -- what the bills say ------------------------------------------------------------------------


def effective(items: Mapping[str, Item], bills: Mapping[str, BillOfMaterials]) -> PerOrder:
    """Return what each order with an item takes: its own lines, and those of its base."""
    if not any(item.per_order for item in items.values()):
        return {}
    found: dict[str, tuple[OrderSupply, ...]] = {}

    def of(sku: str) -> tuple[OrderSupply, ...]:
        """Return one item's."""
        if sku not in found and sku in items:
            found[sku] = ()  # where bases go in a circle, which `bom.resolve` refuses
            bill = bills.get(sku)
            above = () if bill is None or bill.base is None else of(bill.base)
            lines = {line.supply: line for line in (*above, *items[sku].per_order)}
            found[sku] = tuple(line for line in lines.values() if line.quantity)
        return found.get(sku, ())

    return {sku: lines for sku in items if (lines := of(sku))}


_NAME: Final = "substitute_for"


class Fault(NamedTuple):
    """What makes the per-order line of `item` for `supply` impossible.

    `other` is the item whose bill, or whose name, is at odds with it, "" where none is; `cell` what
    the row of the supply, or of that item, says that is.
    """

    item: str
    supply: str
    field: str
    found: str
    expected: str
    other: str = ""
    cell: str = "kind"


def faults(items: Mapping[str, Item], bills: Mapping[str, BillOfMaterials]) -> Iterator[Fault]:
    """Yield what cannot be of the per-order lines together."""
    per_order = effective(items, bills)
    named = {line.supply for lines in per_order.values() for line in lines}
    builds = {
        line.component: sku
        for sku in sorted(bills)
        for line in bills[sku].lines
        if line.component in named
    }
    shared = {
        items[sku].substitute_for: sku
        for sku in sorted(items, reverse=True)
        if items[sku].substitute_for is not None
    }
    first: dict[str, tuple[str, bool]] = {}
    for sku in sorted(per_order):
        for line in per_order[sku]:
            supply = line.supply
            if sku in shared:
                expected = f"no line per order: nothing is ordered of {sku}, a name of substitutes"
                yield Fault(sku, supply, "per", "order", expected, shared[sku], _NAME)
            if supply not in items or items[supply].kind is not Kind.SUPPLY:
                kind = items[supply].kind.value if supply in items else "no item"
                expected = 'an item of kind = "supply", since it goes once with each order'
                yield Fault(sku, supply, "item", f"{supply} ({kind})", expected)
                continue
            if line.quantity > WIRE_QUANTITY_MAX:
                expected = f"at most {WIRE_QUANTITY_MAX} in the smallest unit, for one order"
                yield Fault(sku, supply, "quantity", str(line.quantity), expected)
            if supply in bills:
                expected = "a supply without a bill of its own, since it goes once with each order"
                yield Fault(sku, supply, "item", supply, expected, supply)
            name = supply if supply in shared else items[supply].substitute_for
            if name is not None:
                expected = "a supply that is no substitute, and no name of any, since it goes once "
                expected += "with each order"
                yield Fault(sku, supply, "item", supply, expected, shared[name], _NAME)
            if supply in builds:
                other = builds[supply]
                expected = f"{supply} per order or per product, not both; the bill of {other} has "
                yield Fault(sku, supply, "per", "order", f"{expected}it per product", other)
            other, gate = first.setdefault(supply, (sku, line.gate))
            if gate != line.gate:
                expected = f"gate = {str(gate).lower()}, as in the bill of {other}"
                yield Fault(sku, supply, "gate", str(line.gate).lower(), expected, other)


def check(
    items: Mapping[str, Item],
    bills: Mapping[str, BillOfMaterials],
    older: Iterable[BillOfMaterials] = (),
) -> None:
    """Raise `CatalogueInvalid` for per-order lines that cannot be together, or not with the `older`
    bills that open reservations go by.
    """
    for fault in faults(items, bills):
        raise CatalogueInvalid(
            f"the per-order line for {fault.supply} in the bill of {fault.item} cannot be",
            field=f"boms.{fault.item}.lines.{fault.supply}.{fault.field}",
            found=fault.found,
            expected=fault.expected,
        )
    named = {line.supply: sku for sku, of in effective(items, bills).items() for line in of}
    for bill in older:
        for component in (line.component for line in bill.lines if line.component in named):
            raise CatalogueInvalid(
                f"open orders, holds or what is still to be built of {bill.item} go by its bill "
                f"{bill.version}, which has {component} per product",
                field=f"boms.{named[component]}.lines.{component}.per",
                found="order",
                expected=f"nothing open or still to be built by bill {bill.version} of {bill.item}",
                next="stockpush import FILE --corrects  (where that is the bill before this one: "
                "then they go by this one), or as it is once they are built and sent, or ended",
            )


def changed(before: PerOrder, after: PerOrder) -> frozenset[str]:
    """Return the items of which orders take other supplies than before, and those supplies."""
    skus = {
        sku for sku in before.keys() | after.keys() if before.get(sku, ()) != after.get(sku, ())
    }
    lines = (line for sku in skus for of in (before, after) for line in of.get(sku, ()))
    return frozenset(skus.union(line.supply for line in lines))


# -- what an order takes -----------------------------------------------------------------------


def claimed(per_order: PerOrder, lines: Iterable[Reservation]) -> dict[str, int]:
    """Return what one order, by all its lines, is still to take of each supply (> 0).

    >>> claimed({}, ())
    {}
    """
    rows = tuple(lines)
    gone = most(per_order, (row for row in rows if row.sent))
    wanted = most(per_order, (row for row in rows if row.open > 0))
    left = {supply: units - gone.get(supply, 0) for supply, units in wanted.items()}
    return {supply: units for supply, units in left.items() if units > 0}


def by_order(rows: Iterable[Reservation]) -> dict[tuple[str, str], list[Reservation]]:
    """Return reservations by channel and order id."""
    orders: dict[tuple[str, str], list[Reservation]] = {}
    for row in rows:
        orders.setdefault(row.key[:2], []).append(row)
    return orders


def claims(
    per_order: PerOrder, rows: Iterable[Reservation], feeds: Mapping[str, str]
) -> dict[str, int]:
    """Return by shelf what all orders are still to take; `feeds` as in `Catalogue`.

    Of each order that is open all lines are among `rows`.
    """
    total: dict[str, int] = {}
    if per_order:
        for (channel, _), lines in by_order(rows).items():
            for supply, units in claimed(per_order, lines).items():
                key = shelf_key(supply, feeds.get(channel, MAIN))
                total[key] = total.get(key, 0) + units
    return total


def most(per_order: PerOrder, lines: Iterable[Reservation]) -> dict[str, int]:
    """Return the largest quantity of each supply that one of some lines names."""
    found: dict[str, int] = {}
    for row in lines:
        for line in per_order.get(row.sku or "", ()):
            found[line.supply] = max(line.quantity, found.get(line.supply, 0))
    return found
