"""Whether what a table of traps names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from typer.main import get_command

from stockpush.cli.main import app

COMMANDS = frozenset(get_command(app).commands)  # type: ignore[attr-defined]
TESTS = Path(__file__).parents[1]
REASON_MIN = 20
"""Shortest reason for having no test."""

Traps = Mapping[str, tuple[str, ...] | str]
"""Each row of a channel's page -> the tests that show it, or why there is none."""


def missing(traps: Traps) -> list[str]:
    """Return the tests that are named and not there, and the traps without a reason that holds:
    one that says something, and names no command that does not exist.
    """
    wrong = [trap for trap, met in traps.items() if isinstance(met, str) and len(met) <= REASON_MIN]
    wrong += [
        f"{trap}: there is no command {name}"
        for trap, met in traps.items()
        if isinstance(met, str)
        for name in re.findall(r"stockpush ([a-z]+)", met)
        if name not in COMMANDS
    ]
    named = [each for met in traps.values() if not isinstance(met, str) for each in met]
    return wrong + [each for each in named if each.partition("::")[2] not in _tests_of(each)]


def _tests_of(name: str) -> set[str]:
    """Return the tests of the file that a test's name begins with."""
    path = TESTS / "connectors" / name.partition("::")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
