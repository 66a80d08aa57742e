"""`stockpush channels --quality`: the ladder for people, at two widths, and for scripts."""

from __future__ import annotations

import pytest

from stockpush.cli import output
from stockpush.connectors import registry
from stockpush.connectors.quality import RULES, Tier
from tests.cli.terminal import Terminal


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen of eighty columns."""
    monkeypatch.setattr(output, "PIPE_WIDTH", 80)


def test_it_needs_no_configuration(terminal: Terminal):
    """It is about the program and not about an account: nothing is read and nothing is made."""
    shown = terminal.done("channels", "--quality").out
    assert "reached" in shown
    assert list(terminal.folder.iterdir()) == []


def test_every_connector_and_every_rule_has_its_place(terminal: Terminal):
    """A column each, a row each, under the rung that it belongs to, with what it asks."""
    shown = terminal.done("channels", "--quality").out
    heading = shown.splitlines()[0].split()
    assert heading == ["rule", "asks", *registry.manifests()]
    firsts = [line.split()[0] for line in shown.splitlines() if line.strip()]
    places = [firsts.index(rule.name) for rule in RULES]
    assert places == sorted(places)
    rungs = [firsts.index(each) for each in Tier]
    for rule, place in zip(RULES, places, strict=True):
        rung = list(Tier).index(rule.tier)
        assert rungs[rung] < place
        assert rung + 1 == len(rungs) or place < rungs[rung + 1]
        assert rule.asks in shown


def test_at_eighty_columns_the_table_is_whole(terminal: Terminal, narrow: None):
    """Without what a rule asks, of which the page is named; no line of the table is folded."""
    lines = terminal.done("channels", "--quality").out.splitlines()
    table = lines[: lines.index("")]
    assert all(len(line.rstrip()) <= 80 for line in table)
    assert len(table) >= len(RULES) + len(Tier) + 2
    assert any("docs/quality.md" in line for line in lines)
    assert lines[0].split() == ["rule", *registry.manifests()]


def test_what_is_not_done_says_why(terminal: Terminal):
    """Each reason once, with the rule and the connectors that it is of."""
    rows = terminal.done("channels", "--quality", "--json").json["data"]
    shown = terminal.done("channels", "--quality").out
    for row in rows:
        for rule in row["rules"]:
            if rule["status"] == "done":
                assert rule["shown"]
                assert rule["reason"] is None
            else:
                (line,) = [
                    each
                    for each in shown.splitlines()
                    if each.split()[:1] == [rule["rule"]]
                    and row["connector"] in each
                    and rule["reason"] in each
                ]
                assert line


def test_scripts_get_the_same(terminal: Terminal):
    """One row for each connector, each with every rule in the order of the ladder."""
    rows = terminal.done("channels", "--quality", "--json").json["data"]
    assert [row["connector"] for row in rows] == list(registry.manifests())
    for row in rows:
        assert [each["rule"] for each in row["rules"]] == [rule.name for rule in RULES]
        assert row["tier"] in {None, *Tier}
        assert row["source"]
