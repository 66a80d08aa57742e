"""How the listings of an item share what is left of it, and when they begin to.

Theory of operation. With the policy `mirror` each listing shows the whole ATP. With `guard` it does
so while there is plenty. At the item's *guard level* or below, what is left is shared out: the item
is *guarded*. It stays so until there are more than the level and a quarter of it, so that a cancel
of one unit does not change every listing back. Where that stands is on the item's shelf; `mark`
brings it up to date whenever the ATP may have changed.

Shared out are whole packs, so that nothing is kept for a listing that cannot show it. Each listing
has a *part*, by its weight, and none beyond what it would show alone: after buffer and cap, the
rest is the others'. The home channel gets one pack first, for the last one is its own. Then each
pack goes to the listing that is furthest below its part, and that the pack still fits: first to
those whose part has a whole pack left, then to whoever can take it. So five candles and a listing
in dozens are five candles for the others, and nothing is locked away.

A buffer is never told to its channel: of `n` units, listings with a buffer of `b` or more show `n -
b` together. What an item's listings show together is also bounded by its `exposure_max`: so much
may be sold beyond what there is, if all of them sold out at once. What listings of other items show
of the same material is not looked at: that would have every sale of a large group read all of it.
The figure that is printed counts it (`sold_out`).

Listings share that are written to: live, adopted and not parked. Any other shows what it would if
it joined them.

Listings of one item may have different horizons (`horizons`), and each shows no more than what is
there by its own. The item is guarded by the least that is there by any; those share of which there
is as little, and another shows the whole, unless the item has a limit to keep. Shared out is what
is there by the longest horizon of these, and what of it comes too late for a listing is as a buffer
to it: listings with shorter horizons show together what is there by theirs.

They share within a pool: what lies there is shown on the channels that it feeds, and on no others.
So each shelf of an item has its own guard level and its own listings; `shelf` is its key. The least
level and `exposure_max` hold of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from math import lcm
from typing import NamedTuple

from stockpush.messages import Decision, Event, NoteGuardLevels
from stockpush.model import ChannelPolicy, Exposure, FieldKey, Shelf, sku_of
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons, parting, plainly
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.exposure import offer
from stockpush.reservation.horizons import NOTHING_SAID, Promised
from stockpush.reservation.ledger import where
from stockpush.reservation.limits import limits_of
from stockpush.reservation.view import View
from stockpush.values import replace


class Sharer(NamedTuple):
    """One that shares: `pack` smallest units of the item each, at the `most` so many packs.

    `buffer` units of what there is are never shown on it, of which `late` are not there by its
    horizon.
    """

    field: FieldKey
    pack: int
    weight: int
    most: int
    buffer: int = 0
    late: int = 0


class Shown(NamedTuple):
    """What a listing shows: its `offer`, in listing units, and why it is less than the whole.

    `alone` is what it would show alone, and `uncapped` that without a cap of its own. `because` is
    "guard", "exposure_max", "split", or "" where nothing is shared out.
    """

    offer: int
    alone: int
    uncapped: int
    because: str = ""

    @property
    def left(self) -> int:
        """Return how many could still be sold on it: more than its offer where its cap is less.

        >>> Shown(offer=3, alone=3, uncapped=40).left, Shown(offer=2, alone=3, uncapped=40).left
        (40, 2)
        """
        return self.uncapped if self.offer == self.alone else self.offer


def shown(
    view: View,
    key: FieldKey,
    *,
    atp: int,
    policy: ChannelPolicy,
    by: Promised = NOTHING_SAID,
) -> Shown:
    """Return what a mapped field should sell from now on at this ATP of its item, and those `by`
    the horizons of its listings.
    """
    catalogue, listings = view.catalogue, view.catalogue.listings_on[key]
    sku, pack = listings[0].sku, listings[0].pack
    shelf = catalogue.shelf_on(key.channel, sku)
    limits = limits_of(catalogue, listings, sku, policy)
    there = horizons.atp_on(catalogue, key, atp=atp, by=by) if by else atp
    uncapped = offer(there, buffer=limits.buffer, pack=pack, cap=policy.cap)
    alone = min(limits.most, uncapped)
    if not _may_be_guarded(view, shelf) and plainly.is_known(catalogue, shelf):
        return Shown(alone, alone, uncapped)
    if catalogue.is_split(shelf):
        packs = parting.offered(view, key, shelf=shelf, pack=pack, limits=limits)
        # A unit in suspense may be part of what is allotted, and counts once there and twice here.
        return Shown(min(packs, alone), alone, uncapped, "split")
    guarded = is_guarded(view, shelf)
    limit = catalogue.items[sku].exposure_max
    few = _few(level_of(view, shelf)) if guarded and by and limit is None else None
    guarded = guarded and (few is None or there <= few)
    if not guarded and limit is None:
        return Shown(alone, alone, uncapped)
    home = catalogue.home_channel(shelf)
    sharers = sharers_of(catalogue, shelf, atp, joined_by=key, by=by, few=few if guarded else None)
    units = max(0, atp)
    if by:
        (late,) = (each.late for each in sharers if each.field == key)
        units = max(0, there) + late
    if guarded:
        return Shown(_shared(units, sharers, home)[key], alone, uncapped, "guard")
    assert limit is not None
    if _are_there(units + limit, sharers):
        return Shown(alone, alone, uncapped)
    free = tuple(each._replace(buffer=each.late) for each in sharers)
    return Shown(_shared(units + limit, free, home)[key], alone, uncapped, "exposure_max")


def _are_there(units: int, sharers: Sequence[Sharer]) -> bool:
    """Answer whether there are as many units as all show together, and those by each horizon."""
    return all(
        sum(each.pack * each.most for each in sharers if each.late >= late) <= units - late
        for late in {each.late for each in sharers}
    )


def sharers_of(
    catalogue: Catalogue,
    shelf: str,
    atp: int,
    *,
    joined_by: FieldKey | None = None,
    by: Promised = NOTHING_SAID,
    few: int | None = None,
) -> tuple[Sharer, ...]:
    """Return the fields that share what a shelf has, by key, with one that may not do so yet; with
    `few` only those of which no more is there by their horizons.
    """
    sku, found, there = sku_of(shelf), list[Sharer](), list[int]()
    for key in catalogue.fields_of.get(shelf, ()):
        listings, policy = catalogue.listings_on[key], catalogue.policies.get(key.channel)
        if policy is None or listings[0].sku != sku:
            continue
        units = horizons.atp_on(catalogue, key, atp=atp, by=by) if by else atp
        if (key == joined_by or catalogue.is_written(key)) and (few is None or units <= few):
            there.append(max(0, units))
            pack, limits = listings[0].pack, limits_of(catalogue, listings, sku, policy)
            found.append(
                Sharer(
                    key,
                    pack,
                    max(each.weight for each in listings),
                    offer(units, buffer=limits.buffer, pack=pack, cap=limits.most),
                    limits.buffer,
                )
            )
    if not by:
        return tuple(found)
    most = max(there, default=0)
    late = (most - units for units in there)
    return tuple(
        each._replace(buffer=each.buffer + units, late=units)
        for each, units in zip(found, late, strict=True)
    )


# -- when ------------------------------------------------------------------------------------


def is_guarded(view: View, shelf: str) -> bool:
    """Answer whether the item's listings share what is left of it in the pool."""
    return _may_be_guarded(view, shelf) and (
        view.catalogue.exposure(sku_of(shelf)) is Exposure.GUARD
    )


