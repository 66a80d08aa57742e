"""What people look at: the stock table and the plan, one dataclass per JSON shape.

Everything is computed from one view, that is from one instant of the database, with the same
functions that decide the pushes: a report cannot disagree with what will be sent.
The shapes are those of docs/interface.md: keys may be added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stockpush.engine.wording import not_in_time
from stockpush.model import (
    MAIN,
    ChannelPolicy,
    Exposure,
    FieldKey,
    Listing,
    Mode,
    Promise,
    PushOutcomeKind,
    Shelf,
    pool_of,
    shelf_key,
    sku_of,
)
from stockpush.model import Field as FieldRow
from stockpush.reservation import atp as netting
from stockpush.reservation import horizons, older, sharing, sold_out
from stockpush.reservation.atp import Netting
from stockpush.reservation.expectation import standing_on
from stockpush.reservation.exposure import target
from stockpush.reservation.horizons import Promised
from stockpush.reservation.ledger import shelf_name, withheld
from stockpush.reservation.limits import buffer_of, cap_of
from stockpush.reservation.pushes import offered_by, shown_on, target_in
from stockpush.reservation.view import View
from stockpush.units import format_duration, format_quantity


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One listing of `stock --json`, fed by the `pool`: `offer`, `expected`, `observed` in listing
    units.

    `share` is what it is given of what is shared out, None where it shows the whole. `cap` is the
    most that it offers (None: what the channel holds), and `buffer` what it is never told of, in
    the item's unit (None: its channel is not in the configuration, and it says none itself).
    `horizon` is how soon what is promised on it has to be there, None where it says none itself.
    `bound`, of a split item, is how many of what it shows could be sold twice at the most: in the
    moment of a write where its channel compares nothing, else 0.
    """

    channel: str
    ref: Mapping[str, Any]
    sku: str
    pack: int
    offer: int | None
    expected: int | None
    observed: int | None
    pushed_at: datetime | None
    state: str
    reason: str | None
    weight: int = 1
    share: int | None = None
    cap: int | None = None
    buffer: str | None = None
    bound: int | None = None
    pool: str = MAIN
    horizon: str | None = None


@dataclass(frozen=True, slots=True)
class SupplyRow:
    """What each order with an item takes once: `quantity` in the supply's unit; `gate`: no more of
    the item is promised than there is of it.
    """

    sku: str
    unit: str
    quantity: str
    gate: bool


@dataclass(frozen=True, slots=True)
class OlderBillRow:
    """An older bill that open orders and holds were made with: so many `reserved` units, held ones
    too, go by it, and so many that are `owed` were sent before they were built, as decimals.
    """

    bill: int
    reserved: str
    owed: str


