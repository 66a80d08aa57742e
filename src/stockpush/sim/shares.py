"""How what is left of an item is shared out, by its definition, pack by pack.

Nothing of this is the daemon's code: it is what docs/stock-model.md says, said once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple


class Taker(NamedTuple):
    """A field that takes a share: in packs of `pack` units, no more than `most` of them; `buffer`
    units are never shown on it.
    """

    field: tuple[str, str]
    pack: int
    weight: int
    most: int
    buffer: int


def shares(left: int, takers: Sequence[Taker], home: str | None) -> dict[tuple[str, str], int]:
    """Return how many packs of `left` units each field shows."""
    least = min(each.buffer for each in takers)
    parts = _parts(Fraction(max(0, left - least)), takers)
    packs = {each.field: 0 for each in takers}

    def can_take(taker: Taker) -> bool:
        if packs[taker.field] == taker.most:
            return False
        for buffer in {0, *(each.buffer for each in takers)}:
            if buffer > taker.buffer:
                continue
            shown = sum(packs[each.field] * each.pack for each in takers if each.buffer >= buffer)
            if shown + taker.pack > left - buffer:
                return False
        return True

    at_home = [each for each in takers if each.field[0] == home and can_take(each)]
    if at_home:
        smallest = min(at_home, key=lambda each: (each.pack, each.field))
        packs[smallest.field] += 1
    while able := [each for each in takers if can_take(each)]:
        missing = {each: parts[each.field] - packs[each.field] * each.pack for each in able}
        # Whose part has room for a pack comes first.
        roomy = [each for each in able if missing[each] >= each.pack] or able
        furthest = max(missing[each] for each in roomy)
        equal = sorted(each for each in roomy if missing[each] == furthest)
        homely = [each for each in equal if each.field[0] == home]
        packs[(homely or equal)[0].field] += 1
    return packs


def _parts(left: Fraction, takers: Sequence[Taker]) -> dict[tuple[str, str], Fraction]:
    """Return each field's part by weight; what one cannot show is the others'."""
    parts: dict[tuple[str, str], Fraction] = {}
    open_ones = list(takers)
    while open_ones:
        one = left / sum(each.weight for each in open_ones)
        full = [each for each in open_ones if each.most * each.pack <= one * each.weight]
        for each in full:
            parts[each.field] = Fraction(each.most * each.pack)
        if not full:
            parts.update({each.field: one * each.weight for each in open_ones})
            return parts
        left -= sum(each.most * each.pack for each in full)
        open_ones = [each for each in open_ones if each not in full]
    return parts
