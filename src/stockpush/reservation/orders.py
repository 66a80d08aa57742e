"""Merge what a channel says of an order into what we know of it, by version.

Theory of operation. An order is an absolute, versioned fact, all its lines at once. Whatever
arrives is older than what we know (changes nothing), the same (changes nothing), of the same
version with other content (nobody can say which is right: fetch it), or newer: then every line
takes its new counts, a line that is gone counts as cancelled, and only the *differences* touch
stock. Duplicates, reordered deliveries, a cancel before its create, edits up and down, partial
refunds and an old order edited today are all this one rule; a cancelled line stays as its own
tombstone, because its version is what refuses the late create.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stockpush.messages import OrderLineSeen, OrderSeen
from stockpush.model import FieldKey, Listing, Reservation, ReservationKey
from stockpush.reservation.lifecycle import state_of
from stockpush.values import quick, replace


class Verdict(StrEnum):
    """What an order fact is, compared with what we know."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"
    TIE = "tie"


@quick
@dataclass(frozen=True, slots=True)
class Effect:
    """What one line's new counts change, in the channel's units, signed.

    `deducted_unknown`: the channel did not say whether it put units back, so its field must be
    read. `perhaps_put_back`: of how many units that is to be asked. `edited`: the order was known
    before, so what the line deducts came with this version.
    """

    before: Reservation | None
    after: Reservation
    open: int
    deducted: int
    shipped: int
    written_off: int
    deducted_unknown: bool = False
    perhaps_put_back: int = 0
    edited: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Merged:
    """The verdict on an order fact, and its effects (empty unless the verdict is NEWER)."""

    verdict: Verdict
    effects: tuple[Effect, ...] = ()


def _unaccounted(reservation: Reservation) -> int:
    """Return the units that the channel took off its number and has nothing to show for (>= 0).

    They are neither still to be sent nor gone: it has put them back without saying so, or will not.
    """
    held = reservation.open + reservation.shipped + reservation.written_off
    return max(0, reservation.deducted - held)


def undeducted(reservation: Reservation) -> int:
    """Return the open units that the channel has not taken off its own number yet, >= 0.

    What the channel deducted covers first the units that have left, then the open ones.
    Source: conflict-protocol, State (there `open - deducted`, for lines without shipped units).
    """
    for_open = max(0, reservation.deducted - reservation.shipped - reservation.written_off)
    return max(0, reservation.open - for_open)


def merge(
    known: Iterable[Reservation],
    order: OrderSeen,
    *,
    listing_of: Callable[[str], Listing | None],
    started: datetime | None,
) -> Merged:
    """Merge one order fact into the known reservations of that order.

    `listing_of` maps an order key to its listing (None: not mapped yet). `started` is the
    channel's clock at our first poll: what had left in an order placed before it is history and
    moves no stock (None: we have only just begun, everything that left is history).
    """
    lines = {reservation.key.line_id: reservation for reservation in known}
    newest = max((reservation.version for reservation in lines.values()), default=None)
    if newest is not None and order.version < newest:
        return Merged(Verdict.OLDER)
    if newest is not None and order.version.updated_at == newest.updated_at:
        # Polls overlap and see most orders again: what says nothing new is not written again.
        if _same(lines, order):
            return Merged(Verdict.SAME)
        if order.version == newest:
            return Merged(Verdict.TIE)
    history = started is None or order.placed_at < started
    effects = []
    for line in order.lines:
        before = lines.pop(line.line_id, None)
        effects.extend(
            _line_effects(before, order, line, listing_of(line.order_key), history=history)
        )
    effects.extend(_gone(lines[line_id], order) for line_id in sorted(lines))
    if newest is not None:
        effects = [replace(effect, edited=True) for effect in effects]
    return Merged(Verdict.NEWER, tuple(effects))


def _same(lines: dict[str, Reservation], order: OrderSeen) -> bool:
    """Answer whether an order of the version we know says what we know."""
    said = {line.line_id: line for line in order.lines}
    if any(line_id not in lines for line_id in said):
        return False
    for line_id, known in lines.items():
        line = said.get(line_id)
        if line is None:
            if known.open > 0:
                return False
            continue
        if (line.order_key, line.ordered, line.open, line.shipped, line.written_off) != (
            known.order_key,
            known.ordered,
            known.open,
            known.shipped,
            known.written_off,
        ) or (line.deducted is not None and line.deducted != known.deducted):
            return False
    return True


