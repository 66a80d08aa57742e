"""Holds as they are typed: placed, refused with what to buy, listed, renewed, released, sold."""

from __future__ import annotations

import shlex
import sqlite3
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from tests.cli.market import Market
from tests.cli.terminal import Terminal


def typed_words(value: object) -> str:
    """The name of a case: what is typed."""
    return " ".join(value) if isinstance(value, tuple) else ""


def held(shop: Terminal) -> dict[str, str]:
    """What is held of each item, where anything is."""
    rows = shop.done("stock", "--json").json["data"]
    return {row["sku"]: row["held"] for row in rows if row["held"] != "0"}


def overdue(shop: Terminal) -> None:
    """Have every hold be due, as if time had passed while nothing ran."""
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        database.execute("UPDATE hold SET until = placed_at WHERE state = 'held'")
    database.close()


# -- placing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (("candle-lav", "5"), {"candle-lav": "5"}),
        (("CANDLE-LAV", "5"), {"candle-lav": "5"}),
        (("candle-lav", "5", "soap-lav", "2"), {"candle-lav": "5", "soap-lav": "2"}),
        (("beeswax", "1.5kg"), {"beeswax": "1500"}),
        (("beeswax", "1.5", "kg", "wick", "3"), {"beeswax": "1500", "wick": "3"}),
        (("wick", "3", "pcs"), {"wick": "3"}),
        (("candle-lav", "2", "soap-lav", "1", "candle-lav", "3"),
         {"candle-lav": "5", "soap-lav": "1"}),
        (("--note", "for Anna", "candle-lav", "1"), {"candle-lav": "1"}),
    ],
    ids=typed_words,
)  # fmt: skip
def test_what_was_typed_is_held(shop: Terminal, typed: tuple[str, ...], found: dict[str, str]):
    """A SKU and a quantity, again and again; a unit may stand apart; lines of one item add up."""
    before = shop.atp()
    answer = shop.done("hold", "--json", *typed).json
    assert held(shop) == found
    assert {row["sku"]: row["quantity"] for row in answer["lines"]} == found
    assert (answer["id"], answer["undo"]) == ("hold-1", "stockpush release hold-1")
    for row in answer["changed"]:
        if row["sku"] in found:
            assert row["after"]["held"] == found[row["sku"]]
    shop.done("release", "hold-1")
    assert (held(shop), shop.atp()) == ({}, before)
    assert shop.done("check", "--deep").code == 0


@pytest.mark.parametrize(
    ("typed", "lasts"),
    [
        ((), timedelta(days=7)),
        (("--for", "90m"), timedelta(minutes=90)),
        (("--for", "2h"), timedelta(hours=2)),
        (("--for", "3d"), timedelta(days=3)),
        (("--for", "1W"), timedelta(weeks=1)),
        (("--for", "366d"), timedelta(days=366)),
    ],
    ids=typed_words,
)
def test_a_hold_lasts_as_long_as_told(shop: Terminal, typed: tuple[str, ...], lasts: timedelta):
    """A week where nothing is said."""
    answer = shop.done("hold", "wick", "1", *typed, "--json").json
    (row,) = shop.done("holds", "--json").json["data"]
    until, placed_at = (datetime.fromisoformat(row[key]) for key in ("until", "placed_at"))
    assert until - placed_at == lasts
    assert answer["until"] == row["until"]


def test_the_configuration_says_how_long_a_hold_lasts(shop: Terminal):
    """`[stock] hold_days`."""
    shop.write("stockpush.toml", "[stock]\nhold_days = 2\n")
    shop.done("hold", "wick", "1")
    (row,) = shop.done("holds", "--json").json["data"]
    until, placed_at = (datetime.fromisoformat(row[key]) for key in ("until", "placed_at"))
    assert until - placed_at == timedelta(days=2)


def test_an_instant_without_a_zone_is_by_the_clock_on_the_wall(shop: Terminal):
    """With one it is taken as it stands."""
    there = datetime.now().astimezone().replace(microsecond=0) + timedelta(days=1)
    naive = shop.done("hold", "wick", "1", "--until", f"{there:%Y-%m-%dT%H:%M:%S}", "--json").json
    exact = shop.done("hold", "wick", "1", "--until", there.isoformat(), "--json").json
    assert datetime.fromisoformat(naive["until"]) == there
    assert datetime.fromisoformat(exact["until"]) == there


