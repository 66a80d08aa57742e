"""Etsy: a receipt is absolute facts; polls find every one that changed, or was cancelled."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from stockpush.connectors.etsy import polling
from stockpush.connectors.etsy.orders import FATES, Fate
from stockpush.errors import AuthFailed, ChannelUnavailable, PayloadInvalid, RateLimited
from stockpush.messages import OrderSeen
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from stockpush.sim.shops.etsy import render
from tests.connectors import etsy_contract
from tests.connectors.etsy_world import (
    LAVENDER,
    MINT,
    ROSE,
    SCENT,
    SHOP_ID,
    Intercepted,
    World,
    make_world,
    needs_contract,
    scent,
    size,
)
from tests.connectors.hands import BEGUN

SECOND = BEGUN.replace(microsecond=0)


@pytest.fixture
def world() -> World:
    """Return the shop of etsy_world."""
    return make_world()


def told(seen: OrderSeen | None) -> list[tuple[str, int, int, int, int | None]]:
    """Return (order key, open, shipped, written off, deducted) of each line."""
    assert seen is not None
    return [
        (each.order_key, each.open, each.shipped, each.written_off, each.deducted)
        for each in seen.lines
    ]


def receipt(world: World, order: str, **changes: Any) -> bytes:
    """Return a receipt as the shop tells it, some of it changed."""
    body = render.receipt(world.shop._office.receipts[int(order)])
    lines = changes.pop("line", {})
    body["transactions"][0] |= lines
    return json.dumps(body | changes).encode()


# -- one receipt ---------------------------------------------------------------------------------


async def test_a_paid_receipt_is_open_and_deducted(world: World):
    """Its line goes by the field that it was taken off; instants are Etsy's."""
    order = world.shop.checkout([(MINT, 2)])
    seen = await world.fetch(order, 9)
    assert seen is not None
    assert told(seen) == [(MINT, 2, 0, 0, 2)]
    assert (seen.order_id, seen.state, seen.state_known) == (order, "paid", True)
    assert (seen.placed_at, seen.deducted_at) == (SECOND, SECOND)
    assert (seen.version.updated_at, seen.version.fetch) == (SECOND, 9)
    assert seen.lines[0].sku == "SOAP-MINT"


@pytest.mark.parametrize(
    ("status", "paid", "shipped", "counts"),
    [
        ("open", False, False, (3, 0, 0)),
        ("payment processing", False, False, (3, 0, 0)),
        ("paid", True, False, (3, 0, 3)),
        ("Paid", True, False, (3, 0, 3)),
        ("PARTIALLY REFUNDED", True, False, (3, 0, 3)),
        ("partially refunded", True, True, (0, 3, 3)),
        ("paid", True, True, (0, 3, 3)),
        ("completed", True, True, (0, 3, 3)),
        ("completed", True, False, (0, 3, 3)),
        ("canceled", True, False, (0, 0, None)),
        ("Canceled", False, False, (0, 0, None)),
        ("canceled", True, True, (0, 3, None)),
        ("fully refunded", True, False, (0, 0, None)),
        ("fully refunded", True, True, (0, 3, None)),
        ("on the moon", True, False, (3, 0, 3)),
        ("on the moon", False, False, (3, 0, 0)),
    ],
)
async def test_every_status_has_its_counts(
    world: World, status: str, paid: bool, shipped: bool, counts: tuple[int, int, int | None]
):
    """The table of orders.py, in any case; (open, shipped, deducted), nothing written off."""
    order = world.shop.checkout([("1001", 3)])
    world.instead(
        "GET", 200, receipt(world, order, status=status, is_paid=paid, is_shipped=shipped)
    )
    world.api.checks = False
    seen = await world.fetch(order)
    assert seen is not None
    assert told(seen) == [("1001", counts[0], counts[1], 0, counts[2])]
    assert seen.state == status.lower()
    assert seen.state_known == (status != "on the moon")


