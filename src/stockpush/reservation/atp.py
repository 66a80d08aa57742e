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

A promise rule may also say how soon what is promised has to be there: a *horizon*. It bounds the
same rise: n units more of i are there in time if, from i downwards along what they draw on, every
item whose net rises can be made in what time is left of it. That is the item's own horizon, or what
its parent's has left after the parent's build time, whichever is less. What comes in lots that are
available by an item's horizon is part of its stock; a parent that leaves less time than that
horizon has only what is there now. Demand there is already may take as long as it takes.

Everything is exact in Python's unbounded integers. Formulas: docs/architecture.md, "ATP".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from stockpush.model import BillLine, BillOfMaterials, sku_of
from stockpush.reservation.bom import Bills


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
    below its own stock; `net`, `built` >= 0. `blocked` are the items that are not covered.
    `ceilings` has those with a promise rule: the most that may wait to be built; `rests` those
    whose builds have left something of roundings, by component (`model.Rest`).
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
    """Every ATP, where all were found at once (`atp_arrays`); no horizon counts in it."""
    times: Times = NO_TIMES

    @property
    def shortage(self) -> dict[str, int]:
        """Return what to buy: items without a bill that net above zero, and by how much."""
        return {
            sku: short
            for sku, short in self.net.items()
            if short > 0 and sku not in self.bills.by_item
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
) -> Netting:
    """Net some items of a group alone, smallest units; the same numbers as `net` has for them.

    `order` is in low-level order, has every component of its items, and every item of the group of
    which more is demanded than is there: the others have nothing built, and draw on nothing.
    """
    outside = {sku: demand[sku] for sku in order}
    return _netted(bills, order, on_hand, demand, outside, ceilings, rests)


def asking(netting: Netting, times: Times) -> Netting:
    """Return the netting with what horizons ask of whatever is promised by it."""
    return replace(netting, times=times)


def atp(netting: Netting, sku: str) -> int:
    """Return the item's ATP in its smallest units, negative where demand is not covered."""
    if netting.known is not None and (sku in netting.blocked or sku not in netting.times.asked):
        return netting.known[sku]
    if sku in netting.blocked:
        relieved = _with_gross(netting, sku, netting.on_hand[sku])
        return _rise(relieved, sku) - netting.net[sku]
    return _rise(netting, sku)


def atp_all(netting: Netting, skus: Iterable[str]) -> dict[str, int]:
    """Return the ATP of each of `skus`, in their order."""
    return {sku: atp(netting, sku) for sku in skus}


def buildable(netting: Netting, sku: str) -> int:
    """Return the units >= 0 of the item's ATP that are not finished yet, smallest units."""
    finished = max(0, netting.on_hand[sku] - netting.demand[sku])
    return max(0, atp(netting, sku) - finished)


def limited_by(netting: Netting, sku: str) -> tuple[str, ...]:
    """Return the items without a bill that stop the next unit of `sku`, in low-level order.

    For an item without a bill it is the item itself. Where there is none, `ruled_by` has one.
    """
    short = _with_gross(netting, sku, netting.gross[sku] + atp(netting, sku) + 1)
    limits = missing(short, [sku])
    if not netting.times.coming or sku not in netting.times.asked or sku in netting.blocked:
        return tuple(limits)
    # What comes too late is made anew, and what that takes may be short.
    late = {each.sku for each in late_for(netting, sku)}
    made_anew = (
        rise.sku
        for rise in _for_the_next(netting, sku)
        if rise.sku not in netting.bills.by_item
        and rise.sku not in late
        and (rise.left_s is None or rise.left_s >= 0)
    )
    return tuple(dict.fromkeys((*limits, *made_anew)))


def missing(netting: Netting, skus: Iterable[str]) -> dict[str, int]:
    """Return what must be bought for each of `skus` to be covered: items without a bill and how
    much of each, in low-level order within a group; empty where all are covered.
    """
    needed = set(skus)
    short = {}
    for item in netting.gross:
        if item not in needed or item not in netting.blocked:
            continue
        if item in netting.bills.by_item:
            needed.update(line.component for line in netting.bills.components(item))
        else:
            short[item] = netting.net[item]
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
    late = []
    for item, _, left_s in _for_the_next(netting, sku):
        bill = netting.bills.by_item.get(item)
        if left_s is None or left_s < 0:
            continue  # nobody asks, or what it is for is late by itself
        if bill is None:
            if netting.times.coming.get(item, 0) > 0 and left_s < netting.times.horizons[item]:
                late.append(Late(item, None, left_s))
        elif bill.build_time_s > left_s:
            late.append(Late(item, bill.build_time_s, left_s))
    return tuple(late)