@dataclass(frozen=True, slots=True)
class StockRow:
    """One item of `stock --json` in one pool: quantities are decimal strings in the item's unit.

    `exposure` is the worst-case oversell if every listing sold out at once, those of items that
    share its materials too. `limited_by` are the materials that stop one more from being built, and
    "promise rule" or "horizon", or "... of SKU" for a component's, or a supply of orders, where
    that does. `on_hand` can be sold; `withheld` lies in lots that cannot, or where nothing is sold.
    `policy` is how its listings share it;
    `guarded`: they do so now, since there is as little as `guard_level`. `exposure_max` is None for
    no limit. `substitutes` are the items that share this one as a name, of which `on_hand` is then
    what is there of all of them; `substitute_for` is the name that it shares. `bill` is the version
    of its bill of materials, `older_bills` are those that open orders and holds go by. `per_order`
    is what each order with it takes once. `coming` becomes available by the `horizon`, which is
    None where nobody asks how soon; `late` says what is not promised since it would not be there by
    then, None where nothing is.
    """

    sku: str
    name: str
    kind: str
    unit: str
    on_hand: str
    reserved: str
    held: str
    suspense: str
    buildable: str
    atp: str
    exposure: str
    limited_by: tuple[str, ...] = ()
    listings: tuple[ListingRow, ...] = field(default_factory=tuple)
    promise: str = Promise.BUILDABLE.value
    buildable_max: str | None = None
    withheld: str = "0"
    policy: str = Exposure.MIRROR.value
    guard_level: str = "0"
    guarded: bool = False
    home_channel: str | None = None
    exposure_max: str | None = None
    pool: str = MAIN
    bill: int | None = None
    older_bills: tuple[OlderBillRow, ...] = ()
    substitutes: tuple[str, ...] = ()
    substitute_for: str | None = None
    per_order: tuple[SupplyRow, ...] = ()
    coming: str = "0"
    horizon: str | None = None
    late: str | None = None


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One push that would be made now: `from` (here `was`) is what the listing shows, `to` what
    it should.
    """

    channel: str
    ref: Mapping[str, Any]
    sku: str
    was: int
    to: int
    because: str
    pool: str = MAIN

    def as_json(self) -> dict[str, Any]:
        """Return the shape of `plan --json`."""
        return {
            "channel": self.channel,
            "ref": dict(self.ref),
            "sku": self.sku,
            "from": self.was,
            "to": self.to,
            "because": self.because,
            "pool": self.pool,
        }


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """One listing that is not written until a person has mended it: `reason` says what to do."""

    channel: str
    ref: Mapping[str, Any]
    sku: str
    reason: str


def stock(view: View, skus: Iterable[str] | None = None) -> tuple[StockRow, ...]:
    """Return the stock table, by SKU; of the items asked for, or of all.

    An item has a row in the pool MAIN, and in every other one of which there is something to say.
    `view` holds every shelf and field of the groups concerned.
    """
    catalogue = view.catalogue
    wanted = sorted(catalogue.items if skus is None else skus)
    rows = _rows(view, [shelf for sku in wanted for shelf in catalogue.shelves_of(sku)])
    return tuple(row for row in rows if row.pool == MAIN or row.listings or _has_any(row))


def stock_in(view: View, sku: str, pool: str) -> StockRow:
    """Return the row of an item in one pool."""
    (row,) = _rows(view, [shelf_key(sku, pool)])
    return row


def _has_any(row: StockRow) -> bool:
    """Answer whether there is anything of an item, or anything claimed."""
    amounts = (row.on_hand, row.reserved, row.held, row.suspense, row.atp, row.withheld)
    return any(amount != "0" for amount in amounts)


def _rows(view: View, shelves: Sequence[str]) -> Iterator[StockRow]:
    """Yield the rows of some shelves, in their order."""
    catalogue, net = view.catalogue, view.net(shelves)
    listed: dict[str, list[Listing]] = {}
    for key in sorted(catalogue.listings):
        listing = catalogue.listings[key]
        listed.setdefault(catalogue.shelf_on(key.channel, listing.sku), []).append(listing)
    pools = {name: place.pool for name, place in catalogue.locations.items()}
    apart = withheld(view.rows.lots.values(), pools)
    worst = sold_out.net(view, shelves)
    for shelf in shelves:
        exposed = sold_out.too_much(view, worst, shelf)
        yield _item(view, net, shelf, listed.get(shelf, []), apart, exposed)


def stock_page(
    view: View, *, limit: int, after: str | None = None
) -> tuple[tuple[StockRow, ...], str | None]:
    """Return at most `limit` (>= 1) items by SKU, those after the cursor `after`, in each pool.

    The second value is the cursor of the following page, None at the end. An item that comes or
    goes between two pages moves no other item to another page.
    """
    left = sorted(sku for sku in view.catalogue.items if after is None or sku > after)
    page = left[:limit]
    return stock(view, page), page[-1] if len(left) > limit else None


def listings_page(
    view: View, *, limit: int, after: str | None = None, channel: str | None = None
) -> tuple[tuple[ListingRow, ...], str | None]:
    """Return the listings of at most `limit` (>= 1) items by SKU, those after the cursor `after`,
    on every channel or on one; those of an item by channel and reference.

    The second value is the cursor of the following page, None at the end.
    """
    catalogue = view.catalogue
    listed: dict[str, list[Listing]] = {}
    for listing in catalogue.listings.values():
        if channel in (None, listing.key.channel) and (after is None or listing.sku > after):
            listed.setdefault(listing.sku, []).append(listing)
    left = sorted(listed)
    found = [
        (catalogue.shelf_on(listing.key.channel, sku), listing)
        for sku in left[:limit]
        for listing in sorted(listed[sku], key=lambda each: each.key)
    ]
    net = view.net({shelf for shelf, _ in found})
    rows = (
        listing_row(view, listing, netting.atp(net, shelf), horizons.promised(view, net, shelf))
        for shelf, listing in found
    )
    return tuple(rows), left[limit - 1] if len(left) > limit else None


def shortages(view: View) -> tuple[str, ...]:
    """Return the SKUs, and the pools other than MAIN, whose ATP is negative: demand that nothing
    covers.
    """
    # Cheaper than the ATP of every item; that both agree is tested.
    net = _net_all(view)
    lacking = {shelf for shelf in net.gates if netting.lacks_supplies(net, shelf)}
    return tuple(map(shelf_name, sorted(net.blocked | lacking)))


def _net_all(view: View) -> Netting:
    """Net every item in every pool."""
    catalogue = view.catalogue
    return view.net(shelf for sku in catalogue.items for shelf in catalogue.shelves_of(sku))


def _item(
    view: View,
    net: Netting,
    key: str,
    listings: Iterable[Listing],
    withheld: Mapping[str, int],
    exposed: int,
) -> StockRow:
    """Return the row of an item in a pool, of which so many units are `exposed`; `withheld` is that
    of shelves that have any.
    """
    item, shelf = view.catalogue.items[sku_of(key)], view.shelf(key)
    sku, atp, by = item.sku, netting.atp(net, key), horizons.promised(view, net, key)
    scale, bills = item.scale, view.catalogue.bills
    members = bills.substitutes.get(sku, ())
    shelves = [view.shelf(shelf_key(each, pool_of(key))) for each in members or (sku,)]
    return StockRow(
        sku=sku,
        name=item.name,
        kind=item.kind.value,
        unit=item.unit,
        on_hand=format_quantity(sum(each.on_hand for each in shelves), scale),
        reserved=format_quantity(shelf.reserved, scale),
        held=format_quantity(shelf.held, scale),
        suspense=format_quantity(view.suspense(key), scale),
        buildable=format_quantity(netting.buildable(net, key), scale),
        atp=format_quantity(atp, scale),
        exposure=format_quantity(exposed, scale),
        limited_by=_limits(net, key),
        listings=tuple(listing_row(view, listing, atp, by) for listing in listings),
        promise=item.promise.value,
        buildable_max=(
            None if item.buildable_max is None else format_quantity(item.buildable_max, scale)
        ),
        withheld=format_quantity(sum(withheld.get(each.key, 0) for each in shelves), scale),
        policy=view.catalogue.exposure(sku).value,
        guard_level=format_quantity(sharing.level_of(view, key), scale),
        guarded=sharing.is_guarded(view, key),
        home_channel=view.catalogue.home_channel(key),
        exposure_max=(
            None if item.exposure_max is None else format_quantity(item.exposure_max, scale)
        ),
        pool=pool_of(key),
        bill=None if sku not in bills.by_item else bills.by_item[sku].version,
        older_bills=_older_bills(shelf, scale),
        substitutes=members,
        substitute_for=item.substitute_for,
        per_order=tuple(
            SupplyRow(
                line.supply, supply.unit, format_quantity(line.quantity, supply.scale), line.gate
            )
            for line in view.catalogue.per_order.get(sku, ())
            for supply in (view.catalogue.items[line.supply],)
        ),
        coming=format_quantity(sum(each.coming for each in shelves), scale),
        horizon=None if item.horizon_s is None else format_duration(item.horizon_s),
        late=not_in_time(view, net, key),
    )


def _older_bills(shelf: Shelf, scale: int) -> tuple[OlderBillRow, ...]:
    """Return the older bills that something goes by."""
    owed = older.owing(shelf)
    return tuple(
        OlderBillRow(
            pin.version,
            format_quantity(pin.units, scale),
            format_quantity(owed[pin.version], scale),
        )
        for pin in shelf.pins
        if pin.units or owed[pin.version]
    )


def _limits(net: Netting, shelf: str) -> tuple[str, ...]:
    """Return what stops the next unit of a shelf, but for itself."""
    if shelf in net.bills.by_item:
        return netting.stopped_by(net, shelf)
    if shelf in net.bills.name_of or netting.gated_by(net, shelf):
        return tuple(each for each in netting.stopped_by(net, shelf) if each != sku_of(shelf))
    return ()


def listing_row(view: View, listing: Listing, atp: int, by: Promised) -> ListingRow:
    """Return one listing's row at this ATP of its item, and those `by` other horizons."""
    policy = view.catalogue.policies.get(listing.key.channel)
    row = _field(view, listing)
    wanted = share = bound = None
    if policy is not None and row is not None:
        shown = shown_on(view, row, atp=atp, policy=policy, by=by)
        wanted = target(shown.offer, standing_on(row, policy), cap=policy.cap)
        share = shown.offer if shown.because else None
        bound = _bound(view, row, policy)
    state, reason = _state(view, listing, row, policy, wanted)
    buffer = listing.buffer if policy is None else buffer_of(view.catalogue, listing, policy)
    scale = view.catalogue.items[listing.sku].scale
    return ListingRow(
        channel=listing.key.channel,
        ref=listing.ref,
        sku=listing.sku,
        pack=listing.pack,
        offer=wanted,
        expected=None if row is None else row.expected,
        observed=None if row is None else row.observed,
        pushed_at=None if row is None else row.pushed_at,
        state=state,
        reason=reason,
        weight=listing.weight,
        share=share,
        cap=cap_of(view.catalogue, listing),
        buffer=None if buffer is None else format_quantity(buffer, scale),
        bound=bound,
        pool=view.catalogue.fed_by(listing.key.channel),
        horizon=None if listing.horizon_s is None else format_duration(listing.horizon_s),
    )


