"""Available-to-promise (ATP): what is finished plus what the materials can still make.

Theory of operation. ATP is not a minimum over components: components are shared, levels net
against each other's stock, and open orders need materials too. Per item, S is on hand (signed,
reserved units included), D the open demand, both in the item's smallest units. In low-level order

    gross(i)   = D(i) + sum over parents p of use(p, i)
    net(i)     = max(0, gross(i) - S(i))
    built(i)   = net(i), rounded up to whole batches where the bill says so; 0 without a bill
    use(p, i)  = ceil(built(p) * quantity * (1 + scrap) / yield - rest), rounded once for all that
                 is built; the rest is what roundings of builds before have left
    covered(i) = net(i) = 0, or i has a bill and every component on it is covered

An item that is not covered is *blocked*. ATP(i) is the largest n >= 0 for which i is covered with
n more units of demand. For a blocked item it is -m, m the smallest number by which its gross
requirement must fall for it to be covered. Lowering a requirement by m is the same as receiving m
units, so where stock is negative m may exceed the requirement itself; it is never more than
net(i), at which nothing has to be built. Negative ATPs of items that share a material are not
additive. The slack of a batch counts only if the batch is covered: without oil for a batch of 10
one oversell is an ATP of -1, not 9.

How it is found. One pass upwards gives each item an upper bound that ignores sharing (`bound`).
Pushing n further units down from i, adding to each component only what its use rises by, tells
whether they are covered. Where no item is reached from i by two paths nothing is shared on the
way down and the bound is exact. Elsewhere it is tried first, then bisected: being covered is
antitone in n. A blocked item is first relieved of its whole net, which takes its draw off
everything below, and its ATP is how far it can rise from there, less what it was relieved of.

A *promise rule* may say that an item is promised from finished stock alone, or that no more than so
many may wait to be built: its *ceiling*, 0 or more. Demand there is already is netted in full all
the same. A ceiling bounds only by how much nets rise under n units more, for every item that they
draw on: each net stays at or below its ceiling, or where it is beyond it already. It says nothing
of what is blocked. What is left of a batch that is made for demand there is may be promised
whatever the rules of its components say, for it draws on nothing more; its own rule holds for it.

A *gate* is a supply that each order with an item takes once (`per_order`). It is no part of the
netting: n more units may come as n orders, or as fewer of several units each, so of an item with a
gate no more is promised than there is of the supply for that many orders:

    ATP(i) <= floor(room / quantity) * units

`room` is what further orders may take of the supply (signed): on hand less what is claimed of it,
and less what orders would take whose units are in suspense, or parted. `units` is the least that
one order can have of the item: what its smallest listing sells. A gate bounds what is promised in
time: a further order takes the supply when it is sent, so nothing in `room` is still to come. What
is claimed already has what is there first, and may wait for what comes by the supply's horizon.

*Substitutes* are netted on their own demand first, and what each has left is what there is of the
name that they share: gross(name) is what bills take of it less the sum of max(0, S(m) - gross(m))
over its substitutes m, so it may be negative, and nothing is on hand of the name itself. A
substitute is covered if its own net is 0 and the name is covered: a unit that is promised of it by
itself leaves one less for the name. Blocked, it is relieved of both its net and the name's.

An *older bill*, of open reservations that were made with it, is netted as an item of its own, which
its item is tied to in the same way. Finished stock serves the oldest first: of S(i) each older bill
has what it needs, and the present one the rest, so that both are stock and demand like any other
(`View.net`). What was sent below zero by an older bill is stock of its own below zero. What more is
sold is made by the present bill. An item that is not covered is relieved as finished units would
relieve it: what is missing below zero, first the present bill's, then the oldest bill first.

A promise rule may also say how soon what is promised has to be there: a *horizon*. It bounds the
same rise: n units more of i are there in time if, from i downwards along what they draw on, every
item whose net rises can be made in what time is left of it. That is the item's own horizon, or what
its parent's has left after the parent's build time, whichever is less. What comes in lots that are
available by an item's horizon is part of its stock; a parent that leaves less time than that
horizon has only what is there now. Demand there is already may take as long as it takes, and by an
older bill there is no other. What is drawn on the name of substitutes within less time than the
horizon of one of them has of that one what is there now, less its own demand and whatever the same
units draw on it; demand there is already has had what is there first.

A listing may say another horizon than its item. What is promised on it is the ATP that the item
would have with that horizon, and with what comes in lots by then as part of its stock (`looking`);
what it is made from keeps its own.

Everything is exact in Python's unbounded integers. Formulas: docs/architecture.md, "ATP".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from stockpush.model import BillLine, BillOfMaterials, sku_of
from stockpush.reservation.bom import Bills


class Gate(NamedTuple):
    """A supply without which no more of an item is promised: an order takes `quantity` (>= 1) of
    the shelf `supply`, and has at least `units` (>= 1) of the item; all in smallest units.
    """

    supply: str
    quantity: int
    units: int

    def taken_for(self, units: int) -> int:
        """Return what `units` >= 0 of the item take of it, as many orders as they can come in."""
        return -(-units // self.units) * self.quantity


@dataclass(frozen=True, slots=True)
class Times:
    """What horizons ask, in seconds; they hold where `atp` is asked of a netting that has them.

    `horizons` has the items with one, `asked` those and whatever is made from one of them, at any
    depth. `coming` has the units of `Netting.on_hand` that only become available by the item's
    horizon; each item in it has one.
    """

    horizons: Mapping[str, int]
    asked: frozenset[str]
    coming: Mapping[str, int]


NO_TIMES = Times({}, frozenset(), {})


class Ahead(NamedTuple):
    """How far ahead one looks: what is promised of an item has to be there in `horizon_s` (None:
    nobody asks), and by then so much (>= 0) comes.
    """

    horizon_s: int | None
    coming: int


class Late(NamedTuple):
    """An item that the next unit of another would need to be made, and too late: that takes
    `takes_s` seconds, and `left_s` are left. Without a bill it takes None: it is waited for.
    """

    sku: str
    takes_s: int | None
    left_s: int


class _Rise(NamedTuple):
    """An item whose net rises: to `net`, and it has to be made in `left_s`, None for no limit."""

    sku: str
    net: int
    left_s: int | None


@dataclass(frozen=True, slots=True)
class Netting:
    """Stock netted against demand, for whole groups of items.

    All quantities are in each item's smallest units and every mapping has every netted item, in
    low-level order within a group. `on_hand` is signed; `gross` >= 0 unless the item was relieved
    below its own stock, or is the name of substitutes; `net`, `built` >= 0. `blocked` are the items
    that are not covered. `ceilings` has those with a promise rule: the most that may wait to be
    built; `rests` those whose builds have left something of roundings, by component (`model.Rest`).
    `bound` >= 0 is how much further demand of each item could at most be covered; 0 if blocked.
    """

    bills: Bills
    on_hand: Mapping[str, int]
    demand: Mapping[str, int]
    gross: Mapping[str, int]
    net: Mapping[str, int]
    built: Mapping[str, int]
    blocked: frozenset[str]
    bound: Mapping[str, int]
    ceilings: Mapping[str, int]
    rests: Mapping[str, Mapping[str, int]]
    known: Mapping[str, int] | None = None
    """Every ATP by netting alone, where all were found at once (`atp_arrays`); no horizon counts in
    it.
    """
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=dict)
    """Those of items that have any."""
    room: Mapping[str, int] = field(default_factory=dict)
    """What further orders may take of each supply that is a gate, signed."""
    times: Times = NO_TIMES

    @property
    def shortage(self) -> dict[str, int]:
        """Return what to buy: items without a bill that net above zero, and by how much."""
        return {
            sku: short
            for sku, short in self.net.items()
            if short > 0 and sku not in self.bills.made
        }


NO_RULES: Mapping[str, int] = MappingProxyType({})
_NO_REST: Mapping[str, int] = MappingProxyType({})
NO_RESTS: Mapping[str, Mapping[str, int]] = MappingProxyType({})


def net(
    bills: Bills,
    on_hand: Mapping[str, int],
    demand: Mapping[str, int],
    skus: Iterable[str],
    *,
    ceilings: Mapping[str, int] = NO_RULES,
    rests: Mapping[str, Mapping[str, int]] = NO_RESTS,
) -> Netting:
    """Net the whole groups of `skus`, smallest units.

    Stock and demand must have every item of those groups: a missing one would quietly count as
    nothing, so it is an assertion error. `ceilings` has items with a promise rule, `rests` items
    with roundings of builds before.

    >>> from stockpush.model import BillLine, BillOfMaterials
    >>> bill = BillOfMaterials("candle", 10, (BillLine("wax", 1500),))
    >>> bills = Bills.build([bill], {"candle", "wax"})
    >>> netting = net(bills, {"candle": 5, "wax": 2500}, {"candle": 3, "wax": 0}, ["candle"])
    >>> atp(netting, "candle"), buildable(netting, "candle"), limited_by(netting, "candle")
    (18, 16, ('wax',))
    """
    order: dict[str, None] = {}
    for sku in sorted(skus):
        if sku not in order:
            order |= dict.fromkeys(bills.group_order(sku))
    missing = [sku for sku in order if sku not in on_hand or sku not in demand]
    assert not missing, f"stock or demand was not gathered for {missing}"
    outside = {sku: demand[sku] for sku in order}
    return _netted(bills, tuple(order), on_hand, demand, outside, ceilings, rests)


def net_part(
    bills: Bills,
    on_hand: Mapping[str, int],
    demand: Mapping[str, int],
    order: tuple[str, ...],
    *,
    ceilings: Mapping[str, int] = NO_RULES,
    rests: Mapping[str, Mapping[str, int]] = NO_RESTS,
    made: Mapping[str, BillOfMaterials] | None = None,
) -> Netting:
    """Net some items of a group alone, smallest units; the same numbers as `net` has for them.

    `order` is in low-level order, has every component of its items, and every item of the group of
    which more is demanded than is there: the others have nothing built, and draw on nothing. `made`
    has the bills of all that have one, where they have been looked up before.
    """
    outside = {sku: demand[sku] for sku in order}
    return _netted(bills, order, on_hand, demand, outside, ceilings, rests, made)


def asking(netting: Netting, times: Times) -> Netting:
    """Return the netting with what horizons ask of whatever is promised by it."""
    return replace(netting, times=times)


def looking(
    netting: Netting,
    sku: str,
    ahead: Ahead,
    *,
    on_hand: Mapping[str, int],
    ceilings: Mapping[str, int],
) -> Netting:
    """Net `sku` and all that bears on it again, as if its horizon were another one; the others are
    left out.

    `on_hand` is what there is of it by then, that of its older bills too, and `ceilings` has what
    its promise rule lets wait to be built by its present bill.
    """
    bills, times = netting.bills, netting.times
    cone = bills.cones([sku])
    horizons = {each: times.horizons[each] for each in cone if each in times.horizons}
    coming = {each: times.coming[each] for each in cone if each in times.coming}
    if ahead.horizon_s is None:
        horizons.pop(sku, None)
    else:
        horizons[sku] = ahead.horizon_s
    again = _again(
        netting,
        sku,
        {},
        cone=cone,
        ceilings={
            **{each: netting.ceilings[each] for each in cone if each in netting.ceilings},
            **ceilings,
        },
        on_hand={**{each: netting.on_hand[each] for each in cone}, **on_hand},
    )
    return replace(
        again,
        gates=netting.gates,
        room=netting.room,
        times=Times(horizons, frozenset({sku}), coming | {sku: ahead.coming}),
    )


def atp(netting: Netting, sku: str) -> int:
    """Return the item's ATP in its smallest units, negative where demand is not covered."""
    if sku not in netting.gates:
        return by_netting(netting, sku)
    limits = (_limit(netting, gate) for gate in netting.gates[sku])
    return min(by_netting(netting, sku), *limits)


