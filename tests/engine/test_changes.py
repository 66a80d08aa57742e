"""What is told of a command: items before and after, and lots on any day."""

from __future__ import annotations

from datetime import UTC, datetime

from stockpush.engine import lot_report
from stockpush.engine.changes import changes_between
from stockpush.messages import MoveStock, StockMove
from stockpush.model import MovementKind
from stockpush.reservation.view import View
from tests.reservation.world import World


def test_what_an_import_brings_meanwhile_is_no_change() -> None:
    """Another process imports an item of the same wax between the two looks at it."""
    world = World().stock(candle=0, wax=30).bill("candle", wax=10)
    before = View(world.catalogue, world.rows)
    world.stock(balm=0).bill("balm", wax=10)
    world.moves("wax", 20, MovementKind.RECEIPT)
    changes = changes_between(before, View(world.catalogue, world.rows))
    assert [(each.item.sku, each.atp) for each in changes] == [
        ("wax", (30, 50)),
        ("candle", (3, 5)),
    ]


def test_lots_are_told_on_a_leap_day() -> None:
    """Those without an expiry come last, as on any day."""
    world = World().stock(candle=1)
    come = StockMove("candle", 3, MovementKind.RECEIPT, lot="A")
    world.do(MoveStock((come,), "k", "test"))
    view, day = View(world.catalogue, world.rows), datetime(2028, 2, 29, tzinfo=UTC)
    assert [(row.lot, row.on_hand) for row in lot_report.rows(view, None, day)] == [
        ("A", "3"),
        (None, "1"),
    ]
