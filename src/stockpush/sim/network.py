"""The network between the daemon and its shops, in one process and in virtual time.

Theory of operation. A request of the daemon travels, is handled by the shop, and its answer
travels back; each way may take long, and either may be lost. The journey is the world's, not the
daemon's: a request whose sender has given up, or was killed, is handled all the same, perhaps
long after (a *zombie*). A line that breaks tells the daemon at once or leaves it waiting for its
own deadline. Deliveries of webhooks go the other way; a daemon that is down refuses them.

Whoever watches sees each exchange as an outsider would: what was asked, when the shop handled it,
and which of its numbers changed by it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stockpush.engine.transport import Network, in_process
from stockpush.sim.loop import Owner, SimClock, VirtualLoop, spawn
from stockpush.sim.shops.base import ConnectionDropped, Shop, ShopAnswer, ShopRequest, WebhookOut

WEBHOOK_TIMEOUT_S = 5.0
"""What platforms give a receiver to answer."""
BROKEN_LATE = 0.5
"""Of the requests that arrive late, how many were given up by a line that broke."""
LOOK_S = 300.0
"""How long a delivery may go unnoticed that nobody announced."""


@dataclass(frozen=True, slots=True)
class Change:
    """A number of a shop that one request changed: stock, as the platform shows it."""

    listing: str
    before: int
    after: int


@dataclass(slots=True)
class Exchange:
    """One API request of the daemon, seen from outside. Instants are virtual seconds."""

    number: int
    channel: str
    request: ShopRequest
    sent_at: float
    handled_at: float | None = None
    """When the shop handled it; None: it never arrived."""
    answer: ShopAnswer | None = None
    """What the shop said; None: it broke the line."""
    changes: tuple[Change, ...] = ()
    told_at: float | None = None
    """When the daemon got the answer; None: never."""


class Watcher(Protocol):
    """Somebody who sees everything that passes."""

    def handled(self, exchange: Exchange) -> None:
        """The shop has just handled a request."""
        ...

    def told(self, exchange: Exchange) -> None:
        """The daemon has just got the answer."""
        ...

    def delivered(self, channel: str, out: WebhookOut, status: int | None) -> None:
        """The daemon has answered a webhook (None: there was no answer)."""
        ...


@dataclass(slots=True)
class Line:
    """What the way to one shop is like: probabilities in 0..1, spans in seconds."""

    travel_s: tuple[float, float] = (0.01, 0.2)
    """How long a request or an answer travels, from and to."""
    lost_before: float = 0.0
    """The request never arrives."""
    lost_after: float = 0.0
    """The answer never arrives."""
    silent: float = 0.5
    """Of what is lost, how much is not even reported: the daemon waits for its own deadline."""
    late: float = 0.0
    """The request arrives late, perhaps long after its sender gave it up."""
    late_s: float = 0.0
    """How late at most."""
    down: bool = False
    """Nobody can be reached at all, for both sides."""


Receive = Callable[[str, WebhookOut], Awaitable[int | None]]
"""The daemon's door for webhooks: (channel, delivery) -> status, None if nobody answers."""


