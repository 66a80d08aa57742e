"""Lots and locations, typed: what is shown, said and refused."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.terminal import Terminal

PLACES = """\
[[locations]]
name = "market"
[[locations]]
name = "seconds"
sellable = false
"""


@pytest.fixture
def kept(shop: Terminal) -> Terminal:
    """Candles and soaps, two lots of wax (one expires first), and two places besides main."""
    shop.write("places.toml", PLACES)
    shop.done("import", "places.toml", "--yes")
    shop.done("receive", "beeswax", "1kg", "--lot", "A12", "--expires", "2099-03-01")
    shop.done("receive", "beeswax", "2kg", "--lot", "B07", "--expires", "2098-03-01")
    return shop


def rows(shop: Terminal, sku: str) -> dict[str, str]:
    """What lies in each lot of an item; elsewhere than at main, with the place."""
    data = shop.done("lots", sku, "--json").json["data"]
    return {
        (row["lot"] or "none") + ("" if row["location"] == "main" else f"@{row['location']}"): (
            row["on_hand"]
        )
        for row in data
    }


def test_an_item_without_lots_is_one_row(shop: Terminal):
    """Asked for by name; of all items nothing is kept by lot yet, and what to type is said."""
    assert rows(shop, "beeswax") == {"none": "2500"}
    said = shop.done("lots").out
    assert "Nothing is kept by lot or location yet" in said
    assert "Next: stockpush receive SKU QUANTITY --lot NAME" in said


def test_lots_stand_in_the_order_in_which_they_go(kept: Terminal):
    """What expires first goes first; what was said of them is shown."""
    assert rows(kept, "beeswax") == {"B07": "2000", "A12": "1000", "none": "2500"}
    kept.done("build", "candle-lav", "15")
    assert rows(kept, "beeswax") == {"A12": "750", "none": "2500"}
    (row, _) = kept.done("lots", "beeswax", "--json").json["data"]
    assert (row["state"], row["soon"], row["unit"]) == ("sellable", False, "g")
    assert kept.done("check", "--deep").code == 0


@pytest.mark.parametrize(
    ("typed", "on_hand", "lots"),
    [
        (("scrap", "beeswax", "1500"), "4000", {"B07": "500", "A12": "1000", "none": "2500"}),
        (("scrap", "beeswax", "9", "--lot", "A12"), "5491", {"A12": "991"}),
        (("return", "beeswax", "9", "--lot", "A12"), "5509", {"A12": "1009"}),
        (("count", "beeswax", "900", "--lot", "A12"), "5400", {"A12": "900"}),
        (("count", "beeswax", "2400", "--location", "main", "--lot", "B07"), "5900",
         {"B07": "2400"}),
        (("count", "beeswax", "5kg"), "5000", {"B07": "1500"}),
        (("receive", "beeswax", "1", "--location", "seconds"), "5500", {"none@seconds": "1"}),
        (("receive", "beeswax", "1", "--location", "market"), "5501", {"none@market": "1"}),
        (("transfer", "beeswax", "2100", "--from", "main", "--to", "seconds"), "3400",
         {"B07@seconds": "2000", "A12@seconds": "100", "A12": "900"}),
        (("transfer", "beeswax", "5", "--from", "main", "--to", "seconds", "--lot", "A12"), "5495",
         {"A12@seconds": "5", "A12": "995"}),
        (("build", "candle-lav", "10", "--lot", "May", "--scrapped", "1"), "4000", {"B07": "500"}),
        (("adjust", "beeswax", "-3kg"), "2500", {"none": "2500"}),
        (("adjust", "beeswax", "-9", "--lot", "A12"), "5491", {"A12": "991"}),
        (("adjust", "beeswax", "+9", "--lot", "B07"), "5509", {"B07": "2009"}),
        (("adjust", "beeswax", "+9", "--location", "seconds"), "5500", {"none@seconds": "9"}),
        (("sell", "beeswax", "6kg", "--at", "fair"), "-500", {"none": "-500"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_verb_moves_the_lot_that_is_named_or_the_next(
    kept: Terminal, typed: tuple[str, ...], on_hand: str, lots: dict[str, str]
):
    """The shelf follows, the books are sound, and undo puts back exactly what went."""
    before = rows(kept, "beeswax")
    answer = kept.done(*typed, "--json").json
    assert kept.on_hand("beeswax") == on_hand
    assert rows(kept, "beeswax").items() >= lots.items()
    assert kept.done("check", "--deep", "--json").json["data"] == []
    kept.done("undo", answer["id"])
    assert rows(kept, "beeswax") == before
    assert kept.done("check", "--deep", "--json").json["data"] == []


def test_a_quarantined_lot_leaves_what_can_be_sold(kept: Terminal):
    """Its own item and what is made of it; the release is the undo, and the record says who."""
    held = kept.done("quarantine", "BEESWAX", "B07", "--reason", "smells", "--json").json
    assert held["undo"] == "stockpush quarantine beeswax B07 --release"
    changed = {row["sku"]: row["after"]["atp"] for row in held["changed"]}
    assert changed == {"beeswax": "3500", "candle-lav": "28", "soap-lav": "142"}
    row = kept.done("lots", "beeswax", "--json").json["data"][0]
    assert row["state"] == "quarantined"
    assert row["note"].startswith("quarantined by cli:")
    assert row["note"].endswith(": smells")
    assert kept.done("check", "--deep", "--json").json["data"] == []
    kept.done("quarantine", "beeswax", "B07", "--release")
    assert kept.on_hand("beeswax") == "5500"


def test_what_comes_by_the_horizon_is_told_as_promised(shop: Terminal):
    """It is not on hand yet, and yet more is promised of it and of what is made from it."""
    shop.write("soon.toml", '[[items]]\nsku = "beeswax"\nhorizon = "90 weeks"\n')
    shop.done("import", "soon.toml", "--yes")
    first_day = (datetime.now(UTC).date() + timedelta(days=99)).isoformat()
    came = ("receive", "beeswax", "1kg", "--lot", "C1", "--available-from", first_day)
    told = shop.done(*came, "--json").json
    by_sku = {row["sku"]: (row["before"], row["after"]) for row in told["changed"]}
    before, after = by_sku["beeswax"]
    assert (before["on_hand"], after["on_hand"]) == ("2500", "2500")
    assert (before["atp"], after["atp"]) == ("2500", "3500")
    assert by_sku["soap-lav"][1]["atp"] == "142"
    assert "What can be sold is as before" not in shop.done("undo", told["id"]).out


def test_what_comes_by_the_horizon_of_a_listing_is_shown_on_that_alone(sellers: Terminal):
    """`why` has its sum, and the item's is as before; the books agree."""
    listing = 'channel = "my-shopify"\nitem = "candle-lav"\nref = { variant_id = 808950810 }\n'
    sellers.write("soon.toml", f'[[listings]]\n{listing}horizon = "90 weeks"\n')
    sellers.done("import", "soon.toml", "--yes")
    first_day = (datetime.now(UTC).date() + timedelta(days=99)).isoformat()
    came = ("receive", "candle-lav", "7", "--lot", "C1", "--available-from", first_day)
    told = "What can be sold is as before, but on listings with a horizon of their own."
    assert told in sellers.done(*came, "--dry-run").out
    assert told in sellers.done(*came).out
    found = sellers.done("why", "candle-lav", "--json").json
    (shown,) = found["listings"]
    assert shown["horizon"] == "630 days"
    assert shown["shown"] == int(found["atp"]) + 7
    assert {term["name"]: term["quantity"] for term in shown["terms"]}["coming"] == 7
    printed = sellers.done("why", "candle-lav").out
    assert "promised within 630 days" in printed
    sums = [line for line in printed.splitlines() if line.split()[:3] == ["5", "on", "hand"]]
    assert len(sums) == 2, "that of the item, and that of the listing"
    assert "in lots that become available by its horizon: lot C1 (7)" in " ".join(printed.split())
    (row,) = [row for row in sellers.done("stock", "--json").json["data"] if row["listings"]][:1]
    assert row["listings"][0]["horizon"] == "630 days"
    assert sellers.done("check", "--deep", "--json").json["data"] == []


