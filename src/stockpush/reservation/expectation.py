"""What a channel's field should hold, and what follows from what it does hold.

Theory of operation. For each field we keep E, what we believe it holds; `hold`, units it seems to
have sold without our knowing; and `surplus`, units it seems to have put back. Facts about orders
and readings of the field both tell of the same sales, in either order, and each sale must count
once. Whichever comes first moves E; whichever comes second *eats* what the first left behind.
E + hold - surplus is therefore the same whichever way round they come, and only the guess about
E can be wrong for a moment, which the next reading mends.

Nothing here knows a target: a write is confirmed as a *difference* (E := E + T - E_s), because
an order may have been applied while it was in flight. A compare-and-set against a number just
read would throw away the only evidence of a sale that we have not been told of.

Rules R1 to R10 are those of docs/conflict-protocol.md; R11 is in `committed.py`. All quantities are
in the channel's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from stockpush.model import ChannelPolicy, Field
from stockpush.values import replace

READ_AGAIN = timedelta(seconds=2)
"""How soon an ambiguous field is read again."""
LET_GO_KEPT = timedelta(days=60)
"""How long it is remembered what was let go: an order that comes later than that is a new sale."""
LOST_COMPARES_MAX = 3
"""Lost compares in a row after which a push leaves room for the sales of one push window."""


class Reading(StrEnum):
    """What a reading turned out to say."""

    FIRST = "first"
    EXPECTED = "expected"
    LOWER = "lower"
    HIGHER = "higher"
    SAYS_NOTHING = "says_nothing"


@dataclass(frozen=True, slots=True)
class Observed:
    """A field after a reading, and what the reading said."""

    field: Field
    reading: Reading


def confirmed(field: Field, *, expected_sent: int, target: int, at: datetime) -> Field:
    """R1: a write of `target` that was sent against `expected_sent` has been applied.

    >>> from stockpush.model import FieldKey
    >>> now = datetime.fromisoformat("2026-11-22T10:00:00+00:00")
    >>> field = Field(FieldKey("shop", "1"), "candle", 1, expected=6)  # one sold in flight
    >>> confirmed(field, expected_sent=7, target=5, at=now).expected
    4
    """
    assert field.expected is not None, "a field is written only once it has been read"
    return replace(
        field,
        expected=field.expected + target - expected_sent,
        revision=field.revision + 1,
        written_at=at,
        pushed_at=at,
        lost_compares=0,
    )


def deducted(
    field: Field,
    delta: int,
    *,
    instant: datetime,
    placed_at: datetime,
    slack_s: float,
    at: datetime,
) -> Field:
    """R1, R3, R10: the channel says it took `delta` more units off for an order (< 0: put back).

    `instant` is when it did so at the latest, by the channel's clock, and `placed_at` when the
    order was placed, before which it did not; `slack_s` the slack of the date test.
    """
    if delta == 0:
        return field
    if field.expected is None:
        # The first reading will include it, or a reading in flight may not: the new revision
        # tells the one that was sent before that it says nothing.
        return replace(field, revision=field.revision + 1)
    if field.first_observed_date is not None and surely_before(
        instant, field.first_observed_date, slack_s
    ):
        return field  # it was in the number that we first read
    if delta > 0:
        moved = _taken(field, delta, instant, placed_at, slack_s, at)
    else:
        moved = _put_back(field, -delta, instant, slack_s, at)
    return _in_gap(moved, delta, instant, slack_s, at)


def _taken(
    field: Field, units: int, instant: datetime, placed_at: datetime, slack_s: float, at: datetime
) -> Field:
    """R3 for units > 0 taken off: eat the hold where the last reading must have shown them.

    Units that it must have shown and that are not missing stand behind as many that were put back
    without our knowing: E stays, and those are a surplus. Were E lowered, it would lie below the
    number until the next reading, and an unheard sale would pass the compare.

    An order that was placed after the reading cannot be in it: E falls, and nothing is in doubt.
    """
    sold = field.sold_since_push + units
    late = 0
    if field.let_go_date is not None and _second(instant) <= _second(field.let_go_date):
        # We let these units go and put their number back: E stays, and the field becomes dirty.
        known = _remembered(field, at)
        late = min(known, units)
        field, units = replace(field, let_go=known - late), units - late
    date = field.observed_date
    shown = date is not None and surely_before(instant, date, slack_s)
    unshown = date is not None and surely_before(date, placed_at, slack_s)
    eaten = min(field.hold, units) if shown else 0
    behind = units - eaten if shown else 0
    ambiguous = 0 if shown or unshown else min(field.hold, units)
    return settled(
        replace(
            field,
            expected=_known(field) - (units - eaten - behind),
            hold=field.hold - eaten,
            doubt=max(0, field.doubt - eaten),
            uneaten=field.uneaten + ambiguous,
            surplus=field.surplus + behind,
            surplus_date=_first_surplus(field, date) if behind else field.surplus_date,
            # A reading older than its date did not show them: then the next one falls by as many.
            uneaten_surplus=field.uneaten_surplus + behind,
            suspense_since=at if behind else field.suspense_since,
            suspense_reads=1 if behind else field.suspense_reads,
            read_due_at=_sooner(field.read_due_at, at + READ_AGAIN)
            if ambiguous or behind
            else field.read_due_at,
            revision=field.revision + 1,
            sold_since_push=sold,
        )
    )


def _put_back(field: Field, units: int, instant: datetime, slack_s: float, at: datetime) -> Field:
    """R3 for units > 0 put back: eat the surplus where it must have shown them.

    A surplus that was found before they were put back is another one, whatever readings came after
    it: it would hide as many that were sold. In doubt E is raised. Too high an E fails its compare;
    too low a one is met by a sale that we have not heard of, the compare succeeds, and that sale is
    put back on sale. A hold is such a doubt: it is what is missing in all, and these units may
    stand behind as many that were sold.
    """
    date = field.surplus_date
    masked = field.hold > 0
    last = field.observed_date
    shown = not masked and date is not None and surely_before(instant, date, slack_s)
    unshown = masked or (last is not None and surely_before(last, instant, slack_s))
    eaten = min(field.surplus, units) if shown else 0
    ambiguous = 0 if shown or unshown else min(field.surplus, units)
    again = masked or (field.surplus > 0 and not shown)
    return settled(
        replace(
            field,
            expected=_known(field) + units - eaten,
            surplus=field.surplus - eaten,
            uneaten_surplus=field.uneaten_surplus + ambiguous,
            read_due_at=_sooner(field.read_due_at, at + READ_AGAIN) if again else field.read_due_at,
            revision=field.revision + 1,
        )
    )


def perhaps_put_back(field: Field, units: int, *, at: datetime, is_split: bool = False) -> Field:
    """R3 where the channel does not tell whether it put `units` (>= 0) back: the field is read.

    While units are missing a reading cannot tell either, for they may stand behind as many that
    were sold. Then E is raised as if they were back, and the reading holds what it does not find.
    Otherwise, where what there is `is_split`, they stay the listing's own until it has told.
    """
    field = wants_reading(field, at=at)
    if field.expected is None or not units:
        return field
    if not field.hold:
        return unsure(field, units, at=at) if is_split else field
    return replace(field, expected=field.expected + units, revision=field.revision + 1)


def unsure(field: Field, units: int, *, at: datetime) -> Field:
    """Count `units` (>= 0) more that may be on sale there besides what is expected."""
    if not units:
        return field
    asked = wants_reading(field, at=at)
    return replace(
        asked, unsure=field.unsure + units, unsure_since=None, revision=field.revision + 1
    )


def assured(
    field: Field,
    *,
    sent_at: datetime,
    polled_begun_at: datetime | None,
    orders_lag_s: float,
) -> Field:
    """Take it that a field was read on which units are unsure; nothing was heard of it meanwhile.

    One reading does not tell: what was put back may have been sold again, unheard. So it takes two,
    and between them a poll of all orders that tells of none.
    """
    if not field.unsure:
        return field
    since = field.unsure_since
    if since is None:
        return replace(field, unsure_since=sent_at)
    polls_from = since + timedelta(seconds=orders_lag_s)
    if polled_begun_at is None or polled_begun_at <= polls_from:
        return field
    return replace(field, unsure=0, unsure_since=None)


def _in_gap(field: Field, delta: int, instant: datetime, slack_s: float, at: datetime) -> Field:
    """R10: an order's movement inside the gap of our last write may have been overwritten."""
    if field.gap_from is None or field.gap_until is None:
        return field
    slack = timedelta(seconds=slack_s)
    if not _second(field.gap_from) - slack <= _second(instant) <= _second(field.gap_until) + slack:
        return field
    return replace(
        field,
        overwritten=field.overwritten + max(0, -delta),
        overwritten_sold=field.overwritten_sold + max(0, delta),
        read_due_at=_sooner(field.read_due_at, at + READ_AGAIN),
    )


