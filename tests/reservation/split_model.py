"""A small model of shops that compare, and of what is heard of them, for every interleaving.

It has the rules of docs/conflict-protocol.md in a few lines of its own (R1 to R3, R6) and asks the
core only what it would write. What is true is known besides, so that a checkout beyond what there
is shows at once. Buyers buy one unit, shoppers cancel, every fact is heard of whenever it likes,
numbers are read at any time, the owner closes a listing, and a write is sent, handled and answered
in three steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stockpush.model import BillLine, BillOfMaterials, ChannelPolicy, Field, FieldKey, Mode, Push
from stockpush.reservation import atp as netting
from stockpush.reservation import split
from stockpush.reservation.bom import Bills
from stockpush.reservation.split import Share
from stockpush.values import replace
from tests.reservation.world import START

POLICY = ChannelPolicy("shop", "shopify", Mode.LIVE, compare_and_set=True)


class Order(NamedTuple):
    """One unit bought of listing `at`. `stage` is 1 (open) or 2 (cancelled), `known` what we have
    heard (0: nothing); `sold_in`, `back_in`: a reading that counted shows it sold, put back.
    `told`: a cancel will say that it was put back.
    """

    at: int
    told: bool
    stage: int = 1
    known: int = 0
    sold_in: bool = False
    back_in: bool = False


class Flight(NamedTuple):
    """A write under way; `found` is the number that it met once it was handled."""

    expected: int
    target: int
    found: int | None = None
    seen: tuple[int, ...] = ()
    """The stages of all orders when it was handled."""


class Number(NamedTuple):
    """What one listing shows, and what we believe of it."""

    shows: int = 0
    expected: int = 0
    hold: int = 0
    surplus: int = 0
    surplus_of: tuple[int, ...] = ()
    """The orders that were put back when the surplus was first seen."""
    unsure: int = 0
    looked: tuple[int, ...] | None = None
    """The stages of all orders at the reading since which only a poll is missing."""
    flight: Flight | None = None


class State(NamedTuple):
    """Everything at one moment."""

    numbers: tuple[Number, ...]
    orders: tuple[Order, ...] = ()
    closed: int | None = None
    """The listing that the owner lets show nothing."""


class Oversold(AssertionError):
    """A buyer has bought what does not exist."""


Rule = Callable[[Field, Push | None], Share]


def rule(row: Field, flying: Push | None) -> Share:
    """The share of a field, as the core has it."""
    return split.share_of(row, row.sku, flying, stands=0, policy=POLICY)


@dataclass(frozen=True)
class Model:
    """Listings as (item, pack), stock, and the bills that share it. `rule` and `waits` are where
    mistakes are planted: what a listing may sell, and whether a raise waits for its reach.
    """

    listings: tuple[tuple[str, int], ...]
    on_hand: Mapping[str, int]
    bills: Bills
    rule: Rule = rule
    waits: bool = True
    jointly: bool = True
    holds_count: bool = True
    sales_max: int = 3
    closes: bool = True
    _written: dict[object, tuple[int, ...]] = field(default_factory=dict, compare=False)

    def begin(self) -> State:
        """Everything shows nothing."""
        return State((Number(),) * len(self.listings))

    # -- what can happen ---------------------------------------------------------------------

    def following(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield everything that can happen next, and what comes of it."""
        for at, number in enumerate(state.numbers):
            if number.shows > 0 and len(state.orders) < self.sales_max:
                for told in (True, False):
                    yield f"sold {at}", self._sold(state, at, told=told)
            if number.flight is None:
                if number.shows != number.expected or number.unsure:
                    yield f"read {at}", self._read(state, at)
                target = self.targets(state)[at]
                if target != number.expected:
                    flight = Flight(number.expected, target)
                    yield f"send {at} {flight}", _with(state, at, number._replace(flight=flight))
            elif number.flight.found is None:
                yield f"handled {at}", self._handled(state, at)
            else:
                yield f"answered {at}", self._answered(state, at)
        for at in (*range(len(state.numbers)), None):
            if self.closes and at != state.closed:
                yield f"closed {at}", state._replace(closed=at)
        for place, order in enumerate(state.orders):
            if order.stage == 1:
                yield f"cancelled {place}", _cancelled(state, place)
            if order.known != order.stage:
                yield f"heard {place}", _heard(state, place)

    def _sold(self, state: State, at: int, *, told: bool) -> State:
        number = state.numbers[at]
        after = _with(state, at, number._replace(shows=number.shows - 1))
        after = after._replace(orders=(*state.orders, Order(at, told)))
        demand = dict.fromkeys(self.on_hand, 0)
        for order in after.orders:
            sku, pack = self.listings[order.at]
            demand[sku] += pack * (order.stage == 1)
        if netting.net(self.bills, self.on_hand, demand, self.on_hand).blocked:
            raise Oversold(str(after))
        return after

    def _read(self, state: State, at: int) -> State:
        seen = tuple(order.stage for order in state.orders)
        return _looked(state, at, state.numbers[at].shows, seen)

    def _handled(self, state: State, at: int) -> State:
        number = state.numbers[at]
        flight = number.flight
        assert flight is not None
        passed = number.shows == flight.expected
        found = flight._replace(
            found=number.shows, seen=tuple(order.stage for order in state.orders)
        )
        shows = flight.target if passed else number.shows
        return _with(state, at, number._replace(shows=shows, flight=found))

    def _answered(self, state: State, at: int) -> State:
        number = state.numbers[at]
        flight = number.flight
        assert flight is not None
        assert flight.found is not None
        settled = number._replace(flight=None)
        if flight.found == flight.expected:
            moved = number.expected + flight.target - flight.expected
            return _with(state, at, settled._replace(expected=moved))
        low, high = sorted((flight.expected, number.expected))
        if low != high and low <= flight.found <= high:
            return _with(state, at, settled)
        # What facts have moved since it was sent blurs it: only what lies outside says anything.
        off = flight.found - (low if flight.found < low else high)
        after = _with(state, at, settled)
        return _looked(after, at, number.expected + off, flight.seen, alone=False)

    # -- what is written -----------------------------------------------------------------------

    def targets(self, state: State) -> tuple[int, ...]:
        """Return what each listing is to show."""
        believed = tuple(number._replace(shows=0, looked=None) for number in state.numbers)
        known = tuple(self._demand(state).items())
        key = (believed, known, state.closed)
        if key not in self._written:
            self._written[key] = self._computed(state)
        return self._written[key]

    def _computed(self, state: State) -> tuple[int, ...]:
        shares = [
            replace(self._share(at, number), cap=0 if at == state.closed else POLICY.cap)
            for at, number in enumerate(state.numbers)
        ]
        groups = [shares]
        if not self.jointly:
            groups = [
                [share for share in shares if share.shelf == sku]
                for sku in sorted({share.shelf for share in shares})
            ]
        wanted: dict[FieldKey, int] = {}
        for group in groups:
            held = self._held(state) if self.holds_count else {}
            aims = split.aims(group, lambda more, held=held: self._net(state, held, more))
            net = self._net(state, {}, split.allotted(group))
            for share in group:
                far = split.reach(share, net) if self.waits else share.cap
                wanted[share.key] = split.wanted(share, aims[share.key], far)
        return tuple(wanted[share.key] for share in shares)

    def _net(
        self, state: State, held: Mapping[str, int], more: Mapping[str, int]
    ) -> netting.Netting:
        demand = self._demand(state)
        for each in (held, more):
            for sku, units in each.items():
                demand[sku] += units
        return netting.net(self.bills, self.on_hand, demand, self.on_hand)

    def _demand(self, state: State) -> dict[str, int]:
        """Return the demand that is known."""
        demand = dict.fromkeys(self.on_hand, 0)
        for order in state.orders:
            sku, pack = self.listings[order.at]
            demand[sku] += pack * (order.known == 1)
        return demand

    def _held(self, state: State) -> dict[str, int]:
        held = dict.fromkeys(self.on_hand, 0)
        for (sku, pack), number in zip(self.listings, state.numbers, strict=True):
            held[sku] += number.hold * pack
        return held

    def _share(self, at: int, number: Number) -> Share:
        sku, pack = self.listings[at]
        key = FieldKey("shop", str(at))
        row = Field(
            key,
            sku,
            pack,
            expected=number.expected,
            hold=number.hold,
            surplus=number.surplus,
            unsure=number.unsure,
        )
        flight = number.flight
        if flight is None:
            return self.rule(row, None)
        return self.rule(row, Push("", 0, key, flight.expected, flight.target, 0, START))


