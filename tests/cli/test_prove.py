"""`stockpush prove`: its options, its exit codes, its replay, and runs that are the same twice."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stockpush.cli import prove_run, prove_table
from stockpush.sim import many, regressions
from stockpush.sim.accounts import SHOPIFY, WOO
from stockpush.sim.drawing import NARROW
from stockpush.sim.many import Job, run_all
from stockpush.sim.plan import PEOPLE, Plan
from stockpush.sim.report import Report, Total
from stockpush.sim.run import simulate
from stockpush.sim.shopfront import candle_front
from stockpush.sim.shrink import shrink
from stockpush.sim.swarm import COUNTED, FaultKind
from tests.cli.terminal import CATALOGUE, Terminal

PAGE = (Path(__file__).parents[2] / "docs" / "proof.md").read_text(encoding="utf-8")
LISTINGS = """
[[listings]]
channel = "shop"
item = "candle-lav"
ref = { variant_id = 7 }
[[listings]]
channel = "web"
item = "candle-lav"
ref = { product_id = 8 }
[[listings]]
channel = "web"
item = "soap-lav"
pack = 2
ref = { product_id = 9, variation_id = 10 }
"""
SHORT = Plan(cut_s=240.0, silent_s=60.0)
"""A run of a second or two."""


Fake = Callable[[int, Plan], Report]


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], list[tuple[int, Plan]]]:
    """Have every run be what a function says; return the list of what was run."""

    def fake(run: Fake) -> list[tuple[int, Plan]]:
        ran: list[tuple[int, Plan]] = []

        def noted(seed: int, plan: Plan) -> Report:
            ran.append((seed, plan))
            return run(seed, plan)

        monkeypatch.setattr(many, "simulate", noted)
        return ran

    return fake


def sound(seed: int, _plan: Plan) -> Report:
    """A run in which everything came up and nothing was broken."""
    report = Report(seed, sales=10, converged_s=30.0, right_s=30.0, digest=f"digest-{seed}")
    report.rows.update(dict.fromkeys(COUNTED, 1))
    return report


def broken_at_2(seed: int, plan: Plan) -> Report:
    """The same, but for seed 2 with the daemon."""
    report = sound(seed, plan)
    if seed == 2 and not plan.naive:
        report.swarm = "60 s, crash=1"
        report.violations.append("F30 wax on shopify/1: push 1 wrote 3, at most 2 is true")
    return report


# -- what may be typed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("--seed", "1", "--seeds", "2"), "do not go together"),
        (("--seed", "1", "--from", "2"), "do not go together"),
        (("--seed", "1", "--minutes", "2"), "do not go together"),
        (("--seed", "1", "--markdown"), "do not go together"),
        (("--own", "--worlds"), "do not go together"),
        (("--own", "--catalogue", "c.toml"), "do not go together"),
        (("--trace", "--seed", "1", "--sync", "naive"), "do not go together"),
        (("--trace",), "needs --seed"),
        (("--shrink",), "needs --seed"),
        (("--strict",), "needs --worlds"),
        (("--shopify-only",), "needs --worlds"),
        (("--busy",), "needs --worlds"),
        (("--channels", "etsy"), "needs --worlds"),
        (("--storeroom", "--sync", "ours"), "needs --worlds"),
        (("--storeroom", "--worlds"), "needs --sync ours"),
        (("--no-storeroom",), "needs --worlds"),
        (("--worlds", "--sync", "ours", "--channels", "amazon"), "knows nothing called"),
        (("--worlds", "--channels", "woo", "--strict"), "do not go together"),
        (("--seeds", "0"), "out of bounds"),
        (("--seed", "-1"), "out of bounds"),
        (("--from", "-1"), "out of bounds"),
        (("--jobs", "0"), "out of bounds"),
        (("--minutes", "nan"), "out of bounds"),
        (("--cut", "-1"), "out of bounds"),
        (("--seeds", "many"), "valid integer"),
        (("--sync", "theirs"), "is not one of"),
        (("--without", "crashes"), "Did you mean crash?"),
        (("--away", "shoppers"), "knows nothing called"),
        (("--catalogue", "absent.toml"), "cannot be read"),
        (("--own",), "no catalogue of yours yet"),
    ],
)
def test_a_slip_is_a_usage_error_that_says_what_to_type(
    terminal: Terminal, typed: tuple[str, ...], says: str
):
    """Exit 2, the usual shape, nothing run and nothing left behind."""
    result = terminal("prove", *typed)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert "Next: stockpush" in result.err
    assert list(terminal.folder.iterdir()) == []


def test_an_unknown_kind_of_fault_is_answered_with_all_there_are(terminal: Terminal):
    """Nobody has to look the names up."""
    error = terminal("prove", "--without", "nothing", "--json").json["error"]
    assert error["field"] == "--without"
    assert [
        kind.name.lower() for kind in FaultKind if kind.name.lower() not in error["expected"]
    ] == []


@pytest.mark.parametrize(
    ("typed", "storeroom"),
    [
        (("--sync", "ours"), None),
        (("--sync", "ours", "--storeroom"), True),
        (("--sync", "ours", "--no-storeroom"), False),
        ((), False),
    ],
)
def test_a_storeroom_is_drawn_asked_for_or_left_out(
    terminal: Terminal,
    faked: Callable[[Callable[[int, Plan], Report]], list[tuple[int, Plan]]],
    typed: tuple[str, ...],
    storeroom: bool | None,
):
    """Beside the naive sync, which knows nothing of it, there is none."""
    ran = faked(sound)
    result = terminal("prove", "--worlds", *typed, "--seed", "5", "--jobs", "1", "--json")
    assert result.code == 0
    assert [plan.storeroom for _, plan in ran if not plan.naive] == [storeroom]
    assert all(not plan.storeroom for _, plan in ran if plan.naive)


def test_json_and_markdown_exclude_each_other(terminal: Terminal):
    """One document on stdout, in one form."""
    result = terminal("prove", "--json", "--markdown")
    assert (result.code, result.json["error"]["field"]) == (2, "--json")


def test_a_catalogue_with_mistakes_names_them(terminal: Terminal):
    """As `import` does: the row, what was found and what was expected."""
    terminal.write("bad.toml", CATALOGUE + '[[listings]]\nchannel = "x"\nitem = "none"\nref = {}\n')
    result = terminal("prove", "--catalogue", "bad.toml", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, "catalogue_invalid")


def test_a_catalogue_without_listings_cannot_be_simulated(terminal: Terminal):
    """There is nothing that anybody could buy."""
    terminal.write("catalog.toml", CATALOGUE)
    result = terminal("prove", "--catalogue", "catalog.toml")
    assert (result.code, "Nothing of that catalogue is on sale" in result.err) == (2, True)


# -- exit codes and what is told ------------------------------------------------------------


def test_a_broken_invariant_is_told_first_with_the_command_to_run_it_again(
    terminal: Terminal, faked: Any
):
    """Exit 1; seed, commit and command stand before the table."""
    faked(broken_at_2)
    typed = ("prove", "--worlds", "--without", "ping", "--seeds", "3", "--jobs", "1")
    result = terminal(*typed)
    assert result.code == 1
    told, _, table = result.out.partition("What was simulated")
    assert re.search(r"Seed 2 broke Stock Push, (commit [0-9a-f]+|version )", told)
    assert "stockpush prove --worlds --without ping --seed 2\n" in told
    assert "F30 wax on shopify/1" in told
    assert "✖ An invariant was broken, in: 2." in table


def test_what_holds_ends_with_0_and_both_columns(terminal: Terminal, faked: Any):
    """The same seeds go to the daemon and to the naive sync."""
    ran = faked(sound)
    result = terminal("prove", "--seeds", "2", "--from", "5", "--jobs", "1")
    assert result.code == 0
    assert [(seed, plan.naive) for seed, plan in ran] == [
        (5, False),
        (5, True),
        (6, False),
        (6, True),
    ]
    assert re.search(r"Stock Push +naive sync", result.out)
    assert "✔ Every invariant held." in result.out


def test_the_worlds_channels_can_be_named_and_are_the_same_for_both_syncs(
    terminal: Terminal, faked: Any
):
    """Named ones are in the command that runs a world again; else they are drawn."""
    ran = faked(broken_at_2)
    typed = ("prove", "--worlds", "--jobs", "1", "--seeds", "2")
    result = terminal(*typed, "--channels", "etsy,faire")
    assert "--channels etsy,faire --seed 2" in result.out
    terminal(*typed)
    found = [(plan.naive, plan.channels) for _, plan in ran]
    named = frozenset({"etsy", "faire"})
    assert found == [(False, named), (True, named)] * 2 + [(False, None), (True, None)] * 2


def test_strict_fails_for_a_row_that_never_came_up(terminal: Terminal, faked: Any):
    """A fault that nobody met was not survived."""

    def without_f3(seed: int, plan: Plan) -> Report:
        report = sound(seed, plan)
        report.rows["F3"] = 0
        return report

    faked(without_f3)
    typed = ("prove", "--worlds", "--sync", "ours", "--seeds", "2", "--jobs", "1")
    assert terminal(*typed).code == 0
    result = terminal(*typed, "--strict")
    assert (result.code, "F3 never came up in 2 worlds" in result.out) == (1, True)
    faked(sound)
    assert terminal(*typed, "--strict").code == 0


def test_strict_runs_every_regression_first(
    terminal: Terminal, faked: Any, monkeypatch: pytest.MonkeyPatch
):
    """With its own plan; one that fails fails the run, and its command has that plan."""
    row = {"seed": 77, "without": ["ping"], "away": ["rush"], "cut_s": 9.5, "showed": "x"}
    entry = regressions._regression({**row, "date": "2026-01-01"})
    monkeypatch.setattr(regressions, "regressions", lambda: (entry,))

    def bad_77(seed: int, plan: Plan) -> Report:
        report = sound(seed, plan)
        report.violations += ["I7 two pushes"] * (seed == 77)
        return report

    ran = faked(bad_77)
    typed = ("prove", "--worlds", "--sync", "ours", "--strict", "--seeds", "1", "--jobs", "1")
    result = terminal(*typed, "--json")
    assert [seed for seed, _ in ran] == [77, 1]
    assert ran[0][1] == Plan(
        without={FaultKind.PING}, away=frozenset({"rush"}), cut_s=9.5, storeroom=False
    )
    assert (result.code, result.json["failed"]) == (1, [77])
    assert result.json["reports"][0]["replay"] == (
        "stockpush prove --worlds --sync ours --without ping --away rush --cut 9.5 --no-storeroom"
        " --seed 77"
    )


def test_progress_counts_the_sales_of_regressions_too(
    terminal: Terminal, faked: Any, monkeypatch: pytest.MonkeyPatch
):
    """Who watches a strict run sees that something is sold from its first line on."""
    entry = regressions._regression({"seed": 77, "showed": "x", "date": "2026-01-01"})
    monkeypatch.setattr(regressions, "regressions", lambda: (entry,))
    monkeypatch.setattr(prove_run, "LINE_S", 0.0)
    faked(sound)
    typed = ("prove", "--worlds", "--sync", "ours", "--strict", "--seeds", "1", "--jobs", "1")
    told = terminal(*typed).err
    assert "1 of 2 worlds, 10 sales" in told
    assert "2 of 2 worlds, 20 sales" in told


def test_worlds_for_which_no_time_was_left_are_told(
    terminal: Terminal, faked: Any, monkeypatch: pytest.MonkeyPatch
):
    """A strict run fails for them; none is passed over in silence."""
    faked(sound)
    monkeypatch.setattr("stockpush.sim.regressions.regressions", tuple)
    ticks = iter(range(0, 10_000, 25))
    monkeypatch.setattr("stockpush.clock.SystemClock.monotonic", lambda _self: float(next(ticks)))
    typed = ("prove", "--worlds", "--sync", "ours", "--seeds", "9", "--jobs", "1", "--minutes", "2")
    loose, strict = terminal(*typed), terminal(*typed, "--strict")
    assert (loose.code, strict.code) == (0, 1)
    for result in (loose, strict):
        assert re.search(r"The time was up: [1-8] of 9 worlds were not run", result.out)
    left = terminal(*typed, "--json").json["seeds"]
    assert (left["first"], left["count"], 0 < left["not_run"] < 9) == (1, 9, True)


def test_a_run_that_breaks_down_is_a_failed_seed(monkeypatch: pytest.MonkeyPatch):
    """A worker that dies does not take its seed with it."""
    monkeypatch.setattr(Job, "run", None)  # nothing that another process could call
    found = []
    left = run_all(
        [Job(4, (SHORT,))],
        processes=2,
        done=lambda job, reports: found.append((job.seed, reports[0].held)),
    )
    assert (found, left) == ([(4, False)], ())


def test_the_markdown_table_is_the_table(terminal: Terminal, faked: Any):
    """Every line of it, with the command that makes it again."""
    faked(sound)
    result = terminal.done("prove", "--markdown", "--seeds", "2", "--jobs", "1")
    assert "| sales | 20 | 20 |" in result.out
    assert "To repeat it: `stockpush prove --seeds 2 --from 1`" in result.out


def test_the_json_has_the_keys_of_the_page(terminal: Terminal, faked: Any):
    """docs/proof.md shows every key, and no other."""
    faked(broken_at_2)
    document = terminal("prove", "--seeds", "2", "--jobs", "1", "--json").json
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    page = json.loads(shown)
    assert document.keys() == page.keys()
    assert document["seeds"].keys() == page["seeds"].keys()
    assert document["sync"]["naive"].keys() == page["sync"]["ours"].keys()
    assert document["sync"]["ours"].keys() == page["sync"]["ours"].keys()
    assert document["reports"][0].keys() == page["reports"][0].keys()


def test_every_fault_has_its_words():
    """A kind without words would be missing from the report."""
    assert prove_table.FAULTS.keys() == {kind.name.lower() for kind in FaultKind}


def test_a_cause_without_words_is_not_dropped():
    """What the auditor may name one day is shown by its own name."""
    total = Total()
    total.oversold["moonlight"] = 3
    shown = {row.name.strip(): row.values for row in prove_table.rows({"ours": total})}
    assert shown["moonlight"] == ("3",)
    assert shown["because the sync put sold units back on sale"] == ("0",)


# -- the real thing -------------------------------------------------------------------------


def test_a_seed_is_the_same_twice_and_in_any_process():
    """The same digest of every step here and in other processes, for both syncs."""
    plans = (SHORT, replace(SHORT, naive=True, shopfront=candle_front()))
    here = {report.digest for report in Job(9, plans).run()}
    there = []
    run_all(
        [Job(9, (plan,)) for plan in plans],
        processes=2,
        done=lambda _job, reports: there.append(reports[0].digest),
    )
    assert (set(there), len(here)) == (here, 2)


def test_a_catalogue_is_simulated(terminal: Terminal):
    """A maker's own items and listings, on a shop of each kind, with the story of the seed."""
    terminal.write("catalog.toml", CATALOGUE + LISTINGS)
    typed = (
        "prove",
        "--catalogue",
        "catalog.toml",
        "--seed",
        "4",
        "--cut",
        "300",
        "--sync",
        "ours",
    )
    result = terminal(*typed, "--trace", "--json")
    assert result.code == 0, result
    (report,) = result.json["reports"]
    assert result.json["sync"]["ours"]["shops"] == 2
    assert any("bought" in line for line in report["trace"])
    assert re.fullmatch(r"[0-9a-f]{32}", report["digest"])
    assert report["replay"] == " ".join(["stockpush", *typed[:3], "--sync ours --cut 300 --seed 4"])


