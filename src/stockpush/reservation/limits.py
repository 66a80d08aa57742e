"""What a listing never shows: the last units of its item, and more than its cap.

Theory of operation. A *buffer* are units of the item that a listing is never told of, and a *cap*
is the most that it ever offers, in its own packs. A listing may say either; where it says nothing
its channel has the buffer, and `[stock]` the cap. Two listings on one field have one number: it
keeps to whichever holds back most.

Besides, a channel holds no more than `ChannelPolicy.cap`, sold units that still stand on the number
included. A cap bounds what is on sale alone: those units are somebody's already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stockpush.model import ChannelPolicy, Listing
from stockpush.reservation.catalogue import Catalogue, smallest_units


class Limits(NamedTuple):
    """What holds of a field: `buffer` in smallest units of its item, the rest in its own units.

    `cap` is what a person said (None: nothing), `most` that or what the channel holds at the most.
    """

    buffer: int
    cap: int | None
    most: int


def limits_of(
    catalogue: Catalogue, listings: Iterable[Listing], sku: str, policy: ChannelPolicy
) -> Limits:
    """Return what holds of a field that shows an item, by the listings on it.

    One without listings has what its channel and `[stock]` say; a listing of another item, which
    a person has to part from the others first, says nothing of this one.
    """
    of_channel = _buffer_of(catalogue, sku, policy)
    of_all = catalogue.stock.cap
    buffer, cap, is_listed = 0, None, False
    for listing in listings:
        # As `buffer_of` and `cap_of` have it; every offer that is compared comes by here.
        if listing.sku == sku:
            is_listed = True
            kept = of_channel if listing.buffer is None else listing.buffer
            most = of_all if listing.cap is None else listing.cap
            buffer = max(buffer, kept)
            if most is not None and (cap is None or most < cap):
                cap = most
    if not is_listed:
        buffer, cap = of_channel, of_all
    return Limits(buffer, cap, policy.cap if cap is None or cap > policy.cap else cap)


def buffer_of(catalogue: Catalogue, listing: Listing, policy: ChannelPolicy) -> int:
    """Return what a listing is never told of, in its item's smallest units, rounded up."""
    if listing.buffer is not None:
        return listing.buffer
    return _buffer_of(catalogue, listing.sku, policy)


def _buffer_of(catalogue: Catalogue, sku: str, policy: ChannelPolicy) -> int:
    # Most channels have none, and looking up an item takes a while in a large catalogue.
    if not policy.buffer:
        return 0
    return smallest_units(policy.buffer, catalogue.items[sku].scale)


def cap_of(catalogue: Catalogue, listing: Listing) -> int | None:
    """Return the most that a listing may offer, in its own units; None where nobody said any."""
    return catalogue.stock.cap if listing.cap is None else listing.cap
