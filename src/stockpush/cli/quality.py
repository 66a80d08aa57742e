"""`channels --quality`: how far each connector has come, rule by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stockpush.cli.output import cell, print_json, say, screen, show, table
from stockpush.connectors import quality, registry
from stockpush.connectors.base import Manifest
from stockpush.connectors.quality import MEANING, RULES, Standing, Status, Tier

WIDE: Final = 110
"""Columns from which on what a rule asks has its place in the table."""
_SIGNS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.DONE: ("✔", "green"),
    Status.TODO: ("✖", "bold red"),
    Status.EXEMPT: ("\N{EN DASH}", "dim"),
}
_TIERS: Final[Mapping[Tier | None, str]] = {
    None: "bold red",
    Tier.BRONZE: "yellow",
    Tier.SILVER: "cyan",
    Tier.GOLD: "bold green",
}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """How one rule stands with one connector."""

    rule: str
    tier: Tier
    asks: str
    status: Status
    shown: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True, slots=True)
class ConnectorRow:
    """One connector: the rung that it has reached (None: not the first), and why."""

    connector: str
    title: str
    api_version: str
    source: str
    tier: Tier | None
    rules: tuple[RuleRow, ...]


def show_ladder(*, as_json: bool) -> None:
    """Print the ladder of every connector that the program has."""
    rows = [connector_row(each) for each in registry.manifests().values()]
    if as_json:
        print_json({"data": rows})
        return
    wide = screen().width >= WIDE
    _print_table(rows, wide=wide)
    if not wide:
        say()
        for tier in Tier:
            say(f"{tier:<6}  {MEANING[tier]}", "dim")
        say("What each rule asks: docs/quality.md, or a wider terminal", "dim")
    for status, heading in ((Status.TODO, "still to do"), (Status.EXEMPT, "does not apply")):
        _print_reasons(rows, status, heading)


def connector_row(manifest: Manifest) -> ConnectorRow:
    """Return how a connector stands."""
    stands = quality.standings(manifest.quality, file=f"{manifest.name}.toml")
    return ConnectorRow(
        connector=manifest.name,
        title=manifest.title,
        api_version=manifest.api_version,
        source=manifest.source,
        tier=quality.tier(stands),
        rules=tuple(map(_rule_row, stands)),
    )


def _rule_row(each: Standing) -> RuleRow:
    rule = each.rule
    return RuleRow(rule.name, rule.tier, rule.asks, each.status, each.shown, each.reason or None)


def _print_table(rows: Sequence[ConnectorRow], *, wide: bool) -> None:
    asks = ("=asks",) if wide else ()
    shown = table("=rule", *asks, *(f"={row.connector}" for row in rows))
    shown.add_row(
        cell("reached", "bold"),
        *([cell("")] if wide else []),
        *(cell(row.tier or "none yet", _TIERS[row.tier]) for row in rows),
    )
    for number, rule in enumerate(RULES):
        if number == 0 or rule.tier is not RULES[number - 1].tier:
            shown.add_section()
            shown.add_row(cell(rule.tier, "bold"), *([cell(MEANING[rule.tier])] if wide else []))
        signs = (_SIGNS[row.rules[number].status] for row in rows)
        shown.add_row(
            cell(f"  {rule.name}"),
            *([cell(rule.asks, "dim")] if wide else []),
            *(cell(sign, style) for sign, style in signs),
        )
    show(shown)


def _print_reasons(rows: Sequence[ConnectorRow], status: Status, heading: str) -> None:
    """Print why rules of that status stand so, each reason once."""
    told = dict[tuple[str, str], list[str]]()
    for rule, reason, name in _reasons(rows, status):
        told.setdefault((rule, reason), []).append(name)
    if not told:
        return
    sign, style = _SIGNS[status]
    shown = table(f"={sign} {heading}", "connectors", "why")
    for (rule, reason), names in told.items():
        shown.add_row(cell(f"  {rule}"), cell(", ".join(names)), cell(reason, "dim"))
    shown.columns[0].header_style = style
    say()
    show(shown)


def _reasons(rows: Sequence[ConnectorRow], status: Status) -> Iterator[tuple[str, str, str]]:
    for number, rule in enumerate(RULES):
        for row in rows:
            if row.rules[number].status is status:
                yield rule.name, row.rules[number].reason or "", row.connector
