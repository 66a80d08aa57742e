"""Rows into bills of materials, and variants worked out from what they are based on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from stockpush.errors import QuantityInvalid
from stockpush.importer.cells import Cells
from stockpush.importer.mistakes import Mistakes, nearest
from stockpush.importer.tables import Row
from stockpush.model import (
    NO_SCRAP,
    BillLine,
    BillOfMaterials,
    Item,
    Kind,
    OrderSupply,
    Scrap,
)
from stockpush.reservation.bom import merge_lines, resolve
from stockpush.units import format_scrap, parse_scrap

_OF_THE_BASE: Final = ("yield", "batch_only", "kit", "backflush", "build_time")
"""What a variant has of its base."""
_ORDER: Final = "order"
"""What a line says that is of each order, and not of what the bill makes."""


class BillReader:
    """The bills read so far, `made` by what they make. `None` from a method: a mistake was noted.

    `known` are those before the import; `items` those there will be, read before the bills are;
    `find` returns the item that a row names.
    """

    def __init__(
        self,
        mistakes: Mistakes,
        known: Mapping[str, BillOfMaterials],
        items: Mapping[str, Item],
        find: Callable[[Row, str], Item | None],
    ) -> None:
        self._mistakes = mistakes
        self._cells = Cells(mistakes)
        self._known = known
        self._items = items
        self._find = find
        self._rows: dict[str, Row] = {}
        self.made: dict[str, BillOfMaterials] = {}
        self.per_order: dict[str, tuple[OrderSupply, ...]] = {}
        """What orders take once, of every bill that was read."""

    def read(self, rows: Iterable[Row]) -> None:
        """Read the bills; items and components may stand in any file or be known already."""
        places: dict[str, str] = {}
        for row in rows:
            sku = self._cells.text(row, "item")
            if sku is None:
                continue
            if sku in places:
                expected = f"one bill per item; {places[sku]} has it too"
                self._mistakes.add(row.where("item"), found=sku, expected=expected)
                continue
            places[sku] = row.place
            self._rows[sku] = row
            once = tuple(line for line in row.lines if "per" in line.cells)
            made = replace(row, lines=tuple(line for line in row.lines if line not in once))
            supplies = self._supplies(once, sku, none_too="base" in row.cells)
            if supplies is not None:
                self.per_order[sku] = supplies
            if once and not made.lines and "base" not in row.cells:
                self._check_alone(row, sku)
                continue
            bill = self._variant(made, sku) if "base" in row.cells else self._bill(made, sku)
            if bill is not None:
                self.made[sku] = bill
        for bill in self.made.values():
            if bill.base is not None:
                self._check_base(self._rows[bill.item], bill.item, bill.base)

    def _supplies(
        self, rows: Iterable[Row], sku: str, *, none_too: bool
    ) -> tuple[OrderSupply, ...] | None:
        """Return the lines of a bill that are of each order; `none_too`: 0 takes one away."""
        found: dict[str, OrderSupply] = {}
        sound = True
        for row in rows:
            line = self._supply(row, sku, none_too=none_too)
            if line is not None and line.supply in found:
                expected = "one line per order of each supply; it is on a line before"
                self._mistakes.add(row.where("item"), found=line.supply, expected=expected)
                line = None
            sound = sound and line is not None
            if line is not None:
                found[line.supply] = line
        return tuple(found.values()) if sound else None

    def _supply(self, row: Row, made: str, *, none_too: bool) -> OrderSupply | None:
        per = row.cells["per"]
        if not isinstance(per, str) or per.strip().lower() != _ORDER:
            expected = f"{_ORDER}, or nothing: then the line is of what the bill makes"
            self._mistakes.add(row.where("per"), found=per, expected=expected)
            return None
        if "scrap" in row.cells:
            expected = "nothing: what goes once with each order is taken as it is"
            self._mistakes.add(row.where("scrap"), found=row.cells["scrap"], expected=expected)
            return None
        gate = self._cells.boolean(row, "gate")
        line = self._bill_line(row, made, none_too=none_too)
        return (
            None
            if gate is None or line is None
            else OrderSupply(line.component, line.quantity, gate)
        )

    def _check_alone(self, row: Row, sku: str) -> None:
        """Note what a bill cannot say that only has lines of orders, and so makes nothing."""
        self._item_in_bill(row, sku)
        for name in _OF_THE_BASE:
            if name in row.cells:
                expected = "nothing: with lines per order alone the bill makes nothing"
                self._mistakes.add(row.where(name), found=row.cells[name], expected=expected)
        if sku in self._known:
            expected = f"the components of {sku} as well: its bill has some, and none is removed"
            self._mistakes.add(row.where("lines"), found="lines per order alone", expected=expected)

    def place_of(self, sku: str, supply: str, field: str) -> str | None:
        """Return where a bill that was read says something of a component, None where none does."""
        row = self._rows.get(sku)
        if row is None:
            return None
        lines = (line for line in row.lines if line.cells.get("item") == supply)
        line = next(lines, None)
        return row.where("item") if line is None else line.where(field)

    def keeps(self, sku: str) -> bool:
        """Answer whether a known bill that the files do not restate names the item."""
        return any(
            sku == bill.item or any(line.component == sku for line in bill.lines)
            for bill in self._known.values()
            if bill.item not in self.made
        )

    def _bill(self, row: Row, sku: str) -> BillOfMaterials | None:
        item = self._item_in_bill(row, sku)
        yield_quantity = None
        if item is not None:
            yield_quantity = self._cells.positive(row, "yield", item, default=10**item.scale)
        batch_only = self._cells.boolean(row, "batch_only")
        if not row.lines and not row.cells.get("lines"):
            expected = "at least one component"
            self._mistakes.add(row.where("lines"), found=None, expected=expected)
        lines = self._bill_lines(row, sku)
        kit = self._cells.boolean(row, "kit")
        backflush = self._cells.boolean(row, "backflush") if "backflush" in row.cells else kit
        if kit and batch_only:
            expected = "nothing: a kit is put together when it is sent, one at a time"
            self._mistakes.add(row.where("batch_only"), found=True, expected=expected)
            return None
        if kit and backflush is False:
            expected = "nothing, or true: a kit is put together when it is sent"
            self._mistakes.add(row.where("backflush"), found=False, expected=expected)
            return None
        build_time_s = self._cells.duration(row, "build_time") if "build_time" in row.cells else 0
        if kit and build_time_s:
            expected = "nothing: a kit takes no time to make"
            self._mistakes.add(
                row.where("build_time"), found=row.cells["build_time"], expected=expected
            )
            return None
        if yield_quantity is None or not lines or build_time_s is None:
            return None
        if None in (batch_only, kit, backflush):
            return None
        return BillOfMaterials(
            sku,
            yield_quantity,
            lines,
            batch_only=bool(batch_only),
            kit=bool(kit),
            backflush=bool(backflush),
            build_time_s=build_time_s,
        )

    def _bill_lines(
        self, row: Row, sku: str, *, none_too: bool = False
    ) -> tuple[BillLine, ...] | None:
        """Return the lines, those of one component added up; `none_too`: 0 takes one away."""
        lines = [self._bill_line(line, sku, none_too=none_too) for line in row.lines]
        sound = [line for line in lines if line is not None]
        scraps: dict[str, Scrap] = {}
        for line, its_row in zip(lines, row.lines, strict=True):
            if line is None:
                continue
            if scraps.setdefault(line.component, line.scrap) != line.scrap:
                expected = f"{format_scrap(scraps[line.component])}, as on its line before"
                found = its_row.cells.get("scrap")
                self._mistakes.add(its_row.where("scrap"), found=found, expected=expected)
                return None
        return merge_lines(sound) if len(sound) == len(lines) else None

    def _variant(self, row: Row, sku: str) -> BillOfMaterials | None:
        """Return a bill that shares another one, without what follows from that one yet."""
        base = self._cells.text(row, "base")
        item = self._item_in_bill(row, sku)
        for name in _OF_THE_BASE:
            if name in row.cells:
                expected = f"nothing: a variant has it of its base ({base})"
                self._mistakes.add(row.where(name), found=row.cells[name], expected=expected)
        overrides = self._bill_lines(row, sku, none_too=True)
        if base is None or item is None or overrides is None:
            return None
        return BillOfMaterials(sku, 1, (), base=base, overrides=overrides)

    def _check_base(self, row: Row, sku: str, base: str) -> None:
        """Note a base that has no bill, or is not counted as its variant is."""
        if base not in self._known and base not in self._rows:
            bills = {*self._known, *self._rows} - {sku}
            expected = "an item with a bill of materials, here or already imported"
            self._mistakes.add(
                row.where("base"), found=base, expected=expected, hint=nearest(base, bills)
            )
            return
        item, other = self._items[sku], self._items.get(base)
        if other is not None and (item.unit, item.scale) != (other.unit, other.scale):
            expected = f"a base counted in {item.unit} with scale {item.scale}, as {sku} is"
            found = f"{base}, counted in {other.unit} with scale {other.scale}"
            self._mistakes.add(row.where("base"), found=found, expected=expected)

    def resolve(self) -> Mapping[str, BillOfMaterials]:
        """Work out variants, known ones whose base changes too; return every bill there will be.

        Raises `BillCycle` for bills that are based on one another.
        """
        bills = resolve({**self._known, **self.made})
        for sku, bill in bills.items():
            row = self._rows.get(sku)
            if row is None:
                if bill != self._known[sku]:
                    self.made[sku] = bill
                continue
            self.made[sku] = bill
            if bill.base is None:
                continue
            there = {line.component for line in bills[bill.base].lines}
            for line in bill.overrides:
                if not line.quantity and line.component not in there:
                    expected = f"a component of the bill of {bill.base}, to take it away"
                    self._mistakes.add(
                        row.where("lines"),
                        found=line.component,
                        expected=expected,
                        hint=nearest(line.component, there),
                    )
            if not bill.lines:
                expected = "at least one component that is left"
                self._mistakes.add(row.where("lines"), found=None, expected=expected)
        return bills

    def _bill_line(self, row: Row, made: str, *, none_too: bool) -> BillLine | None:
        if "gate" in row.cells and "per" not in row.cells:
            expected = 'nothing: only a line with per = "order" can be a gate'
            self._mistakes.add(row.where("gate"), found=row.cells["gate"], expected=expected)
            return None
        component = self._cells.text(row, "item")
        if component is None:
            return None
        if component == made:
            expected = "a component other than the item that the bill makes"
            self._mistakes.add(row.where("item"), found=component, expected=expected)
            return None
        item = self._item_in_bill(row, component)
        if item is None:
            return None
        quantity = (self._cells.quantity if none_too else self._cells.positive)(
            row, "quantity", item
        )
        scrap = self._scrap(row)
        if quantity is None or scrap is None:
            return None
        return BillLine(component, quantity, scrap if quantity else NO_SCRAP)

    def _scrap(self, row: Row) -> Scrap | None:
        if "scrap" not in row.cells:
            return NO_SCRAP
        try:
            return parse_scrap(row.cells["scrap"], field=row.where("scrap"))
        except QuantityInvalid as error:
            self._mistakes.take(error)
            return None

    def _item_in_bill(self, row: Row, sku: str) -> Item | None:
        item = self._find(row, sku)
        if item is not None and item.kind is Kind.MRO:
            expected = "an item that is made or consumed (mro items are in no bill)"
            self._mistakes.add(row.where("item"), found=sku, expected=expected)
            return None
        return item
