"""What people and scripts gave, as text or as JSON: read, or refused with where the mistake is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stockpush.errors import NotFound, UsageError
from stockpush.model import Item
from stockpush.reservation.catalogue import Catalogue

TEXT_LENGTH_MAX: Final = 200
"""Longest reason, note, name or key, in characters."""
TEXT_SHOWN_MAX: Final = 100
"""How much of what was given an error repeats, in characters."""


def shown(text: str) -> str:
    """Return text that was given as an error may repeat it: valid, and not too long."""
    return text[:TEXT_SHOWN_MAX].encode(errors="replace").decode()


def one_line(text: str, *, field: str) -> str:
    """Return text that was given for the record, trimmed.

    Raises `UsageError` for what is too long, or has line breaks or other control characters.
    """
    trimmed = text.strip()
    if len(trimmed) > TEXT_LENGTH_MAX or not trimmed.isprintable():
        too_long = len(trimmed) > TEXT_LENGTH_MAX
        raise UsageError(
            f"{field} is not a line of text.",
            field=field,
            found=f"{len(trimmed)} characters" if too_long else shown(trimmed),
            expected=f"one line of at most {TEXT_LENGTH_MAX} printable characters",
        )
    return trimmed


def name_of(text: str | None, *, field: str) -> str | None:
    """Return the name of a lot or location as it was given, None where none was."""
    if text is None:
        return None
    name = one_line(text, field=field)
    if not name:
        raise UsageError(f"{field} is empty.", field=field, expected="a name of your own")
    return name


# -- JSON ------------------------------------------------------------------------------------


def table(content: Any, where: str, known: Sequence[str]) -> Mapping[str, Any]:
    """Return an object that has no other keys than the known ones."""
    if not isinstance(content, dict):
        raise wrong(where, content, f"an object with {', '.join(known)}")
    for name in content:
        if name not in known:
            at = name if where == "body" else f"{where}.{name}"
            raise wrong(shown(at), content[name], " or ".join(known))
    return content


def text(body: Mapping[str, Any], name: str) -> str | None:
    """Return the text under a key, None where there is none."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong(name, value, "text")
    return value


def line(body: Mapping[str, Any], name: str) -> str:
    """Return the one line of text under a key, empty where none is given."""
    return one_line(text(body, name) or "", field=name)


def flag(body: Mapping[str, Any], name: str) -> bool:
    """Return the true or false under a key, false where neither is given."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(name, value, "true or false")
    return value is True


def item(sku: Any, catalogue: Catalogue, *, field: str) -> Item:
    """Return the item of a SKU, which a script gives exactly as it is."""
    if not isinstance(sku, str):
        raise wrong(field, sku, "the SKU of an item")
    found = catalogue.items.get(sku)
    if found is None:
        raise NotFound(
            "There is no item with that SKU.",
            field=field,
            found=shown(sku),
            expected="a SKU of /api/v1/items",
            next="stockpush stock",
        )
    return found


def wrong(where: str, found: object, expected: str) -> UsageError:
    """Return the error for what is missing (None), or is not what it should be."""
    what = "is missing" if found is None else "cannot be used as it stands"
    try:
        told = None if found is None else shown(str(found))
    except RecursionError:  # a list in a list in a list
        told = type(found).__name__
    return UsageError(f"{where} {what}.", field=where, found=told, expected=expected)
