"""What is measured (docs/performance.md): each measure makes one run of its floor and one of ours.

A run that did not do what it was timed for raises `WrongRun`: no figure comes of it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from bench import bulk, lane, load, postgres, processes, shops, workshop, world
from bench.processes import WrongRun
from stockpush.model import FieldKey, OrderVersion, Reservation, ReservationKey, ReservationState
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.store import rows


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each thing one run does."""

    http_sales: int = 3_000
    http_connections: int = 64
    rate: float = 1_000.0
    rate_sales: int = 4_000
    rate_connections: int = 256
    lane_sales: int = 6_000
    lane_senders: int = 64
    pushed_sales: int = 40
    checked_sales: int = 6
    open_reservations: int = 100_000
    items: int = 100_000
    few_listings: int = 1_000
    some_listings: int = 10_000
    many_listings: int = 100_000
    most_listings: int = 1_000_000
    workshop_sales: int = 300
    made_sales: int = 40
    made_items: int = 20
    kept_sales: int = 100
    warm_up: int = 300


QUICK: Final = Sizes(
    http_sales=200,
    rate=200.0,
    rate_sales=100,
    lane_sales=400,
    pushed_sales=4,
    checked_sales=2,
    open_reservations=2_000,
    items=2_000,
    few_listings=200,
    some_listings=400,
    many_listings=1_000,
    most_listings=2_000,
    workshop_sales=30,
    made_sales=10,
    made_items=5,
    kept_sales=10,
    warm_up=20,
)
"""Enough to see that a bench runs and checks itself."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One run of the floor and one of ours."""

    floor: float
    ours: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table. `target` is of the ratio ours / floor, or of ours if `absolute`."""

    key: str
    what: str
    floor: str
    unit: str
    target: float
    run: Callable[[Ground], Pair]
    more_is_better: bool = False
    absolute: bool = False


class Ground:
    """Where runs are made: a folder, a furnished world to copy, and a PostgreSQL once needed."""

    def __init__(self, folder: Path, sizes: Sizes, server: postgres.Server) -> None:
        """Furnish the world that every run on SQLite starts from."""
        self.folder = folder
        self.sizes = sizes
        self._server = server
        self._template = folder / "template"
        self._template.mkdir()
        asyncio.run(world.furnish(world.Address(self._template)))
        self._traces: dict[lane.Job, lane.Job] = {}

    @contextmanager
    def copy(self) -> Iterator[world.Address]:
        """Lend a world of one's own on SQLite, with a free port."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            shutil.copytree(self._template, folder, dirs_exist_ok=True)
            address = world.Address(folder, port=processes.free_port())
            address.configure()
            yield address
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def workshop(self, listings: int) -> Iterator[world.Address]:
        """Lend a workshop of one's own on SQLite: so many listings, whose items share materials."""
        template = self.folder / f"workshop-{listings}"
        if not template.exists():
            template.mkdir()
            items = listings // 2  # each is on two channels
            bulk.furnish(world.Address(template), items=items, materials=_materials(items))
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            shutil.copytree(template, folder, dirs_exist_ok=True)
            address = world.Address(folder, port=processes.free_port())
            address.configure()
            yield address
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def on_postgres(self) -> Iterator[world.Address]:
        """Lend a world of one's own in a schema of its own."""
        with self.copy() as copied, self._server.schema() as url:
            address = replace(copied, database=url)
            asyncio.run(world.furnish(address))
            yield address

    @contextmanager
    def open_for_business(self, address: world.Address) -> Iterator[world.Address]:
        """Serve the shops that the world's channels are."""
        with processes.served_shops() as served:
            there = replace(address, shopify_url=served.shopify_url, woo_url=served.woo_url)
            there.configure()
            yield there

    def trace(self, job: lane.Job) -> str:
        """Return the file of what the lane writes for a job; recorded once."""
        path = self.folder / f"trace-{job.sales}-{job.spread}"
        if not path.exists():
            with self.copy() as address:
                recorded = replace(job, folder=str(address.folder), trace=str(path))
                processes.carry_out("lane", recorded, lane.Took)
        return str(path)