def _limit(netting: Netting, gate: Gate) -> int:
    """Return the most that a gate lets be promised; negative where orders there are lack it."""
    return netting.room[gate.supply] // gate.quantity * gate.units


def by_netting(netting: Netting, sku: str) -> int:
    """Return what the item's ATP would be without gates."""
    if netting.known is not None and (sku in netting.blocked or sku not in netting.times.asked):
        return netting.known[sku]
    if sku in netting.blocked:
        if (name := netting.bills.name_of.get(sku)) is not None:
            return -netting.net[sku] - netting.net[name]
        if sku in netting.bills.older:
            return -_lack(netting, sku)
        relieved = _with_gross(netting, sku, netting.on_hand[sku])
        return _rise(relieved, sku) - netting.net[sku]
    return _rise(netting, sku)


def atp_all(netting: Netting, skus: Iterable[str]) -> dict[str, int]:
    """Return the ATP of each of `skus`, in their order."""
    if netting.known is not None and not netting.gates and not netting.times.asked:
        return {sku: netting.known[sku] for sku in skus}  # as `atp` has it of each
    return {sku: atp(netting, sku) for sku in skus}


def buildable(netting: Netting, sku: str) -> int:
    """Return how much more than is finished there could be of the item, smallest units, >= 0.

    What supplies of orders let be promised of it is another matter. Nothing is made of what has no
    bill, and the name of substitutes has none.
    """
    if sku in netting.bills.substitutes:
        return 0
    finished = max(0, netting.on_hand[sku] - netting.demand[sku])
    return max(0, by_netting(netting, sku) - finished)


