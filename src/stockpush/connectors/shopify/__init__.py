"""Shopify, GraphQL Admin API 2026-10.

Theory of operation. The field is one inventory item at one location; its number is `available`,
which Shopify lowers itself when an order is placed, so it is only ever written with
compare-and-set on what *we* believe it holds. Order lines name variants. Facts about an order
come in two shapes, the REST-like webhook body and the GraphQL answer; both are read into one
neutral form (`orders.OrderRead`), from which one function counts, so that they cannot disagree.

    settings.py    what a channel is configured with
    access.py      how access is renewed
    webhooks.py    a delivery's bytes -> facts or hints
    orders.py      the neutral order and the counting of its lines
    operations.py  every GraphQL document that is ever sent
    graphql.py     send a document, price it, name its faults
    shapes.py      what GraphQL answers about orders look like
    fetching.py    one order by GraphQL, every nested page followed
    polling.py     every order that changed
    levels.py      which field a listing goes by, and what it holds
    stocking.py    an item stocked at our location, once its owner agreed
    writing.py     the compare-and-set push
    bulk.py        everything at once, by a bulk query
    checkup.py     how the account stands; webhook subscriptions
    connector.py   the door: `base.Connector`
"""

from __future__ import annotations

from collections.abc import Mapping

from stockpush.connectors.base import Manifest
from stockpush.connectors.shopify.connector import ShopifyConnector
from stockpush.connectors.shopify.levels import ref_key
from stockpush.connectors.shopify.settings import read_settings

__all__ = ["ShopifyConnector", "connect", "ref_key"]


def connect(channel: str, manifest: Manifest, settings: Mapping[str, str]) -> ShopifyConnector:
    """Return the connector of one configured channel; `ConfigInvalid` names a wrong setting."""
    return ShopifyConnector(channel, manifest, read_settings(settings))
