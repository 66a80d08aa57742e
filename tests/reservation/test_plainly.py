"""Where a listing's number depends on its item's ATP alone, it is known without a look at it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from stockpush.messages import Decision, NoteGuardLevels
from stockpush.model import Exposure
from stockpush.reservation import plainly, sharing
from stockpush.reservation.reach import _offer
from stockpush.reservation.view import View
from tests.reservation.test_reach import workshop

SHOPS = 25
ATPS = (-3, 0, 1, 2, 3, 4, 5, 7, 12, 900)


def shops() -> list[View]:
    """Return views of drawn shops, some of whose shelves are guarded, or have a measured level.

    In some a channel is not configured, everything is split, or a field has listings of two items.
    """
    found = []
    for seed in range(SHOPS):
        dice = Random(seed)
        world = workshop(dice)
        for sku in ("soap", "balm"):
            world.item(sku, exposure=Exposure.MIRROR)
        levels = ((sku, dice.choice((0, 2, 5))) for sku in ("balm", "candle", "wick"))
        world.do(NoteGuardLevels(tuple(levels)))
        catalogue = world.catalogue
        if seed % 5 == 1:
            policies = {name: each for name, each in catalogue.policies.items() if name != "woo"}
            catalogue = replace(catalogue, policies=policies)
        elif seed % 5 == 2:
            world.item("soap", exposure=Exposure.SPLIT)
            catalogue = world.catalogue
        elif seed % 5 == 3:
            world.list("shopify", "other", "wick", field="s3", cap=1)
            catalogue = world.catalogue
        view = View(catalogue, world.rows)
        guarded = [
            replace(shelf, guarded=True)
            for shelf in world.rows.shelves.values()
            if dice.random() < 0.2
        ]
        found.append(view.after(Decision(shelves=tuple(guarded))))
    return found


def test_what_differs_is_what_each_listing_says() -> None:
    """With plain shelves as many listings differ as are said to: none of them, some or all."""
    told = dict.fromkeys(("none", "some", "all", "not told"), 0)
    for view in shops():
        for shelf, keys in view.catalogue.fields_of.items():
            plain = plainly.of(view.catalogue, shelf)
            for was in ATPS:
                for now in ATPS:
                    if plain is None or not plain.tells(view.shelf(shelf), was, now):
                        told["not told"] += 1
                        continue
                    assert not sharing.turned(view, {shelf: was})
                    assert not sharing.turned(view, {shelf: now})
                    differ = [
                        _offer(view, key, was) != _offer(view, key, now)
                        for key in keys
                        if key.channel in view.catalogue.policies
                    ]
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
            sharing.shown(view, key, atp=atp, policy=policy)
            for view in drawn
            for key in sorted(view.catalogue.listings_on, key=str)
            for policy in [view.catalogue.policies.get(key.channel)]
            if policy is not None
            for atp in ATPS
        ]

    drawn = shops()
    for view in drawn:
        for shelf in view.catalogue.fields_of:
            plainly.of(view.catalogue, shelf)
    known = shown()
    monkeypatch.setattr(plainly, "is_known", lambda _catalogue, _shelf: False)
    assert known == shown()
