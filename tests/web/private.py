"""The private listener over a real SQLite database, which is filled through the commit lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
from yarl import URL

from stockpush import compose, keys
from stockpush.engine.channel import Channel
from stockpush.engine.channel_report import Reads
from stockpush.engine.commit import Done
from stockpush.engine.intake import Counts
from stockpush.messages import (
    AdoptListings,
    ApplyOrders,
    Command,
    ImportCatalogue,
    ListingResolved,
    MoveStock,
    Observe,
    OpenPushes,
    PlaceHold,
    PollCompleted,
    PushSettled,
    QuantitySeen,
    ReceiveDelivery,
    ReleaseHold,
    ResolveListings,
    SettlePushes,
    StockMove,
)
from stockpush.model import (
    BillLine,
    BillOfMaterials,
    Delivery,
    DeliveryState,
    FieldKey,
    HoldLine,
    Item,
    Kind,
    Listing,
    ListingKey,
    MovementKind,
    PushOutcomeKind,
)
from stockpush.settings import Settings
from stockpush.sim.candle_shop import SHOPIFY, WOO, configuration
from stockpush.web.api import private_app, private_runner
from stockpush.web.listener import listening
from stockpush.web.metrics import Metrics
from tests.sqlite import put_empty

TOKEN = "t" * 43
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CANDLE = FieldKey(SHOPIFY, "1")
SOAP = FieldKey(WOO, "10")
ITEMS = (
    Item("candle", "Candle", Kind.PRODUCT, "piece"),
    Item("soap", "Soap", Kind.PRODUCT, "piece"),
    Item("wax", "Beeswax", Kind.MATERIAL, "kg", scale=3),
)
BILLS = (
    BillOfMaterials("candle", 10, (BillLine("wax", 1500),)),
    BillOfMaterials("soap", 12, (BillLine("wax", 300),)),
)
LISTINGS = (
    Listing(ListingKey(SHOPIFY, "1"), "candle", 1, {"variant_id": 1}),
    Listing(ListingKey(WOO, "10"), "soap", 1, {"product_id": 10}),
)


@dataclass
class SetClock:
    """A clock that stands until a test moves it."""

    at: datetime = NOON

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self.at

    def monotonic(self) -> float:
        """Return seconds since noon."""
        return (self.at - NOON).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.pass_s(seconds)

    def pass_s(self, seconds: float) -> None:
        """Move the clock on."""
        self.at += timedelta(seconds=seconds)


@dataclass
class CountedIds:
    """Identifiers in order."""

    count: int = 0

    def new(self) -> str:
        """Return the next one."""
        self.count += 1
        return f"id-{self.count}"

    def jitter(self) -> float:
        """Return no jitter."""
        return 0.0


@dataclass
class Office:
    """The parts of a daemon that does not run, and ways to fill its database."""

    parts: compose.Parts
    clock: SetClock
    channels: Mapping[str, Channel]
    counts: Mapping[str, Counts]
    metrics: Metrics
    sales: int = 0

    async def do(self, command: Command) -> Done:
        """Carry out one command through the lane."""
        (done,) = await self.parts.lane.commit([command])
        return done

    async def fill(self) -> None:
        """Two products of one wax, each listed once: adopted, read and ready to push; and a hold
        that was given back.
        """
        opening = tuple(
            StockMove(sku, quantity, MovementKind.OPENING)
            for sku, quantity in (("candle", 5), ("wax", 2500))
        )
        await self.do(ImportCatalogue(ITEMS, BILLS, LISTINGS, opening, "import", "test"))
        await self.do(
            PlaceHold((HoldLine("candle", 2),), timedelta(days=1), "market", "hold", "test")
        )
        await self.do(ReleaseHold(1, "release", "test", "it rained"))
        await self.do(
            ResolveListings(
                tuple(ListingResolved(each.key, each.key.ref, each.key.ref) for each in LISTINGS)
            )
        )
        await self.do(AdoptListings(tuple(each.key for each in LISTINGS)))
        await self.read(CANDLE, 5)
        await self.read(SOAP, 100)
        self.clock.pass_s(1)
        for name in (SHOPIFY, WOO):
            await self.poll(name)

    async def read(self, key: FieldKey, shows: int) -> None:
        """Take a reading of a field as it is now."""
        rows = await self.parts.store.fields([key])
        seen = QuantitySeen(
            key, shows, self.clock.at, rows[0].expected, rows[0].revision, self.clock.at
        )
        await self.do(Observe((seen,)))

    async def poll(self, name: str) -> None:
        """Complete a poll that finds nothing new."""
        completed = PollCompleted(self.clock.at, None, self.clock.at)
        await self.do(ApplyOrders(name, (), completes=completed))

    async def sell(self, sku: str, quantity: int) -> None:
        """Sell smallest units of an item elsewhere."""
        self.sales += 1
        move = StockMove(sku, -quantity, MovementKind.SALE)
        await self.do(MoveStock((move,), f"sell {self.sales}", "test"))

    async def open_push(self, key: FieldKey, call_id: str) -> None:
        """Open a push of one dirty field."""
        done = await self.do(OpenPushes(key.channel, (key,), call_id))
        assert len(done.outcome.facts["pushes"]) == 1

    async def settle(self, key: FieldKey, call_id: str, outcome: PushOutcomeKind) -> None:
        """Say how a push ended."""
        settled = PushSettled(call_id, key, outcome, reason="told by the test")
        await self.do(SettlePushes((settled,)))

    async def deliver(self, number: int, state: DeliveryState = DeliveryState.APPLIED) -> None:
        """Store one delivery."""
        reason = "" if state is DeliveryState.APPLIED else "line 3 has no quantity"
        delivery = Delivery(
            SHOPIFY, f"{number:064x}", "orders/create", self.clock.at, state, reason, body=b"sealed"
        )
        await self.do(ReceiveDelivery(delivery, ()))


@asynccontextmanager
async def office(folder: Path, *, database: str | None = None) -> AsyncIterator[Office]:
    """Open an empty database, SQLite in the folder unless told, with the two channels of the candle
    shop configured.
    """
    (folder / "secret.key").write_text(keys.new_secret_key())
    (folder / "admin.token").write_text(TOKEN)
    path = folder / "stockpush.toml"
    nowhere = "http://127.0.0.1:9"
    path.write_text(
        configuration(str(folder), shopify_url=nowhere, woo_url=nowhere, database=database)
    )
    if database is None:
        put_empty(folder / "stockpush.db")
    clock = SetClock()
    async with compose.parts(Settings.load(path, {}), clock=clock, ids=CountedIds()) as parts:
        channels = {
            name: Channel(name, connector, None, None, parts.lane.policies[name], 60)
            for name, connector in parts.connectors.items()
        }
        counts = {name: Counts() for name in channels}
        metrics = Metrics(clock, parts.lane.counters, counts, channels)
        parts.lane.listen(metrics.note)
        yield Office(parts, clock, channels, counts, metrics)


@dataclass
class Listener:
    """A running private listener; `http` sends the token."""

    office: Office
    url: str
    port: int
    http: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        """Ask for a path, given as it is to be sent, and read the answer."""
        url = URL(self.url + path, encoded=True)
        async with self.http.get(url, headers=headers) as answer:
            await answer.read()
            return answer

    async def raw(self, *lines: str) -> tuple[int, str]:
        """Send a GET with these lines as they are; return the status and the whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return int(answer.split(" ")[1]), answer


@asynccontextmanager
async def listener(office: Office, reads: Reads | None = None) -> AsyncIterator[Listener]:
    """Serve the private application on a free port; `reads` other than the office's may fail."""
    parts = office.parts
    app = private_app(
        reads or parts,
        office.metrics,
        partial(parts.channel_report, running=office.channels),
        carry_out=parts.carry_out,
        hold_for=parts.hold_for,
        token=TOKEN,
        host="Stock.Example",
        ids=parts.ids,
    )
    async with (
        listening(private_runner(app), "127.0.0.1", 0, field="daemon.admin") as (_, port),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        lane = asyncio.create_task(parts.lane.run())
        try:
            yield Listener(office, f"http://127.0.0.1:{port}", port, http)
        finally:
            lane.cancel()
            await asyncio.wait([lane])
