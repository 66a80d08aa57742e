"""docs/interface.md and the program say the same: commands, options, exit codes, JSON keys."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from stockpush.cli import channels, deliveries, lots, stock
from stockpush.cli.main import app
from stockpush.model import HoldState, MovementKind
from tests.cli.terminal import Terminal

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "interface.md").read_text(encoding="utf-8")
EVERYWHERE = {"--config", "--json", "--help", "-h"}
WRITING = {"--dry-run", "--yes"}
VERBS = {"receive", "build", "count", "adjust", "scrap", "return", "sell", "transfer", "undo"}
VERBS |= {"hold", "release", "renew"}
NO_COMMANDS = {"encryption", "daemon"}
"""What follows the program's name where a key is derived and a lock is named."""
Shape = dict[str, Any]


def rows(heading: str) -> Iterator[tuple[str, str]]:
    """The first two cells of each row of the table under a heading of that name."""
    part = PAGE.partition(f"| {heading} |")[2]
    for line in part.splitlines()[2:]:
        if not line.startswith("|"):
            return
        cells = re.split(r"(?<!\\)\|", line)
        yield cells[1].strip(), cells[2].strip()


def documented() -> dict[str, str]:
    """Each command of the page with what may be typed after it."""
    found = {}
    for typed, _ in rows("command"):
        words = typed.strip("`").split()
        name = words[0]
        if (
            name in {"deliveries", "channel"}
            and len(words) > 1
            and words[1].isalpha()
            and words[1].islower()
        ):
            name = " ".join(words[:2])
        found[name] = typed.strip("`").removeprefix(name).strip()
    return found


@cache
def commands() -> dict[str, Any]:
    """Each command of the program."""
    found = {}
    for name, command in get_command(app).commands.items():
        if getattr(command, "invoke_without_command", True):
            found[name] = command
        for inner, subcommand in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = subcommand
    return found


def usage(command: Any) -> str:
    """What may be typed after a command, in the notation of the page, in the program's order."""
    arguments, required, optional = [], [], []
    for param in command.params:
        own = set(param.opts) - EVERYWHERE - WRITING
        if param.param_type_name == "argument":
            several = "..." if param.nargs == -1 and param.metavar == "FILE" else ""
            text = param.metavar + several
            arguments.append(text if param.required else f"[{text}]")
        elif own:
            text = param.opts[0] if param.is_flag else f"{param.opts[0]} {param.metavar}"
            (required if param.required else optional).append(
                text if param.required else f"[{text}]"
            )
    return " ".join([*arguments, *required, *optional])


def test_the_table_lists_the_commands_and_their_options():
    """Nothing on the page that cannot be typed, nothing to type that is not on the page."""
    program = {name: usage(command) for name, command in commands().items()}
    assert documented() == program


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_takes_what_the_page_says_of_all(name: str):
    """--config but for demo and channel new, --json but for run; --dry-run and --yes to write."""
    options = {each for param in commands()[name].params for each in param.opts}
    assert ("--config" in options) == (name not in {"demo", "channel new"})
    assert ("--json" in options) == (name != "run")
    reading = {
        "stock",
        "lots",
        "log",
        "why",
        "holds",
        "plan",
        "check",
        "channels",
        "deliveries",
        "deliveries show",
    }
    reading |= {"run", "demo", "prove", "doctor"}
    assert (options >= WRITING) == (name not in reading)
    assert ("--key" in options) == (name in VERBS | {"import"})
    told_why = VERBS | {"import", "resync", "adopt", "quarantine"}
    assert ("--reason" in options) == (name in told_why)


