"""The ledger over HTTP: read in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stockpush.messages import MoveStock, StockMove
from stockpush.model import MovementKind
from tests.web.private import Listener, listener, office

MOVEMENTS = "/api/v1/movements"


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Listener]:
    """Five candles and wax for 16 more, shared with soaps."""
    async with office(tmp_path) as opened:
        await opened.fill()
        async with listener(opened) as running:
            yield running


async def read(private: Listener, query: str = "") -> Any:
    """Return a page of the ledger."""
    answer = await private.get(MOVEMENTS + query)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_movements_are_read_as_the_log_tells_them(private: Listener) -> None:
    """Newest first, with reason, actor and what was paid."""
    move = StockMove("wax", 1500, MovementKind.RECEIPT, reason="cost 12.50; from Imkerei Moser")
    await private.office.do(MoveStock((move,), "came", "cli:anna", "early"))
    row = (await read(private))["data"][0]
    assert row == {
        "id": "mv-3",
        "at": "2026-11-22T12:00:01Z",
        "kind": "receipt",
        "sku": "wax",
        "quantity": "1.5",
        "unit": "kg",
        "lot": None,
        "location": "main",
        "reason": "early; cost 12.50; from Imkerei Moser",
        "actor": "cli:anna",
        "cause": "cmd came",
        "cost": "12.50",
        "supplier": "Imkerei Moser",
        "undoes": None,
    }


async def test_movements_come_in_pages_of_one_item_and_since(private: Listener) -> None:
    """The cursor is an id; what is asked for may be put together."""
    for _ in range(3):
        private.office.clock.pass_s(60)
        await private.office.sell("candle", 1)
    page = await read(private, "?sku=candle&limit=2")
    assert ([row["id"] for row in page["data"]], page["next"]) == (["mv-5", "mv-4"], "mv-4")
    page = await read(private, "?sku=candle&limit=2&cursor=mv-4")
    assert ([row["kind"] for row in page["data"]], page["next"]) == (["sale", "opening"], None)
    page = await read(private, "?since=-1m")
    assert [row["id"] for row in page["data"]] == ["mv-5", "mv-4"]
    assert (await private.get(f"{MOVEMENTS}?sku=nothing")).status == 404
