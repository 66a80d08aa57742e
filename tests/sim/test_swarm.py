"""What a seed's misfortunes are like."""

from __future__ import annotations

import random
from collections import Counter

from stockpush.sim.swarm import ELSEWHERE, ONLY_AT, ROWS, SPELLS, STRENGTHS, FaultKind, Swarm

CHANNELS = ("shopify", "woo")
EVERYWHERE = [kind for kind in FaultKind if kind not in ONLY_AT]
"""Kinds that any channel can have."""


def swarms(count: int = 400) -> list[Swarm]:
    """Return the swarms of the first seeds."""
    return [Swarm.draw(random.Random(seed), CHANNELS) for seed in range(count)]


def test_one_seed_gives_one_swarm() -> None:
    """The same seed draws the same swarm, another one another."""
    assert Swarm.draw(random.Random(5), CHANNELS) == Swarm.draw(random.Random(5), CHANNELS)
    assert len({str(swarm) for swarm in swarms(50)}) > 45


def test_most_seeds_have_few_kinds_some_none_some_all() -> None:
    """Kinds are drawn first: few for most seeds, none for some, all for some, each one often."""
    drawn = swarms()
    sizes = Counter(len(swarm.kinds) for swarm in drawn)
    assert sizes[0] >= 15
    assert sizes[len(EVERYWHERE)] >= 8
    assert sum(count for size, count in sizes.items() if 1 <= size <= 5) > len(drawn) / 2
    struck = Counter(kind for swarm in drawn for kind in swarm.kinds)
    assert min(struck[kind] for kind in EVERYWHERE) >= 20
    assert not struck.keys() & ONLY_AT.keys()


def test_a_channel_brings_kinds_of_its_own_and_changes_no_other() -> None:
    """Etsy has what only Etsy can have, each often, and only in worlds with faults."""
    struck: Counter[FaultKind] = Counter()
    for seed in range(400):
        swarm = Swarm.draw(random.Random(seed), (*CHANNELS[:1], "etsy"))
        plain = Swarm.draw(random.Random(seed), CHANNELS)
        struck.update(swarm.kinds)
        assert swarm.kinds - ONLY_AT.keys() == plain.kinds
        assert bool(plain.kinds) or not swarm.kinds
        assert all(spell.channel == "etsy" for spell in swarm.spells if spell.kind in ONLY_AT)
    assert min(struck[kind] for kind in ONLY_AT) >= 60
    assert all(not swarm.kinds for swarm in swarms() if not swarm.spells and not swarm.strengths)


def test_strengths_and_spells_are_within_their_bounds() -> None:
    """A strength is within its table's bounds; a spell begins in act one, on a known channel."""
    for swarm in swarms():
        assert set(swarm.strengths) == swarm.kinds
        for kind, strength in swarm.strengths.items():
            low, high, _ = STRENGTHS[kind]
            assert low <= strength <= high
        for spell in swarm.spells:
            assert spell.kind in swarm.kinds
            assert 0 <= spell.begin_s <= swarm.span_s
            assert spell.channel in {"", *CHANNELS}
            assert abs(spell.lasts_s) <= max(map(abs, SPELLS[spell.kind]))
        assert all(abs(skew) <= 600 for skew in swarm.skew_s.values())


def test_a_kind_can_be_taken_away() -> None:
    """Without a kind nothing of it is left, and everything else is as it was."""
    drawn = (Swarm.draw(random.Random(seed), (*CHANNELS, "etsy")) for seed in range(400))
    whole = next(swarm for swarm in drawn if len(swarm.kinds) == len(FaultKind))
    for kind in FaultKind:
        less = whole.without(kind)
        assert kind not in less.kinds | less.strengths.keys()
        assert less.strength(kind) == 0
        assert [spell for spell in whole.spells if spell.kind is not kind] == list(less.spells)
        assert bool(less.skew_s) == (kind is not FaultKind.CLOCK_SKEW)
    assert not whole.tells_everything
    assert Swarm().tells_everything


def test_a_swarm_is_one_line() -> None:
    """Its text is one line that names every kind with its strength."""
    for swarm in swarms(100):
        assert "\n" not in str(swarm)
        assert all(kind.name.lower() in str(swarm) for kind in swarm.kinds)


def test_every_row_of_the_table_of_faults_is_counted_or_has_a_reason() -> None:
    """F1 to F70 each are in exactly one of the two tables."""
    assert not ROWS.keys() & ELSEWHERE.keys()
    assert set(ROWS) | set(ELSEWHERE) == {f"F{number}" for number in range(1, 71)}
