"""Files into rows: one `catalog.toml`, or CSV tables with the same columns.

Theory of operation. Both formats end in the same rows, so that what a row means is decided in
one place (`catalogue`). A row's cells are as they were written: TOML gives text, numbers (decimals
as `Decimal`, never float), booleans and lists; CSV gives text only, an empty cell being no cell.
In CSV a bill of materials has one row per line, and a listing's reference has a column per field
(`ref.variant_id`). Spreadsheets differ, so a byte order mark, CRLF, and commas, semicolons or tabs
are all taken; the separator is the one that the header line uses most.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from stockpush.importer.mistakes import Mistakes, nearest

FILE_BYTES_MAX = 16 * 1024 * 1024
"""Largest file read."""

LABEL_LENGTH_MAX = 40
"""Longest SKU that is repeated in the place of a mistake."""


class Table(StrEnum):
    """What a row is about."""

    ITEMS = "items"
    BOMS = "boms"
    LISTINGS = "listings"
    LOCATIONS = "locations"


COLUMNS: Mapping[Table, tuple[str, ...]] = {
    Table.ITEMS: (
        "sku",
        "name",
        "kind",
        "unit",
        "scale",
        "purchase_units",
        "promise",
        "buildable_max",
        "horizon",
        "on_hand",
        "lots",
        "exposure",
        "guard_min",
        "home_channel",
        "exposure_max",
        "substitute_for",
    ),
    Table.BOMS: (
        "item",
        "base",
        "yield",
        "batch_only",
        "kit",
        "backflush",
        "build_time",
        "lines",
    ),
    Table.LISTINGS: ("channel", "item", "pack", "weight", "cap", "buffer", "horizon", "ref"),
    Table.LOCATIONS: ("name", "sellable", "pool"),
}
"""The keys of each TOML table."""
LINE_COLUMNS = ("item", "quantity", "scrap", "per", "gate")
"""The keys of one line of a bill in TOML."""
_CSV_COLUMNS: Mapping[Table, tuple[str, ...]] = {
    Table.ITEMS: COLUMNS[Table.ITEMS],
    Table.BOMS: (
        "item",
        "base",
        "yield",
        "batch_only",
        "kit",
        "backflush",
        "build_time",
        "component",
        "quantity",
        "scrap",
        "per",
        "gate",
    ),
    Table.LISTINGS: ("channel", "item", "pack", "weight", "cap", "buffer", "horizon"),
    Table.LOCATIONS: COLUMNS[Table.LOCATIONS],
}
_LINE_CELLS = (
    ("item", "component"),
    ("quantity", "quantity"),
    ("scrap", "scrap"),
    ("per", "per"),
    ("gate", "gate"),
)
"""What a line of a bill is called in its columns."""
_BILL_CELLS = ("base", "yield", "batch_only", "kit", "backflush", "build_time")
"""What the rows of one bill tell of the bill itself."""
_CSV_REQUIRED: Mapping[Table, tuple[str, ...]] = {
    Table.LISTINGS: ("channel", "item"),
    Table.BOMS: ("item", "component", "quantity"),
    Table.LOCATIONS: ("name",),
    Table.ITEMS: ("sku",),
}
"""Columns without which a CSV file is not that table."""
_CSV_TELLING: Sequence[tuple[Table, tuple[str, ...]]] = (
    (Table.LISTINGS, _CSV_REQUIRED[Table.LISTINGS]),
    (Table.BOMS, _CSV_REQUIRED[Table.BOMS]),
    (Table.LOCATIONS, ("name", "sellable")),
    (Table.LOCATIONS, ("name", "pool")),
    (Table.ITEMS, _CSV_REQUIRED[Table.ITEMS]),
)
"""Columns that tell which table a CSV file of any name is, the most telling first."""
_REF = "ref."


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `place` says where it stands, for people; `lines` are the lines of a bill.

    `columns` has what a cell is called in its file where that is another name.
    """

    place: str
    cells: Mapping[str, Any]
    lines: tuple[Row, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def where(self, name: str) -> str:
        """Return the place of the field `name`."""
        return f"{self.place}: {self.columns.get(name, name)}"


@dataclass(slots=True)
class Tables:
    """The rows of all files, by table."""

    items: list[Row] = field(default_factory=list)
    boms: list[Row] = field(default_factory=list)
    listings: list[Row] = field(default_factory=list)
    locations: list[Row] = field(default_factory=list)

    def of(self, table: Table) -> list[Row]:
        """Return the rows of one table."""
        match table:
            case Table.ITEMS:
                return self.items
            case Table.BOMS:
                return self.boms
            case Table.LISTINGS:
                return self.listings
            case Table.LOCATIONS:
                return self.locations


def read_tables(files: Sequence[tuple[str, bytes]], mistakes: Mistakes) -> Tables:
    """Return the rows of `files` (name, content); note what cannot be read in `mistakes`.

    A name ending in .toml is a whole catalogue. A .csv is the table that it is named after
    (items.csv, boms.csv, listings.csv, locations.csv), or else the one whose columns it has.
    """
    tables = Tables()
    for name, content in files:
        text = _text(name, content, mistakes)
        if text is None:
            continue
        match PurePath(name).suffix.lower():
            case ".toml":
                _read_toml(name, text, tables, mistakes)
            case ".csv":
                _read_csv(name, text, tables, mistakes)
            case suffix:
                mistakes.add(name, found=suffix, expected="a file named .toml or .csv")
    return tables


def _text(name: str, content: bytes, mistakes: Mistakes) -> str | None:
    if len(content) > FILE_BYTES_MAX:
        mistakes.add(name, found=len(content), expected=f"at most {FILE_BYTES_MAX} bytes")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        mistakes.add(
            f"{name} line {line}",
            found=f"byte 0x{byte:02x}",
            expected="text in UTF-8 (in a spreadsheet: save as CSV UTF-8)",
        )
        return None


# -- TOML ------------------------------------------------------------------------------------


def _read_toml(name: str, text: str, tables: Tables, mistakes: Mistakes) -> None:
    try:
        document = tomllib.loads(text, parse_float=_decimal)
    except RecursionError:
        mistakes.add(name, found="tables nested too deeply", expected="a catalogue in TOML")
        return
    except ValueError as error:
        mistakes.add(name, found=str(error), expected="a catalogue in TOML")
        return
    for key, value in document.items():
        if key not in set(Table):
            expected = "one of [[" + "]], [[".join(Table) + "]]"
            mistakes.add(name, found=key, expected=expected, hint=nearest(key, Table))
        elif not isinstance(value, list):
            mistakes.add(f"{name} {key}", found=value, expected=f"[[{key}]] in double brackets")
        else:
            table = Table(key)
            tables.of(table).extend(_toml_rows(f"{name} {key}", value, COLUMNS[table], mistakes))


def _decimal(text: str) -> Decimal:
    if "e" in text.lower():
        raise ValueError(f"the number {text} has an exponent")
    return Decimal(text)


def _toml_rows(
    place: str, tables: Sequence[object], columns: Sequence[str], mistakes: Mistakes
) -> Iterator[Row]:
    for number, cells in enumerate(tables, start=1):
        here = f"{place}[{number}]"
        if not isinstance(cells, dict):
            mistakes.add(here, found=cells, expected="a table")
            continue
        here += _label(cells)
        _check_columns(here, cells, columns, mistakes)
        lines = cells.get("lines", [])
        if "lines" in columns and not isinstance(lines, list):
            mistakes.add(f"{here}: lines", found=lines, expected="a list of tables")
            lines = []
        nested = (
            tuple(_toml_rows(f"{here} lines", lines, LINE_COLUMNS, mistakes))
            if "lines" in columns
            else ()
        )
        yield Row(here, cells, nested)


def _label(cells: Mapping[str, Any]) -> str:
    """Return the row's own name, which is easier to find in a long file than its number."""
    name = cells.get("sku", cells.get("item"))
    if isinstance(name, str) and name.isprintable() and len(name) <= LABEL_LENGTH_MAX:
        return f" ({name.strip()})" if name.strip() else ""
    return ""


def _check_columns(
    place: str, cells: Mapping[str, Any], columns: Sequence[str], mistakes: Mistakes
) -> None:
    for key in cells:
        if key not in columns:
            expected = "one of " + ", ".join(columns)
            mistakes.add(place, found=key, expected=expected, hint=nearest(key, columns))


# -- CSV -------------------------------------------------------------------------------------


def _read_csv(name: str, text: str, tables: Tables, mistakes: Mistakes) -> None:
    header, _, _ = text.partition("\n")
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip().lower() for column in next(reader, [])]
        table = _table_of(name, columns, mistakes)
        if table is None or not _check_header(name, table, columns, mistakes):
            return
        rows: list[Row] = []
        begun = reader.line_num + 1
        for cells in reader:
            # A quoted cell may hold line breaks: a row begins after the end of the one before.
            row = _csv_row(f"{name} line {begun}", cells, columns, mistakes)
            begun = reader.line_num + 1
            if row is not None:
                rows.append(row)
    except csv.Error as error:
        place = f"{name} line {reader.line_num}"
        mistakes.add(place, found=str(error), expected="a row of CSV")
        return
    match table:
        case Table.ITEMS:
            tables.items.extend(rows)
        case Table.BOMS:
            tables.boms.extend(_bills(rows, mistakes))
        case Table.LISTINGS:
            tables.listings.extend(map(_with_ref, rows))
        case Table.LOCATIONS:
            tables.locations.extend(rows)


