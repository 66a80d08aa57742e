"""OAuth 1.0a to a site without TLS on this machine, and its refusal anywhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from stockpush.clock import SystemIds
from stockpush.connectors.base import Signing
from stockpush.connectors.woocommerce.oauth import base_string
from stockpush.engine.limiter import Limiter
from stockpush.engine.transport import ChannelApi, in_process
from stockpush.errors import AuthFailed, ConfigInvalid
from stockpush.sim.shops.base import ShopRequest
from tests.connectors.woocommerce_world import SETTINGS, World, line, make_connector, make_world


class ShopsClock:
    """The shop's clock as ours: both stand on one machine."""

    def __init__(self, world: World) -> None:
        """Tell the time of this world."""
        self.now = world.hands

    def monotonic(self) -> float:
        """Seconds of the same clock."""
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once."""
        self.now.move(seconds)


@asynccontextmanager
async def door(
    world: World, *, site: str = SETTINGS["base_url"], **settings: str
) -> AsyncIterator[ChannelApi]:
    """The real door to a site that thinks it is asked over plain HTTP."""
    world.shop.plain_http = True
    world.shop._door.site = site
    seen: list[ShopRequest] = []

    async def handle(
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]:
        seen.append(ShopRequest(method, path, tuple(query), headers, body))
        answer = world.shop.handle(seen[-1])
        return answer.status, answer.headers, answer.body

    clock = ShopsClock(world)
    world.connector = make_connector(**settings)
    async with ChannelApi(
        world.connector,
        clock=clock,
        ids=SystemIds(),
        limiter=Limiter(clock, rate=100, burst=100),
        transport=in_process(handle),
    ) as api:
        api.seen = seen  # type: ignore[attr-defined]
        yield api


@pytest.fixture
def world() -> World:
    """A site without a contract, which knows no signature's parameters."""
    return make_world(contracts=False)


def test_the_published_base_string() -> None:
    """The example of RFC 5849, 3.4.1.1, byte for byte: encoding, sorting, doubles, empty ones."""
    params = [
        ("b5", "=%3D"),
        ("a3", "a"),
        ("c@", ""),
        ("a2", "r b"),
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
        ("c2", ""),
        ("a3", "2 q"),
    ]
    assert base_string("post", "http://example.com/request", params) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%25"
        "3D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7"
        "d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_toke"
        "n%3Dkkk9d7dh3k39sjv7"
    )


async def test_a_site_on_plain_http_refuses_a_key_and_takes_a_signature(world: World) -> None:
    """Basic is 401 there; with `auth` oauth1 everything is read and written."""
    async with door(world) as api:
        with pytest.raises(AuthFailed):
            await world.connector.check(api)
    async with door(world, auth="oauth1") as api:
        assert isinstance(world.connector, Signing)
        await world.connector.check(api)
        (outcome,) = await world.connector.push(
            api, [line("30", expected=7, target=5)], call_id="c"
        )
        assert outcome.error is None
        assert world.shop.stock_quantity("30") == 5
        order = world.shop.checkout([("30", 1)])
        pages = [page async for page in world.connector.poll_orders(api, since=None, fetch=1)]
        assert order in {seen.order_id for page in pages for seen in page.orders}


async def test_neither_key_nor_secret_is_in_a_header_and_the_secret_nowhere(world: World) -> None:
    """The signature is in the query, where PHP finds it whatever the server strips."""
    async with door(world, auth="oauth1") as api:
        await world.connector.check(api)
        for request in api.seen:  # type: ignore[attr-defined]
            assert "authorization" not in request.headers
            assert SETTINGS["consumer_secret"] not in str(request)


async def test_each_attempt_is_signed_by_itself(world: World) -> None:
    """A read that is repeated after a fault has another nonce: the site takes none twice."""
    async with door(world, auth="oauth1") as api:
        world.shop.faults.server_error_next = 1
        await world.connector.check(api)
        nonces = [dict(each.query)["oauth_nonce"] for each in api.seen]  # type: ignore[attr-defined]
        asked = [(each.method, each.path) for each in api.seen]  # type: ignore[attr-defined]
        assert len(asked) == len(set(asked)) + 1, "one was repeated"
        assert len(nonces) == len(set(nonces)) == len(asked)


async def test_a_site_that_knows_itself_by_another_name_refuses(world: World) -> None:
    """The address is signed: localhost is not 127.0.0.1."""
    async with door(world, auth="oauth1", site="http://localhost:8080") as api:
        with pytest.raises(AuthFailed):
            await world.connector.check(api)


def test_the_reason_for_refusing_is_told() -> None:
    """TLS is required: the signature protects the key alone."""
    with pytest.raises(ConfigInvalid, match=r"OAuth 1\.0a is refused: TLS is required"):
        make_connector(auth="oauth1", base_url="https://shop.example")
    with pytest.raises(ConfigInvalid, match=r"TLS is required, except to this machine"):
        make_connector(auth="oauth1", base_url="http://shop.example")
    for local in ("http://localhost:8080", "http://127.0.0.1", "http://[::1]/shop"):
        assert make_connector(auth="oauth1", base_url=local).auth_headers() == {}


def test_a_configuration_shows_no_secret() -> None:
    """Neither in a representation nor in an error."""
    made = make_connector(auth="oauth1")
    assert SETTINGS["consumer_secret"] not in repr(made)
