"""The naive sync on the machine that the daemon would have: the same seed, the other program.

Theory of operation. The world, the people, the misfortunes and the network are those of the
daemon's run; only what stands between the shops is `naive.Naive`. It is killed, suspended and
reloaded at the same instants, and is told the maker's acts as the daemon is. What is modelled in
its favour: it starts at once, its memory survives every crash as if each step were on disk, and an
act of the maker costs it nothing. What it is working on when it is killed, it begins again.
"""

from __future__ import annotations

import asyncio
import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stockpush.messages import BuildStock, Command, CountStock, MoveStock
from stockpush.sim.accounts import (
    CONSUMER_KEY,
    CONSUMER_SECRET,
    ETSY,
    ETSY_KEYSTRING,
    ETSY_REFRESH_TOKEN,
    ETSY_SECRET,
    ETSY_SHARED_SECRET,
    ETSY_SHOP,
    FAIRE,
    FAIRE_TOKEN,
    SHOPIFY_KEYS,
    SITE,
    SITE_KEY,
    SITE_TOKEN,
    WOO,
    WOO_SECRET,
)
from stockpush.sim.loop import Owner, SimClock, SimIds, VirtualLoop, spawn
from stockpush.sim.naive import (
    Account,
    EtsyAccount,
    FaireAccount,
    Naive,
    ShopifyAccount,
    SiteAccount,
    WooAccount,
)
from stockpush.sim.network import SimNetwork
from stockpush.sim.shops.base import ShopAnswer, ShopRequest, WebhookOut
from stockpush.sim.world import Bill, World

HOST = "https://naive.example.com"
"""Where the shops believe the naive sync to be."""


@dataclass(slots=True)
class _Life:
    """The sync between one start and its end."""

    owner: Owner
    work: asyncio.Task[None] | None = None


