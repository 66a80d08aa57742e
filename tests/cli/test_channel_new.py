"""`stockpush channel new`: a skeleton that imports, is typed, is clean, and is red."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stockpush.cli.channel import written
from tests import structure
from tests.cli.terminal import Terminal, typing

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what of the sources a new connector's tests need."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "src/stockpush", tmp_path / "src/stockpush", ignore=leave)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for name in ("tests/__init__.py", "tests/connectors/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def terminal(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a terminal in the checkout."""
    with typing(checkout, monkeypatch) as terminal:
        yield terminal


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module on the checkout alone."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False,
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_all_tests_of_a_new_connector_are_red(terminal: Terminal):
    """It is collected and imported, and every single test fails: nothing passes unwritten."""
    files = terminal.done("channel", "new", "acme", "--json").json["files"]
    assert all(Path(each).is_file() for each in files)
    ended = run(
        terminal.folder, "pytest", "-q", "-p", "no:randomly", "tests/connectors/test_acme.py"
    )
    tests = (terminal.folder / "tests/connectors/test_acme.py").read_text(encoding="utf-8")
    assert ended.returncode == 1, ended.stdout
    (counted,) = re.findall(r"^(\d+) failed in", ended.stdout, re.MULTILINE)
    assert int(counted) >= len(re.findall(r"^(?:async )?def test_", tests, re.MULTILINE))


def test_a_new_connector_is_clean(terminal: Terminal):
    """Ruff finds nothing, whatever the name's place in the alphabet."""
    for name in ("acme", "zeta"):
        terminal.done("channel", "new", name)
        paths = [str(each) for each in written(name) if each.suffix == ".py"]
        for command in (["check"], ["format", "--check"]):
            ended = run(terminal.folder, "ruff", *command, "--no-cache", *paths)
            assert ended.returncode == 0, ended.stdout


def test_a_new_connector_keeps_the_rules_of_the_structure():
    """It imports what a connector may, and says what each part is."""
    for place, text in written("acme").items():
        if place.suffix == ".py" and place.parts[0] == "src":
            parts = place.relative_to("src").with_suffix("").parts
            module = (".".join(parts).removesuffix(".__init__"), text)
            for rule in (structure.wrong_imports, structure.undocumented, structure.not_repeatable):
                assert rule(module) == []


def test_nothing_is_overwritten(terminal: Terminal):
    """A connector that is there, or any of its files, is a refusal that names it."""
    for name, found in (("faire", "connectors/faire.toml"), ("acme", "channels/acme.md")):
        if name == "acme":
            (terminal.folder / "docs/channels").mkdir(parents=True)
            terminal.write("docs/channels/acme.md", "mine")
        refused = terminal("channel", "new", name)
        assert refused.code == 5
        assert found in refused.err + refused.out
    assert (terminal.folder / "docs/channels/acme.md").read_text() == "mine"
    assert not (terminal.folder / "src/stockpush/connectors/acme.toml").exists()


def test_a_dry_run_writes_nothing(terminal: Terminal):
    """And names every file."""
    said = terminal.done("channel", "new", "acme", "--dry-run").out
    assert said.startswith("Would write:")
    for place in written("acme"):
        assert str(place) in said
        assert not (terminal.folder / place).exists()


@pytest.mark.parametrize("name", ["Acme", "a", "big-cartel", "1st", "class", "a" * 32, "acme.py"])
def test_a_name_that_no_module_can_have_is_a_slip(terminal: Terminal, name: str):
    """Lower case, letters and digits, and no word of the language."""
    slip = terminal("channel", "new", name, "--json")
    assert (slip.code, slip.json["error"]["field"]) == (2, "NAME")


def test_it_is_typed_in_a_checkout(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory):
    """Elsewhere it says what is missing; `--into` names the checkout."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    slip = terminal("channel", "new", "acme", "--into", str(elsewhere), "--json")
    assert (slip.code, slip.json["error"]["field"]) == (2, "--into")


def test_the_page_names_what_is_written():
    """docs/adding-a-channel.md lists the skeleton's places."""
    page = (REPOSITORY / "docs/adding-a-channel.md").read_text(encoding="utf-8")
    for place in written("bigcartel"):
        assert str(place) in page or f"{place.parent}/" in page