def observed(
    field: Field,
    quantity: int,
    *,
    expected_sent: int | None,
    revision_sent: int,
    sent_at: datetime,
    date: datetime | None,
) -> Observed:
    """R2: take a reading of the field.

    The caller has made sure that no write of the field is in flight. A reading counts only if it
    was sent after the last write was settled; facts that moved E between its sending (E_s) and
    now (E_r) blur it, so only what lies outside [min, max] of the two says anything.
    """
    seen = replace(field, observed=quantity, observed_at=sent_at, observed_date=date)
    if field.written_at is not None and sent_at < field.written_at:
        return Observed(read_again(field, sent_at), Reading.SAYS_NOTHING)
    if field.expected is None or field.first_observed_at is None:
        if revision_sent != field.revision:
            return Observed(read_again(field, sent_at), Reading.SAYS_NOTHING)
        first = replace(
            seen,
            expected=quantity,
            first_observed_at=sent_at,
            first_observed_date=date,
            read_due_at=None,
            revision=field.revision + 1,
        )
        return Observed(first, Reading.FIRST)
    if expected_sent is None:
        return Observed(read_again(field, sent_at), Reading.SAYS_NOTHING)
    low, high = sorted((expected_sent, field.expected))
    if quantity < low:
        return Observed(_lower(seen, low - quantity, sent_at), Reading.LOWER)
    if quantity > high:
        return Observed(_higher(seen, quantity - high, sent_at), Reading.HIGHER)
    if low != high:
        return Observed(read_again(field, sent_at), Reading.SAYS_NOTHING)
    agreed = field.suspense_reads + 1 if field.hold or field.surplus else 0
    return Observed(
        replace(
            seen,
            uneaten=0,
            uneaten_surplus=0,
            overwritten=0,
            overwritten_sold=0,
            suspense_reads=agreed,
            read_due_at=None,
        ),
        Reading.EXPECTED,
    )


