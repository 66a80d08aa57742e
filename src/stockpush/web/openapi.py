"""The description of the API in its own words: OpenAPI 3.1.

The shapes come from the dataclasses that the answers are made of, so they cannot differ from
them; the table of paths below is held against the router by a test.
Source: spec.openapis.org, OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import msgspec

from stockpush import __version__
from stockpush.engine.channel_report import ChannelRow, DeliveryRow
from stockpush.engine.holding import HoldRow, OnSaleRow, PromiseRow
from stockpush.engine.report import StockRow
from stockpush.engine.why import Why
from stockpush.model import HOLD_LINES_MAX, MAIN, HoldState

ERROR = "Error"
"""The shape of every refusal."""
REFUSAL = "Refusal"
"""The shape of what was understood and is not possible."""
ROWS: Sequence[type] = (StockRow, Why, ChannelRow, DeliveryRow, HoldRow, OnSaleRow, PromiseRow)
"""What answers are made of."""

_AT = (
    "Why they were what they were then: an instant (in UTC without a zone; write %2B for +), "
    "a date (its end), or how long ago."
)


@dataclass(frozen=True, slots=True)
class _Operation:
    """What can be done with a path.

    `page` answers many rows, in pages that can be asked for if `paged`, of one `state` if there are
    several; an item can be asked for as it was if it `takes_at`, in one pool if it `takes_pool`.
    What writes takes an idempotency key and, if any, the `body` whose schema is named.
    """

    path: str
    summary: str
    row: type | None = None
    page: bool = False
    paged: bool = False
    takes_at: bool = False
    takes_pool: bool = False
    states: Sequence[str] = ()
    content_type: str = "application/json"
    method: str = "get"
    body: str | None = None
    creates: bool = False


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
    _Operation("/api/v1/channels", "Channels and how they are doing.", ChannelRow, page=True),
    _Operation(
        "/api/v1/deliveries", "The inbox, newest first.", DeliveryRow, page=True, paged=True
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
            "description": "What there is, what each channel shows, and holds.",
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
    responses["200"] = done
    if asked.method != "get":
        responses["409"] = _failed("Understood, and not possible.", REFUSAL)
    responses["default"] = _failed("Refused or failed.", ERROR)
    return {**described, "responses": responses}


def _failed(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": _ref(schema)}},
    }


def _parameter(name: str, place: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _answer(read: _Operation) -> dict[str, Any]:
    """Return the schema of a good answer."""
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
    schemas.update(_bodies())
    return schemas


def _shortage() -> dict[str, Any]:
    """Return what else explains a hold that cannot be placed (`insufficient_atp`)."""
    of_item = {name: {"type": "string"} for name in ("sku", "unit")}
    bought: dict[str, Any] = {**of_item, "quantity": {"type": "string"}}
    any_of = {
        "type": "array",
        "description": "Which substitutes will do, where `sku` is the name that they share.",
        "items": {"type": "string"},
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
            "items": _every(bought) | {"properties": bought | {"any_of": any_of}},
        },
        "lines": {
            "type": "array",
            "description": "What could be promised of each line now, beside those before it.",
            "items": _ref(PromiseRow.__name__),
        },
        "listings": {
            "type": "array",
            "description": "Listings whose number would change if it were placed, and to what.",
            "items": _every(
                {
                    "channel": {"type": "string"},
                    "ref": {"type": "object"},
                    "sku": {"type": "string"},
                    "from": {"type": "integer"},
                    "to": {"type": "integer"},
                }
            ),
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
    line = {
        "type": "object",
        "required": ["sku", "quantity"],
        "properties": {
            "sku": {"type": "string"},
            "quantity": {"type": ["string", "integer"], "description": "5, or '2.5 kg'."},
        },
        "additionalProperties": False,
    }
    return {
        "NewHold": {
            "type": "object",
            "required": ["lines"],
            "properties": {
                "lines": {
                    "type": "array",
                    "items": line,
                    "minItems": 1,
                    "maxItems": HOLD_LINES_MAX,
                },
                "note": {"type": "string"},
                "pool": {"type": "string", "default": MAIN},
                "lower": {
                    "type": "boolean",
                    "default": False,
                    "description": "Of split items: also what listings may still sell.",
                },
                **ends,
            },
            "additionalProperties": False,
        },
        "Renewal": {"type": "object", "properties": ends, "additionalProperties": False},
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _text_or_null(description: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "description": description}
