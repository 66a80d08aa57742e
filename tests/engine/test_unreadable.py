"""An order that cannot be read: tried again, given up visibly, and pointed at again later."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from stockpush.connectors.base import OrderPage, Unreadable
from stockpush.connectors.order_poll import set_aside
from stockpush.engine import reconcile
from stockpush.engine.reconcile import READ_TRIES_MAX, TRIES_MAX
from stockpush.errors import PayloadInvalid
from stockpush.model import DeliveryState, Health
from stockpush.store import reads
from tests.engine.world import SHOP, Floor, NumbersShop, floor, ran

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


def unreadable(shop: Floor, *orders: str) -> None:
    """These orders are answered by something that is no order, for good."""

    async def answer(api: object, order_id: str, *, fetch: int) -> object:
        if order_id in orders:
            shop.shop.log.append(f"no {order_id}")
            raise PayloadInvalid("a proxy's page")
        return await NumbersShop.fetch_order(shop.shop, api, order_id, fetch=fetch)

    shop.shop.fetch_order = answer


def test_what_stays_unreadable_does_not_keep_others_from_being_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two orders can never be read, and two are taken at a time; the third can be read again."""
    monkeypatch.setattr(reconcile, "HINTS_MAX", 2)

    async def work() -> None:
        async with floor(tmp_path) as shop:
            shop.shop.sell("c", 3)
            unreadable(shop, "a", "b", "c")
            for order_id in "abc":
                await shop.hints(order_id)
            await shop.passes(HOUR_S / 2)
            assert len(await shop.store.given_up(SHOP, limit=9)) == 3
            unreadable(shop, "a", "b")
            await shop.passes(3 * HOUR_S)
            left = await shop.store.given_up(SHOP, limit=9)
            left += await shop.store.hints(SHOP, limit=9)
            assert sorted(each.order_id for each in left) == ["a", "b"]
            tried = shop.shop.log.count("no a")
            await shop.passes(3 * HOUR_S)
            assert shop.shop.log.count("no a") > tried

    ran(work())


def test_hints_that_wait_after_a_failure_do_not_keep_a_newer_one_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are passed over, however many there are."""
    monkeypatch.setattr(reconcile, "HINTS_MAX", 2)

    async def work() -> None:
        async with floor(tmp_path) as shop:
            unreadable(shop, "a", "b")
            for order_id in "ab":
                await shop.hints(order_id)
            await shop.until(lambda: shop.shop.log.count("no b") == 4, within_s=60)
            shop.shop.sell("c", 3)
            await shop.hints("c")
            await shop.until(lambda: "fetch" in shop.shop.log, within_s=1)

    ran(work())


class _Order(msgspec.Struct):
    """What a connector reads of an order."""

    id: int


def test_orders_without_an_id_are_told_apart_by_what_is_not_kept(tmp_path: Path) -> None:
    """Nothing of who bought is kept, and that may be all in which two of them differ: they stay
    two, and each of them stays one however often it is polled.
    """
    unreadable: list[Unreadable] = []
    for raw in (b'{"id": "?", "name": "Eve"}', b'{"id": "?", "name": "Adam"}'):
        error = PayloadInvalid("no id")
        set_aside(unreadable, error, order="", raw=msgspec.Raw(raw), kind=_Order)
    assert {each.kept for each in unreadable} == {b'{"id":"?"}'}

    async def work() -> None:
        async with floor(tmp_path) as shop:
            polls = itertools.count()

            async def poll_orders(*_: object, **__: object) -> AsyncIterator[OrderPage]:
                next(polls)
                yield OrderPage((), shop.clock.now(), True, "c", tuple(unreadable))

            shop.shop.poll_orders = poll_orders
            await shop.passes(HOUR_S)
            assert next(polls) > 2
            rows = (await reads.deliveries(shop.store, limit=9)).data
            assert [each.state for each in rows] == [DeliveryState.QUARANTINED] * 2
            assert {each.digest for each in rows} == {each.digest for each in unreadable}

    ran(work())


@pytest.mark.parametrize(("times", "is_parked"), [(READ_TRIES_MAX - 1, False), (99, True)])
def test_a_listing_is_parked_only_when_it_stays_unreadable(
    tmp_path: Path, times: int, is_parked: bool
) -> None:
    """An answer that broke on the way hides nothing that could be sold: it is asked for again."""

    async def work() -> None:
        async with floor(tmp_path) as shop:
            left = [times]

            async def answer(name: str) -> None:
                if name == "resolve" and left[0]:
                    left[0] -= 1
                    raise PayloadInvalid("a proxy's page")

            shop.shop.before = answer
            shop.workers.reconciler.want_all()
            await shop.passes(HOUR_S / 4)
            (listing,) = (await shop.store.catalogue()).listings
            assert (listing.parked_reason is not None) == is_parked
            assert shop.shop.log.count("resolve") >= min(times, READ_TRIES_MAX)

    ran(work())