def test_a_day_is_held_to_its_end(shop: Terminal):
    """As a lot is sold on its last day, and `why --at` looks at the whole of one."""
    day = datetime.now().astimezone().date() + timedelta(days=1)
    answer = shop.done("hold", "wick", "1", "--until", day.isoformat(), "--json").json
    after = datetime.combine(day + timedelta(days=1), time.min).astimezone()
    assert datetime.fromisoformat(answer["until"]) == after


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("hold", "wick"), "QUANTITY"),
        (("hold", "wick", "1", "soap-lav"), "quantity of soap-lav is missing"),
        (("hold", "wick", "0"), "more than 0"),
        (("hold", "wick", "many"), "quantity of wick"),
        (("hold", "wick", "1.5"), "smallest step"),
        (("hold", "wick", "1", "soap-lav", "1kg"), "mass"),
        (("hold", "beeswax", "1 l"), "volume"),
        (("hold", "wick", "1", "--for", "soon"), "90m, 2h, 3d or 1w"),
        (("hold", "wick", "1", "--for", "0d"), "90m, 2h, 3d or 1w"),
        (("hold", "wick", "1", "--for", "367d"), "366d at most"),
        (("hold", "wick", "1", "--for", "3d", "--until", "2030-01-01"), "both say when"),
        (("hold", "wick", "1", "--until", "tomorrow"), "2027-03-01T18:00"),
        (("hold", "wick", "1", "--until", "20301224"), "2027-03-01T18:00"),
        (("hold", "wick", "1", "--until", "2030-W50-1"), "2027-03-01T18:00"),
        (("hold", "wick", "1", "--until", "0001-01-01T00:00+23:00"), "not in the future"),
        (("hold", "wick", "1", "--note", "a\nb"), "line of text"),
        (("hold", "wick", "1", "--key", " "), "--key is empty"),
        (("renew", "hold-1"), "--for TIME or --until INSTANT"),
        (("renew", "mv-1", "--for", "3d"), "hold-12"),
        (("release", "soap-lav"), "hold-12"),
        (("sell", "--hold", "mv-1", "--at", "market"), "hold-12"),
        (("sell", "wick", "3", "--hold", "1", "--at", "market"), "no item is named beside it"),
        (("sell", "--at", "market"), "an item and a quantity, or --hold"),
        (("sell", "wick", "--at", "market"), "an item and a quantity, or --hold"),
        (("sell", "--hold", "hold-1"), "--at"),
        (("holds", "--cursor", "x"), "hold-12"),
    ],
    ids=typed_words,
)  # fmt: skip
def test_a_slip_holds_nothing(shop: Terminal, typed: tuple[str, ...], says: str):
    """Exit code 2 (5 for an end that is past), the reason in words, and all is as before."""
    before = shop.atp()
    result = shop(*typed)
    assert result.code == (5 if "0001" in " ".join(typed) else 2), result
    assert says in result.err
    assert shop.atp() == before


@pytest.mark.parametrize(
    "typed",
    [
        ("hold", "wik", "1"),
        ("hold", "wick", "1", "soap", "2"),
        ("release", "hold-12"),
        ("renew", "12", "--for", "3d"),
        ("sell", "--hold", "hold-12", "--at", "market"),
    ],
    ids=typed_words,
)
def test_what_is_not_there_is_not_found(shop: Terminal, typed: tuple[str, ...]):
    """Exit code 4 and what to type to see what there is."""
    result = shop(*typed, "--json")
    assert result.code == 4
    assert result.json["error"]["next"] in {"stockpush stock", "stockpush holds --all"}


def test_the_same_key_holds_once(shop: Terminal):
    """A script that tries again gets the same hold; with other content it is refused."""
    first = shop.done("hold", "wick", "5", "--key", "monday", "--json").json
    again = shop.done("hold", "wick", "5", "--key", "monday", "--json").json
    assert (first["replayed"], again["replayed"], again["id"]) == (False, True, first["id"])
    assert held(shop) == {"wick": "5"}
    assert "as hold-1" in shop.done("hold", "wick", "5", "--key", "monday").out
    other = shop("hold", "wick", "6", "--key", "monday", "--json")
    assert (other.code, other.json["refused"]) == (5, "key_reused")
    for _ in range(2):
        shop.done("release", "hold-1", "--key", "tuesday")
    assert held(shop) == {}


