"""What a command changed, as it is told: each item before and after."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from stockpush.cli.output import balance, cell, note, say, show, table
from stockpush.engine.wording import more_items
from stockpush.model import MAIN, Item, pool_of, sku_of
from stockpush.reservation.atp import atp
from stockpush.reservation.view import View
from stockpush.units import format_quantity

CHANGES_MAX: Final = 20
"""Most items shown whose ATP moved along; the rest are counted."""


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
            or before.shelf(key).held != after.shelf(key).held
        )
    ]
    concerned = sorted(after.catalogue.group(moved))
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


def print_changes(changes: Sequence[Change]) -> None:
    """Print what changed, before and after; what is held only where that changed."""
    with_held = any(change.held[0] != change.held[1] for change in changes)
    pooled = any(change.pool != MAIN for change in changes)
    held_column, pool = ([">held"] if with_held else []), (["pool"] if pooled else [])
    shown = table("SKU", *pool, ">on hand", *held_column, ">ATP", "")
    for change in changes[:CHANGES_MAX]:
        scale = change.item.scale
        held = _turn(change.held, scale) if change.held[0] != change.held[1] else cell(None)
        shown.add_row(
            cell(change.item.sku),
            *([cell(change.pool)] if pooled else []),
            _turn(change.on_hand, scale) if change.stock_moved else cell(None),
            *([held] if with_held else []),
            _turn(change.atp, scale),
            cell(change.item.unit, "dim"),
        )
    show(shown)
    if len(changes) > CHANGES_MAX:
        say(f"... and the ATP of {more_items(len(changes) - CHANGES_MAX)}", "dim")


def _turn(values: tuple[int, int], scale: int) -> Text:
    """Return `before -> after`."""
    before, after = (format_quantity(value, scale) for value in values)
    if before == after:
        return cell(after)
    return Text.assemble((f"{before} → ", "dim"), balance(after))


def warn_of(changes: Sequence[Change]) -> None:
    """Say where the numbers ask for somebody's attention."""
    for change in changes:
        sku, scale = shlex.quote(change.item.sku), change.item.scale
        if change.stock_moved and change.on_hand[1] < 0:
            count = f"stockpush count {sku} N"
            if change.pool != MAIN:
                count += f" --pool {shlex.quote(change.pool)}"
            note(f"{sku} is below zero on hand; when you have counted it: {count}")
        if change.atp[1] < 0 <= change.atp[0]:
            short = format_quantity(-change.atp[1], scale)
            where = "" if change.pool == MAIN else f" in {change.pool}"
            unit = f"{change.item.unit}{where}"
            note(f"{sku} is short of {short} {unit}: more is claimed than can be made")
