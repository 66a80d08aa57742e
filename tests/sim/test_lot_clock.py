"""The real daemon in virtual time: a lot that expires leaves what a shop shows, at that instant."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from stockpush.messages import (
    Command,
    ImportCatalogue,
    LotTerms,
    MoveStock,
    QuarantineLot,
    StockMove,
)
from stockpush.model import Item, Kind, MovementKind
from stockpush.sim.accounts import ACCESS_TOKEN, SHOPIFY, SHOPIFY_SECRET
from stockpush.sim.loop import EPOCH, SimClock, VirtualLoop, spawn
from stockpush.sim.machine import SECRET_KEY, Machine, empty_database
from stockpush.sim.network import SimNetwork
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.world import Listed, ShopClock, Thing, World

DAY_S = 86_400.0
SOON_S = 120.0
"""How long a push may take: the channel may be read first."""


@dataclass(slots=True)
class Stall:
    """Four soaps on one shop, and the daemon on its machine."""

    loop: VirtualLoop
    clock: SimClock
    machine: Machine
    shop: ShopifyShop
    variant: str

    @classmethod
    def open(cls, folder: Path) -> Stall:
        """Set it up; nothing runs yet."""
        database = empty_database()
        loop = VirtualLoop(random.Random(1))
        clock = SimClock(loop)
        of_shop = ShopClock(clock.now)
        shop = ShopifyShop(
            SHOPIFY,
            clock=of_shop,
            dice=random.Random(2),
            access_token=ACCESS_TOKEN,
            webhook_secret=SHOPIFY_SECRET,
        )
        variant = shop.add_variant("soap", 0)
        listed = Listed(SHOPIFY, str(variant.variant_id), "soap", 1, str(variant.item_id))
        world = World(
            things={"soap": Thing("soap", "product", "piece", 4)},
            bills={},
            listings=(listed,),
            unmapped=(),
            shops={SHOPIFY: shop},
            buffers={SHOPIFY: 0},
            poll_s={SHOPIFY: 3600},
            reconcile_s={SHOPIFY: 86_400},
            hot=listed,
            clocks={SHOPIFY: of_shop},
        )
        machines: list[Machine] = []

        async def receive(channel: str, out: WebhookOut) -> int | None:
            return await machines[0].receive(channel, out)

        network = SimNetwork(loop, random.Random(3), world.shops, receive)
        machine = Machine(
            loop,
            folder,
            random.Random(4),
            network,
            lambda path: world.configuration(path, secret_key=SECRET_KEY),
            world.catalogue(),
            database,
            is_watched=False,
        )
        machines.append(machine)
        return cls(loop, clock, machine, shop, str(variant.variant_id))

    def plays(self, play: Callable[[], Awaitable[None]]) -> None:
        """Run to the end of `play` in virtual time; the daemon had no defect."""

        async def played() -> None:
            self.machine.start()
            await self.machine.up()
            await play()
            await self.machine.stop()

        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(spawn(self.loop, played(), None))
        finally:
            self.loop.close()
        assert self.machine.defects == []

    @property
    def shows(self) -> int:
        """What the shop shows."""
        return self.shop.quantity(self.variant)

    async def until(self, instant: datetime) -> None:
        """Wait until then."""
        await self.clock.sleep((instant - self.clock.now()).total_seconds())

    async def soon_shows(self, quantity: int) -> None:
        """Return when the shop shows this; it takes no longer than a push may."""
        begun = self.loop.time()
        while self.shows != quantity:
            assert self.loop.time() < begun + SOON_S, f"still {self.shows}, not {quantity}"
            await self.clock.sleep(0.5)


def receipt(quantity: int, lot: str, **terms: datetime) -> Command:
    """Receive soap into a lot."""
    said = LotTerms(**terms)
    move = StockMove("soap", quantity, MovementKind.RECEIPT, lot=lot, terms=said)
    return MoveStock((move,), f"receive {lot}", "test")


@pytest.mark.parametrize("apart", [False, True], ids=["in the daemon", "from the command line"])
def test_lots_leave_and_come_at_their_instants(tmp_path: Path, *, apart: bool) -> None:
    """Not before, and at once after, whoever wrote the lot: the shop's number goes 4, 9, 12 with
    receipts, and by the clock alone 7 and then 17.
    """
    stall = Stall.open(tmp_path)
    leaves, comes = EPOCH + timedelta(days=3), EPOCH + timedelta(days=5)

    async def play() -> None:
        await stall.soon_shows(4)
        await stall.machine.act(receipt(5, "A", expires_at=leaves), apart=apart)
        await stall.soon_shows(9)
        await stall.machine.act(receipt(10, "cures", available_from=comes), apart=apart)
        await stall.machine.act(receipt(3, "B"), apart=apart)
        await stall.soon_shows(12)
        await stall.until(leaves - timedelta(seconds=1))
        assert stall.shows == 12
        await stall.until(leaves)
        await stall.soon_shows(7)
        await stall.until(comes - timedelta(seconds=1))
        assert stall.shows == 7
        await stall.until(comes)
        await stall.soon_shows(17)

    stall.plays(play)


@pytest.mark.parametrize("apart", [False, True], ids=["in the daemon", "from the command line"])
def test_what_cures_is_shown_when_the_horizon_reaches_it(tmp_path: Path, *, apart: bool) -> None:
    """The shop's number rises two days before the lot's first day, by the clock alone; a shorter
    horizon lowers it again until then.
    """
    stall = Stall.open(tmp_path)
    first_day = EPOCH + timedelta(days=5)

    async def horizon(days: int) -> None:
        soap = Item("soap", "soap", Kind.PRODUCT, "piece", horizon_s=days * 86_400)
        key = f"horizon {days}"
        await stall.machine.act(ImportCatalogue((soap,), (), (), (), key, "test"), apart=apart)

    async def play() -> None:
        await stall.soon_shows(4)
        await horizon(2)
        await stall.machine.act(receipt(10, "cures", available_from=first_day), apart=apart)
        await stall.until(first_day - timedelta(days=2, seconds=1))
        assert stall.shows == 4
        await stall.until(first_day - timedelta(days=2))
        await stall.soon_shows(14)
        await horizon(1)
        await stall.soon_shows(4)
        await stall.until(first_day - timedelta(days=1))
        await stall.soon_shows(14)
        await stall.until(first_day + timedelta(hours=1))
        assert stall.shows == 14

    stall.plays(play)


@pytest.mark.parametrize("apart", [False, True], ids=["in the daemon", "from the command line"])
def test_what_cures_is_shown_when_the_listings_own_horizon_reaches_it(
    tmp_path: Path, *, apart: bool
) -> None:
    """Two days before the lot's first day, although the item says none; with three days at once."""
    stall = Stall.open(tmp_path)
    first_day = EPOCH + timedelta(days=5)

    async def horizon(days: int) -> None:
        # The listing stands last in the file.
        said = f'{stall.machine.catalogue}horizon = "{days} days"\n'
        await stall.machine.imports(said, key=f"{days} days at {stall.clock.now()}")

    async def play() -> None:
        await stall.soon_shows(4)
        await horizon(2)
        await stall.machine.act(receipt(10, "cures", available_from=first_day), apart=apart)
        await stall.until(first_day - timedelta(days=3))
        assert stall.shows == 4
        await horizon(3)
        await stall.soon_shows(14)
        await horizon(2)
        await stall.soon_shows(4)
        await stall.until(first_day - timedelta(days=2, seconds=1))
        assert stall.shows == 4
        await stall.until(first_day - timedelta(days=2))
        await stall.soon_shows(14)
        await stall.until(first_day + timedelta(hours=1))
        assert stall.shows == 14

    stall.plays(play)


def test_what_was_due_while_no_daemon_ran_is_due_at_the_start(tmp_path: Path) -> None:
    """Several lots at once, one of them in quarantine and so of no concern."""
    stall = Stall.open(tmp_path)

    async def play() -> None:
        ends = EPOCH + timedelta(days=2)
        for lot in ("A", "B", "C"):
            await stall.machine.act(receipt(2, lot, expires_at=ends))
        await stall.machine.act(QuarantineLot("soap", "C", quarantined=True, actor="test"))
        await stall.soon_shows(8)
        await stall.machine.stop()
        await stall.until(ends + timedelta(days=1))
        assert stall.shows == 8, "nobody was there"
        stall.machine.start()
        await stall.machine.up()
        await stall.soon_shows(4)

    stall.plays(play)
