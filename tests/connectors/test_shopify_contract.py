"""Every document against the machine-readable schema, and answers recorded as HTTP (respx)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

import httpx
import pytest
import respx

from stockpush.connectors.base import Answer, PushLine
from stockpush.connectors.shopify import operations
from stockpush.errors import ChannelUnavailable, OutcomeUnknown
from stockpush.model import FieldKey
from stockpush.model import PushOutcomeKind as Kind
from tests.connectors.inprocess import raise_for
from tests.connectors.shopify_world import HOST, SCHEMA, TOKEN, connector, needs_schema

URL = f"https://{HOST}{operations.PATH}"
LINE = PushLine(FieldKey("s", "49148385"), expected=5, target=9)
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


@needs_schema
@pytest.mark.parametrize("operation", operations.ALL, ids=lambda operation: operation.name)
def test_every_document_is_valid(operation: operations.Operation) -> None:
    """Each document holds against Admin GraphQL 2026-10, and has the name it is sent under."""
    from graphql import get_operation_ast

    from stockpush.sim.shops.shopify.contract import checked

    found = get_operation_ast(checked(SCHEMA, operation.document), operation.name)
    assert found is not None
    assert (found.operation.value == "mutation") == operation.writes


@needs_schema
def test_no_document_uses_a_deprecated_field() -> None:
    """Nothing that is sent rests on what the vendor has announced to remove."""
    from graphql import NoDeprecatedCustomRule, parse, validate

    from stockpush.sim.shops.shopify.contract import schema_at

    for operation in operations.ALL:
        errors = validate(schema_at(SCHEMA), parse(operation.document), [NoDeprecatedCustomRule])
        assert errors == [], operation.name


@pytest.mark.parametrize("operation", operations.ALL, ids=lambda operation: operation.name)
def test_no_document_asks_for_a_buyer(operation: operations.Operation) -> None:
    """Names, addresses, mails, telephones, notes and amounts of money are not even asked for."""
    asked = set(re.findall(r"[A-Za-z]+", operation.document))
    personal = re.compile("customer|address|email|phone|note|name$|price|amount|ip$", re.IGNORECASE)
    # The names of stock states and of locations, and the error texts' codes, are nobody's.
    allowed = {"name", "names", "typename", "operationName"}
    assert {word for word in asked if personal.search(word)} <= allowed


@needs_schema
def test_every_error_code_of_the_schema_is_judged() -> None:
    """Every code that the mutation may answer has a verdict; every verdict is of a known code or
    one of an earlier version.
    """
    from stockpush.connectors.shopify.writing import _VERDICTS
    from stockpush.sim.shops.shopify.contract import schema_at

    codes = set(schema_at(SCHEMA).type_map["InventorySetQuantitiesUserErrorCode"].values)
    assert set(_VERDICTS) - codes == {"ITEM_NOT_STOCKED_AT_LOCATION"}
    for_a_person = codes - set(_VERDICTS)
    assert for_a_person == {
        "COMPARE_QUANTITY_REQUIRED",
        "INVALID_LOCATION",
        "INVALID_NAME",
        "INVALID_QUANTITY_NEGATIVE",
        "INVALID_QUANTITY_TOO_HIGH",
        "INVALID_QUANTITY_TOO_LOW",
        "INVALID_REASON",
        "INVALID_REFERENCE_DOCUMENT",
        "NON_MUTABLE_INVENTORY_ITEM",
        "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR",
    }


@needs_schema
@pytest.mark.parametrize(
    ("type_name", "words"),
    [
        ("RefundLineItemRestockType", "restock_of"),
        ("FulfillmentStatus", "progress_of"),
    ],
)
def test_every_word_of_the_schema_is_known(type_name: str, words: str) -> None:
    """Every restock type and fulfilment status that Shopify has is read."""
    from stockpush.connectors.shopify import orders
    from stockpush.sim.shops.shopify.contract import schema_at

    values = schema_at(SCHEMA).type_map[type_name].values
    assert len(values) >= 4
    for word in values:
        getattr(orders, words)(word)


@needs_schema
@pytest.mark.parametrize("topic", connector().manifest.webhook_topics)
def test_every_topic_exists(topic: str) -> None:
    """Every topic of the manifest can be subscribed to."""
    from stockpush.sim.shops.shopify.contract import schema_at

    assert topic in schema_at(SCHEMA).type_map["WebhookSubscriptionTopic"].values


# -- over HTTP -----------------------------------------------------------------------------------


class HttpApi:
    """A door over httpx with the error mapping of `base.Api`, as small as it can be."""

    def __init__(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        self.client, self.headers, self.paused = client, headers, []

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
    ) -> Answer:
        """Send once, and map what came."""
        try:
            given = await self.client.request(
                method, path, content=body, headers={**self.headers, **(headers or {})}
            )
        except httpx.ConnectError as error:
            raise ChannelUnavailable from error
        except httpx.TransportError as error:
            raise (OutcomeUnknown() if write else ChannelUnavailable()) from error
        raise_for(given.status_code, given.headers, write=write)
        date = given.headers.get("date")
        return Answer(
            given.status_code,
            dict(given.headers),
            given.content,
            parsedate_to_datetime(date) if date else None,
        )

    def pause(self, seconds: float) -> None:
        """Record the pause."""
        self.paused.append(seconds)


async def pushed(**answer):
    """Push one line against one recorded answer; return (outcome, the request that was sent)."""
    made = connector()
    async with (
        respx.mock(base_url=f"https://{HOST}") as router,
        httpx.AsyncClient(base_url=made.base_url()) as client,
    ):
        route = router.post(operations.PATH).mock(**answer)
        api = HttpApi(client, made.auth_headers())
        (outcome,) = await made.push(api, [LINE], call_id="c")
        assert route.called
        return outcome, route.calls[0].request


def replied(status: int = 200, **how) -> dict:
    """Return a recorded answer."""
    headers = {"date": DATE, **how.pop("headers", {})}
    return {"return_value": httpx.Response(status, headers=headers, **how)}


OK = {"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": []}}}


async def test_the_request_on_the_wire() -> None:
    """One POST to the versioned path, JSON, with the token; the operation by its name."""
    outcome, request = await pushed(**replied(json=OK))
    assert outcome.kind is Kind.APPLIED
    assert outcome.date == parsedate_to_datetime(DATE)
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["x-shopify-access-token"] == TOKEN
    assert request.headers["content-type"] == "application/json"
    assert b'"operationName":"SetQuantities"' in request.content
    assert b'"changeFromQuantity":5' in request.content


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (replied(401, json={"errors": "[API] Invalid API key"}), Kind.AUTH_FAILED),
        (replied(403, json={"errors": "scope"}), Kind.AUTH_FAILED),
        (replied(429, headers={"retry-after": "2.0"}), Kind.RATE_LIMITED),
        (replied(404, json={"errors": "Not Found"}), Kind.UNAVAILABLE),
        (replied(500, text="oops"), Kind.UNKNOWN),
        (replied(502, text="<html>"), Kind.UNKNOWN),
        (replied(200, text="<html>maintenance</html>"), Kind.UNKNOWN),
        (replied(200, content=b'{"data":{"inventorySet'), Kind.UNKNOWN),
        (replied(200, json={"data": {"inventorySetQuantities": None}}), Kind.UNKNOWN),
        (replied(200, json={"data": {}}), Kind.UNKNOWN),
        (replied(200, json={"errors": [{"message": "bad argument"}]}), Kind.UNAVAILABLE),
        (
            replied(200, json={"errors": [{"message": "x", "path": ["y"]}], "data": {"y": None}}),
            Kind.UNKNOWN,
        ),
        (
            replied(
                200,
                json={
                    "errors": [{"message": "x", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]
                },
            ),
            Kind.UNKNOWN,
        ),
        ({"side_effect": httpx.ConnectError}, Kind.UNAVAILABLE),
        ({"side_effect": httpx.ReadTimeout}, Kind.UNKNOWN),
        ({"side_effect": httpx.RemoteProtocolError}, Kind.UNKNOWN),
    ],
)
async def test_what_a_push_makes_of_an_answer(answer, kind: Kind) -> None:
    """Each way in which a write may end has its outcome; what may have been applied is unknown."""
    outcome, _ = await pushed(**answer)
    assert outcome.kind is kind
    assert outcome.error is not None
