"""The naive sync: what a tool does that pushes its absolute count, to be shown beside the daemon.

Theory of operation. One count for each item is kept centrally: the opening stock, less what every
order seen has taken, plus what was seen to be put back. Orders come by webhook, at once, and by a
poll that overlaps the one before; a line is known by shop, order and line, so that copies count
once, and an older telling never replaces a newer one. After every change the number of every
listing that the change concerns is pushed to every shop, the one that sold included, and once an
hour all of them are. A push that fails is repeated until it succeeds.

It is as careful as such tools are: signatures are verified, refunds are told from restocks, several
listings and packs of an item and bills of materials are netted, unpaid orders are reserved, a poll
that broke off is made again from where it began, no more than one push per shop is under way, and
its memory outlives a restart. On Shopify, and on a shop of one's own that can, each push is even
compared with a number just read. Each platform is spoken as it wants to be: whole documents on
Etsy, on Faire what is on hand with what open orders keep of it.

What it has not is what the daemon adds: it does not know what a shop *should* show. A number that a
shop has lowered for a sale not yet heard of looks like any number that is to be corrected, and the
unit is put back on sale.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from stockpush.sim.accounts import CAP, CAPS
from stockpush.sim.naive_api import (
    Gone,
    NaiveShopify,
    NaiveWoo,
    Refused,
    Send,
    ShopApi,
    SoldOrder,
    ToFetch,
    Wanted,
)
from stockpush.sim.naive_etsy import NaiveEtsy
from stockpush.sim.naive_faire import NaiveFaire
from stockpush.sim.naive_site import NaiveSite
from stockpush.sim.shops.base import ConnectionDropped, ShopAnswer, ShopRequest, WebhookOut
from stockpush.sim.truth import atp, group
from stockpush.sim.world import Bill, Listed

OVERLAP_S = 600.0
"""How far each poll goes back before the end of the one before."""
FULL_PUSH_S = 3600.0
"""How often everything is pushed, changed or not."""
REQUEST_MAX_S = 30.0
"""How long one request may take."""
BACK_OFF_MAX_S = 60.0
"""The longest wait before a push or a fetch is tried again."""

LineKey = tuple[str, str, str]
"""(channel, order, line)."""
FieldName = tuple[str, str]
"""(channel, the shop's name of what holds the number)."""


class Clock(Protocol):
    """Time, as `ports.Clock` tells it."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` (>= 0)."""
        ...


class Ids(Protocol):
    """Identifiers, as `ports.Ids` gives them."""

    def new(self) -> str:
        """Return a fresh identifier."""
        ...


@dataclass(frozen=True, slots=True)
class ShopifyAccount:
    """What the tool was given for a Shopify shop. `compares`: each set is compared with a number
    just read, else it is made blindly.
    """

    access_token: str
    webhook_secret: str
    location: int = 1
    compares: bool = True

    def api(self, send: Send) -> ShopApi:
        """Return the shop as the sync needs it."""
        return NaiveShopify(
            send, self.access_token, self.webhook_secret, self.location, self.compares
        )


@dataclass(frozen=True, slots=True)
class WooAccount:
    """What the tool was given for a WooCommerce shop."""

    consumer_key: str
    consumer_secret: str
    webhook_secret: str

    def api(self, send: Send) -> ShopApi:
        """Return the shop as the sync needs it."""
        return NaiveWoo(send, self.consumer_key, self.consumer_secret, self.webhook_secret)


@dataclass(frozen=True, slots=True)
class EtsyAccount:
    """What the tool was given for an Etsy shop; `refresh_token` is the first that was granted."""

    shop_id: int
    keystring: str
    shared_secret: str
    refresh_token: str
    webhook_secret: str

    def api(self, send: Send) -> NaiveEtsy:
        """Return the shop as the sync needs it."""
        return NaiveEtsy(
            send,
            self.shop_id,
            self.keystring,
            self.shared_secret,
            self.refresh_token,
            self.webhook_secret,
        )


@dataclass(frozen=True, slots=True)
class FaireAccount:
    """What the tool was given for a Faire account."""

    access_token: str

    def api(self, send: Send) -> ShopApi:
        """Return the account as the sync needs it."""
        return NaiveFaire(send, self.access_token)


@dataclass(frozen=True, slots=True)
class SiteAccount:
    """What the tool was given for a shop of one's own."""

    access_token: str
    webhook_key: bytes

    def api(self, send: Send) -> ShopApi:
        """Return the shop as the sync needs it."""
        return NaiveSite(send, self.access_token, self.webhook_key)


Account = ShopifyAccount | WooAccount | EtsyAccount | FaireAccount | SiteAccount


@dataclass(slots=True)
class _Sold:
    """What one line has taken; `undeducted` of it still stands on the shop's number."""

    listed: Listed
    taken: int
    undeducted: int


@dataclass(slots=True)
class _Queue:
    """Names of what is to be done, each once, in the order in which they came."""

    names: dict[str, None] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    doing: bool = False

    def put(self, name: str) -> None:
        """Have something done, once."""
        self.names[name] = None
        self.news.set()

    async def take(self) -> str:
        """Wait for the next one and take it out."""
        while not self.names:
            self.news.clear()
            await self.news.wait()
        name = next(iter(self.names))
        del self.names[name]
        self.doing = True
        return name

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self.names or self.doing)


