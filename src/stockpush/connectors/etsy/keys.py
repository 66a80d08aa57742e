"""References to listings, fields of theirs, and the values that tell products apart.

Theory of operation. Etsy's ids of products and offerings may change whenever a document is
replaced, so they name nothing here. What stays is the listing's number and the values of its
variation properties ("Scent: Lavender"), by which both documents and receipts tell products apart.
Values are compared as people read them: case, spacing and HTML entities do not count.

A *reference* is what the owner writes: a listing, and where its quantity varies also values or a
SKU. A *field key* is what holds one number: "1001", or "1001:200=blue" where the quantity varies by
property 200. Order lines are named by the field that they were taken off.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from stockpush.errors import CatalogueInvalid

ID_MAX = 2**63 - 1
VALUES_MAX = 3
"""Most variation properties of a listing, since August 2026."""
TEXT_MAX = 200
"""Longest name, value or SKU in a reference."""
KEY_MAX = 400
"""Longest field key that spells its values out; Etsy's own values are far shorter."""

_SPACES = re.compile(r"\s+")
_FIELDS = ("listing_id", "property_values", "product_sku")


class Ref(NamedTuple):
    """A listing; `values` are (property name or number, value) pairs, `sku` a product's, both as
    `plain` has them. Neither: the whole listing.
    """

    listing_id: int
    values: tuple[tuple[str, str], ...] = ()
    sku: str = ""


def plain(text: str) -> str:
    """Return a text as it is compared: without entities, case and superfluous spaces.

    >>> plain(" Light  &amp; Airy ")
    'light & airy'
    """
    return _SPACES.sub(" ", html.unescape(text)).strip().casefold()


def ref_key(given: Mapping[str, Any]) -> str:
    """Return a reference's canonical text; `CatalogueInvalid` names the field.

    `property_values` is text as one cell of a spreadsheet has it (or a table, from a program).

    >>> ref_key({"listing_id": 1001, "property_values": "Size=Large; Scent = Lavender"})
    '1001:scent=lavender&size=large'
    >>> ref_key({"listing_id": "1001", "product_sku": "CANDLE/LAV"})
    '1001#candle%2Flav'
    """
    for name in given:
        if name not in _FIELDS:
            raise CatalogueInvalid(
                f"An Etsy reference has no {name!r}.", field=name, expected=", ".join(_FIELDS)
            )
    listing_id = _number(given.get("listing_id"))
    values, sku = given.get("property_values"), given.get("product_sku")
    if values in (None, "", {}) and sku in (None, ""):
        return str(listing_id)
    if values not in (None, "", {}) and sku not in (None, ""):
        raise CatalogueInvalid(
            "An Etsy reference names a product by its values or by its SKU, not by both.",
            field="product_sku",
            expected="property_values or product_sku",
        )
    if sku not in (None, ""):
        return f"{listing_id}#{quote(_text(sku, 'product_sku'), safe='')}"
    return f"{listing_id}:{urlencode(sorted(_pairs(values)))}"


def parse_ref(key: str) -> Ref:
    """Return the reference that `ref_key` wrote."""
    listing, mark, rest = key.partition("#")
    if mark:
        return Ref(int(listing), sku=unquote(rest))
    listing, _, rest = key.partition(":")
    return Ref(int(listing), values=tuple(parse_qsl(rest, keep_blank_values=True)))


def field_key(listing_id: int, values: Iterable[tuple[int, str]]) -> str:
    """Return the key of a field: the listing, and the values that its quantity varies by.

    >>> field_key(1001, [(513, "Large"), (200, "Blue & Green")])
    '1001:200=blue+%26+green&513=large'
    """
    told = urlencode([(str(number), plain(text)) for number, text in sorted(values)])
    if len(told) > KEY_MAX:
        told = f"sha256={hashlib.sha256(told.encode('ascii')).hexdigest()}"
    return f"{listing_id}:{told}" if told else str(listing_id)


def listing_of(key: str) -> int:
    """Return the listing of a field key."""
    return int(key.partition(":")[0])


def value_of(values: Sequence[str]) -> str:
    """Return the text of one property's value; some have two (a range)."""
    return ", ".join(values)


def _pairs(values: Any) -> list[tuple[str, str]]:
    if isinstance(values, str):
        split = [part.partition("=") for part in values.split(";") if part.strip()]
        if not split or any(not mark for _, mark, _ in split):
            raise CatalogueInvalid(
                "property_values is not a list of values.",
                field="property_values",
                found=values[:TEXT_MAX],
                expected="Scent=Lavender; Size=Large",
            )
        values = {name: value for name, _, value in split}
    if not isinstance(values, Mapping) or not 0 < len(values) <= VALUES_MAX:
        raise CatalogueInvalid(
            "property_values is not a table of values.",
            field="property_values",
            expected=f'1 to {VALUES_MAX} of Name = "value"',
        )
    pairs = [
        (_text(name, "property_values"), _text(value, "property_values"))
        for name, value in values.items()
    ]
    if len({name for name, _ in pairs}) < len(pairs):
        raise CatalogueInvalid("A property is named twice.", field="property_values")
    return pairs


def _text(value: Any, field: str) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and 0 < len(plain(text)) <= TEXT_MAX:
        return plain(text)
    raise CatalogueInvalid(
        f"{field} has something that is not a text.",
        field=field,
        found=type(value).__name__,
        expected=f"1 to {TEXT_MAX} characters",
    )


def _number(value: Any) -> int:
    """Return a listing's number as a person wrote it; `CatalogueInvalid` names the field."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    ok = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 20
    if ok and 0 < int(text) <= ID_MAX:
        return int(text)
    raise CatalogueInvalid(
        "listing_id is not the number of an Etsy listing.",
        field="listing_id",
        found=value,
        expected="a whole number above 0",
    )
