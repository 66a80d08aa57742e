"""A daemon and two emulated shops in one process, talking over real HTTP on loopback.

Everything is real but the shops and the pace: real signatures, real database, real sockets. Tests
wait for conditions, never for time.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stockpush import compose, keys
from stockpush.clock import SystemClock
from stockpush.importer import Known, read_catalogue
from stockpush.messages import (
    Accepted,
    AdoptListings,
    BuildStock,
    CountStock,
    MoveStock,
    Needs,
    StockMove,
)
from stockpush.model import FieldKey, MovementKind, Reservation
from stockpush.settings import Settings
from stockpush.sim.candle_shop import (
    ACCESS_TOKEN,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    DOMAIN,
    SHOPIFY,
    SHOPIFY_SECRET,
    WOO,
    WOO_SECRET,
    WOO_TOPICS,
    configuration,
)
from stockpush.sim.shops.base import Shop, WebhookOut
from stockpush.sim.shops.server import serve
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.shops.woocommerce.outbox import Webhook

CLOCK = SystemClock()
SHARED = Path(__file__).parents[2].parent / "shared"
WAIT_S = 15.0
POLL_S = 0.25
"""How often a channel is polled where a test waits for polls."""
POLL_MIN_S = 2
"""The least that a file may ask for."""
_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to whoever asks for any, so that no connection takes one first."""
_tried = itertools.count(os.getpid() * 101)


