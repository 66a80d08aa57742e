"""No row of the research on a platform is left out of its table of traps.

The tables of traps say which tests meet each trap. `trap_rows.toml` goes the other way: it lists
the rows and bullets of each page of ../shared/channels, in their order, with the traps that they
became. A row that is added, moved or taken away there is noticed here, and one that begins anew.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.connectors import (
    test_etsy_contract,
    test_faire_traps,
    test_shopify_traps,
    test_woocommerce_traps,
)
from tests.connectors.trap_table import REASON_MIN

ROWS: Mapping[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "trap_rows.toml").read_text(encoding="utf-8")
)
TRAPS = {
    "etsy": test_etsy_contract.TRAPS.keys(),
    "faire": test_faire_traps.TRAPS.keys(),
    "shopify": test_shopify_traps.TRAPS.keys(),
    # What users report of both platforms stands on WooCommerce's page.
    "woocommerce": test_woocommerce_traps.TRAPS.keys() | test_shopify_traps.TRAPS.keys(),
}


def rows(page: str) -> Iterator[str]:
    r"""Yield the rows of a page's tables, and its bullets, each after its section's number.

    >>> list(rows("### 1.6 Hooks\n| a | b |\n|---|---|\n| c | d |\n- e"))
    ['1.6 c | d', '1.6 e']
    """
    section, in_table = "", False
    for line in page.splitlines():
        if heading := re.match(r"#+ (\S+)", line):
            section = heading[1]
        if not line.startswith("|"):
            in_table = False
            if line.startswith("- ") and section[:1].isdigit():
                yield f"{section} {line[2:]}"
            continue
        cells = [each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]]
        is_rule = all(re.fullmatch(r":?-+:?", each) for each in cells)
        if in_table and not is_rule:
            yield f"{section} {' | '.join(cells)}"
        in_table = True


@pytest.mark.parametrize("name", TRAPS)
def test_every_row_of_the_page_is_listed_in_its_order(name: str, shared: Path) -> None:
    """Each begins as it is listed; none is missing, and none is listed that is not there."""
    page = (shared / f"channels/{name}.md").read_text(encoding="utf-8")
    listed = [each["row"] for each in ROWS[name]]
    found = list(rows(page))
    began = [each[: len(start)] for each, start in zip(found, listed, strict=False)]
    assert began == listed[: len(found)]
    assert found[len(listed) :] == []
    assert listed[len(found) :] == []


@pytest.mark.parametrize("name", TRAPS)
def test_every_row_is_met_by_a_trap_or_has_a_reason(name: str) -> None:
    """The traps are those of the platform's table, which names their tests."""
    for each in ROWS[name]:
        assert each.keys() in ({"row", "met"}, {"row", "why"}), each
        if "why" in each:
            assert len(each["why"]) > REASON_MIN, each
        else:
            assert each["met"], each
            assert set(each["met"]) <= TRAPS[name], each
