"""What an import would change, for a person to agree to before anything is written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from stockpush.importer.tables import Table
from stockpush.model import BillOfMaterials, Item, Listing, Location, LotRule
from stockpush.units import format_duration, format_quantity, format_scrap


class ChangeState(StrEnum):
    """What becomes of one row."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a changed row, before and after, as people write it."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One item, bill or listing of the files. `differences` are empty unless it is changed."""

    table: Table
    name: str
    state: ChangeState
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class IgnoredStock:
    """An `on_hand` that is not taken, since the item's stock has moved already.

    `command` is what to type if the number is a count made now.
    """

    sku: str
    on_hand: str
    command: str


def ignored_stock(item: Item, on_hand: int) -> IgnoredStock:
    """Return the note on an `on_hand` (smallest units) that is not taken."""
    text = format_quantity(on_hand, item.scale)
    return IgnoredStock(item.sku, text, f"stockpush count {shlex.quote(item.sku)} {text}")


def item_change(old: Item | None, new: Item) -> Change:
    """Compare an item with what is known of it."""
    return _change(Table.ITEMS, new.sku, None if old is None else _item(old), _item(new))


def bill_change(
    old: tuple[BillOfMaterials | None, Item | None],
    new: tuple[BillOfMaterials | None, Item],
    items: Mapping[str, Item],
) -> Change:
    """Compare a bill of materials with the present one; the order of its lines says nothing.

    With each comes its item, which has what the bill says of each order.
    """
    bill, item = old
    is_there = bill is not None or (item is not None and item.per_order)
    before = _bill(bill, item, items) if is_there else None
    return _change(Table.BOMS, new[1].sku, before, _bill(*new, items))


def listing_change(old: Listing | None, new: Listing, items: Mapping[str, Item]) -> Change:
    """Compare a listing with the present mapping of the same reference."""
    name = f"{new.key.channel} {new.key.ref}"
    before = None if old is None else _listing(old, items)
    return _change(Table.LISTINGS, name, before, _listing(new, items))


def location_change(old: Location | None, new: Location) -> Change:
    """Compare a location with what is known of it."""
    before = None if old is None else _location(old)
    return _change(Table.LOCATIONS, new.name, before, _location(new))


def _change(
    table: Table, name: str, before: Mapping[str, str] | None, after: Mapping[str, str]
) -> Change:
    if before is None:
        return Change(table, name, ChangeState.NEW)
    differences = tuple(_differences(before, after))
    state = ChangeState.CHANGED if differences else ChangeState.UNCHANGED
    return Change(table, name, state, differences)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for field in dict.fromkeys([*before, *after]):
        if before.get(field) != after.get(field):
            yield Difference(field, before.get(field, ""), after.get(field, ""))


def _item(item: Item) -> dict[str, str]:
    return {
        "name": item.name,
        "kind": item.kind,
        "unit": item.unit,
        "scale": str(item.scale),
        "purchase_units": ", ".join(
            f"{each.name} of {_quantity(each.size, item)}" for each in item.purchase_units
        ),
        "promise": item.promise,
        "buildable_max": _limit(item.buildable_max, item),
        "horizon": "" if item.horizon_s is None else format_duration(item.horizon_s),
        "lots": "true" if item.lots is LotRule.ALWAYS else "false",
        "exposure": item.exposure or "",
        "guard_min": _limit(item.guard_min, item),
        "home_channel": item.home_channel or "",
        "exposure_max": _limit(item.exposure_max, item),
        "substitute_for": item.substitute_for or "",
    }


def _location(location: Location) -> dict[str, str]:
    return {"sellable": "true" if location.sellable else "false", "pool": location.pool}


def _bill(
    bill: BillOfMaterials | None, item: Item | None, items: Mapping[str, Item]
) -> dict[str, str]:
    once = {
        f"{line.supply} per order": _quantity(line.quantity, items[line.supply])
        + (", gate" if line.gate else "")
        for line in (() if item is None else item.per_order)
    }
    if bill is None:
        return once
    lines = {
        line.component: _quantity(line.quantity, items[line.component])
        + (f" and {format_scrap(line.scrap)} lost" if line.scrap.lost else "")
        for line in bill.lines
    }
    return {
        "base": bill.base or "",
        "yield": _quantity(bill.yield_quantity, items[bill.item]),
        "batch_only": _flag(told=bill.batch_only),
        "kit": _flag(told=bill.kit),
        "backflush": _flag(told=bill.backflush),
        "build_time": format_duration(bill.build_time_s) if bill.build_time_s else "",
        **lines,
        **once,
    }


def _listing(listing: Listing, items: Mapping[str, Item]) -> dict[str, str]:
    # One reference can be written as a number or as text: that is no change.
    ref = " ".join(f"{name}={value}" for name, value in sorted(listing.ref.items()))
    return {
        "item": listing.sku,
        "pack": _quantity(listing.pack, items[listing.sku]),
        "weight": str(listing.weight),
        "cap": "" if listing.cap is None else str(listing.cap),
        "buffer": _limit(listing.buffer, items[listing.sku]),
        "horizon": "" if listing.horizon_s is None else format_duration(listing.horizon_s),
        "ref": ref,
    }


def _flag(*, told: bool) -> str:
    return "true" if told else "false"


def _limit(value: int | None, item: Item) -> str:
    return "" if value is None else _quantity(value, item)


def _quantity(value: int, item: Item) -> str:
    return f"{format_quantity(value, item.scale)} {item.unit}"
