"""Readings of fields: classify what was observed, and let go of what no order explains."""

from __future__ import annotations

from datetime import datetime, timedelta

from stockpush.messages import Decision, Event, Observe, QuantitySeen, RequestReads
from stockpush.model import ChannelPolicy, Drift, DriftClass, Field, Mode
from stockpush.reservation.committed import observed_apart
from stockpush.reservation.draft import Draft
from stockpush.reservation.expectation import (
    Reading,
    assured,
    believed,
    observed,
    reshadowed,
    restored,
    wants_reading,
)
from stockpush.reservation.view import View
from stockpush.values import replace

READ_LATER = timedelta(seconds=2)
"""How soon a reading is tried again that a write under way made worthless."""


def observe(view: View, command: Observe, at: datetime) -> Decision:
    """Take readings. A reading of a field with a write in flight says nothing: read it later."""
    draft = Draft(view, at)
    poll_now: set[str] = set()
    for seen in command.seen:
        field = draft.field(seen.field)
        if field is None or view.catalogue.sku_of(field.key) is None:
            # Its listing has moved away: nobody acts on its number any more.
            if field is not None:
                draft.wish(replace(field, read_due_at=None))
            continue
        if field.parked_reason is not None:
            draft.wish(replace(field, read_due_at=None))  # nobody acts on it until a person has
            continue
        policy = view.catalogue.policies.get(seen.field.channel)
        if seen.field in view.rows.in_flight:
            draft.wish(replace(field, read_due_at=at + READ_LATER))
        elif not is_ours(field, policy):
            after = reshadowed(field, seen.quantity, sent_at=seen.sent_at, date=seen.date)
            draft.change(after)
        elif policy is not None and policy.committed_apart:
            if take_apart(draft, field, seen):
                poll_now.add(seen.field.channel)
        elif _take(draft, field, seen, policy):
            poll_now.add(seen.field.channel)
    return replace(draft.decision(), poll_now=frozenset(poll_now))


def is_ours(field: Field, policy: ChannelPolicy | None) -> bool:
    """Answer whether we alone set this field: adopted, on a live channel."""
    return field.adopted and policy is not None and policy.mode is Mode.LIVE


def _take(draft: Draft, field: Field, seen: QuantitySeen, policy: ChannelPolicy | None) -> bool:
    """Take one reading of a field that is ours; answer whether its orders should be polled now."""
    assert policy is not None
    result = observed(
        field,
        seen.quantity,
        expected_sent=seen.expected_sent,
        revision_sent=seen.revision_sent,
        sent_at=seen.sent_at,
        date=seen.date,
    )
    after = result.field
    state = draft.view.channel(seen.field.channel)
    unread = draft.view.has_unread(field.key.channel)
    alone = seen.revision_sent == field.revision and result.reading is not Reading.SAYS_NOTHING
    if alone and not unread:
        after = assured(
            after,
            sent_at=seen.sent_at,
            polled_begun_at=state.polled_begun_at,
            orders_lag_s=policy.orders_lag_s,
        )
    if not unread:
        if result.reading is Reading.EXPECTED:
            sure = believed(
                after, polled_begun_at=state.polled_begun_at, orders_lag_s=policy.orders_lag_s
            )
            if sure is not after:
                draft.let_go(after, sure, DriftClass.LOST_PUSH, "no sale is behind it")
                return False
        let_go = restored(
            after,
            polled_begun_at=state.polled_begun_at,
            previous_poll_begun_at=state.previous_poll_begun_at,
            orders_lag_s=policy.orders_lag_s,
            suspense_min_s=policy.suspense_min_s,
            at=draft.at,
        )
    else:
        let_go = after
    if let_go is not after:
        if after.hold == after.surplus:
            # Sold and put back while nobody told us: nothing is left that anybody edited.
            draft.let_go(after, let_go, DriftClass.UNSEEN_SALE, "sold and put back")
        else:
            draft.let_go(after, let_go, DriftClass.MANUAL_EDIT, "restored")
        return False
    draft.change(after)
    # After a first reading the orders are read once more, which the first push waits for.
    first = result.reading is Reading.FIRST
    return note_reading(draft, field, after, result.reading) or first


