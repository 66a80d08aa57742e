"""Holds over HTTP: placed, listed, renewed and released, with the token and an idempotency key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stockpush.messages import LotTerms, MoveStock, StockMove
from stockpush.model import HOLD_LINES_MAX, MovementKind
from stockpush.sim.candle_shop import SHOPIFY
from stockpush.web.api import BODY_BYTES_MAX
from tests.web.private import NOON, TOKEN, Listener, listener, office

HOLDS = "/api/v1/holds"
ONE = {"lines": [{"sku": "candle", "quantity": 1}]}


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Listener]:
    """Five candles and wax for 16 more, shared with soaps; hold-1 was given back."""
    async with office(tmp_path) as opened:
        await opened.fill()
        async with listener(opened) as running:
            yield running


async def sent(
    private: Listener, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Send a request; return the status and the JSON of the answer."""
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = private.url + path
    async with private.http.request(method, url, data=given, headers=names) as answer:
        return answer.status, await answer.json()


async def atp(private: Listener, sku: str) -> tuple[str, str]:
    """What is held of an item and what can be promised."""
    row = await (await private.get(f"/api/v1/items/{sku}")).json()
    return row["held"], row["atp"]


async def test_a_hold_is_placed_and_released(private: Listener) -> None:
    """201 and its row; what it set aside is back after it was released."""
    body = {
        "lines": [{"sku": "candle", "quantity": 3}, {"sku": "wax", "quantity": "0.5 kg"}],
        "for": "3d",
        "note": "market",
        "reason": "every year",
    }
    before = await atp(private, "candle")
    status, row = await sent(private, "POST", HOLDS, body)
    until = private.office.clock.at + timedelta(days=3)
    assert (status, row) == (
        201,
        {
            "id": "hold-2",
            "state": "held",
            "lines": [
                {"sku": "candle", "unit": "piece", "quantity": "3"},
                {"sku": "wax", "unit": "kg", "quantity": "0.5"},
            ],
            "placed_at": stated(private.office.clock.at),
            "until": stated(until),
            "ended_at": None,
            "note": "market",
            "reason": "every year",
            "actor": "api",
            "pool": "main",
        },
    )
    assert (await atp(private, "candle"))[0] == "3"
    assert await sent(private, "GET", f"{HOLDS}/hold-2") == (200, row)
    assert (await sent(private, "GET", HOLDS))[1] == {"data": [row], "next": None}
    status, ended = await sent(private, "DELETE", f"{HOLDS}/hold-2")
    assert (status, ended["state"], ended["ended_at"]) == (200, "released", row["placed_at"])
    assert await atp(private, "candle") == before
    assert (await sent(private, "GET", HOLDS))[1]["data"] == []


def stated(instant: datetime) -> str:
    """An instant as it is answered."""
    return instant.isoformat().replace("+00:00", "Z")


async def test_without_an_end_it_lasts_as_long_as_configured(private: Listener) -> None:
    """A week; renewed it ends when that says."""
    _, row = await sent(private, "POST", HOLDS, ONE)
    at = private.office.clock.at
    assert row["until"] == stated(at + timedelta(days=7))
    until = "2026-12-24T18:00:00+01:00"
    status, row = await sent(
        private, "PATCH", f"{HOLDS}/2", {"until": until, "reason": "they asked"}
    )
    assert (status, row["until"], row["reason"]) == (200, "2026-12-24T17:00:00Z", "they asked")


async def test_what_cannot_be_promised_is_refused(private: Listener) -> None:
    """409 with what is short and what limits it; nothing is held."""
    body = {"lines": [{"sku": "soap", "quantity": 50}, {"sku": "candle", "quantity": 20}]}
    status, told = await sent(private, "POST", HOLDS, body)
    assert status == 409
    assert {name: told[name] for name in ("refused", "sku", "short", "limited_by", "to_buy")} == {
        "refused": "insufficient_atp",
        "sku": "candle",
        "short": "7",
        "limited_by": "wax",
        "to_buy": [{"sku": "wax", "unit": "kg", "quantity": "1"}],
    }
    assert told["lines"] == [
        {"sku": "soap", "unit": "piece", "asked": "50", "available": "100"},
        {"sku": "candle", "unit": "piece", "asked": "20", "available": "13"},
    ]
    assert {(each["sku"], each["to"]) for each in told["listings"]} >= {("candle", 0)}
    assert told["next"] == "stockpush receive wax 1kg  (when it has arrived)"
    assert (await atp(private, "soap"))[0] == "0"


