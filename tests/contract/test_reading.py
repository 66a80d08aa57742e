"""Orders are read as the shop has them, whole, from the beginning and from a cursor."""

from __future__ import annotations

import re
from datetime import UTC
from itertools import count
from typing import Any

import pytest

from stockpush.connectors.base import Checkup
from stockpush.errors import AuthFailed, PayloadInvalid
from stockpush.messages import OrderSeen
from stockpush.sim.shops.base import BUYER, ShopAnswer, ShopRequest
from tests.contract.kit import NAMES, kit, with_webhooks
from tests.contract.stage import Between, Offered, deliveries, offered, orders, poll, unchecked

COUNTED = re.compile(rb'("(?:quantity|currentQuantity|ordered)":\s*)1\b')
"""How a line's units stand in what a shop answers."""
OLD_S = 80 * 86_400.0
"""Older than any list of recent orders, younger than what a platform forgets."""


async def staged(name: str, count: int = 2) -> tuple[Any, list[Offered]]:
    """Return a stage with so many things on sale."""
    found = kit(name)
    stage = found.open()
    return stage, await offered(found, stage, count)


def facts(seen: OrderSeen) -> list[tuple[str, int, int]]:
    """Return (line, ordered, open) of each line that has something to be sent."""
    return sorted((each.line_id, each.ordered, each.open) for each in seen.lines if each.open)


def truths(stage: Any, order: str) -> list[tuple[str, int, int]]:
    """Return the same as the shop itself has it."""
    lines = [each for each in stage.shop.lines() if each.order_id == order and each.open]
    return sorted((each.line_id, each.ordered, each.open) for each in lines)


@pytest.mark.parametrize("name", NAMES)
async def test_a_sale_is_read_as_the_shop_has_it(name: str) -> None:
    """Polled and fetched alike, each line with the key by which its listing goes."""
    stage, given = await staged(name)
    order = stage.shop.checkout([(given[0].name, 1), (given[1].name, 2)])
    polled = (await orders(stage))[order]
    fetched = await stage.connector.fetch_order(stage.api, order, fetch=9)
    assert facts(polled) == facts(fetched) == truths(stage, order)
    assert sum(each.open for each in polled.lines) == 3
    assert fetched.version.updated_at.tzinfo is UTC
    resolved = await stage.connector.resolve(stage.api, [each.listing for each in given])
    keys = {each.order_key for each in resolved}
    assert {each.order_key for each in polled.lines} == keys


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_shipped_or_cancelled_is_open_no_more(name: str) -> None:
    """As the shop itself says."""
    stage, given = await staged(name)
    shipped, cancelled = (stage.shop.checkout([(each.name, 2)]) for each in given)
    stage.hands.move(5)
    stage.shop.ship(shipped)
    stage.shop.cancel(cancelled)
    for order in (shipped, cancelled):
        assert truths(stage, order) == []
        seen = await stage.connector.fetch_order(stage.api, order, fetch=1)
        assert seen is None or facts(seen) == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_first_poll_reads_open_orders_whatever_their_age(name: str) -> None:
    """Without a cursor nothing that is still to be sent is missed: a resync rests on it."""
    stage, given = await staged(name)
    old = stage.shop.checkout([(given[0].name, 1)])
    stage.hands.move(OLD_S)
    new = stage.shop.checkout([(given[1].name, 1)])
    assert {old, new} <= set(await orders(stage))


@pytest.mark.parametrize("name", NAMES)
async def test_a_cursor_goes_on_where_the_last_poll_ended(name: str) -> None:
    """The last page alone has it, by the shop's clock and not ahead of it; what changed later is
    read, and what changed before is not read for ever.
    """
    stage, given = await staged(name)
    first = stage.shop.checkout([(given[0].name, 1)])
    pages = await poll(stage)
    assert [each.last for each in pages] == [*[False] * (len(pages) - 1), True]
    assert [each.cursor for each in pages[:-1]] == [None] * (len(pages) - 1)
    cursor = pages[-1].cursor
    assert cursor
    stage.hands.move(86_400)
    later = stage.shop.checkout([(given[1].name, 1)])
    second = await poll(stage, cursor)
    assert later in {each.order_id for page in second for each in page.orders}
    stage.hands.move(86_400)
    ended = second[-1].cursor
    assert ended is not None
    assert first not in await orders(stage, ended)


@pytest.mark.parametrize("name", NAMES)
async def test_a_poll_overlaps_the_one_before(name: str) -> None:
    """What lies minutes behind the cursor is read again: a list may have known of it too late."""
    stage, given = await staged(name)
    behind = stage.shop.checkout([(given[0].name, 1)])
    stage.hands.move(300)
    newest = stage.shop.checkout([(given[1].name, 1)])
    (*_, last) = await poll(stage)
    stage.hands.move(5)
    assert {behind, newest} <= set(await orders(stage, last.cursor))


