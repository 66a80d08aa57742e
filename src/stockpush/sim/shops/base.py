"""What every emulated shop is: a state machine, request in, answer out, with a webhook outbox.

A shop owns the truth of its own side: its stock, its orders, its clock. It knows nothing of the
daemon. It is served over HTTP by `stockpush demo` (sim/shops/server.py) and called in process by
tests and the simulator, through the same class. Time and dice come in through the door.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

BUYER: Mapping[str, str] = MappingProxyType(
    {
        "first_name": "Canarina",
        "last_name": "Byersdotter",
        "address_1": "Featherstone Lane 7",
        "city": "Yellowbeak",
        "postcode": "CN-40417",
        "email": "canarina@buyer.example",
        "phone": "+49 555 0140417",
    }
)
"""Who buys in every emulated shop. Each order names them, and nobody may ever log it."""


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


@dataclass(frozen=True, slots=True)
class OrderTruth:
    """One line of an order as the shop itself has it now, in listing units, every number >= 0.

    `ordered` is what the line says was bought; `open` what is still to be sent: not cancelled,
    refunded, removed or shipped; `shipped` what has left and was not put back on sale; `deducted`
    what was taken off the shop's number for this line and not put back. `status` is the shop's own
    word, `placed_at` an instant of the shop's own clock.
    """

    order_id: str
    line_id: str
    listing: str
    ordered: int
    open: int
    deducted: int
    shipped: int
    status: str
    placed_at: datetime


REPLAY_WITHIN_S = 3600.0
"""How much later than the delivery itself a replay of it comes, at most."""


@dataclass(slots=True)
class Faults:
    """Switches, all off by default. The numbers in 0..1 are probabilities, drawn from the shop's
    dice at each request or delivery; `*_next` count down and strike for certain while > 0; `*_s`
    are seconds.
    """

    webhook_drop: float = 0.0
    webhook_duplicate: float = 0.0
    webhook_copies_max: int = 2
    """How many deliveries a doubled one may become: each such one is drawn 2..this many."""
    webhook_delay_s: float = 0.0
    webhook_delay_spread: bool = False
    """Each delivery draws its own delay, 0..`webhook_delay_s`; otherwise all have that one."""
    webhook_reorder: float = 0.0
    webhook_replay: float = 0.0
    """A body that was told is sent once more, up to `REPLAY_WITHIN_S` later, with the right
    signature and new ids of event and delivery. The shop itself knows nothing of it."""
    rate_limit: float = 0.0
    server_error: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    html_answer: float = 0.0
    """A page of HTML with status 200: half of the time instead of the act, half instead of its
    answer."""
    truncated_answer: float = 0.0
    """The act is done and its answer breaks off; its content-length is that of the whole."""
    rate_limit_next: int = 0
    server_error_next: int = 0
    drop_before_next: int = 0
    drop_after_next: int = 0
    html_answer_next: int = 0
    truncated_answer_next: int = 0
    only_writes: bool = False
    """Request faults strike writes only."""
    unreachable: bool = False
    """Every connection is refused: the request never arrives."""
    unauthorized: bool = False
    """Every request is answered 401: the merchant has revoked the daemon's credentials."""
    stale_read_s: float = 0.0
    """A reading of quantities may show the state up to so old. Writes, and their compare, act on
    the truth."""
    orders_lag_s: float = 0.0
    """An order that was created or changed is found in lists only up to so much later, each change
    drawing its own. Asked for by its number it is there at once."""
    shuffled_pages: bool = False
    """Where the platform leaves the order of equals open, each page draws its own."""
    trigger_lost_while_running: bool = False
    """A change that happens while a delivery about the same object is under way queues none."""
    writes_seen: list[str] = field(default_factory=list)
    """One entry for each write request received, applied or not (for counting tests)."""
    struck: Counter[str] = field(default_factory=Counter)
    """How often each fault really happened, by its field's name (without `_next`)."""

    def strikes(self, name: str, dice: random.Random) -> bool:
        """Answer whether the fault `name` strikes now: for certain, while its `*_next` counts;
        else by dice, which are drawn only where its probability is not 0. A strike is counted.
        """
        left: int = getattr(self, f"{name}_next", 0)
        if left > 0:
            setattr(self, f"{name}_next", left - 1)
        else:
            probability: float = getattr(self, name)
            if probability <= 0 or dice.random() >= probability:
                return False
        self.struck[name] += 1
        return True

    def is_on(self, name: str) -> bool:
        """Answer whether a switch is on; that it is counts as a strike."""
        on: bool = getattr(self, name)
        if on:
            self.struck[name] += 1
        return on

    def copies(self, dice: random.Random) -> int:
        """Return how many deliveries there are to be of one, >= 1."""
        if not self.strikes("webhook_duplicate", dice):
            return 1
        return dice.randint(2, max(2, self.webhook_copies_max))

    def delay_s(self, dice: random.Random) -> float:
        """Return how much later than usual one delivery comes, seconds >= 0."""
        if self.webhook_delay_s <= 0:
            return 0.0
        self.struck["webhook_delay_s"] += 1
        return (
            dice.uniform(0, self.webhook_delay_s)
            if self.webhook_delay_spread
            else (self.webhook_delay_s)
        )


def http_date(at: datetime) -> str:
    """Return an instant, aware UTC, as HTTP writes it: to the second."""
    return _http_date(int(at.timestamp()))


@lru_cache(maxsize=256)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def answer_through(
    faults: Faults,
    dice: random.Random,
    *,
    write: bool,
    act: Callable[[], ShopAnswer],
    refuse: Callable[[str], ShopAnswer],
) -> ShopAnswer:
    """Return what `act` answers, unless a request fault strikes before or after it.

    `refuse` makes the shop's own answer to `rate_limit`, `server_error` and `html_answer`. Raises
    `ConnectionDropped`.
    """
    if faults.only_writes and not write:
        return act()
    if faults.strikes("drop_before", dice):
        raise ConnectionDropped(applied=False)
    for name in ("rate_limit", "server_error"):
        if faults.strikes(name, dice):
            return refuse(name)
    page = faults.strikes("html_answer", dice)
    if page and dice.random() < 0.5:
        return refuse("html_answer")
    answer = act()
    if faults.strikes("drop_after", dice):
        raise ConnectionDropped(applied=True)
    if page:
        return refuse("html_answer")
    if faults.strikes("truncated_answer", dice):
        whole = {**answer.headers, "content-length": str(len(answer.body))}
        return ShopAnswer(answer.status, whole, answer.body[: dice.randrange(len(answer.body))])
    return answer


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

    def lose_webhooks(self) -> None:
        """The platform gives the daemon's webhooks up, as after too many failures."""
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

    def numbers(self) -> dict[str, int]:
        """Return listing -> the number that the platform shows for it: the truth, no fault applies.

        What shows no number (deleted, not stocked, not managed) is left out. Nothing else happens
        by asking: no timed job runs.
        """
        ...

    def lines(self) -> Iterator[OrderTruth]:
        """Yield every line of every order there is, oldest order first. No timed job runs."""
        ...
