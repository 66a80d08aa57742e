"""The catalogue's own commands: import, what the channel tells of a listing, and adoption.

Three words: a listing is *mapped* once it has an item, *adopted* once the owner has agreed that
its number is ours, and its channel's *mode* says whether it is written to at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from stockpush.messages import (
    Accepted,
    AdoptListings,
    CommandDone,
    Decision,
    Event,
    ImportCatalogue,
    Refused,
    Replayed,
    ResolveListings,
)
from stockpush.model import (
    Field,
    FieldKey,
    Listing,
    ListingKey,
    Reservation,
    StockMovement,
)
from stockpush.reservation.draft import Draft
from stockpush.reservation.expectation import wants_reading
from stockpush.reservation.orders import undeducted
from stockpush.reservation.view import View


def import_catalogue(view: View, command: ImportCatalogue, at: datetime) -> Decision:
    """Upsert items, bills and listings; open stock where an item has never moved.

    The key is an idempotency key as the stock verbs have it: with the same content `Replayed`,
    with other content `Refused`. Raises `CatalogueInvalid` (`BillCycle`) where the bills would be
    impossible together.
    """
    # The opening stock depends on what has moved since, so a repeated file may state less of it.
    content = ("import", command.items, command.bills, command.listings)
    digest = hashlib.sha256(repr(content).encode()).hexdigest()
    done = view.rows.commands.get(command.key)
    if done is not None and done.digest == digest:
        return Decision(outcome=Replayed(done.movement_ids))
    if done is not None:
        return Decision(
            outcome=Refused("key_reused", f"the key {command.key!r} was used for another command")
        )
    draft = Draft(view, at)
    listings = []
    for given in command.listings:
        known = view.catalogue.listings.get(given.key, given)
        listing = replace(known, sku=given.sku, pack=given.pack, ref=given.ref)
        listings.append(listing)
        field = None if listing.field_key is None else draft.field(_field_key(listing))
        if field is not None and (field.sku, field.pack) != (listing.sku, listing.pack):
            draft.touched.add(field.sku)
            draft.change(
                replace(field, sku=listing.sku, pack=listing.pack, revision=field.revision + 1)
            )
    opened = 0
    for line in command.opening:
        if line.sku in view.rows.moved or line.quantity == 0:
            continue
        opened += 1
        draft.move(
            StockMovement(
                at=at,
                sku=line.sku,
                quantity=line.quantity,
                kind=line.kind,
                cause=f"cmd {command.key}",
                actor=command.actor,
                reason=command.reason or "opening stock",
            )
        )
    touched = draft.touched | {
        sku
        for bill in command.bills
        for old in (bill, view.catalogue.bills.by_item.get(bill.item, bill))
        for sku in (bill.item, *(line.component for line in old.lines))
    }
    return replace(
        draft.decision(),
        outcome=Accepted(facts={"opened": opened}),
        items=command.items,
        bills=command.bills,
        listings=tuple(listings),
        commands=(CommandDone(command.key, digest, at),),
        touched_skus=frozenset(touched),
    )


def resolve(view: View, command: ResolveListings, at: datetime) -> Decision:
    """Record by which order key and field each listing goes, and take in what was waiting.

    A field shared by listings of different items or packs cannot hold both numbers: those
    listings are parked for a person. Orders that named the listing before it was mapped become
    demand now.
    """
    draft = Draft(view, at)
    told = {resolved.listing: resolved for resolved in command.resolved}
    listings: dict[ListingKey, Listing] = {
        key: listing
        for key, listing in view.catalogue.listings.items()
        if any(key.channel == other.channel for other in told)
    }
    changed: set[ListingKey] = set()
    for key, resolved in sorted(told.items()):
        if key not in listings:
            continue
        listings[key] = replace(
            listings[key],
            order_key=resolved.order_key or listings[key].order_key,
            field_key=resolved.field_key or listings[key].field_key,
            parked_reason=resolved.problem,
        )
        changed.add(key)
    told_of = {_field_key(listings[key]) for key in changed if listings[key].field_key}
    for field_key in sorted(told_of):
        _open_field(draft, field_key, listings, changed)
    for key in sorted(changed):
        _take_in(draft, listings[key])
    for key in sorted(changed):
        if listings[key].parked_reason is not None:
            draft.events.append(
                Event(
                    "listing.parked",
                    {
                        "channel": key.channel,
                        "listing": key.ref,
                        "sku": listings[key].sku,
                        "reason": listings[key].parked_reason,
                    },
                )
            )
    return replace(draft.decision(), listings=tuple(listings[key] for key in sorted(changed)))


def _open_field(
    draft: Draft,
    key: FieldKey,
    listings: dict[ListingKey, Listing],
    changed: set[ListingKey],
) -> None:
    """Create or update the field of a listing, or park listings that cannot share it."""
    sharing = [
        listing
        for listing in listings.values()
        if listing.field_key is not None and _field_key(listing) == key
    ]
    first = sharing[0]
    if any((other.sku, other.pack) != (first.sku, first.pack) for other in sharing):
        reason = (
            f"{', '.join(sorted(other.key.ref for other in sharing))} share one number on the "
            "channel but are mapped to different items or packs"
        )
        for other in sharing:
            listings[other.key] = replace(other, parked_reason=reason)
            changed.add(other.key)
    sharing = [listings[other.key] for other in sharing]
    field = draft.field(key) or Field(key, first.sku, first.pack)
    field = replace(
        field,
        sku=first.sku,
        pack=first.pack,
        adopted=any(other.adopted for other in sharing),
        parked_reason=next((other.parked_reason for other in sharing if other.parked_reason), None),
        read_due_at=None,
    )
    # A parked field is not read until a person has had it resolved again.
    draft.change(field if field.parked_reason else wants_reading(field, at=draft.at))


def _take_in(draft: Draft, listing: Listing) -> None:
    """Give the listing's orders that were seen before it was mapped their item and field."""
    field = None if listing.field_key is None else _field_key(listing)
    waiting = [
        row
        for row in _naming(draft.view.rows.reservations.values(), listing)
        if row.sku is None or row.field != field
    ]
    for row in sorted(waiting, key=lambda row: row.key):
        mapped = replace(
            row,
            sku=row.sku or listing.sku,
            pack=listing.pack if row.sku is None else row.pack,
            field=field,
            baseline_shipped=row.shipped if row.sku is None else row.baseline_shipped,
            baseline_written_off=(row.written_off if row.sku is None else row.baseline_written_off),
        )
        draft.reservations[row.key] = mapped
        if row.sku is None:
            draft.reserve(listing.sku, mapped.open * mapped.pack)
        _move_undeducted(draft, row.field, field, undeducted(mapped))