@needs_contract
def test_every_status_of_the_document_is_known():
    """And no other: a word that Etsy adds is marked as unknown."""
    schema = etsy_contract.document()["components"]["schemas"]["ShopReceipt"]
    assert set(FATES) == set(schema["properties"]["status"]["enum"])
    assert set(FATES.values()) == set(Fate)


async def test_payment_comes_later_than_the_order(world: World):
    """Before it nothing is deducted; after it the deduction has the payment's instant."""
    order = world.shop.checkout([("1001", 2)], paid=False)
    assert told(await world.fetch(order)) == [("1001", 2, 0, 0, 0)]
    world.hands.move(90)
    world.shop.pay(order)
    world.hands.move(90)
    world.shop.ship(order)
    seen = await world.fetch(order)
    assert seen is not None
    assert told(seen) == [("1001", 0, 2, 0, 2)]
    assert seen.deducted_at == SECOND + timedelta(seconds=90)
    assert seen.version.updated_at == SECOND + timedelta(seconds=180)


async def test_what_a_cancellation_did_to_the_number_is_unknown(world: World):
    """Etsy does not tell whether it put the units back; the instant is the change's."""
    order = world.shop.checkout([("1001", 2)])
    world.hands.move(90)
    world.shop.cancel(order)
    seen = await world.fetch(order)
    assert seen is not None
    assert told(seen) == [("1001", 0, 0, 0, None)]
    assert seen.deducted_at == SECOND + timedelta(seconds=90)


async def test_a_line_is_named_by_the_field_it_was_taken_off(world: World):
    """All variations of one number are one name; a property that the quantity does not vary by
    is left out.
    """
    values = [[scent(a), size(b)] for a in ("Mint", "Rose") for b in ("Small", "Large")]
    names = world.shop.add_variations(1004, [(each, 4, "S") for each in values], varies_by=[SCENT])
    order = world.shop.checkout([("1003:513=large", 1), (names[0], 1), (names[1], 1), (ROSE, 1)])
    assert [each[0] for each in told(await world.fetch(order))] == [
        "1003", "1004:200=mint", "1004:200=mint", ROSE,
    ]  # fmt: skip


async def test_a_renamed_value_is_found_by_its_sku(world: World):
    """The receipt keeps the old word, the listing has a new one."""
    order = world.shop.checkout([(MINT, 1)])
    row = world.shop.listing(1002)
    row.products[1].values = (scent("Peppermint"),)
    assert [each[0] for each in told(await world.fetch(order))] == ["1002:200=peppermint"]
    other = world.shop.checkout([(ROSE, 1)])  # without a SKU
    row.products[2].values = (scent("Wild rose"),)
    assert [each[0] for each in told(await world.fetch(other))] == [ROSE]


async def test_a_deleted_listing_leaves_its_lines_what_they_were(world: World):
    """With variations nobody can say which field it was: the name is left empty (the core keeps a
    known line's own); without, it is the listing.
    """
    order = world.shop.checkout([(MINT, 1), ("1001", 1)])
    world.shop.removes(1002)
    world.shop.removes(1001)
    assert [each[0] for each in told(await world.fetch(order))] == ["", "1001"]
    known = make_world()
    order = known.shop.checkout([(MINT, 1)])
    await known.fetch(order)  # while it is there
    known.shop.removes(1002)
    assert [each[0] for each in told(await known.fetch(order))] == [MINT]


@pytest.mark.parametrize("listing_id", [None, 0])
async def test_a_line_without_a_listing_has_no_name(world: World, listing_id: int | None):
    """A custom order, or a listing that is no more."""
    order = world.shop.checkout([("1001", 1)])
    world.instead("GET", 200, receipt(world, order, line={"listing_id": listing_id}))
    assert told(await world.fetch(order)) == [("", 1, 0, 0, 1)]


async def test_shapes_are_asked_for_once(world: World):
    """Which properties a listing varies by is remembered; a reading teaches it too."""
    order = world.shop.checkout([(MINT, 1)])
    await world.fetch(order)
    await world.fetch(order)
    paths = [each.path.rpartition("/")[2] for each in world.api.sent]
    assert paths == [order, "inventory", order]


