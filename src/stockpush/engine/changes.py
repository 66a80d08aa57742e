"""What a command changed: each item before and after; the shape is that of docs/interface.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stockpush.model import MAIN, Item, pool_of, sku_of
from stockpush.reservation.atp import atp
from stockpush.reservation.view import View
from stockpush.units import format_quantity


@dataclass(frozen=True, slots=True)
class Change:
    """One item in one pool before and after, smallest units. `stock_moved`: it moved itself."""

    item: Item
    on_hand: tuple[int, int]
    held: tuple[int, int]
    atp: tuple[int, int]
    pool: str = MAIN

    @property
    def stock_moved(self) -> bool:
        """Answer whether its stock changed, and not what is held or promised of it alone."""
        return self.on_hand[0] != self.on_hand[1]

    @property
    def is_named(self) -> bool:
        """Answer whether something was done to itself, and not to what shares its materials."""
        return self.stock_moved or self.held[0] != self.held[1]

    def as_json(self) -> dict[str, Any]:
        """Return decimal strings in the item's unit."""
        scale = self.item.scale
        before, after = (
            {
                "on_hand": format_quantity(self.on_hand[at], scale),
                "held": format_quantity(self.held[at], scale),
                "atp": format_quantity(self.atp[at], scale),
            }
            for at in (0, 1)
        )
        named = {"sku": self.item.sku, "unit": self.item.unit, "pool": self.pool}
        return {**named, "before": before, "after": after}


def changes_between(before: View, after: View) -> tuple[Change, ...]:
    """Return the items whose stock, held units or ATP differ in a pool: what was named first, then
    by SKU and pool.
    """
    moved = [
        key
        for key in before.rows.shelves.keys() | after.rows.shelves.keys()
        if before.catalogue.knows(key)
        and after.catalogue.knows(key)
        and (
            before.shelf(key).on_hand != after.shelf(key).on_hand
            or before.shelf(key).coming != after.shelf(key).coming
            or before.shelf(key).held != after.shelf(key).held
        )
    ]
    # Of what an import has brought meanwhile there is nothing before.
    concerned = sorted(filter(before.catalogue.knows, after.catalogue.group(moved)))
    nets = before.net(concerned), after.net(concerned)
    changes = (
        Change(
            after.catalogue.items[sku_of(key)],
            (before.shelf(key).on_hand, after.shelf(key).on_hand),
            (before.shelf(key).held, after.shelf(key).held),
            (atp(nets[0], key), atp(nets[1], key)),
            pool_of(key),
        )
        for key in concerned
    )
    changed = [each for each in changes if each.is_named or each.atp[0] != each.atp[1]]
    return tuple(sorted(changed, key=lambda each: (not each.is_named, each.item.sku, each.pool)))


def comes_otherwise(before: View, after: View) -> bool:
    """Answer whether other amounts come by the horizons that listings say."""
    return any(
        before.shelf(key).coming_by != row.coming_by for key, row in after.rows.shelves.items()
    )