def stopped_by(netting: Netting, sku: str) -> tuple[str, ...]:
    """Return what stops the next unit of `sku`, there is always something: items without a bill,
    "promise rule" or "horizon" for its own and "promise rule of SKU", "horizon of SKU" for a
    component's.
    """
    stops = [("promise rule", ruled) for ruled in ruled_by(netting, sku)]
    stops += [("horizon", late.sku) for late in late_for(netting, sku)]
    rules = (what if by == sku else f"{what} of {sku_of(by)}" for what, by in stops)
    return (*map(sku_of, limited_by(netting, sku)), *rules)


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
) -> Netting:
    """Net the items of `order`, which is in low-level order and has every component of its items.

    `outside` is the requirement on each item that does not come from the items of `order`.
    """
    gross = dict(outside)
    net: dict[str, int] = {}
    built: dict[str, int] = {}
    for sku in order:
        net[sku] = max(0, gross[sku] - on_hand[sku])
        bill = bills.by_item.get(sku)
        built[sku] = _built(bill, net[sku]) if bill else 0
        if bill and net[sku]:
            rest = rests.get(sku, _NO_REST)
            for line in bill.lines:
                gross[line.component] += use(bill, line, built[sku], rest.get(line.component, 0))
    blocked: set[str] = set()
    bound: dict[str, int] = {}
    for sku in reversed(order):
        bill = bills.by_item.get(sku)
        # Also where a rest is enough: nothing is built of what is short.
        stopped = not bill or any(line.component in blocked for line in bill.lines)
        if net[sku] and stopped:
            blocked.add(sku)
            bound[sku] = 0
            continue
        bound[sku] = max(0, on_hand[sku] - gross[sku])
        if bill and not stopped:
            most = _built_at_most(bill, built[sku], bound, rests.get(sku, _NO_REST))
            bound[sku] += max(0, min(most, ceilings.get(sku, most)) - net[sku])
    return Netting(
        bills, on_hand, demand, gross, net, built, frozenset(blocked), bound, ceilings, rests
    )


def _built(bill: BillOfMaterials, net: int) -> int:
    """Return what is built to cover `net` >= 0 units: whole batches where the bill says so."""
    if not bill.batch_only:
        return net
    return -(-net // bill.yield_quantity) * bill.yield_quantity


def _built_at_most(
    bill: BillOfMaterials, built: int, bound: Mapping[str, int], rest: Mapping[str, int]
) -> int:
    """Return the most that could be built in all, were no component shared with anything else."""
    most = min(
        _made_from(bill, line, bound[line.component] + use(bill, line, built, ahead), ahead)
        for line in bill.lines
        for ahead in (rest.get(line.component, 0),)
    )
    return most - most % bill.yield_quantity if bill.batch_only else most


def _with_gross(netting: Netting, sku: str, gross: int) -> Netting:
    """Net `sku` and all below it again, with another gross requirement (any sign) of `sku`.

    What items outside draw on those below stays as it was. No promise rule holds there: whether
    something is covered does not depend on any.
    """
    bills = netting.bills
    cone = (sku, *bills.descendants(sku))
    outside = {item: netting.gross[item] for item in cone}
    for item in cone:
        if netting.built[item]:
            bill, rest = bills.by_item[item], netting.rests.get(item, _NO_REST)
            for line in bill.lines:
                ahead = rest.get(line.component, 0)
                outside[line.component] -= use(bill, line, netting.built[item], ahead)
    outside[sku] = gross
    return _netted(bills, cone, netting.on_hand, netting.demand, outside, NO_RULES, netting.rests)


def _rise(netting: Netting, sku: str) -> int:
    """Return the most further units of an item that is not blocked that are still covered."""
    high = netting.bound[sku] if netting.known is None else netting.known[sku]
    exact = not netting.bills.reachable_twice(sku) and sku not in netting.times.asked
    if exact or covers(netting, {sku: high}):
        return high
    low = max(0, netting.on_hand[sku] - netting.gross[sku])  # finished units draw on nothing
    while high - low > 1:  # `low` is covered, `high` is not
        middle = (low + high) // 2
        if covers(netting, {sku: middle}):
            low = middle
        else:
            high = middle
    return low


def _for_the_next(netting: Netting, sku: str) -> list[_Rise]:
    """Return what rises under the first unit more of `sku` that is not promised."""
    rising = _rising(netting, {sku: atp(netting, sku) + 1})
    assert rising is not None, "nothing was asked of it"
    return rising


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
    bills, times = netting.bills, netting.times
    horizons, coming = times.horizons, times.coming
    blocked, ceilings = netting.blocked, netting.ceilings
    drawn = dict(units)
    left: dict[str, int] = {}
    if len(units) == 1:
        (sku,) = units
        order: tuple[str, ...] = (sku, *bills.descendants(sku))
    else:
        order = bills.cones(units)
    rising: list[_Rise] = []
    for item in order:
        draw = drawn.get(item, 0)
        if draw == 0:
            continue
        there, left_s = netting.on_hand[item], None
        if horizons:
            left_s, horizon_s = left.get(item), horizons.get(item)
            if horizon_s is not None and left_s is not None and left_s < horizon_s:
                there -= coming.get(item, 0)
            elif horizon_s is not None:
                left_s = horizon_s
        more = draw - max(0, there - netting.gross[item])
        if more <= 0:
            continue
        net = netting.net[item] + more
        bill = bills.by_item.get(item)
        if whatever:
            rising.append(_Rise(item, net, left_s))
            if bill is None:
                continue
        elif (
            bill is None
            or item in blocked
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
                left[component] = min(below_s, left.get(component, below_s))
    return rising