def _materials(items: int) -> int:
    """Return how many materials so many items of a workshop are made from."""
    return max(20, items // 100) if items else 0


def _balanced(address: world.Address, sales: int) -> None:
    """Raise `WrongRun` unless the books say that so many sales were made, each once."""
    faults = asyncio.run(world.books(address)).faults(sales)
    if faults:
        raise WrongRun("; ".join(faults))


# -- over HTTP -------------------------------------------------------------------------------


def _load(ground: Ground, address: world.Address, *, rate: float | None) -> load.Answered:
    """Send sales to whatever serves at the address; every one must be acknowledged."""
    sizes = ground.sizes
    job = load.Job(
        port=address.port,
        path=address.hook(SHOPIFY),
        sales=sizes.http_sales if rate is None else sizes.rate_sales,
        spread=world.ITEMS,
        connections=sizes.http_connections if rate is None else sizes.rate_connections,
        warm_up=sizes.warm_up,
        rate=rate,
    )
    answered = processes.carry_out("load", job, load.Answered)
    if answered.acknowledged != answered.sent or answered.sent != job.sales + job.warm_up:
        raise WrongRun(f"of {answered.sent} sales {answered.acknowledged} were acknowledged")
    return answered


def _floor_load(ground: Ground, *, rate: float | None) -> load.Answered:
    with ground.copy() as address, processes.floor(address):
        return _load(ground, address, rate=rate)


def _daemon_load(ground: Ground, address: world.Address, *, rate: float | None) -> load.Answered:
    with ground.open_for_business(address) as there:
        with processes.settled_daemon(there):
            answered = _load(ground, there, rate=rate)
        _balanced(there, answered.sent)
        return answered


def _throughput(ground: Ground) -> Pair:
    floor = _floor_load(ground, rate=None)
    with ground.copy() as address:
        ours = _daemon_load(ground, address, rate=None)
    return Pair(_per_second(ground, floor), _per_second(ground, ours))


def _throughput_on_postgres(ground: Ground) -> Pair:
    floor = _floor_load(ground, rate=None)
    with ground.on_postgres() as address:
        ours = _daemon_load(ground, address, rate=None)
    return Pair(_per_second(ground, floor), _per_second(ground, ours))


def _per_second(ground: Ground, answered: load.Answered) -> float:
    return ground.sizes.http_sales / answered.seconds


def _latency(ground: Ground) -> Pair:
    rate = ground.sizes.rate
    floor = _floor_load(ground, rate=rate)
    with ground.copy() as address:
        ours = _daemon_load(ground, address, rate=rate)
    return Pair(floor.p99_ms, ours.p99_ms)


# -- without HTTP ----------------------------------------------------------------------------


def _lane(ground: Ground, *, spread: int) -> float:
    """Return the sales a second of the commit lane."""
    sizes = ground.sizes
    with ground.copy() as address:
        job = lane.Job(str(address.folder), sizes.lane_sales, spread, sizes.lane_senders)
        took = processes.carry_out("lane", job, lane.Took)
        _balanced(address, job.sales)
    return job.sales / took.seconds


def _replayed(ground: Ground) -> float:
    sizes = ground.sizes
    with ground.copy() as address:
        job = lane.Job(str(address.folder), sizes.lane_sales, world.ITEMS, sizes.lane_senders)
        took = processes.carry_out("replay", replace(job, trace=ground.trace(job)), lane.Took)
        _balanced(address, job.sales)
    return job.sales / took.seconds


def _full_sales(ground: Ground) -> Pair:
    return Pair(_replayed(ground), _lane(ground, spread=world.ITEMS))


def _hot_item(ground: Ground) -> Pair:
    return Pair(_lane(ground, spread=world.ITEMS), _lane(ground, spread=1))


# -- from shop to shop -----------------------------------------------------------------------


def _to_shopify(ground: Ground) -> Pair:
    return _pushed(ground, selling=WOO, sales=ground.sizes.pushed_sales, pause_s=0.1)


def _to_woocommerce(ground: Ground) -> Pair:
    # Its platform is asked three things for each push, five a second.
    return _pushed(ground, selling=SHOPIFY, sales=ground.sizes.checked_sales, pause_s=0.8)


def _pushed(ground: Ground, *, selling: str, sales: int, pause_s: float) -> Pair:
    with ground.copy() as address, processes.served_shops() as served:
        there = replace(address, shopify_url=served.shopify_url, woo_url=served.woo_url)
        there.configure()
        with processes.settled_daemon(there):
            url = f"http://127.0.0.1:{there.port}{there.hook(selling)}"
            told = served.sell(shops.Job(selling, url, sales, warm_up=2, pause_s=pause_s))
        found = asyncio.run(world.books(there, selling=selling))
        faults = told.faults + found.faults(told.sold)
        if faults:
            raise WrongRun("; ".join(faults))
    return Pair(told.acknowledged_ms, told.pushed_ms)


# -- a large workshop ------------------------------------------------------------------------


def _sold_among(listings: Callable[[Sizes], int]) -> Callable[[Ground], Pair]:
    """Return the measure of a sale among so many listings, beside one among few."""

    def measure(ground: Ground) -> Pair:
        sizes = ground.sizes
        return Pair(_sold_in(ground, sizes.few_listings), _sold_in(ground, listings(sizes)))

    return measure


def _sold_in(ground: Ground, listings: int) -> float:
    """Return the processor's milliseconds for one sale by itself, from the shelf."""
    with ground.workshop(listings) as address:
        sales = ground.sizes.workshop_sales
        job = lane.Job(str(address.folder), sales, listings // 2, 1, warm_up=_FIRST_SALES)
        took = processes.carry_out("lane", job, lane.Took)
        _balanced(address, sales + _FIRST_SALES)
    return took.cpu_s / sales * 1000


def _made_among(listings: Callable[[Sizes], int], materials: int) -> Callable[[Ground], Pair]:
    """Return the measure of a sale that has to be made, beside one among few.

    There are so many units of each material.
    """

    def measure(ground: Ground) -> Pair:
        few = _made_in(ground, ground.sizes.few_listings, materials)
        return Pair(few, _made_in(ground, listings(ground.sizes), materials))

    return measure


def _made_in(ground: Ground, listings: int, materials: int) -> float:
    """Return the processor's milliseconds for one sale by itself, of an item with nothing finished.

    Those sold draw on materials that were drawn on before, as popular ones are: listings that they
    lower wait in the outbox already.
    """
    with ground.workshop(listings) as address:
        asyncio.run(_nothing_finished(address, materials))
        spread, sales = ground.sizes.made_items, ground.sizes.made_sales
        warm_up = spread + _FIRST_SALES
        job = lane.Job(str(address.folder), sales, spread, 1, warm_up=warm_up)
        took = processes.carry_out("lane", job, lane.Took)
        _balanced(address, sales + warm_up)
    return took.cpu_s / sales * 1000


async def _nothing_finished(address: world.Address, materials: int) -> None:
    """Leave a workshop so many units of each material, nothing finished, and an empty outbox."""
    await world.execute(address, "UPDATE shelf SET on_hand = ?", [(materials,)])
    finished = "UPDATE shelf SET on_hand = ? WHERE sku IN (SELECT item FROM bill)"
    await world.execute(address, finished, [(0,)])
    await world.execute(address, "DELETE FROM dirty WHERE revision >= ?", [(0,)])


_PLENTY: Final = 10**14
"""Of each material, smallest units: more than any listing can show candles of it."""
_SCARCE: Final = 10**6
"""As much of each material that each sale lowers the offer of whatever is made from it."""
_FIRST_SALES: Final = 5
"""Sales in which the catalogue is read and statements are compiled."""


def _kept_of(listings: Callable[[Sizes], int]) -> Callable[[Ground], Pair]:
    """Return the measure of the memory that so many listings take, beside none."""
    return lambda ground: Pair(_kept(ground, 0), _kept(ground, listings(ground.sizes)))


def _kept(ground: Ground, listings: int) -> float:
    """Return the megabytes of a daemon that has read its catalogue and taken some sales.

    The shops do not answer: what is kept for a call under way is none of the catalogue's.
    """
    with ground.workshop(listings) as address:
        with processes.watched_daemon(address) as resident:
            sold = _sold_at_last(ground, address, listings) if listings else range(1)
            kept, most = resident.now_mb(), resident.most_mb()
        found = asyncio.run(world.books(address))
        if all(found.faults(number) for number in sold):
            raise WrongRun("; ".join(found.faults(sold[0])))
    said = f"{listings:,} listings: {kept:,.0f} MB, at most {most:,.0f}"
    print(f"    {said}", file=sys.stderr)
    return kept


def _sold_at_last(ground: Ground, address: world.Address, listings: int) -> range:
    """Have sales acknowledged, after those that a daemon refuses while it reads its catalogue.

    Return how many there may be in the books: a sale that was not acknowledged may be there.
    """
    sales, sent, acknowledged = ground.sizes.kept_sales, 0, 0
    until = time.monotonic() + _READ_WITHIN_S
    while acknowledged < sales:
        job = load.Job(
            port=address.port,
            path=address.hook(SHOPIFY),
            sales=sales if acknowledged else 1,
            spread=listings // 2,
            connections=1,
            warm_up=0,
            first=sent,
        )
        answered = processes.carry_out("load", job, load.Answered)
        sent += answered.sent
        acknowledged += answered.acknowledged
        if answered.acknowledged < answered.sent and time.monotonic() > until:
            raise WrongRun(f"of {sent} sales {acknowledged} were acknowledged")
    return range(acknowledged, sent + 1)


_READ_WITHIN_S: Final = 900.0


def _all_promised(ground: Ground) -> Pair:
    return Pair(*workshop.netted(ground.sizes.items))


# -- starting --------------------------------------------------------------------------------


def _start(ground: Ground) -> Pair:
    return Pair(_started(ground, 0), _started(ground, ground.sizes.open_reservations))


def _started(ground: Ground, count: int) -> float:
    """Return the seconds from start to ready with so many open reservations."""
    with ground.copy() as address, ground.open_for_business(address) as there:
        asyncio.run(_reserve(there, count))
        with processes.daemon(there) as seconds:
            pass
        found = asyncio.run(world.books(there))
        if (found.open_units, found.reserved_units) != (count, count):
            raise WrongRun(f"{found.open_units} units are open, expected {count}")
    return seconds


async def _reserve(address: world.Address, count: int) -> None:
    """Write open reservations of one unit each, as if they had been sold and pushed long ago."""
    columns = ", ".join(["?"] * len(rows.reservation_row(_reservation(0))))
    await world.execute(
        address,
        f"INSERT INTO reservation VALUES ({columns})",  # noqa: S608  # question marks
        [rows.reservation_row(_reservation(number)) for number in range(count)],
    )
    sold = [
        (count // world.ITEMS + (n < count % world.ITEMS), world.sku(n)) for n in range(world.ITEMS)
    ]
    await world.execute(address, "UPDATE shelf SET reserved = reserved + ? WHERE sku = ?", sold)
    await world.execute(address, "UPDATE field SET expected = expected - ? WHERE sku = ?", sold)


def _reservation(number: int) -> Reservation:
    item = number % world.ITEMS
    placed = world.CLOCK.now() - timedelta(days=1)
    return Reservation(
        key=ReservationKey(SHOPIFY, str(number), "1"),
        version=OrderVersion(placed, 0),
        order_key=str(world.variant(item)),
        placed_at=placed,
        ordered=1,
        open=1,
        shipped=0,
        written_off=0,
        deducted=1,
        state=ReservationState.COMMITTED,
        order_state="open",
        sku=world.sku(item),
        field=FieldKey(SHOPIFY, world.field_key(SHOPIFY, item)),
    )


MEASURES: Final = (
    Measure(
        "P1",
        "durable acknowledged sales over HTTP, SQLite",
        "the same listener and handler without a database",
        "sales/s",
        0.60,
        _throughput,
        more_is_better=True,
    ),
    Measure(
        "P2",
        "sales through the commit lane, SQLite",
        "sqlite3 writing the same rows in the same groups",
        "sales/s",
        0.50,
        _full_sales,
        more_is_better=True,
    ),
    Measure(
        "P3",
        "durable acknowledged sales over HTTP, PostgreSQL",
        "the same listener and handler without a database",
        "sales/s",
        0.55,
        _throughput_on_postgres,
        more_is_better=True,
    ),
    Measure(
        "P4",
        "99th percentile of the acknowledgement at 1,000 sales/s, open loop",
        "the same listener and handler without a database",
        "ms",
        4.0,
        _latency,
    ),
    Measure(
        "P5",
        "sale on WooCommerce to Shopify's answer to the push, median",
        "the acknowledgement of the same sales, median",
        "ms",
        1.5,
        _to_shopify,
    ),
    Measure(
        "P5w",
        "sale on Shopify to WooCommerce's answer to the push, median",
        "the acknowledgement of the same sales, median",
        "ms",
        1.5,
        _to_woocommerce,
    ),
    Measure(
        "P6",
        "sales of one item through the commit lane",
        "sales spread over 1,000 items",
        "sales/s",
        0.95,
        _hot_item,
        more_is_better=True,
    ),
    Measure(
        "P7",
        "a sale from the shelf among 1,000,000 listings that share materials, processor time",
        "the same among 1,000",
        "ms",
        12.0,
        _sold_among(lambda sizes: sizes.most_listings),
    ),
    Measure(
        "P7-5",
        "a sale from the shelf among 100,000 such listings",
        "the same among 1,000",
        "ms",
        12.0,
        _sold_among(lambda sizes: sizes.many_listings),
    ),
    Measure(
        "P7-4",
        "a sale from the shelf among 10,000 such listings",
        "the same among 1,000",
        "ms",
        12.0,
        _sold_among(lambda sizes: sizes.some_listings),
    ),
    Measure(
        "P7m",
        "a sale among 1,000,000 such listings that has to be made, of plenty of materials",
        "the same among 1,000",
        "ms",
        12.0,
        _made_among(lambda sizes: sizes.most_listings, _PLENTY),
    ),
    Measure(
        "P7m-5",
        "the same among 100,000 such listings",
        "the same among 1,000",
        "ms",
        12.0,
        _made_among(lambda sizes: sizes.many_listings, _PLENTY),
    ),
    Measure(
        "P7m-4",
        "the same among 10,000 such listings",
        "the same among 1,000",
        "ms",
        12.0,
        _made_among(lambda sizes: sizes.some_listings, _PLENTY),
    ),
    Measure(
        "P7s-5",
        "a sale among 100,000 such listings that has to be made and lowers what others show",
        "the same among 1,000",
        "ms",
        20.0,
        _made_among(lambda sizes: sizes.many_listings, _SCARCE),
    ),
    Measure(
        "P7s-4",
        "the same among 10,000 such listings",
        "the same among 1,000",
        "ms",
        20.0,
        _made_among(lambda sizes: sizes.some_listings, _SCARCE),
    ),
    Measure(
        "P8",
        "resident memory of the daemon with 1,000,000 such listings, after some sales",
        "the same with none",
        "MB",
        400.0,
        _kept_of(lambda sizes: sizes.most_listings),
        absolute=True,
    ),
    Measure(
        "P8-5",
        "resident memory of the daemon with 100,000 such listings",
        "the same with none",
        "MB",
        400.0,
        _kept_of(lambda sizes: sizes.many_listings),
        absolute=True,
    ),
    Measure(
        "P10",
        "ATP of 100,000 items that share their materials, three levels",
        "the same in plain Python, item by item",
        "ms",
        100.0,
        _all_promised,
        absolute=True,
    ),
    Measure(
        "P12",
        "start to ready with 100,000 open reservations",
        "the same with none",
        "s",
        2.0,
        _start,
        absolute=True,
    ),
)