@dataclass(slots=True)
class NaiveMachine:
    """What runs the naive sync; to the run, its weather and its people it is like `Machine`."""

    loop: VirtualLoop
    dice: random.Random
    network: SimNetwork
    world: World
    clock: SimClock = field(init=False)
    naive: Naive = field(init=False)
    defects: list[str] = field(default_factory=list)
    """What broke the sync without being killed: a defect of the comparison, not a result."""
    lives: int = 0
    _bills: Mapping[str, Bill] = field(default_factory=dict)
    _life: _Life | None = None
    _up: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Give the sync its accounts, its catalogue and its opening stock."""
        world = self.world
        self.clock = SimClock(self.loop)
        self._bills = world.bills
        self.naive = Naive(
            clock=self.clock,
            ids=SimIds(self.dice),
            send=self._send,
            accounts={name: account(name) for name in world.shops},
            listings=world.listings,
            opening={sku: thing.opening for sku, thing in world.things.items()},
            poll_s=world.poll_s,
            bills=world.bills,
            buffers=world.buffers,
        )

    # -- lives ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the sync: it is up at once."""
        assert self._life is None
        self.lives += 1
        life = self._life = _Life(Owner(f"naive life {self.lives}"))
        life.work = spawn(self.loop, self._run(life), life.owner)
        self._up.set()

    async def up(self) -> None:
        """Return when the sync is up."""
        await self._up.wait()

    @property
    def is_up(self) -> bool:
        """Whether the sync is up."""
        return self._up.is_set()

    @property
    def is_running(self) -> bool:
        """Whether there is a sync."""
        return self._life is not None

    def crash(self) -> None:
        """Kill the sync between two steps; it keeps what it knows."""
        if (life := self._life) is None:
            return
        self._life = None
        self._up.clear()
        self.loop.kill(life.owner)
        self.loop.note(f"crash {self.lives}")

    def freeze(self) -> Owner | None:
        """Suspend the machine; give what `VirtualLoop.thaw` takes."""
        if self._life is None:
            return None
        self.loop.freeze(self._life.owner)
        return self._life.owner

    async def reload(self, _configuration: Callable[[str], str] | None = None) -> None:
        """Stop and start again."""
        if (life := self._life) is not None and life.work is not None:
            self.crash()
            await asyncio.wait({life.work})
        if self._life is None:
            self.start()

    async def _run(self, life: _Life) -> None:
        try:
            await self.naive.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, the comparison is void
            if not life.owner.dead:
                self.defects.append(f"the naive sync ended: {type(error).__name__}: {error}")

    async def _send(self, channel: str, request: ShopRequest) -> ShopAnswer:
        if self._life is None:
            raise ConnectionRefusedError
        return await self.network.ask(channel, self._life.owner, request)

    # -- access --------------------------------------------------------------------------------

    def needs_login(self) -> list[str]:
        """Return the channels to which somebody must grant access anew."""
        return self.naive.needs_login() if self.is_up else []

    async def grant(self, channel: str, access: str, refresh: str) -> None:
        """Hand the sync what somebody has just granted."""
        self.naive.grant(channel, access, refresh)

    # -- webhooks ------------------------------------------------------------------------------

    def webhook_url(self, channel: str) -> str:
        """Return where the shop sends its webhooks."""
        return f"{HOST}/{channel}"

    async def receive(self, channel: str, out: WebhookOut) -> int | None:
        """Answer one delivery; None when nobody is there."""
        if (life := self._life) is None:
            return None
        taking = spawn(self.loop, self.naive.webhook(channel, out), life.owner)
        await asyncio.wait({taking})
        return None if taking.cancelled() or life.owner.dead else taking.result()

    # -- the maker -----------------------------------------------------------------------------

    async def act(self, command: Command, *, apart: bool = False) -> None:
        """Book what the maker does, as soon as the sync is up."""
        del apart  # it has one door
        await self.up()
        self.naive.move(self._moves(command))

    def _moves(self, command: Command) -> Mapping[str, int]:
        """Return what a command moves: item -> units, signed."""
        match command:
            case MoveStock(moves):
                return {each.sku: each.quantity for each in moves}
            case CountStock(sku, counted):
                return {sku: counted - self.naive.free(sku)}
            case BuildStock(sku, quantity):
                bill = self._bills[sku]
                used = {part: -(-quantity * each // bill.makes) for part, each in bill.lines}
                return {part: -units for part, units in used.items()} | {sku: quantity}
            case _:
                raise AssertionError(f"people do not type {type(command).__name__}")

    async def imports(self, catalogue: str, *, key: str) -> None:
        """Take the bills of a catalogue file."""
        del key  # each comes once
        await self.up()
        self._bills = bills_of(catalogue)
        self.naive.set_bills(self._bills)


def bills_of(catalogue: str) -> dict[str, Bill]:
    """Return the bills of a catalogue file of `World.catalogue`."""
    return {
        row["item"]: Bill(
            row["item"],
            row["yield"],
            tuple((line["item"], line["quantity"]) for line in row["lines"]),
            row.get("batch_only", False),
        )
        for row in tomllib.loads(catalogue).get("boms", ())
    }


def account(channel: str) -> Account:
    """Return what the sync was given for the shop of a channel."""
    accounts: dict[str, Account] = {
        name: ShopifyAccount(keys.access_token, keys.webhook_secret)
        for name, keys in SHOPIFY_KEYS.items()
    }
    accounts |= {
        WOO: WooAccount(CONSUMER_KEY, CONSUMER_SECRET, WOO_SECRET),
        ETSY: EtsyAccount(
            ETSY_SHOP, ETSY_KEYSTRING, ETSY_SHARED_SECRET, ETSY_REFRESH_TOKEN, ETSY_SECRET
        ),
        FAIRE: FaireAccount(FAIRE_TOKEN),
        SITE: SiteAccount(SITE_TOKEN, SITE_KEY),
    }
    return accounts[channel]
