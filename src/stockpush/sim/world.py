"""A maker, drawn from a seed: items, bills of materials, stock, shops and what is on sale there.

Theory of operation. Overselling lives near zero, so most worlds are small and short of stock: a few
products, some made from materials that others need too. Everything that the daemon is to know is
said twice: as a catalogue and a configuration for it, and as plain values for the truth, so that
whoever checks need not read what the daemon reads. Quantities of items are whole (pieces, grams).

The world begins without orders. Nobody should buy before the daemon has read each shop's orders
once, for what has left by then is history to it, however it came to leave.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stockpush.sim import accounts
from stockpush.sim.accounts import CAP, CAPS, CONNECTORS, AnyShop, EtsyTerms
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.woocommerce import WooShop

ADMIN_TOKEN = "sim-admin-token-sim"  # noqa: S105  # of a daemon that exists only in this process
MAIN, MARKET = "main", "market"
"""The pools that there may be: what lies in the one cannot be sent by a channel of the other."""
LOCATIONS = {MAIN: "main", MARKET: "stall"}
"""Where what belongs to a pool lies."""
UNMAPPED = "unknown"
"""SKU of what is on sale and not in the catalogue."""


def shelf(sku: str, pool: str) -> str:
    """Return what an item is called in a pool: in the market it is another thing than in main.

    >>> shelf("soap", "main"), shelf("soap", "market")
    ('soap', 'soap@market')
    """
    return sku if pool == MAIN else f"{sku}@{pool}"


def parted(name: str) -> tuple[str, str]:
    """Return the item and the pool of what `shelf` names.

    >>> parted("soap"), parted("soap@market")
    (('soap', 'main'), ('soap', 'market'))
    """
    sku, _, pool = name.partition("@")
    return sku, pool or MAIN


def at(sku: str, location: str | None) -> str:
    """Return what an item is called that lies at a location."""
    return shelf(sku, MARKET if location == LOCATIONS[MARKET] else MAIN)


@dataclass(frozen=True, slots=True)
class Thing:
    """An item in a pool; `opening` is its stock at the beginning, in its smallest units."""

    sku: str
    kind: str
    unit: str
    opening: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What `makes` units of `item` are made from: (item, units for all of them)."""

    item: str
    makes: int
    lines: tuple[tuple[str, int], ...]
    batch_only: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing: `listing` is its shop's name of it, `field` the shop's name of what holds its
    number (a Shopify inventory item, the WooCommerce row that manages stock, an Etsy listing with
    what its quantity varies by), `pack` how many units of the item one unit of it is.
    """

    channel: str
    listing: str
    sku: str
    pack: int
    field: str


@dataclass(frozen=True, slots=True)
class Shared:
    """How the owner has an item's listings share what is left: `least` is the least guard level,
    `home` the channel of the last one, `limit` what may be sold too much (None: any number), each
    in smallest units.
    """

    least: int = 0
    home: str | None = None
    limit: int | None = None


@dataclass(slots=True)
class ShopClock:
    """A shop's own clock, `ahead_s` ahead of the true one."""

    true: Callable[[], datetime]
    ahead_s: float = 0.0

    def __call__(self) -> datetime:
        """Return the instant that it shows."""
        return self.true() + timedelta(seconds=self.ahead_s)


