"""What `stockpush prove` found, in plain words: a table for a terminal, one for Markdown, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from stockpush.cli.output import table
from stockpush.sim.report import Report, Total, within

DAY_S = 86_400.0
OURS, NAIVE = "ours", "naive"
HEADS: Mapping[str, str] = {OURS: "Stock Push", NAIVE: "naive sync"}

CAUSES: Mapping[str, str] = {
    "unexplained": "because the sync put sold units back on sale",
    "read_write_gap": "bought between our reading and writing, where nothing compares",
    "stale_read": "the shop told us an old number, where nothing compares",
    "zombie": "a request that arrived too late, where nothing compares",
    "aba": "sold unseen behind as many that were put back unseen",
    "renewed": "the one unit that Etsy puts on sale with a renewal",
    "unpaid_unheard": "Etsy: ordered and not paid, and sold to somebody else meanwhile",
    "sent_unheard": "Faire: sent, and for sale again until that was polled",
    "unkept_unheard": "Faire: waits for later, and for sale again until that was read",
    "cross_channel": "two shops sold the last one at once",
    "sibling_listing": "two listings of one shop sold it at once",
    "operator": "sold or used at home before the shops could know",
    "restock": "put back by the shop itself after a cancellation",
    "merchant_edit": "a number typed into the shop by hand",
}
"""Why units were oversold, whoever is most to blame first."""

FAULTS: Mapping[str, str] = {
    "crash": "crashes (kill -9) between two steps",
    "suspend": "computer asleep, then awake again",
    "clock_jump": "computer's clock jumps",
    "clock_skew": "shop's clock is wrong",
    "webhook_lost": "webhooks never sent",
    "webhook_copies": "webhooks sent several times",
    "webhook_reordered": "webhooks overtaken by later ones",
    "webhook_late": "webhooks late, up to a day",
    "webhook_replayed": "old webhooks sent again",
    "hook_lost": "webhooks switched off by the shop",
    "ping": "unsigned pings",
    "same_second": "second sale at the same instant",
    "request_lost": "requests and webhooks lost on the way",
    "answer_lost": "answers lost on the way",
    "zombie": "requests that arrive late",
    "unreachable": "shop unreachable for a while",
    "rate_limit": "requests refused: too many",
    "server_error": "requests refused: shop in trouble",
    "bad_answer": "answers broken or not meant for us",
    "revoked": "access withdrawn for a while",
    "stale_read": "readings of an old number",
    "orders_late": "orders missing from lists at first",
    "merchant_edit": "numbers typed into a shop by hand",
    "other_connection": "commands typed beside the daemon",
    "token_ended": "Etsy: access that ended early",
    "grant_lost": "Etsy: renewed access lost on the way",
    "quota_spent": "Etsy: a day's calls used up",
    "document_edit": "Etsy: a listing edited while it was written",
}
"""What went wrong on purpose, in words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `style` is its name's; `bad` are the columns that stand out."""

    name: str
    values: tuple[str, ...] = ()
    style: str = ""
    bad: frozenset[int] = frozenset()