def test_a_quarantine_that_changed_nothing_is_not_undone(kept: Terminal):
    """Who undid the second would release what the first withheld."""
    assert kept.done("quarantine", "beeswax", "B07", "--json").json["undo"] is not None
    assert kept.done("quarantine", "beeswax", "B07", "--json").json["undo"] is None


def test_a_rehearsed_quarantine_changes_nothing(kept: Terminal):
    """--dry-run shows what would happen."""
    shown = kept.done("quarantine", "beeswax", "B07", "--dry-run", "--json").json
    assert (shown["dry_run"], shown["undo"]) == (True, None)
    assert shown["changed"] != []
    assert kept.on_hand("beeswax") == "5500"


def test_what_was_paid_is_on_record(shop: Terminal):
    """With the movement, whether there is a lot or not; with the lot too."""
    bought = ("--cost", "62.50", "--supplier", "Imkerei Moser")
    shop.done("receive", "beeswax", "1kg", *bought, "--reason", "spring")
    shop.done("receive", "beeswax", "1kg", *bought, "--lot", "A12")
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        reasons = database.execute(
            "SELECT reason FROM movement WHERE id > 4 ORDER BY id"
        ).fetchall()
    database.close()
    assert reasons == [
        ("spring; cost 62.50; from Imkerei Moser",),
        ("cost 62.50; from Imkerei Moser",),
    ]
    (row, _) = shop.done("lots", "beeswax", "--json").json["data"]
    assert (row["lot"], row["cost"], row["supplier"]) == ("A12", "62.50", "Imkerei Moser")


