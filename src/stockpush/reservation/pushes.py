"""Pushes: which fields are dirty, what each should show, and what an answer teaches.

A field is dirty while its target differs from the target in flight, or else from what we expect
it to hold. The outbox row carries no quantity, so it cannot go stale: the target is computed in
the transaction that opens the push, and compared again in the one that settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from stockpush.messages import (
    Accepted,
    Decision,
    Event,
    OpenPushes,
    PushSettled,
    QuantitySeen,
    SettlePushes,
    StartChannel,
)
from stockpush.model import (
    ChannelPolicy,
    Dirty,
    DriftClass,
    Feed,
    Field,
    FieldKey,
    Listing,
    Mode,
    Push,
    PushOutcomeKind,
    Shelf,
    shelf_key,
)
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons, sharing
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.draft import Draft
from stockpush.reservation.drift import note_reading, take_apart
from stockpush.reservation.expectation import (
    READ_AGAIN,
    Reading,
    cautious,
    confirmed,
    observed,
    orders_read_since,
    outcome_read,
    parked,
    standing_on,
    unsure,
    wants_reading,
)
from stockpush.reservation.exposure import Terms, item_terms, offer, target, terms
from stockpush.reservation.horizons import NOTHING_SAID, Promised
from stockpush.reservation.ledger import where
from stockpush.reservation.limits import Limits, limits_of
from stockpush.reservation.parting import may_raise
from stockpush.reservation.per_order import claimed
from stockpush.reservation.view import View
from stockpush.values import replace

UNTOLD_WAIT = timedelta(seconds=5)
"""How long a push waits whose compare was lost without being told the number."""
UNSENT_WAIT_MAX = timedelta(minutes=5)
UNSENT_DOUBLED_MAX = 10
"""Longest wait before a write is made again that did not arrive, and how often the wait doubles."""
STARTED_MAX = 2_000
"""Most fields of a channel that one transaction looks at when the daemon starts."""
LOW_OFFER_MAX = 5
LOW_READ_EVERY = timedelta(minutes=10)
"""Up to which offer a field is read how often, if not more often anyway (R9)."""
POST_CHECK = timedelta(seconds=2)
"""How long after a write without compare-and-set the field is read again (R10)."""


class Reached(NamedTuple):
    """What a change of others' stock or demand makes of items that share a material with them.

    The fields whose offer differs, and the shelves of those that begin or cease to be guarded.
    `atps` has what can be promised then of all that were looked at, by shelf, and `by` that by the
    horizons of their listings.
    """

    fields: frozenset[FieldKey] = frozenset()
    shelves: tuple[Shelf, ...] = ()
    atps: Mapping[str, int] = MappingProxyType({})
    by: Mapping[str, Promised] = MappingProxyType({})


class Wait(StrEnum):
    """What a dirty field waits for before its number is written, besides its turn."""

    ORDERS = "orders"
    """The channel's open orders, read once after the field's first reading."""
    READING = "reading"
    """A reading, before its number is raised (R7)."""
    OTHERS = "others"
    """A reading, or the open orders, of a listing that it parts what there is with."""


def target_of(
    view: View, field: Field, *, atp: int, policy: ChannelPolicy, by: Promised = NOTHING_SAID
) -> int:
    """Return T: what the field should show at this ATP, in the channel's units, >= 0; `by` as in
    `sharing.shown`.
    """
    shown = shown_on(view, field, atp=atp, policy=policy, by=by)
    return target(shown.offer, standing_on(field, policy), cap=policy.cap)


def target_in(view: View, net: netting.Netting, field: Field, policy: ChannelPolicy) -> int:
    """Return T of a field of which the shelf was netted."""
    shown = shown_in(view, net, field, policy)
    return target(shown.offer, standing_on(field, policy), cap=policy.cap)


def shown_in(
    view: View, net: netting.Netting, field: Field, policy: ChannelPolicy
) -> sharing.Shown:
    """Return what a field should sell from now on of which the shelf was netted."""
    shelf = _shelf(view, field)
    by = horizons.promised(view, net, shelf)
    return shown_on(view, field, atp=netting.atp(net, shelf), policy=policy, by=by)


def shown_on(
    view: View, field: Field, *, atp: int, policy: ChannelPolicy, by: Promised = NOTHING_SAID
) -> sharing.Shown:
    """Return what the field should sell from now on at this ATP, in the channel's units; `by` as in
    `sharing.shown`.

    One that no listing of its item is on any more shows what it would alone.
    """
    if _is_mapped(view, field):
        return sharing.shown(view, field.key, atp=atp, policy=policy, by=by)
    limits = limits_on(view, field, policy)
    uncapped = offer(atp, buffer=limits.buffer, pack=field.pack, cap=policy.cap)
    alone = min(limits.most, uncapped)
    return sharing.Shown(alone, alone, uncapped)


def limits_on(view: View, field: Field, policy: ChannelPolicy) -> Limits:
    """Return what a field is never to show, by the listings on it."""
    listings = view.catalogue.listings_on.get(field.key, ())
    return limits_of(view.catalogue, listings, field.sku, policy)


def mark(
    view: View,
    decisions: Sequence[Decision],
    at: datetime,
    reached: Reached | None = None,
) -> Decision:
    """Make the outbox right for every field whose target may have changed, and for no other.

    Run once per transaction, over the view after its last decision. Items that begin or cease to be
    guarded are told apart first. Where groups were read in part, `reached` is what differs of other
    items.
    """
    skus = frozenset[str]().union(*(each.touched_skus for each in decisions))
    fields = frozenset[FieldKey]().union(*(each.touched_fields for each in decisions))
    if not (skus or fields):
        return Decision()
    if view.rows.partial is None:
        affected = view.catalogue.group(skus)
        keys = set(fields) | view.catalogue.fields_showing(affected)
    else:
        assert reached is not None, "how far the change reaches was not looked for"
        affected = frozenset(sku for sku in skus if view.catalogue.knows(sku))
        affected |= view.catalogue.group(filter(view.catalogue.is_split, affected))
        keys = set(fields) | view.catalogue.fields_showing(affected) | reached.fields
    rows = [row for key in sorted(keys) if (row := view.field(key)) is not None]
    shown = {_shelf(view, row) for row in rows if _is_read(view, row)}
    showing = sorted(shown | (set(skus) & affected))
    known = {} if reached is None else reached.atps
    unknown = [shelf for shelf in showing if shelf not in known]
    by: dict[str, Promised] = {} if reached is None else dict(reached.by)
    found: dict[str, int] = {}
    if unknown:
        net = view.net(unknown)
        found = netting.atp_all(net, unknown)
        if view.catalogue.listed_horizons:
            by |= {shelf: horizons.promised(view, net, shelf) for shelf in unknown}
    atps = {shelf: known[shelf] if shelf in known else found[shelf] for shelf in showing}
    least = {**known, **atps}
    if by:
        least |= {
            shelf: horizons.least(view.catalogue, shelf, least[shelf], each)
            for shelf, each in by.items()
        }
    # Those that were reached have turned already.
    turned = sharing.turned(
        view, {shelf: least[shelf] for shelf in shown if shelf in affected or shelf not in known}
    )
    if turned:
        view = view.after(Decision(shelves=turned))
    shelves = turned + (() if reached is None else reached.shelves)
    changed: list[Field] = []
    dirty: list[Dirty] = []
    clean: list[tuple[FieldKey, int]] = []
    for row in rows:
        queued = view.rows.dirty.get(row.key)
        if not _is_mapped(view, row):
            clean += [] if queued is None else [(row.key, queued.revision)]
            continue
        shelf = _shelf(view, row)
        field, difference = _looked_at(
            view, row, atps.get(shelf), at, by=by.get(shelf, NOTHING_SAID)
        )
        if field is not row:
            changed.append(field)
        if difference == 0:
            if queued is not None:
                clean.append((field.key, queued.revision))
        elif queued is None:
            marked = replace(field, revision=field.revision + 1)
            changed.append(marked)
            dirty.append(_queue(view, marked, at, decrease=difference < 0))
        elif difference < 0 and not queued.decrease:
            dirty.append(replace(queued, decrease=True, due_at=min(queued.due_at, at)))
    return Decision(
        fields=tuple(changed),
        dirty=tuple(dirty),
        clean=tuple(clean),
        shelves=shelves,
        events=(
            *sharing.told(shelves, least),
            *_shortages({row.key for each in decisions for row in each.shelves}, atps),
        ),
    )


def _looked_at(
    view: View, field: Field, atp: int | None, at: datetime, *, by: Promised
) -> tuple[Field, int]:
    """Return the field, and its target minus what it shows or will show; 0 where it must not be
    pushed.

    Its next reading is pulled nearer where its listing shows little, unless that is its cap's doing
    (R9). Where it need not be it
    is the same object: there is one write when a listing becomes low, and none for each sale after
    that.
    """
    policy = view.catalogue.policies.get(field.key.channel)
    if policy is None or atp is None or field.expected is None or field.parked_reason is not None:
        return field, 0
    shown = shown_on(view, field, atp=atp, policy=policy, by=by)
    if shown.left <= LOW_OFFER_MAX:
        field = wants_reading(field, at=at + LOW_READ_EVERY)
    return field, _difference(
        view, field, target(shown.offer, standing_on(field, policy), cap=policy.cap), policy
    )


def _is_mapped(view: View, field: Field) -> bool:
    """Answer whether the catalogue still has this field for this item.

    A listing may have moved to another field, and a field's row to another item, while a reading
    or a push was under way.
    """
    return view.catalogue.sku_of(field.key) == field.sku


def _is_read(view: View, field: Field) -> bool:
    """Answer whether the shelf that a field shows was read, as whatever brings the field has it.

    Of a field that no listing is on any more, or listings of different items, it may not have been:
    nothing is shown there, and a shelf that was not read must not be taken for an empty one.
    """
    listings = view.catalogue.listings_on.get(field.key, ())
    return {listing.sku for listing in listings} == {field.sku}


def _difference(view: View, field: Field, wanted: int, policy: ChannelPolicy) -> int:
    """Return target minus what a field shows or will show; 0 where it must not be pushed."""
    assert field.expected is not None
    if policy.mode is Mode.SHADOW:
        return wanted - (field.expected if field.shadowed is None else field.shadowed)
    if not field.adopted or field.first_observed_at is None:
        return 0
    flying = view.rows.in_flight.get(field.key)
    return wanted - (field.expected if flying is None else flying.target)


def _queue(view: View, field: Field, at: datetime, *, decrease: bool) -> Dirty:
    """Return the outbox row of a field that has just become dirty (R7)."""
    quiet = timedelta(seconds=view.catalogue.policies[field.key.channel].quiet_s)
    return Dirty(
        key=field.key,
        revision=field.revision,
        due_at=at if decrease else at + quiet,
        decrease=decrease,
        because="fewer to promise" if decrease else "more to promise",
    )


def _shortages(skus: Iterable[str], atps: dict[str, int]) -> tuple[Event, ...]:
    """Return an event for each item whose changed shelf leaves demand that nothing covers."""
    return tuple(
        Event("shortage.found", where(shelf) | {"short": -atps[shelf]})
        for shelf in sorted(set(skus))
        if atps.get(shelf, 0) < 0
    )


def start(view: View, command: StartChannel, at: datetime) -> Decision:
    """Look at every field of a channel: policies may have changed while no daemon ran.

    A field whose number was read in shadow is read anew when its channel has gone live: somebody
    else may have written there since, and a difference would look like sales.
    """
    policy = view.catalogue.policies[command.channel]
    if command.part is None and starts_in_parts(command.channel, view.catalogue):
        return Decision(outcome=Accepted(facts={"too_many": True}))
    feeds = _fed_anew(view.catalogue, policy)
    draft = Draft(view.after(Decision(feeds=feeds)), at) if feeds else Draft(view, at)
    if feeds:
        _change_pools(draft, command.channel, view.catalogue.fed_by(command.channel))
    keys = view.catalogue.listings_on if command.part is None else command.part
    for key in sorted(keys):
        field = view.field(key)
        if key.channel != command.channel or field is None or field.parked_reason is not None:
            continue
        live = policy.mode is Mode.LIVE
        if live and field.expected is not None and field.first_observed_at is None:
            field = wants_reading(replace(field, shadowed=None), at=at)
        draft.change(field)
    return replace(draft.decision(), feeds=feeds)


def starts_in_parts(channel: str, catalogue: Catalogue) -> bool:
    """Answer whether a channel has so many fields that they are looked at in parts.

    Not where its pool changes, which one transaction does for all of them, nor where anything is
    split, for which whole groups are read.
    """
    if catalogue.split or _fed_anew(catalogue, catalogue.policies[channel]):
        return False
    if len(catalogue.listings_on) <= STARTED_MAX:
        return False
    return sum(key.channel == channel for key in catalogue.listings_on) > STARTED_MAX


def _fed_anew(catalogue: Catalogue, policy: ChannelPolicy) -> tuple[Feed, ...]:
    """Return what is to be recorded where another pool feeds a channel from now on."""
    known = policy.pool in catalogue.pools  # whoever starts the daemon has refused one that is not
    if known and policy.pool != catalogue.fed_by(policy.name):
        return (Feed(policy.name, policy.pool),)
    return ()


def _change_pools(draft: Draft, channel: str, old: str) -> None:
    """Have what is open on a channel claim stock of the pool that feeds it now, and not of `old`.

    What is in suspense on its fields changes with them.
    """
    catalogue = draft.view.catalogue
    for row in draft.view.rows.reservations.values():
        if row.key.channel == channel and row.sku is not None:
            units = row.open * row.pack
            draft.reserve(shelf_key(row.sku, old), -units, row.bill)
            draft.reserve(catalogue.shelf_on(channel, row.sku), units, row.bill, moved=units > 0)
    for (name, _), lines in draft.view.orders.items():
        taken = claimed(catalogue.per_order, lines) if name == channel else {}
        for supply, units in taken.items():
            draft.claim(shelf_key(supply, old), -units)
            draft.claim(catalogue.shelf_on(channel, supply), units)
    for key in catalogue.listings_on:
        if key.channel == channel and (sku := catalogue.sku_of(key)) is not None:
            draft.touched.add(shelf_key(sku, old))


def open_pushes(view: View, command: OpenPushes, at: datetime) -> Decision:
    """Compute targets now and open a push for each field that is still dirty and ready.

    Where fields are written together, a write in flight of one of them may still land and write
    them all: until it is settled the whole group waits (R6). Otherwise the group's other fields get
    a push too (`_companions`).
    The answer's facts: "pushes" to be sent, in call order; "opened", how many there are with those
    that are only recorded (shadow); and "poll_from": from when a poll of the channel's orders would
    let fields be pushed for the first time (None: none waits for that).
    """
    policy = view.catalogue.policies[command.channel]
    channel = view.channel(command.channel)
    together = {key: group for group in command.groups for key in group}
    net = view.net(
        {
            sku
            for key in (*command.fields, *together)
            if (sku := view.catalogue.shelf_of(key)) is not None
        }
    )
    opened: list[Push] = []
    fields: list[Field] = []
    waiting: list[Dirty] = []
    clean: list[tuple[FieldKey, int]] = []
    poll_from: datetime | None = None
    for key in command.fields:
        queued = view.rows.dirty.get(key)
        field = view.field(key)
        if queued is None or field is None or key in view.rows.in_flight:
            continue
        if not _is_mapped(view, field):
            clean.append((key, queued.revision))
            continue
        if any(other in view.rows.in_flight for other in together.get(key, ())):
            waiting.append(replace(queued, due_at=at + READ_AGAIN))
            continue
        wanted = target_in(view, net, field, policy)
        shadow = policy.mode is Mode.SHADOW
        theirs = not shadow and (not field.adopted or field.first_observed_at is None)
        if field.expected is None or theirs or field.parked_reason:
            clean.append((key, queued.revision))
            continue
        if not shadow and not orders_read_since(field, channel.polled_begun_at, policy):
            assert field.first_observed_at is not None
            listed_at = field.first_observed_at + timedelta(seconds=policy.orders_lag_s)
            poll_from = listed_at if poll_from is None else min(poll_from, listed_at)
            continue
        if wanted == (field.shadowed if shadow else field.expected):
            clean.append((key, queued.revision))
            continue
        doubted = command.lower_only or is_doubted(field, at) or not may_raise(view, field)
        if not shadow and wanted > field.expected and doubted:
            waiting.append(replace(queued, due_at=at + READ_AGAIN))
            continue
        sent = wanted if shadow else cautious(wanted, field)
        if sent == field.expected and not shadow:
            sent = wanted  # an equal value is never written
        push = Push(
            call_id=command.call_id,
            position=command.opened + len(opened),
            field=key,
            expected=field.expected,
            target=sent,
            revision=queued.revision,
            sent_at=at,
            terms=_terms(view, net, field, policy, sent - wanted),
            settled_at=at if shadow else None,
            outcome=PushOutcomeKind.SHADOW if shadow else None,
        )
        opened.append(push)
        if view.catalogue.is_split(_shelf(view, field)):
            view = view.after(Decision(pushes=(push,)))  # it may be sold from now on
        if shadow:
            clean.append((key, queued.revision))
            fields.append(replace(field, shadowed=sent))
        else:
            fields.append(replace(field, sold_since_push=0))
    for field in _companions(view, command, opened):
        assert field.expected is not None
        wanted = target_in(view, net, field, policy)
        sent = cautious(wanted, field)
        heard = orders_read_since(field, channel.polled_begun_at, policy) and not command.lower_only
        doubted = not heard or is_doubted(field, at) or not may_raise(view, field)
        if sent > field.expected and doubted:
            # Orders may have lowered what we expect to below nothing: no number is.
            sent = max(0, field.expected)
        queued = view.rows.dirty.get(field.key)
        opened.append(
            Push(
                call_id=command.call_id,
                position=command.opened + len(opened),
                field=field.key,
                expected=field.expected,
                target=sent,
                revision=field.revision if queued is None else queued.revision,
                sent_at=at,
                terms=_terms(view, net, field, policy, sent - wanted),
            )
        )
        if view.catalogue.is_split(_shelf(view, field)):
            view = view.after(Decision(pushes=(opened[-1],)))  # as above
        fields.append(replace(field, sold_since_push=0))
    return Decision(
        outcome=Accepted(
            facts={
                "pushes": tuple(push for push in opened if not _recorded_only(push)),
                "opened": len(opened),
                "poll_from": poll_from,
            }
        ),
        pushes=tuple(opened),
        fields=tuple(fields),
        dirty=tuple(waiting),
        clean=tuple(clean),
        events=tuple(
            Event(
                "push.shadowed",
                {"channel": push.field.channel, "listing": push.field.key, "offer": push.target},
            )
            for push in opened
            if _recorded_only(push)
        ),
    )


def _shelf(view: View, field: Field) -> str:
    """Return the shelf of what a field shows, in its channel's pool."""
    return view.catalogue.shelf_on(field.key.channel, field.sku)


