"""The ledger, typed: what moved, why, and who did it."""

from __future__ import annotations

from typing import Any

import pytest

from stockpush.cli import session
from tests.cli.terminal import Terminal


@pytest.fixture
def moved(shop: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Wax came in as a lot, candles were made, and the scrapping of a soap was taken back."""
    monkeypatch.setattr(session.getpass, "getuser", lambda: "anna")
    came = ("--lot", "A12", "--cost", "62.50", "--supplier", "Imkerei Moser", "--reason", "early")
    shop.done("receive", "beeswax", "1.5kg", *came)
    shop.done("build", "candle-lav", "10")
    scrapped = shop.done("scrap", "soap-lav", "1", "--reason", "cracked", "--json").json["id"]
    shop.done("undo", scrapped, "--reason", "it was not")
    return shop


def rows(shop: Terminal, *typed: str) -> list[dict[str, Any]]:
    """What is listed."""
    return shop.done("log", *typed, "--json").json["data"]


def test_a_receipt_is_told_with_all_that_was_said(moved: Terminal) -> None:
    """Quantity in the item's unit, lot, place, reason, actor, cost and supplier."""
    (used, row, opening) = rows(moved, "beeswax")
    assert used["quantity"] == "-1500"
    assert (opening["kind"], opening["quantity"], opening["cost"]) == ("opening", "2500", None)
    assert row == {
        "id": row["id"],
        "at": row["at"],
        "kind": "receipt",
        "sku": "beeswax",
        "quantity": "1500",
        "unit": "g",
        "lot": "A12",
        "location": "main",
        "reason": "early; cost 62.50; from Imkerei Moser",
        "actor": "cli:anna",
        "cause": row["cause"],
        "cost": "62.50",
        "supplier": "Imkerei Moser",
        "undoes": None,
    }


def test_an_undo_says_what_it_undoes(moved: Terminal) -> None:
    """By the id that the command printed; newest first."""
    (back, gone, _) = rows(moved, "SOAP-LAV")
    assert (gone["quantity"], gone["reason"], gone["undoes"]) == ("-1", "cracked", None)
    assert (back["quantity"], back["reason"], back["undoes"]) == ("1", "it was not", gone["id"])
    said = moved.done("log", "soap-lav").out
    assert f"it was not; undoes {gone['id']}" in said


def test_movements_of_one_command_share_its_cause(moved: Terminal) -> None:
    """A build's materials and what came of them."""
    built = [row for row in rows(moved) if row["kind"].startswith("build")]
    assert {row["sku"] for row in built} == {"candle-lav", "beeswax", "wick"}
    assert len({row["cause"] for row in built}) == 1


def test_for_people_it_is_a_table(moved: Terminal) -> None:
    """Who and why beside what."""
    said = moved.done("log").out
    (line,) = [each for each in said.splitlines() if "A12" in each and "receipt" in each]
    for word in ("mv-", "beeswax", "1500", "cli:anna", "early; cost 62.50; from Imkerei Moser"):
        assert word in line


def test_the_ledger_comes_in_pages(moved: Terminal) -> None:
    """The cursor is an id as it is typed; each movement comes once, newest first."""
    everything = [row["id"] for row in rows(moved)]
    seen: list[str] = []
    cursor: tuple[str, ...] = ()
    while True:
        page = moved.done("log", "--limit", "4", *cursor, "--json").json
        seen += [row["id"] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = ("--cursor", page["next"])
    assert seen == everything
    assert everything == sorted(everything, key=lambda name: -int(name[3:]))
    first = moved("log", "wick", "--limit", "1", "--since", "-1d")
    named = rows(moved, "wick", "--limit", "1")[0]["id"]
    assert f"More: stockpush log wick --cursor {named} --since=-1d" in first.err
    assert len(rows(moved, "wick", "--cursor", named, "--since=-1d")) == 1


def test_since_leaves_out_what_was_before(moved: Terminal) -> None:
    """An instant, a date or how long ago."""
    begin = rows(moved, "candle-lav")[0]["at"]
    assert {row["kind"] for row in rows(moved, "candle-lav", "--since", begin)} == {"build-in"}
    assert len(rows(moved, "candle-lav", "--since", "2020-01-01")) == 2
    assert "Nothing has moved since." in moved.done("log", "--since", "-0s").out


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        (("nothing",), 4, "stockpush stock"),
        (("--since", "soon"), 2, "(its beginning)"),
        (("--since", "2099-01-01"), 2, "future"),
        (("--cursor", "x"), 2, "mv-1042"),
        (("--limit", "0"), 2, "--limit"),
    ],
)
def test_a_slip_is_named(moved: Terminal, typed: tuple[str, ...], code: int, says: str) -> None:
    """With what to type instead."""
    result = moved("log", *typed)
    assert (result.code, says in result.err) == (code, True), result


def test_nothing_has_moved_in_a_new_database(terminal: Terminal) -> None:
    """It says so."""
    assert "Nothing has moved." in terminal.done("log").out
