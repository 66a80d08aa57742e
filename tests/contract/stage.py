"""What the suite does on a stage: listings, pushes, polls, deliveries, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stockpush.connectors.base import (
    Checkup,
    Connector,
    OrderPage,
    PushLine,
    PushOutcome,
    Reading,
    WebhookRequest,
)
from stockpush.messages import OrderSeen
from stockpush.model import FieldKey, Listing, ListingKey
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.contract.kit import Kit

HAS = 5
"""What every listing of the suite holds at first."""
MOMENTS_S = 10
"""How long a shop may take to send a delivery."""
HOOK = "https://stock.example/webhooks/s/TOKEN_OF_22_CHARACTERS"
FORMER = "https://former.example/webhooks/s/TOKEN_OF_22_CHARACTERS"


@dataclass(frozen=True, slots=True)
class Offered:
    """A listing on sale: as an owner references it, by the shop's own name, and its field."""

    listing: Listing
    name: str
    field: FieldKey


async def offered(kit: Kit, stage: Any, count: int = 1, *, first: int = 0) -> list[Offered]:
    """Put `count` things on sale, HAS of each, and have them resolved."""
    channel, shop = stage.connector.channel, stage.shop
    sold = [kit.sell(shop, first + number, HAS) for number in range(count)]
    listings = [
        Listing(key=ListingKey(channel, stage.connector.ref(ref)), sku="any", ref=ref)
        for ref, _ in sold
    ]
    found = await stage.connector.resolve(stage.api, listings)
    assert [each.problem for each in found] == [None] * count
    return [
        Offered(listing, name, FieldKey(channel, each.field_key))
        for listing, (_, name), each in zip(listings, sold, found, strict=True)
    ]


async def push(
    stage: Any, given: Sequence[Offered], *, expected: int = HAS, target: int, call_id: str = "c"
) -> tuple[PushOutcome, ...]:
    """Push one target to all of them, in one call."""
    lines = [PushLine(each.field, expected=expected, target=target) for each in given]
    told: tuple[PushOutcome, ...] = await stage.connector.push(stage.api, lines, call_id=call_id)
    return told


async def observe(stage: Any, given: Sequence[Offered]) -> tuple[Reading, ...]:
    """Read what they hold."""
    fields = [each.field for each in given]
    told: tuple[Reading, ...] = (await stage.connector.observe(stage.api, fields)).readings
    return told


async def poll(stage: Any, since: str | None = None) -> list[OrderPage]:
    """Poll to the end."""
    pages = stage.connector.poll_orders(stage.api, since=since, fetch=7)
    return [page async for page in pages]


async def orders(stage: Any, since: str | None = None) -> dict[str, OrderSeen]:
    """Poll, and return what was seen last of each order."""
    return {each.order_id: each for page in await poll(stage, since) for each in page.orders}


def deliveries(stage: Any) -> list[WebhookRequest]:
    """Take the signed deliveries that are due within moments, as they arrive, and answer them."""
    stage.hands.move(MOMENTS_S)
    out = stage.shop.webhooks_due()
    for each in out:
        stage.shop.webhook_answered(each, 200)
    came = [WebhookRequest(each.headers, each.body, stage.hands()) for each in out]
    return [each for each in came if not stage.connector.is_ping(each)]


async def life(kit: Kit, stage: Any) -> None:
    """Have every kind of request sent that a channel sends in its life."""
    first, second = await offered(kit, stage, 2)
    await observe(stage, [first, second])
    await push(stage, [first, second], target=4)
    await push(stage, [first], expected=4, target=3)
    await push(stage, [first], expected=4, target=2)
    order = stage.shop.checkout([(second.name, 1)])
    (*_, last) = await poll(stage)
    await poll(stage, last.cursor)
    await stage.connector.fetch_order(stage.api, order, fetch=1)
    if isinstance(stage.connector, Checkup):
        await stage.connector.check(stage.api)
        await stage.connector.ensure_webhooks(stage.api, FORMER)
        await stage.connector.ensure_webhooks(stage.api, HOOK)
    await kit.more(stage)


# -- between the door and the shop ----------------------------------------------------------------


@dataclass
class Between:
    """What stands in a door instead of its shop, which is `within`."""

    within: Any
    handle: Callable[[ShopRequest], ShopAnswer]


def answered(
    stage: Any,
    given: ShopAnswer | Exception,
    *,
    to: Callable[[ShopRequest], bool] = lambda _: True,
) -> list[ShopRequest]:
    """Have the requests in question answered so, without the shop; return where they are noted."""
    shop, struck = unchecked(stage), list[ShopRequest]()

    def handle(request: ShopRequest) -> ShopAnswer:
        if not to(request):
            answer: ShopAnswer = shop.handle(request)
            return answer
        struck.append(request)
        if isinstance(given, Exception):
            raise given
        return ShopAnswer(given.status, {"date": DATE, **given.headers}, given.body)

    stage.api.shop = Between(stage.shop, handle)
    return struck


def spoilt(stage: Any, spoil: Callable[[bytes], bytes], *, at: int) -> list[ShopRequest]:
    """Have the body of the `at`-th answer (from 0) spoilt; return where requests are noted."""
    shop, asked = unchecked(stage), list[ShopRequest]()

    def handle(request: ShopRequest) -> ShopAnswer:
        asked.append(request)
        answer: ShopAnswer = shop.handle(request)
        if len(asked) - 1 != at:
            return answer
        return ShopAnswer(answer.status, answer.headers, spoil(answer.body))

    stage.api.shop = Between(stage.shop, handle)
    return asked


@contextmanager
def answered_body(stage: Any, old: bytes, new: bytes) -> Iterator[None]:
    """Have `old` in every answer replaced by `new`, while the block runs."""
    stood = stage.api.shop
    shop = unchecked(stage)

    def handle(request: ShopRequest) -> ShopAnswer:
        answer: ShopAnswer = shop.handle(request)
        return ShopAnswer(answer.status, answer.headers, answer.body.replace(old, new))

    stage.api.shop = Between(stage.shop, handle)
    yield
    stage.api.shop = stood


DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


def unchecked(stage: Any) -> Any:
    """Return the shop without its contract: what is made up here need not keep to it."""
    if hasattr(stage.api, "checks"):
        stage.api.checks = False
    return stage.shop


def truth(stage: Any, given: Sequence[Offered]) -> list[int]:
    """Return what the shop itself shows for these listings."""
    numbers: Mapping[str, int] = stage.shop.numbers()
    return [numbers[each.name] for each in given]


def configured(name: str, kit: Kit, **changes: str) -> Connector:
    """Return a connector of the kit's settings, some of them changed; "" leaves one out."""
    from stockpush.connectors import registry

    given = {key: value for key, value in {**kit.settings, **changes}.items() if value}
    return registry.load(name)("mine", registry.manifest(name), given)
