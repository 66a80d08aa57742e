"""Netting a whole catalogue at once: the definitions of `atp`, in NumPy arrays.

Theory of operation. `atp` nets item by item in plain Python and is the definition; for tens of
thousands of items that share materials it takes seconds. Here every item has a place in arrays that
are laid out once per catalogue (`Layout`): in low-level order, on each level those with a bill
first, and the lines of all bills in the order of their parents. A level is then a slice, and its
netting one expression. Three passes give the same numbers as `atp` does:

- downwards, level by level, what is gross, net and built;
- upwards, who is blocked and the bound that ignores sharing;
- for items from which something is reached by two paths, whether their bound is covered: the
  further demand of all of them is pushed down together, as triples (for whom, on what, how much)
  that are added up on each level. Those whose bound is not covered are bisected, together as well.

An item that is blocked is relieved one by one, as `atp` does it: there are few, or a great deal of
work to do for the maker.

NumPy counts in 64 bits. Every product is looked at beforehand, and where one might not fit the
answer is None: the caller then goes the plain way, which is exact in integers of any size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stockpush.reservation import atp as plain
from stockpush.reservation.bom import Bills

Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

FITS: int = 2**62
"""A product below this, and the sum of two such, fit into 64 bits with their sign."""


class _TooLargeError(Exception):
    """A product might not fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class _Level:
    """The places of one low-level code: `begin..bills` have a bill, `bills..end` have none.

    `first_line..last_line` are those bills' lines, and `line_of_item` where in that slice the lines
    of each begin.
    """

    begin: int
    bills: int
    end: int
    first_line: int
    last_line: int
    line_of_item: Integers


@dataclass(frozen=True, slots=True)
class Layout:
    """The bills of some items as arrays; made once per catalogue by `Layout.build`.

    One entry per item: `yields` (1 without a bill), `in_batches`, `level`, `shares` (whether
    anything is reached from it by two paths), `line_from`, `line_to`. One per line: `parent`,
    `component` (places), `quantity` for `per` of the parent (its yield, in parts of its scrap).
    `fits` is false where those are numbers for which 64 bits will not do, or items are substitutes
    for one another or have older bills.
    """

    bills: Bills
    skus: tuple[str, ...]
    place: Mapping[str, int]
    levels: tuple[_Level, ...]
    yields: Integers
    in_batches: Flags
    has_bill: Flags
    level: Integers
    shares: Flags
    line_from: Integers
    line_to: Integers
    parent: Integers
    component: Integers
    quantity: Integers
    per: Integers
    fits: bool

    @classmethod
    def build(cls, bills: Bills, skus: Collection[str]) -> Layout:
        """Lay out `skus`: whole groups, for an item outside would draw on those inside."""
        codes = _codes(bills, skus)
        order = sorted(skus, key=lambda sku: (codes[sku], sku not in bills.by_item, sku))
        place = {sku: at for at, sku in enumerate(order)}
        made = [bills.by_item.get(sku) for sku in order]
        lines = [(at, bill, line) for at, bill in enumerate(made) if bill for line in bill.lines]
        parent = _integers([at for at, _, _ in lines])
        quantity = [line.quantity * sum(line.scrap) for _, _, line in lines]
        per = [bill.yield_quantity * line.scrap.of for _, bill, line in lines]
        # That an item is tied to another one is no line of a bill: plain netting knows of it.
        named = any(sku in bills.substitutes or sku in bills.older for sku in skus)
        fits = max((*quantity, *per), default=0) < FITS and not named
        code = _integers([codes[sku] for sku in order])
        has_bill = np.array([bill is not None for bill in made], dtype=np.bool_)
        line_from = np.searchsorted(parent, np.arange(len(order)))
        return cls(
            bills=bills,
            skus=tuple(order),
            place=place,
            levels=tuple(_levels(code, has_bill, parent, line_from)),
            yields=_integers([bill.yield_quantity if bill else 1 for bill in made]),
            in_batches=np.array([bool(bill and bill.batch_only) for bill in made], dtype=np.bool_),
            has_bill=has_bill,
            level=code,
            shares=np.array([bills.reachable_twice(sku) for sku in order], dtype=np.bool_),
            line_from=line_from,
            line_to=np.searchsorted(parent, np.arange(len(order)), side="right"),
            parent=parent,
            component=_integers([place[line.component] for _, _, line in lines]),
            quantity=_integers(quantity if fits else [1] * len(lines)),
            per=_integers(per if fits else [1] * len(lines)),
            fits=fits,
        )

    def net(
        self,
        on_hand: Mapping[str, int],
        demand: Mapping[str, int],
        *,
        ceilings: Mapping[str, int] = plain.NO_RULES,
        rests: Mapping[str, Mapping[str, int]] = plain.NO_RESTS,
    ) -> plain.Netting | None:
        """Net every item, smallest units, and find its ATP; None where 64 bits might not do.

        Stock and demand must have every item, as for `atp.net`, whose answer this equals; besides,
        it knows every ATP already.
        """
        if not self.fits:
            return None
        try:
            stock, wanted = self._column(on_hand), self._column(demand)
            netted = _Netted(self, stock, wanted, self._ceilings(ceilings), self._ahead(rests))
            netted.go_down()
            netted.go_up()
            promised = netted.rise()
        except (_TooLargeError, OverflowError):
            return None
        return netted.as_netting(on_hand, demand, ceilings, rests, promised)

    def _ahead(self, rests: Mapping[str, Mapping[str, int]]) -> Integers:
        """Return what builds have left of roundings on each line."""
        column = np.zeros_like(self.quantity)
        for sku, of_item in rests.items():
            at = self.place.get(sku)
            for line in () if at is None else range(self.line_from[at], self.line_to[at]):
                ahead = of_item.get(self.skus[self.component[line]], 0)
                if abs(ahead) >= FITS:
                    raise _TooLargeError
                column[line] = ahead
        return column

    def _ceilings(self, ceilings: Mapping[str, int]) -> Integers:
        """Return the most of each item that may wait to be built; of most that is any number."""
        column = np.full(len(self.skus), FITS, dtype=np.int64)
        for sku, most in ceilings.items():
            if sku in self.place:
                column[self.place[sku]] = most
        return column

    def _column(self, values: Mapping[str, int]) -> Integers:
        return np.fromiter((values[sku] for sku in self.skus), np.int64, len(self.skus))


