"""Whether what a table of traps names is there."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).parents[1]
REASON_MIN = 20
"""Shortest reason for having no test."""

Traps = Mapping[str, tuple[str, ...] | str]
"""Each row of a channel's page -> the tests that show it, or why there is none."""


def missing(traps: Traps) -> list[str]:
    """Return the tests that are named and not there, and the traps without a reason."""
    wrong = [trap for trap, met in traps.items() if isinstance(met, str) and len(met) <= REASON_MIN]
    named = [each for met in traps.values() if not isinstance(met, str) for each in met]
    return wrong + [each for each in named if each.partition("::")[2] not in _tests_of(each)]


def _tests_of(name: str) -> set[str]:
    """Return the tests of the file that a test's name begins with."""
    path = TESTS / "connectors" / name.partition("::")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
