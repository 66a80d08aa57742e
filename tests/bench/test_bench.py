"""The benches run, check what they time, and write no results that are none."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench import __main__, bulk, load, measures, processes, report, world
from bench.measures import MEASURES, Ground, Measure, Pair, Sizes
from bench.postgres import Server
from bench.processes import WrongRun
from stockpush.model import QUANTITY_MAX

ITEMS = 12
SMALL = Sizes(
    http_sales=40,
    http_connections=8,
    rate=100.0,
    rate_sales=20,
    rate_connections=8,
    lane_sales=60,
    lane_senders=8,
    pushed_sales=2,
    checked_sales=1,
    open_reservations=100,
    items=300,
    few_listings=20,
    some_listings=40,
    many_listings=80,
    most_listings=400,
    workshop_sales=10,
    made_sales=4,
    made_items=3,
    kept_sales=5,
    warm_up=4,
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A furnished world, small runs, and a PostgreSQL for who asks for it."""
    folder = tmp_path_factory.mktemp("bench")
    server = Server(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "ITEMS", ITEMS)
        patch.setitem(processes._ENVIRONMENT, "BENCH_ITEMS", str(ITEMS))
        patch.setattr(processes, "_CALM_S", 0.2)
        patch.setattr(processes, "_CALM_CPU_S", 60.0)  # whatever else this machine is doing
        yield Ground(folder, SMALL, server)
    server.close()


@pytest.mark.parametrize("key", ["P2", "P5", "P7", "P7m", "P7s-4", "P8", "P10"])
def test_a_measure_runs_and_its_run_balances(ground: Ground, key: str):
    """A run makes its sales, finds them in the books, and gives two figures: without HTTP, with all
    there is between two shops, and of the core alone. The other measures are made of the same
    parts, and take longer.
    """
    (measure,) = (each for each in MEASURES if each.key == key)
    pair = measure.run(ground)
    assert pair.floor > 0
    assert pair.ours > 0


def test_the_load_generator_has_every_sale_answered(ground: Ground):
    """Over HTTP, from a process of its own: the warm-up as fast as it goes, the rest by a clock."""
    answered = measures._floor_load(ground, rate=SMALL.rate)
    assert answered.acknowledged == answered.sent == SMALL.rate_sales + SMALL.warm_up
    assert 0 < answered.p50_ms <= answered.p99_ms


