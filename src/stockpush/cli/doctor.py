"""`doctor`: one page of what stands and what must be mended, each with what to type.

Theory of operation. From the ground up: the configuration, the keys, the database, the address that
shops reach us by, then each channel by itself. What stands on something broken is not looked at.
Nothing is changed, on the channels neither, but that access which runs out is renewed, as the
daemon would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from stockpush.cli.options import Config, Json
from stockpush.cli.output import plain, print_json, say, screen
from stockpush.cli.session import settings_of, with_parts
from stockpush.errors import ConfigInvalid, ExitCode, StockPushError

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.connectors.base import Finding
    from stockpush.settings import Settings


class Examined(NamedTuple):
    """One line of the page: `channel` is None for what concerns them all."""

    channel: str | None
    what: str
    ok: bool
    told: str
    mend: str = ""
    access: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the line as scripts read it."""
        return {
            "channel": self.channel,
            "what": self.what,
            "ok": self.ok,
            "told": self.told,
            "mend": self.mend or None,
        }


@dataclass(slots=True)
class _Page:
    """What has been found so far."""

    lines: list[Examined]

    def look(self, what: str, look: Callable[[], str]) -> bool:
        """Note what a look tells, or the fault that it met; answer whether it was well."""
        try:
            self.lines.append(Examined(None, what, True, look()))
        except StockPushError as error:
            mend = error.next or (f"expected: {error.expected}" if error.expected else "")
            self.lines.append(Examined(None, what, False, error.message, mend))
            return False
        return True


def doctor(config: Config = None, as_json: Json = False) -> None:
    """Look at everything and say what to mend.

    Configuration, keys, database, clocks, public address; of each channel access and scopes,
    listings and webhooks.

    Exit code 0 if all is well, 3 if only credentials are wrong, 2 for the configuration, else 1.
    """
    page = _Page([])
    try:
        settings = settings_of(config)
    except ConfigInvalid as error:
        mend = error.next or f"expected: {error.expected}"
        page.lines.append(Examined(None, "configuration", False, error.message, mend))
        _print(page.lines, as_json=as_json)
        raise typer.Exit(ExitCode.USAGE) from None
    channels = len(settings.channels)
    page.lines.append(Examined(None, "configuration", True, f"{channels} channels"))
    sound = _ground(page, settings)
    if sound:
        page.lines += with_parts(config, _channels, what="Looking at every channel ...")
    _print(page.lines, as_json=as_json)
    wrong = [line for line in page.lines if not line.ok]
    if wrong:
        only_access = all(line.access for line in wrong)
        raise typer.Exit(ExitCode.CREDENTIALS if only_access else ExitCode.FAILED)


def _ground(page: _Page, settings: Settings) -> bool:
    """Look at what every channel stands on; answer whether channels can be looked at."""
    from stockpush.compose import database

    daemon = settings.daemon

    def keyed() -> str:
        daemon.resolved_secret_key()
        return "there"

    def token() -> str:
        daemon.resolved_admin_token()
        return "there"

    def migrated() -> str:
        asyncio.run(database.examine(settings))
        before, now = asyncio.run(database.migrate(settings, dry_run=True))
        return f"schema {now}" if before == now else f"schema {before or 'none yet'}, to be {now}"

    sound = [
        page.look("secret key", keyed),
        page.look("admin token", token),
        page.look("database", migrated),
    ]
    runs = database.daemon_runs(settings) if sound[-1] else None
    if runs is not None:
        told = "runs" if runs else "does not run"
        page.lines.append(Examined(None, "daemon", True, told, "" if runs else "stockpush run"))
    return sound[0] and sound[-1]


async def _channels(parts: Parts) -> list[Examined]:
    """Look at the public address and at each channel."""
    from stockpush.compose import accounts

    found = await _pools(parts)
    found += [examined(None, each) for each in await accounts.examine_address(parts)]
    for name in parts.settings.channels:
        found += [examined(name, each) for each in await accounts.examine_channel(parts, name)]
    return found


async def _pools(parts: Parts) -> list[Examined]:
    """Look at the pools that feed the channels, where there are several."""
    from stockpush.compose import check_pools

    try:
        pools = await check_pools(parts)
    except ConfigInvalid as error:
        return [Examined(None, "pools", False, error.message, error.next or "")]
    return [Examined(None, "pools", True, ", ".join(pools))] if len(pools) > 1 else []


def examined(channel: str | None, finding: Finding) -> Examined:
    """Return a finding as a line of the page."""
    mend = "" if finding.ok and not finding.mend.startswith("stockpush ") else finding.mend
    return Examined(channel, finding.what, finding.ok, finding.told, mend, finding.access)


def _print(lines: Sequence[Examined], *, as_json: bool) -> None:
    if as_json:
        print_json({"data": [line.as_json() for line in lines]})
    else:
        print_page(lines)


def print_page(lines: Sequence[Examined]) -> None:
    """Print lines for people, channel by channel."""
    from rich.text import Text

    channel: str | None = None
    for line in lines:
        if line.channel != channel:
            channel = line.channel
            say()
            say(f"{channel}", "bold")
        mark, style = ("✔", "green") if line.ok else ("✖", "bold red")
        screen().print(
            Text.assemble((mark, style), f" {plain(line.what)}: ", (plain(line.told), "dim")),
            soft_wrap=True,
        )
        if not line.ok and line.mend:
            fix = Text.assemble("    ", ("Fix: ", "bold"), plain(line.mend))
            screen().print(fix, soft_wrap=True)