def _may_be_guarded(view: View, shelf: str) -> bool:
    row = view.rows.shelves.get(shelf)
    return row is not None and row.guarded


def level_of(view: View, shelf: str) -> int:
    """Return a guard level, in the item's smallest units: as measured, and not below the least.

    0 where its listings never share.
    """
    sku = sku_of(shelf)
    if view.catalogue.exposure(sku) is not Exposure.GUARD:
        return 0
    row = view.rows.shelves.get(shelf)
    return max(view.catalogue.guard_min(sku), 0 if row is None else row.guard_level)


def is_held(*, guarded: bool, level: int, atp: int) -> bool:
    """Answer whether an item with this level and ATP is guarded from now on.

    >>> [is_held(guarded=False, level=4, atp=atp) for atp in (5, 4)]
    [False, True]
    >>> [is_held(guarded=True, level=4, atp=atp) for atp in (5, 6)]
    [True, False]
    """
    if level == 0 or atp > _few(level):
        return False
    return guarded or atp <= level


def _few(level: int) -> int:
    """Return up to how much an item with this level stays guarded."""
    return level + max(1, -(-level // 4))


def turned(view: View, atps: Mapping[str, int]) -> tuple[Shelf, ...]:
    """Return the shelves that begin or cease to be guarded at these ATPs, of each the least by
    which it is offered.
    """
    changed = []
    for key in sorted(atps):
        shelf = view.shelf(key)
        level = level_of(view, key)
        if not level and not shelf.guarded:
            continue
        guarded = is_held(guarded=shelf.guarded, level=level, atp=atps[key])
        if guarded != shelf.guarded:
            changed.append(replace(shelf, guarded=guarded))
    return tuple(changed)


def as_turned(view: View, shelves: Iterable[str]) -> View:
    """Return the view in which these are guarded as they will be once it is committed."""
    listed = sorted(shelf for shelf in shelves if shelf in view.catalogue.fields_of)
    net = view.net(listed)
    atps = {
        shelf: horizons.least(
            view.catalogue, shelf, netting.atp(net, shelf), horizons.promised(view, net, shelf)
        )
        for shelf in listed
    }
    changed = turned(view, atps)
    return view.after(Decision(shelves=changed)) if changed else view


def told(shelves: Iterable[Shelf], atps: Mapping[str, int]) -> tuple[Event, ...]:
    """Return an event for each that has turned."""
    return tuple(
        Event(
            "guard.entered" if shelf.guarded else "guard.left",
            where(shelf.key) | {"atp": atps[shelf.key]},
        )
        for shelf in shelves
    )


def note_levels(view: View, command: NoteGuardLevels) -> Decision:
    """Keep the guard levels as they are measured now; those of unknown shelves are left out."""
    shelves = tuple(
        replace(view.shelf(key), guard_level=level)
        for key, level in command.levels
        if view.catalogue.knows(key) and view.shelf(key).guard_level != level
    )
    return Decision(shelves=shelves, touched_skus=frozenset(shelf.key for shelf in shelves))


# -- how much each ---------------------------------------------------------------------------


def share(units: int, sharers: Sequence[Sharer], home: str | None) -> dict[FieldKey, int]:
    """Return how many packs each shows of `units` (>= 0) that are shared out.

    >>> shop, etsy = FieldKey("shop", "a"), FieldKey("etsy", "b")
    >>> share(1, [Sharer(etsy, 1, 1, 1), Sharer(shop, 1, 1, 1)], "shop")
    {FieldKey(channel='etsy', key='b'): 0, FieldKey(channel='shop', key='a'): 1}
    >>> share(15, [Sharer(etsy, 12, 1, 1), Sharer(shop, 1, 1, 15)], None).values()
    dict_values([0, 15])
    """
    lowest = min((each.buffer for each in sharers), default=0)
    parts, one = _parts(max(0, units - lowest), sharers)
    packs = dict.fromkeys((each.field for each in sharers), 0)
    buffers = sorted({0, *(each.buffer for each in sharers)})

    def is_there(shown: Mapping[FieldKey, int], buffers: Iterable[int]) -> bool:
        """Answer whether there is as much as is shown where these buffers, or more, are kept."""
        return all(
            sum(shown[each.field] * each.pack for each in sharers if each.buffer >= buffer)
            <= max(0, units - buffer)
            for buffer in buffers
        )

    def fits(each: Sharer) -> bool:
        more = packs | {each.field: packs[each.field] + 1}
        kept = (buffer for buffer in buffers if buffer <= each.buffer)
        return more[each.field] <= each.most and is_there(more, kept)

    def lies_below(each: Sharer) -> int:
        return parts[each.field] - packs[each.field] * each.pack * one

    def comes_first(each: Sharer) -> tuple[bool, int, bool]:
        below = lies_below(each)
        return below >= each.pack * one, below, each.field.channel == home

    at_home = [each for each in sharers if each.field.channel == home and fits(each)]
    if at_home:
        packs[min(at_home, key=lambda each: (each.pack, each.field)).field] = 1
    packs = _many_at_once(sharers, packs, lies_below, one, partial(is_there, buffers=buffers))
    while open_ones := [each for each in sharers if fits(each)]:
        # Of equals the first by key, as `sharers` are.
        packs[max(open_ones, key=comes_first).field] += 1
    return packs


def _many_at_once(
    sharers: Sequence[Sharer],
    packs: dict[FieldKey, int],
    lies_below: Callable[[Sharer], int],
    one: int,
    is_there: Callable[[Mapping[FieldKey, int]], bool],
) -> dict[FieldKey, int]:
    """Return as many packs as can be given before it matters who comes next.

    Of packs that a part still has, all that lie further below it than some level come before all
    that do not: they can be given in any order, if there is as much. Such a level is looked for.
    """
    furthest = max((lies_below(each) for each in sharers), default=0)
    level = 0
    while level <= furthest:
        given = dict(packs)
        for each in sharers:
            below, pack = lies_below(each), each.pack * one
            if below >= max(level, pack):
                given[each.field] += (below - max(level, pack)) // pack + 1
        if is_there(given):
            return given
        level = max(one, level * 2)
    return packs


_shared = lru_cache(maxsize=4096)(share)


def _parts(units: int, sharers: Sequence[Sharer]) -> tuple[dict[FieldKey, int], int]:
    """Return the part of each by its weight, none more than it can show: the others have the rest.

    They come to `units`, or to all that can be shown, and count in parts of a smallest unit, of
    which the second value makes one.
    """
    parts: dict[FieldKey, Fraction] = {}
    left, open_ones = Fraction(units), list(sharers)
    while open_ones:
        weight = sum(each.weight for each in open_ones)
        full = [each for each in open_ones if left * each.weight >= each.most * each.pack * weight]
        if not full:
            parts |= {each.field: left * each.weight / weight for each in open_ones}
            break
        for each in full:
            parts[each.field] = Fraction(each.most * each.pack)
            left -= each.most * each.pack
            open_ones.remove(each)
    one = lcm(*(part.denominator for part in parts.values()))
    return {field: int(part * one) for field, part in parts.items()}, one
