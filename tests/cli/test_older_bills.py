"""Older bills at the terminal: what is told of orders that were made with another recipe."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.cli.terminal import Terminal

CATALOGUE = """
items = [
    {{ sku = "candle" }}, {{ sku = "soy", kind = "material", unit = "g", on_hand = 900 }},
    {{ sku = "palm", kind = "material", unit = "g", on_hand = 600 }},
]
[[boms]]
item = "candle"
lines = [{{ item = "{wax}", quantity = 150 }}]
"""


def test_stock_and_why_tell_of_what_was_ordered_by_another_bill(terminal: Terminal) -> None:
    """Two candles go by the first bill; the terms sum, and a run by it is logged by its number."""
    terminal.write("catalog.toml", CATALOGUE.format(wax="soy"))
    terminal.done("import", "catalog.toml", "--yes")
    with closing(sqlite3.connect(terminal.folder / "stockpush.db")) as file, file:
        file.execute(
            "INSERT INTO shelf (sku, pool, on_hand, reserved, held, rests, guard_level, guarded,"
            " pins) VALUES ('candle', 'main', 0, 2, 0, '[]', 0, 0, '[]')"
        )
    terminal.write("catalog.toml", CATALOGUE.format(wax="palm"))
    terminal.done("import", "catalog.toml", "--yes")
    rows = {row["sku"]: row for row in terminal.done("stock", "--json").json["data"]}
    row = rows["candle"]
    assert (row["atp"], row["bill"], row["older_bills"]) == (
        "4",
        2,
        [{"bill": 1, "reserved": "2", "owed": "0"}],
    )
    assert "2 piece of candle by its bill 1 (now 2)" in terminal.done("stock").out
    for sku, name, text in (
        ("candle", "to_build", "2 by its bill 1"),
        ("soy", "used_in_builds", "300 g for 2 candle (ordered by its bill 1)"),
    ):
        why = terminal.done("why", sku, "--json").json
        notes = {term["name"]: term["note"] for term in why["terms"]}
        assert text in notes[name]
        assert sum(int(term["quantity"]) for term in why["terms"]) == int(why["atp"])
    built = terminal.done("build", "candle", "2", "--bill", "1", "--json").json["changed"]
    left = {each["sku"]: each["after"]["on_hand"] for each in built}
    assert left == {"candle": "2", "soy": "600"}
    refused = terminal("build", "candle", "1", "--bill", "7", "--json")
    assert (refused.code, refused.json["expected"]) == (5, [1, 2])


def test_check_counts_what_is_held_by_an_older_bill(terminal: Terminal) -> None:
    """Where the shelf knows nothing of it, the soy of what is held is promised to others."""
    terminal.write("catalog.toml", CATALOGUE.format(wax="soy"))
    terminal.done("import", "catalog.toml", "--yes")
    terminal.done("hold", "candle", "2")
    terminal.write("catalog.toml", CATALOGUE.format(wax="palm"))
    terminal.done("import", "catalog.toml", "--yes")
    assert "2 piece of candle by its bill 1 (now 2)" in terminal.done("stock").out
    for deep in ((), ("--deep",)):
        assert terminal.done("check", "--json", *deep).json["data"] == []
    with closing(sqlite3.connect(terminal.folder / "stockpush.db")) as file, file:
        file.execute("UPDATE shelf SET pins = '[]' WHERE sku = 'candle'")
    for deep in ((), ("--deep",)):
        rows = {tuple(row.values()) for row in terminal("check", "--json", *deep).json["data"]}
        assert ("pinned_is_open_demand", "candle by bill 1", "2", "0") in rows


def test_check_recomputes_what_goes_by_an_older_bill(terminal: Terminal) -> None:
    """Where the shelf knows nothing of the order by the first bill, or of half of it, too much of
    the soy is promised.
    """
    terminal.write("catalog.toml", CATALOGUE.format(wax="soy"))
    terminal.done("import", "catalog.toml", "--yes")
    with closing(sqlite3.connect(terminal.folder / "stockpush.db")) as file, file:
        file.execute(
            "INSERT INTO shelf (sku, pool, on_hand, reserved, held, rests, guard_level, guarded,"
            " pins) VALUES ('candle', 'main', 0, 2, 0, '[]', 0, 0, '[]')"
        )
        file.execute(
            "INSERT INTO reservation (channel, order_id, line_id, updated_at, fetch_number,"
            " order_key, placed_at, ordered, open, shipped, written_off, deducted, state,"
            " order_state, baseline_shipped, baseline_written_off, sku, pack, bill)"
            " VALUES ('shop', '1', '1', 0, 0, 'ca', 0, 2, 2, 0, 0, 0, 'committed',"
            " 'open', 0, 0, 'candle', 1, 1)"
        )
    terminal.write("catalog.toml", CATALOGUE.format(wax="palm"))
    terminal.done("import", "catalog.toml", "--yes")
    assert terminal.done("check", "--json").json["data"] == []
    for pins, found in (("[]", "0"), ("[[1, 1, []]]", "1")):
        with closing(sqlite3.connect(terminal.folder / "stockpush.db")) as file, file:
            file.execute("UPDATE shelf SET pins = ? WHERE sku = 'candle'", (pins,))
        for deep in ((), ("--deep",)):
            checked = terminal("check", "--json", *deep)
            assert checked.code == 1
            rows = {tuple(row.values()) for row in checked.json["data"]}
            assert ("pinned_is_open_demand", "candle by bill 1", "2", found) in rows
            assert ("atp_is_of_the_ledger", "soy", "600", str(900 - 150 * int(found))) in rows


def sent_unbuilt(terminal: Terminal) -> None:
    """Two candles were held in soy and sold before they were built; they are made of palm now."""
    terminal.write("catalog.toml", CATALOGUE.format(wax="soy"))
    terminal.done("import", "catalog.toml", "--yes")
    terminal.done("hold", "candle", "2")
    terminal.write("catalog.toml", CATALOGUE.format(wax="palm"))
    terminal.done("import", "catalog.toml", "--yes")
    terminal.done("sell", "--hold", "hold-1", "--at", "market")


def test_stock_and_why_tell_of_what_was_sent_before_it_was_built(terminal: Terminal) -> None:
    """With the command to type when it is built; the terms sum, and an undo owes it again."""
    sent_unbuilt(terminal)
    rows = {row["sku"]: row for row in terminal.done("stock", "--json").json["data"]}
    assert rows["candle"]["older_bills"] == [{"bill": 1, "reserved": "0", "owed": "2"}]
    assert {sku: row["atp"] for sku, row in rows.items()} == {
        "candle": "4",
        "soy": "600",
        "palm": "600",
    }
    printed = " ".join(terminal.done("stock").out.split())
    assert "Ordered or held" not in printed
    typed = "stockpush build candle 2 --bill 1"
    told = "Sent and not built yet: 2 piece of candle by its bill 1 (now 2)"
    assert f"{told}: {typed} (when it is built)" in printed
    for sku, name, text in (
        ("candle", "to_build", "2 by its bill 1 (2 sent before they were built)"),
        ("soy", "used_in_builds", "300 g for 2 candle (ordered by its bill 1)"),
    ):
        why = terminal.done("why", sku, "--json").json
        notes = {term["name"]: term["note"] for term in why["terms"]}
        assert text in notes[name]
        assert sum(int(term["quantity"]) for term in why["terms"]) == int(why["atp"])
    done = terminal.done(*typed.split()[1:], "--json").json["id"]
    assert "Sent and not built yet" not in terminal.done("stock").out
    terminal.done("undo", done)
    assert told in " ".join(terminal.done("stock").out.split())
    assert terminal.done("check", "--deep", "--json").json["data"] == []


@pytest.mark.parametrize("pins", ["[]", "[[1, 0, [], 1]]", "[[1, 0, [], 3]]"])
def test_check_recomputes_what_is_owed_by_an_older_bill(terminal: Terminal, pins: str) -> None:
    """The movements say what it is, and what that makes of the soy."""
    sent_unbuilt(terminal)
    assert terminal.done("check", "--json").json["data"] == []
    with closing(sqlite3.connect(terminal.folder / "stockpush.db")) as file, file:
        file.execute("UPDATE shelf SET pins = ? WHERE sku = 'candle'", (pins,))
    kept = {"[]": "0", "[[1, 0, [], 1]]": "1"}.get(pins, "3")
    for deep in ((), ("--deep",)):
        checked = terminal("check", "--json", *deep)
        assert checked.code == 1
        rows = {tuple(row.values()) for row in checked.json["data"]}
        assert ("owed_is_fold", "candle by bill 1", "2", kept) in rows
        # Of what is owed no more counts than is missing.
        assert (kept == "3") != any(row[:2] == ("atp_is_of_the_ledger", "soy") for row in rows)


def test_an_import_tells_no_undo_of_what_it_says_is_owed(terminal: Terminal) -> None:
    """Nothing was opened: the movement of 0 that it wrote is none to take back, also where the
    import comes again under its key; to undo it all the same is refused, with what to type.
    """
    terminal.write("catalog.toml", CATALOGUE.format(wax="soy"))
    terminal.done("import", "catalog.toml", "--yes")
    terminal.done("sell", "candle", "2", "--at", "market")
    terminal.write("catalog.toml", CATALOGUE.format(wax="palm"))
    typed = ("import", "catalog.toml", "--yes", "--key", "palm")
    for replayed in (False, True):
        done = terminal.done(*typed, "--json").json
        assert (done["id"], done["undo"], done["replayed"]) == (None, None, replayed)
    assert "ndo" not in terminal.done(*typed).out
    note = terminal.done("log", "candle", "--json").json["data"][0]
    assert note["quantity"] == "0"
    refused = terminal("undo", note["id"], "--json")
    assert (refused.code, refused.json["refused"]) == (5, "nothing_to_undo")
    assert "sent before it was built, by its bill 1" in refused.json["message"]
    assert refused.json["next"].startswith("stockpush stock ")
    rows = {row["sku"]: row for row in terminal.done("stock", "--json").json["data"]}
    assert rows["candle"]["older_bills"] == [{"bill": 1, "reserved": "0", "owed": "2"}]
    assert "sent before it was built, by its bill 1" in terminal.done("log", "candle").out
    assert terminal.done("check", "--deep", "--json").json["data"] == []
