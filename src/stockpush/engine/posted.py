"""Stock verbs and sales as scripts post them: a JSON object becomes what `moving` makes a command
of.

`FIELDS` is what each verb takes; the description of the API is made from it. SKUs are given exactly
as they are, days as instants with a zone, and nothing that would be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stockpush.engine import given, holding, movements, moving
from stockpush.engine.moving import Asked, By, Manner, Part, Said
from stockpush.reservation.catalogue import Catalogue

POSTED: Final = Manner(
    names={
        "sku": "sku",
        "id": "id",
        "quantity": "quantity",
        "lot": "lot",
        "location": "location",
        "pool": "pool",
        "expires": "expires_at",
        "available_from": "available_from",
        "cost": "cost",
        "supplier": "supplier",
        "used": "used",
        "scrapped": "scrapped",
        "take": "take",
        "bill": "bill",
        "origin": "from",
        "destination": "to",
        "key": "Idempotency-Key",
    },
    local=False,
)
"""What the parts of a stock verb are called where they are posted."""
_COMES_IN: Final = ("lot", "location", "expires_at", "available_from")
_ITEM: Final = ("sku", "quantity")
FIELDS: Final[Mapping[str, Sequence[str]]] = {
    "receive": (*_ITEM, *_COMES_IN, "cost", "supplier"),
    "build": (*_ITEM, *_COMES_IN, "used", "scrapped", "take", "bill"),
    "count": (*_ITEM, "lot", "location", "pool"),
    "adjust": (*_ITEM, "lot", "location", "pool"),
    "scrap": (*_ITEM, "lot", "location"),
    "return": (*_ITEM, "lot", "location"),
    "transfer": (*_ITEM, "from", "to", "lot"),
    "undo": ("id",),
}
"""Verb -> what may be said of it, besides `COMMON`."""
NEEDED: Final = ("sku", "quantity", "from", "to", "id")
"""What must be said of a verb that takes it."""
COMMON: Final = ("verb", "reason", "dry_run")
"""What may be said of every verb; which one it is, must."""
USED_MAX: Final = 500
"""Most components that are said to be used, and most substitutes taken."""

OF_SALE: Final = ("at", "lines", "hold", "pool", "reason", "dry_run")
"""What may be said of a sale made elsewhere: `at` and one of `lines` and `hold` must."""
SALE_LINES_MAX: Final = 100
"""Most lines of a sale."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A verb that was posted; `dry_run`: it is only to be decided."""

    asked: Asked
    dry_run: bool


def read(content: Any, catalogue: Catalogue, *, key: str, actor: str) -> Posted:
    """Return the verb that a body asks for; `content` is its JSON.

    Raises `UsageError` and `NotFound` that name the field, such as `used[0].sku`.
    """
    verb = content.get("verb") if isinstance(content, dict) else None
    if isinstance(content, dict) and (not isinstance(verb, str) or verb not in FIELDS):
        raise given.wrong("verb", verb, f"one of {', '.join(FIELDS)}")
    body = given.table(content, "body", (*COMMON, *FIELDS.get(verb or "", ())))
    by = By(key, actor, given.line(body, "reason"))
    return Posted(_asked(str(verb), body, catalogue, by), given.flag(body, "dry_run"))


def read_sale(content: Any, catalogue: Catalogue, *, key: str, actor: str) -> Posted:
    """Return the sale made elsewhere that a body tells of; `content` is its JSON.

    `{"at", "lines": [{"sku", "quantity"}], "pool", "reason", "dry_run"}`, or with `hold` for all of
    a hold instead of lines and their pool. Raises `UsageError` and `NotFound` that name the field.
    """
    body = given.table(content, "body", OF_SALE)
    place = given.line(body, "at")
    if not place:
        raise given.wrong("at", None, "where it was sold, such as 'market'")
    by = By(key, actor, given.line(body, "reason"))
    return Posted(_sold(body, catalogue, by, place), given.flag(body, "dry_run"))


