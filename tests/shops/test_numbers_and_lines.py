"""What is seen of a shop without a request: every number it shows, every line it has."""

from __future__ import annotations

import pytest

from stockpush.sim.shops.base import OrderTruth, Shop
from tests.connectors import shopify_world
from tests.connectors.hands import BEGUN
from tests.connectors.woocommerce_world import World, make_world


@pytest.fixture
def woo() -> World:
    """Return the shop of woocommerce_world."""
    return make_world()


def told(shop: Shop) -> list[tuple[str, int, int, int, int, str]]:
    """Return (listing, ordered, open, deducted, shipped, status) of every line."""
    return [
        (line.listing, line.ordered, line.open, line.deducted, line.shipped, line.status)
        for line in shop.lines()
    ]


# -- numbers ----------------------------------------------------------------------------------


def test_shopify_shows_available_at_our_location() -> None:
    """A sale lowers it; what is deleted, untracked or not stocked here shows none."""
    w = shopify_world.world(other_locations=(5,))
    a, b = w.sell("A", 5), w.sell("B", -2)
    gone = w.sell("gone", 1)
    w.shop.remove_variant(gone)
    w.sell("untracked", 1, tracked=False)
    w.sell("elsewhere", 1, stocked=False)
    w.shop.checkout([(a, 2)])
    assert w.shop.numbers() == {a: 3, b: -2}


def test_shopify_variants_of_one_item_show_one_number() -> None:
    """Both follow the sale of either."""
    w = shopify_world.world()
    a = w.sell("A", 5)
    twin = w.sell("A", 0, item_id=w.shop.variants[int(a)].item_id)
    w.shop.checkout([(twin, 1)])
    assert w.shop.numbers() == {a: 4, twin: 4}


def test_woocommerce_shows_the_number_of_the_managing_row(woo: World) -> None:
    """A variation served by its parent shows the parent's; a parent is no listing itself."""
    shop = woo.shop
    shop.add_product(70, stock=4, type="variable")
    shop.add_variation(70, 71, stock=None)
    shop.add_variation(70, 72, stock=9)
    shop.add_product(80, stock=None)
    before = shop.numbers()
    assert {key: before.get(key) for key in ("70", "70:71", "70:72", "80")} == {
        "70": None,
        "70:71": 4,
        "70:72": 9,
        "80": None,
    }
    shop.checkout([("70:71", 1)])
    shop.remove_product("70:72")
    after = shop.numbers()
    assert (after["70:71"], after.get("70:72")) == (3, None)
    shop.switch_stock_off()
    assert shop.numbers() == {}


def test_asking_runs_no_job(woo: World) -> None:
    """An unpaid order whose hold has run out is cancelled by the shop's own job, not by a look."""
    order = woo.shop.checkout([("30", 2)], paid=False)
    woo.hands.move(3 * 3600)
    woo.shop.numbers()
    assert told(woo.shop) == [("30", 2, 2, 0, 0, "pending")]
    woo.shop.webhooks_due()
    assert told(woo.shop) == [("30", 2, 0, 0, 0, "cancelled")]
    assert next(woo.shop.lines()).order_id == order


# -- Shopify's lines --------------------------------------------------------------------------


def test_a_shopify_line_as_a_whole() -> None:
    """Ids, listing and instant are the shop's own."""
    w = shopify_world.world()
    a = w.sell("A", 5)
    order = w.shop.checkout([(a, 2)])
    line = w.shop.book.orders[int(order)].lines[0].line_id
    begun = BEGUN.replace(microsecond=0)
    assert list(w.shop.lines()) == [OrderTruth(order, str(line), a, 2, 2, 2, 0, "open", begun)]


def test_shopify_lines_follow_a_history() -> None:
    """Open falls by what is sent, refunded or removed; deducted only by what goes back on sale."""
    w = shopify_world.world(edits_are_recorded=False)
    a = w.sell("A", 20)
    order = w.shop.checkout([(a, 10)])
    w.shop.ship_units(order, [(a, 3)])
    assert told(w.shop) == [(a, 10, 7, 10, 3, "open")]
    w.shop.refund(order, a, 2, restock=False)
    assert told(w.shop) == [(a, 10, 5, 10, 3, "open")]
    w.shop.refund(order, a, 1, restock=True)
    assert told(w.shop) == [(a, 10, 4, 9, 3, "open")]
    w.shop.edit(order, a, 5)
    assert told(w.shop) == [(a, 10, 2, 7, 3, "open")]
    w.shop.ship(order)
    assert told(w.shop) == [(a, 10, 0, 7, 5, "closed")]
    w.shop.refund(order, a, 4, restock=True)
    assert told(w.shop) == [(a, 10, 0, 3, 1, "closed")]
    assert w.shop.numbers()[a] == 20 - 3


