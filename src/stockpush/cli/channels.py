"""`channels` and `resync`: how the channels are doing, and asking the daemon to look again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stockpush.cli.options import Config, DryRun, Json, Reason, Yes
from stockpush.cli.output import cell, note, print_json, say, say_reasons, show, table
from stockpush.cli.session import agreed, find_channel, find_item, one_line, with_parts
from stockpush.cli.stock import print_plan
from stockpush.engine import channel_report, report
from stockpush.errors import ConfigInvalid, ExitCode, UsageError
from stockpush.model import Health

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.engine.channel_report import ChannelRow
    from stockpush.engine.report import PlanRow
    from stockpush.store.reads import ChannelRow as StoredChannel

_STATES = {"ok": "green", "paused": "yellow", "needs_login": "bold red", "unreachable": "red"}
"""How a channel's state looks."""


def channels(config: Config = None, as_json: Json = False) -> None:
    """Show how each channel is doing.

    State, webhook address, last order, backlog, and how long a push takes (p50, p95).
    """

    async def read(parts: Parts) -> tuple[list[ChannelRow], str | None, str]:
        return *await _rows(parts), parts.settings.daemon.public_url or ""

    rows, trouble, root = with_parts(config, read, what="Reading the channels ...")
    if as_json:
        print_json({"data": rows})
    elif rows:
        _print_rows(rows, root)
    else:
        say("No channel is configured.")
        say("Next: stockpush init   (writes a configuration to fill in)")
    if trouble:
        note(f"The webhook addresses cannot be shown: {trouble}")


async def _rows(parts: Parts) -> tuple[list[ChannelRow], str | None]:
    """Return the rows, and why there are no webhook paths if there should be some."""
    from stockpush import compose
    from stockpush.store import reads

    trouble = None
    paths: dict[str, str | None] = dict.fromkeys(parts.settings.channels)
    try:
        paths = {name: parts.webhook_path(name) for name in paths}
    except ConfigInvalid as error:  # the key may be for the daemon's eyes alone
        trouble = error.message
    runs = compose.daemon_runs(parts.settings)
    rows = []
    for name, stored in zip(paths, await reads.channel_rows(parts.store, list(paths)), strict=True):
        health, reason = _health(stored, runs=runs)
        rows.append(
            channel_report.channel(
                parts.lane.policies[name],
                stored,
                webhook_path=paths[name],
                health=health,
                reason=reason,
            )
        )
    return rows, trouble


def _health(stored: StoredChannel, *, runs: bool | None) -> tuple[Health | None, str]:
    """Return how the channel is doing; None: as the daemon recorded it."""
    if runs is False and stored.state.health is not Health.NEEDS_LOGIN:
        return Health.PAUSED, "no daemon is running: stockpush run"
    return None, ""


def _print_rows(rows: Sequence[ChannelRow], root: str) -> None:
    shown = table(
        "=channel",
        "=connector",
        "=mode",
        "=state",
        ">listings",
        ">backlog",
        ">p50/p95",
        "last order",
    )
    for row in rows:
        latency, last = row.latency_s, row.last_order_at
        shown.add_row(
            cell(row.name, "bold"),
            cell(row.connector),
            cell(row.mode),
            cell(row.state.replace("_", " "), _STATES[row.state]),
            cell(row.listings),
            cell(row.backlog),
            cell(latency and f"{latency.p50:.2f}/{latency.p95:.2f} s"),
            cell(last and last.astimezone().strftime("%m-%d %H:%M")),
        )
    show(shown)
    say_reasons((row.name, row.state_reason) for row in rows)
    if any(row.webhook_path for row in rows):
        say()
        say("Webhooks go to (keep these addresses to yourself):", "dim")
        for row in rows:
            say(f"  {row.name:<{max(len(each.name) for each in rows)}}  {root}{row.webhook_path}")


# -- resync ----------------------------------------------------------------------------------


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
    The daemon does it, at once if it runs; --dry-run shows what would be written as of now.
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
        from stockpush import compose

        runs = compose.daemon_runs(parts.settings)
        if dry_run:
            return None, runs
        arguments = {**asked, **({"reason": why} if why else {})}
        return await parts.store.ask("resync", arguments, at=parts.clock.now()), runs

    number, runs = with_parts(config, ask, what="Asking ...")
    if as_json:
        print_json(
            {
                "id": None if number is None else f"rq-{number}",
                "undo": None,
                "dry_run": dry_run,
                "daemon_runs": runs,
                "data": [row.as_json() for row in plan],
            }
        )
    elif dry_run:
        say("Nothing was asked for: this was a rehearsal.")
    elif runs is False:
        say("Asked for. No daemon is running: it will be done at the next `stockpush run`.")
    else:
        say(
            "Asked for: the daemon does it now." if runs else "Asked for: a running daemon does it."
        )


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
