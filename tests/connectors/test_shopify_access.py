"""Shopify's three kinds of access, against the emulated shop that grants and rotates."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stockpush import keys
from stockpush.connectors import registry
from stockpush.connectors.base import Answer, Tokens, WebhookRequest
from stockpush.connectors.shopify.access import Client
from stockpush.engine.credentials import Seal, Vault
from stockpush.engine.limiter import Limiter
from stockpush.engine.transport import ChannelApi, in_process
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    ConfigInvalid,
    PayloadInvalid,
    SignatureInvalid,
)
from stockpush.sim.shops.base import ShopRequest
from stockpush.sim.shops.shopify import Access, ShopifyShop
from stockpush.store.sql import SqlStore
from tests.connectors.hands import BEGUN
from tests.connectors.shopify_world import LOCATION, SECRET, settings
from tests.engine.test_transport import Dice, StepClock

APP = {"client_id": "app", "client_secret": "app-secret"}
KINDS = "client_id and client_secret"


def given(**other: str) -> dict[str, str]:
    """Settings without the token for good, and with these."""
    kept = {key: value for key, value in settings().items() if key != "access_token"}
    return kept | other


def made(**other: str) -> Any:
    """A connector with these settings instead of a token for good."""
    connect = registry.load("shopify")
    return connect("s", registry.manifest("shopify"), given(**other))


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({}, "access_token", KINDS),
        ({"access_token": "t", **APP}, "client_id", KINDS),
        ({"access_token": "t", "refresh_token": "r"}, "refresh_token", KINDS),
        ({"client_id": "app"}, "client_secret", "a value"),
        ({"client_secret": "app-secret"}, "client_id", "a value"),
        ({"refresh_token": "r"}, "client_id", "a value"),
        ({**APP, "refresh_token": " "}, "refresh_token", "a value"),
        ({**APP, "client_id": "a\nb"}, "client_id", "printable ASCII"),
    ],
)
def test_exactly_one_kind_is_configured(change: dict[str, str], field: str, expected: str) -> None:
    """None, two, or half of one is an error that names what to set, and repeats no secret."""
    with pytest.raises(ConfigInvalid) as caught:
        made(**change)
    assert caught.value.field == field
    assert expected in str(caught.value.expected)
    assert "app-secret" not in str(caught.value.as_json())


def test_the_client_secret_signs_the_webhooks() -> None:
    """An app needs no webhook_secret; one that is given, and the one before it, are taken too."""
    body = b'{"id":1}'

    def signed(secret: str) -> WebhookRequest:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return WebhookRequest({"x-shopify-hmac-sha256": base64.b64encode(digest).decode()}, body)

    connect = registry.load("shopify")
    alone = {k: v for k, v in given(**APP).items() if k != "webhook_secret"}
    connect("s", registry.manifest("shopify"), alone).verify(signed("app-secret"))
    rotating = made(**APP, webhook_secret_previous="former-secret")
    for secret in ("app-secret", SECRET, "former-secret"):
        rotating.verify(signed(secret))
    with pytest.raises(SignatureInvalid):
        rotating.verify(signed("another-secret"))


class Door:
    """The real door to the emulated shop, on a clock that only sleeping moves."""

    def __init__(self, store: SqlStore, *, keeps_previous: bool = True, **app: str) -> None:
        self.clock = StepClock()
        refresh = app.get("refresh_token")
        self.access = Access(
            "app",
            "app-secret",
            self.clock.now,
            random.Random(1),
            refresh=refresh,
            keeps_previous=keeps_previous,
        )
        self.shop = ShopifyShop(
            "demo",
            clock=self.clock.now,
            dice=random.Random(7),
            access_token=None,
            webhook_secret=SECRET,
            location=LOCATION,
            access=self.access,
        )
        self.connector = made(**APP, **app)
        self.store = store
        self.cut = False

    def api(self) -> ChannelApi:
        """One more process's door."""
        key, context = b"k" * 32, "credential:s"
        seal = Seal(
            partial(keys.encrypt, key, context=context),
            partial(keys.decrypt, key, context=context),
            partial(keys.fingerprint, key, context=context),
        )
        renewal = self.connector.renewal()
        return ChannelApi(
            self.connector,
            clock=self.clock,
            ids=Dice(),
            limiter=Limiter(self.clock, rate=1000, burst=1000),
            vault=Vault("s", renewal, store=self.store, clock=self.clock, seal=seal),
            transport=in_process(self._handle),
        )

    async def _handle(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]:
        answer = self.shop.handle(ShopRequest(method, path, tuple(query), headers, body))
        if self.cut and "oauth" in path:
            self.cut = False
            raise ConnectionResetError
        return answer.status, answer.headers, answer.body

    async def works(self, api: ChannelApi) -> None:
        """A poll of orders is answered."""
        pages = [page async for page in self.connector.poll_orders(api, since=None, fetch=1)]
        assert pages[-1].last


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    """A database."""
    opened = await SqlStore.open(f"sqlite:///{tmp_path / 'shop.db'}")
    yield opened
    await opened.close()


