"""Every error in its two forms: words for people, one shape for scripts; never a stack trace."""

from __future__ import annotations

import pytest

from stockpush.cli import main, output
from stockpush.cli.output import plain
from tests.cli.terminal import Terminal

SHAPE = {"code", "message", "field", "found", "expected", "next"}
CASES = [
    (("stock", "beewax"), 4, "not_found"),
    (("receive", "beewax", "5"), 4, "not_found"),
    (("undo", "mv-99"), 4, "not_found"),
    (("deliveries", "show", "99"), 4, "not_found"),
    (("deliveries", "replay", "99"), 4, "not_found"),
    (("adopt", "my-shop"), 4, "not_found"),
    (("resync", "--channel", "my-shop"), 4, "not_found"),
    (("resync", "--sku", "beewax"), 4, "not_found"),
    (("resync",), 2, "usage"),
    (("resync", "--all", "--sku", "wick"), 2, "usage"),
    (("resync", "--all"), 2, "usage"),
    (("receive", "beeswax", "5l"), 2, "unit_mismatch"),
    (("receive", "beeswax", "much"), 2, "quantity_invalid"),
    (("receive", "beeswax"), 2, "usage"),
    (("recieve", "beeswax", "5"), 2, "usage"),
    (("stock", "--nonsense"), 2, "usage"),
    (("stock", "a", "b"), 2, "usage"),
    (("deliveries", "--limit", "0"), 2, "usage"),
    (("deliveries", "--state", "lost"), 2, "usage"),
    (("deliveries", "show", "x"), 2, "usage"),
    (("import", "absent.toml", "--yes"), 2, "usage"),
    (("import", ".", "--yes"), 2, "usage"),
    (("import", "notes.txt", "--yes"), 2, "catalogue_invalid"),
    (("import", "latin.csv", "--yes"), 2, "catalogue_invalid"),
    (("stock", "--config", "absent.toml"), 2, "config_invalid"),
    (("stock", "--config", "typo.toml"), 2, "config_invalid"),
    (("stock", "--config", "nothing.toml"), 1, "store_unavailable"),
    (("stock", "--config", "garbage.toml"), 1, "store_damaged"),
]


@pytest.fixture
def mistaken(shop: Terminal) -> Terminal:
    """A shop with files that have mistakes."""
    shop.write("notes.txt", "beeswax 5")
    shop.write("latin.csv", "sku,name\nsoap,Größe\n".encode("latin-1"))
    shop.write("typo.toml", '[deamon]\nlisten = "127.0.0.1:1"\n')
    shop.write("nothing.toml", '[daemon]\ndatabase = "sqlite:///absent/folder/x.db"\n')
    shop.write("garbage.toml", '[daemon]\ndatabase = "sqlite:///garbage.db"\n')
    shop.write("garbage.db", b"this is no database, whatever it is called" * 100)
    return shop


@pytest.mark.parametrize(("typed", "code", "name"), CASES, ids=str)
def test_for_scripts(mistaken: Terminal, typed: tuple[str, ...], code: int, name: str):
    """With --json: the shape, alone, on stdout, with the exit code of the table."""
    result = mistaken(*typed, "--json")
    assert (result.code, result.json["error"]["code"]) == (code, name)
    assert result.json.keys() == {"error"}
    assert result.json["error"].keys() == SHAPE
    assert result.err == ""


@pytest.mark.parametrize(("typed", "code", "name"), CASES, ids=str)
def test_for_people(mistaken: Terminal, typed: tuple[str, ...], code: int, name: str):
    """Without: what happened on stderr, never a stack trace."""
    result = mistaken(*typed)
    assert result.code == code
    assert result.err.startswith("Error: ")
    assert "Traceback" not in result.err
    assert "defect" not in result.err


def test_the_nearest_names_and_the_next_command(mistaken: Terminal):
    """A slip of the finger is recognised."""
    error = mistaken("stock", "beewax", "--json").json["error"]
    assert "Did you mean beeswax?" in error["message"]
    assert (error["found"], error["expected"]) == ("beewax", "beeswax")
    assert error["next"] == "stockpush stock"
    typo = mistaken("stock", "--config", "typo.toml", "--json").json["error"]
    assert (typo["field"], typo["expected"]) == ("deamon", "daemon")
    slip = mistaken("receive", "beeswax", "--json").json["error"]
    assert slip["next"] == "stockpush receive --help"


