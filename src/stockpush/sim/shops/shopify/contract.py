"""Hold every request, and every answer, against Shopify's machine-readable schema.

Needs graphql-core and a copy of the schema's introspection (JSON, gzipped or not); imported only by
a shop that was given one. The schema is large and is built once per process.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from stockpush.sim.shops.shopify.inventory import RequestError


@cache
def schema_at(path: Path) -> GraphQLSchema:
    """Return the schema stored at `path`."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    stored = json.loads(raw)
    return build_client_schema(stored.get("data", stored), assume_valid=True)


@cache
def checked(path: Path, document: str) -> DocumentNode:
    """Return `document` parsed and valid; `RequestError` says what is wrong with it."""
    try:
        parsed = parse(document)
    except GraphQLError as error:
        raise RequestError(error.message) from error
    errors = validate(schema_at(path), parsed)
    if errors:
        raise RequestError("; ".join(error.message for error in errors))
    return parsed


def coerce(path: Path, document: str, name: str, variables: dict[str, Any]) -> None:
    """Return if `variables` fit the operation `name` of `document`; else `RequestError`."""
    operation = get_operation_ast(checked(path, document), name)
    if operation is None:
        raise RequestError(f"Unknown operation named {name!r}.")
    found = get_variable_values(
        schema_at(path), list(operation.variable_definitions or ()), variables
    )
    if isinstance(found, list):
        raise RequestError("; ".join(error.message for error in found))


def select(
    path: Path, document: str, name: str | None, variables: dict[str, Any], tree: dict[str, Any]
) -> dict[str, Any]:
    """Return of `tree` exactly what `document` selects.

    A tree that the schema does not allow (a field missing, null or of another type) is a defect
    of the emulated shop and fails loudly.
    """
    result = execute_sync(
        schema_at(path),
        checked(path, document),
        root_value=tree,
        variable_values=variables,
        operation_name=name,
    )
    assert not result.errors, f"the emulated shop broke the schema: {result.errors}"
    assert result.data is not None
    return result.data
