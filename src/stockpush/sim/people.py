"""Who acts in a simulated world: shoppers, the merchant in each shop's admin, the maker at home.

Theory of operation. Each kind of person is one task on the virtual clock, with dice of its own, and
every deed is one line of `trace` and one count of `deeds`. Shoppers buy what is on sale, one hot
item in a rush; the merchant ships, cancels, refunds, edits and delists; the maker receives, builds,
scraps, counts and sells at the market through the daemon's own commands, one after the other, each
repeated with its key until it is durable.

Left out, because nobody could say what is true then: a count of an item that is sold (it would be
wrong by every shipment that the daemon has not heard of), deleting a listing of which an order has
not been heard (its line no longer names it), and orders that vanish (trash, deletion) where a
webhook can be lost for good: no list shows them, so that nothing else could tell.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol

from stockpush.messages import BuildStock, Command, CountStock, MoveStock, StockMove
from stockpush.model import MovementKind
from stockpush.sim.accounts import ETSY
from stockpush.sim.auditor import Auditor
from stockpush.sim.shops.base import SoldOut
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.swarm import HOUR, FaultKind, Swarm
from stockpush.sim.truth import Truth, group
from stockpush.sim.world import LOCATIONS, MAIN, Listed, World, changed_bill, parted

UNPAID: Mapping[type[WooShop | EtsyShop], float] = MappingProxyType({WooShop: 0.2, EtsyShop: 0.1})
"""How often a shopper does not pay at once, where a shop lets them."""
FAIRE_DEEDS = 0.35
"""How often a wholesale order is dealt with as only such an order is."""
SALES_PER_HOUR = (4.0, 150.0)
SALES_MAX = 250
"""About how many sales a run has at most: more show nothing new."""
ENOUGH = {"g": 600, "piece": 12}
"""How much of something is enough where nobody takes anything away, by unit."""
HURRIED = 0.7
"""How often a hurried merchant changes an order once more within a second."""
FLASH_SALES = 0.35
"""How many runs have a rush on the hot item."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How people act where that is not drawn: how many shoppers come in an hour, and how long the
    maker rests in between, on average. `hurried`: the merchant often changes an order twice in one
    second. `wave_s`: everybody acts for the first so many seconds and then rests for the second so
    many, over and over, so that much happens at once and then nothing at all.
    """

    sales_per_hour: float
    maker_s: float
    hurried: bool = False
    wave_s: tuple[float, float] | None = None


BUSY = Pace(900.0, 5.0)
"""Many shoppers, and a maker who keeps up with them: what sells by the thousand."""


class Operator(Protocol):
    """The maker's hands on the daemon."""

    async def act(self, command: Command, *, apart: bool = False) -> None:
        """Carry out a command; return when it is durable. `apart`: by another connection."""
        ...

    async def imports(self, catalogue: str, *, key: str) -> None:
        """Import a catalogue file; return when it is durable."""
        ...

    async def reload(self) -> None:
        """Restart gracefully."""
        ...


