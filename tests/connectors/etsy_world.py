"""An emulated Etsy shop with a clock that only tests move, and a connector for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import Answer, Moment, OrderPage, PushLine, Tokens, WebhookRequest
from stockpush.connectors.etsy import EtsyConnector
from stockpush.messages import OrderSeen, Seen
from stockpush.model import FieldKey, Listing, ListingKey
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from stockpush.sim.shops.etsy import EtsyShop, Variation
from tests.connectors import etsy_contract
from tests.connectors.hands import BEGUN, Hands
from tests.connectors.inprocess import InProcessApi

needs_contract = pytest.mark.skipif(
    not etsy_contract.PATH.is_file(), reason="needs ../shared: the OpenAPI document"
)
SAMPLES = Path(__file__).parents[1] / "samples/etsy"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
SHOP_ID = 77
SETTINGS = {
    "shop_id": str(SHOP_ID),
    "keystring": "key-not-real",
    "shared_secret": "shared-not-real",
    "refresh_token": "12345678.refresh-not-real",
    "webhook_secret": SECRET,
    "base_url": "http://127.0.0.1:8080",
}
ROOT = "/v3/application"
SCENT, SIZE, WICK = 200, 513, 514
"""Properties of the listings with variations."""


@dataclass(slots=True)
class EtsyDoor(InProcessApi):
    """The door to the shop with a fresh access token; every request and answer is held against
    Etsy's document. It is a clock and a notebook too.
    """

    hands: Hands = field(default_factory=Hands)
    notes: dict[str, str] = field(default_factory=dict)
    told: list[tuple[float, str]] = field(default_factory=list)
    """(requests sent before it, key) of every note that was made or forgotten."""
    checks: bool = True

    async def send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        cost: float = 1.0,
        until: Moment | None = None,
    ) -> Answer:
        """Send with a token that has not ended."""
        assert isinstance(self.connector, EtsyConnector)
        shop = self.shop
        access = shop.access if isinstance(shop, EtsyShop) else shop.within.access  # type: ignore[attr-defined]
        tokens = Tokens(access.issue())
        self.moment = Moment(self.now(), self.monotonic())
        bearer = {"authorization": self.connector.auth_headers(tokens)["authorization"]}
        answer = await InProcessApi.send(
            self,
            method,
            path,
            write=write,
            params=params,
            headers={**bearer, **(headers or {})},
            body=body,
            cost=cost,
            until=until,
        )
        if self.checks and etsy_contract.PATH.is_file():
            etsy_contract.check_request(self.sent[-1])
            if answer.headers["content-type"] == "application/json":
                etsy_contract.check_answer(self.sent[-1], answer.status, answer.body)
        return answer

    def now(self) -> datetime:
        """Tell the time."""
        return self.hands.now

    def monotonic(self) -> float:
        """Tell the time since some instant."""
        return (self.hands.now - BEGUN).total_seconds()

    async def noted(self) -> Mapping[str, str]:
        """Return every note."""
        return dict(self.notes)

    async def note(self, key: str, text: str | None) -> None:
        """Keep or forget a note."""
        self.told.append((len(self.sent), key if text is not None else f"-{key}"))
        if text is None:
            self.notes.pop(key, None)
        else:
            self.notes[key] = text


@dataclass
class Intercepted:
    """The shop, of which the door uses nothing but `handle`."""

    within: EtsyShop
    handle: Callable[[ShopRequest], ShopAnswer]


@dataclass
class World:
    """The shop, its clock, the connector, and the door between them."""

    hands: Hands
    shop: EtsyShop
    connector: EtsyConnector
    api: EtsyDoor

    def deliveries(self, *, status: int = 200) -> list[WebhookRequest]:
        """Take the webhooks that are due, as they would arrive now."""
        out = self.shop.webhooks_due()
        for each in out:
            self.shop.webhook_answered(each, status)
        return [WebhookRequest(each.headers, each.body, self.hands.now) for each in out]

    def read(self, request: WebhookRequest) -> Seen:
        """Verify and read one delivery."""
        self.connector.verify(request)
        _, (seen,) = self.connector.read(request)
        return seen

    async def fetch(self, order_id: str, number: int = 1) -> OrderSeen | None:
        """Fetch one receipt."""
        return await self.connector.fetch_order(self.api, order_id, fetch=number)

    async def poll(self, since: str | None = None) -> list[OrderPage]:
        """Poll, and return every page."""
        return [each async for each in self.connector.poll_orders(self.api, since=since, fetch=7)]

    async def polled(self, since: str | None = None) -> dict[str, OrderSeen]:
        """Poll, and return what was seen last of each receipt."""
        return {each.order_id: each for page in await self.poll(since) for each in page.orders}

    async def push(self, *lines: PushLine) -> tuple[Any, ...]:
        """Push the lines as one call."""
        return await self.connector.push(self.api, lines, call_id="call")

    def writes(self) -> list[tuple[str, str, Any]]:
        """Return (method, path below the API's root, body) of every write that was sent."""
        return [
            (
                sent.method,
                sent.path.removeprefix(ROOT),
                json.loads(sent.body) if sent.method == "PUT" else sent.body.decode(),
            )
            for sent in self.api.sent
            if sent.method != "GET"
        ]

    def before(self, method: str, happens: Callable[[], object], *, at: int = 1) -> None:
        """Let something happen just before the `at`-th request of this method is handled."""
        seen = iter(range(1, 1000))

        def handled(request: ShopRequest) -> ShopAnswer:
            if request.method == method and next(seen) == at:
                happens()
            return self.shop.handle(request)

        self.api.shop = Intercepted(self.shop, handled)

    def closes(self, *places: str, methods: Sequence[str] = ("GET", "PUT", "PATCH")) -> None:
        """Refuse with 403 whatever names one of these, in its path or query."""
        body = b'{"error":"You do not have permission to access this."}'
        headers = {"date": "Sun, 22 Nov 2026 10:00:00 GMT", "content-type": "application/json"}

        def handled(request: ShopRequest) -> ShopAnswer:
            named = f"{request.path} {dict(request.query)}"
            if request.method in methods and any(place in named for place in places):
                return ShopAnswer(403, headers, body)
            return self.shop.handle(request)

        self.api.shop = Intercepted(self.shop, handled)

    def instead(
        self, method: str, status: int, body: bytes, *, at: int | None = 1, **headers: str
    ) -> None:
        """Answer the `at`-th request of this method so (None: each), without the shop."""
        seen = iter(range(1, 1000))
        date = {"date": "Sun, 22 Nov 2026 10:00:00 GMT", "content-type": "text/plain"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        def handled(request: ShopRequest) -> ShopAnswer:
            if request.method == method and (at is None or next(seen) == at):
                return ShopAnswer(status, {**date, **named}, body)
            return self.shop.handle(request)

        self.api.shop = Intercepted(self.shop, handled)


def scent(value: str) -> Variation:
    """Return a scent."""
    return Variation(SCENT, "Scent", value, 9000 + len(value))


def size(value: str) -> Variation:
    """Return a size."""
    return Variation(SIZE, "Size", value, 9100 + len(value))


def wick(value: str) -> Variation:
    """Return a wick."""
    return Variation(WICK, "Wick", value, 9200 + len(value))


def make_world(*, per_second: int = 150, per_day: int = 100_000, **settings: str) -> World:
    """Return a shop with listings 1001 (7 left), 1002 (soaps that vary by scent: lavender 5, mint
    3, and an unmapped rose 2), and 1003 (one number, 12, for two sizes).
    """
    hands = Hands()
    shop = EtsyShop(
        "etsy",
        clock=hands,
        dice=random.Random(1),
        shop_id=SHOP_ID,
        keystring=SETTINGS["keystring"],
        shared_secret=SETTINGS["shared_secret"],
        refresh_token=SETTINGS["refresh_token"],
        per_second=per_second,
        per_day=per_day,
    )
    shop.add_listing(1001, quantity=7, sku="CANDLE-LAV")
    shop.add_variations(
        1002,
        [
            ([scent("Lavender")], 5, "SOAP-LAV"),
            ([scent("Mint")], 3, "SOAP-MINT"),
            ([scent("Rose")], 2, ""),
        ],
        varies_by=[SCENT],
    )
    shop.add_variations(
        1003, [([size("Small")], 12, "BALM"), ([size("Large")], 12, "BALM")], varies_by=()
    )
    shop.subscribe("http://daemon/webhooks/e/token", SECRET)
    connector = make_connector(**settings)
    return World(hands, shop, connector, EtsyDoor(shop, connector, hands=hands))


LAVENDER, MINT, ROSE = "1002:200=lavender", "1002:200=mint", "1002:200=rose"


def make_connector(**settings: str) -> EtsyConnector:
    """Return a configured connector; a setting of "" is left out."""
    given = {name: value for name, value in {**SETTINGS, **settings}.items() if value}
    connector = registry.load("etsy")("e", registry.manifest("etsy"), given)
    assert isinstance(connector, EtsyConnector)
    return connector


def line(key: str, *, expected: int, target: int) -> PushLine:
    """Return a push line for a field."""
    return PushLine(FieldKey("e", key), expected=expected, target=target)


def listing(connector: EtsyConnector, **ref: Any) -> Listing:
    """Return a mapped listing."""
    return Listing(key=ListingKey("e", connector.ref(ref)), sku="any", ref=ref)


def sample(name: str) -> bytes:
    """Return a stored body."""
    return (SAMPLES / f"{name}.json").read_bytes()