@pytest.mark.parametrize(
    ("typed", "state"),
    [(("renew", "hold-1", "--for", "3d"), "held"), (("release", "hold-1"), "released")],
)
def test_what_is_done_to_a_hold_once_names_it_again(
    shop: Terminal, typed: tuple[str, ...], state: str
):
    """The second answer has the id, and the hold as it is, as the first one has."""
    shop.done("hold", "wick", "5")
    first = shop.done(*typed, "--key", "tuesday", "--json").json
    again = shop.done(*typed, "--key", "tuesday", "--json").json
    assert (again["replayed"], again["id"], again["state"]) == (True, "hold-1", state)
    assert {name: again[name] for name in ("until", "lines")} == {
        name: first[name] for name in ("until", "lines")
    }
    assert "under this key, as hold-1" in shop.done(*typed, "--key", "tuesday").out


# -- "Can I take this order of 500?" -----------------------------------------------------------


def test_no_with_what_is_short_and_what_to_buy(shop: Terminal):
    """The refusal is the documented one, and bought it is possible."""
    for dry_run in (["--dry-run"], []):
        told = shop("hold", "candle-lav", "500", *dry_run, "--json")
        assert told.code == 5
        answer = told.json
        assert {name: answer[name] for name in ("refused", "short", "limited_by")} == {
            "refused": "insufficient_atp",
            "short": "479",
            "limited_by": "beeswax",
        }
        assert answer["lines"] == [
            {"sku": "candle-lav", "unit": "piece", "asked": "500", "available": "21"}
        ]
    assert (held(shop), shop.atp()["candle-lav"]) == ({}, "21")
    for each in answer["to_buy"]:
        shop.done("receive", each["sku"], f"{each['quantity']}{each['unit']}")
    shop.done("hold", "candle-lav", "500")
    assert shop.atp()["candle-lav"] == "0"


RULED = """\
[[items]]
sku = "candle-lav"
promise = "finished"
[[boms]]
item = "pair"
kit = true
lines = [{ item = "candle-lav", quantity = 2 }]
[[items]]
sku = "pair"
"""


def test_no_where_a_component_s_promise_rule_is_in_the_way(shop: Terminal):
    """Nothing is to buy either: the rule that it waits for is looked at."""
    shop.write("rule.toml", RULED)
    shop.done("import", "rule.toml", "--yes")
    refused = shop("hold", "pair", "9", "--json")
    assert refused.code == 5
    assert refused.json["limited_by"] == "promise rule of candle-lav"
    assert (refused.json["to_buy"], refused.json["next"]) == ([], "stockpush why pair")


SLOW = """\
[[items]]
sku = "candle-lav"
horizon = "3 days"
[[boms]]
item = "candle-lav"
yield = 10
build_time = "1 week"
lines = [{ item = "beeswax", quantity = "1500 g" }, { item = "wick", quantity = 10 }]
"""


def test_no_where_what_is_bought_would_come_too_late(shop: Terminal):
    """What the rest would be made from is told, and that to buy it is not what helps."""
    shop.write("slow.toml", SLOW)
    shop.done("import", "slow.toml", "--yes")
    refused = shop("hold", "candle-lav", "500", "--json")
    assert refused.code == 5
    assert (refused.json["available"], refused.json["limited_by"]) == ("5", "horizon")
    assert [each["sku"] for each in refused.json["to_buy"]] == ["beeswax", "wick"]
    assert refused.json["next"] == "stockpush why candle-lav"


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ('promise = "finished"', "promise rule"),
        ("buildable_max = 40", "promise rule"),
        ('horizon = "3 days"', "horizon"),
    ],
)
def test_what_is_bought_in_vain_is_not_the_next_thing_to_type(
    shop: Terminal, rule: str, limit: str
):
    """Where a rule or a horizon is in the way, even if a material ends before it."""
    bill = 'build_time = "6 weeks"\nlines = [{ item = "beeswax", quantity = "150 g" }]'
    item = f'[[items]]\nsku = "candle-lav"\n{rule}'
    shop.write("rule.toml", f'{item}\n[[boms]]\nitem = "candle-lav"\n{bill}\n')
    shop.done("import", "rule.toml", "--yes")
    refused = shop("hold", "candle-lav", "500", "--json")
    assert refused.code == 5
    assert limit in refused.json["message"]
    assert (refused.json["limited_by"], refused.json["next"]) == (limit, "stockpush why candle-lav")
    shop.done("receive", "beeswax", "75kg")
    assert shop("hold", "candle-lav", "500").code == 5, "bought, it cannot be held either"


