"""Faire, External API v2.

Theory of operation. The field is a variant and its number is `on_hand_quantity`, the only one that
can be written. Faire never takes an order off it: an open order raises `committed_quantity`, and
`available = on_hand - committed` is what it sells (conflict protocol, R11). So an order line has
deducted nothing here, ever, and the number to write is what may be offered *plus* our own open
Faire reservations, which is what the engine's target already is. Our own count is meant and not
Faire's `committed`: an order that has landed and is not polled yet would be handed out again.

There are no webhooks and there is no compare-and-set: orders come by polling, and a write reads
first. Nobody but the merchant moves `on_hand` while an order comes in, so nothing of a sale can be
overwritten between the two, and no gap is stated.

What could not be verified, and how it is met: whether filters may or must stand beside a cursor,
and whether a full page always has one (`polling`); whether an unknown variant is missing from the
answer to a write or a 400, and what an error's body looks like (`writing`, `wire`); when exactly
`committed` falls and whether `on_hand` drops by itself at shipment (every reading tells both, and
a difference is written again); whether a tester is one more piece, and how a backorder's parent and
child share their units (`orders`).

    settings.py    what a channel is configured with
    wire.py        the API's objects, decoded strictly; error answers and pages of HTML
    orders.py      an order -> facts, by one literal table
    polling.py     orders by REST: one, or all that changed
    variants.py    which field a listing goes by, and what the fields hold
    writing.py     the push: read, compare, write, compare
    checkup.py     how the account stands
    connector.py   the door: `base.Connector`
"""

from __future__ import annotations

from collections.abc import Mapping

from stockpush.connectors.base import Manifest
from stockpush.connectors.faire.connector import FaireConnector
from stockpush.connectors.faire.settings import read_settings
from stockpush.connectors.faire.variants import ref_key

__all__ = ["FaireConnector", "connect", "ref_key"]


def connect(channel: str, manifest: Manifest, settings: Mapping[str, str]) -> FaireConnector:
    """Return the connector of one configured channel; `ConfigInvalid` names a wrong setting."""
    return FaireConnector(channel, manifest, read_settings(settings))