def _sold(body: Mapping[str, Any], catalogue: Catalogue, by: By, place: str) -> Asked:
    hold, pool = given.text(body, "hold"), given.name_of(given.text(body, "pool"), field="pool")
    if hold is not None:
        for name in ("lines", "pool"):
            if body.get(name) is not None:
                raise given.wrong(name, body[name], "hold alone, whose lines and pool it sells")
        return moving.sell_hold(holding.read_id(hold, field="hold"), by, place)
    lines = body.get("lines")
    if not isinstance(lines, list) or not lines:
        expected = 'a list such as [{"sku": "candle", "quantity": "5"}], or a hold'
        raise given.wrong("lines", lines, expected)
    if len(lines) > SALE_LINES_MAX:
        raise given.wrong("lines", f"{len(lines)} lines", f"{SALE_LINES_MAX} lines at most")
    sold = [_part(each, catalogue, f"lines[{number}]") for number, each in enumerate(lines)]
    return moving.sell(sold, by, place, pool)


def _asked(verb: str, body: Mapping[str, Any], catalogue: Catalogue, by: By) -> Asked:
    for name in FIELDS[verb]:
        if name in NEEDED and body.get(name) is None:
            raise given.wrong(name, None, _EXPECTED[name])
    if verb == "undo":
        named = given.text(body, "id") or ""
        return moving.undo(movements.read_id(named, field="id", next="stockpush log"), by)
    item = given.item(body["sku"], catalogue, field="sku")
    said = _said(body, catalogue)
    match verb:
        case "receive":
            return moving.receive(said, item, by, POSTED)
        case "build":
            return moving.build(said, item, by, POSTED)
        case "count":
            return moving.count(said, item, by, POSTED, catalogue)
        case "adjust":
            return moving.adjust(said, item, by, POSTED, catalogue)
        case "scrap":
            return moving.scrap(said, item, by, POSTED)
        case "return":
            return moving.take_back(said, item, by, POSTED)
        case "transfer":
            return moving.transfer(said, item, by, POSTED)
        case _:
            raise AssertionError(verb)


_EXPECTED: Final = {
    "sku": "the SKU of an item",
    "quantity": "a quantity, such as 5 or '2.5 kg'",
    "from": "the name of a location",
    "to": "the name of a location",
    "id": "the id of a movement, such as mv-1042",
}
"""What is expected of what must be said."""


def _said(body: Mapping[str, Any], catalogue: Catalogue) -> Said:
    """Return all that a body says of its verb."""
    return Said(
        quantity=body["quantity"],
        lot=given.text(body, "lot"),
        location=given.text(body, "location"),
        pool=given.name_of(given.text(body, "pool"), field="pool"),
        expires=given.text(body, "expires_at"),
        available_from=given.text(body, "available_from"),
        cost=given.text(body, "cost"),
        supplier=given.text(body, "supplier"),
        used=[
            _part(each, catalogue, f"used[{number}]")
            for number, each in enumerate(_list(body, "used"))
        ],
        scrapped=body.get("scrapped"),
        take=[
            given.item(each, catalogue, field=f"take[{number}]")
            for number, each in enumerate(_list(body, "take"))
        ],
        bill=_bill(body),
        origin=given.text(body, "from"),
        destination=given.text(body, "to"),
    )


def _list(body: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise given.wrong(name, value, "a list")
    if len(value) > USED_MAX:
        raise given.wrong(name, f"{len(value)} entries", f"{USED_MAX} entries at most")
    return value


def _part(content: Any, catalogue: Catalogue, where: str) -> Part:
    line = given.table(content, where, ("sku", "quantity"))
    item = given.item(line.get("sku"), catalogue, field=f"{where}.sku")
    if line.get("quantity") is None:
        raise given.wrong(f"{where}.quantity", None, _EXPECTED["quantity"])
    return Part(item, line["quantity"], f"{where}.quantity")


def _bill(body: Mapping[str, Any]) -> int | None:
    value = body.get("bill")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise given.wrong("bill", value, "the number of a bill of materials, such as 1")
    return value