def left(netting: Netting, sku: str) -> int:
    """Return the units >= 0 of a substitute that its own demand leaves, for the name it shares."""
    return max(0, netting.on_hand[sku] - netting.gross[sku])


def left_now(netting: Netting, sku: str) -> int:
    """Return what is `left` of a substitute without what is still to come."""
    coming = netting.times.coming.get(sku, 0)
    return max(0, netting.on_hand[sku] - coming - netting.gross[sku])


def limited_by(netting: Netting, sku: str) -> tuple[str, ...]:
    """Return the items without a bill that stop the next unit of `sku`, in low-level order.

    For an item without a bill it is the item itself. Where there is none, `ruled_by` has one.
    Gates are left out.
    """
    limits = missing(_beyond(netting, sku), [sku])
    if not netting.times.coming or sku not in netting.times.asked or sku in netting.blocked:
        return tuple(limits)
    # What comes too late is made anew, and what that takes may be short.
    made_anew = (
        rise.sku
        for rise in _for_the_next(netting, sku)
        if rise.sku not in netting.bills.made
        and (rise.left_s is None or rise.left_s >= 0)
        and not _too_late(netting, rise)
    )
    return tuple(dict.fromkeys((*limits, *made_anew)))


def gated_by(netting: Netting, sku: str) -> tuple[str, ...]:
    """Return the supplies that stop the next unit of `sku`, as its bill names them."""
    gates = netting.gates.get(sku, ())
    stops = [gate for gate in gates if _limit(netting, gate) == atp(netting, sku)]
    return tuple(gate.supply for gate in stops)