@dataclass(slots=True)
class SimNetwork:
    """Carries requests and webhooks. `receive` is the daemon's door; it may change."""

    loop: VirtualLoop
    dice: random.Random
    shops: Mapping[str, Shop]
    receive: Receive
    watchers: list[Watcher] = field(default_factory=list)
    lines: dict[str, Line] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    """How often each fault of a line happened, by its name."""
    exchanges: int = 0
    straying: int = 0
    """Requests that are on their way and late: they may still change something."""
    _news: dict[str, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give every shop a good line."""
        for name in self.shops:
            self.lines.setdefault(name, Line())
            self._news[name] = asyncio.Event()

    def transport(self, channel: str, owner: Owner) -> Network:
        """Return the network of one channel as the daemon of this life sees it."""

        async def handle(
            method: str,
            path: str,
            query: Sequence[tuple[str, str]],
            headers: Mapping[str, str],
            body: bytes,
        ) -> tuple[int, Mapping[str, str], bytes]:
            request = ShopRequest(method, path, tuple(query), headers, body)
            answer = await self.ask(channel, owner, request)
            return answer.status, answer.headers, answer.body

        return in_process(handle)

    async def ask(self, channel: str, owner: Owner, request: ShopRequest) -> ShopAnswer:
        """Carry one request of `owner` to a shop and return its answer.

        Raises OSError where the line breaks; where it stays silent, nothing ever comes.
        """
        if owner.dead or self.lines[channel].down:
            self.struck["down"] += 1
            raise ConnectionRefusedError
        self.exchanges += 1
        exchange = Exchange(self.exchanges, channel, request, self.loop.time())
        self.loop.note(f"{channel} {request.method} {request.path} {exchange.sent_at}")
        answered: asyncio.Future[ShopAnswer] = self.loop.create_future()
        spawn(self.loop, self._carry(exchange, answered), None)
        answer = await answered
        exchange.told_at = self.loop.time()
        for watcher in self.watchers:
            watcher.told(exchange)
        return answer

    async def _carry(self, exchange: Exchange, answered: asyncio.Future[ShopAnswer]) -> None:
        """Take one request to its shop and the answer back."""
        line = self.lines[exchange.channel]
        sleep = SimClock(self.loop).sleep
        await sleep(self.dice.uniform(*line.travel_s))
        if self._strikes("late", line.late):
            self.straying += 1
            if self.dice.random() < BROKEN_LATE:
                self._break(line, answered)  # whoever carries it on knows of no broken line
            await sleep(self.dice.uniform(0.0, line.late_s))
            self.straying -= 1
        if line.down or self._strikes("lost_before", line.lost_before):
            self._break(line, answered)
            return
        answer = self._handle(exchange)
        await sleep(self.dice.uniform(*line.travel_s))
        line = self.lines[exchange.channel]
        if answer is None or line.down or self._strikes("lost_after", line.lost_after):
            self._break(line, answered)
        elif not answered.done():
            answered.set_result(answer)

    def _handle(self, exchange: Exchange) -> ShopAnswer | None:
        """Have the shop handle a request; return what it says, None if it breaks the line."""
        shop = self.shops[exchange.channel]
        before = shop.numbers()
        try:
            exchange.answer = shop.handle(exchange.request)
            applied = True
        except ConnectionDropped as dropped:
            applied = dropped.applied
        if applied:
            exchange.handled_at = self.loop.time()
            after = shop.numbers()
            exchange.changes = tuple(
                Change(listing, before[listing], number)
                for listing, number in after.items()
                if before.get(listing, number) != number
            )
            self.loop.note(f"handled {exchange.number} {exchange.changes}")
            for watcher in self.watchers:
                watcher.handled(exchange)
        self.acted(exchange.channel)
        return exchange.answer

    def _break(self, line: Line, answered: asyncio.Future[ShopAnswer]) -> None:
        """Break the line: the daemon hears of it, or waits in vain."""
        if not answered.done() and self.dice.random() >= line.silent:
            answered.set_exception(ConnectionResetError())

    def acted(self, channel: str) -> None:
        """Somebody did something at the shop: it may have something to tell."""
        self._news[channel].set()

    async def send_webhooks(self, channel: str) -> None:
        """Deliver the shop's webhooks, for ever."""
        shop, clock = self.shops[channel], SimClock(self.loop)
        while True:
            for out in shop.webhooks_due():
                spawn(self.loop, self._deliver(channel, out), None)
            due = shop.next_webhook_at()
            wait_s = LOOK_S if due is None else min(LOOK_S, (due - shop.clock()).total_seconds())
            waiting = spawn(self.loop, self._news[channel].wait(), None)
            sleeping = spawn(self.loop, clock.sleep(max(0.001, wait_s)), None)
            await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            sleeping.cancel()
            self._news[channel].clear()

    async def _deliver(self, channel: str, out: WebhookOut) -> None:
        """Make one attempt."""
        line = self.lines[channel]
        await SimClock(self.loop).sleep(self.dice.uniform(*line.travel_s))
        status: int | None = None
        if not line.down and not self._strikes("lost_before", line.lost_before):
            try:
                async with asyncio.timeout(WEBHOOK_TIMEOUT_S):
                    status = await self.receive(channel, out)
            except TimeoutError:
                status = None
            if status is not None:
                # Seen by the daemon whether or not its answer arrives.
                for watcher in self.watchers:
                    watcher.delivered(channel, out, status)
                if self._strikes("lost_after", line.lost_after):
                    status = None
        self.loop.note(f"{channel} webhook {out.id} {status}")
        self.shops[channel].webhook_answered(out, status)
        self.acted(channel)

    def _strikes(self, name: str, probability: float) -> bool:
        if probability > 0 and self.dice.random() < probability:
            self.struck[name] += 1
            return True
        return False