async def test_digital_lines_take_nothing_from_a_shelf(world: World):
    """They are left out."""
    order = world.shop.checkout([("1001", 1), (MINT, 1)])
    world.instead("GET", 200, receipt(world, order, line={"is_digital": True}))
    assert [each[0] for each in told(await world.fetch(order))] == [MINT]


async def test_nothing_of_the_buyer_is_kept(world: World):
    """No name, address, mail or message in what a receipt becomes (I12, S20)."""
    order = world.shop.checkout([("1001", 1)])
    seen = await world.fetch(order)
    pages = await world.poll()
    assert "anary" not in repr(seen) + repr(pages)
    assert "anary" in receipt(world, order).decode()


async def test_older_names_of_instants_are_read(world: World):
    """create_timestamp and update_timestamp stand in where the new names are absent."""
    order = world.shop.checkout([("1001", 1)])
    body = json.loads(receipt(world, order))
    del body["created_timestamp"], body["updated_timestamp"]
    world.instead("GET", 200, json.dumps(body).encode())
    assert (await world.fetch(order)).placed_at == SECOND  # type: ignore[union-attr]
    del body["update_timestamp"]
    world.instead("GET", 200, json.dumps(body).encode())
    with pytest.raises(PayloadInvalid):
        await world.fetch(order)


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_id": 0}, {"receipt_id": "1"}, {"status": None}, {"status": "x\ny"},
        {"is_paid": 1}, {"transactions": None}, {"updated_timestamp": -1},
        {"updated_timestamp": 2**41}, {"created_timestamp": 1.5},
        {"line": {"quantity": -1}}, {"line": {"quantity": 1.5}}, {"line": {"quantity": "1"}},
        {"line": {"quantity": True}}, {"line": {"quantity": 10**10}},
        {"line": {"transaction_id": None}}, {"line": {"product_data": "x"}},
    ],
)  # fmt: skip
async def test_a_receipt_of_another_shape_is_unreadable(world: World, changes: dict[str, Any]):
    """It is fetched again and in the end quarantined; nothing is guessed."""
    order = world.shop.checkout([("1001", 1)])
    world.instead("GET", 200, receipt(world, order, **changes))
    with pytest.raises(PayloadInvalid):
        await world.fetch(order)


async def test_two_lines_of_one_id_are_unreadable(world: World):
    """Lines are told apart by their transaction."""
    order = world.shop.checkout([("1001", 1), (MINT, 1)])
    body = json.loads(receipt(world, order))
    body["transactions"][1]["transaction_id"] = body["transactions"][0]["transaction_id"]
    world.instead("GET", 200, json.dumps(body).encode())
    with pytest.raises(PayloadInvalid):
        await world.fetch(order)


async def test_a_receipt_is_gone_only_when_it_is_missed_twice(world: World):
    """A cancelled one used to answer 404: the first time it is unreadable, which is tried again."""
    order = world.shop.checkout([("1001", 1)])
    await world.fetch(order)
    world.shop.cancel(order)
    world.shop.api.canceled_is_404 = True
    with pytest.raises(PayloadInvalid):
        await world.fetch(order)
    assert await world.fetch(order) is None
    with pytest.raises(PayloadInvalid):
        await world.fetch(order)
    world.shop.api.canceled_is_404 = False
    assert told(await world.fetch(order)) == [("1001", 0, 0, 0, None)]
    world.shop.api.canceled_is_404 = True
    with pytest.raises(PayloadInvalid):  # a second time in a row counts, not a second time ever
        await world.fetch(order)


@pytest.mark.parametrize("order_id", ["", "x", "-1", "1.0", "1" * 19, "\u0667"])
async def test_what_never_was_a_number_is_gone(world: World, order_id: str):
    """Nothing is asked."""
    assert await world.fetch(order_id) is None
    assert world.api.sent == []


# -- polls ---------------------------------------------------------------------------------------


