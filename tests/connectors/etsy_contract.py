"""Hold requests and answers against Etsy's own OpenAPI document.

Theory of operation. A schema of OpenAPI 3.0 becomes one of JSON Schema: `nullable` is a choice, and
an object takes no key that it does not name, in what is sent (Etsy may refuse it) and in what the
emulated shop answers (it must not invent what we would come to rely on).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import jsonschema

from stockpush.sim.shops.base import ShopRequest
from tests.conftest import SHARED

PATH = SHARED / "contracts/etsy/openapi.json"
TOKEN_PATH = "/v3/public/oauth/token"


@cache
def document() -> Mapping[str, Any]:
    """Return Etsy's document."""
    return json.loads(PATH.read_text(encoding="utf-8"))


def operation(method: str, path: str) -> tuple[str, Mapping[str, Any]]:
    """Return (path template, operation) that a request goes to; KeyError for none."""
    found = []
    for template, operations in document()["paths"].items():
        pattern = re.sub(r"\{[a-z_]+\}", "[0-9]+", template)
        if re.fullmatch(pattern, path) and method.lower() in operations:
            found.append((template, operations[method.lower()]))
    (one,) = found or [()]
    if not one:
        raise KeyError(f"{method} {path}")
    return one


def check_request(request: ShopRequest) -> str:
    """Return the operation's id of a request that the document allows; else raise."""
    _, found = operation(request.method, request.path)
    known = {each["name"]: each for each in found.get("parameters", ()) if each["in"] == "query"}
    for name, text in request.query:
        assert name in known, f"{found['operationId']} takes no {name}"
        _validate(_typed(text, known[name]["schema"]), known[name]["schema"])
    for name, each in known.items():
        assert not each["required"] or name in dict(request.query), f"{name} is missing"
    kinds = found.get("requestBody", {}).get("content", {})
    kind = request.headers.get("content-type", "")
    if request.method == "GET":
        assert not request.body
    else:
        assert kind in kinds, f"{found['operationId']} takes {list(kinds)}, not {kind}"
        _validate(_body(kind, request.body), kinds[kind]["schema"])
    assert ":" in request.headers["x-api-key"]
    return str(found["operationId"])


def check_answer(request: ShopRequest, status: int, body: bytes) -> None:
    """Raise if the document has no such status for a request, or its body is another."""
    _, found = operation(request.method, request.path)
    told = found["responses"].get(str(status))
    if status in (401, 403, 404, 429):
        told = told or {"content": {"application/json": {"schema": _ref("ErrorSchema")}}}
    assert told is not None, f"{found['operationId']} never answers {status}"
    _validate(json.loads(body), told["content"]["application/json"]["schema"])


def schema(name: str) -> Mapping[str, Any]:
    """Return a schema by its name, ready to be validated against."""
    return _closed(_ref(name))


def validate(value: Any, name: str) -> None:
    """Raise if a value is not of the named schema."""
    _validate(value, _ref(name))


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(kind: str, body: bytes) -> Any:
    if kind == "application/json":
        return json.loads(body)
    return dict(parse_qsl(body.decode(), strict_parsing=True))


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """Return query text as the schema's type; as it is where it is not of that type."""
    match schema.get("type"):
        case "integer" if re.fullmatch(r"-?[0-9]+", text):
            return int(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "array":
            return [_typed(each, schema["items"]) for each in text.split(",")]
        case _:
            return text


def _validate(value: Any, schema: Mapping[str, Any]) -> None:
    jsonschema.Draft4Validator(_closed(schema)).validate(value)


def _closed(schema: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as JSON Schema that takes only what it names."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _closed_component(schema["$ref"].rpartition("/")[2])
    made = {key: _closed(value) for key, value in schema.items() if key in _KEPT}
    if "properties" in schema:
        made["properties"] = {key: _closed(each) for key, each in schema["properties"].items()}
        made["additionalProperties"] = False
    if "enum" in schema:
        made["enum"] = schema["enum"]
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


_KEPT = ("type", "items", "required", "minimum", "maximum", "oneOf", "anyOf", "allOf", "pattern")


@cache
def _closed_component(name: str) -> Any:
    if name in _DEEP:
        return {}
    return _closed(document()["components"]["schemas"][name])


_DEEP = frozenset({"User", "ShopShippingProfile", "ListingTranslations", "ShopProductionPartner"})
"""Associations that are never asked for."""
