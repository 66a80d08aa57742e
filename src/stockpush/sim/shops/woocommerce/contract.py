"""Check requests against a WooCommerce's own route index (the JSON under /wp-json/wc/v3).

Theory of operation. The index lists every route as a regular expression with its endpoints, each
with methods and arguments (type, enum, bounds). WordPress checks what it knows and ignores what
it does not; this checker also refuses *unknown* arguments, because an argument the shop ignores
is a mistake of the sender that a test must see. As in WordPress, query text is read leniently
("7", "true", "1,2") and a null is not checked at all. The batch routes list only the arguments
of one item, so their envelope is written out here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

INDEX = "wc-v3-index.json"
_ROOT = "/wc/v3"
_BATCH_KEYS = frozenset({"create", "update", "delete"})
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})?")


class ContractBroken(Exception):
    """The request breaks the contract; `param` and `reason` say where and how."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param}: {reason}")
        self.param = param
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Endpoint:
    route: re.Pattern[str]
    methods: frozenset[str]
    args: Mapping[str, Mapping[str, Any]]
    batch: bool


class Contract:
    """The routes of one index file."""

    def __init__(self, index: Mapping[str, Any]) -> None:
        self._endpoints = tuple(
            _Endpoint(
                # PHP and Python agree on these expressions: only (?P<name>[\d]+) occurs.
                re.compile(route.removeprefix(_ROOT)),
                frozenset(endpoint["methods"]),
                endpoint["args"] if isinstance(endpoint["args"], dict) else {},
                route.endswith("/batch"),
            )
            for route, described in index["routes"].items()
            for endpoint in described["endpoints"]
        )

    def check(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any]
    ) -> None:
        """Return if the route takes this request, else raise `ContractBroken`.

        `path` is below /wp-json/wc/v3, with its leading slash.
        """
        for endpoint in self._endpoints:
            if method in endpoint.methods and endpoint.route.fullmatch(path):
                _check_arguments(endpoint.args, query, "query")
                if endpoint.batch:
                    _check_batch(endpoint.args, body)
                else:
                    _check_arguments(endpoint.args, body, "body")
                return
        raise ContractBroken("route", f"no route takes {method} {path}")


@cache
def load(folder: Path) -> Contract:
    """Return the contract in `folder`, read once per process."""
    return Contract(json.loads((folder / INDEX).read_text(encoding="utf-8")))


def _check_batch(args: Mapping[str, Mapping[str, Any]], body: Mapping[str, Any]) -> None:
    for key, items in body.items():
        if key not in _BATCH_KEYS or not isinstance(items, list):
            raise ContractBroken(key, "a batch holds lists named create, update and delete")
        for item in items:
            if key == "delete":
                _check_value("delete", {"type": "integer"}, item)
                continue
            if not isinstance(item, dict):
                raise ContractBroken(key, "is not a list of objects")
            _check_arguments({"id": {"type": "integer"}, **args}, item, key)


def _check_arguments(
    args: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any], where: str
) -> None:
    for name, value in given.items():
        if name not in args:
            raise ContractBroken(name, f"is no argument of this route ({where})")
        if value is not None:
            _check_value(name, args[name], value)


def _check_value(name: str, schema: Mapping[str, Any], value: Any) -> None:
    types = schema.get("type", "mixed")
    types = [types] if isinstance(types, str) else types
    if not any(_is_a(kind, value) for kind in types):
        raise ContractBroken(name, f"is not of type {' or '.join(types)}")
    if "array" in types and not isinstance(value, bool):
        for item in value.split(",") if isinstance(value, str) else value:
            _check_value(name, schema.get("items", {}), item)
        return
    if "enum" in schema and value not in schema["enum"]:
        raise ContractBroken(name, f"is not one of {', '.join(map(str, schema['enum']))}")
    if "minimum" in schema and int(value) < schema["minimum"]:
        raise ContractBroken(name, f"must be {schema['minimum']} or more")
    if "maximum" in schema and int(value) > schema["maximum"]:
        raise ContractBroken(name, f"must be {schema['maximum']} or less")
    if schema.get("format") == "date-time" and not _DATE_TIME.fullmatch(str(value)):
        raise ContractBroken(name, "is not a date")


def _is_a(kind: str, value: Any) -> bool:
    """Answer whether WordPress would take `value` as a `kind`."""
    match kind:
        case "integer":
            if isinstance(value, str):
                return re.fullmatch(r"-?\d+", value) is not None
            return not isinstance(value, bool) and isinstance(value, int)
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false", "0", "1", 0, 1)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list | str)
        case "object":
            return isinstance(value, dict)
        case "null":
            return False  # a null never comes here
        case "number":
            return not isinstance(value, bool) and isinstance(value, int | float)
        case _:
            return True