def lacks_supplies(netting: Netting, sku: str) -> bool:
    """Answer whether orders there are already want more of a gate of the item than there is."""
    return any(netting.room[gate.supply] < 0 for gate in netting.gates.get(sku, ()))


def supplies_missing(netting: Netting, units: Mapping[str, int]) -> dict[str, int]:
    """Return what must be bought of gates for so many units of each item to be promised by itself,
    each as many orders as it can come in.
    """
    short: dict[str, int] = {}
    for sku, asked in units.items():
        for gate in netting.gates.get(sku, ()):
            lacking = gate.taken_for(asked) - netting.room[gate.supply]
            if lacking > short.get(gate.supply, 0):
                short[gate.supply] = lacking
    return short


def missing(netting: Netting, skus: Iterable[str]) -> dict[str, int]:
    """Return what must be bought for each of `skus` to be covered: items without a bill and how
    much of each, in low-level order within a group; empty where all are covered.
    """
    needed = set(skus)
    short = {}
    for item in netting.gross:
        if item not in needed or item not in netting.blocked:
            continue
        if item in netting.bills.made:
            if netting.net[item]:
                needed.update(line.component for line in netting.bills.components(item))
            needed.update(netting.bills.older.get(item, ()))
            continue
        if netting.net[item]:
            short[item] = netting.net[item]
        if (name := netting.bills.name_of.get(item)) is not None:
            needed.add(name)
    return short


