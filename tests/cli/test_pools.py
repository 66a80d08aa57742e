"""Pools of locations, typed: what is shown, said and refused."""

from __future__ import annotations

from typing import Any

import pytest

from stockpush.messages import StartChannel
from tests.cli.daemon_rows import CHANNELS, LISTINGS, commit, resolved
from tests.cli.terminal import CATALOGUE, Terminal

PLACES = """\
[[locations]]
name = "stall"
pool = "market"
[[locations]]
name = "seconds"
sellable = false
"""


@pytest.fixture
def sellers(terminal: Terminal) -> Terminal:
    """Candles and soaps on two channels in shadow, one of them fed by the market; all was read."""
    terminal.done("init")
    config = terminal.folder / "stockpush.toml"
    woo = '[channels.my-woo]\npool = "market"\n'
    channels = CHANNELS.replace("[channels.my-woo]\n", woo).replace('"live"', '"shadow"')
    config.write_text(config.read_text() + channels)
    terminal.write("catalog.toml", CATALOGUE + LISTINGS + PLACES)
    terminal.done("import", "catalog.toml", "--yes")
    listed = (
        ("my-shopify", "variant/808950810", "808950810", 4),
        ("my-shopify", "variant/2", "2", 17),
        ("my-woo", "30", "30", 2),
    )
    read = (command for each in listed for command in resolved(*each))
    commit(terminal, StartChannel("my-woo"), *read)
    terminal.done("transfer", "beeswax", "1kg", "--from", "main", "--to", "stall")
    terminal.done("transfer", "soap-lav", "1", "--from", "main", "--to", "stall")
    return terminal


