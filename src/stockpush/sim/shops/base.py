"""What every emulated shop is: a state machine, request in, answer out, with a webhook outbox.

A shop owns the truth of its own side: its stock, its orders, its clock. It knows nothing of the
daemon. It is served over HTTP by `stockpush demo` (sim/shops/server.py) and called in process by
tests and the simulator, through the same class. Time and dice come in through the door.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ShopRequest:
    """A request as it reaches the shop: path without query, lower-case header names."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class ShopAnswer:
    """What the shop answers. A `date` header (RFC 9110, the shop's clock) is always among them."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionDropped(Exception):
    """The shop broke the connection: before (`applied=False`) or after it did what was asked."""

    def __init__(self, *, applied: bool) -> None:
        super().__init__("connection dropped")
        self.applied = applied


class SoldOut(Exception):
    """The shop's own checkout refused: its number is lower than what the shopper wants."""


@dataclass(frozen=True, slots=True)
class WebhookOut:
    """One delivery attempt that the shop wants to make now."""

    id: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    attempt: int = 1


@dataclass(slots=True)
class Faults:
    """Switches, all off by default. The numbers in 0..1 are probabilities, drawn from the shop's
    dice at each request or delivery; `*_next` count down and strike for certain while > 0.
    """

    webhook_drop: float = 0.0
    webhook_duplicate: float = 0.0
    webhook_delay_s: float = 0.0
    webhook_reorder: float = 0.0
    rate_limit: float = 0.0
    server_error: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    rate_limit_next: int = 0
    server_error_next: int = 0
    drop_before_next: int = 0
    drop_after_next: int = 0
    only_writes: bool = False
    """Request faults strike writes only."""
    unauthorized: bool = False
    """Every request is answered 401: the merchant has revoked the daemon's credentials."""
    trigger_lost_while_running: bool = False
    """A change that happens while a delivery about the same object is under way queues none."""
    writes_seen: list[str] = field(default_factory=list)
    """One entry for each write request received, applied or not (for counting tests)."""


class Shop(Protocol):
    """The daemon's side (`handle`, webhooks) and the people's side (shoppers, the merchant).

    `listing` arguments are the shop's own name of a sellable thing: a Shopify variant id, a
    WooCommerce `"product"` or `"product:variation"`. Every method acts at `clock()`, by the shop's
    own clock.
    """

    name: str
    clock: Callable[[], datetime]
    dice: random.Random
    faults: Faults

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer one API request; raises `ConnectionDropped` where a fault says so."""
        ...

    def webhooks_due(self) -> list[WebhookOut]:
        """Take the delivery attempts that are due now out of the outbox, in the shop's order."""
        ...

    def webhook_answered(self, out: WebhookOut, status: int | None) -> None:
        """Record how an attempt ended (None: no answer), which may schedule the next one."""
        ...

    def next_webhook_at(self) -> datetime | None:
        """Return when the next delivery attempt is due."""
        ...

    def checkout(self, lines: list[tuple[str, int]]) -> str:
        """A shopper buys (listing, quantity); return the order id or raise `SoldOut`."""
        ...

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """The merchant cancels what has not shipped."""
        ...

    def refund(self, order_id: str, listing: str, quantity: int, *, restock: bool) -> None:
        """The merchant refunds units of a line, putting them back on sale or not."""
        ...

    def edit(self, order_id: str, listing: str, quantity: int) -> None:
        """The merchant sets the quantity of a line (0 removes it)."""
        ...

    def ship(self, order_id: str) -> None:
        """The merchant ships everything that is open."""
        ...

    def merchant_sets(self, listing: str, quantity: int) -> None:
        """The merchant types a number into the shop's own admin."""
        ...

    def quantity(self, listing: str) -> int:
        """Return what the shop would sell of this listing: the truth, no fault applies."""
        ...
