"""`stockpush prove`: chaos on simulated shops, and a plain account of what it did to the numbers.

Theory of operation. Each seed is one simulated world (sim/run.py): shops, shoppers, a maker, and
what goes wrong. It is run with the daemon and, to be compared, with a naive sync in its place.
What failed comes first, with all that is needed to run it again: seed, commit, command.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stockpush import __version__
from stockpush.cli.options import Config, Json
from stockpush.cli.output import note, print_json, say, screen, show
from stockpush.cli.session import settings_of, with_parts
from stockpush.clock import SystemClock
from stockpush.errors import ExitCode, UsageError
from stockpush.importer.tables import FILE_BYTES_MAX

if TYPE_CHECKING:
    from rich.progress import Progress

    from stockpush.compose import Parts
    from stockpush.sim.many import Job
    from stockpush.sim.plan import Plan
    from stockpush.sim.report import Report, Total
    from stockpush.sim.shopfront import Shopfront
    from stockpush.sim.swarm import FaultKind

SEEDS: Final = 30
SEEDS_MAX: Final = 1_000_000
SEED_MAX: Final = 10**15
LINE_S: Final = 5.0
"""How often progress is told where there is no terminal."""
VIOLATIONS_MAX: Final = 5
"""Most violations shown of one seed; `--json` has them all."""
FAILED_MAX: Final = 10
"""Most failing seeds shown; `--json` has them all."""
GIT_S: Final = 10.0
BUSY_S: Final = 3600.0
"""How long people trade in a busy world: what is sold by the thousand needs no longer one."""


class Sync(StrEnum):
    """Which program stands between the simulated shops."""

    OURS = "ours"
    NAIVE = "naive"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the plan of every seed, and the options that say so."""

    plan: Plan
    sync: Sync
    source: str
    options: tuple[str, ...]

    def plans(self) -> dict[str, Plan]:
        """Return the plan of each column of the report."""
        ours, naive = self.plan, replace(self.plan, naive=True, traced=False)
        match self.sync:
            case Sync.OURS:
                return {"ours": ours}
            case Sync.NAIVE:
                return {"naive": naive}
            case Sync.BOTH:
                return {"ours": ours, "naive": naive}

    def replay(self, seed: int, plan: Plan | None = None) -> str:
        """Return the command that runs one seed again, with another plan where one is given."""
        options = self.options if plan is None else (*self.options, *_of_plan(plan, self.plan))
        return shlex.join(["stockpush", "prove", *options, "--seed", str(seed)])


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


