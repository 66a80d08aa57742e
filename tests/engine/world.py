"""A daemon of one channel on virtual time: real lane, workers and database, a shop of numbers.

Nothing waits, so an idle day costs what the daemon does in it, and clocks can jump.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stockpush.connectors.base import (
    Manifest,
    OrderPage,
    PushLine,
    PushOutcome,
    Reading,
    Readings,
)
from stockpush.engine.channel import Channel
from stockpush.engine.commit import CommitLane
from stockpush.engine.pusher import Pusher
from stockpush.engine.reconcile import Reconciler
from stockpush.engine.steady import SteadyClock
from stockpush.engine.supervisor import Supervisor, Workers
from stockpush.messages import (
    AdoptListings,
    Command,
    ImportCatalogue,
    ListingResolved,
    MoveStock,
    OrderHint,
    OrderLineSeen,
    OrderSeen,
    ReceiveDelivery,
    StockMove,
)
from stockpush.model import (
    ChannelPolicy,
    Delivery,
    DeliveryState,
    Field,
    FieldKey,
    Item,
    Kind,
    Listing,
    ListingKey,
    Mode,
    MovementKind,
    OrderVersion,
    PushOutcomeKind,
)
from stockpush.sim.loop import Owner, SimClock, SimIds, VirtualLoop, spawn
from stockpush.sim.machine import empty_database
from stockpush.sim.sqlite import Files
from stockpush.store.sql import SqlStore

SHOP = "shop"
FIELD = FieldKey(SHOP, "a")
POLL_S = 300.0
DEADLINE_S = 20.0


def manifest(*, write: str = "compare_and_set") -> Manifest:
    """What the engine acts on; everything else is empty."""
    return Manifest(
        name="numbers",
        title="Numbers",
        api_version="1",
        write=write,
        batch_max=10,
        read_max=10,
        quantity_max=999,
        requests_per_s=10,
        burst=10,
        deadline_s=DEADLINE_S,
        slack_s=1,
        orders_lag_s=0,
        poll_overlap_s=0,
        suspense_min_s=900,
        quiet_s=0,
        webhook_topics=(),
        ref_fields=("id",),
    )


@dataclass
class NumbersShop:
    """A shop that holds a number for each field and compares before it sets one.

    `log` are the calls in order; `before` is awaited with a call's name before it is answered.
    """

    clock: SimClock
    channel: str = SHOP
    numbers: dict[str, int] = field(default_factory=lambda: {"a": 10})
    orders: dict[str, OrderSeen] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    manifest: Manifest = field(default_factory=manifest)
    before: Callable[[str], Awaitable[None]] | None = None
    answer_push: Callable[[], PushOutcome | None] = lambda: None

    def together(self, key: str) -> str:
        """Each field is written by itself."""
        return key

    async def _called(self, name: str) -> None:
        self.log.append(name)
        if self.before is not None:
            await self.before(name)

    async def resolve(self, api: Any, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Every listing goes by its own reference."""
        await self._called("resolve")
        return tuple(ListingResolved(row.key, row.key.ref, row.key.ref) for row in listings)

    async def observe(self, api: Any, fields: Sequence[FieldKey]) -> Readings:
        """The numbers as they are when the call arrives."""
        await self._called("observe")
        rows = tuple(Reading(key, self.numbers[key.key]) for key in fields)
        return Readings(rows, self.clock.now())

    async def push(
        self, api: Any, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Compare and set each line."""
        await self._called("push")
        told = self.answer_push()
        return tuple(told or self._set(line) for line in batch)

    def _set(self, line: PushLine) -> PushOutcome:
        actual = self.numbers[line.field.key]
        if actual != line.expected:
            return PushOutcome(PushOutcomeKind.CONFLICT, actual=actual, date=self.clock.now())
        self.numbers[line.field.key] = line.target
        return PushOutcome(PushOutcomeKind.APPLIED, actual=line.target, date=self.clock.now())

    async def fetch_order(self, api: Any, order_id: str, *, fetch: int) -> OrderSeen | None:
        """The order as it is when the call arrives."""
        seen = self.order(order_id, fetch)
        await self._called("fetch")
        return seen

    async def poll_orders(
        self, api: Any, *, since: str | None, fetch: int
    ) -> AsyncIterator[OrderPage]:
        """All orders on one page."""
        await self._called("poll")
        found = tuple(self.order(name, fetch) for name in sorted(self.orders))
        yield OrderPage(tuple(each for each in found if each), self.clock.now(), True, "c")

    def order(self, order_id: str, fetch: int) -> OrderSeen | None:
        """The order as the fetch of that number sees it."""
        known = self.orders.get(order_id)
        if known is None:
            return None
        return replace(known, version=OrderVersion(known.version.updated_at, fetch))

    def sell(self, order_id: str, units: int, *, deducts: bool = True) -> None:
        """An order of so many, or as many as it has after an edit; no webhook tells of it."""
        now = self.clock.now()
        line = OrderLineSeen("1", "a", units, units, 0, 0, units)
        before = self.orders.get(order_id)
        had = 0 if before is None else before.lines[0].open
        self.orders[order_id] = OrderSeen(
            SHOP, order_id, OrderVersion(now, 0), now, now, "open", (line,)
        )
        if deducts:
            self.numbers["a"] -= units - had


@dataclass
class Floor:
    """The daemon and its shop."""

    loop: VirtualLoop
    clock: SimClock
    shop: NumbersShop
    store: SqlStore
    lane: CommitLane
    workers: Workers
    supervisor: Supervisor
    owner: Owner
    statements: Counter[str]
    files: Files
    keys: int = 0

    async def moves(self, quantity: int) -> None:
        """Move stock by hand."""
        self.keys += 1
        move = StockMove("candle", quantity, MovementKind.ADJUSTMENT)
        await self.lane.submit(MoveStock((move,), f"key {self.keys}", "test"))

    async def moves_elsewhere(self, quantity: int) -> None:
        """Another process moves stock."""
        move = StockMove("candle", quantity, MovementKind.ADJUSTMENT)
        await self.elsewhere(MoveStock((move,), "elsewhere", "test"))

    async def elsewhere(self, command: Command) -> None:
        """Another process carries out a command, on a connection of its own."""
        url = f"sqlite:///{self.files.path}"
        store = await SqlStore.open(url, async_creator=self.files.connect, migrate=False)
        lane = CommitLane(store, self.lane.clock, self.lane.policies)
        await lane.commit([command])
        await store.close()

    async def hints(self, order_id: str) -> None:
        """A webhook that only points at an order; always with the same body."""
        delivery = Delivery(SHOP, f"d {order_id}", "edit", self.clock.now(), DeliveryState.APPLIED)
        await self.lane.submit(ReceiveDelivery(delivery, (OrderHint(SHOP, order_id),)))

    async def row(self) -> Field:
        """The field's row."""
        (row,) = await self.store.fields([FIELD])
        return row

    async def passes(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.clock.sleep(seconds)

    async def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Return after how many seconds the condition holds; fail if it never does."""
        begun = self.clock.monotonic()
        while not condition():
            assert self.clock.monotonic() - begun < within_s, "waited in vain"
            await self.clock.sleep(0.1)
        return self.clock.monotonic() - begun


@asynccontextmanager
async def floor(
    folder: Path,
    *,
    write: str = "compare_and_set",
    look_s: float = 5.0,
    mode: Mode = Mode.LIVE,
    first: Command | None = None,
    away_s: float = 0,
) -> AsyncIterator[Floor]:
    """A floor with ten candles, adopted, read and at rest on its one channel.

    `first` is carried out before the daemon begins, which is `away_s` later.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    wall = SimClock(loop)
    clock = SteadyClock(wall)
    ids = SimIds(random.Random(1))
    files = Files(folder)
    files.path.write_bytes(empty_database())
    statements: Counter[str] = Counter()

    async def connect() -> Any:
        connection = await files.connect()
        await connection.set_trace_callback(lambda text: statements.update([text.split()[0]]))
        return connection

    store = await SqlStore.open(f"sqlite:///{files.path}", async_creator=connect, migrate=False)
    shop = NumbersShop(wall, manifest=manifest(write=write))
    policy = ChannelPolicy(
        SHOP,
        "numbers",
        mode,
        compare_and_set=write == "compare_and_set",
        orders_lag_s=0,
    )
    lane = CommitLane(store, clock, {SHOP: policy})
    channel = Channel(SHOP, shop, None, None, policy, POLL_S)
    reconciler = Reconciler(channel, lane, store, clock, ids, seal=lambda body, _: body)
    pusher = Pusher(channel, lane, store, clock, ids, reconciler.poll)
    workers = Workers(channel, pusher, reconciler)
    supervisor = Supervisor(store, lane, clock, [workers], beat=lambda: None, look_s=look_s)
    candle = Item("candle", "Candle", Kind.PRODUCT, "piece")
    listing = Listing(ListingKey(SHOP, "a"), "candle", ref={"id": "a"})
    opening = StockMove("candle", 10, MovementKind.OPENING)
    await lane.commit([ImportCatalogue((candle,), (), (listing,), (opening,), "i", "test")])
    await lane.commit([AdoptListings((listing.key,))])
    if first is not None:
        await lane.commit([first])
    await wall.sleep(away_s)
    stop, owner = asyncio.Event(), Owner("daemon")
    running = spawn(loop, supervisor.run(stop), owner)
    made = Floor(loop, wall, shop, store, lane, workers, supervisor, owner, statements, files)
    try:
        await made.passes(400)
        assert "observe" in shop.log
        yield made
    finally:
        if owner.frozen:
            loop.thaw(owner)
        stop.set()
        await asyncio.wait({running})
        await store.close()
    running.result()


def ran(work: Coroutine[Any, Any, None]) -> None:
    """Run one test on virtual time."""
    empty_database()  # migrated once, on the real clock, before a loop runs
    loop = VirtualLoop(random.Random(1))
    try:
        loop.run_until_complete(loop.create_task(work))
    finally:
        loop.close()
