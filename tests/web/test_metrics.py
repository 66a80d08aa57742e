"""What a monitor reads, over real HTTP on loopback and a real database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from prometheus_client.parser import text_string_to_metric_families

from stockpush.engine.report import shortages, stock
from stockpush.errors import ChannelUnavailable
from stockpush.messages import Decision, ImportCatalogue, MoveStock, Rows, StockMove
from stockpush.model import (
    Dirty,
    FieldKey,
    Item,
    Kind,
    MovementKind,
    Push,
    PushOutcomeKind,
    Shelf,
)
from stockpush.reservation.catalogue import build
from stockpush.reservation.view import View
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.web.metrics import RESULTS, Metrics
from tests.reservation.oracle import World, worlds
from tests.web.private import CANDLE, NOON, SOAP, Office, listener, office

Samples = Mapping[tuple[str, ...], float]
CHANNELS = {SHOPIFY, WOO}


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Office]:
    """Two channels and nothing else."""
    async with office(tmp_path) as opened:
        yield opened


@pytest.fixture
async def filled(empty: Office) -> Office:
    """Two products of one wax; every listing shows what it should, but the candle's."""
    await empty.fill()
    return empty


def read(text: str) -> Samples:
    """Return the samples by name and label values, `stockpush_` left off."""
    return {
        (sample.name.removeprefix("stockpush_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(office: Office) -> Samples:
    """Ask for the metrics over HTTP."""
    async with listener(office) as running:
        answer = await running.get("/metrics")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return read(await answer.text())


async def test_everything_is_there_before_anything_happened(empty: Office) -> None:
    """A series that begins with its first event would hide that event from a rate."""
    samples = await scrape(empty)
    for name in CHANNELS:
        for outcome in PushOutcomeKind:
            assert samples["pushes_total", name, outcome.value] == 0
        for result in RESULTS:
            assert samples["deliveries_total", name, result] == 0
        for gauge in ("outbox_dirty", "pushes_unknown", "suspense_units", "drift_open"):
            assert samples[gauge, name] == 0
        assert samples["oldest_dirty_age_seconds", name] == 0
        assert samples["channel_up", name] == 1
        assert samples["push_latency_seconds_count", name] == 0
        assert ("last_poll_age_seconds", name) not in samples
    assert samples[("shortage_items",)] == 0
    assert samples[("commits_total",)] == 0


async def test_the_lane_and_the_intake_are_counted(filled: Office) -> None:
    """Commits, commands and lost races of the lane; deliveries by what became of them."""
    lane = filled.parts.lane.counters
    lane.rollbacks = 3
    filled.counts[SHOPIFY].accepted = 4
    filled.counts[SHOPIFY].duplicate = 5
    filled.counts[WOO].quarantined = 6
    filled.counts[WOO].refused = 7
    before = await scrape(filled)
    assert (before[("commits_total",)], before[("rollbacks_total",)]) == (lane.commits, 3)
    assert before["deliveries_total", SHOPIFY, "accepted"] == 4
    assert before["deliveries_total", SHOPIFY, "duplicate"] == 5
    assert before["deliveries_total", WOO, "quarantined"] == 6
    assert before["deliveries_total", WOO, "refused"] == 7
    await filled.sell("candle", 1)
    after = await scrape(filled)
    assert after[("commits_total",)] == before[("commits_total",)] + 1
    assert after[("commands_total",)] == before[("commands_total",)] + 1


async def test_pushes_are_counted_by_outcome_and_timed(filled: Office) -> None:
    """An unknown push counts as such, then under what became of it; only applied ones are timed."""
    await filled.open_push(CANDLE, "one")
    assert (await scrape(filled))["pushes_unknown", SHOPIFY] == 0
    filled.clock.pass_s(0.3)
    await filled.settle(CANDLE, "one", PushOutcomeKind.UNKNOWN)
    samples = await scrape(filled)
    assert samples["pushes_unknown", SHOPIFY] == 1
    assert samples["pushes_total", SHOPIFY, "unknown"] == 1
    assert samples["push_latency_seconds_count", SHOPIFY] == 0
    filled.clock.pass_s(3.7)
    await filled.settle(CANDLE, "one", PushOutcomeKind.APPLIED)
    samples = await scrape(filled)
    assert samples["pushes_unknown", SHOPIFY] == 0
    assert samples["pushes_total", SHOPIFY, "unknown"] == 1
    assert samples["pushes_total", SHOPIFY, "applied"] == 1
    assert samples["pushes_total", WOO, "applied"] == 0
    assert samples["push_latency_seconds_sum", SHOPIFY] == pytest.approx(4.0)
    assert samples["push_latency_seconds_bucket", SHOPIFY, "2.5"] == 0
    assert samples["push_latency_seconds_bucket", SHOPIFY, "5.0"] == 1
    await filled.sell("candle", 1)
    await filled.open_push(CANDLE, "two")
    await filled.settle(CANDLE, "two", PushOutcomeKind.UNAVAILABLE)
    samples = await scrape(filled)
    assert samples["pushes_total", SHOPIFY, "unavailable"] == 1
    assert samples["push_latency_seconds_count", SHOPIFY] == 1


async def test_what_waits_and_for_how_long(filled: Office) -> None:
    """The age grows from the first scrape that saw the row, or from when it fell due."""
    samples = await scrape(filled)
    assert (samples["outbox_dirty", SHOPIFY], samples["outbox_dirty", WOO]) == (1, 0)
    begun = samples["oldest_dirty_age_seconds", SHOPIFY]
    filled.clock.pass_s(10)
    await filled.sell("wax", 1250)
    samples = await scrape(filled)
    assert samples["outbox_dirty", WOO] == 1
    assert samples["oldest_dirty_age_seconds", SHOPIFY] == begun + 10
    assert samples["oldest_dirty_age_seconds", WOO] == 0
    await filled.open_push(CANDLE, "one")
    filled.clock.pass_s(1)
    await filled.settle(CANDLE, "one", PushOutcomeKind.APPLIED)
    samples = await scrape(filled)
    assert samples["outbox_dirty", SHOPIFY] == 0
    assert samples["oldest_dirty_age_seconds", SHOPIFY] == 0
    assert samples["oldest_dirty_age_seconds", WOO] == 1


def test_a_push_that_keeps_failing_gets_older(empty_metrics: Metrics, clock: object) -> None:
    """Each failure puts off when the row is due; the age does not begin again."""
    key = FieldKey(SHOPIFY, "1")

    def age(row: Dirty) -> float:
        text = empty_metrics.render(Rows(dirty={key: row}), (), shortages=0).decode()
        return read(text)["oldest_dirty_age_seconds", SHOPIFY]

    row = Dirty(key, 1, NOON, decrease=True)
    clock.pass_s(20)
    assert age(row) == 20
    clock.pass_s(20)
    later = replace(row, due_at=clock.now().replace(hour=14), attempts=1)
    assert age(later) == 40
    assert age(replace(later, revision=2)) == 0, "a new difference is a new row"


async def test_what_the_channels_seem_to_have_sold_untold(filled: Office) -> None:
    """A reading below what is expected: units in suspense and an open difference."""
    await filled.read(SOAP, 97)
    samples = await scrape(filled)
    assert (samples["suspense_units", WOO], samples["suspense_units", SHOPIFY]) == (3, 0)
    assert (samples["drift_open", WOO], samples["drift_open", SHOPIFY]) == (1, 0)


async def test_a_shortage_is_counted_by_item(filled: Office) -> None:
    """Wax below zero: it, and nothing that could still be made from stock."""
    await filled.sell("wax", 3000)
    samples = await scrape(filled)
    rows = stock(await filled.parts.view())
    assert [row.sku for row in rows if row.atp.startswith("-")] == ["wax"]
    assert samples[("shortage_items",)] == 1


async def test_how_the_channels_are_doing(filled: Office) -> None:
    """Down while calls fail, up again after one is answered; the poll's age grows."""
    filled.channels[WOO].failed(ChannelUnavailable())
    filled.clock.pass_s(90)
    samples = await scrape(filled)
    assert (samples["channel_up", WOO], samples["channel_up", SHOPIFY]) == (0, 1)
    assert samples["last_poll_age_seconds", WOO] == 90
    filled.channels[WOO].succeeded()
    await filled.poll(WOO)
    samples = await scrape(filled)
    assert samples["channel_up", WOO] == 1
    assert samples["last_poll_age_seconds", WOO] == 0


async def test_labels_are_bounded(filled: Office) -> None:
    """No label holds a listing, a SKU or anything else that grows with the shop."""
    await filled.do(
        ImportCatalogue(
            tuple(Item(f"sku-{n}", "x", Kind.SUPPLY, "piece") for n in range(20)),
            (),
            (),
            (),
            "m",
            "t",
        )
    )
    move = StockMove("sku-1", -4, MovementKind.SALE)
    await filled.do(MoveStock((move,), "oversell", "test"))
    await filled.open_push(CANDLE, "one")
    await filled.settle(CANDLE, "one", PushOutcomeKind.REJECTED)
    async with listener(filled) as running:
        text = await (await running.get("/metrics")).text()
    allowed = {
        "channel": CHANNELS,
        "outcome": {each.value for each in PushOutcomeKind},
        "result": set(RESULTS),
    }
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("stockpush_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert label == "le" or value in allowed[label]
    assert "sku-1" not in text


async def test_every_metric_is_documented(empty: Office) -> None:
    """docs/interface.md lists the names and labels that there are, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "interface.md").read_text(encoding="utf-8")
    documented = {
        (name, frozenset(filter(None, labels.split(","))))
        for name, labels in re.findall(r"`(stockpush_\w+)(?:\{([\w,]+)\})?`", page)
    }
    await empty.fill()
    async with listener(empty) as running:
        text = await (await running.get("/metrics")).text()
    there = {
        (
            family.name + ("_total" if family.type == "counter" else ""),
            frozenset(name for sample in family.samples for name in sample.labels) - {"le"},
        )
        for family in text_string_to_metric_families(text)
    }
    assert there == documented


def test_a_channel_that_is_not_configured_has_no_label(empty_metrics: Metrics) -> None:
    """Rows of a channel that was taken out of the configuration are not counted."""
    key = FieldKey("elsewhere", "1")
    unknown = Push("c", 0, key, 1, 2, 1, NOON, outcome=PushOutcomeKind.UNKNOWN)
    empty_metrics.note(Decision(pushes=(unknown,)))
    rows = Rows(
        dirty={key: Dirty(key, 1, NOON, decrease=True)},
        in_flight={key: unknown},
    )
    assert b"elsewhere" not in empty_metrics.render(rows, (), shortages=0)


def test_an_open_push_is_not_counted_and_a_shadowed_one_is(empty_metrics: Metrics) -> None:
    """A push counts when it has ended; in shadow mode that is when it was recorded."""
    push = Push("c", 0, CANDLE, 1, 2, 1, NOON)
    shadowed = replace(push, settled_at=NOON, outcome=PushOutcomeKind.SHADOW)
    empty_metrics.note(Decision(pushes=(push, shadowed)))
    samples = read(empty_metrics.render(Rows(), (), shortages=0).decode())
    counted = {
        key[2]: value for key, value in samples.items() if key[0] == "pushes_total" and value
    }
    assert counted == {"shadow": 1}


async def test_two_daemons_in_one_process_share_no_number(empty: Office) -> None:
    """Each has a registry of its own."""
    other = Metrics(empty.clock, empty.parts.lane.counters, empty.counts, empty.channels)
    push = Push("c", 0, CANDLE, 1, 2, 1, NOON, settled_at=NOON, outcome=PushOutcomeKind.APPLIED)
    other.note(Decision(pushes=(push,)))
    assert (await scrape(empty))["pushes_total", SHOPIFY, "applied"] == 0


@settings(max_examples=150)
@given(world=worlds())
def test_what_is_short_is_what_has_a_negative_atp(world: World) -> None:
    """The cheap count and the stock table agree on every world."""
    items = [
        Item(sku, sku, Kind.PRODUCT, "piece", substitute_for=world.name_of.get(sku))
        for sku in world.skus
    ]
    catalogue = build(1, items, world.bills, (), {})
    shelves = {sku: Shelf(sku, world.on_hand[sku], world.demand[sku]) for sku in world.skus}
    view = View(catalogue, Rows(shelves=shelves))
    negative = tuple(row.sku for row in stock(view) if row.atp.startswith("-"))
    assert shortages(view) == negative


@pytest.fixture
async def empty_metrics(empty: Office) -> Metrics:
    """Metrics of the two channels."""
    return empty.metrics


@pytest.fixture
def clock(empty: Office) -> object:
    """The clock that they tell ages by."""
    return empty.clock
