"""What a newcomer types first, as the README says it, with the exact numbers."""

from __future__ import annotations

import re
import shlex
import stat
import tomllib
from pathlib import Path

import pytest

from stockpush.errors import ConfigInvalid
from stockpush.settings import Settings
from tests.cli.terminal import CATALOGUE, Terminal

REPOSITORY = Path(__file__).parents[2]


def test_a_catalogue_that_shares_beeswax_has_an_exact_atp(terminal: Terminal):
    """Two candles' worth of wax taken for candles is gone for soaps too; numbers by hand.

    Beeswax 2500 g; a candle takes 150 g and a wick, a soap 25 g. 5 candles and 2 soaps are
    finished: 5 + 16 candles (16 * 150 = 2400), 2 + 100 soaps (100 * 25 = 2500).
    """
    terminal.done("init")
    terminal.write("catalog.toml", CATALOGUE)
    terminal.done("import", "catalog.toml", "--yes")
    assert terminal.atp() == {
        "beeswax": "2500",
        "candle-lav": "21",
        "soap-lav": "102",
        "wick": "30",
    }
    terminal.done("receive", "beeswax", "5kg")
    assert terminal.atp()["candle-lav"] == "35", "5 finished, and now the 30 wicks are the limit"
    terminal.done("build", "candle-lav", "20")
    assert terminal.atp() == {
        "beeswax": "4500",
        "candle-lav": "35",
        "soap-lav": "182",
        "wick": "10",
    }
    terminal.done("sell", "soap-lav", "3", "--at", "market")
    assert terminal.on_hand("soap-lav") == "-1", "makers sell before they log the run"
    assert terminal.atp()["soap-lav"] == "179"
    assert terminal.atp()["candle-lav"] == "35", "25 finished and 10 wicks: the wax is not short"
    assert terminal.done("check").out.startswith("Everything agrees")


def test_the_stock_table_is_for_people(shop: Terminal):
    """One line per item, the numbers under their headings, what limits at the end."""
    shown = shop.done("stock").out.splitlines()
    heading, _, *lines = [line.rstrip() for line in shown]
    assert heading.split() == [
        "SKU", "on", "hand", "reserved", "held", "suspense", "buildable", "ATP", "limited", "by",
    ]  # fmt: skip
    assert [line.split() for line in lines] == [
        ["beeswax", "2500", "0", "0", "0", "0", "2500", "g"],
        ["candle-lav", "5", "0", "0", "0", "16", "21", "piece", "beeswax"],
        ["soap-lav", "2", "0", "0", "0", "100", "102", "piece", "beeswax"],
        ["wick", "30", "0", "0", "0", "0", "30", "piece"],
    ]


def test_one_item_is_found_whatever_its_case(shop: Terminal):
    """Trimmed and case-folded, as people type it."""
    rows = shop.done("stock", " Candle-LAV ", "--json").json["data"]
    assert [row["sku"] for row in rows] == ["candle-lav"]


def test_an_empty_database_says_what_to_do(terminal: Terminal):
    """No items is no error."""
    assert "Next: stockpush import catalog.toml" in terminal.done("stock").out
    assert terminal.done("stock", "--json").json == {"data": []}


# -- init and migrate ------------------------------------------------------------------------


def test_init_writes_files_for_their_owner_alone(terminal: Terminal):
    """Configuration, key and token: mode 0600, and all of them work."""
    terminal.done("init")
    for name in ("stockpush.toml", "stockpush.key", "stockpush.token"):
        assert stat.S_IMODE((terminal.folder / name).stat().st_mode) == 0o600
    settings = Settings.load(terminal.folder / "stockpush.toml", {})
    assert settings.daemon.database == f"sqlite:///{terminal.folder}/stockpush.db"
    assert len(settings.daemon.resolved_secret_key()) == 32
    assert settings.daemon.resolved_admin_token()
    assert settings.channels == {}, "channels are for the owner to fill in"


def test_what_init_comments_out_is_the_example(terminal: Terminal):
    """Uncommented, it holds every key of config/stockpush.example.toml."""
    terminal.done("init")
    text = (terminal.folder / "stockpush.toml").read_text()
    whole = tomllib.loads(
        "\n".join(
            line.removeprefix("#") if line.startswith("#") and line[1:2] != " " else line
            for line in text.splitlines()
        )
    )
    example = tomllib.loads((REPOSITORY / "config" / "stockpush.example.toml").read_text())
    own = {"database", "secret_key", "admin_token"}
    for section in (whole, example):
        section["daemon"] = {
            key: "own" if key in own else value for key, value in section["daemon"].items()
        }
    assert whole == example


