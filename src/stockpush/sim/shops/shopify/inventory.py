"""`inventorySetQuantities`: what it refuses, what it does, and what it remembers of keys.

Theory of operation. The call is all or nothing. A key remembers the variables of its first use: the
same again is answered from the state of now and applied no second time; other variables, or a key
whose first attempt failed, are errors of their own. Nothing here trusts the key alone: the compare
is made in any case.
Source: Admin GraphQL 2026-10, InventorySetQuantitiesInput and its error codes; shopify.dev on
idempotency (24 h).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from stockpush.sim.shops.shopify.answers import gid
from stockpush.sim.shops.shopify.state import Level, Variant

ENTRIES_MAX = 250
QUANTITY_MAX = 10**9
KEY_KEPT: Final = timedelta(hours=24)

UserErrors = list[dict[str, Any]]


class RequestError(Exception):
    """The request is refused as a whole, before anything is executed."""


@dataclass(slots=True)
class _Remembered:
    variables: dict[str, Any]
    at: datetime
    failed: bool


@dataclass(slots=True)
class Inventory:
    """The levels that may be set. `variants` is by item id; an item may serve several variants."""

    items: dict[int, list[Variant]]
    locations: tuple[int, ...]
    offline: frozenset[int] = frozenset()
    """Locations that nothing is sold online from."""
    needs_sku: frozenset[int] = frozenset()
    """Locations of a fulfilment service, which stocks nothing without a SKU."""
    keys: dict[str, _Remembered] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    """Keys that a test declares to be in progress."""
    remembers_keys: bool = True
    """False: repeated keys are executed again, as a release candidate of the API once did."""
    refuses_unstocked: bool = False
    """True: an item without a level at the location is refused, as before 2026-10."""

    def set_quantities(
        self, given: dict[str, Any], key: str, *, at: datetime
    ) -> tuple[UserErrors, list[tuple[Variant, int]]]:
        """Return (user errors, the (variant, location) pairs that changed).

        Raises `RequestError` for what Shopify refuses outside `userErrors`.
        """
        entries = given["quantities"]
        _require_explicit(entries, key)
        refused = self._remember(given, key, at)
        if refused is not None:
            return refused, []
        errors = self._errors(given, entries)
        self.keys[key] = _Remembered(given, at, failed=bool(errors))
        if errors:
            return errors, []
        return [], [self._set(given["name"], entry) for entry in entries]

    def activate(
        self, given: dict[str, Any], *, at: datetime
    ) -> tuple[UserErrors, Level | None, list[tuple[Variant, int]]]:
        """Stock an item at a location; return (user errors, its level, what changed).

        An earlier number is kept. A plain user error has no code.
        """
        key = str(given["key"])
        if not key.strip():
            raise RequestError("The @idempotent key must not be blank.")
        entry = {"inventoryItemId": given["item"], "locationId": given["location"]}
        location, variants = self._location(entry), self._variants(entry)
        if not variants:
            return [_plain("inventoryItemId", "The inventory item was not found.")], None, []
        if location is None:
            return [_plain("locationId", "The location was not found.")], None, []
        if not variants[0].sku and location in self.needs_sku:
            return [_plain("inventoryItemId", "The variant is missing a SKU.")], None, []
        held = self._level(entry)
        known = self.keys.get(key)
        if known is not None and self.remembers_keys and at - known.at < KEY_KEPT:
            return [], held, []  # told as it is now, and not done again
        self.keys[key] = _Remembered(given, at, failed=False)
        if held.active:
            return [], held, []
        held.active = True
        return [], held, [(variants[0], location)]

    def _remember(self, given: dict[str, Any], key: str, at: datetime) -> UserErrors | None:
        """Return the answer to a key that was used before, None if it is new."""
        if key in self.running:
            return [_error("IDEMPOTENCY_CONCURRENT_REQUEST", None, "In progress.")]
        known = self.keys.get(key)
        if not self.remembers_keys or known is None or at - known.at >= KEY_KEPT:
            return None
        if known.variables != given:
            return [_error("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None, "Other parameters.")]
        if known.failed:
            return [_error("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", None, "Use a new key.")]
        return []

    def _errors(self, given: dict[str, Any], entries: list[dict[str, Any]]) -> UserErrors:
        if given["name"] not in {"available", "on_hand"}:
            return [_error("INVALID_NAME", ["input", "name"], "Only available or on_hand.")]
        if not str(given["reason"]).strip():
            return [_error("INVALID_REASON", ["input", "reason"], "Not a reason.")]
        uri = given.get("referenceDocumentUri")
        if uri is not None and not str(uri).partition("://")[2]:
            path = ["input", "referenceDocumentUri"]
            return [_error("INVALID_REFERENCE_DOCUMENT", path, "Not a URI.")]
        seen: set[tuple[str, str]] = set()
        errors: UserErrors = []
        for index, entry in enumerate(entries):
            pair = (entry["inventoryItemId"], entry["locationId"])
            found = (
                ("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", "locationId")
                if pair in seen
                else self._fault(given["name"], entry)
            )
            seen.add(pair)
            if found is not None:
                code, where = found
                errors.append(_error(code, ["input", "quantities", str(index), where], code))
        return errors

    def _fault(self, name: str, entry: dict[str, Any]) -> tuple[str, str] | None:
        """Return (code, field) of what is wrong with one entry."""
        quantity = entry["quantity"]
        if quantity < 0:
            return "INVALID_QUANTITY_NEGATIVE", "quantity"
        if quantity > QUANTITY_MAX:
            return "INVALID_QUANTITY_TOO_HIGH", "quantity"
        if self._location(entry) is None:
            return "INVALID_LOCATION", "locationId"
        variants = self._variants(entry)
        if not variants:
            return "INVALID_INVENTORY_ITEM", "inventoryItemId"
        if any(variant.bundle for variant in variants):
            return "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId"
        if self.refuses_unstocked and self._location(entry) not in variants[0].levels:
            return "ITEM_NOT_STOCKED_AT_LOCATION", "inventoryItemId"
        compared = entry["changeFromQuantity"]
        level = self._level(entry)
        held = level.available + (level.committed if name == "on_hand" else 0)
        if compared is not None and compared != held:
            return "CHANGE_FROM_QUANTITY_STALE", "changeFromQuantity"
        return None

    def _set(self, name: str, entry: dict[str, Any]) -> tuple[Variant, int]:
        level = self._level(entry)
        level.available = entry["quantity"] - (level.committed if name == "on_hand" else 0)
        location = self._location(entry)
        assert location is not None, "checked by _fault"
        return self._variants(entry)[0], location

    def _variants(self, entry: dict[str, Any]) -> list[Variant]:
        number = str(entry["inventoryItemId"]).removeprefix(gid("InventoryItem", 0)[:-1])
        held = self.items.get(int(number), []) if number.isdecimal() else []
        return [variant for variant in held if not variant.deleted]

    def _location(self, entry: dict[str, Any]) -> int | None:
        by_gid = {gid("Location", location): location for location in self.locations}
        return by_gid.get(entry["locationId"])

    def _level(self, entry: dict[str, Any]) -> Level:
        """Return the level, made where the pair was not stocked (2026-10 no longer refuses): it
        takes a number and is not active by that.
        """
        location = self._location(entry)
        assert location is not None, "checked by _fault"
        return self._variants(entry)[0].levels.setdefault(location, Level(active=False))


def _require_explicit(entries: list[dict[str, Any]], key: str) -> None:
    """Refuse what the schema allows and Shopify does not."""
    if not key.strip():
        raise RequestError("The @idempotent key must not be blank.")
    if len(entries) > ENTRIES_MAX:
        raise RequestError(f"An array argument takes at most {ENTRIES_MAX} entries.")
    for index, entry in enumerate(entries):
        if "changeFromQuantity" not in entry:
            raise RequestError(
                f"changeFromQuantity must be given, if only as null (quantities.{index})."
            )


def _plain(field: str, message: str) -> dict[str, Any]:
    return {"field": [field], "message": message}


def _error(code: str, path: list[str] | None, message: str) -> dict[str, Any]:
    return {"code": code, "field": path, "message": message}
