"""The demo's screen: the stock, what each channel shows, what has just happened, and the checks.

It fits into 80 columns: numbers and headings stay whole there, and only "Limit" is cut short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stockpush.engine.report import ListingRow, StockRow
from stockpush.sim.candle_shop import ETSY, FAIRE, SHOPIFY, WOO, CandleShop


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything that one picture shows."""

    stock: Sequence[StockRow]
    shop: CandleShop
    news: Sequence[str]
    checks: Sequence[tuple[str, bool]]
    footer: str


def screen(frame: Frame) -> RenderableType:
    """Return the picture of one instant."""
    table = Table(
        title="One stock, and what each channel shows of it",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("Item", no_wrap=True)
    table.add_column("On hand", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("Reserved", "ATP"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Limit")
    for name in ("Shopify", "Woo", "Etsy", "Faire"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in frame.stock:
        table.add_row(
            row.sku,
            row.on_hand,
            Text(_short(row.unit), "dim"),
            "" if row.reserved == "0" else row.reserved,
            _atp(row),
            # In the cell, since only a column that may wrap gives way to the others.
            Text(", ".join(row.limited_by), no_wrap=True, overflow="ellipsis"),
            *(_shown(frame.shop, row, channel) for channel in (SHOPIFY, WOO, ETSY, FAIRE)),
        )
    checks = Text("\n").join(
        Text(f"{'✔' if held else '✖'} {name}", style="green" if held else "bold red")
        for name, held in frame.checks
    )
    news = Text("\n".join(frame.news), style="dim")
    return Group(table, news, Text(""), checks, Text(frame.footer))


def _short(unit: str) -> str:
    return "" if unit == "piece" else unit


def _atp(row: StockRow) -> Text:
    """Return the ATP, red when more was sold than can be made."""
    return Text(row.atp, style="bold red" if row.atp.startswith("-") else "bold")


def _shown(shop: CandleShop, row: StockRow, channel: str) -> Text:
    """Return the numbers that the channel's listings of an item really show.

    A number still on its way to its target is yellow; packs are marked with their size.
    """
    text = Text()
    listed = [sold for sold in shop.listings if (sold.channel, sold.sku) == (channel, row.sku)]
    rows = [listing for listing in row.listings if listing.channel == channel]
    for sold in listed:
        shows = shop.shows(sold)
        offer = _offer(rows, sold.listing)
        if text:
            text.append(" ")
        text.append(str(shows), style="" if offer == shows else "yellow")
        if sold.pack > 1:
            text.append(f"x{sold.pack}", style="dim")
    return text


def _offer(rows: Sequence[ListingRow], listing: str) -> int | None:
    """Return the target of the listing that a shop calls `listing`."""
    for row in rows:
        if ":".join(str(part) for part in row.ref.values()) == listing:
            return row.offer
    return None