def queries(world: World) -> list[dict[str, str]]:
    """Return the queries of the lists that were asked for."""
    return [
        dict(each.query) for each in world.api.sent if each.path.endswith(f"/{SHOP_ID}/receipts")
    ]


async def test_the_first_poll_reads_what_is_open_then_what_is_recent(world: World):
    """A receipt of last year that was not shipped is found; one that was shipped then is not."""
    old_open = world.shop.checkout([("1001", 1)])
    old_done = world.shop.checkout([("1001", 1)])
    world.shop.ship(old_done)
    world.hands.move(200 * 86_400)
    recent = world.shop.checkout([("1001", 1)])
    world.shop.ship(recent)
    canceled = world.shop.checkout([("1001", 1)])
    world.shop.cancel(canceled)
    assert set(await world.polled()) == {old_open, recent, canceled}
    first, changed, gone = queries(world)
    assert (first["was_shipped"], first["was_canceled"], first["sort_on"]) == (
        "false", "false", "created",
    )  # fmt: skip
    assert "was_canceled" not in changed
    assert gone["was_canceled"] == "true"
    assert changed["sort_on"] == gone["sort_on"] == "updated"
    assert {each["sort_order"] for each in (first, changed, gone)} == {"asc"}


async def test_a_poll_asks_twice_and_ends_with_a_cursor(world: World):
    """For what changed and for what was cancelled; the last page completes it."""
    world.shop.checkout([("1001", 1)])
    pages = await world.poll("2026-11-22T09:59:30Z")
    assert [page.last for page in pages] == [False, True]
    assert [page.cursor for page in pages] == [None, "2026-11-22T10:00:00Z"]
    overlap = int(world.connector.manifest.poll_overlap_s)
    since = int(datetime(2026, 11, 22, 9, 59, 30, tzinfo=UTC).timestamp()) - overlap
    assert [each["min_last_modified"] for each in queries(world)] == [str(since)] * 2


async def test_a_cancellation_is_found_although_the_list_hides_it(world: World):
    """The one list leaves it out, the other has it."""
    order = world.shop.checkout([("1001", 2)])
    cursor = (await world.poll())[-1].cursor
    world.hands.move(60)
    world.shop.cancel(order)
    assert told((await world.polled(cursor))[order]) == [("1001", 0, 0, 0, None)]


@pytest.mark.parametrize("hides", [True, False])
async def test_a_receipt_in_both_lists_is_told_once(world: World, hides: bool):
    """Whether the default list has cancelled ones or not is not known: both do."""
    world.shop.api.hides_canceled = hides
    order = world.shop.checkout([("1001", 2)])
    world.shop.cancel(order)
    pages = await world.poll("2026-11-22T09:59:30Z")
    assert [each.order_id for page in pages for each in page.orders] == [order]


async def test_a_partial_refund_is_found_by_the_receipts_number(world: World):
    """No list tells of it; whoever reads open receipts again by number does. Units do not move."""
    order = world.shop.checkout([("1001", 2)])
    world.hands.move(3600)
    world.shop.refund(order, "1001", 1, restock=False)
    assert order not in await world.polled("2026-11-22T10:59:00Z")
    seen = await world.fetch(order)
    assert seen is not None
    assert (seen.state, told(seen)) == ("partially refunded", [("1001", 2, 0, 0, 2)])


async def test_the_cursor_is_the_newest_change_and_never_ahead_of_the_shop(world: World):
    """Not our now, and not the instant of a receipt from a clock that was set back since."""
    first = (await world.poll())[-1].cursor
    assert first == "2026-11-22T10:00:00Z"
    world.shop.checkout([("1001", 1)])
    world.hands.move(3600)
    assert (await world.poll("2026-11-22T10:00:00Z"))[-1].cursor == "2026-11-22T10:00:00Z"
    world.hands.move(-7200)
    assert (await world.poll("2026-11-22T10:00:00Z"))[-1].cursor == "2026-11-22T09:00:00Z"


