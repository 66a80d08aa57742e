"""How a sample is read: as a delivery, as what is refused, or not by itself."""

from __future__ import annotations

import json

import pytest

from stockpush.connectors.base import Connector, WebhookRequest
from stockpush.errors import PayloadInvalid
from tests.hostile import judging


def delivery(connector: Connector, body: bytes) -> object:
    """Read a delivery: it says something."""
    seen = judging.delivery(connector, body)
    assert seen is not None, "a sample of a delivery was refused"
    return seen


def refused(connector: Connector, body: bytes) -> object:
    """Read what the platform sends instead of a delivery when it cannot: it is refused."""
    with pytest.raises(PayloadInvalid) as caught:
        connector.read(WebhookRequest({}, body))
    return caught


def nothing_to_read(connector: Connector, body: bytes) -> object:
    """Read part of an answer, which the platform's own tests read with the rest: it is JSON."""
    del connector
    return json.loads(body)
