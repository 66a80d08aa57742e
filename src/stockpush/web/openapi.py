"""The description of the API in its own words: OpenAPI 3.1.

The shapes come from the dataclasses that the answers are made of, so they cannot differ from
them; the table of paths below is held against the router by a test.
Source: spec.openapis.org, OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any

import msgspec

from stockpush import __version__
from stockpush.engine import posted
from stockpush.engine.channel_report import ChannelRow, DeliveryRow, DriftRow
from stockpush.engine.holding import HoldLineRow, HoldRow, OnSaleRow, PromiseRow
from stockpush.engine.lot_report import LotRow
from stockpush.engine.movements import LedgerRow
from stockpush.engine.report import ListingRow, ParkedRow, StockRow
from stockpush.engine.why import Why
from stockpush.model import HOLD_LINES_MAX, MAIN, HoldState

ERROR = "Error"
"""The shape of every refusal."""
PLAN = "Plan"
"""The shape of what would be written."""
MOVED = "Moved"
"""The shape of what a stock verb did."""
REHEARSED = "PossibleHold"
"""The shape of a hold that could be placed."""
REFUSAL = "Refusal"
"""The shape of what was understood and is not possible."""
ROWS: Sequence[type] = (
    StockRow,
    Why,
    ChannelRow,
    DeliveryRow,
    DriftRow,
    ListingRow,
    LotRow,
    ParkedRow,
    LedgerRow,
    HoldRow,
    OnSaleRow,
    PromiseRow,
)
"""What answers are made of."""

_AT = (
    "Why they were what they were then: an instant (in UTC without a zone; write %2B for +), "
    "a date (its end), or how long ago."
)
_SINCE = (
    "Only what was written since: an instant (in UTC without a zone; write %2B for +), "
    "a date (its beginning), or how long ago."
)


@dataclass(frozen=True, slots=True)
class _Operation:
    """What can be done with a path.

    `page` answers many rows, in pages that can be asked for if `paged`, of one `state` if there are
    several; an item can be asked for as it was if it `takes_at`, in one pool if it `takes_pool`.
    `asks` has what else can be asked for, with what that says.
    What writes takes an idempotency key and, if any, the `body` whose schema is named. `answer`
    names the schema of an answer that no `row` describes, `rehearsed` that of one to a dry run,
    where it is another.
    """

    path: str
    summary: str
    row: type | None = None
    answer: str | None = None
    page: bool = False
    paged: bool = False
    takes_at: bool = False
    takes_pool: bool = False
    states: Sequence[str] = ()
    asks: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    method: str = "get"
    body: str | None = None
    creates: bool = False
    rehearsed: str | None = None


PATHS: Sequence[_Operation] = (
    _Operation(
        "/api/v1/items",
        "Items with their ATP and listings, by SKU.",
        StockRow,
        page=True,
        paged=True,
    ),
    _Operation("/api/v1/items/{sku}", "One item.", StockRow, takes_pool=True),
    _Operation(
        "/api/v1/items/{sku}/why", "Why an item's numbers are what they are.", Why, takes_at=True
    ),
    _Operation(
        "/api/v1/listings",
        "Listings and what each shows, by the SKU of the item; limit counts items.",
        ListingRow,
        page=True,
        paged=True,
        asks={"channel": "On one channel alone."},
    ),
    _Operation(
        "/api/v1/lots",
        "What lies where, of which lot, and until when it is sold.",
        LotRow,
        page=True,
        asks={"sku": "Of one item alone."},
    ),
    _Operation("/api/v1/plan", "What would be written now, and why.", answer=PLAN),
    _Operation("/api/v1/channels", "Channels and how they are doing.", ChannelRow, page=True),
    _Operation(
        "/api/v1/deliveries", "The inbox, newest first.", DeliveryRow, page=True, paged=True
    ),
    _Operation(
        "/api/v1/drifts",
        "Where a channel held another number than expected, newest first: open ones, or all.",
        DriftRow,
        page=True,
        paged=True,
        states=("open", "all"),
        asks={"channel": "On one channel alone."},
    ),
    _Operation(
        "/api/v1/movements",
        "The ledger, newest first: what moved, when, why, and who did it.",
        LedgerRow,
        page=True,
        paged=True,
        asks={"sku": "Of one item alone.", "since": _SINCE},
    ),
    _Operation(
        "/api/v1/movements",
        "Receive, build, count, adjust, scrap, return, transfer or undo.",
        answer=MOVED,
        method="post",
        body="NewMovement",
        creates=True,
    ),
    _Operation(
        "/api/v1/orders",
        "Record a sale made elsewhere: its lines, or all of a hold.",
        answer=MOVED,
        method="post",
        body="NewOrder",
        creates=True,
    ),
    _Operation(
        "/api/v1/holds",
        "Holds, newest first: those that are held unless a state is asked for.",
        HoldRow,
        page=True,
        paged=True,
        states=(*(state.value for state in HoldState), "all"),
    ),
    _Operation(
        "/api/v1/holds",
        "Set units aside, every line or none.",
        HoldRow,
        method="post",
        body="NewHold",
        creates=True,
        rehearsed=REHEARSED,
    ),
    _Operation("/api/v1/holds/{id}", "One hold.", HoldRow),
    _Operation(
        "/api/v1/holds/{id}",
        "Have a hold end at another time.",
        HoldRow,
        method="patch",
        body="Renewal",
    ),
    _Operation("/api/v1/holds/{id}", "Give back what a hold set aside.", HoldRow, method="delete"),
    _Operation("/api/v1/openapi.json", "This description."),
    _Operation("/metrics", "Prometheus metrics.", content_type="text/plain"),
)
"""Every path with what can be done with it."""


def document(*, limit_default: int, limit_max: int) -> dict[str, Any]:
    """Return the OpenAPI document; `limit_default` and `limit_max` bound the pages."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Stock Push",
            "version": __version__,
            "description": (
                "What there is, what each channel shows, what moves stock, sales and holds."
            ),
        },
        "security": [{"token": []}],
        "paths": {
            path: {
                each.method: _operation(each, limit_default, limit_max)
                for each in PATHS
                if each.path == path
            }
            for path in dict.fromkeys(each.path for each in PATHS)
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _operation(asked: _Operation, limit_default: int, limit_max: int) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    parameters = [
        _parameter(name, "path", text) for name in ("sku", "id") if f"{{{name}}}" in asked.path
    ]
    if asked.takes_at:
        parameters.append(
            _parameter("at", "query", {"type": "string", "description": _AT, "example": "-2h"})
        )
    if asked.takes_pool:
        parameters.append(_parameter("pool", "query", {**text, "default": MAIN}))
    if asked.paged:
        bounds = {"type": "integer", "minimum": 1, "maximum": limit_max, "default": limit_default}
        parameters.append(_parameter("limit", "query", bounds))
        parameters.append(_parameter("cursor", "query", text))
    if asked.states:
        parameters.append(_parameter("state", "query", {"enum": list(asked.states)}))
    parameters += [
        _parameter(name, "query", {**text, "description": said})
        for name, said in asked.asks.items()
    ]
    if asked.method != "get":
        parameters.append(_parameter("Idempotency-Key", "header", text))
    done = {
        "description": asked.summary,
        "content": {asked.content_type: {"schema": _answer(asked)}},
    }
    described: dict[str, Any] = {"summary": asked.summary, "parameters": parameters}
    if asked.body is not None:
        content = {"application/json": {"schema": _ref(asked.body)}}
        described["requestBody"] = {"required": True, "content": content}
    responses = {"201": done} if asked.creates else {}
    responses["200"] = done if asked.rehearsed is None else _or_rehearsed(asked, asked.rehearsed)
    if asked.method != "get":
        responses["409"] = _failed("Understood, and not possible.", REFUSAL)
    responses["default"] = _failed("Refused or failed.", ERROR)
    return {**described, "responses": responses}


def _or_rehearsed(asked: _Operation, rehearsed: str) -> dict[str, Any]:
    """Return what is answered where its key has done it before, and to a dry run."""
    either = {"anyOf": [_answer(asked), _ref(rehearsed)]}
    return {
        "description": "Done before under this key; or what would happen, of a dry run.",
        "content": {asked.content_type: {"schema": either}},
    }


def _failed(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": _ref(schema)}},
    }


def _parameter(name: str, place: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _answer(read: _Operation) -> dict[str, Any]:
    """Return the schema of a good answer."""
    if read.answer is not None:
        return _ref(read.answer)
    if read.row is None:
        return {"type": "string"} if read.content_type == "text/plain" else {"type": "object"}
    if not read.page:
        return _ref(read.row.__name__)
    return {
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": _ref(read.row.__name__)},
            "next": _text_or_null("The cursor of the following page, null at the end."),
        },
    }


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(ROWS, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema["description"] = cleandoc(schema["description"])
    drift = schemas[DriftRow.__name__]
    drift["properties"]["class"] = drift["properties"].pop("what")
    drift["required"] = ["class" if name == "what" else name for name in drift["required"]]
    schemas[ERROR] = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "field", "found", "expected", "next"],
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "field": _text_or_null("Where it is."),
                    "found": {"description": "What was there, or null."},
                    "expected": _text_or_null("What should have been there."),
                    "next": _text_or_null("What to do now."),
                },
            }
        },
    }
    schemas[REFUSAL] = {
        "type": "object",
        "required": ["refused", "message", "next"],
        "properties": {
            "refused": {"type": "string", "description": "Why, in a word: insufficient_atp, ..."},
            "message": {"type": "string"},
            "short": {"type": "string", "description": "How much of what was asked is missing."},
            "limited_by": {"type": "string", "description": "The item that is short."},
            "next": _text_or_null("What to do now."),
            **_shortage(),
        },
    }
    schemas[PLAN] = _plan()
    schemas[MOVED] = _moved()
    schemas[REHEARSED] = _rehearsed()
    schemas.update(_bodies())
    return schemas


