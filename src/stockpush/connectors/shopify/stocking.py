"""Have an inventory item stocked at our location where it is not, once the owner has agreed.

Theory of operation. A variant's number at a location counts only while its item is *stocked* there.
Stocking changes how the shop ships, so it is done for listings that are not stocked and nothing
else, and only with `activate = true`. No quantity goes along: an item that was stocked here before
keeps its earlier number, another has none, and either is then read and compared like any other. A
repetition does no harm, and whoever asks next sees whether the first call arrived.

Each item is a call of its own. One that gets no usable answer says nothing of the others: it is
left out of what is returned, which has it asked about again. A shop that answers none is not waited
for a hundred times over, and the order is another one each time, so that a few items that are never
answered do not keep the rest from their turn.
Source: Admin GraphQL 2026-10, inventoryActivate; shopify.dev changelog, inventoryActivate preserves
the available quantity.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from stockpush.connectors.answers import printable
from stockpush.connectors.base import Api
from stockpush.connectors.shopify.graphql import call
from stockpush.connectors.shopify.ids import gid
from stockpush.connectors.shopify.levels import NOT_STOCKED
from stockpush.connectors.shopify.operations import ACTIVATE
from stockpush.errors import OutcomeUnknown, PushRejected
from stockpush.messages import ListingResolved

REFUSED = "It is not stocked at the configured location, and Shopify does not let it be: {reason}"

UNKNOWN_MAX = 3
"""Calls without a usable answer after which no more is tried: each may take a deadline."""

_KEYS = uuid.UUID("1c3b7a90-53a4-5b0e-9d2c-0f3f2f7f8a11")
"""Namespace of the keys that are made from a call id."""


class _Level(msgspec.Struct, rename="camel"):
    is_active: bool


class _UserError(msgspec.Struct):
    message: str = ""


class _Activated(msgspec.Struct, rename="camel"):
    user_errors: list[_UserError]
    inventory_level: _Level | None = None


class _Answer(msgspec.Struct, rename="camel"):
    inventory_activate: _Activated | None


async def put_on_stock(
    api: Api, resolved: Sequence[ListingResolved], *, call_id: str, location: int
) -> tuple[ListingResolved, ...]:
    """Stock each that is only not stocked; see `base.Stocking`."""
    waiting = {
        each.field_key: _key(each.field_key, call_id)
        for each in resolved
        if each.problem == NOT_STOCKED and each.field_key is not None
    }
    problems: dict[str, str | None] = {}
    unknown = 0
    for item in sorted(waiting, key=waiting.__getitem__):
        try:
            problems[item] = await _activate(api, item, waiting[item], location=location)
        except OutcomeUnknown:
            unknown += 1
            if unknown >= UNKNOWN_MAX:
                break
    return tuple(
        each if each.field_key not in waiting else replace(each, problem=problems[each.field_key])
        for each in resolved
        if each.field_key not in waiting or each.field_key in problems
    )


def _key(item: str, call_id: str) -> str:
    """Return the idempotency key of one item's call.

    One for each attempt: an answer that was remembered would say nothing of now.
    """
    return str(uuid.uuid5(_KEYS, f"{call_id}/{item}"))


async def _activate(api: Api, item: str, key: str, *, location: int) -> str | None:
    """Stock one item; return what a person must mend, None if it is stocked."""
    variables = {
        "item": gid("InventoryItem", item),
        "location": gid("Location", location),
        "key": key,
    }
    try:
        data, _ = await call(api, ACTIVATE, variables, _Answer)
    except PushRejected as error:
        return REFUSED.format(reason=error.message)
    done = data.inventory_activate
    if done is not None and done.user_errors:
        return REFUSED.format(reason=printable(done.user_errors[0].message))
    active = (
        done is not None and done.inventory_level is not None and done.inventory_level.is_active
    )
    return None if active else NOT_STOCKED