def _lower(field: Field, units: int, at: datetime) -> Field:
    """Open a hold of `units` > 0 that the channel seems to have sold, less what our own write
    may have overwritten (R10).

    What a restock raised that an earlier reading had perhaps shown (R3) looks like a sale, and a
    sale like it: it is held, and in doubt until orders have been polled.
    """
    overwritten = min(field.overwritten, units)
    sold = units - overwritten
    twice = min(field.surplus, field.uneaten_surplus, sold)
    return settled(
        replace(
            field,
            expected=_known(field) - units,
            hold=field.hold + sold,
            doubt=field.doubt + twice,
            overwritten=0,
            overwritten_sold=0,
            uneaten=0,
            uneaten_surplus=0,
            revision=field.revision + 1,
            suspense_since=at if sold else field.suspense_since,
            suspense_reads=1,
            read_due_at=None,
        )
    )


def _higher(field: Field, units: int, at: datetime) -> Field:
    """Take a rise of `units` > 0: it gives back what a fact failed to eat, then is a surplus.

    Sales whose units our last write may have put back (R10) raise the number as well, and give
    nothing back: what is missing then is another sale, that we have not heard of.
    """
    told = max(0, units - field.overwritten_sold)
    released = min(field.hold, field.uneaten, told)
    surplus = field.surplus + units - released
    return settled(
        replace(
            field,
            expected=_known(field) + units,
            hold=field.hold - released,
            uneaten=field.uneaten - released,
            surplus=surplus,
            surplus_date=_first_surplus(field, field.observed_date)
            if units > released
            else field.surplus_date,
            uneaten_surplus=0,
            overwritten_sold=0,
            revision=field.revision + 1,
            suspense_since=at if units > released else field.suspense_since,
            suspense_reads=1,
            read_due_at=None,
        )
    )


def reshadowed(field: Field, quantity: int, *, sent_at: datetime, date: datetime | None) -> Field:
    """Take a reading of a field that is not ours yet (shadow, or not adopted): E := observed.

    Somebody else may be writing there, so a difference tells nothing and opens no hold.
    """
    return replace(
        field,
        expected=quantity,
        hold=0,
        doubt=0,
        surplus=0,
        surplus_date=None,
        risen=0,
        uneaten=0,
        uneaten_surplus=0,
        overwritten=0,
        overwritten_sold=0,
        unsure=0,
        unsure_since=None,
        suspense_since=None,
        suspense_reads=0,
        observed=quantity,
        observed_at=sent_at,
        observed_date=date,
        first_observed_at=None,
        first_observed_date=date,
        read_due_at=None,
        revision=field.revision + 1,
    )


