"""The ladder: what a manifest calls done is shown, and its word is true where that can be known."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from stockpush.connectors import quality, registry
from stockpush.connectors.base import Checkup
from stockpush.connectors.quality import RULES, Standing, Status, Tier
from stockpush.errors import ConfigInvalid
from tests.contract import quality_page
from tests.contract.kit import NAMES, REPOSITORY, kit, with_webhooks
from tests.contract.stage import HOOK, configured
from tests.hostile import judging
from tests.hostile.judging import run

SIM = REPOSITORY / "src/stockpush/sim"
SECTIONS = ("What to create", "How fast", "Traps")
"""What a channel's page has for its users."""


def stands(name: str) -> Mapping[str, Standing]:
    """Return how each rule stands with a connector."""
    told = quality.standings(registry.manifest(name).quality, file=name)
    return {each.rule.name: each for each in told}


@cache
def functions(path: Path) -> frozenset[str]:
    """Return the names of all functions of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_called_done_is_shown(name: str) -> None:
    """By a file that exists, and a test in it that has this name."""
    for each in stands(name).values():
        assert bool(each.shown) == (each.status is Status.DONE)
        for shown in each.shown:
            file, _, test = shown.partition("::")
            path = REPOSITORY / file
            assert path.is_file(), f"{each.rule.name}: there is no {file}"
            assert not test or test in functions(path), f"{each.rule.name}: {file} has no {test}"
            if path.is_relative_to(REPOSITORY / "tests") and not test and "test_" in path.name:
                assert any(found.startswith("test_") for found in functions(path))


@pytest.mark.parametrize("name", NAMES)
def test_a_reason_says_something(name: str) -> None:
    """What is to do or does not apply says why, in a sentence's beginning."""
    for each in stands(name).values():
        if each.status is not Status.DONE:
            assert len(each.reason.split()) >= 4, each.rule.name
            assert "TODO" not in each.reason, each.rule.name


# -- what a program can find out -------------------------------------------------------------------


def has_page(name: str) -> bool:
    """Answer whether there is a page with all that users need."""
    path = REPOSITORY / f"docs/channels/{name}.md"
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    return all(f"\n## {section}\n" in text for section in SECTIONS)


def mends_webhooks(name: str) -> bool:
    """Answer whether a connector makes webhooks itself, and not only says what a person does."""
    stage = kit(name).open()
    if not isinstance(stage.connector, Checkup):
        return False
    hooks = run(stage.connector.ensure_webhooks(stage.api, HOOK, dry_run=True))
    return not hooks.advice


def imported(paths: list[Path], name: str) -> bool:
    """Answer whether a module among these imports an emulated shop."""
    wanted = f"stockpush.sim.shops.{name}"
    return any(f"from {wanted} import" in path.read_text(encoding="utf-8") for path in paths)


TRUTHS: Mapping[str, Callable[[str], bool]] = {
    "signatures": with_webhooks,
    "page": has_page,
    "contract": lambda name: kit(name).contract is not None,
    "checkup": lambda name: isinstance(configured(name, kit(name)), Checkup),
    "watchdog": lambda name: with_webhooks(name) and mends_webhooks(name),
    "emulated": lambda name: importlib.util.find_spec(f"stockpush.sim.shops.{name}") is not None,
    "demo": lambda name: imported([SIM / "candle_shop.py"], name),
    "fuzzed": lambda name: any(each.name.split()[0] == name for each in judging.TARGETS),
    "simulated": lambda name: imported(
        [path for path in SIM.glob("*.py") if path.name != "candle_shop.py"], name
    ),
}
"""Rule -> whether it is done, as far as the repository itself tells."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", TRUTHS)
def test_the_word_of_the_manifest_is_true(name: str, rule: str) -> None:
    """What is there is called done, what is not is not: a rule that was met raises its connector
    by itself, and one that was broken lowers it.
    """
    assert (stands(name)[rule].status is Status.DONE) == TRUTHS[rule](name)


# -- the ladder itself ----------------------------------------------------------------------------


def test_rules_stand_in_the_order_of_their_rungs() -> None:
    """Lowest first, each name once, and what each asks fits beside the table."""
    order = list(Tier)
    assert [each.tier for each in RULES] == sorted((each.tier for each in RULES), key=order.index)
    assert len({each.name for each in RULES}) == len(RULES)
    assert all(len(each.asks) <= 36 for each in RULES)
    assert {each.tier for each in RULES} == set(Tier) == set(quality.MEANING)


@pytest.mark.parametrize(
    ("todo", "reached"),
    [
        ((), Tier.GOLD),
        (("live",), Tier.SILVER),
        (("live", "traps"), Tier.BRONZE),
        (("traps",), Tier.BRONZE),
        (("manifest",), None),
        (("manifest", "live"), None),
    ],
)
def test_a_rung_is_reached_when_nothing_up_to_it_is_left(
    todo: tuple[str, ...], reached: Tier | None
) -> None:
    """A higher one does not make up for a lower one."""
    given = {each.name: {"exempt": "it does not apply here"} for each in RULES}
    given |= {name: {"todo": "it is not there yet"} for name in todo}
    assert quality.tier(quality.standings(given, file="x.toml")) is reached


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("manifest", None),
        ("manifest", "todo"),
        ("manifest", "exempt"),
        ("manifest", True),
        ("manifest", {}),
        ("manifest", {"todo": ""}),
        ("manifest", {"exempt": 7}),
        ("manifest", {"done": []}),
        ("manifest", {"done": ["tests/x.py", 7]}),
        ("manifest", {"todo": "why", "exempt": "why"}),
        ("orders", "done"),
        ("orders", {"done": ""}),
        ("bronze", "done"),
    ],
)
def test_a_rule_that_says_nothing_is_named(rule: str, said: object) -> None:
    """Every rule of the ladder, and no other, is said to be something."""
    given = {each.name: {"todo": "it is not there yet"} for each in RULES}
    given = {**given, rule: said} if said is not None else {}
    with pytest.raises(ConfigInvalid) as caught:
        quality.standings(given, file="x.toml")
    assert caught.value.field == f"quality.{rule}"


def test_the_page_is_that_of_the_manifests() -> None:
    """docs/quality.md shows each rule and each connector as the manifests say; to renew it:
    `python -m tests.contract.quality_page`.
    """
    page = quality_page.PAGE.read_text(encoding="utf-8")
    assert quality_page.with_table(page) == page
