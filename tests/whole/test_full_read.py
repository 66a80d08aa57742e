"""The nightly reading of a large Shopify shop, through a whole daemon over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stockpush.engine import full_read
from stockpush.engine.full_read import FullReader
from stockpush.sim.candle_shop import ACCESS_TOKEN, SHOPIFY
from tests.whole.harness import POLL_S, Floor


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Floor:
    """Three candles on Shopify, one on WooCommerce; Shopify's bulk queries take a moment."""
    monkeypatch.setattr(full_read, "LOOK_S", 0.05)
    floor = Floor(tmp_path, webhooks=False)
    floor.shopify.bulk.takes_s = 0.1
    for sku in ("tall", "short", "round"):
        floor.item(sku, 10)
        floor.on_shopify(sku, 10)
    floor.on_woo("tall", 10)
    return floor


def reader(floor: Floor) -> FullReader:
    """The reader that the daemon runs for Shopify, for a shop that counts as large here."""
    by_name = {each.channel.name: each for each in floor.daemon.supervisor.workers}
    assert by_name.pop(SHOPIFY).full is not None
    assert [each.full for each in by_name.values()] == [None], "other platforms cannot"
    found = next(each.full for each in floor.daemon.supervisor.workers if each.full is not None)
    found._from_fields = 1
    return found


async def test_what_nobody_told_is_found_and_set_right(floor: Floor) -> None:
    """A number was raised by hand and a variant set to sell on without stock, and no webhook came:
    the first is written back, the second is parked, the third is left in peace.
    """
    async with floor.open(), floor.running():
        await floor.quiet()
        tall, short, _ = (listing for channel, listing in floor.watched if channel == SHOPIFY)
        floor.shopify.merchant_sets(tall, 25)
        floor.shopify.variants[int(short)].policy = "CONTINUE"
        before = floor.writes()
        await reader(floor).read()
        await floor.until_shows(10, 10, 10, 10)
        await floor.quiet()
        assert floor.writes() == before + 1
        rows = (await floor.parts.store.catalogue()).listings
        parked = {row.sku for row in rows if row.parked_reason is not None}
        assert parked == {"short"}
        (headers,) = floor.shopify.bulk.fetched
        assert ACCESS_TOKEN not in str(dict(headers))


async def test_a_sale_while_it_runs_is_not_put_back(floor: Floor) -> None:
    """The file still says ten when it comes; the sale is known by then, and nothing is written."""
    async with floor.open(poll_s=POLL_S), floor.running():
        await floor.quiet()
        tall, bulk = floor.watched[0][1], floor.shopify.bulk
        bulk.takes_s = 3.0
        before = floor.writes()
        reading = asyncio.create_task(reader(floor).read())
        await floor.until(lambda: bool(bulk.operations), "begun")
        floor.shopify.checkout([(tall, 3)])
        await reading
        assert b'"quantity":10' in bulk.operations[1].lines[0]
        await floor.until_shows(7, 10, 10, 7)
        await floor.quiet()
        assert tuple(floor.shows().values()) == (7, 10, 10, 7)
        assert floor.writes() == before + 1, "WooCommerce alone was told of the sale"


async def test_without_it_pages_do(floor: Floor) -> None:
    """All places are taken, or it fails with nothing: every field is read by itself."""
    async with floor.open(), floor.running():
        await floor.quiet()
        tall = floor.watched[0][1]
        floor.shopify.merchant_sets(tall, 25)
        floor.shopify.bulk.fails, floor.shopify.bulk.part = "INTERNAL_SERVER_ERROR", 0.0
        await reader(floor).read()
        await floor.until_shows(10, 10, 10, 10)
        assert floor.shopify.bulk.fetched == []
