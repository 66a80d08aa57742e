"""The worked examples of docs/stock-model.md, typed as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

PAGE = (Path(__file__).parents[2] / "docs" / "stock-model.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"```(toml|console)\n(.*?)```", re.DOTALL)


def examples() -> dict[str, list[tuple[str, str]]]:
    """Each section of the page that shows what is printed, with its blocks in order."""
    sections = (part.partition("\n") for part in PAGE.split("\n## ")[1:])
    found = {title: _BLOCK.findall(body) for title, _, body in sections}
    return {
        title: blocks
        for title, blocks in found.items()
        if any(lines for kind, text in blocks if kind == "console" for _, lines in typed(text))
    }


def typed(block: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Each command of a block with the lines that it must print, by their words."""
    for part in re.split(r"^\$ stockpush ", block, flags=re.MULTILINE)[1:]:
        command, *lines = part.strip().splitlines()
        yield shlex.split(command), [line.split() for line in lines]


@pytest.mark.parametrize("section", examples())
def test_the_examples_come_out_as_they_stand(terminal: Terminal, section: str) -> None:
    """Every line is printed, in that order; others (headings, notes) may stand between."""
    for kind, block in examples()[section]:
        if kind == "toml":
            terminal.write("catalog.toml", block)
            terminal.done("import", "catalog.toml", "--yes")
            continue
        for command, expected in typed(block):
            result = terminal(*command)
            printed = [line.split() for line in (result.out + result.err).splitlines()]
            for line in expected:
                assert line in printed, (command, line, result)
                del printed[: printed.index(line) + 1]


def test_the_page_shows_what_is_printed() -> None:
    """The examples are found at all."""
    assert {"What happens in the workshop", "Lots", "Locations"} <= examples().keys()