def _move_undeducted(draft: Draft, old: FieldKey | None, new: FieldKey | None, units: int) -> None:
    """Carry a line's undeducted units from the field it was counted on to the present one."""
    for key, signed in ((old, -units), (new, units)):
        field = None if key is None else draft.field(key)
        if field is not None and signed:
            draft.change(replace(field, undeducted=max(0, field.undeducted + signed)))


def _naming(rows: Iterable[Reservation], listing: Listing) -> list[Reservation]:
    """Return the reservations whose lines name the listing."""
    return [
        row
        for row in rows
        if row.key.channel == listing.key.channel and row.order_key == listing.order_key
    ]


def adopt(view: View, command: AdoptListings, at: datetime) -> Decision:
    """The owner agrees that these listings' numbers are ours: from now on they are pushed.

    What a channel shows then is what we start from; a hold or surplus of the time before is none.
    """
    draft = Draft(view, at)
    adopted = []
    for key in command.listings:
        listing = view.catalogue.listings.get(key)
        if listing is None or listing.adopted:
            continue
        adopted.append(replace(listing, adopted=True))
        field = None if listing.field_key is None else draft.field(_field_key(listing))
        if field is not None and not field.adopted:
            draft.change(
                wants_reading(
                    replace(
                        field,
                        adopted=True,
                        expected=None,
                        first_observed_at=None,
                        first_observed_date=None,
                        shadowed=None,
                        revision=field.revision + 1,
                    ),
                    at=at,
                )
            )
    return replace(
        draft.decision(),
        outcome=Accepted(facts={"adopted": len(adopted)}),
        listings=tuple(adopted),
    )


def _field_key(listing: Listing) -> FieldKey:
    assert listing.field_key is not None
    return FieldKey(listing.key.channel, listing.field_key)