def _companions(view: View, command: OpenPushes, opened: Sequence[Push]) -> list[Field]:
    """Return the other fields that are ours among those that a call writes with what it is for.

    They are written whether we wish or not, so their numbers are compared and the gap of the write
    is theirs too: a sale of one that falls into it must be found (R10). Mostly their target is E.
    So are those that wait to be read since they were parked, or for their orders after that: for
    their own sake nothing is written yet.
    """
    written = {push.field for push in opened if not _recorded_only(push)}
    others = [
        view.field(key)
        for group in command.groups
        if not written.isdisjoint(group)
        for key in group
        if key not in written
    ]
    return [
        field
        for field in others
        if field is not None
        and _is_mapped(view, field)
        and field.adopted
        and field.expected is not None
        and field.parked_reason is None
    ]


def is_doubted(field: Field, at: datetime) -> bool:
    """Answer whether E may be too low, so that the field is read before it is raised (R7).

    An order told of a change without telling what it did to the number, or when. If E is too low, a
    sale that we have not heard of may bring the number down to it, and a raise from E would pass.
    """
    due = field.read_due_at is not None and field.read_due_at <= at
    return due or field.uneaten > 0 or field.uneaten_surplus > 0


def derivation(view: View, net: netting.Netting, field: Field, policy: ChannelPolicy) -> Terms:
    """Return the terms that sum to the field's target (`target_in`), in the channel's units."""
    shelf, shown = _shelf(view, field), shown_in(view, net, field, policy)
    net = offered_by(view, net, field)
    limits = limits_on(view, field, policy)
    return terms(
        item_derivation(view, net, shelf),
        buffer=limits.buffer,
        pack=field.pack,
        cap=policy.cap,
        own_cap=limits.cap,
        undeducted=standing_on(field, policy),
        share=(shown.because, shown.offer) if shown.because else None,
    )


