"""Stores for a test: as many as it opens on its database, closed when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from stockpush.store import SqlStore


@pytest.fixture
async def open_store(database_url: str) -> AsyncIterator[Callable[..., Awaitable[SqlStore]]]:
    """Open one more store on the test's database."""
    opened: list[SqlStore] = []

    async def open_one(url: str = database_url, **options: Any) -> SqlStore:
        store = await SqlStore.open(url, **options)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Callable[..., Awaitable[SqlStore]]) -> SqlStore:
    """A store on the test's empty database."""
    return await open_store()