def _plan() -> dict[str, Any]:
    """Return the schema of the plan."""
    row = _every({**_FALL, "because": {"type": "string"}, "pool": {"type": "string"}})
    parked = {"description": "What is not written until a person has mended it."}
    return _every(
        {
            "data": {"type": "array", "items": row},
            "parked": {"type": "array", "items": _ref(ParkedRow.__name__), **parked},
        }
    )


def _rehearsed() -> dict[str, Any]:
    """Return the schema of what is answered of a hold that could be placed."""
    return _every(
        {
            "id": {"type": "null"},
            "undo": {"type": "null"},
            "dry_run": {"const": True},
            "replayed": {"type": "boolean", "description": "It had been done under this key."},
            "state": _text_or_null("What it would be."),
            "until": _text_or_null("When it would end."),
            "note": _text_or_null("What it would be for."),
            "lines": {"type": "array", "items": _ref(HoldLineRow.__name__)},
            "changed": {"type": "array", "items": _changed()},
            "listings": {
                "type": "array",
                "description": "Listings whose number would change, and to what.",
                "items": _every(_FALL),
            },
            "covered": {
                "type": ["boolean", "null"],
                "description": "Whether no listing could still sell what it would hold.",
            },
            "on_sale": {"type": "array", "items": _ref(OnSaleRow.__name__)},
        }
    )