def _with(state: State, at: int, number: Number) -> State:
    return state._replace(numbers=(*state.numbers[:at], number, *state.numbers[at + 1 :]))


def _looked(
    state: State, at: int, quantity: int, seen: tuple[int, ...], *, alone: bool = True
) -> State:
    """R2: take a reading that shows orders in these stages. `alone`: nothing was heard of the
    number since it was asked for.
    """
    number = state.numbers[at]
    off = quantity - number.expected
    polled = number.looked is not None and all(
        order.known >= stage
        for order, stage in zip(state.orders, number.looked, strict=False)
        if order.at == at
    )
    unsure = 0 if polled and alone else number.unsure
    after = number._replace(
        expected=quantity,
        hold=number.hold + max(0, -off),
        surplus=number.surplus + max(0, off),
        unsure=unsure,
        looked=(number.looked or seen if alone else number.looked) if unsure else None,
    )
    orders = tuple(
        order
        if order.at != at or place >= len(seen)
        else order._replace(sold_in=True, back_in=order.back_in or seen[place] == 2)
        for place, order in enumerate(state.orders)
    )
    if off > 0 and not number.surplus:
        after = after._replace(surplus_of=_back(orders, at))
    return _with(state, at, after)._replace(orders=orders)


def _back(orders: tuple[Order, ...], at: int) -> tuple[int, ...]:
    return tuple(place for place, each in enumerate(orders) if each.at == at and each.back_in)


