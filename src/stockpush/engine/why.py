"""Why a number is what it is: its derivation now, or as it was when it was sent.

Theory of operation. The present is derived from one view by the functions that decide the pushes,
so that there is no second arithmetic: an item's terms sum to its ATP, a listing's to its target.
The past is not derived but read: each push was stored with its terms, which sum to what was sent.
What was not stored is not made up: of an order line only the newest version is kept, and of pushes
those of `ports.KEPT`. What each term is made of is said in words (wording.py).

The store's side is described by protocols, which its own values fit. The shape is that of
docs/interface.md: keys may be added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, Protocol

from stockpush.engine import wording
from stockpush.engine.report import ListingRow, listing_row
from stockpush.engine.wording import OUTCOMES, Now, OpenUnits, when
from stockpush.model import (
    MAIN,
    ChannelPolicy,
    Field,
    FieldKey,
    Health,
    Item,
    Listing,
    Lot,
    LotKey,
    Push,
    PushOutcomeKind,
    Reservation,
    StockMovement,
    shelf_key,
)
from stockpush.ports import KEPT
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons, sold_out
from stockpush.reservation.exposure import Terms
from stockpush.reservation.lots import LotState
from stockpush.reservation.lots import state as lot_state
from stockpush.reservation.pushes import (
    Wait,
    derivation,
    item_derivation,
    offered_by,
    waits_for,
)
from stockpush.reservation.view import View
from stockpush.units import format_duration, format_quantity

LINES_MAX = 500
"""Most order lines of an item that are looked at for the orders that its terms name."""
CHANGES_MAX = 10
"""Most movements, and most orders, that are listed of what has changed since a push."""


@dataclass(frozen=True, slots=True)
class ItemTerm:
    """One line of an item's derivation: `quantity` is signed, in the item's unit."""

    name: str
    quantity: str
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class ListingTerm:
    """One line of a listing's derivation: `quantity` is signed, in the channel's units."""

    name: str
    quantity: int
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class SentRow:
    """One push: `was` is the number that the channel was expected to hold, in its units.

    `settled_at` and `outcome` are None while it is under way; `told` says how it ended, in words.
    """

    id: str
    sent_at: datetime
    was: int
    settled_at: datetime | None
    outcome: str | None
    told: str


@dataclass(frozen=True, slots=True)
class MovementRow:
    """One movement: `quantity` is signed, in the unit of its item."""

    id: str
    at: datetime
    sku: str
    quantity: str
    unit: str
    kind: str
    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """The newest version of an order line, in units of `pack` each: what it was before is not kept.

    `updated_at` is that version's instant, by the channel's clock.
    """

    source: str
    sku: str
    pack: int
    placed_at: datetime
    updated_at: datetime
    ordered: int
    open: int
    shipped: int


@dataclass(frozen=True, slots=True)
class SinceRow:
    """What has changed since a push, oldest first; `more_...` count what is not listed."""

    movements: tuple[MovementRow, ...]
    more_movements: int
    orders: tuple[OrderRow, ...]
    more_orders: int


@dataclass(frozen=True, slots=True)
class ListingWhy:
    """One listing: its `terms` sum to `shown`, which is what it should show now, or what was sent.

    Without a number to derive both are empty and None, and `reason` says why. `expected` is what
    the channel is believed to show now, `pushed_at` when its number was last written and `state`
    where it stands now, as in `stock --json`. `push` is the one under way, or the one of the
    instant that was asked for; `since` is what has changed since that one. `bound` is that of
    `stock --json`, None in the past. `horizon` is how soon what is promised on it has to be there
    where that is not its item's horizon, and the terms are then those of an item which has it.
    """

    channel: str
    ref: Mapping[str, Any]
    pack: int
    terms: tuple[ListingTerm, ...]
    shown: int | None
    expected: int | None
    pushed_at: datetime | None
    state: str
    reason: str | None
    push: SentRow | None
    since: SinceRow | None = None
    bound: int | None = None
    horizon: str | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """One item of `why --json`: quantities are decimal strings in the item's unit.

    `at` is the instant that it is about. Now it is about one `pool`, the listings among it, and
    `elsewhere` has the same of every other one; `terms` sum to `atp`, and `exposure` is how many
    would be sold beyond what there is if every listing sold out at once. Of the past only `on_hand`
    is known of the item itself, of all pools together: `terms` is empty, `atp` and `exposure` None.
    """

    sku: str
    name: str
    unit: str
    at: datetime
    past: bool
    on_hand: str
    atp: str | None
    terms: tuple[ItemTerm, ...]
    listings: tuple[ListingWhy, ...]
    note: str | None = None
    pool: str = MAIN
    elsewhere: tuple[Why, ...] = ()
    exposure: str | None = None


# -- the database's side ---------------------------------------------------------------------


class Evidence(Protocol):
    """What the present numbers of one item are made of, besides the view."""

    @property
    def last(self) -> StockMovement | None:
        """Return the item's newest movement."""
        ...

    @property
    def open(self) -> Sequence[OpenUnits]:
        """Return every channel with open units of it."""
        ...

    @property
    def lines(self) -> Sequence[Reservation]:
        """Return its newest open order lines, newest first."""
        ...


