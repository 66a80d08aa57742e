"""`resync`: have orders and quantities read again, differences settled, numbers pushed.

Theory of operation. What is wanted is left as a request in the database, so that it is not lost.
A running daemon sees it and carries it out. Where none runs, this command takes the daemon's place:
it takes its lock, runs its workers without listeners until nothing is left, and says what it wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stockpush.cli.options import Config, DryRun, Json, Reason, Yes
from stockpush.cli.output import cell, note, print_json, reference, say, show, table
from stockpush.cli.run import innermost
from stockpush.cli.session import agreed, find_channel, find_item, with_parts
from stockpush.cli.stock import print_plan
from stockpush.engine import report, rest
from stockpush.engine.given import one_line
from stockpush.errors import AlreadyRunning, ConfigInvalid, ExitCode, StockPushError, UsageError
from stockpush.messages import Decision
from stockpush.model import FieldKey, Health, PushOutcomeKind

if TYPE_CHECKING:
    from stockpush.compose import Crew, Parts
    from stockpush.engine.report import PlanRow
    from stockpush.reservation.catalogue import Catalogue

REST_S: Final = 120.0
"""How long the workers may take until nothing is left."""
LOOK_S: Final = 0.1
"""How often that is looked at."""


def resync(
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="CHANNEL", help="One channel alone.")
    ] = None,
    sku: Annotated[str | None, typer.Option("--sku", metavar="SKU", help="One item alone.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every channel and item.")] = False,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
) -> None:
    """Have orders and quantities read again.

    Differences are settled and what is needed is pushed.
    A running daemon does it; where none runs, it is done here. --dry-run shows what would be
    written as of now.
    """
    if everything == (channel is not None or sku is not None):
        raise UsageError(
            "resync needs to know what to read again.",
            field="--all",
            expected="--channel, --sku or both; or --all alone",
            next="stockpush resync --all",
        )
    why = one_line(reason, field="--reason")

    async def look(parts: Parts) -> tuple[dict[str, str], tuple[PlanRow, ...]]:
        return await _planned(parts, channel, sku)

    asked, plan = with_parts(config, look, what="Computing what would be pushed ...")
    if not as_json and (dry_run or everything):
        _print_planned(plan)
    if everything and not dry_run:
        question = "Read every channel again?"
        typed = "stockpush resync --all --yes"
        if not agreed(question, yes=yes, as_json=as_json, command=typed):
            say("Nothing was asked for.")
            raise typer.Exit(ExitCode.FAILED)

    async def ask(parts: Parts) -> tuple[int | None, bool | None]:
        from stockpush.compose import database

        runs = database.daemon_runs(parts.settings)
        if dry_run:
            return None, runs
        arguments = {**asked, **({"reason": why} if why else {})}
        return await parts.store.ask("resync", arguments, at=parts.clock.now()), runs

    number, runs = with_parts(config, ask, what="Asking ...")
    done = None
    if runs is False and not dry_run:
        try:
            done = _carry_out(config)
        except AlreadyRunning:  # a daemon has started meanwhile
            runs = True
        except ConfigInvalid as error:  # the channels' secrets may be for the daemon's eyes alone
            note(f"It cannot be done here: {error.message}")
    if as_json:
        print_json(
            {
                "id": None if number is None else f"rq-{number}",
                "undo": None,
                "dry_run": dry_run,
                "daemon_runs": runs,
                "data": [row.as_json() for row in plan],
                "written": None if done is None else [row.as_json() for row in done.written],
                "left": None if done is None else done.left,
            }
        )
    elif dry_run:
        say("Nothing was asked for: this was a rehearsal.")
    elif done is not None:
        _print_done(done)
    else:
        say(_WHO_DOES_IT[runs])
    if done is not None and done.left:
        raise typer.Exit(ExitCode.FAILED)


_WHO_DOES_IT: Final[Mapping[bool | None, str]] = {
    True: "Asked for: the daemon does it now.",
    False: "Asked for. No daemon is running: it will be done at the next `stockpush run`.",
    None: "Asked for: a running daemon does it.",
}


async def _planned(
    parts: Parts, channel: str | None, sku: str | None
) -> tuple[dict[str, str], tuple[PlanRow, ...]]:
    """Return the request's arguments, names as configured, and the plan of what they concern."""
    view = await parts.view()
    asked = {}
    if channel is not None:
        asked["channel"] = find_channel(parts.settings.channels, channel)
    if sku is not None:
        asked["sku"] = find_item(view.catalogue, sku).sku
    return asked, tuple(
        row
        for row in report.plan(view)
        if row.channel == asked.get("channel", row.channel) and row.sku == asked.get("sku", row.sku)
    )