def test_the_packaged_example_is_the_one_in_config():
    """There is one example; the copy beside the code is what gets installed."""
    packaged = REPOSITORY / "src" / "stockpush" / "cli" / "stockpush.example.toml"
    example = REPOSITORY / "config" / "stockpush.example.toml"
    assert packaged.read_bytes() == example.read_bytes()


@pytest.mark.parametrize("name", ["stockpush.toml", "stockpush.key", "stockpush.token"])
def test_init_never_overwrites(terminal: Terminal, name: str):
    """One file that is there is enough to write none."""
    terminal.write(name, "precious")
    result = terminal("init", "--json")
    assert result.code == 5
    assert result.json["refused"] == "exists"
    assert [path.name for path in terminal.folder.iterdir()] == [name]
    assert (terminal.folder / name).read_text() == "precious"


def test_init_elsewhere_and_every_command_finds_the_same_database(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    """Paths are absolute: another working folder changes nothing."""
    (terminal.folder / "shop").mkdir()
    (terminal.folder / "other").mkdir()
    terminal.done("init", "--config", "shop/stockpush.toml")
    catalogue = terminal.write("catalog.toml", CATALOGUE)
    config = str(terminal.folder / "shop" / "stockpush.toml")
    terminal.done("import", catalogue, "--yes", "--config", config)
    monkeypatch.chdir(terminal.folder / "other")
    assert len(terminal.done("stock", "--json", "--config", config).json["data"]) == 4
    assert list((terminal.folder / "other").iterdir()) == []


def test_init_with_dry_run_writes_nothing(terminal: Terminal):
    """It names what it would write."""
    assert "stockpush.key" in terminal.done("init", "--dry-run").out
    assert list(terminal.folder.iterdir()) == []


def test_init_into_a_folder_that_is_not_there(terminal: Terminal):
    """A clear error, exit code 2."""
    result = terminal("init", "--config", "absent/stockpush.toml")
    assert (result.code, "cannot be written" in result.err) == (2, True)


def test_migrate_says_from_where_to_where(terminal: Terminal):
    """A rehearsal makes no file; then from nothing to the schema; then nothing to do."""
    rehearsed = terminal.done("migrate", "--dry-run", "--json").json
    assert (rehearsed["from"], rehearsed["dry_run"]) == (None, True)
    assert list(terminal.folder.iterdir()) == []
    migrated = terminal.done("migrate", "--json").json
    assert (migrated["from"], migrated["to"]) == (None, rehearsed["to"])
    again = terminal.done("migrate", "--json").json
    assert again["from"] == again["to"] == rehearsed["to"]
    assert "already" in terminal.done("migrate").out


def test_the_example_configuration_itself_needs_its_secrets_only_to_run():
    """Reading it is one thing, running it another: a missing variable is named."""
    settings = Settings.load(REPOSITORY / "config" / "stockpush.example.toml", {})
    with pytest.raises(ConfigInvalid, match=r"stockpush\.key"):
        settings.daemon.resolved_secret_key()


def test_the_commands_of_the_readme_work_as_written(terminal: Terminal):
    """Pasted in their order into an empty folder, a channel and its listing in between."""
    page = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## Your own shop")[2]
    catalogue, listing = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    stock, channels = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    terminal.write("catalog.toml", catalogue)
    typed = commands_of(stock)
    assert [words[0] for words in typed] == ["init", "import", "stock", "why", "receive", "build"]
    for words in typed:
        terminal.done(*words, *(["--yes"] if words[0] == "import" else []))
    assert terminal.on_hand("candle-lav") == "15"
    config = terminal.folder / "stockpush.toml"
    text = config.read_text()
    start, end = text.index("#[channels.my-shopify]"), text.index("#[channels.my-woo]")
    table = re.sub(r"^#(?=[a-z\[])", "", text[start:end], flags=re.MULTILINE)
    config.write_text(text[:start] + table + text[end:])
    terminal.write("catalog.toml", catalogue + listing)
    for words in commands_of(channels):
        if words[0] in {"run", "connect"}:
            continue  # one runs until it is stopped, one asks the shop
        if words[0] == "adopt":  # so nothing has been read, and that is told
            assert terminal(*words, "--yes").err.endswith("run  (it reads what they show)\n")
            continue
        terminal.done(*words, *(["--yes"] if words[0] == "import" else []))
    (row,) = terminal.done("stock", "candle-lav", "--json").json["data"][0]["listings"]
    assert row["channel"] == "my-shopify"


def commands_of(block: str) -> list[list[str]]:
    """The words of each `stockpush` line of a block, without its comment."""
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [words[1:] for words in lines if words[:1] == ["stockpush"]]