def ruled_by(netting: Netting, sku: str) -> tuple[str, ...]:
    """Return the items of which the next unit of `sku` would have more wait to be built than their
    promise rules let, in low-level order. Their horizons are another question: `late_for`.
    """
    if not netting.ceilings or sku in netting.blocked:
        return ()
    return tuple(
        item
        for item, net, _ in _for_the_next(netting, sku)
        if net > netting.ceilings.get(item, net)
    )


def late_for(netting: Netting, sku: str) -> tuple[Late, ...]:
    """Return what the next unit of `sku` would need that is not there in time, in low-level order.

    Without a horizon nothing is late, and nothing is that an oversell needs.
    """
    if sku not in netting.times.asked or sku in netting.blocked:
        return ()
    found = (late for rise in _for_the_next(netting, sku) for late in _too_late(netting, rise))
    late: dict[str, Late] = {}
    for each in found:
        late.setdefault(each.sku, each)
    return tuple(late.values())


def stopped_by(netting: Netting, sku: str) -> tuple[str, ...]:
    """Return what stops the next unit of `sku`, there is always something: items without a bill,
    "promise rule" or "horizon" for its own and "promise rule of SKU", "horizon of SKU" for a
    component's, and supplies of orders.
    """
    gates = tuple(map(sku_of, gated_by(netting, sku)))
    if gates and atp(netting, sku) < by_netting(netting, sku):
        return gates
    stops = [("promise rule", ruled) for ruled in ruled_by(netting, sku)]
    stops += [("horizon", late.sku) for late in late_for(netting, sku)]
    rules = (what if by == sku else f"{what} of {sku_of(by)}" for what, by in stops)
    return (*map(sku_of, limited_by(netting, sku)), *rules, *gates)


