"""What the truth reads off the records of Etsy, Faire and a shop of one's own."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from stockpush.sim.accounts import ETSY, FAIRE, SITE, AnyShop
from stockpush.sim.drawing import draw_world
from stockpush.sim.loop import EPOCH
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.tills import told


def opened(channel: str) -> AnyShop:
    """Return a shop with five of one thing on sale, and that alone."""
    shop = draw_world(random.Random(1), lambda: EPOCH, channels={channel}).shops[channel]
    match shop:
        case EtsyShop():
            shop.add_listing(77, quantity=5)
        case FaireShop():
            shop.add_variant("po_77", on_hand=5)
            shop.splits_backorders = True
        case GenericShop():
            shop.add_product("77", 5)
    return shop


def counts(shop: AnyShop, order: str) -> list[tuple[int, int, int, int]]:
    """Return (open, shipped, written off, deducted) of each line."""
    lines, unpaid = told(shop, order)
    assert not unpaid
    return [each for _, _, each in lines]


@pytest.mark.parametrize(
    ("act", "right"),
    [
        ("nothing", (2, 0, 0, 2)),
        ("ship", (0, 2, 0, 2)),
        ("cancel", (0, 0, 0, 2)),
        ("cancel and restock", (0, 0, 0, 0)),
        ("ship and refund", (0, 2, 0, 0)),
    ],
)
def test_a_receipt_of_etsy(act: str, right: tuple[int, int, int, int]) -> None:
    """What was sent stays sent, whatever its refund put back; nothing is ever written off."""
    shop = opened(ETSY)
    order = shop.checkout([("77", 2)])
    if "ship" in act:
        shop.ship(order)
    if "cancel" in act:
        shop.cancel(order, restock="restock" in act)
    if "refund" in act:
        shop.refund(order, "77", 2, restock=True)
    assert counts(shop, order) == [right]


def test_a_receipt_that_is_not_paid_has_taken_nothing() -> None:
    """Its units are for sale to others."""
    shop = opened(ETSY)
    assert isinstance(shop, EtsyShop)
    order = shop.checkout([("77", 2)], paid=False)
    assert counts(shop, order) == [(2, 0, 0, 0)]
    assert shop.quantity("77") == 5


def test_a_backorder_is_open_once_in_the_order_that_carries_it() -> None:
    """Whichever way its parent keeps it; and what Faire sends itself is nobody's of ours."""
    shop = opened(FAIRE)
    assert isinstance(shop, FaireShop)
    order = shop.checkout([("po_77", 3)])
    until = EPOCH + timedelta(days=9)
    child = shop.backorder(order, "po_77", 1, until=until)
    assert sum(each[0] for each in counts(shop, order)) == 2
    assert counts(shop, child) == [(1, 0, 0, 0)]
    assert not counts(shop, shop.checkout([("po_77", 1)], by_faire=True))


def test_what_a_shop_of_ones_own_cancelled_and_did_not_put_back_is_lost() -> None:
    """Written off, as the protocol says."""
    shop = opened(SITE)
    kept, lost = (shop.checkout([("77", 2)]) for _ in range(2))
    shop.cancel(kept, restock=True)
    shop.cancel(lost, restock=False)
    assert counts(shop, kept) == [(0, 0, 0, 0)]
    assert counts(shop, lost) == [(0, 0, 2, 2)]
