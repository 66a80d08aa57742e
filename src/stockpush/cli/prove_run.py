"""`stockpush prove` runs its seeds, in several processes, and keeps what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stockpush.cli.output import note, screen
from stockpush.cli.prove_asked import Asked
from stockpush.clock import SystemClock

if TYPE_CHECKING:
    from rich.progress import Progress

    from stockpush.sim.many import Job
    from stockpush.sim.report import Report, Total

LINE_S: Final = 5.0
"""How often progress is told where there is no terminal."""


@dataclass(slots=True)
class Proof:
    """What came out: a total for each sync, and all that speaks against it."""

    totals: dict[str, Total]
    failed: list[tuple[str, Report, str]] = field(default_factory=list)
    """(sync, report, command) of each seed in which something was broken."""
    not_run: int = 0
    never: tuple[str, ...] = ()
    reports: list[tuple[str, Report, str]] = field(default_factory=list)
    """The same of every seed, where only one was asked for."""
    is_strict: bool = False

    @property
    def held(self) -> bool:
        """Whether nothing was broken, and a strict run left nothing out."""
        left_out = self.is_strict and (self.not_run or self.never)
        return not self.failed and not left_out


def run(
    asked: Asked,
    chosen: range,
    processes: int,
    *,
    ends_s: float | None,
    is_strict: bool,
    is_one: bool,
) -> Proof:
    """Run the chosen seeds in so many processes until `ends_s` have passed (None: all of them)."""
    from stockpush.sim.many import Job, run_all
    from stockpush.sim.regressions import regressions
    from stockpush.sim.report import Total
    from stockpush.sim.swarm import COUNTED

    plans, clock = asked.plans(), SystemClock()
    proof = Proof({name: Total() for name in plans}, is_strict=is_strict)
    begun = clock.monotonic()
    old = [Job(each.seed, (each.plan,)) for each in regressions()] if is_strict else []
    new = [Job(seed, tuple(plans.values())) for seed in chosen]

    def took(job: Job, reports: tuple[Report, ...]) -> None:
        for name, report in zip(plans, reports, strict=True):
            proof.totals[name].add(report)
            found = (name, report, asked.replay(job.seed))
            if not report.held:
                proof.failed.append(found)
            if is_one:
                proof.reports.append(found)
        tell(reports)

    def took_old(job: Job, reports: tuple[Report, ...]) -> None:
        (report,) = reports
        if not report.held:
            replay = asked.replay(job.seed, job.plans[0])
            proof.failed.append(("ours", report, replay))
        tell(reports)

    with _progress(len(old) + len(new), proof, clock) as tell:
        run_all(old, processes=min(processes, max(1, len(old))), done=took_old)
        left = run_all(
            new,
            processes=min(processes, len(new)),
            done=took,
            enough=lambda: ends_s is not None and clock.monotonic() - begun > ends_s,
        )
    proof.not_run = len(left)
    if is_strict:
        proof.never = tuple(proof.totals["ours"].never(COUNTED))
    # They ended in whatever order; they are told in theirs.
    proof.failed.sort(key=lambda each: (each[1].seed, each[0]))
    return proof


@contextmanager
def _progress(
    count: int, proof: Proof, clock: SystemClock
) -> Iterator[Callable[[Sequence[Report]], None]]:
    """Show how far it is on stderr: a bar on a terminal, a line now and then elsewhere."""
    console = screen(stderr=True)
    done, sales, told_at = 0, 0, clock.monotonic()

    def took(reports: Sequence[Report]) -> None:
        nonlocal done, sales
        done += 1
        sales += sum(report.sales for report in reports)

    def words() -> str:
        broken = f", {len(proof.failed)} failed" if proof.failed else ""
        return f"{done} of {count} worlds, {sales:,} sales{broken}"

    if not console.is_terminal:

        def line(reports: Sequence[Report]) -> None:
            nonlocal told_at
            took(reports)
            if clock.monotonic() - told_at >= LINE_S:
                told_at = clock.monotonic()
                note(words())

        yield line
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(None), TimeRemainingColumn())
    bar: Progress
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task(words(), total=count)

        def step(reports: Sequence[Report]) -> None:
            took(reports)
            bar.update(task, advance=1, description=words())

        yield step