@pytest.mark.parametrize(
    ("typed", "next_"),
    [
        (("receive", "beeswax", "5l"), "stockpush receive beeswax 5g"),
        (("receive", "beeswax", "much"), "stockpush receive beeswax 5g"),
        (("count", "wick", "5 bottles"), "stockpush count wick 5"),
        (("adjust", "wick", "0"), "stockpush adjust wick 5"),
        (("sell", "candle-lav", "1.5", "--at", "fair"), "stockpush sell candle-lav 5 --at market"),
        (("import", "notes.txt", "--yes"), "stockpush import notes.txt --dry-run"),
        (("import", "absent.toml", "--yes"), "stockpush import absent.toml --dry-run"),
        (("stock", "--config", "typo.toml"), "edit typo.toml"),
    ],
)
def test_next_is_a_command_that_would_do(mistaken: Terminal, typed: tuple[str, ...], next_: str):
    """In the item's own unit, with the file that was named."""
    assert mistaken(*typed, "--json").json["error"]["next"] == next_


def test_a_bad_variable_is_mended_where_it_is(mistaken: Terminal, monkeypatch: pytest.MonkeyPatch):
    """What to type is about the variable, not about a file."""
    for name, value in (
        ("STOCKPUSH_DEAMON__LISTEN", "127.0.0.1:1"),
        ("STOCKPUSH_DAEMON__LISTEN", "nowhere"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            error = mistaken("stock", "--json").json["error"]
        assert (error["field"], error["next"]) == (name, f"unset {name}")


def test_a_file_that_is_not_utf8_says_where(mistaken: Terminal):
    """File, line and byte, and what to do in a spreadsheet."""
    result = mistaken("import", "latin.csv", "--yes")
    assert "latin.csv line 2" in result.err
    assert "0xf6" in result.err
    assert "CSV UTF-8" in result.err


def test_a_defect_of_ours_is_said_calmly(mistaken: Terminal, monkeypatch: pytest.MonkeyPatch):
    """Type and place, for the report; no values, which may be secrets."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr("stockpush.cli.stock.print_json", broken)
    result = mistaken("stock", "--json")
    assert result.code == 1
    assert "ZeroDivisionError" in result.json["error"]["message"]
    assert "hunter2" not in result.out + result.err
    assert "Traceback" not in result.err


def test_no_secret_is_shown(terminal: Terminal):
    """A mistake near a secret does not print it."""
    terminal.write(
        "stockpush.toml",
        '[daemon]\ndatabase = "postgresql://me:hunter2@127.0.0.1:1/x"\nsecret_key = "hunter2"\n',
    )
    for typed in (("stock",), ("channels",), ("run",), ("stock", "--json")):
        result = terminal(*typed)
        assert result.code in {1, 2}
        assert "hunter2" not in result.out + result.err


def test_asking_for_help_is_no_error(terminal: Terminal):
    """Help and version go to stdout with exit code 0, and so does nothing at all."""
    for typed in (("--help",), ("-h",), ("stock", "-h"), ("deliveries", "show", "-h"), ()):
        assert "Usage: stockpush" in terminal.done(*typed).out
    assert terminal.done("--version").out.startswith("stockpush ")


def test_every_command_is_one_screen_of_help(terminal: Terminal):
    """Each explains itself, and no summary is cut off in the list of commands."""
    listed = terminal.done("--help").out
    assert "..." not in listed.partition("Commands:")[2]


def test_hostile_text_stays_text(shop: Terminal):
    """Colour codes and markup in what was typed or stored do not reach the terminal."""
    result = shop("stock", "\x1b[31m[bold]x")
    assert "\x1b" not in result.err
    assert "\\x1b[31m[bold]x" in result.err
    assert plain("a\u202eb\udc80\r") == "a\\u202eb\\udc80\\r"


def test_json_after_the_end_of_options_is_an_argument(shop: Terminal):
    """`-- --json` asks for no JSON."""
    result = shop("stock", "--", "--json")
    assert result.code == 4
    assert result.err.startswith("Error: ")


def test_a_reader_who_leaves_is_no_error_worth_a_trace(
    shop: Terminal, monkeypatch: pytest.MonkeyPatch
):
    """A closed pipe while printing: exit code 1, and nothing is said."""
    left = []

    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(output, "show", broken)
    monkeypatch.setattr("stockpush.cli.stock.show", broken)
    monkeypatch.setattr(main, "_leave_pipe", lambda: left.append(True))
    result = shop("stock")
    assert (result.code, result.err, left) == (1, "", [True])
