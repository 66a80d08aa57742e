"""`stockpush resync` where no daemon runs: it takes the daemon's place until nothing is left."""

from __future__ import annotations

from pathlib import Path

from stockpush.cli import resync
from stockpush.sim.candle_shop import SHOPIFY, WOO
from tests.cli.terminal import typed_here
from tests.whole.harness import Floor


def candle(folder: Path) -> Floor:
    """A candle on both channels, of which 5 are on hand."""
    floor = Floor(folder)
    floor.item("candle", 5)
    floor.on_shopify("candle", 9)
    floor.on_woo("candle", 2)
    return floor


async def test_resync_without_a_daemon_does_the_work_itself(tmp_path: Path):
    """What was adopted is read and written; the answer says what, and nothing is left."""
    floor = candle(tmp_path)
    async with floor.open():
        result = await typed_here(floor, "resync", "--all", "--yes", "--json")
        assert result.code == 0, result
        assert tuple(floor.shows().values()) == (5, 5)
        answer = result.json
        assert (answer["daemon_runs"], answer["left"]) == (False, {})
        assert [(each["channel"], each["from"], each["to"]) for each in answer["written"]] == [
            (SHOPIFY, 9, 5),
            (WOO, 2, 5),
        ]
        async with floor.unstarted() as parts:
            assert list(await parts.store.asked()) == []


async def test_resync_finds_a_sale_that_no_webhook_told_of(tmp_path: Path):
    """Orders are read again: the sale is taken off the other channel, in words for people."""
    floor = candle(tmp_path)
    async with floor.open():
        await typed_here(floor, "resync", "--all", "--yes")
        floor.woo.checkout([("10", 2)])
        result = await typed_here(floor, "resync", "--channel", WOO)
        assert result.code == 0, result
        assert tuple(floor.shows().values()) == (3, 3)
        assert "Written: 1 number." in result.out
        again = await typed_here(floor, "resync", "--all", "--yes")
        assert "nothing had to be written" in again.out


async def test_what_cannot_be_finished_is_said(tmp_path: Path):
    """A shop that refuses our credentials needs a person: no waiting, exit code 1, and what is
    left by channel.
    """
    floor = candle(tmp_path)
    floor.shopify.faults.unauthorized = True
    async with floor.open():
        result = await typed_here(floor, "resync", "--all", "--yes", "--json")
        assert result.code == 1, result
        assert result.json["left"].keys() == {SHOPIFY}
        assert "its orders are not read" in result.json["left"][SHOPIFY]
        assert floor.shows()[f"{WOO} 10"] == 5


async def test_the_work_here_is_bounded(tmp_path: Path, monkeypatch):
    """Whoever asked gets an answer, however long a shop takes."""
    monkeypatch.setattr(resync, "REST_S", 0.0)
    floor = candle(tmp_path)
    async with floor.open():
        result = await typed_here(floor, "resync", "--all", "--yes")
        assert result.code == 1
        assert "Not finished: demo-shopify: " in result.out
        assert "stockpush run" in result.out
