"""Rows into items, listings, locations and opening stock, each checked where it stands.

What a row leaves out keeps its present value, or takes the default: an item is a product counted
in pieces, a bill yields 1 unit, a listing sells 1 unit. Rows of all files are read together, so
their order and the order of the files do not matter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from stockpush.errors import CatalogueInvalid, QuantityInvalid
from stockpush.importer.bills import BillReader
from stockpush.importer.cells import Cells
from stockpush.importer.mistakes import Mistakes, nearest
from stockpush.importer.preview import (
    Change,
    IgnoredStock,
    bill_change,
    ignored_stock,
    item_change,
    listing_change,
    location_change,
)
from stockpush.importer.tables import Row, Tables, read_tables
from stockpush.messages import ImportCatalogue, StockMove
from stockpush.model import (
    MAIN,
    WEIGHT_MAX,
    WIRE_QUANTITY_MAX,
    BillOfMaterials,
    Exposure,
    Item,
    Kind,
    Listing,
    ListingKey,
    Location,
    LotRule,
    MovementKind,
    Promise,
    PurchaseUnit,
)
from stockpush.ports import CatalogueRows
from stockpush.reservation.bom import Bills, refuse_too_large
from stockpush.reservation.per_order import faults
from stockpush.units import (
    SCALE_MAX,
    find_unit,
    parse_quantity,
    purchase_unit_name,
    spellings,
)

_NONE = "none"
"""What takes a column's value away; an empty cell leaves it as it is."""

WHOLE_LENGTH_MAX: Final = 10
"""Most digits of a whole number that is read from text: as many as WIRE_QUANTITY_MAX has."""

Refs = Callable[[str, Mapping[str, Any]], str]
"""(channel, reference as given) -> its canonical key; raises `CatalogueInvalid`."""


