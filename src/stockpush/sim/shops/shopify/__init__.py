"""An emulated Shopify shop: GraphQL Admin API 2026-10, own stock, own checkout, own webhooks.

Theory of operation. The shop is a state machine on its own clock. People act through methods
(`checkout`, `cancel`, `refund` ...), which change stock and orders and put webhooks into the
outbox with the body of that moment; the daemon acts through `handle`, one GraphQL request in, one
answer out. Answers are built for the operations that Stock Push sends, by operation name. Given
the machine-readable schema, every document is also parsed and validated against it, its variables
are coerced, and the answer is executed over what was built, so that a field that the schema does
not have, or that is not selected, cannot reach anybody.

    state.py      variants, levels, orders
    shop.py       the shop: people's side and daemon's side
    orders.py     what shoppers and the merchant do to orders
    access.py     the token endpoint: grants, lifetimes, rotation
    api.py        one GraphQL request: token, faults, price, dispatch
    inventory.py  inventorySetQuantities with its refusals and its memory of keys
    answers.py    orders, variants and levels as GraphQL tells them
    payloads.py   orders and levels as webhooks tell them
    outbox.py     subscriptions and delivery attempts
    contract.py   validation against the schema (needs graphql-core; loaded only if asked for)
"""

from __future__ import annotations

from stockpush.sim.shops.shopify.access import Access
from stockpush.sim.shops.shopify.shop import ShopifyShop
from stockpush.sim.shops.shopify.state import Variant

__all__ = ["Access", "ShopifyShop", "Variant"]