def test_ones_own_catalogue_is_simulated_and_only_read(sellers: Terminal, faked: Any):
    """Items, bills and listings of the configured database; its rows stay what they were."""

    def rows() -> list[str]:
        with sqlite3.connect(sellers.folder / "stockpush.db") as database:
            return list(database.iterdump())

    before, ran = rows(), faked(sound)
    sellers.done("prove", "--own", "--seeds", "1", "--jobs", "1")
    assert rows() == before
    front = ran[0][1].shopfront
    assert front is not None
    assert {each.shop for each in front.offered} == {SHOPIFY, WOO}
    assert {thing.sku for thing in front.things} >= {"candle-lav", "beeswax"}
    assert {bill.item for bill in front.bills} == {"candle-lav", "soap-lav"}


def test_the_naive_sync_puts_sold_units_back_on_sale():
    """The seed that shows what the daemon is for: it does so, and the daemon does not."""
    ours, naive = (
        simulate(9, Plan(channels=NARROW, cut_s=600.0, silent_s=60.0, naive=each))
        for each in (False, True)
    )
    assert (ours.oversold["unexplained"], ours.violations) == (0, [])
    assert naive.oversold["unexplained"] > 0


# -- shrinking ------------------------------------------------------------------------------


def planted(_seed: int, plan: Plan) -> Report:
    """Fails while there are crashes and a merchant, from 700 s on; without crashes, otherwise."""
    kinds = tuple(
        name for name in ("crash", "ping", "zombie") if FaultKind[name.upper()] not in plan.without
    )
    traded_s = min(4000.0, plan.cut_s or 4000.0)
    report = Report(1, kinds=kinds, traded_s=traded_s)
    if "crash" in kinds and "merchant" not in plan.away and traded_s >= 700:
        report.violations.append("I8 wax: push 3 came after 4")
    elif "crash" not in kinds and "merchant" not in plan.away:
        report.violations.append("I14 rest: something else")
    return report


