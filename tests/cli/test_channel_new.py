"""`stockpush channel new`: a skeleton that imports, is typed, is clean, and is red."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stockpush.cli.channel import written
from stockpush.connectors import quality, registry
from tests import structure
from tests.cli.terminal import Terminal, typing

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what of the sources a new connector's tests need."""
    leave = shutil.ignore_patterns("__pycache__")
    for folder in ("src/stockpush", "tests", "docs"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=leave)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
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


def suite(checkout: Path, name: str) -> tuple[int, int]:
    """Run what of the common suite concerns a connector; return (how many passed, failed)."""
    chosen = ("tests/contract", "-k", name, "-q", "--tb=no", "-p", "no:randomly", "-p", "no:xdist")
    ended = run(checkout, "pytest", *chosen)
    counts = {
        what: int(number)
        for number, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)", ended.stdout)
    }
    assert set(counts) <= {"passed", "failed", "error", "errors"}, ended.stdout[-2000:]
    return counts.get("passed", 0), sum(counts.values()) - counts.get("passed", 0)


def test_a_new_connector_is_in_the_common_suite_and_red(terminal: Terminal):
    """Without a line of test code: what every test asks of every connector is asked of it, and
    nothing of it passes unwritten.
    """
    files = terminal.done("channel", "new", "acme", "--json").json["files"]
    assert all(Path(each).is_file() for each in files)
    assert not [each for each in files if Path(each).name.startswith("test_")]
    passed, red = suite(terminal.folder, "acme")
    assert passed == 0
    assert red >= len(every_connectors_tests())


def every_connectors_tests() -> set[str]:
    """Return the tests of the common suite that are collected for every connector."""
    return {
        node.name
        for path in (REPOSITORY / "tests/contract").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorated in node.decorator_list
        if ast.unparse(decorated) == "pytest.mark.parametrize('name', NAMES)"
    }


def test_a_manifest_alone_is_in_the_common_suite(terminal: Terminal):
    """A connector that somebody added by hand, of which the suite was told nothing, is red."""
    folder = terminal.folder / "src/stockpush/connectors"
    plain = (folder / "faire.toml").read_text(encoding="utf-8")
    (folder / "acme.toml").write_text(plain.replace('name = "faire"', 'name = "acme"'))
    passed, red = suite(terminal.folder, "acme")
    assert (passed, red >= len(every_connectors_tests())) == (0, True)


def test_no_rule_of_a_new_connector_is_done(terminal: Terminal):
    """Its manifest names every rule of the ladder, and all are to do."""
    terminal.done("channel", "new", "acme")
    path = terminal.folder / "src/stockpush/connectors/acme.toml"
    stands = quality.standings(registry.read_manifest(path).quality, file=path.name)
    assert {each.status for each in stands} == {quality.Status.TODO}
    assert quality.tier(stands) is None


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
            (terminal.folder / "docs/channels").mkdir(parents=True, exist_ok=True)
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
