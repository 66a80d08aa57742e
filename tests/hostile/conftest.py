"""One daemon for all tests of a module: what is refused leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hostile.world import Fort, fort


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fort]:
    """A daemon on SQLite."""
    async with fort(tmp_path_factory.mktemp("fort")) as running:
        yield running