@pytest.mark.parametrize(("restock", "deducted"), [(True, 1), (False, 4)])
def test_a_cancelled_shopify_order_keeps_what_was_sent(restock: bool, deducted: int) -> None:
    """Nothing is open; what was sent stays sent; the rest is back on sale or not."""
    w = shopify_world.world()
    a = w.sell("A", 9)
    order = w.shop.checkout([(a, 4)])
    w.shop.ship_units(order, [(a, 1)])
    w.shop.cancel(order, restock=restock)
    assert told(w.shop) == [(a, 4, 0, deducted, 1, "cancelled")]
    assert w.shop.numbers()[a] == 9 - deducted


def test_a_deleted_shopify_order_has_no_lines() -> None:
    """It is gone; lines of others stay, oldest order first."""
    w = shopify_world.world()
    a = w.sell("A", 9)
    orders = [w.shop.checkout([(a, units)]) for units in (1, 2, 3)]
    w.shop.delete_order(orders[1])
    assert [line.order_id for line in w.shop.lines()] == [orders[0], orders[2]]


# -- WooCommerce's lines ----------------------------------------------------------------------


def test_an_unpaid_woocommerce_order_is_open_and_not_deducted(woo: World) -> None:
    """Paying it deducts; completing it ships."""
    order = woo.shop.checkout([("30", 2)], paid=False)
    assert told(woo.shop) == [("30", 2, 2, 0, 0, "pending")]
    woo.shop.pay(order)
    assert told(woo.shop) == [("30", 2, 2, 2, 0, "processing")]
    woo.shop.ship(order)
    assert told(woo.shop) == [("30", 2, 0, 2, 2, "completed")]
    line = next(woo.shop.lines())
    assert (line.order_id, line.placed_at) == (order, BEGUN.replace(microsecond=0))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("on-hold", (3, 3, 0)),
        ("completed", (0, 3, 3)),
        ("cancelled", (0, 0, 0)),
        ("pending", (3, 0, 0)),
        ("failed", (0, 3, 0)),
        ("refunded", (0, 3, 0)),
        ("trash", (0, 3, 0)),
        ("checkout-draft", (0, 3, 0)),
        ("wc-in-the-workshop", (3, 3, 0)),
    ],
)
def test_what_a_woocommerce_status_means(
    woo: World, status: str, expected: tuple[int, int, int]
) -> None:
    """(open, deducted, shipped) of a paid order of three that enters each status."""
    order = woo.shop.checkout([("30", 3)])
    woo.shop.set_status(order, status)
    (line,) = woo.shop.lines()
    assert (line.open, line.deducted, line.shipped) == expected


def test_refunds_of_a_woocommerce_order(woo: World) -> None:
    """Refunded units are no longer open; they are back on sale only where the merchant says so."""
    order = woo.shop.checkout([("30", 5)])
    woo.shop.refund(order, "30", 1, restock=True)
    assert told(woo.shop) == [("30", 5, 4, 4, 0, "processing")]
    woo.shop.refund(order, "30", 1, restock=False)
    assert told(woo.shop) == [("30", 5, 3, 4, 0, "processing")]
    woo.shop.ship(order)
    assert told(woo.shop) == [("30", 5, 0, 4, 4, "completed")]
    woo.shop.refund(order, "30", 1, restock=True)
    assert told(woo.shop) == [("30", 5, 0, 3, 3, "completed")]
    woo.shop.refund(order, "30", 2, restock=False)
    assert told(woo.shop) == [("30", 5, 0, 3, 3, "refunded")]
    woo.shop.trash(order)
    assert told(woo.shop) == [("30", 5, 0, 3, 3, "trash")]


def test_a_completed_order_that_is_cancelled_has_sent_nothing(woo: World) -> None:
    """The shop put everything back; throwing the order away afterwards changes nothing."""
    order = woo.shop.checkout([("30", 2)])
    woo.shop.ship(order)
    woo.shop.cancel(order)
    assert told(woo.shop) == [("30", 2, 0, 0, 0, "cancelled")]
    woo.shop.trash(order)
    assert told(woo.shop) == [("30", 2, 0, 0, 0, "trash")]


def test_edited_and_deleted_woocommerce_lines(woo: World) -> None:
    """An edit moves open and deducted; a line added by REST is open only; what is gone is gone."""
    order = woo.shop.checkout([("30", 2)])
    woo.shop.edit(order, "30", 3)
    woo.shop.add_item_by_rest(order, "30", 1)
    assert told(woo.shop) == [
        ("30", 3, 3, 3, 0, "processing"),
        ("30", 1, 1, 0, 0, "processing"),
    ]
    woo.shop.edit(order, "30", 0)
    assert told(woo.shop) == [("30", 1, 1, 0, 0, "processing")]
    woo.shop.delete(order)
    assert told(woo.shop) == []