def free_port() -> int:
    """A port that nobody listens on; test runs side by side look in places of their own."""
    while True:
        port = _PORTS[next(_tried) % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def shopify_shop() -> ShopifyShop:
    """An empty Shopify shop that checks every request against the schema, where it is there."""
    schema = SHARED / "contracts" / "shopify" / "admin_schema_2026-10.json.gz"
    return ShopifyShop(
        SHOPIFY,
        clock=CLOCK.now,
        dice=random.Random(1),
        access_token=ACCESS_TOKEN,
        webhook_secret=SHOPIFY_SECRET,
        domain=DOMAIN,
        schema_path=schema if schema.exists() else None,
    )


def woo_shop() -> WooShop:
    """An empty WooCommerce shop that checks every request against its contract, likewise."""
    contracts = SHARED / "contracts" / "woocommerce"
    return WooShop(
        WOO,
        clock=CLOCK.now,
        dice=random.Random(2),
        consumer_key=CONSUMER_KEY,
        consumer_secret=CONSUMER_SECRET,
        contracts=contracts if contracts.exists() else None,
        webhook_delay_s=0.0,
    )


def polled(settings: Settings, poll_s: float) -> Settings:
    """Return the settings with every channel polled so often, oftener than a file may ask for."""
    channels = {
        name: channel.model_copy(update={"poll_s": poll_s})
        for name, channel in settings.channels.items()
    }
    return settings.model_copy(update={"channels": channels})


class OnTheWay:
    """Deliveries of a shop that are built, sent, and not there yet: kept until they are let in."""

    def __init__(self, shop: Shop) -> None:
        """Keep every delivery from now on."""
        self._take = shop.webhooks_due
        self._next: list[WebhookOut] = []
        self.keeping = True
        self.kept: list[WebhookOut] = []
        self.delivered: set[bytes] = set()
        """Bodies that were answered 200."""
        self._answered = shop.webhook_answered
        shop.webhook_answered = self._note
        shop.webhooks_due = self._due

    def let_in(self) -> None:
        """Deliver what was kept, before anything else."""
        self.keeping = False
        self._next, self.kept = self.kept, []

    def _due(self) -> list[WebhookOut]:
        due, self._next = [*self._next, *self._take()], []
        if self.keeping:
            self.kept += due
            return []
        return due

    def _note(self, out: WebhookOut, status: int | None) -> None:
        if status == 200:
            self.delivered.add(out.body)
        self._answered(out, status)


@dataclass
class Floor:
    """The shops, and the daemon once it runs."""

    folder: Path
    shopify: ShopifyShop = field(default_factory=shopify_shop)
    woo: WooShop = field(default_factory=woo_shop)
    items: list[str] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)
    watched: list[tuple[str, str]] = field(default_factory=list)
    parts: compose.Parts | None = None
    daemon: compose.Daemon | None = None
    settings: Settings | None = None
    webhooks: bool = True
    keys_used: int = 0
    database: str | None = None
    listen_port: int = 0
    pings: list[Webhook] = field(default_factory=list)

    # -- before it runs ------------------------------------------------------------------------

    def item(self, sku: str, on_hand: int = 0, *, unit: str = "piece") -> None:
        """Put an item into the catalogue."""
        kind = "product" if unit == "piece" else "material"
        self.items.append(
            f'[[items]]\nsku = "{sku}"\nname = "{sku}"\nkind = "{kind}"\nunit = "{unit}"\n'
            f"on_hand = {on_hand}\n"
        )

    def bill(self, sku: str, made: int, **uses: int) -> None:
        """Put a bill of materials into the catalogue."""
        lines = ", ".join(
            f'{{ item = "{name}", quantity = {quantity} }}' for name, quantity in uses.items()
        )
        self.items.append(f'[[boms]]\nitem = "{sku}"\nyield = {made}\nlines = [{lines}]\n')

    def on_shopify(self, sku: str, shows: int, *, pack: int = 1) -> str:
        """List an item on Shopify, where it shows a number now; return its name there."""
        variant = str(self.shopify.add_variant(sku, shows).variant_id)
        self._list(SHOPIFY, sku, f"{{ variant_id = {variant} }}", pack)
        self.watched.append((SHOPIFY, variant))
        return variant

    def on_woo(self, sku: str, shows: int, *, product_id: int = 10, pack: int = 1) -> str:
        """List an item as a simple product on WooCommerce."""
        self.woo.add_product(product_id, stock=shows, sku=sku)
        self._list(WOO, sku, f"{{ product_id = {product_id} }}", pack)
        self.watched.append((WOO, str(product_id)))
        return str(product_id)

    def on_woo_variation(self, sku: str, shows: int, *, parent: int, variation: int) -> str:
        """List an item as a variation whose stock is its parent's."""
        if f"parent {parent}" not in self.listings:
            self.woo.add_product(parent, stock=shows, type="variable")
        self.woo.add_variation(parent, variation, stock=None, sku=sku)
        ref = f"{{ product_id = {parent}, variation_id = {variation} }}"
        self._list(WOO, sku, ref, 1)
        self.watched.append((WOO, f"{parent}:{variation}"))
        return f"{parent}:{variation}"

    def _list(self, channel: str, sku: str, ref: str, pack: int) -> None:
        self.listings.append(
            f'[[listings]]\nchannel = "{channel}"\nitem = "{sku}"\npack = {pack}\nref = {ref}\n'
        )

    # -- while it runs -------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self, *, poll_s: float = 3600, mode: str = "live") -> AsyncIterator[Floor]:
        """Serve the shops, import the catalogue, adopt everything; the daemon does not run yet.

        A daemon that is a process of its own reads `POLL_MIN_S` where `poll_s` is less.
        """
        async with AsyncExitStack() as stack:
            shopify = await stack.enter_async_context(serve(self.shopify, sleep=CLOCK.sleep))
            woo = await stack.enter_async_context(serve(self.woo, sleep=CLOCK.sleep))
            self._configure(shopify.base_url, woo.base_url, poll_s, mode)
            async with self.unstarted() as parts:
                files = [("catalog.toml", "\n".join(self.items + self.listings).encode())]
                read = read_catalogue(
                    files,
                    known=Known(),
                    channels=parts.settings.channels,
                    refs=lambda channel, ref: parts.connectors[channel].ref(ref),
                )
                await parts.lane.commit([read.command(key="import", actor="test")])
                keys_ = tuple(listing.key for listing in read.listings)
                await parts.lane.commit([AdoptListings(keys_)])
            yield self

    def _configure(self, shopify_url: str, woo_url: str, poll_s: float, mode: str) -> None:
        (self.folder / "secret.key").write_text(keys.new_secret_key())
        (self.folder / "admin.token").write_text("t" * 43)
        for name in ("secret.key", "admin.token"):
            (self.folder / name).chmod(0o600)
        path = self.folder / "stockpush.toml"
        text = configuration(
            str(self.folder),
            shopify_url=shopify_url,
            woo_url=woo_url,
            poll_s=max(POLL_MIN_S, int(poll_s)),
            mode=mode,
            database=self.database,
        )
        path.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{self.listen_port}", 1))
        self.settings = polled(Settings.load(path, {}), poll_s)

    def has_public_url(self) -> None:
        """Configure that shops reach this machine where it listens."""
        path = self.folder / "stockpush.toml"
        root = f'[daemon]\npublic_url = "http://127.0.0.1:{self.listen_port}"\n'
        path.write_text(path.read_text().replace("[daemon]\n", root, 1))
        self.settings = Settings.load(path, {})

    @asynccontextmanager
    async def unstarted(self) -> AsyncIterator[compose.Parts]:
        """The parts alone, as the command line has them."""
        async with compose.parts(self.settings) as parts:
            yield parts

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Floor]:
        """Run the daemon; webhooks reach it."""
        async with compose.parts(self.settings) as parts:
            stop = asyncio.Event()
            async with compose.daemon(parts, stop=stop) as daemon:
                self.parts, self.daemon = parts, daemon
                if self.webhooks:
                    self._subscribe()
                try:
                    yield self
                finally:
                    self.parts = self.daemon = None

    def _subscribe(self) -> None:
        root = f"http://{self.daemon.public}"
        self.shopify.subscribe(root + self.parts.webhook_path(SHOPIFY))
        for topic in WOO_TOPICS:
            hook = self.woo.subscribe(topic, root + self.parts.webhook_path(WOO), WOO_SECRET)
            self.pings.append(hook)

    def shop(self, channel: str) -> ShopifyShop | WooShop:
        """The shop of a channel."""
        return self.shopify if channel == SHOPIFY else self.woo

    def learns_within(self, seconds: float) -> None:
        """Let a write without an answer be asked after again so soon, not after its deadline."""
        for channel in self.daemon.channels.values():
            manifest = replace(channel.connector.manifest, deadline_s=seconds)
            channel.connector = replace(channel.connector, manifest=manifest)

    def shows(self) -> dict[str, int]:
        """What every watched listing's field holds on its shop: the truth."""
        return {
            f"{channel} {listing}": self.shopify.quantity(listing)
            if channel == SHOPIFY
            else self.woo.stock_quantity(listing)
            for channel, listing in self.watched
        }

    def writes(self) -> int:
        """How many write requests both shops have received."""
        return len(self.shopify.faults.writes_seen) + len(self.woo.faults.writes_seen)

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Return once the condition holds; fail after a while, saying what is there."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    await CLOCK.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{what or 'waited in vain'}; shops show {self.shows()}") from None

    async def until_told(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return once the database tells it; fail after a while."""
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                await CLOCK.sleep(0.01)

    async def until_shows(self, *numbers: int) -> None:
        """Return once the watched listings show these numbers, in the order they were listed."""
        await self.until(lambda: tuple(self.shows().values()) == numbers, f"expected {numbers}")

    async def quiet(self) -> None:
        """Return once nothing is left to send, to read, to fetch or to deliver."""
        try:
            async with asyncio.timeout(WAIT_S):
                calm = 0
                while calm < 3:
                    calm = calm + 1 if await self._is_quiet() else 0
                    await CLOCK.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"never quiet; shops show {self.shows()}") from None

    async def _is_quiet(self) -> bool:
        now = CLOCK.now()
        if self.shopify.next_webhook_at() is not None or self.woo.next_webhook_at() is not None:
            return False
        for name in self.parts.connectors:
            store = self.parts.store
            if (
                await store.next_due(name) is not None
                or await store.open_pushes(name)
                or await store.hints(name, limit=1)
                or await store.reads_due(name, at=now, limit=1)
            ):
                return False
        view = await self.parts.view()
        channels = view.rows.channels
        return all(
            row.expected is not None
            and (
                self.settings.channels[row.key.channel].mode == "shadow"
                or (
                    row.first_observed_at is not None
                    and channels[row.key.channel].polled_begun_at > row.first_observed_at
                )
            )
            and (row.read_due_at is None or _far(row.read_due_at, now))
            for row in view.rows.fields.values()
            if row.parked_reason is None
        )

    async def moves(self, sku: str, quantity: int, kind: MovementKind) -> None:
        """Move stock by hand."""
        await self._commands(MoveStock((StockMove(sku, quantity, kind),), self._key(), "test"))

    async def builds(self, sku: str, quantity: int) -> None:
        """Build from the bill."""
        await self._commands(BuildStock(sku, quantity, self._key(), "test"))

    async def counts(self, sku: str, counted: int) -> None:
        """Count the shelf."""
        await self._commands(CountStock(sku, counted, self._key(), "test"))

    async def _commands(self, command: object) -> None:
        done = await self.parts.lane.submit(command)
        assert isinstance(done.outcome, Accepted), done.outcome

    def _key(self) -> str:
        self.keys_used += 1
        return f"test {self.keys_used}"

    async def field(self, channel: str, key: str) -> object:
        """A field's row."""
        (row,) = await self.parts.store.fields([FieldKey(channel, key)])
        return row

    async def reservations(self, channel: str, order_id: str) -> list[Reservation]:
        """The rows of an order."""
        async with self.parts.store.transaction() as transaction:
            rows = await transaction.gather(Needs(orders=frozenset({(channel, order_id)})))
        return list(rows.reservations.values())

    async def atp(self, sku: str) -> int:
        """The item's ATP."""
        from stockpush.reservation.atp import atp

        return atp((await self.parts.view()).net([sku]), sku)


def _far(instant: object, now: object) -> bool:
    """Whether a reading is due only for routine's sake."""
    return (instant - now).total_seconds() > 30