@dataclass(frozen=True, slots=True)
class Known:
    """The catalogue as it is before the import; `moved` are SKUs that have any movement."""

    items: Mapping[str, Item] = field(default_factory=dict)
    bills: Mapping[str, BillOfMaterials] = field(default_factory=dict)
    listings: Mapping[ListingKey, Listing] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: CatalogueRows, *, moved: Collection[str]) -> Known:
        """Return what is known from the stored rows."""
        return cls(
            items={item.sku: item for item in rows.items},
            bills={bill.item: bill for bill in rows.bills},
            listings={listing.key: listing for listing in rows.listings},
            locations={place.name: place for place in rows.locations},
            moved=frozenset(moved),
        )

    def counted(self) -> frozenset[str]:
        """Return the SKUs in whose smallest units something is already recorded."""
        in_bills = {
            sku
            for bill in self.bills.values()
            for sku in (bill.item, *(line.component for line in bill.lines))
        }
        once = {line.supply for item in self.items.values() for line in item.per_order}
        alike = {
            sku
            for item in self.items.values()
            if item.substitute_for is not None
            for sku in (item.sku, item.substitute_for)
        }
        listed = {listing.sku for listing in self.listings.values()}
        return self.moved | in_bills | once | alike | listed


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A catalogue that was read and is sound, with its preview.

    `opening` are the stocks to open; `ignored` the stated stocks that are not taken.
    """

    items: tuple[Item, ...]
    bills: tuple[BillOfMaterials, ...]
    listings: tuple[Listing, ...]
    opening: tuple[StockMove, ...]
    changes: tuple[Change, ...]
    ignored: tuple[IgnoredStock, ...]
    locations: tuple[Location, ...] = ()

    def command(
        self, *, key: str, actor: str, reason: str = "", corrects: bool = False
    ) -> ImportCatalogue:
        """Return the command that writes it."""
        return ImportCatalogue(
            items=self.items,
            bills=self.bills,
            listings=self.listings,
            opening=self.opening,
            locations=self.locations,
            key=key,
            actor=actor,
            reason=reason,
            corrects=corrects,
        )


def read_catalogue(
    files: Sequence[tuple[str, bytes]], *, known: Known, channels: Collection[str], refs: Refs
) -> CatalogueFile:
    """Read `files` (name, content) against what is `known` and the configured `channels`.

    Raises `CatalogueInvalid` with every mistake found (`importer.mistakes`), or with the one
    that only shows when all bills are looked at together (`BillCycle`).
    """
    mistakes = Mistakes()
    tables = read_tables(files, mistakes)
    reader = _Reader(known, channels, refs, mistakes)
    reader.read_items(tables.items)
    reader.read_bills(tables.boms)
    reader.read_listings(tables.listings)
    reader.read_locations(tables.locations)
    reader.check_substitutes(tables)
    mistakes.raise_any()
    bills = reader.bills.resolve()
    mistakes.raise_any()
    reader.check_supplies(bills)
    mistakes.raise_any()
    refuse_too_large(Bills.build(bills.values(), reader.all_items.keys(), reader.name_of()))
    return reader.catalogue()


class _Reader:
    """The values read so far. `None` from a method means that a mistake was noted.

    `all_items` are the items there will be: those known and those read. `bills` reads the bills.
    """

    def __init__(
        self, known: Known, channels: Collection[str], refs: Refs, mistakes: Mistakes
    ) -> None:
        self._known = known
        self._channels = channels
        self._refs = refs
        self._mistakes = mistakes
        self._counted = known.counted()
        self._places: dict[str, str] = {}
        self._folded = {_folded(sku): sku for sku in known.items}
        self._items: dict[str, Item] = {}
        self.all_items = dict(known.items)
        self._listings: dict[ListingKey, Listing] = {}
        self._listing_places: dict[ListingKey, str] = {}
        self._on_hand: dict[str, int] = {}
        self._locations: dict[str, Location] = {}
        self.bills = BillReader(mistakes, known.bills, self.all_items, self._find_item)
        cells = Cells(mistakes)
        self._text, self._boolean = cells.text, cells.boolean
        self._quantity, self._positive = cells.quantity, cells.positive
        self._duration = cells.duration

    def catalogue(self) -> CatalogueFile:
        """Return what was read, with its preview."""
        known, items = self._known, self._with_supplies()
        bills, once = self.bills.made, self.bills.per_order
        changed = {sku: items[sku] for sku in once if items[sku] != known.items.get(sku)}
        moved = {sku for sku in self._on_hand if sku in known.moved}
        return CatalogueFile(
            items=tuple({**{sku: items[sku] for sku in self._items}, **changed}.values()),
            bills=tuple(bills.values()),
            listings=tuple(self._listings.values()),
            locations=tuple(self._locations.values()),
            opening=tuple(
                StockMove(sku, quantity, MovementKind.OPENING)
                for sku, quantity in self._on_hand.items()
                if quantity and sku not in moved
            ),
            changes=(
                *(item_change(known.items.get(new.sku), new) for new in self._items.values()),
                *(
                    bill_change(
                        (known.bills.get(sku), known.items.get(sku)),
                        (bills.get(sku, known.bills.get(sku)), items[sku]),
                        items,
                    )
                    for sku in dict.fromkeys((*bills, *once))
                    if sku in bills or items[sku].per_order or sku in changed
                ),
                *(
                    listing_change(known.listings.get(new.key), new, items)
                    for new in self._listings.values()
                ),
                *(
                    location_change(known.locations.get(new.name), new)
                    for new in self._locations.values()
                ),
            ),
            ignored=tuple(
                ignored_stock(items[sku], quantity)
                for sku, quantity in self._on_hand.items()
                if sku in moved
            ),
        )

    def _with_supplies(self) -> dict[str, Item]:
        """Return the items there will be, with what their bills say of each order."""
        once = self.bills.per_order
        return {
            sku: replace(item, per_order=once[sku]) if sku in once else item
            for sku, item in self.all_items.items()
        }

    def check_supplies(self, bills: Mapping[str, BillOfMaterials]) -> None:
        """Note supplies of orders that are at odds with their item, its bill, or other bills."""
        told: set[str] = set()
        for fault in faults(self._with_supplies(), bills):
            where = self.bills.place_of(fault.item, fault.supply, fault.field)
            if where is None and fault.other:
                where = self.bills.place_of(fault.other, fault.supply, fault.field)
            told_of = [sku for sku in (fault.supply, fault.other) if sku in self._items]
            if where is None and told_of:
                where = f"{self._places[told_of[0]]}: {fault.cell}"
            where = where or f"the bill of {fault.item}: {fault.supply}"
            if where not in told:  # several items may name what one row is at odds with
                self._mistakes.add(where, found=fault.found, expected=fault.expected)
            told.add(where)

    # -- items -------------------------------------------------------------------------------

    def read_items(self, rows: Iterable[Row]) -> None:
        """Read the items, then check what other tables may rely on."""
        for row in rows:
            sku = self._new_sku(row)
            if sku is None:
                continue
            item = self._item(row, sku)
            if item is None:
                continue
            self._items[sku] = self.all_items[sku] = item
            if "on_hand" in row.cells:
                on_hand = self._quantity(row, "on_hand", item)
                if on_hand is not None:
                    self._on_hand[sku] = on_hand

    def _new_sku(self, row: Row) -> str | None:
        sku = self._text(row, "sku")
        if sku is None:
            return None
        if any(unicodedata.category(letter)[0] == "C" for letter in sku):
            expected = "text without control or invisible characters"
            self._mistakes.add(row.where("sku"), found=sku, expected=expected)
            return None
        if sku in self._places:
            expected = f"each SKU once; {self._places[sku]} has it too"
            self._mistakes.add(row.where("sku"), found=sku, expected=expected)
            return None
        self._places[sku] = row.place
        other = self._folded.setdefault(_folded(sku), sku)
        if other != sku:
            expected = f"{other!r}, or a SKU that differs from it in more than case"
            self._mistakes.add(row.where("sku"), found=sku, expected=expected)
            return None
        return sku

    def _item(self, row: Row, sku: str) -> Item | None:
        old = self._known.items.get(sku)
        name = self._text(row, "name") if "name" in row.cells else (old.name if old else sku)
        kind = self._kind(row) if "kind" in row.cells else (old.kind if old else Kind.PRODUCT)
        unit = self._unit(row) if "unit" in row.cells else (old.unit if old else "piece")
        if unit is None:
            return None
        if "scale" in row.cells:
            scale = self._scale(row)
        else:
            same = old is not None and old.unit == unit
            scale = old.scale if old and same else find_unit(unit, field="unit").scale
        lots = self._lots(row, old)
        if name is None or kind is None or scale is None or lots is None:
            return None
        if old is not None and sku in self._counted and (unit, scale) != (old.unit, old.scale):
            self._mistakes.add(
                row.where("unit"),
                found=f"{unit} with scale {scale}",
                expected=f"{old.unit} with scale {old.scale}: stock, bills or listings are "
                "recorded in it (a new SKU can have another unit)",
            )
            return None
        bought = self._purchase_units(row, old, unit, scale)
        if bought is None:
            return None
        once = () if old is None else old.per_order  # until its bill says otherwise
        item = Item(sku, name, kind, unit, scale, bought, lots=lots, per_order=once)
        item = replace(item, substitute_for=old.substitute_for if old else None)
        if "substitute_for" in row.cells:
            other = self._text(row, "substitute_for")
            item = replace(item, substitute_for=None if other == _NONE else other)
        ruled = self._with_horizon(row, old, self._with_rule(row, old, item))
        return None if ruled is None else self._with_exposure(row, old, ruled)

    def name_of(self) -> dict[str, str]:
        """Return the name that each substitute shares with others."""
        items = self.all_items.values()
        return {each.sku: each.substitute_for for each in items if each.substitute_for is not None}

    def check_substitutes(self, tables: Tables) -> None:
        """Note names of substitutes that no item has, or that cannot be one."""
        places = {str(row.cells.get("sku", "")).strip(): row for row in tables.items}
        members: dict[str, list[str]] = {}
        for each, shared in sorted(self.name_of().items()):
            members.setdefault(shared, []).append(each)
        stocked = [(row, "on_hand", sku) for sku, row in places.items() if self._on_hand.get(sku)]
        listings = [(row, "item", row.cells.get("item")) for row in tables.listings]
        for row, column, given in (*stocked, *listings):
            if isinstance(given, str) and given.strip() in members:
                either = " or ".join(members[given.strip()])
                expected = f"{either}: nothing is stocked of what they share"
                self._mistakes.add(row.where(column), found=row.cells[column], expected=expected)
        listed = {row.sku for row in self._known.listings.values()}
        for sku, item in self._items.items():
            name = item.substitute_for
            if name is None:
                continue
            other = self.all_items.get(name)
            where = places[sku].where("substitute_for")
            if other is None:
                if name not in self._places:
                    expected = "the SKU of an item, here or already imported"
                    known = {*self.all_items, *self._places}
                    self._mistakes.add(
                        where, found=name, expected=expected, hint=nearest(name, known)
                    )
            elif _counted_in(item) != _counted_in(other):
                found = f"{name}, counted in {other.unit} with scale {other.scale}"
                expected = f"an item counted in {item.unit} with scale {item.scale}, as {sku} is"
                self._mistakes.add(where, found=found, expected=expected)
            elif name in self._known.moved or name in listed:
                expected = "an item of which nothing is stocked or listed: that is the substitutes'"
                self._mistakes.add(where, found=name, expected=expected)
            elif Kind.MRO in {item.kind, other.kind}:
                expected = "no mro items: they are in no bill"
                self._mistakes.add(where, found=name, expected=expected)

    def _lots(self, row: Row, old: Item | None) -> LotRule | None:
        """Return which of the item's stock is kept by lot; what has lots keeps them."""
        before = LotRule.NEVER if old is None else old.lots
        if "lots" not in row.cells:
            return before
        always = self._boolean(row, "lots")
        if always is None:
            return None
        if always:
            return LotRule.ALWAYS
        return LotRule.NEVER if before is LotRule.NEVER else LotRule.SOME

    def _with_rule(self, row: Row, old: Item | None, item: Item) -> Item | None:
        """Return the item with its promise rule."""
        given = row.cells.get("promise", old.promise if old else Promise.BUILDABLE)
        word = given.strip().lower() if isinstance(given, str) else given
        if word not in set(Promise):
            expected = "one of " + ", ".join(Promise)
            hint = nearest(given, Promise)
            self._mistakes.add(row.where("promise"), found=given, expected=expected, hint=hint)
            return None
        promise, told = Promise(word), row.cells.get("buildable_max")
        sound, most = self._limit(
            row, "buildable_max", item, old, old.buildable_max if old else None
        )
        if not sound:
            return None
        if promise is Promise.FINISHED:
            if told is not None and most is not None:
                expected = "nothing: with promise = finished nothing is promised that is not there"
                self._mistakes.add(row.where("buildable_max"), found=told, expected=expected)
                return None
            most = None
        return replace(item, promise=promise, buildable_max=most)

    def _with_horizon(self, row: Row, old: Item | None, item: Item | None) -> Item | None:
        """Return the item with how soon what is promised of it has to be there."""
        if item is None or "horizon" not in row.cells:
            known = None if old is None else old.horizon_s
            return None if item is None else replace(item, horizon_s=known)
        if _says_none(row.cells["horizon"]):
            return item
        horizon_s = self._duration(row, "horizon")
        return None if horizon_s is None else replace(item, horizon_s=horizon_s)

    def _limit(
        self, row: Row, name: str, item: Item, old: Item | None, known: int | None
    ) -> tuple[bool, int | None]:
        """Return whether a limit is sound, and what it is; `none` takes the `known` one away."""
        if name in row.cells:
            if _says_none(row.cells[name]):
                return True, None
            most = self._quantity(row, name, item)
            return most is not None, most
        if known is not None and old is not None and (item.unit, item.scale) != _counted_in(old):
            expected = f"{name} again, since it was told in {old.unit} (or none)"
            self._mistakes.add(row.where(name), found=None, expected=expected)
            return False, None
        return True, known

    def _with_exposure(self, row: Row, old: Item | None, item: Item) -> Item | None:
        """Return the item with how its listings share what is left of it."""
        exposure = self._exposure(row, old)
        sound, guard_min = self._limit(row, "guard_min", item, old, old.guard_min if old else None)
        whole, exposure_max = self._limit(
            row, "exposure_max", item, old, old.exposure_max if old else None
        )
        home = old.home_channel if old else None
        if "home_channel" in row.cells:
            told = row.cells["home_channel"]
            home = None if _says_none(told) else self._channel(row, "home_channel")
            sound = sound and (home is not None or _says_none(told))
        if exposure is False or not sound or not whole:
            return None
        return replace(
            item,
            exposure=exposure,
            guard_min=guard_min,
            home_channel=home,
            exposure_max=exposure_max,
        )

    def _exposure(self, row: Row, old: Item | None) -> Exposure | Literal[False] | None:
        """Return the item's own exposure, None where it has none; False: a mistake was noted."""
        if "exposure" not in row.cells:
            return old.exposure if old else None
        given = row.cells["exposure"]
        if _says_none(given):
            return None
        word = given.strip().lower() if isinstance(given, str) else given
        if word in set(Exposure):
            return Exposure(word)
        expected = "one of " + ", ".join((*Exposure, _NONE))
        hint = nearest(given, Exposure)
        self._mistakes.add(row.where("exposure"), found=given, expected=expected, hint=hint)
        return False

    def _purchase_units(
        self, row: Row, old: Item | None, unit: str, scale: int
    ) -> tuple[PurchaseUnit, ...] | None:
        """Return the item's purchase units; each may be told in those that stand before it."""
        where = row.where("purchase_units")
        if "purchase_units" not in row.cells:
            known = old.purchase_units if old else ()
            if known and old is not None and (unit, scale) != _counted_in(old):
                expected = f"the purchase units again, since they were told in {old.unit}"
                self._mistakes.add(where, found=None, expected=expected)
                return None
            return known
        given = _named_sizes(row.cells["purchase_units"])
        if given is None:
            expected = "names with their sizes, such as { box = 144 } (in CSV: box=144;case=10 box)"
            self._mistakes.add(where, found=row.cells["purchase_units"], expected=expected)
            return None
        read: list[PurchaseUnit] = []
        taken: dict[str, str] = {}
        sound = True
        for name, size in given:
            try:
                plain = purchase_unit_name(name, field=where)
                units = parse_quantity(
                    size, unit=unit, scale=scale, field=f"{where}.{plain}", purchase_units=read
                )
            except QuantityInvalid as error:
                self._mistakes.take(error)
                sound = False
                continue
            if units == 0:
                self._mistakes.add(f"{where}.{plain}", found=size, expected=f"more than 0 {unit}")
                sound = False
            alike = next((taken[word] for word in spellings(plain) if word in taken), None)
            if alike is not None:
                expected = f"another name: one could not tell it from {alike!r}"
                self._mistakes.add(where, found=name, expected=expected)
                sound = False
            taken |= dict.fromkeys(spellings(plain), plain)
            read.append(PurchaseUnit(plain, units))
        return tuple(read) if sound else None

    def _kind(self, row: Row) -> Kind | None:
        given = row.cells["kind"]
        if isinstance(given, str) and given.strip().lower() in set(Kind):
            return Kind(given.strip().lower())
        expected = "one of " + ", ".join(Kind)
        self._mistakes.add(
            row.where("kind"), found=given, expected=expected, hint=nearest(given, Kind)
        )
        return None

    def _unit(self, row: Row) -> str | None:
        given = self._text(row, "unit")
        if given is None:
            return None
        try:
            return find_unit(given, field=row.where("unit")).name
        except QuantityInvalid as error:
            self._mistakes.take(error)
            return None

    def _scale(self, row: Row) -> int | None:
        given = row.cells["scale"]
        if str(given) in {str(scale) for scale in range(SCALE_MAX + 1)}:
            return int(given)
        expected = f"a whole number from 0 to {SCALE_MAX}"
        self._mistakes.add(row.where("scale"), found=given, expected=expected)
        return None

    # -- bills of materials ------------------------------------------------------------------

    # -- bills of materials ------------------------------------------------------------------

    def read_bills(self, rows: Iterable[Row]) -> None:
        """Read the bills, then note items that became mro while a bill names them."""
        self.bills.read(rows)
        for sku, item in self._items.items():
            if item.kind is Kind.MRO and self.bills.keeps(sku):
                where = f"{self._places[sku]}: kind"
                expected = "another kind: a bill of materials names this item"
                self._mistakes.add(where, found=str(item.kind), expected=expected)

    # -- listings ----------------------------------------------------------------------------

    def read_listings(self, rows: Iterable[Row]) -> None:
        """Read the listings; one reference of a channel is mapped once."""
        for row in rows:
            key = self._listing_key(row)
            sku = self._text(row, "item")
            item = None if sku is None else self._find_item(row, sku)
            if item is None:
                continue
            pack = self._positive(row, "pack", item, default=10**item.scale)
            if key is None or pack is None:
                continue
            known = self._known.listings.get(key)
            weight = self._weight(row, 1 if known is None else known.weight)
            sound, cap = self._cap(row, None if known is None else known.cap)
            whole, buffer = self._limit(
                row,
                "buffer",
                item,
                None if known is None else self._known.items[known.sku],
                None if known is None else known.buffer,
            )
            timed, horizon_s = self._listing_horizon(
                row, None if known is None else known.horizon_s
            )
            if weight is None or not (sound and whole and timed):
                continue
            if key in self._listings:
                expected = f"each reference once; {self._listing_places[key]} has it too"
                self._mistakes.add(row.where("ref"), found=key.ref, expected=expected)
                continue
            self._listing_places[key] = row.place
            self._listings[key] = Listing(
                key,
                item.sku,
                pack,
                row.cells["ref"],
                weight=weight,
                cap=cap,
                buffer=buffer,
                horizon_s=horizon_s,
            )

    def _weight(self, row: Row, known: int) -> int | None:
        """Return the listing's weight; a row that has none leaves it as it is."""
        given = row.cells.get("weight", known)
        weight = _whole_number(given)
        if weight is not None and 1 <= weight <= WEIGHT_MAX:
            return weight
        expected = f"a whole number from 1 to {WEIGHT_MAX}"
        self._mistakes.add(row.where("weight"), found=given, expected=expected)
        return None

    def _cap(self, row: Row, known: int | None) -> tuple[bool, int | None]:
        """Return whether the most that a listing may show is sound, and what it is, in packs."""
        if "cap" not in row.cells:
            return True, known
        given = row.cells["cap"]
        if _says_none(given):
            return True, None
        cap = _whole_number(given)
        if cap is not None and cap <= WIRE_QUANTITY_MAX:
            return True, cap
        expected = f"a whole number of packs, 0 to {WIRE_QUANTITY_MAX}, or {_NONE}"
        self._mistakes.add(row.where("cap"), found=given, expected=expected)
        return False, None

    def _listing_horizon(self, row: Row, known: int | None) -> tuple[bool, int | None]:
        """Return whether a listing's own horizon is sound, and what it is; `none`: its item's."""
        if "horizon" not in row.cells:
            return True, known
        if _says_none(row.cells["horizon"]):
            return True, None
        horizon_s = self._duration(row, "horizon")
        return horizon_s is not None, horizon_s

    def _channel(self, row: Row, name: str) -> str | None:
        """Return the configured channel that a cell names."""
        channel = self._text(row, name)
        if channel is None or channel in self._channels:
            return channel
        known = ", ".join(sorted(self._channels)) or "none is configured yet"
        self._mistakes.add(
            row.where(name),
            found=channel,
            expected=f"a configured channel ({known})",
            hint=nearest(channel, self._channels),
        )
        return None

    def _listing_key(self, row: Row) -> ListingKey | None:
        channel = self._channel(row, "channel")
        ref = row.cells.get("ref")
        if not isinstance(ref, dict) or not ref or not all(map(_is_plain, ref.values())):
            expected = "a table of the channel's reference fields, such as { product_id = 1 }"
            self._mistakes.add(row.where("ref"), found=ref or None, expected=expected)
            return None
        if channel is None:
            return None
        try:
            return ListingKey(channel, self._refs(channel, ref))
        except CatalogueInvalid as error:
            found, expected = error.found, error.expected or error.message
            self._mistakes.add(row.where(error.field or "ref"), found=found, expected=expected)
            return None

    # -- locations ---------------------------------------------------------------------------

    def read_locations(self, rows: Iterable[Row]) -> None:
        """Read the places besides the main one, from which things are sold or not."""
        folded = {_folded(each): each for each in (MAIN, *self._known.locations)}
        for row in rows:
            name = self._text(row, "name")
            if name is None:
                continue
            other = folded.setdefault(_folded(name), name)
            if name == MAIN or other != name or name in self._locations:
                expected = (
                    "another name: main is always there, and sold from"
                    if other == MAIN
                    else f"each location once, and written alike: {other!r} is there"
                )
                self._mistakes.add(row.where("name"), found=name, expected=expected)
                continue
            old = self._known.locations.get(name)
            sellable: bool | None = True if old is None else old.sellable
            if "sellable" in row.cells:
                sellable = self._boolean(row, "sellable")
            pool: str | None = MAIN if old is None else old.pool
            if "pool" in row.cells:
                pool = self._pool(row)
            if sellable is not None and pool is not None:
                self._locations[name] = Location(name, sellable, pool)

    def _pool(self, row: Row) -> str | None:
        """Return the pool that a location belongs to, written as another location has it."""
        pool = self._text(row, "pool")
        if pool is None:
            return None
        known = (MAIN, *(place.pool for place in self._known.locations.values()))
        others = (*known, *(place.pool for place in self._locations.values()))
        other = next((each for each in others if _folded(each) == _folded(pool)), pool)
        if other != pool:
            expected = f"{other}, as it was written before, or a name that differs more"
            self._mistakes.add(row.where("pool"), found=pool, expected=expected)
            return None
        return pool

    # -- what another row names --------------------------------------------------------------

    def _find_item(self, row: Row, sku: str) -> Item | None:
        """Return an item that another row names; None without a note if it is broken itself."""
        items = self.all_items
        if sku in items and (sku in self._items or sku not in self._places):
            return items[sku]
        if sku not in self._places:
            known = {*items, *self._places}
            self._mistakes.add(
                row.where("item"),
                found=sku,
                expected="the SKU of an item, here or already imported",
                hint=nearest(sku, known),
            )
        return None


