"""Any shop that can send and take signed JSON: the maker's own website.

Theory of operation. The other connectors follow a platform's protocol; here it is ours, written
down in docs/channels/generic.md for whoever programs the shop, and as small as it can be: absolute
numbers both ways, one object for an order, one for a product's quantity. The field is a product.
Deliveries come in the form of Standard Webhooks; writes are signed with the same secret.

A write always carries the number that we expect. A shop that compares answers 409 with the one it
has, and says in its answer that it compared; for one that does not we read first and state the gap
(conflict protocol, R10).

    settings.py    what a channel is configured with
    wire.py        the protocol's objects, decoded strictly; error answers
    orders.py      an order -> facts; a delivery's bytes -> facts or hints
    polling.py     orders by HTTP: one, or all that changed
    products.py    which field a listing goes by, and what the fields hold
    writing.py     the push: read, compare, write one by one
    checkup.py     how the account stands
    connector.py   the door: `base.Connector`
"""

from __future__ import annotations

from collections.abc import Mapping

from stockpush.connectors.base import Manifest
from stockpush.connectors.generic.connector import GenericConnector
from stockpush.connectors.generic.products import ref_key
from stockpush.connectors.generic.settings import read_settings

__all__ = ["GenericConnector", "connect", "ref_key"]


def connect(channel: str, manifest: Manifest, settings: Mapping[str, str]) -> GenericConnector:
    """Return the connector of one configured channel; `ConfigInvalid` names a wrong setting."""
    return GenericConnector(channel, manifest, read_settings(settings))
