"""`stockpush demo`: a candle shop on four emulated channels, over real HTTP on loopback.

The daemon that runs here is the one that `stockpush run` runs; only the shops are emulated.
Shoppers buy, orders ship or are cancelled, candles are made. While it runs, and once more when
everything has come to rest, invariants are checked against what the shops' tills know.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from stockpush import compose, keys, logs
from stockpush.cli.demo_screen import Frame, screen
from stockpush.clock import SystemClock, SystemIds
from stockpush.engine import report
from stockpush.errors import UsageError
from stockpush.importer import Known, read_catalogue
from stockpush.messages import AdoptListings, BuildStock, MoveStock, StockMove
from stockpush.model import MovementKind
from stockpush.reservation.ledger import Books, check
from stockpush.settings import Settings
from stockpush.sim.candle_shop import ETSY, SHOPIFY, WOO, CandleShop, Sold, configuration
from stockpush.sim.shops.server import serve
from stockpush.store import reads

FRAMES_PER_S = 5
PACE_S = (0.15, 0.7)
"""How long shoppers wait between two acts, from and to."""
MAKER_PAUSE_S = 3.0
"""How long the maker takes between two pieces of work."""
MADE = (("candle-lav", 10), ("gift-box", 2), ("soap-lav", 12))
CHECK_EVERY_S = 1.0
REST_S = 20.0
"""How long the shops may take to come to rest once the shoppers have gone."""
CALM_S = 1.0
"""How long nothing may be written after that."""
STOPWATCH_SALES = 5
"""Single sales that are timed at the end."""
STOPWATCH_PAUSE_S = 1.2
"""How long a shop's rate limit gets to recover between them."""
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(slots=True)
class Summary:
    """What a run came to; `held` only if every check held, at every look and at the end."""

    sales: int = 0
    sold_out: int = 0
    writes: int = 0
    commits: int = 0
    oversold: int = 0
    converged_s: float = 0.0
    sale_ms: float | None = None
    sale_writes: float | None = None
    sale_commits: float | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every invariant held."""
        return not self.failures


@dataclass(slots=True)
class Demo:
    """One run: the shop, the daemon, and what has been seen of them."""

    shop: CandleShop
    parts: compose.Parts
    dice: random.Random
    clock: SystemClock
    news: deque[str] = field(default_factory=lambda: deque(["", "", "", ""], maxlen=4))
    made: dict[str, int] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    keys_used: int = 0
    acted_at: datetime = datetime(1, 1, 1, tzinfo=UTC)
    """When something last happened in a shop."""

    async def shoppers(self) -> None:
        """Let things happen in the shops until cancelled."""
        while True:
            await self.clock.sleep(self.dice.uniform(*PACE_S))
            self.news.append(self.shop.somebody_acts(self.dice))
            self.acted_at = self.clock.now()

    async def maker(self) -> None:
        """Make things and buy wax now and then, until cancelled."""
        for sku, quantity in cycle(MADE):
            await self.clock.sleep(MAKER_PAUSE_S)
            await self.builds(sku, quantity)
            await self.clock.sleep(MAKER_PAUSE_S)
            await self._commit(
                MoveStock((StockMove("beeswax", 1500, MovementKind.RECEIPT),), self._key(), "demo")
            )
            self.news.append("maker: 1500 g of beeswax received")

    async def builds(self, sku: str, quantity: int) -> None:
        """Build from the bill."""
        await self._commit(BuildStock(sku, quantity, self._key(), "demo"))
        self.made[sku] = self.made.get(sku, 0) + quantity
        self.news.append(f"maker: {quantity} x {sku} made")

    async def _commit(self, command: MoveStock | BuildStock) -> None:
        await self.parts.lane.submit(command)

    def _key(self) -> str:
        self.keys_used += 1
        return f"demo {self.keys_used}"

    def writes(self) -> int:
        """Return how many write requests the shops have received."""
        return sum(len(shop.faults.writes_seen) for shop in self.shop.shops.values())

    # -- checks --------------------------------------------------------------------------------

    async def check_books(self) -> None:
        """Check what must hold at every instant."""
        rows = await reads.books(self.parts.store)
        broken = check(
            Books(
                rows.movements,
                rows.shelves,
                rows.reservations,
                rows.commands,
                rows.holds,
                rows.lots,
            )
        )
        self._note("books balance", [f"{each.invariant}: {each.subject}" for each in broken])
        pushes = (await reads.pushes(self.parts.store, limit=reads.PAGE_MAX)).data
        self._note(
            "every push is explained",
            [
                f"push {push.id}: {sum(units for _, units in push.terms)} is not {push.target}"
                for push in pushes
                if sum(units for _, units in push.terms) != push.target or push.target < 0
            ],
        )

    async def check_rest(self) -> None:
        """Check what must hold once everything has come to rest."""
        view = await self.parts.view()
        rows = report.stock(view)
        tills, wrong = self.shop.open_units(), []
        wrong += [
            f"{row.sku}: {row.reserved} reserved, the tills say {tills[row.sku]}"
            for row in rows
            if int(view.shelf(row.sku).reserved) != tills[row.sku]
        ]
        self._note("every sale is known once", wrong)
        self._note(
            "every listing shows its number",
            [
                f"{each.sku} on {each.channel}: {each.was} is not {each.to}"
                for each in report.plan(view)
            ]
            + self._lies(rows),
        )
        self.summary.oversold = sum(-int(row.atp) for row in rows if row.atp.startswith("-"))

    def _lies(self, rows: Sequence[report.StockRow]) -> list[str]:
        """Return listings whose shop does not hold what we believe it holds."""
        believed = {
            (listing.channel, ":".join(str(part) for part in listing.ref.values())): listing
            for row in rows
            for listing in row.listings
        }
        return [
            f"{sold.sku} on {sold.channel} shows {self.shop.shows(sold)}, not {listing.expected}"
            for sold in self.shop.listings
            if (listing := believed[sold.channel, sold.listing]).expected != self.shop.shows(sold)
        ]

    def _note(self, name: str, failures: list[str]) -> None:
        self.checks[name] = self.checks.get(name, True) and not failures
        self.summary.failures += [f"{name}: {failure}" for failure in failures]

    async def checking(self) -> None:
        """Check the books again and again until cancelled."""
        while True:
            await self.check_books()
            await self.clock.sleep(CHECK_EVERY_S)

    # -- rest ----------------------------------------------------------------------------------

    async def rest(self) -> bool:
        """Wait until nothing is left to send, read or deliver; answer whether that came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                while not await self._is_at_rest():
                    await self.clock.sleep(0.01)
                return True
        return False

    async def _is_at_rest(self) -> bool:
        store, now = self.parts.store, self.clock.now()
        if any(shop.next_webhook_at() for shop in self.shop.shops.values()):
            return False
        for channel in self.parts.connectors:
            polled = (await store.channel_state(channel)).polled_begun_at
            if (
                # What no webhook tells is known once a poll has begun after it.
                (polled is None or polled <= self.acted_at)
                or await store.next_due(channel) is not None
                or await store.open_pushes(channel)
                or await store.hints(channel, limit=1)
                or await store.reads_due(channel, at=now, limit=1)
            ):
                return False
        rows = report.stock(await self.parts.view())
        return not self._lies(rows) and all(
            listing.state == "in_sync" for row in rows for listing in row.listings
        )

    async def stopwatch(self) -> None:
        """Time single sales, from the till until every other listing shows them."""
        spent_ms, writes, commits = [], self.writes(), self.parts.lane.counters.commits
        sold = [each for each in self.shop.listings if each.sku == "candle-lav" and each.pack == 1]
        for turn in range(STOPWATCH_SALES):
            await self.clock.sleep(STOPWATCH_PAUSE_S)
            number = self.shop.shows(sold[0]) - 1
            if number < 0:
                break
            begun = self.clock.monotonic()
            self.shop.sell(sold[turn % len(sold)], 1)
            self.acted_at = self.clock.now()
            await self._until_shown(sold, number)
            spent_ms.append((self.clock.monotonic() - begun) * 1000)
            if not await self.rest():
                break
        if spent_ms:
            self.summary.sale_ms = sorted(spent_ms)[len(spent_ms) // 2]
            self.summary.sale_writes = (self.writes() - writes) / len(spent_ms)
            counted = self.parts.lane.counters.commits - commits
            self.summary.sale_commits = counted / len(spent_ms)

    async def _until_shown(self, sold: Sequence[Sold], number: int) -> None:
        """Wait until all these listings show `number` at their shops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                while any(self.shop.shows(each) != number for each in sold):
                    await self.clock.sleep(0.001)

    async def finish(self) -> None:
        """Let everything come to rest, check that it has, and that it stays so."""
        begun = self.clock.monotonic()
        rested = await self.rest()
        self.summary.converged_s = self.clock.monotonic() - begun
        self._note("comes to rest", [] if rested else [f"not within {REST_S:.0f} s"])
        writes = self.writes()
        await self.clock.sleep(CALM_S)
        late = self.writes() - writes
        self._note("stays at rest", [f"{late} writes came later"] if late else [])
        await self.check_books()
        await self.check_rest()

    async def frame(self, footer: str) -> Frame:
        """Return what the screen shows now."""
        rows = report.stock(await self.parts.view())
        return Frame(rows, self.shop, tuple(self.news), tuple(self.checks.items()), footer)

    def footer(self, left_s: float | None) -> str:
        """Return the line of counts below the table."""
        counted = (
            f"{self.shop.sales} sales, {self.writes()} writes to the shops, "
            f"{self.parts.lane.counters.commits} commits"
        )
        return counted + ("   Ctrl-C ends it" if left_s is None else f"   {left_s:.0f} s left")


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 20s, 2m or 1h.

    Raises `UsageError` for anything else.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise UsageError(
            f"{text!r} is not a duration.",
            field="--for",
            found=text,
            expected="a whole number of seconds, minutes or hours: 20s, 2m, 1h",
            next="stockpush demo --for 20s",
        )
    return int(match[1]) * _SECONDS[match[2]]


@asynccontextmanager
async def _opened(folder: Path, dice: random.Random) -> AsyncIterator[Demo]:
    """Open the shops and the daemon, the catalogue imported and adopted."""
    clock = SystemClock()
    shop = CandleShop.open(clock.now, dice)
    for name, secret in (
        ("secret.key", keys.new_secret_key()),
        ("admin.token", keys.new_admin_token()),
    ):
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(secret)
    async with (
        serve(shop.shopify, sleep=clock.sleep) as shopify,
        serve(shop.woo, sleep=clock.sleep) as woo,
        serve(shop.etsy, sleep=clock.sleep) as etsy,
        serve(shop.faire, sleep=clock.sleep) as faire,
    ):
        config = folder / "stockpush.toml"
        config.write_text(
            configuration(
                str(folder),
                shopify_url=shopify.base_url,
                woo_url=woo.base_url,
                etsy_url=etsy.base_url,
                faire_url=faire.base_url,
            )
        )
        settings = Settings.load(config, {})
        async with compose.parts(settings, clock=clock, ids=SystemIds()) as parts:
            await _import(parts, shop)
            async with compose.daemon(parts, stop=asyncio.Event()) as daemon:
                root = f"http://{daemon.public}"
                shop.subscribe(
                    *(f"{root}{parts.webhook_path(each)}" for each in (SHOPIFY, WOO, ETSY))
                )
                yield Demo(shop, parts, dice, clock)


async def _import(parts: compose.Parts, shop: CandleShop) -> None:
    """Import the catalogue and adopt every listing."""
    read = read_catalogue(
        [("candle-shop.toml", shop.catalogue().encode())],
        known=Known(),
        channels=parts.settings.channels,
        refs=lambda channel, ref: parts.connectors[channel].ref(ref),
    )
    adopts = AdoptListings(tuple(listing.key for listing in read.listings))
    await parts.lane.commit([read.command(key="demo catalogue", actor="demo")])
    await parts.lane.commit([adopts])


async def run(*, seconds: float | None, seed: int, console: Console) -> Summary:
    """Run the demo for `seconds` (None: until interrupted) and return what it came to."""
    dice = random.Random(seed)  # noqa: S311  # shoppers, not secrets
    with tempfile.TemporaryDirectory(prefix="stockpush-demo-") as folder:
        async with _opened(Path(folder), dice) as demo:
            stop = asyncio.Event()
            with suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await _show(demo, seconds, stop, console)
            demo.summary.sales, demo.summary.sold_out = demo.shop.sales, demo.shop.sold_out
            demo.summary.writes = demo.writes()
            demo.summary.commits = demo.parts.lane.counters.commits
            return demo.summary


async def _show(demo: Demo, seconds: float | None, stop: asyncio.Event, console: Console) -> None:
    """Let the shoppers in, draw the screen, send them home, and check."""
    with Live(console=console, auto_refresh=False, transient=False) as live:

        async def draw(footer: str) -> None:
            live.update(screen(await demo.frame(footer)), refresh=console.is_terminal)

        await demo.rest()
        crowd = [
            asyncio.create_task(each) for each in (demo.shoppers(), demo.maker(), demo.checking())
        ]
        ends = None if seconds is None else demo.clock.monotonic() + seconds
        while not stop.is_set() and (ends is None or demo.clock.monotonic() < ends):
            left = None if ends is None else ends - demo.clock.monotonic()
            await draw(demo.footer(left))
            failed = [task for task in crowd if task.done()]
            if failed:
                failed[0].result()
            await demo.clock.sleep(1 / FRAMES_PER_S)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        await draw("the shoppers have gone; everything comes to rest ...")
        await demo.finish()
        await demo.stopwatch()
        await demo.check_rest()
        await draw(demo.footer(0))


def command(
    duration: Annotated[
        str | None, typer.Option("--for", help="How long, for example 20s; else until Ctrl-C.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which shoppers come.")] = 1,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Watch stock move between four shops: a candle shop on emulated Etsy, Shopify, WooCommerce
    and Faire.
    """
    seconds = None if duration is None else seconds_of(duration)
    logs.configure(json=False, level="error")
    console = Console(stderr=json)
    summary = asyncio.run(run(seconds=seconds, seed=seed, console=console))
    if json:
        Console().print_json(data={"held": summary.held, **asdict(summary)})
    else:
        console.print(_told(summary))
    raise typer.Exit(0 if summary.held else 1)


def _told(summary: Summary) -> str:
    """Return the summary for people."""
    lines = [
        "",
        (
            f"{summary.sales} sales ({summary.sold_out} shoppers found nothing left), "
            f"{summary.writes} writes to the shops, {summary.commits} commits."
        ),
        f"At rest {summary.converged_s:.1f} s after the last shopper left.",
    ]
    if summary.sale_ms is not None:
        lines.append(
            f"One sale at a time: {summary.sale_ms:.0f} ms until every listing shows it (median), "
            f"{summary.sale_writes:.1f} writes, {summary.sale_commits:.1f} commits each."
        )
    if summary.oversold:
        lines.append(
            f"{summary.oversold} units were sold twice: two shoppers, two channels, the last unit, "
            "within one push. The shortage is in the books; the exposure policies narrow it."
        )
    lines += [f"✖ {failure}" for failure in summary.failures[:20]]
    lines.append("✔ Every invariant held." if summary.held else "✖ An invariant was broken.")
    return "\n".join(lines)
