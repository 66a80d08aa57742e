"""The life of a reservation that an order line makes, as one literal table.

Theory of operation. A line is a set of absolute counts, so its state is read off the counts and
never stored as a decision of its own: units still open make it `committed`; none open, and at
least one gone for good, make it `shipped`; none open and none gone make it `released`. The
table lists every change from one state to another that a newer version of the line may bring;
all of them are legal, because a channel may edit, refund, reopen or return at any time, and it
is the version and not the state that says what is old. What each change means for people is
the table's third column (docs/architecture.md draws it).
"""

from __future__ import annotations

from typing import Final

from stockpush.model import ReservationState as State

TRANSITIONS: Final[dict[tuple[State | None, State], str]] = {
    (None, State.COMMITTED): "ordered",
    (None, State.SHIPPED): "seen after shipping",
    (None, State.RELEASED): "seen after cancelling",
    (State.COMMITTED, State.COMMITTED): "edited",
    (State.COMMITTED, State.SHIPPED): "shipped",
    (State.COMMITTED, State.RELEASED): "cancelled",
    (State.SHIPPED, State.COMMITTED): "reopened",
    (State.SHIPPED, State.SHIPPED): "refunded or edited after shipping",
    (State.SHIPPED, State.RELEASED): "returned",
    (State.RELEASED, State.COMMITTED): "reopened",
    (State.RELEASED, State.SHIPPED): "shipped after cancelling",
    (State.RELEASED, State.RELEASED): "edited after cancelling",
}
"""(from, to) -> what happened, in a word; None is a line never seen before."""


def state_of(*, open_units: int, shipped: int, written_off: int) -> State:
    """Return the state that a line's counts put it in; all counts >= 0.

    >>> state_of(open_units=1, shipped=2, written_off=0)
    <ReservationState.COMMITTED: 'committed'>
    >>> state_of(open_units=0, shipped=0, written_off=0)
    <ReservationState.RELEASED: 'released'>
    """
    if open_units > 0:
        return State.COMMITTED
    return State.SHIPPED if shipped + written_off > 0 else State.RELEASED
