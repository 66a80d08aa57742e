"""The pages say what is so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from stockpush.errors import ExitCode
from stockpush.reservation import holds, lifecycle

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def diagram(transitions: Mapping[tuple[str | None, str], str]) -> str:
    """Draw a table of transitions as a Mermaid state diagram."""
    lines = [
        f"    {start or '[*]'} --> {end}: {what}" for (start, end), what in transitions.items()
    ]
    return "\n".join(["stateDiagram-v2", *lines])


@pytest.mark.parametrize(
    ("page", "transitions"),
    [("architecture.md", lifecycle.TRANSITIONS), ("stock-model.md", holds.TRANSITIONS)],
    ids=["reservation", "hold"],
)
def test_a_diagram_is_that_of_its_table(
    page: str, transitions: Mapping[tuple[str | None, str], str]
):
    """The pages show exactly the transitions of reservation/lifecycle.py and holds.py."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    (drawn,) = re.findall(r"```mermaid\n(.*?)\n```", text, re.DOTALL)
    assert drawn == diagram(transitions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    """Every relative link names a file that exists."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_exit_codes_are_those_of_the_page():
    """docs/interface.md lists each exit code of errors.ExitCode."""
    page = (REPOSITORY / "docs" / "interface.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", page, re.MULTILINE)}
    assert listed == set(ExitCode)
