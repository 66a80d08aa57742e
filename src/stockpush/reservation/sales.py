"""Deliveries and orders: what a sale, an edit, a cancel or a refund does to stock.

A sale already made is a fact and is never refused. Its whole effect is written at once: demand
moves by what is open, the field that sold it by what the channel has deducted, the shelf by
what has left, and never one of them by another's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from stockpush.messages import (
    ApplyOrders,
    Decision,
    Event,
    Heard,
    NoteHealth,
    NoteHeard,
    Nothing,
    OrderHint,
    OrderSeen,
    QuantityHint,
    ReceiveDelivery,
    Replayed,
)
from stockpush.model import (
    ChannelState,
    Delivery,
    DeliveryState,
    FieldKey,
    ListingKey,
    MovementKind,
    OrderVersion,
    Reservation,
    StockMovement,
)
from stockpush.reservation import backflush, supplies
from stockpush.reservation.committed import heard_apart
from stockpush.reservation.draft import Draft
from stockpush.reservation.drift import open_apart
from stockpush.reservation.expectation import deducted, perhaps_put_back, wants_reading
from stockpush.reservation.orders import Effect, Verdict, merge, undeducted
from stockpush.reservation.view import View
from stockpush.values import replace

_HINTS = (OrderHint, QuantityHint)
STATE_SHOWN_MAX = 40
"""How much of a channel's own word is shown to people: it is text from outside."""


def receive(view: View, command: ReceiveDelivery, at: datetime) -> Decision:
    """Take one verified delivery: apply the facts it carries, keep what only points at something.

    A body seen before and not yet processed is a duplicate. One that was processed is a duplicate
    too if it carries its own version; if it is only a hint it is a new reason to fetch.
    """
    delivery = command.delivery
    known = view.rows.deliveries.get((delivery.channel, delivery.digest))
    hinted = any(isinstance(seen, _HINTS) for seen in command.seen)
    repeated = known is not None and (known.state is DeliveryState.PENDING or not hinted)
    if repeated and not command.replay:
        return Decision(outcome=Replayed(), deliveries=_armed_again(known, delivery, hinted=hinted))
    draft = Draft(view, at)
    pending: str | None = None
    quarantined: str | None = (
        delivery.reason if delivery.state is DeliveryState.QUARANTINED else None
    )
    sold_at: datetime | None = None
    heard: tuple[Heard, ...] = ()
    note = ""
    moved: set[ListingKey] = set()
    for seen in command.seen:
        match seen:
            case OrderSeen():
                sold_at = at
                heard += _first_heard(draft, seen, told=True)
                if _apply(draft, seen) is Verdict.TIE:
                    pending = seen.order_id
                if not seen.state_known:
                    note = _odd(seen)
            case OrderHint():
                pending = seen.order_id
            case QuantityHint():
                field = draft.field(FieldKey(seen.channel, seen.field_key))
                if field is not None and (seen.told is None or seen.told != field.expected):
                    draft.wish(wants_reading(field, at=at))
                moved |= _moved_listing(view, seen)
            case Nothing():
                pass
    if quarantined is not None:
        state, reason = DeliveryState.QUARANTINED, quarantined
    elif pending is not None:
        state, reason = DeliveryState.PENDING, "to be fetched"
    else:
        state, reason = DeliveryState.APPLIED, note
    row = Delivery(
        channel=delivery.channel,
        digest=delivery.digest,
        topic=delivery.topic,
        received_at=delivery.received_at,
        state=state,
        reason=reason,
        order_id=pending,
        # A body is kept only while it cannot be applied: it names a buyer.
        body=delivery.body if state is DeliveryState.QUARANTINED else None,
        id=None if known is None else known.id,
    )
    if state is DeliveryState.QUARANTINED:
        draft.events.append(
            Event(
                "delivery.quarantined",
                {"channel": row.channel, "topic": row.topic, "reason": reason},
            )
        )
    return draft.decision(
        deliveries=(row,),
        channels=_heard(view, delivery.channel, sold_at),
        resolve_now=frozenset(moved),
        heard=heard,
    )


def _armed_again(
    known: Delivery | None, delivery: Delivery, *, hinted: bool
) -> tuple[Delivery, ...]:
    """Return the row of a hint that comes again while it waits: its fetch may be under way, and may
    have been answered before whatever this one tells of. Received later, it is not settled by it.
    """
    if known is None or known.id is None or known.order_id is None or not hinted:
        return ()
    later = max(delivery.received_at, known.received_at + timedelta(microseconds=1))
    return (replace(known, received_at=later),)


