"""What a person who mistypes, or does a thing twice, is told: what is wrong and what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

PLACES = """\
[[locations]]
name = "market"
"""

AGAIN = "  (to do it again)"
RUN_AGAIN = "  (to do it again, with --bill, --used and --scrapped as it had them)"


def moved(shop: Terminal, *command: str) -> str:
    """Type a verb; return the id of what it wrote."""
    answer: str = shop.done(*command, "--json").json["id"]
    return answer


# -- undo ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("receive beeswax 1.5kg --lot A12", f"stockpush receive beeswax 1500g --lot A12{AGAIN}"),
        ("build candle-lav 3", f"stockpush build candle-lav 3{RUN_AGAIN}"),
        ("scrap soap-lav 1", f"stockpush scrap soap-lav 1{AGAIN}"),
        ("return soap-lav 1", f"stockpush return soap-lav 1{AGAIN}"),
        ("sell soap-lav 1 --at market", f"stockpush sell soap-lav 1 --at PLACE{AGAIN}"),
        ("adjust wick -3", f"stockpush adjust wick -3{AGAIN}"),
        ("count wick 7", f"stockpush adjust wick -23{AGAIN}"),
    ],
)
def test_an_undo_is_not_undone_and_says_how_to_do_it_again(
    shop: Terminal, command: str, again: str
):
    """Nor is what has been undone; both are refused with the command that does it once more. How a
    run was told is not on record: typed as it stands it may be built by another bill.
    """
    done = moved(shop, *command.split())
    undone = moved(shop, "undo", done)
    twice = shop("undo", undone, "--json")
    assert (twice.code, twice.json["refused"]) == (5, "is_an_undo")
    assert f"{undone} is itself the undo of {done}" in twice.json["message"]
    assert twice.json["next"] == again
    before = shop("undo", done, "--json")
    assert (before.code, before.json["refused"]) == (5, "already_undone")
    assert before.json["next"] == again


# -- refusals that say what to do ------------------------------------------------------------


def test_what_passes_the_largest_quantity_says_which_that_is(shop: Terminal):
    """And what to type; of a hold, too."""
    most = 10**15
    refused = shop("receive", "wick", str(most))
    assert refused.code == 5
    assert f"wick would pass the largest quantity, {most} piece" in refused.err
    assert "Next: the same command with a smaller quantity" in refused.err
    held = shop("hold", "wick", str(most), "wick", "1")
    assert held.code == 5
    assert "Next: the same with a smaller quantity" in held.err


def test_a_hold_that_has_ended_says_when_as_people_read_it(shop: Terminal):
    """To the second, with the zone named."""
    hold = shop.done("hold", "wick", "1", "--json").json["id"]
    shop.done("release", hold)
    refused = shop("renew", hold, "--for", "3d", "--json").json
    told = refused["message"].removeprefix(f"{hold} was released at ")
    assert len(told) == len("2026-12-24 18:00:00+00:00")
    assert told.endswith("+00:00")


def test_a_lot_that_is_seen_where_none_is_known_is_told_how_to_state_it(shop: Terminal):
    """It moved there from where it lies, or it came in."""
    shop.write("places.toml", PLACES)
    shop.done("import", "places.toml", "--yes")
    shop.done("receive", "beeswax", "1kg", "--lot", "A12")
    moved_there = shop(*["count", "beeswax", "300g", "--lot", "A12", "--location", "market"])
    assert moved_there.code == 4
    assert "Lot A12 of beeswax does not lie at market, but at main" in moved_there.err
    typed = "stockpush transfer beeswax 300g --from main --to market --lot A12"
    assert f"Next: {typed}  (if it moved)" in moved_there.err
    shop.done(*typed.split()[1:])
    shop.done(*["count", "beeswax", "250g", "--lot", "A12", "--location", "market"])
    new = shop(*["count", "beeswax", "300g", "--lot", "B07", "--location", "market"])
    came = "stockpush receive beeswax 300g --location market --lot B07"
    assert f"Next: {came}  (if it came in)" in new.err
    shop.done(*came.split()[1:])


@pytest.mark.parametrize(("option", "place"), [("--to", "main"), ("--from", "main")])
def test_a_place_that_is_not_there_is_named_by_its_option(shop: Terminal, option: str, place: str):
    """The option that was typed, and no other."""
    other = "--from" if option == "--to" else "--to"
    wrong = shop("transfer", "wick", "1", option, "nowhere", other, place)
    assert wrong.code == 4
    assert f"where    {option}" in wrong.err


# -- quantities and days ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("receive wick -1", "more than 0"),
        ("receive wick 0", "more than 0"),
        ("adjust wick 0", "a quantity other than 0"),
        ("hold wick -1 soap-lav 1", "more than 0"),
        ("hold wick 0", "more than 0"),
        ("receive wick 1 --lot A --expires 9999-12-31", "a day before 9999-12-31"),
        ("hold wick 1 --until 9999-12-31", "a day before 9999-12-31"),
    ],
)
def test_what_was_expected_would_be_taken(shop: Terminal, command: str, expected: str):
    """No number is asked for that is refused as well, and no form that was kept."""
    wrong = shop(*command.split(), "--json")
    assert wrong.code == 2
    assert wrong.json["error"]["expected"].startswith(expected)


@pytest.mark.parametrize(
    ("command", "next_"),
    [
        ("receive wick 5 --key", "stockpush receive --help"),
        ("undo mv-1 --key", "stockpush undo --help"),
    ],
)
def test_a_slip_without_an_example_of_its_own_names_the_help(
    shop: Terminal, command: str, next_: str
):
    """Every error says what to type next."""
    slip = shop(*command.split(), "", "--json")
    assert slip.code == 2
    assert slip.json["error"]["next"] == next_


def test_a_build_in_whole_batches_says_how_much_a_batch_is(shop: Terminal):
    """In the item's unit."""
    shop.write(
        "batch.toml",
        """
items = [{ sku = "lotion", unit = "kg" }]
[[boms]]
item = "lotion"
yield = "2.5 kg"
batch_only = true
lines = [{ item = "beeswax", quantity = "100 g" }]
""",
    )
    shop.done("import", "batch.toml", "--yes")
    refused = shop("build", "lotion", "3 kg")
    assert refused.code == 5
    assert "lotion is made in whole batches only, of 2.5 kg each" in refused.err
    shop.done("build", "lotion", "5 kg")


