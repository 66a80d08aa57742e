"""A call of more fields than one command opens: its pushes are one call, in either mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from stockpush.connectors.base import PushLine
from stockpush.engine import reconcile
from stockpush.engine.commit import PART_MAX
from stockpush.messages import (
    AdoptListings,
    Decision,
    ImportCatalogue,
    MoveStock,
    StartChannel,
    StockMove,
)
from stockpush.model import Item, Kind, Listing, ListingKey, Mode, MovementKind
from stockpush.reservation import pushes
from stockpush.reservation.view import View
from stockpush.store import reads
from tests.engine.world import SHOP, Floor, floor, ran

NAMES = tuple(f"x{number:02}" for number in range(2 * PART_MAX + 5))


async def furnished(made: Floor) -> None:
    """As many more listings, each of which shows five where nine can be sold."""
    made.shop.numbers.update(dict.fromkeys(NAMES, 5))
    made.shop.manifest = replace(made.shop.manifest, batch_max=100, read_max=100)
    items = tuple(Item(name, name, Kind.PRODUCT, "piece") for name in NAMES)
    listings = tuple(Listing(ListingKey(SHOP, name), name, ref={"id": name}) for name in NAMES)
    opening = tuple(StockMove(name, 9, MovementKind.OPENING) for name in NAMES)
    await made.lane.submit(ImportCatalogue(items, (), listings, opening, "more", "test"))
    await made.lane.submit(AdoptListings(tuple(each.key for each in listings)))


def test_a_channel_of_many_listings_starts_and_resolves_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every field is looked at and every listing asked about, though few are in memory at a time:
    in calls as large as the channel takes, whatever size is read at once.
    """
    monkeypatch.setattr(pushes, "STARTED_MAX", 10)
    monkeypatch.setattr(reconcile, "START_PART_MAX", 7)
    monkeypatch.setattr(reconcile, "LISTINGS_MAX", 5)

    async def work() -> None:
        async with floor(tmp_path) as made:
            await furnished(made)
            await made.passes(1500)
            made.shop.manifest = replace(made.shop.manifest, read_max=4)
            asked: list[list[str]] = []
            started: list[int] = []
            resolve, start = made.shop.resolve, pushes.start

            async def noting(api: object, listings: Sequence[Listing]) -> object:
                asked.append([each.key.ref for each in listings])
                return await resolve(api, listings)

            def starting(view: View, command: StartChannel, at: datetime) -> Decision:
                started.append(len(command.part or ()))
                return start(view, command, at)

            made.shop.resolve = noting  # type: ignore[assignment, method-assign]
            monkeypatch.setattr(pushes, "start", starting)
            reconciler = made.workers.reconciler
            await reconciler._start()
            assert sum(started) == len(await made.store.field_keys(SHOP))
            reconciler.want_all()
            assert await reconciler.resolve_listings() == 1 + len(NAMES)
            assert [each for call in asked for each in call] == ["a", *NAMES]
            assert {len(call) for call in asked[:-1]} == {4}
            assert started[0] == 0
            assert max(started) == 7
            count = len(started)
            reconciler.stop()
            await reconciler._start()
            assert len(started) == count + 1, "a daemon that stops begins no part"

    ran(work())


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.SHADOW])
def test_the_fields_of_a_large_call_are_numbered_through(mode: Mode, tmp_path: Path) -> None:
    """Each has a place of its own in its call, and no part of it meets another: in shadow mode too,
    where nothing is sent and everything is recorded.
    """

    async def work() -> None:
        async with floor(tmp_path, mode=mode) as made:
            sizes: list[int] = []
            push = made.shop.push

            async def noting(api: object, batch: list[PushLine], *, call_id: str) -> object:
                sizes.append(len(batch))
                return await push(api, batch, call_id=call_id)

            made.shop.push = noting  # type: ignore[assignment, method-assign]
            await furnished(made)
            await made.passes(1500)
            moves = tuple(StockMove(name, -1, MovementKind.ADJUSTMENT) for name in NAMES)
            await made.lane.submit(MoveStock(moves, "all at once", "test"))
            await made.passes(1500)
            assert made.lane.counters.rollbacks == 0
            assert made.lane.trouble is None
            assert bool(sizes) == (mode is Mode.LIVE)
            sent = (await reads.pushes(made.store, limit=len(NAMES))).data
            assert {each.target for each in sent} == {8}
            assert max(Counter(each.call_id for each in sent).values()) > PART_MAX
            assert len({(each.call_id, each.position) for each in sent}) == len(NAMES)

    ran(work())