def _moved_listing(view: View, hint: QuantityHint) -> set[ListingKey]:
    """Return the listing that the hint's number now seems to belong to, if it went elsewhere.

    A variation that begins, or ceases, to manage its own stock changes which field it goes by.
    """
    listing = view.catalogue.by_order_key.get((hint.channel, hint.field_key))
    if listing is None or listing.field_key == hint.field_key:
        return set()
    return {listing.key}


def _odd(order: OrderSeen) -> str:
    """Return what people are told of an order in a state that the connector does not know."""
    return (
        f"order {order.order_id} is in a state we do not know, {order.state[:STATE_SHOWN_MAX]!r}: "
        "it counts as still to be sent"
    )


def apply_orders(view: View, command: ApplyOrders, at: datetime) -> Decision:
    """Apply fetched or polled orders; with the last page of a poll, advance its cursor."""
    draft = Draft(view, at)
    applied = False
    heard: tuple[Heard, ...] = ()
    for order in command.orders:
        heard += _first_heard(draft, order, told=bool(command.settles))
        verdict = _apply(draft, order)
        applied = applied or (verdict is Verdict.NEWER and bool(order.lines))
    for order_id, fetch in command.gone:
        _apply_gone(draft, command.channel, order_id, fetch, at)
    channels = _heard(view, command.channel, at if applied else None)
    if command.completes is not None:
        state = channels[0] if channels else view.channel(command.channel)
        done = command.completes
        channels = (
            replace(
                state,
                started_date=state.started_date or done.date,
                cursor=done.cursor if done.cursor is not None else state.cursor,
                polled_begun_at=done.begun_at,
                previous_poll_begun_at=state.polled_begun_at,
            ),
        )
    return draft.decision(
        deliveries=command.deliveries,
        deliveries_applied=command.settles,
        channels=channels,
        heard=heard,
    )


def note_health(view: View, command: NoteHealth) -> Decision:
    """Record how the daemon sees a channel, for people who ask from outside."""
    state = view.channel(command.channel)
    if (state.health, state.health_reason) == (command.health, command.reason):
        return Decision()
    return Decision(channels=(replace(state, health=command.health, health_reason=command.reason),))


def note_heard(view: View, command: NoteHeard) -> Decision:
    """Record how long orders took to become known, for people who ask from outside."""
    state = view.channel(command.channel)
    if state.heard == command.heard:
        return Decision()
    return Decision(channels=(replace(state, heard=command.heard),))


def _first_heard(draft: Draft, order: OrderSeen, *, told: bool) -> tuple[Heard, ...]:
    """Return that the order has become known now, nothing where it was.

    One without lines (a download, a fee) is never kept, and would be new at every poll.
    """
    if not order.lines or draft.view.lines(order.channel, order.order_id):
        return ()
    return (Heard(order.channel, order.placed_at, told),)


def _heard(view: View, channel: str, at: datetime | None) -> tuple[ChannelState, ...]:
    """Return the channel's state with its last order at `at`, nothing if there was none."""
    if at is None:
        return ()
    return (replace(view.channel(channel), last_order_at=at),)


def _known_lines(draft: Draft, channel: str, order_id: str) -> list[Reservation]:
    """Return the order's reservations as changed so far."""
    before = draft.view.lines(channel, order_id)
    if not draft.reservations:
        return list(before)
    known = {row.key: row for row in before}
    changed = (row for key, row in draft.reservations.items() if key[:2] == (channel, order_id))
    return list((known | {row.key: row for row in changed}).values())


def _apply(draft: Draft, order: OrderSeen) -> Verdict:
    """Merge one order fact and write its effects."""
    catalogue = draft.view.catalogue
    known = _known_lines(draft, order.channel, order.order_id)
    merged = merge(
        known,
        order,
        listing_of=lambda key: catalogue.by_order_key.get((order.channel, key)),
        started=draft.view.channel(order.channel).started_date,
    )
    for effect in merged.effects:
        _write(draft, effect, order)
    if catalogue.per_order and merged.effects:
        _write_supplies(draft, known, merged.effects, order)
    if merged.verdict is Verdict.NEWER and not order.state_known:
        where = {"channel": order.channel, "order": order.order_id}
        draft.events.append(Event("order.flagged", where | {"reason": _odd(order)}))
    return merged.verdict


