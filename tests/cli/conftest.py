"""Terminals for the tests of the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.daemon_rows import fill_inbox, open_sellers
from tests.cli.terminal import CATALOGUE, Terminal, typing


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """An empty folder, without a configuration."""
    with typing(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database into which the catalogue of candles and soaps was imported, for copying."""
    folder = tmp_path_factory.mktemp("imported")
    with pytest.MonkeyPatch.context() as patch, typing(folder, patch) as terminal:
        terminal.write("catalog.toml", CATALOGUE)
        terminal.done("import", "catalog.toml", "--yes")
    return folder / "stockpush.db"


@pytest.fixture
def shop(terminal: Terminal, imported: Path) -> Terminal:
    """A folder whose database holds the catalogue of candles and soaps."""
    shutil.copy(imported, terminal.folder)
    terminal.write("catalog.toml", CATALOGUE)
    return terminal


@pytest.fixture(scope="session")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a maker with two channels, for copying."""
    folder = tmp_path_factory.mktemp("sold")
    with pytest.MonkeyPatch.context() as patch, typing(folder, patch) as terminal:
        open_sellers(terminal)
    return folder


@pytest.fixture(scope="session")
def heard(sold: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with deliveries in the inbox, for copying."""
    folder = tmp_path_factory.mktemp("heard")
    copy(sold, folder)
    with pytest.MonkeyPatch.context() as patch, typing(folder, patch) as terminal:
        fill_inbox(terminal)
    return folder


def copy(source: Path, folder: Path) -> None:
    """Copy a maker's folder; the configuration names the new one."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    config = folder / "stockpush.toml"
    config.write_text(config.read_text().replace(str(source), str(folder)))


@pytest.fixture
def sellers(terminal: Terminal, sold: Path) -> Terminal:
    """Candles and soaps on a live and a shadow channel (`daemon_rows.open_sellers`)."""
    copy(sold, terminal.folder)
    return terminal


@pytest.fixture
def inbox(terminal: Terminal, heard: Path) -> Terminal:
    """The same with an inbox (`daemon_rows.fill_inbox`)."""
    copy(heard, terminal.folder)
    return terminal
