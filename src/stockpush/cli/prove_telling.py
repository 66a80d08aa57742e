"""What `stockpush prove` says at its end: what failed, the table, the verdict, in words or JSON."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stockpush import __version__
from stockpush.cli.output import print_json, say, screen, show
from stockpush.cli.prove_asked import Asked, Sync
from stockpush.cli.prove_run import Proof

VIOLATIONS_MAX: Final = 5
"""Most violations shown of one seed; `--json` has them all."""
FAILED_MAX: Final = 10
"""Most failing seeds shown; `--json` has them all."""
GIT_S: Final = 10.0


def print_proof(
    proof: Proof, asked: Asked, chosen: range, *, as_json: bool, markdown: bool
) -> None:
    """Print what came out: failures first, then the table, then the verdict."""
    from stockpush.cli import prove_table

    if as_json:
        shown = proof.reports or proof.failed
        print_json(
            {
                "held": proof.held,
                "commit": commit(),
                "source": asked.source,
                "seeds": {"first": chosen[0], "count": len(chosen), "not_run": proof.not_run},
                "sync": {
                    name: prove_table.total_as_json(total) for name, total in proof.totals.items()
                },
                "failed": sorted({report.seed for _, report, _ in proof.failed}),
                "never": list(proof.never),
                "reports": [
                    prove_table.report_as_json(report, sync=name, replay=replay)
                    for name, report, replay in shown
                ],
            }
        )
        return
    _print_failed(proof)
    for name, report, _ in proof.reports:
        say()
        say(f"{prove_table.HEADS[name]}, seed {report.seed}", "bold")
        say(f"  misfortunes: {report.swarm}")
        say(f"  digest of every step: {report.digest}")
        for line in report.trace:
            say(f"  {line}")
    if markdown:
        say(f"Seeds {chosen[0]} to {chosen[-1]}, {asked.source}, {commit()}:\n")
        screen().out(prove_table.in_markdown(proof.totals), highlight=False)
        say(f"\nTo repeat it: `{_again(asked, chosen)}`")
    else:
        say()
        show(prove_table.on_screen(proof.totals))
    _print_verdict(proof, asked, chosen)


def _print_failed(proof: Proof) -> None:
    from stockpush.cli import prove_table

    for name, report, replay in proof.failed[:FAILED_MAX]:
        say(f"\nSeed {report.seed} broke {prove_table.HEADS[name]}, {commit()}.", "bold red")
        say(f"Next: {replay}", "bold")
        say(f"  misfortunes: {report.swarm or 'none came up'}")
        for violation in report.violations[:VIOLATIONS_MAX]:
            say(f"  {violation}")
        if len(report.violations) > VIOLATIONS_MAX:
            say(f"  and {len(report.violations) - VIOLATIONS_MAX} more")
    if len(proof.failed) > FAILED_MAX:
        say(f"\n{len(proof.failed) - FAILED_MAX} more seeds failed; --json has them all.")


def _print_verdict(proof: Proof, asked: Asked, chosen: range) -> None:
    from stockpush.sim.swarm import COUNTED

    say()
    if proof.not_run:
        style = "bold red" if proof.is_strict else "bold yellow"
        say(f"The time was up: {proof.not_run} of {len(chosen)} worlds were not run.", style)
    for row in proof.never:
        say(f"{row} never came up in {len(chosen)} worlds ({COUNTED[row]}).", "bold red")
    if proof.failed:
        seeds = ", ".join(str(seed) for seed in sorted({each.seed for _, each, _ in proof.failed}))
        say(f"✖ An invariant was broken, in: {seeds}.", "bold red")
    elif not proof.held:
        say("✖ Nothing was broken, but not everything was tried.", "bold red")
    elif asked.sync is Sync.NAIVE:
        say("The naive sync promises nothing that could be broken.")
    else:
        say("✔ Every invariant held.", "bold green")


def worlds_in_words(chosen: range) -> str:
    """Return how many worlds these are, in words."""
    if len(chosen) == 1:
        return f"Seed {chosen[0]}"
    return f"{len(chosen):,} worlds, seeds {chosen[0]} to {chosen[-1]}"


def _again(asked: Asked, chosen: range) -> str:
    own = ["--seeds", str(len(chosen)), "--from", str(chosen[0])]
    return shlex.join(["stockpush", "prove", *asked.options, *own])


def commit() -> str:
    """Return the commit that runs, or where there is none the version."""
    git, folder = shutil.which("git"), Path(__file__).parent
    if git is not None:
        words = [git, "-C", str(folder)]
        # A copy that is merely installed below somebody's repository is not of that repository.
        if _said([*words, "ls-files", "--", Path(__file__).with_name("__init__.py").name]):
            found = _said([*words, "describe", "--always", "--dirty", "--exclude=*"])
            if found:
                return f"commit {found.replace('-dirty', ' with changes')}"
    return f"version {__version__}"


def _said(words: Sequence[str]) -> str:
    """Return what git says, "" where it says nothing."""
    try:
        ended = subprocess.run(  # noqa: S603  # fixed words
            words, capture_output=True, text=True, timeout=GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""
