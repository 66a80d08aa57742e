"""Which connectors exist: one TOML manifest each, beside this file.

Theory of operation. A manifest is data and cheap to read; a connector's module is code and is
imported only when a configured channel uses it. A manifest's keys are exactly the fields of
`base.Manifest`; every key is checked here, so that a slip in a manifest is an error at start that
names the key and not a surprise in a worker.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec

from stockpush.connectors import quality
from stockpush.connectors.base import Connector, Manifest
from stockpush.errors import ConfigInvalid

Connect = Callable[[str, Manifest, Mapping[str, str]], Connector]
"""`connect(channel, manifest, settings)` of a connector's module."""

RefKey = Callable[[Mapping[str, Any]], str]
"""`ref_key(given)` of a connector's module: what `Connector.ref` answers, without settings."""

WRITES = ("compare_and_set", "check_then_set")
_SETTING_KEYS = {"required": bool, "secret": bool, "default": str, "doc": str}


@cache
def manifests() -> Mapping[str, Manifest]:
    """Return every connector's manifest by name, sorted by name.

    Raises `ConfigInvalid` naming the manifest and the key.
    """
    folder = Path(__file__).parent
    return {path.stem: read_manifest(path) for path in sorted(folder.glob("*.toml"))}


def manifest(name: str) -> Manifest:
    """Return the manifest of connector `name`; `ConfigInvalid` names the nearest known one."""
    known = manifests()
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigInvalid(
        f"There is no connector {name!r}.{hint}",
        field="connector",
        found=name,
        expected=" or ".join(known),
    )


def load(name: str) -> Connect:
    """Import the module of connector `name` and return its `connect`.

    Raises `ConfigInvalid` for a name without a manifest, before anything is imported.
    """
    manifest(name)
    module = importlib.import_module(f"stockpush.connectors.{name}")
    return cast("Connect", module.connect)


def ref_key(name: str) -> RefKey:
    """Import the module of connector `name` and return its `ref_key`, which needs no settings.

    Raises `ConfigInvalid` for a name without a manifest, before anything is imported.
    """
    manifest(name)
    module = importlib.import_module(f"stockpush.connectors.{name}")
    return cast("RefKey", module.ref_key)


def read_manifest(path: Path) -> Manifest:
    """Read and check one manifest file; `ConfigInvalid` names the file and the key."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path.name} is not TOML: {error}.", field=path.name) from error
    _check_keys(path.name, given)
    try:
        read = msgspec.convert(given, Manifest)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"{path.name}: {error}.", field=path.name) from error
    _check_values(path, read)
    return read


def _check_keys(file: str, given: Mapping[str, Any]) -> None:
    known = {each.name: each for each in fields(Manifest)}
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise ConfigInvalid(
                f"{file} has the unknown key {key!r}.",
                field=key,
                expected=near[0] if near else None,
            )
    for key, each in known.items():
        optional = each.default is not MISSING or each.default_factory is not MISSING
        if key not in given and not optional:
            raise ConfigInvalid(f"{file} lacks the key {key!r}.", field=key)


def _check_values(path: Path, read: Manifest) -> None:
    if read.name != path.stem:
        raise ConfigInvalid(
            f"{path.name} must carry its own name.",
            field="name",
            found=read.name,
            expected=path.stem,
        )
    if read.write not in WRITES:
        raise ConfigInvalid(
            f"{path.name}: write is not a way to write.",
            field="write",
            found=read.write,
            expected=" or ".join(WRITES),
        )
    positive = ("batch_max", "read_max", "quantity_max", "requests_per_s", "burst", "deadline_s")
    for key in positive:
        if getattr(read, key) <= 0:
            raise ConfigInvalid(
                f"{path.name}: {key} must be positive.", field=key, found=getattr(read, key)
            )
    if not read.ref_fields:
        raise ConfigInvalid(f"{path.name}: ref_fields must not be empty.", field="ref_fields")
    for name, row in read.settings.items():
        _check_setting(path.name, name, row)
    if read.webhooks_need and read.webhooks_need not in read.settings:
        raise ConfigInvalid(
            f"{path.name}: webhooks_need is not one of its settings.",
            field="webhooks_need",
            found=read.webhooks_need,
            expected=" or ".join(read.settings),
        )
    quality.standings(read.quality, file=path.name)


def _check_setting(file: str, name: str, row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        if key not in _SETTING_KEYS or not isinstance(value, _SETTING_KEYS[key]):
            raise ConfigInvalid(
                f"{file}: settings.{name}.{key} is unknown or of the wrong type.",
                field=f"settings.{name}.{key}",
                found=value,
                expected=", ".join(
                    f"{key} ({kind.__name__})" for key, kind in _SETTING_KEYS.items()
                ),
            )
    if not row.get("doc"):
        raise ConfigInvalid(f"{file}: settings.{name} has no doc.", field=f"settings.{name}.doc")
