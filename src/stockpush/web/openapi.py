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
from stockpush.engine.report import StockRow
from stockpush.engine.why import Why

ERROR = "Error"
"""The shape of every refusal."""
ROWS: Sequence[type] = (StockRow, Why, ChannelRow, DeliveryRow)
"""What answers are made of."""

_AT = (
    "Why they were what they were then: an instant (in UTC without a zone; write %2B for +), "
    "a date (its end), or how long ago."
)


@dataclass(frozen=True, slots=True)
class _Read:
    """One path. `page` answers many rows, in pages that can be asked for if `paged`; an item can
    be asked for as it was if it `takes_at`.
    """

    path: str
    summary: str
    row: type | None = None
    page: bool = False
    paged: bool = False
    takes_at: bool = False
    content_type: str = "application/json"


PATHS: Sequence[_Read] = (
    _Read(
        "/api/v1/items",
        "Items with their ATP and listings, by SKU.",
        StockRow,
        page=True,
        paged=True,
    ),
    _Read("/api/v1/items/{sku}", "One item.", StockRow),
    _Read(
        "/api/v1/items/{sku}/why", "Why an item's numbers are what they are.", Why, takes_at=True
    ),
    _Read("/api/v1/channels", "Channels and how they are doing.", ChannelRow, page=True),
    _Read("/api/v1/deliveries", "The inbox, newest first.", DeliveryRow, page=True, paged=True),
    _Read("/api/v1/openapi.json", "This description."),
    _Read("/metrics", "Prometheus metrics.", content_type="text/plain"),
)
"""Every path; all are GET."""


def document(*, limit_default: int, limit_max: int) -> dict[str, Any]:
    """Return the OpenAPI document; `limit_default` and `limit_max` bound the pages."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Stock Push",
            "version": __version__,
            "description": "What there is and what each channel shows. It only reads.",
        },
        "security": [{"token": []}],
        "paths": {each.path: {"get": _operation(each, limit_default, limit_max)} for each in PATHS},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _operation(read: _Read, limit_default: int, limit_max: int) -> dict[str, Any]:
    parameters = []
    if "{sku}" in read.path:
        parameters.append(_parameter("sku", "path", {"type": "string"}))
    if read.takes_at:
        parameters.append(
            _parameter("at", "query", {"type": "string", "description": _AT, "example": "-2h"})
        )
    if read.paged:
        bounds = {"type": "integer", "minimum": 1, "maximum": limit_max, "default": limit_default}
        parameters.append(_parameter("limit", "query", bounds))
        parameters.append(_parameter("cursor", "query", {"type": "string"}))
    return {
        "summary": read.summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": read.summary,
                "content": {read.content_type: {"schema": _answer(read)}},
            },
            "default": {
                "description": "Refused or failed.",
                "content": {"application/json": {"schema": _ref(ERROR)}},
            },
        },
    }


def _parameter(name: str, place: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _answer(read: _Read) -> dict[str, Any]:
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
    return schemas


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _text_or_null(description: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "description": description}
