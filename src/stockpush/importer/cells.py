"""One cell of a row into a value; what it cannot be is noted where it stands."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from stockpush.errors import QuantityInvalid
from stockpush.importer.mistakes import Mistakes
from stockpush.importer.tables import Row
from stockpush.model import Item
from stockpush.units import parse_duration, parse_quantity

TEXT_LENGTH_MAX: Final = 255
"""Longest SKU or name."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Reads cells. `None` from a method means that a mistake was noted."""

    _mistakes: Mistakes

    def text(self, row: Row, name: str) -> str | None:
        """Return one line of text, trimmed and not empty."""
        given = row.cells.get(name)
        if isinstance(given, str):
            text = given.strip()
            controls = any(unicodedata.category(letter) == "Cc" for letter in text)
            if 0 < len(text) <= TEXT_LENGTH_MAX and not controls:
                return text
        expected = f"text of 1 to {TEXT_LENGTH_MAX} characters on one line"
        if given is not None and not isinstance(given, str):
            expected += ", in quotes"
        self._mistakes.add(row.where(name), found=given, expected=expected)
        return None

    def boolean(self, row: Row, name: str) -> bool | None:
        """Return a yes or no; no cell is a no."""
        match row.cells.get(name, False):
            case bool() as given:
                return given
            case str() as text if text.lower() in {"true", "yes", "1"}:
                return True
            case str() as text if text.lower() in {"false", "no", "0"}:
                return False
            case given:
                self._mistakes.add(row.where(name), found=given, expected="true or false")
                return None

    def duration(self, row: Row, name: str) -> int | None:
        """Return a duration in seconds."""
        try:
            return parse_duration(row.cells[name], field=row.where(name))
        except QuantityInvalid as error:
            self._mistakes.take(error)
            return None

    def quantity(self, row: Row, name: str, item: Item) -> int | None:
        """Return a quantity of `item` of 0 or more, in its smallest units."""
        if name not in row.cells:
            expected = f"a quantity in {item.unit}"
            self._mistakes.add(row.where(name), found=None, expected=expected)
            return None
        try:
            return parse_quantity(
                row.cells[name],
                unit=item.unit,
                scale=item.scale,
                field=row.where(name),
                purchase_units=item.purchase_units,
            )
        except QuantityInvalid as error:
            self._mistakes.take(error)
            return None

    def positive(
        self, row: Row, name: str, item: Item, *, default: int | None = None
    ) -> int | None:
        """Return a quantity of more than 0; no cell is `default`, if there is one."""
        if name not in row.cells and default is not None:
            return default
        quantity = self.quantity(row, name, item)
        if quantity == 0:
            expected = f"more than 0 {item.unit}"
            self._mistakes.add(row.where(name), found=row.cells[name], expected=expected)
            return None
        return quantity