def _apply_gone(draft: Draft, channel: str, order_id: str, fetch: int, at: datetime) -> None:
    """The channel no longer has the order: what was open is released."""
    known = _known_lines(draft, channel, order_id)
    if not known:
        return
    newest = max(row.version for row in known)
    gone = OrderSeen(
        channel=channel,
        order_id=order_id,
        version=OrderVersion(newest.updated_at, max(fetch, newest.fetch + 1)),
        placed_at=known[0].placed_at,
        deducted_at=at,
        state="gone",
        lines=(),
    )
    _apply(draft, gone)


def _write(draft: Draft, effect: Effect, order: OrderSeen) -> None:
    """Write one line's effect on demand, on its channel's field and on the shelf."""
    line = effect.after
    draft.reservations[line.key] = line
    where = {
        "channel": line.key.channel,
        "order": line.key.order_id,
        "order_line": line.key.line_id,
    }
    if line.sku is None:
        if effect.before is None:
            draft.events.append(
                Event("line.unmapped", where | {"listing": line.order_key, "units": line.open})
            )
        return
    catalogue, sku = draft.view.catalogue, line.sku
    shelf = catalogue.shelf_on(line.key.channel, sku)
    made_with = draft.present_bill(sku) if effect.before is None else line.bill
    kept = draft.reserve(shelf, effect.open * line.pack, made_with)
    if kept != line.bill:
        line = draft.reservations[line.key] = replace(line, bill=kept)
    for kind, units in (
        (MovementKind.SALE, effect.shipped),
        (MovementKind.SCRAP, effect.written_off),
    ):
        if units:
            backflush.write(
                draft,
                StockMovement(
                    at=draft.at,
                    sku=sku,
                    quantity=-units * line.pack,
                    kind=kind if units > 0 else MovementKind.RETURN,
                    cause="order " + "/".join(line.key),
                    actor=line.key.channel,
                ),
                pool=catalogue.fed_by(line.key.channel),
                version=made_with,
            )
    if line.field is not None:
        _write_field(draft, line.field, effect, order)
    if effect.open:
        name = "reservation.committed" if effect.open > 0 else "reservation.released"
        draft.events.append(
            Event(name, where | {"sku": line.sku, "units": abs(effect.open) * line.pack})
        )


def _write_supplies(
    draft: Draft, known: Sequence[Reservation], effects: Sequence[Effect], order: OrderSeen
) -> None:
    """Write what the order as a whole takes once, however many of its lines there are."""
    lines = _known_lines(draft, order.channel, order.order_id)
    moved = {effect.after.key.line_id for effect in effects if effect.shipped}
    supplies.reclaim(draft, order.channel, known, lines)
    supplies.send(draft, known, lines, moved)


def _write_field(draft: Draft, key: FieldKey, effect: Effect, order: OrderSeen) -> None:
    """Write one line's effect on the field that sold it."""
    field = draft.field(key)
    if field is None:
        return
    before = 0 if effect.before is None else undeducted(effect.before)
    waiting = max(0, field.undeducted + undeducted(effect.after) - before)
    heard = waiting - field.undeducted
    if heard:
        field = replace(field, undeducted=waiting)
    catalogue = draft.view.catalogue
    policy = catalogue.policies.get(key.channel)
    was_open = effect.before is not None and effect.before.open > 0
    if policy is not None and policy.committed_apart and (was_open or effect.after.open > 0):
        known = field
        field = heard_apart(
            field,
            heard,
            placed_at=order.placed_at,
            updated_at=order.version.updated_at,
            slack_s=policy.slack_s,
            at=draft.at,
        )
        open_apart(draft, known, field)
    field = deducted(
        field,
        effect.deducted,
        # A new line was deducted when it was bought; an edit or a restock came with this version.
        instant=order.version.updated_at if effect.edited else order.deducted_at,
        placed_at=order.placed_at,
        slack_s=1.0 if policy is None else policy.slack_s,
        at=draft.at,
    )
    polled = order.version.fetch > 0 and effect.deducted != 0
    if effect.deducted_unknown:
        field = perhaps_put_back(
            field,
            effect.perhaps_put_back,
            at=draft.at,
            is_split=catalogue.is_split(catalogue.shelf_on(key.channel, field.sku)),
        )
    elif polled and policy is not None and not policy.compare_and_set:
        # No delivery told of it, and nothing compares there: somebody may have written over it.
        field = wants_reading(field, at=draft.at)
    if field.unsure_since is not None:
        field = replace(field, unsure_since=None)  # it is to be read once more, with nothing heard
    draft.change(field)