async def test_client_credentials_are_asked_for_again_each_day(store: SqlStore) -> None:
    """A token of 24 hours serves until shortly before its end; another start takes it over."""
    door = Door(store)
    async with door.api() as api:
        await door.works(api)
        door.clock.at += 23 * 3600
        await door.works(api)
        assert door.access.granted == 1
        door.clock.at += 3600
        await door.works(api)
        assert door.access.granted == 2
    async with door.api() as api:
        await door.works(api)
        assert door.access.granted == 2
        door.access.run_out()
        await door.works(api)
    assert door.access.granted == 3


async def test_a_refresh_token_rotates_each_hour(store: SqlStore) -> None:
    """Ten hours are ten grants, each by the refresh token of the one before."""
    door = Door(store, keeps_previous=False, refresh_token="shprt_first")
    async with door.api() as api:
        for hour in range(10):
            await door.works(api)
            assert door.access.granted == hour + 1
            door.clock.at += 3600


async def test_a_lost_answer_is_asked_for_again(store: SqlStore) -> None:
    """The refresh token before stays usable until the new one was used: no person is needed."""
    door = Door(store, refresh_token="shprt_first")
    async with door.api() as api:
        door.cut = True
        with pytest.raises(ChannelUnavailable):
            await door.works(api)
        await door.works(api)
        door.clock.at += 3600
        await door.works(api)
    assert door.access.granted == 3


@pytest.mark.parametrize("app", [{}, {"refresh_token": "shprt_first"}])
async def test_an_app_that_was_taken_away_needs_a_person(
    store: SqlStore, app: dict[str, str]
) -> None:
    """invalid_client and invalid_grant name the next command; nothing is asked for twice."""
    door = Door(store, **app)
    async with door.api() as api:
        await door.works(api)
        door.access.revoke()
        for _ in range(2):
            with pytest.raises(AuthFailed, match="invalid_client") as caught:
                await door.works(api)
            assert caught.value.next == "stockpush connect s"


CLIENT = Client("app", "app-secret")
RAW = {"status": 200, "headers": {}, "date": None}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":"invalid_client"}', AuthFailed),
        (401, b'{"error":"invalid_grant","error_description":"x"}', AuthFailed),
        (403, b"<html>a wall</html>", ChannelUnavailable),
        (404, b"", ChannelUnavailable),
        (400, b'{"error":"<script>"}', ChannelUnavailable),
        (502, b'{"error":"invalid_client"}', ChannelUnavailable),
        (200, b"<html>", PayloadInvalid),
        (200, b'{"access_token":""}', PayloadInvalid),
        (200, b'{"access_token":"a\\nb"}', PayloadInvalid),
        (200, b'{"access_token":"a","expires_in":0}', PayloadInvalid),
        (200, b'{"access_token":"a","expires_in":1e400}', PayloadInvalid),
        (200, b'{"access_token":"a","refresh_token":""}', PayloadInvalid),
    ],
)
def test_what_the_endpoint_may_say(status: int, body: bytes, error: type[Exception]) -> None:
    """Only a refusal in the protocol's own words needs a person."""
    with pytest.raises(error) as caught:
        CLIENT.granted(Tokens(""), Answer(status, {}, body, None), now=BEGUN)
    assert "app-secret" not in str(caught.value.as_json())  # type: ignore[attr-defined]


def test_what_is_granted() -> None:
    """A token, until when, and the refresh token: the new one, or the old where none came."""
    body = b'{"access_token":"a","scope":"x","expires_in":3600,"refresh_token":"r2"}'
    answer = Answer(200, {}, body, None)
    granted = CLIENT.granted(Tokens("", refresh="r1"), answer, now=BEGUN)
    assert granted == Tokens("a", BEGUN + timedelta(seconds=3600), "r2")
    bare = Answer(200, {}, b'{"access_token":"a"}', None)
    assert CLIENT.granted(Tokens("", refresh="r1"), bare, now=BEGUN) == Tokens("a", None, "r1")
