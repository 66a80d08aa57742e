"""The stock verbs: what they change, say and refuse."""

from __future__ import annotations

import sqlite3

import pytest

from tests.cli.terminal import Terminal


@pytest.mark.parametrize(
    ("typed", "sku", "on_hand"),
    [
        (("receive", "beeswax", "5kg"), "beeswax", "7500"),
        (("receive", "beeswax", "5", "kg"), "beeswax", "7500"),
        (("receive", "beeswax", "1.5 kg"), "beeswax", "4000"),
        (("receive", "BEESWAX", "+1"), "beeswax", "2501"),
        (("build", "candle-lav", "10"), "beeswax", "1000"),
        (("count", "beeswax", "2400"), "beeswax", "2400"),
        (("count", "beeswax", "0"), "beeswax", "0"),
        (("adjust", "wick", "-3"), "wick", "27"),
        (("adjust", "wick", "-3", "--reason", "broken"), "wick", "27"),
        (("adjust", "wick", "--reason", "broken", "-3"), "wick", "27"),
        (("adjust", "wick", "--", "-3"), "wick", "27"),
        (("adjust", "beeswax", "-.5kg"), "beeswax", "2000"),
        (("adjust", "beeswax", "-1.5", "kg"), "beeswax", "1000"),
        (("adjust", "wick", "+3"), "wick", "33"),
        (("sell", "soap-lav", "2", "--at", "market"), "soap-lav", "0"),
        (("scrap", "wick", "3", "--reason", "frayed"), "wick", "27"),
        (("scrap", "beeswax", "1.5kg"), "beeswax", "1000"),
        (("return", "soap-lav", "1"), "soap-lav", "3"),
        (("build", "candle-lav", "10", "--used", "beeswax=1.6kg"), "beeswax", "900"),
        (("build", "candle-lav", "10", "--used", "BEESWAX=0"), "beeswax", "2500"),
        (("build", "soap-lav", "12", "--scrapped", "2"), "soap-lav", "12"),
    ],
    ids=" ".join,
)
def test_a_verb_moves_stock(shop: Terminal, typed: tuple[str, ...], sku: str, on_hand: str):
    """As typed, with a unit or without, with a sign or without."""
    verb, *rest = typed
    answer = shop.done(verb, "--json", *rest).json
    assert shop.on_hand(sku) == on_hand
    assert answer["undo"] == f"stockpush undo {answer['id']}"
    shop.done("undo", answer["id"])
    opening = {"beeswax": "2500", "wick": "30", "soap-lav": "2"}
    assert shop.on_hand(sku) == opening[sku], "and the undo takes it back"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("receive", "beeswax", "0"), "more than 0"),
        (("receive", "beeswax", "-5"), "more than 0"),
        (("receive", "beeswax", "5l"), "volume"),
        (("receive", "beeswax", "1e3"), "exponent"),
        (("receive", "beeswax", "0.5"), "smallest step"),
        (("receive", "beeswax", "many"), "decimal point"),
        (("receive", "beeswax", "5", "--jsno"), "Did you mean --json?"),
        (("adjust", "wick", "0"), "other than 0"),
        (("count", "wick", "-1"), "0 or more"),
        (("sell", "wick", "1"), "--at"),
        (("sell", "wick", "1", "--at", " "), "no place"),
        (("receive", "wick", "1", "--reason", "a\nb"), "line of text"),
        (("receive", "wick", "1", "--reason", "x" * 201), "line of text"),
        (("receive", "wick", "1", "--key", " "), "--key is empty"),
        (("scrap", "wick", "0"), "more than 0"),
        (("scrap", "wick", "-1"), "more than 0"),
        (("return", "wick", "5l"), "volume"),
        (("build", "candle-lav", "10", "--used", "beeswax"), "SKU=QUANTITY"),
        (("build", "candle-lav", "10", "--used", "=5g"), "SKU=QUANTITY"),
        (("build", "candle-lav", "10", "--used", "beeswax=5l"), "--used beeswax"),
        (
            ("build", "candle-lav", "10", "--used", "wick=9", "--used", "WICK=8"),
            "each component once",
        ),
        (("build", "candle-lav", "10", "--scrapped", "half"), "--scrapped"),
        (("undo", "candle-lav"), "mv-1042"),
        (("adjust", "wick", "--", "-3", "--json"), "before the lone --"),
        (("adjust", "wick", "3", "--supplier", "A"), "There is no option --supplier"),
        (("sell", "wick", "3", "--at", "market", "--hodl"), "Did you mean --hold?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_slip_moves_nothing(shop: Terminal, typed: tuple[str, ...], says: str):
    """Exit code 2, the reason in words, and the ledger as before."""
    before = shop.atp()
    result = shop(*typed)
    assert result.code == 2
    assert says in result.err
    assert result.out == ""
    assert shop.atp() == before


def test_people_see_what_changed_and_how_to_undo_it(shop: Terminal):
    """The item itself first, then those whose ATP moved along, before and after."""
    lines = [line.split() for line in shop.done("receive", "beeswax", "1kg").out.splitlines()]
    assert lines[0] == ["Received", "1000", "g", "of", "beeswax"]
    assert ["beeswax", "2500", "→", "3500", "2500", "→", "3500", "g"] in lines
    assert ["candle-lav", "21", "→", "28", "piece"] in lines
    assert ["soap-lav", "102", "→", "142", "piece"] in lines
    assert lines[-1] == ["Undo:", "stockpush", "undo", "mv-5"]


def test_what_a_build_changes(shop: Terminal):
    """Finished in, materials out, all in one command with one undo."""
    answer = shop.done("build", "candle-lav", "10", "--json").json
    changed = {row["sku"]: (row["before"], row["after"]) for row in answer["changed"]}
    assert changed["candle-lav"] == (
        {"on_hand": "5", "held": "0", "atp": "21"},
        {"on_hand": "15", "held": "0", "atp": "21"},
    )
    assert changed["beeswax"][1]["on_hand"] == "1000"
    assert len(answer["movements"]) == 3
    shop.done("undo", answer["movements"][2])
    assert shop.atp()["beeswax"] == "2500"


def test_a_build_is_recorded_as_it_went(shop: Terminal):
    """What was planned and what was used stand side by side, and in the record for good."""
    typed = ("build", "candle-lav", "10", "--used", "beeswax=1600", "--scrapped", "2")
    answer = shop.done(*typed, "--json", "--dry-run").json
    assert answer["used"] == [
        {"sku": "beeswax", "unit": "g", "planned": "1500", "used": "1600"},
    ]
    lines = [line.split() for line in shop.done(*typed, "--reason", "monday").out.splitlines()]
    assert " ".join(lines[0]) == "Built 10 candle-lav, of which 2 were lost"
    assert ["beeswax", "1500", "1600", "g"] in lines
    assert reasons(shop) == [
        "monday",
        "monday; planned 1500 g, used 1600 g",
        "monday",
        "monday; lost in the build",
    ]
    shop.done("undo", "mv-6")
    assert (shop.on_hand("candle-lav"), shop.on_hand("beeswax")) == ("5", "2500")


@pytest.mark.parametrize(
    ("options", "refused", "says"),
    [
        (("--used", "soap-lav=1"), "not_on_bill", "which names beeswax, wick"),
        (("--scrapped", "11"), "more_lost_than_built", "11 of 10 candle-lav"),
    ],
    ids=["used", "scrapped"],
)
def test_a_build_that_cannot_have_gone_so_is_refused(
    shop: Terminal, options: tuple[str, ...], refused: str, says: str
):
    """Exit code 5, what was expected, and nothing moved."""
    before = shop.atp()
    result = shop("build", "candle-lav", "10", *options, "--json")
    assert (result.code, result.json["refused"]) == (5, refused)
    assert says in result.json["message"]
    assert result.json["next"]
    assert shop.atp() == before


def reasons(shop: Terminal) -> list[str]:
    """The reasons of the movements after the opening stock."""
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        rows = database.execute("SELECT reason FROM movement WHERE id > 4 ORDER BY id").fetchall()
    database.close()
    return [reason for (reason,) in rows]


def test_a_shortage_is_said(shop: Terminal):
    """A sale already made is recorded whatever there is; people are told what is missing."""
    result = shop.done("sell", "wick", "40", "--at", "fair")
    assert "wick is short of 10 piece" in result.err
    assert "wick is below zero on hand" in result.err


def test_the_same_key_happens_once(shop: Terminal):
    """A repeated command says so and gives the same id; another one under it is refused."""
    first = shop.done("receive", "wick", "5", "--key", "monday", "--json").json
    again = shop.done("receive", "wick", "5", "--key", "monday", "--json").json
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["id"] == first["id"]
    assert shop.on_hand("wick") == "35"
    assert f"as {first['id']}" in shop.done("receive", "wick", "5", "--key", "monday").out
    refused = shop("receive", "wick", "6", "--key", "monday", "--json")
    assert (refused.code, refused.json["refused"]) == (5, "key_reused")
    assert shop.on_hand("wick") == "35"


def test_a_sale_elsewhere_is_another_sale(shop: Terminal):
    """The place is part of what a key stands for; why it was sold is not."""
    first = shop.done("sell", "wick", "5", "--at", "fair", "--key", "monday", "--json").json
    again = ("sell", "wick", "5", "--at", "fair", "--key", "monday", "--reason", "rain", "--json")
    assert shop.done(*again).json["id"] == first["id"]
    refused = shop("sell", "wick", "5", "--at", "shop", "--key", "monday", "--json")
    assert (refused.code, refused.json["refused"]) == (5, "key_reused")
    assert shop.on_hand("wick") == "25"


def test_without_a_key_the_same_command_happens_twice(shop: Terminal):
    """A fresh key by default."""
    shop.done("receive", "wick", "5")
    shop.done("receive", "wick", "5")
    assert shop.on_hand("wick") == "40"


@pytest.mark.parametrize(
    "typed",
    [
        ("receive", "wick", "5"),
        ("build", "candle-lav", "3"),
        ("count", "wick", "7"),
        ("adjust", "wick", "-3"),
        ("sell", "wick", "3", "--at", "fair"),
        ("scrap", "wick", "3"),
        ("return", "wick", "3"),
        ("build", "candle-lav", "10", "--used", "wick=12", "--scrapped", "1"),
        ("undo", "mv-1"),
    ],
    ids=" ".join,
)
def test_a_rehearsal_shows_and_changes_nothing(shop: Terminal, typed: tuple[str, ...]):
    """--dry-run shows what the command then does, and not even a key is used up."""
    before = shop.atp()
    rehearsed = shop.done(*typed, "--dry-run", "--json", "--key", "k").json
    assert (rehearsed["id"], rehearsed["undo"], rehearsed["dry_run"]) == (None, None, True)
    assert shop.atp() == before
    done = shop.done(*typed, "--json", "--key", "k").json
    assert rehearsed["changed"] == done["changed"] != []


def test_an_undo_is_refused_twice_and_for_what_no_command_wrote(shop: Terminal):
    """A refusal is exit code 5 and says why; nothing changes."""
    answer = shop.done("receive", "wick", "5", "--json").json
    assert shop.done("undo", answer["id"], "--json").json["undo"] is None
    again = shop("undo", answer["id"], "--json")
    assert (again.code, again.json["refused"]) == (5, "already_undone")
    undone = shop("undo", "mv-6")
    assert undone.code == 5
    assert undone.err.startswith("Refused: ")
    assert shop.on_hand("wick") == "30"


def test_an_item_without_a_bill_cannot_be_built(shop: Terminal):
    """The refusal says what is missing."""
    refused = shop("build", "wick", "5", "--json")
    assert (refused.code, refused.json["refused"]) == (5, "no_bill")
    assert "bill of materials" in refused.json["message"]


def test_the_record_says_who_and_why(shop: Terminal):
    """Reason, place and person are kept with the movement."""
    shop.done("sell", "wick", "1", "--at", "market", "--reason", "gift")
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        rows = database.execute("SELECT actor, reason FROM movement ORDER BY id DESC LIMIT 1")
        actor, reason = rows.fetchone()
    database.close()
    assert actor.startswith("cli:")
    assert reason == "sold at market: gift"


def test_a_quantity_may_be_typed_in_what_the_item_is_bought_in(shop: Terminal):
    """Boxes of wicks are so many wicks, in one word or two; nothing else comes in those boxes."""
    shop.write("units.toml", '[[items]]\nsku = "wick"\npurchase_units = { box = 144 }\n')
    shop.done("import", "units.toml", "--yes")
    assert shop.done("receive", "wick", "2", "box").out.startswith("Received 288 wick")
    shop.done("receive", "wick", "1 boxes")
    shop.done("adjust", "wick", "-0.5", "box")
    shop.done("sell", "wick", "1 box", "--at", "fair")
    assert shop.on_hand("wick") == str(30 + 288 + 144 - 72 - 144)
    assert shop.done("count", "wick", "2 boxes").out.startswith("Counted 288 wick")
    refused = shop("receive", "wick", "2", "bx", "--json")
    assert (refused.code, refused.json["error"]["found"]) == (2, "2 bx")
    assert "counted in piece; expected one of box, piece" in refused.json["error"]["message"]
    assert "did you mean 'box'?" in refused.json["error"]["message"]
    refused = shop("receive", "beeswax", "1 box")
    assert refused.code == 2
    assert "no unit 'box' of this item, which is counted in g" in refused.err
    assert shop.on_hand("wick") == "288"


@pytest.mark.parametrize(
    ("typed", "says"),
    [("hold-12", "stockpush release hold-12"), ("candle-lav", "stockpush undo --help")],
)
def test_what_is_no_movement_is_answered_with_what_to_type(shop: Terminal, typed: str, says: str):
    """A hold is released, and not undone."""
    assert shop("undo", typed, "--json").json["error"]["next"] == says


def test_what_a_build_used_may_be_told_as_it_is_bought(shop: Terminal):
    """Wherever a quantity of the item is typed; what was lost as well."""
    shop.write(
        "bought.toml",
        '[[items]]\nsku = "wick"\npurchase_units = { spool = 5 }\n'
        '[[items]]\nsku = "candle-lav"\npurchase_units = { tray = 2 }\n',
    )
    shop.done("import", "bought.toml", "--yes")
    typed = ("build", "candle-lav", "10", "--used", "wick=2 spools", "--scrapped", "1 tray")
    built = shop.done(*typed, "--json").json
    assert [row["used"] for row in built["used"] if row["sku"] == "wick"] == ["10"]
    assert shop.on_hand("candle-lav") == "13"
