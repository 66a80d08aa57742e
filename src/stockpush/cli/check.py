"""`check`: recompute everything that is kept from the ledger and the orders, and compare.

Theory of operation. One reading of the database, of one instant. Sums that the database makes of
movements and orders are held against what is kept of them, and the ATP that follows from the sums
against the ATP that is promised. `--deep` reads the whole ledger as well and holds the invariants
of the core (`reservation.ledger.INVARIANTS`) against it, movement by movement. An SQLite file is
walked before it is opened, with `--deep` its indexes and references too. Nothing is changed:
a difference is a damaged file or a defect, and somebody must look at it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from stockpush.cli.options import Config, Json
from stockpush.cli.output import cell, print_json, say, show, table
from stockpush.cli.session import settings_of, with_parts
from stockpush.errors import CatalogueInvalid, ExitCode, StoreDamaged
from stockpush.model import ChannelPolicy, Coming, Pin, Shelf, pool_of, sku_of
from stockpush.reservation import ledger
from stockpush.reservation.atp import atp_all
from stockpush.reservation.catalogue import build, listed_horizons
from stockpush.reservation.ledger import Books, Violation
from stockpush.reservation.per_order import PerOrder, claims, effective
from stockpush.reservation.view import View

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.store.reads import CheckRows


def check(
    config: Config = None,
    as_json: Json = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Every single movement and command too: slower.")
    ] = False,
) -> None:
    """Recompute every balance and compare.

    Balances, reserved and held units and ATP, from the sums of ledger, orders and holds.

    Exit code 1 if anything differs. Nothing is changed.
    """

    async def read(parts: Parts) -> tuple[CheckRows, list[Violation]]:
        from stockpush import compose
        from stockpush.store import reads

        await compose.check_pools(parts)
        rows = await reads.check_rows(parts.store, deep=deep)
        return rows, violations(rows, parts.lane.policies)

    from stockpush.compose import database

    settings = settings_of(config)
    asyncio.run(database.examine(settings, deep=deep))
    try:
        rows, found = with_parts(config, read, what="Recomputing every balance ...")
    except StoreDamaged as error:
        raise database.with_recovery(settings, error) from error
    except CatalogueInvalid as error:
        # What is stored was possible once: no import writes anything else.
        damaged = StoreDamaged(f"its catalogue is impossible: {error.message}")
        raise database.with_recovery(settings, damaged) from error
    checked = {
        "items": len(rows.catalogue.items),
        "movements": rows.movements,
        "reservations": rows.reservations,
        "holds": rows.holds,
        "fields": len(rows.kept.fields),
    }
    if as_json:
        print_json({"data": found, "checked": checked, "deep": deep})
    else:
        counted = ", ".join(f"{number} {what}" for what, number in checked.items())
        if found:
            _print_violations(found)
        else:
            say(f"Everything agrees: {counted}.")
    if found:
        raise typer.Exit(ExitCode.FAILED)


def violations(rows: CheckRows, policies: Mapping[str, ChannelPolicy]) -> list[Violation]:
    """Return everything that does not hold of the rows, in smallest units; empty is sound."""
    found = [*_sums(rows), *_undeducted(rows), *_atp(rows, policies)]
    if rows.books is not None:
        books = Books(
            rows.books.movements,
            rows.books.shelves,
            rows.books.reservations,
            rows.books.commands,
            rows.books.holds,
            rows.books.lots,
            _pools(rows),
            dict(rows.catalogue.feeds),
            _per_order(rows),
            listed_horizons(rows.catalogue.listings),
        )
        found += ledger.check(books)
    return list(dict.fromkeys(found))  # the ledger finds again what its sums have shown


def _pools(rows: CheckRows) -> dict[str, str]:
    """Return the pool of every location."""
    return {place.name: place.pool for place in rows.catalogue.locations}


def _coming_by(rows: CheckRows) -> dict[str, tuple[Coming, ...]]:
    """Return what comes to each shelf by the horizons of listings, by its lots."""
    listed = listed_horizons(rows.catalogue.listings)
    return ledger.coming_by(rows.audit.lots.values(), listed, _pools(rows))


def _per_order(rows: CheckRows) -> PerOrder:
    """Return what each order with an item takes once."""
    stored = rows.catalogue
    return effective(
        {item.sku: item for item in stored.items}, {bill.item: bill for bill in stored.bills}
    )


def _claimed(rows: CheckRows) -> Counter[str]:
    """Return by shelf what orders claim: their open units, and what they are still to take once."""
    audit, feeds = rows.audit, dict(rows.catalogue.feeds)
    return Counter(audit.open) + Counter(claims(_per_order(rows), audit.in_open_orders, feeds))


def _sums(rows: CheckRows) -> list[Violation]:
    """What is kept of each shelf is the sum of its movements, open order lines and open holds."""
    audit, claimed = rows.audit, _claimed(rows)
    apart = ledger.withheld(audit.lots.values(), _pools(rows))
    coming, coming_by = ledger.coming(audit.lots.values(), _pools(rows)), _coming_by(rows)
    found = []
    named = audit.shelves.keys() | audit.moved.keys() | claimed.keys() | audit.held.keys()
    for sku in sorted(named):
        shelf = audit.shelves.get(sku, Shelf(sku))
        for invariant, summed, kept in (
            ("balance_is_fold", audit.moved.get(sku, 0), shelf.on_hand + apart.get(sku, 0)),
            ("coming_is_of_lots", coming.get(sku, 0), shelf.coming),
            (
                "coming_by_is_of_lots",
                ledger.told_coming(coming_by.get(sku, ())),
                ledger.told_coming(shelf.coming_by),
            ),
            ("reserved_is_open_demand", claimed[sku], shelf.reserved),
            ("held_is_open_holds", audit.held.get(sku, 0), shelf.held),
        ):
            if summed != kept:
                name = ledger.shelf_name(sku)
                found.append(Violation(invariant, name, str(summed), str(kept)))
    open_by_older = _by_older_bills(rows)
    pinned_on = {sku for sku, shelf in audit.shelves.items() if shelf.pins}
    for sku in sorted(open_by_older.keys() | pinned_on):
        pinned = {pin.version: pin.units for pin in audit.shelves.get(sku, Shelf(sku)).pins}
        by_older = open_by_older.get(sku, {})
        found += [
            Violation(
                "pinned_is_open_demand",
                f"{ledger.shelf_name(sku)} by bill {version}",
                str(by_older.get(version, 0)),
                str(pinned.get(version, 0)),
            )
            for version in sorted(pinned.keys() | by_older.keys())
            if pinned.get(version, 0) != by_older.get(version, 0)
        ]
    kept_owed = {
        (sku, pin.version): pin.owed for sku, shelf in audit.shelves.items() for pin in shelf.pins
    }
    found += [
        Violation(
            "owed_is_fold",
            f"{ledger.shelf_name(sku)} by bill {version}",
            str(audit.owed.get((sku, version), 0)),
            str(kept_owed.get((sku, version), 0)),
        )
        for sku, version in sorted(audit.owed.keys() | kept_owed.keys())
        if audit.owed.get((sku, version), 0) != kept_owed.get((sku, version), 0)
    ]
    for key in sorted(audit.lots.keys() | audit.lots_moved.keys()):
        balance = audit.lots[key].on_hand if key in audit.lots else 0
        if balance != audit.lots_moved.get(key, 0):
            expected = str(audit.lots_moved.get(key, 0))
            found.append(Violation("lot_is_fold", ledger.lot_name(key), expected, str(balance)))
    return found


def _by_older_bills(rows: CheckRows) -> dict[str, dict[int, int]]:
    """Return what is open or held of each shelf by the versions of its item's bill but the present
    one.
    """
    present = {bill.item: bill.version for bill in rows.catalogue.bills}
    found: dict[str, dict[int, int]] = {}
    for (shelf, version), units in sorted(rows.audit.open_by_bill.items()):
        if units and version != present.get(sku_of(shelf), 1):
            found.setdefault(shelf, {})[version] = units
    return found


def _undeducted(rows: CheckRows) -> list[Violation]:
    """What a field has still to deduct is what its orders say."""
    return [
        Violation(
            "undeducted_is_of_orders",
            " ".join(key),
            str(rows.audit.undeducted.get(key, 0)),
            str(field.undeducted),
        )
        for key, field in sorted(rows.kept.fields.items())
        if field.undeducted != rows.audit.undeducted.get(key, 0)
    ]


def _atp(rows: CheckRows, policies: Mapping[str, ChannelPolicy]) -> list[Violation]:
    """ATP from what is kept is ATP from the ledger and the orders."""
    stored, audit, claimed = rows.catalogue, rows.audit, _claimed(rows)
    catalogue = build(
        stored.revision,
        stored.items,
        stored.bills,
        stored.listings,
        policies,
        stored.locations,
        stored.feeds,
        stored.older_bills,
    )
    apart = ledger.withheld(audit.lots.values(), _pools(rows))
    coming = ledger.coming(audit.lots.values(), _pools(rows))
    coming_by = _coming_by(rows)
    every = sorted(key for sku in catalogue.items for key in catalogue.shelves_of(sku))
    by_older, owed = _by_older_bills(rows), dict[str, dict[int, int]]()
    for (sku, version), units in audit.owed.items():
        owed.setdefault(sku, {})[version] = units
    recomputed = {
        sku: Shelf(
            sku_of(sku),
            pool=pool_of(sku),
            on_hand=audit.moved.get(sku, 0) - apart.get(sku, 0),
            reserved=claimed[sku],
            held=audit.held.get(sku, 0),
            coming=coming.get(sku, 0),
            coming_by=coming_by.get(sku, ()),
            rests=audit.shelves.get(sku, Shelf(sku)).rests,
            pins=_pins(
                audit.shelves.get(sku, Shelf(sku)), by_older.get(sku, {}), owed.get(sku, {})
            ),
        )
        for sku in every
    }

    def promised(view: View) -> dict[str, int]:
        return atp_all(view.net(every), every)

    kept = promised(View(catalogue, rows.kept))
    sound = promised(View(catalogue, replace(rows.kept, shelves=recomputed)))
    return [
        Violation("atp_is_of_the_ledger", ledger.shelf_name(sku), str(sound[sku]), str(kept[sku]))
        for sku in every
        if sound[sku] != kept[sku]
    ]


def _pins(shelf: Shelf, open_units: Mapping[int, int], owed: Mapping[int, int]) -> tuple[Pin, ...]:
    """Return what orders and holds pin to older bills, and what is owed by them; roundings are
    those that are kept.
    """
    rests = {pin.version: pin.rests for pin in shelf.pins}
    return tuple(
        Pin(each, open_units.get(each, 0), rests.get(each, ()), owed.get(each, 0))
        for each in sorted(open_units.keys() | owed.keys())
    )


def _print_violations(found: Sequence[Violation]) -> None:
    say(f"{len(found)} things do not hold (in smallest units). Nothing was changed.", "bold red")
    say()
    shown = table("what", "of", ">should be", ">is")
    for each in found:
        shown.add_row(
            cell(each.invariant.replace("_", " ")),
            cell(each.subject),
            cell(each.expected),
            cell(each.found, "red"),
        )
    show(shown)
    say()
    say("The file is damaged, or this is a defect: keep a copy of the database and report it.")