def test_a_lost_sale_ends_the_bench(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    """A run whose books lack one sale that was acknowledged gives no figure."""
    carry_out = processes.carry_out

    def losing(role, job, result):
        took = carry_out(role, job, result)
        with closing(sqlite3.connect(Path(job.folder) / "stockpush.db")) as file, file:
            file.execute(
                "DELETE FROM reservation WHERE order_id = (SELECT max(order_id) FROM reservation)"
            )
        return took

    monkeypatch.setattr(processes, "carry_out", losing)
    with pytest.raises(WrongRun, match="orders is 59, expected 60"):
        next(each for each in MEASURES if each.key == "P6").run(ground)


def test_a_refused_sale_ends_the_bench(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    """A run in which one sale was not acknowledged gives no figure."""
    monkeypatch.setattr(
        processes,
        "carry_out",
        lambda _role, job, _result: load.Answered(
            job.sales + job.warm_up, job.sales + job.warm_up - 1, 1.0, 1.0, 1.0
        ),
    )
    with (
        ground.copy() as address,
        pytest.raises(WrongRun, match="of 44 sales 43 were acknowledged"),
    ):
        measures._load(ground, address, rate=None)


def test_no_error_of_a_run_leaves_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A bench with a wrong run exits with 1 and writes nothing; the others may have been right."""

    def wrong(_ground: Ground) -> Pair:
        raise WrongRun("one sale is missing")

    results = tmp_path / "results.md"
    monkeypatch.setattr(report, "RESULTS", results)
    monkeypatch.setattr(__main__, "Ground", lambda *_: None)
    monkeypatch.setattr(__main__, "MEASURES", (_measure("P1"), _measure("P2", wrong)))
    assert __main__.main([]) == 1
    assert "one sale is missing" in capsys.readouterr().err
    assert not results.exists()


@pytest.mark.parametrize(
    ("runs", "left_out", "quick", "reason"),
    [
        (5, 0, False, None),
        (5, 0, True, "quick"),
        (4, 0, False, "5 runs"),
        (5, 1, False, "P12 were not measured"),
    ],
)
def test_only_whole_benches_are_results(runs: int, left_out: int, quick: bool, reason: str | None):
    """Results need every measure, five runs of each, of the full size."""
    chosen = MEASURES[: len(MEASURES) - left_out]
    rows = [report.Row(each, [Pair(1.0, 1.0)] * runs) for each in chosen]
    said = report.why_not_written(rows, quick=quick)
    assert said is None if reason is None else reason in str(said)


def test_the_table_states_medians_and_targets(tmp_path: Path):
    """A row shows median, least and most of both, the ratio of the medians, and the verdict."""
    pairs = [Pair(10.0, 4.0), Pair(30.0, 6.0), Pair(20.0, 5.0), Pair(20.0, 5.0), Pair(20.0, 5.0)]
    row = report.Row(_measure("P1"), pairs)
    (line,) = report.table([row]).splitlines()[2:]
    assert "5.00 (4.00 to 6.00) x | 20.00 (10.00 to 30.00) x | 0.25 | ≤ 0.2 | no |" in line
    everything = [report.Row(each, pairs) for each in MEASURES]
    report.write(everything, {"cores": "2"}, to=tmp_path / "results.md")
    assert "Machine: cores 2." in (tmp_path / "results.md").read_text()


async def test_a_latency_counts_from_when_the_sale_was_due():
    """A server that stalls delays those that wait behind it, and their latencies say so."""
    stalled: list[object] = []

    class _Slow:
        def ask(self, request, answered):
            stalled.append(request)
            asyncio.get_running_loop().call_later(0.05, answered, True)

    answers = await load._open([_Slow()], [b"1", b"2", b"3"], rate=1000.0)
    assert [
        round(each.seconds, 2) >= least
        for each, least in zip(answers, (0.05, 0.09, 0.14), strict=True)
    ] == [True] * 3


def _measure(key: str, run=lambda _ground: Pair(2.0, 1.0)) -> Measure:
    return Measure(key, "what", "floor", "x", 0.2, run)


def test_a_workshop_in_one_piece_is_what_an_import_makes(
    ground: Ground, tmp_path_factory: pytest.TempPathFactory
):
    """Written straight into the tables, a workshop has the rows that importing, adopting, resolving
    and reading it leave, in every table: all columns but instants and the digest of the import.
    """
    del ground  # it has made the worlds small
    imported, bulk_made = (
        world.Address(tmp_path_factory.mktemp(name)) for name in ("imported", "bulk")
    )
    asyncio.run(world.furnish(imported, items=130, materials=20))
    bulk.furnish(bulk_made, items=130, materials=20)
    expected, found = _tables(imported), _tables(bulk_made)
    assert found.keys() == expected.keys()
    for table, rows in expected.items():
        assert found[table] == rows, table
    assert len(found["listing"]) == 260


def _tables(address: world.Address) -> dict[str, list[str]]:
    """Return every table's rows, in order, with a word for each instant."""
    with closing(sqlite3.connect(address.file)) as file:
        file.row_factory = sqlite3.Row
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master ORDER BY name")]
        tables = [name for name in names if not name.startswith(("ix_", "uq_", "sqlite_auto"))]
        return {
            name: sorted(
                repr([_plain(column, row[column]) for column in row.keys()])  # noqa: SIM118
                for row in file.execute(f"SELECT * FROM {name}")  # our own names
            )
            for name in tables
        }


def _plain(column: str, value: object) -> object:
    if column == "digest" or (isinstance(value, int) and value > QUANTITY_MAX):
        return "differs"
    return value