def named_in(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each command that a text tells somebody to type: its name, the next word, its options."""
    for found in re.finditer(r"\bstockpush ([a-z][a-z-]*)([^`;&|()\n]*)", text):
        word, rest = found.groups()
        yield word, (rest.split() or [""])[0], re.findall(r"(?<=\s)--[a-z][a-z-]*", rest)


def untypable(text: str) -> list[str]:
    """What of the commands in a text does not exist."""
    known, wrong = commands(), []
    for word, second, options in named_in(text):
        name = f"{word} {second}" if f"{word} {second}" in known else word
        if name not in known:
            wrong.append(f"stockpush {word}")
            continue
        takes = {each for param in known[name].params for each in param.opts} | {"--help"}
        wrong += [f"stockpush {name} {each}" for each in options if each not in takes]
    return wrong


SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_command_that_the_program_names_can_be_typed(source: Path):
    """In an error's message, in its `next`, in help and in comments for the reader of the code."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    texts = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
    wrong = [bad for text in texts if isinstance(text, str) for bad in untypable(text)]
    assert [bad for bad in wrong if bad.split()[1] not in NO_COMMANDS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_that_a_page_names_can_be_typed(page: Path):
    """A reader who types what stands there is not told that there is no such command."""
    typed = re.findall(r"```.*?```|`[^`]*`", page.read_text(encoding="utf-8"), re.DOTALL)
    wrong = [bad for text in typed for bad in untypable(text)]
    assert wrong == []


def test_what_cannot_be_typed_is_found():
    """A test of the test."""
    assert untypable("ask `stockpush oracle`, then stockpush check --deep; stockpush plan") == [
        "stockpush oracle"
    ]
    assert untypable("stockpush deliveries show 5 --body --all") == [
        "stockpush deliveries show --all"
    ]


# -- JSON ------------------------------------------------------------------------------------


def parse(text: str) -> Shape:
    """Read a shape of the page: keys, each with the shape of what it holds, or None."""
    tokens = iter(re.findall(r'"[a-z0-9_]+"|[{}\[\]:,]|\.\.\.', text))

    def members() -> Shape:
        found: Shape = {}
        key = ""
        for token in tokens:
            match token:
                case "{":
                    found[key] = members()
                case "}":
                    return found
                case "[" | "]" | ":" | "," | "...":
                    pass
                case _:
                    key = token.strip('"')
                    found[key] = None
        return found

    assert next(tokens) == "{"
    return members()


def shapes() -> dict[str, Shape]:
    """Each document of the page with its shape."""
    return {
        name.strip("`"): parse(re.findall(r"`(\{.*?\})`", shape)[0])
        for name, shape in rows("document")
    }


def test_the_notation_is_read_as_it_is_meant():
    """Nested lists and tables; a test of the test."""
    assert parse('{"data": [{"a", "b": {"c50"}}], "next"}') == {
        "data": {"a": None, "b": {"c50": None}},
        "next": None,
    }


def fits(document: Any, shape: Shape | None, where: str) -> list[str]:
    """Where a document has other keys than its shape."""
    if shape is None or document is None:
        return []
    if isinstance(document, list):
        return [wrong for each in document for wrong in fits(each, shape, where)]
    if not isinstance(document, dict):
        return [f"{where}: {document!r} is not a table"]
    wrong = [f"{where}: {key} is not on the page" for key in document.keys() - shape.keys()]
    wrong += [f"{where}: {key} is not in the program" for key in shape.keys() - document.keys()]
    for key, inner in shape.items():
        wrong += fits(document.get(key), inner, f"{where}.{key}")
    return wrong


CASES = {
    "channels": ("channels",),
    "channels --quality": ("channels", "--quality"),
    "stock": ("stock",),
    "why": ("why", "soap-lav"),
    "plan": ("plan",),
    "deliveries": ("deliveries",),
    "deliveries show": ("deliveries", "show", "2", "--body"),
    "deliveries replay": ("deliveries", "replay", "2"),
    "check": ("check",),
    "a stock verb": ("receive", "beeswax", "1kg"),
    "hold": ("hold", "candle-lav", "2"),
    "holds": ("holds",),
    "build": ("build", "candle-lav", "1", "--used", "beeswax=160g"),
    "lots": ("lots",),
    "log": ("log",),
    "quarantine": ("quarantine", "beeswax", "A12"),
    "import": ("import", "new.toml", "--yes"),
    "adopt": ("adopt", "--yes"),
    "resync": ("resync", "--all", "--yes"),
    "init": ("init", "--config", "other.toml", "--dry-run"),
    "channel new": ("channel", "new", "acme", "--into", "sources", "--dry-run"),
    "migrate": ("migrate",),
    "doctor": ("doctor",),
    "connect": ("connect", "my-shopify", "--dry-run"),
    "a refusal": ("build", "wick", "1"),
    "any error": ("stock", "nothing-like-it"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_document_has_the_keys_of_the_page(inbox: Terminal, name: str):
    """Key by key, at every depth; what may be empty is not empty here."""
    inbox.write(
        "new.toml",
        '[[items]]\nsku = "wick"\nname = "Cotton wick"\non_hand = 3\n'
        '[[items]]\nsku = "box"\non_hand = 3\n',
    )
    inbox.done("receive", "beeswax", "1kg")
    inbox.done("receive", "beeswax", "1kg", "--lot", "A12", "--expires", "2099-03-01")
    if name == "channels":
        settled(inbox)
    if name == "plan":
        execute(inbox, "UPDATE listing SET parked_reason = 'gone' WHERE channel = 'my-shopify'")
    if name == "check":
        broken(inbox)
    if name == "holds":
        inbox.done("hold", "candle-lav", "2")
    (inbox.folder / "sources/src/stockpush/connectors").mkdir(parents=True)
    if name == "init":
        for each in ("stockpush.key", "stockpush.token"):
            (inbox.folder / each).unlink()
    document = inbox(*CASES[name], "--json").json
    shape = shapes()[name]
    if name == "resync":
        shape = {**shape, "data": shapes()["plan"]["data"]}
    assert fits(document, shape, name) == []
    may_be = {"quarantine": {"movements"}, "why": {"elsewhere"}}.get(name, set())
    empty = [k for k, value in document.items() if value == [] and k not in may_be]
    assert empty == [], "an empty list shows no keys"


def settled(shop: Terminal) -> None:
    """One push that was applied, so that there is a latency."""
    statement = (
        "INSERT INTO push (call_id, position, channel, field_key, expected, target, revision,"
        " sent_at, settled_at, outcome, terms)"
        " VALUES ('c', 0, 'my-woo', 'field/30', 1, 2, 1, 1000000, 1500000, 'applied', '[]')"
    )
    execute(shop, statement)
    (_, woo) = shop.done("channels", "--json").json["data"]
    assert woo["latency_s"] == {"p50": 0.5, "p95": 0.5}


def broken(shop: Terminal) -> None:
    """A balance that is not that of the ledger, and a field that says otherwise than its orders."""
    execute(shop, "UPDATE shelf SET on_hand = 1 WHERE sku = 'wick'")
    execute(shop, "UPDATE field SET undeducted = 2 WHERE channel = 'my-woo'")
    found = shop("check", "--json").json["data"]
    assert ["undeducted_is_of_orders", "my-woo field/30", "0", "2"] in [
        list(row.values()) for row in found
    ]


def execute(shop: Terminal, statement: str) -> None:
    """Write behind the program's back."""
    with sqlite3.connect(shop.folder / "stockpush.db") as database:
        database.execute(statement)
    database.close()


def test_every_documented_document_is_compared():
    """A shape on the page without a case here would be a promise nobody keeps."""
    assert shapes().keys() == CASES.keys()


def test_the_words_of_states_are_those_of_the_program():
    """Every state on the page can come, and no other."""
    said = {
        name.strip("`"): set(
            re.findall(r"`([a-z_]+)`", shape.partition("state: ")[2].split(";")[0])
        )
        for name, shape in rows("document")
        if "; state: " in shape
    }
    assert said["channels"] == set(channels._STATES)
    assert said["stock"] == set(stock._STATES)
    assert said["holds"] == set(HoldState)
    assert said["lots"] == set(lots._STATES)
    kinds = re.findall(r"kind: ((?:`[a-z-]+`(?:, )?)+);", dict(rows("document"))["`log`"])
    assert set(re.findall(r"[a-z-]+", kinds[0])) == set(MovementKind)
    assert said["deliveries"] == set(deliveries._STATES)
