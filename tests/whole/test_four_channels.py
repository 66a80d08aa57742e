"""A daemon on four channels, over real HTTP: one pool of candles, singles, packs and cases of it.

Etsy and WooCommerce sell single candles, Shopify packs of six, Faire cases of twelve.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from stockpush import compose, keys, logs
from stockpush.engine import watchdog
from stockpush.engine.channel_report import ChannelRow
from stockpush.importer import Known, read_catalogue
from stockpush.messages import AdoptListings
from stockpush.model import FieldKey
from stockpush.settings import Settings
from stockpush.sim.candle_shop import (
    ETSY,
    ETSY_SECRET,
    FAIRE,
    SHOPIFY,
    WOO,
    WOO_SECRET,
    WOO_TOPICS,
    configuration,
    etsy_shop,
    faire_account,
)
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.server import serve
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from tests.cli.terminal import Terminal
from tests.whole.harness import CLOCK, shopify_shop, woo_shop

WAIT_S = 20.0
SINGLE, CASE, ON_WOO = "1001", "po_case", "10"
CATALOGUE = """
[[items]]
sku = "candle"
on_hand = 40
[[listings]]
channel = "{etsy}"
item = "candle"
ref = {{ listing_id = 1001 }}
[[listings]]
channel = "{shopify}"
item = "candle"
pack = 6
ref = {{ variant_id = {variant} }}
[[listings]]
channel = "{woo}"
item = "candle"
ref = {{ product_id = 10 }}
[[listings]]
channel = "{faire}"
item = "candle"
pack = 12
ref = {{ variant_id = "po_case" }}
"""


@dataclass
class Floor:
    """The four shops, and the daemon's parts while it runs; `pack` is Shopify's own name of it."""

    etsy: EtsyShop
    shopify: ShopifyShop
    woo: WooShop
    faire: FaireShop
    pack: str
    parts: Any = None

    def shows(self) -> tuple[int, int, int, int]:
        """Return the numbers on Etsy, Shopify, WooCommerce, and on hand on Faire."""
        return (
            self.etsy.quantity(SINGLE),
            self.shopify.quantity(self.pack),
            self.woo.stock_quantity(ON_WOO),
            self.faire.numbers()[CASE],
        )

    async def until_shows(self, *numbers: int) -> None:
        """Return once all four numbers are there; fail after a while, saying what is."""
        await self._until(lambda: self.shows() == numbers, f"expected {numbers}")

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    await CLOCK.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{what}; the shops show {self.shows()}") from None

    async def until_timed(self, channel: str) -> ChannelRow:
        """Return a channel's row once the daemon has recorded how soon its orders are known."""
        async with asyncio.timeout(WAIT_S):
            while True:
                rows = map(self.parts.channel_report, await self.parts.channel_rows())
                (row,) = (each for each in rows if each.name == channel)
                if row.heard_s.poll or row.heard_s.webhook:
                    return row
                await CLOCK.sleep(0.01)

    async def until_suspended(self, key: FieldKey, units: int) -> None:
        """Return once a field has so many units in suspense."""
        async with asyncio.timeout(WAIT_S):
            while True:
                (row,) = await self.parts.store.fields([key])
                if row.hold == units:
                    return
                await CLOCK.sleep(0.01)


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    """Run a daemon on forty candles, adopted, every listing with its number."""
    async with opened(tmp_path) as floor:
        yield floor


@asynccontextmanager
async def opened(folder: Path, *, etsy_tells: bool = True) -> AsyncIterator[Floor]:
    """Run that daemon; an Etsy that does not tell has an app without webhooks."""
    dice = random.Random(3)
    etsy, faire = etsy_shop(CLOCK.now, dice), faire_account(CLOCK.now, dice)
    shopify, woo = shopify_shop(), woo_shop()
    etsy.add_listing(int(SINGLE), quantity=1, sku="candle")
    faire.add_variant(CASE, on_hand=0, sku="candle-case")
    faire.quick_writes_max = 1000
    faire._pace = 1000.0
    woo.add_product(int(ON_WOO), stock=0, sku="candle")
    pack = str(shopify.add_variant("candle", 0).variant_id)
    floor = Floor(etsy, shopify, woo, faire, pack)
    async with AsyncExitStack() as stack:
        urls = {
            name: (await stack.enter_async_context(serve(shop, sleep=CLOCK.sleep))).base_url
            for name, shop in (("etsy", etsy), ("shopify", shopify), ("woo", woo), ("faire", faire))
        }
        settings = written(folder, urls, etsy_tells=etsy_tells)
        await adopt(settings, pack)
        async with running(floor, settings, etsy_tells=etsy_tells):
            await floor.until_shows(40, 6, 40, 3)
            yield floor


def written(folder: Path, urls: dict[str, str], *, etsy_tells: bool) -> Settings:
    """Write a configuration and load it; the daemon has an address that shops could reach."""
    (folder / "secret.key").write_text(keys.new_secret_key())
    (folder / "admin.token").write_text("t" * 43)
    for name in ("secret.key", "admin.token"):
        (folder / name).chmod(0o600)
    path = folder / "stockpush.toml"
    text = configuration(str(folder), **{f"{name}_url": url for name, url in urls.items()})  # type: ignore[arg-type]
    if not etsy_tells:
        root = 'public_url = "https://stock.example"'
        text = text.replace("[daemon]", f"[daemon]\n{root}", 1)
        text = text.replace(f'webhook_secret = "{ETSY_SECRET}"\n', "", 1)
    path.write_text(text)
    return Settings.load(path, {})


