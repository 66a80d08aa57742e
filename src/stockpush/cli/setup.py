"""`init` and `migrate`: what comes before everything else.

The configuration that `init` writes is the example with its comments, which is packaged beside
this file: paths are made absolute, so that the same database is found from every folder, and what
only the owner can know (the public address, the channels) is commented out, with "#" alone where
the comments have "# ".
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from stockpush import keys
from stockpush.cli import output
from stockpush.cli.options import Config, DryRun, Json, Yes
from stockpush.cli.session import settings_of
from stockpush.errors import UsageError
from stockpush.messages import Refused

CONFIGURATION: Final = "stockpush.toml"
"""Where `init` puts the configuration, unless told otherwise; commands look there."""
KEY_FILE: Final = "stockpush.key"
TOKEN_FILE: Final = "stockpush.token"  # noqa: S105  # the name of a file
"""What lies beside the configuration."""
_OWNER_ONLY: Final = 0o600


def init(
    config: Config = None, as_json: Json = False, dry_run: DryRun = False, yes: Yes = False
) -> None:
    """Write a configuration, a key and a token.

    The configuration has every setting with its meaning, the key encrypts what is secret at rest,
    and the token opens the private listener.

    They are readable by you alone. What is there already is never overwritten.
    """
    del yes  # taken by every writing command; there is nothing to ask here
    path = (config or Path(CONFIGURATION)).absolute()
    key, token = path.with_name(KEY_FILE), path.with_name(TOKEN_FILE)
    there = [each for each in (path, key, token) if os.path.lexists(each)]
    if there:
        names = ", ".join(each.name for each in there)
        message = f"already in {path.parent}: {names}"
        refused = Refused("exists", message, {"found": [str(each) for each in there]})
        output.refuse(refused, as_json=as_json, next="stockpush stock")
    if not dry_run:
        # The configuration comes last: where it is, the files that it names are.
        _write(key, keys.new_secret_key() + "\n")
        _write(token, keys.new_admin_token() + "\n")
        _write(path, configuration(path.parent))
    if as_json:
        output.print_json(
            {
                "id": None,
                "undo": None,
                "dry_run": dry_run,
                "configuration": str(path),
                "secret_key": str(key),
                "admin_token": str(token),
            }
        )
        return
    output.say("Would write:" if dry_run else "Written, readable by you alone:")
    for each, what in (
        (path, "every setting, with its meaning"),
        (key, "the secret key: keep a copy, it cannot be made again"),
        (token, "the token of the private listener"),
    ):
        output.say(f"  {each.name:<16} {what}")
    output.say()
    output.say("Next:")
    for command, what in (
        ("stockpush import catalog.toml", "your items, bills of materials and stock"),
        ("stockpush stock", "what you can promise"),
        (f"edit {path.name}", "your channels; then: stockpush run"),
    ):
        output.say(f"  {command:<30} {what}")


def configuration(folder: Path) -> str:
    """Return the configuration for a new owner whose files lie in `folder` (absolute)."""
    paths: Mapping[str, str] = {
        "database": f"sqlite:///{folder / 'stockpush.db'}",
        "secret_key": f"file:{folder / KEY_FILE}",
        "admin_token": f"file:{folder / TOKEN_FILE}",
    }
    lines = []
    theirs = False
    example = files("stockpush.cli").joinpath("stockpush.example.toml")
    for line in example.read_text(encoding="utf-8").splitlines():
        key = line.partition(" = ")[0]
        theirs = theirs or line.startswith("[channels.")
        if key in paths:
            # A JSON string is a TOML string.
            lines.append(f"{key} = {json.dumps(paths[key], ensure_ascii=False)}")
        elif line and not line.startswith("#") and (theirs or key == "public_url"):
            lines.append(f"#{line}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a new file that its owner alone can read; never over one that is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            field=str(path),
            expected="a folder that you can write to",
            next="stockpush init --config FOLDER/stockpush.toml",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def migrate(
    config: Config = None, as_json: Json = False, dry_run: DryRun = False, yes: Yes = False
) -> None:
    """Bring the database up to date.

    Other commands do so too, and so does `run`. There is no way back: make a copy first. End a
    daemon of the older version before.
    """
    del yes  # taken by every writing command; there is nothing to ask here

    from stockpush.compose import database

    with output.working("Migrating ..."):
        before, after = asyncio.run(database.migrate(settings_of(config), dry_run=dry_run))
    if as_json:
        output.print_json(
            {"id": None, "undo": None, "dry_run": dry_run, "from": before, "to": after}
        )
    elif before == after:
        output.say(f"The database has schema {after} already.")
    else:
        verb = "Would bring" if dry_run else "Brought"
        output.say(f"{verb} the database from {before or 'nothing'} to schema {after}.")
