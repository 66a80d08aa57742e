"""`connect`: have access granted and kept, check it, and have the shop send its webhooks to us.

Theory of operation. Some platforms have a person grant access in a browser, on any machine: the
address to open is printed, and the address at which the browser ends is pasted back, so that this
machine needs neither a browser nor to be reached. What is granted is sealed and
stored before it is used, and every process of the business uses it from then on. Others are granted
access by what is configured, or have it for good: then it is tried. Webhooks are made where the
platform lets a program do it.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from stockpush.cli.doctor import Examined, examined, print_page
from stockpush.cli.options import Config, DryRun, Json, Yes
from stockpush.cli.output import note, print_json, say
from stockpush.cli.session import find_channel, with_parts
from stockpush.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.connectors.base import Finding, Hooks


def connect(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="A configured channel.")],
    redirect: Annotated[
        str | None,
        typer.Option(
            "--redirect",
            metavar="URL",
            help="The redirect address registered there. Default: public_url/connected.",
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Connect a channel: access, and webhooks.

    Where the platform has a person grant access, opens with an address for the browser. Then access
    is checked, and the channel's webhooks are made, or mended, to come to public_url.

    --dry-run checks, and says what would be made.
    """
    del yes  # taken by every writing command; there is nothing to ask here

    async def work(parts: Parts) -> tuple[int | None, list[Examined], Hooks | None]:
        from stockpush.connectors.base import Finding

        name = find_channel(parts.settings.channels, channel)
        lines, hooks = await _connected(parts, name, redirect, dry_run=dry_run)
        number = None
        if not dry_run and all(line.ok for line in lines):
            # A daemon that was refused tries again seldom: this has it read everything now, all the
            # more where no webhook will tell it.
            number = await parts.store.ask("resync", {"channel": name}, at=parts.clock.now())
        if isinstance(hooks, Finding):
            return number, [*lines, examined(name, hooks)], None
        return number, lines, hooks

    number, lines, hooks = with_parts(config, work, what=None)
    if as_json:
        print_json(
            {
                "id": None if number is None else f"rq-{number}",
                "undo": None,
                "dry_run": dry_run,
                "data": [line.as_json() for line in lines],
                "webhooks": None if hooks is None else _hooks_json(hooks),
            }
        )
    else:
        print_page(lines)
        if hooks is not None:
            _print_hooks(hooks, dry_run=dry_run)
    wrong = [line for line in lines if not line.ok]
    if wrong:
        only_access = all(line.access for line in wrong)
        raise typer.Exit(ExitCode.CREDENTIALS if only_access else ExitCode.FAILED)
    if not as_json and not dry_run:
        say()
        say("Next: stockpush run   (a daemon that runs takes the channel up by itself)")


async def _connected(
    parts: Parts, name: str, redirect: str | None, *, dry_run: bool
) -> tuple[list[Examined], Hooks | Finding | None]:
    """Have access granted where that takes a person, check it, and make the webhooks.

    Return how the account stands, and the webhooks or why they could not be had.
    """
    from stockpush import compose
    from stockpush.compose import accounts

    connector = compose.to_examine(parts.settings.channels[name])
    async with accounts.door(parts, name, connector) as api:
        found = await accounts.examine_access(connector, api)
        if not dry_run and any(each.grant and not each.ok for each in found):
            told = await accounts.grant(parts, name, connector, api, redirect=redirect, ask=_ask)
            if told:
                found = await accounts.examine_access(connector, api)
        lines = [examined(name, each) for each in found]
        # Webhooks of a channel that cannot be worked yet would be answered 404.
        refused = any(each.access and not each.ok for each in found)
        if refused or compose.undecided(connector) is not None:
            return lines, None
        return lines, await accounts.ensure_webhooks(parts, name, connector, api, dry_run=dry_run)


def _ask(address: str) -> str:
    """Print the address to open; return the one that the browser ended at.

    All of it on stderr: it is a question, and stdout has the answer of the command.
    """
    note("Open this address in a browser, as the shop's owner, and agree:")
    note("")
    note(f"  {address}")
    note("")
    note("The browser then ends at an address that may show an error page: that is all right.")
    note("Paste that whole address here:")
    answer = _line()
    if not answer:
        raise UsageError(
            "Nobody pasted the address at which the browser ended; nothing was changed.",
            expected="that address as one line, typed or on stdin",
        )
    return answer


def _line() -> str:
    """Return the next line that is typed, '' where nobody types any more.

    The event loop would take the first Ctrl-C for itself and go on waiting for the line.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, before)


def _hooks_json(hooks: Hooks) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(hooks)
    return {**shown, "advice": hooks.advice or None}


def _print_hooks(hooks: Hooks, *, dry_run: bool) -> None:
    say()
    if hooks.advice:
        say(f"Webhooks: {hooks.advice}")
        return
    would = "would be " if dry_run else ""
    for what, topics in (
        ("right already", hooks.kept),
        (f"{would}made", hooks.made),
        (f"{would}switched on again", hooks.revived),
        (f"{would}removed (double, or for a former address)", hooks.removed),
        (f"{would}given the configured secret", hooks.rekeyed),
    ):
        if topics:
            say(f"Webhooks {what}: {', '.join(topics)}")
