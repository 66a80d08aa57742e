"""The bulk query: what is sent, what its file says, its limits, and where the file is had from."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
import respx

from stockpush.clock import SystemClock, SystemIds
from stockpush.connectors.base import FullReading, ReadsWhole
from stockpush.connectors.shopify import bulk, levels, operations
from stockpush.connectors.shopify.ids import gid
from stockpush.engine.limiter import Limiter
from stockpush.engine.transport import ChannelApi
from stockpush.errors import ChannelUnavailable, OutcomeUnknown, PayloadInvalid, RateLimited
from stockpush.sim.shops.base import ShopRequest
from stockpush.sim.shops.shopify.bulk import KEPT
from tests.connectors.shopify_world import (
    HOST,
    LOCATION,
    SCHEMA,
    TOKEN,
    World,
    connector,
    needs_schema,
    world,
)

CHECKED = [False, pytest.param(True, marks=needs_schema)]
ABROAD = "https://storage.example/bulk/1.jsonl?sig=very-secret"


def file_of(w: World, url: str) -> list[bytes]:
    """The lines at an address, as the shop serves them to anybody."""
    path, _, query = url.partition("/bulk/")[2].partition("?")
    name, _, value = query.partition("=")
    answer = w.shop.handle(ShopRequest("GET", f"/bulk/{path}", ((name, value),)))
    assert answer.status == 200, answer.body
    return answer.body.splitlines()


def told(**item: object) -> bytes:
    """A line of a variant with such an item."""
    variant = {"inventoryPolicy": "DENY", "requiresComponents": False, "inventoryItem": item}
    return msgspec.json.encode(variant)


async def done(w: World, *, after_s: float = 60) -> FullReading:
    """Have everything read, and wait for it."""
    name = await w.connector.begin_full(w.api)
    assert await w.connector.full(w.api, name) == FullReading(done=False)
    w.hands.move(after_s)
    return await w.connector.full(w.api, name)


# -- the query and its file ------------------------------------------------------------------------


@needs_schema
def test_the_query_is_one_that_may_run_in_bulk() -> None:
    """It holds against the schema, uses nothing deprecated, has no variables, and one connection
    of two levels at most.
    """
    from graphql import NoDeprecatedCustomRule, parse, specified_rules, validate

    from stockpush.sim.shops.shopify.contract import schema_at

    document = operations.everything(gid("Location", LOCATION))
    parsed = parse(document)
    rules = [*specified_rules, NoDeprecatedCustomRule]
    assert validate(schema_at(SCHEMA), parsed, rules) == []
    assert document.count("edges") == 1
    assert "$" not in document


@pytest.mark.parametrize("checked", CHECKED)
async def test_everything_is_read_at_once(checked: bool) -> None:
    """One line a variant: its number, or what keeps it from being written; others' locations and
    deleted variants are not among them.
    """
    w = world(checked=checked, other_locations=(77,))
    assert isinstance(w.connector, ReadsWhole)
    a = w.sell("A", 5)
    w.shop.variants[int(a)].levels[77] = type(w.shop.variants[int(a)].levels[LOCATION])(9)
    odd = {
        w.sell("B", 1, tracked=False): levels.NOT_TRACKED,
        w.sell("C", 1, policy="CONTINUE"): levels.CONTINUES,
        w.sell("D", 1, bundle=True): levels.BUNDLE,
        w.sell("E", 1, stocked=False): levels.NOT_STOCKED,
    }
    w.shop.remove_variant(w.sell("F", 1))
    found = await done(w)
    assert (found.done, found.whole, found.reason) == (True, True, "")
    readings = [w.connector.full_record(line) for line in file_of(w, found.url)]
    assert {each.field: (each.quantity, each.problem) for each in readings} == {
        w.field(a): (5, None),
        **{w.field(each): (None, problem) for each, problem in odd.items()},
    }


async def test_what_it_says_is_old() -> None:
    """A sale while it runs is not in the file: it may be asked about and never believed."""
    w = world()
    a = w.sell("A", 5)
    name = await w.connector.begin_full(w.api)
    w.shop.checkout([(a, 2)])
    w.hands.move(60)
    found = await w.connector.full(w.api, name)
    (reading,) = [w.connector.full_record(line) for line in file_of(w, found.url)]
    assert (reading.quantity, w.shop.quantity(a)) == (5, 3)


async def test_an_empty_shop_leaves_no_file() -> None:
    """Nothing to write down is no failure."""
    found = await done(world())
    assert found == FullReading(done=True)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"id":"x","__parentId":"y"}',
        told(id="7", tracked=1),
        told(id="gid://shopify/Product/7", tracked=True),
        b"\xff\xfe",
    ],
)
def test_a_line_that_says_nothing_known_is_invalid(line: bytes) -> None:
    """Whatever is no variant of the query is PayloadInvalid, and nothing else."""
    with pytest.raises(PayloadInvalid):
        connector().full_record(line)


# -- its states and limits ---------------------------------------------------------------------


async def test_five_run_at_once_and_a_sixth_is_told_to_wait() -> None:
    """What is too much is no fault: it is waited and tried again, and one that ended makes room."""
    w = world()
    w.sell("A", 1)
    names = [await w.connector.begin_full(w.api) for _ in range(5)]
    with pytest.raises(RateLimited) as caught:
        await w.connector.begin_full(w.api)
    assert caught.value.retry_after_s == bulk.FULL_WAIT_S
    await w.connector.end_full(w.api, names[0])
    await w.connector.begin_full(w.api)


@pytest.mark.parametrize("code", ["TIMEOUT", "INTERNAL_SERVER_ERROR", "ACCESS_DENIED"])
async def test_a_part_of_a_failed_one_is_had(code: str) -> None:
    """It says that it is a part, and why; where not even a part was written there is no address."""
    w = world()
    variants = [w.sell(f"S{number}", number) for number in range(10)]
    w.shop.bulk.fails = code
    name = await w.connector.begin_full(w.api)
    found = await w.connector.full(w.api, name)
    assert (found.done, found.whole, found.reason) == (True, False, f"failed {code}")
    assert len(file_of(w, found.url)) == len(variants) // 2
    w.shop.bulk.part = 0
    found = await w.connector.full(w.api, await w.connector.begin_full(w.api))
    assert (found.url, found.whole) == (None, False)


async def test_a_cancelled_or_expired_one_holds_nothing() -> None:
    """Somebody ended it, or nobody fetched it for seven days."""
    w = world()
    w.sell("A", 1)
    name = await w.connector.begin_full(w.api)
    await w.connector.end_full(w.api, name)
    assert await w.connector.full(w.api, name) == FullReading(
        done=True, whole=False, reason="canceled"
    )
    await w.connector.end_full(w.api, name)  # ended already: nothing to say
    name = await w.connector.begin_full(w.api)
    w.hands.move(KEPT.total_seconds() + 60)
    assert await w.connector.full(w.api, name) == FullReading(
        done=True, whole=False, reason="expired"
    )


@pytest.mark.parametrize(
    "operation", [None, {"id": "gid://shopify/BulkOperation/1", "status": "PAUSED"}]
)
async def test_a_state_that_is_not_known_is_not_guessed(operation: Any) -> None:
    """Neither a word that nobody knows nor an operation that is gone says that it is done."""
    w = world()
    status = {"BulkStatus": lambda _: {"bulkOperation": operation}}
    w.shop.door.handlers = {**w.shop.door.handlers, **status}
    with pytest.raises(PayloadInvalid):
        await w.connector.full(w.api, "gid://shopify/BulkOperation/1")


@needs_schema
def test_every_state_of_the_schema_is_known() -> None:
    """Every state and every refusal that Shopify has is judged."""
    from stockpush.sim.shops.shopify.contract import schema_at

    types = schema_at(SCHEMA).type_map
    assert set(types["BulkOperationStatus"].values) == bulk._UNDER_WAY | bulk._ENDED
    assert set(types["BulkOperationUserErrorCode"].values) == bulk._BUSY | {"INVALID"}


async def test_a_lost_answer_begins_nothing_twice() -> None:
    """Nobody knows whether it runs: it is not sent again, and what runs ends by itself."""
    w = world()
    w.sell("A", 1)
    w.shop.faults.drop_after_next = 1
    with pytest.raises(OutcomeUnknown):
        await w.connector.begin_full(w.api)
    assert len(w.shop.bulk.operations) == 1


# -- where the file is had from -----------------------------------------------------------------


def door() -> ChannelApi:
    """The real door to the shop."""
    clock = SystemClock()
    return ChannelApi(
        connector(), clock=clock, ids=SystemIds(), limiter=Limiter(clock, rate=100, burst=100)
    )


async def fetched(url: str, **answer: Any) -> tuple[list[bytes], httpx.Request]:
    """The lines of a file that lies elsewhere, and what was asked."""
    with respx.mock() as router:
        route = router.get(url=url).mock(**answer)
        async with door() as api:
            lines = [line async for line in api.lines(url)]
        return lines, route.calls[0].request


async def test_nothing_of_ours_goes_to_the_host_of_the_file() -> None:
    """No token, no cookie, no compressed answer: the signed address is all that it takes."""
    answer = httpx.Response(200, headers={"set-cookie": "a=b"}, content=b'{"a":1}\n{"b":2}\n')
    lines, request = await fetched(ABROAD, return_value=answer)
    assert lines == [b'{"a":1}', b'{"b":2}']
    assert TOKEN not in str(request.headers)
    assert {"x-shopify-access-token", "authorization", "cookie"}.isdisjoint(request.headers)
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"return_value": httpx.Response(403)}, ChannelUnavailable),
        ({"return_value": httpx.Response(404)}, ChannelUnavailable),
        ({"return_value": httpx.Response(500)}, ChannelUnavailable),
        (
            {"return_value": httpx.Response(302, headers={"location": "https://other.example/"})},
            ChannelUnavailable,
        ),
        ({"side_effect": httpx.ReadError("very-secret")}, ChannelUnavailable),
        ({"side_effect": httpx.ConnectTimeout("very-secret")}, ChannelUnavailable),
        (
            {
                "return_value": httpx.Response(
                    200, headers={"content-encoding": "br"}, stream=httpx.ByteStream(b"x")
                )
            },
            PayloadInvalid,
        ),
    ],
)
async def test_a_file_that_cannot_be_had_is_named(answer: Any, error: type[Exception]) -> None:
    """Each way has its error, and none repeats the address, which is as good as a secret."""
    with pytest.raises(error) as caught:
        await fetched(ABROAD, **answer)
    assert "very-secret" not in str(caught.value.as_json())


@pytest.mark.parametrize(
    "url",
    [
        "http://storage.example/1.jsonl",
        "http://127.0.0.1/1.jsonl",
        "ftp://storage.example/1.jsonl",
        "file:///etc/passwd",
        "https://user:pw@storage.example/1.jsonl",
        "https:///1.jsonl",
        "not a url",
        "",
    ],
)
async def test_an_address_that_is_not_to_be_asked_is_refused(url: str) -> None:
    """A shop reached over TLS names no file that is not."""
    with respx.mock() as router:
        async with door() as api:
            with pytest.raises(PayloadInvalid):
                [line async for line in api.lines(url)]
        assert not router.calls


@pytest.mark.parametrize(
    ("begun", "error"),
    [
        ({"bulkOperation": None, "userErrors": [{"code": "LIMIT_REACHED"}]}, RateLimited),
        ({"bulkOperation": None, "userErrors": [{"code": "OPERATION_IN_PROGRESS"}]}, RateLimited),
    ],
)
async def test_a_shop_of_an_earlier_limit_says_so_too(begun: Any, error: type[Exception]) -> None:
    """One at a time before 2026-01, five since: either is a reason to wait."""
    with respx.mock(base_url=f"https://{HOST}") as router:
        data = {"data": {"bulkOperationRunQuery": begun}}
        route = router.post(operations.PATH).mock(return_value=httpx.Response(200, json=data))
        async with door() as api:
            with pytest.raises(error):
                await connector().begin_full(api)
        sent = msgspec.json.decode(route.calls[0].request.content)
        assert sent["variables"] == {"query": operations.everything(gid("Location", LOCATION))}
