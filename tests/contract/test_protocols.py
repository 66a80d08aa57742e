"""What connectors may be besides, and which are: the page is held against the code."""

from __future__ import annotations

import re
from typing import Any

from stockpush.connectors import base
from tests.contract.kit import NAMES, REPOSITORY, kit

PAGE = REPOSITORY / "docs/adding-a-channel.md"
BESIDES = "What a connector may be besides"


def test_the_page_names_every_protocol_and_who_has_it():
    """A row for each protocol of base.py that is a connector's choice, with all that made it."""
    protocols: dict[str, Any] = {
        name: each
        for name, each in vars(base).items()
        if isinstance(each, type) and (each.__doc__ or "").startswith(BESIDES)
    }
    connectors = {name: kit(name).open().connector for name in NAMES}
    assert table() == {
        name: {each for each, connector in connectors.items() if isinstance(connector, protocol)}
        for name, protocol in protocols.items()
    }


def table() -> dict[str, set[str]]:
    """Return the page's table: protocol -> the connectors in its last column."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {BESIDES}")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", section, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", those)) for name, those in rows}
