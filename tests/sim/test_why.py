"""Every number that was sent in a simulated world can be told again, line by line."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stockpush import compose
from stockpush.engine.why import Why
from stockpush.engine.wording import WORDINGS
from stockpush.settings import Settings
from stockpush.sim import run
from stockpush.sim.accounts import ETSY, FAIRE, SHOPIFY, SITE, WOO
from stockpush.sim.plan import Plan
from stockpush.sim.run import simulate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERYWHERE = frozenset({SHOPIFY, WOO, ETSY, FAIRE, SITE})
SEEDS = (1, 2, 3, 4)
pytestmark = pytest.mark.filterwarnings(
    # What a killed daemon left open is found by the garbage collector, whenever that comes.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@dataclass(frozen=True)
class Sent:
    """One push as it was stored."""

    id: int
    channel: str
    key: str
    sku: str
    target: int
    terms: tuple[tuple[str, int], ...]
    sent_at: datetime


@dataclass(frozen=True)
class Stopped:
    """A clock that stands."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant."""
        return self.at

    def monotonic(self) -> float:
        """Return no seconds."""
        return 0.0


@dataclass(frozen=True)
class Left:
    """What a run has left behind: its database, its configuration, and when it ended."""

    folder: Path
    ended: datetime

    def sent(self) -> list[Sent]:
        """Every push, in the order in which they were sent."""
        with closing(sqlite3.connect(self.folder / "left.db")) as database:
            rows = database.execute(
                "SELECT push.id, push.channel, push.field_key, field.sku, push.target, push.terms,"
                " push.sent_at FROM push JOIN field"
                " ON field.channel = push.channel AND field.key = push.field_key ORDER BY push.id"
            ).fetchall()
        return [
            Sent(
                *row[:5],
                tuple((name, quantity) for name, quantity in json.loads(row[5])),
                EPOCH + timedelta(microseconds=row[6]),
            )
            for row in rows
        ]

    def whys(self, asked: list[tuple[str, datetime | None]]) -> list[Why]:
        """Ask why, as `stockpush why SKU --at T` does."""

        async def job() -> list[Why]:
            settings = Settings.load(self.folder / "stockpush.toml", {})
            async with compose.parts(settings, clock=Stopped(self.ended), connectors={}) as parts:
                told = []
                for sku, at in asked:
                    text = None if at is None else at.isoformat()
                    found = await parts.why(sku, at=text, zone=UTC)
                    assert found is not None
                    told.append(found)
                return told

        return asyncio.run(job())


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a seed with all five platforms and keep what it leaves; each seed once."""

    @cache
    def leave(seed: int) -> Left:
        folder = tmp_path_factory.mktemp(f"seed-{seed}")
        end = run._Run._end
        ended: list[datetime] = []

        def kept(self: run._Run) -> None:
            ended.append(self.clock.now())
            with (
                closing(sqlite3.connect(self.machine.files.path)) as source,
                closing(sqlite3.connect(folder / "left.db")) as copy,
            ):
                source.backup(copy)
            text = self._configuration(str(folder / "left.db"))
            (folder / "stockpush.toml").write_text(text)
            end(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run._Run, "_end", kept)
            report = simulate(seed, Plan(channels=EVERYWHERE, cut_s=1800.0, silent_s=600.0))
        assert report.violations == []
        return Left(folder, ended[0] + timedelta(seconds=1))

    return leave


@pytest.mark.parametrize("seed", SEEDS)
def test_every_stored_push_sums_to_what_was_sent(left: Any, seed: int) -> None:
    """On all five platforms, whatever went wrong meanwhile; each term has a wording."""
    for each in left(seed).sent():
        assert sum(quantity for _, quantity in each.terms) == each.target, each
        assert {name for name, _ in each.terms} <= WORDINGS.keys()


@pytest.mark.parametrize("seed", SEEDS)
def test_why_tells_every_push_at_the_instant_it_was_sent(left: Any, seed: int) -> None:
    """Exactly the terms that were stored, and the number: nothing is derived anew."""
    told = left(seed)
    newest = {(each.channel, each.key, each.sent_at): each for each in told.sent()}
    asked = sorted({(each.sku, each.sent_at) for each in newest.values()})
    found = dict(zip(asked, told.whys(asked), strict=True))
    for each in newest.values():
        listings = [
            listing
            for listing in found[each.sku, each.sent_at].listings
            if listing.push is not None and listing.push.id == f"push {each.id}"
        ]
        assert listings, each
        for listing in listings:
            assert (listing.channel, listing.shown) == (each.channel, each.target)
            assert tuple((term.name, term.quantity) for term in listing.terms) == each.terms
            assert listing.push.sent_at == each.sent_at


@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_end_why_is_what_every_listing_shows(left: Any, seed: int) -> None:
    """Everything agrees then: the terms now sum to the number that the channel holds."""
    told = left(seed)
    skus = sorted({each.sku for each in told.sent()})
    for found in told.whys([(sku, None) for sku in skus]):
        assert sum(float(term.quantity) for term in found.terms) == float(found.atp or 0)
        for listing in found.listings:
            assert sum(term.quantity for term in listing.terms) == listing.shown
            if listing.state == "in_sync":
                assert listing.shown == listing.expected


def test_there_was_something_to_tell(left: Any) -> None:
    """A test of the tests: pushes on every platform, of packs, of what can be made, of trouble."""
    sent = [each for seed in SEEDS for each in left(seed).sent()]
    assert {each.channel for each in sent} == EVERYWHERE
    assert len(sent) > 100
    told = {name for each in sent for name, quantity in each.terms if quantity}
    assert told >= {"on_hand", "reserved", "buildable", "undeducted", "part_of_a_pack"}