def stock(shop: Terminal, *sku: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the stock table by SKU and pool."""
    data = shop.done("stock", *sku, "--json").json["data"]
    return {(row["sku"], row["pool"]): row for row in data}


def test_stock_has_a_row_for_each_pool_with_anything(sellers: Terminal):
    """Soap at the market from its wax there, beside that of main; each with its channel's
    listings.
    """
    rows = stock(sellers)
    assert {key: (row["on_hand"], row["atp"]) for key, row in rows.items()} == {
        ("beeswax", "main"): ("1500", "1500"),
        ("beeswax", "market"): ("1000", "1000"),
        ("candle-lav", "main"): ("5", "15"),
        ("soap-lav", "main"): ("1", "61"),
        ("soap-lav", "market"): ("1", "41"),
        ("wick", "main"): ("30", "30"),
    }
    listed = {key: [each["channel"] for each in row["listings"]] for key, row in rows.items()}
    assert listed["soap-lav", "main"] == ["my-shopify"]
    assert listed["soap-lav", "market"] == ["my-woo"]
    assert [row["offer"] for row in rows["soap-lav", "market"]["listings"]] == [41]
    printed = sellers.done("stock").out
    assert "pool" in printed
    assert ["soap-lav", "market"] in [line.split()[:2] for line in printed.splitlines()]


def test_who_has_one_pool_sees_none(shop: Terminal):
    """No column in any table, whatever is typed."""
    for command in (
        ("stock",),
        ("plan",),
        ("why", "soap-lav"),
        ("hold", "soap-lav", "1"),
        ("holds",),
        ("sell", "soap-lav", "1", "--at", "fair"),
        ("transfer", "soap-lav", "1", "--from", "main", "--to", "nowhere"),
    ):
        assert "pool" not in shop(*command).out


def test_the_plan_names_the_pool_behind_each_number(sellers: Terminal):
    """What each listing should show comes of its channel's pool."""
    found = sellers.done("plan", "--json").json["data"]
    assert {(row["channel"], row["sku"]): (row["pool"], row["to"]) for row in found} == {
        ("my-shopify", "candle-lav"): ("main", 15),
        ("my-shopify", "soap-lav"): ("main", 10),
        ("my-woo", "soap-lav"): ("market", 41),
    }


def test_why_sums_up_in_every_pool(sellers: Terminal):
    """The terms of each pool sum to what can be promised there, those of a listing to its number;
    holds and wax are those of that pool.
    """
    sellers.done("hold", "soap-lav", "7", "--pool", "market")
    found = sellers.done("why", "soap-lav", "--json").json
    assert [each["pool"] for each in (found, *found["elsewhere"])] == ["main", "market"]
    for each in (found, *found["elsewhere"]):
        assert sum(int(term["quantity"]) for term in each["terms"]) == int(each["atp"])
        for listing in each["listings"]:
            assert sum(term["quantity"] for term in listing["terms"]) == listing["shown"]
    (market,) = found["elsewhere"]
    terms = {term["name"]: term for term in market["terms"]}
    assert (market["atp"], terms["held"]["quantity"]) == ("34", "-7")
    assert "1000 g on hand, 150 g for 6 soap-lav, 850 g left" in terms["buildable"]["note"]
    assert [each["channel"] for each in market["listings"]] == ["my-woo"]
    printed = sellers.done("why", "soap-lav").out
    assert "in the pool main" in printed
    assert "in the pool market" in printed


def test_of_the_past_all_listings_are_told(sellers: Terminal):
    """Whatever pool they were fed by, with what all pools had together."""
    found = sellers.done("why", "soap-lav", "--at", "-0h", "--json").json
    assert [each["channel"] for each in found["listings"]] == ["my-shopify", "my-woo"]
    assert (found["on_hand"], found["elsewhere"]) == ("2", [])


def test_a_hold_of_a_pool_is_held_there(sellers: Terminal):
    """It lowers the listings of that pool alone, and says where it is."""
    held = sellers.done("hold", "soap-lav", "41", "--pool", "market", "--json").json
    assert held["listings"] == [
        {"channel": "my-woo", "ref": {"product_id": 30}, "sku": "soap-lav", "from": 41, "to": 0}
    ]
    assert {(row["sku"], row["pool"]) for row in held["changed"]} == {
        ("soap-lav", "market"),
        ("beeswax", "market"),
    }
    assert sellers.done("holds", "--json").json["data"][0]["pool"] == "market"
    assert "market" in sellers.done("holds").out
    refused = sellers("hold", "soap-lav", "1", "--pool", "market", "--json")
    assert refused.code == 5
    assert refused.json["pool"] == "market"
    assert refused.json["next"].startswith("stockpush receive beeswax 25g --location stall")
    sellers.done("sell", "--hold", "hold-1", "--at", "the fair")
    assert stock(sellers)["soap-lav", "market"]["on_hand"] == "-40"
    assert sellers.done("check", "--deep").code == 0


@pytest.mark.parametrize(
    ("typed", "on_hand"),
    [
        (("sell", "soap-lav", "1", "--at", "fair", "--pool", "market"), ("1", "0")),
        (("count", "soap-lav", "9", "--pool", "market"), ("1", "9")),
        (("adjust", "soap-lav", "-1", "--pool", "market"), ("1", "0")),
        (("adjust", "soap-lav", "4", "--pool", "market"), ("1", "5")),
        (("receive", "soap-lav", "4", "--location", "stall"), ("1", "5")),
        (("build", "soap-lav", "2", "--location", "stall"), ("1", "3")),
        (("scrap", "soap-lav", "1", "--location", "stall"), ("1", "0")),
        (("sell", "soap-lav", "1", "--at", "fair"), ("0", "1")),
        (("transfer", "soap-lav", "1", "--from", "stall", "--to", "seconds"), ("1", "0")),
    ],
    ids=" ".join,
)
def test_a_verb_is_of_the_pool_or_place_that_it_names(
    sellers: Terminal, typed: tuple[str, ...], on_hand: tuple[str, str]
):
    """On hand in main and at the market afterwards; an undo takes it back."""
    done = sellers.done(*typed, "--json").json
    rows = stock(sellers)
    assert tuple(rows["soap-lav", pool]["on_hand"] for pool in ("main", "market")) == on_hand
    assert sellers.done("check", "--deep").code == 0
    sellers.done("undo", done["id"])
    assert stock(sellers)["soap-lav", "market"]["on_hand"] == "1"


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("sell soap-lav 1 --at fair --pool market", "sell soap-lav 1 --at PLACE --pool market"),
        ("count soap-lav 9 --pool market", "adjust soap-lav 8 --pool market"),
        ("adjust soap-lav -1 --pool market", "adjust soap-lav -1 --pool market"),
        ("receive soap-lav 4 --location stall", "receive soap-lav 4 --location stall"),
    ],
)
def test_what_was_undone_is_done_again_in_its_own_pool(sellers: Terminal, typed: str, again: str):
    """The command to type names the pool or the place."""
    done = sellers.done(*typed.split(), "--json").json["id"]
    sellers.done("undo", done)
    refused = sellers("undo", done, "--json")
    assert refused.json["next"] == f"stockpush {again}  (to do it again)"