async def test_what_is_due_counts_no_more_and_is_free_again(private: Listener) -> None:
    """A lot that has expired and a hold that has ended, before any worker has noted it."""
    day = private.office.clock.at + timedelta(days=1)
    lot = StockMove("wax", 1500, MovementKind.RECEIPT, lot="A", terms=LotTerms(expires_at=day))
    await private.office.do(MoveStock((lot,), "lot", "test"))
    body = {"lines": [{"sku": "candle", "quantity": 31}], "for": "1d"}
    assert (await sent(private, "POST", HOLDS, body))[0] == 201
    assert (await sent(private, "POST", HOLDS, ONE))[0] == 409
    private.office.clock.pass_s(86_400)
    status, told = await sent(private, "POST", HOLDS, body)
    assert (status, told["available"]) == (409, "21")
    assert (await sent(private, "POST", HOLDS, ONE))[0] == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 30_000, "body"),
        ([], "body"),
        ({}, "lines"),
        ({"lines": {}}, "lines"),
        ({"lines": []}, "lines"),
        ({"lines": ["candle"]}, "lines[0]"),
        ({"lines": [{"sku": "candle"}]}, "lines[0].quantity"),
        ({"lines": [{"quantity": 1}]}, "lines[0].sku"),
        ({"lines": [{"sku": 5, "quantity": 1}]}, "lines[0].sku"),
        ({"lines": [*ONE["lines"], {"sku": "candle", "quantity": 0}]}, "lines[1].quantity"),
        ({"lines": [{"sku": "candle", "quantity": -1}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "candle", "quantity": 1.5}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "candle", "quantity": True}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "candle", "quantity": "1 kg"}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "candle", "quantity": 10**30}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "candle", "quantity": 1, "qty": 2}]}, "lines[0].qty"),
        ({"lines": ONE["lines"] * (HOLD_LINES_MAX + 1)}, "lines"),
        ({**ONE, "for": "soon"}, "for"),
        ({**ONE, "for": 3}, "for"),
        ({**ONE, "for": "3d", "until": "2026-12-24T18:00:00Z"}, "until"),
        ({**ONE, "until": "2026-12-24T18:00:00"}, "until"),
        ({**ONE, "note": "a\nb"}, "note"),
        ({**ONE, "note": "x" * 201}, "note"),
        ({**ONE, "buyer": "Anna"}, "buyer"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_body_that_cannot_be_meant_is_400(private: Listener, body: Any, field: str) -> None:
    """The error names the field; nothing is held."""
    status, told = await sent(private, "POST", HOLDS, body)
    assert (status, told["error"]["field"]) == (400, field), told
    assert told["error"]["expected"]
    assert (await sent(private, "GET", HOLDS))[1]["data"] == []


async def test_an_item_that_is_not_there_is_404(private: Listener) -> None:
    """The line is named."""
    body = {"lines": [*ONE["lines"], {"sku": "candel", "quantity": 1}]}
    status, told = await sent(private, "POST", HOLDS, body)
    assert (status, told["error"]["field"], told["error"]["found"]) == (
        404,
        "lines[1].sku",
        "candel",
    )


async def test_a_pool_that_is_named_by_nothing_is_not_main(private: Listener) -> None:
    """404 as for any other that is not there, and as --pool '' is: nothing is held."""
    status, told = await sent(private, "POST", HOLDS, {**ONE, "pool": ""})
    assert (status, told["error"]["field"]) == (404, "pool")
    assert (await sent(private, "GET", HOLDS))[1]["data"] == []


async def test_a_body_has_a_limit(private: Listener) -> None:
    """One byte more is 413 in the shape of every error."""
    line = json.dumps(ONE).encode()
    assert (await sent(private, "POST", HOLDS, line.ljust(BODY_BYTES_MAX)))[0] == 201
    status, told = await sent(private, "POST", HOLDS, line.ljust(BODY_BYTES_MAX + 1))
    assert (status, told["error"]["code"]) == (413, "body_refused")


async def test_the_same_key_holds_once(private: Listener) -> None:
    """201 at first and 200 afterwards, the same hold; other content under it is refused."""
    first = await sent(private, "POST", HOLDS, ONE, Idempotency_Key="k")
    private.office.clock.pass_s(5)
    again = await sent(private, "POST", HOLDS, ONE, Idempotency_Key="k")
    assert (first[0], again[0], again[1]) == (201, 200, first[1])
    other = await sent(private, "POST", HOLDS, {**ONE, "note": "x"}, Idempotency_Key="k")
    assert (other[0], other[1]["refused"]) == (409, "key_reused")
    assert (await atp(private, "candle"))[0] == "1"
    for _ in range(2):
        status, row = await sent(private, "DELETE", f"{HOLDS}/hold-2", Idempotency_Key="d")
        assert (status, row["state"]) == (200, "released")


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "a\tb"])
async def test_a_key_is_a_line_of_text(private: Listener, key: str) -> None:
    """Anything else is 400."""
    status, told = await sent(private, "POST", HOLDS, ONE, Idempotency_Key=key)
    assert (status, told["error"]["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "hold-99", None, 404),
        ("DELETE", "hold-99", None, 404),
        ("PATCH", "hold-99", {"for": "3d"}, 404),
        ("GET", "soap", None, 404),
        ("GET", "9" * 30, None, 404),
        ("PATCH", "hold-2", {}, 400),
        ("PATCH", "hold-2", {"for": "3d", "note": "x"}, 400),
        ("PATCH", "hold-2", {"until": "2020-01-01T00:00:00Z"}, 409),
        ("PATCH", "hold-2", {"until": "2030-01-01T00:00:00Z"}, 409),
        ("PATCH", "hold-1", {"for": "3d"}, 409),
        ("DELETE", "hold-1", None, 409),
        ("GET", "hold-2?x=1", None, 400),
        ("DELETE", "hold-2?x=1", None, 400),
    ],
)
async def test_what_cannot_be_done_to_a_hold(
    private: Listener, method: str, path: str, body: Any, status: int
) -> None:
    """One that is not there, one that has ended, an end that cannot be."""
    await sent(private, "POST", HOLDS, ONE)
    got, told = await sent(private, method, f"{HOLDS}/{path}", body)
    assert got == status, told
    assert ("refused" if status == 409 else "error") in told
    assert (await sent(private, "GET", HOLDS))[1]["data"][0]["state"] == "held"