def offered_by(view: View, net: netting.Netting, field: Field) -> netting.Netting:
    """Return the netting of a field's shelf by whose ATP the field is offered."""
    if not _is_mapped(view, field):
        return net
    return horizons.looked_at(view, net, _shelf(view, field), field.key)


def item_derivation(view: View, net: netting.Netting, sku: str) -> Terms:
    """Return the terms that sum to the ATP of a shelf, in its item's smallest units."""
    held, suspense = view.shelf(sku).held, view.suspense(sku)
    return item_terms(net, sku, held=held, suspense=suspense)


def waits_for(
    view: View, field: Field, *, wanted: int, policy: ChannelPolicy, at: datetime
) -> Wait | None:
    """Return why `open_pushes` would leave out a live field of ours that is to show `wanted`."""
    polled = view.channel(field.key.channel).polled_begun_at
    if not orders_read_since(field, polled, policy):
        return Wait.ORDERS
    is_raise = field.expected is not None and wanted > field.expected
    if is_raise and is_doubted(field, at):
        return Wait.READING
    return Wait.OTHERS if is_raise and not may_raise(view, field) else None


def _terms(
    view: View, net: netting.Netting, field: Field, policy: ChannelPolicy, caution: int
) -> Terms:
    """Return the derivation that sums to what is sent; `caution` (<= 0) is what R7 holds back."""
    derived = derivation(view, net, field, policy)
    return (*derived, ("caution", caution)) if caution else derived


