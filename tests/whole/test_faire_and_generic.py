"""A daemon with Faire and a shop of one's own, over real HTTP: singles here, cases of six there.

Both are polled alone. Singles and cases are drawn from the same candles.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stockpush import compose, keys
from stockpush.clock import SystemClock
from stockpush.importer import Known, read_catalogue
from stockpush.messages import AdoptListings, Needs
from stockpush.model import FieldKey, Reservation
from stockpush.settings import Settings
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.server import serve
from tests.connectors.faire_world import TOKEN as FAIRE_TOKEN
from tests.connectors.generic_world import KEY, SECRET, TOKEN

CLOCK = SystemClock()
WAIT_S = 20.0
CASE, SINGLE = "po_case", "candle"
CATALOGUE = f"""
[[items]]
sku = "candle"
on_hand = 20
[[listings]]
channel = "faire"
item = "candle"
pack = 6
ref = {{ variant_id = "{CASE}" }}
[[listings]]
channel = "site"
item = "candle"
ref = {{ product = "{SINGLE}" }}
"""


@dataclass
class Floor:
    """The two shops, and the daemon's parts while it runs."""

    faire: FaireShop
    site: GenericShop
    parts: Any = None
    settings: Settings = field(default=None)  # type: ignore[assignment]

    def shows(self) -> tuple[int, int]:
        """Return (on hand of the case on Faire, the single's number on the site)."""
        return self.faire.numbers()[CASE], self.site.numbers()[SINGLE]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; fail after a while, saying what is there."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    await CLOCK.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"waited in vain; the shops show {self.shows()}") from None

    async def until_shows(self, *numbers: int) -> None:
        """Return once both numbers are there."""
        await self.until(lambda: self.shows() == numbers)

    async def until_sound(self, key: str, *, expected: int) -> None:
        """Return once a field on Faire was read after now and nothing of it is in doubt."""
        begun, field = CLOCK.now(), FieldKey("faire", key)
        async with asyncio.timeout(WAIT_S):
            while True:
                async with self.parts.store.transaction() as transaction:
                    rows = await transaction.gather(Needs(fields=frozenset({field})))
                row = rows.fields[field]
                told = (row.expected, row.hold, row.surplus, row.uneaten)
                read = row.observed_at is not None and row.observed_at > begun
                if read and told == (expected, 0, 0, 0):
                    return
                await CLOCK.sleep(0.02)

    async def until_reserved(self, order_id: str, units: int) -> None:
        """Return once an order on Faire is known and has so many open units."""
        async with asyncio.timeout(WAIT_S):
            while True:
                rows = await self.reservations(order_id)
                if rows and sum(row.open for row in rows) == units:
                    return
                await CLOCK.sleep(0.02)

    async def drifts(self) -> int:
        """Return how many fields on Faire show what they should not."""
        rows = await self.parts.channel_rows()
        return sum(row.drifts for row in rows if row.state.name == "faire")

    async def reservations(self, order_id: str) -> list[Reservation]:
        """Return the rows of an order on Faire."""
        async with self.parts.store.transaction() as transaction:
            rows = await transaction.gather(Needs(orders=frozenset({("faire", order_id)})))
        return list(rows.reservations.values())


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    """Run a daemon on 20 candles, adopted: three cases on Faire, twenty singles on the site."""
    async with opened(tmp_path, shipping_takes_on_hand=False) as floor:
        yield floor


@asynccontextmanager
async def opened(
    folder: Path, *, shipping_takes_on_hand: bool, backorders_stay_committed: bool = True
) -> AsyncIterator[Floor]:
    """Run the daemon beside a Faire that lowers `on_hand` by itself when pieces go, or not, and
    that keeps apart what waits for later, or sells it again.
    """
    faire = FaireShop(
        "faire",
        clock=CLOCK.now,
        dice=random.Random(1),
        access_token=FAIRE_TOKEN,
        shipping_takes_on_hand=shipping_takes_on_hand,
        backorders_stay_committed=backorders_stay_committed,
    )
    faire.add_variant(CASE, on_hand=9, sku="candle-case")
    site = GenericShop(
        "site", clock=CLOCK.now, dice=random.Random(2), access_token=TOKEN, webhook_key=KEY
    )
    site.add_product(SINGLE, 9)
    async with AsyncExitStack() as stack:
        served = [
            (await stack.enter_async_context(serve(each, sleep=CLOCK.sleep))).base_url
            for each in (faire, site)
        ]
        floor = Floor(faire, site, settings=settings(folder, *served))
        await adopt(floor)
        async with running(floor):
            yield floor


def settings(folder: Path, faire_url: str, site_url: str) -> Settings:
    """Write a configuration and load it."""
    (folder / "secret.key").write_text(keys.new_secret_key())
    (folder / "admin.token").write_text("t" * 43)
    for name in ("secret.key", "admin.token"):
        (folder / name).chmod(0o600)
    path = folder / "stockpush.toml"
    path.write_text(f"""
[daemon]
database = "sqlite:///{folder}/stockpush.db"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
secret_key = "file:{folder}/secret.key"
admin_token = "file:{folder}/admin.token"
[channels.faire]
connector = "faire"
mode = "live"
base_url = "{faire_url}/external-api/v2"
access_token = "{FAIRE_TOKEN}"
poll_s = 2
orders_lag_s = 0
[channels.site]
connector = "generic"
mode = "live"
base_url = "{site_url}"
access_token = "{TOKEN}"
webhook_secret = "{SECRET}"
poll_s = 2
orders_lag_s = 0
""")
    return Settings.load(path, {})