def _cancelled(state: State, place: int) -> State:
    """A shopper cancels, and the shop puts the unit back."""
    order = state.orders[place]
    number = state.numbers[order.at]
    after = _with(state, order.at, number._replace(shows=number.shows + 1))
    return _ordered(after, place, order._replace(stage=2))


def _ordered(state: State, place: int, order: Order) -> State:
    return state._replace(orders=(*state.orders[:place], order, *state.orders[place + 1 :]))


def _heard(state: State, place: int) -> State:
    """R1, R3: an order is heard of as it stands now."""
    order = state.orders[place]
    number = state.numbers[order.at]._replace(looked=None)
    if order.known == 0 and (order.stage == 1 or not order.told):
        if not order.sold_in:
            number = number._replace(expected=number.expected - 1)
        elif number.hold:
            number = number._replace(hold=number.hold - 1)
        else:
            of = number.surplus_of if number.surplus else _back(state.orders, order.at)
            number = number._replace(surplus=number.surplus + 1, surplus_of=of)
    if order.stage == 2 and not order.told:
        if number.hold:
            number = number._replace(expected=number.expected + 1)
        else:
            number = number._replace(unsure=number.unsure + 1)
    elif order.stage == 2 and order.known == 1:
        if place in number.surplus_of and number.surplus and not number.hold:
            of = number.surplus_of if number.surplus > 1 else ()
            number = number._replace(surplus=number.surplus - 1, surplus_of=of)
        else:
            number = number._replace(expected=number.expected + 1)
    return _ordered(_with(state, order.at, number), place, order._replace(known=order.stage))


# -- looking -------------------------------------------------------------------------------------


def every_state(model: Model, most: int) -> int:
    """Visit every state that can come up, up to `most`; return how many. Raises `Oversold`."""
    begin = model.begin()
    found, waiting = {begin}, [begin]
    while waiting and len(found) < most:
        for _, after in model.following(waiting.pop()):
            if after not in found:
                found.add(after)
                waiting.append(after)
    return len(found)


def walk(model: Model, dice: random.Random, steps: int) -> int:
    """Go on from state to state by dice; return how many were sold. Raises `Oversold`."""
    state = model.begin()
    for _ in range(steps):
        following = list(model.following(state))
        if not following:
            break
        _, state = dice.choice(following)
    return len(state.orders)


def shared(
    skus: tuple[str, ...], wax: int, packs: tuple[tuple[str, int], ...]
) -> tuple[tuple[tuple[str, int], ...], dict[str, int], Bills]:
    """Return listings, stock and bills of items that are made of one wax each."""
    bills = Bills.build(
        [BillOfMaterials(sku, 1, (BillLine("wax", 1),)) for sku in skus], {*skus, "wax"}
    )
    return packs, {**dict.fromkeys(skus, 0), "wax": wax}, bills
