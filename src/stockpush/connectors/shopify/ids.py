"""Shopify's two spellings of an identifier: the global id and its number."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")


def gid(kind: str, number: int | str) -> str:
    """Return the global id of `kind` (`Order`, `InventoryItem` ...).

    >>> gid("Order", 7)
    'gid://shopify/Order/7'
    """
    return f"gid://shopify/{kind}/{number}"


def number_of(kind: str, given: object) -> int | None:
    """Return the number of `given`, a global id of `kind`, a number or its text; else None.

    Numbers exceed 2**53 and are never floats; a bool is not a number.

    >>> number_of("Order", "gid://shopify/Order/9007199254740993")
    9007199254740993
    >>> number_of("Order", "gid://shopify/Product/1") is None
    True
    """
    if isinstance(given, bool):
        return None
    text = str(given) if isinstance(given, int) else given
    if not isinstance(text, str):
        return None
    text = text.strip().removeprefix(f"gid://shopify/{kind}/")
    if _NUMBER.fullmatch(text) is None or int(text) >= 2**63:
        return None
    return int(text)
