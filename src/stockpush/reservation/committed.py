"""R11: what a field should hold where the channel keeps what is ordered apart from its number.

Theory of operation. Such a channel (Faire) takes no order off the number that we write: it tells
beside it what its open orders have committed, and sells the difference. So each reading is a pair,
and says at once how much more is committed than our own open units (`hold`: sold, and unheard of)
or how much less (`surplus`: ours, and not kept apart). Both are worked out anew by each reading and
never added up. What is missing and what is unheard of may hide each other: of two explanations that
one with the lower number is taken, until a poll of all orders has told which it is.

The rule is R11 of docs/conflict-protocol.md. All quantities are in the channel's units.
"""

from __future__ import annotations

from datetime import datetime

from stockpush.model import Field
from stockpush.reservation.expectation import (
    Observed,
    Reading,
    read_again,
    settled,
    surely_before,
    wants_reading,
)
from stockpush.values import replace


def observed_apart(
    field: Field,
    quantity: int,
    *,
    committed: int | None,
    open_sent: int,
    revision_sent: int,
    sent_at: datetime,
    date: datetime | None,
    polled_from: datetime | None,
) -> Observed:
    """R11: take a reading of a channel that keeps what its open orders have committed apart.

    The number moves only when we or the merchant move it, or a shipment does: E := L whatever it
    is, and there is nothing to suspect. What we have not heard of is in `committed`, beside our own
    open units (`open_sent` of them at sending): more than of ours is held, and what is missing of
    ours is the surplus. `committed` is None where only the number was told. `polled_from`: nothing
    that was placed before this instant is still unheard of; None where that is not known.
    """
    if field.written_at is not None and sent_at < field.written_at:
        return Observed(read_again(field, sent_at), Reading.SAYS_NOTHING)
    first = field.expected is None or field.first_observed_at is None
    if first and revision_sent != field.revision:
        return Observed(read_again(field, sent_at), Reading.SAYS_NOTHING)
    hold, surplus, risen = field.hold, field.surplus, field.risen
    told_meanwhile = open_sent != field.undeducted
    if committed is not None:
        hold, surplus, risen = _apart(
            field, committed, open_sent=open_sent, polled_from=polled_from
        )
    more = hold > field.hold or surplus > field.surplus
    moved = (quantity, hold, surplus) != (field.expected, field.hold, field.surplus)
    after = replace(
        field,
        expected=quantity,
        hold=hold,
        surplus=surplus,
        risen=risen,
        uneaten_surplus=field.uneaten_surplus if committed is None else 0,
        observed=quantity,
        observed_at=sent_at,
        observed_date=date,
        first_observed_at=sent_at if first else field.first_observed_at,
        first_observed_date=date if first else field.first_observed_date,
        read_due_at=sent_at if told_meanwhile else None,
        revision=field.revision + moved,
        suspense_since=sent_at if more else field.suspense_since or sent_at,
        suspense_reads=1,
    )
    if first:
        return Observed(settled(after), Reading.FIRST)
    if hold > field.hold:
        return Observed(settled(after), Reading.LOWER)
    return Observed(settled(after), Reading.HIGHER if surplus > field.surplus else Reading.EXPECTED)


def _apart(
    field: Field, committed: int, *, open_sent: int, polled_from: datetime | None
) -> tuple[int, int, int]:
    """Return hold, surplus and risen after a reading: what is committed beyond our own open units
    that the channel keeps, how many of ours it does not keep, and how many of those were found
    since a poll last told of all orders. What changed while the reading was under way counts for
    neither.

    Units that were missing and are there now look like a sale, and a sale like them: so they are
    held, and the surplus stays, until a poll that knows of no sale has told which it was. Raised by
    them, the number would put that sale back on sale.
    """
    fewest, most = sorted((open_sent, field.undeducted))
    missing = min(field.surplus, fewest)
    risen = min(field.risen, missing)
    since = field.suspense_since
    polled = since is not None and polled_from is not None and polled_from > since
    more = committed - (most - missing)
    if more > 0:
        ended = min(more, risen, field.uneaten_surplus)
        more, missing, risen = more - ended, missing - ended, risen - ended
    if polled:
        risen = 0
    if more <= 0:
        surplus = max(missing, fewest - committed)
        return 0, surplus, risen + surplus - missing
    if polled and more <= field.hold:
        back = min(more, missing)
        return more - back, missing - back, 0
    return more, missing, risen


def heard_apart(
    field: Field,
    units: int,
    *,
    placed_at: datetime,
    updated_at: datetime,
    slack_s: float,
    at: datetime,
) -> Field:
    """R11: something became known of an order of a field that keeps what is committed apart;
    `units` more are open (signed).

    An order that surely lies before the last reading was in its hold, and is no unknown one any
    more; one that surely had changed before it was missing there, and is open no more. Where that
    is not sure the next reading tells. What ended was missed only by the readings since the last
    poll: had they missed fewer units, as many others were sold unheard, and are given to nobody.
    Whether the channel keeps what is open no order tells,
    though it may have ceased to (a backorder), so the field is read at once, and not raised before.
    """
    if field.expected is None:
        return field
    field = wants_reading(field, at=at)
    date = field.observed_date
    if date is None or not units:
        return field
    happened_at = placed_at if units > 0 else updated_at
    shown = surely_before(happened_at, date, slack_s)
    doubtful = not shown and not surely_before(date, happened_at, slack_s)
    eaten = min(field.hold, units) if shown and units > 0 else 0
    ended = min(field.risen, -units) if units < 0 else 0
    # What the reading must have shown and did not was not committed: a backorder's own order.
    missed = units - eaten if shown and units > 0 else 0
    return settled(
        replace(
            field,
            hold=field.hold - eaten,
            surplus=field.surplus - (ended if shown else 0) + missed,
            risen=field.risen - (ended if shown else 0),
            uneaten_surplus=field.uneaten_surplus + (ended if doubtful else 0),
            revision=field.revision + bool(eaten or ended or missed),
            # What is held still may be another one: its time begins anew.
            suspense_since=at if missed or (field.hold and doubtful) else field.suspense_since,
        )
    )
