"""Which field each listing goes by, and what the fields hold now.

Theory of operation. A reference is a variant's id, order lines name it by the same id, and its
field is that id too. Up to 100 are read in one request, each by a parameter `ids` of its own: with
any other name Faire answers 200 and an empty map. A variant that is missing from the answer does
not exist.

An UNTRACKED variant sells freely, and the first quantity written to it turns the stock gate on for
good. So it has no number for us and is not written before its owner has agreed, by typing a
quantity for it in Faire's own admin.
Source: Faire's OpenAPI 3.0.3 (GetInventoryResponseV2); live-call notes of 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from stockpush.connectors.base import Api, Moment, Reading, Readings
from stockpush.connectors.faire.wire import Variant, Variants, decode_answer, is_id, read
from stockpush.connectors.payload import decode
from stockpush.connectors.references import only, resolved
from stockpush.errors import CatalogueInvalid, PayloadInvalid
from stockpush.messages import ListingResolved
from stockpush.model import FieldKey, Listing

PATH = "/product-inventory/by-product-variant-ids"

GONE = "Faire no longer has this variant: map the listing to another one, or remove it."
UNTRACKED = (
    "Faire does not track its quantity, so it sells without limit. It stays untouched until you "
    "agree: type a quantity for it in Faire, which cannot be undone there."
)
NO_NUMBER = "Faire tells no quantity for it that can be one."


class Held(NamedTuple):
    """What one variant holds: both numbers, or None and the problem."""

    on_hand: int | None
    committed: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """What some variants hold, by id, and the channel's clock when it was told."""

    held: Mapping[str, Held]
    date: datetime | None
    asked: Moment | None = None


def ref_key(given: Mapping[str, Any]) -> str:
    """Return the variant's id; `CatalogueInvalid` names the field.

    >>> ref_key({"variant_id": "po_6abcdefghj"})
    'po_6abcdefghj'
    """
    variant = only(given, "variant_id", reference="A Faire reference")
    if isinstance(variant, str) and variant.startswith("po_") and is_id(variant):
        return variant
    raise CatalogueInvalid(
        "variant_id is not the id of a Faire variant.",
        field="variant_id",
        found=variant,
        expected="po_ and what follows, as in the variant's address or export",
    )


async def read_page(api: Api, ids: Sequence[str]) -> Page:
    """Read up to 100 variants in one request; none without one."""
    if not ids:
        return Page({}, None)
    answer = await read(api, PATH, [("ids", each) for each in ids])
    found = decode_answer(answer, Variants, "map of variants").inventories
    return Page({each: held(found.get(each)) for each in ids}, answer.date, answer.sent)


def held(raw: msgspec.Raw | None) -> Held:
    """Return what one entry of an answer says; None: it is not there.

    Each is judged by itself, so that one odd variant does not hide the others of its page.
    """
    if raw is None:
        return Held(None, None, GONE)
    try:
        variant = decode(raw, Variant, what="variant")
    except PayloadInvalid:
        return Held(None, None, NO_NUMBER)
    if variant.on_hand_quantity.type == "UNTRACKED":
        return Held(None, None, UNTRACKED)
    on_hand, committed = variant.on_hand_quantity.number, _committed(variant)
    if on_hand is None or committed is None:
        return Held(None, None, NO_NUMBER)
    return Held(on_hand, committed, None)


async def observe(api: Api, fields: Sequence[FieldKey]) -> Readings:
    """Read what the fields hold."""
    page = await read_page(api, [field.key for field in fields])
    return Readings(
        tuple(
            Reading(field, found.on_hand, found.problem, found.committed)
            for field in fields
            for found in [page.held[field.key]]
        ),
        page.date,
    )


async def resolve(api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
    """Return each listing's order key and field, or what a person must mend."""
    page = await read_page(api, [listing.key.ref for listing in listings])
    return resolved(listings, lambda ref: page.held[ref].problem)


def _committed(variant: Variant) -> int | None:
    """Return the units committed to open orders, told or worked out; None where neither can be."""
    told = variant.committed_quantity
    if told is not None and told.number is not None:
        return told.number if told.number >= 0 else None
    available, on_hand = variant.available_quantity, variant.on_hand_quantity.number
    if told is not None or available is None or available.number is None or on_hand is None:
        return None
    return max(0, on_hand - available.number)
