"""Several decisions written at once are the same as written one after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stockpush.messages import Decision
from stockpush.model import Dirty, Drift, FieldKey, Shelf
from stockpush.store.folding import Changes, fold
from stockpush.store.rows import instant, micros
from tests.store.samples import DRIFT, at

KEYS = [FieldKey("my-shopify", name) for name in "ab"]
keys = st.sampled_from(KEYS)
revisions = st.integers(1, 3)
dirty_rows = st.builds(
    Dirty, key=keys, revision=revisions, due_at=st.just(at(0)), decrease=st.booleans()
)
drifts = st.builds(
    lambda key, number, closes: replace(
        DRIFT, field=key, expected=number, resolution="", closed_at=at(number) if closes else None
    ),
    keys,
    st.integers(1, 9),
    st.booleans(),
)
decisions = st.builds(
    Decision,
    dirty=st.lists(dirty_rows, max_size=2).map(tuple),
    clean=st.lists(st.tuples(keys, revisions), max_size=2).map(tuple),
    shelves=st.lists(
        st.builds(Shelf, sku=st.sampled_from("ab"), on_hand=st.integers(0, 9)), max_size=2
    ).map(tuple),
    drifts=st.lists(drifts, max_size=2).map(tuple),
)


class Tables:
    """The tables as plain collections, written in the order in which the store writes."""

    def __init__(self) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.dirty: dict[FieldKey, Dirty] = {}
        self.drifts: list[Drift] = []

    def write(self, changes: Changes) -> None:
        """Apply changes as `SqlTransaction.apply` does."""
        self.shelves.update(changes.shelves)
        self.dirty.update(changes.dirty)
        for key, revision in changes.clean:
            if key in self.dirty and self.dirty[key].revision == revision:
                del self.dirty[key]
        for closing in changes.drifts_closed:
            self.drifts = [
                replace(drift, closed_at=closing.closed_at)
                if drift.field == closing.field and drift.closed_at is None
                else drift
                for drift in self.drifts
            ]
        self.drifts.extend(changes.drifts_new)


@given(st.lists(decisions, max_size=6), st.lists(decisions, max_size=6))
def test_a_group_is_written_as_its_members_would_be(
    before: list[Decision], group: list[Decision]
) -> None:
    """Whatever the tables held before, one write of a group leaves what single writes leave."""
    together, singly = Tables(), Tables()
    together.write(fold(before))
    singly.write(fold(before))
    together.write(fold(group))
    for decision in group:
        singly.write(fold([decision]))
    assert together.shelves == singly.shelves
    assert together.dirty == singly.dirty
    assert together.drifts == singly.drifts


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001  # the strategy adds the zone
    st.integers(-14 * 60, 14 * 60),
)
def test_an_instant_survives_as_microseconds(naive: datetime, offset_min: int) -> None:
    """To the microsecond, from any zone, before 1970 as after."""
    from datetime import timezone

    value = naive.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    assert instant(micros(value)) == value
    assert instant(micros(value)).tzinfo is UTC