class Changes(Protocol):
    """What has changed since an instant, oldest first."""

    @property
    def movements(self) -> Sequence[StockMovement]:
        """Return the movements."""
        ...

    @property
    def more_movements(self) -> int:
        """Return how many more there are."""
        ...

    @property
    def orders(self) -> Sequence[Reservation]:
        """Return the order lines whose newest version is of a later instant."""
        ...

    @property
    def more_orders(self) -> int:
        """Return how many more there are."""
        ...


class PastField(Protocol):
    """A field's newest push at or before an instant, and what has changed since."""

    @property
    def push(self) -> Push | None:
        """Return that push, None where none is kept."""
        ...

    @property
    def oldest_at(self) -> datetime | None:
        """Return when the oldest push that is kept was sent."""
        ...

    @property
    def since(self) -> Changes | None:
        """Return what has changed since the push."""
        ...


class Past(Protocol):
    """What is known of an item's numbers at an earlier instant, besides the view of now."""

    @property
    def on_hand(self) -> int:
        """Return the sum of its movements up to then."""
        ...

    @property
    def lots(self) -> Mapping[LotKey, int]:
        """Return that of those that name a lot, or a location besides MAIN."""
        ...

    @property
    def last(self) -> StockMovement | None:
        """Return the newest of them."""
        ...

    @property
    def fields(self) -> Mapping[FieldKey, PastField]:
        """Return every field that now shows the item."""
        ...


# -- now -------------------------------------------------------------------------------------


def why_now(
    view: View,
    evidence: Evidence,
    sku: str,
    *,
    at: datetime,
    settings: Mapping[str, str],
    zone: tzinfo | None,
) -> Why:
    """Return the derivation of an item's ATP and of what each of its listings should show.

    `view` holds every shelf and field of the item's group. `settings` names the setting that each
    channel's buffer comes from; instants are told in `zone`, None for this machine's.
    """
    first, *others = (
        _why_in(view, evidence, sku, pool, at=at, settings=settings, zone=zone)
        for pool in view.catalogue.pools
    )
    return replace(first, elsewhere=tuple(others))


def _noted(now: Now, atp: int) -> str | None:
    """Return what is to be said of an item's sum that none of its terms says."""
    if atp < 0:
        return f"{now.amount(-atp, now.item.sku)} short: more is ordered than can be made"
    if netting.buildable(now.net, now.shelf):
        return None
    return wording.not_in_time(now.view, now.net, now.shelf)


def _why_in(
    view: View,
    evidence: Evidence,
    sku: str,
    pool: str,
    *,
    at: datetime,
    settings: Mapping[str, str],
    zone: tzinfo | None,
) -> Why:
    """Return the derivations of an item's numbers in one pool."""
    item, shelf, fed_by = view.catalogue.items[sku], shelf_key(sku, pool), view.catalogue.fed_by
    net = view.net([shelf])
    now = Now(
        view,
        net,
        item,
        evidence.last,
        [each for each in evidence.open if fed_by(each.channel) == pool],
        [each for each in evidence.lines if fed_by(each.key.channel) == pool],
        settings,
        zone,
        pool,
    )
    terms = item_derivation(view, net, shelf)
    atp, by = netting.atp(net, shelf), horizons.promised(view, net, shelf)
    return Why(
        sku=sku,
        name=item.name,
        unit=item.unit,
        at=at,
        past=False,
        on_hand=format_quantity(view.shelf(shelf).on_hand, item.scale),
        atp=format_quantity(atp, item.scale),
        terms=tuple(
            ItemTerm(
                name, format_quantity(quantity, item.scale), *wording.of_item(now, name, quantity)
            )
            for name, quantity in terms
        ),
        listings=tuple(
            _listing_now(now, listing, terms, listing_row(view, listing, atp, by), at)
            for listing in _listings(view, sku)
            if fed_by(listing.key.channel) == pool
        ),
        note=_noted(now, atp),
        pool=pool,
        exposure=format_quantity(
            sold_out.too_much(view, sold_out.net(view, [shelf]), shelf), item.scale
        ),
    )


def _listings(view: View, sku: str) -> list[Listing]:
    """Return the listings of an item, by channel and reference."""
    listings = view.catalogue.listings
    return [listings[key] for key in sorted(listings) if listings[key].sku == sku]


def _field(view: View, listing: Listing) -> Field | None:
    if listing.field_key is None:
        return None
    return view.field(FieldKey(listing.key.channel, listing.field_key))


