"""Opening what a command works with, and finding what a person named."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import unicodedata
from collections.abc import Awaitable, Callable, Collection
from contextlib import nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from stockpush.cli.output import working
from stockpush.errors import NotFound, UsageError
from stockpush.model import Item
from stockpush.reservation.catalogue import Catalogue
from stockpush.settings import Settings, find

if TYPE_CHECKING:
    from stockpush.compose import Parts

V = TypeVar("V")

NEAREST_MAX: Final = 3
"""Most names suggested for one that does not exist."""


def settings_of(config: Path | None) -> Settings:
    """Return the configuration, or the defaults where there is none: `./stockpush.db`."""
    return Settings.load(find(config, os.environ), os.environ)


def with_parts(
    config: Path | None,
    job: Callable[[Parts], Awaitable[V]],
    *,
    what: str | None = "Working ...",
    connected: bool = False,
) -> V:
    """Open the database of the configuration and return what `job` makes of it.

    Unless `connected`, no connector is made, so that no channel's credentials are needed: those
    that a service manager hands to the daemon need not be readable here. `what` None: a person is
    asked meanwhile, and nothing may turn beside the question.
    """
    # Databases and HTTP take most of a second to import; `--help` and slips need neither.
    from stockpush import compose

    async def opened() -> V:
        async with compose.parts(settings, connectors=None if connected else {}) as parts:
            return await job(parts)

    with nullcontext() if what is None else working(what):
        settings = settings_of(config)
        return asyncio.run(opened())


def actor() -> str:
    """Return who acts, for the record."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a user id without a name, as containers have
        return f"cli:{os.getuid()}"


def may_ask(*, as_json: bool) -> bool:
    """Answer whether there is a person at a terminal who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not as_json


def agreed(question: str, *, yes: bool, as_json: bool, command: str) -> bool:
    """Answer whether the person agrees to what was shown.

    Raises `UsageError` where nobody can be asked and `--yes` is missing; `command` is what to type.
    """
    if yes:
        return True
    if not may_ask(as_json=as_json):
        raise UsageError(
            "This changes much at once and nobody can be asked here, so it needs --yes. "
            "Nothing was changed.",
            field="--yes",
            expected="--yes, or a terminal to ask on",
            next=command,
        )
    return typer.confirm(question, default=False, err=True)


# -- finding what was named ------------------------------------------------------------------


def find_item(catalogue: Catalogue, sku: str) -> Item:
    """Return the item that a person named: trimmed, whatever the case.

    Raises `NotFound` with the nearest SKUs.
    """
    given = sku.strip()
    if given in catalogue.items:
        return catalogue.items[given]
    folded = {_folded(each): each for each in catalogue.items}
    if _folded(given) in folded:
        return catalogue.items[folded[_folded(given)]]
    near = [folded[each] for each in get_close_matches(_folded(given), folded, n=NEAREST_MAX)]
    if not catalogue.items:
        raise NotFound(
            f"There is no item {given!r}: there are no items yet.",
            field="SKU",
            found=given,
            next="stockpush import catalog.toml",
        )
    raise _not_found("item", "SKU", given, near, next="stockpush stock")


def find_channel(channels: Collection[str], name: str) -> str:
    """Return the configured channel that a person named, whatever the case.

    Raises `NotFound` with the nearest one.
    """
    given = name.strip()
    folded = given.casefold()  # our names are lower case
    if folded in channels:
        return folded
    near = get_close_matches(folded, sorted(channels), n=NEAREST_MAX)
    raise _not_found("channel", "channel", given, near, next="stockpush channels")


def _not_found(what: str, field: str, given: str, near: list[str], *, next: str) -> NotFound:
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return NotFound(
        f"There is no {what} {given!r}.{hint}",
        field=field,
        found=given,
        expected=" or ".join(near) or None,
        next=next,
    )


def _folded(text: str) -> str:
    """Return the form in which two SKUs that people would confuse are equal."""
    return unicodedata.normalize("NFKC", text).strip().casefold()