def test_what_is_held_may_be_told_as_it_is_bought(shop: Terminal):
    """In one word or two, like every quantity of the item."""
    shop.write("bought.toml", '[[items]]\nsku = "wick"\npurchase_units = { spool = 5 }\n')
    shop.done("import", "bought.toml", "--yes")
    shop.done("hold", "wick", "2 spools")
    shop.done("hold", "wick", "1", "spool", "beeswax", "5")
    assert held(shop) == {"beeswax": "5", "wick": "15"}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("hold", "beeswax", "many"), "stockpush hold beeswax 5g"),
        (("hold", "wick", "1", "--for", "soon"), "stockpush hold --help"),
        (("renew", "hold-1", "--for", "soon"), "stockpush renew hold-1 --for 3d"),
        (("hold", "wick", "1", "--until", "2001-01-01"), "the same with a later --until"),
        (("hold", "wick", "1", "--until", "2901-01-01"), "the same with an earlier --until"),
    ],
    ids=typed_words,
)  # fmt: skip
def test_a_slip_is_answered_with_what_to_type(shop: Terminal, typed: tuple[str, ...], says: str):
    """Whether it cannot be read or cannot be."""
    told = shop(*typed, "--json").json
    assert told.get("error", told)["next"] == says


def test_a_sale_of_no_hold_names_the_option(shop: Terminal):
    """And where holds are listed."""
    error = shop("sell", "--hold", "hold-9", "--at", "market", "--json").json["error"]
    assert (error["field"], error["next"]) == ("--hold", "stockpush holds --all")


def test_no_for_people(shop: Terminal):
    """What was asked for, what could be promised, what to buy; the reason on stderr."""
    result = shop("hold", "candle-lav", "500", "soap-lav", "200", "--dry-run")
    assert result.code == 5
    lines = [line.split() for line in result.out.splitlines()]
    assert ["candle-lav", "500", "21", "piece"] in lines
    assert ["soap-lav", "200", "6", "piece"] in lines, "what is left of the wax: 2 + 4"
    assert ["76700", "g", "of", "beeswax"] in lines
    assert ["465", "wick"] in lines
    assert result.err.startswith("Refused: 500 candle-lav were asked for and 21 can be promised")
    assert "Next: stockpush receive beeswax 76700g" in result.err


def test_no_where_a_promise_rule_is_in_the_way(shop: Terminal):
    """The materials would do, so nothing is to buy: what stops it is looked at with `why`."""
    shop.write("rule.toml", '[[items]]\nsku = "candle-lav"\npromise = "finished"\n')
    shop.done("import", "rule.toml", "--yes")
    result = shop("hold", "candle-lav", "6")
    assert result.code == 5
    assert "To buy" not in result.out
    assert "promise rule limits it" in result.err
    assert "Next: stockpush why candle-lav" in result.err
    answer = shop("hold", "candle-lav", "6", "--json").json
    assert (answer["refused"], answer["to_buy"]) == ("insufficient_atp", [])
    assert (
        "its promise rule: only what is finished is promised"
        in shop.done("why", "candle-lav", "--json").out
    )


def test_yes_with_what_listings_would_fall_to(sellers: Terminal):
    """Nothing is changed by the question."""
    before = sellers.atp()
    answer = sellers.done("hold", "candle-lav", "2", "--dry-run", "--json").json
    assert (answer["id"], answer["undo"], answer["dry_run"]) == (None, None, True)
    assert sellers.atp() == before
    shown = {
        row["channel"]: (listing["offer"], row["from"], row["to"])
        for row in answer["listings"]
        for item in sellers.done("stock", "--json").json["data"]
        for listing in item["listings"]
        if (listing["channel"], listing["ref"]) == (row["channel"], row["ref"])
    }
    assert shown
    sellers.done("hold", "candle-lav", "2")
    for channel, (offer, was, to) in shown.items():
        assert offer == was > to
        now = [
            listing["offer"]
            for item in sellers.done("stock", "--json").json["data"]
            for listing in item["listings"]
            if listing["channel"] == channel
        ]
        assert to in now
    people = sellers.done("hold", "candle-lav", "1", "--dry-run").out
    assert people.startswith("Yes, 1 candle-lav can be held until ")
    assert "Listings that follow:" in people


