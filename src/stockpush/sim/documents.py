"""A merchant who changes a price on Etsy between our reading of a listing and our writing it (F31).

Theory of operation. Such a moment is too short to be hit by chance, so it is waited for: whenever a
document has been read to be written, the dice say whether its price changes at this instant. The
write then puts the old price back, which nobody can know; what it may not do is change anything
else, and that the auditor looks at.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from stockpush.sim.accounts import ETSY
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.etsy.api import document_asked
from stockpush.sim.swarm import FaultKind
from stockpush.sim.world import World

PRICES = (100, 9900)
"""From and to, in cents."""


@dataclass(slots=True)
class DocumentEditor:
    """A watcher of the network (`sim.network.Watcher`); `struck` counts the edits."""

    world: World
    probability: float
    dice: random.Random
    struck: Counter[FaultKind]
    is_there: bool = True

    def handled(self, exchange: Exchange) -> None:
        """Change the price of a listing that has just been read."""
        if not self.is_there or exchange.channel != ETSY or exchange.request.method != "GET":
            return
        listing_id, shop = document_asked(exchange.request.path), self.world.shops[ETSY]
        assert isinstance(shop, EtsyShop)
        if listing_id is None or not shop.has_listing(listing_id):
            return
        if self.dice.random() < self.probability:
            shop.sets_price_of(listing_id, self.dice.randint(*PRICES))
            self.struck[FaultKind.DOCUMENT_EDIT] += 1

    def told(self, exchange: Exchange) -> None:
        """Do nothing: the answer was known before."""

    def delivered(self, channel: str, out: WebhookOut, status: int | None) -> None:
        """Do nothing: no webhook tells of a document."""