async def test_long_lists_are_read_to_their_end(world: World):
    """By the instant of the last one read, less a second, and not by an offset."""
    world.shop.listing(1001).products[0].quantity = 900
    orders = []
    for _ in range(230):
        orders.append(world.shop.checkout([("1001", 1)]))
        world.hands.move(1)
    found = await world.polled("2026-11-22T10:00:00Z")
    assert set(found) == set(orders)
    assert {each["offset"] for each in queries(world)} == {"0"}


async def test_a_change_between_two_pages_hides_nothing(world: World):
    """F35: a receipt that moves to the end moves the others past an offset, not past an instant."""
    world.shop.listing(1001).products[0].quantity = 900
    orders = []
    for _ in range(150):
        orders.append(world.shop.checkout([("1001", 1)]))
        world.hands.move(1)
    world.before("GET", lambda: [world.shop.ship(each) for each in orders[:60]], at=3)
    world.hands.move(1)
    found = await world.polled("2026-11-22T10:00:00Z")
    assert set(found) == set(orders)


async def test_more_than_a_page_in_one_second_is_read_by_offset(world: World):
    """F36: equal instants leave no other way."""
    world.shop.listing(1001).products[0].quantity = 900
    orders = {world.shop.checkout([("1001", 1)]) for _ in range(250)}
    assert set(await world.polled("2026-11-22T10:00:00Z")) == orders
    offsets = [each["offset"] for each in queries(world) if "was_canceled" not in each]
    assert offsets == ["0", "0", "100", "200"]


def disordered(world: World, happens: Any = lambda number: None) -> None:
    """Have the lists come newest first whatever is asked for; something happens before each."""
    asked = iter(range(1, 1000))

    def handled(request: ShopRequest) -> ShopAnswer:
        if request.path.endswith("/receipts"):
            happens(next(asked))
        query = tuple(
            (name, "desc" if name == "sort_order" else value) for name, value in request.query
        )
        return world.shop.handle(replace(request, query=query))

    world.api.shop = Intercepted(world.shop, handled)


def bought(world: World, number: int) -> list[str]:
    """Buy one after the other, a minute apart."""
    world.shop.listing(1001).products[0].quantity = 900
    orders = []
    for _ in range(number):
        orders.append(world.shop.checkout([("1001", 1)]))
        world.hands.move(60)
    return orders


@pytest.mark.parametrize("since", [None, "2026-11-22T10:00:00Z"])
async def test_a_list_that_is_out_of_order_loses_nothing(world: World, since: str | None):
    """The newest of a page is no place to go on from where older ones come behind it: the list is
    counted, and read again until it is the same twice. Only the last page has the cursor.
    """
    orders = bought(world, 230)
    disordered(world)
    pages = await world.poll(since)
    assert {each.order_id for page in pages for each in page.orders} == set(orders)
    assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
    assert pages[-1].last


async def test_a_list_out_of_order_that_shifts_is_read_again(world: World):
    """A receipt leaves it while it is counted: the one that takes its place is passed over once,
    and not twice.
    """
    orders = bought(world, 230)
    world.hands.move(7 * 86_400)

    def ships(number: int) -> None:
        if number == 3:  # behind the page that shows the disorder, and the first counted
            world.shop.ship(orders[-1])

    disordered(world, ships)
    pages = await world.poll()
    assert {each.order_id for page in pages for each in page.orders} == set(orders)
    assert pages[-1].last


async def test_a_list_out_of_order_that_never_stands_still_is_no_complete_poll(world: World):
    """It is told, and the next poll begins where this one did."""
    orders = bought(world, 230)

    def ships(number: int) -> None:
        world.hands.move(60)
        world.shop.ship(orders[number])

    disordered(world, ships)
    pages = world.connector.poll_orders(world.api, since="2026-11-22T10:00:00Z", fetch=1)
    found = [(await anext(pages)).last for _ in range(1 + 4 * 3)]
    assert not any(found)
    with pytest.raises(PayloadInvalid, match="out of order"):
        await anext(pages)