def test_no_tells_what_listings_would_fall_to_all_the_same(sellers: Terminal):
    """If the order were taken although it cannot be made: nothing would be left for them."""
    answer = sellers("hold", "candle-lav", "500", "--dry-run", "--json").json
    assert answer["listings"]
    assert {row["to"] for row in answer["listings"] if row["sku"] == "candle-lav"} == {0}
    assert "If it were taken all the same" in sellers("hold", "candle-lav", "500").out


# -- afterwards --------------------------------------------------------------------------------


def test_a_hold_is_sold_whole(shop: Terminal):
    """As any other sale it is undone by its movement; the hold has ended."""
    shop.done("hold", "candle-lav", "8", "wick", "2")
    before = shop.atp()
    answer = shop.done("sell", "--hold", "hold-1", "--at", "market", "--json").json
    assert shop.atp() == before
    assert (held(shop), shop.on_hand("candle-lav"), shop.on_hand("wick")) == ({}, "-3", "28")
    assert answer["undo"] == f"stockpush undo {answer['id']}"
    again = shop("sell", "--hold", "1", "--at", "market", "--json")
    assert (again.code, again.json["refused"], again.json["state"]) == (5, "not_held", "sold")
    shop.done("undo", answer["id"])
    assert shop.on_hand("candle-lav") == "5"
    assert shop.done("check", "--deep").code == 0


def test_a_rehearsal_changes_nothing(shop: Terminal):
    """--dry-run of each command shows what it then does."""
    shop.done("hold", "candle-lav", "8")
    for typed in (
        ("renew", "hold-1", "--for", "3d"),
        ("release", "hold-1"),
        ("sell", "--hold", "hold-1", "--at", "market"),
        ("hold", "wick", "3"),
    ):
        before = shop.atp(), held(shop), shop.done("holds", "--json").json
        rehearsed = shop.done(*typed, "--dry-run", "--json").json
        assert (rehearsed["id"], rehearsed["undo"], rehearsed["dry_run"]) == (None, None, True)
        assert (shop.atp(), held(shop), shop.done("holds", "--json").json) == before


def test_a_hold_is_not_undone_but_released(shop: Terminal):
    """Somebody who types undo is told what to type."""
    shop.done("hold", "wick", "1")
    result = shop("undo", "hold-1", "--json")
    assert (result.code, result.json["error"]["next"]) == (2, "stockpush release hold-1")


def test_renewing_tells_how_to_take_it_back(shop: Terminal):
    """With the end that it had."""
    first = shop.done("hold", "wick", "1", "--json").json
    answer = shop.done("renew", "hold-1", "--for", "30d", "--reason", "they wait", "--json").json
    assert answer["until"] > first["until"]
    assert answer["undo"].startswith("stockpush renew hold-1 --until ")
    shop.done(*answer["undo"].split()[1:])
    (row,) = shop.done("holds", "--json").json["data"]
    assert row["until"] == first["until"]


def test_what_came_to_its_end_while_nothing_ran_has_expired(shop: Terminal):
    """For every command, without a daemon; the next one that writes notes it."""
    shop.done("hold", "candle-lav", "21", "--note", "a week")
    assert shop.atp()["candle-lav"] == "0"
    overdue(shop)
    assert (held(shop), shop.atp()["candle-lav"]) == ({}, "21")
    assert shop.done("holds", "--json").json["data"] == []
    (row,) = shop.done("holds", "--all", "--json").json["data"]
    assert (row["state"], row["ended_at"]) == ("expired", row["until"])
    refused = shop("sell", "--hold", "1", "--at", "market", "--json")
    assert (refused.code, refused.json["state"]) == (5, "expired")
    shop.done("hold", "candle-lav", "21", "--dry-run")
    shop.done("hold", "candle-lav", "21")
    assert [row["state"] for row in shop.done("holds", "--all", "--json").json["data"]] == [
        "held",
        "expired",
    ]
    assert shop.done("check", "--deep").code == 0


