"""`import`: a preview first, everything or nothing, and again without harm."""

from __future__ import annotations

import pytest

from stockpush.cli import catalogue
from tests.cli.terminal import CATALOGUE, Terminal


def test_nothing_is_written_without_agreement(terminal: Terminal):
    """The preview is shown; nobody can be asked, so it is exit code 2 and --yes to type."""
    terminal.write("my catalog.toml", CATALOGUE)
    result = terminal("import", "my catalog.toml")
    assert result.code == 2
    rows = [line.split() for line in result.out.splitlines()]
    assert ["items", "4", "0", "0"] in rows
    assert ["bills", "of", "materials", "2", "0", "0"] in rows
    assert ["new", "item", "candle-lav"] in rows
    assert "Next: stockpush import 'my catalog.toml' --yes" in result.err
    assert terminal.done("stock", "--json").json == {"data": []}


@pytest.mark.parametrize(("answer", "code", "items"), [(True, 0, 4), (False, 1, 0)])
def test_somebody_at_a_terminal_is_asked(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int, items: int
):
    """Yes writes, no does not."""
    asked = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("stockpush.cli.session.may_ask", lambda **_: True)
    monkeypatch.setattr("typer.confirm", confirm)
    terminal.write("catalog.toml", CATALOGUE)
    assert terminal("import", "catalog.toml").code == code
    assert asked == ["Write this?"]
    assert len(terminal.done("stock", "--json").json["data"]) == items


def test_a_rehearsal_needs_no_agreement(terminal: Terminal):
    """--dry-run prints the preview and writes nothing."""
    terminal.write("catalog.toml", CATALOGUE)
    answer = terminal.done("import", "catalog.toml", "--dry-run", "--json").json
    assert {change["state"] for change in answer["changes"]} == {"new"}
    assert {row["sku"]: row["on_hand"] for row in answer["opening"]} == {
        "candle-lav": "5",
        "soap-lav": "2",
        "beeswax": "2500",
        "wick": "30",
    }
    assert terminal.done("stock", "--json").json == {"data": []}


def test_importing_again_changes_nothing_and_says_so(shop: Terminal):
    """Unchanged rows are counted, stated stock is ignored with the command to type."""
    result = shop.done("import", "catalog.toml", "--yes")
    assert "Nothing to write." in result.out
    assert "stockpush count beeswax 2500" in result.out
    answer = shop.done("import", "catalog.toml", "--yes", "--json").json
    assert {change["state"] for change in answer["changes"]} == {"unchanged"}
    assert answer["opening"] == []
    assert {"sku": "wick", "on_hand": "30", "command": "stockpush count wick 30"} in answer[
        "ignored"
    ]


def test_what_changes_is_shown_before_and_after(shop: Terminal):
    """Field by field; stock that has moved stays as it is."""
    shop.done("receive", "wick", "5")
    shop.write("items.csv", "sku;name;on_hand\r\nwick;Cotton wick;99\r\n")
    result = shop.done("import", "items.csv", "--yes")
    assert "name: wick → Cotton wick" in result.out
    assert "wick has moved already" in result.out
    assert shop.on_hand("wick") == "35"


def test_one_csv_per_table(terminal: Terminal):
    """The same columns as the TOML file, read together in any order."""
    terminal.write("boms.csv", "item,yield,component,quantity\ncandle,10,wax,1500 g\n")
    terminal.write(
        "items.csv", "sku,kind,unit,on_hand\ncandle,product,piece,5\nwax,material,g,3000\n"
    )
    terminal.done("import", "boms.csv", "items.csv", "--yes")
    assert terminal.atp() == {"candle": "25", "wax": "3000"}


def test_every_mistake_of_a_file_is_listed_and_nothing_is_written(terminal: Terminal):
    """All of them at once, each with its place."""
    terminal.write("items.csv", "sku,unit,on_hand\nwax,stone,1\nwick,piece,many\n")
    result = terminal("import", "items.csv", "--yes")
    assert result.code == 2
    assert "2 mistakes" in result.err
    assert "stone" in result.err
    assert "many" in result.err
    assert terminal.done("stock", "--json").json == {"data": []}


