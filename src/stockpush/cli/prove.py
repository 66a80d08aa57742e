"""`stockpush prove`: chaos on simulated shops, and a plain account of what it did to the numbers.

Theory of operation. Each seed is one simulated world (sim/run.py): shops, shoppers, a maker, and
what goes wrong. It is run with the daemon and, to be compared, with a naive sync in its place.
What failed comes first, with all that is needed to run it again: seed, commit, command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from stockpush.cli.options import Config, Json
from stockpush.cli.output import note, print_json, say
from stockpush.cli.prove_asked import (
    Asked,
    Sync,
    bounded,
    channels_named,
    kind_named,
    options_of,
    person_named,
    refuse_mixtures,
    shopfront_of,
)
from stockpush.cli.prove_run import run
from stockpush.cli.prove_telling import VIOLATIONS_MAX, commit, print_proof, worlds_in_words
from stockpush.errors import ExitCode

SEEDS: Final = 30
SEEDS_MAX: Final = 1_000_000
SEED_MAX: Final = 10**15
BUSY_S: Final = 3600.0
"""How long people trade in a busy world: what is sold by the thousand needs no longer one."""


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
    channels: Annotated[
        str | None,
        typer.Option(
            "--channels", metavar="NAMES", help="With --worlds: of these, such as etsy,faire."
        ),
    ] = None,
    busy: Annotated[
        bool,
        typer.Option(
            "--busy", help="With --worlds: an hour of many shoppers, and a maker who keeps up."
        ),
    ] = False,
    split: Annotated[
        bool,
        typer.Option(
            "--split", help="With --worlds: what there is is parted among listings on Shopify."
        ),
    ] = False,
    storeroom: Annotated[
        bool | None,
        typer.Option(
            "--storeroom/--no-storeroom",
            help="With --worlds: with people who set stock aside, keep lots and feed a market, or "
            "without; else a third of the worlds have some.",
        ),
    ] = None,
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
    refuse_mixtures(
        {
            "--seed": seed is not None,
            "--seeds": seeds is not None,
            "--from": first is not None,
            "--minutes": minutes is not None,
            "--catalogue": bool(catalogue),
            "--own": own,
            "--worlds": worlds,
            "--shopify-only": shopify_only,
            "--channels": channels is not None,
            "--busy": busy,
            "--split": split,
            "--storeroom": storeroom is True,
            "--no-storeroom": storeroom is False,
            "--sync ours": sync is Sync.OURS,
            "--strict": strict,
            "--trace": trace,
            "--shrink": shrink,
            "--markdown": markdown,
            "--json": as_json,
            "--sync naive": sync is Sync.NAIVE,
        }
    )
    count = bounded("--seeds", SEEDS if seeds is None else seeds, 1, SEEDS_MAX)
    kinds = frozenset(kind_named(name) for name in without or ())
    from stockpush.sim.many import cores
    from stockpush.sim.plan import Plan

    front, source = shopfront_of(catalogue or [], own=own, worlds=worlds, config=config)
    usual = Sync.BOTH if not shrink else Sync.OURS
    plan = Plan(
        without=kinds,
        shopify_only=shopify_only,
        channels=channels_named(channels),
        busy=busy,
        split=split,
        storeroom=storeroom,
        span_s=BUSY_S if busy else None,
        shopfront=front,
        cut_s=None if cut is None else bounded("--cut", cut, 0, 1e9),
        away=frozenset(person_named(name) for name in away or ()),
        traced=trace,
    )
    options = [
        *(word for path in catalogue or () for word in ("--catalogue", str(path))),
        *(["--own"] if own else []),
        *(["--config", str(config)] if config and own else []),
        *(["--worlds"] if worlds else []),
        *(["--sync", str(sync)] if sync is not None else []),
        *options_of(plan, Plan()),
    ]
    asked = Asked(plan, sync or usual, source, tuple(options))
    number = (
        bounded("--from", 1 if first is None else first, 0, SEED_MAX)
        if seed is None
        else bounded("--seed", seed, 0, SEED_MAX)
    )
    if shrink:
        _shrink(asked, number, as_json=as_json)
    most = cores() if jobs is None else bounded("--jobs", jobs, 1, 1024)
    chosen = range(number, number + (count if seed is None else 1))
    ends_s = None if minutes is None else 60 * bounded("--minutes", minutes, 0.001, 1e6)
    if not (as_json or markdown):
        say(f"{worlds_in_words(chosen)}, {commit()}, {source}.")
    proof = run(asked, chosen, most, ends_s=ends_s, is_strict=strict, is_one=seed is not None)
    print_proof(proof, asked, chosen, as_json=as_json, markdown=markdown)
    raise typer.Exit(ExitCode.OK if proof.held else ExitCode.FAILED)


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
