"""The intake: nothing is acknowledged before it is durable, nothing unsigned is stored."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stockpush import compose, keys
from stockpush.connectors.base import WebhookRequest
from stockpush.engine.intake import Intake
from stockpush.errors import NotFound, PayloadInvalid, SignatureInvalid
from stockpush.settings import Settings
from stockpush.sim.candle_shop import SHOPIFY, SHOPIFY_SECRET, WOO, configuration
from stockpush.store import reads
from tests.connectors import generic_world
from tests.connectors.hands import BEGUN

ORDER = {
    "id": 1,
    "admin_graphql_api_id": "gid://shopify/Order/1",
    "created_at": "2026-11-22T10:00:00Z",
    "updated_at": "2026-11-22T10:00:00Z",
    "cancelled_at": None,
    "confirmed": True,
    "line_items": [],
    "refunds": [],
    "fulfillments": [],
    "email": "canary@buyer.example",
}


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[compose.Parts]:
    """The parts of a business with a lane that runs."""
    for name, text in (("secret.key", keys.new_secret_key()), ("admin.token", "t" * 43)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    config = tmp_path / "stockpush.toml"
    config.write_text(
        configuration(str(tmp_path), shopify_url="http://127.0.0.1:1", woo_url="http://127.0.0.1:1")
    )
    async with compose.parts(Settings.load(config, {})) as opened:
        lane = asyncio.create_task(opened.lane.run())
        yield opened
        lane.cancel()


def signed(body: bytes) -> WebhookRequest:
    """A Shopify delivery of this body."""
    digest = hmac.new(SHOPIFY_SECRET.encode(), body, hashlib.sha256).digest()
    return WebhookRequest({"x-shopify-hmac-sha256": base64.b64encode(digest).decode()}, body)


async def stored(parts: compose.Parts) -> list[tuple[str, bytes | None]]:
    """(state, body) of every delivery in the inbox."""
    page = await reads.deliveries(parts.store, limit=100)
    rows = [await reads.delivery(parts.store, row.id) for row in page.data]
    return [(row.state.value, row.body) for row in rows]


async def test_an_unsigned_delivery_is_refused_and_stored_nowhere(parts: compose.Parts) -> None:
    """It is counted, and that is all."""
    intake = parts.intake()
    with pytest.raises(SignatureInvalid):
        await intake.receive(SHOPIFY, WebhookRequest({}, json.dumps(ORDER).encode()))
    assert await stored(parts) == []
    assert intake.counts[SHOPIFY].refused == 1


async def test_the_creation_ping_is_answered_and_has_no_effect(parts: compose.Parts) -> None:
    """WooCommerce's ping is unsigned: 200, nothing stored."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    receipt = await parts.intake().receive(WOO, WebhookRequest(headers, b"webhook_id=42"))
    assert receipt.note == "ping"
    assert await stored(parts) == []


async def test_a_signed_delivery_is_stored_once_and_without_its_body(parts: compose.Parts) -> None:
    """The second copy is known; the buyer's address is nowhere in the database."""
    intake, body = parts.intake(), json.dumps(ORDER).encode()
    notes = [(await intake.receive(SHOPIFY, signed(body))).note for _ in range(2)]
    assert notes == ["stored", "known"]
    assert await stored(parts) == [("applied", None)]


async def test_a_connector_is_told_when_a_delivery_came_by_the_wall_clock(
    parts: compose.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheme that signs an instant is held against it; our own time may be ahead for hours."""
    came: list[object] = []
    connector = parts.connectors[SHOPIFY]
    monkeypatch.setattr(
        type(connector), "verify", lambda _, request: came.append(request.received_at)
    )
    parts.clock.not_before(parts.clock.wall() + timedelta(hours=1))
    await parts.intake().receive(SHOPIFY, signed(json.dumps(ORDER).encode()))
    (at,) = came
    assert abs(parts.clock.wall() - at) < timedelta(minutes=1)
    assert parts.clock.now() - at > timedelta(minutes=30)


async def test_a_body_that_cannot_be_read_is_quarantined_sealed_and_can_be_replayed(
    parts: compose.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fix of the parser the same bytes are applied; until then they are unreadable."""
    intake, body = parts.intake(), json.dumps(ORDER).encode()
    connector = parts.connectors[SHOPIFY]

    def broken(*_: object) -> object:
        raise PayloadInvalid("line_items[0].quantity is 'three', expected an integer")

    with monkeypatch.context() as patched:
        patched.setattr(type(connector), "read", broken)
        await intake.receive(SHOPIFY, signed(body))
    ((state, sealed),) = await stored(parts)
    assert state == "quarantined"
    assert sealed is not None
    assert b"canary" not in sealed
    assert parts.unseal(sealed, SHOPIFY) == body
    (row,) = (await reads.deliveries(parts.store, limit=1)).data
    await intake.replay(row, parts.unseal(sealed, SHOPIFY))
    assert await stored(parts) == [("applied", None)]


async def test_a_replay_for_a_channel_that_is_not_configured_says_so(
    parts: compose.Parts,
) -> None:
    """The error names the channel and the command that lists them."""
    intake = parts.intake()
    await intake.receive(SHOPIFY, signed(json.dumps(ORDER).encode()))
    (row,) = (await reads.deliveries(parts.store, limit=1)).data
    with pytest.raises(NotFound) as error:
        await intake.replay(replace(row, channel="gone"), b"{}")
    assert error.value.next == "stockpush channels"


async def test_deliveries_with_a_signed_name_are_told_apart_by_it(parts: compose.Parts) -> None:
    """Two events of one body are two, and a repeated one is known, whatever instant signs it."""
    connector = generic_world.make_connector()
    intake = Intake(
        parts.lane, {"g": connector}, parts.clock, seal=lambda body, _: body, wall=lambda: BEGUN
    )
    body = {"type": "stock.closed"}
    named = [generic_world.signed(body, name=name) for name in ("msg_1", "msg_2", "msg_1")]
    notes = [(await intake.receive("g", each)).note for each in named]
    assert notes == ["stored", "stored", "known"]


async def test_a_name_that_nobody_signed_tells_nothing_apart(parts: compose.Parts) -> None:
    """F7: Shopify's headers are not signed, so a replay under another id is the same delivery."""
    intake, request = parts.intake(), signed(json.dumps(ORDER).encode())
    notes = []
    for name in ("one", "two"):
        headers = {**request.headers, "webhook-id": name, "x-shopify-event-id": name}
        again = WebhookRequest(headers, request.body)
        notes.append((await intake.receive(SHOPIFY, again)).note)
    assert notes == ["stored", "known"]