async def adopt(settings: Settings, variant: str) -> None:
    """Import the catalogue and adopt all of it."""
    text = CATALOGUE.format(etsy=ETSY, shopify=SHOPIFY, woo=WOO, faire=FAIRE, variant=variant)
    async with compose.parts(settings) as parts:
        read = read_catalogue(
            [("catalog.toml", text.encode())],
            known=Known(),
            channels=parts.settings.channels,
            refs=lambda channel, ref: parts.connectors[channel].ref(ref),
        )
        await parts.lane.commit([read.command(key="import", actor="test")])
        await parts.lane.commit([AdoptListings(tuple(each.key for each in read.listings))])


@asynccontextmanager
async def running(floor: Floor, settings: Settings, *, etsy_tells: bool) -> AsyncIterator[None]:
    """Run the daemon, at a pace that no platform would allow and without waiting for company."""
    connectors = {}
    for name, channel in settings.channels.items():
        connector: Any = compose.connect(channel)
        quick = replace(connector.manifest, requests_per_s=1000.0, burst=1000.0, quiet_s=0.0)
        connectors[name] = replace(connector, manifest=quick)
    async with (
        compose.parts(settings, connectors=connectors) as parts,
        compose.daemon(parts, stop=asyncio.Event()) as daemon,
    ):
        floor.parts = parts
        root = f"http://{daemon.public}"
        floor.shopify.subscribe(root + parts.webhook_path(SHOPIFY))
        for topic in WOO_TOPICS:
            floor.woo.subscribe(topic, root + parts.webhook_path(WOO), WOO_SECRET)
        if etsy_tells:
            floor.etsy.subscribe(root + parts.webhook_path(ETSY), ETSY_SECRET)
        yield


async def test_a_sale_on_each_is_seen_by_the_others(floor: Floor) -> None:
    """One pool: singles on Etsy and WooCommerce, a pack of six, a case of twelve."""
    floor.etsy.checkout([(SINGLE, 3)])
    await floor.until_shows(37, 6, 37, 3)
    floor.shopify.checkout([(floor.pack, 1)])
    await floor.until_shows(31, 5, 31, 2)
    floor.woo.checkout([(ON_WOO, 2)])
    await floor.until_shows(29, 4, 29, 2)
    order = floor.faire.checkout([(CASE, 1)])
    # On hand on Faire stays what is left and what its open order has committed.
    await floor.until_shows(17, 2, 17, 2)
    assert floor.faire.quantity(CASE) == 1
    floor.faire.cancel(order)
    await floor.until_shows(29, 4, 29, 2)


async def test_lost_webhooks_are_found_by_polling(floor: Floor) -> None:
    """On each platform that has webhooks one sale is told by none, and is known all the same."""
    for shop in (floor.etsy, floor.shopify, floor.woo):
        shop.faults.webhook_drop = 1.0
    floor.etsy.checkout([(SINGLE, 2)])
    await floor.until_shows(38, 6, 38, 3)
    floor.shopify.checkout([(floor.pack, 1)])
    await floor.until_shows(32, 5, 32, 2)
    await CLOCK.sleep(2)  # a sale in the second of our own write takes a minute to be sure of (R10)
    floor.woo.checkout([(ON_WOO, 1)])
    await floor.until_shows(31, 5, 31, 2)


async def test_an_etsy_app_without_webhooks_is_polled_and_its_latency_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polling alone finds each sale; `channels` says so, and nobody asks why no webhook comes."""
    for name in ("LOOK_S", "HOOKS_EVERY_S", "HOOKS_SOONEST_S"):
        monkeypatch.setattr(watchdog, name, 0.05)
    lines: list[logs.Line] = []
    logs.configure(json=True, lines=lines.append)
    async with opened(tmp_path, etsy_tells=False) as floor:
        for number in range(1, watchdog.UNTOLD_MAX + 2):
            floor.etsy.checkout([(SINGLE, 1)])
            left = 40 - number
            await floor.until_shows(left, left // 6, left, left // 12)
        etsy = await floor.until_timed(ETSY)
        assert (etsy.webhook_path, etsy.heard_s.webhook) == (None, None)
        told = [line for line in lines if line["event"].startswith("webhooks.")]
        assert [line for line in told if line["channel"] == ETSY] == []
    config = str(tmp_path / "stockpush.toml")
    result = await asyncio.to_thread(Terminal(tmp_path).done, "channels", "--config", config)
    (row,) = [line for line in result.out.splitlines() if line.split()[:2] == [ETSY, "etsy"]]
    assert f"{etsy.heard_s.poll.p50:.1f} s (poll)" in row
    assert f"{ETSY}: orders come by polling" in result.out


async def test_the_last_case_is_sold_and_singles_are_left(floor: Floor) -> None:
    """Etsy takes no listing with nothing in it: it goes off sale with the last candle."""
    floor.faire.checkout([(CASE, 3)])
    await floor.until_shows(4, 0, 4, 3)
    floor.woo.checkout([(ON_WOO, 4)])
    await floor.until_shows(0, 0, 0, 3)
    assert floor.etsy.listing(int(SINGLE)).state == "inactive"


@pytest.mark.parametrize("channel", [SHOPIFY, ETSY])
async def test_a_write_that_meets_an_unheard_sale_holds_it(floor: Floor, channel: str) -> None:
    """Nobody tells of it, by webhook or in a list: the compare finds it, and nothing comes back."""
    shop = floor.etsy if channel == ETSY else floor.shopify
    listing, units = (SINGLE, 6) if channel == ETSY else (floor.pack, 1)
    shop.faults.webhook_drop = 1.0
    shop.faults.orders_lag_s = 600.0
    shop.checkout([(listing, units)])
    floor.woo.checkout([(ON_WOO, 5)])  # causes a write everywhere
    (key,) = await floor.parts.store.field_keys(channel)
    await floor.until_suspended(key, units)
    await floor.until_shows(29, 4, 29, 2)