def test_a_lot_that_was_seen_at_a_pool_came_in_there(sellers: Terminal):
    """Nothing is known of it: the command to type takes it in where it was counted."""
    refused = sellers("count", "soap-lav", "3", "--lot", "A1", "--pool", "market", "--json")
    came_in = "stockpush receive soap-lav 3 --location stall --lot A1  (if it came in)"
    assert (refused.code, refused.json["error"]["next"]) == (4, came_in)


@pytest.mark.parametrize("typed", ["count soap-lav 9", "adjust soap-lav -1", "adjust soap-lav 2"])
@pytest.mark.parametrize(
    ("lies", "named"), [("stall", "main"), ("main", "market")], ids=lambda value: value
)
def test_a_lot_beside_a_pool_that_it_does_not_lie_in_is_refused(
    sellers: Terminal, typed: str, lies: str, named: str
):
    """Nothing is moved in the one or the other; beside its own pool, or none, it is."""
    sellers.done("receive", "soap-lav", "4", "--lot", "A1", "--location", lies)
    before = stock(sellers)
    words = (*typed.split(), "--lot", "A1")
    refused = sellers(*words, "--pool", named, "--json")
    error = refused.json["error"]
    own = "market" if lies == "stall" else "main"
    assert (refused.code, error["field"], error["found"]) == (4, "--pool", named)
    assert (error["expected"], error["next"]) == (own, "stockpush lots soap-lav")
    assert f"but in {own}, at {lies}" in error["message"]
    assert stock(sellers) == before
    sellers.done(*words, "--pool", own)
    sellers.done(*words)
    assert sellers.done("check", "--deep").code == 0


@pytest.mark.parametrize(
    "typed",
    [
        ("sell", "soap-lav", "1", "--at", "fair"),
        ("hold", "soap-lav", "1"),
        ("count", "soap-lav", "1"),
        ("adjust", "soap-lav", "1"),
    ],
    ids=lambda value: value[0],
)
def test_a_pool_that_is_not_there_is_named_with_those_that_are(
    sellers: Terminal, typed: tuple[str, ...]
):
    """Not found, with what to type to have it."""
    refused = sellers(*typed, "--pool", "fair", "--json")
    error = refused.json["error"]
    assert (refused.code, error["field"], error["found"]) == (4, "--pool", "fair")
    assert error["expected"] == "main or market"
    assert error["next"] == "stockpush import catalog.toml  (with [[locations]] of that pool)"


def test_a_hold_is_sold_from_its_own_pool(sellers: Terminal):
    """So no pool is named beside it."""
    sellers.done("hold", "soap-lav", "1")
    refused = sellers("sell", "--hold", "hold-1", "--at", "fair", "--pool", "market", "--json")
    assert (refused.code, refused.json["error"]["field"]) == (2, "--pool")


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_channel_is_not_fed_by_a_pool_that_nothing_is_sold_from(sellers: Terminal, command: str):
    """The setting, what was found, the pools there are, and what to type."""
    config = sellers.folder / "stockpush.toml"
    text = config.read_text().replace('pool = "market"', 'pool = "markt"')
    config.write_text(text.replace('"env:NOT_SET_HERE"', '"token"'))
    refused = sellers(command, "--json") if command == "check" else sellers(command)
    assert refused.code == 2
    if command == "check":
        error = refused.json["error"]
        assert (error["field"], error["found"]) == ("channels.my-woo.pool", "markt")
        assert error["expected"] == "main or market"
        assert error["next"].startswith("stockpush import catalog.toml")
    else:
        assert "channels.my-woo.pool names a pool that nothing is sold from" in refused.err
        assert "main or market" in refused.err


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_an_import_leaves_a_fed_pool_its_location(sellers: Terminal, option: str):
    """It is refused as a whole, with what to do first; by a rehearsal, too."""
    sellers.write("moved.toml", '[[locations]]\nname = "stall"\npool = "main"\n')
    refused = sellers("import", "moved.toml", option, "--json")
    assert (refused.code, refused.json["refused"]) == (5, "pool_fed")
    assert refused.json["channel"] == "my-woo"
    assert refused.json["next"] == "edit pool in the configuration, then: stockpush run"