async def test_a_dry_run_says_that_a_hold_can_be_placed(private: Listener) -> None:
    """200 with what would change and what listings would fall to; nothing is held."""
    body = {"lines": [{"sku": "candle", "quantity": n} for n in (1, 2)], "note": "x", "for": "3d"}
    status, told = await sent(private, "POST", HOLDS, {**body, "dry_run": True})
    until = stated(private.office.clock.at + timedelta(days=3))
    assert (status, told) == (
        200,
        {
            "id": None,
            "undo": None,
            "dry_run": True,
            "replayed": False,
            "state": "held",
            "until": until,
            "note": "x",
            "lines": [{"sku": "candle", "unit": "piece", "quantity": "3"}],
            "changed": [
                {
                    "sku": "candle",
                    "unit": "piece",
                    "pool": "main",
                    "before": {"on_hand": "5", "held": "0", "atp": "21"},
                    "after": {"on_hand": "5", "held": "3", "atp": "18"},
                }
            ],
            "listings": [
                {
                    "channel": SHOPIFY,
                    "ref": {"variant_id": 1},
                    "sku": "candle",
                    "from": 21,
                    "to": 18,
                }
            ],
        },
    )
    assert (await atp(private, "candle"))[0] == "0"
    assert (await sent(private, "GET", HOLDS))[1]["data"] == []
    assert (await sent(private, "POST", HOLDS, {**body, "dry_run": False}))[0] == 201


async def test_a_dry_run_of_what_cannot_be_promised_is_refused(private: Listener) -> None:
    """As the hold itself would be: the same document."""
    body = {"lines": [{"sku": "candle", "quantity": 99}]}
    refused = await sent(private, "POST", HOLDS, body)
    assert refused[0] == 409
    assert await sent(private, "POST", HOLDS, {**body, "dry_run": True}) == refused


async def test_a_dry_run_under_a_used_key_says_so(private: Listener) -> None:
    """Nothing would happen."""
    await sent(private, "POST", HOLDS, ONE, Idempotency_Key="k")
    dry = {**ONE, "dry_run": True}
    status, told = await sent(private, "POST", HOLDS, dry, Idempotency_Key="k")
    assert (status, told["replayed"], told["changed"]) == (200, True, [])
    status, told = await sent(private, "POST", HOLDS, {**ONE, "dry_run": 1})
    assert (status, told["error"]["field"]) == (400, "dry_run")


