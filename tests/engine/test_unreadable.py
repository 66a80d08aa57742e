"""An order that cannot be read: tried again, given up visibly, and pointed at again later."""

from __future__ import annotations

from pathlib import Path

from stockpush.engine.reconcile import TRIES_MAX
from stockpush.errors import PayloadInvalid
from stockpush.model import Health
from tests.engine.world import SHOP, Floor, floor, ran

HOUR_S = 3600.0


def garbage(shop: Floor, times: int) -> None:
    """Have the next so many fetches answered by something that is no order."""
    left = [times]

    async def answer(name: str) -> None:
        if name == "fetch" and left[0]:
            left[0] -= 1
            raise PayloadInvalid("a proxy's page")

    shop.shop.before = answer


def test_a_page_in_the_place_of_an_answer_is_asked_for_again(tmp_path: Path) -> None:
    """Nothing is quarantined for it, and the channel counts as well."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            shop.shop.sell("1", 3)
            garbage(shop, 2)
            await shop.hints("1")
            await shop.until(lambda: shop.shop.log.count("fetch") == 3, within_s=30)
            await shop.passes(1)
            assert (await shop.row()).expected == 7
            assert not await shop.store.given_up(SHOP, limit=9)
            assert shop.workers.channel.health is Health.OK

    ran(work())


def test_what_stays_unreadable_is_given_up_and_tried_again_every_reconcile(tmp_path: Path) -> None:
    """It is quarantined for people to see, and heals by itself once it can be read."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            shop.shop.sell("1", 3)
            garbage(shop, TRIES_MAX)
            await shop.hints("1")
            await shop.passes(HOUR_S / 2)
            assert shop.shop.log.count("fetch") >= TRIES_MAX
            (given_up,) = await shop.store.given_up(SHOP, limit=9)
            assert "a proxy's page" in given_up.reason
            await shop.passes(HOUR_S)
            assert not await shop.store.given_up(SHOP, limit=9)
            assert not await shop.store.hints(SHOP, limit=9)

    ran(work())