def _recorded_only(push: Push) -> bool:
    """Answer whether a push was only recorded."""
    return push.outcome is PushOutcomeKind.SHADOW


def settle_pushes(view: View, command: SettlePushes, at: datetime) -> Decision:
    """Learn from how each push of a call ended."""
    draft = Draft(view, at)
    pushes: list[Push] = []
    dirty: list[Dirty] = []
    clean: list[tuple[FieldKey, int]] = []
    listings: list[Listing] = []
    poll_now: set[str] = set()
    for settled in command.settled:
        push = view.rows.in_flight.get(settled.field)
        field = draft.field(settled.field)
        if push is None or field is None or push.call_id != settled.call_id:
            continue
        _log(draft, field, push, settled)
        lost = settled.outcome is PushOutcomeKind.CONFLICT
        if (
            field.expected is None
            or not _is_mapped(view, field)
            or (lost and field.parked_reason is not None)
        ):
            # Its listing moved, was adopted or parked meanwhile: its number is read anew, or is
            # not ours.
            pushes.append(replace(push, settled_at=at, outcome=settled.outcome))
            draft.change(field)
            continue
        if settled.outcome is PushOutcomeKind.UNKNOWN:
            # It stays in flight: no new write until its outcome has been learned (R6).
            pushes.append(replace(push, outcome=PushOutcomeKind.UNKNOWN))
            continue
        pushes.append(replace(push, settled_at=at, outcome=settled.outcome))
        queued = view.rows.dirty.get(settled.field)
        match settled.outcome:
            case PushOutcomeKind.APPLIED | PushOutcomeKind.UNCHANGED:
                draft.change(_applied(view, field, push, settled, at))
            case PushOutcomeKind.CONFLICT:
                _conflict(draft, field, push, settled)
                poll_now.add(settled.field.channel)
                if queued is not None:
                    dirty.append(_again(queued, push, settled, at))
            case PushOutcomeKind.REJECTED | PushOutcomeKind.GONE:
                is_split = view.catalogue.is_split(_shelf(view, field))
                away = parked(field, settled.reason, is_split=is_split)
                draft.let_go(field, away, DriftClass.MANUAL_EDIT, "parked")
                listings += [
                    replace(listing, parked_reason=settled.reason)
                    for listing in view.catalogue.listings_on.get(settled.field, ())
                ]
                if queued is not None:
                    clean.append((queued.key, queued.revision))
            case _:
                if queued is not None or push.target != push.expected:
                    dirty.append(_later(queued or _lost(field, push, at), settled, at))
                draft.change(field)
    return replace(
        draft.decision(),
        pushes=tuple(pushes),
        dirty=tuple(dirty),
        clean=tuple(clean),
        listings=tuple(listings),
        poll_now=frozenset(poll_now),
    )