def rows(totals: Mapping[str, Total]) -> Iterator[Row]:
    """Yield the table's lines, the columns in the order of `totals` (by sync)."""
    each = list(totals.values())
    yield Row("What was simulated", style="bold")
    yield _counts("  simulated worlds", (total.seeds for total in each))
    yield _counts("  shops", (total.shops for total in each))
    yield Row("  days of trade", tuple(f"{total.traded_s / DAY_S:,.1f}" for total in each))
    yield _counts("  sales", (total.sales for total in each))
    yield _counts("  units sold", (total.units for total in each))
    yield _counts("  crashes of the sync", (total.crashes for total in each))
    yield _counts(
        "  requests to write numbers", (total.writes - total.quiet_writes for total in each)
    )
    yield _counts(
        "  numbers that put sold units back on sale", (t.too_high for t in each), is_bad=True
    )
    yield Row("Units sold that were not there", style="bold")
    for cause, words in CAUSES.items():
        counts = [total.oversold[cause] for total in each]
        if any(counts) or cause == "unexplained":
            yield _counts(f"  {words}", counts, is_bad=cause == "unexplained")
    for cause in sorted({name for total in each for name in total.oversold} - CAUSES.keys()):
        yield _counts(f"  {cause}", (total.oversold[cause] for total in each))
    yield Row("Shoppers turned away", style="bold")
    yield _counts("  nothing was left", (total.sold_out - total.hidden for total in each))
    yield _counts("  there was enough, not yet shown", (total.hidden for total in each))
    yield Row("Once nothing went wrong any more", style="bold")
    yield Row("  all numbers right: half of the worlds", _spans((t.right_s for t in each), 0.5))
    yield Row("  all numbers right: 95 of 100", _spans((t.right_s for t in each), 0.95))
    yield Row("  all numbers right: the slowest", _spans((t.right_s for t in each), 1.0))
    yield _counts("  worlds that never settled", (t.seeds - len(t.converged_s) for t in each))
    yield _counts("  wrong numbers left for good", (t.wrong for t in each), is_bad=True)
    yield _counts("  writes in the silence after", (t.quiet_writes for t in each))
    yield Row("What went wrong, on purpose", style="bold")
    for kind, words in FAULTS.items():
        counts = [total.faults[kind] for total in each]
        if any(counts):
            yield _counts(f"  {words}", counts)
    yield Row("Invariants", style="bold")
    held = tuple("-" if name == NAIVE else f"{len(t.failed):,}" for name, t in totals.items())
    yield Row(
        "  worlds in which one was broken",
        held,
        bad=frozenset(place for place, value in enumerate(held) if value not in {"-", "0"}),
    )


def _counts(name: str, counts: Iterable[int], *, is_bad: bool = False) -> Row:
    counts = tuple(counts)
    bad = frozenset(place for place, count in enumerate(counts) if is_bad and count)
    return Row(name, tuple(f"{count:,}" for count in counts), bad=bad)


def _spans(spans_s: Iterable[Sequence[float]], share: float) -> tuple[str, ...]:
    return tuple(span(within(each, share)) for each in spans_s)


def span(seconds: float | None) -> str:
    """Return a span of time in words.

    >>> span(30.0), span(150.0), span(7200.0), span(None)
    ('30 s', '2.5 min', '2.0 h', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def on_screen(totals: Mapping[str, Total]) -> Table:
    """Return the table for a terminal."""
    made = table("", *(f">{HEADS[name]}" for name in totals))
    for row in rows(totals):
        values = [
            Text(value, "bold red" if place in row.bad else "dim" if value in {"0", "-"} else "")
            for place, value in enumerate(row.values)
        ]
        made.add_row(Text(row.name, row.style), *values)
    return made


def in_markdown(totals: Mapping[str, Total]) -> str:
    """Return the table in Markdown."""
    heads = [HEADS[name] for name in totals]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for row in rows(totals):
        name = f"**{row.name}**" if row.style else row.name.strip()
        lines.append(f"| {name} | {' | '.join(row.values or [''] * len(heads))} |")
    return "\n".join(lines)


def total_as_json(total: Total) -> dict[str, Any]:
    """Return one column as JSON; spans are seconds, null where no world came so far."""
    spans = {
        name: {
            "p50": within(values, 0.5),
            "p95": within(values, 0.95),
            "max": within(values, 1.0),
            "worlds": len(values),
        }
        for name, values in (("right_s", total.right_s), ("settled_s", total.converged_s))
    }
    return {
        "worlds": total.seeds,
        "shops": total.shops,
        "traded_s": round(total.traded_s, 3),
        "sales": total.sales,
        "units": total.units,
        "sold_out": total.sold_out,
        "hidden": total.hidden,
        "crashes": total.crashes,
        "exchanges": total.exchanges,
        "too_high": total.too_high,
        "writes": total.writes - total.quiet_writes,
        "quiet_writes": total.quiet_writes,
        "wrong": total.wrong,
        "oversold": dict(sorted(total.oversold.items())),
        "faults": dict(sorted(total.faults.items())),
        "rows": dict(sorted((+total.rows).items())),
        **spans,
    }


def report_as_json(report: Report, *, sync: str, replay: str) -> dict[str, Any]:
    """Return one seed as JSON, with the command that runs it again."""
    return {
        "seed": report.seed,
        "sync": sync,
        "swarm": report.swarm,
        "digest": report.digest,
        "violations": report.violations,
        "trace": report.trace,
        "replay": replay,
    }
