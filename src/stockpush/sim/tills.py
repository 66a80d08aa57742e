"""The shops' own records of their orders, read as the truth reads them.

Theory of operation. A line is told in absolute numbers: what is open, shipped, written off, and
what the shop has taken off its number for it and not put back. What a platform has no word for is
decided here as docs/channels says it for the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator

from stockpush.sim.accounts import AnyShop
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.etsy.state import Receipt
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.faire.state import SENT_STATES
from stockpush.sim.shops.faire.state import Order as FaireOrder
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.generic import _Order as SiteOrder
from stockpush.sim.shops.shopify.state import Order as ShopifyOrder
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.shops.woocommerce.state import Order as WooOrder

RELEASED = frozenset({"cancelled", "failed", "trash", "checkout-draft", "auto-draft"})

Told = tuple[str, str, tuple[int, int, int, int]]
"""(line, listing, (open, shipped, written off, deducted))."""


def shopify_lines(order: ShopifyOrder) -> Iterator[Told]:
    """Yield every line of a Shopify order.

    What was refunded unsent and not put back is written off; what came back is not shipped.
    """
    for line in order.lines:
        sent = sum(units for each in order.fulfilments for of, units in each.units if of is line)
        refunds = [each for one in order.refunds for each in one.units if each.line is line]
        cancelled = sum(each.quantity for each in refunds if each.restock_type == "cancel")
        returned = sum(each.quantity for each in refunds if each.restock_type == "return")
        deducted = line.quantity - cancelled - returned - line.removed
        written_off = line.quantity - line.unfulfilled - sent - cancelled - line.removed
        counts = (line.unfulfilled, sent - returned, written_off, deducted)
        yield str(line.line_id), str(line.variant.variant_id), counts


def woo_lines(order: WooOrder) -> Iterator[Told]:
    """Yield every line of a WooCommerce order.

    What the shop took and did not put back decides for a refunded order: it may have left.
    """
    filed = order.status == "trash" and bool(order.completed)
    for line in order.lines:
        reduced, refunded = line.reduced or 0, order.refunded(line)
        restocked = min(max(line.quantity - reduced, 0), refunded)
        if order.status == "completed":
            counts = (0, line.quantity - restocked, 0, reduced)
        elif filed:
            counts = (0, reduced, 0, reduced)
        elif order.status == "refunded":
            counts = (0, 0, reduced, reduced)
        elif order.status in RELEASED:
            counts = (0, 0, 0, reduced)
        else:
            counts = (line.quantity - refunded, 0, refunded - restocked, reduced)
        yield str(line.id), line.listing, counts


def etsy_lines(receipt: Receipt) -> Iterator[Told]:
    """Yield every line of an Etsy receipt. A refund names no units: what was sent stays sent."""
    for line in receipt.lines:
        sent = line.quantity if receipt.shipped is not None else 0
        is_open = not (receipt.has_ended or sent)
        counts = (line.quantity * is_open, sent, 0, line.deducted)
        yield str(line.transaction_id), line.name, counts


def faire_lines(order: FaireOrder) -> Iterator[Told]:
    """Yield every line of a Faire order; what a child carries is open there. None of what Faire
    sends itself.
    """
    for item in [] if order.by_faire else order.items:
        state = order.state_of(item)
        sent = item.pieces if state in SENT_STATES else 0
        is_open = not (item.moved or sent or state == "CANCELED")
        yield item.id, item.variant.id, (item.pieces * is_open, sent, 0, item.taken)


def site_lines(order: SiteOrder) -> Iterator[Told]:
    """Yield every line of an order of the maker's own shop: what is cancelled and was not put back
    is lost.
    """
    for line in order.lines:
        lost = min(line.cancelled, max(0, line.deducted - line.open - line.shipped))
        yield line.id, line.product, (line.open, line.shipped, lost, line.deducted)


def told(shop: AnyShop, order_id: str) -> tuple[list[Told], bool]:
    """Return every line of an order, and whether it ends by itself unless it is paid."""
    match shop:
        case WooShop():
            order = shop._office.orders.get(int(order_id))  # noqa: SLF001  # the truth sees all
            unpaid = order is not None and order.status == "pending"
            return ([] if order is None else list(woo_lines(order))), unpaid
        case EtsyShop():
            receipt = shop._office.receipts.get(int(order_id))  # noqa: SLF001  # see above
            return ([] if receipt is None else list(etsy_lines(receipt))), False
        case FaireShop():
            return list(faire_lines(shop._office.order(order_id))), False  # noqa: SLF001  # see above
        case GenericShop():
            return list(site_lines(shop._orders[int(order_id)])), False  # noqa: SLF001  # see above
        case _:
            sold = shop.book.orders.get(int(order_id))
            return ([] if sold is None else list(shopify_lines(sold))), False