def test_shrinking_leaves_what_the_failure_needs():
    """Faults and people that it does not need are gone, and act one ends soon after it."""
    found = shrink(1, Plan(), run=planted)
    assert found is not None
    assert (found.invariant, found.report.violations) == ("I8", ["I8 wax: push 3 came after 4"])
    assert found.plan.without == {FaultKind.PING, FaultKind.ZOMBIE}
    assert found.plan.away == set(PEOPLE) - {"merchant"}
    assert found.plan.cut_s is not None
    assert 700 <= found.plan.cut_s < 800


def test_a_seed_that_holds_is_not_shrunk():
    """There is nothing to find."""
    assert shrink(1, Plan(away={"merchant"}), run=planted) is None


def test_shrink_prints_the_command_of_the_smallest_run(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    """Exit 1, and what to type to see it again."""
    monkeypatch.setattr(
        "stockpush.sim.shrink.shrink", lambda *given, **_: shrink(*given, run=planted)
    )
    result = terminal("prove", "--worlds", "--seed", "1", "--shrink", "--json")
    assert result.code == 1
    assert result.json["invariant"] == "I8"
    assert re.fullmatch(
        r"stockpush prove --worlds --without ping --without zombie --away clerk --away housekeeper"
        r" --away maker --away rush --away storekeeper --away typist --cut 7[0-9.]+ --seed 1",
        result.json["replay"],
    )


def test_the_list_of_regressions_can_be_read():
    """Each entry names kinds and people that there are."""
    for entry in regressions.regressions():
        assert entry.showed
        assert set(entry.plan.away) <= set(PEOPLE)
