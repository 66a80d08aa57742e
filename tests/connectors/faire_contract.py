"""Faire's machine-readable contract, held strictly: every request, and every answer of the shop.

What the file leaves open is closed here: an object has no property that is not listed, and a route
no parameter that is not listed, because whatever is ignored is a mistake of the sender.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from stockpush.sim.shops.base import Shop, ShopAnswer, ShopRequest

ROOT = "/external-api/v2"


class ContractBroken(AssertionError):
    """The request or the answer is not as the contract has it."""


class Contract:
    """One OpenAPI 3.0.3 document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = _closed(document)
        self._routes = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), method.upper(), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def check_request(self, request: ShopRequest) -> None:
        """Return if some route, not a deprecated one, takes this request."""
        operation = self._operation(request)
        schemas = {
            each["name"]: each["schema"]
            for each in operation.get("parameters", [])
            if each["in"] == "query"
        }
        for name, value in request.query:
            if name not in schemas:
                raise ContractBroken(f"{request.path} has no parameter {name}")
            if schemas[name]["type"] == "integer" and not value.isdecimal():
                raise ContractBroken(f"{name}={value} is no integer")
        described = operation.get("requestBody")
        if described is None:
            if request.body:
                raise ContractBroken(f"{request.method} {request.path} takes no body")
            return
        if request.headers.get("content-type") != "application/json":
            raise ContractBroken("a body must be declared as JSON")
        self._validate(described["content"]["application/json"]["schema"], request.body)

    def check_answer(self, request: ShopRequest, answer: ShopAnswer) -> None:
        """Return if the route may give this answer; errors have no schema."""
        responses = self._operation(request)["responses"]
        if str(answer.status) not in responses:
            raise ContractBroken(f"{request.path} never answers {answer.status}")
        content = responses[str(answer.status)].get("content")
        if content is not None:
            self._validate(content["application/json"]["schema"], answer.body)

    def _operation(self, request: ShopRequest) -> Mapping[str, Any]:
        path = request.path.removeprefix(ROOT)
        for route, method, operation in self._routes:
            if method == request.method and route.fullmatch(path):
                if operation.get("deprecated"):
                    raise ContractBroken(f"{path} is deprecated")
                return operation
        raise ContractBroken(f"no route takes {request.method} {request.path}")

    def _validate(self, schema: Mapping[str, Any], body: bytes) -> None:
        try:
            value = json.loads(body)
        except ValueError as error:
            raise ContractBroken(f"not JSON: {body[:80]!r}") from error
        whole = {**schema, "components": self._document["components"]}
        for error in Draft202012Validator(whole).iter_errors(value):
            raise ContractBroken(f"{error.json_path}: {error.message}")


@dataclass
class Checked:
    """The shop behind its contract: what goes in and comes out is checked, faults aside."""

    shop: Shop
    contract: Contract
    checked: list[str] = field(default_factory=list)

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Check the request, have it answered, and check the answer if it is data."""
        self.contract.check_request(request)
        answer = self.shop.handle(request)
        if (
            answer.status == 200
            and answer.body[:1] == b"{"
            and "content-length" not in answer.headers
        ):
            self.contract.check_answer(request, answer)
        self.checked.append(f"{request.method} {request.path}")
        return answer


@cache
def load(folder: Path) -> Contract:
    """Return the contract in `folder`, read once."""
    return Contract(json.loads((folder / "openapi.excerpt.json").read_text(encoding="utf-8")))


def _closed(value: Any) -> Any:
    """Return a schema in which objects that list properties have no others."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _closed(each) for key, each in value.items()}
    if inner.get("type") == "object" and isinstance(inner.get("properties"), dict):
        inner.setdefault("additionalProperties", False)
    return inner
