"""Substitutes at the terminal: what `stock` and `why` say of them, and refusals."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal

CATALOGUE = """
items = [
    { sku = "candle" }, { sku = "wick", kind = "component" },
    { sku = "cotton", kind = "component", substitute_for = "wick", on_hand = 10 },
    { sku = "hemp", kind = "component", substitute_for = "wick", on_hand = 5 },
]
[[boms]]
item = "candle"
lines = [{ item = "wick", quantity = 1 }]
"""


def workshop(terminal: Terminal) -> None:
    """Eight candles are set aside, and none is made."""
    terminal.write("catalog.toml", CATALOGUE)
    terminal.done("import", "catalog.toml", "--yes")
    terminal.done("hold", "candle", "8")


def test_why_says_what_is_taken_under_the_name(terminal: Terminal) -> None:
    """The terms sum to what can be promised, of the name as of each of its substitutes."""
    workshop(terminal)
    said = {}
    for sku in ("wick", "cotton", "hemp"):
        why = terminal.done("why", sku, "--json").json
        said[sku] = {term["name"]: (term["quantity"], term["note"]) for term in why["terms"]}
        assert sum(int(units) for units, _ in said[sku].values()) == int(why["atp"])
    assert said["wick"]["substitutes"] == (
        "15",
        "what is left of its substitutes: 10 of cotton and 5 of hemp",
    )
    assert said["cotton"]["substitutes"] == (
        "-3",
        "taken as wick: 8 for 8 candle, beyond what is left of hemp",
    )
    assert said["hemp"]["substitutes"][0] == "0"


def test_why_says_how_much_of_the_substitutes_is_left(terminal: Terminal) -> None:
    """Of the name itself nothing is on hand, and yet it is not what has run out."""
    workshop(terminal)
    why = terminal.done("why", "candle", "--json").json
    notes = {term["name"]: term["note"] for term in why["terms"]}
    assert notes["buildable"] == (
        "wick ends first: 15 of cotton and hemp, 8 for 8 candle, 7 left"
    ), notes


def test_what_is_to_buy_is_one_of_the_substitutes(terminal: Terminal) -> None:
    """The name cannot be received, so the command to type names one that can."""
    workshop(terminal)
    refused = terminal("hold", "candle", "10", "--json")
    assert refused.json["to_buy"] == [
        {"sku": "wick", "unit": "piece", "quantity": "3", "any_of": ["cotton", "hemp"]}
    ]
    assert refused.json["next"] == "stockpush receive cotton 3  (when it has arrived)"
    assert "3 wick (cotton or hemp)" in terminal("hold", "candle", "10").out


def test_stock_has_the_name_and_its_substitutes(terminal: Terminal) -> None:
    """What is on hand of the name is what is there of all of them."""
    workshop(terminal)
    rows = {row["sku"]: row for row in terminal.done("stock", "--json").json["data"]}
    assert (rows["wick"]["on_hand"], rows["wick"]["substitutes"]) == ("15", ["cotton", "hemp"])
    assert (rows["hemp"]["on_hand"], rows["hemp"]["substitute_for"]) == ("5", "wick")


def test_nothing_is_received_of_the_name(terminal: Terminal) -> None:
    """The refusal says of what it may be, and what to type."""
    workshop(terminal)
    refused = terminal("receive", "wick", "5", "--json")
    assert refused.code == 5
    assert refused.json["refused"] == "has_substitutes"
    assert refused.json["expected"] == ["cotton", "hemp"]
    assert refused.json["next"] == "the same command with one of its substitutes"


@pytest.mark.parametrize(
    ("command", "next_"),
    [
        ("transfer wick 1 --from main --to stall", "the same command with one of its substitutes"),
        ("hold wick 1", "the same with one of its substitutes"),
    ],
)
def test_nothing_is_moved_or_held_of_the_name(terminal: Terminal, command: str, next_: str) -> None:
    """It is told as that, and not that too little of it lies there; with what to type."""
    workshop(terminal)
    terminal.write("stall.toml", '[[locations]]\nname = "stall"')
    terminal.done("import", "stall.toml", "--yes")
    refused = terminal(*command.split(), "--json")
    assert refused.code == 5
    assert (refused.json["refused"], refused.json["next"]) == ("has_substitutes", next_)
