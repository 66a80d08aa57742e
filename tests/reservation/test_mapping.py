"""The catalogue's own commands: what they cost, however many listings one of them is about."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from stockpush.messages import ListingResolved, ResolveListings, Rows
from stockpush.model import (
    ChannelPolicy,
    Item,
    Kind,
    Listing,
    ListingKey,
    Mode,
    OrderVersion,
    Reservation,
    ReservationKey,
    ReservationState,
)
from stockpush.reservation import mapping
from stockpush.reservation.catalogue import build
from stockpush.reservation.view import View

_COMMITTED = ReservationState.COMMITTED
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
MAPPING = mapping.__file__


def steps(work: Callable[[], object]) -> int:
    """How many instructions of the interpreter some work takes in `mapping`: the same each time."""
    counted = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal counted
        if frame.f_code.co_filename != MAPPING:
            return None
        frame.f_trace_opcodes = True
        counted += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def resolved(count: int) -> Callable[[], object]:
    """So many listings are told their fields, each with an order that had named it."""
    names = [f"l{number}" for number in range(count)]
    listings = [Listing(ListingKey("shop", name), name, ref={"id": name}) for name in names]
    catalogue = build(
        1,
        [Item(name, name, Kind.PRODUCT, "piece") for name in names],
        (),
        listings,
        {"shop": ChannelPolicy("shop", "numbers", Mode.LIVE)},
    )
    orders = {
        key: Reservation(key, OrderVersion(AT, 0), name, AT, 1, 1, 0, 0, 1, _COMMITTED)
        for name in names
        if (key := ReservationKey("shop", f"order {name}", "1"))
    }
    command = ResolveListings(
        tuple(ListingResolved(row.key, row.key.ref, f"field {row.key.ref}") for row in listings)
    )
    return lambda: mapping.resolve(View(catalogue, Rows(reservations=orders)), command, AT)


def test_twice_as_many_listings_cost_twice_as_much() -> None:
    """An import of thousands is one command in the lane, and sales wait behind it."""
    once, twice = steps(resolved(100)), steps(resolved(200))
    assert twice < 2.1 * once, (once, twice)
