"""What a monitor reads: counters since the start, and gauges of the database at each scrape.

Theory of operation. What happens is counted where it happens: by the commit lane, by the intake,
and here, where `note` hears every committed decision of this process. What *is* comes from rows
read for the scrape; nothing runs between scrapes. Both leave through one registry of our own, so
that no library adds to it and two daemons in one process do not share numbers.

Labels are bounded: channels of the configuration and the words of an enum; never a listing, SKU
or order, and never text that a channel sent.

A push whose outcome is unknown counts as such, and again under what became of it once learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stockpush.engine.channel import Channel
from stockpush.engine.channel_report import StoredChannel
from stockpush.engine.commit import Counters
from stockpush.engine.intake import Counts
from stockpush.messages import Decision, Rows
from stockpush.model import FieldKey, Health, Push, PushOutcomeKind
from stockpush.ports import Clock

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The Prometheus text format (prometheus.io, Exposition formats)."""
LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the push latency histogram, in seconds."""
RESULTS: Mapping[str, Callable[[Counts], int]] = {
    "accepted": lambda counts: counts.accepted,
    "duplicate": lambda counts: counts.duplicate,
    "quarantined": lambda counts: counts.quarantined,
    "refused": lambda counts: counts.refused,
}
"""What becomes of a delivery."""


class Metrics:
    """The metrics of one daemon."""

    def __init__(
        self,
        clock: Clock,
        lane: Counters,
        deliveries: Mapping[str, Counts],
        channels: Mapping[str, Channel],
    ) -> None:
        """Count for `channels`, by name; `lane` and `deliveries` are read at each scrape."""
        self._clock = clock
        self._lane = lane
        self._deliveries = deliveries
        self._channels = channels
        self._dirty_since: dict[tuple[FieldKey, int], datetime] = {}
        self._registry = CollectorRegistry()
        self._pushes = Counter(
            "stockpush_pushes",
            "Pushes of one field each, by how they ended.",
            ["channel", "outcome"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "stockpush_push_latency_seconds",
            "Seconds from sending a push to its settlement, of applied pushes.",
            ["channel"],
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        for name in channels:
            # A series that begins with its first event hides that event from rate().
            self._latency.labels(name)
            for outcome in PushOutcomeKind:
                self._pushes.labels(name, outcome.value)

    def note(self, decision: Decision) -> None:
        """Count what a committed decision says of pushes (`CommitLane.listen`)."""
        for push in decision.pushes:
            name = push.field.channel
            if push.outcome is None or name not in self._channels:
                continue
            self._pushes.labels(name, push.outcome.value).inc()
            if push.outcome is PushOutcomeKind.APPLIED and push.settled_at is not None:
                self._latency.labels(name).observe((push.settled_at - push.sent_at).total_seconds())

    def render(self, rows: Rows, stored: Sequence[StoredChannel], *, shortages: int) -> bytes:
        """Return every metric in the Prometheus text format.

        `rows` are those of a whole view, `stored` what the database knows of each channel;
        `shortages` counts the items with a negative ATP.
        """
        now = self._clock.now()
        self._follow(rows, now)
        families = [
            *(_without_created(family) for family in self._registry.collect()),
            *self._counted(),
            *self._gauges(rows, stored, shortages, now),
        ]
        return generate_latest(_Families(families))

    def _follow(self, rows: Rows, now: datetime) -> None:
        """Keep in mind since when each outbox row has been there, as far as scrapes can tell.

        A row says when it is due, not when it came, and each failure puts that off: what is due
        has been there since then at least, and what an earlier scrape saw since that scrape.
        """
        since = self._dirty_since
        self._dirty_since = {
            (row.key, row.revision): since.get((row.key, row.revision), min(now, row.due_at))
            for row in rows.dirty.values()
        }

    def _counted(self) -> Iterator[Metric]:
        lane = self._lane
        for name, meaning, value in (
            ("commits", "Transactions of the commit lane.", lane.commits),
            ("commands", "Commands that were committed.", lane.commands),
            ("rollbacks", "Transactions run again after a lost race.", lane.rollbacks),
        ):
            yield CounterMetricFamily(f"stockpush_{name}", meaning, value=value)
        deliveries = CounterMetricFamily(
            "stockpush_deliveries",
            "Webhook deliveries, by what became of them.",
            labels=["channel", "result"],
        )
        for name, counts in sorted(self._deliveries.items()):
            for result, count in RESULTS.items():
                deliveries.add_metric([name, result], count(counts))
        yield deliveries

    def _gauges(
        self, rows: Rows, stored: Sequence[StoredChannel], shortages: int, now: datetime
    ) -> Iterator[Metric]:
        names = sorted(self._channels)
        dirty = _by_channel(names, (row.key.channel for row in rows.dirty.values()))
        unknown = _by_channel(
            names, (push.field.channel for push in rows.in_flight.values() if _is_unknown(push))
        )
        drifts = {each.state.name: each.drifts for each in stored}
        polled = {each.state.name: each.state.polled_begun_at for each in stored}
        up = {name: int(self._channels[name].health is Health.OK) for name in names}
        suspense = {
            name: sum(row.hold for row in rows.fields.values() if row.key.channel == name)
            for name in names
        }
        yield _gauge("stockpush_outbox_dirty", "Fields that do not show what they should.", dirty)
        yield _gauge(
            "stockpush_oldest_dirty_age_seconds",
            "At least how long the oldest of those has waited; 0 if there is none.",
            {name: self._oldest_s(name, now) for name in names},
        )
        yield _gauge(
            "stockpush_pushes_unknown", "Pushes in flight whose outcome is not known.", unknown
        )
        yield _gauge(
            "stockpush_suspense_units",
            "Units of listings that a channel seems to have sold without our knowing.",
            suspense,
        )
        yield _gauge(
            "stockpush_drift_open", "Fields that show another number than expected.", drifts
        )
        yield _gauge("stockpush_channel_up", "1 while the channel answers us, else 0.", up)
        yield _gauge(
            "stockpush_last_poll_age_seconds",
            "Since the last complete poll of orders began; absent before the first.",
            {
                name: max(0.0, (now - begun_at).total_seconds())
                for name, begun_at in polled.items()
                if begun_at is not None
            },
        )
        yield GaugeMetricFamily(
            "stockpush_holds_open", "Holds that have not ended.", len(rows.holds)
        )
        yield GaugeMetricFamily(
            "stockpush_shortage_items", "Items of which more is promised than there is.", shortages
        )

    def _oldest_s(self, channel: str, now: datetime) -> float:
        """Return the age of the channel's oldest outbox row in seconds, 0 if it has none."""
        since = [at for (key, _), at in self._dirty_since.items() if key.channel == channel]
        return max(0.0, (now - min(since, default=now)).total_seconds())


class _Families(Collector):
    """Metrics made for one scrape."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def _without_created(family: Metric) -> Metric:
    """Return a metric of the library without the instants at which its series were created.

    They come from the machine's clock, and double the series of a scrape for nobody's use.
    """
    family.samples = [each for each in family.samples if not each.name.endswith("_created")]
    return family


def _is_unknown(push: Push) -> bool:
    return push.outcome is PushOutcomeKind.UNKNOWN


def _by_channel(names: Iterable[str], found: Iterable[str]) -> dict[str, float]:
    """Return how often each name was found; a channel that is not configured has no name."""
    counted = dict.fromkeys(names, 0.0)
    for name in found:
        if name in counted:
            counted[name] += 1
    return counted


def _gauge(name: str, meaning: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """Return a gauge with one sample a channel."""
    family = GaugeMetricFamily(name, meaning, labels=["channel"])
    for channel, value in values.items():
        family.add_metric([channel], value)
    return family
