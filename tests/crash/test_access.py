"""kill -9 between a grant and its being saved: access is lost, and no sale is (F38, F39).

The daemon is a real process. The emulated shop grants, kills it, and only then answers.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from stockpush import keys
from stockpush.sim.candle_shop import CONSUMER_KEY, DOMAIN, SHOPIFY, SHOPIFY_SECRET
from stockpush.sim.shops.shopify import Access, ShopifyShop
from tests.cli.terminal import typed_here
from tests.crash.process import LOOK_S, Daemon, typed
from tests.whole.harness import CLOCK, WAIT_S, Floor, free_port

SECRET = "app-secret-canary"
FIRST = "shprt_first-canary"


class World:
    """A floor whose Shopify grants expiring tokens, and the daemon's process."""

    def __init__(self, folder: Path, *, keeps_previous: bool) -> None:
        self.access = Access(
            "app",
            SECRET,
            CLOCK.now,
            random.Random(5),
            refresh=FIRST,
            keeps_previous=keeps_previous,
        )
        shop = ShopifyShop(
            SHOPIFY,
            clock=CLOCK.now,
            dice=random.Random(1),
            access_token=None,
            webhook_secret=SHOPIFY_SECRET,
            domain=DOMAIN,
            access=self.access,
        )
        self.floor = Floor(folder, shopify=shop, listen_port=free_port())
        self.floor.item("candle", 10)
        self.listing = self.floor.on_shopify("candle", 10)
        self.floor.on_woo("candle", 10)
        self.daemon = Daemon(self.floor)

    def configure(self) -> None:
        """Write the app into the configuration, in the place of the token for good."""
        path = self.floor.folder / "stockpush.toml"
        lines = []
        for line in path.read_text().splitlines():
            if line.startswith("access_token"):
                lines += ['client_id = "app"', f'client_secret = "{SECRET}"']
                lines.append(f'refresh_token = "{FIRST}"')
            else:
                lines.append(line)
        path.write_text("\n".join(lines) + "\n")

    def subscribe(self) -> None:
        """Have the shop tell the daemon of its sales."""
        secret = keys.read_secret_key((self.floor.folder / "secret.key").read_text())
        token = keys.webhook_token(secret, SHOPIFY)
        port = self.floor.listen_port
        self.floor.shopify.subscribe(f"http://127.0.0.1:{port}/webhooks/{SHOPIFY}/{token}")

    async def channel(self) -> dict[str, object]:
        """The channel's row, as a script reads it."""
        (row,) = [each for each in await self.told("channels") if each["name"] == SHOPIFY]
        return row

    async def told(self, command: str) -> list[dict[str, object]]:
        """What a command tells a script."""
        said = await typed_here(self.floor, command, "--json")
        assert said.code == 0, said
        return list(said.json["data"])

    async def until(self, state: str) -> dict[str, object]:
        """Return the channel's row once it is in this state."""
        async with asyncio.timeout(2 * WAIT_S):
            while True:
                row = await self.channel()
                if row["state"] == state:
                    return row
                await CLOCK.sleep(LOOK_S)

    async def ended_at_the_grant(self) -> None:
        """Start the daemon, which ends while its grant is on the way to it."""
        self.access.on_grant = self.daemon.kill
        await self.daemon.start()
        await self.daemon.ended()
        self.access.on_grant = lambda: None
        assert self.access.granted == 1

    def shows_no_secret(self) -> None:
        """Neither the log nor a file of the database has a token or a secret."""
        tokens = [SECRET, FIRST, CONSUMER_KEY, self.access.refresh or "", *self.access.good_until]
        for path in self.floor.folder.glob("*"):
            if path.suffix == ".log" or ".db" in path.name:
                told = path.read_bytes()
                assert [each for each in tokens if each and each.encode() in told] == [], path.name


async def test_where_the_old_token_is_dead_a_person_is_asked_and_sales_come_in(
    tmp_path: Path,
) -> None:
    """The platform rotates strictly: needs_login names the command, webhooks go on being taken."""
    world = World(tmp_path, keeps_previous=False)
    async with world.floor.open(poll_s=2):
        world.configure()
        world.subscribe()
        try:
            await world.ended_at_the_grant()
            await world.daemon.start()
            await world.daemon.ready()
            row = await world.until("needs_login")
            assert f"stockpush connect {SHOPIFY}" in str(row["state_reason"])
            world.floor.shopify.checkout([(world.listing, 3)])
            await _taken(world)
            assert world.access.granted == 1
            # The owner gets a new token and types the command that the state named.
            world.access.refresh = "shprt_second-canary"
            path = world.floor.folder / "stockpush.toml"
            path.write_text(path.read_text().replace(FIRST, world.access.refresh))
            said = await typed(world.floor, "connect", SHOPIFY)
            assert said.code == 0, said
            await world.until("ok")
            assert world.access.granted == 2
            await world.daemon.stop()
        finally:
            await world.daemon.make_sure_it_ended()
    world.shows_no_secret()


async def _taken(world: World) -> None:
    """Return once the daemon has taken the delivery of a sale."""
    async with asyncio.timeout(WAIT_S):
        while True:
            taken = {(row["topic"], row["state"]) for row in await world.told("deliveries")}
            if ("orders/create", "applied") in taken:
                return
            await CLOCK.sleep(LOOK_S)


async def test_where_the_previous_token_is_kept_nobody_is_asked(tmp_path: Path) -> None:
    """Shopify takes the previous refresh token once more: the next start goes on by itself."""
    world = World(tmp_path, keeps_previous=True)
    async with world.floor.open(poll_s=2):
        world.configure()
        world.subscribe()
        try:
            await world.ended_at_the_grant()
            await world.daemon.start()
            await world.daemon.ready()
            again = asyncio.Event()
            world.access.on_grant = again.set
            async with asyncio.timeout(2 * WAIT_S):
                await again.wait()
            await world.until("ok")
            await world.daemon.stop()
        finally:
            await world.daemon.make_sure_it_ended()
    world.shows_no_secret()