def _changed() -> dict[str, Any]:
    """Return the schema of an item before and after."""
    amounts = _every({name: {"type": "string"} for name in ("on_hand", "held", "atp")})
    named = {name: {"type": "string"} for name in ("sku", "unit", "pool")}
    return _every({**named, "before": amounts, "after": amounts})


def _moved() -> dict[str, Any]:
    """Return the schema of what a stock verb answers."""
    used = {name: {"type": "string"} for name in ("sku", "unit", "planned", "used")}
    told = _every(
        {
            "id": _text_or_null("The first of its movements; null where it was only decided."),
            "undo": _text_or_null("The command that takes it back."),
            "dry_run": {"type": "boolean"},
            "replayed": {"type": "boolean", "description": "It had been done under this key."},
            "undone_by": _text_or_null("The movement that has taken it back since."),
            "movements": {"type": "array", "items": {"type": "string"}},
            "changed": {
                "type": "array",
                "description": "Items before and after: itself, and what shares its materials.",
                "items": _changed(),
            },
        }
    )
    of_build = {
        "type": ["array", "null"],
        "description": "Of a build: what was used against its plan, where that was stated.",
        "items": _every(used),
    }
    return told | {"properties": told["properties"] | {"used": of_build}}


def _shortage() -> dict[str, Any]:
    """Return what else explains a hold that cannot be placed (`insufficient_atp`)."""
    of_item = {name: {"type": "string"} for name in ("sku", "unit")}
    bought: dict[str, Any] = {**of_item, "quantity": {"type": "string"}}
    any_of = {
        "type": "array",
        "description": "Which substitutes will do, where `sku` is the name that they share.",
        "items": {"type": "string"},
    }
    purchase = _every({name: {"type": "string"} for name in ("unit", "quantity")}) | {
        "description": "The same in whole units that it is bought in, of an item that has any.",
    }
    return {
        "sku": {"type": "string", "description": "The item of which too little can be promised."},
        "unit": {"type": "string", "description": "What its quantities are counted in."},
        "asked": {"type": "string", "description": "How much of it was asked for."},
        "available": {"type": "string", "description": "How much of it can be promised."},
        "pool": {"type": "string", "description": "Where, with several pools."},
        "location": {
            "type": "string",
            "description": "Where in that pool what is bought is to go.",
        },
        "on_sale": {
            "type": "array",
            "description": "What listings of split items may still sell (`still_on_sale`).",
            "items": _ref(OnSaleRow.__name__),
        },
        "to_buy": {
            "type": "array",
            "description": "What has to come in so that it could be placed.",
            "items": _every(bought)
            | {"properties": bought | {"any_of": any_of, "purchase": purchase}},
        },
        "lines": {
            "type": "array",
            "description": "What could be promised of each line now, beside those before it.",
            "items": _ref(PromiseRow.__name__),
        },
        "listings": {
            "type": "array",
            "description": "Listings whose number would change if it were placed, and to what.",
            "items": _every(_FALL),
        },
    }


