"""The worked examples of docs/stock-model.md, carried out as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.cli.test_channels import ETSY

PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"
COLUMNS = ("item", "on hand", "ATP", "limited by")
_STEP = re.compile(r"^```(toml|console)\n(.*?)^```$|^(\| .*?)(?=^(?!\|))", re.DOTALL | re.MULTILINE)


def examples() -> dict[str, str]:
    """Return the examples of the page by their headings."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Worked examples\n")[2]
    parts = re.split(r"^### (.+)$", text + "\n", flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def table(text: str) -> list[tuple[str, ...]]:
    """Return the rows of a table of Markdown, its heading left out."""
    rows = [
        tuple(cell.strip() for cell in line.strip("| ").split("|")) for line in text.splitlines()
    ]
    assert rows[0] == COLUMNS
    return [(*row, "")[: len(COLUMNS)] for row in rows[2:]]


@pytest.mark.parametrize("name", examples())
def test_a_worked_example_comes_out_as_the_page_says(terminal: Terminal, name: str):
    """The file is imported, the commands are typed, and each table is what `stock` says then."""
    tables = 0
    for kind, text, rows in _STEP.findall(examples()[name]):
        if kind == "toml":
            terminal.write("catalog.toml", text)
            terminal.done("import", "catalog.toml", "--yes")
        elif kind == "console":
            for line in text.splitlines():
                assert line.startswith("$ stockpush ")
                terminal.done(*shlex.split(line.removeprefix("$ stockpush ")))
        else:
            tables += 1
            said = {row["sku"]: row for row in terminal.done("stock", "--json").json["data"]}
            shown = [
                (sku, row["on_hand"], row["atp"], ", ".join(row["limited_by"]))
                for sku, *_ in table(rows)
                for row in [said[sku]]
            ]
            assert shown == table(rows)
    assert tables, "an example without a table shows nothing"


def files() -> list[str]:
    """Return the files that the page shows before its worked examples."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Worked examples\n")[0]
    return re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(files())))
def test_a_file_of_the_page_is_imported_as_it_stands(sellers: Terminal, number: int):
    """Whoever copies it has no mistake to look for, and what it says is what changes."""
    config = sellers.folder / "stockpush.toml"
    config.write_text(f"{config.read_text()}\n{ETSY}")
    sellers.write("catalog.toml", files()[number])
    sellers.done("import", "catalog.toml", "--yes")
    again = sellers.done("import", "catalog.toml", "--dry-run", "--json").json
    assert {each["state"] for each in again["changes"]} == {"unchanged"}


def test_the_page_has_worked_examples():
    """They are found at all."""
    assert len(examples()) >= 3