class _Netted:
    """One netting under way."""

    def __init__(
        self,
        layout: Layout,
        on_hand: Integers,
        demand: Integers,
        ceilings: Integers,
        ahead: Integers,
    ) -> None:
        self.layout = layout
        self.ceilings = ceilings
        self.ahead = ahead
        self.on_hand = on_hand
        self.gross = demand.copy()
        self.net = np.zeros_like(demand)
        self.built = np.zeros_like(demand)
        self.drawn = np.zeros_like(layout.quantity)
        """What each line takes for what is built."""
        self.blocked = np.zeros(len(demand), dtype=np.bool_)
        self.bound = np.zeros_like(demand)

    def go_down(self) -> None:
        """Find gross, net and built, each level after all above it."""
        layout = self.layout
        for level in layout.levels:
            here = slice(level.begin, level.end)
            _check_sum(self.gross[here], self.on_hand[here])
            self.net[here] = np.maximum(0, self.gross[here] - self.on_hand[here])
            made = slice(level.begin, level.bills)
            if not self.net[made].any():
                continue
            self.built[made] = self._in_batches(self.net[made], made)
            lines = slice(level.first_line, level.last_line)
            self.drawn[lines] = self._used(self.built[layout.parent[lines]], lines)
            if float(self.drawn[lines].astype(np.float64).sum()) + int(self.gross.max()) >= FITS:
                raise _TooLargeError
            np.add.at(self.gross, layout.component[lines], self.drawn[lines])

    def go_up(self) -> None:
        """Find who is blocked, and the bounds, each level after all below it."""
        layout = self.layout
        for level in reversed(layout.levels):
            here, made = slice(level.begin, level.end), slice(level.begin, level.bills)
            self.blocked[here] = self.net[here] > 0
            self.bound[here] = np.maximum(0, self.on_hand[here] - self.gross[here])
            if level.bills > level.begin:
                lines = slice(level.first_line, level.last_line)
                below = layout.component[lines]
                stopped = np.logical_or.reduceat(self.blocked[below], level.line_of_item)
                self.blocked[made] &= stopped
                room = self.bound[below] + self.drawn[lines]
                _check_product(room, layout.per[lines])
                most = np.minimum.reduceat(
                    (room * layout.per[lines] + self.ahead[lines]) // layout.quantity[lines],
                    level.line_of_item,
                )
                batches, yields = layout.in_batches[made], layout.yields[made]
                most -= np.where(batches, most % yields, 0)
                most = np.where(stopped, 0, np.minimum(most, self.ceilings[made]))
                self.bound[made] += np.maximum(0, most - self.net[made])
            self.bound[here][self.blocked[here]] = 0

    def rise(self) -> Integers:
        """Return how much further demand of each item is still covered, 0 where it is blocked."""
        promised = self.bound.copy()
        asked = np.flatnonzero(self.layout.shares & ~self.blocked & (promised > 0))
        left = asked[~self._covers(asked, promised[asked])]
        # Finished units draw on nothing, so they are covered; the bound is not.
        low = np.maximum(0, self.on_hand[left] - self.gross[left])
        high = promised[left]
        while True:
            open_ = np.flatnonzero(high - low > 1)
            if not len(open_):
                break
            middle = (low[open_] + high[open_]) // 2
            fine = self._covers(left[open_], middle)
            low[open_[fine]] = middle[fine]
            high[open_[~fine]] = middle[~fine]
        promised[left] = low
        return promised

    def _covers(self, items: Integers, units: Integers) -> Flags:
        """Answer for each of `items`, by itself, whether `units` >= 0 more of it are covered.

        All are pushed down together, as (for which of them, on what, how much).
        """
        layout = self.layout
        count = len(layout.skus)
        failed = np.zeros(len(items), dtype=np.bool_)
        waiting: list[list[tuple[Integers, Integers, Integers]]] = [[] for _ in layout.levels]

        def draw(whose: Integers, places: Integers, amounts: Integers) -> None:
            codes = layout.level[places]
            for code in np.unique(codes):
                there = codes == code
                waiting[code].append((whose[there], places[there], amounts[there]))

        draw(np.arange(len(items)), items, units)
        for code in range(len(waiting)):
            if not waiting[code]:
                continue
            whose, places, amounts = _added_up(waiting[code], count)
            # Whoever has failed is decided already.
            going_on = ~failed[whose] & (amounts > 0)
            whose, places, amounts = whose[going_on], places[going_on], amounts[going_on]
            failed[whose[self.blocked[places]]] = True
            _check_sum(self.gross[places], amounts)
            net = self.gross[places] + amounts - self.on_hand[places]
            beyond = (net > 0) & ~self.blocked[places]
            failed[whose[beyond & ~layout.has_bill[places]]] = True
            failed[whose[beyond & (net > self.ceilings[places])]] = True
            beyond &= layout.has_bill[places] & ~failed[whose]
            whose, places, net = whose[beyond], places[beyond], net[beyond]
            if not len(places):
                continue
            after = self._in_batches(net, places)
            lines, of = _lines_of(layout, places)
            failed[whose[of[self.blocked[layout.component[lines]]]]] = True
            more = self._used(after[of], lines) - self.drawn[lines]
            draw(whose[of], layout.component[lines], more)
        return ~failed

    def _in_batches(self, net: Integers, places: slice | Integers) -> Integers:
        """Return what is built to cover `net`: whole batches where the bill says so."""
        yields = self.layout.yields[places]
        _check_sum(net, yields)
        whole = -(-net // yields) * yields
        return np.where(self.layout.in_batches[places], whole, net)

    def _used(self, built: Integers, lines: slice | Integers) -> Integers:
        """Return what each line takes for what is built, rounded up: `atp.use`."""
        quantity, per = self.layout.quantity[lines], self.layout.per[lines]
        _check_product(built, quantity)
        wanted = built * quantity - self.ahead[lines]
        return np.where(built > 0, np.maximum(0, -(-wanted // per)), 0)

    def as_netting(
        self,
        on_hand: Mapping[str, int],
        demand: Mapping[str, int],
        ceilings: Mapping[str, int],
        rests: Mapping[str, Mapping[str, int]],
        promised: Integers,
    ) -> plain.Netting:
        """Return the netting as `atp` has it, with every ATP known."""
        layout = self.layout
        blocked = [layout.skus[at] for at in np.flatnonzero(self.blocked)]
        netting = plain.Netting(
            bills=layout.bills,
            on_hand=on_hand,
            demand=demand,
            gross=_Column(layout, self.gross),
            net=_Column(layout, self.net),
            built=_Column(layout, self.built),
            blocked=frozenset(blocked),
            bound=_Column(layout, self.bound),
            ceilings=ceilings,
            rests=rests,
        )
        for sku in blocked:
            promised[layout.place[sku]] = plain.atp(netting, sku)
        # Unlike the rest it is asked for of nearly all of them.
        known = dict(zip(layout.skus, promised.tolist(), strict=True))
        return replace(netting, known=known)


class _Column(Mapping[str, int]):
    """One array, read as a mapping by SKU, in low-level order."""

    __slots__ = ("_layout", "_values")

    def __init__(self, layout: Layout, values: Integers) -> None:
        self._layout = layout
        self._values = values

    def __getitem__(self, sku: str) -> int:
        return int(self._values[self._layout.place[sku]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.skus)

    def __len__(self) -> int:
        return len(self._layout.skus)


def _codes(bills: Bills, skus: Collection[str]) -> dict[str, int]:
    """Return the low-level code of each item: the longest chain of bills above it."""
    codes: dict[str, int] = {}

    def code(sku: str) -> int:
        """Return one item's; a chain of bills is bounded, and so is this one's depth."""
        if sku not in codes:
            codes[sku] = max((code(parent) + 1 for parent in bills.parents(sku)), default=0)
        return codes[sku]

    return {sku: code(sku) for sku in skus}


def _levels(
    code: Integers, has_bill: Flags, parent: Integers, line_from: Integers
) -> Iterator[_Level]:
    for at in range(int(code[-1]) + 1 if len(code) else 0):
        begin, end = (int(each) for each in np.searchsorted(code, [at, at + 1]))
        bills = begin + int(has_bill[begin:end].sum())
        first, last = (int(each) for each in np.searchsorted(parent, [begin, bills]))
        yield _Level(begin, bills, end, first, last, line_from[begin:bills] - first)


def _integers(values: Sequence[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def _added_up(
    draws: Sequence[tuple[Integers, Integers, Integers]], count: int
) -> tuple[Integers, Integers, Integers]:
    """Return one draw for each (whose, place), the amounts of equal ones added up."""
    whose, places, amounts = (np.concatenate(each) for each in zip(*draws, strict=True))
    if not len(whose):
        return whose, places, amounts
    key = whose * count + places
    order = np.argsort(key, kind="stable")
    key, amounts = key[order], amounts[order]
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    if float(amounts.astype(np.float64).sum()) >= FITS:
        raise _TooLargeError
    return key[first] // count, key[first] % count, np.add.reduceat(amounts, first)


def _lines_of(layout: Layout, places: Integers) -> tuple[Integers, Integers]:
    """Return the lines of the bills at `places`, in turn, and for each which of them it is of."""
    counts = layout.line_to[places] - layout.line_from[places]
    of = np.repeat(np.arange(len(places)), counts)
    within = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    return layout.line_from[places][of] + within, of


def _check_product(left: Integers, right: Integers) -> None:
    """Stop if any left * right might not fit, both >= 0."""
    if not len(left) or int(left.max()) * int(right.max()) < FITS:
        return
    if float((left.astype(np.float64) * right).max()) >= FITS:
        raise _TooLargeError


def _check_sum(left: Integers, right: Integers) -> None:
    """Stop if left and right might not be added or subtracted."""
    if len(left) and int(np.abs(left).max()) + int(np.abs(right).max()) >= FITS:
        raise _TooLargeError