def _line_effects(
    before: Reservation | None,
    order: OrderSeen,
    line: OrderLineSeen,
    listing: Listing | None,
    *,
    history: bool,
) -> list[Effect]:
    """Return what the line's new counts change; two effects where it now names another listing."""
    if before is not None and not line.order_key:
        # The listing was deleted on the channel: the line is still that listing's.
        line = replace(line, order_key=before.order_key)
    if before is not None and before.order_key != line.order_key:
        # The line was swapped: the old listing's units go, the new listing's come, as if the
        # line were new. What the channel did to the old listing's number must be read.
        swapped = replace(before, open=0)
        back = _unaccounted(swapped) - _unaccounted(before)
        released = Effect(
            before, swapped, -before.open, 0, 0, 0, deducted_unknown=True, perhaps_put_back=back
        )
        # What had left went under the old listing's name: it is history to the new one.
        return [released, _first_sight(order, line, listing, history=True)]
    if before is None:
        return [_first_sight(order, line, listing, history=history)]
    deducted = before.deducted if line.deducted is None else line.deducted
    after = replace(
        before,
        version=order.version,
        ordered=line.ordered,
        open=line.open,
        shipped=line.shipped,
        written_off=line.written_off,
        deducted=deducted,
        order_state=order.state,
        state=state_of(open_units=line.open, shipped=line.shipped, written_off=line.written_off),
        sent=line.shipped > 0 or (before.sent and line.open <= before.open),
    )
    back = max(0, _unaccounted(after) - _unaccounted(before))
    return [
        Effect(
            before,
            after,
            open=after.open - before.open,
            deducted=after.deducted - before.deducted,
            shipped=_moving(after.shipped, after.baseline_shipped)
            - _moving(before.shipped, before.baseline_shipped),
            written_off=_moving(after.written_off, after.baseline_written_off)
            - _moving(before.written_off, before.baseline_written_off),
            deducted_unknown=back > 0
            or (line.deducted is None and _may_be_put_back(before, after)),
            perhaps_put_back=back,
        )
    ]


def _may_be_put_back(before: Reservation, after: Reservation) -> bool:
    """Answer whether units may be back on the channel's number, where it does not say: fewer are
    open than before, or the order's state changed.

    What was refunded after it had left may be for sale again, though nothing of it was open.
    """
    return after.open < before.open or after.order_state != before.order_state


def _moving(units: int, baseline: int) -> int:
    """Return the units beyond what had left before we first looked.

    A return below the baseline brings back history: it does put a unit on the shelf, so the
    result may be negative.
    """
    return units - baseline


def _first_sight(
    order: OrderSeen, line: OrderLineSeen, listing: Listing | None, *, history: bool
) -> Effect:
    """Return the effect of a line that was never seen before."""
    deducted = line.deducted or 0
    gone = line.shipped + line.written_off
    after = Reservation(
        key=ReservationKey(order.channel, order.order_id, line.line_id),
        version=order.version,
        order_key=line.order_key,
        placed_at=order.placed_at,
        ordered=line.ordered,
        open=line.open,
        shipped=line.shipped,
        written_off=line.written_off,
        deducted=deducted,
        state=state_of(open_units=line.open, shipped=line.shipped, written_off=line.written_off),
        order_state=order.state,
        # What left while no item is mapped cannot move stock then, and by the time somebody
        # maps it they have counted the shelf: it is history too.
        baseline_shipped=line.shipped if history or listing is None else 0,
        baseline_written_off=line.written_off if history or listing is None else 0,
        sku=None if listing is None else listing.sku,
        pack=1 if listing is None else listing.pack,
        field=_field(order.channel, listing),
        sent=line.shipped > 0,
    )
    back = 0 if history else _unaccounted(after)
    return Effect(
        None,
        after,
        open=after.open,
        deducted=max(0, deducted - gone) if history else deducted,
        shipped=after.shipped - after.baseline_shipped,
        written_off=after.written_off - after.baseline_written_off,
        deducted_unknown=line.deducted is None or back > 0,
        perhaps_put_back=back,
    )


def _field(channel: str, listing: Listing | None) -> FieldKey | None:
    """Return the field that a listing goes by, if it is known."""
    if listing is None or listing.field_key is None:
        return None
    return FieldKey(channel, listing.field_key)


def _gone(before: Reservation, order: OrderSeen) -> Effect:
    """Return the effect of a line that the newer order no longer has: cancelled.

    Whether the channel put its units back is not said, so the field is read.
    """
    after = replace(
        before,
        version=order.version,
        open=0,
        order_state=order.state,
        state=state_of(open_units=0, shipped=before.shipped, written_off=before.written_off),
    )
    return Effect(
        before,
        after,
        -before.open,
        0,
        0,
        0,
        deducted_unknown=before.open > 0,
        perhaps_put_back=_unaccounted(after) - _unaccounted(before),
    )