def _bound(view: View, row: FieldRow, policy: ChannelPolicy) -> int | None:
    """Return how much of a split item's number could be sold twice, None of one that is not split.

    Where nothing compares, a write puts back what was sold between our reading and it. What is kept
    apart from the number no write puts back.
    """
    if not view.catalogue.is_split(view.catalogue.shelf_on(row.key.channel, row.sku)):
        return None
    if policy.compare_and_set or policy.committed_apart or row.expected is None:
        return 0
    return max(0, row.expected - standing_on(row, policy))


def _state(
    view: View,
    listing: Listing,
    row: FieldRow | None,
    policy: ChannelPolicy | None,
    wanted: int | None,
) -> tuple[str, str | None]:
    """Return where a listing stands, and why if that needs saying."""
    if listing.parked_reason is not None:
        return "parked", listing.parked_reason
    if policy is None:
        return "mapped", f"channel {listing.key.channel} is not in the configuration"
    if row is None or row.expected is None:
        return "mapped", "its number on the channel has not been read yet"
    if policy.mode is Mode.SHADOW:
        return "shadow", None
    if not listing.adopted:
        return "mapped", "not adopted yet: stockpush adopt"
    flying = view.rows.in_flight.get(row.key)
    if flying is not None:
        unknown = flying.outcome is PushOutcomeKind.UNKNOWN
        return ("unknown", "a write got no answer") if unknown else ("pushing", None)
    return ("in_sync", None) if wanted == row.expected else ("dirty", None)