def _again(queued: Dirty, push: Push, settled: PushSettled, at: datetime) -> Dirty:
    """Return the outbox row after a lost compare: at once, with the number that was told.

    Without a number nothing was learnt: let it be read first. A write without an answer that turns
    out not to have arrived is made again at once, and ever later if that goes on: something on the
    way to the channel lets no write through.
    """
    if settled.actual is None:
        return replace(queued, due_at=at + UNTOLD_WAIT)
    if push.outcome is not PushOutcomeKind.UNKNOWN or settled.actual != push.expected:
        return replace(queued, due_at=at)
    doubled = min(queued.attempts, UNSENT_DOUBLED_MAX)
    wait = min(UNSENT_WAIT_MAX, UNTOLD_WAIT * (2**doubled - 1))
    return replace(queued, due_at=at + wait, attempts=queued.attempts + 1)


def _applied(view: View, field: Field, push: Push, settled: PushSettled, at: datetime) -> Field:
    """Return the field after its push was confirmed."""
    after = confirmed(field, expected_sent=push.expected, target=push.target, at=at)
    if view.catalogue.policies[field.key.channel].compare_and_set:
        return after
    is_split = view.catalogue.is_split(_shelf(view, field))
    if settled.outcome is PushOutcomeKind.APPLIED and is_split:
        after = unsure(after, max(0, push.expected), at=at)
    if settled.gap_from is not None or settled.outcome is PushOutcomeKind.APPLIED:
        # Where nothing was written, what the write before may have overwritten still counts.
        after = replace(after, gap_from=settled.gap_from, gap_until=settled.gap_until)
    return wants_reading(after, at=at + POST_CHECK)