def test_a_verb_that_is_only_shown_does_not_hold_what_has_expired(shop: Terminal):
    """The hold that is due counts neither before it nor after."""
    shop.done("hold", "candle-lav", "2")
    overdue(shop)
    sale = ("sell", "candle-lav", "1", "--at", "market")
    shown = shop.done(*sale, "--dry-run", "--json").json["changed"]
    assert shown == shop.done(*sale, "--json").json["changed"]
    assert [row["sku"] for row in shown] == ["candle-lav"]


def test_people_see_what_is_held(shop: Terminal):
    """Newest first, what for, and until when; what has ended only when asked for."""
    assert shop.done("holds").out == "Nothing is held.\n"
    shop.done("hold", "candle-lav", "2", "beeswax", "500g", "--note", "Christmas market")
    shop.done("hold", "wick", "1")
    shop.done("release", "hold-2")
    (line,) = [each for each in shop.done("holds").out.splitlines() if "hold-" in each]
    assert line.startswith("hold-1  2 candle-lav and 500 g of beeswax")
    assert line.endswith("Christmas market")
    everything = shop.done("holds", "--all").out
    assert everything.index("hold-2") < everything.index("hold-1")
    assert "released" in everything


def test_many_holds_come_in_pages(shop: Terminal):
    """The cursor is an id as it is typed."""
    for _ in range(3):
        shop.done("hold", "wick", "1")
    page = shop.done("holds", "--limit", "2", "--json").json
    assert ([row["id"] for row in page["data"]], page["next"]) == (["hold-3", "hold-2"], "hold-2")
    page = shop.done("holds", "--limit", "2", "--cursor", "hold-2", "--json").json
    assert ([row["id"] for row in page["data"]], page["next"]) == (["hold-1"], None)
    assert "stockpush holds --cursor hold-2" in shop.done("holds", "--limit", "2").out


# -- the page ----------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "stock-model.md"


def test_the_worked_example_comes_out_as_the_page_says(shop: Terminal):
    """Typed in the order of docs/stock-model.md: what is said, and what can be promised then."""
    part = PAGE.read_text(encoding="utf-8").partition("## Holds")[2].partition("\n## ")[0]
    rows = [
        [each.strip() for each in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("| `stockpush")
    ]
    assert len(rows) == 8
    for typed, says, candles, soaps, beeswax in rows:
        result = shop(*shlex.split(typed.strip("`"))[1:])
        assert says in result.out + result.err, typed
        now = shop.atp()
        assert (now["candle-lav"], now["soap-lav"], now["beeswax"]) == (candles, soaps, beeswax)


def test_what_the_page_says_is_to_be_bought(shop: Terminal):
    """For five hundred candles."""
    told = shop("hold", "candle-lav", "500", "--dry-run", "--json").json
    bought = {row["sku"]: row["quantity"] for row in told["to_buy"]}
    text = f"({bought['beeswax']} g of beeswax and {bought['wick']} wicks here)"
    assert text in PAGE.read_text(encoding="utf-8")


# -- where each unit is on one listing ---------------------------------------------------------


@pytest.fixture
def split(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Market:
    """The demo's candle shop on its channels, with candles that are split."""
    market = Market(terminal, monkeypatch)
    terminal.write("split.toml", '[[items]]\nsku = "candle-lav"\nexposure = "split"\n')
    terminal.done("import", "split.toml", "--yes")
    market.syncs()
    market.syncs()
    return market


def test_what_is_on_sale_is_lowered_before_it_is_held(split: Market):
    """The refusal names who may sell it and what to type; then a hold says that it is not safe."""
    shop = split.terminal
    (atp,) = [row["atp"] for row in shop.done("stock", "--json").json["data"]
              if row["sku"] == "candle-lav"]  # fmt: skip
    result = shop("hold", "candle-lav", atp)
    assert result.code == 5
    assert "are on no listing; still to be sold are" in result.err
    assert "Next: the same with --lower" in result.err
    answer = shop("hold", "candle-lav", atp, "--json").json
    assert answer["refused"] == "still_on_sale"
    assert answer["on_sale"]
    done = shop.done("hold", "candle-lav", atp, "--lower")
    assert "Not safe yet: still on sale:" in done.out
    assert "hold-1 is not safe yet: still on sale:" in shop.done("holds").out
    (row,) = shop.done("holds", "--json").json["data"]
    assert (row["covered"], bool(row["on_sale"])) == (False, True)
