"""Etsy, Open API v3.

Theory of operation. Etsy has one document of stock per listing and replaces it whole: a PUT names
every product, and whatever it leaves out is gone. There is no version to compare and no way to
send a difference, so a write reads the document, changes nothing but quantities, and sends it back
at once; what is left is the gap between the two, which every outcome states (conflict protocol,
R10). All numbers of one listing therefore go out in one request.

The field is what holds one number: the whole listing where its quantity does not vary, else the
values of the properties it varies by. Orders (receipts) name a listing and the values that were
bought, from which the field follows once it is known which properties those are; that much of a
listing's shape, no stock, is remembered while the process lives.

A listing cannot be written to zero in all its parts. It is taken off sale instead (inactive), and
put back when stock returns if it was us who took it off; a note that outlives the process says so.
Webhooks carry no order, only where one is, and only some apps have them: the poll is the authority.

    settings.py    what a channel is configured with
    keys.py        references, fields, and the values that tell products apart
    wire.py        the answers' fields, decoded strictly; limits; error answers
    document.py    the stock document: its numbers, and its way back
    reading.py     documents by the hundred, and which field each listing goes by
    writing.py     the push: read, compare, replace, compare
    outcomes.py    how the lines of a push end
    orders.py      a receipt -> facts, by one literal table
    polling.py     receipts: one, or all that changed
    webhooks.py    a delivery's bytes -> a hint
    renewing.py    access tokens that last an hour
    granting.py    the first grant (OAuth with PKCE), for `stockpush connect`
    checkup.py     whose shop the access is to, and its rights; what to do for webhooks
    connector.py   the door: `base.Connector`
"""

from __future__ import annotations

from collections.abc import Mapping

from stockpush.connectors.base import Manifest
from stockpush.connectors.etsy.connector import EtsyConnector
from stockpush.connectors.etsy.keys import ref_key
from stockpush.connectors.etsy.settings import read_settings

__all__ = ["EtsyConnector", "connect", "ref_key"]


def connect(channel: str, manifest: Manifest, settings: Mapping[str, str]) -> EtsyConnector:
    """Return the connector of one configured channel; `ConfigInvalid` names a wrong setting."""
    return EtsyConnector(channel, manifest, read_settings(settings))
