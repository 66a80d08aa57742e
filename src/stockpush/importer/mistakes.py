"""Collecting the mistakes of an import, so that all of them can be mended at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from stockpush.errors import CatalogueInvalid, StockPushError

MISTAKES_MAX = 20
"""Most mistakes listed; the rest are counted."""
FOUND_LENGTH_MAX = 64
"""Longest piece of a file that is quoted back."""


@dataclass(slots=True)
class Mistakes:
    """What is wrong so far, in the order in which it stands in the files."""

    _first: list[StockPushError] = field(default_factory=list)
    _count: int = 0

    def add(self, where: str, *, found: object, expected: str, hint: str = "") -> None:
        """Note that `where` (file, row and field) holds `found` instead of `expected`."""
        shown = quoted(found)
        self.take(
            CatalogueInvalid(
                f"{where}: found {shown}, expected {expected}{hint}",
                field=where,
                found=shown,
                expected=expected,
            )
        )

    def take(self, error: StockPushError) -> None:
        """Note an error whose message already says where it is."""
        self._count += 1
        if len(self._first) < MISTAKES_MAX:
            self._first.append(error)

    def raise_any(self) -> None:
        """Raise one `CatalogueInvalid` that lists every mistake noted; return if there is none.

        Its field, found and expected are those of the first mistake.
        """
        if not self._first:
            return
        first = self._first[0]
        lines = [error.message for error in self._first]
        if self._count > len(lines):
            lines.append(f"and {self._count - len(lines)} more")
        if self._count == 1:
            message = lines[0]
        else:
            message = "\n  ".join([f"The catalogue has {self._count} mistakes:", *lines])
        raise CatalogueInvalid(
            message,
            field=first.field,
            found=first.found,
            expected=first.expected,
            next="stockpush import FILE --dry-run",
        )


def quoted(found: object) -> str:
    """Return `found` on one line, control characters escaped, cut to FOUND_LENGTH_MAX."""
    match found:
        case None:
            return "nothing"
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            text = ascii(found) if not found.isprintable() else repr(found)
        case bool():
            text = str(found).lower()
        case int() if abs(found) > 10**FOUND_LENGTH_MAX:
            return f"a number above 10**{FOUND_LENGTH_MAX}"
        case _:
            text = str(found)
    return text if len(text) <= FOUND_LENGTH_MAX else text[:FOUND_LENGTH_MAX] + "…"


def nearest(given: object, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the nearest known word, or nothing."""
    near = get_close_matches(str(given), sorted(known), n=1)
    return f"; did you mean {str(near[0])!r}?" if near else ""
