"""The table of docs/quality.md, from the manifests; `python -m tests.contract.quality_page`."""

from __future__ import annotations

from pathlib import Path

from stockpush.connectors import quality, registry
from stockpush.connectors.quality import MEANING, RULES, Status, Tier

PAGE = Path(__file__).parents[2] / "docs/quality.md"
BEGIN, END = "<!-- from the manifests -->\n", "<!-- end -->\n"
_SIGNS = {Status.DONE: "✔", Status.TODO: "✖", Status.EXEMPT: "\N{EN DASH}"}


def with_table(page: str) -> str:
    """Return the page with its part between the marks made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def table() -> str:
    """Return the ladder, and why what is not done is not."""
    found = registry.manifests()
    stands = {name: quality.standings(each.quality, file=name) for name, each in found.items()}
    lines = [
        f"| rule | asks | {' | '.join(each.title for each in found.values())} |",
        f"|---|---|{':-:|' * len(found)}",
    ]
    reached = [f"**{quality.tier(each) or 'none yet'}**" for each in stands.values()]
    lines.append(f"| **reached** | | {' | '.join(reached)} |")
    for tier in Tier:
        lines.append(f"| **{tier}** | {MEANING[tier]} |{' |' * len(found)}")
        for number, rule in enumerate(RULES):
            if rule.tier is tier:
                signs = " | ".join(_SIGNS[each[number].status] for each in stands.values())
                lines.append(f"| {rule.name} | {rule.asks} | {signs} |")
    for status, heading in ((Status.TODO, "Still to do"), (Status.EXEMPT, "Does not apply")):
        lines += ["", f"{_SIGNS[status]} {heading}:", ""]
        lines += [
            f"- *{rule.name}*, {found[name].title}: {each[number].reason}"
            for number, rule in enumerate(RULES)
            for name, each in stands.items()
            if each[number].status is status
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