async def test_one_unreadable_receipt_does_not_hide_the_others(world: World):
    """Its number is told, so that it is fetched by itself."""
    first, second = world.shop.checkout([("1001", 1)]), world.shop.checkout([(MINT, 1)])
    body = json.loads(receipt(world, first, line={"quantity": "one"}))
    other = json.loads(receipt(world, second))
    page = {"count": 3, "results": [body, other, {"status": "paid"}]}
    world.instead("GET", 200, json.dumps(page).encode())
    pages = await world.poll("2026-11-22T10:00:00Z")
    assert [each.order_id for each in pages[0].orders] == [second]
    assert [each[0] for each in pages[0].unreadable] == [first, ""]
    kept = b"".join(each[2] for each in pages[0].unreadable)
    assert b'"quantity":"one"' in kept
    assert b"anary" in receipt(world, first)
    assert b"anary" not in kept


async def test_receipts_with_lines_twice_are_unreadable_by_themselves(world: World):
    """What can be decoded and makes no sense is told in the same way."""
    order = world.shop.checkout([("1001", 1), (MINT, 1)])
    body = json.loads(receipt(world, order))
    body["transactions"][1]["transaction_id"] = body["transactions"][0]["transaction_id"]
    world.instead("GET", 200, json.dumps({"count": 1, "results": [body]}).encode())
    pages = await world.poll("2026-11-22T10:00:00Z")
    assert [(each[0], page.orders) for page in pages for each in page.unreadable] == [(order, ())]


async def test_a_page_asks_for_all_its_new_listings_at_once(world: World):
    """One more request for a page, however many listings are in it; none for the next."""
    world.shop.checkout([("1001", 1), (MINT, 1), (LAVENDER, 1)])
    world.shop.checkout([("1003:513=small", 1)])
    await world.poll("2026-11-22T10:00:00Z")
    await world.poll("2026-11-22T10:00:00Z")
    batches = [dict(each.query) for each in world.api.sent if each.path.endswith("inventory")]
    assert batches == [{"listing_ids": "1001,1002,1003"}]


async def test_a_listing_that_cannot_be_read_does_not_hold_up_the_orders(world: World):
    """Its lines have no name as long as nobody can say which field they went by."""
    order, other = world.shop.checkout([(MINT, 1)]), world.shop.checkout([("1001", 1)])
    world.instead(
        "GET", 200, b'{"results":[{"listing_id":1002,"state":"active","inventory":7}]}', at=2
    )
    found = await world.polled("2026-11-22T10:00:00Z")
    assert [each[0] for each in told(found[order])] == [""]
    assert other in found


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limit_next", RateLimited),
        ("server_error_next", ChannelUnavailable),
        ("drop_before_next", ChannelUnavailable),
        ("truncated_answer_next", PayloadInvalid),
    ],
)
async def test_a_poll_that_breaks_is_not_complete(world: World, fault: str, error: Any):
    """Nothing has the cursor: the next one begins where this one did."""
    world.shop.checkout([("1001", 1)])
    setattr(world.shop.faults, fault, 1)
    world.api.checks = False
    with pytest.raises(error):
        await world.poll("2026-11-22T10:00:00Z")


async def test_a_poll_without_access_says_so(world: World):
    """401 is for a person."""
    world.shop.faults.unauthorized = True
    with pytest.raises(AuthFailed):
        await world.poll()


async def test_a_list_without_end_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch):
    """However the shop answers, a poll ends."""
    monkeypatch.setattr(polling, "PAGES_MAX", 3)
    world.shop.listing(1001).products[0].quantity = 900
    orders = [world.shop.checkout([("1001", 1)]) for _ in range(100)]
    await world.fetch(orders[0])
    body = world.shop.api._receipts({"limit": "100"})
    world.instead("GET", 200, msgspec.json.encode(body), at=None)
    with pytest.raises(PayloadInvalid, match="does not end"):
        await world.poll("2026-11-22T10:00:00Z")