@pytest.mark.parametrize(
    ("typed", "code", "field", "says"),
    [
        (("receive", "beeswax", "1", "--expires", "2099-01-01"), 2, "--expires", "no lot is named"),
        (("receive", "beeswax", "1", "--lot", "C", "--expires", "soon"), 2, "--expires", "a day"),
        (("receive", "wick", "1", "--lot", "C", "--expires", "9999-12-31"), 2, "--expires", "day"),
        (("receive", "beeswax", "1", "--lot", "C", "--expires", "20990101"), 2, "--expires", "day"),
        (("receive", "beeswax", "1", "--lot", " "), 2, "--lot", "empty"),
        (("receive", "beeswax", "1", "--lot", "a\nb"), 2, "--lot", "line of text"),
        (("receive", "beeswax", "1", "--cost", "ten"), 2, "--cost", "an amount"),
        (("receive", "beeswax", "1", "--location", "moon"), 4, "--location", "main, market"),
        (("transfer", "beeswax", "1", "--from", "moon", "--to", "main"), 4, "--from", "moon"),
        (("transfer", "beeswax", "1", "--from", "main", "--to", "moon"), 4, "--to", "moon"),
        (("scrap", "beeswax", "1", "--lot", "C"), 4, "--lot", "A12, B07"),
        (("quarantine", "beeswax", "C"), 4, "LOT", "A12, B07"),
        (("quarantine", "nothing", "C"), 4, "SKU", "nothing"),
        (("lots", "nothing"), 4, "SKU", "nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_slip_is_said_where_it_is(
    kept: Terminal, typed: tuple[str, ...], code: int, field: str, says: str
):
    """Field, found, expected and what to type next; nothing moves."""
    result = kept(*typed, "--json")
    error = result.json["error"]
    assert (result.code, error["field"]) == (code, field)
    assert says in error["message"]
    assert error["next"]
    assert kept.on_hand("beeswax") == "5500"


@pytest.mark.parametrize(
    ("typed", "refused"),
    [
        (("receive", "beeswax", "1", "--lot", "A12", "--expires", "2097-01-01"), "lot_differs"),
        (("receive", "beeswax", "1", "--lot", "C", "--expires", "2020-01-01"), "never_sellable"),
        (("scrap", "beeswax", "1001", "--lot", "A12"), "not_there"),
        (("scrap", "beeswax", "1", "--location", "market"), "not_there"),
        (("transfer", "beeswax", "6kg", "--from", "main", "--to", "market"), "not_there"),
        (("transfer", "beeswax", "1", "--from", "main", "--to", "main"), "same_place"),
        (("count", "beeswax", "9", "--location", "main"), "lots_there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused(kept: Terminal, typed: tuple[str, ...], refused: str):
    """Exit code 5, a word for scripts, what to type; nothing moves."""
    result = kept(*typed, "--json")
    assert (result.code, result.json["refused"]) == (5, refused)
    assert result.json["next"]
    assert kept.on_hand("beeswax") == "5500"


def let_expire(shop: Terminal, lot: str) -> None:
    """Have a lot be past its last day, as if time had passed while nothing ran."""
    passed = "expires_at = 1600000000000000, turns_at = 1600000000000000"
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        database.execute(f"UPDATE lot SET {passed} WHERE lot = ?", (lot,))
    database.close()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_expired_while_nothing_ran_cannot_be_held(kept: Terminal, more: tuple[str, ...]):
    """Whether a daemon has counted it out makes no difference to what can be promised."""
    let_expire(kept, "B07")
    refused = kept("hold", "beeswax", "4kg", "--json", *more)
    assert (refused.code, refused.json["available"]) == (5, "3500")
    kept.done("hold", "beeswax", "3kg", *more)
    assert kept.done("check", "--deep").code == 0


def test_a_hold_that_is_sold_goes_out_of_the_lots(kept: Terminal):
    """What expires first, as by any sale."""
    kept.done("hold", "beeswax", "2500")
    assert rows(kept, "beeswax") == {"B07": "2000", "A12": "1000", "none": "2500"}
    kept.done("sell", "--hold", "1", "--at", "market")
    assert rows(kept, "beeswax") == {"A12": "500", "none": "2500"}


def test_what_expired_while_nothing_ran_is_shown_as_expired(kept: Terminal):
    """No daemon has counted it out yet; what is shown is as of now, and the books are sound."""
    let_expire(kept, "B07")
    row = kept.done("stock", "beeswax", "--json").json["data"][0]
    assert (row["on_hand"], row["withheld"]) == ("3500", "2000")
    assert "Besides, and not sold now: 2000 g of beeswax" in kept.done("stock").out
    states = {row["lot"]: row["state"] for row in kept.done("lots", "--json").json["data"]}
    assert states == {"B07": "expired", "A12": "sellable", None: "sellable"}
    assert kept.done("check", "--deep", "--json").json["data"] == []
    kept.done("scrap", "beeswax", "2000", "--lot", "B07")
    assert rows(kept, "beeswax") == {"A12": "1000", "none": "2500"}
    assert kept.on_hand("beeswax") == "3500"
    assert kept.done("check", "--deep", "--json").json["data"] == []


def test_what_expires_within_thirty_days_is_said(kept: Terminal):
    """On the 30th day; not on the 31st."""
    today = datetime.now().astimezone().date()
    for lot, days in (("soon", 29), ("later", 31)):
        day = (today + timedelta(days=days)).isoformat()
        kept.done("receive", "wick", "1", "--lot", lot, "--expires", day)
    data = kept.done("lots", "wick", "--json").json["data"]
    assert {row["lot"]: row["soon"] for row in data} == {"soon": True, "later": False, None: False}
    lines = [line.split() for line in kept.done("lots", "wick").out.splitlines()]
    until = (today + timedelta(days=29)).isoformat()
    assert ["wick", "soon", "main", "1", "piece", "sellable", until, "soon"] in lines


def test_every_receipt_is_a_lot_where_the_catalogue_says_so(shop: Terminal):
    """Named after its day; another import that says nothing of it leaves it so."""
    shop.write("always.toml", '[[items]]\nsku = "wick"\nlots = true\n')
    preview = shop.done("import", "always.toml", "--yes", "--json").json
    assert preview["changes"][0]["differences"] == [
        {"field": "lots", "before": "false", "after": "true"}
    ]
    shop.done("receive", "wick", "5", "--expires", "2099-01-01")
    shop.done("import", "catalog.toml", "--yes")
    shop.done("receive", "wick", "6")
    lots = list(rows(shop, "wick").items())
    assert [quantity for _, quantity in lots] == ["5", "6", "30"]
    assert lots[1][0] == f"{lots[0][0]}-2"


def test_the_same_import_under_one_key_is_the_same_whatever_has_lots(kept: Terminal):
    """That an item has got lots meanwhile is no change of the file."""
    again = ("import", "catalog.toml", "--yes", "--key", "monday", "--json")
    assert kept.done(*again).json["replayed"] is False
    kept.done("receive", "wick", "5", "--lot", "W1")
    assert kept.done(*again).json["replayed"] is True


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('[[locations]]\nname = "main"\nsellable = false\n', "main is always there"),
        ('[[locations]]\nname = "Market"\n', "written alike"),
        ('[[locations]]\nname = "attic"\n[[locations]]\nname = "Attic"\n', "'attic' is there"),
        ('[[locations]]\nname = "attic"\nsellable = "perhaps"\n', "true or false"),
        ('[[locations]]\nname = "attic"\nlocked = true\n', "one of name, sellable"),
        ("[[locations]]\nsellable = true\n", "name"),
        ('[[items]]\nsku = "wick"\nlots = 3\n', "true or false"),
    ],
)
def test_a_slip_in_the_file_is_named(kept: Terminal, line: str, says: str):
    """Exit code 2; nothing is written."""
    kept.write("slip.toml", line)
    result = kept("import", "slip.toml", "--yes")
    assert result.code == 2
    assert says in result.err


def test_a_place_that_is_closed_takes_its_stock_off(kept: Terminal):
    """Also from a CSV file; opening it again gives it back."""
    kept.done("transfer", "soap-lav", "2", "--from", "main", "--to", "market")
    assert kept.on_hand("soap-lav") == "2"
    for sellable, on_hand in (("false", "0"), ("true", "2")):
        kept.write("locations.csv", f"name,sellable\nmarket,{sellable}\n")
        kept.done("import", "locations.csv", "--yes")
        assert kept.on_hand("soap-lav") == on_hand
        assert kept.done("check", "--deep", "--json").json["data"] == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE lot SET on_hand = on_hand + 7 WHERE lot = 'A12'",
            {("lot_is_fold", "beeswax A12 at main", "1000", "1007")},
        ),
        (
            "DELETE FROM lot WHERE lot = 'A12'",
            {("lot_is_fold", "beeswax A12 at main", "1000", "0")},
        ),
        (
            "UPDATE lot SET counts = 0 WHERE lot = 'A12'",
            {
                ("balance_is_fold", "beeswax", "5500", "6500"),
                ("atp_is_of_the_ledger", "beeswax", "4500", "5500"),
            },
        ),
    ],
)
def test_check_finds_a_planted_balance_of_a_lot(
    kept: Terminal, statement: str, found: set[tuple[str, ...]]
):
    """Exit code 1; which lot, what it should be and what it is; the deep check finds no less."""
    with sqlite3.connect(kept.folder / "stockpush.db") as database:
        database.execute(statement)
    database.close()
    for options in ((), ("--deep",)):
        result = kept("check", "--json", *options)
        assert result.code == 1
        told = {tuple(row.values()) for row in result.json["data"]}
        assert found <= told


def test_a_count_where_nothing_is_sold_does_not_say_that_nothing_was_missing(kept: Terminal):
    """The ledger had another number there, and has the counted one now; only then it agrees."""
    said = kept.done("count", "soap-lav", "3", "--location", "seconds").out
    assert "What can be sold is as before." in said
    assert "said so already" not in said
    assert rows(kept, "soap-lav")["none@seconds"] == "3"
    again = kept.done("count", "soap-lav", "3", "--location", "seconds").out
    assert "The ledger said so already." in again
