"""Shoppers in both shops, and what the shops were told: the truth that a crash must not change.

Theory of operation. The shops sell and send signed webhooks as they always do. Every delivery that
was answered 2xx is noted; from then on the sale is the daemon's to keep. What was not answered is
sent again by Shopify's shop, at once when the daemon is back (the platform does so after minutes);
WooCommerce's never is, so those sales are found by polling. Nothing here asks the daemon: its
database is read with plain SQL.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import asyncpg

from stockpush import keys
from stockpush.sim.candle_shop import SHOPIFY, WOO, WOO_SECRET, WOO_TOPICS
from stockpush.sim.shops.base import WebhookOut
from tests.crash.process import LOOK_S
from tests.whole.harness import Floor

ON_HAND = 50_000
"""Units on hand of each item: more than anybody buys."""
ITEMS = ("candle", "soap", "balm")
AGAIN_AT_ONCE = 16
"""How many deliveries are repeated at one time: the queue is long when the daemon is back."""
SLOWER_WHILE_DOWN = 4
"""How much fewer sales there are while nobody takes webhooks."""
Shown: TypeAlias = Literal["exactly", "at most", "anything"]
"""What the shops must show of what is left."""
SETTLES_WITHIN_S = 180.0
"""How long both shops may take to agree with the books after the last crash."""


@dataclass
class Market:
    """The shops of a floor, their shoppers, and a count of what was acknowledged."""

    floor: Floor
    dice: random.Random
    listings: list[tuple[str, str, str]] = field(default_factory=list)
    """Channel, the shop's name of the listing, and its item."""
    orders: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """Channel and order id to item and units."""
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Digest of each delivery that was answered 2xx, and its topic."""
    acknowledgements: int = 0
    on_acknowledgement: Callable[[], None] = lambda: None
    refusals: int = 0
    again: list[WebhookOut] = field(default_factory=list)
    daemon_is_up: bool = False

    def furnish(self) -> None:
        """List every item on both shops, and listen to what becomes of deliveries."""
        for number, sku in enumerate(ITEMS):
            self.floor.item(sku, ON_HAND)
            variant = self.floor.on_shopify(sku, ON_HAND)
            product = self.floor.on_woo(sku, ON_HAND, product_id=10 + number)
            self.listings += [(SHOPIFY, variant, sku), (WOO, product, sku)]
        self._listen_to_shopify()
        self._listen_to_woo()

    def subscribe(self) -> None:
        """Have both shops tell the daemon of the floor's port."""
        secret = keys.read_secret_key((self.floor.folder / "secret.key").read_text())

        def hook(channel: str) -> str:
            path = f"/webhooks/{channel}/{keys.webhook_token(secret, channel)}"
            return f"http://127.0.0.1:{self.floor.listen_port}{path}"

        self.floor.shopify.subscribe(hook(SHOPIFY))
        for topic in WOO_TOPICS:
            self.floor.woo.subscribe(topic, hook(WOO), WOO_SECRET)

    def _listen_to_shopify(self) -> None:
        shop = self.floor.shopify
        take, answered = shop.webhooks_due, shop.webhook_answered

        def due() -> list[WebhookOut]:
            if not self.daemon_is_up:
                return take()
            again, self.again = self.again[:AGAIN_AT_ONCE], self.again[AGAIN_AT_ONCE:]
            return [*again, *take()]

        def note(out: WebhookOut, status: int | None) -> None:
            if status is not None and 200 <= status < 300:
                answered(out, status)
                self._note(out, out.headers["x-shopify-topic"])
            else:
                self.refusals += 1
                self.again.append(out)

        shop.webhooks_due, shop.webhook_answered = due, note

    def _listen_to_woo(self) -> None:
        shop = self.floor.woo
        answered = shop.webhook_answered

        def note(out: WebhookOut, status: int | None) -> None:
            answered(out, status)
            if status is not None and 200 <= status < 300:
                if "x-wc-webhook-topic" in {name.lower() for name in out.headers}:
                    self._note(out, "woo")
                return
            self.refusals += 1
            for webhook in shop._outbox.webhooks.values():
                webhook.failures = 0  # the shop's switching a webhook off is another test's matter

        shop.webhook_answered = note

    def _note(self, out: WebhookOut, topic: str) -> None:
        self.acknowledged[hashlib.sha256(out.body).hexdigest()] = topic
        self.acknowledgements += 1
        self.on_acknowledgement()

    async def shop(self, *, every_s: float) -> None:
        """Buy one to three of something, somewhere, again and again until cancelled."""
        while True:
            self.buy()
            slower = 1 if self.daemon_is_up else SLOWER_WHILE_DOWN
            await asyncio.sleep(self.dice.uniform(0, 2 * every_s * slower))

    def buy(self, channel: str | None = None) -> str:
        """One sale; return its order id."""
        choice = [each for each in self.listings if channel in (None, each[0])]
        where, listing, sku = self.dice.choice(choice)
        units = self.dice.randint(1, 3)
        order_id = self.floor.shop(where).checkout([(listing, units)])
        self.orders[where, order_id] = (sku, units)
        return order_id

    # -- what must hold -------------------------------------------------------------------------

    def sold(self) -> dict[str, int]:
        """Units sold, by item."""
        units = dict.fromkeys(ITEMS, 0)
        for sku, count in self.orders.values():
            units[sku] += count
        return units

    async def rows(self, sql: str) -> list[tuple]:
        """Read the daemon's database without any of its code."""
        return await rows_of(self.floor, sql)

    async def lost(self) -> list[str]:
        """Topics of deliveries that were acknowledged and are not in the inbox."""
        # More are acknowledged while the database is asked.
        due = list(self.acknowledged.items())
        kept = {digest for (digest,) in await self.rows("SELECT digest FROM delivery")}
        return [topic for digest, topic in due if digest not in kept]

    async def settled(self, *, shown: Shown = "exactly") -> None:
        """Return once every sale is in the books and both shops show what is left, or at most that.

        Fails with what differs. Counting anything twice differs. A write that was cut off is asked
        after one deadline later, so that numbers shown may take that long to be right. After many
        crashes under load a field may show less until its suspense hold expires.
        """
        try:
            async with asyncio.timeout(SETTLES_WITHIN_S):
                # What another process does sets no event here.
                while differs := await self.differences(shown=shown):  # noqa: ASYNC110
                    await asyncio.sleep(10 * LOOK_S)
        except TimeoutError:
            raise AssertionError(f"after {SETTLES_WITHIN_S} s: {differs[:10]}") from None

    async def differences(self, *, shown: Shown) -> list[str]:
        """What is not as the shops' own sales say: reservations, reserved units, numbers shown."""
        sold = self.sold()
        kept: dict[tuple[str, str], list[tuple[str, int]]] = {}
        found = await self.rows("SELECT channel, order_id, sku, ordered, open FROM reservation")
        for channel, order_id, sku, ordered, still_open in found:
            kept.setdefault((channel, order_id), []).append((sku, ordered))
            assert ordered == still_open
        differs = [
            f"{key}: sold {value}, kept {kept.get(key)}"
            for key, value in self.orders.items()
            if kept.get(key) != [value]
        ]
        differs += [f"{key}: never sold" for key in kept.keys() - self.orders.keys()]
        for sku, reserved in await self.rows("SELECT sku, reserved FROM shelf"):
            if reserved != sold[sku]:
                differs.append(f"{sku}: sold {sold[sku]}, reserved {reserved}")
        if shown == "anything":
            return differs
        for channel, listing, sku in self.listings:
            shows, left = self.floor.shop(channel).quantity(listing), ON_HAND - sold[sku]
            if shows > left or (shown == "exactly" and shows < left):
                differs.append(f"{channel} {sku}: left {left}, shows {shows}")
        return differs


async def rows_of(floor: Floor, sql: str) -> list[tuple]:
    """Read the daemon's database with plain SQL."""
    if floor.database is None:
        uri = f"file:{floor.folder}/stockpush.db?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=20)) as connection:
            return connection.execute(sql).fetchall()
    address, _, schema = floor.database.partition("&schema=")
    connection = await asyncpg.connect(address, server_settings={"search_path": schema})
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()