async def test_holds_are_listed_by_state_and_in_pages(private: Listener) -> None:
    """Newest first; the cursor is an id; a hold that is due counts as expired."""
    for days in ("1d", "2d", "3d"):
        await sent(private, "POST", HOLDS, {**ONE, "for": days})
    page = (await sent(private, "GET", f"{HOLDS}?limit=2"))[1]
    assert ([row["id"] for row in page["data"]], page["next"]) == (["hold-4", "hold-3"], "hold-3")
    page = (await sent(private, "GET", f"{HOLDS}?limit=2&cursor=hold-3"))[1]
    assert ([row["id"] for row in page["data"]], page["next"]) == (["hold-2"], None)
    private.office.clock.at = NOON + timedelta(days=1, seconds=1)

    async def ids(state: str) -> list[str]:
        page = (await sent(private, "GET", f"{HOLDS}?state={state}"))[1]
        return [row["id"] for row in page["data"]]

    assert await ids("held") == ["hold-4", "hold-3"]
    assert await ids("expired") == ["hold-2"]
    assert await ids("released") == ["hold-1"]
    assert await ids("all") == ["hold-4", "hold-3", "hold-2", "hold-1"]
    status, told = await sent(private, "GET", f"{HOLDS}?state=gone")
    assert (status, told["error"]["field"]) == (400, "state")


@pytest.mark.parametrize(("method", "path"), [("POST", HOLDS), ("DELETE", f"{HOLDS}/hold-2")])
async def test_nothing_is_written_without_the_token(
    private: Listener, method: str, path: str
) -> None:
    """401, whatever is sent, and nothing is held or given back."""
    await sent(private, "POST", HOLDS, ONE)
    status, _ = await sent(private, method, path, ONE, Authorization=f"Bearer {TOKEN}x")
    assert status == 401
    assert [row["id"] for row in (await sent(private, "GET", HOLDS))[1]["data"]] == ["hold-2"]


async def test_what_is_written_is_as_described(private: Listener) -> None:
    """Bodies and answers are valid under the schemas that the description gives them."""
    document = (await sent(private, "GET", "/api/v1/openapi.json"))[1]

    def check(content: object, schema: Any) -> None:
        jsonschema.Draft202012Validator(document | schema).validate(content)

    described = document["paths"][HOLDS]["post"]
    asked = described["requestBody"]["content"]["application/json"]["schema"]
    check({**ONE, "for": "3d", "note": "x"}, asked)
    for wrong in ({}, {"lines": []}, {"lines": [{"sku": "candle"}]}, {**ONE, "buyer": "Anna"}):
        with pytest.raises(jsonschema.ValidationError):
            check(wrong, asked)
    dry = {**ONE, "dry_run": True}
    check(dry, asked)
    for body in (ONE, dry, {"lines": [{"sku": "candle", "quantity": 999}]}, {}):
        status, told = await sent(private, "POST", HOLDS, body)
        answers = described["responses"]
        answer = answers.get(str(status), answers["default"])
        check(told, answer["content"]["application/json"]["schema"])
    for method, body in (("patch", {"for": "2d"}), ("delete", None)):
        described = document["paths"][f"{HOLDS}/{{id}}"][method]
        assert [each["name"] for each in described["parameters"]] == ["id", "Idempotency-Key"]
        if body is not None:
            asked = described["requestBody"]["content"]["application/json"]["schema"]
            check(body, asked)
        status, told = await sent(private, method.upper(), f"{HOLDS}/hold-2", body)
        check(told, described["responses"][str(status)]["content"]["application/json"]["schema"])


async def test_all_that_explains_a_refusal_is_described(private: Listener) -> None:
    """What to buy, what could be promised and what listings would fall to have schemas."""
    document = (await sent(private, "GET", "/api/v1/openapi.json"))[1]
    schema = document["components"]["schemas"]["Refusal"]
    body = {"lines": [{"sku": "candle", "quantity": 999}]}
    told = (await sent(private, "POST", HOLDS, body))[1]
    assert {"to_buy", "lines", "listings"} <= told.keys() <= schema["properties"].keys()
    assert told["to_buy"]
    assert told["lines"]
    validator = jsonschema.Draft202012Validator(document | schema)
    validator.validate(told)
    for name in ("to_buy", "lines", "listings"):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({**told, name: [{"sku": 1}]})


async def test_what_waits_for_a_hold_s_end_is_counted(private: Listener) -> None:
    """`stockpush_holds_open`."""
    await sent(private, "POST", HOLDS, ONE)
    text = await (await private.get("/metrics")).text()
    assert "\nstockpush_holds_open 1.0\n" in text