def _conflict(draft: Draft, field: Field, push: Push, settled: PushSettled) -> None:
    """Book what a lost compare tells of the channel's number."""
    if draft.view.catalogue.policies[field.key.channel].committed_apart:
        _set_again(draft, field, push, settled)
        return
    theirs = settled.actual == push.expected  # lost by another field of the same document
    lost = replace(field, lost_compares=field.lost_compares + (0 if theirs else 1))
    if settled.actual is None:
        draft.change(wants_reading(lost, at=draft.at))
        return
    if push.outcome is PushOutcomeKind.UNKNOWN and field.first_observed_at is None:
        # What was expected is older than what parked it, and no difference to it tells of a sale.
        draft.change(wants_reading(replace(lost, written_at=draft.at), at=draft.at))
        return
    if push.outcome is PushOutcomeKind.UNKNOWN:
        after = outcome_read(
            lost,
            settled.actual,
            expected_sent=push.expected,
            target=push.target,
            at=draft.at,
            date=settled.date,
        )
        note_reading(
            draft, field, after, Reading.LOWER if after.hold > field.hold else Reading.HIGHER
        )
    else:
        result = observed(
            lost,
            settled.actual,
            expected_sent=push.expected,
            revision_sent=push.revision,
            sent_at=push.sent_at,
            date=settled.date,
        )
        after = result.field
        if result.reading is Reading.FIRST:
            # It was read later than the push was opened, and orders are to be read later than that.
            after = replace(after, first_observed_at=draft.at)
        note_reading(draft, field, after, result.reading)
    if after.hold or after.surplus:
        after = wants_reading(after, at=draft.at + POST_CHECK)
    draft.change(after)