def test_an_option_of_hold_that_is_mistyped_is_told(shop: Terminal):
    """Though what begins with a sign may be a quantity."""
    wrong = shop("hold", "wick", "1", "--fro", "3d")
    assert wrong.code == 2
    assert "There is no option --fro. Did you mean --for?" in wrong.err


def test_a_reason_that_is_no_text_is_shown_and_not_measured(shop: Terminal):
    """One character is not too long."""
    wrong = shop("receive", "wick", "1", "--reason", "\a", "--json").json["error"]
    assert wrong["found"] == "\a"


# -- the same key once more --------------------------------------------------------------------


@pytest.mark.parametrize("rehearsed", [(), ("--dry-run",)])
def test_a_key_of_what_has_been_undone_says_so(shop: Terminal, rehearsed: tuple[str, ...]):
    """No undo is offered that would be refused, and how to do it again is said."""
    typed = ("receive", "wick", "5", "--key", "monday")
    done = moved(shop, *typed)
    again = shop.done(*typed, *rehearsed, "--json").json
    assert (again["undone_by"], again["undo"]) == (None, f"stockpush undo {done}")
    undone = moved(shop, "undo", done)
    since = shop.done(*typed, *rehearsed, "--json").json
    assert (since["id"], since["undone_by"], since["undo"]) == (done, undone, None)
    said = shop.done(*typed, *rehearsed).out
    assert f"as {done}, and undone since by {undone}; nothing was changed now" in said
    assert "Undo:" not in said


# -- adopting what nobody has read -------------------------------------------------------------

FRESH = """\
[daemon]
secret_key = "file:key"
[channels.mine]
connector = "generic"
mode = "live"
base_url = "https://shop.example"
secret = "0123456789abcdef0123456789abcdef"
"""
LISTED = """\
[[listings]]
channel = "mine"
item = "wick"
ref = { product = "7" }
"""


@pytest.fixture
def fresh(shop: Terminal) -> Terminal:
    """A live channel with a listing that nobody has read."""
    shop.write("stockpush.toml", FRESH)
    shop.write("listings.toml", LISTED)
    shop.done("import", "listings.toml", "--yes")
    return shop


def test_what_has_not_been_read_is_not_adopted(fresh: Terminal):
    """Nobody has seen what would be written over; nor does a plan say that all is well."""
    refused = fresh("adopt", "--yes", "--json")
    assert (refused.code, refused.json["refused"]) == (5, "not_read")
    assert refused.json["next"].startswith("stockpush run")
    assert "none of these listings has been read yet" in fresh.done("adopt", "--dry-run").out
    planned = fresh.done("plan").out
    assert "no listing is ready" in planned
    assert "Next: stockpush run" in planned
    (row,) = fresh.done("stock", "wick", "--json").json["data"][0]["listings"]
    assert row["state"] == "mapped"


# -- bills that multiply -----------------------------------------------------------------------


def test_bills_that_multiply_beyond_the_largest_quantity_are_refused(
    shop: Terminal, tmp_path: Path
):
    """Each is within bounds, and the chain is not: the item, the path and the need are named."""
    items = "".join(f'[[items]]\nsku = "b{n}"\n' for n in range(4))
    bills = [
        f'[[boms]]\nitem = "b{n}"\nlines = [{{ item = "b{n + 1}", quantity = {10**6} }}]\n'
        for n in range(3)
    ]
    (tmp_path / "deep.toml").write_text(items + "".join(bills))
    wrong = shop("import", "deep.toml", "--yes", "--json").json["error"]
    assert wrong["field"] == "boms.b0"
    assert "b0 -> b1 -> b2 -> b3" in wrong["message"]
    assert wrong["found"] == str(10**18)
    assert wrong["expected"].startswith(f"at most {10**15}")
    assert wrong["next"].startswith("stockpush import")
    (tmp_path / "deep.toml").write_text(items + "".join(bills[1:]))
    shop.done("import", "deep.toml", "--yes")


def test_a_missing_option_is_called_what_is_typed(shop: Terminal) -> None:
    """Not what it is called within."""
    told = shop("transfer", "soap-lav", "1", "--to", "main", "--json").json["error"]
    assert told["field"] == "--from"