def outcome_read(
    field: Field,
    quantity: int,
    *,
    expected_sent: int,
    target: int,
    at: datetime,
    date: datetime | None,
) -> Field:
    """R6: a write whose outcome was unknown has been followed by a reading of `quantity`.

    Either it was not applied (the field would hold E but for unseen sales) or it was (E + T - E_s
    but for unseen sales). Of the explanations that need no rise the one with the most unseen
    sales is assumed: a lowering that arrived and a sale that took the same units look alike, and
    taking it for our own would put the sold units back. Where only a rise explains it, it is a
    surplus over the higher one. A later reading, order or R4 releases what was assumed too much.
    """
    assert field.expected is not None
    explanations = (field.expected, field.expected + target - expected_sent)
    sales = [held - quantity for held in explanations if held >= quantity]
    sold = max(sales, default=0)
    doubt = sold - min(sales, default=0)
    risen = max(0, quantity - max(explanations))
    suspended = sold > 0 or risen > 0
    return replace(
        field,
        expected=quantity,
        hold=field.hold + sold,
        doubt=field.doubt + doubt,
        surplus=field.surplus + risen,
        surplus_date=_first_surplus(field, date) if risen else field.surplus_date,
        observed=quantity,
        observed_at=at,
        observed_date=date,
        written_at=at,
        revision=field.revision + 1,
        suspense_since=at if suspended else field.suspense_since,
        suspense_reads=1 if suspended else field.suspense_reads,
    )


def restored(
    field: Field,
    *,
    polled_begun_at: datetime | None,
    previous_poll_begun_at: datetime | None,
    orders_lag_s: float,
    suspense_min_s: float,
    at: datetime,
) -> Field:
    """R4, policy `restore`: let go of a hold or surplus that no order explains.

    Unexplained after two complete polls, each begun later than the reading plus the channel's
    order lag, not before `suspense_min_s`, and with two agreeing readings. What is released
    makes the central number count again, which the next push restores on the channel.
    """
    since = field.suspense_since
    if since is None or (field.hold == 0 and field.surplus == 0):
        return field
    polls_from = since + timedelta(seconds=orders_lag_s)
    polled_twice = (
        polled_begun_at is not None
        and previous_poll_begun_at is not None
        and min(polled_begun_at, previous_poll_begun_at) > polls_from
    )
    if (
        not polled_twice
        or at < since + timedelta(seconds=suspense_min_s)
        or field.suspense_reads < 2
    ):
        return field
    return released(field)


def believed(field: Field, *, polled_begun_at: datetime | None, orders_lag_s: float) -> Field:
    """R3, R6: let go of the part of a hold that may be no sale.

    A poll of all orders begun later than the reading (and the channel's order lag) has found no
    sale for it, and the number still stands: then our own unanswered write did arrive, or what an
    order put back was counted twice, and as much surplus was that restock. Left behind, it would
    swallow the next one; a surplus dropped too many only leaves E too high.
    """
    since = field.suspense_since
    if field.doubt == 0 or since is None or polled_begun_at is None:
        return field
    if polled_begun_at <= since + timedelta(seconds=orders_lag_s):
        return field
    units = min(field.hold, field.doubt)
    return settled(
        replace(
            field,
            hold=field.hold - units,
            doubt=0,
            surplus=field.surplus - min(field.surplus, units),
            let_go=_remembered(field, field.observed_date) + units,
            let_go_date=field.observed_date,
            revision=field.revision + 1,
        )
    )


def released(field: Field) -> Field:
    """Let go of hold and surplus, remembering what an order may still turn out to explain."""
    return replace(
        field,
        hold=0,
        doubt=0,
        surplus=0,
        surplus_date=None,
        risen=0,
        uneaten=0,
        uneaten_surplus=0,
        let_go=_remembered(field, field.observed_date) + max(0, field.hold - field.surplus),
        let_go_date=field.observed_date,
        suspense_since=None,
        suspense_reads=0,
        revision=field.revision + 1,
    )


def _remembered(field: Field, at: datetime | None) -> int:
    """Return the units that were let go and are not forgotten yet (R4)."""
    forgotten = (
        field.let_go_date is not None and at is not None and at - field.let_go_date > LET_GO_KEPT
    )
    return 0 if forgotten else field.let_go