def take_apart(draft: Draft, field: Field, seen: QuantitySeen) -> bool:
    """R11: take one reading of a pair; answer whether its orders should be polled now.

    Neither R2 nor R4 applies: a number that somebody else has changed is noted and set again. The
    drift stands as long as more or less is committed than our own open units, whatever explains it.
    """
    result = observed_apart(
        field,
        seen.quantity,
        committed=seen.committed,
        open_sent=seen.open_sent,
        revision_sent=seen.revision_sent,
        sent_at=seen.sent_at,
        date=seen.date,
        polled_from=None if seen.committed is None else _polled_from(draft, field),
    )
    after = result.field
    if result.reading is Reading.SAYS_NOTHING:
        draft.change(after)
        return False
    if after.hold and after.surplus:
        # Which of the two it is a poll tells, and then the next reading takes it so.
        lag = timedelta(seconds=draft.view.catalogue.policies[field.key.channel].orders_lag_s)
        after = wants_reading(after, at=seen.sent_at + lag + READ_LATER)
    drift_class = DriftClass.UNSEEN_SALE if after.hold or field.hold else DriftClass.UNSEEN_RISE
    draft.let_go(field, after, drift_class, "what is committed is ours again")
    if result.reading is not Reading.FIRST and after.expected != field.expected:
        draft.events.append(_noted(field, after))
    open_apart(draft, field, after)
    return result.reading is not Reading.EXPECTED


def open_apart(draft: Draft, before: Field, after: Field) -> None:
    """R11: open a drift where something else is committed than our own open units."""
    if before.hold or before.surplus or not (after.hold or after.surplus):
        return
    for_sale = (after.expected or 0) - after.undeducted
    observed = for_sale - after.hold + after.surplus
    draft.drifts.append(
        Drift(
            field=after.key,
            expected=for_sale,
            observed=observed,
            drift_class=DriftClass.UNSEEN_SALE if after.hold else DriftClass.UNSEEN_RISE,
            opened_at=draft.at,
        )
    )
    draft.events.append(_opened(after, expected=for_sale, observed=observed))


def _polled_from(draft: Draft, field: Field) -> datetime | None:
    """Return the instant before which the field's channel has no order that is unheard of, None
    while one waits that could not be read, or to be fetched.
    """
    channel = field.key.channel
    begun_at = draft.view.channel(channel).polled_begun_at
    if begun_at is None or draft.view.has_unread(channel):
        return None
    return begun_at - timedelta(seconds=draft.view.catalogue.policies[channel].orders_lag_s)


def _noted(before: Field, after: Field) -> Event:
    """Return the notice that a number was changed by somebody who may, and is set again."""
    return Event(
        "number.changed",
        {
            "channel": after.key.channel,
            "listing": after.key.key,
            "sku": after.sku,
            "expected": before.expected,
            "observed": after.expected,
        },
    )


def _opened(after: Field, *, expected: int | None, observed: int | None) -> Event:
    """Return the notice that a channel shows something else than expected."""
    return Event(
        "drift.opened",
        {
            "channel": after.key.channel,
            "listing": after.key.key,
            "sku": after.sku,
            "expected": expected,
            "observed": observed,
        },
    )


def note_reading(draft: Draft, before: Field, after: Field, reading: Reading) -> bool:
    """Open a drift where a reading differs; answer whether orders should be polled now."""
    if reading not in (Reading.LOWER, Reading.HIGHER):
        return False
    if (after.hold, after.surplus) == (before.hold, before.surplus):
        return False
    if not (before.hold or before.surplus):
        drift_class = DriftClass.UNSEEN_SALE if reading is Reading.LOWER else DriftClass.UNSEEN_RISE
        draft.drifts.append(
            Drift(
                field=after.key,
                expected=before.expected or 0,
                observed=after.observed or 0,
                drift_class=drift_class,
                opened_at=draft.at,
            )
        )
        draft.events.append(_opened(after, expected=before.expected, observed=after.observed))
    return True


def request_reads(view: View, command: RequestReads, at: datetime) -> Decision:
    """Ask for fields to be read."""
    del at
    wanted = [view.field(key) for key in command.fields]
    return Decision(
        fields=tuple(
            wants_reading(field, at=command.due_at) for field in wanted if field is not None
        )
    )