async def adopt(floor: Floor) -> None:
    """Import the catalogue and adopt all of it."""
    async with compose.parts(floor.settings) as parts:
        read = read_catalogue(
            [("catalog.toml", CATALOGUE.encode())],
            known=Known(),
            channels=parts.settings.channels,
            refs=lambda channel, ref: parts.connectors[channel].ref(ref),
        )
        await parts.lane.commit([read.command(key="import", actor="test")])
        await parts.lane.commit([AdoptListings(tuple(each.key for each in read.listings))])


@asynccontextmanager
async def running(floor: Floor) -> AsyncIterator[None]:
    """Run the daemon, at a pace that no platform would allow and without waiting for company."""
    connectors = {
        name: replace(connector, manifest=quick(connector.manifest))  # type: ignore[type-var]
        for name, channel in floor.settings.channels.items()
        for connector in [compose.connect(channel)]
    }
    floor.faire.quick_writes_max = 1000
    floor.faire._pace = 1000.0
    async with (
        compose.parts(floor.settings, connectors=connectors) as parts,
        compose.daemon(parts, stop=asyncio.Event()),
    ):
        floor.parts = parts
        yield


def quick(manifest: Any) -> Any:
    """Return a manifest of a platform without a rate limit."""
    return replace(manifest, requests_per_s=1000.0, burst=1000.0, quiet_s=0.0)


async def test_cases_and_singles_are_one_stock(floor: Floor) -> None:
    """The first numbers; a single sold lowers the cases; a case ordered lowers the singles.

    On hand on Faire stays: it is the offer and the open order together, until that is shipped.
    """
    await floor.until_shows(3, 20)
    floor.site.checkout([(SINGLE, 3)])
    await floor.until_shows(2, 17)
    order = floor.faire.checkout([(CASE, 1)])
    await floor.until_shows(2, 11)
    assert floor.faire.quantity(CASE) == 1
    floor.faire.ship(order)
    await floor.until_reserved(order, 0)
    (row,) = await floor.reservations(order)
    assert (row.shipped, row.deducted) == (1, 0)
    await floor.until_shows(1, 11)


async def test_what_is_sent_may_leave_on_hand_by_itself(tmp_path: Path) -> None:
    """Which of the two Faire does is not known: the numbers come out alike, and nothing is doubted.

    The reading that shows fewer may come before the poll that says why, or after it.
    """
    async with opened(tmp_path, shipping_takes_on_hand=True) as floor:
        await floor.until_shows(3, 20)
        first = floor.faire.checkout([(CASE, 1)])
        await floor.until_shows(3, 14)
        floor.faire.ship(first)
        await floor.until_reserved(first, 0)
        await floor.until_shows(2, 14)
        second = floor.faire.checkout([(CASE, 1)])
        await floor.until_shows(2, 8)
        floor.site.checkout([(SINGLE, 3)])  # a write is on its way while pieces are sent
        floor.faire.ship(second)
        await floor.until_reserved(second, 0)
        await floor.until_shows(0, 5)
        assert floor.faire.quantity(CASE) == 0
        # Read once more, what has settled is what there is: no hold is left, nor any surplus.
        await floor.parts.store.ask("resync", {"channel": "faire"}, at=CLOCK.now())
        await floor.until_sound(CASE, expected=0)
        await floor.until_shows(0, 5)


async def test_a_cancelled_order_is_for_sale_again(floor: Floor) -> None:
    """On both sides, each once."""
    await floor.until_shows(3, 20)
    order = floor.faire.checkout([(CASE, 2)])
    await floor.until_shows(3, 8)
    floor.faire.cancel(order)
    await floor.until_shows(3, 20)
    assert floor.faire.quantity(CASE) == 3


async def test_a_backorder_is_reserved_once(floor: Floor) -> None:
    """Parent and child together hold what was ordered, and no more."""
    await floor.until_shows(3, 20)
    order = floor.faire.checkout([(CASE, 2)])
    await floor.until_shows(3, 8)
    carrier = floor.faire.backorder(order, CASE, 1, until=CLOCK.now())
    await floor.until_reserved(carrier, 1)
    await floor.until_reserved(order, 1)
    assert floor.shows() == (3, 8)


@pytest.mark.parametrize("child", [False, True])
async def test_a_backorder_that_faire_sells_again_is_not_on_sale(
    tmp_path: Path, *, child: bool
) -> None:
    """Two of three cases wait for later and are committed no more: one is on sale, not three.

    It is told as long as it is so, and when they go on they stand on the number again.
    """
    async with opened(
        tmp_path, shipping_takes_on_hand=False, backorders_stay_committed=False
    ) as floor:
        await floor.until_shows(3, 20)
        order = floor.faire.checkout([(CASE, 2)])
        await floor.until_shows(3, 8)
        until = CLOCK.now() + timedelta(days=30)
        carrier = floor.faire.backorder(order, CASE, 2, until=until, child=child)
        assert floor.faire.quantity(CASE) == 3
        await floor.until_shows(1, 8)
        await floor.until_reserved(carrier, 2)
        assert floor.faire.quantity(CASE) == 1
        assert await floor.drifts() == 1
        floor.faire.resume(carrier)
        await floor.until_shows(3, 8)
        assert floor.faire.quantity(CASE) == 1
        await floor.until_sound(CASE, expected=3)
        assert await floor.drifts() == 0


async def test_a_platform_without_webhooks_has_no_path(floor: Floor) -> None:
    """The API shows where a channel's webhooks go, and nothing for one that is only polled."""
    rows = [floor.parts.channel_report(row) for row in await floor.parts.channel_rows()]
    paths = {row.connector: row.webhook_path for row in rows}
    assert paths.keys() == {"faire", "generic"}
    assert paths["faire"] is None
    assert str(paths["generic"]).startswith("/webhooks/")
