"""How a sample is read: as a delivery, as what is refused, or as an answer to a call."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stockpush.connectors.base import Api, Connector, OrderPage, WebhookRequest
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderSeen
from stockpush.model import FieldKey
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


def order(connector: Connector, api: Api, order_id: str) -> OrderSeen:
    """Fetch one order from prepared answers: it has lines."""
    seen = judging.run(connector.fetch_order(api, order_id, fetch=1))
    assert seen is not None
    judging.check(seen)
    assert seen.lines
    return seen


def poll(connector: Connector, api: Api) -> list[OrderSeen]:
    """Poll prepared answers to their end: every order can be read."""

    async def pages() -> list[OrderPage]:
        return [page async for page in connector.poll_orders(api, since=None, fetch=1)]

    read = judging.run(pages())
    assert [each for page in read for each in page.unreadable] == []
    seen = [each for page in read for each in page.orders]
    for each in seen:
        judging.check(each)
    return seen


def numbers(connector: Connector, api: Api, keys: Sequence[str]) -> dict[str, int | None]:
    """Observe fields in prepared answers: each has its reading, and some have a number."""
    fields = [FieldKey(connector.channel, key) for key in keys]
    readings = judging.run(connector.observe(api, fields)).readings
    assert [each.field for each in readings] == fields
    assert any(each.quantity is not None for each in readings)
    return {each.field.key: each.quantity for each in readings}
