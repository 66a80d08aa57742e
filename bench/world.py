"""The shop that every bench sells from: a thousand items, each listed on two channels.

Theory of operation. The world is made with the program's own commands, on either database, and
left as it stands once a daemon has read both channels and polled their orders. A sale on the one
channel then has its whole effect: an inbox row, a reservation, a shelf, the field that sold, and
an outbox row for the listing on the other channel. What a bench checks afterwards it reads with
plain SQL, with none of the program's code.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # ships no py.typed marker

from stockpush import compose, keys
from stockpush.clock import SystemClock
from stockpush.connectors.base import Connector
from stockpush.messages import (
    AdoptListings,
    ApplyOrders,
    Command,
    ImportCatalogue,
    ListingResolved,
    Observe,
    PollCompleted,
    QuantitySeen,
    ResolveListings,
    StockMove,
)
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    FieldKey,
    Item,
    Kind,
    Listing,
    ListingKey,
    MovementKind,
)
from stockpush.settings import Settings
from stockpush.sim.candle_shop import (
    ACCESS_TOKEN,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    DOMAIN,
    SHOPIFY,
    SHOPIFY_SECRET,
    WOO,
    configuration,
)
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop

CLOCK: Final = SystemClock()
ITEMS = int(os.environ.get("BENCH_ITEMS", "1000"))
"""How many items there are; tests of the benches have fewer."""
ON_HAND: Final = 1_000_000
"""Units of each item: more than any bench sells."""
_VARIANT, _LEVEL, _PRODUCT = 1_000_000, 2_000_000, 3_000_000
_NOWHERE: Final = "http://127.0.0.1:9"
"""An address that nobody answers at, for benches that call no channel."""
_POINTS: Final = 100_000.0
"""What the emulated shop allows of its cost points, at once and a second."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a world is: its folder, its database, and what the shops and the daemon listen on."""

    folder: Path
    database: str | None = None
    """None: an SQLite file in the folder. Otherwise the URL of a PostgreSQL schema."""
    shopify_url: str = _NOWHERE
    woo_url: str = _NOWHERE
    port: int = 0

    def configure(self) -> Settings:
        """Write the configuration and its secrets; return what it says."""
        key = self.folder / "secret.key"
        if not key.exists():
            key.write_text(keys.new_secret_key())
            (self.folder / "admin.token").write_text("b" * 43)
            for name in ("secret.key", "admin.token"):
                (self.folder / name).chmod(0o600)
        text = configuration(
            str(self.folder),
            shopify_url=self.shopify_url,
            woo_url=self.woo_url,
            poll_s=3600,
            database=self.database,
        )
        self.config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{self.port}", 1))
        return self.settings()

    @property
    def config(self) -> Path:
        """Where the configuration is."""
        return self.folder / "stockpush.toml"

    @property
    def file(self) -> Path:
        """Where the SQLite database is."""
        return self.folder / "stockpush.db"

    def settings(self) -> Settings:
        """Return the configuration as it was written."""
        return Settings.load(self.config, {})

    def hook(self, channel: str) -> str:
        """Return the path that the channel's webhooks go to."""
        secret = keys.read_secret_key((self.folder / "secret.key").read_text())
        return f"/webhooks/{channel}/{keys.webhook_token(secret, channel)}"


def variant(number: int) -> int:
    """Return the Shopify variant that sells the item of a number in 0..ITEMS-1."""
    return _VARIANT + number


def product(number: int) -> int:
    """Return the WooCommerce product that sells the item of a number in 0..ITEMS-1."""
    return _PRODUCT + number


def sku(number: int) -> str:
    """Return the SKU of the item of a number in 0..ITEMS-1."""
    return f"item-{number:04}"


def material(number: int) -> str:
    """Return the SKU of a material of a workshop."""
    return f"material-{number:04}"


async def furnish(address: Address, *, items: int | None = None, materials: int = 0) -> None:
    """Make the world's database: both channels read, every number agreed on, nothing sold.

    With `materials` every item can be made as well, from six of so many that all of them share.
    """
    async with compose.parts(address.configure()) as parts:
        for command in _opening(parts, ITEMS if items is None else items, materials):
            await parts.lane.commit([command])