def _listing_now(
    now: Now, listing: Listing, item: Terms, row: ListingRow, at: datetime
) -> ListingWhy:
    """Return one listing's derivation, and where its number stands."""
    view = now.view
    policy, field = view.catalogue.policies.get(listing.key.channel), _field(view, listing)
    flying = None if field is None else view.rows.in_flight.get(field.key)
    terms: tuple[ListingTerm, ...] = ()
    horizon: str | None = None
    is_its_own = field is not None and field.sku == listing.sku
    if policy is not None and field is not None and is_its_own:
        then, offered, of_item = now, offered_by(view, now.net, field), dict(item)
        if offered is not now.net:
            said = offered.times.horizons.get(now.shelf)
            if said is not None and said != now.item.horizon_s:
                horizon = format_duration(said)
            # What others have built, of what is ordered, is the same by any horizon.
            then = replace(now, net=replace(offered, built={**now.net.built, **offered.built}))
            of_item = dict(item_derivation(view, offered, now.shelf))
        terms = tuple(
            ListingTerm(name, quantity, *_note(then, name, quantity, of_item, field, policy))
            for name, quantity in derivation(view, now.net, field, policy)
        )
    return ListingWhy(
        channel=listing.key.channel,
        ref=listing.ref,
        pack=listing.pack,
        terms=terms,
        shown=row.offer if is_its_own else None,
        expected=row.expected,
        pushed_at=row.pushed_at,
        state=row.state,
        reason=_waits(now, row, field, policy, at),
        push=None if flying is None else _sent(flying),
        bound=row.bound,
        horizon=horizon,
    )


def _note(
    now: Now,
    name: str,
    quantity: int,
    item: Mapping[str, int],
    field: Field,
    policy: ChannelPolicy,
) -> wording.Note:
    """Return what is said of a listing's term: of one that is the item's, the same in packs."""
    if name not in item:
        return wording.of_listing(now, name, quantity, field, policy)
    note = wording.of_item(now, name, item[name])
    if field.pack == 1 or not item[name]:
        return note
    packs = f"{now.amount(item[name], now.item.sku)} in packs of {field.pack}"
    return note._replace(text=f"{packs}: {note.text}")


def _waits(
    now: Now, row: ListingRow, field: Field | None, policy: ChannelPolicy | None, at: datetime
) -> str | None:
    """Return why a listing does not show what it should, None where it does."""
    if field is not None and field.sku != now.item.sku:
        return "its number was another item's and is read anew: stockpush run"
    if row.state in {"parked", "mapped", "unknown"} or field is None or policy is None:
        return row.reason
    if row.state == "shadow":
        shown = f"{field.shadowed} was recorded last" if field.shadowed is not None else ""
        return "shadow mode: nothing is written" + (f"; {shown}" if shown else "")
    if row.state == "pushing":
        return "it is being written"
    if row.state == "in_sync":
        return None
    channel, queued = now.view.channel(policy.name), now.view.rows.dirty.get(field.key)
    assert row.offer is not None
    if channel.health is not Health.OK:
        told = f": {channel.health_reason}" if channel.health_reason else ""
        return f"the channel is {channel.health.value.replace('_', ' ')}{told}"
    match waits_for(now.view, field, wanted=row.offer, policy=policy, at=at):
        case Wait.ORDERS:
            return "the channel's open orders have to be read first: stockpush run"
        case Wait.READING:
            return "it is raised once its number has been read again: stockpush run"
        case Wait.OTHERS:
            return (
                "it is raised once the numbers and orders of all that it shares with have been "
                "read: stockpush run"
            )
        case None:
            pass
    if queued is None:
        return "the daemon looks at it when it starts: stockpush run"
    if queued.attempts:
        tries = "once" if queued.attempts == 1 else f"{queued.attempts} times"
        return f"tried {tries} in vain, again at {when(queued.due_at, now.zone)}"
    if queued.due_at > at:
        return f"it waits until {when(queued.due_at, now.zone)}"
    return f"next in line ({queued.because}): stockpush run"


def _sent(push: Push) -> SentRow:
    told = OUTCOMES[push.outcome] if push.outcome is not None else "under way"
    return SentRow(
        id=f"push {push.id}",
        sent_at=push.sent_at,
        was=push.expected,
        settled_at=push.settled_at,
        outcome=None if push.outcome is None else push.outcome.value,
        told=told,
    )


# -- then ------------------------------------------------------------------------------------