def _print_planned(plan: Sequence[PlanRow]) -> None:
    if plan:
        say("As far as is known now, before anything is read again, this would be written:")
        say()
        print_plan(plan)
    else:
        say("As far as is known now, before anything is read again, nothing would be written.")


# -- in the daemon's place -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """One listing that was written: what it showed before (`was`) and shows now, channel's units.

    A field that several listings share comes once, under the first of them.
    """

    channel: str
    ref: Mapping[str, Any]
    sku: str
    was: int
    to: int

    def as_json(self) -> dict[str, Any]:
        """Return the shape of `resync --json`."""
        return {
            "channel": self.channel,
            "ref": dict(self.ref),
            "sku": self.sku,
            "from": self.was,
            "to": self.to,
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What the workers did here: what they wrote, and by channel what they could not finish."""

    written: tuple[WrittenRow, ...]
    left: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class _Writes:
    """The numbers that channels took, as the commit lane tells of them."""

    numbers: dict[FieldKey, tuple[int, int]] = field(default_factory=dict)

    def note(self, decision: Decision) -> None:
        """Note every push that was applied: the first number replaced, and the last one set."""
        for push in decision.pushes:
            if push.outcome is PushOutcomeKind.APPLIED:
                before, _ = self.numbers.get(push.field, (push.expected, 0))
                self.numbers[push.field] = (before, push.target)

    def rows(self, catalogue: Catalogue) -> tuple[WrittenRow, ...]:
        """Return them by channel and listing."""
        return tuple(
            WrittenRow(key.channel, listing.ref, listing.sku, *numbers)
            for key, numbers in sorted(self.numbers.items())
            for listing in catalogue.listings_on[key][:1]
        )


def _carry_out(config: Path | None) -> Done:
    """Take the daemon's place until nothing is left, at most for REST_S."""
    try:
        return with_parts(config, _work, what="Reading the channels ...", connected=True)
    except KeyboardInterrupt:
        raise StockPushError(
            "Interrupted: what was under way was finished, the rest is still to be done.",
            next="stockpush run",
        ) from None
    except BaseExceptionGroup as broken:
        raise innermost(broken) from broken


async def _work(parts: Parts) -> Done:
    from stockpush import compose

    writes = _Writes()
    parts.lane.listen(writes.note)
    begun_at = parts.clock.now()
    stop = asyncio.Event()
    async with compose.working(parts, stop=stop) as crew:
        ends = parts.clock.monotonic() + REST_S
        left = await _left(parts, crew, begun_at)
        while _goes_on(crew, left) and not stop.is_set() and parts.clock.monotonic() < ends:
            await parts.clock.sleep(LOOK_S)
            left = await _left(parts, crew, begun_at)
    return Done(writes.rows(await parts.catalogue()), left)


async def _left(parts: Parts, crew: Crew, since: datetime) -> Mapping[str, Sequence[str]]:
    now = parts.clock.now()
    return await rest.left(parts.store, crew.channels.values(), since=since, now=now)


def _goes_on(crew: Crew, left: Mapping[str, Sequence[str]]) -> bool:
    """Answer whether waiting helps: a channel that refuses our credentials needs a person."""
    return any(crew.channels[name].health is not Health.NEEDS_LOGIN for name in left)


def _print_done(done: Done) -> None:
    if done.written:
        say(
            f"Written: {len(done.written)} {'number' if len(done.written) == 1 else 'numbers'}.",
            "bold",
        )
        say()
        shown = table("channel", "reference", "SKU", ">showed", ">shows")
        for row in done.written:
            shown.add_row(
                cell(row.channel),
                cell(reference(row.ref), "dim"),
                cell(row.sku),
                cell(row.was),
                cell(row.to, "bold"),
            )
        show(shown)
    elif not done.left:
        say("Everything was read again; nothing had to be written.")
    for name, things in done.left.items():
        say(f"Not finished: {name}: {', '.join(things)}.", "yellow")
    if done.left:
        say("It goes on at the next `stockpush run`, or with the same command again.")
