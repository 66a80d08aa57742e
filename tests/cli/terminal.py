"""Typing commands: in this process, in a folder of their own, with what they print."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from stockpush import logs
from stockpush.cli.main import run

CATALOGUE = """\
[[items]]
sku = "candle-lav"
name = "Lavender candle"
on_hand = 5
[[items]]
sku = "soap-lav"
name = "Lavender soap"
on_hand = 2
[[items]]
sku = "beeswax"
name = "Beeswax"
kind = "material"
unit = "g"
on_hand = "2500 g"
[[items]]
sku = "wick"
kind = "material"
on_hand = 30
[[boms]]
item = "candle-lav"
yield = 10
lines = [{ item = "beeswax", quantity = "1500 g" }, { item = "wick", quantity = 10 }]
[[boms]]
item = "soap-lav"
yield = 12
lines = [{ item = "beeswax", quantity = "300 g" }]
"""
"""Candles and soaps that share beeswax."""


@dataclass(frozen=True)
class Result:
    """What one command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Terminal:
    """Where somebody types commands; nobody can be asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> Result:
        """Type one command line."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
        return Result(code, out.getvalue(), err.getvalue())

    def done(self, *arguments: str) -> Result:
        """Type one that must succeed."""
        result = self(*arguments)
        assert result.code == 0, result
        return result

    def write(self, name: str, content: str | bytes) -> str:
        """Put a file into the folder; return its name."""
        (self.folder / name).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        return name

    def atp(self) -> dict[str, str]:
        """ATP of every item."""
        return {row["sku"]: row["atp"] for row in self.done("stock", "--json").json["data"]}

    def on_hand(self, sku: str) -> str:
        """What the ledger says is on hand."""
        return self.done("stock", sku, "--json").json["data"][0]["on_hand"]


class Configured(Protocol):
    """Whatever has a folder with a configuration in it."""

    folder: Path


async def typed_here(floor: Configured, *arguments: str) -> Result:
    """Type one in another thread of this process, while shops are served here: a process of its
    own takes a second to start. One at a time: what it prints is taken from the whole process.
    """
    config = str(floor.folder / "stockpush.toml")
    result = await asyncio.to_thread(Terminal(floor.folder), *arguments, "--config", config)
    assert "Traceback" not in result.out + result.err, result
    assert "defect" not in result.out + result.err, result
    return result


@contextlib.contextmanager
def typing(folder: Path, patch: pytest.MonkeyPatch):
    """A terminal in `folder`, whose environment and log settings are put back afterwards."""
    patch.chdir(folder)
    patch.delenv("STOCKPUSH_CONFIG", raising=False)
    try:
        yield Terminal(folder)
    finally:
        logs.configure(json=False, level="warning")