def why_then(
    view: View,
    past: Past,
    sku: str,
    *,
    at: datetime,
    asked_at: datetime,
    zone: tzinfo | None,
) -> Why:
    """Return what each of an item's listings was last sent at or before `at`, as it was derived.

    `view` is that of `asked_at`, the present.
    """
    item, net = view.catalogue.items[sku], view.net(view.catalogue.shelves_of(sku))
    apart = _withheld(view, past, at)
    note = (
        wording.moved(past.last, item, zone).text
        if past.last is not None
        else "it had never moved by then"
    )
    if apart:
        note += f"; besides, and not sold then: {wording.amount(apart, item)}"
    return Why(
        sku=sku,
        name=item.name,
        unit=item.unit,
        at=at,
        past=True,
        on_hand=format_quantity(past.on_hand - apart, item.scale),
        atp=None,
        terms=(),
        listings=tuple(
            _listing_then(view, listing, row, past, at, asked_at, zone)
            for listing in _listings(view, sku)
            for shelf in (view.catalogue.shelf_on(listing.key.channel, sku),)
            for by in (horizons.promised(view, net, shelf),)
            for row in (listing_row(view, listing, netting.atp(net, shelf), by),)
        ),
        note=note,
    )


def _withheld(view: View, past: Past, at: datetime) -> int:
    """Return what lay in lots, or at locations, that were not sold at an instant.

    Their days are those that are known now, and whether they are in quarantine, or their location
    is sold from, as it is now: what either was before is not kept.
    """
    return sum(
        units
        for key, units in past.lots.items()
        if lot_state(
            view.rows.lots.get(key) or Lot(key, at),
            at,
            place_sells=view.catalogue.sells_from(key.location),
        )
        is not LotState.SELLABLE
    )


def _listing_then(
    view: View,
    listing: Listing,
    row: ListingRow,
    past: Past,
    at: datetime,
    asked_at: datetime,
    zone: tzinfo | None,
) -> ListingWhy:
    """Return what a listing was last sent by then, or what is known where that is not kept."""
    key = None if listing.field_key is None else FieldKey(listing.key.channel, listing.field_key)
    known = None if key is None else past.fields.get(key)
    push = None if known is None else known.push
    if push is None:
        oldest_at = None if known is None else known.oldest_at
        return ListingWhy(
            channel=listing.key.channel,
            ref=listing.ref,
            pack=listing.pack,
            terms=(),
            shown=None,
            expected=row.expected,
            pushed_at=row.pushed_at,
            state=row.state,
            reason=_nothing(row, oldest_at, at, asked_at, zone),
            push=None,
        )
    assert known is not None
    since = known.since
    return ListingWhy(
        channel=listing.key.channel,
        ref=listing.ref,
        pack=listing.pack,
        terms=tuple(
            ListingTerm(
                name,
                quantity,
                wording.wording(name).means if quantity else wording.wording(name).none,
                f"push {push.id}",
            )
            for name, quantity in push.terms
        ),
        shown=push.target,
        expected=row.expected,
        pushed_at=row.pushed_at,
        state=row.state,
        reason=_not_taken(push),
        push=_sent(push),
        since=None if since is None else _since(view, since),
    )


def _not_taken(push: Push) -> str | None:
    """Return why the channel may not have shown what was sent, None where it did."""
    if push.outcome in {PushOutcomeKind.APPLIED, PushOutcomeKind.UNCHANGED}:
        return None
    return "it is under way" if push.outcome is None else OUTCOMES[push.outcome]


def _nothing(
    row: ListingRow,
    oldest_at: datetime | None,
    at: datetime,
    asked_at: datetime,
    zone: tzinfo | None,
) -> str:
    """Return what is known where no push of that time or before is kept."""
    kept_since = asked_at - KEPT
    if at < kept_since:
        text = f"not known any more: pushes are kept for {KEPT.days} days"
    else:
        text = (
            f"nothing was sent from {when(kept_since, zone)} until then; older pushes are not kept"
        )
    if oldest_at is not None:
        text += f"; the oldest one is of {when(oldest_at, zone)}"
    elif row.pushed_at is None:
        text += "; nothing has been written since it was mapped"
    return text


def _since(view: View, changes: Changes) -> SinceRow:
    return SinceRow(
        movements=tuple(
            _movement(view.catalogue.items[each.sku], each) for each in changes.movements
        ),
        more_movements=changes.more_movements,
        orders=tuple(
            OrderRow(
                source=f"order {'/'.join(each.key)}",
                sku=each.sku or "",
                pack=each.pack,
                placed_at=each.placed_at,
                updated_at=each.version.updated_at,
                ordered=each.ordered,
                open=each.open,
                shipped=each.shipped,
            )
            for each in changes.orders
        ),
        more_orders=changes.more_orders,
    )


def _movement(item: Item, movement: StockMovement) -> MovementRow:
    return MovementRow(
        id=f"mv-{movement.id}",
        at=movement.at,
        sku=movement.sku,
        quantity=format_quantity(movement.quantity, item.scale),
        unit=item.unit,
        kind=movement.kind.value,
        cause=movement.cause,
        reason=movement.reason,
    )
