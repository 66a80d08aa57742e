"""The truth: what orders have taken, and what may be offered, by brute force."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stockpush.model import BillLine, BillOfMaterials
from stockpush.reservation import atp as netting
from stockpush.reservation.bom import Bills
from stockpush.sim import truth
from stockpush.sim.accounts import WOO
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.truth import Truth
from stockpush.sim.world import Bill, Listed
from tests.sim.small_world import Small


@pytest.mark.parametrize("seed", range(300))
def test_two_ways_to_net_agree(seed: int) -> None:
    """The truth's ATP, by definition and doubling, is the core's, by bounds and passes."""
    dice = random.Random(seed)
    skus = [f"i{at}" for at in range(dice.randint(2, 7))]
    bills = {}
    for at, sku in enumerate(skus[:-1]):
        if dice.random() < 0.7:
            below = skus[at + 1 :]
            parts = dice.sample(below, min(len(below), dice.randint(1, 3)))
            lines = tuple((part, dice.choice((1, 1, 2, 3, 5))) for part in parts)
            bills[sku] = Bill(sku, dice.choice((1, 1, 2, 3, 4)), lines, dice.random() < 0.3)
    rules = {sku: dice.choice((0, 1, 3)) for sku in bills if dice.random() < 0.3}
    stock = {sku: dice.choice((-2, 0, 0, 1, 2, 3, 5, 8, 13)) for sku in skus}
    demand = {sku: dice.choice((0, 0, 0, 0, 1, 2, 4)) for sku in skus}
    bought = [sku for sku in skus if sku not in bills]
    alike = {}
    if seed >= 150 and len(bought) > 1:
        name, *substitutes = bought
        alike = dict.fromkeys(substitutes, name)
        for sku, bill in bills.items():
            own = {part for part, _ in bill.lines}
            if name in own and own & alike.keys():
                lines = tuple(line for line in bill.lines if line[0] not in alike)
                bills[sku] = replace(bill, lines=lines)
    core = Bills.build(
        [
            BillOfMaterials(
                bill.item,
                bill.makes,
                tuple(BillLine(part, units) for part, units in bill.lines),
                batch_only=bill.batch_only,
            )
            for bill in bills.values()
        ],
        set(skus),
        alike,
    )
    for name in alike.values():
        stock[name] = demand[name] = 0
    free = {sku: stock[sku] - demand[sku] for sku in skus}
    for sku in skus:
        order = truth.group(sku, bills, alike)
        assert truth.atp(sku, free, bills, order, rules, alike) == netting.atp(
            netting.net(core, stock, demand, [sku], ceilings=rules), sku
        )


def counts(known: Truth) -> list[tuple[int, int, int, int]]:
    """Return (open, shipped, written off, deducted) of every line."""
    return [(x.open, x.shipped, x.written_off, x.deducted) for x in known.lines.values()]


def test_the_life_of_a_shopify_order_is_counted() -> None:
    """Open, sent, returned, cancelled and written off units each count where they are."""
    small = Small.open(stock=10)
    shop, listed = small.shopify, small.on_shopify
    assert isinstance(shop, ShopifyShop)
    shop.merchant_sets(listed.listing, 10)
    order = shop.checkout([(listed.listing, 5)])
    small.truth.refresh(listed.channel, order)
    assert counts(small.truth) == [(5, 0, 0, 5)]
    shop.ship_units(order, [(listed.listing, 2)])
    shop.refund(order, listed.listing, 1, restock=False)
    small.truth.refresh(listed.channel, order)
    assert counts(small.truth) == [(2, 2, 1, 5)]
    shop.cancel(order, restock=True)
    shop.refund(order, listed.listing, 1, restock=True)
    small.truth.refresh(listed.channel, order)
    assert counts(small.truth) == [(0, 1, 1, 2)]
    assert small.truth.on_hand()["soap"] == 8
    assert small.truth.atp("soap") == 8


def test_the_life_of_a_woo_order_is_counted() -> None:
    """A pending order is open and undeducted; paid it is deducted; what is sent has left."""
    small = Small.open(stock=10)
    shop, listed = small.woo, small.on_woo
    assert isinstance(shop, WooShop)
    shop.merchant_sets(listed.listing, 10)
    order = shop.checkout([(listed.listing, 3)], paid=False)
    small.truth.refresh(WOO, order)
    assert counts(small.truth) == [(3, 0, 0, 0)]
    assert (small.truth.offer(listed), small.truth.target(listed)) == (7, 10)
    assert small.truth.unpaid() == [(WOO, order)]
    shop.pay(order)
    small.truth.refresh_unpaid()
    assert counts(small.truth) == [(3, 0, 0, 3)]
    assert (small.truth.target(listed), small.truth.unpaid()) == (7, [])
    shop.refund(order, listed.listing, 1, restock=False)
    shop.ship(order)
    shop.refund(order, listed.listing, 1, restock=True)
    small.truth.refresh(WOO, order)
    assert counts(small.truth) == [(0, 2, 0, 2)]
    shop.delete(order)
    small.truth.refresh(WOO, order)
    assert counts(small.truth) == [(0, 2, 0, 2)], "what was sent does not come back"


def test_a_line_taken_out_of_an_order_puts_back_what_it_took() -> None:
    """The shop raises its number at once, which may put on sale what is sold elsewhere."""
    small = Small.open(stock=10)
    shop, listed = small.woo, small.on_woo
    assert isinstance(shop, WooShop)
    shop.merchant_sets(listed.listing, 10)
    shop.add_product(11, stock=5, sku="other")
    order = shop.checkout([(listed.listing, 2), ("11", 1)])
    small.truth.refresh(WOO, order)
    small.at = 60
    shop.edit(order, listed.listing, 0)
    small.truth.refresh(WOO, order)
    assert shop.stock_quantity(listed.listing) == 10
    assert counts(small.truth) == [(0, 0, 0, 0)]
    assert small.truth.put_back[WOO, listed.field] == [(60, 2)]


def test_an_unpaid_order_ends_by_itself_and_is_remembered() -> None:
    """When nobody pays the units are free again, and the truth knows when they ceased to stand."""
    small = Small.open(stock=4)
    assert isinstance(small.woo, WooShop)
    small.woo.merchant_sets(small.on_woo.listing, 4)
    order = small.woo.checkout([(small.on_woo.listing, 3)], paid=False)
    small.truth.refresh(WOO, order)
    small.at += 2 * 3600
    small.woo.webhooks_due()
    small.truth.refresh_unpaid()
    assert small.truth.atp("soap") == 4
    assert small.truth.ended[WOO, small.on_woo.field] == [(7200.0, 3)]


def test_an_act_may_be_known_from_its_beginning_and_must_be_once_durable() -> None:
    """Bounds look at every state from the one that was surely known on."""
    small = Small.open(stock=4)
    small.at = 10
    state = small.truth.begin({"soap": 6})
    assert [each.stock["soap"] for each in small.truth.states_since(10)] == [4, 10]
    small.at = 12
    small.truth.durable(state)
    assert [each.stock["soap"] for each in small.truth.states_since(11)] == [4, 10]
    assert [each.stock["soap"] for each in small.truth.states_since(12)] == [4, 10]
    assert [each.stock["soap"] for each in small.truth.states_since(12.001)] == [10]


def test_packs_and_buffers_lower_the_offer() -> None:
    """An offer is what is left after the buffer, in whole packs."""
    small = Small.open(stock=10, buffer=1)
    pack = Listed(WOO, "x", "soap", 4, "x")
    assert (small.truth.offer(small.on_woo), small.truth.offer(pack)) == (9, 2)
