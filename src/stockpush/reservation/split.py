"""The exposure `split`: what each listing may sell is set aside for it alone.

Theory of operation. With `mirror` every listing shows all there is, and two buyers in two places
can buy the last unit at once. With `split` the units are parted: jointly over all items that share
a material, for a split per item would hand the same wax out twice. A listing's *allotment* is what
it may still sell whatever is under way:

    A = (E + hold + unsure + rise - undeducted) x pack

E is what we believe its number is, `hold` what it seems to have sold untold (the number may come
back to that), `unsure` what it may have put back, or sold under a write of ours that compares
nothing, until a reading has told, and `rise` what a write under way may add. Everything that may
be sold anywhere is then

    demand that we know (reserved and held) + every allotment

and as long as that is covered no checkout can exceed what exists, however late we hear of it. A
unit in a hold is counted once: it may have been sold, or still stand on the number, never both.

Two rules keep it so. An allotment *falls* only by what has happened: a lowering that was confirmed
(a lowering under way may fail, and its units are still on sale), an order, whose units become
demand in the same transaction, or a hold that was let go. And a number is *raised* only as far as
everything is covered with the raise counted (`reach`); the rest waits for a lowering to be
confirmed, and comes then.

What is aimed at (`aims`) starts from what every listing shows, as far as that is covered, so that
nothing is lowered only to make the parts even. What is left goes one pack at a time to the listing
that has least for its weight; of equals, to the item's home channel first, then by channel and
reference. A listing takes its next pack only if its buffer is left after it.

A channel that compares nothing may sell under our write, and sell the number again that we wrote:
a write there costs what it had and what it gets, until the readings after it have told. So such a
listing is mostly raised when it has sold out, for then it had nothing.

Source: docs/stock-model.md, "Split".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from stockpush.model import ChannelPolicy, Field, FieldKey, Push
from stockpush.reservation import atp as netting
from stockpush.reservation.atp import Netting
from stockpush.values import quick

Nets = Callable[[Mapping[str, int]], Netting]
"""Nets everything with so many more units of demand of some shelves (smallest units, signed)."""


@quick
@dataclass(frozen=True, slots=True)
class Share:
    """A listing among those that part what there is; all but `buffer` in its own units, >= 0.

    `shelf` is the key of the one that it sells from (`model.shelf_key`).
    `shows` is what it sells from, with what has been sent to it, and without what it has too many;
    `at_most` the same, were a lowering under way to fail; `allotted` what it may sell whatever is
    under way. `buffer` (smallest units) is to be left when it is raised, to `cap` at the most.
    `is_home`: it is on its item's home channel. `compares`: its channel refuses a write where the
    number is another one. `is_fixed`: its number is not ours to change now.
    """

    key: FieldKey
    shelf: str
    pack: int
    shows: int
    at_most: int
    allotted: int
    weight: int = 1
    is_home: bool = False
    buffer: int = 0
    cap: int = 10**9
    compares: bool = True
    is_fixed: bool = False


def aims(shares: Sequence[Share], nets: Nets) -> dict[FieldKey, int]:
    """Return what each listing should sell from now on, its own units; of a fixed one what it does.

    `nets` counts all demand, what is in suspense too.
    """
    splitting = _Splitting(shares, nets)
    shown = {share.key: min(share.shows, share.cap) for share in shares}
    none = dict.fromkeys(shown, 0)
    if not splitting.fits(shown, splitting.free, above=none):
        shown = splitting.fill(none, shown)
    return splitting.fill(shown, {share.key: share.cap for share in shares})


def share_of(
    field: Field,
    shelf: str,
    flying: Push | None,
    *,
    stands: int,
    policy: ChannelPolicy,
    weight: int = 1,
    is_home: bool = False,
    buffer: int = 0,
    cap: int | None = None,
    is_fixed: bool = False,
) -> Share:
    """Return the share of a field that sells from `shelf`, with the write that is under way there
    (None: none is).

    `stands` (>= 0) are sold units that stand on its number and are not on sale; buffer and cap as
    in `Share`, None: what the channel holds. A number that was never read counts as none.
    """
    expected = field.expected or 0
    change = 0 if flying is None else flying.target - flying.expected
    if flying is None:
        rise = 0
    else:
        rise = max(0, change) if policy.compare_and_set else max(0, flying.target)
    if policy.committed_apart:
        # What is in suspense stands beside our own open units on the number (R11).
        hold, sold, too_many = 0, stands, 0
    else:
        hold, sold = field.hold, field.undeducted if policy.holds_unpaid else 0
        too_many = field.surplus
    shows = max(0, expected + change - stands - too_many)
    return Share(
        key=field.key,
        shelf=shelf,
        pack=field.pack,
        shows=shows,
        at_most=max(shows, expected - stands),
        allotted=max(0, expected + hold + field.unsure + rise - sold),
        weight=weight,
        is_home=is_home,
        buffer=buffer,
        cap=policy.cap if cap is None else cap,
        compares=policy.compare_and_set,
        is_fixed=is_fixed,
    )


def reach(share: Share, net: Netting) -> int:
    """Return how far a listing may be raised now, its own units; at least `at_most`.

    `net` nets the demand that we know with every allotment, this listing's too.
    """
    room = max(0, netting.atp(net, share.shelf) - share.buffer) // share.pack
    # Without a compare what it shows may be sold besides what it is set to.
    return share.at_most + room if share.compares else max(share.at_most, room)


def wanted(share: Share, aim: int, far: int) -> int:
    """Return what a listing is to sell now that aims at `aim` and may be raised as `far`."""
    return aim if aim <= share.shows else max(share.shows, min(aim, far))


def allotted(shares: Iterable[Share]) -> dict[str, int]:
    """Return what listings may sell whatever is under way, by shelf, smallest units."""
    return _units((share, share.allotted) for share in shares)


def _units(counts: Iterable[tuple[Share, int]]) -> dict[str, int]:
    """Return packs of listings as smallest units of shelves."""
    units: dict[str, int] = {}
    for share, packs in counts:
        units[share.shelf] = units.get(share.shelf, 0) + packs * share.pack
    return units


class _Splitting:
    """Shares that are being filled, over nets that are remembered."""

    def __init__(self, shares: Sequence[Share], nets: Nets) -> None:
        self.shares = shares
        self.free = [share for share in shares if not share.is_fixed]
        self._nets = nets
        self._known: dict[tuple[int, ...], Netting] = {}
        whole = lcm(*(share.weight for share in shares)) if shares else 1
        # How much one pack more is for a listing's weight, in whole numbers.
        self._step = {share.key: share.pack * (whole // share.weight) for share in shares}
        self._fixed = {share.key: share.shows for share in shares if share.is_fixed}
        self._before = self._net({share.key: 0 for share in shares})

    def _net(self, counts: Mapping[FieldKey, int]) -> Netting:
        """Net what is demanded with `counts` packs of each listing that is not fixed."""
        packs = tuple(self._fixed.get(share.key, counts[share.key]) for share in self.shares)
        if packs not in self._known:
            self._known[packs] = self._nets(_units(zip(self.shares, packs, strict=True)))
        return self._known[packs]

    def fits(
        self,
        counts: Mapping[FieldKey, int],
        looked_at: Collection[Share],
        *,
        above: Mapping[FieldKey, int],
    ) -> bool:
        """Answer whether everything is covered with `counts`, as far as `looked_at` have any.

        As with `netting.atp`, a promise rule bounds what nets rise to, and not demand there is; and
        what they have `above` the counts that fit already is there by the horizons.
        """
        net, asked = self._net(counts), self._before.times.asked
        raised = [share for share in looked_at if counts[share.key]]
        more = ((share, counts[share.key] - above[share.key]) for share in looked_at)
        units = _units((share, packs) for share, packs in more if packs)
        return (
            not any(share.shelf in net.blocked for share in raised)
            and not any(netting.lacks_supplies(net, share.shelf) for share in raised)
            and all(
                net.net[sku] <= max(ceiling, self._before.net[sku])
                for sku, ceiling in net.ceilings.items()
                if sku in net.net
            )
            and (asked.isdisjoint(units) or netting.covers(self._net(above), units))
            and all(
                netting.atp(net, share.shelf) >= share.buffer for share in raised if share.buffer
            )
        )

    def fill(
        self, low: Mapping[FieldKey, int], high: Mapping[FieldKey, int]
    ) -> dict[FieldKey, int]:
        """Return `low` with packs added one at a time, up to `high`, as far as all is covered.

        The next one goes to whoever has least for its weight. Many are added at once: up to a
        level below which all fits, and only at that level one by one. Who cannot take one more
        then cannot later.
        """
        counts = {**low, **self._fixed}
        growing = self.free
        while growing := self._can_grow(growing, counts, high):
            level = min(self._level(share, counts) for share in growing)
            level = self._highest(level, growing, counts, high)
            counts = self._filled(level, growing, counts, high)
            there = [share for share in growing if self._level(share, counts) == level]
            for share in sorted(there, key=lambda each: (not each.is_home, each.key)):
                if counts[share.key] < high[share.key] and self._takes(share, counts):
                    counts[share.key] += 1
        return counts

    def _can_grow(
        self, shares: Sequence[Share], counts: Mapping[FieldKey, int], high: Mapping[FieldKey, int]
    ) -> list[Share]:
        """Return the listings that can take one more."""
        return [
            share
            for share in shares
            if counts[share.key] < high[share.key] and self._takes(share, counts)
        ]

    def _takes(self, share: Share, counts: Mapping[FieldKey, int]) -> bool:
        return netting.atp(self._net(counts), share.shelf) >= share.pack + share.buffer

    def _level(self, share: Share, counts: Mapping[FieldKey, int]) -> int:
        """Return how much a listing has for its weight."""
        return counts[share.key] * self._step[share.key]

    def _filled(
        self,
        level: int,
        growing: Sequence[Share],
        counts: Mapping[FieldKey, int],
        high: Mapping[FieldKey, int],
    ) -> dict[FieldKey, int]:
        """Return `counts` once every growing listing below `level` has reached it."""
        filled = dict(counts)
        for share in growing:
            wanted = -(-level // self._step[share.key])
            filled[share.key] = max(counts[share.key], min(high[share.key], wanted))
        return filled

    def _highest(
        self,
        level: int,
        growing: Sequence[Share],
        counts: Mapping[FieldKey, int],
        high: Mapping[FieldKey, int],
    ) -> int:
        """Return the highest level to which all can be filled; they can to `level`."""
        top = max(high[share.key] * self._step[share.key] for share in growing)

        def can(level: int) -> bool:
            return self.fits(self._filled(level, growing, counts, high), growing, above=counts)

        low, wide = level, 1
        while low < top and can(over := min(low + wide, top)):
            low, wide = over, wide * 2
        if low == top:
            return top
        while over - low > 1:  # `low` fits, `over` does not
            middle = (low + over) // 2
            if can(middle):
                low = middle
            else:
                over = middle
        return low