def _every(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has all of these."""
    return {"type": "object", "required": [*properties], "properties": dict(properties)}


def _bodies() -> dict[str, Any]:
    """Return the schemas of what is posted."""
    ends: dict[str, Any] = {
        "for": {"type": "string", "description": "How long from now: 90m, 2h, 3d, 1w."},
        "until": {"type": "string", "format": "date-time"},
        "reason": {"type": "string"},
    }
    return {
        "NewMovement": {"oneOf": [_verb(verb, names) for verb, names in posted.FIELDS.items()]},
        "NewOrder": {
            "type": "object",
            "required": ["at"],
            "oneOf": [
                {"required": ["lines"]},
                {"required": ["hold"], "not": {"required": ["pool"]}},
            ],
            "properties": {
                "at": {"type": "string", "description": "Where it was sold: market, shop."},
                "lines": _lines(posted.SALE_LINES_MAX),
                "hold": {"type": "string", "description": "All of a hold instead: hold-12."},
                "pool": {"type": "string", "default": MAIN},
                "reason": {"type": "string"},
                "dry_run": _DRY_RUN,
            },
            "additionalProperties": False,
        },
        "NewHold": {
            "type": "object",
            "required": ["lines"],
            "properties": {
                "lines": _lines(HOLD_LINES_MAX),
                "note": {"type": "string"},
                "pool": {"type": "string", "default": MAIN},
                "lower": {
                    "type": "boolean",
                    "default": False,
                    "description": "Of split items: also what listings may still sell.",
                },
                "dry_run": _DRY_RUN,
                **ends,
            },
            "additionalProperties": False,
        },
        "Renewal": {"type": "object", "properties": ends, "additionalProperties": False},
    }


def _lines(most: int) -> dict[str, Any]:
    """Return the schema of 1 to `most` lines, each with how much of an item."""
    line = {
        "type": "object",
        "required": ["sku", "quantity"],
        "properties": {
            "sku": {"type": "string"},
            "quantity": {"type": ["string", "integer"], "description": "5, or '2.5 kg'."},
        },
        "additionalProperties": False,
    }
    return {"type": "array", "items": line, "minItems": 1, "maxItems": most}


_FALL: Mapping[str, Any] = {
    "channel": {"type": "string"},
    "ref": {"type": "object"},
    "sku": {"type": "string"},
    "from": {"type": "integer"},
    "to": {"type": "integer"},
}
"""A listing whose number changes."""


def _verb(verb: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a stock verb that is posted."""
    properties = {name: _PARTS.get(name, {"type": "string"}) for name in names}
    return {
        "title": verb,
        "type": "object",
        "required": ["verb", *(name for name in names if name in posted.NEEDED)],
        "properties": {
            "verb": {"const": verb},
            **properties,
            "reason": {"type": "string"},
            "dry_run": _DRY_RUN,
        },
        "additionalProperties": False,
    }


_QUANTITY: Mapping[str, Any] = {
    "type": ["string", "integer"],
    "description": "5, or '2.5 kg'; of an adjustment with a sign.",
}
_DRY_RUN: Mapping[str, Any] = {
    "type": "boolean",
    "default": False,
    "description": "Only say what would happen, and change nothing.",
}
_PARTS: Mapping[str, Mapping[str, Any]] = {
    "id": {"type": "string", "description": "A movement of the command: mv-1042."},
    "quantity": _QUANTITY,
    "scrapped": _QUANTITY,
    "expires_at": {
        "type": "string",
        "format": "date-time",
        "description": "The first instant at which the lot is not sold any more.",
    },
    "available_from": {
        "type": "string",
        "format": "date-time",
        "description": "The first instant at which the lot is sold.",
    },
    "cost": {"type": "string", "description": "What was paid: 12.50."},
    "used": {
        "type": "array",
        "description": "What was really consumed of a component.",
        "maxItems": posted.USED_MAX,
        "items": {
            "type": "object",
            "required": ["sku", "quantity"],
            "properties": {"sku": {"type": "string"}, "quantity": _QUANTITY},
            "additionalProperties": False,
        },
    },
    "take": {
        "type": "array",
        "description": "Which substitutes were taken, where the bill takes any.",
        "maxItems": posted.USED_MAX,
        "items": {"type": "string"},
    },
    "bill": {"type": "integer", "minimum": 1, "description": "By which older bill."},
}
"""What is said of a part of a stock verb that is not simply text."""


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _text_or_null(description: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "description": description}