@dataclass(slots=True)
class _Channel:
    """One shop and what is to be done there. `polled_to`: the next poll begins before it."""

    name: str
    api: ShopApi
    poll_s: float
    fields: _Queue = field(default_factory=_Queue)
    """Fields whose number is to be pushed."""
    orders: _Queue = field(default_factory=_Queue)
    """Orders to be fetched."""
    polled_to: datetime | None = None


class Naive:
    """The sync. `run` works for ever; after it was cancelled it may run again and goes on.

    `send(channel, request)` carries a request, and raises OSError or TimeoutError where it cannot.
    `opening` is the count of each item; `accounts`, `poll_s` and `buffers` are by channel. Without
    `bills` only finished stock is offered.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        send: Callable[[str, ShopRequest], Awaitable[ShopAnswer]],
        accounts: Mapping[str, Account],
        listings: Sequence[Listed],
        opening: Mapping[str, int],
        poll_s: Mapping[str, float],
        bills: Mapping[str, Bill] | None = None,
        buffers: Mapping[str, int] | None = None,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._send = send
        self._free: defaultdict[str, int] = defaultdict(int, opening)
        self._bills = dict(bills or {})
        self._buffers = dict(buffers or {})
        self._channels = {
            name: _Channel(name, account.api(self._sender(name)), poll_s[name])
            for name, account in accounts.items()
        }
        self._by_name = {(each.channel, each.listing): each for each in listings}
        self._by_field: dict[FieldName, Listed] = {}
        for each in listings:
            self._by_field.setdefault((each.channel, each.field), each)
        self._lines: dict[LineKey, _Sold] = {}
        self._by_order: dict[tuple[str, str], set[LineKey]] = defaultdict(set)
        self._standing: Counter[FieldName] = Counter()
        self._told_at: dict[tuple[str, str], datetime] = {}
        self.pushes = 0
        """Numbers that were written, as far as the shops said."""

    # -- from outside --------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll, fetch and push, for ever."""
        for _, api in self._granted_apis():
            api.begin()
        self._push_everything()
        async with asyncio.TaskGroup() as work:
            work.create_task(self._push_each_hour())
            for channel in self._channels.values():
                work.create_task(self._poll(channel))
                work.create_task(self._work(channel.orders, partial(self._fetch, channel)))
                work.create_task(self._work(channel.fields, partial(self._push_one, channel)))

    async def webhook(self, channel: str, out: WebhookOut) -> int:
        """Take one delivery; return the status to answer: 200, 400 unreadable, 401 not genuine."""
        at = self._channels[channel]
        if not at.api.is_genuine(out):
            return 401
        try:
            heard = at.api.heard(out)
        except (ValueError, KeyError, TypeError):
            return 400
        if isinstance(heard, SoldOrder):
            self._apply(at, heard)
        elif isinstance(heard, ToFetch):
            at.orders.put(heard.order_id)
        return 200

    def move(self, moves: Mapping[str, int]) -> None:
        """Book what came in or went out besides orders: item -> units, signed."""
        for sku, units in moves.items():
            self._free[sku] += units
            self._touch(sku)

    def set_bills(self, bills: Mapping[str, Bill]) -> None:
        """Net with these bills from now on."""
        self._bills = dict(bills)
        self._push_everything()

    def free(self, sku: str) -> int:
        """Return the central count of an item, < 0 where more was sold than there is."""
        return self._free.get(sku, 0)

    def wanted(self, listed: Listed) -> Wanted:
        """Return what the listing's field is to show."""
        sku = listed.sku
        left = atp(sku, self._free, self._bills, group(sku, self._bills))
        offered = left - self._buffers.get(listed.channel, 0)
        cap = CAPS.get(listed.channel, CAP)
        offer = min(cap, max(0, offered // listed.pack))
        return Wanted(offer, min(cap - offer, self._standing[listed.channel, listed.field]))

    def needs_login(self) -> list[str]:
        """Return the channels to which somebody must grant access anew."""
        return [name for name, api in self._granted_apis() if api.needs_login]

    def grant(self, channel: str, access: str, refresh: str) -> None:
        """Go on with tokens that somebody has just granted."""
        dict(self._granted_apis())[channel].granted(access, refresh)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be pushed or fetched, or is under way."""
        return all(
            each.fields.is_empty and each.orders.is_empty for each in self._channels.values()
        )

    # -- the count -----------------------------------------------------------------------------

    def _apply(self, channel: _Channel, order: SoldOrder) -> None:
        """Book what an order has taken, unless something newer about it is known."""
        name = (channel.name, order.order_id)
        if order.updated_at < self._told_at.get(name, order.updated_at):
            return
        self._told_at[name] = order.updated_at
        now = {(*name, line.line_id): line for line in order.lines}
        self._forget(self._by_order[name] - now.keys())
        for key, line in now.items():
            listed = self._by_name.get((channel.name, line.listing))
            if listed is not None:
                self._book(key, listed, line.taken, line.undeducted)

    def _book(self, key: LineKey, listed: Listed, taken: int, undeducted: int) -> None:
        known = self._lines.get(key, _Sold(listed, 0, 0))
        if (known.taken, known.undeducted) == (taken, undeducted):
            return
        self._lines[key] = _Sold(listed, taken, undeducted)
        self._by_order[key[:2]].add(key)
        self._free[listed.sku] -= (taken - known.taken) * listed.pack
        self._standing[listed.channel, listed.field] += undeducted - known.undeducted
        self._touch(listed.sku)

    def _forget(self, keys: Iterable[LineKey]) -> None:
        """Take back what lines took that are gone."""
        for key in sorted(keys):
            self._book(key, self._lines[key].listed, 0, 0)

    def _touch(self, sku: str) -> None:
        """Have everything pushed that shares a material with an item."""
        near = set(group(sku, self._bills))
        self._push(each for each in self._by_field.values() if each.sku in near)

    def _push_everything(self) -> None:
        self._push(self._by_field.values())

    def _push(self, listings: Iterable[Listed]) -> None:
        for each in listings:
            self._channels[each.channel].fields.put(each.field)

    # -- the work ------------------------------------------------------------------------------

    async def _push_each_hour(self) -> None:
        while True:
            await self._clock.sleep(FULL_PUSH_S)
            self._push_everything()

    async def _poll(self, channel: _Channel) -> None:
        """Read what changed since the last poll that came to its end, for ever."""
        while True:
            with suppress(Refused, Gone):
                await self._poll_once(channel)
            await self._clock.sleep(channel.poll_s)

    async def _poll_once(self, channel: _Channel) -> None:
        since = (channel.polled_to or self._clock.now()) - timedelta(seconds=OVERLAP_S)
        # By the shop's own clock from then on: ours may be wrong against it.
        channel.polled_to = await channel.api.orders(since, partial(self._apply, channel))

    async def _work(self, queue: _Queue, do: Callable[[str], Awaitable[None]]) -> None:
        """Do what a queue holds, one thing after the other; what fails waits and comes again."""
        wait_s = 1.0
        while True:
            name = await queue.take()
            try:
                await do(name)
                wait_s = 1.0
            except Refused as refused:
                queue.put(name)
                await self._clock.sleep(min(BACK_OFF_MAX_S, max(refused.wait_s, wait_s)))
                wait_s = min(BACK_OFF_MAX_S, wait_s * 2)
            except BaseException:
                queue.put(name)
                raise
            finally:
                queue.doing = False

    async def _fetch(self, channel: _Channel, order_id: str) -> None:
        order = await channel.api.order(order_id)
        if order is None:
            self._forget(self._by_order[channel.name, order_id])
        else:
            self._apply(channel, order)

    async def _push_one(self, channel: _Channel, name: str) -> None:
        wanted = partial(self.wanted, self._by_field[channel.name, name])
        with suppress(Gone):
            self.pushes += await channel.api.set_number(name, wanted, key=self._ids.new())

    def _granted_apis(self) -> list[tuple[str, NaiveEtsy]]:
        """Return the shops whose access is granted by their owner and ends."""
        shops = ((name, each.api) for name, each in self._channels.items())
        return [(name, api) for name, api in shops if isinstance(api, NaiveEtsy)]

    def _sender(self, channel: str) -> Send:
        async def send(request: ShopRequest) -> ShopAnswer:
            try:
                async with asyncio.timeout(REQUEST_MAX_S):
                    return await self._send(channel, request)
            except (OSError, TimeoutError, ConnectionDropped) as error:
                raise Refused from error

        return send
