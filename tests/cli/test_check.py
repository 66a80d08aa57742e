"""`check` finds what was planted."""

from __future__ import annotations

import sqlite3

import pytest

from tests.cli.terminal import Terminal


def plant(shop: Terminal, *statements: str) -> None:
    """Damage the database behind the program's back."""
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_sound_books_agree(shop: Terminal):
    """Exit code 0, and how much was looked at."""
    shop.done("build", "candle-lav", "10")
    answer = shop.done("check", "--json").json
    assert answer == {
        "data": [],
        "checked": {"items": 4, "movements": 7, "reservations": 0, "holds": 0, "fields": 0},
        "deep": False,
    }
    assert shop.done("check", "--deep", "--json").json == {**answer, "deep": True}


def test_only_a_deep_check_reads_every_command(shop: Terminal):
    """Two movements that change places keep every sum; the ledger itself is no more what it was."""
    shop.done("receive", "beeswax", "1kg")
    shop.done("undo", "mv-5")
    plant(
        shop,
        "UPDATE movement SET quantity = quantity + 3 WHERE id = 5",
        "UPDATE movement SET quantity = quantity - 3 WHERE id = 6",
        "UPDATE movement SET undoes = NULL WHERE id = 6",
        "UPDATE movement SET undoes = 4 WHERE id = 6",
    )
    assert shop("check").code == 0
    deep = shop("check", "--deep", "--json")
    assert deep.code == 1
    assert {row["invariant"] for row in deep.json["data"]} == {"undo_compensates_exactly"}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE shelf SET on_hand = on_hand + 7 WHERE sku = 'beeswax'",
            {
                ("balance_is_fold", "beeswax", "2500", "2507"),
                ("atp_is_of_the_ledger", "beeswax", "2500", "2507"),
            },
        ),
        (
            "UPDATE shelf SET reserved = 2 WHERE sku = 'candle-lav'",
            {
                ("reserved_is_open_demand", "candle-lav", "0", "2"),
                ("atp_is_of_the_ledger", "candle-lav", "21", "19"),
            },
        ),
        (
            "UPDATE shelf SET held = 2 WHERE sku = 'candle-lav'",
            {
                ("held_is_open_holds", "candle-lav", "0", "2"),
                ("atp_is_of_the_ledger", "candle-lav", "21", "19"),
            },
        ),
        (
            "DELETE FROM movement WHERE sku = 'wick'",
            {
                ("balance_is_fold", "wick", "0", "30"),
                ("atp_is_of_the_ledger", "wick", "0", "30"),
                ("atp_is_of_the_ledger", "candle-lav", "5", "21"),
            },
        ),
        (
            "UPDATE shelf SET coming_by = '[[60,5],[90,7]]' WHERE sku = 'beeswax'",
            {("coming_by_is_of_lots", "beeswax", "0", "5 within 60 s, 7 within 90 s")},
        ),
    ],
)
def test_a_planted_difference_is_found(
    shop: Terminal, statement: str, found: set[tuple[str, str, str, str]]
):
    """Exit code 1; which rule, of what, what it should be and what it is."""
    plant(shop, statement)
    quick = shop("check", "--json")
    assert quick.code == 1
    assert found <= {tuple(row.values()) for row in quick.json["data"]}
    result = shop("check", "--deep", "--json")
    assert result.code == 1
    rows = {
        (row["invariant"], row["subject"], row["expected"], row["found"])
        for row in result.json["data"]
    }
    assert found <= rows
    assert {row[:2] for row in rows - found} <= {
        ("commands_have_their_movements", row[1]) for row in rows
    }


def test_people_are_told_that_nothing_was_changed(shop: Terminal):
    """In a table, with what to do; a second look finds the same."""
    plant(shop, "UPDATE shelf SET on_hand = 2600 WHERE sku = 'beeswax'")
    first, second = shop("check"), shop("check")
    assert (first.code, second.code) == (1, 1)
    assert first.out == second.out
    assert "Nothing was changed" in first.out
    rows = [line.split() for line in first.out.splitlines()]
    assert ["balance", "is", "fold", "beeswax", "2500", "2600"] in rows
