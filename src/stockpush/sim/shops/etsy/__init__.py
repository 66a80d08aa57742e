"""An emulated Etsy shop: Open API v3 in, answers out, own stock, own checkout, own webhooks.

Theory of operation. The shop is a state machine on its own clock. People act through methods
(`checkout`, `cancel`, `ship` ...); the daemon acts through `handle`, one request in, one answer
out. What makes Etsy hard is kept: a PUT replaces the whole stock document and gives every product a
new id, nothing can be compared, a document with every quantity zero is refused, lists of changed
receipts leave the cancelled ones out, a partial refund changes nothing that a list would show, and
access tokens end after an hour. Tests hold every answer against Etsy's OpenAPI document.

    state.py      listings, products, receipts
    document.py   the stock document: read as Etsy shows it, replaced as Etsy allows
    office.py     stock, checkout, the life of a receipt
    render.py     listings and receipts as Etsy tells them
    access.py     keys, tokens, scopes, and the allowance of calls
    consent.py    the page where an owner grants an app access
    api.py        the routes
    outbox.py     webhooks: thin, signed, tried eight times
    shop.py       the door: both sides
"""

from __future__ import annotations

from stockpush.sim.shops.etsy.shop import EtsyShop
from stockpush.sim.shops.etsy.state import Variation

__all__ = ["EtsyShop", "Variation"]