def parked(field: Field, reason: str, *, is_split: bool) -> Field:
    """Park a field: nobody reads or writes it until a person has helped.

    A hold would stay for ever, so it is let go; and when the field comes back its number is a first
    reading again, after which orders are read before anything is pushed. Where what there is
    `is_split`, what was held may still be on sale there, and stays the listing's own.
    """
    kept = field.hold if is_split else 0
    return replace(
        released(field),
        parked_reason=reason,
        read_due_at=None,
        first_observed_at=None,
        unsure=field.unsure + kept,
        unsure_since=None if kept else field.unsure_since,
    )


def cautious(target: int, field: Field) -> int:
    """R7: after lost compares in a row leave room for the sales of one push window.

    >>> from stockpush.model import FieldKey
    >>> cautious(9, Field(FieldKey("s", "1"), "c", 1, lost_compares=3, sold_since_push=4))
    5
    """
    if field.lost_compares < LOST_COMPARES_MAX:
        return target
    return max(0, target - field.sold_since_push)


def standing(field: Field) -> int:
    """Return the sold units that still stand on the field and belong into its target, >= 0.

    A hold may be an order that the channel has taken off by now (an unpaid one was paid, and its
    webhook is on the way): its units stand there no more, and shown they would be on sale again.

    >>> from stockpush.model import FieldKey
    >>> standing(Field(FieldKey("s", "1"), "c", 1, undeducted=3, hold=2))
    1
    """
    return max(0, field.undeducted - field.hold)


def standing_on(field: Field, policy: ChannelPolicy) -> int:
    """Return the sold units that stand on the field's number.

    Where they are kept apart a hold is beyond them, and was never taken off the number. It comes
    off what buyers are shown twice until the poll that follows explains it: those units may be
    shipped before we write, and on top of the number they would then be on sale (R11). A surplus
    are those of ours that the channel does not keep: it takes none of them off the number, so on
    top of it they would be on sale too.
    Where the channel does not keep them for whoever ordered, none may stand: others would buy them.
    """
    if not policy.holds_unpaid:
        return 0
    if policy.committed_apart:
        return max(0, field.undeducted - field.surplus)
    return standing(field)


def orders_read_since(
    field: Field, polled_begun_at: datetime | None, policy: ChannelPolicy
) -> bool:
    """Answer whether all open orders were read after the field's first reading.

    Before that the central count may lack sales which that reading already shows, and pushing it
    would put them back. An order may reach the channel's own list later than its number.
    """
    return (
        polled_begun_at is not None
        and field.first_observed_at is not None
        and polled_begun_at > field.first_observed_at + timedelta(seconds=policy.orders_lag_s)
    )


def _first_surplus(field: Field, date: datetime | None) -> datetime | None:
    """Return the date of a surplus that grows at a reading of `date`: that of its oldest unit."""
    return field.surplus_date if field.surplus else date


def wants_reading(field: Field, *, at: datetime) -> Field:
    """Ask for the field to be read at `at`, or sooner if that was asked before."""
    due = _sooner(field.read_due_at, at)
    return field if due == field.read_due_at else replace(field, read_due_at=due)


def read_again(field: Field, sent_at: datetime) -> Field:
    """The reading said nothing: read again soon, past whatever blurred it."""
    return replace(field, read_due_at=sent_at + READ_AGAIN)


def settled(field: Field) -> Field:
    """Forget when the suspense began once there is none."""
    if field.hold or field.surplus:
        return replace(
            field,
            surplus_date=field.surplus_date if field.surplus else None,
            uneaten=min(field.uneaten, field.hold),
            uneaten_surplus=min(field.uneaten_surplus, field.surplus),
            risen=min(field.risen, field.surplus),
            doubt=min(field.doubt, field.hold),
        )
    if not (
        field.suspense_since
        or field.suspense_reads
        or field.uneaten
        or field.uneaten_surplus
        or field.risen
        or field.surplus_date
        or field.doubt
    ):
        return field  # most fields most of the time
    return replace(
        field,
        uneaten=0,
        uneaten_surplus=0,
        risen=0,
        surplus_date=None,
        doubt=0,
        suspense_since=None,
        suspense_reads=0,
    )


def _known(field: Field) -> int:
    assert field.expected is not None
    return field.expected


def surely_before(instant: datetime, date: datetime, slack_s: float) -> bool:
    """Answer whether an instant lies surely before a Date header (whole seconds, with slack)."""
    if instant >= date:
        return False  # the rest costs more, and most sales are newer than the last reading
    return _second(instant) < _second(date) - timedelta(seconds=slack_s)


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _sooner(known: datetime | None, wanted: datetime) -> datetime:
    return wanted if known is None else min(known, wanted)
