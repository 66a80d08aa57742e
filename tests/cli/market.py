"""The demo's candle shop with what a daemon would have done there, on a clock that tests move.

The catalogue and the configuration are those of `stockpush demo`; orders, readings and pushes go
through the commit lane as the daemon's workers would hand them in. Nothing is random.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

import pytest

from stockpush import compose, keys
from stockpush.compose import assembly
from stockpush.importer import Known, read_catalogue
from stockpush.messages import (
    AdoptListings,
    ApplyOrders,
    Command,
    ListingResolved,
    Observe,
    OpenPushes,
    OrderLineSeen,
    OrderSeen,
    PollCompleted,
    PushSettled,
    QuantitySeen,
    Refused,
    ResolveListings,
    SettlePushes,
)
from stockpush.model import FieldKey, OrderVersion, Push, PushOutcomeKind
from stockpush.settings import Settings
from stockpush.sim.candle_shop import (
    CHANNELS,
    ETSY,
    SHOPIFY,
    WOO,
    CandleShop,
    configuration,
)
from tests.cli.terminal import Terminal

V = TypeVar("V")
CANDLE, GIFT = "variant/9007199254741994", "variant/9007199254742006"
"""The lavender candle and the gift box on Shopify."""
OPENED = datetime(2026, 11, 22, 9, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"


class Market:
    """The candle shop in a terminal's folder, every listing read, adopted and pushed once."""

    def __init__(
        self,
        terminal: Terminal,
        patch: pytest.MonkeyPatch,
        *,
        buffers: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Open it, with buffers of some channels."""
        self.terminal = terminal
        self.at = OPENED
        patch.setattr(assembly, "SystemClock", lambda: self)
        folder = terminal.folder
        (folder / "secret.key").write_text(keys.new_secret_key())
        (folder / "admin.token").write_text("t" * 43)
        text = configuration(
            str(folder),
            shopify_url=NOWHERE,
            woo_url=NOWHERE,
            etsy_url=NOWHERE,
            faire_url=NOWHERE,
        )
        for name, buffer in buffers.items():
            table = f"[channels.{name}]\n"
            text = text.replace(table, f"{table}buffer = {buffer}\n")
        (folder / "stockpush.toml").write_text(text)
        shop = CandleShop.open(self.now, random.Random(1))
        terminal.write("catalog.toml", shop.catalogue())
        self._parts(self._open)
        self.syncs()

    # -- a clock -----------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self.at

    def monotonic(self) -> float:
        """Return seconds since the shop opened."""
        return (self.at - OPENED).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.at += timedelta(seconds=seconds)

    def passes(self, **span: float) -> None:
        """Let time pass."""
        self.at += timedelta(**span)

    # -- what the daemon does ----------------------------------------------------------------

    def _parts(self, job: Callable[[compose.Parts], Awaitable[V]]) -> V:
        async def opened() -> V:
            settings = Settings.load(self.terminal.folder / "stockpush.toml", {})
            async with compose.parts(settings, clock=self, connectors={}) as parts:
                return await job(parts)

        return asyncio.run(opened())

    def do(self, *commands: Command) -> None:
        """Carry out commands, a second apart."""

        async def job(parts: compose.Parts) -> None:
            await self._commit(parts, *commands)

        self._parts(job)

    async def _commit(self, parts: compose.Parts, *commands: Command) -> None:
        for command in commands:
            self.passes(seconds=1)
            (done,) = await parts.lane.commit([command])
            assert not isinstance(done.outcome, Refused), done

    async def _open(self, parts: compose.Parts) -> None:
        settings = parts.settings
        read = read_catalogue(
            [("catalog.toml", (self.terminal.folder / "catalog.toml").read_bytes())],
            known=Known(),
            channels=settings.channels,
            refs=lambda channel, ref: compose.ref_key(settings.channels[channel], ref),
        )
        resolved = tuple(
            ListingResolved(each.key, each.key.ref, each.key.ref) for each in read.listings
        )
        await self._commit(
            parts,
            read.command(key="catalogue", actor="cli:anna"),
            ResolveListings(resolved),
            AdoptListings(tuple(each.key for each in read.listings)),
        )
        fields = await parts.store.fields(
            [FieldKey(each.key.channel, each.key.ref) for each in read.listings]
        )
        seen = tuple(
            QuantitySeen(row.key, 0, self.at, row.expected, row.revision, self.at) for row in fields
        )
        await self._commit(parts, Observe(seen))
        self.passes(minutes=2)
        for name in CHANNELS:
            await self._commit(
                parts, ApplyOrders(name, (), completes=PollCompleted(self.at, None, self.at))
            )

    def sells(
        self,
        channel: str,
        ref: str,
        order_id: str,
        units: int,
        *,
        deducted: int | None = None,
        shipped: int = 0,
    ) -> None:
        """An order comes in, or a newer version of it, taken off the channel's number."""
        self.passes(seconds=30)
        took = units if deducted is None else deducted
        line = OrderLineSeen("1", ref, units, units - shipped, shipped, 0, took)
        order = OrderSeen(
            channel, order_id, OrderVersion(self.at, 0), self.at, self.at, "open", (line,)
        )
        self.do(ApplyOrders(channel, (order,)))

    def reads(self, channel: str, ref: str, shows: int) -> None:
        """A listing is read."""
        key = FieldKey(channel, ref)

        async def job(parts: compose.Parts) -> None:
            (row,) = await parts.store.fields([key])
            seen = QuantitySeen(key, shows, self.at, row.expected, row.revision, self.at)
            await self._commit(parts, Observe((seen,)))

        self._parts(job)

    def syncs(self, **ends: PushOutcomeKind | None) -> list[Push]:
        """Everything dirty is pushed and taken; `ends` says otherwise of a channel, by the last
        part of its name, None for a push that stays under way.
        """
        sent: list[Push] = []

        async def job(parts: compose.Parts) -> None:
            for name in CHANNELS:
                self.passes(seconds=1)
                due = await parts.store.dirty(name, at=self.at + timedelta(days=1), limit=100)
                keys = tuple(row.key for row in due)
                command = OpenPushes(name, keys, f"{name} {self.at}")
                (done,) = await parts.lane.commit([command])
                pushes = done.outcome.facts["pushes"]
                sent.extend(pushes)
                end = ends.get(name.rpartition("-")[2], PushOutcomeKind.APPLIED)
                if pushes and end is not None:
                    settled = tuple(PushSettled(each.call_id, each.field, end) for each in pushes)
                    await self._commit(parts, SettlePushes(settled))

        self._parts(job)
        return sent


def a_morning(market: Market) -> None:
    """What docs/why.md tells of: five gift boxes, five candles, one that Etsy has not told of."""
    market.passes(minutes=20)
    market.sells(SHOPIFY, GIFT, "1001", 5)
    market.syncs()
    market.sells(SHOPIFY, CANDLE, "1002", 2)
    market.syncs()
    market.passes(minutes=20)
    market.sells(WOO, "10", "501", 3, deducted=0)
    market.syncs(woo=PushOutcomeKind.UNAVAILABLE)
    market.reads(ETSY, "1001", 74)
    market.syncs(woo=PushOutcomeKind.UNAVAILABLE)
    market.passes(minutes=10)
    market.terminal.done("receive", "beeswax", "2kg", "--reason", "lot A12")
    market.passes(minutes=5)