@pytest.mark.parametrize("name", NAMES)
async def test_every_page_of_many_is_read(name: str) -> None:
    """More orders than any list shows at once: the open ones, and what changed since a cursor."""
    stage, given = await staged(name, 1)
    (*_, begun) = await poll(stage)
    made = set()
    for _ in range(130):
        stage.shop.merchant_sets(given[0].name, 900)
        made.add(stage.shop.checkout([(given[0].name, 1)]))
        stage.hands.move(1)
    assert made <= set(await orders(stage))
    assert made <= set(await orders(stage, begun.cursor))


@pytest.mark.parametrize("name", NAMES)
async def test_no_order_is_lost_where_pages_shift(name: str) -> None:
    """An order that changes between two pages moves to another place, and what is behind it moves
    up: this poll and the next one from its cursor have told every order all the same.
    """
    stage, given = await staged(name, 1)
    (*_, begun) = await poll(stage)
    placed = []
    for _ in range(130):
        stage.shop.merchant_sets(given[0].name, 900)
        placed.append(stage.shop.checkout([(given[0].name, 1)]))
        stage.hands.move(90)  # no overlap reaches back to what shifts
    asked, door = count(1), stage.api.shop

    def handle(request: ShopRequest) -> ShopAnswer:
        if next(asked) == 2:
            stage.hands.move(1)
            stage.shop.ship(placed[3])
        answer: ShopAnswer = door.handle(request)
        return answer

    stage.api.shop = Between(stage.shop, handle)
    pages = await poll(stage, begun.cursor)
    assert next(asked) > 2, "no page was read after the order had moved"
    pages += await poll(stage, pages[-1].cursor)
    told = {each.order_id for page in pages for each in page.orders}
    assert set(placed) <= told


@pytest.mark.parametrize("name", NAMES)
async def test_what_cannot_be_read_is_kept_without_its_buyer(name: str) -> None:
    """Enough to read it after a mending, and nothing of who bought."""
    stage, given = await staged(name, 1)
    order = stage.shop.checkout([(given[0].name, 1)])
    shop = unchecked(stage)

    def handle(request: ShopRequest) -> ShopAnswer:
        answer: ShopAnswer = shop.handle(request)
        return ShopAnswer(answer.status, answer.headers, COUNTED.sub(rb'\1"odd"', answer.body))

    stage.api.shop = Between(shop, handle)
    unreadable = [each for page in await poll(stage) for each in page.unreadable]
    assert {each[0] for each in unreadable} == {order}
    kept = b"".join(each.kept for each in unreadable)
    assert order.encode() in kept
    assert [each for each in BUYER.values() if each.encode() in kept] == []


@pytest.mark.parametrize("name", NAMES)
async def test_access_is_tried(name: str) -> None:
    """It is well where it was looked at, which takes a request; refused, it is not."""
    stage = kit(name).open()
    assert isinstance(stage.connector, Checkup)
    assert all(each.ok for each in await stage.connector.check(stage.api))
    assert stage.api.sent
    stage.shop.faults.unauthorized = True
    with pytest.raises(AuthFailed):
        await stage.connector.check(stage.api)


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_of_a_buyer_is_kept(name: str) -> None:
    """Every emulated shop names its buyer; no fact does."""
    stage, given = await staged(name)
    deliveries(stage)
    order = stage.shop.checkout([(given[0].name, 1)])
    told: list[Any] = [await poll(stage)]
    told.append(await stage.connector.fetch_order(stage.api, order, fetch=1))
    came = deliveries(stage)
    assert bool(came) == with_webhooks(name)
    told += [stage.connector.read(each) for each in came]
    assert [each for each in BUYER.values() if each in repr(told)] == []


@pytest.mark.parametrize("name", NAMES)
async def test_an_order_that_never_was_is_none(name: str) -> None:
    """The shop itself says so; anything that cannot be an id is not even asked for."""
    stage, given = await staged(name, 1)
    order = stage.shop.checkout([(given[0].name, 1)])
    never = f"{order[:-1]}9876"
    try:
        seen = await stage.connector.fetch_order(stage.api, never, fetch=1)
    except PayloadInvalid:  # one that hides what it has wants to be asked twice
        seen = await stage.connector.fetch_order(stage.api, never, fetch=2)
    assert seen is None
    stage.api.sent.clear()
    assert await stage.connector.fetch_order(stage.api, "../1", fetch=1) is None
    assert stage.api.sent == []