def _says_none(given: object) -> bool:
    """Answer whether a cell takes its column's value away."""
    return isinstance(given, str) and given.strip().lower() == _NONE


def _whole_number(given: object) -> int | None:
    """Return the whole number of 0 or more that a cell is, None for anything else.

    >>> _whole_number(5), _whole_number("5"), _whole_number("1.5"), _whole_number(True)
    (5, 5, None, None)
    """
    match given:
        case bool():
            return None
        case int():
            return given if given >= 0 else None
        case str() if given.isdecimal() and len(given) <= WHOLE_LENGTH_MAX:
            return int(given)
        case _:
            return None


def _counted_in(item: Item) -> tuple[str, int]:
    """Return in what an item's quantities are kept."""
    return item.unit, item.scale


def _named_sizes(given: object) -> list[tuple[str, object]] | None:
    """Return the names and sizes that a cell tells, of TOML or of CSV; None for anything else.

    >>> _named_sizes("box=144; spool=25 m"), _named_sizes({"box": 144}), _named_sizes("none")
    ([('box', '144'), ('spool', '25 m')], [('box', 144)], [])
    """
    match given:
        case dict():
            return list(given.items())
        case str() if given.strip().lower() == _NONE:
            return []
        case str():
            parts = [part.partition("=") for part in given.split(";") if part.strip()]
            if parts and all(equals for _, equals, _ in parts):
                return [(name.strip(), size.strip()) for name, _, size in parts]
            return None
        case _:
            return None


def _folded(sku: str) -> str:
    """Return the form in which two SKUs that people would confuse are equal."""
    return unicodedata.normalize("NFKC", sku).casefold()


def _is_plain(value: object) -> bool:
    """Answer whether a reference field is a number, text, or a list of those."""
    match value:
        case bool():
            return False
        case int() | str():
            return True
        case list():
            return all(isinstance(part, int | str) for part in value)
        case _:
            return False
