"""The catalogue's own commands: import, what the channel tells of a listing, and adoption.

Three words: a listing is *mapped* once it has an item, *adopted* once the owner has agreed that
its number is ours, and its channel's *mode* says whether it is written to at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from stockpush.errors import CatalogueInvalid
from stockpush.messages import (
    Accepted,
    AdoptListings,
    CommandDone,
    Decision,
    Event,
    FieldsUnreadable,
    ImportCatalogue,
    Refused,
    ResolveListings,
)
from stockpush.model import (
    BillOfMaterials,
    DriftClass,
    Field,
    FieldKey,
    Item,
    Listing,
    ListingKey,
    LotRule,
    MovementKind,
    Owed,
    Reservation,
    Shelf,
    StockMovement,
    shelf_key,
)
from stockpush.reservation import bom, keyed, older, per_order, supplies
from stockpush.reservation.catalogue import Catalogue, listed_horizons
from stockpush.reservation.draft import Draft
from stockpush.reservation.expectation import parked, released, wants_reading
from stockpush.reservation.orders import undeducted
from stockpush.reservation.view import View
from stockpush.values import replace

CANNOT_SHARE = "share one number on the channel but are mapped to different items or packs"
"""How the reason ends for which listings on one field are parked together."""


def import_catalogue(view: View, command: ImportCatalogue, at: datetime) -> Decision:
    """Upsert items, bills and listings; open stock where an item has never moved.

    The key is an idempotency key as the stock verbs have it: with the same content `Replayed`,
    with other content `Refused`. Raises `CatalogueInvalid` (`BillCycle`) where the bills would be
    impossible together.
    """
    # The opening stock depends on what has moved since, so a repeated file may state less of it.
    items = tuple(map(_as_stated, command.items))
    content: tuple[object, ...] = ("import", items, command.bills, command.listings)
    if command.locations:
        content += (command.locations,)
    if command.corrects:
        content += ("corrects",)
    digest = keyed.digest(*content)
    if (before := keyed.answered(view, command.key, digest)) is not None:
        return Decision(outcome=before)
    moved_on = _moved_on(view, command)
    if moved_on:
        return Decision(
            outcome=Refused(
                "bills_changed",
                f"the bill of materials of {moved_on[0]} shares one that was changed meanwhile",
                {"bills": moved_on},
            )
        )
    _check_names(view, command)
    catalogue = view.catalogue
    if command.locations:
        view = view.after(Decision(locations=command.locations))
    refused = _unfed(view.catalogue) or (_still_held(view) if command.locations else None)
    if refused is not None:
        return Decision(outcome=refused)
    draft = Draft(view, at)
    lotted = {lot.key.sku for lot in view.rows.lots.values()}
    draft.items.update((item.sku, item) for item in command.items if item.sku in lotted)
    draft.relist(relisted(command, catalogue))
    for lot in view.rows.lots.values():
        # Its location may be sold from now, or no more, or belong to another pool; and its item, or
        # a listing of that, may have another horizon.
        was_in = catalogue.pool_at(lot.key.location)
        there = draft.shelf(shelf_key(lot.key.sku, was_in))
        draft.put_lot(lot, was_in=was_in)
        if there.pins and was_in != view.catalogue.pool_at(lot.key.location):
            _take_owed_along(draft, there, lot.key.location, command)
    listings = {}
    for given in command.listings:
        known = view.catalogue.listings.get(given.key, given)
        listings[given.key] = replace(
            known,
            sku=given.sku,
            pack=given.pack,
            ref=given.ref,
            weight=given.weight,
            cap=given.cap,
            buffer=given.buffer,
            horizon_s=given.horizon_s,
        )
    _settle_fields(draft, listings)
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
    bills, older_bills = [], []

    def shelves_of(sku: str) -> Iterable[Shelf]:
        return map(draft.shelf, view.catalogue.shelves_of(sku))

    for sku in sorted({bill.item for bill in view.catalogue.older_bills}):
        for shelf in shelves_of(sku):
            _drop_owed(draft, shelf, command)
    for bill in command.bills:
        old = view.catalogue.bills.by_item.get(bill.item)
        bills.append(bill if old is None else _next_version(draft, old, bill, command))
        if old is not None and (old.item, old.version) in older.kept([old], shelves_of):
            older_bills.append(old)
    pinned = [*view.catalogue.older_bills, *older_bills]
    kept = older.kept(pinned, shelves_of)
    forgotten = [
        bill for bill in view.catalogue.older_bills if (bill.item, bill.version) not in kept
    ]
    pinned = [bill for bill in pinned if (bill.item, bill.version) in kept]
    _check_supplies(command, view.catalogue, pinned)
    resupplied = differently_supplied(command, view.catalogue)
    if resupplied:
        supplies.reckoned_anew(draft, _supplied_by(command, view.catalogue))
    # What is forgotten may have been all that joined a group, and with it what is split.
    changed = (
        resupplied
        | differently_promised(command, view.catalogue)
        | {
            sku
            for bill in (*command.bills, *forgotten)
            for old in (bill, view.catalogue.bills.by_item.get(bill.item, bill))
            for sku in (bill.item, *(line.component for line in old.lines))
        }
    )
    touched = draft.touched.union(*(view.catalogue.shelves_of(sku) for sku in changed))
    return replace(
        draft.decision(),
        outcome=Accepted(facts={"opened": opened}),
        items=tuple(_with_lots(item, view) for item in command.items),
        bills=tuple(bills),
        older_bills=tuple(older_bills),
        forgotten_bills=frozenset((bill.item, bill.version) for bill in forgotten),
        locations=command.locations,
        listings=tuple(listings.values()),
        commands=(CommandDone(command.key, digest, at),),
        touched_skus=frozenset(touched),
    )


def _unfed(catalogue: Catalogue) -> Refused | None:
    """Return the refusal of locations that leave nothing in a pool that a channel is fed by."""
    for channel, pool in sorted(catalogue.feeds.items()):
        if pool not in catalogue.pools:
            return Refused(
                "pool_fed",
                f"nothing would be sold from the pool {pool} any more, which feeds {channel}; "
                f"give {channel} another pool first, and run it so once",
                {"pool": pool, "channel": channel, "expected": list(catalogue.pools)},
            )
    return None


def _still_held(view: View) -> Refused | None:
    """Return the refusal of locations that leave nothing in a pool in which something is held.

    What lies there would be another pool's from now on, which knows nothing of the hold.
    """
    for key, shelf in sorted(view.rows.shelves.items()):
        if shelf.held and not view.catalogue.knows(key):
            return Refused(
                "pool_held",
                f"nothing would be sold from the pool {shelf.pool} any more, where {shelf.sku} is "
                "held; release or sell what is held there first",
                {"pool": shelf.pool, "sku": shelf.sku, "expected": list(view.catalogue.pools)},
            )
    return None


def _as_stated(item: Item) -> Item:
    """Return what a file says of an item: that it has some lots is told by none."""
    return replace(item, lots=LotRule.NEVER) if item.lots is LotRule.SOME else item


def _with_lots(item: Item, view: View) -> Item:
    """Return the item as imported; one that has lots cannot be without them any more."""
    if item.lots is LotRule.NEVER and item.sku in view.catalogue.lotted:
        return replace(item, lots=LotRule.SOME)
    return item


def _next_version(
    draft: Draft, old: BillOfMaterials, new: BillOfMaterials, command: ImportCatalogue
) -> BillOfMaterials:
    """Return the bill with its version: the next one if it is another recipe.

    One that corrects the old one takes its place, for what is open as well. Otherwise what was
    reserved by the old one then stays with it, in each pool, and so does what was sent before it
    was built, and what roundings have left by it there.
    """
    if not older.replaced(old, new):
        return replace(new, version=old.version)
    for shelf in map(draft.shelf, draft.view.catalogue.shelves_of(new.item)):
        after = older.pin(shelf, old, new)
        if command.corrects:
            after = replace(after, pins=shelf.pins)
        if after != shelf:
            draft.shelves[shelf.key] = after
        if len(after.pins) > len(shelf.pins) and (owed := after.pins[-1].owed):
            reason = f"sent before it was built, by its bill {old.version}"
            home = draft.view.catalogue.home(shelf.pool)
            _note_owed(draft, after, (Owed(old.version, owed, shelf.pool),), home, reason, command)
    return replace(new, version=old.version if command.corrects else old.version + 1)


def _drop_owed(draft: Draft, shelf: Shelf, command: ImportCatalogue) -> None:
    """Have nothing owed that is not missing any more: the clock has brought it in, which is no
    movement, and would keep a bill that nothing is to be built by.
    """
    still = older.reckoned(shelf, shelf.on_hand)
    after, changed = older.with_owed(shelf, still, lambda _: ())
    if changed:
        draft.shelves[shelf.key] = after
        home = draft.view.catalogue.home(shelf.pool)
        reason = "what was missing has become available"
        _note_owed(draft, after, changed, home, reason, command)


def _take_owed_along(draft: Draft, before: Shelf, location: str, command: ImportCatalogue) -> None:
    """Have what is missing at a location owed in the pool that it belongs to now, as it was in that
    of `before`.
    """
    left = draft.shelf(before.key)
    came = draft.shelf(shelf_key(before.sku, draft.view.catalogue.pool_at(location)))
    stays = older.reckoned(before, left.on_hand)
    was = older.reckoned(before, before.on_hand)
    goes = [Owed(version, stays[version] - units) for version, units in was.items()]
    left, lost = older.with_owed(left, stays, lambda _: ())
    came, gained = older.with_owed(
        came, older.reckoned(came, came.on_hand, back=goes), lambda _: ()
    )
    if lost or gained:
        draft.shelves |= {left.key: left, came.key: came}
        reason = f"{location} is in the pool {came.pool} now"
        _note_owed(draft, came, (*lost, *gained), location, reason, command)


def _note_owed(
    draft: Draft,
    shelf: Shelf,
    owed: tuple[Owed, ...],
    location: str,
    reason: str,
    command: ImportCatalogue,
) -> None:
    """Have the ledger say what has changed of what is owed, without anything that moved."""
    draft.movements.append(
        StockMovement(
            at=draft.at,
            sku=shelf.sku,
            quantity=0,
            kind=MovementKind.ADJUSTMENT,
            cause=f"cmd {command.key}",
            actor=command.actor,
            location=location,
            reason=reason,
            owed=owed,
        )
    )


def differently_promised(command: ImportCatalogue, catalogue: Catalogue) -> set[str]:
    """Return the items of which the import changes what may be promised or how it is offered: their
    targets may change. Those whose promise rule or exposure it changes, and substitutes with the
    names that they share.
    """
    found = set()
    for item in command.items:
        old = catalogue.items.get(item.sku)
        if old is None:
            names = {None, item.substitute_for}
        else:
            names = {old.substitute_for, item.substitute_for}
            if _offered_by(old) != _offered_by(item):
                found.add(item.sku)
        if len(names) > 1:
            found |= {item.sku, *(name for name in names if name is not None)}
    return found


def names_of_substitutes(command: ImportCatalogue, catalogue: Catalogue) -> set[str]:
    """Return the items that the import makes the name of substitutes."""
    named = {item.substitute_for for item in command.items if item.substitute_for is not None}
    return named - catalogue.bills.substitutes.keys()


def _check_names(view: View, command: ImportCatalogue) -> None:
    """Raise `CatalogueInvalid` for a name of substitutes that has stock or listings itself."""
    catalogue = view.catalogue
    named = names_of_substitutes(command, catalogue)
    listed = {row.sku for row in command.listings}
    listed |= {row.sku for key, row in catalogue.listings.items()}
    opened = {row.sku for row in command.opening if row.quantity}
    for sku in sorted(named | (listed | opened) & catalogue.bills.substitutes.keys()):
        has = "stock" if sku in view.rows.moved | opened else "listings" if sku in listed else None
        if has is not None:
            raise CatalogueInvalid(
                f"{sku} is the name of substitutes and has {has} itself",
                field=f"items.{sku}.substitute_for",
                found=sku,
                expected="an item of its own as their name, of which nothing is stocked or listed",
            )


def looked_ahead(command: ImportCatalogue, catalogue: Catalogue) -> frozenset[str]:
    """Return the known items with lots whose horizon the import changes, or those of listings."""
    changed = {
        item.sku
        for item in command.items
        if item.sku in catalogue.lotted and item.horizon_s != catalogue.items[item.sku].horizon_s
    }
    return frozenset(changed | catalogue.lotted.intersection(relisted(command, catalogue)))


def relisted(command: ImportCatalogue, catalogue: Catalogue) -> dict[str, tuple[int, ...]]:
    """Return the horizons that listings of an item say once it is imported, where others did."""
    skus = set[str]()
    for row in command.listings:
        old = catalogue.listings.get(row.key, row)
        if (row.horizon_s, old.horizon_s) != (None, None):
            skus |= {row.sku, old.sku}
    if not skus:
        return {}
    rows = {key: row for key, row in catalogue.listings.items() if row.sku in skus}
    rows |= {row.key: row for row in command.listings}
    after, before = listed_horizons(rows.values()), catalogue.listed_horizons
    return {sku: after.get(sku, ()) for sku in skus if after.get(sku, ()) != before.get(sku, ())}


def differently_supplied(command: ImportCatalogue, catalogue: Catalogue) -> frozenset[str]:
    """Return the items whose orders take other supplies once it is imported, and those supplies."""
    if not catalogue.per_order and not any(item.per_order for item in command.items):
        return frozenset()
    return per_order.changed(catalogue.per_order, _supplied_by(command, catalogue))


def _supplied_by(command: ImportCatalogue, catalogue: Catalogue) -> per_order.PerOrder:
    """Return what orders take once it is imported."""
    return per_order.effective(*_merged(command, catalogue))


def _check_supplies(
    command: ImportCatalogue, catalogue: Catalogue, older_bills: Iterable[BillOfMaterials]
) -> None:
    """Raise `CatalogueInvalid` where what orders take would be at odds with the rest, and with the
    older bills that open reservations go by.
    """
    if catalogue.per_order or any(item.per_order for item in command.items):
        per_order.check(*_merged(command, catalogue), older_bills)


def _merged(
    command: ImportCatalogue, catalogue: Catalogue
) -> tuple[dict[str, Item], dict[str, BillOfMaterials]]:
    """Return the items and bills there are once it is imported."""
    return (
        {**catalogue.items, **{item.sku: item for item in command.items}},
        {**catalogue.bills.by_item, **{bill.item: bill for bill in command.bills}},
    )


def _offered_by(item: Item) -> tuple[object, ...]:
    """Return what an item says of how much of it is offered."""
    shared = (item.exposure, item.guard_min, item.home_channel, item.exposure_max)
    return (item.promise, item.buildable_max, item.horizon_s, *shared)


def _moved_on(view: View, command: ImportCatalogue) -> list[str]:
    """Return the variants that would no longer be what their base makes them.

    Whoever reads the files works them out from the bills of that moment.
    """
    _, bills = _merged(command, view.catalogue)
    return sorted(sku for sku, bill in bom.resolve(bills).items() if bill != bills[sku])


def resolve(view: View, command: ResolveListings, at: datetime) -> Decision:
    """Record by which order key and field each listing goes, and take in what was waiting.

    A field shared by listings of different items or packs cannot hold both numbers: those
    listings are parked for a person. Orders that named the listing before it was mapped become
    demand now.
    """
    draft = Draft(view, at)
    listings: dict[ListingKey, Listing] = {}
    for resolved in sorted(command.resolved, key=lambda each: each.listing):
        known = view.catalogue.listings.get(resolved.listing)
        if known is not None:
            listings[known.key] = replace(
                known,
                order_key=resolved.order_key or known.order_key,
                field_key=resolved.field_key or known.field_key,
                parked_reason=resolved.problem,
            )
    _settle_fields(draft, listings)
    naming = _by_order_key(draft)
    for listing in listings.values():
        _take_in(draft, listing, naming.get((listing.key.channel, listing.order_key), ()))
        _tell_parked(draft, listing)
    if view.catalogue.per_order:
        for (channel, order_id), rows in per_order.by_order(draft.reservations.values()).items():
            before = {row.key: row for row in view.lines(channel, order_id)}
            after = before | {row.key: row for row in rows}
            supplies.reclaim(draft, channel, before.values(), after.values())
    return replace(draft.decision(), listings=tuple(listings.values()))


def park(view: View, command: FieldsUnreadable, at: datetime) -> Decision:
    """Park the listings of fields that have no number; a field without listings is forgotten."""
    draft = Draft(view, at)
    listings: dict[ListingKey, Listing] = {}
    for key, problem in command.problems:
        for listing in view.catalogue.listings_on.get(key, ()):
            listings[listing.key] = replace(listing, parked_reason=problem)
            _tell_parked(draft, listings[listing.key])
        if draft.field(key) is not None:
            _settle_field(draft, key, listings, ())
    return replace(draft.decision(), listings=tuple(listings.values()))


def _tell_parked(draft: Draft, listing: Listing) -> None:
    """Write a log line for a listing that waits for a person."""
    if listing.parked_reason is not None:
        where = {"channel": listing.key.channel, "listing": listing.key.ref, "sku": listing.sku}
        draft.events.append(Event("listing.parked", where | {"reason": listing.parked_reason}))


def _settle_fields(draft: Draft, listings: dict[ListingKey, Listing]) -> None:
    """Make right the fields that changed listings are on or have left.

    `listings` are the new values; listings that cannot share a field with them are added to it.
    """
    known = draft.view.catalogue.listings
    come: defaultdict[FieldKey, list[ListingKey]] = defaultdict(list)
    for key, listing in listings.items():
        if listing.field_key is not None:
            come[_field_key(listing)].append(key)
    left = {
        _field_key(known[key])
        for key in listings
        if key in known and known[key].field_key is not None
    }
    for field in sorted(left | come.keys()):
        _settle_field(draft, field, listings, come.get(field, ()))


def _settle_field(
    draft: Draft,
    key: FieldKey,
    listings: dict[ListingKey, Listing],
    come: Collection[ListingKey],
) -> None:
    """Create, update, park or forget one field, by the listings that are on it now.

    `come` are those of `listings` that are on it now, some of which may have been there before.
    """
    there = draft.view.catalogue.listings_on.get(key, ())
    sharing = {row.key: listings.get(row.key, row) for row in there}
    sharing |= {name: listings[name] for name in come}
    sharing = {name: row for name, row in sharing.items() if row.field_key == key.key}
    if not sharing:
        _forget_field(draft, key)
        return
    rows = [sharing[name] for name in sorted(sharing)]
    first = rows[0]
    agree = all((row.sku, row.pack) == (first.sku, first.pack) for row in rows)
    disagreement = f"{', '.join(row.key.ref for row in rows)} {CANNOT_SHARE}"
    for row in rows:
        reason = row.parked_reason
        if not agree:
            reason = disagreement
        elif reason is not None and reason.endswith(CANNOT_SHARE):
            reason = None
        if reason != row.parked_reason:
            listings[row.key] = replace(row, parked_reason=reason)
    rows = [listings.get(row.key, row) for row in rows]
    known = draft.field(key)
    field = known or Field(key, first.sku, first.pack)
    if (field.sku, field.pack) != (first.sku, first.pack):
        draft.touched.add(draft.view.catalogue.shelf_on(key.channel, field.sku))
    field = replace(
        field,
        sku=first.sku,
        pack=first.pack,
        adopted=any(row.adopted for row in rows),
        parked_reason=next((row.parked_reason for row in rows if row.parked_reason), None),
        revision=field.revision + 1,
    )
    if field.parked_reason is None:
        draft.change(wants_reading(field, at=draft.at))
        return
    # Nobody reads a parked field until a person has had it resolved again, so that a hold would
    # stay for ever; polls find its orders.
    catalogue = draft.view.catalogue
    is_split = catalogue.is_split(catalogue.shelf_on(key.channel, field.sku))
    away = parked(field, field.parked_reason, is_split=is_split)
    draft.let_go(field, away, DriftClass.MANUAL_EDIT, "parked")


def _forget_field(draft: Draft, key: FieldKey) -> None:
    """Nothing is listed on the field any more: what it holds is not ours to know or set."""
    field = draft.field(key)
    if field is not None:
        forgotten = replace(
            released(field), expected=None, adopted=False, first_observed_at=None, read_due_at=None
        )
        draft.let_go(field, forgotten, DriftClass.MANUAL_EDIT, "no listing is left on it")


def _take_in(draft: Draft, listing: Listing, naming: Sequence[Reservation]) -> None:
    """Give the listing's orders that were seen before it was mapped their item and field.

    `naming` are the reservations whose lines name the listing.
    """
    field = None if listing.field_key is None else _field_key(listing)
    waiting = [row for row in naming if row.sku is None or row.field != field]
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
            shelf = draft.view.catalogue.shelf_on(row.key.channel, listing.sku)
            present = draft.present_bill(listing.sku)
            draft.reserve(shelf, mapped.open * mapped.pack, present)
            draft.reservations[row.key] = mapped = replace(mapped, bill=present)
        _move_undeducted(draft, row.field, field, undeducted(mapped))


def _move_undeducted(draft: Draft, old: FieldKey | None, new: FieldKey | None, units: int) -> None:
    """Carry a line's undeducted units from the field it was counted on to the present one."""
    for key, signed in ((old, -units), (new, units)):
        field = None if key is None else draft.field(key)
        if field is not None and signed:
            draft.change(replace(field, undeducted=max(0, field.undeducted + signed)))


def _by_order_key(draft: Draft) -> Mapping[tuple[str, str | None], Sequence[Reservation]]:
    """Return the reservations of the view by the channel and order key that their lines name."""
    found: defaultdict[tuple[str, str | None], list[Reservation]] = defaultdict(list)
    for row in draft.view.rows.reservations.values():
        found[row.key.channel, row.order_key].append(row)
    return found


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
