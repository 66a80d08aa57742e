"""A manifest is whole, true, and every line of it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import Connector, Manifest
from stockpush.errors import CatalogueInvalid, ConfigInvalid
from tests.contract.kit import NAMES, REPOSITORY, kit
from tests.contract.stage import configured, life
from tests.hostile.judging import run

SOURCES = REPOSITORY / "src/stockpush"
CONNECTORS = SOURCES / "connectors"
DECLARING = {CONNECTORS / "base.py", CONNECTORS / "registry.py"}
"""Where a manifest's keys are declared and checked, which is no use of them."""


@cache
def trees() -> dict[Path, ast.Module]:
    """Return every module of the program."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES.rglob("*.py")}


def texts(name: str) -> set[str]:
    """Return every text that stands in a connector's modules, and in those that all share."""
    return {
        node.value
        for path, tree in trees().items()
        if CONNECTORS / name in path.parents or path.parent == CONNECTORS
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def is_a_manifest(node: ast.expr) -> bool:
    """Answer whether an expression is a manifest, by its name."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name == "manifest"
        case ast.Call(func=func):
            return is_a_manifest(func)
        case _:
            return False


def files_of(name: str) -> Iterator[Path]:
    """Yield what a connector consists of."""
    yield CONNECTORS / f"{name}.toml"
    yield from sorted((CONNECTORS / name).glob("*.py"))
    yield REPOSITORY / f"docs/channels/{name}.md"


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_is_valid(name: str) -> None:
    """It carries its file's name, its numbers go together, and it says what it rests on."""
    manifest = registry.manifest(name)
    assert manifest.name == name
    assert len(manifest.source) > 20
    assert "TODO" not in manifest.source
    assert manifest.title
    assert manifest.burst >= 1
    assert manifest.poll_overlap_s >= max(600, manifest.orders_lag_s + manifest.slack_s)
    assert manifest.suspense_min_s >= 60
    assert len(set(manifest.webhook_topics)) == len(manifest.webhook_topics)


@cache
def used_keys() -> frozenset[str]:
    """Return the keys of manifests that some module of the program reads."""
    return frozenset(
        node.attr
        for path, tree in trees().items()
        if path not in DECLARING
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_a_manifest(node.value)
    )


@pytest.mark.parametrize("key", [each.name for each in fields(Manifest)])
def test_every_key_of_a_manifest_is_used(key: str) -> None:
    """What nothing in the program reads would be a promise that nobody keeps."""
    assert key in used_keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_read_by_its_connector(name: str) -> None:
    """And none is read that the manifest does not declare: it would be refused at start."""
    declared = registry.manifest(name).settings
    read = texts(name)
    assert [each for each in declared if each not in read] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_reference_is_read_by_its_connector(name: str) -> None:
    """A listing can be named by each of them."""
    read = texts(name)
    assert [each for each in registry.manifest(name).ref_fields if each not in read] == []


@pytest.mark.parametrize("name", NAMES)
def test_requests_name_the_version_of_the_api(name: str) -> None:
    """The one that the manifest rests on."""
    found = kit(name)
    if not found.versioned:
        page = (REPOSITORY / f"docs/channels/{name}.md").read_text(encoding="utf-8")
        assert registry.manifest(name).source.startswith(f"docs/channels/{name}.md")
        assert "protocol" in page.lower()
        return
    stage = found.open()
    run(life(found, stage))
    version = registry.manifest(name).api_version
    assert {version in each.path for each in stage.api.sent} == {True}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_to_be_written(name: str) -> None:
    """Manifest, modules and page are there, and none has a gap that is marked as one."""
    for path in files_of(name):
        if path.parent.name == "channels" and not path.exists():
            continue  # the rule `page` says so
        assert "TODO" not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_setting_is_named_and_no_secret_is_shown(name: str) -> None:
    """What is missing, unknown or impossible is said by its name."""
    found = kit(name)
    slips = [found.slip, ({"sohp": "x"}, "sohp")]
    declared = registry.manifest(name).settings
    slips += [({key: ""}, key) for key, row in declared.items() if row.get("required")]
    secret = [key for key, row in declared.items() if row.get("secret")]
    secrets = [found.settings[key] for key in secret if key in found.settings]
    for changes, field in slips:
        with pytest.raises(ConfigInvalid) as caught:
            configured(name, found, **changes)
        assert caught.value.field == field
        assert [each for each in secrets if each in str(caught.value.as_json())] == []
    connector: Connector = configured(name, found)
    assert connector.channel == "mine"
    assert [each for each in secrets if each in repr(connector)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_has_one_key(name: str) -> None:
    """With the settings or without them; a slip in it is named."""
    found = kit(name)
    ref, _ = found.sell(found.open().shop, 1, 1)
    connector = configured(name, found)
    assert connector.ref(ref) == registry.ref_key(name)(ref)
    with pytest.raises(CatalogueInvalid) as caught:
        connector.ref({**ref, "nonsense": 1})
    assert caught.value.field == "nonsense"
    with pytest.raises(CatalogueInvalid):
        connector.ref({})