def _set_again(draft: Draft, field: Field, push: Push, settled: PushSettled) -> None:
    """R11: the number is another one, and there is nothing to suspect: it is set from there.

    What is committed was not told, so it is read.
    """
    if settled.actual is None:
        draft.change(wants_reading(field, at=draft.at))
        return
    unanswered = push.outcome is PushOutcomeKind.UNKNOWN
    if unanswered and settled.actual == push.target:
        after = confirmed(field, expected_sent=push.expected, target=push.target, at=draft.at)
        draft.change(wants_reading(after, at=draft.at + POST_CHECK))
        return
    seen = QuantitySeen(
        field=field.key,
        quantity=settled.actual,
        sent_at=draft.at if unanswered else push.sent_at,
        expected_sent=push.expected,
        revision_sent=field.revision,
        date=settled.date,
        open_sent=field.undeducted,
    )
    take_apart(draft, field, seen)
    draft.change(wants_reading(draft.fields[field.key], at=draft.at + POST_CHECK))


def _lost(field: Field, push: Push, at: datetime) -> Dirty:
    """Return the outbox row of a failed push whose own went when its target seemed on its way."""
    decrease = push.target < push.expected
    return Dirty(field.key, field.revision, at, decrease, because="its push failed")


def _later(queued: Dirty, settled: PushSettled, at: datetime) -> Dirty:
    """Return the outbox row due again; being told to wait is not an attempt."""
    counted = settled.outcome is not PushOutcomeKind.RATE_LIMITED
    return replace(
        queued,
        due_at=settled.retry_at or at,
        attempts=queued.attempts + (1 if counted else 0),
    )


def _log(draft: Draft, field: Field, push: Push, settled: PushSettled) -> None:
    """Write one log line for the end of a push."""
    names = {
        PushOutcomeKind.APPLIED: "push.applied",
        PushOutcomeKind.UNCHANGED: "push.applied",
        PushOutcomeKind.CONFLICT: "push.conflicted",
        PushOutcomeKind.UNKNOWN: "push.unknown",
        PushOutcomeKind.REJECTED: "listing.parked",
        PushOutcomeKind.GONE: "listing.parked",
    }
    draft.events.append(
        Event(
            names.get(settled.outcome, "push.failed"),
            {
                "channel": field.key.channel,
                "listing": field.key.key,
                "sku": field.sku,
                "expected": push.expected,
                "offer": push.target,
                "observed": settled.actual,
                "reason": settled.reason,
            },
        )
    )