def _opening(parts: compose.Parts, count: int, materials: int) -> list[Command]:
    """Return the commands after which a sale has its whole effect."""
    now = CLOCK.now()
    listed = [each for number in range(count) for each in listings(parts.connectors, number)]
    resolved = [
        ListingResolved(
            listing.key,
            order_key=str(next(iter(listing.ref.values()))),
            field_key=field_key(listing.key.channel, number // 2),
        )
        for number, listing in enumerate(listed)
    ]
    seen = [
        QuantitySeen(
            FieldKey(each.listing.channel, str(each.field_key)),
            ON_HAND,
            sent_at=now - timedelta(minutes=2),
            expected_sent=None,
            revision_sent=1,
            date=now - timedelta(minutes=2),
        )
        for each in resolved
    ]
    skus = [sku(n) for n in range(count)]
    used = [material(n) for n in range(materials)]
    items = [*map(product_item, skus), *map(material_item, used)]
    stock = tuple(StockMove(each, ON_HAND, MovementKind.OPENING) for each in (*skus, *used))
    bills = tuple(bill(n, used) for n in range(count)) if used else ()
    return [
        ImportCatalogue(tuple(items), bills, tuple(listed), stock, "opening", "bench"),
        AdoptListings(tuple(listing.key for listing in listed)),
        ResolveListings(tuple(resolved)),
        Observe(tuple(seen)),
        *(
            ApplyOrders(
                channel,
                (),
                completes=PollCompleted(
                    begun_at=now + timedelta(seconds=1),
                    date=now - timedelta(minutes=1),
                    cursor=None,
                ),
            )
            for channel in (SHOPIFY, WOO)
        ),
    ]


def product_item(made: str) -> Item:
    """Return an item that is sold."""
    return Item(made, made, Kind.PRODUCT, "piece", 0)


def material_item(used: str) -> Item:
    """Return an item that others are made from."""
    return Item(used, used, Kind.MATERIAL, "g", 0)


def bill(number: int, materials: Sequence[str]) -> BillOfMaterials:
    """Return what an item is made from: six materials, others than its neighbour's."""
    used = {materials[(number * 7 + at * at) % len(materials)] for at in range(6)}
    return BillOfMaterials(sku(number), 1, tuple(BillLine(each, 100) for each in sorted(used)))


def listings(connectors: Mapping[str, Connector], number: int) -> tuple[Listing, Listing]:
    """Return the listings of an item, on both channels."""
    return (
        _listing(connectors[SHOPIFY], SHOPIFY, number, {"variant_id": variant(number)}),
        _listing(connectors[WOO], WOO, number, {"product_id": product(number)}),
    )


def _listing(connector: Connector, channel: str, number: int, ref: dict[str, Any]) -> Listing:
    return Listing(ListingKey(channel, connector.ref(ref)), sku(number), ref=ref)


def field_key(channel: str, number: int) -> str:
    """Return the field that holds the item's number on a channel."""
    return str(_LEVEL + number if channel == SHOPIFY else product(number))


def shopify_shop() -> ShopifyShop:
    """Return the Shopify shop of the world."""
    shop = ShopifyShop(
        SHOPIFY,
        clock=CLOCK.now,
        dice=random.Random(1),  # noqa: S311  # a shop that must do the same each time
        access_token=ACCESS_TOKEN,
        webhook_secret=SHOPIFY_SECRET,
        domain=DOMAIN,
        # What a daemon does after its start must not run into the time that is measured.
        points_max=_POINTS,
        points_per_s=_POINTS,
    )
    for number in range(ITEMS):
        shop.add_variant(sku(number), ON_HAND, variant_id=variant(number), item_id=_LEVEL + number)
    return shop


def woo_shop() -> WooShop:
    """Return the WooCommerce shop of the world."""
    shop = WooShop(
        WOO,
        clock=CLOCK.now,
        dice=random.Random(2),  # noqa: S311  # see above
        consumer_key=CONSUMER_KEY,
        consumer_secret=CONSUMER_SECRET,
        webhook_delay_s=0.0,
    )
    for number in range(ITEMS):
        shop.add_product(product(number), stock=ON_HAND, sku=sku(number))
    return shop


# -- what a bench checks ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Books:
    """What the database says was sold."""

    deliveries: int
    orders: int
    open_units: int
    reserved_units: int
    fields_lowered: int
    """Units that the selling channel's fields are believed to have lost."""

    def faults(self, sales: int) -> list[str]:
        """Return what differs from `sales` sales of one unit each, each told once."""
        return [
            f"{name} is {found}, expected {sales}"
            for name, found in (
                ("deliveries", self.deliveries),
                ("orders", self.orders),
                ("open_units", self.open_units),
                ("reserved_units", self.reserved_units),
                ("fields_lowered", self.fields_lowered),
            )
            if found != sales
        ]


_BOOKS = (
    "SELECT count(*) FROM delivery WHERE state = 'applied'",
    "SELECT count(*) FROM (SELECT DISTINCT channel, order_id FROM reservation) AS o",
    "SELECT coalesce(sum(open), 0) FROM reservation",
    "SELECT coalesce(sum(reserved), 0) FROM shelf",
    f"SELECT coalesce(sum({ON_HAND} - expected), 0) FROM field WHERE channel = '{{selling}}'",  # noqa: S608  # our own words
)


async def books(address: Address, *, selling: str = SHOPIFY) -> Books:
    """Read what the database says was sold, the sales being those of one channel."""
    counts = [await _number(address, sql.format(selling=selling)) for sql in _BOOKS]
    return Books(*counts)


async def _number(address: Address, sql: str) -> int:
    if address.database is None:
        with closing(sqlite3.connect(f"file:{address.file}?mode=ro", uri=True)) as file:
            return int(file.execute(sql).fetchone()[0])
    where, _, schema = address.database.partition("&schema=")
    connection = await asyncpg.connect(where, server_settings={"search_path": schema})
    try:
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()


async def execute(address: Address, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows into a world's SQLite file, behind the program's back."""
    with closing(sqlite3.connect(address.file)) as file, file:
        file.executemany(sql, rows)