def use(bill: BillOfMaterials, line: BillLine, built: int, ahead: int = 0) -> int:
    """Return what building `built` >= 0 units takes of the line's component, rounded up once.

    What is lost as scrap is part of it. `ahead` is what builds before have taken too much by
    rounding up (`model.Rest`): twelve soaps take 1000 g also if they are built in two goes.

    >>> soap, oil = BillOfMaterials("soap", 12, ()), BillLine("oil", 1000)
    >>> use(soap, oil, 12), use(soap, oil, 5), use(soap, oil, 7)
    (1000, 417, 584)
    >>> use(soap, oil, 7, 417 * 12 - 5 * 1000)
    583
    """
    if not built:
        return 0
    lost, of = line.scrap
    wanted = built * line.quantity * (of + lost) - ahead
    return max(0, -(-wanted // (bill.yield_quantity * of)))


def _made_from(bill: BillOfMaterials, line: BillLine, units: int, ahead: int) -> int:
    """Return the most that can be built with a `use` of no more than `units` >= 0."""
    lost, of = line.scrap
    return (units * bill.yield_quantity * of + ahead) // (line.quantity * (of + lost))


def _netted(
    bills: Bills,
    order: tuple[str, ...],
    on_hand: Mapping[str, int],
    demand: Mapping[str, int],
    outside: Mapping[str, int],
    ceilings: Mapping[str, int],
    rests: Mapping[str, Mapping[str, int]],
    made: Mapping[str, BillOfMaterials] | None = None,
) -> Netting:
    """Net the items of `order`, which is in low-level order and has every component of its items.

    `outside` is the requirement on each item that does not come from the items of `order`.
    """
    gross = dict(outside)
    name_of, older = bills.name_of, bills.older
    if made is None:
        made = bills_among(bills, order)
    net: dict[str, int] = {}
    built: dict[str, int] = {}
    for sku in order:
        net[sku] = max(0, gross[sku] - on_hand[sku])
        bill = made.get(sku)
        built[sku] = _built(bill, net[sku]) if bill else 0
        if bill and net[sku]:
            rest = rests.get(sku, _NO_REST)
            for line in bill.lines:
                gross[line.component] += use(bill, line, built[sku], rest.get(line.component, 0))
        if (name := name_of.get(sku)) is not None:
            gross[name] -= max(0, on_hand[sku] - gross[sku])
    blocked: set[str] = set()
    bound: dict[str, int] = {}
    for sku in reversed(order):
        bill = made.get(sku)
        # Also where a rest is enough: nothing is built of what is short.
        stopped = not bill or (
            bool(blocked) and any(line.component in blocked for line in bill.lines)
        )
        name = name_of.get(sku)
        tied = bool(blocked) and (
            name in blocked or any(each in blocked for each in older.get(sku, ()))
        )
        if (net[sku] and stopped) or tied:
            blocked.add(sku)
            bound[sku] = 0
            continue
        bound[sku] = max(0, on_hand[sku] - gross[sku])
        if name is not None:
            bound[sku] = min(bound[sku], bound[name])
        if bill and not stopped:
            most = _built_at_most(bill, built[sku], bound, rests.get(sku, _NO_REST))
            bound[sku] += max(0, min(most, ceilings.get(sku, most)) - net[sku])
    return Netting(
        bills, on_hand, demand, gross, net, built, frozenset(blocked), bound, ceilings, rests
    )


def bills_among(bills: Bills, names: Iterable[str]) -> dict[str, BillOfMaterials]:
    """Return the bill of each of some items, or older bills, that has one."""
    made = bills.made
    return {name: bill for name in names if (bill := made.get(name)) is not None}


def _built(bill: BillOfMaterials, net: int) -> int:
    """Return what is built to cover `net` >= 0 units: whole batches where the bill says so."""
    if not bill.batch_only:
        return net
    return -(-net // bill.yield_quantity) * bill.yield_quantity


def _built_at_most(
    bill: BillOfMaterials, built: int, bound: Mapping[str, int], rest: Mapping[str, int]
) -> int:
    """Return the most that could be built in all, were no component shared with anything else."""
    if built or rest:
        most = min(
            _made_from(bill, line, bound[line.component] + use(bill, line, built, ahead), ahead)
            for line in bill.lines
            for ahead in (rest.get(line.component, 0),)
        )
    else:
        # As `_made_from` has it: nearly every item comes by here, and a call takes as long again.
        yields = bill.yield_quantity
        most = min(
            [
                bound[line.component] * yields * of // (line.quantity * (of + lost))
                for line in bill.lines
                for lost, of in (line.scrap,)
            ]
        )
    return most - most % bill.yield_quantity if bill.batch_only else most


def _beyond(netting: Netting, sku: str) -> Netting:
    """Net `sku` and all below it again with one unit more than could be promised without gates."""
    more = by_netting(netting, sku) + 1
    if more <= 0 and sku in netting.bills.older:
        return _relieved(netting, sku, -more)
    return _with_gross(netting, sku, netting.gross[sku] + more)


def _lack(netting: Netting, sku: str) -> int:
    """Return the fewest finished units (>= 1) with which a blocked item that has older bills would
    be covered.
    """
    low, high = 0, sum(netting.net[each] for each in (sku, *netting.bills.older[sku]))
    while high - low > 1:  # `high` are enough, for then nothing has to be built; `low` are not
        middle = (low + high) // 2
        if sku in _relieved(netting, sku, middle).blocked:
            low = middle
        else:
            high = middle
    return high


def _relieved(netting: Netting, sku: str, units: int) -> Netting:
    """Net an item that has older bills, and all below it, as if there were `units` more of it."""
    others, outside, left = netting.bills.older[sku], dict[str, int](), units
    for name in (sku, *others):
        owed = min(left, max(0, -netting.on_hand[name]))
        outside[name] = netting.gross[name] - owed
        left -= owed
    for name in others:
        served = min(left, max(0, outside[name] - netting.on_hand[name]))
        outside[name] -= served
        left -= served
    outside[sku] -= left
    return _again(netting, sku, outside)


def _with_gross(netting: Netting, sku: str, gross: int) -> Netting:
    """Net `sku` and all below it again, with another gross requirement (any sign) of `sku`."""
    return _again(netting, sku, {sku: gross})


def without(netting: Netting, sku: str, units: int) -> Netting:
    """Net `sku` and all that bears on it again, with so many units >= 0 of its demand taken away.

    What others draw on those below stays, and so does every rule; the others are left out. Of the
    name of substitutes nothing is demanded but by bills.
    """
    assert sku not in netting.bills.substitutes, f"{sku} is a name"
    fewer = _again(
        netting,
        sku,
        {sku: netting.gross[sku] - units},
        cone=netting.bills.cones([sku]),
        ceilings=netting.ceilings,
    )
    room = dict(netting.room)
    for gate in netting.gates.get(sku, ()):
        room[gate.supply] += gate.taken_for(units)
    return replace(fewer, gates=netting.gates, room=room, times=netting.times)


def _again(
    netting: Netting,
    sku: str,
    gross: Mapping[str, int],
    *,
    cone: tuple[str, ...] | None = None,
    ceilings: Mapping[str, int] = NO_RULES,
    on_hand: Mapping[str, int] | None = None,
) -> Netting:
    """Net `sku` and all below it again, with other gross requirements of what nothing draws on, or
    other stock (`on_hand`).

    What items outside draw on those below stays as it was. Without `ceilings` no promise rule holds
    there: whether something is covered does not depend on any.
    """
    bills = netting.bills
    cone = cone or (sku, *bills.descendants(sku))
    outside = {item: netting.gross[item] for item in cone}
    for item in cone:
        if netting.built[item]:
            bill, rest = bills.made[item], netting.rests.get(item, _NO_REST)
            for line in bill.lines:
                ahead = rest.get(line.component, 0)
                outside[line.component] -= use(bill, line, netting.built[item], ahead)
        if (name := bills.name_of.get(item)) is not None:
            outside[name] += left(netting, item)
    outside.update(gross)
    there = netting.on_hand if on_hand is None else on_hand
    return _netted(bills, cone, there, netting.demand, outside, ceilings, netting.rests)


def _rise(netting: Netting, sku: str) -> int:
    """Return the most further units of an item that is not blocked that are still covered."""
    high = netting.bound[sku] if netting.known is None else netting.known[sku]
    exact = not netting.bills.reachable_twice(sku) and sku not in netting.times.asked
    if exact or covers(netting, {sku: high}):
        return high
    # Finished units draw on nothing; of what substitutes have left some may come too late.
    is_name = sku in netting.bills.substitutes
    low = 0 if is_name else max(0, netting.on_hand[sku] - netting.gross[sku])
    if sku in netting.times.asked and not covers(netting, {sku: low + 1}):
        return low  # as of most items that take too long to make
    while high - low > 1:  # `low` is covered, `high` is not
        middle = (low + high) // 2
        if covers(netting, {sku: middle}):
            low = middle
        else:
            high = middle
    return low


def _for_the_next(netting: Netting, sku: str) -> list[_Rise]:
    """Return what rises under the first unit more of `sku` than is promised without gates."""
    rising = _rising(netting, {sku: by_netting(netting, sku) + 1})
    assert rising is not None, "nothing was asked of it"
    return rising


def _too_late(netting: Netting, rise: _Rise) -> list[Late]:
    """Return what an item that rises would need in less time than that takes: its own build, or
    what comes; of the name of substitutes that of theirs.
    """
    item, _, left_s = rise
    if left_s is None or left_s < 0:
        return []  # nobody asks, or what it is for is late by itself
    bill = netting.bills.made.get(item)
    if bill is not None:
        return [Late(item, bill.build_time_s, left_s)] if bill.build_time_s > left_s else []
    horizons, coming = netting.times.horizons, netting.times.coming
    return [
        Late(sku, None, left_s)
        for sku in netting.bills.substitutes.get(item, (item,))
        if coming.get(sku, 0) and left_s < horizons[sku]
    ]


def covers(netting: Netting, units: Mapping[str, int]) -> bool:
    """Answer whether `units` >= 0 more of some items are covered together."""
    return _rising(netting, units, whatever=False) is not None


def _rising(
    netting: Netting, units: Mapping[str, int], *, whatever: bool = True
) -> list[_Rise] | None:
    """Return the items whose net rises under `units` >= 0 more of some, in low-level order.

    Only the differences are pushed down. What has no bill and is short rises as well. `whatever`:
    nothing is asked of whether it may rise; otherwise it is None at the first that must not.
    """
    bills, horizons = netting.bills, netting.times.horizons
    blocked, ceilings = netting.blocked, netting.ceilings
    drawn, lost = dict(units), dict[str, int]()  # lost: what substitutes leave less for their name
    time_left: dict[str, int] = {}
    if len(units) == 1:
        (sku,) = units
        order: tuple[str, ...] = (sku, *bills.descendants(sku))
    else:
        order = bills.cones(units)
    rising: list[_Rise] = []
    for item in order:
        draw = drawn.get(item, 0)
        if draw == 0 and not lost.get(item):
            continue
        if item in blocked and not whatever:
            return None
        left_s = None
        if horizons and draw:
            # What a substitute leaves less is for demand there is, which may take any time.
            asked = (time_left.get(item), horizons.get(item))
            left_s = min((each for each in asked if each is not None), default=None)
        if (name := bills.name_of.get(item)) is not None:
            still = max(0, netting.on_hand[item] - netting.gross[item] - draw)
            lost[name] = lost.get(name, 0) + left(netting, item) - still
        net = _net_with(netting, item, drawn, lost.get(item, 0), left_s)
        if net <= netting.net[item]:
            continue
        bill = bills.made.get(item)
        if whatever:
            rising.append(_Rise(item, net, left_s))
            if bill is None:
                continue
        elif (
            bill is None
            or net > ceilings.get(item, net)
            or (left_s is not None and bill.build_time_s > left_s)
        ):
            return None
        before, after = netting.built[item], _built(bill, net)
        rest = netting.rests.get(item, _NO_REST)
        for line in bill.lines:
            component = line.component
            if not whatever and component in blocked:
                return None
            ahead = rest.get(component, 0)
            draw = use(bill, line, after, ahead) - use(bill, line, before, ahead)
            drawn[component] = drawn.get(component, 0) + draw
            if left_s is not None and draw:
                below_s = left_s - bill.build_time_s
                time_left[component] = min(below_s, time_left.get(component, below_s))
    return rising


def _net_with(
    netting: Netting, item: str, drawn: Mapping[str, int], lost: int, left_s: int | None
) -> int:
    """Return what an item nets to with what is `drawn` besides, to be there in `left_s` (None: no
    limit). Of the name of substitutes `lost` >= 0 of what they had left for it is gone.
    """
    draw, free = drawn.get(item, 0), netting.on_hand[item] - netting.gross[item] - lost
    members = netting.bills.substitutes.get(item)
    if left_s is not None:
        times = netting.times
        for sku in members or (item,):
            if (comes := times.coming.get(sku, 0)) and left_s < times.horizons[sku]:
                if members is None:
                    free -= comes
                    continue
                left_over = netting.on_hand[sku] - netting.gross[sku] - drawn.get(sku, 0)
                free -= max(0, left_over) - max(0, left_over - comes)
    if members is None:
        return netting.net[item] + max(0, draw - max(0, free))
    return max(0, draw - free)