def _table_of(name: str, columns: Sequence[str], mistakes: Mistakes) -> Table | None:
    stem = PurePath(name).stem.lower()
    if stem in set(Table):
        return Table(stem)
    for table, telling in _CSV_TELLING:
        if set(telling) <= set(columns):
            return table
    expected = (
        "a header of sku; item, component, quantity; channel, item; or name, sellable or pool"
    )
    mistakes.add(f"{name} line 1", found=",".join(columns), expected=expected)
    return None


def _check_header(name: str, table: Table, columns: Sequence[str], mistakes: Mistakes) -> bool:
    place = f"{name} line 1"
    known = _CSV_COLUMNS[table]
    expected = "one of " + ", ".join(known) + (", ref.*" if table is Table.LISTINGS else "")
    sound = True
    for index, column in enumerate(columns):
        is_ref = table is Table.LISTINGS and len(column) > len(_REF) and column.startswith(_REF)
        if column not in known and not is_ref:
            mistakes.add(place, found=column, expected=expected, hint=nearest(column, known))
            sound = False
        elif column in columns[:index]:
            mistakes.add(place, found=f"two columns {column}", expected="each column once")
            sound = False
    for column in _CSV_REQUIRED[table]:
        if column not in columns:
            mistakes.add(place, found=",".join(columns), expected=f"a column {column}")
            sound = False
    return sound


