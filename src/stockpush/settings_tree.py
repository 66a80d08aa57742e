"""Configuration as it was written, file and environment alike, brought to one shape of tree.

Theory of operation. A tree is nested dicts: section, then key, for channels section, name, key.
The file gives it directly; a variable `STOCKPUSH_CHANNELS__MY_SHOP__MODE` gives the path
`channels, my-shop, mode` (a channel's name has no `_`, so `_` can only stand for `-`). Settings
that hold a secret become `Secret` values here, which know where to look themselves up, and a
channel's settings are parted into those that every channel has and those of its connector.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

from stockpush.errors import ConfigInvalid
from stockpush.secret import Secret

PREFIX = "STOCKPUSH_"
"""What every environment variable that is a setting begins with."""
PATH_VARIABLE = "STOCKPUSH_CONFIG"
"""The variable that names the configuration file; the one with the prefix that is no setting."""

Tree: TypeAlias = dict[str, Any]
_SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the trees need to know of the settings: `secrets` are paths of secret settings,
    `channel_keys` the settings that every channel has, whatever its connector.
    """

    secrets: Collection[tuple[str, str]]
    channel_keys: Collection[str]


def read_file(path: Path) -> Tree:
    """Return the tree that a TOML file holds; numbers with a point are exact.

    Raises `ConfigInvalid` naming the file, and for a mistake in TOML its line.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigInvalid(
            f"The configuration file {path} cannot be read: {error.strerror}.",
            field=str(path),
            expected="a TOML file that this user can read",
            next="stockpush init",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"The configuration file {path} is not UTF-8 text.",
            field=str(path),
            expected="UTF-8",
            next=f"edit {path}",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(
            f"The configuration file {path} is not TOML: {error}.",
            field=str(path),
            expected="TOML, as in config/stockpush.example.toml",
            next=f"edit {path}",
        ) from error


def read_environment(environ: Mapping[str, str]) -> tuple[Tree, dict[tuple[str, ...], str]]:
    """Return the tree that the `STOCKPUSH_` variables make, and which variable gave which path."""
    tree: Tree = {}
    names: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == PATH_VARIABLE:
            continue
        path = name.removeprefix(PREFIX).lower().split(_SEPARATOR)
        if len(path) > 1 and path[0] == "channels":
            path[1] = path[1].replace("_", "-")
        names[tuple(path)] = name
        _put(tree, path, environ[name], name)
    return tree, names


def shaped(tree: Tree, shape: Shape, environ: Mapping[str, str]) -> Tree:
    """Return a copy of `tree` with its secrets wrapped and its channels parted."""
    copy: Tree = {
        section: dict(given) if isinstance(given, dict) else given
        for section, given in tree.items()
    }
    for section, key in shape.secrets:
        if isinstance(copy.get(section), dict) and key in copy[section]:
            copy[section][key] = _secret(f"{section}.{key}", copy[section][key], environ)
    channels = copy.get("channels")
    if isinstance(channels, dict):
        copy["channels"] = {
            name: _channel(name, given, shape, environ) if isinstance(given, dict) else given
            for name, given in channels.items()
        }
    return copy


def _channel(name: str, given: Tree, shape: Shape, environ: Mapping[str, str]) -> Tree:
    common = {key: value for key, value in given.items() if key in shape.channel_keys}
    own = {
        key: _secret(f"channels.{name}.{key}", value, environ)
        for key, value in given.items()
        if key not in shape.channel_keys
    }
    return {**common, "name": name, "extra": own}


def _secret(name: str, value: object, environ: Mapping[str, str]) -> Secret:
    """Wrap a setting's text. A number or a truth value is kept as it would be typed."""
    match value:
        case str():
            return Secret(name, value, environ)
        case bool():
            return Secret(name, str(value).lower(), environ)
        case int() | Decimal():
            return Secret(name, str(value), environ)
        case _:
            raise ConfigInvalid(
                f"{name} must be text.",
                field=name,
                found=type(value).__name__,
                expected="text between quotes",
            )


def _put(tree: Tree, path: list[str], value: str, name: str) -> None:
    at: Any = tree
    for key in path[:-1]:
        at = at.setdefault(key, {}) if isinstance(at, dict) else None
    if not isinstance(at, dict) or path[-1] in at:
        raise ConfigInvalid(
            f"{name} contradicts another variable: one is a section of the other.",
            field=name,
            expected="STOCKPUSH_SECTION__KEY",
            next=f"unset {name}",
        )
    at[path[-1]] = value
