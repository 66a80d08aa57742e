"""Supplies of orders in the commit lane: on a real SQLite file and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from stockpush.cli.check import violations
from stockpush.engine import report
from stockpush.engine.commit import CommitLane
from stockpush.messages import (
    Accepted,
    AdoptListings,
    ImportCatalogue,
    ListingResolved,
    OrderLineSeen,
    OrderSeen,
    ReceiveDelivery,
    ResolveListings,
    StartChannel,
    StockMove,
)
from stockpush.model import (
    MAIN,
    Delivery,
    DeliveryState,
    Item,
    Kind,
    Listing,
    ListingKey,
    MovementKind,
    OrderSupply,
    OrderVersion,
    shelf_key,
)
from stockpush.reservation.view import View
from stockpush.store import reads
from tests.engine.test_commit import POLICIES, START
from tests.engine.test_pools import PLACES, serving, url
from tests.reservation.world import World, line

__all__ = ["url"]


def order(number: int, *lines: tuple[str, int, int], version: int = 1) -> ReceiveDelivery:
    """A delivery of an order with lines of (order key, units, of which sent)."""
    seen = OrderSeen(
        "shop",
        f"o{number}",
        OrderVersion(START + timedelta(seconds=version), 0),
        START,
        START,
        "open",
        tuple(
            OrderLineSeen(str(at), key, units, units - sent, sent, 0, units)
            for at, (key, units, sent) in enumerate(lines)
        ),
    )
    delivery = Delivery("shop", f"d{number} {version}", "order", START, DeliveryState.APPLIED)
    return ReceiveDelivery(delivery, (seen,))


async def boxes(lane: CommitLane) -> dict[str, tuple[int, int]]:
    """On hand and claimed of the box, by pool; the books agree."""
    rows = await reads.check_rows(lane.store, deep=True)
    assert violations(rows, lane.policies) == []
    shelves = rows.kept.shelves.values()
    return {row.pool: (row.on_hand, row.reserved) for row in shelves if row.sku == "box"}


async def test_claims_are_kept_and_checked_in_the_database(url: str) -> None:
    """From the first import on, over sales, parcels, a listing that is mapped late, a new bill and
    a channel that another pool feeds: kept as `check` recomputes it from the orders.
    """
    async with serving(url, pool=MAIN, places=PLACES) as lane:
        soap = ListingKey("shop", "soap")
        await lane.submit(order(1, ("a", 2, 0), ("b", 1, 0)))
        box = Item("box", "Box", Kind.SUPPLY, "piece")
        items = tuple(
            Item(sku, sku, Kind.PRODUCT, "piece", per_order=(OrderSupply("box", n, gate=True),))
            for sku, n in (("candle", 1), ("soap", 2))
        )
        opening = (StockMove("box", 10, MovementKind.OPENING),)
        listing = Listing(soap, "soap", ref={"id": "b"})
        done = await lane.submit(
            ImportCatalogue((box, *items), (), (listing,), opening, "s", "test")
        )
        assert isinstance(done.outcome, Accepted)
        assert await boxes(lane) == {MAIN: (10, 1)}
        await lane.submit(ResolveListings((ListingResolved(soap, "b", "b"),)))
        await lane.submit(AdoptListings((soap,)))
        assert await boxes(lane) == {MAIN: (10, 2)}
        await lane.submit(order(2, ("a", 3, 0)))
        await lane.submit(order(1, ("a", 2, 1), ("b", 1, 0), version=2))
        assert await boxes(lane) == {MAIN: (9, 2)}
        await lane.submit(order(1, ("a", 2, 1), ("b", 1, 1), version=3))
        assert await boxes(lane) == {MAIN: (8, 1)}
        more = replace(items[0], per_order=(OrderSupply("box", 4, gate=True),))
        await lane.submit(ImportCatalogue((more,), (), (), (), "m", "test"))
        assert await boxes(lane) == {MAIN: (8, 4)}
        lane.policies = {"shop": replace(POLICIES["shop"], pool="market")}
        lane._catalogue = lane._former = None
        await lane.submit(StartChannel("shop"))
        assert await boxes(lane) == {MAIN: (8, 0), "market": (0, 4)}
        audit = await reads.audit(lane.store)
        assert shelf_key("box", "market") not in audit.open


def test_what_lacks_boxes_is_short_as_the_boxes_are() -> None:
    """`shortages` has every item whose ATP is negative, by a gate too; without one only the box."""
    for gate, short in ((True, ("box", "candle")), (False, ("box",))):
        world = World().stock(candle=9, soap=9, box=1).item("box", kind=Kind.SUPPLY)
        world.item("candle", per_order=(OrderSupply("box", 1, gate=gate),))
        world.list("shopify", "a", "candle", shows=1)
        for number in range(3):
            world.hears(world.order("shopify", str(number), line("a", 1)))
        view = View(world.catalogue, world.rows)
        assert report.shortages(view) == short
        rows = report.stock(view)
        assert {row.sku for row in rows if row.atp.startswith("-")} == set(short)
        (candle,) = (row for row in rows if row.sku == "candle")
        assert candle.limited_by == (("box",) if gate else ())
        assert candle.per_order == (report.SupplyRow("box", "piece", "1", gate),)
