"""The rules of docs/architecture.md, held by reading the sources; each rule is shown to bite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stockpush.logs import EVENTS, FIELDS
from tests import structure
from tests.structure import Module

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src"
TERMS = (
    "Item", "Listing", "Channel", "Connector", "Shelf", "Stock movement", "Reservation", "ATP",
    "Buildable", "Exposure", "Offer", "Expected", "Suspense hold", "Push", "Dirty", "Delivery",
    "Inbox", "Observation", "Drift", "Shortage", "Field", "Target", "Buffer", "Pack", "Mapped",
    "Adopted", "Mode", "Bill of materials", "Hold",
)  # fmt: skip


def modules() -> list[Module]:
    """Return every module of the project with its source."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, path.read_text(encoding="utf-8")))
    return found


ALL = modules()
RULES: tuple[Callable[[Module], list[str]], ...] = (
    structure.wrong_imports,
    structure.wrong_libraries,
    structure.asynchronous,
    structure.not_repeatable,
    structure.wrong_words,
    structure.undocumented,
)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """No other test has to carry the trees of all sources along."""
    yield
    structure.tree_of.cache_clear()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[Module], list[str]]):
    """No module of the project breaks the rule."""
    assert [broken for module in ALL for broken in rule(module)] == []


def test_imports_have_no_circle():
    """No module needs, at import time, something that needs it."""
    assert structure.circles(ALL) == []


def test_every_event_in_the_code_is_listed():
    """A log line with an unlisted name would be withheld."""
    nouns = {name.partition(".")[0] for name in EVENTS}
    tables = {
        text
        for module in ALL
        if "stockpush.logs" in structure.imports(module)
        or "stockpush.messages.Event" in structure.imports(module)
        for text in structure.texts(module)
        if text.partition(".")[0] in nouns
        and text.replace("_", "").replace(".", "").isalpha()
        and text.count(".") == 1
    }
    written = {name for module in ALL for name in structure.event_names(module)}
    assert sorted((written | tables) - set(EVENTS)) == []


def test_every_listed_event_is_emitted_somewhere():
    """A name that nothing emits would be waited for in vain."""
    emitted = {text for module in ALL for text in structure.events_emitted(module)}
    assert sorted(set(EVENTS) - emitted) == []


def test_a_listed_event_is_not_emitted_by_being_listed():
    """The tables of logs.py do not count; a call elsewhere does."""
    source = 'EVENTS: dict = {"a.b": "x"}\n_LEVELS: dict = {"a.b": 1}\nlog("c.d")'
    assert structure.events_emitted(("stockpush.logs", source)) == {"c.d"}


def test_every_field_of_a_log_call_is_listed():
    """A field that is not on the list would be withheld."""
    given = {field for module in ALL for field in structure.event_fields(module)}
    assert sorted(given - FIELDS) == []


