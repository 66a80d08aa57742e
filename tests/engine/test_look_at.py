"""What a person should look at though the number was written: kept until `resync` (F31)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stockpush.connectors.base import PushLine, PushOutcome
from stockpush.errors import PushRejected
from stockpush.model import PushOutcomeKind
from stockpush.store import SqlStore, reads
from tests.engine.world import SHOP, Floor, floor, ran

REMARK = "The quantities are written, but a price is another one."


async def shown(made: Floor) -> Mapping[str, str]:
    """Return what people are shown."""
    (row,) = await reads.channel_rows(made.store, [SHOP])
    return row.look_at


async def resyncs(made: Floor, sku: str) -> None:
    """Another process asks for an item to be read again."""
    url = f"sqlite:///{made.files.path}"
    store = await SqlStore.open(url, async_creator=made.files.connect, migrate=False)
    await store.ask("resync", {"sku": sku}, at=made.clock.now())
    await store.close()
    await made.passes(60)


def remarks(made: Floor) -> None:
    """Have the shop apply each write and say that something else is odd."""
    write = made.shop._set

    def odd(line: PushLine) -> PushOutcome:
        done = write(line)
        assert done.kind is PushOutcomeKind.APPLIED
        return PushOutcome(done.kind, done.actual, PushRejected(REMARK), date=done.date)

    made.shop._set = odd  # type: ignore[method-assign]


def test_a_remark_stands_until_somebody_asks_for_the_listing_again(tmp_path: Path) -> None:
    """The number counts as written, later writes without a remark do not take it away, and a
    resync of the item does.
    """

    async def work() -> None:
        async with floor(tmp_path) as made:
            assert await shown(made) == {}
            quiet = made.shop._set
            remarks(made)
            await made.moves(-2)
            await made.passes(60)
            assert await shown(made) == {"a": REMARK}
            assert (await made.row()).expected == 8
            made.shop._set = quiet  # type: ignore[method-assign]
            await made.moves(-1)
            await made.passes(60)
            assert await shown(made) == {"a": REMARK}
            await resyncs(made, "other")
            assert await shown(made) == {"a": REMARK}, "that was another item"
            await made.store.note(SHOP, "off-sale:1", "the connector's own")
            await resyncs(made, "candle")
            assert await shown(made) == {}
            assert await made.store.noted(SHOP) == {"off-sale:1": "the connector's own"}

    ran(work())