def test_an_import_leaves_a_pool_its_location_where_something_is_held(sellers: Terminal):
    """It is refused as a whole, with where to look for the hold."""
    sellers.write("new.toml", '[[locations]]\nname = "tent"\npool = "fair"\n')
    sellers.write("moved.toml", '[[locations]]\nname = "tent"\npool = "main"\n')
    assert sellers("import", "new.toml", "--yes").code == 0
    assert sellers("receive", "soap-lav", "2", "--location", "tent").code == 0
    assert sellers("hold", "soap-lav", "1", "--pool", "fair").code == 0
    refused = sellers("import", "moved.toml", "--yes", "--json")
    assert (refused.code, refused.json["refused"]) == (5, "pool_held")
    assert (refused.json["pool"], refused.json["sku"]) == ("fair", "soap-lav")
    assert refused.json["next"] == "stockpush holds"
    assert sellers("release", "hold-1").code == 0
    assert sellers("import", "moved.toml", "--yes").code == 0


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ('pool = "Market"', "market, as it was written before, or a name that differs more"),
        ("pool = 7", "text of 1 to 255 characters on one line, in quotes"),
        ('pool = ""', "text of 1 to 255 characters on one line"),
    ],
)
def test_a_pool_is_named_as_before(sellers: Terminal, cells: str, expected: str):
    """A name that people would confuse with another is refused, and what is none."""
    sellers.write("new.toml", f'[[locations]]\nname = "fair"\n{cells}\n')
    refused = sellers("import", "new.toml", "--yes", "--json")
    assert (refused.code, refused.json["error"]["expected"]) == (2, expected)


def test_a_place_and_a_pool_that_it_is_not_of_are_not_counted(sellers: Terminal):
    """Which of the two was meant is not guessed; its own pool beside it says nothing new."""
    for place, pool, of in (("main", "market", "main"), ("stall", "main", "market")):
        typed = ("count", "soap-lav", "9", "--location", place, "--pool", pool)
        error = sellers(*typed, "--json").json["error"]
        assert (error["field"], error["found"]) == ("--pool", pool)
        assert error["expected"].startswith(f"{of},")
        assert sellers(*typed).code == 2
    assert stock(sellers)["soap-lav", "market"]["on_hand"] == "1"
    sellers.done("count", "soap-lav", "9", "--location", "stall", "--pool", "market")
    assert stock(sellers)["soap-lav", "market"]["on_hand"] == "9"


def test_a_hold_is_sold_from_its_own_pool_whatever_is_typed(sellers: Terminal):
    """Naming main beside a hold of the market is refused as any other pool is."""
    sellers.done("hold", "soap-lav", "1", "--pool", "market")
    for pool in ("main", "market"):
        refused = sellers("sell", "--hold", "hold-1", "--at", "fair", "--pool", pool)
        assert refused.code == 2
        assert "stockpush sell --hold hold-1 --at fair" in refused.out + refused.err
    sellers.done("sell", "--hold", "hold-1", "--at", "fair")


@pytest.mark.parametrize("name", ["locations.csv", "places.csv"])
def test_locations_in_csv_need_no_more_columns_than_in_toml(shop: Terminal, name: str):
    """A place is sold from unless something else is said, whatever its file is called."""
    shop.write(name, "name,pool\nstall,market\n")
    shop.done("import", name, "--yes")
    shop.done("receive", "soap-lav", "3", "--location", "stall")
    assert stock(shop)["soap-lav", "market"]["atp"] == "3"