@dataclass(slots=True)
class World:
    """What there is. `listings` are those in the catalogue; `unmapped` are on sale besides.

    A clock of `clocks` may be set wrong before anybody acts, and must then stay as wrong as it is:
    what the shops tell of one order is ordered by their clocks.
    """

    things: Mapping[str, Thing]
    bills: Mapping[str, Bill]
    listings: tuple[Listed, ...]
    unmapped: tuple[Listed, ...]
    shops: Mapping[str, AnyShop]
    buffers: Mapping[str, int]
    poll_s: Mapping[str, int]
    reconcile_s: Mapping[str, int]
    hot: Listed
    """What a flash sale is of."""
    clocks: Mapping[str, ShopClock]
    etsy: EtsyTerms = field(default_factory=EtsyTerms)
    guards: bool = True
    """Whether listings may share what is left; else each shows all there is."""
    shared: Mapping[str, Shared] = field(default_factory=dict)
    """By item, where the owner has said anything of it."""
    weights: Mapping[Listed, int] = field(default_factory=dict)
    """Of listings that do not weigh 1."""
    rules: Mapping[str, int] = field(default_factory=dict)
    """The most of an item that may wait to be made where its owner has said so; 0: what is finished
    alone is promised."""
    alike: Mapping[str, str] = field(default_factory=dict)
    """Substitutes, by the name that they share: an item of which nothing is ever stocked."""
    market: frozenset[str] = frozenset()
    """The channels that are fed by the market; then everything is there once in each pool."""
    horizon_s: int | None = None
    """How soon what is promised of any item has to be there, None where that is not said."""
    is_split: bool = False
    """Whether what there is is parted among the listings. Then nobody takes anything away."""

    @property
    def own_channel_only(self) -> bool:
        """Whether there is one channel, so that nobody else can sell what it shows."""
        return len(self.shops) == 1

    @property
    def goods(self) -> list[Thing]:
        """Return what can be stocked, by name: everything but what substitutes share."""
        names = set(self.alike.values())
        return [self.things[sku] for sku in sorted(self.things) if sku not in names]

    def shelf(self, channel: str, sku: str) -> str:
        """Return what a channel sells of an item."""
        return shelf(sku, MARKET if channel in self.market else MAIN)

    def fields(self) -> Iterator[Listed]:
        """Yield one listing for each field."""
        seen: set[tuple[str, str]] = set()
        for listed in self.listings:
            if (key := (listed.channel, listed.field)) not in seen:
                seen.add(key)
                yield listed

    def shows(self, listed: Listed) -> int:
        """Return the number that the listing's field holds."""
        shop = self.shops[listed.channel]
        match shop:
            case WooShop():
                return shop.stock_quantity(listed.listing)
            case EtsyShop() | FaireShop():
                return shop.numbers().get(listed.listing, 0)
            case _:
                return shop.quantity(listed.listing)

    def holds_unpaid(self, channel: str) -> bool:
        """Answer whether a channel's checkout keeps for an order what it has not deducted yet."""
        return not isinstance(self.shops[channel], EtsyShop)

    def cap(self, channel: str) -> int:
        """Return the most that a channel shows."""
        return CAPS.get(channel, CAP)

    def subscribe(self, urls: Mapping[str, str]) -> None:
        """Register each shop's webhooks, to the URL of its channel."""
        for name, shop in self.shops.items():
            accounts.subscribe(shop, urls[name], self.etsy)

    def with_bill(self, bills: Mapping[str, Bill], bill: Bill) -> dict[str, Bill]:
        """Return the bills with another one of an item, which is so in every pool."""
        item, changed = parted(bill.item)[0], {**bills}
        for pool in (MAIN, MARKET):
            if (name := shelf(item, pool)) in bills:
                lines = tuple((shelf(parted(sku)[0], pool), units) for sku, units in bill.lines)
                changed[name] = replace(bill, item=name, lines=lines)
        return changed

    def catalogue(self, bills: Mapping[str, Bill] | None = None) -> str:
        """Return the catalogue file, with other bills where they are given."""
        parts = [
            f'[[items]]\nsku = "{thing.sku}"\nname = "{thing.sku}"\nkind = "{thing.kind}"\n'
            f'unit = "{thing.unit}"\n{self._stock_of(thing)}{self._horizon}'
            f"{self._rule_of(thing.sku)}"
            f"{self._said_of(thing.sku)}"
            for thing in self.things.values()
            if parted(thing.sku)[1] == MAIN
        ]
        for bill in (self.bills if bills is None else bills).values():
            if parted(bill.item)[1] != MAIN:
                continue
            lines = ", ".join(
                f'{{ item = "{sku}", quantity = {units} }}' for sku, units in bill.lines
            )
            batch = "batch_only = true\n" if bill.batch_only else ""
            parts.append(
                f'[[boms]]\nitem = "{bill.item}"\nyield = {bill.makes}\n{batch}lines = [{lines}]\n'
            )
        parts += [
            f'[[listings]]\nchannel = "{listed.channel}"\nitem = "{parted(listed.sku)[0]}"\n'
            f"pack = {listed.pack}\nweight = {self.weights.get(listed, 1)}\n"
            f"ref = {accounts.reference(listed.channel, listed.listing)}\n"
            for listed in self.listings
        ]
        if self.market:
            parts.append(f'[[locations]]\nname = "{LOCATIONS[MARKET]}"\npool = "{MARKET}"\n')
        return "\n".join(parts)

    @property
    def _horizon(self) -> str:
        return "" if self.horizon_s is None else f'horizon = "{self.horizon_s} s"\n'

    def _stock_of(self, thing: Thing) -> str:
        """Return the columns that say how much there is of an item, and what it may stand for."""
        if thing.sku in self.alike.values():
            return ""
        name = self.alike.get(thing.sku)
        other = "" if name is None else f'substitute_for = "{name}"\n'
        return f"on_hand = {thing.opening}\n{other}"

    def _rule_of(self, sku: str) -> str:
        """Return the column that says what may be promised of an item."""
        if sku not in self.rules:
            return ""
        most = self.rules[sku]
        return f"buildable_max = {most}\n" if most else 'promise = "finished"\n'

    def _said_of(self, sku: str) -> str:
        """Return the columns that say how an item is shared."""
        shared = self.shared.get(sku)
        if shared is None:
            return ""
        home = "" if shared.home is None else f'home_channel = "{shared.home}"\n'
        limit = "" if shared.limit is None else f"exposure_max = {shared.limit}\n"
        return f"guard_min = {shared.least}\n{home}{limit}"

    def configuration(
        self, database: str, *, secret_key: str, mode: str = "live", public_url: str | None = None
    ) -> str:
        """Return a configuration over a SQLite file at the path `database`; `public_url` is where
        the shops believe the daemon to be.
        """
        daemon = (
            f'[daemon]\ndatabase = "sqlite:///{database}"\nsecret_key = "{secret_key}"\n'
            f'admin_token = "{ADMIN_TOKEN}"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        )
        if public_url is not None:
            daemon += f'public_url = "{public_url}"\n'
        exposure = "split" if self.is_split else "guard" if self.guards else "mirror"
        parts = [daemon, f'[stock]\nexposure = "{exposure}"\n']
        parts += [
            f'[channels.{name}]\nconnector = "{CONNECTORS[name]}"\n'
            f'{accounts.section(name, self.etsy)}mode = "{mode}"\n'
            f"buffer = {self.buffers[name]}\n"
            + (f'pool = "{MARKET}"\n' if name in self.market else "")
            + f"poll_s = {self.poll_s[name]}\nreconcile_s = {self.reconcile_s[name]}\n"
            for name in self.shops
        ]
        return "\n".join(parts)


def changed_bill(dice: random.Random, bill: Bill) -> Bill:
    """Return the bill as its maker changes it: another use of one of its components."""
    place = dice.randrange(len(bill.lines))
    lines = [
        (sku, max(1, units + dice.choice((-1, 1, 2, 5))) if at == place else units)
        for at, (sku, units) in enumerate(bill.lines)
    ]
    return replace(bill, lines=tuple(lines))