def _csv_row(
    place: str, cells: Sequence[str], columns: Sequence[str], mistakes: Mistakes
) -> Row | None:
    """Return the row, or None for an empty line and for one with more cells than the header."""
    filled = [index for index, cell in enumerate(cells) if cell.strip()]
    if not filled:
        return None
    if filled[-1] >= len(columns):
        expected = f"{len(columns)} cells, as in the header"
        mistakes.add(place, found=f"{len(cells)} cells", expected=expected)
        return None
    named = {columns[index]: cells[index].strip() for index in filled}
    return Row(place + _label(named), named)


def _bills(rows: Sequence[Row], mistakes: Mistakes) -> list[Row]:
    """Gather the rows of each item into one bill. Rows of one bill need not stand together."""
    bills: dict[str, Row] = {}
    for row in rows:
        item = row.cells.get("item")
        if item is None:
            mistakes.add(row.where("item"), found=None, expected="the SKU that the bill makes")
            continue
        line_cells = {
            name: row.cells[column] for name, column in _LINE_CELLS if column in row.cells
        }
        stated = {name: row.cells[name] for name in _BILL_CELLS if name in row.cells}
        # A row that only names the base of its bill is no line.
        lines = (
            ()
            if "base" in stated and not line_cells
            else (Row(row.place, line_cells, columns=dict(_LINE_CELLS)),)
        )
        bill = bills.get(item)
        if bill is None:
            bills[item] = Row(row.place, {"item": item, **stated}, lines)
            continue
        for name, cell in stated.items():
            if bill.cells.get(name, cell) != cell:
                expected = f"{bill.cells[name]}, as on {bill.place}, or nothing"
                mistakes.add(row.where(name), found=cell, expected=expected)
        bills[item] = Row(bill.place, {**stated, **bill.cells}, (*bill.lines, *lines))
    return list(bills.values())


def _with_ref(row: Row) -> Row:
    """Return the row with its `ref.*` cells as one table."""
    ref = {key.removeprefix(_REF): cell for key, cell in row.cells.items() if key.startswith(_REF)}
    cells = {key: cell for key, cell in row.cells.items() if not key.startswith(_REF)}
    return Row(row.place, {**cells, "ref": ref})
