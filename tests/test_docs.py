"""The pages say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stockpush.errors import ExitCode
from stockpush.reservation.lifecycle import TRANSITIONS

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def diagram() -> str:
    """Draw the table of transitions as a Mermaid state diagram."""
    lines = [
        f"    {start or '[*]'} --> {end}: {what}" for (start, end), what in TRANSITIONS.items()
    ]
    return "\n".join(["stateDiagram-v2", *lines])


def test_the_diagram_of_a_reservation_is_that_of_the_table():
    """docs/architecture.md shows exactly the transitions of reservation/lifecycle.py."""
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"```mermaid\n(.*?)\n```", page, re.DOTALL)
    assert drawn == diagram()


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
