"""Whether a change of an item's ATP changes any of its listings, of the many where that is plain.

Theory of operation. A sale that takes a popular material changes the ATP of thousands of items, and
hardly any of their offers. To find what a listing shows its item, the listings on its field, its
channel and whoever it shares with are looked up. But most items share nothing out while there is
plenty: what each listing shows depends on the ATP alone, and for listings that are alike in the
same way. So of each shelf it is kept how its listings turn an ATP into numbers (`Plainly`), and an
item whose numbers stay is left out without a look at its listings. Wherever more comes into it
there is none, and they are looked at. It is found when a sale first reaches an item.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from stockpush.model import Exposure, Shelf, sku_of
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.exposure import offer
from stockpush.reservation.limits import limits_of

KEPT_MAX: Final = 100_000
"""Of how many shelves it is kept: a hundred bytes each, since most have the same few values."""


class _Offering(NamedTuple):
    """How a listing turns an ATP into its offer (`exposure.offer`)."""

    buffer: int
    pack: int
    cap: int


class Plainly(NamedTuple):
    """How the listings of a shelf show an ATP while nothing is shared out: each different way once.

    `guard_min` is from which ATP (smallest units) downwards it is shared out, None where it never
    is.
    """

    offerings: frozenset[_Offering]
    guard_min: int | None

    def tells(self, shelf: Shelf, was: int, now: int) -> bool:
        """Answer whether at both of these ATPs nothing is shared out, nor begins to be."""
        if shelf.guarded:
            return False
        return self.guard_min is None or min(was, now) > max(self.guard_min, shelf.guard_level)

    def differing(self, was: int, now: int) -> int:
        """Return in how many ways what is shown differs between two ATPs."""
        return sum(
            offer(was, buffer=buffer, pack=pack, cap=cap)
            != offer(now, buffer=buffer, pack=pack, cap=cap)
            for buffer, pack, cap in self.offerings
        )


def of(catalogue: Catalogue, shelf: str) -> Plainly | None:
    """Return how a shelf is shown, None where that depends on more than its ATP."""
    kept = catalogue.plain
    if shelf not in kept:
        if len(kept) >= KEPT_MAX:
            kept.clear()
        kept[shelf] = _found(catalogue, shelf)
    return kept[shelf]


def is_known(catalogue: Catalogue, shelf: str) -> bool:
    """Answer whether a shelf has been found to be plain before."""
    return catalogue.plain.get(shelf) is not None


def _found(catalogue: Catalogue, shelf: str) -> Plainly | None:
    item = catalogue.items[sku_of(shelf)]
    if item.exposure_max is not None or catalogue.is_split(shelf):
        return None
    if item.sku in catalogue.listed_horizons:
        return None  # there are several ATPs
    offerings = set()
    for key in catalogue.fields_of.get(shelf, ()):
        listings, policy = catalogue.listings_on[key], catalogue.policies.get(key.channel)
        if any(listing.sku != item.sku for listing in listings):
            return None  # it shows what the first of them says
        if policy is not None:
            limits = limits_of(catalogue, listings, item.sku, policy)
            offerings.add(_Offering(limits.buffer, listings[0].pack, limits.most))
    is_guarded = catalogue.exposure(item.sku) is Exposure.GUARD
    return _one(frozenset(offerings), catalogue.guard_min(item.sku) if is_guarded else None)


_one = lru_cache(maxsize=1024)(Plainly)
"""Makes one value of equal ones: most shelves are shown in the same few ways."""