@pytest.mark.parametrize("term", TERMS)
def test_every_term_has_a_place_in_the_glossary(term: str):
    """Each word of the domain is a heading of docs/glossary.md."""
    glossary = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert f"**{term}**" in glossary


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (structure.wrong_imports, "model", "from stockpush.messages import Event"),
        (structure.wrong_imports, "model", "from stockpush.errors import NotFound"),
        (structure.wrong_imports, "errors", "from stockpush import logs"),
        (structure.wrong_imports, "cli.stock", "from stockpush.engine.pusher import Pusher"),
        (structure.wrong_imports, "cli.stock", "from stockpush.store.sql import SqlStore"),
        (structure.wrong_imports, "reservation.atp", "from stockpush.ports import Clock"),
        (structure.wrong_imports, "reservation.atp", "import stockpush.store"),
        (structure.wrong_imports, "reservation.atp", "from ..engine import commit"),
        (structure.wrong_imports, "connectors.shopify", "from stockpush.engine import pusher"),
        (structure.wrong_imports, "connectors.shopify", "from stockpush.connectors import etsy"),
        (structure.wrong_imports, "engine.pusher", "from stockpush.connectors.shopify import x"),
        (structure.wrong_imports, "store.sql", "def f():\n    from stockpush import engine"),
        (structure.wrong_imports, "sim.shops.shopify", "from stockpush.connectors import base"),
        (structure.wrong_imports, "attic", ""),
        (structure.wrong_libraries, "engine.pusher", "import httpx"),
        (structure.wrong_libraries, "connectors.etsy", "from aiohttp import web"),
        (structure.wrong_libraries, "engine.commit", "from sqlalchemy.ext import asyncio"),
        (structure.wrong_libraries, "engine.commit", "from stockpush.compose import build"),
        (structure.asynchronous, "reservation.atp", "async def f() -> None: ..."),
        (structure.asynchronous, "reservation.atp", "import asyncio"),
        (structure.not_repeatable, "engine.x", "from datetime import datetime as d\nd.now()"),
        (structure.not_repeatable, "engine.x", "import datetime\ndatetime.date.today()"),
        (structure.not_repeatable, "engine.x", "import time\nf = time.time"),
        (structure.not_repeatable, "engine.x", "from time import monotonic\nmonotonic()"),
        (structure.not_repeatable, "engine.x", "import uuid\nuuid.uuid4()"),
        (structure.not_repeatable, "engine.x", "import random\nrandom.choice([1])"),
        (structure.not_repeatable, "engine.x", "import random\nrandom.Random()"),
        (structure.not_repeatable, "engine.x", "from asyncio import sleep as wait\nwait(1)"),
        (structure.not_repeatable, "engine.x", "import os\nos.urandom(8)"),
        (structure.not_repeatable, "engine.x", "import secrets\nsecrets.token_hex()"),
        (structure.wrong_words, "engine.x", "qty_left = 1"),
        (structure.wrong_words, "engine.x", "class StockLevel: ..."),
        (structure.wrong_words, "engine.x", "def f(lock_manager): ..."),
        (structure.wrong_words, "engine.utils", ""),
        (structure.undocumented, "engine.x", "a = 1"),
        (structure.undocumented, "engine.x", '"""X."""\ndef f(): ...'),
        (
            structure.undocumented,
            "engine.x",
            '"""X."""\nclass C:\n    """C."""\n    def f(self): ...',
        ),
    ],
)
def test_a_rule_finds_what_breaks_it(rule: Callable[[Module], list[str]], name: str, source: str):
    """Each rule can fail: it names the planted fault."""
    assert len(rule((f"stockpush.{name}", source))) == 1


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (structure.wrong_imports, "reservation.atp", "from stockpush.errors import NotFound"),
        (structure.wrong_imports, "cli.stock", "from stockpush.store import reads"),
        (
            structure.wrong_imports,
            "connectors.shopify.orders",
            "from stockpush.connectors.shopify import x",
        ),
        (structure.wrong_libraries, "engine.transport", "import httpx"),
        (structure.not_repeatable, "clock", "import time\ntime.time()"),
        (structure.not_repeatable, "sim.world", "import random\nrandom.Random(7)"),
        (structure.wrong_words, "connectors.shopify", "inventory_item = 1"),
        (structure.undocumented, "engine.x", '"""X."""\ndef _f(): ...'),
    ],
)
def test_a_rule_lets_pass_what_keeps_it(
    rule: Callable[[Module], list[str]], name: str, source: str
):
    """A rule does not cry wolf."""
    assert rule((f"stockpush.{name}", source)) == []


def test_a_circle_is_found_and_printed():
    """Two modules that need each other at import time are a circle; a late import is none."""
    a = ("stockpush.a", "from stockpush.b import x")
    b = ("stockpush.b", "from stockpush import a")
    late = ("stockpush.b", "def f():\n    from stockpush import a")
    assert structure.circles([a, b]) == ["stockpush.a -> stockpush.b -> stockpush.a"]
    assert structure.circles([a, late]) == []


def test_events_and_fields_are_read_from_calls():
    """Names in both arms of a choice, in log calls, and field names are found."""
    source = (
        'Event("a.b" if x else "c.d", {"sku": 1, "secret": 2})\n'
        'log.warning("e.f", token=3)\n'
        'print("g.h")\n'
    )
    assert structure.event_names(("stockpush.x", source)) == {"a.b", "c.d", "e.f"}
    assert structure.event_fields(("stockpush.x", source)) == {"sku", "secret", "token"}