def prove(
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", metavar="N", help=f"How many worlds; {SEEDS} if nothing is said."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Exactly this world, with its story.")
    ] = None,
    first: Annotated[
        int | None, typer.Option("--from", metavar="N", help="The first world's seed; else 1.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", help="How many at once; else every core.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", help="Begin no new world after so many minutes."),
    ] = None,
    sync: Annotated[
        Sync | None,
        typer.Option("--sync", metavar="SYNC", help="ours, naive, or both (the usual)."),
    ] = None,
    catalogue: Annotated[
        list[Path] | None,
        typer.Option("--catalogue", metavar="FILE", help="On this catalogue; may be repeated."),
    ] = None,
    own: Annotated[
        bool, typer.Option("--own", help="On the catalogue of your database, which is only read.")
    ] = False,
    worlds: Annotated[
        bool, typer.Option("--worlds", help="On small drawn worlds, as the project is tested.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="KIND", help="Leave this kind of fault out; repeatable."),
    ] = None,
    shopify_only: Annotated[
        bool, typer.Option("--shopify-only", help="With --worlds: nothing but a Shopify shop.")
    ] = False,
    busy: Annotated[
        bool,
        typer.Option(
            "--busy", help="With --worlds: an hour of many shoppers, and a maker who keeps up."
        ),
    ] = False,
    cut: Annotated[
        float | None,
        typer.Option("--cut", metavar="SECONDS", help="End the faults early, after so long."),
    ] = None,
    away: Annotated[
        list[str] | None,
        typer.Option("--away", metavar="PEOPLE", help="Leave these people out; repeatable."),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="With --seed: everything that people did.")
    ] = False,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="With --seed: find the smallest run that fails.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="With --worlds: fail if a kind of fault never came up."),
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table in Markdown.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try everything that can go wrong.

    Simulated shops with shoppers, lost webhooks, crashes and late answers, on the candle shop of
    the demo, on a catalogue, or on your own: Stock Push beside a naive sync.

    Nothing outside this program is touched. Ends with 0 only if no invariant was broken.
    """
    _refuse_mixtures(
        {
            "--seed": seed is not None,
            "--seeds": seeds is not None,
            "--from": first is not None,
            "--minutes": minutes is not None,
            "--catalogue": bool(catalogue),
            "--own": own,
            "--worlds": worlds,
            "--shopify-only": shopify_only,
            "--busy": busy,
            "--strict": strict,
            "--trace": trace,
            "--shrink": shrink,
            "--markdown": markdown,
            "--json": as_json,
            "--sync naive": sync is Sync.NAIVE,
        }
    )
    count = _bounded("--seeds", SEEDS if seeds is None else seeds, 1, SEEDS_MAX)
    kinds = frozenset(_kind(name) for name in without or ())
    from stockpush.sim.many import cores
    from stockpush.sim.plan import Plan

    front, source = _shopfront(catalogue or [], own=own, worlds=worlds, config=config)
    plan = Plan(
        without=kinds,
        shopify_only=shopify_only,
        busy=busy,
        span_s=BUSY_S if busy else None,
        shopfront=front,
        cut_s=None if cut is None else _bounded("--cut", cut, 0, 1e9),
        away=frozenset(_person(name) for name in away or ()),
        traced=trace,
    )
    options = [
        *(word for path in catalogue or () for word in ("--catalogue", str(path))),
        *(["--own"] if own else []),
        *(["--config", str(config)] if config and own else []),
        *(["--worlds"] if worlds else []),
        *(["--sync", str(sync)] if sync is not None else []),
        *_of_plan(plan, Plan()),
    ]
    usual = Sync.BOTH if not shrink else Sync.OURS
    asked = Asked(plan, sync or usual, source, tuple(options))
    number = (
        _bounded("--from", 1 if first is None else first, 0, SEED_MAX)
        if seed is None
        else _bounded("--seed", seed, 0, SEED_MAX)
    )
    if shrink:
        _shrink(asked, number, as_json=as_json)
    most = cores() if jobs is None else _bounded("--jobs", jobs, 1, 1024)
    chosen = range(number, number + (count if seed is None else 1))
    ends_s = None if minutes is None else 60 * _bounded("--minutes", minutes, 0.001, 1e6)
    if not (as_json or markdown):
        say(f"{_worlds(chosen)}, {_commit()}, {source}.")
    proof = _run(asked, chosen, most, ends_s=ends_s, is_strict=strict, is_one=seed is not None)
    _print(proof, asked, chosen, as_json=as_json, markdown=markdown)
    raise typer.Exit(ExitCode.OK if proof.held else ExitCode.FAILED)


# -- what was asked for ------------------------------------------------------------------------


_NOT_WITH: Final[tuple[tuple[str, str], ...]] = (
    ("--seed", "--seeds"),
    ("--seed", "--from"),
    ("--seed", "--minutes"),
    ("--seed", "--strict"),
    ("--seed", "--markdown"),
    ("--catalogue", "--own"),
    ("--catalogue", "--worlds"),
    ("--own", "--worlds"),
    ("--shrink", "--trace"),
    ("--shrink", "--sync naive"),
    ("--trace", "--sync naive"),
    ("--strict", "--sync naive"),
    ("--json", "--markdown"),
)
_ONLY_WITH: Final[tuple[tuple[str, str], ...]] = (
    ("--trace", "--seed"),
    ("--shrink", "--seed"),
    ("--strict", "--worlds"),
    ("--shopify-only", "--worlds"),
    ("--busy", "--worlds"),
)


def _refuse_mixtures(given: Mapping[str, bool]) -> None:
    for one, other in _NOT_WITH:
        if given[one] and given[other]:
            raise UsageError(
                f"{one} and {other} do not go together.",
                field=one,
                expected=f"one of {one} and {other}",
                next="stockpush prove --help",
            )
    for one, other in _ONLY_WITH:
        if given[one] and not given[other]:
            raise UsageError(
                f"{one} needs {other}.",
                field=one,
                expected=f"{one} together with {other}",
                next="stockpush prove --help",
            )


def _bounded(option: str, value: Any, low: float, high: float) -> Any:
    if low <= value <= high:  # not so for NaN
        return value
    raise UsageError(
        f"{option} is out of bounds.",
        field=option,
        found=value,
        expected=f"a number from {low:g} to {high:g}",
        next="stockpush prove --help",
    )


def _kind(name: str) -> FaultKind:
    from stockpush.sim.swarm import FaultKind

    return FaultKind[_known("--without", name, [kind.name.lower() for kind in FaultKind]).upper()]


def _person(name: str) -> str:
    from stockpush.sim.plan import PEOPLE

    return _known("--away", name, PEOPLE)


def _known(option: str, name: str, names: Sequence[str]) -> str:
    """Return a name that there is, however it is written."""
    given = name.strip().lower().replace("-", "_")
    if given in names:
        return given
    near = get_close_matches(given, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"{option} knows nothing called {name!r}.{hint}",
        field=option,
        found=name,
        expected=f"one of {', '.join(sorted(names))}",
        next="stockpush prove --help",
    )


def _of_plan(plan: Plan, usual: Plan) -> list[str]:
    """Return the options by which a plan differs from another one, given before them."""
    words = []
    for kind in sorted(set(plan.without) - set(usual.without), key=lambda each: each.name):
        words += ["--without", kind.name.lower()]
    for name in sorted(set(plan.away) - set(usual.away)):
        words += ["--away", name]
    if plan.cut_s is not None and plan.cut_s != usual.cut_s:
        words += ["--cut", f"{plan.cut_s:g}" if plan.cut_s < 1e5 else f"{plan.cut_s:.1f}"]
    if plan.shopify_only and not usual.shopify_only:
        words.append("--shopify-only")
    if plan.busy and not usual.busy:
        words.append("--busy")
    return words


def _shopfront(
    paths: Sequence[Path], *, own: bool, worlds: bool, config: Path | None
) -> tuple[Shopfront | None, str]:
    """Return what is simulated (None: drawn worlds), and its name."""
    from stockpush.sim.shopfront import candle_front, read_shopfront

    if worlds:
        return None, "small drawn worlds"
    if own:
        return with_parts(_existing(config), _own_front, what="Reading your catalogue ..."), (
            "your own catalogue"
        )
    if paths:
        files = [(str(path), _content(path)) for path in paths]
        return read_shopfront(files), f"the catalogue {', '.join(path.name for path in paths)}"
    return candle_front(), "the candle shop of the demo"


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)  # one more, so that the reader sees the excess
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            field="--catalogue",
            found=str(path),
            expected="a .toml or .csv file that you can read",
            next="stockpush prove --catalogue catalog.toml",
        ) from error


def _existing(config: Path | None) -> Path | None:
    """Return the configuration, once its database is seen to exist: nothing is made by looking."""
    url = settings_of(config).daemon.database
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        raise UsageError(
            "There is no catalogue of yours yet: the database does not exist.",
            field="--own",
            expected="a database with items and listings",
            next="stockpush import catalog.toml",
        )
    return config


async def _own_front(parts: Parts) -> Shopfront:
    from stockpush.sim.shopfront import shopfront

    rows = await parts.store.catalogue()
    view = await parts.view()
    on_hand = {item.sku: int(view.shelf(item.sku).on_hand) for item in rows.items}
    connectors = {name: policy.connector for name, policy in parts.lane.policies.items()}
    return shopfront(rows.items, rows.bills, rows.listings, on_hand, connectors)


# -- running -----------------------------------------------------------------------------------


def _run(
    asked: Asked,
    chosen: range,
    processes: int,
    *,
    ends_s: float | None,
    is_strict: bool,
    is_one: bool,
) -> Proof:
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
        tell(f"{job.seed}")

    def took_old(job: Job, reports: tuple[Report, ...]) -> None:
        (report,) = reports
        if not report.held:
            replay = asked.replay(job.seed, job.plans[0])
            proof.failed.append(("ours", report, replay))
        tell(f"{job.seed}")

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
def _progress(count: int, proof: Proof, clock: SystemClock) -> Iterator[Callable[[str], None]]:
    """Show how far it is on stderr: a bar on a terminal, a line now and then elsewhere."""
    console = screen(stderr=True)
    done, told_at = 0, clock.monotonic()

    def words() -> str:
        sales = sum(total.sales for total in proof.totals.values())
        broken = f", {len(proof.failed)} failed" if proof.failed else ""
        return f"{done} of {count} worlds, {sales:,} sales{broken}"

    if not console.is_terminal:

        def line(_seed: str) -> None:
            nonlocal done, told_at
            done += 1
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

        def step(_seed: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, description=words())

        yield step


def _shrink(asked: Asked, seed: int, *, as_json: bool) -> None:
    """Print the smallest failing run of a seed and end: with 1, or with 0 if it does not fail."""
    from stockpush.sim.shrink import shrink

    found = shrink(seed, asked.plan, tell=note)
    if found is None:
        if as_json:
            print_json({"seed": seed, "invariant": None, "tried": 1, "replay": asked.replay(seed)})
        else:
            say(f"Seed {seed} breaks nothing: there is nothing to shrink.")
        raise typer.Exit(ExitCode.OK)
    replay = asked.replay(seed, found.plan)
    if as_json:
        print_json(
            {
                "seed": seed,
                "invariant": found.invariant,
                "tried": found.tried,
                "replay": replay,
                "swarm": found.report.swarm,
                "violations": found.report.violations,
            }
        )
    else:
        say(f"Seed {seed} breaks {found.invariant}; the smallest run of {found.tried} that does:")
        say(f"  {found.report.swarm}")
        for violation in found.report.violations[:VIOLATIONS_MAX]:
            say(f"  {violation}")
        say(f"Next: {replay}", "bold")
    raise typer.Exit(ExitCode.FAILED)


# -- telling -----------------------------------------------------------------------------------


def _print(proof: Proof, asked: Asked, chosen: range, *, as_json: bool, markdown: bool) -> None:
    from stockpush.cli import prove_table

    if as_json:
        shown = proof.reports or proof.failed
        print_json(
            {
                "held": proof.held,
                "commit": _commit(),
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
        say(f"Seeds {chosen[0]} to {chosen[-1]}, {asked.source}, {_commit()}:\n")
        screen().out(prove_table.in_markdown(proof.totals), highlight=False)
        say(f"\nTo repeat it: `{_again(asked, chosen)}`")
    else:
        say()
        show(prove_table.on_screen(proof.totals))
    _print_verdict(proof, asked, chosen)


def _print_failed(proof: Proof) -> None:
    from stockpush.cli import prove_table

    for name, report, replay in proof.failed[:FAILED_MAX]:
        say(f"\nSeed {report.seed} broke {prove_table.HEADS[name]}, {_commit()}.", "bold red")
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


def _worlds(chosen: range) -> str:
    if len(chosen) == 1:
        return f"Seed {chosen[0]}"
    return f"{len(chosen):,} worlds, seeds {chosen[0]} to {chosen[-1]}"


def _again(asked: Asked, chosen: range) -> str:
    own = ["--seeds", str(len(chosen)), "--from", str(chosen[0])]
    return shlex.join(["stockpush", "prove", *asked.options, *own])


def _commit() -> str:
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
