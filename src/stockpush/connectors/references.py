"""Listings whose reference is what orders name them by and the field that holds their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stockpush.errors import CatalogueInvalid
from stockpush.messages import ListingResolved
from stockpush.model import Listing


def only(given: Mapping[str, Any], name: str, *, reference: str) -> Any:
    """Return the one field that a reference has, None if it is missing; there is no other.

    `reference` names it for people. Raises `CatalogueInvalid`.
    """
    for each in given:
        if each != name:
            raise CatalogueInvalid(f"{reference} has no {each!r}.", field=each, expected=name)
    return given.get(name)


def resolved(
    listings: Sequence[Listing], problem: Callable[[str], str | None]
) -> tuple[ListingResolved, ...]:
    """Return each listing's order key and field; `problem` says what a person must mend, by ref."""
    return tuple(
        ListingResolved(
            listing=listing.key,
            # Orders name the listing by it whatever becomes of its number: demand counts.
            order_key=listing.key.ref,
            field_key=None if found else listing.key.ref,
            problem=found,
        )
        for listing in listings
        for found in [problem(listing.key.ref)]
    )