def test_the_opening_stock_can_be_undone(terminal: Terminal):
    """The id is that of the opening movements; the items stay."""
    terminal.write("catalog.toml", CATALOGUE)
    answer = terminal.done("import", "catalog.toml", "--yes", "--json").json
    assert answer["undo"] == f"stockpush undo {answer['id']}"
    terminal.done("undo", answer["id"])
    assert set(terminal.atp().values()) == {"0"}


def test_the_same_key_imports_once(terminal: Terminal):
    """The same files under one key are a replay; other files under it are refused."""
    terminal.write("catalog.toml", CATALOGUE)
    typed = ("import", "catalog.toml", "--yes", "--key", "spring", "--json")
    first, again = terminal.done(*typed).json, terminal.done(*typed).json
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["id"] == first["id"] == "mv-1"
    terminal.write("catalog.toml", CATALOGUE.replace("Lavender soap", "Soap"))
    refused = terminal(*typed)
    assert (refused.code, refused.json["refused"]) == (5, "key_reused")
    assert refused.json["next"] == "the same command with another --key, or without"
    verb = terminal("receive", "wick", "1", "--key", "spring", "--json")
    assert (verb.code, verb.json["refused"]) == (5, "key_reused")


def test_a_key_of_a_verb_is_not_taken_over_by_an_import(shop: Terminal):
    """The verb's record stays: its key still replays."""
    received = shop.done("receive", "wick", "1", "--key", "k", "--json").json
    shop.write("items.csv", "sku,name\nwick,Cotton wick\n")
    assert shop("import", "items.csv", "--yes", "--key", "k").code == 5
    assert shop.done("receive", "wick", "1", "--key", "k", "--json").json["id"] == received["id"]


def test_a_long_preview_is_cut_for_people_alone(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    """The rest is counted; --json has every row."""
    monkeypatch.setattr(catalogue, "CHANGES_MAX", 3)
    terminal.write("items.csv", "sku\n" + "\n".join(f"item-{n}" for n in range(5)) + "\n")
    shown = terminal.done("import", "items.csv", "--dry-run").out
    assert "item-2" in shown
    assert "item-3" not in shown
    assert "... and 2 more" in shown
    answer = terminal.done("import", "items.csv", "--dry-run", "--json").json
    assert len(answer["changes"]) == 5


def test_listings_need_no_secrets_of_their_channel(terminal: Terminal):
    """The daemon's credentials may be for its eyes alone: a listing is imported without them."""
    terminal.write(
        "stockpush.toml",
        '[channels.my-woo]\nconnector = "woocommerce"\nbase_url = "https://shop.example.com"\n'
        'consumer_key = "credential:key"\nconsumer_secret = "credential:secret"\n'
        'webhook_secret = "credential:webhook"\n',
    )
    terminal.write(
        "catalog.toml",
        CATALOGUE + '[[listings]]\nchannel = "my-woo"\nitem = "soap-lav"\n'
        "ref = { product_id = 30 }\n",
    )
    terminal.done("import", "catalog.toml", "--yes")
    listings = terminal.done("stock", "soap-lav", "--json").json["data"][0]["listings"]
    assert [(row["channel"], row["ref"], row["state"]) for row in listings] == [
        ("my-woo", {"product_id": 30}, "mapped")
    ]
    shown = terminal.done("stock").out
    assert "product_id=30" in shown
    assert "has not been read yet" in shown


def test_a_field_of_a_reference_that_there_is_not_is_named(terminal: Terminal):
    """By the manifest, which knows them all: the mistake says which there are."""
    terminal.write(
        "stockpush.toml",
        '[channels.my-woo]\nconnector = "woocommerce"\nbase_url = "https://shop.example"\n'
        'consumer_key = "ck"\nconsumer_secret = "cs"\nwebhook_secret = "s"\n',
    )
    terminal.write(
        "new.toml",
        '[[items]]\nsku = "soap"\n[[listings]]\nchannel = "my-woo"\nitem = "soap"\n'
        "ref = { produkt_id = 30 }\n",
    )
    refused = terminal("import", "new.toml", "--yes")
    assert refused.code == 2
    assert "produkt_id" in refused.err
    assert "product_id or variation_id" in refused.err
