"""The demo's picture at the width of a small terminal."""

from __future__ import annotations

import io
import random

from rich.console import Console

from stockpush.cli.demo_screen import Frame, screen
from stockpush.clock import SystemClock
from stockpush.engine.report import StockRow
from stockpush.sim.candle_shop import CandleShop
from tests.cli.terminal import Terminal

WIDTH = 80


def row(sku: str, unit: str, on_hand: str, reserved: str, atp: str) -> StockRow:
    """An item with numbers as long as they come."""
    limits = ("lavender-oil", "beeswax")
    return StockRow(sku, "", "product", unit, on_hand, reserved, "0", "0", atp, "0", limits)


def drawn(frame: Frame) -> list[str]:
    """The lines of a picture on a terminal of WIDTH columns."""
    screen_ = io.StringIO()
    Console(file=screen_, width=WIDTH, force_terminal=True, color_system=None).print(screen(frame))
    return [line.rstrip() for line in screen_.getvalue().splitlines()]


def test_every_number_and_heading_is_whole_at_eighty_columns():
    """Long names, long numbers, three listings of one item: one line each, only its limit cut."""
    shop = CandleShop.open(SystemClock().now, random.Random(1))
    stock = (
        row("candle-lav", "piece", "-1240", "1310", "-2550"),
        row("candle-plain", "piece", "10", "2", "70"),
        row("soap-lav", "piece", "128", "44", "1084"),
        row("lavender-oil", "ml", "40012", "0", "40012"),
        row("beeswax", "g", "129000", "0", "129000"),
    )
    lines = drawn(Frame(stock, shop, ("something happened",), (("books balance", True),), "12 s"))
    assert max(len(line) for line in lines) <= WIDTH
    headings = ["Item", "On", "hand", "Reserved", "ATP", "Limit", "Shopify", "Woo"]
    headings += ["Etsy", "Faire"]
    assert headings in [line.split() for line in lines]
    assert len(lines) == 2 + 1 + len(stock) + len(("something happened", "", "books", "12 s"))
    for item in stock:
        (line,) = [line.split() for line in lines if line.startswith(item.sku)]
        assert line[1] == item.on_hand
        assert all("lavender-oil".startswith(word[:-1]) for word in line if word.endswith("…"))
        assert item.atp in line
        assert item.reserved == "0" or item.reserved in line
        for sold in shop.listings:
            if sold.sku == item.sku:
                pack = f"x{sold.pack}" if sold.pack > 1 else ""
                assert f"{shop.shows(sold)}{pack}" in line


def test_the_help_says_that_it_takes_longer_than_the_time(terminal: Terminal):
    """After --for the shops come to rest and single sales are timed."""
    told = " ".join(terminal.done("demo", "--help").out.split())
    assert "come to rest" in told
    assert "single sales are timed" in told
