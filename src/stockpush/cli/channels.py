"""`channels`: how the channels are doing, and what each shop must be told to send where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stockpush.cli.options import Config, Json
from stockpush.cli.output import cell, note, print_json, say, say_reasons, show, table
from stockpush.cli.quality import show_ladder
from stockpush.cli.session import with_parts
from stockpush.engine import channel_report
from stockpush.errors import ConfigInvalid
from stockpush.model import Health
from stockpush.settings import find

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.engine.channel_report import ChannelRow
    from stockpush.settings import Settings
    from stockpush.store.reads import ChannelRow as StoredChannel

_STATES = {"ok": "green", "paused": "yellow", "needs_login": "bold red", "unreachable": "red"}
"""How a channel's state looks."""


def channels(
    config: Config = None,
    as_json: Json = False,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality", help="Show instead how far each connector has come, rule by rule."
        ),
    ] = False,
) -> None:
    """Show how each channel is doing.

    State, webhook address and topics, last order, backlog, and how long a push takes (p50, p95).
    """
    if quality:
        show_ladder(as_json=as_json)
        return

    async def read(parts: Parts) -> tuple[list[ChannelRow], str | None, Settings]:
        return *await _rows(parts), parts.settings

    rows, trouble, settings = with_parts(config, read, what="Reading the channels ...")
    if as_json:
        print_json({"data": rows})
    elif rows:
        _print_rows(rows)
        _print_webhooks(rows, settings)
    else:
        say("No channel is configured.")
        there = find(config, os.environ)
        fill_in = "writes a configuration to fill in"
        say(f"Next: edit {there}" if there else f"Next: stockpush init   ({fill_in})")
    if trouble:
        note(f"The webhook addresses cannot be shown: {trouble}")


async def _rows(parts: Parts) -> tuple[list[ChannelRow], str | None]:
    """Return the rows, and why there are no webhook paths if there should be some."""
    from stockpush.compose import database
    from stockpush.store import reads

    trouble = None
    paths: dict[str, str | None] = dict.fromkeys(parts.settings.channels)
    try:
        for name in paths:
            paths[name] = None if parts.polled_only(name) else parts.webhook_path(name)
    except ConfigInvalid as error:  # the key may be for the daemon's eyes alone
        trouble = error.message
    runs = database.daemon_runs(parts.settings)
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


def _print_rows(rows: Sequence[ChannelRow]) -> None:
    shown = table(
        "=channel",
        "=connector",
        "=mode",
        "=state",
        ">listings",
        ">backlog",
        ">p50/p95",
        ">heard in",
        "last order",
    )
    for row in rows:
        latency, last = row.latency_s, row.last_order_at
        shown.add_row(
            cell(row.name, "bold"),
            cell(row.connector),
            cell(row.mode),
            cell(row.state.replace("_", " "), _STATES[row.state]),
            cell(f"{row.listings} ({row.parked} parked)" if row.parked else row.listings),
            cell(row.backlog),
            cell(latency and f"{latency.p50:.2f}/{latency.p95:.2f} s"),
            cell(_heard_in(row)),
            cell(last and last.astimezone().strftime("%m-%d %H:%M")),
        )
    show(shown)
    say_reasons((row.name, row.state_reason) for row in rows)
    looks = [(f"{row.name} {each.field}", each.reason) for row in rows for each in row.look_at]
    say_reasons(looks)
    if looks:
        say("Next: stockpush resync   (once you have looked at these listings)")
    if any(row.parked for row in rows):
        say()
        say("Next: stockpush plan   (says what to mend in the shop for those that are parked)")


def _heard_in(row: ChannelRow) -> str:
    """Return how long an order takes to be known, by the way that is the faster one."""
    for way, latency in (("webhook", row.heard_s.webhook), ("poll", row.heard_s.poll)):
        if latency is not None:
            return f"{latency.p50:.1f} s ({way})"
    return ""


def _print_webhooks(rows: Sequence[ChannelRow], settings: Settings) -> None:
    """Print what to tell each shop: the address, and the topics to subscribe it to."""
    from stockpush import compose

    polled = [(row.name, compose.polled_only(settings.channels[row.name])) for row in rows]
    say_reasons((name, f"orders come by polling ({why})") for name, why in polled if why)
    subscribed = [row for row in rows if row.webhook_path is not None]
    if not subscribed:
        return
    root = settings.daemon.public_url
    say()
    say("Subscribe these webhooks (keep the addresses to yourself):", "dim")
    for row in subscribed:
        say(f"  {row.name}", "bold")
        say(f"    {root or ''}{row.webhook_path}")
        say(f"    {', '.join(compose.webhook_topics(settings.channels[row.name]))}", "dim")
    if root is None:
        note("Each goes behind the address under which shops reach this machine: set public_url")
