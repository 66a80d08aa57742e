"""The log lets out listed events and fields, and nothing else."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush import logs
from stockpush.messages import Event

HOSTILE = "a\r\nfake line\x1b[31m\x00\u2028\u202e\x85\x7f\ud800"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the log as the module sets it up."""
    yield
    logs.configure(json=False, level="warning")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the JSON lines written to stderr; nothing may be on stdout."""
    written = capsys.readouterr()
    assert written.out == ""
    return [json.loads(line) for line in written.err.splitlines()]


def test_an_event_is_one_json_line(capsys: pytest.CaptureFixture[str]):
    """A line has the event, its level, an instant with zone, and the fields."""
    logs.configure(json=True)
    logs.emit(Event("push.applied", {"channel": "my-shop", "offer": 7, "attempt": None}))
    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "push.applied",
        "level": "info",
        "channel": "my-shop",
        "offer": 7,
        "attempt": None,
    }


def test_an_event_has_the_level_of_its_name(capsys: pytest.CaptureFixture[str]):
    """A shortage is an error, an unknown push a warning; what is below the level is not written."""
    logs.configure(json=True, level="warning")
    for name in ("push.applied", "push.unknown", "shortage.found"):
        logs.emit(Event(name))
    assert [(line["event"], line["level"]) for line in lines(capsys)] == [
        ("push.unknown", "warning"),
        ("shortage.found", "error"),
    ]


def test_an_unlisted_field_is_held_back_and_counted(capsys: pytest.CaptureFixture[str]):
    """A token or a buyer's name that strays into a call does not get out."""
    logs.configure(json=True)
    logs.emit(Event("push.applied", {"token": "canary", "buyer": "canary", "order": "7"}))
    text = capsys.readouterr().err
    assert "canary" not in text
    assert json.loads(text)["withheld"] == 2
    assert json.loads(text)["order"] == "7"


def test_a_line_with_an_unlisted_name_is_held_back(capsys: pytest.CaptureFixture[str]):
    """A sentence in place of an event name may hold anything, so none of it is written."""
    logs.configure(json=True)
    logs.get("anything").info("canary %s", "canary", sku="canary")
    text = capsys.readouterr().err
    assert "canary" not in text
    assert json.loads(text)["event"] == "line.withheld"


@pytest.mark.parametrize("as_json", [True, False])
def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str], *, as_json: bool):
    """Hostile text stays on its line and paints nothing, in both forms."""
    logs.configure(json=as_json)
    logs.emit(Event("delivery.refused", {"reason": HOSTILE, "channel": "x"}))
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()


@given(st.text())
def test_any_text_becomes_printable_and_short(text: str):
    """Every text comes out printable and no longer than its limit allows."""
    line = logs.keep_listed(None, "info", {"event": "push.failed", "reason": text})
    assert str(line["reason"]).isprintable()
    assert len(str(line["reason"])) <= 10 * logs.TEXT_LENGTH_MAX + 3


def test_long_text_is_cut_at_the_limit():
    """Text at the limit is whole, one character more is cut."""
    for length, shown in ((300, "a" * 300), (301, "a" * 300 + "...")):
        line = logs.keep_listed(None, "info", {"event": "push.failed", "reason": "a" * length})
        assert line["reason"] == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("2.5"), "2.5"),
        (("my-shop", 7), "my-shop, 7"),
        ({"b", "a"}, "a, b"),
        ({"token": "canary"}, "dict"),
        (b"canary", "bytes"),
        (ValueError("canary"), "ValueError"),
        (True, True),
        (1.5, 1.5),
    ],
)
def test_only_plain_values_are_shown(value: object, shown: object):
    """What is not plain is replaced by the name of its type."""
    line = logs.keep_listed(None, "info", {"event": "push.failed", "reason": value})
    assert line["reason"] == shown


def test_an_exception_shows_its_type_and_place_alone(capsys: pytest.CaptureFixture[str]):
    """An exception's text may quote a payload, so it is left out."""
    logs.configure(json=True)
    try:
        int("canary")
    except ValueError:
        logs.get("engine").error("request.failed", exc_info=True)
    text = capsys.readouterr().err
    assert "canary" not in text
    assert json.loads(text)["error"] == "ValueError"
    assert json.loads(text)["trace"].startswith("test_logs.py:")


def test_a_library_shows_that_it_warned_and_not_what(capsys: pytest.CaptureFixture[str]):
    """Standard logging becomes `library.warned`; being set up twice does not double it."""
    logs.configure(json=True)
    logs.configure(json=True)
    logging.getLogger("some.library").warning("token is %s", "canary")
    logging.getLogger("some.library").info("chatter")
    text = capsys.readouterr().err
    assert "canary" not in text
    (line,) = [json.loads(each) for each in text.splitlines()]
    assert (line["event"], line["logger"]) == ("library.warned", "some.library")


def test_every_event_has_the_form_noun_verb_and_a_meaning():
    """Names are `noun.verb`, lower case; each has a meaning in words."""
    for name, meaning in logs.EVENTS.items():
        noun, verb = name.split(".")
        assert noun.isalpha()
        assert verb.isalpha()
        assert name == name.lower()
        assert len(meaning.split()) >= 3


def fields_given() -> Iterator[tuple[str, str, str]]:
    """Return (module, event, field) of every field that the program's sources give an event."""
    for path in sorted((Path(logs.__file__).parent).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [
            (target.id, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="Event"), args=[ast.Constant(value=event), fields]):
                    used = {each.id for each in ast.walk(fields) if isinstance(each, ast.Name)}
                    for part in (fields, *(value for name, value in named if name in used)):
                        for key in keys_of(part):
                            yield path.name, str(event), key


def keys_of(node: ast.AST) -> Iterator[str]:
    """Return the text keys of every literal dictionary in a node."""
    for each in ast.walk(node):
        if isinstance(each, ast.Dict):
            for key in each.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value


def test_no_event_of_ours_is_held_back():
    """Every event and every field that the sources name is on the lists."""
    given = list(fields_given())
    assert ("sales.py", "line.unmapped", "order_line") in given
    assert [each for each in given if each[1] not in logs.EVENTS] == []
    assert [each for each in given if each[2] not in logs.FIELDS] == []
