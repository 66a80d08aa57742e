"""Where a listing's number depends on its item's ATP alone, it is known without a look at it."""

from __future__ import annotations

from random import Random

import pytest

from stockpush.messages import Decision, NoteGuardLevels
from stockpush.model import Exposure
from stockpush.reservation import plainly, sharing
from stockpush.reservation.reach import _offer
from stockpush.reservation.view import View
from stockpush.values import replace
from tests.reservation.test_reach import workshop
from tests.reservation.world import World

SHOPS = 25
ATPS = (-3, 0, 1, 2, 3, 4, 5, 7, 12, 900)


def shops() -> list[tuple[World, View]]:
    """Return drawn shops, some of whose shelves are guarded, or have a measured level."""
    found = []
    for seed in range(SHOPS):
        dice = Random(seed)
        world = workshop(dice)
        for sku in ("soap", "balm"):
            world.item(sku, exposure=Exposure.MIRROR)
        levels = ((sku, dice.choice((0, 2, 5))) for sku in ("balm", "candle", "wick"))
        world.do(NoteGuardLevels(tuple(levels)))
        view = View(world.catalogue, world.rows)
        guarded = [
            replace(shelf, guarded=True)
            for shelf in world.rows.shelves.values()
            if dice.random() < 0.2
        ]
        found.append((world, view.after(Decision(shelves=tuple(guarded)))))
    return found


def test_what_differs_is_what_each_listing_says() -> None:
    """With plain shelves as many listings differ as are said to: none of them, some or all."""
    told = dict.fromkeys(("none", "some", "all", "not told"), 0)
    for _, view in shops():
        for shelf, keys in view.catalogue.fields_of.items():
            plain = plainly.of(view.catalogue, shelf)
            for was in ATPS:
                for now in ATPS:
                    if plain is None or not plain.tells(view.shelf(shelf), was, now):
                        told["not told"] += 1
                        continue
                    assert not sharing.turned(view, {shelf: was})
                    assert not sharing.turned(view, {shelf: now})
                    differ = [_offer(view, key, was) != _offer(view, key, now) for key in keys]
                    differing = plain.differing(was, now)
                    assert any(differ) == (differing > 0)
                    if differing == len(plain.offerings):
                        assert all(differ)
                    told["none" if not any(differ) else "all" if all(differ) else "some"] += 1
    assert all(count > 100 for count in told.values()), told


def test_a_listing_shows_the_same_as_if_nothing_were_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is shown does not depend on whether it is known to be plain."""

    def shown() -> list[sharing.Shown]:
        return [
            sharing.shown(view, key, atp=atp, policy=view.catalogue.policies[key.channel])
            for _, view in drawn
            for key in sorted(view.catalogue.listings_on, key=str)
            for atp in ATPS
        ]

    drawn = shops()
    known = shown()
    monkeypatch.setattr(plainly, "of", lambda _catalogue, _shelf: None)
    assert known == shown()
