"""Pools over HTTP: items by pool, why, and a hold of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stockpush.messages import ImportCatalogue, TransferStock
from stockpush.model import MAIN, Location
from tests.web.private import Listener, listener, office
from tests.web.test_holds import HOLDS, sent

ITEM = "/api/v1/items/candle"


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Listener]:
    """Five candles and wax for 16 more, of which two lie at a stall of another pool."""
    async with office(tmp_path) as opened:
        await opened.fill()
        places = (Location("stall", pool="market"),)
        await opened.do(ImportCatalogue((), (), (), (), "places", "test", locations=places))
        await opened.do(TransferStock("candle", 2, MAIN, "stall", "t", "test"))
        async with listener(opened) as running:
            yield running


async def test_an_item_is_asked_for_in_a_pool(private: Listener) -> None:
    """In main if none is named; the list has a row for each with anything."""
    for path, pool, atp in ((ITEM, "main", "19"), (f"{ITEM}?pool=market", "market", "2")):
        row = await (await private.get(path)).json()
        assert (row["pool"], row["atp"]) == (pool, atp)
    page = await (await private.get("/api/v1/items?limit=1")).json()
    assert [(row["sku"], row["pool"]) for row in page["data"]] == [
        ("candle", "main"),
        ("candle", "market"),
    ]
    assert page["next"] == "candle"
    why = await (await private.get(f"{ITEM}/why")).json()
    assert [(each["pool"], each["atp"]) for each in (why, *why["elsewhere"])] == [
        ("main", "19"),
        ("market", "2"),
    ]


async def test_a_hold_is_posted_for_a_pool(private: Listener) -> None:
    """201 and its row; 409 for more than lies there; 404 for a pool that is not there."""
    body = {"lines": [{"sku": "candle", "quantity": 3}], "pool": "market"}
    status, refused = await sent(private, "POST", HOLDS, body)
    assert (status, refused["refused"], refused["pool"]) == (409, "insufficient_atp", "market")
    body["lines"] = [{"sku": "candle", "quantity": 2}]
    status, row = await sent(private, "POST", HOLDS, body)
    assert (status, row["pool"]) == (201, "market")
    status, missing = await sent(private, "POST", HOLDS, {**body, "pool": "fair"})
    assert (status, missing["error"]["field"]) == (404, "pool")
    assert missing["error"]["expected"] == "main or market"
    answer = await private.get(f"{ITEM}?pool=fair")
    assert (answer.status, (await answer.json())["error"]["field"]) == (404, "pool")