class Sleeper(Protocol):
    """A clock to wait on."""

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of virtual time."""
        ...


@dataclass(slots=True)
class Purchase:
    """An order that somebody made: `left` units of each listing can still be refunded. `carries`:
    it was split off another, which goes on naming as many, so nobody takes fewer than all out.
    """

    channel: str
    order_id: str
    left: dict[str, int]
    paid: bool = True
    shipped: bool = False
    refunded: bool = False
    carries: bool = False


@dataclass(slots=True)
class People:
    """Everybody. `acted` is told the channel after each deed at its shop, `until` (virtual seconds)
    is when everybody goes home, `now` tells the virtual seconds.
    """

    world: World
    truth: Truth
    auditor: Auditor
    swarm: Swarm
    dice: random.Random
    clock: Sleeper
    now: Callable[[], float]
    operator: Operator
    acted: Callable[[str], None]
    until: float
    pace: Pace | None = None
    """None: drawn."""
    trace: list[str] = field(default_factory=list)
    deeds: Counter[str] = field(default_factory=Counter)
    """What `swarm.ROWS` counts as deeds, and others."""
    struck: Counter[FaultKind] = field(default_factory=Counter)
    """Faults that people carry out."""
    sold_out: int = 0
    hidden: int = 0
    """Of those, who wanted one thing that the shop should have shown in that number."""
    hands: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever moves stock: one after the other."""
    open_orders: list[Purchase] = field(default_factory=list)
    sent_orders: list[Purchase] = field(default_factory=list)
    _keys: int = 0

    def everybody(self) -> list[Coroutine[Any, Any, None]]:
        """Return one coroutine for each kind of person; each ends when everybody goes home."""
        span_s = max(1.0, self.until - self.now())
        rate = between(self.dice, *SALES_PER_HOUR) / HOUR
        if self.pace is None:
            rate, pause_s = min(rate, SALES_MAX / span_s), self.dice.uniform(120, 1500)
        else:
            rate, pause_s = self.pace.sales_per_hour / HOUR, self.pace.maker_s
        people = [
            self._shoppers(self._own_dice(), rate),
            self._merchant(self._own_dice(), rate * self.dice.uniform(0.3, 1.0)),
            self._maker(self._own_dice(), 1 / pause_s),
        ]
        if self.dice.random() < FLASH_SALES:
            people.append(self._rush(self._own_dice()))
        if self.dice.random() < 0.25:
            people.append(self._housekeeper(self._own_dice()))
        if edits := self.swarm.strength(FaultKind.MERCHANT_EDIT):
            people.append(self._typist(self._own_dice(), edits / HOUR))
        return people

    # -- shoppers ---------------------------------------------------------------------

    async def _shoppers(self, dice: random.Random, rate: float) -> None:
        while await self.wait(dice, rate):
            if self.world.unmapped and dice.random() < 0.05:
                self._buy_unmapped(dice)
                continue
            listed = dice.choice(self.world.listings)
            self._buy(dice, [(listed, dice.choice((1, 1, 1, 1, 2, 3)))])
            if dice.random() < self.swarm.strength(FaultKind.SAME_SECOND):
                there = [each for each in self.world.listings if each.channel == listed.channel]
                if self._buy(dice, [(dice.choice(there), 1)]):
                    self.struck[FaultKind.SAME_SECOND] += 1

    async def _rush(self, dice: random.Random) -> None:
        """Many want the hot item at once, wherever it is on sale."""
        await self.clock.sleep(dice.uniform(0, max(1.0, self.until - self.now())))
        hot = [each for each in self.world.listings if each.sku == self.world.hot.sku]
        self.deeds["flash_sale"] += 1
        for _ in range(dice.randint(5, 40)):
            if self.now() >= self.until:
                return
            self._buy(dice, [(dice.choice(hot), 1)])
            await self.clock.sleep(dice.expovariate(1 / 1.5))

    def _buy(self, dice: random.Random, wanted: list[tuple[Listed, int]]) -> bool:
        """A shopper buys, if the shop lets them: one listing, sometimes another with it."""
        channel = wanted[0][0].channel
        there = [
            each for each in self.world.listings if each.channel == channel and each != wanted[0][0]
        ]
        if there and dice.random() < 0.12:
            wanted = [*wanted, (dice.choice(there), 1)]
        wanted = [(each, units) for each, units in wanted if not self.auditor.is_delisted(each)]
        if not wanted:
            return False
        shop = self.world.shops[channel]
        before = [(self.auditor.before_sale(each), units) for each, units in wanted]
        lines = [(each.listing, units) for each, units in wanted]
        paid = True
        try:
            if isinstance(shop, WooShop | EtsyShop) and dice.random() < UNPAID[type(shop)]:
                paid = False
                order_id = shop.checkout(lines, paid=False)
            elif isinstance(shop, FaireShop) and dice.random() < 0.1:
                self._sell_by_platform(shop, lines)
                return False
            else:
                order_id = shop.checkout(lines)
        except SoldOut:
            self.sold_out += 1
            self.hidden += len(wanted) == 1 and wanted[0][1] <= self.truth.offer(wanted[0][0])
            return False
        self._did(channel, order_id, f"bought {lines}" + ("" if paid else " unpaid"))
        self.auditor.sold(order_id, before)
        self.open_orders.append(Purchase(channel, order_id, dict(lines), paid))
        self.deeds["sold"] += 1
        self.deeds["unpaid"] += not paid
        for each, _ in wanted:
            self._count_kind(each)
        return True

    def _sell_by_platform(self, shop: FaireShop, lines: list[tuple[str, int]]) -> None:
        """A retailer buys what Faire has in its own warehouse: nothing of ours."""
        order_id = shop.checkout(lines, by_faire=True)
        self.deeds["sold_by_platform"] += 1
        self._did(shop.name, order_id, f"bought {lines} from the platform's own stock")

    def _count_kind(self, listed: Listed) -> None:
        twins = [
            each
            for each in self.world.listings
            if (each.channel, each.sku) == (listed.channel, listed.sku)
        ]
        self.deeds["sold_twin"] += len(twins) > 1
        self.deeds["sold_sharing"] += (
            len([sku for sku in group(listed.sku, self.truth.bills) if sku in self.truth.bills]) > 1
        )

    def _buy_unmapped(self, dice: random.Random) -> None:
        listed = dice.choice(self.world.unmapped)
        try:
            order_id = self.world.shops[listed.channel].checkout([(listed.listing, 1)])
        except SoldOut:
            return
        self.deeds["sold_unmapped"] += 1
        self._did(listed.channel, order_id, "bought what is not in the catalogue")

    # -- the merchant ---------------------------------------------------------------------

    async def _merchant(self, dice: random.Random, rate: float) -> None:
        while await self.wait(dice, rate):
            if self.sent_orders and dice.random() < 0.15:
                self._refund_sent(dice, dice.choice(self.sent_orders))
            elif self.open_orders:
                order = dice.choice(self.open_orders)
                self._handle(dice, order)
                if self.pace is not None and self.pace.hurried and dice.random() < HURRIED:
                    await self.clock.sleep(dice.uniform(0, 1))
                    if order in self.open_orders:
                        self._handle(dice, order)

    def _handle(self, dice: random.Random, order: Purchase) -> None:
        """Do something with an order that is still to be sent."""
        shop = self.world.shops[order.channel]
        self.truth.refresh(order.channel, order.order_id)
        own = (order.channel, order.order_id)
        if not any(line.open for key, line in self.truth.lines.items() if key[:2] == own):
            self.open_orders.remove(order)  # nobody has paid, or everything was refunded
            return
        if isinstance(shop, WooShop) and not order.paid:
            self._handle_unpaid(dice, shop, order)
            return
        if isinstance(shop, EtsyShop) and not order.paid:
            self._handle_processing(shop, order)
            return
        if isinstance(shop, FaireShop) and dice.random() < FAIRE_DEEDS:
            self._handle_wholesale(dice, shop, order)
            return
        roll = dice.random()
        if roll < 0.45:
            self._ship(dice, order)
        elif roll < 0.62:
            restock = dice.random() < 0.75
            self.open_orders.remove(order)
            shop.cancel(order.order_id, restock=restock)
            self.deeds["cancelled"] += 1
            self._did(order.channel, order.order_id, f"cancelled, restock {restock}")
        elif roll < 0.8:
            self._refund(dice, order, "refunded_unshipped")
        elif roll < 0.94 and self.world.is_split:
            return  # a merchant may sell more than is shown
        elif roll < 0.94 and not isinstance(shop, EtsyShop):
            self._edit(dice, order)
        elif isinstance(shop, WooShop):
            self._odd_end(dice, shop, order)
        elif isinstance(shop, ShopifyShop) and self.swarm.tells_everything:
            self.open_orders.remove(order)
            shop.delete_order(order.order_id)
            self.deeds["deleted"] += 1
            self._did(order.channel, order.order_id, "deleted")

    def _handle_processing(self, shop: EtsyShop, order: Purchase) -> None:
        """A payment comes in, where what it is for is still there; else the receipt is cancelled.

        What somebody else has bought meanwhile could not be taken off the number again.
        """
        if all(shop.quantity(listing) >= units for listing, units in order.left.items()):
            shop.pay(order.order_id)
            order.paid = True
            self.deeds["paid_late"] += 1
            self._did(order.channel, order.order_id, "paid")
        else:
            self.open_orders.remove(order)
            shop.cancel(order.order_id, restock=False)
            self.deeds["failed"] += 1
            self._did(order.channel, order.order_id, "cancelled unpaid")

    def _handle_wholesale(self, dice: random.Random, shop: FaireShop, order: Purchase) -> None:
        """Accept an order, be asked to cancel it, or have a part of it wait for later."""
        roll = dice.random()
        open_units = self._open_units(order)
        if shop.state(order.order_id) == "BACKORDERED":
            shop.resume(order.order_id)
            self.deeds["resumed"] += 1
            self._did(order.channel, order.order_id, "goes on")
        elif roll < 0.4 and shop.state(order.order_id) == "NEW":
            shop.accept(order.order_id)
            self.deeds["accepted"] += 1
            self._did(order.channel, order.order_id, "accepted")
        elif roll < 0.5:
            shop.wish_cancellation(order.order_id)
            self._did(order.channel, order.order_id, "is wished to be cancelled")
        else:
            listing = dice.choice(sorted(open_units))
            units = dice.randint(1, open_units[listing])
            # A part of it may have become a line of its own, which waits already.
            units = min(units, shop.line_quantity(order.order_id, listing))
            if dice.random() < 0.5:
                shop.accept(order.order_id, expected=shop.clock() + timedelta(days=3))
            self._backorder(shop, order, listing, units)

    def _backorder(self, shop: FaireShop, order: Purchase, listing: str, units: int) -> None:
        """Promise some units for later: mostly an order of its own carries them from then on."""
        until, child = shop.clock() + timedelta(days=30), shop.splits_backorders
        carrier = shop.backorder(order.order_id, listing, units, until=until, child=child)
        self.deeds["backordered"] += child
        text = f"has {units} x {listing} for later in {carrier}"
        if carrier != order.order_id:
            order.left[listing] -= units
            self.open_orders.append(
                Purchase(order.channel, carrier, {listing: units}, carries=True)
            )
            self.truth.refresh(order.channel, carrier)
        self._did(order.channel, order.order_id, text)

    def _handle_unpaid(self, dice: random.Random, shop: WooShop, order: Purchase) -> None:
        if dice.random() < 0.7:
            shop.pay(order.order_id)
            order.paid = True
            self.deeds["paid_late"] += 1
            self._did(order.channel, order.order_id, "paid")
        else:
            self.open_orders.remove(order)
            shop.fail(order.order_id)
            self.deeds["failed"] += 1
            self._did(order.channel, order.order_id, "failed")

    def _odd_end(self, dice: random.Random, shop: WooShop, order: Purchase) -> None:
        ways: list[tuple[str, Callable[[str], None]]] = [
            ("failed", shop.fail),
            ("on-hold", lambda order_id: shop.set_status(order_id, "on-hold")),
        ]
        if self.swarm.tells_everything:
            ways += [("trashed", shop.trash), ("deleted", shop.delete)]
        name, do = dice.choice(ways)
        if name != "on-hold":
            self.open_orders.remove(order)
        do(order.order_id)
        self.deeds[name] += 1
        self._did(order.channel, order.order_id, name)

    def _ship(self, dice: random.Random, order: Purchase) -> None:
        shop = self.world.shops[order.channel]
        open_units = self._open_units(order)
        if isinstance(shop, ShopifyShop) and sum(open_units.values()) > 1 and dice.random() < 0.3:
            listing = dice.choice(sorted(open_units))
            shop.ship_units(order.order_id, [(listing, 1)])
            self.deeds["shipped_part"] += 1
            self._did(order.channel, order.order_id, f"shipped one of {listing}")
            return
        self.open_orders.remove(order)
        order.shipped = True
        self.sent_orders.append(order)
        shop.ship(order.order_id)
        self.deeds["shipped"] += 1
        self._did(order.channel, order.order_id, "shipped")

    def _open_units(self, order: Purchase) -> dict[str, int]:
        units: Counter[str] = Counter()
        for key, line in self.truth.lines.items():
            if key[:2] == (order.channel, order.order_id) and line.open:
                units[line.listed.listing] += line.open
        return dict(units)

    def _refund_sent(self, dice: random.Random, order: Purchase) -> None:
        self._refund(dice, order, "refunded_shipped")
        if not any(order.left.values()):
            self.sent_orders.remove(order)

    def _refund(self, dice: random.Random, order: Purchase, deed: str) -> None:
        """Refund some units of one line, putting them back on sale or not."""
        listings = sorted(listing for listing, units in order.left.items() if units)
        if not listings:
            return
        if isinstance(self.world.shops[order.channel], FaireShop):
            self._refund_wholesale(dice, order, deed)
            return
        listing = dice.choice(listings)
        units, restock = dice.randint(1, order.left[listing]), dice.random() < 0.5
        order.left[listing] -= units
        order.refunded = True
        self.world.shops[order.channel].refund(order.order_id, listing, units, restock=restock)
        self.deeds[deed] += 1
        if not any(order.left.values()) and order in self.open_orders:
            self.open_orders.remove(order)
        self._did(order.channel, order.order_id, f"refunded {units} x {listing}, restock {restock}")

    def _refund_wholesale(self, dice: random.Random, order: Purchase, deed: str) -> None:
        """Take units out of a line that waits to be sent, or have a whole line come back."""
        shop = self.world.shops[order.channel]
        if deed == "refunded_unshipped":
            if isinstance(shop, FaireShop) and shop.state(order.order_id) == "BACKORDERED":
                return  # it can be cancelled, and nothing else: its parent states the units too
            units_of = self._open_units(order)
        else:
            units_of = {listing: units for listing, units in order.left.items() if units}
        if not units_of:
            return
        listing = dice.choice(sorted(units_of))
        units = (
            dice.randint(1, units_of[listing])
            if deed == "refunded_unshipped" and not order.carries
            else units_of[listing]
        )
        try:
            shop.refund(order.order_id, listing, units, restock=True)
        except (LookupError, ValueError):
            return  # its lines are others than what was bought
        order.left[listing] -= units
        order.refunded = True
        self.deeds[deed] += 1
        self._did(order.channel, order.order_id, f"refunded {units} x {listing}")

    def _edit(self, dice: random.Random, order: Purchase) -> None:
        """Change how much was ordered, or add something, as people ask for by telephone."""
        shop = self.world.shops[order.channel]
        if isinstance(shop, FaireShop) and shop.state(order.order_id) == "BACKORDERED":
            return  # it can be cancelled, and nothing else
        if (
            order.refunded
            or order.carries
            or any(
                line.shipped
                for key, line in self.truth.lines.items()
                if key[:2] == (order.channel, order.order_id)
            )
        ):
            return
        listing = dice.choice(sorted(order.left))
        if dice.random() < 0.2:
            there = [each for each in self.world.listings if each.channel == order.channel]
            listing = dice.choice(there).listing
        found = [
            each
            for each in self.world.listings
            if (each.channel, each.listing) == (order.channel, listing)
        ]
        if not found or self.auditor.is_delisted(found[0]):
            return
        held = order.left.get(listing, 0)
        units = max(0, held + dice.choice((-1, -1, 1)))
        if units == held or not (units or sum(order.left.values()) > held):
            return  # an order without a line is none
        order.left[listing] = units
        if not units:
            del order.left[listing]
        shop.edit(order.order_id, listing, units)
        self.deeds["edited"] += 1
        self._did(order.channel, order.order_id, f"edited to {units} x {listing}")

    async def _typist(self, dice: random.Random, rate: float) -> None:
        """The merchant types numbers into the shop's admin, or saves a form opened before."""
        while await self.wait(dice, rate):
            listed = dice.choice(list(self.world.fields()))
            if self.auditor.is_delisted(listed):
                continue
            shop = self.world.shops[listed.channel]
            if isinstance(shop, WooShop) and dice.random() < 0.3:
                save = shop.open_editor(listed.listing)
                await self.clock.sleep(dice.uniform(3, 90))
                if self.auditor.is_delisted(listed):
                    continue
                save()
                text = "saved an old form"
            else:
                number = max(0, self.world.shows(listed) + dice.choice((-3, -1, 1, 2, 5, 20)))
                if isinstance(shop, EtsyShop) and (shop.is_off_sale(listed.listing) or not number):
                    continue  # its form takes no number for what is not on sale, and no zero
                shop.merchant_sets(listed.listing, number)
                text = f"typed {number}"
            self.auditor.merchant_edited(listed)
            self.struck[FaultKind.MERCHANT_EDIT] += 1
            self._did(listed.channel, None, f"{text} for {listed.listing}")

    async def _housekeeper(self, dice: random.Random) -> None:
        """The merchant renames something, or takes it off sale for good."""
        await self.clock.sleep(dice.uniform(0, max(1.0, self.until - self.now())))
        listed = dice.choice(list(self.world.fields()))
        shop = self.world.shops[listed.channel]
        if isinstance(shop, ShopifyShop) and dice.random() < 0.5:
            shop.variants[int(listed.listing)].sku = f"{listed.sku}-new"
            self.deeds["renamed"] += 1
            self._did(listed.channel, None, f"renamed {listed.listing}")
            return
        sharing = [each for each in self.world.listings if self._share(each, listed)]
        unheard = [
            key
            for key, line in self.truth.lines.items()
            if (line.listed.channel, line.listed.field) == (listed.channel, listed.field)
            and not self.auditor.knows(key)
        ]
        if len(sharing) > 1 or unheard or len(self.world.listings) < 2:
            return
        self.auditor.delisted(listed)
        match shop:
            case WooShop() | GenericShop():
                shop.remove_product(listed.listing)
            case EtsyShop():
                self._end_listing(dice, shop, int(listed.listing.partition(":")[0]))
            case _:
                shop.remove_variant(listed.listing)
        self.deeds["delisted"] += 1
        self._did(listed.channel, None, f"deleted {listed.listing}")

    @staticmethod
    def _share(one: Listed, other: Listed) -> bool:
        """Answer whether two listings are taken off sale together."""
        if one.channel != other.channel:
            return False
        if one.channel == ETSY:
            return one.field.partition(":")[0] == other.field.partition(":")[0]
        return one.field == other.field

    @staticmethod
    def _end_listing(dice: random.Random, shop: EtsyShop, listing_id: int) -> None:
        """A listing on Etsy is deleted, expires, or is taken off sale by its owner (F22)."""
        state = dice.choice(("deleted", "expired", "inactive"))
        if state == "deleted":
            shop.removes(listing_id)
        elif state == "inactive" and shop.listing(listing_id).state != "active":
            shop.sets_state(listing_id, "expired")
        else:
            shop.sets_state(listing_id, state)

    # -- the maker ---------------------------------------------------------------------

    async def _maker(self, dice: random.Random, rate: float) -> None:
        while await self.wait(dice, rate):
            async with self.hands:
                await self._do(dice)

    async def _do(self, dice: random.Random) -> None:
        roll = dice.random()
        if roll < 0.3 or (self.world.is_split and roll < 0.93):
            await self._receive(dice)
        elif roll < 0.5:
            await self._build(dice)
        elif roll < 0.65:
            await self._take_away(dice, MovementKind.SALE)
        elif roll < 0.75:
            await self._take_away(dice, dice.choice(_CORRECTIONS))
        elif roll < 0.85:
            await self._count(dice)
        elif roll < 0.93:
            await self._change_bill(dice)
        else:
            self.trace.append(f"{self.now():.3f} maker: reload")
            await self.operator.reload()
            self.deeds["reloaded"] += 1

    async def _receive(self, dice: random.Random) -> None:
        """Receive some of something. Where what there is is parted nobody takes anything away, so
        that only what is nearly gone is received, or soon nothing would ever be sold out.
        """
        moves = _receipt(dice, self.world)
        (sku,) = moves
        if self.world.is_split and self.truth.atp(sku) >= ENOUGH[self.world.things[sku].unit]:
            return
        await self._move(dice, moves, MovementKind.RECEIPT)

    async def _take_away(self, dice: random.Random, kind: MovementKind) -> None:
        """Take a few of something that is there: sold at the market, broken, missing."""
        there = [sku for sku, units in self.truth.on_hand().items() if units > 0]
        if there:
            sku = dice.choice(sorted(there))
            units = dice.randint(1, min(5, self.truth.on_hand()[sku]))
            await self._move(dice, {sku: -units}, kind)

    async def _build(self, dice: random.Random) -> None:
        """Build what the materials on the shelf are enough for."""
        if not self.truth.bills:
            return
        bill = self.truth.bills[dice.choice(sorted(self.truth.bills))]
        units = bill.makes if bill.batch_only else dice.randint(1, max(1, min(6, bill.makes)))
        if any(units * each % bill.makes for _, each in bill.lines):
            # Roundings are kept for the next build, and the truth does not know of them.
            units = bill.makes
        uses = {part: units * each // bill.makes for part, each in bill.lines}
        on_hand = self.truth.on_hand()
        uses, used = self._taken(uses, on_hand)
        if any(on_hand[part] < use for part, use in uses.items()):
            return
        moves = {part: -use for part, use in uses.items()} | {bill.item: units}
        self.deeds["built"] += 1
        sku, pool = parted(bill.item)
        location = None if pool == MAIN else LOCATIONS[pool]
        command = BuildStock(sku, units, self._key(), "maker", location=location, used=used)
        await self._act(dice, command, moves)

    def _taken(
        self, uses: Mapping[str, int], on_hand: Mapping[str, int]
    ) -> tuple[dict[str, int], tuple[tuple[str, int], ...]]:
        """Return what a build takes where it takes this by its bill, and what has to be said of it:
        how much of each substitute that a name stands for.
        """
        taken: Counter[str] = Counter()
        said: list[tuple[str, int]] = []
        for part, use in uses.items():
            members = [each for each, name in self.world.alike.items() if name == part]
            if not members:
                taken[part] += use
                continue
            left = use
            for place, member in enumerate(members):
                last = place == len(members) - 1
                units = left if last else min(left, max(0, on_hand[member]))
                taken[member] += units
                left -= units
                if units:
                    said.append((parted(member)[0], units))
        return dict(taken), tuple(said)

    async def _count(self, dice: random.Random) -> None:
        """Count something that is sold nowhere, and find a little more or less than thought. What
        has lots may lose one while it is counted.
        """
        sold, lotted = {each.sku for each in self.world.listings}, self.truth.lots.skus
        counted = [
            name
            for name in (thing.sku for thing in self.world.goods)
            if name not in sold and parted(name)[0] not in lotted
        ]
        if not counted:
            return
        sku = dice.choice(counted)
        there = self.truth.on_hand()[sku]
        found = max(0, there + dice.choice((-20, -5, 0, 5, 20)))
        self.deeds["counted"] += 1
        base, pool = parted(sku)
        command = CountStock(base, found, self._key(), "maker", pool=pool)
        await self._act(dice, command, {sku: found - there})

    async def _change_bill(self, dice: random.Random) -> None:
        if not self.truth.bills:
            return
        item = dice.choice(sorted(self.truth.bills))
        bills = self.world.with_bill(self.truth.bills, changed_bill(dice, self.truth.bills[item]))
        key = self._key()
        self.trace.append(f"{self.now():.3f} maker: {bills[item]}")
        state = self.truth.begin({}, bills)
        await self.operator.imports(self.world.catalogue(bills), key=key)
        self.truth.durable(state)
        self.deeds["bill_changed"] += 1

    async def _move(
        self, dice: random.Random, moves: Mapping[str, int], kind: MovementKind
    ) -> None:
        stock = tuple(StockMove(parted(sku)[0], units, kind) for sku, units in moves.items())
        (pool,) = {parted(sku)[1] for sku in moves}
        self.deeds[kind.value] += 1
        await self._act(dice, MoveStock(stock, self._key(), "maker", pool=pool), moves)

    async def _act(self, dice: random.Random, command: Command, moves: Mapping[str, int]) -> None:
        apart = dice.random() < self.swarm.strength(FaultKind.OTHER_CONNECTION)
        self.struck[FaultKind.OTHER_CONNECTION] += apart
        self.trace.append(f"{self.now():.3f} maker: {type(command).__name__} {dict(moves)}")
        state = self.truth.begin(moves)
        await self.operator.act(command, apart=apart)
        self.truth.durable(state)
        self.trace.append(f"{self.now():.3f} maker: done")

    # -- everybody ---------------------------------------------------------------------

    async def wait(self, dice: random.Random, rate: float) -> bool:
        """Wait for the next deed at `rate` a second; False when it is time to go home."""
        left_s = self.until - self.now()
        wait_s = dice.expovariate(rate)
        if wait_s >= left_s:
            return False
        await self.clock.sleep(wait_s)
        await self._rest(dice)
        return self.now() < self.until

    async def _rest(self, dice: random.Random) -> None:
        """Wait for the next wave of people, where they come in waves."""
        if self.pace is None or self.pace.wave_s is None:
            return
        busy_s, quiet_s = self.pace.wave_s
        into_s = self.now() % (busy_s + quiet_s)
        if into_s > busy_s:
            await self.clock.sleep(busy_s + quiet_s - into_s + dice.uniform(0, busy_s))

    def _did(self, channel: str, order_id: str | None, text: str) -> None:
        """Something has happened at a shop: the truth reads it, the shop may tell of it."""
        self.trace.append(f"{self.now():.3f} {channel} {order_id or ''}: {text}")
        if order_id is not None:
            self.truth.refresh(channel, order_id)
        self.truth.refresh_unpaid()
        self.acted(channel)

    def _key(self) -> str:
        self._keys += 1
        return f"maker {self._keys}"

    def _own_dice(self) -> random.Random:
        return random.Random(self.dice.random())  # noqa: S311  # drawn from the seed


_CORRECTIONS = (MovementKind.ADJUSTMENT, MovementKind.SCRAP)


def _receipt(dice: random.Random, world: World) -> dict[str, int]:
    """Return what a delivery to the maker brings."""
    thing = dice.choice(world.goods)
    return {thing.sku: dice.choice((50, 100, 500)) if thing.unit == "g" else dice.randint(1, 6)}


def between(dice: random.Random, low: float, high: float) -> float:
    """Return a number between the two, evenly on a logarithmic scale."""
    return math.exp(dice.uniform(math.log(low), math.log(high)))
