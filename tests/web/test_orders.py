"""Sales made elsewhere, posted by whoever took the money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stockpush.engine import posted
from stockpush.messages import ImportCatalogue
from stockpush.model import Item, Kind
from stockpush.web.api import BODY_BYTES_MAX
from tests.web.private import TOKEN, Listener, listener, office
from tests.web.test_holds import HOLDS, sent
from tests.web.test_movements import MOVEMENTS, _Unread, on_hand, read

ORDERS = "/api/v1/orders"
LINES = [{"sku": "candle", "quantity": 2}, {"sku": "wax", "quantity": "500 g"}]
SALE = {"at": "market", "lines": LINES}
HELD = {"at": "market", "hold": "hold-2"}


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Listener]:
    """Five candles and wax for 16 more, shared with soaps; hold-1 was given back."""
    async with office(tmp_path) as opened:
        await opened.fill()
        async with listener(opened) as running:
            yield running


async def hold(private: Listener) -> None:
    """Hold three candles, as hold-2."""
    body = {"lines": [{"sku": "candle", "quantity": 3}]}
    assert (await sent(private, "POST", HOLDS, body))[0] == 201


async def test_a_sale_takes_all_of_its_lines_and_is_undone_whole(private: Listener) -> None:
    """201 and what changed, as `sell --json` has it; one undo puts every line back."""
    status, told = await sent(private, "POST", ORDERS, {**SALE, "reason": "rain"})
    assert (status, told["id"], told["undo"]) == (201, "mv-3", "stockpush undo mv-3")
    assert list(told) == [
        "id",
        "undo",
        "dry_run",
        "replayed",
        "undone_by",
        "movements",
        "changed",
    ]
    assert told["movements"] == ["mv-3", "mv-4"]
    after = {row["sku"]: row["after"]["on_hand"] for row in told["changed"]}
    assert after == {"candle": "3", "wax": "2", "soap": "0"}
    page = (await read(private))["data"][:2]
    assert [(row["kind"], row["sku"], row["quantity"]) for row in page] == [
        ("sale", "wax", "-0.5"),
        ("sale", "candle", "-2"),
    ]
    assert {(row["reason"], row["actor"]) for row in page} == {("sold at market: rain", "api")}
    status, _ = await sent(private, "POST", MOVEMENTS, {"verb": "undo", "id": told["id"]})
    assert status == 201
    assert (await on_hand(private, "candle"), await on_hand(private, "wax")) == ("5", "2.5")


async def test_a_sale_is_never_refused_for_want_of_stock(private: Listener) -> None:
    """It has happened: what is missing is shown as less than nothing."""
    body = {"at": "market", "lines": [{"sku": "candle", "quantity": 30}]}
    status, told = await sent(private, "POST", ORDERS, body)
    assert (status, told["changed"][0]["after"]["on_hand"]) == (201, "-25")


async def test_a_hold_is_sold_whole(private: Listener) -> None:
    """Its units leave and it has ended; it is not sold twice."""
    await hold(private)
    status, told = await sent(private, "POST", ORDERS, HELD)
    assert (status, told["movements"]) == (201, ["mv-3"])
    assert await on_hand(private, "candle") == "2"
    assert (await sent(private, "GET", f"{HOLDS}/hold-2"))[1]["state"] == "sold"
    assert (await read(private))["data"][0]["reason"] == "sold at market (hold-2)"
    status, told = await sent(private, "POST", ORDERS, HELD)
    assert (status, told["refused"], told["next"]) == (409, "not_held", "stockpush holds --all")
    assert await on_hand(private, "candle") == "2"


@pytest.mark.parametrize("body", [SALE, HELD], ids=["lines", "hold"])
async def test_the_same_key_sells_once(private: Listener, body: dict[str, Any]) -> None:
    """200 the second time with the same id; 409 with another body, and nothing more has left."""
    await hold(private)
    status, first = await sent(private, "POST", ORDERS, body, Idempotency_Key="k")
    left = await on_hand(private, "candle")
    assert (status, first["replayed"]) == (201, False)
    status, again = await sent(private, "POST", ORDERS, body, Idempotency_Key="k")
    assert (status, again["id"], again["replayed"], again["changed"]) == (
        200,
        first["id"],
        True,
        [],
    )
    other = {"at": "market", "lines": [{"sku": "candle", "quantity": 1}]}
    status, told = await sent(private, "POST", ORDERS, other, Idempotency_Key="k")
    assert (status, told["refused"]) == (409, "key_reused")
    assert told["next"] == "the same command with another Idempotency-Key, or without"
    assert await on_hand(private, "candle") == left


async def test_many_requests_with_one_key_at_once_sell_once(private: Listener) -> None:
    """One is 201, the others 200."""
    asked = (sent(private, "POST", ORDERS, SALE, Idempotency_Key="k") for _ in range(5))
    answers = await asyncio.gather(*asked)
    assert sorted(status for status, _ in answers) == [200, 200, 200, 200, 201]
    assert await on_hand(private, "candle") == "3"


@pytest.mark.parametrize("body", [SALE, HELD], ids=["lines", "hold"])
async def test_a_dry_run_says_what_would_change(private: Listener, body: dict[str, Any]) -> None:
    """200, the same changes as the real one, and nothing was sold."""
    await hold(private)
    status, would = await sent(private, "POST", ORDERS, {**body, "dry_run": True})
    assert (status, would["id"], would["undo"], would["dry_run"]) == (200, None, None, True)
    assert await on_hand(private, "candle") == "5"
    assert (await sent(private, "GET", f"{HOLDS}/hold-2"))[1]["state"] == "held"
    _, did = await sent(private, "POST", ORDERS, {**body, "dry_run": False})
    assert would["changed"] == did["changed"] != []


async def test_what_was_sold_and_cannot_be_read_is_not_answered_as_unsold(tmp_path: Path) -> None:
    """The database goes away after the commit: 503 would have a client sell it once more."""
    async with office(tmp_path) as opened:
        await opened.fill()
        async with listener(opened, _Unread(opened.parts)) as running:  # type: ignore[arg-type]
            status, told = await sent(running, "POST", ORDERS, SALE)
    assert (status, told["id"], told["changed"]) == (201, "mv-3", [])


def line(**differs: object) -> dict[str, Any]:
    """A sale whose second line is another."""
    return {"at": "market", "lines": [LINES[0], {**LINES[1], **differs}]}


@pytest.mark.parametrize(
    ("body", "status", "field", "found"),
    [
        ([], 400, "body", "[]"),
        (b"{", 400, "body", None),
        ({}, 400, "at", None),
        ({**SALE, "at": " "}, 400, "at", None),
        ({**SALE, "at": 5}, 400, "at", "5"),
        ({**SALE, "at": "x" * 201}, 400, "at", "201 characters"),
        ({**SALE, "place": "market"}, 400, "place", "market"),
        ({"at": "market"}, 400, "lines", None),
        ({"at": "market", "lines": []}, 400, "lines", "[]"),
        ({"at": "market", "lines": {}}, 400, "lines", "{}"),
        (
            {"at": "market", "lines": LINES[:1] * (posted.SALE_LINES_MAX + 1)},
            400,
            "lines",
            f"{posted.SALE_LINES_MAX + 1} lines",
        ),
        ({"at": "market", "lines": ["candle"]}, 400, "lines[0]", "candle"),
        (line(sku="wex"), 404, "lines[1].sku", "wex"),
        (line(sku=None), 400, "lines[1].sku", None),
        (line(quantity=None), 400, "lines[1].quantity", None),
        (line(quantity=0), 400, "lines[1].quantity", "0"),
        (line(quantity="-1"), 400, "lines[1].quantity", "-1"),
        (line(quantity="5 l"), 400, "lines[1].quantity", "5 l"),
        (line(lot="A12"), 400, "lines[1].lot", "A12"),
        ({**SALE, "pool": "north"}, 404, "pool", "north"),
        ({**SALE, "pool": ""}, 400, "pool", None),
        ({**SALE, "reason": "a\nb"}, 400, "reason", "a\nb"),
        ({**SALE, "dry_run": "yes"}, 400, "dry_run", "yes"),
        ({**HELD, "hold": "mv-2"}, 400, "hold", "mv-2"),
        ({**HELD, "hold": 2}, 400, "hold", "2"),
        ({**HELD, "hold": "hold-9"}, 404, "hold", None),
        ({**HELD, "lines": []}, 400, "lines", "[]"),
        ({**HELD, "pool": "main"}, 400, "pool", "main"),
    ],
    ids=lambda given: str(given)[:60],
)
async def test_a_mistake_is_named_and_nothing_is_sold(
    private: Listener, body: Any, status: int, field: str, found: object
) -> None:
    """400 or 404 with the field as it was posted; the ledger is as before."""
    before = await read(private)
    got, told = await sent(private, "POST", ORDERS, body)
    assert (got, told["error"]["field"]) == (status, field), told
    assert told["error"]["found"] == found
    assert told["error"]["expected"] or status == 404 or body == b"{"
    assert (await read(private)) == before


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([LINES[0], {"sku": "wick", "quantity": 1}], "has_substitutes"),
        ([LINES[0], *[{"sku": "candle", "quantity": 10**15}] * 2], "out_of_bounds"),
    ],
)
async def test_of_a_sale_that_is_not_possible_nothing_is_sold(
    private: Listener, lines: list[dict[str, Any]], refused: str
) -> None:
    """409 with the reason and what to do next; the lines that were possible are not sold either."""
    wicks = [
        Item("wick", "", Kind.MATERIAL, "piece"),
        Item("hemp", "", Kind.MATERIAL, "piece", substitute_for="wick"),
    ]
    await private.office.do(ImportCatalogue(tuple(wicks), (), (), (), "wicks", "test"))
    before = await read(private)
    status, told = await sent(private, "POST", ORDERS, {"at": "market", "lines": lines})
    assert (status, told.get("refused")) == (409, refused), told
    assert told["message"]
    assert "--" not in told["next"]
    assert (await read(private)) == before


async def test_the_largest_sale_fits_into_a_body(private: Listener) -> None:
    """A hundred lines at once, each with a movement of its own."""
    lines = [{"sku": "candle", "quantity": "1"}] * posted.SALE_LINES_MAX
    status, told = await sent(private, "POST", ORDERS, {"at": "market", "lines": lines})
    assert (status, len(told["movements"])) == (201, posted.SALE_LINES_MAX)
    assert await on_hand(private, "candle") == str(5 - posted.SALE_LINES_MAX)
    status, _ = await sent(private, "POST", ORDERS, b" " * (BODY_BYTES_MAX + 1))
    assert status == 413


async def test_nothing_is_sold_without_the_token(private: Listener) -> None:
    """401, and the ledger is as before."""
    wrong = f"Bearer {TOKEN}x"
    assert (await sent(private, "POST", ORDERS, SALE, Authorization=wrong))[0] == 401
    assert await on_hand(private, "candle") == "5"


async def test_a_sale_is_as_described(private: Listener) -> None:
    """Bodies and answers are valid under the schemas that the description gives them."""
    document = (await sent(private, "GET", "/api/v1/openapi.json"))[1]
    described = document["paths"][ORDERS]["post"]
    asked = described["requestBody"]["content"]["application/json"]["schema"]

    def check(content: object, schema: Any) -> None:
        jsonschema.Draft202012Validator(document | schema).validate(content)

    await hold(private)
    for body in ({**SALE, "pool": "main", "reason": "x", "dry_run": True}, SALE, HELD, HELD):
        check(body, asked)
        status, told = await sent(private, "POST", ORDERS, body)
        check(told, described["responses"][str(status)]["content"]["application/json"]["schema"])
    wrong: list[dict[str, Any]] = [
        {},
        {"at": "market"},
        {"lines": LINES},
        {**SALE, **HELD},
        {**HELD, "pool": "main"},
        line(lot="A12"),
    ]
    for body in wrong:
        with pytest.raises(jsonschema.ValidationError):
            check(body, asked)
