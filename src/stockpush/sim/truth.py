"""What is true, by brute force: physical stock, who has bought what, and what may be offered.

Theory of operation. The truth is told everything at the instant it happens, and shares no code with
the daemon. Orders are read off the shops' own records; stock is what the operator's acts made of
the opening stock, less what orders have taken. An order line has *taken* the units that are still
to be sent, have left, or were written off; what can be promised depends on an item's stock less
what was taken of it, and on nothing else. So one number per item, its *free* units, is enough.

Acts of the operator take time: the daemon may know of one any moment between its beginning and its
being durable. Each is a state with both instants, and a bound on what the daemon may have known is
the most generous of the states between.

An item is *covered* if nothing is missing of it, or if it has a bill of which everything is
covered; ATP is by how much demand may rise, or must fall, for that to be so (docs/glossary.md).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from stockpush.sim.accounts import AnyShop
from stockpush.sim.claims import MOMENT_S, Claims
from stockpush.sim.lots import Lots
from stockpush.sim.shares import Taker, shares
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.tills import told
from stockpush.sim.world import Bill, Listed, Shared, World

NEVER = float("inf")
LineKey = tuple[str, str, str]
"""(channel, order, line)."""
FieldName = tuple[str, str]
"""(channel, the shop's name of what holds the number)."""
Free = Mapping[str, int]
Bills = Mapping[str, Bill]


@dataclass(slots=True)
class Line:
    """One order line as its shop has it now, in listing units. `taken_least` is the least that it
    has ever taken; `deducted_at` the last instant at which the shop took units off for it; `moves`
    what it took off (signed) when; `deleted` that the shop knows nothing of its order any more.
    """

    listed: Listed
    open: int = 0
    shipped: int = 0
    written_off: int = 0
    deducted: int = 0
    taken_least: int = 0
    deducted_at: float = -NEVER
    moves: list[tuple[float, int]] = field(default_factory=list)
    deleted: bool = False

    @property
    def taken(self) -> int:
        """Return the units that are not there for anybody else."""
        return self.open + self.shipped + self.written_off

    @property
    def undeducted(self) -> int:
        """Return the open units that the shop has not taken off its number yet."""
        return max(0, self.open - max(0, self.deducted - self.shipped - self.written_off))


@dataclass(slots=True)
class State:
    """Stock without orders (opening and the operator's acts) and bills, from an act's beginning."""

    stock: dict[str, int]
    bills: dict[str, Bill]
    begun_at: float
    durable_at: float = NEVER


class Guards(Protocol):
    """What the daemon's books say of who shares what is left of an item."""

    def of(self, sku: str) -> tuple[int, bool]:
        """Return the guard level that was measured of an item, and whether it is guarded."""
        ...

    def sharing(self) -> Collection[FieldName]:
        """Return the fields that are written to: adopted, and not parked."""
        ...


@dataclass(slots=True)
class Truth:
    """`now` tells the virtual seconds. `guards` is None where nobody shares anything."""

    world: World
    now: Callable[[], float]
    lines: dict[LineKey, Line] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    ended: dict[FieldName, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Undeducted units that came to nothing, with their instants: nobody took them off a number."""
    put_back: dict[FieldName, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Units that a shop itself put back on a number, with their instants."""
    sent: dict[FieldName, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Units that were sent, with their instants."""
    unkept: dict[FieldName, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Open units that a shop does not keep apart for their buyers (a backorder), from when on."""
    kept_again_at: float = -NEVER
    """When there were last fewer of them: that looks like a sale, until a poll knows of none."""
    changed_at: float = -NEVER
    """When anything of this changed last."""
    guards: Guards | None = None
    claims: Claims = field(init=False)
    """What people have set aside."""
    lots: Lots = field(init=False)
    _by_name: dict[tuple[str, str], Listed] = field(default_factory=dict)
    _by_field: dict[FieldName, list[Line]] = field(default_factory=lambda: defaultdict(list))
    _by_order: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _unpaid: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _atps: dict[tuple[object, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the opening stock."""
        self.claims, self.lots = Claims(self.now), Lots(self.now)
        opening = {sku: thing.opening for sku, thing in self.world.things.items()}
        self.states.append(State(opening, dict(self.world.bills), -NEVER, -NEVER))
        self._by_name = {(each.channel, each.listing): each for each in self.world.listings}

    # -- orders ------------------------------------------------------------------------------

    def refresh(self, channel: str, order_id: str) -> None:
        """Read an order anew: call it right after anybody has acted on it."""
        self._read(self.world.shops[channel], channel, order_id)

    def refresh_unpaid(self) -> None:
        """Read the orders anew that nobody has paid: they end by themselves."""
        for channel, shop in self.world.shops.items():
            for order_id in sorted(self._unpaid[channel]):
                self._read(shop, channel, order_id)

    def unpaid(self) -> list[tuple[str, str]]:
        """Return the (channel, order) of each order that will end by itself unless it is paid."""
        return [(name, each) for name, orders in self._unpaid.items() for each in sorted(orders)]

    def _read(self, shop: AnyShop, channel: str, order_id: str) -> None:
        lines, unpaid = told(shop, order_id)
        (self._unpaid[channel].add if unpaid else self._unpaid[channel].discard)(order_id)
        known = self._by_order[channel, order_id]
        for line_id, listing, counts in lines:
            if (listed := self._by_name.get((channel, listing))) is not None:
                self._note((channel, order_id, line_id), listed, counts)
        for line_id in sorted(known - {line_id for line_id, _, _ in lines}):
            # The order or its line is gone: what was sent, or written off, does not come back. An
            # order that is thrown away leaves the number as it is; a line that is taken out of one
            # puts back what it took.
            key = (channel, order_id, line_id)
            line = self.lines[key]
            counts = (0, line.shipped, line.written_off, 0 if lines else line.deducted)
            line.deleted = not lines
            self._note(key, line.listed, counts)
        if isinstance(shop, FaireShop):
            for listing in sorted({listing for _, listing, _ in lines}):
                if (listed := self._by_name.get((channel, listing))) is not None:
                    self._note_unkept(shop, listed)

    def _note_unkept(self, shop: FaireShop, listed: Listed) -> None:
        name = (listed.channel, listed.field)
        units = self.open(name) - shop.committed(listed.listing)
        noted = self.unkept[name]
        before = noted[-1][1] if noted else 0
        if units < before:
            self.kept_again_at = self.now()
        if units != before:
            noted.append((self.now(), units))
            self.changed_at = self.now()

    def _note(self, key: LineKey, listed: Listed, counts: tuple[int, int, int, int]) -> None:
        line = self.lines.get(key)
        if line is None:
            # What has never taken anything did so from the first.
            line = self.lines[key] = Line(listed, taken_least=sum(counts[:3]))
            self._by_field[listed.channel, listed.field].append(line)
            self._by_order[key[:2]].add(key[2])
        if (line.open, line.shipped, line.written_off, line.deducted) == counts:
            return
        self.changed_at = self.now()
        undeducted, deducted, shipped = line.undeducted, line.deducted, line.shipped
        line.open, line.shipped, line.written_off, line.deducted = counts
        line.taken_least = min(line.taken_least, line.taken)
        if line.shipped > shipped:
            self.sent[listed.channel, listed.field].append((self.now(), line.shipped - shipped))
        if line.deducted != deducted:
            line.moves.append((self.now(), line.deducted - deducted))
        if line.deducted > deducted:
            line.deducted_at = self.now()
        elif line.deducted < deducted:
            self.put_back[listed.channel, listed.field].append(
                (self.now(), deducted - line.deducted)
            )
        gone = undeducted - line.undeducted - max(0, line.deducted - deducted)
        if gone > 0 and self.world.holds_unpaid(listed.channel):
            self.ended[listed.channel, listed.field].append((self.now(), gone))

    def of_field(self, name: FieldName) -> list[Line]:
        """Return every line that was ever sold from a field."""
        return self._by_field[name]

    def count_opening(self) -> None:
        """What was sent so far had left the shelf before the opening stock was counted."""
        for line in self.lines.values():
            self.states[0].stock[line.listed.sku] += line.shipped * line.listed.pack

    # -- the operator's acts -----------------------------------------------------------------

    def begin(self, moves: Mapping[str, int], bills: Bills | None = None) -> State:
        """The operator moves stock (signed, smallest units) or changes bills, as of now."""
        newest = self.states[-1]
        stock = {sku: units + moves.get(sku, 0) for sku, units in newest.stock.items()}
        state = State(stock, dict(newest.bills if bills is None else bills), self.now())
        self.states.append(state)
        self.changed_at = self.now()
        return state

    def durable(self, state: State) -> None:
        """What the act did is durable."""
        state.durable_at = self.changed_at = self.now()

    @property
    def stock(self) -> Mapping[str, int]:
        """Return stock without orders, as the acts so far made it."""
        return self.states[-1].stock

    @property
    def bills(self) -> Bills:
        """Return the bills of now."""
        return self.states[-1].bills

    def states_since(self, instant: float) -> Iterator[State]:
        """Yield every state that the daemon may have believed in at `instant` or later. What became
        durable in the same instant may have done so before or after.
        """
        known = instant - MOMENT_S
        first = max(
            (place for place, each in enumerate(self.states) if each.durable_at <= known),
            default=0,
        )
        yield from self.states[first:]

    # -- numbers -----------------------------------------------------------------------------

    def on_hand(self) -> dict[str, int]:
        """Return what stands on the shelves: nothing that was sent or written off."""
        left = dict(self.stock)
        for line in self.lines.values():
            left[line.listed.sku] -= (line.shipped + line.written_off) * line.listed.pack
        for sku, units in (self.claims.sold() + self.lots.absent()).items():
            left[sku] -= units
        return left

    def reserved(self) -> dict[str, int]:
        """Return the open units of each item."""
        units = dict.fromkeys(self.world.things, 0)
        for line in self.lines.values():
            units[line.listed.sku] += line.open * line.listed.pack
        return units

    def free(
        self,
        *,
        stock: Mapping[str, int] | None = None,
        taken: Callable[[LineKey, Line], int] | None = None,
        apart: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        """Return stock less what was taken; `taken` says how many units of each line count, and
        `apart` what people have set aside or sold of that, and what lies in lots that do not count.
        """
        left = dict(self.stock if stock is None else stock)
        for key, line in self.lines.items():
            units = line.taken if taken is None else taken(key, line)
            if units:
                left[line.listed.sku] -= units * line.listed.pack
        for sku, units in (self.apart() if apart is None else apart).items():
            left[sku] -= units
        return left

    def apart(self, since: float | None = None) -> Mapping[str, int]:
        """Return what nobody can be promised, though no order has it: surely so at `since`, where
        that is given.
        """
        return self.claims.taken(since) + self.lots.withheld(since)

    def atp(self, sku: str, free: Free | None = None, bills: Bills | None = None) -> int:
        """Return how many more units can be sold, negative where too much was."""
        free = self.free() if free is None else free
        bills = self.bills if bills is None else bills
        order = group(sku, bills, self.world.alike)
        key = (sku, tuple(free[each] for each in order), tuple(bills.get(each) for each in order))
        if key not in self._atps:
            self._atps[key] = atp(sku, free, bills, order, self.world.rules, self.world.alike)
        return self._atps[key]

    def offer(self, listed: Listed, free: Free | None = None, bills: Bills | None = None) -> int:
        """Return what the listing should sell from now on, in its units."""
        left = self.atp(listed.sku, free, bills) - self.world.buffers[listed.channel]
        return min(self.world.cap(listed.channel), max(0, left // listed.pack))

    def undeducted(self, listed: Listed) -> int:
        """Return the sold units that still stand on the listing's field, kept for their buyers.

        Where the shop keeps them apart it says itself how many: the rest of the number is on sale,
        whatever is open.
        """
        if not self.world.holds_unpaid(listed.channel):
            return 0
        shop = self.world.shops[listed.channel]
        if isinstance(shop, FaireShop):
            return shop.committed(listed.listing)
        return self.open((listed.channel, listed.field))

    def open(self, name: FieldName) -> int:
        """Return the sold units of a field that are still to be sent and not taken off it."""
        return sum(line.undeducted for line in self.of_field(name))

    def unkept_since(self, name: FieldName, instant: float) -> int:
        """Return how many more open units are not kept apart now than at some time since."""
        noted = self.unkept.get(name)
        if not noted:
            return 0
        at_first = next((units for at, units in reversed(noted) if at <= instant), 0)
        return noted[-1][1] - min([at_first, *(units for at, units in noted if at > instant)])

    def target(self, listed: Listed) -> int:
        """Return what the listing's field should show."""
        return min(self.world.cap(listed.channel), self._part(listed) + self.undeducted(listed))

    def _part(self, listed: Listed) -> int:
        """Return what the listing should sell from now on beside the others of its item."""
        whole = self.offer(listed)
        if self.guards is None or not self.world.guards:
            return whole
        said = self.world.shared.get(listed.sku, Shared())
        left = max(0, self.atp(listed.sku))
        guarded = self._is_guarded(listed.sku, said)
        if not guarded and said.limit is None:
            return whole
        own = (listed.channel, listed.field)
        written = {*self.guards.sharing(), own}
        takers = [
            self._taker(each, guarded=guarded)
            for each in self.world.fields()
            if each.sku == listed.sku and (each.channel, each.field) in written
        ]
        if not guarded and said.limit is not None:
            left += said.limit
            if sum(each.pack * each.most for each in takers) <= left:
                return whole
        return shares(left, takers, said.home)[own]

    def _taker(self, listed: Listed, *, guarded: bool) -> Taker:
        weights = [
            self.world.weights.get(each, 1)
            for each in self.world.listings
            if (each.channel, each.field) == (listed.channel, listed.field)
        ]
        return Taker(
            (listed.channel, listed.field),
            listed.pack,
            max(weights),
            self.offer(listed),
            self.world.buffers[listed.channel] if guarded else 0,
        )

    def _is_guarded(self, sku: str, said: Shared) -> bool:
        """Answer whether an item's listings share what is left.

        The books are believed only where it depends on what was before.
        """
        assert self.guards is not None
        measured, before = self.guards.of(sku)
        level, left = max(measured, said.least), self.atp(sku)
        if level == 0:
            return False
        if left <= level:
            return True
        return before and left <= level + max(1, math.ceil(level / 4))

    def is_right(self, listed: Listed) -> bool:
        """Answer whether the listing's field shows what it should.

        Where what there is is parted, many ways to part it are right: what all listings show is
        there, and nobody could show a pack more.
        """
        shows = self.world.shows(listed)
        if not self.world.is_split:
            return shows == self.target(listed)
        more = self.besides(listed)
        standing = self.undeducted(listed)
        if shows > standing and more < 0:
            return False
        room = more - self.world.buffers[listed.channel]
        return shows >= standing and (shows >= self.world.cap(listed.channel) or room < listed.pack)

    def besides(self, listed: Listed) -> int:
        """Return how many more of the listing's item there are, were all sold that shops show;
        negative where they show too much.
        """
        left = self.free()
        for each in self.world.fields():
            on_sale = max(0, self.world.shows(each) - self.undeducted(each))
            left[each.sku] -= on_sale * each.pack
        return self.atp(listed.sku, left)


# -- netting, by its definition ----------------------------------------------------------------


NOTHING: Mapping[str, Any] = MappingProxyType({})


def group(sku: str, bills: Bills, alike: Mapping[str, str] = NOTHING) -> tuple[str, ...]:
    """Return everything that shares a material with `sku`, each before its components; `alike` is
    by what name each of several substitutes may be taken, which comes after them.
    """
    near: dict[str, set[str]] = defaultdict(set)
    for member, name in alike.items():
        near[member].add(name)
        near[name].add(member)
    for bill in bills.values():
        for part, _ in bill.lines:
            near[bill.item].add(part)
            near[part].add(bill.item)
    found, left = {sku}, [sku]
    while left:
        for each in near[left.pop()] - found:
            found.add(each)
            left.append(each)
    order: list[str] = []

    def visit(item: str) -> None:
        if item in order:
            return
        if item in alike:
            visit(alike[item])
        if item in bills:
            for part, _ in bills[item].lines:
                visit(part)
        order.append(item)

    for each in sorted(found):
        visit(each)
    return tuple(reversed(order))


def _missing(
    sku: str,
    free: Free,
    bills: Bills,
    order: Iterable[str],
    more: int,
    alike: Mapping[str, str],
) -> dict[str, int]:
    """Return what is missing of everything where `more` units (signed) of `sku` are promised.

    A name that substitutes share has what they have left.
    """
    missing: dict[str, int] = {}
    left: dict[str, int] = defaultdict(int)
    wanted: dict[str, int] = defaultdict(int)
    wanted[sku] += more
    for item in order:
        missing[item] = max(0, wanted[item] - free[item] - left[item])
        if item in alike:
            left[alike[item]] += max(0, free[item] - wanted[item])
        bill = bills.get(item)
        if bill is None or not missing[item]:
            continue
        built = missing[item]
        if bill.batch_only:
            built = -(-built // bill.makes) * bill.makes
        for part, units in bill.lines:
            wanted[part] += -(-built * units // bill.makes)
    return missing


def is_covered(
    sku: str,
    free: Free,
    bills: Bills,
    order: Iterable[str],
    more: int,
    rules: Mapping[str, int] = NOTHING,
    alike: Mapping[str, str] = NOTHING,
) -> bool:
    """Answer whether everything promised, and `more` units (signed) of `sku`, can be supplied.

    Where `rules` say how many of something may wait to be made no more do for the units that are
    promised besides, unless as many do already.
    """
    missing = _missing(sku, free, bills, order, more, alike)
    if rules and more > 0:
        already = _missing(sku, free, bills, order, 0, alike)
        if any(
            units > max(already[item], rules.get(item, units)) for item, units in missing.items()
        ):
            return False

    def covered(item: str) -> bool:
        if item in alike and missing[alike[item]]:
            return False
        if not missing[item]:
            return True
        bill = bills.get(item)
        return bill is not None and all(covered(part) for part, _ in bill.lines)

    return covered(sku)


def atp(
    sku: str,
    free: Free,
    bills: Bills,
    order: Iterable[str],
    rules: Mapping[str, int] = NOTHING,
    alike: Mapping[str, str] = NOTHING,
) -> int:
    """Return the largest rise of demand that is covered, or less the smallest fall that is.

    Being covered ends once as demand rises, so a step that doubles finds where, and halves.
    """
    if is_covered(sku, free, bills, order, 0, rules, alike):
        low, step = 0, 1
        while is_covered(sku, free, bills, order, low + step, rules, alike):
            low, step = low + step, step * 2
        while step > 1:
            step //= 2
            if is_covered(sku, free, bills, order, low + step, rules, alike):
                low += step
        return low
    high, step = 0, 1
    while not is_covered(sku, free, bills, order, high - step, rules, alike):
        high, step = high - step, step * 2
    while step > 1:
        step //= 2
        if not is_covered(sku, free, bills, order, high - step, rules, alike):
            high -= step
    return high - 1