def _field(view: View, listing: Listing) -> FieldRow | None:
    if listing.field_key is None:
        return None
    return view.field(FieldKey(listing.key.channel, listing.field_key))


def observed(view: View, listing: Listing) -> int | None:
    """Return what a listing was last read to hold, None where it never was."""
    row = _field(view, listing)
    return None if row is None else row.observed


def plan(view: View) -> tuple[PlanRow, ...]:
    """Return what would be pushed now and why, by channel and listing; a shared field once."""
    catalogue = view.catalogue
    net = _net_all(view)
    rows = []
    for key in sorted(catalogue.listings_on):
        first, row = catalogue.listings_on[key][0], view.field(key)
        policy = catalogue.policies.get(key.channel)
        if row is None or row.expected is None or policy is None or row.parked_reason is not None:
            continue
        if not row.adopted and policy.mode is Mode.LIVE:
            continue
        wanted = target_in(view, net, row, policy)
        if wanted != row.expected:
            rows.append(
                PlanRow(
                    channel=key.channel,
                    ref=first.ref,
                    sku=row.sku,
                    was=row.expected,
                    to=wanted,
                    because=_because(view, net, row, policy),
                    pool=catalogue.fed_by(key.channel),
                )
            )
    return tuple(rows)


def plan_document(view: View) -> dict[str, Any]:
    """Return the document of `plan --json`."""
    return {"data": [row.as_json() for row in plan(view)], "parked": parked(view)}


def ready(view: View) -> int:
    """Return how many fields a plan takes account of: read, of a known channel, ours to write."""
    policies = view.catalogue.policies
    rows = ((view.field(key), policies.get(key.channel)) for key in view.catalogue.listings_on)
    return sum(
        row is not None
        and policy is not None
        and row.expected is not None
        and row.parked_reason is None
        and (row.adopted or policy.mode is not Mode.LIVE)
        for row, policy in rows
    )


def parked(view: View) -> tuple[ParkedRow, ...]:
    """Return the listings that no plan holds because a person is needed, by channel and listing."""
    return tuple(
        ParkedRow(key.channel, listing.ref, listing.sku, listing.parked_reason)
        for key, listing in sorted(view.catalogue.listings.items())
        if listing.parked_reason is not None
    )


def _because(view: View, net: Netting, row: FieldRow, policy: ChannelPolicy) -> str:
    """Return in a few words where the planned number comes from."""
    item = view.catalogue.items[row.sku]
    shelf, net = view.catalogue.shelf_on(row.key.channel, row.sku), offered_by(view, net, row)
    atp = netting.atp(net, shelf)
    text = f"{format_quantity(atp, item.scale)} {item.unit} to promise"
    if row.pack != 1:
        text += f", {row.pack} to a pack"
    if (late := not_in_time(view, net, shelf)) is not None:
        text += f"; {late}"
    if policy.mode is Mode.SHADOW:
        text += "; shadow: nothing is written"
    return text
