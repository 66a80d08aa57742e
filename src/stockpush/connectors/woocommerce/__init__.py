"""WooCommerce, REST API v3.

Theory of operation. The field is the *stock owner*: a product, or a variation that manages its
own stock; a variation served by its parent's number goes by the parent. REST has no version and
no compare-and-set, so a write reads first and writes only where the number is the one we expect
(conflict protocol, R10); what is left is the gap between the two requests, which every outcome
states. The shop takes a sale off its number when the order is paid or on hold, not when it is
placed, and says on each order line how much it has taken (`_reduced_stock`). A webhook is built
when it is delivered, merged with others and never repeated, so the poll is the authority.

    settings.py    what a channel is configured with
    oauth.py       signed requests, for a site without TLS on this machine
    wire.py        the REST objects' fields, decoded strictly; error answers
    orders.py      an order and its refunds -> facts, by one literal table
    webhooks.py    a delivery's bytes -> facts or hints
    polling.py     orders by REST: one, or all that changed
    owners.py      which field a listing goes by, and what the fields hold
    writing.py     the push: read, compare, write, compare
    checkup.py     how the site stands; its webhooks
    connector.py   the door: `base.Connector`
"""

from __future__ import annotations

from collections.abc import Mapping

from stockpush.connectors.base import Manifest
from stockpush.connectors.woocommerce.connector import WooCommerceConnector
from stockpush.connectors.woocommerce.owners import ref_key
from stockpush.connectors.woocommerce.settings import read_settings

__all__ = ["WooCommerceConnector", "connect", "ref_key"]


def connect(channel: str, manifest: Manifest, settings: Mapping[str, str]) -> WooCommerceConnector:
    """Return the connector of one configured channel; `ConfigInvalid` names a wrong setting."""
    return WooCommerceConnector(channel, manifest, read_settings(settings))
