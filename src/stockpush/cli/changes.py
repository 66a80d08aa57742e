"""Printing what a command changed: each item before and after."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from stockpush.cli.output import balance, cell, note, say, show, table
from stockpush.engine.changes import Change
from stockpush.engine.wording import more_items
from stockpush.model import MAIN
from stockpush.units import format_quantity

CHANGES_MAX: Final = 20
"""Most items shown whose ATP moved along; the rest are counted."""


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
